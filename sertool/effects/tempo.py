"""Tempo: faster or slower, as high as before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from sertool.effects import Drawn, Range
from sertool.sound import ratios, sounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

PLACE = 20


@dataclass(frozen=True)
class Settings:
    rate: Annotated[Range, "how many times as fast", 0.25, 4] = (0.9, 1.1)


def draw(rng: np.random.Generator, settings: Settings) -> Drawn:
    return {"rate": ratios.draw(rng, settings.rate)}


def length(samples: int, drawn: Drawn) -> int:
    return ratios.length(samples, drawn["rate"])


def apply(wave: Tensor, rate: int, drawn: Drawn) -> Tensor:
    from sertool.sound import stretching

    stretched = stretching.time_stretched(wave, rate, ratios.ratio(drawn["rate"]))
    return sounds.as_loud(stretched, wave)  # a phase vocoder attenuates steady tones by some dB


def together(waves: Sequence[Tensor], rate: int, drawn: Sequence[Drawn]) -> list[Tensor]:
    from sertool.sound import stretching

    stretched = stretching.time_stretched_together(waves, rate, [ratios.ratio(numbers["rate"]) for numbers in drawn])
    return sounds.each_as_loud(stretched, waves)
