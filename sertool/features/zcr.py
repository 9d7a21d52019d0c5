"""Zero-crossing rate: the share of the samples of a frame where the sign changes."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from torch import Tensor, nn

from sertool import dsp, slow

DTYPE = "float32"
FAINTEST = 1e-10  # nearer to zero a sample is zero, and positive
BLOCK = 1 << 22  # samples looked at together


@dataclass(frozen=True)
class Settings:
    n_fft: Annotated[int, "samples in a frame", 16, 65_536] = 2048
    hop: Annotated[int, "samples from one frame to the next", 1] = 512
    center: Annotated[bool, "centre frames on their time, with the ends held"] = True


class Feature(nn.Module):
    """Rows of one rate between 0 and 1."""

    framing = None

    def __init__(self, settings: Settings, _rate: int) -> None:
        super().__init__()
        self.cutting = dsp.Framing.of(settings)
        self.columns = ["zcr"]

    def clips(self, waves: list[Tensor]) -> list[Tensor]:
        """`[frames, 1]` of each `[samples]`."""
        return [self._rows(wave) for wave in waves]

    def _rows(self, wave: Tensor) -> Tensor:
        """Each change of sign is looked for once, a block at a time; a frame has those before its end less its start's.

        A list of the changes would cost more: to make one is to guess wrong at each of them.
        """
        length, size, framing = len(wave), self.cutting.n_fft, self.cutting
        starts = np.arange(framing.count(length)) * framing.hop - (size // 2 if framing.center else 0)
        low, high = np.maximum(starts, 0), np.minimum(starts + size, length) - 1
        counts = np.zeros(len(starts), np.int64)
        for first in range(0, length, BLOCK):
            sums = running(wave[first : first + BLOCK + 1])
            counts += sums.take(high - first, mode="clip") - sums.take(low - first, mode="clip")
        if starts[0] + size > length and not framing.center:  # after a clip shorter than a frame there is silence
            counts += bool(wave[-1] < -FAINTEST)
        return torch.from_numpy((counts / size).astype(np.float32)[:, None]).to(wave.device)


def running(wave: Tensor) -> np.ndarray:
    """How often the sign changes up to each of `[samples]`."""
    negative = wave.cpu().numpy() < np.float32(-FAINTEST)
    sums = np.zeros(len(negative), np.int32)
    np.cumsum(negative[1:] != negative[:-1], dtype=np.int32, out=sums[1:])
    return sums


def definition(wave: np.ndarray, _rate: int, settings: Settings) -> np.ndarray:
    """The slow twin in float64: `[frames, 1]` of `[samples]`."""
    frames = slow.frames(wave, settings, edges="last")
    negative = np.where(np.abs(frames) <= FAINTEST, 0.0, frames) < 0
    return (negative[:, 1:] != negative[:, :-1]).sum(axis=1, keepdims=True) / settings.n_fft
