"""Modulation spectral features: the fast way is the definition, and the definition is what its words say."""

import numpy as np
import pytest
import torch

from sertool import features
from sertool.errors import UsageError
from sertool.features import msf
from sertool.sound import synth

RATE = 16000


def computed(waves: list[np.ndarray], rate: int = RATE, **settings: object) -> list[np.ndarray]:
    feature = msf.Feature(msf.Settings(**settings), rate)
    return [rows.numpy() for rows in feature.clips([torch.from_numpy(wave.astype(np.float32)) for wave in waves])]


def columns(prefix: str, **settings: object) -> list[int]:
    names = msf.Feature(msf.Settings(**settings), RATE).columns
    return [index for index, name in enumerate(names) if name.startswith(f"msf_{prefix}_")]


def energies(wave: np.ndarray, **settings: object) -> np.ndarray:
    """`[bands, modulations]`, the mean over frames."""
    settings = {"output": "energies", **settings}
    rows = computed([wave], **settings)[0].mean(axis=0)
    return rows.reshape(-1, msf.Settings(**settings).modulations)


def assert_close(fast: np.ndarray, slow: np.ndarray, tolerance: float) -> None:
    """Every difference is small against the value or against its column's deviation."""
    assert fast.shape == slow.shape
    assert np.isfinite(fast).all()
    allowed = tolerance * np.maximum(np.abs(slow), slow.std(axis=0))
    assert (np.abs(fast - slow) <= allowed).all(), np.max(np.abs(fast - slow) / np.maximum(allowed, 1e-30))


def tone(modulation: float, carrier: float, seconds: float = 2.0, rate: int = RATE) -> np.ndarray:
    times = np.arange(int(seconds * rate)) / rate
    return 0.2 * (1 + np.cos(2 * np.pi * modulation * times)) * np.sin(2 * np.pi * carrier * times)


@pytest.mark.parametrize(
    "rate", [8000, 24414, 44100, *(pytest.param(rate, marks=pytest.mark.slow) for rate in (16000, 22050, 48000))]
)
def test_fast_computation_matches_the_definition_at_any_sample_rate(rate):
    wave = synth.voice(1, "angry", 1, rate=rate)
    assert_close(computed([wave], rate)[0], msf.definition(wave, rate, msf.Settings()), 1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        {"scale": "db"},
        {"scale": "unit"},
        {"filters": "mel", "scale": "db"},
        {"hop_seconds": 0.256, "output": "measures"},
        pytest.param({"bands": 32, "fmin": 60.0, "fmax": 7000.0}, marks=pytest.mark.slow),
        pytest.param({"modulations": 7, "lowest": 2.0, "q": 1.0}, marks=pytest.mark.slow),
        pytest.param({"q": 0.5}, marks=pytest.mark.slow),
        pytest.param({"frame_seconds": 0.5, "hop_seconds": 0.05}, marks=pytest.mark.slow),
        pytest.param({"fmin": 900.0, "bands": 6, "output": "energies"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_fast_computation_matches_the_definition_with_any_settings(settings):
    for wave in (synth.voice(2, "sad", 3), np.random.default_rng(0).normal(0, 0.1, 20000)):
        assert_close(computed([wave], **settings)[0], msf.definition(wave, RATE, msf.Settings(**settings)), 1e-3)


@pytest.mark.parametrize(
    ("samples", "scale"),
    [*((samples, "energy") for samples in (0, 1, 800, 4095, 4096, 5119, 5120)), (0, "unit"), (1, "db"), (4095, "db")],
)
def test_a_clip_shorter_than_a_frame_gives_one_row(samples, scale):
    wave = synth.voice(0, "fear", 0)[4000 : 4000 + samples]
    rows = computed([wave], scale=scale)[0]
    assert len(rows) == (2 if samples == 5120 else 1)
    assert_close(rows, msf.definition(wave, RATE, msf.Settings(scale=scale)), 1e-3)


@pytest.mark.parametrize("scale", ["energy", "unit", "db"])
def test_silence_gives_finite_flat_features(scale):
    silence = np.zeros(20000)
    rows = computed([silence], scale=scale)[0]
    assert_close(rows, msf.definition(silence, RATE, msf.Settings(scale=scale)), 1e-3)
    for inaudible in (silence, synth.voice(3, "happy", 2) * 1e-9):
        rows = computed([inaudible], scale=scale)[0]
        assert np.isfinite(rows).all()
        expected = {
            "e": {"energy": 1e-12, "unit": 1 / 95, "db": -120}[scale],
            "flatness": 1,
            "centroid": 10,
            "modulation": 3,
        }
        for prefix, value in expected.items():
            np.testing.assert_allclose(rows[:, columns(prefix)], value, rtol=1e-3)


def test_constant_offset_barely_changes_the_energies():
    wave = synth.voice(3, "happy", 2)
    offset = energies(wave + 0.1)
    np.testing.assert_allclose(offset[3:], energies(wave)[3:], rtol=0.05)  # but for the lowest bands at the onset
    assert_close(computed([wave + 0.1])[0], msf.definition((wave + 0.1).astype(np.float32), RATE, msf.Settings()), 1e-3)


@pytest.mark.parametrize(("modulation", "column"), [(4, 0), (8, 1), (16, 2), (32, 3), (64, 4)])
@pytest.mark.parametrize("carrier", [500, 1000, 2500])
def test_modulated_tone_peaks_at_its_carrier_and_modulation_frequency(modulation, column, carrier):
    found = energies(tone(modulation, carrier))
    centres = msf._centres(msf.Settings())
    nearest = np.argmin(np.abs(centres - carrier) / msf._widths(centres))
    assert np.unravel_index(found.argmax(), found.shape) == (nearest, column)


def test_energy_is_the_mean_square_of_the_band_passed_envelope():
    """The envelope a (1 + cos) has mean square a^2 / 2 around its mean, less what the band takes of the sides."""
    settings = {"frame_seconds": 1.024, "bands": 3, "fmin": 500.0, "fmax": 2000.0}
    centres = msf._centres(msf.Settings(**settings))
    found = energies(tone(32, centres[1], seconds=4), **settings)[1, 3]
    sides = (1 + (32 / msf._widths(centres)[1]) ** 2) ** -4
    np.testing.assert_allclose(found, 0.2**2 / 2 * sides, rtol=0.03)


def test_doubling_the_amplitude_quadruples_the_energy():
    wave = synth.voice(4, "neutral", 1) * 0.5
    np.testing.assert_allclose(energies(2 * wave), 4 * energies(wave), rtol=1e-3, atol=1e-11)
    np.testing.assert_allclose(energies(2 * wave, scale="unit"), energies(wave, scale="unit"), atol=1e-4)


def test_the_bands_are_gammatones_from_125_to_3500_hz():
    settings = msf.Settings()
    centres = msf._centres(settings)
    assert len(centres) == 19
    np.testing.assert_allclose(centres[[0, -1]], [125, 3500])
    equivalent = 24.7 + centres / 9.26449
    np.testing.assert_allclose(np.diff(np.log(equivalent)), np.diff(np.log(equivalent))[0])
    frequencies = np.arange(4096) * (RATE / 8192)
    response = msf._filters(settings, frequencies)
    times = np.arange(8192) / RATE
    for band in (0, 6, 18):
        decay = 2 * np.pi * 1.019 * equivalent[band]
        impulse = times**3 * np.exp(-decay * times) * np.cos(2 * np.pi * centres[band] * times)
        spectrum = np.abs(np.fft.rfft(impulse))[:-1]
        np.testing.assert_allclose(
            spectrum[64:] / spectrum.max(), np.abs(response[band, 64:]) / np.abs(response[band]).max(), atol=2e-3
        )


def test_long_clip_computed_in_blocks_matches_the_whole():
    wave = torch.from_numpy(np.concatenate([synth.voice(speaker, "angry", speaker) for speaker in range(8)]))
    for filters in ("gammatone", "mel"):
        blocks, whole = (msf.Feature(msf.Settings(filters=filters), RATE) for _ in range(2))
        whole.longest = 1000
        assert len(list(blocks._blocks(wave))) > 3
        assert len(list(whole._blocks(wave))) == 1
        assert_close(blocks.clips([wave])[0].numpy(), whole.clips([wave])[0].numpy(), 5e-4)


def test_clip_features_are_bit_identical_alone_and_in_a_batch():
    waves = [torch.from_numpy(synth.voice(speaker, "happy", speaker)) for speaker in range(4)]
    waves += [waves[0][:3000], torch.cat(waves)]
    feature = msf.Feature(msf.Settings(), RATE)
    together = feature.clips(waves)
    for wave, rows in zip(waves[::-1], together[::-1], strict=True):
        assert torch.equal(msf.Feature(msf.Settings(), RATE).clips([wave])[0], rows)


@pytest.mark.parametrize(
    ("output", "width", "first", "last"),
    [
        ("both", 118, "msf_e_1_1", "msf_error_4"),
        ("energies", 95, "msf_e_1_1", "msf_e_19_5"),
        ("measures", 23, "msf_mean_1", "msf_error_4"),
    ],
)
def test_every_column_has_a_name(output, width, first, last):
    feature = msf.Feature(msf.Settings(output=output), RATE)
    assert (len(feature.columns), feature.columns[0], feature.columns[-1]) == (width, first, last)
    assert len(set(feature.columns)) == width
    assert feature.clips([torch.zeros(8000)])[0].shape == (4, width)


@pytest.mark.parametrize(
    "settings",
    [
        {"fmax": 9000.0},
        {"fmin": 0.0},
        {"fmin": 4000.0},
        {"bands": 1},
        {"modulations": 1},
        {"modulations": 12},
        {"q": 0.0},
        {"q": 0.4},
        {"lowest": -1.0},
        {"hop_seconds": 0.0},
        {"hop_seconds": 0.3},
    ],
    ids=str,
)
def test_invalid_settings_are_refused_in_one_line(settings):
    with pytest.raises(UsageError, match=r"^msf: ") as refused:
        msf.Feature(features.settings("msf", settings), RATE)
    assert "\n" not in str(refused.value)
