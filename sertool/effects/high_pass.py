"""High pass: what lies below an edge is taken out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from sertool.effects import Drawn, Range, hertz_between
from sertool.sound import filters

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

PLACE = 90


@dataclass(frozen=True)
class Settings:
    hz: Annotated[Range, "its edge in Hz", 10, 100_000] = (50.0, 400.0)


def draw(rng: np.random.Generator, settings: Settings) -> Drawn:
    return {"hz": hertz_between(rng, settings.hz)}


def apply(wave: Tensor, rate: int, drawn: Drawn) -> Tensor:
    return filters.high_passed(wave, rate, drawn["hz"])


def together(waves: Sequence[Tensor], rate: int, drawn: Sequence[Drawn]) -> list[Tensor]:
    return filters.filtered(waves, [filters.high_pass_kernel(rate, numbers["hz"]) for numbers in drawn])
