"""Files below one address, `base`, such as those of OpenSLR."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from sertool.internet.downloading import Item
from sertool.sources import Plan, Source, items


def plan(source: Source, _get: Callable[[Item], Path]) -> Plan:
    return Plan(items(source, lambda name: source.get("base", "") + quote(name)))
