"""Preprocessing of waveforms, and normalisation and statistics of rows, the same for every feature."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sertool.numeric import dsp
from sertool.sound.audio import Unusable

TRIM = dsp.Framing(2048, 512)
ROWS = 1024  # rows processed at a time
FLAT = 1e-6  # relative to a column's size: the rounding error of a sum of equal float32, even over hours


@dataclass(frozen=True)
class Wave:
    """The steps from an audio file to a waveform."""

    rate: Annotated[int, "sample rate in Hz; the audio is resampled to it", 1000, 384_000] = 16000
    channels: Annotated[
        Literal["mono", "left", "stereo"], "mean of the channels, the left one, or two (a mono file's is copied)"
    ] = "mono"
    remove_dc: Annotated[bool, "subtract the clip's mean"] = False
    trim: Annotated[
        float | None,
        "drop silent ends, of copies after their effects: what lies so many dB below the loudest frame",
        1,
        200,
    ] = None
    offset: Annotated[float, "skip so many seconds at the start", 0, 10_800] = 0.0
    seconds: Annotated[float | None, "cut, or pad with zeros, to this length", 0.001, 10_800] = None
    fit: Annotated[
        Literal["start", "middle", "random"],
        "with --seconds: which part of a longer clip is kept; where a shorter lies",
    ] = "start"
    seed: int = 0

    def samples(self, seconds: np.ndarray | float) -> np.ndarray:
        """Return the most samples that clips of these lengths take."""
        sides = 2 if self.channels == "stereo" else 1
        return np.ceil(np.maximum(seconds, self.seconds or 0.0) * self.rate) * sides


@dataclass(frozen=True)
class Kept:
    """The samples of a waveform that are kept, and the zeros before and after them."""

    first: int
    last: int
    before: int = 0
    after: int = 0

    def __len__(self) -> int:
        return self.before + self.last - self.first + self.after


def shape(wave: Tensor, how: Wave, clip: str) -> Tensor:
    """Remove the mean and silent ends of `[channels, samples]`, and cut or pad it, as `how` says."""
    if how.remove_dc:
        wave = wave - _mean(wave)
    kept = part(wave[0] if len(wave) == 1 or how.trim is None else wave.mean(dim=0), how, clip)
    wave = wave[:, kept.first : kept.last]
    return nn.functional.pad(wave, (kept.before, kept.after)) if kept.before or kept.after else wave


def _mean(wave: Tensor) -> Tensor:
    """Return the mean of each channel, `[channels, 1]`; some devices have no float64."""
    if not wave.is_cpu:
        return wave.mean(dim=1, keepdim=True)
    return torch.from_numpy(wave.numpy().mean(axis=1, keepdims=True, dtype=np.float64)).float()


def part(wave: dsp.Samples, how: Wave, clip: str) -> Kept:
    """Return which part of `[samples]` is kept."""
    first, last = (0, len(wave)) if how.trim is None else _loud_part(wave, how.trim)
    first += round(how.offset * how.rate)
    if first >= last:
        raise Unusable("too-short", f"nothing lies beyond an offset of {how.offset:g} s")
    if how.seconds is None:
        return Kept(first, last)
    spare = last - first - round(how.seconds * how.rate)
    begin = _drawn(clip, how.seed, abs(spare)) if how.fit == "random" else abs(spare) // 2 * (how.fit == "middle")
    if spare >= 0:
        return Kept(first + begin, last - spare + begin)
    return Kept(first, last, begin, -spare - begin)


def _loud_part(wave: dsp.Samples, decibels: float) -> tuple[int, int]:
    """Return the range of `[samples]` outside of which all frames are quieter than the loudest by so many dB."""
    power, start = torch.empty(TRIM.count(len(wave))), 0
    for run in TRIM.runs(wave, dsp.RUN):  # into one array: for hours of audio, many small ones would fragment memory
        power[start : start + len(run.raw)] = run.raw.square().mean(dim=1)
        start += len(run.raw)
    loud = torch.nonzero(power > power.max() * 10 ** (-decibels / 10)).flatten()
    if not len(loud):
        return 0, len(wave)
    return int(loud[0]) * TRIM.hop, min(len(wave), (int(loud[-1]) + 1) * TRIM.hop)


def _drawn(clip: str, seed: int, most: int) -> int:
    """Draw a number from 0 to `most`, determined by the clip and the seed alone."""
    drawn = hashlib.sha256(f"{seed} {clip}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(drawn[:8], "little") % (most + 1)


# Normalisation of one clip's rows, `[rows, width]`.


def _over(part: Tensor, whole: Tensor) -> Tensor:
    """Return `part / whole`, 0 if the whole is 0, as for a constant column."""
    nothing = whole == 0
    return (part / whole.masked_fill(nothing, 1.0)).masked_fill_(nothing, 0.0)  # in place: it may be hours


def _deviation(rows: Tensor) -> Tensor:
    """Return the standard deviation of each column, `[width]`, 0 if constant; torch's own takes ten times as long.

    It is computed from differences from the first row, in units of the largest: squares of the rows might overflow
    float32.
    """
    blocks = rows.split(ROWS)  # for hours of audio, all differences at once would double the memory
    largest = torch.stack([(block - rows[0]).abs_().amax(dim=0) for block in blocks]).amax(dim=0)
    unit = largest.masked_fill(largest == 0, 1.0)
    mean = sum((block - rows[0]).div_(unit).sum(dim=0) for block in blocks) / len(rows)
    squares = sum((block - rows[0]).div_(unit).sub_(mean).square_().sum(dim=0) for block in blocks)
    return (squares / len(rows)).sqrt_().mul_(unit)


def _changing(deviation: Tensor, mean: Tensor) -> Tensor:
    """Set deviations to 0 that are no more than float32's rounding of the mean."""
    return deviation.masked_fill(deviation <= FLAT * torch.hypot(mean, deviation), 0.0)


def _min_max(rows: Tensor) -> Tensor:
    low, high = rows.min(), rows.max()
    return _over(rows - low, high - low)


def _z_score(rows: Tensor) -> Tensor:
    mean = rows.mean()
    return _over(rows - mean, _changing(rows.std(correction=0), mean))


def _column_z_score(rows: Tensor) -> Tensor:
    mean = rows.mean(dim=0)
    return _over(rows - mean, _changing(_deviation(rows), mean))


def _column_mean(rows: Tensor) -> Tensor:
    return rows - rows.mean(dim=0)


def _peak(rows: Tensor) -> Tensor:
    return _over(rows, rows.abs().max())


NORMALIZATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "min-max": _min_max,
    "z-score": _z_score,
    "z-score-columns": _column_z_score,
    "mean-columns": _column_mean,
    "peak": _peak,
}


BY_COLUMN = ("z-score-columns", "mean-columns")


def normalized(rows: Tensor, chain: tuple[str, ...], counted: Tensor | None = None) -> Tensor:
    """Normalise rows by each method of the chain in turn; by-column ones leave uncounted values at 0."""
    for name in chain:
        before, rows = rows, NORMALIZATIONS[name](rows)
        if name in BY_COLUMN:
            for column, places in _some(counted):
                rows[:, column] = 0.0
                if len(places):
                    rows[places, column] = NORMALIZATIONS[name](before[places, column, None])[:, 0]
    return rows


def _some(counted: Tensor | None) -> Iterator[tuple[int, Tensor]]:
    """Yield the columns in which not every row counts, with the rows that do."""
    if counted is not None:
        for column in torch.nonzero(~counted.all(dim=0)).flatten().tolist():
            yield column, torch.nonzero(counted[:, column]).flatten()


# Statistics over time, each `[width]`.


@dataclass(frozen=True)
class Series:
    """The rows that count, `[rows, width]`, and their frame numbers, `[rows]`, which may have gaps."""

    rows: Tensor
    time: Tensor

    @cached_property
    def ordered(self) -> Tensor:
        """Return each column sorted; NumPy takes a tenth of Torch's time."""
        return torch.from_numpy(np.sort(self.rows.numpy(), axis=0)) if self.rows.is_cpu else self.rows.sort(dim=0)[0]

    def quantile(self, share: float) -> Tensor:
        """Return a quantile, interpolated linearly; torch.quantile refuses more than 16 million numbers."""
        place = share * (len(self.rows) - 1)
        low = int(place)
        return torch.lerp(self.ordered[low], self.ordered[min(low + 1, len(self.rows) - 1)], place - low)

    @cached_property
    def centred(self) -> Tensor:
        """Return the values less their mean, computed from differences, as float32 rounds the mean of high values."""
        differences = self.rows - self.rows[0]
        return differences.sub_(differences.mean(dim=0))

    def moment(self, order: int) -> Tensor:
        """Return a standardised moment."""
        deviation = _changing(_deviation(self.rows), self.rows.mean(dim=0))
        return _over(self.centred, deviation).pow(order).mean(dim=0)

    def slope(self) -> Tensor:
        """Return the least-squares slope per frame."""
        time = self.time.to(self.rows.dtype) - int(self.time.sum()) / len(self.time)
        return _over((time[:, None] * self.centred).sum(dim=0), time.square().sum())


STATS: dict[str, Callable[[Series], Tensor]] = {
    "mean": lambda series: series.rows.mean(dim=0),
    "std": lambda series: _deviation(series.rows),
    "min": lambda series: series.rows.min(dim=0).values,
    "max": lambda series: series.rows.max(dim=0).values,
    "range": lambda series: series.rows.max(dim=0).values - series.rows.min(dim=0).values,
    "median": lambda series: series.quantile(0.5),
    "iqr": lambda series: series.quantile(0.75) - series.quantile(0.25),
    "q05": lambda series: series.quantile(0.05),
    "q25": lambda series: series.quantile(0.25),
    "q75": lambda series: series.quantile(0.75),
    "q95": lambda series: series.quantile(0.95),
    "skew": lambda series: series.moment(3),
    "kurtosis": lambda series: series.moment(4) - 3.0,
    "slope": Series.slope,
}


def counted(rows: Tensor, channels: int, where: Mapping[int, int]) -> Tensor | None:
    """Return which rows count in each column's statistics, bool `[rows, width]`; None if all do.

    `where` maps a column of a channel to another: it counts only in rows in which the other is above 0. The channels
    are side by side.
    """
    if not where:
        return None
    found, width = torch.ones_like(rows, dtype=torch.bool), rows.shape[1] // channels
    for column, condition in where.items():
        found[:, column::width] = rows[:, condition::width] > 0
    return found


def summary(rows: Tensor, stats: tuple[str, ...], counted: Tensor | None = None) -> Tensor:
    """Return statistics over time, `[1, stats x width]` of `[rows, width]`; 0 for a column in which no row counts."""
    made = _statistics(rows, torch.arange(len(rows), device=rows.device), stats)
    for column, places in _some(counted):
        made[:, column] = _statistics(rows[places, column, None], places, stats)[:, 0] if len(places) else 0.0
    return made.reshape(1, -1)


def _statistics(rows: Tensor, time: Tensor, stats: tuple[str, ...]) -> Tensor:
    """Return each statistic of each column, `[stats, width]`."""
    series = Series(rows, time)
    return torch.stack([STATS[name](series) for name in stats])
