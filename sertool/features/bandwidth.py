"""Spectral bandwidth: how far the spectrum spreads around its centroid, in Hz."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sertool.numeric import dsp, reference

DTYPE = "float32"


@dataclass(frozen=True)
class Settings:
    p: Annotated[float, "power of the distances that are averaged: 2 is a standard deviation", 0.1, 10] = 2.0
    n_fft: Annotated[int, "samples in a frame and its transform", 16, 65_536] = 2048
    hop: Annotated[int, "samples from one frame to the next", 1] = 512
    win_length: Annotated[int | None, "samples under the window [default: n_fft]", 1] = None
    window: Annotated[Literal["hann", "hamming", "blackman", "ones"], "window over a frame"] = "hann"
    center: Annotated[bool, "centre frames on their time, with the ends extended"] = True
    edges: Annotated[Literal["zeros", "reflect"], "what lies beyond the ends"] = "zeros"


class Feature(nn.Module):
    """Rows of one bandwidth in Hz; 0 in silence."""

    bins: Tensor

    def __init__(self, settings: Settings, rate: int) -> None:
        super().__init__()
        self.framing = dsp.Framing.of(settings)
        self.p = settings.p
        self.bin_width = rate / settings.n_fft
        self.columns = ["bandwidth"]
        self.register_buffer("bins", torch.arange(settings.n_fft // 2 + 1, dtype=torch.float32))

    def forward(self, frames: dsp.Frames) -> Tensor:
        # Not the mean square less the squared mean: for a narrow spectrum their difference is mostly rounding.
        distances = self.bins - frames.centre[:, None]
        distances = distances.square_() if self.p == 2 else distances.abs_().pow_(self.p)
        means = distances.mul_(frames.magnitude).sum(1).div_(dsp.divisor(frames.total))
        return means.pow_(1 / self.p).mul_(self.bin_width)[:, None]


def definition(wave: np.ndarray, rate: int, settings: Settings) -> np.ndarray:
    """Compute reference values in float64, `[frames, 1]` of `[samples]`."""
    shares = reference.shares(np.abs(reference.stft(wave, settings)))
    frequencies = dsp.bin_frequencies(rate, settings.n_fft)
    centroids = (shares * frequencies).sum(axis=1, keepdims=True)
    spreads = shares * np.abs(frequencies - centroids) ** settings.p
    return spreads.sum(axis=1, keepdims=True) ** (1 / settings.p)
