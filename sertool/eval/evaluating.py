"""Turn answers into a report: every run with the notes its figures need, and pairs of runs."""

from collections.abc import Sequence

import numpy as np

from sertool.eval import bootstrapping, emotion_scores, groups, predictions, rating_scores
from sertool.eval.answers import Answers
from sertool.eval.bootstrapping import Bootstrap, Folds
from sertool.eval.comparing import comparisons
from sertool.eval.emotions import Emotions
from sertool.eval.ratings import Ratings
from sertool.eval.scores import Report, Scores
from sertool.manifests import columns
from sertool.numeric import metrics
from sertool.numeric.metrics import Units
from sertool.system import talk
from sertool.system.files import listed

WORST = 5  # speakers to show
SPEAKER = columns.named("speaker")
KINDS = {Emotions: emotion_scores, Ratings: rating_scores}  # what else a report says of each kind of answers


def report(runs: Sequence[Answers], by: Sequence[str], bootstrap: Bootstrap, baseline: str | None) -> Report:
    """Report every run and, compared with each other or with the baseline, pairs of runs."""
    pairs = comparisons(runs, bootstrap, baseline)
    scores = tuple(_scores(run, by, bootstrap) for run in runs)
    resamples = bootstrap.count(), bootstrap.count(len(pairs))
    return Report(tuple(one.name for one in scores[0].classes), scores, pairs, *resamples, bootstrap.seed)


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
        clips=run.count,
        windows_of=None if run.whole is None else len(np.unique(run.whole)),
        speakers=units.speakers,
        coverage=rows.coverage._asdict() | {"share": rows.coverage.share},
        bootstrap=units.how,
        main=run.main,
        figures=bootstrapping.figures_with_intervals(run, whole, drawn),
        seeds=_each_seed(run, bootstrapping.figures(run, whole, whole)),
        folds=_each_fold(run, folds),
        by={name: groups.by_column(run, name, bootstrap) for name in by},
        each_speaker=speakers,
        worst=groups.by_column(run, "speaker", bootstrap, [name for name, _, _ in speakers[:WORST]])
        if len(speakers) > 1
        else (),
        notes=tuple(_notes(run, units)),
        **KINDS[type(run)].details(run, whole, drawn),
    )


def _each_seed(run: Answers, points: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    if len(run.seeds) < 2:
        return {}
    return {
        seed: {name: float(value[0, place]) for name, value in points.items()} for place, seed in enumerate(run.seeds)
    }


def _each_fold(run: Answers, folds: Folds | None) -> dict[str, dict[str, float]]:
    """Return the figures of each fold, averaged over seeds, in the order of their numbers."""
    if not folds:
        return {}
    found = {}
    for code, of_fold in zip(bootstrapping.fold_codes(run), zip(*folds.of_seeds, strict=True), strict=True):
        sums = np.stack([fold.sums.sum(0) for fold in of_fold])
        figures = bootstrapping.main_figures(run, sums, sums)
        found[int(run.fold.values[code])] = {name: float(metrics.mean(each)) for name, each in figures.items()}
    return {str(number): found[number] for number in sorted(found)}


def _each_speaker(run: Answers) -> tuple[tuple[str, int, float], ...]:
    """Return name, clips and main figure of every speaker, the worst first, ties by name."""
    there, unit = np.unique(run.speaker, return_inverse=True)
    units = Units(unit, np.zeros(len(there), int), 0, "")
    sums = bootstrapping.of_answers(run, units)
    values = metrics.mean(bootstrapping.main_figure(run, sums, sums))
    names, clips = run.groups["speaker"].values, np.bincount(unit)
    rows = [(str(names[there[k]]), int(clips[k]), float(values[k])) for k in range(len(there)) if there[k] >= 0]
    return tuple(sorted(rows, key=lambda row: (np.isnan(row[2]), row[2], row[0])))


# Notes on the figures.


def _notes(run: Answers, units: Units) -> list[str]:
    notes = [f"LEAKY: {leak}" for leak in run.run.leaks] + _coverage_notes(run)
    notes += KINDS[type(run)].notes(run, units)
    if not units.speakers:
        telling = f"a column {SPEAKER} would tell, or another that --speaker names"
        notes.append(f"who speaks is not known, so intervals may be too narrow: {telling}")
    alone = int((run.speaker < 0).sum())
    if alone and units.speakers:
        notes.append(f"{alone:,} {'clips' if run.whole is None else 'windows'} have no speaker")
    return notes + list(run.notes)


def _coverage_notes(run: Answers) -> list[str]:
    coverage, true = run.run.coverage, predictions.truth_of(run.run.dimensions)
    notes = []
    if coverage.abstained:
        notes.append(f"not scored: {talk.counted(coverage.abstained, 'row')} of {coverage.rows:,} without a prediction")
    if coverage.issues:
        kinds = listed(f"{count:,} {issue}" for issue, count in coverage.issues.items())
        notes.append(f"not scored: {talk.counted(sum(coverage.issues.values()), 'row')} with an issue: {kinds}")
    if coverage.untrue:
        notes.append(f"not scored: {talk.counted(coverage.untrue, 'row')} without a true {true}")
    return notes
