"""Pitch, tempo and speed by ratios of small whole numbers: a phase vocoder, and torchaudio's resampler."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

FRAME = 0.032  # seconds in a frame of the phase vocoder
OVERLAP = 4  # frames over each sample; the squares of so many Hann windows add up to LEVEL everywhere
LEVEL = 1.5
TINY = 1e-15  # what a bin is never below, so that silence has a phase
PARTS = 100  # the largest denominator: steps of a sixth of a semitone at the most, and short resampling filters


def ratio(number: float) -> Fraction:
    """The nearest ratio that resamples quickly."""
    return Fraction(number).limit_denominator(PARTS)


def semitones(number: Fraction) -> float:
    return 12 * math.log2(number)


def pitched(wave: Tensor, rate: int, by: Fraction) -> Tensor:
    """`[channels, samples]` or `[samples]` higher by a ratio, as long as before.

    It equals torch-pitch-shift's with these frames, in less than half its time. Its usual ones, 64 a second with 32
    over each sample under a rectangular window, take a second for a clip of two.
    """
    import torch

    made = sped(paced(wave, rate, 1 / by), by)[..., : wave.shape[-1]]
    return torch.nn.functional.pad(made, (0, wave.shape[-1] - made.shape[-1]))


def paced(wave: Tensor, rate: int, by: Fraction) -> Tensor:
    """`[.., samples]` faster by a ratio and as high as before; shorter by it."""
    import torch

    if by == 1:
        return wave
    size, length = frame(rate), math.ceil(wave.shape[-1] / by)
    flat = wave.reshape(-1, wave.shape[-1])
    flat = torch.nn.functional.pad(flat, (0, max(0, size - wave.shape[-1])))
    window = torch.hann_window(size, device=wave.device)
    bins = torch.stft(flat, size, size // OVERLAP, window=window, return_complex=True).transpose(1, 2)
    made = _overlapped(torch.fft.irfft(_stretched(bins, by), n=size), window)[:, :length]
    made = torch.nn.functional.pad(made, (0, length - made.shape[1]))
    return made.reshape(*wave.shape[:-1], length)


def sped(wave: Tensor, by: Fraction) -> Tensor:
    """`[.., samples]` faster and higher by a ratio, as a tape would be.

    torchaudio's resampler as a matrix product: its convolution is compiled anew for every ratio and every length, which
    takes longer than to resample a clip.
    """
    import torch

    if by == 1:
        return wave
    filters, width = _filters(by)
    padded = torch.nn.functional.pad(wave, (width, width + by.numerator))
    spans = padded.unfold(-1, filters.shape[1], by.numerator)
    return (spans @ filters.T.to(wave.device)).flatten(-2)[..., : math.ceil(wave.shape[-1] / by)]


@lru_cache(maxsize=512)
def _filters(by: Fraction) -> tuple[Tensor, int]:
    """As many filters as the denominator, `[filters, taps]`, and their reach: of the rates only the ratio counts."""
    from torchaudio.transforms import Resample

    made = Resample(by.numerator, by.denominator)
    return made.kernel[:, 0], made.width


def frame(rate: int) -> int:
    """Samples in a frame: a power of two."""
    return 2 ** round(math.log2(FRAME * rate))


def _stretched(bins: Tensor, pace: Fraction) -> Tensor:
    """Frames `[channels, frames, bins]` at another pace, each bin's phase going on as fast as before.

    Output frame t lies at place t pace of the input, in frame i(t) or on the way to the next, and is as loud as they
    are there: frame i(t) times its growth towards the next. Its phase is that of the frame before it plus the step from
    i(t - 1) to i(t - 1) + 1. Where i(t) = i(t - 1) + 1, as nearly always when the pace is near one, the sum is the
    phase of frame i(t) itself plus whatever it differed by before; it differs by more only where a frame is repeated or
    left out, by phase(i(t - 1) + 1) - phase(i(t)). So no angle is ever computed: products of numbers of length one over
    those few places turn the frames after each.
    """
    import torch

    count = math.ceil(bins.shape[1] / pace)
    places = np.arange(count) * pace.numerator
    first, share = places // pace.denominator, (places % pace.denominator / pace.denominator).astype(np.float32)
    breaks = np.flatnonzero(np.diff(first) != 1)
    runs = np.searchsorted(breaks, np.arange(count))  # how many breaks lie before each frame
    bins = torch.nn.functional.pad(bins, (0, 0, 0, 1)).add_(TINY)
    size = bins.real.square().addcmul_(bins.imag, bins.imag).sqrt_()  # abs takes ten times as long
    growth = (size[:, 1:] / size[:, :-1]).sub_(1)

    def at(frames: Tensor, index: np.ndarray) -> Tensor:
        return frames.index_select(1, torch.from_numpy(index).to(frames.device))

    made = at(bins, first)
    made.mul_(at(growth, first).mul_(torch.from_numpy(share).to(bins.device)[:, None]).add_(1))
    if not len(breaks):
        return made
    turns = at(bins, first[breaks] + 1) * at(bins, first[breaks + 1]).conj()
    turns = (turns / turns.abs()).cumprod(dim=1)
    return made.mul_(at(torch.cat([torch.ones_like(turns[:, :1]), turns], dim=1), runs))


def _overlapped(frames: Tensor, window: Tensor) -> Tensor:
    """Windowed frames `[channels, frames, samples]` added where they overlap, without the halves beyond the ends."""
    channels, count, size = frames.shape
    hop = size // OVERLAP
    parts = (frames * (window / LEVEL)).view(channels, count, OVERLAP, hop)
    made = frames.new_zeros(channels, count + OVERLAP - 1, hop)
    for place in range(OVERLAP):
        made[:, place : place + count] += parts[:, :, place]
    made = made[:, OVERLAP // 2 : -(OVERLAP // 2)]
    squares = window.square().view(OVERLAP, hop)
    made[:, 0] *= LEVEL / (LEVEL - squares[-1])  # no frame before the first, none after the last
    made[:, -1] *= LEVEL / (LEVEL - squares[0])
    return made.reshape(channels, -1)
