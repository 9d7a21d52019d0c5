"""Twins: clips of equal sound, of the same file or, where clips are parts of files, of the same part of it."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from sertool import manifest
from sertool.codes import Codes, hashes
from sertool.manifest import Table

Row = dict[str, Any]
TICK = 1e-3  # seconds: parts that begin and last alike to within it are the same


def mark(rows: Sequence[Row]) -> None:
    """Write into the issues which clips are equal: under several labels all are wrong, else one stays, the first of
    those of which most is known."""
    for row in rows:
        if tells_of_them(row.get("issue")):
            row["issue"] = None
    alike: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row.get("digest") and not row.get("issue"):
            alike[row["digest"], row.get("start"), row.get("duration")].append(row)
    for equal in alike.values():
        if len({row["emotion"] for row in equal if row.get("emotion")}) > 1:
            for row in equal:
                row["issue"] = "label-conflict"
            continue
        kept = max(equal, key=lambda row: (row.get("emotion") is not None) + (row.get("speaker") is not None))
        for row in equal:
            row["issue"] = None if row is kept else f"duplicate-of:{kept['clip']}"


def marked(table: Table) -> Table:
    """The same for a table, be it joined of several that knew their own clips alone; copies go with their clip."""
    sound = shared(table).index
    several = sound >= 0
    if not several.any():
        return table
    names = ("clip", "emotion", "speaker", "issue")
    columns = [manifest.column(manifest.keep(table, several), name) for name in names]
    rows = [dict(zip(("digest", *names), row, strict=True))
            for row in zip(map(str, sound[several].tolist()), *columns, strict=True)]  # fmt: skip
    mark(rows)
    issues = manifest.column(table, "issue")
    for place, row in zip(np.flatnonzero(several).tolist(), rows, strict=True):
        issues[place] = row["issue"]
    aside = {row["clip"]: row["issue"] for row in rows if row["issue"]}
    issues = [
        issue or aside.get(parent) for issue, parent in zip(issues, manifest.column(table, "parent"), strict=True)
    ]
    return manifest.with_column(table, "issue", issues)


def single(table: Table) -> np.ndarray:
    """Which clips are not set aside for having a twin, bool `[rows]`."""
    issues = manifest.codes(table, "issue")
    return np.array([*(not tells_of_them(issue) for issue in issues.values), True])[issues.index]


def tells_of_them(issue: str | None) -> bool:
    """Whether a clip is set aside for having a twin."""
    return issue is not None and (issue == "label-conflict" or issue.startswith("duplicate-of"))


def shared(table: Table) -> Codes:
    """Sounds that several clips have, by the name of the first of these; augmented copies are no clips of their own."""
    if "digest" not in table.column_names:
        return Codes(np.full(len(table), -1, np.int32), ())
    column = table.column("digest")
    known = column.is_valid().to_numpy()
    if "parent" in table.column_names:
        known &= table.column("parent").is_null().to_numpy()
    hashed = hashes(manifest.Values(column.fill_null("") if column.null_count else column))
    ordered = hashed[known]
    ordered.sort()  # no more than this is held of tables with millions of rows, in which hardly any sound is twice
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    rows = np.flatnonzero(known & np.isin(hashed, twice))
    sound = np.searchsorted(twice, hashed[rows])
    keys = np.stack([sound, _ticks(table, "start", rows), _ticks(table, "duration", rows)], axis=1)
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    again = np.bincount(group.ravel(), minlength=1)[group.ravel()] > 1
    found = np.full(len(table), -1, np.int32)
    found[rows[again]] = group.ravel()[again]
    return Codes(found, manifest.Values(table.column("clip"), rows[first]))


def _ticks(table: Table, name: str, rows: np.ndarray) -> np.ndarray:
    if name not in table.column_names:
        return np.zeros(len(rows), np.int64)
    seconds = table.column(name).take(rows).cast("float64").fill_null(0.0).to_numpy()
    return np.rint(seconds / TICK).astype(np.int64)
