"""Speed: faster and higher, or slower and lower, as a tape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from sertool.effects import Drawn, Range
from sertool.sound import ratios

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

PLACE = 30


@dataclass(frozen=True)
class Settings:
    rate: Annotated[Range, "how many times as fast", 0.25, 4] = (0.9, 1.1)


def draw(rng: np.random.Generator, settings: Settings) -> Drawn:
    return {"rate": ratios.draw(rng, settings.rate)}


def length(samples: int, drawn: Drawn) -> int:
    return ratios.length(samples, drawn["rate"])


def apply(wave: Tensor, _rate: int, drawn: Drawn) -> Tensor:
    from sertool.sound import stretching

    return stretching.resampled_by(wave, ratios.ratio(drawn["rate"]))
