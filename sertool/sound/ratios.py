"""Ratios of small integers by which pitch, tempo and speed are changed; drawing them needs no torch."""

import math
from fractions import Fraction

import numpy as np

PARTS = 100  # the largest denominator: steps of at most a sixth of a semitone, and short resampling filters


def ratio(number: float) -> Fraction:
    """Return the nearest ratio that can be resampled quickly."""
    if number <= 0:
        raise ValueError(f"{number} is no ratio above 0")
    return Fraction(number).limit_denominator(PARTS)


def draw(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """Draw a ratio within bounds, rounded as in manifests."""
    return round(float(ratio(rng.uniform(*bounds))), 6)


def length(samples: int, rate: float) -> int:
    """Return the number of samples after speeding up by a ratio as in the manifest."""
    return math.ceil(samples / ratio(rate))


def semitones(number: Fraction) -> float:
    return 12 * math.log2(number)
