"""Effects on waveforms by name: each file of this folder is one, and adding a file adds it.

A file has

- `PLACE`, its position in the chain of effects, and perhaps `SHARE`, the share of the copies that it is applied to by
  default (`--share`);
- `Settings`, whose first field is the value of its option;
- `draw(rng, settings)`, which draws its parameters, plain numbers, with a NumPy generator;
- `apply(wave, rate, drawn)`, which depends on these alone: it maps `[channels, samples]` or `[samples]` to the same,
  perhaps of another length, which `length(samples, drawn)` returns;
- `sound(samples, rate, drawn)`, float32 `[..]`, if it adds another sound to the clip, which is passed to `apply`;
- `together(waves, rate, drawn)`, if a device is much faster with many clips at once: it maps lists to a list that
  equals the results of `apply` but for rounding, which a codec or a telephone effect that follows may amplify.

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

VERSION = 3  # of the effects' algorithms; a change makes the shards of all copies anew
Range = tuple[float, float]
Drawn = dict[str, Any]
Link = tuple[Drawn, tuple[np.ndarray, ...]]  # an effect's drawn parameters, and the sound it adds, if any


def load(name: str) -> ModuleType:
    """Load an effect's module, by its word or by its name in manifests."""
    return catalogue.load("effects", name.replace("_", "-"))


# Shared by the effects' `draw`.


def between(rng: np.random.Generator, bounds: Range) -> float:
    """Draw a number uniformly within bounds."""
    return round(float(rng.uniform(*bounds)), 4)


def hertz_between(rng: np.random.Generator, bounds: Range) -> float:
    """Draw a frequency within bounds, uniformly over octaves."""
    return round(float(np.exp(rng.uniform(*np.log(bounds)))), 2)


def a_seed(rng: np.random.Generator) -> int:
    """Draw the seed of a noise."""
    return int(rng.integers(1 << 32))


# The chain of a copy: `{"effects":[{"effect":"gain","db":-2.5}, ...]}`, with `"written":true` if the file holds its
# sound, and `"turned_down":6.02`, in dB, if the file could not hold it as loud.


def text(chain: list[Drawn]) -> str:
    """Return drawn effects as the manifest's text."""
    return json.dumps({"effects": chain}, separators=(",", ":"))


def written(augmentation: str, turned_down: float = 0.0) -> str:
    """Like `text`, for a row whose file holds the sound after the effects, attenuated by so many dB."""
    how = {"written": True, "turned_down": turned_down} if turned_down else {"written": True}
    return json.dumps(json.loads(augmentation) | how, separators=(",", ":"))


@lru_cache(maxsize=4096)
def needs_rendering(augmentation: str | None) -> tuple[Drawn, ...]:
    """Return the effects still to be applied to a row's file: none if it holds their sound already."""
    if not augmentation:
        return ()
    try:
        record = json.loads(augmentation)
        links = () if record.get("written") else record["effects"]
        return tuple({**link, "effect": str(link["effect"])} for link in links)
    except (ValueError, LookupError, TypeError, AttributeError):
        raise SertoolError(f"no augmentation that sertool wrote: {augmentation[:80]!r}") from None


def applied(wave: Tensor, rate: int, augmentation: str | None) -> Tensor:
    """Apply a row's effects in order to `[channels, samples]`, without changing the input."""
    for link in prepare_chain(wave.shape[-1], rate, augmentation):
        wave = _alone(wave, rate, link)
    return wave


def prepare_chain(samples: int, rate: int, augmentation: str | None) -> list[Link]:
    """Return a row's effects for a clip of so many samples, with their sounds ready; any device can do the rest."""
    chain: list[Link] = []
    for drawn in needs_rendering(augmentation):
        with _complete(drawn["effect"]) as module:
            chain.append((drawn, (module.sound(samples, rate, drawn),) if hasattr(module, "sound") else ()))
            samples = module.length(samples, drawn) if hasattr(module, "length") else samples
    return chain


def applied_together(waves: Sequence[Tensor], rate: int, chains: Sequence[Sequence[Link]]) -> list[Tensor]:
    """Like `applied`, for many `[channels, samples]`, applying an effect to all clips of similar length at once."""
    changed, waiting_chains = list(waves), [list(chain)[::-1] for chain in chains]
    while waiting := [at for at, chain in enumerate(waiting_chains) if chain]:
        names = {at: waiting_chains[at][-1][0]["effect"] for at in waiting}
        first = min(names.values(), key=lambda name: load(name).PLACE)
        groups: dict[int, list[int]] = {}
        for at in (at for at, name in names.items() if name == first):
            groups.setdefault(changed[at].shape[-1].bit_length(), []).append(at)  # so that at most half is padding
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
    """Load an effect, and turn errors from missing or invalid parameters into one line."""
    module = load(name)
    try:
        yield module
    except LookupError as missing:
        raise SertoolError(f"augmentation {name}: it lacks {missing}") from None
    except (TypeError, ValueError, ArithmeticError) as error:
        raise SertoolError(f"augmentation {name}: it cannot be made of these numbers ({error})") from None
