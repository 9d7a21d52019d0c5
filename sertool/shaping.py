"""What happens to a waveform before its features, and to their rows after: the same for every feature."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sertool import dsp
from sertool.audio import Unusable

TRIM = dsp.Framing(2048, 512)
ROWS = 1024  # at a time, of deviations
FLAT = 1e-6  # of a column's size: a sum of equal float32 is rounded by so much even over hours


@dataclass(frozen=True)
class Wave:
    """How a clip becomes a waveform, step by step."""

    rate: Annotated[int, "sample rate in Hz; the audio is resampled to it", 1000, 384_000] = 16000
    channels: Annotated[
        Literal["mono", "left", "stereo"], "mean of the channels, the left one, or two (a mono file's is copied)"
    ] = "mono"
    remove_dc: Annotated[bool, "subtract the clip's mean"] = False
    trim: Annotated[float | None, "drop silent ends: what lies so many dB below the loudest frame", 1, 200] = None
    offset: Annotated[float, "skip so many seconds at the start", 0, 10_800] = 0.0
    seconds: Annotated[float | None, "cut, or pad with zeros, to this length", 0.001, 10_800] = None
    fit: Annotated[
        Literal["start", "middle", "random"],
        "with --seconds: which part of a longer clip is kept; where a shorter lies",
    ] = "start"
    seed: int = 0

    def samples(self, seconds: np.ndarray | float) -> np.ndarray:
        """How many clips of these lengths take at the most."""
        sides = 2 if self.channels == "stereo" else 1
        return np.ceil(np.maximum(seconds, self.seconds or 0.0) * self.rate) * sides


@dataclass(frozen=True)
class Kept:
    """Which samples of a waveform are kept, and how many zeros come before and after them."""

    first: int
    last: int
    before: int = 0
    after: int = 0

    def __len__(self) -> int:
        return self.before + self.last - self.first + self.after


def shape(wave: Tensor, how: Wave, clip: str) -> Tensor:
    """`[channels, samples]` without its mean and silent ends, cut or padded to its length, as asked."""
    if how.remove_dc:
        wave = wave - _mean(wave)
    kept = part(wave[0] if len(wave) == 1 or how.trim is None else wave.mean(dim=0), how, clip)
    wave = wave[:, kept.first : kept.last]
    return nn.functional.pad(wave, (kept.before, kept.after)) if kept.before or kept.after else wave


def _mean(wave: Tensor) -> Tensor:
    """Of each channel, `[channels, 1]`; some devices have no float64."""
    if not wave.is_cpu:
        return wave.mean(dim=1, keepdim=True)
    return torch.from_numpy(wave.numpy().mean(axis=1, keepdims=True, dtype=np.float64)).float()


def part(wave: Tensor, how: Wave, clip: str) -> Kept:
    """What is kept of `[samples]`."""
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


def _loud_part(wave: Tensor, decibels: float) -> tuple[int, int]:
    """Where `[samples]` first and last is within so many dB of its loudest frame."""
    power, start = torch.empty(TRIM.count(len(wave))), 0
    for run in TRIM.runs(wave, dsp.RUN):  # into one array: of hours, many small ones would leave memory full of holes
        power[start : start + len(run.raw)] = run.raw.square().mean(dim=1)
        start += len(run.raw)
    loud = torch.nonzero(power > power.max() * 10 ** (-decibels / 10)).flatten()
    if not len(loud):
        return 0, len(wave)
    return int(loud[0]) * TRIM.hop, min(len(wave), (int(loud[-1]) + 1) * TRIM.hop)


def _drawn(clip: str, seed: int, most: int) -> int:
    """A number from 0 to `most` that the clip and the seed decide, whatever the order of the work."""
    drawn = hashlib.sha256(f"{seed} {clip}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(drawn[:8], "little") % (most + 1)


# Normalisations of one clip's rows, `[rows, width]`.


def _over(part: Tensor, whole: Tensor) -> Tensor:
    """`part / whole`, and 0 where the whole is: what never changes has nothing to be measured by."""
    nothing = whole == 0
    return (part / whole.masked_fill(nothing, 1.0)).masked_fill_(nothing, 0.0)  # in place: it may be hours


def _deviation(rows: Tensor) -> Tensor:
    """Of each column, `[width]` of `[rows, width]`, 0 of one that never changes; torch's own takes ten times as long.

    It is that of differences from the first row, in units of the largest: squares of the rows might be no float32.
    """
    blocks = rows.split(ROWS)  # of hours, differences all at once would take as much memory again
    largest = torch.stack([(block - rows[0]).abs_().amax(dim=0) for block in blocks]).amax(dim=0)
    unit = largest.masked_fill(largest == 0, 1.0)
    mean = sum((block - rows[0]).div_(unit).sum(dim=0) for block in blocks) / len(rows)
    squares = sum((block - rows[0]).div_(unit).sub_(mean).square_().sum(dim=0) for block in blocks)
    return (squares / len(rows)).sqrt_().mul_(unit)


def _changing(deviation: Tensor, mean: Tensor) -> Tensor:
    """Deviations, and 0 of those that are no more than float32's rounding of the mean that they are from."""
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
    """The rows after each normalisation of the chain in turn; by column, what does not count is and stays 0."""
    for name in chain:
        before, rows = rows, NORMALIZATIONS[name](rows)
        for column, places in _some(counted) if name in BY_COLUMN else ():
            rows[:, column] = 0.0
            if len(places):
                rows[places, column] = NORMALIZATIONS[name](before[places, column, None])[:, 0]
    return rows


def _some(counted: Tensor | None) -> Iterator[tuple[int, Tensor]]:
    """The columns in which not every row counts, and which do."""
    for column in [] if counted is None else torch.nonzero(~counted.all(dim=0)).flatten().tolist():
        yield column, torch.nonzero(counted[:, column]).flatten()


# Statistics over time of `[rows, width]`, each `[width]`.


def _quantile(share: float) -> Callable[[Tensor], Tensor]:
    """Linear between neighbours, by sorting: torch.quantile refuses more than 16 million numbers."""

    def quantile(rows: Tensor) -> Tensor:
        ordered = rows.sort(dim=0).values
        place = share * (len(rows) - 1)
        low = int(place)
        return torch.lerp(ordered[low], ordered[min(low + 1, len(rows) - 1)], place - low)

    return quantile


def _moment(order: int) -> Callable[[Tensor], Tensor]:
    def moment(rows: Tensor) -> Tensor:
        mean = rows.mean(dim=0)
        centred = rows - mean
        scaled = _over(centred, _changing(centred.square().mean(dim=0).sqrt(), mean))
        return scaled.pow(order).mean(dim=0) - (3.0 if order == 4 else 0.0)

    return moment


def _slope(rows: Tensor, time: Tensor) -> Tensor:
    """Change from one frame to the next, by least squares; `time` `[rows]` is each row's frame."""
    time = time.to(rows.dtype) - int(time.sum()) / len(time)
    return (time[:, None] * rows).sum(dim=0) / time.square().sum().clamp(min=1.0)


STATS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda rows: rows.mean(dim=0),
    "std": _deviation,
    "min": lambda rows: rows.min(dim=0).values,
    "max": lambda rows: rows.max(dim=0).values,
    "range": lambda rows: rows.max(dim=0).values - rows.min(dim=0).values,
    "median": _quantile(0.5),
    "iqr": lambda rows: _quantile(0.75)(rows) - _quantile(0.25)(rows),
    "q05": _quantile(0.05),
    "q25": _quantile(0.25),
    "q75": _quantile(0.75),
    "q95": _quantile(0.95),
    "skew": _moment(3),
    "kurtosis": _moment(4),
    "slope": lambda rows: _slope(rows, torch.arange(len(rows), device=rows.device)),
}


def counted(rows: Tensor, channels: int, where: Mapping[int, int]) -> Tensor | None:
    """Which rows count in each column's figures, bool `[rows, width]`, of channels side by side; None if all do.

    `where`: of a channel's columns, those that mean something only where another is above 0.
    """
    if not where:
        return None
    found, width = torch.ones_like(rows, dtype=torch.bool), rows.shape[1] // channels
    for column, condition in where.items():
        found[:, column::width] = rows[:, condition::width] > 0
    return found


def summary(rows: Tensor, stats: tuple[str, ...], counted: Tensor | None = None) -> Tensor:
    """`[1, stats x width]` of `[rows, width]`; of a column of which no row counts, all are 0."""
    made = torch.stack([STATS[name](rows) for name in stats])
    for column, places in _some(counted):
        made[:, column] = _of_some(rows[places, column, None], places, stats) if len(places) else 0.0
    return made.reshape(1, -1)


def _of_some(rows: Tensor, places: Tensor, stats: tuple[str, ...]) -> Tensor:
    """Statistics `[stats]` of one column's rows that count, `[rows, 1]`; between them, frames may be missing."""
    return torch.cat([_slope(rows, places) if name == "slope" else STATS[name](rows) for name in stats])
