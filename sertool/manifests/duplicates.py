"""Find clips of equal sound: of the same file or of the same part of it; and overlapping parts of one recording."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from sertool.manifests import manifest
from sertool.manifests.columns import Row
from sertool.manifests.manifest import Table
from sertool.numeric.codes import Codes, hashes, look_up, mix
from sertool.system import talk

CONFLICT, SAME_AS = "label-conflict", "duplicate-of:"
TICK = 1e-3  # seconds: parts whose start and length agree within it are the same
ROUNDED = 50  # ticks by which parts may overlap, as tables round their times
LONGEST = 10**12  # ticks; the length of a part without an end


def _settle(equal: Sequence[Row]) -> None:
    """Mark clips of one sound: all if their labels differ, else all but one.

    That is the one of which emotion and speaker are known best, the first in a tie. A conflict stays if it was with
    clips that are not here: where only some of these were in it, or all, under one label.
    """
    emotions = {row["emotion"] for row in equal if row.get("emotion")}
    labels = {row.get("label") for row in equal}
    was_in_conflict = {row.get("issue") == CONFLICT for row in equal}
    is_with_others = was_in_conflict == {True} and len(labels) == 1 and None not in labels
    if len(emotions) > 1 or len(was_in_conflict) > 1 or is_with_others:
        for row in equal:
            row["issue"] = CONFLICT
        return
    best = max(equal, key=lambda row: (row.get("emotion") is not None) + (row.get("speaker") is not None))
    for row in equal:
        row["issue"] = None if row is best else f"{SAME_AS}{best['clip']}"


def marked(table: Table) -> Table:
    """Mark clips of equal sound in `issue`; copies go with their clip, and the table may be joined of several.

    Where no digest is known, equal means the same part of the same file. Of conflicts, those stay whose other clips
    were left out.
    """
    return _judged(table, _alike(table, *_sources(table), manifest.codes(table, "channel").index).index)


def forgotten(table: Table, rows: np.ndarray) -> Table:
    """Return the table without the marks of what sounds like some rows, bool `[rows]`: `marked` makes them anew."""
    sound = _alike(table, *_sources(table), manifest.codes(table, "channel").index).index
    is_alike = rows | ((sound >= 0) & np.isin(sound, sound[rows]))
    if single(table)[is_alike].all():
        return table
    issues = manifest.codes(table, "issue")
    kept = np.where(is_alike & ~single(table), -1, issues.index)
    return manifest.with_column(table, "issue", manifest.from_codes(kept, [*issues.values]))


def released(table: Table) -> Table:
    """Return the table after rows were left out: a clip set aside as a duplicate of one of them is used again.

    A conflict of labels stays, as the sound has both labels even if only one is left.
    """
    issues = manifest.codes(table, "issue")
    others = [text.removeprefix(SAME_AS) if text.startswith(SAME_AS) else None for text in issues.values]
    clips = {*manifest.column(table, "clip")} if any(others) else set()
    lost = look_up([other is not None and other not in clips for other in others], issues, False)
    if not lost.any():
        return table
    bare = manifest.from_codes(np.where(lost, -1, issues.index), [*issues.values])
    sound = np.where(lost & manifest.originals(table), issues.index, -1)
    table = _judged(manifest.with_column(table, "issue", bare), sound)
    reused = np.flatnonzero((sound >= 0) & manifest.usable(table))
    if len(reused):
        count = talk.counted(len(reused), "clip")
        verb, equals = ("is", "it equals") if len(reused) == 1 else ("are", "they equal")
        example = manifest.cell(table, "clip", int(reused[0]))
        talk.say(f"{count} {verb} used again, for what {equals} was left out, such as {example}")
    return table


def _judged(table: Table, sound: np.ndarray) -> Table:
    """Return the table with issues for equal sounds, given a number for the sound of each row or -1, `[rows]`."""
    several = sound >= 0
    if not several.any():
        return table
    names = ("clip", "emotion", "label", "speaker", "issue")
    columns = [manifest.column(manifest.keep(table, several), name) for name in names]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    alike: dict[int, list[Row]] = defaultdict(list)
    for number, row in zip(sound[several].tolist(), rows, strict=True):
        if not row["issue"] or is_duplicate_issue(row["issue"]):
            alike[number].append(row)
    for equal in alike.values():
        _settle(equal)
    issues = manifest.column(table, "issue")
    for place, row in zip(np.flatnonzero(several).tolist(), rows, strict=True):
        issues[place] = row["issue"]
    aside = {row["clip"]: row["issue"] for row in rows if row["issue"]}
    issues = [
        issue or aside.get(parent) for issue, parent in zip(issues, manifest.column(table, "parent"), strict=True)
    ]
    return manifest.with_column(table, "issue", issues)


def single(table: Table) -> np.ndarray:
    """Return which clips are not set aside for having a twin, bool `[rows]`."""
    issues = manifest.codes(table, "issue")
    return look_up([not is_duplicate_issue(issue) for issue in issues.values], issues, True)


def is_duplicate_issue(issue: str | None) -> bool:
    """Whether an issue says that a clip has a twin."""
    return issue is not None and (issue == CONFLICT or issue.startswith(SAME_AS))


def passing(table: Table) -> np.ndarray:
    """Return how readily each row's issue ends beside other clips: 2 for a twin, 1 for a conflict, else 0, `[rows]`."""
    issues = manifest.codes(table, "issue")
    return look_up([is_duplicate_issue(issue) + issue.startswith(SAME_AS) for issue in issues.values], issues, 0)


def shared(table: Table) -> Codes:
    """Group clips of equal sound, by the name of the first; copies do not count as clips."""
    return _alike(table, *_hashed(table, "digest"), np.zeros(len(table), np.int32))


def _alike(table: Table, source: np.ndarray, has_source: np.ndarray, channel: np.ndarray) -> Codes:
    rows, sound = _recurring(source, has_source, manifest.originals(table))
    parts = [sound, _ticks(table, "start", rows), _ticks(table, "duration", rows), channel[rows]]
    keys = np.stack(parts, axis=1)
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    is_repeated = np.bincount(group.ravel(), minlength=1)[group.ravel()] > 1
    group_of_row = np.full(len(table), -1, np.int32)
    group_of_row[rows[is_repeated]] = group.ravel()[is_repeated]
    return Codes(group_of_row, manifest.Values(table.column("clip"), rows[first]))


def start_ids(table: Table) -> np.ndarray:
    """Return a number for each row's recording and start, `[rows]`; -1 if the recording is unknown.

    Rows of one number share their sound, wherever they end.
    """
    source, has_source = _sources(table)
    start = _ticks(table, "start", np.arange(len(table))).astype(np.uint64)
    _, place = np.unique(mix(source + mix(start)), return_inverse=True)
    return np.where(has_source, place, -1)


def recordings(table: Table, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return those rows that share a recording with other rows, and its number; copies are left out."""
    return _recurring(*_sources(table), among & manifest.originals(table))


def overlapping(table: Table, recorded: tuple[np.ndarray, np.ndarray], equal: Codes) -> Codes:
    """Group parts of `recordings` that overlap in time, each with the next, by the name of the first.

    Groups whose parts all have the same sound, as `equal` says, are left out.
    """
    rows, recording = recorded
    length = _ticks(table, "duration", rows, missing=LONGEST)
    rows, recording, length = (values[length > ROUNDED] for values in (rows, recording, length))
    begin = _ticks(table, "start", rows)
    order = np.lexsort((begin, recording))
    rows, apart = rows[order], recording[order] * LONGEST  # on one time line, one recording after the other
    begin, length = apart + begin[order], length[order]
    reached = np.maximum.accumulate(np.minimum(begin + length, apart + LONGEST))
    new = np.append(True, begin[1:] >= reached[:-1] - ROUNDED)[: len(rows)]
    return _unlike(table, "clip", rows, new, equal)


def nameless(table: Table, recorded: tuple[np.ndarray, np.ndarray], equal: Codes) -> Codes:
    """Group parts of `recordings` that name no speaker, by file; left out as in `overlapping`."""
    rows, recording = (values[manifest.codes(table, "speaker").index[recorded[0]] < 0] for values in recorded)
    order = np.argsort(recording, kind="stable")
    rows, recording = rows[order], recording[order]
    new = np.append(True, np.diff(recording) > 0)[: len(rows)]
    return _unlike(table, "path" if "path" in table.column_names else "clip", rows, new, equal)


def _hashed(table: Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a hash of each row's value, and which rows have one."""
    if name not in table.column_names:
        return np.zeros(len(table), np.uint64), np.zeros(len(table), bool)
    column = table.column(name)
    return hashes(manifest.Values(column.fill_null("") if column.null_count else column)), column.is_valid().to_numpy()


def _sources(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Return a number for each row's recording, by its digest, else by its file, and which rows have one."""
    sound, has_digest = _hashed(table, "digest")
    if has_digest.all():
        return sound, has_digest
    file, has_file = _hashed(table, "path")
    rows = np.flatnonzero(has_digest & has_file)
    files, first = np.unique(file[rows], return_index=True)
    place = np.minimum(np.searchsorted(files, file), max(len(files) - 1, 0))
    is_known_file = has_file & ~has_digest & (files[place] == file if len(files) else False)
    number = np.where(has_digest, sound, file)
    number[is_known_file] = sound[rows[first[place[is_known_file]]]]
    return number, has_digest | has_file


def _recurring(keys: np.ndarray, has_key: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows whose key occurs repeatedly, and a number for each key."""
    has_key = has_key & among
    ordered = keys[has_key]
    ordered.sort()  # sorted in place to save memory: in a table of millions of rows hardly any sound repeats
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    rows = np.flatnonzero(has_key & np.isin(keys, twice))
    return rows, np.searchsorted(twice, keys[rows])


def _unlike(table: Table, name: str, rows: np.ndarray, new: np.ndarray, equal: Codes) -> Codes:
    """Return groups of several rows that are not all one sound; `new` marks a group's first row, which names it."""
    group_of_row = np.full(len(table), -1, np.int32)
    if not len(rows):
        return Codes(group_of_row, ())
    first, group, sound = np.flatnonzero(new), np.cumsum(new, dtype=np.int32) - 1, equal.index[rows]
    lowest, highest = np.minimum.reduceat(sound, first), np.maximum.reduceat(sound, first)
    is_unlike = (np.bincount(group) > 1) & ((lowest != highest) | (lowest < 0))
    group_of_row[rows[is_unlike[group]]] = group[is_unlike[group]]
    return Codes(group_of_row, manifest.Values(table.column(name), rows[first]))


def _ticks(table: Table, name: str, rows: np.ndarray, missing: int = 0) -> np.ndarray:
    if name not in table.column_names:
        return np.full(len(rows), missing, np.int64)
    seconds = table.column(name).take(rows).cast("float64").fill_null(np.nan).to_numpy()
    ticks = np.nan_to_num(np.rint(seconds / TICK), nan=missing, posinf=LONGEST)
    return np.clip(ticks, 0, LONGEST).astype(np.int64)
