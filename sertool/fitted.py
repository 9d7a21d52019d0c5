"""What the classical models share: scikit-learn fits them, tensors keep what it found, and torch alone evaluates them.

So a model file never needs a pickle, nor prediction scikit-learn.
"""

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sertool.errors import SertoolError

Known = np.ndarray | None  # of each clip, `[clips]`, where it matters

ABSENT = -100.0  # the logit of an emotion that was not among those fitted
FLAT = 1e-6  # of a column's size: float32 rounds to a 16th of it, and sums of float64 squares are as good
SEEDS = 2**32  # that scikit-learn takes
TINY = float(np.finfo(np.float32).tiny)


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each column; a column that never changes has deviation 1."""
    mean = x.mean(axis=0, dtype=np.float64)
    return mean, deviation_of(mean, x.var(axis=0, dtype=np.float64))


def deviation_of(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """The deviation of columns, and 1 of those that change by no more than float32's rounding of them, or by nothing
    that it can hold: these never change, and stay as they are."""
    deviation = np.sqrt(variance)
    return np.where(deviation > np.maximum(FLAT * np.sqrt(np.square(mean) + variance), TINY), deviation, 1.0)


def require_more_clips_than_emotions(y: np.ndarray) -> None:
    """How clips of one emotion differ can be told only where one emotion has two."""
    if len(np.unique(y)) == len(y):
        raise SertoolError(f"linear discriminant analysis needs more clips than emotions, and {len(y)} clips have as "
                           "many")  # fmt: skip


def regression(z: np.ndarray, y: np.ndarray, c: float, steps: int, weights: Known = None) -> Any:
    """Logistic regression of scaled rows; the smaller `c`, the more large weights are held back."""
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(C=c, max_iter=steps).fit(z, y, weights)


def linear(estimator: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weights `[classes, columns]` and bias that a linear classifier of scikit-learn found.

    Of two classes it keeps the second's odds alone.
    """
    weight, bias = estimator.coef_, estimator.intercept_
    return (
        (np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])) if len(bias) == 1 else (weight, bias)
    )


class Fitted(nn.Module):
    """A model of clip statistics, each scaled to mean 0 and deviation 1 first.

    Its tensors get their sizes when it is fitted, or when a state is loaded.
    """

    def __init__(self, settings: Any, columns: int, classes: int) -> None:
        super().__init__()
        self.settings, self.classes = settings, classes
        self.keep(mean=np.zeros(columns), scale=np.ones(columns), present=np.arange(classes))

    def keep(self, **arrays: Any) -> None:
        """Buffers of these values: whole numbers as int32, others as float32."""
        for name, values in arrays.items():
            array = np.asarray(values)
            kind = np.int32 if np.issubdtype(array.dtype, np.integer) else np.float32
            self.register_buffer(name, torch.from_numpy(np.array(array, dtype=kind, order="C")))

    def begin(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Learn the scale of `x` `[clips, columns]` and which emotions there are, and scale it."""
        present = np.unique(y)
        if len(present) < 2:
            raise SertoolError(f"fitting needs clips of two emotions at least, and {len(y)} clips have {len(present)}")
        mean, scale = moments(x)
        self.keep(mean=mean, scale=scale, present=present)
        return (x - self.mean.numpy()) / self.scale.numpy().astype(np.float64)

    def scaled(self, rows: Tensor) -> Tensor:
        """`[clips, columns]` of `[clips, time, columns]`: statistics are a clip's first and only row."""
        return (rows[:, 0] - self.mean) / self.scale

    def spread(self, logits: Tensor) -> Tensor:
        """`[clips, classes]` of the logits of those that are present."""
        full = logits.new_full((len(logits), self.classes), ABSENT)
        return full.index_copy(1, self.present.long(), logits)

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        for name, buffer in self.named_buffers(recurse=False):
            if prefix + name in state:
                setattr(self, name, buffer.new_empty(state[prefix + name].shape))
        super()._load_from_state_dict(state, prefix, *rest)


class FittedLinear(Fitted):
    """Logits that are linear in the statistics."""

    def __init__(self, settings: Any, columns: int, classes: int) -> None:
        super().__init__(settings, columns, classes)
        self.keep(weight=np.zeros((classes, columns)), bias=np.zeros(classes))

    def adopt(self, estimator: Any) -> None:
        """What a linear classifier of scikit-learn found."""
        weight, bias = linear(estimator)
        self.keep(weight=weight, bias=bias)

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        return self.spread(self.scaled(rows) @ self.weight.mT + self.bias)
