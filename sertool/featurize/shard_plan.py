"""Divide clips into shards, find the shards that are missing, and make them.

A shard's clips depend on their order alone, so what belongs in each is known before anything is computed. A run that
was killed, or that is one of many parts, makes exactly the bytes of an undisturbed one.
"""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from sertool import effects, features
from sertool.errors import SertoolError, UsageError
from sertool.featurize import decoding, extract, shards
from sertool.featurize.decoding import Clip
from sertool.featurize.engine import Engine
from sertool.featurize.extract import Rows
from sertool.featurize.extraction import Extraction
from sertool.featurize.shards import Shard
from sertool.manifests import manifest
from sertool.manifests.manifest import Table
from sertool.numeric import codes
from sertool.pretraining import encoder_trainings
from sertool.pretraining.encoder_trainings import EncoderTraining
from sertool.sound import audio
from sertool.system import talk
from sertool.system.files import listed
from sertool.system.paths import path_of, stamp

SAMPLES = 3600 * 16_000  # in a shard at most: 115 MB as a waveform of 16 bits
BYTES = 256e6  # the same limit for features that are larger than the waveform
SHOWN_VALUES = 8  # of a setting that is a list, in a message


def clips_of(table: Table) -> list[Clip]:
    """Return the rows of a manifest as clips."""
    names = ("clip", "path", "start", "duration", "digest", "augmentation", "size", "modified")
    return [Clip(*values) for values in zip(*(manifest.column(table, name) for name in names), strict=True)]


@dataclass(frozen=True)
class Task:
    """One shard: the usable clips from index `first` to `last` - 1."""

    index: int
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first


@dataclass(frozen=True)
class ShardPlan:
    """A manifest's usable clips, the extraction to make from them, and the folder to write to."""

    table: Table
    extraction: Extraction
    folder: Path

    @cached_property
    def engine(self) -> Engine:
        """Computes a clip again, to check issues; built once, as an encoder takes a second."""
        return Engine(self.extraction)

    @cached_property
    def encoder_trainings(self) -> dict[str, list[EncoderTraining]]:
        """What the encoder of each feature was trained on, as far as a file of `--weights` records it."""
        settings_of = self.extraction.features
        return {name: encoder_trainings.of_weights(name, vars(settings)) for name, settings in settings_of.items()}

    @cached_property
    def tasks(self) -> list[Task]:
        """All shards, as determined by the clips' order and durations and the features' width."""
        seconds = np.zeros(len(self.table))
        if "duration" in self.table.column_names:
            seconds = np.nan_to_num(self.table.column("duration").to_numpy())
        size = self.extraction.bytes_per_second() / self.extraction.wave.rate
        spans = shards.cut(self.extraction.wave.samples(seconds), min(SAMPLES, BYTES / size) if size else SAMPLES)
        return [Task(index, *span) for index, span in enumerate(spans)]

    def clips(self, task: Task) -> list[Clip]:
        return clips_of(self.table.slice(task.first, len(task)))

    def path(self, task: Task, feature: str) -> Path:
        return self.folder / feature / shards.name(task.index)

    def held(self, feature: str) -> list[Path]:
        """Return the existing shards of a feature."""
        return shards.held(self.folder / feature)


def _key(feature: str, extraction: Extraction, clips: Sequence[Clip]) -> str:
    """Return the key that the shard of these clips must have."""
    given, rows = features.from_file(feature), extraction.given.get(feature, {})
    identities = [_given_identity(clip, rows) if given else _identity(clip) for clip in clips]
    return shards.key(extraction.record(feature), identities)


def _given_identity(clip: Clip, rows: Mapping[str, np.ndarray]) -> list[Any]:
    """Return what identifies a clip's rows from a file: their digest, whatever becomes of its sound."""
    own = rows.get(clip.name)
    return [clip.name, None if own is None else hashlib.sha256(own.tobytes()).hexdigest()[:32]]


def _identity(clip: Clip) -> list[Any]:
    """Return what identifies a clip's sound: its digest or, if unknown, the file's size and age."""
    led = [audio.LED_VERSION] if clip.start and path_of(clip.path).lower().endswith(audio.LED_EXTENSIONS) else []
    changes = [effects.VERSION, clip.augmentation] if effects.needs_rendering(clip.augmentation) else []
    return [clip.name, clip.digest or stamp(clip.path), clip.start or 0.0, clip.duration, *led, *changes]


def identified(table: Table) -> Table:
    """Give copies that are made from their parent's file the digest of that file.

    Without it they would be known by the file's age, which changes when a corpus is copied elsewhere.
    """
    if not {"digest", "parent", "augmentation"} <= {*table.column_names}:
        return table
    digests, changes = manifest.column(table, "digest"), manifest.column(table, "augmentation")
    unknown = [row for row, digest in enumerate(digests) if digest is None and changes[row]]
    if not unknown:
        return table
    clips, paths = manifest.column(table, "clip"), manifest.column(table, "path")
    parents = manifest.own_or_parents(table, {clip: row for row, clip in enumerate(clips) if digests[row]})
    for row in unknown:
        if (parent := parents[row]) >= 0 and paths[row] == paths[parent]:
            digests[row] = digests[parent]
    return manifest.with_column(table, "digest", digests)


def missing(plan: ShardPlan, task: Task) -> tuple[str, ...]:
    """Return the features whose shard is missing, damaged, made from something else, or lacks trainings known now."""
    clips = plan.clips(task)
    return tuple(name for name in plan.extraction.features if not _stands(plan, task, name, clips))


def _stands(plan: ShardPlan, task: Task, feature: str, clips: Sequence[Clip]) -> bool:
    head = shards.intact_header(plan.path(task, feature), feature)
    if (
        head is None
        or head.key != _key(feature, plan.extraction, clips)
        or not _has_all(plan.encoder_trainings[feature], head)
    ):
        return False
    if features.from_file(feature):  # the key tells all of its issues
        return True
    lost = [clip for clip in clips if clip.name in head.issues]
    return all(extract.stands(head.issues[clip.name], clip, plan.extraction.wave, lambda: plan.engine) for clip in lost)


def _has_all(trainings: Sequence[EncoderTraining], head: Shard) -> bool:
    """Whether a shard records all trainings of the `--weights` file."""
    return all(
        training in head.encoder_trainings or (head.encoder_trainings and "corpora" in training)
        for training in trainings
    )


def warn_of_changed(plan: ShardPlan, finished: Iterable[Task]) -> None:
    """Warn of clips whose file has changed; their features are of the indexed sound, and stay."""
    changed = [clip.name for task in finished for clip in plan.clips(task) if decoding.difference_from_index(clip)]
    if changed:
        talk.warn(
            f"{talk.counted(len(changed), 'clip')} changed since what was indexed had its features made, such as "
            f"{changed[0]}: index again, with --update"
        )


def refuse_foreign_shards(plan: ShardPlan) -> None:
    """Refuse to replace shards of other settings, or mostly of other clips, without --overwrite."""
    for feature in plan.extraction.features:
        held = [np.empty(0, np.uint64)]  # hashes, as millions of names would fill the memory
        for head in _heads(plan, feature):
            _refuse_settings(plan, feature, head.settings)
            held.append(codes.hashes(head.clips))
        lost(plan.folder / feature, np.concatenate(held), plan.table)


def lost(place: Path, held: np.ndarray, table: Table) -> np.ndarray:
    """Return which clips, given by hash, are lost as the table lacks them, bool `[clips]`; refuse to lose most."""
    strange = manifest.missing_clips(held, table)
    if strange.sum() * 2 > len(strange):
        raise _refusal(place, f"holds {len(strange):,} clips, of which {strange.sum():,} are not in this manifest")
    return strange


def _heads(plan: ShardPlan, feature: str) -> Iterator[Shard]:
    """Yield the headers of the folder's shards, except damaged ones, which are made again anyway."""
    for path in plan.held(feature):
        try:
            head = shards.head_of(path)
        except SertoolError:
            continue
        yield head


def _refuse_settings(plan: ShardPlan, feature: str, recorded: Any) -> None:
    settings = plan.extraction.record(feature)
    if recorded != settings:
        difference = next(_differences(_whole(feature, recorded), _whole(feature, settings)), "unknown")
        raise _refusal(plan.folder / feature, f"was made with other settings ({difference})")


def _whole(feature: str, record: Any) -> Any:
    """Return a record with the settings that it leaves out."""
    if not (isinstance(record, dict) and isinstance(record.get("settings"), dict)):
        return record
    return record | {"settings": features.unrecorded(feature) | record["settings"]}


def _refusal(place: Path, what: str) -> UsageError:
    return UsageError(f"{place} {what}: choose another folder with -o, or replace it with --overwrite")


def _differences(recorded: Any, settings: dict[str, Any]) -> Iterator[str]:
    """Yield the settings that differ, in words."""
    for name, now in settings.items():
        then = recorded.get(name) if isinstance(recorded, dict) else None
        if isinstance(now, dict):
            yield from _differences(then, now)
        elif then != now:
            yield f"{name} {_shown(then, now)}, now {_shown(now, then)}"


def _shown(value: Any, other: Any) -> str:
    """Return a setting in words; of a long list, what the other lacks."""
    if not isinstance(value, list) or len(value) <= SHOWN_VALUES:
        return str(value)
    theirs = {*other} if isinstance(other, list) else set()
    more = [each for each in value if each not in theirs]
    return listed(more, SHOWN_VALUES) if more else f"{len(value):,} others"


def make(plan: ShardPlan, lacking: dict[Task, tuple[str, ...]], device: str, jobs: int) -> Iterator[bool]:
    """Make the missing shards; yield for each clip, once done, whether it has rows."""
    with ThreadPoolExecutor(1) as writer:
        for names in sorted(set(lacking.values())):
            alike = [task for task, lacked in lacking.items() if lacked == names]
            engine = Engine(plan.extraction.only(names), device)
            yield from _make_alike(plan, alike, engine, jobs, writer)


def _make_alike(
    plan: ShardPlan, tasks: Sequence[Task], engine: Engine, jobs: int, writer: ThreadPoolExecutor
) -> Iterator[bool]:
    """Make shards that lack the same features from one continuous stream of clips."""
    stream = _rows_of(engine, (clip for task in tasks for clip in plan.clips(task)), jobs)
    writing: Future[None] | None = None
    for task in tasks:
        clips, finished = plan.clips(task), deque[Rows]()
        for rows in islice(stream, len(clips)):
            finished.append(rows)
            yield rows.issue is None
        if writing:
            writing.result()
        writing = writer.submit(_write, plan, task, engine, finished)
    if writing:
        writing.result()


def _rows_of(engine: Engine, clips: Iterable[Clip], jobs: int) -> Iterator[Rows]:
    """Yield each clip's computed rows, in order; if nothing is to be computed, only the issue of a file without it."""
    if engine.features:
        yield from extract.rows_of(engine, clips, jobs)
        return
    for clip in clips:
        given = (extract.given(engine, name, clip).issue for name in engine.columns)
        yield Rows(issue=next(filter(None, given), None))


def _write(plan: ShardPlan, task: Task, engine: Engine, computed: Sequence[Rows]) -> None:
    clips = plan.clips(task)
    names = [clip.name for clip in clips]
    for feature, columns in engine.columns.items():
        given = features.from_file(feature)
        rows_of_clips = [extract.given(engine, feature, clip) for clip in clips] if given else computed
        issues = {clip.name: rows.issue for clip, rows in zip(clips, rows_of_clips, strict=True) if rows.issue}
        counts = [0 if rows.issue else len(rows.values[feature]) for rows in rows_of_clips]
        pieces = [rows.values[feature] for rows in rows_of_clips if rows.issue is None]
        path, record = plan.path(task, feature), plan.extraction.record(feature)
        expected = _key(feature, plan.extraction, clips)
        trainings = plan.encoder_trainings[feature]
        head = Shard(path, expected, record, record["dtype"], columns, names, counts, issues, trainings)
        shards.write(head, feature, pieces)


def drop_leftovers(plan: ShardPlan) -> None:
    """Remove shards that no clip of the manifest belongs to any more."""
    for feature in plan.extraction.features:
        names = {shards.name(task.index) for task in plan.tasks}
        for path in plan.held(feature):
            if path.name not in names:
                path.unlink(missing_ok=True)
