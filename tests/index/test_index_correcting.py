"""index --correct changes what is said of some clips, and leaves the others."""

import shutil

import pytest
from indexing import by_clip, emotions, index, refused, rows, table
from running import changed, sertool

from sertool.divisions import own_division
from sertool.manifests import manifest_io


@pytest.fixture
def conflict(make):
    """Return a folder with a sound under two labels, and one with a single label."""
    folder = make("x/angry/1.wav", "x/sad/2.wav")
    shutil.copy(folder / "x/angry/1.wav", folder / "x/sad/3.wav")
    return folder


@pytest.mark.parametrize("text", [
    "clip,emotion\nx/sad/3,Anger\n", "path,emotion\nx/sad/3.wav,ang\n", "clip,label\nx/sad/3,angry\n",
    "clip;emotion\nx/sad/3;angry\n;\n;\n",
    "clip,path,emotion,label\nx/sad/2,x/sad/2.wav,sad,sad\nx/sad/3,gone.wav,angry,sad\n",
])  # fmt: skip
@pytest.mark.parametrize("read", ["folder", "manifest"])
def test_corrected_label_ends_a_conflict(conflict, text, read):
    source, fixes = conflict / "x", table(conflict, "fixes.csv", text)
    if read == "manifest":
        source = conflict / "a.parquet"
        sertool("index", conflict / "x", "-o", source)
        assert [row.get("issue") for row in index(source)] == ["label-conflict", None, "label-conflict"]
    held = by_clip(source, "--correct", fixes)
    assert emotions(held) == {"x/angry/1": "angry", "x/sad/2": "sad", "x/sad/3": "angry"}
    assert [row.get("issue") for row in held.values()] == [None, None, "duplicate-of:x/angry/1"]


def test_correction_that_changes_no_label_leaves_a_conflict_with_clips_that_were_left_out(conflict):
    sertool("index", conflict / "x", "--where", "clip!=x/sad/3", "-o", conflict / "a.parquet")
    fixes = table(conflict, "fixes.csv", "clip,emotion,take\nx/angry/1,angry,1\n")
    assert by_clip(conflict / "a.parquet", "--correct", fixes)["x/angry/1"]["issue"] == "label-conflict"


def test_corrections_are_made_again_by_an_update(conflict, monkeypatch):
    table(conflict, "fixes.csv", "clip,emotion\nx/sad/3,angry\n")
    table(conflict, "more.csv", "clip,sentence\nx/sad/2,IEO\n")
    out = conflict / "a.parquet"
    sertool("index", conflict / "x", "--map", "wut=angry", "-o", out)
    monkeypatch.chdir(conflict)
    for words in (("--correct", "fixes.csv"), ("--correct", "more.csv"), ("--where", "clip!=x/angry/1")):
        sertool("index", out, *words, "-o", out)
    monkeypatch.chdir("/")
    held = by_clip(conflict / "x", "--update", out, "-q")
    assert emotions(held) == {"x/sad/2": "sad", "x/sad/3": "angry"}
    assert held["x/sad/2"]["sentence"] == "IEO"
    assert "issue" not in held["x/sad/3"]


@pytest.mark.parametrize("option", ["--correct", "--table"])
def test_a_table_from_a_pipe_is_read_from_the_updates_own_pipe(conflict, monkeypatch, option):
    out, fixes = conflict / "a.parquet", b"path,emotion\nx/sad/3.wav,angry\n"
    monkeypatch.chdir(conflict)
    assert sertool("index", "x", option, "-", "-o", out, stdin=fixes).code == 0
    assert "empty input" in sertool("index", "x", "--update", out, "-o", out, stdin=b"").err
    assert sertool("index", "x", "--update", out, "-o", out, stdin=fixes).code == 0
    assert by_clip(out)["x/sad/3"]["emotion"] == "angry"


@pytest.mark.parametrize(("first", "later", "named"), [
    (("--where", "emotion=angry"), ("--correct", "fixes.csv"), "--correct and --where"),
    (("--correct", "fixes.csv"), ("--map", "angry=rage"), "--map and --correct"),
])  # fmt: skip
def test_update_is_refused_where_the_order_of_corrections_matters(conflict, monkeypatch, first, later, named):
    monkeypatch.chdir(conflict)
    table(conflict, "fixes.csv", "clip,emotion\nx/sad/3,angry\n")
    sertool("index", "x", *first, "-o", "a.parquet")
    sertool("index", "a.parquet", *later, "-o", "b.parquet")
    refused("x", "--update", "b.parquet", says=f"the commands that made it differ in {named}")


def test_only_the_named_values_of_the_named_clips_and_their_copies_change(make):
    folder = make(*(f"x/{who}_{k}.wav" for who in "ab" for k in range(2)))
    words = ("--pattern", "{speaker}_{sentence}.wav", "--corpus", "mine", "-o", folder / "a.parquet")
    sertool("index", folder / "x", *words)
    changed(folder / "a.parquet", folder / "a.parquet", take=[1, 2, 3, 4], emotion=["sad"] * 4)
    sertool("augment", folder / "a.parquet", "--gain", 3, "-o", folder / "b.parquet")
    before = by_clip(folder / "b.parquet")
    text = "clip,speaker,age,take,size,remark\nmine/a_0,c,31,,7,x\nmine/b_1,a,,x,7,\n"
    after = by_clip(folder / "b.parquet", "--correct", table(folder, "fixes.csv", text))
    assert {clip: row["speaker"] for clip, row in after.items()} == {
        clip: {"mine/a_0": "mine:c", "mine/b_1": "mine:a"}.get(row.get("parent", clip), row["speaker"])
        for clip, row in before.items()
    }  # fmt: skip
    assert [row.get("take") for row in after.values()] == [*"123x", *"123x"]
    assert [row.get("age") for row in after.values()] == 2 * [31, None, None, None]
    assert [row.get("remark") for row in after.values()] == 2 * ["x", None, None, None]
    assert [row["size"] for row in after.values()] == [row["size"] for row in before.values()]


def test_predictions_of_others_are_added_beside_the_truth(make):
    folder = make("x/sad/1.wav", "x/angry/2.wav")
    sertool("index", folder / "x", "-o", folder / "a.parquet")
    fixes = table(folder, "fixes.csv", "clip,predicted,confidence,p_sad,p_angry\nx/sad/1,angry,.6,.4,.6\n")
    held = by_clip(folder / "a.parquet", "--correct", fixes)
    assert {clip: (row["emotion"], row.get("predicted"), row.get("p_angry")) for clip, row in held.items()} == {
        "x/sad/1": ("sad", "angry", pytest.approx(0.6)), "x/angry/2": ("angry", None, None),
    }  # fmt: skip


@pytest.mark.parametrize("names", [("mine:a", "mine:b"), ("a", "b"), ("a", "mine:b")])
@pytest.mark.parametrize(("column", "values"), [("split", ("Training", "test")), ("fold", (0, 1)), ("age", (31, 40))])
def test_table_of_speakers_says_something_of_all_their_clips(make, names, column, values):
    folder = make(*(f"x/{who}_{k}.wav" for who in "abc" for k in range(2)))
    words = ("--pattern", "{speaker}_{sentence}.wav", "--corpus", "mine", "-q")
    lines = "".join(f"{who},{value}\n" for who, value in zip(names, values, strict=True))
    fixes = table(folder, "speakers.csv", f"spk,{column}\n{lines}")
    ours = {"Training": "train"}
    held = index(folder / "x", *words, "--correct", fixes)
    assert [row.get(column) for row in held] == [ours.get(value, value) for value in values for _ in range(2)] + 2 * [
        None
    ]
    assert [row["speaker"] for row in held] == [f"mine:{who}" for who in "abc" for _ in range(2)]


@pytest.mark.parametrize(("text", "says"), [
    ("speaker,split\nd,test\nmine:e,test\n", "no clip is of the speakers d, mine:e; there are mine:a, other:a"),
    ("speaker,split\na,test\n", "speaker a may be mine:a, other:a: write the name with the corpus"),
    ("speaker,split\nmine:a,test\nmine:a,train\n", "speaker mine:a stands twice"),
    ("speaker,split\nmine:a,test\n,train\n", "row 2 names no speaker"),
    ("speaker\nmine:a\n", "no column to correct, such as emotion"),
])  # fmt: skip
def test_table_of_speakers_that_says_nothing_sure_is_refused(make, text, says):
    folder = make("x/a_1.wav", "y/a_2.wav")
    for name, corpus in (("x", "mine"), ("y", "other")):
        sertool(
            "index", folder / name, "--pattern", "{speaker}_{}", "--corpus", corpus, "-o", folder / f"{name}.parquet"
        )
    done = sertool("index", folder / "x.parquet", folder / "y.parquet", "--correct", table(folder, "fixes.csv", text))
    assert (done.code, says in done.line) == (2, True), done.err


def test_split_that_was_corrected_is_no_longer_called_by_its_protocol(make):
    folder = make(*(f"x/{who}_{k}.wav" for who in "abcd" for k in range(2)))
    words = ("--pattern", "{speaker}_{sentence}.wav", "--split", "speaker:50/25/25")
    sertool("index", folder / "x", *words, "-o", folder / "a.parquet")
    for text, named in (("speaker,split\na,test\n", "its own split"), ("speaker,age\na,31\n", "speaker:50/25/25")):
        fixes = table(folder, "speakers.csv", text)
        sertool("index", folder / "a.parquet", "--correct", fixes, "-o", folder / "b.parquet")
        assert own_division.protocol(manifest_io.read(str(folder / "b.parquet"))) == named


def test_segments_are_corrected_by_path_and_start(make):
    folder = make("a.wav")
    listing = "path,start,end,emotion\na.wav,0,.1,sad\na.wav,.1,.2,sad\n"
    sertool("index", folder / "a.wav", "--table", table(folder, "a.csv", listing), "-o", folder / "a.parquet")
    fixes = table(folder, "fixes.csv", "path,start,emotion\na.wav,.1,happy\n")
    assert [row["emotion"] for row in index(folder / "a.parquet", "--correct", fixes)] == ["sad", "happy"]


def test_words_of_ones_own_and_mapped_words_are_known_in_corrections(conflict):
    sertool("index", conflict / "x", "--map", "sad=grief", "-o", conflict / "a.parquet")
    fixes = table(conflict, "fixes.csv", "clip,emotion\nx/angry/1,Grief\nx/sad/2,Wut\n")
    done = sertool("index", conflict / "a.parquet", "--correct", fixes, "--map", "wut=angry", "-f", "jsonl")
    assert [row["emotion"] for row in rows(done)] == ["grief", "angry", "grief"]
    assert "changes nothing" not in done.err


@pytest.mark.parametrize("text", ["clip,emotion\nx/sad/3,Other\n", "clip,emotion,label\nx/sad/3,,Other\n"])
def test_corrected_label_that_means_no_emotion_takes_the_old_emotion_away(conflict, text):
    held = by_clip(conflict / "x", "--correct", table(conflict, "fixes.csv", text), "--map", "other=")
    assert emotions(held) == {"x/angry/1": "angry", "x/sad/2": "sad", "x/sad/3": None}
    assert held["x/sad/3"]["label"] == "Other"
    assert [row.get("issue") for row in held.values()] == [None, None, "duplicate-of:x/angry/1"]


def test_summary_says_nothing_of_emotions_where_corrections_left_none(conflict):
    fixes = table(conflict, "fixes.csv", "path,label\nx/sad/2.wav,other\n")
    done = sertool("index", conflict / "x/sad/2.wav", "--correct", fixes, "--map", "other=", "-f", "csv")
    assert done.err.splitlines()[-1].startswith("1 clip, ")


def test_columns_of_corrections_may_have_the_names_that_those_of_tables_may_have(conflict):
    text = "File,Emo,Actor,Gender,partition\nx/sad/3.wav,ang,ann,F,Validation\n"
    row = by_clip(conflict / "x", "--correct", table(conflict, "fixes.csv", text))["x/sad/3"]
    told = {"emotion": "angry", "speaker": "x:ann", "sex": "female", "split": "dev"}
    assert {name: row.get(name) for name in told} == told
    assert not {*row} & {"emo", "actor", "gender", "partition"}


def test_corrections_come_after_what_listeners_heard_also_in_an_update(make):
    folder = make("x/a.wav", "x/b.wav")
    heard = table(
        folder, "labels.csv", "path,emotion,votes_voice_sad,votes_voice_happy\na.wav,sad,1,3\nb.wav,sad,1,3\n"
    )
    fixes, out = table(folder, "fixes.csv", "clip,emotion\nx/b,fear\n"), folder / "a.parquet"
    words = (folder / "x", "--table", heard, "--labels", "perceived")
    assert emotions(by_clip(*words, "--correct", fixes)) == {"x/a": "happy", "x/b": "fear"}
    sertool("index", *words, "-o", out)
    sertool("index", out, "--correct", fixes, "-o", out)
    assert emotions(by_clip(folder / "x", "--update", out)) == {"x/a": "happy", "x/b": "fear"}


def test_corrections_that_change_nothing_are_refused_or_named(conflict):
    words = (conflict / "x", "--correct")
    refused(*words, table(conflict, "a.csv", "clip,emotion\nx/sad/2,anry\n"), says="unknown emotion 'anry'")
    refused(*words, table(conflict, "b.csv", "clip,size\nx/sad/2,3\n"), says="no column to correct, such as emotion")
    refused(*words, table(conflict, "c.csv", "take,emotion\n1,sad\n"), says="no column named path or clip", code=1)
    done = sertool("index", *words, table(conflict, "d.csv", "clip,emotion\nx/9,sad\nx/sad/2,fear\n"), "-f", "csv")
    assert "d.csv: 1 clip not among those read, such as x/9" in done.err
    assert "d.csv: 1 clip as it says" in done.err


def test_table_that_leaves_out_most_files_is_said_to_be_perhaps_of_corrections(conflict):
    words = ("index", conflict / "x", "-f", "csv", "--table")
    few = sertool(*words, table(conflict, "few.csv", "path,emotion\n2.wav,sad\n")).err
    assert "warning: 2 files in no table, left out: to keep them, and correct what is said of some, name " in few
    most = sertool(*words, table(conflict, "most.csv", "path,emotion\n2.wav,sad\n3.wav,sad\n")).err
    assert "\n1 file in no table, left out\n" in f"\n{most}"
    assert "--correct" not in most.replace("label-conflict", "")


def test_ratings_are_corrected_and_stay_through_updates(make):
    folder = make("x/1.wav", "x/2.wav")
    labels = table(folder, "labels.csv", "path,arousal\n1.wav,2\n2.wav,3\n")
    out, fixes = folder / "a.parquet", table(folder, "fixes.csv", "clip,EmoAct\nx/2,4.5\n")
    assert sertool("index", folder / "x", "--table", labels, "--correct", fixes, "-o", out).code == 0
    assert [row["arousal"] for row in index(folder / "x", "--update", out)] == [2.0, 4.5]
