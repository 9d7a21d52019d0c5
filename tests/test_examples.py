"""The examples in README.md: each is taken from its text and run as it stands there."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sertool.sound import encoding, synth

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
CREMAD = ROOT.parent / "shared" / "corpora" / "cremad"
pytestmark = pytest.mark.slow
SAID = {"ANG": "angry", "SAD": "sad", "NEU": "neutral", "HAP": "happy"}
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def example(language: str, place: int = 0) -> str:
    """The code of a language under the heading of the examples; its first, unless `place` says otherwise."""
    section = README.read_text(encoding="utf-8").partition("\n## Examples\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.+?)^```", section, flags=re.MULTILINE | re.DOTALL)[place]


def run(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        words, cwd=folder, env=os.environ | {"PATH": PATH}, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A corpus, and what the Makefile makes of it with two features."""
    if not shutil.which("make"):
        pytest.skip("needs make")
    folder = tmp_path_factory.mktemp("examples")
    for actor in range(5):
        for code, emotion in SAID.items():
            path = folder / "corpora" / "cremad" / "AudioWAV" / f"{1001 + actor}_IEO_{code}_XX.wav"
            encoding.write(path, synth.voice(actor, emotion, 0), 16_000)
    (folder / "Makefile").write_text(example("make"))
    run(folder, "make", "-j2", "FEATURES=mel rms")
    return folder


def test_makefile_builds_missing_targets_and_then_nothing(made):
    report = (made / "report.html").read_text(encoding="utf-8")
    assert all(f">{run}<" in report for run in ("mel", "rms"))
    assert "up to date" in run(made, "make", "FEATURES=mel rms").stdout
    (made / "runs" / "rms" / "predictions.parquet").unlink()
    planned = [line for line in run(made, "make", "-n", "FEATURES=mel rms").stdout.splitlines() if "train" in line]
    assert planned == ["sertool train features/rms/manifest.parquet -m svm -o runs/rms > /dev/null"]
    assert "features/pitch" in run(made, "make", "-n").stdout


def test_makefile_is_up_to_date_again_after_touched_sources(made):
    """A manifest that is written again with the same rows, such as by another `sertool index`."""
    for touched in ("clips.parquet", "corpora"):
        os.utime(made / touched)
        run(made, "make", "FEATURES=mel rms")
        assert "up to date" in run(made, "make", "FEATURES=mel rms").stdout


def test_nightly_script_answers_new_recordings_only_and_recovers_after_a_failed_night(made, tmp_path):
    (tmp_path / "nightly.sh").write_text(example("sh"))
    first, second = sorted((made / "corpora").rglob("*.wav"))[:2]
    (tmp_path / "inbox" / "monday").mkdir(parents=True)
    shutil.copy2(first, tmp_path / "inbox" / "monday" / "a call.wav")
    began = {}

    def night(code: int = 0) -> list[str]:
        """What is answered in a night."""
        run(tmp_path, "sh", "nightly.sh", str(tmp_path), code=code)
        answers = {path: path.stat().st_mtime_ns for path in (tmp_path / "emotions").rglob("*.csv")}
        new = [path for path, written in answers.items() if began.get(path) != written]
        began.update(answers)
        rows = [row for path in new for row in csv.DictReader(path.open(encoding="utf-8"))]
        assert {row["predicted"] for row in rows if not row["issue"]} <= set(SAID.values())
        return sorted({Path(row["path"]).name for row in rows})

    assert night(code=2) == []  # there is no model yet
    shutil.copytree(made / "runs" / "mel", tmp_path / "run")
    assert night() == ["a call.wav"]
    assert night() == []
    shutil.copy2(second, tmp_path / "inbox" / "b.wav")
    assert night() == ["b.wav"]


def test_duckdb_reads_a_manifest(made, monkeypatch):
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(made)
    held = duckdb.sql(example("sql")).fetchall()
    assert sum(clips for _, clips, _ in held) == 20
    assert [accuracy for *_, accuracy in held] == sorted(accuracy for *_, accuracy in held)


def test_pandas_reads_a_manifest(made):
    pytest.importorskip("pandas")
    run(made, sys.executable, "-c", example("python"))
    with (made / "listen.csv").open(encoding="utf-8") as stream:
        assert all(row["emotion"] != row["predicted"] for row in csv.DictReader(stream))


def test_service_answers_for_each_path_as_it_comes(made, tmp_path):
    shutil.copytree(made / "runs" / "mel", tmp_path / "run")
    clip = next((made / "corpora").rglob("*.wav"))
    asked = f"print(answer({str(clip)!r})['predicted'])\nprint(answer('nothing.wav')['issue'])\njudge.stdin.close()"
    predicted, issue = run(tmp_path, sys.executable, "-c", f"{example('python', 1)}\n{asked}").stdout.split()
    assert (predicted in SAID.values(), issue) == (True, "vanished")


@pytest.mark.corpora
def test_first_pipe_of_the_readme_says_what_stands_there(tmp_path):
    if not CREMAD.is_dir():
        pytest.skip("needs the real corpora")
    (tmp_path / "cremad").symlink_to(CREMAD)
    pipe, said = re.findall(r"^```console\n\$ (.+)\n([^`]+)^```", README.read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert run(tmp_path, "bash", "-c", f"{pipe} > made.parquet").stderr == said
