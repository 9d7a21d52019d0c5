"""Shards: whole or absent, never mistaken for others, and refused by the reader when a byte is not what was written."""

import json
import os
import random
import struct
import subprocess
import sys

import numpy as np
import pytest

from sertool.errors import SertoolError
from sertool.featurize import shards
from sertool.networks import tensorfile

SETTINGS = {"feature": "mel", "settings": {"bands": 3}}


def pieces(*counts: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((count, 3)).astype(np.float16) for count in counts]


def write(path, rows=None, issues=None, key="k"):
    rows = pieces(4, 0, 7) if rows is None else rows
    clips = [f"corpus/{number}" for number in range(len(rows))]
    counts = [len(row) for row in rows]
    shards.write(
        shards.Shard(path, key, SETTINGS, "float16", ["a", "b", "c"], clips, counts, issues or {}), "mel", rows
    )
    return rows


def test_written_shard_is_read_back_unchanged(tmp_path):
    rows = write(tmp_path / "0.safetensors")
    reader = shards.Reader("mel", SETTINGS)
    path = str(tmp_path / "0.safetensors")
    assert np.array_equal(reader.rows("corpus/0", path, 0, 4), rows[0])
    assert np.array_equal(reader.rows("corpus/2", path, 4, 7), rows[2])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits are of POSIX")
def test_more_shards_can_be_open_than_the_soft_file_limit(tmp_path):
    """Of a million clips there are a thousand shards, and 1,024 files is what most shells allow."""
    for number in range(80):
        write(tmp_path / f"{number}.safetensors")
    program = """
import sys, resource
from pathlib import Path
from sertool import cli
from sertool.featurize import shards
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
assert cli.run(["--version"]) == 0
reader = shards.Reader("mel")
print(sum(reader.rows("corpus/0", str(path), 0, 4).shape[0] for path in sorted(Path(sys.argv[1]).iterdir())))
"""
    words = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["320"], done.stderr


def test_shard_is_readable_by_the_safetensors_library(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    rows = write(tmp_path / "0.safetensors")
    held = safetensors.load_file(tmp_path / "0.safetensors")
    assert np.array_equal(held["mel"], np.concatenate(rows))


def test_shard_with_only_set_aside_clips_is_valid(tmp_path):
    write(tmp_path / "0.safetensors", pieces(0, 0), {"corpus/0": "vanished", "corpus/1": "vanished"})
    head, rows = shards.read(tmp_path / "0.safetensors", "mel")
    assert rows.shape == (0, 3)
    assert head.issues["corpus/1"] == "vanished"


def test_equal_rows_give_equal_bytes_whatever_their_memory_layout(tmp_path):
    rows = pieces(5)[0]
    write(tmp_path / "0.safetensors", [rows])
    write(tmp_path / "1.safetensors", [np.asfortranarray(rows)])
    assert (tmp_path / "0.safetensors").read_bytes() == (tmp_path / "1.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("count", "expected"), [(0, []), (1, [(0, 1)]), (1024, [(0, 1024)]), (1025, [(0, 1024), (1024, 1025)])]
)
def test_shards_hold_at_most_1024_clips(count, expected):
    assert shards.cut(np.ones(count), 1e9) == expected


def test_shards_of_long_clips_hold_fewer_but_at_least_one():
    assert shards.cut(np.array([6.0, 6.0, 30.0, 1.0, 9.0, 1.0]), 10.0) == [(0, 1), (1, 2), (2, 3), (3, 5), (5, 6)]


def test_clips_of_unknown_length_are_sharded_by_count():
    assert shards.cut(np.zeros(1030), 10.0) == [(0, 1024), (1024, 1030)]


def test_shard_key_depends_on_settings_clips_and_their_order():
    one, two = ["a", "d1", 0.0, 1.0], ["b", "d2", 0.0, 1.0]
    keys = {shards.key(SETTINGS, [one, two]), shards.key(SETTINGS, [two, one]), shards.key(SETTINGS, [one]),
            shards.key({"bands": 4}, [one, two]), shards.key(SETTINGS, [one, ["b", "d3", 0.0, 1.0]])}  # fmt: skip
    assert len(keys) == 5


def test_shard_key_depends_on_the_format_version(monkeypatch):
    before = shards.key(SETTINGS, [])
    monkeypatch.setattr(shards, "VERSION", shards.VERSION + 1)
    assert shards.key(SETTINGS, []) != before


def test_a_shard_without_a_checksum_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(tensorfile, "CHECKSUM", "sum")
        write(tmp_path / "0.safetensors")
    assert shards.head_of(tmp_path / "0.safetensors").rows == [4, 0, 7]
    assert shards.intact_header(tmp_path / "0.safetensors", "mel") is None


def test_reader_refuses_rows_with_a_wrong_clip_offset_or_setting(tmp_path):
    path = str(tmp_path / "0.safetensors")
    write(tmp_path / "0.safetensors")
    for clip, offset, count in (("corpus/1", 0, 4), ("corpus/0", 1, 4), ("corpus/0", 0, 5), ("corpus/2", 4, 70)):
        with pytest.raises(SertoolError, match="does not hold"):
            shards.Reader("mel").rows(clip, path, offset, count)
    with pytest.raises(SertoolError, match="other settings"):
        shards.Reader("mel", {"bands": 4}).rows("corpus/0", path, 0, 4)
    with pytest.raises(SertoolError, match="not a shard of mfcc"):
        shards.Reader("mfcc").rows("corpus/0", path, 0, 4)


def test_missing_shard_gives_a_clear_error(tmp_path):
    with pytest.raises(SertoolError, match="no such file"):
        shards.Reader("mel").rows("corpus/0", str(tmp_path / "0.safetensors"), 0, 4)
    assert shards.intact_header(tmp_path / "0.safetensors", "mel") is None


def test_truncated_shard_is_refused(tmp_path):
    path = tmp_path / "0.safetensors"
    write(path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert shards.intact_header(path, "mel") is None
    path.write_bytes(whole + b"\0")
    assert shards.intact_header(path, "mel") is None


def test_altered_value_in_a_shard_is_detected(tmp_path):
    path = tmp_path / "0.safetensors"
    write(path)
    whole = bytearray(path.read_bytes())
    whole[-3] ^= 1
    path.write_bytes(whole)
    with pytest.raises(SertoolError, match="altered"):
        shards.Reader("mel").rows("corpus/0", str(path), 0, 4)


def test_mutated_shard_header_is_harmless_or_refused(tmp_path):
    """700 shards with bytes set, deleted, doubled or swapped: each is read as it was, or refused with one line."""
    path, rng = tmp_path / "0.safetensors", random.Random(0)
    rows = write(path)
    whole, expected = path.read_bytes(), shards.head_of(path)
    length = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(700):
        path.write_bytes(mutated(whole, length, rng))
        head, held = read_or_none(path)
        assert head in (None, expected)
        assert held is None or np.array_equal(held, np.concatenate(rows))


def read_or_none(path):
    """What a shard holds, or nothing where it is refused with one line."""
    try:
        return shards.read(path, "mel")
    except SertoolError as error:
        return None, None if "\n" not in str(error) else error


def mutated(whole: bytes, length: int, rng: random.Random) -> bytes:
    """Some bytes of the header changed."""
    held = bytearray(whole)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(length)
        match rng.randrange(4):
            case 0:
                held[at] = rng.randrange(256)
            case 1:
                del held[at : at + rng.randrange(1, 9)]
            case 2:
                held[at:at] = held[at : at + rng.randrange(1, 9)]
            case 3:
                held[at] = rng.choice(b'0123456789[]{},:"-.e')
    return bytes(held)


HEADERS = [
    b"", b"[]", b"null", b"3", b'"x"', b"{", b'{"a":1}', b'{"mel":{}}', b'{"mel":[]}', b"\xff", b"[" * 100_000,
    b'{"__metadata__":3}', b'{"__metadata__":{"sertool":"["}}', b'{"__metadata__":{"sertool":3}}',
    b'{"__metadata__":{"sertool":"[1]"}}', b'{"__metadata__":{"sertool":"\\"3\\""}}', b'[{"a":1}, 2]',
    b'{"mel":{"dtype":"F16","shape":[1e99,3],"data_offsets":[0,1]}}',
    b'{"mel":{"dtype":"F16","shape":[-1,-1],"data_offsets":[0,2]}}',
    b'{"mel":{"dtype":"F16","shape":[9223372036854775807,9223372036854775807],"data_offsets":[0,2]}}',
    b'{"mel":{"dtype":"F16","shape":[1],"data_offsets":[-2,0]}}',
    b'{"mel":{"dtype":"F16","shape":[1],"data_offsets":[9999999999,10000000001]}}',
    b'{"mel":{"dtype":"BF99","shape":[1],"data_offsets":[0,2]}}',
    b'{"mel":{"dtype":["F16"],"shape":[1],"data_offsets":[0,2]}}',
    b'{"mel":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]},"x":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}',
    b'{"mel":{"dtype":"\\n\\u001b[31m","shape":[1],"data_offsets":[0,2]}}',
    b'{"mel":{"dtype":"F16","shape":"1","data_offsets":[0,2]}}',
    b'{"mel":{"dtype":"F16","shape":[true],"data_offsets":[0,2]}}',
    b'{"mel":{"dtype":"F16","shape":[1],"data_offsets":[0]}}',
]  # fmt: skip


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_a_hostile_header_is_refused_with_one_line(tmp_path, header):
    path = tmp_path / "x.safetensors"
    for body in (b"\0\0", b""):
        path.write_bytes(len(header).to_bytes(8, "little") + header + body)
        with pytest.raises(SertoolError) as caught:
            shards.read(path, "mel")
        assert "\n" not in str(caught.value)
        assert "expected at most" not in str(caught.value)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 100_000_001, 11])
def test_a_header_that_claims_to_be_longer_than_the_file_is_refused(tmp_path, length):
    path = tmp_path / "x.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(SertoolError, match="cut off"):
        tensorfile.read(path)


@pytest.mark.parametrize(
    "head", [b"PAR1\x15\x04\x15\x10\x00", b"RIFF\xff\x00\x00\x00WAVE", b"\x80\x02}q\x00(K\x01K\x02s."]
)
def test_file_of_another_format_is_not_reported_as_truncated(tmp_path, head):
    (tmp_path / "x").write_bytes(head + bytes(2000))
    with pytest.raises(SertoolError, match=r"x: no safetensors file$"):
        tensorfile.read(tmp_path / "x")


@pytest.mark.parametrize("change", [
    {"rows": [4]}, {"rows": ["4", 0, 7]}, {"rows": [4, 0, -7]}, {"rows": [4, 0, 8]}, {"rows": [7, 0, 4]},
    {"clips": [1, 2, 3]}, {"clips": None}, {"clips": ["corpus/0", "corpus/2", "corpus/1"]}, {"dtype": "int16"},
    {"issues": []}, {"issues": {"corpus/0": 3}}, {"settings": 3}, {"columns": ["a"]}, {"checksum": "1"}, {"key": None},
    {"key": "another"},
])  # fmt: skip
def test_inconsistent_shard_metadata_is_refused(tmp_path, change):
    path = tmp_path / "0.safetensors"
    write(path)
    length, whole = struct.calcsize("<Q"), path.read_bytes()
    end = length + int.from_bytes(whole[:length], "little")
    head = json.loads(whole[length:end])
    head["__metadata__"]["sertool"] = json.dumps(tensorfile.header(path) | change)
    text = json.dumps(head).encode()
    path.write_bytes(len(text).to_bytes(length, "little") + text + whole[end:])
    assert shards.intact_header(path, "mel") is None


def test_shard_header_does_not_contain_its_path(tmp_path):
    write(tmp_path / "0.safetensors")
    assert str(tmp_path) not in json.dumps(tensorfile.header(tmp_path / "0.safetensors"))
