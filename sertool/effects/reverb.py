"""Reverberation: a synthetic room, as loud as before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np

from sertool.effects import Drawn, Range, a_seed, between
from sertool.sound import filters, sounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

PLACE = 50


@dataclass(frozen=True)
class Settings:
    seconds: Annotated[Range, "seconds in which it falls by 60 dB", 0.05, 5] = (0.2, 0.8)
    direct: Annotated[Range, "how many dB the direct sound lies above the reverberation", -20, 40] = (0.0, 12.0)


def draw(rng: np.random.Generator, settings: Settings) -> Drawn:
    seconds, direct = between(rng, settings.seconds), between(rng, settings.direct)
    return {"seconds": seconds, "direct": direct, "seed": a_seed(rng)}


def sound(_samples: int, rate: int, drawn: Drawn) -> np.ndarray:
    """Return an impulse followed by noise that decays by 60 dB in the drawn time, float32 `[taps]`."""
    taps = round(drawn["seconds"] * rate)
    tail = sounds.white(drawn["seed"], taps) * 10 ** (-3 * np.arange(taps) / taps)
    tail *= 10 ** (-drawn["direct"] / 20) / np.sqrt(np.square(tail).sum())
    tail[0] = 1.0
    return tail.astype(np.float32)


def apply(wave: Tensor, _rate: int, _drawn: Drawn, room: np.ndarray) -> Tensor:
    return sounds.as_loud(filters.convolved(wave, wave.new_tensor(room)), wave)


def together(waves: Sequence[Tensor], _rate: int, _drawn: Sequence[Drawn], rooms: Sequence[np.ndarray]) -> list[Tensor]:
    convolved = filters.convolved_together(waves, rooms)
    return sounds.each_as_loud(convolved, waves)
