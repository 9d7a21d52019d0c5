"""Fixtures that the tests of featurize share."""

from pathlib import Path

import pytest

from sertool.featurize import extract, shards


@pytest.fixture(autouse=True)
def without_forks(one_worker: None) -> None:
    """Fork only for `--jobs`, which the tests of forks ask for."""


@pytest.fixture
def small_shards(monkeypatch) -> None:
    """Shards of five clips, so that there are five of them, and batches of two, so that there are more than workers."""
    monkeypatch.setattr(shards, "CLIPS", 5)
    monkeypatch.setattr(extract, "BATCH_CLIPS", 2)


@pytest.fixture
def spoilt(copied) -> Path:
    """A manifest of 24 sound clips of which three were spoilt since."""
    first, second, third, *_ = sorted((copied.parent / "clips").rglob("*.wav"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:3000])
    third.write_text("not audio")
    return copied
