"""Locks on folders, in which one process at a time writes."""

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sertool.errors import SertoolError, reason

UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
LOCKLESS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)  # some network file systems, Lustre among them


@dataclass(frozen=True)
class FolderLock:
    """A folder's lock; not held if the folder can only be read."""

    refusal: SertoolError | None = None  # why nothing can be written in the folder, if so

    @property
    def is_writable(self) -> bool:
        return self.refusal is None

    def require_writable(self) -> None:
        """Raise if nothing can be written in the folder."""
        if self.refusal:
            raise self.refusal


@contextmanager
def folder_lock(
    folder: Path, wait: bool, part: str = "", *, read_only_ok: bool = False, option: str = "-o"
) -> Iterator[FolderLock]:
    """Lock a folder: a second process is refused, or waits. Processes with different parts share it.

    `option` is the one that names the folder, for the message of a refusal.

    A folder that is not writable cannot be locked, which is an error unless it is `read_only_ok`: for a caller whose
    output may all exist already, and who asks `require_writable` before writing.
    """
    with _lock(folder, ".lock", wait, option, shared=bool(part), read_only_ok=read_only_ok) as lock:
        if not (part and lock.is_writable):
            yield lock
            return
        with _lock(folder, f".lock-{part}", wait, option, shared=False, read_only_ok=read_only_ok) as own:
            yield own


@contextmanager
def _lock(
    folder: Path, name: str, wait: bool, option: str, *, shared: bool, read_only_ok: bool
) -> Iterator[FolderLock]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = _opened(folder / name)
    except OSError as error:
        refusal = SertoolError(f"cannot write in {folder}: {reason(error)}")
        if not (read_only_ok and error.errno in UNWRITABLE and folder.is_dir()):
            raise refusal from None
        yield FolderLock(refusal)
        return
    with stream:
        while not _try_lock(stream, shared):
            if not wait:
                raise SertoolError(
                    f"another sertool is at work in {folder}: wait for it with --wait, or use another {option}"
                )
            time.sleep(0.2)
        try:
            yield FolderLock()
        finally:
            _unlock(stream)


def _opened(path: Path) -> BinaryIO:
    """Open a lock file; one of another user, who shares the folder, cannot be written, and yet be locked."""
    try:
        return open(path, "a+b")
    except PermissionError:
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise
        return open(path, "rb")


def _unlock(stream: BinaryIO) -> None:
    """Unlock at once: a fork that is still alive holds the file open, and with it the lock."""
    if sys.platform != "win32":
        import fcntl

        with suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_UN)


def _try_lock(stream: BinaryIO, shared: bool) -> bool:
    """Lock an open file until it is closed, if nobody else holds it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            if not shared:  # Windows has no shared locks here
                msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        if error.errno not in LOCKLESS:
            raise SertoolError(f"cannot lock {stream.name}: {reason(error)}") from None
    return True
