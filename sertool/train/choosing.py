"""Choose the best epoch of a training by its figures."""

import statistics
from collections.abc import Sequence
from typing import Any

from sertool.train import schedules
from sertool.train.training_settings import Settings


def figure(figures: dict[str, Any], settings: Settings) -> float:
    """Return the figure that an epoch is judged by; greater is better."""
    if "dev_loss" not in figures:
        return -figures["loss"]
    return -figures["dev_loss"] if settings.metric == "loss" else figures[f"dev_{settings.metric}"]


def best_epoch(history: list[dict[str, Any]], settings: Settings) -> int:
    """Return the index of the epoch whose weights are kept; without dev, it is the last."""
    if settings.keep == "last" or "dev_loss" not in history[-1]:
        return len(history) - 1
    values = [figure(figures, settings) for figures in history]
    return values.index(max(values))


def stale(history: list[dict[str, Any]], settings: Settings) -> bool:
    """Whether the last `patience` epochs brought no improvement on dev."""
    patience = settings.patience
    if not patience or len(history) <= patience or "dev_loss" not in history[-1]:
        return False
    values = [figure(figures, settings) for figures in history]
    return max(values[-patience:]) <= max(values[:-patience])


def plateau_share(history: Sequence[dict[str, Any]], settings: Settings) -> float:
    """Return the share of the learning rate that the schedule plateau leaves after some epochs."""
    figures = [figure(figures, settings) for figures in history]
    return schedules.plateau(figures, settings.plateau_patience, settings.plateau_factor)


def course(histories: Sequence[list[dict[str, Any]]], settings: Settings) -> tuple[float, ...]:
    """Return plateau's share of the rate in each epoch of a training without dev, as other trainings found it.

    It has as many epochs as these chose, and the shares that plateau left them, both in the median; with other
    schedules, which do not look at dev, the shares are not used.
    """
    epochs = statistics.median_high(best_epoch(history, settings) + 1 for history in histories)
    reached = [[history[:epoch] for history in histories if len(history) > epoch] for epoch in range(epochs)]
    return tuple(statistics.median(plateau_share(past, settings) for past in pasts) for pasts in reached)
