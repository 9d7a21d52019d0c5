"""The synthetic voices: reproducible, speech-like, learnable from other speakers, though not by one threshold."""

import numpy as np
import pytest

from sertool.errors import UsageError
from sertool.sound import synth

FOUR = ("neutral", "happy", "sad", "angry")


def log_bands(wave: np.ndarray) -> np.ndarray:
    """Log power in 20-odd bands every 10 ms, `[frames, bands]`."""
    frames = np.lib.stride_tricks.sliding_window_view(wave, 512)[::160] * np.hanning(512)
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = np.unique(np.geomspace(2, 257, 25).astype(int))
    return np.log(np.add.reduceat(power, edges[:-1], axis=1) + 1e-6)


def described(wave: np.ndarray) -> np.ndarray:
    """Mean, deviation and change of the log spectrum where it is loud, and two figures of tempo."""
    bands = log_bands(wave)
    loud = bands.max(axis=1) > bands.max() - 7
    change = np.abs(np.diff(bands[loud], axis=0))
    return np.r_[bands[loud].mean(0), bands[loud].std(0), change.mean(0), loud.mean(), len(wave) / 16000]


def pitch(wave: np.ndarray) -> float:
    """Median of the autocorrelation's peak over the louder frames, in octaves."""
    frames = np.lib.stride_tricks.sliding_window_view(wave, 640)[::320]
    power = np.square(frames).mean(axis=1)
    spectra = np.fft.rfft(frames[power > 0.1 * power.max()], 2048)
    lags = np.fft.irfft(np.abs(spectra) ** 2)[:, 40:230].argmax(axis=1) + 40
    return float(np.median(np.log2(16000 / lags)))


def held_out_accuracy(rows: np.ndarray, labels: np.ndarray, speakers: np.ndarray) -> float:
    """Ridge regression on one-hot labels, each speaker predicted from the others."""
    right = 0
    for speaker in np.unique(speakers):
        train = speakers != speaker
        scaled = (rows - rows[train].mean(0)) / (rows[train].std(0) + 1e-9)
        inputs = np.c_[scaled, np.ones(len(scaled))]
        gram = inputs[train].T @ inputs[train] + 10 * np.eye(inputs.shape[1])
        weights = np.linalg.solve(gram, inputs[train].T @ np.eye(labels.max() + 1)[labels[train]])
        right += np.sum((inputs[~train] @ weights).argmax(axis=1) == labels[~train])
    return right / len(labels)


@pytest.fixture(scope="module")
def clips() -> list[tuple[int, int, np.ndarray]]:
    """(speaker, label, samples) of 8 speakers, 4 emotions and 6 sentences."""
    return [
        (speaker, label, synth.voice(speaker, emotion, sentence))
        for speaker in range(8)
        for label, emotion in enumerate(FOUR)
        for sentence in range(6)
    ]


def test_equal_arguments_give_bit_identical_voices():
    once, again = (synth.voice(3, "happy", 1, take=2, seed=5) for _ in range(2))
    assert once.tobytes() == again.tobytes()
    for other in (
        (4, "happy", 1, 2, 5),
        (3, "sad", 1, 2, 5),
        (3, "happy", 0, 2, 5),
        (3, "happy", 1, 1, 5),
        (3, "happy", 1, 2, 6),
    ):
        assert synth.voice(*other).tobytes() != once.tobytes()


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("emotion", synth.EMOTIONS)
def test_synthetic_voice_is_valid_audio_at_any_rate(emotion, rate):
    for speaker in range(2):
        wave = synth.voice(speaker, emotion, sentence=speaker, rate=rate)
        assert wave.dtype == np.float32
        assert wave.ndim == 1
        assert np.isfinite(wave).all()
        assert 1 < len(wave) / rate < 4
        assert 0.03 < np.abs(wave).max() < 0.99
        assert abs(wave.mean()) < 1e-3


def test_an_unknown_emotion_is_refused_with_the_choices():
    with pytest.raises(UsageError, match=r"boredom.*neutral, happy"):
        synth.voice(0, "boredom", 0)


def test_synthetic_voices_have_a_speech_like_spectrum(clips):
    """Voices fall towards high frequencies, fricatives do not, and pitch is a person's."""
    for _speaker, _label, wave in clips[::7]:
        bands = log_bands(wave)
        mean = np.log(np.exp(bands).mean(axis=0))
        assert mean[5:12].mean() > mean[-4:].mean()  # 0.3 to 1.5 kHz against 4 to 8 kHz
        assert 6 < pitch(wave) < 9  # 64 to 512 Hz
    sibilant = [np.any(log_bands(wave)[:, -3] > log_bands(wave)[:, 5] + 1) for _, _, wave in clips[::3]]
    assert np.mean(sibilant) > 0.5


def test_female_voices_are_higher_than_male_voices(clips):
    heights = [
        np.mean([pitch(wave) for speaker, label, wave in clips if speaker % 2 == sex and label == 0]) for sex in (0, 1)
    ]
    assert 0.4 < heights[0] - heights[1] < 1.2  # octaves
    assert [synth.name(speaker) for speaker in (0, 1, 9)] == ["s01f", "s02m", "s10m"]


def test_emotions_are_learnable_from_other_speakers(clips):
    speakers, labels = (np.array([clip[index] for clip in clips]) for index in (0, 1))
    rows = np.array([described(wave) for _, _, wave in clips])
    assert 0.55 < held_out_accuracy(rows, labels, speakers) < 0.9
    for seed in range(3):
        shuffled = np.random.default_rng(seed).permutation(labels)
        assert held_out_accuracy(rows, shuffled, speakers) < 0.37  # chance is .25


def test_no_single_pitch_threshold_separates_anger_from_sadness(clips):
    angry, sad = (np.array([pitch(wave) for _, label, wave in clips if label == which]) for which in (3, 2))
    best = max(np.r_[angry > cut, sad <= cut].mean() for cut in np.r_[angry, sad])
    assert best < 0.8
    per_speaker = angry.reshape(8, 6).mean(axis=1) - sad.reshape(8, 6).mean(axis=1)
    assert (per_speaker > 0).all()  # but every speaker's own anger is higher than their own sadness


def test_corpus_files_are_named_by_speaker_emotion_sentence_and_take(tmp_path):
    written = {}
    paths = synth.corpus(
        tmp_path, speakers=2, emotions=("sad", "fear"), sentences=2, takes=2,
        write=lambda path, samples, rate: written.update({path: (samples, rate)}),
    )  # fmt: skip
    assert list(written) == paths
    assert len(paths) == 16
    assert paths[0] == tmp_path / "s01f" / "sad_0_0.wav"
    assert paths[-1] == tmp_path / "s02m" / "fear_1_1.wav"
    assert paths[0].parent.is_dir()
    samples, rate = written[paths[3]]
    np.testing.assert_array_equal(samples, synth.voice(0, "sad", 1, take=1))
    assert rate == 16000
