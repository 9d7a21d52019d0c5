"""featurize goes on where it stopped, and shares work in parts."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from featurizing import DRIVER, FEW
from running import again, ages, changed, rows, sertool, snapshot

from sertool.manifests import manifest, manifest_io
from sertool.system import locks


def process(*arguments: object) -> subprocess.Popen:
    """sertool as a process of its own, with small shards."""
    words = [sys.executable, "-c", DRIVER, *map(str, arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


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
        lambda: len(list(made.rglob("*.safetensors"))) >= 5,
        lambda: len(list(made.rglob("*.safetensors"))) >= 10,
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


def test_rerun_with_nothing_to_do_changes_no_file(voices, tmp_path, small_shards):
    first = sertool("featurize", voices, *FEW, "-o", tmp_path / "f")
    before = ages(tmp_path / "f")
    second = sertool("featurize", voices, *FEW, "-o", tmp_path / "f")
    assert second.code == 0
    assert ages(tmp_path / "f") == before
    assert "(0 made now)" in second.line
    assert manifest_io.decode(pa.py_buffer(first.out), "-").equals(manifest_io.decode(pa.py_buffer(second.out), "-"))


def test_dry_run_reports_work_and_changes_no_file(voices, tmp_path, small_shards):
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


def test_second_run_in_a_busy_folder_is_refused(voices, tmp_path):
    with locks.folder_lock(tmp_path / "f", wait=False):
        done = sertool("featurize", voices, "--rms", "-o", tmp_path / "f")
    assert done.code == 1
    assert "--wait" in done.line


def test_second_run_in_a_busy_folder_waits_on_request(voices, tmp_path):
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
def test_concurrent_parts_produce_the_same_as_a_single_run(voices, tmp_path, small_shards):
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
def test_every_row_belongs_to_exactly_one_part(copied, tmp_path, small_shards, n):
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


def test_copies_are_kept_when_timestamps_of_their_clips_change(copied, tmp_path):
    sertool("augment", copied, "--noise", "10:20", "-o", tmp_path / "m.parquet")
    first = sertool("featurize", tmp_path / "m.parquet", "--rms", "-o", tmp_path / "f")
    before = ages(tmp_path / "f" / "rms")
    for path in (copied.parent / "clips").rglob("*.wav"):
        os.utime(path, (0, 0))
    again = sertool("featurize", tmp_path / "m.parquet", "--rms", "-o", tmp_path / "f")
    assert "(0 made now)" in again.err
    assert again.out == first.out
    assert ages(tmp_path / "f" / "rms") == before


def test_a_clip_without_a_digest_is_known_by_the_size_and_age_of_its_file(copied, tmp_path, small_shards):
    bare = changed(copied, tmp_path / "bare.parquet", digest=[None] * 24)
    words = ("featurize", bare, "--rms", "-o", tmp_path / "f")
    assert "(24 made now)" in sertool(*words).line
    assert "(0 made now)" in sertool(*words).line
    path = min((copied.parent / "clips").rglob("*.wav"))  # of the first shard, of five
    path.write_bytes(path.read_bytes()[:-100] + bytes(100))
    assert "(5 made now)" in sertool(*words).line


@pytest.mark.parametrize(("name", "value"), [("start", 0.2), ("duration", 0.3)])
def test_parts_of_another_start_or_length_are_featurized_anew(voices, tmp_path, name, value):
    part = {"start": [0.1] * 24, "duration": [0.4] * 24}
    for facts in (part, part | {name: [value] * 24}):
        parts = changed(voices, tmp_path / "parts.parquet", **facts)
        assert "(24 made now)" in sertool("featurize", parts, "--rms", "-o", tmp_path / "f").line


def test_part_without_shards_is_reported(voices, tmp_path):
    first, second = (sertool("featurize", voices, "--rms", "--part", f"{k}/2", "-o", tmp_path) for k in (1, 2))
    assert "nothing is left for part 1-of-2: the clips make 1 shard, which --part does not divide" in first.line
    assert "made now" in second.line


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "-1/2", "1/0", "1/2/3"])
def test_invalid_part_is_refused(voices, tmp_path, text):
    done = sertool("featurize", voices, "--rms", "--part", text, "-o", tmp_path / "f")
    assert done.code == 2
    assert text in done.line


def test_fit_without_a_clip_length_is_refused(voices, tmp_path):
    done = sertool("featurize", voices, "--mel", "--fit", "middle", "-o", tmp_path / "f")
    assert done.code == 2
    assert "--fit middle goes with --seconds" in done.line
    assert not (tmp_path / "f").exists()
    assert sertool("featurize", voices, "--preset", "acnt", "--fit", "middle", "-o", tmp_path / "f").code == 0


@pytest.mark.parametrize(
    "command", [("index",), ("index", "--dry-run"), ("featurize", "--mel"), ("augment", "--noise", 9)]
)
def test_root_without_a_manifest_is_refused(voices, tmp_path, command):
    done = sertool(*command, voices.parent / "clips", "--root", tmp_path)
    assert (done.code, done.out) == (2, b"")
    assert f"--root {tmp_path}: it is for audio that a manifest names, and there is none" in done.line
