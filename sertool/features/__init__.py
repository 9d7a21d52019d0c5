"""Features by name: each file of this folder is one, and adding a file adds it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from sertool import catalogue
from sertool.errors import UsageError

load = partial(catalogue.load, "features")


def settled(name: str, settings: Any, device: str, rate: int) -> Any:
    """The settings with what only a device or a file of weights can tell: what a shard is to record."""
    module = load(name)
    return module.settled(settings, device, rate) if hasattr(module, "settled") else settings


def where(name: str) -> dict[int, int]:
    """The columns that count in figures of a clip only where another is above 0, by that one's place."""
    return getattr(load(name), "COUNTED_WHERE", {})


def sides(record: Mapping[str, Any]) -> int:
    """Of how many channels a feature's rows have columns, one channel's after the other's, by its record."""
    return 2 if record["wave"]["channels"] == "stereo" else 1


def suited(name: str, settings: Any, device: str) -> Any:
    """The settings as a device computes them best, within what they tolerate; shards record them as they were."""
    module = load(name)
    return module.suited(settings, device) if hasattr(module, "suited") else settings


def settings(name: str, values: dict[str, Any]) -> Any:
    """A feature's settings with some values set, each of which must make sense; those of `weights` are a digest."""
    weights = values.get("weights")
    if not isinstance(weights, str | None):
        raise UsageError(f"{name}: weights cannot be {str(weights)[:40]!r}")
    own = {key: value for key, value in values.items() if key != "weights"}
    catalogue.check(name, catalogue.entries("features")[name].settings, own)
    return load(name).Settings(**values)
