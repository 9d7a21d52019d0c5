"""Compute the loss of a batch: that of the lesson, plus those of imitation (--imitate) and consistency (--steady)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sertool import models
from sertool.errors import UsageError
from sertool.system.team import Team
from sertool.train import consistency
from sertool.train.aim import BatchLoss
from sertool.train.consistency import Reference
from sertool.train.row_augmentation import Mixup
from sertool.train.training_data import Data
from sertool.train.training_settings import Settings

Batch = tuple[np.ndarray, Tensor, Tensor]  # clips, their rows, `[clips, time, columns]`, and their lengths


class Outputs(NamedTuple):
    """The network's outputs for a batch that the loss needs."""

    answers: Tensor  # `[clips, names]`, or of several networks `[networks, clips, names]`
    guess: Tensor | None = None  # the predicted goals, `[clips, directions]`
    distance: Tensor | None = None  # between the blocks' outputs and the reference's, `[clips]`


@dataclass(frozen=True)
class Objective:
    """The loss that every step of training lowers."""

    model: Any
    network: Callable[[Tensor, Tensor], Tensor]  # the model, possibly compiled
    data: Data
    settings: Settings
    lesson_loss: BatchLoss
    reference: Reference | None = None  # gives the outputs that --steady asks for

    def loss(self, batch: Batch, mixup: Mixup | None, share: float) -> Tensor:
        """Return the loss of a batch, whose clips each weigh `share`.

        Rows arrive mixed; with `mixes summary` the embeddings are mixed here.
        """
        settings, device = self.settings, batch[1].device
        places = torch.from_numpy(batch[0]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            answers, guess, distance = self._answers(batch, mixup)
        networks = answers.shape[:-2].numel()
        loss = self.lesson_loss(answers.float(), places, mixup) / networks * share * (1 - settings.steady)
        if distance is not None:
            loss = loss + settings.steady * distance.sum() * share
        if guess is not None and self.data.goals is not None:
            goals = self.data.goals[places]
            goals = goals if mixup is None else mixup.of(goals)
            likeness = nn.functional.cosine_similarity(guess.float(), goals)
            loss = loss + settings.likeness * (1 - likeness).sum() * share
        return loss

    def _answers(self, batch: Batch, mixup: Mixup | None) -> Outputs:
        """Return the network's outputs for a batch; each clip's embedding is computed once for all of them."""
        clips, rows, lengths = batch
        late = mixup if self.settings.mixes == "summary" else None
        if self.data.goals is None and self.reference is None and late is None:
            return Outputs(self.network(rows, lengths))
        outputs = None if self.reference is None else self.model.block_outputs(rows, lengths)
        summary = self.model.embed(rows, lengths) if outputs is None else self.model.embed_output(outputs[-1], lengths)
        summary = summary if late is None else late.of(summary)
        guess = None if self.data.goals is None else self.model.imitation(summary)
        distance = None if self.reference is None else self._distance(self.reference, outputs, clips, lengths)
        return Outputs(self.model.head(summary), guess, distance)

    def _distance(self, reference: Reference, outputs: Any, clips: np.ndarray, lengths: Tensor) -> Tensor:
        """Return the distance of the blocks' outputs from the reference's for each row's original clip, `[clips]`."""
        original = reference.original[clips]
        rows, _ = self.data.rows(np.where(original < 0, clips, original))
        counts = torch.from_numpy(original >= 0).to(rows.device)
        return reference.distance(outputs, rows, lengths) * counts


def of(model: nn.Module, network: Callable[..., Tensor], data: Data, settings: Settings, team: Team) -> Objective:
    """Return the loss for a model that has not been trained yet, on the device of its data."""
    reference = None if data.original is None else consistency.reference(model, data, settings.precision)
    return Objective(model, network, data, settings, data.lesson.batch_loss(settings, data.train, team), reference)


def add_imitation(model: nn.Module, data: Data) -> None:
    """Add the layer that predicts the goals of --imitate from a clip's embedding; it exists only during training."""
    if data.goals is None:
        return
    if not (isinstance(model, models.Embeds) and hasattr(model, "head")):
        raise UsageError("--imitate is for networks that sum up a clip before they answer; this model does not")
    with torch.inference_mode():
        model.eval()
        width = model.embed(*data.rows(data.train[:1])).shape[1]
    model.imitation = nn.Linear(width, data.goals.shape[1])


def remove_imitation(model: nn.Module, data: Data) -> None:
    """Remove the layer that `add_imitation` added."""
    if data.goals is not None:
        del model.imitation
