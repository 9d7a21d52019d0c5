"""Every file in features/ keeps the contract, and equals its slow twin and librosa on the same waveform."""

from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sertool import catalogue, features
from sertool.errors import UsageError
from sertool.numeric import dsp

RATE = 16000
CORPORA = Path(__file__).resolve().parents[2] / "shared" / "corpora"
NAMES = [name for name in catalogue.names("features") if not features.from_file(name)]
FRAMEWISE = [
    "mel",
    "mfcc",
    "zcr",
    "rms",
    "chroma",
    "centroid",
    "bandwidth",
    "rolloff",
    "contrast",
    "flatness",
    "tonnetz",
]


def speech(samples: int, pitch: float = 120.0, seed: int = 0) -> np.ndarray:
    """A gliding buzz through two resonances, with breath, hiss and pauses."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(samples) / RATE
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.3 * np.sin(2 * np.pi * 1.3 * seconds))) / RATE
    buzz = sum(np.sin(k * phase) * np.exp(-(((k * pitch - 600) / 500) ** 2)) for k in range(1, 30))
    buzz += sum(np.sin(k * phase) * np.exp(-(((k * pitch - 2200) / 700) ** 2)) / 4 for k in range(8, 40))
    syllables = np.clip(np.sin(2 * np.pi * 2.7 * seconds + 0.4), 0, None)
    wave = 0.2 * buzz * syllables + rng.standard_normal(samples) * (0.02 * syllables[::-1] + 0.0005)
    return (0.5 * wave).astype(np.float32)


SIGNALS = {
    "a low voice": speech(16001),
    "a high voice": speech(11113, 260.0, 1),
    "hiss": (np.random.default_rng(2).standard_normal(7919) * 0.05).astype(np.float32),
    "shorter than a frame": speech(777, 200.0, 3),
}
EDGES = {"one sample": np.array([0.5], dtype=np.float32), "silence": np.zeros(5003, dtype=np.float32)}


pytest_plugins = ("pretrained",)
pytestmark = pytest.mark.usefixtures("small_encoders")
EXACT = {"whisper": {"precision": "float32"}, "ssl": {"precision": "float32"}}


def chosen(name: str, settings: dict[str, Any]) -> Any:
    return features.settings(name, EXACT.get(name, {}) | settings)


def made(name: str, rate: int = RATE, **settings: Any) -> tuple[Any, Any]:
    """A feature and its settings."""
    asked = chosen(name, settings)
    return features.load(name).Feature(asked, rate), asked


def rows_of(name: str, wave: np.ndarray, rate: int = RATE, **settings: Any) -> np.ndarray:
    feature, _ = made(name, rate, **settings)
    return dsp.compute({name: feature}, torch.from_numpy(wave))[name].numpy()


def defined(name: str, wave: np.ndarray, rate: int = RATE, **settings: Any) -> np.ndarray:
    return features.load(name).definition(wave, rate, chosen(name, settings))


def share_that_agrees(rows: np.ndarray, known: np.ndarray) -> float:
    """Of the rows: |a - b| <= 1e-3 max(|b|, that column's deviation over the clip), float32's rounding aside."""
    assert rows.shape == known.shape
    assert np.isfinite(rows).all()
    allowed = 1e-3 * np.maximum(np.abs(known), known.std(axis=0)) + 1e-7
    return float((np.abs(rows - known) <= allowed).all(axis=1).mean())


def needed(name: str) -> float:
    """The share of rows that must agree: all, but for features whose values step."""
    module = features.load(name)
    return getattr(module, "AGREES", 0.999 if getattr(module, "STEPS", False) else 1.0)


# --- the contract ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", catalogue.names("features"))
def test_feature_facts_and_settings_are_complete_and_documented(name: str) -> None:
    entry = catalogue.entries("features")[name]
    module = features.load(name)
    assert 10 < len(entry.title) < 115
    assert entry.facts["DTYPE"] in ("float16", "float32", "int16")
    said = [field.name for field in fields(module.Settings) if hasattr(field.type, "__metadata__")]
    assert [setting.name for setting in entry.settings] == said
    assert all(setting.help for setting in entry.settings)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("signal", SIGNALS)
def test_fast_features_agree_with_their_definitions(name: str, signal: str) -> None:
    assert share_that_agrees(rows_of(name, SIGNALS[signal]), defined(name, SIGNALS[signal])) >= needed(name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("signal", EDGES)
def test_silence_and_a_single_sample_agree_with_the_definitions(name: str, signal: str) -> None:
    rows, known = rows_of(name, EDGES[signal]), defined(name, EDGES[signal])
    assert rows.shape == known.shape
    assert np.isfinite(rows).all()
    assert np.allclose(rows, known, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_feature_column_has_a_unique_name(name: str) -> None:
    feature, _ = made(name)
    rows = dsp.compute({name: feature}, torch.from_numpy(SIGNALS["hiss"]))[name]
    assert rows.shape[1] == len(feature.columns) == len(set(feature.columns))


@pytest.mark.parametrize("name", NAMES)
def test_features_do_not_depend_on_the_run_length(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wave = SIGNALS["a low voice"]
    whole = rows_of(name, wave)
    monkeypatch.setattr(dsp, "RUN", 7)
    for kept in (dsp.KEPT, 0):
        monkeypatch.setattr(dsp, "KEPT", kept)
        assert np.allclose(rows_of(name, wave), whole, rtol=1e-5, atol=1e-5 * np.abs(whole).max())


def everything() -> dict[str, Any]:
    return {name: made(name)[0] for name in NAMES}


def test_features_are_bit_identical_in_any_order_and_combination() -> None:
    waves = [torch.from_numpy(wave) for wave in SIGNALS.values()]
    together = everything()
    first = [dsp.compute(together, wave) for wave in waves]
    again = [dsp.compute(together, wave) for wave in reversed(waves)][::-1]
    for wave, one, two in zip(waves, first, again, strict=True):
        for name in NAMES:
            assert torch.equal(one[name], two[name])
            assert torch.equal(one[name], dsp.compute({name: made(name)[0]}, wave)[name])


def test_features_of_packed_clips_agree_with_single_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    waves = [torch.from_numpy(wave) for wave in (*SIGNALS.values(), *EDGES.values())]
    alone = [dsp.compute(everything(), wave) for wave in waves]
    for pack in (dsp.PACK, 20):
        monkeypatch.setattr(dsp, "PACK", pack)
        for one, other in zip(alone, dsp.compute_packed(everything(), waves), strict=True):
            assert list(one) == list(other) == NAMES
            for name in NAMES:
                scale = float(one[name].abs().max())
                assert torch.allclose(one[name].float(), other[name].float(), rtol=1e-4, atol=1e-4 * scale)


# --- settings --------------------------------------------------------------------------------------------------------

SHORT = {"n_fft": 512, "hop": 160, "win_length": 400, "window": "hamming", "edges": "reflect"}
CHANGED = [
    ("mel", {**SHORT, "bands": 40, "htk": True, "norm": "none", "fmin": 50.0, "fmax": 7000.0, "ref": "max"}),
    ("mel", {"scale": "log", "center": False, "window": "blackman"}),
    ("mel", {"scale": "power", "window": "ones", "n_fft": 1024}),
    ("mel", {"top_db": None}),
    ("mfcc", {**SHORT, "count": 13, "bands": 40, "lifter": 22.0, "deltas": 2}),
    ("mfcc", {"count": 100, "deltas": 1}),
    ("zcr", {"n_fft": 400, "hop": 147, "center": False}),
    ("rms", {"n_fft": 400, "hop": 160, "edges": "reflect"}),
    ("chroma", {**SHORT, "bins": 24}),
    ("chroma", {"tuning": 0.3}),
    ("tonnetz", {"tuning": -0.2}),
    ("centroid", SHORT),
    ("bandwidth", {**SHORT, "p": 3.0}),
    ("rolloff", {**SHORT, "share": 0.5}),
    ("contrast", {**SHORT, "bands": 4, "fmin": 300.0, "quantile": 0.1}),
    ("contrast", {"n_fft": 400, "hop": 160}),
    ("flatness", SHORT),
    *(("mel", {"win_length": length, "window": window}) for length in (1, 2) for window in ("hann", "blackman")),
]


@pytest.mark.parametrize(("name", "settings"), CHANGED)
def test_fast_features_agree_with_their_definitions_with_other_settings(name: str, settings: dict[str, Any]) -> None:
    for wave in (SIGNALS["a high voice"], SIGNALS["shorter than a frame"]):
        assert share_that_agrees(rows_of(name, wave, **settings), defined(name, wave, **settings)) >= needed(name)


@pytest.mark.parametrize("frames", range(1, 12))
def test_deltas_are_defined_for_any_number_of_frames(frames: int) -> None:
    wave, settings = speech(1 + 512 * (frames - 1)), {"deltas": 2, "count": 5}
    rows = rows_of("mfcc", wave, **settings)
    assert rows.shape == (frames, 15)
    assert np.allclose(rows, defined("mfcc", wave, **settings), rtol=1e-3, atol=1e-3)
    assert frames > 2 or not rows[:, 5:].any()


@pytest.mark.parametrize("level", [0.0, 0.3])
def test_constant_signal_has_zero_deltas(level: float) -> None:
    rows = rows_of("mfcc", np.full(RATE, level, np.float32), deltas=2, center=False)
    assert rows[0, 0] == rows[-1, 0] != 0
    assert not rows[:, 20:].any()


@pytest.mark.parametrize("n_fft", range(16, 32))
def test_flatness_agrees_with_its_definition_for_any_frame_length(n_fft: int) -> None:
    wave, settings = SIGNALS["a high voice"], {"n_fft": n_fft, "hop": 16}
    assert share_that_agrees(rows_of("flatness", wave, **settings), defined("flatness", wave, **settings)) == 1.0


@pytest.mark.parametrize(("rate", "bands"), [(8000, 5), (16000, 6), (44100, 6), (300, 1)])
def test_contrast_has_only_octaves_that_begin_below_nyquist(rate: int, bands: int) -> None:
    feature, _ = made("contrast", rate)
    assert len(feature.columns) == bands + 1 - (rate == 300)


def test_contrast_finds_valleys_below_float32_precision() -> None:
    seconds = np.arange(RATE) / RATE
    tone = (0.9 * np.sin(2 * np.pi * 500 * seconds)).astype(np.float32)
    hiss = np.random.default_rng(0).standard_normal(RATE) * 1e-6
    wave = tone + hiss.astype(np.float32)
    assert share_that_agrees(rows_of("contrast", wave), defined("contrast", wave)) == 1.0


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("mfcc", {"count": 200}),
        ("mfcc", {"lifter": -1.0}),
        ("rolloff", {"share": 1.0}),
        ("bandwidth", {"p": 0.0}),
        ("contrast", {"quantile": 0.0}),
        ("contrast", {"fmin": 0.0}),
        ("contrast", {"bands": 0}),
        ("chroma", {"bins": 0}),
        ("mel", {"hop": 0}),
        ("mel", {"bands": -5}),
        ("mel", {"window": "foo"}),
        ("whisper", {"weights": 1}),
    ],
)
def test_invalid_setting_is_refused_in_one_line(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as refusal:
        made(name, **wrong)
    assert "\n" not in str(refusal.value)
    assert next(iter(wrong)) in str(refusal.value)


def test_the_waveform_is_rounded_and_clipped_to_16_bits() -> None:
    wave = np.array([0, 1, -1, 0.5, -2, 2, 1.4 / 32768, 1.6 / 32768, -1.6 / 32768], dtype=np.float32)
    rows = dsp.compute({"wave": made("wave")[0]}, torch.from_numpy(wave))["wave"]
    assert rows.dtype == torch.int16
    assert rows[:, 0].tolist() == [0, 32767, -32768, 16384, -32768, 32767, 1, 2, -2]


def test_a_zero_crossing_is_a_change_of_sign_and_zero_is_positive() -> None:
    wave = np.array([1, -1, 0, 1e-11, -1e-11, -1, 0, 0] * 4, dtype=np.float32)
    rows = rows_of("zcr", wave, n_fft=16, hop=16, center=False)
    assert rows[:, 0].tolist() == [8 / 16] * 2


# --- librosa ---------------------------------------------------------------------------------------------------------


def counterparts(wave: np.ndarray) -> Iterator[tuple[str, dict[str, Any], Callable[[], np.ndarray]]]:
    """Name, settings and librosa's answer, made when called, with its and our defaults and with other settings."""
    librosa = pytest.importorskip("librosa")
    feature, one, power = librosa.feature, {"y": wave, "sr": RATE}, librosa.power_to_db
    short = {"n_fft": 512, "hop_length": 160, "win_length": 400, "window": "hamming", "pad_mode": "reflect"}
    mel = {"n_mels": 40, "htk": True, "fmin": 50, "fmax": 7000}
    yield "mel", {}, lambda: power(feature.melspectrogram(**one))
    yield (
        "mel",
        {**SHORT, "bands": 40, "htk": True, "fmin": 50.0, "fmax": 7000.0, "ref": "max", "norm": "none"},
        lambda: power(feature.melspectrogram(**one, **short, **mel, norm=None), ref=np.max),
    )
    yield "mfcc", {}, lambda: feature.mfcc(**one)
    yield (
        "mfcc",
        {**SHORT, "bands": 40, "htk": True, "fmin": 50.0, "fmax": 7000.0, "count": 13, "lifter": 22.0, "deltas": 2},
        lambda: with_deltas(feature, feature.mfcc(**one, **short, **mel, n_mfcc=13, lifter=22)),
    )
    yield "zcr", {}, lambda: feature.zero_crossing_rate(wave)
    yield "rms", {}, lambda: feature.rms(y=wave)
    yield "chroma", {}, lambda: feature.chroma_stft(**one)
    yield "chroma", {"tuning": 0.3, "bins": 24}, lambda: feature.chroma_stft(**one, tuning=0.3, n_chroma=24)
    yield "tonnetz", {}, lambda: feature.tonnetz(chroma=feature.chroma_stft(**one), sr=RATE)
    yield "centroid", {}, lambda: feature.spectral_centroid(**one)
    yield "bandwidth", {}, lambda: feature.spectral_bandwidth(**one)
    yield "bandwidth", {"p": 3.0}, lambda: feature.spectral_bandwidth(**one, p=3)
    yield "rolloff", {}, lambda: feature.spectral_rolloff(**one)
    yield "rolloff", {**SHORT, "share": 0.5}, lambda: feature.spectral_rolloff(**one, **short, roll_percent=0.5)
    yield "contrast", {}, lambda: feature.spectral_contrast(**one)
    yield (
        "contrast",
        {**SHORT, "bands": 4, "fmin": 300.0, "quantile": 0.1},
        lambda: feature.spectral_contrast(**one, **short, n_bands=4, fmin=300, quantile=0.1),
    )
    yield "flatness", {}, lambda: feature.spectral_flatness(y=wave)


def with_deltas(feature: Any, rows: np.ndarray) -> np.ndarray:
    return np.concatenate([rows, feature.delta(rows), feature.delta(rows, order=2)])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("signal", ["a low voice", "a high voice", "hiss"])
def test_features_agree_with_librosa(signal: str) -> None:
    for name, settings, answer in counterparts(SIGNALS[signal]):
        rows = rows_of(name, SIGNALS[signal], **settings)
        assert share_that_agrees(rows, answer().T) >= needed(name), (name, settings)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_silence_and_a_single_sample_agree_with_librosa() -> None:
    for wave in EDGES.values():
        for name, settings, answer in counterparts(wave):
            if "deltas" not in settings:
                assert np.allclose(rows_of(name, wave, **settings), answer().T, rtol=1e-3, atol=1e-4), name


@pytest.mark.slow
@pytest.mark.corpora
@pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not here")
@pytest.mark.filterwarnings("ignore")
def test_features_agree_with_librosa_on_real_clips() -> None:
    soundfile = pytest.importorskip("soundfile")
    clips = [*sorted(CORPORA.glob("cremad/**/*.ogg"))[::600], *sorted(CORPORA.glob("emodb/**/*.flac"))[::40]]
    assert len(clips) >= 20
    agreeing: dict[str, list[float]] = {}
    for clip in clips:
        wave, rate = soundfile.read(clip, dtype="float32")
        assert rate == RATE
        for name, settings, answer in counterparts(wave):
            share = share_that_agrees(rows_of(name, wave, **settings), answer().T)
            agreeing.setdefault(f"{name} {settings}", []).append(share)
            assert needed(name) < 1 or share == 1, (clip.name, name, settings)
    assert all(np.mean(shares) >= 0.999 for shares in agreeing.values()), agreeing
