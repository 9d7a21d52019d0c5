"""Assign whole groups of rows to parts, such as speakers to folds, in the wanted shares of clips and of emotions."""

from collections.abc import Mapping, Sequence

import numpy as np

from sertool.numeric.codes import Codes, counts, crossed, find, hashes, look_up

BUNDLES = 4096  # beyond this many groups, several are assigned together as one


def assigned(
    group: Codes,
    emotion: np.ndarray,
    is_original: np.ndarray,
    shares: Sequence[float],
    seed: int,
    kept: Mapping[str, int],
) -> np.ndarray:
    """Return the part of each group, `[values]`, so that the parts get their shares of the clips and of each emotion.

    Each row's emotion is a number from 0. A group without an original is -1. `kept` groups stay where they are.
    """
    place = np.full(len(group.values), -1, dtype=np.int32)
    where = find(list(kept), group.values)
    place[where[where >= 0]] = np.array(list(kept.values()), dtype=np.int32)[where >= 0]
    free = np.flatnonzero((counts(group, is_original) > 0) & (place < 0))
    free = free[np.argsort(hashes(group.values, (seed,))[free])]
    bundles = min(len(free), BUNDLES)
    bundle = np.full(len(group.values), -1, dtype=np.int32)
    bundle[free] = np.arange(len(free)) * bundles // max(len(free), 1)
    emotions = int(emotion.max(initial=0)) + 1
    loads = crossed(np.where(is_original, look_up(bundle, group), -1), emotion, (bundles, emotions))
    before = crossed(np.where(is_original, look_up(place, group), -1), emotion, (len(shares), emotions))
    place[free] = _deal(loads, before, np.asarray(shares))[bundle[free]]
    return place


def _deal(loads: np.ndarray, before: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Assign units to parts greedily, `[units]`: the largest first, each to the part that reduces the imbalance most.

    The imbalance is the sum of squared differences from the wanted shares, of the clip count and of each emotion; the
    clip count weighs as much as all emotions together. Adding a load x changes a gap g to g + x and its square by x (2
    g + x). The last units go to parts that should have something and are still empty, if there are enough units.
    """
    parts = np.zeros(len(loads), dtype=np.int32)
    order = np.argsort(-np.floor(np.log2(loads.sum(1))), kind="stable")  # sizes within a factor of 2 tie
    open_parts = np.flatnonzero(shares > 0)
    empty = sorted((part for part in open_parts if not before[part].any()), key=lambda part: (-shares[part], -part))
    whole = np.maximum(loads.sum(0) + before.sum(0), 1)
    weight = np.sqrt(np.append(np.ones(len(whole)), len(whole)))
    loads, before = (weight * np.c_[rows / whole, rows.sum(1) / whole.sum()] for rows in (loads, before))
    gap = (before - (shares / max(shares.sum(), 1e-9))[:, None] * weight)[open_parts]
    for dealt, unit in enumerate(order):
        load = loads[unit]
        best = open_parts[np.argmin((load * (2 * gap + load)).sum(1))]
        parts[unit] = part = empty[0] if len(order) - dealt <= len(empty) else best
        empty = [unfilled for unfilled in empty if unfilled != part]
        gap[open_parts == part] += load
    return parts
