"""From answers to a report: figures with their intervals, by class, group and speaker, and runs against each other."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import NamedTuple

import numpy as np

from sertool import answers, codes, columns, metrics, talk
from sertool.answers import Answers
from sertool.codes import Codes
from sertool.errors import UsageError
from sertool.files import listed
from sertool.metrics import Tally, Units

AGES = ((18, "under 18"), (30, "18 to 29"), (45, "30 to 44"), (60, "45 to 59"), (math.inf, "60 and over"))
MOST_VALUES = 50  # of a column of the user's own, by which clips are grouped
FEW = 8  # values of a column that the page shows unasked
WORST = 5  # speakers that are shown
SPEAKER = columns.named("speaker")
NOT_KNOWN = "(not known)"  # the clips that have no value in a column
Sums = dict[str, np.ndarray]
OF_TALLY: dict[str, Callable[[Tally], np.ndarray]] = {
    "uar": metrics.uar, "wa": metrics.accuracy, "macro_f1": metrics.macro_f1, "weighted_f1": metrics.weighted_f1,
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """A value, the bounds of its 95 % interval, and its standard deviation over seeds where there are several."""

    value: float
    low: float
    high: float
    deviation: float | None = None


@dataclass(frozen=True)
class Class:
    """How one emotion fared: of its clips and of the answers that name it."""

    name: str
    clips: int
    answered: int  # the mean over seeds
    precision: Figure
    recall: Figure
    f1: Figure


@dataclass(frozen=True)
class Group:
    """How the clips of one corpus, speaker, age band ... fared."""

    name: str
    clips: int
    speakers: int
    uar: Figure
    wa: Figure


@dataclass(frozen=True)
class Scores:
    """All there is to say about one run."""

    name: str
    split: str | None
    protocol: str | None
    adapted: str | None
    leaks: tuple[str, ...]
    clips: int  # or windows and channels of clips, where such are scored
    windows_of: int | None  # of how many clips those are
    speakers: int
    coverage: dict[str, object]
    bootstrap: str
    figures: dict[str, Figure]
    rows_with: dict[str, int]  # of the figures that not every row has, how many do
    people: dict[str, Figure]
    people_clips: int
    classes: tuple[Class, ...]
    confusion: np.ndarray
    reliability: np.ndarray
    seeds: dict[str, dict[str, float]]
    folds: dict[str, float]
    by: dict[str, tuple[Group, ...]]
    each_speaker: tuple[tuple[str, int, float], ...]  # name, clips, UAR: the worst first
    worst: tuple[Group, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """How much more the second run has, and how probable so much is by chance."""

    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Comparison:
    """The second run against the first, on the clips that both answered."""

    first: str
    second: str
    clips: int
    speakers: int
    bootstrap: str
    figures: dict[str, Difference] = field(default_factory=dict)
    mcnemar: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    emotions: tuple[str, ...]
    runs: tuple[Scores, ...]
    comparisons: tuple[Comparison, ...]
    resamples: int
    seed: int


@dataclass(frozen=True)
class Bootstrap:
    """How often and from what the bootstrap is drawn."""

    resamples: int = 2000
    seed: int = 0


def report(runs: Sequence[Answers], by: Sequence[str], bootstrap: Bootstrap) -> Report:
    """Every run by itself, and every pair of them."""
    scores = tuple(_scores(run, by, bootstrap) for run in runs)
    pairs = tuple(_comparison(first, second, bootstrap) for first, second in combinations(runs, 2))
    return Report(runs[0].classes, scores, pairs, bootstrap.resamples, bootstrap.seed)


def divisible(runs: Sequence[Answers]) -> list[str]:
    """What the clips may well be grouped by: what every run knows and that has a few values."""
    names = []
    for name in answers.GROUPS:
        counts = [len(_values(run, name)[1]) for run in runs]
        if min(counts) and 1 < max(counts) <= FEW:
            names.append(name)
    return names


# Sums: all figures of a run come from these, so one bootstrap serves them all.


def _sums(run: Answers, units: Units) -> Sums:
    """What the figures are made of, for each unit: `[units, seeds, ...]`."""
    sums = _only_tally(run, units)
    if not np.isnan(run.confidence).all():
        sums["bins"] = _by_seed(run, lambda seed: _bin_sums(run, units, seed))
    if not np.isnan(run.losses).all():
        sums["losses"] = _by_seed(run, lambda seed: _loss_sums(run, units, seed))
    if run.votes is not None:
        credits = [metrics.vote_shares(run.votes, run.truth), metrics.pluralities(run.votes, run.truth)]
        credits.append(np.where(np.isnan(credits[0]), np.nan, 1.0))
        sums["votes"] = np.stack(
            [metrics.class_sums(units, run.truth, credit, len(run.classes)) for credit in credits], 1
        )
    return sums


def _only_tally(run: Answers, units: Units) -> Sums:
    kinds = len(run.classes)
    return {"tally": _by_seed(run, lambda seed: metrics.tally_sums(units, run.truth, run.predicted[seed], kinds))}


def _by_seed(run: Answers, of_seed: Callable[[int], np.ndarray]) -> np.ndarray:
    return np.stack([of_seed(seed) for seed in range(len(run.seeds))], 1)


def _bin_sums(run: Answers, units: Units, seed: int) -> np.ndarray:
    right = (run.predicted[seed] == run.truth).astype(float)
    return metrics.bin_sums(run.confidence[seed], right, units.of_clip, len(units.stratum))


def _loss_sums(run: Answers, units: Units, seed: int) -> np.ndarray:
    """Log loss and the clips that have it, Brier score and the clips that have that, `[units, 4]`."""
    credits = [credit for loss in run.losses[:, seed] for credit in (loss, np.where(np.isnan(loss), np.nan, 1.0))]
    return np.stack([metrics.class_sums(units, np.zeros_like(run.truth), credit, 1)[:, 0] for credit in credits], 1)


class Fold(NamedTuple):
    """What is held out together under one seed: of which units, and the tally of each `[units, 3, classes]`."""

    units: np.ndarray
    tallies: np.ndarray


def _folds(run: Answers, units: Units) -> list[list[Fold]]:
    """The folds of each seed, where there are several."""
    found = _fold_codes(run)
    return [[_fold(run, units, seed, fold) for fold in found] for seed in range(len(run.seeds))] if found[1:] else []


def _fold_codes(run: Answers) -> list[int]:
    return np.unique(run.fold.index[run.fold.index >= 0]).tolist()


def _fold(run: Answers, units: Units, seed: int, fold: int) -> Fold:
    rows = np.flatnonzero(run.fold.index[seed] == fold)
    members, of_clip = np.unique(units.of_clip[rows], return_inverse=True)
    within = Units(of_clip, np.zeros(len(members), int), 0, "")
    return Fold(members, metrics.tally_sums(within, run.truth[rows], run.predicted[seed, rows], len(run.classes)))


def _of_folds(folds: Sequence[Sequence[Fold]], counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The UAR of each fold and the share of it that was drawn, `[resamples, seeds, folds]`, by how often each unit was.

    A unit lies in one fold of a seed, or in a few: so each is summed by itself.
    """
    uars, shares = np.empty((2, len(counts), len(folds), len(folds[0])))
    for seed, of_seed in enumerate(folds):
        for place, fold in enumerate(of_seed):
            drawn = counts[:, fold.units]
            uars[:, seed, place] = metrics.uar(_tallies(np.tensordot(drawn, fold.tallies, 1)))
            shares[:, seed, place] = drawn.sum(1) / max(len(fold.units), 1)
    return uars, shares


def _whole_and_drawn(
    sums: Sums, units: Units, bootstrap: Bootstrap, folds: Sequence[Sequence[Fold]] = ()
) -> tuple[Sums, Sums]:
    """The sums of all units, as if of one resample `[1, ...]`, and those of every resample `[resamples, ...]`."""
    draws = metrics.draws(units.stratum, bootstrap.resamples, bootstrap.seed)
    return _drawn(sums, folds, [_each_once(units)]), _drawn(sums, folds, draws)


def _each_once(units: Units) -> np.ndarray:
    return np.ones((1, len(units.stratum)))


def _drawn(sums: Sums, folds: Sequence[Sequence[Fold]], draws: Iterable[np.ndarray]) -> Sums:
    """The sums of every resample, `[resamples, ...]`, and the mean UAR of folds; by how often each unit was drawn."""
    flat = np.concatenate([piece.reshape(len(piece), -1) for piece in sums.values()], 1)
    drawn, uars = [], []
    for counts in draws:
        drawn.append(counts @ flat)
        if folds:  # one counts by how much of it was drawn: that of a single speaker, drawn three times, three times
            of_folds, shares = _of_folds(folds, counts)
            uars.append(metrics.mean(of_folds, weights=shares))
    ends = np.cumsum([piece[0].size for piece in sums.values()])
    pieces = np.split(np.concatenate(drawn), ends[:-1], 1)
    found = {name: part.reshape(-1, *sums[name].shape[1:]) for name, part in zip(sums, pieces, strict=True)}
    return found | ({"folds": np.concatenate(uars)} if folds else {})


# Figures: from sums `[resamples, ...]` to values `[resamples, seeds]`.


def _tallies(tallies: np.ndarray) -> Tally:
    return Tally(*np.moveaxis(tallies, -2, 0))


def _figures(sums: Sums) -> dict[str, np.ndarray]:
    counts = _tallies(sums["tally"])
    figures = {name: figure(counts) for name, figure in OF_TALLY.items()}
    if "folds" in sums:
        figures["uar_of_folds"] = sums["folds"]
    if "bins" in sums:
        figures["ece"] = metrics.ece(sums["bins"])
    if "losses" in sums:
        loss, with_loss, brier, clips = np.moveaxis(sums["losses"], -1, 0)
        figures |= {"log_loss": metrics.ratio(loss, with_loss), "brier": metrics.ratio(brier, clips)}
    return figures


def _of_people(sums: Sums) -> dict[str, np.ndarray]:
    if "votes" not in sums:
        return {}
    shares, plurality_shares, clips = np.moveaxis(sums["votes"], -2, 0)
    figures = {}
    for name, credit in (("votes", shares), ("plurality", plurality_shares)):
        figures[f"{name}_uar"] = metrics.mean(metrics.ratio(credit, clips))[:, None]
        figures[f"{name}_wa"] = metrics.ratio(credit.sum(-1), clips.sum(-1))[:, None]
    return figures


def _with_interval(point: np.ndarray, drawn: np.ndarray) -> Figure:
    """A figure averaged over seeds, from `[1, seeds]` and `[resamples, seeds]`."""
    low, high = metrics.interval(metrics.mean(drawn))
    seeds = point[0][~np.isnan(point[0])]
    deviation = float(np.std(seeds, ddof=1)) if len(seeds) > 1 else None
    return Figure(float(metrics.mean(point)[0]), float(low), float(high), deviation)


def _with_ece_bounds(figures: dict[str, Figure], whole: Sums, drawn: Sums) -> dict[str, Figure]:
    """The figures with the ECE's own interval, if there is one."""
    if "ece" not in figures:
        return figures
    low, high = metrics.ece_bounds(whole["bins"], drawn["bins"])
    return figures | {"ece": replace(figures["ece"], low=low, high=high)}


def _all_with_interval(points: dict[str, np.ndarray], drawn: dict[str, np.ndarray]) -> dict[str, Figure]:
    return {name: _with_interval(point, drawn[name]) for name, point in points.items()}


# One run.


def _scores(run: Answers, by: Sequence[str], bootstrap: Bootstrap) -> Scores:
    units = metrics.units_of(run.speaker, run.whole)
    sums, folds = _sums(run, units), _folds(run, units)
    whole, drawn = _whole_and_drawn(sums, units, bootstrap, folds)
    points = _figures(whole)
    speakers = _each_speaker(run)
    rows = run.run
    return Scores(
        name=rows.name,
        split=rows.split,
        protocol=rows.protocol,
        adapted=rows.adapted,
        leaks=rows.leaks,
        clips=len(run.truth),
        windows_of=None if run.whole is None else len(np.unique(run.whole)),
        speakers=units.speakers,
        coverage=rows.coverage._asdict() | {"share": rows.coverage.share},
        bootstrap=units.how,
        figures=_with_ece_bounds(_all_with_interval(points, _figures(drawn)), whole, drawn),
        rows_with=_rows_with(run),
        people=_all_with_interval(_of_people(whole), _of_people(drawn)),
        people_clips=int(whole["votes"][0, -1].sum()) if "votes" in whole else 0,
        classes=_classes(run, whole["tally"], drawn["tally"]),
        confusion=sum(metrics.confusion(run.truth, answer, len(run.classes)) for answer in run.predicted),
        reliability=whole["bins"][0].sum(0) if "bins" in whole else np.zeros((metrics.BINS, 3)),
        seeds=_each_seed(run, points),
        folds=_each_fold(run, units, folds),
        by={name: _groups(run, name, bootstrap) for name in by},
        each_speaker=speakers,
        worst=_groups(run, "speaker", bootstrap, [name for name, _, _ in speakers[:WORST]])
        if len(speakers) > 1
        else (),
        notes=tuple(_notes(run, units)),
    )


def _rows_with(run: Answers) -> dict[str, int]:
    """How many rows have a figure that some have and others lack."""
    counts = {"ece": run.confidence, "log_loss": run.losses[0], "brier": run.losses[1]}
    rows = int((run.predicted >= 0).sum())
    return {name: count for name, values in counts.items() if 0 < (count := int((~np.isnan(values)).sum())) < rows}


def _classes(run: Answers, whole: np.ndarray, drawn: np.ndarray) -> tuple[Class, ...]:
    point, resampled = _tallies(whole), _tallies(drawn)
    of_class = (metrics.precision, metrics.recall, metrics.f1)
    points, intervals = ([figure(tally) for figure in of_class] for tally in (point, resampled))
    clips = np.bincount(run.truth, minlength=len(run.classes))
    answered = np.rint(point.predicted[0].mean(0))
    return tuple(
        Class(name, int(clips[k]), int(answered[k]),
              *(_with_interval(p[..., k], d[..., k]) for p, d in zip(points, intervals, strict=True)))
        for k, name in enumerate(run.classes)
    )  # fmt: skip


def _each_seed(run: Answers, points: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    if len(run.seeds) < 2:
        return {}
    return {
        seed: {name: float(value[0, place]) for name, value in points.items()} for place, seed in enumerate(run.seeds)
    }


def _each_fold(run: Answers, units: Units, folds: Sequence[Sequence[Fold]]) -> dict[str, float]:
    """The UAR of each fold, averaged over seeds."""
    if not folds:
        return {}
    values = metrics.mean(_of_folds(folds, _each_once(units))[0][0], 0)
    return {str(run.fold.values[fold]): float(value) for fold, value in zip(_fold_codes(run), values, strict=True)}


def _each_speaker(run: Answers) -> tuple[tuple[str, int, float], ...]:
    """Name, clips and UAR of every speaker, the worst first, and equal ones by name."""
    there, unit = np.unique(run.speaker, return_inverse=True)
    units = Units(unit, np.zeros(len(there), int), 0, "")
    tallies = _by_seed(run, lambda seed: metrics.tally_sums(units, run.truth, run.predicted[seed], len(run.classes)))
    values = metrics.mean(metrics.uar(_tallies(tallies)))
    names, clips = run.groups["speaker"].values, np.bincount(unit)
    rows = [(str(names[there[k]]), int(clips[k]), float(values[k])) for k in range(len(there)) if there[k] >= 0]
    return tuple(sorted(rows, key=lambda row: (row[2], row[0])))


# Groups of clips.


def _values(run: Answers, name: str) -> tuple[np.ndarray, dict[str, int]]:
    """A column's code for each clip, and the codes of its values in order."""
    column = _in_bands(run.groups["age"]) if name == "age" else run.groups[name]
    code_of_value = {str(column.values[place]): int(place) for place in np.unique(column.index[column.index >= 0])}
    usual = [band for _, band in AGES] if name == "age" else ["low", "medium", "high"]
    rank = {value: usual.index(value) if value in usual else len(usual) for value in code_of_value}
    return column.index, dict(sorted(code_of_value.items(), key=lambda item: (rank[item[0]], *_order(item[0]))))


def _order(value: str) -> tuple[float, str]:
    """Whole numbers by size, before words."""
    return float(value) if value.isdecimal() else math.inf, value


def _in_bands(age: Codes) -> Codes:
    bands = [next(place for place, (top, _) in enumerate(AGES) if float(years) < top) for years in age.values]
    return Codes(codes.look_up(bands, age), [band for _, band in AGES])


def _groups(run: Answers, name: str, bootstrap: Bootstrap, only: Sequence[str] | None = None) -> tuple[Group, ...]:
    index, values = _values(run, name)
    if not values:
        row_numbers = [unknown for unknown in run.run.table.column_names if not columns.kind_of(unknown)]
        usual = [column for column in answers.GROUPS if (run.groups[column].index >= 0).any()] + row_numbers
        raise UsageError(f"--by {name}: {run.run.name} has no {name}; it has {listed(usual) or 'no such column'}")
    if name not in answers.GROUPS and len(values) > MOST_VALUES:
        raise UsageError(
            f"--by {name}: {len(values):,} different values, more than {MOST_VALUES}: put them into groups"
        )
    rows = {value: np.flatnonzero(index == values[value]) for value in only or values}
    if only is None and (index < 0).any():
        rows[NOT_KNOWN] = np.flatnonzero(index < 0)
    return tuple(_group(run, value, row_numbers, bootstrap) for value, row_numbers in rows.items())


def _group(run: Answers, name: str, rows: np.ndarray, bootstrap: Bootstrap) -> Group:
    part = _part(run, rows)
    units = metrics.units_of(part.speaker, part.whole)
    sums = _only_tally(part, units)
    whole, drawn = _whole_and_drawn(sums, units, bootstrap)
    points, resampled = ({n: OF_TALLY[n](_tallies(s["tally"])) for n in ("uar", "wa")} for s in (whole, drawn))
    return Group(name, len(rows), units.speakers, **_all_with_interval(points, resampled))


def _part(run: Answers, rows: np.ndarray) -> Answers:
    """The run on some clips only, as far as groups and comparisons need it."""
    speaker = codes.take(run.groups["speaker"], rows)
    whole = None if run.whole is None else run.whole[rows]
    answers = {"truth": run.truth[rows], "predicted": run.predicted[:, rows]}
    return replace(run, **answers, whole=whole, groups={"speaker": speaker})


# Two runs.


def _comparison(first: Answers, second: Answers, bootstrap: Bootstrap) -> Comparison:
    """Both runs on the clips that both have, drawn together: what moves both does not blur their difference."""
    rows, other_rows = answers.shared_rows(first, second)
    left, right = _part(first, rows), _part(second, other_rows)
    units = metrics.units_of(left.speaker if (left.speaker >= 0).any() else right.speaker, left.whole)
    comparison = Comparison(first.run.name, second.run.name, len(rows), units.speakers, units.how)
    if not len(rows):
        return comparison
    sums = {"first": _only_tally(left, units)["tally"], "second": _only_tally(right, units)["tally"]}
    whole, drawn = _whole_and_drawn(sums, units, bootstrap)
    figures = {name: _difference(of_tally, whole, drawn) for name, of_tally in OF_TALLY.items()}
    return replace(comparison, figures=figures, mcnemar=_mcnemar(left, right))


def _difference(figure: Callable[[Tally], np.ndarray], whole: Sums, drawn: Sums) -> Difference:
    point, resampled = (
        metrics.mean(figure(_tallies(sums["second"]))) - metrics.mean(figure(_tallies(sums["first"])))
        for sums in (whole, drawn)
    )
    low, high = metrics.interval(resampled)
    return Difference(float(point[0]), float(low), float(high), metrics.two_sided(resampled))


def _mcnemar(first: Answers, second: Answers) -> dict[str, object]:
    """On each run's first seed, for the test takes one answer to a clip."""
    both = (first.predicted[0] >= 0) & (second.predicted[0] >= 0)
    right, other = ((run.predicted[0] == run.truth)[both] for run in (first, second))
    only_first, only_second = int((right & ~other).sum()), int((other & ~right).sum())
    p, method = metrics.mcnemar(only_first, only_second)
    seeds = [run.seeds[0] for run in (first, second)] if max(len(first.seeds), len(second.seeds)) > 1 else []
    return {"only_first": only_first, "only_second": only_second, "p": p, "method": method, "seeds": seeds}


# What must be said beside the figures.


def _notes(run: Answers, units: Units) -> list[str]:
    notes = [f"LEAKY: {leak}" for leak in run.run.leaks] + _coverage_notes(run)
    there, answered = (np.bincount(column[column >= 0].ravel(), minlength=len(run.classes)) > 0
                       for column in (run.truth, run.predicted))  # fmt: skip
    clauses = {
        "{} never predicted": there & ~answered & run.nameable,
        "could not be predicted": there & ~answered & ~run.nameable,
        "{} predicted and never true": answered & ~there,
    }
    for clause, rows in clauses.items():
        if rows.any():
            verb = "is" if rows.sum() == 1 else "are"
            notes.append(f"{listed(np.array(run.classes)[rows])} {clause.format(verb)}")
    if not units.speakers:
        notes.append(f"who speaks is not known, so intervals may be too narrow: a column {SPEAKER} would tell")
    alone = int((run.speaker < 0).sum())
    if alone and units.speakers:
        notes.append(f"{alone:,} {'clips' if run.whole is None else 'windows'} have no speaker")
    if _of_own_votes(run):
        notes.append("every label is one that most listeners chose: the figures of people are of their own votes")
    return notes + list(run.notes)


def _of_own_votes(run: Answers) -> bool:
    """Whether the labels look made of the votes that are scored against them: what was acted is missed now and then."""
    if run.votes is None:
        return False
    credit = metrics.pluralities(run.votes, run.truth)
    return bool((credit[~np.isnan(credit)] > 0).all())


def _coverage_notes(run: Answers) -> list[str]:
    coverage = run.run.coverage
    notes = []
    if coverage.abstained:
        notes.append(f"not scored: {talk.counted(coverage.abstained, 'row')} of {coverage.rows:,} without a prediction")
    if coverage.issues:
        kinds = listed(f"{count:,} {issue}" for issue, count in coverage.issues.items())
        notes.append(f"not scored: {talk.counted(sum(coverage.issues.values()), 'row')} with an issue: {kinds}")
    if coverage.untrue:
        notes.append(f"not scored: {talk.counted(coverage.untrue, 'row')} without a true emotion")
    return notes
