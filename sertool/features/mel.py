"""Log-mel spectrogram: the power in bands spaced as hearing spaces them."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from torch import Tensor, nn

from sertool.numeric import dsp, reference

DTYPE = "float16"


@dataclass(frozen=True)
class Settings:
    bands: Annotated[int, "number of mel bands", 1, 1024] = 128
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
    scale: Annotated[Literal["db", "log", "power"], "decibels, natural logarithm, or the power itself"] = "db"
    ref: Annotated[Literal["one", "max"], "0 dB is a power of one, or the clip's loudest band"] = "one"
    top_db: Annotated[float | None, "how far below the clip's maximum values may lie, in dB", 1] = 80.0


def stored(settings: Settings) -> str:
    """Return the type of stored rows: the power of soft speech is below float16's range."""
    return "float32" if settings.scale == "power" else DTYPE


class Feature(nn.Module):
    """Rows of `bands` values."""

    def __init__(self, settings: Settings, rate: int) -> None:
        super().__init__()
        self.settings = settings
        self.framing = dsp.Framing.of(settings)
        self.bank = dsp.MelBank(settings, rate, settings.n_fft)
        self.columns = [f"mel_{band}" for band in range(settings.bands)]

    def forward(self, frames: dsp.Frames) -> Tensor:
        """Return the power in each band, in decibels if asked for, `[frames, bands]`."""
        return frames.mel_decibels(self.bank) if self.settings.scale == "db" else frames.mel(self.bank)

    def finish(self, rows: Tensor) -> Tensor:
        """Convert one clip's `[frames, bands]` to the requested scale."""
        settings = self.settings
        if settings.scale == "power":
            return rows
        if settings.scale == "log":
            return rows.clamp(min=dsp.FLOOR).log()
        rows = rows - rows.max() if settings.ref == "max" else rows
        return rows if settings.top_db is None else dsp.within(rows, settings.top_db)


def definition(wave: np.ndarray, rate: int, settings: Settings) -> np.ndarray:
    """Compute reference values in float64, `[frames, bands]` of `[samples]`."""
    power = np.abs(reference.stft(wave, settings)) ** 2
    rows = power @ dsp.MelScale.of(settings).weights(rate, settings.n_fft).T
    if settings.scale == "power":
        return rows
    if settings.scale == "log":
        return np.log(np.maximum(rows, dsp.FLOOR))
    rows = reference.decibels(rows, settings.top_db)
    return rows - rows.max() if settings.ref == "max" else rows
