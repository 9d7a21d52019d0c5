"""What train promises: honest figures, the same ones every time, and one line for whatever cannot be."""

import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import fields
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from running import Outcome, ages, changed, column, rows, sertool

from sertool import (
    batches,
    designing,
    encoding,
    heldout,
    locks,
    manifest,
    manifest_io,
    member_scores,
    members,
    merging,
    modelfile,
    models,
    optimism,
    provenance,
    row_scaling,
    run_report,
    splits,
    synth,
    talk,
    targets,
    training,
)
from sertool.commands import train as door
from sertool.design import Member
from sertool.designing import DesignOptions
from sertool.errors import UsageError
from sertool.experiment import RunOptions
from sertool.heldout import HeldOutOptions
from sertool.models import cnn1d, cnn2d, lda, svm
from sertool.preparing import Inputs
from sertool.training_settings import Settings

NET = ("-m", "cnn", "--set", "channels=4,8", "--set", "frames=40", "--set", "dense=8", "--batch", "8")
TINY = (*NET, "--epochs", "2")
PATTERN = "{speaker}/{emotion}_{sentence}_{}.wav"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight speakers, three emotions, two sentences; their manifest."""
    folder = tmp_path_factory.mktemp("train")
    synth.corpus(folder / "clips", 8, ("neutral", "happy", "angry"), 2, write=encoding.write)
    assert sertool("index", folder / "clips", "--pattern", PATTERN, "-o", folder / "clips.parquet").code == 0
    return folder / "clips.parquet"


@pytest.fixture(scope="module")
def mel(clips: Path) -> Path:
    """The same with 16 log-mels."""
    done = sertool("featurize", clips, "--mel", "--mel-bands", 16, "-o", clips.parent / "mel")
    assert done.code == 0, done.err
    return clips.parent / "mel" / "manifest.parquet"


@pytest.fixture(scope="module")
def statistics(clips: Path) -> Path:
    """The same as one row of statistics for each clip."""
    wanted = ("--mfcc", "--rms", "--stats", "mean,std")
    assert sertool("featurize", clips, *wanted, "-o", clips.parent / "stats").code == 0
    return clips.parent / "stats" / "manifest.parquet"


@pytest.fixture(scope="module")
def teacher(mel: Path) -> Path:
    """A run of another seed, whose models may teach."""
    train(mel, *TINY, "--split", "speaker:50/25/25", "--seed", 1, "-o", mel.parent / "teacher")
    return mel.parent / "teacher"


def train(*words: object, code: int = 0) -> Outcome:
    done = sertool("train", *words)
    assert done.code == code, done.err
    return done


def table(folder: Path) -> dict[str, list]:
    return manifest_io.read(str(folder / "predictions.parquet")).to_pydict()


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_a_feature_that_is_named_twice_is_seen_once(mel: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "--features", "mel,mel", "-o", tmp_path)
    assert modelfile.read(tmp_path / "seed-0" / "model.safetensors").columns == 16


@pytest.mark.parametrize("words", [(), ("--select", 5), ("--features", "mfcc", "--reduce", "lda")])
@pytest.mark.parametrize("model", ["mlp", "attentive"])
def test_columns_that_are_joined_selected_or_mapped_are_one_group(
    statistics: Path, tmp_path: Path, model: str, words: tuple
) -> None:
    train(statistics, "-m", model, *words, "--epochs", 1, "-o", tmp_path)
    settings = modelfile.read(tmp_path / "seed-0" / "model.safetensors").settings
    assert {settings[name] for name in ("groups", "stats") if name in settings} == {1}


# The same every time.


def test_outputs_may_have_names_that_are_not_utf_8(clips: Path, tmp_path: Path) -> None:
    features, run = (tmp_path / os.fsdecode(name) for name in (b"caf\xe9", b"lat\xe9"))
    words = ("--rms", "--stats", "mean,std", "-o", features, "--values", features / "values.csv", "--verify", 2)
    done = sertool("featurize", clips, *words)
    assert done.code == 0, done.err
    assert "(0 made now)" in sertool("featurize", clips, *words).err
    for source, stdin in ((features / "manifest.parquet", b""), ("-", done.out)):
        done = sertool("train", source, "-m", "svm", "--split", "speaker:50/25/25", "-o", run, stdin=stdin)
        assert done.code == 0, done.err
    assert sertool("eval", run / "predictions.parquet").code == 0
    for source in (features / "manifest.parquet", features / "rms" / "00000.safetensors"):
        done = sertool("predict", "-m", run, source, "-o", features / "a.parquet")
        assert done.code == 0, done.err
        assert len(manifest_io.read(str(features / "a.parquet"))) == 48


@pytest.mark.parametrize("model", ["forest", "svm", "mlp"])
def test_a_seed_may_be_any_number_that_a_column_holds(statistics: Path, tmp_path: Path, model: str) -> None:
    words = ("-m", model, *(("--epochs", 1) if model == "mlp" else ()), "--split", "speaker:50/25/25")
    for seed in (2**32 - 1, 2**63 - 1000):
        done = train(statistics, *words, "--seed", seed, "--seeds", 2, "-o", tmp_path / f"{seed}", "-f", "jsonl")
        assert {json.loads(line)["seed"] for line in done.out.splitlines()} == {seed, seed + 1}
    assert f"{2**63 - 999} is too large" in train(statistics, *words, "--seed", 2**63 - 999, code=2).line


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(mel: Path, tmp_path: Path) -> None:
    for name, seed in {"one": 3, "two": 3, "three": 4}.items():
        train(mel, *TINY, "--seed", seed, "--split", "speaker:50/25/25", "-o", tmp_path / name)
    one, two, three = (modelfile.read(tmp_path / n / f"seed-{s}" / "model.safetensors") for n, s in
                       (("one", 3), ("two", 3), ("three", 4)))  # fmt: skip
    assert all(np.array_equal(one.tensors[name], two.tensors[name]) for name in one.tensors)
    assert not all(np.array_equal(one.tensors[name], three.tensors[name]) for name in one.tensors)


def _until(process: subprocess.Popen, folder: Path, moment: str) -> None:
    """Wait until a file of a run is there, or the process has ended."""
    while process.poll() is None and not list(folder.rglob(moment)):
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("--optimizer", "adamw", "--ema", "0.9", "--mixup", "0.2", "--time-masks", "1", "--warmup", "100"),
        ("--optimizer", "sgd", "--schedule", "plateau", "--noise", "0.1"),
        ("--precision", "bf16", "--clip", "1", "--balance", "sampling"),
    ],
)
def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(mel: Path, tmp_path: Path, words: tuple) -> None:
    command = [sys.executable, "-m", "sertool", "train", mel, *NET, "--epochs", "40", "-j", "1", "-o", "run", *words]
    (tmp_path / "calm").mkdir()
    (tmp_path / "torn").mkdir()
    subprocess.run(command, cwd=tmp_path / "calm", check=True, capture_output=True)
    process = subprocess.Popen(command, cwd=tmp_path / "torn", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _until(process, tmp_path / "torn", "checkpoint.safetensors")
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "torn/run/seed-0/predictions.parquet").exists()
    again = subprocess.run(command, cwd=tmp_path / "torn", check=True, capture_output=True)
    assert weights(tmp_path / "torn/run/seed-0") == weights(tmp_path / "calm/run/seed-0")
    assert again.stdout
    assert not list((tmp_path / "torn").rglob("*.part"))


@pytest.mark.slow
def test_any_number_of_kills_leaves_the_same_bytes(mel: Path, tmp_path: Path) -> None:
    """As soon as each file of each member is there, so that some fall between two files of a member's end."""
    words = [*NET, "--epochs", "40", "-j", "1", "--folds", "2", "-o", "run"]
    command = [sys.executable, "-m", "sertool", "train", str(mel), *words]
    (tmp_path / "calm").mkdir()
    (tmp_path / "torn").mkdir()
    calm = subprocess.run(command, cwd=tmp_path / "calm", check=True, capture_output=True)
    names, killed = ("fold-0/seed-0", "fold-1/seed-0"), 0
    files = ("settings.json", "checkpoint.safetensors", "model.safetensors", "metrics.jsonl", "predictions.parquet")
    moments = [f"{name}/{file}" for name in names for file in files]
    while moments:
        process = subprocess.Popen(command, cwd=tmp_path / "torn", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _until(process, tmp_path / "torn" / "run", moments.pop(0))
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        moments = [moment for moment in moments if not (tmp_path / "torn" / "run" / moment).exists()]
    assert killed > len(names)
    last = subprocess.run(command, cwd=tmp_path / "torn", check=True, capture_output=True)
    for name in names:
        assert weights(tmp_path / "torn/run" / name) == weights(tmp_path / "calm/run" / name)
    assert last.stdout == calm.stdout
    assert not list((tmp_path / "torn").rglob("*.part"))


@pytest.mark.parametrize(
    ("words", "partner"),
    [
        (("--momentum", 0.5), ("--optimizer", "sgd")),
        (("--plateau-factor", 0.5), ("--schedule", "plateau")),
        (("--plateau-patience", 2), ("--schedule", "plateau")),
        (("--restart-epochs", 3), ("--schedule", "restarts")),
        (("--restart-factor", 3), ("--schedule", "restarts")),
        (("--time-width", 5), ("--time-masks", 1)),
        (("--column-width", 5), ("--column-masks", 1)),
        (("--mask-share", 0.5), ("--column-masks", 1)),
        (("--mixes", "summary"), ("--mixup", 0.3)),
        (("--metric", "wa", "--keep", "last"), ("--patience", 2)),
        (("--metric", "wa", "--keep", "last"), ("--schedule", "plateau")),
    ],
)
def test_options_that_do_nothing_without_another_are_refused(mel: Path, words: tuple, partner: tuple) -> None:
    line = train(mel, *TINY, *words, "--dry-run", code=2).line
    assert line.startswith(f"sertool: {words[0]} goes with ")
    assert partner[0] in line
    train(mel, *TINY, *words, *partner, "--dry-run")


@pytest.mark.parametrize("words", [("--mixup", 0.3, "--mixes", "summary"), ("--imitate", "mfcc"), ("--steady", 0.5)])
def test_a_compiler_is_refused_where_training_never_calls_the_whole_network(statistics: Path, words: tuple) -> None:
    line = train(statistics, "-m", "mlp", "--compile", *words, "--dry-run", code=2).line
    assert line.startswith(f"sertool: --compile does nothing with {words[-2]}")


def test_several_seeds_of_a_model_that_draws_nothing_are_refused(statistics: Path, tmp_path: Path) -> None:
    for words in (
        ("-m", "logistic"),
        ("-m", "lda"),
        ("-m", "probe"),
        ("--recipe", "whisper-probe", "--features", "rms"),
    ):
        for dry in ((), ("--dry-run",)):
            line = train(statistics, *words, "--seeds", 3, *dry, "-o", tmp_path / "run", code=2).line
            assert line.startswith("sertool: --seeds 3: ")
            assert "draws nothing" in line
        train(statistics, *words, "--seed", 3, "--dry-run")
    for model in ("svm", "forest"):
        train(statistics, "-m", model, "--seeds", 3, "--dry-run")


def test_a_network_never_sees_what_it_imitates(statistics: Path, tmp_path: Path) -> None:
    for seen in ("rms,mfcc", "rms"):
        words = ("-m", "mlp", "--imitate", "rms", "--features", seen)
        assert "must not see what it imitates" in train(statistics, *words, "--dry-run", code=2).line
    train(statistics, "-m", "mlp", "--imitate", "rms", "--features", "mfcc", "--dry-run")


def test_summaries_may_be_mixed_in_place_of_rows(mel: Path, tmp_path: Path) -> None:
    for way in ("rows", "summary"):
        train(mel, *TINY, "--mixup", 0.4, "--mixes", way, "--split", "speaker:50/25/25", "-o", tmp_path / way)
    rows, summary = (modelfile.read(tmp_path / way / "seed-0/model.safetensors") for way in ("rows", "summary"))
    assert not np.array_equal(rows.tensors["head.0.weight"], summary.tensors["head.0.weight"])


def test_a_finished_run_prints_its_predictions_again_and_trains_nothing(mel: Path, tmp_path: Path) -> None:
    words = (mel, *TINY, "-o", tmp_path / "run")
    first, before = train(*words), ages(tmp_path / "run")
    again = train(*words)
    assert again.out == first.out
    assert ages(tmp_path / "run") == before
    assert "epoch" not in again.err
    assert "UAR train" in again.err


def test_a_finished_run_prints_what_the_manifest_says_of_its_clips_today(statistics: Path, tmp_path: Path) -> None:
    words = ("-m", "lda", "--folds", 2, "-o", tmp_path / "run", "-f", "jsonl")
    first = [json.loads(line) for line in train(statistics, *words).out.splitlines()]
    sexes = ["female"] * len(column(statistics, "clip"))
    again = train(changed(statistics, tmp_path / "corrected.parquet", sex=sexes), *words)
    assert [json.loads(line) for line in again.out.splitlines()] == [row | {"sex": "female"} for row in first]
    assert table(tmp_path / "run")["sex"] == sexes


def test_a_finished_run_of_which_somebody_took_rows_is_one_line(statistics: Path, tmp_path: Path) -> None:
    words = (statistics, "-m", "lda", "--split", "speaker:50/25/25", "-o", tmp_path)
    train(*words)
    path = tmp_path / "seed-0" / "predictions.parquet"
    manifest_io.write(manifest_io.read(str(path)).slice(1), str(path), "parquet")
    assert f"remove {path.parent} to train it again" in train(*words, code=1).err.splitlines()[-1]
    shutil.rmtree(path.parent)
    train(*words)


def test_a_finished_run_that_may_not_be_written_prints_its_predictions_and_goes_no_further(
    mel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (mel, *TINY, "-o", tmp_path / "run")
    first, before = train(*words), ages(tmp_path / "run")

    def denied(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(locks, "open", denied, raising=False)
    monkeypatch.setattr(tempfile, "mkstemp", denied)
    assert train(*words).out == first.out
    for more in (("--seeds", 2), ("--epochs", 3, "--overwrite")):
        assert f"cannot write in {tmp_path / 'run'}: read-only file system" in train(*words, *more, code=1).line
    assert ages(tmp_path / "run") == before


def test_a_finished_run_is_no_older_than_the_manifest_that_it_was_asked_for_again(mel: Path, tmp_path: Path) -> None:
    words = (changed(mel, tmp_path / "m.parquet"), *TINY, "-o", tmp_path / "run")
    train(*words)
    changed(mel, tmp_path / "m.parquet")
    train(*words)
    made, source = tmp_path / "run" / "predictions.parquet", tmp_path / "m.parquet"
    assert made.stat().st_mtime_ns >= source.stat().st_mtime_ns


def test_other_settings_are_refused_by_name_and_replaced_when_asked(mel: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "-o", tmp_path)
    refused = train(mel, *TINY, "-o", tmp_path, "--epochs", 3, "--lr", 0.01, code=2)
    assert "epochs 2, not 3" in refused.line
    assert "lr 0.001, not 0.01" in refused.line
    assert "--overwrite" in refused.line
    train(mel, *TINY, "-o", tmp_path, "--epochs", 3, "--overwrite")
    assert len((tmp_path / "seed-0" / "metrics.jsonl").read_text().splitlines()) == 3


def _out_of_memory(*_: object) -> None:
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory")


@pytest.mark.parametrize("name", ["model.safetensors", "split.parquet", "predictions.parquet", "settings.json"])
def test_a_finished_run_with_a_damaged_file_is_trained_anew_if_asked(
    statistics: Path, tmp_path: Path, name: str
) -> None:
    words = (statistics, "-m", "svm", "--split", "speaker:50/25/25", "-o", tmp_path)
    train(*words)
    path = tmp_path / "seed-0" / name
    whole = path.read_bytes()
    for damaged in (b"", whole[:-9], whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(damaged)
        for more in ((), ("--dry-run",)):
            line = train(*words, *more, code=2).line
            assert f"{path.parent} has no whole {name}: choose another -o, or replace it with --overwrite" in line
    train(*words, "--overwrite")
    train(*words)
    assert not (tmp_path / ".before").exists()


def test_a_damaged_checkpoint_is_replaced_if_asked(mel: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "-o", tmp_path)
    (tmp_path / "seed-0" / "predictions.parquet").unlink()
    (tmp_path / "seed-0" / "checkpoint.safetensors").write_bytes(b"x")
    assert "has no whole checkpoint.safetensors" in train(mel, *TINY, "-o", tmp_path, code=2).line
    train(mel, *TINY, "-o", tmp_path, "--overwrite")
    assert table(tmp_path)


def test_what_is_overwritten_is_lost_only_once_its_heir_is_trained(
    mel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(mel, *TINY, "-o", tmp_path)
    model, rows = weights(tmp_path / "seed-0"), table(tmp_path)
    for words in (("-m", "svm"), (*TINY, "--lr", "1e30"), (*TINY, "--folds", 3, "--lr", "1e30")):
        assert train(mel, *words, "--overwrite", "-o", tmp_path, code=1 + (words[1] == "svm")).line
        assert weights(tmp_path / "seed-0") == model
        assert table(tmp_path) == rows
        assert len(list(tmp_path.rglob("settings.json"))) == 1
    with monkeypatch.context() as patch:
        patch.setattr(training, "_epoch", _out_of_memory)
        train(mel, *TINY, "--epochs", 50, "--overwrite", "-o", tmp_path, code=1)
    assert (weights(tmp_path / "seed-0"), table(tmp_path)) == (model, rows)
    train(mel, *TINY, "--lr", "0.01", "--overwrite", "-o", tmp_path)
    assert weights(tmp_path / "seed-0") != model
    assert not (tmp_path / ".before").exists()


def test_what_was_finished_outlives_overwriting_that_is_interrupted_and_then_fails(
    mel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    train(mel, *TINY, "--seeds", 2, "-o", tmp_path)
    model, rows = weights(tmp_path / "seed-0"), (tmp_path / "predictions.parquet").read_bytes()
    for epochs in (50, 60):
        with monkeypatch.context() as patch:
            patch.setattr(training, "_epoch", interrupted)
            train(mel, *TINY, "--epochs", epochs, "--overwrite", "-o", tmp_path, code=130)
        assert not (tmp_path / "seed-0" / "model.safetensors").exists()
    train(mel, *TINY, "--lr", "1e30", "--overwrite", "-o", tmp_path, code=1)
    assert weights(tmp_path / "seed-0") == model
    assert (tmp_path / "predictions.parquet").read_bytes() == rows
    assert (tmp_path / "seed-1" / "predictions.parquet").exists()
    assert not (tmp_path / ".before" / "seed-0").exists()


def test_other_peoples_files_in_a_runs_folder_stay(mel: Path, tmp_path: Path) -> None:
    theirs = [tmp_path / ".a.iso.part", tmp_path / "b" / ".00000.safetensors.xyz.part"]
    own = tmp_path / "seed-0" / ".model.safetensors.xyz.part"
    for path in (*theirs, own):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    train(mel, *TINY, "-o", tmp_path)
    assert [path.exists() for path in (*theirs, own)] == [True, True, False]


def test_overwriting_goes_on_with_what_is_its_own(mel: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "-o", tmp_path, "--overwrite")
    before = ages(tmp_path / "seed-0")
    train(mel, *TINY, "-o", tmp_path, "--overwrite")
    assert ages(tmp_path / "seed-0") == before


@pytest.mark.slow
def test_members_of_another_run_are_refused_and_not_mixed_in(mel: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "-o", tmp_path, "--seeds", 2)
    train(mel, *TINY, "-o", tmp_path / "folds", "--folds", 2)
    assert "fold-0/seed-0 is of another run" in train(mel, *TINY, "-o", tmp_path / "folds", code=2).line
    train(mel, *TINY, "-o", tmp_path, "--overwrite")
    assert [path.name for path in tmp_path.glob("seed-*")] == ["seed-0"]


def test_fewer_seeds_than_were_trained_are_printed_again_and_the_others_stay(mel: Path, tmp_path: Path) -> None:
    speakers = column(mel, "speaker")
    part = dict(zip(sorted(set(speakers)), ["test", "test", "dev", "dev"] + ["train"] * 4, strict=True))
    own = changed(mel, tmp_path / "own.parquet", split=[part[speaker] for speaker in speakers])
    tmp_path /= "run"
    train(own, *TINY, "-o", tmp_path, "--seeds", 3)
    joined = (tmp_path / "predictions.parquet").read_bytes()
    for words, seeds in (((), {0}), (("--seed", 1, "--seeds", 2), {1, 2})):
        done = train(own, *TINY, *words, "-o", tmp_path, "-f", "jsonl")
        assert {json.loads(line)["seed"] for line in done.out.splitlines()} == seeds
        assert (tmp_path / "predictions.parquet").read_bytes() == joined
        assert "predictions.parquet holds those of other seeds as well" in done.err
    assert "is finished" in train(own, *TINY, "-o", tmp_path, "--dry-run").err
    refused = train(own, *TINY, "--seed", 2, "--seeds", 2, "-o", tmp_path, code=2).line
    assert "seed-0 is another seed of this very run: " in refused
    assert "--overwrite" not in refused
    assert "epochs 2, not 3" in train(own, *TINY, "--epochs", 3, "-o", tmp_path, code=2).line


@pytest.mark.parametrize(("last", "seeds"), [("fold-1/seed-1", {0}), ("fold-1/seed-2", {0, 1})])
def test_of_seeds_that_a_killed_run_leaves_those_are_joined_that_are_trained_in_all_folds(
    statistics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str, seeds: set[int]
) -> None:
    words = (statistics, "-m", "forest", "--set", "trees=2", "--folds", 2, "-o", tmp_path / "run")
    fit, joined = members._trained, tmp_path / "run" / "predictions.parquet"

    def killed(material: object, design: object, member: Member, *rest: object) -> tuple:
        if member.name == last:
            raise KeyboardInterrupt
        return fit(material, design, member, *rest)

    train(*words)
    monkeypatch.setattr(members, "_trained", killed)
    train(*words, "--seeds", 4, code=130)
    for _ in ("beside what was joined", "from nothing"):
        done = train(*words, "-f", "jsonl")
        assert {json.loads(line)["seed"] for line in done.out.splitlines()} == {0}
        rows = manifest_io.read_table(str(joined)).to_pydict()
        assert set(rows["seed"]) == seeds
        assert len(rows["clip"]) == len(seeds) * len(column(statistics, "clip"))
        assert ("holds those of other seeds as well" in done.err) == (len(seeds) > 1)
        joined.unlink()


def test_a_run_has_one_name_however_its_folder_is_said(
    statistics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, words in (".", ()), (tmp_path, ("--seeds", 2)), (tmp_path / "x" / "..", ()):
        done = train(statistics, "-m", "svm", "--folds", 2, *words, "-o", folder, "-f", "jsonl")
        assert {json.loads(line)["run"] for line in done.out.splitlines()} == {str(folder)}


# Who is held out.


def test_speakers_never_cross(mel: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "--folds", 4, "-o", tmp_path)
    seen = []
    for path in sorted(tmp_path.rglob("split.parquet")):
        held = manifest_io.read(str(path)).to_pydict()
        parts = {
            part: {s for s, p in zip(held["speaker"], held["split"], strict=True) if p == part} for part in splits.PARTS
        }
        assert not parts["train"] & parts["dev"]
        assert not (parts["train"] | parts["dev"]) & parts["test"]
        assert all(parts.values())
        seen += sorted(parts["test"])
    assert sorted(seen) == sorted(set(column(mel, "speaker")))


def parts_of(member: Path) -> dict[str, set[str]]:
    """The speakers of each part of a training."""
    held = manifest_io.read(str(member / "split.parquet")).to_pydict()
    pairs = list(zip(held["split"], held["speaker"], strict=True))
    return {part: {who for place, who in pairs if place == part} for part in {place for place, _ in pairs}}


def test_a_model_fitted_at_once_learns_from_all_speakers_that_its_fold_does_not_hold_out(
    statistics: Path, tmp_path: Path
) -> None:
    train(statistics, "-m", "logistic", "--folds", 4, "-o", tmp_path / "run")
    train(statistics, "-m", "logistic", "--folds", 4, "--no-dev", "-o", tmp_path / "bare")
    names = [path.parent.relative_to(tmp_path / "run") for path in (tmp_path / "run").rglob("split.parquet")]
    assert len(names) == 4
    for name in names:
        assert {part: len(who) for part, who in parts_of(tmp_path / "run" / name).items()} == {"train": 6, "test": 2}
        learnt, bare = (modelfile.read(tmp_path / run / name / "model.safetensors") for run in ("run", "bare"))
        assert all(np.array_equal(bare.tensors[key], values) for key, values in learnt.tensors.items())
        assert bare.temperature == 1.0 != learnt.temperature
        assert {name.partition("_")[0] for name in learnt.scores} == {"train", "test"}


@pytest.mark.parametrize(("words", "fits"), [((), 4), (("--no-dev",), 2)])
def test_a_model_is_fitted_twice_only_where_dev_says_how_sure_it_may_be(
    statistics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], fits: int
) -> None:
    fitted, seen = lda.Model.fit, []
    monkeypatch.setattr(lda.Model, "fit", lambda *given: (seen.append(len(given[1])), fitted(*given)))
    train(statistics, "-m", "lda", "--folds", 2, *words, "-o", tmp_path)
    assert len(seen) == fits


def test_without_dev_its_speakers_train(mel: Path, statistics: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "--epochs", 1, "--folds", 2, "--no-dev", "-o", tmp_path / "folds")
    for path in (tmp_path / "folds").glob("fold-*/seed-0"):
        assert {part: len(who) for part, who in parts_of(path).items()} == {"train": 4, "test": 4}
    train(statistics, "-m", "svm", "--no-dev", "-o", tmp_path / "split")
    assert parts_of(tmp_path / "split" / "seed-0").keys() == {"train", "test"}
    speakers = column(mel, "speaker")
    own = changed(mel, tmp_path / "own.parquet", split=["dev" if s == speakers[0] else "train" for s in speakers])
    assert (
        "--no-dev: the split holds out dev, and no test" in train(own, *TINY, "--no-dev", "-o", tmp_path, code=2).line
    )
    all_train = changed(mel, tmp_path / "all.parquet", split=["train"] * len(speakers))
    assert "no clip to hold out" in train(all_train, *TINY, "--no-dev", "-o", tmp_path / "all", code=1).line
    assert "has no dev" in train(mel, *TINY, "--no-dev", "--patience", 2, "-o", tmp_path / "p", code=2).line


def test_another_models_answers_in_the_manifest_are_not_taken_for_its_own(mel: Path, tmp_path: Path) -> None:
    clips = len(column(mel, "clip"))
    stale = {name: ["x"] * clips for name in ("run", "predicted", "protocol", "adapted", "top")}
    numbers = {name: [0.5] * clips for name in ("confidence", "p_boredom")}
    train(changed(mel, tmp_path / "stale.parquet", **stale, **numbers), *TINY, "-o", tmp_path / "run")
    train(mel, *TINY, "-o", tmp_path / "fresh")
    assert table(tmp_path / "run").keys() == table(tmp_path / "fresh").keys()


@pytest.mark.slow
def test_folds_and_seeds_have_a_folder_each_and_all_their_rows_are_joined(mel: Path, tmp_path: Path) -> None:
    done = train(mel, *TINY, "--folds", 2, "--seeds", 2, "--seed", 5, "-o", tmp_path / "run")
    names = sorted(path.parent.relative_to(tmp_path / "run").as_posix() for path in tmp_path.rglob("model.safetensors"))
    assert names == [f"fold-{fold}/seed-{seed}" for fold in (0, 1) for seed in (5, 6)]
    for name in names:
        files = {path.name for path in (tmp_path / "run" / name).iterdir()}
        assert files == {"settings.json", "split.parquet", "metrics.jsonl", "curves.png", "model.safetensors",
                         "predictions.parquet"}  # fmt: skip
    (tmp_path / "out.parquet").write_bytes(done.out)
    held = manifest.column(manifest_io.read_table(str(tmp_path / "out.parquet")), "clip")
    joined = manifest_io.read_table(str(tmp_path / "out.parquet")).to_pydict()
    assert len(held) == 2 * 48
    assert " to test), mean over 2 folds and 2 seeds; 96 held-out rows" in done.err
    assert {*zip(joined["fold"], joined["seed"], strict=True)} == {(0, 5), (0, 6), (1, 5), (1, 6)}
    assert set(joined["run"]) == {str(tmp_path / "run")}
    assert sertool("eval", stdin=done.out).code == 0


@pytest.mark.slow
def test_seeds_of_one_run_share_their_folds_and_another_seed_draws_others(mel: Path, tmp_path: Path) -> None:
    run = (mel, *NET, "--epochs", 1, "--folds", 3)
    train(*run, "--seeds", 2, "-o", tmp_path / "both")
    train(*run, "--seed", 1, "-o", tmp_path / "second")
    first, second, other = (
        column(tmp_path / place / "split.parquet", "split")
        for place in ("both/fold-0/seed-0", "both/fold-0/seed-1", "second/fold-0/seed-1")
    )
    assert first == second != other
    words = " ".join(sertool("train", "--help").out.decode().split())
    assert "All share the split or the folds that are drawn with --seed." in words


def test_held_out_is_test_where_it_has_clips_and_else_dev(mel: Path, tmp_path: Path) -> None:
    speakers = column(mel, "speaker")
    last = sorted(set(speakers))[-1]
    for part, rest in (("test", "train"), ("dev", "train")):
        own = changed(mel, tmp_path / f"{part}.parquet", split=[part if s == last else rest for s in speakers])
        train(own, *TINY, "-o", tmp_path / part)
        held = table(tmp_path / part / "seed-0")
        assert set(held["speaker"]) == {last}
        assert set(held["split"]) == {part}


def test_selection_never_sees_test(mel: Path, tmp_path: Path) -> None:
    """With every emotion of test exchanged for another, the same weights are chosen and kept."""
    train(mel, *TINY, "--split", "speaker:50/25/25", "-o", tmp_path / "one")
    split = column(tmp_path / "one" / "seed-0" / "split.parquet", "split")
    turned = {"neutral": "happy", "happy": "angry", "angry": "neutral"}
    emotions = [turned[e] if part == "test" else e for e, part in zip(column(mel, "emotion"), split, strict=True)]
    other = changed(mel, tmp_path / "other.parquet", split=split, emotion=emotions)
    train(other, *TINY, "-o", tmp_path / "two")
    one, two = (modelfile.read(tmp_path / name / "seed-0" / "model.safetensors") for name in ("one", "two"))
    assert all(np.array_equal(one.tensors[name], two.tensors[name]) for name in one.tensors)
    assert one.temperature == two.temperature
    assert one.scores["dev_uar"] == two.scores["dev_uar"]


def test_scaling_uses_train_rows_alone(mel: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "--split", "speaker:50/25/25", "-o", tmp_path)
    held = modelfile.read(tmp_path / "seed-0" / "model.safetensors")
    split = column(tmp_path / "seed-0" / "split.parquet", "split")
    frames = rows(mel.parent, "mel")
    mine = [frames[clip] for clip, part in zip(column(mel, "clip"), split, strict=True) if part == "train"]
    packed = np.concatenate(mine).astype(np.float64)
    np.testing.assert_allclose(held.tensors["scaling.mean"][0], packed.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(held.tensors["scaling.deviation"][0], packed.std(axis=0), rtol=1e-4)


def test_adapting_needs_speakers_marks_its_answers_and_leaves_nobody_in_the_file(mel: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "--adapt", "speaker", "-o", tmp_path / "run")
    held = modelfile.read(tmp_path / "run" / "seed-0" / "model.safetensors")
    assert (held.scaling, held.prior_clips) == ("speaker", 3.0)
    scaling = {name: held.tensors[name].shape for name in held.tensors if name.startswith("scaling")}
    assert scaling == {"scaling.mean": (1, 16), "scaling.deviation": (1, 16), "scaling.offsets": (3, 16)}
    assert set(table(tmp_path / "run")["adapted"]) == {"transductive"}
    seen = sertool("eval", tmp_path / "run" / "predictions.parquet").out.decode()
    assert "adapted to each speaker (transductive)" in seen.splitlines()[0]
    train(mel, *TINY, "--adapt", "speaker", "--scale", "none", "-o", tmp_path / "moved")
    assert modelfile.read(tmp_path / "moved" / "seed-0" / "model.safetensors").scaling == "moved"
    speakers = column(mel, "speaker")
    nobody = changed(mel, tmp_path / "nobody.parquet", speaker=[None, *speakers[1:]],
                     split=["test" if s == speakers[-1] else "train" for s in speakers])  # fmt: skip
    refused = train(nobody, *TINY, "--adapt", "speaker", "-o", tmp_path / "other", code=2)
    assert "--adapt speaker: 1 clip without a speaker" in refused.err


def test_adapted_scores_are_those_of_the_predictions_whatever_clips_have_no_label(
    statistics: Path, tmp_path: Path
) -> None:
    tested = sorted(set(column(statistics, "speaker")))[-3:]
    split = ["test" if who in tested else "train" for who in column(statistics, "speaker")]
    pairs = zip(split, column(statistics, "emotion"), strict=True)
    emotions = [word if part == "train" or word == "happy" else None for part, word in pairs]
    bare = changed(statistics, tmp_path / "bare.parquet", emotion=emotions, split=split)
    train(bare, "-m", "lda", "--adapt", "speaker", "-o", tmp_path / "run")
    held = table(tmp_path / "run")
    pairs = [pair for pair in zip(held["emotion"], held["predicted"], strict=True) if pair[0]]
    scores = modelfile.read(tmp_path / "run" / "seed-0" / "model.safetensors").scores
    assert scores["test_clips"] == len(pairs) < len(held["clip"])
    assert scores["test_wa"] == pytest.approx(np.mean([emotion == predicted for emotion, predicted in pairs]))


def test_a_split_of_one_speaker_on_both_sides_is_refused_unless_it_is_leaky_by_name(mel: Path, tmp_path: Path) -> None:
    torn = changed(mel, tmp_path / "torn.parquet", split=["train", "test"] * 24)
    assert "the split leaks: speaker" in train(torn, *TINY, "-o", tmp_path / "no", code=1).line
    done = train(mel, *TINY, "--split", "random-80-20", "-o", tmp_path / "yes")
    assert "random-80-20" in done.err
    assert "LEAKY: random-80-20" in sertool("eval", stdin=done.out).out.decode()
    told = sertool("index", "-", "-f", "csv", stdin=done.out).out  # which has no room for how it was made
    assert "LEAKY: random-80-20" in sertool("eval", stdin=told).out.decode()


def test_leaky_figures_and_speakers_that_nobody_knows_are_said_so_by_the_run_and_on_its_card(
    mel: Path, tmp_path: Path
) -> None:
    nobody = changed(mel, tmp_path / "nobody.parquet", speaker=[None] * len(column(mel, "clip")))
    said = train(nobody, *TINY, "--split", "random-80-20", "-o", tmp_path / "leaky").err
    assert "(speakers unknown), LEAKY: random-80-20; " in said
    assert "0 speakers" not in said
    card = sertool("predict", "--model-card", "-m", tmp_path / "leaky").out.decode()
    assert "- LEAKY: random-80-20 puts clips of one speaker on both sides" in card
    train(mel, *TINY, "-o", tmp_path / "honest")
    card = sertool("predict", "--model-card", "-m", tmp_path / "honest").out.decode()
    assert "- divided by: speaker:70/15/15" in card
    assert "LEAKY" not in card


def test_a_manifest_that_was_split_leakily_by_name_is_taken(clips: Path, tmp_path: Path) -> None:
    made = sertool("index", clips, "--split", "random-80-20", "-o", tmp_path / "leaky.parquet")
    assert made.code == 0, made.err
    assert sertool("featurize", tmp_path / "leaky.parquet", "--mel", "--mel-bands", 16, "-o", tmp_path / "f").code == 0
    train(tmp_path / "f" / "manifest.parquet", *TINY, "-o", tmp_path / "run")


def test_folds_of_a_manifest_with_a_split_are_an_error(mel: Path, tmp_path: Path) -> None:
    speakers = column(mel, "speaker")
    own = changed(mel, tmp_path / "own.parquet", split=["test" if s == speakers[0] else "train" for s in speakers])
    for words in (("--folds", 3), ("--loso",)):
        assert "the manifest has a split already" in train(own, *TINY, *words, "-o", tmp_path / "run", code=2).line


def test_a_warm_up_that_outlasts_the_training_is_said(mel: Path, tmp_path: Path) -> None:
    words = (mel, *NET, "--split", "speaker:50/25/25", "--batch", 1000, "--epochs", 3, "--dry-run")
    assert "--warmup 4: the training ends after 3 steps, before the rate has risen" in train(*words, "--warmup", 4).err
    assert "has risen" not in train(*words, "--warmup", 3).err


def test_folds_beside_a_split_are_said_to_be_passed_over(mel: Path, tmp_path: Path) -> None:
    speakers = column(mel, "speaker")
    split = ["test" if who == speakers[0] else "train" for who in speakers]
    both = changed(mel, tmp_path / "both.parquet", split=split, fold=[place % 3 for place in range(len(speakers))])
    said = train(both, *TINY, "-o", tmp_path / "run").err
    assert "the manifest has a split and folds: the split decides, and the folds are passed over" in said
    assert "mean over" not in said
    assert "fold" not in table(tmp_path / "run")
    audit = sertool("index", "--audit", both)
    assert b"not checked: the folds, as a split stands beside them" in audit.out


def test_folds_that_none_of_the_clips_has_are_no_division(mel: Path, tmp_path: Path) -> None:
    half = len(column(mel, "clip")) // 2
    corpora, folds = ["a"] * half + ["b"] * half, [place % 2 for place in range(half)] + [None] * half
    both = changed(mel, tmp_path / "both.parquet", corpus=corpora, fold=folds)
    for words in ((), ("--split", "speaker:50/25/25"), ("--folds", 2)):
        train(both, *TINY, "--where", "corpus=b", *words, "--dry-run")
    bare = changed(both, tmp_path / "bare.parquet", fold=[None] * 2 * half, split=[None] * 2 * half)
    assert "speaker:70/15/15" in train(bare, *TINY, "--dry-run").line


def test_folds_that_are_all_below_zero_are_one_line(mel: Path, tmp_path: Path) -> None:
    below = changed(mel, tmp_path / "below.parquet", fold=[-1] * (len(column(mel, "clip")) - 1) + [None])
    for dry in ((), ("--dry-run",)):
        line = train(below, *TINY, *dry, "-o", tmp_path / "run", code=1).line
        assert "no clip has a fold of 0 or more" in line


def test_of_two_ways_to_divide_both_are_named_as_they_were_typed(mel: Path) -> None:
    for words, says in {
        ("--folds", 3, "--split", "speaker"): "--split and --folds exclude each other",
        ("--loso", "--folds", 3): "--folds and --loso exclude each other",
        ("--loso", "--protocol", "loso"): "--loso and --protocol exclude each other",
    }.items():
        assert says in train(mel, *TINY, *words, code=2).line


def test_the_parts_of_a_manifest_may_have_the_words_of_others(mel: Path, tmp_path: Path) -> None:
    speakers = column(mel, "speaker")
    word = {speakers[0]: "Testing", speakers[-1]: " VAL "}
    own = changed(mel, tmp_path / "own.parquet", split=[word.get(speaker, "Training") for speaker in speakers])
    train(own, *TINY, "-o", tmp_path / "run")
    held = table(tmp_path / "run")
    assert ({*held["split"]}, {*held["speaker"]}) == ({"test"}, {speakers[0]})


def test_one_speaker_is_left_out_at_a_time(mel: Path, tmp_path: Path) -> None:
    four = "|".join(sorted(set(column(mel, "speaker")))[:4])
    train(mel, *TINY, "--epochs", 1, "--loso", "--where", f"speaker={four}", "-o", tmp_path)
    held = table(tmp_path)
    assert len(set(zip(held["fold"], held["speaker"], strict=True))) == 4
    assert len(set(held["clip"])) == len(held["clip"]) == 24


def test_what_is_refused_leaves_no_folder_behind(mel: Path, tmp_path: Path) -> None:
    run = tmp_path / "deep" / "run"
    assert "no corpus three" in train(mel, *TINY, "--test-on", "three", "-o", run, code=2).line
    train(mel, *TINY, "--where", "emotion=sad", "-o", run, code=1)
    assert not run.parent.exists()


def test_recordings_that_stand_in_two_manifests_never_cross(mel: Path, tmp_path: Path) -> None:
    same = {"clip": [f"again/{clip}" for clip in column(mel, "clip")], "corpus": ["again"] * len(column(mel, "clip"))}
    same["speaker"] = [f"again:{speaker}" for speaker in column(mel, "speaker")]
    again = changed(mel, tmp_path / "again.parquet", **same)
    done = train(mel, again, *TINY, "--folds", 2, "-o", tmp_path / "run")
    assert f"{len(same['clip'])} clips set aside that several manifests have, such as again/" in done.err
    assert {clip.split("/")[0] for clip in table(tmp_path / "run")["clip"]} == {column(mel, "clip")[0].split("/")[0]}
    half = ["train" if place % 2 else "test" for place in range(len(same["clip"]))]
    digest = [f"{max(place, 1)}" for place in range(len(half))]
    torn = changed(mel, tmp_path / "torn.parquet", split=half, digest=digest, speaker=half, duration=[1.0] * len(half))
    told = train(torn, *TINY, "-o", tmp_path / "torn", code=1).line
    assert "the split leaks: equal sounds" in told
    assert "`sertool index` on the manifest sets equal sounds aside" in told
    assert sertool("index", torn, "-o", tmp_path / "single.parquet").code == 0
    train(tmp_path / "single.parquet", *TINY, "-o", tmp_path / "single")


def test_a_split_that_overlapping_segments_cross_is_refused(mel: Path, tmp_path: Path) -> None:
    places = range(len(column(mel, "clip")))
    half = ["train" if place % 2 else "test" for place in places]
    torn = changed(
        mel, tmp_path / "torn.parquet", split=half, speaker=half, digest=["talk"] * len(half),
        start=[float(place // 2) for place in places], duration=[0.9 + place % 2 / 20 for place in places],
    )  # fmt: skip
    assert "the split leaks: overlapping segments: 24" in train(torn, *TINY, "-o", tmp_path / "run", code=1).line


@pytest.mark.parametrize("way", [("--split", "speaker:50/25/25"), ("--folds", "2")])
def test_what_is_put_into_train_beside_a_division_never_overlaps_with_what_is_held_out(
    mel: Path, tmp_path: Path, way: tuple[str, str]
) -> None:
    count = len(column(mel, "clip"))
    free = [place % 2 == 0 for place in range(count)]
    recorded = {
        "digest": ["talk"] * count,
        "start": [float(place // 2) for place in range(count)],
        "duration": [0.9 + place % 2 / 20 for place in range(count)],
        "speaker": [f"s{place % 8}" for place in range(count)],
    }
    corpora = ["b" if one else "a" for one in free]
    both = changed(mel, tmp_path / "both.parquet", corpus=corpora, **recorded)
    line = train(both, *TINY, *way, "--always-train", "b", "-o", tmp_path / "run", code=1).line
    assert "the split leaks: overlapping segments: " in line
    recorded["speaker"] = [None if one else who for who, one in zip(recorded["speaker"], free, strict=True)]
    emotions = [None if one else word for word, one in zip(column(mel, "emotion"), free, strict=True)]
    bare = changed(mel, tmp_path / "bare.parquet", emotion=emotions, **recorded)
    words = {f"p_{word}": [1 / 3] * count for word in ("neutral", "happy", "angry")}
    answers = manifest.from_columns({"clip": column(mel, "clip"), **words})
    manifest_io.write(answers, str(tmp_path / "answers.parquet"), "parquet")
    done = train(bare, *TINY, *way, "--teacher", tmp_path / "answers.parquet", "-o", tmp_path / "run", code=1)
    assert "the split leaks: overlapping segments: " in done.err.splitlines()[-1]
    assert not list((tmp_path / "run").rglob("model.safetensors"))


def test_corpora_are_trained_on_and_held_out_by_name(mel: Path, tmp_path: Path) -> None:
    speakers = column(mel, "speaker")
    half = sorted(set(speakers))[4]
    both = changed(mel, tmp_path / "both.parquet", corpus=["one" if s < half else "two" for s in speakers])
    done = train(both, *TINY, "--train-on", "one", "--test-on", "two", "-o", tmp_path / "run")
    assert "from one to two" in done.err
    assert set(table(tmp_path / "run")["corpus"]) == {"two"}
    divided = manifest_io.read(str(tmp_path / "run" / "seed-0" / "split.parquet")).to_pydict()
    assert {c for c, part in zip(divided["corpus"], divided["split"], strict=True) if part != "test"} == {"one"}
    assert "no corpus three" in train(both, *TINY, "--test-on", "three", "-o", tmp_path / "no", code=2).line
    assert "both want one" in train(both, *TINY, "--train-on", "one", "--test-on", "one", "-o", tmp_path, code=2).line
    assert "leave out" in train(both, *TINY, "--test-on", "one", "--folds", 2, "-o", tmp_path, code=2).line


def test_a_corpus_that_is_held_out_alone_ends_in_its_figures(mel: Path, tmp_path: Path) -> None:
    speakers = column(mel, "speaker")
    named = sorted(set(speakers))
    part = dict.fromkeys(named, "train") | dict.fromkeys(named[-4:-2], "dev") | dict.fromkeys(named[-2:], "test")
    corpus = ["one" if part[s] == "train" or s in named[-4::2] else "two" for s in speakers]
    both = changed(mel, tmp_path / "both.parquet", corpus=corpus, split=[part[s] for s in speakers])
    done = train(both, *TINY, "-o", tmp_path / "run")
    assert re.fullmatch(r"  two: UAR dev [\d.]+, test [\d.]+", done.err.splitlines()[-1])


@pytest.fixture
def two_corpora(mel: Path, tmp_path: Path) -> Path:
    """Half of the speakers in a corpus `one`, divided by its own manifest, the others in `two`."""
    speakers = column(mel, "speaker")
    half, last = sorted(set(speakers))[4], max(speakers)
    corpora = ["one" if s < half else "two" for s in speakers]
    own = ["dev" if s == min(speakers) else "train" if s < half else None for s in speakers]
    assert last > half
    return changed(mel, tmp_path / "both.parquet", corpus=corpora, split=own)


def test_a_corpus_that_always_trains_is_in_train_of_every_fold(two_corpora: Path, tmp_path: Path) -> None:
    done = train(two_corpora, *TINY, "--always-train", "one", "--folds", 2, "-o", tmp_path / "run")
    assert set(table(tmp_path / "run")["corpus"]) == {"two"}
    assert len(table(tmp_path / "run")["clip"]) == 24
    for fold in ("fold-0", "fold-1"):
        split = manifest_io.read(str(tmp_path / "run" / fold / "seed-0" / "split.parquet")).to_pydict()
        parts = {"one": set(), "two": set()}
        for corpus, part in zip(split["corpus"], split["split"], strict=True):
            parts[corpus].add(part)
        assert parts == {"one": {"train"}, "two": {"train", "dev", "test"}}
    assert "2 folds, one in train" in sertool("eval", stdin=done.out).out.decode()


def test_clips_that_no_training_uses_for_want_of_a_part_are_said(two_corpora: Path, tmp_path: Path) -> None:
    done = train(two_corpora, *TINY, "--dry-run")
    assert "24 of 48 clips, of two, have no part and are not used: name --always-train two, or divide" in done.err
    assert "would train cnn on 24 clips" in done.err
    folds = [None if part else 1 for part in column(two_corpora, "split")]
    both = changed(two_corpora, tmp_path / "folded.parquet", fold=folds, corpus=["one"] * 48)
    done = train(both, *TINY, "--dry-run")
    assert "24 of 48 clips, of one, have no part and are not used: divide all manifests alike" in done.err
    for words in (("--always-train", "two"), ("--split", "speaker:50/25/25"), ("--train-on", "one")):
        assert "have no part" not in train(two_corpora, *TINY, *words, "--dry-run").err


def test_what_always_trains_must_leave_speakers_to_hold_out(two_corpora: Path, mel: Path, tmp_path: Path) -> None:
    assert "no corpus three" in train(two_corpora, *TINY, "--always-train", "three", code=2).line
    assert "no clip to hold out" in train(two_corpora, *TINY, "--always-train", "one,two", code=2).line
    assert "leave out" in train(two_corpora, *TINY, "--always-train", "one", "--test-on", "two", code=2).line
    mixed = changed(mel, tmp_path / "mixed.parquet", corpus=["one", "two"] * (len(column(mel, "clip")) // 2))
    assert "would be in train" in train(mixed, *TINY, "--always-train", "one", code=1).line


def test_the_optimism_gap_is_between_a_leaky_and_a_disjoint_run(mel: Path, tmp_path: Path) -> None:
    done = train(mel, *TINY, "--gap", "-o", tmp_path)
    lines = done.err.splitlines()
    gap, accuracy = next(lines[place : place + 2] for place, line in enumerate(lines) if "optimism gap" in line)
    values = []
    for side in ("leaky", "disjoint"):
        held = table(tmp_path / side)
        scored = json.loads(sertool("eval", tmp_path / side / "predictions.parquet", "--format", "json").out)
        uar, wa = (scored["runs"][0]["figures"][name] for name in ("uar", "wa"))
        value, low, high = (100 * uar[name] for name in ("value", "low", "high"))
        values.append(100 * wa["value"])
        assert "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * wa[name] for name in ("value", "low", "high"))) in accuracy
        clips, speakers = len(held["clip"]), len(set(held["speaker"]))
        assert (
            f"{value:.1f} [{low:.1f}, {high:.1f}] of {clips} clips of {talk.counted(speakers, 'speaker')} under" in gap
        )
    assert accuracy.startswith(f"  {values[0] - values[1]:+.1f} [")
    assert "points of accuracy: " in accuracy
    assert "pooled" not in gap
    assert "under random-80-20" in done.err
    assert "under speaker:70/15/15" in done.err
    leaky, disjoint = (column(tmp_path / name / "seed-0" / "split.parquet", "split") for name in ("leaky", "disjoint"))
    assert leaky != disjoint
    assert "speaker:70/15/15" in sertool("eval", stdin=done.out).out.decode()


def sides_of(run: Path, *words: object) -> list[dict[str, list]]:
    """The parts of the leaky and of the disjoint side of --gap."""
    train(*words, "--gap", "-o", run)
    paths = [run / side / "seed-0" / "split.parquet" for side in ("leaky", "disjoint")]
    return [manifest_io.read(str(path)).to_pydict() for path in paths]


def test_both_sides_of_a_gap_are_of_the_same_clips(two_corpora: Path, tmp_path: Path) -> None:
    leaky, disjoint = sides_of(tmp_path, two_corpora, *TINY)
    used = {clip for clip, part in zip(disjoint["clip"], disjoint["split"], strict=True) if part}
    assert len(used) == len(disjoint["clip"]) / 2  # the other corpus has no part
    assert set(leaky["clip"]) == used


@pytest.mark.parametrize("how", ["random-60-20-20", "sentence"])
def test_a_way_that_parts_no_speakers_is_the_leaky_side_of_a_gap(statistics: Path, tmp_path: Path, how: str) -> None:
    sentences = [f"{place % 5}" for place in range(len(column(statistics, "clip")))]
    said = changed(statistics, tmp_path / "said.parquet", sentence=sentences)
    own = tmp_path / "own.parquet"
    assert sertool("index", said, "--split", how, "-o", own).code == 0
    for number, words in enumerate([(own,), (said, "--split", how)]):
        leaky, disjoint = sides_of(tmp_path / f"{number}", *words, "-m", "lda")
        assert dict(zip(leaky["clip"], leaky["split"], strict=True)) == dict(
            zip(column(own, "clip"), column(own, "split"), strict=True)
        )
        parts = set(zip(disjoint["speaker"], disjoint["split"], strict=True))
        assert len(parts) == len(set(disjoint["speaker"]))
        assert how in said_of(tmp_path / f"{number}" / "leaky")
        assert "speaker:70/15/15" in said_of(tmp_path / f"{number}" / "disjoint")


def _held_out(speakers: int, right: int, emotions: tuple[str, ...] = ("sad", "happy"), **more: list) -> manifest.Table:
    """Answers to ten clips of each speaker and emotion, of which as many are right."""
    rows = [(s, e, k) for s in range(speakers) for e in emotions for k in range(10)]
    return manifest.from_columns({
        "clip": [f"{s}/{e}/{k}" for s, e, k in rows], "speaker": [f"x:{s}" for s, _, _ in rows],
        "emotion": [e for _, e, _ in rows], "predicted": [e if k < right else "calm" for _, e, k in rows], **more,
    })  # fmt: skip


def _gap(capsys: pytest.CaptureFixture[str], leaky: manifest.Table, honest: manifest.Table) -> str:
    optimism.say(["random-80-20", "loso"], [leaky, honest])
    return capsys.readouterr().err


def test_an_optimism_gap_is_over_the_emotions_that_both_sides_hold_out(capsys: pytest.CaptureFixture[str]) -> None:
    said = _gap(capsys, _held_out(8, 9, ("sad", "happy", "fear")), _held_out(8, 6))
    assert "optimism gap +30.0 [+30.0, +30.0] points of UAR: 90.0 [90.0, 90.0] of 160 clips of 8 speakers under" in said
    assert "bootstrap over speakers; figures of what both hold out: happy, sad" in said
    assert "both hold out" not in _gap(capsys, _held_out(8, 9), _held_out(8, 6))
    assert "no emotion in common" in _gap(capsys, _held_out(8, 9, ("fear",)), _held_out(8, 6))


def test_an_optimism_gap_is_of_accuracy_too_which_counts_clips_and_not_emotions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rarer = merging.stacked([_held_out(8, 9, ("sad",)), _held_out(8, 6, ("happy",)), _held_out(8, 6, ("happy",))])
    rarer = manifest.with_column(rarer, "clip", [f"{place}" for place in range(len(rarer))])
    said = _gap(capsys, rarer, _held_out(8, 5))
    assert "+25.0 [+25.0, +25.0] points of UAR: 75.0 [75.0, 75.0] of 240 clips" in said
    assert "  +20.0 [+20.0, +20.0] points of accuracy: 70.0 [70.0, 70.0], 50.0 [50.0, 50.0]\n" in said


def test_an_optimism_gap_says_where_its_intervals_are_of_clips(capsys: pytest.CaptureFixture[str]) -> None:
    few = "over clips, for fewer than 8 speakers: it says nothing about others"
    assert f"bootstrap over speakers, but under loso {few}" in _gap(capsys, _held_out(8, 9), _held_out(2, 6))
    assert f"bootstrap {few}" in _gap(capsys, _held_out(3, 9), _held_out(2, 6))


def test_an_optimism_gap_is_less_sure_than_either_side(capsys: pytest.CaptureFixture[str]) -> None:
    for speakers in (2, 12):  # of as many speakers on both sides, which must not be drawn together
        mixed = merging.stacked([_held_out(speakers, 9), _held_out(2 * speakers, 5)])
        mixed = manifest.with_column(mixed, "clip", [f"{place}" for place in range(len(mixed))])
        said = _gap(capsys, mixed, mixed)
        gap, side = (float(high) - float(low) for low, high in re.findall(r"\[([-+.\d]+), ([-+.\d]+)\]", said)[:2])
        assert 1.25 * side < gap < 1.6 * side  # by the square root of 2


def test_an_optimism_gap_of_several_trainings_says_that_they_are_pooled(capsys: pytest.CaptureFixture[str]) -> None:
    folds = _held_out(8, 6, fold=[place // 80 for place in range(160)])
    assert "points of UAR, all trainings pooled: " in _gap(capsys, _held_out(8, 9), folds)


@pytest.mark.slow
def test_what_a_protocol_leaves_out_is_said_once(mel: Path, tmp_path: Path) -> None:
    clips = len(column(mel, "clip"))
    names = [f"ravdess:{1 + place // 6:02}" for place in range(clips)]
    known = changed(mel, tmp_path / "known.parquet", corpus=["ravdess"] * clips, speaker=names)
    done = train(known, *TINY, "--protocol", "ravdess-luna", "-o", tmp_path / "run")
    assert done.err.count("ravdess-luna: 16 of its speakers are not here") == 1


def test_predictions_say_how_their_own_run_was_divided(mel: Path, tmp_path: Path) -> None:
    """Whatever the command line asked for besides, and however the manifest was divided before."""
    train(mel, *TINY, "--gap", "--split", "speaker:60/20/20", "-o", tmp_path / "gap")
    leaky, disjoint = (said_of(tmp_path / "gap" / side) for side in ("leaky", "disjoint"))
    assert "random-80-20" in leaky
    assert "LEAKY" in leaky
    assert "speaker:60/20/20" in disjoint
    assert "LEAKY" not in disjoint
    half = sorted(set(column(mel, "speaker")))[4]
    corpora = changed(
        mel, tmp_path / "both.parquet", corpus=["one" if s < half else "two" for s in column(mel, "speaker")]
    )
    assert sertool("index", corpora, "--split", "random-80-20", "-o", tmp_path / "leaky.parquet").code == 0
    train(tmp_path / "leaky.parquet", *TINY, "--train-on", "one", "--test-on", "two", "-o", tmp_path / "across")
    assert "from one to two" in said_of(tmp_path / "across")
    assert "LEAKY" not in said_of(tmp_path / "across")


def said_of(run: Path) -> str:
    return sertool("eval", run / "predictions.parquet").out.decode()


def test_a_folder_with_the_name_of_a_protocol_excuses_no_leak(mel: Path, tmp_path: Path) -> None:
    parts = ["train", "test"] * (len(column(mel, "clip")) // 2)
    leaky = provenance.made_by(
        manifest_io.read(str(changed(mel, tmp_path / "own.parquet", split=parts))), "index sentence", 0
    )
    manifest_io.write(leaky, str(tmp_path / "sentence.parquet"), "parquet")
    assert "the split leaks" in train(tmp_path / "sentence.parquet", *TINY, "-o", tmp_path / "run", code=1).line


def test_several_manifests_are_trained_on_together(mel: Path, tmp_path: Path) -> None:
    speakers = column(mel, "speaker")
    middle = sorted(set(speakers))[4]
    halves = []
    for name, test in (("low", lambda s: s < middle), ("high", lambda s: s >= middle)):
        held = manifest_io.read(str(mel))
        manifest_io.write(
            manifest.keep(held, np.array([test(s) for s in speakers])), str(tmp_path / f"{name}.parquet"), "parquet"
        )
        halves.append(tmp_path / f"{name}.parquet")
    train(*halves, *TINY, "-o", tmp_path / "both")
    train(mel, *TINY, "-o", tmp_path / "whole")
    both, whole = (tmp_path / name / "seed-0" / "split.parquet" for name in ("both", "whole"))
    assert dict(zip(column(both, "clip"), column(both, "split"), strict=True)) == dict(
        zip(column(whole, "clip"), column(whole, "split"), strict=True)
    )


def test_copies_train_only_where_their_parent_trains(mel: Path) -> None:
    held = manifest_io.read(str(mel))
    copies = manifest.with_column(held, "parent", manifest.column(held, "clip"))
    copies = manifest.with_column(copies, "clip", [f"{clip}#0" for clip in manifest.column(held, "clip")])
    both = merging.stacked([manifest.with_column(held, "parent", [None] * len(held)), copies])
    names = manifest.column(both, "parent")
    way = heldout.Way("", "speaker:50/25/25", "x")
    ((_, split),) = heldout.divisions(
        heldout.divided(both, way, heldout.HeldOutOptions()), way, heldout.HeldOutOptions()
    )
    of_clip = dict(zip(manifest.column(both, "clip"), split.tolist(), strict=True))
    for clip, parent in zip(manifest.column(both, "clip"), names, strict=True):
        if parent is not None:
            assert of_clip[clip] == (splits.TRAIN if of_clip[parent] == splits.TRAIN else -1)
    own = manifest.with_column(both, "split", ["test"] * 12 + ["train"] * 36 + ["test"] * 12 + ["train"] * 36)
    ((_, split),) = heldout.divisions(own, heldout.Way("", None, heldout.OWN), heldout.HeldOutOptions())
    assert (split[48:60] == -1).all()


# Every error is one line.


def test_what_cannot_be_trained_is_one_line(mel: Path, statistics: Path, clips: Path, tmp_path: Path) -> None:
    speakers = column(mel, "speaker")
    first = sorted(set(speakers))[0]
    split = ["test" if s == first else "train" for s in speakers]
    happy = changed(mel, tmp_path / "happy.parquet", split=split, emotion=["happy"] * 48)
    empty = changed(mel, tmp_path / "empty.parquet", split=["train"] * 48)
    odd = changed(mel, tmp_path / "odd.parquet", split=["trial"] * 48)
    one = tmp_path / "one.parquet"
    manifest_io.write(manifest.with_column(manifest_io.read(str(mel)), "split", split).slice(0, 1), str(one), "parquet")
    for words, says in {
        (mel, *TINY, "--optimizer", "sgd", "--lr", 1e30): "the loss is not finite in epoch 1",
        (mel, *TINY, "--epochs", 1, "--batch", 48, "--lr", 1e30): "what the trained model answers is not finite",
        (happy, *TINY): "the training clips have happy: two emotions are needed",
        (empty, *TINY): "leaves no clip to hold out (train 48, dev 0, test 0)",
        (odd, *TINY): "split 'trial' is none of train, dev, test",
        (one, *TINY): "leaves no clip to train",
        (mel, *TINY, "--where", "emotion=sad"): "in 48 rows, emotion is angry, happy, neutral",
        (mel, "-m", "svm"): "svm takes one row for each clip",
        (mel, *TINY, "--reduce", "lda"): "take one row for each clip",
        (statistics, *TINY, "--reduce", "pca"): "--reduce pca",
        (clips, *TINY): "the manifest has no features",
        (mel, *TINY, "--features", "mfcc"): "the manifest has no feature mfcc; it has mel",
        (mel, "-m", "cnn", "--set", "chanels=1"): "--set chanels=1: it takes NAME=VALUE",
        (
            mel,
            "-m",
            "cnn",
            "--set",
            "channels=a",
        ): "channels cannot be 'a': it is whole numbers such as 32,64 from 1 to 4096",
        (mel, "-m", "cnn", "--scratch"): "--scratch and --weights are for models",
        (mel, *TINY, "--soft", 0.5): "--soft needs the listeners' shares",
        (mel, "-m", "resnet50", "--weights", "none.pth"): "--weights none.pth: no such file",
        (mel, "-m", "resnet50", "--scratch"): "mel has 1 of 2 channels that the network looks at",
    }.items():
        done = sertool("train", *words, "-o", tmp_path / "run")
        assert done.code in (1, 2), words
        assert says in done.err.splitlines()[-1], done.err
        assert not list((tmp_path / "run").rglob("model.safetensors"))


def test_an_emotion_that_train_lacks_is_said_and_counts_as_wrong(mel: Path, tmp_path: Path) -> None:
    speakers, emotions = column(mel, "speaker"), column(mel, "emotion")
    first = sorted(set(speakers))[0]
    split = ["test" if s == first else "train" for s in speakers]
    sad = ["sad" if s == first and e == "angry" else e for s, e in zip(speakers, emotions, strict=True)]
    done = train(changed(mel, tmp_path / "sad.parquet", split=split, emotion=sad), *TINY, "-o", tmp_path / "run")
    assert "2 held-out clips of sad, which train lacks: left out of the figures here" in done.err
    held = table(tmp_path / "run")
    assert "sad" in held["emotion"]
    assert "sad" not in held["predicted"]


def test_an_emotion_of_one_voice_is_said(mel: Path, tmp_path: Path) -> None:
    speakers, emotions = column(mel, "speaker"), column(mel, "emotion")
    first, *_, last = sorted(set(speakers))
    split = ["test" if s == first else "train" for s in speakers]
    fear = ["fear" if s == last and e == "angry" else e for s, e in zip(speakers, emotions, strict=True)]
    done = train(changed(mel, tmp_path / "fear.parquet", split=split, emotion=fear), *TINY, "-o", tmp_path / "run")
    assert "fear is of one speaker in train" in done.err


# What is kept.


def test_the_weights_of_the_best_dev_epoch_are_kept(mel: Path, tmp_path: Path) -> None:
    train(mel, *NET, "--epochs", 12, "--lr", 0.01, "--split", "speaker:50/25/25", "-o", tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "seed-0" / "metrics.jsonl").read_text().splitlines()]
    held = modelfile.read(tmp_path / "seed-0" / "model.safetensors")
    assert held.scores["dev_uar"] == max(line["dev_uar"] for line in lines)
    assert len({line["dev_uar"] for line in lines}) > 1


def test_patience_ends_with_dev(mel: Path, tmp_path: Path) -> None:
    still = ("-m", "lstm", "--set", "width=8", "--set", "layers=1", "--set", "dense=8", "--epochs", 6, "--lr", 0)
    train(mel, *still, "--patience", 2, "--optimizer", "sgd", "--split", "speaker:50/25/25", "-o", tmp_path)
    assert len((tmp_path / "seed-0" / "metrics.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("words", [("--patience", 2), ("--keep", "best"), ("--metric", "loss")])
def test_options_that_choose_epochs_by_dev_are_refused_without_dev(mel: Path, tmp_path: Path, words: tuple) -> None:
    for dry in ((), ("--dry-run",)):
        run = (*TINY, *words, "-o", tmp_path / "run", *dry)
        line = train(mel, *run, "--split", "random-80-20", code=2).err.splitlines()[-1]
        assert "random-80-20 has no dev to choose epochs by: give a split with dev, such as --split speaker:60" in line
        assert words[0] in line
    assert not (tmp_path / "run").exists()
    train(mel, *TINY, *words, "--split", "speaker:50/25/25", "--dry-run")
    done = train(mel, *TINY, *words, "--gap", "--dry-run")
    assert "without clips in dev, as under random-80-20, the last epoch is kept all the same" in done.err


@pytest.mark.parametrize("words", [("--folds", 3), ("--split", "speaker:60/20/20"), ("--train-on", "one"), ("--loso",)])
def test_speakers_without_labels_take_no_place_in_dev_or_test(statistics: Path, tmp_path: Path, words: tuple) -> None:
    speakers = sorted(set(column(statistics, "speaker")))
    bare = {*speakers[2:5], speakers[6]}
    corpus = {who: "one" if who < speakers[5] else "two" for who in speakers}
    rows = zip(column(statistics, "speaker"), column(statistics, "emotion"), strict=True)
    marked = changed(
        statistics, tmp_path / "marked.parquet", emotion=[None if who in bare else word for who, word in rows],
        corpus=[corpus[who] for who in column(statistics, "speaker")],
    )  # fmt: skip
    for seed in range(3):
        train(marked, "-m", "mlp", "--epochs", 1, *words, "--seed", seed, "-o", tmp_path / f"{seed}")
        for path in (tmp_path / f"{seed}").rglob("split.parquet"):
            held = manifest_io.read(str(path)).to_pydict()
            assert "train" in held["split"]
            for part in ("dev", "test"):
                there = {who for who, place in zip(held["speaker"], held["split"], strict=True) if place == part}
                assert there - bare, (path, part)


def test_dev_without_labels_is_none_to_choose_epochs_by(mel: Path, tmp_path: Path) -> None:
    first = min(column(mel, "speaker"))
    own = [("dev" if who == first else "test" if who == max(column(mel, "speaker")) else "train")
           for who in column(mel, "speaker")]  # fmt: skip
    emotions = [None if part == "dev" else word for part, word in zip(own, column(mel, "emotion"), strict=True)]
    bare = changed(mel, tmp_path / "bare.parquet", split=own, emotion=emotions)
    assert "has no dev to choose epochs by" in train(bare, *TINY, "--patience", 2, "-o", tmp_path / "run", code=2).line


def test_without_dev_a_recipe_trains_all_epochs_and_says_so_when_asked(clips: Path) -> None:
    run = ("--recipe", "mamba-a", "--patience", 0, "--dry-run")  # whose protocol has no dev
    assert "dev" not in train(clips, *run).err
    assert "without clips in dev keeps a network's last epoch" in train(clips, *run, "-v").err


def test_a_mean_over_some_members_says_so_and_one_among_a_corpus_own_emotions_is_of_the_same_ones() -> None:
    scores = [{"train_uar": 0.9, "dev_uar": 0.5, "test_uar": 0.5, "test_uar_own": 0.7},
              {"train_uar": 0.7, "test_uar": 0.3}]  # fmt: skip
    assert run_report.line(scores) == "UAR train 80.0, dev 50.0 in 1 of 2, test 40.0 (-40.0 from train to test)"
    own = "; among its own emotions train 80.0, dev 50.0 in 1 of 2, test 50.0"
    assert run_report._among_own(scores) == own
    assert not run_report._among_own(scores[1:])


def test_temperature_undoes_what_is_too_sure() -> None:
    sure = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    truth = torch.multinomial(sure.softmax(dim=1), 1, generator=torch.Generator().manual_seed(1))[:, 0].numpy()
    assert member_scores.calibrated(sure, truth) == pytest.approx(1, abs=0.1)
    assert member_scores.calibrated(4 * sure, truth) == pytest.approx(4, abs=0.4)
    wild = 200 * sure  # as a linear discriminant's that has hardly more clips than columns
    assert member_scores.calibrated(wild, truth) == pytest.approx(200, rel=0.1)


def test_a_few_clips_that_are_all_right_prove_no_temperature_far_below_one() -> None:
    truth = np.arange(9) % 3
    right = torch.nn.functional.one_hot(torch.from_numpy(truth), 3).float()
    assert 0.6 < member_scores.calibrated(2 * right, truth) <= 1
    assert member_scores.calibrated(2 * right.repeat(100, 1), np.tile(truth, 100)) < 0.4


def test_listeners_shares_are_mixed_into_the_targets() -> None:
    shares = {"soft_happy": [0.75, None], "soft_angry": [0.25, None]}
    held = manifest.from_columns({"clip": ["a", "b"], "path": ["a", "b"], "emotion": ["angry", "happy"], **shares})
    made = targets._targets(held, np.array([1, 0]), ["happy", "angry"], 0.4)
    np.testing.assert_allclose(made, [[0.3, 0.7], [1, 0]], atol=1e-6)


@pytest.mark.parametrize(
    "words", [("-m", "lda"), ("-m", "lda", "--select", 9, "--reduce", "pca:4"), ("-m", "msf-cnn", "--epochs", 1)]
)
def test_a_model_file_and_the_shards_give_the_predictions_again(
    statistics: Path, tmp_path: Path, words: tuple[object, ...]
) -> None:
    train(statistics, *words, "--split", "speaker:50/25/25", "-o", tmp_path)
    held = modelfile.read(tmp_path / "seed-0" / "model.safetensors")
    predicted = manifest_io.read(str(tmp_path / "predictions.parquet"))
    store = batches.load(predicted, list(held.features), "cpu")
    rows, lengths = store.take(np.arange(len(store)))
    module = models.load(held.architecture)
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in held.settings.items()}
    model = module.Model(module.Settings(**settings), held.columns, len(held.labels)).eval()
    model.load_state_dict(
        {name: torch.from_numpy(value.copy()) for name, value in held.tensors.items() if name not in row_scaling.NAMES}
    )
    scaled = row_scaling.kept(held, store.device).apply(rows, lengths)
    with torch.inference_mode():
        answer = (model(scaled, lengths) / held.temperature).softmax(dim=1).numpy()
    for index, label in enumerate(held.labels):
        np.testing.assert_allclose(answer[:, index], manifest.column(predicted, f"p_{label}"), atol=1e-5)


# Compiled, and on a GPU.

COMPILES = pytest.mark.skipif(not any(map(shutil.which, designing.COMPILERS)), reason="there is no compiler")


@COMPILES
@pytest.mark.parametrize("device", [pytest.param("cpu", marks=pytest.mark.slow),
                                    pytest.param("cuda", marks=pytest.mark.gpu)])  # fmt: skip
def test_a_compiled_network_learns_what_it_does_otherwise(
    mel: Path, tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, compiler = [], torch.compile
    monkeypatch.setattr(torch, "compile", lambda network: seen.append(network) or compiler(network))
    for name, words in {"plain": (), "compiled": ("--compile",)}.items():
        train(mel, *TINY, "--device", device, *words, "-o", tmp_path / name)
    plain, compiled = (
        [json.loads(line) for line in (tmp_path / name / "seed-0" / "metrics.jsonl").read_text().splitlines()]
        for name in ("plain", "compiled")
    )
    assert [each["loss"] for each in compiled] == pytest.approx([each["loss"] for each in plain], rel=0.02)
    assert len(seen) == 1
    _assert_heard_again(mel, tmp_path / "compiled", "cpu")


@pytest.mark.gpu
def test_what_a_gpu_trained_answers_alike_there_and_elsewhere(mel: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "--device", "cuda", "-o", tmp_path)
    for device in ("cuda", "cpu"):
        _assert_heard_again(mel, tmp_path, device)


def _assert_heard_again(clips: Path, run: Path, device: str) -> None:
    """That predict answers from the audio, on a device, what training answered of who was held out."""
    done = sertool("predict", "-m", run, clips, "--device", device, "-f", "jsonl")
    assert done.code == 0, done.err
    heard = {row["clip"]: row for row in map(json.loads, done.out.splitlines())}
    held = manifest_io.read(str(run / "predictions.parquet")).to_pylist()
    assert held
    for row in held:
        for word in ("p_neutral", "p_happy", "p_angry"):
            assert heard[row["clip"]][word] == pytest.approx(row[word], abs=5e-3)


# Settings and what is left behind.


def test_every_option_has_a_place_where_training_finds_it() -> None:
    asked = {option.name for option in door.command.params if option.expose_value}
    asked -= {"manifests", "show_list", "layers", "tune"}  # these two being settings of a model
    taken = {
        held.name for kind in (Inputs, DesignOptions, HeldOutOptions, RunOptions, Settings) for held in fields(kind)
    }
    assert asked == taken - {"sources", "training"}


def test_model_settings_are_set_from_words() -> None:
    made = designing.changed("cnn2d", cnn2d.Settings(), ["channels=4, 8", "activation=silu", "dropout=0"])
    assert (made.channels, made.activation, made.dropout) == ((4, 8), "silu", 0.0)
    assert designing.changed("svm", svm.Settings(gamma=2.0), ["gamma=none"]).gamma is None
    assert designing.changed("svm", svm.Settings(), ["gamma=1"]).gamma == 1.0
    assert designing.changed("cnn1d", cnn1d.Settings(), ["dense=64"]).dense == (64,)
    for word in (
        "channels=1.5",
        "activation=tanh",
        "dropout=x",
        "channels=",
        "dense",
        "frames=1.5",
        "frames=__import__",
    ):
        with pytest.raises(UsageError):
            designing.changed("cnn2d", cnn2d.Settings(), [word])


def test_classical_models_and_fewer_columns(statistics: Path, tmp_path: Path) -> None:
    for number, words in enumerate((
        ("-m", "lda"), ("-m", "svm"), ("-m", "logistic", "--reduce", "pca:5"), ("-m", "forest", "--select", 8),
        ("-m", "lda", "--select", 12, "--reduce", "lda", "--balance", "weights"),
    )):  # fmt: skip
        train(statistics, *words, "--split", "speaker:50/25/25", "-o", tmp_path / str(number))
        assert table(tmp_path / str(number))["predicted"]
    assert modelfile.read(tmp_path / "2" / "seed-0" / "model.safetensors").columns == 5


@pytest.mark.slow
def test_what_a_recipe_does_to_columns_can_be_switched_off(
    statistics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for recipe, other in {"cnn1d-c": ("--select", 0), "cnn1d-lda-c": ("--reduce", "none")}.items():
        for off in ((), other):
            train(statistics, "--recipe", recipe, "--split", "speaker:50/25/25", "--epochs", 1, *off)
    found = {path.name: json.loads((path / "seed-0/settings.json").read_text()) for path in Path("runs").iterdir()}
    told = {name: (held["select"], held["reduce"]) for name, held in found.items()}
    start = "-epochs=1"
    assert told == {
        f"cnn1d-c{start}-split=speaker_50_25_25": (300, None),
        f"cnn1d-c{start}-select=0-split=speaker_50_25_25": (None, None),
        f"cnn1d-lda-c{start}-split=speaker_50_25_25": (None, "lda"),
        f"cnn1d-lda-c{start}-reduce=none-split=speaker_50_25_25": (None, None),
    }


def test_the_run_folder_says_what_was_done(mel: Path, tmp_path: Path) -> None:
    done = train(mel, *TINY, "--split", "speaker:50/25/25", "-o", tmp_path)
    folder = tmp_path / "seed-0"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert {"loss", "dev_loss", "dev_uar", "dev_wa", "lr", "seconds", "waiting"} <= lines[0].keys()
    held = modelfile.read(folder / "model.safetensors")
    assert held.labels == ["neutral", "happy", "angry"]
    assert {"train_uar", "dev_uar", "test_uar", "test_clips"} <= held.scores.keys()
    assert held.trained["speakers"] == 4
    assert held.features["mel"]["settings"]["bands"] == 16
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((folder / "settings.json").read_text())["training"]["epochs"] == 2
    assert "UAR train" in done.err
    assert "from train to test" in done.err


def test_a_manifest_as_csv_is_enough(mel: Path, tmp_path: Path) -> None:
    """The shards themselves say how they were made."""
    held = manifest_io.read(str(mel))
    manifest_io.write(held, str(tmp_path / "m.csv"), "csv")
    train(tmp_path / "m.csv", *TINY, "-o", tmp_path / "csv")
    train(mel, *TINY, "-o", tmp_path / "parquet")
    csv, parquet = (modelfile.read(tmp_path / name / "seed-0" / "model.safetensors") for name in ("csv", "parquet"))
    assert csv.features == parquet.features


def test_a_second_training_in_one_folder_is_refused_while_the_first_is_at_it(mel: Path, tmp_path: Path) -> None:
    with locks.folder_lock(tmp_path, wait=False):
        assert str(tmp_path) in train(mel, *TINY, "-o", tmp_path, code=1).line


def test_runs_without_a_folder_are_named_by_what_was_said(
    mel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train(mel, *TINY, "--split", "speaker:50/25/25")
    train(mel, *TINY, "--lr", 0.5)
    names = {path.name for path in (tmp_path / "runs").iterdir()}
    settings = "cnn-channels=4,8-frames=40-dense=8-epochs=2-batch=8"
    assert names == {f"{settings}-split=speaker_50_25_25", f"{settings}-lr=0.5"}


def test_a_dry_run_writes_nothing(mel: Path, tmp_path: Path) -> None:
    assert "would train cnn on 48 clips, speaker:70/15/15" in train(mel, *TINY, "--dry-run", "-o", tmp_path / "r").err
    both = train(mel, *TINY, "--recipe", "sertool", "--dry-run", "-o", tmp_path / "r").err
    assert "would train cnn as sertool on" in both
    assert not (tmp_path / "r").exists()


def test_a_dry_run_refuses_what_can_be_known_before(mel: Path, tmp_path: Path) -> None:
    for words, said in ((("--folds", 100), "100"), (("--features", "mfcc"), "mfcc"), (("--set", "depth=2"), "depth")):
        done = sertool("train", mel, *TINY, *words, "--dry-run", "-o", tmp_path / "r")
        assert done.code
        assert said in done.line
    assert not (tmp_path / "r").exists()


def test_a_dry_run_refuses_another_run_in_the_folder_and_says_of_its_own_that_it_is_finished(
    mel: Path, clips: Path, teacher: Path, tmp_path: Path
) -> None:
    run = ("-o", tmp_path / "run")
    words = (*TINY, "--split", "speaker:50/25/25", "--seed", 1)
    train(mel, *words, *run)
    before = ages(tmp_path / "run" / "seed-1")
    done = train(mel, *words, *run, "--dry-run")
    assert "is finished: would print its predictions again" in done.err
    assert "would train" not in done.err
    assert "epochs 2, not 3" in train(mel, *words, *run, "--epochs", 3, "--dry-run", code=2).line
    assert "would train" in train(mel, *words, *run, "--epochs", 3, "--dry-run", "--overwrite").err
    unmade = (
        clips,
        "--recipe",
        "sertool",
        "--warmup",
        0,
        *run,
        "--split",
        "speaker:50/25/25",
        "--seed",
        1,
        "--dry-run",
    )
    assert "model cnn, not" in train(*unmade, code=2).line
    assert "epochs 2, not 3" in train(mel, *words, *run, "--epochs", 3, "--teacher", teacher, "--dry-run", code=2).line
    assert ages(tmp_path / "run" / "seed-1") == before


# Together.


def by_two() -> list[str]:
    """torchrun with two processes, who meet where no other test's do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    return [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", port]


def in_pairs(tmp_path: Path, *words: object) -> subprocess.CompletedProcess[bytes]:
    """`sertool train` by two processes."""
    log = ["--log-dir", tmp_path / "log", "--redirects", "2", "--no-python"]  # of torchrun: each one's stderr by itself
    return subprocess.run(
        [*by_two(), *log, sys.executable, "-m", "sertool", "train", *words], capture_output=True, check=False
    )


def said_by(tmp_path: Path) -> list[str]:
    return [path.read_text() for path in sorted(tmp_path.glob("log/*/*/*/stderr.log"))]


@pytest.mark.slow
def test_two_processes_agree_on_averaged_statistics_and_so_on_when_to_stop(mel: Path, tmp_path: Path) -> None:
    stops = ("--ema", "0.5", "--patience", "1", "--metric", "loss", "--epochs", "30", "-j", "1")
    done = in_pairs(tmp_path, mel, *NET, *stops, "-o", tmp_path / "run")
    assert done.returncode == 0, said_by(tmp_path)
    assert len((tmp_path / "run" / "seed-0" / "metrics.jsonl").read_text().splitlines()) < 30


@pytest.mark.slow
def test_what_the_first_of_two_processes_refuses_the_other_leaves_in_silence(mel: Path, tmp_path: Path) -> None:
    assert in_pairs(tmp_path, mel, "-m", "svm", "-o", tmp_path / "run").returncode
    first, second = said_by(tmp_path)
    assert "one row for each clip" in first
    assert not second


LATE = """
import os, sys, time
from sertool import checkpoint
from sertool.cli import main
restore = checkpoint.restore
def restored(*of):
    time.sleep(3 * int(os.environ["RANK"]))
    restore(*of)
checkpoint.restore = restored
sys.exit(main())
"""


@pytest.mark.slow
def test_two_processes_go_on_from_the_same_epoch_however_late_one_is(
    mel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (mel, *NET, "--epochs", "3", "--seeds", "2", "-j", "1")
    train(*words, "-o", tmp_path / "whole")
    with monkeypatch.context() as killed_once_trained:
        killed_once_trained.setattr(training, "SAVING_SHARE", 1e9)
        killed_once_trained.setattr(members, "_predictions", Mock(side_effect=KeyboardInterrupt))
        train(*words, "-o", tmp_path / "run", code=130)
    (tmp_path / "late.py").write_text(LATE)
    run = [sys.executable, tmp_path / "late.py", "train", *words, "-o", tmp_path / "run"]
    done = subprocess.run([*by_two(), "--no-python", *run], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    whole, run = (modelfile.read(tmp_path / name / "seed-0" / "model.safetensors") for name in ("whole", "run"))
    assert all(np.array_equal(run.tensors[name], values) for name, values in whole.tensors.items())


@pytest.mark.slow
@pytest.mark.parametrize(
    "net",
    [
        ("cnn", "channels=4,8", "frames=40", "dense=8"),
        ("sertool", "channels=4,8", "project=8", "width=8", "attention=8", "dropout=0"),
    ],
    ids=lambda net: net[0],
)
def test_two_processes_give_the_figures_of_one(mel: Path, tmp_path: Path, net: tuple[str, ...]) -> None:
    """Without what differs between them (dropout, masks, gains, whom mixup mixes): gradients and batch statistics are
    those of whole batches."""
    chosen = ["-m", net[0], *(word for each in net[1:] for word in ("--set", each)), "--batch", "5", "-j", "1"]
    learning = ("--optimizer", "sgd", "--lr", ".05", "--epochs", "3", "--seeds", "2", "--clip", "1", "--keep", "last")
    alike = [word for name in ("time-masks", "column-masks", "gain", "mixup") for word in (f"--{name}", "0")]
    words = ["train", str(mel), *chosen, *learning, *alike, "--precision", "float32"]
    together = subprocess.run(
        [*by_two(), "-m", "sertool", *words, "-o", tmp_path / "two"], capture_output=True, check=False
    )
    assert together.returncode == 0, together.stderr.decode()
    assert together.stderr.decode().count("the run lies in") == 1
    (tmp_path / "out.parquet").write_bytes(together.stdout)
    both = manifest_io.read_table(str(tmp_path / "out.parquet"))
    assert len(both) == 2 * len(table(tmp_path / "two" / "seed-0")["clip"])
    train(*words[1:], "-o", tmp_path / "one")
    for seed in ("seed-0", "seed-1"):
        one, two = (modelfile.read(tmp_path / name / seed / "model.safetensors") for name in ("one", "two"))
        for name, values in one.tensors.items():
            np.testing.assert_allclose(two.tensors[name], values, atol=1e-4)  # sums in another order round otherwise
        assert one.scores == two.scores
