"""Decode clips and compute their features.

On a CPU every worker takes a few clips at a time from file to finished rows, each clip by itself and with one thread of
torch: all cores are busy, no worker waits for another, and a clip's numbers cannot depend on other clips. With a GPU
the workers only decode, and read or draw the sounds that effects add to copies; the device applies the effects to all
copies of a batch together, and computes the features of all its clips packed end to end.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from sertool import effects, features
from sertool.featurize import decoding
from sertool.featurize.decoding import Clip
from sertool.featurize.engine import Engine, TooLarge, in_halves
from sertool.sound import audio, shaping
from sertool.sound.shaping import Wave
from sertool.system import talk, workers
from sertool.system.parts import neighbours

BATCH_CLIPS = 64
SLOW_CLIPS = 8  # the same for pretrained encoders on a CPU, so that workers finish at about the same time
BATCH_SAMPLES = 1 << 22  # 262 s at 16 kHz
SAMPLES_AHEAD = 1 << 26  # samples decoded but not yet used: 256 MB
NOT_FINITE = "not-finite"
NOT_GIVEN = "not-given"


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


def rows_of(engine: Engine, clips: Iterable[Clip], jobs: int) -> Iterator[Rows]:
    """Yield each clip's rows, in order; a clip that cannot be decoded has an issue instead."""

    def samples(batch: Sequence[Clip]) -> int:
        return sum(int(engine.extraction.wave.samples(clip.duration or 0.0)) for clip in batch)

    batches = neighbours(clips, lambda clip: samples([clip]), BATCH_SAMPLES, _clips_per_batch(engine))
    first = list(itertools.islice(batches, workers.AHEAD * jobs + 1))
    many = len(first) > workers.AHEAD * jobs and jobs > 1 and not engine.batches_on_device
    with workers.pool(lambda batch: _prepared(engine, batch), jobs, forked=many) as pool:
        ahead = pool.map_ahead(itertools.chain(first, batches), samples, SAMPLES_AHEAD, heavy=BATCH_SAMPLES)
        for clips_made, prepared in ahead:
            yield from _on_device(engine, clips_made, prepared)


def given(engine: Engine, name: str, clip: Clip) -> Rows:
    """Return a clip's rows of a feature that a file gives, or the issue that it lacks them."""
    return _tried(clip, _given, engine, name, clip.name)


def stands(issue: str, clip: Clip, wave: Wave, engine: Callable[[], Engine]) -> bool:
    """Whether an issue that was found in a clip is still there; `not-finite` may come from a feature alone."""
    result = _tried(clip, decoding.decoded, clip, wave)
    if isinstance(result, Tensor) and issue == NOT_FINITE:
        result = _tried(clip, _begun, engine(), clip)
    return isinstance(result, Rows) and result.issue == issue


def _clips_per_batch(engine: Engine) -> int:
    slow = any(map(features.encoded, engine.extraction.features))
    return SLOW_CLIPS if slow and engine.device.type == "cpu" else BATCH_CLIPS


# What a worker does.


def _prepared(engine: Engine, clips: Sequence[Clip]) -> list[Rows | Tensor | Copy]:
    """Return what a worker makes of a batch: each clip's result, or its issue."""
    return [_tried(clip, _begun, engine, clip) for clip in clips]


def _begun(engine: Engine, clip: Clip) -> Rows | Tensor | Copy:
    """Do a worker's part for a clip: return finished rows or, where the device takes batches, its input."""
    wave = engine.extraction.wave
    if not engine.batches_on_device:
        return _finite(engine.alone(decoding.channels(clip, wave)))
    if engine.effects_on_device and effects.needs_rendering(clip.augmentation):
        sound = decoding.unchanged(clip, wave)
        return Copy(clip, sound, effects.prepare_chain(sound.shape[1], wave.rate, clip.augmentation))
    return decoding.decoded(clip, wave)


def _tried(clip: Clip, make: Callable[..., Any], *inputs: Any) -> Any:
    """Return what `make` makes of a clip's inputs or, if it cannot be used, `Rows` with its issue."""
    try:
        return make(*inputs)
    except audio.Unusable as unusable:
        talk.detail(f"{clip.path}: {unusable.issue}: {unusable}")
        return Rows(issue=unusable.issue)
    except TooLarge as error:
        raise TooLarge(f"{clip.name}: {error}") from None


def _given(engine: Engine, name: str, clip: str) -> Rows:
    rows = engine.given(name, clip)
    if rows is None:
        raise audio.Unusable(NOT_GIVEN, f"no row of {name} is for it")
    return _finite({name: rows})


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


# What the device does with a batch.


def _on_device(engine: Engine, clips: Sequence[Clip], prepared: Sequence[Any]) -> list[Rows]:
    """Turn the copies and waveforms that workers have prepared into rows, on the device."""
    prepared = _replaced(prepared, Copy, lambda copies: _shaped(engine, copies))
    left = [clip for clip, item in zip(clips, prepared, strict=True) if isinstance(item, Tensor)]
    return _replaced(prepared, Tensor, lambda waves: _together(engine, left, waves))


def _shaped(engine: Engine, copies: Sequence[Copy]) -> list[Tensor | Rows]:
    """Apply the copies' effects on the device; return each shaped waveform, `[channels, samples]`, or its issue."""
    settings = engine.extraction.wave

    def work(some: Sequence[Copy]) -> list[Tensor | Rows]:
        waves = [copy.wave.to(engine.device, non_blocking=True) for copy in some]
        changed = effects.applied_together(waves, settings.rate, [copy.chain for copy in some])
        pairs = zip(some, changed, strict=True)
        return [_tried(copy.clip, shaping.shape, wave, settings, copy.clip.name) for copy, wave in pairs]

    return in_halves(work, copies)


def _together(engine: Engine, clips: Sequence[Clip], waves: Sequence[Tensor]) -> list[Rows]:
    """Return the rows of clips in one batch, or one by one if values are too large, to name the clip in the error."""
    try:
        rows = engine.packed(waves)
    except TooLarge:
        pairs = zip(clips, waves, strict=True)
        rows = [_tried(clip, lambda one: engine.packed([one])[0], wave) for clip, wave in pairs]
    return [_tried(clip, _finite, values) for clip, values in zip(clips, rows, strict=True)]


def _replaced(items: Sequence[Any], kind: type, work: Callable[[list[Any]], Iterable[Any]]) -> list[Any]:
    """Return the items with all of one type replaced by what `work` makes of them together."""
    matches = [item for item in items if isinstance(item, kind)]
    finished = iter(work(matches) if matches else ())
    return [next(finished) if isinstance(item, kind) else item for item in items]
