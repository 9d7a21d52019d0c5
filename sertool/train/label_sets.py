"""Train one model on corpora with different emotions: which emotions each clip is judged among, and its weight.

A corpus without any calm clip says nothing about calm: its actors were never asked for it. So the loss of its clips is
taken over the emotions that the corpus has, and does not push them away from the others.
"""

import numpy as np
import torch
from torch import Tensor

from sertool.numeric.codes import crossed


def among(targets: Tensor, corpus: np.ndarray, train: np.ndarray, labelled: np.ndarray) -> Tensor | None:
    """Return the emotions that each clip is judged among, bool `[clips, classes]`; None if all clips are among all.

    A clip's emotions are those of its corpus: all that have a share in the `targets` `[clips, classes]` of its labelled
    training clips. Clips without a label are judged among all, and so are those of a corpus with one emotion, which
    would have no loss otherwise. `corpus` and `labelled` cover all clips; `train` has the indices of the training
    clips.
    """
    labelled_train = train[labelled[train]]
    rows, emotions = np.nonzero(targets[labelled_train].numpy() > 0)
    has = np.zeros((int(corpus.max()) + 1, targets.shape[1]), bool)
    has[corpus[labelled_train][rows], emotions] = True
    has[has.sum(axis=1) < 2] = True
    judged = has[corpus] | ~labelled[:, None]
    return None if judged[train].all() else torch.from_numpy(judged)


def within(targets: Tensor, judged: Tensor) -> Tensor:
    """Set targets to zero for emotions that a clip is not judged among, and normalise them to sum to 1."""
    shares = targets * judged
    return shares / shares.sum(dim=1, keepdim=True).clamp(min=1e-9)


def losses(logits: Tensor, targets: Tensor, judged: Tensor) -> Tensor:
    """Return each clip's cross-entropy among its own emotions, `[clips]`; all arguments are `[clips, classes]`.

    The logits of several networks, `[networks, clips, classes]`, give `[networks, clips]`.
    """
    logs = logits.masked_fill(~judged, -torch.inf).log_softmax(dim=-1)
    return -(targets * logs.masked_fill(~judged, 0)).sum(dim=-1)


def group_sizes(how: str, emotion: np.ndarray, corpus: np.ndarray) -> np.ndarray:
    """Return how many clips each clip's group has, `[clips]`; its weight is one over that.

    The group is the clips of its emotion, or of its corpus. For `corpus-emotion` it is the clips of both, and the size
    is multiplied by the number of emotions in the corpus, so that all corpora, and the emotions in each, weigh alike.
    """
    if how == "corpus":
        return np.bincount(corpus)[corpus]
    if how == "corpus-emotion":
        table = crossed(corpus, emotion, (corpus.max() + 1, emotion.max() + 1))
        return table[corpus, emotion] * np.count_nonzero(table, axis=1)[corpus]
    return np.bincount(emotion)[emotion]
