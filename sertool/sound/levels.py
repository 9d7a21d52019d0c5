"""Measure the levels of audio block by block: peak, offset, clipping, non-finite values."""

import math
from dataclasses import dataclass

import numpy as np

SILENT = 2.0**-11  # 16 steps of 16 bits: dither and converter noise stay below
QUIET = 0.01  # -40 dBFS
FULL_SCALE = 32766 / 32768
FULL_SCALES = {"ULAW": 32124 / 32768, "ALAW": 32256 / 32768, "PCM_S8": 127 / 128, "PCM_U8": 127 / 128}
CLIPPED_RUN = 3  # neighbouring samples at full scale; a single one occurs in normalised files
OFFSET = 0.1  # relative to the level
CANCELLED = 0.01  # share of the channels' energy: 20 dB
BEYOND = 10.0  # times full scale: no gain, but integers stored as floats
TOO_SHORT = 0.05  # seconds


@dataclass
class Levels:
    """Running statistics of samples, from which faults and notes are derived."""

    full_scale: float  # amplitude of the largest value that the encoding can hold
    samples: int = 0
    low: float = math.inf
    high: float = -math.inf
    total: float = 0.0
    energy: float = 0.0
    mixed: float = 0.0  # energy of the channels' mean
    clipped: bool = False
    finite: bool = True

    def add(self, values: np.ndarray) -> None:
        """Add float32 `[frames]` or `[frames, channels]` with full scale 1."""
        self.samples += len(values)
        with np.errstate(over="ignore", invalid="ignore"):  # a float file may hold anything
            self._add(values)

    def _add(self, values: np.ndarray) -> None:
        low, high = float(values.min()), float(values.max())
        self.low, self.high = min(low, self.low), max(high, self.high)
        if not math.isfinite(high - low):
            self.finite = False
        elif self.finite:
            self.total += float(values.sum())
            energy = float(np.vdot(values, values))
            self.energy += energy
            self.mixed += energy if values.ndim == 1 else float(np.square(values.mean(axis=1)).sum())
            loud = max(high, -low) >= self.full_scale
            self.clipped = self.clipped or (loud and _has_run(np.abs(values) >= self.full_scale))

    @property
    def peak(self) -> float:
        return max(self.high, -self.low)

    def fault(self, rate: int) -> tuple[str, str] | None:
        """Return the issue that makes the clip unusable and its details, or None."""
        if not self.finite:
            return "not-finite", "values that are no numbers (NaN or infinity)"
        if self.samples / rate < TOO_SHORT:
            return "too-short", f"{self.samples:,} samples, {1000 * self.samples / rate:.1f} ms"
        if self.high - self.low < 2 * SILENT:
            return "silent", "nothing above -66 dBFS" if self.peak else "digital silence"
        return None

    def notes(self, channels: int) -> list[str]:
        """Return the notes on a usable clip, in the manifest's words."""
        values = self.samples * channels
        offset, level = abs(self.total / values), math.sqrt(self.energy / values)
        marks = {
            "clipped": self.clipped,
            "quiet": self.peak < QUIET,
            "dc": offset > OFFSET * level,
            "over-scale": self.peak > BEYOND,
            "antiphase": self.mixed * channels < CANCELLED * self.energy,
        }
        return [note for note, applies in marks.items() if applies]


def _has_run(at_full_scale: np.ndarray) -> bool:
    """Whether `CLIPPED_RUN` neighbours in one channel are set, in `[frames]` or `[frames, channels]`."""
    run = at_full_scale
    for _ in range(CLIPPED_RUN - 1):
        run = run[1:] & at_full_scale[: len(run) - 1]
    return bool(run.any())
