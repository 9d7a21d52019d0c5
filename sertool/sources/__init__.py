"""Sources of corpora: one file for each kind of host, with `plan(source)`, which returns what to download.

A source is a literal dictionary in a corpus' file. All kinds have `kind`, `home` (the host's name for people) and,
where sizes are unknown, `about` (bytes). `files` names the files, or describes each: {name: {url, size, md5, sha256,
into}}. An archive is unpacked: `into` a folder with its own name, or with `strip` without the top folder, and only
members matching a pattern in `take`. A `moving` source may change its bytes, as a branch does.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sertool import catalogue
from sertool.internet import web
from sertool.internet.downloading import Item, Locate

Source = Mapping[str, Any]
ARCHIVE = re.compile(r"\.(?:zip|tar|t[gbx]z2?|tar\.(?:gz|bz2|xz))$", re.IGNORECASE)
DIGESTS = ("md5", "sha256")
MALFORMED_INDEX_ERRORS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


@dataclass(frozen=True)
class Plan:
    """The items to download, and how to request each."""

    items: tuple[Item, ...]
    locate: Locate = field(default=lambda item, renew: None if renew else (item.url, {}))
    needs: str = ""  # what to do if the host needs a login
    home: str = ""  # the original host, if this is a mirror


def plan(source: Source, get: Callable[[Item], Path]) -> Plan:
    """Return the plan of a source; `get` downloads one file, for what can be learnt only from that."""
    planned: Plan = catalogue.load("sources", source["kind"]).plan(source, get)
    if not planned.items:
        raise web.Refused("holds nothing that is wanted")
    return planned


def size(source: Source) -> tuple[int | None, bool]:
    """Return the bytes to download, as far as known, and whether the number is exact."""
    files = named_files(source)
    sizes = [facts["size"] for facts in files.values() if facts.get("size") is not None]
    return (sum(sizes), True) if files and len(sizes) == len(files) else (source.get("about"), False)


def named_files(source: Source) -> dict[str, Mapping[str, Any]]:
    """Return the files that a source names, with their descriptions."""
    files = source.get("files", {})
    return dict(files) if isinstance(files, Mapping) else {name: {} for name in files}


def elsewhere(url: str) -> str:
    """Return an address named by a server; it must not be on this machine."""
    if not url.startswith(("http://", "https://")):
        raise web.Damaged(f"{url[:80]!r} is no address on the web")
    return url


def items(source: Source, address: Callable[[str], str]) -> tuple[Item, ...]:
    """Return the items of the files that a source names."""
    files = named_files(source).items()
    return tuple(item(name, facts.get("url") or address(name), facts, source) for name, facts in files)


def item(name: str, url: str, facts: Mapping[str, Any], source: Source) -> Item:
    """Return the item of one file; archives are unpacked, into a folder of their own if the source says so."""
    stem = ARCHIVE.sub("", name)
    is_archive = stem != name
    return Item(
        path=name,
        url=url,
        size=None if facts.get("size") is None else int(facts["size"]),
        digests={word: str(facts[word]).lower() for word in DIGESTS if facts.get(word)},
        unpack=is_archive,
        into=facts.get("into", stem if source.get("into") and is_archive else None),
        strip=bool(source.get("strip")),
        take=tuple(source.get("take", ())),
        lasting=not source.get("moving"),
    )
