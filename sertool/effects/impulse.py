"""Impulse response of a room or a microphone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from sertool import filters, sounds
from sertool.effects import Drawn

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

PLACE = 40


@dataclass(frozen=True)
class Settings:
    folder: Annotated[str, "a folder of such recordings"] = ""


def draw(dice: np.random.Generator, settings: Settings) -> Drawn:
    return sounds.drawn(dice, settings.folder)


def apply(wave: Tensor, rate: int, drawn: Drawn) -> Tensor:
    response = wave.new_tensor(sounds.response(drawn["file"], drawn["digest"], rate))
    return sounds.as_loud(filters.convolved(wave, response), wave)
