"""`sertool index`: labels from names, folders, patterns and tables; the doctor; merging, updating, splitting."""

import json
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from running import Outcome, sertool

from sertool import (
    audio,
    columns,
    encoding,
    labels,
    leak_guard,
    manifest,
    manifest_io,
    provenance,
    splitting,
    synth,
    tables,
)
from sertool.errors import UsageError
from sertool.labelling import compile_pattern, word_of_folder

REAL = Path(__file__).resolve().parents[2] / "shared" / "corpora"
corpora = pytest.mark.corpora


def index(*arguments: object, stdin: bytes = b"") -> list[dict]:
    """The rows of a manifest, each with what it knows."""
    return rows(sertool("index", *arguments, "-f", "jsonl", stdin=stdin))


def rows(done: Outcome) -> list[dict]:
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


def by_clip(*arguments: object, stdin: bytes = b"") -> dict[str, dict]:
    return {row["clip"]: row for row in index(*arguments, stdin=stdin)}


def refused(*arguments: object, says: str, code: int = 2, stdin: bytes = b"") -> None:
    done = sertool("index", *arguments, stdin=stdin)
    assert (done.code, done.out) == (code, b"")
    assert says in done.line


def emotions(held: dict[str, dict]) -> dict[str, str | None]:
    return {clip: row.get("emotion") for clip, row in held.items()}


# Corpora


def test_a_known_corpus_needs_no_option(make):
    folder = make("crema/AudioWAV/1001_IEO_ANG_HI.wav", "crema/AudioWAV/1091_WSI_NEU_XX.wav")
    assert index(folder)[0].items() >= {
        "clip": "cremad/1001_IEO_ANG_HI", "corpus": "cremad", "speaker": "cremad:1001", "emotion": "angry",
        "label": "ANG", "intensity": "high", "sentence": "IEO", "language": "en",
        "sample_rate": 16_000, "channels": 1, "samples": 3200,
        "start": 0.0, "duration": 0.2, "path": str(folder / "crema/AudioWAV/1001_IEO_ANG_HI.wav"),
    }.items()  # fmt: skip


def test_several_corpora_and_ones_own_lie_under_one_root(make):
    held = by_clip(make(
        "all/ravdess/Actor_01/03-01-05-01-02-01-01.wav", "all/tess/OAF_angry/OAF_back_angry.wav", "all/mine/sad/x.wav",
        "all/mine/happy/x.wav", "all/savee/DC/a01.wav", "all/emodb/wav/03a01Fa.wav",
    ) / "all")  # fmt: skip
    assert emotions(held) == {
        "ravdess/03-01-05-01-02-01-01": "angry", "tess/OAF_back_angry": "angry", "all/mine/sad/x": "sad",
        "all/mine/happy/x": "happy", "savee/DC_a01": "angry", "emodb/03a01Fa": "happy",
    }  # fmt: skip


def test_the_same_name_twice_keeps_both_apart_and_finds_the_copy(make):
    name = "Actor_01/03-01-05-01-02-01-01.wav"
    folder = make(f"kaggle/{name}") / "kaggle"
    shutil.copytree(folder / "Actor_01", folder / "again" / "Actor_01")
    held = by_clip(folder)
    first, second = f"ravdess/{name}", f"ravdess/again/{name}"
    assert {clip: row.get("issue") for clip, row in held.items()} == {first: None, second: f"duplicate-of:{first}"}


def test_corpus_overrides_what_is_recognised(make):
    folder = make("x/1001_IEO_ANG_HI.wav", "x/other.wav")
    assert [row["corpus"] for row in index(folder / "x", "--corpus", "mine")] == ["mine", "mine"]
    held = by_clip(folder, "--corpus", "cremad")
    assert held["cremad/x/other"].items() >= {"corpus": "cremad", "notes": ["odd-name"]}.items()
    refused(folder, "--corpus", "ravdess", says="no file is named as in ravdess; an example: 1001_IEO_ANG_HI.wav")
    refused(folder, "--corpus", "crema-d", says="perhaps cremad?")


def test_votes_and_demographics_come_from_tables_in_the_tree(make):
    folder = make("AudioWAV/1001_IEO_ANG_HI.wav", "AudioWAV/1001_IEO_SAD_HI.wav", "AudioWAV/1002_IEO_SAD_HI.wav")
    (folder / "VideoDemographics.csv").write_text(
        "ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,Caucasian,Not Hispanic\n1002,21,Female,Caucasian,Hispanic\n"
    )
    (folder / "votes").mkdir()
    (folder / "votes" / "tabulatedVotes.csv").write_text(
        '"","A","D","F","H","N","S","fileName","numResponses"\n'
        '"100001",1,0,0,0,1,3,"1001_IEO_ANG_HI",5\n"100002",0,0,0,0,2,2,"1001_IEO_SAD_HI",4\n'
        '"200001",5,0,0,0,0,0,"1001_IEO_ANG_HI",5\n"100003",0,0,2,0,2,0,"1002_IEO_SAD_HI",4\n'
    )  # fmt: skip
    first = index(folder)[0]
    assert first.items() >= {"sex": "male", "age": 51, "race": "Caucasian", "ethnicity": "Not Hispanic"}.items()
    assert (
        first.items()
        >= {"votes_voice_angry": 1, "votes_voice_sad": 3, "votes_face_angry": 5, "emotion": "angry"}.items()
    )

    heard = sertool("index", folder, "--labels", "perceived", "-f", "jsonl")
    assert [row.get("emotion") for row in rows(heard)] == [
        "sad",
        "sad",
        None,
    ]  # a tie goes to what was meant, or to none
    assert "1 clip without an emotion that most listeners chose" in heard.err
    seen = index(folder, "--labels", "perceived", "--votes", "face")
    assert [row.get("emotion") for row in seen] == ["angry", None, None]
    soft = index(folder, "--labels", "soft")
    assert {n: round(v, 4) for n, v in soft[0].items() if n.startswith("soft_")} == {
        "soft_angry": 0.2, "soft_disgust": 0, "soft_fear": 0, "soft_happy": 0, "soft_neutral": 0.2, "soft_sad": 0.6,
    }  # fmt: skip
    assert [row["emotion"] for row in soft] == ["angry", "sad", "sad"]
    refused(folder, "--labels", "soft", "--votes", "both", says="no columns votes_both_*")


# Folders


def test_the_nearest_folder_among_folders_of_emotions_labels(make):
    folder = make(
        "mine/anna/Angry/1.wav",
        "mine/anna/05_sad/take2/1.wav",
        "mine/ben/happiness/1.wav",
        "mine/ben/calm/deep/er/1.wav",
    )
    held = by_clip(folder / "mine")
    assert emotions(held) == {
        "mine/anna/Angry/1": "angry", "mine/anna/05_sad/take2/1": "sad", "mine/ben/happiness/1": "happy",
        "mine/ben/calm/deep/er/1": "calm",
    }  # fmt: skip
    assert held["mine/anna/05_sad/take2/1"]["label"] == "05_sad"
    assert emotions(by_clip(folder / "mine/anna/Angry")) == {"Angry/1": "angry"}
    assert set(emotions(by_clip(*(folder / "mine/ben").iterdir())).values()) == {"happy", "calm"}


@pytest.mark.parametrize(
    ("name", "emotion"),
    [("angry", "angry"), ("Pleasant Surprise", "surprise"), ("Actor1_angry", "angry"), ("01-neutral-x", "neutral"),
     ("sad_happy", None), ("calls", None), ("", None), ("unangry", None), ("sad_sadness", "sad")],
)  # fmt: skip
def test_an_emotion_in_a_folders_name(name, emotion):
    word = word_of_folder(name, {})
    assert (word and labels.canonical(word)) == emotion


def test_an_unknown_folder_among_emotions_is_an_error_with_an_example(make):
    folder = make("mine/angry/1.wav", "mine/sad/1.wav", "mine/wut/1.wav", "mine/wut/2.wav", "mine/zorn/1.wav")
    refused(folder / "mine", says="unknown emotion 'wut' of wut/1.wav (and 'zorn'): say what it means with --map wut=")
    held = by_clip(folder / "mine", "--map", "wut=anger", "--map", "ZORN = fury")
    assert Counter(emotions(held).values()) == {"angry": 3, "sad": 1, "fury": 1}


def test_folders_of_emotions_in_another_language_are_named_with_what_maps_them(make):
    folder = make("ger/Wut/1.wav", "ger/Freude/2.wav", "ger/Neutral/3.wav")
    done = sertool("index", folder / "ger", "-f", "jsonl")
    assert "if the folders Freude, Wut are emotions, say which with `sertool index --map freude=EMOTION`" in done.err
    held = by_clip(folder / "ger", "--map", "Wut=angry,Freude=happy")
    assert Counter(emotions(held).values()) == {"angry": 1, "happy": 1, "neutral": 1}
    refused(folder / "ger", "--pattern", "{emotion}/{}.wav", says="'Freude' of Freude/2.wav (and 'Wut'): say what")


def test_parts_and_folds_are_told_in_their_own_order(tmp_path):
    for name, words in {"split": ("test", "dev", "dev", "train", "dev"), "fold": (10, 2, 2, 1, 2)}.items():
        table = [{"clip": str(n), "path": f"/{n}", name: word} for n, word in enumerate(words)]
        (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, table)))
        said = {"split": "split: train 1, dev 3, test 1", "fold": "fold: 1 1, 2 3, 10 1"}[name]
        assert f"{said}\n" in sertool("index", tmp_path / "m.jsonl", "-f", "csv").err


def test_the_list_says_what_every_column_of_the_readme_means():
    readme = (Path(__file__).resolve().parents[1] / "README.md").read_text()
    cells = re.findall(r"^\| (`[a-z_ …]+`) \|", readme.partition("## The manifest")[2], flags=re.MULTILINE)
    names = re.findall("[a-z_]+", " ".join(cells))
    listed = {line.split()[0] for line in sertool("index", "--list").out.decode().splitlines() if line.strip()}
    own = {name for name in names if not re.search("^(votes|soft|p|mel)_", name)}
    assert {"clip", "end", "channel", "top", "adapted"} <= own
    assert own | {"recognised", "natural"} <= listed


def test_what_is_asked_in_vain_is_refused_or_told(make):
    folder = make("x/angry/1.wav", "x/05_sad/2.wav")
    line = ("index", folder / "x", "-f", "jsonl")
    met = sertool(*line, "--map", "sad=fear", "--map", "zzz=happy", "--map", "anger=sad")
    assert met.err.count("changes nothing") == 2
    assert "--map zzz=happy changes nothing: no clip has the label 'zzz'" in met.err
    sertool("index", folder / "x", "-o", folder / "m.parquet")
    assert "changes" not in sertool("index", folder / "m.parquet", "--map", "angry=sad", "-f", "jsonl").err
    refused(folder / "x", "--votes", "face", says="--votes goes with --labels")
    lone = make("tapes/wut/1.wav", "tapes/tape1/2.wav", "tapes/tape2/3.wav") / "tapes"
    assert "--map wut=angry changes nothing: no clip has" in sertool("index", lone, "--map", "wut=angry").err
    numbered = make("y/01_wut/1.wav", "y/02_sad/2.wav") / "y"
    assert "changes" not in sertool("index", numbered, "--map", "wut=angry").err
    for nothing in ("", ",", " , "):
        refused(folder / "x", "--emotions", nothing, says="names nothing: leave the option out")
    refused(folder / "x", "--where", "emotion==angry", says="takes one = between column and value")
    told = sertool(*line, "--where", "emotion=angry|sda")
    assert (len(rows(told)), "no row has emotion 'sda'" in told.err) == (1, True)
    assert "no row has emotion 'angri'" in sertool(*line, "--where", "emotion!=angri").err
    refused(folder / "x", "--where", "emotion=angry or emotion=sad", says="join values of one column by |")
    assert "no row has" not in sertool(*line, "--where", "emotion=angry|sad and notes= and issue=").err
    assert "clip holds words, which are compared letter by letter" in sertool(*line, "--where", "clip>=1").err
    assert "letter by letter" not in sertool(*line, "--where", "clip>=a and duration>0").err


def test_votes_are_counted_by_the_emotions_that_their_words_mean(tmp_path):
    head = "path,emotion,votes_voice_anger,votes_voice_angry,votes_voice_sadness,votes_voice_Wut"
    (tmp_path / "a.csv").write_text(f"{head}\na.wav,sad,1,1,3,0\nb.wav,sad,1,1,2,\nc.wav,,1,2,2,2\nd.wav,sad,,,,\n")
    words = (tmp_path / "a.csv", "--labels")
    assert [row.get("emotion") for row in index(*words, "perceived")] == ["sad", "sad", "angry", None]
    soft = index(*words, "soft", "--map", "Wut=angry")
    assert [(row.get("soft_angry"), row.get("soft_sad")) for row in soft[1:]] == [
        (0.5, 0.5), (pytest.approx(5 / 7), pytest.approx(2 / 7)), (None, None)
    ]  # fmt: skip
    assert not {name for row in soft for name in row if name.startswith("soft_")} - {"soft_angry", "soft_sad"}


def test_votes_that_are_named_otherwise_are_told_how_to_be_named(tmp_path):
    for name, says in {
        "votes_angry": "rename votes_angry to votes_voice_angry, and the others likewise",
        "votes_face_angry": "it has those of --votes face",
        "age": "index a corpus with its vote tables",
    }.items():
        (tmp_path / "a.csv").write_text(f"path,emotion,{name}\na.wav,angry,3\n")
        refused(tmp_path / "a.csv", "--labels", "soft", says=f"no columns votes_voice_*: {says}")


def test_unlabelled_audio_is_indexed_with_one_warning(make):
    folder = make("calls/2024/a.wav", "calls/2025/b.wav", "calls/joy-and-bob/c.wav")
    done = sertool("index", folder / "calls", "-f", "jsonl")
    assert ["emotion" in row for row in rows(done)] == [False] * 3
    assert done.err.count("warning") == 1
    folders = "if the folders 2024, 2025, joy-and-bob are emotions, say which with `sertool index --map 2024=EMOTION`"
    hint = f"{folders}, or name their layout with `sertool index --pattern`, or their labels with `--table`"
    assert f"no emotion is known of 3 of 3 clips, such as calls/2024/a: {hint}\n" in done.err
    assert "speakers unknown" in done.err


def test_a_file_alone_is_not_asked_for_its_emotion(make):
    folder = make("calls/2024/a.wav", "calls/2024/b.wav")
    assert "no emotion is known" in sertool("index", folder).err
    assert "no emotion is known" not in sertool("index", folder / "calls/2024/a.wav").err


def test_a_folder_that_is_called_after_somebody_is_no_emotion(make):
    held = by_clip(make("team/joy/1.wav", "team/bob/1.wav", "team/ann/1.wav") / "team", "--group", "parent-folder")
    assert set(emotions(held).values()) == {None}


def test_group_takes_the_nearest_folder_that_is_no_emotion(make):
    folder = make("mine/anna/angry/1.wav", "mine/ben/x.wav", "mine/03_sad/2.wav")
    held = by_clip(folder / "mine", "--group", "parent-folder", "--map", "anna=neutral", "--map", "ben=neutral")
    assert {row["speaker"] for row in held.values()} == {"mine:mine"}
    held = by_clip(make("our/anna/angry/1.wav", "our/ben/sad/1.wav") / "our", "--group", "parent-folder")
    assert {row["speaker"]: row["emotion"] for row in held.values()} == {"our:anna": "angry", "our:ben": "sad"}


def test_speakers_of_one_name_in_folders_of_one_name_are_said(make):
    folder = make("a/wavs/s1/1.wav", "a/wavs/s2/1.wav", "b/wavs/s1/1.wav", "b/other/s1/1.wav")
    roots = [folder / "a/wavs", folder / "b/wavs"]
    for words in (("--group", "parent-folder"), ("--pattern", "{speaker}/{}.wav")):
        done = sertool("index", *roots, *words, "-f", "jsonl")
        assert f"warning: {roots[0]}, {roots[1]} have speakers of one name" in done.err
        assert "such as wavs:s1: if they are several people" in done.err
        for apart in ((*roots, "--corpus", "mine"), (folder / "a/wavs", folder / "b/other"), (folder,)):
            assert "of one name" not in sertool("index", *apart, *words, "-f", "jsonl").err


def test_speakers_of_one_name_in_manifests_of_folders_of_one_name_are_said(make):
    folder = make("a/wavs/s1/1.wav", "a/wavs/s2/1.wav", "b/wavs/s1/2.wav", "b/other/s1/1.wav")
    words = ("--group", "parent-folder")
    for name, root, *more in (("a", "a/wavs"), ("b", "b/wavs"), ("c", "b/other"), ("d", "b/wavs", "--corpus", "my")):
        assert sertool("index", folder / root, *words, *more, "-o", folder / f"{name}.parquet").code == 0
    for name, other, warned in (("a", "b", True), ("a", "c", False), ("a", "d", False), ("a", "a", False)):
        done = sertool("index", folder / f"{name}.parquet", folder / f"{other}.parquet", "-f", "jsonl")
        assert ("have speakers of one name, taken for one person, such as wavs:s1" in done.err) is warned


def test_a_list_of_files_is_labelled_as_their_folder_would_be(make):
    folder = make("mine/angry/1.wav", "mine/sad/1.wav", "mine/sad/two\nlines.wav")
    whole = index(folder / "mine", "-q")
    listed = "".join(f"{path}\0" for path in sorted((folder / "mine").rglob("*.wav"))).encode()
    assert index("-", "-0", "-q", stdin=listed) == whole
    assert index(*sorted((folder / "mine").rglob("*.wav")), "-q") == whole
    some = f"{folder}/mine/angry/1.wav\n{folder}/mine/sad/gone.wav\n".encode()
    assert [row.get("issue") for row in index("-", stdin=some)] == [None, "vanished"]
    refused("-", stdin=b"# a text\nof words\n", says="no such file '# a text'", code=1)


def test_a_list_may_have_a_header_and_names_that_begin_with_brackets(make, monkeypatch):
    monkeypatch.chdir(make("[1] a.wav", "{2}.wav", "audio/3.wav"))
    assert [row["path"] for row in index("-", stdin=b"File\n{2}.wav\n")] == [os.path.abspath("{2}.wav")]
    assert len(index("-", stdin=b"[1] a.wav\n{2}.wav\n")) == len(index("-", stdin=b"audio\n{2}.wav\n")) == 2
    refused("-", stdin=b"file\n", says="no such file 'file'", code=1)


def test_folders_in_a_list_are_searched_as_on_the_command_line(make):
    folder = make("mine/angry/1.wav", "mine/sad/1.wav", "crema/AudioWAV/1001_IEO_ANG_HI.wav")
    (folder / "crema" / "VideoDemographics.csv").write_text("ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,x,y\n")
    listed = f"{folder}/mine\n{folder}/crema\n".encode()
    assert index("-", "-q", stdin=listed) == index(folder / "mine", folder / "crema", "-q")
    mixed = by_clip("-", "-q", stdin=listed.replace(b"/mine\n", b"/mine/sad/1.wav\n"))
    assert {"cremad/1001_IEO_ANG_HI", "sad/1"} == mixed.keys()
    assert mixed["cremad/1001_IEO_ANG_HI"]["age"] == 51
    (folder / "list.txt").write_bytes(listed)
    assert len(index(folder / "list.txt", "-q")) == 3
    assert "would look at 3 files" in sertool("index", "-", "--dry-run", stdin=listed).err


# Patterns


def test_a_pattern_says_what_names_mean(make):
    folder = make("x/s01_door_happy.wav", "x/s02_dogs_ang.wav", "x/readme.wav")
    held = by_clip(folder / "x", "--pattern", "{speaker}_{sentence}_{emotion}.wav")
    assert held["x/s02_dogs_ang"].items() >= {
        "speaker": "x:s02", "sentence": "dogs", "emotion": "angry", "label": "ang",
    }.items()  # fmt: skip
    assert held["x/readme"]["notes"] == ["odd-name"]


def test_a_pattern_reaches_into_folders_types_numbers_and_keeps_ones_own_fields(make):
    folder = make("x/anna/64/happy_1.flac", "x/ben/31/sad_2.wav")
    held = by_clip(folder, "--pattern", "{speaker}/{age}/{emotion}_{take}")
    assert held[f"{folder.name}/x/anna/64/happy_1"].items() >= {"age": 64, "take": "1", "emotion": "happy"}.items()
    assert {row["age"] for row in held.values()} == {64, 31}
    refused(folder, "--pattern", "{age}/{speaker}/{emotion}_{}", says="the age of happy_1.flac would be 'anna'")


def test_a_pattern_without_emotions_leaves_them_to_the_folders(make):
    held = by_clip(make("x/angry/anna_1.wav", "x/sad/ben_2.wav") / "x", "--pattern", "{speaker}_{}.wav")
    assert {row["speaker"]: row["emotion"] for row in held.values()} == {"x:anna": "angry", "x:ben": "sad"}


def test_a_pattern_and_a_table_know_the_same_names(make):
    folder = make("x/ann_F_dogs_sad.wav", "x/bob_m_dogs_ang.wav")
    (one, two) = index(folder / "x", "--pattern", "{Speaker}_{gender}_{text}_{emo}.wav", "-q")
    ours = {"speaker": "x:ann", "sex": "female", "sentence": "dogs", "emotion": "sad"}
    assert one.items() >= ours.items()
    assert (two["sex"], one.keys() & {"Speaker", "gender", "text", "emo"}) == ("male", set())
    both = index(folder / "x", "--pattern", "{speaker}_{text}_{spk}_{emotion}.wav", "-q")
    assert [(row["speaker"], row["spk"]) for row in both] == [("x:ann", "dogs"), ("x:bob", "dogs")]


def test_each_file_is_read_by_the_first_of_several_patterns_that_it_matches(make):
    folder = make("x/ann_sad.wav", "x/ben_angry_loud.wav", "x/cyd.wav")
    words = ("--pattern", "{speaker}_{emotion}_{style}.wav", "--pattern", "{speaker}_{emotion}.wav")
    held = by_clip(folder / "x", *words, "-q")
    told = {clip: (row.get("speaker"), row.get("emotion"), row.get("style")) for clip, row in held.items()}
    assert told == {
        "x/ann_sad": ("x:ann", "sad", None), "x/ben_angry_loud": ("x:ben", "angry", "loud"), "x/cyd": (None,) * 3
    }  # fmt: skip
    assert held["x/cyd"]["notes"] == ["odd-name"]
    (turned,) = index(folder / "x" / "ben_angry_loud.wav", "--pattern", "{}_{label}_{}", *words, "-q")
    assert (turned["emotion"], turned.get("speaker")) == ("angry", None)


def test_of_several_patterns_those_that_read_no_file_are_said(make):
    folder = make("x/ann_sad.wav")
    words = ("index", folder / "x", "--pattern", "{speaker}_{emotion}.wav", "--pattern", "{speaker}-{emotion}")
    done = sertool(*words, "-f", "jsonl")
    assert (done.code, "warning: no file is read by --pattern '{speaker}-{emotion}'" in done.err) == (0, True)
    refused(folder / "x", "--pattern", "{speaker}.flac", "--pattern", "{speaker}-{emotion}",
            says="no file matches --pattern '{speaker}.flac' and '{speaker}-{emotion}'; an example")  # fmt: skip


@pytest.mark.parametrize("head", ["Path,Emotion", "file,emotion"])
def test_a_table_given_as_a_manifest_is_sent_to_where_it_belongs(tmp_path, head):
    a = table(tmp_path, "a.csv", f"{head}\n1.wav,sad\n")
    refused(a, code=1, says=f"is the path of audio, give it to index as --table {a}")
    refused(
        table(tmp_path, "b.csv", "x,emotion\n1,sad\n"), code=1, says="no column named path or clip; it has x, emotion"
    )


def test_wrong_patterns_show_an_example(make):
    folder = make("x/s01_happy.wav", "x/s02_wut.wav")
    refused(
        folder,
        "--pattern",
        "{speaker}-{emotion}.wav",
        says="; an example of what is there: s01_happy.wav",
    )
    refused(folder, "--pattern", "{speaker}/{}/{emotion}.mp3", says=f"there: {folder.name}/x/s01_happy.wav")
    refused(folder, "--pattern", "{speaker}_{emotion}.wav", says="unknown emotion 'wut' of x/s02_wut.wav")
    refused(folder, "--pattern", "*.wav", says="it says nothing of a clip")
    refused(folder, "--pattern", "{take}_{}.wav", says="it says nothing of a clip")
    refused(folder, "--pattern", "{speaker}_{digest}.wav", says="{digest} is not for names to say")


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("{speaker}_{emotion}.wav", "/x/a_b.wav", ("a", "b")), ("{speaker}_{emotion}.wav", "/x/a_b.WAVE", None),
        ("{speaker}/{emotion}", "/x/a/b.flac", ("a", "b")), ("{speaker}_{}_{emotion}.wav", "a_1_2_b.wav", ("a", "b")),
        ("{speaker}_{_}{emotion}x.wav", "a_bx.wav", ("a", "b")), 
        ("{speaker}{speaker}_{emotion}.wav", "aa_b.wav", ("a", "b")),
        ("({speaker}+{emotion}).wav", "(a+b).wav", ("a", "b")), ("{speaker}_{emotion}.wav", "/x_/a/b_c/d.wav", None),
    ],
)  # fmt: skip
def test_patterns_match_the_end_of_a_path(pattern, path, found):
    match = compile_pattern(pattern).search(path)
    if found is None:
        assert match is None
    else:
        assert (match["speaker"], match["emotion"][-1:]) == found


# Tables


def table(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


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
def test_tables_of_any_kind_label_the_files_they_mean(make, name, text):
    folder = make("mine/x/1.wav", "mine/x/2.wav")
    one, two = index(folder / "mine", "--table", table(folder, name, text))
    assert (one["emotion"], one["speaker"], one["room"]) == ("happy", "mine:7", "kitchen")
    assert (two["emotion"], two["speaker"], "room" in two) == ("surprise", "mine:8", False)


def test_a_parquet_manifest_is_a_table_too(make):
    folder = make("mine/angry/1.wav", "mine/sad/2.wav")
    held = index(folder / "mine", "-q")
    sertool("index", folder / "mine", "-o", folder / "labels.parquet")
    assert index(folder / "mine", "--table", folder / "labels.parquet", "-q") == held
    assert index("--table", folder / "labels.parquet", "-q") == held  # without its folder: paths are the table's own


@pytest.mark.parametrize("check", ["full", "none"])
def test_what_is_measured_is_never_taken_from_a_table(make, check):
    folder = make(*(f"x/sad/{k}.wav" for k in range(12)))
    encoding.write(folder / "x/sad/0.wav", np.ones(3200), 16_000)
    lines = [f"{k}.wav,sad,clipped;dc,{48_000 if k else 8000},much" for k in range(12)]
    text = "\n".join(["path,emotion,notes,sample_rate,size", *lines])
    words = (folder / "x", "--check", check)
    done = sertool("index", *words, "--table", table(folder, "a.csv", text), "-f", "jsonl")
    assert "a.csv: notes, sample_rate, size left out: the files tell that themselves" in done.err
    assert {row["clip"]: row for row in rows(done)} == by_clip(*words)


def test_only_listed_files_are_taken_and_the_rest_is_counted(make):
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


def test_parts_of_a_long_file_are_clips_of_their_own(make):
    folder = make("talk.wav")
    parts = ("0,0.1,sad", "0.1,0.1,happy", "0.15,9,sad", "7,1,sad")
    text = "path,start,duration,emotion\n" + "".join(f"talk.wav,{part}\n" for part in parts)
    held = index(folder, "--table", table(folder, "a.csv", text))
    assert [round(row["start"], 3) for row in held] == [0, 0.1, 0.15, 7]
    assert [round(row["duration"], 3) for row in held] == [0.1, 0.1, 0.05, 0]
    assert [row.get("notes") for row in held] == [None, None, ["wrong-duration"], None]
    assert [row.get("issue") for row in held] == [None, None, None, "empty"]
    assert len({row["clip"] for row in held}) == 4


@pytest.mark.parametrize("head", ["path,Start,End,emotion", "path,start,end,emotion"])
def test_a_segment_lasts_from_its_start_to_its_end(make, head):
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


def test_windows_as_predict_writes_them_are_clips_of_their_own(make):
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
def test_a_start_that_is_no_number_is_the_start_of_the_file(make, kind):
    folder = make("1.wav", "2.wav")
    a = folder / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"path": ["1.wav", "2.wav"], "start": np.full(2, np.nan)}), a)
    else:
        a.write_text("".join(f'{{"path": "{k}.wav", "start": NaN}}\n' for k in (1, 2)))
    held = index(folder, "--table", a, "--table", a, "-q")
    assert [(row["start"], row["duration"], row.get("issue")) for row in held] == [(0, 0.2, None)] * 2


def test_what_others_name_like_our_columns_goes_from_names_and_tables_into_copies(make):
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


def test_a_table_may_name_the_clips_and_their_corpus(make):
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


def test_a_tables_whole_numbers_may_be_written_as_floats(make):
    folder = make("1.wav", "2.wav")
    text = "path,Age,fold\n1.wav,31.0,2.0\n2.wav,,\n"
    one, two = index(folder, "--table", table(folder, "a.csv", text), "-q")
    assert (one["age"], one["fold"], two.keys() & {"age", "fold"}) == (31, 2, set())


def test_parts_are_train_dev_and_test_whatever_they_are_called(make):
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


def test_tables_must_agree_on_a_clip(make):
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
def test_a_file_may_have_several_ways_of_writing_its_path_in_a_table(make):
    folder = make("train/1.wav")
    rows = "train/1.wav,s\n./train/1.wav,s\ntrain\\1.wav,s\nx/../train//1.wav,s\n"
    (row,) = index(folder, "--table", table(folder, "a.csv", f"path,speaker\n{rows}"))
    assert row["speaker"].endswith("s")


@pytest.mark.usefixtures("looked_through")
def test_a_tables_path_must_mean_one_file(make):
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
def test_a_file_in_another_folder_than_the_row_names_is_not_its_file(make, row, file):
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
def test_no_quote_swallows_the_rows_below_it(tmp_path, text, line):
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
def test_a_column_that_stands_twice_in_a_table_is_refused(make, head, says):
    folder = make("1.wav")
    refused(folder, "--table", table(folder, "a.csv", f"{head}\n1.wav,sad,happy\n"), code=1, says=says)


def test_of_two_columns_that_mean_the_same_the_first_is_taken_and_both_are_kept(make):
    folder = make("1.wav")
    (row,) = index(folder, "--table", table(folder, "a.csv", "path,text,transcript\n1.wav,yes,no\n"), "-q")
    assert (row["sentence"], row["transcript"]) == ("yes", "no")


def test_a_clip_that_stands_twice_in_a_table_is_refused_before_anybody_reads_it(make):
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
def test_numbers_between_semicolons_may_have_commas_or_points(make, text):
    folder = make("1.wav")
    one, two = index(folder, "--table", table(folder, "a.csv", text), "-q")
    assert (one["start"], one["duration"], one["age"], one["p_sad"]) == (0.05, 0.1, 31, 0.25)
    assert (two["start"], round(two["duration"], 9), two["p_sad"]) == (0.15, 0.05, 1)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_are_the_same_in_either_form_of_unicode(make, form):
    folder = make("nfc/K\u00f6ln/M\u00fcde_1.wav", "nfd/Ko\u0308ln/Mu\u0308de_2.wav")
    rows = (f"K\u00f6ln/M\u00fcde_{number}.wav,angry" for number in (1, 2))
    text = unicodedata.normalize(form, "\n".join(["file,emotion", *rows, ""]))
    held = index(folder, "--table", table(folder, "l.csv", text), "-q")
    assert [(row["emotion"], row.get("issue")) for row in held] == [("angry", None)] * 2


ZOE, MUDE = ("Zo\u00eb", "Zoe\u0308"), ("m\u00fcde", "mu\u0308de")  # each in both forms of Unicode


@pytest.mark.parametrize("way", [(), ("--pattern", f"{{speaker}}/{{emotion}}_{MUDE[1]}_{{}}.wav")])
def test_words_and_people_are_the_same_in_either_form_of_unicode(make, way):
    folder = make(*(f"{who}/{word}_{word}_{k}.wav" for k, (who, word) in enumerate(zip(ZOE, MUDE, strict=True))))
    names = (f"{who}/{word}_{word}_{k}.wav" for k, (who, word) in enumerate(zip(ZOE, MUDE, strict=True)))
    lines = (f"{name},{word},{who}" for name, word, who in zip(names, MUDE, ZOE, strict=True))
    listing = table(folder, "l.csv", "\n".join(["path,emotion,speaker", *lines, ""]))
    for given in MUDE:
        held = index(folder, *(way or ("--table", listing)), "--map", f"{given}=sad", "-q")
        assert [row["emotion"] for row in held] == ["sad", "sad"]
        assert {row["speaker"] for row in held} == {f"{folder.name}:{ZOE[0]}"}


def test_who_is_written_in_both_forms_of_unicode_does_not_cross(tmp_path):
    lines = (f"c{k},c{k}.wav,{who},{part}" for k, (who, part) in enumerate(zip(ZOE, ("train", "test"), strict=True)))
    listing = table(tmp_path, "l.csv", "\n".join(["clip,path,speaker,split", *lines, ""]))
    done = sertool("index", "--audit", listing)
    assert (done.code, b"LEAK  speaker: 1 in more than one part" in done.out) == (1, True)


def test_a_name_in_another_case_is_its_file_unless_that_may_be_another(make):
    folder = make("x/VP003_01W.wav", "x/a.wav", "x/A.wav", "z/bB.wav", "z/Bb.wav")
    text = "file,emotion\nvp003_01w.wav,angry\na.wav,sad\nA.WAV,happy\n"
    held = index(folder / "x", "--table", table(folder, "l.csv", text), "-q")
    assert [Path(row["path"]).name for row in held] == ["VP003_01W.wav", "a.wav", "A.wav"]
    assert [row["emotion"] for row in held] == ["angry", "sad", "happy"]
    refused(folder / "z", "--table", table(folder, "l.csv", "file,emotion\nbb.wav,sad\n"), says="may be", code=1)


def test_a_row_without_its_file_invents_nobody(make):
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


def test_a_row_without_its_file_may_be_of_any_of_several_corpora(make):
    folder = make("one/1.wav", "two/2.wav")
    labels = table(folder, "l.csv", "file,emotion,speaker\n1.wav,angry,A\n2.wav,sad,B\ntypo.wav,sad,A\n")
    held = index(folder / "one", folder / "two", "--table", labels, "--group", "parent-folder", "-q")
    assert [row.get("speaker") for row in held] == ["one:A", "two:B", None]
    assert (held[2]["clip"], "corpus" in held[2]) == ("typo", False)


@pytest.mark.parametrize("words", [("--table",), ()])
@pytest.mark.parametrize("text", ["path,sentence\n1.wav,caf\xe9\n", '{"path": "1.wav", "sentence": "caf\xe9"}\n'])
def test_text_that_is_not_utf_8_is_told_to_be_saved_so(tmp_path, words, text):
    (tmp_path / "a").write_bytes(text.encode("latin-1"))
    says = (
        "line 2 is not UTF-8, in column sentence: save it as CSV UTF-8" if "," in text[:9] else "line 1 is not UTF-8: "
    )
    refused(*words, tmp_path / "a", code=1, says=says)
    for utf in ("utf-16", "utf-16-be"):
        (tmp_path / "a").write_bytes(("\ufeff" if utf != "utf-16" else "").encode(utf) + text.encode(utf))
        refused(*words, tmp_path / "a", code=1, says="UTF-16 text, as spreadsheets call Unicode: save it as UTF-8")


def test_a_table_whose_lines_end_in_cr_alone_is_read(make):
    folder = make("1.wav", "2.wav")
    mac = table(folder, "m.csv", "")
    mac.write_bytes(b"Datei;file;emotion\r1;1.wav;angry\r2;2.wav;sad\r")
    assert [row["emotion"] for row in index(folder, "--table", mac, "-q")] == ["angry", "sad"]


@pytest.mark.parametrize("first", ["", "sep=;\r\n", "\ufeffsep=;\n"])
@pytest.mark.parametrize("head", ["Datei;file;emotion;;", "path;emotion;;;"])
def test_a_table_with_what_spreadsheets_leave_around_it_is_read(make, first, head):
    folder = make("1.wav", "2.wav")
    rows = ("1;1.wav;angry;;", "2;2.wav;sad;;") if head.startswith("D") else ("1.wav;angry;;;", "2.wav;sad;;;")
    left = table(folder, "l.csv", "\n".join([first + head, *rows, ""]))
    assert [row["emotion"] for row in index(folder, "--table", left, "-q")] == ["angry", "sad"]
    if head.startswith("p"):
        assert [row["emotion"] for row in index(left, "-q")] == ["angry", "sad"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            b"file;emotion;Bemerkung\n1.wav;angry;ok\n1.wav;angry;m\xfcde\n",
            "line 3 is not UTF-8, in column Bemerkung: ",
        ),
        (b"file;Emotion\n1.wav;m\xfcde\n", "line 2 is not UTF-8, in column Emotion: save it as CSV UTF-8"),
        (b'file;x;emotion\n1.wav;"a\nb";m\xfcde\n', "line 2 is not UTF-8, in column emotion: save it as CSV UTF-8"),
        (b"file;emotion\r1.wav;angry\r2.wav;m\xfcde\r", "line 3 is not UTF-8, in column emotion: "),
        (b"file;emotion;M\xfche\n1.wav;sad;1\n", "line 1 is not UTF-8, in column M\ufffdhe: save it as CSV UTF-8"),
        (b"file;emotion\nm\xfcde.wav;sad\n", "m\ufffdde.wav is not UTF-8, and no file is called so: save the table as"),
    ],
)
def test_text_of_older_spreadsheets_is_refused_by_line_and_column(make, text, says):
    folder = make("1.wav", "2.wav")
    (folder / "l.csv").write_bytes(text)
    refused(folder, "--table", folder / "l.csv", code=1, says=says)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are any bytes on Linux alone")
@pytest.mark.parametrize("name", [b"path", b"file"])
def test_files_whose_names_are_no_text_are_found_by_tables(make, name):
    folder = make("1.wav")
    (folder / "J").mkdir()
    (folder / "1.wav").rename(folder / os.fsdecode(b"J/\xf6.wav"))
    (folder / "l.csv").write_bytes(name + b",emotion\nJ/\xf6.wav,angry\n")
    held = index(folder, "--table", folder / "l.csv", "-q")
    assert [(row["emotion"], row.get("issue")) for row in held] == [("angry", None)]


@pytest.mark.parametrize("head", [b"PK\3\4 xl/workbook.xml", b"\xd0\xcf\x11\xe0 Workbook"])
def test_a_workbook_is_told_to_be_saved_as_text(make, head):
    folder, says = make("1.wav"), "an Excel workbook, or another archive: save it as CSV UTF-8"
    book = folder / "labels.xlsx"
    book.write_bytes(head + bytes(100))
    refused(folder, "--table", book, code=1, says=f"{book}: {says}")
    refused(book, code=1, says=f"{book}: {says}")
    refused("-", code=1, says=f"stdin: {says}", stdin=book.read_bytes())


@pytest.mark.parametrize("name", ["actor", "Subject", "spk"])
def test_names_that_eval_knows_for_speakers_are_known_here(make, name):
    (row,) = index(make("x/1.wav") / "x", "--table", table(make(), "l.csv", f"file,emo,{name}\n1.wav,sad,7\n"), "-q")
    assert (row["speaker"], row["emotion"]) == ("x:7", "sad")


def test_columns_that_nobody_knows_are_listed_where_ours_are_missed(make):
    folder = make("x/1.wav")
    labels = table(folder, "l.csv", "file,Stimmung,Sprecher\n1.wav,froh,7\n")
    done = sertool("index", folder / "x", "--table", labels, "-f", "jsonl")
    has = "and has Stimmung, Sprecher besides"
    assert f"x/1: --table reads it from a column emotion (or emo, class), {has}\n" in done.err
    says = "--table reads it from a column speaker (or speaker_id, spk, actor, subject)"
    assert f"no speaker is known of 1 clip: {says}, {has}\n" in done.err


def test_wrong_tables_are_explained(make):
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


EMOBOX = {"key": "cremad-{0}", "dataset": "cremad", "wav": "downloads/cremad/AudioWAV/{0}.wav", "type": "raw",
          "sample_rate": 16000, "num_frame": 36837.0, "task": "category", "length": 2.3,
          "emo": "ANG", "channel": 1}  # fmt: skip


def emobox(folder: Path, name: str, clips: list[str]) -> str:
    lines = (json.dumps(EMOBOX).replace("{0}", clip) for clip in clips)
    return str(table(folder, name, "\n".join(lines)))


def test_fold_files_that_share_speakers_are_caught_without_their_audio(tmp_path):
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


# Emotions


def test_mapping_goes_by_code_before_word_and_works_on_manifests(make):
    folder = make(
        "Actor_01/03-01-02-01-01-01-01.wav", "Actor_01/03-01-01-01-01-01-01.wav", "Actor_01/03-01-05-01-01-01-01.wav"
    )
    mapped = index(folder, "--map", "calm=neutral", "--map", "05=frustration", "--map", "angry=happy", "-q")
    assert [row["emotion"] for row in mapped] == ["neutral", "neutral", "frustrated"]
    assert [row["label"] for row in mapped] == ["01", "02", "05"]
    sertool("index", folder, "-o", folder / "a.parquet")
    again = index(
        folder / "a.parquet", "--map", "calm=neutral", "--map", "05=frustration", "--map", "angry=happy", "-q"
    )
    assert again == mapped
    assert index(folder / "a.parquet", "--map", "calm=neutral, 05=frustration,angry=happy", "-q") == mapped
    for wrong in ("calm", "calm=a=b"):
        says = f"--map takes FROM=TO, such as ps=surprise, or several joined by commas, not {wrong!r}"
        refused(folder, "--map", wrong, says=says)


def test_a_label_with_a_comma_can_be_mapped():
    assert labels.parse_mapping(("happy, excited=joy",)) == {"happy,_excited": "happy"}


def test_words_of_other_manifests_become_ours_and_what_nobody_knows_stays(make):
    folder = make("x/angry/1.wav", "x/happy/2.wav")
    sertool("index", folder / "x", "-o", folder / "ours.parquet")
    words = {"Anger": "F", "SADNESS": "female", "joy": "M", "Wut": "x", "furious": " W", "happy": ""}
    lines = "".join(f"{k}.wav,{word},{sex}\n" for k, (word, sex) in enumerate(words.items()))
    theirs = table(folder, "theirs.csv", f"path,emotion,sex\n{lines}")
    held = index(theirs, folder / "ours.parquet", "-q")
    assert [row["emotion"] for row in held] == ["angry", "sad", "happy", "Wut", "furious", "happy", "angry", "happy"]
    assert [row.get("sex") for row in held[:6]] == ["female", "female", "male", "x", "female", None]
    mapped = index(theirs, "--map", "anger=disgust", "--map", "wut=angry", "-q")
    assert [row["emotion"] for row in mapped] == ["disgust", "sad", "happy", "angry", "furious", "happy"]
    with_files = make("y/1.wav", "y/2.wav") / "y"
    a = table(folder, "a.csv", "file,emo,gender\n1.wav,joy,F\n2.wav,joy,M\n")
    assert [row["sex"] for row in index(with_files, "--table", a, "-q")] == ["female", "male"]


def test_emotions_keep_a_set(make):
    folder = make(*(f"x/{name}/1.wav" for name in ("angry", "sad", "happy", "wut")))
    held = by_clip(folder / "x", "--map", "wut=inner|outer and more", "--emotions", "ANG,inner|outer and more")
    assert set(emotions(held).values()) == {"angry", "inner|outer and more"}
    refused(folder / "x", "--map", "wut=fury", "--emotions", "calm", says="no clip is 'calm'; there are angry")


# The doctor, among many


def test_equal_sounds_are_copies_or_conflicts(make):
    folder = make("x/angry/1.wav", "x/sad/2.wav", "x/sad/3.wav", "x/sad/4.wav")
    shutil.copy(folder / "x/angry/1.wav", folder / "x/sad/1 again.wav")
    shutil.copy(folder / "x/sad/2.wav", folder / "x/sad/2 again.wav")
    done = sertool("index", folder / "x", "-f", "jsonl")
    assert {row["clip"]: row.get("issue") for row in rows(done)} == {
        "x/angry/1": "label-conflict", "x/sad/1 again": "label-conflict", "x/sad/2": None,
        "x/sad/2 again": None, "x/sad/3": None, "x/sad/4": None,
    } | {"x/sad/2": "duplicate-of:x/sad/2 again"}  # fmt: skip
    assert "set aside: 3 of 6 clips" in done.err
    assert "1 duplicate-of   x/sad/2 = x/sad/2 again: the same sound as another clip" in done.err
    assert "2 label-conflict x/angry/1: the same sound under two labels: correct" in done.err


def test_of_equal_sounds_the_one_stays_of_which_most_is_known(make):
    folder = make("x/a.wav", "x/sad/b.wav")
    shutil.copy(folder / "x/a.wav", folder / "x/sad/c.wav")
    held = {clip: row.get("issue") for clip, row in by_clip(folder / "x").items()}
    assert held == {"x/a": "duplicate-of:x/sad/c", "x/sad/b": None, "x/sad/c": None}
    (folder / "x/sad/c.wav").unlink()
    for name, pattern in (("bare", "{sentence}.wav"), ("known", "{emotion}/{speaker}.wav")):
        shutil.copytree(folder / "x/sad", folder / name / "sad")
        done = sertool("index", folder / name, "--pattern", pattern, "-o", folder / f"{name}.parquet")
        assert done.code == 0, done.err
    both = by_clip(folder / "bare.parquet", folder / "known.parquet")
    assert {clip: bool(row.get("issue")) for clip, row in both.items()} == {
        clip: clip.startswith("bare") for clip in both
    }


def test_what_featurize_set_aside_is_no_issue_of_the_file(make):
    folder = make("x/sad/a.wav", "x/sad/b.wav")
    encoding.write(folder / "x/sad/long.wav", np.random.default_rng(9).normal(0, 0.1, 16_000), 16_000)
    made = sertool("index", folder / "x")
    done = sertool("featurize", "-", "--rms", "--offset", 0.5, "-o", folder / "f", stdin=made.out)
    assert b"too-short" in done.out or "too-short" in done.err
    again = by_clip(folder / "x", "--update", folder / "f" / "manifest.parquet")
    assert {row.get("issue") for row in again.values()} == {None}


def test_a_protocol_has_its_own_seed_unless_another_is_asked_for(make):
    folder = make(*(f"x/sad/{k}.wav" for k in range(40)))
    splits = {
        words: [row.get("split") for row in by_clip(folder / "x", "--protocol", "random-70-30", *words).values()]
        for words in ((), ("--seed", 42), ("--seed", 0))
    }
    assert splits[()] == splits["--seed", 42] != splits["--seed", 0]


def test_the_audit_says_how_many_name_no_speaker(tmp_path):
    rows = [f"c{k},{'s' + str(k) if k < 2 else ''},{'train' if k % 2 else 'test'}" for k in range(10)]
    (tmp_path / "t.csv").write_text("\n".join(["clip,speaker,split", *rows]))
    done = sertool("index", "--audit", tmp_path / "t.csv")
    assert b"not checked: 8 of 10 clips do not say who speaks" in done.out


def test_a_rate_unlike_the_corpus_own_is_noted(make):
    folder = make(*(f"x/{k}.wav" for k in range(21)))
    encoding.write(folder / "x/0.wav", np.random.default_rng(99).normal(0, 0.1, 8000), 48_000)
    held = by_clip(folder / "x")
    assert [clip for clip, row in held.items() if row.get("notes") == ["odd-rate"]] == ["x/0"]


def test_a_table_that_says_another_length_is_noted(make):
    folder = make("1.wav", "2.wav", "3.wav")
    text = "path,duration\n1.wav,0.2\n2.wav,0.25\n3.wav,0.5\n"
    held = index(folder, "--table", table(folder, "a.csv", text))
    assert [(row["duration"], row.get("notes")) for row in held] == [
        (0.2, None),
        (0.2, None),
        (0.2, ["wrong-duration"]),
    ]


def test_every_kind_is_told_with_an_example_and_what_to_do(make):
    issues = [f"{kind}:c/clipped" if kind == "duplicate-of" else kind for kind in columns.ISSUES]
    held = manifest.from_columns({
        "clip": [f"c/{kind}" for kind in (*columns.ISSUES, *columns.NOTES)],
        "issue": [*issues, *[None] * len(columns.NOTES)],
        "notes": [*[None] * len(columns.ISSUES), *([kind] for kind in columns.NOTES)],
    })  # fmt: skip
    folder = make()
    manifest_io.write(held, str(folder / "a.parquet"), "parquet")
    done = sertool("index", folder / "a.parquet", "-f", "csv")
    for kind, meaning in columns.ISSUES.items():
        assert f"1 {kind:<14} c/{kind}" in done.err
        assert meaning in done.err
    for kind, meaning in columns.NOTES.items():
        assert f"1 noted {kind:<8} c/{kind}: usable; {meaning}" in done.err
    assert f"set aside: {len(columns.ISSUES)} of {len(held)} clips" in done.err


def test_how_closely_to_look_is_asked_for(make, monkeypatch):
    folder = make("1.wav", "2.flac", "3.wav")
    encoding.write(folder / "3.wav", np.zeros(3200), 16_000)
    for name in ("1.wav", "2.flac"):
        (folder / name).write_bytes((folder / name).read_bytes()[:-2000])
    found = {
        check: [row.get("issue") for row in index(folder, "--check", check)] for check in ("full", "header", "none")
    }
    assert found == {
        "full": ["truncated", "truncated", "silent"],
        "header": ["truncated", None, None],
        "none": [None] * 3,
    }
    header = index(folder, "--check", "header")[2]
    assert (header["samples"], "digest" in header) == (3200, False)
    monkeypatch.setattr(audio, "probe", lambda *_: 1 / 0)
    assert "samples" not in index(folder, "--check", "none")[0]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_manifest_of_clean_clips_has_the_columns_of_what_may_be_wrong(make, kind):
    out = make("x/angry/1.wav") / f"m.{kind}"
    assert sertool("index", out.parent / "x", "-o", out).code == 0
    held = manifest_io.read(str(out))
    assert (held.column("issue").to_pylist(), held.column("notes").to_pylist()) == ([None], [None])
    theirs = table(out.parent, "theirs.csv", "path,emotion\n1.wav,sad\n")
    assert sertool("index", theirs, "-o", out).code == 0
    assert {"issue", "notes"} <= {*manifest_io.read(str(out)).column_names}


def test_strict_makes_a_clip_set_aside_a_failure(make):
    folder = make("angry/1.wav", "angry/2.wav")
    assert sertool("index", folder, "--strict", "-q").code == 0
    (folder / "angry/2.wav").write_bytes(b"")
    done = sertool("index", folder, "--strict", "-q")
    assert (done.code, done.out[:4]) == (1, b"PAR1")
    assert done.line == "sertool: --strict: 1 clip set aside: empty 1"
    make("sad/3.wav", "bare/4.wav")
    (folder / "bare/4.wav").unlink()
    done = sertool("index", folder / "sad", folder / "bare", "--strict", "-q")
    assert (done.code, done.line) == (1, "sertool: --strict: no audio that can be read in 1 folder")


@corpora
@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the real corpora are not here")
def test_the_known_faults_of_real_corpora_are_found_and_nothing_sound_is_flagged():
    held = by_clip(*(REAL / name for name in ("cremad", "ravdess", "tess", "emodb")), "-q")
    assert Counter(row["corpus"] for row in held.values()) == {
        "cremad": 5884,
        "ravdess": 1200,
        "tess": 1400,
        "emodb": 411,
    }
    assert {clip: row["issue"] for clip, row in held.items() if "issue" in row} == {
        "cremad/1076_MTI_SAD_XX": "silent",
        "cremad/1013_WSI_DIS_XX": "label-conflict", "cremad/1013_WSI_SAD_XX": "label-conflict",
        "cremad/1017_IWW_ANG_XX": "label-conflict", "cremad/1017_IWW_FEA_XX": "label-conflict",
        "ravdess/03-01-03-01-02-02-07": "duplicate-of:ravdess/03-01-03-01-02-01-07",
    }  # fmt: skip
    noted = {kind: [clip for clip, row in held.items() if kind in row.get("notes", ())] for kind in columns.NOTES}
    assert noted["odd-name"] == ["tess/OA_bite_neutral"]
    assert [held[clip]["sample_rate"] for clip in noted["odd-rate"]] == [96_000]
    assert (len(noted["stereo"]), len(noted["dc"]), len(noted["wrong-duration"])) == (5, 0, 0)
    assert all(held[clip]["channels"] == 2 for clip in noted["stereo"])
    assert all("speaker" in row and "emotion" in row for row in held.values())
    assert all("votes_voice_angry" in row and "age" in row for row in held.values() if row["corpus"] == "cremad")


# What goes in, what comes out


def test_parts_merge_to_the_whole(make):
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


def test_audio_and_manifests_go_together(make):
    folder = make("x/angry/1.wav", "y/sad/2.wav")
    sertool("index", folder / "x", "-o", folder / "x.parquet")
    assert set(by_clip(folder / "x.parquet", folder / "y")) == {"x/angry/1", "y/sad/2"}


def test_what_is_for_audio_is_refused_for_manifests(make):
    folder = make("x/angry/1.wav")
    sertool("index", folder / "x", "-o", folder / "x.parquet")
    refused(folder / "x.parquet", "--pattern", "{speaker}.wav", says="are for audio, and here are manifests only")


def test_a_second_run_with_nothing_to_do_touches_nothing(make):
    folder = make("x/angry/1.wav", "x/sad/2.wav")
    for name in ("a.parquet", "a.csv", "a.jsonl"):
        assert sertool("index", folder / "x", "-o", folder / name).code == 0
        before = (folder / name).stat()
        done = sertool("index", folder / "x", "-o", folder / name)
        after = (folder / name).stat()
        assert (done.code, "is up to date" in done.err) == (0, True)
        assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
        sertool("index", folder / "x", "--emotions", "sad", "-o", folder / name)
        assert (folder / name).stat().st_ino != before.st_ino


def test_a_dry_run_says_what_it_would_do_and_does_nothing(make):
    folder = make("x/angry/1.wav", "x/sad/2.wav")
    sertool("index", folder / "x", "-o", folder / "x.parquet")
    done = sertool("index", folder / "x", folder / "x.parquet", "--dry-run", "-o", folder / "y.parquet")
    assert (done.code, done.out, done.line) == (0, b"", "would look at 2 files and read 2 rows of manifests")
    assert not (folder / "y.parquet").exists()


def test_a_dry_run_counts_the_files_that_a_table_lists(make):
    folder = make("x/1.wav", "x/2.wav", "x/3.wav")
    (folder / "t.csv").write_text("path,emotion\nx/1.wav,sad\nx/2.wav,angry\n")
    assert sertool("index", "--table", folder / "t.csv", "--dry-run").line == "would look at 2 files"
    done = sertool("index", folder / "x", "--table", folder / "t.csv", "--dry-run")
    assert "would look at 2 files" in done.err.splitlines()


def test_links_are_followed_and_never_into_loops(make):
    folder = make("x/angry/1.wav", "elsewhere/sad/2.wav")
    (folder / "x/sad").symlink_to(folder / "elsewhere/sad")
    (folder / "x/angry/loop").symlink_to(folder / "x")
    (folder / "x/self").symlink_to("self")
    assert emotions(by_clip(folder / "x")) == {"x/angry/1": "angry", "x/sad/2": "sad"}


def test_hidden_folders_are_searched_only_where_they_are_named(make):
    folder = make("x/.git/annex/objects/aa/k.wav", "x/sad/2.wav", ".tess.cache/files/3.wav")
    (folder / "x/angry").mkdir()
    (folder / "x/angry/1.wav").symlink_to("../.git/annex/objects/aa/k.wav")
    assert emotions(by_clip(folder)) == {f"{folder.name}/x/angry/1": "angry", f"{folder.name}/x/sad/2": "sad"}
    assert [row["path"] for row in index(folder / ".tess.cache")] == [str(folder / ".tess.cache/files/3.wav")]


def test_what_archives_leave_beside_files_is_no_clip(make):
    folder = make("x/angry/1.wav", "x/angry/2.wav")
    (folder / "x/angry/._1.wav").write_bytes(b"\0\5\x16\7")
    assert list(by_clip(folder / "x")) == ["x/angry/1", "x/angry/2"]


def test_audio_that_is_not_read_is_counted(make):
    folder = make("x/angry/1.wav", "x/angry/2.wav")
    for name in ("angry/3.m4a", "angry/4.M4A", "sad/4.m4a", "sad/5.caf", "sad/._6.caf", "readme.txt"):
        (folder / "x" / name).parent.mkdir(exist_ok=True)
        (folder / "x" / name).write_bytes(b"x")
    done = sertool("index", folder / "x", "-f", "jsonl")
    assert [row["clip"] for row in rows(done)] == ["x/angry/1", "x/angry/2"]
    assert "4 files passed over: 3 .m4a, 1 .caf; convert them to WAV or FLAC" in done.err
    assert "passed over" not in sertool("index", folder / "x" / "angry" / "1.wav", "-f", "jsonl").err


def test_whatever_may_hold_sound_and_is_not_read_is_counted(make):
    folder = make("x/angry/1.wav")
    kinds = ["webm", "mp4", "3gp", "mka", "mov", "m4b", "amr", "avi", "mkv", "wmv", "mpeg", "mp2"]
    for kind in kinds:
        (folder / "x" / f"1.{kind}").write_bytes(b"x")
    done = sertool("index", folder / "x", "-f", "jsonl")
    assert f"{len(kinds)} files passed over: " in done.err
    assert all(f"1 .{kind}" in done.err for kind in kinds)


def test_a_file_named_alone_is_audio_by_what_is_in_it_or_says_what_to_do(make):
    folder = make("1.wav")
    (folder / "1.wav").rename(folder / "1.webm")
    assert "issue" not in index(folder / "1.webm")[0]
    (folder / "2.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    done = sertool("index", folder / "2.mp4", "-f", "jsonl")
    assert rows(done)[0]["issue"] == "unreadable"
    assert "no WAV, FLAC, Ogg, MP3 or AIFF file: convert it to WAV or FLAC" in done.err


@pytest.mark.parametrize("extension", [".wav", ".FLAC", ".Ogg"])
def test_the_case_of_an_extension_does_not_matter(make, extension):
    assert list(by_clip(make(f"x/sad/1{extension}") / "x")) == ["x/sad/1"]


def test_a_manifest_is_not_written_over_audio(make):
    clip = make("x/angry/1.wav") / "x" / "angry" / "1.wav"
    before = clip.read_bytes()
    refused(clip, "-f", "csv", "-o", clip, says="would write over audio")
    assert clip.read_bytes() == before


def test_options_that_quarrel_are_refused(make):
    folder = make("x/angry/1.wav")
    refused(folder, "--split", "speaker", "--folds", "3", says="exclude each other")
    refused(folder, "--audit", "--split", "speaker", says="leave out --split")
    refused(folder, "--strict-sentences", says="goes with --audit")
    refused(folder, "-o", folder / "a.txt", says="the extension says no format")
    refused(folder, "-f", "table", "-o", folder / "a.csv", says="-f table is for terminals")
    refused(folder, "--where", "emotion=calm", says="in 1 row, emotion is angry", code=1)
    refused(folder, "--audit", says="neither a split nor folds")
    refused(folder / "absent", says="no such file")
    refused(folder / "absent.wav", says="no such file or folder")
    (folder / "empty").mkdir()
    (folder / "empty" / "notes.txt").write_text("x")
    refused(folder / "empty", says="no audio under")


# Updating


def test_an_update_opens_only_what_is_new_or_changed(make, monkeypatch):
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


def test_an_update_reads_as_the_manifest_was_read(make):
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


def test_an_update_reads_patterns_as_the_manifest_was_read(make):
    folder = make("x/a_sad.wav", "x/b-angry.wav")
    patterns = ("--pattern", "{speaker}_{emotion}.wav", "--pattern", "{speaker}-{emotion}.wav")
    sertool("index", folder / "x", *patterns, "-o", folder / "a.parquet")
    sertool("index", folder / "a.parquet", "--folds", 2, "-o", folder / "b.parquet")
    held = by_clip(folder / "x", "--update", folder / "b.parquet")
    assert [(row["speaker"], row["emotion"]) for row in held.values()] == [("x:a", "sad"), ("x:b", "angry")]


def test_an_update_finds_the_table_that_the_manifest_was_read_with_from_any_folder(make, monkeypatch):
    folder = make("x/1.wav", "x/2.wav")
    table(folder, "labels.csv", "path,emotion\nx/1.wav,sad\nx/2.wav,angry\n")
    monkeypatch.chdir(folder)
    sertool("index", "x", "--table", "labels.csv", "-o", "a.parquet")
    make("elsewhere/a.wav")
    table(folder / "elsewhere", "labels.csv", "path,emotion\na.wav,fear\n")
    monkeypatch.chdir(folder / "elsewhere")
    held = index("../x", "--update", "../a.parquet", "-q")
    assert [row["emotion"] for row in held] == ["sad", "angry"]


def test_an_update_reads_what_is_piped_in_whatever_table_the_manifest_was_read_with(make, monkeypatch):
    folder = make("x/1.wav", "x/2.wav")
    table(folder, "labels.csv", "path,emotion\nx/1.wav,sad\nx/2.wav,angry\n")
    sertool("index", folder / "x", "--table", folder / "labels.csv", "-o", folder / "a.parquet")
    done = sertool("index", "--update", folder / "a.parquet", stdin=b"")
    assert (done.code, "empty input" in done.err) == (1, True)


def test_an_update_goes_on_with_what_later_commands_chose(make):
    folder = make("x/a_sad.wav", "x/b_angry.wav", "x/c_fear.wav")
    words = ("--corpus", "mine", "--pattern", "{speaker}_{emotion}.wav")
    sertool("index", folder / "x", *words, "-o", folder / "a.parquet")
    sertool("index", folder / "a.parquet", "--emotions", "sad,angry", "-o", folder / "b.parquet")
    sertool("index", folder / "b.parquet", "--where", "speaker!=mine:b", "-o", folder / "c.parquet")
    held = index(folder / "x", "--update", folder / "c.parquet", "-q")
    assert [(row["corpus"], row["emotion"]) for row in held] == [("mine", "sad")]


def test_an_update_guesses_not_which_of_several_ways_to_read_goes_on(make):
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


def test_new_clips_of_nobody_are_no_speakers_without_a_split(make):
    folder = make(*(f"x/{who}_{k}.wav" for who in "abc" for k in range(2)))
    pattern = ("--pattern", "{speaker}_{}.wav")
    sertool("index", folder / "x", *pattern, "--folds", 3, "-o", folder / "a.parquet")
    make("x/odd.wav")
    done = sertool("index", folder / "x", "--update", folder / "a.parquet")
    assert (done.code, "without a fold" in done.err) == (0, False)


def test_an_update_knows_nothing_of_clips_without_a_path(make, shut):
    folder = make("x/angry/1.wav", "x/sad/2.wav")
    (folder / "old.csv").write_text("clip,emotion\nz,angry\n")
    done = sertool("index", folder / "x", "--update", folder / "old.csv", "-f", "jsonl")
    assert "2 files looked at, 0 unchanged, 0 gone" in done.err
    assert rows(done) == index(folder / "x", "-q")
    shut.add("sad")
    assert len(index(folder / "x", "--update", folder / "old.csv")) == 1


def test_what_lies_where_nobody_can_look_is_kept_by_an_update_and_fails_a_strict_one(make, shut):
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
        assert "kept as they were, as nobody could look where they lie: 3 rows\n" in done.err
        after = {row["clip"]: row for row in manifest_io.read(str(out)).to_pylist()}
        assert after == {clip: row for clip, row in before.items() if not clip.endswith("angry/1")}
        assert sertool("index", *words, "--update", out, "-o", out, "--strict").code == 1
        shut.clear()
        assert sertool("index", *words, "--update", out, "-o", out, "--strict").code == 0
        make("x/angry/1.wav")


def test_a_root_without_audio_among_several_is_told_and_its_rows_are_kept(make):
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
    assert "where they lie: 2 rows" in strict.err
    assert len(manifest_io.read(str(out))) == 3
    done = sertool("index", roots[0], "--update", out, "-f", "jsonl")
    assert (len(rows(done)), "2 gone" in done.err) == (1, True)


def test_a_clip_never_takes_the_name_of_one_that_is_kept(make):
    folder = make("a/x/2.wav", "b/x/1.wav")
    roots = (folder / "a/x", folder / "b/x")
    sertool("index", *roots, "-o", folder / "a.parquet")
    (folder / "b/x/1.wav").rename(folder / "a/x/1.wav")
    after = by_clip(*roots, "--update", folder / "a.parquet")
    assert {clip: Path(row["path"]).parent for clip, row in after.items()} == {
        "x/1": roots[1], "x/2": roots[0], "x/1~2": roots[0],
    }  # fmt: skip


def test_an_update_looks_again_where_the_older_look_was_less_close(make, monkeypatch):
    folder = make("x/angry/1.wav", "x/sad/2.wav")
    sertool("index", folder / "x", "--check", "header", "-o", folder / "a.parquet")
    opened, look = [], audio.probe
    monkeypatch.setattr(audio, "probe", lambda path, **how: opened.append(path) or look(path, **how))
    assert all("digest" in row for row in index(folder / "x", "--update", folder / "a.parquet", "-q"))
    assert len(opened) == 2
    index(folder / "x", "--update", folder / "a.parquet", "--check", "header", "-q")
    assert len(opened) == 2


def test_manifests_that_hold_the_same_sounds_set_them_aside_when_joined(make):
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


def test_the_last_of_several_equal_sounds_is_used_whatever_was_left_out(make):
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


def test_copies_come_back_with_the_clip_that_they_are_of(make):
    folder = make("a/sad/1.wav")
    shutil.copytree(folder / "a", folder / "b")
    for name in "ab":
        made = sertool("index", folder / name)
        sertool("augment", "-", "--noise", "10", "-o", folder / f"{name}.parquet", stdin=made.out)
    both = by_clip(folder / "a.parquet", folder / "b.parquet", "--where", "corpus=b")
    assert {clip: row.get("issue") for clip, row in both.items()} == {"b/sad/1": None, "b/sad/1#1": None}


@pytest.mark.parametrize("kind", [pa.string(), pa.int16()])
def test_a_column_of_categories_is_one_of_what_they_stand_for(tmp_path, kind):
    held = pa.table({"clip": ["a", "b", "c"], "room": pa.array([1, 2, None]).cast(kind).dictionary_encode()})
    pq.write_table(held, tmp_path / "a.parquet")
    pq.write_table(pa.table({"clip": ["d"], "room": pa.array([1]).cast(kind)}), tmp_path / "b.parquet")
    both = index(tmp_path / "a.parquet", tmp_path / "b.parquet", "--where", "room=1")
    assert [row["clip"] for row in both] == ["a", "d"]


def test_the_audit_of_two_manifests_tells_what_joining_them_would_set_aside(make):
    folder = make("a/sad/1.wav", "a/sad/2.wav")
    shutil.copytree(folder / "a", folder / "b")
    for name, part in (("a", "train"), ("b", "test")):
        held = [row | {"split": part} for row in index(folder / name)]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, held)))
    told = sertool("index", "--audit", folder / "a.jsonl", folder / "b.jsonl")
    assert told.code == 1
    assert b"LEAK  equal sounds: 2 in more than one part" in told.out


def test_a_sound_in_more_bits_or_in_two_equal_channels_is_a_twin_and_a_leak(make):
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


def test_copies_of_what_is_set_aside_go_with_it(make):
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


def test_parts_of_one_file_are_different_sounds_when_joined_and_for_the_audit(make):
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
def test_the_guard_knows_a_file_by_any_spelling_of_its_path(tmp_path, other):
    text = f"path,split,emotion\na.wav,train,sad\n{other.format(tmp_path)},test,sad\n"
    told = sertool("index", "--audit", table(tmp_path, "a.csv", text))
    assert told.code == 1
    assert b"LEAK  overlapping segments: 1 in more than one part" in told.out


def test_one_file_under_two_names_is_set_aside_once_where_tables_are_joined(tmp_path):
    truth = table(tmp_path, "truth.csv", "path,emotion,start,channel\na.wav,sad,,1\nb.wav,happy,0,1\nb.wav,,1,1\n")
    more = f"path,start,channel\n{tmp_path}/a.wav,,1\n{tmp_path}/b.wav,1,2\n{tmp_path}/b.wav,2,1\n"
    held = by_clip(truth, table(tmp_path, "more.csv", more))
    issues = {clip: row["issue"] for clip, row in held.items() if row.get("issue")}
    assert issues == {f"{tmp_path}/a.wav": "duplicate-of:a.wav"}


def test_a_division_that_holds_nobody_out_is_said(make):
    folder = make(*(f"x/ann/{word}.wav" for word in ("sad", "happy", "angry")))
    done = sertool("index", folder / "x", "--pattern", "{speaker}/{emotion}.wav", "--split", "speaker")
    assert "warning: speaker puts every clip in train, so nobody is held out" in done.err


def test_an_update_judges_copies_anew(make):
    folder = make("x/sad/1.wav", "x/sad/2.wav")
    shutil.copy(folder / "x/sad/1.wav", folder / "x/sad/3.wav")
    sertool("index", folder / "x", "-o", folder / "a.parquet")
    assert [row.get("issue") for row in index(folder / "a.parquet")] == [None, None, "duplicate-of:x/sad/1"]
    (folder / "x/sad/1.wav").unlink()
    assert [row.get("issue") for row in index(folder / "x", "--update", folder / "a.parquet")] == [None, None]


def test_an_update_keeps_what_each_part_of_a_file_is(make):
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


def test_after_an_update_speakers_keep_their_side(tmp_path):
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


def test_a_part_that_a_table_gains_leaves_the_others_their_names_and_their_split(make):
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


def test_an_update_puts_a_clip_whose_speaker_was_corrected_where_the_speaker_is(make):
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


def test_an_update_says_whom_another_division_moves(make):
    folder = make(*(f"x/{who}/sad/{k}.wav" for who in "abcdef" for k in range(2)))
    words = ("index", folder / "x", "--pattern", "{speaker}/{emotion}/{}.wav")
    first = sertool(*words, "--folds", 3, "-o", folder / "old.parquet")
    same = sertool(*words, "--folds", 3, "--update", folder / "old.parquet")
    other = sertool(*words, "--split", "loso", "--update", folder / "old.parquet")
    assert ["elsewhere" in done.err for done in (first, same, other)] == [False, False, True]
    assert "loso puts 5 speakers elsewhere" in other.err or "loso puts 6 speakers elsewhere" in other.err, other.err


def test_an_update_with_another_number_of_folds_says_what_it_cannot_keep(make):
    folder = make(*(f"x/{who}/sad/{k}.wav" for who in "abcdef" for k in range(2)))
    words = ("index", folder / "x", "--pattern", "{speaker}/{emotion}/{}.wav")
    sertool(*words, "--folds", 3, "-o", folder / "old.parquet")
    more, fewer = (sertool(*words, "--folds", count, "--update", folder / "old.parquet") for count in (5, 2))
    assert "--folds 5: only 3 have clips, as everybody stays in the fold of the older manifest" in more.err
    assert (fewer.code, "divide as before, or leave the older manifest out" in fewer.err) == (2, True)


def test_an_update_keeps_a_split_of_clips_and_of_folds(make):
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


# Splits, through the door


def test_speakers_never_cross_and_the_guard_confirms_it(tree, tmp_path):
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


def test_a_random_split_warns_and_leaks(tree, tmp_path):
    pattern = ("--pattern", "{speaker}/{emotion}_{sentence}_{}.wav")
    done = sertool("index", tree, *pattern, "--split", "random-60-20-20", "-o", tmp_path / "a.parquet")
    assert "warning: random-60-20-20 puts clips of one speaker on both sides" in done.err
    audit = sertool("index", "--audit", tmp_path / "a.parquet")
    assert (audit.code, b"LEAK  speaker: 3 in more than one part" in audit.out) == (1, True)


def test_a_split_of_sentences_says_that_speakers_cross(tree, tmp_path):
    pattern = ("--pattern", "{speaker}/{emotion}_{sentence}_{}.wav")
    done = sertool("index", tree, *pattern, "--split", "sentence:80/20", "-o", tmp_path / "a.parquet")
    assert "warning: sentence:80/20 holds out what is said and not who speaks" in done.err
    assert b"LEAK  speaker: 3" in sertool("index", "--audit", tmp_path / "a.parquet").out
    done = sertool("index", tree, *pattern, "--split", "speaker", "-o", tmp_path / "a.parquet")
    assert "warning" not in done.err


def test_the_guard_knows_a_speaker_whose_number_pandas_wrote_as_a_float(make):
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


def test_the_guard_says_what_it_could_not_compare(tmp_path):
    test = emobox(tmp_path, "test.jsonl", ["1001_WSI_ANG_XX", "1004_IEO_ANG_LO"])
    train = emobox(tmp_path, "train.jsonl", ["1001_IEO_ANG_HI", "1001_TIE_ANG_XX", "1002_IEO_ANG_LO"])
    alone = sertool("index", "--audit", "--table", f"test={test}")
    assert alone.code == 2
    assert alone.line.endswith("every clip that has a part is in test, 2 of them: nothing to compare")
    fair = emobox(tmp_path, "fair.jsonl", ["1007_WSI_ANG_XX"])
    done = sertool("index", "--audit", "--table", train, "--table", f"test={test}", "--table", f"dev={fair}")
    assert done.code == 0
    assert b"not checked: 3 clips without a part, such as cremad/1001_IEO_ANG_HI\n" in done.out


def test_the_guard_finds_equal_sounds_and_copies(tmp_path):
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
def test_segments_that_overlap_across_parts_are_a_leak(tmp_path, named, speakers):
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


def test_a_recording_is_known_by_its_file_where_some_rows_lack_the_digest(tmp_path):
    rows = ["a,x.wav,d,0,2,s,train", "b,x.wav,,1,2,t,test", "c,y.wav,d,2.5,1,u,train", "e,y.wav,e,0,9,v,dev"]
    (tmp_path / "t.csv").write_text("\n".join(["clip,path,digest,start,duration,speaker,split", *rows]))
    done = sertool("index", "--audit", tmp_path / "t.csv").out.decode()
    assert "overlapping segments: 1 in more than one part, 3 rows: a (train 2, test 1)\n" in done


def test_segments_of_one_recording_on_both_sides_are_told_where_nobody_is_named(tmp_path):
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


def test_no_leak_is_not_claimed_where_nothing_could_be_compared(tmp_path):
    (tmp_path / "t.csv").write_text("clip,split\na,train\nb,test\n")
    done = sertool("index", "--audit", tmp_path / "t.csv")
    assert b"no leak found in what could be checked (nothing) between 2 parts of 2 clips" in done.out


def test_a_split_that_tears_overlapping_segments_apart_says_so(tmp_path):
    rows = [f"c{k},talk.wav,{k / 2},1,s{k}" for k in range(8)]
    (tmp_path / "t.csv").write_text("\n".join(["clip,path,start,duration,speaker", *rows]))
    done = sertool("index", tmp_path / "t.csv", "--split", "speaker", "-o", tmp_path / "t.parquet")
    assert "warning: overlapping segments: 1 in more than one part, 8 rows: c0 (train " in done.err


@pytest.mark.parametrize("seed", range(20))
def test_overlapping_segments_equal_their_slow_twin(seed):
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
    parts = splitting.parts_of(held)
    found = [each.kind for each in leak_guard.audit(parts, splitting.guarded(held, parts.index >= 0)) if each.leak]
    assert found == ["overlap"] * crosses


def test_clips_set_aside_have_no_part(make):
    folder = make(*(f"x/{who}/sad/{k}.wav" for who in "abcd" for k in range(2)))
    (folder / "x/a/sad/0.wav").write_bytes(b"")
    held = by_clip(folder / "x", "--group", "parent-folder", "--folds", "2")
    assert [clip for clip, row in held.items() if "fold" not in row] == ["x/a/sad/0"]


def test_nobody_speaking_names_the_ways_out(make):
    folder = make("x/sad/1.wav", "x/sad/2.wav")
    refused(folder / "x", "--split", "speaker", says="`sertool index` --pattern, --table or --group parent-folder")


def test_folders_that_make_one_speaker_of_all_clips_are_told_of(make):
    folder = make("x/sad/1.wav", "x/angry/2.wav", "y/ann/3.wav", "y/bob/4.wav")
    for name, is_told in (("x", True), ("y", False)):
        done = sertool("index", folder / name, "--group", "parent-folder")
        assert ("warning: --group parent-folder takes all clips for one speaker's, x:x" in done.err) == is_told


# As a process


def test_the_pipe_of_the_readme_works_and_head_is_quiet(tree, tmp_path):
    command = f"{sys.executable} -m sertool index {tree} --pattern '{{speaker}}/{{emotion}}_{{}}.wav'"
    shell = subprocess.run(
        f"set -o pipefail; {command} -q | {sys.executable} -m sertool index --where emotion=happy -f csv | head -1",
        shell=True, executable="/bin/bash", capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert shell.returncode == 0
    assert shell.stdout.startswith('"clip","path"')
    assert "Traceback" not in shell.stderr


def test_index_imports_nothing_heavy(tree):
    code = (
        "import os, sys; from sertool import cli; leave = os._exit; "
        "os._exit = lambda code: (print(*sys.modules, flush=True), leave(code)); cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "index", tree, "-q", "-f", "jsonl"], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.splitlines()[-1].split()
    assert "sertool.indexing" in loaded
    heavy = {"torch", "scipy", "sklearn", "pandas", "soxr", "librosa", "rich", "tqdm", "matplotlib"}
    assert not heavy & {name.partition(".")[0] for name in loaded}
    assert not {"pyarrow.dataset", "pyarrow.csv", "pyarrow.json"} & set(loaded)


def test_speakers_who_cannot_be_one_person_are_named_with_what_is_said_of_them(make):
    folder = make(*(f"x/{k}.wav" for k in range(8)))
    said = ("ann,female,20", "ann,male,20", "bob,male,20", "bob,male,30", "eve,female,30", "eve,,33", "ned,,", ",f,9")
    lines = "".join(f"x/{k}.wav,{row}\n" for k, row in enumerate(said))
    done = sertool("index", folder / "x", "--table", table(folder, "a.csv", f"path,speaker,sex,age\n{lines}"))
    assert (
        "warning: 1 speaker of several sexes, so perhaps several people of one name: x:ann (female and male)\n"
        in done.err
    )
    assert "warning: 1 speaker of ages far apart, so perhaps several people of one name: x:bob (20 to 30)\n" in done.err
    few = table(folder, "b.csv", "path,speaker,sex,age\nx/0.wav,ann,f,20\nx/1.wav,ann,female,24\nx/2.wav,bob,m,60\n")
    assert "perhaps several people" not in sertool("index", folder / "x", "--table", few).err


def test_synthetic_voices_are_one_corpus(tree):
    held = index(tree, "--pattern", "{speaker}/{emotion}_{sentence}_{}.wav", "-q")
    assert len(held) == 18
    assert {row["speaker"] for row in held} == {f"voices:{synth.name(k)}" for k in range(3)}
    assert not any("issue" in row for row in held)


def test_patterns_are_checked_before_any_file_is_looked_at(tmp_path):
    with pytest.raises(UsageError):
        compile_pattern("{speaker")


def test_blanks_around_a_name_make_no_other_speaker_and_another_case_is_said(make, tmp_path):
    names = ("ann", "ann ", "Ann", "bob", "eve", " ")
    folder = make(*(f"mine/{name}/sad_{k}.wav" for k, name in enumerate(names))) / "mine"
    words = ("--pattern", "{speaker}/{emotion}_{}.wav", "--split", "speaker:50/25/25")
    refused(folder, *words, says="1 of 6 rows have no speaker", code=2)
    shutil.rmtree(folder / " ")
    done = sertool("index", folder, *words, "-o", tmp_path / "m.csv")
    assert "differ only by case are taken for different people: mine:Ann and mine:ann" in done.err
    read = manifest_io.read(str(tmp_path / "m.csv"))
    assert manifest.column(read, "speaker").count("mine:ann") == 2
    assert "differ only" not in sertool("index", tmp_path / "m.csv").err
    blank = manifest.with_column(read, "speaker", [f" {name}\t" for name in manifest.column(read, "speaker")])
    manifest_io.write(blank, str(tmp_path / "blank.parquet"), "parquet")
    assert {row["speaker"] for row in index(tmp_path / "blank.parquet")} == {
        "mine:ann", "mine:Ann", "mine:bob", "mine:eve",
    }  # fmt: skip
