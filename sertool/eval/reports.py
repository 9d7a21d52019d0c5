"""Write a report in words and numbers: tables for people, as text or Markdown, and CSV or JSON for machines."""

import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from sertool.eval.scores import Comparison, Difference, Figure, Group, Report, Scores
from sertool.eval.wording import (
    HOLM,
    NAMES,
    bounds,
    count,
    has_holm,
    heading,
    label,
    methods,
    number,
    p_values,
    percent,
    row_shares,
    signed,
    title,
    units,
    value_of,
    with_ci,
)
from sertool.manifests import streams
from sertool.system import files, talk

IN_CSV = ("run", "against", "table", "row", "figure", "value", "low", "high", "deviation", "p", "p_holm", "clips",
          "speakers")  # fmt: skip
Line = dict[str, Any]  # column to cell, for the columns that it has


class Section(NamedTuple):
    """A table of the report; the first `words` columns hold names, the others numbers."""

    title: str
    headers: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    words: int = 1


# Tables for people.


def _sections(report: Report) -> list[Section]:
    sections = list(_of_one(report.runs[0]) if len(report.runs) == 1 else _of_several(report))
    return sections + [_by(report, name) for name in report.runs[0].by]


def _of_one(run: Scores) -> Iterator[Section]:
    yield _figures(run)
    yield _emotions(run)
    yield from _confusions(run)
    if run.seeds:
        names = [name for name in NAMES if name in run.figures]
        rows = [(seed, *(number(name, values[name]) for name in names)) for seed, values in run.seeds.items()]
        yield Section("By seed", ("seed", *(heading(name, run) for name in names)), rows)
    if run.folds:
        yield Section("By fold", ("fold", "UAR"), [(fold, percent(uar)) for fold, uar in run.folds.items()])
    yield from _worst([run])


def _figures(run: Scores) -> Section:
    rows = [
        (label(run, name), number(name, figure.value), bounds(figure, name), _deviation(name, figure))
        for name, figure in {**run.figures, **run.people}.items()
    ]
    headers = ("", "%", "95 % interval", "sd of seeds")
    return Section("Figures", headers, rows) if run.seeds else Section("Figures", headers[:3], [r[:3] for r in rows])


def _deviation(name: str, figure: Figure) -> str:
    return "" if figure.deviation is None else number(name, figure.deviation)


def _emotions(run: Scores) -> Section:
    rows = [
        (
            c.name,
            f"{c.clips:,}",
            count(c.answered),
            with_ci(c.recall),
            percent(c.precision.value),
            percent(c.f1.value),
        )
        for c in run.classes
    ]
    return Section("By emotion", ("emotion", units(run), "answers", "recall", "precision", "F1"), rows)


def _confusions(run: Scores) -> Iterator[Section]:
    names = tuple(emotion.name for emotion in run.classes)
    seeds = f", mean of {len(run.seeds)} seeds" if run.seeds else ""
    shares = row_shares(run.confusion)
    for unit, cells, written in ((f"% of its {units(run)}", shares, percent), ("answers", run.confusion, count)):
        rows = [(name, *map(written, row)) for name, row in zip(names, cells, strict=True)]
        title = f"Confusion: for each true emotion (row), {unit} by predicted emotion{seeds}"
        yield Section(title, ("", *names), rows)


def _group(group: Group) -> tuple[str, ...]:
    return (
        group.name,
        f"{group.clips:,}",
        f"{group.speakers or '-'}",
        with_ci(group.uar),
        with_ci(group.wa),
    )


def _of_several(report: Report) -> Iterator[Section]:
    runs, pairs = report.runs, report.comparisons
    uar = heading("uar", *runs)
    names = [name for name in NAMES if any(name in run.figures for run in runs)]
    overall = [(run.name, f"{run.clips:,}", with_ci(run.figures["uar"]), with_ci(run.figures["wa"])) for run in runs]
    yield Section("Runs", ("run", units(*runs), uar, "WA"), overall)
    figures = [(run.name, *(value_of(run, name) for name in names)) for run in runs]
    yield Section("Figures", ("run", *(heading(name, *runs) for name in names)), figures)
    ps = ("p", HOLM) if has_holm(report) else ("p",)
    title = f"Differences: the second run less the first, on the {units(*runs)} that both have"
    headers = ("first", "second", units(*runs), uar, *ps, "WA", *ps)
    yield Section(title, headers, [_difference(pair, len(ps)) for pair in pairs], 2)
    title = f"McNemar: {units(*runs)} that only one of them gets right"
    headers = ("first", "second", "only first", "only second", "test", *ps)
    yield Section(title, headers, [_mcnemar(pair, len(ps)) for pair in pairs if pair.clips], 2)
    recalls = [
        (emotion, *(with_ci(run.classes[k].recall) for run in runs)) for k, emotion in enumerate(report.emotions)
    ]
    yield Section("Recall", ("emotion", *(run.name for run in runs)), recalls)
    yield from _people(runs)
    yield from _worst(runs)


def _difference(pair: Comparison, ps: int) -> tuple[str, ...]:
    """Return a row with one p-value of each figure, or two."""
    if not pair.clips:
        return (pair.first, pair.second, "none", *[""] * (2 + 2 * ps))
    figures = [pair.figures[name] for name in ("uar", "wa")]
    cells = [cell for one in figures for cell in (signed(one), *p_values(one.p, one.p_holm)[:ps])]
    return (pair.first, pair.second, f"{pair.clips:,}", *cells)


def _mcnemar(pair: Comparison, ps: int) -> tuple[str, ...]:
    test = pair.mcnemar
    how = f"{test['method']}, first seeds" if test["seeds"] else test["method"]
    counts = (f"{test['only_first']:,}", f"{test['only_second']:,}")
    return (pair.first, pair.second, *counts, how, *p_values(test["p"], test["p_holm"])[:ps])


def _people(runs: Sequence[Scores]) -> Iterator[Section]:
    """Yield a section on the accuracy of listeners for each run whose clips have their votes."""
    names = [name for name in NAMES if any(name in run.people for run in runs)]
    rows = [
        (run.name, f"{run.people_clips:,}", *(with_ci(run.people[name]) for name in names))
        for run in runs
        if run.people
    ]
    if rows:
        headers = ("of the run", units(*runs), *(NAMES[name].removeprefix("people, ") for name in names))
        yield Section("People", headers, rows)


def _worst(runs: Sequence[Scores]) -> Iterator[Section]:
    rows = [
        (run.name, group.name, f"{group.clips:,}", with_ci(group.uar), with_ci(group.wa))
        for run in runs
        for group in run.worst
    ]
    if rows:
        yield _of_runs(runs, "Worst speakers", ("speaker", units(*runs), "UAR", "WA"), rows)


def _by(report: Report, name: str) -> Section:
    rows = [(run.name, *_group(group)) for run in report.runs for group in run.by[name]]
    return _of_runs(report.runs, f"By {name}", (name, units(*report.runs), "speakers", "UAR", "WA"), rows)


def _of_runs(runs: Sequence[Scores], title: str, headers: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Section:
    """Return a section of rows that begin with a run's name, which is dropped if there is only one run."""
    if len(runs) > 1:
        return Section(title, ("run", *headers), rows, 2)
    return Section(title, headers, [row[1:] for row in rows])


# Writers.


def render(report: Report, kind: str, out: str | None) -> str:
    """Return the report in a format; on a terminal, wide tables are broken."""
    if kind == "table" and out in (None, "-") and talk.to_terminal():
        return text(report, shutil.get_terminal_size().columns)
    return WRITERS[kind](report)


def text(report: Report, most: float = math.inf) -> str:
    """Return the tables as text; those wider than `most` characters are split into blocks of columns."""
    lines = _heads(report)
    for section in _sections(report):
        lines += ["", section.title]
        table = list(zip(section.headers, *section.rows, strict=True))  # a list of columns
        widths = [max(map(len, column)) for column in table]
        for index, block in enumerate(_blocks(widths, section.words, most)):
            rows = zip(*(table[place] for place in block), strict=True)
            lines += [""] * (index > 0)
            lines += [_aligned(row, [widths[place] for place in block], section.words) for row in rows]
    return _lined([*lines, "", *methods(report)])


def _blocks(widths: Sequence[int], words: int, most: float) -> list[list[int]]:
    """Group columns into blocks that fit the width; each has the first column. Tables of pairs of runs stay whole."""
    blocks = [[0]]
    for place in range(1, len(widths)):
        width = sum(widths[column] + 2 for column in blocks[-1])
        if words == 1 and len(blocks[-1]) > 1 and width + widths[place] > most:
            blocks.append([0])
        blocks[-1].append(place)
    return blocks


def _aligned(row: Sequence[str], widths: Sequence[int], words: int) -> str:
    cells = [
        cell.ljust(width) if place < words else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def markdown(report: Report) -> str:
    lines = [f"# {len(report.runs)} runs" if len(report.runs) > 1 else f"# {report.runs[0].name}", ""]
    lines += [f"- {line.strip()}" for line in _heads(report)]
    for section in _sections(report):
        rule = [("---" if place < section.words else "---:") for place in range(len(section.headers))]
        rows = ["| " + " | ".join(_escaped(row)) + " |" for row in (section.headers, rule, *section.rows)]
        lines += ["", f"## {section.title}", "", *rows]
    return _lined([*lines, "", *methods(report)])


def _lined(lines: Sequence[str]) -> str:
    """Join lines, escaping characters that would move a terminal's cursor."""
    return "".join(f"{talk.clean(line)}\n" for line in lines)


def _escaped(row: Sequence[str]) -> list[str]:
    return [cell.replace("|", "\\|") for cell in row]


def _heads(report: Report) -> list[str]:
    """Return what was scored in each run, and the notes on it."""
    return [line for run in report.runs for line in (f"{run.name}: {title(run)}", *(f"  {note}" for note in run.notes))]


def as_csv(report: Report) -> str:
    """Return all figures as CSV, one per line, whichever table they are in."""
    cells = ([_plain(line.get(name)) for name in IN_CSV] for line in _lines(report))
    return "".join(streams.line(row, ",") for row in (IN_CSV, *cells))


def _plain(cell: Any) -> Any:
    return "" if cell is None or (isinstance(cell, float) and math.isnan(cell)) else cell


def _lines(report: Report) -> Iterator[Line]:
    for run in report.runs:
        with_ci = {"run": run.name, "clips": run.clips, "speakers": run.speakers}
        yield from (with_ci | line for line in (*_lines_of(run), *_counts(run)))
    for pair in report.comparisons:
        both = {"run": pair.second, "against": pair.first, "clips": pair.clips, "speakers": pair.speakers}
        yield from (both | line for line in _lines_of_pair(pair))


def _lines_of(run: Scores) -> Iterator[Line]:
    for name, item in run.figures.items():
        yield from _with_bounds({"table": "figures", "clips": run.rows_with.get(name, run.clips)}, {name: item})
    yield from _with_bounds({"table": "people", "clips": run.people_clips}, run.people)
    for emotion in run.classes:
        figures = {"precision": emotion.precision, "recall": emotion.recall, "f1": emotion.f1}
        place = {"table": "emotion", "row": emotion.name, "clips": emotion.clips, "speakers": emotion.speakers}
        yield from _with_bounds(place, figures)
    for table, groups in {**run.by, "worst speakers": run.worst}.items():
        for group in groups:
            place = {"table": table, "row": group.name, "clips": group.clips, "speakers": group.speakers}
            yield from _with_bounds(place, {"uar": group.uar, "wa": group.wa})
    for seed, values in run.seeds.items():
        yield from ({"table": "seed", "row": seed, "figure": name, "value": value} for name, value in values.items())
    yield from ({"table": "fold", "row": fold, "figure": "uar", "value": uar} for fold, uar in run.folds.items())


def _with_bounds(place: Line, figures: Mapping[str, Figure | Difference]) -> Iterator[Line]:
    return (place | {"figure": name} | vars(figure) for name, figure in figures.items())


def _counts(run: Scores) -> Iterator[Line]:
    for truth, row in zip(run.classes, run.confusion, strict=True):
        for answer, answers in zip(run.classes, row.tolist(), strict=True):
            yield {"table": "confusion", "row": truth.name, "figure": answer.name, "value": answers}


def _lines_of_pair(pair: Comparison) -> Iterator[Line]:
    yield from _with_bounds({"table": "difference"}, pair.figures)
    if test := pair.mcnemar:
        place = {"table": "mcnemar", "row": test["method"], "p": test["p"], "p_holm": test["p_holm"]}
        yield place | {"figure": "only_first", "value": test["only_first"]}
        yield place | {"figure": "only_second", "value": test["only_second"]}


def as_json(report: Report) -> str:
    return json.dumps(streams.strict(asdict(report)), ensure_ascii=False, indent=1) + "\n"


WRITERS: dict[str, Callable[[Report], str]] = {"table": text, "json": as_json, "csv": as_csv, "markdown": markdown}


def write(what: str, out: str | None) -> None:
    """Write text to a file, whole or not at all, or to stdout."""
    if out in (None, "-"):
        sys.stdout.write(what)
        return
    with files.atomic_write(Path(str(out))) as stream:
        stream.write(what.encode())
