"""Clipping: peaks cut off, as by a microphone that was too near."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from sertool.effects import Drawn, Range, between

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

PLACE = 125


@dataclass(frozen=True)
class Settings:
    db: Annotated[Range, "how far below the greatest peak they are cut, in dB", 0, 60] = (3.0, 12.0)


def draw(rng: np.random.Generator, settings: Settings) -> Drawn:
    return {"db": between(rng, settings.db)}


def apply(wave: Tensor, _rate: int, drawn: Drawn) -> Tensor:
    most = wave.abs().amax(dim=-1, keepdim=True) * 10 ** (-drawn["db"] / 20)
    return wave.minimum(most).maximum(-most)
