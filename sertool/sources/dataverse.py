"""A data set on a Dataverse server: `host`, `doi`, and `match`, a pattern of names."""

from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sertool.internet import web
from sertool.internet.downloading import Item
from sertool.sources import MALFORMED_INDEX_ERRORS, Plan, Source, item


def plan(source: Source, _get: Callable[[Item], Path]) -> Plan:
    url = f"{source['host']}/api/datasets/:persistentId/?persistentId={quote(source['doi'], safe=':/')}"
    try:
        entries = web.ask_json(url)["data"]["latestVersion"]["files"]
        files = [file for file in entries if fnmatch(file["dataFile"]["filename"], source["match"])]
        closed = sum(bool(file.get("restricted")) for file in files)
        items = tuple(_item(file, source) for file in files)
    except MALFORMED_INDEX_ERRORS:
        raise web.Damaged(f"{web.plain(url)} does not list its files as Dataverse does") from None
    if closed:
        raise web.Refused(f"{closed:,} of its {len(files):,} files are given on request only")
    return Plan(items)


def _item(file: dict[str, Any], source: Source) -> Item:
    data, folder = file["dataFile"], file.get("directoryLabel")
    checksum = data.get("checksum") or {"type": "MD5", "value": data.get("md5")}
    facts = {"size": data["filesize"], checksum["type"].lower().replace("-", ""): checksum["value"]}
    name = f"{folder}/{data['filename']}" if folder else data["filename"]
    return item(name, f"{source['host']}/api/access/datafile/{int(data['id'])}", facts, source)
