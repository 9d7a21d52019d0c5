"""A teacher's answers and features: what a student takes from them, and what must not be mixed up."""

from pathlib import Path

import numpy as np
import pytest
import torch
from running import PATTERN, sertool
from training_run import TINY

from sertool.errors import SertoolError
from sertool.manifests import manifest, manifest_io
from sertool.modelfiles import batches, modelfile
from sertool.sound import encoding, synth
from sertool.train import teacher_answers

EMOTIONS = ("neutral", "happy", "angry")


def predictions(path: Path, clips: list[str], **shares: list[float]) -> str:
    manifest_io.write(manifest.from_columns({"clip": clips, **shares}), str(path), "parquet")
    return str(path)


def test_several_answers_are_averaged_and_copies_take_their_parents_answer(tmp_path: Path) -> None:
    source = predictions(tmp_path / "t.parquet", ["a", "b", "a"], p_sad=[1.0, 0.2, 0.5], p_angry=[0.0, 0.8, 0.5])
    table = manifest.from_columns({"clip": ["a", "a#1", "c"], "parent": [None, "a", None]})
    made = teacher_answers.answers_for(table, teacher_answers.read(source))
    assert made.known.tolist() == [True, True, False]
    np.testing.assert_allclose(made.as_shares_of(["angry", "sad"])[:2], [[0.25, 0.75]] * 2)


def test_windows_without_an_answer_are_ignored_in_the_mean(tmp_path: Path) -> None:
    shares = {"p_sad": [0.9, None, 0.5, None, 0.2], "p_angry": [0.1, None, 0.5, None, 0.8]}
    source = predictions(tmp_path / "t.parquet", ["a", "a", "a", "b#1", "b"], **shares)
    table = manifest.from_columns({"clip": ["a", "b#1", "b"], "parent": [None, "b", None]})
    made = teacher_answers.answers_for(table, teacher_answers.read(source))
    np.testing.assert_allclose(made.as_shares_of(["sad", "angry"]), [[0.7, 0.3], [0.2, 0.8], [0.2, 0.8]])


def test_answers_without_a_clip_id_are_ignored(tmp_path: Path) -> None:
    source = predictions(tmp_path / "t.parquet", [None, "a", None], p_sad=[1.0, 0.2, 0.5], p_angry=[0.0, 0.8, 0.5])
    made = teacher_answers.answers_for(manifest.from_columns({"clip": ["b", "a"]}), teacher_answers.read(source))
    assert made.known.tolist() == [False, True]
    np.testing.assert_allclose(made.as_shares_of(["angry", "sad"])[1], [0.8, 0.2])


def test_answers_over_fewer_emotions_are_renormalised(tmp_path: Path) -> None:
    source = predictions(tmp_path / "t.parquet", ["a"], p_sad=[0.2], p_angry=[0.2], p_happy=[0.6])
    made = teacher_answers.answers_for(manifest.from_columns({"clip": ["a"]}), teacher_answers.read(source))
    np.testing.assert_allclose(made.as_shares_of(["angry", "sad"]), [[0.5, 0.5]])
    with pytest.raises(SertoolError, match="knows no fear"):
        made.as_shares_of(["fear"])


def test_table_without_probabilities_is_no_teacher(tmp_path: Path) -> None:
    with pytest.raises(SertoolError, match=r"--teacher .*no predictions"):
        teacher_answers.read(predictions(tmp_path / "t.parquet", ["a"]))


def test_imitation_goals_are_fitted_on_train_alone() -> None:
    rows = torch.randn(40, 1, 6, generator=torch.Generator().manual_seed(0)).numpy()

    def heard(held: np.ndarray) -> teacher_answers.Imitated:
        views = [[clip] for clip in held]
        store = batches.Store(views, np.ones(len(held), np.int64), 6, torch.device("cpu"), {}, [])
        return teacher_answers.Imitated(store, np.arange(len(held)))

    other = rows.copy()
    other[30:] *= 100
    one, two = (teacher_answers.goals(heard(held), np.arange(30)) for held in (rows, other))
    assert one.shape == (40, 6)
    torch.testing.assert_close(one[:30], two[:30])


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Log-mels of six speakers, and statistics of their MFCC beside them; the last speaker's clips have no label."""
    folder = tmp_path_factory.mktemp("teaching")
    synth.corpus(folder / "clips", 6, EMOTIONS, 2, write=encoding.write)
    pattern = PATTERN
    split = ("--split", "speaker:50/25/25")
    assert sertool("index", folder / "clips", "--pattern", pattern, *split, "-o", folder / "c.parquet").code == 0
    assert sertool("featurize", folder / "c.parquet", "--mfcc", "--stats", "mean,std", "-o", folder / "f").code == 0
    done = sertool("featurize", folder / "f" / "manifest.parquet", "--mel", "--mel-bands", 16, "-o", folder / "g")
    assert done.code == 0, done.err
    return folder / "g" / "manifest.parquet"


def test_student_model_is_saved_without_its_imitation_layer(heard: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(heard))
    clips = manifest.column(table, "clip")
    even = {f"p_{word}": [1 / 3] * len(clips) for word in EMOTIONS}
    source = predictions(tmp_path / "t.parquet", clips, **even)
    words = (heard, *TINY, "--teacher", source, "--imitate", "mfcc")
    for name in ("one", "two"):
        done = sertool("train", *words, "-o", tmp_path / name)
        assert done.code == 0, done.err
    one, two = (modelfile.read(tmp_path / name / "seed-0" / "model.safetensors") for name in ("one", "two"))
    assert not [name for name in one.tensors if "imitation" in name]
    assert all(np.array_equal(one.tensors[name], two.tensors[name]) for name in one.tensors)
    assert (list(one.features), one.trained["taught"], one.trained["imitated"]) == (["mel"], True, "mfcc")
    refused = sertool("train", *words, "--teach", "0.5", "-o", tmp_path / "one")
    assert (refused.code, "teach 0.7, not 0.5" in refused.err.splitlines()[-1]) == (2, True)


def test_teacher_answers_replace_missing_labels(heard: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(heard))
    emotions = manifest.column(table, "emotion")
    both = enumerate(zip(emotions, manifest.column(table, "split"), strict=True))
    hidden = [None if split == "train" and place % 2 else word for place, (word, split) in both]
    manifest_io.write(manifest.with_column(table, "emotion", hidden), str(tmp_path / "half.parquet"), "parquet")
    sure = {f"p_{word}": [float(word == emotion) for emotion in emotions] for word in EMOTIONS}
    source = predictions(tmp_path / "t.parquet", manifest.column(table, "clip"), **sure)
    taught = (tmp_path / "half.parquet", "--teacher", source, "--teach", "1")
    for name, extra in {"all": (heard,), "half": taught}.items():
        done = sertool("train", *extra, *TINY, "--features", "mel", "-o", tmp_path / name)
        assert done.code == 0, done.err
    whole, half = (modelfile.read(tmp_path / name / "seed-0" / "model.safetensors") for name in ("all", "half"))
    assert all(np.allclose(whole.tensors[name], half.tensors[name]) for name in whole.tensors)


def test_teacher_on_stdin_is_read_once_for_all_splits(heard: Path, tmp_path: Path) -> None:
    table = manifest.without(manifest_io.read(str(heard)), "split")
    clips = manifest.column(table, "clip")
    manifest_io.write(table, str(tmp_path / "m.parquet"), "parquet")
    source = predictions(tmp_path / "t.parquet", clips, **{f"p_{word}": [1 / 3] * len(clips) for word in EMOTIONS})
    words = ("train", tmp_path / "m.parquet", *TINY, "--features", "mel", "--gap")
    words += ("--split", "speaker:50/25/25", "--teacher")
    piped = Path(source).read_bytes()
    for dry in (("--dry-run",), ()):
        done = sertool(*words, "-", "-o", tmp_path / "piped", *dry, stdin=piped)
        assert done.code == 0, done.err
    assert sertool(*words, source, "-o", tmp_path / "named").code == 0
    for way in ("leaky", "disjoint"):
        one, two = (modelfile.read(tmp_path / name / way / "seed-0/model.safetensors") for name in ("piped", "named"))
        assert all(np.array_equal(one.tensors[name], two.tensors[name]) for name in one.tensors)


@pytest.mark.parametrize("manifests", [(), ("-",)])
def test_manifest_and_teacher_cannot_both_come_from_stdin(
    heard: Path, tmp_path: Path, manifests: tuple[str, ...]
) -> None:
    words = ("train", *manifests, *TINY, "--features", "mel", "--teacher", "-", "-o", tmp_path / "run")
    done = sertool(*words, stdin=heard.read_bytes())
    assert (done.code, "--teacher - and the manifest" in done.line) == (2, True)
    assert not (tmp_path / "run").exists()


def test_copy_imitates_the_features_of_its_parent(heard: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(heard))
    mfcc = manifest.keep(table, np.ones(len(table), bool))
    for part in ("shard", "offset", "rows"):
        names = [name for name in mfcc.column_names if name != f"mel_{part}"]
        mfcc = mfcc.select(names)
    manifest_io.write(mfcc, str(tmp_path / "m.parquet"), "parquet")
    done = sertool("augment", tmp_path / "m.parquet", "--copies", 1, "--noise", "10:20", "-o", tmp_path / "a.parquet")
    assert done.code == 0, done.err
    copied = manifest_io.read(str(tmp_path / "a.parquet"))
    made = teacher_answers.imitated(copied, "mfcc", "cpu")
    at = dict(zip(manifest.column(copied, "clip"), made.place, strict=True))
    parents = zip(manifest.column(copied, "clip"), manifest.column(copied, "parent"), strict=True)
    assert [at[clip] for clip, parent in parents if parent] == [at[p] for p in manifest.column(copied, "parent") if p]
    assert len(made.place) > len(made.store)


def test_model_that_cannot_imitate_is_refused(heard: Path, tmp_path: Path) -> None:
    done = sertool("train", heard, "-m", "logistic", "--features", "mfcc", "--imitate", "mfcc", "-o", tmp_path / "r")
    assert (done.code, "--imitate" in done.line) == (2, True)
