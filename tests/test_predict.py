"""predict: the same answer by every way, in order, as it comes, and for audio of any length and kind."""

import csv
import errno
import io
import json
import multiprocessing.synchronize
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from running import sertool

from sertool import (
    answer_files,
    audio,
    encoding,
    extract,
    manifest,
    manifest_io,
    merging,
    modelfile,
    predict_inputs,
    predicting,
    row_filter,
    shards,
    speaker_answers,
    streams,
    synth,
    talk,
    tensorfile,
    windows,
)
from sertool.ensemble import Ensemble
from sertool.errors import SertoolError, UsageError
from sertool.inference import Predictor
from sertool.manifest import Table
from sertool.predict_inputs import Request
from sertool.predicting import Session
from sertool.shaping import Wave
from sertool.stored_rows import Shelf

PATTERN = "{speaker}/{emotion}_{sentence}_{}.wav"
LEARNING = ("-m", "lstm", "--epochs", "4", "--lr", ".02")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with voices, features and a run of two seeds."""
    folder = tmp_path_factory.mktemp("run")
    synth.corpus(folder / "voices", speakers=4, sentences=2, write=encoding.write)
    done = sertool("index", folder / "voices", "--pattern", PATTERN, "--split", "speaker:50/25/25")
    made = sertool("featurize", "--mel", "--mel-bands", "24", "-o", folder / "features", stdin=done.out)
    trained = sertool("train", *LEARNING, "--seeds", "2", "-o", folder / "model", stdin=made.out)
    assert trained.code == 0, trained.err
    _assert_told_apart(sertool("predict", "-m", folder / "model", folder / "voices").out)
    return folder


def rows_of(out: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out.decode())))


def probabilities(row: dict[str, str]) -> list[float]:
    return [float(value) for name, value in row.items() if name.startswith("p_")]


def _assert_told_apart(out: bytes) -> None:
    """What answers all clips alike would pass most tests, whatever became of the clips."""
    assert np.ptp([probabilities(row) for row in rows_of(out)], axis=0).max() > 0.1


def test_a_waveform_and_its_shard_get_the_same_probabilities(run: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    gone = manifest.with_column(table, "path", [f"/nowhere/{clip}.wav" for clip in manifest.column(table, "clip")])
    manifest_io.write(gone, tmp_path / "gone.parquet", "parquet")
    heard = table.drop_columns([name for name in table.column_names if name.startswith("mel_")])
    manifest_io.write(heard, tmp_path / "heard.parquet", "parquet")
    from_shards, from_waves = (
        rows_of(sertool("predict", "-m", run / "model", tmp_path / name).out)
        for name in ("gone.parquet", "heard.parquet")
    )
    assert len(from_shards) == len(from_waves) == len(table)
    for one, other in zip(from_shards, from_waves, strict=True):
        assert probabilities(one) == pytest.approx(probabilities(other), abs=1e-4)
        assert {name: one[name] for name in ("clip", "start", "end")} == {
            name: other[name] for name in ("clip", "start", "end")
        }


def test_shards_themselves_are_answered_clip_by_clip(run: Path) -> None:
    shard = next((run / "features" / "mel").glob("*.safetensors"))
    of_manifest = rows_of(sertool("predict", "-m", run / "model", run / "features" / "manifest.parquet").out)
    wanted = {row["clip"]: probabilities(row) for row in of_manifest}
    found = {row["clip"]: probabilities(row) for row in rows_of(sertool("predict", "-m", run / "model", shard).out)}
    assert found
    assert found == {clip: wanted[clip] for clip in found}


@pytest.mark.parametrize("held", [["lost", "one", "two"], ["one", "lost", "two"], ["lost"]])
def test_clips_without_rows_in_a_shard_have_their_issue(run: Path, tmp_path: Path, held: list[str]) -> None:
    head, rows = shards.read(next((run / "features" / "mel").glob("*.safetensors")), "mel")
    counts = [0 if clip == "lost" else 20 for clip in held]
    made = replace(head, path=tmp_path / "made.safetensors", clips=held, rows=counts, issues={"lost": "truncated"})
    shards.write(made, "mel", [rows[: sum(counts)]])
    done = sertool("predict", "-m", run / "model", "--strict", made.path)
    found = [(row["clip"], row["issue"], bool(row["predicted"])) for row in rows_of(done.out)]
    assert found == [(clip, "truncated" if clip == "lost" else "", clip != "lost") for clip in held]
    assert done.code == 1


def test_shards_that_the_model_would_not_have_made_are_passed_over_for_the_sound(run: Path, tmp_path: Path) -> None:
    made = sertool(
        "featurize", "--mel", "--mel-bands", "20", "-o", tmp_path / "other", run / "features/manifest.parquet"
    )
    assert made.code == 0, made.err
    half = [manifest_io.read(str(folder / "manifest.parquet")) for folder in (run / "features", tmp_path / "other")]
    mixed = merging.stacked([half[0].slice(0, 3), half[1].slice(3)])
    manifest_io.write(mixed, tmp_path / "mixed.parquet", "parquet")
    own = rows_of(sertool("predict", "-m", run / "model", run / "features" / "manifest.parquet").out)
    for place in (tmp_path / "other" / "manifest.parquet", tmp_path / "mixed.parquet"):
        other = rows_of(sertool("predict", "-m", run / "model", place).out)
        for one, theirs in zip(own, other, strict=True):
            assert probabilities(one) == pytest.approx(probabilities(theirs), abs=1e-4)
    shard = next((tmp_path / "other" / "mel").glob("*.safetensors"))
    refused = sertool("predict", "-m", run / "model", shard)
    assert refused.code == 2
    assert "not made as the model needs" in refused.err


def test_copies_whose_sound_is_not_made_are_answered_from_their_shards(run: Path, tmp_path: Path) -> None:
    words = ("--copies", 1, "--noise", 10, "--where", "split=train")
    copied = sertool("augment", run / "features" / "manifest.parquet", *words, "-o", tmp_path / "copies.parquet")
    assert copied.code == 0, copied.err
    asked = sertool("predict", "-m", run / "model", tmp_path / "copies.parquet")
    assert "augmented copies are left out" in asked.err
    made = sertool("featurize", tmp_path / "copies.parquet", "--mel", "--mel-bands", 24, "-o", tmp_path / "features")
    assert made.code == 0, made.err
    answered = sertool("predict", "-m", run / "model", tmp_path / "features" / "manifest.parquet")
    assert answered.code == 0, answered.err
    assert len(rows_of(answered.out)) == 2 * len(rows_of(asked.out))
    _assert_told_apart(answered.out)


def test_predictions_of_clips_that_were_divided_leakily_say_so(run: Path, tmp_path: Path) -> None:
    done = sertool("index", run / "voices", "--pattern", PATTERN, "--split", "random-60-20-20")
    assert done.code == 0, done.err
    held = sertool("index", "-", "--where", "split=test", "-o", tmp_path / "test.parquet", stdin=done.out)
    assert held.code == 0, held.err
    answered = sertool("predict", "-m", run / "model", tmp_path / "test.parquet", "-f", "parquet")
    scored = sertool("eval", stdin=answered.out)
    assert scored.code == 0, scored.err
    assert "LEAKY: random-60-20-20" in scored.out.decode()


def test_a_model_among_what_is_asked_is_sent_to_its_option(run: Path) -> None:
    done = sertool("predict", "-m", run / "model", run / "model" / "seed-0" / "model.safetensors")
    assert (done.code, "a model is named with -m" in done.line) == (2, True)


@pytest.mark.parametrize("words", [("--window", ".5"), ("--channel", "left"), ("--trim", "30")])
def test_what_shards_do_not_hold_is_heard_in_the_sound(run: Path, words: tuple[str, ...]) -> None:
    shard = next((run / "features" / "mel").glob("*.safetensors"))
    refused = sertool("predict", "-m", run / "model", *words, shard)
    assert refused.code == 2
    assert words[0] in refused.err
    heard = sertool("predict", "-m", run / "model", *words, run / "features" / "manifest.parquet")
    assert heard.code == 0, heard.err


def test_a_folder_of_features_names_its_manifest(run: Path) -> None:
    refused = sertool("predict", "-m", run / "model", run / "features")
    assert refused.code == 2
    assert "manifest.parquet" in refused.err


def test_a_clip_alone_gets_what_it_gets_in_company(run: Path) -> None:
    together = rows_of(sertool("predict", "-m", run / "model", run / "voices").out)
    alone = rows_of(sertool("predict", "-m", run / "model", together[5]["path"]).out)
    assert probabilities(alone[0]) == pytest.approx(probabilities(together[5]), abs=1e-5)


def test_in_bf16_too_a_clip_alone_gets_what_it_gets_in_company(run: Path) -> None:
    clips = sorted((run / "voices").rglob("*.wav"))[:3]
    together = rows_of(sertool("predict", "-m", "tiny", *clips).out)
    alone = [rows_of(sertool("predict", "-m", "tiny", clip).out)[0] for clip in clips]
    assert [probabilities(row) for row in alone] == [probabilities(row) for row in together]


def test_a_device_that_takes_clips_together_hears_the_same(run: Path, tmp_path: Path, monkeypatch: Any) -> None:
    clips = [*sorted((run / "voices").rglob("*.wav"))[:3], tmp_path / "silent.wav", tmp_path / "gone.wav"]
    soundfile.write(clips[3], np.zeros(8000), 16_000)
    asked = ("-m", run / "model", "--window", ".5", *clips)
    apart = rows_of(sertool("predict", *asked).out)
    sizes: list[int] = []
    packed = extract.Engine.packed
    monkeypatch.setattr(Ensemble, "batches_on_device", True)
    monkeypatch.setattr(
        extract.Engine, "packed", lambda self, waves: (sizes.append(len(waves)), packed(self, waves))[1]
    )
    together = rows_of(sertool("predict", *asked).out)
    assert max(sizes) > 3
    assert [(row["clip"], row["start"], row["issue"]) for row in together] == [
        (row["clip"], row["start"], row["issue"]) for row in apart
    ]
    for one, other in zip(together, apart, strict=True):
        if not one["issue"]:
            assert probabilities(one) == pytest.approx(probabilities(other), abs=1e-4)


def test_one_clip_that_cannot_be_heard_spoils_none_that_is_heard_with_it(
    run: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    good = sorted((run / "voices").rglob("*.wav"))[:2]
    soundfile.write(tmp_path / "huge.wav", 1e30 * soundfile.read(good[0])[0], 16_000, subtype="DOUBLE")
    monkeypatch.setattr(Ensemble, "batches_on_device", True)
    held = rows_of(sertool("predict", "-m", run / "model", good[0], tmp_path / "huge.wav", good[1]).out)
    assert [row["issue"] for row in held] == ["", "not-finite", ""]


def test_a_run_averages_its_members(run: Path) -> None:
    clip = next((run / "voices").rglob("*.wav"))
    both, first, second = (
        probabilities(rows_of(sertool("predict", "-m", run / "model" / part, clip).out)[0])
        for part in ("", "seed-0", "seed-1")
    )
    assert both == pytest.approx(np.mean([first, second], axis=0), abs=1e-5)
    assert first != pytest.approx(second, abs=1e-3)


@pytest.fixture(scope="module")
def other(run: Path) -> Path:
    """A run of one seed, of another network that hears in another way."""
    made = sertool("featurize", run / "features" / "manifest.parquet", "--mfcc", "-o", run / "other-features")
    words = ("-m", "gru", "--epochs", 4, "--lr", ".02", "--features", "mfcc", "-o", run / "other")
    trained = sertool("train", "-", *words, stdin=made.out)
    assert trained.code == 0, trained.err
    return run / "other"


def test_several_runs_are_averaged_and_count_alike_however_many_models_each_has(run: Path, other: Path) -> None:
    asked = (run / "voices", "--window", 0.5)
    both, first, second = (
        [probabilities(row) for row in rows_of(sertool("predict", *models, *asked).out)]
        for models in (("-m", run / "model", "-m", other), ("-m", run / "model"), ("-m", other))
    )
    assert len(both) > 32
    np.testing.assert_allclose(both, np.mean([first, second], axis=0), atol=1e-5)
    cards = sertool("predict", "-m", run / "model", "-m", other, "--model-card").out.decode()
    assert [cards.count(f"{name}/seed-0") for name in ("model", "other")] == [1, 1]


@pytest.mark.slow
def test_of_several_runs_each_answers_by_those_that_held_the_clip_out(run: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    bare, wanted = tmp_path / "bare.parquet", []
    manifest_io.write(table.select([name for name in table.column_names if name != "split"]), str(bare), "parquet")
    runs = {"lstm": ("--folds", 2, "--seeds", 2), "gru": ("--folds", 4)}
    for name, how in runs.items():
        words = ("-m", name, *LEARNING[2:], *how, "-o", tmp_path / name, "-f", "csv")
        rows = rows_of(sertool("train", bare, *words).out)
        own = {row["clip"]: [probabilities(each) for each in rows if each["clip"] == row["clip"]] for row in rows}
        wanted.append({clip: np.mean(answers, axis=0) for clip, answers in own.items()})
    rows = rows_of(sertool("predict", "-m", tmp_path / "lstm", "-m", tmp_path / "gru", bare).out)
    assert {row["split"] for row in rows} == {"test"}
    for row in rows:
        mean = np.mean([each[row["clip"]] for each in wanted], axis=0)
        assert probabilities(row) == pytest.approx(mean, abs=1e-4)


def test_nothing_is_held_out_where_one_of_several_models_does_not_say(run: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    bare, alone = tmp_path / "bare.parquet", tmp_path / "alone.safetensors"
    bared = table.select([name for name in table.column_names if name != "split"])
    manifest_io.write(manifest.with_column(bared, "corpus", ["voices"] * len(table)), str(bare), "parquet")
    shutil.copy(run / "model" / "seed-0" / "model.safetensors", alone)
    for corpus, unknown in (("voices", True), ("others", False)):
        held = modelfile.read(alone)
        held.trained["corpora"] = {corpus: 16}
        modelfile.write(alone, held)
        done = sertool("predict", "-m", run / "model", "-m", alone, bare)
        assert ("learnt from clips of voices" in done.err) == unknown
        parts = {row["split"] for row in rows_of(done.out)}
        assert parts == ({"", "train"} if unknown else {"train", "dev", "test"})


@pytest.mark.slow
def test_what_one_of_several_runs_was_trained_on_is_not_held_out(run: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    bare = tmp_path / "bare.parquet"
    manifest_io.write(table.select([name for name in table.column_names if name != "split"]), str(bare), "parquet")
    trained = sertool("train", bare, *LEARNING, "--folds", 2, "-o", tmp_path / "folds")
    assert trained.code == 0, trained.err
    for runs in (("folds", run / "model"), (run / "model", "folds")):
        words = [word for name in runs for word in ("-m", tmp_path / name)]
        rows = rows_of((done := sertool("predict", *words, bare)).out)
        assert "trained on 16 of 32 clips" in done.err
        assert [row["split"] for row in rows] == manifest.column(table, "split")


def test_answers_keep_the_order_and_a_bad_file_gets_a_row(run: Path, tmp_path: Path) -> None:
    good = sorted((run / "voices").rglob("*.wav"))[:2]
    bad = tmp_path / "text.wav"
    bad.write_text("no audio")
    asked = [good[1], bad, tmp_path / "gone.wav", good[0]]
    done = sertool("predict", "-m", run / "model", stdin="\n".join(map(str, asked)).encode())
    held = rows_of(done.out)
    assert [row["path"] for row in held] == [str(path) for path in asked]
    assert [row["issue"] for row in held] == ["", "unreadable", "vanished", ""]
    assert [bool(row["predicted"]) for row in held] == [True, False, False, True]
    assert done.code == 0
    strict = sertool("predict", "-m", run / "model", bad, good[0], tmp_path / "gone.wav", "--strict", "-q")
    assert (strict.code, strict.line) == (1, "sertool: --strict: 2 rows set aside: unreadable 1, vanished 1")
    listed = f"{good[0].parent}\n{good[1]}\n".encode()
    found = [row["path"] for row in rows_of(sertool("predict", "-m", run / "model", stdin=listed).out)]
    assert found == [*map(str, sorted(good[0].parent.glob("*.wav"))), str(good[1])]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_answers_in_a_file_or_a_pipe_lead_to_the_audio_from_wherever_they_are_read(
    run: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out" / "calls").mkdir(parents=True)
    for name in ("a.wav", "out/calls/b.wav"):
        shutil.copy(next((run / "voices").rglob("*.wav")), tmp_path / name)
    monkeypatch.chdir(tmp_path)
    asked = ("predict", "-m", run / "model", "a.wav", "out/calls/b.wav", "-f", kind)
    piped = sertool(*asked).out
    Path("piped").write_bytes(piped)
    assert sertool(*asked, "-o", f"out/x.{kind}").code == 0
    held = [manifest_io.read_table(place).to_pydict() for place in (f"out/x.{kind}", "piped")]
    paths = [held[0]["path"], held[1]["path"]]
    assert paths == [[str(tmp_path / "a.wav"), "calls/b.wav"], [str(tmp_path / "a.wav"), f"{tmp_path}/out/calls/b.wav"]]
    assert held[0]["clip"] == held[1]["clip"] == ["a.wav", "out/calls/b.wav"]
    monkeypatch.chdir("/")
    again = rows_of(sertool("predict", "-m", run / "model", tmp_path / "out" / f"x.{kind}").out)
    assert [row["issue"] for row in again] == ["", ""]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_answers_through_a_pipe_with_a_name_have_the_paths_of_a_pipe(
    run: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "out" / f"x.{kind}"
    pipe.parent.mkdir()
    os.mkfifo(pipe)
    shutil.copy(next((run / "voices").rglob("*.wav")), pipe.with_name("a.wav"))
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(pipe.read_bytes)
        assert sertool("predict", "-m", run / "model", "out/a.wav", "-o", f"out/x.{kind}").code == 0
        (tmp_path / "held").write_bytes(reading.result(timeout=9))
    assert manifest_io.read_table(str(tmp_path / "held"))["path"].to_pylist() == [str(tmp_path / "out" / "a.wav")]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_paths_of_another_system_stay_as_they_are_told(run: Path, tmp_path: Path, kind: str) -> None:
    told = ["C:\\calls\\a.wav", "\\\\srv\\x\\b.wav", "D:/calls/c.wav"]
    (tmp_path / "rows.csv").write_text("clip,path\n" + "".join(f"{path[-5]},{path}\n" for path in told))
    clip = next((run / "voices").rglob("*.wav"))
    words = ("predict", "-m", run / "model", tmp_path / "rows.csv", clip, "-f", kind)
    (tmp_path / "piped").write_bytes(sertool(*words).out)
    sertool(*words, "-o", tmp_path / f"out.{kind}")
    for name in ("piped", f"out.{kind}"):
        assert manifest_io.read_table(str(tmp_path / name))["path"].to_pylist()[:3] == told


@pytest.mark.parametrize("kind", ["csv", "parquet", "textgrid"])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_judged(
    run: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, answered = next((run / "voices").rglob("*.wav")), Session.answered
    work: list[int] = []
    monkeypatch.setattr(Session, "answered", lambda *args: (work.append(1), answered(*args))[1])
    (tmp_path / "file").write_text("no folder")
    done = sertool("predict", "-m", run / "model", clip, "-o", tmp_path / "file" / f"x.{kind}")
    assert (done.code, "cannot write" in done.err, work) == (1, True, [])


def test_after_a_folder_without_audio_the_work_goes_on(run: Path, tmp_path: Path) -> None:
    good, empty = sorted((run / "voices").rglob("*.wav"))[:2], tmp_path / "empty"
    empty.mkdir()
    asked = (good[0], empty, good[1])
    named = sertool("predict", "-m", run / "model", *asked)
    assert [(row["path"], row["issue"]) for row in rows_of(named.out)] == [
        (str(path), "empty" if path == empty else "") for path in asked
    ]
    piped = sertool("predict", "-m", run / "model", stdin="\n".join(map(str, asked)).encode())
    assert (named.code, piped.code, piped.out) == (0, 0, named.out)


def test_channels_that_cancel_are_said_to_once_also_where_a_call_begins_in_silence(run: Path, tmp_path: Path) -> None:
    voice = np.resize(soundfile.read(next((run / "voices").rglob("*.wav")))[0], 32_000)
    sound = np.concatenate([np.zeros(32_000), voice, voice])
    soundfile.write(tmp_path / "call.wav", np.stack([sound, -sound], axis=1), 16_000)
    soundfile.write(tmp_path / "quiet.wav", np.stack([0 * sound, 0 * sound], axis=1), 16_000)
    done = sertool("predict", "-m", run / "model", "--window", 1, tmp_path, "-j", 1)
    assert done.err.count("its channels cancel when they are mixed") == 1
    assert "call.wav: its channels" in done.err


def test_few_of_many_pauses_are_decoded_again_for_channels_that_cancel(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "call.wav", np.zeros((40 * 16_000, 2)), 16_000)
    looks, decode = [], audio.decode
    monkeypatch.setattr(
        audio, "decode", lambda path, cut, *span: looks.append(cut.channels) or decode(path, cut, *span)
    )
    held = rows_of(sertool("predict", "-m", run / "model", "--window", 1, tmp_path / "call.wav", "-j", 1).out)
    assert [row["issue"] for row in held] == ["silent"] * 40
    assert looks.count("all") == 6


def test_long_wav_files_of_a_folder_are_answered_by_their_own_name(run: Path, tmp_path: Path) -> None:
    voice, rate = soundfile.read(next((run / "voices").rglob("*.wav")))
    soundfile.write(tmp_path / "x.rf64", voice, rate, format="RF64")
    assert [row["issue"] for row in rows_of(sertool("predict", "-m", run / "model", tmp_path).out)] == [""]


def test_of_a_folder_what_is_not_read_is_counted_and_what_macos_left_is_no_clip(run: Path, tmp_path: Path) -> None:
    shutil.copy(next((run / "voices").rglob("*.wav")), tmp_path / "x.wav")
    for name in ("._x.wav", "._y.m4a", "y.m4a"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    done = sertool("predict", "-m", run / "model", tmp_path)
    assert [row["path"] for row in rows_of(done.out)] == [str(tmp_path / "x.wav")]
    assert "warning: 1 file passed over: 1 .m4a; convert them to WAV or FLAC" in done.err


def test_channels_that_cancel_are_said_to_and_silence_is_not(run: Path, tmp_path: Path) -> None:
    voice, rate = soundfile.read(next((run / "voices").rglob("*.wav")))
    soundfile.write(tmp_path / "turned.wav", np.stack([voice, -voice], axis=1), rate)
    soundfile.write(tmp_path / "silent.wav", np.zeros((len(voice), 2)), rate)
    mixed = sertool("predict", "-m", run / "model", tmp_path / "turned.wav", tmp_path / "silent.wav")
    (said,) = [line for line in mixed.err.splitlines() if "cancel when they are mixed" in line]
    assert f"{tmp_path}/turned.wav" in said
    (row,) = rows_of(sertool("predict", "-m", run / "model", tmp_path / "turned.wav", "--channel", "left").out)
    assert row["predicted"]


def test_channels_of_which_one_is_quiet_and_one_silent_are_not_said_to_cancel(run: Path, tmp_path: Path) -> None:
    voice, rate = soundfile.read(next((run / "voices").rglob("*.wav")))
    quiet = voice * 10 ** (-57 / 20) / np.sqrt(np.square(voice).mean())
    soundfile.write(tmp_path / "x.wav", np.stack([quiet, 0 * voice], axis=1), rate, subtype="FLOAT")
    done = sertool("predict", "-m", run / "model", tmp_path / "x.wav")
    assert [row["issue"] for row in rows_of(done.out)] == ["silent"]
    assert "cancel" not in done.err


def test_the_first_answer_comes_while_the_last_file_is_unread(run: Path) -> None:
    clip = next((run / "voices").rglob("*.wav"))
    command = [sys.executable, "-m", "sertool", "predict", "-m", str(run / "model"), "-f", "jsonl", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(f"{clip}\n".encode())
        process.stdin.flush()
        first = json.loads(process.stdout.readline())
        process.stdin.write(b"gone.wav\n")
        rest, _ = process.communicate()
    assert first["path"] == str(clip)
    assert json.loads(rest)["issue"] == "vanished"


def test_a_list_of_paths_is_answered_however_slowly_it_comes(run: Path) -> None:
    clips = sorted((run / "voices").rglob("*.wav"))[:40] * 2
    command = [sys.executable, "-m", "sertool", "predict", "-m", str(run / "model"), "-j", "2", "-f", "jsonl", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        too_late = threading.Timer(100, process.kill)
        too_late.start()
        for some in (clips[:64], clips[64:]):  # the first of them are enough for forks
            process.stdin.write("".join(f"{clip}\n" for clip in some).encode())
            process.stdin.flush()
            rows = [json.loads(process.stdout.readline()) for _ in some]
            assert [row["path"] for row in rows] == [str(clip) for clip in some]
        process.stdin.close()
        assert process.wait() == 0
        too_late.cancel()


class Trickle(io.RawIOBase):
    """A stream of which a few bytes are there at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        self.data, self.size = data, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece, self.data = self.data[: self.size], self.data[self.size :]
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.mark.parametrize("size", [1, 5, 100_000])
@pytest.mark.parametrize(
    "text",
    [
        "clip,path,mine\na,/a.wav,1\nb,/b.wav,1\n",
        '\n\n{"clip": "a", "path": "/a.wav"}\n{"clip": "b", "path": "/b.wav"}',
        '[\n {\n  "clip": "a", "path": "/a.wav"}, {"clip": "b", "path": "/b.wav"}]',
        "/a.wav\n/b.wav\n",
        "/a.wav\r\n\r\n/b.wav",
        "path\n/a.wav\n/b.wav",
        "sep=;\r\nclip;path\r\na;/a.wav\r\nb;/b.wav\r\n",
    ],
)
def test_what_stdin_is_does_not_depend_on_the_pieces_it_comes_in_nor_on_a_bom(
    text: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bom in (b"", b"\xef\xbb\xbf"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Trickle(bom + text.encode(), size))))
        requests = predict_inputs.requests_of(["-"], None, Shelf({}, "a test"), nul=False)
        assert [request.row["path"] for request in requests] == ["/a.wav", "/b.wav"]


def test_paths_with_any_name_come_through_nul(run: Path, tmp_path: Path) -> None:
    clip = tmp_path / "a\nb 'c\" é\r"
    shutil.copy(next((run / "voices").rglob("*.wav")), clip)
    done = sertool("predict", "-m", run / "model", "-0", "-f", "jsonl", "-", stdin=str(clip).encode() + b"\0")
    assert json.loads(done.out)["path"] == str(clip)


def test_a_name_that_is_not_utf_8_has_an_absolute_path_in_a_pipe_as_all_have(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = os.fsencode(tmp_path) + b"/\xff.wav"
    try:
        shutil.copy(os.fsencode(next((run / "voices").rglob("*.wav"))), clip)
    except OSError:
        pytest.skip("the file system takes no such name")
    monkeypatch.chdir(tmp_path)
    (row,) = rows_of(sertool("predict", "-m", run / "model", "-", stdin=b"\xff.wav\n").out)
    assert (row["clip"], row["path"]) == ("file://%FF.wav", f"file://{tmp_path}/%FF.wav")
    assert row["predicted"]


def test_a_row_that_names_a_channel_is_judged_by_it_and_says_so_again(run: Path, tmp_path: Path) -> None:
    sides = [soundfile.read(clip)[0][:6000] for clip in sorted((run / "voices").rglob("*.wav"))[::20]]
    soundfile.write(tmp_path / "call.wav", np.stack(sides, axis=1), 16_000)
    words, first = ("predict", "-m", run / "model"), tmp_path / "each.csv"
    assert sertool(*words, "--channel", "each", tmp_path / "call.wav", "-o", first).code == 0
    wanted, again = rows_of(first.read_bytes()), sertool(*words, first)
    assert again.code == 0, again.err
    assert [row["channel"] for row in rows_of(again.out)] == ["1", "2"]
    for one, other in zip(rows_of(again.out), wanted, strict=True):
        assert probabilities(one) == pytest.approx(probabilities(other), abs=1e-5)
    cut = rows_of(sertool(*words, first, "--window", ".2").out)
    assert {row["channel"] for row in cut} == {"1", "2"}
    refused = sertool(*words, first, "--channel", "left")
    assert (refused.code, "the column channel says which one" in refused.line) == (2, True)
    made = sertool("featurize", "--mel", first, "-o", tmp_path / "features")
    assert "the column channel of 2 rows is not heeded: features are of --channels mono" in made.err
    answered = rows_of(sertool(*words, tmp_path / "features" / "manifest.parquet").out)
    assert [row["channel"] for row in answered] == ["1", "2"]
    for one, other in zip(answered, wanted, strict=True):
        assert probabilities(one) == pytest.approx(probabilities(other), abs=1e-5)


def test_a_channel_that_a_file_has_not_is_an_issue_and_words_are_none(run: Path, tmp_path: Path) -> None:
    good = next((run / "voices").rglob("*.wav"))
    words = ("predict", "-m", run / "model", tmp_path / "rows.csv")
    (tmp_path / "rows.csv").write_text(f"clip,path,channel\na,{good},2\nb,{good},1\nc,{good},\n")
    for window in ((), ("--window", 9)):
        held = rows_of(sertool(*words, *window).out)
        assert [(row["channel"], row["issue"]) for row in held] == [("2", "no-channel"), ("1", ""), ("", "")]
    (tmp_path / "rows.csv").write_text(f"clip,path,channel\na,{good},BBC\n")
    assert [row["issue"] for row in rows_of(sertool(*words).out)] == [""]
    (tmp_path / "rows.csv").write_text(f"clip,path,channel\na,{good},99999999999999999999\n")
    assert [row.get("channel") for row in rows_of(sertool(*words).out)] == [None]
    (tmp_path / "rows.csv").write_text(f"clip,path,channel\na,{good},0\n")
    assert (done := sertool(*words)).code == 2
    assert "channels are counted from 1" in done.line


def _call(run: Path, path: Path) -> float:
    """Six seconds of voices, then three of silence, on the left; silence on the right. Its seconds."""
    voices = np.concatenate([soundfile.read(clip)[0] for clip in sorted((run / "voices").rglob("*.wav"))[:5]])[:96_000]
    left = np.concatenate([voices, np.zeros(48_000)])
    soundfile.write(path, np.stack([left, np.zeros_like(left)], axis=1), 16_000)
    return len(left) / 16_000


def test_windows_cover_the_file_and_silence_is_no_emotion(run: Path, tmp_path: Path) -> None:
    seconds = _call(run, tmp_path / "call.wav")
    held = rows_of(sertool("predict", "-m", run / "model", tmp_path / "call.wav", "--window", 2, "--hop", 1).out)
    assert [float(row["start"]) for row in held] == [float(start) for start in range(len(held))]
    assert float(held[-1]["end"]) == pytest.approx(seconds, abs=0.01)
    assert [row["predicted"] for row in held if float(row["start"]) >= 6] == [""] * 2
    assert all(row["predicted"] for row in held if float(row["start"]) < 4)


def test_windows_of_a_long_file_do_not_depend_on_how_it_is_read(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _call(run, tmp_path / "call.wav")
    asked = ("predict", "-m", run / "model", tmp_path / "call.wav", "--window", 2, "--hop", 1)
    whole = sertool(*asked).out
    monkeypatch.setattr(windows, "STRETCH", 2.0)
    assert sertool(*asked).out == whole


@pytest.mark.parametrize(("rate", "near"), [(8_000, 1e-5), (44_100, 1e-5), (16_000, 0)])
def test_a_window_of_resampled_sound_is_the_same_in_any_stretch(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: int, near: float
) -> None:
    _call(run, tmp_path / "call.wav")
    sound = soundfile.read(tmp_path / "call.wav", dtype="int16")[0]
    soundfile.write(tmp_path / "call.wav", sound, rate)
    monkeypatch.setattr(windows, "STRETCH", 0.1)
    heard: list[np.ndarray] = []
    for stretch in (0.1, 60.0):
        monkeypatch.setattr(windows, "FIRST_STRETCH_SECONDS", stretch)
        done = sertool("predict", "-m", run / "model", tmp_path / "call.wav", "--window", "0.5", "--hop", "0.2")
        heard.append(np.array([probabilities(row) for row in rows_of(done.out) if not row["issue"]]))
    assert np.abs(heard[0] - heard[1]).max() <= near


def test_silent_ends_are_left_out_where_asked(run: Path, tmp_path: Path) -> None:
    clip = next((run / "voices").rglob("*.wav"))
    samples, rate = soundfile.read(clip, dtype="float32")
    faint = np.random.default_rng(0).normal(0, 1e-3 * np.abs(samples).max(), (2, rate)).astype(np.float32)
    encoding.write(tmp_path / clip.name, np.concatenate([faint[0], samples, faint[1]]), rate)
    words = ("predict", "-m", run / "model")
    asked = [("--trim", 40, clip), ("--trim", 40, tmp_path / clip.name), (tmp_path / clip.name,)]
    as_it_was, trimmed, padded = (probabilities(rows_of(sertool(*words, *each).out)[0]) for each in asked)
    assert trimmed == pytest.approx(as_it_was, abs=0.02)
    assert np.abs(np.subtract(padded, as_it_was)).max() > 2 * np.abs(np.subtract(trimmed, as_it_was)).max()


@pytest.fixture(scope="module")
def long_talk(run: Path) -> np.ndarray:
    voices = [soundfile.read(clip, dtype="float32")[0] for clip in sorted((run / "voices").rglob("*.wav"))]
    return np.resize(np.concatenate(voices), 40 * 16_000)


@pytest.mark.parametrize("kind", ["wav", "FLOAT", "flac", "mp3", "ogg", "OPUS", "aiff"])
def test_a_call_that_is_cut_is_answered_up_to_there_and_then_says_so_once(
    run: Path, tmp_path: Path, long_talk: np.ndarray, kind: str
) -> None:
    ending = {"FLOAT": "wav", "OPUS": "ogg"}.get(kind, kind)
    whole, cut = tmp_path / f"whole.{ending}", tmp_path / f"cut.{ending}"
    soundfile.write(whole, long_talk, 16_000, **({"subtype": kind} if kind.isupper() else {}))
    cut.write_bytes((held := whole.read_bytes())[: len(held) * 6 // 10])
    asked = ("predict", "-m", run / "model", "--window", 2, "--hop", 1.5)
    *answered, last = rows_of(sertool(*asked, cut).out)
    wanted = rows_of(sertool(*asked, whole).out)[: len(answered)]
    at = float(last["start"])
    assert (last["issue"], last["end"], last["predicted"], at) == ("truncated", "", "", pytest.approx(24, abs=2.5))
    assert {row["issue"] for row in answered} == {""}
    assert at - 1.5 < float(answered[-1]["end"]) <= at
    for one, other in zip(answered, wanted, strict=True):
        assert (one["start"], one["end"]) == (other["start"], other["end"])
        assert probabilities(one) == pytest.approx(probabilities(other), abs=1e-4)
    (alone,) = rows_of(sertool("predict", "-m", run / "model", cut).out)
    assert alone["issue"] == "truncated"


@pytest.mark.parametrize("words", [("--channel", "each"), ("--channel", "right", "--hop", 3), ()])
def test_a_cut_is_told_whichever_channel_is_judged(
    run: Path, tmp_path: Path, long_talk: np.ndarray, words: tuple[object, ...]
) -> None:
    call, seconds = tmp_path / "call.wav", 9
    soundfile.write(call, np.stack([long_talk, long_talk[::-1]], axis=1)[: 20 * 16_000], 16_000)
    call.write_bytes(call.read_bytes()[: seconds * 64_000 + 44])
    asked = call
    if not words:
        asked = tmp_path / "rows.csv"
        asked.write_text("clip,path,channel\na,call.wav,2\n")
    done = sertool("predict", "-m", run / "model", "--window", 1, *words, asked)
    assert done.code == 0, done.err
    *answered, last = rows_of(done.out)
    assert (last["issue"], float(last["start"])) == ("truncated", pytest.approx(seconds, abs=0.5))
    assert {row["issue"] for row in answered} == {""}
    assert {row["channel"] for row in answered} == ({"1", "2"} if "each" in words else {"2"})


def test_a_cut_between_windows_is_not_taken_for_a_lack_of_channels(
    run: Path, tmp_path: Path, long_talk: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "FORWARD_STRETCH", 6.0)
    call = tmp_path / "call.wav"
    soundfile.write(call, np.stack([long_talk, long_talk[::-1]], axis=1)[: 20 * 16_000], 16_000)
    call.write_bytes(call.read_bytes()[: round(5.5 * 64_000) + 44])
    words = ("predict", "-m", run / "model", "--window", 1, "--hop", 3, "--channel", "right", call)
    assert [row["issue"] for row in rows_of(sertool(*words).out)] == ["", "", "truncated"]


def test_parts_before_a_cut_are_answered_and_nothing_can_be_after_it(
    run: Path, tmp_path: Path, long_talk: np.ndarray
) -> None:
    soundfile.write(tmp_path / "x.wav", long_talk, 16_000)
    (tmp_path / "x.wav").write_bytes((tmp_path / "x.wav").read_bytes()[: 24 * 32_000 + 44])
    (tmp_path / "parts.csv").write_text("clip,path,start,duration\na,x.wav,1,2.5\nb,x.wav,23,5\nc,x.wav,30,5\n")
    held = rows_of(sertool("predict", "-m", run / "model", "--window", 1, tmp_path / "parts.csv").out)
    found = [(row["clip"], row["start"], row["end"], row["issue"]) for row in held]
    assert found == [
        ("a", "1", "2", ""), ("a", "2", "3", ""), ("a", "3", "3.5", ""),
        ("b", "23", "24", ""), ("b", "24", "", "truncated"), ("c", "30", "", "truncated"),
    ]  # fmt: skip


@pytest.mark.parametrize("codec", ["GSM610", "G721_32"])
@pytest.mark.parametrize("words", [("--window", 2, "--hop", 1.5), ("--window", 1, "--hop", 3)])
def test_what_can_only_be_read_from_its_beginning_is_read_once_and_answered_alike(
    run: Path, tmp_path: Path, long_talk: np.ndarray, codec: str, words: tuple[object, ...], monkeypatch: Any
) -> None:
    path, opened, placed = tmp_path / "x.wav", [], audio._placed
    soundfile.write(path, long_talk[::2], 8_000, subtype=codec)
    soundfile.write(tmp_path / "same.wav", soundfile.read(path, dtype="int16")[0], 8_000)
    monkeypatch.setattr(audio, "_placed", lambda *args, **how: opened.append(args[0]) or placed(*args, **how))
    monkeypatch.setattr(windows, "FORWARD_STRETCH", 5.0)
    asked = ("predict", "-m", run / "model", *words)
    found, wanted = (rows_of(sertool(*asked, tmp_path / name).out) for name in ("x.wav", "same.wav"))
    assert opened.count(str(path)) == 1
    for one, other in zip(found, wanted, strict=True):
        assert (one["start"], one["end"], one["issue"]) == (other["start"], other["end"], other["issue"])
        assert probabilities(one) == pytest.approx(probabilities(other), abs=2e-2)


def test_an_mp3_is_read_once_for_all_its_windows_so_that_its_decoder_has_nothing_to_say(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    gain = np.abs(np.sin(np.arange(60 * 8_000) / 9_000)) ** 8  # a coder saves bits for what is louder
    noise = gain * np.random.default_rng(0).normal(0, 0.1, len(gain))
    soundfile.write(tmp_path / "x.mp3", noise, 8_000, bitrate_mode="CONSTANT", compression_level=0.999)
    opened, placed = [], audio._placed
    monkeypatch.setattr(audio, "_placed", lambda *args, **how: opened.append(args[0]) or placed(*args, **how))
    words = ("--window", 1, "--channel", "left")  # of which none is asked whether it cancels
    held = rows_of(sertool("predict", "-m", run / "model", *words, tmp_path / "x.mp3").out)
    assert {row["issue"] for row in held} == {"", "silent"}
    assert (len(opened), capfd.readouterr().err) == (1, "")


def test_of_a_long_file_few_windows_are_there_at_a_time(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding.write(tmp_path / "long.wav", np.random.default_rng(0).normal(0, 0.1, 100 * 16_000), 16_000)
    there: set[int] = set()
    most, probabilities_of, features_of = [0], Ensemble.probabilities, Ensemble.features_of

    def heard(ensemble: Ensemble, *given: Any) -> Any:
        made = features_of(ensemble, *given)
        there.update(map(id, made))
        return made

    def answered(ensemble: Ensemble, some: Any, *given: Any) -> Any:
        most[0] = max(most[0], len(there))
        there.difference_update(map(id, some))
        return probabilities_of(ensemble, some, *given)

    monkeypatch.setattr(Ensemble, "features_of", heard)
    monkeypatch.setattr(Ensemble, "probabilities", answered)
    done = sertool("predict", "-m", run / "model", "--window", "1", "-j", "1", tmp_path / "long.wav")
    assert len(rows_of(done.out)) == 100
    assert 0 < most[0] <= predicting.BATCH


def test_each_channel_is_judged_by_itself(run: Path, tmp_path: Path) -> None:
    _call(run, tmp_path / "call.wav")
    held = rows_of(sertool("predict", "-m", run / "model", tmp_path / "call.wav", "--channel", "each").out)
    assert [(row["channel"], bool(row["predicted"])) for row in held] == [("1", True), ("2", False)]
    left = rows_of(sertool("predict", "-m", run / "model", tmp_path / "call.wav", "--channel", "left").out)
    assert probabilities(left[0]) == probabilities(held[0])


def test_a_channel_is_heard_by_models_of_stereo_sound_as_a_clip_of_one_channel_is(run: Path, tmp_path: Path) -> None:
    """On both sides, as it is where features are made."""
    stereo = ("--mel", "--mel-bands", 24, "--channels", "stereo", "-o", tmp_path / "features")
    made = sertool("featurize", run / "features" / "manifest.parquet", *stereo)
    assert made.code == 0, made.err
    trained = sertool("train", "-", *LEARNING, "-o", tmp_path / "run", stdin=made.out)
    assert trained.code == 0, trained.err
    clips = sorted((run / "voices").rglob("*.wav"))
    voices = [soundfile.read(clip)[0][:16_000] for clip in (clips[0], clips[-1])]
    soundfile.write(tmp_path / "call.wav", np.stack(voices, axis=1), 16_000)
    for side, voice in zip(("left", "right"), voices, strict=True):
        soundfile.write(tmp_path / f"{side}.wav", voice, 16_000)
        (one,) = rows_of(sertool("predict", "-m", tmp_path / "run", tmp_path / "call.wav", "--channel", side).out)
        (other,) = rows_of(sertool("predict", "-m", tmp_path / "run", tmp_path / f"{side}.wav").out)
        assert probabilities(one) == pytest.approx(probabilities(other), abs=1e-3)


def test_clips_of_one_channel_enrol_whoever_is_on_the_one_asked_for(run: Path, adaptable: Path, tmp_path: Path) -> None:
    anna, other = (sorted(folder.glob("*.wav")) for folder in sorted((run / "voices").iterdir())[:2])
    voices = [soundfile.read(clip)[0][:16_000] for clip in (other[0], anna[0])]
    soundfile.write(tmp_path / "call.wav", np.stack(voices, axis=1), 16_000)
    words = ("predict", "-m", adaptable, "--enroll", anna[0].parent, "--channel", "right")
    (row,) = rows_of(sertool(*words, tmp_path / "call.wav").out)
    assert (row["channel"], row["adapted"]) == ("2", "enrolled")
    (row,) = rows_of(sertool(*words, anna[0]).out)
    assert row["issue"] == "no-channel"


@pytest.mark.parametrize("words", [(), ("--window", ".5")])
def test_one_channel_has_no_right_one(run: Path, words: tuple[str, ...]) -> None:
    clip = next((run / "voices").rglob("*.wav"))
    held = rows_of(sertool("predict", "-m", run / "model", clip, "--channel", "right", *words).out)
    assert [(row["predicted"], row["issue"]) for row in held] == [("", "no-channel")]


@pytest.mark.parametrize("channels", [1, 6])
def test_there_are_as_many_rows_as_channels(run: Path, tmp_path: Path, channels: int) -> None:
    path = next((run / "voices").rglob("*.wav"))
    voice, rate = soundfile.read(path, dtype="float32")
    heard = np.zeros((len(voice), channels), np.float32)
    heard[:, -1] = voice
    soundfile.write(tmp_path / "many.wav", heard, rate, subtype="FLOAT")
    held = rows_of(sertool("predict", "-m", run / "model", tmp_path / "many.wav", "--channel", "each").out)
    assert [row["channel"] for row in held] == [str(number + 1) for number in range(channels)]
    assert [row["issue"] for row in held] == ["silent"] * (channels - 1) + [""]


def test_a_constant_offset_is_silence(run: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 1e-5, (2, 16_000))
    for name, offset in (("hum", 0.0025), ("loud", 0.3)):
        soundfile.write(tmp_path / f"{name}.wav", (noise + offset).T.astype(np.float32), 16_000, subtype="FLOAT")
    voice, rate = soundfile.read(next((run / "voices").rglob("*.wav")), dtype="float32")
    soundfile.write(tmp_path / "voice.wav", 0.5 * voice + 0.3, rate, subtype="FLOAT")
    held = rows_of(sertool("predict", "-m", run / "model", tmp_path).out)
    assert [row["issue"] for row in held] == ["silent", "silent", ""]


def test_in_shards_without_paths_the_clip_itself_says_who_speaks(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    row = {"path": "", "clip": "calls/ann/sad_1"}
    assert speaker_answers.naming("parent-folder")(row) == "ann"
    assert speaker_answers.naming("{speaker}/{}_{}.wav")(row) == "ann"
    assert speaker_answers.naming("parent-folder")({"path": "", "clip": "sad_1"}) is None


def test_the_first_windows_of_a_long_file_are_soon_asked_about() -> None:
    how = windows.PredictOptions(window=3.0, hop=1.0)
    look = audio.AudioInfo(sample_rate=16_000, samples=3600 * 16_000, channels=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audio, "probe", lambda *_, **__: look)
        patch.setattr(audio, "has_places", lambda _: True)
        asked = Request({"path": "call.wav"})
        spans = [(each.first, each.count) for each in windows.stretches(asked, how, Wave())]
    assert [count for _, count in spans[:7]] == [5, 10, 20, 40, 80, 120, 120]
    assert [first for first, _ in spans] == [0, *np.cumsum([count for _, count in spans])[:-1]]
    assert sum(count for _, count in spans) == 3598


def test_pauses_of_a_call_are_no_fault_of_it(run: Path, tmp_path: Path) -> None:
    _call(run, tmp_path / "call.wav")
    words = ("predict", "-m", run / "model", "--strict", tmp_path / "call.wav", "--window", 2)
    done = sertool(*words)
    silent = sum(row["issue"] == "silent" for row in rows_of(done.out))
    assert silent
    assert (done.code, f"{len(rows_of(done.out))} rows, {silent} silent" in done.err) == (0, True)
    (tmp_path / "bad.wav").write_bytes(b"")
    done = sertool(*words, tmp_path / "bad.wav")
    assert (done.code, f"1 set aside (column issue), {silent} silent" in done.err) == (1, True)
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    assert sertool("predict", "-m", run / "model", "--strict", tmp_path / "silent.wav").code == 1


@pytest.mark.parametrize("words", [(), ("--channel", "each"), ("--merge",)])
def test_a_file_that_is_too_short_as_a_whole_is_set_aside_and_fails_strict(
    run: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    soundfile.write(tmp_path / "short.wav", np.full((300, 2), 0.1), 16_000)
    asked = ("predict", "-m", run / "model", "--strict", "--window", 1, *words, tmp_path / "short.wav")
    done = sertool(*asked)
    assert (done.code, "set aside" in done.err, "silent" in done.err) == (1, True, False)


def test_windows_of_a_part_are_as_long_as_they_are(run: Path, tmp_path: Path) -> None:
    _call(run, tmp_path / "call.wav")
    (tmp_path / "parts.csv").write_text("clip,path,start,duration\na,call.wav,1,4.5\n")
    for words in ((), ("--merge",)):
        held = rows_of(sertool("predict", "-m", run / "model", tmp_path / "parts.csv", "--window", 2, *words).out)
        for row in held:
            assert float(row["duration"]) == pytest.approx(float(row["end"]) - float(row["start"]), abs=1e-6)


def test_merged_windows_tile_the_file(run: Path, tmp_path: Path) -> None:
    seconds = _call(run, tmp_path / "call.wav")
    asked = ("predict", "-m", run / "model", tmp_path / "call.wav", "--window", 2, "--hop", 1, "--merge")
    held = rows_of(sertool(*asked).out)
    assert [row["start"] for row in held[1:]] == [row["end"] for row in held[:-1]]
    assert float(held[-1]["end"]) == pytest.approx(seconds, abs=0.01)
    answers = [row["predicted"] or row["issue"] for row in held]
    assert all(one != other for one, other in pairwise(answers))


def test_a_merged_row_says_what_its_windows_said_on_average(run: Path, tmp_path: Path) -> None:
    _call(run, tmp_path / "call.wav")
    asked = ("predict", "-m", run / "model", tmp_path / "call.wav", "--window", 2, "--hop", 1.5, "--top", 1)
    apart, merged = rows_of(sertool(*asked).out), rows_of(sertool(*asked, "--merge").out)
    assert len(merged) < len(apart)
    answers = groupby(apart, lambda row: row["predicted"] or row["issue"])
    for row, own in zip(merged, (list(own) for _, own in answers), strict=True):
        if row["predicted"]:
            lengths = [float(one["end"]) - float(one["start"]) for one in own]
            mean = np.average([probabilities(one) for one in own], axis=0, weights=lengths)
            assert probabilities(row) == pytest.approx(mean, abs=1e-5)
            assert float(row["confidence"]) == pytest.approx(max(mean), abs=1e-5) == float(row[f"p_{row['predicted']}"])
            assert row["top"] == f"{row['predicted']} {max(mean):.2f}"


def test_no_window_begins_at_the_end_or_is_a_scrap(run: Path, tmp_path: Path) -> None:
    voice = soundfile.read(next((run / "voices").rglob("*.wav")))[0]
    soundfile.write(tmp_path / "x.wav", np.resize(voice, round(3.02 * 16_000)), 16_000)
    asked = ("predict", "-m", run / "model", tmp_path / "x.wav", "--strict", "--window")
    for window, hop, starts in ((1, 2, [0, 2]), (1, 1, [0, 1, 2]), (1, 3, [0]), (1, 1.5, [0, 1.5]), (2, 1, [0, 1, 2])):
        done = sertool(*asked, window, "--hop", hop)
        assert [float(row["start"]) for row in rows_of(done.out)] == starts
        assert done.code == 0


def test_what_index_calls_too_short_has_no_answer(run: Path, tmp_path: Path) -> None:
    voice = soundfile.read(next((run / "voices").rglob("*.wav")))[0]
    for name, samples, rate in (("a", 1, 16_000), ("b", 799, 16_000), ("c", 800, 16_000), ("d", 400, 8_000)):
        soundfile.write(tmp_path / f"{name}.wav", voice[6_000 : 6_000 + samples], rate)
    wanted = ["too-short", "too-short", "", ""]
    for words in ((), ("--window", 1)):
        found = rows_of(sertool("predict", "-m", run / "model", tmp_path, *words).out)
        assert [row["issue"] for row in found] == wanted
        assert [bool(row["predicted"]) for row in found] == [not issue for issue in wanted]
    indexed = sertool("index", tmp_path, "--check", "full", "-f", "csv").out
    assert [row["issue"] for row in rows_of(indexed)] == wanted


@pytest.mark.parametrize("words", [("--merge",), ("--hop", 1), ("-0",), ("--root", "elsewhere")])
def test_options_that_would_do_nothing_are_refused(run: Path, words: tuple[str, ...]) -> None:
    done = sertool("predict", "-m", run / "model", next((run / "voices").rglob("*.wav")), *words)
    assert (done.code, done.out) == (2, b"")
    assert words[0] in done.line


def test_one_answer_for_a_long_clip_says_that_there_could_be_more(run: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.random.default_rng(0).normal(0, 0.1, (31 * 8_000, 2)), 8_000)
    words = ("predict", "-m", run / "model", tmp_path / "x.wav")
    assert "1 answer is for more than 30 s of sound: --window 3" in sertool(*words).err
    assert "2 answers are for more than 30 s of sound: --window 3" in sertool(*words, "--channel", "each").err
    segments = tmp_path / "segments.csv"
    segments.write_text("path,start,duration\nx.wav,0,3\nx.wav,28,3\n")
    for more in (("--window", 10), ("-q",)):
        assert "30 s" not in sertool(*words, *more).err
    assert "30 s" not in sertool(*words[:-1], segments).err


@pytest.mark.parametrize("words", [(), ("--window", 1)])
def test_parts_in_milliseconds_are_said_to_end_after_their_file(
    run: Path, tmp_path: Path, words: tuple[object, ...]
) -> None:
    for name in "xy":
        soundfile.write(tmp_path / f"{name}.wav", np.random.default_rng(0).normal(0, 0.1, 16_000), 8_000)
    parts = tmp_path / "parts.csv"
    parts.write_text("path,start,end\nx.wav,0,1500\ny.wav,0,2500\n")
    asked = ("predict", "-m", run / "model", *words, parts)
    assert sertool(*asked).err.count("rows end later than their files") == 1
    parts.write_text("path,start,end\nx.wav,0,1.5\ny.wav,0.5,2.05\n")
    assert "rows end later" not in sertool(*asked).err


@pytest.mark.parametrize("words", [(), ("--window", 0.2, "--hop", 0.1), ("--channel", "each")])
def test_any_number_of_workers_gives_the_same_rows_and_says_the_same(
    run: Path, tmp_path: Path, words: tuple[object, ...]
) -> None:
    for name in range(3 * predicting.BATCH):
        noise = np.random.default_rng(name).normal(0, 0.1, 9_000)
        sides = [noise, -noise] if name % 5 == 0 else [noise, noise]
        (tmp_path / "clips").mkdir(exist_ok=True)
        encoding.write(tmp_path / "clips" / f"{name:03d}.wav", np.stack(sides, axis=1), 16_000)
    for name in ("010", "070"):
        (tmp_path / "clips" / f"{name}.wav").write_bytes(b"RIFF")
    asked = ("predict", "-m", run / "model", *words, "-v", tmp_path / "clips", "-f", "csv")
    alone, together = (sertool(*asked, "-j", jobs) for jobs in (1, 4))
    assert together.out == alone.out
    assert sorted(together.err.splitlines()) == sorted(alone.err.splitlines())
    assert alone.err.count("010.wav: unreadable") == 1


def test_where_the_system_has_no_locks_for_processes_threads_answer(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    for name in range(2 * predicting.BATCH):
        encoding.write(tmp_path / f"{name}.wav", np.random.default_rng(name).normal(0, 0.1, 9_000), 16_000)
    monkeypatch.setattr(multiprocessing.synchronize.SemLock, "__init__", none)
    done = sertool("predict", "-m", run / "model", tmp_path, "-j", 2)
    assert (done.code, len(rows_of(done.out))) == (0, 2 * predicting.BATCH), done.err


def test_of_long_clips_one_is_heard_at_a_time_and_windows_are_named_before(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, pieces = tmp_path / "log", Session._pieces

    def note(what: str) -> None:
        with log.open("a") as stream:
            stream.write(what)

    def watched(*args: Any) -> Iterator[Any]:
        note("+")
        yield from pieces(*args)
        note("-")

    for name in range(40):
        encoding.write(tmp_path / f"{name}.wav", np.random.default_rng(name).normal(0, 0.1, 40_000), 16_000)
    monkeypatch.setattr(Session, "_pieces", watched)
    monkeypatch.setattr(predicting, "LONG_CLIP_SECONDS", 2.0)
    done = sertool("predict", "-m", run / "model", tmp_path, "-j", 4)
    assert len(rows_of(done.out)) == 40
    assert log.read_text() == "+-" * 40
    assert done.err.count("--window 3 answers part by part") == 1


@pytest.mark.parametrize(
    ("cause", "says"), [(KeyboardInterrupt(), "interrupted"), (SertoolError("a worker is gone"), "a worker is gone")]
)
def test_parquet_that_ends_early_leaves_its_rows_so_far(cause: BaseException, says: str, tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield {"clip": "a", "path": "a.wav", "predicted": "sad", "confidence": 0.9, "p_sad": 0.9}
        if stopped:
            raise cause

    place, stopped = answer_files.AnswerFile(str(tmp_path / "rows.parquet"), "parquet", []), True
    with pytest.raises(SertoolError, match=rf"{says}: .*lies in .*rows\.parquet\.part"):
        answer_files.write(rows(), ["sad"], [], place)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet.part"]
    assert manifest.column(manifest_io.read(str(tmp_path / "rows.parquet.part")), "predicted") == ["sad"]
    stopped = False
    answer_files.write(rows(), ["sad"], [], place)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_parquet_that_cannot_be_written_in_the_end_leaves_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = manifest_io.write

    def refused_once(*arguments: Any) -> None:
        monkeypatch.setattr(manifest_io, "write", written)
        raise SertoolError("no room")

    monkeypatch.setattr(manifest_io, "write", refused_once)
    row = {"clip": "a", "path": "a.wav", "predicted": "sad", "confidence": 0.9, "p_sad": 0.9}
    place = answer_files.AnswerFile(str(tmp_path / "rows.parquet"), "parquet", [])
    with pytest.raises(SertoolError, match=r"no room: .*lies in .*rows\.parquet\.part"):
        answer_files.write(iter([row]), ["sad"], [], place)
    assert manifest.column(manifest_io.read(str(tmp_path / "rows.parquet.part")), "predicted") == ["sad"]


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize(
    ("own", "wanted"), [((1, "one"), ["1", "one"]), ((1, True), ["1", "true"]), ((1, 1.5), [1.0, 1.5])]
)
def test_manifests_whose_own_columns_are_of_different_types_are_answered_together(
    run: Path, tmp_path: Path, kind: str, own: tuple[Any, Any], wanted: list[Any]
) -> None:
    clip = str(next((run / "voices").rglob("*.wav")))
    asked = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for path, value in zip(asked, own, strict=True):
        path.write_text(json.dumps({"clip": path.stem, "path": clip, "take": value}) + "\n")
    done = sertool("predict", "-m", run / "model", *asked, "-o", tmp_path / f"out.{kind}")
    assert done.code == 0, done.err
    assert manifest_io.read(str(tmp_path / f"out.{kind}")).column("take").to_pylist() == wanted


def test_parquet_keeps_the_types_of_a_users_own_columns(run: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(run / "features" / "manifest.parquet")).slice(0, 3)
    own = {"day": pa.array([date(2024, 1, 1)] * 3), "share": pa.array([0.1, 0.2, None], pa.float32()),
           "small": pa.array([1, None, 3], pa.int8()), "key": pa.array([1, 2, 2**64 - 1], pa.uint64())}  # fmt: skip
    for name, values in own.items():
        table = manifest.with_column(table, name, values)
    manifest_io.write(table, str(tmp_path / "own.parquet"), "parquet")
    sertool("predict", "-m", run / "model", tmp_path / "own.parquet", "-o", tmp_path / "out.parquet")
    assert manifest_io.read(str(tmp_path / "out.parquet")).select([*own]).equals(table.select([*own]))


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
def test_parquet_is_the_same_however_many_rows_are_kept_as_a_table_already(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where columns are known of some rows alone."""
    rows = [{"clip": f"c{k}", "path": "", "predicted": "sad", "p_sad": 0.5, **({"issue": "silent"} if k > 4 else {}),
             "own": None if k < 4 else k} for k in range(count)]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    answer_files.write(iter(rows), ["sad"], [], answer_files.AnswerFile("whole.parquet", "parquet", []))
    monkeypatch.setattr(answer_files, "LONG_TABLE_ROWS", 3)
    answer_files.write(iter(rows), ["sad"], [], answer_files.AnswerFile("parts.parquet", "parquet", []))
    whole, parts = (manifest_io.read(f"{name}.parquet") for name in ("whole", "parts"))
    assert whole.column_names == parts.column_names
    assert parts.to_pylist() == whole.to_pylist()


def test_parquet_for_a_pipe_that_is_interrupted_leaves_no_file_beside_it(tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield {"clip": "a", "path": "a.wav", "predicted": "sad", "confidence": 0.9, "p_sad": 0.9}
        raise KeyboardInterrupt

    os.mkfifo(tmp_path / "rows.parquet")
    with pytest.raises(KeyboardInterrupt):
        answer_files.write(rows(), ["sad"], [], answer_files.AnswerFile(str(tmp_path / "rows.parquet"), "parquet", []))
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_who_is_on_another_channel_is_not_taken_for_the_enrolled(run: Path, adaptable: Path, tmp_path: Path) -> None:
    anna = tmp_path / "anna"
    anna.mkdir()
    clips = sorted(sorted((run / "voices").iterdir())[0].glob("*.wav"))[:3]
    for clip in clips:
        shutil.copy(clip, anna)
    voice = soundfile.read(clips[0])[0]
    soundfile.write(tmp_path / "call.wav", np.stack([voice, voice[::-1]], axis=1), 16_000)
    words = ("predict", "-m", adaptable, "--enroll", anna, "--channel", "each", tmp_path / "call.wav")
    held = rows_of(sertool(*words).out)
    assert [(row["channel"], row["speaker"], row["adapted"]) for row in held] == [
        ("1", "anna", "enrolled"),
        ("2", "", ""),
    ]


@pytest.fixture
def sides(run: Path, tmp_path: Path) -> Path:
    """A table that says who is on which channel: one speaker on the left of a call, and on the right of another."""
    voices = [sorted(folder.glob("*.wav"))[:2] for folder in sorted((run / "voices").iterdir())[:2]]
    anna, other = ([soundfile.read(clip)[0][:12_000] for clip in clips] for clips in voices)
    soundfile.write(tmp_path / "a.wav", np.stack([anna[0], other[0]], axis=1), 16_000)
    soundfile.write(tmp_path / "b.wav", np.stack([other[1], anna[1]], axis=1), 16_000)
    heard = {("a", 1): anna[0], ("a", 2): other[0], ("b", 1): other[1], ("b", 2): anna[1]}
    for (call, side), samples in heard.items():
        soundfile.write(tmp_path / f"{call}{side}.wav", samples, 16_000)
    who = [("a", 1, "anna"), ("a", 2, "bob"), ("b", 1, "bob"), ("b", 2, "anna")]
    lines = [f"{call}@{side},{call}.wav,{side},{name}" for call, side, name in who]
    (tmp_path / "sides.csv").write_text("\n".join(["clip,path,channel,speaker", *lines]))
    lines = [f"{call}@{side},{call}{side}.wav,{name}" for call, side, name in who]
    (tmp_path / "alone.csv").write_text("\n".join(["clip,path,speaker", *lines]))
    return tmp_path


@pytest.mark.parametrize("how", [("--adapt", "speaker"), ("--enroll", "alone.csv", "--speakers", "speaker")])
def test_who_a_row_names_is_the_same_on_every_channel_that_rows_name(
    adaptable: Path, sides: Path, monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...]
) -> None:
    monkeypatch.chdir(sides)
    named, alone = (sertool("predict", "-m", adaptable, *how, table) for table in ("sides.csv", "alone.csv"))
    assert "not enrolled" not in named.err
    for one, other in zip(rows_of(named.out), rows_of(alone.out), strict=True):
        assert (one["speaker"], bool(one["adapted"])) == (other["speaker"], True)
        assert probabilities(one) == pytest.approx(probabilities(other), abs=5e-5)


def test_whoever_is_enrolled_is_known_on_the_channel_that_a_row_names(
    run: Path, adaptable: Path, sides: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sides)
    (sides / "anna.csv").write_text("clip,path,channel\na,a.wav,1\nb,b.wav,2\n")
    folder = min((run / "voices").iterdir())
    for words in ((), ("--speakers", "all")):
        done = sertool("predict", "-m", adaptable, "--enroll", folder, *words, "anna.csv")
        assert [row["adapted"] for row in rows_of(done.out)] == ["enrolled"] * 2
        assert "not enrolled" not in done.err


def test_taken_for_one_voice_each_channel_that_rows_name_has_one_of_its_own(
    adaptable: Path, sides: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sides)
    words = ("predict", "-m", adaptable, "--adapt", "speaker", "--speakers", "all")
    named = rows_of(sertool(*words, "sides.csv").out)
    wanted = rows_of(sertool(*words, "--channel", "each", "a.wav", "b.wav").out)
    assert [probabilities(row) for row in named] == [pytest.approx(probabilities(row), abs=5e-5) for row in wanted]


def test_neither_unheard_gaps_nor_the_same_file_again_are_bridged(run: Path, tmp_path: Path) -> None:
    tone = np.sin(np.arange(9 * 16_000) * 2 * np.pi * 300 / 16_000)
    soundfile.write(tmp_path / "x.wav", 0.3 * tone, 16_000)
    asked = ("predict", "-m", run / "model", "--merge", tmp_path / "x.wav")
    apart = rows_of(sertool(*asked, "--window", 1, "--hop", 3).out)
    assert [(float(row["start"]), float(row["end"])) for row in apart] == [(0, 1), (3, 4), (6, 7)]
    for words in (("--window", 1), ("--window", 2, "--hop", 1)):
        once, twice = (rows_of(sertool(*asked, *again, *words).out) for again in ((), (tmp_path / "x.wav",)))
        assert (len(once), twice) == (1, 2 * once)


def test_of_each_channel_windows_are_merged_as_if_it_were_alone(run: Path, tmp_path: Path) -> None:
    _call(run, tmp_path / "call.wav")
    words = ("predict", "-m", run / "model", tmp_path / "call.wav")
    asked = (*words, "--window", 2, "--hop", 1, "--merge", "--channel")
    held = rows_of(sertool(*asked, "each").out)
    for channel, side in (("1", "left"), ("2", "right")):
        own = [row for row in held if row["channel"] == channel]
        assert own == rows_of(sertool(*asked, side).out)
    starts = [float(row["start"]) for row in held]
    assert starts == sorted(starts)


def test_annotations_of_time_have_their_formats(run: Path, tmp_path: Path) -> None:
    _call(run, tmp_path / "call.wav")
    asked = ("predict", "-m", run / "model", tmp_path / "call.wav", "--window", 2, "-f")
    subtitles = sertool(*asked, "srt").out.decode()
    assert subtitles.startswith("1\n00:00:00,000 --> 00:00:")
    sides = sertool(*asked, "srt", "--channel", "each").out.decode()
    assert "\nchannel 1: " in sides
    shutil.copy(tmp_path / "call.wav", tmp_path / "other.wav")
    several = sertool(*asked, "srt", tmp_path / "other.wav")
    assert (several.code, "subtitles are of one file" in several.line) == (2, True)
    assert not several.out  # as nothing was heard for it
    fields = sertool(*asked, "rttm").out.decode().splitlines()[0].split()
    assert (fields[0], len(fields)) == ("SPEAKER", 10)
    voices, rate = soundfile.read(tmp_path / "call.wav")
    soundfile.write(tmp_path / "turned.wav", voices[:, ::-1], rate)
    right = sertool("predict", "-m", run / "model", tmp_path / "turned.wav", "--channel", "right", "-f", "rttm")
    assert right.out.split()[2] == b"2"
    row = {"clip": "a call.wav", "start": 0.0, "end": 1.0, "predicted": "very happy", "confidence": 0.5}
    assert len("".join(streams.rttm([row])).split()) == 10
    grid = sertool(*asked, "textgrid").out.decode().splitlines()
    assert grid[:2] == ['File type = "ooTextFile"', 'Object class = "TextGrid"']
    assert grid[-1] == '""'  # the silence at the end


@pytest.mark.parametrize("kind", ["rttm", "srt", "textgrid"])
def test_annotations_of_time_are_refused_where_nobody_says_when_clips_end(run: Path, kind: str) -> None:
    shard = next((run / "features" / "mel").glob("*.safetensors"))
    done = sertool("predict", "-m", run / "model", shard, "-f", kind)
    assert (done.code, done.out) == (2, b"")
    assert "shards do not say how long clips are: name the audio" in done.err
    known = sertool("predict", "-m", run / "model", run / "features" / "manifest.parquet", "-f", "rttm")
    assert len(known.out.splitlines()) == 32


def test_files_whose_names_differ_by_blanks_alone_are_two_in_rttm() -> None:
    said = {"start": 0.0, "end": 1.0, "predicted": "sad", "confidence": 0.5}
    rows = [{"clip": clip} | said for clip in ("a b.wav", "a_b.wav", "a b.wav", "a  b.wav", "c.wav")]
    names = [line.split()[1] for line in streams.rttm(rows)]
    assert names == ["a_b.wav", "a_b.wav~2", "a_b.wav", "a_b.wav~3", "c.wav"]


@pytest.mark.parametrize("ids", [("call.wav@0.0", "call.wav@3.597"), ("one", "two")])
def test_parts_of_one_file_are_of_one_file(ids: tuple[str, str]) -> None:
    said = {"path": "/calls/call.wav", "predicted": "sad", "confidence": 0.5}
    rows = [{"clip": clip, "start": 3.597 * place, "end": 3.0 + 3 * place} | said for place, clip in enumerate(ids)]
    assert {line.split()[1] for line in streams.rttm(rows)} == {"call.wav"}
    assert "".join(streams.srt(rows)).count("-->") == 2
    grid = "".join(streams.textgrid(rows[::-1])).splitlines()
    assert (grid.count('"IntervalTier"'), grid.count('"call.wav"'), grid.count('"sad"')) == (1, 1, 2)


def test_subtitles_of_parts_are_in_order_of_time_and_those_of_a_file_come_as_they_are_known() -> None:
    said = {"path": "call.wav", "predicted": "sad", "confidence": 0.5}
    rows = [{"clip": f"part{at}", "start": float(at), "end": at + 1.0} | said for at in (4, 0, 2)]
    parts = "".join(streams.srt(rows)).split("\n\n")[:-1]
    assert [part.split("\n")[:2] for part in parts] == [
        [str(number), f"00:00:0{at},000 --> 00:00:0{at + 1},000"] for number, at in ((1, 0), (2, 2), (3, 4))
    ]
    taken: list[int] = []
    windows_of_a_file = (taken.append(at) or row | {"clip": "call.wav"} for at, row in enumerate(rows))
    assert next(streams.srt(windows_of_a_file)).startswith("1\n")
    assert taken == [0]
    of_two = [Request({"clip": "x", "path": path}) for path in ("a.wav", "a.wav", "b.wav")]
    assert [*predict_inputs.of_one_file(of_two[:2])] == of_two[:2]
    with pytest.raises(UsageError, match=r"after a.wav comes b.wav"):
        predict_inputs.of_one_file(of_two)


def test_a_textgrid_of_nothing_heard_is_an_error(run: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"")
    done = sertool("predict", "-m", run / "model", tmp_path / "bad.wav", "-f", "textgrid")
    assert (done.code, done.out) == (1, b"")
    assert "nothing could be heard, and a TextGrid without any time is none" in done.err


def test_times_of_long_audio_keep_their_thousandths() -> None:
    rows = [{"clip": "a", "path": "a", "start": 10_000.25, "end": 10_000.267, "p_sad": 1 / 3, "p_angry": 2e-7}]
    (cells,) = csv.DictReader(io.StringIO("".join(streams.delimited(rows, ["sad", "angry"], [], ","))))
    assert [cells[name] for name in ("start", "end", "p_sad", "p_angry")] == [
        "10000.25", "10000.267", "0.333333", "2e-07",
    ]  # fmt: skip


@pytest.mark.parametrize("separator", [",", "\t"])
def test_rows_stay_rows_whatever_their_cells_hold(separator: str) -> None:
    own = 'a\rb\nc\r\nd"e,f\tg'
    lines = [*streams.delimited([{"clip": "a", "path": "a", "own": own}], ["sad"], [], separator)]
    (row,) = csv.DictReader(io.StringIO("".join(lines), newline=""), delimiter=separator)
    held = manifest_io.decode(pa.py_buffer("".join(lines).encode()), "-")
    assert [row["own"], *manifest.column(held, "own")] == [own, own]
    assert lines[0].endswith("p_sad\n")


def test_a_users_own_numbers_are_written_as_they_are_and_answers_rounded_alike_in_every_text() -> None:
    own = {"pval": 3e-8, "hertz": 440.123456789, "count": 2.0, "many": 1e20}
    row = {"clip": "a", "path": "a", "start": 1 / 3, "end": 20_000 + 1 / 3, "confidence": 2 / 3, "p_sad": 2 / 3e8} | own
    (cells,) = csv.DictReader(io.StringIO("".join(streams.delimited([row], ["sad"], [], ","))))
    known = json.loads("".join(streams.json_lines([row])))
    answers = {"start": 0.333333, "end": 20_000.333333, "confidence": 0.666667, "p_sad": 6.66667e-9}
    for name, value in (own | answers).items():
        assert (name, float(cells[name]), known[name]) == (name, value, value)
    assert cells["count"] == "2"


def test_a_part_without_length_has_no_windows(run: Path, tmp_path: Path) -> None:
    good = next((run / "voices").rglob("*.wav"))
    (tmp_path / "part.csv").write_text(f"clip,path,start,duration\na,{good},0.1,0\n")
    for words in ((), ("--window", 0.2)):
        (row,) = rows_of(sertool("predict", "-m", run / "model", tmp_path / "part.csv", *words).out)
        assert row["issue"] == "empty"


def test_manifests_and_lists_are_known_by_what_is_in_them(run: Path, tmp_path: Path) -> None:
    table, model = run / "features" / "manifest.parquet", ("-m", run / "model")
    wanted = sertool("predict", *model, table).out
    paths = manifest.column(manifest_io.read(str(table)), "path")
    shutil.copy(table, table.with_name("clips.manifest"))
    assert sertool("predict", *model, table.with_name("clips.manifest")).out == wanted
    (tmp_path / "list.txt").write_text("\n".join(paths))
    listed = rows_of(sertool("predict", *model, tmp_path / "list.txt").out)
    assert [row["path"] for row in listed] == paths
    assert {row["issue"] for row in listed} == {""}


@pytest.mark.parametrize(("name", "header"), [("list.txt", ""), ("list", "file\n"), ("clips.2026", "")])
def test_lists_in_files_are_lists_on_stdin(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, header: str
) -> None:
    folder = next((run / "voices").iterdir())
    clip = next(path for path in sorted((run / "voices").rglob("*.wav")) if path.parent != folder)
    monkeypatch.chdir(run)
    (tmp_path / name).write_text(f"{header}{folder.relative_to(run)}\n{clip.relative_to(run)}\n")
    wanted = sertool("predict", "-m", run / "model", stdin=(tmp_path / name).read_bytes())
    done = sertool("predict", "-m", run / "model", tmp_path / name)
    assert done.out == wanted.out
    assert {row["issue"] for row in rows_of(done.out)} == {""}
    assert len(sertool("index", tmp_path / name, "-f", "jsonl").out.splitlines()) == len(rows_of(done.out))


@pytest.mark.parametrize("name", ["list.txt", "calls.LST", "all.list"])
def test_a_list_of_what_is_not_there_is_refused_where_its_name_says_that_it_is_one(
    run: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("a text\nof words\n")
    for words in (("predict", "-m", run / "model"), ("index",)):
        done = sertool(*words, tmp_path / name)
        assert (done.code, f"{tmp_path / name}: no manifest" in done.err) == (1, True)


def test_text_that_strays_among_audio_gets_a_row_and_the_work_goes_on(run: Path, tmp_path: Path) -> None:
    stray = {
        "README.md": "# My calls\n",
        "badges.md": "[![build](x.svg)](x)\n",
        "empty.dat": "",
        "x.m4a": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "y.m4a": "<!DOCTYPE html>\n<html></html>\n",
    }
    for name, text in stray.items():
        (tmp_path / name).write_text(text)
    good = next((run / "voices").rglob("*.wav"))
    done = sertool("predict", "-m", run / "model", *(tmp_path / name for name in stray), good)
    assert done.code == 0, done.err
    found = [row["issue"] for row in rows_of(done.out)]
    assert found == ["unreadable", "unreadable", "empty", "lfs-pointer", "unreadable", ""]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_a_list_from_process_substitution_is_read(run: Path) -> None:
    words = f"{sys.executable} -m sertool predict -m {run / 'model'}"
    line = f"cd {run}; {words} <(ls voices/*/*.wav)"
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert [row["issue"] for row in rows_of(done.stdout)] == [""] * 32


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_a_manifest_from_process_substitution_is_read(run: Path) -> None:
    table, words = run / "features" / "manifest.parquet", f"{sys.executable} -m sertool predict -m {run / 'model'}"
    done = subprocess.run(["bash", "-c", f"{words} <(cat {table})"], capture_output=True, check=True)
    assert len(rows_of(done.stdout)) == 32


def test_what_is_not_there_at_all_is_a_failure(run: Path, tmp_path: Path) -> None:
    good = next((run / "voices").rglob("*.wav"))
    for asked, code in (((tmp_path / "no.wav",), 1), ((tmp_path / "no.wav", good), 0)):
        done = sertool("predict", "-m", run / "model", *asked)
        assert (done.code, rows_of(done.out)[0]["issue"]) == (code, "vanished")
        assert ("nothing of what was asked for is there" in done.err) == bool(code)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_answers_are_not_replaced_by_those_to_a_mistyped_name(kind: str, run: Path, tmp_path: Path) -> None:
    (tmp_path / f"held.{kind}").write_text("older")
    done = sertool("predict", "-m", run / "model", tmp_path / "typo.wav", "-o", tmp_path / f"held.{kind}")
    assert (done.code, done.err.count("nothing of what was asked for is there")) == (1, 1)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["older"]


def test_clips_that_were_enrolled_themselves_are_transductive(run: Path, adaptable: Path) -> None:
    first, *others = sorted(next(folder for folder in (run / "voices").iterdir()).glob("*.wav"))
    words = ("predict", "-m", adaptable, "--enroll", first, first, *others)
    assert [row["adapted"] for row in rows_of(sertool(*words).out)] == ["transductive", *["enrolled"] * len(others)]


def test_parts_of_what_was_enrolled_are_transductive_and_what_lies_beside_it_is_not(
    run: Path, adaptable: Path, tmp_path: Path
) -> None:
    clip = str(next((run / "voices").rglob("*.wav")))
    parts = {"clip": ["a", "b"], "path": [clip] * 2, "start": [0.2, 0.8], "duration": [0.4, 0.4]}
    for name, kept in (("both", slice(0, 2)), ("one", slice(0, 1))):
        rows = {column: values[kept] for column, values in parts.items()}
        manifest_io.write(manifest.from_columns(rows), str(tmp_path / f"{name}.parquet"), "parquet")
    for asked, enrolled, wanted in (("both", clip, ["transductive"] * 2),
                                    ("both", tmp_path / "one.parquet", ["transductive", "enrolled"])):  # fmt: skip
        done = sertool("predict", "-m", adaptable, "--enroll", enrolled, tmp_path / f"{asked}.parquet")
        assert [row["adapted"] for row in rows_of(done.out)] == wanted


@pytest.mark.parametrize(
    ("how", "path", "who"),
    [
        ("parent-folder", "/calls/anna b/0.wav", "anna b"),
        ("parent-folder", "file:///calls/anna%20b/%FF.wav", "anna b"),
        ("J\u00fcrgen_{speaker}.wav", "/calls/Ju\u0308rgen_7.wav", "7"),
    ],
)
def test_a_voice_is_named_alike_however_its_path_is_spelled(how: str, path: str, who: str) -> None:
    assert speaker_answers.naming(how)({"clip": "a", "path": path}) == who


def test_windows_that_end_before_the_models_offset_are_too_short_each_for_itself(run: Path, tmp_path: Path) -> None:
    table = run / "features" / "manifest.parquet"
    made = sertool("featurize", table, "--mfcc", "--stats", "mean", "--offset", 0.5, "-o", tmp_path / "features")
    words = ("-m", "logistic", "--features", "mfcc", "-o", tmp_path / "model")
    assert sertool("train", *words, stdin=made.out).code == 0
    done = sertool("predict", "-m", tmp_path / "model", next((run / "voices").rglob("*.wav")), "--window", 0.4)
    rows = rows_of(done.out)
    assert [row["issue"] for row in rows] == ["too-short"] * len(rows)
    assert [float(row["start"]) for row in rows] == pytest.approx(np.arange(len(rows)) * 0.4)
    assert len(rows) > 1


def test_words_of_a_model_cannot_steer_a_terminal() -> None:
    row = {"clip": "a.wav", "path": "a.wav", "predicted": "\x1b[31mangry", "confidence": 0.9, "top": "\x1b]0;b\a 0.90"}
    assert not {"\x1b", "\a"} & {*"".join(streams.people([row]))}


def test_below_the_threshold_there_is_no_answer(run: Path) -> None:
    clip = next((run / "voices").rglob("*.wav"))
    (row,) = rows_of(sertool("predict", "-m", run / "model", clip, "--threshold", "0.99", "--top", "2").out)
    assert row["predicted"] == ""
    assert row["top"].count(",") == 1
    assert sum(probabilities(row)) == pytest.approx(1, abs=1e-4)


def test_parquet_predictions_go_on_to_eval(run: Path) -> None:
    done = sertool("predict", "-m", run / "model", run / "features" / "manifest.parquet", "-f", "parquet")
    judged = sertool("eval", "-f", "json", stdin=done.out)
    assert judged.code == 0, judged.err


def test_a_terminal_is_spared_parquet(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sertool.talk.to_terminal", lambda: True)
    clip = next((run / "voices").rglob("*.wav"))
    done = sertool("predict", "-m", run / "model", clip, "-f", "parquet")
    assert (done.code, "no text for a terminal" in done.line, done.out) == (2, True, b"")


def test_progress_is_shown_where_stderr_is_a_terminal_and_the_answers_go_elsewhere(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, table = ("predict", "-m", run / "model"), run / "features" / "manifest.parquet"
    clips, count = sorted((run / "voices").rglob("*.wav")), len(manifest_io.read(str(table)))
    assert "predicting" not in sertool(*words, table).err
    monkeypatch.setattr("sertool.talk._is_terminal", lambda stream: stream is sys.stderr)
    assert f"| 0/{count} [" in sertool(*words, table).err
    assert f"| 0/{count + 2} [" in sertool(*words, clips[0], table, clips[1]).err
    seen = sertool(*words, run / "voices", clips[0], "--window", 1).err
    assert re.search(rf"\| \d+/{len(clips) + 1} \[", seen)
    assert f"| 0/{count} [" in sertool(*words, table, "--window", 1).err
    assert "predicting: 0 clips [" in sertool(*words, stdin="\n".join(map(str, clips)).encode()).err
    assert "predicting" not in sertool(*words, table, "-q").err
    monkeypatch.setattr("sertool.talk._is_terminal", lambda stream: True)
    assert "predicting" not in sertool(*words, table).err
    assert f"| 0/{count} [" in sertool(*words, table, "-o", tmp_path / "rows.csv").err


def test_no_progress_stands_among_rows_that_a_pipe_may_bring_to_the_terminal(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("predict", "-m", run / "model", run / "voices")
    monkeypatch.setattr("sertool.talk._is_terminal", lambda stream: stream is sys.stderr)
    monkeypatch.setattr("sertool.talk.to_pipe", lambda: True)
    assert "predicting" not in sertool(*words).err
    assert "predicting" in sertool(*words, "-o", tmp_path / "rows.csv").err
    assert "predicting" in sertool(*words, "-f", "parquet").err  # which comes at the end


def test_windows_of_one_clip_are_one_of_the_clips_that_progress_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    total = iter([None, None, 3])
    clips = iter("aaabb")
    rows = ({"clip": clip, "at": time.sleep(0.11)} for clip in clips)
    assert len([*talk.progress_by(lambda row: row["clip"], rows, lambda: next(total), "predicting")]) == 5
    shown = re.findall(r"predicting:.*?(\d+(?:/3| clips)) .*?(\d answers)?\]", stream.getvalue())
    assert shown[0] == ("0 clips", "")
    assert shown[-1] == ("1/3", "5 answers")


@pytest.mark.slow
def test_each_clip_is_answered_by_the_models_that_held_it_out_alone(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = run / "features" / "manifest.parquet"
    names = [name for name in manifest_io.read(str(table)).column_names if name != "split"]
    bare = tmp_path / "bare.parquet"
    manifest_io.write(manifest_io.read(str(table)).select(names), str(bare), "parquet")
    trained = sertool("train", bare, *LEARNING, "--folds", 4, "--seeds", 2, "-o", tmp_path / "run", "-f", "csv")
    answered, of_clips = [], Predictor.of_clips
    monkeypatch.setattr(Predictor, "of_clips", lambda *args: answered.append(len(args[1])) or of_clips(*args))
    wanted: dict[str, list[list[float]]] = {}
    for row in rows_of(trained.out):
        wanted.setdefault(row["clip"], []).append(probabilities(row))
    done = sertool("predict", "-m", tmp_path / "run", bare)
    assert "trained on" not in done.err
    for row in rows_of(done.out):
        assert row["split"] == "test"
        assert probabilities(row) == pytest.approx(np.mean(wanted[row["clip"]], axis=0), abs=1e-4)
    assert {"_asked"} & {*rows_of(done.out)[0]} == set()
    assert sum(answered) == 32 * 2  # each clip, by the two seeds of one of the four folds


@pytest.mark.slow
def test_copies_have_no_part_in_the_figures_of_a_run_of_folds(run: Path, tmp_path: Path) -> None:
    """Each is answered by whom its clip was held out from, and was in train of all others."""
    folds = sertool("index", run / "voices", "--pattern", PATTERN, "--folds", 4)
    copied = sertool("augment", "-", "--copies", 1, "--noise", 10, stdin=folds.out)
    made = sertool("featurize", "-", "--mel", "--mel-bands", 24, "-o", tmp_path / "features", stdin=copied.out)
    trained = sertool("train", "-", *LEARNING, "-o", tmp_path / "run", stdin=made.out)
    assert trained.code == 0, trained.err
    done = sertool("predict", "-m", tmp_path / "run", tmp_path / "features" / "manifest.parquet", "-f", "parquet")
    assert "neither trained on 32 of 64 clips nor held them out" in done.err
    alone, all_rows = (
        json.loads(sertool("eval", "-f", "json", stdin=out).out)["runs"][0] for out in (trained.out, done.out)
    )
    assert all_rows["leaks"] == []
    scored = [(one["clips"], one["figures"]["uar"]["value"]) for one in (alone, all_rows)]
    assert scored[0] == scored[1]


def test_clips_that_were_trained_on_are_marked_and_eval_leaves_them_out(run: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    bare, wrong = (str(tmp_path / f"{name}.parquet") for name in ("bare", "wrong"))
    manifest_io.write(table.select([name for name in table.column_names if name != "split"]), bare, "parquet")
    manifest_io.write(manifest.with_column(table, "split", ["test"] * 32), wrong, "parquet")
    for model in (run / "model", run / "model" / "seed-0" / "model.safetensors"):
        done = sertool("predict", "-m", model, bare)
        assert "trained on 16 of 32 clips: eval leaves them out unless --split train" in done.err
        parts = {row["clip"]: row["split"] for row in rows_of(done.out)}
        assert parts == dict(zip(*(manifest.column(table, name) for name in ("clip", "split")), strict=True))
    report = json.loads(sertool("eval", "-f", "json", stdin=done.out).out)
    assert report["runs"][0]["coverage"]["rows"] == 8
    assert "neither" not in done.err
    other = tmp_path / "other.wav"
    shutil.copy(next((run / "voices").rglob("*.wav")), other)
    stranger = manifest.from_columns({"clip": ["x"], "path": [str(other)]})
    manifest_io.write(merging.stacked([manifest_io.read(bare), stranger]), bare, "parquet")
    done = sertool("predict", "-m", run / "model", bare)
    assert "neither trained on 1 of 33 clips nor held them out: eval leaves them out unless --where split=" in done.err
    assert rows_of(done.out)[-1]["split"] == ""
    contrary = sertool("predict", "-m", run / "model", wrong)
    assert "trained on 16 clips that the manifest holds out" in contrary.err
    assert {row["split"] for row in rows_of(contrary.out) if parts[row["clip"]] == "train"} == {"train"}
    assert {row["split"] for row in rows_of(contrary.out) if parts[row["clip"]] != "train"} == {"test"}


def _as_new(run: Path) -> Table:
    """The clips of a run as others of the same speakers, in other files."""
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    table = table.drop_columns(["digest", *(name for name in table.column_names if name.startswith("mel_"))])
    shutil.copytree(run / "voices", run / "more", dirs_exist_ok=True)
    paths = [path.replace(str(run / "voices"), str(run / "more")) for path in manifest.column(table, "path")]
    table = manifest.with_column(table, "path", paths)
    return manifest.with_column(table, "clip", [f"new/{clip}" for clip in manifest.column(table, "clip")])


def test_new_clips_are_scored_where_their_speakers_were_held_out(run: Path, tmp_path: Path) -> None:
    """A run knows a voice that it was trained on: figures on more of its clips say nothing of others."""
    new = _as_new(run)
    parts = manifest.column(new, "split")
    manifest_io.write(new.drop_columns(["split"]), str(tmp_path / "bare.parquet"), "parquet")
    done = sertool("predict", "-m", run / "model", tmp_path / "bare.parquet")
    assert "trained on the speakers of 16 of 32 clips: eval leaves them out unless --split train" in done.err
    assert [row["split"] for row in rows_of(done.out)] == parts
    report = json.loads(sertool("eval", "-f", "json", stdin=done.out).out)
    assert report["runs"][0]["coverage"]["rows"] == 8
    manifest_io.write(manifest.with_column(new, "split", ["test"] * 32), str(tmp_path / "wrong.parquet"), "parquet")
    contrary = sertool("predict", "-m", run / "model", tmp_path / "wrong.parquet")
    assert "trained on the speakers of 16 clips that the manifest holds out" in contrary.err


def test_strangers_beside_speakers_that_were_trained_on_can_be_scored_alone(run: Path, tmp_path: Path) -> None:
    table = row_filter.where(_as_new(run), ["split=train"])
    strangers = [who if row % 2 else f"new-{who}" for row, who in enumerate(manifest.column(table, "speaker"))]
    table = manifest.with_column(table, "speaker", strangers).drop_columns(["split"])
    manifest_io.write(table, str(tmp_path / "both.parquet"), "parquet")
    done = sertool("predict", "-m", run / "model", tmp_path / "both.parquet")
    assert "neither trained on 8 of 16 clips nor held them out: eval leaves them out unless --where split=" in done.err
    refused = sertool("eval", stdin=done.out)
    assert (refused.code, "--where split=" in refused.line) == (1, True)
    scored = json.loads(sertool("eval", "--where", "split=", "-f", "json", stdin=done.out).out)
    assert scored["runs"][0]["coverage"]["rows"] == 8


def test_figures_on_the_corpus_of_a_model_without_its_run_come_with_a_warning(run: Path, tmp_path: Path) -> None:
    shutil.copy(run / "model" / "seed-0" / "model.safetensors", tmp_path / "alone.safetensors")
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    bare = table.drop_columns(["split"])
    held = modelfile.read(tmp_path / "alone.safetensors")
    held.trained["corpora"] = {"voices": 16}
    modelfile.write(tmp_path / "alone.safetensors", held)
    for corpus, told in (("voices", True), ("others", False)):
        manifest_io.write(
            manifest.with_column(bare, "corpus", [corpus] * len(table)), str(tmp_path / "b.parquet"), "parquet"
        )
        done = sertool("predict", "-m", tmp_path / "alone.safetensors", tmp_path / "b.parquet")
        assert ("learnt from clips of voices" in done.err) == told


@pytest.mark.parametrize("protocol", ["cremad-nk", "speaker:50/25/25", None])
def test_a_model_alone_marks_the_speakers_of_the_published_split_that_it_names(
    run: Path, tmp_path: Path, protocol: str | None
) -> None:
    model, who = tmp_path / "alone.safetensors", ["cremad:1001", "cremad:1005", "cremad:1004", None]
    held = modelfile.read(run / "model" / "seed-0" / "model.safetensors")
    held.trained |= {"corpora": {"cremad": 16}, "protocol": protocol}
    modelfile.write(model, held)
    table = manifest_io.read(str(run / "features" / "manifest.parquet")).drop_columns(["split"])
    told = {"corpus": ["cremad"] * 32, "speaker": [who[row % 4] for row in range(32)]}
    for name, values in told.items():
        table = manifest.with_column(table, name, values)
    manifest_io.write(table, str(tmp_path / "all.parquet"), "parquet")
    manifest_io.write(row_filter.where(table, ["speaker!="]), str(tmp_path / "named.parquet"), "parquet")
    done = sertool("predict", "-m", model, tmp_path / "all.parquet")
    known = protocol == "cremad-nk"
    parts = [row.get("split", "") for row in rows_of(done.out)[:4]]
    assert parts == (["train", "dev", "test", ""] if known else [""] * 4)
    assert ("trained on 8 of 32 clips, as cremad-nk divides the speakers: eval leaves" in done.err) == known
    assert "which ones is not known here" in done.err
    alone = sertool("predict", "-m", model, tmp_path / "named.parquet")
    assert ("which ones is not known here" in alone.err) == (not known)


def test_files_before_a_manifest_leave_it_its_columns(run: Path, tmp_path: Path) -> None:
    clip, table = next((run / "voices").rglob("*.wav")), run / "features" / "manifest.parquet"
    done = sertool("predict", "-m", run / "model", clip, table)
    first, *others = rows_of(done.out)
    assert (first["path"], first["emotion"], first["speaker"]) == (str(clip), "", "")
    assert all(row["emotion"] and row["speaker"] for row in others)
    piped = sertool("predict", "-m", run / "model", clip, "-", stdin=table.read_bytes())
    assert piped.out == done.out
    assert sertool("eval", stdin=done.out).code == 0


def test_a_manifest_says_where_its_audio_is_or_has_no_answer(run: Path, tmp_path: Path) -> None:
    good = next((run / "voices").rglob("*.wav"))
    (tmp_path / "some.csv").write_text(f"clip,path,emotion\na,,sad\nb,{good},sad\n")
    for words in ((), ("--window", 1)):
        done = sertool("predict", "-m", run / "model", tmp_path / "some.csv", *words)
        assert [row["issue"] for row in rows_of(done.out)][:2] == ["vanished", ""]
    length = soundfile.info(good).duration
    (tmp_path / "end.csv").write_text(f"clip,path,start\na,{good},{length - 1e-5}\nb,{good},0\n")
    ended = rows_of(sertool("predict", "-m", run / "model", tmp_path / "end.csv").out)
    assert [row["issue"] for row in ended] == ["empty", ""]
    (tmp_path / "none.csv").write_text("clip,emotion\na,sad\n")
    refused = sertool("predict", "-m", run / "model", tmp_path / "none.csv")
    assert (refused.code, "without the column path" in refused.line) == (2, True)


def test_no_window_lies_beyond_the_end_of_the_file_that_a_manifest_thinks_longer(run: Path, tmp_path: Path) -> None:
    encoding.write(tmp_path / "call.wav", np.random.default_rng(0).normal(0, 0.1, 40_000).astype(np.float32), 16_000)
    rows = ("a,call.wav,0.5,9", "b,call.wav,7,2", "c,call.wav,-1e300,", "d,call.wav,1.5,inf", "e,call.wav,1,-1")
    (tmp_path / "call.csv").write_text("\n".join(["clip,path,start,duration", *rows, ""]))
    done = sertool("predict", "-m", run / "model", tmp_path / "call.csv", "--window", 1)
    found = [(row["clip"], row["start"], row["end"], row["issue"]) for row in rows_of(done.out)]
    assert found[:2] == [("a", "0.5", "1.5", ""), ("a", "1.5", "2.5", "")]
    others = [(clip, issue) for clip, _, _, issue in found[2:]]
    assert others == [("b", "empty"), ("c", "empty"), ("d", ""), ("e", "empty")]


def test_copies_whose_sound_is_not_made_yet_are_left_out_and_that_is_said(run: Path, tmp_path: Path) -> None:
    table, words = run / "features" / "manifest.parquet", ("--copies", 1, "--noise", "0:5")
    made = sertool("augment", table, *words)
    done = sertool("predict", "-m", run / "model", stdin=made.out)
    assert done.out == sertool("predict", "-m", run / "model", table).out
    assert "16 augmented copies are left out" in done.err
    written = sertool("augment", table, *words, "--write", tmp_path / "copies")
    heard = rows_of(sertool("predict", "-m", run / "model", stdin=written.out).out)
    assert len(heard) == 48
    assert len({row["path"] for row in heard}) == 48


def test_an_empty_folder_gets_a_row_alone_as_beside_others(run: Path, tmp_path: Path) -> None:
    clip = next((run / "voices").rglob("*.wav"))
    alone, beside = (sertool("predict", "-m", run / "model", tmp_path, *more) for more in ((), (clip,)))
    for done in (alone, beside):
        assert done.code == 0
        assert f"warning: no audio under {tmp_path}" in done.err
        assert (rows_of(done.out)[0]["path"], rows_of(done.out)[0]["issue"]) == (str(tmp_path), "empty")
    assert sertool("predict", "-m", run / "model", tmp_path, "--strict").code == 1


def test_an_absent_model_is_one_line(run: Path, tmp_path: Path) -> None:
    assert "no model in" in sertool("predict", "-m", tmp_path, "x.wav").line
    assert "no model nowhere" in sertool("predict", "-m", "nowhere", "x.wav").line
    assert "no model ''" in sertool("predict", "-m", "", "x.wav").line  # what a shell makes of a variable without value
    assert "no model in fold 3" in sertool("predict", "-m", run / "model", "--fold", "3", "x.wav").line


def test_a_folder_that_cannot_be_listed_has_a_row_that_fails_strict(
    run: Path, make: Callable[..., Path], shut: set[str]
) -> None:
    folder = make("den/a/1.wav", "den/b/2.wav") / "den"
    shut.add("b")
    for window in ((), ("--window", 1)):
        done = sertool("predict", "-m", run / "model", folder, "--strict", *window, "-f", "csv")
        assert (done.code, f"cannot look into {folder / 'b'}: permission denied" in done.err) == (1, True)
        assert [(row["clip"], row["issue"]) for row in rows_of(done.out)] == [
            (str(folder / "a" / "1.wav"), ""), (str(folder / "b"), "unreadable"),
        ]  # fmt: skip


def test_what_would_be_passed_over_is_refused(run: Path, tmp_path: Path) -> None:
    model = run / "model" / "seed-0" / "model.safetensors"
    for words, said in (
        (("-m", model, "--hop", 1), "--hop goes with --window"),
        (("-m", model, "--fold", 0), "--fold 0 is for a run's folder, and"),
        (("--fold", 0, "--model-card"), "--fold 0 is for a run's folder, and"),
        (("-m", model, "--top", 2, "-o", tmp_path / "x.rttm"), "--top makes a column, and rttm has no columns"),
        (("-m", model, "--speeds", "1,1.004"), "--speeds 1.004: too near 1"),
        (("-m", model, "-o", tmp_path / "x.json"), "the extension says no format; choose .csv"),
    ):
        done = sertool("predict", *words, *sorted((run / "voices").rglob("*.wav"))[:1])
        assert (done.code, said in done.line) == (2, True)
    assert not [*tmp_path.iterdir()]


def test_a_folder_of_several_runs_is_no_model(run: Path, tmp_path: Path) -> None:
    for name in ("leaky/fold-0/seed-0", "leaky/fold-1/seed-0", "disjoint/seed-0"):
        shutil.copytree(run / "model" / "seed-0", tmp_path / name)
    done = sertool("predict", "-m", tmp_path, "x.wav")
    assert (done.code, "several runs: disjoint, leaky" in done.line) == (2, True)
    assert sertool("predict", "-m", tmp_path / "leaky", next((run / "voices").rglob("*.wav"))).code == 0


def test_a_run_with_models_to_come_says_that_the_others_answer(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "model", tmp_path / "model")
    assert "not trained yet" not in sertool("predict", "-m", tmp_path / "model", "x.wav").err
    (tmp_path / "model" / "seed-1" / "model.safetensors").unlink()
    assert "1 model not trained yet" in (done := sertool("predict", "-m", tmp_path / "model", "x.wav")).err
    assert done.code == 1  # x.wav is not there


@pytest.mark.parametrize(("kind", "columns"), [("csv", {"clip", "issue", "predicted"}), ("parquet", {"clip", "path"})])
def test_no_clips_have_their_columns_all_the_same(run: Path, tmp_path: Path, kind: str, columns: set[str]) -> None:
    done = sertool("predict", "-m", run / "model", "-f", kind, "-0", stdin=b"")
    assert done.code == 0, done.err
    (tmp_path / "none").write_bytes(done.out)
    assert columns <= {*manifest_io.read_table(str(tmp_path / "none")).column_names}


def test_nothing_on_stdin_is_an_error_that_leaves_older_answers(run: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("older")
    done = sertool("predict", "-m", run / "model", "-q", "-o", tmp_path / "a.csv", stdin=b"")
    assert (done.code, (tmp_path / "a.csv").read_text()) == (1, "older")
    assert done.line == "sertool: stdin: empty input; the command that should have written it may have failed"


def test_a_list_whose_lines_end_in_cr_alone_is_answered(run: Path) -> None:
    paths = [str(path) for path in sorted((run / "voices").rglob("*.wav"))[:2]]
    done = sertool("predict", "-m", run / "model", stdin="\r".join([*paths, ""]).encode())
    assert [row["path"] for row in rows_of(done.out)] == paths


def test_a_workbook_is_told_to_be_saved_as_text(run: Path, tmp_path: Path) -> None:
    (tmp_path / "list.xlsx").write_bytes(b"PK\3\4" + bytes(100))
    for words, stdin in (((tmp_path / "list.xlsx",), b""), ((), (tmp_path / "list.xlsx").read_bytes())):
        done = sertool("predict", "-m", run / "model", *words, stdin=stdin)
        assert (done.code, "an Excel workbook, or another archive: save it as CSV" in done.line) == (1, True)


def test_what_is_no_list_of_paths_is_one_line(run: Path) -> None:
    path = next((run / "voices").rglob("*.wav"))
    for piped in (path.read_bytes(), f"{path}\0{path}\0".encode()):
        done = sertool("predict", "-m", run / "model", stdin=piped)
        assert (done.code, "need -0" in done.line, done.out) == (2, True, b"")


def _spoilt(path: Path, change: str) -> None:
    """A model file that is hostile or foreign in one way."""
    held = modelfile.read(path)
    if change == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    elif change == "foreign":
        with path.open("wb") as stream:
            tensorfile.write(stream, {"what": "else"}, {})
    elif change == "pickle":
        path.write_bytes(b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.")
    else:
        values = {"architecture": "os", "columns": 10**9, "labels": ["a"], "temperature": 0.0, "features": {}}
        setattr(held, change, values[change])
        modelfile.write(path, held)


@pytest.mark.parametrize(
    "change", ["cut", "foreign", "pickle", "architecture", "columns", "labels", "temperature", "features"]
)
def test_a_hostile_model_file_is_one_line(run: Path, tmp_path: Path, change: str) -> None:
    path = tmp_path / "model.safetensors"
    shutil.copy(run / "model" / "seed-0" / "model.safetensors", path)
    _spoilt(path, change)
    done = sertool("predict", "-m", path, "x.wav")
    assert done.code in (1, 2)
    assert done.line.startswith("sertool: ")


def test_models_of_different_emotions_are_refused_together(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "model", tmp_path / "model")
    path = tmp_path / "model" / "seed-1" / "model.safetensors"
    held = modelfile.read(path)
    held.labels = held.labels[::-1]
    modelfile.write(path, held)
    assert "different emotions" in sertool("predict", "-m", tmp_path / "model", "x.wav").line


def test_predictions_of_a_manifest_keep_what_it_knows(run: Path) -> None:
    done = sertool("predict", "-m", run / "model", run / "features" / "manifest.parquet", "-f", "jsonl")
    row = json.loads(done.out.splitlines()[0])
    known = manifest.column(manifest_io.read(str(run / "features" / "manifest.parquet")), "speaker")[0]
    assert row["speaker"] == known


def test_predictions_keep_a_users_own_columns_beside_what_else_is_known(run: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    count = len(table)
    own = {"condition": ["a", "b"] * (count // 2), "rating": [*range(count)], "tags": [["x"]] * count,
           "voice": ["low"] * count, "channel": ["?"] * count, "_span": [1] * count}  # fmt: skip
    for name, values in own.items():
        table = manifest.with_column(table, name, values)
    manifest_io.write(table, str(tmp_path / "own.parquet"), "parquet")
    done = sertool("predict", "-m", run / "model", tmp_path / "own.parquet")
    held = rows_of(done.out)
    assert [(row["condition"], row["rating"]) for row in held] == [("ab"[k % 2], str(k)) for k in range(count)]
    assert [row["label"] for row in held] == manifest.column(table, "label")
    names = list(held[0])
    assert {(row["voice"], row["_span"]) for row in held} == {("low", "1")}
    assert not {"tags", "channel"} & {*names}
    assert "left out, for each cell holds more than a word or a number: tags\n" in done.err
    assert names[:2] == ["clip", "path"]
    after = names[names.index("_span") + 1 :]
    assert after[:5] == ["start", "end", "issue", "predicted", "confidence"]
    assert all(float(row["end"]) for row in held)
    scored = sertool("eval", "--by", "condition", stdin=done.out)
    assert (scored.code, b"By condition" in scored.out) == (0, True), scored.err


@pytest.mark.parametrize("name", ["voice", "place", "_span", "_read", "_asked"])
def test_speakers_may_stand_in_a_column_of_any_name(run: Path, adaptable: Path, tmp_path: Path, name: str) -> None:
    one, other = sorted((run / "voices").rglob("*.wav"))[:2]
    (tmp_path / "own.csv").write_text(f"path,{name}\n{one},1\n{other},2\n")
    words = ("predict", "-m", adaptable, "--adapt", "speaker", "--speakers", name, tmp_path / "own.csv")
    held = rows_of(sertool(*words).out)
    assert [(row[name], row["speaker"], row["adapted"]) for row in held] == [
        ("1", "1", "transductive"),
        ("2", "2", "transductive"),
    ]


def test_predictions_of_a_manifest_can_be_set_beside_people(run: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    for name, values in (("votes_voice_angry", [3] * len(table)), ("style", ["speech"] * len(table))):
        table = manifest.with_column(table, name, values)
    manifest_io.write(table, str(tmp_path / "voted.parquet"), "parquet")
    done = sertool("predict", "-m", run / "model", tmp_path / "voted.parquet")
    scored = sertool("eval", "--by", "style", stdin=done.out)
    assert (scored.code, b"people, each vote: UAR" in scored.out) == (0, True), scored.err


# Adapted to who speaks.


@pytest.fixture(scope="module")
def adaptable(run: Path) -> Path:
    """A model that was trained to adapt."""
    words = (*LEARNING, "--adapt", "speaker", "--prior-clips", "2")
    done = sertool("train", run / "features" / "manifest.parquet", *words, "-o", run / "adaptable")
    assert done.code == 0, done.err
    held = ("predict", "-m", run / "adaptable", run / "voices", "--adapt", "speaker", "--speakers", "parent-folder")
    _assert_told_apart(sertool(*held).out)
    return run / "adaptable"


def test_adapted_rows_are_those_that_training_held_out(run: Path, adaptable: Path) -> None:
    trained = manifest_io.read(str(adaptable / "predictions.parquet")).to_pydict()
    done = sertool("predict", "-m", adaptable, "--adapt", "speaker", run / "features" / "manifest.parquet")
    mine = {row["clip"]: row for row in rows_of(done.out)}
    for place, clip in enumerate(trained["clip"]):
        assert mine[clip]["adapted"] == "transductive" == trained["adapted"][place]
        wanted = [trained[name][place] for name in mine[clip] if name.startswith("p_")]
        assert probabilities(mine[clip]) == pytest.approx(wanted, abs=1e-4)


def test_adapted_rows_keep_the_order_also_of_speakers_who_take_turns(
    run: Path, adaptable: Path, tmp_path: Path
) -> None:
    by_speaker = [sorted(folder.glob("*.wav"))[:3] for folder in sorted((run / "voices").iterdir())[:2]]
    asked = [clip for pair in zip(*by_speaker, strict=True) for clip in pair]
    (tmp_path / "bad.wav").write_text("no audio")
    asked.insert(3, tmp_path / "bad.wav")
    words = ("predict", "-m", adaptable, "--adapt", "speaker", "--speakers", "parent-folder")
    held = rows_of(sertool(*words, stdin="\n".join(map(str, asked)).encode()).out)
    assert [row["path"] for row in held] == [str(path) for path in asked]
    assert [row["adapted"] for row in held] == ["transductive"] * 3 + [""] + ["transductive"] * 3
    one_by_one = [row for clips in by_speaker for row in rows_of(sertool(*words, *clips).out)]
    alone = {row["path"]: probabilities(row) for row in one_by_one}
    for row in held:
        if row["predicted"]:
            assert probabilities(row) == pytest.approx(alone[row["path"]], abs=1e-5)


def test_of_clips_whose_speaker_is_not_known_each_window_and_channel_gets_its_row(
    run: Path, adaptable: Path, tmp_path: Path
) -> None:
    for name in ("a.wav", "b_1.wav", "c.wav"):
        _call(run, tmp_path / name)
    words = ("predict", "-m", adaptable, tmp_path, "--window", "1", "--channel", "each")
    adapted = rows_of(sertool(*words, "--adapt", "speaker", "--speakers", "{speaker}_{}.wav").out)
    heard = rows_of(sertool(*words).out)
    names = ("path", "start", "channel")
    assert [[row[name] for name in names] for row in adapted] == [[row[name] for name in names] for row in heard]


def test_an_empty_manifest_has_no_answers_also_adapted(adaptable: Path, tmp_path: Path) -> None:
    (tmp_path / "none.csv").write_text("clip,path,speaker\n")
    for how in ((), ("--adapt", "speaker"), ("--adapt", "speaker", "--speakers", "all")):
        done = sertool("predict", "-m", adaptable, *how, tmp_path / "none.csv")
        assert (done.code, rows_of(done.out), done.out.startswith(b"clip,path,")) == (0, [], True), done.err


def test_a_pattern_and_a_folder_name_the_same_speakers(run: Path, adaptable: Path) -> None:
    words = ("predict", "-m", adaptable, "--adapt", "speaker", run / "voices", "--speakers")
    assert sertool(*words, "parent-folder").out == sertool(*words, "{speaker}/{}.wav").out
    assert "--speakers '{who}.wav': it says nothing of a clip" in sertool(*words, "{who}.wav").line
    assert "it names no {speaker}" in sertool(*words, "{emotion}.wav").line
    assert "nobody says who speaks" in sertool(*words, "{speaker}_{}.mp3").line


def test_what_follows_predictions_has_its_threads_back(run: Path) -> None:
    before = torch.get_num_threads(), sys.getswitchinterval()
    try:
        torch.set_num_threads(3)
        assert sertool("predict", "-m", run / "model", run / "voices").code == 0
        assert (torch.get_num_threads(), sys.getswitchinterval()) == (3, before[1])
    finally:
        torch.set_num_threads(before[0])


def test_all_can_be_taken_for_one_voice_and_keep_their_names(run: Path, adaptable: Path, tmp_path: Path) -> None:
    for clip in (run / "voices").rglob("*.wav"):
        shutil.copy(clip, tmp_path / f"{clip.parent.name}-{clip.name}")
    words = ("predict", "-m", adaptable, "--adapt", "speaker", "--speakers")
    one = rows_of(sertool(*words, "all", tmp_path).out)
    same = rows_of(sertool(*words, "parent-folder", tmp_path).out)
    assert [probabilities(row) for row in one] == [pytest.approx(probabilities(row), abs=1e-6) for row in same]
    assert {row["adapted"] for row in one} == {"as one voice"}
    assert {row["adapted"] for row in same} == {"transductive"}
    assert {row.get("speaker") for row in one} <= {"", None}
    known = sertool(*words, "all", run / "features" / "manifest.parquet", "-f", "jsonl").out.splitlines()
    assert len({json.loads(line)["speaker"] for line in known}) == 4
    told = sertool("predict", *words[1:], "all", run / "features" / "manifest.parquet", "-f", "csv").out
    title = sertool("eval", "--split", "test", stdin=told).out.decode()
    assert "adapted to all clips as one voice (transductive)" in title


def test_enrolled_clips_adapt_as_if_they_had_been_asked_for(run: Path, adaptable: Path) -> None:
    folder = sorted((run / "voices").iterdir())[0]
    words = ("predict", "-m", adaptable, "--speakers", "parent-folder")
    together = rows_of(sertool(*words, "--adapt", "speaker", folder).out)
    done = sertool(*words, "--enroll", folder, run / "voices")
    known = [row for row in rows_of(done.out) if row["speaker"] == folder.name]
    assert [probabilities(row) for row in known] == [pytest.approx(probabilities(row), abs=1e-5) for row in together]
    assert {row["adapted"] for row in rows_of(done.out)} == {"transductive", ""}
    assert "is not enrolled" in done.err
    one_voice = rows_of(sertool("predict", "-m", adaptable, "--enroll", folder, folder).out)
    assert [probabilities(row) for row in one_voice] == [
        pytest.approx(probabilities(row), abs=1e-5) for row in together
    ]
    several = sertool("predict", "-m", adaptable, "--enroll", folder, run / "features" / "manifest.parquet")
    assert "is one voice, and the manifest names several" in several.err


def test_who_is_enrolled_by_a_manifest_is_found_where_the_audio_lies_now(
    run: Path, adaptable: Path, tmp_path: Path
) -> None:
    folder = sorted((run / "voices").iterdir())[0]
    lines = [f"{clip.name},/gone/{folder.name}/{clip.name}\n" for clip in sorted(folder.iterdir())]
    (tmp_path / "own.csv").write_text("".join(["clip,path\n", *lines]))
    words = ("predict", "-m", adaptable, "--enroll")
    wanted = [probabilities(row) for row in rows_of(sertool(*words, folder, folder).out)]
    for asked in (folder, tmp_path / "own.csv"):
        done = sertool(*words, tmp_path / "own.csv", "--root", folder, asked)
        assert done.code == 0, done.err
        assert [probabilities(row) for row in rows_of(done.out)] == wanted
    refused = sertool(*words, folder, "--root", folder, folder)
    assert (refused.code, "it is for audio that a manifest names" in refused.err) == (2, True)


def test_each_of_several_enrolled_speakers_is_known_by_clips_of_its_own(run: Path, adaptable: Path) -> None:
    words = ("predict", "-m", adaptable, "--speakers", "parent-folder", run / "voices")
    together, enrolled = (
        rows_of(sertool(*words, *how).out) for how in (("--adapt", "speaker"), ("--enroll", words[-1]))
    )
    wanted = [pytest.approx(probabilities(row), abs=1e-5) for row in together]
    assert [probabilities(row) for row in enrolled] == wanted


def test_what_has_no_finite_features_is_an_issue_and_changes_nobody(
    run: Path, adaptable: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    clips = sorted((run / "voices").rglob("*.wav"))[:4]
    for clip in clips:
        shutil.copy(clip, tmp_path / f"{clip.parent.name}-{clip.name}")
    adapt, enroll = ("--adapt", "speaker", "--speakers", "all"), ("--enroll", tmp_path)
    before = [rows_of(sertool("predict", "-m", adaptable, *how, tmp_path).out) for how in (adapt, enroll)]
    samples = soundfile.read(clips[0])[0]
    samples[100] = 1e30
    soundfile.write(tmp_path / "z.wav", samples, 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "zz.wav", np.full((16_000, 2), 3e38), 16_000, subtype="FLOAT")
    for how, wanted in zip((adapt, enroll), before, strict=True):
        done = sertool("predict", "-m", adaptable, *how, tmp_path)
        *others, huge, stereo = rows_of(done.out)
        assert others == wanted
        assert huge["issue"] == stereo["issue"] == "not-finite"
        assert not huge["predicted"]
    table = run / "features" / "manifest.parquet"
    made = sertool("featurize", "--rms", "--dtype", "float16", "-o", tmp_path / "rms", table)
    assert sertool("train", *LEARNING, "--features", "rms", "-o", tmp_path / "louder", stdin=made.out).code == 0
    for model in (run / "model", tmp_path / "louder"):
        assert [row["issue"] for row in rows_of(sertool("predict", "-m", model, huge["path"]).out)] == ["not-finite"]
    assert not [warned for warned in recwarn if "sertool" in warned.filename or "numpy" in warned.filename]


def test_enrolled_speakers_are_answered_while_the_last_file_is_unread(run: Path, adaptable: Path) -> None:
    clip = next((run / "voices").rglob("*.wav"))
    other = next(path for path in clip.parent.glob("*.wav") if path != clip)
    command = [sys.executable, "-m", "sertool", "predict", "-m", str(adaptable), "--enroll", str(other), "-"]
    with subprocess.Popen([*command, "-f", "jsonl"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(f"{clip}\n".encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["adapted"] == "enrolled"
        process.stdin.close()


def test_each_channel_of_a_call_is_a_speaker_of_its_own(run: Path, adaptable: Path, tmp_path: Path) -> None:
    _call(run, tmp_path / "call.wav")
    words = ("--adapt", "speaker", "--speakers", "{speaker}.wav", "--window", 2)
    held = rows_of(sertool("predict", "-m", adaptable, tmp_path / "call.wav", *words, "--channel", "each").out)
    left = rows_of(sertool("predict", "-m", adaptable, tmp_path / "call.wav", *words, "--channel", "left").out)
    mine = [row for row in held if row["channel"] == "1" and row["predicted"]]
    assert [probabilities(row) for row in mine] == [probabilities(row) for row in left if row["predicted"]]


def test_of_several_runs_those_adapt_that_can(run: Path, adaptable: Path) -> None:
    words = (run / "voices", "--speakers", "parent-folder")
    both = sertool("predict", "-m", run / "model", "-m", adaptable, "--adapt", "speaker", *words)
    assert "1 of 3 models adapt to who speaks" in both.err
    stranger = rows_of(sertool("predict", "-m", run / "model", run / "voices").out)
    known = rows_of(sertool("predict", "-m", adaptable, "--adapt", "speaker", *words).out)
    for row, *alone in zip(rows_of(both.out), stranger, known, strict=True):
        assert probabilities(row) == pytest.approx(np.mean([*map(probabilities, alone)], axis=0), abs=1e-5)


def test_without_adapting_everybody_is_a_stranger_and_people_with_many_clips_are_told(
    run: Path, adaptable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = next((run / "voices").rglob("*.wav"))
    assert "adapted" not in rows_of(sertool("predict", "-m", adaptable, clip).out)[0]
    for words, at_terminal, is_told in (
        ((run / "voices",), True, True), ((clip,), True, False), ((run / "voices",), False, False),
        ((run / "voices", "--adapt", "speaker", "--speakers", "all"), True, False),
    ):  # fmt: skip
        monkeypatch.setattr(
            "sertool.talk._is_terminal", lambda stream, shown=at_terminal: shown and stream is sys.stderr
        )
        assert ("it took everybody for a stranger" in sertool("predict", "-m", adaptable, *words).err) == is_told
    monkeypatch.undo()
    assert "was not trained with --adapt" in sertool("predict", "-m", run / "model", clip, "--adapt", "speaker").line
    assert "--speakers goes with" in sertool("predict", "-m", adaptable, clip, "--speakers", "parent-folder").line
    column = sertool("predict", "-m", adaptable, run / "features" / "manifest.parquet", "--adapt", "speaker",
                     "--speakers", "actor")  # fmt: skip
    assert "no column actor" in column.line


def test_clips_that_sound_unlike_those_of_the_training_are_told_of(run: Path, adaptable: Path, tmp_path: Path) -> None:
    clips, unlike = sorted((run / "voices").rglob("*.wav"))[:12], "sound unlike those that the model was trained on"
    for place, clip in enumerate(clips):
        samples = soundfile.read(clip)[0]
        hiss = np.diff(np.random.default_rng(place).normal(0, 0.1, len(samples) + 1))
        soundfile.write(tmp_path / f"{place}.wav", samples + hiss, 16_000)
    assert unlike not in sertool("predict", "-m", adaptable, *clips).err
    assert unlike in sertool("predict", "-m", adaptable, tmp_path).err
    assert unlike not in sertool("predict", "-m", adaptable, tmp_path / "1.wav", tmp_path / "2.wav").err
    call = np.concatenate([soundfile.read(tmp_path / f"{place % 12}.wav")[0] for place in range(36)])
    soundfile.write(tmp_path / "call.wav", call, 16_000)
    for window, is_told in ((2.5, True), (1, False)):  # what is cut short sounds unlike any clip
        assert (unlike in sertool("predict", "-m", adaptable, tmp_path / "call.wav", "--window", window).err) == is_told
    assert unlike not in sertool("predict", "-m", adaptable, tmp_path, "--adapt", "speaker", "--speakers", "all").err
    assert unlike not in sertool("predict", "-m", run / "model", tmp_path).err


def test_answers_are_not_written_over_audio_nor_over_what_they_are_about(run: Path, tmp_path: Path) -> None:
    clip = shutil.copy(next((run / "voices").rglob("*.wav")), tmp_path / "x.wav")
    (tmp_path / "clips.csv").write_text("clip,path,mine\na,x.wav,1\n")
    for asked, out in ((clip, clip), (tmp_path, clip), (tmp_path / "clips.csv", tmp_path / "clips.csv")):
        before = Path(out).read_bytes()
        done = sertool("predict", "-m", run / "model", asked, "-f", "csv", "-o", out)
        assert (done.code, "would write over" in done.line, Path(out).read_bytes()) == (2, True, before)


def test_answers_are_not_written_over_what_else_they_are_made_of(run: Path, adaptable: Path, tmp_path: Path) -> None:
    clip, model, own = next((run / "voices").rglob("*.wav")), tmp_path / "model.safetensors", tmp_path / "own.csv"
    shutil.copy(next(adaptable.rglob("model.safetensors")), model)
    own.write_text(f"clip,path\na,{clip}\n")
    for out, words in ((model, ()), (own, ("--enroll", own))):
        before = out.read_bytes()
        done = sertool("predict", "-m", model, clip, *words, "-f", "csv", "-o", out)
        assert (done.code, "would write over" in done.line, out.read_bytes()) == (2, True, before)


def test_answers_are_not_written_over_the_file_that_stdin_is(run: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text(f"clip,path,mine\na,{next((run / 'voices').rglob('*.wav'))},1\n")
    line = f"{sys.executable} -m sertool predict -m {run / 'model'} -o {own} - < {own}"
    done = subprocess.run(line, shell=True, capture_output=True, check=False)
    assert (done.returncode, b"would write over" in done.stderr) == (2, True)
    assert own.read_text().startswith("clip,path,mine\n")


def test_a_card_names_every_command_from_the_folder_to_the_model(run: Path) -> None:
    card = sertool("predict", "-m", run / "model" / "seed-0", "--model-card").out.decode()
    made = [line.removeprefix("- made by: ") for line in card.splitlines() if line.startswith("- made by: ")]
    assert [line.split()[1] for line in made] == ["index", "featurize", "train"]
    assert f"-o {run / 'model'}" in made[-1]


def test_where_nothing_could_be_heard_parquet_has_the_columns_of_answers_all_the_same(
    run: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.wav").write_bytes(b"no audio")
    done = sertool("predict", "-m", run / "model", tmp_path / "bad", "-f", "parquet")
    (tmp_path / "p.parquet").write_bytes(done.out)
    table = manifest_io.read(str(tmp_path / "p.parquet"))
    assert table.schema.field("predicted").type == "string"
    assert {"confidence", "p_angry", "issue"} <= {*table.column_names}


def test_parquet_has_the_same_columns_whatever_became_of_the_clips(run: Path, tmp_path: Path) -> None:
    call = shutil.copy(next((run / "voices").rglob("*.wav")), tmp_path / "call.wav")
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    words = ("predict", "-m", run / "model", "--window", 2, "--channel", "each", "--top", 2, "-f", "parquet")
    schemas = []
    silent, gone = tmp_path / "silent.wav", tmp_path / "gone.wav"
    for asked in ((call,), (silent,), (gone, silent), ()):
        stdin, paths = (b"", asked) if asked else (b"\n", ("-0", "-"))
        sertool(*words, "-o", tmp_path / "p.parquet", *paths, stdin=stdin)
        schemas.append(pq.read_schema(tmp_path / "p.parquet").remove_metadata())
        (tmp_path / "p.parquet").unlink()
    assert all(schema.equals(schemas[0]) for schema in schemas), schemas
    assert {"start", "end", "issue", "channel", "top"} <= {*schemas[0].names}


def test_what_is_named_and_may_not_be_read_gets_a_row_and_the_others_their_answers(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, shut = shutil.copy(next((run / "voices").rglob("*.wav")), tmp_path / "x.wav"), tmp_path / "shut"
    shut.mkdir()
    listing = os.scandir

    def refused(folder: Any) -> Any:
        if Path(folder) == shut:
            raise PermissionError(13, "Permission denied")
        return listing(folder)

    monkeypatch.setattr(os, "access", lambda path, mode, **_: Path(path) != shut)
    monkeypatch.setattr(os, "scandir", refused)
    done = sertool("predict", "-m", run / "model", shut, clip)
    assert [(row["path"], row["issue"]) for row in rows_of(done.out)] == [(str(shut), "unreadable"), (str(clip), "")]
    assert f"warning: cannot read {shut}: permission denied" in done.err
    alone = sertool("predict", "-m", run / "model", shut)
    assert (alone.code, alone.err.splitlines()[-1]) == (1, f"sertool: cannot read {shut}: permission denied")
