"""What `sertool eval` reads, counts, refuses, compares and writes; all predictions are made up here."""

import csv
import html.parser
import io
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from running import sertool

from sertool import (
    answers,
    charts,
    cli,
    evaluating,
    formats,
    manifest,
    manifest_io,
    metrics,
    page,
    pictures,
    provenance,
    reports,
    wording,
)
from sertool.answers import Answers
from sertool.errors import SertoolError
from sertool.predictions import Reading
from sertool.scores import Report
from sertool.sums import Bootstrap

EMOTIONS = ("neutral", "happy", "sad", "angry")
FEW = Bootstrap(resamples=200)
Columns = dict[str, list[Any]]


def made(clips: int = 240, speakers: int = 12, skill: float = 0.6, seed: int = 0) -> Columns:
    """Predictions of a run that knows an emotion as often as `skill` says, speakers differing around it."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, len(EMOTIONS), clips)
    speaker = np.arange(clips) % speakers
    rng = np.random.default_rng(100 + seed)
    logits = rng.gumbel(size=(clips, len(EMOTIONS)))
    logits[np.arange(clips), truth] += 4 * (skill - 0.25) + np.random.default_rng(2).normal(0, 0.7, speakers)[speaker]
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return {
        "clip": [f"toy/{k}" for k in range(clips)],
        "corpus": ["toy"] * clips,
        "speaker": [f"toy:{k}" for k in speaker],
        "sex": [("female", "male")[k % 2] for k in speaker],
        "age": [20 + 5 * int(k) for k in speaker],
        "emotion": [EMOTIONS[k] for k in truth],
        "predicted": [EMOTIONS[k] for k in chances.argmax(1)],
        "confidence": chances.max(1).tolist(),
        **{f"p_{name}": chances[:, k].tolist() for k, name in enumerate(EMOTIONS)},
    }


def table(path: Path, columns: Columns, kind: str = "csv") -> str:
    manifest_io.write(manifest.from_columns(columns), str(path), kind)
    return str(path)


def two(path: Path, truth: list[str], predicted: list[str], header: str = "emotion,predicted") -> str:
    path.write_text("\n".join([header, *(f"{t},{p}" for t, p in zip(truth, predicted, strict=True))]) + "\n")
    return str(path)


def runs(*paths: str, **asked: Any) -> list[Answers]:
    return answers.read(paths, Reading(**asked))


def report(*paths: str, by: tuple[str, ...] = (), bootstrap: Bootstrap = FEW, **asked: Any) -> Report:
    return evaluating.report(runs(*paths, by=by, **asked), by, bootstrap)


def refused(*paths: str, **asked: Any) -> str:
    with pytest.raises(SertoolError) as caught:
        report(*paths, **asked)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def predicted(tmp_path: Path) -> str:
    return table(tmp_path / "one.csv", made())


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line: exit code, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.run(["eval", *words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def dropped(columns: Columns, *names: str) -> Columns:
    return {name: values for name, values in columns.items() if name not in names}


# Reading.


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_gives_the_same_figures(tmp_path: Path, predicted: str, kind: str) -> None:
    other = table(tmp_path / f"other.{kind}", made(), kind)
    expected, found = report(predicted).runs[0], report(other).runs[0]
    assert np.array_equal(found.confusion, expected.confusion)
    for name, figure in expected.figures.items():
        assert found.figures[name].value == pytest.approx(figure.value, abs=1e-6)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_answers_from_a_pipe_are_called_so(tmp_path: Path) -> None:
    two(tmp_path / "p.csv", ["sad", "happy"] * 8, ["sad", "happy"] * 8)
    line = f"{sys.executable} -m sertool eval <(cat {tmp_path / 'p.csv'})"
    assert subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout.startswith(b"pipe: ")


@pytest.mark.parametrize("header", ["emotion,predicted", "y_true,y_pred"])
def test_answers_that_were_joined_are_scored_without_their_headers(tmp_path: Path, header: str) -> None:
    path = tmp_path / "p.csv"
    two(path, ["sad", "happy"] * 8, ["sad", "happy"] * 8, header)
    wanted = sertool("eval", path, "-f", "json").out
    text = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*text[:9], text[0], *text[9:]]))
    done = sertool("eval", path, "-f", "json")
    assert done.out == wanted
    assert "1 more header left out" in done.err


@pytest.mark.parametrize("header", ["y_true,y_pred", "truth,predicted", "Label,Prediction", "\ufefftarget,pred"])
def test_two_columns_under_usual_names_are_enough(tmp_path: Path, header: str) -> None:
    path = two(tmp_path / "two.csv", ["angry", "sad", "sad"], ["angry", "sad", "angry"], header)
    found = report(path).runs[0]
    assert found.figures["uar"].value == pytest.approx(0.75)
    assert found.speakers == 0
    assert "speakers unknown" in found.bootstrap


@pytest.mark.parametrize("header", ["emotion,predicted", "y_true,y_pred"])
def test_answers_behind_hundreds_of_features_are_read(tmp_path: Path, header: str) -> None:
    rows = [",".join(["0.5"] * 700 + [word] * 2) for word in ("sad", "happy")]
    names = ",".join(f"feature_{k}" for k in range(700))
    (tmp_path / "p.csv").write_text("\n".join([f"{names},{header}", *rows]))
    assert report(str(tmp_path / "p.csv")).runs[0].figures["uar"].value == 1


@pytest.mark.parametrize("separator", ["\t", ","])
@pytest.mark.parametrize("names", [("y_true", "y_pred"), ("emotion", "predicted")])
def test_a_table_with_an_index_without_a_name_is_read(tmp_path: Path, separator: str, names: tuple[str, ...]) -> None:
    lines = [("", *names), ("0", "sad", "sad"), ("1", "happy", "sad")]
    (tmp_path / "p.tsv").write_text("\n".join(map(separator.join, lines)))
    assert report(str(tmp_path / "p.tsv")).runs[0].figures["uar"].value == pytest.approx(0.5)


def test_lines_may_end_as_on_old_macintoshes(tmp_path: Path) -> None:
    for header in ("emotion;predicted", "truth;pred"):
        (tmp_path / "m.csv").write_bytes(f"{header}\ra;a\rb;b\rb;a\r".encode())
        assert report(str(tmp_path / "m.csv")).runs[0].figures["uar"].value == pytest.approx(0.75)


@pytest.mark.parametrize("header", [b"Wahr;pred", b"Wahr;predicted"])
def test_text_of_older_spreadsheets_is_refused_by_the_users_own_column(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "p.csv").write_bytes(header + b"\nm\xfcde;sad\n")
    says = refused(str(tmp_path / "p.csv"), truth="Wahr")
    assert "p.csv: " in says
    assert "line 2 is not UTF-8, in column Wahr: save it as CSV UTF-8" in says
    assert "semicolons" not in says  # which is no format that anybody asked for


def test_a_workbook_is_told_to_be_saved_as_text(tmp_path: Path) -> None:
    (tmp_path / "p.xlsx").write_bytes(b"PK\3\4" + bytes(100))
    assert "an Excel workbook, or another archive: save it as CSV UTF-8" in refused(str(tmp_path / "p.xlsx"))


def test_names_that_index_knows_are_known_here(tmp_path: Path) -> None:
    lines = ["class,pred,actor,gender", *(f"sad,sad,s{k % 9},F" for k in range(18)), "angry,sad,s0,M"]
    (tmp_path / "p.csv").write_text("\n".join(lines))
    found = report(str(tmp_path / "p.csv"), by=("sex",)).runs[0]
    assert found.bootstrap == "over 9 speakers"
    assert [group.name for group in found.by["sex"]] == ["female", "male"]


def test_a_column_that_is_pointed_at_is_nothing_else(tmp_path: Path) -> None:
    path = two(tmp_path / "two.csv", ["a", "b", "b"], ["a", "b", "a"], "text,actor")
    assert report(path, truth="text", predicted="actor").runs[0].speakers == 0


def test_where_nobody_is_named_it_is_said_how_to(tmp_path: Path, say: Callable[..., Any]) -> None:
    _, out, _ = say(two(tmp_path / "two.csv", ["a", "b", "b"], ["a", "b", "a"]))
    assert "a column speaker (or speaker_id, spk, actor, subject) would tell" in out


def test_columns_of_any_name_can_be_pointed_at(tmp_path: Path) -> None:
    path = two(tmp_path / "two.csv", ["a", "b", "b"], ["a", "b", "a"], "said,heard")
    assert report(path, truth="said", predicted="heard").runs[0].figures["wa"].value == pytest.approx(2 / 3)
    assert "said" in refused(path, truth="nowhere", predicted="heard")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_what_others_mean_by_a_name_of_ours_is_left_out_where_no_figure_needs_it(
    tmp_path: Path, say: Callable[..., Any], kind: str
) -> None:
    columns = {"emotion": ["a", "b"], "predicted": ["a", "a"], "age": ["25-30", "old"], "confidence": ["93%", "5%"],
               "fold": ["first", "second"], "seed": ["s1", "s2"]}  # fmt: skip
    path = str(tmp_path / f"others.{kind}")
    with Path(path).open("wb") as stream:
        formats.encode([pa.table(columns)], stream, kind)
    code, out, err = say(path)
    assert code == 0
    assert "UAR" in out
    assert "column age holds no whole numbers: it is left out" in err
    assert err.count("it is left out") == 4
    code, _, err = say(path, "--by", "age")
    assert code == 2
    assert "has no age" in err


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_ages_in_bands_are_groups(tmp_path: Path, say: Callable[..., Any], kind: str) -> None:
    columns = {"emotion": ["a", "b"], "predicted": ["a", "a"], "age": ["25-30", "31-40"]}
    path = str(tmp_path / f"others.{kind}")
    with Path(path).open("wb") as stream:
        formats.encode([pa.table(columns)], stream, kind)
    assert "has no age; it has age_band" in say(path, "--by", "age")[2]
    code, out, err = say(path, "--by", "age_band")
    assert code == 0
    assert err.count("it is called age_band") == 1
    assert "31-40" in out


@pytest.mark.parametrize("header", ["emotion;predicted", "said;heard"])
def test_columns_may_be_separated_by_semicolons(tmp_path: Path, header: str) -> None:
    (tmp_path / "two.csv").write_text(f"{header}\na;a\nb;b\nb;a\n")
    asked = {} if header.startswith("emotion") else {"truth": "said", "predicted": "heard"}
    assert report(str(tmp_path / "two.csv"), **asked).runs[0].figures["wa"].value == pytest.approx(2 / 3)


def test_parts_have_any_case_and_rows_of_none_are_counted(tmp_path: Path, say: Callable[..., Any]) -> None:
    parts = ["Test"] * 150 + ["valid"] * 50 + ["extra"] * 40
    path = table(tmp_path / "one.csv", made() | {"split": parts})
    code, out, err = say(path)
    assert code == 0
    assert "test, 150 clips" in out
    assert "40 rows of the split extra, none of train, dev, test: left out" in err
    assert report(path, split="dev").runs[0].clips == 50
    bare = table(tmp_path / "two.csv", made() | {"split": ["test"] * 200 + [None] * 40})
    assert "40 rows without a split: left out" in say(bare)[2]


def test_words_of_others_meet_ours(tmp_path: Path) -> None:
    path = two(tmp_path / "two.csv", ["ANG", "happiness", "Sad"], ["angry", "hap", "sadness"])
    assert report(path).runs[0].figures["wa"].value == 1


def test_words_are_the_same_in_either_form_of_unicode(tmp_path: Path) -> None:
    path = two(tmp_path / "two.csv", ["m\u00fcde", "sad"], ["mu\u0308de", "sad"])
    assert report(path).emotions == ("sad", "m\u00fcde")
    assert report(path).runs[0].figures["wa"].value == 1


def test_map_joins_classes_and_their_probabilities(tmp_path: Path) -> None:
    path = table(tmp_path / "one.csv", made())
    joined = report(path, mapping={"sad": "neutral"})
    assert joined.emotions == ("neutral", "happy", "angry")
    assert joined.runs[0].figures["wa"].value > report(path).runs[0].figures["wa"].value
    assert joined.runs[0].figures["log_loss"].value < report(path).runs[0].figures["log_loss"].value


def test_map_joins_the_confidence_too_where_probabilities_tell_it(tmp_path: Path) -> None:
    columns = made()
    said, unsaid = table(tmp_path / "a.csv", columns), table(tmp_path / "b.csv", dropped(columns, "confidence"))
    figures, wanted = (report(path, mapping={"sad": "neutral"}).runs[0].figures["ece"] for path in (said, unsaid))
    assert figures == wanted
    alone = table(tmp_path / "c.csv", dropped(columns, *(f"p_{name}" for name in EMOTIONS)))
    note = "ECE: of the labels before --map joined them, of which the confidence is"
    assert note in report(alone, mapping={"sad": "neutral"}).runs[0].notes
    assert note not in report(said, mapping={"sad": "neutral"}).runs[0].notes
    assert note not in report(alone, mapping={"sad": "gloom"}).runs[0].notes


def test_a_mapping_that_no_label_meets_is_said(predicted: str) -> None:
    done = sertool("eval", predicted, "--map", "agnry=happy")
    assert "--map agnry=happy changes nothing: no clip has the label 'agnry'" in done.err
    assert "changes" not in sertool("eval", predicted, "--map", "angry=happy").err


def test_one_column_is_not_both_truth_and_answer(tmp_path: Path) -> None:
    path = two(tmp_path / "two.csv", ["sad", "happy"], ["sad", "sad"], "y,yhat")
    done = sertool("eval", path, "--truth", "yhat", "--predicted", "yhat")
    assert (done.code, "--truth and --predicted both name the column yhat" in done.line) == (2, True)


@pytest.mark.parametrize("option", ["-o", "--html"])
def test_a_report_is_not_written_over_what_it_scores(tmp_path: Path, option: str) -> None:
    path = Path(two(tmp_path / "two.csv", ["sad", "happy"], ["sad", "sad"]))
    held = path.read_bytes()
    (tmp_path / "alias.csv").symlink_to(path)
    for place in (path, tmp_path / "alias.csv"):
        done = sertool("eval", path, option, place)
        assert (done.code, "holds the predictions that are scored" in done.line, path.read_bytes()) == (2, True, held)


def test_a_run_is_named_by_its_folder_too(tmp_path: Path) -> None:
    for name, skill in (("a", 0.5), ("b", 0.7)):
        (tmp_path / name).mkdir()
        held = manifest.from_columns(made(skill=skill) | {"run": [name] * 240})
        manifest_io.write(held, str(tmp_path / name / "predictions.parquet"), "parquet")
    tables = (tmp_path / name / "predictions.parquet" for name in "ab")
    by_folder = sertool("eval", tmp_path / "a", f"{tmp_path / 'b'}/", "--resamples", 100)
    assert by_folder.code == 0, by_folder.err
    assert by_folder.out == sertool("eval", *tables, "--resamples", 100).out
    over = sertool("eval", tmp_path / "a", "--html", tmp_path / "a" / "predictions.parquet")
    assert "holds the predictions that are scored" in over.line


def test_whole_numbers_that_became_fractions_are_the_same_labels(tmp_path: Path) -> None:
    path = two(tmp_path / "two.csv", ["0", "1", "10", "-1", "2"], ["0.0", "1.0", "2.0", "-1.0", ""], "y_true,y_pred")
    assert report(path).emotions == ("0", "1", "2", "10", "-1")
    whole = {"emotion": [0, 1, 2, 1], "predicted": [0.0, 1.0, 1.0, None], "p_1.0": [0.5] * 4, "p_0.0": [0.5] * 4}
    manifest_io.write(pa.table(whole), str(tmp_path / "whole.parquet"), "parquet")
    found = report(str(tmp_path / "whole.parquet"), mapping={"1": "angry"})
    assert found.emotions == ("angry", "0", "2")
    assert found.runs[0].figures["brier"].value == pytest.approx((0.5 + 0.5 + 1.5) / 3)


def test_numbers_are_labels_too(tmp_path: Path) -> None:
    path = two(tmp_path / "two.csv", ["0", "1", "10", "2"], ["0", "1", "2", "10"], "y_true,y_pred")
    assert report(path).emotions == ("0", "1", "2", "10")


def test_stdin_is_read(predicted: str) -> None:
    command = [sys.executable, "-m", "sertool", "eval", "-f", "json", "--resamples", "100"]
    done = subprocess.run(command, input=Path(predicted).read_bytes(), capture_output=True, check=True)
    assert json.loads(done.stdout)["runs"][0]["name"] == "stdin"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty input"),
        ("emotion,predicted\n", "no rows"),
        ("clip,emotion\na,sad\nb,angry\n", "no column predicted"),
        ("clip,predicted\na,sad\n", "no true emotions"),
        ("emotion,predicted\nsad,sad\nsad,angry\n", "at least two"),
        ("emotion,predicted\nsad,\nangry,\n", "nothing to score"),
        ("emotion,predicted\n,sad\n,sad\n", "no true emotion"),
        ("emotion,predicted,issue\nsad,,silent\nsad,sad,empty\n", "left out for its issue (1 silent, 1 empty)"),
        ("emotion,predicted\nsad,S1\nangry,S2\n", "--map S1=angry"),
        ("emotion,predicted\n0,sad\n1,angry\n", "no word in common: 0, 1 are the truth, angry, sad the predictions"),
        ("emotion,predicted\n0,sad\n1,sad\n", "such as --map 0=sad"),
        ("emotion,predicted\nfear,sad\nhappy,angry\n", "such as --map fear=angry"),
        ("emotion,predicted\nsad,sad\nsad|fear,neutral\n", "such as --map 'sad|fear=neutral'"),
        ("emotion,predicted\nsad,sad\nN,neutral\n", "neutral only among the predictions, N only among the truth"),
        ("emotion,predicted\nsad,sad\nN,neutral\n", "such as --map N=neutral, or leave it out: --where emotion!=N"),
        ("emotion,predicted,p_sad,p_neutral\nsad,sad,1,0\nN,neutral,0,1\n", "such as --map N=neutral"),
        ("clip,emotion,predicted\na,sad,sad\na,sad,angry\nb,angry,sad\n", "clip a is predicted twice"),
        ("clip,seed,emotion,predicted\na,0,sad,sad\na,1,angry,sad\n", "clip a is sad in one row and angry"),
        ("a.wav\nb.wav\n", "no table of predictions"),
        ("emotion,predicted,emotion\nsad,sad,angry\n", "two columns have the same name"),
        ('emotion,predicted\n"s\na",a\nb,"\x1b[31mred"\n', "--map \\x1b[31mred=b"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    assert words in refused(str(path))


@pytest.mark.parametrize("text", [
    "emotion,predicted\nfear,sad\nhappy,sad\n",
    "emotion,predicted,p_fear,p_sad,p_angry\nfear,sad,0,1,0\nhappy,angry,0,0,1\n",
])  # fmt: skip
def test_answers_that_are_all_wrong_are_scored_where_the_words_are_the_same(tmp_path: Path, text: str) -> None:
    (tmp_path / "wrong.csv").write_text(text)
    assert report(str(tmp_path / "wrong.csv")).runs[0].figures["uar"].value == 0


@pytest.mark.parametrize("text", [
    "emotion,predicted\nsad,sad\ncalm,neutral\nsurprise,happy\n",
    "emotion,predicted\nA,A\nB,A\nC,A\n",
    "emotion,predicted,p_A,p_B,p_sad\nA,A,1,0,0\nB,sad,0,0,1\n",
    "emotion,predicted\n0,0\n3,1\n",
])  # fmt: skip
def test_truth_in_words_that_somebody_knows_is_scored_though_it_was_not_predicted(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert report(str(tmp_path / "a.csv")).runs[0].clips > 1


def test_a_word_that_one_of_several_runs_predicts_is_known(tmp_path: Path) -> None:
    one = two(tmp_path / "one.csv", ["sad", "stress"], ["sad", "stress"])
    assert len(report(one, two(tmp_path / "b.csv", ["sad", "stress"], ["sad", "angry"])).runs) == 2


# Which rows count.


def test_test_is_scored_where_it_is_and_else_dev_and_never_train(tmp_path: Path) -> None:
    columns = made(clips=60)
    columns["split"] = ["train"] * 20 + ["dev"] * 20 + ["test"] * 20
    path = table(tmp_path / "a.csv", columns)
    assert (report(path).runs[0].split, report(path).runs[0].clips) == ("test", 20)
    assert report(path, split="dev").runs[0].clips == 20
    columns["split"] = ["train"] * 40 + ["dev"] * 20
    assert report(table(tmp_path / "b.csv", columns)).runs[0].split == "dev"
    columns["split"] = ["train"] * 60
    path = table(tmp_path / "c.csv", columns)
    assert "--split train" in refused(path)
    asked = report(path, split="train").runs[0]
    assert asked.clips == 60
    assert "trained on" in asked.leaks[0]
    assert "only train" in refused(path, split="dev")


def test_speakers_on_both_sides_are_called_a_leak(tmp_path: Path) -> None:
    columns = made(clips=60)
    columns["split"] = ["train", "test"] * 30
    columns["speaker"] = ["toy:0"] * 60
    found = report(table(tmp_path / "a.csv", columns)).runs[0]
    assert found.notes[0] == "LEAKY: 1 of the speakers are in train too"


def test_rows_without_an_answer_are_counted_and_not_scored(tmp_path: Path) -> None:
    columns = made(clips=100)
    columns["predicted"][:10] = [None] * 10
    columns["emotion"][10:15] = [None] * 5
    columns["issue"] = [None] * 97 + ["silent", "duplicate-of:toy/1", "duplicate-of:toy/2"]
    found = report(table(tmp_path / "a.jsonl", columns, "jsonl")).runs[0]
    assert found.clips == 82
    assert found.coverage == {
        "rows": 100, "scored": 82, "abstained": 10, "untrue": 5, "issues": {"duplicate-of": 2, "silent": 1},
        "share": 82 / 95,
    }  # fmt: skip
    assert len(found.notes) == 3


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_an_empty_text_is_nothing_in_any_format(tmp_path: Path, kind: str) -> None:
    columns = made()
    for name, count in (("emotion", 3), ("predicted", 5), ("speaker", 7)):
        columns[name][:count] = [""] * count
    found = report(table(tmp_path / f"one.{kind}", columns, kind)).runs[0]
    assert len(found.classes) == len(EMOTIONS)
    assert (found.clips, found.coverage["untrue"], found.coverage["abstained"]) == (235, 3, 2)
    assert "2 clips have no speaker" in found.notes


def test_what_is_never_true_or_never_predicted_is_said(tmp_path: Path) -> None:
    path = two(tmp_path / "a.csv", ["sad", "angry", "fear", "sad"], ["sad", "calm", "sad", "sad"])
    notes = report(path).runs[0].notes
    assert "angry, fear are never predicted" in notes
    assert "calm is predicted and never true" in notes


def test_the_protocol_is_read_from_the_chain_of_commands(tmp_path: Path) -> None:
    made_by = provenance.made_by(manifest.from_columns(made()), "sertool train --protocol random-80-20 -o 'x y'", 0)
    manifest_io.write(made_by, str(tmp_path / "a.parquet"), "parquet")
    found = report(str(tmp_path / "a.parquet")).runs[0]
    assert found.protocol == "random-80-20"
    assert "random-80-20 puts clips of one speaker on both sides" in found.leaks


# Figures.


def test_figures_of_the_whole_chain_agree_with_scikit_learn(predicted: str) -> None:
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


def test_a_model_gives_no_chance_to_an_emotion_that_it_alone_of_several_lacks(tmp_path: Path) -> None:
    """As where folds that were trained on different emotions are joined: their columns are empty in others' rows."""
    columns = {
        "emotion": ["sad", "angry", "sad", "calm"], "predicted": ["sad", "angry", "sad", "sad"],
        "p_sad": [0.8, 0.4, 0.9, None], "p_angry": [None, 0.6, 0.1, None], "p_calm": [0.2, None, None, None],
    }  # fmt: skip
    found = report(table(tmp_path / "a.csv", columns)).runs[0]
    assert found.figures["log_loss"].value == pytest.approx(-np.log([0.8, 0.6, 0.9]).mean(), abs=1e-6)
    assert found.figures["brier"].value == pytest.approx((2 * 0.2**2 + 2 * 0.4**2 + 2 * 0.1**2) / 3, abs=1e-6)
    assert any(note.endswith(": 1 row of probabilities below 0 or that do not sum to 1") for note in found.notes)


def test_emotions_that_the_predictions_cannot_name_are_without_log_loss_and_wrong_by_all_else(
    tmp_path: Path, say: Any
) -> None:
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
        "angry could not be predicted",
        f"without log loss: {lost} rows of angry, for which there are no probabilities",
    )
    assert f"log loss, of {240 - lost} rows" in say(path)[1]
    assert f"(of {240 - lost} rows)" in say(path, table(tmp_path / "b.csv", columns))[1]
    assert rest.notes == ()
    (line,) = (line for line in say(path, "-f", "csv")[1].splitlines() if ",log_loss," in line)
    assert line.split(",")[-2] == str(240 - lost)


def test_probabilities_that_are_highest_elsewhere_than_at_the_prediction_are_counted(tmp_path: Path) -> None:
    columns, said = made(), "another emotion than the predicted one has the highest probability"
    swapped = columns | {"p_sad": columns["p_angry"], "p_angry": columns["p_sad"]}
    count = sum(word in ("sad", "angry") for word in columns["predicted"])
    path = table(tmp_path / "a.csv", swapped)
    assert f"in {count} rows {said}" in report(path).runs[0].notes
    assert report(path, mapping={"calm": "neutral"}).runs[0].notes
    joined = report(table(tmp_path / "b.csv", columns), mapping={"sad": "neutral"}).runs[0]
    assert not [note for note in joined.notes if said in note]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_columns_of_probabilities_are_known_in_any_case(tmp_path: Path, kind: str) -> None:
    columns = made()
    loud = {f"P_{name[2:].title()}" if name[:2] == "p_" else name: values for name, values in columns.items()}
    paths = [str(tmp_path / f"{name}.{kind}") for name in "ab"]
    for path, held in zip(paths, (columns, loud | {"P_ID": list(range(240))}), strict=True):
        manifest_io.write(pa.table(held), path, kind)
    quiet, found = report(*paths).runs
    assert found.figures == quiet.figures
    assert found.notes == ()


def test_figures_of_fewer_rows_than_the_others_say_of_how_many(tmp_path: Path, say: Any) -> None:
    columns = dropped(made(), "confidence")
    columns["p_sad"][:9] = [2.0] * 9
    out = say(table(tmp_path / "a.csv", columns))[1]
    for figure in ("ECE", "log loss", "Brier score"):
        assert f"\n{figure}, of 231 rows " in out


def test_intervals_hold_their_values(predicted: str) -> None:
    found = report(predicted, by=("sex",)).runs[0]
    figures = [*found.figures.values(), *(one.recall for one in found.classes), *(g.uar for g in found.by["sex"])]
    assert all(one.low <= one.value <= one.high for one in found.figures.values())
    assert all(one.low < one.high for one in figures)


def test_tables_wider_than_a_terminal_are_broken_between_columns_and_others_never(
    tmp_path: Path, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [table(tmp_path / f"number-{k}.csv", made(seed=k)) for k in range(6)]
    piped = say(*paths)[1]
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sertool.talk.to_terminal", lambda: True)
    shown = say(*paths)[1]
    whole, broken = (re.split(r"\n\n(?=[A-Z])", text[text.index("\nRecall") :])[0] for text in (piped, shown))
    assert max(map(len, whole.splitlines())) > 80 >= max(map(len, broken.splitlines()))
    assert sorted(re.findall(r"number-.|\S+ \[.*?\]", broken)) == sorted(re.findall(r"number-.|\S+ \[.*?\]", whole))
    assert broken.count("\nneutral") == 2
    assert say(*paths, "-o", str(tmp_path / "out.txt"))[1] == ""
    assert (tmp_path / "out.txt").read_text() == piped


def test_p_values_of_many_pairs_are_said_to_be_uncorrected(tmp_path: Path, say: Any) -> None:
    paths = [table(tmp_path / f"{k}.csv", made(seed=k)) for k in range(4)]
    assert "p: of each of the 6 pairs by itself, not corrected for their number." in say(*paths)[1]
    assert "not corrected" not in say(*paths[:3])[1]


def test_seeds_are_averaged_with_their_deviation(tmp_path: Path) -> None:
    parts = [made(skill=skill, seed=seed) for seed, skill in enumerate((0.5, 0.6, 0.7))]
    columns = {name: [value for part in parts for value in part[name]] for name in parts[0]}
    columns["seed"] = np.repeat([0, 1, 2], 240).tolist()
    found = report(table(tmp_path / "all.csv", columns)).runs[0]
    alone = [report(table(tmp_path / f"{k}.csv", part)).runs[0].figures["uar"].value for k, part in enumerate(parts)]
    assert found.clips == 240
    assert found.figures["uar"].value == pytest.approx(np.mean(alone))
    assert found.figures["uar"].deviation == pytest.approx(np.std(alone, ddof=1))
    assert [one["uar"] for one in found.seeds.values()] == pytest.approx(alone)
    assert found.confusion.sum() == 720
    counted = [np.mean([part["predicted"].count(name) for part in parts]) for name in EMOTIONS]
    assert [one.answered for one in found.classes] == pytest.approx(counted, abs=0.5)


def test_a_strangers_column_called_like_a_probability_changes_nothing(tmp_path: Path, say: Any) -> None:
    alone = report(table(tmp_path / "a.csv", made(clips=40))).runs[0]
    strange = table(tmp_path / "b.csv", made(clips=40) | {"p_value": np.linspace(0.001, 0.9, 40).tolist()})
    assert report(strange).runs[0].figures == alone.figures
    told = say(strange)[1]
    assert "left out, as no emotion's probabilities: p_value" in told
    assert "sum to 1" not in told


def test_the_probability_of_an_emotion_that_nobody_knows_counts_though_it_is_never_true(tmp_path: Path) -> None:
    columns = made(clips=40)
    for name in EMOTIONS:
        columns[f"p_{name}"] = [0.9 * value for value in columns[f"p_{name}"]]
    found = report(table(tmp_path / "a.csv", columns | {"p_furore": [0.1] * 40})).runs[0]
    assert not [note for note in found.notes if "left out" in note or "sum to 1" in note]


@pytest.mark.parametrize("nameless", [False, True])
def test_a_seed_of_every_row_is_no_seed_of_runs(tmp_path: Path, say: Any, nameless: bool) -> None:
    columns = {name: values for name, values in made(clips=40).items() if name != "clip" or not nameless}
    alone = report(table(tmp_path / "a.csv", columns)).runs[0].figures
    strange = table(tmp_path / "b.csv", columns | {"seed": list(range(40))})
    found = report(strange).runs[0]
    assert (found.figures, found.seeds) == (alone, {})
    assert "all rows are one run: hardly any clip is answered under two values of the column seed" in say(strange)[1]


def test_pooled_and_mean_over_folds_are_named_apart(tmp_path: Path, say: Any) -> None:
    columns = made(skill=0.5)
    columns["fold"] = [int(speaker[4:]) % 3 for speaker in columns["speaker"]]
    path = table(tmp_path / "folds.csv", columns)
    found = report(path).runs[0]
    assert found.figures["uar_of_folds"].value == pytest.approx(np.mean(list(found.folds.values())))
    assert found.figures["uar_of_folds"].value != found.figures["uar"].value
    _, out, _ = say(path, "--resamples", "100")
    assert "UAR, pooled" in out
    assert "UAR, mean over folds" in out


def test_folds_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    columns = made() | {"fold": [(2, 10, 0, 1)[k % 4] for k in range(240)]}
    assert [*report(table(tmp_path / "a.csv", columns)).runs[0].folds] == ["0", "1", "2", "10"]


@pytest.mark.parametrize("speakers_of_a_fold", [1, 2])
def test_folds_count_in_each_resample_as_often_as_their_speakers_are_drawn(
    tmp_path: Path, speakers_of_a_fold: int
) -> None:
    """Where all speakers say each emotion equally often, a mean over speakers is the pooled one."""
    rng, speakers = np.random.default_rng(0), 10
    speaker, truth = np.divmod(np.arange(speakers * 40), 40)
    truth %= len(EMOTIONS)
    right = rng.random(len(truth)) < np.linspace(0.2, 0.9, speakers)[speaker]
    columns = {
        "speaker": [f"toy:{k}" for k in speaker],
        "fold": (speaker // speakers_of_a_fold).tolist(),
        "emotion": [EMOTIONS[k] for k in truth],
        "predicted": [EMOTIONS[k] for k in np.where(right, truth, (truth + 1) % len(EMOTIONS))],
    }
    found = report(table(tmp_path / "folds.csv", columns), bootstrap=Bootstrap()).runs[0].figures
    pooled, folds = found["uar"], found["uar_of_folds"]
    assert folds.value == pytest.approx(pooled.value)
    assert (folds.low, folds.high) == pytest.approx((pooled.low, pooled.high))


@pytest.mark.parametrize("speakers", [0, 5, 12])
def test_means_over_folds_equal_their_slow_twin(tmp_path: Path, speakers: int) -> None:
    """Which sums every fold over all units, be they in it or not."""
    rng = np.random.default_rng(0)
    first, second = (
        made(speakers=speakers or 3, seed=seed) | {"seed": [seed] * 240, "fold": rng.integers(0, 6, 240).tolist()}
        for seed in range(2)
    )
    joined = {name: [*values, *second[name][:200]] for name, values in first.items()}
    path = table(tmp_path / "a.parquet", joined if speakers else dropped(joined, "speaker"), "parquet")
    (run,) = runs(path)
    units = metrics.units_of(run.speaker)
    sums = np.stack([
        [metrics.tally_sums(units, run.truth, np.where(run.fold.index[seed] == fold, run.predicted[seed], -1), 4)
         for fold in range(6)] for seed in range(2)
    ]).transpose(2, 0, 1, 3, 4)  # fmt: skip
    held = sums[..., 1, :].any(-1)
    both = np.concatenate([sums.reshape(len(sums), -1), (held / held.sum(0)).reshape(len(sums), -1)], 1)
    drawn = metrics.resample(both, units.stratum, FEW.resamples, FEW.seed)
    tallies, shares = drawn[:, :-12].reshape(-1, 2, 6, 3, 4), drawn[:, -12:].reshape(-1, 2, 6)
    uars = metrics.uar(metrics.Tally(*np.moveaxis(tallies, -2, 0)))
    figure = report(path).runs[0].figures["uar_of_folds"]
    means = metrics.mean(metrics.mean(uars, weights=shares))
    assert (figure.low, figure.high) == pytest.approx(tuple(metrics.interval(means)), abs=1e-12)


def test_several_runs_of_folds_say_that_uar_is_pooled_wherever_it_is(
    tmp_path: Path, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = []
    for seed, name in enumerate("ab"):
        columns = made(seed=seed)
        columns["fold"] = [int(speaker[4:]) % 3 for speaker in columns["speaker"]]
        paths.append(table(tmp_path / f"{name}.csv", columns))
    text = say(*paths)[1]
    assert len(re.findall(r"UAR, pooled", text)) == 3
    assert "mean over folds" in text
    found = report(*paths)
    assert "<h2>UAR, pooled</h2>" in page.html(found)
    assert '<th scope="col">UAR, pooled</th>' in page.html(found)
    assert "pooled" not in page.html(report(*paths, where=("fold=0",)))

    pytest.importorskip("matplotlib")
    titles = []
    monkeypatch.setattr(charts, "save", lambda figure, _: titles.append(figure._suptitle.get_text()))
    charts.draw(found, str(tmp_path))
    assert any(title.startswith("UAR, pooled, % with 95 % interval") for title in titles)


def test_people_are_scored_by_each_vote_and_by_most_votes(tmp_path: Path) -> None:
    columns = {
        "emotion": ["sad", "sad", "angry", "angry"],
        "predicted": ["sad", "sad", "sad", "angry"],
        "votes_voice_sad": [3, 2, 0, None],
        "votes_voice_angry": [1, 2, 5, None],
        "votes_voice_neutral": [0, 0, 5, None],
    }
    found = report(table(tmp_path / "a.csv", columns)).runs[0]
    assert found.people_clips == 3
    assert found.people["votes_wa"].value == pytest.approx((0.75 + 0.5 + 0.5) / 3)
    assert found.people["votes_uar"].value == pytest.approx((0.625 + 0.5) / 2)
    assert found.people["plurality_wa"].value == pytest.approx((1 + 0.5 + 0.5) / 3)


def test_several_runs_show_people_and_worst_speakers_as_one_does(tmp_path: Path) -> None:
    votes = {f"votes_voice_{name}": [k % 3 for k in range(240)] for name in EMOTIONS[:2]}
    paths = [table(tmp_path / f"{name}.csv", made(seed=k) | (votes if k < 2 else {})) for k, name in enumerate("abc")]
    alone = [reports.text(report(path)) for path in paths[:2]]
    together = reports.text(report(*paths))
    people, worst = (together.partition(f"\n{title}\n")[2].partition("\n\n")[0].splitlines()
                     for title in ("People", "Worst speakers"))  # fmt: skip
    assert [line.split()[0] for line in people[1:]] == ["a", "b"]
    assert [line.split()[0] for line in worst[1:]] == [name for name in "abc" for _ in range(5)]
    for name, text in zip("ab", alone, strict=True):
        said = [line.split() for line in text.splitlines()]
        assert all(line.split()[1:] in said for line in worst[1:] if line.split()[0] == name)
        (row,) = (line.split() for line in people[1:] if line.split()[0] == name)
        assert row[2:5] == next(words[-3:] for words in said if words[:4] == ["people,", "each", "vote:", "UAR"])


def test_groups_are_scored_apart_and_ages_in_bands(predicted: str) -> None:
    found = report(predicted, by=("sex", "age", "speaker")).runs[0]
    assert [group.name for group in found.by["age"]] == ["18 to 29", "30 to 44", "45 to 59", "60 and over"]
    assert sum(group.clips for group in found.by["sex"]) == 240
    assert len(found.by["speaker"]) == 12
    one = found.by["speaker"][0]
    alone = report(predicted, where=(f"speaker={one.name}",)).runs[0]
    assert alone.figures["uar"].value == pytest.approx(one.uar.value)
    assert "has no language" in refused_by(predicted, "language")


def test_clips_are_grouped_by_any_column_of_few_values(tmp_path: Path) -> None:
    with (tmp_path / "own.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["emotion", "predicted", "condition", "rating", "Gender", "number"])
        rows.writerows([EMOTIONS[k % 4], EMOTIONS[k % 3], "ab"[k % 2], 8 + k % 5, "fm"[k % 2], k] for k in range(60))
    path = str(tmp_path / "own.csv")
    found = report(path, by=("condition", "rating", "gender")).runs[0].by
    assert [group.name for group in found["condition"]] == ["a", "b"]
    assert [group.name for group in found["rating"]] == ["8", "9", "10", "11", "12"]
    assert [group.name for group in found["gender"]] == ["female", "male"]
    assert "--by number: 60 different values, more than 50: put them into groups" in refused_by(path, "number")
    assert "has no mood; it has sex, condition, rating, number" in refused_by(path, "mood")
    (tmp_path / "own.jsonl").write_text('{"emotion": "sad", "predicted": "sad", "tags": ["a"]}\n'
                                        '{"emotion": "angry", "predicted": "sad", "tags": []}\n')  # fmt: skip
    assert "no single words or numbers" in refused_by(str(tmp_path / "own.jsonl"), "tags")


def seeded(columns: Columns, *others: Columns) -> Columns:
    """Runs of several seeds as one table."""
    parts = [columns, *others]
    joined = {name: [value for part in parts for value in part[name]] for name in columns}
    return joined | {"seed": np.repeat(range(len(parts)), [len(part["clip"]) for part in parts]).tolist()}


def test_groups_are_of_answers_where_a_column_differs_between_the_seeds_of_a_clip(tmp_path: Path) -> None:
    parts = [made(seed=seed) | {"fold": [(k + seed) % 2 for k in range(240)]} for seed in range(2)]
    found = report(table(tmp_path / "a.csv", seeded(*parts)), by=("seed", "fold", "predicted")).runs[0]
    alone = [report(table(tmp_path / f"{seed}.csv", part), by=("fold",)).runs[0] for seed, part in enumerate(parts)]
    assert [group.uar.value for group in found.by["seed"]] == pytest.approx([run.figures["uar"].value for run in alone])
    for fold in range(2):
        both = [run.by["fold"][fold].uar.value for run in alone]
        assert found.by["fold"][fold].uar.value == pytest.approx(np.mean(both))
        assert found.by["fold"][fold].clips == 240
    for group in found.by["predicted"]:
        assert group.clips == sum(group.name in words for words in zip(*(p["predicted"] for p in parts), strict=True))


def test_what_any_row_of_a_clip_knows_is_known(tmp_path: Path) -> None:
    first, second = made(), made(seed=1)
    path = table(tmp_path / "a.csv", seeded(first | {"sex": [None] * 240, "speaker": [None] * 240}, second))
    found = report(path, by=("sex",)).runs[0]
    assert [(group.name, group.clips) for group in found.by["sex"]] == [("female", 120), ("male", 120)]
    assert found.speakers == 12


def refused_by(path: str, name: str) -> str:
    with pytest.raises(SertoolError) as caught:
        report(path, by=(name,))
    return str(caught.value)


def test_the_worst_speakers_come_first(predicted: str) -> None:
    found = report(predicted).runs[0]
    values = [uar for _, _, uar in found.each_speaker]
    assert values == sorted(values)
    assert [group.uar.value for group in found.worst] == pytest.approx(values[: len(found.worst)])


def test_speakers_who_are_heard_as_well_stand_in_the_order_of_their_names(tmp_path: Path) -> None:
    speakers = [f"s{number:02d}" for number in np.random.default_rng(0).permutation(40)]
    rows = [f"{name},{truth},{'sad' if name < 's20' else truth}" for name in speakers for truth in ("sad", "angry")]
    (tmp_path / "p.csv").write_text("\n".join(["speaker,emotion,predicted", *rows]))
    found = report(str(tmp_path / "p.csv")).runs[0]
    assert [name for name, _, _ in found.each_speaker] == sorted(speakers)


def test_few_speakers_are_said_to_be_few(tmp_path: Path) -> None:
    found = report(table(tmp_path / "a.csv", made(speakers=7))).runs[0]
    assert "within the 7 speakers" in found.bootstrap
    assert report(table(tmp_path / "b.csv", made(speakers=8))).runs[0].bootstrap == "over 8 speakers"


@pytest.mark.parametrize(("speakers", "is_said"), [(7, False), (8, True), (19, True), (20, False)])
def test_intervals_and_p_over_few_speakers_are_said_to_promise_too_much(
    tmp_path: Path, speakers: int, is_said: bool
) -> None:
    paths = [table(tmp_path / f"{name}.csv", made(speakers=speakers)) for name in "ab"]
    one, both = (" ".join(wording.methods(report(*given))) for given in (paths[:1], paths))
    says = "Of 8 to 19 speakers such intervals hold the truth in about 90 % of cases, not in 95 %"
    assert (f"{says}." in one, f"{says}; p is below .05 by chance" in both) == (is_said, is_said)


def test_confidence_that_is_no_probability_is_left_out(tmp_path: Path) -> None:
    columns = made()
    columns["confidence"] = [100 * value for value in columns["confidence"]]
    columns["p_sad"] = [value + 0.5 for value in columns["p_sad"]]
    found = report(table(tmp_path / "a.csv", columns)).runs[0]
    assert not {"ece", "log_loss", "brier"} & set(found.figures)
    assert len(found.notes) == 2


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_rounding_error_beyond_0_and_1_costs_no_figure(tmp_path: Path, kind: str) -> None:
    columns = made()
    wanted = report(table(tmp_path / f"a.{kind}", columns, kind)).runs[0]
    columns["confidence"][0], columns["confidence"][1] = 1.0000001, -1e-10
    columns["p_neutral"][0] += columns["p_sad"][0]
    columns["p_sad"][0] = -1e-10
    found = report(table(tmp_path / f"b.{kind}", columns, kind)).runs[0]
    assert found.figures.keys() == wanted.figures.keys()
    assert (found.rows_with, found.notes) == ({}, wanted.notes)


def test_probabilities_of_two_decimals_sum_to_one_whatever_their_number(tmp_path: Path) -> None:
    columns = made(clips=8)
    columns |= {f"p_{name}": [0.26] * 4 + [0.25] * 3 + [0.3] for name in EMOTIONS[:2]}
    columns |= {f"p_{name}": [0.25] * 4 + [0.24] * 3 + [0.3] for name in EMOTIONS[2:]}
    (note,) = (note for note in report(table(tmp_path / "a.csv", columns)).runs[0].notes if "sum to 1" in note)
    assert note.startswith("without log loss and Brier: 1 row of")


@pytest.mark.parametrize("perceived", [True, False])
def test_people_are_not_praised_for_labels_that_are_their_own_votes(tmp_path: Path, perceived: bool) -> None:
    columns, rng = made(), np.random.default_rng(0)
    votes = rng.integers(0, 6, (240, len(EMOTIONS)))
    columns |= {f"votes_voice_{name}": votes[:, k].tolist() for k, name in enumerate(EMOTIONS)}
    if perceived:
        columns["emotion"] = [EMOTIONS[k] for k in votes.argmax(1)]
    found = report(table(tmp_path / "a.csv", columns)).runs[0]
    said = [note for note in found.notes if "the figures of people are of their own votes" in note]
    assert bool(said) == perceived


def test_windows_of_a_clip_are_rows_of_their_own(tmp_path: Path) -> None:
    columns = dropped(made(clips=80), "speaker")
    columns["clip"] = [f"toy/{k // 4}" for k in range(80)]
    columns["start"] = [float(k % 4) for k in range(80)]
    assert report(table(tmp_path / "a.csv", columns)).runs[0].clips == 80


@pytest.mark.parametrize("speakers", [0, 2, 12])
def test_windows_of_a_clip_are_counted_as_such_and_drawn_together(tmp_path: Path, speakers: int) -> None:
    """Each clip ten times over says nothing more: the intervals stay what they are of the clips alone."""
    alone = made(clips=120, speakers=speakers or 1)
    alone = alone if speakers else dropped(alone, "speaker")
    windows = {name: [value for value in values for _ in range(10)] for name, values in alone.items()}
    windows["start"] = [float(k % 10) for k in range(1200)]
    one, ten = (report(table(tmp_path / f"{k}.csv", each)).runs[0] for k, each in enumerate((alone, windows)))
    assert (one.clips, one.windows_of, ten.clips, ten.windows_of) == (120, None, 1200, 120)
    assert wording.title(ten).startswith("1,200 windows of 120 clips of ")
    for name in ("uar", "wa", "ece"):
        assert ten.figures[name].low == pytest.approx(one.figures[name].low, abs=1e-6)
        assert ten.figures[name].high == pytest.approx(one.figures[name].high, abs=1e-6)
    both = report(*[table(tmp_path / f"{k}.csv", windows) for k in "ab"])
    assert "with all their windows" in both.comparisons[0].bootstrap or speakers == 12
    assert wording.methods(both)[-1].startswith("McNemar's test takes the windows of a clip for independent")


def test_windows_of_clips_without_speakers_are_drawn_together_beside_many_speakers() -> None:
    speaker, whole = np.array([*range(8), -1, -1, -1]), np.array([*range(8), 8, 9, 8])
    units = metrics.units_of(speaker, whole)
    assert units.of_clip[8] == units.of_clip[10]
    assert len(np.unique(units.of_clip)) == len(units.stratum) == 10


def test_seeds_of_a_clip_are_no_windows(tmp_path: Path) -> None:
    columns = {name: 2 * values for name, values in made(clips=40).items()} | {"seed": [0] * 40 + [1] * 40}
    found = report(table(tmp_path / "a.csv", columns | {"start": [0.0] * 80})).runs[0]
    assert (found.clips, found.windows_of) == (40, None)


def test_channels_of_a_clip_are_rows_of_their_own(tmp_path: Path) -> None:
    columns = dropped(made(clips=80), "speaker")
    columns |= {"clip": [f"toy/{k // 4}" for k in range(80)], "start": [float(k // 2 % 2) for k in range(80)]}
    columns["channel"] = [1 + k % 2 for k in range(80)]
    assert report(table(tmp_path / "a.csv", columns)).runs[0].clips == 80
    columns["start"] = [0.0] * 80
    assert "is predicted twice" in refused(table(tmp_path / "a.csv", columns))


# Comparing.


def test_identical_runs_differ_by_nothing(tmp_path: Path, predicted: str) -> None:
    other = table(tmp_path / "again.csv", made())
    pair = report(predicted, other).comparisons[0]
    for difference in pair.figures.values():
        assert (difference.value, difference.low, difference.high, difference.p) == (0, 0, 0, 1)
    assert pair.mcnemar["p"] == 1


def test_a_better_run_is_better_by_both_tests_and_the_other_way_round_worse(tmp_path: Path, predicted: str) -> None:
    better = table(tmp_path / "better.csv", made(skill=0.9, seed=1))
    pair, back = report(predicted, better).comparisons[0], report(better, predicted).comparisons[0]
    assert pair.figures["uar"].low > 0
    assert pair.figures["uar"].p < 0.05
    assert pair.mcnemar["p"] < 0.01
    assert back.figures["uar"].value == pytest.approx(-pair.figures["uar"].value)
    assert back.mcnemar["only_first"] == pair.mcnemar["only_second"]


def test_the_paired_interval_is_narrower_than_that_of_unrelated_runs(tmp_path: Path) -> None:
    columns, rng = made(clips=1200, speakers=20, skill=0.5), np.random.default_rng(0)
    other = columns | {"predicted": [truth if rng.random() < 0.05 else guess for truth, guess in
                                     zip(columns["emotion"], columns["predicted"], strict=True)]}  # fmt: skip
    found = report(table(tmp_path / "a.csv", columns), table(tmp_path / "b.csv", other), bootstrap=Bootstrap(1000))
    one, two = (run.figures["uar"] for run in found.runs)
    unpaired = np.hypot(one.high - one.low, two.high - two.low)
    pair = found.comparisons[0].figures["uar"]
    assert pair.high - pair.low < 0.5 * unpaired


def test_runs_are_compared_on_the_clips_that_both_have_in_any_order(tmp_path: Path, predicted: str) -> None:
    columns = made(seed=3)
    order = np.random.default_rng(0).permutation(240)[:100]
    part = {name: [values[k] for k in order] for name, values in columns.items()}
    other = table(tmp_path / "part.csv", part)
    pair = report(predicted, other).comparisons[0]
    alone = report(predicted, where=("clip=" + "|".join(part["clip"]),)).runs[0].figures["uar"].value
    assert pair.clips == 100
    assert pair.figures["uar"].value == pytest.approx(report(other).runs[0].figures["uar"].value - alone)


@pytest.mark.parametrize("seeds", [2, 3])
def test_runs_of_several_seeds_are_compared_on_the_answers_that_both_have(tmp_path: Path, seeds: int) -> None:
    """Else what is easy, and answered by one of them only, would count for it."""
    parts = [made(seed=seed) for seed in range(seeds)]
    whole = seeded(*parts)
    easy = np.array(whole["emotion"]) == np.array(whole["predicted"])
    left_out = easy & (np.array(whole["seed"]) == 1) & (np.arange(len(easy)) % 240 < 120)
    lacking = {name: [value for value, out in zip(values, left_out, strict=True) if not out]
               for name, values in seeded(*parts).items()}  # fmt: skip
    paths = [table(tmp_path / "whole.csv", whole), table(tmp_path / "lacking.csv", lacking)]
    (pair,) = report(*paths).comparisons
    assert (pair.figures["uar"].value, pair.figures["wa"].value) == (0, 0)
    assert pair.clips == 240
    (unlike,) = report(table(tmp_path / "one.csv", parts[0]), paths[1]).comparisons
    assert unlike.clips == 240 - left_out.sum()


def test_runs_without_a_clip_in_common_are_not_compared(tmp_path: Path, predicted: str, say: Any) -> None:
    columns = made()
    columns["clip"] = [f"other/{k}" for k in range(240)]
    other = table(tmp_path / "other.csv", columns)
    page = tmp_path / "page.html"
    code, out, _ = say(predicted, other, "--html", str(page))
    assert code == 0
    assert re.search(r"one +other +none", out)
    assert "no clip in common" in page.read_text()


def test_runs_in_one_table_are_told_apart_by_their_name(tmp_path: Path) -> None:
    parts = [made(seed=seed) for seed in range(2)]
    columns = {name: parts[0][name] + parts[1][name] for name in parts[0]}
    columns["run"] = ["first"] * 240 + ["second"] * 240
    found = report(table(tmp_path / "both.csv", columns))
    assert [run.name for run in found.runs] == ["first", "second"]
    assert found.comparisons[0].clips == 240


def test_files_named_alike_are_told_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        table(tmp_path / name / "predictions.csv", made())
    paths = [str(tmp_path / name / "predictions.csv") for name in ("a", "b", "b")]
    assert [run.run.name for run in runs(*paths[:2])] == [path.removesuffix(".csv") for path in paths[:2]]
    assert len({run.run.name for run in runs(*paths)}) == 3


def test_clips_without_names_are_paired_by_order_or_not_at_all(tmp_path: Path) -> None:
    truth = ["sad", "angry", "sad", "angry"]
    one = two(tmp_path / "a.csv", truth, truth)
    other = two(tmp_path / "b.csv", truth, ["sad"] * 4)
    assert report(one, other).comparisons[0].figures["wa"].value == -0.5
    third = two(tmp_path / "c.csv", truth[::-1], truth)
    assert "cannot be paired" in refused(one, third)


@pytest.mark.parametrize("indent", [None, 2])
def test_clips_that_a_json_document_holds_by_name_are_paired_by_name(tmp_path: Path, indent: int | None) -> None:
    words = EMOTIONS * 6
    rows = {f"c{k}": {"emotion": word, "predicted": words[k - k % 2]} for k, word in enumerate(words)}
    for name, held in (("a.json", rows), ("b.json", dict(reversed(rows.items())))):
        (tmp_path / name).write_text(json.dumps(held, indent=indent))
    (pair,) = report(str(tmp_path / "a.json"), str(tmp_path / "b.json")).comparisons
    assert (pair.clips, pair.mcnemar["only_first"], pair.mcnemar["only_second"]) == (24, 0, 0)


def test_runs_that_disagree_about_the_truth_are_refused(tmp_path: Path, predicted: str) -> None:
    columns = made()
    columns["emotion"][5] = "happy" if columns["emotion"][5] != "happy" else "sad"
    assert "clip toy/5 is" in refused(predicted, table(tmp_path / "other.csv", columns))


# The command.


def test_min_uar_decides_the_exit_code(predicted: str, say: Any) -> None:
    code, out, err = say(predicted, "--min-uar", ".99", "--resamples", "100")
    assert code == 1
    assert "UAR" in out
    assert re.fullmatch(r"sertool: UAR below --min-uar 0.99: one 0\.\d+\n", err)
    assert say(predicted, "--min-uar", "0.3", "--resamples", "100")[0] == 0


@pytest.mark.parametrize("words", [["--by", "shoe-size"], ["--min-uar", "60"], ["-o", "x.docx"], ["missing.csv"]])
def test_wrong_usage_exits_2_with_one_line(predicted: str, say: Any, words: list[str]) -> None:
    code, out, err = say(predicted, *words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_json_holds_what_a_makefile_needs(predicted: str, say: Any) -> None:
    code, out, _ = say(predicted, "-f", "json", "--by", "sex", "--resamples", "100")
    held = json.loads(out)
    assert code == 0
    run = held["runs"][0]
    assert set(run["figures"]["uar"]) == {"value", "low", "high", "deviation"}
    assert np.array(run["confusion"]).shape == (4, 4)
    assert held["emotions"] == list(EMOTIONS)
    assert len(run["by"]["sex"]) == 2


def test_clips_without_a_value_stand_in_the_table_too(tmp_path: Path, say: Any) -> None:
    columns = made()
    columns["sex"] = [sex if k >= 97 else None for k, sex in enumerate(columns["sex"])]
    path = table(tmp_path / "a.csv", columns)
    found = report(path, by=("sex",)).runs[0].by["sex"]
    assert [one.name for one in found] == ["female", "male", "(not known)"]
    assert [one.clips for one in found] == [71, 72, 97]
    assert re.search(r"^\(not known\) +97 ", say(path, "--by", "sex", "--resamples", "100")[1], re.MULTILINE)


def test_csv_has_one_figure_a_line(tmp_path: Path, predicted: str, say: Any) -> None:
    other = table(tmp_path / "other.csv", made(seed=1))
    _, out, _ = say(predicted, other, "-f", "csv", "--resamples", "100")
    rows = list(csv.DictReader(io.StringIO(out)))
    uar = [row for row in rows if (row["table"], row["figure"], row["run"]) == ("figures", "uar", "one")]
    assert len(uar) == 1
    assert float(uar[0]["low"]) <= float(uar[0]["value"]) <= float(uar[0]["high"])
    assert {row["against"] for row in rows if row["table"] == "difference"} == {"one"}
    assert not any(value == "nan" for row in rows for value in row.values())


def test_a_name_of_several_lines_is_one_cell_of_csv(tmp_path: Path, say: Any) -> None:
    path = table(tmp_path / "a.parquet", made() | {"room": ["here", "not\rhere"] * 120}, "parquet")
    _, out, _ = say(path, "-f", "csv", "--by", "room", "--resamples", "100")
    named = {row["row"] for row in csv.DictReader(io.StringIO(out, newline=""))}
    assert any("not\rhere" in name for name in named), named


def test_csv_has_every_table_that_people_get(tmp_path: Path, say: Any) -> None:
    paths = []
    for name in "ab":
        parts = [made(seed=seed + ord(name)) | {"seed": [seed] * 240, "fold": [0, 1, 2] * 80} for seed in range(2)]
        paths.append(table(tmp_path / f"{name}.csv", {key: parts[0][key] + parts[1][key] for key in parts[0]}))
    rows = list(csv.DictReader(io.StringIO(say(*paths, "-f", "csv", "--resamples", "100")[1])))
    found, (pair,) = report(*paths).runs[1], report(*paths).comparisons

    def values(table: str, figure: str, cell: str = "value") -> list[float]:
        return [float(row[cell]) for row in rows if (row["run"], row["table"], row["figure"]) == ("b", table, figure)]

    assert values("figures", "uar", "deviation") == [found.figures["uar"].deviation]
    assert values("seed", "wa") == [figures["wa"] for figures in found.seeds.values()]
    assert values("fold", "uar") == [*found.folds.values()]
    assert values("mcnemar", "only_first") == [pair.mcnemar["only_first"]]
    assert values("mcnemar", "only_second", "p") == [pair.mcnemar["p"]]


def test_tables_of_every_format_are_rectangular(predicted: str, say: Any) -> None:
    _, out, _ = say(predicted, "-f", "markdown", "--by", "age", "--resamples", "100")
    tables = re.findall(r"(?:^\|.*\n)+", out, re.MULTILINE)
    assert len(tables) >= 6
    for one in tables:
        assert len({line.count("|") for line in one.splitlines()}) == 1


def test_the_format_follows_the_extension_of_out(tmp_path: Path, predicted: str, say: Any) -> None:
    out = tmp_path / "scores.json"
    assert say(predicted, "-o", str(out), "--resamples", "100")[1] == ""
    assert json.loads(out.read_text())["resamples"] == 100


def test_the_same_command_says_the_same_again(predicted: str, say: Any) -> None:
    assert say(predicted, "--seed", "3") == say(predicted, "--seed", "3")
    assert say(predicted, "--seed", "3")[1] != say(predicted, "--seed", "4")[1]


def test_titles_say_what_was_scored(tmp_path: Path, say: Any) -> None:
    columns = made()
    columns["split"] = ["dev"] * 240
    _, out, _ = say(table(tmp_path / "run.csv", columns), "--resamples", "100")
    assert out.startswith("run: dev, 240 clips of 12 speakers\n")


class Tags(html.parser.HTMLParser):
    """Counts what is opened and closed, and keeps what a browser would fetch."""

    EMPTY = ("meta", "line", "circle", "rect", "polyline", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag


@pytest.mark.parametrize("count", [1, 3])
def test_the_page_is_whole_by_itself(tmp_path: Path, say: Any, count: int) -> None:
    paths = []
    for seed in range(count):
        columns = made(seed=seed)
        columns["speaker"] = [f"<b>&{name}" for name in columns["speaker"]]
        paths.append(table(tmp_path / f"run<{seed}>.csv", columns))
    page = tmp_path / "report.html"
    code, _, err = say(*paths, "--html", str(page), "--resamples", "100")
    assert code == 0
    assert str(page) in err
    text, tags = page.read_text(), Tags()
    tags.feed(text)
    assert tags.open == []
    assert "script" not in tags.seen
    assert tags.fetched == []
    assert "url(" not in text
    assert "prefers-color-scheme" in text
    assert "<b>&toy" not in text
    assert "run<0>" not in text
    assert not re.search(r"\bnan\b", text)


def test_a_page_on_stdout_stands_there_alone(tmp_path: Path, predicted: str, say: Any) -> None:
    code, out, err = say(predicted, "--html", "-", "--resamples", "100")
    assert (code, err) == (0, "")
    assert out.startswith("<!doctype html>")
    assert out.endswith("</html>\n")
    beside = tmp_path / "beside.txt"
    assert say(predicted, "--html", "-", "-o", str(beside), "--resamples", "100")[1] == out
    assert beside.read_text().startswith("one: 240 clips")


@pytest.mark.parametrize("name", ["manifest", None])
def test_a_folder_that_holds_a_table_is_told_by_the_name_of_that(tmp_path: Path, say: Any, name: str | None) -> None:
    if name:
        table(tmp_path / f"{name}.parquet", made(), "parquet")
    hint = f": name {tmp_path / name}.parquet" if name else ""
    assert say(str(tmp_path)) == (2, "", f"sertool: {tmp_path} is a folder, not a manifest{hint}\n")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "tsv"])
def test_figures_are_those_of_the_numbers_as_they_were_written(tmp_path: Path, kind: str) -> None:
    columns = made(clips=20)
    path = tmp_path / f"exact.{kind}"
    manifest_io.write(pa.table(columns), str(path), kind)
    chances = np.array([columns[f"p_{name}"] for name in EMOTIONS])
    right = chances[[EMOTIONS.index(word) for word in columns["emotion"]], range(20)]
    found = report(str(path)).runs[0].figures
    assert abs(found["log_loss"].value + np.log(right).mean()) < 1e-9
    assert abs(found["brier"].value - ((chances**2).sum(0) - 2 * right + 1).mean()) < 1e-9
    bins = np.minimum((15 * chances.max(0)).astype(int), 14)
    gap = np.array(columns["confidence"]) - (np.array(columns["emotion"]) == columns["predicted"])
    assert abs(found["ece"].value - sum(abs(gap[bins == k].sum()) for k in range(15)) / 20) < 1e-9


def test_plots_are_drawn_for_one_run_and_for_several(tmp_path: Path, predicted: str, say: Any) -> None:
    pytest.importorskip("matplotlib")
    other = table(tmp_path / "other run.csv", made(seed=1))
    say(predicted, "--plot", str(tmp_path / "one"), "--resamples", "100")
    drawn = {path.name for path in (tmp_path / "one").iterdir()}
    assert drawn == {"confusion.png", "reliability.png", "curves.png", "speakers.png", "recall.png"}
    say(predicted, other, "--plot", str(tmp_path / "two"), "--resamples", "100")
    drawn = {path.name for path in (tmp_path / "two").iterdir()}
    assert {"comparison.png", "recall.png", "confusion-one.png", "confusion-other-run.png"} <= drawn
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (tmp_path / "two").iterdir())


def test_runs_of_like_names_have_pictures_of_their_own(tmp_path: Path, say: Any) -> None:
    pytest.importorskip("matplotlib")
    paths = [table(tmp_path / f"a{mark}b.csv", made(seed=seed)) for seed, mark in enumerate(" -")]
    say(*paths, "--plot", str(tmp_path / "drawn"), "--resamples", "100")
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "drawn").glob("confusion*")}
    assert sorted(drawn) == ["confusion-a-b-2.png", "confusion-a-b.png"]
    assert len(set(drawn.values())) == 2


def test_names_of_any_length_and_letters_leave_room_for_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")

    def saved(figure: Any, path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure.savefig(io.BytesIO(), format="png")
        pictures.pyplot().close(figure)

    monkeypatch.setattr(charts, "save", saved)
    columns = made()
    columns["speaker"] = [f"{name} {'W' * 100}" for name in columns["speaker"]]
    longer = {name: f"{name} {'M' * 27} $a_" for name in EMOTIONS}
    columns |= {name: [longer[word] for word in columns[name]] for name in ("emotion", "predicted")}
    paths = [table(tmp_path / f"{k}{'R' * 100}.csv", {k: v for k, v in columns.items() if k[:2] != "p_"}) for k in "ab"]
    assert "comparison.png" in charts.draw(report(*paths), str(tmp_path))


def test_runs_of_unlike_clips_show_the_count_and_the_chance_of_each(
    tmp_path: Path, predicted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = {name: [v for v, word in zip(values, made()["emotion"], strict=True) if word in EMOTIONS[:2]]
            for name, values in made().items()}  # fmt: skip
    found = report(predicted, table(tmp_path / "half.csv", half), by=("sex",))
    text, (one, other) = page.html(found), found.runs
    assert "by chance, 25.0 % with 4 emotions, 50.0 % with 2 emotions" in text
    recalls, by = (text[text.index(f"<h2>{title}") :].partition("</section>")[0] for title in ("Recall", "UAR by sex"))
    assert f">{one.classes[0].clips}</td>" in recalls
    assert f"<div>{one.classes[2].clips}</div><div>0</div></td>" in recalls
    pairs = [*zip(one.by["sex"], other.by["sex"], strict=True)]
    assert all(f"<div>{a.clips}</div><div>{b.clips}</div></td>" in by for a, b in pairs)

    pytest.importorskip("matplotlib")
    labels = []
    monkeypatch.setattr(charts, "save", lambda figure, _: labels.extend(figure.axes[0].get_yticklabels()))
    charts.draw(found, str(tmp_path))
    assert {f"neutral ({one.classes[0].clips})", f"sad ({one.classes[2].clips}; 0)"} <= {x.get_text() for x in labels}


@pytest.mark.slow
def test_titles_of_pictures_are_whole_and_say_what_leaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    titles = {}

    def saved(figure: Any, path: Path) -> None:
        figure.canvas.draw()
        title = figure._suptitle  # as others know it, by `get_suptitle`, only since matplotlib 3.8
        extent = title.get_window_extent()
        assert extent.x0 >= 0
        assert extent.x1 <= figure.bbox.x1, path
        assert min(axes.get_window_extent().height for axes in figure.axes) > 60, path
        titles[path.name] = title.get_text().replace("\n", " ")
        pictures.pyplot().close(figure)

    monkeypatch.setattr(charts, "save", saved)
    columns = made(clips=60, speakers=3) | {"adapted": ["transductive"] * 60, "split": ["train", "test"] * 30}
    path = table(tmp_path / f"{'W' * 30}.parquet", columns, "parquet")
    charts.draw(report(path), str(tmp_path))
    charts.draw(report(path, table(tmp_path / "b.parquet", made(clips=60), "parquet")), str(tmp_path))
    assert len(titles) == 14
    for name, title in titles.items():
        if not name.endswith("-b.png"):
            assert "adapted to each speaker (transductive)" in title, name
            assert "LEAKY: 3 of the speakers are in train too" in title, name


def test_nothing_but_the_files_is_said_of_pictures(tmp_path: Path, predicted: str, say: Any) -> None:
    pytest.importorskip("matplotlib")
    columns = made()
    strangers = {"clip": [f"other {name}" for name in columns["clip"]], "sentence": ["\u60c5"] * 240}
    strangers["speaker"] = [f"\u60c5 {name}" for name in columns["speaker"]]
    other = table(tmp_path / "other.csv", columns | strangers)
    code, _, err = say(predicted, other, "--plot", str(tmp_path / "drawn"), "--resamples", "100")
    assert (code, len(err.splitlines())) == (0, 1)
    assert not (tmp_path / "drawn" / "comparison.png").exists()


def test_eval_imports_nothing_heavy(tmp_path: Path) -> None:
    path = table(tmp_path / "many.csv", made(clips=10_000, speakers=91))
    heavy = ("torch", "sklearn", "scipy", "matplotlib", "librosa", "soundfile", "rich")
    script = (
        f"import sys; from sertool import cli; cli.run(['eval', {path!r}, '--html', {str(tmp_path / 'a.html')!r}]); "
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"
    assert "10,000 clips of 91 speakers" in done.stdout


def test_the_examples_of_the_help_are_options_that_exist() -> None:
    from sertool.commands import eval as command

    known = {name for parameter in command.command.params for name in parameter.opts}
    used = set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", re.sub(r"sertool train[^|]*", "", command.EPILOG)))
    assert used <= known
