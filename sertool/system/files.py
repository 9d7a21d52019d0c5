"""Write files atomically, and put system errors, sizes and lists into words."""

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

from sertool.errors import Interrupted, NothingThereError, SertoolError, reason

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None

UNFINISHED = ".part"


def cache_folder() -> Path:
    """Return $SERTOOL_CACHE, else the system's cache folder for sertool."""
    if own := os.environ.get("SERTOOL_CACHE"):
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sertool"
    except RuntimeError:
        raise SertoolError("this user has no home folder: set SERTOOL_CACHE to a folder for what is fetched") from None


@contextmanager
def atomic_write(path: Path, *, salvage: bool = False) -> Iterator[BinaryIO]:
    """Open a file that gets its name only once it is complete and on disk; a pipe or device is written directly.

    With `salvage`, what was written before an interrupt, a full disk or an error is kept as NAME.part until a run
    completes.
    """
    try:
        special = is_special(path)  # or links to one, such as /dev/stdout, which has no name of its own
        target = path if special else Path(os.path.realpath(path))  # a link to a file stays a link
        with open(target, "wb") if special else _replacing(target, salvage=salvage) as stream:
            yield stream
    except OSError as error:
        if special and isinstance(error, BrokenPipeError):
            raise  # its reader has read enough, as with stdout
        raise _write_error(path, error) from None


def is_special(path: Path) -> bool:
    """Whether it is a pipe or a device, which a file cannot replace."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)  # False for names too long


@contextmanager
def _replacing(path: Path, *, salvage: bool) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that replaces it in the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + UNFINISHED)
    sweep(path)
    handle, beside = _unnamed(path)
    guard = os.dup(handle) if fcntl else None
    try:
        with open(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        _named(beside, path, _rights(path))
        if salvage:
            unfinished.unlink(missing_ok=True)
    except (KeyboardInterrupt, OSError, SertoolError) as error:
        if not salvage or isinstance(error, NothingThereError) or not os.path.getsize(beside):
            raise
        _named(beside, unfinished, _rights(path))
        raise kept_so_far(error, unfinished) from None
    finally:
        with suppress(OSError):
            os.unlink(beside)
        if guard is not None:
            os.close(guard)


def kept_so_far(error: KeyboardInterrupt | OSError | SertoolError, unfinished: Path) -> SertoolError:
    """Return an error that says where the partial result of an interrupted or failed run is."""
    hint = f"what is there already lies in {unfinished}"
    if isinstance(error, KeyboardInterrupt):
        return Interrupted(f"interrupted: {hint}")
    if isinstance(error, OSError):
        return SertoolError(f"{reason(error)}: {hint}")
    return type(error)(f"{error}: {hint}")


def _unnamed(path: Path) -> tuple[int, str]:
    """Create a temporary file beside `path`, locked while open so that no `sweep` of another process removes it."""
    while True:
        handle, beside = tempfile.mkstemp(prefix=_beside(path), suffix=UNFINISHED, dir=path.parent)
        with suppress(OSError):  # if files cannot be locked, nothing is swept
            if fcntl:
                fcntl.flock(handle, fcntl.LOCK_EX)
        if os.path.exists(beside):  # else it was swept before it was locked
            return handle, beside
        os.close(handle)


def _named(unnamed: str, path: Path, rights: int) -> None:
    os.chmod(unnamed, rights)
    os.replace(unnamed, path)


def _rights(path: Path) -> int:
    """Return the permissions of the file that is replaced, which may be for its owner alone; else the default ones."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return 0o666 & ~_umask()


def no_older(path: str | Path, sources: Iterable[str]) -> None:
    """Touch an unchanged file if one of its sources is newer, as `make` compares these times.

    Does nothing if it may not be touched.
    """
    ages = [os.stat(source).st_mtime_ns for source in sources if os.path.isfile(source)]
    if os.path.isfile(path) and max(ages, default=0) > os.stat(path).st_mtime_ns:
        with suppress(OSError):
            os.utime(path)


def _beside(path: Path) -> str:
    """Return the prefix of a file's temporary name, cut as file systems allow 255 bytes and a character may take 4."""
    return f".{path.name[:50]}."


def sweep(path: Path) -> None:
    """Remove partial files that killed runs left, except those that a process is still writing."""
    with suppress(OSError):
        for name in os.listdir(path.parent):
            if name.startswith(_beside(path)) and name.endswith(UNFINISHED):
                with suppress(OSError), open(path.parent / name, "r+b") if fcntl else nullcontext() as stream:
                    if fcntl:
                        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(path.parent / name)  # Windows refuses this for any open file


def write_beside(path: Path, data: bytes | memoryview) -> None:
    """Write a file under a temporary name beside `path`; `name_together` renames it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(_waiting(path), "wb") as stream:
            stream.write(data)
            if not hasattr(os, "sync"):
                stream.flush()
                os.fsync(stream.fileno())
    except OSError as error:
        raise _write_error(path, error) from None


def name_together(paths: Sequence[Path]) -> None:
    """Rename files once all of them are on disk: one sync for thousands of files."""
    if hasattr(os, "sync"):
        os.sync()
    for path in paths:
        try:
            os.replace(_waiting(path), path)
        except OSError as error:
            raise _write_error(path, error) from None


def drop_unnamed(paths: Iterable[Path]) -> None:
    """Remove temporary files of `write_beside` that were not renamed."""
    for path in paths:
        with suppress(OSError):
            _waiting(path).unlink(missing_ok=True)


def _waiting(path: Path) -> Path:
    name = hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()
    return path.with_name(_beside(path) + name + UNFINISHED)


def _write_error(path: Path, error: OSError) -> SertoolError:
    if error.errno == errno.ENOSPC:
        return SertoolError(f"the disk of {path.parent} is full: make room and run the same command again")
    return SertoolError(f"cannot write {path}: {reason(error)}")


@cache
def _umask() -> int:
    """Return the umask; cached, since reading it means setting it, which all threads would see."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def size(byte_count: float) -> str:
    """Format a byte count: 12.3 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if byte_count < 1000:
            return f"{byte_count:.0f} {unit}" if unit == "B" else f"{byte_count:.1f} {unit}"
        byte_count /= 1000
    return f"{byte_count:.1f} TB"


def listed(words: Iterable[object], limit: int = 12) -> str:
    """Join words, shortening long lists: `a, b, c and 4 more`."""
    items = [str(word) for word in words]
    rest = f" and {len(items) - limit:,} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + rest
