"""Figures agree with scikit-learn, and intervals do what intervals promise."""

import math

import numpy as np
import pytest

from sertool.numeric import metrics
from sertool.numeric.metrics import Tally

CLOSE = {"rel": 0, "abs": 1e-9}


def answers(seed: int, clips: int = 400, classes: int = 5, skill: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Truth and answers in which classes are of unequal size and mistakes have favourites."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(classes, clips, p=rng.dirichlet(np.full(classes, 2.0)))
    guess = rng.choice(classes, clips, p=rng.dirichlet(np.full(classes, 1.0)))
    return truth, np.where(rng.random(clips) < skill, truth, guess)


def counted(truth: np.ndarray, predicted: np.ndarray, classes: int = 5) -> Tally:
    return metrics.tally(metrics.confusion(truth, predicted, classes))


def chances(seed: int, clips: int = 300, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(classes, 0.3), clips)
    return probabilities, np.array([rng.choice(classes, p=row) for row in probabilities])


def reliability(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    return metrics.bin_sums(confidence, right, np.zeros(len(right), int), 1)[0]


# Figures.


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("skill", [0.0, 0.6, 1.0])
def test_classification_metrics_agree_with_scikit_learn(seed: int, skill: float) -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    truth, predicted = answers(seed, skill=skill)
    ours, seen = counted(truth, predicted), np.union1d(truth, predicted)
    assert metrics.uar(ours) == pytest.approx(theirs.balanced_accuracy_score(truth, predicted), **CLOSE)
    assert metrics.accuracy(ours) == pytest.approx(theirs.accuracy_score(truth, predicted), **CLOSE)
    for figure, average in ((metrics.macro_f1, "macro"), (metrics.weighted_f1, "weighted")):
        theirs_f1 = theirs.f1_score(truth, predicted, average=average, zero_division=0)
        assert figure(ours) == pytest.approx(theirs_f1, **CLOSE)
    matrix = theirs.confusion_matrix(truth, predicted, labels=range(5))
    assert np.array_equal(metrics.confusion(truth, predicted, 5), matrix)
    by_class = theirs.precision_recall_fscore_support(truth, predicted, labels=seen, zero_division=0)
    for figure, expected in zip((metrics.precision, metrics.recall, metrics.f1), by_class, strict=False):
        assert np.nan_to_num(figure(ours)[seen]) == pytest.approx(expected, **CLOSE)
    assert np.array_equal(ours.truth[seen], by_class[3])


@pytest.mark.parametrize("seed", range(5))
def test_log_loss_and_brier_agree_with_scikit_learn(seed: int) -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    probabilities, truth = chances(seed)
    labels = list(range(probabilities.shape[1]))
    loss = theirs.log_loss(truth, probabilities, labels=labels)
    assert metrics.log_losses(probabilities, truth).mean() == pytest.approx(loss, **CLOSE)
    brier = ((probabilities - np.eye(len(labels))[truth]) ** 2).sum(1)
    assert metrics.brier_scores(probabilities, truth) == pytest.approx(brier, **CLOSE)
    two = probabilities[:, :2] / probabilities[:, :2].sum(1, keepdims=True)
    half = theirs.brier_score_loss(truth[truth < 2], two[truth < 2, 1])
    assert metrics.brier_scores(two[truth < 2], truth[truth < 2]).mean() / 2 == pytest.approx(half, **CLOSE)


def test_mcnemar_agrees_with_the_binomial_and_the_chi_square_distribution() -> None:
    stats = pytest.importorskip("scipy.stats")
    for first, second in ((0, 0), (3, 9), (12, 12), (0, 5), (10, 14)):
        expected = stats.binomtest(first, first + second).pvalue if first + second else 1
        assert metrics.mcnemar(first, second) == (pytest.approx(expected, abs=1e-12), "exact")
    for first, second in ((10, 15), (40, 80), (100, 101), (500, 200)):
        expected = stats.chi2.sf((abs(first - second) - 1) ** 2 / (first + second), 1)
        assert metrics.mcnemar(first, second) == (pytest.approx(expected, rel=1e-9), "chi-square")


def test_holm_multiplies_the_smallest_p_by_all_tests_and_never_falls() -> None:
    """.01 · 4, .02 · 3, .02 · 2 (raised to the .06 before it), .9 · 1; without a value a test does not count."""
    assert metrics.holm([0.02, 0.01, np.nan, 0.9, 0.02]) == pytest.approx([0.06, 0.04, np.nan, 0.9, 0.06], nan_ok=True)
    assert metrics.holm([0.4, 0.6]) == pytest.approx([0.8, 0.8])
    assert metrics.holm([0.7, 0.6]) == pytest.approx([1, 1])
    assert metrics.holm([0.3]) == [0.3]


def test_class_without_clips_does_not_affect_the_others() -> None:
    truth, predicted = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    ours = counted(truth, predicted, 4)
    assert metrics.uar(ours) == 0.75
    assert np.array_equal(metrics.recall(ours), [0.5, 1, np.nan, np.nan], equal_nan=True)
    assert metrics.macro_f1(ours) == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_precision_of_an_emotion_that_is_never_predicted_is_zero() -> None:
    """Of one that no clip has either there is none."""
    ours = counted(np.array([0, 1, 1]), np.array([1, 1, 1]), 3)
    assert metrics.precision(ours) == pytest.approx([0, 2 / 3, np.nan], nan_ok=True)


@pytest.mark.filterwarnings("error")
def test_undefined_metrics_are_nan_without_a_warning() -> None:
    nothing = Tally(*np.zeros((3, 2, 4)))
    for figure in (metrics.uar, metrics.accuracy, metrics.macro_f1, metrics.weighted_f1):
        assert np.isnan(figure(nothing)).all()
    assert np.isnan(metrics.ece(np.zeros((metrics.BINS, 3))))
    assert np.isnan(metrics.vote_shares(np.zeros((1, 3)), np.array([0]))).all()
    assert np.isnan(metrics.interval(np.full((10, 2), np.nan))).all()


def test_clips_without_an_answer_are_not_counted() -> None:
    truth, predicted = answers(1)
    given = np.random.default_rng(2).random(len(truth)) < 0.7
    with_gaps = np.where(given, predicted, -1)
    for one, other in zip(counted(truth, with_gaps), counted(truth[given], predicted[given]), strict=True):
        assert np.array_equal(one, other)


def test_log_loss_of_a_certain_wrong_answer_is_finite() -> None:
    assert np.isfinite(metrics.log_losses(np.array([[1.0, 0.0]]), np.array([1]))).all()


# Confidence and people.


def test_ece_measures_excess_confidence_and_vanishes_when_calibrated() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0, 1, 200_000)
    right = (rng.random(len(confidence)) < confidence).astype(float)
    assert metrics.ece(reliability(confidence, right)) < 0.01
    boaster = reliability(np.full(1000, 0.9), np.repeat([1.0, 0.0], 500))
    assert metrics.ece(boaster) == pytest.approx(0.4)


def ece_with_bounds(boast: float, speakers: int, seed: int) -> tuple[float, float, float]:
    """The ECE, and its interval, of 400 clips whose confidence is that much above the chance of being right."""
    rng = np.random.default_rng(seed)
    confidence, speaker = 0.25 + 0.75 * rng.beta(3, 2, 400), np.arange(400) % speakers
    right = (rng.random(400) < confidence - boast).astype(float)
    sums = metrics.bin_sums(confidence, right, speaker, speakers)
    drawn = metrics.resample(sums.reshape(speakers, -1), np.zeros(speakers, int), 200, seed)
    bounds = metrics.ece_bounds(sums.sum(0)[None, None], drawn.reshape(-1, 1, metrics.BINS, 3))
    return float(metrics.ece(sums.sum(0))), *bounds


@pytest.mark.parametrize(("boast", "speakers"), [(0.0, 400), (0.0, 40), (0.1, 400), (0.1, 40)])
def test_ece_intervals_cover_the_true_value_at_their_nominal_rate(boast: float, speakers: int) -> None:
    held = 0
    for seed in range(60):
        found, low, high = ece_with_bounds(boast, speakers, seed)
        assert 0 <= low <= found <= high <= 1
        held += low <= boast <= high
    assert held >= 51  # nine in ten, less what 60 throws may lack


def test_ece_interval_of_an_overconfident_model_is_narrow_and_mostly_positive() -> None:
    _, low, high = np.transpose([ece_with_bounds(0.1, 400, seed) for seed in range(30)])
    assert (low > 0).mean() > 0.6
    assert (high - low).mean() < 0.1


def test_confidence_of_one_falls_into_the_last_bin() -> None:
    sums = reliability(np.array([0.0, 1.0, np.nan]), np.array([0.0, 1.0, 1.0]))
    assert sums[0, 0] == 1
    assert sums[-1, 0] == 1
    assert sums[:, 0].sum() == 2


def test_votes_are_credited_by_share_and_ties_are_split() -> None:
    votes = np.array([[3, 1, 0], [2, 2, 0], [0, 1, 4], [0, 0, 0]])
    truth = np.array([0, 1, 0, 2])
    assert np.array_equal(metrics.vote_shares(votes, truth), [0.75, 0.5, 0, np.nan], equal_nan=True)
    assert np.array_equal(metrics.pluralities(votes, truth), [1, 0.5, 0, np.nan], equal_nan=True)


# Resampling.


def test_resampling_unit_depends_on_the_number_of_known_speakers() -> None:
    clips = np.arange(70)
    many = metrics.units_of(clips % 8)
    assert (len(many.stratum), many.speakers, len(np.unique(many.stratum))) == (8, 8, 1)
    few = metrics.units_of(clips % 7)
    assert (len(few.stratum), few.speakers, len(np.unique(few.stratum))) == (70, 7, 7)
    assert "within the 7 speakers, too few" in few.how
    none = metrics.units_of(np.full(70, -1))
    assert (len(none.stratum), none.speakers, len(np.unique(none.stratum))) == (70, 0, 1)
    assert "speakers unknown" in none.how


@pytest.mark.parametrize("clips_each", [1, 2, 5])
def test_few_speakers_with_few_clips_are_resampled_by_clip_without_strata(clips_each: int) -> None:
    """One clip of a speaker, drawn among itself, would be the same every time, and the interval have no width."""
    units = metrics.units_of(np.repeat(np.arange(7), clips_each))
    assert (len(units.stratum), units.speakers, len(np.unique(units.stratum))) == (7 * clips_each, 7, 1)
    assert "whoever speaks: 7 speakers of few clips" in units.how


def test_clips_without_a_speaker_are_resampled_individually() -> None:
    units = metrics.units_of(np.array([*range(9), *range(9), -1, -1]))
    assert len(units.stratum) == 11
    assert units.of_clip[-1] != units.of_clip[-2]
    assert units.speakers == 9


def test_many_clips_without_a_speaker_are_grouped_for_resampling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST_CLIPS", 100)
    units = metrics.units_of(np.array([*range(9), *[-1] * 1000]))
    assert len(units.stratum) == 109


def test_each_resample_preserves_the_stratum_sizes() -> None:
    stratum = np.repeat([0, 1, 2], [5, 1, 30])
    members = np.eye(3)[stratum]
    drawn = metrics.resample(np.c_[members, np.arange(36.0)], stratum, 300, seed=1)
    assert (drawn[:, :3] == [5, 1, 30]).all()
    assert len(np.unique(drawn[:, 3])) > 100
    assert drawn[:, 3].mean() == pytest.approx(np.arange(36).sum(), rel=0.02)


def test_strata_of_equal_size_are_drawn_independently() -> None:
    counts = np.concatenate([*metrics.draws(np.repeat(range(4), 10), 2000, seed=0)])
    shared = np.corrcoef(counts[:, ::10], rowvar=False)  # of the first clip of each stratum
    assert np.abs(shared - np.eye(4)).max() < 0.1


def test_equal_seeds_give_equal_resamples_and_different_seeds_differ() -> None:
    sums = np.random.default_rng(0).random((20, 2))
    one, again, other = (metrics.resample(sums, np.zeros(20, int), 50, seed) for seed in (3, 3, 4))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("strata", [1, 3])
def test_resampling_in_chunks_gives_the_same_result(monkeypatch: pytest.MonkeyPatch, strata: int) -> None:
    sums, stratum = np.random.default_rng(0).random((20, 2)), np.arange(20) % strata
    whole = metrics.resample(sums, stratum, 100, seed=0)
    monkeypatch.setattr(metrics, "CHUNK", 64)
    assert len([*metrics.draws(stratum, 100, seed=0)]) == 34
    assert metrics.resample(sums, stratum, 100, seed=0) == pytest.approx(whole)


def test_intervals_are_percentiles_that_ignore_nan() -> None:
    values = np.random.default_rng(0).normal(size=(501, 3))
    values[::3, 1] = np.nan
    assert metrics.interval(values) == pytest.approx(np.nanpercentile(values, (2.5, 97.5), axis=0))


def test_speaker_interval_covers_the_truth_at_about_its_nominal_rate() -> None:
    rng, covered, trials = np.random.default_rng(5), 0, 300
    for trial in range(trials):
        speaker = np.repeat(np.arange(30), 20)
        skill = rng.beta(4, 2, 30)[speaker]
        right = (rng.random(len(speaker)) < skill).astype(float)
        units = metrics.units_of(speaker)
        sums = metrics.class_sums(units, np.zeros(len(right), int), right, 1)
        low, high = metrics.interval(metrics.resample(sums, units.stratum, 400, trial)[:, 0] / len(right))
        covered += low <= 4 / 6 <= high
    assert 0.88 < covered / trials < 0.98


def test_grouping_clips_preserves_the_interval_width(monkeypatch: pytest.MonkeyPatch) -> None:
    right = (np.random.default_rng(0).random(20_000) < 0.7).astype(float)
    widths = []
    for most in (20_000, 1000):
        monkeypatch.setattr(metrics, "MOST_CLIPS", most)
        units = metrics.units_of(np.full(len(right), -1))
        assert len(units.stratum) == most
        sums = metrics.class_sums(units, np.zeros(len(right), int), right, 1)
        low, high = metrics.interval(metrics.resample(sums, units.stratum, 1000, 0)[:, 0] / len(right))
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0], rel=0.12)


def test_differences_between_speakers_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    speaker = np.repeat(np.arange(20), 50)
    right = (rng.random(1000) < rng.choice([0.2, 0.9], 20)[speaker]).astype(float)
    widths = []
    for who in (speaker, np.full(1000, -1)):
        units = metrics.units_of(who)
        sums = metrics.class_sums(units, np.zeros(1000, int), right, 1)
        low, high = metrics.interval(metrics.resample(sums, units.stratum, 500, 0)[:, 0])
        widths.append(high - low)
    assert widths[0] > 2 * widths[1]


def test_bootstrap_p_value_is_two_sided_and_never_zero() -> None:
    assert metrics.bootstrap_p_value(np.zeros(100)) == 1
    assert metrics.bootstrap_p_value(np.full(1000, 0.2)) == pytest.approx(0.001)
    assert metrics.bootstrap_p_value(np.r_[np.full(50, -1.0), np.full(950, 1.0)]) == pytest.approx(0.1)
    assert math.isclose(metrics.bootstrap_p_value(np.r_[np.full(950, -1.0), np.full(50, 1.0)]), 0.1)


# Ratings.


def slow_ccc(truth, predicted):
    """Lin's coefficient, straight from its definition."""
    covariance = ((truth - truth.mean()) * (predicted - predicted.mean())).mean()
    return 2 * covariance / (truth.var() + predicted.var() + (truth.mean() - predicted.mean()) ** 2)


def moments(truth, predicted, units=None):
    units = np.zeros(len(truth), int) if units is None else units
    whole = metrics.Units(units, np.zeros(units.max() + 1, int), 0, "")
    return metrics.moment_sums(whole, np.array([truth], float), np.array([predicted], float))


@pytest.mark.parametrize("level", [0, 4, 1e6])
def test_figures_of_ratings_equal_their_definitions_whatever_the_level_and_however_clips_are_grouped(level):
    rng = np.random.default_rng(0)
    truth = level + rng.normal(size=200)
    predicted = 0.3 + level + 0.5 * (truth - level) + 0.4 * rng.normal(size=200)
    sums = moments(truth, predicted, rng.integers(0, 9, 200)).sum(0)[0]
    assert metrics.ccc(sums) == pytest.approx(slow_ccc(truth, predicted), rel=1e-6)
    assert metrics.pearson(sums) == pytest.approx(np.corrcoef(truth, predicted)[0, 1], rel=1e-6)
    assert metrics.rmse(sums) == pytest.approx(np.sqrt(((truth - predicted) ** 2).mean()), rel=1e-6)


def test_only_equal_predictions_have_a_ccc_of_1_and_mirrored_ones_of_minus_1():
    truth = np.array([1.0, 2, 4, 5])
    for predicted, expected in ((truth, 1), (6 - truth, -1)):
        assert metrics.ccc(moments(truth, predicted)[0, 0]) == pytest.approx(expected)
    for predicted in (truth + 1, 2 * truth - 3):
        sums = moments(truth, predicted)[0, 0]
        assert metrics.pearson(sums) == pytest.approx(1)
        assert metrics.ccc(sums) < 0.9


@pytest.mark.parametrize("value", [3.0, 0.1, 1e6 / 3])
def test_constant_predictions_have_a_ccc_of_0_and_constant_truth_has_none(value):
    truth, alike = np.array([0.1, 0.7, 0.3]), np.full(3, value)
    assert metrics.ccc(moments(truth, alike)[0, 0]) == 0
    assert np.isnan(metrics.pearson(moments(truth, alike)[0, 0]))
    for one in (moments(alike, truth), moments(alike, alike), moments(alike[:1], truth[:1])):
        assert np.isnan(metrics.ccc(one[0, 0]))


def test_unknown_ratings_and_predictions_count_nowhere():
    truth, predicted = np.array([1.0, 2, np.nan, 4, 9]), np.array([2.0, 2, 7, 3, np.nan])
    known = [0, 1, 3]
    sums = moments(truth, predicted)[0, 0]
    assert metrics.Moments(*sums).clips == 3
    assert metrics.ccc(sums) == pytest.approx(slow_ccc(truth[known], predicted[known]))
