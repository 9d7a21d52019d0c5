"""Examine the audio files of a manifest, alone and together, and report problems with their remedies."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from sertool.errors import SertoolError
from sertool.manifests import columns, duplicates, manifest
from sertool.manifests.columns import Row
from sertool.manifests.manifest import Table
from sertool.sound import audio
from sertool.system import talk
from sertool.system.files import listed
from sertool.system.paths import path_of, stamp

BATCH_FILES = 64  # files per task: threads that synchronise after each file wait for each other
FOUND = ("sample_rate", "channels", "samples", "digest", "size", "modified", "issue")
HEARD = ("clipped", "quiet", "dc", "over-scale", "antiphase", "stereo", "unread-end")
TOLERANCE = 0.1  # seconds that encoders may add


def examine(rows: Sequence[Row], check: str, jobs: int, old_rows: Mapping[str, Row] | None = None) -> int:
    """Examine each file of the rows once and record the result; return how many files were opened.

    `old_rows`: rows of an older manifest by path; a file of unchanged size and modification time is not opened again.
    """
    if check == "none":
        return 0
    sharing: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        row.setdefault("notes", [])
        sharing[row["path"]].append(row)
    fresh = [path for path, members in sharing.items() if not _remembered(members, (old_rows or {}).get(path), check)]
    for path, look in talk.progress(_looks(fresh, check, jobs), len(fresh), "looking", "file"):
        if look.detail:
            talk.detail(f"{path}: {look.issue}: {look.detail}")
        for row in sharing[path]:
            row.update((name, getattr(look, name)) for name in FOUND)
            row["notes"] = [*row["notes"], *look.notes]
    for row in rows:
        _measure(row)
    return len(fresh)


def _looks(paths: Sequence[str], check: str, jobs: int) -> Iterator[tuple[str, audio.AudioInfo]]:
    batches = [paths[start : start + BATCH_FILES] for start in range(0, len(paths), BATCH_FILES)]

    def look(batch: Sequence[str]) -> list[audio.AudioInfo]:
        return [audio.probe(path_of(path), full=check == "full") for path in batch]

    pool = ThreadPoolExecutor(jobs)
    try:
        for batch, looks in zip(batches, pool.map(look, batches), strict=True):
            yield from zip(batch, looks, strict=True)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # whoever interrupts has not to wait for long files


def _remembered(rows: Iterable[Row], old: Row | None, check: str) -> bool:
    """Reuse an older result if the file has not changed since and was examined as closely.

    Files set aside are examined again: featurize may have done that because of its settings.
    """
    if not old:
        return False
    sound = old.get("issue") is None or duplicates.is_duplicate_issue(old["issue"])
    was_seen = sound and old.get("digest" if check == "full" else "sample_rate")
    if not (was_seen and stamp(old["path"]) == (old.get("size"), old.get("modified"))):
        return False
    for row in rows:
        row.update({name: old.get(name) for name in FOUND} | {"issue": None})  # twins are found later
        # Notes on the name are new, notes on the sound old; those that compare clips are made later.
        row["notes"] = [*row["notes"], *(note for note in old.get("notes") or () if note in HEARD)]
    return True


def findings_of_single_clips(row: Row) -> Row:
    """Return a row's issue and notes where they do not depend on other clips."""
    issue, notes = row.get("issue"), row.get("notes") or ()
    return {
        "issue": None if duplicates.is_duplicate_issue(issue) else issue,
        "notes": [note for note in notes if note != "odd-rate"],
    }


def _measure(row: Row) -> None:
    """Set start and duration in seconds; if a table gives them, the clip is a part and must lie within the file."""
    if not row.get("sample_rate"):
        return
    start, stated = row.get("start"), row.get("duration")
    row["start"] = start or 0.0
    left = row["samples"] / row["sample_rate"] - row["start"]
    row["duration"] = max(0.0, left if stated is None or start is None else min(stated, left))
    if (left <= 0 or row["start"] < 0) and not row["issue"]:
        row["issue"] = "empty"
    elif stated is not None and (stated > left + TOLERANCE or (start is None and stated < left - TOLERANCE)):
        row["notes"].append("wrong-duration")


def mark_odd_rates(rows: Sequence[Row]) -> None:
    """Mark clips whose sample rate differs from the corpus' usual one."""
    rates: dict[str, Counter[int]] = defaultdict(Counter)
    for row in rows:
        if row.get("sample_rate"):
            rates[row["corpus"]][row["sample_rate"]] += 1
    most = {corpus: counts.most_common(1)[0] for corpus, counts in rates.items()}
    usual = {corpus: rate for corpus, (rate, count) in most.items() if count > 0.9 * rates[corpus].total()}
    for row in rows:
        if row.get("sample_rate") and usual.get(row["corpus"], row["sample_rate"]) != row["sample_rate"]:
            row["notes"].append("odd-rate")


def report(table: Table) -> None:
    """Print how many clips have each issue or note, with an example and the remedy."""
    if aside := int((~manifest.usable(table)).sum()):
        talk.say(f"set aside: {aside:,} of {len(table):,} clips, skipped by default")
    for kind, count, row in issues(table):
        other = manifest.cell(table, "issue", row).partition(":")[2]
        example = manifest.cell(table, "clip", row) + (f" = {other}" if other else "")
        why = _reason(kind, table, row) or columns.ISSUES.get(kind, "")
        talk.say(f"  {count:>6,} {kind:<14} {example}: {why}")
    rows, notes = manifest.words(table, "notes")
    for kind, count, place in _tally(notes.index, notes.values):
        example = manifest.cell(table, "clip", int(rows[place]))
        talk.say(f"  {count:>6,} noted {kind:<8} {example}: usable; {columns.NOTES.get(kind, '')}")


def report_lost(before: Table, after: Table) -> None:
    """Report the clips that have an issue after they were worked on, and had none before."""
    lost = manifest.usable(before) & ~manifest.usable(after)
    if lost.any():
        issues = [issue if new else None for issue, new in zip(manifest.column(after, "issue"), lost, strict=True)]
        summary = after.select([name for name in ("clip", "path") if name in after.column_names])
        report(manifest.with_column(summary, "issue", issues))


def strict_status(what: str, faults: Mapping[str, Mapping[str, int]], folders: int = 0) -> int | None:
    """Return the status of --strict: 1, after saying why, if rows have faults or folders lack readable audio.

    `faults` has the counts of issues by what became of the rows: `{"set aside": {"silent": 2}}`.
    """
    reasons = []
    for fate, issues in faults.items():
        kinds = listed((f"{kind} {number:,}" for kind, number in issues.items()), len(issues))
        reasons += [f"{talk.counted(sum(issues.values()), what)} {fate}: {kinds}"] if issues else []
    reasons += [f"no audio that can be read in {talk.counted(folders, 'folder')}"] if folders else []
    if reasons:
        talk.fail(f"sertool: --strict: {'; '.join(reasons)}")
    return 1 if reasons else None


def refuse_unusable(table: Table) -> None:
    """Raise SertoolError if no clip is usable, naming the commonest issue."""
    if manifest.usable(table).any():
        return
    none = f"no usable clip among {talk.counted(len(table), 'row')}"
    for kind, count, _ in issues(table)[:1]:
        raise SertoolError(f"{none} ({count:,} {kind}): {columns.ISSUES.get(kind, 'nothing to do')}")
    raise SertoolError(f"{none}: nothing to do")


def issues(table: Table) -> list[tuple[str, int, int]]:
    """Return each kind of issue with its count and first row, most frequent first."""
    coded = manifest.codes(table, "issue")
    return _tally(coded.index, [issue.partition(":")[0] for issue in coded.values])


def _reason(kind: str, table: Table, row: int) -> str:
    """Return why a file is unreadable by examining it again, as manifests hold only the kind of an issue."""
    if kind != "unreadable" or "path" not in table.column_names:
        return ""
    look = audio.probe(path_of(manifest.cell(table, "path", row)), full=False)
    return look.detail if look.issue == kind else ""


def _tally(index: np.ndarray, words: Iterable[str]) -> list[tuple[str, int, int]]:
    """Return each word with its count and first row, most frequent first; equal words count as one."""
    kinds: dict[str, int] = {}
    numbers = np.array([kinds.setdefault(word, len(kinds)) for word in words] + [-1])
    coded = numbers[index]
    tallied = [(word, int((coded == kind).sum()), int(np.argmax(coded == kind))) for word, kind in kinds.items()]
    return sorted((entry for entry in tallied if entry[1]), key=lambda entry: -entry[1])
