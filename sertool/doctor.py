"""The doctor: looks at every file, then at all of them together, and says what is wrong and what to do."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sertool import audio, columns, talk
from sertool.files import path_of

Row = dict[str, Any]
BATCH = 64  # files for a thread at a time: threads that meet after each file wait for each other
FILE_COLUMNS = ("sample_rate", "channels", "samples", "digest", "issue", "notes")


def examine(rows: Sequence[Row], check: str, jobs: int, known: dict[str, Row] | None = None) -> int:
    """Look at the files of the rows and write down what is found; how many were really looked at.

    `known`: rows of an older manifest by path; a file of the same size and age is not opened again.
    """
    fresh = []
    for row in rows:
        _stamp(row)
        old = (known or {}).get(row["path"])
        if old and _same_file(row, old, check):
            row.update({name: old[name] for name in FILE_COLUMNS if name in old} | {"notes": _merged_notes(row, old)})
        else:
            fresh.append(row)
    for row, found in talk.progress(_looks(fresh, check, jobs), len(fresh), "looking", "file"):
        row.update(sample_rate=found.sample_rate, channels=found.channels, samples=found.samples)
        row.update(digest=found.digest, issue=found.issue, notes=[*row.get("notes", ()), *found.notes])
        if found.detail:
            talk.detail(f"{row['path']}: {found.issue}: {found.detail}")
    for row in rows:
        _measure(row)
    return len(fresh)


def _looks(rows: Sequence[Row], check: str, jobs: int) -> Iterator[tuple[Row, audio.Look]]:
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]

    def look(batch: Sequence[Row]) -> list[audio.Look]:
        return [audio.look(path_of(row["path"]), check) for row in batch]

    with ThreadPoolExecutor(jobs) as pool:
        try:
            for batch, found in zip(batches, pool.map(look, batches), strict=True):
                yield from zip(batch, found, strict=True)
        finally:
            pool.shutdown(cancel_futures=True)


def _stamp(row: Row) -> None:
    """Size and age of the file, by which a later `--update` knows that it is unchanged."""
    try:
        status = os.stat(path_of(row["path"]))
        row.update(size=status.st_size, modified=status.st_mtime_ns)
    except (OSError, ValueError):
        row.update(size=None, modified=None)


def _same_file(row: Row, old: Row, check: str) -> bool:
    same = row["size"] is not None and (row["size"], row["modified"]) == (old.get("size"), old.get("modified"))
    seen = {
        "none": True,
        "header": old.get("sample_rate") or old.get("issue"),
        "full": old.get("digest") or old.get("issue"),
    }
    return same and bool(seen[check])


def _merged_notes(row: Row, old: Row) -> list[str]:
    """Notes on the name from now, notes on the sound from then; those on the company are made anew."""
    heard = ("clipped", "quiet", "dc", "stereo")
    return [*row.get("notes", ()), *(note for note in old.get("notes") or () if note in heard)]


def _measure(row: Row) -> None:
    """Duration from the file; a table that says another length is noted."""
    if not row.get("sample_rate"):
        return
    length = row["samples"] / row["sample_rate"]
    said, start = row.get("duration"), row.get("start") or 0.0
    row.setdefault("start", 0.0)
    if said is None:
        row["duration"] = length - start
    elif start + said > length + 0.05 and not row["issue"]:
        row["notes"].append("wrong-duration")
        row["duration"] = max(0.0, length - start)


def compare(rows: Sequence[Row]) -> None:
    """What only shows among many: equal sounds, under one label or several; a rate that is not the corpus' own."""
    for row in rows:
        issue = row.get("issue") or ""
        if issue == "label-conflict" or issue.startswith("duplicate-of"):
            row["issue"] = None
    _mark_equal_sounds(rows)
    _mark_odd_rates(rows)


def _mark_equal_sounds(rows: Sequence[Row]) -> None:
    by_digest: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row.get("digest") and not row.get("issue"):
            by_digest[row["digest"], row.get("start"), row.get("duration")].append(row)
    for members in by_digest.values():
        if len({row["emotion"] for row in members if row.get("emotion")}) > 1:
            for row in members:
                row["issue"] = "label-conflict"
        else:
            for row in members[1:]:
                row["issue"] = f"duplicate-of:{members[0]['clip']}"


def _mark_odd_rates(rows: Sequence[Row]) -> None:
    rates: dict[str, Counter[int]] = defaultdict(Counter)
    for row in rows:
        if row.get("sample_rate"):
            rates[row["corpus"]][row["sample_rate"]] += 1
    usual = {corpus: counter.most_common(1)[0] for corpus, counter in rates.items()}
    for row in rows:
        rate, count = usual.get(row["corpus"], (None, 0))
        if row.get("sample_rate") not in (None, rate) and count > 0.9 * rates[row["corpus"]].total():
            row["notes"].append("odd-rate")


def report(table_issues: Sequence[str | None], notes: Sequence[Sequence[str] | None], clips: Sequence[str]) -> None:
    """Say on stderr how many of each kind there are, with an example and the remedy."""
    issues: dict[str, list[int]] = defaultdict(list)
    for index, issue in enumerate(table_issues):
        if issue:
            issues[issue.partition(":")[0]].append(index)
    if issues:
        talk.say(f"set aside: {sum(map(len, issues.values())):,} of {len(clips):,} clips, skipped by default")
    for kind, members in sorted(issues.items(), key=lambda item: -len(item[1])):
        example = clips[members[0]]
        other = table_issues[members[0]].partition(":")[2] if kind == "duplicate-of" else ""
        remedy = columns.ISSUES.get(kind, "")
        talk.say(f"  {len(members):>6,} {kind:<14} {example}{' = ' + other if other else ''}: {remedy}")
    odd: dict[str, list[int]] = defaultdict(list)
    for index, words in enumerate(notes):
        for word in words or ():
            odd[word].append(index)
    for kind, members in sorted(odd.items(), key=lambda item: -len(item[1])):
        talk.say(f"  {len(members):>6,} noted {kind:<8} {clips[members[0]]}: usable; {columns.NOTES.get(kind, '')}")
