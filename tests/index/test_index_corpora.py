"""index recognises corpora, and labels by folders."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from indexing import by_clip, emotions, index, refused, rows, table
from running import sertool

from sertool.index.labelling import word_of_folder
from sertool.manifests import labels
from sertool.sound import synth


def test_known_corpus_is_recognised_without_options(make):
    folder = make("crema/AudioWAV/1001_IEO_ANG_HI.wav", "crema/AudioWAV/1091_WSI_NEU_XX.wav")
    assert index(folder)[0].items() >= {
        "clip": "cremad/1001_IEO_ANG_HI", "corpus": "cremad", "speaker": "cremad:1001", "emotion": "angry",
        "label": "ANG", "intensity": "high", "sentence": "IEO", "language": "en",
        "sample_rate": 16_000, "channels": 1, "samples": 3200,
        "start": 0.0, "duration": 0.2, "path": str(folder / "crema/AudioWAV/1001_IEO_ANG_HI.wav"),
    }.items()  # fmt: skip


def test_known_corpora_and_own_folders_are_indexed_under_one_root(make):
    held = by_clip(make(
        "all/ravdess/Actor_01/03-01-05-01-02-01-01.wav", "all/tess/OAF_angry/OAF_back_angry.wav", "all/mine/sad/x.wav",
        "all/mine/happy/x.wav", "all/savee/DC/a01.wav", "all/emodb/wav/03a01Fa.wav",
    ) / "all")  # fmt: skip
    assert emotions(held) == {
        "ravdess/03-01-05-01-02-01-01": "angry", "tess/OAF_back_angry": "angry", "all/mine/sad/x": "sad",
        "all/mine/happy/x": "happy", "savee/DC_a01": "angry", "emodb/03a01Fa": "happy",
    }  # fmt: skip


def test_same_named_files_get_distinct_clip_names_and_duplicates_are_found(make):
    name = "Actor_01/03-01-05-01-02-01-01.wav"
    folder = make(f"kaggle/{name}") / "kaggle"
    shutil.copytree(folder / "Actor_01", folder / "again" / "Actor_01")
    held = by_clip(folder)
    first, second = f"ravdess/{name}", f"ravdess/again/{name}"
    assert {clip: row.get("issue") for clip, row in held.items()} == {first: None, second: f"duplicate-of:{first}"}


def test_corpus_option_overrides_the_recognised_corpus(make):
    folder = make("x/1001_IEO_ANG_HI.wav", "x/other.wav")
    assert [row["corpus"] for row in index(folder / "x", "--corpus", "mine")] == ["mine", "mine"]
    held = by_clip(folder, "--corpus", "cremad")
    assert held["cremad/x/other"].items() >= {"corpus": "cremad", "notes": ["odd-name"]}.items()
    refused(folder, "--corpus", "ravdess", says="no file is named as in ravdess; an example: 1001_IEO_ANG_HI.wav")
    refused(folder, "--corpus", "crema-d", says="perhaps cremad?")


def test_votes_and_demographics_are_read_from_tables_of_the_corpus(make):
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


def test_a_table_of_a_corpus_is_found_in_any_case_and_the_least_nested_counts(make):
    folder = make("AudioWAV/1001_IEO_ANG_HI.wav")
    for age, place in ((20, "an/old/release/VideoDemographics.csv"), (51, "tables/videodemographics.CSV")):
        (folder / place).parent.mkdir(parents=True)
        (folder / place).write_text(f"ActorID,Age,Sex,Race,Ethnicity\n1001,{age},Male,x,y\n")
    assert index(folder)[0]["age"] == 51


def test_a_label_of_a_corpus_that_means_no_emotion_is_kept_and_counted(make):
    breath, anger = "actor_7/03-02-13-01-01-07-03-01", "actor_7/03-02-05-01-01-07-03-01"
    folder = make(f"{breath}.wav", f"{anger}.wav")
    done = sertool("index", folder, "-f", "jsonl")
    assert [(row["label"], row.get("emotion")) for row in rows(done)] == [("05", "angry"), ("13", None)]
    assert "labels of 1 of 2 clips mean no emotion: 13 (1)\n" in done.err
    assert "warning" not in done.err
    assert [row["emotion"] for row in index(folder, "--map", "13=breath")] == ["angry", "breath"]


def test_clips_are_labelled_by_the_nearest_folder_named_after_an_emotion(make):
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
def test_emotion_in_a_folder_name_is_found_if_unambiguous(name, emotion):
    word = word_of_folder(name, {})
    assert (word and labels.canonical(word)) == emotion


def test_unknown_folder_among_emotion_folders_is_refused_with_an_example(make):
    folder = make("mine/angry/1.wav", "mine/sad/1.wav", "mine/wut/1.wav", "mine/wut/2.wav", "mine/zorn/1.wav")
    refused(folder / "mine", says="unknown emotion 'wut' of wut/1.wav (and 'zorn'): say what it means with --map wut=")
    held = by_clip(folder / "mine", "--map", "wut=anger", "--map", "ZORN = fury")
    assert Counter(emotions(held).values()) == {"angry": 3, "sad": 1, "fury": 1}


def test_emotion_folders_in_another_language_are_reported_with_a_map_hint(make):
    folder = make("ger/Wut/1.wav", "ger/Freude/2.wav", "ger/Neutral/3.wav")
    done = sertool("index", folder / "ger", "-f", "jsonl")
    assert "if the folders Freude, Wut are emotions, say which with `sertool index --map freude=EMOTION`" in done.err
    held = by_clip(folder / "ger", "--map", "Wut=angry,Freude=happy")
    assert Counter(emotions(held).values()) == {"angry": 1, "happy": 1, "neutral": 1}
    refused(folder / "ger", "--pattern", "{emotion}/{}.wav", says="'Freude' of Freude/2.wav (and 'Wut'): say what")


def test_splits_and_folds_are_summarised_in_their_natural_order(tmp_path):
    for name, words in {"split": ("test", "dev", "dev", "train", "dev"), "fold": (10, 2, 2, 1, 2)}.items():
        table = [{"clip": str(n), "path": f"/{n}", name: word} for n, word in enumerate(words)]
        (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, table)))
        said = {"split": "split: train 1, dev 3, test 1", "fold": "fold: 1 1, 2 3, 10 1"}[name]
        assert f"{said}\n" in sertool("index", tmp_path / "m.jsonl", "-f", "csv").err


def test_list_describes_every_manifest_column_of_the_readme():
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    cells = re.findall(r"^\| (`[a-z_ …]+`) \|", readme.partition("## The manifest")[2], flags=re.MULTILINE)
    names = re.findall("[a-z_]+", " ".join(cells))
    listed = {line.split()[0] for line in sertool("index", "--list").out.decode().splitlines() if line.strip()}
    own = {name for name in names if not re.search("^(votes|soft|p|mel)_", name)}
    assert {"clip", "end", "channel", "top", "adapted"} <= own
    assert own | {"recognised", "natural"} <= listed


def test_options_without_effect_are_refused_or_warned_about(make):
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


def test_vote_columns_with_synonymous_labels_are_summed_per_emotion(tmp_path):
    head = "path,emotion,votes_voice_anger,votes_voice_angry,votes_voice_sadness,votes_voice_Wut"
    (tmp_path / "a.csv").write_text(f"{head}\na.wav,sad,1,1,3,0\nb.wav,sad,1,1,2,\nc.wav,,1,2,2,2\nd.wav,sad,,,,\n")
    words = (tmp_path / "a.csv", "--labels")
    assert [row.get("emotion") for row in index(*words, "perceived")] == ["sad", "sad", "angry", None]
    soft = index(*words, "soft", "--map", "Wut=angry")
    assert [(row.get("soft_angry"), row.get("soft_sad")) for row in soft[1:]] == [
        (0.5, 0.5), (pytest.approx(5 / 7), pytest.approx(2 / 7)), (None, None)
    ]  # fmt: skip
    assert not {name for row in soft for name in row if name.startswith("soft_")} - {"soft_angry", "soft_sad"}


def test_shares_of_votes_follow_the_meaning_of_their_emotions(tmp_path):
    head = "path,emotion,soft_angry,soft_Wut,soft_sadness"
    (tmp_path / "a.csv").write_text(f"{head}\na.wav,angry,.25,.5,.25\nb.wav,sad,,,1\nc.wav,sad,,,\n")
    done = sertool("index", tmp_path / "a.csv", "--map", "Wut=angry", "-f", "jsonl")
    assert "changes nothing" not in done.err
    assert [{name: share for name, share in row.items() if name.startswith("soft_")} for row in rows(done)] == [
        {"soft_angry": 0.75, "soft_sad": 0.25}, {"soft_angry": 0, "soft_sad": 1}, {},
    ]  # fmt: skip


def test_new_shares_of_votes_replace_older_ones(tmp_path):
    head = "path,emotion,votes_voice_sad,votes_voice_rage"
    (tmp_path / "a.csv").write_text(f"{head}\na.wav,sad,3,1\n")
    sertool("index", tmp_path / "a.csv", "--labels", "soft", "-o", tmp_path / "b.parquet")
    (row,) = index(tmp_path / "b.parquet", "--labels", "soft", "--map", "rage=angry")
    assert {name: row[name] for name in row if name.startswith("soft_")} == {"soft_angry": 0.25, "soft_sad": 0.75}


def test_misnamed_vote_columns_are_refused_with_a_hint(tmp_path):
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


def test_single_unlabelled_file_causes_no_warning(make):
    folder = make("calls/2024/a.wav", "calls/2024/b.wav")
    assert "no emotion is known" in sertool("index", folder).err
    assert "no emotion is known" not in sertool("index", folder / "calls/2024/a.wav").err


def test_folders_named_after_people_are_not_taken_for_emotions(make):
    held = by_clip(make("team/joy/1.wav", "team/bob/1.wav", "team/ann/1.wav") / "team", "--group", "parent-folder")
    assert set(emotions(held).values()) == {None}


def test_group_takes_the_nearest_non_emotion_folder_as_speaker(make):
    folder = make("mine/anna/angry/1.wav", "mine/ben/x.wav", "mine/03_sad/2.wav")
    held = by_clip(folder / "mine", "--group", "parent-folder", "--map", "anna=neutral", "--map", "ben=neutral")
    assert {row["speaker"] for row in held.values()} == {"mine:mine"}
    held = by_clip(make("our/anna/angry/1.wav", "our/ben/sad/1.wav") / "our", "--group", "parent-folder")
    assert {row["speaker"]: row["emotion"] for row in held.values()} == {"our:anna": "angry", "our:ben": "sad"}


def test_equal_speaker_names_in_same_named_folders_are_warned_about(make):
    folder = make("a/wavs/s1/1.wav", "a/wavs/s2/1.wav", "b/wavs/s1/1.wav", "b/other/s1/1.wav")
    roots = [folder / "a/wavs", folder / "b/wavs"]
    for words in (("--group", "parent-folder"), ("--pattern", "{speaker}/{}.wav")):
        done = sertool("index", *roots, *words, "-f", "jsonl")
        assert f"warning: {roots[0]}, {roots[1]} have speakers of one name" in done.err
        assert "such as wavs:s1: if they are several people" in done.err
        for apart in ((*roots, "--corpus", "mine"), (folder / "a/wavs", folder / "b/other"), (folder,)):
            assert "of one name" not in sertool("index", *apart, *words, "-f", "jsonl").err


def test_equal_speaker_names_in_manifests_of_same_named_folders_are_warned_about(make):
    folder = make("a/wavs/s1/1.wav", "a/wavs/s2/1.wav", "b/wavs/s1/2.wav", "b/other/s1/1.wav")
    words = ("--group", "parent-folder")
    for name, root, *more in (("a", "a/wavs"), ("b", "b/wavs"), ("c", "b/other"), ("d", "b/wavs", "--corpus", "my")):
        assert sertool("index", folder / root, *words, *more, "-o", folder / f"{name}.parquet").code == 0
    for name, other, warned in (("a", "b", True), ("a", "c", False), ("a", "d", False), ("a", "a", False)):
        done = sertool("index", folder / f"{name}.parquet", folder / f"{other}.parquet", "-f", "jsonl")
        assert ("have speakers of one name, taken for one person, such as wavs:s1" in done.err) is warned


def test_listed_files_are_labelled_as_when_indexing_their_folder(make):
    folder = make("mine/angry/1.wav", "mine/sad/1.wav", "mine/sad/two\nlines.wav")
    whole = index(folder / "mine", "-q")
    listed = "".join(f"{path}\0" for path in sorted((folder / "mine").rglob("*.wav"))).encode()
    assert index("-", "-0", "-q", stdin=listed) == whole
    assert index(*sorted((folder / "mine").rglob("*.wav")), "-q") == whole
    some = f"{folder}/mine/angry/1.wav\n{folder}/mine/sad/gone.wav\n".encode()
    assert [row.get("issue") for row in index("-", stdin=some)] == [None, "vanished"]
    refused("-", stdin=b"# a text\nof words\n", says="no such file '# a text'", code=1)


def test_file_list_may_have_a_header_and_names_starting_with_brackets(make, monkeypatch):
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


def test_map_prefers_original_codes_over_words_and_works_on_manifests(make):
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


def test_known_labels_in_other_manifests_are_normalised_and_unknown_ones_kept(make):
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


def test_emotions_option_keeps_only_the_listed_emotions(make):
    folder = make(*(f"x/{name}/1.wav" for name in ("angry", "sad", "happy", "wut")))
    held = by_clip(folder / "x", "--map", "wut=inner|outer and more", "--emotions", "ANG,inner|outer and more")
    assert set(emotions(held).values()) == {"angry", "inner|outer and more"}
    refused(folder / "x", "--map", "wut=fury", "--emotions", "calm", says="no clip is 'calm'; there are angry")


def test_readme_pipe_works_and_closing_it_early_prints_no_traceback(tree, tmp_path):
    command = f"{sys.executable} -m sertool index {tree} --pattern '{{speaker}}/{{emotion}}_{{}}.wav'"
    shell = subprocess.run(
        f"set -o pipefail; {command} -q | {sys.executable} -m sertool index --where emotion=happy -f csv | head -1",
        shell=True, executable="/bin/bash", capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert shell.returncode == 0
    assert shell.stdout.startswith('"clip","path"')
    assert "Traceback" not in shell.stderr


def test_index_imports_no_heavy_libraries(tree):
    code = (
        "import os, sys; from sertool import cli; leave = os._exit; "
        "os._exit = lambda code: (print(*sys.modules, flush=True), leave(code)); cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "index", tree, "-q", "-f", "jsonl"], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.splitlines()[-1].split()
    assert "sertool.index.indexing" in loaded
    heavy = {"torch", "scipy", "sklearn", "pandas", "soxr", "librosa", "rich", "tqdm", "matplotlib"}
    assert not heavy & {name.partition(".")[0] for name in loaded}
    assert not {"pyarrow.dataset", "pyarrow.csv", "pyarrow.json"} & set(loaded)


def test_speakers_with_contradictory_sex_or_age_are_warned_about(make):
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


def test_synthetic_voices_are_indexed_as_one_corpus(tree):
    held = index(tree, "--pattern", "{speaker}/{emotion}_{sentence}_{}.wav", "-q")
    assert len(held) == 18
    assert {row["speaker"] for row in held} == {f"voices:{synth.name(k)}" for k in range(3)}
    assert not any("issue" in row for row in held)
