"""What a report says of ratings only: each dimension."""

from typing import Any

import numpy as np

from sertool.eval import bootstrapping
from sertool.eval.bootstrapping import UnitSums
from sertool.eval.ratings import Ratings
from sertool.eval.scores import Dimension
from sertool.numeric import metrics, scales
from sertool.numeric.codes import Codes
from sertool.numeric.metrics import Units

MOST_PAIRS = 2000  # of truth and prediction that are drawn


def details(run: Ratings, whole: UnitSums, drawn: UnitSums) -> dict[str, Any]:
    """Return these parts of a run's scores, from the sums of all of it and of the resamples."""
    return {"dimensions": tuple(_dimension(run, k, whole["main"], drawn["main"]) for k in range(len(run.dimensions)))}


def _dimension(run: Ratings, k: int, whole: np.ndarray, drawn: np.ndarray) -> Dimension:
    ccc, r, rmse = (
        bootstrapping.with_interval(figure(whole[..., k, :]), figure(drawn[..., k, :]))
        for figure in (metrics.ccc, metrics.pearson, metrics.rmse)
    )
    answered = run.answered[k].any(0)
    speaker = run.speaker[answered]
    pairs = _some(np.stack([run.truth[k], metrics.mean(run.predicted[k], 0)])[:, answered])
    speakers = len(np.unique(speaker[speaker >= 0]))
    return Dimension(run.dimensions[k], int(answered.sum()), speakers, ccc, r, rmse, pairs)


def _some(pairs: np.ndarray) -> np.ndarray:
    """Return as many pairs as a picture can show, drawn at random."""
    many = pairs.shape[1] > MOST_PAIRS
    return pairs[:, np.random.default_rng(0).choice(pairs.shape[1], MOST_PAIRS, replace=False)] if many else pairs


def notes(run: Ratings, _: Units) -> list[str]:
    """Say of which dimensions there is no CCC, or one of little use."""
    found, corpora = [], run.groups["corpus"]
    corpus = Codes(corpora.index[0], corpora.values)
    for k, name in enumerate(run.dimensions):
        answered = run.answered[k].any(0)
        truth, predicted = run.truth[k, answered], run.predicted[k][run.answered[k]]
        if len(truth) < 2:
            found.append(f"{name} has no CCC: {len(truth) or 'no'} clip with a rating and a prediction")
        elif np.ptp(truth) == 0:
            found.append(f"{name} has no CCC: every true rating is {truth[0]:g}")
        elif np.ptp(predicted) == 0:
            found.append(f"{name} has a CCC of 0 and no r: every prediction is {predicted[0]:g}")
        if clash := next(scales.unlike(run.truth[k], corpus), None):
            found.append(
                f"{name} is {clash}: on different scales, pooled figures mostly tell corpora apart; see --by corpus"
            )
    return found
