"""Frames, spectra and filter banks: what the features share.

A clip is cut into frames once for each framing and transformed once; `Frames` computes each view of them when a
feature first asks for it and keeps it for the next. On a CPU a clip is always worked on alone, in runs of `RUN`
frames counted from its own start, so that its numbers cannot depend on its company: a matrix product may round a row
differently at another position or in a matrix of another height.
"""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sertool.errors import UsageError
from sertool.parts import neighbours

RUN = 128  # frames worked on at once: at 2,048 samples a frame they and their spectra stay in a core's cache
STRIPE = 32  # frames transformed at once: their spectra are still in the core's own cache when their sizes are taken
KEPT = 8 * RUN  # frames of a clip, at most, whose views are kept for a second look: 17 MB
TOGETHER = 16  # neighbouring filters that are one product
FLOOR = 1e-10  # of the power of a bin or band
PACK = 8192  # frames worked on at once on other devices


def require(holds: bool, what: str) -> None:
    """Refuse a setting that makes no sense."""
    if not holds:
        raise UsageError(what)


@dataclass(frozen=True)
class Framing:
    """How a waveform is cut; features with equal framings share frames and spectra."""

    n_fft: int = 2048
    hop: int = 512
    win_length: int | None = None
    window: str = "hann"
    center: bool = True
    edges: str = "zeros"  # beyond the ends, when centred: zeros or reflect

    @classmethod
    def of(cls, settings: object, **changes: object) -> "Framing":
        """The framing that a feature's settings ask for; what they do not name is as usual here."""
        return cls(**_shared(cls, settings) | changes)

    def __post_init__(self) -> None:
        require(self.n_fft >= 2, f"n-fft {self.n_fft}: a frame has at least 2 samples")
        require(self.hop >= 1, f"hop {self.hop}: the next frame begins at least 1 sample later")
        length = self.n_fft if self.win_length is None else self.win_length
        require(1 <= length <= self.n_fft, f"win-length {length}: a window has 1 to n-fft ({self.n_fft}) samples")

    def count(self, samples: int) -> int:
        """How many frames a waveform has; a short one has one."""
        beyond = self.n_fft // 2 * 2 if self.center else 0
        return 1 + max(samples + beyond - self.n_fft, 0) // self.hop

    def cut(self, wave: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """Frames first to last - 1 of a waveform as a view, `[frames, n_fft]` of `[samples]`."""
        last = self.count(len(wave)) if last is None else last
        start = first * self.hop - (self.n_fft // 2 if self.center else 0)
        stop = start + (last - first - 1) * self.hop + self.n_fft
        return padded_slice(wave, start, stop, self.edges if self.center else "zeros").unfold(0, self.n_fft, self.hop)

    def runs(self, wave: Tensor, length: int) -> "Iterator[Frames]":
        """The frames of a waveform, `length` at a time: only so much of it is ever copied."""
        count = self.count(len(wave))
        for first in range(0, count, length):
            yield Frames(self.cut(wave, first, min(first + length, count)), window_on(self, wave.device))

    def window_values(self) -> Tensor:
        """The analysis window, float64 `[n_fft]`: periodic, centred in the frame where it is shorter."""
        length = self.win_length or self.n_fft
        make = torch.ones if self.window == "ones" else getattr(torch, f"{self.window}_window")
        values = make(length, dtype=torch.float64)
        left = (self.n_fft - length) // 2
        return nn.functional.pad(values, (left, self.n_fft - length - left))


def _shared(kind: type, settings: object) -> dict[str, object]:
    """The fields of a dataclass that `settings` has too."""
    return {field.name: getattr(settings, field.name) for field in fields(kind) if hasattr(settings, field.name)}


@lru_cache(maxsize=64)
def window_on(framing: Framing, device: torch.device) -> Tensor:
    return framing.window_values().float().to(device)


def padded_slice(wave: Tensor, start: int, stop: int, edges: str) -> Tensor:
    """Samples start to stop - 1 of a waveform that goes on beyond its ends, `[stop - start]` of `[samples]`."""
    before, after = max(-start, 0), max(stop - len(wave), 0)
    inside = wave[max(start, 0) : min(stop, len(wave))]
    if not (before or after):
        return inside
    if edges == "zeros":
        return nn.functional.pad(inside, (before, after))
    beyond = torch.cat([torch.arange(-before, 0), torch.arange(after) + len(wave)]).to(wave.device)
    period = max(2 * (len(wave) - 1), 1)  # to and fro as often as it takes: a clip may be shorter than what is missing
    beyond = beyond.remainder(period)
    mirrored = wave[torch.minimum(beyond, period - beyond)]
    return torch.cat([mirrored[:before], inside, mirrored[before:]])


class Frames:
    """A run of frames and its views, each computed once: `raw` `[frames, n_fft]`, the others `[frames, bins]`."""

    def __init__(self, raw: Tensor, window: Tensor, magnitude: Tensor | None = None) -> None:
        self.raw = raw
        self._window = window
        self._made: dict[Hashable, Tensor] = {}
        if magnitude is not None:
            self._made["magnitude"] = magnitude

    def cached(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """What `make` gives, made for the first who asks and kept for whoever asks with an equal key."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def parts(self, lengths: list[int]) -> "list[Frames]":
        """The frames of each clip, of the frames of several end to end."""
        pairs = zip(self.raw.split(lengths), self.magnitude.split(lengths), strict=True)
        return [Frames(raw, self._window, magnitude) for raw, magnitude in pairs]

    # Python 3.11 and older compute a `cached_property` in one thread at a time, whichever frames it is of.

    @property
    def magnitude(self) -> Tensor:
        return self.cached("magnitude", self._magnitude)

    @property
    def power(self) -> Tensor:
        return self.cached("power", self.magnitude.square)

    @property
    def total(self) -> Tensor:
        """`[frames]`: the sum of the magnitudes."""
        return self.cached("total", lambda: self.magnitude.sum(1))

    @property
    def centre(self) -> Tensor:
        """`[frames]`: the centre of gravity of the magnitudes, in bins."""
        return self.cached("centre", self._centre)

    def mel(self, bank: "MelBank") -> Tensor:
        """`[frames, bands]`: the power in each band."""
        return self.cached(bank.key, lambda: bank.forward(self.power))

    def mel_decibels(self, bank: "MelBank") -> Tensor:
        return self.cached((bank.key, "decibels"), lambda: decibels(self.mel(bank)))

    def _magnitude(self) -> Tensor:
        if not self.raw.is_cpu:
            return torch.fft.rfft(self.raw * self._window).abs()
        # 80 frames of 2,048 in microseconds: NumPy's complex magnitude 15, Torch's 222, the square root of the sum of
        # squares 55 and more. Its square is then one contiguous product of 5, so the power costs less this way too.
        magnitude = np.empty((self.raw.shape[0], self.raw.shape[1] // 2 + 1), np.float32)
        for start in range(0, len(magnitude), STRIPE):
            stripe = slice(start, start + STRIPE)
            np.abs(torch.fft.rfft(self.raw[stripe] * self._window).numpy(), out=magnitude[stripe])
        return torch.from_numpy(magnitude)

    def _centre(self) -> Tensor:
        bins = torch.arange(self.magnitude.shape[1], dtype=torch.float32, device=self.raw.device)
        return self.magnitude.mv(bins).div_(divisor(self.total))


# --- clips to features ---------------------------------------------------------------------------------------------


@torch.no_grad()
def compute(
    features: dict[str, nn.Module], wave: Tensor, keep: Callable[[str, Tensor], Any] = lambda _name, rows: rows
) -> dict[str, Any]:
    """One clip's features, `{name: [rows, width]}` of `[samples]`; equal framings share one spectrum.

    `keep` makes of a feature's rows what is held until all are done: of hours of audio that had better be small.
    """
    wave, done = wave.contiguous(), {}
    for framing, group in sorted(_by_framing(features).items(), key=lambda item: item[0] is None):
        if framing is None:
            done |= {name: keep(name, feature.clips([wave])[0]) for name, feature in group.items()}
        else:
            rows = _rows(framing, group, wave, RUN)
            done |= {name: keep(name, _finished(feature, rows.pop(name))) for name, feature in group.items()}
    return {name: done[name] for name in features}


@torch.no_grad()
def compute_packed(features: dict[str, nn.Module], waves: Sequence[Tensor]) -> list[dict[str, Tensor]]:
    """Many clips' features, for devices that need much work at once: the frames of all clips lie end to end."""
    done: list[dict[str, Tensor]] = [{} for _ in waves]
    for framing, group in _by_framing(features).items():
        if framing is None:
            for name, feature in group.items():
                for clip, rows in zip(done, feature.clips(list(waves)), strict=True):
                    clip[name] = rows
            continue
        counts = [framing.count(len(wave)) for wave in waves]
        for places in neighbours(range(len(waves)), counts.__getitem__, PACK):
            rows = _packed_rows(framing, group, [waves[place] for place in places])
            for index, place in enumerate(places):
                for name, feature in group.items():
                    done[place][name] = _finished(feature, rows[name][index])
    return [{name: clip[name] for name in features} for clip in done]


def _finished(feature: nn.Module, rows: Tensor) -> Tensor:
    """A clip's rows once all of them are there, of which some features make others."""
    return feature.finish(rows) if hasattr(feature, "finish") else rows


def _by_framing(features: dict[str, nn.Module]) -> dict[Framing | None, dict[str, nn.Module]]:
    groups: dict[Framing | None, dict[str, nn.Module]] = {}
    for name, feature in features.items():
        groups.setdefault(feature.framing, {})[name] = feature
    return groups


def _rows(framing: Framing, group: dict[str, nn.Module], wave: Tensor, length: int) -> dict[str, Tensor]:
    """What each feature of one framing says of a clip's frames before it finishes, `{name: [frames, width]}`.

    A feature with a `survey` must see the whole clip before it can say anything: what `survey` finds in each run,
    joined, `settle` turns into what `forward` takes beside the frames. A clip of some seconds keeps its runs for the
    second look; hours of audio are transformed twice, for the spectra of three hours would fill 3 GB.
    """
    settled, runs, count = {}, [], framing.count(len(wave))
    surveyed: dict[str, list[Tensor]] = {name: [] for name, feature in group.items() if _surveys(feature)}
    if surveyed:
        for run in framing.runs(wave, length):
            for name, parts in surveyed.items():
                parts.append(group[name].survey(run))
            if count <= KEPT:
                runs.append(run)
        settled = _settled(group, surveyed)
        surveyed.clear()
    rows: dict[str, Tensor] = {}
    start = 0
    for run in runs or framing.runs(wave, length):
        # Not by a call of the module itself, whose hooks nobody uses: they cost 20 microseconds a clip.
        outputs = {name: feature.forward(run, *settled.get(name, ())) for name, feature in group.items()}
        if run.raw.shape[0] == count:
            return outputs
        _place(outputs, rows, start, count)
        start += len(run.raw)
    return rows


def _settled(group: dict[str, nn.Module], surveyed: dict[str, list[Tensor]]) -> dict[str, tuple[Tensor]]:
    """What each feature makes of what it found in all runs; what two found together is joined once."""
    joined: dict[tuple[int, ...], Tensor] = {}
    for parts in surveyed.values():
        key = tuple(map(id, parts))
        if key not in joined:
            joined[key] = _joined(parts)
    return {name: (group[name].settle(joined[tuple(map(id, parts))]),) for name, parts in surveyed.items()}


def _place(outputs: dict[str, Tensor], rows: dict[str, Tensor], start: int, count: int) -> None:
    """Copy a run's rows to where they belong among the clip's `count`; what two features share is held once."""
    for name, part in outputs.items():
        if name not in rows:
            twins = [rows[other] for other in rows if outputs[other] is part]
            rows[name] = twins[0] if twins else part.new_empty(count, *part.shape[1:])
        rows[name][start : start + len(part)] = part


def _surveys(feature: nn.Module) -> bool:
    return hasattr(type(feature), "survey")


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _packed_rows(framing: Framing, group: dict[str, nn.Module], waves: Sequence[Tensor]) -> dict[str, Sequence[Tensor]]:
    """As `_rows`, of several clips: `{name: [rows of each clip]}`."""
    if len(waves) == 1:
        return {name: [rows] for name, rows in _rows(framing, group, waves[0], PACK).items()}
    cuts = [framing.cut(wave) for wave in waves]
    frames, lengths = Frames(torch.cat(cuts), window_on(framing, waves[0].device)), [len(cut) for cut in cuts]
    rows: dict[str, Sequence[Tensor]] = {}
    for name, feature in group.items():
        if _surveys(feature):
            rows[name] = [feature(part, feature.settle(feature.survey(part))) for part in frames.parts(lengths)]
        else:
            rows[name] = feature(frames).split(lengths)
    return rows


# --- filter banks and scales ---------------------------------------------------------------------------------------


class Bank(nn.Module):
    """Overlapping filters over a spectrum, `[frames, bins]` to `[frames, filters]`.

    A mel filter covers a few neighbouring bins, so most of the dense product multiplies by zero. Filters a..b of one
    group touch only bins lo..hi: with groups of 16 of 128 filters the work is 13 % of the dense product's.
    """

    def __init__(self, weights: np.ndarray) -> None:
        """`weights`: `[filters, bins]`."""
        super().__init__()
        self.spans: list[tuple[int, int]] = []
        for first in range(0, len(weights), TOGETHER):
            block = weights[first : first + TOGETHER]
            used = np.flatnonzero(block.any(axis=0))
            low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
            self.register_buffer(f"block{len(self.spans)}", torch.from_numpy(block[:, low:high].T.copy()).float())
            self.spans.append((low, high))

    def forward(self, spectrum: Tensor) -> Tensor:
        # From the dict, as an attribute of a module costs a microsecond, a third of a small product.
        blocks = zip(self.spans, self._buffers.values(), strict=True)
        return torch.cat([spectrum[:, low:high] @ block for (low, high), block in blocks], 1)


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

    def empty(self, rate: int, n_fft: int) -> int:
        """How many bands are so narrow that they lie between two bins, and nothing is ever in them."""
        return int((~self.weights(rate, n_fft).any(axis=1)).sum())

    def weights(self, rate: int, n_fft: int) -> np.ndarray:
        """`[bands, bins]`."""
        top = rate / 2 if self.fmax is None else self.fmax
        require(self.bands >= 1, f"bands {self.bands}: at least 1 is needed")
        require(0 <= self.fmin < top, f"fmin {self.fmin:g}: it lies from 0 to below fmax ({top:g} Hz)")
        require(top <= rate / 2, f"fmax {top:g}: at a rate of {rate} there is nothing above {rate / 2:g} Hz")
        ends = hz_to_mel(np.array([self.fmin, top]), self.htk)
        corners = mel_to_hz(np.linspace(ends[0], ends[1], self.bands + 2), self.htk)
        slopes = corners[:, None] - bin_frequencies(rate, n_fft)
        widths = np.diff(corners)
        rising = -slopes[:-2] / widths[:-1, None]
        falling = slopes[2:] / widths[1:, None]
        weights = np.maximum(0, np.minimum(rising, falling))
        if self.norm == "slaney":
            weights *= (2.0 / (corners[2:] - corners[:-2]))[:, None]
        return weights


class MelBank(Bank):
    """A mel scale's filters; features whose scales are equal share one product (`Frames.mel`)."""

    def __init__(self, settings: object, rate: int, n_fft: int) -> None:
        scale = MelScale.of(settings)
        super().__init__(scale.weights(rate, n_fft))
        self.key = (scale, rate)


def log_(values: Tensor) -> Tensor:
    """Natural logarithm in place: on a CPU, NumPy's takes a third of Torch's time."""
    if not values.is_cpu:
        return values.log_()
    np.log(values.numpy(), out=values.numpy())
    return values


def decibels(power: Tensor) -> Tensor:
    """10 log10 of the power, held above `FLOOR`."""
    return log_(power.clamp(min=FLOOR)).mul_(10 / math.log(10))


def within(rows: Tensor, span: float) -> Tensor:
    """Rows held within `span` below the greatest value of the clip."""
    return rows.clamp(min=rows.max() - span)


def divisor(values: Tensor) -> Tensor:
    """What to divide by: 0, as in silence, becomes the least normal number, so that 0 / 0 is 0."""
    return values.clamp(min=torch.finfo(values.dtype).tiny)
