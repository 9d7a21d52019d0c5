"""Fixtures that the tests of predict share."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from predicted_rows import LEARNING, SMALL, assert_told_apart
from running import PATTERN, sertool

from sertool.sound import encoding, synth


@pytest.fixture(autouse=True)
def without_forks(one_worker: None) -> None:
    """Fork only for `--jobs`, which the tests of forks ask for."""


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with voices, features and a run of two seeds."""
    folder = tmp_path_factory.mktemp("run")
    synth.corpus(folder / "voices", speakers=4, sentences=2, write=encoding.write)
    done = sertool("index", folder / "voices", "--pattern", PATTERN, "--split", "speaker:50/25/25")
    made = sertool("featurize", "--mel", "--mel-bands", "24", "-o", folder / "features", stdin=done.out)
    trained = sertool("train", *LEARNING, "--seeds", "2", "-o", folder / "model", stdin=made.out)
    assert trained.code == 0, trained.err
    assert_told_apart(sertool("predict", "-m", folder / "model", folder / "voices").out)
    return folder


@pytest.fixture(scope="session")
def other(run: Path) -> Path:
    """A run of one seed, of another network that hears in another way."""
    made = sertool("featurize", run / "features" / "manifest.parquet", "--mfcc", "-o", run / "other-features")
    words = ("-m", "gru", *SMALL, "--epochs", 4, "--lr", ".02", "--features", "mfcc", "-o", run / "other")
    trained = sertool("train", "-", *words, stdin=made.out)
    assert trained.code == 0, trained.err
    return run / "other"


@pytest.fixture
def sides(run: Path, tmp_path: Path) -> Path:
    """A table that says who is on which channel: one speaker on the left of a call, and on the right of another."""
    voices = [sorted(folder.glob("*.wav"))[:2] for folder in sorted((run / "voices").iterdir())[:2]]
    anna, other = ([soundfile.read(clip)[0][:12_000] for clip in clips] for clips in voices)
    soundfile.write(tmp_path / "a.wav", np.stack([anna[0], other[0]], axis=1), 16_000)
    soundfile.write(tmp_path / "b.wav", np.stack([other[1], anna[1]], axis=1), 16_000)
    heard = {("a", 1): anna[0], ("a", 2): other[0], ("b", 1): other[1], ("b", 2): anna[1]}
    for (call, side), samples in heard.items():
        soundfile.write(tmp_path / f"{call}{side}.wav", samples, 16_000)
    who = [("a", 1, "anna"), ("a", 2, "bob"), ("b", 1, "bob"), ("b", 2, "anna")]
    lines = [f"{call}@{side},{call}.wav,{side},{name}" for call, side, name in who]
    (tmp_path / "sides.csv").write_text("\n".join(["clip,path,channel,speaker", *lines]))
    lines = [f"{call}@{side},{call}{side}.wav,{name}" for call, side, name in who]
    (tmp_path / "alone.csv").write_text("\n".join(["clip,path,speaker", *lines]))
    return tmp_path


@pytest.fixture(scope="session")
def adaptable(run: Path) -> Path:
    """A model that was trained to adapt."""
    words = ("-m", "lstm", "--epochs", "4", "--lr", ".02", "--adapt", "speaker", "--prior-clips", "2")
    done = sertool("train", run / "features" / "manifest.parquet", *words, "-o", run / "adaptable")
    assert done.code == 0, done.err
    held = ("predict", "-m", run / "adaptable", run / "voices", "--adapt", "speaker", "--speakers", "parent-folder")
    assert_told_apart(sertool(*held).out)
    return run / "adaptable"
