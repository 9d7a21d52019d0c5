"""Columns chosen or projected: learnt from what is given, judged on speakers held out, and kept as a linear map."""

import numpy as np
import pytest

from sertool import models
from sertool.errors import SertoolError, UsageError
from sertool.train import selection


@pytest.fixture
def clips() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """60 columns of 20 speakers, of which 3, 17 and 41 tell three emotions apart, each two of them."""
    draw = np.random.default_rng(0)
    speakers = np.repeat(np.arange(20), 30)
    y = np.tile(np.arange(3), 200)
    x = draw.normal(size=(600, 60)) * draw.uniform(0.01, 100, 60) + draw.normal(size=60)
    for column, emotion in ((3, 0), (17, 1), (41, 2)):
        x[:, column] += 2 * x[:, column].std() * (y == emotion)
    return x, y, speakers


def mapped(found: selection.Projection, x: np.ndarray) -> np.ndarray:
    return (x - found.offset) @ found.matrix


def test_informative_columns_are_selected_first(clips):
    chosen = selection.select(*clips)
    assert {3, 17, 41} <= set(chosen)
    assert set(chosen[:3]) == {3, 17, 41}
    assert len(chosen) < 20


def test_column_selection_is_reproducible(clips):
    assert selection.select(*clips) == selection.select(*clips)


def test_at_most_the_requested_number_of_columns_is_selected(clips):
    assert len(selection.select(*clips, most=2)) <= 2


def test_columns_are_judged_on_held_out_speakers():
    """Columns that tell who speaks tell everything where a speaker has one emotion, but of who was seen alone."""
    speakers = np.repeat(np.arange(20), 30)
    x, y = np.eye(20)[speakers] + np.random.default_rng(1).normal(size=(600, 20)) * 0.1, speakers // 2 % 2
    recalls = []
    for groups in (speakers, np.arange(600)):
        fold = selection._folds(groups)
        recalls.append(np.mean([selection._recalls(x, y, fold == number, [20]) for number in range(5)]))
    assert recalls[0] < 0.7
    assert recalls[1] > 0.95


def test_recalls_match_scikit_learns_discriminant_analysis():
    """Its slow twin, on emotions along one axis: without the means' lengths, the middle one would never be chosen."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.metrics import balanced_accuracy_score

    draw, y = np.random.default_rng(0), np.tile(np.arange(3), 200)
    x = draw.normal(size=(600, 4)) + 2 * y[:, None]
    held_out = np.arange(600) < 200
    theirs = LinearDiscriminantAnalysis(priors=[1 / 3] * 3).fit(x[~held_out], y[~held_out]).predict(x[held_out])
    (found,) = selection._recalls(x, y, held_out, [4])
    assert found == pytest.approx(balanced_accuracy_score(y[held_out], theirs), abs=0.01)


def test_column_selection_needs_at_least_two_speakers(clips):
    with pytest.raises(SertoolError, match="two speakers"):
        selection.select(clips[0], clips[1], np.zeros(600))


def test_column_ranking_matches_an_analysis_of_variance(clips):
    """The slow twin: scikit-learn's analysis of variance."""
    from sklearn.feature_selection import f_classif

    x, y, _ = clips
    assert selection.ranking(x, y)[:10].tolist() == np.argsort(-f_classif(x, y)[0])[:10].tolist()


def test_selected_columns_form_a_linear_projection(clips):
    x = clips[0]
    np.testing.assert_array_equal(mapped(selection.picked([41, 3], 60), x), x[:, [41, 3]])


def test_pca_gives_the_components_of_standardised_columns(clips):
    from sklearn.decomposition import PCA

    x, y, _ = clips
    mine = selection.reduce("pca:5", x, y)
    z = (x - x.mean(0)) / x.std(0)
    twin = PCA(5).fit_transform(z)
    got = mapped(mine, x)
    np.testing.assert_allclose(np.abs(got), np.abs(twin), atol=1e-8)
    assert mine.matrix.shape == (60, 5)


def test_lda_gives_one_component_fewer_than_emotions(clips):
    x, y, _ = clips
    reduced = mapped(selection.reduce("lda", x, y), x)
    assert reduced.shape == (600, 2)
    means = np.stack([reduced[y == emotion].mean(0) for emotion in range(3)])
    within = np.mean([reduced[y == emotion].var(0) for emotion in range(3)], axis=0)
    assert (means.var(0) / within > 0.5).all()


def test_duplicate_and_constant_columns_are_tolerated(clips):
    x, y, speakers = clips
    x = np.concatenate([x, x, np.ones((600, 1))], axis=1)
    for how in ("lda", "pca:3"):
        assert np.isfinite(mapped(selection.reduce(how, x, y), x)).all()
    assert set(selection.select(x, y, speakers)) & {3, 63}


@pytest.mark.parametrize("how", ["pca", "pca:0", "pca:x", "lda:2", "ica:4", ""])
def test_unknown_reduction_is_refused_with_the_choices(how, clips):
    with pytest.raises(UsageError, match="lda, none, or pca:N"):
        selection.reduce(how, *clips[:2])


def test_pca_with_more_components_than_columns_is_refused(clips):
    with pytest.raises(UsageError, match="600 clips of 60 columns have 60"):
        selection.reduce("pca:61", *clips[:2])


def test_lda_of_a_single_emotion_is_refused(clips):
    with pytest.raises(SertoolError, match="two emotions"):
        selection.reduce("lda", clips[0], np.zeros(600))


def test_lda_needs_more_clips_than_emotions(clips):
    x, y = clips[0][:3], np.arange(3)
    lda = models.load("lda").Model(models.settings("lda", {}), x.shape[1], 3)
    for fit in (lambda: selection.reduce("lda", x, y), lambda: lda.fit(x, y)):
        with pytest.raises(SertoolError, match="more clips than emotions, and 3 clips"):
            fit()
