"""HTTP requests with streamed bodies and retries."""

import contextlib
import email.utils
import http.client
import json
import os
import random
import re
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from sertool import __version__
from sertool.errors import SertoolError, reason
from sertool.system import talk
from sertool.system.files import size

AGENT = f"sertool/{__version__}"
BLOCK_BYTES = 1 << 16
BUSY = (408, 425, 429, 500, 502, 503, 504)  # statuses that are worth another attempt
DOCUMENT = 64 << 20  # the longest document read into memory


@dataclass(frozen=True)
class Patience:
    """Timeouts and retries."""

    silence: float = 30.0  # seconds without a byte
    head: float = 60.0  # seconds until the response begins
    slowest: float = 1000.0  # least bytes a second, averaged over `silence`
    attempts: int = 5  # failures in a row before giving up
    pause: float = 1.0  # seconds before the second attempt, then doubling
    longest: float = 120.0  # the longest Retry-After that is accepted, in seconds

    @property
    def least_progress(self) -> float:
        """The bytes an attempt must bring to count as progress; else a very slow server would hold us for ever."""
        return self.slowest * self.silence


PATIENCE = Patience()


class Refused(SertoolError):
    """The server refuses, and a retry would not help."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Damaged(SertoolError):
    """The content is not what was published."""


class Unreachable(SertoolError):
    """The server failed repeatedly."""


class Stopped(SertoolError):
    """The download was stopped because another one failed."""


class Retry(Exception):
    """An attempt failed and may be repeated; with `restart`, the partial download is useless."""

    def __init__(self, text: str, wait: float | None = None, *, restart: bool = False) -> None:
        super().__init__(text)
        self.wait, self.restart = wait, restart


@dataclass(frozen=True)
class Request:
    """A request: the address, the number of bytes already there, and the server's tag of that version."""

    url: str
    headers: Mapping[str, str]
    have: int = 0
    tag: str | None = None
    data: bytes | None = None


@dataclass(frozen=True)
class Reply:
    """A response body, from byte `start` on."""

    stream: Any  # has read1 and close
    start: int
    total: int | None
    tag: str | None


def ask(url: str, headers: Mapping[str, str] | None = None, data: bytes | None = None) -> bytes:
    """Return a document, such as an index; with `data` by POST."""
    document = bytearray()

    def attempt() -> None:
        document.clear()
        with opened(Request(url, headers or {}, data=data)) as reply:
            for block in blocks(reply, url):
                document.extend(block)
                if len(document) > DOCUMENT:
                    raise Damaged(f"{plain(url)} is longer than {size(DOCUMENT)}")
            refuse_cut(reply, url, len(document))

    with_retries(attempt, int, threading.Event())
    return bytes(document)


def ask_json(url: str, headers: Mapping[str, str] | None = None, data: bytes | None = None) -> dict[str, Any]:
    try:
        answer = json.loads(ask(url, headers, data))
    except ValueError:
        raise Damaged(f"{plain(url)} does not answer in JSON") from None
    if not isinstance(answer, dict):
        raise Damaged(f"{plain(url)} answers something else than was asked")
    return answer


def with_retries(attempt: Callable[[], None], progress: Callable[[], int], stop: threading.Event) -> None:
    """Repeat an attempt until it succeeds, or too many in a row bring hardly any progress; the pauses double."""
    failures = 0
    while True:
        before = progress()
        try:
            return attempt()
        except Retry as error:
            failures = 1 if progress() - before > PATIENCE.least_progress else failures + 1
            if failures >= PATIENCE.attempts:
                raise Unreachable(str(error)) from None
            wait = _pause(failures) if error.wait is None else error.wait
            if wait > PATIENCE.longest:
                raise Unreachable(f"{error}, and asks to wait {wait:.0f} s: try again later") from None
            talk.detail(f"{error}: trying again in {wait:.1f} s")
            if stop.wait(wait):
                raise Stopped("stopped") from None


def _pause(failures: int) -> float:
    """Return the seconds before the next attempt, randomised so that clients do not retry in step."""
    return PATIENCE.pause * 2 ** (failures - 1) * random.uniform(0.5, 1.0)


def plain(url: str) -> str:
    """Return an address for messages, without its query, which may hold keys."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextlib.contextmanager
def opened(request: Request) -> Iterator[Reply]:
    """Open the response to a request to a server or a `file:` address."""
    reply = _local(request) if request.url.startswith("file:") else _remote(request)
    with contextlib.closing(reply.stream):
        yield reply


def blocks(reply: Reply, url: str) -> Iterator[bytes]:
    """Yield the body; raise Retry if the server is too slow."""
    received = marked = 0
    since = time.monotonic()
    while True:
        with _in_plain_words(url):
            block = reply.stream.read1(BLOCK_BYTES)
        if not block:
            return
        yield block
        received += len(block)
        waited = time.monotonic() - since
        if waited > PATIENCE.silence:
            if received - marked < PATIENCE.least_progress:
                raise Retry(f"{plain(url)} gives less than {size(PATIENCE.slowest)} a second")
            marked, since = received, since + waited


def refuse_cut(reply: Reply, url: str, received: int) -> None:
    if reply.total is None and not received:  # a truncated header looks like this, and no file is empty
        raise Retry(f"{plain(url)} gave nothing")
    if reply.total is not None and received < reply.total:
        raise Retry(f"{plain(url)} was cut after {size(received)} of {size(reply.total)}")


def _local(request: Request) -> Reply:
    path = urllib.request.url2pathname(urlsplit(request.url).path)
    try:
        stream: BinaryIO = open(path, "rb")  # noqa: SIM115 (closed by whoever reads it)
        status = os.fstat(stream.fileno())
    except OSError as error:
        raise Refused(f"cannot read {path}: {reason(error)}", 404) from None
    tag = f"{status.st_size}-{status.st_mtime_ns}"
    start = request.have if request.tag == tag else 0
    stream.seek(start)
    return Reply(stream, start, status.st_size, tag)


def _remote(request: Request) -> Reply:
    outgoing = urllib.request.Request(request.url, request.data, {"User-Agent": AGENT})
    for name, value in request.headers.items():
        outgoing.add_unredirected_header(name, value)  # not sent to other hosts
    if request.have:
        outgoing.add_header("Range", f"bytes={request.have}-")
        if request.tag:
            outgoing.add_header("If-Range", request.tag)
    opener = urllib.request.build_opener(_Plain, _Secure, _Redirects)
    try:
        with _in_plain_words(request.url):
            answer = opener.open(outgoing, timeout=PATIENCE.silence)
    except urllib.error.HTTPError as error:
        return _refusal(error, request)
    length = answer.headers.get("Content-Length") or ""
    start, total = _range(answer) if answer.status == 206 else (0, int(length) if length.isdigit() else None)
    if answer.status == 206 and start != request.have:
        answer.close()
        raise Retry(f"{plain(request.url)} gave another part than was asked for", restart=True)
    return Reply(answer, start, total, _tag(answer.headers))


def _range(answer: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Return the first byte of a partial response, and the length of the whole; -1 if it is malformed."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", "").strip())
    if not match:
        return -1, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _tag(headers: Mapping[str, str]) -> str | None:
    """Return what identifies this version of a file; a weak ETag does not."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified")


def _refusal(error: urllib.error.HTTPError, request: Request) -> Reply:
    """Raise the error of a status; 416 may mean that the file was already complete."""
    with contextlib.closing(error):
        if error.code == 416 and request.have:
            total = error.headers.get("Content-Range", "").rpartition("/")[2]
            if total == str(request.have):
                return Reply(_Nothing(), request.have, request.have, request.tag)
            raise Retry(f"{plain(request.url)} is shorter than what was there of it", restart=True)
        message = f"{plain(request.url)} answers {_explanation(error)}"
    if error.code in BUSY:
        raise Retry(message, _wait(error.headers.get("Retry-After")))
    raise Refused(message, error.code)


class _Nothing:
    """An empty body."""

    def read1(self, _count: int) -> bytes:
        return b""

    def close(self) -> None:
        return


def _explanation(error: urllib.error.HTTPError) -> str:
    """Return status and reason, or the server's own explanation if it is JSON."""
    words = str(error.reason or "").partition("\n")[0]
    with contextlib.suppress(Exception):  # an explanation is optional
        words = json.loads(error.read(BLOCK_BYTES))["message"] or words
    return f"{error.code} {words}".strip()[:200]


def _wait(text: str | None) -> float | None:
    """Return the seconds of a Retry-After, which may be a date."""
    if not text:
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(text))
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return None


@contextlib.contextmanager
def _in_plain_words(url: str) -> Iterator[None]:
    """Turn network errors into plain words; HTTP statuses are left to the caller."""
    try:
        yield
    except urllib.error.HTTPError:
        raise
    except http.client.InvalidURL as error:
        raise Refused(f"{plain(url)}: {error}") from None
    except (OSError, http.client.HTTPException) as error:
        cause = getattr(error, "reason", error)
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise Refused(f"{urlsplit(url).hostname} shows a certificate that is not valid") from None
        raise Retry(f"{plain(url)}: {_words(cause)}") from None
    except ValueError as error:
        raise Refused(f"{plain(url)}: {error}") from None


def _words(cause: object) -> str:
    if isinstance(cause, TimeoutError):
        return f"no answer for {PATIENCE.silence:.0f} s"
    if isinstance(cause, socket.gaierror):
        return "no such host, or no network"
    if isinstance(cause, (http.client.HTTPException, ssl.SSLError)):
        return "the connection broke"
    return reason(cause) if isinstance(cause, OSError) else str(cause)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """A limited number of redirects, never from HTTPS to HTTP."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new not in ("http", "https") or (old, new) == ("https", "http"):
            raise Refused(f"{plain(req.full_url)} leads to {plain(newurl)}, which is not safe", code)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Hurried(http.client.HTTPConnection):
    """A connection whose response must begin in time, even if its bytes trickle in."""

    def getresponse(self) -> http.client.HTTPResponse:
        late = threading.Event()
        guard = threading.Timer(PATIENCE.head, self._hang_up, (late,))
        guard.daemon = True
        guard.start()
        try:
            response = super().getresponse()
        except (OSError, http.client.HTTPException):
            if not late.is_set():
                raise
        finally:
            guard.cancel()
        if late.is_set():
            raise TimeoutError
        return response

    def _hang_up(self, late: threading.Event) -> None:
        late.set()
        with contextlib.suppress(OSError, AttributeError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # past TLS, which another thread is reading


class _HurriedSecure(_Hurried, http.client.HTTPSConnection):
    pass


class _Plain(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_Hurried, req)


class _Secure(urllib.request.HTTPSHandler):
    _context: ssl.SSLContext

    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_HurriedSecure, req, context=self._context)
