"""Spectral centroid: the centre of gravity of the spectrum in Hz."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from torch import Tensor, nn

from sertool.numeric import dsp, reference

DTYPE = "float32"


@dataclass(frozen=True)
class Settings:
    n_fft: Annotated[int, "samples in a frame and its transform", 16, 65_536] = 2048
    hop: Annotated[int, "samples from one frame to the next", 1] = 512
    win_length: Annotated[int | None, "samples under the window [default: n_fft]", 1] = None
    window: Annotated[Literal["hann", "hamming", "blackman", "ones"], "window over a frame"] = "hann"
    center: Annotated[bool, "centre frames on their time, with the ends extended"] = True
    edges: Annotated[Literal["zeros", "reflect"], "what lies beyond the ends"] = "zeros"


class Feature(nn.Module):
    """Rows of one frequency; 0 in silence."""

    def __init__(self, settings: Settings, rate: int) -> None:
        super().__init__()
        self.framing = dsp.Framing.of(settings)
        self.bin_width = rate / settings.n_fft
        self.columns = ["centroid"]

    def forward(self, frames: dsp.Frames) -> Tensor:
        return frames.centre[:, None] * self.bin_width


def definition(wave: np.ndarray, rate: int, settings: Settings) -> np.ndarray:
    """Compute reference values in float64, `[frames, 1]` of `[samples]`."""
    shares = reference.shares(np.abs(reference.stft(wave, settings)))
    return (shares * dsp.bin_frequencies(rate, settings.n_fft)).sum(axis=1, keepdims=True)
