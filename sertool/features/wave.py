"""The waveform itself, as 16-bit samples."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

DTYPE = "int16"


@dataclass(frozen=True)
class Settings:
    """None."""


class Feature(nn.Module):
    """Rows of one sample, -32768 to 32767; what is louder is clipped."""

    framing = None

    def __init__(self, _settings: Settings, _rate: int) -> None:
        super().__init__()
        self.columns = ["sample"]

    def clips(self, waves: list[Tensor]) -> list[Tensor]:
        return [(wave * 32768).round_().clamp_(-32768, 32767).to(torch.int16)[:, None] for wave in waves]


def definition(wave: np.ndarray, _rate: int, _settings: Settings) -> np.ndarray:
    """The slow twin in float64: `[samples, 1]` of `[samples]`."""
    return np.clip(np.rint(np.asarray(wave, dtype=np.float64) * 32768), -32768, 32767)[:, None]
