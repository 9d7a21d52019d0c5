"""Prepare what a student learns from a teacher: its predictions, clip by clip, or features to imitate.

A teacher is whatever wrote a manifest of predictions. The held-out predictions of `sertool train --folds` are best, as
the teacher was not trained on the speakers it answers for.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sertool.errors import SertoolError
from sertool.manifests import intake, manifest, manifest_io
from sertool.manifests.manifest import Table
from sertool.modelfiles import batches
from sertool.modelfiles.batches import Store

DIRECTIONS = 192  # principal components of the features to imitate
ROUNDS = 4  # of the randomised SVD that finds them


def unknown(lost: Sequence[str], emotions: Sequence[str]) -> str:
    """Return the error message for a teacher that lacks some emotions."""
    leave = f"--where 'emotion={'|'.join(emotions)}'"
    return f"--teacher: it knows no {', '.join(lost)}: keep what it knows with {leave}, or index with --map"


class Taught(NamedTuple):
    """A teacher's answers for the rows of the student's table; NaN where it gave none."""

    words: tuple[str, ...]
    shares: np.ndarray  # float32 `[rows, words]`

    @property
    def known(self) -> np.ndarray:
        """The rows that have an answer, bool `[rows]`."""
        return ~np.isnan(self.shares).any(axis=1)

    def as_shares_of(self, words: Sequence[str]) -> np.ndarray:
        """Return the answers as probabilities of a student's emotions, `[rows, len(words)]`."""
        lost = [word for word in words if word not in self.words]
        if lost:
            raise SertoolError(unknown(lost, self.words))
        shares = self.shares[:, [self.words.index(word) for word in words]]
        return shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-9)


class TeacherPredictions(NamedTuple):
    """A teacher's predictions from a file, which may be of other clips than the student's."""

    source: str
    words: tuple[str, ...]
    clips: dict[str, int]  # each clip's row in `shares`
    shares: np.ndarray  # float32 `[clips, words]`


def read(source: str) -> TeacherPredictions:
    """Read the predictions in a file or, for `-`, on stdin."""
    table = intake.typed(manifest_io.parse(manifest_io.read_bytes(source), source), source)
    words = tuple(manifest.family(table, "p_"))
    if not words or "clip" not in table.column_names:
        raise SertoolError(
            f"--teacher {source}: no predictions: columns clip and p_EMOTION, as train and predict write"
        )
    return of_rows(manifest.keep(table, ~manifest.lacking(table, "clip")), words, source)


def answers_for(table: Table, predictions: TeacherPredictions) -> Taught:
    """Return a teacher's predictions for the rows of a table; a copy without a prediction gets its parent's."""
    unknown = np.full((1, len(predictions.words)), np.nan, np.float32)  # for clips that it does not answer for
    shares = np.append(predictions.shares, unknown, axis=0)
    return Taught(predictions.words, shares[manifest.own_or_parents(table, predictions.clips)])


def of_rows(table: Table, words: tuple[str, ...], source: str) -> TeacherPredictions:
    """Return the answers in a table, averaged over a clip's rows."""
    shares = np.stack([np.array(manifest.column(table, f"p_{word}"), np.float32) for word in words], axis=1)
    answered = ~np.any(np.isnan(shares), axis=1)  # windows of silence have no answer
    shares, clips = shares[answered], manifest.codes(manifest.keep(table, answered), "clip")
    count = np.bincount(clips.index, minlength=len(clips.values))[:, None]
    total = np.zeros((len(clips.values), len(words)), np.float32)
    np.add.at(total, clips.index, shares)
    places = {str(clip): place for place, clip in enumerate(clips.values)}
    return TeacherPredictions(source, words, places, (total / count).astype(np.float32))


class Imitated(NamedTuple):
    """Features that a student learns to predict."""

    store: Store
    place: np.ndarray  # `[rows]`: the store's index for each row of the student's table


def imitated(table: Table, feature: str, device: str) -> Imitated:
    """Load a feature of all clips; a copy without it gets its parent's, so that effects are learnt to be ignored."""
    has_it = ~manifest.lacking(table, f"{feature}_shard")
    if not has_it.any():
        raise SertoolError(
            f"--imitate {feature}: no clip has it: run featurize --{feature} --stats on the manifest first"
        )
    featured = manifest.keep(table, has_it)
    at = {clip: place for place, clip in enumerate(manifest.column(featured, "clip"))}
    place = manifest.own_or_parents(table, at)
    if (place < 0).any():
        raise SertoolError(f"--imitate {feature}: {(place < 0).sum():,} clips lack it: run featurize on them first")
    return Imitated(batches.load(featured, (feature,), device), place)


def goals(feature: Imitated, train: np.ndarray) -> Tensor:
    """Return the targets of imitation, `[clips, directions]`: features along the training clips' principal components.

    Each column is first scaled to mean 0 and deviation 1.
    """
    store = feature.store
    if store.lengths.max() > 1:
        raise SertoolError("--imitate takes one row for each clip: featurize it with --stats, such as --stats mean,std")
    rows, train = store.take(np.arange(len(store)))[0][:, 0], np.unique(feature.place[train])
    deviation, mean = torch.std_mean(rows[torch.from_numpy(train)], dim=0, correction=0)
    rows = (rows - mean) / deviation.clamp(min=1e-5)
    trained = rows[torch.from_numpy(train)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        axes = torch.svd_lowrank(trained, min(DIRECTIONS, *trained.shape), ROUNDS)[2]
    return (rows @ axes)[torch.from_numpy(feature.place)]
