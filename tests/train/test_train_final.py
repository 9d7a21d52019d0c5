"""train --final: one model of all clips, as the trainings that held clips out found best."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from running import ages, changed, column, sertool, snapshot
from training_run import NET, train

from sertool.divisions.heldout import HeldOutOptions
from sertool.manifests import manifest, manifest_io
from sertool.modelfiles import modelfile
from sertool.modelfiles.named_models import models_in
from sertool.train import choosing, emotion_aim, final_model, training
from sertool.train.design import Member
from sertool.train.training_settings import Settings

EPOCHS, RATE = 5, 1e-2
LONGER = (*NET, "--lr", RATE, "--epochs", EPOCHS)
FOLDS = ("--folds", 3)


@pytest.fixture(scope="module")
def run(mel: Path) -> Path:
    """A run of folds with a final model; read only."""
    train(mel, *LONGER, *FOLDS, "--final", "-o", mel.parent / "final-run")
    return mel.parent / "final-run"


def epochs(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def model(folder: Path) -> modelfile.ModelFile:
    return modelfile.read(folder / "model.safetensors")


def same_weights(one: Path, other: Path) -> bool:
    first, second = model(one).tensors, model(other).tensors
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.draws
def test_final_model_is_added_to_a_finished_run_without_other_changes(mel: Path, run: Path, tmp_path: Path) -> None:
    words = (mel, *LONGER, *FOLDS, "-f", "csv", "-o", tmp_path / "run")
    held_out = train(*words).out
    before = ages(tmp_path / "run")
    assert train(*words, "--final").out == held_out
    after = ages(tmp_path / "run")
    assert {name for name in after if before.get(name) != after[name]} - {".lock"} == {
        "final", *(f"final/{name}" for name in (
            "curves.png", "metrics.jsonl", "model.safetensors", "settings.json", "split.parquet"))}  # fmt: skip
    assert (tmp_path / "run" / "final" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert same_weights(tmp_path / "run" / "final", run / "final")


def test_rerun_leaves_a_finished_final_model_unchanged_and_names_it(mel: Path, run: Path) -> None:
    before = ages(run)
    done = train(mel, *LONGER, *FOLDS, "--final", "-o", run)
    assert f"{run}/final/model.safetensors: trained on all 48 clips" in done.err
    train(mel, *LONGER, *FOLDS, "-o", run)
    assert ages(run) == before
    assert "is finished" in train(mel, *LONGER, *FOLDS, "--final", "--dry-run", "-o", run).err


def test_killed_final_training_resumes_to_the_same_weights(
    mel: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = len(epochs(run / "final")) - 1
    assert last > 0
    one_epoch = training._epoch

    def killed(state, loop, seed, epoch, watch):
        if loop.course and epoch == last:
            raise KeyboardInterrupt
        return one_epoch(state, loop, seed, epoch, watch)

    with monkeypatch.context() as patched:
        patched.setattr(training, "_epoch", killed)
        train(mel, *LONGER, *FOLDS, "--final", "-o", tmp_path, code=130)
    assert (tmp_path / "final" / "checkpoint.safetensors").exists()
    assert (tmp_path / "predictions.parquet").exists()  # the figures do not wait for it
    before = snapshot(tmp_path / "fold-0")
    train(mel, *LONGER, *FOLDS, "--final", "-o", tmp_path)
    assert same_weights(tmp_path / "final", run / "final")
    assert not (tmp_path / "final" / "checkpoint.safetensors").exists()
    assert snapshot(tmp_path / "fold-0") == before


def test_final_model_learns_from_all_clips_and_holds_none_out(mel: Path, run: Path, tmp_path: Path) -> None:
    assert column(run / "final" / "split.parquet", "split") == ["train"] * 48
    assert model(run / "final").trained["speakers"] == 8
    answers = tmp_path / "answers.csv"
    assert sertool("predict", "-m", run / "final", mel, "-o", answers).code == 0
    assert column(answers, "split") == ["train"] * 48
    refused = sertool("eval", answers)
    assert refused.code == 1
    assert "--split train" in refused.line


def test_final_model_also_learns_from_copies_of_held_out_clips() -> None:
    table = manifest.from_columns({
        "clip": ["a", "b", "b#1", "c", "d"], "parent": [None, None, "b", None, None],
        "emotion": ["sad", "sad", "sad", "happy", "sad"],
    })  # fmt: skip
    split = np.array([0, 2, -1, 0, -1], np.int8)
    final = final_model.member(table, [Member("seed-0", 0, None, split)], HeldOutOptions())
    assert final.split.tolist() == [0, 0, 0, 0, -1]


def test_final_model_is_used_only_when_named_explicitly(run: Path) -> None:
    members = [run / f"fold-{fold}" / "seed-0" / "model.safetensors" for fold in range(3)]
    assert models_in(run, None) == members
    assert models_in(run / "final", None) == [run / "final" / "model.safetensors"]


def test_run_folder_named_final_is_an_ordinary_run(mel: Path, tmp_path: Path) -> None:
    train(mel, *NET, "--epochs", 1, "--final", "-o", tmp_path / "final")
    assert models_in(tmp_path / "final", None) == [tmp_path / "final" / "seed-0" / "model.safetensors"]


def test_lone_final_model_is_not_taken_to_hold_out_a_published_split(statistics: Path, tmp_path: Path) -> None:
    names = ["1001", "1002", "1003", "1005", "1009", "1004", "1006", "1007"]
    speakers = sorted(set(column(statistics, "speaker")))
    who = [f"cremad:{names[speakers.index(one)]}" for one in column(statistics, "speaker")]
    cremad = changed(statistics, tmp_path / "cremad.parquet", speaker=who, corpus=["cremad"] * len(who))
    train(cremad, "-m", "svm", "--protocol", "cremad-nk", "--final", "-o", tmp_path / "run")
    for name in ("seed-0", "final"):
        shutil.copy(tmp_path / "run" / name / "model.safetensors", tmp_path / f"{name}.safetensors")
        done = sertool("predict", "-m", tmp_path / f"{name}.safetensors", cremad, "-o", tmp_path / "answers.csv")
        assert done.code == 0
        assert ("test" in column(tmp_path / "answers.csv", "split")) == (name == "seed-0")


def test_final_model_uses_the_median_best_epoch_and_the_same_schedule(run: Path) -> None:
    chosen = [choosing.best_epoch(epochs(run / f"fold-{fold}" / "seed-0"), Settings()) + 1 for fold in range(3)]
    own = epochs(run / "final")
    assert len(own) == sorted(chosen)[1]
    steps = 48 // 8
    ends = [(epoch + (steps - 1) / steps) / EPOCHS for epoch in range(len(own))]
    assert [figures["lr"] for figures in own] == pytest.approx([RATE * (1 + math.cos(math.pi * x)) / 2 for x in ends])


def test_final_model_repeats_the_plateau_learning_rates_of_the_run(mel: Path, tmp_path: Path) -> None:
    words = ("--schedule", "plateau", "--plateau-patience", 0, "--keep", "last")
    train(mel, *LONGER, *words, "--split", "speaker:50/25/25", "--final", "-o", tmp_path)
    rates = [[figures["lr"] for figures in epochs(tmp_path / name)] for name in ("seed-0", "final")]
    assert rates[0] == rates[1]
    assert rates[0][-1] < RATE


@pytest.mark.parametrize(
    "words", [("-m", "svm"), ("-m", "lda", "--adapt", "speaker"), ("-m", "logistic", "--select", 5, "--reduce", "lda")]
)
def test_classical_final_model_is_fitted_to_all_clips(statistics: Path, tmp_path: Path, words: tuple) -> None:
    train(statistics, *words, *FOLDS, "--final", "-o", tmp_path)
    assert model(tmp_path / "final").trained["clips"] == 48
    assert not epochs(tmp_path / "final")


def test_final_temperature_is_fitted_to_all_held_out_answers_together(statistics: Path, tmp_path: Path) -> None:
    train(statistics, "-m", "svm", *FOLDS, "--final", "-o", tmp_path)
    own = model(tmp_path / "final")
    logits, truth = [], []
    for fold in range(3):
        folder = tmp_path / f"fold-{fold}" / "seed-0"
        shares = np.stack([column(folder / "predictions.parquet", f"p_{word}") for word in own.labels], axis=1)
        logits.append(np.log(shares) * model(folder).temperature)
        truth += [own.labels.index(word) for word in column(folder / "predictions.parquet", "emotion")]
    together, rows = torch.from_numpy(np.concatenate(logits)), torch.arange(48)

    def loss(temperature: float) -> float:
        chosen = (together / temperature).log_softmax(dim=1)[rows, torch.tensor(truth)]
        return float(-chosen.mean()) + 3 * math.log(temperature) ** 2 / 48

    assert loss(own.temperature) <= min(loss(own.temperature * 1.03), loss(own.temperature / 1.03))
    assert own.temperature == own.adapted_temperature


def test_unadapted_final_answers_use_the_median_temperature_of_the_folds(statistics: Path, tmp_path: Path) -> None:
    train(statistics, "-m", "lda", "--adapt", "speaker", *FOLDS, "--final", "-o", tmp_path)
    others = [model(tmp_path / f"fold-{fold}" / "seed-0").temperature for fold in range(3)]
    assert model(tmp_path / "final").temperature == pytest.approx(sorted(others)[1], abs=1e-4)


def test_fold_lacking_an_emotion_is_calibrated_on_its_other_clips() -> None:
    rows = manifest.from_columns({
        "clip": ["a", "b", "c"], "emotion": ["sad", "angry", None], "p_happy": [0.1, 0.5, 0.5],
        "p_sad": [0.9, 0.5, 0.5],
    })  # fmt: skip
    logits, truth = emotion_aim.logits_of(rows, ["happy", "sad", "angry"], 2.0)
    assert truth.tolist() == [1]
    assert (logits / 2).softmax(dim=1)[0].tolist() == pytest.approx([0.1, 0.9, 0.0])


def test_final_model_card_states_the_expected_score_from_held_out_clips(run: Path) -> None:
    (figures,) = json.loads(sertool("eval", run, "-f", "json").out)["runs"]
    expected = model(run / "final").scores["expected"]
    uar = figures["figures"]["uar"]
    shown = [100 * uar[name] for name in ("value", "low", "high")]
    assert [expected["uar"], *expected["interval"]] == pytest.approx(shown)
    card = sertool("predict", "-m", run / "final", "--model-card").out.decode()
    assert "its own score is unknown" in card
    assert f"expected: about UAR {expected['uar']:.1f} % [" in card
    assert "as on 48 clips of 8 speakers held out, 3 folds\n" in card


def test_expected_score_leaves_out_clips_whose_emotion_their_training_lacked(statistics: Path, tmp_path: Path) -> None:
    speakers = sorted({*column(statistics, "speaker")})
    fold = [speakers.index(who) // 3 for who in column(statistics, "speaker")]
    words = zip(column(statistics, "emotion"), fold, strict=True)
    fear = ["fear" if word == "angry" and place == 0 else word for word, place in words]
    folds = changed(statistics, tmp_path / "folds.parquet", fold=fold, emotion=fear)
    done = train(folds, "-m", "lda", "--final", "-o", tmp_path / "run")
    expected, trained = model(tmp_path / "run" / "final").scores["expected"], len(fear) - fear.count("fear")
    assert "fear" in model(tmp_path / "run" / "final").labels
    assert (expected["clips"], expected["unlearnt"]) == (trained, ["fear"])
    (figures,) = json.loads(sertool("eval", tmp_path / "run", "--where", "emotion!=fear", "-f", "json").out)["runs"]
    assert expected["uar"] == pytest.approx(100 * figures["figures"]["uar"]["value"])
    assert f"as on {trained} clips of 8 speakers held out, without fear where its training lacked that, " in done.err


def test_leak_is_named_beside_the_expected_score_of_the_final_model(mel: Path, tmp_path: Path) -> None:
    done = train(mel, *NET, "--epochs", 1, "--split", "random-80-20", "--final", "-o", tmp_path)
    assert done.err.splitlines()[-1].endswith("held out, LEAKY: random-80-20")
    assert "- LEAKY: random-80-20 puts" in sertool("predict", "-m", tmp_path / "final", "--model-card").out.decode()


def test_final_model_of_a_gap_belongs_to_the_disjoint_side(statistics: Path, tmp_path: Path) -> None:
    train(statistics, "-m", "svm", "--gap", "--final", "-o", tmp_path)
    assert not (tmp_path / "leaky" / "final").exists()
    assert model(tmp_path / "disjoint" / "final").scores["expected"]["protocol"] == "speaker:70/15/15"


def test_different_seed_count_replaces_only_the_final_model_with_overwrite(statistics: Path, tmp_path: Path) -> None:
    words = (statistics, "-m", "forest", "--set", "trees=5", "--final", "-o", tmp_path)
    train(*words)
    refused = train(*words, "--seeds", 2, code=2)
    assert refused.line.endswith("final was trained with seeds 1, not 2: choose another -o, or replace it with "
                                 "--overwrite")  # fmt: skip
    before = snapshot(tmp_path / "seed-0")
    train(*words, "--seeds", 2, "--overwrite")
    assert snapshot(tmp_path / "seed-0") == before
    assert model(tmp_path / "final").scores["expected"]["trainings"] == 2


def test_predictions_of_other_seeds_are_reported_beside_a_final_model(statistics: Path, tmp_path: Path) -> None:
    words = (statistics, "-m", "forest", "--set", "trees=5", "-o", tmp_path)
    train(*words, "--seeds", 2, "--final", *FOLDS)
    assert "holds those of other seeds as well" in train(*words, *FOLDS).err


def test_overwriting_a_run_removes_its_final_model(statistics: Path, tmp_path: Path) -> None:
    train(statistics, "-m", "svm", "--final", "-o", tmp_path)
    train(statistics, "-m", "lda", "--overwrite", "-o", tmp_path)
    assert not (tmp_path / "final").exists()


def test_final_model_is_restored_when_its_replacement_fails(mel: Path, tmp_path: Path) -> None:
    short = (mel, *NET, "--epochs", 2, "--final", "-o", tmp_path)
    train(*short)
    before = snapshot(tmp_path)
    train(*short, "--lr", 1e30, "--overwrite", code=1)
    assert snapshot(tmp_path) == before


def test_teacher_lacking_a_held_out_emotion_is_refused_before_training(mel: Path, tmp_path: Path) -> None:
    speakers, emotions = column(mel, "speaker"), column(mel, "emotion")
    held_out = [one == speakers[0] for one in speakers]
    split = ["test" if out else "train" for out in held_out]
    words = ["sad" if out and word == "angry" else word for out, word in zip(held_out, emotions, strict=True)]
    sad = changed(mel, tmp_path / "sad.parquet", split=split, emotion=words)
    clips, shares = column(mel, "clip"), {f"p_{word}": [1 / 3] * 48 for word in ("neutral", "happy", "angry")}
    manifest_io.write(manifest.from_columns({"clip": clips, **shares}), str(tmp_path / "teacher.parquet"), "parquet")
    refused = train(sad, *NET, "--teacher", tmp_path / "teacher.parquet", "--final", "-o", tmp_path / "run", code=1)
    assert "it knows no sad" in refused.err
    assert not (tmp_path / "run" / "seed-0").exists()


def test_final_without_labelled_held_out_clips_is_refused_before_training(statistics: Path, tmp_path: Path) -> None:
    speakers = column(statistics, "speaker")
    held_out = [one == speakers[0] for one in speakers]
    split = ["test" if out else "train" for out in held_out]
    labels = zip(held_out, column(statistics, "emotion"), strict=True)
    bare = changed(
        statistics,
        tmp_path / "bare.parquet",
        split=split,
        emotion=[None if out else word for out, word in labels],
    )
    refused = train(bare, "-m", "svm", "--final", "-o", tmp_path, code=2)
    assert refused.line.startswith("sertool: --final: no clip that is held out has an emotion that train has")
    assert not (tmp_path / "seed-0").exists()
