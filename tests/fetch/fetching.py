"""Archives, and short ways to fetch them from a local server."""

import hashlib
import io
import random
import tarfile
import zipfile
from pathlib import Path

import server as play

from sertool import cli
from sertool.internet import web

ROOT = Path(__file__).resolve().parents[2]
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


def ranges(server) -> list[str | None]:
    return [asked.headers.get("Range") for asked in server.asked]
