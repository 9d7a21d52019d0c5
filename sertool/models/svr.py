"""Support vector regression of dimensions on clip statistics, with Gaussian kernel."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from torch import Tensor

from sertool.networks.classical import Known, Regressor, each_dimension, gaussian

ORIGIN = "the usual baseline for dimensions on features of openSMILE"
PARAMETERS = 0  # it grows with the training clips
DRAWS = False
INPUT = {"mfcc": 100, "mel": 128, "zcr": 1, "rms": 1, "chroma": 12, "bandwidth": 1, "rolloff": 1, "contrast": 7,
         "flatness": 1, "tonnetz": 6}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    c: Annotated[float, "the smaller, the more clips may be far off", 1e-6, 1e6] = 1.0
    gamma: Annotated[
        float | None, "how fast likeness falls with squared distance [default: 1 / columns]", 1e-9, 1e6
    ] = None
    epsilon: Annotated[float, "what counts as right: so many deviations from the rating", 0, 10] = 0.1


class Model(Regressor):
    """The machines of all dimensions side by side; a vector has weight 0 in those of which it is none."""

    vectors: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, settings: Settings, columns: int, names: int) -> None:
        super().__init__(settings, columns, names)
        self.gamma = settings.gamma or 1 / columns
        self.register_arrays(vectors=np.zeros((0, columns)), weight=np.zeros((0, names)), bias=np.zeros(names))

    def fit(self, x: np.ndarray, y: np.ndarray, weights: Known = None, seed: int = 0, origin: Known = None) -> None:
        """Fit to `[clips, columns]`, with clip weights. Deterministic."""
        from sklearn.svm import SVR

        size = {"C": self.settings.c, "epsilon": self.settings.epsilon, "gamma": self.gamma}
        fits = each_dimension(lambda *known: SVR(**size).fit(*known), self.fit_scaling(x), y, weights)
        owner = np.repeat(np.arange(len(fits)), [len(fit.support_) for fit in fits])
        dual = np.concatenate([fit.dual_coef_[0] for fit in fits])
        self.register_arrays(
            vectors=np.concatenate([fit.support_vectors_ for fit in fits]),
            weight=np.where(owner[:, None] == np.arange(len(fits)), dual[:, None], 0.0),
            bias=np.concatenate([fit.intercept_ for fit in fits]),
        )

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        return gaussian(self.scaled(rows), self.vectors, self.gamma) @ self.weight + self.bias
