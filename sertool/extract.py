"""Decode clips and compute their features.

On a CPU every worker takes a few clips at a time from file to finished rows, each clip by itself and with one thread of
torch: all cores are busy, no worker waits for another, and a clip's numbers cannot depend on other clips. With a GPU
the workers only decode, and read or draw the sounds that effects add to copies; the device applies the effects to all
copies of a batch together, and computes the features of all its clips packed end to end.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sertool import audio, catalogue, dsp, effects, features, long_audio, shaping, talk, workers
from sertool.errors import SertoolError, UsageError
from sertool.files import listed
from sertool.long_audio import StreamedWave
from sertool.parts import neighbours
from sertool.paths import path_of, stamp
from sertool.shaping import Wave

BATCH_CLIPS = 64
SLOW_CLIPS = 8  # the same for pretrained encoders on a CPU, so that workers finish at about the same time
BATCH_SAMPLES = 1 << 22  # 262 s at 16 kHz
SAMPLES_AHEAD = 1 << 26  # samples decoded but not yet used: 256 MB
LONG_CLIP_SAMPLES = 1 << 25  # 35 minutes at 16 kHz: longer clips are read in pieces
NOT_FINITE = "not-finite"
FLOAT16_OVERFLOW = 65_520.0  # float16 rounds to infinity from here on
SLACK_SECONDS = 0.05  # by which a clip may be shorter than its manifest says
VERSION = 1  # of the features' numbers; a new version makes all shards again
REVISED_STATS = {"slope", "skew", "kurtosis"}  # statistics of which few frames had other numbers


class TooLarge(SertoolError):
    """Raised when rows have values that their storage type cannot hold."""


@dataclass(frozen=True)
class Extraction:
    """All that determines a feature's numbers: the settings of waveform and features, and how rows are processed."""

    wave: Wave
    features: dict[str, Any]  # settings by name
    normalize: tuple[str, ...] = ()
    stats: tuple[str, ...] = ()
    dtype: str | None = None

    def stored(self, name: str) -> str:
        """Return the type in which a feature's rows are stored."""
        usual = features.stored(name, self.features[name])
        if usual == "int16":
            return usual
        return self.dtype or ("float32" if self.stats else usual)

    def bytes_per_second(self) -> float:
        """Return the most bytes that any one feature takes per second of audio."""
        if self.stats:
            return 0.0
        return max(features.values_per_second(name, settings, self.wave.rate) * np.dtype(self.stored(name)).itemsize
                   for name, settings in self.features.items())  # fmt: skip

    def record(self, name: str) -> dict[str, Any]:
        """Return what a shard records about how its numbers were made."""
        revision = getattr(features.load(name), "REVISION", 0) + bool(REVISED_STATS.intersection(self.stats))
        return {
            "version": VERSION + revision, "feature": name,
            "settings": asdict(self.features[name]), "wave": asdict(self.wave),
            "normalize": list(self.normalize), "stats": list(self.stats), "dtype": self.stored(name),
        }  # fmt: skip

    def only(self, names: Sequence[str]) -> "Extraction":
        selected = {name: self.features[name] for name in names}
        return Extraction(self.wave, selected, self.normalize, self.stats, self.dtype)


def of_options(names: Iterable[str], options: Mapping[str, Any]) -> Extraction:
    """Return the extraction that the options of `featurize` ask for; an option that is None was not given.

    An option named after a setting alone applies to all features that have this setting.
    """
    given = {word: value for word, value in options.items() if value is not None}
    chosen = {}
    for name in names:
        entry = catalogue.entries("features")[name]
        own = {setting.name: f"{name}_{setting.name}" for setting in entry.settings}
        own |= {entry.facts["CHOICE"]: f"want_{name}"} if "CHOICE" in entry.facts else {}
        names_of = {setting: word for setting in own for word in (setting, own[setting]) if word in given}
        chosen[name] = features.settings(name, {setting: given[word] for setting, word in names_of.items()})
    wave = {field.name: given[field.name] for field in fields(Wave) if field.name in given}
    wave["seed"] = wave.get("seed", 0) if wave.get("fit") == "random" else 0
    stats = tuple(dict.fromkeys(given.get("stats", ())))
    return Extraction(Wave(**wave), chosen, given.get("normalize", ()), stats, given.get("dtype"))


@dataclass(frozen=True)
class Clip:
    """The part of a manifest row that determines a clip's features."""

    name: str
    path: str
    start: float | None
    duration: float | None
    digest: str | None
    augmentation: str | None = None
    size: int | None = None  # bytes of the file when it was indexed
    modified: int | None = None  # time of the file's last change when it was indexed, in ns


@dataclass
class Rows:
    """A clip's finished rows by feature, or the issue that prevented them."""

    values: dict[str, np.ndarray] = field(default_factory=dict)
    issue: str | None = None


@dataclass(frozen=True)
class Copy:
    """An augmented clip before its effects, `[channels, samples]`."""

    clip: Clip
    wave: Tensor
    chain: list[effects.Link]


def decoded(clip: Clip, wave: Wave) -> Tensor:
    """Decode a clip and return its shaped waveform, `[channels, samples]`."""
    changed = effects.applied(_raw(clip, wave), wave.rate, clip.augmentation)
    return shaping.shape(changed, wave, clip.name)


def _raw(clip: Clip, wave: Wave) -> Tensor:
    samples = audio.decode(*_cut(clip, wave))
    _require_as_indexed(clip, samples.shape[1] / wave.rate)
    return torch.from_numpy(samples)


def _channels(clip: Clip, wave: Wave) -> Sequence[Tensor | StreamedWave]:
    """Return the channels of a clip's shaped waveform, each `[samples]`; a long clip's are streamed from its file."""
    if effects.needs_rendering(clip.augmentation) or wave.samples(clip.duration or 0.0) <= LONG_CLIP_SAMPLES:
        return decoded(clip, wave)
    return long_audio.streamed(lambda: _pieces(clip, wave), wave, clip.name)


def _pieces(clip: Clip, wave: Wave) -> Iterator[np.ndarray]:
    count = 0
    for piece in audio.pieces(*_cut(clip, wave)):
        count += piece.shape[1]
        yield piece
    _require_as_indexed(clip, count / wave.rate)


def _cut(clip: Clip, wave: Wave) -> tuple[str, audio.Cut, float, float | None]:
    return path_of(clip.path), audio.Cut(wave.rate, wave.channels), clip.start or 0.0, clip.duration


def _require_as_indexed(clip: Clip, seconds: float) -> None:
    """Refuse audio that differs from what was indexed, as the manifest and existing features describe the old audio."""
    if clip.duration and seconds < clip.duration - SLACK_SECONDS:
        raise audio.Unusable("truncated", f"{seconds:.2f} s of {clip.duration:.2f} s are left")
    if how := difference_from_index(clip):
        raise audio.Unusable("changed", how)


def difference_from_index(clip: Clip) -> str | None:
    """Return how a clip's file differs from what was indexed, or None.

    A file of the same size but another age is decoded, to compare its digest.
    """
    if (size_and_age := stamp(clip.path)) is None:
        return None
    size, modified = size_and_age
    if clip.size is not None and size != clip.size:
        return f"{size:,} bytes, and {clip.size:,} when it was indexed"
    if None in (clip.digest, clip.modified) or modified == clip.modified:
        return None
    same = audio.probe(path_of(clip.path)).digest == clip.digest
    return None if same else "another sound of the same size than when it was indexed"


def stands(issue: str, clip: Clip, wave: Wave, engine: Callable[[], "Engine"]) -> bool:
    """Whether an issue that was found in a clip is still there; `not-finite` may come from a feature alone."""
    result = _tried(clip, lambda tried: decoded(tried, wave))
    if isinstance(result, Tensor) and issue == NOT_FINITE:
        result = _tried(clip, engine().begun)
    return isinstance(result, Rows) and result.issue == issue


class Engine:
    """Computes the features of an extraction on one device; they are built once."""

    def __init__(self, extraction: Extraction, device: str = "cpu") -> None:
        self.extraction, self.device = extraction, torch.device(device)
        self.dtypes = {name: extraction.stored(name) for name in extraction.features}
        self.features = {name: self._feature(name) for name in extraction.features}
        self.columns = {name: self._columns(feature) for name, feature in self.features.items()}
        slow = any(map(features.encoded, extraction.features))
        self.clips_per_batch = SLOW_CLIPS if slow and self.device.type == "cpu" else BATCH_CLIPS
        self.batches_on_device = self.device.type != "cpu"  # whether the device takes the clips of a batch together
        self.effects_on_device = self.device.type == "cuda"  # effects are untested on MPS

    def _feature(self, name: str) -> nn.Module:
        try:
            settings = features.settings_for_device(name, self.extraction.features[name], self.device.type)
            feature = features.load(name).Feature(settings, self.extraction.wave.rate)
        except UsageError as error:
            raise UsageError(f"--{name}: {str(error).removeprefix(f'{name}: ')}") from None
        return feature.to(self.device).eval()

    def _columns(self, feature: Any) -> list[str]:
        sides = ("",) if self.extraction.wave.channels != "stereo" else ("_left", "_right")
        names = [column + side for side in sides for column in feature.columns]
        return (
            [f"{name}_{stat}" for stat in self.extraction.stats for name in names] if self.extraction.stats else names
        )

    def decode(self, clip: Clip) -> Tensor:
        """Decode a clip and return its shaped waveform, `[channels, samples]`."""
        return decoded(clip, self.extraction.wave)

    def begun(self, clip: Clip) -> Rows | Tensor | Copy:
        """Do a worker's part for a clip: return finished rows or, where the device takes batches, its input."""
        wave = self.extraction.wave
        if not self.batches_on_device:
            return _finite(self.alone(_channels(clip, wave)))
        if self.effects_on_device and effects.needs_rendering(clip.augmentation):
            raw = _raw(clip, wave)
            return Copy(clip, raw, effects.prepare_chain(raw.shape[1], wave.rate, clip.augmentation))
        return self.decode(clip)

    def apply_effects(self, copies: Sequence[Copy]) -> list[Tensor | Rows]:
        """Apply the copies' effects on the device; return each shaped waveform, `[channels, samples]`, or its issue."""
        return self._fitting(self._apply_effects, copies)

    def _apply_effects(self, copies: Sequence[Copy]) -> list[Tensor | Rows]:
        settings, waves = self.extraction.wave, [copy.wave.to(self.device, non_blocking=True) for copy in copies]
        changed_waves = effects.applied_together(waves, settings.rate, [copy.chain for copy in copies])
        return [_tried(copy.clip, lambda clip, wave=wave: shaping.shape(wave, settings, clip.name))
                for copy, wave in zip(copies, changed_waves, strict=True)]  # fmt: skip

    @torch.inference_mode()
    def alone(self, wave: Sequence[Tensor | StreamedWave]) -> dict[str, np.ndarray]:
        """Return the finished rows of one clip, `[channels, samples]`, computed by itself."""
        return self._finish([dsp.compute(self.features, channel, self._kept) for channel in wave])

    @torch.inference_mode()
    def packed(self, waves: Sequence[Tensor]) -> list[dict[str, np.ndarray]]:
        """Return the finished rows of several clips, computed together."""
        return self._fitting(self._packed, waves)

    def _packed(self, waves: Sequence[Tensor]) -> list[dict[str, np.ndarray]]:
        channels = [channel.to(self.device, non_blocking=True) for wave in waves for channel in wave]
        packed, sides = dsp.compute_packed(self.features, channels), len(waves[0])
        clips = [packed[start : start + sides] for start in range(0, len(packed), sides)]
        rows = {
            name: _fetched([self._made(name, [side[name] for side in clip]) for clip in clips], self.dtypes[name], name)
            for name in self.features
        }
        return [dict(zip(rows, clip, strict=True)) for clip in zip(*rows.values(), strict=True)]

    def _fitting(self, work: Callable[[Sequence[Any]], list[Any]], clips: Sequence[Any]) -> list[Any]:
        """Return the results of `work` for some clips; if the device runs out of memory, try again with halves.

        The second attempt is outside the error's handling, as the error keeps all tensors made so far alive.
        """
        with suppress(torch.OutOfMemoryError):
            return work(clips)
        if len(clips) == 1:
            raise SertoolError("the device has no memory for a single clip: use --device cpu")
        torch.cuda.empty_cache()
        middle = len(clips) // 2
        return self._fitting(work, clips[:middle]) + self._fitting(work, clips[middle:])

    def _kept(self, name: str, rows: Tensor) -> Any:
        """Return a channel's rows in the storage type, unless they are yet to be normalised or summarised."""
        later = self.extraction.normalize or self.extraction.stats
        return rows if later else _as_stored(rows, self.dtypes[name], name)

    def _finish(self, channels: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
        """Join the rows of all channels, normalise and summarise them, and convert them to the storage type."""
        finished = {}
        for name in self.features:
            stored = [channel.pop(name) for channel in channels]
            if self.extraction.normalize or self.extraction.stats:
                stored = [_as_stored(self._made(name, stored), self.dtypes[name], name)]
            finished[name] = stored[0] if len(stored) == 1 else np.concatenate(stored, axis=1)
        return finished

    def _made(self, name: str, channels: Sequence[Tensor]) -> Tensor:
        """Join a feature's rows of all channels, normalise and summarise them."""
        frames = channels[0] if len(channels) == 1 else torch.cat([*channels], dim=1)
        counted = shaping.counted(frames, len(channels), features.where(name))
        rows = shaping.normalized(frames, self.extraction.normalize, counted)
        return shaping.summary(rows, self.extraction.stats, counted) if self.extraction.stats else rows


def checked(extraction: Extraction, device: str = "cpu") -> Extraction:
    """Return the extraction with its settings resolved for a device; refuse unusable ones before any clip is read."""
    _refuse_to_mix(extraction)
    rate = extraction.wave.rate
    settled = {
        name: features.resolve_settings(name, settings, device, rate) for name, settings in extraction.features.items()
    }
    extraction = replace(extraction, features=settled)
    Engine(extraction)
    return extraction


def _refuse_to_mix(extraction: Extraction) -> None:
    """Refuse to normalise all columns together where a feature's columns are valid in different frames."""
    together = [how for how in extraction.normalize if how not in shaping.BY_COLUMN]
    mixed = [talk.option(name) for name in extraction.features if features.where(name)]
    if together and mixed:
        raise UsageError(f"--normalize {together[0]} would take the columns of {listed(mixed)} together, Hz and flags: "
                         f"use {' or '.join(shaping.BY_COLUMN)}, or make it in a run of its own")  # fmt: skip


def width(extraction: Extraction) -> int:
    """Return how many columns the features have together."""
    return sum(map(len, Engine(extraction).columns.values()))


def _as_stored(rows: Tensor, dtype: str, name: str) -> np.ndarray:
    if dtype == "float16" and rows.numel():
        # This search for values that would become infinite takes a sixth of isinf's time, and no copy.
        ends = rows.numpy() if rows.is_cpu else torch.stack(rows.aminmax()).cpu().numpy()
        far = max(ends.max(), -ends.min())  # NaN if any value is NaN
        if FLOAT16_OVERFLOW <= far < math.inf:
            raise TooLarge(f"{name} has values that float16 cannot hold: use --dtype float32")
    return rows.to(getattr(torch, dtype)).cpu().numpy()


def _fetched(rows: Sequence[Tensor], dtype: str, name: str) -> list[np.ndarray]:
    """Return several clips' rows in the storage type, after one transfer from the device, as each wait is costly."""
    together = _as_stored(torch.cat([*rows]), dtype, name)
    return np.split(together, np.cumsum([len(clip_rows) for clip_rows in rows])[:-1])


def _finite(values: dict[str, np.ndarray]) -> Rows:
    """Return a clip's finished rows, or raise if any value is not finite.

    Samples far beyond full scale, for example, have squares that are infinite in float32.
    """
    for name, rows in values.items():
        if not _are_numbers(rows):
            raise audio.Unusable(NOT_FINITE, f"{name} has values that are no numbers")
    return Rows(values)


def _are_numbers(rows: np.ndarray) -> bool:
    """Whether all values are finite, by the cheapest test for the type."""
    if rows.dtype == np.float16:
        return not rows.size or int((rows.view(np.uint16) & 0x7FFF).max()) < 0x7C00  # all exponent bits set: not finite
    if rows.dtype.kind != "f":
        return True
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(rows.sum()) or np.isfinite(rows).all())


def rows_of(engine: Engine, clips: Iterable[Clip], jobs: int) -> Iterator[Rows]:
    """Yield each clip's rows, in order; a clip that cannot be decoded has an issue instead."""

    def samples(batch: Sequence[Clip]) -> int:
        return sum(int(engine.extraction.wave.samples(clip.duration or 0.0)) for clip in batch)

    batches = neighbours(clips, lambda clip: samples([clip]), BATCH_SAMPLES, engine.clips_per_batch)
    first = list(itertools.islice(batches, workers.AHEAD * jobs + 1))
    many = len(first) > workers.AHEAD * jobs and jobs > 1 and not engine.batches_on_device
    with workers.pool(lambda batch: _prepared(engine, batch), jobs, forked=many) as pool:
        ahead = pool.map_ahead(itertools.chain(first, batches), samples, SAMPLES_AHEAD, heavy=BATCH_SAMPLES)
        for clips_made, prepared in ahead:
            yield from _on_device(engine, clips_made, prepared)


def _prepared(engine: Engine, clips: Sequence[Clip]) -> list[Rows | Tensor | Copy]:
    """Return what a worker makes of a batch: each clip's result, or its issue."""
    return [_tried(clip, engine.begun) for clip in clips]


def _tried(clip: Clip, make: Callable[[Clip], Any]) -> Any:
    """Return what `make` makes of a clip or, if it cannot be used, `Rows` with its issue."""
    try:
        return make(clip)
    except audio.Unusable as unusable:
        talk.detail(f"{clip.path}: {unusable.issue}: {unusable}")
        return Rows(issue=unusable.issue)
    except TooLarge as error:
        raise TooLarge(f"{clip.name}: {error}") from None


def _on_device(engine: Engine, clips: Sequence[Clip], prepared: Sequence[Any]) -> list[Rows]:
    """Turn the copies and waveforms that workers have prepared into rows, on the device."""
    prepared = _replaced(prepared, Copy, engine.apply_effects)
    left = [clip for clip, item in zip(clips, prepared, strict=True) if isinstance(item, Tensor)]
    return _replaced(prepared, Tensor, lambda waves: _together(engine, left, waves))


def _together(engine: Engine, clips: Sequence[Clip], waves: Sequence[Tensor]) -> list[Rows]:
    """Return the rows of clips in one batch, or one by one if values are too large, to name the clip in the error."""
    try:
        rows = engine.packed(waves)
    except TooLarge:
        pairs = zip(clips, waves, strict=True)
        rows = [_tried(clip, lambda _, wave=wave: engine.packed([wave])[0]) for clip, wave in pairs]
    return [_tried(clip, lambda _, values=values: _finite(values)) for clip, values in zip(clips, rows, strict=True)]


def _replaced(items: Sequence[Any], kind: type, work: Callable[[list[Any]], Iterable[Any]]) -> list[Any]:
    """Return the items with all of one type replaced by what `work` makes of them together."""
    matches = [item for item in items if isinstance(item, kind)]
    finished = iter(work(matches) if matches else ())
    return [next(finished) if isinstance(item, kind) else item for item in items]
