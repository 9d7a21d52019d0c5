"""Keep downloads in a folder: `files/`, and `index.json`, which describes them; served over HTTP, it is a mirror.

A file in `files/` under its own name is complete. If no published digest could check it when it came, the index pins
its digest, so that it stays the same ever after.
"""

import json
import queue
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from sertool.errors import SertoolError
from sertool.internet import downloading, unpacking, web
from sertool.internet.downloading import Control, Item
from sertool.sources import DIGESTS, MALFORMED_INDEX_ERRORS, Plan
from sertool.system import files, talk

INDEX = "index.json"
SPARE = 64 << 20  # bytes that must stay free on a disk

Pins = Mapping[str, Mapping[str, str]]  # digests by an item's path


def place(store: Path, item: Item) -> Path:
    return store / "files" / unpacking.safe(item.path)


def download_missing(store: Path, plan: Plan, pins: Pins, jobs: int, what: str) -> tuple[list[Item], int]:
    """Download the items that the store lacks; return all items with their digests, and the bytes downloaded."""
    items = [pinned(item, pins) for item in plan.items]
    missing = [item for item in items if not _is_complete(store, item)]
    sizes = [item.size or 0 for item in missing]
    refuse_full(store, sum(sizes) - sum(map(partial(_begun, store), missing)), what)
    if missing:
        _download(store, missing, plan, jobs, what)
    return items, sum(place(store, item).stat().st_size for item in missing)


def pinned(item: Item, pins: Pins) -> Item:
    """Return an item with all its known digests; refuse a source that promises other ones."""
    pinned_digests = pins.get(item.path, {})
    for name, digest in pinned_digests.items():
        if item.digests.get(name, digest) != digest:
            raise web.Damaged(f"the {name.upper()} of {item.path} is to be {digest}, and here it is another")
    return replace(item, digests={**pinned_digests, **item.digests})


def _is_complete(store: Path, item: Item) -> bool:
    path = place(store, item)
    if not path.is_file():
        return False
    try:
        downloading.check(item, path)
    except web.Damaged as damaged:
        talk.warn(f"{damaged}: getting it again")
        path.unlink()
        return False
    return True


def drop(store: Path, items: Sequence[Item]) -> None:
    """Remove items, so that they are downloaded again."""
    for item in items:
        place(store, item).unlink(missing_ok=True)
        (store / INDEX).unlink(missing_ok=True)


def _begun(store: Path, item: Item) -> int:
    path = place(store, item)
    part = path.with_name(path.name + files.UNFINISHED)
    return min(item.size or 0, part.stat().st_size) if part.is_file() else 0


def refuse_full(folder: Path, needed: int, what: str) -> None:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed and needed + SPARE > free:
        raise SertoolError(f"{what} needs {files.size(needed)}, and the disk of {folder} has {files.size(free)} left")


# Several at once


def _download(store: Path, items: Sequence[Item], plan: Plan, jobs: int, what: str) -> None:
    """Download with several connections and count bytes; the first failure ends all of them."""
    waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
    news: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    control = Control(threading.Event(), news.put)
    # Daemons, so that Ctrl-C need not wait for a silent server; what they have written by then is continued later.
    workers = [threading.Thread(target=_work, args=(store, waiting, news, plan, control), daemon=True)
               for _ in range(min(jobs, len(items)))]  # fmt: skip
    for worker in workers:
        worker.start()
    total = None if any(item.size is None for item in items) else sum(item.size or 0 for item in items)
    try:
        with talk.counter(f"fetching {what}", total) as advance:
            _count(news, len(workers), advance)
    except Exception:
        control.stop.set()
        for worker in workers:
            worker.join()
        raise


def _work(
    store: Path, waiting: "queue.SimpleQueue[Item]", news: "queue.SimpleQueue[int | BaseException | None]", plan: Plan,
    control: Control,
) -> None:  # fmt: skip
    try:
        while not control.stop.is_set():
            item = waiting.get_nowait()
            downloading.download(item, place(store, item), plan.locate, control)
    except queue.Empty:
        pass
    except BaseException as error:
        news.put(_explained(error, plan))
    finally:
        news.put(None)


def _explained(error: BaseException, plan: Plan) -> BaseException:
    """Return the error; if credentials were missing, with an explanation of what is needed."""
    if isinstance(error, web.Refused) and error.status in (401, 403) and plan.needs:
        return web.Refused(f"{error}: {plan.needs}", error.status)
    return error


def _count(news: "queue.SimpleQueue[int | BaseException | None]", workers: int, advance: Callable[[int], Any]) -> None:
    """Count downloaded bytes until all workers are done; raise the first error of any."""
    while workers:
        message = news.get()
        if message is None:
            workers -= 1
        elif isinstance(message, BaseException):
            raise message
        else:
            advance(message)


# The index


def write_index(store: Path, items: Sequence[Item], home: str) -> list[Item]:
    """Write the index; return the items with their SHA-256."""
    sealed = []
    for item in items:
        path = place(store, item)
        missing = () if "sha256" in item.digests else ("sha256",)
        digests = {**item.digests, **downloading.digests(path, missing)}
        sealed.append(replace(item, url="", size=path.stat().st_size, digests=digests))
    with files.atomic_write(store / INDEX) as stream:
        stream.write(json.dumps({"source": home, "items": [asdict(item) for item in sealed]}, indent=1).encode())
    return sealed


def read_index(base: str) -> Plan:
    """Read a store's index, from a folder (a `file:` address) or a mirror."""
    try:
        index = web.ask_json(f"{base}/{INDEX}")
        items = tuple(_indexed(entry, f"{base}/files/{quote(entry['path'])}") for entry in index["items"])
        plan = Plan(items, home=str(index["source"]))
    except MALFORMED_INDEX_ERRORS:
        raise web.Damaged(f"{web.plain(base)}/{INDEX} is no index of a store") from None
    _refuse_clashes([PurePosixPath(unpacking.safe(item.path)) for item in items])
    return plan


def _refuse_clashes(paths: Sequence[PurePosixPath]) -> None:
    """Refuse files of a store that would be in each other's way, or in that of partial downloads."""
    times = Counter(paths)
    for path in paths:
        if times[path] > 1 or path.suffix == files.UNFINISHED or any(parent in times for parent in path.parents):
            raise web.Damaged(f"{path} cannot stand in a store beside its other files")


def _indexed(entry: dict[str, Any], url: str) -> Item:
    """Return an item from an index, which may come from anyone."""
    size, into = entry["size"], entry.get("into")
    return Item(
        path=entry["path"],
        url=url,
        size=None if size is None else int(size),
        digests={word: str(digest) for word, digest in entry["digests"].items() if word in DIGESTS},
        unpack=bool(entry.get("unpack")),
        into=None if into is None else str(into),
        strip=bool(entry.get("strip")),
        take=tuple(map(str, entry.get("take", ()))),
        lasting=bool(entry.get("lasting", True)),
    )
