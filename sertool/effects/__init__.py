"""Effects on waveforms by name: each file of this folder is one, and adding a file adds it.

A file has a place in the chain (`PLACE`), perhaps a `SHARE` of the copies that it usually happens to, `Settings`, whose
first field is what its option takes, `draw(dice, settings)`, which gives plain numbers, and `apply(wave, rate, drawn)`,
which is decided by them alone: `[channels, samples]` or `[samples]` in, the same out, perhaps of another length.
Drawing needs no torch.
"""

from __future__ import annotations

import importlib
import json
from functools import cache, lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from sertool import catalogue
from sertool.errors import SertoolError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 2  # of the effects' numbers; a change of it makes the shards of all copies anew
Range = tuple[float, float]
Drawn = dict[str, Any]


@cache
def load(name: str) -> ModuleType:
    """An effect's module."""
    if name.replace("_", "-") not in catalogue.names("effects"):
        raise UsageError(f"no effect {name}; there are {', '.join(catalogue.names('effects'))}")
    return importlib.import_module(f"sertool.effects.{name.replace('-', '_')}")


# What the files share when they draw.


def between(dice: np.random.Generator, bounds: Range) -> float:
    """A number within bounds, each as likely as any."""
    return round(float(dice.uniform(*bounds)), 4)


def hertz_between(dice: np.random.Generator, bounds: Range) -> float:
    """A frequency within bounds, each octave as likely as any."""
    return round(float(np.exp(dice.uniform(*np.log(bounds)))), 2)


def a_seed(dice: np.random.Generator) -> int:
    """What the samples of a noise are drawn from."""
    return int(dice.integers(1 << 32))


# The chain of a copy: `{"effects":[{"effect":"gain","db":-2.5}, ...]}`, `"written":true` where a file holds its sound.


def text(chain: list[Drawn]) -> str:
    """Drawn effects as the manifest keeps them."""
    return json.dumps({"effects": chain}, separators=(",", ":"))


def written(augmentation: str) -> str:
    """The same for a row whose file holds the sound after the effects."""
    return json.dumps(json.loads(augmentation) | {"written": True}, separators=(",", ":"))


@lru_cache(maxsize=4096)
def pending(augmentation: str | None) -> tuple[Drawn, ...]:
    """The effects that are to be applied to a row's file: none where it holds their sound already."""
    if not augmentation:
        return ()
    try:
        held = json.loads(augmentation)
        return () if held.get("written") else tuple({"effect": str(one["effect"]), **one} for one in held["effects"])
    except (ValueError, LookupError, TypeError, AttributeError):
        raise SertoolError(f"no augmentation that sertool wrote: {augmentation[:80]!r}") from None


def applied(wave: Tensor, rate: int, augmentation: str | None) -> Tensor:
    """`[channels, samples]` after a row's effects, one after another; the wave that came in is left as it was."""
    for drawn in pending(augmentation):
        try:
            wave = load(drawn["effect"]).apply(wave, rate, drawn)
        except LookupError as missing:
            raise SertoolError(f"augmentation {drawn['effect']}: it lacks {missing}") from None
    return wave
