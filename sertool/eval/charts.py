"""Draw a report's pictures, one per file: confusion, recall, calibration, speakers, and differences of runs."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from sertool.drawings.pictures import INK, RULE, SOFT, TONES, pyplot, save
from sertool.eval import wording
from sertool.eval.scores import Dimension, Report, Scores
from sertool.eval.wording import percent
from sertool.system.paths import plain_names

LINE = 0.165  # inches per line of a title; two lines have room in every picture
LONGEST = 20  # letters of a name: longer ones leave no room for the picture
WITH_NUMBERS = 25  # emotions; with more, a confusion matrix is no larger, and its cells have colours alone
NAMED = 50  # emotions that have room for their names on an axis of the largest


def draw(report: Report, folder: str, suffix: str = ".png") -> list[str]:
    """Draw all pictures that the report has data for into a folder; return the names of the files."""
    drawn: dict[str, Callable[[], Any]] = {}
    for run, name in zip(report.runs, plain_names(run.name for run in report.runs), strict=True):
        mark = f"-{name}" if len(report.runs) > 1 else ""
        drawn |= {f"{what}{mark}": partial(picture, run) for what, picture in _pictures(run).items()}
    drawn["recall" if report.emotions else "ccc"] = partial(_parts, report)
    if any(pair.clips for pair in report.comparisons):
        drawn["comparison"] = partial(_comparison, report)
    for name, figure in drawn.items():
        save(figure(), Path(folder) / f"{name}{suffix}")
    return [f"{name}{suffix}" for name in drawn]


def _pictures(run: Scores) -> dict[str, Callable[[Scores], Any]]:
    pictures: dict[str, Callable[[Scores], Any]] = {"confusion": _confusion} if run.classes else {}
    names = plain_names(one.name for one in run.dimensions)
    for name, dimension in zip(names, run.dimensions, strict=True):
        if dimension.clips:
            pictures[f"scatter-{name}"] = partial(_scatter, dimension=dimension)
    if run.reliability[:, 0].any():
        pictures |= {"reliability": _reliability, "curves": _curves}
    if len(run.each_speaker) > 1:
        pictures["speakers"] = _speakers
    return pictures


def _short(name: str) -> str:
    """Shorten a long name by leaving out its middle."""
    half = LONGEST // 2
    return name if len(name) <= LONGEST else f"{name[:half]}…{name[-half:]}"


def _axes(run: Scores, what: str, size: tuple[float, float]) -> tuple[Any, Any]:
    figure, axes = pyplot().subplots(figsize=size, layout="constrained")
    _add_title(figure, f"{_short(run.name)}: {what}", wording.title(run), *_leak_warnings(run))
    return figure, axes


def _leak_warnings(run: Scores) -> list[str]:
    """Return warnings that the figures are worthless for other speakers; pictures may travel without their report."""
    return [f"LEAKY: {leak}" for leak in run.leaks]


def _add_title(figure: Any, *lines: str) -> None:
    """Add a title over the whole width, in as many lines as it needs, and make the picture taller for them."""
    title = figure.suptitle("", x=0.012, ha="left", color=INK, fontsize=10)
    fitting = figure.bbox.width * 0.975
    for letters in range(max(map(len, lines)), 1, -1):
        wrapped = [part for line in lines for part in wrap(line, letters)]
        title.set_text("\n".join(wrapped))
        if title.get_window_extent(figure.canvas.get_renderer()).width <= fitting:
            break
    wide, tall = figure.get_size_inches()
    figure.set_size_inches(wide, tall + LINE * max(0, len(wrapped) - 2))


def _confusion(run: Scores) -> Any:
    names = [_short(emotion.name) for emotion in run.classes]
    side = 1.9 + 0.62 * min(len(names), WITH_NUMBERS) + 0.07 * max(map(len, names))
    title = f"WA {percent(run.figures['wa'].value)} %, UAR {percent(run.figures['uar'].value)} %"
    figure, axes = _axes(run, title, (side, side * 0.88))
    shares = np.nan_to_num(wording.row_shares(run.confusion))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= WITH_NUMBERS:
        _add_numbers(axes, shares, run.confusion.tolist())
    named = range(0, len(names), math.ceil(len(names) / NAMED))
    axes.set(xticks=named, yticks=named, xlabel="predicted", ylabel="true")
    axes.set_xticklabels([names[k] for k in named], rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticklabels([names[k] for k in named])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure


def _add_numbers(axes: Any, shares: np.ndarray, counts: list[list[float]]) -> None:
    """Write each cell's percent of its row, and its count, into a confusion matrix."""
    for (row, column), share in np.ndenumerate(shares):
        text = f"{100 * share:.0f}\n({wording.count(counts[row][column])})"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if share > 0.55 else INK)


def _scatter(run: Scores, dimension: Dimension) -> Any:
    """Draw predictions over truth, both on one scale."""
    clips = f"{dimension.clips:,} {wording.units(run)}"
    title = f"{_short(dimension.name)} of {clips}, CCC {wording.with_ci(dimension.ccc, 'ccc')}"
    figure, axes = _axes(run, title, (4.8, 4.9))
    truth, predicted = dimension.pairs
    axes.axline((truth.mean(), truth.mean()), slope=1, linestyle="--", color=SOFT, linewidth=1)
    axes.scatter(truth, predicted, 9, color=TONES[0], alpha=0.4, linewidths=0, zorder=3)
    low, high = dimension.pairs.min(), dimension.pairs.max()
    margin = 0.03 * (high - low) or 1
    ends = (low - margin, high + margin)
    axes.set(xlim=ends, ylim=ends, aspect="equal", xlabel="true", ylabel="predicted")
    _ruled(axes, "both")
    return figure


def _ruled(axes: Any, along: str) -> None:
    axes.grid(axis=along, color=RULE)
    axes.set_axisbelow(True)


def _reliability(run: Scores) -> Any:
    title = f"{wording.label(run, 'ece')} {percent(run.figures['ece'].value)} % {wording.bounds(run.figures['ece'])}"
    figure, axes = _axes(run, title, (4.8, 4.9))
    clips, confidence, right = run.reliability.T
    filled = clips > 0
    x, y = 100 * confidence[filled] / clips[filled], 100 * right[filled] / clips[filled]
    axes.plot([0, 100], [0, 100], "--", color=SOFT, linewidth=1)
    axes.plot(x, y, color=TONES[0], alpha=0.5, linewidth=1.2)
    axes.scatter(x, y, 12 + 130 * clips[filled] / clips.max(), color=TONES[0], zorder=3)
    edges = np.linspace(0, 100, len(clips) + 1)
    axes.bar(edges[:-1], 18 * clips / clips.max(), edges[1] * 0.92, align="edge", color=TONES[0], alpha=0.22)
    axes.set(xlim=(0, 100), ylim=(0, 102), xlabel="confidence, % (bars: how many answers)", ylabel="right, %")
    _ruled(axes, "both")
    return figure


def _curves(run: Scores) -> Any:
    """Plot the share and the accuracy of the answers that remain above each confidence threshold."""
    figure, axes = _axes(run, "what predict --threshold leaves", (4.8, 4.2))
    clips, _, right = run.reliability[::-1].cumsum(axis=0)[::-1].T
    filled = clips > 0
    least = 100 * np.arange(len(clips))[filled] / len(clips)
    for values, color, label in ((clips[filled] / clips[0], TONES[1], "answers that are left"),
                                 (right[filled] / clips[filled], TONES[0], "right among them")):  # fmt: skip
        axes.plot(least, 100 * values, "o-", color=color, linewidth=1.4, markersize=4, label=f"{label}, %")
    axes.set(xlim=(0, 100), ylim=(0, 102), xlabel="threshold: least confidence, %")
    axes.legend(loc="lower left", frameon=False)
    _ruled(axes, "both")
    return figure


def _speakers(run: Scores) -> Any:
    count = len(run.each_speaker)
    name, times = run.main[0], _times(run)
    values = np.array([value for _, _, value in run.each_speaker]) * times
    called = wording.name_of(name, run)
    figure, axes = _axes(run, f"{called} of each speaker", (min(4 + 0.11 * count, 14), 3.6))
    axes.bar(range(count), values, 0.85, color=TONES[0], alpha=0.75)
    level = run.figures[name].value
    axes.axhline(times * level, color=SOFT, linestyle="--", linewidth=1)
    text = f"all {wording.number(name, level)}"
    axes.annotate(text, (0, times * level), (2, 3), textcoords="offset points", color=SOFT)
    shown = range(count) if count <= 40 else range(len(run.worst))
    lowest = min(0, np.nanmin(np.append(values, 0)))
    axes.set(ylim=(lowest, times), ylabel=(called + _unit(run)).rstrip(","), xticks=shown, xlim=(-0.7, count - 0.3))
    axes.set_xticklabels([_short(run.each_speaker[k][0]) for k in shown], rotation=90, fontsize=7)
    _ruled(axes, "y")
    return figure


def _counts(clips: list[int]) -> str:
    """Return the number of clips; run by run if it differs."""
    shown = clips if len(set(clips)) > 1 else clips[:1]
    return "; ".join(f"{count:,}" for count in shown)


def _times(run: Scores) -> int:
    """Return how many times the main figure is drawn, which may be a share."""
    return 1 if wording.is_plain(run.main[0]) else 100


def _unit(run: Scores) -> str:
    """Return what follows the main figure's name in a title."""
    return "," if wording.is_plain(run.main[0]) else ", %"


def _parts(report: Report) -> Any:
    """Draw each emotion's recall, or each dimension's CCC, as bars with intervals, one per run."""
    count, held, times = len(report.runs), wording.parts(report), _times(report.runs[0])
    figure, axes = pyplot().subplots(figsize=(6.8, 1.4 + (0.2 + 0.2 * count) * len(held)), layout="constrained")
    height = 0.8 / count
    for place, run in enumerate(report.runs):
        places = np.arange(len(held)) + (place - (count - 1) / 2) * height
        figures = [of_runs[place][0] for of_runs in held.values()]
        value, low, high = times * np.array([[one.value, one.low, one.high] for one in figures]).T
        axes.barh(places, value, 0.9 * height, color=TONES[place % len(TONES)], alpha=0.75, label=_short(run.name))
        axes.hlines(places, low, high, color=INK, linewidth=1.2)
    lowest = min(0.0, *(times * figure.value for of_runs in held.values() for figure, _ in of_runs))
    axes.set(yticks=range(len(held)), xlim=(lowest, times), ylim=(len(held) - 0.5, -0.5))
    clips = {name: [count for _, count in of_runs] for name, of_runs in held.items()}
    axes.set_yticklabels([f"{_short(name)} ({_counts(counts)})" for name, counts in clips.items()])
    _ruled(axes, "x")
    what = "Recall, %" if report.emotions else "CCC,"
    _add_title(figure, f"{what} with 95 % interval", *_briefly(report))
    if count > 1:
        figure.legend(loc="outside lower center", frameon=False, ncols=min(count, 3))
    return figure


def _briefly(report: Report) -> list[str]:
    return [f"{_short(run.name)}: {'; '.join([wording.title(run), *_leak_warnings(run)])}" for run in report.runs]


def _comparison(report: Report) -> Any:
    """Draw each run's UAR, and below it the difference of each pair."""
    pairs = [pair for pair in report.comparisons if pair.clips]
    sizes = [len(report.runs), len(pairs)]
    figure, (above, below) = pyplot().subplots(
        2, 1, figsize=(7.2, 2.4 + 0.34 * sum(sizes)), height_ratios=sizes, layout="constrained"
    )
    name, times = report.runs[0].main[0], _times(report.runs[0])
    _dots(above, [(_short(run.name), run.figures[name]) for run in report.runs], [*TONES] * len(report.runs), times)
    called = wording.heading(name, *report.runs)
    _add_title(figure, f"{called}{_unit(report.runs[0])} with 95 % interval", *_briefly(report))
    unit = wording.units(*report.runs)
    differences = [
        (f"{_short(pair.second)} less\n{_short(pair.first)} ({pair.clips:,} {unit})", pair.figures[name])
        for pair in pairs
    ]
    _dots(below, differences, [INK] * len(pairs), times)
    below.axvline(0, color=SOFT, linewidth=1)
    points = "" if times == 1 else ", points"
    below.set_title(f"Differences{points} of {called}, paired")
    return figure


def _dots(axes: Any, figures: list[tuple[str, Any]], tones: list[str], times: int) -> None:
    for place, ((_, figure), tone) in enumerate(zip(figures, tones, strict=False)):
        axes.plot([times * figure.low, times * figure.high], [place, place], color=tone, linewidth=4, alpha=0.35)
        axes.plot(times * figure.value, place, "o", color=tone)
    axes.set(yticks=range(len(figures)), ylim=(len(figures) - 0.5, -0.5))
    axes.set_yticklabels([name for name, _ in figures])
    _ruled(axes, "x")
