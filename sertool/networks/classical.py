"""Base of the classical models: scikit-learn fits them, tensors keep the parameters, and torch evaluates them.

So model files need no pickle, and prediction needs no scikit-learn.
"""

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from sertool.errors import SertoolError

Known = np.ndarray | None  # optional weights, `[clips]`
# Returns the weights `[outputs, columns]` and the bias `[outputs]` that map scaled rows, `[clips, columns]`, to what is
# known of the clips; a smaller number means stronger regularisation.
Regress = Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]]

ABSENT = -100.0  # the logit of an emotion absent from the training clips
FLAT = 1e-6  # relative to a column's size: float32 rounds to 1/16 of it, and sums of float64 squares are as precise
SEEDS = 2**32  # the number of seeds that scikit-learn accepts
TINY = float(np.finfo(np.float32).tiny)


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each column; a constant column has deviation 1."""
    mean = x.mean(axis=0, dtype=np.float64)
    return mean, deviation_of(mean, x.var(axis=0, dtype=np.float64))


def deviation_of(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return the standard deviation of columns, 1 for constant ones.

    A column is constant if it varies by no more than float32's rounding, or less than float32 can hold; it stays as it
    is.
    """
    deviation = np.sqrt(variance)
    return np.where(deviation > np.maximum(FLAT * np.sqrt(np.square(mean) + variance), TINY), deviation, 1.0)


def require_more_clips_than_emotions(y: np.ndarray) -> None:
    """Raise SertoolError unless an emotion has two clips, without which the variance within emotions is unknown."""
    if len(np.unique(y)) == len(y):
        raise SertoolError(
            f"linear discriminant analysis needs more clips than emotions, and {len(y)} clips have as many"
        )


def regression(z: np.ndarray, y: np.ndarray, c: float, steps: int, weights: Known = None) -> Any:
    """Fit logistic regression to scaled rows; a smaller `c` means stronger regularisation."""
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(C=c, max_iter=steps).fit(z, y, weights)


def ridge(z: np.ndarray, y: np.ndarray, c: float, weights: Known = None) -> tuple[np.ndarray, np.ndarray]:
    """Fit regression of each column of `y` `[clips, outputs]` to scaled rows, without the clips where it is NaN."""
    from sklearn.linear_model import Ridge

    fits = each_dimension(lambda *known: Ridge(1 / c).fit(*known), z, y, weights)
    return np.stack([fit.coef_ for fit in fits]), np.array([fit.intercept_ for fit in fits])


def each_dimension(fit: Callable[..., Any], z: np.ndarray, y: np.ndarray, weights: Known) -> list[Any]:
    """Return what `fit(rows, values, weights)` makes of each column of `y` `[clips, dimensions]`, where it is known."""
    of_clip = np.ones(len(y)) if weights is None else weights
    return [fit(z[known], values[known], of_clip[known]) for known, values in zip(~np.isnan(y).T, y.T, strict=True)]


def gaussian(x: Tensor, vectors: Tensor, gamma: float) -> Tensor:
    """Return how alike rows are to vectors, `[rows, vectors]`, from 1 for the same to 0."""
    distances = x.square().sum(1)[:, None] + vectors.square().sum(1) - 2 * x @ vectors.mT
    return (-gamma * distances.clamp(min=0)).exp()


def linear(estimator: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights `[classes, columns]` and bias of a linear classifier of scikit-learn.

    With two classes it stores only the log odds of the second.
    """
    weight, bias = estimator.coef_, estimator.intercept_
    return (
        (np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])) if len(bias) == 1 else (weight, bias)
    )


class Fitted(nn.Module):
    """A classical model of clip statistics, each scaled to mean 0 and deviation 1.

    Its tensors get their sizes when it is fitted, or when a state is loaded.
    """

    learns: ClassVar[str]
    mean: Tensor
    scale: Tensor

    def __init__(self, settings: Any, columns: int, names: int) -> None:
        super().__init__()
        self.settings, self.names = settings, names
        self.register_arrays(mean=np.zeros(columns), scale=np.ones(columns))

    def register_arrays(self, **arrays: Any) -> None:
        """Store arrays as buffers: integers as int32, others as float32."""
        for name, values in arrays.items():
            array = np.asarray(values)
            kind = np.int32 if np.issubdtype(array.dtype, np.integer) else np.float32
            self.register_buffer(name, torch.from_numpy(np.array(array, dtype=kind, order="C")))

    def fit_scaling(self, x: np.ndarray) -> np.ndarray:
        """Fit the scaling of `x` `[clips, columns]`, and return `x` scaled."""
        mean, scale = moments(x)
        self.register_arrays(mean=mean, scale=scale)
        return (x - self.mean.numpy()) / self.scale.numpy().astype(np.float64)

    def scaled(self, rows: Tensor) -> Tensor:
        """Scale statistics, `[clips, columns]` of `[clips, time, columns]`: they are a clip's only row."""
        return (rows[:, 0] - self.mean) / self.scale

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        for name, buffer in self.named_buffers(recurse=False):
            if prefix + name in state:
                setattr(self, name, buffer.new_empty(state[prefix + name].shape))
        super()._load_from_state_dict(state, prefix, *rest)


class Classifier(Fitted):
    """A classical model of emotions, of which some may be absent from the training clips."""

    learns = "emotions"
    present: Tensor

    def __init__(self, settings: Any, columns: int, names: int) -> None:
        super().__init__(settings, columns, names)
        self.register_arrays(present=np.arange(names))

    def fit_classes(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Store the classes in `y` `[clips]`, fit the scaling of `x` `[clips, columns]`, and return `x` scaled."""
        present = np.unique(y)
        if len(present) < 2:
            raise SertoolError(f"fitting needs clips of two emotions at least, and {len(y)} clips have {len(present)}")
        self.register_arrays(present=present)
        return self.fit_scaling(x)

    def spread(self, logits: Tensor) -> Tensor:
        """Expand the logits of the present classes to all classes, `[clips, classes]`."""
        full = logits.new_full((len(logits), self.names), ABSENT)
        return full.index_copy(1, self.present.long(), logits)


class LinearClassifier(Classifier):
    """A classical model with logits linear in the statistics."""

    weight: Tensor
    bias: Tensor

    def __init__(self, settings: Any, columns: int, names: int) -> None:
        super().__init__(settings, columns, names)
        self.register_arrays(weight=np.zeros((names, columns)), bias=np.zeros(names))

    def load_estimator(self, estimator: Any) -> None:
        """Store the parameters of a linear classifier of scikit-learn."""
        weight, bias = linear(estimator)
        self.register_arrays(weight=weight, bias=bias)

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        return self.spread(self.scaled(rows) @ self.weight.mT + self.bias)


class Regressor(Fitted):
    """A classical model of dimensions: `fit` takes ratings `[clips, dimensions]`, standardised, NaN where unknown."""

    learns = "dimensions"
