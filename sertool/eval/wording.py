"""Name and format figures, and say how they were computed, for reports, pages and charts alike."""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from sertool.eval.scores import Comparison, Difference, Figure, Report, Scores
from sertool.numeric import metrics
from sertool.system import talk

NAMES = {
    "uar": "UAR", "uar_of_folds": "UAR, mean over folds", "wa": "WA (accuracy)", "macro_f1": "macro F1",
    "weighted_f1": "weighted F1", "ece": "ECE", "log_loss": "log loss", "brier": "Brier score",
    "votes_uar": "people, each vote: UAR", "votes_wa": "people, each vote: WA",
    "plurality_uar": "people, most votes: UAR", "plurality_wa": "people, most votes: WA",
    "ccc": "CCC", "ccc_of_folds": "CCC, mean over folds", "r": "Pearson's r", "rmse": "RMSE",
}  # fmt: skip
HOLM = "p, Holm"
PLAIN = ("log_loss", "brier", "ccc_of_folds", "r", "rmse")  # as are all CCCs; others are shares, shown in per cent


def title(run: Scores) -> str:
    """Say what was scored: `dev, 1,224 clips of 15 speakers, cremad-nk` or `2,448 windows of 1,224 clips of ...`."""
    seeds = f"{len(run.seeds)} seeds" if run.seeds else None
    clips = talk.counted(run.clips, "clip")
    if run.windows_of:
        clips = f"{talk.counted(run.clips, 'window')} of {talk.counted(run.windows_of, 'clip')}"
    clips += f" of {speakers(run.speakers)}"
    parts = (run.split, clips, seeds, run.protocol, run.adapted)
    return ", ".join(part for part in parts if part)


def heads(report: Report) -> list[str]:
    """Return what was scored in each run, and the notes on it."""
    return [line for run in report.runs for line in (f"{run.name}: {title(run)}", *(f"  {note}" for note in run.notes))]


def names(*runs: Scores) -> list[str]:
    """Return the figures that any of the runs has, in our order, then those of each dimension."""
    held = dict.fromkeys(name for run in runs for name in run.figures)
    return [*(name for name in NAMES if name in held), *(name for name in held if name not in NAMES)]


def name_of(figure: str, run: Scores) -> str:
    """Return a figure's name; that of a dimension is called by it."""
    if figure == "ccc" and len(run.dimensions) > 1:
        return "mean CCC"
    return NAMES.get(figure) or f"CCC of {figure.removeprefix('ccc_')}"


def label(run: Scores, name: str) -> str:
    """Return a figure's name, with the number of rows it is based on if that differs between figures."""
    of = f", of {run.rows_with[name]:,} rows" if name in run.rows_with else ""
    return heading(name, run) + of


def heading(name: str, *runs: Scores) -> str:
    """Return a figure's name; with folds, the first main one is either pooled over all clips or averaged over folds."""
    return name_of(name, runs[0]) + ", pooled" * any(run.folds and name == run.main[0] for run in runs)


def units(*runs: Scores) -> str:
    """Return what is counted: windows if every run has several per clip, else clips."""
    return "windows" if all(run.windows_of for run in runs) else "clips"


def speakers(count: int) -> str:
    return talk.counted(count, "speaker") if count else "unknown speakers"


def percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f}"


def count(value: float) -> str:
    """Format a count that may be a mean over seeds."""
    return f"{value:,.1f}".removesuffix(".0")


def number(name: str, value: float) -> str:
    """Format a figure: in per cent, unless it is no share."""
    return f"{value:.3f}" if is_plain(name) and not math.isnan(value) else percent(value)


def unit(name: str) -> str:
    return "" if is_plain(name) else " %"


def is_plain(name: str) -> bool:
    """Whether a figure is no share, and shown as it is."""
    return name in PLAIN or name.startswith("ccc")


def bounds(figure: Figure | Difference, name: str = "") -> str:
    return f"[{number(name, figure.low)}, {number(name, figure.high)}]"


def with_ci(figure: Figure, name: str = "") -> str:
    return f"{number(name, figure.value)} {bounds(figure, name)}"


def with_cis(figures: Mapping[str, Figure]) -> list[str]:
    return [with_ci(figure, name) for name, figure in figures.items()]


def main(run: Scores) -> dict[str, Figure]:
    return {name: run.figures[name] for name in run.main}


def parts(report: Report) -> dict[str, list[tuple[Figure, int]]]:
    """Return of each emotion its recall, or of each dimension its CCC, and its clips, run by run."""
    of_runs = [
        [(one.name, one.recall, one.clips) for one in run.classes]
        + [(one.name, one.ccc, one.clips) for one in run.dimensions]
        for run in report.runs
    ]
    return {of_part[0][0]: [(figure, clips) for _, figure, clips in of_part] for of_part in zip(*of_runs, strict=True)}


def signed(difference: Difference, name: str = "") -> str:
    value, low, high = (_signed(end, name) for end in (difference.value, difference.low, difference.high))
    return f"{value} [{low}, {high}]"


def _signed(value: float, name: str) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:+.3f}" if is_plain(name) else f"{100 * value:+.1f}"


def p_value(p: float, *, is_bound: bool = False) -> str:
    if math.isnan(p):
        return "-"
    return "< .001" if p < 0.001 else "≤ " * is_bound + f"{p:.3f}".replace("0.", ".")


def p_values(*ps: float, is_bound: bool = False) -> tuple[str, ...]:
    return tuple(p_value(p, is_bound=is_bound) for p in ps)


def value_of(run: Scores, name: str) -> str:
    of = f" (of {run.rows_with[name]:,} rows)" if name in run.rows_with else ""
    return f"{number(name, run.figures[name].value)}{of}" if name in run.figures else "-"


def p_headers(report: Report) -> tuple[str, ...]:
    """Return the headers of p-values: of each by itself and, of several pairs, corrected."""
    return ("p", HOLM) if has_holm(report) else ("p",)


def has_holm(report: Report) -> bool:
    """Whether p-values are shown with their correction, which changes nothing of a single one."""
    return sum(bool(pair.clips) for pair in report.comparisons) > 1


def row_shares(matrix: np.ndarray) -> np.ndarray:
    """Return counts as shares of their row; NaN in an empty row."""
    return metrics.ratio(matrix, matrix.sum(1, keepdims=True))


def methods(report: Report) -> list[str]:
    """Say how all intervals were computed."""
    scored: list[Scores | Comparison] = [*report.runs, *(pair for pair in report.comparisons if pair.clips)]
    ways = dict.fromkeys(one.bootstrap for one in scored)
    lines = [_method(report, way) for way in ways]
    if any(pair.clips for pair in report.comparisons) and report.pair_resamples != report.resamples:
        lines.append(f"Differences of runs: of {report.pair_resamples:,} resamples.")
    groups = [group for run in report.runs for table in (*run.by.values(), run.worst) for group in table]
    speakers = [drawn.speakers for drawn in scored] + [group.speakers for group in groups]
    if any(0 < group.speakers < metrics.ENOUGH_SPEAKERS for group in groups):
        few = f"Groups of under {metrics.ENOUGH_SPEAKERS} speakers: bootstrap over clips within their speakers"
        lines.append(f"{few} or, with under {metrics.ENOUGH_CLIPS} clips each, over clips whoever speaks.")
    if any(metrics.ENOUGH_SPEAKERS <= count < metrics.MANY_SPEAKERS for count in speakers):
        of = f"Of {metrics.ENOUGH_SPEAKERS} to {metrics.MANY_SPEAKERS - 1} speakers"
        p = "; p is below .05 by chance in about 10 %" if report.comparisons else ""
        lines.append(f"{of} such intervals hold the truth in about 90 % of cases, not in 95 %{p}.")
    lines += _on_rare_emotions(report)
    if has_holm(report):
        pairs = sum(bool(pair.clips) for pair in report.comparisons)
        lines.append(f"{HOLM}: corrected for the {pairs} pairs by Holm's method; p: of each pair by itself.")
    if any("ece" in run.figures for run in report.runs):
        lines.append(f"ECE: in {metrics.BINS} bins; what chance adds to it is left out of its interval.")
    if any(pair.clips for pair in report.comparisons) and any(run.windows_of for run in report.runs):
        lines.append("McNemar's test takes the windows of a clip for independent: its p is too small.")
    return lines


def _on_rare_emotions(report: Report) -> Iterator[str]:
    """Say what averages over emotions do about emotions of so few speakers that resamples may have none of them."""
    drawn = [run for run in report.runs if run.speakers >= metrics.ENOUGH_SPEAKERS]
    fewest = min((one.speakers for run in drawn for one in run.classes if one.speakers), default=math.inf)
    if fewest < metrics.ENOUGH_SPEAKERS:
        yield "An emotion that no drawn speaker has counts in UAR and macro F1 as it does over all speakers."
    if fewest < metrics.FEW_OF_CLASS:
        yield "With emotions of 1 or 2 speakers, intervals of UAR hold the truth in 55 to 85 % of cases."


def _method(report: Report, bootstrap: str) -> str:
    """Say how the intervals were computed."""
    return f"Intervals of 95 %: bootstrap {bootstrap}; {report.resamples:,} resamples, seed {report.seed}."
