"""Noise whose deviation is a share of the clip's peak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from sertool.effects import Drawn, Range, a_seed
from sertool.sound import sounds

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

PLACE = 80


@dataclass(frozen=True)
class Settings:
    level: Annotated[Range, "which share", 0, 1] = (0.0, 0.035)


def draw(rng: np.random.Generator, settings: Settings) -> Drawn:
    return {"level": round(rng.uniform(*settings.level), 6), "seed": a_seed(rng)}


def sound(samples: int, _rate: int, drawn: Drawn) -> np.ndarray:
    return sounds.white(drawn["seed"], samples)


def apply(wave: Tensor, _rate: int, drawn: Drawn, noise: np.ndarray) -> Tensor:
    return wave + wave.new_tensor(noise) * drawn["level"] * wave.abs().amax(dim=-1, keepdim=True)
