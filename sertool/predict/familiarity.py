"""Tell whether clips sound like a model's training clips, by the distance of their mean from that of the latter.

A speaker's own voice moves the mean, too, but by less. In units of the training clips' variance, as the mean over all
features of `base`, single speakers of CREMA-D that it was not trained on are up to 0.21 off, as are their clips on the
telephone or in noise; single speakers of RAVDESS, EMO-DB and TESS are 0.65 to 2.8 off. Short windows
sound unlike any clip: those of CREMA-D are 3.1 off with 1 s, 0.22 with 2 s and 0.07 with 2.5 to 3 s; those of EMO-DB
are 4.7, 2.2 and 2.0 off.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

UNFAMILIAR = 0.5  # distance in units of the training clips' variance
LEAST = 10  # clips
SHORTEST = 2.5  # seconds: shorter windows are not compared with training clips


@dataclass
class Familiarity:
    """Running sums over the clips met so far."""

    count: int = field(default=0, init=False)
    total: np.ndarray | float = field(default=0.0, init=False)  # `[columns]`
    squares: np.ndarray | float = field(default=0.0, init=False)

    def add(self, clips: Sequence[np.ndarray]) -> None:
        """Add clips, each `[columns]`: its mean row in standard deviations from the training clips' mean."""
        for clip in clips:
            self.count += 1
            self.total = self.total + clip
            self.squares = self.squares + np.square(clip)

    def merge(self, other: "Familiarity") -> None:
        """Add the clips that another worker met."""
        self.count += other.count
        self.total = self.total + other.total
        self.squares = self.squares + other.squares

    def distance(self) -> float:
        """Return the squared distance of the mean, less what chance adds to it, averaged over columns."""
        mean = self.total / self.count
        variance = (self.squares / self.count - mean**2) / max(self.count - 1, 1)
        return float(np.mean(mean**2 - variance))

    def lacking(self) -> bool:
        return self.count >= LEAST and self.distance() > UNFAMILIAR
