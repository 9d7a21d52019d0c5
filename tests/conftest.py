"""What several test files share."""

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # before numpy and torch: as many threads as cores in each would be in the way
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import numpy as np
import pytest

from sertool import encoding, synth, talk

pytest.register_assert_rewrite("pretrained")  # a plugin that a test file imports from, before it is loaded as one

# A shell without job control has what it starts in the background ignore interrupts, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def nothing_was_said() -> None:
    """What an earlier test asked for, as `--quiet`, or was warned of hides nothing from this one."""
    talk.forget()


@pytest.fixture(autouse=True)
def pictures_are_closed() -> Iterator[None]:
    """Those that a test has drawn and not saved: twenty open ones bring a warning."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three speakers, three emotions, two sentences: `s01f/angry_0_0.wav`. Read only."""
    folder = tmp_path_factory.mktemp("voices") / "voices"
    synth.corpus(folder, speakers=3, emotions=("neutral", "happy", "angry"), sentences=2, write=encoding.write)
    return folder


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """`make("a/x.wav", "b/y.wav")` writes clips of a fifth of a second, no two alike; it returns the folder."""
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
    """Folders of the names that are added cannot be listed."""
    names: set[str] = set()
    scan = os.scandir

    def denied(folder: str | Path) -> object:
        if Path(folder).name in names:
            raise PermissionError(errno.EACCES, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", denied)
    return names
