"""Logistic regression on clip statistics: one softmax over all emotions."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from sertool.networks.classical import Known, LinearClassifier, regression

ORIGIN = "ours, beside the networks of reference system C"
PARAMETERS = 1_554
DRAWS = False
INPUT = {"mfcc": 100, "mel": 128, "zcr": 1, "rms": 1, "chroma": 12, "bandwidth": 1, "rolloff": 1, "contrast": 7,
         "flatness": 1, "tonnetz": 6}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    c: Annotated[float, "the smaller, the more large weights are held back", 1e-6, 1e6] = 0.1
    steps: Annotated[int, "steps of the solver at most", 1, 1_000_000] = 1000


class Model(LinearClassifier):
    def fit(self, x: np.ndarray, y: np.ndarray, weights: Known = None, seed: int = 0, origin: Known = None) -> None:
        """Fit to `[clips, columns]`, with clip weights; a clip and its copies count as one. Deterministic."""
        share = 1.0 if origin is None else len(np.unique(origin)) / len(y)
        self.load_estimator(
            regression(self.fit_classes(x, y), y, self.settings.c * share, self.settings.steps, weights)
        )
