"""fetch unpacks hostile and damaged archives safely."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from fetching import WAVS, known, nothing_half, one_line, plain, run, tarred, zipped

from sertool.errors import SertoolError
from sertool.internet import unpacking

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
def test_malformed_source_index_is_reported_in_one_line(kind, answer, server, offered, capsys):
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
def test_archive_member_outside_the_folder_is_refused(pack, name, server, offered, capsys):
    line = hostile(pack({"wav/03a01Wa.wav": b"voice", name: b"escaped"}), server, offered, capsys)
    assert "leads out of the folder" in line
    assert not list(Path(".").rglob("*escaped*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_tar_with_links_or_devices_is_refused(kind, server, offered, capsys):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("wav/03a01Wa.wav")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
        archive.addfile(tarfile.TarInfo("wav/03a01Wa.wav/x"))
    assert "link or a device" in hostile(stream.getvalue(), server, offered, capsys)


def test_zip_with_links_is_refused(server, offered, capsys):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        info = zipfile.ZipInfo("wav/03a01Wa.wav")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert "link or a device" in hostile(stream.getvalue(), server, offered, capsys)


@pytest.mark.parametrize("pack", [lambda files: zipped(files, zipfile.ZIP_DEFLATED), tarred])
def test_decompression_bomb_is_refused(pack, server, offered, capsys, monkeypatch):
    monkeypatch.setattr(unpacking, "LIMITS", unpacking.Limits(free=1 << 20))
    body = pack({"wav/03a01Wa.wav": bytes(20 << 20)})
    assert "in good faith" in hostile(body, server, offered, capsys)


def test_decompression_bomb_with_a_false_size_is_refused(server, offered, capsys, monkeypatch):
    monkeypatch.setattr(unpacking, "LIMITS", unpacking.Limits(free=1 << 20))
    body = zipped({"wav/03a01Wa.wav": bytes(20 << 20)}, zipfile.ZIP_DEFLATED)
    size = (20 << 20).to_bytes(4, "little")
    assert hostile(body.replace(size, (10).to_bytes(4, "little")), server, offered, capsys)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_archive_with_too_many_files_is_refused(pack, server, offered, capsys, monkeypatch):
    monkeypatch.setattr(unpacking, "LIMITS", unpacking.Limits(files=100))
    assert "more than 100 files" in hostile(pack({f"{n}.wav": b"" for n in range(101)}), server, offered, capsys)


def test_encrypted_archive_is_reported_as_encrypted(server, offered, capsys):
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
def test_truncated_or_damaged_archive_is_reported_in_one_line(name, server, offered, capsys):
    assert hostile(CUTS[name], server, offered, capsys)


def test_archive_names_are_checked_alike_on_all_systems():
    assert unpacking.safe("./a//b\\c.wav") == "a/b/c.wav"
    for name in (*NAMES, "", ".", "a\0b", "..", "a/.."):
        with pytest.raises(SertoolError):
            unpacking.safe(name)
