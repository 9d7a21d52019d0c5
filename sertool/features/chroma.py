"""Chroma: the power in each pitch class, C first, the greatest of a frame being one."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from sertool.numeric import dsp, pitch_classes, reference

DTYPE = "float16"
STEPS = True  # rounding may move a value by a step


@dataclass(frozen=True)
class Settings:
    bins: Annotated[int, "pitch classes in an octave", 1, 120] = 12
    tuning: Annotated[float | None, "of the pitch classes, in parts of one [default: each clip's own]", -0.5, 0.5] = (
        None
    )
    n_fft: Annotated[int, "samples in a frame and its transform", 16, 65_536] = 2048
    hop: Annotated[int, "samples from one frame to the next", 1] = 512
    win_length: Annotated[int | None, "samples under the window [default: n_fft]", 1] = None
    window: Annotated[Literal["hann", "hamming", "blackman", "ones"], "window over a frame"] = "hann"
    center: Annotated[bool, "centre frames on their time, with the ends extended"] = True
    edges: Annotated[Literal["zeros", "reflect"], "what lies beyond the ends"] = "zeros"


class Feature(pitch_classes.Chroma):
    """Rows of `bins` values between 0 and 1; all 0 in silence."""

    def __init__(self, settings: Settings, rate: int) -> None:
        super().__init__(rate, settings.n_fft, settings.bins, settings.tuning)
        self.framing = dsp.Framing.of(settings)
        self.columns = [f"chroma_{pitch}" for pitch in range(settings.bins)]


def definition(wave: np.ndarray, rate: int, settings: Settings) -> np.ndarray:
    """Compute reference values in float64, `[frames, bins]` of `[samples]`."""
    return reference.chroma(wave, rate, settings, pitch_classes.weights)
