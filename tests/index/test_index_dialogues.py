"""index reads corpora whose labels lie in tables, from small trees in their layout."""

import json

import pytest
from indexing import by_clip, emotions, index, refused
from running import sertool

# Each tree has a wrong name, a label that means no agreement, and what a careless reader would take for another label.

IEMOCAP_TURNS = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral; Frustration;\t(Anger; she waits)
C-E4:\tSadness;\t()
C-F1:\tNeutral;\t(curious)
A-E3:\tval 3; act 2; dom  2;\t()

[10.0100 - 11.3925]\tSes01F_impro01_M000\texc\t[4.0000, 4.0000, 3.0000]
C-E2:\tExcited;\t()
C-E3:\tHappiness;\t()
C-E4:\tExcited;\t()
C-M1:\tAnger;\t()

[14.8872 - 18.0175]\tSes01F_impro01_F001\txxx\t[1.5000, 3.0000, 2.0000]
C-E2:\tOther;\t()
C-E3:\tAnger;\t()
C-E4:\tNeutral state;\t()
"""
IEMOCAP_WORDS = (
    "Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.\nSes01F_impro01_MXX0 [8.2-8.3]: [LAUGHTER]\nM: a stray line\n"
)


def ratings(row):
    return row.get("arousal"), row.get("valence"), row.get("dominance")


@pytest.fixture
def iemocap(make):
    turns = ("impro01/Ses01F_impro01_F000", "impro01/Ses01F_impro01_M000", "impro01/Ses01F_impro01_F001")
    session = "full/Session1/"
    folder = make(
        *(f"{session}sentences/wav/Ses01F_{turn}.wav" for turn in turns),
        f"{session}sentences/wav/Ses01F_impro01/Ses01F_impro01_copy.wav",
        f"{session}dialog/wav/Ses01F_impro01.wav",
        "full/Session5/sentences/wav/Ses05M_script01_1b/Ses05M_script01_1b_M012.wav",
    )
    script = "[1.0 - 2.0]\tSes05M_script01_1b_M012\toth\t[1, 1, 1]\n"
    places = {
        "Session1/dialog/EmoEvaluation/Ses01F_impro01": IEMOCAP_TURNS,
        "Session1/dialog/EmoEvaluation/Categorical/Ses01F_impro01_e2_cat": "Ses01F_impro01_F000 :Anger; ()\n",
        "Session1/dialog/EmoEvaluation/._Ses01F_impro01": "\x00\x05\x16\x07",
        "Session1/dialog/transcriptions/Ses01F_impro01": IEMOCAP_WORDS,
        "Session5/dialog/EmoEvaluation/Ses05M_script01_1b": script,
    }
    for place, text in places.items():
        path = folder / "full" / f"{place}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "full"


def test_iemocap_is_read_with_evaluators_votes_and_the_words_said(iemocap):
    held = by_clip(iemocap)
    assert emotions(held) == {
        "iemocap/Ses01F_impro01_F000": "neutral", "iemocap/Ses01F_impro01_M000": "excited",
        "iemocap/Ses01F_impro01_F001": None, "iemocap/Ses05M_script01_1b_M012": None,
        "iemocap/Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_copy": None,
    }  # fmt: skip
    first = held["iemocap/Ses01F_impro01_F000"]
    assert (
        first.items() >= {"speaker": "iemocap:Ses01F", "sex": "female", "style": "improvised", "label": "neu"}.items()
    )
    assert first["sentence"] == "Excuse me."
    assert ratings(first) == (2.5, 2.5, 2.5)
    assert {name: count for name, count in first.items() if name.startswith("votes_") and count} == {
        "votes_both_neutral": 2, "votes_both_frustrated": 1, "votes_both_sad": 1,
    }  # fmt: skip
    man = held["iemocap/Ses01F_impro01_M000"]  # the name's first F says whose face was filmed, not who speaks
    assert man.items() >= {"speaker": "iemocap:Ses01M", "sex": "male", "votes_both_angry": 0}.items()
    assert ratings(man) == (4, 4, 3)
    unsure = held["iemocap/Ses01F_impro01_F001"]
    assert unsure.items() >= {"label": "xxx", "votes_both_other": 1, "votes_both_neutral": 1}.items()
    assert ratings(unsure) == (3, 1.5, 2)  # the file has the valence first
    script = held["iemocap/Ses05M_script01_1b_M012"]
    assert script.items() >= {"speaker": "iemocap:Ses05M", "style": "scripted", "label": "oth"}.items()
    assert held["iemocap/Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_copy"]["notes"] == ["odd-name"]


def test_whole_dialogues_of_iemocap_are_left_out_unless_they_are_all_there_is(iemocap):
    done = sertool("index", iemocap, "-f", "jsonl")
    assert "1 recording left out whose clips are files of their own\n" in done.err
    assert "labels of 2 of 5 clips mean no emotion: xxx (1), oth (1)\n" in done.err
    assert [row["clip"] for row in index(iemocap / "Session1/dialog")] == ["iemocap/Ses01F_impro01"]
    said = f"path,start,duration,emotion\n{iemocap}/Session1/dialog/wav/Ses01F_impro01.wav,0,0.1,sad\n"
    (iemocap / "turns.csv").write_text(said)
    assert [row["emotion"] for row in index(iemocap, "--table", iemocap / "turns.csv")] == ["sad"]


def test_excited_of_iemocap_is_happy_only_if_it_is_mapped(iemocap):
    four = ("--map", "exc=happy", "--emotions", "happy,neutral")
    assert [row["emotion"] for row in index(iemocap, *four)] == ["neutral", "happy"]
    held = index(iemocap, *four, "--protocol", "iemocap-sessions")
    assert [(row["speaker"], row["fold"]) for row in held] == [("iemocap:Ses01F", 0), ("iemocap:Ses01M", 0)]


def test_clips_whose_tables_are_elsewhere_are_warned_about(iemocap):
    done = sertool("index", iemocap / "Session5/sentences", iemocap / "Session1/sentences", "-f", "jsonl")
    where = "iemocap has its labels in EmoEvaluation/Ses*.txt, transcriptions/Ses*.txt"
    assert f"{where}: index the folder that holds them, too\n" in done.err
    assert sertool("index", iemocap / "Session5").err.count("EmoEvaluation") == 0


@pytest.mark.parametrize("name", ["iemocap", "cremad", "tess"])
def test_unlabelled_audio_in_a_folder_called_like_a_corpus_is_told_of_patterns(make, name):
    folder = make(f"{name}/a/1.wav", f"{name}/a/2.wav") / name
    assert "name their layout with `sertool index --pattern`" in sertool("index", folder).err


IMPROV = """UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2.600000; V:3.200000; D:2.400000 ; N:3.000000;
ann-p1; Neutral; Neutral,Happy; A:3.000000; V:3.000000; D:3.000000; N:3.000000;
bob_2; Happy; Angry; A:2.000000; V:4.000000; D:NaN; N:NaN;
bob_2; Happy; Angry; A:2.000000; V:4.000000; D:NaN; N:NaN;

UTD-IMPROV-S01A-M01-T-FM01.avi; X; A:2.000000; V:2.000000; D:NaN ; N:NaN;
ann-p1; Angry; Angry; A:2.000000; V:2.000000; D:2.000000; N:2.000000;
cid; Other; Annoyed (a bit); A:2.000000; V:2.000000; D:2.000000; N:2.000000;
"""


def test_mspimprov_is_read_by_what_was_perceived_rather_than_intended(make):
    session = "improv/session1/S01A"
    names = ("P/MSP-IMPROV-S01A-F01-P-FM01", "T/MSP-IMPROV-S01A-M01-T-FM01", "T/MSP-IMPROV-S01A-M01-T-FM01 (1)")
    folder = make(*(f"{session}/{name}.wav" for name in names)) / "improv"
    (folder / "Evalution.txt").write_text(IMPROV)
    held = by_clip(folder)
    spoken = held["mspimprov/MSP-IMPROV-S01A-F01-P-FM01"]
    assert spoken.items() >= {
        "speaker": "mspimprov:F01", "sex": "female", "emotion": "neutral", "label": "N", "style": "natural",
        "votes_both_neutral": 1, "votes_both_happy": 1, "votes_both_angry": 0, "votes_both_other": 0,
    }.items()  # fmt: skip
    assert "sentence" not in spoken
    assert ratings(spoken) == (3.4, 3.2, 2.4)  # the file's activation is 1 where it is highest
    unsure = held["mspimprov/MSP-IMPROV-S01A-M01-T-FM01"]
    assert unsure.items() >= {"sex": "male", "label": "X", "sentence": "S01", "votes_both_other": 1}.items()
    assert "emotion" not in unsure
    assert ratings(unsure) == (4, 2, None)
    odd = held["mspimprov/session1/S01A/T/MSP-IMPROV-S01A-M01-T-FM01 (1)"]
    assert odd["notes"] == ["odd-name"]
    assert "label" not in odd


CONSENSUS = """FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set
MSP-PODCAST_0001_0008.wav,N,2.2,4.0,2.6,127,Female,Train
MSP-PODCAST_0002_0033_0001.wav,U,5.0,4.0,4.6,Unknown,Unknown,Development
MSP-PODCAST_0003_0001.wav,X,5.0,4.0,4.6,8,Male,Test1
MSP-PODCAST_0003_0002.wav,O,5.0,4.0,4.6,8,Male,Test2
"""
DETAILED = """FileName,WorkerID,EmoClass_Major,EmoClass_Second,EmoAct,EmoVal,EmoDom
MSP-PODCAST_0001_0008.wav,WORKER1,Neutral,"Neutral,Sad",1,4,1
MSP-PODCAST_0001_0008.wav,WORKER2,Other(calm; happy),Happy,1,4,1
MSP-PODCAST_0001_0008.wav,WORKER3,Neutral,Neutral,1,4,1
"""
IN_TEXT = """FileName,EmoDetail
MSP-PODCAST_0001_0008.wav,"WORKER1; Neutral; Neutral,Sad; A:1.0; V:4.0; D:1.0;"
MSP-PODCAST_0001_0008.wav,"WORKER2; Other; Happy; A:1.0; V:4.0; D:1.0;"
MSP-PODCAST_0001_0008.wav,"WORKER3; Neutral; Neutral; A:1.0; V:4.0; D:1.0;"
"""


@pytest.fixture
def podcast(make):
    names = ("0001_0008", "0002_0033_0001", "0003_0001", "0003_0002", "test3_0001", "0004_0001_x", "0009_0001")
    folder = make(*(f"podcast/Audios/MSP-PODCAST_{name}.wav" for name in names)) / "podcast"
    (folder / "Labels").mkdir()
    (folder / "Labels" / "labels_consensus.csv").write_text(CONSENSUS)
    (folder / "Labels" / "labels_detailed.csv").write_text(DETAILED)
    old = folder / "Previous_releases" / "1.0" / "Labels"
    old.mkdir(parents=True)
    (old / "labels_concensus.csv").write_text(CONSENSUS.replace(",N,", ",A,"))
    return folder


def facts(held, *names):
    """What a manifest says of MSP-Podcast's clips, by the numbers in their names."""
    return {clip.partition("_")[2]: tuple(row.get(name) for name in names) for clip, row in held.items()}


def test_msppodcast_is_read_with_unknown_speakers_and_published_parts(podcast):
    assert facts(by_clip(podcast), "emotion", "label", "speaker", "sex", "published") == {
        "0001_0008": ("neutral", "N", "msppodcast:127", "female", "train"),
        "0002_0033_0001": ("surprise", "U", None, None, "dev"),
        "0003_0001": (None, "X", "msppodcast:8", "male", "test1"),
        "0003_0002": (None, "O", "msppodcast:8", "male", "test2"),
        "test3_0001": (None, None, None, None, "test3"),
        "0009_0001": (None, None, None, None, None),
        "0004_0001_x": (None, None, None, None, None),
    }


def test_msppodcast_ratings_are_read_whatever_the_emotion_and_absent_ones_are_unknown(podcast):
    (podcast / "Labels" / "labels_consensus.csv").write_text(CONSENSUS.replace("O,5.0,4.0,4.6", "O,5.0,,4.6"))
    held = facts(by_clip(podcast), "arousal", "valence", "dominance")
    assert held["0001_0008"] == (2.2, 4.0, 2.6)
    assert held["0003_0002"] == (5.0, None, 4.6)
    assert held["0009_0001"] == (None, None, None)


@pytest.mark.parametrize("votes", [DETAILED, IN_TEXT])
def test_msppodcast_votes_are_counted_in_the_tables_of_all_releases(podcast, votes):
    (podcast / "Labels" / "labels_detailed.csv").write_text(votes)
    counted = {name: n for name, n in by_clip(podcast)["msppodcast/MSP-PODCAST_0001_0008"].items() if "votes_" in name}
    assert {name: n for name, n in counted.items() if n} == {"votes_voice_neutral": 2, "votes_voice_other": 1}
    assert len(counted) == 9


def test_msppodcast_labels_are_the_same_in_json_and_in_csv(podcast):
    before, table = by_clip(podcast), podcast / "Labels" / "labels_consensus.csv"
    head, *lines = (line.split(",") for line in table.read_text().splitlines())
    table.with_suffix(".json").write_text(
        json.dumps({name: dict(zip(head[1:], rest, strict=True)) for name, *rest in lines})
    )
    table.unlink()
    (podcast / "Previous_releases/1.0/Labels/labels_concensus.csv").unlink()
    assert by_clip(podcast) == before


def test_msppodcast_is_divided_as_it_is_published(podcast):
    held = facts(by_clip(podcast, "--protocol", "msppodcast-published"), "split")
    assert [held[name][0] for name in ("0001_0008", "0002_0033_0001", "0003_0001", "0003_0002", "0009_0001")] == [
        "train", "dev", "test", "test", None,
    ]  # fmt: skip
    assert len(index(podcast, "--where", "published=test1|test2")) == 2


MELD = """Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime
1,"Oh my God, he's lost it.",Phoebe,sadness,negative,0,0,4,7,"00:20:57,256","00:21:00,049"
2,"Well, ""hello""!",The Interviewer ,{},negative,0,1,4,7,"00:21:01,927","00:21:03,261"
8,Hey!,All,joy,positive,1,5,4,4,"0:12:44,074","0:12:45,189"
9,No!,Ross and Joey,anger,negative,1,6,4,4,"0:12:44,074","0:12:45,189"
"""


@pytest.fixture
def meld(make):
    folders = {"train": "train/train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test_wav"}
    clips = ("dia0_utt0", "dia0_utt1", "dia1_utt5", "dia1_utt6", "dia7_utt7")
    folder = make(
        *(f"MELD.Raw/{folder}/{clip}.wav" for folder in folders.values() for clip in clips),
        f"MELD.Raw/{folders['test']}/final_videos_testdia0_utt0.wav",
    )
    for part, emotion in (("train", "surprise"), ("dev", "fear"), ("test", "disgust")):
        (folder / "MELD.Raw" / f"{part}_sent_emo.csv").write_text(MELD.format(emotion))
    return folder / "MELD.Raw"


def test_meld_is_read_by_part_as_each_part_numbers_its_own_dialogues(meld):
    held = by_clip(meld)
    assert [held[f"meld/{part}/dia0_utt1"]["emotion"] for part in ("train", "dev", "test")] == [
        "surprise", "fear", "disgust",
    ]  # fmt: skip
    first = held["meld/dev/dia0_utt0"]
    assert first.items() >= {
        "speaker": "meld:Phoebe", "sex": "female", "emotion": "sad", "label": "sadness", "published": "dev",
        "sentence": "Oh my God, he's lost it.",
    }.items()  # fmt: skip
    other = held["meld/dev/dia0_utt1"]
    assert (other["speaker"], other["sentence"]) == ("meld:The Interviewer", 'Well, "hello"!')
    assert "sex" not in other
    assert [held[f"meld/train/dia1_utt{n}"].get("speaker") for n in (5, 6)] == [None, None]
    assert "emotion" not in held["meld/train/dia7_utt7"]
    odd = held["meld/output_repeated_splits_test_wav/final_videos_testdia0_utt0"]
    assert (odd["notes"], odd.get("emotion")) == (["odd-name"], None)


def test_meld_is_divided_as_it_is_published_with_a_warning_of_shared_speakers(meld):
    done = sertool("index", meld, "--protocol", "meld-published", "-f", "jsonl")
    assert "meld-published puts clips of one speaker on both sides" in done.err
    split = {row["clip"]: row.get("split") for row in map(json.loads, done.out.splitlines())}
    assert [split[f"meld/{part}/dia0_utt0"] for part in ("train", "dev", "test")] == ["train", "dev", "test"]
    assert {row["fold"] for row in index(meld, "--protocol", "loso", "--where", "speaker!=")} == {0, 1}


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("Session1/dialog/EmoEvaluation/Ses01F_impro01.txt", "", "Ses01F_impro01.txt holds no evaluations of IEMOCAP"),
        (
            "Labels/labels_consensus.csv",
            "FileName,EmoClass\na,N\n",
            "labels_consensus.csv is not the whole table of MSP",
        ),
        ("Labels/labels_detailed.csv", "FileName,WorkerID\na,N\n", "labels_detailed.csv is not the whole table of MSP"),
        ("dev_sent_emo.csv", "Emotion\njoy\n", "dev_sent_emo.csv is not the whole table of MELD"),
    ],
)
def test_a_broken_table_of_a_dialogue_corpus_is_an_error_that_names_it(make, path, text, name):
    clips = ("Ses01F_impro01_F000", "MSP-PODCAST_0001_0008", "dev/dia0_utt0")
    folder = make(*(f"{n}/{clip}.wav" for n, clip in enumerate(clips)))
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text)
    refused(folder, says=name, code=1)
