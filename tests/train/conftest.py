"""Fixtures that the tests of train share."""

from pathlib import Path

import pytest
from running import PATTERN, changed, column, sertool

from sertool.sound import encoding, synth


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight speakers, three emotions, two sentences; their manifest."""
    folder = tmp_path_factory.mktemp("train")
    synth.corpus(folder / "clips", 8, ("neutral", "happy", "angry"), 2, write=encoding.write)
    assert sertool("index", folder / "clips", "--pattern", PATTERN, "-o", folder / "clips.parquet").code == 0
    return folder / "clips.parquet"


@pytest.fixture(scope="session")
def mel(clips: Path) -> Path:
    """The same with 16 log-mels."""
    done = sertool("featurize", clips, "--mel", "--mel-bands", 16, "-o", clips.parent / "mel")
    assert done.code == 0, done.err
    return clips.parent / "mel" / "manifest.parquet"


@pytest.fixture(scope="session")
def statistics(clips: Path) -> Path:
    """The same as one row of statistics for each clip."""
    wanted = ("--mfcc", "--rms", "--stats", "mean,std")
    assert sertool("featurize", clips, *wanted, "-o", clips.parent / "stats").code == 0
    return clips.parent / "stats" / "manifest.parquet"


@pytest.fixture
def two_corpora(mel: Path, tmp_path: Path) -> Path:
    """Half of the speakers in a corpus `one`, divided by its own manifest, the others in `two`."""
    speakers = column(mel, "speaker")
    half, last = sorted(set(speakers))[4], max(speakers)
    corpora = ["one" if s < half else "two" for s in speakers]
    own = ["dev" if s == min(speakers) else "train" if s < half else None for s in speakers]
    assert last > half
    return changed(mel, tmp_path / "both.parquet", corpus=corpora, split=own)
