"""Pitch, tempo and speed by ratios of small whole numbers: the only door to torch-pitch-shift."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

FRAME = 0.032  # seconds in a frame of the phase vocoder
OVERLAP = 4  # frames over each sample
PARTS = 100  # the largest denominator: steps of a sixth of a semitone at the most, and short resampling filters


def ratio(number: float) -> Fraction:
    """The nearest ratio that resamples quickly."""
    return Fraction(number).limit_denominator(PARTS)


def semitones(number: Fraction) -> float:
    return 12 * math.log2(number)


def pitched(wave: Tensor, rate: int, by: Fraction) -> Tensor:
    """`[channels, samples]` or `[samples]` higher by a ratio, as long as before.

    torch-pitch-shift is handed frames and a hop for speech: its own, 64 frames a second with 32 over each sample under
    a rectangular window, take a second for a clip of two. It resamples from the "rate" to the "rate" over the ratio;
    handed the numerator for a rate it builds as few filters as there can be.
    """
    from torch_pitch_shift import pitch_shift

    size = frame(rate)
    how = {"n_fft": size, "hop_length": size // OVERLAP, "window": _window(size)}
    if by == 1:
        return wave
    return _long_enough(wave, size, lambda held: pitch_shift(held[None], by, by.numerator, **how)[0])


def paced(wave: Tensor, rate: int, by: Fraction) -> Tensor:
    """`[.., samples]` faster by a ratio and as high as before; shorter by it."""
    import torch
    from torchaudio.transforms import TimeStretch

    size = frame(rate)
    hop, length = size // OVERLAP, math.ceil(wave.shape[-1] / by)

    def stretched(held: Tensor) -> Tensor:
        bins = torch.stft(held, size, hop, window=_window(size), return_complex=True)
        changed = TimeStretch(hop, size // 2 + 1, float(by))(bins)
        return torch.istft(changed, size, hop, window=_window(size), length=max(length, size))

    return wave if by == 1 else _long_enough(wave, size, stretched)[..., :length]


def sped(wave: Tensor, by: Fraction) -> Tensor:
    """`[.., samples]` faster and higher by a ratio, as a tape would be."""
    from torchaudio.functional import resample

    return resample(wave, by.numerator, by.denominator)


def frame(rate: int) -> int:
    """Samples in a frame: a power of two."""
    return 2 ** round(math.log2(FRAME * rate))


def _window(size: int) -> Tensor:
    import torch

    return torch.hann_window(size)


def _long_enough(wave: Tensor, least: int, change: Callable[[Tensor], Tensor]) -> Tensor:
    """The change of `[channels, samples]`, padded for it to a frame where it is shorter."""
    import torch

    flat = wave.reshape(-1, wave.shape[-1])
    short = max(0, least - flat.shape[1])
    changed = change(torch.nn.functional.pad(flat, (0, short)) if short else flat)
    kept = changed if not short else changed[:, : max(1, round(changed.shape[1] * wave.shape[-1] / least))]
    return kept.reshape(*wave.shape[:-1], -1)
