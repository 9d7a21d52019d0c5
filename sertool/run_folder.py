"""A run's folder: what lies where in it, and what it is called.

runs/NAME/fold-0/seed-0/         a member: settings.json, split.parquet, metrics.jsonl, curves.png, model.safetensors
                                 and, once it is done, predictions.parquet
runs/NAME/predictions.parquet    the held-out rows of all members
runs/NAME/teacher-KEY.parquet    what a teacher answered
"""

import re
from pathlib import Path

MODEL = "model.safetensors"
PREDICTIONS = "predictions.parquet"
SETTINGS = "settings.json"
DIVISION = "split.parquet"  # who trained, chose the epoch and was held out
EPOCHS = "metrics.jsonl"
CURVES = "curves.png"
CHECKPOINT = "checkpoint.safetensors"  # while it trains
FILES = (SETTINGS, DIVISION, EPOCHS, CURVES, CHECKPOINT, MODEL, PREDICTIONS)
TEACHER = "teacher-{}.parquet"
BEFORE = ".before"  # what is being replaced


def member(seed: int, number: int | None) -> str:
    """What the member of a seed and a fold is called, if there are folds."""
    return f"seed-{seed}" if number is None else f"{fold(number)}/seed-{seed}"


def fold(number: int) -> str:
    """What the folder of a fold is called."""
    return f"fold-{number}"


def fold_number(name: str) -> int | None:
    """The fold that a folder is called after, if it is."""
    match = re.fullmatch(r"fold-(\d+)", name)
    return int(match[1]) if match else None


def members(folder: Path) -> list[Path]:
    """Where members lie in a run's folder."""
    return sorted(path for ways in ("seed-*", "fold-*/seed-*") for path in folder.glob(ways))


def of_model(path: Path) -> Path:
    """The run's folder, from the path of a member's model."""
    return Path(*(part for part in path.parent.parts if not re.fullmatch(r"(fold|seed)-\d+", part)))
