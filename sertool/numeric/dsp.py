"""Frames, spectra and filter banks shared by the features.

A clip is cut and transformed once per framing; `Frames` computes each view when a feature first needs it and caches it
for the others. On a CPU every clip is processed alone, in runs of `RUN` frames counted from its own start, so that its
values cannot depend on other clips: a matrix product may round a row differently at another position or in a matrix of
another height.
"""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from sertool.errors import UsageError
from sertool.system.parts import neighbours

RUN = 128  # frames processed at once: at 2,048 samples a frame they and their spectra stay in a core's cache
STRIPE = 32  # frames transformed at once: their spectra are still in the core's own cache for the magnitudes
KEPT = 8 * RUN  # the longest clip, in frames, whose views are kept for a second pass: 17 MB
TOGETHER = 16  # neighbouring filters computed as one product
FLOOR = 1e-10  # the least power of a bin or band
PACK = 8192  # frames processed at once on other devices


def require(holds: bool, what: str) -> None:
    """Raise UsageError, saying `what`, unless the condition holds."""
    if not holds:
        raise UsageError(what)


@dataclass(frozen=True)
class Framing:
    """How a waveform is cut into frames; features with equal framings share frames and spectra."""

    n_fft: int = 2048
    hop: int = 512
    win_length: int | None = None
    window: str = "hann"
    center: bool = True
    edges: str = "zeros"  # padding beyond the ends when centred: "zeros" or "reflect"

    @classmethod
    def of(cls, settings: object, **changes: Any) -> "Framing":
        """Return the framing that a feature's settings ask for, with the defaults for the rest."""
        return cls(**_shared(cls, settings) | changes)

    def __post_init__(self) -> None:
        require(self.n_fft >= 2, f"n-fft {self.n_fft}: a frame has at least 2 samples")
        require(self.hop >= 1, f"hop {self.hop}: the next frame begins at least 1 sample later")
        length = self.n_fft if self.win_length is None else self.win_length
        require(1 <= length <= self.n_fft, f"win-length {length}: a window has 1 to n-fft ({self.n_fft}) samples")

    def count(self, samples: int) -> int:
        """Return the number of frames of a waveform: at least 1."""
        beyond = self.n_fft // 2 * 2 if self.center else 0
        return 1 + max(samples + beyond - self.n_fft, 0) // self.hop

    def cut(self, wave: "Samples", first: int = 0, last: int | None = None) -> Tensor:
        """Return frames first to last - 1 of a waveform as a view, `[frames, n_fft]` of `[samples]`."""
        last = self.count(len(wave)) if last is None else last
        start = first * self.hop - (self.n_fft // 2 if self.center else 0)
        stop = start + (last - first - 1) * self.hop + self.n_fft
        return padded_slice(wave, start, stop, self.edges if self.center else "zeros").unfold(0, self.n_fft, self.hop)

    def runs(self, wave: "Samples", length: int) -> "Iterator[Frames]":
        """Yield the frames of a waveform, `length` at a time, so that only those are copied."""
        count = self.count(len(wave))
        for first in range(0, count, length):
            yield Frames(self.cut(wave, first, min(first + length, count)), window_on(self, wave.device))

    def window_values(self) -> Tensor:
        """Return the analysis window, float64 `[n_fft]`: periodic, and centred in the frame if it is shorter."""
        length = self.win_length or self.n_fft
        make = torch.ones if self.window == "ones" else getattr(torch, f"{self.window}_window")
        values = make(length, dtype=torch.float64)
        left = (self.n_fft - length) // 2
        return nn.functional.pad(values, (left, self.n_fft - length - left))


def _shared(kind: type, settings: object) -> dict[str, Any]:
    """Return the fields of a dataclass that `settings` has too."""
    return {field.name: getattr(settings, field.name) for field in fields(kind) if hasattr(settings, field.name)}


@lru_cache(maxsize=64)
def window_on(framing: Framing, device: torch.device) -> Tensor:
    return framing.window_values().float().to(device)


def padded_slice(wave: "Samples", start: int, stop: int, edges: str) -> Tensor:
    """Return samples start to stop - 1 of a waveform padded beyond its ends, `[stop - start]` of `[samples]`."""
    before, after = max(-start, 0), max(stop - len(wave), 0)
    inside = wave[max(start, 0) : min(stop, len(wave))]
    if not (before or after):
        return inside
    if edges == "zeros":
        return nn.functional.pad(inside, (before, after))
    beyond = torch.cat([torch.arange(-before, 0), torch.arange(after) + len(wave)]).to(wave.device)
    period = max(2 * (len(wave) - 1), 1)  # reflected repeatedly if the clip is shorter than the padding
    beyond = beyond.remainder(period)
    mirrored = wave[torch.minimum(beyond, period - beyond)]
    return torch.cat([mirrored[:before], inside, mirrored[before:]])


class Frames:
    """A run of frames and its cached views: `raw` is `[frames, n_fft]`, the others `[frames, bins]`."""

    def __init__(self, raw: Tensor, window: Tensor, magnitude: Tensor | None = None) -> None:
        self.raw = raw
        self._window = window
        self._made: dict[Hashable, Tensor] = {}
        if magnitude is not None:
            self._made["magnitude"] = magnitude

    def cached(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """Return what is cached under the key, calling `make` the first time."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def parts(self, lengths: list[int]) -> "list[Frames]":
        """Split the frames of several concatenated clips into those of each clip."""
        pairs = zip(self.raw.split(lengths), self.magnitude.split(lengths), strict=True)
        return [Frames(raw, self._window, magnitude) for raw, magnitude in pairs]

    # In Python 3.11 and older, `cached_property` holds one lock for all instances, so threads would wait.

    @property
    def magnitude(self) -> Tensor:
        return self.cached("magnitude", self._magnitude)

    @property
    def power(self) -> Tensor:
        return self.cached("power", self.magnitude.square)

    @property
    def total(self) -> Tensor:
        """The sum of the magnitudes, `[frames]`."""
        return self.cached("total", lambda: self.magnitude.sum(1))

    @property
    def centre(self) -> Tensor:
        """The spectral centroid of the magnitudes, in bins, `[frames]`."""
        return self.cached("centre", self._centre)

    def mel(self, bank: "MelBank") -> Tensor:
        """Return the power in each band, `[frames, bands]`."""
        return self.cached(bank.key, lambda: bank.forward(self.power))

    def mel_decibels(self, bank: "MelBank") -> Tensor:
        return self.cached((bank.key, "decibels"), lambda: decibels(self.mel(bank)))

    def _magnitude(self) -> Tensor:
        if not self.raw.is_cpu:
            return torch.fft.rfft(self.raw * self._window).abs()
        # Microseconds for 80 frames of 2,048: NumPy's complex magnitude 15, Torch's 222, the square root of the sum of
        # squares at least 55. Squaring the contiguous magnitudes takes 5 more, so this is the cheapest way to the
        # power, too.
        magnitude = np.empty((self.raw.shape[0], self.raw.shape[1] // 2 + 1), np.float32)
        for start in range(0, len(magnitude), STRIPE):
            stripe = slice(start, start + STRIPE)
            np.abs(torch.fft.rfft(self.raw[stripe] * self._window).numpy(), out=magnitude[stripe])
        return torch.from_numpy(magnitude)

    def _centre(self) -> Tensor:
        bins = torch.arange(self.magnitude.shape[1], dtype=torch.float32, device=self.raw.device)
        return self.magnitude.mv(bins).div_(divisor(self.total))


# --- clips to features ---------------------------------------------------------------------------------------------


class Samples(Protocol):
    """A waveform `[samples]`: a tensor, or one that `long_audio` reads from its file as it is needed."""

    @property
    def device(self) -> torch.device: ...
    @property
    def is_cpu(self) -> bool: ...
    def __len__(self) -> int: ...
    def __getitem__(self, place: slice | Tensor, /) -> Tensor: ...
    def contiguous(self) -> "Samples": ...


class Feature(Protocol):
    """What `features/` describes: `forward` or `clips`, by the framing, and the others where they are needed."""

    framing: Framing | None

    def __call__(self, frames: Frames, *settled: Tensor) -> Tensor: ...
    def forward(self, frames: Frames, *settled: Tensor) -> Tensor: ...
    def clips(self, waves: Sequence[Samples]) -> list[Tensor]: ...
    def survey(self, frames: Frames) -> Tensor: ...
    def settle(self, surveyed: Tensor) -> Tensor: ...
    def finish(self, rows: Tensor) -> Tensor: ...


@torch.no_grad()
def compute(
    features: dict[str, Feature], wave: Samples, keep: Callable[[str, Tensor], Any] = lambda _name, rows: rows
) -> dict[str, Any]:
    """Return one clip's features, `{name: [rows, width]}` of `[samples]`; equal framings share one spectrum.

    `keep` maps a feature's rows to what is held until all features are done, which should be small for hours of audio.
    """
    wave = wave.contiguous()
    done: dict[str, Any] = {}
    for framing, group in sorted(_by_framing(features).items(), key=lambda item: item[0] is None):
        if framing is None:
            done |= {name: keep(name, feature.clips([wave])[0]) for name, feature in group.items()}
        else:
            rows = _rows(framing, group, wave, RUN)
            done |= {name: keep(name, _finished(feature, rows.pop(name))) for name, feature in group.items()}
    return {name: done[name] for name in features}


@torch.no_grad()
def compute_packed(features: dict[str, Feature], waves: Sequence[Tensor]) -> list[dict[str, Tensor]]:
    """Return the features of many clips, concatenating their frames: for devices that need large batches."""
    done: list[dict[str, Tensor]] = [{} for _ in waves]
    for framing, group in _by_framing(features).items():
        if framing is None:
            for name, feature in group.items():
                for clip, made in zip(done, feature.clips(list(waves)), strict=True):
                    clip[name] = made
            continue
        counts = [framing.count(len(wave)) for wave in waves]
        for places in neighbours(range(len(waves)), counts.__getitem__, PACK):
            rows = _packed_rows(framing, group, [waves[place] for place in places])
            for index, place in enumerate(places):
                for name, feature in group.items():
                    done[place][name] = _finished(feature, rows[name][index])
    return [{name: clip[name] for name in features} for clip in done]


def _finished(feature: Feature, rows: Tensor) -> Tensor:
    """Return a feature's rows of a whole clip after its `finish`, if it has one."""
    return feature.finish(rows) if hasattr(feature, "finish") else rows


def _by_framing(features: dict[str, Feature]) -> dict[Framing | None, dict[str, Feature]]:
    groups: dict[Framing | None, dict[str, Feature]] = {}
    for name, feature in features.items():
        groups.setdefault(feature.framing, {})[name] = feature
    return groups


def _rows(framing: Framing, group: dict[str, Feature], wave: Samples, length: int) -> dict[str, Tensor]:
    """Return the rows of each feature of one framing before `finish`, `{name: [frames, width]}`.

    A feature with a `survey` needs a first pass over the whole clip: the results of `survey` for each run are joined,
    and `settle` turns them into an extra argument of `forward`. The runs of short clips are kept for the second pass;
    long audio is transformed twice, since the spectra of three hours would fill 3 GB.
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
        # Calls `forward` directly: a module's unused hooks would cost 20 microseconds a clip.
        outputs = {name: feature.forward(run, *settled.get(name, ())) for name, feature in group.items()}
        if run.raw.shape[0] == count:
            return outputs
        _place(outputs, rows, start, count)
        start += len(run.raw)
    return rows


def _settled(group: dict[str, Feature], surveyed: dict[str, list[Tensor]]) -> dict[str, tuple[Tensor]]:
    """Return each feature's `settle` of its joined survey; results shared by two features are joined once."""
    joined: dict[tuple[int, ...], Tensor] = {}
    for parts in surveyed.values():
        key = tuple(map(id, parts))
        if key not in joined:
            joined[key] = _joined(parts)
    return {name: (group[name].settle(joined[tuple(map(id, parts))]),) for name, parts in surveyed.items()}


def _place(outputs: dict[str, Tensor], rows: dict[str, Tensor], start: int, count: int) -> None:
    """Copy a run's rows to their place among the clip's `count`; rows shared by two features are stored once."""
    for name, part in outputs.items():
        if name not in rows:
            twins = [rows[other] for other in rows if outputs[other] is part]
            rows[name] = twins[0] if twins else part.new_empty(count, *part.shape[1:])
        rows[name][start : start + len(part)] = part


def _surveys(feature: Feature) -> bool:
    return hasattr(type(feature), "survey")


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _packed_rows(framing: Framing, group: dict[str, Feature], waves: Sequence[Tensor]) -> dict[str, Sequence[Tensor]]:
    """Like `_rows`, for several clips: `{name: [rows of each clip]}`."""
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
        """Store `weights` `[filters, bins]` in groups of neighbouring filters."""
        super().__init__()
        self.spans: list[tuple[int, int]] = []
        for first in range(0, len(weights), TOGETHER):
            block = weights[first : first + TOGETHER]
            used = np.flatnonzero(block.any(axis=0))
            low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
            self.register_buffer(f"block{len(self.spans)}", torch.from_numpy(block[:, low:high].T.copy()).float())
            self.spans.append((low, high))

    def forward(self, spectrum: Tensor) -> Tensor:
        # From the dict: attribute access on a module costs a microsecond, a third of a small product.
        blocks = zip(self.spans, self._buffers.values(), strict=True)
        return torch.cat([spectrum[:, low:high] @ block for (low, high), block in blocks if block is not None], 1)


def bin_frequencies(rate: int, n_fft: int) -> np.ndarray:
    """Return the centre frequency of each bin in Hz, `[bins]`."""
    return np.arange(n_fft // 2 + 1) * (rate / n_fft)


def hz_to_mel(hz: np.ndarray | float, htk: bool = False) -> np.ndarray:
    """Convert Hz to mel on Slaney's scale (linear below 1 kHz, logarithmic above) or HTK's."""
    hz = np.asarray(hz, dtype=np.float64)
    if htk:
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    bend = 1000.0 / (200 / 3)
    above = bend + np.log(np.maximum(hz, 1e-9) / 1000.0) / (np.log(6.4) / 27.0)
    return np.where(hz < 1000.0, hz / (200 / 3), above)


def mel_to_hz(mels: np.ndarray | float, htk: bool = False) -> np.ndarray:
    """Convert mel to Hz, the inverse of `hz_to_mel`."""
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
    norm: str = "slaney"  # or "none"; the area (slaney) or the peak (none) of each triangle is 1

    @classmethod
    def of(cls, settings: object) -> "MelScale":
        return cls(**_shared(cls, settings))

    def empty(self, rate: int, n_fft: int) -> int:
        """Return the number of bands so narrow that they lie between two bins and are always empty."""
        return int((~self.weights(rate, n_fft).any(axis=1)).sum())

    def weights(self, rate: int, n_fft: int) -> np.ndarray:
        """Return the weights of the filters, `[bands, bins]`."""
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
    """The filters of a mel scale; features with equal scales share one product (`Frames.mel`)."""

    def __init__(self, settings: object, rate: int, n_fft: int) -> None:
        scale = MelScale.of(settings)
        super().__init__(scale.weights(rate, n_fft))
        self.key = (scale, rate)


def log_(values: Tensor) -> Tensor:
    """Take the natural logarithm in place; on a CPU by NumPy, which takes a third of Torch's time."""
    if not values.is_cpu:
        return values.log_()
    np.log(values.numpy(), out=values.numpy())
    return values


def decibels(power: Tensor) -> Tensor:
    """Return 10 log10 of the power, clamped to at least `FLOOR`."""
    return log_(power.clamp(min=FLOOR)).mul_(10 / math.log(10))


def within(rows: Tensor, span: float) -> Tensor:
    """Clamp rows to at most `span` below the greatest value of the clip."""
    return rows.clamp(min=rows.max() - span)


def divisor(values: Tensor) -> Tensor:
    """Return the values clamped to the least normal number, so that 0 / 0 (as in silence) is 0."""
    return values.clamp(min=torch.finfo(values.dtype).tiny)
