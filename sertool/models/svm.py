"""Support vector machine on clip statistics, with Gaussian kernel and calibrated probabilities.

Each pair of emotions has a machine. An emotion's value is the number of machines it wins, plus a fraction for the
margin, as in scikit-learn's `decision_function`. Its probability is a sigmoid of that value (Platt), fitted to the
values of clips held out in five folds, and the probabilities are normalised: scikit-learn's `CalibratedClassifierCV`
without ensemble. A clip's copies are held out with it, since a machine trained on one recognises the others.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from sertool.errors import SertoolError
from sertool.networks.classical import SEEDS, Classifier, Known, gaussian

ORIGIN = "ours, beside the networks of reference system C"
PARAMETERS = 0  # it grows with the training clips
INPUT = {"mfcc": 100, "mel": 128, "zcr": 1, "rms": 1, "chroma": 12, "bandwidth": 1, "rolloff": 1, "contrast": 7,
         "flatness": 1, "tonnetz": 6}  # fmt: skip
FOLDS = 5


@dataclass(frozen=True)
class Settings:
    c: Annotated[float, "the smaller, the more clips may lie on the wrong side", 1e-6, 1e6] = 1.0
    gamma: Annotated[
        float | None, "how fast likeness falls with squared distance [default: 1 / columns]", 1e-9, 1e6
    ] = None


class Model(Classifier):
    vectors: Tensor
    weight: Tensor
    bias: Tensor
    slope: Tensor
    offset: Tensor

    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__(settings, columns, classes)
        self.gamma = settings.gamma or 1 / columns
        pairs = len(list(combinations(range(classes), 2)))
        self.register_arrays(vectors=np.zeros((0, columns)), weight=np.zeros((0, pairs)), bias=np.zeros(pairs),
                  slope=np.zeros(classes), offset=np.zeros(classes))  # fmt: skip

    def fit(self, x: np.ndarray, y: np.ndarray, weights: Known = None, seed: int = 0, origin: Known = None) -> None:
        """Fit to `[clips, columns]`, with clip weights; the seed draws the folds."""
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.svm import SVC

        z = self.fit_classes(x, y)
        apart = folds(y, np.arange(len(y)) if origin is None else origin, seed)
        machine = SVC(C=self.settings.c, gamma=self.gamma)
        calibrated = CalibratedClassifierCV(machine, method="sigmoid", cv=apart, ensemble=False).fit(z, y, weights)
        self.load_estimator(calibrated.calibrated_classifiers_[0])

    def load_estimator(self, calibrated: Any) -> None:
        """Store the support vectors, their weight in each pair's machine `[vectors, pairs]`, and the sigmoids."""
        machine, sigmoids = calibrated.estimator, calibrated.calibrators
        slope, offset = (np.array([getattr(sigmoid, name) for sigmoid in sigmoids]) for name in ("a_", "b_"))
        if len(sigmoids) == 1:  # with two classes there is only the second's sigmoid; the first is its complement
            slope, offset = np.repeat(slope, 2), np.array([-offset[0], offset[0]])
        owner = np.repeat(np.arange(len(machine.n_support_)), machine.n_support_)
        weight, bias = pair_weights(machine.dual_coef_, owner), machine.intercept_
        if len(bias) == 1:  # scikit-learn inverts a single machine
            weight, bias = -weight, -bias
        self.register_arrays(vectors=machine.support_vectors_, weight=weight, bias=bias, slope=slope, offset=offset)

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        machines = gaussian(self.scaled(rows), self.vectors, self.gamma) @ self.weight + self.bias
        sigmoids = (-(self.slope * values(machines, len(self.slope)) + self.offset)).sigmoid()
        return self.spread((sigmoids / sigmoids.sum(1, keepdim=True)).clamp(min=1e-12).log())


def folds(y: np.ndarray, origin: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return rows to fit and rows to hold out, keeping the copies of a clip together."""
    from sklearn.model_selection import StratifiedKFold

    _, first, origin = np.unique(origin, return_index=True, return_inverse=True)
    fewest = np.unique(y[first], return_counts=True)[1].min()
    if fewest > 1:
        splits = StratifiedKFold(min(FOLDS, fewest), shuffle=True, random_state=seed % SEEDS).split(first, y[first])
        held_out = [np.isin(origin, clips) for _, clips in splits]
        if all(len(np.unique(y[~rows])) == len(np.unique(y)) for rows in held_out):
            return [(np.flatnonzero(~rows), np.flatnonzero(rows)) for rows in held_out]
    raise SertoolError("svm calibrates on held-out clips: each emotion needs two at least, and one has one")


def pair_weights(dual: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Return weights `[vectors, pairs]` from libsvm's `[classes - 1, vectors]`, with one weight per other class."""
    columns = []
    for first, second in combinations(range(len(dual) + 1), 2):
        columns.append(np.where(owner == first, dual[second - 1], np.where(owner == second, dual[first], 0.0)))
    return np.stack(columns, axis=1)


def values(machines: Tensor, classes: int) -> Tensor:
    """Return the machines won by each class, plus less than a half for their margins, `[clips, classes]`."""
    if classes == 2:
        return torch.cat([machines, -machines], 1)
    pairs = list(combinations(range(classes), 2))
    sides = torch.zeros(len(pairs), classes, device=machines.device)
    for place, (first, second) in enumerate(pairs):
        sides[place, first], sides[place, second] = 1, -1
    lost = (machines < 0).to(machines.dtype)
    votes = (1 - lost) @ (sides > 0).to(machines.dtype) + lost @ (sides < 0).to(machines.dtype)
    clearly = machines @ sides
    return votes + clearly / (3 * (clearly.abs() + 1))
