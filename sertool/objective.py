"""What a network's answers to a batch cost: the labels' loss, and what imitating and hearing steadily add to it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sertool import consistency, label_sets
from sertool.augmenting import Mixup
from sertool.consistency import Ear, Streams
from sertool.errors import UsageError
from sertool.training_data import Data
from sertool.training_settings import Settings

Batch = tuple[np.ndarray, Tensor, Tensor]  # clips, their rows, `[clips, time, columns]`, and their lengths


class Outputs(NamedTuple):
    """What a network makes of a batch, as far as it is wanted."""

    logits: Tensor  # `[clips, classes]`, or of several networks `[networks, clips, classes]`
    guess: Tensor | None = None  # of the goals, `[clips, directions]`
    unlike: Tensor | None = None  # how far what it heard is from what it is to hear, `[clips]`


@dataclass(frozen=True)
class Objective:
    """What a network is to come closer to in every step."""

    model: Any
    network: nn.Module  # the model, or what the compiler made of it
    data: Data
    settings: Settings
    weights: Tensor  # what each emotion's loss counts, `[classes]`
    ear: Ear | None = None  # what hears the clips that copies are of

    def loss(self, batch: Batch, mixup: Mixup | None, share: float) -> Tensor:
        """What a batch costs, its rows mixed already where rows are; `share` is what each clip's loss counts."""
        settings, device = self.settings, batch[1].device
        places = torch.from_numpy(batch[0]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            logits, guess, unlike = self._answers(batch, mixup)
        networks = logits.shape[:-2].numel()
        loss = self.of_labels(logits.float(), places, mixup) / networks * share * (1 - settings.steady)
        if unlike is not None:
            loss = loss + settings.steady * unlike.sum() * share
        if guess is not None:
            goals = self.data.goals[places]
            goals = goals if mixup is None else mixup.of(goals)
            likeness = nn.functional.cosine_similarity(guess.float(), goals)
            loss = loss + settings.likeness * (1 - likeness).sum() * share
        return loss

    def of_labels(self, logits: Tensor, places: Tensor, mixup: Mixup | None) -> Tensor:
        """What all answers cost; each part of a mixture is judged among the emotions of its own corpus."""
        targets, smoothing = self.data.targets[places], self.settings.smoothing
        if self.data.judged is None:
            targets = targets * (1 - smoothing) + smoothing / targets.shape[1]
            targets = targets if mixup is None else mixup.of(targets)
            return -(targets * self.weights * logits.log_softmax(dim=-1)).sum()
        judged = self.data.judged[places]
        targets = (targets * (1 - smoothing) + smoothing * judged / judged.sum(dim=1, keepdim=True)) * self.weights
        lost = label_sets.losses(logits, targets, judged)
        if mixup is not None:
            partner = mixup.partner.to(logits.device)
            lost = torch.lerp(label_sets.losses(logits, targets[partner], judged[partner]), lost, mixup.share)
        return lost.sum()

    def _answers(self, batch: Batch, mixup: Mixup | None) -> Outputs:
        """What the network makes of a batch: all that is wanted of it from one summary of each clip."""
        clips, rows, lengths = batch
        late = mixup is not None and self.settings.mixes == "summary"
        if self.data.goals is None and self.ear is None and not late:
            return Outputs(self.network(rows, lengths))
        heard = None if self.ear is None else self.model.streams(rows, lengths)
        summary = self.model.embed(rows, lengths) if heard is None else self.model.told(heard[-1], lengths)
        summary = mixup.of(summary) if late else summary
        guess = None if self.data.goals is None else self.model.imitation(summary)
        return Outputs(self.model.head(summary), guess, None if heard is None else self._unlike(heard, clips, lengths))

    def _unlike(self, heard: Streams, clips: np.ndarray, lengths: Tensor) -> Tensor:
        """How far what was heard of each clip is from what is to be heard, `[clips]`."""
        original = self.data.original[clips]
        rows, _ = self.data.rows(np.where(original < 0, clips, original))
        counts = torch.from_numpy(original >= 0).to(rows.device)
        return self.ear.unlike(heard, rows, lengths) * counts


def of(model: nn.Module, network: nn.Module, data: Data, settings: Settings) -> Objective:
    """What a model, as it begins to learn on the device of its data, is to come closer to."""
    ear = None if data.original is None else consistency.ear(model, data, settings.precision)
    return Objective(model, network, data, settings, _class_weights(data, settings), ear)


def _class_weights(data: Data, settings: Settings) -> Tensor:
    """What each emotion's loss counts, `[classes]`."""
    classes = data.targets.shape[1]
    counts = np.maximum(np.bincount(data.truth[data.train], minlength=classes), 1)
    weights = len(data.train) / (classes * counts) if settings.balance == "weights" else np.ones(classes)
    return torch.from_numpy(weights).float().to(data.store.device)


def let_imitate(model: nn.Module, data: Data) -> None:
    """Give a network, while it trains, a layer that guesses the goals, if there are any, from its summary of a clip."""
    if data.goals is None:
        return
    if not (hasattr(model, "embed") and hasattr(model, "head")):
        raise UsageError("--imitate is for networks that sum up a clip before they answer; this model does not")
    with torch.inference_mode():
        width = model.eval().embed(*data.rows(data.train[:1])).shape[1]
    model.imitation = nn.Linear(width, data.goals.shape[1])


def let_go(model: nn.Module, data: Data) -> None:
    """Take that layer away again."""
    if data.goals is not None:
        del model.imitation
