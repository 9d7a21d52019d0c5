"""From clips to frames: decode ahead, features behind on the device, shards behind those.

On a CPU every thread takes a few clips at a time from file to finished rows, each clip alone and with one thread of
torch: the cores are full, no thread waits for another, and a clip's numbers cannot depend on its company. With a GPU
the threads decode, and the device takes the clips of a batch packed end to end.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sertool import audio, dsp, features, shaping, shards
from sertool.errors import SertoolError
from sertool.files import path_of

BATCH_CLIPS = 16
BATCH_SECONDS = 60.0
SECONDS_AHEAD = 3600.0  # of audio decoded and not yet written: 230 MB at 16 kHz
VERSION = 1  # of the features' numbers; a change of it makes all shards anew


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the numbers: the waveform, the features, and what becomes of their rows."""

    wave: shaping.Wave
    features: dict[str, Any]  # settings by name
    normalize: tuple[str, ...] = ()
    stats: tuple[str, ...] = ()
    dtype: str | None = None

    def stored(self, name: str) -> str:
        """The type that a feature's rows are kept in."""
        usual = features.load(name).DTYPE
        if usual == "int16" and not self.stats:
            return usual
        return self.dtype or ("float32" if self.stats else usual)

    def record(self, name: str) -> dict[str, Any]:
        """What a shard says of how its numbers were made."""
        return {
            "version": VERSION, "feature": name, "settings": asdict(self.features[name]), "wave": asdict(self.wave),
            "normalize": list(self.normalize), "stats": list(self.stats), "dtype": self.stored(name),
        }  # fmt: skip

    def only(self, names: Sequence[str]) -> "Recipe":
        kept = {name: self.features[name] for name in names}
        return Recipe(self.wave, kept, self.normalize, self.stats, self.dtype)


@dataclass(frozen=True)
class Clip:
    """What of a manifest's row decides its numbers."""

    name: str
    path: str
    start: float | None
    duration: float | None
    digest: str | None

    @property
    def seconds(self) -> float:
        return self.duration or 0.0

    def identity(self) -> list[Any]:
        return [self.name, self.digest, self.start or 0.0, self.duration]


@dataclass
class Rows:
    """A clip's finished rows by feature, or why it has none."""

    values: dict[str, np.ndarray] = field(default_factory=dict)
    issue: str | None = None


class Engine:
    """The features of a recipe, built once, for one device."""

    def __init__(self, recipe: Recipe, device: str = "cpu") -> None:
        self.recipe, self.device = recipe, torch.device(device)
        self.features = {
            name: features.load(name).Feature(settings, recipe.wave.rate).to(self.device).eval()
            for name, settings in recipe.features.items()
        }
        self.columns = {name: self._columns(feature) for name, feature in self.features.items()}

    def _columns(self, feature: Any) -> list[str]:
        sides = ("",) if self.recipe.wave.channels != "stereo" else ("_left", "_right")
        names = [column + side for side in sides for column in feature.columns]
        return [f"{name}_{stat}" for stat in self.recipe.stats for name in names] if self.recipe.stats else names

    def decode(self, clip: Clip) -> Tensor:
        """A clip's shaped waveform, `[channels, samples]`."""
        wave = self.recipe.wave
        samples = audio.decode(
            path_of(clip.path), audio.Cut(wave.rate, wave.channels), clip.start or 0.0, clip.duration
        )
        return shaping.shape(torch.from_numpy(samples), wave, clip.name)

    @torch.inference_mode()
    def alone(self, wave: Tensor) -> dict[str, np.ndarray]:
        """The finished rows of one clip's `[channels, samples]`, computed by itself."""
        return self._finish([dsp.compute(self.features, channel) for channel in wave])

    @torch.inference_mode()
    def packed(self, waves: Sequence[Tensor]) -> list[dict[str, np.ndarray]]:
        """The same for several clips at once; where the device lacks the memory, for half of them at a time."""
        try:
            channels = [channel.to(self.device, non_blocking=True) for wave in waves for channel in wave]
            made = dsp.compute_packed(self.features, channels)
        except torch.OutOfMemoryError:
            if len(waves) == 1:
                raise SertoolError("the device has no memory for a single clip: use --device cpu") from None
            torch.cuda.empty_cache()
            middle = len(waves) // 2
            return self.packed(waves[:middle]) + self.packed(waves[middle:])
        per_clip = len(waves[0])
        return [self._finish(made[start : start + per_clip]) for start in range(0, len(made), per_clip)]

    def _finish(self, channels: Sequence[dict[str, Tensor]]) -> dict[str, np.ndarray]:
        """Rows of each channel side by side, normalised, summarised, in the type that is stored."""
        finished = {}
        for name in self.features:
            rows = channels[0][name] if len(channels) == 1 else torch.cat([one[name] for one in channels], dim=1)
            rows = shaping.normalized(rows, self.recipe.normalize)
            rows = shaping.summary(rows, self.recipe.stats) if self.recipe.stats else rows
            finished[name] = _as_stored(rows, self.recipe.stored(name), name)
        return finished


def _as_stored(rows: Tensor, dtype: str, name: str) -> np.ndarray:
    stored = rows.to(getattr(torch, dtype)).cpu()
    if dtype == "float16" and bool(torch.isinf(stored).any()):
        raise SertoolError(f"{name} has values that float16 cannot hold: use --dtype float32")
    return stored.numpy()


def prepared(engine: Engine, clips: Sequence[Clip]) -> list[Tensor | Rows | str]:
    """What a thread makes of a batch: finished rows on a CPU, waveforms for a GPU, or a clip's issue."""
    made: list[Any] = []
    for clip in clips:
        try:
            wave = engine.decode(clip)
            made.append(Rows(engine.alone(wave)) if engine.device.type == "cpu" else wave)
        except audio.Unusable as unusable:
            made.append(Rows(issue=unusable.issue))
    return made


def rows_of(engine: Engine, clips: Sequence[Clip], jobs: int) -> Iterator[Rows]:
    """Each clip's rows, in order; a clip that cannot be decoded has an issue in their place."""
    torch.set_num_threads(1)
    batches = list(_batches(clips))
    with ThreadPoolExecutor(jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        pending = _ahead(pool, lambda batch: prepared(engine, batch), batches, jobs)
        try:
            for made in pending:
                yield from _on_device(engine, made)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _on_device(engine: Engine, made: Sequence[Any]) -> list[Rows]:
    """Waveforms among what the threads made, turned into rows on the device."""
    waves = [one for one in made if isinstance(one, Tensor)]
    finished = iter(engine.packed(waves) if waves else ())
    return [Rows(next(finished)) if isinstance(one, Tensor) else one for one in made]


def _batches(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    """Neighbours, a few at a time: a long one goes alone."""
    batch: list[Clip] = []
    for clip in clips:
        if batch and (len(batch) == BATCH_CLIPS or sum(c.seconds for c in batch) + clip.seconds > BATCH_SECONDS):
            yield batch
            batch = []
        batch.append(clip)
    if batch:
        yield batch


def _ahead(
    pool: ThreadPoolExecutor, work: Callable[[list[Clip]], Any], batches: list[list[Clip]], jobs: int
) -> Iterator[Any]:
    """Results in order, with a few batches at work: not over `SECONDS_AHEAD` unless one clip alone is longer."""
    pending: deque[tuple[float, Future[Any]]] = deque()
    for batch in batches:
        seconds = sum(clip.seconds for clip in batch)
        while pending and (len(pending) > 2 * jobs or sum(s for s, _ in pending) + seconds > SECONDS_AHEAD):
            yield pending.popleft()[1].result()
        pending.append((seconds, pool.submit(work, batch)))
    while pending:
        yield pending.popleft()[1].result()


# From rows to shards.


@dataclass(frozen=True)
class Task:
    """One run of clips, the shard it becomes in each feature's folder, and which of those are still to be made."""

    index: int
    clips: list[Clip]
    paths: dict[str, Path]
    keys: dict[str, str]
    missing: tuple[str, ...]


def plan(clips: Sequence[Clip], recipe: Recipe, folder: Path) -> list[Task]:
    """The shards of these clips, by their order alone, and what is missing of them."""
    records = {name: recipe.record(name) for name in recipe.features}
    tasks = []
    for index, (start, end) in enumerate(shards.cut(np.array([clip.seconds for clip in clips]))):
        members = list(clips[start:end])
        identities = [clip.identity() for clip in members]
        paths = {name: folder / name / shards.name(index) for name in records}
        keys = {name: shards.key(record, identities) for name, record in records.items()}
        missing = tuple(name for name in records if not shards.has(paths[name], keys[name]))
        tasks.append(Task(index, members, paths, keys, missing))
    return tasks


def make(tasks: Sequence[Task], recipe: Recipe, device: str, jobs: int) -> Iterator[Clip]:
    """Make the shards that are missing; yields each clip as it is done."""
    groups: dict[tuple[str, ...], list[Task]] = {}
    for task in tasks:
        if task.missing:
            groups.setdefault(task.missing, []).append(task)
    with ThreadPoolExecutor(1) as writer:
        for names, members in groups.items():
            yield from _make_alike(members, Engine(recipe.only(names), device), jobs, writer)


def _make_alike(tasks: Sequence[Task], engine: Engine, jobs: int, writer: ThreadPoolExecutor) -> Iterator[Clip]:
    """Shards that lack the same features, in one stream of clips over their borders."""
    stream = rows_of(engine, [clip for task in tasks for clip in task.clips], jobs)
    writing: deque[Future[None]] = deque()
    for task in tasks:
        made = []
        for clip in task.clips:
            made.append(next(stream))
            yield clip
        while len(writing) > 1:
            writing.popleft().result()
        writing.append(writer.submit(_write, task, engine, made))
    stream.close()
    for one in writing:
        one.result()


def _write(task: Task, engine: Engine, made: Sequence[Rows]) -> None:
    issues = {clip.name: rows.issue for clip, rows in zip(task.clips, made, strict=True) if rows.issue}
    names = [clip.name for clip in task.clips]
    for feature in task.missing:
        pieces = [rows.values[feature] for rows in made if rows.issue is None]
        counts = [0 if rows.issue else len(rows.values[feature]) for rows in made]
        record, columns = engine.recipe.record(feature), engine.columns[feature]
        head = shards.Shard(task.paths[feature], task.keys[feature], record, columns, names, counts, issues)
        shards.write(head.path, feature, head, record["dtype"], pieces)


def fingerprint(record: dict[str, Any]) -> str:
    """A short name for settings."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:8]
