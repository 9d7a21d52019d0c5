"""Linear discriminant analysis of clip statistics."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from sertool.networks.classical import Known, LinearClassifier, require_more_clips_than_emotions

ORIGIN = "ours, beside the networks of reference system C"
PARAMETERS = 1_554
DRAWS = False
INPUT = {"mfcc": 100, "mel": 128, "zcr": 1, "rms": 1, "chroma": 12, "bandwidth": 1, "rolloff": 1, "contrast": 7,
         "flatness": 1, "tonnetz": 6}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    shrinkage: Annotated[bool, "shrink the covariance as Ledoit and Wolf do, for few clips"] = False


class Model(LinearClassifier):
    def fit(self, x: np.ndarray, y: np.ndarray, weights: Known = None, seed: int = 0, origin: Known = None) -> None:
        """Fit to `[clips, columns]`; weights set the priors of the emotions. Deterministic."""
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        z = self.fit_classes(x, y)
        require_more_clips_than_emotions(y)
        priors = None
        if weights is not None:
            sums = np.bincount(y, weights)[self.present.numpy()]
            priors = sums / sums.sum()
        solver = {"solver": "lsqr", "shrinkage": "auto"} if self.settings.shrinkage else {"solver": "svd"}
        self.load_estimator(LinearDiscriminantAnalysis(**solver, priors=priors).fit(z, y))
