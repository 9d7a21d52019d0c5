"""A corpus that may not be redistributed, or cannot be downloaded by a program: `who` says whom to ask."""

from collections.abc import Callable
from pathlib import Path

from sertool.internet import web
from sertool.internet.downloading import Item
from sertool.sources import Plan, Source


def plan(source: Source, _get: Callable[[Item], Path]) -> Plan:
    raise web.Refused(words(source))


def words(source: Source) -> str:
    return f"cannot be downloaded by sertool: {source['who']}; then give what you get with --from"
