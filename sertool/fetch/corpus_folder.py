"""Lay out the folder of a fetched corpus: unpack downloads beside it, list them in a lock, then rename.

`OUT/NAME.lock` lists the files and the digests of the archives they came in. It is written before the folder has its
name, so a folder without a lock always belongs to somebody else.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sertool.errors import SertoolError
from sertool.fetch.download_cache import refuse_full
from sertool.internet import unpacking
from sertool.internet.downloading import Item
from sertool.system import files, paths, talk

Lock = Mapping[str, Any]


def lock_path(folder: Path) -> Path:
    return folder.with_name(folder.name + ".lock")


def read_lock(folder: Path) -> Lock | None:
    path = lock_path(folder)
    if not path.exists():
        return None
    try:
        lock = json.loads(path.read_text(encoding="utf-8"))
        return {"items": dict(lock["items"]), "files": dict(lock["files"])}
    except (OSError, ValueError, LookupError, TypeError):
        raise SertoolError(f"{path} is not what fetch wrote: remove it") from None


def is_complete(folder: Path) -> bool:
    """Whether all that was fetched is still there."""
    lock = read_lock(folder)
    return lock is not None and all(_size(folder / name) == size for name, size in lock["files"].items())


def _size(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_size
    return None


def lay_out(items: Sequence[Item], where: Callable[[Item], Path], folder: Path) -> dict[str, int]:
    """Unpack and copy all items below a new folder; return the size of each file by its path.

    Until all is there, the files end in `.part`, so that a search for audio meanwhile, or after a kill, finds none.
    """
    shutil.rmtree(folder, ignore_errors=True)
    refuse_full(folder, sum(_promised(item, where(item)) for item in items), f"unpacking {folder.parent}")
    for _ in talk.progress(_laid(items, where, folder), None, "unpacking", "file"):
        pass
    laid = [_finished(path) for path in paths.walk(folder, [])]
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in laid}


def _finished(path: Path) -> Path:
    target = path.with_name(path.name.removesuffix(files.UNFINISHED))
    with unpacking.writing(target):
        return path.rename(target)


def _promised(item: Item, path: Path) -> int:
    return unpacking.promised(path, _naming(item)) if item.unpack else path.stat().st_size


def _naming(item: Item) -> unpacking.Destination:
    name = unpacking.naming(item.strip, item.take)
    return lambda path: f"{new_name}{files.UNFINISHED}" if (new_name := name(path)) else None


def _laid(items: Sequence[Item], where: Callable[[Item], Path], folder: Path) -> Iterator[str]:
    for number, item in enumerate(items):
        if not item.unpack:
            target = folder / f"{unpacking.safe(item.path)}{files.UNFINISHED}"
            with unpacking.writing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(where(item), target)
            yield item.path
        elif item.into is None:
            yield from unpacking.unpack(where(item), folder, _naming(item))
        else:
            beside = folder / f".{number}"
            yield from unpacking.unpack(where(item), beside, _naming(item))
            _take_inner(beside, folder / unpacking.safe(item.into))


def _take_inner(beside: Path, target: Path) -> None:
    """Move a folder to its target, leaving out outer folders that hold nothing but another folder."""
    inmost = beside
    while inmost.is_dir() and len(inner := list(inmost.iterdir())) == 1 and inner[0].is_dir():
        inmost = inner[0]
    with unpacking.writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(inmost, target)
    shutil.rmtree(beside, ignore_errors=True)


def install(beside: Path, folder: Path, lock: Lock) -> None:
    """Write the lock and rename the unpacked folder; if the target exists already, move each file into it."""
    if hasattr(os, "sync"):
        os.sync()  # once, as there are thousands of files
    with files.atomic_write(lock_path(folder)) as stream:
        stream.write(json.dumps(lock, indent=1, ensure_ascii=False).encode("utf-8", "surrogateescape"))
    if not folder.exists():
        os.replace(beside, folder)
        return
    for name in lock["files"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(beside / name, folder / name)
    shutil.rmtree(beside)
