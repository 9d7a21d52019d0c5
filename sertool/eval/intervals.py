"""Plot intervals on a page: a table whose rows hold dots on bars, all on one scale."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from sertool.drawings.pictures import TONES
from sertool.eval import wording
from sertool.eval.scores import Difference, Figure


class Bar(NamedTuple):
    """An interval with its point estimate, and its text."""

    figure: Figure | Difference
    text: str
    tone: int = 0
    mark: float | None = None  # if it differs from the plot's mark


class PlotRow(NamedTuple):
    """A row in a plot of intervals: a bar for each run, and further cells of text."""

    name: str
    bars: Sequence[Bar]
    clips: Sequence[int] = ()  # of each bar
    cells: Sequence[str] = ()


def bar_of(figure: Figure, tone: int = 0, name: str = "") -> Bar:
    return Bar(figure, wording.with_ci(figure, name), tone)


def tone_style(place: int) -> str:
    return f"--tone:var(--tone{place % len(TONES)})"


def plot(
    rows: Sequence[PlotRow],
    heads: Sequence[str] = ("%",),
    mark: float | None = None,
    reach: float = 0,
    unit: str = "clips",
    times: int = 100,
) -> str:
    """Plot rows of intervals; with `reach`, the scale is -reach to reach rather than 0 to 1, written so many times.

    Without it, the scale begins at -1 where a figure or a bound is negative, as a CCC may be.
    """
    is_negative = any(min(bar.figure.value, bar.figure.low) < 0 for row in rows for bar in row.bars)
    low, high = (-reach, reach) if reach else (-1.0 if is_negative else 0.0, 1.0)
    ticks = [f'<span style="left:{25 * k}%">{times * (low + (high - low) * k / 4):.3g}</span>' for k in range(5)]
    clips = f"<th>{unit}</th>" if rows[0].clips else ""
    axis = f'<th class="ticks"><div>{"".join(ticks)}</div></th>'
    head = f"<th></th>{clips}{axis}{''.join(f'<th>{name}</th>' for name in heads)}"
    lines = [_line(row, heads, (low, high), mark, unit) for row in rows]
    kind = "intervals pairs" if reach else "intervals"
    return f'<table class="{kind}"><thead><tr>{head}</tr></thead>\n<tbody>{"".join(lines)}</tbody></table>'


def _line(row: PlotRow, heads: Sequence[str], scale: tuple[float, float], mark: float | None, unit: str) -> str:
    alike = len(set(row.clips)) == 1
    counts = f"{row.clips[0]:,}" if alike else "".join(f"<div>{count:,}</div>" for count in row.clips)
    clips = f'<td class="clips" data-unit="{unit}">{counts}</td>' if row.clips else ""
    drawn = "".join(_drawn(bar, scale, mark if bar.mark is None else bar.mark) for bar in row.bars)
    values = "".join(_value(bar, len(row.bars) > 1) for bar in row.bars)
    cells = "".join(f'<td data-name="{name}">{cell}</td>' for name, cell in zip(heads[1:], row.cells, strict=True))
    name = f'<th scope="row">{escape(row.name)}</th>'
    return f'<tr>{name}{clips}<td class="plot">{drawn}</td><td class="value">{values}</td>{cells}</tr>\n'


def _value(bar: Bar, among_others: bool) -> str:
    value, _, bounds = bar.text.partition(" ")
    tone = f' style="color:var(--tone{bar.tone % len(TONES)})"' if among_others else ""
    return f"<div><b{tone}>{value}</b> <span>{bounds}</span></div>"


def _drawn(bar: Bar, scale: tuple[float, float], mark: float | None) -> str:
    def place(value: float) -> float:
        return 100 * (min(max(value, scale[0]), scale[1]) - scale[0]) / (scale[1] - scale[0])

    figure, inside = bar.figure, ""
    if mark is not None:
        inside += f'<i class="{"mark" if scale[0] == 0 else "zero"}" style="left:{place(mark):.2f}%"></i>'
    if not math.isnan(figure.low):
        left, right = place(figure.low), place(figure.high)
        inside += f'<i class="span" style="left:{left:.2f}%;width:{right - left:.2f}%"></i>'
    if not math.isnan(figure.value):
        inside += f'<i class="dot" style="left:{place(figure.value):.2f}%"></i>'
    return f'<div class="scale" style="{tone_style(bar.tone)}">{inside}</div>'
