"""Write a report in words and numbers: tables for people, as text, Markdown or LaTeX, and CSV or JSON for machines."""

import json
import math
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from sertool.eval.scores import Comparison, Difference, Figure, Report, Scores
from sertool.eval.tables import Section, sections
from sertool.eval.wording import heads, methods
from sertool.manifests import streams
from sertool.system import files, talk

IN_CSV = ("run", "against", "table", "row", "figure", "value", "low", "high", "deviation", "p", "p_holm", "clips",
          "speakers")  # fmt: skip
IN_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "≤": r"$\leq$", "|": r"\textbar{}", **{letter: f"\\{letter}" for letter in "{}$&#%_"},
})  # fmt: skip
Line = dict[str, Any]  # column to cell, for the columns that it has


def render(report: Report, kind: str, out: str | None) -> str:
    """Return the report in a format; on a terminal, wide tables are broken."""
    if kind == "table" and out in (None, "-") and talk.to_terminal():
        return text(report, shutil.get_terminal_size().columns)
    return WRITERS[kind](report)


def text(report: Report, most: float = math.inf) -> str:
    """Return the tables as text; those wider than `most` characters are split into blocks of columns."""
    lines = heads(report)
    for section in sections(report):
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


class Dialect(NamedTuple):
    """How the parts of a document are written, each as its lines."""

    title: Callable[[str], list[str]]
    items: Callable[[list[str]], list[str]]
    table: Callable[[Section], list[str]]
    prose: Callable[[str], str]


def markdown(report: Report) -> str:
    return _document(report, MARKDOWN)


def latex(report: Report) -> str:
    return _document(report, LATEX)


def _document(report: Report, dialect: Dialect) -> str:
    title = f"{len(report.runs)} runs" if len(report.runs) > 1 else report.runs[0].name
    lines = [*dialect.title(title), "", *dialect.items([line.strip() for line in heads(report)])]
    for section in sections(report):
        lines += ["", *dialect.table(section)]
    return _lined([*lines, "", *map(dialect.prose, methods(report))])


def _markdown_table(section: Section) -> list[str]:
    rule = [("---" if place < section.words else "---:") for place in range(len(section.headers))]
    cells = ([cell.replace("|", "\\|") for cell in row] for row in (section.headers, rule, *section.rows))
    return [f"## {section.title}", "", *(f"| {' | '.join(row)} |" for row in cells)]


MARKDOWN = Dialect(
    title=lambda text: [f"# {text}"],
    items=lambda texts: [f"- {text}" for text in texts],
    table=_markdown_table,
    prose=str,
)


def _latex_table(section: Section) -> list[str]:
    headers = [_latex_row(map(_latex, section.headers))]
    rows = [_latex_row([*map(_latex, row[: section.words]), *map(_latex_number, row[section.words :])])
            for row in section.rows]  # fmt: skip
    columns = "l" * section.words + "r" * (len(section.headers) - section.words)
    return [
        r"\begin{table}[htbp]", r"\centering", rf"\caption{{{_latex(section.title)}}}",
        rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *headers, r"\midrule", *rows, r"\bottomrule",
        r"\end{tabular}", r"\end{table}",
    ]  # fmt: skip


def _latex_row(cells: Iterable[str]) -> str:
    return rf"{_as_no_argument(' & '.join(cells))} \\"


def _as_no_argument(text: str) -> str:
    """Keep text that begins with a bracket or star from being read as the argument of the command before it."""
    return "{}" + text if text.startswith(("[", "*")) else text


def _latex(text: str) -> str:
    return re.sub("-(?=-)", "-{}", talk.clean(text).translate(IN_LATEX))  # two hyphens would become a dash


def _latex_number(cell: str) -> str:
    return re.sub(r"(?<![\w)])-(?=\d)", "$-$", _latex(cell))


LATEX = Dialect(
    title=lambda text: [
        r"% To be read in with \input; packages: \usepackage{booktabs} and, for pdfLaTeX, \usepackage[T1]{fontenc}.",
        rf"\section*{{{_latex(text)}}}",
    ],
    items=lambda texts: [
        r"\begin{itemize}", *(rf"\item {_as_no_argument(_latex(text))}" for text in texts), r"\end{itemize}",
    ],
    table=_latex_table,
    prose=_latex,
)  # fmt: skip


def _lined(lines: Sequence[str]) -> str:
    """Join lines, escaping characters that would move a terminal's cursor."""
    return "".join(f"{talk.clean(line)}\n" for line in lines)


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
    for dimension in run.dimensions:
        place = {"table": "dimension", "row": dimension.name, "clips": dimension.clips, "speakers": dimension.speakers}
        yield from _with_bounds(place, {"ccc": dimension.ccc, "r": dimension.r, "rmse": dimension.rmse})
    for table, groups in {**run.by, "worst speakers": run.worst}.items():
        for group in groups:
            place = {"table": table, "row": group.name, "clips": group.clips, "speakers": group.speakers}
            yield from _with_bounds(place, group.figures)
    for table, each in (("seed", run.seeds), ("fold", run.folds)):
        for row, values in each.items():
            yield from ({"table": table, "row": row, "figure": name, "value": value} for name, value in values.items())


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
    held = asdict(report, dict_factory=lambda items: {name: value for name, value in items if name != "pairs"})
    return json.dumps(streams.strict(held), ensure_ascii=False, indent=1) + "\n"


WRITERS: dict[str, Callable[[Report], str]] = {
    "table": text,
    "json": as_json,
    "csv": as_csv,
    "markdown": markdown,
    "latex": latex,
}


def write(what: str, out: str | None) -> None:
    """Write text to a file, whole or not at all, or to stdout."""
    if out in (None, "-"):
        sys.stdout.write(what)
        return
    with files.atomic_write(Path(str(out))) as stream:
        stream.write(what.encode())
