"""A manifest and a recipe to a folder of shards and a manifest that points into it."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sertool import extract, manifest, shards, wire
from sertool.errors import SertoolError, UsageError
from sertool.extract import Clip, Recipe, Task
from sertool.files import sweep
from sertool.manifest import Table


def clips_of(table: Table) -> list[Clip]:
    """The usable clips of a manifest, in its order."""
    held = manifest.keep(table, manifest.usable(table))
    names = ("clip", "path", "start", "duration", "digest")
    return [Clip(*values) for values in zip(*(manifest.column(held, name) for name in names), strict=True)]


@dataclass(frozen=True)
class Part:
    """A contiguous share of the shards, k of n: `--part 3/16`."""

    k: int = 1
    n: int = 1

    @classmethod
    def parse(cls, text: str | None) -> "Part":
        if text is None:
            return cls()
        k, slash, n = text.partition("/")
        if not (slash and k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
            raise UsageError(f"--part takes K/N with K from 1 to N, such as 3/16, not {text!r}")
        return cls(int(k), int(n))

    @property
    def name(self) -> str:
        return "" if self.n == 1 else f"{self.k:0{len(str(self.n))}d}-of-{self.n}"

    @property
    def manifest(self) -> str:
        return f"manifest-{self.name}.parquet" if self.name else "manifest.parquet"

    def of(self, tasks: Sequence[Task]) -> list[Task]:
        first, last = self.bounds(len(tasks))
        return list(tasks[first:last])

    def bounds(self, count: int) -> tuple[int, int]:
        return (self.k - 1) * count // self.n, self.k * count // self.n

    def rows(self, tasks: Sequence[Task], usable: np.ndarray) -> slice:
        """The manifest's rows that this part answers for: its clips, and the unusable ones between them."""
        places = np.flatnonzero(usable)
        starts = [0, *np.cumsum([len(task.clips) for task in tasks]).tolist()]
        first, last = self.bounds(len(tasks))
        begin = 0 if first == 0 else int(places[starts[first]])
        end = len(usable) if last == len(tasks) else int(places[starts[last]])
        return slice(begin, end)


def refuse_strangers(tasks: Sequence[Task], recipe: Recipe, folder: Path, overwrite: bool) -> None:
    """Shards of other settings, or of other clips altogether, are not replaced unasked."""
    for feature in recipe.features:
        first = folder / feature / shards.name(0)
        if not first.exists():
            continue
        try:
            head = shards.head_of(first)
        except SertoolError:
            continue  # damaged: it is made again
        if head.settings != recipe.record(feature):
            _replace(
                folder / feature,
                overwrite,
                f"was made with other settings ({_difference(head.settings, recipe, feature)})",
            )
        elif tasks and not set(head.clips) & {clip.name for task in tasks for clip in task.clips}:
            _replace(folder / feature, overwrite, f"holds other clips ({head.clips[0]} ...)")


def _replace(folder: Path, overwrite: bool, what: str) -> None:
    if not overwrite:
        raise UsageError(f"{folder} {what}: choose another folder with -o, or replace it with --overwrite")
    shutil.rmtree(folder)


def _difference(held: object, recipe: Recipe, feature: str) -> str:
    """The first setting that differs, for people."""
    asked = recipe.record(feature)
    if not isinstance(held, dict):
        return "unknown"
    for section, now in asked.items():
        then = held.get(section)
        if isinstance(now, dict) and isinstance(then, dict):
            for name, value in now.items():
                if then.get(name) != value:
                    return f"{name} {then.get(name)}, now {value}"
        elif then != now:
            return f"{section} {then}, now {now}"
    return "unknown"


def make(tasks: Sequence[Task], recipe: Recipe, folder: Path, device: str, jobs: int) -> Iterator[Clip]:
    """Make what is missing; yields each clip as it is done."""
    for feature in recipe.features:
        if (folder / feature).is_dir():
            sweep(folder / feature)
    yield from extract.make(tasks, recipe, device, jobs)


def drop_leftovers(tasks: Sequence[Task], recipe: Recipe, folder: Path) -> None:
    """Remove shards that no clip of the manifest lies in any more."""
    for feature in recipe.features:
        wanted = {task.paths[feature].name for task in tasks}
        for path in (folder / feature).glob("*.safetensors"):
            if path.name not in wanted:
                with suppress(OSError):
                    path.unlink()


def pointed(table: Table, tasks: Sequence[Task], recipe: Recipe) -> Table:
    """The manifest with where each clip's rows lie, and with the issues that decoding found."""
    place = {name: index for index, name in enumerate(manifest.column(table, "clip"))}
    issues = manifest.column(table, "issue")
    for feature in recipe.features:
        shard = np.full(len(table), -1, np.int32)
        offset, rows = np.zeros(len(table), np.int64), np.zeros(len(table), np.int64)
        paths = []
        for task in tasks:
            head = shards.head_of(task.paths[feature])
            for clip, at, count in shards.placed(head):
                shard[place[clip]], offset[place[clip]], rows[place[clip]] = len(paths), at, count
            for clip, issue in head.issues.items():
                issues[place[clip]] = issue
            paths.append(manifest.absolute(head.path))
        table = manifest.with_feature(table, feature, (shard, offset, rows), paths)
    table = manifest.with_column(table, "issue", issues) if any(issues) else table
    records = {feature: recipe.record(feature) for feature in recipe.features}
    held = manifest.provenance(table)
    return manifest.with_provenance(table, held | {"features": held["features"] | records})


def save(table: Table, path: Path) -> bool:
    """Write the manifest unless the file holds these rows already; whether it was written."""
    if wire.holds(str(path), table):
        return False
    wire.write(table, str(path), "parquet")
    return True
