"""Write a report as one HTML page: no scripts, nothing fetched, light or dark as the reader's system is."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from sertool import __version__
from sertool.eval import intervals, wording
from sertool.eval.groups import FEW_VALUES
from sertool.eval.scores import Comparison, Figure, Group, Report, Scores
from sertool.eval.sheet import STYLE
from sertool.eval.wording import NAMES, number, percent
from sertool.numeric import metrics
from sertool.system.files import listed

ON_ONE_SCALE = (
    "uar", "uar_of_folds", "plurality_uar", "votes_uar", "wa", "plurality_wa", "votes_wa", "macro_f1", "weighted_f1",
)  # fmt: skip
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
    figure = NAMES[run.main[0]]
    parts = [_tiles(run), _uar_overview(run), _emotions(run), _confusion(run)]
    if run.reliability[:, 0].any():
        parts.append(_confidence(run))
    if len(run.each_speaker) > 1:
        parts.append(_speakers(run))
    for name, groups in run.by.items():
        parts.append(_section(f"{figure} by {name}", _groups(run, groups), width=_width(groups)))
    if run.folds:
        parts.append(_section(f"{figure} by fold", _chips(run, run.folds)))
    if run.seeds:
        values = {seed: figures[run.main[0]] for seed, figures in run.seeds.items()}
        parts.append(_section(f"{figure} by seed", _chips(run, values)))
    return parts


def _tiles(run: Scores) -> str:
    shown = [name for name in ("uar", "wa", "macro_f1", "ece") if name in run.figures]
    return f'<div class="tiles">{"".join(_tile(wording.label(run, name), run.figures[name]) for name in shown)}</div>'


def _tile(name: str, figure: Figure) -> str:
    deviation = f"<span>± {percent(figure.deviation)} over seeds</span>" if figure.deviation is not None else ""
    bounds = f"<span>{percent(figure.low)} to {percent(figure.high)}</span>"
    value = f"<strong>{percent(figure.value)}<small> %</small></strong>"
    return f'<div class="tile"><h3>{name}</h3>{value}{bounds}{deviation}</div>'


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
    return intervals.plot(
        [intervals.PlotRow(group.name, [_main_bar(run, group)], [group.clips]) for group in groups],
        unit=wording.units(run),
    )


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


def _confidence(run: Scores) -> str:
    """Plot accuracy over confidence, with a dot per bin sized by its number of answers, and these numbers below."""
    clips, confidence, right = run.reliability.T
    filled = clips > 0
    points = np.stack([45 + 300 * confidence[filled] / clips[filled], 310 - 300 * right[filled] / clips[filled]], 1)
    sizes = 3 + 8 * np.sqrt(clips[filled] / clips.max())
    dots = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"><title>{wording.count(count)} answers</title></circle>'
        for (x, y), size, count in zip(points, sizes, clips[filled], strict=True)
    ]
    wide, heights = 300 / metrics.BINS, 50 * clips / clips.max()
    bars = [
        f'<rect x="{46 + wide * k:.1f}" y="{375 - tall:.1f}" width="{wide - 2:.1f}" height="{tall:.1f}"/>'
        for k, tall in enumerate(heights)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    drawing = (
        '<svg class="drawing" viewBox="0 0 355 412" role="img" aria-label="share right by confidence">'
        f'{"".join(_grid(k) for k in range(5))}<line class="even" x1="45" y1="310" x2="345" y2="10"/>'
        f'<polyline points="{path}"/>{"".join(dots)}{"".join(bars)}'
        '<text x="195" y="408" text-anchor="middle">confidence, %</text>'
        '<text x="-160" y="10" text-anchor="middle" transform="rotate(-90)">right, %</text></svg>'
    )
    return _section("Confidence", drawing, caption=_calibration(run), width="half")


def _grid(k: int) -> str:
    """Draw a horizontal and a vertical line at k quarters, with its value."""
    x, y = 45 + 75 * k, 310 - 75 * k
    return (
        f'<line class="rule" x1="{x}" y1="10" x2="{x}" y2="310"/>'
        f'<line class="rule" x1="45" y1="{y}" x2="345" y2="{y}"/>'
        f'<text x="{x}" y="390" text-anchor="middle">{25 * k}</text>'
        f'<text x="38" y="{y + 4}" text-anchor="end">{25 * k}</text>'
    )


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
    """Plot a column per speaker, the worst first, and name the worst few."""
    step = 340 / len(run.each_speaker)
    columns = [
        f'<rect class="{"low" if k < len(run.worst) else ""}" x="{step * k:.2f}" y="{130 - 125 * uar:.1f}" '
        f'width="{step * (0.82 if step > 3 else 1):.2f}" height="{125 * uar:.1f}">'
        f"<title>{escape(name)}: {percent(uar)} %, {clips:,} {wording.units(run)}</title></rect>"
        for k, (name, clips, uar) in enumerate(run.each_speaker)
        if not math.isnan(uar)
    ]
    level = 130 - 125 * run.figures["uar"].value
    drawing = (
        '<svg class="drawing flat" viewBox="0 0 340 132" role="img" aria-label="UAR of each speaker">'
        f'{"".join(columns)}<line class="even" x1="0" y1="{level:.1f}" x2="340" y2="{level:.1f}"/></svg>'
    )
    return _section("Speakers", f'<div class="pair">{drawing}{_groups(run, run.worst)}</div>', caption=_range(run))


def _range(run: Scores) -> str:
    values = np.array([uar for _, _, uar in run.each_speaker])
    values = values[~np.isnan(values)]
    return (
        f"UAR of {len(values)} speakers: {percent(values.min())} to {percent(values.max())} %, median "
        f"{percent(float(np.median(values)))} %, deviation {percent(float(values.std(ddof=1)))}. Dashed: all clips. "
        f"The worst {len(run.worst)} by name."
    )


# Several runs.


def _several(report: Report) -> list[str]:
    runs, unit = report.runs, wording.units(*report.runs)
    counts = [sum(results.clips > 0 for results in run.classes) for run in runs]
    overall = [
        intervals.PlotRow(
            run.name, [intervals.bar_of(run.figures["uar"], place)._replace(mark=1 / counts[place])], [run.clips]
        )
        for place, run in enumerate(runs)
    ]
    chances = listed(f"{percent(1 / count)} % with {count} emotions" for count in dict.fromkeys(counts))
    by_emotion = zip(report.emotions, zip(*(run.classes for run in runs), strict=True), strict=True)
    recalls = [
        intervals.PlotRow(
            emotion,
            [intervals.bar_of(row.recall, place) for place, row in enumerate(rows)],
            [row.clips for row in rows],
        )
        for emotion, rows in by_emotion
    ]
    return [
        _section(
            wording.heading("uar", *runs), intervals.plot(overall, unit=unit), caption=f"Dashed: by chance, {chances}."
        ),
        *_differences(report),
        _figures(report),
        _section("Recall by emotion", _key(report), intervals.plot(recalls, unit=unit)),
        *(_by(report, name) for name in runs[0].by),
        *(_details(run) for run in runs),
    ]


def _key(report: Report) -> str:
    items = [
        f'<li style="{intervals.tone_style(place)}">{escape(run.name)}</li>' for place, run in enumerate(report.runs)
    ]
    return f'<ul class="key">{"".join(items)}</ul>'


def _by(report: Report, name: str) -> str:
    rows = _group_rows(report, name)
    plot = intervals.plot(rows, unit=wording.units(*report.runs))
    return _section(f"{NAMES[report.runs[0].main[0]]} by {name}", _key(report), plot, width=_width(rows))


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
    shown = [pair.figures["uar"] for pair in pairs]
    ends = [end for uar in shown for end in (uar.value, uar.low, uar.high) if not math.isnan(end)]
    widest = max(map(abs, ends))
    reach = max(0.02, math.ceil(50 * widest) / 50)
    ps = wording.p_headers(report)
    rows = [_pair_row(pair, len(ps)) for pair in pairs]
    plot = intervals.plot(rows, ("points", *ps, "McNemar"), mark=0, reach=reach, unit=wording.units(*report.runs))
    caption = (
        f"{wording.heading('uar', *report.runs)} of one run less that of another, in points, on the clips that both "
        "have, resampled together. "
        "McNemar: clips that only the former and only the latter gets right."
    )
    return [_section("Differences", plot, lonely, caption=caption)]


def _pair_row(pair: Comparison, ps: int) -> intervals.PlotRow:
    """Return a row with one p-value of each test, or two."""
    uar, test = pair.figures["uar"], pair.mcnemar
    of_uar, of_test = (wording.p_values(p, holm)[:ps] for p, holm in ((uar.p, uar.p_holm), (test["p"], test["p_holm"])))
    discordant = f"{test['only_second']:,} : {test['only_first']:,}, p {', Holm '.join(of_test)}"
    bar = intervals.Bar(uar, wording.signed(uar))
    return intervals.PlotRow(f"{pair.second} less {pair.first}", [bar], [pair.clips], (*of_uar, discordant))


def _figures(report: Report) -> str:
    names = wording.names(*report.runs)
    head = "".join(f'<th scope="col">{wording.heading(name, *report.runs)}</th>' for name in names)
    lines = []
    for place, run in enumerate(report.runs):
        shown = [wording.value_of(run, name) for name in names]
        cells = "".join(f"<td>{cell}</td>" for cell in shown)
        lines.append(
            f'<tr><th scope="row" class="run" style="{intervals.tone_style(place)}">{escape(run.name)}</th>{cells}</tr>'
        )
    table = f'<table class="plain"><thead><tr><td></td>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
    caption = "In per cent, except log loss and Brier score."
    return _section("Figures", f'<div class="scroll">{table}</div>', caption=caption)


def _details(run: Scores) -> str:
    summary = f"{escape(run.name)} by itself <span>UAR {percent(run.figures['uar'].value)} %</span>"
    inside = "\n".join(_single(run))
    return f'<details><summary>{summary}</summary>\n<div class="inside">{inside}</div></details>'


# How to read it.


def _reading(report: Report) -> str:
    lines = [
        *wording.methods(report),
        "UAR is the mean of the recalls of the emotions that have clips; WA is the share of clips answered right.",
        "ECE is how far confidence lies from accuracy, averaged over clips.",
    ]
    if any(run.people for run in report.runs):
        lines.append("People are listeners' votes on the voice alone, scored like the run; a tie counts in parts.")
    if any(run.seeds for run in report.runs):
        lines.append("Figures and counts of several seeds are averaged.")
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return _section("How to read this", f"<ul>{items}</ul>", width="wide reading")
