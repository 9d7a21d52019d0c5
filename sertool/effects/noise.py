"""Noise: Gaussian, white or coloured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from sertool.effects import Drawn, Range, a_seed, between
from sertool.sound import sounds

if TYPE_CHECKING:
    from torch import Tensor

PLACE = 70
SLOPES = {"white": 0, "pink": -1, "brown": -2, "blue": 1, "violet": 2}  # exponents of the power by frequency


@dataclass(frozen=True)
class Settings:
    snr: Annotated[Range, "how many dB the clip lies above the noise, both below 8 kHz", -40, 100] = (10.0, 30.0)
    colour: Annotated[
        Literal["white", "pink", "brown", "blue", "violet", "any"], "power by frequency: even, falling or rising"
    ] = "white"


def draw(rng: np.random.Generator, settings: Settings) -> Drawn:
    colour = str(rng.choice(list(SLOPES))) if settings.colour == "any" else settings.colour
    return {"snr": between(rng, settings.snr), "colour": colour, "seed": a_seed(rng)}


def sound(samples: int, _rate: int, drawn: Drawn) -> np.ndarray:
    return coloured(drawn["seed"], samples, SLOPES[drawn["colour"]])


def apply(wave: Tensor, rate: int, drawn: Drawn, noise: np.ndarray) -> Tensor:
    return sounds.with_noise(wave, wave.new_tensor(noise), rate, drawn["snr"])


def coloured(seed: int, samples: int, slope: int) -> np.ndarray:
    """Return noise whose power changes by `slope` times 3 dB per octave, float32 `[samples]`."""
    if not slope:
        return sounds.white(seed, samples)
    size = -(-samples // 4096) * 4096  # other transform lengths may take ten times as long
    bins = np.fft.rfft(sounds.white(seed, size))
    bins[0] = 0.0
    bins[1:] *= np.arange(1, len(bins)) ** (slope / 2)
    return np.fft.irfft(bins, size)[:samples].astype(np.float32)
