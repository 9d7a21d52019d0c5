"""Band pass: what lies outside a band is taken out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from sertool.effects import Drawn, Range, between, hertz_between
from sertool.sound import filters

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

PLACE = 110


@dataclass(frozen=True)
class Settings:
    hz: Annotated[Range, "its middle in Hz", 10, 100_000] = (500.0, 2000.0)
    octaves: Annotated[Range, "how wide it is, in octaves", 0.05, 8] = (2.0, 4.0)


def draw(rng: np.random.Generator, settings: Settings) -> Drawn:
    return {"hz": hertz_between(rng, settings.hz), "octaves": between(rng, settings.octaves)}


def apply(wave: Tensor, rate: int, drawn: Drawn) -> Tensor:
    return filters.band(wave, rate, drawn["hz"], drawn["octaves"])


def together(waves: Sequence[Tensor], rate: int, drawn: Sequence[Drawn]) -> list[Tensor]:
    return filters.filtered(
        waves, [filters.band_pass_kernel(rate, numbers["hz"], numbers["octaves"]) for numbers in drawn]
    )
