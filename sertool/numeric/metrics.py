"""Metrics of predictions, computed from sums over clips, and confidence intervals by resampling speakers.

Every metric is a function of sums. So a bootstrap computes each speaker's sums once, `[units, sums]`, and all resamples
are one matrix product with the counts of how often each speaker was drawn; metrics then come from `[resamples, sums]`
at once. Averages over classes are of the same classes in every resample. Classes are numbers from 0; a prediction of -1
means none and is ignored, one of -2 is of no class, and so wrong. Undefined values (0 / 0) are NaN.
"""

import math
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import NamedTuple

import numpy as np

from sertool.numeric import codes

BINS = 15
ENOUGH_SPEAKERS = 8  # with fewer, resampled speakers repeat too often to estimate the variation among others
MANY_SPEAKERS = 20  # with fewer, 95% intervals cover the truth in only 85 to 94% of cases
FEW_OF_CLASS = 3  # speakers of a class: with fewer, 95% intervals of UAR cover the truth in 55 to 85% of cases
EXACT_BELOW = 25  # discordant clips below which McNemar's test is exact
ENOUGH_CLIPS = 10  # per speaker, on average: fewer vary too little when resampled, and a single one not at all
MOST_CLIPS = 20_000  # with more, clips are resampled in blocks
NOISE = 1e-12  # of a sum of squares, what rounding leaves of no variation
NO_ANSWER, NO_CLASS = -1, -2  # among predictions
CHUNK = 1 << 21  # draws per block, which stays in the cache


class Tally(NamedTuple):
    """Counts by class, each `[..., classes]`: correct, true and predicted clips."""

    right: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return the confusion matrix, `[classes, classes]`: rows are the truth, columns the predictions."""
    return codes.crossed(truth, predicted, (classes, classes))


def tally(matrix: np.ndarray) -> Tally:
    """Return the counts by class of confusion matrices `[..., classes, classes]`."""
    return Tally(np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(-1), matrix.sum(-2))


def recall(counts: Tally) -> np.ndarray:
    """Return the recall of each class; NaN for a class without clips."""
    return ratio(counts.right, counts.truth)


def precision(counts: Tally) -> np.ndarray:
    """Return the precision of each class; 0 for a class that has clips but no predictions."""
    shares = ratio(counts.right, counts.predicted)
    return np.where((counts.predicted == 0) & (counts.truth > 0), 0.0, shares)


def f1(counts: Tally) -> np.ndarray:
    """Return the F1 score of each class; NaN for a class with neither clips nor predictions."""
    return ratio(2 * counts.right, counts.truth + counts.predicted)


def uar(counts: Tally, whole: Tally | None = None) -> np.ndarray:
    """Return the unweighted average recall (balanced accuracy), over the classes of the whole that have clips."""
    return average(recall(counts), counts.truth, recall(whole or counts))


def accuracy(counts: Tally) -> np.ndarray:
    """Return the share of correct predictions (WA, weighted accuracy)."""
    return ratio(counts.right.sum(-1), counts.truth.sum(-1))


def macro_f1(counts: Tally, whole: Tally | None = None) -> np.ndarray:
    return average(f1(counts), counts.truth, f1(whole or counts))


def weighted_f1(counts: Tally) -> np.ndarray:
    """Return the F1 scores averaged with the number of clips in each class as weights."""
    return ratio(np.nan_to_num(f1(counts) * counts.truth).sum(-1), counts.truth.sum(-1))


def average(values: np.ndarray, clips: np.ndarray, of_whole: np.ndarray) -> np.ndarray:
    """Average figures of classes, `[...]` from `[..., classes]`, some of which may have no clips in a resample.

    These take the figure of the whole. Left out, a class of few speakers would make resamples with and without it
    averages of different classes, which differ by how hard the class is, and not by who was drawn.
    """
    return mean(np.where(clips > 0, values, of_whole))


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return `part / whole`, NaN for 0 / 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)


def mean(values: np.ndarray, axis: int = -1, weights: np.ndarray | float = 1.0) -> np.ndarray:
    """Return the weighted mean along one axis, ignoring NaN."""
    there = ~np.isnan(values)
    counted = there * weights
    return ratio((np.where(there, values, 0.0) * counted).sum(axis), counted.sum(axis))


# Confidence and probabilities.


def bin_sums(confidence: np.ndarray, right: np.ndarray, unit: np.ndarray, units: int) -> np.ndarray:
    """Sum clips, confidence and correct predictions in equal-width bins, `[units, bins, 3]`; NaN is ignored."""
    is_known = ~np.isnan(confidence)
    confidence, right = confidence[is_known], right[is_known]
    cell = unit[is_known] * BINS + np.minimum((confidence * BINS).astype(int), BINS - 1)
    columns = [np.bincount(cell, weights, units * BINS) for weights in (None, confidence, right)]
    return np.stack(columns, -1).reshape(units, BINS, 3)


def ece(sums: np.ndarray) -> np.ndarray:
    """Return the expected calibration error of `[..., bins, 3]`: |confidence - accuracy| averaged over clips."""
    clips, confidence, right = np.moveaxis(sums, -1, 0)
    return ratio(np.abs(confidence - right).sum(-1), clips.sum(-1))


def ece_bounds(whole: np.ndarray, drawn: np.ndarray) -> tuple[float, float]:
    """Return the ECE's 95 % interval, averaged over seeds.

    The sums are `[1, seeds, bins, 3]` of all clips and `[resamples, seeds, bins, 3]` of the resamples. Resampling noise
    only ever increases the ECE. So the upper bound is that of the resamples less their mean excess, and the lower bound
    is as far below the ECE as the resamples' upper bound is above it. It is 0 if chance alone could produce such an ECE
    with perfect calibration, judged by resamples from which each bin's observed gap was removed.
    """
    value, resampled = (mean(ece(sums)) for sums in (whole, drawn))
    distance = np.nan_to_num(ratio(whole[..., 1] - whole[..., 2], whole[..., 0]))
    clips, confidence, right = np.moveaxis(drawn, -1, 0)
    by_chance = interval(mean(ece(np.stack([clips, confidence - clips * distance, right], -1))))[1]
    value_found, high = float(value[0]), float(interval(resampled)[1])
    low = 0.0 if value_found <= by_chance else max(0.0, 2 * value_found - high)
    return min(value_found, low), max(value_found, high - float(mean(resampled)) + value_found)


def log_losses(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the log loss of each clip, `[clips]` from probabilities `[clips, classes]`; never infinite."""
    of_truth = np.take_along_axis(probabilities, truth[:, None], 1)[:, 0]
    return -np.log(np.clip(of_truth, np.finfo(float).eps, 1 - np.finfo(float).eps))


def brier_scores(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the Brier score of each clip, `[clips]`: 0 to 2."""
    of_truth = np.take_along_axis(probabilities, truth[:, None], 1)[:, 0]
    return (probabilities**2).sum(1) - 2 * of_truth + 1


# Ratings.


class Moments(NamedTuple):
    """Sums over clips that are rated and answered, `[...]` each, of deviations from any one number."""

    clips: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    squared_truth: np.ndarray
    squared_predicted: np.ndarray
    product: np.ndarray


def moment_sums(units: "Units", truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the `Moments` of each unit, `[units, dimensions, 6]`, from `[dimensions, clips]`; NaN is unknown.

    Deviations are from the mean truth, as sums of squares of large numbers would lose their digits.
    """
    known = ~np.isnan(truth) & ~np.isnan(predicted)
    centre = mean(np.where(known, truth, np.nan))[:, None]
    true, answer = (np.where(known, values - centre, 0.0) for values in (truth, predicted))
    columns = np.stack([known, true, answer, true**2, answer**2, true * answer], -1)  # [dimensions, clips, 6]
    sums = np.zeros((len(units.stratum), len(truth), len(Moments._fields)))
    np.add.at(sums, units.of_clip, columns.swapaxes(0, 1))
    return sums


def ccc(sums: np.ndarray) -> np.ndarray:
    """Return the concordance correlation coefficient of `Moments`, `[...]` from `[..., 6]`.

    It is NaN where all truth is the same, which then tells nothing apart, and 0 where only all predictions are.
    """
    of_truth, of_predicted, together = _spreads(sums)
    moments = Moments(*np.moveaxis(sums, -1, 0))
    apart = ratio((moments.truth - moments.predicted) ** 2, moments.clips)  # clips times the squared distance of means
    return np.where(of_truth > 0, ratio(2 * together, of_truth + of_predicted + apart), np.nan)


def ccc_figures(sums: np.ndarray, names: Sequence[str], whole: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return the CCC of each dimension as `ccc_NAME`, `[...]` from `[..., dimensions, 6]`, and as `ccc` their mean.

    The mean leaves out what is NaN. Where `whole` is given, a dimension that does not vary has the CCC of that.
    """
    values = ccc(sums)
    if whole is not None:
        values = np.where(np.isnan(values), ccc(whole), values)
    return {"ccc": mean(values)} | {f"ccc_{name}": values[..., place] for place, name in enumerate(names)}


def pearson(sums: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of `Moments`, `[...]` from `[..., 6]`; NaN where either does not vary."""
    of_truth, of_predicted, together = _spreads(sums)
    return ratio(together, np.sqrt(of_truth * of_predicted))


def rmse(sums: np.ndarray) -> np.ndarray:
    """Return the root of the mean squared error of `Moments`, `[...]` from `[..., 6]`."""
    moments = Moments(*np.moveaxis(sums, -1, 0))
    squared = moments.squared_truth - 2 * moments.product + moments.squared_predicted
    return np.sqrt(np.maximum(ratio(squared, moments.clips), 0))


def _spreads(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the squared deviations of truth and predictions from their means, and their products; 0 if only noise."""
    moments = Moments(*np.moveaxis(sums, -1, 0))
    spreads = []
    for total, squared in ((moments.truth, moments.squared_truth), (moments.predicted, moments.squared_predicted)):
        spread = squared - np.nan_to_num(ratio(total**2, moments.clips))
        spreads.append(np.where(spread > NOISE * squared, spread, 0.0))
    product = moments.product - np.nan_to_num(ratio(moments.truth * moments.predicted, moments.clips))
    return spreads[0], spreads[1], np.where((spreads[0] > 0) & (spreads[1] > 0), product, 0.0)


# Human votes.


def vote_shares(votes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the share of each clip's votes `[clips, classes]` for the true class; NaN without votes."""
    return ratio(np.take_along_axis(votes, truth[:, None], 1)[:, 0], votes.sum(1))


def pluralities(votes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return 1 if the true class has the most votes, 1 / n in a tie of n, else 0; NaN without votes."""
    most = votes == votes.max(1, keepdims=True)
    of_truth = np.take_along_axis(most, truth[:, None], 1)[:, 0]
    return np.where(votes.sum(1) > 0, of_truth / most.sum(1), np.nan)


# Resampling.


class Units(NamedTuple):
    """The units of a bootstrap: the unit of each clip, and the stratum of each unit within which it is drawn."""

    of_clip: np.ndarray  # [clips]
    stratum: np.ndarray  # [units]
    speakers: int
    how: str


def units_of(speaker: np.ndarray, whole: np.ndarray | None = None) -> Units:
    """Choose what to resample: speakers if there are enough, else clips.

    Clips are drawn within their speakers or, if these have few clips each, regardless of the speaker. A speaker of -1
    is unknown, and its clips are drawn one by one. Windows of one clip are correlated: if `whole` gives the clip of
    each, they are drawn together.
    """
    person = np.unique(np.append(-1, speaker), return_inverse=True)[1][1:] - 1
    clip = np.arange(len(speaker)) if whole is None else np.unique(whole, return_inverse=True)[1]
    speakers, clips = (int(numbers.max(initial=-1)) + 1 for numbers in (person, clip))
    # Each clip is its own block; very many are grouped at random, which preserves the spread of their sums.
    block = (np.random.default_rng(0).permutation(clips) % MOST_CLIPS)[clip]
    if speakers >= ENOUGH_SPEAKERS:
        of_clip, whose = _numbered(person, np.where(person < 0, block, 0))
        return Units(of_clip, np.zeros_like(whose), speakers, f"over {speakers} speakers")
    how = "over clips" if whole is None else "over clips with all their windows"
    if not speakers:
        how += ": speakers unknown"
    elif speakers == 1:
        how += " within the one speaker, and says nothing about others"
    elif clips >= ENOUGH_CLIPS * speakers:
        how += f" within the {speakers} speakers, too few to be drawn themselves; it says nothing about others"
    else:
        person = np.full_like(person, -1)
        how += f", whoever speaks: {speakers} speakers of few clips, too few to be drawn; it says nothing about others"
    return Units(*_numbered(person, block), speakers, how)


def _numbered(person: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make each speaker's clips in a block a unit; return the unit of each, `[clips]`, and its speaker, `[units]`."""
    _, first, of_clip = np.unique((person + 1) * MOST_CLIPS + block, return_index=True, return_inverse=True)
    return of_clip, person[first]


def class_sums(units: Units, truth: np.ndarray, credit: np.ndarray, classes: int) -> np.ndarray:
    """Sum credit by class for each unit, `[units, classes]`; NaN is ignored."""
    there = ~np.isnan(credit)
    count = len(units.stratum)
    cells = units.of_clip[there] * classes + truth[there]
    return np.bincount(cells, credit[there], count * classes).reshape(count, classes)


def tally_sums(units: Units, truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return a `Tally` for each unit, `[units, 3, classes]`."""
    answered = np.where(predicted != NO_ANSWER, 1.0, np.nan)
    right = np.where(predicted != NO_ANSWER, truth == predicted, np.nan)
    columns = ((truth, right), (truth, answered), (predicted, np.where(predicted >= 0, 1.0, np.nan)))
    return np.stack([class_sums(units, which, credit, classes) for which, credit in columns], 1)


def resample(sums: np.ndarray, stratum: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Draw as many units as there are, with replacement within each stratum, and sum them: `[resamples, n]`."""
    return np.concatenate([counts @ sums for counts in draws(stratum, resamples, seed)])


def draws(stratum: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each unit is drawn, `[some resamples, units]` at a time."""
    strata = [np.flatnonzero(stratum == number) for number in np.unique(stratum)]
    step = max(1, CHUNK // len(stratum))
    parts = [min(step, resamples - start) for start in range(0, resamples, step)]
    rngs = [np.random.default_rng(seed)]
    for members in strata[:-1]:  # each stratum starts where all resamples of the one before end
        rngs.append(deepcopy(rngs[-1]))
        for part in parts:
            _drawn(rngs[-1], part, len(members))
    for part in parts:
        counts = np.empty((part, len(stratum)))
        for members, rng in zip(strata, rngs, strict=True):
            counts[:, members] = _draw_counts(_drawn(rng, part, len(members)))
        yield counts


def _drawn(rng: np.random.Generator, resamples: int, count: int) -> np.ndarray:
    """Draw `count` of `count` units with replacement, `[resamples, count]`."""
    return rng.integers(0, count, (resamples, count), dtype=np.int32)


def _draw_counts(drawn: np.ndarray) -> np.ndarray:
    """Count how often each unit was drawn in a resample, `[resamples, count]`."""
    resamples, count = drawn.shape
    drawn += np.arange(0, resamples * count, count, dtype=np.int32)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * count).reshape(resamples, count)


def interval(values: np.ndarray) -> np.ndarray:
    """Return the 2.5 and 97.5 % percentiles of the resamples, `[2, ...]` from `[resamples, ...]`; NaN is ignored."""
    last = np.maximum((~np.isnan(values)).sum(0) - 1, 0)
    place = np.multiply.outer((0.025, 0.975), last)
    below = np.floor(place).astype(int)
    above = np.minimum(below + 1, last)
    ordered = np.partition(values, np.unique([below, above]), axis=0)  # NaN comes last; sorting takes 30 times as long
    low, high = (np.take_along_axis(ordered, found, 0) for found in (below, above))
    return low + (place - below) * (high - low)


# Two runs compared on the same clips.


def bootstrap_p_value(differences: np.ndarray) -> float:
    """Return the two-sided p-value of a difference, from resampled differences."""
    beyond = min((differences <= 0).mean(), (differences >= 0).mean())
    return float(min(1.0, max(2 * beyond, 1 / len(differences))))


def holm(ps: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's method; NaN is none, and does not count."""
    values = np.array(ps, float)
    order = np.argsort(values)[: int((~np.isnan(values)).sum())]  # NaN comes last
    corrected = np.full(len(values), np.nan)
    corrected[order] = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(len(order), 0, -1)))
    return corrected.tolist()


def mcnemar(only_first: int, only_second: int) -> tuple[float, str]:
    """Return McNemar's p-value that two runs differ in which clips they get right, and the variant of the test.

    Under the null hypothesis each discordant clip is a fair coin toss. The test is exact where they are few, else
    chi-square with one degree of freedom and continuity correction, whose tail is erfc(sqrt(chi2 / 2)).
    """
    discordant, fewer = only_first + only_second, min(only_first, only_second)
    if discordant < EXACT_BELOW:
        tail = sum(math.comb(discordant, k) for k in range(fewer + 1)) / 2**discordant
        return min(1.0, 2 * tail), "exact"
    chi2 = max(abs(only_first - only_second) - 1, 0) ** 2 / discordant
    return math.erfc(math.sqrt(chi2 / 2)), "chi-square"
