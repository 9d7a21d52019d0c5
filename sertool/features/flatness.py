"""Spectral flatness: geometric over arithmetic mean of the power, 1 for white noise, near 0 for a tone."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sertool.numeric import dsp, reference

DTYPE = "float32"


@dataclass(frozen=True)
class Settings:
    n_fft: Annotated[int, "samples in a frame and its transform", 16, 65_536] = 2048
    hop: Annotated[int, "samples from one frame to the next", 1] = 512
    win_length: Annotated[int | None, "samples under the window [default: n_fft]", 1] = None
    window: Annotated[Literal["hann", "hamming", "blackman", "ones"], "window over a frame"] = "hann"
    center: Annotated[bool, "centre frames on their time, with the ends extended"] = True
    edges: Annotated[Literal["zeros", "reflect"], "what lies beyond the ends"] = "zeros"


class Feature(nn.Module):
    """Rows of one ratio; 1 in silence."""

    def __init__(self, settings: Settings, rate: int) -> None:
        super().__init__()
        self.framing = dsp.Framing.of(settings)
        self.columns = ["flatness"]

    def forward(self, frames: dsp.Frames) -> Tensor:
        # A logarithm costs as much as several products, so the magnitudes, each at least 1e-5, are first multiplied in
        # groups of four and five (six for eleven bins). float32 holds the products of magnitudes up to 4e7, that of a
        # tone 40,000 times full scale.
        values = frames.magnitude.clamp(min=dsp.FLOOR**0.5)
        first, second, *others = values.split(values.shape[1] // 4, 1)
        products = first * second
        for factors in others:  # the last may have fewer
            products[:, : factors.shape[1]].mul_(factors)
        logs = dsp.log_(products).sum(1).mul_(2 / values.shape[1])
        means = torch.linalg.vector_norm(values, dim=1).square_().div_(values.shape[1])
        return logs.exp_().div_(means)[:, None]


def definition(wave: np.ndarray, _rate: int, settings: Settings) -> np.ndarray:
    """Compute reference values in float64, `[frames, 1]` of `[samples]`."""
    power = np.maximum(np.abs(reference.stft(wave, settings)) ** 2, dsp.FLOOR)
    return np.exp(np.log(power).mean(axis=1, keepdims=True)) / power.mean(axis=1, keepdims=True)
