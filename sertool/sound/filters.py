"""Filters, shifts and convolutions with given parameters: the only importer of torch-audiomentations.

Its transforms draw their parameters from one stream for the whole process; here the drawn parameters are passed in, so
that a clip does not depend on what was drawn before. Its file readers do not work with torchaudio 2.11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

NYQUIST = 0.499  # share of the sample rate: the highest cutoff of a filter
ZEROS = 8  # zero crossings of a filter's sinc on both sides together, as in torch-audiomentations


def _transformed(wave: Tensor, rate: int, name: str, drawn: dict[str, float], **settings: Any) -> Tensor:
    """Apply a transform with its parameters to `[channels, samples]` or `[samples]`."""
    import torch
    import torch_audiomentations

    transform = getattr(torch_audiomentations, name)(p=1.0, output_type="dict", **settings)
    transform.transform_parameters = {key: torch.tensor([value], device=wave.device) for key, value in drawn.items()}
    return transform.apply_transform(wave.reshape(1, -1, wave.shape[-1]).clone(), rate).samples.reshape(wave.shape)


def low_passed(wave: Tensor, rate: int, hz: float) -> Tensor:
    """Apply a low-pass filter."""
    return _transformed(wave, rate, "LowPassFilter", {"cutoff_freq": hz}) if hz < NYQUIST * rate else wave


def high_passed(wave: Tensor, rate: int, hz: float) -> Tensor:
    """Apply a high-pass filter."""
    return _transformed(wave, rate, "HighPassFilter", {"cutoff_freq": min(hz, NYQUIST * rate)})


def band(wave: Tensor, rate: int, hz: float, octaves: float) -> Tensor:
    """Apply a band-pass filter, so many octaves wide, around a frequency."""
    low, high = _edges(rate, hz, octaves)
    middle = (low + high) / 2
    return _transformed(wave, rate, "BandPassFilter", {"center_freq": middle, "bandwidth": (high - low) / middle})


def _edges(rate: int, hz: float, octaves: float) -> tuple[float, float]:
    high = min(hz * 2 ** (octaves / 2), NYQUIST * rate)
    return min(hz * 2 ** (-octaves / 2), 0.9 * high), high


def shifted(wave: Tensor, rate: int, by: int, *, wrap: bool) -> Tensor:
    """Delay `[.., samples]` by some samples; the gap is silent or, with `wrap`, filled from the end."""
    return _transformed(wave, rate, "Shift", {"num_samples_to_shift": by}, rollover=wrap)


def convolved(wave: Tensor, response: Tensor) -> Tensor:
    """Convolve `[.., samples]` with an impulse response `[taps]`, keeping the length."""
    from torch_audiomentations.utils.convolution import convolve

    return convolve(wave, response)[..., : wave.shape[-1]]


# Batched versions. torch-audiomentations filters clips one by one, and its short convolutions are rounded to 10 bits on
# GPUs with TF32; here all are products of spectra, with the taps of the same filters.


def low_pass_kernel(rate: int, hz: float) -> np.ndarray:
    """Return the taps of `low_passed`, `[taps]`, an odd number; the clip's end samples are repeated beyond it."""
    return _sinc(hz / rate, hz / rate) if hz < NYQUIST * rate else np.ones(1)


def high_pass_kernel(rate: int, hz: float) -> np.ndarray:
    edge = min(hz / rate, NYQUIST)
    return complementary(_sinc(edge, edge))


def band_pass_kernel(rate: int, hz: float, octaves: float) -> np.ndarray:
    low, high = (edge / rate for edge in _edges(rate, hz, octaves))
    return _sinc(high, low) - _sinc(low, low)


def complementary(taps: np.ndarray) -> np.ndarray:
    """Return the complement of a filter, which keeps what the filter removes."""
    others = -taps
    others[len(others) // 2] += 1
    return others


def _sinc(edge: float, lowest: float) -> np.ndarray:
    """Return a windowed-sinc low-pass filter with a relative cutoff, as long as one with the cutoff `lowest`."""
    half = int(ZEROS / lowest / 2)
    taps = np.hanning(2 * half + 1) * np.sinc(2 * edge * np.arange(-half, half + 1))
    return taps / taps.sum()


def filtered(waves: Sequence[Tensor], kernels: Sequence[np.ndarray]) -> list[Tensor]:
    """Filter each `[channels, samples]` by its own taps."""
    import torch

    halves = [len(response) // 2 for response in kernels]
    wide = [torch.nn.functional.pad(wave, (half, half), mode="replicate")
            for wave, half in zip(waves, halves, strict=True)]  # fmt: skip
    return [sound[:, 2 * half :] for sound, half in zip(convolved_together(wide, kernels), halves, strict=True)]


def convolved_together(waves: Sequence[Tensor], responses: Sequence[np.ndarray]) -> list[Tensor]:
    """Convolve each `[channels, samples]` with its own impulse response, keeping the length."""
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
