"""eval's figures agree with their definitions."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from running import sertool
from scored_tables import EMOTIONS, Columns, dropped, made, report, table

from sertool.manifests import manifest_io


def test_map_merges_classes_and_their_probabilities(tmp_path: Path) -> None:
    path = table(tmp_path / "one.csv", made())
    joined = report(path, mapping={"sad": "neutral"})
    assert joined.emotions == ("neutral", "happy", "angry")
    assert joined.runs[0].figures["wa"].value > report(path).runs[0].figures["wa"].value
    assert joined.runs[0].figures["log_loss"].value < report(path).runs[0].figures["log_loss"].value


def test_map_recomputes_confidence_only_where_probabilities_are_given(tmp_path: Path) -> None:
    columns = made()
    said, unsaid = table(tmp_path / "a.csv", columns), table(tmp_path / "b.csv", dropped(columns, "confidence"))
    figures, wanted = (report(path, mapping={"sad": "neutral"}).runs[0].figures["ece"] for path in (said, unsaid))
    assert figures == wanted
    alone = table(tmp_path / "c.csv", dropped(columns, *(f"p_{name}" for name in EMOTIONS)))
    note = "ECE: of the labels before --map joined them, of which the confidence is"
    assert note in report(alone, mapping={"sad": "neutral"}).runs[0].notes
    assert note not in report(said, mapping={"sad": "neutral"}).runs[0].notes
    assert note not in report(alone, mapping={"sad": "gloom"}).runs[0].notes


def test_mapping_that_matches_no_label_is_warned_about(predicted: str) -> None:
    done = sertool("eval", predicted, "--map", "agnry=happy")
    assert "--map agnry=happy changes nothing: no clip has the label 'agnry'" in done.err
    assert "changes" not in sertool("eval", predicted, "--map", "angry=happy").err


def test_reported_figures_agree_with_scikit_learn(predicted: str) -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    columns, found = made(), report(predicted).runs[0]
    truth, guess = columns["emotion"], columns["predicted"]
    chances = np.array([columns[f"p_{name}"] for name in sorted(EMOTIONS)]).T
    expected = {
        "uar": theirs.balanced_accuracy_score(truth, guess),
        "wa": theirs.accuracy_score(truth, guess),
        "macro_f1": theirs.f1_score(truth, guess, average="macro"),
        "weighted_f1": theirs.f1_score(truth, guess, average="weighted"),
    }
    for name, value in expected.items():
        assert found.figures[name].value == pytest.approx(value, abs=1e-9)
    loss = theirs.log_loss(truth, chances, labels=sorted(EMOTIONS))
    assert found.figures["log_loss"].value == pytest.approx(loss, abs=1e-6)  # p_ columns hold float32
    assert [one.name for one in found.classes] == list(EMOTIONS)


def test_empty_probability_of_an_emotion_counts_as_zero(tmp_path: Path) -> None:
    """As where folds that were trained on different emotions are joined: their columns are empty in others' rows."""
    columns = {
        "emotion": ["sad", "angry", "sad", "calm"], "predicted": ["sad", "angry", "sad", "sad"],
        "p_sad": [0.8, 0.4, 0.9, None], "p_angry": [None, 0.6, 0.1, None], "p_calm": [0.2, None, None, None],
    }  # fmt: skip
    found = report(table(tmp_path / "a.csv", columns)).runs[0]
    assert found.figures["log_loss"].value == pytest.approx(-np.log([0.8, 0.6, 0.9]).mean(), abs=1e-6)
    assert found.figures["brier"].value == pytest.approx((2 * 0.2**2 + 2 * 0.4**2 + 2 * 0.1**2) / 3, abs=1e-6)
    assert any(note.endswith(": 1 row of probabilities below 0 or that do not sum to 1") for note in found.notes)


def test_emotions_without_probabilities_skip_log_loss_and_count_as_wrong_elsewhere(tmp_path: Path, say: Any) -> None:
    columns, known = made(), dropped(made(), "p_angry")
    chances = np.array([columns[f"p_{name}"] for name in EMOTIONS[:3]])
    chances /= chances.sum(0)
    known |= {f"p_{name}": chances[k].tolist() for k, name in enumerate(EMOTIONS[:3])}
    known |= {"predicted": [EMOTIONS[k] for k in chances.argmax(0)], "confidence": chances.max(0).tolist()}
    path, lost = table(tmp_path / "a.csv", known), columns["emotion"].count("angry")
    rest = report(path, where=("emotion!=angry",)).runs[0]
    found = report(path).runs[0]
    assert found.figures["log_loss"].value == pytest.approx(rest.figures["log_loss"].value)
    assert found.figures["brier"].value > rest.figures["brier"].value
    assert found.figures["ece"].value > rest.figures["ece"].value
    assert found.notes == (
        "angry could not be predicted: wrong, unless --where 'emotion!=angry' leaves it out, as train's summary does",
        f"without log loss: {lost} rows of angry, for which there are no probabilities",
    )
    assert f"log loss, of {240 - lost} rows" in say(path)[1]
    assert f"(of {240 - lost} rows)" in say(path, table(tmp_path / "b.csv", columns))[1]
    assert rest.notes == ()
    (line,) = (line for line in say(path, "-f", "csv")[1].splitlines() if ",log_loss," in line)
    assert line.split(",")[-2] == str(240 - lost)


def test_rows_whose_most_probable_emotion_is_not_the_prediction_are_counted(tmp_path: Path) -> None:
    columns, said = made(), "another emotion than the predicted one has the highest probability"
    swapped = columns | {"p_sad": columns["p_angry"], "p_angry": columns["p_sad"]}
    count = sum(word in ("sad", "angry") for word in columns["predicted"])
    path = table(tmp_path / "a.csv", swapped)
    assert f"in {count} rows {said}" in report(path).runs[0].notes
    assert report(path, mapping={"calm": "neutral"}).runs[0].notes
    joined = report(table(tmp_path / "b.csv", columns), mapping={"sad": "neutral"}).runs[0]
    assert not [note for note in joined.notes if said in note]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_probability_columns_are_recognised_in_any_letter_case(tmp_path: Path, kind: str) -> None:
    columns = made()
    loud = {f"P_{name[2:].title()}" if name[:2] == "p_" else name: values for name, values in columns.items()}
    paths = [str(tmp_path / f"{name}.{kind}") for name in "ab"]
    for path, held in zip(paths, (columns, loud | {"P_ID": list(range(240))}), strict=True):
        manifest_io.write(pa.table(held), path, kind)
    quiet, found = report(*paths).runs
    assert found.figures == quiet.figures
    assert found.notes == ()


def test_figures_computed_from_fewer_rows_state_their_row_count(tmp_path: Path, say: Any) -> None:
    columns = dropped(made(), "confidence")
    columns["p_sad"][:9] = [2.0] * 9
    out = say(table(tmp_path / "a.csv", columns))[1]
    for figure in ("ECE", "log loss", "Brier score"):
        assert f"\n{figure}, of 231 rows " in out


def test_confidence_intervals_contain_their_values(predicted: str) -> None:
    found = report(predicted, by=("sex",)).runs[0]
    figures = [
        *found.figures.values(),
        *(one.recall for one in found.classes),
        *(g.figures["uar"] for g in found.by["sex"]),
    ]
    assert all(one.low <= one.value <= one.high for one in found.figures.values())
    assert all(one.low < one.high for one in figures)


def test_no_interval_is_given_if_all_resamples_are_identical(tmp_path: Path, say: Any) -> None:
    rows = ["sad,sad,0.9,ann,old", "angry,angry,0.9,bob,old", "angry,sad,0.8,bob,young"]
    for name, kept in (("right", rows[:2]), ("mixed", rows)):
        (tmp_path / f"{name}.csv").write_text("\n".join(["emotion,predicted,confidence,speaker,band", *kept]))
    right, mixed = (report(str(tmp_path / f"{name}.csv"), by=("band",)).runs[0] for name in ("right", "mixed"))
    sure = [right.figures["uar"], right.figures["ece"], right.classes[0].recall, mixed.by["band"][1].figures["wa"]]
    assert [figure.value for figure in sure] == pytest.approx([1, 0.1, 1, 0])
    assert np.isnan([(figure.low, figure.high) for figure in sure]).all()
    assert (mixed.figures["wa"].low, mixed.figures["wa"].high) == (0, 1)
    code, said, _ = say(str(tmp_path / "right.csv"), "--plot", str(tmp_path), "--html", str(tmp_path / "page.html"))
    assert code == 0
    assert re.search(r"UAR +100\.0 +\[-, -\]", said)
    assert "nan" not in (tmp_path / "page.html").read_text()


def _of_a_rare_emotion(who: int, rare: str = "neutral") -> Columns:
    """Answers to clips of 12 speakers, two thirds of them right, and to clips of surprise of some of them."""
    truth = ["happy", "sad"] * 60 + ["surprise"] * 10 * who
    answers = [*["sad", "sad", "happy", "sad", "happy", "happy"] * 20, *[rare] * 10 * who]
    speaker = [f"s{k // 10}" for k in range(120)] + [f"s{k // 10}" for k in range(10 * who)]
    clip = [f"{k}" for k in range(len(truth))]
    return {"clip": clip, "emotion": truth, "predicted": answers, "speaker": speaker}


@pytest.mark.parametrize("figure", ["uar", "macro_f1", "votes_uar"])
def test_every_resample_averages_the_same_emotions(tmp_path: Path, figure: str) -> None:
    """Of one speaker, surprise is missing in a third of them, which would be better by half without it."""
    votes = {
        "happy": [k % 3 for k in range(120)] + [0] * 10,
        "sad": [1] * 120 + [0] * 10,
        "neutral": [0] * 120 + [1] * 10,
    }
    columns = _of_a_rare_emotion(1) | {f"votes_voice_{name}": cast for name, cast in votes.items()}
    found = report(table(tmp_path / "a.csv", columns)).runs[0]
    of_all = (found.figures | found.people)[figure]
    assert of_all.high < 1.25 * of_all.value


def test_groups_and_differences_average_the_same_emotions_in_every_resample(tmp_path: Path) -> None:
    paths = [table(tmp_path / f"{rare}.csv", _of_a_rare_emotion(1, rare) | {"room": ["a"] * 130})
             for rare in ("neutral", "surprise")]  # fmt: skip
    found = report(*paths, by=("room",))
    difference = found.comparisons[0].figures["uar"]
    assert difference.value == pytest.approx(1 / 3)
    assert math.isnan(difference.low)  # as all resamples are alike
    of_room = found.runs[0].by["room"][0].figures["uar"]
    assert of_room.high < 1.25 * of_room.value


def test_an_emotion_of_few_speakers_is_said_to_be_of_few(tmp_path: Path, say: Any) -> None:
    of_one, of_two, of_eight = (table(tmp_path / f"{who}.csv", _of_a_rare_emotion(who)) for who in (1, 2, 8))
    alone = report(of_one).runs[0]
    assert "surprise is of one speaker, who cannot tell how others do" in alone.notes
    assert np.isnan(next(one.recall.low for one in alone.classes if one.name == "surprise"))
    assert [one.speakers for one in report(of_two).runs[0].classes if one.clips] == [12, 12, 2]
    assert not any("of one speaker" in note for note in report(of_two).runs[0].notes)
    for path, few in ((of_one, True), (of_two, True), (of_eight, False)):
        assert ("counts in UAR and macro F1 as it does over all speakers" in say(path)[1]) is few
        assert ("of 1 or 2 speakers, intervals of UAR hold the truth in 55 to 85 %" in say(path)[1]) is few


def test_wide_tables_are_split_between_columns_only_on_a_terminal(
    tmp_path: Path, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [table(tmp_path / f"number-{k}.csv", made(seed=k)) for k in range(6)]
    piped = say(*paths)[1]
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sertool.system.talk.to_terminal", lambda: True)
    shown = say(*paths)[1]
    whole, broken = (re.split(r"\n\n(?=[A-Z])", text[text.index("\nRecall") :])[0] for text in (piped, shown))
    assert max(map(len, whole.splitlines())) > 80 >= max(map(len, broken.splitlines()))
    assert sorted(re.findall(r"number-.|\S+ \[.*?\]", broken)) == sorted(re.findall(r"number-.|\S+ \[.*?\]", whole))
    assert broken.count("\nneutral") == 2
    assert say(*paths, "-o", str(tmp_path / "out.txt"))[1] == ""
    assert (tmp_path / "out.txt").read_text() == piped


def test_unrelated_column_named_like_a_probability_changes_no_figure(tmp_path: Path, say: Any) -> None:
    alone = report(table(tmp_path / "a.csv", made(clips=40))).runs[0]
    strange = table(tmp_path / "b.csv", made(clips=40) | {"p_value": np.linspace(0.001, 0.9, 40).tolist()})
    assert report(strange).runs[0].figures == alone.figures
    told = say(strange)[1]
    assert "left out, as no emotion's probabilities: p_value" in told
    assert "sum to 1" not in told


def test_probability_of_an_unknown_emotion_counts_towards_the_sum(tmp_path: Path) -> None:
    columns = made(clips=40)
    for name in EMOTIONS:
        columns[f"p_{name}"] = [0.9 * value for value in columns[f"p_{name}"]]
    found = report(table(tmp_path / "a.csv", columns | {"p_furore": [0.1] * 40})).runs[0]
    assert not [note for note in found.notes if "left out" in note or "sum to 1" in note]


def test_invalid_confidence_and_probabilities_are_left_out(tmp_path: Path) -> None:
    columns = made()
    columns["confidence"] = [100 * value for value in columns["confidence"]]
    columns["p_sad"] = [value + 0.5 for value in columns["p_sad"]]
    found = report(table(tmp_path / "a.csv", columns)).runs[0]
    assert not {"ece", "log_loss", "brier"} & set(found.figures)
    assert len(found.notes) == 2


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rounding_errors_below_0_or_above_1_are_tolerated(tmp_path: Path, kind: str) -> None:
    columns = made()
    wanted = report(table(tmp_path / f"a.{kind}", columns, kind)).runs[0]
    columns["confidence"][0], columns["confidence"][1] = 1.0000001, -1e-10
    columns["p_neutral"][0] += columns["p_sad"][0]
    columns["p_sad"][0] = -1e-10
    found = report(table(tmp_path / f"b.{kind}", columns, kind)).runs[0]
    assert found.figures.keys() == wanted.figures.keys()
    assert (found.rows_with, found.notes) == ({}, wanted.notes)


def test_probabilities_rounded_to_two_decimals_count_as_summing_to_one(tmp_path: Path) -> None:
    columns = made(clips=8)
    columns |= {f"p_{name}": [0.26] * 4 + [0.25] * 3 + [0.3] for name in EMOTIONS[:2]}
    columns |= {f"p_{name}": [0.25] * 4 + [0.24] * 3 + [0.3] for name in EMOTIONS[2:]}
    (note,) = (note for note in report(table(tmp_path / "a.csv", columns)).runs[0].notes if "sum to 1" in note)
    assert note.startswith("without log loss and Brier: 1 row of")


@pytest.mark.parametrize("perceived", [True, False])
def test_human_scores_on_labels_from_their_own_votes_are_flagged(tmp_path: Path, perceived: bool) -> None:
    columns, rng = made(), np.random.default_rng(0)
    votes = rng.integers(0, 6, (240, len(EMOTIONS)))
    columns |= {f"votes_voice_{name}": votes[:, k].tolist() for k, name in enumerate(EMOTIONS)}
    if perceived:
        columns["emotion"] = [EMOTIONS[k] for k in votes.argmax(1)]
    found = report(table(tmp_path / "a.csv", columns)).runs[0]
    said = [note for note in found.notes if "the figures of people are of their own votes" in note]
    assert bool(said) == perceived
