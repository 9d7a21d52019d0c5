"""The layout of a run's folder:

runs/NAME/fold-0/seed-0/         a member: settings.json, split.parquet, metrics.jsonl, curves.png, model.safetensors
                                 and, once it is done, predictions.parquet
runs/NAME/predictions.parquet    the held-out rows of all members
runs/NAME/final/                 as a member, but trained on all clips: it has no predictions
runs/NAME/teacher-KEY.parquet    a teacher's answers
"""

import re
from pathlib import Path

MODEL = "model.safetensors"
PREDICTIONS = "predictions.parquet"
SETTINGS = "settings.json"
DIVISION = "split.parquet"  # which clips trained, chose the epoch or were held out
EPOCHS = "metrics.jsonl"
CURVES = "curves.png"
CHECKPOINT = "checkpoint.safetensors"  # exists only during training
FILES = (SETTINGS, DIVISION, EPOCHS, CURVES, CHECKPOINT, MODEL, PREDICTIONS)
FINAL = "final"  # the folder of the model that is trained on all clips
TEACHER = "teacher-{}.parquet"
BEFORE = ".before"  # a folder that is being replaced


def member(seed: int, number: int | None) -> str:
    """Return the folder name of a member by its seed and fold, if there are folds."""
    return f"seed-{seed}" if number is None else f"{fold(number)}/seed-{seed}"


def fold(number: int) -> str:
    """Return the folder name of a fold."""
    return f"fold-{number}"


def fold_number(name: str) -> int | None:
    """Return the fold of a folder name, or None."""
    match = re.fullmatch(r"fold-(\d+)", name)
    return int(match[1]) if match else None


def members(folder: Path) -> list[Path]:
    """Return the folders of a run's members."""
    return sorted(path for ways in ("seed-*", "fold-*/seed-*") for path in folder.glob(ways))


def results(member: Path) -> tuple[str, ...]:
    """Return the files that a member has once it is trained, the one that is written last at the end."""
    return (DIVISION, MODEL) if member.name == FINAL else (MODEL, DIVISION, PREDICTIONS)


def is_final(path: Path) -> bool:
    """Whether a file of a member belongs to the one that is trained on all clips."""
    return path.parent.name == FINAL


def of_model(path: Path) -> Path:
    """Return a run's folder from the path of a member's model."""
    return Path(*(part for part in path.parent.parts if not re.fullmatch(r"(fold|seed)-\d+", part)))


def runs_in(folder: Path) -> list[Path]:
    """Return the folders of the finished runs in a folder, such as both of `train --gap`."""
    return sorted({path.parent for path in folder.glob(f"[!.]*/{PREDICTIONS}")} - {*members(folder)})
