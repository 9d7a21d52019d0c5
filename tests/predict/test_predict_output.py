"""predict's tables, annotations and columns."""

import csv
import io
import json
import math
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from predicted_rows import probabilities, rows_of, two_sided_call
from running import in_fork, sertool

from sertool.errors import SertoolError, UsageError
from sertool.manifests import columns, manifest, manifest_io, streams
from sertool.manifests.answer_kinds import Emotions
from sertool.predict import answer_files, predict_inputs, predicting
from sertool.predict.predicting import Session
from sertool.predict.request import Request


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_paths_in_answers_resolve_from_any_working_folder(
    run: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out" / "calls").mkdir(parents=True)
    for name in ("a.wav", "out/calls/b.wav"):
        shutil.copy(next((run / "voices").rglob("*.wav")), tmp_path / name)
    monkeypatch.chdir(tmp_path)
    asked = ("predict", "-m", run / "model", "a.wav", "out/calls/b.wav", "-f", kind)
    piped = sertool(*asked).out
    Path("piped").write_bytes(piped)
    assert sertool(*asked, "-o", f"out/x.{kind}").code == 0
    held = [manifest_io.read_table(place).to_pydict() for place in (f"out/x.{kind}", "piped")]
    paths = [held[0]["path"], held[1]["path"]]
    assert paths == [[str(tmp_path / "a.wav"), "calls/b.wav"], [str(tmp_path / "a.wav"), f"{tmp_path}/out/calls/b.wav"]]
    assert held[0]["clip"] == held[1]["clip"] == ["a.wav", "out/calls/b.wav"]
    monkeypatch.chdir("/")
    again = rows_of(sertool("predict", "-m", run / "model", tmp_path / "out" / f"x.{kind}").out)
    assert [row["issue"] for row in again] == ["", ""]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_answers_through_a_named_pipe_have_absolute_paths(
    run: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "out" / f"x.{kind}"
    pipe.parent.mkdir()
    os.mkfifo(pipe)
    shutil.copy(next((run / "voices").rglob("*.wav")), pipe.with_name("a.wav"))
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(pipe.read_bytes)
        assert sertool("predict", "-m", run / "model", "out/a.wav", "-o", f"out/x.{kind}").code == 0
        (tmp_path / "held").write_bytes(reading.result(timeout=9))
    assert manifest_io.read_table(str(tmp_path / "held"))["path"].to_pylist() == [str(tmp_path / "out" / "a.wav")]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_windows_style_paths_are_kept_unchanged(run: Path, tmp_path: Path, kind: str) -> None:
    told = ["C:\\calls\\a.wav", "\\\\srv\\x\\b.wav", "D:/calls/c.wav"]
    (tmp_path / "rows.csv").write_text("clip,path\n" + "".join(f"{path[-5]},{path}\n" for path in told))
    clip = next((run / "voices").rglob("*.wav"))
    words = ("predict", "-m", run / "model", tmp_path / "rows.csv", clip, "-f", kind)
    (tmp_path / "piped").write_bytes(sertool(*words).out)
    sertool(*words, "-o", tmp_path / f"out.{kind}")
    for name in ("piped", f"out.{kind}"):
        assert manifest_io.read_table(str(tmp_path / name))["path"].to_pylist()[:3] == told


@pytest.mark.parametrize("kind", ["csv", "parquet", "textgrid"])
def test_unwritable_output_is_reported_before_any_prediction(
    run: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, answered = next((run / "voices").rglob("*.wav")), Session.answered
    work: list[int] = []
    monkeypatch.setattr(Session, "answered", lambda *args: (work.append(1), answered(*args))[1])
    (tmp_path / "file").write_text("no folder")
    done = sertool("predict", "-m", run / "model", clip, "-o", tmp_path / "file" / f"x.{kind}")
    assert (done.code, "cannot write" in done.err, work) == (1, True, [])


@pytest.mark.parametrize(
    ("cause", "says"), [(KeyboardInterrupt(), "interrupted"), (SertoolError("a worker is gone"), "a worker is gone")]
)
def test_interrupted_parquet_output_keeps_its_rows_in_a_part_file(
    cause: BaseException, says: str, tmp_path: Path
) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield {"clip": "a", "path": "a.wav", "predicted": "sad", "confidence": 0.9, "p_sad": 0.9}
        if stopped:
            raise cause

    place, stopped = answer_files.AnswerFile(str(tmp_path / "rows.parquet"), "parquet", []), True
    with pytest.raises(SertoolError, match=rf"{says}: .*lies in .*rows\.parquet\.part"):
        answer_files.write(rows(), Emotions(["sad"]), [], place)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet.part"]
    assert manifest.column(manifest_io.read(str(tmp_path / "rows.parquet.part")), "predicted") == ["sad"]
    stopped = False
    answer_files.write(rows(), Emotions(["sad"]), [], place)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_failed_parquet_write_keeps_its_rows_in_a_part_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = manifest_io.write

    def refused_once(*arguments: Any) -> None:
        monkeypatch.setattr(manifest_io, "write", written)
        raise SertoolError("no room")

    monkeypatch.setattr(manifest_io, "write", refused_once)
    row = {"clip": "a", "path": "a.wav", "predicted": "sad", "confidence": 0.9, "p_sad": 0.9}
    place = answer_files.AnswerFile(str(tmp_path / "rows.parquet"), "parquet", [])
    with pytest.raises(SertoolError, match=r"no room: .*lies in .*rows\.parquet\.part"):
        answer_files.write(iter([row]), Emotions(["sad"]), [], place)
    assert manifest.column(manifest_io.read(str(tmp_path / "rows.parquet.part")), "predicted") == ["sad"]


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize(
    ("own", "wanted"), [((1, "one"), ["1", "one"]), ((1, True), ["1", "true"]), ((1, 1.5), [1.0, 1.5])]
)
def test_manifests_with_differently_typed_user_columns_are_predicted_together(
    run: Path, tmp_path: Path, kind: str, own: tuple[Any, Any], wanted: list[Any]
) -> None:
    clip = str(next((run / "voices").rglob("*.wav")))
    asked = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for path, value in zip(asked, own, strict=True):
        path.write_text(json.dumps({"clip": path.stem, "path": clip, "take": value}) + "\n")
    done = sertool("predict", "-m", run / "model", *asked, "-o", tmp_path / f"out.{kind}")
    assert done.code == 0, done.err
    assert manifest_io.read(str(tmp_path / f"out.{kind}")).column("take").to_pylist() == wanted


def test_parquet_output_keeps_the_types_of_user_columns(run: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(run / "features" / "manifest.parquet")).slice(0, 3)
    own = {"day": pa.array([date(2024, 1, 1)] * 3), "share": pa.array([0.1, 0.2, None], pa.float32()),
           "small": pa.array([1, None, 3], pa.int8()), "key": pa.array([1, 2, 2**64 - 1], pa.uint64())}  # fmt: skip
    for name, values in own.items():
        table = manifest.with_column(table, name, values)
    manifest_io.write(table, str(tmp_path / "own.parquet"), "parquet")
    sertool("predict", "-m", run / "model", tmp_path / "own.parquet", "-o", tmp_path / "out.parquet")
    assert manifest_io.read(str(tmp_path / "out.parquet")).select([*own]).equals(table.select([*own]))


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
def test_parquet_output_does_not_depend_on_row_batching(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where columns are known of some rows alone."""
    rows = [{"clip": f"c{k}", "path": "", "predicted": "sad", "p_sad": 0.5, **({"issue": "silent"} if k > 4 else {}),
             "own": None if k < 4 else k} for k in range(count)]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    answer_files.write(iter(rows), Emotions(["sad"]), [], answer_files.AnswerFile("whole.parquet", "parquet", []))
    monkeypatch.setattr(answer_files, "LONG_TABLE_ROWS", 3)
    answer_files.write(iter(rows), Emotions(["sad"]), [], answer_files.AnswerFile("parts.parquet", "parquet", []))
    whole, parts = (manifest_io.read(f"{name}.parquet") for name in ("whole", "parts"))
    assert whole.column_names == parts.column_names
    assert parts.to_pylist() == whole.to_pylist()


def test_interrupted_parquet_output_to_a_pipe_leaves_no_part_file(tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield {"clip": "a", "path": "a.wav", "predicted": "sad", "confidence": 0.9, "p_sad": 0.9}
        raise KeyboardInterrupt

    os.mkfifo(tmp_path / "rows.parquet")
    with pytest.raises(KeyboardInterrupt):
        answer_files.write(
            rows(), Emotions(["sad"]), [], answer_files.AnswerFile(str(tmp_path / "rows.parquet"), "parquet", [])
        )
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_subtitles_rttm_and_textgrid_are_well_formed(run: Path, tmp_path: Path) -> None:
    two_sided_call(run, tmp_path / "call.wav")
    asked = ("predict", "-m", run / "model", tmp_path / "call.wav", "--window", 2, "-f")
    subtitles = sertool(*asked, "srt").out.decode()
    assert subtitles.startswith("1\n00:00:00,000 --> 00:00:")
    sides = sertool(*asked, "srt", "--channel", "each").out.decode()
    assert "\nchannel 1: " in sides
    shutil.copy(tmp_path / "call.wav", tmp_path / "other.wav")
    several = sertool(*asked, "srt", tmp_path / "other.wav")
    assert (several.code, "subtitles are of one file" in several.line) == (2, True)
    assert not several.out  # as nothing was heard for it
    fields = sertool(*asked, "rttm").out.decode().splitlines()[0].split()
    assert (fields[0], len(fields)) == ("SPEAKER", 10)
    voices, rate = soundfile.read(tmp_path / "call.wav")
    soundfile.write(tmp_path / "turned.wav", voices[:, ::-1], rate)
    right = sertool("predict", "-m", run / "model", tmp_path / "turned.wav", "--channel", "right", "-f", "rttm")
    assert right.out.split()[2] == b"2"
    row = {"clip": "a call.wav", "start": 0.0, "end": 1.0, "predicted": "very happy", "confidence": 0.5}
    assert len("".join(streams.rttm([row])).split()) == 10
    grid = sertool(*asked, "textgrid").out.decode().splitlines()
    assert grid[:2] == ['File type = "ooTextFile"', 'Object class = "TextGrid"']
    assert grid[-1] == '""'  # the silence at the end


@pytest.mark.parametrize("kind", ["rttm", "srt", "textgrid"])
def test_time_annotations_of_shards_without_durations_are_refused(run: Path, kind: str) -> None:
    shard = next((run / "features" / "mel").glob("*.safetensors"))
    done = sertool("predict", "-m", run / "model", shard, "-f", kind)
    assert (done.code, done.out) == (2, b"")
    assert "shards do not say how long clips are: name the audio" in done.err
    known = sertool("predict", "-m", run / "model", run / "features" / "manifest.parquet", "-f", "rttm")
    assert len(known.out.splitlines()) == 32


def test_rttm_names_of_files_differing_only_in_blanks_are_distinct() -> None:
    said = {"start": 0.0, "end": 1.0, "predicted": "sad", "confidence": 0.5}
    rows = [{"clip": clip} | said for clip in ("a b.wav", "a_b.wav", "a b.wav", "a  b.wav", "c.wav")]
    names = [line.split()[1] for line in streams.rttm(rows)]
    assert names == ["a_b.wav", "a_b.wav~2", "a_b.wav", "a_b.wav~3", "c.wav"]


@pytest.mark.parametrize("ids", [("call.wav@0.0", "call.wav@3.597"), ("one", "two")])
def test_segments_of_one_file_share_one_annotation_name(ids: tuple[str, str]) -> None:
    said = {"path": "/calls/call.wav", "predicted": "sad", "confidence": 0.5}
    rows = [{"clip": clip, "start": 3.597 * place, "end": 3.0 + 3 * place} | said for place, clip in enumerate(ids)]
    assert {line.split()[1] for line in streams.rttm(rows)} == {"call.wav"}
    assert "".join(streams.srt(rows)).count("-->") == 2
    grid = "".join(streams.textgrid(rows[::-1])).splitlines()
    assert (grid.count('"IntervalTier"'), grid.count('"call.wav"'), grid.count('"sad"')) == (1, 1, 2)


def test_subtitles_of_segments_are_sorted_and_those_of_windows_are_streamed() -> None:
    said = {"path": "call.wav", "predicted": "sad", "confidence": 0.5}
    rows = [{"clip": f"part{at}", "start": float(at), "end": at + 1.0} | said for at in (4, 0, 2)]
    parts = "".join(streams.srt(rows)).split("\n\n")[:-1]
    assert [part.split("\n")[:2] for part in parts] == [
        [str(number), f"00:00:0{at},000 --> 00:00:0{at + 1},000"] for number, at in ((1, 0), (2, 2), (3, 4))
    ]
    taken: list[int] = []
    windows_of_a_file = (taken.append(at) or row | {"clip": "call.wav"} for at, row in enumerate(rows))
    assert next(streams.srt(windows_of_a_file)).startswith("1\n")
    assert taken == [0]
    of_two = [Request({"clip": "x", "path": path}) for path in ("a.wav", "a.wav", "b.wav")]
    assert [*predict_inputs.of_one_file(of_two[:2])] == of_two[:2]
    with pytest.raises(UsageError, match=r"after a.wav comes b.wav"):
        predict_inputs.of_one_file(of_two)


def test_textgrid_without_any_readable_audio_is_an_error(run: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"")
    done = sertool("predict", "-m", run / "model", tmp_path / "bad.wav", "-f", "textgrid")
    assert (done.code, done.out) == (1, b"")
    assert "nothing could be heard, and a TextGrid without any time is none" in done.err


def test_times_in_long_audio_keep_millisecond_precision() -> None:
    rows = [{"clip": "a", "path": "a", "start": 10_000.25, "end": 10_000.267, "p_sad": 1 / 3, "p_angry": 2e-7}]
    (cells,) = csv.DictReader(io.StringIO("".join(streams.delimited(rows, Emotions(["sad", "angry"]), [], ","))))
    assert [cells[name] for name in ("start", "end", "p_sad", "p_angry")] == [
        "10000.25", "10000.267", "0.333333", "2e-07",
    ]  # fmt: skip


@pytest.mark.parametrize("separator", [",", "\t"])
def test_delimited_rows_survive_special_characters_in_cells(separator: str) -> None:
    own = 'a\rb\nc\r\nd"e,f\tg'
    lines = [*streams.delimited([{"clip": "a", "path": "a", "own": own}], Emotions(["sad"]), [], separator)]
    (row,) = csv.DictReader(io.StringIO("".join(lines), newline=""), delimiter=separator)
    held = manifest_io.decode(pa.py_buffer("".join(lines).encode()), "-")
    assert [row["own"], *manifest.column(held, "own")] == [own, own]
    assert lines[0].endswith("p_sad\n")


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("name", ["NA", "nan", "null", "N/A", "Na"])
def test_names_that_read_like_unknown_values_survive_delimited_rows(name: str, separator: str) -> None:
    rows = [{"clip": name, "path": name, "speaker": name, "own": name, "cost": 1.5},
            {"clip": "b", "path": "b", "speaker": None, "cost": math.nan}]  # fmt: skip
    text = "".join(streams.delimited(rows, Emotions(["sad"]), [], separator))
    held = manifest_io.decode(pa.py_buffer(text.encode()), "-")
    assert manifest.column(held, "cost") == [1.5, None]
    assert [manifest.column(held, column) for column in ("clip", "speaker", "own")] == [
        [name, "b"], [name, None], [name, None],
    ]  # fmt: skip


def test_user_numbers_are_kept_exactly_and_answers_rounded_in_all_formats() -> None:
    own = {"pval": 3e-8, "hertz": 440.123456789, "count": 2.0, "many": 1e20}
    row = {"clip": "a", "path": "a", "start": 1 / 3, "end": 20_000 + 1 / 3, "confidence": 2 / 3, "p_sad": 2 / 3e8} | own
    (cells,) = csv.DictReader(io.StringIO("".join(streams.delimited([row], Emotions(["sad"]), [], ","))))
    known = json.loads("".join(streams.json_lines([row])))
    answers = {"start": 0.333333, "end": 20_000.333333, "confidence": 0.666667, "p_sad": 6.66667e-9}
    for name, value in (own | answers).items():
        assert (name, float(cells[name]), known[name]) == (name, value, value)
    assert cells["count"] == "2"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_mistyped_input_does_not_overwrite_older_answers(kind: str, run: Path, tmp_path: Path) -> None:
    (tmp_path / f"held.{kind}").write_text("older")
    done = sertool("predict", "-m", run / "model", tmp_path / "typo.wav", "-o", tmp_path / f"held.{kind}")
    assert (done.code, done.err.count("nothing of what was asked for is there")) == (1, 1)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["older"]


def test_control_characters_in_model_labels_never_reach_the_terminal() -> None:
    kind = Emotions(["\x1b[31mangry"])
    row = {"clip": "a.wav", "path": "a.wav", "top": "\x1b]0;b\a 0.90"} | kind.row([0.9])
    said = "".join(streams.people([row], kind, []))
    assert "angry" in said
    assert not {"\x1b", "\a"} & {*said}


@pytest.mark.parametrize(("threshold", "predicted"), [(0.75, "sad"), (0.76, None)])
def test_an_answer_as_confident_as_the_threshold_is_given(threshold: float, predicted: str | None) -> None:
    answer = predicting._answer(Emotions(["sad", "angry"]), torch.tensor([0.75, 0.25]), threshold)
    assert answer["predicted"] == predicted


def test_prediction_is_empty_below_the_threshold(run: Path) -> None:
    clip = next((run / "voices").rglob("*.wav"))
    (row,) = rows_of(sertool("predict", "-m", run / "model", clip, "--threshold", "0.99", "--top", "2").out)
    assert row["predicted"] == ""
    assert row["top"].count(",") == 1
    assert sum(probabilities(row)) == pytest.approx(1, abs=1e-4)


def test_parquet_predictions_can_be_piped_into_eval(run: Path) -> None:
    done = sertool("predict", "-m", run / "model", run / "features" / "manifest.parquet", "-f", "parquet")
    judged = sertool("eval", "-f", "json", stdin=done.out)
    assert judged.code == 0, judged.err


def test_parquet_output_to_a_terminal_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sertool.system.talk.to_terminal", lambda: True)
    clip = next((run / "voices").rglob("*.wav"))
    done = sertool("predict", "-m", run / "model", clip, "-f", "parquet")
    assert (done.code, "no text for a terminal" in done.line, done.out) == (2, True, b"")


@pytest.mark.parametrize(("kind", "names"), [("csv", {"clip", "issue", "predicted"}), ("parquet", {"clip", "path"})])
def test_output_without_clips_still_has_its_columns(run: Path, tmp_path: Path, kind: str, names: set[str]) -> None:
    done = sertool("predict", "-m", run / "model", "-f", kind, "-0", stdin=b"")
    assert done.code == 0, done.err
    (tmp_path / "none").write_bytes(done.out)
    assert names <= {*manifest_io.read_table(str(tmp_path / "none")).column_names}


def test_predictions_keep_the_columns_of_the_manifest(run: Path) -> None:
    done = sertool("predict", "-m", run / "model", run / "features" / "manifest.parquet", "-f", "jsonl")
    row = json.loads(done.out.splitlines()[0])
    known = manifest.column(manifest_io.read(str(run / "features" / "manifest.parquet")), "speaker")[0]
    assert row["speaker"] == known


def test_predictions_keep_ratings_to_score_answers_by(run: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    rated = manifest.with_columns(table, {name: [2.5] * len(table) for name in columns.DIMENSIONS})
    manifest_io.write(rated, str(tmp_path / "rated.parquet"), "parquet")
    done = sertool("predict", "-m", run / "model", tmp_path / "rated.parquet", "-f", "jsonl")
    row = json.loads(done.out.splitlines()[0])
    assert [row[name] for name in columns.DIMENSIONS] == [2.5] * 3


def test_predictions_keep_user_columns_beside_known_ones(run: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    count = len(table)
    own = {"condition": ["a", "b"] * (count // 2), "rating": [*range(count)], "tags": [["x"]] * count,
           "voice": ["low"] * count, "channel": ["?"] * count, "_span": [1] * count}  # fmt: skip
    for name, values in own.items():
        table = manifest.with_column(table, name, values)
    manifest_io.write(table, str(tmp_path / "own.parquet"), "parquet")
    done = sertool("predict", "-m", run / "model", tmp_path / "own.parquet")
    held = rows_of(done.out)
    assert [(row["condition"], row["rating"]) for row in held] == [("ab"[k % 2], str(k)) for k in range(count)]
    assert [row["label"] for row in held] == manifest.column(table, "label")
    names = list(held[0])
    assert {(row["voice"], row["_span"]) for row in held} == {("low", "1")}
    assert not {"tags", "channel"} & {*names}
    assert "left out, for each cell holds more than a word or a number: tags\n" in done.err
    assert names[:2] == ["clip", "path"]
    after = names[names.index("_span") + 1 :]
    assert after[:6] == ["protocol", "start", "end", "issue", "predicted", "confidence"]
    assert all(float(row["end"]) for row in held)
    scored = sertool("eval", "--by", "condition", stdin=done.out)
    assert (scored.code, b"By condition" in scored.out) == (0, True), scored.err


def test_predictions_keep_votes_for_comparison_with_human_listeners(run: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    for name, values in (("votes_voice_angry", [3] * len(table)), ("style", ["speech"] * len(table))):
        table = manifest.with_column(table, name, values)
    manifest_io.write(table, str(tmp_path / "voted.parquet"), "parquet")
    done = sertool("predict", "-m", run / "model", tmp_path / "voted.parquet")
    scored = sertool("eval", "--by", "style", stdin=done.out)
    assert (scored.code, b"people, each vote: UAR" in scored.out) == (0, True), scored.err


def test_writing_answers_over_audio_or_the_input_manifest_is_refused(run: Path, tmp_path: Path) -> None:
    clip = shutil.copy(next((run / "voices").rglob("*.wav")), tmp_path / "x.wav")
    (tmp_path / "clips.csv").write_text("clip,path,mine\na,x.wav,1\n")
    for asked, out in ((clip, clip), (tmp_path, clip), (tmp_path / "clips.csv", tmp_path / "clips.csv")):
        before = Path(out).read_bytes()
        done = sertool("predict", "-m", run / "model", asked, "-f", "csv", "-o", out)
        assert (done.code, "would write over" in done.line, Path(out).read_bytes()) == (2, True, before)


def test_writing_answers_over_the_model_or_enrolment_is_refused(run: Path, adaptable: Path, tmp_path: Path) -> None:
    clip, model, own = next((run / "voices").rglob("*.wav")), tmp_path / "model.safetensors", tmp_path / "own.csv"
    shutil.copy(next(adaptable.rglob("model.safetensors")), model)
    own.write_text(f"clip,path\na,{clip}\n")
    for out, words in ((model, ()), (own, ("--enroll", own))):
        before = out.read_bytes()
        done = sertool("predict", "-m", model, clip, *words, "-f", "csv", "-o", out)
        assert (done.code, "would write over" in done.line, out.read_bytes()) == (2, True, before)


def test_writing_answers_over_the_file_on_stdin_is_refused(run: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text(f"clip,path,mine\na,{next((run / 'voices').rglob('*.wav'))},1\n")
    with own.open() as stdin, (tmp_path / "said").open("w") as said:
        words = ("predict", "-m", run / "model", "-o", own, "-")
        fork = in_fork(*words, stdin=stdin.fileno(), stdout=said.fileno(), stderr=said.fileno())
        code = os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])
    assert (code, "would write over" in (tmp_path / "said").read_text()) == (2, True)
    assert own.read_text().startswith("clip,path,mine\n")


def test_parquet_of_only_unreadable_clips_still_has_answer_columns(run: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.wav").write_bytes(b"no audio")
    done = sertool("predict", "-m", run / "model", tmp_path / "bad", "-f", "parquet")
    (tmp_path / "p.parquet").write_bytes(done.out)
    table = manifest_io.read(str(tmp_path / "p.parquet"))
    assert table.schema.field("predicted").type == "string"
    assert {"confidence", "p_angry", "issue"} <= {*table.column_names}


def test_parquet_schema_does_not_depend_on_the_outcome_of_clips(run: Path, tmp_path: Path) -> None:
    call = shutil.copy(next((run / "voices").rglob("*.wav")), tmp_path / "call.wav")
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    words = ("predict", "-m", run / "model", "--window", 2, "--channel", "each", "--top", 2, "-f", "parquet")
    schemas = []
    silent, gone = tmp_path / "silent.wav", tmp_path / "gone.wav"
    for asked in ((call,), (silent,), (gone, silent), ()):
        stdin, paths = (b"", asked) if asked else (b"\n", ("-0", "-"))
        sertool(*words, "-o", tmp_path / "p.parquet", *paths, stdin=stdin)
        schemas.append(pq.read_schema(tmp_path / "p.parquet").remove_metadata())
        (tmp_path / "p.parquet").unlink()
    assert all(schema.equals(schemas[0]) for schema in schemas), schemas
    assert {"start", "end", "issue", "channel", "top"} <= {*schemas[0].names}
