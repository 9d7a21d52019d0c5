"""Sum what a run's figures are made of, over all of it and each resample, and compute figures with intervals.

All figures come from these sums, so that one bootstrap serves them all.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from sertool.eval.answers import Answers
from sertool.eval.emotions import Emotions
from sertool.eval.ratings import Ratings
from sertool.eval.scores import Figure
from sertool.numeric import metrics
from sertool.numeric.metrics import Tally, Units

UnitSums = dict[str, np.ndarray]
USUAL = 2000  # resamples
PER_PAIR = 200  # resamples for each pair of runs: the least p is then corrected to .005
MOST = 100_000


@dataclass(frozen=True)
class Bootstrap:
    """How many resamples the bootstrap draws, or None for as many as it needs, and its seed."""

    resamples: int | None = None
    seed: int = 0

    def count(self, pairs: int = 0) -> int:
        """Return the number of resamples for so many pairs of runs, by which Holm's method multiplies the least p."""
        return self.resamples or min(max(USUAL, PER_PAIR * pairs), MOST)


# Sums for each unit.


def of_run(run: Answers, units: Units) -> UnitSums:
    """Return the sums that the figures are made of, for each unit: `[units, seeds, ...]`."""
    sums = {"main": of_answers(run, units)}
    return sums | _beside(run, units) if isinstance(run, Emotions) else sums


def of_answers(run: Answers, units: Units) -> np.ndarray:
    """Return the sums of the figures that groups and pairs of runs have, too, `[units, seeds, ...]`."""
    return _by_seed(run, lambda seed: _of_seed(run, units, run.truth, run.predicted[..., seed, :]))


def _of_seed(run: Answers, units: Units, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the sums of each unit for some clips of a seed.

    They are of emotions a tally, `[units, 3, classes]`, and of ratings moments, `[units, dimensions, 6]`.
    """
    if isinstance(run, Emotions):
        return metrics.tally_sums(units, truth, predicted, len(run.classes))
    return metrics.moment_sums(units, truth, predicted)


def _beside(run: Emotions, units: Units) -> UnitSums:
    """Return the sums of what emotions have beside their tallies: confidences, losses and votes."""
    sums = {}
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


def _by_seed(run: Answers, of_seed: Callable[[int], np.ndarray]) -> np.ndarray:
    return np.stack([of_seed(seed) for seed in range(len(run.seeds))], 1)


def _bin_sums(run: Emotions, units: Units, seed: int) -> np.ndarray:
    right = (run.predicted[seed] == run.truth).astype(float)
    return metrics.bin_sums(run.confidence[seed], right, units.of_clip, len(units.stratum))


def _loss_sums(run: Emotions, units: Units, seed: int) -> np.ndarray:
    """Return log loss and the number of clips that have one, and the same for the Brier score, `[units, 4]`."""
    credits = [credit for loss in run.losses[:, seed] for credit in (loss, np.where(np.isnan(loss), np.nan, 1.0))]
    return np.stack([metrics.class_sums(units, np.zeros_like(run.truth), credit, 1)[:, 0] for credit in credits], 1)


class Fold(NamedTuple):
    """A fold under one seed: its units, and the sums of each, `[units, ...]`."""

    units: np.ndarray
    sums: np.ndarray


class Folds(NamedTuple):
    """The folds of each seed, and the run's main figure as a function of sums, drawn and of the whole."""

    of_seeds: list[list[Fold]]
    figure: Callable[[np.ndarray, np.ndarray], np.ndarray]


def folds_of(run: Answers, units: Units) -> Folds | None:
    """Return the folds of a run; None if there is only one."""
    found = fold_codes(run)
    folds = [[_fold(run, units, seed, fold) for fold in found] for seed in range(len(run.seeds))]
    return Folds(folds, partial(main_figure, run)) if found[1:] else None


def fold_codes(run: Answers) -> list[int]:
    return np.unique(run.fold.index[run.fold.index >= 0]).tolist()


def _fold(run: Answers, units: Units, seed: int, fold: int) -> Fold:
    rows = np.flatnonzero(run.fold.index[seed] == fold)
    members, of_clip = np.unique(units.of_clip[rows], return_inverse=True)
    within = Units(of_clip, np.zeros(len(members), int), 0, "")
    return Fold(members, _of_seed(run, within, run.truth[..., rows], run.predicted[..., seed, rows]))


def whole_and_drawn(
    sums: UnitSums, units: Units, bootstrap: Bootstrap, folds: Folds | None = None
) -> tuple[UnitSums, UnitSums]:
    """Return the sums of all units, `[1, ...]`, and those of each resample, `[resamples, ...]`."""
    whole = [np.ones((1, len(units.stratum)))]
    draws = metrics.draws(units.stratum, bootstrap.count(), bootstrap.seed)
    return _drawn(sums, folds, whole), _drawn(sums, folds, draws)


def _drawn(sums: UnitSums, folds: Folds | None, draws: Iterable[np.ndarray]) -> UnitSums:
    """Return the sums of resamples, `[resamples, ...]`, and the mean of the folds' main figure.

    Each of the `draws` says how often the resample has each unit.
    """
    flat = np.concatenate([piece.reshape(len(piece), -1) for piece in sums.values()], 1)
    drawn, means = [], []
    for counts in draws:
        drawn.append(counts @ flat)
        if folds:
            means.append(_mean_of_folds(folds, counts))
    ends = np.cumsum([piece[0].size for piece in sums.values()])
    pieces = np.split(np.concatenate(drawn), ends[:-1], 1)
    found = {name: part.reshape(-1, *sums[name].shape[1:]) for name, part in zip(sums, pieces, strict=True)}
    return found | ({"folds": np.concatenate(means)} if folds else {})


def _mean_of_folds(folds: Folds, counts: np.ndarray) -> np.ndarray:
    """Return the mean over the folds of each seed of the main figure, `[resamples, seeds]`.

    Each fold is summed over its own units, which are few. A fold counts by how much of it was drawn: one of a single
    speaker, drawn three times, is there three times.
    """
    values, shares = np.empty((2, len(counts), len(folds.of_seeds), len(folds.of_seeds[0])))
    for seed, of_seed in enumerate(folds.of_seeds):
        for place, fold in enumerate(of_seed):
            drawn = counts[:, fold.units]
            values[:, seed, place] = folds.figure(np.tensordot(drawn, fold.sums, 1), fold.sums.sum(0))
            shares[:, seed, place] = drawn.sum(1) / max(len(fold.units), 1)
    return metrics.mean(values, weights=shares)


# From sums `[resamples, ...]` to figures `[resamples, seeds]`.


def as_tally(counts: np.ndarray) -> Tally:
    """Return tallies, `[..., 3, classes]`, by name."""
    return Tally(*np.moveaxis(counts, -2, 0))


def main_figures(run: Answers, drawn: np.ndarray, whole: np.ndarray) -> dict[str, np.ndarray]:
    """Return the figures of a run's main sums, `[...]` each from `[..., what a unit has]`, the main ones among them."""
    return _of_moments(run, drawn, whole) if isinstance(run, Ratings) else _of_tallies(drawn, whole)


def main_figure(run: Answers, drawn: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return main_figures(run, drawn, whole)[run.main[0]]


def _of_tallies(drawn: np.ndarray, whole: np.ndarray) -> dict[str, np.ndarray]:
    """Return the figures of tallies, `[..., 3, classes]`, averaged over the classes of the whole."""
    counts, all_counts = as_tally(drawn), as_tally(whole)
    return {
        "uar": metrics.uar(counts, all_counts),
        "wa": metrics.accuracy(counts),
        "macro_f1": metrics.macro_f1(counts, all_counts),
        "weighted_f1": metrics.weighted_f1(counts),
    }


def _of_moments(run: Ratings, drawn: np.ndarray, whole: np.ndarray) -> dict[str, np.ndarray]:
    """Return the figures of moments, `[..., dimensions, 6]`; a resample without a CCC takes that of the whole."""
    found = metrics.ccc_figures(drawn, run.dimensions, whole)
    return {name: found[name] for name in run.main}


def figures(run: Answers, sums: UnitSums, whole: UnitSums) -> dict[str, np.ndarray]:
    found = main_figures(run, sums["main"], whole["main"])
    if "folds" in sums:
        found[f"{run.main[0]}_of_folds"] = sums["folds"]
    if "bins" in sums:
        found["ece"] = metrics.ece(sums["bins"])
    if "losses" in sums:
        loss, with_loss, brier, clips = np.moveaxis(sums["losses"], -1, 0)
        found |= {"log_loss": metrics.ratio(loss, with_loss), "brier": metrics.ratio(brier, clips)}
    return found


def of_people(sums: UnitSums, whole: UnitSums) -> dict[str, np.ndarray]:
    if "votes" not in sums:
        return {}
    *credits, clips = np.moveaxis(sums["votes"], -2, 0)
    *all_credits, all_clips = np.moveaxis(whole["votes"], -2, 0)
    found = {}
    for name, credit, all_credit in zip(("votes", "plurality"), credits, all_credits, strict=True):
        recalls, all_recalls = metrics.ratio(credit, clips), metrics.ratio(all_credit, all_clips)
        found[f"{name}_uar"] = metrics.average(recalls, clips, all_recalls)[:, None]
        found[f"{name}_wa"] = metrics.ratio(credit.sum(-1), clips.sum(-1))[:, None]
    return found


def with_interval(point: np.ndarray, drawn: np.ndarray) -> Figure:
    """Return a figure averaged over seeds, from `[1, seeds]` and `[resamples, seeds]`.

    It has no bounds if all resamples are alike, as those of a single clip, or of clips that are all right: that is no
    certainty.
    """
    low, high = metrics.interval(metrics.mean(drawn))
    if math.isclose(low, high):
        low = high = math.nan
    seeds = point[0][~np.isnan(point[0])]
    deviation = float(np.std(seeds, ddof=1)) if len(seeds) > 1 else None
    return Figure(float(metrics.mean(point)[0]), float(low), float(high), deviation)


def with_intervals(points: dict[str, np.ndarray], drawn: dict[str, np.ndarray]) -> dict[str, Figure]:
    return {name: with_interval(point, drawn[name]) for name, point in points.items()}


def figures_with_intervals(run: Answers, whole: UnitSums, drawn: UnitSums) -> dict[str, Figure]:
    """Return all figures of a run; the ECE has an interval of its own."""
    found = with_intervals(figures(run, whole, whole), figures(run, drawn, whole))
    if "ece" in found and not math.isnan(found["ece"].low):
        low, high = metrics.ece_bounds(whole["bins"], drawn["bins"])
        found["ece"] = replace(found["ece"], low=low, high=high)
    return found
