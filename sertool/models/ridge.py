"""Ridge regression: dimensions as linear functions of clip statistics, large weights held back."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from torch import Tensor

from sertool.networks.classical import Known, Regressor, ridge

ORIGIN = "the usual linear baseline for dimensions"
PARAMETERS = 21_507
DRAWS = False
INPUT = {"whisper": 7168}


@dataclass(frozen=True)
class Settings:
    freedom: Annotated[float, "the smaller, the more large weights are held back", 1e-6, 1e6] = 1.0


class Model(Regressor):
    weight: Tensor
    bias: Tensor

    def __init__(self, settings: Settings, columns: int, names: int) -> None:
        super().__init__(settings, columns, names)
        self.register_arrays(weight=np.zeros((names, columns)), bias=np.zeros(names))

    def fit(self, x: np.ndarray, y: np.ndarray, weights: Known = None, seed: int = 0, origin: Known = None) -> None:
        """Fit to `[clips, columns]`, with clip weights. Deterministic."""
        weight, bias = ridge(self.fit_scaling(x), y, self.settings.freedom / len(y), weights)
        self.register_arrays(weight=weight, bias=bias)

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        return self.scaled(rows) @ self.weight.mT + self.bias
