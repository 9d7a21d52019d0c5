"""The loss of a batch: its value is that of PyTorch's and scikit-learn's own functions, written out by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from small_training import CLASSES, CLIPS, Summing, data
from torch import Tensor
from torch.nn import functional

from sertool.system.team import Team
from sertool.train import objective
from sertool.train.objective import Objective
from sertool.train.row_augmentation import Mixup
from sertool.train.training_data import Data
from sertool.train.training_settings import Settings

PARTNER = torch.arange(CLIPS).roll(1)
MIXUP = Mixup(0.7, PARTNER)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def objective_of(held: Data, **settings: Any) -> Objective:
    model = Summing()
    objective.add_imitation(model, held)
    return objective.of(model, model, held, Settings(**settings), Team())


def test_smoothed_labels_of_a_mixture_are_mixed() -> None:
    held, logits = data(), drawn(CLIPS, CLASSES)
    found = objective_of(held, smoothing=0.2).lesson_loss(logits, torch.arange(CLIPS), MIXUP)
    own = torch.from_numpy(held.lesson.truth)
    lost = [functional.cross_entropy(logits, y, label_smoothing=0.2, reduction="sum") for y in (own, own[PARTNER])]
    torch.testing.assert_close(found, 0.7 * lost[0] + 0.3 * lost[1])


def test_a_network_that_imitates_is_judged_by_its_likeness_to_mixed_goals() -> None:
    held = replace(data(), goals=drawn(CLIPS, 5))
    cost = objective_of(held, likeness=0.3)
    clips = np.arange(CLIPS)
    rows, lengths = held.rows(clips)
    found = cost.loss((clips, rows, lengths), MIXUP, 0.5)
    summary = cost.model.embed(rows, lengths)
    goals = 0.7 * held.goals + 0.3 * held.goals[PARTNER]
    unlike = (1 - functional.cosine_similarity(cost.model.imitation(summary), goals)).sum()
    torch.testing.assert_close(found, 0.5 * (cost.lesson_loss(summary, torch.from_numpy(clips), MIXUP) + 0.3 * unlike))


def test_weights_of_emotions_are_those_of_scikit_learn() -> None:
    emotion = np.repeat(np.arange(CLASSES), [10, 6, 2])
    lesson = replace(data().lesson, emotion=emotion)
    weights = lesson.weights(Settings(balance="weights"), np.arange(CLIPS))
    assert weights.numpy() == pytest.approx(compute_class_weight("balanced", classes=np.arange(CLASSES), y=emotion))
