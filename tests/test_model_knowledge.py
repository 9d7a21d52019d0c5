"""What a model knows of some rows: the part that clips and speakers had in its training, and who is asked for them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from sertool.divisions.splits import DEV, TEST, TRAIN
from sertool.manifests import manifest, manifest_io, run_folder
from sertool.manifests.manifest import Table
from sertool.predict import heldout_members, model_knowledge
from sertool.pretraining import encoder_trainings

HELD = {
    "1": {"a": "train", "b": "train"},
    "2": {"c": "dev"},
    "3": {"d": "test", "e": None},
    "4": {"f": "train", "g": "test", "h": None},
    "5": {"i": "dev", "j": "test"},
}


class Part(NamedTuple):
    """Of a file: who speaks, what sounds, and from when."""

    who: str
    sound: str | None
    start: float = 0.0
    split: str | None = None
    parent: str | None = None


def run_of(folder: Path, held: dict[str, dict[str, str | None]]) -> Path:
    """Where the model of a run lies that divided each speaker's clips so."""
    folder.mkdir()
    rows = [(who, clip, part) for who, clips in held.items() for clip, part in clips.items()]
    columns = dict(zip(("speaker", "clip", "split"), map(list, zip(*rows, strict=True)), strict=True))
    manifest_io.write(manifest.from_columns(columns), str(folder / run_folder.DIVISION), "parquet")
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
def test_known_clip_has_its_own_part_and_a_new_one_its_speakers(tmp_path: Path, clip: str, who: str, part: int) -> None:
    known = model_knowledge.of(rows((clip, who)), run_of(tmp_path / "run", HELD))
    assert known.parts.tolist() == [part]


def test_copy_has_the_part_of_its_parent(tmp_path: Path) -> None:
    model = run_of(tmp_path / "run", HELD)
    for parent, part in {"a": TRAIN, "g": TEST}.items():
        known = model_knowledge.of(rows((f"{parent}#1", "4"), parent=parent), model)
        assert known.parts.tolist() == [part]


def files_of(held: dict[str, Part], folder: str, *without: str) -> Table:
    """Parts of files, by the names of their clips."""
    clips = {"clip": list(held), "speaker": [part.who for part in held.values()]}
    facts = {
        "path": [f"/{folder}/{part.sound}.wav" for part in held.values()],
        "start": [part.start for part in held.values()],
        "digest": [part.sound for part in held.values()],
        "parent": [part.parent for part in held.values()],
        "split": [part.split for part in held.values()],
    }
    return manifest.from_columns(clips | {name: facts[name] for name in facts if name not in without})


def run_of_files(folder: Path, *without: str) -> Path:
    """Where the model of a run on two parts of one file and three other files lies."""
    held = {
        "x@0": Part("1", "x", split="train"),
        "x@2": Part("2", "x", 2.0, split="test"),
        "y": Part("1", "y", split="train"),
        "z": Part("3", "z", split="test"),
        "w": Part("3", "w"),
    }
    folder.mkdir()
    manifest_io.write(files_of(held, "here", *without), str(folder / run_folder.DIVISION), "parquet")
    return folder / run_folder.MODEL


RENAMED = {
    "n/x@0": Part("n:1", "x"), "n/x@2": Part("n:2", "x", 2.0), "n/x@4": Part("n:9", "x", 4.0),
    "n/z": Part("n:3", "z"), "n/w": Part("n:3", "w"), "n/new": Part("n:1", "new"),
    "n/z#1": Part("n:3", None, parent="n/z"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("lies", "run_lacks", "table_lacks"),
    [("elsewhere", [], []), ("here", ["digest"], []), ("here", [], ["digest"]), ("here", ["digest"], ["digest"])],
)
def test_renamed_clip_is_recognised_by_audio_or_file_and_identifies_its_speaker(
    tmp_path: Path, lies: str, run_lacks: list[str], table_lacks: list[str]
) -> None:
    known = model_knowledge.of(files_of(RENAMED, lies, *table_lacks), run_of_files(tmp_path / "run", *run_lacks))
    assert dict(zip(RENAMED, known.clips.tolist(), strict=True)) == {
        "n/x@0": TRAIN, "n/x@2": TEST, "n/x@4": -1, "n/z": TEST, "n/w": -1, "n/new": -1, "n/z#1": TEST,
    }  # fmt: skip
    assert dict(zip(RENAMED, known.speakers.tolist(), strict=True)) == {
        "n/x@0": TRAIN, "n/x@2": TEST, "n/x@4": -1, "n/z": TEST, "n/w": -1, "n/new": TRAIN, "n/z#1": TEST,
    }  # fmt: skip


def test_audio_in_several_parts_of_a_run_counts_as_trained_on(tmp_path: Path) -> None:
    held = {part: Part("1", "same", split=part) for part in ("test", "train", "dev")} | {"left out": Part("1", "same")}
    (tmp_path / "run").mkdir()
    manifest_io.write(files_of(held, "here"), str(tmp_path / "run" / run_folder.DIVISION), "parquet")
    known = model_knowledge.of(files_of({"new": Part("n:1", "same")}, "elsewhere"), tmp_path / "run" / run_folder.MODEL)
    assert known.clips.tolist() == [TRAIN]


def test_speaker_of_any_training_clip_counts_as_known(tmp_path: Path) -> None:
    merged = {name: part._replace(who="n:all") for name, part in RENAMED.items()}
    known = model_knowledge.of(files_of(merged, "here"), run_of_files(tmp_path / "run"))
    assert known.knows_speaker.all()
    assert known.knows_clip.tolist() == [name == "n/x@0" for name in merged]


def test_run_without_start_times_recognises_segments_by_clip_id(tmp_path: Path) -> None:
    table = files_of({"x@0": Part("1", "x"), "x@2": Part("2", "x", 2.0), "q": Part("3", "z")}, "here", "split")
    known = model_knowledge.of(table, run_of_files(tmp_path / "run", "start", "digest"))
    assert (known.clips.tolist(), known.speakers.tolist()) == ([TRAIN, TEST, TEST], [TRAIN, TEST, TEST])


def test_file_without_a_digest_is_recognised_by_its_path(tmp_path: Path) -> None:
    paths = ["/here/y.wav", "/here/z.wav", "/elsewhere/y.wav"]
    table = manifest.from_columns({"clip": paths, "path": paths})
    assert model_knowledge.of(table, run_of_files(tmp_path / "run")).clips.tolist() == [TRAIN, TEST, -1]


def test_known_speakers_are_distinguished_from_known_clips(tmp_path: Path) -> None:
    known = model_knowledge.of(rows(("a", "1"), ("new", "1"), ("g", "4"), ("d", "3")), run_of(tmp_path / "run", HELD))
    assert known.knows_clip.tolist() == [True, False, False, False]
    assert known.knows_speaker.tolist() == [True, True, True, False]


def test_clips_that_a_run_held_out_stay_held_out_whatever_its_encoder_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = run_of(tmp_path / "run", HELD)
    model.touch()
    monkeypatch.setattr(encoder_trainings, "known_to", lambda table, _: np.array([[False] * 4, [True] * 3 + [False]]))
    known = model_knowledge.of(rows(("c", "2"), ("d", "3"), ("new", "5"), ("other", "5")), model)
    assert known.clips.tolist() == [DEV, TEST, TRAIN, -1]


def test_new_clips_are_answered_by_folds_that_held_out_their_speaker(tmp_path: Path) -> None:
    folds = [
        run_of(tmp_path / str(fold), {who: {who * 2: "test" if who == tested else "train"} for who in "ab"})
        for fold, tested in enumerate("ab")
    ]
    table, asked = heldout_members.divided_by_models(rows(("x", "a"), ("y", "b"), ("z", None)), [folds])
    assert (manifest.column(table, "split"), asked) == (["test", "test", None], [[0], [1], None])


def test_clip_that_any_run_trained_on_is_not_held_out() -> None:
    runs = np.array([[TRAIN, TEST, DEV, -1, -1], [TEST, TRAIN, TEST, TEST, -1], [-1, TEST, TEST, TEST, -1]])
    assert heldout_members._of_all(runs).tolist() == [TRAIN, TRAIN, DEV, TEST, -1]


def test_warning_counts_trained_on_clips_and_known_speakers_separately(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = rows(("a", "1"), ("b", "1"), ("new", "1"), ("d", "3"), ("other", "stranger"))
    model = run_of(tmp_path / "run", HELD)
    heldout_members.divided_by_models(table, [[model]])
    leaving, new = capsys.readouterr().err.splitlines()
    assert "trained on 2 of 5 clips and on the speakers of 1 more: eval leaves them out" in leaving
    assert "neither trained on 1 of 5 clips nor held them out: eval leaves them out unless --where split=" in new
    heldout_members.divided_by_models(manifest.with_column(table, "split", np.array(["test"] * 5)), [[model]])
    (contrary,) = capsys.readouterr().err.splitlines()
    assert "trained on 2 clips and on the speakers of 1 more that the manifest holds out" in contrary
