"""A voice is told from the clips of a speaker whatever emotions they hold, and by few of them hardly at all."""

import numpy as np
import pytest
import torch

from sertool.modelfiles import speaker_scaling
from sertool.modelfiles.batches import Store
from sertool.modelfiles.row_scaling import Scaling

EMOTIONS, COLUMNS = 3, 40
DRAW = np.random.default_rng(0)
ADDED = DRAW.normal(0, 2, (EMOTIONS, COLUMNS))
ADDED -= ADDED.mean(axis=0)


def everybody(prior_clips: float = 0.0) -> Scaling:
    offsets = torch.from_numpy(ADDED).float()
    return Scaling("speaker", torch.zeros(1, COLUMNS), torch.ones(1, COLUMNS), offsets=offsets, prior_clips=prior_clips)


def clips(voice: np.ndarray, emotions: np.ndarray, noise: float = 0.3) -> list[list[np.ndarray]]:
    """One row for each clip, in two features."""
    rows = voice + ADDED[emotions] + DRAW.normal(0, noise, (len(emotions), COLUMNS))
    return [[row[None, :10].astype(np.float32), row[None, 10:].astype(np.float32)] for row in rows]


def told(emotions: np.ndarray) -> np.ndarray:
    return np.eye(EMOTIONS)[emotions]


def everybody_as_group() -> Scaling:
    return speaker_scaling.with_speakers(everybody(), [(0, 0.0)])


def by_truth(own: list[list[np.ndarray]], emotions: np.ndarray) -> Scaling:
    shares = told(emotions)
    speakers = speaker_scaling.by_speaker(own, group(len(own)), 1)
    return speaker_scaling.adapted(speakers, shares, speaker_scaling.evenness_in(shares), everybody())


def answering(own: list[list[np.ndarray]], doubt: float) -> speaker_scaling.Ask:
    """A model to which an emotion is the likelier the nearer its offset is to what a clip has beside the voice."""
    rows = np.stack([np.concatenate(parts, axis=1)[0] for parts in own])

    def ask(scaling: Scaling) -> np.ndarray:
        beside = rows - scaling.mean[1].numpy()
        nearness = -np.square(beside[:, None] - ADDED).sum(axis=2) / doubt
        shares = np.exp(nearness - nearness.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    return ask


def group(count: int) -> np.ndarray:
    return np.ones(count, np.int64)


def test_balanced_emotions_give_the_plain_mean_and_deviation() -> None:
    emotions = np.arange(60) % EMOTIONS
    own = clips(DRAW.normal(0, 3, COLUMNS), emotions)
    found = by_truth(own, emotions)
    rows = np.stack([np.concatenate(parts, axis=1)[0] for parts in own])
    np.testing.assert_allclose(found.mean[1], rows.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(found.deviation[1], rows.std(axis=0) * (60 / 60) ** 0.5, rtol=1e-4)


@pytest.mark.parametrize("emotion", range(EMOTIONS))
def test_clips_of_one_emotion_give_the_voice_without_that_emotion(emotion: int) -> None:
    voice, emotions = DRAW.normal(0, 3, COLUMNS), np.full(40, emotion)
    found = by_truth(clips(voice, emotions), emotions)
    assert np.abs(found.mean[1].numpy() - voice).max() < 0.3
    spread = np.sqrt(np.square(ADDED).mean(axis=0) + 0.3**2)
    np.testing.assert_allclose(found.deviation[1], spread, rtol=0.2)


def test_speaker_mean_and_variance_weight_every_frame_equally() -> None:
    rows = DRAW.normal(size=(9, COLUMNS)).astype(np.float32)
    sums = speaker_scaling.summed([[rows[:2]], [rows[2:]]])
    np.testing.assert_allclose(sums.moments(), [rows.mean(axis=0), rows.var(axis=0)], atol=1e-6)
    shift = DRAW.normal(size=(2, COLUMNS))
    freed = rows - np.repeat(shift, [2, 7], axis=0)
    np.testing.assert_allclose(sums.moments(shift), [freed.mean(axis=0), freed.var(axis=0)], atol=1e-6)


def test_scaling_adapts_little_to_few_clips_and_fully_to_many() -> None:
    mine, prior = np.stack([np.full(COLUMNS, 9.0), np.full(COLUMNS, 4.0)]), everybody(prior_clips=2.0)
    for count, mean, variance in ((2, 9 * 2 / 4, (4 + 2) / 3), (200, 9 * 200 / 202, (199 * 4 + 2) / 201)):
        found = speaker_scaling.with_speakers(prior, [(count, mine)])
        assert found.mean[1].numpy() == pytest.approx(mean)
        assert found.deviation[1].numpy() ** 2 == pytest.approx(variance)
    nobody = speaker_scaling.with_speakers(prior, [(0, 0.0)])
    assert torch.equal(nobody.mean[1], prior.mean[0])
    assert torch.equal(nobody.deviation[1], prior.deviation[0])


def test_evenness_is_zero_for_one_emotion_and_one_for_equal_shares() -> None:
    assert speaker_scaling.evenness(np.array([1.0, 0, 0])) == pytest.approx(0, abs=1e-9)
    assert speaker_scaling.evenness(np.full(6, 1 / 6)) == pytest.approx(1)
    assert 0 < speaker_scaling.evenness(np.array([0.8, 0.1, 0.1])) < 0.5


@pytest.mark.parametrize("skewed", [False, True])
def test_emotion_offsets_are_separated_from_voices_despite_skewed_emotions(skewed: bool) -> None:
    held, speakers, truth = [], [], []
    for speaker in range(1, 31):
        emotions = DRAW.integers(0, EMOTIONS, 20) if not skewed else DRAW.permutation(EMOTIONS)[DRAW.integers(0, 2, 20)]
        held += clips(DRAW.normal(0, 5, COLUMNS), emotions)
        speakers += [speaker] * 20
        truth += emotions.tolist()
    found = speaker_scaling.offsets(held, np.array(speakers), np.array(truth), EMOTIONS)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-9)
    assert np.abs(found - ADDED).max() < 0.3


def slowly(held: list[list[np.ndarray]], voice: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """What emotions add, by the mean of each voice in each emotion."""
    means = np.array([np.concatenate([part.mean(axis=0) for part in parts]) for parts in held])
    pairs = set(zip(voice, truth, strict=True))
    cells = {pair: means[(voice == pair[0]) & (truth == pair[1])].mean(axis=0) for pair in pairs}
    found = np.zeros((EMOTIONS, COLUMNS))
    for _ in range(speaker_scaling.FITTING):
        voices = {who: np.mean([cells[pair] - found[pair[1]] for pair in pairs if pair[0] == who], axis=0)
                  for who in set(voice)}  # fmt: skip
        for emotion in range(EMOTIONS):
            left = [cells[pair] - voices[pair[0]] for pair in pairs if pair[1] == emotion]
            found[emotion] = np.mean(left, axis=0) if left else 0
        found -= found.mean(axis=0)
    return found


@pytest.mark.parametrize("emotions", [EMOTIONS, EMOTIONS - 1])
def test_emotion_offsets_match_a_naive_fit_to_speaker_emotion_means(emotions: int) -> None:
    voice, truth = DRAW.integers(1, 8, 60), DRAW.integers(0, emotions, 60)
    held = clips(DRAW.normal(0, 2, (60, COLUMNS)), truth)
    found = speaker_scaling.offsets(held, voice, truth, EMOTIONS)
    np.testing.assert_allclose(found, slowly(held, voice, truth), atol=1e-5)


def test_adaptation_recovers_the_voice_and_reads_each_clip_once() -> None:
    """The model cannot tell the emotion before it knows the voice a little."""
    voice, read = DRAW.normal(0, 1.0, COLUMNS), []
    own = clips(voice, np.zeros(30, np.int64))

    class Counted(list):
        def __getitem__(self, place: int) -> list[np.ndarray]:
            read.append(place)
            return super().__getitem__(place)

    ask = answering(own, doubt=60)
    found = speaker_scaling.adapted_by_model(Counted(own), group(30), 1, everybody(prior_clips=3.0), ask)
    assert sorted(read) == list(range(30)), "each clip is summed once, however often the model is asked"
    assert np.abs(found.mean[1].numpy() - 30 / 33 * voice).max() < 0.3


@pytest.mark.parametrize("emotion", range(EMOTIONS))
def test_model_uncertainty_is_not_mistaken_for_the_voice(emotion: int) -> None:
    """It gives each clip of one emotion some four fifths to it, as if the others were as frequent."""
    voice = DRAW.normal(0, 1.0, COLUMNS)
    own = clips(voice, np.full(60, emotion))
    ask = answering(own, doubt=150)
    found = speaker_scaling.adapted_by_model(own, group(60), 1, everybody(), ask)
    assert 0.6 < ask(found)[:, emotion].mean() < 0.95
    assert np.abs(found.mean[1].numpy() - voice).max() < 0.6


def test_strong_channel_shift_is_corrected_when_emotions_are_balanced() -> None:
    emotions = np.arange(60) % EMOTIONS
    channel = 8 * ADDED[0] + DRAW.normal(0, 1.0, COLUMNS)
    own = clips(channel, emotions)
    ask = answering(own, doubt=60)
    assert (ask(everybody_as_group()).argmax(axis=1) == 0).all()
    found = speaker_scaling.adapted_by_model(own, group(60), 1, everybody(), ask)
    assert (ask(found).argmax(axis=1) == emotions).all()


def test_probabilities_are_weighted_by_frequency_and_unchanged_when_balanced() -> None:
    even = np.repeat(np.eye(EMOTIONS) * 0.7 + 0.1, 20, axis=0)
    np.testing.assert_allclose(speaker_scaling.weighted(even), even, atol=1e-12)
    mostly = np.concatenate([even[:20]] * 3 + [even[20:22]])
    weighted = speaker_scaling.weighted(mostly)
    np.testing.assert_allclose(weighted.sum(axis=1), 1)
    assert (weighted[:60, 0] > 0.9).all()
    assert (speaker_scaling.weighted(even[:1]) - even[:1])[0, 0] < 0.12, "a single clip is no proof"


def test_training_fits_emotion_offsets_and_scales_only_its_own_speakers() -> None:
    emotions = np.arange(40) % EMOTIONS
    held = clips(np.zeros(COLUMNS), emotions)
    store = Store(held, np.ones(40, np.int64), COLUMNS, torch.device("cpu"), {}, [])
    speakers = np.repeat([1, 2], 20)
    found = speaker_scaling.fitted(store, np.arange(20), speakers, told(emotions).astype(np.float32), everybody())
    assert found.offsets.shape == (EMOTIONS, COLUMNS)
    assert found.mean.shape == (3, COLUMNS)
    assert torch.equal(found.mean[2], found.mean[0])
    assert not torch.equal(found.mean[1], found.mean[0])


def test_moved_rows_take_everybodys_mean_and_deviation_in_place_of_the_speakers() -> None:
    mean, deviation = torch.tensor([[1.0, 2.0], [5.0, -3.0]]), torch.tensor([[2.0, 1.0], [4.0, 0.5]])
    scaling, rows = Scaling("moved", mean, deviation), torch.tensor([[[9.0, -2.0], [0.0, 0.0]]])
    moved = scaling.apply(rows, torch.tensor([1]), torch.tensor([1]))
    torch.testing.assert_close(moved, torch.tensor([[[3.0, 4.0], [0.0, 0.0]]]))
    torch.testing.assert_close(scaling.apply(rows, torch.tensor([1])), rows)
