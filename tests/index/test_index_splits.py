"""index divides clips, and the guard finds leaks."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from indexing import by_clip, emobox, refused, table
from running import sertool

from sertool.divisions import auditing, leak_guard, own_division
from sertool.manifests import manifest, manifest_io


def test_protocol_uses_its_own_seed_unless_another_is_given(make):
    folder = make(*(f"x/sad/{k}.wav" for k in range(40)))
    splits = {
        words: [row.get("split") for row in by_clip(folder / "x", "--protocol", "random-70-30", *words).values()]
        for words in ((), ("--seed", 42), ("--seed", 0))
    }
    assert splits[()] == splits["--seed", 42] != splits["--seed", 0]


def test_audit_counts_clips_without_a_speaker(tmp_path):
    rows = [f"c{k},{'s' + str(k) if k < 2 else ''},{'train' if k % 2 else 'test'}" for k in range(10)]
    (tmp_path / "t.csv").write_text("\n".join(["clip,speaker,split", *rows]))
    done = sertool("index", "--audit", tmp_path / "t.csv")
    assert b"not checked: 8 of 10 clips do not say who speaks" in done.out


def test_split_that_holds_no_speaker_out_is_warned_about(make):
    folder = make(*(f"x/ann/{word}.wav" for word in ("sad", "happy", "angry")))
    done = sertool("index", folder / "x", "--pattern", "{speaker}/{emotion}.wav", "--split", "speaker")
    assert "warning: speaker puts every clip in train, so nobody is held out: more speakers are needed, or" in done.err
    assert "or --split sentence or random-70-30, whose figures say nothing about new speakers\n" in done.err


def test_speaker_split_separates_speakers_and_passes_the_audit(tree, tmp_path):
    pattern = ("--pattern", "{speaker}/{emotion}_{sentence}_{}.wav")
    out = tmp_path / "a.parquet"
    done = sertool("index", tree, *pattern, "--split", "speaker:34/33/33", "--seed", 7, "-o", out)
    assert "split: " in done.err
    held = pq.read_table(out).select(["speaker", "split"]).to_pylist()
    sides = {(row["speaker"], row["split"]) for row in held}
    assert len(sides) == 3
    audit = sertool("index", "--audit", out)
    assert (audit.code, b"no leak between 3 parts of 18 clips" in audit.out) == (0, True)
    assert b"shared  sentence: 2 in more than one part" in audit.out
    assert sertool("index", "--audit", "--strict-sentences", out).code == 1
    again = sertool("index", tree, *pattern, "--split", "speaker:34/33/33", "--seed", 7, "-o", tmp_path / "b.parquet")
    assert again.code == 0
    assert manifest_io.read(str(tmp_path / "b.parquet")).equals(manifest_io.read(str(out)))


def test_random_split_warns_and_fails_the_audit(tree, tmp_path):
    pattern = ("--pattern", "{speaker}/{emotion}_{sentence}_{}.wav")
    done = sertool("index", tree, *pattern, "--split", "random-60-20-20", "-o", tmp_path / "a.parquet")
    assert "warning: random-60-20-20 puts clips of one speaker on both sides" in done.err
    audit = sertool("index", "--audit", tmp_path / "a.parquet")
    assert (audit.code, b"LEAK  speaker: 3 in more than one part" in audit.out) == (1, True)


def test_sentence_split_warns_that_speakers_are_shared(tree, tmp_path):
    pattern = ("--pattern", "{speaker}/{emotion}_{sentence}_{}.wav")
    done = sertool("index", tree, *pattern, "--split", "sentence:80/20", "-o", tmp_path / "a.parquet")
    assert "warning: sentence:80/20 holds out what is said and not who speaks" in done.err
    assert b"LEAK  speaker: 3" in sertool("index", "--audit", tmp_path / "a.parquet").out
    done = sertool("index", tree, *pattern, "--split", "speaker", "-o", tmp_path / "a.parquet")
    assert "warning" not in done.err


def test_audit_matches_speaker_numbers_written_as_floats(make):
    folder = make(*(f"w/{k}.wav" for k in range(8)))
    train = [f"w/{k}.wav,{who},train\n" for k, who in enumerate(("1.0", "2.0", "3.0", ""))]
    test = [f"w/{4 + k}.wav,{who},test\n" for k, who in enumerate("1231")]
    a, b = (
        table(folder, name, "path,speaker,split\n" + "".join(rows))
        for name, rows in (("a.csv", train), ("b.csv", test))
    )
    by_table = sertool("index", "--audit", folder / "w", "--table", f"train={a}", "--table", f"test={b}")
    by_manifest = sertool("index", "--audit", a, b)
    for done in (by_table, by_manifest):
        assert (done.code, b"LEAK  speaker: 3 in more than one part" in done.out) == (1, True)


def test_audit_reports_clips_it_could_not_compare(tmp_path):
    test = emobox(tmp_path, "test.jsonl", ["1001_WSI_ANG_XX", "1004_IEO_ANG_LO"])
    train = emobox(tmp_path, "train.jsonl", ["1001_IEO_ANG_HI", "1001_TIE_ANG_XX", "1002_IEO_ANG_LO"])
    alone = sertool("index", "--audit", "--table", f"test={test}")
    assert alone.code == 2
    assert alone.line.endswith("every clip that has a part is in test, 2 of them: nothing to compare")
    fair = emobox(tmp_path, "fair.jsonl", ["1007_WSI_ANG_XX"])
    done = sertool("index", "--audit", "--table", train, "--table", f"test={test}", "--table", f"dev={fair}")
    assert done.code == 0
    assert b"not checked: 3 clips without a part, such as cremad/1001_IEO_ANG_HI\n" in done.out


def test_audit_finds_leaks_of_speakers_equal_sounds_and_copies(tmp_path):
    held = manifest.from_columns({
        "clip": ["a", "b", "c", "c#1"], "speaker": ["x", "y", "z", "z"], "digest": ["1", "1", "2", None],
        "parent": [None, None, None, "c"], "split": ["train", "test", "test", "train"], "sentence": ["s"] * 4,
    })  # fmt: skip
    manifest_io.write(held, str(tmp_path / "a.parquet"), "parquet")
    done = sertool("index", "--audit", tmp_path / "a.parquet")
    said = done.out.decode()
    assert done.code == 1
    for kind in ("speaker: 1", "equal sounds: 1", "parent: 1"):
        assert f"LEAK  {kind} in more than one part" in said
    assert "rows: a (train 1, test 1)" in said
    assert said.rstrip().endswith("leaks of speaker, equal sounds, parent between 2 parts of 4 clips")


@pytest.mark.parametrize("named", ["path", "digest"])
@pytest.mark.parametrize("speakers", ["ab", "  "])
def test_overlapping_segments_in_different_parts_are_a_leak(tmp_path, named, speakers):
    spans = [(0, 1, "train"), (0.5, 1, "test"), (1.48, 1, "train"), (9, 1, "test")]
    said = [
        f"{{k}},{named[0]},{start},{length},{speakers[part == 'test'].strip()},{part}" for start, length, part in spans
    ]
    text = "\n".join([f"clip,{named},start,duration,speaker,split", *(row.format(k=k) for k, row in enumerate(said))])
    (tmp_path / "t.csv").write_text(text)
    done = sertool("index", "--audit", tmp_path / "t.csv")
    told = "LEAK  overlapping segments: 1 in more than one part, 2 rows: 0 (train 1, test 1)"
    assert (done.code, told in done.out.decode()) == (1, True)
    (tmp_path / "apart.csv").write_text(text.replace(",0.5,", ",7,").replace("1.48", "12"))
    done = sertool("index", "--audit", tmp_path / "apart.csv")
    assert (done.code, b"overlapping segments:" in done.out) == (0, False)


def test_recording_is_identified_by_path_where_digests_are_missing(tmp_path):
    rows = ["a,x.wav,d,0,2,s,train", "b,x.wav,,1,2,t,test", "c,y.wav,d,2.5,1,u,train", "e,y.wav,e,0,9,v,dev"]
    (tmp_path / "t.csv").write_text("\n".join(["clip,path,digest,start,duration,speaker,split", *rows]))
    done = sertool("index", "--audit", tmp_path / "t.csv").out.decode()
    assert "overlapping segments: 1 in more than one part, 3 rows: a (train 2, test 1)\n" in done


def test_recordings_without_speakers_in_both_parts_are_reported_as_shared(tmp_path):
    rows = [f"c{k},talk{k % 2}.wav,{k},1,{'train' if k < 4 else 'test'}" for k in range(8)]
    (tmp_path / "t.csv").write_text("\n".join(["clip,path,start,duration,split", *rows]))
    done = sertool("index", "--audit", tmp_path / "t.csv")
    said = done.out.decode()
    assert "shared  recordings without a speaker: 2 in more than one part, 8 rows: " in said
    assert "talk0.wav (train 2, test 2)" in said
    assert done.code == 0
    assert "\nno leak found in what could be checked (overlapping segments) between 2 parts of 8 clips\n" in said
    done = sertool("index", tmp_path / "t.csv", "--split", "random-80-20", "-o", tmp_path / "t.parquet")
    assert "warning: recordings without a speaker: " in done.err


def test_audit_without_comparable_columns_does_not_claim_no_leak(tmp_path):
    (tmp_path / "t.csv").write_text("clip,split\na,train\nb,test\n")
    done = sertool("index", "--audit", tmp_path / "t.csv")
    assert b"no leak found in what could be checked (nothing) between 2 parts of 2 clips" in done.out


def test_split_that_separates_overlapping_segments_is_warned_about(tmp_path):
    rows = [f"c{k},talk.wav,{k / 2},1,s{k}" for k in range(8)]
    (tmp_path / "t.csv").write_text("\n".join(["clip,path,start,duration,speaker", *rows]))
    done = sertool("index", tmp_path / "t.csv", "--split", "speaker", "-o", tmp_path / "t.parquet")
    assert "warning: overlapping segments: 1 in more than one part, 8 rows: c0 (train " in done.err


@pytest.mark.parametrize("seed", range(20))
def test_overlap_detection_matches_a_brute_force_reference(seed):
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(2, 40))
    file, start = rng.integers(0, 4, rows), rng.integers(0, 60, rows) / 2
    length, part = rng.integers(1, 12, rows) / 2, rng.integers(0, 3, rows)
    held = manifest.from_columns({
        "clip": [f"{k}" for k in range(rows)], "path": [f"/{name}" for name in file], "start": start,
        "duration": length, "split": [("train", "dev", None)[each] for each in part],
    })  # fmt: skip
    both = [(a, b) for a in range(rows) for b in range(a) if file[a] == file[b] and {part[a], part[b]} == {0, 1}]
    crosses = any(start[a] < start[b] + length[b] and start[b] < start[a] + length[a] for a, b in both)
    parts = own_division.parts(held)
    groups = auditing.guarded_groups(held, parts.index >= 0)
    found = [each.kind for each in leak_guard.audit(parts, groups) if each.leak]
    assert found == ["overlap"] * crosses


def test_set_aside_clips_are_assigned_to_no_fold(make):
    folder = make(*(f"x/{who}/sad/{k}.wav" for who in "abcd" for k in range(2)))
    (folder / "x/a/sad/0.wav").write_bytes(b"")
    held = by_clip(folder / "x", "--group", "parent-folder", "--folds", "2")
    assert [clip for clip, row in held.items() if "fold" not in row] == ["x/a/sad/0"]


def test_speaker_split_without_speakers_is_refused_with_advice(make):
    folder = make("x/sad/1.wav", "x/sad/2.wav")
    refused(folder / "x", "--split", "speaker", says="`sertool index` --pattern, --table or --group parent-folder")


def test_grouping_all_clips_under_one_speaker_is_warned_about(make):
    folder = make("x/sad/1.wav", "x/angry/2.wav", "y/ann/3.wav", "y/bob/4.wav")
    for name, is_told in (("x", True), ("y", False)):
        done = sertool("index", folder / name, "--group", "parent-folder")
        assert ("warning: --group parent-folder takes all clips for one speaker's, x:x" in done.err) == is_told
