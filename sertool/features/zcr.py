"""Zero-crossing rate: the share of the samples of a frame where the sign changes."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from torch import Tensor, nn

from sertool.numeric import dsp, reference

DTYPE = "float32"
FAINTEST = 1e-10  # smaller magnitudes count as zero, which is positive
BLOCK_SAMPLES = 1 << 22  # samples processed at once


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
        """Return `[frames, 1]` of each `[samples]`."""
        return [self._rows(wave) for wave in waves]

    def _rows(self, wave: Tensor) -> Tensor:
        """Return `[frames, 1]` of `[samples]`.

        Sign changes are counted by cumulative sums, a block at a time: a frame's are those before its end less those
        before its start. A list of the changes would cost more, as branches on them are unpredictable.
        """
        length, size, framing = len(wave), self.cutting.n_fft, self.cutting
        starts = torch.arange(framing.count(length), device=wave.device) * framing.hop
        starts -= size // 2 if framing.center else 0
        low, high = starts.clamp(min=0), (starts + size).clamp(max=length) - 1
        counts = torch.zeros_like(starts)
        for first in range(0, length, BLOCK_SAMPLES):
            sums = running(wave[first : first + BLOCK_SAMPLES + 1])
            low_here, high_here = ((bound - first).clamp(0, len(sums) - 1) for bound in (low, high))
            counts += sums[high_here] - sums[low_here]
        if size > length and not framing.center:  # a clip shorter than a frame is followed by silence
            counts += wave[-1] < -FAINTEST
        return counts[:, None] / size


def running(wave: Tensor) -> Tensor:
    """Return the running count of sign changes in `[samples]`; NumPy sums in half of Torch's time on a CPU."""
    if not wave.is_cpu:
        negative = wave < -FAINTEST
        return nn.functional.pad((negative[1:] != negative[:-1]).cumsum(0), (1, 0))
    below = wave.numpy() < np.float32(-FAINTEST)
    sums = np.zeros(len(below), np.int32)
    np.cumsum(below[1:] != below[:-1], dtype=np.int32, out=sums[1:])
    return torch.from_numpy(sums)


def definition(wave: np.ndarray, _rate: int, settings: Settings) -> np.ndarray:
    """Compute reference values in float64, `[frames, 1]` of `[samples]`."""
    frames = reference.frames(wave, settings, edges="last")
    negative = np.where(np.abs(frames) <= FAINTEST, 0.0, frames) < 0
    return (negative[:, 1:] != negative[:, :-1]).sum(axis=1, keepdims=True) / settings.n_fft
