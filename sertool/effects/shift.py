"""Time shift: earlier or later, as long as before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from sertool.effects import Drawn, Range
from sertool.sound import filters

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

PLACE = 160


@dataclass(frozen=True)
class Settings:
    by: Annotated[Range, "how much later", -60, 60] = (-0.1, 0.1)
    unit: Annotated[Literal["seconds", "length"], "of what: seconds, or the clip's length"] = "seconds"
    wrap: Annotated[bool, "what leaves at one end comes in at the other, rather than silence"] = False


def draw(rng: np.random.Generator, settings: Settings) -> Drawn:
    return {"by": round(rng.uniform(*settings.by), 6), "unit": settings.unit, "wrap": settings.wrap}


def apply(wave: Tensor, rate: int, drawn: Drawn) -> Tensor:
    length = wave.shape[-1]
    by = round(drawn["by"] * (rate if drawn["unit"] == "seconds" else length))
    if not drawn["wrap"]:
        by = max(-length, min(length, by))
    return filters.shifted(wave, rate, by, wrap=drawn["wrap"])
