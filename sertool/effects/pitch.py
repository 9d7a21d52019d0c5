"""Pitch: higher or lower, as long as before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from sertool.effects import Drawn, Range
from sertool.sound import ratios, sounds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    import numpy as np
    from torch import Tensor

PLACE = 10


@dataclass(frozen=True)
class Settings:
    semitones: Annotated[Range, "by how many semitones", -24, 24] = (-2.0, 2.0)


def draw(rng: np.random.Generator, settings: Settings) -> Drawn:
    by = ratios.ratio(2 ** (rng.uniform(*settings.semitones) / 12))
    return {"semitones": round(ratios.semitones(by), 4)}


def apply(wave: Tensor, rate: int, drawn: Drawn) -> Tensor:
    from sertool.sound import stretching

    shifted = stretching.pitch_shifted(wave, rate, _ratio(drawn))
    return sounds.as_loud(shifted, wave)  # a phase vocoder attenuates steady tones by some dB


def together(waves: Sequence[Tensor], rate: int, drawn: Sequence[Drawn]) -> list[Tensor]:
    from sertool.sound import stretching

    shifted = stretching.pitch_shifted_together(waves, rate, [_ratio(numbers) for numbers in drawn])
    return sounds.each_as_loud(shifted, waves)


def _ratio(drawn: Drawn) -> Fraction:
    return ratios.ratio(2 ** (drawn["semitones"] / 12))
