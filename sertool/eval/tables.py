"""Lay out what a report says as tables of text, for people to read in whatever format."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from sertool.eval import wording
from sertool.eval.scores import Comparison, Figure, Group, Report, Scores
from sertool.eval.wording import (
    NAMES,
    bounds,
    count,
    heading,
    label,
    main,
    number,
    p_headers,
    p_values,
    percent,
    row_shares,
    signed,
    units,
    value_of,
    with_ci,
    with_cis,
)

BRIEF = {"wa": "WA"}  # names of figures in the head of a column


class Section(NamedTuple):
    """A table of the report; the first `words` columns hold names, the others numbers."""

    title: str
    headers: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    words: int = 1


def sections(report: Report) -> list[Section]:
    sections = list(_of_one(report.runs[0]) if len(report.runs) == 1 else _of_several(report))
    return sections + [_by(report, name) for name in report.runs[0].by]


def _of_one(run: Scores) -> Iterator[Section]:
    yield _figures(run)
    if run.classes:
        yield _emotions(run)
        yield from _confusions(run)
    yield from _dimensions([run])
    if run.seeds:
        names = wording.names(run)
        rows = [(seed, *(number(name, values[name]) for name in names)) for seed, values in run.seeds.items()]
        yield Section("By seed", ("seed", *(heading(name, run) for name in names)), rows)
    if run.folds:
        yield _folds(run)
    yield from _worst([run])


def _folds(run: Scores) -> Section:
    """The figures of each fold, and their mean and standard deviation, as publications give them."""
    names = next(iter(run.folds.values()))
    values = {name: np.array([figures[name] for figures in run.folds.values()]) for name in names}
    rows = [(fold, *(number(name, value) for name, value in figures.items())) for fold, figures in run.folds.items()]
    rows.append(("mean", *(number(name, each.mean()) for name, each in values.items())))
    rows.append(("sd", *(number(name, each.std(ddof=1)) for name, each in values.items())))
    return Section("By fold", ("fold", *(wording.name_of(name, run) for name in names)), rows)


def _figures(run: Scores) -> Section:
    rows = [
        (label(run, name), number(name, figure.value), bounds(figure, name), _deviation(name, figure))
        for name, figure in {**run.figures, **run.people}.items()
    ]
    headers = ("", "%" if run.classes else "value", "95 % interval", "sd of seeds")
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
    return (group.name, f"{group.clips:,}", f"{group.speakers or '-'}", *with_cis(group.figures))


def _brief(run: Scores) -> tuple[str, ...]:
    """Return the headers of a run's main figures."""
    return tuple(BRIEF.get(name) or wording.name_of(name, run) for name in run.main)


def _of_several(report: Report) -> Iterator[Section]:
    runs, pairs = report.runs, report.comparisons
    heads = (heading(runs[0].main[0], *runs), *_brief(runs[0])[1:])
    names = wording.names(*runs)
    overall = [(run.name, f"{run.clips:,}", *with_cis(main(run))) for run in runs]
    yield Section("Runs", ("run", units(*runs), *heads), overall)
    figures = [(run.name, *(value_of(run, name) for name in names)) for run in runs]
    yield Section("Figures", ("run", *(heading(name, *runs) for name in names)), figures)
    ps = p_headers(report)
    title = f"Differences: the second run less the first, on the {units(*runs)} that both have"
    headers = ("first", "second", units(*runs), *(column for head in heads for column in (head, *ps)))
    yield Section(title, headers, [_difference(pair, runs[0].main, len(ps)) for pair in pairs], 2)
    title = f"McNemar: {units(*runs)} that only one of them gets right"
    headers = ("first", "second", "only first", "only second", "test", *ps)
    if rows := [_mcnemar(pair, len(ps)) for pair in pairs if pair.mcnemar]:
        yield Section(title, headers, rows, 2)
    yield from _dimensions(runs)
    recalls = [
        (emotion, *(with_ci(run.classes[k].recall) for run in runs)) for k, emotion in enumerate(report.emotions)
    ]
    if recalls:
        yield Section("Recall", ("emotion", *(run.name for run in runs)), recalls)
    yield from _people(runs)
    yield from _worst(runs)


def _difference(pair: Comparison, main: Sequence[str], ps: int) -> tuple[str, ...]:
    """Return a row with one p-value of each main figure, or two."""
    if not pair.clips:
        return (pair.first, pair.second, "none", *[""] * (len(main) * (1 + ps)))
    figures = [(pair.figures[name], name) for name in main]
    cells = [
        cell
        for one, name in figures
        for cell in (signed(one, name), *p_values(one.p, one.p_holm, is_bound=one.is_bound)[:ps])
    ]
    return (pair.first, pair.second, f"{pair.clips:,}", *cells)


def _mcnemar(pair: Comparison, ps: int) -> tuple[str, ...]:
    test = pair.mcnemar
    how = f"{test['method']}, first seeds" if test["seeds"] else test["method"]
    counts = (f"{test['only_first']:,}", f"{test['only_second']:,}")
    return (pair.first, pair.second, *counts, how, *p_values(test["p"], test["p_holm"])[:ps])


def _dimensions(runs: Sequence[Scores]) -> Iterator[Section]:
    rows = [
        (run.name, one.name, f"{one.clips:,}", *with_cis({"ccc": one.ccc, "r": one.r, "rmse": one.rmse}))
        for run in runs
        for one in run.dimensions
    ]
    if rows:
        headers = ("dimension", units(*runs), *(NAMES[name] for name in ("ccc", "r", "rmse")))
        yield _of_runs(runs, "By dimension", headers, rows)


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
    rows = [(run.name, group.name, f"{group.clips:,}", *with_cis(group.figures)) for run in runs for group in run.worst]
    if rows:
        yield _of_runs(runs, "Worst speakers", ("speaker", units(*runs), *_brief(runs[0])), rows)


def _by(report: Report, name: str) -> Section:
    rows = [(run.name, *_group(group)) for run in report.runs for group in run.by[name]]
    headers = (name, units(*report.runs), "speakers", *_brief(report.runs[0]))
    return _of_runs(report.runs, f"By {name}", headers, rows)


def _of_runs(runs: Sequence[Scores], title: str, headers: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Section:
    """Return a section of rows that begin with a run's name, which is dropped if there is only one run."""
    if len(runs) > 1:
        return Section(title, ("run", *headers), rows, 2)
    return Section(title, headers, [row[1:] for row in rows])
