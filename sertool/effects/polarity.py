"""Polarity: the waveform upside down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sertool.effects import Drawn

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

PLACE = 150
SHARE = 0.5


def draw(_rng: np.random.Generator, _settings: None) -> Drawn:
    return {}


def apply(wave: Tensor, _rate: int, _drawn: Drawn) -> Tensor:
    return -wave
