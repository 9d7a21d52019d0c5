"""Change pitch, tempo and speed by ratios of small integers: a phase vocoder, and torchaudio's resampler."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor

FRAME = 0.032  # seconds in a frame of the phase vocoder
OVERLAP = 4  # overlapping frames; the squares of so many Hann windows add up to LEVEL everywhere
LEVEL = 1.5
BLOCK_FRAMES = 4096  # frames held at once: half a minute, however long the audio
TINY = 1e-15  # added to every bin, so that silence has a phase


def pitch_shifted(wave: Tensor, rate: int, by: Fraction) -> Tensor:
    """Raise the pitch of `[channels, samples]` or `[samples]` by a ratio, keeping the length.

    The result equals torch-pitch-shift's with these frames, in less than half the time. Its default frames, 64 a second
    with an overlap of 32 under a rectangular window, take a second for a clip of two.
    """
    return _fitted(resampled_by(time_stretched(wave, rate, 1 / by), by), wave.shape[-1])


def _fitted(wave: Tensor, length: int) -> Tensor:
    """Cut or zero-pad `[.., samples]` to a length."""
    cut = wave[..., :length]
    return torch.nn.functional.pad(cut, (0, length - cut.shape[-1]))


def time_stretched(wave: Tensor, rate: int, by: Fraction) -> Tensor:
    """Change the tempo of `[.., samples]` by a ratio, keeping the pitch."""
    if by == 1:
        return wave
    size, length = frame(rate), math.ceil(wave.shape[-1] / by)
    flat = wave.reshape(-1, wave.shape[-1])
    flat = torch.nn.functional.pad(flat, (0, max(0, size - wave.shape[-1])))
    window = torch.hann_window(size, device=wave.device)
    blocks = _stretched(partial(_frames, flat, window), flat.shape[1] // (size // OVERLAP) + 1, by)
    slowed = _overlap_add((torch.fft.irfft(block, n=size) for block in blocks), window)
    return _fitted(slowed, length).reshape(*wave.shape[:-1], length)


def _frames(flat: Tensor, window: Tensor, low: int, high: int) -> Tensor:
    """Return the spectra of frames low to high - 1, `[channels, frames, bins]`; frames behind the last are silence.

    The first frame is centred on the first sample; the samples beyond both ends are mirrored.
    """
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


def resampled_by(wave: Tensor, by: Fraction) -> Tensor:
    """Change tempo and pitch of `[.., samples]` together by a ratio, as a tape would.

    This is torchaudio's resampler as a matrix product: its convolution is compiled anew for every ratio and every
    length, which takes longer than resampling a clip.
    """
    if by == 1:
        return wave
    filters, width = _filters(by, wave.device)
    padded = torch.nn.functional.pad(wave, (width, width + by.numerator))
    spans = padded.unfold(-1, filters.shape[1], by.numerator)
    return (spans @ filters.T).flatten(-2)[..., : math.ceil(wave.shape[-1] / by)]


@lru_cache(maxsize=512)
def _filters(by: Fraction, device: torch.device) -> tuple[Tensor, int]:
    """Return the resampler's filters, `[filters, taps]`, and their reach; only the ratio of the two rates matters."""
    from torchaudio.transforms import Resample

    resampler = Resample(by.numerator, by.denominator)
    return resampler.kernel[:, 0].to(device), resampler.width


def frame(rate: int) -> int:
    """Return the number of samples in a frame, a power of two."""
    return 2 ** round(math.log2(FRAME * rate))


def _stretched(spectra: Callable[[int, int], Tensor], frames: int, pace: Fraction) -> Iterator[Tensor]:
    """Yield frames `[channels, frames, bins]` at another tempo, block by block, with each bin's phase continued.

    Output frame t lies at position t pace of the input, at or after frame i(t). Its magnitude is interpolated: frame
    i(t) times its growth towards the next. Its phase is that of the output frame before it plus the step from i(t - 1)
    to i(t - 1) + 1. Where i(t) = i(t - 1) + 1, as nearly always when the pace is near one, this sum is the phase of
    frame i(t) itself plus the accumulated offset; the offset changes only where a frame is repeated or left out, by
    phase(i(t - 1) + 1) - phase(i(t)). So no angle is ever computed: cumulative products of unit complex numbers at
    those few positions rotate the frames after each.
    """
    count = math.ceil(frames / pace)
    places = np.arange(count) * pace.numerator
    first, share = places // pace.denominator, (places % pace.denominator / pace.denominator).astype(np.float32)
    breaks = np.flatnonzero(np.diff(first) != 1) + 1  # the frames at which the offset changes
    turns = None
    for start in range(0, count, BLOCK_FRAMES):
        stop = min(start + BLOCK_FRAMES, count)
        low = int(min(first[start], first[start - 1] + 1)) if start else 0
        bins = spectra(low, int(first[stop - 1]) + 2).add_(TINY)
        at = partial(_taken, bins, low)
        size = bins.real.square().addcmul_(bins.imag, bins.imag).sqrt_()  # abs takes ten times as long
        growth = _taken((size[:, 1:] / size[:, :-1]).sub_(1), low, first[start:stop])
        loud = growth.mul_(torch.from_numpy(share[start:stop]).to(bins.device)[:, None]).add_(1)
        block = at(first[start:stop]).mul_(loud)
        repeats = breaks[(breaks >= start) & (breaks < stop)]
        if len(repeats) or turns is not None:
            turn = at(first[repeats - 1] + 1) * at(first[repeats]).conj()
            before = torch.ones_like(bins[:, :1]) if turns is None else turns[:, -1:]
            turns = torch.cat([before, turn / turn.abs()], dim=1).cumprod(dim=1)
            block.mul_(_taken(turns, 0, np.searchsorted(repeats, np.arange(start, stop), side="right")))
        yield block


def _taken(frames: Tensor, low: int, index: np.ndarray) -> Tensor:
    """Select frames by number, the first of `frames` having the number `low`."""
    return frames.index_select(1, torch.from_numpy(index - low).to(frames.device))


def _overlap_add(blocks: Iterable[Tensor], window: Tensor) -> Tensor:
    """Overlap-add windowed frames `[channels, frames, samples]`, without the halves beyond the ends."""
    hop = len(window) // OVERLAP
    sums: list[Tensor] = []  # the last one's frames go on
    for frames in blocks:
        channels, count, _ = frames.shape
        parts = (frames * (window / LEVEL)).view(channels, count, OVERLAP, hop)
        sum_of_frames = frames.new_zeros(channels, count + OVERLAP - 1, hop)
        for place in range(OVERLAP):
            sum_of_frames[:, place : place + count] += parts[:, :, place]
        if sums:
            sum_of_frames[:, : OVERLAP - 1] += sums.pop()
        sums += [sum_of_frames[:, :count], sum_of_frames[:, count:]]
    sum_of_frames = torch.cat(sums, dim=1)[:, OVERLAP // 2 : -(OVERLAP // 2)]
    squares = window.square().view(OVERLAP, hop)
    sum_of_frames[:, 0] *= LEVEL / (LEVEL - squares[-1])  # the ends have one overlapping frame fewer
    sum_of_frames[:, -1] *= LEVEL / (LEVEL - squares[0])
    return sum_of_frames.reshape(len(sum_of_frames), -1)


# Batches, for devices: the same results but for rounding, each clip at its own pace.


def pitch_shifted_together(waves: Sequence[Tensor], rate: int, by: Sequence[Fraction]) -> list[Tensor]:
    """Like `pitch_shifted`, for several `[channels, samples]`; each is resampled alone, by filters of its ratio."""
    slowed = time_stretched_together(waves, rate, [1 / number for number in by])
    pairs = zip(map(resampled_by, slowed, by), waves, strict=True)
    return [_fitted(resampled, wave.shape[-1]) for resampled, wave in pairs]


def time_stretched_together(waves: Sequence[Tensor], rate: int, by: Sequence[Fraction]) -> list[Tensor]:
    """Like `time_stretched`, for several `[channels, samples]`; a single one may have any length, going by blocks."""
    moved = [at for at, ratio in enumerate(by) if ratio != 1]
    if len(moved) < 2:
        return [time_stretched(wave, rate, ratio) for wave, ratio in zip(waves, by, strict=True)]
    size = frame(rate)
    rows = [(channel, by[at]) for at in moved for channel in waves[at]]
    lengths = np.array([max(len(channel), size) for channel, _ in rows])
    frames = lengths // (size // OVERLAP) + 1
    counts = np.array([math.ceil(int(count) / pace) for count, (_, pace) in zip(frames, rows, strict=True)])
    window = torch.hann_window(size, device=waves[0].device)
    bins = _frames_together([channel for channel, _ in rows], window, lengths)
    spectra = _stretched_together(bins, frames, counts, [pace for _, pace in rows])
    sound = iter(_overlap_add_together(torch.fft.irfft(spectra, n=size), window, counts))
    stretched_waves = list(waves)
    for at in moved:
        length = math.ceil(waves[at].shape[-1] / by[at])
        stretched_waves[at] = torch.stack([_fitted(next(sound), length) for _ in waves[at]])
    return stretched_waves


def _frames_together(rows: Sequence[Tensor], window: Tensor, lengths: np.ndarray) -> Tensor:
    """Return the spectra of all frames, `[rows, frames, bins]`; silence behind the last of each row.

    The samples beyond both ends are mirrored.
    """
    size, device = len(window), window.device
    hop, longest = size // OVERLAP, int(lengths.max())
    padded = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    padded = torch.nn.functional.pad(padded, (0, longest - padded.shape[1]))
    places = torch.arange(-(size // 2), longest + size // 2, device=device).abs()
    mirrored = 2 * (torch.from_numpy(lengths).to(device)[:, None] - 1) - places
    samples = padded.gather(1, torch.minimum(places, mirrored).clamp_(min=0))
    bins = torch.stft(samples, size, hop, window=window, center=False, return_complex=True).transpose(1, 2)
    inside = np.arange(bins.shape[1] + 1) < (lengths // hop + 1)[:, None]
    return torch.nn.functional.pad(bins, (0, 0, 0, 1)).mul_(torch.from_numpy(inside).to(device)[..., None])


def _stretched_together(bins: Tensor, frames: np.ndarray, counts: np.ndarray, paces: Sequence[Fraction]) -> Tensor:
    """Like `_stretched`, for `[rows, frames, bins]`, each row having its own `frames`; silence behind its `counts`."""
    steps = np.arange(counts.max())
    above, below = np.array([(pace.numerator, pace.denominator) for pace in paces]).T[..., None]
    first = np.minimum(steps * above // below, frames[:, None] - 1)
    share = (steps * above % below / below).astype(np.float32)
    inside = steps < counts[:, None]
    row, at = np.nonzero((np.diff(first) != 1) & inside[:, 1:])

    def on_device(numbers: np.ndarray) -> Tensor:
        return torch.from_numpy(numbers).to(bins.device)

    bins = bins.add_(TINY)
    size, rows, place, broken = bins.abs(), on_device(np.arange(len(bins))[:, None]), on_device(first), on_device(row)
    turn = bins[broken, on_device(first[row, at] + 1)] * bins[broken, on_device(first[row, at + 1])].conj()
    turns = torch.ones_like(bins[:, :1]).repeat(1, len(steps), 1)
    turns[broken, on_device(at + 1)] = turn / turn.abs()
    growth = size[rows, place + 1].div_(size[rows, place]).sub_(1)
    loud = growth.mul_(on_device(share)[..., None]).add_(1).mul_(on_device(inside)[..., None])
    return bins[rows, place].mul_(loud).mul_(turns.cumprod(dim=1))


def _overlap_add_together(frames: Tensor, window: Tensor, counts: np.ndarray) -> Tensor:
    """Like `_overlap_add`, for `[rows, frames, samples]`; each row has `counts` frames of its own, then silence."""
    hop = len(window) // OVERLAP
    waves = _overlap_add([frames], window).view(len(frames), -1, hop)
    shorter = np.flatnonzero(counts < counts.max())  # `_overlap_add` has corrected the ends of the longest
    at = torch.from_numpy(shorter).to(waves.device), torch.from_numpy(counts[shorter] - 2).to(waves.device)
    waves[at] *= LEVEL / (LEVEL - window[:hop].square())
    inside = torch.from_numpy(np.arange(waves.shape[1]) < counts[:, None] - 1).to(waves.device)
    return waves.mul_(inside[..., None]).flatten(1)
