"""The examples in the help of what comes after training, run as they stand there."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helptexts import examples
from running import sertool, shell

from sertool.sound import encoding, synth

pytest_plugins = ("example_folder",)


@pytest.fixture(scope="module")
def trained(example_folder, tmp_path_factory) -> Path:
    """The same with features, two runs, and tables of predictions."""
    folder = tmp_path_factory.mktemp("trained") / "example_folder"
    shutil.copytree(example_folder, folder)
    for speaker in ("03", "08", "11"):
        for code, emotion in (("W", "angry"), ("T", "sad")):
            encoding.write(folder / "emodb" / f"{speaker}a01{code}a.wav", synth.voice(int(speaker), emotion, 3), 16_000)
    shutil.copytree(folder / "mine" / "s0", folder / "anna")
    for name in ("clip.wav", "call.wav"):
        shutil.copy(folder / "voice.wav", folder / name)
    here = Path.cwd()
    os.chdir(folder)
    made = sertool("index", "cremad/", "ravdess/", "emodb/", "--split", "speaker:50/25/25")
    made = sertool("featurize", "-", "--mel", "-o", "features", stdin=made.out)
    for run in ("run", "other-run"):
        done = sertool("train", "-", "-m", "gru", "--epochs", 1, "--adapt", "speaker", "-o", run, stdin=made.out)
        assert done.code == 0, done.err
    rng, rows = np.random.default_rng(0), []
    for clip in range(120):
        truth, other = rng.permutation(["angry", "sad", "happy", "neutral"])[:2]
        answer = truth if clip % 8 else other
        rows.append(f"c{clip},s{clip % 6},{'fm'[clip % 2]},{20 + clip % 6},{truth},{answer},.9")
    (folder / "predictions.csv").write_text("\n".join(
        ["clip,speaker,sex,age,emotion,predicted,confidence", *rows]))  # fmt: skip
    shutil.copytree(folder / "run", folder / "runs" / "a")
    shutil.copytree(folder / "other-run", folder / "runs" / "b")
    true = rng.normal(4, 1, (120, 3)).round(2)
    rated = np.stack([true, true + rng.normal(0, 0.5, true.shape).round(2)], 2).reshape(120, 6)
    head = "clip,speaker,sex,arousal,predicted_arousal,valence,predicted_valence,calmness,guess"
    lines = (",".join([f"c{k},s{k % 6},{'fm'[k % 2]}", *map(str, row)]) for k, row in enumerate(rated))
    (folder / "rated.csv").write_text("\n".join([head, *lines]))
    (folder / "theirs.csv").write_text("y,yhat,who\nang,ang,ann\nsad,ang,bob\nsad,sad,ann\n")
    clips = sorted(Path("cremad").rglob("*.wav"))
    answers = [json.dumps({"key": path.stem, "labels": "ang"}) for path in clips]
    (folder / "answers.jsonl").write_text("\n".join(answers))
    os.chdir(here)
    return folder


@pytest.mark.parametrize("line", examples("train", "eval", "predict"))
def test_help_examples_of_train_eval_and_predict_run_successfully(trained, tmp_path, monkeypatch, line):
    shutil.copytree(trained, tmp_path / "example_folder")
    monkeypatch.chdir(tmp_path / "example_folder")
    for made in [name for name, command in (("run", "train"), ("features", "featurize")) if command in line]:
        shutil.rmtree(made)
    listing, _, rest = line.partition(" | ")
    if listing.startswith("find "):
        listed = subprocess.run(["bash", "-c", listing], capture_output=True, check=True).stdout
        done = sertool(*rest.split()[1:], stdin=listed)
    else:
        done = shell(line)
    assert done.code == 0, done.err
