"""Which model files `-m` names: those of one run, of one of its folds, and none that is put aside."""

from pathlib import Path

import pytest

from sertool.errors import UsageError
from sertool.modelfiles.named_models import models_in


def members(folder: Path, *names: str) -> list[Path]:
    """The models of a run's members, as far as their names go."""
    made = [folder / name / "model.safetensors" for name in names]
    for path in made:
        path.parent.mkdir(parents=True)
        path.touch()
    return made


def test_fold_is_looked_up_inside_the_run_whatever_its_parent_folder(tmp_path: Path) -> None:
    place = tmp_path / "fold-1" / "model"
    first, second, _ = members(place, "fold-0/seed-0", "fold-1/seed-0", "fold-10/seed-0")
    assert models_in(place, 1) == [second]
    assert models_in(place / "fold-0", 0) == [first]
    with pytest.raises(UsageError, match=r"no model in fold 3 of .*: it has the folds 0, 1, 10"):
        models_in(place, 3)


def test_models_in_the_backup_folder_are_not_used(tmp_path: Path) -> None:
    own, *_ = members(tmp_path, "seed-0", ".before/seed-0", ".before/seed-1")
    assert models_in(tmp_path, None) == [own]
