"""Tonnetz: the tonal centroid, where a frame lies on the circles of fifths and of minor and major thirds."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor

from sertool.numeric import dsp, pitch_classes, reference

DTYPE = "float16"
STEPS = True  # rounding may move a value by a step


@dataclass(frozen=True)
class Settings:
    tuning: Annotated[float | None, "of the pitch classes, in parts of one [default: each clip's own]", -0.5, 0.5] = (
        None
    )
    n_fft: Annotated[int, "samples in a frame and its transform", 16, 65_536] = 2048
    hop: Annotated[int, "samples from one frame to the next", 1] = 512
    win_length: Annotated[int | None, "samples under the window [default: n_fft]", 1] = None
    window: Annotated[Literal["hann", "hamming", "blackman", "ones"], "window over a frame"] = "hann"
    center: Annotated[bool, "centre frames on their time, with the ends extended"] = True
    edges: Annotated[Literal["zeros", "reflect"], "what lies beyond the ends"] = "zeros"


def circles() -> np.ndarray:
    """Return sine and cosine of each pitch class on the three circles, `[6, 12]`, the last of half the radius."""
    turns = np.outer([7 / 6, 3 / 2, 2 / 3], np.arange(12)) * np.pi
    return (np.stack([np.sin(turns), np.cos(turns)], axis=1) * np.array([1, 1, 0.5])[:, None, None]).reshape(6, 12)


class Feature(pitch_classes.Chroma):
    """Rows of six values, sine and cosine on each circle; all 0 in silence."""

    circles: Tensor

    def __init__(self, settings: Settings, rate: int) -> None:
        super().__init__(rate, settings.n_fft, 12, settings.tuning)
        self.framing = dsp.Framing.of(settings)
        self.columns = [f"{circle}_{axis}" for circle in ("fifth", "minor", "major") for axis in ("sine", "cosine")]
        self.register_buffer("circles", torch.from_numpy(circles().T.copy()).float())

    def finish(self, rows: Tensor) -> Tensor:
        return (rows / dsp.divisor(rows.sum(1, keepdim=True))) @ self.circles


def definition(wave: np.ndarray, rate: int, settings: Settings) -> np.ndarray:
    """Compute reference values in float64, `[frames, 6]` of `[samples]`."""
    return reference.shares(reference.chroma(wave, rate, settings, pitch_classes.weights)) @ circles().T
