"""eval reads answers in any format and under any names."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from running import sertool
from scored_tables import EMOTIONS, made, refused, report, table, two

from sertool.manifests import formats, manifest, manifest_io, provenance


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_gives_the_same_figures(tmp_path: Path, predicted: str, kind: str) -> None:
    other = table(tmp_path / f"other.{kind}", made(), kind)
    expected, found = report(predicted).runs[0], report(other).runs[0]
    assert np.array_equal(found.confusion, expected.confusion)
    for name, figure in expected.figures.items():
        assert found.figures[name].value == pytest.approx(figure.value, abs=1e-6)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_run_read_from_a_pipe_is_named_pipe(tmp_path: Path) -> None:
    two(tmp_path / "p.csv", ["sad", "happy"] * 8, ["sad", "happy"] * 8)
    line = f"{sys.executable} -m sertool eval <(cat {tmp_path / 'p.csv'})"
    assert subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout.startswith(b"pipe: ")


@pytest.mark.parametrize("header", ["emotion,predicted", "y_true,y_pred"])
def test_repeated_headers_in_concatenated_predictions_are_skipped(tmp_path: Path, header: str) -> None:
    path = tmp_path / "p.csv"
    two(path, ["sad", "happy"] * 8, ["sad", "happy"] * 8, header)
    wanted = sertool("eval", path, "-f", "json").out
    text = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*text[:9], text[0], *text[9:]]))
    done = sertool("eval", path, "-f", "json")
    assert done.out == wanted
    assert "1 more header left out" in done.err


@pytest.mark.parametrize("header", ["y_true,y_pred", "truth,predicted", "Label,Prediction", "\ufefftarget,pred",
                                    "true_emotion,predicted_emotion", "emotion_true,emotion_pred"])  # fmt: skip
def test_two_columns_with_common_names_are_sufficient(tmp_path: Path, header: str) -> None:
    path = two(tmp_path / "two.csv", ["angry", "sad", "sad"], ["angry", "sad", "angry"], header)
    found = report(path).runs[0]
    assert found.figures["uar"].value == pytest.approx(0.75)
    assert found.speakers == 0
    assert "speakers unknown" in found.bootstrap


@pytest.mark.parametrize("header", ["emotion,predicted", "y_true,y_pred"])
def test_predictions_after_hundreds_of_feature_columns_are_read(tmp_path: Path, header: str) -> None:
    rows = [",".join(["0.5"] * 700 + [word] * 2) for word in ("sad", "happy")]
    names = ",".join(f"feature_{k}" for k in range(700))
    (tmp_path / "p.csv").write_text("\n".join([f"{names},{header}", *rows]))
    assert report(str(tmp_path / "p.csv")).runs[0].figures["uar"].value == 1


@pytest.mark.parametrize("separator", ["\t", ","])
@pytest.mark.parametrize("names", [("y_true", "y_pred"), ("emotion", "predicted")])
def test_table_with_an_unnamed_index_column_is_read(tmp_path: Path, separator: str, names: tuple[str, ...]) -> None:
    lines = [("", *names), ("0", "sad", "sad"), ("1", "happy", "sad")]
    (tmp_path / "p.tsv").write_text("\n".join(map(separator.join, lines)))
    assert report(str(tmp_path / "p.tsv")).runs[0].figures["uar"].value == pytest.approx(0.5)


def test_lines_ending_in_carriage_returns_are_read(tmp_path: Path) -> None:
    for header in ("emotion;predicted", "truth;pred"):
        (tmp_path / "m.csv").write_bytes(f"{header}\ra;a\rb;b\rb;a\r".encode())
        assert report(str(tmp_path / "m.csv")).runs[0].figures["uar"].value == pytest.approx(0.75)


@pytest.mark.parametrize("header", [b"Wahr;pred", b"Wahr;predicted"])
def test_non_utf8_text_is_refused_naming_line_and_column(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "p.csv").write_bytes(header + b"\nm\xfcde;sad\n")
    says = refused(str(tmp_path / "p.csv"), truth="Wahr")
    assert "p.csv: " in says
    assert "line 2 is not UTF-8, in column Wahr: save it as CSV UTF-8" in says
    assert "semicolons" not in says  # which is no format that anybody asked for


def test_excel_workbook_is_refused_with_advice_to_save_as_csv(tmp_path: Path) -> None:
    (tmp_path / "p.xlsx").write_bytes(b"PK\3\4" + bytes(100))
    assert "an Excel workbook, or another archive: save it as CSV UTF-8" in refused(str(tmp_path / "p.xlsx"))


def test_column_and_label_aliases_of_index_are_recognised_by_eval(tmp_path: Path) -> None:
    lines = ["class,pred,actor,gender", *(f"sad,sad,s{k % 9},F" for k in range(18)), "angry,sad,s0,M"]
    (tmp_path / "p.csv").write_text("\n".join(lines))
    found = report(str(tmp_path / "p.csv"), by=("sex",)).runs[0]
    assert found.bootstrap == "over 9 speakers"
    assert [group.name for group in found.by["sex"]] == ["female", "male"]


def test_column_chosen_as_prediction_is_not_also_read_as_speaker(tmp_path: Path) -> None:
    path = two(tmp_path / "two.csv", ["a", "b", "b"], ["a", "b", "a"], "text,actor")
    assert report(path, truth="text", predicted="actor").runs[0].speakers == 0


def test_report_without_speakers_suggests_a_speaker_column(tmp_path: Path, say: Callable[..., Any]) -> None:
    _, out, _ = say(two(tmp_path / "two.csv", ["a", "b", "b"], ["a", "b", "a"]))
    assert "a column speaker (or speaker_id, spk, actor, subject) would tell, or another that --speaker names" in out


def test_truth_and_prediction_columns_can_have_any_name(tmp_path: Path) -> None:
    path = two(tmp_path / "two.csv", ["a", "b", "b"], ["a", "b", "a"], "said,heard")
    assert report(path, truth="said", predicted="heard").runs[0].figures["wa"].value == pytest.approx(2 / 3)
    assert "said" in refused(path, truth="nowhere", predicted="heard")


def test_rows_are_chosen_by_the_tables_own_names_of_columns_or_by_ours(tmp_path: Path) -> None:
    path = two(tmp_path / "two.csv", ["a", "b", "b", "c"], ["a", "b", "a", "c"], "text,yhat")
    for name in ("text", "emotion"):
        found = report(path, truth="text", predicted="yhat", where=(f"{name}!=c",)).runs[0]
        assert (found.clips, found.figures["wa"].value) == (3, pytest.approx(2 / 3))
    assert "no column tone; there are" in refused(path, truth="text", predicted="yhat", where=("tone=c",))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_speaker_column_can_have_any_name(tmp_path: Path, say: Callable[..., Any], kind: str) -> None:
    columns = made() | {"who": [k % 9 for k in range(240)]}
    path = str(tmp_path / f"a.{kind}")
    with Path(path).open("wb") as stream:
        formats.encode([pa.table(columns)], stream, kind)
    assert report(path).runs[0].speakers == 12
    found = report(path, speaker="who", by=("speaker",)).runs[0]
    assert found.speakers == len(found.by["speaker"]) == 9
    assert "no column nobody; there are clip, corpus" in refused(path, speaker="nobody")
    code, _, err = say(path, "--truth", "who", "--speaker", "who")
    assert (code, "--truth and --speaker both name the column who" in err) == (2, True)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_optional_columns_of_unexpected_type_are_left_out_with_a_warning(
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
def test_age_ranges_are_read_as_the_group_age_band(tmp_path: Path, say: Callable[..., Any], kind: str) -> None:
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


def test_split_names_match_in_any_case_and_other_rows_are_counted(tmp_path: Path, say: Callable[..., Any]) -> None:
    parts = ["Test"] * 150 + ["valid"] * 50 + ["extra"] * 40
    path = table(tmp_path / "one.csv", made() | {"split": parts})
    code, out, err = say(path)
    assert code == 0
    assert "test, 150 clips" in out
    assert "40 rows of the split extra, none of train, dev, test: left out" in err
    assert report(path, split="dev").runs[0].clips == 50
    bare = table(tmp_path / "two.csv", made() | {"split": ["test"] * 200 + [None] * 40})
    assert "40 rows without a split: left out" in say(bare)[2]


def test_common_label_variants_match_known_emotions(tmp_path: Path) -> None:
    path = two(tmp_path / "two.csv", ["ANG", "happiness", "Sad"], ["angry", "hap", "sadness"])
    assert report(path).runs[0].figures["wa"].value == 1


def test_words_in_chinese_are_read_by_the_translation_after_them(tmp_path: Path) -> None:
    """As emotion2vec answers."""
    answers = ["\u751f\u6c14/angry", "\u60b2\u4f24/sadness", "\u5176\u4ed6/other"]
    path = two(tmp_path / "two.csv", ["angry", "sad", "neutral"], answers)
    assert report(path, mapping={"other": "neutral"}).runs[0].figures["wa"].value == 1
    assert "changes nothing" not in sertool("eval", path, "--map", "other=neutral").err
    blend = two(tmp_path / "blend.csv", ["angry", "sad", "f\u00e2ch\u00e9/angry"], ["angry", "sad", "sad"])
    assert report(blend).emotions == ("sad", "angry", "f\u00e2ch\u00e9/angry")


def test_labels_match_across_unicode_normalisation_forms(tmp_path: Path) -> None:
    path = two(tmp_path / "two.csv", ["m\u00fcde", "sad"], ["mu\u0308de", "sad"])
    assert report(path).emotions == ("sad", "m\u00fcde")
    assert report(path).runs[0].figures["wa"].value == 1


def test_same_column_for_truth_and_prediction_is_refused(tmp_path: Path) -> None:
    path = two(tmp_path / "two.csv", ["sad", "happy"], ["sad", "sad"], "y,yhat")
    done = sertool("eval", path, "--truth", "yhat", "--predicted", "yhat")
    assert (done.code, "--truth and --predicted both name the column yhat" in done.line) == (2, True)


@pytest.mark.parametrize("option", ["-o", "--html"])
def test_report_that_would_overwrite_its_predictions_is_refused(tmp_path: Path, option: str) -> None:
    path = Path(two(tmp_path / "two.csv", ["sad", "happy"], ["sad", "sad"]))
    held = path.read_bytes()
    (tmp_path / "alias.csv").symlink_to(path)
    for place in (path, tmp_path / "alias.csv"):
        done = sertool("eval", path, option, place)
        assert (done.code, "holds the predictions that are scored" in done.line, path.read_bytes()) == (2, True, held)


def test_run_can_be_given_as_its_folder(tmp_path: Path) -> None:
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


def test_folder_of_several_runs_is_refused_and_its_runs_are_named(
    tmp_path: Path, say: Callable[..., tuple[int, str, str]]
) -> None:
    for name in ("leaky", "disjoint", ".before-leaky"):
        (tmp_path / name).mkdir()
        table(tmp_path / name / "predictions.parquet", made(), "parquet")
    code, _, said = say(str(tmp_path))
    assert (code, said) == (
        2, f"sertool: {tmp_path} holds runs, and is none itself: name {tmp_path}/disjoint, {tmp_path}/leaky\n"
    )  # fmt: skip
    shutil.rmtree(tmp_path / "disjoint")
    (tmp_path / "leaky").rename(tmp_path / "seed-0")
    assert "is a folder, not a manifest" in say(str(tmp_path))[2]


def test_numeric_labels_match_whether_integer_or_float(tmp_path: Path) -> None:
    path = two(tmp_path / "two.csv", ["0", "1", "10", "-1", "2"], ["0.0", "1.0", "2.0", "-1.0", ""], "y_true,y_pred")
    assert report(path).emotions == ("0", "1", "2", "10", "-1")
    whole = {"emotion": [0, 1, 2, 1], "predicted": [0.0, 1.0, 1.0, None], "p_1.0": [0.5] * 4, "p_0.0": [0.5] * 4}
    manifest_io.write(pa.table(whole), str(tmp_path / "whole.parquet"), "parquet")
    found = report(str(tmp_path / "whole.parquet"), mapping={"1": "angry"})
    assert found.emotions == ("angry", "0", "2")
    assert found.runs[0].figures["brier"].value == pytest.approx((0.5 + 0.5 + 1.5) / 3)


def test_numbers_are_accepted_as_labels(tmp_path: Path) -> None:
    path = two(tmp_path / "two.csv", ["0", "1", "10", "2"], ["0", "1", "2", "10"], "y_true,y_pred")
    assert report(path).emotions == ("0", "1", "2", "10")


def test_predictions_are_read_from_stdin(predicted: str) -> None:
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
        ("speech,predicted_emotion\na,sad\n", "no column emotion; it has speech, predicted_emotion; say which"),
        ("emotion,predicted\nsad,sad\nsad,angry\n", "at least two"),
        ("emotion,predicted\nsad,\nangry,\n", "nothing to score"),
        ("emotion,predicted\n,sad\n,sad\n", "no true emotion"),
        ("emotion,predicted,issue\nsad,,silent\nsad,sad,empty\n", "left out for its issue (1 silent, 1 empty)"),
        ("emotion,predicted\nsad,S1\nangry,S2\n", "such as --map S1=EMOTION"),
        ("emotion,predicted\nsad,sad\nangry,<unk>\n", "such as --map '<unk>=EMOTION'"),
        ("emotion,predicted\nsad,sad\nangry,a\nhappy,very Happiness\n", "such as --map 'very Happiness=happy'"),
        ("emotion,predicted\nsad,sad\nclass-1,1\n", "such as --map class-1=1"),
        ("emotion,predicted\n0,sad\n1,angry\n", "no word in common: 0, 1 are the truth, angry, sad the predictions"),
        ("emotion,predicted\n0,sad\n1,sad\n", "such as --map 0=EMOTION"),
        ("emotion,predicted\nfear,sad\nhappy,angry\n", "such as --map fear=EMOTION"),
        ("emotion,predicted\nsad,sad\nsad|fear,neutral\n", "such as --map 'sad|fear=EMOTION'"),
        ("emotion,predicted\nsad,sad\nN,neutral\n", "neutral only among the predictions, N only among the truth"),
        ("emotion,predicted\nsad,sad\nN,neutral\n", "such as --map N=EMOTION, or leave it out: --where emotion!=N"),
        ("emotion,predicted,p_sad,p_neutral\nsad,sad,1,0\nN,neutral,0,1\n", "such as --map N=EMOTION"),
        ("clip,emotion,predicted\na,sad,sad\na,sad,angry\nb,angry,sad\n", "clip a is predicted twice"),
        ("clip,seed,emotion,predicted\na,0,sad,sad\na,1,angry,sad\n", "clip a is sad in one row and angry"),
        ("a.wav\nb.wav\n", "no table of predictions"),
        ("a.wav\nb.wav\n", "without the truth, `sertool index CORPUS --table FILE | sertool eval --predicted COLUMN`"),
        ("key,labels\na,sad\n", "with --predicted, or, without the truth, `sertool index CORPUS --table FILE |"),
        ("key,predicted\na,sad\n", "with --truth, or, without the truth, `sertool index CORPUS --table FILE |"),
        ("emotion,predicted,emotion\nsad,sad,angry\n", "more than one column is named emotion"),
        ('emotion,predicted\n"s\na",a\nb,"\x1b[31mred"\n', "--map \\x1b[31mred=EMOTION"),
    ],
)
def test_unscorable_input_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    assert words in refused(str(path))


@pytest.mark.parametrize("text", [
    "emotion,predicted\nfear,sad\nhappy,sad\n",
    "emotion,predicted,p_fear,p_sad,p_angry\nfear,sad,0,1,0\nhappy,angry,0,0,1\n",
])  # fmt: skip
def test_all_wrong_predictions_are_scored_if_the_labels_are_comparable(tmp_path: Path, text: str) -> None:
    (tmp_path / "wrong.csv").write_text(text)
    assert report(str(tmp_path / "wrong.csv")).runs[0].figures["uar"].value == 0


@pytest.mark.parametrize("text", [
    "emotion,predicted\nsad,sad\ncalm,neutral\nsurprise,happy\n",
    "emotion,predicted\nA,A\nB,A\nC,A\n",
    "emotion,predicted,p_A,p_B,p_sad\nA,A,1,0,0\nB,sad,0,0,1\n",
    "emotion,predicted\n0,0\n3,1\n",
])  # fmt: skip
def test_recognisable_truth_labels_are_scored_even_if_never_predicted(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert report(str(tmp_path / "a.csv")).runs[0].clips > 1


def test_label_predicted_by_any_run_is_accepted_for_all_runs(tmp_path: Path) -> None:
    one = two(tmp_path / "one.csv", ["sad", "stress"], ["sad", "stress"])
    assert len(report(one, two(tmp_path / "b.csv", ["sad", "stress"], ["sad", "angry"])).runs) == 2


def test_test_split_is_scored_else_dev_and_train_only_on_request(tmp_path: Path) -> None:
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


def test_speakers_in_both_train_and_test_are_reported_as_a_leak(tmp_path: Path) -> None:
    columns = made(clips=60)
    columns["split"] = ["train", "test"] * 30
    columns["speaker"] = ["toy:0"] * 60
    found = report(table(tmp_path / "a.csv", columns)).runs[0]
    assert found.notes[0] == "LEAKY: 1 of the speakers are in train too"


def test_rows_without_prediction_or_truth_are_counted_and_not_scored(tmp_path: Path) -> None:
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


def test_answers_mapped_to_nothing_are_wrong_and_of_no_class(tmp_path: Path, say: Callable[..., Any]) -> None:
    truth, predicted = ["sad"] * 4 + ["happy"] * 4, ["sad", "<unk>", "other", "其他/other"] + ["happy"] * 4
    path = two(tmp_path / "two.csv", truth, predicted)
    found = report(path, mapping={"<unk>": "", "other": ""}).runs[0]
    shown = {name: found.figures[name].value for name in ("uar", "wa", "macro_f1")}
    assert shown == pytest.approx({"uar": (1 / 4 + 1) / 2, "wa": 5 / 8, "macro_f1": (2 / 5 + 1) / 2})
    assert (found.clips, [one.name for one in found.classes]) == (8, ["happy", "sad"])
    assert "3 answers mean no emotion: wrong, and of no column of the confusion" in found.notes
    shown = say(path, "--map", "<unk>=,other=", "--plot", str(tmp_path), "--html", str(tmp_path / "a.html"))
    assert (shown[0], shown[2].count("changes nothing")) == (0, 0), shown[2]
    path = two(tmp_path / "never.csv", ["sad", "happy", "angry"], ["sad", "happy", "<unk>"])
    assert "--map '<unk>=EMOTION', or with --map '<unk>=' that it means none, and is wrong" in refused(path)


def test_probability_of_an_answer_mapped_to_nothing_is_of_no_emotion(tmp_path: Path) -> None:
    columns = {"emotion": ["sad", "happy"], "predicted": ["other", "happy"], "p_sad": [0.2, 0.1],
               "p_happy": [0.1, 0.8], "p_other": [0.7, 0.1]}  # fmt: skip
    figures = report(table(tmp_path / "a.csv", columns), mapping={"other": ""}).runs[0].figures
    assert figures["wa"].value == 0.5
    assert figures["log_loss"].value == pytest.approx(-(np.log(0.2) + np.log(0.8)) / 2)
    assert figures["brier"].value == pytest.approx((0.64 + 0.01 + 0.49 + 0.01 + 0.04 + 0.01) / 2)


def test_rows_whose_truth_is_mapped_to_nothing_are_counted_and_not_scored(tmp_path: Path) -> None:
    path = two(tmp_path / "two.csv", ["sad", "happy", "xxx", "xxx"], ["sad", "sad", "sad", "xxx"])
    found = report(path, mapping={"xxx": ""}).runs[0]
    assert (found.clips, found.figures["wa"].value) == (2, 0.5)
    assert "not scored: 2 rows without a true emotion" in found.notes
    assert "nothing to score" in refused(path, mapping={"sad": "", "happy": "", "xxx": ""})


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_empty_strings_count_as_missing_in_every_format(tmp_path: Path, kind: str) -> None:
    columns = made()
    for name, count in (("emotion", 3), ("predicted", 5), ("speaker", 7)):
        columns[name][:count] = [""] * count
    found = report(table(tmp_path / f"one.{kind}", columns, kind)).runs[0]
    assert len(found.classes) == len(EMOTIONS)
    assert (found.clips, found.coverage["untrue"], found.coverage["abstained"]) == (235, 3, 2)
    assert "2 clips have no speaker" in found.notes


def test_emotions_never_true_or_never_predicted_are_reported(tmp_path: Path) -> None:
    path = two(tmp_path / "a.csv", ["sad", "angry", "fear", "sad"], ["sad", "calm", "sad", "sad"])
    notes = report(path).runs[0].notes
    assert "angry, fear are never predicted" in notes
    assert "calm is predicted and never true" in notes


def test_protocol_is_read_from_the_recorded_command_chain(tmp_path: Path) -> None:
    made_by = provenance.made_by(manifest.from_columns(made()), "sertool train --protocol random-80-20 -o 'x y'", 0)
    manifest_io.write(made_by, str(tmp_path / "a.parquet"), "parquet")
    found = report(str(tmp_path / "a.parquet")).runs[0]
    assert found.protocol == "random-80-20"
    assert "random-80-20 puts clips of one speaker on both sides" in found.leaks
