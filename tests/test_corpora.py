"""What the names of corpora's files say, and which corpus a folder belongs to."""

import ast
import csv
import random
import re
import sys
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from sertool import catalogue, corpora
from sertool.errors import SertoolError, UsageError
from sertool.manifests import labels

NAMES = corpora.names()
REAL = Path(__file__).parents[2] / "shared" / "corpora"
FACTS = {
    "TITLE": str, "HOMEPAGE": str, "LICENCE": str, "CITATION": str, "LANGUAGE": str, "SPEAKERS": int, "CLIPS": int,
    "HOURS": float, "EMOTIONS": tuple, "LABELS": dict, "EXAMPLES": dict,
}  # fmt: skip
COLUMNS = {
    "speaker": str, "sex": str, "age": int, "race": str, "ethnicity": str, "language": str, "emotion": str,
    "label": str, "intensity": str, "sentence": str, "style": str, "notes": list, "key": str,
    "published": str,
}  # fmt: skip
EXAMPLES = [(name, path) for name in NAMES for path in corpora.load(name).EXAMPLES]


# Every file of the folder


@pytest.mark.parametrize("name", NAMES)
def test_corpus_facts_are_complete_and_readable_without_running_the_file(name):
    entry = catalogue.entries("corpora")[name]
    for fact, kind in FACTS.items():
        assert type(entry.facts[fact]) is kind, fact
        assert entry.facts[fact], fact
    assert re.fullmatch(r"[^\n]+: [^\n]+\.", entry.doc.partition("\n")[0])
    assert entry.facts["HOMEPAGE"].startswith(("http://", "https://"))
    assert all(re.fullmatch("[a-z]{2,3}", word) for word in entry.facts["LANGUAGE"].split())


@pytest.mark.parametrize("name", NAMES)
def test_citation_is_one_bibtex_entry(name):
    citation = corpora.load(name).CITATION
    assert re.match(r"@(article|inproceedings|data|misc)\{\w+,\n", citation)
    assert citation.count("{") == citation.count("}")
    assert all(f"  {field} = {{" in citation for field in ("title", "author", "year"))


@pytest.mark.parametrize("name", NAMES)
def test_corpus_emotions_match_its_labels_and_are_canonical(name):
    corpus = corpora.load(name)
    assert set(corpus.EMOTIONS) == set(corpus.LABELS.values())
    assert len(set(corpus.EMOTIONS)) == len(corpus.EMOTIONS)
    assert set(corpus.EMOTIONS) <= set(labels.EMOTIONS)


@pytest.mark.parametrize("name", NAMES)
def test_corpus_file_imports_only_the_standard_library_and_errors(name):
    tree = ast.parse(Path(corpora.load(name).__file__).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {module.partition(".")[0] for module in modules} - {"sertool"} <= sys.stdlib_module_names
    assert {module for module in modules if module.startswith("sertool")} <= {"sertool.errors"}


@pytest.mark.parametrize("name", NAMES)
def test_side_tables_and_enrich_are_defined_together(name):
    corpus = corpora.load(name)
    tables = getattr(corpus, "SIDE_TABLES", ())
    assert bool(tables) == hasattr(corpus, "enrich")
    assert all(isinstance(table, str) and table.count("/") <= 1 for table in tables)


@pytest.mark.parametrize(("name", "path"), EXAMPLES)
def test_example_path_parses_to_its_documented_row(name, path):
    corpus = corpora.load(name)
    row = corpus.parse(PurePosixPath(path))
    assert row == corpus.EXAMPLES[path]
    assert all(type(value) is COLUMNS[column] for column, value in row.items() if (column, value) != ("emotion", None))
    assert row.get("emotion") == corpus.LABELS.get(row.get("label"))
    assert row.get("sex", "male") in ("female", "male")
    assert row.get("intensity", "low") in ("low", "medium", "high")
    assert ":" not in row.get("speaker", "")


@pytest.mark.parametrize(("name", "path"), EXAMPLES)
def test_parsing_ignores_file_extension_and_platform(name, path):
    parse, expected = corpora.load(name).parse, corpora.load(name).EXAMPLES[path]
    for extension in (".wav", ".WAV", ".flac", ".ogg", ".mp3", ".opus"):
        assert parse(PurePosixPath(path).with_suffix(extension)) == expected
    assert parse(PureWindowsPath("C:" + path)) == expected


@pytest.mark.parametrize(("name", "path"), EXAMPLES)
def test_no_example_is_claimed_by_another_corpus(name, path):
    claims = [other for other in NAMES if corpora.load(other).parse(PurePosixPath(path)) is not None]
    assert claims == [name]
    assert corpora.recognise([Path(path)]) == [(name, corpora.load(name).EXAMPLES[path])]


OWN = [
    "", "/", ".", "clip.wav", "/home/ann/recordings/001.wav", "/calls/2024-01-05-10-22-31-07.wav", "/calls/a01.wav",
    "/calls/Angry/0001_000351.wav", "/calls/0001/0001_000351.wav", "/0001/Angry/0002_000351.wav", "/x/0001_000351.wav",
    "/0001/Angry/0001_001751.wav", "/0001/Angry/0001_000000.wav", "/calls/01-C-1-1.wav", "/calls/01-N-1.wav",
    "/cafe/Fort/01-C-1-1.wav", "/calls/F01A05.wav", "/male/F01A05.wav", "/calls/neutral_1-28_0001.wav",
    "/ann/Amused/amused_1-28_0001.wav", "/x/sam_Angry/extra/anger_1-28_0001.wav", "/tess/OAF_back_joyful.wav",
    "/x/1000_IEO_ANG_HI.wav", "/x/1092_IEO_ANG_HI.wav", "/x/1001_IEO_ANG_HIGH.wav", "/x/1001_ABC_ANG_HI.wav",
    "/x/02-01-06-01-02-01-12.mp4", "/x/03-01-06-01-02-01-25.wav", "/x/03-01-06-01-02-01-00.wav",
    "/x/03-01-06-01-02-01-12 (1).wav", "/x/03-01-06-01-02-01-12\n.wav", "/__MACOSX/._03-01-06-01-02-01-12.wav",
    "/x/٠3-01-06-01-02-01-12.wav", "/x/03-01-06-01-02-01.wav", "/x/03-01-01-01-01-01-02-01-01-01-01-01-01-01.wav",
    "/DC/a16.wav", "/x/DC_b01.wav", "/x/dis-f4-b1.wav", "/x/03a03Fa.wav", "/x/07a01Fa.wav", "/x/03a01Fab.wav",
    "/x/male3_angry_10a_1.wav", "/x/male1_angry_16a_1.wav", "/x/F_11_ANN_S_1_SAD_1.wav", "/x/SM1_F10_B010.wav",
    "/x/\udcff\udcfe.wav", "/x/ſm1_F10_A010.wav", "/x/dia0_utt0.wav", "/train/dia0_utt0_x.wav",
    "/test/final_videos_testdia0_utt0.wav", "/contest/dia0_utt0.wav", "/train/a/b/dia0_utt0.wav",
    "/x/Ses06F_impro01_F000.wav", "/x/Ses01F_impro01_MXX0.wav", "/x/Ses01_impro01_F000.wav",
    "/x/MSP-IMPROV-S21A-F01-P-FM01.wav", "/x/MSP-IMPROV-S01A-F07-P-FM01.wav", "/x/MSP-IMPROV-S01A-F01-Q-FM01.wav",
    "/x/MSP-PODCAST_0001.wav", "/x/MSP-PODCAST_1_8.wav", "/x/MSP-FACE_0001_0008.wav",
]  # fmt: skip


@pytest.mark.parametrize("path", OWN)
def test_ordinary_file_names_are_claimed_by_no_corpus(path):
    assert [name for name in NAMES if corpora.load(name).parse(PurePosixPath(path)) is not None] == []
    assert corpora.recognise([Path(path)]) == [None]


def test_keys_distinguish_speakers_and_ignore_the_folder_layout():
    emovdb, savee = corpora.load("emovdb"), corpora.load("savee")
    keys = {emovdb.parse(PurePosixPath(f"/d/{who}/Angry/anger_1-28_0001.wav"))["key"] for who in emovdb.VOICES}
    assert len(keys) == 4
    # both layouts of one clip have one name
    assert savee.parse(PurePosixPath("/d/DC_sa07.wav")) == savee.parse(PurePosixPath("/d/DC/sa07.wav"))
    sorted_layout, openslr = "/d/bea/Amused/amused_1-15_0002.wav", "/d/bea_Amused/amused_1-15_0002.wav"
    assert emovdb.parse(PurePosixPath(sorted_layout)) == emovdb.parse(PurePosixPath(openslr))


def test_ravdess_and_asvp_esd_names_never_overlap():
    for count in range(1, 16):
        path = PurePosixPath("/x/" + "-".join(["03", "01", "02", "01", "01", "01", "02", "01", *["01"] * 7][:count]))
        claims = [name for name in NAMES if corpora.load(name).parse(path) is not None]
        assert claims == (["ravdess"] if count == 7 else ["asvpesd"] if 8 <= count <= 13 else [])


# Recognition


def actors(count, folder="/data/cremad/AudioWAV"):
    return [Path(f"{folder}/{1001 + index % 91}_IEO_ANG_{level}.wav") for index, level in enumerate(["HI"] * count)]


def owners(paths, only=None):
    return [found and found[0] for found in corpora.recognise(paths, only)]


def test_recognising_no_paths_returns_nothing():
    assert corpora.recognise([]) == []


def test_several_corpora_under_one_root_are_recognised():
    paths = [Path(f"/all/{name}{path}") for name, path in EXAMPLES]
    random.Random(0).shuffle(paths)
    assert owners(paths) == [path.parts[2] for path in paths]


def test_stray_files_do_not_change_the_corpus_of_a_folder():
    folder = actors(40)
    strays = [folder[0].with_name("noise.wav"), folder[0].with_name("DC_a01.wav"), folder[0].with_name("03a01Fa.wav")]
    for position in (0, 1, 20, 43):
        paths = folder.copy()
        paths[position:position] = strays
        assert owners(paths) == ["cremad" if path in folder else None for path in paths]


def test_stray_file_does_not_hide_a_single_corpus_clip():
    clip = actors(1)[0]
    assert owners([clip, clip.with_name("noise.wav")]) == ["cremad", None]


def test_single_corpus_like_name_does_not_claim_an_ordinary_folder():
    own = [Path(f"/data/own/take {index}.wav") for index in range(30)]
    assert owners([*own, Path("/data/own/DC_a01.wav")]) == [None] * 31
    assert owners([Path("/data/own/DC_a01.wav"), *own]) == [None] * 31


def test_folder_with_two_corpora_belongs_to_the_larger():
    mixed = actors(20, "/data/all") + [Path(f"/data/all/03-01-06-01-02-01-{actor:02d}.wav") for actor in range(1, 11)]
    assert owners(mixed) == ["cremad"] * 20 + [None] * 10


def test_folders_are_recognised_independently():
    paths = [*actors(3, "/data/a"), Path("/data/b/noise.wav"), *actors(3, "/data/c")]
    assert owners(paths) == ["cremad"] * 3 + [None] + ["cremad"] * 3


def test_only_argument_forces_the_corpus():
    own = [Path(f"/data/own/take {index}.wav") for index in range(30)]
    assert owners([*own, Path("/data/own/DC_a01.wav")], "savee") == [None] * 30 + ["savee"]
    assert owners(actors(3), "savee") == [None] * 3


@pytest.mark.parametrize("name", ["nonsense", "", "__init__", "../errors", "CREMAD"])
def test_an_unknown_corpus_is_refused_with_the_choices(name):
    for act in (lambda: corpora.load(name), lambda: corpora.recognise([], name)):
        with pytest.raises(UsageError, match="cremad, emodb") as raised:
            act()
        assert "\n" not in str(raised.value)


def test_paths_are_parsed_once_and_only_a_sample_by_every_corpus(monkeypatch):
    calls = []
    for name in NAMES:
        corpus = corpora.load(name)
        monkeypatch.setattr(corpus, "parse", lambda path, parse=corpus.parse: calls.append(path) or parse(path))
    paths = actors(5000)
    assert set(owners(paths)) == {"cremad"}
    assert len(calls) <= len(paths) + corpora.SAMPLE * len(NAMES)


# Side tables

DEMOGRAPHICS = '"ActorID","Age","Sex","Race","Ethnicity"\r\n1001,51,"Male","Caucasian","Not Hispanic"\r\n'
VOTES = '"","A","D","F","H","N","S","fileName","numResponses","agreement"\n'


def clips(*stems):
    return [{"stem": stem} for stem in stems]


def written(tmp_path, **texts):
    tables = {}
    for name, text in texts.items():
        path = tmp_path / f"{name}.csv"
        path.write_bytes(text.encode())
        tables[path.name] = [path]
    return tables


def test_cremad_adds_actor_demographics(tmp_path):
    rows = clips("1001_DFA_ANG_XX", "1001_IEO_SAD_HI", "1047_DFA_ANG_XX", "1002_DFA_ANG_XX")
    text = DEMOGRAPHICS + '1047,22,"Female","Unknown","Hispanic"\r\n'
    corpora.load("cremad").enrich(rows, written(tmp_path, VideoDemographics=text))
    known = {"sex": "male", "age": 51, "race": "Caucasian", "ethnicity": "Not Hispanic"}
    assert rows[0] == {"stem": "1001_DFA_ANG_XX", **known}
    assert rows[1] == {"stem": "1001_IEO_SAD_HI", **known}
    assert rows[2] == {"stem": "1047_DFA_ANG_XX", "sex": "female", "age": 22, "ethnicity": "Hispanic"}
    assert rows[3] == {"stem": "1002_DFA_ANG_XX"}


def test_cremad_counts_votes_by_modality(tmp_path):
    rows = clips("1001_DFA_ANG_XX", "1001_dfa_ang_xx", "1040_ITH_SAD_X", "1002_DFA_ANG_XX")
    text = VOTES + (
        '"100001",6,2,0,0,1,0,"1001_DFA_ANG_XX",9,0.6\n'
        '"200001",0,0,0,0,0,5,"1001_DFA_ANG_XX",5,1\n'
        '"303234",0,0,3,0,2,1,"1040_ITH_SAD_XX",6,0.5\n'
        '"100009",1,0,0,0,0,0,"1003_DFA_ANG_XX",1,1\n'
    )
    corpora.load("cremad").enrich(rows, written(tmp_path, tabulatedVotes=text))
    votes = {name: count for name, count in rows[0].items() if name != "stem"}
    assert len(votes) == 12
    assert all(type(count) is int for count in votes.values())
    assert {name: count for name, count in votes.items() if count} == {
        "votes_voice_angry": 6, "votes_voice_disgust": 2, "votes_voice_neutral": 1, "votes_face_sad": 5,
    }  # fmt: skip
    assert rows[1] == {**votes, "stem": "1001_dfa_ang_xx"}
    assert (rows[2]["votes_both_fear"], rows[2]["votes_both_neutral"], rows[2]["votes_both_sad"]) == (3, 2, 1)
    assert rows[3] == {"stem": "1002_DFA_ANG_XX"}


def test_cremad_rows_without_tables_are_unchanged():
    rows = clips("1001_DFA_ANG_XX")
    corpora.load("cremad").enrich(rows, {})
    assert rows == clips("1001_DFA_ANG_XX")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        VOTES + '"100001",6,2',
        VOTES + '"100001",6,2,many,0,1,0,"1001_DFA_ANG_XX",9\n',
        VOTES + '"400001",6,2,0,0,1,0,"1001_DFA_ANG_XX",9\n',
    ],
)
def test_a_broken_table_is_an_error_that_names_it(tmp_path, text):
    tables = written(tmp_path, tabulatedVotes=text)
    with pytest.raises(SertoolError, match=r"tabulatedVotes\.csv") as raised:
        corpora.load("cremad").enrich(clips("1001_DFA_ANG_XX"), tables)
    assert "\n" not in str(raised.value)


def test_a_vanished_table_is_an_error_that_names_it(tmp_path):
    for corpus in map(corpora.load, NAMES):
        for table in getattr(corpus, "SIDE_TABLES", ()):
            with pytest.raises(SertoolError, match=re.escape(str(tmp_path / "x"))):
                corpus.enrich(clips("1001_DFA_ANG_XX"), {table: [tmp_path / "x" / table]})


def test_emodb_adds_recognition_and_naturalness_ratings(tmp_path):
    path = tmp_path / "erkennung.txt"
    path.write_bytes(
        b"Nr.\tSatz\terkannt\tnatuerlich\n"
        b"1\xa0\xa0\t03a01Fa.wav\t90,00\xa0\xa0\t75,00\xa0\xa0\n2\xa0\t03a01Nc.wav\t100,00\xa0\t95,50\xa0\n"
    )
    rows = clips("03a01Fa", "03A01NC", "03a01Wa")
    corpora.load("emodb").enrich(rows, {"erkennung.txt": [path]})
    assert rows[0] == {"stem": "03a01Fa", "recognised": 90.0, "natural": 75.0}
    assert rows[1] == {"stem": "03A01NC", "recognised": 100.0, "natural": 95.5}
    assert rows[2] == {"stem": "03a01Wa"}


# The real trees


def real_rows(name):
    if not (REAL / name).is_dir():
        pytest.skip(f"no {name} in ../shared/corpora")
    paths = sorted(path for path in (REAL / name).rglob("*") if path.suffix in (".ogg", ".flac", ".wav"))
    found = corpora.recognise(paths)
    assert {entry and entry[0] for entry in found} == {name}
    return [{**entry[1], "stem": path.stem} for entry, path in zip(found, paths, strict=True)]


@pytest.mark.corpora
@pytest.mark.parametrize(
    ("name", "count", "speakers"), [("cremad", 5884, 72), ("ravdess", 1200, 20), ("tess", 1400, 1), ("emodb", 411, 8)]
)
def test_every_clip_of_a_real_corpus_is_parsed(name, count, speakers):
    rows = real_rows(name)
    assert len(rows) == count
    assert len({row["speaker"] for row in rows}) == speakers
    assert {row["emotion"] for row in rows} == set(corpora.load(name).EMOTIONS)
    assert len({row.get("key", row["stem"]) for row in rows}) == count


@pytest.mark.corpora
def test_the_real_tess_has_one_odd_name():
    odd = [row for row in real_rows("tess") if "notes" in row]
    assert [(row["stem"], row["speaker"], row["notes"]) for row in odd] == [("OA_bite_neutral", "OAF", ["odd-name"])]


@pytest.mark.corpora
def test_cremad_vote_majorities_match_the_published_summary():
    rows, cremad, results = real_rows("cremad"), corpora.load("cremad"), REAL / "cremad" / "processedResults"
    tables = {"tabulatedVotes.csv": [results / "tabulatedVotes.csv"]}
    cremad.enrich(rows, tables | {"VideoDemographics.csv": [REAL / "cremad" / "VideoDemographics.csv"]})
    assert all({"sex", "age", "ethnicity"} <= row.keys() for row in rows)
    with (results / "summaryTable.csv").open(newline="") as stream:
        published = {row["FileName"]: row for row in csv.DictReader(stream)}
    for row in rows:
        for word, column in (("voice", "VoiceVote"), ("face", "FaceVote"), ("both", "MultiModalVote")):
            votes = {letter: row[f"votes_{word}_{emotion}"] for letter, emotion in cremad.VOTES.items()}
            winners = {letter for letter, count in votes.items() if count == max(votes.values())}
            assert winners == set(published[row["stem"]][column].split(":")), (row["stem"], word)


@pytest.mark.corpora
def test_emodb_listener_ratings_cover_every_real_clip():
    rows = real_rows("emodb")
    corpora.load("emodb").enrich(rows, {"erkennung.txt": [REAL / "emodb" / "erkennung.txt"]})
    assert all(0 <= row["natural"] <= 100 and 0 <= row["recognised"] <= 100 for row in rows)
