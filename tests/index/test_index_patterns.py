"""index reads labels from names by patterns."""

import pytest
from indexing import by_clip, index, refused, table
from running import sertool

from sertool.errors import UsageError
from sertool.index.labelling import compile_pattern


def test_pattern_reads_metadata_from_file_names(make):
    folder = make("x/s01_door_happy.wav", "x/s02_dogs_ang.wav", "x/readme.wav")
    held = by_clip(folder / "x", "--pattern", "{speaker}_{sentence}_{emotion}.wav")
    assert held["x/s02_dogs_ang"].items() >= {
        "speaker": "x:s02", "sentence": "dogs", "emotion": "angry", "label": "ang",
    }.items()  # fmt: skip
    assert held["x/readme"]["notes"] == ["odd-name"]


def test_pattern_spans_folders_converts_numbers_and_keeps_custom_fields(make):
    folder = make("x/anna/64/happy_1.flac", "x/ben/31/sad_2.wav")
    held = by_clip(folder, "--pattern", "{speaker}/{age}/{emotion}_{take}")
    assert held[f"{folder.name}/x/anna/64/happy_1"].items() >= {"age": 64, "take": "1", "emotion": "happy"}.items()
    assert {row["age"] for row in held.values()} == {64, 31}
    refused(folder, "--pattern", "{age}/{speaker}/{emotion}_{}", says="the age of happy_1.flac would be 'anna'")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{speeker}_{sentence}_{emotion}", ["{speeker} is a column of your own; was {speaker} meant?"]),
        ("{Speakers}_{sentense}_{emotion}", ["{Speakers} is a column of", "{sentense} is a column of"]),
        ("{speaker}_{speakers}_{emotion}", []),
        ("{speaker}_{take}_{emotion}", []),
    ],
)
def test_columns_of_ones_own_that_are_nearly_known_ones_are_warned_about(make, pattern, said):
    done = sertool("index", make("x/s01_door_happy.wav") / "x", "--pattern", pattern, "-f", "jsonl")
    assert [line in done.err for line in said] == [True] * len(said)
    assert done.err.count("meant?") == len(said)


def test_pattern_without_an_emotion_field_leaves_labels_to_the_folders(make):
    held = by_clip(make("x/angry/anna_1.wav", "x/sad/ben_2.wav") / "x", "--pattern", "{speaker}_{}.wav")
    assert {row["speaker"]: row["emotion"] for row in held.values()} == {"x:anna": "angry", "x:ben": "sad"}


def test_pattern_accepts_the_same_field_aliases_as_a_table(make):
    folder = make("x/ann_F_dogs_sad.wav", "x/bob_m_dogs_ang.wav")
    (one, two) = index(folder / "x", "--pattern", "{Speaker}_{gender}_{text}_{emo}.wav", "-q")
    ours = {"speaker": "x:ann", "sex": "female", "sentence": "dogs", "emotion": "sad"}
    assert one.items() >= ours.items()
    assert (two["sex"], one.keys() & {"Speaker", "gender", "text", "emo"}) == ("male", set())
    both = index(folder / "x", "--pattern", "{speaker}_{text}_{spk}_{emotion}.wav", "-q")
    assert [(row["speaker"], row["spk"]) for row in both] == [("x:ann", "dogs"), ("x:bob", "dogs")]


def test_first_matching_pattern_is_applied_to_each_file(make):
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


def test_the_emotion_of_a_table_replaces_the_label_of_a_pattern(make):
    folder = make("x/ann_W.wav")
    words = ("--pattern", "{speaker}_{label}.wav", "--map", "W=angry", "-q")
    (alone,) = index(folder / "x", *words)
    assert (alone["emotion"], alone["label"]) == ("angry", "W")
    (told,) = index(folder / "x", *words, "--table", table(folder, "t.csv", "path,emotion\nann_W.wav,sad\n"))
    assert (told["emotion"], told["label"]) == ("sad", "sad")


def test_patterns_that_match_no_file_are_warned_about(make):
    folder = make("x/ann_sad.wav")
    words = ("index", folder / "x", "--pattern", "{speaker}_{emotion}.wav", "--pattern", "{speaker}-{emotion}")
    done = sertool(*words, "-f", "jsonl")
    assert (done.code, "warning: no file is read by --pattern '{speaker}-{emotion}'" in done.err) == (0, True)
    refused(folder / "x", "--pattern", "{speaker}.flac", "--pattern", "{speaker}-{emotion}",
            says="no file matches --pattern '{speaker}.flac' and '{speaker}-{emotion}'; an example")  # fmt: skip


def test_invalid_patterns_are_refused_with_an_explanation(make):
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
    refused(folder, "--pattern", "{}_{_}.wav", says="it says nothing of a clip")
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


def test_pattern_may_name_only_columns_of_ones_own(make):
    held = by_clip(make("calls/ann/1.wav", "calls/ben/2.wav") / "calls", "--pattern", "{agent}/{}.wav", "-q")
    assert {clip: row["agent"] for clip, row in held.items()} == {"calls/ann/1": "ann", "calls/ben/2": "ben"}


@pytest.mark.parametrize("words", [("--pattern", "{speaker}/{}.wav"), ("--pattern", "{agent}/{}.wav"),
                                   ("--group", "parent-folder")])  # fmt: skip
def test_folders_that_an_option_reads_are_not_asked_for_as_emotions(make, words):
    folder = make("calls/ann/1.wav", "calls/ben/2.wav") / "calls"
    assert "if the folders ann, ben are emotions" in sertool("index", folder, "-f", "jsonl").err
    err = sertool("index", folder, *words, "-f", "jsonl").err
    assert ("no emotion is known of 2 of 2 clips" in err, "are emotions" in err) == (True, False)


@pytest.mark.parametrize(("name", "pattern"), [
    ("ravdess/Actor_{0:02d}/03-01-05-01-01-01-{0:02d}.wav", "Actor_{speaker}/{}"),
    ("cremad/AudioWAV/{0}_IEO_ANG_HI.wav", "{speaker}_{}"), ("iemocap/Ses{0:02d}F_impro01_F000.wav", "{speaker}_{}"),
])  # fmt: skip
def test_pattern_that_hides_the_labels_of_a_known_corpus_is_named(make, name, pattern):
    first = 1001 if "cremad" in name else 1
    folder = make(*(name.format(first + k) for k in range(2)))
    corpus = name.partition("/")[0]
    done = sertool("index", folder / corpus, "--pattern", pattern, "--check", "none", "-f", "jsonl")
    remedy = f"--pattern reads none: add {{emotion}}, or leave --pattern out, as {corpus} is recognised by its names\n"
    assert (done.code, remedy in done.err) == (0, True), done.err


def test_malformed_pattern_is_refused_before_any_file_is_read(tmp_path):
    with pytest.raises(UsageError):
        compile_pattern("{speaker")
