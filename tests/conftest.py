"""Fixtures that several test files share."""

import errno
import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # before importing numpy and torch: more threads would only be in the way
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    # Workers that compile librosa at once would share a cache, which has made its functions crash.
    os.environ["NUMBA_CACHE_DIR"] = (
        f"{Path(__file__).parents[1]}/.pytest_cache/numba-{os.environ['PYTEST_XDIST_WORKER']}"
    )

import numpy as np
import pytest
from running import again

from sertool.sound import encoding, synth
from sertool.system import talk, workers

pytest.register_assert_rewrite("pretrained")  # before the plugin is loaded, as test files also import it

# A shell without job control starts background jobs with interrupts ignored, and our tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

gc.disable()  # until all tests are collected, as nothing of them goes away: looking for it takes a quarter of the time


def pytest_collection_finish() -> None:
    """Never again look for garbage among what was imported and collected, which is most of what there is."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def nothing_was_said() -> None:
    """Forget what earlier tests asked for (such as `--quiet`) or were warned of, as it would hide messages."""
    talk.forget()


@pytest.fixture(autouse=True)
def curves_are_not_drawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trainings leave an empty file where they draw their curves, which takes a fifth of a second."""
    plots = sys.modules.get("sertool.drawings.plots")
    if plots and not request.node.get_closest_marker("draws"):
        monkeypatch.setattr(plots, "curves", lambda _history, _best, path, _shown: path.touch())


@pytest.fixture(autouse=True)
def pictures_are_closed() -> Iterator[None]:
    """Close figures that a test has drawn and not saved, as twenty open ones cause a warning."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture
def one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands fork only where they are asked for `--jobs`: other tests are at work on the other cores."""
    monkeypatch.setattr(workers, "cores", lambda: 1)


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three speakers, three emotions, two sentences: `s01f/angry_0_0.wav`. Read only."""
    folder = tmp_path_factory.mktemp("voices") / "voices"
    synth.corpus(folder, speakers=3, emotions=("neutral", "happy", "angry"), sentences=2, write=encoding.write)
    return folder


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


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes clips of a fifth of a second, no two alike: `make("a/x.wav", "b/y.wav")`.

    It returns their folder.
    """
    count = iter(range(10**6))

    def made(*names: str) -> Path:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            encoding.write(path, np.random.default_rng(next(count)).normal(0, 0.1, 3200), 16_000)
        return tmp_path

    return made


@pytest.fixture
def shut(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return a set of names; folders with a name in it cannot be listed."""
    names: set[str] = set()
    scan = os.scandir

    def denied(folder: str | Path) -> object:
        if Path(folder).name in names:
            raise PermissionError(errno.EACCES, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", denied)
    return names
