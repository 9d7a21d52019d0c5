"""What goes out comes back, in every format: relative in files, absolute on the wire, equal bytes for equal rows."""

import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from running import sertool

from sertool.errors import SertoolError, UsageError
from sertool.manifests import delimited, formats, manifest, manifest_io, merging, provenance, row_filter, streams
from sertool.system.paths import path_text

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
TEXTS = [
    "plain",
    'a "quoted", comma; semicolon',
    "two\nlines",
    "tab\there",
    "émotion 😀",
    "=1+1",
    "NA",
    " spaces ",
    "back\\slash",
]


def clips(folder, **more):
    count = len(TEXTS)
    return manifest.from_columns({
        "clip": [f"c/{k}" for k in range(count)],
        "path": [str(folder / "audio" / f"{text}.wav") for text in TEXTS],
        "duration": [2.5, 1 / 3, None, *[1.0] * (count - 3)],
        "age": [31, None, *[64] * (count - 2)],
        "emotion": ["sad", None, *["happy"] * (count - 2)],
        "sentence": TEXTS,
        "modified": [2**60 + k for k in range(count)],
        "notes": [["clipped"], ["quiet", "dc"], None, *[None] * (count - 3)],
        "votes_voice_sad": [None, *range(count - 1)],
        "soft_sad": [0.25, None, *[0.5] * (count - 2)],
        "mel_shard": [str(folder / "mel" / "00000.safetensors")] * count,
        "mel_offset": list(range(count)),
        "mel_rows": [1] * count,
        "take": list(range(count)),
        "mine": [f"x{k}" for k in range(count)],
    } | more)  # fmt: skip


# Round trips


@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv", "jsonl"])
def test_written_manifest_is_read_back_unchanged(tmp_path, kind):
    held = clips(tmp_path)
    out = tmp_path / f"clips.{kind}"
    manifest_io.write(held, str(out), kind)
    assert manifest_io.read(str(out)).select(held.column_names).equals(held)


@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv", "jsonl"])
def test_manifest_piped_from_stdout_is_read_unchanged_in_another_folder(tmp_path, monkeypatch, kind):
    held = clips(tmp_path)
    manifest_io.write(held, str(tmp_path / "clips.parquet"), "parquet")
    piped = sertool("index", tmp_path / "clips.parquet", "-f", kind, "-q")
    monkeypatch.chdir("/")
    again = sertool("index", "-", "-f", kind, "-q", stdin=piped.out)
    assert (piped.code, again.code, again.err) == (0, 0, "")
    if kind in ("csv", "tsv"):
        assert again.out == piped.out
        assert str(tmp_path / "audio" / "plain.wav").encode() in piped.out
    table = manifest_io.decode(pa.py_buffer(again.out), "-")
    assert table.select(held.column_names).equals(held)


def test_text_formats_write_null_and_lists_in_their_usual_notation(tmp_path):
    manifest_io.write(clips(tmp_path), str(tmp_path / "a.csv"), "csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0].startswith('"clip","path","duration","age","emotion"')
    assert lines[1].startswith('"c/0","audio/plain.wav",2.5,31,"sad","plain",')
    assert '"quiet;dc"' in lines[2]
    manifest_io.write(clips(tmp_path), str(tmp_path / "a.jsonl"), "jsonl")
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert rows[1]["notes"] == ["quiet", "dc"]
    assert "age" not in rows[1]


def test_parquet_files_from_polars_and_pandas_are_read(tmp_path):
    pq.write_table(
        pa.table({"path": pa.array(["/a.wav"], pa.large_string()), "__index_level_0__": [3]}), tmp_path / "p"
    )
    assert manifest_io.read(str(tmp_path / "p")).to_pylist() == [
        {"clip": "/a.wav", "path": "/a.wav", "__index_level_0__": 3}
    ]


def test_foreign_columns_survive_a_filter(tmp_path):
    manifest_io.write(clips(tmp_path), str(tmp_path / "a.parquet"), "parquet")
    done = sertool("index", tmp_path / "a.parquet", "--where", "take>=7", "-f", "jsonl", "-q")
    assert [json.loads(line)["mine"] for line in done.out.splitlines()] == ["x7", "x8"]


# Sniffing


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"PAR1...", "parquet"), (b'{"path": 1}', "jsonl"), (b' \n {"a"', "jsonl"), (b'[{"path"', "jsonl"),
        (b"[1] a.wav\n", "paths"), (b"{a}.wav\n", "paths"), (b"\tx\temotion\n", "tsv"), (b"\n\r\npath,x", "csv"),
        (b",".join(b"f%d" % k for k in range(1000)) + b",path\n", "csv"),
        (b"path\n/a", "tsv"), (b"clip,emotion\n", "csv"), (b"\xef\xbb\xbfpath,x\n", "csv"),
        (b'"path" , "mine"\n', "csv"), (b"p_sad,mine", "csv"), (b"p_1001.wav\n", "paths"), (b"a/mel_rows\n", "paths"),
        (b"path\temotion\n", "tsv"), (b"mine,other\n", "paths"), (b"/a/b.wav\n", "paths"), (b"Emotion,x\n", "csv"),
        (b"a,b/path.wav\n", "paths"), (b"votes_voice_sad,x\r\n", "csv"), (b"\xff\xfe", "paths"), (b"", "paths"),
    ],
)  # fmt: skip
def test_input_format_is_detected_from_its_content(head, kind):
    assert formats.sniff(head) == kind


def test_file_extension_does_not_decide_the_input_format(tmp_path):
    manifest_io.write(clips(tmp_path), str(tmp_path / "clips.csv"), "parquet")
    assert len(manifest_io.read(str(tmp_path / "clips.csv"))) == len(TEXTS)


@pytest.mark.parametrize(
    "text",
    [
     "path,age\n/a,3\n", "path,age\r\n/a,3\r\n", "\ufeffpath,age\n/a,3\n", " path , age \n/a,3",
     '"path","age"\n"/a",3\n', "path;age\r/a;3\r", '"path",age\r"/a",3',
     'age,"path"\n3,/a\n', "path\tage\n/a\t3\n", '{"path": "/a", "age": 3}\n\n', '\ufeff{"path": "/a", "age": "3"}'],
)  # fmt: skip
def test_common_variants_of_text_tables_are_read_alike(text):
    held = manifest_io.decode(pa.py_buffer(text.encode()), "-")
    assert held.to_pylist() == [{"clip": "/a", "path": "/a", "age": 3}]


def test_json_lines_can_have_different_fields():
    held = manifest_io.decode(pa.py_buffer(b'{"path": "/a", "speaker": 3}\n{"path": "/b", "mine": [1]}\n'), "-")
    assert held.column("speaker").to_pylist() == ["3", None]
    assert held.column("mine").to_pylist() == [None, [1]]


@pytest.mark.parametrize(
    "text",
    [
        '[{"path": "/a", "emotion": "sad"}, {"path": "/b", "x": 1}]',
        '{\n  "0": {"path": "/a", "emotion": "sad"},\n  "1": {"path": "/b", "x": 1}\n}',
        '\n{"/a": {"path": "/a", "emotion": "sad"}, "/b": {"path": "/b", "x": 1}}',
        '{"0": {"path": "/a", "emotion": "sad"},\n "1": {"path": "/b", "x": 1}}\n\n',
        '{"labels": {"sad": 0}, "meta_data": [{"path": "/a", "emotion": "sad"}, {"path": "/b", "x": 1}]}',
        '{"schema": {"fields": []}, "data": [\n{"path": "/a", "emotion": "sad"},\n {"path": "/b", "x": 1}]}',
    ],
)
def test_json_document_is_read_like_the_equivalent_json_lines(text):
    lines = b'{"path": "/a", "emotion": "sad"}\n{"path": "/b", "x": 1}\n'
    assert manifest_io.decode(pa.py_buffer(text.encode()), "-") == manifest_io.decode(pa.py_buffer(lines), "-")


@pytest.mark.parametrize("indent", [None, 1])
def test_keys_of_a_json_document_become_clip_ids_unless_entries_name_their_own(indent):
    held = {"a": {"emotion": "sad"}, "b": {"emotion": "happy", "clip": "mine"}, "c": {"file": "c.wav"}}
    table = manifest_io.parse(pa.py_buffer(json.dumps(held, indent=indent).encode()), "it")
    assert table.column("clip").to_pylist() == ["a", "mine", "c"]


@pytest.mark.parametrize("text", ['{"path": "/a", "x": {"y": 1}}', '{\n "path": "/a",\n "x": {"y": 1}\n}\n'])
def test_single_json_object_is_one_row_however_many_lines_it_spans(text):
    (row,) = manifest_io.decode(pa.py_buffer(text.encode()), "-").to_pylist()
    assert row == {"clip": "/a", "path": "/a", "x": {"y": 1}}


def test_nested_values_are_written_as_json_in_text_formats():
    deep = b'{"path": "/a", "x": {"a": ["1", "\xc3\xa4"]}, "y": [[1], [2]], "z": ["b", "c"]}\n{"path": "/b"}\n'
    said = sertool("index", "-f", "tsv", "-q", stdin=deep).out.decode().splitlines()
    assert said[1].split("\t")[4:] == ['"{""a"": [""1"", ""ä""]}"', '"[[1], [2]]"', '"b;c"']
    assert said[2].split("\t")[4:] == ["", "", ""]
    gap = b'{"path": "/a", "x": ["b", null]}\n{"path": "/b", "x": ["b", "c"]}\n'
    said = sertool("index", "-f", "tsv", "-q", stdin=gap).out.decode().splitlines()
    assert [line.split("\t")[4] for line in said[1:]] == ['"[""b"", null]"', '"b;c"']


@pytest.mark.parametrize("empty", ["{}", "[{}]", '{"y": {}}', '{"y": [{}], "z": 1}'])
def test_empty_json_objects_are_stored_as_text_in_parquet(tmp_path, empty):
    text = f'{{"path": "/a", "x": {empty}}}\n{{"path": "/b", "x": null}}\n'
    done = sertool("index", "-o", tmp_path / "a.parquet", stdin=text.encode())
    assert done.code == 0
    assert [row["x"] for row in manifest_io.read(str(tmp_path / "a.parquet")).to_pylist()] == [empty, None]


def test_json_output_never_contains_nan_or_infinity():
    def refuse(word):
        raise AssertionError(word)

    held = {"clip": ["a", "b"], "duration": [float("inf"), 1.5], "x": [[1.0, float("nan")], [2.0]]}
    for kind in ("jsonl", "csv"):
        stream = io.BytesIO()
        formats.encode([manifest.from_columns(held)], stream, kind)
        text = stream.getvalue().decode()
        assert "NaN" not in text
        if kind == "jsonl":
            rows = [json.loads(line, parse_constant=refuse) for line in text.splitlines()]
            assert rows == [{"clip": "a", "x": [1.0, None]}, {"clip": "b", "duration": 1.5, "x": [2.0]}]
    row = {"clip": "a", "start": float("nan"), "p_sad": float("inf"), "confidence": 0.25}
    assert json.loads(*streams.json_lines([row]), parse_constant=refuse) == {"clip": "a", "confidence": 0.25}


def test_bytes_are_written_as_text_in_text_formats(tmp_path):
    raw = {"path": ["/a"], "x": [b"\xffa"], "y": [{"bytes": b"\xff", "day": date(2020, 1, 2)}], "z": [[b"b"]]}
    pq.write_table(pa.table(raw), tmp_path / "a.parquet")
    said = sertool("index", tmp_path / "a.parquet", "-f", "tsv", "-q").out.decode().splitlines()
    (line,) = sertool("index", tmp_path / "a.parquet", "-f", "jsonl", "-q").out.splitlines()
    assert [json.loads(line)[name] for name in "xz"] == ["\\xffa", ["b"]]
    assert said[1].split("\t")[4:] == [
        '"\\xffa"', '"{""bytes"": ""\\\\xff"", ""day"": ""2020-01-02""}"', '"[""b""]"',
    ]  # fmt: skip


def test_json_lines_read_in_batches_form_one_table(monkeypatch):
    monkeypatch.setattr(formats, "LINES", 2)
    lines = [
        json.dumps({"path": f"/{k}"} | ({"age": k} if k > 2 else {}) | ({"x": k / 2} if k % 2 else {"x": k}))
        for k in range(7)
    ]
    held = manifest_io.decode(pa.py_buffer("\n".join(lines).encode()), "-")
    assert held.column("age").to_pylist() == [None, None, None, 3, 4, 5, 6]
    assert held.column("x").to_pylist() == [0, 0.5, 2, 1.5, 4, 2.5, 6]


@pytest.mark.parametrize("lines", [1, 65_536])
def test_json_columns_of_mixed_types_become_text(monkeypatch, lines):
    monkeypatch.setattr(formats, "LINES", lines)
    rows = [
        {"path": "/a", "speaker": 7, "x": True, "y": ["q"], "notes": ["dc", "quiet"], "age": 31, "n": 1},
        {"path": "/b", "speaker": "x", "x": 1, "y": 3, "notes": "stereo", "age": "40", "n": 2.5, "big": 2**70},
    ]
    text = "\n\n".join(map(json.dumps, rows))
    assert [
        {**row, "clip": row["path"]} for row in manifest_io.decode(pa.py_buffer(text.encode()), "-").to_pylist()
    ] == [
        {**rows[0], "clip": "/a", "speaker": "7", "x": "true", "y": "q", "big": None},
        {**rows[1], "clip": "/b", "x": "1", "y": "3", "notes": ["stereo"], "age": 40, "big": str(2**70)},
    ]


def test_text_in_a_numeric_json_column_is_reported_with_its_row():
    text = '{"path": "/a", "age": 31}\n{"path": "/b", "age": "25-30"}\n'
    with pytest.raises(SertoolError, match="column age holds '25-30' in row 2"):
        manifest_io.decode(pa.py_buffer(text.encode()), "-")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_concatenated_csv_tables_are_read_as_one(capsys, end, mark):
    tables = [mark + end.join(["path,age,take", *rows, ""]) for rows in (["/a,3,1"], ["/b,3,1", "/c,3,1"], [])]
    held = manifest_io.decode(pa.py_buffer("".join(tables).encode()), "-")
    assert held.select(["path", "age", "take"]).to_pydict() == {
        "path": ["/a", "/b", "/c"], "age": [3] * 3, "take": [1] * 3
    }  # fmt: skip
    assert capsys.readouterr().err == "warning: stdin: several tables joined: 2 more headers left out\n"


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_foreign_values_are_read_back_exactly_as_written(tmp_path, kind):
    theirs = {
        "session": ["001", "01", "1"], "code": ["12e4567", "00e1", "1e5"], "day": ["2024-01-01", "2024-01-02", None],
        "truth": ["true", "false", None], "number": ["12345678901234567890", "1", "2"], "sign": ["+1", "2", "3"],
        "limit": ["inf", "1.5", "2"], "huge": ["1e+999", "1", "2"], "long": ["1234567890123456", "0.5", "1"],
        "time": ["10:00", "11:30", "12:00"], "file": ["007", "8", "9"], "none": [None] * 3, "hex": ["0x1F", "1", "2"],
        "take": [1, -2, 0], "stamp": [2**60 + 1, 2**60 + 3, 5], "score": [1 / 3, 1e-7, -2.0],
        "large": [1e30, 2.5, None],
    }  # fmt: skip
    held = pa.table({"clip": ["a", "b", "c"], "path": ["/a.wav", "/b.wav", "/c.wav"], **theirs})
    manifest_io.write(held, str(tmp_path / f"a.{kind}"), kind)
    read = manifest_io.read(str(tmp_path / f"a.{kind}")).to_pydict()
    for name, values in theirs.items():
        assert read.get(name, [None] * 3) == values, name


@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_foreign_numbers_are_parsed_in_any_common_notation(separator):
    text = "path,a,b,c,d\n/a, 5,0.50,-1e-05,.5\n/b,60 ,10.25,1.5e3,\n/c,NA,1,3,1.0\n"
    held = manifest_io.decode(pa.py_buffer(text.replace(",", separator).encode()), "-").to_pydict()
    assert held["a"] == [5, 60, None]
    assert held["b"] == [0.5, 10.25, 1.0]
    assert held["c"] == [-1e-05, 1500.0, 3.0]
    assert held["d"] == [0.5, None, 1.0]


def test_decimal_commas_are_parsed_in_semicolon_separated_tables():
    held = manifest_io.decode(pa.py_buffer(b"path;a;b;c\n/a;0,5;1,25;x,y\n/b;10;2;z\n"), "-").to_pydict()
    assert (held["a"], held["b"], held["c"]) == ([0.5, 10.0], [1.25, 2.0], ["x,y", "z"])


@pytest.mark.parametrize(
    "text",
    [
        "path,take,end,p_odd,dur\n/a,1.10,1.50,0.50,2.0\n/b,,1.5,0.5,2\n/c,1.1,1.5,0.5,2\n",
        "path,take,end,p_odd,dur\n/a,1.10,1.50,0.50,2.0\n/b,1.1,1.5,0.5,2\n",
        "path;take;end;p_odd;dur\n/a;1,20;1,50;0,50;2,0\n/b;1,2;1,5;0,5;2\n",
        "path;take;end;p_odd;dur\n/a;1,000;1,50;0,50;2,0\n/b;1;1,5;0,5;2\n",
    ],
)
def test_foreign_column_stays_text_if_parsing_would_merge_distinct_values(text):
    kind = "semicolons" if ";" in text else "csv"
    held = formats.parse(pa.py_buffer(text.encode()), kind, "here").to_pydict()
    assert held["take"] == [line.split(delimited.SEPARATORS[kind])[1] or None for line in text.splitlines()[1:]]
    assert ({*held["end"]}, {*held["p_odd"]}, {*held["dur"]}) == ({1.5}, {0.5}, {2})


def test_repeated_decimals_and_negative_zero_are_parsed_as_numbers():
    text = "path,a,b\n/a,-0.00,1.50\n/b,0.00,1.50\n/c,,2.25\n/d,,\n"
    held = manifest_io.decode(pa.py_buffer(text.encode()), "-").to_pydict()
    assert (held["a"], held["b"]) == ([0.0, 0.0, None, None], [1.5, 1.5, 2.25, None])


def test_empty_cell_is_null_in_a_fully_quoted_table():
    names = ("path", "age", "start", "notes", "speaker", "p_sad", "mine", "modified")
    rows = (("/a", "", "", "", "", "", "1", ""), ("/b", "3", "1.5", "quiet;dc", "s", "0.5", "", "16.0"))
    text = "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in (names, *rows))
    first, second = manifest_io.decode(pa.py_buffer(text.encode()), "-").to_pylist()
    assert {first[name] for name in names[1:6]} | {first["modified"]} == {None}
    assert [second[name] for name in names[1:]] == [3, 1.5, ["quiet", "dc"], "s", 0.5, None, 16]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("blank", ["", '""'])
def test_rows_whose_cells_are_all_empty_are_no_rows(mark, blank):
    rows = ["path", "mine", "age"], [blank] * 3, ["/a", "", "3"], [blank] * 3, ["/b", "x", ""], [blank] * 3
    text = "".join(mark.join(row) + "\n" for row in rows)
    held = manifest_io.decode(pa.py_buffer(text.encode()), "-")
    assert held.column("path").to_pylist() == ["/a", "/b"]
    assert held.column("age").to_pylist() == [3, None]


def test_row_with_a_value_but_no_path_is_still_refused():
    with pytest.raises(SertoolError, match="1 row without a path"):
        manifest_io.decode(pa.py_buffer(b"path,age\n/a,3\n,4\n,\n"), "-")


def test_unquoted_na_is_null_and_quoted_na_is_text():
    held = manifest_io.decode(pa.py_buffer(b'path,speaker,age\n/a,NA,NA\n/b,"NA",\n/c,,3\n'), "-")
    assert held.column("speaker").to_pylist() == [None, "NA", None]
    assert held.column("age").to_pylist() == [None, None, 3]


def test_unquoted_na_in_a_column_of_names_is_said_to_be_unknown(capsys):
    manifest_io.decode(pa.py_buffer(b'path,Speaker,spk,room\n/a,NA,nan,NA\n/b,"NA",,\n/c,NA,x,\n/d,,y,\n'), "-")
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "stdin: NA in column Speaker is read as unknown, in 2 rows: put it in quotes if it is a name",
        "stdin: nan in column spk is read as unknown, in 1 row: put it in quotes if it is a name",
    ]
    manifest_io.decode(pa.py_buffer(b'path,speaker\n/a,"NA"\n/b,\n'), "-")
    assert not capsys.readouterr().err


@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_integers_that_pandas_wrote_as_floats_are_read_as_integers(separator):
    text = f"""clip,path,sample_rate,age,modified,samples
a,a.wav,16000.0,31,{2**60 + 1},1.5e3
b,b.wav,,,,
c,c.wav, 8000.0 ,7.0,{2**60 + 2},9
"""
    held = manifest_io.decode(pa.py_buffer(text.replace(",", separator).encode()), "-").to_pydict()
    assert held["sample_rate"] == [16_000, None, 8_000]
    assert held["age"] == [31, None, 7]
    assert held["modified"] == [2**60 + 1, None, 2**60 + 2]
    assert held["samples"] == [1500, None, 9]


@pytest.mark.parametrize("value", ["30.5", "70000.0", "inf", "old", "1e300"])
def test_non_integer_value_is_refused_with_the_name_of_its_column(value):
    text = f"clip,path,sample_rate,channels\na,a.wav,16000.0,31\nb,b.wav,,{value}\n"
    with pytest.raises(SertoolError, match="column channels holds"):
        manifest_io.decode(pa.py_buffer(text.encode()), "-")


def test_file_bytes_are_held_in_arrow_memory(tmp_path):
    manifest_io.write(clips(tmp_path), str(tmp_path / "a.parquet"), "parquet")
    before = pa.total_allocated_bytes()
    held = manifest_io.read_bytes(str(tmp_path / "a.parquet"))
    assert held.to_pybytes() == (tmp_path / "a.parquet").read_bytes()
    assert pa.total_allocated_bytes() - before >= held.size > 0


# What cannot be read


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty input"), (b"PAR1", "not readable as parquet: it was cut off or altered"),
        (b"PAR1" + bytes(100) + b"PAR1", "cut off or altered"), (b'{"', "not readable as jsonl: Unterminated"),
        (b'[{"a":' + b"[" * 100_000, "not readable as jsonl: maximum recursion"),
        (b'{"a":' * 100_000, "maximum recursion"),
        (b'{"path": "/a"}\n{"path": 3', "line 2"), (b'[{"path": "/a"}, 7]', "the document holds something else"),
        (b'{\n"path": "/a",\n}', "not readable as jsonl: "), (b'[{"path": "/a"}', "not readable as jsonl"),
        (b'{"path": "/a"}\n7', "line 2 is no object"), (b'{"path": {"a": 1}, "x": 1}', "column path holds struct"),
        (b'{"path": "/a", "age": [1]}', "column age holds list"), 
        (b"path,age\n/a\n", "not readable as csv: "),
        (b"path,start\n/a,x\n", "column start holds 'x' in row 1, and takes numbers"),
        (b"path,age\n/a,old\n", "column age holds 'old' in row 1"),
        (b"path,path\n/a,/b\n", "more than one column is named path"), 
        (b"path,emotion\n/a,\xe9\n", "not readable as csv"),
        (b"emotion,age\nsad,3\n", "no column named path or clip; it has emotion, age"),
        (b"\0\1\2", "neither a manifest"),
        (b"\n\n", "neither a manifest"), (b'{"path": "\\ud800"}', "surrogates"),
    ],
)  # fmt: skip
def test_unreadable_input_gives_a_one_line_error(data, says):
    with pytest.raises(SertoolError, match=says) as caught:
        manifest_io.decode(pa.py_buffer(data), "-")
    assert str(caught.value).startswith("stdin: ")
    assert "\n" not in str(caught.value)
    done = sertool("index", stdin=data)
    assert done.code in (1, 2)
    assert says in done.line or "no such file" in done.line


@pytest.mark.parametrize("tenth", range(10))
def test_truncated_parquet_stream_is_refused(tmp_path, tenth):
    manifest_io.write(clips(tmp_path), str(tmp_path / "a.parquet"), "parquet")
    data = (tmp_path / "a.parquet").read_bytes()
    done = sertool("index", stdin=data[: len(data) * tenth // 10])
    assert (done.code, done.out) == (1, b"")
    assert "cut off" in done.line or "empty input" in done.line


def test_flipped_bit_in_a_manifest_is_refused_or_harmless(tmp_path):
    manifest_io.write(clips(tmp_path), str(tmp_path / "a.parquet"), "parquet")
    data = (tmp_path / "a.parquet").read_bytes()
    body = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for place in np.random.default_rng(0).integers(4, body, 100):
        altered = bytearray(data)
        altered[place] ^= 16
        try:
            held = manifest_io.decode(pa.py_buffer(bytes(altered)), str(tmp_path / "a.parquet"))
        except SertoolError as error:
            assert "cut off or altered" in str(error)  # noqa: PT017 (a header of a page may hold bits that say nothing)
        else:
            assert held.equals(clips(tmp_path))


def test_missing_files_and_folders_are_named_in_the_error(tmp_path):
    with pytest.raises(UsageError, match=r"no such file: .*absent"):
        manifest_io.read(str(tmp_path / "absent"))
    with pytest.raises(UsageError, match="is a folder"):
        manifest_io.read(str(tmp_path))
    with pytest.raises(SertoolError, match=r"cannot read .*name too long"):
        manifest_io.read("x" * 4000)


# Paths


def test_paths_stay_valid_when_manifest_and_audio_move_together(tmp_path):
    (tmp_path / "one").mkdir()
    manifest_io.write(clips(tmp_path / "one"), str(tmp_path / "one" / "clips.parquet"), "parquet")
    stored = pq.read_table(tmp_path / "one" / "clips.parquet")
    assert stored.column("path")[0].as_py() == "audio/plain.wav"
    assert stored.column("mel_shard")[0].as_py() == "mel/00000.safetensors"
    (tmp_path / "one").rename(tmp_path / "two")
    moved = manifest_io.read(str(tmp_path / "two" / "clips.parquet"))
    assert moved.equals(clips(tmp_path / "two"))


def test_paths_outside_the_manifest_folder_stay_absolute(tmp_path):
    (tmp_path / "sub").mkdir()
    manifest_io.write(clips(tmp_path), str(tmp_path / "sub" / "clips.parquet"), "parquet")
    stored = pq.read_table(tmp_path / "sub" / "clips.parquet").column("path").to_pylist()
    assert stored == clips(tmp_path).column("path").to_pylist()


# Bytes


def test_equal_rows_are_written_as_equal_bytes_whatever_their_chunking(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest_io, "ROW_GROUP", 4)
    held = clips(tmp_path)
    pieces = pa.concat_tables([held.slice(0, 3), held.slice(3, 1), held.slice(4)])
    for kind in ("parquet", "csv", "jsonl"):
        for name, table in (("one", held), ("two", pieces), ("three", held)):
            manifest_io.write(table, str(tmp_path / f"{name}.{kind}"), kind)
        assert len({(tmp_path / f"{name}.{kind}").read_bytes() for name in ("one", "two", "three")}) == 1
    assert pq.ParquetFile(tmp_path / "one.parquet").num_row_groups == 3
    assert manifest_io.read(str(tmp_path / "one.parquet")).equals(held)


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_a_table_without_rows_is_written_and_read(tmp_path, kind):
    held = clips(tmp_path).slice(0, 0)
    manifest_io.write(held, str(tmp_path / "a"), kind)
    if kind == "jsonl":
        assert (tmp_path / "a").read_bytes() == b""
    else:
        assert manifest_io.read(str(tmp_path / "a")).num_rows == 0


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_file_already_holding_the_rows_is_recognised(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(manifest_io, "ROW_GROUP", 4)
    held, out = clips(tmp_path), str(tmp_path / "a")
    assert not manifest_io.holds(out, held, kind)
    manifest_io.write(held, out, kind)
    assert manifest_io.holds(out, held, kind)
    assert manifest_io.holds(out, provenance.made_by(held, "sertool", 0), kind)
    last = [*held.column("emotion").to_pylist()[:-1], "fear"]
    for other in (held.slice(1), held.slice(0, 8), manifest.with_column(held, "emotion", last), held.select(["clip"])):
        assert not manifest_io.holds(out, other, kind)
    Path(out).write_bytes(Path(out).read_bytes()[:-7])
    assert not manifest_io.holds(out, held, kind)
    Path(out).write_bytes(b"")
    assert not manifest_io.holds(out, held, kind)
    assert not manifest_io.holds("-", held, kind)


# The door


@pytest.mark.parametrize(
    ("out", "asked", "kind"),
    [
        (None, None, "parquet"), ("-", None, "parquet"), ("-", "csv", "csv"), ("a.csv", None, "csv"),
        ("a.TSV", None, "tsv"),
        ("a.pq", None, "parquet"), ("a.ndjson", None, "jsonl"), ("a.txt", "csv", "csv"),
        ("a.csv", "parquet", "parquet"),
    ],
)  # fmt: skip
def test_output_format_follows_the_option_or_the_file_extension(out, asked, kind):
    assert manifest_io.format_for(out, asked) == kind


@pytest.mark.parametrize(
    ("out", "asked", "says"),
    [("a.txt", None, "choose .parquet"), ("a", None, "or give -f"), ("a.csv", "table", "is for terminals")],
)
def test_unsupported_output_format_is_refused(out, asked, says):
    with pytest.raises(UsageError, match=says):
        manifest_io.format_for(out, asked)


def test_terminal_output_is_a_table_and_never_binary(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("sertool.system.talk.to_terminal", lambda: True)
    assert manifest_io.format_for(None, None) == "table"
    with pytest.raises(UsageError, match="no text for a terminal"):
        manifest_io.format_for(None, "parquet")
    more = pa.concat_tables([clips(tmp_path)] * 3)
    manifest_io.write(more, None, "table")
    shown = capsys.readouterr()
    assert "c/0" in shown.out
    assert shown.out.count("\n") == 21
    assert f"{len(more) - 20} more clips" in shown.err


def test_reading_from_a_terminal_is_refused_instead_of_blocking(monkeypatch):
    monkeypatch.setattr("sertool.system.talk.from_terminal", lambda: True)
    with pytest.raises(UsageError, match="nothing to read"):
        manifest_io.read("-")


def test_a_manifest_from_process_substitution_is_read(tmp_path):
    manifest_io.write(clips(tmp_path), str(tmp_path / "a.parquet"), "parquet")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    if child := os.fork():
        assert len(manifest_io.read(str(fifo))) == len(TEXTS)
        os.waitpid(child, 0)
    else:
        fifo.write_bytes((tmp_path / "a.parquet").read_bytes())
        os._exit(0)


@posix
@pytest.mark.parametrize("how", ["/dev/stdin <sub/a.csv", "- <sub/a.csv", "<(cat sub/a.csv)", "/dev/fd/3 3<sub/a.csv"])
def test_paths_in_a_stream_are_relative_to_the_working_folder(tmp_path, how):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.csv").write_text("path\nsub/a.wav\n")
    line = f"cd {tmp_path}; {sys.executable} -m sertool index -f jsonl -q {how}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert json.loads(done.stdout)["path"] == str(tmp_path / "sub" / "a.wav")


@posix
def test_paths_written_to_a_named_pipe_are_read_back_unchanged(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / "x.csv")
    held = clips(tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(manifest_io.read, "out/x.csv")
        manifest_io.write(held, "out/x.csv", "csv")
        read = reading.result(timeout=9)
    for name in ("path", "mel_shard"):
        assert manifest.column(read, name) == manifest.column(held, name)


def test_paths_in_a_list_are_relative_to_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "list").write_text("sub/a.wav\n")
    assert manifest.column(manifest_io.read("sub/list"), "path") == [str(tmp_path / "sub" / "a.wav")]


def test_empty_path_list_is_reported_as_coming_from_stdin():
    assert sertool("index", stdin=b"\n").line.startswith("sertool: stdin: neither a manifest")


def test_reading_a_manifest_imports_no_heavy_modules(tmp_path):
    manifest_io.write(clips(tmp_path), str(tmp_path / "a.parquet"), "parquet")
    heavy = ("pyarrow.dataset", "pyarrow.csv", "pyarrow.json", "pandas", "torch", "scipy")
    hidden = "sys.meta_path.insert(0, cli.WithoutPandas())"  # as of every command
    imports = "import sys; from sertool import cli; from sertool.manifests import manifest_io"
    code = f"{imports}; {hidden}; manifest_io.read(sys.argv[1]); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.parquet"], capture_output=True, text=True, check=True
    )
    assert not set(heavy) & set(done.stdout.split())


def test_path_list_lines_can_end_with_a_carriage_return():
    assert manifest_io.parse_paths(pa.py_buffer(b"a b.wav\rc.wav\r"), "-") == ["a b.wav", "c.wav"]
    assert manifest_io.parse_paths(pa.py_buffer(b"a\rb.wav\nc.wav\n"), "-") == ["a\rb.wav", "c.wav"]


def test_byte_order_mark_is_stripped_from_the_first_path():
    for text in (b"\xef\xbb\xbfa.wav\nb.wav\n", b"\xef\xbb\xbfpath\na.wav\nb.wav\n"):
        assert manifest_io.parse_paths(pa.py_buffer(text), "-") == ["a.wav", "b.wav"]


def test_path_lists_can_contain_arbitrary_bytes():
    assert manifest_io.parse_paths(pa.py_buffer(b"a b.wav\r\n\n\xff.wav\n"), "-") == [
        "a b.wav",
        os.fsdecode(b"\xff.wav"),
    ]
    assert manifest_io.parse_paths(pa.py_buffer(b"two\nlines.wav\0b.wav\0"), "-", nul=True) == [
        "two\nlines.wav",
        "b.wav",
    ]


def test_floats_survive_a_round_trip_to_the_last_bit(tmp_path):
    values = np.random.default_rng(0).normal(0, 1e-9, 50).tolist()
    held = manifest.from_columns({"clip": [str(k) for k in range(50)], "duration": values})
    for kind in ("csv", "jsonl", "parquet"):
        manifest_io.write(held, str(tmp_path / "a"), kind)
        assert manifest_io.read(str(tmp_path / "a")).column("duration").to_pylist() == values


def test_comparing_stream_accepts_only_matching_bytes():
    stream = manifest_io._ComparingStream(io.BytesIO(b"abcdef"))
    assert stream.write(b"abc") == 3
    with pytest.raises(ValueError, match="something else"):
        stream.write(b"xyz")


def test_empty_quoted_cells_are_null_in_tables_with_decimal_commas():
    text = b'"path";"confidence";"x"\n"/a.wav";"0,5";"1,5"\n"/b.wav";"";""\n'
    held = manifest_io.decode(pa.py_buffer(text), "-")
    assert held.select(["confidence", "x"]).to_pydict() == {"confidence": [0.5, None], "x": [1.5, None]}


def test_text_column_can_be_stacked_with_columns_of_other_types():
    words = pa.table({"clip": ["a"], "path": ["/a.wav"], "own": ["x"]})
    kinds = (pa.large_string(), pa.bool_(), pa.date32(), pa.timestamp("s"), pa.float64())
    values = ("y", True, date(2024, 1, 1), datetime(2024, 1, 1), 2.5)
    for kind, value in zip(kinds, values, strict=True):
        other = pa.table({"clip": ["b"], "path": ["/b.wav"], "own": pa.array([value], kind)})
        for tables in ((words, other), (other, words)):
            assert "x" in merging.stacked(tables)["own"].to_pylist()


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_header_cell_may_hold_line_breaks_and_quotes(separator, end):
    head = f'path,"how{end}""loud""",speaker,emotion,id,"code{end}"'
    rows = ["a.wav,1,001,angry,01,1.10", "b.wav,2,01,sad,02,1.1", "c.wav,3,1,sad,03,2"]
    text = end.join([head, *rows, ""]).replace(",", separator)
    held = manifest_io.decode(pa.py_buffer(text.encode()), "-")
    assert held["speaker"].to_pylist() == ["001", "01", "1"]
    assert held["code"].to_pylist() == ["1.10", "1.1", "2"]
    assert held[f'how{end}"loud"'].to_pylist() == [1, 2, 3]
    joined = manifest_io.decode(pa.py_buffer((text + text.replace("wav", "flac")).encode()), "-")
    assert joined.num_rows == 6


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_column_names_may_hold_line_breaks(tmp_path, kind):
    own = {"how\nloud": [1, 2], "speaker": ["001", "1"], 'a"b\r\n': ["1.10", "1.1"]}
    manifest_io.write(pa.table({"path": ["/a", "/b"], **own}), str(tmp_path / "a"), kind)
    read = manifest_io.read(str(tmp_path / "a"))
    assert [read[name.strip()].to_pylist() for name in own] == [*own.values()]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_dates_and_times_agree_with_their_form_as_text_when_merged(tmp_path, kind):
    times = {"us": datetime(2024, 1, 2, 3, 4, 5), "t": time(1, 2), "d": date(2024, 1, 2), "l": timedelta(1, 2)}
    own = {name: pa.array([value]) for name, value in times.items()}
    own["z"] = pa.array([datetime(2024, 1, 2)], pa.timestamp("ms", "Europe/Berlin"))
    held = pa.table({"clip": ["a"], "path": ["/a.wav"], **own})
    manifest_io.write(held, str(tmp_path / kind), kind)
    text = manifest_io.read(str(tmp_path / kind))
    merged = merging.merged([held, text])
    assert [str(value) for value in merged.to_pylist()[0].values()] == [
        str(text[name][0]) for name in merged.column_names
    ]


@pytest.mark.parametrize("values", [["p", "q"], [{"y": [1]}], {"y": 1}])
def test_nested_column_becomes_text_when_merged_with_its_csv_form(tmp_path, values):
    held = manifest.from_columns({"clip": ["a", "b"], "path": ["/a.wav", "/b.wav"], "own": [values, None]})
    tables = []
    for kind in ("csv", "parquet"):
        manifest_io.write(held, str(tmp_path / kind), kind)
        tables.append(manifest_io.read(str(tmp_path / kind)))
    for each in (tables, tables[::-1]):
        assert merging.merged(each)["own"].to_pylist() == tables[0]["own"].to_pylist()


def test_columns_without_a_common_type_are_merged_as_text():
    kinds = {pa.bool_(): True, pa.int64(): 7, pa.uint64(): 2**64 - 1, pa.decimal128(2, 1): Decimal("1.5"),
             pa.date32(): date(2024, 1, 1), pa.time64("us"): time(1), pa.duration("s"): timedelta(1)}  # fmt: skip
    tables = [pa.table({"clip": [str(kind)], "own": pa.array([value], kind)}) for kind, value in kinds.items()]
    for one, other in permutations(tables, 2):
        first, second = merging.with_common_types([one, other])
        assert first.schema == second.schema
        assert merging.stacked([one, other])["own"].null_count == 0
    assert merging.stacked(tables)["own"].to_pylist()[:3] == ["true", "7", str(2**64 - 1)]
    assert merging.stacked([tables[1], pa.table({"own": [1.5]})])["own"].to_pylist() == [7.0, 1.5]


def test_column_without_any_value_can_be_filtered():
    held = pa.table({"clip": ["a"], "path": ["/a.wav"], "own": pa.nulls(1)})
    assert [len(row_filter.where(held, [clause])) for clause in ("own=", "own=3", "own>3", "own~x", "own!=3")] == [
        1, 0, 0, 0, 1
    ]  # fmt: skip


def test_table_with_leading_blank_lines_is_read_as_one_table():
    text = b'\n\nfile,emotion,x\na.wav,sad,"p\n\nq"\nb.wav,007,\nfile,emotion,x\nc.wav,08,\n'
    held = manifest_io.parse(pa.py_buffer(text), "it")
    assert held.to_pydict() == {
        "file": ["a.wav", "b.wav", "c.wav"], "emotion": ["sad", "007", "08"], "x": ["p\n\nq", None, None]
    }  # fmt: skip


def test_columns_after_thousands_of_others_get_the_right_types():
    names = [f"feature_number_{k:04}_of_many" for k in range(2000)]
    rows = [["0.5"] * len(names) + [f"/{k}.wav", f"00{k}", f"0{k}"] for k in range(2)]
    text = "\n".join(map(",".join, [[*names, "path", "speaker", "subject_code"], *rows]))
    held = manifest_io.decode(pa.py_buffer(text.encode()), "-").select(["path", "speaker", "subject_code"])
    assert held.to_pydict() == {
        "path": ["/0.wav", "/1.wav"], "speaker": ["000", "001"], "subject_code": ["00", "01"]
    }  # fmt: skip


def test_paths_in_a_folder_with_a_non_utf8_name_are_read_back_unchanged(tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path / "caf") + b"\xe9"))
    folder.mkdir()
    paths = [path_text(folder / "a.wav"), "/b/c.wav", None]
    written = manifest.from_columns({"clip": ["1", "2", "3"], "path": paths})
    for name in ("m.parquet", "m.csv"):
        manifest_io.write(written, str(folder / name), name.split(".")[1])
        assert manifest.column(manifest_io.read(str(folder / name)), "path") == paths
        assert manifest_io.holds(str(folder / name), written, name.split(".")[1])
    (folder / "r.csv").write_text("clip,path\n1,a.wav\n2,/b/c.wav\n3,\n")
    assert manifest.column(manifest_io.read(str(folder / "r.csv")), "path") == paths
