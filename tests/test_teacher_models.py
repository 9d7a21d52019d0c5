"""A teacher that is a model: it answers once, for whom it may, and never tells of whom the student holds out."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from running import PATTERN, ages, changed, column, sertool
from training_run import TINY, train

from sertool.divisions import protocols
from sertool.divisions.splits import DEV, TEST, TRAIN
from sertool.errors import SertoolError
from sertool.manifests import manifest, manifest_io, row_filter
from sertool.modelfiles import inference, modelfile
from sertool.sound import encoding, synth
from sertool.train import teacher_models
from sertool.train.teacher_models import TeacherModels

EMOTIONS = ("neutral", "happy", "angry")
SPLIT = ("--split", "speaker:50/25/25")


@pytest.fixture(scope="module")
def mel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen log-mels of eight speakers."""
    folder = tmp_path_factory.mktemp("tutoring")
    synth.corpus(folder / "clips", 8, EMOTIONS, 1, write=encoding.write)
    assert sertool("index", folder / "clips", "--pattern", PATTERN, "-o", folder / "c.parquet").code == 0
    done = sertool("featurize", folder / "c.parquet", "--mel", "--mel-bands", 16, "-o", folder / "mel")
    assert done.code == 0, done.err
    return folder / "mel" / "manifest.parquet"


@pytest.fixture(scope="module")
def teacher(mel: Path) -> Path:
    """A run on half of the speakers."""
    train(mel, *TINY, *SPLIT, "-o", mel.parent / "teacher")
    return mel.parent / "teacher"


def speakers(run: Path, part: str) -> set[str]:
    """Who is in a part of a run."""
    table = row_filter.where(manifest_io.read(str(run / "seed-0" / "split.parquet")), [f"split={part}"])
    return {*manifest.column(table, "speaker")}


def tensors(run: Path) -> dict[str, np.ndarray]:
    return modelfile.read(run / "seed-0" / "model.safetensors").tensors


def answers(run: Path) -> dict[str, list]:
    (path,) = run.glob("teacher-*.parquet")
    return manifest_io.read_table(str(path)).to_pydict()


def test_emotions_of_a_teacher_are_read_without_building_the_network(
    teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(inference, "network")
    teacher_models.require_knows(str(teacher), {"happy"})
    with pytest.raises(SertoolError, match="it knows no fear"):
        teacher_models.require_knows(str(teacher), {"fear"})


def test_teacher_model_trains_the_same_student_as_its_predictions(mel: Path, teacher: Path, tmp_path: Path) -> None:
    done = train(mel, *TINY, *SPLIT, "--teacher", teacher, "-o", tmp_path / "run")
    assert "the teacher answers for 12 of 12 training clips; it was trained on the speakers of 12" in done.err
    said = answers(tmp_path / "run")
    assert sorted(said["clip"]) == sorted(manifest.column(manifest_io.read(str(mel)), "clip"))
    table = manifest.from_columns({name: said[name] for name in said if name != "model"})
    manifest_io.write(table, str(tmp_path / "t.parquet"), "parquet")
    train(mel, *TINY, *SPLIT, "--teacher", tmp_path / "t.parquet", "-o", tmp_path / "file")
    one, two = tensors(tmp_path / "run"), tensors(tmp_path / "file")
    assert all(np.array_equal(one[name], two[name]) for name in one)
    before = ages(tmp_path / "run")
    train(mel, *TINY, *SPLIT, "--teacher", teacher / "seed-0" / "model.safetensors", "-o", tmp_path / "run")
    assert ages(tmp_path / "run").keys() == before.keys()


def test_adapting_teacher_is_reported_to_answer_as_for_strangers(mel: Path, teacher: Path, tmp_path: Path) -> None:
    train(mel, *TINY, *SPLIT, "--adapt", "speaker", "-o", tmp_path / "adapted")
    done = train(mel, *TINY, *SPLIT, "--teacher", tmp_path / "adapted", "-o", tmp_path / "run")
    assert "teaches here as it answers for strangers" in done.err
    assert "strangers" not in train(mel, *TINY, *SPLIT, "--teacher", teacher, "-o", tmp_path / "other").err


def test_teacher_computes_its_own_features_if_the_manifest_lacks_them(mel: Path, teacher: Path, tmp_path: Path) -> None:
    clips = mel.parent.parent / "c.parquet"
    assert sertool("featurize", clips, "--mel", "--mel-bands", 12, "-o", tmp_path / "f").code == 0
    train(tmp_path / "f" / "manifest.parquet", *TINY, *SPLIT, "--teacher", teacher, "-o", tmp_path / "heard")
    train(mel, *TINY, *SPLIT, "--teacher", teacher, "-o", tmp_path / "read")
    heard, read = answers(tmp_path / "heard"), answers(tmp_path / "read")
    at = {clip: place for place, clip in enumerate(read["clip"])}
    order = [at[clip] for clip in heard["clip"]]
    for word in EMOTIONS:
        np.testing.assert_allclose(heard[f"p_{word}"], np.array(read[f"p_{word}"])[order], atol=1e-4)


def test_teacher_trained_on_held_out_speakers_is_refused(mel: Path, teacher: Path, tmp_path: Path) -> None:
    other = train(mel, *TINY, *SPLIT, "--seed", 1, "--teacher", teacher, "-o", tmp_path / "run", code=1)
    assert "trained on speakers or clips that are held out here" in other.line
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((teacher / "seed-0" / "model.safetensors").read_bytes())
    done = train(mel, *TINY, *SPLIT, "--seed", 1, "--teacher", alone, "-o", tmp_path / "run")
    assert "cannot be known" in done.err


def test_teacher_recognises_renamed_copies_of_its_training_files(mel: Path, teacher: Path, tmp_path: Path) -> None:
    assert {"path", "start", "digest"} <= {*manifest_io.read(str(teacher / "seed-0" / "split.parquet")).column_names}
    shutil.copytree(mel.parent.parent / "clips", tmp_path / "moved" / "clips")
    assert sertool("index", tmp_path / "moved", "--pattern", PATTERN, "-o", tmp_path / "c.parquet").code == 0
    assert not {*column(tmp_path / "c.parquet", "clip")} & {*column(mel, "clip")}
    sertool("featurize", tmp_path / "c.parquet", "--mel", "--mel-bands", 16, "-o", tmp_path / "f")
    learnt = {who.split(":")[1] for who in speakers(teacher, "train")}
    split = ["test" if who.split(":")[1] in learnt else "train" for who in column(tmp_path / "c.parquet", "speaker")]
    table = changed(tmp_path / "f" / "manifest.parquet", tmp_path / "f" / "divided.parquet", split=split)
    done = train(table, *TINY, "--teacher", teacher, "-o", tmp_path / "run", code=1)
    assert "trained on speakers or clips that are held out here" in done.line


@pytest.mark.slow
def test_each_fold_is_taught_by_the_model_of_the_same_fold(mel: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "--folds", 4, "-o", tmp_path / "teacher")
    done = train(mel, *TINY, "--folds", 4, "--teacher", tmp_path / "teacher", "-o", tmp_path / "run")
    assert done.err.count("the teacher answers") == 1
    other = train(
        mel, *TINY, "--folds", 4, "--seed", 1, "--teacher", tmp_path / "teacher", "-o", tmp_path / "no", code=1
    )
    assert "held out here" in other.line


def test_teacher_trained_on_dev_speakers_is_accepted_only_with_no_dev(mel: Path, tmp_path: Path) -> None:
    wanted = ("--rms", "--stats", "mean,std", "-o", tmp_path / "rms")
    assert sertool("featurize", mel.parent.parent / "c.parquet", *wanted).code == 0
    rms = tmp_path / "rms" / "manifest.parquet"
    words = ("-m", "mlp", "--epochs", 1, "--folds", 2, "--teacher", tmp_path / "teacher")
    train(rms, "-m", "lda", "--folds", 2, "-o", tmp_path / "teacher")
    line = train(rms, *words, "-o", tmp_path / "run", code=1).err.splitlines()[-1]
    assert "knows speakers of dev but none of test: add --no-dev" in line
    train(rms, *words, "--no-dev", "-o", tmp_path / "without")
    assert "these folds" in train(rms, *words, "--seed", 3, "-o", tmp_path / "other", code=1).err.splitlines()[-1]


def test_training_speakers_of_a_shipped_teacher_follow_its_protocol(mel: Path, tmp_path: Path) -> None:
    learnt, heldout = 1001, 1005
    assert [protocols.named("cremad-nk").places()[f"cremad:{who}"] for who in (learnt, heldout)] == [0, 1]
    speakers = column(mel, "speaker")
    first = sorted(set(speakers))[0]
    for who, code in ((learnt, 1), (heldout, 0)):
        named = [f"cremad:{who}" if speaker == first else speaker for speaker in speakers]
        own = changed(mel, tmp_path / f"{who}.parquet", speaker=named,
                      split=["test" if speaker == first else "train" for speaker in speakers])  # fmt: skip
        done = train(own, *TINY, "--teacher", "tiny", "-o", tmp_path / str(who), code=code)
        assert ("it was trained on speakers or clips that are held out here" in done.err) == bool(code)


@pytest.mark.slow
def test_predictions_of_models_trained_on_held_out_speakers_are_refused(
    mel: Path, teacher: Path, tmp_path: Path
) -> None:
    """Those of a run with folds come from models that heard whom another fold holds out."""
    train(mel, *TINY, "--folds", 4, "-o", tmp_path / "folds")
    for file in ("predictions.parquet", "fold-2/seed-0/predictions.parquet"):
        done = train(mel, *TINY, *SPLIT, "--teacher", tmp_path / "folds" / file, "-o", tmp_path / "no", code=1)
        assert "held out here" in done.line
    held = train(mel, *TINY, *SPLIT, "--teacher", teacher / "predictions.parquet", "-o", tmp_path / "no", code=1)
    assert "answers for none of the training clips" in held.line
    moved = tmp_path / "moved.parquet"
    assert sertool("predict", "-m", teacher, mel, "-o", moved).code == 0
    done = train(mel, *TINY, *SPLIT, "--teacher", moved, "-o", tmp_path / "same")
    assert re.search(r"the teacher answers for (\d+) of \1 training clips", done.err)
    assert "cannot be known" in done.err


def teachers(met: list[list[bool]], learnt: list[list[bool]], shares: list[list[float]]) -> TeacherModels:
    made = np.array(shares, np.float32)
    return TeacherModels("t", ("a", "b"), np.array(met), np.array(learnt), np.stack([made, 1 - made], axis=2))


def test_clips_are_taught_by_models_not_trained_on_their_speaker_if_possible() -> None:
    table = manifest.from_columns({"clip": ["w", "x", "y", "z"], "speaker": ["1", "2", "3", "4"]})
    split = np.array([TRAIN, TRAIN, TRAIN, TEST])
    met = [[True, False, True, False], [False, True, True, False], [False, False, False, True]]
    held = teachers(met, met, [[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8], [0.9, 0.9, 0.9, 0.9]])
    made = teacher_models.mean_answers(held, table, split)
    np.testing.assert_allclose(made.shares[:, 0], [0.5, 0.2, 0.5, 0.6], atol=1e-6)
    with pytest.raises(SertoolError, match="held out here"):
        teacher_models.mean_answers(teachers(met[2:], met[2:], [[0.9] * 4]), table, split)


def test_if_speakers_cross_parts_only_held_out_clips_are_protected() -> None:
    table = manifest.from_columns({"clip": ["w", "x"], "speaker": ["1", "1"]})
    split = np.array([TRAIN, DEV])
    fit = teachers([[True, True]], [[True, False]], [[0.1, 0.2]])
    assert teacher_models.mean_answers(fit, table, split).known.all()
    with pytest.raises(SertoolError, match="held out here"):
        teacher_models.mean_answers(teachers([[True, True]], [[False, True]], [[0.1, 0.2]]), table, split)


@pytest.fixture(scope="module")
def bare(mel: Path) -> Path:
    """Clips of nobody known and without a label, with the same features."""
    folder = mel.parent / "bare"
    for path in synth.corpus(folder / "made", 2, EMOTIONS, 1, seed=9, write=encoding.write):
        (folder / "calls").mkdir(exist_ok=True)
        path.rename(folder / "calls" / f"{path.parent.name}x{len(list((folder / 'calls').iterdir()))}.wav")
    assert sertool("index", folder / "calls", "-o", folder / "c.parquet").code == 0
    assert sertool("featurize", folder / "c.parquet", "--mel", "--mel-bands", 16, "-o", folder / "mel").code == 0
    return folder / "mel" / "manifest.parquet"


@pytest.mark.slow
@pytest.mark.parametrize("how", [SPLIT, ("--folds", "2")])
def test_unlabelled_audio_joins_train_without_changing_the_split(
    mel: Path, bare: Path, tmp_path: Path, how: tuple[str, ...]
) -> None:
    train(mel, *TINY, *how, "-o", tmp_path / "teacher")
    for name, words in {"with": (bare,), "without": ()}.items():
        done = train(mel, *words, *TINY, *how, "--teacher", tmp_path / "teacher", "-o", tmp_path / name)
        assert "held-out" in done.err
    for path in sorted((tmp_path / "with").rglob("split.parquet")):
        held = manifest_io.read(str(path)).to_pydict()
        loose = [part for part, emotion in zip(held["split"], held["emotion"], strict=True) if emotion is None]
        assert loose == ["train"] * 6
        without = manifest_io.read(str(tmp_path / "without" / path.relative_to(tmp_path / "with"))).to_pydict()
        assert held["split"][: len(without["split"])] == without["split"]
        one, two = (modelfile.read(tmp_path / name / path.parent.relative_to(tmp_path / "with") / "model.safetensors")
                    for name in ("with", "without"))  # fmt: skip
        assert not all(np.array_equal(one.tensors[name], two.tensors[name]) for name in one.tensors)


def test_unlabelled_clips_stay_in_the_part_of_their_speaker(mel: Path, teacher: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(mel))
    emotions = [None if place % 3 == 0 else word for place, word in enumerate(manifest.column(table, "emotion"))]
    manifest_io.write(manifest.with_column(table, "emotion", emotions), str(tmp_path / "half.parquet"), "parquet")
    folds = ("--folds", "2", "--teacher")
    shares = {f"p_{word}": [1 / 3] * len(table) for word in EMOTIONS}
    answers = manifest.from_columns({"clip": manifest.column(table, "clip"), **shares})
    manifest_io.write(answers, str(tmp_path / "t.parquet"), "parquet")
    train(tmp_path / "half.parquet", *TINY, *folds, tmp_path / "t.parquet", "-o", tmp_path / "run")
    for path in (tmp_path / "run").rglob("split.parquet"):
        held = manifest_io.read(str(path)).to_pydict()
        parts = {(who, part) for who, part in zip(held["speaker"], held["split"], strict=True)}
        assert len(parts) == 8


def test_missing_teacher_or_one_with_other_emotions_is_refused(mel: Path, teacher: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(mel))
    words = ["fear" if word == "angry" else word for word in manifest.column(table, "emotion")]
    manifest_io.write(manifest.with_column(table, "emotion", words), str(tmp_path / "fear.parquet"), "parquet")
    done = train(tmp_path / "fear.parquet", *TINY, *SPLIT, "--teacher", teacher, "-o", tmp_path / "run", code=1)
    assert not [*(tmp_path / "run").rglob("teacher-*.parquet")], "the teacher listened first"
    assert (
        "it knows no fear: keep what it knows with --where 'emotion=neutral|happy|angry', or"
        in done.err.splitlines()[-1]
    )
    (tmp_path / "empty").mkdir()
    done = train(mel, *TINY, *SPLIT, "--teacher", tmp_path / "empty", "-o", tmp_path / "run", code=2)
    assert "no model in" in done.line
    for nobody in ("nobody", "nobody.parquet", "nobody.safetensors"):
        done = train(mel, *TINY, *SPLIT, "--teacher", nobody, "-o", tmp_path / "none", code=2)
        assert done.line.startswith(f"sertool: no teacher {nobody}: ")
    assert not (tmp_path / "none").exists()
