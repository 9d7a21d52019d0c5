"""Pictures of clips: what lies where on the axes, and that every feature can be drawn."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from running import sertool

from sertool import catalogue
from sertool.sound import encoding

ALL = [f"--{name.replace('_', '-')}" for name, held in catalogue.entries("features").items()
       if name != "wave" and not {"CHOICE", "FROM_FILE"} & held.facts.keys()]  # fmt: skip
STARTS = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


@pytest.fixture
def tone(tmp_path) -> Path:
    """1.5 s of 1,000 Hz, then as long of 250 Hz."""
    time = np.arange(24_000) / 16_000
    wave = np.concatenate([np.sin(2 * np.pi * hz * time) for hz in (1000, 250)])
    encoding.write(tmp_path / "neutral" / "tone.wav", 0.5 * wave, 16_000)
    return tmp_path / "neutral" / "tone.wav"


@pytest.fixture
def figures(monkeypatch) -> list:
    """The figures that are drawn, neither rendered nor closed."""
    from sertool.drawings import pictures

    drawn: list = []
    monkeypatch.setattr(pictures, "save", lambda figure, _path: drawn.append(figure))
    return drawn


def draw(figures: list, clip: Path, *words: str) -> dict:
    """The axes of a clip's picture by the first word of their titles."""
    done = sertool("featurize", clip, *words, "--plot", clip.parent / "p.png")
    assert done.code == 0, done.err
    return {axis.get_title(loc="left").partition(" ")[0]: axis for axis in figures[-1].axes}


def test_panel_title_does_not_mention_options(figures, tone):
    title = draw(figures, tone, "--pitch")["Pitch:"].get_title(loc="left")
    assert title == "Pitch: f0 in Hz (0 where unvoiced), whether and how surely voiced"


@pytest.mark.parametrize("suffix", STARTS)
def test_plotting_a_clip_stores_no_features(tone, tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    done = sertool("featurize", tone, "--mel", "--rms", "--plot", tmp_path / f"p{suffix}")
    assert (done.code, done.out) == (0, b"")
    assert "drew neutral/tone in" in done.err
    assert (tmp_path / f"p{suffix}").read_bytes().startswith(STARTS[suffix])
    assert not (tmp_path / "features").exists()


@pytest.mark.slow
@pytest.mark.parametrize("words", [
    (),
    pytest.param(("--stats", "mean,std,max"), marks=pytest.mark.slow),
    pytest.param(("--channels", "stereo", "--no-center"), marks=pytest.mark.slow),
])  # fmt: skip
def test_every_feature_can_be_drawn(voices, tmp_path, words):
    done = sertool("featurize", voices, *ALL, *words, "--plot", tmp_path / "p.png")
    assert done.code == 0, done.err
    assert (tmp_path / "p.png").stat().st_size > 20_000


@pytest.mark.slow
def test_silent_and_short_clips_can_be_drawn(tmp_path):
    encoding.write(tmp_path / "neutral" / "a.wav", np.zeros(16_000), 16_000)
    encoding.write(tmp_path / "neutral" / "b.wav", np.ones(900) * 0.1, 16_000)
    for name in ("a", "b"):
        paths = f"path\n{tmp_path / 'neutral' / name}.wav".encode()
        done = sertool("featurize", "-", *ALL, "--plot", tmp_path / "p.png", stdin=paths)
        assert done.code == 0, done.err


@pytest.mark.slow
@pytest.mark.parametrize(("decibels", "largest"), [(-20, 0.5), (5, 0.5 * 10 ** (5 / 20))])
def test_waveforms_drawn_together_share_axis_limits(tone, tmp_path, figures, decibels, largest):
    done = sertool("augment", tone, "--gain", decibels, "--plot", tmp_path / "p.png")
    assert done.code == 0, done.err
    for axis in figures[-1].axes[:2]:
        assert axis.get_ylim() == pytest.approx((-1.05 * largest, 1.05 * largest), rel=1e-3)


def test_tone_is_brightest_at_its_frequency(tone, figures):
    axis = draw(figures, tone, "--mel")["Log-mel"]
    values = axis.collections[0].get_array()
    places = dict(zip((text.get_text() for text in axis.get_yticklabels()), axis.get_yticks(), strict=True))
    for mark, row in (("1,000", 20), ("250", 70)):
        assert abs(values[:, row].argmax() + 0.5 - places[mark]) <= 1.5


def test_colours_are_pixels_in_every_format(tone, figures):
    """As paths, one for each value, take seconds and megabytes in PDF and SVG."""
    (mesh,) = draw(figures, tone, "--mel")["Log-mel"].collections
    assert mesh.get_rasterized()


def test_plotted_values_align_with_the_time_axis(tone, figures):
    axes = draw(figures, tone, "--zcr", "--mel")
    assert all(axes[name].get_xlim() == (0, 3) for name in ("Waveform", "Zero-crossing", "Log-mel"))
    (line,) = axes["Zero-crossing"].lines
    times, crossings = line.get_data()
    assert np.allclose(crossings[(times > 0.1) & (times < 1.4)], 0.125, atol=0.002)
    assert np.allclose(crossings[(times > 1.6) & (times < 2.9)], 0.031, atol=0.002)
    edges = axes["Log-mel"].collections[0].get_coordinates()[0, :, 0]
    assert np.allclose(np.diff(edges), 512 / 16_000)
    assert edges[0] < 0 < edges[1]


def test_pitch_is_drawn_in_voiced_frames(tone, figures):
    axis = draw(figures, tone, "--pitch")["Pitch:"]
    times, pitch = axis.lines[0].get_data()
    assert np.isclose(np.nanmedian(pitch[times > 1.7]), 250, rtol=0.01)
    assert axis.get_ylabel() == "Hz where voiced"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "label"), [((), "dB"), (("--mel-scale", "log"), "log power"), (("--normalize", "z-score"), "normalised")]
)
def test_colour_scale_names_its_unit(tone, figures, words, label):
    draw(figures, tone, "--mel", *words)
    assert label in [axis.get_ylabel() for axis in figures[-1].axes]


def test_statistics_are_drawn_as_labelled_bars(tone, figures):
    axis = draw(figures, tone, "--rms", "--stats", "mean,max")["Root"]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["rms_mean", "rms_max"]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["mean", "max"]


def test_unsupported_picture_format_is_refused(tone, tmp_path):
    done = sertool("featurize", tone, "--mel", "--plot", tmp_path / "p.jpg")
    assert done.code == 2
    assert ".png, .pdf, .svg" in done.err
    assert not (tmp_path / "p.jpg").exists()


def test_matplotlib_prints_no_warning_without_a_config_folder():
    code = "from sertool.drawings import pictures; pictures.pyplot()"
    settings = {**os.environ, "MPLCONFIGDIR": os.devnull, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=True)
    assert done.stderr == ""
