"""What a training is asked for that could do nothing is refused, and what may not be looked at changes nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from running import PATTERN, changed, column, sertool
from small_training import CLIPS, data
from training_run import TINY, train

from sertool import models
from sertool.divisions.splits import DEV, PARTS, TEST, TRAIN
from sertool.drawings import plots
from sertool.manifests import manifest, manifest_io
from sertool.manifests.answer_kinds import Emotions
from sertool.manifests.manifest import Table
from sertool.modelfiles import batches, modelfile, row_scaling
from sertool.modelfiles.batches import Store
from sertool.modelfiles.inference import Predictor
from sertool.modelfiles.row_scaling import Scaling
from sertool.models import acnt, cnn, gru, lda, svm
from sertool.networks import norm_folding, tensorfile
from sertool.sound import encoding, synth
from sertool.system import device as devices
from sertool.train import choosing, emotion_aim, member_data, member_file, member_scores, members, training_data
from sertool.train.design import Design, Member
from sertool.train.emotion_aim import EmotionLesson
from sertool.train.member_data import Material
from sertool.train.member_file import Trained
from sertool.train.members import Callbacks
from sertool.train.training_data import Data
from sertool.train.training_settings import Settings

EMOTIONS = ("neutral", "happy", "angry")


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Log-mels of six speakers, and statistics of their MFCC and energy beside them."""
    folder = tmp_path_factory.mktemp("training")
    synth.corpus(folder / "clips", 6, EMOTIONS, 2, write=encoding.write)
    words = ("--pattern", PATTERN, "--split", "speaker:50/25/25")
    assert sertool("index", folder / "clips", *words, "-o", folder / "c.parquet").code == 0
    stats = ("--mfcc", "--rms", "--stats", "mean,std")
    assert sertool("featurize", folder / "c.parquet", *stats, "-o", folder / "f").code == 0
    done = sertool("featurize", folder / "f" / "manifest.parquet", "--mel", "--mel-bands", 16, "-o", folder / "g")
    assert done.code == 0, done.err
    return folder / "g" / "manifest.parquet"


def sure(source: Path, target: Path) -> Path:
    """The predictions of a teacher that knows every clip's emotion."""
    emotions = column(source, "emotion")
    shares = {f"p_{word}": [float(word == emotion) for emotion in emotions] for word in EMOTIONS}
    manifest_io.write(manifest.from_columns({"clip": column(source, "clip"), **shares}), str(target), "parquet")
    return target


# What could do nothing.


@pytest.mark.parametrize("model", ["logistic", "svm", "lda", "forest"])
def test_classical_model_refuses_network_only_options(heard: Path, tmp_path: Path, model: str) -> None:
    half = [0.5] * len(column(heard, "clip"))
    voted = changed(heard, tmp_path / "voted.parquet", soft_happy=half, soft_angry=half)
    teacher = sure(heard, tmp_path / "teacher.parquet")
    for words in (("--soft", 0.5), ("--epochs", 3), ("--absent-emotions", "count"), ("--teacher", teacher),
                  ("--imitate", "rms")):  # fmt: skip
        done = train(voted, "-m", model, "--features", "mfcc", *words, "-o", tmp_path / "run", code=2)
        assert f"{words[0]} is for networks" in done.err.splitlines()[-1]
        assert f"{model} is fitted at once" in done.err.splitlines()[-1]


def test_classical_model_refuses_a_teacher_without_unlabelled_training_clips(heard: Path, tmp_path: Path) -> None:
    splits = column(heard, "split")
    silent = splits.index("dev")
    emotions = [None if place == silent else word for place, word in enumerate(column(heard, "emotion"))]
    partly = changed(heard, tmp_path / "partly.parquet", emotion=emotions)
    teacher = sure(heard, tmp_path / "teacher.parquet")
    done = train(partly, "-m", "lda", "--features", "mfcc", "--teacher", teacher, "-o", tmp_path / "run", code=2)
    assert "--teacher is for networks, and for clips without a label" in done.err.splitlines()[-1]


def test_network_only_options_are_refused_before_features_are_made(heard: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(heard))
    bare = [name for name in table.column_names if not name.endswith(("_shard", "_offset", "_rows"))]
    manifest_io.write(table.select(bare), str(tmp_path / "bare.parquet"), "parquet")
    teacher = sure(heard, tmp_path / "teacher.parquet")
    for words in (("--epochs", 3), ("--teacher", teacher), ("--imitate", "rms"), ("--imitate", "rms", "--dry-run")):
        done = train(tmp_path / "bare.parquet", "--recipe", "lda-c", *words, "-o", tmp_path / "run", code=2)
        assert f"{words[0]} is for networks" in done.line
        assert not (tmp_path / "run" / "features").exists()


def test_classical_model_learns_unlabelled_clips_from_a_teacher(heard: Path, tmp_path: Path) -> None:
    teacher, parts = sure(heard, tmp_path / "teacher.parquet"), column(heard, "split")
    hidden = [None if part == "train" and place % 2 else word
              for place, (word, part) in enumerate(zip(column(heard, "emotion"), parts, strict=True))]  # fmt: skip
    half = changed(heard, tmp_path / "half.parquet", emotion=hidden)
    for name, words in {"whole": (heard,), "half": (half, "--teacher", teacher)}.items():
        train(*words, "-m", "logistic", "--features", "mfcc", "-o", tmp_path / name)
    whole, taught = (modelfile.read(tmp_path / name / "seed-0" / "model.safetensors") for name in ("whole", "half"))
    assert all(np.allclose(whole.tensors[name], taught.tensors[name]) for name in whole.tensors)
    assert (whole.trained["taught"], taught.trained["taught"]) == (False, True)


@pytest.mark.parametrize("words", [("--prior-clips", 2), ("--strangers", 0)])
def test_adaptation_options_are_refused_without_adapt(heard: Path, tmp_path: Path, words: tuple) -> None:
    assert f"{words[0]} goes with --adapt" in train(heard, *TINY, *words, "-o", tmp_path / "run", code=2).line
    train(heard, *TINY, "--features", "mel", "--adapt", "speaker", *words, "-o", tmp_path / "run")


@pytest.mark.parametrize(("words", "other"), [(("--teach", 0.5), "--teacher"), (("--likeness", 2), "--imitate")])
def test_teaching_options_are_refused_without_a_teacher_or_imitation(
    heard: Path, tmp_path: Path, words: tuple, other: str
) -> None:
    assert f"{words[0]} goes with {other}" in train(heard, *TINY, *words, "-o", tmp_path / "run", code=2).line


# What its file will answer.


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_trained_model_answers_like_its_saved_file(
    heard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.setattr(devices, "computed", lambda asked, _: asked)
    settings = acnt.Settings(frames=40, channels=(8, 8), width=16, layers=1, heads=2, feedforward=16, dense=8)
    design = Design("acnt", settings, Settings(epochs=3, batch=8, lr=0.01, precision=precision), ("mel",))
    table = manifest_io.read(str(heard))
    held, member = member_data.load(table, design, "cpu"), Member("seed-0", 0, None, divided(table))
    trained = made(held, design, member.split, tmp_path)
    member_file.write(tmp_path / "model.safetensors", held, design, trained, member)
    again = Predictor.load(tmp_path / "model.safetensors").logits(*held.store.take(np.arange(len(table))))
    torch.testing.assert_close(trained.logits(np.arange(len(table))), again, atol=1e-5, rtol=1e-5)


def test_clip_in_bf16_gets_the_same_answer_alone_and_in_a_batch() -> None:
    rows = np.random.default_rng(0).normal(size=(3, 60, 300)).astype(np.float32)
    store = Store([[clip] for clip in rows], np.full(3, 60), 300, torch.device("cpu"), {}, [])
    nobody = np.arange(0)
    lesson = EmotionLesson(Emotions(list("abcdef")), torch.zeros(3, 6), nobody)
    held = Data(store, lesson, nobody, nobody, Scaling())
    torch.manual_seed(0)
    model = norm_folding.folded(gru.Model(gru.Settings(), 300, 6), "bf16")
    alone, beside = (training_data.logits(model, held, np.arange(count), "bf16")[0] for count in (1, 3))
    assert torch.equal(alone, beside)


# What may not be looked at.


def network(**more: object) -> Design:
    settings = cnn.Settings(frames=40, channels=(4, 8), dense=8)
    loop = Settings(epochs=2, batch=8, lr=0.01, keep="last")
    return Design("cnn", settings, loop, ("mel",), **more)


def classifier(**more: object) -> Design:
    return Design("lda", lda.Settings(), Settings(), ("mfcc",), **more)


DESIGNS = {
    "network": network(),
    "adapt": network(adapt="speaker", prior_clips=3.0),
    "imitate": network(imitate="mfcc"),
    "adapt-classifier": classifier(adapt="speaker", prior_clips=3.0),
    "select": classifier(select=8),
    "pca": classifier(reduce="pca:4"),
    "lda": classifier(reduce="lda"),
}


def otherwise(held: Material, clips: np.ndarray) -> Material:
    """The same with other rows and other emotions of some clips."""

    def moved(store: Store) -> Store:
        views = [[part * 3 + k % 5 for part in parts] if k in clips else parts for k, parts in enumerate(store.views)]
        return replace(store, views=views)

    turned = dict(zip(EMOTIONS, EMOTIONS[1:] + EMOTIONS[:1], strict=True))
    emotions = [turned[word] if k in clips else word for k, word in enumerate(manifest.column(held.table, "emotion"))]
    heard = None if held.imitated is None else held.imitated._replace(store=moved(held.imitated.store))
    table = manifest.with_column(held.table, "emotion", emotions)
    return replace(held, table=table, store=moved(held.store), imitated=heard)


def divided(table: Table) -> np.ndarray:
    return np.array([PARTS.index(part) for part in manifest.column(table, "split")], np.int8)


def made(held: Material, design: Design, split: np.ndarray, folder: Path) -> Trained:
    callbacks = Callbacks(lambda figures: None, lambda order, _: order)
    return members._trained(held, design, Member("seed-0", 0, None, split), folder, callbacks)


def learnt(one: Trained) -> dict[str, np.ndarray]:
    """All that a model file keeps."""
    weights = {name: value.numpy() for name, value in one.model.state_dict().items()}
    return weights | one.data.scaling.tensors()


@pytest.mark.parametrize("name", DESIGNS)
def test_weights_depend_on_train_alone_and_test_changes_nothing(heard: Path, tmp_path: Path, name: str) -> None:
    table, design = manifest_io.read(str(heard)), DESIGNS[name]
    split = divided(table)
    held = member_data.load(table, design, "cpu")
    first, *others = (
        made(otherwise(held, np.flatnonzero(np.isin(split, places))), design, split, tmp_path / str(number))
        for number, places in enumerate(([], [TEST], [DEV, TEST], [TRAIN]))
    )
    same = [all(np.array_equal(value, learnt(other)[key]) for key, value in learnt(first).items()) for other in others]
    assert same == [True, True, False]
    assert others[0].temperatures == first.temperatures
    assert others[0].scores["dev_uar"] == first.scores["dev_uar"]


def at_once(model: str, **more: object) -> Design:
    return Design(model, models.load(model).Settings(), Settings(**more), ("mfcc",))


@pytest.mark.parametrize("model", ["logistic", "probe", "svm", "lda"])
def test_balancing_already_balanced_emotions_changes_no_model(heard: Path, tmp_path: Path, model: str) -> None:
    """But for a forest, which draws its clips in another way where they are weighed."""
    table = manifest_io.read(str(heard))
    held = member_data.load(table, at_once(model), "cpu")
    as_is, *balanced = (
        learnt(made(held, at_once(model, balance=how), divided(table), tmp_path))
        for how in ("none", "weights", "corpus-emotion")
    )
    for other in balanced:
        for name, values in as_is.items():
            np.testing.assert_array_equal(other[name], values, name)


@pytest.mark.parametrize("adapt", [None, "speaker"])
def test_svm_gets_the_original_clip_of_each_training_row(
    heard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adapt: str | None
) -> None:
    """Its copies, and what `--adapt` makes of it twice: as its speaker's and as a stranger's."""
    seen = {}
    fit = svm.Model.fit

    def spied(model: svm.Model, *given: Any) -> None:
        seen["origin"] = given[-1]
        fit(model, *given)

    monkeypatch.setattr(svm.Model, "fit", spied)
    table = manifest_io.read(str(heard))
    clips = np.array(manifest.column(table, "clip"))
    origin = np.where(np.arange(len(clips)) % 2, np.roll(clips, 1), clips)  # as if every second were a copy
    parents = [None if own == clip else str(own) for own, clip in zip(origin, clips, strict=True)]
    table = manifest.with_column(table, "parent", parents)
    design, split = replace(at_once("svm"), adapt=adapt, prior_clips=3.0), divided(table)
    made(member_data.load(table, design, "cpu"), design, split, tmp_path)
    names = np.tile(origin[split == TRAIN], 2 if adapt else 1)
    assert ((seen["origin"][:, None] == seen["origin"]) == (names[:, None] == names)).all()


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_strangers_option_sets_the_row_weights_of_a_classical_model(
    heard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    seen = {}
    fit = svm.Model.fit

    def spied(model: svm.Model, *given: Any) -> None:
        seen["weights"] = given[2]
        fit(model, *given)

    monkeypatch.setattr(svm.Model, "fit", spied)
    table, design = manifest_io.read(str(heard)), replace(at_once("svm", strangers=share), adapt="speaker")
    split = divided(table)
    made(member_data.load(table, design, "cpu"), design, split, tmp_path)
    own, strange = (2 * weight if 0 < share < 1 else weight for weight in (1 - share, share))
    assert seen["weights"].tolist() == [weight for weight in (own, strange) for _ in split[split == TRAIN] if weight]


def test_kth_copies_of_a_speaker_count_as_a_separate_voice(heard: Path) -> None:
    table = manifest_io.read(str(heard)).slice(0, 6)
    names = ["x", "y", "x#1", "y#1", "x#12", "foreign"]
    for name, values in {
        "clip": names, "parent": [None, None, "x", "y", "x", "y"], "speaker": ["a", "b", "a", "b", "a", "b"],
    }.items():  # fmt: skip
        table = manifest.with_column(table, name, values)
    voice = member_data.voices(table)
    assert len(set(voice.tolist())) == 5
    assert voice[names.index("foreign")] == voice[names.index("y")]
    assert sorted(set(voice.tolist())) == [1, 2, 3, 4, 5]
    plain = member_data.voices(manifest.without(table, "parent"))
    assert plain.tolist() == [1, 2, 1, 2, 1, 2]


def test_copies_are_excluded_from_train_scores() -> None:
    held, is_copy = replace(data(), corpus=np.ones(CLIPS, int)), np.arange(CLIPS) >= 12
    columns = {"clip": [f"{clip}" for clip in range(CLIPS)], "parent": ["0" if copy else None for copy in is_copy]}
    member = Member("seed-0", 0, None, np.full(CLIPS, TRAIN, np.int8))
    answers = torch.where(torch.from_numpy(is_copy)[:, None], -held.lesson.targets, held.lesson.targets)
    figures = member_scores.scores(manifest.from_columns(columns), held, member, lambda clips: answers[clips])
    assert figures == {"train_uar": 1.0, "train_wa": 1.0, "train_clips": 12}


def test_temperature_is_calibrated_on_dev(heard: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(heard))
    design = replace(network(), training=Settings(epochs=20, batch=8, lr=0.003, keep="last"))
    split = divided(table)
    found = made(member_data.load(table, design, "cpu"), design, split, tmp_path)
    train, dev, test = (emotion_aim.calibrated(found.logits(clips), found.data.lesson.truth[clips])
                        for clips in (np.flatnonzero(split == place) for place in (TRAIN, DEV, TEST)))  # fmt: skip
    assert found.temperatures == (dev, dev)
    assert len({train, dev, test}) == 3


def test_probabilities_of_known_and_unknown_speakers_are_calibrated_separately(heard: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(heard))
    trained = Settings(epochs=20, batch=8, lr=0.003, keep="last")
    design = replace(network(adapt="speaker", prior_clips=3.0), training=trained)
    found = made(member_data.load(table, design, "cpu"), design, divided(table), tmp_path)
    dev = found.data.dev
    strange = member_scores.logits(found.model, replace(found.data, group=None), "float32", dev)
    alone, adapted = (
        emotion_aim.calibrated(logits, found.data.lesson.truth[dev]) for logits in (strange, found.logits(dev))
    )
    assert alone != adapted
    assert found.temperatures == (alone, adapted)
    assert found.data.temperature == alone


def test_scaling_logits_and_temperatures_together_leaves_answers_unchanged(heard: Path, tmp_path: Path) -> None:
    """A network that answers three times as surely, at temperatures three times as high, is the same network."""
    words = ("-m", "logistic", "--features", "mfcc", "--adapt", "speaker", "--split", "speaker:50/25/25")
    train(heard, *words, "-o", tmp_path)
    held = modelfile.read(tmp_path / "seed-0" / "model.safetensors")
    weights = {name: 3 * held.tensors[name] for name in ("weight", "bias")}
    bold = replace(held, tensors=held.tensors | weights, temperature=3 * held.temperature,
                   adapted_temperature=3 * held.adapted_temperature)  # fmt: skip
    store = batches.load(manifest_io.read(str(tmp_path / "predictions.parquet")), ["mfcc"], "cpu")
    clips = [{"mfcc": np.concatenate(view, axis=1)} for view in store.views]
    who, answers = torch.tensor([0] + [1] * (len(clips) - 1)), []
    for model in (Predictor(held), Predictor(bold)):
        answers.append(model.of_clips(clips, (model.known_speakers([clips]), who)))
        torch.testing.assert_close(answers[-1][0], model.of_clips(clips)[0])
    torch.testing.assert_close(*answers)


def test_mismatched_checkpoint_is_refused_with_advice_to_remove_it(heard: Path, tmp_path: Path) -> None:
    words = (heard, *TINY, "--features", "mel", "-o", tmp_path)
    train(*words)
    member = tmp_path / "seed-0"
    kept = modelfile.read(member / "model.safetensors").tensors
    own = {name: array for name, array in kept.items() if name not in row_scaling.NAMES}
    whole = {f"{part}.{name}": array for part in ("model", "best") for name, array in own.items()}
    (member / "predictions.parquet").unlink()
    for names in ((), ("other.weight",), ("model.other",), ("slot.99.step",), ("slot.x",)):
        held = (whole if names else {}) | dict.fromkeys(names, np.zeros(1, np.float32))
        with open(member / "checkpoint.safetensors", "wb") as stream:
            described = {name: (array.dtype.name, array.shape, [array]) for name, array in held.items()}
            tensorfile.write(stream, {"history": [], "steps": 0}, described)
        done = train(*words, code=1)
        assert f"{member / 'checkpoint.safetensors'} does not fit this run: remove it" in done.err.splitlines()[-1]
    (member / "checkpoint.safetensors").unlink()
    train(*words)


@pytest.mark.draws
@pytest.mark.parametrize(
    ("settings", "epoch"),
    [({}, 2), ({"metric": "loss"}, 3), ({"metric": "wa"}, 1), ({"keep": "last"}, 4)],
    ids=str,
)
def test_training_plot_marks_the_epoch_that_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict, epoch: int
) -> None:
    pytest.importorskip("matplotlib")
    figures = [(0.9, 0.5, 0.9), (0.8, 0.7, 0.8), (0.6, 0.6, 0.7), (0.7, 0.7, 0.6)]
    history = [{"epoch": k + 1, "loss": 1.0, "dev_loss": loss, "dev_uar": uar, "dev_wa": wa}
               for k, (loss, uar, wa) in enumerate(figures)]  # fmt: skip
    drawn = []
    monkeypatch.setattr(plots.pictures, "save", lambda figure, _: drawn.append(figure.axes[1]))
    plots.curves(history, choosing.best_epoch(history, Settings(**settings)), tmp_path / "curves.png", Emotions.metrics)
    uar = 100 * figures[epoch - 1][1]
    assert drawn[0].get_title(loc="left") == f"dev, %: UAR {uar:.1f} in epoch {epoch}, which is kept"
    assert drawn[0].lines[-1].get_xydata().tolist() == [[epoch, uar]]
