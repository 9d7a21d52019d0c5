"""A record on Zenodo: `record`, and either `files` with their digests or `match`, a pattern of names.

If all digests are known the record itself is not requested: one request less that can fail.
"""

from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sertool.internet import web
from sertool.internet.downloading import Item
from sertool.sources import MALFORMED_INDEX_ERRORS, Plan, Source, elsewhere, item, items, named_files

HOST = "https://zenodo.org"


def plan(source: Source, _get: Callable[[Item], Path]) -> Plan:
    host, record = source.get("host", HOST), source["record"]
    if named_files(source):
        return Plan(items(source, lambda name: f"{host}/records/{record}/files/{quote(name)}?download=1"))
    reply = web.ask_json(f"{host}/api/records/{record}")
    try:
        files = [_item(file, source) for file in reply["files"] if fnmatch(file["key"], source["match"])]
    except MALFORMED_INDEX_ERRORS:
        raise web.Damaged(f"{host}/api/records/{record} does not list its files as Zenodo does") from None
    return Plan(tuple(files))


def _item(file: dict[str, Any], source: Source) -> Item:
    algorithm, _, digest = file["checksum"].partition(":")
    return item(file["key"], elsewhere(file["links"]["self"]), {"size": file["size"], algorithm: digest}, source)
