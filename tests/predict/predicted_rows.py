"""Rows that predict wrote, and a call to predict."""

import csv
import io
from pathlib import Path

import numpy as np
import soundfile

SMALL = ("--set", "width=32", "--set", "layers=1", "--set", "dense=16", "--set", "dropout=0")
LEARNING = ("-m", "lstm", *SMALL, "--epochs", "6", "--lr", ".03")


def rows_of(out: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out.decode())))


def probabilities(row: dict[str, str]) -> list[float]:
    return [float(value) for name, value in row.items() if name.startswith("p_")]


def assert_told_apart(out: bytes) -> None:
    """What answers all clips alike would pass most tests, whatever became of the clips."""
    assert np.ptp([probabilities(row) for row in rows_of(out)], axis=0).max() > 0.1


def two_sided_call(run: Path, path: Path) -> float:
    """Six seconds of voices, then three of silence, on the left; silence on the right. Its seconds."""
    voices = np.concatenate([soundfile.read(clip)[0] for clip in sorted((run / "voices").rglob("*.wav"))[:5]])[:96_000]
    left = np.concatenate([voices, np.zeros(48_000)])
    soundfile.write(path, np.stack([left, np.zeros_like(left)], axis=1), 16_000)
    return len(left) / 16_000
