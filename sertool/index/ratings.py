"""Say which ratings clips have, such as arousal, and where corpora rate on different scales."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from sertool.manifests import casting, columns, manifest
from sertool.manifests.columns import Row
from sertool.manifests.manifest import Table
from sertool.numeric.codes import Codes
from sertool.system import talk
from sertool.system.files import listed

MANY_RATED = 100  # clips of a corpus: fewer may not reach the ends of its scale
ALIKE = 0.3  # of the narrower of two scales, by which their ends may differ


def are_known(row: Row) -> bool:
    return any(isinstance(row.get(name), float) for name in columns.DIMENSIONS)


def say(table: Table) -> None:
    """Say how many clips have ratings and from what to what, and warn of different scales once."""
    names = [
        name for name in columns.DIMENSIONS if manifest.has(table, name) and name not in casting.own_columns(table)
    ]
    rated = {name: table.column(name).to_numpy() for name in names}
    scales = {name: scale for name, values in rated.items() if (scale := _scale(values))}
    if scales:
        counts = (f"{name} {_known(rated[name]).sum():,} ({_ends(scale)})" for name, scale in scales.items())
        talk.say("  rated: " + listed(counts))
    corpus = manifest.codes(table, "corpus")
    for clash in (f"{name} is {found}" for name in scales for found in _unlike_scales(rated[name], corpus)):
        talk.warn(
            f"{clash}: on different scales, so train and score each corpus by itself, or bring them to one scale with "
            "a table for --correct"
        )
        break


def _unlike_scales(values: np.ndarray, corpus: Codes) -> Iterator[str]:
    """Yield the pairs of corpora that rate on different scales: `1 to 5 in iemocap and 1 to 7 in msppodcast`."""
    scales = {word: _scale(values[corpus.index == place], MANY_RATED) for place, word in enumerate(corpus.values)}
    known = [(word, scale) for word, scale in scales.items() if scale]
    for (word, scale), (other_word, other) in combinations(known, 2):
        if _differ(scale, other):
            yield f"{_ends(scale)} in {word} and {_ends(other)} in {other_word}"


def _known(values: np.ndarray) -> np.ndarray:
    return np.isfinite(values)


def _scale(values: np.ndarray, least: int = 1) -> tuple[float, float] | None:
    """Return the lowest and the highest rating, or None if fewer than `least` are known."""
    known = values[_known(values)]
    return (float(known.min()), float(known.max())) if len(known) >= least else None


def _ends(scale: tuple[float, float]) -> str:
    return f"{scale[0]:.3g} to {scale[1]:.3g}"


def _differ(scale: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two scales end so far apart that a number means something else in each."""
    narrower = min(high - low for low, high in (scale, other))
    return sum(abs(end - others) for end, others in zip(scale, other, strict=True)) > ALIKE * narrower
