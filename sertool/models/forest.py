"""Random forest on clip statistics: decision trees on drawn clips and columns, their leaves' shares averaged."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from torch import Tensor

from sertool.networks.classical import SEEDS, Classifier, Known

ORIGIN = "ours, beside the networks of reference system C"
PARAMETERS = 0  # it grows with the training clips
INPUT = {"mfcc": 100, "mel": 128, "zcr": 1, "rms": 1, "chroma": 12, "bandwidth": 1, "rolloff": 1, "contrast": 7,
         "flatness": 1, "tonnetz": 6}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    trees: Annotated[int, "number of trees", 1, 100_000] = 100
    leaf: Annotated[int, "clips in a leaf at least", 1, 1_000_000] = 1
    depth: Annotated[int | None, "questions from root to leaf at most [default: as many as it takes]", 1, 10_000] = None


class Model(Classifier):
    """Concatenated trees: node n tests if column `feature[n]` is at most `threshold[n]`; leaves point to themselves."""

    roots: Tensor
    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    shares: Tensor
    depth: Tensor

    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__(settings, columns, classes)
        nowhere, anywhere = np.zeros(1, dtype=int), np.full((1, classes), 1 / classes)
        self.register_arrays(roots=nowhere, feature=nowhere, threshold=np.zeros(1), left=nowhere, right=nowhere,
                  shares=anywhere, depth=nowhere)  # fmt: skip

    def fit(self, x: np.ndarray, y: np.ndarray, weights: Known = None, seed: int = 0, origin: Known = None) -> None:
        """Fit to `[clips, columns]`, with clip weights."""
        from sklearn.ensemble import RandomForestClassifier

        self.fit_classes(x, y)
        size = {"min_samples_leaf": self.settings.leaf, "max_depth": self.settings.depth}
        forest = RandomForestClassifier(self.settings.trees, **size, random_state=seed % SEEDS).fit(x, y, weights)
        trees = [estimator.tree_ for estimator in forest.estimators_]
        roots = np.cumsum([0, *(tree.node_count for tree in trees)])[:-1]
        nodes = np.arange(sum(tree.node_count for tree in trees))
        start = np.repeat(roots, [tree.node_count for tree in trees])
        left, right, feature, threshold, shares = (
            np.concatenate([getattr(tree, name) for tree in trees])
            for name in ("children_left", "children_right", "feature", "threshold", "value")
        )
        leaf = left < 0
        self.register_arrays(
            roots=roots, feature=np.where(leaf, 0, feature), threshold=below(threshold),
            left=np.where(leaf, nodes, left + start), right=np.where(leaf, nodes, right + start),
            shares=shares[:, 0] / shares[:, 0].sum(axis=1, keepdims=True),
            depth=np.array([max(tree.max_depth for tree in trees)]),
        )  # fmt: skip

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        x, feature, left, right = rows[:, 0], self.feature.long(), self.left.long(), self.right.long()
        node = self.roots.long().expand(len(x), -1)
        for _ in range(min(int(self.depth), len(feature))):
            low = x.gather(1, feature[node]) <= self.threshold[node]
            node = left[node].where(low, right[node])
        return self.spread(self.shares[node].mean(1).clamp(min=1e-12).log())


def below(threshold: np.ndarray) -> np.ndarray:
    """Return the greatest float32 not above each threshold: for float32 columns the same tests as in float64."""
    rounded = threshold.astype(np.float32)
    return np.where(rounded > threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded)
