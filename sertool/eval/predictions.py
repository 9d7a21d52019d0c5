"""Read predictions of any origin into runs: columns under our names, and only the rows that may be scored."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from sertool.divisions import own_division, protocols, splits
from sertool.errors import SertoolError, UsageError
from sertool.eval import renaming
from sertool.manifests import casting, columns, delimited, intake, manifest, manifest_io, row_filter
from sertool.manifests.delimited import Header
from sertool.manifests.manifest import Table
from sertool.system import talk
from sertool.system.files import listed

# Optional columns: one that holds something else under such a name is left out.
BESIDE = {name: kind for name, (kind, _) in columns.MEANINGS.items() if kind != "string"}
JOINED = "without the truth, `sertool index CORPUS --table FILE | sertool eval --predicted COLUMN`"
DIVIDING = ("clip", "speaker", "split", "fold", "seed", "issue")  # they say which rows are scored, and which together


@dataclass(frozen=True)
class Reading:
    """How to read predictions."""

    truth: str | None = None
    predicted: str | None = None
    speaker: str | None = None
    split: str | None = None
    where: tuple[str, ...] = ()
    mapping: dict[str, str] = field(default_factory=dict)
    by: tuple[str, ...] = ()  # columns to group clips by
    dimensions: tuple[str, ...] = ()  # the ratings to score; none: emotions, or whatever a table without them has

    def __post_init__(self) -> None:
        named = {option: vars(self)[option] for option in ("truth", "predicted", "speaker") if vars(self)[option]}
        for first, second in combinations(named, 2):
            if named[first] == named[second]:
                raise UsageError(f"--{first} and --{second} both name the column {named[first]}")
        if len(self.dimensions) > 1 and (self.truth or self.predicted):
            raise UsageError("--truth and --predicted name the columns of one dimension: give --dimensions one")

    @property
    def asked(self) -> dict[str, str | None]:
        """The table's names of columns that options name, by ours."""
        true = self.dimensions[0] if self.dimensions else "emotion"
        predicted = columns.predicted(true) if self.dimensions else "predicted"
        return {true: self.truth, predicted: self.predicted, "speaker": self.speaker}


class Coverage(NamedTuple):
    """How many rows of the scored split were scored, and why the others were not."""

    rows: int
    scored: int
    abstained: int
    untrue: int  # rows of which the truth is not known
    issues: dict[str, int]

    @property
    def share(self) -> float:
        """The share of the scorable rows that have an answer."""
        return self.scored / max(self.rows - self.untrue, 1)


class Run(NamedTuple):
    """The scored rows of a run."""

    name: str
    source: str
    table: Table
    split: str | None
    coverage: Coverage
    leaks: tuple[str, ...]
    protocol: str | None
    adapted: str | None  # how the model was adapted to the speakers; None if it was not
    dimensions: tuple[str, ...]  # the ratings that it answers; none if it answers emotions


def read(sources: Sequence[str], reading: Reading) -> list[Run]:
    """Read the runs in files and stdin."""
    read = [(source, *_table(source, reading)) for source in sources]
    dimensions = _common({manifest_io.source_name(source): found for source, _, found in read})
    tables = [(source, table) for source, table, _ in read]
    return [_run(name, source, table, dimensions, reading) for name, source, table in _by_run(tables, dimensions)]


def _common(dimensions: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the ratings that all sources have, of those of each; refuse emotions beside ratings."""
    first, *others = dimensions.values()
    common = tuple(name for name in first if all(name in found for found in others))
    held = [f"{source}: {listed(found) or 'emotions'}" for source, found in dimensions.items()]
    every = dict.fromkeys(name for found in dimensions.values() for name in found)
    if every and not common:
        raise SertoolError(f"not all predict the same, so score each by itself: {listed(held, 6)}")
    if lacking := [name for name in every if name not in common]:
        talk.warn(f"left out, as not every file predicts it: {listed(lacking)}")
    return common


# Reading tables.


def _table(source: str, reading: Reading) -> tuple[Table, tuple[str, ...]]:
    """Return a source's table under our names, and the ratings in it that are scored; none: its emotions are."""
    where = manifest_io.source_name(source)
    data = manifest_io.read_bytes(source)
    header = delimited.header_of(data)
    if data.size and manifest_io.kind_of(data) == "paths":
        _require_known_columns(header, where, reading)
    table = as_read = manifest_io.parse(data, where, header.likely_kind(), loose=BESIDE)
    names_read = table.column_names
    intake.refuse_repeated(names_read, where)
    dimensions = reading.dimensions or _predicted_ratings(table, reading)
    if dividing := [name for name in dimensions if name in DIVIDING]:
        raise SertoolError(f"{where}: {listed(dividing)} cannot be scored, as it divides the rows: rename the column")
    table = intake.with_bands_named(renaming.renamed(table, reading.asked, dimensions), where)
    for name, lack, option in _needed(dimensions):
        if name not in table.column_names:
            joined = "" if dimensions or "emotion" in table.column_names else f", or, {JOINED}"
            says = f"{where}: {lack}: no column {name}; it has {listed(names_read, 20)}; say which it is with {option}"
            raise SertoolError(says + joined)
    table = _typed(table, [name for name, *_ in _needed(dimensions)] if dimensions else [], where)
    if not len(table):
        raise SertoolError(f"{where}: no rows")
    return _chosen(table, as_read, reading, dimensions, where), dimensions


def _chosen(table: Table, as_read: Table, reading: Reading, dimensions: Sequence[str], where: str) -> Table:
    """Return the rows that --where asks for, which may call columns as the table itself did."""
    renamed = renaming.translation(as_read.column_names, reading.asked, dimensions)
    others = {name: as_read.column(name) for name in renamed if name not in table.column_names}
    chosen = row_filter.choose(manifest.with_columns(table, others), reading.where, f"{where}: ")
    return chosen.drop_columns([*others])


def _predicted_ratings(table: Table, reading: Reading) -> tuple[str, ...]:
    """Return the columns of numbers that a table has predictions of; none if it has predicted emotions."""
    table = renaming.renamed(table, reading.asked, columns.DIMENSIONS)
    if "predicted" in table.column_names:
        return ()
    names = [name for name in table.column_names if casting.holds_numbers(table.column(name))]
    return tuple(name for name in names if columns.predicted(name) in names)


def _needed(dimensions: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return the columns that are scored, each with what is lacking without it and the option that names it."""
    if not dimensions:
        return [
            ("predicted", "no predictions", "--predicted"),
            ("emotion", "no true emotions to compare with", "--truth"),
        ]
    predicted = [(columns.predicted(name), f"no predictions of {name}", "--predicted") for name in dimensions]
    return [*predicted, *((name, f"no true {name} to compare with", "--truth") for name in dimensions)]


def _typed(table: Table, rated: Sequence[str], where: str) -> Table:
    """Cast the columns of ratings to numbers, also where one is called `intensity`, and the others to our types."""
    numbers = casting.as_numbers(table.select(rated), rated, where)
    rest = intake.typed(_without_strange(table.drop_columns(rated), where), where, exact=True)
    return manifest.with_columns(rest, {name: numbers.column(name) for name in rated})


def _without_strange(table: Table, where: str) -> Table:
    """Drop optional columns that have one of our names but values it cannot have, such as an age of 25-30."""
    for name in sorted(BESIDE.keys() & {*table.column_names}):
        try:
            intake.typed(table.select([name]), where)
        except SertoolError:
            values = {"list": "lists of words", "double": "numbers", "float": "numbers"}.get(BESIDE[name])
            talk.warn(f"{where}: column {name} holds no {values or 'whole numbers'}: it is left out")
            table = table.drop_columns([name])
    return table


def _require_known_columns(header: Header, where: str, reading: Reading) -> None:
    """Refuse text that has none of our columns."""
    names = [name.strip() for name in header.names(header.likely_kind())]
    has_ratings = any(columns.predicted(name) in names for name in names)
    if not has_ratings and not renaming.translation(names, reading.asked, reading.dimensions or columns.DIMENSIONS):
        hint = f"such as emotion and predicted, or those that --truth and --predicted name, or, {JOINED}"
        raise SertoolError(
            f"{where}: no table of predictions: CSV, JSON Lines or Parquet with columns {hint}; its "
            f"first line is {header.record.decode('utf-8', 'replace').strip()[:60]!r}"
        )


def _by_run(tables_by_source: Sequence[tuple[str, Table]], dimensions: Sequence[str]) -> list[tuple[str, str, Table]]:
    """Split tables into runs by column `run`, unless that is a rating, else by file.

    They are named by the first scheme with distinct names. Return name, source and rows of each.
    """
    names: list[list[str]] = []
    runs = []
    for source, table in tables_by_source:
        path = _without_extension(source)
        stem = os.path.basename(path)
        run = manifest.codes(table.select([]) if "run" in dimensions else table, "run")
        for value in np.unique(run.index):
            name = str(run.values[value]) if value >= 0 else stem
            last = os.path.basename(os.path.normpath(name)) or name  # of a run's folder, which `train` names
            ways = (last, name, stem, f"{stem}: {name}", path, f"{path}: {name}", f"{len(names) + 1}: {name}")
            names.append([talk.clean(way) for way in ways])
            runs.append((source, manifest.keep(table, run.index == value)))
    run_names = next(way for way in zip(*names, strict=True) if len(set(way)) == len(way))
    return [(name, *run) for name, run in zip(run_names, runs, strict=True)]


def _without_extension(source: str) -> str:
    if source == "-":
        return "stdin"
    return "pipe" if manifest_io.is_stream(source) else os.path.splitext(source)[0]


# Selecting the rows to score.


def _run(name: str, source: str, table: Table, dimensions: tuple[str, ...], reading: Reading) -> Run:
    parts = _parts(table)
    split = _held_out(parts, reading.split, name)
    rows = parts[split] if split else np.ones(len(table), bool)
    protocol = own_division.protocol(table)
    coverage, scored = _scored(table, rows, dimensions, name)
    leaks = tuple(_leaks(table, parts, split, protocol))
    return Run(name, source, scored, split, coverage, leaks, protocol, _adapted(scored), dimensions)


def _parts(table: Table) -> dict[str, np.ndarray]:
    """Return the rows of each split that the table has, as masks."""
    split = manifest.codes(table, "split")
    return {word: split.index == place for place, word in sorted(enumerate(split.values), key=itemgetter(1))}


def _held_out(parts: dict[str, np.ndarray], requested: str | None, name: str) -> str | None:
    """Return the split to score: the requested one, else test, else dev; None for a table without a split."""
    if requested and requested not in parts:
        raise UsageError(f"--split {requested}: {name} has {'only ' + listed(parts) if parts else 'no split'}")
    split = requested or next((part for part in ("test", "dev") if part in parts), None)
    bare = int((~np.logical_or.reduce([*parts.values()])).sum()) if parts else 0
    if parts and split is None:
        alone = f", --where split= the {talk.counted(bare, 'row')} without a split" if bare else ""
        raise SertoolError(
            f"{name}: every row with a split is of {listed(parts)}, none of test or dev; "
            f"--split train scores what was trained on{alone}"
        )
    if others := sorted(set(parts) - set(splits.PARTS)):
        count = talk.counted(sum(int(parts[word].sum()) for word in others), "row")
        talk.warn(f"{name}: {count} of the split {listed(others)}, none of {', '.join(splits.PARTS)}: left out")
    if bare:
        talk.warn(f"{name}: {talk.counted(bare, 'row')} without a split: left out")
    return split


def _leaks(table: Table, parts: dict[str, np.ndarray], split: str | None, protocol: str | None) -> Iterator[str]:
    """Yield the reasons why the figures say nothing about new speakers, as far as the table shows them."""
    if split == "train":
        yield "these clips were trained on"
    if protocols.named(protocol).is_leaky:
        yield f"{protocol} puts clips of one speaker on both sides"
    if split and split != "train" and "train" in parts:
        speaker = manifest.codes(table, "speaker").index
        trained, scored = (speaker[parts[part] & (speaker >= 0)] for part in ("train", split))
        shared = np.intersect1d(trained, scored)
        if len(shared):
            yield f"{len(shared)} of the speakers are in train too"


def _known(table: Table, dimensions: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return of which rows something is true, and which have an answer to it, bool `[rows]` each."""
    if not dimensions:
        return ~manifest.lacking(table, "emotion"), ~manifest.lacking(table, "predicted")
    truth = ~np.isnan(manifest.ratings(table, dimensions))
    answered = ~np.isnan(manifest.ratings(table, map(columns.predicted, dimensions)))
    return truth.any(0), np.where(truth.any(0), truth & answered, answered).any(0)


def _scored(table: Table, rows: np.ndarray, dimensions: Sequence[str], name: str) -> tuple[Coverage, Table]:
    truth, answer = _known(table, dimensions)
    usable = manifest.usable(table)
    scored = rows & truth & answer & usable
    coverage = Coverage(
        rows=int(rows.sum()),
        scored=int(scored.sum()),
        abstained=int((rows & truth & usable & ~answer).sum()),
        untrue=int((rows & usable & ~truth).sum()),
        issues=_issues(table, rows),
    )
    if not coverage.scored:
        if coverage.issues and not (rows & usable).any():
            counts = listed(f"{count:,} {kind}" for kind, count in coverage.issues.items())
            raise SertoolError(f"{name}: nothing to score: every row is left out for its issue ({counts})")
        true = f"true {truth_of(dimensions)}"
        why = f"no {true}" if not (rows & truth).any() else f"no prediction or no {true}"
        raise SertoolError(f"{name}: nothing to score: {why} in any of {coverage.rows:,} rows")
    return coverage, manifest.keep(table, scored)


def truth_of(dimensions: Sequence[str]) -> str:
    """Return what the truth about a clip is called."""
    return "rating" if dimensions else "emotion"


def _issues(table: Table, rows: np.ndarray) -> dict[str, int]:
    """Count rows by kind of issue; what follows a colon in an issue names another clip."""
    counts: dict[str, int] = {}
    for issue, count in manifest.counts(manifest.keep(table, rows), "issue"):
        kind = issue.partition(":")[0]
        counts[kind] = counts.get(kind, 0) + count
    return counts


def _adapted(table: Table) -> str | None:
    """Return how the model was adapted to the speakers; transductive means by the scored clips themselves."""
    if "adapted" not in table.column_names:
        return None
    ways = [str(way) for way, _ in manifest.counts(table, "adapted")]
    if ways == ["as one voice"]:
        return "adapted to all clips as one voice (transductive)"
    return f"adapted to each speaker ({', '.join(sorted(ways))})" if ways else None
