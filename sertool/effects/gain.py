"""Gain: louder or softer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from sertool.effects import Drawn, Range, between

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

PLACE = 140


@dataclass(frozen=True)
class Settings:
    db: Annotated[Range, "by how many dB", -60, 60] = (-6.0, 6.0)


def draw(rng: np.random.Generator, settings: Settings) -> Drawn:
    return {"db": between(rng, settings.db)}


def apply(wave: Tensor, _rate: int, drawn: Drawn) -> Tensor:
    return wave * 10 ** (drawn["db"] / 20)
