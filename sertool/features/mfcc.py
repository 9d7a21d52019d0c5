"""Mel-frequency cepstral coefficients: the shape of the log-mel spectrum, coarse to fine."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sertool.numeric import dsp, reference

DTYPE = "float16"
LEAST = 1e-4  # dB: float32 rounds coefficients by this much, which matters where slopes of few frames are nearly 0
WIDTH = 9  # frames for a slope, or as many as a short clip has
FRAMES_AT_ONCE = 1 << 15  # so that hours of audio need no second copy of their mel spectra


@dataclass(frozen=True)
class Settings:
    count: Annotated[int, "number of coefficients", 1, 1024] = 20
    bands: Annotated[int, "number of mel bands", 1, 1024] = 128
    lifter: Annotated[float, "weight the coefficients by a sine of this many (0: don't)", 0] = 0.0
    deltas: Annotated[Literal[0, 1, 2], "add their slopes over 9 frames, or slopes and bends"] = 0
    n_fft: Annotated[int, "samples in a frame and its transform", 16, 65_536] = 2048
    hop: Annotated[int, "samples from one frame to the next", 1] = 512
    win_length: Annotated[int | None, "samples under the window [default: n_fft]", 1] = None
    window: Annotated[Literal["hann", "hamming", "blackman", "ones"], "window over a frame"] = "hann"
    center: Annotated[bool, "centre frames on their time, with the ends extended"] = True
    edges: Annotated[Literal["zeros", "reflect"], "what lies beyond the ends"] = "zeros"
    fmin: Annotated[float, "lowest frequency in Hz", 0] = 0.0
    fmax: Annotated[float | None, "highest frequency in Hz [default: half the rate]", 1] = None
    htk: Annotated[bool, "HTK's mel scale rather than Slaney's"] = False
    norm: Annotated[Literal["slaney", "none"], "each triangle's area is one, or its peak"] = "slaney"


class Feature(nn.Module):
    """Rows of `count` coefficients, then their first and second derivatives."""

    cosines: Tensor
    level: Tensor

    def __init__(self, settings: Settings, rate: int) -> None:
        super().__init__()
        self.framing = dsp.Framing.of(settings)
        dsp.require(
            settings.count <= settings.bands, f"count {settings.count}: there are 1 to {settings.bands} (bands)"
        )
        self.deltas = settings.deltas
        self.bank = dsp.MelBank(settings, rate, settings.n_fft)
        transform = cosines(settings)
        self.register_buffer("cosines", torch.from_numpy(transform.T.copy()).float())
        self.register_buffer("level", torch.from_numpy(transform.sum(1) * (np.arange(settings.count) == 0)).float())
        kinds = ("mfcc", "mfcc_slope", "mfcc_bend")[: settings.deltas + 1]
        self.columns = [f"{kind}_{number}" for kind in kinds for number in range(settings.count)]

    def forward(self, frames: dsp.Frames) -> Tensor:
        """Return the mel spectrum in decibels, `[frames, bands]`."""
        return frames.mel_decibels(self.bank)

    def finish(self, rows: Tensor) -> Tensor:
        loudest = rows.max()
        parts = [self.transformed(part, loudest) for part in rows.split(FRAMES_AT_ONCE)]
        rows = parts[0] if len(parts) == 1 else torch.cat(parts)
        deltas = [slopes(rows, order) for order in range(1, self.deltas + 1)]
        return torch.cat([rows, *deltas], 1) if deltas else rows

    def transformed(self, rows: Tensor, loudest: Tensor) -> Tensor:
        """Return the coefficients of mel rows, `[frames, count]` of `[frames, bands]`, given their loudest value.

        The level affects only the first coefficient, also in float32, because it is subtracted before the product.
        """
        return torch.addmm(self.level * loudest, (rows - loudest).clamp_(min=-80.0), self.cosines)


def cosines(settings: Settings) -> np.ndarray:
    """Return the liftered orthonormal DCT-II, `[count, bands]`."""
    numbers, bands = np.arange(settings.count)[:, None], settings.bands
    rows = np.cos(np.pi / bands * (np.arange(bands) + 0.5) * numbers) * np.sqrt(np.where(numbers, 2, 1) / bands)
    if settings.lifter:
        rows *= 1 + settings.lifter / 2 * np.sin(np.pi * (numbers + 1) / settings.lifter)
    return rows


def fitting(width: int, order: int) -> np.ndarray:
    """Return the weights `[width]` of a derivative: the order-th of the polynomial of that order through the frames."""
    positions = np.arange(width) - width // 2
    return np.linalg.pinv(np.vander(positions, order + 1, increasing=True))[order] * order


def slopes(rows: Tensor, order: int) -> Tensor:
    """Return the first or second derivative of `[frames, count]` by frame.

    The ends have that of the nearest full window: the derivative of a polynomial's own order is constant, so they need
    no fit of their own.
    """
    width = min(WIDTH, len(rows) - 1 + len(rows) % 2)
    if width < 3:
        return torch.zeros_like(rows)
    weights = torch.from_numpy(fitting(width, order)).to(rows)
    inner = (rows - rows[:1]).unfold(0, width, 1) @ weights  # differences give constants slopes of 0
    ends = [inner[:1].expand(width // 2, -1), inner[-1:].expand(width // 2, -1)]
    return torch.cat([ends[0], inner, ends[1]])


def definition(wave: np.ndarray, rate: int, settings: Settings) -> np.ndarray:
    """Compute reference values in float64, `[frames, count (1 + deltas)]` of `[samples]`."""
    power = np.abs(reference.stft(wave, settings)) ** 2
    mel = power @ dsp.MelScale.of(settings).weights(rate, settings.n_fft).T
    rows = reference.decibels(mel, top_db=80.0) @ cosines(settings).T
    return np.concatenate(
        [rows, *(reference.derivative(rows, order, WIDTH) for order in range(1, settings.deltas + 1))], axis=1
    )
