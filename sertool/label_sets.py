"""Corpora that train one model together: the emotions that each has, and how often its clips are met.

A corpus without any calm clip says nothing of calm: its actors were never asked for it. So its clips are judged among
the emotions that it has, and are not pushed away from the others.
"""

import numpy as np
import torch
from torch import Tensor


def among(targets: Tensor, corpus: np.ndarray, learnt: np.ndarray, labelled: np.ndarray) -> Tensor | None:
    """The emotions that each clip is judged among, bool `[clips, classes]`; None if all clips are among all.

    Those are its corpus' own: all that the `targets` `[clips, classes]` of its labelled training clips name. A clip
    without a label may be of any, and one of a corpus of one emotion would teach nothing, were it not judged among all.
    `corpus` and `labelled` are of all clips, `learnt` the places of the training clips.
    """
    taught = learnt[labelled[learnt]]
    rows, emotions = np.nonzero(targets[taught].numpy() > 0)
    has = np.zeros((int(corpus.max()) + 1, targets.shape[1]), bool)
    has[corpus[taught][rows], emotions] = True
    has[has.sum(axis=1) < 2] = True
    found = has[corpus] | ~labelled[:, None]
    return None if found[learnt].all() else torch.from_numpy(found)


def within(targets: Tensor, judged: Tensor) -> Tensor:
    """Targets that leave out the emotions that a clip is not judged among, and are probabilities again."""
    kept = targets * judged
    return kept / kept.sum(dim=1, keepdim=True).clamp(min=1e-9)


def losses(logits: Tensor, targets: Tensor, judged: Tensor) -> Tensor:
    """Each clip's cross-entropy among its own emotions, `[clips]`; all three are `[clips, classes]`.

    Of several networks, `[networks, clips, classes]`, each one's, `[networks, clips]`.
    """
    logs = logits.masked_fill(~judged, -torch.inf).log_softmax(dim=-1)
    return -(targets * logs.masked_fill(~judged, 0)).sum(dim=-1)


def crowd(how: str, emotion: np.ndarray, corpus: np.ndarray) -> np.ndarray:
    """What each of some clips is one of: the greater, the less it counts by itself, `[clips]`.

    Clips of its emotion; or of its corpus; or of both, times the emotions that its corpus has, so that corpora count
    alike, and within each its emotions.
    """
    if how == "corpus":
        return np.bincount(corpus)[corpus]
    if how == "corpus-emotion":
        table = np.zeros((corpus.max() + 1, emotion.max() + 1), np.int64)
        np.add.at(table, (corpus, emotion), 1)
        return table[corpus, emotion] * np.count_nonzero(table, axis=1)[corpus]
    return np.bincount(emotion)[emotion]
