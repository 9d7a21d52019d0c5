"""Where corpora come from: one file for each kind of place, with `plan(source)`, which says what is to be got there.

A source is a literal dictionary in a corpus' file. All kinds have `kind`, `home` (what people call the place) and,
where sizes are not known, `about` (bytes). `files` names the files, or says more of each: {name: {url, size, md5,
sha256, into}}. An archive is unpacked: `into` a folder with its own name, or with `strip` less the top folder, and of
it only what `take` has a pattern for. A `moving` source gives other bytes when it has changed, as a branch does.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sertool import catalogue, web
from sertool.downloading import Item, Locate

Source = Mapping[str, Any]
ARCHIVE = re.compile(r"\.(?:zip|tar|t[gbx]z2?|tar\.(?:gz|bz2|xz))$", re.IGNORECASE)
DIGESTS = ("md5", "sha256")
NONSENSE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)  # what comes of an index that is none


@dataclass(frozen=True)
class Plan:
    """What is to be got, and how each of it is asked for."""

    items: tuple[Item, ...]
    locate: Locate = field(default=lambda item, renew: None if renew else (item.url, {}))
    needs: str = ""  # what to do where the place wants to know who asks
    home: str = ""  # where it came from before, if this is a mirror


def plan(source: Source, get: Callable[[Item], Path]) -> Plan:
    """Ask a source what it holds; `get` brings one file of it, for what can be known only from that."""
    planned: Plan = catalogue.load("sources", source["kind"]).plan(source, get)
    if not planned.items:
        raise web.Refused("holds nothing that is wanted")
    return planned


def size(source: Source) -> tuple[int | None, bool]:
    """Bytes to download, as far as they are known, and whether exactly."""
    sizes = [facts.get("size") for facts in named_files(source).values()]
    return (sum(sizes), True) if sizes and None not in sizes else (source.get("about"), False)


def named_files(source: Source) -> dict[str, Mapping[str, Any]]:
    """The files that a source names, and what it says of each."""
    files = source.get("files", {})
    return dict(files) if isinstance(files, Mapping) else {name: {} for name in files}


def elsewhere(url: str) -> str:
    """An address that a server named; it must not be one on this machine."""
    if not url.startswith(("http://", "https://")):
        raise web.Damaged(f"{url[:80]!r} is no address on the web")
    return url


def items(source: Source, address: Callable[[str], str]) -> tuple[Item, ...]:
    """The files that a source names."""
    files = named_files(source).items()
    return tuple(item(name, facts.get("url") or address(name), facts, source) for name, facts in files)


def item(name: str, url: str, facts: Mapping[str, Any], source: Source) -> Item:
    """One file; an archive is unpacked, and where the source says so into a folder of its own."""
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
