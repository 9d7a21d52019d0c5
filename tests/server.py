"""A local server that plays every kind of source, and breaks in every way.

The sources: HTTP ranges, Zenodo, Dataverse, GitHub's archives with Git LFS, Kaggle.
"""

import hashlib
import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

BLOCK = 4096


@dataclass
class Thing:
    """The content of an address, and its faults: each request uses one up; the last one stays."""

    body: bytes = b""
    etag: str | None = "auto"
    modified: str | None = None
    ranges: bool = True
    chunked: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    faults: deque[Callable | None] = field(default_factory=deque)
    check: Callable | None = None  # returns the status to refuse a request with, or None

    def tag(self) -> str | None:
        return f'"{hashlib.sha256(self.body).hexdigest()[:16]}"' if self.etag == "auto" else self.etag

    def fault(self) -> Callable | None:
        return self.faults.popleft() if len(self.faults) > 1 else (self.faults[0] if self.faults else None)


@dataclass
class Asked:
    """One request as it was received."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


class Server:
    """Serves things by path, and records the requests."""

    def __init__(self) -> None:
        self.things: dict[str, Thing] = {}
        self.asked: list[Asked] = []
        self.over = threading.Event()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_: None  # clients hang up on purpose here
        self.scheme = "http"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.http.server_port}"

    def encrypt(self, certificate: Path, key: Path) -> None:
        """Speak TLS from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.scheme = "https"

    def put(self, path: str, body: bytes = b"", **settings) -> Thing:
        faults = deque(settings.pop("faults", ()))
        self.things[path] = Thing(body, faults=faults, **settings)
        return self.things[path]

    def count(self, path: str) -> int:
        return sum(asked.path.partition("?")[0] == path for asked in self.asked)

    def close(self) -> None:
        self.over.set()
        self.http.shutdown()
        self.http.server_close()

    # Kinds of sources

    def zenodo(self, record: int, files: dict[str, bytes]) -> None:
        listed = []
        for name, body in files.items():
            self.put(f"/records/{record}/files/{name}", body)
            self.put(f"/api/records/{record}/files/{name}/content", body)
            link = {"self": f"{self.url}/api/records/{record}/files/{name}/content"}
            checksum = "md5:" + hashlib.md5(body).hexdigest()
            listed.append({"key": name, "size": len(body), "checksum": checksum, "links": link})
        self.put(f"/api/records/{record}", json.dumps({"id": record, "files": listed}).encode())

    def dataverse(self, doi: str, files: dict[str, bytes], restricted: bool = False) -> None:
        listed = []
        for number, (path, body) in enumerate(files.items(), 1):
            folder, _, name = path.rpartition("/")
            self.put(f"/api/access/datafile/{number}", body)
            data = {"id": number, "filename": name, "filesize": len(body),
                    "checksum": {"type": "MD5", "value": hashlib.md5(body).hexdigest()}}  # fmt: skip
            listed.append({"label": name, "restricted": restricted, "dataFile": data})
            if folder:
                listed[-1]["directoryLabel"] = folder

        def check(asked: Asked) -> int | None:
            return None if parse_qs(urlsplit(asked.path).query).get("persistentId") == [doi] else 404

        answer = {"status": "OK", "data": {"latestVersion": {"files": listed}}}
        self.put("/api/datasets/:persistentId/", json.dumps(answer).encode(), check=check)

    def kaggle(self, dataset: str, body: bytes, authorization: str | None) -> None:
        """Serve an archive from another host, which must not see the user's key."""

        def check(asked: Asked) -> int | None:
            return None if authorization is None or asked.headers.get("Authorization") == authorization else 401

        def keyless(asked: Asked) -> int | None:
            return 400 if "Authorization" in asked.headers else None

        self.put(f"/api/v1/datasets/download/{dataset}", check=check, faults=[redirect("/storage/archive?signature=s")])
        self.put("/storage/archive", body, check=keyless)

    def lfs(self, repository: str, objects: Iterable[bytes], lives: int = 10**9) -> "Lfs":
        """Serve the batch API of Git LFS; a link is valid for `lives` downloads."""
        held = Lfs(self, {hashlib.sha256(body).hexdigest(): body for body in objects}, lives)
        self.put(f"/{repository}.git/info/lfs/objects/batch", faults=[held.answer])
        for oid, body in held.objects.items():
            self.put(f"/media/{oid}", body, check=held.check)
        return held


class Lfs:
    """Answers batches of Git LFS, and checks whether links are still valid."""

    def __init__(self, server: Server, objects: dict[str, bytes], lives: int) -> None:
        self.server, self.objects, self.lives = server, objects, lives
        self.links: dict[str, int] = {}
        self.batches: list[dict] = []
        self.error: tuple[int, str] | None = None
        self.turn = threading.Lock()

    def answer(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        question = json.loads(asked.body)
        self.batches.append(question)
        kinds = (asked.headers.get("Accept"), asked.headers.get("Content-Type"), asked.method)
        if kinds != ("application/vnd.git-lfs+json", "application/vnd.git-lfs+json", "POST"):
            return _send(handler, 406, b"")
        if self.error:
            return _send(handler, self.error[0], json.dumps({"message": self.error[1]}).encode())
        if question["operation"] != "download" or not 1 <= len(question["objects"]) <= 100:
            return _send(handler, 422, b"{}")
        answers = [self.one(wanted["oid"], wanted["size"]) for wanted in question["objects"]]
        body = json.dumps({"transfer": "basic", "objects": answers, "hash_algo": "sha256"}).encode()
        return _send(handler, 200, body, {"Content-Type": "application/vnd.git-lfs+json"})

    def one(self, oid: str, size: int) -> dict:
        if oid not in self.objects:
            return {"oid": oid, "size": size, "error": {"code": 404, "message": "Object does not exist"}}
        with self.turn:
            key = f"key{len(self.links)}"
            self.links[key] = self.lives
        download = {"href": f"{self.server.url}/media/{oid}?key={key}", "header": {"X-Key": key}, "expires_in": 900}
        return {"oid": oid, "size": size, "authenticated": True, "actions": {"download": download}}

    def check(self, asked: Asked) -> int | None:
        key = parse_qs(urlsplit(asked.path).query)["key"][0]
        with self.turn:
            self.links[key] -= 1
            return 403 if self.links[key] < 0 or asked.headers.get("X-Key") != key else None


def pointer(body: bytes) -> bytes:
    oid = hashlib.sha256(body).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(body)}\n".encode()


# Faults


def status(code: int, body: bytes = b"", **headers: str) -> Callable:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, _asked: _send(handler, code, body, named)


def redirect(to: str, code: int = 302) -> Callable:
    return lambda handler, _asked: _send(handler, code, b"", {"Location": to})


def cut(after: int) -> Callable:
    """Break the connection after some bytes of the body."""

    def act(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        start, body = _asked_part(handler, asked)
        _head(handler, start, body)
        handler.wfile.write(body[:after])

    return act


def whole_again(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
    """Ignore ranges."""
    _send(handler, 200, handler.thing.body)


def other_part(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
    """Send another range than was asked for."""
    body = handler.thing.body
    _send(handler, 206, body[1:], {"Content-Range": f"bytes 1-{len(body) - 1}/{len(body)}"})


def says_longer(by: int) -> Callable:
    return lambda handler, _asked: _send(
        handler, 200, handler.thing.body, {"Content-Length": str(len(handler.thing.body) + by)}
    )


def silent(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
    handler.owner.over.wait(30)


def drip_head(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
    """Send a header that never ends, byte by byte."""
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not handler.owner.over.wait(0.02):
            handler.wfile.write(b"a")


def cut_head(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: applica")


def drip(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
    """Send the body byte by byte."""
    start, body = _asked_part(handler, asked)
    with suppress(OSError):
        _head(handler, start, body)
        for place in range(len(body)):
            handler.wfile.write(body[place : place + 1])
            if handler.owner.over.wait(0.02):
                return


def endless(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
    with suppress(OSError):
        handler.send_response(200)
        handler.end_headers()
        while not handler.owner.over.is_set():
            handler.wfile.write(b"\0" * (1 << 16))


def slowly(pause: float) -> Callable:
    """Send the whole body, with a pause after each block."""

    def act(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        start, body = _asked_part(handler, asked)
        _head(handler, start, body)
        for place in range(0, len(body), BLOCK):
            handler.wfile.write(body[place : place + BLOCK])
            time.sleep(pause)

    return act


# HTTP


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        owner = server

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            asked = Asked(self.command, self.path, dict(self.headers), self.rfile.read(length))
            server.asked.append(asked)
            self.close_connection = True
            self.thing = server.things.get(urlsplit(self.path).path)
            with suppress(OSError):
                self.reply(asked)

        do_POST = do_GET  # noqa: N815

        def reply(self, asked: Asked) -> None:
            refused = self.thing.check(asked) if self.thing and self.thing.check else None
            if self.thing is None or refused:
                return _send(self, refused or 404, b"not here")
            act = self.thing.fault() or _serve
            return act(self, asked)

        def log_message(self, *_: object) -> None:
            return

    return Handler


def _serve(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
    thing = handler.thing
    if thing.chunked:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for place in range(0, len(thing.body), BLOCK):
            block = thing.body[place : place + BLOCK]
            handler.wfile.write(f"{len(block):x}\r\n".encode() + block + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")
        return None
    start, body = _asked_part(handler, asked)
    if start is not None and start >= len(thing.body):
        return _send(handler, 416, b"", {"Content-Range": f"bytes */{len(thing.body)}"})
    _head(handler, start, body)
    handler.wfile.write(body)
    return None


def _asked_part(handler: BaseHTTPRequestHandler, asked: Asked) -> tuple[int | None, bytes]:
    """Return where the requested range begins, or None if it is not valid, and the bytes to send."""
    thing, wanted = handler.thing, asked.headers.get("Range", "")
    condition = asked.headers.get("If-Range")
    if not (thing.ranges and wanted) or (condition and condition not in (thing.tag(), thing.modified)):
        return None, thing.body
    start = int(wanted.removeprefix("bytes=").partition("-")[0])
    return start, thing.body[start:]


def _head(handler: BaseHTTPRequestHandler, start: int | None, body: bytes) -> None:
    thing = handler.thing
    handler.send_response(200 if start is None else 206)
    handler.send_header("Content-Length", str(len(body)))
    if start is not None:
        handler.send_header("Content-Range", f"bytes {start}-{len(thing.body) - 1}/{len(thing.body)}")
    for name, value in {"ETag": thing.tag(), "Last-Modified": thing.modified, **thing.headers}.items():
        if value:
            handler.send_header(name, value)
    handler.end_headers()


def _send(handler: BaseHTTPRequestHandler, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    handler.send_response(code)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)
