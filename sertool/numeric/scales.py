"""The scales of ratings, from the lowest to the highest: on which two corpora may differ."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from sertool.numeric.codes import Codes

MANY_RATED = 100  # clips of a corpus: fewer may not reach the ends of its scale
ALIKE = 0.3  # of the narrower of two scales, by which their ends may differ


def unlike(values: np.ndarray, corpus: Codes) -> Iterator[str]:
    """Yield the pairs of corpora that rate on different scales: `1 to 5 in iemocap and 1 to 7 in msppodcast`."""
    scales = {word: of(values[corpus.index == place], MANY_RATED) for place, word in enumerate(corpus.values)}
    of_rated = [(word, scale) for word, scale in scales.items() if scale]
    for (word, scale), (other_word, other) in combinations(of_rated, 2):
        if _differ(scale, other):
            yield f"{ends(scale)} in {word} and {ends(other)} in {other_word}"


def known(values: np.ndarray) -> np.ndarray:
    """Return which ratings are known, bool."""
    return np.isfinite(values)


def of(values: np.ndarray, least: int = 1) -> tuple[float, float] | None:
    """Return the lowest and the highest rating, or None if fewer than `least` are known."""
    there = values[known(values)]
    return (float(there.min()), float(there.max())) if len(there) >= least else None


def ends(scale: tuple[float, float]) -> str:
    """Say from what to what a scale goes."""
    return f"{scale[0]:.3g} to {scale[1]:.3g}"


def _differ(scale: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two scales end so far apart that a number means something else in each."""
    narrower = min(high - low for low, high in (scale, other))
    return sum(abs(end - others) for end, others in zip(scale, other, strict=True)) > ALIKE * narrower
