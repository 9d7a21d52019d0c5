"""Pitch, tempo and speed by ratios of small whole numbers: a phase vocoder, and torchaudio's resampler."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

FRAME = 0.032  # seconds in a frame of the phase vocoder
OVERLAP = 4  # frames over each sample; the squares of so many Hann windows add up to LEVEL everywhere
LEVEL = 1.5
BLOCK = 4096  # frames held at once: half a minute, of any length of audio
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
    blocks = _stretched(partial(_frames, flat, window), flat.shape[1] // (size // OVERLAP) + 1, by)
    made = _overlapped((torch.fft.irfft(block, n=size) for block in blocks), window)[:, :length]
    made = torch.nn.functional.pad(made, (0, length - made.shape[1]))
    return made.reshape(*wave.shape[:-1], length)


def _frames(flat: Tensor, window: Tensor, low: int, high: int) -> Tensor:
    """The spectra of some frames, `[channels, frames, bins]`; behind the last one there is one of silence.

    The first frame has its middle at the first sample, so that there are samples before it: a mirror of those behind.
    """
    import torch

    size = len(window)
    hop, count = size // OVERLAP, flat.shape[1] // (size // OVERLAP) + 1
    start, stop = low * hop - size // 2, (min(high, count) - 1) * hop + size // 2
    samples = flat[:, max(0, start) : stop]
    mirrored = flat[:, 1 : 1 - start].flip(1) if start < 0 else flat[:, :0]
    behind = max(0, stop - flat.shape[1])
    after = flat[:, -1 - behind : -1].flip(1) if behind else flat[:, :0]
    samples = torch.cat([mirrored, samples, after], dim=1) if start < 0 or behind else samples
    bins = torch.stft(samples, size, hop, window=window, center=False, return_complex=True).transpose(1, 2)
    return torch.nn.functional.pad(bins, (0, 0, 0, max(0, high - count)))


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


def _stretched(spectra: Callable[[int, int], Tensor], frames: int, pace: Fraction) -> Iterator[Tensor]:
    """Frames `[channels, frames, bins]` at another pace, each bin's phase going on as fast as before, block by block.

    Output frame t lies at place t pace of the input, in frame i(t) or on the way to the next, and is as loud as they
    are there: frame i(t) times its growth towards the next. Its phase is that of the frame before it plus the step from
    i(t - 1) to i(t - 1) + 1. Where i(t) = i(t - 1) + 1, as nearly always when the pace is near one, the sum is the
    phase of frame i(t) itself plus whatever it differed by before; it differs by more only where a frame is repeated or
    left out, by phase(i(t - 1) + 1) - phase(i(t)). So no angle is ever computed: products of numbers of length one over
    those few places turn the frames after each.
    """
    import torch

    count = math.ceil(frames / pace)
    places = np.arange(count) * pace.numerator
    first, share = places // pace.denominator, (places % pace.denominator / pace.denominator).astype(np.float32)
    breaks = np.flatnonzero(np.diff(first) != 1) + 1  # the frames that are turned against the one before them
    turns = None
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        low = int(min(first[start], first[start - 1] + 1)) if start else 0
        bins = spectra(low, int(first[stop - 1]) + 2).add_(TINY)
        at = partial(_taken, bins, low)
        size = bins.real.square().addcmul_(bins.imag, bins.imag).sqrt_()  # abs takes ten times as long
        growth = _taken((size[:, 1:] / size[:, :-1]).sub_(1), low, first[start:stop])
        loud = growth.mul_(torch.from_numpy(share[start:stop]).to(bins.device)[:, None]).add_(1)
        made = at(first[start:stop]).mul_(loud)
        here = breaks[(breaks >= start) & (breaks < stop)]
        if len(here) or turns is not None:
            turn = at(first[here - 1] + 1) * at(first[here]).conj()
            before = torch.ones_like(bins[:, :1]) if turns is None else turns[:, -1:]
            turns = torch.cat([before, turn / turn.abs()], dim=1).cumprod(dim=1)
            made.mul_(_taken(turns, 0, np.searchsorted(here, np.arange(start, stop), side="right")))
        yield made


def _taken(frames: Tensor, low: int, index: np.ndarray) -> Tensor:
    """Frames by their numbers, of which the first one here has the lowest."""
    import torch

    return frames.index_select(1, torch.from_numpy(index - low).to(frames.device))


def _overlapped(blocks: Iterable[Tensor], window: Tensor) -> Tensor:
    """Windowed frames `[channels, frames, samples]` added where they overlap, without the halves beyond the ends."""
    import torch

    hop = len(window) // OVERLAP
    finished, rest = [], None
    for frames in blocks:
        channels, count, _ = frames.shape
        parts = (frames * (window / LEVEL)).view(channels, count, OVERLAP, hop)
        made = frames.new_zeros(channels, count + OVERLAP - 1, hop)
        for place in range(OVERLAP):
            made[:, place : place + count] += parts[:, :, place]
        if rest is not None:
            made[:, : OVERLAP - 1] += rest
        finished.append(made[:, :count])
        rest = made[:, count:]
    made = torch.cat([*finished, rest], dim=1)[:, OVERLAP // 2 : -(OVERLAP // 2)]
    squares = window.square().view(OVERLAP, hop)
    made[:, 0] *= LEVEL / (LEVEL - squares[-1])  # no frame before the first, none after the last
    made[:, -1] *= LEVEL / (LEVEL - squares[0])
    return made.reshape(len(made), -1)
