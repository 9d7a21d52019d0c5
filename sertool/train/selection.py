"""Reduce the columns for the classical models by selection or projection, learnt from train rows only."""

from typing import Any, NamedTuple

import numpy as np

from sertool.errors import SertoolError, UsageError
from sertool.networks.classical import moments, require_more_clips_than_emotions

FOLDS = 5
RIDGE = 1e-3  # share of the variances added to them, so that redundant columns do no harm
FINE = 32  # up to here every number of columns is tried, then fewer and fewer


class Projection(NamedTuple):
    """A linear map: `(rows - offset) @ matrix`, `[clips, columns]` to `[clips, fewer]`."""

    offset: np.ndarray
    matrix: np.ndarray


def picked(columns: list[int], total: int) -> Projection:
    """Return a selection of columns as a projection."""
    return Projection(np.zeros(total), np.eye(total)[:, columns])


# Projections.


def reduce(how: str, x: np.ndarray, y: np.ndarray) -> Projection:
    """Learn the projection `lda` or `pca:N` from `x` `[clips, columns]` and `y` `[clips]`."""
    count = left(how)
    return _lda(x, y) if count is None else _pca(x, count)


def left(how: str) -> int | None:
    """Return the N of `pca:N`; None for `lda`, which depends on the number of emotions."""
    kind, _, count = how.partition(":")
    if how == "lda":
        return None
    if kind == "pca" and count.isdecimal() and int(count) > 0:
        return int(count)
    ways = "lda, none, or pca:N, N the number of columns that are left, such as pca:20"
    raise UsageError(f"--reduce {how}: it is {ways}")


def _pca(x: np.ndarray, count: int) -> Projection:
    """Return the principal components of scaled columns, with signs that make each one's largest weight positive."""
    most = min(x.shape)
    if count > most:
        raise UsageError(f"--reduce pca:{count}: {len(x)} clips of {x.shape[1]} columns have {most} directions at most")
    offset, scale = moments(x)
    axes = np.linalg.svd((x - offset) / scale, full_matrices=False)[2][:count]
    signs = np.sign(axes[np.arange(count), np.abs(axes).argmax(axis=1)])
    return Projection(offset, (axes * signs[:, None]).T / scale[:, None])


def _lda(x: np.ndarray, y: np.ndarray) -> Projection:
    """Return the discriminant directions: one fewer than there are emotions, or as many as columns."""
    if len(np.unique(y)) < 2:
        raise SertoolError("--reduce lda needs clips of two emotions at least: there is nothing to tell apart")
    require_more_clips_than_emotions(y)
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    offset, scale = moments(x)
    analysis = LinearDiscriminantAnalysis(solver="eigen", shrinkage=RIDGE).fit((x - offset) / scale, y)
    count = min(len(analysis.classes_) - 1, x.shape[1])
    return Projection(offset, analysis.scalings_[:, :count] / scale[:, None])


# Incremental feature selection: columns are ranked by how well each alone separates the emotions, then added in that
# order while it improves. A set of columns is scored by the mean recall of linear discriminant analysis on unseen
# speakers. A fold's class means and covariance are computed once for all columns; as the sets are the first 1, 2, 3 ..
# of one order, each needs only the corner of the same matrix.


def select(x: np.ndarray, y: np.ndarray, groups: np.ndarray, most: int | None = None) -> list[int]:
    """Return the columns to keep, best first; `groups` `[clips]` are the speakers, who are not divided."""
    order = ranking(x, y)
    offset, scale = moments(x)
    z = ((x - offset) / scale)[:, order]
    sizes = _sizes(min(most or len(order), len(order)))
    fold = _folds(groups)
    recalls = np.mean([_recalls(z, y, fold == number, sizes) for number in np.unique(fold)], axis=0)
    return [int(column) for column in order[: sizes[int(recalls.argmax())]]]


def ranking(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rank the columns, `[columns]`, by variance between emotions over variance within, greatest first."""
    offset, scale = moments(x)
    z = (x - offset) / scale
    _, code, counts = np.unique(y, return_inverse=True, return_counts=True)
    means = _class_means(z, code, counts)
    between = (counts[:, None] * np.square(means)).sum(axis=0)
    within = np.square(z - means[code]).sum(axis=0)
    return np.argsort(-between / np.maximum(within, 1e-12), kind="stable")


def _sizes(most: int) -> list[int]:
    """Return the numbers of columns to try: all up to `FINE`, then in steps of a sixteenth."""
    sizes = list(range(1, min(most, FINE) + 1))
    while sizes[-1] < most:
        sizes.append(min(most, sizes[-1] + sizes[-1] // 16))
    return sizes


def _folds(groups: np.ndarray) -> np.ndarray:
    """Return the fold of each clip, `[clips]`, without dividing a group."""
    names, code = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise SertoolError("columns are chosen by speakers held out in turn: two speakers at least are needed")
    turn = np.random.default_rng(0).permutation(len(names)) % min(FOLDS, len(names))
    return turn[code]


def _recalls(z: np.ndarray, y: np.ndarray, held_out: np.ndarray, sizes: list[int]) -> np.ndarray:
    """Return the mean recall on held-out clips for each number of columns, `[sizes]`."""
    names, code, counts = np.unique(y[~held_out], return_inverse=True, return_counts=True)
    means = _class_means(z[~held_out], code, counts)
    inner = z[~held_out] - means[code]
    covariance = inner.T @ inner / len(inner)
    covariance[np.diag_indices_from(covariance)] *= 1 + RIDGE
    covariance[np.diag_indices_from(covariance)] += 1e-9
    recalls = []
    for size in sizes:
        weight = np.linalg.solve(covariance[:size, :size], means[:, :size].T)
        bias = -0.5 * (means[:, :size].T * weight).sum(axis=0)
        right = names[(z[held_out, :size] @ weight + bias).argmax(axis=1)] == y[held_out]
        recalls.append(np.mean([right[y[held_out] == name].mean() for name in np.unique(y[held_out])]))
    return np.array(recalls)


def _class_means(z: np.ndarray, code: np.ndarray, counts: np.ndarray) -> np.ndarray:
    sums: Any = np.zeros((len(counts), z.shape[1]))
    np.add.at(sums, code, z)
    return sums / counts[:, None]
