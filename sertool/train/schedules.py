"""Learning rate schedules: factors that depend only on the past."""

import math
from collections.abc import Sequence


def cosine(share: float) -> float:
    """Decay from 1 to 0 over a share of time from 0 to 1."""
    return 0.5 + 0.5 * math.cos(math.pi * share)


def restarts(epoch: float, length: float, factor: float) -> float:
    """Repeat the cosine: the first lasts `length` epochs, each next `factor` times as long as the one before."""
    while epoch >= length:
        epoch, length = epoch - length, length * factor
    return cosine(epoch / length)


def one_cycle(share: float) -> float:
    """Rise from 1/25 over the first 30 %, then decay to 0."""
    return 0.04 + 0.96 * (1 - cosine(share / 0.3)) if share < 0.3 else cosine((share - 0.3) / 0.7)


def plateau(values: Sequence[float], patience: int, factor: float) -> float:
    """Multiply by `factor` whenever more than `patience` epochs brought no improvement; greater values are better."""
    share, best, waiting = 1.0, -math.inf, 0
    for value in values:
        best, waiting = (value, 0) if value > best else (best, waiting + 1)
        if waiting > patience:
            share, waiting = share * factor, 0
    return share
