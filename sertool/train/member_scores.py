"""Compute a trained model's logits, its calibration on dev, and its figures on each part."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
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
    fitted = partial(data.lesson.temperature, clips=data.dev)
    alone = fitted(logits(model, replace(data, group=None), precision, data.dev))
    if data.group is None:
        return Temperatures(alone, alone)
    return Temperatures(alone, fitted(logits(model, replace(data, temperature=alone), precision, data.dev)))


def scores(table: Table, data: Data, member: Member, ask: LogitsOf) -> Figures:
    """Return figures on each part that has clips with a known truth; copies in train are left out, to be comparable."""
    by_part: Figures = {}
    copies = ~manifest.originals(table)
    names = _several(table, data, member)
    by_corpus: dict[str, Figures] = {name: {} for name in names.values()}
    for place, part in enumerate(PARTS):
        asked = np.flatnonzero((member.split == place) & ~(copies & (place == TRAIN)))
        clips = asked[data.lesson.known[asked]]
        if not len(clips):
            continue
        answer = ask(asked)[data.lesson.known[asked]]  # adapted with all clips, as predictions are
        by_part |= _named(part, data.lesson.figures(answer, clips), clips)
        for number, name in names.items():
            if (rows := data.corpora[clips] == number).any():
                used = np.flatnonzero((data.corpora == number) & (member.split >= 0))
                figures = data.lesson.figures_of_corpus(answer[rows], clips[rows], used)
                by_corpus[name] |= _named(part, figures, clips[rows])
    of_corpora = {name: figures for name, figures in by_corpus.items() if figures}
    return by_part | ({"by_corpus": of_corpora} if of_corpora else {})


def _named(part: str, figures: Figures, clips: np.ndarray) -> Figures:
    """Return the figures on a part, and the number of its clips, by name."""
    return {f"{part}_{name}": value for name, value in figures.items()} | {f"{part}_clips": len(clips)}


def _several(table: Table, data: Data, member: Member) -> dict[int, str]:
    """Return the corpora of a member's clips by number; empty if there is only one."""
    there = np.unique(data.corpora[member.split >= 0])
    names = ["no corpus", *map(str, manifest.codes(table, "corpus").values)]
    return {int(number): names[number] for number in there} if len(there) > 1 else {}
