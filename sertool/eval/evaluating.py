"""Turn answers into a report: every run with the notes its figures need, and pairs of runs."""

from collections.abc import Sequence

import numpy as np

from sertool.eval import bootstrapping, groups
from sertool.eval.answers import Answers
from sertool.eval.bootstrapping import Bootstrap, Fold
from sertool.eval.comparing import comparisons
from sertool.eval.scores import Class, Report, Scores
from sertool.manifests import columns
from sertool.numeric import metrics
from sertool.numeric.metrics import Units
from sertool.system import talk
from sertool.system.files import listed

WORST = 5  # speakers to show
SPEAKER = columns.named("speaker")


def report(runs: Sequence[Answers], by: Sequence[str], bootstrap: Bootstrap, baseline: str | None) -> Report:
    """Report every run and, compared with each other or with the baseline, pairs of runs."""
    pairs = comparisons(runs, bootstrap, baseline)
    scores = tuple(_scores(run, by, bootstrap) for run in runs)
    return Report(runs[0].classes, scores, pairs, bootstrap.resamples, bootstrap.seed)


# One run.


def _scores(run: Answers, by: Sequence[str], bootstrap: Bootstrap) -> Scores:
    units = metrics.units_of(run.speaker, run.whole)
    folds = bootstrapping.folds_of(run, units)
    whole, drawn = bootstrapping.whole_and_drawn(bootstrapping.of_run(run, units), units, bootstrap, folds)
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
        figures=bootstrapping.figures_with_intervals(whole, drawn),
        rows_with=_rows_with(run),
        people=bootstrapping.with_intervals(
            bootstrapping.of_people(whole, whole), bootstrapping.of_people(drawn, whole)
        ),
        people_clips=int(whole["votes"][0, -1].sum()) if "votes" in whole else 0,
        classes=_classes(run, whole["tally"], drawn["tally"]),
        confusion=_confusion(run),
        reliability=whole["bins"][0].mean(0) if "bins" in whole else np.zeros((metrics.BINS, 3)),
        seeds=_each_seed(run, bootstrapping.figures(whole, whole)),
        folds=_each_fold(run, folds),
        by={name: groups.by_column(run, name, bootstrap) for name in by},
        each_speaker=speakers,
        worst=groups.by_column(run, "speaker", bootstrap, [name for name, _, _ in speakers[:WORST]])
        if len(speakers) > 1
        else (),
        notes=tuple(_notes(run, units)),
    )


def _confusion(run: Answers) -> np.ndarray:
    """Count the answers of a seed on average, `[classes, classes]`; as integers where all counts are whole."""
    means = np.mean([metrics.confusion(run.truth, answer, len(run.classes)) for answer in run.predicted], axis=0)
    whole = means.astype(int)
    return whole if np.array_equal(whole, means) else means


def _rows_with(run: Answers) -> dict[str, int]:
    """Return the number of rows that have a figure, for figures that some rows lack."""
    counts = {"ece": run.confidence, "log_loss": run.losses[0], "brier": run.losses[1]}
    rows = int((run.predicted >= 0).sum())
    return {name: count for name, values in counts.items() if 0 < (count := int((~np.isnan(values)).sum())) < rows}


def _classes(run: Answers, whole: np.ndarray, drawn: np.ndarray) -> tuple[Class, ...]:
    point, resampled = bootstrapping.as_tally(whole), bootstrapping.as_tally(drawn)
    of_class = (metrics.precision, metrics.recall, metrics.f1)
    points, intervals = ([figure(tally) for figure in of_class] for tally in (point, resampled))
    clips, speakers = np.bincount(run.truth, minlength=len(run.classes)), _speakers_of_each_class(run)
    answered = _confusion(run).sum(0).tolist()
    return tuple(
        Class(name, int(clips[k]), int(speakers[k]), answered[k],
              *(bootstrapping.with_interval(p[..., k], d[..., k]) for p, d in zip(points, intervals, strict=True)))
        for k, name in enumerate(run.classes)
    )  # fmt: skip


def _speakers_of_each_class(run: Answers) -> np.ndarray:
    """Return how many known speakers each class is of, `[classes]`."""
    known = run.speaker >= 0
    return np.array([len(np.unique(run.speaker[known & (run.truth == k)])) for k in range(len(run.classes))])


def _each_seed(run: Answers, points: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    if len(run.seeds) < 2:
        return {}
    return {
        seed: {name: float(value[0, place]) for name, value in points.items()} for place, seed in enumerate(run.seeds)
    }


def _each_fold(run: Answers, folds: Sequence[Sequence[Fold]]) -> dict[str, float]:
    """Return the UAR of each fold, averaged over seeds."""
    if not folds:
        return {}
    uars = [[metrics.uar(bootstrapping.as_tally(fold.tallies.sum(0))) for fold in of_seed] for of_seed in folds]
    values = metrics.mean(np.array(uars), 0)
    names = [int(run.fold.values[fold]) for fold in bootstrapping.fold_codes(run)]
    return {str(name): value for name, value in sorted(zip(names, values.tolist(), strict=True))}


def _each_speaker(run: Answers) -> tuple[tuple[str, int, float], ...]:
    """Return name, clips and UAR of every speaker, the worst first, ties by name."""
    there, unit = np.unique(run.speaker, return_inverse=True)
    units = Units(unit, np.zeros(len(there), int), 0, "")
    values = metrics.mean(metrics.uar(bootstrapping.as_tally(bootstrapping.of_answers(run, units)["tally"])))
    names, clips = run.groups["speaker"].values, np.bincount(unit)
    rows = [(str(names[there[k]]), int(clips[k]), float(values[k])) for k in range(len(there)) if there[k] >= 0]
    return tuple(sorted(rows, key=lambda row: (row[2], row[0])))


# Notes on the figures.


def _notes(run: Answers, units: Units) -> list[str]:
    notes = [f"LEAKY: {leak}" for leak in run.run.leaks] + _coverage_notes(run)
    there, answered = _occurring(run.truth, len(run.classes)), _occurring(run.predicted, len(run.classes))
    speakers = _speakers_of_each_class(run) if units.speakers >= metrics.ENOUGH_SPEAKERS else np.zeros(len(there))
    clauses = {
        "{0} of one speaker, who cannot tell how others do": speakers == 1,
        "{0} never predicted": there & ~answered & run.nameable,
        "could not be predicted: wrong, unless --where 'emotion!={1}' leaves it out, as train's summary does": there
        & ~answered
        & ~run.nameable,
        "{0} predicted and never true": answered & ~there,
    }
    for clause, rows in clauses.items():
        if rows.any():
            verb = "is" if rows.sum() == 1 else "are"
            words = np.array(run.classes)[rows]
            notes.append(f"{listed(words)} {clause.format(verb, '|'.join(words))}")
    if not units.speakers:
        telling = f"a column {SPEAKER} would tell, or another that --speaker names"
        notes.append(f"who speaks is not known, so intervals may be too narrow: {telling}")
    alone = int((run.speaker < 0).sum())
    if alone and units.speakers:
        notes.append(f"{alone:,} {'clips' if run.whole is None else 'windows'} have no speaker")
    if _of_own_votes(run):
        notes.append("every label is one that most listeners chose: the figures of people are of their own votes")
    return notes + list(run.notes)


def _occurring(places: np.ndarray, count: int) -> np.ndarray:
    """Return which of so many emotions occur among their places, bool `[count]`; places below 0 are of none."""
    return np.bincount(places[places >= 0].ravel(), minlength=count) > 0


def _of_own_votes(run: Answers) -> bool:
    """Whether labels seem derived from the votes scored against them; listeners sometimes miss an acted emotion."""
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
