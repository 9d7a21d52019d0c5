"""Impulse response of a room or a microphone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from sertool.effects import Drawn
from sertool.sound import filters, sounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

PLACE = 40


@dataclass(frozen=True)
class Settings:
    folder: Annotated[str, "a folder of such recordings"] = ""


def draw(rng: np.random.Generator, settings: Settings) -> Drawn:
    return sounds.draw_file(rng, settings.folder)


def sound(_samples: int, rate: int, drawn: Drawn) -> np.ndarray:
    return sounds.response(drawn["file"], drawn["digest"], rate)


def apply(wave: Tensor, _rate: int, _drawn: Drawn, response: np.ndarray) -> Tensor:
    return sounds.as_loud(filters.convolved(wave, wave.new_tensor(response)), wave)


def together(
    waves: Sequence[Tensor], _rate: int, _drawn: Sequence[Drawn], responses: Sequence[np.ndarray]
) -> list[Tensor]:
    convolved = filters.convolved_together(waves, responses)
    return sounds.each_as_loud(convolved, waves)
