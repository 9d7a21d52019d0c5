"""Fixtures that the tests of fetch share."""

from dataclasses import replace

import pytest
import server as play
from fetching import HASTE, WAVS

from sertool import catalogue
from sertool.internet import web


@pytest.fixture
def server():
    made = play.Server()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """Short patience, a cache of one's own, no keys, no proxies."""
    monkeypatch.setattr(web, "PATIENCE", HASTE)
    monkeypatch.setenv("SERTOOL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "kaggle"))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "http_proxy", "HTTP_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def offered(monkeypatch):
    """Gives a corpus the sources of a test."""
    real = catalogue.entries

    def offer(corpus: str, *places: dict, clips: int = len(WAVS)) -> None:
        def entries(folder: str) -> dict:
            found = dict(real(folder))
            if folder == "corpora":
                facts = {**found[corpus].facts, "SOURCES": places, "CLIPS": clips}
                facts.pop("PARTS", None)
                found[corpus] = replace(found[corpus], facts=facts)
            return found

        monkeypatch.setattr(catalogue, "entries", entries)

    return offer
