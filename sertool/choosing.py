"""Choose the best epoch of a training by its figures."""

from typing import Any

from sertool.training_settings import Settings


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
    return next(k for k in reversed(range(len(values))) if all(values[k] > past for past in values[:k]))


def stale(history: list[dict[str, Any]], settings: Settings) -> bool:
    """Whether the last `patience` epochs brought no improvement on dev."""
    patience = settings.patience
    if not patience or len(history) <= patience or "dev_loss" not in history[-1]:
        return False
    values = [figure(figures, settings) for figures in history]
    return max(values[-patience:]) <= max(values[:-patience])
