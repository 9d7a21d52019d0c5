"""train learns dimensions: columns of numbers that rate clips, such as arousal, rather than emotions."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from running import changed, column, sertool
from training_run import table, train

from sertool.manifests import manifest, manifest_io
from sertool.modelfiles import modelfile

RATINGS = {"arousal": {"neutral": 2.0, "happy": 4.0, "angry": 5.0}, "valence": {"neutral": 3, "happy": 5, "angry": 1}}
NET = ("-m", "mlp", "--set", "dense=16", "--set", "width=8", "--features", "mfcc", "--batch", "12", "--lr", ".01")
BOTH = ("--dimensions", "arousal,valence")
SPLIT = ("--split", "speaker:50/25/25")
LEARNING = (*NET, *BOTH, *SPLIT, "--epochs", "3")


def ccc(truth: list[float], answer: list[float]) -> float:
    (t, a), (both, _) = (np.array([truth, answer]).mean(axis=1), np.cov(truth, answer, bias=True))
    return 2 * both[1] / (np.var(truth) + np.var(answer) + (t - a) ** 2)


@pytest.fixture(scope="session")
def rated(statistics: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The statistics with planted ratings; no emotion is known."""
    folder, rng = tmp_path_factory.mktemp("rated"), np.random.default_rng(0)
    words = column(statistics, "emotion")
    ratings = {name: [own[word] + rng.normal(0, 0.2) for word in words] for name, own in RATINGS.items()}
    return changed(statistics, folder / "rated.parquet", emotion=[None] * len(words), **ratings)


@pytest.fixture(scope="session")
def run(rated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dimensions") / "run"
    train(rated, *NET, *BOTH, *SPLIT, "--epochs", 30, "-o", folder)
    return folder


def header(folder: Path) -> modelfile.ModelFile:
    return modelfile.read(folder / "model.safetensors")


def test_planted_dimension_is_learnt_from_other_speakers(rated: Path, tmp_path: Path) -> None:
    words = ("-m", "mlp", "--set", "dense=64", "--set", "width=16", "--batch", 12, "--lr", ".01", "--epochs", 30)
    train(rated, *words, "--dimensions", "arousal", "--folds", 4, "-o", tmp_path)
    held_out = table(tmp_path)
    assert len(held_out["clip"]) == 48
    assert ccc(held_out["arousal"], held_out["predicted_arousal"]) > 0.5


def test_figures_of_the_model_file_are_those_of_its_held_out_answers(run: Path) -> None:
    held_out = table(run)
    found = ccc(held_out["arousal"], held_out["predicted_arousal"])
    assert header(run / "seed-0").scores["test_ccc_arousal"] == pytest.approx(found, abs=1e-5)


def test_held_out_answers_stand_beside_the_ratings_without_columns_of_emotions(run: Path) -> None:
    held_out = manifest_io.read(str(run / "predictions.parquet"))
    assert {"arousal", "predicted_arousal", "valence", "predicted_valence", "speaker", "run", "seed", "protocol"} <= {
        *held_out.column_names
    }
    assert not {"predicted", "confidence"} & {*held_out.column_names}
    assert not manifest.family(held_out, "p_")


def test_eval_finds_the_figures_that_train_says(run: Path) -> None:
    (found,) = json.loads(sertool("eval", run, "-f", "json").out)["runs"]
    scores = header(run / "seed-0").scores
    for name in ("ccc", "ccc_arousal", "ccc_valence"):
        assert found["figures"][name]["value"] == pytest.approx(scores[f"test_{name}"], abs=1e-5)


def test_epochs_and_the_model_file_have_the_mean_and_each_dimensions_figure(run: Path) -> None:
    *_, last = map(json.loads, (run / "seed-0" / "metrics.jsonl").read_text().splitlines())
    assert last["dev_ccc"] == pytest.approx((last["dev_ccc_arousal"] + last["dev_ccc_valence"]) / 2)
    assert last["dev_loss"] == pytest.approx(1 - last["dev_ccc"])
    scores = header(run / "seed-0").scores
    assert {f"{part}_ccc" for part in ("train", "dev", "test")} <= scores.keys()


@pytest.mark.draws
def test_kept_epoch_is_the_one_of_the_highest_dev_figure(rated: Path, tmp_path: Path) -> None:
    done = train(rated, *NET, *BOTH, *SPLIT, "--epochs", 8, "--patience", 3, "-o", tmp_path)
    best = max(json.loads(line)["dev_ccc"] for line in (tmp_path / "seed-0" / "metrics.jsonl").read_text().splitlines())
    assert header(tmp_path / "seed-0").scores["dev_ccc"] == pytest.approx(best, abs=1e-6)
    assert "dev CCC 0." in done.err
    assert "CCC train 0." in done.err.splitlines()[-1]
    assert (tmp_path / "seed-0" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_model_file_has_the_scale_of_each_dimension_in_train(run: Path, rated: Path) -> None:
    trains = [part == "train" for part in column(run / "seed-0" / "split.parquet", "split")]
    values = np.array(column(rated, "valence"))[trains]
    scale = header(run / "seed-0").dimensions["valence"]
    assert [scale[name] for name in ("mean", "deviation", "low", "high")] == pytest.approx(
        [values.mean(), values.std(), values.min(), values.max()]
    )


def test_answers_follow_the_scale_of_the_ratings(rated: Path, tmp_path: Path) -> None:
    turned = changed(rated, tmp_path / "turned.parquet", arousal=[100 - 10 * a for a in column(rated, "arousal")])
    train(rated, *LEARNING, "-o", tmp_path / "one")
    train(turned, *LEARNING, "-o", tmp_path / "same")
    grown = changed(rated, tmp_path / "grown.parquet", arousal=[100 + 10 * a for a in column(rated, "arousal")])
    train(grown, *LEARNING, "-o", tmp_path / "other")
    one, other = (np.array(table(tmp_path / name)["predicted_arousal"]) for name in ("one", "other"))
    np.testing.assert_allclose(other, 100 + 10 * one, rtol=1e-4)
    assert not np.allclose(one, table(tmp_path / "same")["predicted_arousal"])


def test_clips_that_lack_a_rating_learn_the_others_and_those_without_any_are_set_aside(
    rated: Path, tmp_path: Path
) -> None:
    arousal, valence = column(rated, "arousal"), column(rated, "valence")
    arousal[:3], valence[1:2] = [None] * 3, [None]
    some = changed(rated, tmp_path / "some.parquet", arousal=arousal, valence=valence)
    done = train(some, *LEARNING, "-o", tmp_path / "run")
    assert "1 of 48 clips set aside, without arousal, valence" in done.err
    parts = manifest_io.read(str(tmp_path / "run" / "seed-0" / "split.parquet"))
    assert len(parts) == 47
    assert not manifest.lacking(parts, "split").any()


def test_clips_without_an_emotion_are_divided_and_learnt_like_others(rated: Path, tmp_path: Path) -> None:
    emotions = ["angry" if k % 2 else None for k in range(48)]
    mixed = changed(rated, tmp_path / "mixed.parquet", emotion=emotions)
    train(mixed, *LEARNING, "-o", tmp_path / "run")
    assert header(tmp_path / "run" / "seed-0").trained["clips"] == 24
    folds = train(mixed, *NET, *BOTH, "--folds", 4, "--epochs", 1, "-o", tmp_path / "folds")
    assert "48 held-out rows" in folds.err


@pytest.mark.parametrize(("dev", "code"), [([3.0], 2), ([3.0, 4.0], 0)])
def test_dev_whose_ratings_are_all_equal_is_none_to_choose_epochs_by(
    rated: Path, tmp_path: Path, dev: list[float], code: int
) -> None:
    who = column(rated, "speaker")
    parts = dict.fromkeys(who, "train") | {who[0]: "dev", who[-1]: "test"}
    arousal = [dev[k % len(dev)] if each == who[0] else own
               for k, (each, own) in enumerate(zip(who, column(rated, "arousal"), strict=True))]  # fmt: skip
    held = changed(rated, tmp_path / "held.parquet", split=[parts[each] for each in who], arousal=arousal)
    words = (*NET, "--dimensions", "arousal", "--epochs", 1, "--patience", 2, "-o", tmp_path / "run")
    assert ("no dev to choose epochs by" in train(held, *words, code=code).err) == bool(code)


def test_changed_ratings_make_a_different_run(rated: Path, tmp_path: Path) -> None:
    train(rated, *LEARNING, "-o", tmp_path / "run")
    again = train(rated, *LEARNING, "-o", tmp_path / "run")
    assert "epoch" not in again.err
    other = changed(rated, tmp_path / "other.parquet", valence=[v + 1 for v in column(rated, "valence")])
    refused = train(other, *LEARNING, "-o", tmp_path / "run", code=2)
    assert "was trained with other ratings" in refused.line


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nothing", "no column nothing in the manifest; of numbers it has arousal, valence, flat"),
        ("word", "column word holds something else than numbers"),
        ("unknown", "column unknown holds no number"),
        ("flat", "flat is 3 in all clips of train"),
    ],
)
def test_column_that_tells_nothing_is_refused_by_name(rated: Path, tmp_path: Path, name: str, why: str) -> None:
    odd = {"flat": [3.0] * 48, "word": ["high"] * 48, "unknown": [None] * 48}
    held = changed(rated, tmp_path / "odd.parquet", **odd)
    done = train(held, *NET, "--dimensions", f"arousal,{name}", "-o", tmp_path / "run", code=1 if name == "flat" else 2)
    assert why in done.line


@pytest.mark.parametrize(
    "words",
    ["--smoothing .1", "--balance sampling", "--balance corpus-emotion", "--metric uar", "--metric wa", "--soft .5",
     "--absent-emotions count", "--teacher base", "--adapt speaker", "--select 5", "--reduce lda"],
)  # fmt: skip
def test_option_that_is_about_emotions_is_refused(rated: Path, tmp_path: Path, words: str) -> None:
    done = train(rated, *NET, *BOTH, *words.split(), "-o", tmp_path, code=2)
    option, value = words.split()
    assert done.line.startswith(f"sertool: {option} ")
    assert done.line.endswith(f"{value.replace('.', '0.')} is not for dimensions: leave it out")


def test_ccc_is_no_figure_of_emotions(statistics: Path, tmp_path: Path) -> None:
    done = train(statistics, *NET, "--metric", "ccc", "-o", tmp_path, code=2)
    assert "--metric ccc is not for emotions" in done.line


@pytest.mark.parametrize("model", ["ridge", "svr"])
def test_classical_regressor_learns_dimensions_of_other_speakers(rated: Path, tmp_path: Path, model: str) -> None:
    holed = [None if k % 5 == 0 else value for k, value in enumerate(column(rated, "valence"))]
    clips = changed(rated, tmp_path / "holed.parquet", valence=holed)
    done = train(clips, "-m", model, *BOTH, "--folds", 4, "--final", "-o", tmp_path / "run")
    assert "expected: about CCC " in done.err
    held_out = table(tmp_path / "run")
    assert ccc(held_out["arousal"], held_out["predicted_arousal"]) > 0.5
    scale = header(tmp_path / "run" / "final").dimensions["valence"]
    assert scale["mean"] == pytest.approx(np.mean([value for value in holed if value is not None]))
    asked = sertool("predict", "-m", tmp_path / "run", rated, "-f", "jsonl")
    again = {row["clip"]: row["predicted_valence"] for row in map(json.loads, asked.out.splitlines())}
    assert again == pytest.approx(dict(zip(held_out["clip"], held_out["predicted_valence"], strict=True)), abs=1e-4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-m", "svm", *BOTH), "svm learns emotions: take ridge, svr or a network"),
        (("-m", "ridge"), "ridge learns dimensions: name some with --dimensions"),
        (("-m", "svr", "--epochs", 2, *BOTH), "--epochs is for networks: svr is fitted at once"),
    ],
)
def test_classical_model_refuses_what_it_cannot_learn(
    rated: Path, tmp_path: Path, words: tuple[object, ...], said: str
) -> None:
    assert said in train(rated, *words, "-o", tmp_path, code=2).line


@pytest.mark.parametrize(
    ("recipe", "off"),
    [("whisper-mlp", {"smoothing": 0.0}), ("clstm-b", {"metric": "ccc", "absent_emotions": "mask"})],
)
def test_what_a_recipe_says_of_emotions_is_quietly_off(
    rated: Path, tmp_path: Path, recipe: str, off: dict[str, object]
) -> None:
    words = ("--recipe", recipe, "--features", "mfcc", *BOTH, *SPLIT, "--epochs", 1, "-o", tmp_path)
    train(rated, *words)
    training = header(tmp_path / "seed-0").trained["training"]
    assert {name: training[name] for name in off} == off


def test_recipes_selection_by_emotions_is_quietly_off(rated: Path, tmp_path: Path) -> None:
    words = ("--features", "mfcc", *BOTH, *SPLIT, "--epochs", 1)
    for recipe in ("cnn1d-c", "cnn1d-lda-c"):
        train(rated, "--recipe", recipe, *words, "-o", tmp_path / recipe)
        assert header(tmp_path / recipe / "seed-0").columns == 40


def test_loss_schedule_corpus_balance_and_other_options_go_with_dimensions(rated: Path, tmp_path: Path) -> None:
    halves = changed(rated, tmp_path / "two.parquet", corpus=["one" if k < 24 else "two" for k in range(48)])
    words = ("--balance", "corpus", "--mixup", ".3", "--ema", ".9", "--metric", "loss", "--noise", ".1", "--reduce",
             "pca:6", "--schedule", "plateau", "--set", "networks=2", "--seeds", "2")  # fmt: skip
    done = train(halves, *NET, *BOTH, *SPLIT, "--epochs", 2, *words, "-o", tmp_path / "run")
    assert "  one: CCC " in done.err
    assert "mean over 2 seeds" in done.err


@pytest.mark.slow
def test_folds_gap_and_final_give_their_figures_as_concordance(rated: Path, tmp_path: Path) -> None:
    words = ("--folds", 3, "--seeds", 2, "--gap", "--final", "--epochs", 4)
    done = train(rated, *NET, *BOTH, *words, "-o", tmp_path)
    assert "optimism gap " in done.err
    assert " of CCC, all trainings pooled: " in done.err
    expected = header(tmp_path / "disjoint" / "final").scores["expected"]
    held_out = pq.read_table(tmp_path / "disjoint" / "predictions.parquet")
    each = [
        ccc(own[name].to_pylist(), own[f"predicted_{name}"].to_pylist())
        for own in (held_out.filter(pc.field("seed") == seed) for seed in (0, 1))
        for name in ("arousal", "valence")
    ]
    assert expected["ccc"] == pytest.approx(np.mean(each), abs=1e-5)
    scored = sertool("eval", tmp_path / "disjoint" / "predictions.parquet", "-f", "json").out
    figure = json.loads(scored)["runs"][0]["figures"]["ccc"]
    assert [expected["ccc"], *expected["interval"]] == pytest.approx([figure[n] for n in ("value", "low", "high")])
    assert f"expected: about CCC {expected['ccc']:.3f} [" in done.err


@pytest.mark.slow
def test_killed_training_of_dimensions_resumes_to_the_same_bytes(rated: Path, tmp_path: Path) -> None:
    words = (*NET, *BOTH, *SPLIT, "--mixup", ".3", "--schedule", "plateau", "--epochs", "300", "-j", "1", "-o", "run")
    command = [sys.executable, "-m", "sertool", "train", str(rated), *words]
    for name in ("calm", "torn"):
        (tmp_path / name).mkdir()
    subprocess.run(command, cwd=tmp_path / "calm", check=True, capture_output=True)
    process = subprocess.Popen(command, cwd=tmp_path / "torn", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(tmp_path.glob("torn/run/**/checkpoint.safetensors")):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    subprocess.run(command, cwd=tmp_path / "torn", check=True, capture_output=True)
    one, other = (header(tmp_path / name / "run" / "seed-0").tensors for name in ("calm", "torn"))
    assert all(np.array_equal(other[name], values) for name, values in one.items())


def test_emotions_are_not_learnt_from_a_model_of_dimensions(run: Path, statistics: Path, tmp_path: Path) -> None:
    done = sertool("train", statistics, *NET, "--teacher", run, "-o", tmp_path)
    assert done.code == 1
    assert "it answers dimensions" in done.line
