"""`sertool demo`: the whole pipe, by lines that can be pasted."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from running import sertool

from sertool import demonstration
from sertool.manifests import manifest, manifest_io

FOLDER = "my demo's"
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "HTTPS_PROXY": "http://127.0.0.1:9",  # nobody listens there: nothing may be asked for
    "HTTP_PROXY": "http://127.0.0.1:9",
}


def shell(line: str, folder: Path) -> str:
    done = subprocess.run(line, shell=True, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commands(text: str) -> list[str]:
    """What was printed to be typed: from each `$ ` to the end of its continued lines."""
    return re.findall(r"^\$ ((?:.*\\\n)*.*)$", text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> tuple[Path, str]:
    """Where the demo ran, and what it printed."""
    where = tmp_path_factory.mktemp("demo")
    return where, shell(f'sertool demo -o "{FOLDER}"', where)


@pytest.mark.slow
def test_demo_shows_every_step_from_index_to_predict(shown):
    where, text = shown
    words = re.findall(r"^(?:\$ |  \| )sertool (\w+)", text, flags=re.MULTILINE)
    assert words == ["index", "featurize", "augment", "featurize", "train", "eval", "predict"]
    places = [text.index(said) for said in ("Confusion: ", "predict -m", "angry.wav\n", "What was made lies in")]
    assert places == sorted(places)
    assert all((where / FOLDER / name).exists() for name in demonstration.LEFT)
    assert all(name in text for name in demonstration.LEFT)


@pytest.mark.slow
def test_printed_demo_commands_can_be_pasted_and_give_the_same_answers(shown, tmp_path):
    where, text = shown
    lines = commands(text)
    assert len(lines) == 4
    assert all(len(piece) < 110 for line in lines for piece in line.splitlines())
    answers = text.partition(lines[-1])[2].strip().splitlines()[: len(demonstration.EXTRA_EMOTIONS)]
    for line in lines:  # once more where all of it is there
        said = shell(line, where)
    assert said.strip().splitlines() == answers
    for part in ("voices", "unheard"):
        shutil.copytree(where / FOLDER / part, tmp_path / FOLDER / part)
    for line in lines:  # and where there is only the audio
        said = shell(line, tmp_path)
    assert said.strip().splitlines() == answers


@pytest.mark.slow
def test_repeated_demo_prints_the_same_output(shown):
    where, text = shown
    again = shell(f'sertool demo -o "{FOLDER}"', where)
    assert re.sub(r"# \d+ s", "", again) == re.sub(r"# \d+ s", "", text)


@pytest.mark.slow
def test_demo_score_is_high_and_falls_with_shuffled_labels(shown, tmp_path):
    where, _ = shown

    def uar(path: Path) -> float:
        table = manifest_io.read(str(path))
        true, said = (np.array(manifest.column(table, name)) for name in ("emotion", "predicted"))
        return float(np.mean([np.mean(said[true == word] == word) for word in set(true)]))

    assert uar(where / FOLDER / "model" / "predictions.parquet") > 0.75
    table = manifest_io.read(str(where / FOLDER / "features" / "manifest.parquet"))
    table = table.filter(table.column("parent").is_null())
    shuffled = np.random.default_rng(0).permutation(manifest.column(table, "emotion")).tolist()
    manifest_io.write(manifest.with_column(table, "emotion", shuffled), str(tmp_path / "m.parquet"), "parquet")
    assert sertool("train", tmp_path / "m.parquet", "-m", "logistic", "-o", tmp_path / "run").code == 0
    assert uar(tmp_path / "run" / "predictions.parquet") < 0.4


def test_existing_demo_voices_are_kept_and_another_seed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(demonstration, "SPEAKERS", 1)
    monkeypatch.setattr(demonstration, "SENTENCES", 1)
    monkeypatch.setattr(demonstration, "_type", lambda _line: None)
    written = []
    for seed, code in ((0, 0), (0, 0), (1, 2)):
        done = sertool("demo", "-o", tmp_path / "d", "--seed", seed)
        assert done.code == code
        voices = sorted((tmp_path / "d").rglob("*.wav"))
        written.append([path.stat().st_mtime_ns for path in voices])
    assert written[0] == written[1] == written[2]
    assert "holds a demo of other voices, of another --seed perhaps: use another -o" in done.line
    assert sertool("demo", "-o", tmp_path / "e", "--seed", 1).code == 0
    assert len(voices) == 4 + len(demonstration.EXTRA_EMOTIONS)


def test_failing_command_stops_the_demo_and_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(demonstration, "SPEAKERS", 1)
    monkeypatch.setattr(demonstration, "SENTENCES", 1)
    done = sertool("demo", "-o", tmp_path / "d")
    assert done.code == 1
    assert "the demo stopped at: sertool index" in done.err.splitlines()[-1]
    assert "\\" not in done.err.splitlines()[-1]
    (tmp_path / "file").write_text("x")
    done = sertool("demo", "-o", tmp_path / "file")
    assert done.code in (1, 2)
    assert len(done.err.splitlines()) == 1
