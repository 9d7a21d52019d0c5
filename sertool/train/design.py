"""Describe what is trained: a design, and its members, each with a split and a seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sertool import models
from sertool.errors import UsageError
from sertool.pretraining import encoder_trainings
from sertool.pretraining.encoder_trainings import EncoderTraining
from sertool.train.aim import Aim
from sertool.train.dimension_aim import DimensionAim
from sertool.train.emotion_aim import EmotionAim
from sertool.train.training_settings import Settings

ONE_ROW = "one row for each clip: featurize with --stats, such as --stats mean,std"
UNTAUGHT = "--teacher is for networks, and for clips without a label"


@dataclass(frozen=True)
class Design:
    """What is trained, independent of the data."""

    model: str
    settings: Any
    training: Settings
    features: tuple[str, ...]
    scale: str = "corpus"
    adapt: str | None = None  # None, or speaker: normalise by each speaker's own clips
    prior_clips: float = 0.0  # weight of the training set's statistics beside them, in clips
    reduce: str | None = None
    select: int | None = None
    weights: str | None = None  # the file of a pretrained backbone
    teacher: str | None = None  # a model, a run, or the file of a teacher's predictions
    imitate: str | None = None  # a feature that the network learns to predict, but does not see
    pack: str | None = None  # pack the encoder into the model file, as half precision or 8-bit
    dimensions: Sequence[str] | None = None  # to learn, rather than emotions

    @property
    def aim(self) -> Aim:
        return aim_of(self.dimensions)


@dataclass(frozen=True)
class Member:
    """One training: a split of the rows and a seed."""

    name: str
    seed: int
    fold: int | None
    split: np.ndarray  # int8 `[rows]`: train, dev, test, or -1
    protocol: str | None = None  # how the rows were divided
    seeds: int | None = None  # of the final one: with how many seeds the trainings have been made that it follows
    course: tuple[float, ...] = ()  # of the final one: plateau's share of the learning rate in each of its epochs


@dataclass(frozen=True)
class KnownFeatures:
    """What is known of a model's features, which are in shards or yet to be made."""

    records: dict[str, Any]  # how each is made, as shards record it; empty if not known yet
    width: int | None  # the number of columns of all together
    trainings: dict[str, list[EncoderTraining]]  # what their encoders, and those built on or imitated, were trained on


def aim_of(dimensions: Sequence[str] | None) -> Aim:
    """Return what is learnt: dimensions if any are named, else emotions."""
    return DimensionAim(tuple(dict.fromkeys(dimensions))) if dimensions else EmotionAim()


def unusable_option_error(what: str, model: str) -> UsageError:
    """Return the error for an option that a model fitted at once cannot use."""
    return UsageError(f"{what}: {model} is fitted at once, to labels alone")


def trainings_of_blocks(design: Design, records: Mapping[str, Any]) -> dict[str, list[EncoderTraining]]:
    """Return what a model's pretrained blocks were trained on before, by the feature that they continue from."""
    if not hasattr(models.load(design.model).Model, "load_blocks"):
        return {}
    layers = {"layers": str(design.settings.layers)}
    return {name: encoder_trainings.of_weights(name, record["settings"] | layers) for name, record in records.items()}
