"""Write a report as one HTML page: no scripts, nothing fetched, light or dark as the reader's system is."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from sertool import __version__
from sertool.eval import intervals, svg, wording
from sertool.eval.groups import FEW_VALUES
from sertool.eval.scores import Comparison, Dimension, Figure, Group, Report, Scores
from sertool.eval.sheet import STYLE
from sertool.eval.wording import NAMES, number, percent
from sertool.system.files import listed

ON_ONE_SCALE = (
    "uar", "uar_of_folds", "plurality_uar", "votes_uar", "wa", "plurality_wa", "votes_wa", "macro_f1", "weighted_f1",
)  # fmt: skip
TILES = ("uar", "wa", "macro_f1", "ece")
OF_EMOTIONS = (
    "UAR is the mean of the recalls of the emotions that have clips; WA is the share of clips answered right.",
    "ECE is how far confidence lies from accuracy, averaged over clips.",
)
OF_RATINGS = (
    "CCC is the concordance correlation coefficient: 1 where predictions equal the truth, 0 where they do not follow "
    "it. Shifts and other scales lower it, and not Pearson's r.",
    "RMSE is the root of the mean squared error, in the scale of the ratings.",
)
HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
"""


def html(report: Report) -> str:
    single = len(report.runs) == 1
    heading = report.runs[0].name if single else f"{len(report.runs)} runs compared"
    leads = [_lead(run, "" if single else _run_name(run, place)) for place, run in enumerate(report.runs)]
    parts = [
        f"<style>{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{escape(heading)}</h1>",
        *leads,
        "</header>\n<main>",
        *(_single(report.runs[0]) if single else _several(report)),
        _reading(report),
        f"</main>\n<footer>Written by sertool {__version__}.</footer>\n</body>\n</html>\n",
    ]
    return HEAD.format(title=escape(f"{heading}: {wording.title(report.runs[0])}")) + "\n".join(parts)


def _lead(run: Scores, name: str) -> str:
    """Return what was scored, and the notes on it."""
    notes = [f'<li class="{"alarm" if note.startswith("LEAKY") else ""}">{escape(note)}</li>' for note in run.notes]
    return f'<p class="lead">{name}{escape(wording.title(run))}</p><ul class="notes">{"".join(notes)}</ul>'


def _run_name(run: Scores, place: int) -> str:
    return f'<b style="{intervals.tone_style(place)}">{escape(run.name)}</b> '


def _section(title: str, *parts: str, caption: str = "", width: str = "wide") -> str:
    note = f'<p class="caption">{escape(caption)}</p>' if caption else ""
    return f'<section class="{width}">\n<h2>{escape(title)}</h2>{note}\n{"".join(parts)}\n</section>'


# One run.


def _single(run: Scores) -> list[str]:
    figure = wording.name_of(run.main[0], run)
    parts = [_tiles(run)]
    if run.classes:
        parts += [_uar_overview(run), _emotions(run), _confusion(run)]
    if run.dimensions:
        parts += [_dimensions(run), *(_scatter(one, len(run.dimensions)) for one in run.dimensions if one.clips)]
    if run.reliability[:, 0].any():
        parts.append(_section("Confidence", svg.confidence(run), caption=_calibration(run), width="half"))
    if len(run.each_speaker) > 1:
        parts.append(_speakers(run))
    for name, groups in run.by.items():
        parts.append(_section(f"{figure} by {name}", _groups(run, groups), width=_width(groups)))
    for what, each in (("fold", run.folds), ("seed", run.seeds)):
        if each:
            values = {name: figures[run.main[0]] for name, figures in each.items()}
            parts.append(_section(f"{figure} by {what}", _chips(run, values)))
    return parts


def _tiles(run: Scores) -> str:
    shown = run.main if run.dimensions else [name for name in TILES if name in run.figures]
    return f'<div class="tiles">{"".join(_tile(run, name, run.figures[name]) for name in shown)}</div>'


def _tile(run: Scores, name: str, figure: Figure) -> str:
    deviation = f"<span>± {number(name, figure.deviation)} over seeds</span>" if figure.deviation is not None else ""
    bounds = f"<span>{number(name, figure.low)} to {number(name, figure.high)}</span>"
    value = f"<strong>{number(name, figure.value)}<small>{wording.unit(name)}</small></strong>"
    return f'<div class="tile"><h3>{escape(wording.label(run, name))}</h3>{value}{bounds}{deviation}</div>'


def _uar_overview(run: Scores) -> str:
    """Plot the UAR of the run and of people on one scale."""
    figures = {**run.figures, **run.people}
    rows = [
        intervals.PlotRow(wording.label(run, name), [intervals.bar_of(figures[name], 1 if name in run.people else 0)])
        for name in ON_ONE_SCALE
        if name in figures
    ]
    count = sum(emotion.clips > 0 for emotion in run.classes)
    caption = f"Dashed: UAR by chance, {percent(1 / count)} % with {count} emotions."
    return _section("At a glance", intervals.plot(rows, mark=1 / count), caption=caption)


def _emotions(run: Scores) -> str:
    rows = [
        intervals.PlotRow(
            row.name, [intervals.bar_of(row.recall)], [row.clips], (percent(row.precision.value), percent(row.f1.value))
        )
        for row in run.classes
    ]
    plot = intervals.plot(rows, ("recall, %", "precision", "F1"), unit=wording.units(run))
    return _section("By emotion", plot, caption="Of each emotion's clips, how many are found.")


def _main_bar(run: Scores, of: Scores | Group, tone: int = 0) -> intervals.Bar:
    """Return the bar of the first main figure, of the run itself or one of its groups."""
    return intervals.bar_of(of.figures[run.main[0]], tone, run.main[0])


def _groups(run: Scores, groups: Iterable[Group]) -> str:
    rows = [intervals.PlotRow(group.name, [_main_bar(run, group)], [group.clips]) for group in groups]
    return _main_plot(rows, run)


def _main_plot(rows: Sequence[intervals.PlotRow], *runs: Scores, heads: Sequence[str] = (), **how: float) -> str:
    """Plot bars of the runs' first main figure, on its scale."""
    unit = wording.unit(runs[0].main[0]).strip()
    heads = heads or (unit or wording.name_of(runs[0].main[0], runs[0]),)
    return intervals.plot(rows, heads, unit=wording.units(*runs), times=100 if unit else 1, **how)


def _dimensions(run: Scores) -> str:
    rows = [
        intervals.PlotRow(
            one.name,
            [intervals.bar_of(one.ccc, name="ccc")],
            [one.clips],
            (wording.with_ci(one.r, "r"), wording.with_ci(one.rmse, "rmse")),
        )
        for one in run.dimensions
    ]
    plot = _main_plot(rows, run, heads=[NAMES[name] for name in ("ccc", "r", "rmse")])
    return _section("By dimension", plot, caption="CCC is 1 where predictions equal the truth. RMSE: in its own scale.")


def _scatter(dimension: Dimension, beside: int) -> str:
    shown = dimension.pairs.shape[1]
    of = f"{shown:,} of {dimension.clips:,}, drawn at random. " if shown < dimension.clips else ""
    caption = f"{of}Dashed: predicted as it is true."
    return _section(dimension.name, svg.scatter(dimension), caption=caption, width="half" if beside > 1 else "wide")


def _width(rows: Sequence[object]) -> str:
    return "half" if len(rows) <= FEW_VALUES else "wide"


def _chips(run: Scores, values: Mapping[str, float]) -> str:
    shown = {name: number(run.main[0], value) for name, value in values.items()}
    chips = [f"<li><span>{escape(name)}</span> <b>{value}</b></li>" for name, value in shown.items()]
    return f'<ul class="chips">{"".join(chips)}</ul>'


# Matrices and drawings.


def _confusion(run: Scores) -> str:
    names = [emotion.name for emotion in run.classes]
    shares = wording.row_shares(run.confusion)
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in names)
    lines = []
    for row, name in enumerate(names):
        cells = [_cell(shares[row, k], run.confusion[row, k], (name, other)) for k, other in enumerate(names)]
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>\n')
    table = f'<table class="confusion"><thead><tr><td></td>{head}</tr></thead>\n<tbody>{"".join(lines)}</tbody></table>'
    caption = "Per cent of each true emotion (row) by predicted emotion (column)."
    return _section("Confusion", f'<div class="scroll">{table}</div>', caption=caption, width="half")


def _cell(share: float, count: float, pair: tuple[str, str]) -> str:
    empty = math.isnan(share)
    kinds = {"right": pair[0] == pair[1], "deep": share > 0.5, "none": not count}
    kind = " ".join(name for name, on in kinds.items() if on)
    title = escape(f"{pair[0]}, predicted {pair[1]}: {wording.count(count)}")
    text = "–" if empty else f"{100 * share:.0f}"
    return f'<td class="{kind}" style="--share:{0 if empty else 100 * share:.1f}%" title="{title}">{text}</td>'


def _calibration(run: Scores) -> str:
    clips, confidence, right = run.reliability.sum(0)
    figures = [
        f"{wording.label(run, name)} {number(name, run.figures[name].value)} {wording.bounds(run.figures[name], name)}"
        for name in ("ece", *wording.PLAIN)
        if name in run.figures
    ]
    return (
        f"{percent(confidence / clips)} % sure and {percent(right / clips)} % right on average; {'; '.join(figures)}. "
        "Below the dots: how many answers are how sure."
    )


def _speakers(run: Scores) -> str:
    return _section(
        "Speakers", f'<div class="pair">{svg.speakers(run)}{_groups(run, run.worst)}</div>', caption=_range(run)
    )


def _range(run: Scores) -> str:
    name, unit = run.main[0], wording.unit(run.main[0])
    values = np.array([value for _, _, value in run.each_speaker])
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return f"{wording.name_of(name, run)} of {len(values)} speakers."
    low, high, median, deviation = (
        number(name, float(value)) for value in (values.min(), values.max(), np.median(values), values.std(ddof=1))
    )
    return (
        f"{wording.name_of(name, run)} of {len(values)} speakers: {low} to {high}{unit}, median {median}{unit}, "
        f"deviation {deviation}. Dashed: all clips. The worst {len(run.worst)} by name."
    )


# Several runs.


def _several(report: Report) -> list[str]:
    runs = report.runs
    chances = [_chance(run) for run in runs]
    overall = [
        intervals.PlotRow(run.name, [_main_bar(run, run, place)._replace(mark=chances[place])], [run.clips])
        for place, run in enumerate(runs)
    ]
    counts = {round(1 / chance): chance for chance in chances if chance}
    by_chance = listed(f"{percent(chance)} % with {count} emotions" for count, chance in counts.items())
    return [
        _section(
            wording.heading(runs[0].main[0], *runs),
            _main_plot(overall, *runs),
            caption=f"Dashed: by chance, {by_chance}." if counts else "",
        ),
        *_differences(report),
        _figures(report),
        _by_part(report),
        *(_by(report, name) for name in runs[0].by),
        *(_details(run) for run in runs),
    ]


def _chance(run: Scores) -> float | None:
    """Return the UAR by chance; None for ratings."""
    emotions = sum(one.clips > 0 for one in run.classes)
    return 1 / emotions if emotions else None


def _by_part(report: Report) -> str:
    """Plot the recall of each emotion, or the CCC of each dimension, of all runs."""
    title = "Recall by emotion" if report.emotions else "CCC by dimension"
    rows = [
        intervals.PlotRow(
            name,
            [intervals.bar_of(figure, place, report.runs[0].main[0]) for place, (figure, _) in enumerate(parts)],
            [clips for _, clips in parts],
        )
        for name, parts in wording.parts(report).items()
    ]
    heads = ("%",) if report.emotions else (NAMES["ccc"],)
    return _section(title, _key(report), _main_plot(rows, *report.runs, heads=heads))


def _key(report: Report) -> str:
    items = [
        f'<li style="{intervals.tone_style(place)}">{escape(run.name)}</li>' for place, run in enumerate(report.runs)
    ]
    return f'<ul class="key">{"".join(items)}</ul>'


def _by(report: Report, name: str) -> str:
    rows = _group_rows(report, name)
    plot, run = _main_plot(rows, *report.runs), report.runs[0]
    return _section(f"{wording.name_of(run.main[0], run)} by {name}", _key(report), plot, width=_width(rows))


def _group_rows(report: Report, name: str) -> list[intervals.PlotRow]:
    """Return a row for each value that any run has; a run without the value has no bar."""
    values = dict.fromkeys(group.name for run in report.runs for group in run.by[name])
    rows = []
    for value in values:
        groups = [
            (place, group) for place, run in enumerate(report.runs) for group in run.by[name] if group.name == value
        ]
        rows.append(
            intervals.PlotRow(
                value,
                [_main_bar(report.runs[place], group, place) for place, group in groups],
                [group.clips for _, group in groups],
            )
        )
    return rows


def _differences(report: Report) -> list[str]:
    pairs = [pair for pair in report.comparisons if pair.clips]
    apart = [f"{pair.first} and {pair.second} have no clip in common." for pair in report.comparisons if not pair.clips]
    lonely = "".join(f'<p class="caption">{escape(line)}</p>' for line in apart)
    if not pairs:
        return [_section("Differences", lonely)]
    name = report.runs[0].main[0]
    shown = [pair.figures[name] for pair in pairs]
    ends = [end for one in shown for end in (one.value, one.low, one.high) if not math.isnan(end)]
    widest = max(map(abs, ends), default=0)
    reach = max(0.02, math.ceil(50 * widest) / 50)
    ps = wording.p_headers(report)
    rows = [_pair_row(pair, name, len(ps)) for pair in pairs]
    heads = ("difference" if wording.is_plain(name) else "points", *ps, *(("McNemar",) if pairs[0].mcnemar else ()))
    plot = _main_plot(rows, *report.runs, heads=heads, mark=0, reach=reach)
    points = "" if wording.is_plain(name) else ", in points"
    caption = (
        f"{wording.heading(name, *report.runs)} of one run less that of another{points}, on the clips that both "
        "have, resampled together."
    )
    if pairs[0].mcnemar:
        caption += " McNemar: clips that only the former and only the latter gets right."
    return [_section("Differences", plot, lonely, caption=caption)]


def _pair_row(pair: Comparison, name: str, ps: int) -> intervals.PlotRow:
    """Return a row with one p-value of each test, or two."""
    figure = pair.figures[name]
    cells = [*wording.p_values(figure.p, figure.p_holm, is_bound=figure.is_bound)[:ps]]
    if test := pair.mcnemar:
        of_test = wording.p_values(test["p"], test["p_holm"])[:ps]
        cells.append(f"{test['only_second']:,} : {test['only_first']:,}, p {', Holm '.join(of_test)}")
    bar = intervals.Bar(figure, wording.signed(figure, name))
    return intervals.PlotRow(f"{pair.second} less {pair.first}", [bar], [pair.clips], cells)


def _figures(report: Report) -> str:
    names = wording.names(*report.runs)
    head = "".join(f'<th scope="col">{escape(wording.heading(name, *report.runs))}</th>' for name in names)
    lines = []
    for place, run in enumerate(report.runs):
        shown = [wording.value_of(run, name) for name in names]
        cells = "".join(f"<td>{cell}</td>" for cell in shown)
        lines.append(
            f'<tr><th scope="row" class="run" style="{intervals.tone_style(place)}">{escape(run.name)}</th>{cells}</tr>'
        )
    table = f'<table class="plain"><thead><tr><td></td>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
    caption = "In per cent, except log loss and Brier score." if report.emotions else ""
    return _section("Figures", f'<div class="scroll">{table}</div>', caption=caption)


def _details(run: Scores) -> str:
    name = run.main[0]
    shown = f"{wording.name_of(name, run)} {number(name, run.figures[name].value)}{wording.unit(name)}"
    summary = f"{escape(run.name)} by itself <span>{shown}</span>"
    inside = "\n".join(_single(run))
    return f'<details><summary>{summary}</summary>\n<div class="inside">{inside}</div></details>'


# How to read it.


def _reading(report: Report) -> str:
    lines = [*wording.methods(report), *(OF_EMOTIONS if report.emotions else OF_RATINGS)]
    if any(run.people for run in report.runs):
        lines.append("People are listeners' votes on the voice alone, scored like the run; a tie counts in parts.")
    if any(run.seeds for run in report.runs):
        lines.append("Figures and counts of several seeds are averaged.")
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return _section("How to read this", f"<ul>{items}</ul>", width="wide reading")
