"""What an older manifest knows of the clips that are indexed again."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from sertool.index import doctor
from sertool.manifests import casting, columns, manifest
from sertool.manifests.columns import Row
from sertool.manifests.manifest import Table
from sertool.system import talk
from sertool.system.files import listed
from sertool.system.paths import path_of

# Columns that a reading finds anew, that follow from the other clips, or that are of copies, which are counted.
PASSING = (*columns.CLIP, *columns.FILE, *columns.SPLIT_COLUMNS, *columns.COPY)


def by_path(old: Table) -> dict[str, Row]:
    """Return an older manifest's rows by path, without augmented copies, whose columns do not describe their file."""
    return {row["path"]: row for row in old.to_pylist() if row.get("path") and not row.get("parent")}


def rows_to_keep(old: Table, folders: Sequence[Path], files: Sequence[Path]) -> list[Row]:
    """Return an older manifest's rows of some files, and under some folders, without what depends on other rows."""
    if not folders and not files:
        return []
    described = {*columns.CLIP, *columns.DESCRIBED, *columns.FILE, "parent", *_own(old)}
    names = [name for name in old.column_names if name in described or name.startswith("votes_")]
    rows = (row for row in old.select(names).to_pylist() if not row.get("parent"))
    inside, paths = tuple(os.path.join(folder, "") for folder in folders), {str(path) for path in files}
    return [
        dict.fromkeys(("corpus", "emotion")) | row | doctor.findings_of_single_clips(row)
        for row in rows
        if (path := path_of(row.get("path"))) in paths or path.startswith(inside)
    ]


def with_own_columns(table: Table, old: Table, read: Collection[str]) -> Table:
    """Add the older manifest's columns that are not ours, for the same parts of the same files.

    Columns that have been `read` anew are not taken over.
    """
    names = [name for name in _own(old) if name not in read]
    if not names:
        return table
    talk.say(f"columns kept of the older manifest: {listed(names)}")
    places = _places(table, old)
    return manifest.with_columns(table, {name: manifest.taken(old, name, places) for name in names})


def _own(old: Table) -> list[str]:
    """Return the columns that are not ours, nor of a model's answers."""
    return [name for name in casting.own_columns(old) if name not in columns.ANSWERS]


def _places(table: Table, old: Table) -> np.ndarray:
    """Return the row of the older manifest for each row, by path and start, of several by clip; -1 if there is none."""
    clips, originals = manifest.column(old, "clip"), manifest.originals(old)
    known: dict[tuple[str, float], list[int]] = defaultdict(list)
    for place, part in enumerate(parts(old)):
        if originals[place]:
            known[part].append(place)
    places = []
    for clip, part in zip(manifest.column(table, "clip"), parts(table), strict=True):
        alike = known.get(part, [])
        same = [place for place in alike if clips[place] == clip] or alike
        places.append(same[0] if len(same) == 1 else -1)
    return np.array(places, np.int64)


def parts(table: Table) -> Iterator[tuple[str, float]]:
    """Yield path and start of each row."""
    for path, start in zip(manifest.column(table, "path"), manifest.column(table, "start"), strict=True):
        yield path, start or 0.0


def warn_of_left_out(table: Table, old: Table) -> None:
    """Warn of features, copies and columns of ours that the older manifest has and the new one lacks."""
    features = columns.features(old.column_names)
    known = {*table.column_names, *PASSING, *(column for each in features for column in columns.of_feature(each))}
    names = [name for name in old.column_names if name not in known]
    names = [name for name in names if not name.startswith("soft_") and not manifest.lacking(old, name).all()]
    copies = int((~manifest.originals(old)).sum())
    lost = [*features, *names, *([talk.counted(copies, "copy")] if copies else [])]
    if lost:
        talk.warn(f"--update leaves out {listed(lost)} of the older manifest: make again what you need of it")
