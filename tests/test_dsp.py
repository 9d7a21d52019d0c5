"""Frames, spectra, banks and tuning: each trick equals what it stands for."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from sertool.errors import UsageError
from sertool.numeric import dsp, pitch_classes, reference
from sertool.system import parts

RATE = 16000


def noise(samples: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(samples).astype(np.float32) * 0.1)


@pytest.mark.parametrize("edges", ["zeros", "reflect"])
@pytest.mark.parametrize("samples", [1, 2, 5, 300, 5000])
def test_waveform_padding_equals_numpy_pad(samples: int, edges: str) -> None:
    wave = noise(samples)
    padded = np.pad(wave.numpy(), (700, 900), mode=reference.MODES[edges])
    assert np.array_equal(dsp.padded_slice(wave, -700, samples + 900, edges).numpy(), padded)


@pytest.mark.parametrize("framing", [dsp.Framing(), dsp.Framing(400, 160, edges="reflect"), dsp.Framing(511, 100)])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("samples", [1, 511, 2048, 20011])
def test_frames_are_identical_whole_and_in_runs(framing: dsp.Framing, center: bool, samples: int) -> None:
    framing = dsp.Framing(framing.n_fft, framing.hop, center=center, edges=framing.edges)
    wave = noise(samples)
    whole = framing.cut(wave)
    assert len(whole) == framing.count(samples)
    assert np.array_equal(whole.numpy(), reference.frames(wave.numpy(), framing).astype(np.float32))
    assert torch.equal(torch.cat([run.raw for run in framing.runs(wave, 3)]), whole)


@pytest.mark.parametrize("window", ["hann", "hamming", "blackman", "ones"])
@pytest.mark.parametrize("length", [None, 400, 401])
def test_windows_are_periodic_and_centred(window: str, length: int | None) -> None:
    framing = dsp.Framing(512, 160, length, window)
    assert np.allclose(framing.window_values().numpy(), reference.window(framing), atol=1e-12)


@pytest.mark.parametrize("wrong", [{"n_fft": 1}, {"hop": 0}, {"win_length": 4096}, {"win_length": 0}])
def test_invalid_framing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        dsp.Framing(**wrong)


@pytest.mark.parametrize("wrong", [{"fmin": 9000}, {"fmax": 9000.0}, {"bands": 0}, {"fmin": 500, "fmax": 400}])
def test_invalid_mel_scale_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        dsp.MelScale(**wrong).weights(RATE, 2048)


def test_spectral_views_of_frames_equal_their_definitions() -> None:
    wave, framing = noise(20000), dsp.Framing()
    frames = next(framing.runs(wave, 1000))
    magnitude = np.abs(reference.stft(wave.numpy(), framing))
    assert np.allclose(frames.magnitude, magnitude, rtol=1e-4, atol=1e-5)
    assert np.allclose(frames.power, magnitude**2, rtol=1e-4, atol=1e-5)
    assert np.allclose(frames.total, magnitude.sum(axis=1), rtol=1e-5)
    assert np.allclose(frames.centre, (magnitude * np.arange(1025)).sum(axis=1) / magnitude.sum(axis=1), rtol=1e-5)


def test_mel_spectrum_is_computed_once_for_equal_settings() -> None:
    frames = next(dsp.Framing().runs(noise(4000), 1000))
    banks = [dsp.MelBank(SimpleNamespace(bands=40), RATE, 2048) for _ in range(2)]
    assert frames.mel_decibels(banks[0]) is frames.mel_decibels(banks[1])
    assert frames.mel(banks[0]) is not frames.mel(dsp.MelBank(SimpleNamespace(bands=41), RATE, 2048))


@pytest.mark.parametrize("scale", [dsp.MelScale(), dsp.MelScale(30, 300, 4000, True, "none"), dsp.MelScale(100)])
def test_banded_filter_bank_product_equals_the_dense_product(scale: dsp.MelScale) -> None:
    weights, power = scale.weights(RATE, 512), noise(9 * 257).square().view(9, 257)
    banded = dsp.Bank(weights)(power)
    assert torch.allclose(banded.double(), power.double() @ torch.from_numpy(weights).T, rtol=1e-5, atol=1e-9)


def test_mel_to_hz_inverts_hz_to_mel() -> None:
    hz = np.array([0.0, 50.0, 999.0, 1000.0, 1001.0, 7999.0])
    for htk in (False, True):
        assert np.allclose(dsp.mel_to_hz(dsp.hz_to_mel(hz, htk), htk), hz)


@pytest.mark.slow
@pytest.mark.parametrize(("htk", "norm"), [(False, "slaney"), (True, "none")])
def test_mel_weights_agree_with_librosa(htk: bool, norm: str) -> None:
    filters = pytest.importorskip("librosa").filters
    known = filters.mel(
        sr=RATE, n_fft=1024, n_mels=64, fmin=50, fmax=7000, htk=htk, norm={"none": None}.get(norm, norm)
    )
    assert np.allclose(dsp.MelScale(64, 50, 7000, htk, norm).weights(RATE, 1024), known, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "n_fft", "bins", "tuning"), [(16000, 2048, 12, 0.0), (44100, 512, 24, -0.37)])
def test_chroma_weights_agree_with_librosa(rate: int, n_fft: int, bins: int, tuning: float) -> None:
    filters = pytest.importorskip("librosa").filters
    known = filters.chroma(sr=rate, n_fft=n_fft, n_chroma=bins, tuning=tuning)
    assert np.allclose(pitch_classes.weights(rate, n_fft, bins, tuning), known, atol=1e-6)


@pytest.mark.parametrize("tuning", [-0.4, -0.05, 0.0, 0.2, 0.45])
def test_tuning_of_a_chord_is_estimated(tuning: float) -> None:
    seconds = np.arange(RATE) / RATE
    tones = 880.0 * 2 ** ((np.array([0, 4, 7, 12]) + tuning) / 12)
    wave = torch.from_numpy(np.sin(2 * np.pi * tones[:, None] * seconds).sum(axis=0).astype(np.float32)) / 8
    chroma = pitch_classes.Chroma(RATE, 2048, 12, None)
    frames = next(dsp.Framing().runs(wave, 1000))
    assert abs(pitch_classes.common_tuning(chroma.survey(frames).numpy(), 12) - tuning) < 0.04
    assert abs(reference.common_tuning(frames.power.numpy().astype(np.float64), RATE, 2048, 12) - tuning) < 0.04


@pytest.mark.slow
def test_peaks_and_tuning_agree_with_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    for seed in range(5):
        frames = next(dsp.Framing().runs(noise(30000, seed), 1000))
        pitches, heights = librosa.piptrack(S=frames.power.numpy().T, sr=RATE)
        chroma = pitch_classes.Chroma(RATE, 2048, 12, None)
        found = chroma.survey(frames).numpy()
        there = pitches.T > 0
        assert np.allclose(found, np.stack([heights.T[there], pitches.T[there]], axis=1), rtol=1e-5)
        known = librosa.estimate_tuning(S=frames.power.numpy().T, sr=RATE, bins_per_octave=12)
        assert pitch_classes.common_tuning(found, 12) == known


def test_silence_and_very_low_rates_give_a_valid_tuning() -> None:
    for rate, wave in ((RATE, torch.zeros(4000)), (200, noise(4000)), (320, noise(4000))):
        chroma = pitch_classes.Chroma(rate, 2048, 12, None)
        found = chroma.survey(next(dsp.Framing().runs(wave, 1000)))
        assert rate == 320 or not len(found)
        assert -0.5 <= pitch_classes.common_tuning(found.numpy(), 12) < 0.5


class Loudest(nn.Module):
    """A feature that must see the whole clip first: each frame's peak over the clip's."""

    framing = dsp.Framing(64, 16)

    def survey(self, frames: dsp.Frames) -> torch.Tensor:
        return frames.raw.abs().amax(1)

    def settle(self, found: torch.Tensor) -> torch.Tensor:
        return found.max()

    def forward(self, frames: dsp.Frames, loudest: torch.Tensor) -> torch.Tensor:
        return frames.raw.abs().amax(1, keepdim=True) / loudest


@pytest.mark.parametrize("kept", [0, 10_000])
def test_feature_can_survey_the_whole_clip_before_computing_rows(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    monkeypatch.setattr(dsp, "RUN", 5)
    monkeypatch.setattr(dsp, "KEPT", kept)
    waves = [noise(900), noise(333, 1)]
    alone = [dsp.compute({"loudest": Loudest()}, wave)["loudest"] for wave in waves]
    assert [float(rows.max()) for rows in alone] == [1.0, 1.0]
    packed = dsp.compute_packed({"loudest": Loudest()}, waves)
    assert all(torch.equal(one, two["loudest"]) for one, two in zip(alone, packed, strict=True))


def test_neighbours_are_grouped_in_order_up_to_the_size_limit() -> None:
    held = list(parts.neighbours([4, 4, 4, 25, 3, 7, 1], float, 10))
    assert held == [[4, 4], [4], [25], [3, 7], [1]]
    assert list(parts.neighbours([], float, 10)) == []


def test_strided_waveform_gives_the_same_features_as_a_contiguous_one() -> None:
    stereo = noise(12000).view(6000, 2)
    features = {"loudest": Loudest()}
    strided, packed = dsp.compute(features, stereo[:, 0]), dsp.compute(features, stereo[:, 0].contiguous())
    assert torch.equal(strided["loudest"], packed["loudest"])
