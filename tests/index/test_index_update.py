"""index --update keeps what it knows and opens what is new."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from indexing import by_clip, index, refused, rows, table
from running import changed, sertool

from sertool.divisions import own_division
from sertool.manifests import manifest_io
from sertool.sound import audio, encoding


def test_update_opens_only_new_or_changed_files(make, monkeypatch):
    folder = make(*(f"x/{emotion}/{k}.wav" for emotion in ("angry", "sad") for k in range(5)))
    out = folder / "a.parquet"
    sertool("index", folder / "x", "-o", out)
    whole, opened, look = index(folder / "x", "-q"), [], audio.probe
    monkeypatch.setattr(audio, "probe", lambda path, **how: opened.append(Path(path).name) or look(path, **how))
    assert index(folder / "x", "--update", out, "-q") == whole
    assert opened == []

    encoding.write(folder / "x/sad/1.wav", np.zeros(3200), 16_000)
    encoding.write(folder / "x/sad/9.wav", np.ones(3200), 16_000)
    (folder / "x/sad/2.wav").unlink()
    os.utime(folder / "x/sad/3.wav")
    done = sertool("index", folder / "x", "--update", out, "-f", "jsonl")
    assert sorted(opened) == ["1.wav", "3.wav", "9.wav"]
    assert "3 files looked at, 7 unchanged, 1 gone" in done.err
    monkeypatch.undo()
    assert rows(done) == index(folder / "x", "-q")


def test_update_reuses_the_options_of_the_original_run(make):
    folder, voices = make(*(f"x/{who}/a_{k}.wav" for who in "abc" for k in range(3))), [3, 0, 1]
    listing = "".join(f"x/{who}/a_{k}.wav,Wut,{voices[k]},1,{k}\n" for who in "abc" for k in range(3))
    table(folder, "labels.csv", f"path,label,votes_voice_sad,votes_voice_angry,take\n{listing}")
    asked = (
        "--table", folder / "labels.csv", "--group", "parent-folder", "--corpus", "ours", "--map", "Wut=angry",
        "--labels", "perceived", "--votes", "voice", "--emotions", "sad,angry", "--where", "take<2",
        "--where", "take>=0",
    )  # fmt: skip
    out = folder / "a.parquet"
    sertool("index", folder / "x", *asked, "-o", out)
    whole = index(folder / "x", *asked, "-q")
    assert (len(whole), {row["emotion"] for row in whole}) == (6, {"sad", "angry"})
    for _ in range(2):  # an update of an update goes on, too
        done = sertool("index", folder / "x", "--update", out, "-o", out)
        assert f"read as {out} was: --corpus ours --table {folder}/labels.csv --group parent-folder " in done.err
        assert "--labels perceived --votes voice --emotions sad,angry --where 'take<2' --where 'take>=0'" in done.err
        assert index(out, "-q") == whole
    words = (folder / "x", "--update", out, "--labels", "intended", "--where", "take=2", "--emotions", "angry", "-q")
    assert {row["clip"][-1]: row["emotion"] for row in index(*words)} == {"2": "angry"}


def test_update_reuses_the_patterns_of_the_original_run(make):
    folder = make("x/a_sad.wav", "x/b-angry.wav")
    patterns = ("--pattern", "{speaker}_{emotion}.wav", "--pattern", "{speaker}-{emotion}.wav")
    sertool("index", folder / "x", *patterns, "-o", folder / "a.parquet")
    sertool("index", folder / "a.parquet", "--folds", 2, "-o", folder / "b.parquet")
    held = by_clip(folder / "x", "--update", folder / "b.parquet")
    assert [(row["speaker"], row["emotion"]) for row in held.values()] == [("x:a", "sad"), ("x:b", "angry")]


def test_update_finds_the_original_table_from_any_folder(make, monkeypatch):
    folder = make("x/1.wav", "x/2.wav")
    table(folder, "labels.csv", "path,emotion\nx/1.wav,sad\nx/2.wav,angry\n")
    monkeypatch.chdir(folder)
    sertool("index", "x", "--table", "labels.csv", "-o", "a.parquet")
    make("elsewhere/a.wav")
    table(folder / "elsewhere", "labels.csv", "path,emotion\na.wav,fear\n")
    monkeypatch.chdir(folder / "elsewhere")
    held = index("../x", "--update", "../a.parquet", "-q")
    assert [row["emotion"] for row in held] == ["sad", "angry"]


def test_update_reads_stdin_instead_of_the_original_table(make, monkeypatch):
    folder = make("x/1.wav", "x/2.wav")
    table(folder, "labels.csv", "path,emotion\nx/1.wav,sad\nx/2.wav,angry\n")
    sertool("index", folder / "x", "--table", folder / "labels.csv", "-o", folder / "a.parquet")
    done = sertool("index", "--update", folder / "a.parquet", stdin=b"")
    assert (done.code, "empty input" in done.err) == (1, True)


def test_update_keeps_the_selections_of_later_commands(make):
    folder = make("x/a_sad.wav", "x/b_angry.wav", "x/c_fear.wav")
    words = ("--corpus", "mine", "--pattern", "{speaker}_{emotion}.wav")
    sertool("index", folder / "x", *words, "-o", folder / "a.parquet")
    sertool("index", folder / "a.parquet", "--emotions", "sad,angry", "-o", folder / "b.parquet")
    sertool("index", folder / "b.parquet", "--where", "speaker!=mine:b", "-o", folder / "c.parquet")
    held = index(folder / "x", "--update", folder / "c.parquet", "-q")
    assert [(row["corpus"], row["emotion"]) for row in held] == [("mine", "sad")]


def test_update_keeps_the_selections_of_augment_and_featurize(make):
    folder = make("x/a_sad.wav", "x/b_angry.wav", "x/c_angry.wav")
    sertool("index", folder / "x", "--pattern", "{speaker}_{emotion}.wav", "-o", folder / "a.parquet")
    sertool("augment", folder / "a.parquet", "--gain", 3, "--where", "emotion=angry", "-o", folder / "b.parquet")
    sertool("featurize", folder / "b.parquet", "--rms", "--where", "speaker!=x:c", "-o", folder / "f")
    held = index(folder / "x", "--update", folder / "f/manifest.parquet", "-q")
    assert [row["clip"] for row in held] == ["x/b_angry"]


def test_update_keeps_the_label_mapping_of_a_later_command(make):
    folder = make("x/a_sad.wav", "x/b_angry.wav")
    sertool("index", folder / "x", "--pattern", "{speaker}_{emotion}.wav", "-o", folder / "a.parquet")
    sertool("index", folder / "a.parquet", "--folds", 2, "-o", folder / "b.parquet")
    sertool("index", folder / "b.parquet", "--map", "sad=grief", "-o", folder / "c.parquet")
    assert [row["emotion"] for row in index(folder / "x", "--update", folder / "c.parquet")] == ["grief", "angry"]


@pytest.mark.parametrize(("first", "later", "named"), [
    (("--where", "emotion=angry"), ("--map", "sad=angry"), "--map and --where"),
    (("--emotions", "angry"), ("--map", "angry=rage"), "--map and --emotions"),
    (("--map", "sad=grief"), ("--map", "grief=angry"), "--map"),
])  # fmt: skip
def test_update_is_refused_where_the_order_of_mapping_and_selection_matters(make, first, later, named):
    folder, pattern = make("x/a_sad.wav", "x/b_angry.wav"), ("--pattern", "{speaker}_{emotion}.wav")
    sertool("index", folder / "x", *pattern, *first, "-o", folder / "a.parquet")
    sertool("index", folder / "a.parquet", *later, "-o", folder / "b.parquet")
    words = (folder / "x", "--update", folder / "b.parquet")
    refused(*words, says=f"the commands that made it differ in {named}: update what each of them made by itself")
    told = sertool("index", *words, *first, *later, "-q", "-f", "jsonl")
    assert told == sertool("index", folder / "x", *pattern, *first, *later, "-q", "-f", "jsonl")


@pytest.mark.parametrize("option", [("--where", "emotion!=fear"), ("--map", "Wut=angry"), ("--emotions", "sad,angry")])
def test_option_that_changes_no_row_yet_is_recorded_once(make, option):
    folder = make("x/a_sad.wav", "x/b_angry.wav")
    for words in ((folder / "x", "--pattern", "{speaker}_{emotion}.wav"), (folder / "a.parquet",)):
        done = [sertool("index", *words, *more, "-o", folder / "a.parquet") for more in ((), option, option)]
        assert ["is up to date" in each.err for each in done] == [words[0].suffix != "", False, True]


def test_division_by_another_protocol_is_recorded_even_if_it_is_the_same(make):
    folder = make("x/a_sad.wav", "x/b_angry.wav")
    words = ("index", folder / "x", "--pattern", "{speaker}_{emotion}.wav", "-o", folder / "a.parquet")
    done = [sertool(*words, *how) for how in (("--folds", 2), ("--protocol", "loso"), ("--protocol", "loso"))]
    assert ["is up to date" in each.err for each in done] == [False, False, True]


def test_condition_that_kept_every_row_keeps_new_clips_out_of_an_update(make):
    folder = make("x/a_sad.wav", "x/b_angry.wav")
    words = ("index", folder / "x", "--pattern", "{speaker}_{emotion}.wav", "-o", folder / "a.parquet")
    sertool(*words)
    sertool(*words, "--where", "emotion!=fear")
    make("x/c_fear.wav")
    assert [row["emotion"] for row in index(folder / "x", "--update", folder / "a.parquet", "-q")] == ["sad", "angry"]


def test_update_is_refused_if_merged_manifests_were_read_differently(make):
    folder = make("x/a_sad.wav", "y/angry/1.wav", "y/sad/1.wav")
    pattern = ("--pattern", "{speaker}_{emotion}.wav")
    sertool("index", folder / "x", *pattern, "-o", folder / "x.parquet")
    sertool("index", folder / "y", "-o", folder / "y.parquet")
    sertool("index", folder / "x.parquet", folder / "y.parquet", "-o", folder / "both.parquet")
    words = (folder / "x", "--update", folder / "both.parquet")
    refused(*words, says="the commands that made it differ in --pattern: update what each of them made by itself")
    assert index(*words, *pattern)[0]["emotion"] == "sad"
    sertool("index", folder / "y", "-o", folder / "y.csv")
    for name, is_told in (("y.parquet", False), ("y.csv", True)):
        done = sertool("index", folder / "y", "--update", folder / name)
        assert ("does not say what it was read with" in done.err) == is_told


def test_new_clips_without_a_speaker_are_not_reported_as_new_speakers(make):
    folder = make(*(f"x/{who}_{k}.wav" for who in "abc" for k in range(2)))
    pattern = ("--pattern", "{speaker}_{}.wav")
    sertool("index", folder / "x", *pattern, "--folds", 3, "-o", folder / "a.parquet")
    make("x/odd.wav")
    done = sertool("index", folder / "x", "--update", folder / "a.parquet")
    assert (done.code, "without a fold" in done.err) == (0, False)


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_update_keeps_columns_of_ones_own(make, name):
    folder = make("x/sad/1.wav", "x/sad/2.wav", "x/fear/1.wav")
    listing, out = "path,start,end,take\nsad/1.wav,0,.1,1\nsad/1.wav,.1,.2,2\nsad/2.wav,,,3\n", folder / name
    words = ("index", folder / "x", "--table", table(folder, "takes.csv", listing))
    sertool(*words, "-o", folder / "bare.parquet")
    own = {"remark": ["a", None, "c"], "p_id": pa.array(["1", "x", "y"]), "take": [9] * 3, "days": [[1], [], None]}
    sertool("index", changed(folder / "bare.parquet", folder / "own.parquet", **own), "-o", out)
    table(folder, "takes.csv", listing + "fear/1.wav,,,4\n")
    done = sertool(*words, "--update", out, "-o", out)
    assert "columns kept of the older manifest: remark, p_id, days\n" in done.err
    assert "leaves out" not in done.err
    assert [(row["take"], row.get("remark"), row.get("p_id")) for row in index(out)] == [
        (1, "a", "1"), (2, None, "x"), (3, "c", "y"), (4, None, None),
    ]  # fmt: skip
    assert "is up to date" in sertool(*words, "--update", out, "-o", out).err


def test_update_keeps_columns_of_ones_own_of_rows_that_nobody_can_look_at(make, shut):
    folder = make("x/sad/1.wav", "x/angry/1.wav")
    sertool("index", folder / "x", "-o", folder / "a.parquet")
    changed(folder / "a.parquet", folder / "b.parquet", remark=["a", "b"])
    shut.add("sad")
    assert [row["remark"] for row in index(folder / "x", "--update", folder / "b.parquet", "-q")] == ["a", "b"]


def test_update_says_what_it_leaves_out_of_the_older_manifest(make):
    folder = make("x/sad/1.wav", "x/angry/2.wav")
    sertool("index", folder / "x", "-o", folder / "a.parquet")
    changed(folder / "a.parquet", folder / "b.parquet", age=[31, 32], seed=[None, None])
    sertool("augment", folder / "b.parquet", "--gain", 3, "--copies", 2, "-o", folder / "c.parquet")
    sertool("featurize", folder / "c.parquet", "--rms", "-o", folder / "f")
    done = sertool("index", folder / "x", "--update", folder / "f/manifest.parquet", "-f", "csv")
    assert "warning: --update leaves out rms, age, 4 copies of the older manifest: make again what you need" in done.err
    assert "leaves out" not in sertool("index", folder / "x", "--update", folder / "a.parquet", "-f", "csv").err


def test_update_ignores_older_rows_without_a_path(make, shut):
    folder = make("x/angry/1.wav", "x/sad/2.wav")
    (folder / "old.csv").write_text("clip,emotion\nz,angry\n")
    done = sertool("index", folder / "x", "--update", folder / "old.csv", "-f", "jsonl")
    assert "2 files looked at, 0 unchanged, 0 gone" in done.err
    assert rows(done) == index(folder / "x", "-q")
    shut.add("sad")
    assert len(index(folder / "x", "--update", folder / "old.csv")) == 1


def test_update_keeps_rows_of_unreadable_folders_and_fails_with_strict(make, shut):
    folder = make(*(f"x/{emotion}/{k}.wav" for emotion in ("angry", "sad") for k in range(3)))
    words = (folder / "x", "--pattern", "{emotion}/{speaker}.wav")
    for name in ("a.csv", "a.parquet"):
        out = folder / name
        sertool("index", *words, "--split", "speaker:34/33/33", "-o", out)
        before = {row["clip"]: row for row in manifest_io.read(str(out)).to_pylist()}
        (folder / "x/angry/1.wav").unlink()
        shut.add("sad")
        assert sertool("index", *words, "--strict", "-q").code == 1
        done = sertool("index", *words, "--update", out, "-o", out)
        assert "0 files looked at, 2 unchanged, 1 gone\n" in done.err
        assert "kept as they were, as they could not be looked at: 3 rows\n" in done.err
        after = {row["clip"]: row for row in manifest_io.read(str(out)).to_pylist()}
        assert after == {clip: row for clip, row in before.items() if not clip.endswith("angry/1")}
        assert sertool("index", *words, "--update", out, "-o", out, "--strict").code == 1
        shut.clear()
        assert sertool("index", *words, "--update", out, "-o", out, "--strict").code == 0
        make("x/angry/1.wav")


def test_empty_root_among_several_is_reported_and_its_rows_are_kept(make):
    folder = make("um/a/sad/1.wav", "um/b/sad/1.wav", "um/b/sad/2.wav")
    roots, out = (folder / "um/a", folder / "um/b"), folder / "a.parquet"
    sertool("index", *roots, "-o", out)
    for path in (folder / "um/b/sad").iterdir():
        path.unlink()
    done = sertool("index", *roots, "-f", "jsonl")
    assert f"no audio under {roots[1]}" in done.err
    assert len(rows(done)) == 1
    strict = sertool("index", *roots, "--update", out, "-o", out, "--strict")
    assert strict.code == 1
    assert "could not be looked at: 2 rows" in strict.err
    assert len(manifest_io.read(str(out))) == 3
    done = sertool("index", roots[0], "--update", out, "-f", "jsonl")
    assert (len(rows(done)), "2 gone" in done.err) == (1, True)


def test_new_clip_never_takes_the_name_of_a_kept_clip(make):
    folder = make("a/x/2.wav", "b/x/1.wav")
    roots = (folder / "a/x", folder / "b/x")
    sertool("index", *roots, "-o", folder / "a.parquet")
    (folder / "b/x/1.wav").rename(folder / "a/x/1.wav")
    after = by_clip(*roots, "--update", folder / "a.parquet")
    assert {clip: Path(row["path"]).parent for clip, row in after.items()} == {
        "x/1": roots[1], "x/2": roots[0], "x/1~2": roots[0],
    }  # fmt: skip


def test_update_examines_files_again_if_the_older_check_was_weaker(make, monkeypatch):
    folder = make("x/angry/1.wav", "x/sad/2.wav")
    sertool("index", folder / "x", "--check", "header", "-o", folder / "a.parquet")
    opened, look = [], audio.probe
    monkeypatch.setattr(audio, "probe", lambda path, **how: opened.append(path) or look(path, **how))
    assert all("digest" in row for row in index(folder / "x", "--update", folder / "a.parquet", "-q"))
    assert len(opened) == 2
    index(folder / "x", "--update", folder / "a.parquet", "--check", "header", "-q")
    assert len(opened) == 2


def test_update_reassesses_duplicates(make):
    folder = make("x/sad/1.wav", "x/sad/2.wav")
    shutil.copy(folder / "x/sad/1.wav", folder / "x/sad/3.wav")
    sertool("index", folder / "x", "-o", folder / "a.parquet")
    assert [row.get("issue") for row in index(folder / "a.parquet")] == [None, None, "duplicate-of:x/sad/1"]
    (folder / "x/sad/1.wav").unlink()
    assert [row.get("issue") for row in index(folder / "x", "--update", folder / "a.parquet")] == [None, None]


def test_update_keeps_the_issue_of_each_segment_of_a_file(make):
    folder = make("x/a.wav")
    (folder / "parts.csv").write_text("file,start,duration,emotion\na.wav,9,1,sad\na.wav,0,.1,sad\na.wav,.1,.1,sad\n")
    asked = (folder / "x", "--table", folder / "parts.csv", "-q")
    whole = index(*asked)
    assert [row.get("issue") for row in whole] == ["empty", None, None]
    for first in range(3):
        turned = [*whole[first:], *whole[:first]]  # the last of a file's rows is the one that is remembered
        (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in turned))
        assert index(*asked, "--update", folder / "a.jsonl") == whole


def test_an_augmented_copy_never_stands_in_for_its_parent(make, monkeypatch):
    folder = make("x/angry/1.wav", "x/sad/2.wav")
    whole = index(folder / "x", "-q")
    sertool("index", folder / "x", "-o", folder / "a.parquet")
    sertool("augment", folder / "a.parquet", "--gain", 3, "--copies", 2, "-o", folder / "b.parquet")
    opened, look = [], audio.probe
    monkeypatch.setattr(audio, "probe", lambda path, **how: opened.append(path) or look(path, **how))
    assert index(folder / "x", "--update", folder / "b.parquet", "-q") == whole
    assert opened == []
    copies = [row for row in index(folder / "b.parquet", "-q") if row.get("parent")]
    (folder / "copies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in copies))
    assert index(folder / "x", "--update", folder / "copies.jsonl", "-q") == whole
    assert len(opened) == 2


def test_speakers_keep_their_split_after_an_update(tmp_path):
    names = [(speaker, emotion) for speaker in range(12) for emotion in ("angry", "sad")]

    def voices(count: int) -> None:
        for speaker, emotion in names[: 2 * count]:
            path = tmp_path / "x" / f"s{speaker:02}" / f"{emotion}.wav"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                encoding.write(path, np.random.default_rng([speaker, len(emotion)]).normal(0, 0.1, 3200), 16_000)

    pattern = ("--pattern", "{speaker}/{emotion}.wav")
    voices(8)
    sertool("index", tmp_path / "x", *pattern, "--split", "speaker:50/25/25", "-o", tmp_path / "a.parquet")
    before = {row["clip"]: row["split"] for row in index(tmp_path / "a.parquet")}
    assert set(before.values()) == {"train", "dev", "test"}
    voices(12)
    asked = by_clip(tmp_path / "x", *pattern, "--update", tmp_path / "a.parquet", "--split", "speaker:50/25/25")
    assert {clip: asked[clip]["split"] for clip in before} == before
    assert all("split" in row for row in asked.values())
    kept = sertool("index", tmp_path / "x", *pattern, "--update", tmp_path / "a.parquet", "-f", "jsonl")
    assert {row["clip"]: row["split"] for row in rows(kept) if "split" in row} == before
    assert "new speakers without a split: x:s08, x:s09, x:s10, x:s11; name the --split again" in kept.err


def test_segment_added_to_a_table_leaves_other_names_and_splits_unchanged(make):
    folder = make("segs/call.wav")
    encoding.write(folder / "segs/call.wav", np.random.default_rng(0).normal(0, 0.1, 64_000), 16_000)
    said = ["1,2,sad,A", "2.5,3,sad,B", "3,4,sad,C"]
    for name, parts in (("old", said), ("new", ["0,1,sad,A", *said])):
        lines = "".join(f"call.wav,{part}\n" for part in parts)
        table(folder, f"{name}.csv", f"path,start,end,emotion,speaker\n{lines}")
    words = ("index", folder / "segs", "--table")
    old = sertool(*words, folder / "old.csv", "--split", "speaker:34/33/33", "-o", folder / "old.parquet")
    assert old.code == 0, old.err
    before = by_clip(folder / "old.parquet")
    assert [*before] == ["segs/call@1", "segs/call@2.5", "segs/call@3"]
    sertool(*words, folder / "new.csv", "--update", folder / "old.parquet", "-o", folder / "new.parquet")
    after = by_clip(folder / "new.parquet")
    assert {clip: after[clip]["split"] for clip in before} == {clip: row["split"] for clip, row in before.items()}
    assert after["segs/call@0"]["split"] == after["segs/call@1"]["split"]
    assert b"no leak" in sertool("index", folder / "new.parquet", "--audit").out


def test_clip_with_a_corrected_speaker_moves_to_that_speakers_split(make):
    folder = make(*(f"x/{k}.wav" for k in range(9)))
    for name, first in (("old", "abc"), ("new", "bbc")):
        rest = ("abc"[k % 3] for k in range(3, 9))
        text = "path,emotion,speaker\n" + "".join(f"{k}.wav,sad,{who}\n" for k, who in enumerate([*first, *rest]))
        table(folder, f"{name}.csv", text)
    words = ("index", folder / "x", "--table")
    sertool(*words, folder / "old.csv", "--split", "speaker:34/33/33", "-o", folder / "old.parquet")
    sertool(*words, folder / "new.csv", "--update", folder / "old.parquet", "-o", folder / "new.parquet")
    told = sertool("index", folder / "new.parquet", "--audit")
    assert told.code == 0, told.out


def test_update_counts_the_speakers_that_a_different_split_moves(make):
    folder = make(*(f"x/{who}/sad/{k}.wav" for who in "abcdef" for k in range(2)))
    words = ("index", folder / "x", "--pattern", "{speaker}/{emotion}/{}.wav")
    first = sertool(*words, "--folds", 3, "-o", folder / "old.parquet")
    same = sertool(*words, "--folds", 3, "--update", folder / "old.parquet")
    other = sertool(*words, "--split", "loso", "--update", folder / "old.parquet")
    assert ["elsewhere" in done.err for done in (first, same, other)] == [False, False, True]
    assert "loso puts 5 speakers elsewhere" in other.err or "loso puts 6 speakers elsewhere" in other.err, other.err


def test_update_with_a_different_fold_count_is_warned_about_or_refused(make):
    folder = make(*(f"x/{who}/sad/{k}.wav" for who in "abcdef" for k in range(2)))
    words = ("index", folder / "x", "--pattern", "{speaker}/{emotion}/{}.wav")
    sertool(*words, "--folds", 3, "-o", folder / "old.parquet")
    more, fewer = (sertool(*words, "--folds", count, "--update", folder / "old.parquet") for count in (5, 2))
    assert "--folds 5: only 3 have clips, as everybody stays in the fold of the older manifest" in more.err
    assert (fewer.code, "divide as before, or leave the older manifest out" in fewer.err) == (2, True)


def test_a_clip_that_became_unusable_has_no_part_any_more(make):
    folder = make(*(f"x/{who}/{clip}.wav" for who in "abc" for clip in "12"))
    words = (folder / "x", "--group", "parent-folder")
    sertool("index", *words, "--split", "speaker:34/33/33", "-o", folder / "a.parquet")
    before = by_clip(folder / "a.parquet", "-q")
    (folder / "x" / "a" / "1.wav").write_bytes(b"")
    after = by_clip(*words, "--update", folder / "a.parquet", "-q")
    assert (after["x/a/1"]["issue"], after["x/a/1"].get("split")) == ("empty", None)
    assert after["x/a/2"]["split"] == before["x/a/2"]["split"]


def test_update_keeps_splits_and_folds(make):
    folder = make(*(f"x/sad/{k}.wav" for k in range(9)))
    sertool("index", folder / "x", "--split", "random-60-20-20", "-o", folder / "a.parquet")
    before = {row["clip"]: row["split"] for row in index(folder / "a.parquet", "-q")}
    assert {
        row["clip"]: row.get("split") for row in index(folder / "x", "--update", folder / "a.parquet", "-q")
    } == before
    named = make(*(f"y/{who}/sad/1.wav" for who in "abc"))
    sertool("index", named / "y", "--group", "parent-folder", "--folds", "3", "-o", folder / "b.parquet")
    make("y/c/sad/2.wav")
    held = by_clip(named / "y", "--group", "parent-folder", "--update", folder / "b.parquet", "-q")
    assert held["y/c/sad/2"]["fold"] == held["y/c/sad/1"]["fold"]
    assert {row["fold"] for row in held.values()} == {0, 1, 2}


def test_update_keeps_the_name_of_the_split_protocol(make):
    folder = make(*(f"x/{who}/sad/{k}.wav" for who in "abc" for k in range(2)))
    words = ("index", folder / "x", "--group", "parent-folder")
    for how, name in (("--split=random-80-20", "random-80-20"), ("--folds=3", "3 folds")):
        sertool(*words, how, "-o", folder / "a.parquet")
        for old, new in ("ab", "bc"):  # an update of an update knows it, too
            sertool("index", folder / "x", "--update", folder / f"{old}.parquet", "-o", folder / f"{new}.parquet")
            assert own_division.protocol(manifest_io.read(str(folder / f"{new}.parquet"))) == name
