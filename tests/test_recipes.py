"""Every published system is one command line: its features are made, its network built, and an epoch trained."""

import json
import re
from pathlib import Path

import pytest
from running import PATTERN, changed, column, sertool

from sertool import catalogue, encoders, models
from sertool.divisions import protocols
from sertool.featurize.presets import PRESETS
from sertool.manifests import manifest_io
from sertool.modelfiles import modelfile
from sertool.sound import encoding, synth
from sertool.system import talk
from sertool.train import preparing, recipes
from sertool.train.recipes import RECIPES
from sertool.train.training_settings import Settings

pytest_plugins = ("pretrained",)
SMALL = {  # the big networks' layers, fewer or thinner
    "densenet161": ("--scratch",), "resnet50": ("--scratch",), "resnext50": ("--scratch",),
    "whisper": ("--set", "layers=3", "--set", "tune=1"),
}  # fmt: skip
# Those whose encoder comes with the package are tried with the real one, in test_shipped.
TRIED = [name for name in RECIPES if "weights" not in PRESETS[RECIPES[name]["preset"]]["options"]]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, small_encoders: Path) -> Path:
    folder = tmp_path_factory.mktemp("recipes")
    synth.corpus(folder / "clips", 8, ("neutral", "happy", "angry"), 2, write=encoding.write)
    pattern = PATTERN
    assert sertool("index", folder / "clips", "--pattern", pattern, "-o", folder / "clips.parquet").code == 0
    return folder / "clips.parquet"


@pytest.mark.usefixtures("small_encoders")
@pytest.mark.parametrize("name", TRIED)
def test_recipe_refers_only_to_existing_models_presets_and_protocols(name: str) -> None:
    held = RECIPES[name]
    assert {"about", "model", "preset", "protocol"} <= held.keys()
    optional = {"scale", "training", "settings", "select", "reduce", "emotions", "copies", "ours"}
    assert held.keys() <= {"about", "model", "preset", "protocol"} | optional
    assert held["preset"] in PRESETS
    assert held["model"] in catalogue.names("models")
    protocols.parse(held["protocol"])
    Settings(**held.get("training", {}))
    preparing.of_preset(held["preset"])


@pytest.mark.slow
@pytest.mark.parametrize("name", TRIED)
def test_recipe_trains_and_evaluates_from_one_command_line(name: str, clips: Path, tmp_path: Path) -> None:
    words = SMALL.get(RECIPES[name]["model"], ())
    once = hasattr(models.load(RECIPES[name]["model"]).Model, "fit")
    epochs = () if once else ("--epochs", 1)
    if RECIPES[name].get("training", {}).get("steady"):  # which learns from copies
        words = ("--set", "layers=3", "--set", "tune=3")
        copied = sertool("augment", clips, "--copies", 1, "--noise", "5:15", "-o", tmp_path / "copies.parquet")
        assert copied.code == 0, copied.err
        clips = tmp_path / "copies.parquet"
    done = sertool("train", clips, "--recipe", name, *words, *epochs, "-o", tmp_path / "run")
    assert done.code == 0, done.err
    assert (tmp_path / "run" / "features" / "manifest.parquet").exists()
    held = modelfile.read(next((tmp_path / "run").rglob("model.safetensors")))
    assert held.architecture == RECIPES[name]["model"]
    assert list(held.features) == sorted(PRESETS[RECIPES[name]["preset"]]["features"])
    seen = sertool("eval", stdin=done.out)
    assert seen.code == 0, seen.err
    assert RECIPES[name]["protocol"] in seen.out.decode().splitlines()[0]
    again = sertool("train", tmp_path / "run/features/manifest.parquet", "--recipe", name, *words, "--dry-run")
    assert (again.code, "is for features as" in again.err) == (0, False)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_value_is_listed_under_its_option(name: str) -> None:
    held, preset = RECIPES[name], PRESETS[RECIPES[name]["preset"]]
    done = sertool("train", "--list", "--recipe", name)
    assert (done.code, done.err) == (0, "")
    first, *lines = [line.split() for line in done.out.decode().splitlines()]
    assert first[:2] == ["--recipe", name]
    listed = {tuple(line[: line.index("ours")] if "ours" in line else line) for line in lines}
    asked = {("-m", held["model"]), ("featurize", "--preset", held["preset"]), ("--split", held["protocol"])}
    wanted = asked | {(talk.option(word), shown(value)) for word, value in held.get("training", {}).items()}
    for word, value in preset["options"].items():
        wanted.add((talk.option(word.removeprefix("want_")), shown(value)))
    usual = models.settings(held["model"], held.get("settings", {}))
    of_features = {"groups", "stats"} - held.get("settings", {}).keys()
    for each in catalogue.entries("models")[held["model"]].settings:
        value = ("as", "the", "features") if each.name in of_features else (shown(getattr(usual, each.name)),)
        wanted.add(("--set", each.name, *value))
    assert wanted <= listed
    of_publication = sum("ours" not in line for line in lines)
    assert bool(of_publication) == ("ours" in held)


def shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()


def test_unpublished_values_are_listed_as_ours() -> None:
    out = sertool("train", "--list", "--recipe", "acnt-e").out.decode()
    whose = {line.split()[0]: line.split()[-1] for line in out.splitlines() if not line.startswith("--set")}
    assert {whose[word] for word in ("--lr", "--epochs", "--patience", "--noise", "--scale")} == {"ours"}
    assert (whose["--smoothing"], whose["--mel-bands"], whose["-m"]) == ("0.1", "40", "acnt")


@pytest.mark.parametrize("name", [name for name in TRIED if name.endswith("-b")])
def test_recipe_that_needs_copies_names_the_augment_command_if_missing(name: str, clips: Path, tmp_path: Path) -> None:
    copies = "sertool augment --recipe clstm"
    words = ("--recipe", name, "--dry-run")
    done = sertool("train", clips, *words)
    assert (done.code, done.err.count(copies)) == (0, 1)
    listed = sertool("train", "--list", "--recipe", name).out.decode()
    assert re.search(r"^augment --recipe +clstm$", listed, re.MULTILINE)
    made = sertool("augment", clips, "--recipe", "clstm", "-o", tmp_path / "copies.parquet")
    assert made.code == 0, made.err
    done = sertool("train", tmp_path / "copies.parquet", *words)
    assert (done.code, done.err.count(copies)) == (0, 0)


def test_recipe_of_six_emotions_warns_of_others_and_names_what_leaves_them_out(clips: Path, tmp_path: Path) -> None:
    words = [{"angry": "calm"}.get(word, word) for word in column(clips, "emotion")]
    calm = changed(clips, tmp_path / "calm.parquet", emotion=words)
    warning = "--recipe lstm-b is of 6 emotions, and the manifest also has calm: `sertool index --emotions neutral,"
    assert warning in sertool("train", calm, "--recipe", "lstm-b", "--dry-run").err
    assert " also has " not in sertool("train", clips, "--recipe", "lstm-b", "--dry-run").err
    assert " also has " not in sertool("train", calm, "--recipe", "cnn-a", "--dry-run").err


def test_recipe_that_learns_from_copies_warns_where_there_are_none(clips: Path, tmp_path: Path) -> None:
    words = ("--recipe", "acnt-e", "--dry-run")
    assert "run `sertool augment --recipe acnt` first" in sertool("train", clips, *words).err
    assert sertool("augment", clips, "--recipe", "acnt", "-o", tmp_path / "copies.parquet").code == 0
    done = sertool("train", tmp_path / "copies.parquet", *words)
    assert (done.code, "augment" in done.err) == (0, False)
    listed = sertool("train", "--list", "--recipe", "acnt-e").out.decode()
    assert re.search(r"^augment --recipe +acnt$", listed, re.MULTILINE)


def test_recipe_refuses_other_features_unless_named_explicitly(clips: Path, tmp_path: Path) -> None:
    assert sertool("featurize", clips, "--mel", "--stats", "mean", "-o", tmp_path / "f").code == 0
    words = ("train", tmp_path / "f/manifest.parquet", "--recipe", "whisper-mlp", "--set", "groups=1", "--dry-run")
    done = sertool(*words)
    assert done.code == 2
    assert "--recipe whisper-mlp is for whisper, and the manifest has mel" in done.line
    assert sertool(*words, "--features", "mel").code == 0


def test_recipe_warns_of_features_made_with_other_settings(clips: Path, tmp_path: Path) -> None:
    words = ("--mel", "--mel-bands", 40, "--normalize", "z-score", "-o", tmp_path / "f")
    assert sertool("featurize", clips, *words).code == 0
    done = sertool("train", tmp_path / "f/manifest.parquet", "--recipe", "cnn-a", "--dry-run")
    assert "`featurize --preset mel-min-max` makes them, and the manifest has others" in done.err
    for odd in ("bands 40, not 128", "normalize z-score, not min-max", "remove_dc False, not True"):
        assert odd in done.err


def test_differing_layers_and_trim_are_reported_in_option_terms() -> None:
    every = f"0-{encoders.load('whisper').SIZES['base']['layers']}"
    made = {
        "settings": {"size": "base", "layers": "2-3", "precision": "float32", "weights": "x"},
        "wave": {"trim": None}, "stats": ["mean", "std"], "normalize": [],
    }  # fmt: skip
    usual = PRESETS["whisper-stats"]["options"]
    assert [*preparing._unlike("whisper", made, usual)] == [
        f"layers 2-3, not {every}", "trim none, not 40.0",
    ]  # fmt: skip
    made |= {"settings": made["settings"] | {"layers": every}, "wave": {"trim": 40.0}}
    assert [*preparing._unlike("whisper", made, usual)] == []


def test_sertool_model_warns_of_unsuitable_features_without_its_recipe_named(clips: Path, tmp_path: Path) -> None:
    said = []
    for words in (("--mel",), ("--preset", "mel-64")):
        made = sertool("featurize", clips, *words, "-o", tmp_path / words[-1].strip("-"))
        done = sertool("train", "-m", "sertool", "--dry-run", stdin=made.out)
        said.append("-m sertool is for features as `featurize --preset mel-64` makes them" in done.err)
    assert said == [True, False]


def test_explicit_options_override_the_recipe(clips: Path, tmp_path: Path) -> None:
    words = ("--epochs", 1, "--lr", 0.01, "--set", "channels=4,8", "--split", "speaker:50/25/25")
    done = sertool("train", clips, "--recipe", "cnn-a", *words, "-o", tmp_path / "run")
    assert done.code == 0, done.err
    held = modelfile.read(tmp_path / "run" / "seed-0" / "model.safetensors")
    assert held.settings["channels"] == [4, 8]
    assert held.trained["training"]["lr"] == 0.01
    assert held.trained["training"]["optimizer"] == "adam"
    table = manifest_io.read(str(tmp_path / "run" / "seed-0" / "split.parquet")).to_pydict()
    assert {"train", "dev", "test"} == set(table["split"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["whisper-tuned", "whisper-mlp", "whisper-probe"])
def test_predict_with_an_encoder_reproduces_the_held_out_answers(name: str, clips: Path, tmp_path: Path) -> None:
    words = SMALL.get(RECIPES[name]["model"], ())
    trained = sertool("train", clips, "--recipe", name, *words, "--epochs", 1, "-f", "jsonl", "-o", tmp_path / "run")
    held = {row["clip"]: row for row in map(json.loads, trained.out.splitlines())}
    done = sertool("predict", "-m", tmp_path / "run", clips, "-f", "jsonl")
    mine = {row["clip"]: row for row in map(json.loads, done.out.splitlines())}
    for clip, row in held.items():
        for word in ("p_neutral", "p_happy", "p_angry"):
            assert mine[clip][word] == pytest.approx(row[word], abs=1e-4)


@pytest.mark.usefixtures("small_encoders")
@pytest.mark.parametrize("layers", ["1", "3"])
def test_tuned_blocks_accept_only_the_layer_below_them(clips: Path, tmp_path: Path, layers: str) -> None:
    """Others are as wide."""
    made = sertool("featurize", clips, "--whisper", "base", "--layers", layers, "-o", tmp_path / "f")
    words = ("-m", "whisper", "--set", "layers=3", "--set", "tune=1", "--epochs", 1, "-o", tmp_path / "run")
    done = sertool("train", *words, stdin=made.out)
    assert (done.code, "--whisper base --layers 2" in done.line) == (2, True)
    assert sertool("train", *words, "--scratch", stdin=made.out).code == 0


@pytest.mark.usefixtures("small_encoders")
def test_tuned_blocks_use_matching_features_and_recipe_defaults_without_a_recipe(clips: Path, tmp_path: Path) -> None:
    words = ("-m", "whisper", "--layers", 3, "--tune", 1, "--epochs", 1)
    done = sertool("train", clips, *words, "-o", tmp_path / "run")
    assert done.code == 0, done.err
    held = modelfile.read(tmp_path / "run" / "seed-0" / "model.safetensors")
    assert held.features["whisper"]["settings"]["layers"] == "2"
    assert (held.settings["layers"], held.settings["tune"]) == (3, 1)
    assert [one["name"] for one in held.trained["encoders"]] == ["whisper base"]
    usual = recipes.RECIPES["whisper-tuned"]["training"]
    assert {name: held.trained["training"][name] for name in usual} == usual | {"epochs": 1}


@pytest.mark.parametrize(("made", "model", "asked", "groups"), [
    (("--layers", "1-3", "--stats", "mean,std,max"), "mlp", (), {"groups": 3, "stats": 3}),
    (("--layers", "1-3", "--stats", "mean,std"), "attentive", (), {"groups": 6}),
    (("--layers", "0,2", "--channels", "stereo", "--stats", "mean"), "mlp", (), {"groups": 4, "stats": 1}),
    (("--layers", "1-2", "--stats", "std"), "mlp", ("--set", "groups=1"), {"groups": 1, "stats": 1}),
])  # fmt: skip
def test_layer_groups_of_a_model_are_derived_from_the_features(
    clips: Path, tmp_path: Path, made: tuple[str, ...], model: str, asked: tuple[str, ...], groups: dict[str, int]
) -> None:
    assert sertool("featurize", clips, "--whisper", "base", *made, "-o", tmp_path / "f").code == 0
    words = (tmp_path / "f" / "manifest.parquet", "-m", model, *asked, "--epochs", 1, "-o", tmp_path / "run")
    assert sertool("train", *words, "--dry-run").code == 0
    done = sertool("train", *words)
    assert done.code == 0, done.err
    (path,) = (tmp_path / "run").rglob("model.safetensors")
    assert groups.items() <= modelfile.read(path).settings.items()
    assert "is finished" in sertool("train", *words, "--dry-run").err


def test_settings_left_out_of_a_record_count_as_what_earlier_shards_have():
    record = {"settings": {"size": "base", "layers": "0-4"}, "wave": {}, "stats": ["mean", "std"], "normalize": []}
    options = PRESETS["base"]["options"]
    odd = {*preparing._unlike("whisper", record, options)}
    assert {"whole 30.0, not 5.0", "piece 30.0, not 3.0"} <= odd
    record["settings"] |= {"whole": 5.0, "piece": 3.0}
    assert not any(word.startswith(("whole", "piece")) for word in preparing._unlike("whisper", record, options))
