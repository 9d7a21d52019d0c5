"""Telephone: 300 to 3,400 Hz, in 8 bits by the mu-law."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sertool import filters
from sertool.effects import Drawn

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

PLACE = 130


def draw(_dice: np.random.Generator, _settings: None) -> Drawn:
    return {"low": 300, "high": 3400, "bits": 8}


def apply(wave: Tensor, rate: int, drawn: Drawn) -> Tensor:
    line = filters.low_passed(filters.high_passed(wave, rate, drawn["low"]), rate, drawn["high"])
    mu, half = 2.0 ** drawn["bits"] - 1, 2.0 ** (drawn["bits"] - 1) - 1
    loud = (line.abs().clamp(max=1.0) * mu).log1p() / math.log1p(mu)
    return line.sign() * ((loud * half).round() / half * math.log1p(mu)).expm1() / mu
