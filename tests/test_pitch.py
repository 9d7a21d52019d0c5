"""Pitch: what is heard in sounds whose pitch is known, the slow twin, librosa, and the likeliest path."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from sertool import features
from sertool.errors import UsageError
from sertool.features import pitch
from sertool.numeric import pyin
from sertool.sound import audio, synth

CLIPS = Path(__file__).resolve().parents[2] / "shared" / "corpora" / "cremad" / "AudioWAV"
RATE = 16000
F0, VOICED, VOICING = range(3)


def heard(wave: np.ndarray, rate: int = RATE, **settings: float) -> np.ndarray:
    """The feature's rows, `[frames, 3]`."""
    feature = pitch.Feature(pitch.Settings(**settings), rate)
    return feature.clips([torch.from_numpy(np.asarray(wave, dtype=np.float32))])[0].numpy()


def harmonics(frequency: np.ndarray, rate: int = RATE) -> np.ndarray:
    """Eight harmonics of a frequency that is given for every sample."""
    phase = 2 * np.pi * np.cumsum(frequency) / rate
    return sum(np.sin(k * phase) / k for k in range(1, 9)) * 0.2


def noise(samples: int, level: float = 0.1, seed: int = 0) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal(samples)


def impulse(samples: int, where: int) -> np.ndarray:
    return np.eye(1, samples, where)[0]


def voices(count: int) -> list[np.ndarray]:
    return [synth.voice(n, list(synth.EMOTIONS)[n % len(synth.EMOTIONS)], n, take=n) for n in range(count)]


# --- sounds whose pitch is known -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
@pytest.mark.parametrize("frequency", [80.0, 123.4, 210.0, 440.0])
def test_steady_tone_gets_its_pitch_in_every_frame(frequency, rate):
    rows = heard(harmonics(np.full(rate // 2, frequency), rate), rate)[3:-3]
    assert len(rows) > 1
    assert rows[:, VOICED].all()
    np.testing.assert_allclose(rows[:, F0], frequency, rtol=0.0065)  # a bin and a little: they are .6 % apart


def test_pure_tone_with_slight_noise_keeps_its_pitch():
    rows = heard(0.3 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE) + noise(RATE, 0.003))[3:-3]
    np.testing.assert_allclose(rows[:, F0], 200, rtol=0.005)


def test_pitch_follows_a_rising_and_falling_glide():
    frequency = 180 * 2 ** (0.7 * np.sin(2 * np.pi * np.arange(3 * RATE) / (3 * RATE)))
    rows = heard(harmonics(frequency))[3:-3]
    assert rows[:, VOICED].all()
    np.testing.assert_allclose(rows[:, F0], frequency[512 * np.arange(3, 3 + len(rows))], rtol=0.012)


def test_voiced_frames_begin_and_end_with_the_voice():
    wave = np.concatenate([np.zeros(RATE), harmonics(np.full(RATE, 150.0)), np.zeros(RATE)])
    voiced = np.flatnonzero(heard(wave)[:, VOICED])
    assert np.array_equal(voiced, np.arange(voiced[0], voiced[-1] + 1))
    np.testing.assert_allclose(voiced[[0, -1]] * 512, [RATE, 2 * RATE], atol=1024)


def test_silence_is_unvoiced_with_zero_voicing_probability():
    assert not heard(np.zeros(RATE)).any()


def test_noise_gets_a_low_voicing_probability():
    assert heard(noise(4 * RATE))[:, VOICING].max() < 0.1


# --- shapes and edges ----------------------------------------------------------------------------------------------

EDGES = {
    "no samples": np.zeros(0),
    "one sample": np.ones(1),
    "two samples": np.array([1.0, -1.0]),
    "less than a frame": noise(700),
    "silence": np.zeros(5000),
    "a constant": np.full(5000, 0.3),
    "an impulse": impulse(5000, 2500),
    "a faint voice": 1e-30 * harmonics(np.full(5000, 150.0)),
    "a huge voice": 1e30 * harmonics(np.full(5000, 150.0)),
    "the last bit": np.round(noise(5000, 1.5)) / 32768,
    "sound, then nothing": np.concatenate([noise(3000), np.zeros(3000)]),
    "full scale": np.sign(harmonics(np.full(5000, 150.0))),
}


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("center", [True, False])
def test_every_hop_gets_a_valid_row_even_for_unusual_signals(name, center):
    rows = heard(EDGES[name], center=center)
    samples = len(EDGES[name])
    assert rows.shape == (1 + (samples if center else max(0, samples - 2048)) // 512, 3)
    assert np.isfinite(rows).all()
    assert set(rows[:, VOICED]) <= {0.0, 1.0}
    assert np.array_equal(rows[:, F0] > 0, rows[:, VOICED] == 1)
    assert ((rows[:, VOICING] >= 0) & (rows[:, VOICING] <= 1)).all()
    assert rows[:, F0].max() <= 600


def test_loudness_does_not_change_pitch():
    wave = voices(1)[0]
    assert np.array_equal(heard(wave), heard(wave / 1024))


def test_clip_features_are_bit_identical_alone_and_in_a_batch():
    waves = [torch.from_numpy(wave) for wave in [*voices(4), np.zeros(1, np.float32), voices(1)[0][:3000]]]
    feature = pitch.Feature(pitch.Settings(), RATE)
    together = feature.clips(waves)
    for wave, rows in zip(waves, together, strict=True):
        assert torch.equal(feature.clips([wave])[0], rows)
    for rows, again in zip(together, reversed(feature.clips(waves[::-1])), strict=True):
        assert torch.equal(rows, again)


def test_long_clip_computed_in_blocks_equals_the_whole(monkeypatch):
    wave = np.concatenate([np.concatenate(voices(4)), np.zeros(20000), noise(20000)])
    whole = heard(wave)
    for block in (1, 7, 64, len(whole) - 1, len(whole)):
        monkeypatch.setattr(pyin, "BLOCK_FRAMES", block)
        assert np.array_equal(heard(wave), whole)
    monkeypatch.setattr(pyin, "PART", pyin.RUN)
    assert np.array_equal(heard(wave), whole)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"fmin": 0.0}, "fmin"),
        ({"fmin": 700.0}, "fmin"),
        ({"fmax": 9000.0}, "fmax"),
        ({"frame_length": 200}, "frame_length"),
        ({"resolution": 0.0}, "resolution"),
        ({"hop": 0}, "hop"),
        ({"switch_prob": 1.5}, "switch_prob"),
        ({"switch_prob": 1.0}, "switch_prob"),
    ],
)
def test_invalid_settings_are_refused_in_one_line(settings, word):
    with pytest.raises(UsageError, match=word) as refused:
        pitch.Feature(features.settings("pitch", settings), RATE)
    assert "\n" not in str(refused.value)


# --- the slow twin -------------------------------------------------------------------------------------------------

OTHER = {
    "defaults": {},
    "coarse": {"resolution": 0.25, "n_thresholds": 20, "fmin": 90.0, "fmax": 500.0},
    "short hops": {"hop": 160, "frame_length": 1024, "center": False},
    "another prior": {"beta_a": 1, "beta_b": 9, "boltzmann_parameter": 0.7, "no_trough_prob": 0.2},
    "voicing that may flicker": {"switch_prob": 0.2, "max_transition_rate": 8.0},
    "pitch that may leap": {"max_transition_rate": 200.0, "fmax": 500.0},
}


@pytest.mark.parametrize(("name", "rate"), [*((name, RATE) for name in OTHER), ("defaults", 22050)])
def test_fast_computation_matches_the_definition(name, rate):
    voice = synth.voice(3, "angry", 5, rate=rate)[: rate // 2]
    wave = np.concatenate([voice, np.zeros(4000), noise(4000), voice[::2] * 0.01]).astype(np.float32)
    slow = pitch.definition(wave, rate, pitch.Settings(**OTHER[name]))
    assert 0.05 < slow[:, VOICED].mean() < 1
    np.testing.assert_allclose(heard(wave, rate, **OTHER[name]), slow, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", EDGES)
def test_fast_computation_matches_the_definition_for_unusual_signals(name):
    wave = EDGES[name].astype(np.float32)
    np.testing.assert_allclose(heard(wave), pitch.definition(wave, RATE, pitch.Settings()), rtol=1e-6, atol=1e-7)


def test_troughs_share_the_probability_of_the_thresholds_above_them():
    prior = pyin.Prior(100, (2, 18), 2.0, 0.01)
    height = np.array([0.30, 0.055, 0.12, 0.70, 0.02])
    shares = prior.probabilities(np.array([0, 0, 0, 1, 2]), height, np.array([False, True, False, True, True]))
    for frame, lowest in [((0, 1, 2), 0.055), ((3,), 0.70), ((4,), 0.02)]:
        above = prior.mass[prior.thresholds > lowest].sum()
        assert shares[list(frame)].sum() == pytest.approx(above + 0.01 * (1 - above), rel=1e-12)


@pytest.mark.parametrize("level", [0.05, 0.5, 1.5])
@pytest.mark.parametrize(
    "shape",
    [
        [0, 1, 2, 3, 2, 1, 2, 3],  # the first lag is a trough, without a parabola
        [3, 2, 1, 2, 3, 2, 1, 0],  # and the last
        [0, 0.2, 4, 5, 4, 0.2, 0, 0.2],
        [0.2, 4, 5, 4, 5, 4, 0.2, 0],
        [3, 2, 1, 1, 2, 3, 3, 3],  # of a flat bottom the first
        [3, 3, 3, 3, 3, 3, 3, 3],
        [3, 0, 3, 1, 3, 2, 3, 2],
        [3, 2, 1.1, 1, 4, 3, 2.5, 2.9],
    ],
)
def test_pitch_candidates_match_the_definition(shape, level):
    row = (level * (1 + np.array(shape))).astype(np.float32)
    settings, grid = pitch.Settings(), pyin.Grid(2000, 65.0, 600.0, 10)
    found = pyin.candidates(row[None], grid, pyin.Prior(100, (2, 18), 2.0, 0.01))
    periods = pitch._periods(row, pitch._masses(settings), grid.rate, settings)
    expected = {int(grid.nearest(np.array(period))): chance for period, chance in periods if chance > 0}
    expected.pop(grid.bins, None)
    assert list(found.bin) == list(expected)
    assert np.array_equal(found.probability, list(expected.values()))  # in float32, so that 1 - 1 is 0


def test_voiced_path_is_preferred_when_paths_are_equally_likely():
    voicing = np.array([1.0, 1.0, 0.0])  # surely voiced, surely voiced though at no pitch, surely not
    found = pyin.Candidates(np.array([0]), np.array([0]), np.ones(1), voicing)
    assert list(pyin.Lattice(1, 0, 0.01).path(found)) == [0, 0, 1]


@pytest.mark.parametrize("seed", range(12))
def test_decoded_path_is_the_most_likely_one(seed):
    rng, bins, reach, switch, frames = np.random.default_rng(seed), 3, 1, 0.1, 5
    offered = np.where(rng.random((frames, bins)) < 0.5, rng.random((frames, bins)) ** 3 / bins, 0)
    if seed % 2:  # frames that are surely voiced, further apart than pitch can move: the least bad way is through 2
        offered[:3] = [[1, 0, 0], [0, 0, 1], [0.56, 0, 0.44]]
    frame, column = np.nonzero(offered)
    voicing = offered.sum(axis=1)
    path = pyin.Lattice(bins, reach, switch).path(pyin.Candidates(frame, column, offered[frame, column], voicing))

    smallest = np.finfo(np.float64).tiny
    near = np.maximum(0, reach + 1 - np.abs(np.subtract.outer(np.arange(bins), np.arange(bins))))
    turns = np.kron([[1 - switch, switch], [switch, 1 - switch]], near / near.sum(axis=1, keepdims=True))
    moves = np.log(turns + smallest)
    states = np.log(np.hstack([offered, np.repeat((1 - voicing)[:, None] / bins, bins, axis=1)]) + smallest)
    every = np.array(list(product(range(2 * bins), repeat=frames)))
    scores = states[np.arange(frames), every].sum(axis=1) + moves[every[:, :-1], every[:, 1:]].sum(axis=1)
    found = scores[(every == path).all(axis=1)][0]
    assert found == pytest.approx(scores.max(), abs=1e-4)


# --- librosa -------------------------------------------------------------------------------------------------------


def agreement(waves: list[np.ndarray], rate: int, hop: int = 512) -> tuple[float, float]:
    """The share of frames whose voicing is librosa's, and of those voiced in both, whose pitch is within .5 %."""
    librosa = pytest.importorskip("librosa")
    settings = pitch.Settings()
    ours = np.concatenate([heard(wave, rate, hop=hop) for wave in waves])
    both = [librosa.pyin(w, fmin=settings.fmin, fmax=settings.fmax, sr=rate, hop_length=hop)[:2] for w in waves]
    theirs, flag = (np.concatenate(part) for part in zip(*both, strict=True))
    voiced = flag & (ours[:, VOICED] == 1)
    assert 0.2 < voiced.mean() < 1
    near = np.abs(ours[voiced, F0] / theirs[voiced] - 1) < 0.005
    return float(np.mean(flag == (ours[:, VOICED] == 1))), float(near.mean())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "hop"),
    [(16000, 512), pytest.param(16000, 160, marks=pytest.mark.slow), pytest.param(24414, 512, marks=pytest.mark.slow)],
)
def test_pitch_of_synthetic_voices_agrees_with_librosa(rate, hop):
    waves = [synth.voice(n, emotion, n, rate=rate) for n, emotion in enumerate(["neutral", "angry"])]
    waves = [np.concatenate([wave, noise(4000, 0.02, n).astype(np.float32)]) for n, wave in enumerate(waves)]
    voicing, near = agreement(waves, rate, hop)
    assert voicing >= 0.98
    assert near >= 0.99


@pytest.mark.slow
@pytest.mark.corpora
@pytest.mark.skipif(not CLIPS.is_dir(), reason="the corpora are not here")
def test_pitch_of_real_voices_agrees_with_librosa():
    paths = sorted(CLIPS.iterdir())
    voicing, near = agreement([audio.decode(str(path), audio.Cut())[0] for path in paths[:: len(paths) // 20]], RATE)
    assert voicing >= 0.98
    assert near == 1
