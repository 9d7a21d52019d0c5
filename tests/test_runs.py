"""A run that lies there goes on, or is printed again, only where it is the same run."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sertool.errors import SertoolError, UsageError
from sertool.manifests import manifest, manifest_io
from sertool.modelfiles import batches, modelfile
from sertool.modelfiles.modelfile import ModelFile
from sertool.train import runs
from sertool.train.design import Design, Member
from sertool.train.member_data import Material
from sertool.train.training_settings import Settings

COLUMNS = {
    "clip": ["a", "b", "c", "d"], "path": list("abcd"), "emotion": ["sad", "happy"] * 2,
    "speaker": ["x", "x", "y", "y"], "corpus": ["one"] * 4, "parent": [None, None, None, "c"],
    "soft_sad": [0.9, 0.1, 1.0, 0.0], "soft_happy": [0.1, 0.9, 0.0, 1.0],
}  # fmt: skip


MEMBER = Member("seed-0", 0, None, np.array([0, 0, 1, 2], np.int8))


def described(soft: float = 0.0, weights: str | None = None, **columns: list) -> dict:
    table = manifest.from_columns(COLUMNS | columns)
    store = batches.Store([[]] * 4, np.ones(4, np.int64), 1, torch.device("cpu"), {}, ["key"])
    held = Material(table, store)
    return runs.describe(held, Design("cnn", {}, Settings(soft=soft), ("mel",), weights=weights), MEMBER)


def described_ahead(weights: str | None) -> dict:
    return runs.describe_ahead(Design("cnn", {}, Settings(), ("mel",), weights=weights), MEMBER)


def claim(folder: Path, wanted: dict[str, dict]) -> None:
    with runs.claimed(folder, wanted, overwrite=False):
        pass


def finish(member: Path) -> None:
    """What a trained member leaves behind."""
    held = ModelFile("svm", {}, 1, ["sad", "happy"], {}, {})
    modelfile.write(member / "model.safetensors", held)
    for name in ("split", "predictions"):
        manifest_io.write(manifest.from_columns(COLUMNS), str(member / f"{name}.parquet"), "parquet")


def taken_for(mine: dict, other: dict, folder: Path) -> None:
    """Claim a folder where one run lies for another."""
    claim(folder, {"seed-0": mine})
    finish(folder / "seed-0")
    claim(folder, {"seed-0": other})


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("speaker", ["x", "y", "x", "y"], "other speakers"),
        ("corpus", ["one", "two", "one", "two"], "other corpora"),
        ("parent", [None] * 4, "other copies"),
    ],
)
def test_changed_speakers_corpora_or_copies_make_a_different_run(
    column: str, values: list, says: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=f"was trained with {says}: .*--overwrite"):
        taken_for(described(), described(**{column: values}), tmp_path)


def test_changed_listener_shares_make_a_different_run_only_when_used(tmp_path: Path) -> None:
    others = {"soft_sad": [0.5] * 4}
    taken_for(described(), described(**others), tmp_path / "plain")
    with pytest.raises(UsageError, match="was trained with other listeners' shares: "):
        taken_for(described(soft=0.5), described(soft=0.5, **others), tmp_path / "soft")


def test_every_digest_in_the_settings_is_declared_as_one() -> None:
    digests = {name for name, value in described().items() if re.fullmatch("[0-9a-f]{16}", str(value))}
    assert {"clips", "split", "shards"} <= digests <= runs.DIGESTED.keys()


@pytest.mark.parametrize("truth", ["emotions", "ratings"])
def test_run_with_a_setting_that_is_not_known_here_is_another(truth: str, tmp_path: Path) -> None:
    own = {"ratings" if name == "emotions" and truth == "ratings" else name: each for name, each in described().items()}
    with pytest.raises(UsageError, match="was trained with newoption 3, not None: "):
        taken_for(own | {"newoption": 3}, own, tmp_path)


def test_changed_audio_paths_leave_a_run_the_same(tmp_path: Path) -> None:
    taken_for(described(), described(path=list("wxyz")), tmp_path)


@pytest.mark.parametrize("describe", [described, described_ahead])
def test_weights_file_is_identified_by_content_and_not_by_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, describe: Callable[..., dict]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, numbers in {"own.pth": b"123", "copy.pth": b"123", "other.pth": b"124"}.items():
        Path(name).write_bytes(numbers)
    own = described(weights="own.pth")
    for same in ("own.pth", str(tmp_path / "own.pth"), "copy.pth"):
        taken_for(own, describe(weights=same), tmp_path / "run")
    Path("own.pth").write_bytes(b"1234")
    for other in ("own.pth", "other.pth", "base", None):
        with pytest.raises(UsageError, match="was trained with other weights: "):
            taken_for(own, describe(weights=other), tmp_path / "run")
    taken_for(described(weights="base"), describe(weights="base"), tmp_path / "base")


def test_settings_of_each_run_member_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = {f"fold-{fold}/seed-{seed}": described() | {"seed": seed} for fold in range(4) for seed in (0, 1)}
    claim(tmp_path, both)
    for name in both:
        finish(tmp_path / name)
    read, read_settings = [], runs._read_settings
    monkeypatch.setattr(runs, "_read_settings", lambda path: [read.append(path), read_settings(path)][1])
    first = {name: wanted for name, wanted in both.items() if wanted["seed"] == 0}
    with runs.claimed(tmp_path, first, overwrite=False) as other_seeds:
        assert other_seeds == [1]
    assert sorted(read) == [tmp_path / name for name in sorted(both)]


def test_unstarted_seed_does_not_block_another_seed(tmp_path: Path) -> None:
    both = {f"seed-{seed}": described() | {"seed": seed} for seed in (0, 1)}
    claim(tmp_path, both)
    claim(tmp_path, {"seed-0": both["seed-0"]})
    assert not (tmp_path / "seed-1").exists()
    finish(tmp_path / "seed-0")
    with pytest.raises(UsageError, match="seed-0 is another seed of this very run"):
        claim(tmp_path, {"seed-1": both["seed-1"]})


def test_damaged_member_is_named_instead_of_its_sibling_seed(tmp_path: Path) -> None:
    both = {f"seed-{seed}": described() | {"seed": seed} for seed in (0, 1)}
    claim(tmp_path, both)
    for name in both:
        finish(tmp_path / name)
    (tmp_path / "seed-1" / "model.safetensors").write_bytes(b"")
    with pytest.raises(UsageError, match=r"seed-1 has no whole model\.safetensors"):
        claim(tmp_path, {"seed-1": both["seed-1"]})


def test_failed_run_removes_only_what_it_created(tmp_path: Path) -> None:
    claim(tmp_path, {f"seed-{seed}": described() for seed in (0, 1)})
    for seed in (0, 1):
        finish(tmp_path / f"seed-{seed}")
    wanted = {f"seed-{seed}": described() for seed in (1, 2)}
    with pytest.raises(SertoolError, match="no luck"), runs.claimed(tmp_path, wanted, overwrite=True):
        raise SertoolError("no luck")
    assert sorted(path.parent.name for path in tmp_path.glob("*/predictions.parquet")) == ["seed-0", "seed-1"]
    assert not (tmp_path / "seed-2").exists()
