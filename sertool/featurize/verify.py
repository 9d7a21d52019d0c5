"""Check shards against the definitions of their features by computing some clips again, slowly."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from sertool import features
from sertool.errors import SertoolError
from sertool.featurize import decoding, shards
from sertool.featurize.extraction import Extraction
from sertool.featurize.shard_plan import clips_of
from sertool.manifests import columns, manifest
from sertool.manifests.manifest import Table
from sertool.numeric import reference
from sertool.sound import audio, levels, shaping
from sertool.system import talk
from sertool.system.files import atomic_write

TOLERANCE = 1e-3  # relative to a value's size
WAYS = 4  # random changes of frames, to measure their effect on statistics
ROUNDING = {"float16": 2.0**-11, "float32": 2.0**-24, "int16": 0.0}
LEAST = 1e-7  # a difference that never matters
NEEDED = 0.999  # share of values that must agree for features that step


@dataclass(frozen=True)
class Verdict:
    """How well the shards of one feature agree with its definition."""

    feature: str
    clips: int
    values: int
    within: float  # share of the values within the tolerance
    worst: float  # the largest difference, in tolerances
    worst_clip: str  # the clip with this difference
    agrees: bool


def verify(table: Table, extraction: Extraction, count: int, seed: int) -> list[Verdict]:
    """Return a verdict for each feature, on `count` clips chosen by the seed."""
    usable = np.flatnonzero(manifest.usable(table))
    chosen = np.sort(np.random.default_rng(seed).permutation(usable)[:count])
    readers = {name: shards.Reader(name, extraction.record(name)) for name in extraction.features}
    differences: dict[str, dict[str, np.ndarray]] = {name: {} for name in extraction.features}
    silent = lost = 0
    for row in talk.progress(chosen.tolist(), len(chosen), "verifying"):
        row_table = table.slice(row, 1)
        clip = clips_of(row_table)[0]
        try:
            wave = decoding.decoded(clip, extraction.wave)
        except audio.Unusable as unusable:  # it became unusable after its rows were stored
            lost += 1
            talk.warn(f"not verified: {clip.name}: {clip.path} is {unusable.issue} ({unusable})")
            continue
        if _is_rounding(wave):
            silent += 1
            continue
        for name in extraction.features:
            stored = _stored(row_table, readers[name])
            defined, size = _expected_rows(*_defined_frames(wave, name, extraction), extraction.stats)
            allowed = _allowed(name, extraction, defined, size)
            differences[name][clip.name] = _in_tolerances(stored, defined, allowed)
    if silent:
        talk.say(f"{talk.counted(silent, 'clip')} not judged: silent but for rounding, which decides their features")
    if lost:
        talk.say(f"{talk.counted(lost, 'clip')} not verified: the audio is not what it was")
    if silent + lost == len(chosen):
        talk.say("nothing to verify: no clip here has features that can be judged")
        return []
    return [_verdict(name, of_clips) for name, of_clips in differences.items()]


def _is_rounding(wave: torch.Tensor) -> bool:
    """Whether a channel of `[channels, samples]` is silent to the doctor, but not all zeros.

    It is constant, or the rounding noise left where two channels cancel.
    """
    low, high = wave.aminmax(dim=1)
    return bool(((high - low < 2 * levels.SILENT) & ((low != 0) | (high != 0))).any())


def _stored(clip: Table, reader: shards.Reader) -> np.ndarray:
    """Return a clip's rows from its shard, `[rows, width]`."""
    names = ("clip", *columns.of_feature(reader.feature))
    return reader.rows(*(manifest.column(clip, name)[0] for name in names))


def _defined_frames(wave: torch.Tensor, name: str, extraction: Extraction) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a clip's frames by the definition, `[frames, width]`, and which are valid, from `[channels, samples]`."""
    define = features.load(name).definition
    settings = extraction.features[name]
    sides = [define(channel.numpy().astype(np.float64), extraction.wave.rate, settings) for channel in wave]
    frames = torch.from_numpy(np.concatenate(sides, axis=1).astype(np.float64))
    counted = shaping.counted(frames, len(wave), features.where(name))
    rows = shaping.normalized(frames, extraction.normalize, counted)
    return rows.numpy(), None if counted is None else counted.numpy()


def _expected_rows(
    frames: np.ndarray, counted: np.ndarray | None, stats: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to be stored, `[rows, width]`, and the size relative to which differences are judged.

    The size of a frame's value is its magnitude, or its column's deviation over the clip if that is larger. The size of
    a statistic is its magnitude or, if larger, how much it changes relative to random changes of the frames.
    """
    size = np.maximum(np.abs(frames), frames.std(axis=0))
    if not stats:
        return frames, size
    stored, rng = reference.summary(frames, stats, counted), np.random.default_rng(0)
    moved = [np.abs(stored)]
    for _ in range(WAYS):
        way = rng.choice([-1.0, 1.0], frames.shape)
        for changed in (way, np.abs(way)):
            other = reference.summary(frames + TOLERANCE * changed * size, stats, counted)
            moved.append(np.abs(other - stored) / TOLERANCE)
    return stored, np.max(moved, axis=0)


def _allowed(name: str, extraction: Extraction, defined: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return how much each stored value may differ: a share of its size, its rounding, and what never matters.

    A feature that may be computed in less than float32, or whose values are very small, defines its own limits.
    """
    module, dtype = features.load(name), extraction.stored(name)
    share = module.tolerance(extraction.features[name]) if hasattr(module, "tolerance") else TOLERANCE
    least = 1.0 if dtype == "int16" else getattr(module, "LEAST", LEAST)
    return share * size + ROUNDING[dtype] * np.abs(defined) + least


def _in_tolerances(stored: np.ndarray, defined: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Return differences in units of what is allowed, `[rows, width]`."""
    if stored.shape != defined.shape:
        raise SertoolError(f"verify: {stored.shape} rows stored, {defined.shape} by the definition")
    return np.abs(stored.astype(np.float64) - defined) / allowed


def _verdict(name: str, differences: dict[str, np.ndarray]) -> Verdict:
    """Return the verdict on a feature, from its differences by clip."""
    values = np.concatenate([difference.ravel() for difference in differences.values()])
    worst = {clip: float(difference.max(initial=0.0)) for clip, difference in differences.items()}
    clip = max(worst, key=worst.__getitem__)
    within = float((values <= 1).mean())
    module = features.load(name)
    needed = getattr(module, "AGREES", NEEDED if getattr(module, "STEPS", False) else 1.0)
    return Verdict(name, len(differences), values.size, within, worst[clip], clip, within >= needed)


def report(verdicts: list[Verdict], path: Path) -> None:
    """Say the verdicts, save them beside the shards, and fail if one is bad."""
    for line in _lines(verdicts):
        talk.say(line)
    with atomic_write(path) as stream:
        stream.write(json.dumps([asdict(verdict) for verdict in verdicts], indent=1).encode() + b"\n")
    bad = [verdict.feature for verdict in verdicts if not verdict.agrees]
    if bad:
        raise SertoolError(f"{', '.join(bad)}: the shards do not agree with the definition; details in {path}")


def _lines(verdicts: list[Verdict]) -> Iterator[str]:
    for verdict in verdicts:
        state = "agrees" if verdict.agrees else "DIFFERS"
        share = f"{100 * verdict.within:.3f} % of {verdict.values:,} values within tolerance"
        worst = f"worst {verdict.worst:.2g} of it in {verdict.worst_clip}"
        yield f"verified {verdict.feature}: {state} on {verdict.clips} clips: {share}, {worst}"
