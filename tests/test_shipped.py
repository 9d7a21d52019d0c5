"""The models inside the package: there from the start, small enough, and honest about themselves."""

import csv
import io
from pathlib import Path

import pytest
from running import sertool

from sertool import audio, modelfile, shipped, synth, weights

EMOTIONS = ["neutral", "happy", "sad", "angry", "fear", "disgust"]
MEGABYTES = {"base": 16, "tiny": 2}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    audio.write(tmp_path / "clip.wav", synth.voice(0, "angry", 0), 16_000)
    return tmp_path / "clip.wav"


def test_the_default_is_among_them():
    assert shipped.DEFAULT in shipped.names()
    assert shipped.names() == sorted(MEGABYTES)


@pytest.mark.parametrize("name", MEGABYTES)
def test_they_know_the_six_emotions_and_are_small(name: str):
    held = modelfile.read(shipped.place(name))
    assert sorted(held.labels) == sorted(EMOTIONS)
    assert shipped.place(name).stat().st_size < MEGABYTES[name] * 1e6


@pytest.mark.parametrize("words", [(), ("-m", "tiny")])
def test_they_answer_with_nothing_else_on_the_machine(clip: Path, tmp_path: Path, monkeypatch, words: tuple):
    monkeypatch.setenv("SERTOOL_CACHE", str(tmp_path / "empty"))
    done = sertool("predict", *words, clip, "-f", "csv")
    assert done.code == 0, done.err
    (row,) = csv.DictReader(io.StringIO(done.out.decode()))
    shares = [float(row[f"p_{word}"]) for word in EMOTIONS]
    assert row["predicted"] in EMOTIONS
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize("name", MEGABYTES)
def test_the_card_names_data_licence_figures_and_limits(name: str):
    done = sertool("predict", "-m", name, "--model-card")
    assert done.code == 0, done.err
    for word in ("CREMA-D", "ODbL", "UAR", "acted", "not", "made by: sertool"):
        assert word in done.out.decode()


def test_a_model_that_is_nowhere_is_one_line_with_the_choices(clip: Path):
    done = sertool("predict", "-m", "huge", clip)
    assert (done.code, "inside the package are base, tiny" in done.line) == (2, True)


def test_a_card_says_which_figures_were_adapted_to_the_speakers():
    figures = {name: sertool("predict", "-m", name, "--model-card").out.decode().splitlines() for name in MEGABYTES}
    dev = {name: next(line for line in lines if line.startswith("- dev: UAR")) for name, lines in figures.items()}
    assert ("adapted" in dev["base"], "adapted" in dev["tiny"]) == (True, False)


def probabilities(done) -> list[list[float]]:
    return [[float(row[f"p_{word}"]) for word in EMOTIONS] for row in csv.DictReader(io.StringIO(done.out.decode()))]


def test_what_the_default_hears_is_featurized_with_nothing_else_on_the_machine(clip: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SERTOOL_CACHE", str(tmp_path / "empty"))
    (tmp_path / "base").mkdir()  # the model's name means the model, whatever lies here
    made = sertool("featurize", clip, "--preset", "base", "-o", "f")
    assert made.code == 0, made.err
    of_shards = sertool("predict", *sorted(Path("f").rglob("*.safetensors")), "-f", "csv")
    of_sound = sertool("predict", clip, "-f", "csv")
    assert probabilities(of_shards)[0] == pytest.approx(probabilities(of_sound)[0], abs=1e-3)
    assert not (tmp_path / "empty").exists()


@pytest.mark.slow
def test_own_emotions_are_learnt_on_it_and_predicted_with_nothing_else_on_the_machine(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SERTOOL_CACHE", str(tmp_path / "empty"))
    for speaker in range(4):
        for emotion in ("boredom", "angry"):
            for take in range(3):
                where = tmp_path / "mine" / emotion / f"{speaker}-{take}.wav"
                where.parent.mkdir(parents=True, exist_ok=True)
                audio.write(where, synth.voice(speaker, "sad" if emotion == "boredom" else emotion, take), 16_000)
    index = sertool("index", "mine", "--pattern", "{emotion}/{speaker}-{}.wav", "--split", "speaker:50/25/25")
    done = sertool("train", "--recipe", "base", "--epochs", "3", "-o", "run", stdin=index.out)
    assert done.code == 0, done.err
    weights._held.clear()  # what predict would find in a process of its own
    asked = sertool("predict", "-m", "run", "mine", "-f", "csv")
    assert asked.code == 0, asked.err
    assert {row["predicted"] for row in csv.DictReader(io.StringIO(asked.out.decode()))} <= {"boredom", "angry"}
    assert (tmp_path / "run/seed-0/model.safetensors").stat().st_size < 4e6
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [("tiny", "encoder.conv1.weight is not in it"), ("base", "name those with --layers"), ("huge", "base, tiny")],
)
def test_weights_that_a_model_of_the_package_does_not_bring_are_one_line(clip: Path, tmp_path: Path, name, says):
    done = sertool("featurize", clip, "--whisper", "base", "--weights", name, "-o", tmp_path / "f")
    assert says in done.line
    assert not (tmp_path / "f").exists()
