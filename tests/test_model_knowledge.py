"""What a model knows of some rows: the part that clips and speakers had in its training, and who is asked for them."""

from pathlib import Path

import numpy as np
import pytest

from sertool import heldout_members, manifest, model_knowledge, run_folder, wire
from sertool.manifest import Table
from sertool.splits import DEV, TEST, TRAIN

HELD = {
    "1": {"a": "train", "b": "train"},
    "2": {"c": "dev"},
    "3": {"d": "test", "e": None},
    "4": {"f": "train", "g": "test", "h": None},
    "5": {"i": "dev", "j": "test"},
}


def run_of(folder: Path, held: dict[str, dict[str, str | None]]) -> Path:
    """Where the model of a run lies that divided each speaker's clips so."""
    folder.mkdir()
    rows = [(who, clip, part) for who, clips in held.items() for clip, part in clips.items()]
    columns = dict(zip(("speaker", "clip", "split"), map(list, zip(*rows, strict=True)), strict=True))
    wire.write(manifest.from_columns(columns), str(folder / run_folder.DIVISION), "parquet")
    return folder / run_folder.MODEL


def rows(*held: tuple[str, str | None], parent: str | None = None) -> Table:
    """Clips with their speakers."""
    clips, speakers = map(list, zip(*held, strict=True))
    return manifest.from_columns({"clip": clips, "speaker": speakers, "parent": [parent] * len(clips)})


@pytest.mark.parametrize(
    ("clip", "who", "part"),
    [
        ("a", "1", TRAIN), ("d", "3", TEST), ("g", "4", TEST),  # its own, whatever its speaker has
        ("new", "1", TRAIN), ("new", "2", DEV), ("new", "3", TEST), ("new", "4", TRAIN),
        ("new", "5", -1), ("new", "stranger", -1), ("new", None, -1),
        ("e", "3", -1), ("h", "4", TRAIN),  # what the split left out is not held out, but its speaker may be known
    ],
)  # fmt: skip
def test_a_clip_has_its_own_part_and_a_new_one_its_speakers(tmp_path: Path, clip: str, who: str, part: int) -> None:
    known = model_knowledge.of(rows((clip, who)), run_of(tmp_path / "run", HELD))
    assert known.parts.tolist() == [part]


def test_a_copy_has_the_part_of_its_clip(tmp_path: Path) -> None:
    model = run_of(tmp_path / "run", HELD)
    for parent, part in {"a": TRAIN, "g": TEST}.items():
        known = model_knowledge.of(rows((f"{parent}#1", "4"), parent=parent), model)
        assert known.parts.tolist() == [part]


def test_who_was_met_is_told_from_what_was_learnt(tmp_path: Path) -> None:
    known = model_knowledge.of(rows(("a", "1"), ("new", "1"), ("g", "4"), ("d", "3")), run_of(tmp_path / "run", HELD))
    assert known.learnt.tolist() == [True, False, False, False]
    assert known.met.tolist() == [True, True, True, False]


def test_new_clips_are_answered_by_the_folds_that_held_their_speaker_out(tmp_path: Path) -> None:
    folds = [
        run_of(tmp_path / str(fold), {who: {who * 2: "test" if who == tested else "train"} for who in "ab"})
        for fold, tested in enumerate("ab")
    ]
    table, asked = heldout_members.told(rows(("x", "a"), ("y", "b"), ("z", None)), [folds])
    assert (manifest.column(table, "split"), asked) == (["test", "test", None], [[0], [1], None])


def test_what_is_said_of_clips_tells_those_trained_on_from_those_of_known_speakers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = rows(("a", "1"), ("b", "1"), ("new", "1"), ("d", "3"), ("other", "stranger"))
    model = run_of(tmp_path / "run", HELD)
    heldout_members.told(table, [[model]])
    leaving, new = capsys.readouterr().err.splitlines()
    assert "trained on 2 of 5 clips and on the speakers of 1 more: eval leaves them out" in leaving
    assert "neither trained on 1 of 5 clips nor held them out: eval leaves them out unless --where split=" in new
    heldout_members.told(manifest.with_column(table, "split", np.array(["test"] * 5)), [[model]])
    (contrary,) = capsys.readouterr().err.splitlines()
    assert "trained on 2 clips and on the speakers of 1 more that the manifest holds out" in contrary
