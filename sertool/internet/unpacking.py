"""Unpack untrusted archives: no paths or links out of the folder, no decompression bombs."""

import errno
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import IO

from sertool.errors import SertoolError, first_line, reason

BLOCK_BYTES = 1 << 20
JUNK = re.compile(r"(?:^|/)(?:__MACOSX|\.DS_Store|Thumbs\.db|\._[^/]*)(?:/|$)")
BAD_NAME = (  # for this system, or beside the other names
    errno.EEXIST, errno.EILSEQ, errno.EINVAL, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOTDIR, errno.ENOTEMPTY,
)  # fmt: skip
Destination = Callable[[str], str | None]  # maps a member's name to a path, or to None if it is not wanted


@dataclass(frozen=True)
class Limits:
    """Limits that no corpus approaches; silence may compress a thousandfold, but no archive is only silence."""

    files: int = 500_000
    size: int = 10**12
    ratio: float = 200.0
    free: int = 64 << 20  # bytes that may be unpacked whatever the ratio


LIMITS = Limits()


class Unreadable(SertoolError):
    """The archive is invalid, incomplete or unsafe to unpack."""


@dataclass(frozen=True)
class ArchiveMember:
    """A member of an archive."""

    name: str
    size: int  # according to the archive
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, folder: Path, naming: Destination) -> Iterator[str]:
    """Write the wanted members below a folder, and yield their names."""
    allowed = min(LIMITS.size, max(LIMITS.free, int(LIMITS.ratio * archive.stat().st_size)))
    for member, name in _members_to_take(archive, naming):
        target = folder / name
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            stream = target.open("wb")
        with stream, _reading(archive), member.open() as source:
            while block := source.read(BLOCK_BYTES):
                allowed -= len(block)
                if allowed < 0:
                    raise Unreadable(f"{archive.name} holds far more than it can in good faith: refused at {name}")
                with writing(target):
                    stream.write(block)
        yield name


def small(archive: Path, limit: int, naming: Destination) -> Iterator[tuple[str, bytes]]:
    """Yield the wanted members of at most `limit` bytes."""
    for member, name in _members_to_take(archive, naming):
        if member.size <= limit:
            with _reading(archive), member.open() as source:
                yield name, source.read(limit + 1)


def promised(archive: Path, naming: Destination) -> int:
    """Return the bytes that the wanted members claim; for a tar its own size, as it would have to be unpacked."""
    if not _is_zip(archive):
        return archive.stat().st_size
    return sum(member.size for member, _ in _members_to_take(archive, naming))


def naming(strip: bool = False, take: tuple[str, ...] = ()) -> Destination:
    """Return a function that maps members to paths: all of them, or those matching a pattern in `take`.

    With `strip`, the paths lack their first folder.
    """

    def name(path: str) -> str | None:
        shortened = path.partition("/")[2] if strip else path
        fits = not take or any(fnmatchcase(shortened, pattern) for pattern in take)
        return shortened if shortened and fits else None

    return name


def safe(name: str) -> str:
    """Return a relative path safe to write on any system; raise Unreadable if it leads out of the folder."""
    path = name.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or re.match("[A-Za-z]:", path) or ".." in parts or "\0" in path or not parts:
        raise Unreadable(f"a name leads out of the folder: {name[:80]!r}")
    return "/".join(parts)


def _members_to_take(archive: Path, naming: Destination) -> Iterator[tuple[ArchiveMember, str]]:
    count = 0
    with _reading(archive):
        for member in _members(archive):
            count += 1
            if count > LIMITS.files:
                raise Unreadable(f"{archive.name} holds more than {LIMITS.files:,} files")
            name = safe(member.name)
            if not JUNK.search(name) and (target := naming(name)) is not None:
                yield member, target


def _members(archive: Path) -> Iterator[ArchiveMember]:
    if _is_zip(archive):
        yield from _zipped(archive)
    elif tarfile.is_tarfile(archive):
        yield from _tarred(archive)
    else:
        raise Unreadable(f"{archive.name} is no zip or tar archive, or is cut")


def _is_zip(archive: Path) -> bool:
    with archive.open("rb") as stream:
        return stream.read(4) in (b"PK\3\4", b"PK\5\6")


def _zipped(archive: Path) -> Iterator[ArchiveMember]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            mode = info.external_attr >> 16
            if info.is_dir():
                continue
            if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise Unreadable(f"{archive.name}: {info.filename[:80]!r} is a link or a device, which is not unpacked")
            if info.flag_bits & 1:
                raise Unreadable(f"{archive.name} is encrypted: unpack it yourself with the password, and index that")
            yield ArchiveMember(info.filename, info.file_size, partial(opened.open, info))


class _Tar(tarfile.TarFile):
    ended = False
    members: list[tarfile.TarInfo]  # read so far


class _Header(tarfile.TarInfo):
    """A tar header that reports whether the archive ended properly, which tarfile hides."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> "_Header":
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # undocumented
            if isinstance(tar, _Tar):
                tar.ended = True
            raise


def _tarred(archive: Path) -> Iterator[ArchiveMember]:
    with _Tar.open(archive, tarinfo=_Header) as opened:
        for info in opened:
            opened.members = []  # else it would keep all members in memory
            if info.isdir():
                continue
            if not info.isreg():
                raise Unreadable(f"{archive.name}: {info.name[:80]!r} is a link or a device, which is not unpacked")
            yield ArchiveMember(info.name, info.size, partial(opened.fileobject, opened, info))
        if not opened.ended:
            raise Unreadable(f"{archive.name} is cut or damaged")
        for _ in range(64):  # padding follows; reading to its end verifies a compressed stream
            if not opened.fileobj.read(BLOCK_BYTES):
                break


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Turn the errors that damaged archives cause in the libraries into one line."""
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise Unreadable(f"{archive.name} is cut or damaged ({_plain(error)})") from None
    except (RuntimeError, NotImplementedError, ValueError, OverflowError) as error:
        raise Unreadable(f"{archive.name} cannot be unpacked ({_plain(error)})") from None
    except OSError as error:
        raise SertoolError(f"cannot read {archive}: {reason(error)}") from None


def _plain(error: Exception) -> str:
    return first_line(error)[:100] or type(error).__name__


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn the errors of writing into one line; a name that cannot be written is the archive's fault."""
    try:
        yield
    except ValueError as error:
        raise Unreadable(f"cannot write {target}: {error}") from None
    except OSError as error:
        kind = Unreadable if error.errno in BAD_NAME else SertoolError
        raise kind(f"cannot write {target}: {reason(error)}") from None
