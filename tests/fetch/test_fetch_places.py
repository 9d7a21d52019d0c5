"""fetch's folders, cache and mirrors."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import server as play
from fetching import (
    ARCHIVE,
    WAVS,
    clips_of_cremad,
    fetched,
    known,
    one_line,
    plain,
    repository,
    run,
    zipped,
)
from running import sertool

from sertool import cli


def test_licence_is_accepted_once_before_the_first_download(server, offered, capsys):
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


def test_dry_run_states_size_and_destination_and_writes_nothing(capsys):
    assert run("ravdess", "--dry-run") == 0
    line = one_line(capsys)
    assert "208 MB" in line
    assert str(Path("corpora/ravdess")) in line
    assert not Path("corpora").exists()
    assert not Path("cache").exists()


def test_dry_run_takes_the_cache_into_account(server, offered, capsys):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    assert run("emodb") == 0
    capsys.readouterr()
    assert cli.run(["fetch", "emodb", "-o", "elsewhere", "--dry-run"]) == 0
    assert "would unpack emodb from the cache" in one_line(capsys)
    assert run("emodb", "--dry-run") == 0
    assert one_line(capsys) == f"emodb is complete in {Path('corpora/emodb')}"


def test_cached_corpus_is_used_even_if_only_available_on_request(server, offered, capsys):
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
    assert "cannot be downloaded by sertool" in one_line(capsys)


def test_output_of_fetch_pipes_into_index(server, offered, capsys):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    assert run("emodb") == 0
    done = sertool("index", "-f", "jsonl", stdin=capsys.readouterr().out.encode())
    held = [json.loads(line) for line in done.out.splitlines()]
    assert len(held) == len(WAVS)
    assert {row["corpus"] for row in held} == {"emodb"}
    assert {row["emotion"] for row in held} == {"angry", "happy", "neutral"}


def test_second_run_downloads_and_changes_nothing(server, offered, capsys):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    assert run("emodb") == 0
    before = {path: path.stat().st_mtime_ns for path in Path(".").rglob("*")}
    asked = len(server.asked)
    assert run("emodb") == 0
    assert len(server.asked) == asked
    assert {path: path.stat().st_mtime_ns for path in Path(".").rglob("*")} == before
    assert "is complete" in capsys.readouterr().err


def test_deleted_file_is_restored_from_the_cache_and_added_files_stay(server, offered):
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


def test_folder_not_created_by_fetch_is_left_untouched(server, offered, capsys):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    Path("corpora/emodb").mkdir(parents=True)
    Path("corpora/emodb/mine.wav").write_bytes(b"mine")
    assert run("emodb") == 2
    assert "not fetched" in one_line(capsys)
    assert fetched() == {"mine.wav": b"mine"}


def test_failing_corpus_does_not_stop_the_others(server, offered, capsys):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    assert run("savee", "emodb") == 1
    assert fetched() == WAVS
    assert "sertool: savee: " in capsys.readouterr().err


def test_second_fetch_into_a_busy_folder_is_refused(server, offered, capsys, monkeypatch):
    from sertool.system import locks

    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    with locks.folder_lock(Path("corpora"), False, "emodb"):
        assert run("emodb") == 1
    assert "another sertool is at work in corpora: wait for it with --wait, or use another -o" in one_line(capsys)


def test_second_fetch_by_way_of_a_busy_cache_is_told_what_helps(server, offered, capsys):
    from sertool.system import locks

    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    with locks.folder_lock(Path("cache/emodb"), False):
        assert run("emodb", "--cache", "cache") == 1
        says = f"at work in {Path('cache/emodb')}: wait for it with --wait, or use another --cache"
        assert says in one_line(capsys)
        assert run("emodb", "--cache", "other") == 0


def test_insufficient_disk_space_is_refused_before_downloading(server, offered, capsys, monkeypatch):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server, **known(ARCHIVE)))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 1000))
    assert run("emodb") == 1
    assert "1.0 kB left" in one_line(capsys)
    assert server.asked == []


def test_a_cache_serves_another_folder_without_the_network(server, offered):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    assert run("emodb") == 0
    server.things.clear()
    assert cli.run(["fetch", "emodb", "-o", "elsewhere"]) == 0
    assert Path("elsewhere/emodb/wav/03a01Wa.wav").read_bytes() == WAVS["wav/03a01Wa.wav"]


def test_corrupted_cache_file_is_detected_and_downloaded_again(server, offered, capsys):
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
def test_invalid_cache_and_mirror_options_are_refused(words, says, capsys):
    assert run("emodb", *words) == 2
    assert says in capsys.readouterr().err
    assert not Path("corpora").exists()


def test_no_cache_leaves_only_the_corpus_and_its_lock(server, offered):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    assert run("emodb", "--no-cache") == 0
    assert fetched() == WAVS
    assert not Path("cache").exists()
    left = {path.name for path in Path("corpora").iterdir()} - {".lock", ".lock-emodb"}
    assert left == {"emodb", "emodb.lock"}


@pytest.mark.parametrize("way", ["http", "file", "folder"])
def test_cache_can_serve_as_a_mirror(way, server, offered, monkeypatch):
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
def test_mirrored_files_are_called_published_only_with_published_digests(published, server, offered, capsys):
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


def test_mirror_contradicting_published_digests_is_skipped(server, offered, capsys):
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
def test_invalid_mirror_falls_back_to_the_original_source(index, server, offered, capsys):
    server.put("/lab/emodb/index.json", index)
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    assert run("emodb", "--mirror", f"{server.url}/lab") == 0
    assert "trying place/emodb.zip" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("paths", "more"),
    [
        (["a.zip", "a.zip"], {}),
        (["a.zip", "a.zip.part"], {}),
        (["a.zip", "a.zip/b.zip"], {}),
        (["a.zip", "b.zip"], {"into": "wav"}),
        (["a.zip", "b.zip"], {"into": "é" * 150}),
        (["a.zip"], {"member": "é" * 150}),
    ],
)
def test_mirror_with_unwritable_file_names_falls_back_to_the_next_source(paths, more, server, offered, capsys):
    archive = zipped({f"wav/{more.pop('member', '03a01Fa.wav')}": b"sound"})
    entry = {"size": len(archive), "digests": {}, "unpack": True, **more}
    index = {"source": "me", "items": [{"path": path, **entry} for path in paths]}
    server.put("/lab/emodb/index.json", json.dumps(index).encode())
    for path in paths:
        server.put(f"/lab/emodb/files/{path}", archive)
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    assert run("emodb", "--mirror", f"{server.url}/lab") == 0
    assert fetched() == WAVS
    assert "trying place/emodb.zip" in capsys.readouterr().err
    assert not Path("corpora/.emodb.part").exists()


def test_mirror_path_outside_the_folder_is_refused(server, offered, capsys):
    item = {"path": "../../escaped.wav", "size": None, "digests": {}}
    server.put("/lab/emodb/index.json", json.dumps({"source": "me", "items": [item]}).encode())
    server.put("/lab/emodb/files/../../escaped.wav", b"escaped")
    offered("emodb", plain(server))
    assert run("emodb", "--mirror", f"{server.url}/lab") == 1
    assert "leads out of the folder" in capsys.readouterr().err
    assert not list(Path(".").rglob("escaped.wav"))


def test_refetched_file_with_changed_content_is_refused(server, offered, capsys):
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
