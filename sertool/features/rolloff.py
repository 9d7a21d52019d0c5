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
BLOCK_BINS = 32


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
        self.share = settings.share
        self.bin_width = rate / settings.n_fft
        self.columns = ["rolloff"]

    def forward(self, frames: dsp.Frames) -> Tensor:
        return reach(frames.magnitude, self.share) * self.bin_width


def reach(values: Tensor, share: float) -> Tensor:
    """The first bin up to which each of `[frames, bins]` sums to `share` of its whole, `[frames, 1]`.

    Blocks of bins are summed first, and only in the block where the goal lies do the sums run on from bin to bin.
    librosa sums in float32, whose rounding is worth a step in one frame of a thousand: where the goal is so near to the
    sum at a bin that this decides, we sum as it does.
    """
    blocks = in_blocks(values)
    sums = blocks.cumsum(1)
    goal = sums[:, -1:] * share
    block = torch.searchsorted(sums, goal).clamp_(max=blocks.shape[1] - 1)
    places = (block * BLOCK_BINS + torch.arange(BLOCK_BINS, device=values.device)).clamp_(max=values.shape[1] - 1)
    inside = values.gather(1, places)
    running = inside.cumsum(1).add_((sums - blocks).gather(1, block))
    step = torch.searchsorted(running, goal).clamp_(max=BLOCK_BINS - 1)
    bins = places.gather(1, step)
    if values.is_cpu:
        gap = running.gather(1, step).sub_(goal)  # to the sum at this bin, and how far beyond the one before it
        near = torch.minimum(gap.abs(), (inside.gather(1, step) - gap).abs_()) < goal * ROUNDING
        frames = np.flatnonzero(near.numpy())
        bins.numpy()[frames, 0] = reach_in_turn(values.numpy()[frames], share)
    return bins


def in_blocks(values: Tensor) -> Tensor:
    """The sum of each block of bins, `[frames, blocks]` of `[frames, bins]`; the last has what is left over."""
    whole = values.shape[1] // BLOCK_BINS
    even, left_over = values[:, : whole * BLOCK_BINS], values[:, whole * BLOCK_BINS :]
    return torch.cat([even.unflatten(1, (whole, BLOCK_BINS)).sum(2), left_over.sum(1, True)], 1)


def reach_in_turn(values: np.ndarray, share: float) -> np.ndarray:
    """As `reach`, by running sums in float32 from the first bin on."""
    sums = np.cumsum(values.astype(np.float32), axis=1)
    return np.argmax(sums >= np.float32(share) * sums[:, -1:], axis=1)


def definition(wave: np.ndarray, rate: int, settings: Settings) -> np.ndarray:
    """The slow twin in float64, but for the sums: `[frames, 1]` of `[samples]`."""
    bins = reach_in_turn(np.abs(slow.stft(wave, settings)), settings.share)
    return dsp.bin_frequencies(rate, settings.n_fft)[bins][:, None]
