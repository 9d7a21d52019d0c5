"""Spectral roll-off: the frequency in Hz below which most of the spectrum lies."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sertool import dsp, slow

DTYPE = "float32"
STEPS = True  # a rounding may move a value by a step
ROUNDING = 1.5e-6  # of a running sum in float32, relatively


@dataclass(frozen=True)
class Settings:
    share: Annotated[float, "part of the summed magnitudes that lies below", 0.01, 0.99] = 0.85
    n_fft: Annotated[int, "samples in a frame and its transform", 16, 65_536] = 2048
    hop: Annotated[int, "samples from one frame to the next", 1] = 512
    win_length: Annotated[int | None, "samples under the window (default: n_fft)", 1] = None
    window: Annotated[Literal["hann", "hamming", "blackman", "ones"], "window over a frame"] = "hann"
    center: Annotated[bool, "centre frames on their time, with the ends extended"] = True
    edges: Annotated[Literal["zeros", "reflect"], "what lies beyond the ends"] = "zeros"


class Feature(nn.Module):
    """Rows of one frequency; 0 where there is silence."""

    def __init__(self, settings: Settings, rate: int) -> None:
        super().__init__()
        self.framing = dsp.Framing.of(settings)
        dsp.require(0 < settings.share < 1, f"share {settings.share:g}: it lies between 0 and 1")
        self.share = settings.share
        self.bin_width = rate / settings.n_fft
        self.columns = ["rolloff"]

    def forward(self, frames: dsp.Frames) -> Tensor:
        return reach(frames.magnitude, self.share) * self.bin_width

    def finish(self, rows: Tensor, _wave: Tensor) -> Tensor:
        return rows


def reach(values: Tensor, share: float) -> Tensor:
    """The first bin up to which each of `[frames, bins]` sums to `share` of its whole, `[frames, 1]`."""
    sums = values.cumsum(1)
    goal = sums[:, -1:] * share
    bins = torch.searchsorted(sums, goal)
    if values.is_cpu:
        near = near_an_edge(sums.numpy(), goal.numpy()[:, 0], bins.numpy()[:, 0])
        if len(near):
            bins[near, 0] = torch.from_numpy(reach_in_turn(values.numpy()[near], share))
    return bins


def near_an_edge(sums: np.ndarray, goal: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """The frames whose goal is so near to the sum at a bin that its rounding decides.

    Torch sums in float64. librosa sums in float32, whose rounding is worth a step in one frame of a thousand: there we
    sum as it does.
    """
    at, flat = np.arange(len(bins)) * sums.shape[1] + bins, sums.reshape(-1)
    gap = np.minimum(np.abs(flat[at] - goal), np.abs(flat[at - 1] - goal))
    return np.flatnonzero(gap < ROUNDING * goal)


def reach_in_turn(values: np.ndarray, share: float) -> np.ndarray:
    """As `reach`, by running sums in float32 from the first bin on."""
    sums = np.cumsum(values.astype(np.float32), axis=1)
    return np.argmax(sums >= np.float32(share) * sums[:, -1:], axis=1)


def definition(wave: np.ndarray, rate: int, settings: Settings) -> np.ndarray:
    """The slow twin in float64, but for the sums: `[frames, 1]` of `[samples]`."""
    bins = reach_in_turn(np.abs(slow.stft(wave, settings)), settings.share)
    return dsp.bin_frequencies(rate, settings.n_fft)[bins][:, None]
