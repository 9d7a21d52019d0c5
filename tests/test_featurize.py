"""`sertool featurize`: whatever happens to it, its folder is what an undisturbed run would have left."""

import errno
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile
import torch
from running import ON_LINUX, again, ages, measured, rows, sertool, snapshot

from sertool import (
    audio,
    catalogue,
    dsp,
    effects,
    encoding,
    extract,
    features,
    files,
    locks,
    manifest,
    manifest_io,
    provenance,
    shaping,
    shards,
    synth,
    tasks,
)

pytest_plugins = ("voices",)

ALL = [f"--{name.replace('_', '-')}" for name, held in catalogue.entries("features").items()
       if "CHOICE" not in held.facts]  # fmt: skip
FEW = ("--mel", "--rms")
DRIVER = """
from sertool import extract, shards
shards.CLIPS, extract.BATCH_CLIPS = 5, 2
from sertool.cli import main
main()
"""


@pytest.fixture
def small_shards(monkeypatch) -> None:
    """Shards of five clips, so that there are five of them, and batches of two, so that there are more than workers."""
    monkeypatch.setattr(shards, "CLIPS", 5)
    monkeypatch.setattr(extract, "BATCH_CLIPS", 2)


def process(*arguments: object) -> subprocess.Popen:
    """sertool as a process of its own, with small shards."""
    words = [sys.executable, "-c", DRIVER, *map(str, arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


# What is made.


def test_a_manifest_goes_in_and_a_richer_one_comes_out(voices, tmp_path):
    done = sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    assert done.code == 0
    before, after = manifest_io.read(str(voices)), manifest_io.decode(pa.py_buffer(done.out), "-")
    assert after.select(before.column_names).equals(before)
    assert after.column_names[-3:] == ["mel_shard", "mel_offset", "mel_rows"]
    assert manifest.same_rows(after, manifest_io.read(str(tmp_path / "f" / "manifest.parquet")))
    assert [step["command"].split()[1] for step in provenance.of(after)["chain"]] == ["index", "featurize"]


def test_what_is_stored_is_what_the_feature_computes(voices, tmp_path):
    sertool("featurize", voices, *FEW, "-o", tmp_path / "f")
    engine = extract.Engine(
        extract.Extraction(shaping.Wave(), {name: features.settings(name, {}) for name in ("mel", "rms")})
    )
    for clip in tasks.clips_of(manifest_io.read(str(voices)))[:3]:
        expected = engine.alone(engine.decode(clip))
        for name in ("mel", "rms"):
            assert np.array_equal(rows(tmp_path / "f", name)[clip.name], expected[name])


def test_frames_of_one_channel_are_not_copied_to_be_normalised_or_summarised():
    engine = extract.Engine(extract.Extraction(shaping.Wave(), {"rms": features.settings("rms", {})}))
    frames = torch.ones(5, 1)
    assert engine._made("rms", [frames]).data_ptr() == frames.data_ptr()
    assert torch.equal(engine._made("rms", [frames, 2 * frames]), torch.tensor([[1.0, 2.0]] * 5))


def test_featurize_adds_a_feature_to_a_featurized_manifest(voices, tmp_path):
    first = sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    sertool("featurize", "-", "--rms", "-o", tmp_path / "f", stdin=first.out)
    both = sertool("featurize", voices, *FEW, "-o", tmp_path / "both")
    for name in ("mel", "rms"):
        assert snapshot(tmp_path / "f" / name) == snapshot(tmp_path / "both" / name)
    table = manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))
    assert {"mel_rows", "rms_rows"} <= set(table.column_names)
    assert set(provenance.of(table)["features"]) == {"mel", "rms"}
    assert both.code == 0


def test_a_manifest_that_loses_a_feature_says_so(voices, tmp_path):
    sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    done = sertool("featurize", voices, "--rms", "-o", tmp_path / "f")
    assert "pointed to mel too" in done.err
    assert "(0 made now)" in sertool("featurize", voices, *FEW, "-o", tmp_path / "f").line


def test_a_featurized_manifest_can_be_featurized_again(voices, tmp_path):
    sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    before = ages(tmp_path / "f")
    assert (
        "(0 made now)" in sertool("featurize", tmp_path / "f" / "manifest.parquet", "--mel", "-o", tmp_path / "f").line
    )
    assert ages(tmp_path / "f") == before
    sertool("featurize", tmp_path / "f" / "manifest.parquet", "--mel", "--hop", "256", "-o", tmp_path / "g")
    assert all(
        str(tmp_path / "g") in shard
        for shard in manifest.column(manifest_io.read(str(tmp_path / "g" / "manifest.parquet")), "mel_shard")
    )


def test_parts_of_a_file_are_clips_of_their_own(voices, tmp_path):
    path = manifest.column(manifest_io.read(str(voices)), "path")[0]
    lines = ["clip,path,start,duration", f"a,{path},0.0,0.5", f"b,{path},0.5,0.5", f"c,{path},0.25,0.5"]
    done = sertool("featurize", "-", "--wave", "-o", tmp_path / "f", stdin="\n".join(lines).encode())
    assert done.code == 0, done.err
    held = rows(tmp_path / "f", "wave")
    whole = np.round(audio.decode(path, audio.Cut())[0] * 32768)
    for clip, first in (("a", 0), ("b", 8000), ("c", 4000)):
        assert np.array_equal(held[clip][:, 0], whole[first : first + 8000])


def test_shards_of_a_feature_follow_changes_of_its_numbers_and_no_others_do(monkeypatch):
    extraction = extract.Extraction(shaping.Wave(), {name: features.settings(name, {}) for name in ("mel", "rms")})
    before = {name: extraction.record(name) for name in ("mel", "rms")}
    monkeypatch.setattr(features.load("mel"), "REVISION", 1, raising=False)
    assert [name for name in before if extraction.record(name) != before[name]] == ["mel"]


def test_shards_of_parts_follow_how_their_kind_of_file_is_decoded_and_no_others_do(monkeypatch):
    def known() -> dict[tuple[str, float | None], object]:
        clips = [
            extract.Clip("a", f"a{kind}", start, 1.0, "d") for kind in audio.EXTENSIONS for start in (None, 0.0, 1.0)
        ]
        return {(clip.path, clip.start): tasks._identity(clip) for clip in clips}

    before = known()
    monkeypatch.setattr(audio, "LED_VERSION", audio.LED_VERSION + 1)
    changed = {place for place, held in known().items() if held != before[place]}
    assert changed == {(path, 1.0) for path in ("a.mp3", "a.ogg", "a.oga", "a.opus")}


@pytest.mark.parametrize(
    ("kind", "first"),
    [("csv", b'"clip",'), ("tsv", b'"clip"\t'), ("jsonl", b'{"clip":'), ("parquet", b"PAR1"), ("table", b"clip ")],
)
def test_stdout_has_the_manifest_in_the_format_asked_for(voices, tmp_path, kind, first):
    done = sertool("featurize", voices, "--rms", "-o", tmp_path / "f", "-f", kind)
    assert done.code == 0
    assert done.out.startswith(first)
    assert (tmp_path / "f" / "manifest.parquet").read_bytes().startswith(b"PAR1")


def test_without_a_folder_shards_go_to_features_and_that_is_said(voices, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = sertool("featurize", voices, "--rms")
    assert "in features" in done.line
    assert (tmp_path / "features" / "rms" / "00000.safetensors").exists()


def test_a_folder_that_moves_keeps_its_manifest_valid(copied, tmp_path):
    sertool("featurize", copied, "--rms", "-o", copied.parent / "f")
    before = rows(copied.parent / "f", "rms")
    copied.parent.rename(tmp_path / "moved")
    after = rows(tmp_path / "moved" / "f", "rms")
    assert all(np.array_equal(after[clip], held) for clip, held in before.items())
    done = sertool("featurize", tmp_path / "moved" / "v.parquet", "--rms", "-o", tmp_path / "moved" / "f")
    assert "(0 made now)" in done.line


def test_audio_files_and_folders_and_lists_of_paths_are_taken_as_they_are(voices, tmp_path, monkeypatch):
    clips = sorted((voices.parent / "clips").rglob("*.wav"))[:3]
    monkeypatch.chdir(voices.parent)
    named = sertool("featurize", *clips, "--rms", "-o", tmp_path / "a", "-f", "jsonl")
    listed = sertool(
        "featurize", "--rms", "-o", tmp_path / "b", "-f", "jsonl", stdin="\n".join(map(str, clips)).encode()
    )
    ended = sertool(
        "featurize",
        "-0",
        "--rms",
        "-o",
        tmp_path / "c",
        "-f",
        "jsonl",
        stdin=b"".join(bytes(clip) + b"\0" for clip in clips),
    )
    assert {done.code for done in (named, listed, ended)} == {0}
    assert snapshot(tmp_path / "a" / "rms") == snapshot(tmp_path / "b" / "rms") == snapshot(tmp_path / "c" / "rms")


# A clip's numbers are its own.


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_number_of_jobs(voices, tmp_path, small_shards):
    for jobs in (1, 2, 3, 4):
        assert sertool("featurize", voices, *ALL, "-j", jobs, "-o", tmp_path / str(jobs)).code == 0
    for name in (word.removeprefix("--") for word in ALL):
        first, *others = (snapshot(tmp_path / str(jobs) / name) for jobs in (1, 2, 3, 4))
        assert len(first) == 5
        assert all(other == first for other in others), name


def test_features_do_not_depend_on_batch_mates(voices, tmp_path):
    clip = manifest.column(manifest_io.read(str(voices)), "clip")[7]
    assert sertool("featurize", voices, *ALL, "-o", tmp_path / "all").code == 0
    assert sertool("featurize", voices, *ALL, "--where", f"clip={clip}", "-o", tmp_path / "one").code == 0
    for flag in ALL:
        name = flag[2:].replace("-", "_")
        assert np.array_equal(rows(tmp_path / "one", name)[clip], rows(tmp_path / "all", name)[clip]), name


def test_features_do_not_depend_on_one_another(voices, tmp_path):
    sertool("featurize", voices, *ALL, "-o", tmp_path / "all")
    for name in ("mel", "mfcc", "chroma", "pitch"):
        sertool("featurize", voices, f"--{name}", "-o", tmp_path / name)
        assert snapshot(tmp_path / name / name) == snapshot(tmp_path / "all" / name)


def test_a_random_cut_depends_on_the_clip_and_the_seed_alone(voices, tmp_path):
    how = ("--wave", "--seconds", "0.5", "--fit", "random")
    clip = manifest.column(manifest_io.read(str(voices)), "clip")[5]
    sertool("featurize", voices, *how, "-o", tmp_path / "all")
    sertool("featurize", voices, *how, "--where", f"clip={clip}", "-o", tmp_path / "one")
    sertool("featurize", voices, *how, "--seed", "1", "-o", tmp_path / "seed")
    assert np.array_equal(rows(tmp_path / "one", "wave")[clip], rows(tmp_path / "all", "wave")[clip])
    assert not np.array_equal(rows(tmp_path / "seed", "wave")[clip], rows(tmp_path / "all", "wave")[clip])


# Killed, crowded, repeated.


@pytest.mark.slow
def test_a_killed_featurize_resumes_to_the_same_bytes(voices, tmp_path):
    """Killed after so many shards, or while it writes one, and run again: no byte of the folder tells of it."""
    words = ("featurize", voices, "--mel", "--pitch", "--msf", "-j", "2", "-o", "f")
    for name in ("calm", "rough"):
        (tmp_path / name).mkdir()
    run_in(tmp_path / "calm", words)
    made = tmp_path / "rough" / "f"
    moments = (
        lambda: any(made.rglob("*.part")),
        lambda: len(list(made.rglob("*.safetensors"))) >= random.randint(4, 8),
        lambda: len(list(made.rglob("*.safetensors"))) >= random.randint(9, 14),
    )
    killed = [run_in(tmp_path / "rough", words, moment) for moment in moments]
    assert killed.count(-signal.SIGKILL) >= 2
    for name in ("mel/.00001.safetensors.abc.part", ".manifest.parquet.abc.part"):  # what a kill while it writes leaves
        (made / name).write_bytes(b"half")
    (made / "mel" / "00001.safetensors").unlink()
    run_in(tmp_path / "rough", words)
    assert snapshot(tmp_path / "rough") == snapshot(tmp_path / "calm")


def run_in(folder: Path, words: tuple, moment=None) -> int:
    """The exit code of a process in a folder, killed at a certain moment."""
    command = [sys.executable, "-c", DRIVER, *map(str, words)]
    running = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while moment and running.poll() is None and not moment():
        time.sleep(0.002)
    if moment:
        running.kill()
    _, talk = running.communicate()
    assert running.returncode in (0, -signal.SIGKILL), talk.decode()
    return running.returncode


def test_nothing_left_to_do_touches_nothing(voices, tmp_path, small_shards):
    first = sertool("featurize", voices, *FEW, "-o", tmp_path / "f")
    before = ages(tmp_path / "f")
    second = sertool("featurize", voices, *FEW, "-o", tmp_path / "f")
    assert second.code == 0
    assert ages(tmp_path / "f") == before
    assert "(0 made now)" in second.line
    assert manifest_io.decode(pa.py_buffer(first.out), "-").equals(manifest_io.decode(pa.py_buffer(second.out), "-"))


def test_a_statistic_that_is_named_twice_is_stored_once(voices, tmp_path):
    for name, stats in {"once": "std,mean", "twice": "std,mean,std"}.items():
        assert sertool("featurize", voices, "--rms", "--stats", stats, "-o", tmp_path / name).code == 0
    assert snapshot(tmp_path / "once" / "rms") == snapshot(tmp_path / "twice" / "rms")


def test_no_usable_clip_is_an_error_before_and_after_they_are_looked_at(voices, tmp_path):
    lost = sertool("featurize", voices, "--rms", "--offset", 60, "-o", tmp_path / "f")
    assert (lost.code, lost.out) == (1, b"")
    assert "24 too-short" in lost.err
    refused = "sertool: no usable clip among 24 rows (24 too-short): under 50 ms, or over before --offset"
    assert lost.err.endswith(f"{refused}\n")
    known = sertool("featurize", tmp_path / "f" / "manifest.parquet", "--rms", "-o", tmp_path / "f")
    assert known.line == refused


def test_a_setting_that_makes_no_sense_is_named_once(voices, tmp_path):
    done = sertool("featurize", voices, "--pitch-fmax", 9000, "-o", tmp_path / "f")
    assert done.code == 2
    assert done.line.startswith("sertool: --pitch: fmax 9000 is above half")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--mel", "--n-fft", 256], ["--mel: 13 of 128 mel bands"]),
        (["--mel", "--mfcc", "--n-fft", 256], ["--mel and --mfcc: 13 of 128 mel bands"]),
        (["--mel", "--mfcc", "--n-fft", 256, "--mel-bands", 200], ["--mel: 48 of 200", "--mfcc: 13 of 128"]),
        (["--mel", "--mfcc", "--rms", "--contrast"], []),
    ],
)
def test_mel_bands_that_nothing_falls_into_are_counted_once(voices, tmp_path, words, said):
    done = sertool("featurize", voices, *words, "-o", tmp_path / "f")
    assert done.code == 0
    warned = [line for line in done.err.splitlines() if "stay empty" in line]
    assert len(warned) == len(said)
    assert all(f"warning: {start}" in line for start, line in zip(said, warned, strict=True))
    if warned:
        assert "take fewer (--mel-bands) or a larger --n-fft" in warned[0]


@pytest.mark.parametrize(("words", "idle"), [
    (("-o", "f"), "--out"), (("-f", "csv", "--part", "1/2"), "--format and --part"),
    (("--verify", "3", "--overwrite"), "--verify and --overwrite"),
    (("--values", "v.csv", "--stats", "mean"), "--values"),
])  # fmt: skip
def test_what_a_drawing_would_pass_over_is_refused(voices, tmp_path, monkeypatch, words, idle):
    monkeypatch.chdir(tmp_path)
    done = sertool("featurize", voices, "--rms", "--plot", "p.png", *words)
    assert (done.code, list(tmp_path.iterdir())) == (2, [])
    assert f"--plot draws and stops: leave out {idle}" in done.line


def test_a_dry_run_draws_nothing(voices, tmp_path):
    clip = next((voices.parent / "clips").rglob("*.wav"))
    done = sertool("featurize", clip, "--rms", "--plot", tmp_path / "p.png", "--dry-run")
    assert done.code == 0
    assert f"would draw {clip.parent.name}/{clip.stem} in {tmp_path}/p.png" in done.err
    assert not (tmp_path / "p.png").exists()


def test_a_dry_run_names_every_feature_that_is_asked_for_with_its_shape(voices, tmp_path):
    run = ("featurize", voices, "--rms", "--mel-bands", "40", "-o", tmp_path / "f", "--dry-run")
    assert sertool(*run).line.endswith(": mel (rows of 40 columns), rms (rows of 1 column)")
    assert sertool(*run, "--stats", "mean,std").line.endswith(": mel (1 row of 80 columns), rms (1 row of 2 columns)")
    assert "Settings of --mel (any of them asks for it):" in sertool("featurize", "--help").out.decode()


def test_a_dry_run_touches_nothing(voices, tmp_path, small_shards):
    done = sertool("featurize", voices, "--mel", "-o", tmp_path / "f", "--dry-run")
    assert (done.code, done.out) == (0, b"")
    assert "would make 5 of 5 shards, of 24 clips" in done.line
    assert not (tmp_path / "f").exists()
    sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    (tmp_path / "f" / "mel" / "00003.safetensors").unlink()
    before = ages(tmp_path)
    assert (
        "would make 1 of 5 shards, of 5 clips"
        in sertool("featurize", voices, "--mel", "-o", tmp_path / "f", "--dry-run").line
    )
    assert sertool("featurize", voices, "--mel", "--hop", "256", "-o", tmp_path / "f", "--dry-run").code == 2
    assert ages(tmp_path) == before


def test_a_second_at_work_in_a_folder_is_refused(voices, tmp_path):
    with locks.folder_lock(tmp_path / "f", wait=False):
        done = sertool("featurize", voices, "--rms", "-o", tmp_path / "f")
    assert done.code == 1
    assert "--wait" in done.line


def test_a_second_at_work_in_a_folder_waits_if_asked(voices, tmp_path):
    held, free = threading.Event(), threading.Event()

    def first() -> None:
        with locks.folder_lock(tmp_path / "f", wait=False):
            held.set()
            free.wait(30)

    holder = threading.Thread(target=first)
    holder.start()
    held.wait(30)
    threading.Timer(0.5, free.set).start()
    start = time.monotonic()
    done = sertool("featurize", voices, "--rms", "-o", tmp_path / "f", "--wait")
    holder.join()
    assert done.code == 0
    assert time.monotonic() - start > 0.5


@pytest.mark.slow
def test_parts_that_run_at_once_make_what_one_run_makes(voices, tmp_path, small_shards):
    sertool("featurize", voices, *FEW, "-o", tmp_path / "whole")
    running = [process("featurize", voices, *FEW, "--part", f"{k}/2", "-o", tmp_path / "parts") for k in (1, 2)]
    for part in running:
        _, talk = part.communicate()
        assert part.returncode == 0, talk.decode()
    for name in ("mel", "rms"):
        assert snapshot(tmp_path / "parts" / name) == snapshot(tmp_path / "whole" / name)
    done = sertool(
        "index", *sorted((tmp_path / "parts").glob("manifest-*")), "-o", tmp_path / "parts" / "manifest.parquet"
    )
    assert done.code == 0
    merged, whole = (manifest_io.read(str(tmp_path / name / "manifest.parquet")) for name in ("parts", "whole"))
    assert without_shards(merged).equals(without_shards(whole))
    assert all(
        np.array_equal(rows(tmp_path / "parts", "mel")[clip], held)
        for clip, held in rows(tmp_path / "whole", "mel").items()
    )


def without_shards(table):
    """A table without the columns that differ between folders, or its provenance."""
    return table.drop_columns(["mel_shard", "rms_shard"]).replace_schema_metadata(None)


@pytest.mark.parametrize("n", [2, 7])
def test_every_row_is_in_one_part(copied, tmp_path, small_shards, n):
    """Unusable clips too, and where there are more parts than shards."""
    for number, path in enumerate(sorted((copied.parent / "clips").rglob("*.wav"))):
        if number % 5 in (0, 4):
            path.write_bytes(b"")
    again(copied)
    for k in range(1, n + 1):
        assert sertool("featurize", copied, "--rms", "--part", f"{k}/{n}", "-o", tmp_path / "f").code == 0
    parts = [manifest_io.read(str(path)) for path in sorted((tmp_path / "f").glob("manifest-*"))]
    assert [clip for part in parts for clip in manifest.column(part, "clip")] == manifest.column(
        manifest_io.read(str(copied)), "clip"
    )
    assert sertool("index", *sorted((tmp_path / "f").glob("manifest-*")), "-o", tmp_path / "m.parquet").code == 0


def test_copies_outlive_new_times_of_their_clips_files(copied, tmp_path):
    sertool("augment", copied, "--noise", "10:20", "-o", tmp_path / "m.parquet")
    first = sertool("featurize", tmp_path / "m.parquet", "--rms", "-o", tmp_path / "f")
    before = ages(tmp_path / "f" / "rms")
    for path in (copied.parent / "clips").rglob("*.wav"):
        os.utime(path, (0, 0))
    again = sertool("featurize", tmp_path / "m.parquet", "--rms", "-o", tmp_path / "f")
    assert "(0 made now)" in again.err
    assert again.out == first.out
    assert ages(tmp_path / "f" / "rms") == before


def test_a_part_without_a_shard_says_so(voices, tmp_path):
    first, second = (sertool("featurize", voices, "--rms", "--part", f"{k}/2", "-o", tmp_path) for k in (1, 2))
    assert "nothing is left for part 1-of-2: the clips make 1 shard, which --part does not divide" in first.line
    assert "made now" in second.line


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "-1/2", "1/0", "1/2/3"])
def test_a_part_that_is_none_is_refused(voices, tmp_path, text):
    done = sertool("featurize", voices, "--rms", "--part", text, "-o", tmp_path / "f")
    assert done.code == 2
    assert text in done.line


def test_a_part_of_longer_clips_is_for_a_length(voices, tmp_path):
    done = sertool("featurize", voices, "--mel", "--fit", "middle", "-o", tmp_path / "f")
    assert done.code == 2
    assert "--fit middle goes with --seconds" in done.line
    assert not (tmp_path / "f").exists()
    assert sertool("featurize", voices, "--preset", "acnt", "--fit", "middle", "-o", tmp_path / "f").code == 0


@pytest.mark.parametrize(
    "command", [("index",), ("index", "--dry-run"), ("featurize", "--mel"), ("augment", "--noise", 9)]
)
def test_another_place_of_audio_is_for_manifests(voices, tmp_path, command):
    done = sertool(*command, voices.parent / "clips", "--root", tmp_path)
    assert (done.code, done.out) == (2, b"")
    assert f"--root {tmp_path}: it is for audio that a manifest names, and there is none" in done.line


# Never mixed.


@pytest.mark.parametrize(("change", "named"), [
    (["--mel-bands", "64"], "bands 128, now 64"), (["--hop", "256"], "hop 512, now 256"),
    (["--rate", "8000"], "rate 16000, now 8000"),
    (["--normalize", "min-max"], "normalize [], now ['min-max']"), (["--stats", "mean"], "stats [], now ['mean']"),
    (["--dtype", "float32"], "dtype float16, now float32"), (["--trim", "30"], "trim None, now 30.0"),
    (["--seconds", "9", "--fit", "random", "--seed", "3"], "seconds None, now 9.0"),
])  # fmt: skip
def test_a_changed_setting_is_refused_by_name_and_replaces_if_asked(voices, tmp_path, change, named, small_shards):
    sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    before = snapshot(tmp_path / "f")
    refused = sertool("featurize", voices, "--mel", *change, "-o", tmp_path / "f")
    assert refused.code == 2
    assert named in refused.line
    assert snapshot(tmp_path / "f") == before
    assert sertool("featurize", voices, "--mel", *change, "-o", tmp_path / "f", "--overwrite").code == 0
    sertool("featurize", voices, "--mel", *change, "-o", tmp_path / "fresh")
    assert snapshot(tmp_path / "f" / "mel") == snapshot(tmp_path / "fresh" / "mel")
    held = provenance.of(manifest_io.read(str(tmp_path / "f" / "manifest.parquet")))["features"]["mel"]
    assert held == shards.head_of(tmp_path / "f" / "mel" / "00000.safetensors").settings


def test_an_overwrite_that_was_killed_is_not_taken_for_the_old_or_the_new(voices, tmp_path, small_shards):
    sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    sertool("featurize", voices, "--mel", "--mel-fmin", "50", "-o", tmp_path / "new")
    shutil.copy(tmp_path / "new" / "mel" / "00002.safetensors", tmp_path / "f" / "mel")
    settings = provenance.of(manifest_io.read(str(tmp_path / "f" / "manifest.parquet")))["features"]["mel"]
    with pytest.raises(files.SertoolError, match="other settings"):
        shards.Reader("mel", settings).rows("x", str(tmp_path / "f" / "mel" / "00002.safetensors"), 0, 1)
    assert sertool("featurize", voices, "--mel", "-o", tmp_path / "f").code == 2
    assert sertool("featurize", voices, "--mel", "--mel-fmin", "50", "-o", tmp_path / "f", "--overwrite").code == 0
    assert snapshot(tmp_path / "f" / "mel") == snapshot(tmp_path / "new" / "mel")


def test_other_clips_in_the_same_folder_are_refused(voices, tmp_path):
    sertool("featurize", voices, "--rms", "-o", tmp_path / "f")
    before = snapshot(tmp_path / "f")
    done = sertool(
        "featurize", voices, "--rms", "--where", "emotion=angry", "--where", "speaker~s01", "-o", tmp_path / "f"
    )
    assert done.code == 2
    assert "24 clips, of which 21 are not in this manifest" in done.line
    assert snapshot(tmp_path / "f") == before


def test_a_manifest_mostly_of_other_clips_is_replaced_only_if_asked(voices, tmp_path):
    sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    before, held = snapshot(tmp_path / "f"), tmp_path / "f" / "manifest.parquet"
    few = ("featurize", held, "--rms", "--where", "speaker=clips:s01f", "-o", tmp_path / "f")
    for words in (few, (*few, "--dry-run")):
        refused = sertool(*words)
        assert refused.code == 2
        assert f"{held} holds 24 clips, of which 18 are not in this manifest: choose another folder" in refused.line
        assert snapshot(tmp_path / "f") == before
    assert sertool(*few, "--overwrite").code == 0
    assert len(manifest_io.read(str(held))) == 6


def test_a_manifest_that_loses_clips_says_so_once(voices, tmp_path, small_shards):
    """And that of a part only if no part has them."""
    words = ("featurize", voices, "--rms", "--where", "speaker!=clips:s01f", "-o", tmp_path / "f")
    sertool("featurize", voices, "--rms", "-o", tmp_path / "f")
    first, again = sertool(*words), sertool(*words)
    assert f"{tmp_path}/f/manifest.parquet loses 6 of its 24 clips, such as clips/s01f/" in first.err
    assert " loses " not in again.err
    sertool("featurize", voices, "--rms", "--part", "1/2", "--where", "speaker!=clips:s01f", "-o", tmp_path / "g")
    assert " loses " not in sertool("featurize", voices, "--rms", "--part", "1/2", "-o", tmp_path / "g").err


@pytest.mark.parametrize("check", ["full", "header"])
@pytest.mark.parametrize(("change", "remade"), [("edit", 5), ("remove", 4), ("add", 5), ("none", 0)])
def test_changed_clips_are_computed_again_and_no_others(copied, tmp_path, small_shards, change, remade, check):
    again(copied, "--check", check)
    sertool("featurize", copied, *FEW, "-o", tmp_path / "f")
    last = sorted((copied.parent / "clips").rglob("*.wav"))[-1]
    if change == "edit":
        encoding.write(sorted((copied.parent / "clips").rglob("*.wav"))[2], synth.voice(7, "sad", 9), 16000)
    elif change == "remove":
        last.unlink()
        remade -= 1
    elif change == "add":
        encoding.write(last.with_name("neutral_9_0.wav"), synth.voice(7, "sad", 8), 16000)
    again(copied, "--check", check)
    done = sertool("featurize", copied, *FEW, "-o", tmp_path / "f")
    assert f"({remade} made now)" in done.err
    sertool("featurize", copied, *FEW, "-o", tmp_path / "fresh")
    for name in ("mel", "rms"):
        assert snapshot(tmp_path / "f" / name) == snapshot(tmp_path / "fresh" / name)


@pytest.mark.parametrize("damage", ["missing", "cut", "altered", "header", "empty", "folder"])
def test_a_damaged_shard_is_made_again(voices, tmp_path, small_shards, damage):
    sertool("featurize", voices, *FEW, "-o", tmp_path / "f")
    sound = snapshot(tmp_path / "f")
    path = tmp_path / "f" / "mel" / "00002.safetensors"
    spoil(path, damage)
    done = sertool("featurize", voices, *FEW, "-o", tmp_path / "f")
    assert done.code == 0
    assert "(5 made now)" in done.line
    assert snapshot(tmp_path / "f") == sound


def spoil(path: Path, damage: str) -> None:
    held = bytearray(path.read_bytes())
    if damage == "altered":
        held[-100] ^= 4
    elif damage == "header":
        held[200] ^= 1
    path.unlink()
    if damage != "missing":
        path.write_bytes({"cut": held[:-50], "empty": b"", "folder": b"x"}.get(damage, held))


@pytest.mark.parametrize(("name", "settings", "most"), [
    ("mel", {}, 1024), ("mel", {"n_fft": 512, "hop": 160}, 1024), ("mel", {"hop": 16}, 285), ("wave", {}, 1024),
    ("msf", {}, 1024), ("msf", {"hop_seconds": 0.001}, 154),
])  # fmt: skip
def test_shards_hold_1024_clips_or_as_many_as_take_256_mb(tmp_path, name, settings, most):
    clips = {"clip": list(map(str, range(2000))), "path": ["x"] * 2000, "duration": [3.5] * 2000}
    extraction = extract.Extraction(shaping.Wave(), {name: features.settings(name, settings)})
    plan = tasks.ShardPlan(manifest.from_columns(clips), extraction, tmp_path)
    assert {len(task) for task in plan.tasks[:-1]} == {most}
    width = len(features.load(name).Feature(extraction.features[name], 16_000).columns)
    hop = settings.get("hop_seconds", settings.get("hop", 512) / 16_000)
    assert name == "wave" or most * 3.5 * width / hop * np.dtype(extraction.stored(name)).itemsize <= 256e6


def test_shards_beyond_the_last_are_removed(voices, tmp_path, small_shards):
    sertool("featurize", voices, "--rms", "-o", tmp_path / "f")
    sertool("featurize", voices, "--rms", "--where", "speaker!=clips:s04m", "-o", tmp_path / "f")
    sertool("featurize", voices, "--rms", "--where", "speaker!=clips:s04m", "-o", tmp_path / "fresh")
    assert snapshot(tmp_path / "f" / "rms") == snapshot(tmp_path / "fresh" / "rms")


def test_files_beside_shards_that_are_none_are_left_alone(voices, tmp_path):
    (tmp_path / "f" / "rms").mkdir(parents=True)
    others = [tmp_path / "f" / "rms" / name for name in ("base.safetensors", "7.safetensors", "00000.part")]
    for path in others:
        path.write_bytes(b"weights")
    for _ in range(2):
        assert sertool("featurize", voices, "--rms", "-o", tmp_path / "f").code == 0
        assert {path.read_bytes() for path in others} == {b"weights"}


# Clips that cannot be used.


@pytest.fixture
def spoilt(copied) -> Path:
    """A manifest of 24 sound clips of which three were spoilt since."""
    first, second, third, *_ = sorted((copied.parent / "clips").rglob("*.wav"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:3000])
    third.write_text("not audio")
    return copied


def test_a_clip_that_cannot_be_decoded_becomes_an_issue_row(spoilt, tmp_path, small_shards):
    done = sertool("featurize", spoilt, *FEW, "-o", tmp_path / "f")
    table = manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))
    assert done.code == 0
    assert manifest.column(table, "issue")[:4] == ["vanished", "truncated", "unreadable", None]
    assert manifest.column(table, "mel_shard")[:3] == [None] * 3
    assert manifest.column(table, "mel_offset")[3] == 0
    assert len(table) == 24
    for word in ("vanished", "truncated", "unreadable", "mel, rms of 21 clips", "(21 made now); 3 set aside"):
        assert word in done.err


def test_strict_makes_a_set_aside_clip_a_failure(spoilt, voices, tmp_path):
    assert sertool("featurize", spoilt, "--rms", "-o", tmp_path / "f", "--strict").code == 1
    assert len(manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))) == 24
    assert sertool("featurize", voices, "--rms", "-o", tmp_path / "g", "--strict").code == 0


def test_why_a_clip_is_set_aside_is_said_in_detail(spoilt, tmp_path):
    done = sertool("featurize", spoilt, "--rms", "-o", tmp_path / "f", "-v")
    assert "neutral_0_0.wav: unreadable: " in done.err or "angry_2_0.wav: unreadable: " in done.err


def test_a_clip_that_comes_back_is_computed_without_being_asked_for(spoilt, voices, tmp_path, small_shards):
    sertool("featurize", spoilt, *FEW, "-o", tmp_path / "f")
    assert "(0 made now)" in sertool("featurize", spoilt, *FEW, "-o", tmp_path / "f").err
    shutil.copytree(voices.parent / "clips", spoilt.parent / "clips", dirs_exist_ok=True)
    done = sertool("featurize", spoilt, *FEW, "-o", tmp_path / "f")
    assert "(5 made now)" in done.line
    sertool("featurize", voices, *FEW, "-o", tmp_path / "fresh")
    assert snapshot(tmp_path / "f" / "mel") == snapshot(tmp_path / "fresh" / "mel")
    assert manifest.usable(manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))).all()


def made_louder(copied: Path, factor: float, row: int = 1) -> str:
    """The name of a clip that was made so much louder, in a file of floats."""
    clip = tasks.clips_of(manifest_io.read(str(copied)))[row]
    wave = np.float32(factor) * audio.decode(clip.path, audio.Cut())[0]
    soundfile.write(clip.path, wave, 16_000, format="WAV", subtype="FLOAT")
    again(copied)
    return clip.name


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("words", [("--rms",), ("--mel",), ("--msf", "--zcr"), ("--mel", "--stats", "mean,std")])
@pytest.mark.usefixtures("small_shards")
def test_a_clip_whose_features_are_no_numbers_is_set_aside(copied, tmp_path, jobs, words, recwarn):
    name = made_louder(copied, 1e30)
    done = sertool("featurize", copied, *words, "-j", jobs, "-o", tmp_path / "f")
    assert done.code == 0, done.err
    table = manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))
    issues = dict(zip(manifest.column(table, "clip"), manifest.column(table, "issue"), strict=True))
    assert {clip: issue for clip, issue in issues.items() if issue} == {name: "not-finite"}
    feature = words[0].strip("-")
    held = rows(tmp_path / "f", feature)
    assert len(held) == 23
    assert all(np.isfinite(values).all() for values in held.values())
    assert [str(one.message) for one in recwarn if one.category is not DeprecationWarning] == []  # which nobody sees
    before = ages(tmp_path / "f")
    assert "(0 made now)" in sertool("featurize", copied, *words, "-o", tmp_path / "f").err
    assert ages(tmp_path / "f").items() >= before.items()


def test_such_a_clip_spoils_nobody_in_its_batch(copied):
    extraction = extract.Extraction(shaping.Wave(), {name: features.settings(name, {}) for name in ("mel", "rms")})
    alone, together = extract.Engine(extraction), extract.Engine(extraction)
    together.batches_on_device = True
    name, clips = made_louder(copied, 1e30), tasks.clips_of(manifest_io.read(str(copied)))
    for clip, one, other in zip(clips, *(extract.rows_of(each, clips, 2) for each in (alone, together)), strict=True):
        assert one.issue == other.issue == ("not-finite" if clip.name == name else None)
        for feature, values in one.values.items():
            assert np.allclose(values, other.values[feature], rtol=1e-3, atol=0.06)


@pytest.mark.parametrize("gathers", [False, True])
def test_the_clip_whose_values_a_type_cannot_hold_is_named(copied, gathers):
    settings = {"mel": features.settings("mel", {"scale": "power"})}
    engine = extract.Engine(extract.Extraction(shaping.Wave(), settings, dtype="float16"))
    engine.batches_on_device = gathers
    name = made_louder(copied, 1e4, row=5)
    with pytest.raises(extract.TooLarge, match=f"^{name}: mel has values that float16 cannot hold: use --dtype"):
        list(extract.rows_of(engine, tasks.clips_of(manifest_io.read(str(copied))), 2))


def test_a_file_that_is_another_than_was_indexed_is_set_aside(copied, tmp_path):
    """Else a row could have one feature of the old sound and another of the new."""
    sertool("index", copied.parent, "-o", tmp_path / "clips.parquet")
    sertool("featurize", tmp_path / "clips.parquet", "--rms", "-o", tmp_path / "f")
    path = sorted(copied.parent.rglob("*.wav"))[0]
    encoding.write(path, np.random.default_rng(0).normal(0, 0.1, 40_000), 16_000)
    again = sertool("featurize", tmp_path / "f" / "manifest.parquet", "--rms", "--zcr", "-o", tmp_path / "f")
    table = manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))
    assert manifest.column(table, "issue").count("changed") == 1
    assert "the file is another than was indexed: index again, with --update" in again.err
    fresh = sertool("index", copied.parent, "--update", tmp_path / "f" / "manifest.parquet")
    made = sertool("featurize", "-", "--rms", "--zcr", "-o", tmp_path / "f", stdin=fresh.out)
    assert (made.code, "set aside" in made.err) == (0, False), made.err


def test_another_sound_of_the_same_size_is_noticed_and_the_same_sound_of_another_age_is_none(copied, tmp_path):
    """Sound that was made softer is exported over it; and a corpus is copied without its files' ages."""
    words = ("featurize", copied, "--rms", "--stats", "mean", "-o", tmp_path / "f")
    sertool(*words)
    path = sorted((copied.parent / "clips").rglob("*.wav"))[0]
    os.utime(path, ns=(0, 0))
    assert "(0 made now)" in sertool(*words).line
    encoding.write(path, 0.1 * audio.decode(str(path), audio.Cut())[0], 16_000)
    again = sertool(*words).err
    assert "(0 made now)" in again
    assert "1 clip changed since what was indexed had its features made, such as clips/s01f/angry_0_0" in again
    assert "1 changed" in sertool(*words[:-1], tmp_path / "anew").err


@pytest.mark.parametrize("share", [0, 1])
def test_copies_are_not_made_again_where_their_clips_are_of_another_age(copied, tmp_path, share):
    words = ("augment", copied, "--gain", 3, "--share", share, "-o", tmp_path / "a.parquet")
    features = ("featurize", tmp_path / "a.parquet", "--rms", "-o", tmp_path / "f")
    assert (sertool(*words).code, sertool(*features).code) == (0, 0)
    for path in (copied.parent / "clips").rglob("*.wav"):
        os.utime(path, ns=(0, 0))
    assert "(0 made now)" in sertool(*features).line


def test_clips_that_all_vanished_are_an_error_and_a_manifest_of_issues(copied, tmp_path):
    shutil.rmtree(copied.parent / "clips")
    done = sertool("featurize", copied, "--mel", "-o", tmp_path / "f")
    assert (done.code, done.out) == (1, b"")
    assert set(manifest.column(manifest_io.read(str(tmp_path / "f" / "manifest.parquet")), "issue")) == {"vanished"}
    again = sertool("featurize", tmp_path / "f" / "manifest.parquet", "--rms", "-o", tmp_path / "g")
    assert (again.code, "no usable clip among 24 rows (24 vanished): " in again.line, "--root" in again.line) == (
        1, True, True,
    )  # fmt: skip


def test_a_clip_that_ends_before_the_offset_is_set_aside(voices, tmp_path):
    lengths = manifest.column(manifest_io.read(str(voices)), "duration")
    offset = sorted(lengths)[10]
    done = sertool("featurize", voices, "--rms", "--offset", offset, "--seconds", "1", "-o", tmp_path / "f")
    table = manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))
    assert done.code == 0
    assert [issue == "too-short" for issue in manifest.column(table, "issue")] == [
        length <= offset for length in lengths
    ]
    assert "under 50 ms, or over before --offset" in done.err


# When the machine gives out.


def test_a_full_disk_is_one_clear_error_and_what_is_whole_stays(voices, tmp_path, small_shards, monkeypatch):
    sertool("featurize", voices, "--mel", "-o", tmp_path / "fresh")
    written, fsync = [], os.fsync

    def full_after_two(handle: int) -> None:
        written.append(handle)
        if len(written) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full_after_two)
    done = sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    assert done.code == 1
    assert "is full: make room and run the same command again" in done.line
    left = snapshot(tmp_path / "f" / "mel")
    assert len(left) == 2
    assert left.items() <= snapshot(tmp_path / "fresh" / "mel").items()
    monkeypatch.setattr(os, "fsync", fsync)
    assert "(14 made now)" in sertool("featurize", voices, "--mel", "-o", tmp_path / "f").line
    assert snapshot(tmp_path / "f" / "mel") == snapshot(tmp_path / "fresh" / "mel")


def test_what_stands_in_the_way_is_one_clear_error(voices, tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "rms").write_text("a file where a folder should be")
    done = sertool("featurize", voices, "--rms", "-o", tmp_path / "f")
    assert done.code == 1
    assert "cannot write" in done.line


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits on the size of files are POSIX's")
def test_a_file_that_may_not_grow_is_one_clear_error(voices, tmp_path):
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));{DRIVER}"
    words = [sys.executable, "-c", limited, "featurize", voices, "--mel", "-o", tmp_path / "f"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert list(snapshot(tmp_path / "f")) == [".lock"]


def test_a_device_without_memory_for_the_batch_halves_it_and_goes_on(voices, monkeypatch):
    extraction = extract.Extraction(shaping.Wave(channels="stereo"), {"mel": features.settings("mel", {})})
    engine = extract.Engine(extraction)
    waves = [engine.decode(clip) for clip in tasks.clips_of(manifest_io.read(str(voices)))[:7]]
    sizes, compute = [], dsp.compute_packed

    def scant(made, channels):
        sizes.append(len(channels))
        if len(channels) > 4:
            raise torch.OutOfMemoryError("no memory")
        return compute(made, channels)

    monkeypatch.setattr(dsp, "compute_packed", scant)
    halved = engine.packed(waves)
    assert sizes == [14, 6, 2, 4, 8, 4, 4]
    for wave, held in zip(waves, halved, strict=True):
        assert np.allclose(held["mel"], engine.alone(wave)["mel"], atol=0.06)
    monkeypatch.setattr(dsp, "compute_packed", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("none")))
    with pytest.raises(files.SertoolError, match="--device cpu"):
        engine.packed(waves)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said_in_one_line(voices, tmp_path):
    done = sertool("featurize", voices, "--mel", "--device", "cuda", "-o", tmp_path / "f")
    assert done.code == 2
    assert "choose auto, cpu" in done.line


@pytest.mark.parametrize(
    ("torch_version", "audio_version"),
    [("2.15.0+cu130", "2.11.0"), ("2.10.1", "2.11.0"), ("2.14.1", "2.9.0"), ("2.14.1", None)],
)
def test_a_torchaudio_that_does_not_fit_is_said_in_one_line(
    voices, tmp_path, monkeypatch, torch_version, audio_version
):
    monkeypatch.setattr(torch, "__version__", torch_version)
    monkeypatch.setattr("sertool.device.version_of", lambda _: audio_version)
    done = sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    assert done.code == 1
    assert torch_version in done.line
    assert "pip install" in done.line


def test_a_torch_that_does_not_load_is_said_in_one_line(voices, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    done = sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    assert done.code == 1
    assert "torch cannot be loaded" in done.line


@pytest.mark.parametrize(
    "error", ["ImportError('libtorch.so: undefined symbol: x')", "OSError('libcudart.so.13: gone')"]
)
@pytest.mark.parametrize("command", [("featurize", "--mel"), ("predict",)])
def test_a_process_says_in_one_line_that_torch_does_not_load(voices, tmp_path, error, command):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(f"raise {error}")
    done = subprocess.run(
        [sys.executable, "-m", "sertool", *command, voices], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert 'install it again; torch with pip install "torch' in done.stderr
    assert len(done.stderr.splitlines()) == 1


# Inputs.


@pytest.mark.parametrize(("held", "said"), [
    (b"", "empty input"), (b"PAR1" + bytes(50), "parquet"), (b"a,b\n1,2\n", ""), (b'{"path": 3', "jsonl"),
    (bytes(range(256)) * 9, "neither a manifest"), (b"path\n", "nothing to do"),
    (b"no/such/file.wav\n", "no such file"),
])  # fmt: skip
def test_what_is_no_manifest_is_refused_in_one_line(tmp_path, held, said):
    done = sertool("featurize", "-", "--rms", "-o", tmp_path / "f", stdin=held)
    assert done.code in (1, 2)
    assert said in done.line
    assert not (tmp_path / "f").exists()


def test_a_manifest_that_was_cut_is_refused_wherever_it_was_cut(voices, tmp_path):
    whole = voices.read_bytes()
    for length in range(4, len(whole), len(whole) // 20):
        done = sertool("featurize", "-", "--rms", "-o", tmp_path / "f", stdin=whole[:length])
        assert done.code == 1
        assert "parquet" in done.line


def test_a_table_with_nothing_but_paths_is_enough(voices, tmp_path):
    paths = manifest.column(manifest_io.read(str(voices)), "path")[:4]
    done = sertool("featurize", "-", "--rms", "-o", tmp_path / "f", stdin="\n".join(["path", *paths]).encode())
    assert done.code == 0, done.err
    assert len(rows(tmp_path / "f", "rms")) == 4


def test_names_of_any_kind_are_computed(tmp_path):
    voice = synth.voice(0, "angry", 0)
    for name in ("a b.wav", "q\"'.wav", "new\nline.wav", "\u2764\ufe0f.wav", os.fsdecode(b"\xff\xfe.wav")):
        encoding.write(tmp_path / "angry" / name, voice, 16000)
    done = sertool("featurize", tmp_path / "angry", "--rms", "-o", tmp_path / "f", "-f", "jsonl")
    assert done.code == 0, done.err
    assert len(rows(tmp_path / "f", "rms")) == 5
    assert "(0 made now)" in sertool("featurize", tmp_path / "angry", "--rms", "-o", tmp_path / "f").err


# Long ones.


@pytest.mark.parametrize("words", [
    [], ["--trim", "30", "--offset", "0.1", "--channels", "stereo"], ["--rate", "22050"],
    *(pytest.param(words, marks=pytest.mark.slow) for words in (
        ["--remove-dc"], ["--channels", "stereo"], ["--seconds", "1", "--fit", "middle"],
        ["--seconds", "9", "--fit", "random"], ["--no-center"], ["--edges", "reflect"],
        ["--rate", "8000", "--channels", "left"],
    )),
])  # fmt: skip
def test_long_clips_that_pass_in_pieces_give_the_rows_of_the_whole(tmp_path, monkeypatch, words):
    voice = np.concatenate([synth.voice(0, "angry", sentence) for sentence in range(2)])
    encoding.write(tmp_path / "angry" / "a.wav", np.stack([voice, 0.5 * voice[::-1] + 0.05], axis=1), 16_000)
    flags = [flag for flag in ALL if flag != "--wave" or not words]
    assert sertool("featurize", tmp_path / "angry", *flags, *words, "-o", tmp_path / "whole").code == 0
    monkeypatch.setattr(extract, "LONG_CLIP_SAMPLES", 1000)
    monkeypatch.setattr(audio, "BLOCK_VALUES", 3000)
    done = sertool("featurize", tmp_path / "angry", *flags, *words, "-o", tmp_path / "pieces")
    assert done.code == 0, done.err
    for flag in flags:
        name = flag[2:].replace("-", "_")
        whole, pieces = rows(tmp_path / "whole", name), rows(tmp_path / "pieces", name)
        for clip, held in whole.items():
            spread = np.maximum(np.abs(held), held.std(axis=0, dtype=np.float64)) if "--rate" in words else 0.0
            assert np.all(np.abs(pieces[clip] - held) <= 1e-3 * spread), name


def test_a_long_clip_that_cannot_be_decoded_becomes_an_issue_row(spoilt, tmp_path, monkeypatch):
    monkeypatch.setattr(extract, "LONG_CLIP_SAMPLES", 1000)
    sertool("featurize", spoilt, "--rms", "-o", tmp_path / "f")
    table = manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))
    assert manifest.column(table, "issue")[:4] == ["vanished", "truncated", "unreadable", None]


def test_long_copies_that_were_written_pass_in_pieces_too(voices, monkeypatch):
    monkeypatch.setattr(extract, "LONG_CLIP_SAMPLES", 1000)
    clip, chain = tasks.clips_of(manifest_io.read(str(voices)))[0], effects.text([{"effect": "polarity"}])
    written, pending = (replace(clip, augmentation=text) for text in (effects.written(chain), chain))
    assert not isinstance(extract._channels(written, shaping.Wave()), torch.Tensor)
    assert isinstance(extract._channels(pending, shaping.Wave()), torch.Tensor)


GREATEST = 1.5e9  # bytes of memory


@pytest.mark.slow
@ON_LINUX
@pytest.mark.parametrize(("hours", "rate", "channels", "words"), [
    (3, 16000, 1, ("--mel", "--rms", "--zcr")), (1, 44100, 2, ("--mel",)),
    (1, 44100, 2, ("--mel", "--channels", "stereo", "--rate", "44100")), (3, 16000, 1, ("--preset", "mel-min-max")),
    (3, 16000, 1, ("--wave",)), (3, 16000, 1, ("--pitch",)), (3, 16000, 1, ("--msf",)),
])  # fmt: skip
def test_hours_of_audio_take_little_memory(tmp_path, hours, rate, channels, words):
    write_hours(tmp_path / "long.wav", hours, rate, channels)
    done, peak = measured("featurize", "long.wav", *words, "-o", "f", cwd=tmp_path)
    assert done.code == 0, done.err
    assert peak < GREATEST


def write_hours(path: Path, hours: int, rate: int, channels: int) -> None:
    """The same minute of speech again and again."""
    voices = [synth.voice(speaker, "angry", sentence, rate=rate) for speaker in range(2) for sentence in range(8)]
    minute = np.resize(np.concatenate(voices), 60 * rate)
    minute = (32767 * np.stack([minute] * channels, axis=1)).astype("<i2").tobytes()
    size = len(minute) * 60 * hours
    with open(path, "wb") as stream:
        header = [
            b"RIFF",
            size + 36,
            b"WAVE",
            b"fmt ",
            16,
            1,
            channels,
            rate,
            rate * 2 * channels,
            2 * channels,
            16,
            b"data",
            size,
        ]
        stream.write(struct.pack("<4sI4s4sIHHIIHH4sI", *header))
        for _ in range(60 * hours):
            stream.write(minute)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("name", ["values.csv", "values.parquet", "values.jsonl"])
def test_statistics_are_had_as_a_table_too(copied, tmp_path, name):
    (copied.parent / "clips").joinpath(manifest.column(manifest_io.read(str(copied)), "path")[3]).unlink()
    words = ("featurize", copied, "--pitch", "--rms", "--stats", "mean,std", "-o", tmp_path / "f", "--values")
    done = sertool(*words, tmp_path / name)
    assert (done.code, f"{name}: statistics of 23 clips" in done.err) == (0, True), done.err
    held = manifest_io.read_table(str(tmp_path / name))
    table = manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))
    table = manifest.keep(table, manifest.usable(table))
    stats = [f"{column}_{stat}" for stat in ("mean", "std") for column in ("f0", "voiced", "voicing")]
    told = ("clip", "path", "corpus", "speaker", "emotion")
    own = [one for one in told if one in table.column_names]
    assert held.column_names == [*own, *stats, "rms_mean", "rms_std"]
    assert manifest.column(held, "clip") == manifest.column(table, "clip")
    for feature, columns in {"pitch": stats, "rms": ["rms_mean", "rms_std"]}.items():
        stored = rows(tmp_path / "f", feature)
        found = np.array([manifest.column(held, column) for column in columns]).T
        assert np.allclose(found, [stored[clip][0] for clip in manifest.column(held, "clip")], rtol=1e-6)
    before = ages(tmp_path)
    assert "(0 made now)" in sertool(*words, tmp_path / name).err
    assert ages(tmp_path) == before
    assert sertool(*words, tmp_path / "more" / name).code == 0
    assert (tmp_path / "more" / name).is_file()


@pytest.mark.parametrize(("words", "says"), [
    (("--values", "v.csv"), "needs --stats, such as mean,std"),
    (("--values", "v.xlsx", "--stats", "mean"), "the extension says no format; choose .parquet"),
    (("--values", "v.csv", "--stats", "mean", "--part", "1/2"), "ask once more without it when all parts are made"),
])  # fmt: skip
def test_a_table_of_statistics_that_cannot_be_is_refused_before_anything_is_made(voices, tmp_path, words, says):
    done = sertool("featurize", voices, "--rms", *words, "-o", tmp_path / "f")
    assert (done.code, says in done.line, (tmp_path / "f").exists()) == (2, True, False), done.err


@pytest.mark.slow
@ON_LINUX
def test_memory_does_not_grow_with_the_number_of_clips(voices, tmp_path):
    paths = manifest.column(manifest_io.read(str(voices)), "path")
    peaks = []
    for count in (2_000, 8_000):
        lines = ["clip,path,duration", *(f"c{number},{paths[number % 24]},2.0" for number in range(count))]
        (tmp_path / "m.csv").write_text("\n".join(lines))
        done, peak = measured("featurize", "m.csv", "--mel", "--wave", "-o", count, cwd=tmp_path)
        assert done.code == 0, done.err
        peaks.append(peak)
    assert peaks[1] < 1.1 * peaks[0] < 1.1 * GREATEST


def test_what_follows_features_has_its_threads_back(tree, tmp_path):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert sertool("featurize", tree, "--mel", "-o", tmp_path / "f").code == 0
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
