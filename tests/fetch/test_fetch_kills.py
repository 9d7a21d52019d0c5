"""fetch goes on after it was killed, and shows its progress."""

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import server as play
from fetching import (
    ARCHIVE,
    ROOT,
    WAVS,
    clips_of_cremad,
    fetched,
    noise,
    nothing_half,
    plain,
    ranges,
    repository,
    run,
)

from sertool import sources
from sertool.fetch import download_cache
from sertool.internet import downloading, unpacking
from sertool.system import talk

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
def test_killed_download_resumes(how, server, offered):
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


@pytest.mark.skipif(not hasattr(os, "sync"), reason="POSIX")
def test_what_is_fetched_is_on_disk_before_it_gets_its_name(server, offered, monkeypatch):
    server.put("/emodb.zip", ARCHIVE)
    offered("emodb", plain(server))
    calls, replace = [], os.replace

    def named(source: str | Path, target: str | Path) -> None:
        calls.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", lambda _: calls.append("fsync"))
    monkeypatch.setattr(os, "sync", lambda: calls.append("sync"))
    monkeypatch.setattr(os, "replace", named)
    assert run("emodb") == 0
    cached = ["fsync", "licence.txt", "fsync", "emodb.zip", "fsync", "index.json"]
    assert calls == [*cached, "sync", "fsync", "emodb.lock", "emodb"]


def test_killed_downloads_of_many_files_resume(server, offered):
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


def test_kill_while_unpacking_leaves_no_partial_corpus_visible(server, offered, monkeypatch):
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


def test_kill_between_lock_and_rename_is_repaired(server, offered, monkeypatch):
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


@pytest.mark.parametrize("size", [None, 3_600_000])
def test_progress_counts_bytes_with_or_without_a_known_total(size, server, monkeypatch, tmp_path):
    body = noise(3_600_000)
    server.put("/big", body, faults=[play.cut(1_000_000), None])
    totals, counted = [], []

    @contextmanager
    def counter(what: str, total: int | None):
        totals.append((what, total))
        yield counted.append

    monkeypatch.setattr(talk, "counter", counter)
    item = downloading.Item("big", f"{server.url}/big", size)
    items, came = download_cache.download_missing(tmp_path, sources.Plan((item,)), {}, 2, "x")
    assert totals == [("fetching x", size)]
    assert came == sum(counted) == len(body)
    assert [held.path for held in items] == ["big"]


def test_terminal_shows_bytes_rate_and_time_left(monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", stream)
    clock = [0]
    monkeypatch.setattr("tqdm.std.time", lambda: clock[0])
    with talk.counter("fetching x", 2_000_000) as advance:
        clock[0] = 2
        advance(700_000)
    shown = stream.getvalue().split("\r")
    assert any(re.search(r"fetching x: +35%.* 700k/2.00M \[00:02<00:03, 350kB/s\]", line) for line in shown), shown
