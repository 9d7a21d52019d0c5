"""Fixtures that the tests of eval share."""

from collections.abc import Callable
from pathlib import Path

import pytest
from scored_tables import made, table

from sertool import cli
from sertool.eval import charts


@pytest.fixture(autouse=True)
def pictures_are_not_rendered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pictures be drawn but saved as empty files, as rendering one takes a tenth of a second."""
    if not request.node.get_closest_marker("draws"):
        monkeypatch.setattr(charts, "save", lambda _figure, path: path.touch())


@pytest.fixture
def predicted(tmp_path: Path) -> str:
    return table(tmp_path / "one.csv", made())


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line: exit code, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.run(["eval", *words])
        out, err = capsys.readouterr()
        return code, out, err

    return run
