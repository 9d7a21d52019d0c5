"""Corpora arrive whole or not at all, from every kind of source and through every trouble; no network is reached."""

import hashlib
import io
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest
import server as play
from running import sertool

from sertool import catalogue, cli, downloading, offers, sources, store, talk, unpacking, web
from sertool.errors import SertoolError

ROOT = Path(__file__).resolve().parents[1]
HASTE = web.Patience(silence=0.4, head=0.4, slowest=1000, attempts=3, pause=0.01, longest=2)
WAVS = {f"wav/{speaker}a0{text}{code}a.wav": None for speaker in ("03", "08") for text in (1, 2) for code in "WFN"}


def noise(size: int, seed: object = 0) -> bytes:
    return random.Random(str(seed)).randbytes(size)


WAVS = {name: noise(9000, name) for name in WAVS}


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, body in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), body, method)
    return stream.getvalue()


def tarred(files: dict[str, bytes], kind: str = "gz") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{kind}") as archive:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return stream.getvalue()


ARCHIVE = zipped(WAVS)


@pytest.fixture
def server():
    made = play.Server()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """Short patience, a cache of one's own, no keys, no proxies."""
    monkeypatch.setattr(web, "PATIENCE", HASTE)
    monkeypatch.setenv("SERTOOL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "kaggle"))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "http_proxy", "HTTP_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def offered(monkeypatch):
    """Gives a corpus the sources of a test."""
    real = catalogue.entries

    def offer(corpus: str, *places: dict, clips: int = len(WAVS)) -> None:
        def entries(folder: str) -> dict:
            found = dict(real(folder))
            if folder == "corpora":
                facts = {**found[corpus].facts, "SOURCES": places, "CLIPS": clips}
                facts.pop("PARTS", None)
                found[corpus] = replace(found[corpus], facts=facts)
            return found

        monkeypatch.setattr(catalogue, "entries", entries)

    return offer


def plain(server: play.Server, path: str = "/emodb.zip", name: str = "emodb.zip", **facts: object) -> dict:
    return {"kind": "https", "home": f"place/{name}", "files": {name: {"url": server.url + path, **facts}}}


def known(body: bytes) -> dict:
    return {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def run(*arguments: str) -> int:
    return cli.run(["fetch", "-o", "corpora", "--accept-license", *arguments])


def fetched(name: str = "emodb") -> dict[str, bytes]:
    folder = Path("corpora", name)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def nothing_half(name: str = "emodb") -> bool:
    """No folder, no half of one, no lock."""
    return not any(Path("corpora", word).exists() for word in (name, f".{name}.part", f"{name}.lock"))


def one_line(capsys) -> str:
    error = capsys.readouterr().err.strip()
    lines = [line for line in error.splitlines() if not line.startswith("accepted: ")]
    assert len(lines) == 1, error
    assert "Traceback" not in error
    return lines[0]


# What is offered


def test_every_corpus_says_where_it_comes_from():
    assert {name.partition("-")[0] for name in offers.offers()} == set(catalogue.names("corpora"))
    assert "ravdess-song" in offers.offers()


@pytest.mark.parametrize("offer", offers.offers().values(), ids=lambda offer: offer.name)
def test_facts_of_sources_are_sound(offer):
    assert offer.sources
    for source in offer.sources:
        assert source["kind"] in catalogue.names("sources")
        assert urlsplit(source["home"]).scheme in ("http", "https")
        for name, facts in sources.named_files(source).items():
            assert unpacking.safe(name) == name
            assert set(facts) <= {"url", "size", "md5", "sha256", "into"}
            assert len(facts.get("md5", "0" * 32)) == 32
            assert len(facts.get("sha256", "0" * 64)) == 64


@pytest.mark.parametrize("offer", offers.offers().values(), ids=lambda offer: offer.name)
def test_help_and_list_need_no_network_and_cite_is_bibtex(offer, capsys, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was reached"))
    assert cli.run(["fetch", "--list", offer.name]) == 0
    assert cli.run(["fetch", "--cite", offer.name]) == 0
    assert cli.run(["fetch", "--dry-run", offer.name]) == 0
    out = capsys.readouterr().out
    assert offer.facts["CITATION"] in out
    assert not Path("corpora").exists()


def test_list_shows_all_that_is_offered(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert cli.run(["fetch", "--list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("cremad", "tess", " 208 ", " ask "))


def test_an_unknown_name_is_refused_with_the_choices(capsys):
    assert run("nonsense") == 2
    assert "cremad" in one_line(capsys)


def test_fetch_imports_nothing_heavy():
    heavy = ("torch", "scipy", "sklearn", "pyarrow", "numpy", "tqdm", "soundfile")
    code = ("import sys; from sertool import fetching, cli, store; import sertool.commands.fetch;"
            "from sertool.sources import git, zenodo, dataverse, kaggle, https, ask;"
            f"print([name for name in {heavy} if name in sys.modules])")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Every kind of source


def test_an_archive_arrives_whole(server, offered, capsys):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server, **known(ARCHIVE)))
    assert run("emodb") == 0
    assert fetched() == WAVS
    assert capsys.readouterr().out.strip() == "corpora/emodb"
    assert server.asked[0].headers["User-Agent"].startswith("sertool/")


@pytest.mark.parametrize("kind", ["", "gz", "bz2", "xz"])
def test_a_tar_arrives_whole(kind, server, offered):
    body, name = tarred(WAVS, kind), f"emodb.tar{kind and '.' + kind}"
    server.put("/it", body)
    offered("emodb", plain(server, "/it", name))
    assert run("emodb") == 0
    assert fetched() == WAVS


def test_a_zenodo_record_is_asked_for_its_files_and_their_digests(server, offered):
    server.zenodo(77, {"emodb.zip": ARCHIVE, "video.zip": b"large"})
    offered("emodb", {"kind": "zenodo", "home": "z", "host": server.url, "record": 77, "match": "emodb*.zip"})
    assert run("emodb") == 0
    assert fetched() == WAVS
    assert server.count("/api/records/77/files/video.zip/content") == 0
    lock = json.loads(Path("corpora/emodb.lock").read_text())
    assert lock["items"]["emodb.zip"]["md5"] == hashlib.md5(ARCHIVE).hexdigest()


def test_a_zenodo_record_with_known_digests_is_not_asked(server, offered):
    server.zenodo(77, {"emodb.zip": ARCHIVE})
    files = {"emodb.zip": {"size": len(ARCHIVE), "md5": hashlib.md5(ARCHIVE).hexdigest()}}
    offered("emodb", {"kind": "zenodo", "home": "z", "host": server.url, "record": 77, "files": files})
    assert run("emodb") == 0
    assert [asked.path for asked in server.asked] == ["/records/77/files/emodb.zip?download=1"]


def test_a_dataverse_gives_thousands_of_files(server, offered):
    words = [f"{speaker}_{'abcde'[place // 12]}{'bcdfghjklmnp'[place % 12]}_sad.wav"
             for speaker in ("OAF", "YAF") for place in range(60)]  # fmt: skip
    clips = {f"OAF sad/{word}" if "OAF" in word else word: noise(300, word) for word in words}
    server.dataverse("doi:10.5683/SP2/E8H2MF", {**clips, "readme.txt": b"read me"})
    offered("tess", {"kind": "dataverse", "home": "d", "host": server.url, "doi": "doi:10.5683/SP2/E8H2MF",
                     "match": "*.wav"}, clips=120)  # fmt: skip
    assert run("tess") == 0
    assert fetched("tess") == clips


def test_a_restricted_dataverse_says_so(server, offered, capsys):
    server.dataverse("doi:1", {"OAF_a_sad.wav": b"x"}, restricted=True)
    offered("tess", {"kind": "dataverse", "home": "d", "host": server.url, "doi": "doi:1", "match": "*.wav"})
    assert run("tess") == 1
    assert "on request" in one_line(capsys)


def clips_of_cremad(count: int) -> dict[str, bytes]:
    names = [f"{1001 + number % 91}_{sentence}_ANG_XX.wav" for sentence in ("DFA", "ITH") for number in range(91)]
    return {f"AudioWAV/{name}": noise(400, name) for name in names[:count]}


def repository(server: play.Server, objects: dict[str, bytes], pointers: bool = True, **settings: object) -> dict:
    """CREMA-D as GitHub gives it: an archive of pointers, tables, and much that nobody wants."""
    held = {f"CREMA-D-master/{name}": play.pointer(body) if pointers else body for name, body in objects.items()}
    held |= {"CREMA-D-master/VideoDemographics.csv": b"ActorID\n", "CREMA-D-master/VideoFlash/a.flv": b"video"}
    held |= {"CREMA-D-master/AudioMP3/1001_DFA_ANG_XX.mp3": play.pointer(b"mp3")}
    server.put("/zip/master", zipped(held, zipfile.ZIP_DEFLATED), chunked=True, **settings)
    return {
        "kind": "git", "home": "github", "repository": f"{server.url}/owner/CREMA-D",
        "files": {"CREMA-D.zip": {"url": f"{server.url}/zip/master"}}, "moving": True, "strip": True,
        "take": ("AudioWAV/*.wav", "*.csv"),
    }  # fmt: skip


def test_pointers_of_git_lfs_become_what_they_point_to(server, offered, capsys):
    clips = clips_of_cremad(150)
    clips["AudioWAV/1002_ITH_SAD_XX.wav"] = clips["AudioWAV/1001_DFA_ANG_XX.wav"]  # equal bytes are one object
    source, held = repository(server, clips), server.lfs("owner/CREMA-D", clips.values())
    offered("cremad", source, clips=151)
    assert run("cremad") == 0
    assert fetched("cremad") == {**clips, "VideoDemographics.csv": b"ActorID\n"}
    assert len(held.batches) == 2
    assert all(len({wanted["oid"] for wanted in batch["objects"]}) == len(batch["objects"]) for batch in held.batches)
    lock = json.loads(Path("corpora/cremad.lock").read_text())
    assert "CREMA-D.zip" not in lock["items"]  # the archive of a branch is another one tomorrow
    assert lock["items"]["AudioWAV/1001_DFA_ANG_XX.wav"]["sha256"] == held.batches[0]["objects"][0]["oid"]


def test_a_repository_without_pointers_is_taken_as_it_is(server, offered):
    clips = clips_of_cremad(5)
    offered("cremad", repository(server, clips, pointers=False), clips=5)
    assert run("cremad") == 0
    assert fetched("cremad") == {**clips, "VideoDemographics.csv": b"ActorID\n"}


def test_links_of_git_lfs_that_have_expired_are_asked_for_anew(server, offered):
    clips = clips_of_cremad(12)
    source, held = repository(server, clips), server.lfs("owner/CREMA-D", clips.values(), lives=0)
    offered("cremad", source, clips=12)
    real_one = held.one
    held.one = lambda oid, size: [real_one(oid, size), setattr(held, "lives", 1)][0]  # only the first link is dead
    assert run("cremad") == 0
    assert len(fetched("cremad")) == 13
    assert len(held.batches) == 2


def test_a_used_up_lfs_quota_leads_to_the_next_source(server, offered, capsys):
    clips = clips_of_cremad(4)
    source, held = repository(server, clips), server.lfs("owner/CREMA-D", clips.values())
    held.error = (403, "This repository exceeded its LFS budget.")
    server.put("/mirror.tgz", tarred({f"top/{name}": body for name, body in clips.items()}))
    mirror = {"kind": "git", "home": "gitlab", "files": {"mirror.tgz": {"url": f"{server.url}/mirror.tgz"}},
              "moving": True, "strip": True, "take": ("AudioWAV/*",)}  # fmt: skip
    offered("cremad", source, mirror, clips=4)
    assert run("cremad") == 0
    assert fetched("cremad") == clips
    warned = capsys.readouterr().err
    assert "github: " in warned
    assert "exceeded its LFS budget" in warned
    assert "trying gitlab" in warned


def test_an_object_that_lfs_has_lost_is_named(server, offered, capsys):
    clips = clips_of_cremad(3)
    source = repository(server, clips)
    server.lfs("owner/CREMA-D", list(clips.values())[:2])
    offered("cremad", source)
    assert run("cremad") == 1
    assert "404 Object does not exist" in one_line(capsys)
    assert nothing_half("cremad")


def test_an_archive_can_be_an_object_of_lfs(server, offered):
    body = zipped({"male/M01A01.wav": b"voice"})
    server.lfs("o/r", [body])
    source = {"kind": "git", "home": "g", "repository": f"{server.url}/o/r", "files": {"male.zip": known(body)},
              "into": True}  # fmt: skip
    offered("shemo", source, clips=1)
    assert run("shemo") == 0
    assert fetched("shemo") == {"male/M01A01.wav": b"voice"}


@pytest.mark.parametrize("inside", ["", "bea_Amused/", "./somewhere/else/"])
def test_the_speaker_in_the_name_of_an_archive_stays(inside, server, offered):
    for name in ("bea_Amused", "sam_Sleepy"):
        server.put(f"/115/{name}.tar.gz", tarred({f"{inside}amused_1-15_0002.wav": name.encode()}))
    offered("emovdb", {"kind": "https", "home": "openslr", "base": f"{server.url}/115/", "into": True,
                       "files": ("bea_Amused.tar.gz", "sam_Sleepy.tar.gz")}, clips=2)  # fmt: skip
    assert run("emovdb") == 0
    assert fetched("emovdb") == {f"{name}/amused_1-15_0002.wav": name.encode() for name in ("bea_Amused", "sam_Sleepy")}


JL = zipped({"Raw JL corpus/JL(wav+txt)/female1_angry_10a_1.wav": b"voice", "Raw JL corpus/x.txt": b"text"})


@pytest.mark.parametrize("way", ["pair", "token", "file", "access"])
def test_kaggle_gets_the_users_own_token_and_nobody_else_does(way, server, offered, monkeypatch):
    pair, bearer = "Basic dXNlcjprZXk=", "Bearer KGAT_x"
    Path("kaggle").mkdir()
    if way == "pair":
        monkeypatch.setenv("KAGGLE_USERNAME", "user")
        monkeypatch.setenv("KAGGLE_KEY", "key")
    elif way == "token":
        monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_x")
    elif way == "file":
        Path("kaggle/kaggle.json").write_text('{"username": "user", "key": "key"}')
    else:
        Path("kaggle/access_token").write_text("KGAT_x\n")
    server.kaggle("tli725/jl-corpus", JL, pair if way in ("pair", "file") else bearer)
    offered("jl", {"kind": "kaggle", "home": "kaggle", "host": server.url, "dataset": "tli725/jl-corpus"}, clips=1)
    assert run("jl") == 0
    assert len(fetched("jl")) == 2


def test_kaggle_without_a_token_says_what_to_do(server, offered, capsys):
    server.kaggle("tli725/jl-corpus", JL, "Basic something")
    offered("jl", {"kind": "kaggle", "home": "kaggle", "host": server.url, "dataset": "tli725/jl-corpus"})
    assert run("jl") == 1
    assert "make a token at kaggle.com" in one_line(capsys)


def test_a_corpus_on_request_says_whom_to_ask_and_takes_the_archive(capsys):
    assert run("savee") == 1
    line = one_line(capsys)
    assert "register at" in line
    assert "--from" in line
    clips = {"AudioData/DC/a01.wav": b"voice", "__MACOSX/._a01.wav": b"junk", "AudioData/.DS_Store": b"junk"}
    Path("AudioData.zip").write_bytes(zipped(clips))
    assert run("savee", "--from", "AudioData.zip") == 0
    assert fetched("savee") == {"AudioData/DC/a01.wav": b"voice"}
    assert "should have 480 clips" in capsys.readouterr().err


def test_given_archives_are_unpacked_as_the_source_says_that_names_them(server, offered):
    source = plain(server) | {"files": ["female.zip", "male.zip"], "into": True}
    offered("shemo", source, clips=2)
    Path("female.zip").write_bytes(zipped({"F01A05.wav": b"her"}))
    Path("male.zip").write_bytes(zipped({"M01A05.wav": b"him"}))
    assert run("shemo", "--from", "female.zip", "--from", "male.zip") == 0
    assert fetched("shemo") == {"female/F01A05.wav": b"her", "male/M01A05.wav": b"him"}
    Path("all.zip").write_bytes(zipped({"top/Sad/SM1_F10_S010.wav": b"voice", "top/paper.pdf": b"words"}))
    Path("more.csv").write_text("a,b\n")
    offered("urdu", plain(server) | {"files": ["all.zip", "more.csv"], "strip": True, "take": ("*.wav",)}, clips=1)
    assert run("urdu", "--from", "all.zip", "--from", "more.csv") == 0
    assert fetched("urdu") == {"Sad/SM1_F10_S010.wav": b"voice", "more.csv": b"a,b\n"}


def test_a_given_archive_must_be_of_the_corpus_and_the_published_one(server, offered, capsys):
    Path("x.zip").write_bytes(zipped({"other/thing.wav": b"voice"}))
    assert run("savee", "--from", "x.zip") == 1
    assert "no clip of Surrey" in one_line(capsys)
    offered("emodb", plain(server, **known(ARCHIVE)))
    Path("emodb.zip").write_bytes(ARCHIVE[:-1] + b"x")
    assert run("emodb", "--from", "emodb.zip") == 1
    assert "SHA256" in one_line(capsys)
    for name, says in (("none.zip", "no such file"), (".", "a folder"), (os.devnull, "no regular file")):
        assert run("emodb", "--from", name) == 2
        assert says in one_line(capsys)
    assert nothing_half()
    assert nothing_half("savee")


# Licences, plans, manners


def test_a_licence_is_accepted_before_the_first_download_and_once(server, offered, capsys):
    server.put("/emodb.zip", ARCHIVE, faults=[play.status(404)])
    offered("emodb", plain(server))
    assert cli.run(["fetch", "emodb", "-o", "corpora"]) == 2
    line = one_line(capsys)
    assert "CC BY 4.0" in line
    assert "--accept-license" in line
    assert server.asked == []
    assert run("emodb") == 1
    server.put("/emodb.zip", ARCHIVE)
    assert cli.run(["fetch", "emodb", "-o", "corpora"]) == 0  # accepted with the failed run


def test_a_dry_run_tells_bytes_and_destination_and_does_nothing(capsys):
    assert run("ravdess", "--dry-run") == 0
    line = one_line(capsys)
    assert "208 MB" in line
    assert str(Path("corpora/ravdess")) in line
    assert not Path("corpora").exists()
    assert not Path("cache").exists()


def test_a_dry_run_knows_the_cache(server, offered, capsys):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    assert run("emodb") == 0
    capsys.readouterr()
    assert cli.run(["fetch", "emodb", "-o", "elsewhere", "--dry-run"]) == 0
    assert "would unpack emodb from the cache" in one_line(capsys)
    assert run("emodb", "--dry-run") == 0
    assert one_line(capsys) == f"emodb is complete in {Path('corpora/emodb')}"


def test_a_dry_run_knows_the_cache_of_what_must_be_asked_for(server, offered, capsys):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    assert run("emodb") == 0
    offered("emodb", {"kind": "ask", "home": "https://place", "who": "ask them"})
    for dry in (["--dry-run"], []):
        capsys.readouterr()
        assert cli.run(["fetch", "emodb", "-o", "elsewhere", *dry]) == 0
        assert Path("elsewhere").exists() == (not dry)
    capsys.readouterr()
    assert cli.run(["fetch", "emodb", "-o", "third", "--cache", "empty", "--dry-run"]) == 0
    assert "cannot be downloaded freely" in one_line(capsys)


def test_what_fetch_prints_pipes_into_index(server, offered, capsys):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    assert run("emodb") == 0
    done = sertool("index", "-f", "jsonl", stdin=capsys.readouterr().out.encode())
    held = [json.loads(line) for line in done.out.splitlines()]
    assert len(held) == len(WAVS)
    assert {row["corpus"] for row in held} == {"emodb"}
    assert {row["emotion"] for row in held} == {"angry", "happy", "neutral"}


def test_a_second_run_does_nothing(server, offered, capsys):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    assert run("emodb") == 0
    before = {path: path.stat().st_mtime_ns for path in Path(".").rglob("*")}
    asked = len(server.asked)
    assert run("emodb") == 0
    assert len(server.asked) == asked
    assert {path: path.stat().st_mtime_ns for path in Path(".").rglob("*")} == before
    assert "is complete" in capsys.readouterr().err


def test_a_file_that_got_lost_comes_back_and_what_was_added_stays(server, offered):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    assert run("emodb") == 0
    lost, added = Path("corpora/emodb/wav/03a01Wa.wav"), Path("corpora/emodb/mine.txt")
    lost.unlink()
    added.write_text("mine")
    asked = len(server.asked)
    assert run("emodb") == 0
    assert fetched() == {**WAVS, "mine.txt": b"mine"}
    assert len(server.asked) == asked  # the cache had it


def test_a_folder_of_ones_own_is_not_touched(server, offered, capsys):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    Path("corpora/emodb").mkdir(parents=True)
    Path("corpora/emodb/mine.wav").write_bytes(b"mine")
    assert run("emodb") == 2
    assert "not fetched" in one_line(capsys)
    assert fetched() == {"mine.wav": b"mine"}


def test_one_corpus_that_fails_does_not_keep_the_others_away(server, offered, capsys):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    assert run("savee", "emodb") == 1
    assert fetched() == WAVS
    assert "sertool: savee: " in capsys.readouterr().err


def test_two_at_work_in_one_place_are_told_apart(server, offered, capsys, monkeypatch):
    from sertool import locks

    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    with locks.folder_lock(Path("corpora"), False, "emodb"):
        assert run("emodb") == 1
    assert "another sertool is at work" in one_line(capsys)


def test_a_disk_that_is_too_small_is_refused_before_the_first_byte(server, offered, capsys, monkeypatch):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server, **known(ARCHIVE)))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 1000))
    assert run("emodb") == 1
    assert "1.0 kB left" in one_line(capsys)
    assert server.asked == []


# Caches and mirrors


def test_a_cache_serves_another_folder_without_the_network(server, offered):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    assert run("emodb") == 0
    server.things.clear()
    assert cli.run(["fetch", "emodb", "-o", "elsewhere"]) == 0
    assert Path("elsewhere/emodb/wav/03a01Wa.wav").read_bytes() == WAVS["wav/03a01Wa.wav"]


def test_a_cache_that_rots_is_noticed(server, offered, capsys):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    assert run("emodb") == 0
    held = Path("cache/emodb/files/emodb.zip")
    held.write_bytes(held.read_bytes()[:-9] + b"x" * 9)
    assert cli.run(["fetch", "emodb", "-o", "elsewhere"]) == 0
    assert Path("elsewhere/emodb/wav/03a01Wa.wav").read_bytes() == WAVS["wav/03a01Wa.wav"]
    assert "getting it again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--cache", "x", "--no-cache"), "give one of them"),
        (("--mirror", "ftp://127.0.0.1/x"), "begins with http, https or file"),
        (("--mirror", "ftp://127.0.0.1/x", "--dry-run"), "begins with http, https or file"),
    ],
)
def test_places_that_make_no_sense_are_refused(words, says, capsys):
    assert run("emodb", *words) == 2
    assert says in capsys.readouterr().err
    assert not Path("corpora").exists()


def test_no_cache_leaves_nothing_behind(server, offered):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    assert run("emodb", "--no-cache") == 0
    assert fetched() == WAVS
    assert not Path("cache").exists()
    left = {path.name for path in Path("corpora").iterdir()} - {".lock", ".lock-emodb"}
    assert left == {"emodb", "emodb.lock"}


@pytest.mark.parametrize("way", ["http", "file", "folder"])
def test_a_cache_is_a_mirror_for_others(way, server, offered, monkeypatch):
    clips = clips_of_cremad(3)
    offered("cremad", repository(server, clips), clips=3)
    server.lfs("owner/CREMA-D", clips.values())
    assert run("cremad") == 0
    source = json.loads(Path("corpora/cremad.lock").read_text())["source"]
    shutil.rmtree("corpora")
    Path("cache").rename("lab")
    server.things.clear()
    for path in Path("lab").rglob("*"):
        if path.is_file():
            server.put(f"/lab/{path.relative_to('lab').as_posix()}", path.read_bytes())
    place = {"http": f"{server.url}/lab", "file": Path("lab").absolute().as_uri(), "folder": "lab"}[way]
    assert run("cremad", "--mirror", place) == 0
    assert fetched("cremad") == {**clips, "VideoDemographics.csv": b"ActorID\n"}
    assert json.loads(Path("corpora/cremad.lock").read_text())["source"] == source


@pytest.mark.parametrize("published", [True, False])
def test_only_what_is_published_is_called_so_where_a_mirror_gives_it(published, server, offered, capsys):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server, **(known(ARCHIVE) if published else {})))
    assert run("emodb") == 0
    said = "as published" if published else f"digests kept in {Path('corpora/emodb.lock')}, as none are published"
    assert f": {said}\n" in capsys.readouterr().err
    assert cli.run(["fetch", "emodb", "-o", "elsewhere"]) == 0
    Path("cache").rename("lab")
    assert cli.run(["fetch", "emodb", "-o", "third", "--mirror", "lab", "--accept-license"]) == 0
    said = "as published" if published else "as its own index says, as none are published"
    assert capsys.readouterr().err.count(f": {said}\n") == 2


def test_a_mirror_cannot_pass_off_something_else(server, offered, capsys):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server, **known(ARCHIVE)))
    other = zipped({"wav/03a01Wa.wav": b"other"})
    item = {"path": "emodb.zip", "url": "", **{"size": len(other)}, "unpack": True, "take": []}
    item["digests"] = {"sha256": hashlib.sha256(other).hexdigest()}
    server.put("/lab/emodb/index.json", json.dumps({"source": "me", "items": [item]}).encode())
    server.put("/lab/emodb/files/emodb.zip", other)
    assert run("emodb", "--mirror", f"{server.url}/lab") == 0
    assert fetched() == WAVS
    assert "and here it is another" in capsys.readouterr().err


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"[]",
        b"{}",
        b'{"items": [{"path": 1}]}',
        b'{"source": "x", "items": 5}',
        b'{"source": "x", "items": [{"path": "a.zip", "size": "x", "digests": 3}]}',
        b'{"source": "x", "items": [{"path": "a.zip", "size": 1e999, "digests": {}}]}',
    ],
)
def test_a_mirror_that_is_none_is_named(index, server, offered, capsys):
    server.put("/lab/emodb/index.json", index)
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    assert run("emodb", "--mirror", f"{server.url}/lab") == 0
    assert "trying place/emodb.zip" in capsys.readouterr().err


def test_a_mirror_cannot_write_outside(server, offered, capsys):
    item = {"path": "../../escaped.wav", "size": None, "digests": {}}
    server.put("/lab/emodb/index.json", json.dumps({"source": "me", "items": [item]}).encode())
    server.put("/lab/emodb/files/../../escaped.wav", b"escaped")
    offered("emodb", plain(server))
    assert run("emodb", "--mirror", f"{server.url}/lab") == 1
    assert "leads out of the folder" in capsys.readouterr().err
    assert not list(Path(".").rglob("escaped.wav"))


def test_what_came_once_comes_the_same_again(server, offered, capsys):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))  # nothing is published of it
    assert run("emodb") == 0
    shutil.rmtree("corpora/emodb")
    shutil.rmtree("cache")
    server.put("/emodb.zip", zipped({"wav/03a01Wa.wav": b"other"}))
    capsys.readouterr()
    assert run("emodb") == 1
    assert "SHA256" in one_line(capsys)
    assert not Path("corpora/emodb").exists()


# Troubles on the way


def trouble(server, offered, *faults, body: bytes = ARCHIVE, **facts) -> play.Thing:
    thing = server.put("/emodb.zip", body, faults=[*faults])
    offered("emodb", plain(server, **facts))
    return thing


def ranges(server) -> list[str | None]:
    return [asked.headers.get("Range") for asked in server.asked]


@pytest.mark.parametrize("facts", [{}, known(ARCHIVE)], ids=["unknown", "known"])
def test_a_download_that_was_cut_continues_where_it_was(facts, server, offered):
    trouble(server, offered, play.cut(30_000), play.cut(40_000), None, **facts)
    assert run("emodb") == 0
    assert fetched() == WAVS
    assert ranges(server) == [None, "bytes=30000-", "bytes=70000-"]
    assert all("If-Range" in asked.headers for asked in server.asked[1:])


def test_cuts_that_bring_something_each_time_do_not_use_up_patience(server, offered):
    trouble(server, offered, *[play.cut(10_000)] * 10, None)
    assert run("emodb") == 0
    assert len(server.asked) == 11


def test_cuts_that_bring_nothing_end_with_a_line(server, offered, capsys):
    trouble(server, offered, play.cut(0))
    assert run("emodb") == 1
    assert "was cut after" in one_line(capsys)
    assert len(server.asked) == HASTE.attempts
    assert nothing_half()


def test_a_file_that_changed_meanwhile_is_not_mixed(server, offered):
    thing = trouble(server, offered, play.cut(30_000), None)
    other = {name: body[::-1] for name, body in WAVS.items()}

    def change(handler, asked):
        thing.body = zipped(other)
        play._serve(handler, asked)

    thing.faults = type(thing.faults)([play.cut(30_000), change, None])
    assert run("emodb") == 0
    assert fetched() == other


def test_ranges_that_are_ignored_or_wrong_do_no_harm(server, offered):
    for fault in (play.whole_again, play.other_part):
        trouble(server, offered, play.cut(30_000), fault, None)
        assert run("emodb") == 0
        assert fetched() == WAVS
        shutil.rmtree("corpora")
        shutil.rmtree("cache")


def test_without_a_name_for_its_version_only_a_known_file_is_continued(server, offered):
    for facts, expected in (({}, [None, None]), (known(ARCHIVE), [None, "bytes=30000-"])):
        thing = trouble(server, offered, play.cut(30_000), None, **facts)
        thing.etag = None
        assert run("emodb") == 0
        assert fetched() == WAVS
        assert ranges(server) == expected
        server.asked.clear()
        shutil.rmtree("corpora")
        shutil.rmtree("cache")


def test_a_weak_etag_names_nothing_and_a_date_does(server, offered):
    thing = trouble(server, offered, play.cut(30_000), None)
    thing.etag, thing.modified = 'W/"weak"', "Wed, 21 Oct 2015 07:28:00 GMT"
    assert run("emodb") == 0
    assert server.asked[1].headers["If-Range"] == thing.modified


def test_all_that_came_before_the_kill_is_enough(server, offered):
    thing = trouble(server, offered)
    part = Path("cache/emodb/files/emodb.zip.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(ARCHIVE)
    Path(f"{part}.tag").write_text(thing.tag())
    assert run("emodb") == 0
    assert fetched() == WAVS
    assert ranges(server) == [f"bytes={len(ARCHIVE)}-"]


@pytest.mark.parametrize("facts", [{}, known(ARCHIVE)], ids=["unknown", "known"])
def test_more_than_there_is_begins_anew(facts, server, offered):
    thing = trouble(server, offered, **facts)
    part = Path("cache/emodb/files/emodb.zip.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(ARCHIVE + b"more")
    Path(f"{part}.tag").write_text(thing.tag())
    assert run("emodb") == 0
    assert fetched() == WAVS


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(code, server, offered):
    trouble(server, offered, play.status(code), play.status(code), None)
    assert run("emodb") == 0
    assert len(server.asked) == 3


@pytest.mark.parametrize("date", [False, True])
def test_a_server_that_names_a_time_is_left_alone_until_then(date, server, offered):
    after = formatdate(time.time() + 2, usegmt=True) if date else "0.5"
    trouble(server, offered, play.status(503, Retry_After=after), None)
    start = time.monotonic()
    assert run("emodb") == 0
    assert time.monotonic() - start > 0.4


def test_a_server_that_wants_an_hour_is_left(server, offered, capsys):
    trouble(server, offered, play.status(429, Retry_After="3600"))
    assert run("emodb") == 1
    assert "asks to wait 3600 s" in one_line(capsys)
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 451])
def test_a_refusal_is_taken_at_its_word(code, server, offered, capsys):
    trouble(server, offered, play.status(code, b'{"message": "in its own words"}'))
    assert run("emodb") == 1
    line = one_line(capsys)
    assert f"{code} in its own words" in line
    assert "/emodb.zip" in line
    assert len(server.asked) == 1


def test_keys_in_addresses_are_not_shown(server, offered, capsys):
    offered("emodb", plain(server, "/gone.zip?signature=secret"))
    assert run("emodb") == 1
    assert "secret" not in one_line(capsys)


def test_redirects_are_followed_but_not_in_circles(server, offered, capsys):
    server.put("/moved", ARCHIVE)
    trouble(server, offered, play.redirect("/moved", 307))
    assert run("emodb") == 0
    shutil.rmtree("corpora")
    shutil.rmtree("cache")
    trouble(server, offered, play.redirect("/emodb.zip"))
    capsys.readouterr()
    assert run("emodb") == 1
    assert "infinite loop" in one_line(capsys)


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_redirects_do_not_lead_out_of_the_web(to, server, offered, capsys):
    trouble(server, offered, play.redirect(to))
    assert run("emodb") == 1
    assert "not safe" in one_line(capsys).replace("not allowed", "not safe")  # urllib's word for some


@pytest.fixture
def encrypted(server, tmp_path, monkeypatch):
    """The server with a certificate, which `trust()` makes a known one."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key,
               "-out", certificate]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    server.encrypt(certificate, key)
    server.trust = lambda: monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return server


def test_a_certificate_must_be_valid(encrypted, offered, capsys):
    trouble(encrypted, offered)
    assert run("emodb") == 1
    assert "certificate" in one_line(capsys)
    encrypted.trust()
    assert run("emodb") == 0
    assert fetched() == WAVS


def test_troubles_of_encrypted_connections_pass_as_others_do(encrypted, offered):
    encrypted.trust()
    trouble(encrypted, offered, play.cut(30_000), play.drip_head, None)
    assert run("emodb") == 0
    assert fetched() == WAVS


def test_an_encrypted_connection_does_not_lead_to_a_plain_one(encrypted, offered, capsys):
    encrypted.trust()
    trouble(encrypted, offered, play.redirect(encrypted.url.replace("https", "http") + "/moved"))
    assert run("emodb") == 1
    assert "not safe" in one_line(capsys)


@pytest.mark.parametrize("fault", [play.silent, play.drip_head, play.drip])
def test_a_server_that_drips_is_left(fault, server, offered, capsys):
    trouble(server, offered, fault)
    start = time.monotonic()
    assert run("emodb") == 1
    assert time.monotonic() - start < 20
    assert "emodb.zip: no answer for" in one_line(capsys) or fault is play.drip
    assert len(server.asked) == HASTE.attempts
    assert nothing_half()


@pytest.mark.parametrize("facts", [{}, known(ARCHIVE)], ids=["unknown", "known"])
def test_a_head_that_was_cut_is_no_empty_file(facts, server, offered):
    trouble(server, offered, play.cut_head, play.cut_head, None, **facts)
    assert run("emodb") == 0
    assert fetched() == WAVS


def test_a_server_that_is_slow_at_first_is_forgiven(server, offered):
    trouble(server, offered, play.silent, play.drip, None)
    assert run("emodb") == 0
    assert fetched() == WAVS


def test_a_wrong_digest_is_tried_once_more_and_then_refused(server, offered, capsys):
    trouble(server, offered, body=ARCHIVE[:-1] + b"x", **known(ARCHIVE))
    assert run("emodb") == 1
    line = one_line(capsys)
    assert "SHA256" in line
    assert "emodb.zip" in line
    assert ranges(server) == [None, None]
    assert not list(Path("cache").rglob("emodb.zip*"))
    assert nothing_half()


def test_a_part_that_was_damaged_before_is_got_anew(server, offered):
    thing = trouble(server, offered, **known(ARCHIVE))
    part = Path("cache/emodb/files/emodb.zip.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 30_000)
    Path(f"{part}.tag").write_text(thing.tag())
    assert run("emodb") == 0
    assert ranges(server) == ["bytes=30000-", None]


@pytest.mark.parametrize("facts", [{}, known(ARCHIVE)], ids=["unknown", "known"])
@pytest.mark.parametrize("by", [-5000, 5000])
def test_a_wrong_length_is_no_whole_file(by, facts, server, offered, capsys):
    trouble(server, offered, play.says_longer(by), **facts)
    assert run("emodb") == 1
    assert one_line(capsys)
    assert nothing_half()


def test_a_body_without_end_is_left(server, offered, capsys):
    trouble(server, offered, play.endless, **known(ARCHIVE))
    assert run("emodb") == 1
    assert "longer than" in one_line(capsys)


def test_a_web_page_is_no_archive(server, offered, capsys):
    trouble(server, offered, body=b"<html>Please log in</html>")
    assert run("emodb") == 1
    assert "no zip or tar" in one_line(capsys)
    assert not Path("cache/emodb/files/emodb.zip").exists()


def test_a_host_that_is_not_there_is_named(server, offered, capsys):
    offered("emodb", {"kind": "https", "home": "place", "files": {"a.zip": {"url": "http://127.0.0.1:9/a.zip"}}})
    assert run("emodb") == 1
    assert "127.0.0.1:9" in one_line(capsys)


def test_all_sources_that_failed_are_named_in_one_line(server, offered, capsys):
    server.put("/b.zip", faults=[play.status(503)])
    server.put("/c.zip", b"no archive")
    offered("emodb", *(plain(server, f"/{name}.zip", f"{name}.zip") for name in "abc"))
    assert run("emodb") == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert all(f"place/{name}.zip: " in lines[-1] for name in "abc")
    assert sum("; trying place/" in line for line in lines) == 2


def test_one_file_of_many_that_fails_ends_them_all(server, offered, capsys):
    clips = clips_of_cremad(60)
    source = repository(server, clips)
    server.lfs("owner/CREMA-D", clips.values())
    last = hashlib.sha256(clips["AudioWAV/1060_DFA_ANG_XX.wav"]).hexdigest()
    server.things[f"/media/{last}"].faults.append(play.cut(10))
    server.things[f"/media/{last}"].body = b"x" * 300
    offered("cremad", source)
    assert run("cremad") == 1
    assert one_line(capsys)
    assert nothing_half("cremad")


ANSWERS = [
    b"",
    b"<html>",
    b"[]",
    b"{}",
    b'{"files": 3}',
    b'{"files": [{}]}',
    b'{"data": []}',
    b'{"objects": [{"oid": 3}]}',
    b'{"files": [{"key": "a.zip", "size": [], "checksum": "md5:x", "links": {"self": "file:///etc/passwd"}}]}',
]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("kind", ["zenodo", "dataverse", "git"])
def test_an_index_that_makes_no_sense_is_one_line(kind, answer, server, offered, capsys):
    source = {"kind": kind, "home": "h", "host": server.url, "record": 5, "doi": "doi:1", "match": "*"}
    if kind == "git":
        source |= {"repository": f"{server.url}/o/r", "files": {"a.zip": known(b"x")}}
    paths = ("/api/records/5", "/api/datasets/:persistentId/", "/o/r.git/info/lfs/objects/batch")
    for path in paths:
        server.put(path, answer)
    offered("emodb", source)
    assert run("emodb") == 1
    assert one_line(capsys)
    assert nothing_half()


# Archives from hostile hands


def hostile(body: bytes, server, offered, capsys) -> str:
    server.put("/emodb.zip", body)
    offered("emodb", plain(server))
    outside = {path for path in Path(".").rglob("*") if "cache" not in path.parts}
    assert run("emodb") == 1
    assert nothing_half()
    left = {path for path in Path(".").rglob("*") if "cache" not in path.parts} - outside
    assert {path.name for path in left} <= {"corpora", ".lock", ".lock-emodb"}
    return one_line(capsys)


NAMES = ["../escaped.wav", "wav/../../escaped.wav", "/tmp/escaped.wav", "C:\\escaped.wav", "..\\escaped.wav",
         "\\\\host\\escaped.wav", "wav/..", "C:escaped.wav"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_no_name_leads_out_of_the_folder(pack, name, server, offered, capsys):
    line = hostile(pack({"wav/03a01Wa.wav": b"voice", name: b"escaped"}), server, offered, capsys)
    assert "leads out of the folder" in line
    assert not list(Path(".").rglob("*escaped*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_tar_brings_no_links_and_no_devices(kind, server, offered, capsys):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("wav/03a01Wa.wav")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
        archive.addfile(tarfile.TarInfo("wav/03a01Wa.wav/x"))
    assert "link or a device" in hostile(stream.getvalue(), server, offered, capsys)


def test_a_zip_brings_no_links(server, offered, capsys):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        info = zipfile.ZipInfo("wav/03a01Wa.wav")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert "link or a device" in hostile(stream.getvalue(), server, offered, capsys)


@pytest.mark.parametrize("pack", [lambda files: zipped(files, zipfile.ZIP_DEFLATED), tarred])
def test_a_bomb_does_not_go_off(pack, server, offered, capsys, monkeypatch):
    monkeypatch.setattr(unpacking, "LIMITS", unpacking.Limits(free=1 << 20))
    body = pack({"wav/03a01Wa.wav": bytes(20 << 20)})
    assert "in good faith" in hostile(body, server, offered, capsys)


def test_a_bomb_that_lies_about_its_size_does_not_go_off(server, offered, capsys, monkeypatch):
    monkeypatch.setattr(unpacking, "LIMITS", unpacking.Limits(free=1 << 20))
    body = zipped({"wav/03a01Wa.wav": bytes(20 << 20)}, zipfile.ZIP_DEFLATED)
    size = (20 << 20).to_bytes(4, "little")
    assert hostile(body.replace(size, (10).to_bytes(4, "little")), server, offered, capsys)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_there_is_an_end_to_the_number_of_files(pack, server, offered, capsys, monkeypatch):
    monkeypatch.setattr(unpacking, "LIMITS", unpacking.Limits(files=100))
    assert "more than 100 files" in hostile(pack({f"{n}.wav": b"" for n in range(101)}), server, offered, capsys)


def test_an_encrypted_archive_says_so(server, offered, capsys):
    body = bytearray(zipped({"wav/03a01Wa.wav": b"voice"}))
    body[6] |= 1
    body[body.index(b"PK\1\2") + 8] |= 1
    assert "encrypted" in hostile(bytes(body), server, offered, capsys)


CUTS = {
    "zip": zipped(WAVS)[:-30], "zip in the middle": zipped(WAVS)[:50_000], "gz": tarred(WAVS)[:-10],
    "gz in the middle": tarred(WAVS)[:50_000], "tar at a seam": tarred(WAVS, "")[: 9728 * 3],
    "xz": tarred(WAVS, "xz")[:50_000],
    "tar": tarred(WAVS, "")[: 9728 * 2 + 700], "bz2": tarred(WAVS, "bz2")[:50_000], "empty": b"", "two bytes": b"PK",
    "bad header": tarred(WAVS, "")[: 9728 * 2] + b"x" * 512 + tarred(WAVS, "")[9728 * 2 :],
    "bad sum": zipped(WAVS).replace(WAVS["wav/03a01Fa.wav"][:99], bytes(99)),
    "bad gz sum": tarred(WAVS)[:-8] + b"x" * 4 + tarred(WAVS)[-4:],
    "file and folder": zipped({"wav": b"x", "wav/03a01Wa.wav": b"voice"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CUTS)
def test_a_cut_or_damaged_archive_is_one_line(name, server, offered, capsys):
    assert hostile(CUTS[name], server, offered, capsys)


def test_names_are_checked_alike_for_all_systems():
    assert unpacking.safe("./a//b\\c.wav") == "a/b/c.wav"
    for name in (*NAMES, "", ".", "a\0b", "..", "a/.."):
        with pytest.raises(SertoolError):
            unpacking.safe(name)


# Killed in the middle


DRIVER = """
import json, sys
from dataclasses import replace
from sertool import catalogue, cli
real, (corpus, sources, *arguments) = catalogue.entries, sys.argv[1:]
def entries(folder):
    found = dict(real(folder))
    if folder == "corpora":
        found[corpus] = replace(found[corpus], facts={**found[corpus].facts, "SOURCES": json.loads(sources)})
    return found
catalogue.entries = entries
cli.main(arguments)
"""


def started(corpus: str, source: dict) -> subprocess.Popen:
    command = [sys.executable, "-c", DRIVER, corpus, json.dumps([source]), "fetch", corpus, "-o", "corpora",
               "--accept-license", "-q"]  # fmt: skip
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)


def killed_when(process: subprocess.Popen, ready, how: int = signal.SIGKILL) -> int:
    end = time.monotonic() + 15
    while not ready() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    process.send_signal(how)
    return process.wait(20)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_download_that_was_killed_continues(how, server, offered):
    server.put("/emodb.zip", ARCHIVE, faults=[play.slowly(0.05)])
    part = Path("cache/emodb/files/emodb.zip.part")
    process = started("emodb", plain(server))
    code = killed_when(process, lambda: part.exists() and part.stat().st_size > 20_000, how)
    assert code == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert nothing_half()
    got = part.stat().st_size
    assert 20_000 < got < len(ARCHIVE)
    server.put("/emodb.zip", ARCHIVE)
    server.asked.clear()
    offered("emodb", plain(server))
    assert run("emodb") == 0
    assert fetched() == WAVS
    assert ranges(server) == [f"bytes={got}-"]


def test_many_downloads_that_were_killed_continue(server, offered):
    clips = clips_of_cremad(120)
    source, _ = repository(server, clips), server.lfs("owner/CREMA-D", clips.values())
    for path, thing in server.things.items():
        if path.startswith("/media/"):
            thing.faults.append(play.slowly(0.03))
    held = Path("cache/cremad/files/AudioWAV")
    process = started("cremad", source)
    killed_when(process, lambda: held.exists() and len(list(held.glob("*.wav"))) > 30)
    assert nothing_half("cremad")
    done = {hashlib.sha256(path.read_bytes()).hexdigest() for path in held.glob("*.wav")}
    assert 30 < len(done) < 120
    server.asked.clear()
    for thing in server.things.values():
        thing.faults = type(thing.faults)(f for f in thing.faults if f.__qualname__.startswith("Lfs"))
    offered("cremad", source, clips=120)
    assert run("cremad") == 0
    assert fetched("cremad") == {**clips, "VideoDemographics.csv": b"ActorID\n"}
    again = {re.split("[/?]", asked.path)[2] for asked in server.asked if asked.path.startswith("/media/")}
    assert again
    assert not again & done


def test_a_kill_while_unpacking_leaves_nothing_that_looks_whole(server, offered, monkeypatch):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    real = unpacking.unpack

    def interrupted(*arguments):
        for count, name in enumerate(real(*arguments)):
            if count == 4:
                raise KeyboardInterrupt
            yield name

    monkeypatch.setattr(unpacking, "unpack", interrupted)
    assert run("emodb") == 130
    assert not Path("corpora/emodb").exists()
    assert not Path("corpora/emodb.lock").exists()
    assert not list(Path("corpora").rglob("*.wav"))  # as `index corpora/` would find them
    monkeypatch.setattr(unpacking, "unpack", real)
    asked = len(server.asked)
    assert run("emodb") == 0
    assert fetched() == WAVS
    assert len(server.asked) == asked
    assert not Path("corpora/.emodb.part").exists()


def test_a_kill_between_lock_and_name_is_mended(server, offered, monkeypatch):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    real = os.replace

    def killed(source, target):
        if str(source).endswith(".emodb.part"):
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", killed)
    assert run("emodb") == 130
    assert Path("corpora/emodb.lock").exists()
    assert not Path("corpora/emodb").exists()
    monkeypatch.setattr(os, "replace", real)
    assert run("emodb") == 0
    assert fetched() == WAVS


# Small things


@pytest.mark.parametrize("size", [None, 3_600_000])
def test_progress_counts_bytes_up_to_what_is_known(size, server, monkeypatch, tmp_path):
    body = noise(3_600_000)
    server.put("/big", body, faults=[play.cut(1_000_000), None])
    totals, counted = [], []

    @contextmanager
    def counter(what: str, total: int | None):
        totals.append((what, total))
        yield counted.append

    monkeypatch.setattr(talk, "counter", counter)
    item = downloading.Item("big", f"{server.url}/big", size)
    items, came = store.download_missing(tmp_path, sources.Plan((item,)), {}, 2, "x")
    assert totals == [("fetching x", size)]
    assert came == sum(counted) == len(body)
    assert [held.path for held in items] == ["big"]


def test_a_terminal_sees_bytes_rate_and_time_left(monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", stream)
    with talk.counter("fetching x", 2_000_000) as advance:
        time.sleep(0.15)
        advance(1_000_000)
        time.sleep(0.15)
        advance(500_000)
    shown = stream.getvalue().split("\r")
    assert any(re.search(r"fetching x: +50%.* 1.00M/2.00M \[00:00<00:\d\d, .*[kM]B/s\]", line) for line in shown)


def test_the_examples_of_the_help_make_sense(monkeypatch):
    """As far as they do without the network: what would be fetched is told."""
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was reached"))
    Path("Emotional Speech Dataset (ESD).zip").write_bytes(ARCHIVE)
    command = cli.cli.get_command(click.Context(cli.cli), "fetch")
    lines = re.findall(r"^  (?:\w+=\S+ )?sertool (fetch .+?)(?: [|>].*)?$", command.epilog, flags=re.MULTILINE)
    assert len(lines) > 8
    for line in lines:
        assert cli.run([*shlex.split(line), "--dry-run"]) == 0


def test_a_list_in_a_pipe_is_neither_cut_nor_folded(capsys):
    assert cli.run(["fetch", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(offers.offers())
    for line, offer in zip(lines[1:], offers.offers().values(), strict=True):
        assert line.split()[0] == offer.name
        assert offer.facts["LICENCE"] in line
        assert f"{offer.facts['CLIPS']:,}" in line


def test_bytes_that_were_thrown_away_are_not_counted_twice(server, tmp_path):
    body = noise(50_000)
    server.put("/x", body, faults=[play.cut(20_000), play.whole_again])
    counted = []
    line = downloading.Control(advance=counted.append)
    downloading.download(downloading.Item("x", f"{server.url}/x"), tmp_path / "x", lambda item, _: (item.url, {}), line)
    assert sum(counted) == len(body)


@pytest.mark.parametrize("size", [0, None])
def test_a_file_of_no_bytes_comes_too(server, tmp_path, size):
    server.put("/x", b"")
    item = downloading.Item("x", f"{server.url}/x", size, {"md5": hashlib.md5(b"", usedforsecurity=False).hexdigest()})
    downloading.download(item, tmp_path / "x", lambda item, _: (item.url, {}), downloading.Control())
    assert (tmp_path / "x").read_bytes() == b""
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_what_is_there_of_a_file_of_no_bytes_goes(server, tmp_path):
    server.put("/x", b"")
    (tmp_path / "x.part").write_bytes(b"other")
    item = downloading.Item("x", f"{server.url}/x", 0)
    downloading.download(item, tmp_path / "x", lambda item, _: (item.url, {}), downloading.Control())
    assert (tmp_path / "x").read_bytes() == b""


def test_what_cannot_be_continued_is_begun_anew_behind_a_new_link_too(server, tmp_path):
    thing = server.put("/new", b"new")
    (tmp_path / "x.part").write_bytes(b"too many bytes")
    (tmp_path / "x.part.tag").write_text(thing.tag())
    item = downloading.Item("x", f"{server.url}/expired")
    link = (f"{server.url}/new", {})
    downloading.download(item, tmp_path / "x", lambda _, anew: link if anew else None, downloading.Control())
    assert (tmp_path / "x").read_bytes() == b"new"
