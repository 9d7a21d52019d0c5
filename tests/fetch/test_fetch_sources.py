"""fetch from each kind of publisher: archives, Zenodo, Dataverse, Git LFS, Kaggle, on request."""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest
from fetching import (
    ARCHIVE,
    ROOT,
    WAVS,
    clips_of_cremad,
    fetched,
    known,
    noise,
    nothing_half,
    one_line,
    plain,
    repository,
    run,
    tarred,
    zipped,
)

from sertool import catalogue, cli, sources
from sertool.fetch import offers
from sertool.internet import unpacking


def test_every_corpus_has_a_source_to_fetch_from():
    assert {name.partition("-")[0] for name in offers.offers()} == set(catalogue.names("corpora"))
    assert "ravdess-song" in offers.offers()


@pytest.mark.parametrize("offer", offers.offers().values(), ids=lambda offer: offer.name)
def test_source_facts_are_well_formed(offer):
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
def test_list_cite_and_dry_run_need_no_network(offer, capsys, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was reached"))
    assert cli.run(["fetch", "--list", offer.name]) == 0
    assert cli.run(["fetch", "--cite", offer.name]) == 0
    assert cli.run(["fetch", "--dry-run", offer.name]) == 0
    out = capsys.readouterr().out
    assert offer.facts["CITATION"] in out
    assert not Path("corpora").exists()


def test_list_shows_all_offered_corpora(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert cli.run(["fetch", "--list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("cremad", "tess", " 208 ", " ask "))


def test_an_unknown_name_is_refused_with_the_choices(capsys):
    assert run("nonsense") == 2
    assert "cremad" in one_line(capsys)


def test_fetch_imports_no_heavy_libraries():
    heavy = ("torch", "scipy", "sklearn", "pyarrow", "numpy", "tqdm", "soundfile")
    code = ("import sys; from sertool import cli; from sertool.fetch import fetching, download_cache;"
            "import sertool.commands.fetch;"
            "from sertool.sources import git, zenodo, dataverse, kaggle, https, ask;"
            f"print([name for name in {heavy} if name in sys.modules])")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_zip_archive_is_fetched_and_unpacked_completely(server, offered, capsys):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server, **known(ARCHIVE)))
    assert run("emodb") == 0
    assert fetched() == WAVS
    assert capsys.readouterr().out.strip() == "corpora/emodb"
    assert server.asked[0].headers["User-Agent"].startswith("sertool/")


@pytest.mark.parametrize("kind", ["", "gz", "bz2", "xz"])
def test_tar_archive_is_fetched_and_unpacked_completely(kind, server, offered):
    body, name = tarred(WAVS, kind), f"emodb.tar{kind and '.' + kind}"
    server.put("/it", body)
    offered("emodb", plain(server, "/it", name))
    assert run("emodb") == 0
    assert fetched() == WAVS


def test_zenodo_record_is_queried_for_files_and_digests(server, offered):
    server.zenodo(77, {"emodb.zip": ARCHIVE, "video.zip": b"large"})
    offered("emodb", {"kind": "zenodo", "home": "z", "host": server.url, "record": 77, "match": "emodb*.zip"})
    assert run("emodb") == 0
    assert fetched() == WAVS
    assert server.count("/api/records/77/files/video.zip/content") == 0
    lock = json.loads(Path("corpora/emodb.lock").read_text())
    assert lock["items"]["emodb.zip"]["md5"] == hashlib.md5(ARCHIVE).hexdigest()


def test_zenodo_record_with_known_digests_is_not_queried(server, offered):
    server.zenodo(77, {"emodb.zip": ARCHIVE})
    files = {"emodb.zip": {"size": len(ARCHIVE), "md5": hashlib.md5(ARCHIVE).hexdigest()}}
    offered("emodb", {"kind": "zenodo", "home": "z", "host": server.url, "record": 77, "files": files})
    assert run("emodb") == 0
    assert [asked.path for asked in server.asked] == ["/records/77/files/emodb.zip?download=1"]


def test_all_matching_files_of_a_dataverse_dataset_are_fetched(server, offered):
    words = [f"{speaker}_{'abcde'[place // 12]}{'bcdfghjklmnp'[place % 12]}_sad.wav"
             for speaker in ("OAF", "YAF") for place in range(60)]  # fmt: skip
    clips = {f"OAF sad/{word}" if "OAF" in word else word: noise(300, word) for word in words}
    server.dataverse("doi:10.5683/SP2/E8H2MF", {**clips, "readme.txt": b"read me"})
    offered("tess", {"kind": "dataverse", "home": "d", "host": server.url, "doi": "doi:10.5683/SP2/E8H2MF",
                     "match": "*.wav"}, clips=120)  # fmt: skip
    assert run("tess") == 0
    assert fetched("tess") == clips


def test_restricted_dataverse_is_reported_as_on_request(server, offered, capsys):
    server.dataverse("doi:1", {"OAF_a_sad.wav": b"x"}, restricted=True)
    offered("tess", {"kind": "dataverse", "home": "d", "host": server.url, "doi": "doi:1", "match": "*.wav"})
    assert run("tess") == 1
    assert "on request" in one_line(capsys)


def test_git_lfs_pointers_are_replaced_by_their_files(server, offered, capsys):
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


def test_repository_without_lfs_pointers_is_used_unchanged(server, offered):
    clips = clips_of_cremad(5)
    offered("cremad", repository(server, clips, pointers=False), clips=5)
    assert run("cremad") == 0
    assert fetched("cremad") == {**clips, "VideoDemographics.csv": b"ActorID\n"}


def test_expired_git_lfs_links_are_requested_again(server, offered):
    clips = clips_of_cremad(12)
    source, held = repository(server, clips), server.lfs("owner/CREMA-D", clips.values(), lives=0)
    offered("cremad", source, clips=12)
    real_one = held.one
    held.one = lambda oid, size: [real_one(oid, size), setattr(held, "lives", 1)][0]  # only the first link is dead
    assert run("cremad") == 0
    assert len(fetched("cremad")) == 13
    assert len(held.batches) == 2


def test_exhausted_lfs_quota_falls_back_to_the_next_source(server, offered, capsys):
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


def test_missing_lfs_object_is_reported(server, offered, capsys):
    clips = clips_of_cremad(3)
    source = repository(server, clips)
    server.lfs("owner/CREMA-D", list(clips.values())[:2])
    offered("cremad", source)
    assert run("cremad") == 1
    assert "404 Object does not exist" in one_line(capsys)
    assert nothing_half("cremad")


def test_archive_stored_in_lfs_is_unpacked(server, offered):
    body = zipped({"male/M01A01.wav": b"voice"})
    server.lfs("o/r", [body])
    source = {"kind": "git", "home": "g", "repository": f"{server.url}/o/r", "files": {"male.zip": known(body)},
              "into": True}  # fmt: skip
    offered("shemo", source, clips=1)
    assert run("shemo") == 0
    assert fetched("shemo") == {"male/M01A01.wav": b"voice"}


@pytest.mark.parametrize("inside", ["", "bea_Amused/", "./somewhere/else/"])
def test_archive_name_with_the_speaker_becomes_a_folder(inside, server, offered):
    for name in ("bea_Amused", "sam_Sleepy"):
        server.put(f"/115/{name}.tar.gz", tarred({f"{inside}amused_1-15_0002.wav": name.encode()}))
    offered("emovdb", {"kind": "https", "home": "openslr", "base": f"{server.url}/115/", "into": True,
                       "files": ("bea_Amused.tar.gz", "sam_Sleepy.tar.gz")}, clips=2)  # fmt: skip
    assert run("emovdb") == 0
    assert fetched("emovdb") == {f"{name}/amused_1-15_0002.wav": name.encode() for name in ("bea_Amused", "sam_Sleepy")}


JL = zipped({"Raw JL corpus/JL(wav+txt)/female1_angry_10a_1.wav": b"voice", "Raw JL corpus/x.txt": b"text"})


@pytest.mark.parametrize("way", ["pair", "token", "file", "access"])
def test_kaggle_token_is_sent_only_to_kaggle(way, server, offered, monkeypatch):
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


def test_kaggle_without_a_token_explains_how_to_get_one(server, offered, capsys):
    server.kaggle("tli725/jl-corpus", JL, "Basic something")
    offered("jl", {"kind": "kaggle", "home": "kaggle", "host": server.url, "dataset": "tli725/jl-corpus"})
    assert run("jl") == 1
    assert "make a token at kaggle.com" in one_line(capsys)


def test_on_request_corpus_says_where_to_register_and_accepts_an_archive(capsys):
    assert run("savee") == 1
    line = one_line(capsys)
    assert "register at" in line
    assert "--from" in line
    clips = {"AudioData/DC/a01.wav": b"voice", "__MACOSX/._a01.wav": b"junk", "AudioData/.DS_Store": b"junk"}
    Path("AudioData.zip").write_bytes(zipped(clips))
    assert run("savee", "--from", "AudioData.zip") == 0
    assert fetched("savee") == {"AudioData/DC/a01.wav": b"voice"}
    assert "should have 480 clips" in capsys.readouterr().err


def test_given_archives_are_unpacked_as_their_source_specifies(server, offered):
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


def test_given_archive_with_wrong_content_or_digest_is_refused(server, offered, capsys):
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


def test_help_examples_succeed_as_dry_runs(monkeypatch):
    """As far as they do without the network: what would be fetched is told."""
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was reached"))
    Path("Emotional Speech Dataset (ESD).zip").write_bytes(ARCHIVE)
    command = cli.cli.get_command(click.Context(cli.cli), "fetch")
    lines = re.findall(r"^  (?:\w+=\S+ )?sertool (fetch .+?)(?: [|>].*)?$", command.epilog, flags=re.MULTILINE)
    assert len(lines) > 8
    for line in lines:
        assert cli.run([*shlex.split(line), "--dry-run"]) == 0


def test_piped_list_is_not_truncated_or_wrapped(capsys):
    assert cli.run(["fetch", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(offers.offers())
    for line, offer in zip(lines[1:], offers.offers().values(), strict=True):
        assert line.split()[0] == offer.name
        assert offer.facts["LICENCE"] in line
        assert f"{offer.facts['CLIPS']:,}" in line
