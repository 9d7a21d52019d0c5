"""predict answers dimensions: a column of numbers for each, averaged as probabilities are."""

from pathlib import Path

import numpy as np
import pytest
from predicted_rows import rows_of
from running import changed, column, sertool

from sertool.manifests import manifest, manifest_io

NAMES = ("arousal", "valence")
RATINGS = {"neutral": (2.0, 3.0), "happy": (4.0, 5.0), "sad": (1.0, 2.0), "angry": (5.0, 1.0)}
LEARNING = ("-m", "lstm", "--set", "width=8", "--batch", "4", "--epochs", "8", "--lr", ".02")


@pytest.fixture(scope="module")
def rated(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The features of the run's voices, rated on two dimensions."""
    source, folder = run / "features" / "manifest.parquet", tmp_path_factory.mktemp("rated")
    ratings = zip(*(RATINGS[word] for word in column(source, "emotion")), strict=True)
    return changed(source, folder / "rated.parquet", **dict(zip(NAMES, map(list, ratings), strict=True)))


@pytest.fixture(scope="module")
def model(rated: Path) -> Path:
    return trained(rated, "one", "--dimensions", "arousal,valence", "--seeds", 2)


@pytest.fixture(scope="module")
def turned(rated: Path) -> Path:
    """A run that knows the same dimensions in another order."""
    return trained(rated, "turned", "--dimensions", "valence,arousal")


def trained(rated: Path, name: str, *words: object) -> Path:
    done = sertool("train", rated, *LEARNING, *words, "-o", rated.parent / name)
    assert done.code == 0, done.err
    return rated.parent / name


def predict(*words: object) -> list[dict[str, str]]:
    done = sertool("predict", *words)
    assert done.code == 0, done.err
    return rows_of(done.out)


def values(row: dict[str, str]) -> list[float]:
    return [float(row[f"predicted_{name}"]) for name in NAMES]


def clips(run: Path) -> list[Path]:
    return sorted((run / "voices").rglob("*.wav"))[:4]


def test_each_dimension_has_a_column_and_none_is_of_emotions(model: Path, run: Path) -> None:
    rows = predict("-m", model, run / "voices")
    assert [*rows[0]] == ["clip", "path", "start", "end", "issue", "predicted_arousal", "predicted_valence"]
    assert np.ptp([values(row) for row in rows], axis=0).max() > 0.2


def test_models_of_a_run_and_runs_are_averaged_by_name_whatever_their_order(
    model: Path, turned: Path, run: Path
) -> None:
    clip = clips(run)[0]
    own = [values(predict("-m", model / f"seed-{seed}" / "model.safetensors", clip)[0]) for seed in (0, 1)]
    (one,), (other,), (both,) = (predict(*words, clip) for words in (("-m", model), ("-m", turned),
                                                                     ("-m", model, "-m", turned)))  # fmt: skip
    assert values(one) == pytest.approx(np.mean(own, axis=0), abs=1e-5)
    assert values(both) == pytest.approx(np.mean([values(one), values(other)], axis=0), abs=1e-5)


def test_clip_gets_the_same_values_alone_in_a_batch_and_from_shards(model: Path, rated: Path, run: Path) -> None:
    together = {
        row["path"]: values(row) for row in predict("-m", model / "seed-0" / "model.safetensors", run / "voices")
    }
    held = {row["path"]: values(row) for row in predict("-m", model / "seed-0" / "model.safetensors", rated)}
    alone = predict("-m", model / "seed-0" / "model.safetensors", clips(run)[0])[0]
    assert values(alone) == pytest.approx(together[alone["path"]], abs=1e-5)
    assert together.keys() == held.keys()
    assert all(held[path] == pytest.approx(own, abs=1e-3) for path, own in together.items())


def test_labelled_manifest_keeps_ratings_beside_answers_of_models_that_held_the_clip_out(
    rated: Path, tmp_path: Path
) -> None:
    bare = manifest.without(manifest_io.read(str(rated)), "split")
    manifest_io.write(bare, str(tmp_path / "bare.parquet"), "parquet")
    words = (*LEARNING, "--dimensions", "arousal", "--folds", 2, "-f", "csv", "-o", tmp_path / "folds")
    done = sertool("train", tmp_path / "bare.parquet", *words)
    assert done.code == 0, done.err
    held_out = {row["clip"]: float(row["predicted_arousal"]) for row in rows_of(done.out)}
    rows = predict("-m", tmp_path / "folds", tmp_path / "bare.parquet")
    assert {row["split"] for row in rows} == {"test"}
    assert [float(row["arousal"]) for row in rows] == column(rated, "arousal")
    assert {row["clip"]: float(row["predicted_arousal"]) for row in rows} == pytest.approx(held_out, abs=1e-3)


@pytest.mark.parametrize("ratings", [{"arousal": 2, "valence": 3, "dominance": 4}, {}])
def test_earlier_answers_in_a_manifest_are_not_kept_as_if_they_were_new(
    model: Path, make, tmp_path: Path, ratings: dict[str, int]
) -> None:
    make("x/loud.wav")
    earlier = {f"predicted_{name}": 9 for name in ratings or NAMES}
    cells = {"path": "x/loud.wav", "emotion": "sad", "predicted_emotion": "sad", **ratings, **earlier}
    (tmp_path / "q.csv").write_text("\n".join(",".join(map(str, each)) for each in (cells, cells.values())))
    (row,) = predict("-m", model, tmp_path / "q.csv", "--silence", "0")
    kept = {name: value for name, value in row.items() if name.startswith("predicted_")}
    assert kept == {"predicted_emotion": "sad", "predicted_arousal": "", "predicted_valence": ""}


def test_summary_of_windows_is_their_mean_weighted_by_length(model: Path, run: Path) -> None:
    words = ("-m", model, clips(run)[0], "--window", ".5")
    windows, (summary,) = predict(*words), predict(*words, "--summary")
    lengths = [float(row["end"]) - float(row["start"]) for row in windows]
    answered = [bool(row["predicted_arousal"]) for row in windows]
    mean = np.average([values(row) for row in windows if row["predicted_arousal"]], axis=0,
                      weights=[each for each, is_so in zip(lengths, answered, strict=True) if is_so])  # fmt: skip
    assert values(summary) == pytest.approx(mean, abs=1e-3)
    assert {"judged", "silent"} < summary.keys()
    assert not [name for name in summary if name.startswith("share_")]


def test_silent_clip_has_no_value_but_an_issue(model: Path, make) -> None:
    folder = make("x/loud.wav")
    (row,) = predict("-m", model, folder / "x", "--silence", "0")
    assert (row["issue"], row["predicted_arousal"]) == ("silent", "")


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "table"])
def test_values_are_written_in_every_format_of_rows(model: Path, run: Path, tmp_path: Path, kind: str) -> None:
    clip = clips(run)[0]
    wanted = values(predict("-m", model, clip)[0])
    done = sertool("predict", "-m", model, clip, "-f", kind)
    if kind == "table":
        assert done.out.decode().startswith(f"arousal {wanted[0]:7.4g}  valence {wanted[1]:7.4g}  ")
        return
    (tmp_path / "answers").write_bytes(done.out)
    held = manifest_io.read_table(str(tmp_path / "answers")).to_pylist()[0]
    assert [held[f"predicted_{name}"] for name in NAMES] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(
    "words", ["--top 2", "--threshold .5", "--merge --window 1", "-f srt", "-f rttm", "-f textgrid", "-f audacity"]
)
def test_option_that_needs_emotions_is_refused(model: Path, run: Path, words: str) -> None:
    done = sertool("predict", "-m", model, clips(run)[0], *words.split())
    assert done.code == 2
    assert "is for emotions, and the model answers dimensions" in done.line


def test_models_of_emotions_and_of_dimensions_are_not_mixed(model: Path, run: Path) -> None:
    done = sertool("predict", "-m", model, "-m", run / "model", clips(run)[0])
    assert (done.code, "some of the models answer emotions, and others dimensions" in done.line) == (2, True)


def test_models_of_different_dimensions_are_not_mixed(model: Path, rated: Path, run: Path) -> None:
    other = trained(rated, "arousal", "--dimensions", "arousal")
    done = sertool("predict", "-m", model, "-m", other, clips(run)[0])
    assert (done.code, "the models know different dimensions (not all know valence)" in done.line) == (2, True)


@pytest.mark.parametrize(("factor", "scale"), [(11, "51 to 95"), (1.5, "")])
def test_runs_on_scales_without_a_value_in_common_are_not_averaged(
    model: Path, rated: Path, run: Path, factor: float, scale: str
) -> None:
    values = [factor * each + 40 * bool(scale) for each in column(rated, "arousal")]
    other = changed(rated, rated.parent / f"by_{factor}.parquet", arousal=values)
    words = ("-m", "lstm", "--set", "width=8", "--epochs", 1, "--dimensions", "arousal,valence")
    folder = rated.parent / f"by_{factor}"
    assert sertool("train", other, *words, "-o", folder).code == 0
    done = sertool("predict", "-m", model, "-m", folder, clips(run)[0])
    assert done.code == (2 if scale else 0), done.err
    assert not scale or f"learnt arousal on scales without a value in common (1 to 5, {scale}): " in done.line


def test_model_card_names_the_dimensions_and_their_range_in_train(model: Path) -> None:
    card = sertool("predict", "-m", model / "seed-0" / "model.safetensors", "--model-card").out.decode()
    assert "- dimensions: arousal (1 to 5 in train, mean 3, deviation 1.581), valence (1 to 5 in train" in card
    assert "- test: CCC " in card


def test_manifest_of_earlier_answers_is_learnt_anew(model: Path, rated: Path, tmp_path: Path) -> None:
    """As if they were not there: neither emotions nor other dimensions have their columns beside what they answer."""
    answered = model / "seed-0" / "predictions.parquet"
    assert manifest.rated(manifest_io.read(str(answered))) == ["predicted_arousal", "predicted_valence"]
    words = (*LEARNING, "--dimensions", "valence", "--split", "speaker:60/20/20", "-o", tmp_path / "run")
    done = sertool("train", changed(rated, tmp_path / "old.parquet", predicted_arousal=[1.0] * 32), *words)
    assert done.code == 0, done.err
    assert manifest.rated(manifest_io.read(str(tmp_path / "run" / "predictions.parquet"))) == ["predicted_valence"]
