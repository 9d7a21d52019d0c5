"""Download a file: continue a partial download, and check size and digests before renaming it.

A file is written as NAME.part. NAME.part.tag holds the server's tag of that version, so that a download is continued
only if the file has not changed (If-Range).
"""

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sertool.errors import SertoolError, reason
from sertool.internet import web
from sertool.internet.web import Damaged, Refused, Reply, Retry, Stopped
from sertool.system.files import UNFINISHED, size

TAG = ".tag"
ENDLESS = 10**12  # the greatest length of a body of unknown length
EXPIRED = (400, 401, 403, 404, 410)  # statuses of links that have expired


@dataclass(frozen=True)
class Item:
    """One file of a source: its address, its published size and digests, and how it is unpacked."""

    path: str  # its name, with / between folders
    url: str = ""
    size: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)  # {"md5": ..., "sha256": ...}, as far as published
    unpack: bool = False
    into: str | None = None  # the folder for its members, without a top folder shared by all
    strip: bool = False  # whether to drop the first folder of each member's path
    take: tuple[str, ...] = ()  # patterns of the wanted members; all if empty
    lasting: bool = True  # whether the address always gives the same bytes, unlike the archive of a branch


@dataclass(frozen=True)
class Control:
    """Stops a download, and counts its bytes."""

    stop: threading.Event = field(default_factory=threading.Event)
    advance: Callable[[int], None] = lambda _count: None


Link = tuple[str, Mapping[str, str]]  # an address, and the headers of the request
Locate = Callable[[Item, bool], Link | None]  # returns an item's link; with True a new one, or None if there is none


def download(item: Item, target: Path, locate: Locate, control: Control) -> None:
    """Download an item to `target`, continuing a partial download; it is renamed once it is complete and checked."""
    part = target.with_name(target.name + UNFINISHED)
    target.parent.mkdir(parents=True, exist_ok=True)
    control.advance(_length(part))
    for last in (False, True):
        try:
            web.with_retries(
                partial(_attempt_or_restart, item, part, locate, control), partial(_length, part), control.stop
            )
            check(item, part)
            break
        except Damaged:  # once more from the start: the earlier part may have been damaged
            if not _discard(part, control) or last:
                raise
    os.replace(part, target)
    _discard(part, control)


def _attempt_or_restart(item: Item, part: Path, locate: Locate, control: Control) -> None:
    """Make one attempt; remove the partial download if it is useless."""
    try:
        _attempt_or_relocate(item, part, locate, control)
    except Retry as retry:
        if retry.restart:
            _discard(part, control)
        raise


def _attempt_or_relocate(item: Item, part: Path, locate: Locate, control: Control) -> None:
    """Make one attempt, with a new link if the old one has expired."""
    try:
        _attempt(item, part, locate(item, False) or (item.url, {}), control)
    except Refused as refused:
        link = locate(item, True) if refused.status in EXPIRED else None
        if link is None:
            raise
        _attempt(item, part, link, control)


def _attempt(item: Item, part: Path, link: Link, control: Control) -> None:
    have, tag = _downloaded_part(item, part)
    if item.size is not None and have == item.size:
        part.touch()  # creates a file of no bytes
        return
    url, headers = link
    with web.opened(web.Request(url, headers, have, tag)) as reply:
        if item.size is not None and reply.total not in (None, item.size):
            raise Damaged(f"{web.plain(url)} has {reply.total:,} bytes, not the {item.size:,} published")
        if reply.start == 0:
            _discard(part, control)
            _note_tag(part, reply)
        _write(item, part, reply.start, _counted(web.blocks(reply, url), control))
        web.refuse_cut(reply, url, _length(part))


def _downloaded_part(item: Item, part: Path) -> tuple[int, str | None]:
    """Return the bytes to continue from, and their tag; 0 if mixing two versions could go unnoticed."""
    have = _length(part)
    with contextlib.suppress(OSError, ValueError):
        return have, part.with_name(part.name + TAG).read_text(encoding="ascii")
    return (have if item.digests and have <= (item.size or ENDLESS) else 0), None


def _note_tag(part: Path, reply: Reply) -> None:
    if reply.tag and reply.tag.isascii():
        part.with_name(part.name + TAG).write_text(reply.tag, encoding="ascii")


def _counted(blocks: Iterable[bytes], control: Control) -> Iterator[bytes]:
    for block in blocks:
        yield block
        control.advance(len(block))
        if control.stop.is_set():
            raise Stopped("stopped")


def _write(item: Item, part: Path, start: int, blocks: Iterable[bytes]) -> None:
    """Append to the partial file, unbuffered, so that a killed process keeps what it received."""
    left = (item.size or ENDLESS) - start
    try:
        with part.open("r+b" if start else "wb", buffering=0) as stream:
            stream.seek(start)
            for block in blocks:
                rest = memoryview(block)
                while rest:  # on an almost full disk a write may be partial
                    rest = rest[stream.write(rest) :]
                left -= len(block)
                if left < 0:
                    raise Damaged(f"{item.path} is longer than the {size(item.size or ENDLESS)} published")
            os.fsync(stream.fileno())
    except OSError as error:
        raise SertoolError(f"cannot write {part}: {reason(error)}") from None


def _length(part: Path) -> int:
    with contextlib.suppress(OSError):
        return part.stat().st_size
    return 0


def _discard(part: Path, control: Control) -> bool:
    """Remove a partial download; return whether it had any bytes."""
    length = _length(part)
    control.advance(-length)
    for name in (part.name, part.name + TAG):  # the bytes first: a tag must never accompany another version's
        part.with_name(name).unlink(missing_ok=True)
    return length > 0


def check(item: Item, path: Path) -> None:
    """Raise Damaged if a file differs from the published size or digests."""
    if item.size is not None and (size := path.stat().st_size) != item.size:
        raise Damaged(f"{item.path} has {size:,} bytes, not the {item.size:,} published")
    for name, digest in digests(path, tuple(item.digests)).items():
        if digest != item.digests[name]:
            raise Damaged(f"the {name.upper()} of {item.path} is {digest}, not {item.digests[name]}")


def digests(path: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Compute digests of a file in one pass."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
    with path.open("rb") as stream:
        while hashes and (block := stream.read(1 << 20)):
            for hasher in hashes.values():
                hasher.update(block)
    return {name: hasher.hexdigest() for name, hasher in hashes.items()}
