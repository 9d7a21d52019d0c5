"""How well answers agree with the truth: figures made of sums over clips, and intervals from resampling speakers.

Every figure is a function of sums. So a bootstrap takes each speaker's sums once, `[units, sums]`, and all resamples
are one matrix product with how often each speaker was drawn; figures then come from `[resamples, sums]` at once.
Classes are numbers from 0; an answer of -1 is none, and counts nowhere. What is undefined (0 of 0) is NaN.
"""

import math
from collections.abc import Iterator
from copy import deepcopy
from typing import NamedTuple

import numpy as np

BINS = 15
ENOUGH_SPEAKERS = 8  # with fewer, resampled speakers repeat too much to say how others would do
MANY_SPEAKERS = 20  # with fewer, intervals hold the truth in .85 to .94 of cases, and not in .95
EXACT_BELOW = 25  # discordant clips, for McNemar's test
ENOUGH_CLIPS = 10  # of a speaker, on average: fewer vary too little among themselves, and one not at all
MOST_CLIPS = 20_000  # that are drawn one by one
CHUNK = 1 << 21  # draws at once: what stays in the cache


class Tally(NamedTuple):
    """Counts by class, each `[..., classes]`: answered right, truly so, and answered so."""

    right: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts `[classes, classes]`: rows are the truth, columns the answers."""
    answered = predicted >= 0
    cells = truth[answered].astype(np.int64) * classes + predicted[answered]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def tally(matrix: np.ndarray) -> Tally:
    """The counts in confusion matrices `[..., classes, classes]`."""
    return Tally(np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(-1), matrix.sum(-2))


def recall(counts: Tally) -> np.ndarray:
    """Of the clips of each class, the share answered so; NaN for a class that has none."""
    return ratio(counts.right, counts.truth)


def precision(counts: Tally) -> np.ndarray:
    """Of the answers for each class, the share that is right; 0 for a class that has clips and no answers."""
    shares = ratio(counts.right, counts.predicted)
    return np.where((counts.predicted == 0) & (counts.truth > 0), 0.0, shares)


def f1(counts: Tally) -> np.ndarray:
    """The harmonic mean of precision and recall; NaN for a class that is neither there nor answered."""
    return ratio(2 * counts.right, counts.truth + counts.predicted)


def uar(counts: Tally) -> np.ndarray:
    """Unweighted average recall, the mean over the classes that have clips (balanced accuracy)."""
    return mean(recall(counts))


def accuracy(counts: Tally) -> np.ndarray:
    """The share of clips answered right: WA, weighted accuracy."""
    return ratio(counts.right.sum(-1), counts.truth.sum(-1))


def macro_f1(counts: Tally) -> np.ndarray:
    return mean(f1(counts))


def weighted_f1(counts: Tally) -> np.ndarray:
    """F1 averaged by how many clips each class has."""
    return ratio(np.nan_to_num(f1(counts) * counts.truth).sum(-1), counts.truth.sum(-1))


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole`, and NaN for 0 of 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)


def mean(values: np.ndarray, axis: int = -1, weights: np.ndarray | float = 1.0) -> np.ndarray:
    """The weighted mean of what is not NaN, along one axis."""
    there = ~np.isnan(values)
    counted = there * weights
    return ratio((np.where(there, values, 0.0) * counted).sum(axis), counted.sum(axis))


# Confidence and probabilities.


def bin_sums(confidence: np.ndarray, right: np.ndarray, unit: np.ndarray, units: int) -> np.ndarray:
    """Sums `[units, bins, 3]` of clips, confidence and right answers, in bins of equal width; NaN counts nowhere."""
    is_known = ~np.isnan(confidence)
    confidence, right = confidence[is_known], right[is_known]
    cell = unit[is_known] * BINS + np.minimum((confidence * BINS).astype(int), BINS - 1)
    columns = [np.bincount(cell, weights, units * BINS) for weights in (None, confidence, right)]
    return np.stack(columns, -1).reshape(units, BINS, 3)


def ece(sums: np.ndarray) -> np.ndarray:
    """Expected calibration error of `[..., bins, 3]`: how far confidence lies from accuracy, averaged over clips."""
    clips, confidence, right = np.moveaxis(sums, -1, 0)
    return ratio(np.abs(confidence - right).sum(-1), clips.sum(-1))


def ece_bounds(whole: np.ndarray, drawn: np.ndarray) -> tuple[float, float]:
    """The ECE's 95 % interval, averaged over seeds, of sums `[1, seeds, bins, 3]` and `[resamples, seeds, bins, 3]`.

    Chance only ever adds to it, so that resamples lie above: the upper bound is theirs less their mean excess, and the
    lower lies as far below the ECE as theirs lies above. It is 0 where chance alone would make as much of a perfect
    calibration: of resamples without the distance of each bin that was found.
    """
    value, resampled = (mean(ece(sums)) for sums in (whole, drawn))
    distance = np.nan_to_num(ratio(whole[..., 1] - whole[..., 2], whole[..., 0]))
    clips, confidence, right = np.moveaxis(drawn, -1, 0)
    by_chance = interval(mean(ece(np.stack([clips, confidence - clips * distance, right], -1))))[1]
    value_found, high = float(value[0]), float(interval(resampled)[1])
    low = 0.0 if value_found <= by_chance else max(0.0, 2 * value_found - high)
    return min(value_found, low), max(value_found, high - float(mean(resampled)) + value_found)


def log_losses(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Minus the logarithm of the true class' probability, `[clips]`, from `[clips, classes]`; never infinite."""
    of_truth = np.take_along_axis(probabilities, truth[:, None], 1)[:, 0]
    return -np.log(np.clip(of_truth, np.finfo(float).eps, 1 - np.finfo(float).eps))


def brier_scores(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The squared distance of the probabilities from certainty of the truth, `[clips]`: 0 to 2."""
    of_truth = np.take_along_axis(probabilities, truth[:, None], 1)[:, 0]
    return (probabilities**2).sum(1) - 2 * of_truth + 1


# People.


def vote_shares(votes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The share of each clip's votes `[clips, classes]` that names the truth; NaN where nobody voted."""
    return ratio(np.take_along_axis(votes, truth[:, None], 1)[:, 0], votes.sum(1))


def pluralities(votes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """1 where most votes name the truth, its part of a tie, else 0; NaN where nobody voted."""
    most = votes == votes.max(1, keepdims=True)
    of_truth = np.take_along_axis(most, truth[:, None], 1)[:, 0]
    return np.where(votes.sum(1) > 0, of_truth / most.sum(1), np.nan)


# Resampling.


class Units(NamedTuple):
    """What a bootstrap draws: the unit of each clip, and the stratum of each unit, within which it is drawn."""

    of_clip: np.ndarray  # [clips]
    stratum: np.ndarray  # [units]
    speakers: int
    how: str


def units_of(speaker: np.ndarray, whole: np.ndarray | None = None) -> Units:
    """Speakers where there are enough, else clips: within their speakers, or whoever speaks where those have few each.

    A speaker of -1 is unknown: such clips are drawn one by one. Windows of one clip are alike and say less than as many
    clips: where `whole` tells which clip each is of, they are drawn together.
    """
    person = np.unique(np.append(-1, speaker), return_inverse=True)[1][1:] - 1
    clip = np.arange(len(speaker)) if whole is None else np.unique(whole, return_inverse=True)[1]
    speakers, clips = (int(numbers.max(initial=-1)) + 1 for numbers in (person, clip))
    # Each clip a block of its own; very many go together at random, which leaves the spread of their sums as it is.
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
    """Each block of a person's clips a unit: which one each clip is in, `[clips]`, and whose each is, `[units]`."""
    _, first, of_clip = np.unique((person + 1) * MOST_CLIPS + block, return_index=True, return_inverse=True)
    return of_clip, person[first]


def class_sums(units: Units, truth: np.ndarray, credit: np.ndarray, classes: int) -> np.ndarray:
    """Credit summed by class for each unit, `[units, classes]`; NaN credit counts nowhere."""
    there = ~np.isnan(credit)
    count = len(units.stratum)
    cells = units.of_clip[there] * classes + truth[there]
    return np.bincount(cells, credit[there], count * classes).reshape(count, classes)


def tally_sums(units: Units, truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """A `Tally` for each unit, `[units, 3, classes]`."""
    answered = np.where(predicted >= 0, 1.0, np.nan)
    right = np.where(predicted >= 0, truth == predicted, np.nan)
    columns = ((truth, right), (truth, answered), (predicted, answered))
    return np.stack([class_sums(units, which, credit, classes) for which, credit in columns], 1)


def resample(sums: np.ndarray, stratum: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Sums `[units, n]` of as many units drawn with replacement within each stratum: `[resamples, n]`."""
    return np.concatenate([counts @ sums for counts in draws(stratum, resamples, seed)])


def draws(stratum: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each unit is drawn, `[some resamples, units]` at a time."""
    strata = [np.flatnonzero(stratum == number) for number in np.unique(stratum)]
    step = max(1, CHUNK // len(stratum))
    parts = [min(step, resamples - start) for start in range(0, resamples, step)]
    rngs = [np.random.default_rng(seed)]
    for members in strata[:-1]:  # each stratum goes on where all resamples of the one before it end
        rngs.append(deepcopy(rngs[-1]))
        for part in parts:
            _drawn(rngs[-1], part, len(members))
    for part in parts:
        counts = np.empty((part, len(stratum)))
        for members, rng in zip(strata, rngs, strict=True):
            counts[:, members] = _how_often(_drawn(rng, part, len(members)))
        yield counts


def _drawn(rng: np.random.Generator, resamples: int, count: int) -> np.ndarray:
    """Which of `count` units are drawn in `count` draws, `[resamples, count]`."""
    return rng.integers(0, count, (resamples, count), dtype=np.int32)


def _how_often(drawn: np.ndarray) -> np.ndarray:
    """How often each unit is among those drawn in a resample, `[resamples, count]`."""
    resamples, count = drawn.shape
    drawn += np.arange(0, resamples * count, count, dtype=np.int32)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * count).reshape(resamples, count)


def interval(values: np.ndarray) -> np.ndarray:
    """The bounds between which 95 % of the resamples lie, `[2, ...]` from `[resamples, ...]`; NaN is left out."""
    ordered = np.sort(values, axis=0)  # NaN comes last
    last = np.maximum((~np.isnan(values)).sum(0) - 1, 0)
    bounds = []
    for share in (0.025, 0.975):
        below = np.floor(share * last).astype(int)
        low, high = (np.take_along_axis(ordered, place[None], 0)[0] for place in (below, np.minimum(below + 1, last)))
        bounds.append(low + (share * last - below) * (high - low))
    return np.stack(bounds)


# Two runs on the same clips.


def two_sided(differences: np.ndarray) -> float:
    """How probable so great a difference is by chance, from resampled differences."""
    beyond = min((differences <= 0).mean(), (differences >= 0).mean())
    return float(min(1.0, max(2 * beyond, 1 / len(differences))))


def mcnemar(only_first: int, only_second: int) -> tuple[float, str]:
    """How probable it is that two runs differ so much in which clips they get right, and by which test.

    Under chance each discordant clip falls to either run like a coin: counted out where there are few, else by
    chi-square with one degree of freedom and continuity correction, whose tail is erfc(sqrt(chi2 / 2)).
    """
    discordant, fewer = only_first + only_second, min(only_first, only_second)
    if discordant < EXACT_BELOW:
        tail = sum(math.comb(discordant, k) for k in range(fewer + 1)) / 2**discordant
        return min(1.0, 2 * tail), "exact"
    chi2 = max(abs(only_first - only_second) - 1, 0) ** 2 / discordant
    return math.erfc(math.sqrt(chi2 / 2)), "chi-square"
