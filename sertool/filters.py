"""Filters, shifts and convolutions with given numbers: the only door to torch-audiomentations.

Its transforms draw for themselves, from one stream for the whole process; here they are handed what was drawn, so that
a clip's sound does not depend on what was drawn before. Its readers of files do not work with torchaudio 2.11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

NYQUIST = 0.499  # of the sample rate: the highest edge that a filter may have
ZEROS = 8  # of a filter's sinc on both sides together, as torch-audiomentations has them


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
    low, high = _edges(rate, hz, octaves)
    middle = (low + high) / 2
    return _transformed(wave, rate, "BandPassFilter", {"center_freq": middle, "bandwidth": (high - low) / middle})


def _edges(rate: int, hz: float, octaves: float) -> tuple[float, float]:
    high = min(hz * 2 ** (octaves / 2), NYQUIST * rate)
    return min(hz * 2 ** (-octaves / 2), 0.9 * high), high


def shifted(wave: Tensor, rate: int, by: int, *, wrap: bool) -> Tensor:
    """`[.., samples]` later by so many samples, with silence, or what left at the end, in the place of the first."""
    return _transformed(wave, rate, "Shift", {"num_samples_to_shift": by}, rollover=wrap)


def convolved(wave: Tensor, response: Tensor) -> Tensor:
    """`[.., samples]` through an impulse response `[taps]`; as long as before."""
    from torch_audiomentations.utils.convolution import convolve

    return convolve(wave, response)[..., : wave.shape[-1]]


# The same for many clips at once. torch-audiomentations filters one after another, and its convolutions of a few taps
# are rounded to 10 bits on a GPU that can; here all are products of spectra, with the taps of the same filters.


def low_pass_kernel(rate: int, hz: float) -> np.ndarray:
    """What `low_passed` convolves with, `[taps]`, an odd number of them; the ends of a clip go on beyond it."""
    return _sinc(hz / rate, hz / rate) if hz < NYQUIST * rate else np.ones(1)


def high_pass_kernel(rate: int, hz: float) -> np.ndarray:
    edge = min(hz / rate, NYQUIST)
    return complementary(_sinc(edge, edge))


def band_pass_kernel(rate: int, hz: float, octaves: float) -> np.ndarray:
    low, high = (edge / rate for edge in _edges(rate, hz, octaves))
    return _sinc(high, low) - _sinc(low, low)


def complementary(taps: np.ndarray) -> np.ndarray:
    """The filter that keeps what another takes out."""
    others = -taps
    others[len(others) // 2] += 1
    return others


def _sinc(edge: float, lowest: float) -> np.ndarray:
    """A low pass with an edge at a share of the rate, as long as it is for the `lowest` one."""
    half = int(ZEROS / lowest / 2)
    taps = np.hanning(2 * half + 1) * np.sinc(2 * edge * np.arange(-half, half + 1))
    return taps / taps.sum()


def filtered(waves: Sequence[Tensor], kernels: Sequence[np.ndarray]) -> list[Tensor]:
    """Each `[channels, samples]` through its own filter."""
    import torch

    halves = [len(response) // 2 for response in kernels]
    wide = [torch.nn.functional.pad(wave, (half, half), mode="replicate")
            for wave, half in zip(waves, halves, strict=True)]  # fmt: skip
    return [sound[:, 2 * half :] for sound, half in zip(convolved_together(wide, kernels), halves, strict=True)]


def convolved_together(waves: Sequence[Tensor], responses: Sequence[np.ndarray]) -> list[Tensor]:
    """Each `[channels, samples]` through its own impulse response; as long as before."""
    import torch

    lengths = [wave.shape[-1] for wave in waves]
    responses = [response[:length] for response, length in zip(responses, lengths, strict=True)]
    size = -(-(max(lengths) + max(map(len, responses)) - 1) // 4096) * 4096
    bank = np.zeros((len(waves), 1, max(map(len, responses))), np.float32)
    for row, response in zip(bank, responses, strict=True):
        row[0, : len(response)] = response
    padded = torch.stack([torch.nn.functional.pad(wave, (0, max(lengths) - wave.shape[-1])) for wave in waves])
    spectra = torch.fft.rfft(padded, size).mul_(torch.fft.rfft(torch.from_numpy(bank).to(padded.device), size))
    return [row[:, :length] for row, length in zip(torch.fft.irfft(spectra, size), lengths, strict=True)]
