"""What is to be trained: a design, and its trainings, each of a split and a seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sertool import models, taught_encoders
from sertool.errors import UsageError
from sertool.taught_encoders import Lesson
from sertool.training_settings import Settings

ONE_ROW = "one row for each clip: featurize with --stats, such as --stats mean,std"
UNTAUGHT = "--teacher is for networks, and for clips without a label"


@dataclass(frozen=True)
class Design:
    """What is trained, whatever it is trained on."""

    model: str
    settings: Any
    training: Settings
    features: tuple[str, ...]
    scale: str = "corpus"
    adapt: str | None = None  # to each speaker, by that speaker's own clips
    prior_clips: float = 0.0  # what all of train counts for beside them
    reduce: str | None = None
    select: int | None = None
    weights: str | None = None  # the file of a pretrained backbone
    teacher: str | None = None  # a model, a run, or the file of a teacher's predictions
    imitate: str | None = None  # a feature that the network learns to tell, and does not see
    pack: str | None = None  # the encoder into the model file: half precision, or 8-bit


@dataclass(frozen=True)
class Member:
    """One training: a split of the rows and a seed."""

    name: str
    seed: int
    fold: int | None
    split: np.ndarray  # int8 `[rows]`: train, dev, test, or -1
    protocol: str | None = None  # how the rows were divided


def at_once(design: Design) -> bool:
    """Whether the model is fitted at once, and not epoch by epoch."""
    return models.fits_at_once(models.load(design.model).Model)


def passed_over(what: str, model: str) -> UsageError:
    """The refusal of what a model that is fitted at once has no use for."""
    return UsageError(f"{what}: {model} is fitted at once, to labels alone")


def lessons_of_blocks(design: Design, records: Mapping[str, Any]) -> dict[str, list[Lesson]]:
    """What taught the blocks that a model goes on with, by the feature that they go on from, before they learn here."""
    if not hasattr(models.load(design.model).Model, "load_blocks"):
        return {}
    layers = {"layers": str(design.settings.layers)}
    return {name: taught_encoders.of_weights(name, record["settings"] | layers) for name, record in records.items()}
