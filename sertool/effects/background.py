"""Background noise: a part of a recording, repeated where it is short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from sertool.effects import Drawn, Range, between
from sertool.sound import sounds

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

PLACE = 60


@dataclass(frozen=True)
class Settings:
    folder: Annotated[str, "a folder of recordings"] = ""
    snr: Annotated[Range, "how many dB the clip lies above the noise, both below 8 kHz", -40, 100] = (5.0, 30.0)


def draw(rng: np.random.Generator, settings: Settings) -> Drawn:
    return {**sounds.draw_file(rng, settings.folder), "at": round(rng.random(), 6), "snr": between(rng, settings.snr)}


def sound(samples: int, rate: int, drawn: Drawn) -> np.ndarray:
    return sounds.part(drawn["file"], drawn["digest"], rate, (drawn["at"], samples))


def apply(wave: Tensor, rate: int, drawn: Drawn, noise: np.ndarray) -> Tensor:
    return sounds.with_noise(wave, wave.new_tensor(noise), rate, drawn["snr"])
