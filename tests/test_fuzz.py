"""Thousands of files with some bytes changed: each is read, or refused in our own words; nothing else ever happens.

A batch runs in a process of its own (this file, as a script), so that a crash inside a library is seen as one, and
under an alarm and a limit of memory, so that a hang or a greedy header is too.
"""

import io
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from running import sertool

from sertool.errors import SertoolError
from sertool.manifests import manifest, manifest_io, provenance
from sertool.networks import tensorfile
from sertool.sound import audio, synth
from sertool.sound.audio import Cut

SOUNDS = {
    "wav": ("WAV", "PCM_16"), "wav24": ("WAVEX", "PCM_24"), "adpcm": ("WAV", "IMA_ADPCM"), "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III"), "aiff": ("AIFF", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
}  # fmt: skip
CASES = 1720
EDGES = [b"\0" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\x01\0\0\0", b"\xff" * 8]


def original(kind: str) -> bytes:
    """A small sound file of its kind."""
    stream = io.BytesIO()
    if kind == "parquet":
        count = 40
        held = manifest.from_columns({
            "clip": [f"c/{k}" for k in range(count)], "path": [f"/a/{k}.wav" for k in range(count)],
            "emotion": ["sad", "angry"] * 20, "age": [None, 31] * 20, "notes": [None, ["dc", "quiet"]] * 20,
            "duration": [k / 7 for k in range(count)], "split": ["train", "test"] * 20, "speaker": ["a", "b"] * 20,
        })  # fmt: skip
        manifest_io.formats.encode([provenance.made_by(held, "sertool index", 0)], stream, "parquet")
    elif kind == "shard":
        rows = np.arange(640, dtype=np.float16).reshape(5, 128)
        offsets = np.arange(3)
        metadata = {"clips": ["a", "b"], "settings": {"bands": 128}}
        tensors = {"mel": ("float16", (10, 128), [rows, rows]), "offsets": ("int64", (3,), [offsets])}
        tensorfile.write(stream, metadata, tensors)
    else:
        soundfile.write(
            stream, synth.voice(0, "sad", 0)[:9000], 16_000, format=SOUNDS[kind][0], subtype=SOUNDS[kind][1]
        )
    return stream.getvalue()


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed, cut out, doubled or put in, most of them where headers and footers are."""
    made = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        size = len(made)
        at = int(
            rng.choice([rng.integers(size), rng.integers(min(size, 100)), size - 1 - rng.integers(min(size, 200))])
        )
        length = int(rng.integers(1, 40))
        what = rng.integers(7)
        if what < 3:
            made[at] ^= 1 << int(rng.integers(8))
        elif what == 3:
            edge = EDGES[rng.integers(len(EDGES))]
            made[at : at + len(edge)] = edge
        elif what == 4:
            made[at : at + length] = rng.bytes(length)
        elif what == 5:
            del made[at : at + length]
        else:
            made[at:at] = made[at : at + length]
        made = made or bytearray(b"\0")
    return bytes(made[: rng.integers(1, len(made) + 1)] if rng.random() < 0.1 else made)


def hear(path: Path) -> None:
    found, header = audio.probe(str(path)), audio.probe(str(path), full=False)
    assert found.issue or found.digest
    assert header.issue is None or found.issue
    wave = audio.decode(str(path), Cut(22_050))
    assert np.isfinite(wave).all()


def index(path: Path) -> None:
    for arguments in (("-f", "jsonl"), ("--audit",), ("--folds", "2", "--where", "age>30 or", "-f", "parquet")):
        done = sertool("index", path, *arguments)
        assert done.code in (0, 1, 2)


def load(path: Path) -> None:
    for tensor in tensorfile.read(path)[1].values():
        tensor.tobytes()


def refusal(read: Callable[[Path], None], path: Path) -> str:
    """What is said of a file, empty where it is read."""
    try:
        read(path)
    except SertoolError as error:
        return str(error)
    return ""


def work(kind: str, first: int, last: int, folder: Path) -> None:
    """Some cases, one after the other; the number of each is told before it is tried."""
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    read = {"parquet": index, "shard": load}.get(kind, hear)
    data, path = original(kind), folder / f"case.{kind}"
    for case in range(first, last):
        sys.stdout.write(f"{case}\n")
        sys.stdout.flush()
        signal.alarm(20)
        path.write_bytes(mutated(data, np.random.default_rng([case, len(kind), ord(kind[0])])))
        assert "\n" not in refusal(read, path)


def run(kind: str, first: int, last: int, folder: Path) -> None:
    command = [sys.executable, __file__, kind, str(first), str(last), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    at = done.stdout.split()[-1:] or ["the start"]
    assert done.returncode == 0, f"{kind} ended with {done.returncode} at case {at[0]}: {done.stderr[-3000:]}"


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*SOUNDS, "parquet", "shard"])
def test_corrupted_files_are_read_or_refused_without_crashing(kind, tmp_path):
    run(kind, 0, CASES, tmp_path)


@pytest.mark.parametrize("kind", [*SOUNDS, "parquet", "shard"])
def test_intact_files_are_read(kind, tmp_path):
    path = tmp_path / f"case.{kind}"
    path.write_bytes(original(kind))
    {"parquet": index, "shard": load}.get(kind, hear)(path)
    assert kind not in SOUNDS or audio.probe(str(path)).issue is None


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
