"""Ratios of small whole numbers, by which pitch, tempo and speed are changed; who only draws them needs no torch."""

import math
from fractions import Fraction

PARTS = 100  # the largest denominator: steps of a sixth of a semitone at the most, and short resampling filters


def ratio(number: float) -> Fraction:
    """The nearest ratio that resamples quickly."""
    return Fraction(number).limit_denominator(PARTS)


def semitones(number: Fraction) -> float:
    return 12 * math.log2(number)
