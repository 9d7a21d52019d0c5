"""A synthetic corpus with its manifest: a plugin of pytest's, for the tests of what is made from manifests."""

import shutil
from pathlib import Path

import pytest
from running import again

from sertool import encoding, synth


@pytest.fixture(scope="session")
def voices(tmp_path_factory) -> Path:
    """A manifest of 24 synthetic clips."""
    folder = tmp_path_factory.mktemp("voices")
    synth.corpus(folder / "clips", speakers=4, emotions=("neutral", "angry"), sentences=3, write=encoding.write)
    return again(folder / "v.parquet")


@pytest.fixture
def copied(voices, tmp_path) -> Path:
    """A copy of the clips that may be spoilt, and its manifest."""
    shutil.copytree(voices.parent, tmp_path / "copy")
    return tmp_path / "copy" / "v.parquet"
