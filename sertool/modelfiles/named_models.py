"""Find the model files that `-m` names: one file, or those of a run's members."""

from collections.abc import Sequence
from pathlib import Path

from sertool.errors import UsageError
from sertool.manifests import run_folder
from sertool.system import talk
from sertool.system.files import listed


def models_in(place: Path, fold: int | None) -> list[Path]:
    """Return the model files that `-m` names: a file, or those of a run's members, of which its final one is none."""
    if place.is_file() and fold is not None:
        raise UsageError(f"--fold {fold} is for a run's folder, and {place} is one model")
    if place.is_file():
        return [place]
    models = _members(place, run_folder.MODEL)
    if not models:
        raise UsageError(f"no model in {place}: give a model file, or the folder of a run of `sertool train`")
    models = models if fold is None else _of_fold(models, fold, place)
    runs = sorted({run_folder.of_model(path.relative_to(place)).as_posix() for path in models})
    if len(runs) > 1:
        raise UsageError(f"{place} holds several runs: {listed(runs)}: name one, such as {place / runs[0]}")
    begun = [path for path in _members(place, run_folder.SETTINGS) if not path.with_name(run_folder.MODEL).exists()]
    if begun and fold is None:
        talk.warn(f"{place}: {talk.counted(len(begun), 'model')} not trained yet: the others answer")
    return models


def _members(place: Path, name: str) -> list[Path]:
    """Return the files of this name in a run's folder."""
    paths = {path: path.relative_to(place) for path in place.rglob(name)}
    return sorted(path for path, within in paths.items() if not (_hidden(within) or run_folder.is_final(within)))


def _of_fold(models: Sequence[Path], fold: int, place: Path) -> list[Path]:
    """Return the models in the folder of a fold."""
    folder_of = {path: path.parent.parent.name for path in models}
    of_fold = [path for path, folder in folder_of.items() if folder == run_folder.fold(fold)]
    if not of_fold:
        numbers = map(run_folder.fold_number, {*folder_of.values()})
        numbers_there = sorted(number for number in numbers if number is not None)
        folds = f"the folds {listed(numbers_there)}" if numbers_there else "no folds"
        raise UsageError(f"no model in fold {fold} of {place}: it has {folds}")
    return of_fold


def _hidden(path: Path) -> bool:
    """Whether it is in a folder that was put aside, as by `train --overwrite`."""
    return any(part.startswith(".") for part in path.parts)
