"""Recipes and presets of systems A to E have every value that was published; what that leaves open is not here.

The values were copied by hand from the publications' descriptions, not from the recipes.
"""

from typing import Any

import pytest

from sertool import models
from sertool.featurize.presets import PRESETS
from sertool.train import preparing
from sertool.train.recipes import RECIPES
from sertool.train.training_settings import Settings

# Of several corpora: one network of one set of emotions, whichever of them a corpus lacks.
ONE_SET = {"absent_emotions": "count"}

# A: one rate throughout; augmentation was there, and off; of nets without dev clips, nothing chose an epoch.
AUGMENTATION_OFF = {"time_masks": 0, "column_masks": 0, "shift": 0.0, "noise": 0.0, "gain": 0.0, "mixup": None}
DEEP = {"preset": "mel-min-max", "protocol": "random-80-20"}
ENTROPY = {"batch": 32, "smoothing": 0.0, "balance": "none", **AUGMENTATION_OFF}
ADAM_A = {**ENTROPY, "optimizer": "adam", "weight_decay": 0.0, "schedule": "constant", "clip": None, "keep": "last",
          "patience": None}  # fmt: skip
CONVOLUTIONS = {"frames": 160, "channels": (32, 64, 128, 256)}
MAMBA = {"width": 256, "state": 16, "kernel": 4, "expand": 2}

SIX = ("neutral", "happy", "sad", "angry", "fear", "disgust")
RECURRENT = {"preset": "clstm", "protocol": "random-92-8-leaky-copies", "emotions": SIX}
TUNED = {"optimizer": "adam", "clip_value": 0.5, "batch": 64, "epochs": 200, "schedule": "plateau",
         "plateau_factor": 0.5, "plateau_patience": 10, **ONE_SET}  # fmt: skip

STATISTICS = {"preset": "classic-1d", "protocol": "random-70-30"}
BANDS = {"preset": "mel-30", "protocol": "random-70-30"}
FOUR_BLOCKS = {"channels": (32, 32, 32, 32), "dropout": 0.2, "dense": 64}
PATIENT = {"optimizer": "adam", "lr": 1e-3, "batch": 16, "schedule": "plateau", "plateau_factor": 0.9,
           "plateau_patience": 20, "patience": 100}  # fmt: skip

BACKBONE = {
    "preset": "imagenet", "protocol": "random-60-20-20", "settings": {"pretrained": True},
    "training": {"optimizer": "sgd", "lr": 0.01, "schedule": "constant", "batch": 16, "patience": 4, "metric": "loss",
                 "shift": 0.4, "time_masks": 2, "column_masks": 2, **ONE_SET},
}  # fmt: skip

SYSTEMS: dict[str, dict[str, Any]] = {
    "cnn-a": {
        **DEEP, "model": "cnn", "settings": {**CONVOLUTIONS, "dense": 64},
        "training": {**ADAM_A, "lr": 1e-3, "epochs": 10},
    },
    "cnn-mfcc-a": {**DEEP, "model": "cnn", "preset": "mfcc-128"},
    "cnn-gru-a": {
        **DEEP, "model": "cnn-gru", "settings": {**CONVOLUTIONS, "width": 128, "dense": 64},
        "training": {**ADAM_A, "lr": 2.5e-4, "epochs": 15},
    },
    "cnn-transformer-a": {
        **DEEP, "model": "cnn-transformer",
        "settings": {**CONVOLUTIONS, "width": 256, "layers": 2, "heads": 4, "feedforward": 2048, "dropout": 0.2,
                     "dense": 64},
        "training": {**ADAM_A, "lr": 1e-4, "epochs": 20},
    },
    "resnet18-a": {
        **DEEP, "model": "resnet18", "settings": {"frames": 160}, "training": {**ADAM_A, "lr": 1e-3, "epochs": 10},
    },
    "mamba-a": {
        **DEEP, "model": "mamba", "settings": {**MAMBA, "frames": 160, "blocks": 2},
        "training": {**ENTROPY, "optimizer": "adamw", "lr": 1e-4, "schedule": "constant", "clip": 1.0, "patience": 5},
    },
    "mamba-cnn-a": {
        **DEEP, "model": "mamba-cnn", "emotions": SIX,
        "settings": {**MAMBA, "frames": 160, "channels": 64, "blocks": 3, "dense": 128, "dropout": 0.5},
        "training": {**ENTROPY, **ONE_SET, "optimizer": "adamw", "lr": 5e-4, "weight_decay": 1e-2,
                     "schedule": "restarts", "restart_epochs": 10, "restart_factor": 2, "smoothing": 0.1, "clip": 1.0,
                     "patience": 7},
    },
    "clstm-b": {
        **RECURRENT, "model": "clstm", "training": TUNED,
        "settings": {"channels": (1024, 512, 256), "kernel": 5, "width": 128, "layers": 3, "dropout": 0.3,
                     "dense": (128, 64, 32)},
    },
    "cnn1d-b": {**RECURRENT, "model": "cnn1d", "training": TUNED},
    "lstm-b": {**RECURRENT, "model": "lstm", "training": TUNED},
    "bilstm-b": {**RECURRENT, "model": "bilstm", "training": TUNED},
    "gru-b": {**RECURRENT, "model": "gru", "training": TUNED},
    "cnn1d-c": {**STATISTICS, "model": "cnn1d"},
    "cnn1d-lda-c": {**STATISTICS, "model": "cnn1d", "reduce": "lda"},
    "lda-c": STATISTICS,
    "svm-c": STATISTICS,
    "logistic-c": STATISTICS,
    "forest-c": STATISTICS,
    "cnn2d-c": {
        **BANDS, "model": "cnn2d", "settings": {**FOUR_BLOCKS, "activation": "relu"}, "training": PATIENT,
    },
    "cnn2d-silu-c": {
        **BANDS, "model": "cnn2d", "settings": FOUR_BLOCKS, "training": PATIENT,
    },
    "msf-cnn-c": {"model": "msf-cnn", "preset": "msf-mfcc", "protocol": "random-70-30"},
    "msf-cnn-silu-c": {"model": "msf-cnn", "preset": "msf-mfcc", "protocol": "random-70-30"},
    "densenet161-d": {**BACKBONE, "model": "densenet161"},
    "resnet50-d": {**BACKBONE, "model": "resnet50"},
    "resnext50-d": {**BACKBONE, "model": "resnext50"},
    "acnt-e": {
        "model": "acnt", "preset": "acnt", "copies": "acnt", "protocol": "random-70-15-15",
        "settings": {"frames": 174, "channels": (16, 32, 64, 128), "use_transformer": True, "width": 128, "layers": 2,
                     "heads": 8, "dropout": 0.2, "dense": 64},
        "training": {"optimizer": "adamw", "schedule": "plateau", "smoothing": 0.1},
    },
}  # fmt: skip

WIDE = {"bands": 128, "n_fft": 2048, "hop": 512}
SHORT = {"n_fft": 400, "hop": 160}
FEATURES: dict[str, dict[str, Any]] = {
    "mel-min-max": {
        "wave": {"rate": 16000, "remove_dc": True}, "mel": {**WIDE, "scale": "db"}, "normalize": ("min-max",),
    },
    "mfcc-128": {"wave": {"rate": 22050, "seconds": 4.0}, "mfcc": {"count": 128}, "normalize": ("z-score",)},
    "clstm": {
        "wave": {"rate": 16000, "trim": 25.0, "seconds": 4.0}, "zcr": SHORT, "rms": SHORT,
        "mfcc": {**SHORT, "count": 20},
    },
    "classic-1d": {
        "mfcc": {"count": 100},
        "mel": {}, "zcr": {}, "rms": {}, "chroma": {}, "bandwidth": {}, "rolloff": {}, "contrast": {}, "flatness": {},
        "tonnetz": {},
    },
    "mel-30": {"wave": {"offset": 0.5, "seconds": 2.5}, "mel": {"bands": 30, "hop": 512}},
    "msf-mfcc": {
        "msf": {"bands": 19, "fmin": 125.0, "fmax": 3500.0, "modulations": 5, "lowest": 4.0, "q": 2.0,
                "frame_seconds": 0.256, "hop_seconds": 0.064, "output": "both"},
        "mfcc": {}, "stats": ("mean", "std"),
    },
    "imagenet": {
        "wave": {"rate": 16000, "channels": "stereo", "seconds": 5.0}, "mel": WIDE,
        "normalize": ("min-max", "z-score"),
    },
    "acnt": {
        "wave": {"rate": 22050, "seconds": 4.02}, "mel": {"bands": 40, "n_fft": 2048, "hop": 512, "scale": "log"},
    },
}  # fmt: skip


def of(held: Any, names: dict[str, Any]) -> dict[str, Any]:
    """Of settings those with a name in the table."""
    return {name: getattr(held, name) for name in names}


@pytest.mark.parametrize("name", SYSTEMS)
def test_recipe_has_every_published_value(name: str) -> None:
    said, held = dict(SYSTEMS[name]), RECIPES[name]
    training, settings = said.pop("training", {}), said.pop("settings", {})
    assert {word: held.get(word) for word in said} == said
    assert of(Settings(**held.get("training", {})), training) == training
    assert of(models.settings(held["model"], held.get("settings", {})), settings) == settings


@pytest.mark.parametrize("name", FEATURES)
def test_preset_features_have_every_published_value(name: str) -> None:
    said, made = dict(FEATURES[name]), preparing.of_preset(name)
    wave, normalize, stats = said.pop("wave", {}), said.pop("normalize", ()), said.pop("stats", None)
    assert of(made.wave, wave) == wave
    assert made.normalize == normalize
    assert stats in (None, made.stats)
    assert {feature: of(made.features[feature], said.get(feature, {})) for feature in made.features} == said


@pytest.mark.parametrize("name", SYSTEMS)
def test_recipe_marks_only_unpublished_values_as_ours(name: str) -> None:
    said, held = SYSTEMS[name], RECIPES[name]
    for part in ("training", "settings"):
        published = said.get(part, {}).keys()
        if part in held["ours"]:
            assert not published
        else:
            assert published.isdisjoint(held["ours"])
            assert held.get(part, {}).keys() <= published | {*held["ours"]}
    assert ("model" in held["ours"]) == ("model" not in said)


@pytest.mark.parametrize("name", FEATURES)
def test_preset_marks_only_unpublished_values_as_ours(name: str) -> None:
    said, preset = FEATURES[name], PRESETS[name]
    published = {word for part in said.values() if isinstance(part, dict) for word in part} | said.keys()
    for word in preset["options"]:
        own = next((word.removeprefix(f"{each}_") for each in preset["features"] if word.startswith(f"{each}_")), word)
        assert (own in published) != (word in preset["ours"]), word


def test_every_published_recipe_and_preset_is_covered_by_these_tests() -> None:
    assert {name for name in RECIPES if name.endswith(("-a", "-b", "-c", "-d", "-e"))} == SYSTEMS.keys()
    assert {RECIPES[name]["preset"] for name in SYSTEMS} <= FEATURES.keys()


@pytest.mark.parametrize("name", ["acnt-e", "cnn-mfcc-a", "resnet50-d"])
def test_network_takes_as_many_frames_as_its_preset_makes(name: str) -> None:
    held, made = RECIPES[name], preparing.of_preset(RECIPES[name]["preset"])
    (feature,) = made.features.values()
    settings = models.settings(held["model"], held.get("settings", {}))
    assert settings.frames == 1 + int(made.wave.seconds * made.wave.rate) // feature.hop
