"""A repository on GitHub or GitLab, without git: its archive, and the Git LFS objects that the archive points to.

A file of `files` without `url` is itself an LFS object, identified by its SHA-256. The archive of a repository with its
audio in LFS holds pointers, files of 130 bytes that name an object. The objects are requested in batches of a hundred,
as LFS' batch API requires, and each replaces its pointer.
"""

import json
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sertool.internet import unpacking, web
from sertool.internet.downloading import Item, Link, Locate
from sertool.sources import MALFORMED_INDEX_ERRORS, Plan, Source, elsewhere, items

Reply = Link | web.Refused
BATCH = 100
MEDIA = "application/vnd.git-lfs+json"
POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-.*\n)*oid sha256:([0-9a-f]{64})\nsize (\d{1,15})\n"
)
POINTER_SIZE = 1024  # most bytes, by the specification


def plan(source: Source, get: Callable[[Item], Path]) -> Plan:
    declared = items(source, lambda _: "")
    objects = [item for item in declared if not item.url]
    for archive in declared:
        if archive.url and archive.unpack:
            objects += _pointed_to(archive, get(archive))
    return Plan((*(item for item in declared if item.url), *objects), _locator(source, objects))


def _pointed_to(archive: Item, path: Path) -> list[Item]:
    """Return the objects that an archive has pointers to."""
    items = []
    for name, data in unpacking.small(path, POINTER_SIZE, unpacking.naming(archive.strip, archive.take)):
        if pointer := POINTER.fullmatch(data):
            items.append(Item(name, "", int(pointer[2]), {"sha256": pointer[1].decode()}))
    return items


def _locator(source: Source, objects: Sequence[Item]) -> Locate:
    """Return a function that gives links to objects, requested in batches when needed, as they expire."""
    links: dict[str, Reply] = {}
    places = {item.path: place for place, item in enumerate(objects)}
    turn = threading.Lock()

    def locate(item: Item, renew: bool) -> Link | None:
        if item.path not in places:
            return None if renew else (item.url, {})
        with turn:
            if renew or item.digests["sha256"] not in links:
                start = places[item.path] // BATCH * BATCH
                links.update(_batch(source, objects[start : start + BATCH]))
        link = links[item.digests["sha256"]]
        if isinstance(link, web.Refused):
            raise link
        return link

    return locate


def _batch(source: Source, items: Sequence[Item]) -> dict[str, Reply]:
    """Return LFS' answer for each object: a link, or the error."""
    sizes = {item.digests["sha256"]: item.size for item in items}  # files of equal bytes share an object
    objects = [{"oid": oid, "size": size} for oid, size in sizes.items()]
    question = {"operation": "download", "transfers": ["basic"], "objects": objects, "hash_algo": "sha256"}
    url = f"{source.get('repository', source['home'])}.git/info/lfs/objects/batch"
    reply = web.ask_json(url, {"Accept": MEDIA, "Content-Type": MEDIA}, json.dumps(question).encode())
    answers: dict[str, Reply] = {oid: web.Refused(f"Git LFS has no object {oid[:12]}…") for oid in sizes}
    try:
        return answers | {entry["oid"]: _answer(entry) for entry in reply["objects"]}
    except MALFORMED_INDEX_ERRORS:
        raise web.Damaged(f"{web.plain(url)} does not answer as Git LFS does") from None


def _answer(entry: dict[str, Any]) -> Reply:
    if "error" in entry:
        error = entry["error"]
        return web.Refused(f"Git LFS answers {error.get('code')} {error.get('message')} for {entry['oid'][:12]}…")
    action = entry["actions"]["download"]
    headers = {str(name): str(value) for name, value in (action.get("header") or {}).items()}
    return elsewhere(action["href"]), headers
