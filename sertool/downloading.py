"""One address to one file: a download is continued where it was cut, and its size and digests are checked before it is
renamed.

A file is written as NAME.part. NAME.part.tag holds what the server called that version of it, so that it is continued
only if it is the same one still (If-Range).
"""

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sertool import web
from sertool.errors import SertoolError
from sertool.files import UNFINISHED, reason, size
from sertool.web import Damaged, Refused, Reply, Retry, Stopped

TAG = ".tag"
ENDLESS = 10**12  # the longest body of unknown length
EXPIRED = (400, 401, 403, 404, 410)  # what a link may answer that held once


@dataclass(frozen=True)
class Item:
    """One file of a source: where it is, what is known of it, and how it is unpacked."""

    path: str  # its name, with / between folders
    url: str = ""
    size: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)  # {"md5": ..., "sha256": ...}, as far as published
    unpack: bool = False
    into: str | None = None  # the folder for what it holds, less a top folder that all of it shares
    strip: bool = False  # without the first folder of each member's path
    take: tuple[str, ...] = ()  # patterns of the members that are wanted; all where there are none
    lasting: bool = True  # whether its address gives the same bytes ever after; the archive of a branch does not


@dataclass(frozen=True)
class Control:
    """Stops a download, and counts its bytes."""

    stop: threading.Event = field(default_factory=threading.Event)
    advance: Callable[[int], None] = lambda _count: None


Link = tuple[str, Mapping[str, str]]  # an address, and the headers to ask it with
Locate = Callable[[Item, bool], Link | None]  # a link for an item; with True a new one, or None where there is no other


def download(item: Item, target: Path, locate: Locate, control: Control) -> None:
    """Download an item to `target`, complete and checked, continuing what is there of it already."""
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
        except Damaged:  # once more from the start: what was continued may have been damaged before
            if not _discard(part, control) or last:
                raise
    os.replace(part, target)
    _discard(part, control)


def _attempt_or_restart(item: Item, part: Path, locate: Locate, control: Control) -> None:
    """One attempt, after which nothing is left that is of no use."""
    try:
        _attempt_or_relocate(item, part, locate, control)
    except Retry as retry:
        if retry.restart:
            _discard(part, control)
        raise


def _attempt_or_relocate(item: Item, part: Path, locate: Locate, control: Control) -> None:
    """One attempt, with a new link where the old one has expired."""
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
        part.touch()  # a file of no bytes is there only now
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
    """How many bytes there are to continue, and their tag; 0 where a mixture of two versions would go unnoticed."""
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
    """Append to what is there; without a buffer, so that a killed process leaves what it got."""
    left = (item.size or ENDLESS) - start
    try:
        with part.open("r+b" if start else "wb", buffering=0) as stream:
            stream.seek(start)
            for block in blocks:
                rest = memoryview(block)
                while rest:  # of an almost full disk, the system may take a part
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
    """Remove what was downloaded of an item; whether there was anything."""
    length = _length(part)
    control.advance(-length)
    for name in (part.name, part.name + TAG):  # the bytes first: a tag must never stand beside another version's
        part.with_name(name).unlink(missing_ok=True)
    return length > 0


def check(item: Item, path: Path) -> None:
    """Compare a file with what is published of it."""
    if item.size is not None and (size := path.stat().st_size) != item.size:
        raise Damaged(f"{item.path} has {size:,} bytes, not the {item.size:,} published")
    for name, digest in digests(path, tuple(item.digests)).items():
        if digest != item.digests[name]:
            raise Damaged(f"the {name.upper()} of {item.path} is {digest}, not {item.digests[name]}")


def digests(path: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Digests of a file, in one pass."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
    with path.open("rb") as stream:
        while hashes and (block := stream.read(1 << 20)):
            for hasher in hashes.values():
                hasher.update(block)
    return {name: hasher.hexdigest() for name, hasher in hashes.items()}
