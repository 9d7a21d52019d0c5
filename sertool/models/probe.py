"""Linear probe: logistic regression on clip statistics of a pretrained encoder.

Thousands of columns and few thousand clips need strong regularisation: it grows with the number of clips as the loss
does, so that one setting suits a corpus of any size.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from sertool.networks.classical import Known, LinearClassifier, regression

ORIGIN = "the usual probe of pretrained encoders"
PARAMETERS = 43_014
DRAWS = False
INPUT = {"whisper": 7168}


@dataclass(frozen=True)
class Settings:
    freedom: Annotated[float, "the smaller, the more large weights are held back: C times the clips", 1e-6, 1e6] = 5.0
    steps: Annotated[int, "steps of the solver at most", 1, 100_000] = 300


class Model(LinearClassifier):
    def fit(self, x: np.ndarray, y: np.ndarray, weights: Known = None, seed: int = 0, origin: Known = None) -> None:
        """Fit to `[clips, columns]`, with clip weights. Deterministic."""
        z = self.fit_classes(x, y).astype(np.float32)
        self.load_estimator(regression(z, y, self.settings.freedom / len(y), self.settings.steps, weights))
