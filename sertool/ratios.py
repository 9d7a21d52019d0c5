"""Ratios of small whole numbers, by which pitch, tempo and speed are changed; who only draws them needs no torch."""

import math
from fractions import Fraction

import numpy as np

PARTS = 100  # the largest denominator: steps of a sixth of a semitone at the most, and short resampling filters


def ratio(number: float) -> Fraction:
    """The nearest ratio that resamples quickly."""
    if number <= 0:
        raise ValueError(f"{number} is no ratio above 0")
    return Fraction(number).limit_denominator(PARTS)


def draw(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """A ratio within bounds, as manifests keep it."""
    return round(float(ratio(rng.uniform(*bounds))), 6)


def length(samples: int, rate: float) -> int:
    """How many samples are left of so many that become faster by the ratio that was kept."""
    return math.ceil(samples / ratio(rate))


def semitones(number: Fraction) -> float:
    return 12 * math.log2(number)
