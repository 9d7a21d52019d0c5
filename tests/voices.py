"""A pytest plugin with a synthetic corpus and its manifest, to test what is made from manifests."""

import shutil
from pathlib import Path

import pytest
from running import again

from sertool import encoding, synth


@pytest.fixture(scope="session")
def voices(tmp_path_factory) -> Path:
    """Return a manifest of 24 synthetic clips."""
    folder = tmp_path_factory.mktemp("voices")
    synth.corpus(folder / "clips", speakers=4, emotions=("neutral", "angry"), sentences=3, write=encoding.write)
    return again(folder / "v.parquet")


@pytest.fixture
def copied(voices, tmp_path) -> Path:
    """Return the manifest of a copy of the clips, which tests may damage."""
    shutil.copytree(voices.parent, tmp_path / "copy")
    return tmp_path / "copy" / "v.parquet"
