"""Drawings on a report's page: confidence and accuracy, speakers, truth and prediction."""

import math
from html import escape

import numpy as np

from sertool.eval import wording
from sertool.eval.scores import Dimension, Scores
from sertool.numeric import metrics

STEPS = (1, 2, 2.5, 5, 10)  # between the numbers of an axis, times a power of ten
MARGIN = 0.03  # of an axis beyond its values


def confidence(run: Scores) -> str:
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
    return (
        '<svg class="drawing" viewBox="0 0 355 412" role="img" aria-label="share right by confidence">'
        f'{"".join(_grid(k) for k in range(5))}<line class="even" x1="45" y1="310" x2="345" y2="10"/>'
        f'<polyline points="{path}"/>{"".join(dots)}{"".join(bars)}'
        '<text x="195" y="408" text-anchor="middle">confidence, %</text>'
        '<text x="-160" y="10" text-anchor="middle" transform="rotate(-90)">right, %</text></svg>'
    )


def _grid(k: int) -> str:
    """Draw a horizontal and a vertical line at k quarters, with its value."""
    x, y = 45 + 75 * k, 310 - 75 * k
    return (
        f'<line class="rule" x1="{x}" y1="10" x2="{x}" y2="310"/>'
        f'<line class="rule" x1="45" y1="{y}" x2="345" y2="{y}"/>'
        f'<text x="{x}" y="390" text-anchor="middle">{25 * k}</text>'
        f'<text x="38" y="{y + 4}" text-anchor="end">{25 * k}</text>'
    )


def speakers(run: Scores) -> str:
    """Plot a column per speaker, the worst first; figures below 0 have none."""
    name, unit = run.main[0], wording.unit(run.main[0])
    step = 340 / len(run.each_speaker)
    columns = [
        f'<rect class="{"low" if k < len(run.worst) else ""}" x="{step * k:.2f}" y="{130 - _height(value):.1f}" '
        f'width="{step * (0.82 if step > 3 else 1):.2f}" height="{_height(value):.1f}">'
        f"<title>{escape(who)}: {wording.number(name, value)}{unit}, {clips:,} {wording.units(run)}</title></rect>"
        for k, (who, clips, value) in enumerate(run.each_speaker)
        if not math.isnan(value)
    ]
    level = 130 - _height(run.figures[name].value)
    return (
        '<svg class="drawing flat" viewBox="0 0 340 132" role="img" '
        f'aria-label="{escape(wording.name_of(name, run))} of each speaker">{"".join(columns)}'
        f'<line class="even" x1="0" y1="{level:.1f}" x2="340" y2="{level:.1f}"/></svg>'
    )


def _height(value: float) -> float:
    return 125 * max(np.nan_to_num(value), 0)


def scatter(dimension: Dimension) -> str:
    """Plot predictions over truth, both on one scale; they are equal on the dashed line."""
    low, high = _ends(dimension)
    along = (dimension.pairs - low) / (high - low) * 300
    dots = "".join(f'<circle cx="{45 + x:.1f}" cy="{310 - y:.1f}" r="2.2"/>' for x, y in along.T)
    rules = "".join(_rule(300 * (value - low) / (high - low), f"{value:g}") for value in ticks(low, high))
    return (
        '<svg class="drawing many" viewBox="0 0 355 352" role="img" '
        f'aria-label="{escape(dimension.name)}: predicted by true">{rules}'
        f'<line class="even" x1="45" y1="310" x2="345" y2="10"/>{dots}'
        '<text x="195" y="348" text-anchor="middle">true</text>'
        '<text x="-160" y="10" text-anchor="middle" transform="rotate(-90)">predicted</text></svg>'
    )


def _ends(dimension: Dimension) -> tuple[float, float]:
    """Return where an axis begins and ends that has all values inside."""
    low, high = float(dimension.pairs.min()), float(dimension.pairs.max())
    margin = MARGIN * (high - low) or 1.0
    return low - margin, high + margin


def ticks(low: float, high: float) -> list[float]:
    """Return the round numbers of an axis, four to seven of them."""
    least = (high - low) / 7
    power = 10.0 ** math.floor(math.log10(least))
    step = power * min(step for step in STEPS if step * power >= least)
    return [round(k * step, 12) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _rule(along: float, value: str) -> str:
    """Draw a horizontal and a vertical line at a place of both axes, with its value."""
    x, y = 45 + along, 310 - along
    return (
        f'<line class="rule" x1="{x:.1f}" y1="10" x2="{x:.1f}" y2="310"/>'
        f'<line class="rule" x1="45" y1="{y:.1f}" x2="345" y2="{y:.1f}"/>'
        f'<text x="{x:.1f}" y="328" text-anchor="middle">{value}</text>'
        f'<text x="38" y="{y + 4:.1f}" text-anchor="end">{value}</text>'
    )
