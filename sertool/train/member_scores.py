"""Compute a trained model's logits, its calibration on dev, and its figures on each part."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sertool.divisions.splits import PARTS, TRAIN
from sertool.errors import SertoolError
from sertool.manifests import manifest
from sertool.manifests.manifest import Table
from sertool.train import training_data
from sertool.train.design import Member
from sertool.train.training_data import Data

Figures = dict[str, Any]
LogitsOf = Callable[[np.ndarray], Tensor]  # returns a model's logits for some clips, `[clips, classes]`

PRIOR = 3.0  # a temperature T is penalised like this many clips with a loss of log(T)^2


def logits(model: nn.Module, data: Data, precision: str, clips: np.ndarray) -> Tensor:
    """Return a trained model's logits for some clips, `[clips, classes]`, as its model file will give them."""
    answer = training_data.logits(model, data, clips, precision)
    if not answer.isfinite().all():
        raise SertoolError("what the trained model answers is not finite: lower --lr, or limit gradients with --clip 1")
    return answer


class Temperatures(NamedTuple):
    """Divisors of the logits before the softmax, for answers without and with adaptation."""

    alone: float = 1.0
    adapted: float = 1.0


def temperatures(model: nn.Module, data: Data, precision: str) -> Temperatures:
    """Fit the temperatures to dev; that without adaptation comes first, as adaptation needs calibrated answers."""
    if not len(data.dev):
        return Temperatures()
    truth = data.truth[data.dev]
    alone = calibrated(logits(model, replace(data, group=None), precision, data.dev), truth)
    if data.group is None:
        return Temperatures(alone, alone)
    return Temperatures(alone, calibrated(logits(model, replace(data, temperature=alone), precision, data.dev), truth))


def calibrated(logits: Tensor, truth: np.ndarray) -> float:
    """Return the temperature at which the probabilities of held-out speakers have the lowest loss.

    If few clips are all answered right, perhaps by chance, the loss falls without end as the temperature falls. So a
    temperature other than 1 is penalised, enough to matter for a few clips but not for hundreds.
    """
    grid, target = torch.logspace(-1, 3, 401), torch.from_numpy(truth)
    losses = torch.stack([nn.functional.cross_entropy(logits / t, target) for t in grid])
    return round(float(grid[(losses + PRIOR * grid.log() ** 2 / len(truth)).argmin()]), 4)


def scores(table: Table, data: Data, member: Member, ask: LogitsOf) -> Figures:
    """Return figures on each part that has clips of learnt emotions; copies in train are left out, to be comparable."""
    by_part: Figures = {}
    copies = ~manifest.originals(table)
    names = _several(table, data, member)
    by_corpus: dict[str, Figures] = {name: {} for name in names.values()}
    for place, part in enumerate(PARTS):
        asked = np.flatnonzero((member.split == place) & ~(copies & (place == TRAIN)))
        clips = asked[data.known[asked]]
        if not len(clips):
            continue
        answer, truth = ask(asked)[data.known[asked]], data.truth[clips]  # adapted with all clips, as predictions are
        by_part |= _figures(part, answer, truth)
        for number, name in names.items():
            if (rows := data.corpora[clips] == number).any():
                by_corpus[name] |= _figures(part, answer[rows], truth[rows])
                by_corpus[name] |= _among_own(part, answer[rows], truth[rows], _emotions_of(number, data, member))
    of_corpora = {name: figures for name, figures in by_corpus.items() if figures}
    return by_part | ({"by_corpus": of_corpora} if of_corpora else {})


def _figures(part: str, answer: Tensor, truth: np.ndarray) -> Figures:
    """Return UAR over the emotions that these clips have, accuracy, and the number of clips."""
    uar, accuracy = training_data.recalls(answer, truth)
    return {f"{part}_uar": uar, f"{part}_wa": accuracy, f"{part}_clips": len(truth)}


def _emotions_of(corpus: int, data: Data, member: Member) -> np.ndarray:
    """Return the emotions that the clips of a corpus have, by number."""
    return np.unique(data.emotion[(data.corpora == corpus) & data.known & (member.split >= 0)])


def _among_own(part: str, answer: Tensor, truth: np.ndarray, own: np.ndarray) -> Figures:
    """Return the UAR when answers are restricted to a corpus' own emotions; empty if it has all."""
    if len(own) == answer.shape[1]:
        return {}
    return {f"{part}_uar_own": training_data.recalls(answer[:, own], np.searchsorted(own, truth))[0]}


def _several(table: Table, data: Data, member: Member) -> dict[int, str]:
    """Return the corpora of a member's clips by number; empty if there is only one."""
    there = np.unique(data.corpora[member.split >= 0])
    names = ["no corpus", *map(str, manifest.codes(table, "corpus").values)]
    return {int(number): names[number] for number in there} if len(there) > 1 else {}
