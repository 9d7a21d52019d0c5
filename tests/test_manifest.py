"""The manifest's laws: ids are unique, merging loses and invents nothing, a filter means what it says."""

import hashlib
import json
import random
import time
import timeit

import numpy as np
import pyarrow as pa
import pytest

from sertool.errors import SertoolError, UsageError
from sertool.index import indexing, updating
from sertool.manifests import casting, columns, intake, manifest, manifest_io, merging, provenance, row_filter
from sertool.predict import manifest_requests
from sertool.predict.manifest_requests import Keeping
from sertool.predict.stored_rows import Shelf


def table(rows, **record):
    made = manifest.from_columns(
        {name: [row.get(name) for row in rows] for name in dict.fromkeys(n for r in rows for n in r)}
    )
    return provenance.attached(made, record) if record else made


def rows(held):
    return [{name: value for name, value in row.items() if value is not None} for row in held.to_pylist()]


VOICES = [
    {
        "clip": "a/1",
        "path": "/a/1.wav",
        "corpus": "a",
        "speaker": "a:x",
        "age": 31,
        "emotion": "sad",
        "notes": ["clipped"],
    },
    {"clip": "a/2", "path": "/a/2.wav", "corpus": "a", "speaker": "a:y", "age": 64, "emotion": "angry"},
    {
        "clip": "b/1",
        "path": "/b/1.wav",
        "corpus": "b",
        "emotion": "sad",
        "issue": "silent",
        "notes": ["quiet", "stereo"],
    },
    {"clip": "b/2", "path": "/b/2.wav", "corpus": "b", "emotion": "happy", "duration": 2.5, "take": 7},
]


# Columns


def test_manifest_columns_come_first_in_canonical_order_with_fixed_types():
    held = table(
        [{"mine": "x", "emotion": "sad", "fold": 2, "path": "/p", "clip": "c", "votes_voice_sad": 3, "p_sad": 0.5}]
    )
    assert held.column_names == ["clip", "path", "emotion", "fold", "mine", "votes_voice_sad", "p_sad"]
    assert [str(kind) for kind in held.schema.types] == [
        "string",
        "string",
        "string",
        "int16",
        "string",
        "int32",
        "float",
    ]


def test_every_column_has_a_type_and_a_meaning():
    for name, (kind, meaning) in (columns.MEANINGS | columns.FAMILIES).items():
        assert kind in casting.TYPES, name
        assert meaning
    assert columns.kind_of("mel_shard") == "string"
    assert columns.kind_of("votes_voice_sad") == "int32"
    assert [columns.kind_of(name) for name in ("_shard", "p_", "", "mine")] == [None] * 4


STRANGERS = {
    "p_id": ["P01", "P02"], "p_no": [16777217, 2], "p_code": [0.5, 16777217.0], "p_true": [True, False],
    "soft_label": ["yes", "no"], "soft_rank": [3, 1], "votes_by": ["ann", "ben"], "votes_net": [-1, 3],
    "votes_voice_mean": [1.5, 2.0], "votes_all": [2**40, 1],
    "speech_offset": [0.35, None], "annotated_rows": ["1-3", "4"], "data_shard": ["a", ""],
    "half_shard": ["h", "h"], "half_rows": [1, 2],
}  # fmt: skip


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
def test_foreign_columns_with_manifest_like_names_are_kept_unchanged(tmp_path, kind):
    held = pa.table({"clip": ["a", "b"], "path": ["/a.wav", "/b.wav"], **STRANGERS})
    out = tmp_path / f"a.{kind}"
    manifest_io.write(held, str(out), kind)
    read = manifest_io.read(str(out))
    told = STRANGERS | ({"p_true": ["true", "false"]} if kind == "csv" else {})  # which has no word but text for it
    for name, values in told.items():
        assert manifest.column(read, name) == values, name
    assert all(manifest.family(read, prefix) == [] for prefix in ("p_", "soft_", "votes_"))
    built = manifest.from_columns({"path": ["/a.wav", "/b.wav"], **STRANGERS})
    assert {name: manifest.column(built, name) for name in STRANGERS} == STRANGERS


def test_any_emotion_name_is_accepted_in_columns_of_the_right_type():
    given = {
        "p_furious": [1, 0], "p_angry": [0.25, None], "soft_furious": [0.5, None], "votes_voice_furious": [3.0, 1],
        "p_serene": pa.nulls(2), "mel_shard": ["a", "b"], "mel_offset": [0.0, 1], "mel_rows": ["1", "2"],
    }  # fmt: skip
    held = intake.check(pa.table({"clip": ["a", "b"], **given}), "here")
    for name in given:
        assert held.schema.field(name).type == casting.kind(name), name
    assert manifest.family(held, "p_") == ["furious", "angry", "serene"]
    assert columns.features(held.column_names) == ["mel"]
    for wrong in ({"p_angry": ["x", "y"]}, {**given, "mel_rows": ["x", "y"]}):
        with pytest.raises(SertoolError, match=r"here: column (p_angry|mel_rows) holds 'x' in row 1"):
            intake.check(pa.table({"clip": ["a", "b"], **wrong}), "here")


# Codes


@pytest.mark.parametrize("chunks", [1, 3])
@pytest.mark.parametrize("how", [manifest.codes, manifest.hashed_codes])
def test_codes_decode_to_the_original_values(how, chunks):
    rng = random.Random(4)
    words = [rng.choice(["sad", "angry", "", "ärger", None, "x" * 50]) for _ in range(999)]
    size = -(-len(words) // chunks)
    column = pa.chunked_array([words[i : i + size] for i in range(0, len(words), size)], pa.string())
    coded = how(pa.table({"emotion": column}), "emotion")
    assert coded.index.dtype == np.int32
    assert [None if place < 0 else coded.values[place] for place in coded.index] == words
    used = {place for place in coded.index if place >= 0}
    assert len({coded.values[place] for place in used}) == len(used)


def test_the_time_to_encode_a_column_does_not_grow_with_its_chunks():
    """Text is read in chunks of a megabyte, of which a long table has hundreds."""
    names = [f"clip{number}" for number in range(50_000)]

    def seconds(chunks: int) -> float:
        column = pa.chunked_array([names[start::chunks] for start in range(chunks)])
        return min(timeit.repeat(lambda: manifest.coded(column), timer=time.process_time, number=1, repeat=5))

    assert seconds(200) < 8 * seconds(1)


def wide(width):
    return table([{"clip": "a", "path": "/a.wav", "emotion": "sad"} | {f"f{place}": 0.5 for place in range(width)}])


ON_WIDE_TABLES = {
    "index, looking for a split": indexing.summary,
    "index --update, keeping columns": lambda held: updating.with_own_columns(wide(0), held, set()),
    "index --update, leaving out columns": lambda held: updating.warn_of_left_out(wide(0), held),
    "index --correct": lambda held: merging.replaced(wide(0), held, np.zeros(1, int)),
    "predict": lambda held: manifest_requests.kept(held, Keeping(), Shelf({})),
}


@pytest.mark.parametrize("what", ON_WIDE_TABLES)
def test_the_time_for_a_table_does_not_grow_with_the_square_of_its_columns(what):
    """Tables of features have thousands, and asking a table for all of its names takes time in proportion to them."""

    def seconds(width: int) -> float:
        held = wide(width)
        return min(timeit.repeat(lambda: ON_WIDE_TABLES[what](held), timer=time.process_time, number=1, repeat=2))

    assert seconds(2000) < 24 * seconds(250)  # eight times as many


def test_absent_and_empty_columns_have_no_coded_values():
    assert manifest.codes(table(VOICES), "race").index.tolist() == [-1] * 4
    empty = table(VOICES).slice(0, 0)
    for how in (manifest.codes, manifest.hashed_codes, manifest.distinct_codes):
        assert len(how(empty, "clip").index) == 0
    assert manifest.codes(pa.table({"emotion": pa.chunked_array([], pa.string())}), "emotion").index.size == 0


def test_words_of_list_cells_are_returned_with_their_rows():
    found, notes = manifest.words(table(VOICES), "notes")
    assert [(int(row), notes.values[code]) for row, code in zip(found, notes.index, strict=True)] == [
        (0, "clipped"), (2, "quiet"), (2, "stereo"),
    ]  # fmt: skip
    assert manifest.words(table(VOICES[1:2]), "notes")[0].size == 0


def test_counts_are_sorted_by_frequency_and_exclude_null():
    assert manifest.counts(table(VOICES), "emotion") == [("sad", 2), ("angry", 1), ("happy", 1)]
    assert manifest.counts(table(VOICES), "speaker") == [("a:x", 1), ("a:y", 1)]
    assert manifest.counts(table(VOICES), "race") == []


# Merging


def test_merging_slices_restores_the_original_row_order():
    held = table(VOICES)
    assert merging.merged([held.slice(0, 1), held.slice(1, 2), held.slice(3)]).equals(held)
    assert merging.merged([held]) is held


def test_rows_of_the_same_clip_in_two_manifests_are_joined():
    features = table(
        [{"clip": "b/1", "mel_rows": 7}, {"clip": "a/1", "mel_rows": 9}, {"clip": "c/1", "emotion": "calm"}]
    )
    joined = merging.merged([table(VOICES), features])
    assert [row["clip"] for row in rows(joined)] == ["a/1", "a/2", "b/1", "b/2", "c/1"]
    assert joined.column("mel_rows").to_pylist() == [9, None, 7, None, None]
    assert joined.column("emotion").to_pylist() == ["sad", "angry", "sad", "happy", "calm"]
    assert joined.column("notes").to_pylist()[2] == ["quiet", "stereo"]
    assert merging.merged([joined, joined]).equals(joined)


def test_manifests_that_contradict_each_other_are_refused():
    with pytest.raises(SertoolError, match="clip a/1 stands in two manifests with another emotion: sad and angry"):
        merging.merged([table(VOICES), table([{"clip": "a/1", "emotion": "angry"}])])
    with pytest.raises(SertoolError, match="of two corpora, index each with its own --corpus"):
        merging.merged([table([{"clip": "a/1", "path": "x.wav"}]), table([{"clip": "a/1", "path": "y.wav"}])])
    same = table([{"clip": "a/1", "size": 1, "modified": 2}]), table([{"clip": "a/1", "size": 3, "modified": 4}])
    assert rows(merging.merged(same)) == [
        {"clip": "a/1", "size": 1, "modified": 2}
    ]  # copied files are no contradiction


@pytest.mark.parametrize(
    ("first", "other"), [([1, 2], [1, 3]), (["x", None], ["y", None]), ({"k": [1]}, {"k": [2]}), (b"\xff", b"\xfe")]
)
def test_clips_that_differ_in_a_nested_column_are_refused(first, other):
    one, two = (table([{"clip": "a", "own": value, "notes": [str(value)]}]) for value in (first, other))
    with pytest.raises(SertoolError, match="clip a stands in two manifests with another own"):
        merging.merged([one, two])
    assert merging.merged([one, one])["own"].to_pylist() == [first]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(2)], ids=str)
def test_non_text_bytes_are_merged_and_reported_when_a_filter_matches_nothing(kind):
    one, other = (
        pa.table({"clip": ["a", "b"], "thumb": pa.array([first, b"\xff\xfe"], kind)}) for first in (b"\xff\0", None)
    )
    joined = merging.merged([other, one])
    assert joined.column("thumb").to_pylist() == [b"\xff\0", b"\xff\xfe"]
    with pytest.raises(SertoolError, match="in 2 rows, thumb is neither words nor numbers"):
        row_filter.choose(joined, ["thumb=xy"])


def test_merging_lists_with_numbers_yields_text():
    takes = merging.merged([table(VOICES), table([{"clip": "c", "take": ["x", "y"]}])])["take"].to_pylist()
    assert set(takes) - {None} == {str(row["take"]) for row in VOICES if "take" in row} | {"x;y"}


def test_incompatible_columns_are_named_when_merging_fails():
    months = pa.table({"clip": ["c"], "take": pa.array([(1, 2, 3)], pa.month_day_nano_interval())})
    with pytest.raises(SertoolError, match=r"do not fit together: .*take"):
        merging.merged([table(VOICES), months])


def test_column_that_is_text_in_one_manifest_is_merged_as_text():
    names, numbers = ({"clip": "c", "session": "01"}, {"clip": "d", "session": 10}), ({"clip": "e", "session": 2.5},)
    parts = [table([row]) for row in (*names, *numbers)]
    assert merging.merged(parts).column("session").to_pylist() == ["01", "10", "2.5"]


def test_numeric_text_is_compared_by_value_in_filters():
    held = table([{"clip": f"c{text}", "session": text} for text in ("009", "010", "11")])
    assert manifest.column(row_filter.where(held, ["session>9"]), "clip") == ["c010", "c11"]
    held = table([{"clip": f"c{text}", "session": text} for text in ("b9", "b10", "a")])
    assert manifest.column(row_filter.where(held, ["session>=b"]), "clip") == ["cb9", "cb10"]


def test_merging_agrees_with_a_naive_reference_implementation():
    rng = random.Random(9)
    for _ in range(20):
        parts = [
            [{"clip": f"c{k}", "sentence": f"s{k}"} if rng.random() < 0.5 else {"clip": f"c{k}", "age": k}
             for k in rng.sample(range(12), rng.randint(1, 9))]
            for _ in range(3)
        ]  # fmt: skip
        slow = {}
        for row in (row for part in parts for row in part):
            slow.setdefault(row["clip"], {}).update(row)
        merged = rows(merging.merged([table(part) for part in parts]))
        assert merged == [{n: slow[c][n] for n in ("clip", "age", "sentence") if n in slow[c]} for c in slow]


# Provenance


def test_provenance_chain_gains_one_step_per_command():
    first = provenance.made_by(table(VOICES), "sertool index a", 3)
    second = provenance.made_by(first.slice(0, 2), "sertool featurize --mel", 0, first)
    held = provenance.of(second)
    assert [step["command"] for step in held["chain"]] == ["sertool index a", "sertool featurize --mel"]
    assert [step["seed"] for step in held["chain"]] == [3, 0]
    assert [step["input"] for step in held["chain"]] == [None, manifest.digest(first)]
    assert held["version"] == 1


def test_merging_keeps_each_provenance_step_once_and_all_features():
    shared = provenance.made_by(table(VOICES), "sertool index", 0)
    mel = provenance.attached(shared, provenance.of(shared) | {"features": {"mel": {"bands": 64}}})
    rms = provenance.made_by(shared, "sertool featurize --rms", 0)
    rms = provenance.attached(rms, provenance.of(rms) | {"features": {"rms": {}}})
    held = provenance.of(merging.merged([mel, rms, shared]))
    assert [step["command"] for step in held["chain"]] == ["sertool index", "sertool featurize --rms"]
    assert held["features"] == {"mel": {"bands": 64}, "rms": {}}


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"3", b'{"chain": []}', b'"x"', b'{"version": "x", "chain": 5}',
                                  b'{"version": null, "chain": [5], "features": [1]}'])  # fmt: skip
def test_invalid_provenance_reads_as_empty(text):
    held = table(VOICES).replace_schema_metadata({b"sertool": text})
    assert provenance.of(held) == {"version": 1, "chain": [], "features": {}}


def test_manifest_of_a_newer_format_is_refused():
    held = table(VOICES).replace_schema_metadata({b"sertool": json.dumps({"version": 2}).encode()})
    with pytest.raises(SertoolError, match="newer sertool"):
        provenance.of(held)


def test_metadata_of_other_tools_is_preserved():
    held = provenance.attached(table(VOICES).replace_schema_metadata({b"pandas": b"{}"}), {})
    assert held.schema.metadata[b"pandas"] == b"{}"


def test_digest_depends_on_clips_and_their_order_but_not_on_chunking():
    held = table(VOICES)
    parts = pa.concat_tables([held.slice(0, 1), held.slice(1)])
    assert manifest.digest(parts) == manifest.digest(held)
    assert manifest.digest(held.slice(1, 2)) == manifest.digest(table(VOICES[1:3]))
    others = [table(VOICES[::-1]), table(VOICES[:3]), table([{"clip": "a/"}, {"clip": "1a/2"}, *VOICES[2:]])]
    assert len({manifest.digest(each) for each in (held, *others)}) == 4
    assert len(manifest.digest(held)) == len(hashlib.md5(b"").hexdigest()) // 2


# Choosing rows


@pytest.mark.parametrize(
    ("expression", "clips"),
    [
        ("corpus=a", ["a/1", "a/2"]), ("corpus!=a", ["b/1", "b/2"]), ("corpus = a|b", ["a/1", "a/2", "b/1", "b/2"]),
        ("age>=40", ["a/2"]), ("age<40", ["a/1"]), ("age>30 and age<40", ["a/1"]), ("age>=31.5", ["a/2"]),
        ("age<6.3e1", ["a/1"]), ("age<99999", ["a/1", "a/2"]), ("age<=-1.5", []), ("take>6.5", ["b/2"]),
        ("age=31|64", ["a/1", "a/2"]),
        ("age=", ["b/1", "b/2"]), ("age!=", ["a/1", "a/2"]), ("age!=31", ["a/2", "b/1", "b/2"]),
        ("issue=", ["a/1", "a/2", "b/2"]), ("issue!=", ["b/1"]), ("issue=silent|", ["a/1", "a/2", "b/1", "b/2"]),
        ("path~^/b/.*wav$", ["b/1", "b/2"]), ("duration=2.5", ["b/2"]), ("duration<=2.5", ["b/2"]), ("take=7", ["b/2"]),
        ("notes=clipped", ["a/1"]), ("notes=stereo|clipped", ["a/1", "b/1"]), ("notes!=clipped", ["a/2", "b/1", "b/2"]),
        ("notes=", ["a/2", "b/2"]), ("notes!=", ["a/1", "b/1"]), ("notes~er", ["b/1"]),
        ("notes=quiet|", ["a/2", "b/1", "b/2"]),
        ("race=", ["a/1", "a/2", "b/1", "b/2"]), ("race!=x", ["a/1", "a/2", "b/1", "b/2"]), ("race=x", []),
        ("fold<3", []),
        ("emotion>n", ["a/1", "b/1"]), ("clip=nothing", []), ("corpus=a and emotion=sad", ["a/1"]),
    ],
)  # fmt: skip
def test_filter_keeps_exactly_the_matching_clips(expression, clips):
    assert row_filter.where(table(VOICES), [expression]).column("clip").to_pylist() == clips


def test_filters_can_be_given_separately_and_values_can_contain_and():
    assert row_filter.where(table(VOICES), ["corpus=a", "age>40"]).column("clip").to_pylist() == ["a/2"]
    held = table([{"clip": "1", "sentence": "rock and roll", "two words": "x=y"}, {"clip": "2", "sentence": "rock"}])
    for expression in (
        "sentence=rock and roll",
        "sentence=rock and roll and two words=x=y",
        "clip=1 and sentence~and r",
    ):
        assert row_filter.where(held, [expression]).column("clip").to_pylist() == ["1"], expression


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("corpus", "takes COLUMN=VALUE"), ("", "takes COLUMN=VALUE"), ("=3", "takes COLUMN=VALUE"),
        ("colour=red", "no column colour; there are clip, path"), ("age=old", "age holds int16"),
        ("age>", "age holds int16"),
        ("path~(", "path holds string"), ("notes~(", "notes holds list"), ("age=1 and colour=2", "no column colour"),
    ],
)  # fmt: skip
def test_invalid_filter_is_explained_in_one_line(expression, says):
    with pytest.raises(UsageError, match=says) as caught:
        row_filter.where(table(VOICES), [expression])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("speaker=3", "in 4 rows, speaker is a:x, a:y"), ("age>90", "in 4 rows, age is 31 to 64"),
        ("notes=loud", "in 4 rows, notes is clipped"), ("race=x", "in 4 rows, race is empty everywhere"),
        ("corpus=a and emotion=calm", "by --where 'emotion=calm': in 2 rows, emotion is sad, angry"),
    ],
)  # fmt: skip
def test_filter_without_matches_reports_the_values_present(expression, says):
    with pytest.raises(SertoolError) as caught:
        row_filter.choose(table(VOICES), [expression], "x.parquet: ")
    assert str(caught.value).startswith("x.parquet: no clip is left by --where ")
    assert says in str(caught.value)


def test_only_matches_whole_values_that_contain_operators():
    held = table([{"clip": "1", "emotion": "a|b"}, {"clip": "2", "emotion": "a"}, {"clip": "3"}])
    assert manifest.only(held, "emotion", ["a|b"]).column("clip").to_pylist() == ["1"]


def test_copy_without_its_own_value_takes_its_parents() -> None:
    table = manifest.from_columns({"clip": ["a", "a#1", "a#2", "b#1", "c"], "parent": [None, "a", "a", "b", None]})
    assert manifest.own_or_parents(table, {"a": 3, "a#2": 1, "c": 0}).tolist() == [3, 3, 1, -1, 0]
    assert manifest.own_or_parents(manifest.without(table, "parent"), {"a": 3}).tolist() == [3, -1, -1, -1, -1]
