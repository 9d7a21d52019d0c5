"""Telephone: 300 to 3,400 Hz, in 8 bits by the mu-law."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sertool.effects import Drawn
from sertool.sound import filters

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

PLACE = 130


def draw(_rng: np.random.Generator, _settings: None) -> Drawn:
    return {"low": 300, "high": 3400, "bits": 8}


def apply(wave: Tensor, rate: int, drawn: Drawn) -> Tensor:
    return _in_bits(filters.low_passed(filters.high_passed(wave, rate, drawn["low"]), rate, drawn["high"]), drawn)


def together(waves: Sequence[Tensor], rate: int, drawn: Sequence[Drawn]) -> list[Tensor]:
    """Like `apply`, for several waves; a sample on the edge of two levels may be rounded either way."""
    high = filters.filtered(waves, [filters.high_pass_kernel(rate, numbers["low"]) for numbers in drawn])
    lines = filters.filtered(high, [filters.low_pass_kernel(rate, numbers["high"]) for numbers in drawn])
    return [_in_bits(line, numbers) for line, numbers in zip(lines, drawn, strict=True)]


def _in_bits(line: Tensor, drawn: Drawn) -> Tensor:
    mu, half = 2.0 ** drawn["bits"] - 1, 2.0 ** (drawn["bits"] - 1) - 1
    loud = (line.abs().clamp(max=1.0) * mu).log1p() / math.log1p(mu)
    return line.sign() * ((loud * half).round() / half * math.log1p(mu)).expm1() / mu
