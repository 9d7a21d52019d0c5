"""Zero-crossing rate: the share of the samples of a frame where the sign changes."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from torch import Tensor, nn

from sertool import dsp, slow

DTYPE = "float32"
FAINTEST = 1e-10  # nearer to zero a sample is zero, and positive


@dataclass(frozen=True)
class Settings:
    n_fft: Annotated[int, "samples in a frame", 16, 65_536] = 2048
    hop: Annotated[int, "samples from one frame to the next", 1] = 512
    center: Annotated[bool, "centre frames on their time, with the ends held"] = True


class Feature(nn.Module):
    """Rows of one rate between 0 and 1."""

    def __init__(self, settings: Settings, _rate: int) -> None:
        super().__init__()
        self.framing = dsp.Framing.of(settings, edges="last")
        self.columns = ["zcr"]

    def forward(self, frames: dsp.Frames) -> Tensor:
        counts = counted_once(frames.raw) if frames.raw.is_cpu else counted_each(frames.raw)
        return counts[:, None] / frames.raw.shape[1]

    def finish(self, rows: Tensor, _wave: Tensor) -> Tensor:
        return rows


def counted_each(frames: Tensor) -> Tensor:
    """How often the sign changes within each of `[frames, n_fft]`."""
    negative = frames < -FAINTEST
    return (negative[:, 1:] != negative[:, :-1]).sum(1)


def counted_once(frames: Tensor) -> Tensor:
    """The same of overlapping frames, a view on one waveform: each change is looked for once.

    The k-th frame begins k hops from the first; how many changes lie before its last sample and how many before its
    first a search in their sorted places tells.
    """
    hop, length = frames.stride(0), frames.shape[1]
    starts = np.arange(len(frames)) * hop
    negative = frames.as_strided((int(starts[-1]) + length,), (1,)).numpy() < np.float32(-FAINTEST)
    places = np.flatnonzero(negative[1:] != negative[:-1])
    return torch.from_numpy(places.searchsorted(starts + length - 1) - places.searchsorted(starts))


def definition(wave: np.ndarray, _rate: int, settings: Settings) -> np.ndarray:
    """The slow twin in float64: `[frames, 1]` of `[samples]`."""
    frames = slow.frames(wave, settings, edges="last")
    negative = np.where(np.abs(frames) <= FAINTEST, 0.0, frames) < 0
    return (negative[:, 1:] != negative[:, :-1]).sum(axis=1, keepdims=True) / settings.n_fft
