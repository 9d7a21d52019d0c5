"""Compute the features of a manifest's clips: write shards, and a manifest that points into them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from sertool.errors import SertoolError
from sertool.featurize import engine, shard_plan, shards
from sertool.featurize.extraction import Extraction
from sertool.featurize.shard_plan import ShardPlan, Task
from sertool.index import doctor
from sertool.manifests import columns, manifest, manifest_io, provenance
from sertool.manifests.manifest import Table
from sertool.numeric import dsp
from sertool.system import talk
from sertool.system.files import sweep
from sertool.system.locks import folder_lock
from sertool.system.parts import WHOLE, Part
from sertool.system.paths import absolute, path_text


@dataclass(frozen=True)
class ShardFolder:
    """Where the shards go, which part of them this run makes, and what becomes of existing ones."""

    folder: Path
    part: Part = WHOLE
    overwrite: bool = False
    wait: bool = False

    @property
    def manifest(self) -> Path:
        return self._own("manifest", ".parquet")

    @property
    def verdicts(self) -> Path:
        """The file for the results of --verify."""
        return self._own("verify", ".json")

    def _own(self, name: str, suffix: str) -> Path:
        """Return the path of a file of this part: `manifest-03-of-16.parquet`."""
        return self.folder / (f"{name}-{self.part.name}{suffix}" if self.part.name else f"{name}{suffix}")


def _plan(table: Table, extraction: Extraction, folder: Path) -> ShardPlan:
    """Return the plan of shards for a manifest's usable clips."""
    doctor.refuse_unusable(table)
    return ShardPlan(shard_plan.identified(manifest.keep(table, manifest.usable(table))), extraction, folder)


def warn_of_channels(table: Table, extraction: Extraction) -> None:
    """Warn that features ignore the column `channel`, as in predict's output, and follow --channels."""
    channels = manifest.codes(table, "channel")
    if extraction.computed and columns.channel_numbers(channels.values):
        rows = talk.counted(int((channels.index >= 0).sum()), "row")
        talk.warn(f"the column channel of {rows} is not heeded: features are of --channels {extraction.wave.channels}")


def warn_of_empty_bands(extraction: Extraction) -> None:
    """Warn if a feature's mel scale has bands that contain no frequency bin."""
    scale = {field.name for field in fields(dsp.MelScale)}
    names_of: dict[str, list[str]] = {}
    for name, settings in extraction.features.items():
        if not scale <= vars(settings).keys():
            continue
        if empty := dsp.MelScale.of(settings).empty(extraction.wave.rate, settings.n_fft):
            names_of.setdefault(f"{empty} of {settings.bands} mel bands lie between bins", []).append(f"--{name}")
    for count, names in names_of.items():
        talk.warn(f"{' and '.join(names)}: {count} and stay empty: take fewer ({names[0]}-bands) or a larger --n-fft")


def describe(table: Table, extraction: Extraction, place: ShardFolder) -> str:
    """Say what `run` would do."""
    own_tasks, open_tasks = _lacking(_plan(table, extraction, place.folder), table, place)
    clips = sum(len(task) for task in open_tasks)
    shapes = ", ".join(f"{name} ({_shape(extraction, name)})" for name in extraction.features)
    return f"would make {len(open_tasks)} of {len(own_tasks)} shards, of {clips:,} clips, in {place.folder}: {shapes}"


def _shape(extraction: Extraction, name: str) -> str:
    """Return the shape of a clip's rows of a feature, in words."""
    columns = talk.counted(engine.width(extraction.only([name])), "column")
    return f"{'rows' if extraction.over_time(name) and not extraction.stats else '1 row'} of {columns}"


def run(table: Table, extraction: Extraction, place: ShardFolder, device: str, jobs: int) -> Table:
    """Make missing shards; return this part's rows of the manifest, pointing to their features."""
    planned = _plan(table, extraction, place.folder)
    with folder_lock(place.folder, place.wait, place.part.name, read_only_ok=True) as lock:
        own_tasks, open_tasks = _lacking(planned, table, place)
        if open_tasks:
            lock.require_writable()
        making = shard_plan.make(planned, open_tasks, device, jobs)
        if extraction.computed:
            shard_plan.warn_of_changed(planned, [task for task in own_tasks if task not in open_tasks])
        done = sum(talk.progress(making, sum(map(len, open_tasks)), "featurizing"))
        shard_plan.drop_leftovers(planned)
        share = _share(table, own_tasks)
        result = _pointed(share, planned, own_tasks)
        _save(result, place.manifest)
    if own_tasks:
        _say(share, result, done, planned)
    else:
        whole = talk.counted(len(planned.tasks), "shard")
        talk.say(f"nothing is left for part {place.part.name}: the clips make {whole}, which --part does not divide")
    if not place.part.name:  # otherwise another part may have usable clips
        doctor.refuse_unusable(result)
    return result


def _lacking(
    planned: ShardPlan, table: Table, place: ShardFolder
) -> tuple[Sequence[Task], dict[Task, tuple[str, ...]]]:
    """Return this part's tasks and, for those that lack features, what they lack."""
    if not place.overwrite:
        shard_plan.refuse_foreign_shards(planned)
        _guard_rows(table, place.manifest)
    own_tasks = place.part.of(planned.tasks)
    lacking = ((task, shard_plan.missing(planned, task)) for task in own_tasks)
    return own_tasks, {task: names for task, names in lacking if names}


def _guard_rows(table: Table, path: Path) -> None:
    """Refuse to replace a manifest mostly of other clips; warn if it loses some."""
    if (existing := _existing(path)) is None:
        return
    lost = shard_plan.lost(path, manifest.clip_hashes(existing), table)
    if lost.any():
        clip = manifest.cell(existing, "clip", int(lost.argmax()))
        talk.warn(f"{path} loses {lost.sum():,} of its {len(lost):,} clips, such as {clip}: this manifest lacks them")


def _existing(path: Path) -> Table | None:
    """Read the manifest at a path, or return None if there is none."""
    try:
        return manifest_io.read(str(path))
    except SertoolError:
        return None


def _share(table: Table, own_tasks: Sequence[Task]) -> Table:
    """Return the rows of neighbouring tasks: their clips, and the unusable rows up to the next task's first clip."""
    if not own_tasks:
        return table.slice(0, 0)
    places = np.flatnonzero(manifest.usable(table))
    first = 0 if own_tasks[0].index == 0 else int(places[own_tasks[0].first])
    last = len(table) if own_tasks[-1].last == len(places) else int(places[own_tasks[-1].last])
    return table.slice(first, last - first)


def _pointed(table: Table, planned: ShardPlan, own_tasks: Sequence[Task]) -> Table:
    """Return part of the manifest with the location of each clip's rows, and the issues that decoding found."""
    places = np.flatnonzero(manifest.usable(table))
    issues: dict[int, str] = {}
    for feature in planned.extraction.features:
        shard = np.full(len(table), -1, np.int32)
        offset, rows = np.zeros((2, len(table)), np.int64)
        paths = []
        for number, task in enumerate(own_tasks):
            head = shards.head_of(planned.path(task, feature))
            at, counts = places[task.first - own_tasks[0].first :][: len(task)], np.array(head.rows)
            offset[at], rows[at] = np.cumsum(counts) - counts, counts
            shard[at] = np.where(counts > 0, number, -1)
            issues |= {at[head.clips.index(clip)]: issue for clip, issue in head.issues.items()}
            paths.append(path_text(absolute(head.path)))
        table = manifest.with_feature(table, feature, (shard, offset, rows), paths)
    table = _with_issues(table, issues) if issues else table
    records = {feature: planned.extraction.record(feature) for feature in planned.extraction.features}
    record = provenance.of(table)
    return provenance.attached(table, record | {"features": record["features"] | records})


def _with_issues(table: Table, issues: dict[int, str]) -> Table:
    column = manifest.column(table, "issue")
    for row, issue in issues.items():
        column[row] = issue
    return manifest.with_column(table, "issue", column)


def _save(table: Table, path: Path) -> None:
    """Write the manifest, unless the file has the same rows and features already."""
    sweep(path)
    existing = _existing(path)
    if existing is None or not (manifest.same_rows(existing, table) and _records(existing) == _records(table)):
        manifest_io.write(table, str(path), "parquet")
    gone = sorted(_records(existing).keys() - _records(table).keys()) if existing is not None else []
    if gone:
        talk.warn(f"{path} pointed to {', '.join(gone)} too: to add a feature, featurize that manifest; or name all")


def _records(table: Table) -> dict[str, Any]:
    return provenance.of(table)["features"]


def _say(before: Table, after: Table, done: int, planned: ShardPlan) -> None:
    """Say what was made, and report the clips that could not be."""
    doctor.report_lost(before, after)
    usable = manifest.usable(after)
    aside = f"; {int((~usable).sum()):,} set aside" if not usable.all() else ""
    names = ", ".join(planned.extraction.features)
    talk.say(f"{names} of {talk.counted(int(usable.sum()), 'clip')} in {planned.folder} ({done:,} made now){aside}")
