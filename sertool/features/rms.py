"""Root mean square: a frame's loudness as an amplitude."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sertool.numeric import dsp, reference

DTYPE = "float32"


@dataclass(frozen=True)
class Settings:
    n_fft: Annotated[int, "samples in a frame", 16, 65_536] = 2048
    hop: Annotated[int, "samples from one frame to the next", 1] = 512
    center: Annotated[bool, "centre frames on their time, with the ends extended"] = True
    edges: Annotated[Literal["zeros", "reflect"], "what lies beyond the ends"] = "zeros"


class Feature(nn.Module):
    """Rows of one amplitude."""

    def __init__(self, settings: Settings, _rate: int) -> None:
        super().__init__()
        self.framing = dsp.Framing.of(settings)
        self.columns = ["rms"]

    def forward(self, frames: dsp.Frames) -> Tensor:
        norms = torch.linalg.vector_norm(frames.raw, dim=1, keepdim=True)
        return norms / frames.raw.shape[1] ** 0.5


def definition(wave: np.ndarray, _rate: int, settings: Settings) -> np.ndarray:
    """Compute reference values in float64, `[frames, 1]` of `[samples]`."""
    return np.sqrt((reference.frames(wave, settings) ** 2).mean(axis=1, keepdims=True))
