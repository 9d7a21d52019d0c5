"""How the learning rate changes while a model trains: a factor for any moment, from nothing but what is past."""

import math
from collections.abc import Sequence


def cosine(share: float) -> float:
    """From one to nothing over a share of time from 0 to 1."""
    return 0.5 + 0.5 * math.cos(math.pi * share)


def restarts(epoch: float, length: float, factor: float) -> float:
    """Cosines one after another, the first of `length` epochs, each `factor` times as long as the one before."""
    while epoch >= length:
        epoch, length = epoch - length, length * factor
    return cosine(epoch / length)


def one_cycle(share: float) -> float:
    """Up over the first 30 % from a 25th, then down to nothing."""
    return 0.04 + 0.96 * (1 - cosine(share / 0.3)) if share < 0.3 else cosine((share - 0.3) / 0.7)


def plateau(values: Sequence[float], patience: int, factor: float) -> float:
    """Multiplied by `factor` each time that more than `patience` epochs brought nothing better; greater is better."""
    share, best, waiting = 1.0, -math.inf, 0
    for value in values:
        best, waiting = (value, 0) if value > best else (best, waiting + 1)
        if waiting > patience:
            share, waiting = share * factor, 0
    return share
