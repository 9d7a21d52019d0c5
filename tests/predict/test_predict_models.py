"""predict with runs, ensembles and models that cannot be used."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from predicted_rows import probabilities, rows_of
from running import sertool

from sertool.modelfiles import modelfile
from sertool.networks import tensorfile


def test_model_file_given_as_input_is_refused_with_a_hint(run: Path) -> None:
    done = sertool("predict", "-m", run / "model", run / "model" / "seed-0" / "model.safetensors")
    assert (done.code, "a model is named with -m" in done.line) == (2, True)


def test_run_averages_the_probabilities_of_its_models(run: Path) -> None:
    clip = next((run / "voices").rglob("*.wav"))
    both, first, second = (
        probabilities(rows_of(sertool("predict", "-m", run / "model" / part, clip).out)[0])
        for part in ("", "seed-0", "seed-1")
    )
    assert both == pytest.approx(np.mean([first, second], axis=0), abs=1e-5)
    assert first != pytest.approx(second, abs=1e-3)


def test_runs_are_averaged_with_equal_weight_whatever_their_model_counts(run: Path, other: Path) -> None:
    asked = (run / "voices", "--window", 0.5)
    both, first, second = (
        [probabilities(row) for row in rows_of(sertool("predict", *models, *asked).out)]
        for models in (("-m", run / "model", "-m", other), ("-m", run / "model"), ("-m", other))
    )
    assert len(both) > 32
    np.testing.assert_allclose(both, np.mean([first, second], axis=0), atol=1e-5)
    cards = sertool("predict", "-m", run / "model", "-m", other, "--model-card").out.decode()
    assert [cards.count(f"{name}/seed-0") for name in ("model", "other")] == [1, 1]


def test_missing_model_is_reported_in_one_line(run: Path, tmp_path: Path) -> None:
    assert "no model in" in sertool("predict", "-m", tmp_path, "x.wav").line
    assert "no model nowhere" in sertool("predict", "-m", "nowhere", "x.wav").line
    assert "no model ''" in sertool("predict", "-m", "", "x.wav").line  # what a shell makes of a variable without value
    assert "no model in fold 3" in sertool("predict", "-m", run / "model", "--fold", "3", "x.wav").line


def test_folder_of_several_runs_is_refused_as_a_model(run: Path, tmp_path: Path) -> None:
    for name in ("leaky/fold-0/seed-0", "leaky/fold-1/seed-0", "disjoint/seed-0"):
        shutil.copytree(run / "model" / "seed-0", tmp_path / name)
    done = sertool("predict", "-m", tmp_path, "x.wav")
    assert (done.code, "several runs: disjoint, leaky" in done.line) == (2, True)
    assert sertool("predict", "-m", tmp_path / "leaky", next((run / "voices").rglob("*.wav"))).code == 0


def test_run_with_untrained_models_is_reported_and_the_others_predict(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "model", tmp_path / "model")
    assert "not trained yet" not in sertool("predict", "-m", tmp_path / "model", "x.wav").err
    (tmp_path / "model" / "seed-1" / "model.safetensors").unlink()
    assert "1 model not trained yet" in (done := sertool("predict", "-m", tmp_path / "model", "x.wav")).err
    assert done.code == 1  # x.wav is not there


def _spoilt(path: Path, change: str) -> None:
    """A model file that is hostile or foreign in one way."""
    held = modelfile.read(path)
    if change == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    elif change == "foreign":
        with path.open("wb") as stream:
            tensorfile.write(stream, {"what": "else"}, {})
    elif change == "pickle":
        path.write_bytes(b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.")
    else:
        values = {"architecture": "os", "columns": 10**9, "labels": ["a"], "temperature": 0.0, "features": {}}
        setattr(held, change, values[change])
        modelfile.write(path, held)


@pytest.mark.parametrize(
    "change", ["cut", "foreign", "pickle", "architecture", "columns", "labels", "temperature", "features"]
)
def test_hostile_model_file_is_refused_in_one_line(run: Path, tmp_path: Path, change: str) -> None:
    path = tmp_path / "model.safetensors"
    shutil.copy(run / "model" / "seed-0" / "model.safetensors", path)
    _spoilt(path, change)
    done = sertool("predict", "-m", path, "x.wav")
    assert done.code in (1, 2)
    assert done.line.startswith("sertool: ")


def _renamed(run: Path, copy: Path, **words: str) -> Path:
    """A copy of a run whose last model knows some emotions by other words."""
    shutil.copytree(run / "model", copy)
    path = copy / "seed-1" / "model.safetensors"
    held = modelfile.read(path)
    held.labels = [words.get(word, word) for word in held.labels]
    modelfile.write(path, held)
    return copy


def test_runs_of_different_emotions_are_refused_by_the_names_of_these(run: Path, tmp_path: Path) -> None:
    other = _renamed(run, tmp_path / "other", happy="calm", sad="fear")
    done = sertool("predict", "-m", run / "model", "-m", other, "x.wav")
    assert (done.code, "(not all know calm, fear): ask one" in done.line) == (2, True)


def test_model_gives_no_probability_to_an_emotion_that_only_others_of_its_run_know(run: Path, tmp_path: Path) -> None:
    clip = next((run / "voices").rglob("*.wav"))
    odd = _renamed(run, tmp_path / "odd", happy="fear", sad="happy")
    done = sertool("predict", "-m", odd, clip)
    (row,), (first,), (second,) = (
        rows_of(out) for out in (done.out, *(sertool("predict", "-m", odd / f"seed-{k}", clip).out for k in (0, 1)))
    )
    for name in (each for each in row if each.startswith("p_")):
        mean = np.mean([float(own.get(name) or 0) for own in (first, second)])
        assert float(row[name]) == pytest.approx(mean, abs=1e-5)
    assert f"1 of 2 models learnt without fear, and count that as impossible: {odd}/seed-0\n" in done.err
    assert f"1 of 2 models learnt without sad, and count that as impossible: {odd}/seed-1\n" in done.err


def test_model_card_lists_every_command_from_audio_to_model(run: Path) -> None:
    card = sertool("predict", "-m", run / "model" / "seed-0", "--model-card").out.decode()
    made = [line.removeprefix("- made by: ") for line in card.splitlines() if line.startswith("- made by: ")]
    assert [line.split()[1] for line in made] == ["index", "featurize", "train"]
    assert f"-o {run / 'model'}" in made[-1]
