"""index reads tables that others made."""

import pytest
from indexing import index, refused, rows, table
from running import sertool


@pytest.mark.parametrize("labels", ["perceived", "soft"])
def test_no_emotion_is_missed_where_listeners_votes_say_it(make, labels):
    folder = make("x/1.wav", "x/2.wav", "x/3.wav")
    text = "path,votes_voice_sad,votes_voice_angry\n1.wav,3,1\n2.wav,0,4\n"
    a = table(folder, "a.csv", text)
    done = sertool("index", folder / "x", "--table", a, "--labels", labels, "-f", "jsonl")
    assert "no emotion is known" not in done.err
    assert "no emotion is known of 2 of 2 clips" in sertool("index", folder / "x", "--table", a, "-f", "jsonl").err
    a = table(folder, "a.csv", f"{text}3.wav,0,0\n")
    done = sertool("index", folder / "x", "--table", a, "--labels", labels, "-f", "jsonl")
    assert "no emotion is known of 1 of 3 clips, such as x/3" in done.err


def test_label_that_means_no_emotion_is_kept_without_one(make):
    folder = make("x/1.wav", "x/2.wav", "x/3.wav")
    a = table(folder, "a.csv", "path,emotion\n1.wav,sad\n2.wav,X\n3.wav,no agreement\n")
    refused(folder / "x", "--table", a, says="or leave its clips without an emotion with --map x=")
    done = sertool("index", folder / "x", "--table", a, "--map", "X=,no agreement=", "-f", "jsonl")
    assert [(row.get("emotion"), row["label"]) for row in rows(done)] == [
        ("sad", "sad"), (None, "X"), (None, "no agreement"),
    ]  # fmt: skip
    assert "no emotion is known" not in done.err
    again = table(folder, "b.jsonl", done.out.decode())
    assert index(again, "--map", "x=,no_agreement=", "-q") == rows(done)
    assert [row.get("emotion") for row in index(again, "--map", "sad=", "-q")] == [None, None, None]


def test_folder_of_clips_without_agreement_is_no_speaker(make):
    folder = make("x/anna/xxx/1.wav", "x/anna/sad/2.wav")
    words = (folder / "x", "--group", "parent-folder", "--map", "xxx=", "-q")
    assert [(row["speaker"], row["label"], row.get("emotion")) for row in index(*words)] == [
        ("x:anna", "sad", "sad"), ("x:anna", "xxx", None),
    ]  # fmt: skip


def test_keys_of_a_json_document_name_clips_wherever_their_files_are(make):
    folder = make("x/1.wav", "x/2.wav")
    text = '{"utt1": {"wav": "{data_root}/1.wav", "emo": "sad"}, "utt2": {"wav": "/old/2.wav", "emo": "joy"}}'
    held = index(folder / "x", "--table", table(folder, "a.json", text), "-q")
    assert [(row["clip"], row["path"], row["emotion"]) for row in held] == [
        ("utt1", str(folder / "x/1.wav"), "sad"), ("utt2", str(folder / "x/2.wav"), "happy"),
    ]  # fmt: skip


def test_json_list_beside_its_labels_is_read_as_a_table(make):
    folder = make("x/1.wav", "x/2.wav")
    text = """{"labels": {"neu": 0, "ang": 1}, "meta_data": [
        {"path": "x/1.wav", "label": "neu", "speaker": "Session1"},
        {"path": "x/2.wav", "label": "ang", "speaker": "Session1"}]}"""
    held = index(folder / "x", "--table", table(folder, "a.json", text), "-q")
    assert [(row["clip"], row["emotion"], row["speaker"]) for row in held] == [
        ("x/1", "neutral", "x:Session1"), ("x/2", "angry", "x:Session1"),
    ]  # fmt: skip


def test_table_without_rows_is_refused(make):
    folder = make("x/1.wav")
    for text in ("path,emotion\n", "path,emotion\n,sad\n"):
        a = table(folder, "a.csv", text)
        for words in ((), (folder / "x",)):
            refused(*words, "--table", a, code=1, says=f"--table {a}: no rows with a path")


def test_votes_for_no_emotion_leave_a_clip_without_one_if_most_are(tmp_path):
    head = "path,emotion,votes_voice_sad,votes_voice_angry,votes_voice_Other"
    a = table(tmp_path, "a.csv", f"{head}\na.wav,sad,1,0,2\nb.wav,sad,1,3,2\nc.wav,sad,0,0,3\n")
    done = sertool("index", a, "--labels", "perceived", "--map", "other=", "-f", "jsonl")
    assert [row.get("emotion") for row in rows(done)] == [None, "angry", None]
    assert "2 clips without an emotion that most listeners chose" in done.err
    assert "changes nothing" not in done.err
    soft = index(a, "--labels", "soft", "--map", "other=", "-q")
    assert [(row.get("soft_sad"), row.get("soft_angry")) for row in soft] == [(1, 0), (0.25, 0.75), (None, None)]
    assert not any(name.startswith("soft_") for row in soft for name in row.keys() - {"soft_sad", "soft_angry"})


@pytest.mark.parametrize("name", ["key", "id", "utterance", "utt"])
def test_answers_of_another_toolkit_are_joined_to_the_truth_by_its_name_of_clips(make, name):
    folder = make("x/sad/a1.wav", "x/sad/a2.wav", "x/angry/b1.wav", "x/angry/b2.wav")
    text = f"{name},labels,confidence\na1,sad,.9\na2,angry,.8\nb1,angry,.7\nb2,angry,.6\n"
    joined = sertool("index", folder / "x", "--table", table(folder, "theirs.csv", text))
    scored = sertool("eval", "--predicted", "labels", "-f", "csv", stdin=joined.out)
    assert "figures,,wa,0.75," in scored.out.decode(), scored.err


def test_column_called_id_beside_paths_stays_as_it_is(make):
    folder = make("x/a.wav", "x/b.wav")
    a = table(folder, "a.csv", "id,file,emotion\nb,a.wav,sad\na,b.wav,angry\n")
    assert [(row["clip"], row["id"], row["emotion"]) for row in index(folder / "x", "--table", a)] == [
        ("x/a", "b", "sad"), ("x/b", "a", "angry"),
    ]  # fmt: skip


TURNS = """;; who speaks when
SPKR-INFO a 1 <NA> <NA> <NA> unknown SPEAKER_00 <NA> <NA>
SPEAKER a 1 0.02 0.05 <NA> <NA> SPEAKER_00 <NA> <NA>
SPEAKER a 1 0.10 0.07 <NA> <NA> anna <NA> <NA>
SPEAKER b 1 0.00 0.05 <NA> <NA> SPEAKER_00 <NA> <NA>
SPEAKER b 1 0.05 0.07 <NA> <NA> anna <NA> <NA>
"""


def test_turns_of_a_diarization_become_clips_of_their_speakers(make):
    folder = make("x/a.wav", "x/b.wav")
    held = index(folder / "x", "--table", table(folder, "turns.rttm", TURNS), "-q")
    assert [(row["clip"], row["start"], row["duration"], row["speaker"]) for row in held] == [
        ("x/a@0.02", 0.02, 0.05, "x:a/SPEAKER_00"), ("x/a@0.1", 0.1, 0.07, "x:anna"),
        ("x/b@0", 0.0, 0.05, "x:b/SPEAKER_00"), ("x/b@0.05", 0.05, 0.07, "x:anna"),
    ]  # fmt: skip
    assert not any("channel" in row for row in held)


def test_channels_of_turns_are_kept_where_there_are_several(make):
    folder = make("x/a.wav")
    turns = table(
        folder, "turns.rttm", TURNS.replace("anna", "ben").replace("a 1 0.10", "a 2 0.10").partition("SPEAKER b")[0]
    )
    assert [row["channel"] for row in index(folder / "x", "--table", turns, "-q")] == [1, 2]


def test_turns_that_are_no_numbers_are_refused_and_turns_alone_need_their_audio(make):
    folder = make("x/a.wav")
    turns = table(folder, "turns.rttm", TURNS.replace("0.02 0.05", "soon 0.05"))
    refused(folder / "x", "--table", turns, code=1, says="not readable as rttm")
    turns = table(folder, "turns.rttm", TURNS)
    refused(turns, code=1, says=f"where id names audio, give it to index as --table {turns}")
