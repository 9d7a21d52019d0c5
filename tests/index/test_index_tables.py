"""index reads labels from tables of any kind."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from indexing import by_clip, emobox, index, refused, rows, table
from running import sertool

from sertool.index import tables
from sertool.sound import encoding


@pytest.mark.parametrize("head", ["Path,Emotion", "file,emotion"])
def test_label_table_given_as_a_manifest_is_refused_with_a_hint(tmp_path, head):
    a = table(tmp_path, "a.csv", f"{head}\n1.wav,sad\n")
    refused(a, code=1, says=f"names audio, give it to index as --table {a}")
    refused(
        table(tmp_path, "b.csv", "x,emotion\n1,sad\n"), code=1, says="no column named path or clip; it has x, emotion"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "path,emotion,speaker,room\nx/1.wav,happy,7,kitchen\nx/2.wav,ps,8,\n"),
        ("a.tsv", "filename\temo\tspk\troom\nx/1.wav\thap\t7\tkitchen\nx/2.wav\tps\t8\t\n"),
        ("a.jsonl", '{"wav": "downloads/x/1.wav", "class": "joy", "speaker": 7, "room": "kitchen"}\n'
                    '{"wav": "downloads/x/2.wav", "class": "ps", "speaker": 8}\n'),
        ("a.txt", "File , Label , Speaker_ID , room\nC:\\old\\x\\1.flac,happy,7,kitchen\n"
                  "C:\\old\\x\\2.flac,surprise,8,\n"),
    ],
)  # fmt: skip
def test_tables_of_any_format_label_the_matching_files(make, name, text):
    folder = make("mine/x/1.wav", "mine/x/2.wav")
    one, two = index(folder / "mine", "--table", table(folder, name, text))
    assert (one["emotion"], one["speaker"], one["room"]) == ("happy", "mine:7", "kitchen")
    assert (two["emotion"], two["speaker"], "room" in two) == ("surprise", "mine:8", False)


def test_parquet_manifest_can_be_used_as_a_table(make):
    folder = make("mine/angry/1.wav", "mine/sad/2.wav")
    held = index(folder / "mine", "-q")
    sertool("index", folder / "mine", "-o", folder / "labels.parquet")
    assert index(folder / "mine", "--table", folder / "labels.parquet", "-q") == held
    assert index("--table", folder / "labels.parquet", "-q") == held  # without its folder: paths are the table's own


@pytest.mark.parametrize("check", ["full", "none"])
def test_measured_properties_are_never_taken_from_a_table(make, check):
    folder = make(*(f"x/sad/{k}.wav" for k in range(12)))
    encoding.write(folder / "x/sad/0.wav", np.ones(3200), 16_000)
    lines = [f"{k}.wav,sad,clipped;dc,{48_000 if k else 8000},much" for k in range(12)]
    text = "\n".join(["path,emotion,notes,sample_rate,size", *lines])
    words = (folder / "x", "--check", check)
    done = sertool("index", *words, "--table", table(folder, "a.csv", text), "-f", "jsonl")
    assert "a.csv: notes, sample_rate, size left out: the files tell that themselves" in done.err
    assert {row["clip"]: row for row in rows(done)} == by_clip(*words)


def test_only_listed_files_are_indexed_and_the_others_are_counted(make):
    folder = make("mine/1.wav", "mine/2.wav", "mine/3.wav")
    done = sertool(
        "index", folder, "--table", table(folder, "a.csv", "path,emotion\n1.wav,sad\n9.wav,sad\n"), "-f", "jsonl"
    )
    assert "2 files in no table, left out" in done.err
    assert [(row["clip"], row.get("issue")) for row in rows(done)] == [
        (f"{folder.name}/mine/1", None), (f"{folder.name}/9", "vanished"),
    ]  # fmt: skip
    refused(
        folder,
        "--table",
        table(folder, "b.csv", "path,emotion\n7.wav,sad\n"),
        says="none of its paths is among the 3 files",
    )


def test_segments_of_a_long_file_are_separate_clips(make):
    folder = make("talk.wav")
    parts = ("0,0.1,sad", "0.1,0.1,happy", "0.15,9,sad", "7,1,sad")
    text = "path,start,duration,emotion\n" + "".join(f"talk.wav,{part}\n" for part in parts)
    held = index(folder, "--table", table(folder, "a.csv", text))
    assert [round(row["start"], 3) for row in held] == [0, 0.1, 0.15, 7]
    assert [round(row["duration"], 3) for row in held] == [0.1, 0.1, 0.05, 0]
    assert [row.get("notes") for row in held] == [None, None, ["wrong-duration"], None]
    assert [row.get("issue") for row in held] == [None, None, None, "empty"]
    assert len({row["clip"] for row in held}) == 4


def test_a_duration_without_a_start_cuts_no_clip(make):
    folder = make("talk.wav")
    (row,) = index(folder, "--table", table(folder, "a.csv", "path,duration,emotion\ntalk.wav,0.05,sad\n"), "-q")
    assert (row["duration"], row["notes"]) == (0.2, ["wrong-duration"])


@pytest.mark.parametrize("head", ["path,Start,End,emotion", "path,start,end,emotion"])
def test_segment_duration_is_computed_from_start_and_end(make, head):
    folder = make("talk.wav", "whole.wav")
    a = table(
        folder, "a.csv", f"{head}\ntalk.wav,0,0.1,sad\ntalk.wav,0.12,.15,happy\ntalk.wav,.16,,sad\nwhole.wav,,,sad\n"
    )
    held = index(folder, "--table", a, "-q")
    assert [(row["start"], round(row["duration"], 6)) for row in held] == [
        (0, 0.1),
        (0.12, 0.03),
        (0.16, 0.04),
        (0, 0.2),
    ]
    assert not any(row.keys() & {"end", "notes", "issue"} for row in held)
    wrong = table(folder, "b.csv", f"{head}\ntalk.wav,0,0.1,sad\ntalk.wav,0.15,.15,sad\n")
    refused(folder, "--table", wrong, code=1, says="row 2 ends at 0.15 and starts at 0.15: an end, in seconds")
    wrong = table(folder, "c.csv", f"{head}\ntalk.wav,0,x,sad\n")
    refused(folder, "--table", wrong, code=1, says="column end holds 'x' in row 1, and takes numbers")


def test_windows_written_by_predict_are_indexed_as_separate_clips(make):
    folder = make("talk.wav")
    rows = "x/t,talk.wav,.2,0,.1,sad\nx/t,talk.wav,.2,.1,.2,sad\nu,talk.wav,.2,,,sad\n"
    a = table(folder, "a.csv", f"clip,path,duration,start,end,emotion\n{rows}")
    expected = {"x/t@0": (0, 0.1), "x/t@0.1": (0.1, 0.1)}
    for held in (by_clip(a, "-q"), by_clip(folder, "--table", a, "-q")):
        assert {clip: (row["start"], row["duration"]) for clip, row in held.items() if clip != "u"} == expected
        assert held["u"]["duration"] == 0.2
    alone = table(folder, "b.csv", "path,end\ntalk.wav,soon\n")
    assert index(alone, "-q")[0]["end"] == "soon"


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_nan_start_means_the_start_of_the_file(make, kind):
    folder = make("1.wav", "2.wav")
    a = folder / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"path": ["1.wav", "2.wav"], "start": np.full(2, np.nan)}), a)
    else:
        a.write_text("".join(f'{{"path": "{k}.wav", "start": NaN}}\n' for k in (1, 2)))
    held = index(folder, "--table", a, "--table", a, "-q")
    assert [(row["start"], row["duration"], row.get("issue")) for row in held] == [(0, 0.2, None)] * 2


def test_user_columns_resembling_reserved_ones_are_kept_in_copies(make):
    folder = make("x/P01_angry_1.wav", "x/P02_sad_2.wav")
    by_name = index(folder / "x", "--pattern", "{p_id}_{emotion}_{}.wav", "-q")
    assert [row["p_id"] for row in by_name] == ["P01", "P02"]
    text = "path,emotion,P_Id,speech_offset,annotated_rows\nP01_angry_1.wav,sad,P01,0.35,2\nP02_sad_2.wav,sad,P02,,3\n"
    a = table(folder, "a.csv", text)
    sertool("index", folder / "x", "--table", a, "-o", folder / "a.parquet")
    sertool("augment", folder / "a.parquet", "--gain", 3, "-o", folder / "b.parquet")
    copies = [row for row in index(folder / "b.parquet", "-q") if row.get("parent")]
    assert [(row["P_Id"], row.get("speech_offset"), row["annotated_rows"]) for row in copies] == [
        ("P01", 0.35, 2), ("P02", None, 3),
    ]  # fmt: skip


def test_table_may_set_clip_names_and_corpus(make):
    folder = make("1.wav", "2.wav")
    text = "path,clip,corpus,speaker,key,stem\n1.wav,first,desd,desd:a,k,s\n2.wav,second,desd,b,k,s\n"
    one, two = index(folder, "--table", table(folder, "a.csv", text))
    assert (one["clip"], one["corpus"], one["speaker"], one["key"], one["stem"]) == (
        "first",
        "desd",
        "desd:a",
        "k",
        "s",
    )
    assert (two["clip"], two["speaker"]) == ("second", "desd:b")


def test_integers_written_as_floats_in_a_table_are_accepted(make):
    folder = make("1.wav", "2.wav")
    text = "path,Age,fold\n1.wav,31.0,2.0\n2.wav,,\n"
    one, two = index(folder, "--table", table(folder, "a.csv", text), "-q")
    assert (one["age"], one["fold"], two.keys() & {"age", "fold"}) == (31, 2, set())


def test_common_split_names_are_normalised_to_train_dev_and_test(make):
    folder = make(*(f"{part}/{k}.wav" for part in ("Test", "Val", "train", "Rest") for k in (1, 2)))
    expected = {"test": 2, "dev": 2, "train": 2, "Rest": 2}
    done = sertool("index", folder, "--pattern", "{split}/{sentence}.wav", "-f", "csv")
    text = "path,split\n" + "".join(f"{path},{path.parent.name} \n" for path in sorted(folder.glob("*/*.wav")))
    labelled = sertool("index", folder, "--table", table(folder, "a.csv", text), "-f", "csv")
    read = sertool("index", folder / "a.csv", "-f", "csv")
    for held in (done, labelled, read):
        assert Counter(row["split"] for row in rows(sertool("index", "-f", "jsonl", stdin=held.out))) == expected
        assert "split Rest: none of train, dev, test" in held.err
    one = table(folder, "v.csv", "path\n1.wav\n")
    by_file = sertool("index", folder / "Val", "--table", f"Validation={one}")
    assert "split: dev 1" in by_file.err


def test_tables_that_contradict_each_other_are_refused(make):
    folder = make("1.wav", "2.wav")
    a = table(folder, "a.csv", "path,emotion\n1.wav,sad\n2.wav,sad\n")
    b = table(folder, "b.csv", "path,speaker\n1.wav,x\n")
    assert (
        index(folder, "--table", a, "--table", b)[0].items()
        >= {"emotion": "sad", "speaker": f"{folder.name}:x"}.items()
    )
    c = table(folder, "c.csv", "path,emotion\n1.wav,happy\n")
    refused(folder, "--table", a, "--table", c, code=1, says="1.wav has more than one emotion: sad and happy; if l")
    refused(folder, "--table", f"train={a}", "--table", f"test={b}", code=1, says="more than one split: train and test")


@pytest.fixture(params=["of few files", "of many"])
def looked_through(request, monkeypatch):
    """Whether names are looked for file by file, or by folder first, as where many files have one name."""
    monkeypatch.setattr(tables, "FEW_NAMESAKES", 8 if request.param == "of few files" else 0)


@pytest.mark.usefixtures("looked_through")
def test_file_may_be_listed_under_several_spellings_of_its_path(make):
    folder = make("train/1.wav")
    rows = "train/1.wav,s\n./train/1.wav,s\ntrain\\1.wav,s\nx/../train//1.wav,s\n"
    (row,) = index(folder, "--table", table(folder, "a.csv", f"path,speaker\n{rows}"))
    assert row["speaker"].endswith("s")


@pytest.mark.usefixtures("looked_through")
def test_ambiguous_path_in_a_table_is_refused(make):
    folder = make("a/x/1.wav", "b/x/1.wav", "c/2.wav")
    held = index(folder, "--table", table(folder, "a.csv", "path,speaker\nold/b/x/1.wav,s\n"))
    assert [row["path"] for row in held] == [str(folder / "b/x/1.wav")]
    refused(folder, "--table", table(folder, "b.csv", "path,speaker\nx/1.wav,s\n"), code=1, says="give more of it")
    wrong = table(folder, "c.csv", "path,speaker\nc/2.wav,s\nd/2.wav,s\n")
    refused(folder, "--table", wrong, code=1, says="both seem to be")


@pytest.mark.parametrize(
    ("row", "file"),
    [
        ("train/2.wav", None), ("/old/meld/train/2.wav", None), ("train/clips/3.wav", None), ("TRAIN/2.wav", None),
        ("2.wav", "dev/2.wav"), ("/data/x/2.wav", "dev/2.wav"), ("x/dev/2.wav", "dev/2.wav"),
        ("/data/x/dev/y/2.wav", "dev/2.wav"), ("Train/1.wav", "train/1.wav"), ("clips/3.wav", "dev/clips/3.wav"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("looked_through")
def test_row_naming_one_folder_does_not_match_a_file_in_another(make, row, file):
    folder = make(*(f"meld/{name}.wav" for name in ("train/0", "train/1", "dev/0", "dev/1", "dev/2", "dev/clips/3")))
    text = f"path,emotion\ndev/0.wav,sad\n{row},happy\n"
    held = index(folder / "meld", "--table", f"train={table(folder, 'train.csv', text)}", "-q")
    there = {row["path"]: row["emotion"] for row in held if row.get("issue") != "vanished"}
    wanted = {str(folder / "meld/dev/0.wav"): "sad"}
    assert there == (wanted | {str(folder / "meld" / file): "happy"} if file else wanted)
    assert len(held) == 2


def test_a_missing_file_of_one_root_is_not_taken_from_another(make):
    folder = make("a/wavs/1.wav", "b/wavs/1.wav", "b/wavs/2.wav")
    text = "path,emotion\na/wavs/1.wav,sad\na/wavs/2.wav,sad\n"
    held = index(folder / "a/wavs", folder / "b/wavs", "--table", table(folder, "t.csv", text), "-q")
    assert [row["path"] for row in held] == [str(folder / "a/wavs" / name) for name in ("1.wav", "2.wav")]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('path,emotion\n1.wav,sad\n2.wav,"happy\n3.wav,sad\n', 3),
        ('path,emotion\n1.wav,"sad\n2.wav,happy\n3.wav,"sad\n', 2),
        ('path\tsentence\n1.wav\t"no\n2.wav\t"a\nb"\n3.wav\t"yes\n', 2),
        ('path,emotion\n1.wav,"sad\n' + "2.wav,happy\n" * 200_000, 2),
        ('path,emotion,start\n1.wav,sad,"0\n2.wav,happy,0\n', 2),
    ],
)  # fmt: skip
def test_unclosed_quote_in_a_table_is_refused_naming_its_line(tmp_path, text, line):
    a = table(tmp_path, "a.csv", text)
    for words in ((a,), ("--table", a)):
        refused(*words, code=1, says=f"line {line} opens a quote that is not closed: close it, or double a quote")


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ('"two\nlines"', "two\nlines"), ('"two\r\n""lines"""', 'two\r\n"lines"'), ('5" long', '5" long'),
        ('"a, b"', "a, b"), ('"two\n5"" lines"', 'two\n5" lines'),
    ],
)  # fmt: skip
def test_quoted_cells_may_hold_newlines_and_text_may_hold_quotes(tmp_path, cell, sentence):
    a = table(tmp_path, "a.csv", f'path,sentence,emotion\n1.wav,{cell},sad\n2.wav,"6"b,sad\n3.wav,x,sad\n')
    assert [row["sentence"] for row in index(a, "-q")] == [sentence, "6b", "x"]


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ("path,emotion,emotion", "more than one column is named emotion"),
        ("path,Emotion, emotion", "more than one column is named emotion"),
        ("path,path,emotion", "more than one column is named path"), ("path,x,x", "more than one column is named x"),
    ],
)  # fmt: skip
def test_duplicate_column_in_a_table_is_refused(make, head, says):
    folder = make("1.wav")
    refused(folder, "--table", table(folder, "a.csv", f"{head}\n1.wav,sad,happy\n"), code=1, says=says)


def test_first_of_two_synonymous_columns_is_used_and_the_other_kept(make):
    folder = make("1.wav")
    (row,) = index(folder, "--table", table(folder, "a.csv", "path,text,transcript\n1.wav,yes,no\n"), "-q")
    assert (row["sentence"], row["transcript"]) == ("yes", "no")


def test_duplicate_clip_name_in_a_table_is_refused(make):
    folder = make("1.wav", "2.wav")
    a = table(folder, "a.csv", "path,clip\n1.wav,x\n2.wav,x\n")
    refused(folder, "--table", a, code=1, says="clip x stands twice; clip ids must be unique: leave the column out")


@pytest.mark.parametrize(
    "text",
    [
        "path;start;duration;age;p_sad\n1.wav;0,05;0,1;31;0,25\n1.wav;0,15;,05;;1\n",
        'path;start;duration;age;p_sad\n"1.wav";"0,05";"0,1";31,0;0,25\n"1.wav";"0,15";"0,05";;1\n',
        "path;start;duration;age;p_sad;mine\n1.wav;0.05;0.1;31;0.25;1,2\n1.wav;0.15;0.05;;1;3,4\n",
    ],
)
def test_semicolon_separated_tables_may_use_decimal_commas_or_points(make, text):
    folder = make("1.wav")
    one, two = index(folder, "--table", table(folder, "a.csv", text), "-q")
    assert (one["start"], one["duration"], one["age"], one["p_sad"]) == (0.05, 0.1, 31, 0.25)
    assert (two["start"], round(two["duration"], 9), two["p_sad"]) == (0.15, 0.05, 1)


def test_file_names_match_in_another_case_unless_ambiguous(make):
    folder = make("x/VP003_01W.wav", "x/a.wav", "x/A.wav", "z/bB.wav", "z/Bb.wav")
    text = "file,emotion\nvp003_01w.wav,angry\na.wav,sad\nA.WAV,happy\n"
    held = index(folder / "x", "--table", table(folder, "l.csv", text), "-q")
    assert [Path(row["path"]).name for row in held] == ["VP003_01W.wav", "a.wav", "A.wav"]
    assert [row["emotion"] for row in held] == ["angry", "sad", "happy"]
    refused(folder / "z", "--table", table(folder, "l.csv", "file,emotion\nbb.wav,sad\n"), says="may be", code=1)


def test_row_without_its_file_adds_no_corpus_or_speaker(make):
    folder = make("voices/1.wav", "voices/2.wav")
    (folder / "inc").mkdir()
    text = "file,emotion,speaker\n1.wav,angry,A\n2.wav,sad,B\ntypo.wav,sad,A\n"
    done = sertool("index", folder / "voices", "--table", table(folder / "inc", "l.csv", text), "-f", "jsonl")
    held = rows(done)
    assert [(row["corpus"], row["speaker"]) for row in held] == [
        ("voices", "voices:A"), ("voices", "voices:B"), ("voices", "voices:A"),
    ]  # fmt: skip
    assert (held[2]["clip"], held[2]["issue"]) == ("voices/typo", "vanished")
    assert "3 clips, 2 speakers, 0.00 h of voices 3" in done.err


def test_row_without_its_file_gets_no_corpus_among_several(make):
    folder = make("one/1.wav", "two/2.wav")
    labels = table(folder, "l.csv", "file,emotion,speaker\n1.wav,angry,A\n2.wav,sad,B\ntypo.wav,sad,A\n")
    held = index(folder / "one", folder / "two", "--table", labels, "--group", "parent-folder", "-q")
    assert [row.get("speaker") for row in held] == ["one:A", "two:B", None]
    assert (held[2]["clip"], "corpus" in held[2]) == ("typo", False)


@pytest.mark.parametrize("name", ["actor", "Subject", "spk"])
def test_speaker_column_aliases_of_eval_are_accepted_in_tables(make, name):
    (row,) = index(make("x/1.wav") / "x", "--table", table(make(), "l.csv", f"file,emo,{name}\n1.wav,sad,7\n"), "-q")
    assert (row["speaker"], row["emotion"]) == ("x:7", "sad")


def test_unknown_columns_are_listed_where_emotions_or_speakers_are_missing(make):
    folder = make("x/1.wav")
    labels = table(folder, "l.csv", "file,Stimmung,Sprecher\n1.wav,froh,7\n")
    done = sertool("index", folder / "x", "--table", labels, "-f", "jsonl")
    has = "and has Stimmung, Sprecher besides"
    assert f"x/1: --table reads it from a column emotion (or emo, class), {has}\n" in done.err
    says = "--table reads it from a column speaker (or speaker_id, spk, actor, subject)"
    assert f"no speaker is known of 1 clip: {says}, {has}\n" in done.err


def test_invalid_tables_are_refused_with_an_explanation(make):
    folder = make("1.wav")
    refused(
        folder,
        "--table",
        table(folder, "a.csv", "name,emotion\n1,sad\n"),
        says="no column with paths (path, file, filename",
    )
    refused(folder, "--table", table(folder, "b.csv", "path,emotion\n1.wav,wut\n"), says="unknown emotion 'wut'")
    both = table(folder, "c.csv", "path,emotion\n1.wav,sad;fear\n")
    refused(folder, "--table", both, says="with --map 'sad;fear=EMOTION' (")
    refused(
        folder,
        "--table",
        table(folder, "c.csv", "path,age\n1.wav,old\n"),
        code=1,
        says="column age holds 'old' in row 1",
    )
    refused(folder, "--table", table(folder, "d.csv", ""), code=1, says="empty input")
    refused(folder, "--table", folder / "none.csv", says="no such file")


def test_speakers_shared_between_fold_files_are_found_without_audio(tmp_path):
    train = emobox(
        tmp_path, "train.jsonl", ["1001_IEO_ANG_HI", "1001_TIE_ANG_XX", "1002_IEO_ANG_LO", "1003_IEO_ANG_LO"]
    )
    test = emobox(tmp_path, "test.jsonl", ["1001_WSI_ANG_XX", "1004_IEO_ANG_LO"])
    done = sertool("index", "--audit", "--table", f"train={train}", "--table", f"test={test}")
    said = done.out.decode()
    assert done.code == 1
    assert "LEAK  speaker: 1 in more than one part, 3 rows: cremad:1001 (train 2, test 1)" in said
    assert "leaks of speaker between 2 parts of 6 clips" in said
    fair = emobox(tmp_path, "fair.jsonl", ["1004_WSI_ANG_XX"])
    done = sertool("index", "--audit", "--table", f"train={train}", "--table", f"test={fair}")
    assert (done.code, b"no leak between 2 parts of 5 clips" in done.out) == (0, True)


@pytest.mark.parametrize("head", ["arousal,valence,dominance", "EmoAct,EmoVal,EmoDom", "activation,val,Dom"])
def test_ratings_are_known_by_the_names_that_others_give_them(make, head):
    folder = make("mine/1.wav", "mine/2.wav")
    text = f"path,{head}\n1.wav,2.5,4,-1\n2.wav,,1,3\n"
    one, two = index(folder / "mine", "--table", table(folder, "labels.csv", text))
    assert (one["arousal"], one["valence"], one["dominance"]) == (2.5, 4.0, -1.0)
    assert (two.get("arousal"), two["valence"], two["dominance"]) == (None, 1.0, 3.0)
    assert [
        row["clip"] for row in index(folder / "mine", "--table", folder / "labels.csv", "--where", "arousal>2")
    ] == [one["clip"]]


def test_a_rating_in_words_is_refused_and_a_column_that_only_looks_like_one_is_kept(make):
    folder = make("mine/1.wav", "mine/2.wav")
    words = table(folder, "words.csv", "path,arousal\n1.wav,high\n2.wav,3\n")
    refused(folder / "mine", "--table", words, code=1, says="column arousal holds 'high' in row 1, and takes numbers")
    acts = table(folder, "acts.csv", "path,act,dom\n1.wav,first,true\n2.wav,second,false\n")
    one, _ = index(folder / "mine", "--table", acts)
    assert (one["act"], "arousal" in one, "dominance" in one) == ("first", False, False)


def test_words_under_the_name_of_a_rating_stay_words(make):
    folder = make("mine/1.wav", "mine/2.wav")
    moods = table(folder, "moods.csv", "path,speaker,emotion,valence\n1.wav,a,happy,positive\n2.wav,b,sad,negative\n")
    said = index(folder / "mine", "--table", moods)
    assert [row["valence"] for row in said] == ["positive", "negative"]
    assert [row["valence"] for row in index(moods, "--where", "valence=negative")] == ["negative"]
    assert "rated:" not in sertool("index", folder / "mine", "--table", moods).err


def test_other_names_of_ratings_mean_nothing_else_in_patterns(make):
    folder = make("mine/a_high_happy.wav")
    (row,) = index(folder / "mine", "--pattern", "{speaker}_{val}_{emotion}")
    assert (row["val"], "valence" in row) == ("high", False)
    refused(folder / "mine", "--pattern", "{speaker}_{valence}_{emotion}", code=2, says="'high', which is no number")


def test_ratings_in_text_are_numbers(make):
    folder = make("mine/1.wav", "mine/2.wav")
    lines = '{"path": "1.wav", "EmoAct": "2.5"}\n{"path": "2.wav", "EmoAct": " 3 "}\n'
    held = index(folder / "mine", "--table", table(folder, "labels.jsonl", lines))
    assert [row["arousal"] for row in held] == [2.5, 3.0]


def test_clips_that_are_rated_need_no_emotion(make):
    folder = make("mine/1.wav", "mine/2.wav")
    labels = table(folder, "labels.csv", "path,arousal\n1.wav,2.5\n2.wav,\n")
    assert (
        "no emotion is known of 1 of 2 clips, such as mine/2"
        in sertool("index", folder / "mine", "--table", labels).err
    )
