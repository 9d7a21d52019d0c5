"""eval scores ratings such as arousal in the flow that emotions take."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scored_tables import Columns, dropped, made, refused, report, seeded, table

from sertool.eval import charts, page, svg
from sertool.eval.scores import Figure

RATED = ("arousal", "valence")


def rated(clips: int = 240, speakers: int = 12, skill: float = 0.6, seed: int = 0) -> Columns:
    """Predictions of two ratings, which follow the truth as far as `skill` says."""
    truth = np.random.default_rng(1).normal(4, 1, (len(RATED), clips))
    noise = np.random.default_rng(100 + seed).normal(0, 1 - skill, truth.shape)
    predicted = 4 + skill * (truth - 4) + noise
    return {
        "clip": [f"toy/{k}" for k in range(clips)],
        "speaker": [f"toy:{k % speakers}" for k in range(clips)],
        "sex": [("female", "male")[k % 2] for k in range(clips)],
        **{name: truth[k].tolist() for k, name in enumerate(RATED)},
        **{f"predicted_{name}": predicted[k].tolist() for k, name in enumerate(RATED)},
    }


def ccc(columns: Columns, name: str, rows: Any = slice(None)) -> float:
    truth, predicted = (np.array(columns[column], float)[rows] for column in (name, f"predicted_{name}"))
    covariance = np.cov(truth, predicted, bias=True)[0, 1]
    return float(2 * covariance / (truth.var() + predicted.var() + (truth.mean() - predicted.mean()) ** 2))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return table(tmp_path / "one.csv", rated())


def value(figure: Figure) -> float:
    assert figure.low < figure.value < figure.high
    return figure.value


def test_each_rating_has_its_figures_and_their_mean_ranks_runs(path: str) -> None:
    found, columns = report(path).runs[0], rated()
    each = [ccc(columns, name) for name in RATED]
    assert found.main == ("ccc", "ccc_arousal", "ccc_valence")
    assert value(found.figures["ccc"]) == pytest.approx(np.mean(each), abs=1e-6)
    assert [one.name for one in found.dimensions] == [*RATED]
    for one, expected in zip(found.dimensions, each, strict=True):
        assert value(one.ccc) == pytest.approx(expected, abs=1e-6)
        errors = np.array(columns[one.name]) - columns[f"predicted_{one.name}"]
        assert value(one.rmse) == pytest.approx(np.sqrt((errors**2).mean()), abs=1e-6)
        assert one.ccc.value < value(one.r) < 1
        assert (one.clips, one.speakers) == (240, 12)
    assert (found.classes, found.bootstrap) == ((), "over 12 speakers")


def test_one_rating_alone_has_a_single_ccc(path: str) -> None:
    found = report(path, dimensions=("valence",)).runs[0]
    assert [*found.figures] == ["ccc"]
    assert found.figures["ccc"] == found.dimensions[0].ccc


def test_clips_that_lack_a_rating_or_its_prediction_count_for_the_other_ones(tmp_path: Path) -> None:
    columns = rated()
    columns["valence"][:60] = [None] * 60
    columns["predicted_arousal"][50:90] = [None] * 40
    found = report(table(tmp_path / "a.parquet", columns, "parquet")).runs[0]
    assert [one.clips for one in found.dimensions] == [200, 180]
    assert found.dimensions[1].ccc.value == pytest.approx(ccc(rated(), "valence", slice(60, None)))
    assert found.clips == 230
    assert found.coverage["abstained"] == 10


def test_groups_speakers_and_folds_have_the_ccc_of_their_clips(tmp_path: Path) -> None:
    columns = rated() | {"fold": [k % 3 for k in range(240)]}
    found = report(table(tmp_path / "a.csv", columns), by=("sex",)).runs[0]
    female = found.by["sex"][0]
    assert female.figures["ccc_arousal"].value == pytest.approx(ccc(columns, "arousal", slice(0, None, 2)), abs=1e-6)
    of_fold = [np.mean([ccc(columns, name, slice(fold, None, 3)) for name in RATED]) for fold in range(3)]
    assert [fold["ccc"] for fold in found.folds.values()] == pytest.approx(of_fold, abs=1e-6)
    assert found.figures["ccc_of_folds"].value == pytest.approx(np.mean(of_fold), abs=1e-6)
    values = [figure for _, _, figure in found.each_speaker]
    assert values == sorted(values)
    assert found.worst[0].figures["ccc"].value == pytest.approx(values[0])


def test_figures_of_seeds_are_averaged(tmp_path: Path) -> None:
    parts = [rated(seed=seed) for seed in range(3)]
    found = report(table(tmp_path / "a.csv", seeded(*parts))).runs[0]
    each = [ccc(part, "arousal") for part in parts]
    assert [held["ccc_arousal"] for held in found.seeds.values()] == pytest.approx(each, abs=1e-6)
    assert found.figures["ccc_arousal"].value == pytest.approx(np.mean(each), abs=1e-6)
    assert found.figures["ccc_arousal"].deviation == pytest.approx(np.std(each, ddof=1), abs=1e-6)


def test_runs_are_compared_on_their_common_clips_by_the_difference_of_each_ccc(tmp_path: Path) -> None:
    good, bad = rated(skill=0.8), rated(skill=0.4, seed=1)
    bad["predicted_valence"][:40] = [None] * 40
    paths = [table(tmp_path / f"{name}.csv", columns) for name, columns in (("good", good), ("bad", bad))]
    pair = report(*paths, baseline="bad").comparisons[0]
    expected = ccc(good, "valence", slice(40, None)) - ccc(bad | {"predicted_valence": rated(skill=0.4, seed=1)[
        "predicted_valence"]}, "valence", slice(40, None))  # fmt: skip
    assert pair.figures["ccc_valence"].value == pytest.approx(expected, abs=1e-6)
    assert pair.figures["ccc_valence"].low > 0
    assert pair.figures["ccc"].p < 0.05
    assert (pair.second, pair.mcnemar) == ("good", {})


@pytest.mark.parametrize(("truth", "predicted"), [
    ("EmoAct", "predicted_EmoAct"), ("activation", "pred_activation"), ("Arousal", "arousal_pred"),
    ("true_act", "act_prediction"),
])  # fmt: skip
def test_ratings_are_known_by_the_names_that_others_give_them(tmp_path: Path, truth: str, predicted: str) -> None:
    columns = rated()
    theirs = {truth: columns["arousal"], predicted: columns["predicted_arousal"], "speaker": columns["speaker"]}
    path = table(tmp_path / "a.csv", theirs)
    assert [one.name for one in report(path).runs[0].dimensions] == ["arousal"]
    assert report(path, dimensions=("arousal",)).runs[0].figures == report(path).runs[0].figures


def test_any_column_of_numbers_with_predictions_is_a_rating(tmp_path: Path, say: Any) -> None:
    columns = rated()
    theirs = {"calmness": columns["arousal"], "yhat": columns["predicted_arousal"], "who": columns["speaker"]}
    path = table(tmp_path / "a.csv", theirs)
    words = ("--dimensions", "calmness", "--predicted", "yhat", "--speaker", "who", "--resamples", "100")
    code, out, err = say(path, *words)
    assert (code, err) == (0, "")
    assert re.search(r"^calmness +240 +0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", out, re.MULTILINE)
    named = table(tmp_path / "b.csv", {"calmness": columns["arousal"], "predicted_calmness": columns["valence"]})
    assert [one.name for one in report(named).runs[0].dimensions] == ["calmness"]


def others(path: Path, name: str) -> str:
    """Write somebody's table of one rating, and return its path."""
    columns = rated()
    rows = zip(columns["speaker"], columns["arousal"], columns["predicted_arousal"], strict=True)
    lines = [f"{speaker},{truth},{predicted}" for speaker, truth, predicted in rows]
    path.write_text("\n".join([f"actor,{name},predicted_{name}", *lines]))
    return str(path)


@pytest.mark.parametrize("name", ["intensity", "sentence", "age", "run", "sample_rate", "confidence"])
def test_a_rating_may_be_called_like_a_column_of_ours(tmp_path: Path, name: str) -> None:
    path = others(tmp_path / "a.csv", name)
    for found in (report(path).runs, report(path, dimensions=(name,)).runs):
        assert [(one.name, run.clips) for run in found for one in run.dimensions] == [(name, 240)]
        assert found[0].figures["ccc"].value == pytest.approx(ccc(rated(), "arousal"))


def test_a_rating_called_like_what_divides_rows_is_refused(tmp_path: Path) -> None:
    assert "fold cannot be scored, as it divides the rows: rename" in refused(others(tmp_path / "a.csv", "fold"))


@pytest.mark.parametrize("name", ["label", "truth", "target", "Label", "emotion", "file", "text"])
def test_a_rating_that_is_named_is_not_taken_for_another_column(tmp_path: Path, name: str) -> None:
    found = report(others(tmp_path / "a.csv", name), dimensions=(name,)).runs[0]
    assert (found.dimensions[0].name, found.dimensions[0].speakers) == (name, 12)
    assert found.figures["ccc"].value == pytest.approx(ccc(rated(), "arousal"))


def test_numbers_in_place_of_emotions_are_refused_with_the_option_that_scores_them(tmp_path: Path) -> None:
    path = others(tmp_path / "a.csv", "arousal")
    says = refused(path, truth="arousal", predicted="predicted_arousal")
    assert says.endswith("the labels are numbers: if these are ratings, name what they rate with --dimensions NAME")


def test_emotions_are_scored_where_there_are_both_unless_ratings_are_named(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", made() | dropped(rated(), "clip", "speaker", "sex"))
    assert report(path).runs[0].main == ("uar", "wa")
    assert report(path).runs[0].figures == report(table(tmp_path / "b.csv", made())).runs[0].figures
    assert report(path, dimensions=RATED).runs[0].main[0] == "ccc"


def test_runs_with_different_ratings_are_scored_on_those_that_both_have(tmp_path: Path, say: Any) -> None:
    both = table(tmp_path / "both.csv", rated())
    one = table(tmp_path / "one.csv", dropped(rated(), "predicted_valence"))
    _, _, err = say(both, one, "--resamples", "100")
    assert err == "warning: left out, as not every file predicts it: valence\n"
    assert [found.main for found in report(both, one).runs] == [("ccc",)] * 2
    other = table(tmp_path / "other.csv", dropped(rated(), "predicted_arousal"))
    assert "not all predict the same, so score each by itself" in refused(one, other)
    emotions = table(tmp_path / "emotions.csv", made())
    assert f"{one}: arousal, {emotions}: emotions" in refused(one, emotions)


def test_constant_predictions_score_0_and_constant_truth_has_a_dash_and_a_line(tmp_path: Path, say: Any) -> None:
    columns = rated()
    columns["valence"] = [3.5] * 240
    columns["predicted_arousal"] = [4] * 240
    path = table(tmp_path / "a.csv", columns)
    code, out, _ = say(path, "--resamples", "100")
    assert code == 0
    assert re.search(r"^arousal +240 +0\.000 \[-, -\] +- \[-, -\] +0\.9", out, re.MULTILINE)
    assert re.search(r"^valence +240 +- \[-, -\] +- \[-, -\]", out, re.MULTILINE)
    assert "  arousal has a CCC of 0 and no r: every prediction is 4\n" in out
    assert "  valence has no CCC: every true rating is 3.5\n" in out


@pytest.mark.parametrize("kind", ["table", "json", "csv", "markdown", "latex"])
def test_a_single_clip_has_no_ccc_and_no_traceback(tmp_path: Path, say: Any, kind: str) -> None:
    path = table(tmp_path / "a.csv", rated(1, 1))
    code, out, _ = say(path, "-f", kind, "--resamples", "100")
    assert code == 0
    assert kind == "csv" or "arousal has no CCC: 1 clip with a rating and a prediction" in out


def test_json_and_csv_have_every_figure_of_each_dimension_but_not_of_each_clip(path: str, say: Any) -> None:
    held = json.loads(say(path, "-f", "json", "--resamples", "100")[1])["runs"][0]
    assert [one["name"] for one in held["dimensions"]] == [*RATED]
    assert {*held["dimensions"][0]} == {"name", "clips", "speakers", "ccc", "r", "rmse"}
    rows = list(csv.DictReader(io.StringIO(say(path, "-f", "csv", "--resamples", "100")[1])))
    found = {(row["row"], row["figure"]): float(row["value"]) for row in rows if row["table"] == "dimension"}
    assert found["arousal", "ccc"] == held["dimensions"][0]["ccc"]["value"]
    assert found["valence", "rmse"] == held["dimensions"][1]["rmse"]["value"]


def test_min_ccc_decides_the_exit_code_and_guards_of_emotions_are_refused(path: str, tmp_path: Path, say: Any) -> None:
    assert say(path, "--min-ccc", ".2", "--resamples", "100")[0] == 0
    code, _, err = say(path, "--min-ccc", ".99", "--resamples", "100")
    assert code == 1
    assert re.fullmatch(r"sertool: CCC below --min-ccc 0\.99: one 0\.\d+\n", err)
    assert say(path, "--min-uar", ".2")[::2] == (
        2, "sertool: --min-uar is of emotions, and ratings are scored: use --min-ccc\n",
    )  # fmt: skip
    assert say(table(tmp_path / "emotions.csv", made()), "--min-ccc", ".2")[0] == 2


@pytest.mark.parametrize(("words", "says"), [
    (("--dimensions", "arousal,valence", "--truth", "arousal"), "name the columns of one dimension"),
    (("--dimensions", "arousal", "--map", "a=b"), "--map says what labels of emotions mean"),
    (("--map", "a=b"), "--map says what labels of emotions mean"),
    (("--dimensions", "dominance"), "no predictions of dominance: no column predicted_dominance; it has clip,"),
    (("--dimensions", "sex", "--predicted", "arousal"), "column sex holds 'female' in row 1, and takes numbers"),
    (("--truth", "valence", "--predicted", "valence"), "--truth and --predicted both name the column valence"),
])  # fmt: skip
def test_what_ratings_cannot_have_is_refused_in_one_line(path: str, say: Any, words: Any, says: str) -> None:
    code, out, err = say(path, *words)
    assert code
    assert (out, err.count("\n")) == ("", 1)
    assert says in err


def test_a_clip_with_two_ratings_of_one_dimension_is_refused(tmp_path: Path) -> None:
    other = rated()
    other["arousal"][7] += 1
    path = table(tmp_path / "a.csv", seeded(rated(), other))
    assert re.search(r"clip toy/7 is arousal [\d.]+, valence [\d.]+ in one row and arousal", refused(path))


def test_pictures_show_each_rating_in_place_of_a_confusion(tmp_path: Path) -> None:
    paths = [table(tmp_path / f"{name}.csv", rated(seed=seed)) for seed, name in enumerate("ab")]
    assert charts.draw(report(paths[0]), str(tmp_path)) == [
        "scatter-arousal.png", "scatter-valence.png", "speakers.png", "ccc.png",
    ]  # fmt: skip
    assert {"comparison.png", "ccc.png", "scatter-valence-b.png"} <= {*charts.draw(report(*paths), str(tmp_path))}


@pytest.mark.parametrize("count", [1, 2])
def test_page_shows_ratings_and_nothing_of_emotions(tmp_path: Path, count: int) -> None:
    paths = [table(tmp_path / f"{seed}.csv", rated(seed=seed) | {"fold": [0, 1, 2] * 80}) for seed in range(count)]
    found = report(*paths, by=("sex",))
    text = page.html(found)
    shown = text.partition("</style>")[2]
    assert shown.count('class="drawing many"') == 2 * count
    assert shown.count("<circle") == 2 * 240 * count
    assert all(word not in shown for word in ("UAR", "McNemar", "Recall", "ECE", "nan", " %<"))
    assert f"<b>{found.runs[0].by['sex'][0].figures['ccc'].value:.3f}</b>" in shown.replace(
        ' style="color:var(--tone0)"', ""
    )


@pytest.mark.draws
@pytest.mark.parametrize("odd", ["one clip", "constant", "worse than chance"])
def test_page_and_pictures_of_odd_ratings_are_drawn(tmp_path: Path, odd: str) -> None:
    columns = rated(1, 1) if odd == "one clip" else rated()
    if odd == "constant":
        columns |= {name: [4.0] * 240 for name in ("arousal", "predicted_arousal", "valence")}
    if odd == "worse than chance":
        columns |= {f"predicted_{name}": [8 - value for value in columns[name]] for name in RATED}
    path = table(tmp_path / "a.csv", columns)
    assert charts.draw(report(path, path), str(tmp_path))
    for paths in ((path,), (path, path)):
        shown = page.html(report(*paths)).partition("</style>")[2]
        assert "nan" not in shown
        assert 'height="-' not in shown


def test_ratings_of_corpora_on_different_scales_are_noted(tmp_path: Path) -> None:
    truth = [1 + k % 5 for k in range(120)] + [51 + k % 5 for k in range(120)]
    columns = {"arousal": truth, "predicted_arousal": [3.0] * 120 + [53.0] * 120, "speaker": ["a", "b", "c", "d"] * 60}
    there = {"corpus": ["first"] * 120 + ["second"] * 120}
    found = report(table(tmp_path / "a.csv", columns | there)).runs[0]
    assert found.figures["ccc"].value > 0.99
    says = "arousal is 1 to 5 in first and 51 to 55 in second: on different scales, pooled figures mostly tell corpora"
    assert any(note.startswith(says) for note in found.notes)
    assert not any("scales" in note for note in report(table(tmp_path / "b.csv", columns)).runs[0].notes)


def test_axis_of_the_page_reaches_down_to_negative_intervals(tmp_path: Path) -> None:
    columns = rated()
    columns |= {f"predicted_{name}": [8 - value for value in columns[f"predicted_{name}"]] for name in RATED}
    shown = (
        page.html(report(table(tmp_path / "a.csv", columns))).partition("By dimension")[2].partition("</section>")[0]
    )
    assert '<span style="left:0%">-1</span>' in shown
    assert 'style="left:0.00%"' not in shown
    assert "width:0.00%" not in shown
    positive = page.html(report(table(tmp_path / "b.csv", rated()))).partition("By dimension")[2]
    assert '<span style="left:0%">0</span>' in positive


@pytest.mark.parametrize(("low", "high"), [(1, 5), (0.9, 7.1), (-1, 1), (0, 100), (3.999, 4.002), (-2e6, 1e6)])
def test_axes_have_four_to_seven_round_numbers_inside(low: float, high: float) -> None:
    found = svg.ticks(low, high)
    assert 3 <= len(found) <= 8
    assert low <= found[0] < found[-1] <= high
    assert all(len(f"{value:.6g}") <= 8 for value in found)


def test_only_some_clips_of_very_many_are_drawn(tmp_path: Path) -> None:
    found = report(table(tmp_path / "a.parquet", rated(5000), "parquet"))
    assert found.runs[0].dimensions[0].pairs.shape == (2, 2000)
    assert "2,000 of 5,000, drawn at random." in page.html(found)
