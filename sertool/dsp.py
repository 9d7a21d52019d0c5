"""Frames, spectra and filter banks: what the features share.

A clip is cut into frames once for each framing and transformed once; `Frames` computes each view of them when a
feature first asks for it and keeps it for the next. On a CPU a clip is always worked on alone, in runs of `RUN`
frames counted from its own start, so that its numbers cannot depend on its company: a matrix product may round a row
differently at another position or in a matrix of another height.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

RUN = 128  # frames worked on at once: at 2,048 samples a frame they and their spectra stay in a core's cache


@dataclass(frozen=True)
class Framing:
    """How a waveform is cut; features with equal framings share frames and spectra."""

    n_fft: int = 2048
    hop: int = 512
    win_length: int | None = None
    window: str = "hann"
    center: bool = True
    edges: str = "zeros"  # beyond the ends, when centred: zeros, reflect, or "last", the last sample

    @classmethod
    def of(cls, settings: object, **changes: object) -> "Framing":
        """The framing that a feature's settings ask for; what they do not name is as usual here."""
        return cls(**_shared(cls, settings) | changes)

    def cut(self, wave: Tensor) -> Tensor:
        """Frames of a waveform as a view, `[frames, n_fft]` of `[samples]`; a short clip has one frame."""
        if self.center:
            wave = extend(wave, self.n_fft // 2, self.edges)
        if len(wave) < self.n_fft:
            wave = nn.functional.pad(wave, (0, self.n_fft - len(wave)))
        return wave.unfold(0, self.n_fft, self.hop)

    def window_values(self) -> Tensor:
        """The analysis window, `[n_fft]`: periodic, centred in the frame where it is shorter."""
        length = self.win_length or self.n_fft
        makers = {"hann": torch.hann_window, "hamming": torch.hamming_window, "blackman": torch.blackman_window}
        values = torch.ones(length) if self.window == "ones" else makers[self.window](length, dtype=torch.float64)
        left = (self.n_fft - length) // 2
        return nn.functional.pad(values.float(), (left, self.n_fft - length - left))


def _shared(kind: type, settings: object) -> dict[str, object]:
    """The fields of a dataclass that `settings` has too."""
    return {field.name: getattr(settings, field.name) for field in fields(kind) if hasattr(settings, field.name)}


def extend(wave: Tensor, width: int, edges: str) -> Tensor:
    """A waveform with `width` samples more at both ends, `[samples + 2 width]`."""
    if edges == "zeros":
        return nn.functional.pad(wave, (width, width))
    positions = torch.arange(-width, len(wave) + width, device=wave.device)
    if edges == "reflect":  # to and fro as often as it takes, so that a clip may be shorter than `width`
        period = max(2 * (len(wave) - 1), 1)
        positions = positions.remainder(period)
        positions = torch.minimum(positions, period - positions)
    return wave[positions.clamp(0, len(wave) - 1)]


class Frames:
    """A run of frames and its views, each computed once: `raw` `[frames, n_fft]`, the others `[frames, bins]`."""

    def __init__(self, raw: Tensor, window: Tensor) -> None:
        self.raw = raw
        self._window = window

    @cached_property
    def spectrum(self) -> Tensor:
        return torch.fft.rfft(self.raw * self._window)

    @cached_property
    def power(self) -> Tensor:
        # A complex product is vectorised where the squares of two strided halves are not: 4 times as fast.
        return (self.spectrum * self.spectrum.conj()).real

    @cached_property
    def magnitude(self) -> Tensor:
        return self.power.sqrt()


def runs(frames: Tensor, window: Tensor, length: int = RUN) -> Iterator[Frames]:
    """The frames of a clip, `[frames, n_fft]`, in runs that are small enough for the cache."""
    for start in range(0, len(frames), length):
        yield Frames(frames[start : start + length], window)


class Bank(nn.Module):
    """Overlapping filters over a spectrum, `[frames, bins]` to `[frames, filters]`.

    A mel filter covers a few neighbouring bins, so most of the dense product multiplies by zero. Filters a..b of one
    group touch only bins lo..hi: with groups of 16 of 128 filters the work is 13 % of the dense product's.
    """

    def __init__(self, weights: np.ndarray, group: int = 16) -> None:
        """`weights`: `[filters, bins]`."""
        super().__init__()
        self.filters = len(weights)
        self.spans: list[tuple[int, int, int, int]] = []
        for first in range(0, self.filters, group):
            block = weights[first : first + group]
            used = np.flatnonzero(block.any(axis=0))
            low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
            self.register_buffer(f"block{len(self.spans)}", torch.from_numpy(block[:, low:high].T.copy()).float())
            self.spans.append((first, first + len(block), low, high))

    def forward(self, spectrum: Tensor) -> Tensor:
        out = spectrum.new_empty(len(spectrum), self.filters)
        for index, (first, last, low, high) in enumerate(self.spans):
            out[:, first:last] = spectrum[:, low:high] @ getattr(self, f"block{index}")
        return out


def bin_frequencies(rate: int, n_fft: int) -> np.ndarray:
    """The centre of each bin in Hz, `[bins]`."""
    return np.arange(n_fft // 2 + 1) * (rate / n_fft)


def hz_to_mel(hz: np.ndarray | float, htk: bool = False) -> np.ndarray:
    """Slaney's scale (linear below 1 kHz, logarithmic above) or HTK's."""
    hz = np.asarray(hz, dtype=np.float64)
    if htk:
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    bend = 1000.0 / (200 / 3)
    above = bend + np.log(np.maximum(hz, 1e-9) / 1000.0) / (np.log(6.4) / 27.0)
    return np.where(hz < 1000.0, hz / (200 / 3), above)


def mel_to_hz(mels: np.ndarray | float, htk: bool = False) -> np.ndarray:
    """The inverse of `hz_to_mel`."""
    mels = np.asarray(mels, dtype=np.float64)
    if htk:
        return 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    bend = 1000.0 / (200 / 3)
    return np.where(mels < bend, mels * (200 / 3), 1000.0 * np.exp((np.log(6.4) / 27.0) * (mels - bend)))


@dataclass(frozen=True)
class MelScale:
    """A bank of triangular filters, evenly spaced on a mel scale."""

    bands: int = 128
    fmin: float = 0.0
    fmax: float | None = None
    htk: bool = False
    norm: str = "slaney"  # or "none": each triangle's area, or its peak, is one

    @classmethod
    def of(cls, settings: object) -> "MelScale":
        return cls(**_shared(cls, settings))

    def weights(self, rate: int, n_fft: int) -> np.ndarray:
        """`[bands, bins]`."""
        ends = hz_to_mel(np.array([self.fmin, self.fmax or rate / 2]), self.htk)
        corners = mel_to_hz(np.linspace(ends[0], ends[1], self.bands + 2), self.htk)
        slopes = corners[:, None] - bin_frequencies(rate, n_fft)
        widths = np.diff(corners)
        rising = -slopes[:-2] / widths[:-1, None]
        falling = slopes[2:] / widths[1:, None]
        weights = np.maximum(0, np.minimum(rising, falling))
        if self.norm == "slaney":
            weights *= (2.0 / (corners[2:] - corners[:-2]))[:, None]
        return weights


def decibels(power: Tensor, reference: Tensor | float = 1.0, floor: float = 1e-10) -> Tensor:
    """10 log10(power / reference), both held above `floor`."""
    reference = torch.as_tensor(reference, dtype=power.dtype, device=power.device)
    return 10.0 * (power.clamp(min=floor).log10() - reference.clamp(min=floor).log10())
