"""The waveform itself, as 16-bit samples."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

DTYPE = "int16"
BLOCK_SAMPLES = 1 << 20  # samples converted at once: a clip may last hours


@dataclass(frozen=True)
class Settings:
    """Nothing to set."""


class Feature(nn.Module):
    """Rows of one sample, -32768 to 32767; louder values are clipped."""

    framing = None

    def __init__(self, _settings: Settings, _rate: int) -> None:
        super().__init__()
        self.columns = ["sample"]

    def clips(self, waves: list[Tensor]) -> list[Tensor]:
        return [self._rows(wave) for wave in waves]

    def _rows(self, wave: Tensor) -> Tensor:
        rows = torch.empty(len(wave), 1, dtype=torch.int16, device=wave.device)
        for start in range(0, len(wave), BLOCK_SAMPLES):
            block = wave[start : start + BLOCK_SAMPLES]
            rows[start : start + BLOCK_SAMPLES, 0] = (block * 32768).round_().clamp_(-32768, 32767)
        return rows


def definition(wave: np.ndarray, _rate: int, _settings: Settings) -> np.ndarray:
    """Compute reference values in float64, `[samples, 1]` of `[samples]`."""
    return np.clip(np.rint(np.asarray(wave, dtype=np.float64) * 32768), -32768, 32767)[:, None]
