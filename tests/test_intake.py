"""Tables of others are manifests as soon as they can be, and told why where they cannot."""

from decimal import Decimal

import pyarrow as pa
import pytest

from sertool.errors import SertoolError
from sertool.manifests import casting, intake, manifest


def test_foreign_column_types_are_converted_to_manifest_types():
    large = pa.table({
        "clip": pa.array(["1", "2"], pa.large_string()), "path": pa.array([b"/a", b"/b"], pa.binary()),
        "emotion": pa.array(["sad", None]).dictionary_encode(), "age": pa.array([31.0, None]),
        "notes": pa.array([["dc"], None], pa.large_list(pa.large_string())), "fold": pa.array(["1", "2"]),
        "speaker": pa.array([1001, 1002]), "issue": pa.nulls(2), "start": pa.array([0, 1], pa.int8()),
    })  # fmt: skip
    held = intake.check(large, "here")
    for field in held.schema:
        assert field.type == casting.kind(field.name), field.name
    assert held.to_pylist()[0] == {
        "clip": "1", "path": "/a", "start": 0.0, "speaker": "1001", "age": 31, "emotion": "sad", "issue": None,
        "notes": ["dc"], "fold": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        (["1.0", "2.0", None], ["1", "2", None]), ([1.0, float("nan"), 20.0], ["1", None, "20"]),
        (["1.0", "2.5", "x"], ["1.0", "2.5", "x"]), ([" 1.0 ", "", "3.0"], ["1", None, "3"]),
        (["1", "10", "x"], ["1", "10", "x"]), (["1,0", None, "12,0"], ["1", None, "12"]),
    ],
)  # fmt: skip
def test_speaker_ids_that_pandas_wrote_as_floats_become_integer_text(given, ours):
    held = intake.check(pa.table({"path": ["1.0", "2.0", "3.0"], "speaker": given, "sentence": given}), "here")
    assert manifest.column(held, "speaker") == ours
    assert manifest.column(held, "path") == ["1.0", "2.0", "3.0"]


def test_ids_after_many_rows_without_one_become_integer_text_too():
    rows = 2000
    ids = [*[None] * (rows - 1), "7.0"]
    held = intake.check(pa.table({"path": [f"/{row}" for row in range(rows)], "speaker": ids}), "here")
    assert manifest.column(held, "speaker")[-1] == "7"


def test_non_finite_start_or_duration_becomes_null():
    times = [0.5, float("nan"), None, float("inf")]
    held = intake.check(pa.table({"path": [*"abcd"], "start": times, "duration": times, "mine": times}), "here")
    assert manifest.column(held, "start") == manifest.column(held, "duration") == [0.5, None, None, None]
    assert manifest.cell(held, "mine", 3) == float("inf")


def test_foreign_split_names_are_translated_and_unrecognised_ones_kept():
    words = [
        "train",
        "Training",
        " TEST",
        "testing",
        "dev",
        "Devel",
        "development",
        "val",
        "Valid",
        "VALIDATION",
        "Pool",
        " ",
        None,
    ]
    ours = ["train", "train", "test", "test", "dev", "dev", "dev", "dev", "dev", "dev", "Pool", None, None]
    held = intake.check(pa.table({"path": [f"/{k}" for k in range(len(words))], "split": words}), "here")
    assert manifest.column(held, "split") == ours


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("age", ["31", " 40.0 ", None, "old"], "column age holds 'old' in row 4, and takes numbers"),
        ("age", [None, 1e9], "column age holds 1000000000.0 in row 2, and takes whole numbers"),
        ("age", ["31.5", "old"], "column age holds 'old' in row 2, and takes numbers"),
        ("channels", [None, 23.5], "column channels holds 23.5 in row 2, and takes whole numbers"),
        ("votes_voice_angry", ["1", "2%"], "column votes_voice_angry holds '2%' in row 2, and takes whole numbers"),
        ("path", [{"a": 1}], "column path holds struct"), ("notes", [3], "column notes holds int64"),
        ("start", ["x"], "column start holds 'x' in row 1, and takes numbers"),
        ("sample_rate", [2**40], "column sample_rate holds 1099511627776 in row 1"),
    ],
)  # fmt: skip
def test_manifest_column_with_invalid_values_is_named_in_the_error(column, values, says):
    held = pa.table({"clip": [f"{row}" for row in range(len(values))], column: values})
    with pytest.raises(SertoolError, match=says) as caught:
        intake.check(held, "there.parquet")
    assert str(caught.value).startswith("there.parquet: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("ages", "fraction"),
    [
        (["31.5", "", " 40.0 ", None], "31.5"), ([31.5, float("nan"), 40, None], "31.5"),
        ([Decimal("31.50"), None, Decimal("40.99"), None], "31.5"),
        (pa.array(["31.99", None, "40", None]).dictionary_encode(), "31.99"),
    ],
)  # fmt: skip
def test_years_of_an_age_with_a_fraction_are_kept(ages, fraction, capsys):
    held = intake.check(pa.table({"clip": [*"abcd"], "age": ages}), "here")
    assert manifest.column(held, "age") == [31, None, 40, None]
    assert capsys.readouterr().err == f"here: column age holds fractions, such as {fraction}: whole years are kept\n"


def test_whole_ages_are_kept_without_a_word(capsys):
    held = intake.check(pa.table({"clip": [*"abc"], "age": ["31.0", "40", None]}), "here")
    assert manifest.column(held, "age") == [31, 40, None]
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("cell", "notes"),
    [
        ("['clipped']", ["clipped"]), ("['clipped' 'quiet']", ["clipped", "quiet"]),
        ("['clipped', \"quiet\"]", ["clipped", "quiet"]), ("[clipped, quiet]", ["clipped", "quiet"]),
        ("['clipped'\n 'odd-name']", ["clipped", "odd-name"]), ("[]", None), ("[ ]", None),
        ("clipped;quiet", ["clipped", "quiet"]), ("it's [odd]", ["it's [odd]"]),
    ],
)  # fmt: skip
def test_lists_in_text_are_read_as_numpy_and_duckdb_write_them(cell, notes):
    held = intake.check(pa.table({"clip": ["a", "b", "c"], "notes": [cell, None, "dc"]}), "here")
    assert manifest.column(held, "notes") == [notes, None, ["dc"]]


@pytest.mark.parametrize("bands", [["20-29", None, "30 – 39"], ["<18", "65+", ">=66"]])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())], ids=str)
def test_age_bands_are_kept_as_text_in_a_separate_column(bands, kind, capsys):
    clips = [f"{row}" for row in range(len(bands))]
    held = intake.check(pa.table({"clip": clips, "age": pa.array(bands, pa.string()).cast(kind)}), "here")
    assert manifest.column(held, "age_band") == bands
    assert "age" not in held.column_names
    assert "column age holds bands" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("held", "says"),
    [
        (pa.table({"x": [1]}), "no column named path or clip; it has x"),
        (pa.table({"clip": ["a", "b", "a"]}), "clip a stands twice"),
        (pa.table({"path": ["/a", "/a"]}), "clip /a stands twice"),
        (pa.table({"clip": ["a", None]}), "1 row without a clip id"),
        (pa.table([["a"], ["b"]], names=["clip", "clip"]), "more than one column is named clip"),
    ],
)
def test_table_that_is_not_a_valid_manifest_is_refused(held, says):
    with pytest.raises(SertoolError, match=says):
        intake.check(held, "here")


def test_table_of_paths_becomes_a_manifest_with_paths_as_clip_ids():
    assert intake.check(pa.table({"path": ["/a", "/b"]}), "here").column("clip").to_pylist() == ["/a", "/b"]


@pytest.mark.parametrize("nothing", [pa.nulls(2), pa.array([None] * 2, pa.float64()), pa.array([float("nan")] * 2)])
def test_column_without_values_reads_as_null_whatever_its_type(nothing):
    names = ("notes", "speaker", "age", "start", "issue", "p_sad", "modified")
    held = intake.check(pa.table({"path": ["/a", "/b"], **dict.fromkeys(names, nothing)}), "here")
    for name in names:
        assert manifest.column(held, name) == [None, None] or name == "p_sad", name
        assert held.schema.field(name).type in (casting.kind(name), nothing.type), name


def test_segments_of_one_file_get_distinct_ids_from_their_start_times():
    times = {"path": ["/a", "/a", "/b"], "start": [0.5, 1.5, 0.0]}
    by_duration = intake.check(pa.table(times | {"duration": [1.0, 1.0, 2.0]}), "here")
    by_end = intake.check(pa.table(times | {"end": [1.5, 2.5, 2.0]}), "here")
    assert manifest.column(by_duration, "clip") == ["/a@0.5", "/a@1.5", "/b"]
    assert manifest.column(by_end, "clip") == ["/a@0.5", "/a@1.5", "/b"]
    named = pa.table(times | {"clip": ["a", "a", "b"], "duration": [1.0, 1.0, 2.0]})
    with pytest.raises(SertoolError, match="clip a stands twice"):
        intake.check(named, "here")


@pytest.mark.parametrize("length", [{"duration": [1.0] * 3}, {"end": [1.5, 1.5, 3.0]}])
def test_channels_of_one_segment_get_distinct_clip_ids(length):
    held = pa.table({"path": ["/a"] * 3, "start": [0.5, 0.5, 2.0], "channel": [1, 2, 1]} | length)
    assert manifest.column(intake.check(held, "here"), "clip") == ["/a@0.5:1", "/a@0.5:2", "/a@2"]


def test_foreign_columns_are_cast_to_widely_supported_types():
    moment = 1_700_000_000_000_000_000
    uuid = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"\0" * 16, None], pa.binary(16)))
    given = {
        "path": ["a", "b"], "day": pa.array([moment, None], pa.timestamp("ns", "UTC")),
        "instant": pa.array([moment + 1, None], pa.timestamp("ns")), "took": pa.array([1000, None], pa.duration("ns")),
        "at": pa.array([1, None], pa.time64("ns")), "word": pa.array(["a", None], pa.string_view()),
        "bytes": pa.array([b"a", None], pa.binary_view()), "words": pa.array([["a"], None], pa.list_(pa.string_view())),
        "many": pa.array([["a"], None], pa.large_list(pa.string())), "seen": pa.array([[moment], None],
        pa.list_(pa.timestamp("ns"))), "all": pa.array([{"at": moment}, None], pa.struct({"at": pa.timestamp("ns")})),
        "id": uuid, "half": pa.array([1, None], pa.float16()), "p_odd": pa.array([1, None], pa.float16()),
    }  # fmt: skip
    held = intake.check(pa.table(given), "here")
    assert [str(field.type) for field in held.schema][2:] == [
        "timestamp[us, tz=UTC]", "string", "duration[us]", "string", "string", "binary", "list<item: string>",
        "list<item: string>", "list<item: timestamp[us]>", "struct<at: timestamp[us]>", "string", "float", "float",
    ]  # fmt: skip
    assert manifest.cell(held, "instant", 0) == "2023-11-14 22:13:20.000000001"
    assert manifest.cell(held, "id", 0) == "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.timestamp("s", "UTC"), pa.date32()])
def test_date_outside_the_calendar_becomes_null(kind):
    number = pa.int32() if pa.types.is_date32(kind) else pa.int64()
    endless = pa.array([2 ** (number.bit_width - 1) - 1, 2 - 2 ** (number.bit_width - 1), 1], number).cast(kind)
    held = intake.check(pa.table({"path": ["a", "b", "c"], "day": endless}), "here")
    assert [value is None for value in manifest.column(held, "day")] == [True, True, False]
    assert held.schema.field("day").type == kind


def test_nan_in_a_foreign_column_becomes_null():
    held = intake.check(pa.table({"path": ["a", "b"], "snr": [float("nan"), 3.0]}), "here")
    assert manifest.column(held, "snr") == [None, 3.0]


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        (["0 days 00:00:01.500000", "1 day 00:00:00", "2 days 01:01:01.1"], [1.5, 86_400, 176_461.1]),
        (["0 days", "1 day", "2 days"], [0, 86_400, 172_800]),
        (["00:00:00", "01:02:03.004", " 100:00:00,25 "], [0, 3723.004, 360_000.25]),
        (["00:00:02", "NaT", ""], [2, None, None]), (["00:00:02", None, "1.5"], [2, None, 1.5]),
        (pa.array([1500, None, 0], pa.duration("ms")), [1.5, None, 0]),
        (pa.array([1_000_000_001, None, 0], pa.duration("ns")), [1.000000001, None, 0]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["start", "duration"])
def test_times_of_the_clock_are_read_as_seconds(name, times, seconds):
    held = intake.check(pa.table({"clip": ["a", "b", "c"], name: times, "mine": times}), "here")
    assert manifest.column(held, name) == seconds
    assert manifest.column(held, "mine") != seconds


def test_segments_may_end_at_times_of_the_clock():
    starts, ends = ["0 days 00:00:00", "0 days 00:00:01.500000"], ["0 days 00:00:01.250000", "NaT"]
    held = intake.check(pa.table({"path": ["/a", "/a"], "start": starts, "end": ends}), "here")
    assert [(row["start"], row["duration"]) for row in held.to_pylist()] == [(0, 1.25), (1.5, None)]


@pytest.mark.parametrize("word", ["00:61", "1:2:3", "00:00", "soon"])
def test_other_times_are_refused(word):
    with pytest.raises(SertoolError, match=f"column start holds '{word}' in row 2"):
        intake.check(pa.table({"path": ["/a", "/b"], "start": ["00:00:01", word]}), "here")
