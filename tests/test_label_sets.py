"""Several corpora in one training: no corpus teaches what it never asked for, and none is drowned."""

from pathlib import Path

import numpy as np
import pytest
import torch
from running import PATTERN, sertool
from training_run import TINY, train

from sertool.manifests import manifest, manifest_io
from sertool.manifests.answer_kinds import Emotions
from sertool.modelfiles import batches, modelfile, row_scaling
from sertool.sound import encoding, synth
from sertool.train import label_sets, row_augmentation, training
from sertool.train.emotion_aim import EmotionLesson, EmotionLoss
from sertool.train.training_data import Data
from sertool.train.training_settings import Settings

CORPORA = {"one": ("neutral", "happy", "angry"), "two": ("neutral", "angry", "sad")}
SPLIT = ("--split", "speaker:50/25/25")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A manifest for each of two corpora of four speakers with 16 log-mels; the second has twice as many clips."""
    folder = tmp_path_factory.mktemp("mingling")
    made = []
    for seed, (name, emotions) in enumerate(CORPORA.items()):
        synth.corpus(folder / name, 4, emotions, 1 + seed, seed=seed, write=encoding.write)
        words = ("--corpus", name, "--pattern", PATTERN, *SPLIT, "-o", folder / f"{name}.parquet")
        indexed = sertool("index", folder / name, *words)
        assert indexed.code == 0, indexed.err
        out = folder / f"{name}-mel"
        assert sertool("featurize", folder / f"{name}.parquet", "--mel", "--mel-bands", 16, "-o", out).code == 0
        made.append(out / "manifest.parquet")
    return made


def same(one: Path, two: Path) -> bool:
    held, other = (modelfile.read(path / "seed-0" / "model.safetensors").tensors for path in (one, two))
    return all(np.array_equal(held[name], other[name]) for name in held)


TARGETS = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
CORPUS = np.array([1, 1, 2, 2, 2])


def test_labelled_clip_is_judged_only_among_training_emotions_of_its_corpus() -> None:
    labelled = np.array([True, True, True, True, False])
    judged = label_sets.among(TARGETS, CORPUS, np.arange(5), labelled)
    assert judged.tolist() == [[True, True, False]] * 2 + [[False, True, True]] * 2 + [[True] * 3]
    fewer = label_sets.among(TARGETS, CORPUS, np.array([0, 1, 2]), labelled)
    assert fewer.tolist() == [[True, True, False]] * 2 + [[True] * 3] * 3


def test_corpora_with_the_same_emotions_need_no_mask() -> None:
    assert label_sets.among(TARGETS, CORPUS, np.array([0, 1]), np.ones(5, bool)) is not None
    assert label_sets.among(TARGETS[:2, :2], CORPUS[:2], np.arange(2), np.ones(2, bool)) is None


@pytest.mark.parametrize("seed", range(30))
def test_loss_has_no_gradient_for_emotions_absent_from_the_corpus(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, 5, generator=rng).mul(5).requires_grad_()
    judged = torch.rand(6, 5, generator=rng) < 0.6
    judged[:, 0] = True
    targets = label_sets.within(torch.rand(6, 5, generator=rng), judged)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))
    lost = label_sets.losses(logits, targets, judged)
    lost.sum().backward()
    assert (logits.grad[~judged] == 0).all()
    for clip in range(6):
        own = judged[clip]
        alone = torch.nn.functional.cross_entropy(logits[clip][own][None], targets[clip][own][None])
        torch.testing.assert_close(lost[clip], alone)


def test_mixup_loss_uses_each_mixed_clips_own_corpus_emotions() -> None:
    judged = torch.tensor([[True, True, False], [False, True, True]])
    lesson = EmotionLesson(Emotions(["a", "b", "c"]), TARGETS[[0, 3]], np.array([0, 2]), judged)
    cost = EmotionLoss(lesson, 0.2, torch.ones(3))
    logits = torch.tensor([[1.0, 2, 3], [3, 1, 2]])
    mixup = row_augmentation.Mixup(0.75, torch.tensor([1, 0]))
    first, second = torch.tensor([[0.9, 0.1]]), torch.tensor([[0.1, 0.9]])

    def lost(row: int, places: list[int], targets: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(logits[row][places][None], targets)

    expected = 0.75 * (lost(0, [0, 1], first) + lost(1, [1, 2], second))
    expected += 0.25 * (lost(0, [1, 2], second) + lost(1, [0, 1], first))
    torch.testing.assert_close(cost(logits, torch.arange(2), mixup), expected)
    other = cost(-logits, torch.arange(2), mixup)
    both = cost(torch.stack([logits, -logits]), torch.arange(2), mixup)  # of two networks
    torch.testing.assert_close(both, expected + other)


def test_balancing_gives_corpora_and_their_emotions_equal_weight() -> None:
    emotion, corpus = np.array([0, 0, 0, 1, 0, 2]), np.array([0, 0, 0, 0, 1, 1])
    weights = {
        how: 1 / label_sets.group_sizes(how, emotion, corpus) for how in ("sampling", "corpus", "corpus-emotion")
    }
    np.testing.assert_allclose(np.bincount(emotion, weights["sampling"]), 1)
    np.testing.assert_allclose(np.bincount(corpus, weights["corpus"]), 1)
    cells = np.bincount(3 * corpus + emotion, weights["corpus-emotion"], minlength=6)
    np.testing.assert_allclose(cells, [0.5, 0.5, 0, 0.5, 0, 0.5])


def test_corpora_with_different_emotions_train_together_and_are_scored_separately(
    both: list[Path], tmp_path: Path
) -> None:
    done = train(*both, *TINY, "--mixup", "0.3", "--smoothing", "0.1", "-o", tmp_path / "run")
    said = "the corpora share 2 emotions (one also happy; two also sad): those that a corpus lacks are left out"
    assert said in done.err
    assert [line.split(":")[0] for line in done.err.splitlines()[-2:]] == ["  one", "  two"]
    held = modelfile.read(tmp_path / "run" / "seed-0" / "model.safetensors")
    assert held.labels == ["neutral", "happy", "sad", "angry"]
    assert held.trained["training"]["absent_emotions"] == "mask"
    assert held.trained["emotions"] == {"two": ["neutral", "sad", "angry"], "one": ["neutral", "happy", "angry"]}
    parts = held.scores["by_corpus"]
    assert parts["one"]["test_clips"] + parts["two"]["test_clips"] == held.scores["test_clips"]
    table = manifest.keep(
        manifest_io.read(str(tmp_path / "run" / "predictions.parquet")), np.ones(held.scores["test_clips"], bool)
    )
    rows = zip(*(manifest.column(table, name) for name in ("corpus", "emotion", "predicted")), strict=True)
    own = [(emotion, predicted) for corpus, emotion, predicted in rows if corpus == "one"]
    recalls = [np.mean([said == word for emotion, said in own if emotion == word]) for word in CORPORA["one"]]
    assert parts["one"]["test_uar"] == pytest.approx(np.mean(recalls))
    assert parts["one"]["test_uar_own"] >= parts["one"]["test_uar"]
    assert done.err.splitlines()[-1].count("among its own emotions train") == 1


def test_single_shared_emotion_is_reported_in_the_singular(both: list[Path], tmp_path: Path) -> None:
    done = train(*both, *TINY, "--where", "emotion=angry|happy|sad", "-o", tmp_path / "run")
    assert "the corpora share 1 emotion (one also happy; two also sad)" in done.err


def test_absent_emotions_affect_training_when_counting_is_requested(both: list[Path], tmp_path: Path) -> None:
    for how in ("mask", "count"):
        train(*both, *TINY, "--absent-emotions", how, "-o", tmp_path / how)
    assert not same(tmp_path / "mask", tmp_path / "count")
    refused = sertool("train", *both, *TINY, "--absent-emotions", "count", "-o", tmp_path / "mask")
    assert (refused.code, "absent_emotions mask, not count" in refused.line) == (2, True)


def test_absent_emotions_setting_has_no_effect_with_one_corpus(both: list[Path], tmp_path: Path) -> None:
    for how in ("mask", "count"):
        done = train(both[0], *TINY, "--absent-emotions", how, "-o", tmp_path / how)
        assert "share" not in done.err
        assert "run lies in" in done.err.splitlines()[-1]
    assert same(tmp_path / "mask", tmp_path / "count")


def test_small_corpus_is_sampled_as_often_as_a_large_one(both: list[Path], tmp_path: Path) -> None:
    for how in ("corpus", "corpus-emotion"):
        train(*both, *TINY, "--balance", how, "-o", tmp_path / how)
    corpus = np.repeat([0, 1], [20, 180])
    store = batches.Store([[]] * 200, np.ones(200, np.int64), 1, torch.device("cpu"), {}, [])
    lesson = EmotionLesson(Emotions(["a", "b"]), torch.eye(2)[np.arange(200) % 2], np.arange(200) % 2)
    data = Data(store, lesson, np.arange(200), np.arange(0), row_scaling.Scaling(), corpus=corpus)
    loop = training.Loop(None, data, Settings(balance="corpus"), None, ())
    drawn = np.concatenate([training._drawn(loop, np.random.default_rng(seed)) for seed in range(20)])
    assert 0.45 < (drawn < 20).mean() < 0.55


def test_classical_model_reports_that_absent_emotions_count_as_wrong(both: list[Path], tmp_path: Path) -> None:
    words = ("--mfcc", "--stats", "mean,std", "-o", tmp_path / "stats")
    done = sertool("featurize", *both, *words)
    assert done.code == 0, done.err
    run = ("-m", "logistic", "--balance", "corpus-emotion", "-o", tmp_path / "run", "--features", "mfcc")
    assert "those that a corpus lacks count as wrong" in train(tmp_path / "stats" / "manifest.parquet", *run).err


def test_soft_targets_never_change_the_true_label() -> None:
    targets = torch.tensor([[0.3, 0.7], [0.8, 0.2], [0.1, 0.9]])
    lesson = EmotionLesson(Emotions(["a", "b"]), targets, np.array([0, 0, -1]))
    assert lesson.truth.tolist() == [0, 0, 1]
    assert lesson.known.tolist() == [True, True, False]
