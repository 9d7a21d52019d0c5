"""Hold the data of one training, and compute a network's outputs for its clips."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sertool import features
from sertool.modelfiles import batches, speaker_scaling
from sertool.modelfiles.batches import Store
from sertool.modelfiles.row_scaling import Scaling
from sertool.train.aim import Lesson


@dataclass(frozen=True)
class Data:
    """The clips of one training: features, what is learnt of them, and parts."""

    store: Store
    lesson: Lesson
    train: np.ndarray
    dev: np.ndarray
    scaling: Scaling
    group: np.ndarray | None = None  # each clip's speaker number, as in the scaling's groups, `[clips]`
    goals: Tensor | None = None  # `[clips, directions]`: what --imitate predicts from a clip's embedding
    corpus: np.ndarray | None = None  # each clip's corpus number, `[clips]`
    original: np.ndarray | None = None  # `[clips]`: the clip whose outputs are the target of --steady; -1: none
    temperature: float = 1.0  # of answers without adaptation

    @cached_property
    def sides(self) -> int:
        """The number of channels side by side in a row's columns; 1 if not known."""
        record, *others = self.store.records.values()
        whole = not (others or record["stats"] or self.scaling.matrix is not None)
        return features.sides(record) if whole else 1

    @cached_property
    def corpora(self) -> np.ndarray:
        """Each clip's corpus number, `[clips]`; 0 where it is not known."""
        return np.zeros(len(self.store), np.int64) if self.corpus is None else self.corpus

    def group_sizes(self, how: str) -> np.ndarray:
        """Return how many clips each training clip shares its weight with, by the setting `balance`, `[train]`."""
        return self.lesson.group_sizes(how, self.train, self.corpora)

    @property
    def columns(self) -> int:
        """The number of columns that a model sees."""
        matrix = self.scaling.matrix
        return self.store.columns if matrix is None else matrix.shape[1]

    def mapped(self, offset: np.ndarray, matrix: np.ndarray) -> "Data":
        """Return the data with fewer columns: `(rows - offset) @ matrix`."""
        return replace(self, scaling=self.scaling.then(offset, matrix, self.store.device))

    def rows(self, clips: np.ndarray, strange: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the clips' scaled rows, `[clips, time, columns]`, and lengths; `strange` clips are not adapted."""
        rows, lengths = self.store.take(clips)
        group = None if self.group is None else torch.from_numpy(self.group[clips]).to(rows.device)
        if group is not None and strange is not None:
            group = group.masked_fill(strange, 0)
        return self.scaling.apply(rows, lengths, group), lengths

    def single_rows(self, clips: np.ndarray, strange: Tensor | None = None) -> np.ndarray:
        """Return the scaled rows of clips with one row each, as `refusals` requires, `[clips, columns]`."""
        return self.rows(clips, strange)[0][:, 0].cpu().numpy()


def logits(model: nn.Module, data: Data, clips: np.ndarray, precision: str = "float32") -> Tensor:
    """Return the network's outputs, `[clips, names]`, on the CPU, adapted to speakers by these clips alone."""
    model.eval()
    if data.group is not None:
        data = replace(data, scaling=_adapted(model, data, data.group, clips, precision))
    return _of_each(model, data, clips, precision)


def _adapted(model: nn.Module, data: Data, group: np.ndarray, clips: np.ndarray, precision: str) -> Scaling:
    """Return the scaling adapted to the speakers of some clips by these clips; `group` is the data's."""

    def ask(scaling: Scaling) -> np.ndarray:
        answer = _of_each(model, replace(data, scaling=scaling), clips, precision)
        return data.lesson.kind.numbers(answer, data.temperature).numpy()

    views = [data.store.views[clip] for clip in clips]
    return speaker_scaling.adapted_by_model(views, group[clips], int(group.max()), data.scaling, ask)


def summaries(model: Any, data: Data, precision: str) -> np.ndarray:
    """Return the network's summaries of the training clips, `[clips, width]`."""
    return _of_each(model.eval().summary, data, data.train, precision).numpy()


@torch.inference_mode()
def _of_each(network: Callable[..., Tensor], data: Data, clips: np.ndarray, precision: str) -> Tensor:
    """Return the network's output for each of some clips, float32 `[clips, width]`, on the CPU."""
    outputs = torch.empty(0)
    for some in batches.in_order(data.store.lengths[clips]):
        places = batches.doubled_if_single(some, precision)
        with torch.autocast(data.store.device.type, torch.bfloat16, enabled=precision == "bf16"):
            answer = data.lesson.kind.joined(network(*data.rows(clips[places])).float().cpu())
        outputs = outputs if len(outputs) else answer.new_empty(len(clips), answer.shape[1])
        outputs[places] = answer
    return outputs
