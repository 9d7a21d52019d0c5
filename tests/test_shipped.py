"""The models inside the package: there from the start, small enough, and honest about themselves."""

import csv
import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from running import sertool

from sertool import models, shipped
from sertool.encoders import whisper
from sertool.errors import SertoolError
from sertool.featurize import presets
from sertool.modelfiles import cards, modelfile
from sertool.networks import weights
from sertool.sound import encoding, synth

EMOTIONS = ["neutral", "happy", "sad", "angry", "fear", "disgust"]
MEGABYTES = {"base": 16, "tiny": 2}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    encoding.write(tmp_path / "clip.wav", synth.voice(0, "angry", 0), 16_000)
    return tmp_path / "clip.wav"


def test_default_model_is_shipped_with_the_package():
    assert shipped.DEFAULT in shipped.names()
    assert shipped.names() == sorted(MEGABYTES)


@pytest.mark.parametrize("name", MEGABYTES)
def test_shipped_models_predict_six_emotions_and_are_small(name: str):
    held = modelfile.read(shipped.place(name))
    assert sorted(held.labels) == sorted(EMOTIONS)
    assert shipped.place(name).stat().st_size < MEGABYTES[name] * 1e6


def test_folder_named_like_a_shipped_model_causes_a_warning(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    done = sertool("predict", "-m", "tiny", clip, "-f", "csv")
    assert done.code == 0
    assert "warning: tiny is the package's model: to take what is called so here, say ./tiny" in done.err
    assert "no model" in sertool("predict", "-m", "./tiny", clip, "-f", "csv").line
    assert "warning" not in sertool("predict", clip, "-f", "csv").err


@pytest.mark.parametrize("words", [(), ("-m", "tiny")])
def test_shipped_models_predict_without_any_downloaded_files(clip: Path, tmp_path: Path, monkeypatch, words: tuple):
    monkeypatch.setenv("SERTOOL_CACHE", str(tmp_path / "empty"))
    done = sertool("predict", *words, clip, "-f", "csv")
    assert done.code == 0, done.err
    (row,) = csv.DictReader(io.StringIO(done.out.decode()))
    shares = [float(row[f"p_{word}"]) for word in EMOTIONS]
    assert row["predicted"] in EMOTIONS
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize("name", MEGABYTES)
def test_model_card_names_data_licence_scores_and_limits(name: str):
    done = sertool("predict", "-m", name, "--model-card")
    assert done.code == 0, done.err
    for word in ("CREMA-D", "ODbL", "UAR", "acted", "not", "made by: sertool"):
        assert word in done.out.decode()


@pytest.mark.parametrize("name", MEGABYTES)
def test_copied_model_file_keeps_its_data_sources_licences_and_use_limits(name: str, tmp_path: Path):
    shutil.copy(shipped.own(name), tmp_path / "mine.safetensors")
    card = sertool("predict", "-m", tmp_path / "mine.safetensors", "--model-card").out.decode()
    for word in ("CREMA-D", "ODbL", "must not be used", "made by: sertool"):
        assert word in card
    assert ("- encoder: whisper base (MIT; Radford" in card) == (name == "base")


def test_unknown_model_is_refused_with_the_shipped_choices(clip: Path):
    done = sertool("predict", "-m", "huge", clip)
    assert (done.code, "inside the package are base, tiny" in done.line) == (2, True)


@pytest.mark.parametrize("name", MEGABYTES)
def test_predict_marks_the_training_speakers_of_a_shipped_model(clip: Path, tmp_path: Path, name: str):
    rows = (f"{k},{clip},cremad,cremad:{who},angry" for k, who in enumerate((1001, 1005, 1004, 1002)))
    (tmp_path / "m.csv").write_text("\n".join(["clip,path,corpus,speaker,emotion", *rows]))
    done = sertool("predict", "-m", name, tmp_path / "m.csv", "-f", "csv")
    assert [row["split"] for row in csv.DictReader(io.StringIO(done.out.decode()))] == ["train", "dev", "test", "train"]
    assert "trained on 2 of 4 clips, as cremad-nk divides the speakers" in done.err
    assert "not known here" not in done.err


def test_model_card_states_whether_scores_are_speaker_adapted():
    for name, adapted in (("base", True), ("tiny", False)):
        held = modelfile.read(shipped.own(name))
        bare = replace(held, trained={what: value for what, value in held.trained.items() if what != "about"})
        (dev,) = [line for line in cards.card(bare).splitlines() if line.startswith("- dev: UAR")]
        assert ("adapted" in dev) == adapted


def test_described_model_has_one_figure_on_dev_in_its_card():
    """Its description has that of audio; training had another, of rows that were made before."""
    card = sertool("predict", "-m", "base", "--model-card").out.decode()
    assert ("UAR 80.0 [" in card, "- dev: UAR" in card) == (True, False)


def probabilities(done) -> list[list[float]]:
    return [[float(row[f"p_{word}"]) for word in EMOTIONS] for row in csv.DictReader(io.StringIO(done.out.decode()))]


def test_base_preset_featurizes_without_any_downloaded_files(clip: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SERTOOL_CACHE", str(tmp_path / "empty"))
    (tmp_path / "base").mkdir()  # the model's name means the model, whatever lies here
    made = sertool("featurize", clip, "--preset", "base", "-o", "f")
    assert made.code == 0, made.err
    of_shards = sertool("predict", *sorted(Path("f").rglob("*.safetensors")), "-f", "csv")
    of_sound = sertool("predict", clip, "-f", "csv")
    assert probabilities(of_shards)[0] == pytest.approx(probabilities(of_sound)[0], abs=1e-3)
    assert not (tmp_path / "empty").exists()


def test_long_clip_is_answered_alike_from_sound_and_from_shards(tmp_path: Path):
    said = np.concatenate([synth.voice(0, "angry", take) for take in range(20)])[: 16_000 * 7]
    encoding.write(tmp_path / "long.wav", said, 16_000)
    made = sertool("featurize", tmp_path / "long.wav", "--preset", "base", "-o", tmp_path / "f")
    assert made.code == 0, made.err
    of_shards = sertool("predict", *sorted((tmp_path / "f").rglob("*.safetensors")), "-f", "csv")
    of_sound = sertool("predict", tmp_path / "long.wav", "-f", "csv")
    assert probabilities(of_shards)[0] == pytest.approx(probabilities(of_sound)[0], abs=1e-3)


def test_base_hears_long_clips_in_pieces_as_its_preset_says():
    options = presets.PRESETS["base"]["options"]
    settings = modelfile.read(shipped.own("base")).features["whisper"]["settings"]
    assert (settings["whole"], settings["piece"]) == (options["whisper_whole"], options["whisper_piece"]) == (5, 3)


@pytest.mark.slow
def test_base_recipe_learns_new_emotions_without_any_downloaded_files(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SERTOOL_CACHE", str(tmp_path / "empty"))
    for speaker in range(4):
        for emotion in ("boredom", "angry"):
            for take in range(3):
                where = tmp_path / "mine" / emotion / f"{speaker}-{take}.wav"
                where.parent.mkdir(parents=True, exist_ok=True)
                encoding.write(where, synth.voice(speaker, "sad" if emotion == "boredom" else emotion, take), 16_000)
    index = sertool("index", "mine", "--pattern", "{emotion}/{speaker}-{}.wav", "--split", "speaker:50/25/25")
    done = sertool("train", "--recipe", "base", "--epochs", "3", "-o", "run", stdin=index.out)
    assert done.code == 0, done.err
    weights._registered.clear()  # what predict would find in a process of its own
    asked = sertool("predict", "-m", "run", "mine", "-f", "csv")
    assert asked.code == 0, asked.err
    assert {row["predicted"] for row in csv.DictReader(io.StringIO(asked.out.decode()))} <= {"boredom", "angry"}
    assert (tmp_path / "run/seed-0/model.safetensors").stat().st_size < 6e6  # three networks, no encoder
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [("tiny", "models base alone"), ("base", "brings layers 0 to 4, so ask for --layers 0-4"), ("huge", "base alone")],
)
def test_weights_missing_from_a_shipped_model_are_refused_in_one_line(clip: Path, tmp_path: Path, name, says):
    done = sertool("featurize", clip, "--whisper", "base", "--weights", name, "-o", tmp_path / "f")
    assert says in done.line
    assert not (tmp_path / "f").exists()


@pytest.fixture
def base_alone(tmp_path: Path, monkeypatch) -> None:
    """The package, and no other weights."""
    monkeypatch.setenv("SERTOOL_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    weights.use_file("base")
    monkeypatch.setattr(weights, "_registered", {})
    yield
    weights.use_file(None)


@pytest.mark.usefixtures("base_alone")
def test_lower_layers_of_the_default_encoder_are_found_by_digest():
    known, heard = whisper.tensors("base", 2)
    weights.use_file(None)
    weights._registered.clear()
    found, again = whisper.tensors("base", 2, known)
    assert found == known
    assert all(torch.equal(heard[name], again[name]) for name in heard)


@pytest.mark.usefixtures("base_alone")
def test_tuned_blocks_continue_only_the_encoder_that_made_the_rows(tmp_path: Path):
    """The upper blocks of one encoder do not know what the lower blocks of another make."""
    model = models.load("whisper")
    lower, _ = whisper.tensors("base", 2)
    settings = model.Settings(layers=4, tune=2)
    records = {"whisper": {"stats": [], "settings": {"size": "base", "layers": "2", "weights": lower}}}
    weights.use_file(None)
    made = model.Model(settings, 512, 6)
    made.load_blocks(records)
    weights.use_file("base")
    upper = whisper.network("base", 4, whisper.tensors("base", 4)[1]).blocks[2:]
    assert all(torch.equal(*pair) for pair in zip(upper.parameters(), made.blocks.parameters(), strict=True))
    records["whisper"]["settings"]["weights"] = "0" * 32
    with pytest.raises(SertoolError, match="holds other weights"):
        model.require(settings, records)
