"""Filters, shifts and convolutions with given numbers: the only door to torch-audiomentations.

Its transforms draw for themselves, from one stream for the whole process; here they are handed what was drawn, so that
a clip's sound does not depend on what was drawn before. Its readers of files do not work with torchaudio 2.11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

NYQUIST = 0.499  # of the sample rate: the highest edge that a filter may have


def _transformed(wave: Tensor, rate: int, name: str, drawn: dict[str, float], **settings: Any) -> Tensor:
    """What a transform makes of `[channels, samples]` or `[samples]`, by its own names of the numbers."""
    import torch
    import torch_audiomentations

    transform = getattr(torch_audiomentations, name)(p=1.0, output_type="dict", **settings)
    transform.transform_parameters = {key: torch.tensor([value], device=wave.device) for key, value in drawn.items()}
    return transform.apply_transform(wave.reshape(1, -1, wave.shape[-1]).clone(), rate).samples.reshape(wave.shape)


def low_passed(wave: Tensor, rate: int, hz: float) -> Tensor:
    """What lies below an edge."""
    return _transformed(wave, rate, "LowPassFilter", {"cutoff_freq": hz}) if hz < NYQUIST * rate else wave


def high_passed(wave: Tensor, rate: int, hz: float) -> Tensor:
    """What lies above an edge."""
    return _transformed(wave, rate, "HighPassFilter", {"cutoff_freq": min(hz, NYQUIST * rate)})


def band(wave: Tensor, rate: int, hz: float, octaves: float) -> Tensor:
    """What lies in a band of so many octaves about a frequency."""
    high = min(hz * 2 ** (octaves / 2), NYQUIST * rate)
    low = min(hz * 2 ** (-octaves / 2), 0.9 * high)
    middle = (low + high) / 2
    return _transformed(wave, rate, "BandPassFilter", {"center_freq": middle, "bandwidth": (high - low) / middle})


def shifted(wave: Tensor, rate: int, by: int, *, wrap: bool) -> Tensor:
    """`[.., samples]` later by so many samples, with silence, or what left at the end, in the place of the first."""
    return _transformed(wave, rate, "Shift", {"num_samples_to_shift": by}, rollover=wrap)


def convolved(wave: Tensor, response: Tensor) -> Tensor:
    """`[.., samples]` through an impulse response `[taps]`; as long as before."""
    from torch_audiomentations.utils.convolution import convolve

    return convolve(wave, response)[..., : wave.shape[-1]]
