"""index joins manifests: equal sounds, copies and parts of files."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from indexing import by_clip, index, refused, rows, table
from running import sertool

from sertool.divisions import own_division, protocols
from sertool.manifests import manifest, manifest_io, provenance


def test_manifests_of_parts_merge_into_the_original_manifest(make):
    folder = make("x/angry/1.wav", "x/sad/2.wav", "x/happy/3.wav", "x/calm/4.wav")
    sertool("index", folder / "x", "-o", folder / "whole.parquet")
    for emotion in ("angry", "calm", "happy", "sad"):
        sertool("index", folder / "whole.parquet", "--where", f"emotion={emotion}", "-o", folder / f"{emotion}.parquet")
    parts = [folder / f"{emotion}.parquet" for emotion in ("angry", "calm", "happy", "sad")]
    sertool("index", *parts, parts[0], "-o", folder / "merged.parquet")
    assert manifest_io.read(str(folder / "merged.parquet")).equals(manifest_io.read(str(folder / "whole.parquet")))
    chain = provenance.of(manifest_io.read(str(folder / "merged.parquet")))["chain"]
    assert [step["command"].split()[1] for step in chain] == ["index"] * 6
    assert len({json.dumps(step) for step in chain}) == 6


def test_corpora_that_were_divided_apart_keep_their_own_protocols_when_joined(make):
    folder = make(*(f"{corpus}/s{who}/{word}.wav" for corpus in "ab" for who in "12345" for word in ("sad", "happy")))
    how = {"a": "--split=speaker:60/20/20", "b": "--split=random-80-20"}
    for corpus, division in how.items():
        words = ("--corpus", corpus, "--pattern", "{speaker}/{emotion}.wav", division)
        assert sertool("index", folder / corpus, *words, "-o", folder / f"{corpus}.parquet").code == 0
    for first, second in ("ab", "ba"):
        for name, *given in (("both", first, second), ("again", "both", first)):
            paths = [folder / f"{each}.parquet" for each in given]
            assert sertool("index", *paths, "-o", folder / f"{name}.parquet").code == 0
        for name in ("both", "again"):
            both = manifest_io.read(str(folder / f"{name}.parquet"))
            assert own_division.protocol(both) == "random-80-20 and speaker:60/20/20"
            assert own_division.protocol(manifest.only(both, "corpus", ["a"])) == "speaker:60/20/20"
            assert protocols.named(own_division.protocol(both)).is_leaky
    anew = ("--split", "speaker:50/25/25", "-o", folder / "anew.parquet")
    assert sertool("index", folder / "both.parquet", *anew).code == 0
    assert own_division.protocol(manifest_io.read(str(folder / "anew.parquet"))) == "speaker:50/25/25"


def test_audio_and_manifests_can_be_indexed_together(make):
    folder = make("x/angry/1.wav", "y/sad/2.wav")
    sertool("index", folder / "x", "-o", folder / "x.parquet")
    assert set(by_clip(folder / "x.parquet", folder / "y")) == {"x/angry/1", "y/sad/2"}


def test_audio_only_options_are_refused_for_manifests(make):
    folder = make("x/angry/1.wav")
    sertool("index", folder / "x", "-o", folder / "x.parquet")
    refused(folder / "x.parquet", "--pattern", "{speaker}.wav", says="are for audio, and here are manifests only")


def test_equal_sounds_across_joined_manifests_are_set_aside(make):
    folder = make("a/sad/1.wav", "a/sad/2.wav")
    shutil.copytree(folder / "a", folder / "b")
    (folder / "b" / "happy").mkdir()
    (folder / "b/sad/2.wav").rename(folder / "b/happy/2.wav")
    for name in "ab":
        assert sertool("index", folder / name, "-o", folder / f"{name}.parquet").code == 0
    held = by_clip(folder / "a.parquet", folder / "b.parquet")
    assert {clip: row.get("issue") for clip, row in held.items()} == {
        "a/sad/1": None, "b/sad/1": "duplicate-of:a/sad/1",
        "a/sad/2": "label-conflict", "b/happy/2": "label-conflict",
    }  # fmt: skip


def test_duplicate_is_used_again_when_its_original_is_left_out(make):
    folder = make("a/sad/1.wav", "a/sad/2.wav")
    shutil.copytree(folder / "a", folder / "b")
    shutil.copy(folder / "b/sad/1.wav", folder / "b/sad/3.wav")
    (folder / "b" / "happy").mkdir()
    (folder / "b/sad/2.wav").rename(folder / "b/happy/2.wav")
    for name in "ab":
        assert sertool("index", folder / name, "-o", folder / f"{name}.parquet").code == 0
    both = folder / "both.parquet"
    sertool("index", folder / "a.parquet", folder / "b.parquet", "-o", both)
    issues = {clip: row.get("issue") for clip, row in by_clip(both).items() if clip.startswith("b")}
    assert issues == {
        "b/sad/1": "duplicate-of:a/sad/1", "b/sad/3": "duplicate-of:a/sad/1", "b/happy/2": "label-conflict",
    }  # fmt: skip
    issues |= {"b/sad/1": None, "b/sad/3": "duplicate-of:b/sad/1"}
    for chosen in ((both,), (folder / "a.parquet", folder / "b.parquet")):
        done = sertool("index", *chosen, "--where", "corpus=b", "-f", "jsonl")
        assert {row["clip"]: row.get("issue") for row in rows(done)} == issues
        assert "1 clip is used again, for what it equals was left out, such as b/sad/1" in done.err


def test_overlapping_manifests_with_different_duplicate_choices_are_joined(make):
    folder = make("q/sad/x.wav")
    for name in "yw":
        shutil.copy(folder / "q/sad/x.wav", folder / f"q/sad/{name}.wav")
    for name in "xw":
        files = (folder / f"q/sad/{name}.wav", folder / "q/sad/y.wav")
        assert sertool("index", *files, "-o", folder / f"{name}.parquet").code == 0
    held = by_clip(folder / "x.parquet", folder / "w.parquet")
    assert {clip: row.get("issue") for clip, row in held.items()} == {
        "sad/x": None, "sad/y": "duplicate-of:sad/x", "sad/w": "duplicate-of:sad/x",
    }  # fmt: skip


def test_label_conflict_persists_when_the_other_label_is_left_out(make):
    folder = make("a/angry/1.wav")
    for name in ("a/happy/1.wav", "b/angry/0.wav"):
        (folder / name).parent.mkdir(parents=True)
        shutil.copy(folder / "a/angry/1.wav", folder / name)
    sertool("index", folder / "a", "--where", "emotion=angry", "-o", folder / "a.parquet")
    sertool("index", folder / "b", "-o", folder / "b.parquet")
    (folder / "a/happy/1.wav").unlink()
    sertool("index", folder / "b", folder / "a", "-o", folder / "c.parquet")
    issues = {clip: row.get("issue") for clip, row in by_clip(folder / "c.parquet").items()}
    assert issues == {"b/angry/0": None, "a/angry/1": "duplicate-of:b/angry/0"}
    for other in "bc":
        both = by_clip(folder / f"{other}.parquet", folder / "a.parquet")
        assert {clip: row["issue"] for clip, row in both.items()} == dict.fromkeys(issues, "label-conflict")


def test_label_conflict_persists_for_several_clips_of_the_label_that_is_left(make):
    folder = make("a/happy/1.wav")
    for name in ("a/happy/2.wav", "a/sad/3.wav"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "a/happy/1.wav", folder / name)
    sertool("index", folder / "a", "-o", folder / "a.parquet")
    sertool("index", folder / "a.parquet", "--where", "emotion=happy", "-o", folder / "b.parquet")
    held = by_clip(folder / "b.parquet")
    assert {clip: row["issue"] for clip, row in held.items()} == dict.fromkeys(
        ("a/happy/1", "a/happy/2"), "label-conflict"
    )


def test_label_conflict_is_resolved_by_mapping_both_labels_to_one(make):
    folder = make("a/calm/1.wav")
    (folder / "a/neutral").mkdir()
    shutil.copy(folder / "a/calm/1.wav", folder / "a/neutral/1.wav")
    sertool("index", folder / "a", "-o", folder / "a.parquet")
    held = by_clip(folder / "a.parquet", "--map", "calm=neutral")
    assert {clip: row.get("issue") for clip, row in held.items()} == {
        "a/calm/1": None, "a/neutral/1": "duplicate-of:a/calm/1",
    }  # fmt: skip


def test_copies_are_used_again_together_with_their_parent(make):
    folder = make("a/sad/1.wav")
    shutil.copytree(folder / "a", folder / "b")
    for name in "ab":
        made = sertool("index", folder / name)
        sertool("augment", "-", "--noise", "10", "-o", folder / f"{name}.parquet", stdin=made.out)
    both = by_clip(folder / "a.parquet", folder / "b.parquet", "--where", "corpus=b")
    assert {clip: row.get("issue") for clip, row in both.items()} == {"b/sad/1": None, "b/sad/1#1": None}


@pytest.mark.parametrize("kind", [pa.string(), pa.int16()])
def test_dictionary_encoded_columns_are_joined_by_their_values(tmp_path, kind):
    held = pa.table({"clip": ["a", "b", "c"], "room": pa.array([1, 2, None]).cast(kind).dictionary_encode()})
    pq.write_table(held, tmp_path / "a.parquet")
    pq.write_table(pa.table({"clip": ["d"], "room": pa.array([1]).cast(kind)}), tmp_path / "b.parquet")
    both = index(tmp_path / "a.parquet", tmp_path / "b.parquet", "--where", "room=1")
    assert [row["clip"] for row in both] == ["a", "d"]


def test_audit_of_two_manifests_reports_equal_sounds_between_them(make):
    folder = make("a/sad/1.wav", "a/sad/2.wav")
    shutil.copytree(folder / "a", folder / "b")
    for name, part in (("a", "train"), ("b", "test")):
        held = [row | {"split": part} for row in index(folder / name)]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, held)))
    told = sertool("index", "--audit", folder / "a.jsonl", folder / "b.jsonl")
    assert told.code == 1
    assert b"LEAK  equal sounds: 2 in more than one part" in told.out


def test_losslessly_converted_sound_is_a_duplicate_and_a_leak(make):
    folder = make("a/sad/1.wav")
    samples, rate = soundfile.read(folder / "a/sad/1.wav", dtype="int16")
    (folder / "b/sad").mkdir(parents=True)
    soundfile.write(folder / "b/sad/2.flac", np.stack([samples, samples], axis=1), rate, "PCM_24")
    held = by_clip(folder / "a", folder / "b")
    assert [row.get("issue") for row in held.values()] == [None, "duplicate-of:a/sad/1"]
    parts = [row | {"split": part, "issue": None} for row, part in zip(held.values(), ("train", "test"), strict=True)]
    (folder / "both.jsonl").write_text("\n".join(map(json.dumps, parts)))
    said = sertool("index", "--audit", folder / "both.jsonl").out
    assert b"LEAK  equal sounds: 1 in more than one part" in said
    assert b"\nnot checked: sounds that were coded, resampled or changed: equal ones have equal samples" in said


def test_copies_of_a_set_aside_clip_are_set_aside_too(make):
    folder = make("a/sad/1.wav")
    shutil.copytree(folder / "a", folder / "b")
    for name in "ab":
        made = sertool("index", folder / name)
        sertool("augment", "-", "--noise", "10", "-o", folder / f"{name}.parquet", stdin=made.out)
    held = by_clip(folder / "a.parquet", folder / "b.parquet")
    assert {clip: row.get("issue") for clip, row in held.items()} == {
        "a/sad/1": None, "a/sad/1#1": None,
        "b/sad/1": "duplicate-of:a/sad/1", "b/sad/1#1": "duplicate-of:a/sad/1",
    }  # fmt: skip


def test_segments_of_one_file_are_joined_and_audited_as_different_sounds(make):
    folder = make("talk.wav")
    parts = {"a": "0,0.1,sad,s1,train", "b": "0.1,0.1,happy,s2,test", "c": "0.1,0.1,happy,s1,train"}
    for name, part in parts.items():
        text = f"path,start,duration,emotion,speaker,split\ntalk.wav,{part}\n"
        (row,) = index(folder, "--table", table(folder, f"{name}.csv", text))
        (folder / f"{name}.jsonl").write_text(json.dumps(row | {"clip": name}))
    both = index(folder / "a.jsonl", folder / "b.jsonl")
    assert [row.get("issue") for row in both] == [None, None]
    (folder / "both.jsonl").write_text("\n".join(map(json.dumps, both)))
    assert b"no leak between 2 parts of 2 clips" in sertool("index", "--audit", folder / "both.jsonl").out
    twice = index(folder / "b.jsonl", folder / "c.jsonl")
    assert [row.get("issue") for row in twice] == [None, "duplicate-of:b"]
    (folder / "leak.jsonl").write_text("\n".join(json.dumps(row | {"issue": None}) for row in twice))
    told = sertool("index", "--audit", folder / "leak.jsonl")
    assert told.code == 1
    assert b"LEAK  equal sounds: 1 in more than one part" in told.out
    (folder / "aside.jsonl").write_text("\n".join(map(json.dumps, [*both, twice[1] | {"split": "test"}])))
    assert b"no leak between 2 parts of 2 clips" in sertool("index", "--audit", folder / "aside.jsonl").out


@pytest.mark.parametrize("other", ["./a.wav", "x/../a.wav", ".//a.wav", "file://{}/a.wav", "{}/./a.wav"])
def test_audit_recognises_a_file_by_any_spelling_of_its_path(tmp_path, other):
    text = f"path,split,emotion\na.wav,train,sad\n{other.format(tmp_path)},test,sad\n"
    told = sertool("index", "--audit", table(tmp_path, "a.csv", text))
    assert told.code == 1
    assert b"LEAK  overlapping segments: 1 in more than one part" in told.out


def test_file_under_two_names_is_set_aside_once_when_tables_are_joined(tmp_path):
    truth = table(tmp_path, "truth.csv", "path,emotion,start,channel\na.wav,sad,,1\nb.wav,happy,0,1\nb.wav,,1,1\n")
    more = f"path,start,channel\n{tmp_path}/a.wav,,1\n{tmp_path}/b.wav,1,2\n{tmp_path}/b.wav,2,1\n"
    held = by_clip(truth, table(tmp_path, "more.csv", more))
    issues = {clip: row["issue"] for clip, row in held.items() if row.get("issue")}
    assert issues == {f"{tmp_path}/a.wav": "duplicate-of:a.wav"}


def rated(folder, name, low, high, corpus):
    values = np.linspace(low, high, 120)
    lines = [f"{corpus}/{k},{corpus}/{k}.wav,{corpus},{value}" for k, value in enumerate(values)]
    return table(folder, name, "\n".join(["clip,path,corpus,arousal", *lines]))


def test_corpora_that_rate_on_different_scales_are_named_once(tmp_path):
    five, seven = rated(tmp_path, "five.csv", 1, 5, "a"), rated(tmp_path, "seven.csv", 1, 7, "b")
    done = sertool("index", five, seven, "-f", "csv")
    assert "rated: arousal 240 (1 to 7)\n" in done.err
    assert done.err.count("arousal is 1 to 5 in a and 1 to 7 in b: on different scales") == 1
    nearly = rated(tmp_path, "nearly.csv", 1.2, 4.8, "b")
    assert "scale" not in sertool("index", five, nearly, "-f", "csv").err
