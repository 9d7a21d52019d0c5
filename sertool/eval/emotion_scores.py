"""What a report says of emotions only: each class, the confusion, confidence, and people who listened."""

from typing import Any

import numpy as np

from sertool.eval import bootstrapping
from sertool.eval.bootstrapping import UnitSums
from sertool.eval.emotions import Emotions
from sertool.eval.scores import Class
from sertool.numeric import metrics
from sertool.numeric.metrics import Units
from sertool.system.files import listed


def details(run: Emotions, whole: UnitSums, drawn: UnitSums) -> dict[str, Any]:
    """Return these parts of a run's scores, from the sums of all of it and of the resamples."""
    of_people, resampled = (bootstrapping.of_people(sums, whole) for sums in (whole, drawn))
    return {
        "rows_with": _rows_with(run),
        "people": bootstrapping.with_intervals(of_people, resampled),
        "people_clips": int(whole["votes"][0, -1].sum()) if "votes" in whole else 0,
        "classes": _classes(run, whole["main"], drawn["main"]),
        "confusion": _confusion(run),
        "reliability": whole["bins"][0].mean(0) if "bins" in whole else np.zeros((metrics.BINS, 3)),
    }


def _confusion(run: Emotions) -> np.ndarray:
    """Count the answers of a seed on average, `[classes, classes]`; as integers where all counts are whole."""
    means = np.mean([metrics.confusion(run.truth, answer, len(run.classes)) for answer in run.predicted], axis=0)
    whole = means.astype(int)
    return whole if np.array_equal(whole, means) else means


def _rows_with(run: Emotions) -> dict[str, int]:
    """Return the number of rows that have a figure, for figures that some rows lack."""
    counts = {"ece": run.confidence, "log_loss": run.losses[0], "brier": run.losses[1]}
    rows = int(run.answered.sum())
    return {name: count for name, values in counts.items() if 0 < (count := int((~np.isnan(values)).sum())) < rows}


def _classes(run: Emotions, whole: np.ndarray, drawn: np.ndarray) -> tuple[Class, ...]:
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


def _speakers_of_each_class(run: Emotions) -> np.ndarray:
    """Return how many known speakers each class is of, `[classes]`."""
    known = run.speaker >= 0
    return np.array([len(np.unique(run.speaker[known & (run.truth == k)])) for k in range(len(run.classes))])


def notes(run: Emotions, units: Units) -> list[str]:
    notes: list[str] = []
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
    if nameless := int((run.predicted == metrics.NO_CLASS).sum()):
        verb = "answer means" if nameless == 1 else "answers mean"
        notes.append(f"{nameless:,} {verb} no emotion: wrong, and of no column of the confusion")
    if _of_own_votes(run):
        notes.append("every label is one that most listeners chose: the figures of people are of their own votes")
    return notes


def _occurring(places: np.ndarray, count: int) -> np.ndarray:
    """Return which of so many emotions occur among their places, bool `[count]`; places below 0 are of none."""
    return np.bincount(places[places >= 0].ravel(), minlength=count) > 0


def _of_own_votes(run: Emotions) -> bool:
    """Whether labels seem derived from the votes scored against them; listeners sometimes miss an acted emotion."""
    if run.votes is None:
        return False
    credit = metrics.pluralities(run.votes, run.truth)
    return bool((credit[~np.isnan(credit)] > 0).all())
