"""Crop and pad: a part of the clip, somewhere in silence of the clip's length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from sertool.effects import Drawn, Range, between

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

PLACE = 170


@dataclass(frozen=True)
class Settings:
    keep: Annotated[Range, "share of the clip that is kept", 0.01, 1] = (0.8, 1.0)


def draw(rng: np.random.Generator, settings: Settings) -> Drawn:
    return {"keep": between(rng, settings.keep), "of": round(rng.random(), 6), "at": round(rng.random(), 6)}


def apply(wave: Tensor, _rate: int, drawn: Drawn) -> Tensor:
    if not all(0 <= drawn[name] <= 1 for name in ("keep", "of", "at")):
        raise ValueError("a share is not from 0 to 1")
    length = wave.shape[-1]
    width = max(1, round(drawn["keep"] * length))
    first, place = (round(drawn[name] * (length - width)) for name in ("of", "at"))
    cropped = wave.new_zeros(wave.shape)
    cropped[..., place : place + width] = wave[..., first : first + width]
    return cropped
