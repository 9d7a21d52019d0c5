"""train's choices: epochs, dev, calibration, recipes and settings."""

import json
import os
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from running import changed, column, sertool
from training_run import NET, TINY, table, train

from sertool import models
from sertool.commands import train as door
from sertool.divisions import heldout
from sertool.divisions.heldout import HeldOutOptions
from sertool.divisions.splits import DEV, TEST, TRAIN
from sertool.errors import UsageError
from sertool.manifests import manifest, manifest_io
from sertool.manifests.answer_kinds import Emotions
from sertool.modelfiles import batches, modelfile, row_scaling
from sertool.models import cnn1d, cnn2d, svm
from sertool.train import designing, emotion_aim, run_report
from sertool.train.designing import DesignOptions
from sertool.train.experiment import RunOptions
from sertool.train.preparing import Inputs
from sertool.train.training_settings import Settings


def test_repeated_feature_is_used_once(mel: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "--features", "mel,mel", "-o", tmp_path)
    assert modelfile.read(tmp_path / "seed-0" / "model.safetensors").columns == 16


@pytest.mark.parametrize("words", [(), ("--select", 5), ("--features", "mfcc", "--reduce", "lda")])
@pytest.mark.parametrize("model", ["mlp", "attentive"])
def test_joined_selected_or_reduced_columns_form_one_group(
    statistics: Path, tmp_path: Path, model: str, words: tuple
) -> None:
    train(statistics, "-m", model, *words, "--epochs", 1, "-o", tmp_path)
    settings = modelfile.read(tmp_path / "seed-0" / "model.safetensors").settings
    assert {settings[name] for name in ("groups", "stats") if name in settings} == {1}


def test_outputs_may_have_non_utf8_names(clips: Path, tmp_path: Path) -> None:
    features, run = (tmp_path / os.fsdecode(name) for name in (b"caf\xe9", b"lat\xe9"))
    words = ("--rms", "--stats", "mean,std", "-o", features, "--values", features / "values.csv", "--verify", 2)
    done = sertool("featurize", clips, *words)
    assert done.code == 0, done.err
    assert "(0 made now)" in sertool("featurize", clips, *words).err
    for source, stdin in ((features / "manifest.parquet", b""), ("-", done.out)):
        done = sertool("train", source, "-m", "svm", "--split", "speaker:50/25/25", "-o", run, stdin=stdin)
        assert done.code == 0, done.err
    assert sertool("eval", run / "predictions.parquet").code == 0
    for source in (features / "manifest.parquet", features / "rms" / "00000.safetensors"):
        done = sertool("predict", "-m", run, source, "-o", features / "a.parquet")
        assert done.code == 0, done.err
        assert len(manifest_io.read(str(features / "a.parquet"))) == 48


def test_imitated_feature_is_refused_as_an_input(statistics: Path, tmp_path: Path) -> None:
    for seen in ("rms,mfcc", "rms"):
        words = ("-m", "mlp", "--imitate", "rms", "--features", seen)
        assert "must not see what it imitates" in train(statistics, *words, "--dry-run", code=2).line
    train(statistics, "-m", "mlp", "--imitate", "rms", "--features", "mfcc", "--dry-run")


def test_mixup_of_summaries_differs_from_mixup_of_rows(mel: Path, tmp_path: Path) -> None:
    for way in ("rows", "summary"):
        train(mel, *TINY, "--mixup", 0.4, "--mixes", way, "--split", "speaker:50/25/25", "-o", tmp_path / way)
    rows, summary = (modelfile.read(tmp_path / way / "seed-0/model.safetensors") for way in ("rows", "summary"))
    assert not np.array_equal(rows.tensors["head.0.weight"], summary.tensors["head.0.weight"])


def test_warmup_longer_than_the_training_is_warned_about(mel: Path, tmp_path: Path) -> None:
    words = (mel, *NET, "--split", "speaker:50/25/25", "--batch", 1000, "--epochs", 3, "--dry-run")
    assert "--warmup 4: the training ends after 3 steps, before the rate has risen" in train(*words, "--warmup", 4).err
    assert "has risen" not in train(*words, "--warmup", 3).err


def test_weights_of_the_best_dev_epoch_are_kept(mel: Path, tmp_path: Path) -> None:
    train(mel, *NET, "--epochs", 12, "--lr", 0.01, "--split", "speaker:50/25/25", "-o", tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "seed-0" / "metrics.jsonl").read_text().splitlines()]
    held = modelfile.read(tmp_path / "seed-0" / "model.safetensors")
    assert held.scores["dev_uar"] == max(line["dev_uar"] for line in lines)
    assert len({line["dev_uar"] for line in lines}) > 1


def test_patience_stops_training_when_dev_does_not_improve(mel: Path, tmp_path: Path) -> None:
    still = ("-m", "lstm", "--set", "width=8", "--set", "layers=1", "--set", "dense=8", "--epochs", 6, "--lr", 0)
    train(mel, *still, "--patience", 2, "--optimizer", "sgd", "--split", "speaker:50/25/25", "-o", tmp_path)
    assert len((tmp_path / "seed-0" / "metrics.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("words", [("--patience", 2), ("--keep", "best"), ("--metric", "loss")])
def test_options_that_choose_epochs_by_dev_are_refused_without_dev(mel: Path, tmp_path: Path, words: tuple) -> None:
    for dry in ((), ("--dry-run",)):
        run = (*TINY, *words, "-o", tmp_path / "run", *dry)
        line = train(mel, *run, "--split", "random-80-20", code=2).err.splitlines()[-1]
        assert "no dev to choose epochs by under random-80-20: give a split with dev, such as --split sp" in line
        assert words[0] in line
    assert not (tmp_path / "run").exists()
    train(mel, *TINY, *words, "--split", "speaker:50/25/25", "--dry-run")
    line = train(mel, *TINY, *words, "--gap", "--split", "random-80-20", "--dry-run", code=2).err.splitlines()[-1]
    assert "no dev to choose epochs by under random-80-20, speaker:80/20" in line


def test_side_of_a_gap_without_dev_keeps_the_last_epoch_with_a_warning(mel: Path) -> None:
    words = ("--recipe", "cnn-a", "--gap", "--split", "speaker:60/20/20", "--patience", 2, "--dry-run")
    said = train(mel, *words).err
    assert "without a dev to choose by, as under random-80-20, the last epoch is kept all the same" in said


@pytest.mark.parametrize(
    "asked",
    [{"folds": 3}, {"split": "speaker:60/20/20"}, {"train_on": ["one"]}, {"loso": True}],
    ids=lambda asked: next(iter(asked)),
)
def test_dev_and_test_always_include_labelled_speakers(asked: dict) -> None:
    who = np.repeat(np.arange(8), 3)
    labelled = np.isin(who, [0, 1, 5, 7])
    emotions = [word if known else None for known, word in zip(labelled, ["sad", "angry", "happy"] * 8, strict=True)]
    columns = {"clip": [f"{clip}" for clip in range(24)], "speaker": [f"x:{number}" for number in who],
               "emotion": emotions, "corpus": ["one" if number < 5 else "two" for number in who]}  # fmt: skip
    for seed in range(20):
        options = HeldOutOptions(**asked, seed=seed)
        held = manifest.from_columns(columns)
        (way,) = heldout.ways(held, options, None)
        for _, split in heldout.fold_splits(heldout.divided(held, way, options), way, options):
            assert all((labelled & (split == place)).any() for place in (TRAIN, DEV, TEST))


def test_choosing_epochs_by_an_unlabelled_dev_is_refused(mel: Path, tmp_path: Path) -> None:
    first = min(column(mel, "speaker"))
    own = [("dev" if who == first else "test" if who == max(column(mel, "speaker")) else "train")
           for who in column(mel, "speaker")]  # fmt: skip
    emotions = [None if part == "dev" else word for part, word in zip(own, column(mel, "emotion"), strict=True)]
    bare = changed(mel, tmp_path / "bare.parquet", split=own, emotion=emotions)
    assert "no dev to choose epochs by" in train(bare, *TINY, "--patience", 2, "-o", tmp_path / "run", code=2).line


def test_recipe_without_dev_keeps_the_last_epoch_and_reports_it_if_verbose(clips: Path) -> None:
    run = ("--recipe", "mamba-a", "--patience", 0, "--dry-run")  # whose protocol has no dev
    assert "dev" not in train(clips, *run).err
    assert "without a dev to choose epochs by keeps a network's last epoch" in train(clips, *run, "-v").err


def test_report_line_states_how_many_members_a_mean_covers() -> None:
    scores = [{"train_uar": 0.9, "dev_uar": 0.5, "test_uar": 0.5, "test_uar_own": 0.7},
              {"train_uar": 0.7, "test_uar": 0.3}]  # fmt: skip
    assert (
        run_report.line(scores, Emotions.metrics)
        == "UAR train 80.0, dev 50.0 in 1 of 2, test 40.0 (-40.0 from train to test)"
    )
    own = "; among its own emotions train 80.0, dev 50.0 in 1 of 2, test 50.0"
    assert run_report._among_own(scores, Emotions.metrics[0]) == own
    assert not run_report._among_own(scores[1:], Emotions.metrics[0])


def test_temperature_corrects_overconfident_logits() -> None:
    sure = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    truth = torch.multinomial(sure.softmax(dim=1), 1, generator=torch.Generator().manual_seed(1))[:, 0].numpy()
    assert emotion_aim.calibrated(sure, truth) == pytest.approx(1, abs=0.1)
    assert emotion_aim.calibrated(4 * sure, truth) == pytest.approx(4, abs=0.4)
    wild = 200 * sure  # as a linear discriminant's that has hardly more clips than columns
    assert emotion_aim.calibrated(wild, truth) == pytest.approx(200, rel=0.1)


def test_few_correct_clips_do_not_lower_the_temperature_far_below_one() -> None:
    truth = np.arange(9) % 3
    right = torch.nn.functional.one_hot(torch.from_numpy(truth), 3).float()
    assert 0.6 < emotion_aim.calibrated(2 * right, truth) <= 1
    assert emotion_aim.calibrated(2 * right.repeat(100, 1), np.tile(truth, 100)) < 0.4


def test_listener_vote_shares_are_mixed_into_the_targets() -> None:
    shares = {"soft_happy": [0.75, None], "soft_angry": [0.25, None]}
    held = manifest.from_columns({"clip": ["a", "b"], "path": ["a", "b"], "emotion": ["angry", "happy"], **shares})
    made = emotion_aim._targets(held, np.array([1, 0]), ["happy", "angry"], 0.4)
    np.testing.assert_allclose(made, [[0.3, 0.7], [1, 0]], atol=1e-6)


@pytest.mark.parametrize(
    "words", [("-m", "lda"), ("-m", "lda", "--select", 9, "--reduce", "pca:4"), ("-m", "msf-cnn", "--epochs", 1)]
)
def test_model_file_and_shards_reproduce_the_predictions(
    statistics: Path, tmp_path: Path, words: tuple[object, ...]
) -> None:
    train(statistics, *words, "--split", "speaker:50/25/25", "-o", tmp_path)
    held = modelfile.read(tmp_path / "seed-0" / "model.safetensors")
    predicted = manifest_io.read(str(tmp_path / "predictions.parquet"))
    store = batches.load(predicted, list(held.features), "cpu")
    rows, lengths = store.take(np.arange(len(store)))
    module = models.load(held.architecture)
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in held.settings.items()}
    model = module.Model(module.Settings(**settings), held.columns, len(held.labels)).eval()
    model.load_state_dict(
        {name: torch.from_numpy(value.copy()) for name, value in held.tensors.items() if name not in row_scaling.NAMES}
    )
    scaled = row_scaling.kept(held, store.device).apply(rows, lengths)
    with torch.inference_mode():
        answer = (model(scaled, lengths) / held.temperature).softmax(dim=1).numpy()
    for index, label in enumerate(held.labels):
        np.testing.assert_allclose(answer[:, index], manifest.column(predicted, f"p_{label}"), atol=1e-5)


COMPILES = pytest.mark.skipif(not any(map(shutil.which, designing.COMPILERS)), reason="there is no compiler")


@COMPILES
@pytest.mark.parametrize("device", [pytest.param("cpu", marks=pytest.mark.slow),
                                    pytest.param("cuda", marks=pytest.mark.gpu)])  # fmt: skip
def test_compiled_network_learns_the_same_as_an_uncompiled_one(
    mel: Path, tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, compiler = [], torch.compile
    monkeypatch.setattr(torch, "compile", lambda network: seen.append(network) or compiler(network))
    for name, words in {"plain": (), "compiled": ("--compile",)}.items():
        train(mel, *TINY, "--device", device, *words, "-o", tmp_path / name)
    plain, compiled = (
        [json.loads(line) for line in (tmp_path / name / "seed-0" / "metrics.jsonl").read_text().splitlines()]
        for name in ("plain", "compiled")
    )
    assert [each["loss"] for each in compiled] == pytest.approx([each["loss"] for each in plain], rel=0.02)
    assert len(seen) == 1
    _assert_heard_again(mel, tmp_path / "compiled", "cpu")


@pytest.mark.gpu
def test_gpu_trained_model_predicts_the_same_on_gpu_and_cpu(mel: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "--device", "cuda", "-o", tmp_path)
    for device in ("cuda", "cpu"):
        _assert_heard_again(mel, tmp_path, device)


def _assert_heard_again(clips: Path, run: Path, device: str) -> None:
    """That predict answers from the audio, on a device, what training answered of who was held out."""
    done = sertool("predict", "-m", run, clips, "--device", device, "-f", "jsonl")
    assert done.code == 0, done.err
    heard = {row["clip"]: row for row in map(json.loads, done.out.splitlines())}
    held = manifest_io.read(str(run / "predictions.parquet")).to_pylist()
    assert held
    for row in held:
        for word in ("p_neutral", "p_happy", "p_angry"):
            assert heard[row["clip"]][word] == pytest.approx(row[word], abs=5e-3)


def test_every_train_option_maps_to_a_settings_field() -> None:
    asked = {option.name for option in door.command.params if option.expose_value}
    asked -= {"manifests", "show_list", "layers", "tune"}  # these two being settings of a model
    taken = {
        held.name for kind in (Inputs, DesignOptions, HeldOutOptions, RunOptions, Settings) for held in fields(kind)
    }
    assert asked == taken - {"sources", "training"}


def test_model_settings_are_parsed_from_text() -> None:
    made = designing.changed("cnn2d", cnn2d.Settings(), ["channels=4, 8", "activation=silu", "dropout=0"])
    assert (made.channels, made.activation, made.dropout) == ((4, 8), "silu", 0.0)
    assert designing.changed("svm", svm.Settings(gamma=2.0), ["gamma=none"]).gamma is None
    assert designing.changed("svm", svm.Settings(), ["gamma=1"]).gamma == 1.0
    assert designing.changed("cnn1d", cnn1d.Settings(), ["dense=64"]).dense == (64,)
    for word in (
        "channels=1.5",
        "activation=tanh",
        "dropout=x",
        "channels=",
        "dense",
        "frames=1.5",
        "frames=__import__",
    ):
        with pytest.raises(UsageError):
            designing.changed("cnn2d", cnn2d.Settings(), [word])


def test_classical_models_train_with_column_selection_and_reduction(statistics: Path, tmp_path: Path) -> None:
    for number, words in enumerate((
        ("-m", "lda"), ("-m", "svm"), ("-m", "logistic", "--reduce", "pca:5"), ("-m", "forest", "--select", 8),
        ("-m", "lda", "--select", 12, "--reduce", "lda", "--balance", "weights"),
    )):  # fmt: skip
        train(statistics, *words, "--split", "speaker:50/25/25", "-o", tmp_path / str(number))
        assert table(tmp_path / str(number))["predicted"]
    assert modelfile.read(tmp_path / "2" / "seed-0" / "model.safetensors").columns == 5


@pytest.mark.slow
def test_column_selection_and_reduction_of_a_recipe_can_be_disabled(
    statistics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for recipe, other in {"cnn1d-c": ("--select", 0), "cnn1d-lda-c": ("--reduce", "none")}.items():
        for off in ((), other):
            train(statistics, "--recipe", recipe, "--split", "speaker:50/25/25", "--epochs", 1, *off)
    found = {path.name: json.loads((path / "seed-0/settings.json").read_text()) for path in Path("runs").iterdir()}
    told = {name: (held["select"], held["reduce"]) for name, held in found.items()}
    start = "-epochs=1"
    assert told == {
        f"cnn1d-c{start}-split=speaker_50_25_25": (300, None),
        f"cnn1d-c{start}-select=0-split=speaker_50_25_25": (None, None),
        f"cnn1d-lda-c{start}-split=speaker_50_25_25": (None, "lda"),
        f"cnn1d-lda-c{start}-reduce=none-split=speaker_50_25_25": (None, None),
    }
