"""train's run folder: finished, interrupted, overwritten and continued runs."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from running import ages, changed, column, sertool
from training_run import NET, TINY, table, train

from sertool.manifests import manifest_io
from sertool.modelfiles import modelfile
from sertool.system import locks
from sertool.train import members, training
from sertool.train.design import Member
from sertool.train.member_file import Trained


@pytest.fixture(scope="module")
def teacher(mel: Path) -> Path:
    """A run of another seed, whose models may teach."""
    train(mel, *TINY, "--split", "speaker:50/25/25", "--seed", 1, "-o", mel.parent / "teacher")
    return mel.parent / "teacher"


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("model", [("forest", "--set", "trees=3"), ("svm",), ("mlp", "--epochs", 1)])
def test_seed_may_be_as_large_as_a_64_bit_integer(statistics: Path, tmp_path: Path, model: tuple) -> None:
    words = ("-m", *model, "--split", "speaker:50/25/25")
    for seed in (2**32 - 1, 2**63 - 1000):
        done = train(statistics, *words, "--seed", seed, "--seeds", 2, "-o", tmp_path / f"{seed}", "-f", "jsonl")
        assert {json.loads(line)["seed"] for line in done.out.splitlines()} == {seed, seed + 1}
    assert f"{2**63 - 999} is too large" in train(statistics, *words, "--seed", 2**63 - 999, code=2).line


def test_equal_seeds_give_equal_weights_and_different_seeds_different_ones(mel: Path, tmp_path: Path) -> None:
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
def test_killed_training_resumes_to_the_same_bytes(mel: Path, tmp_path: Path, words: tuple) -> None:
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
def test_repeatedly_killed_training_ends_with_the_same_bytes(mel: Path, tmp_path: Path) -> None:
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


def test_finished_run_prints_its_predictions_again_without_training(mel: Path, tmp_path: Path) -> None:
    words = (mel, *TINY, "-o", tmp_path / "run")
    first, before = train(*words), ages(tmp_path / "run")
    again = train(*words)
    assert again.out == first.out
    assert ages(tmp_path / "run") == before
    assert "epoch" not in again.err
    assert "UAR train" in again.err


def test_finished_run_prints_current_metadata_of_the_manifest(statistics: Path, tmp_path: Path) -> None:
    words = ("-m", "lda", "--folds", 2, "-o", tmp_path / "run", "-f", "jsonl")
    first = [json.loads(line) for line in train(statistics, *words).out.splitlines()]
    sexes = ["female"] * len(column(statistics, "clip"))
    again = train(changed(statistics, tmp_path / "corrected.parquet", sex=sexes), *words)
    assert [json.loads(line) for line in again.out.splitlines()] == [row | {"sex": "female"} for row in first]
    assert table(tmp_path / "run")["sex"] == sexes


def test_finished_run_with_missing_rows_is_refused_with_a_remedy(statistics: Path, tmp_path: Path) -> None:
    words = (statistics, "-m", "lda", "--split", "speaker:50/25/25", "-o", tmp_path)
    train(*words)
    path = tmp_path / "seed-0" / "predictions.parquet"
    manifest_io.write(manifest_io.read(str(path)).slice(1), str(path), "parquet")
    assert f"remove {path.parent} to train it again" in train(*words, code=1).err.splitlines()[-1]
    shutil.rmtree(path.parent)
    train(*words)


def test_read_only_finished_run_prints_predictions_and_refuses_changes(
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


def test_rerun_updates_the_timestamp_past_that_of_the_manifest(mel: Path, tmp_path: Path) -> None:
    words = (changed(mel, tmp_path / "m.parquet"), *TINY, "-o", tmp_path / "run")
    train(*words)
    changed(mel, tmp_path / "m.parquet")
    train(*words)
    made, source = tmp_path / "run" / "predictions.parquet", tmp_path / "m.parquet"
    assert made.stat().st_mtime_ns >= source.stat().st_mtime_ns


def test_changed_settings_are_refused_by_name_unless_overwrite_is_given(mel: Path, tmp_path: Path) -> None:
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
def test_finished_run_with_a_damaged_file_is_retrained_only_with_overwrite(
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


def test_damaged_checkpoint_is_replaced_only_with_overwrite(mel: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "-o", tmp_path)
    (tmp_path / "seed-0" / "predictions.parquet").unlink()
    (tmp_path / "seed-0" / "checkpoint.safetensors").write_bytes(b"x")
    assert "has no whole checkpoint.safetensors" in train(mel, *TINY, "-o", tmp_path, code=2).line
    train(mel, *TINY, "-o", tmp_path, "--overwrite")
    assert table(tmp_path)


def test_overwritten_run_is_kept_until_its_replacement_is_trained(
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


def test_finished_run_survives_an_interrupted_and_then_failed_overwrite(
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


def test_foreign_files_in_a_run_folder_are_kept(mel: Path, tmp_path: Path) -> None:
    theirs = [tmp_path / ".a.iso.part", tmp_path / "b" / ".00000.safetensors.xyz.part"]
    own = tmp_path / "seed-0" / ".model.safetensors.xyz.part"
    for path in (*theirs, own):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    train(mel, *TINY, "-o", tmp_path)
    assert [path.exists() for path in (*theirs, own)] == [True, True, False]


def test_overwrite_with_the_same_settings_changes_nothing(mel: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "-o", tmp_path, "--overwrite")
    before = ages(tmp_path / "seed-0")
    train(mel, *TINY, "-o", tmp_path, "--overwrite")
    assert ages(tmp_path / "seed-0") == before


@pytest.mark.slow
def test_members_of_another_run_are_refused_and_never_mixed_in(mel: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "-o", tmp_path, "--seeds", 2)
    train(mel, *TINY, "-o", tmp_path / "folds", "--folds", 2)
    assert "fold-0/seed-0 is of another run" in train(mel, *TINY, "-o", tmp_path / "folds", code=2).line
    train(mel, *TINY, "-o", tmp_path, "--overwrite")
    assert [path.name for path in tmp_path.glob("seed-*")] == ["seed-0"]


def test_subset_of_trained_seeds_is_printed_and_the_others_are_kept(mel: Path, tmp_path: Path) -> None:
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
def test_only_seeds_trained_in_all_folds_are_joined_after_a_kill(
    statistics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str, seeds: set[int]
) -> None:
    words = (statistics, "-m", "forest", "--set", "trees=2", "--folds", 2, "-o", tmp_path / "run")
    fit, joined = members._trained, tmp_path / "run" / "predictions.parquet"

    def killed(material: object, design: object, member: Member, *rest: object) -> Trained:
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


def test_run_column_names_the_output_folder_as_given(
    statistics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, words in (".", ()), (tmp_path, ("--seeds", 2)), (tmp_path / "x" / "..", ()):
        done = train(statistics, "-m", "svm", "--folds", 2, *words, "-o", folder, "-f", "jsonl")
        assert {json.loads(line)["run"] for line in done.out.splitlines()} == {str(folder)}


@pytest.mark.draws
def test_run_folder_records_metrics_settings_and_scores(mel: Path, tmp_path: Path) -> None:
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


def test_csv_manifest_is_sufficient_for_training(mel: Path, tmp_path: Path) -> None:
    """The shards themselves say how they were made."""
    held = manifest_io.read(str(mel))
    manifest_io.write(held, str(tmp_path / "m.csv"), "csv")
    train(tmp_path / "m.csv", *TINY, "-o", tmp_path / "csv")
    train(mel, *TINY, "-o", tmp_path / "parquet")
    csv, parquet = (modelfile.read(tmp_path / name / "seed-0" / "model.safetensors") for name in ("csv", "parquet"))
    assert csv.features == parquet.features


def test_second_training_in_a_busy_folder_is_refused(mel: Path, tmp_path: Path) -> None:
    with locks.folder_lock(tmp_path, wait=False):
        assert str(tmp_path) in train(mel, *TINY, "-o", tmp_path, code=1).line


def test_runs_without_an_output_folder_are_named_after_their_settings(
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


def test_dry_run_refuses_errors_detectable_before_training(mel: Path, tmp_path: Path) -> None:
    for words, said in ((("--folds", 100), "100"), (("--features", "mfcc"), "mfcc"), (("--set", "depth=2"), "depth")):
        done = sertool("train", mel, *TINY, *words, "--dry-run", "-o", tmp_path / "r")
        assert done.code
        assert said in done.line
    assert not (tmp_path / "r").exists()


def test_dry_run_refuses_a_different_run_and_reports_a_finished_one(
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
