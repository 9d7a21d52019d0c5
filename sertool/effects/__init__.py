"""Effects on waveforms by name: each file of this folder is one, and adding a file adds it.

A file has

- `PLACE`, its position in the chain of effects, and perhaps `SHARE`, the share of the copies that it is applied to
  unless `--share` says otherwise;
- `Settings`, whose first field is the value of its option;
- `draw(rng, settings)`, which draws plain numbers with a NumPy generator;
- `apply(wave, rate, drawn)`, which is decided by these numbers alone: `[channels, samples]` or `[samples]` in, the same
  out, perhaps of another length, which `length(samples, drawn)` gives;
- `sound(samples, rate, drawn)`, float32 `[..]`, if it adds another sound to the clip; `apply` takes that, too;
- `together(waves, rate, drawn)` where a device is much faster with many clips at once: it takes lists and returns a
  list that equals that of `apply` but for rounding, from which a codec or a telephone that follows may make more.

Drawing and `sound` need no torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from sertool import catalogue
from sertool.errors import SertoolError

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 3  # of the effects' numbers; a change of it makes the shards of all copies anew
Range = tuple[float, float]
Drawn = dict[str, Any]
Link = tuple[Drawn, tuple[np.ndarray, ...]]  # what was drawn for an effect, and the sound it lays over, if any


def load(name: str) -> ModuleType:
    """An effect's module, by its word or by the name that manifests have."""
    return catalogue.load("effects", name.replace("_", "-"))


# What the files share when they draw.


def between(rng: np.random.Generator, bounds: Range) -> float:
    """A number within bounds, each as likely as any."""
    return round(float(rng.uniform(*bounds)), 4)


def hertz_between(rng: np.random.Generator, bounds: Range) -> float:
    """A frequency within bounds, each octave as likely as any."""
    return round(float(np.exp(rng.uniform(*np.log(bounds)))), 2)


def a_seed(rng: np.random.Generator) -> int:
    """The seed of a noise."""
    return int(rng.integers(1 << 32))


# The chain of a copy: `{"effects":[{"effect":"gain","db":-2.5}, ...]}`, `"written":true` where a file holds its sound,
# with `"turned_down":6.02`, in dB, where the file could not hold it as loud.


def text(chain: list[Drawn]) -> str:
    """Drawn effects as the manifest keeps them."""
    return json.dumps({"effects": chain}, separators=(",", ":"))


def written(augmentation: str, turned_down: float = 0.0) -> str:
    """The same for a row whose file holds the sound after the effects, softer by so many dB."""
    how = {"written": True, "turned_down": turned_down} if turned_down else {"written": True}
    return json.dumps(json.loads(augmentation) | how, separators=(",", ":"))


@lru_cache(maxsize=4096)
def pending(augmentation: str | None) -> tuple[Drawn, ...]:
    """The effects that are to be applied to a row's file: none where it holds their sound already."""
    if not augmentation:
        return ()
    try:
        record = json.loads(augmentation)
        links = () if record.get("written") else record["effects"]
        return tuple({**link, "effect": str(link["effect"])} for link in links)
    except (ValueError, LookupError, TypeError, AttributeError):
        raise SertoolError(f"no augmentation that sertool wrote: {augmentation[:80]!r}") from None


def applied(wave: Tensor, rate: int, augmentation: str | None) -> Tensor:
    """`[channels, samples]` after a row's effects, one after another; the wave that came in is left as it was."""
    for link in readied(wave.shape[-1], rate, augmentation):
        wave = _alone(wave, rate, link)
    return wave


def readied(samples: int, rate: int, augmentation: str | None) -> list[Link]:
    """A row's effects for a clip of so many samples, with their sounds drawn and read: the rest any device can do."""
    chain = []
    for drawn in pending(augmentation):
        with _complete(drawn["effect"]) as module:
            chain.append((drawn, (module.sound(samples, rate, drawn),) if hasattr(module, "sound") else ()))
            samples = module.length(samples, drawn) if hasattr(module, "length") else samples
    return chain


def applied_together(waves: Sequence[Tensor], rate: int, chains: Sequence[Sequence[Link]]) -> list[Tensor]:
    """`applied`, to many `[channels, samples]`: what stands first is applied to all clips of like lengths at once."""
    changed, waiting_chains = list(waves), [list(chain)[::-1] for chain in chains]
    while waiting := [at for at, chain in enumerate(waiting_chains) if chain]:
        names = {at: waiting_chains[at][-1][0]["effect"] for at in waiting}
        first = min(names.values(), key=lambda name: load(name).PLACE)
        groups: dict[int, list[int]] = {}
        for at in (at for at, name in names.items() if name == first):
            groups.setdefault(changed[at].shape[-1].bit_length(), []).append(at)  # so that no more than half is padding
        for group in groups.values():
            links = [waiting_chains[at].pop() for at in group]
            for at, wave in zip(group, _together(first, [changed[at] for at in group], rate, links), strict=True):
                changed[at] = wave
    return changed


def _alone(wave: Tensor, rate: int, link: Link) -> Tensor:
    drawn, sound = link
    with _complete(drawn["effect"]) as module:
        return module.apply(wave, rate, drawn, *sound)


def _together(name: str, waves: list[Tensor], rate: int, links: Sequence[Link]) -> list[Tensor]:
    if not hasattr(load(name), "together"):
        return [_alone(wave, rate, link) for wave, link in zip(waves, links, strict=True)]
    with _complete(name) as module:
        sounds = zip(*(sound for _, sound in links), strict=True)
        return module.together(waves, rate, [drawn for drawn, _ in links], *sounds)


@contextmanager
def _complete(name: str) -> Iterator[ModuleType]:
    """An effect, to be used on what was drawn for it: numbers that are not there, or make no sense, are one line."""
    module = load(name)
    try:
        yield module
    except LookupError as missing:
        raise SertoolError(f"augmentation {name}: it lacks {missing}") from None
    except (TypeError, ValueError, ArithmeticError) as error:
        raise SertoolError(f"augmentation {name}: it cannot be made of these numbers ({error})") from None
