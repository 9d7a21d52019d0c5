"""fetch over connections that break, stall or lie."""

import hashlib
import shutil
import subprocess
import time
from email.utils import formatdate
from pathlib import Path

import pytest
import server as play
from fetching import (
    ARCHIVE,
    HASTE,
    WAVS,
    clips_of_cremad,
    fetched,
    known,
    noise,
    nothing_half,
    one_line,
    plain,
    ranges,
    repository,
    run,
    zipped,
)

from sertool.internet import downloading


def trouble(server, offered, *faults, body: bytes = ARCHIVE, **facts) -> play.Thing:
    thing = server.put("/emodb.zip", body, faults=[*faults])
    offered("emodb", plain(server, **facts))
    return thing


@pytest.mark.parametrize("facts", [{}, known(ARCHIVE)], ids=["unknown", "known"])
def test_interrupted_download_resumes_where_it_stopped(facts, server, offered):
    trouble(server, offered, play.cut(30_000), play.cut(40_000), None, **facts)
    assert run("emodb") == 0
    assert fetched() == WAVS
    assert ranges(server) == [None, "bytes=30000-", "bytes=70000-"]
    assert all("If-Range" in asked.headers for asked in server.asked[1:])


def test_interruptions_with_progress_do_not_use_up_retries(server, offered):
    trouble(server, offered, *[play.cut(10_000)] * 10, None)
    assert run("emodb") == 0
    assert len(server.asked) == 11


def test_interruptions_without_progress_fail_after_limited_attempts(server, offered, capsys):
    trouble(server, offered, play.cut(0))
    assert run("emodb") == 1
    assert "was cut after" in one_line(capsys)
    assert len(server.asked) == HASTE.attempts
    assert nothing_half()


def test_file_changed_during_download_is_not_mixed_with_the_old(server, offered):
    thing = trouble(server, offered, play.cut(30_000), None)
    other = {name: body[::-1] for name, body in WAVS.items()}

    def change(handler, asked):
        thing.body = zipped(other)
        play._serve(handler, asked)

    thing.faults = type(thing.faults)([play.cut(30_000), change, None])
    assert run("emodb") == 0
    assert fetched() == other


def test_ignored_or_wrong_ranges_do_not_corrupt_the_file(server, offered):
    for fault in (play.whole_again, play.other_part):
        trouble(server, offered, play.cut(30_000), fault, None)
        assert run("emodb") == 0
        assert fetched() == WAVS
        shutil.rmtree("corpora")
        shutil.rmtree("cache")


def test_download_without_etag_resumes_only_if_its_digest_is_known(server, offered):
    for facts, expected in (({}, [None, None]), (known(ARCHIVE), [None, "bytes=30000-"])):
        thing = trouble(server, offered, play.cut(30_000), None, **facts)
        thing.etag = None
        assert run("emodb") == 0
        assert fetched() == WAVS
        assert ranges(server) == expected
        server.asked.clear()
        shutil.rmtree("corpora")
        shutil.rmtree("cache")


def test_weak_etag_is_ignored_in_favour_of_last_modified(server, offered):
    thing = trouble(server, offered, play.cut(30_000), None)
    thing.etag, thing.modified = 'W/"weak"', "Wed, 21 Oct 2015 07:28:00 GMT"
    assert run("emodb") == 0
    assert server.asked[1].headers["If-Range"] == thing.modified


def test_complete_partial_file_is_used_without_another_download(server, offered):
    thing = trouble(server, offered)
    part = Path("cache/emodb/files/emodb.zip.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(ARCHIVE)
    Path(f"{part}.tag").write_text(thing.tag())
    assert run("emodb") == 0
    assert fetched() == WAVS
    assert ranges(server) == [f"bytes={len(ARCHIVE)}-"]


@pytest.mark.parametrize("facts", [{}, known(ARCHIVE)], ids=["unknown", "known"])
def test_oversized_partial_file_is_downloaded_anew(facts, server, offered):
    thing = trouble(server, offered, **facts)
    part = Path("cache/emodb/files/emodb.zip.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(ARCHIVE + b"more")
    Path(f"{part}.tag").write_text(thing.tag())
    assert run("emodb") == 0
    assert fetched() == WAVS


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_busy_server_is_retried(code, server, offered):
    trouble(server, offered, play.status(code), play.status(code), None)
    assert run("emodb") == 0
    assert len(server.asked) == 3


@pytest.mark.parametrize("date", [False, True])
def test_retry_after_delay_is_respected(date, server, offered):
    after = formatdate(time.time() + 2, usegmt=True) if date else "0.5"
    trouble(server, offered, play.status(503, Retry_After=after), None)
    start = time.monotonic()
    assert run("emodb") == 0
    assert time.monotonic() - start > 0.4


def test_too_long_retry_after_ends_the_fetch(server, offered, capsys):
    trouble(server, offered, play.status(429, Retry_After="3600"))
    assert run("emodb") == 1
    assert "asks to wait 3600 s" in one_line(capsys)
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 451])
def test_client_error_is_reported_and_not_retried(code, server, offered, capsys):
    trouble(server, offered, play.status(code, b'{"message": "in its own words"}'))
    assert run("emodb") == 1
    line = one_line(capsys)
    assert f"{code} in its own words" in line
    assert "/emodb.zip" in line
    assert len(server.asked) == 1


def test_signatures_in_urls_are_not_shown(server, offered, capsys):
    offered("emodb", plain(server, "/gone.zip?signature=secret"))
    assert run("emodb") == 1
    assert "secret" not in one_line(capsys)


def test_redirects_are_followed_and_loops_are_refused(server, offered, capsys):
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
def test_redirects_to_other_schemes_are_refused(to, server, offered, capsys):
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


def test_untrusted_certificate_is_refused(encrypted, offered, capsys):
    trouble(encrypted, offered)
    assert run("emodb") == 1
    assert "certificate" in one_line(capsys)
    encrypted.trust()
    assert run("emodb") == 0
    assert fetched() == WAVS


def test_interrupted_https_download_recovers(encrypted, offered):
    encrypted.trust()
    trouble(encrypted, offered, play.cut(30_000), play.drip_head, None)
    assert run("emodb") == 0
    assert fetched() == WAVS


def test_redirect_from_https_to_http_is_refused(encrypted, offered, capsys):
    encrypted.trust()
    trouble(encrypted, offered, play.redirect(encrypted.url.replace("https", "http") + "/moved"))
    assert run("emodb") == 1
    assert "not safe" in one_line(capsys)


@pytest.mark.parametrize("fault", [play.silent, play.drip_head, play.drip])
def test_silent_or_trickling_server_is_abandoned(fault, server, offered, capsys):
    trouble(server, offered, fault)
    start = time.monotonic()
    assert run("emodb") == 1
    assert time.monotonic() - start < 20
    assert "emodb.zip: no answer for" in one_line(capsys) or fault is play.drip
    assert len(server.asked) == HASTE.attempts
    assert nothing_half()


@pytest.mark.parametrize("facts", [{}, known(ARCHIVE)], ids=["unknown", "known"])
def test_truncated_response_header_is_not_taken_for_an_empty_file(facts, server, offered):
    trouble(server, offered, play.cut_head, play.cut_head, None, **facts)
    assert run("emodb") == 0
    assert fetched() == WAVS


def test_download_succeeds_after_slow_first_attempts(server, offered):
    trouble(server, offered, play.silent, play.drip, None)
    assert run("emodb") == 0
    assert fetched() == WAVS


def test_wrong_digest_is_retried_once_and_then_refused(server, offered, capsys):
    trouble(server, offered, body=ARCHIVE[:-1] + b"x", **known(ARCHIVE))
    assert run("emodb") == 1
    line = one_line(capsys)
    assert "SHA256" in line
    assert "emodb.zip" in line
    assert ranges(server) == [None, None]
    assert not list(Path("cache").rglob("emodb.zip*"))
    assert nothing_half()


def test_damaged_partial_file_is_downloaded_anew(server, offered):
    thing = trouble(server, offered, **known(ARCHIVE))
    part = Path("cache/emodb/files/emodb.zip.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 30_000)
    Path(f"{part}.tag").write_text(thing.tag())
    assert run("emodb") == 0
    assert ranges(server) == ["bytes=30000-", None]


@pytest.mark.parametrize("facts", [{}, known(ARCHIVE)], ids=["unknown", "known"])
@pytest.mark.parametrize("by", [-5000, 5000])
def test_download_of_wrong_length_is_refused(by, facts, server, offered, capsys):
    trouble(server, offered, play.says_longer(by), **facts)
    assert run("emodb") == 1
    assert one_line(capsys)
    assert nothing_half()


def test_endless_download_is_aborted(server, offered, capsys):
    trouble(server, offered, play.endless, **known(ARCHIVE))
    assert run("emodb") == 1
    assert "longer than" in one_line(capsys)


def test_web_page_in_place_of_an_archive_is_refused(server, offered, capsys):
    trouble(server, offered, body=b"<html>Please log in</html>")
    assert run("emodb") == 1
    assert "no zip or tar" in one_line(capsys)
    assert not Path("cache/emodb/files/emodb.zip").exists()


def test_unreachable_host_is_named(server, offered, capsys):
    offered("emodb", {"kind": "https", "home": "place", "files": {"a.zip": {"url": "http://127.0.0.1:9/a.zip"}}})
    assert run("emodb") == 1
    assert "127.0.0.1:9" in one_line(capsys)


def test_all_failed_sources_are_named_in_one_line(server, offered, capsys):
    server.put("/b.zip", faults=[play.status(503)])
    server.put("/c.zip", b"no archive")
    offered("emodb", *(plain(server, f"/{name}.zip", f"{name}.zip") for name in "abc"))
    assert run("emodb") == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert all(f"place/{name}.zip: " in lines[-1] for name in "abc")
    assert sum("; trying place/" in line for line in lines) == 2


def test_one_failed_file_aborts_the_whole_fetch(server, offered, capsys):
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


def test_discarded_bytes_are_not_counted_twice(server, tmp_path):
    body = noise(50_000)
    server.put("/x", body, faults=[play.cut(20_000), play.whole_again])
    counted = []
    line = downloading.Control(advance=counted.append)
    downloading.download(downloading.Item("x", f"{server.url}/x"), tmp_path / "x", lambda item, _: (item.url, {}), line)
    assert sum(counted) == len(body)


@pytest.mark.parametrize("size", [0, None])
def test_empty_file_is_downloaded(server, tmp_path, size):
    server.put("/x", b"")
    item = downloading.Item("x", f"{server.url}/x", size, {"md5": hashlib.md5(b"", usedforsecurity=False).hexdigest()})
    downloading.download(item, tmp_path / "x", lambda item, _: (item.url, {}), downloading.Control())
    assert (tmp_path / "x").read_bytes() == b""
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_partial_file_is_removed_when_the_published_file_is_empty(server, tmp_path):
    server.put("/x", b"")
    (tmp_path / "x.part").write_bytes(b"other")
    item = downloading.Item("x", f"{server.url}/x", 0)
    downloading.download(item, tmp_path / "x", lambda item, _: (item.url, {}), downloading.Control())
    assert (tmp_path / "x").read_bytes() == b""


def test_unresumable_partial_file_restarts_with_a_renewed_link(server, tmp_path):
    thing = server.put("/new", b"new")
    (tmp_path / "x.part").write_bytes(b"too many bytes")
    (tmp_path / "x.part.tag").write_text(thing.tag())
    item = downloading.Item("x", f"{server.url}/expired")
    link = (f"{server.url}/new", {})
    downloading.download(item, tmp_path / "x", lambda _, anew: link if anew else None, downloading.Control())
    assert (tmp_path / "x").read_bytes() == b"new"
