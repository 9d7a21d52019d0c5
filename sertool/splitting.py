"""Splits and the leak guard on a manifest: its columns in, `split` or `fold` out, findings in words."""

from typing import Any

import numpy as np

from sertool import manifest, splits, talk
from sertool.codes import Codes
from sertool.errors import UsageError
from sertool.files import listed
from sertool.manifest import Table

WEIGHED = ("clip", "speaker", "sentence", "emotion", "parent", "corpus")
GUARDED = ("speaker", "sentence", "digest", "clip", "parent")
Asked = str | int | None


def asked(split: str | None, folds: int | None, protocol: str | None) -> Asked:
    """The one way to divide that the options name, checked before any file is looked at."""
    given = [value for value in (split, folds, protocol) if value is not None]
    if len(given) > 1:
        raise UsageError("--split, --folds and --protocol exclude each other: give one")
    if given and isinstance(given[0], str):
        splits.parse(given[0])
    return given[0] if given else None


def divided(table: Table, how: Asked, seed: int, old: Table | None = None) -> Table:
    """The table with `split` or `fold` as asked; speakers of an older manifest keep their side."""
    keep = _kept(old)
    if how is None:
        return _as_before(table, old) if keep else table
    rows = manifest.usable(table)
    held = manifest.keep(table, rows)
    columns = {name: manifest.codes(held, name) for name in WEIGHED if name in held.column_names}
    made = splits.folds(how, columns, seed, keep) if isinstance(how, int) else splits.divide(how, columns, seed, keep)
    _say(made, how)
    return _placed(table, made, rows)


def _placed(table: Table, made: splits.Division, rows: np.ndarray) -> Table:
    name, values = ("split", made.split) if made.fold is None else ("fold", made.fold)
    place = np.full(len(rows), -1, values.dtype)
    place[rows] = values
    other = {"split": "fold", "fold": "split"}[name]
    table = table.drop_columns([other]) if other in table.column_names else table
    if name == "split":
        return manifest.with_column(table, name, manifest.from_codes(place, splits.PARTS))
    return manifest.with_column(table, name, manifest.whole_numbers(place))


def _kept(old: Table | None) -> dict[str, dict[str, str]]:
    """On which side the groups of an older manifest stand."""
    parts = parts_of(old) if old is not None else None
    if old is None or parts is None:
        return {}
    return {name: splits.known(manifest.codes(old, name), parts) for name in ("speaker",)}


def _as_before(table: Table, old: Table | None) -> Table:
    """Each speaker where the older manifest has it; speakers who are new have no side yet."""
    speakers = manifest.codes(table, "speaker")
    names = [speakers.values[i] for i in range(len(speakers.values))]
    for column in ("split", "fold"):
        if old is None or column not in old.column_names:
            continue
        place = splits.known(manifest.codes(old, "speaker"), manifest.codes(old, column))
        values = [place.get(name) for name in names] + [None]
        made = [values[index] for index in speakers.index]
        table = manifest.with_column(table, column, made if column == "split" else [m and int(m) for m in made])
        fresh = [name for name in names if name not in place]
        if fresh:
            talk.warn(f"new speakers without a {column}: {listed(fresh, 5)}; name the --split again to place them")
    return table


def parts_of(table: Table) -> Codes | None:
    """The split, else the folds, of a manifest."""
    for name in ("split", "fold"):
        if name in table.column_names:
            return manifest.codes(table, name)
    return None


def _say(made: splits.Division, how: Asked) -> None:
    entry: dict[str, Any] = splits.PROTOCOLS.get(str(how).partition(":")[0], {})
    if entry.get("leaky"):
        talk.warn(f"{how} puts clips of one speaker on both sides: its figures say nothing about new speakers")
    if made.absent:
        talk.say(f"{how}: {len(made.absent)} of its speakers are not here: {listed(made.absent, 5)}")
    if made.bridging:
        talk.say(f"{how}: {made.bridging:,} clips left out whose speaker and sentence went to different parts")
    if made.outside:
        talk.say(f"{how}: {made.outside:,} clips are outside of it and have no part")


def report(table: Table, *, strict_sentences: bool) -> int:
    """Say what crosses; the exit code: 1 if anything leaks."""
    parts = parts_of(table)
    if parts is None:
        raise UsageError("--audit: the manifest has neither a split nor folds; make one with --split or --folds")
    groups = {name: manifest.codes(table, name) for name in GUARDED if name in table.column_names}
    findings = splits.audit(parts, groups, strict_sentences)
    leaks = [finding for finding in findings if finding.leak]
    for finding in findings:
        talk.out(f"{'LEAK' if finding.leak else 'shared'}  {finding}")
    absent = [name for name in ("speaker", "sentence", "digest") if name not in groups]
    if absent:
        talk.out(f"not checked: the manifest has no {' and no '.join(absent)}")
    placed = int((parts.index >= 0).sum())
    verdict = f"leaks of {', '.join(finding.kind for finding in leaks)}" if leaks else "no leak"
    talk.out(f"{verdict} between {len(parts.values)} parts of {placed:,} clips")
    return 1 if leaks else 0
