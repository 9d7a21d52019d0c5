"""Spectral roll-off: the frequency in Hz below which most of the spectrum lies."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sertool.numeric import dsp, reference

DTYPE = "float32"
STEPS = True  # rounding may move a value by a step
ROUNDING = 1.5e-6  # relative error of a running sum in float32
BLOCK_BINS = 32


@dataclass(frozen=True)
class Settings:
    share: Annotated[float, "part of the summed magnitudes that lies below", 0.01, 0.99] = 0.85
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
        self.share = settings.share
        self.bin_width = rate / settings.n_fft
        self.columns = ["rolloff"]

    def forward(self, frames: dsp.Frames) -> Tensor:
        return reach(frames.magnitude, self.share) * self.bin_width


def reach(values: Tensor, share: float) -> Tensor:
    """Return the first bin up to which each of `[frames, bins]` sums to `share` of its whole, `[frames, 1]`.

    Blocks of bins are summed first, and sums within a block only where the goal lies. librosa sums in float32, whose
    rounding moves one frame in a thousand by a step: if the goal is so near to the sum at a bin that this matters, it
    is summed as librosa does.
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
        gap = running.gather(1, step).sub_(goal)  # to the sum at this bin, which is so far above the one before
        near = torch.minimum(gap.abs(), (inside.gather(1, step) - gap).abs_()) < goal * ROUNDING
        frames = np.flatnonzero(near.numpy())
        bins.numpy()[frames, 0] = reach_in_turn(values.numpy()[frames], share)
    return bins


def in_blocks(values: Tensor) -> Tensor:
    """Sum each block of bins, `[frames, blocks]` of `[frames, bins]`; the last block may be shorter."""
    whole = values.shape[1] // BLOCK_BINS
    even, left_over = values[:, : whole * BLOCK_BINS], values[:, whole * BLOCK_BINS :]
    return torch.cat([even.unflatten(1, (whole, BLOCK_BINS)).sum(2), left_over.sum(1, True)], 1)


def reach_in_turn(values: np.ndarray, share: float) -> np.ndarray:
    """Like `reach`, by float32 running sums from the first bin on."""
    sums = np.cumsum(values.astype(np.float32), axis=1)
    return np.argmax(sums >= np.float32(share) * sums[:, -1:], axis=1)


def definition(wave: np.ndarray, rate: int, settings: Settings) -> np.ndarray:
    """Compute reference values in float64 except for the sums, `[frames, 1]` of `[samples]`."""
    bins = reach_in_turn(np.abs(reference.stft(wave, settings)), settings.share)
    return dsp.bin_frequencies(rate, settings.n_fft)[bins][:, None]
