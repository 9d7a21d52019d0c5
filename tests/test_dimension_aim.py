"""Dimensions are learnt by 1 - CCC: its value is that of the formula written out by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from sertool.manifests.answer_kinds import Dimensions, Scale
from sertool.system.team import Team
from sertool.train.dimension_aim import ConcordanceLoss, DimensionLesson
from sertool.train.row_augmentation import Mixup

CLIPS = 12


def ccc(truth: np.ndarray, answer: np.ndarray) -> float:
    """Lin's formula on the clips whose truth is known."""
    truth, answer = (values[~np.isnan(truth)] for values in (truth, answer))
    covariance = np.mean((truth - truth.mean()) * (answer - answer.mean()))
    return float(2 * covariance / (truth.var() + answer.var() + (truth.mean() - answer.mean()) ** 2))


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def targets() -> Tensor:
    """Standardised ratings on two dimensions, some unknown."""
    ratings = drawn(CLIPS, 2, seed=1)
    ratings[0, 0] = ratings[1] = ratings[5, 1] = torch.nan
    return ratings


def lost(targets: Tensor, outputs: Tensor, mixup: Mixup | None = None) -> Tensor:
    return ConcordanceLoss(targets, Team())(outputs, torch.arange(len(targets)), mixup) / len(targets)


def test_loss_is_one_minus_the_mean_concordance_of_the_rated_clips(targets: Tensor) -> None:
    outputs = drawn(CLIPS, 2)
    each = [ccc(targets[:, k].numpy(), outputs[:, k].numpy()) for k in range(2)]
    assert lost(targets, outputs).item() == pytest.approx(1 - np.mean(each), abs=1e-6)


def test_losses_of_networks_side_by_side_are_summed(targets: Tensor) -> None:
    outputs = drawn(3, CLIPS, 2)
    torch.testing.assert_close(lost(targets, outputs), torch.stack([lost(targets, one) for one in outputs]).sum())


def test_mixed_clips_are_judged_by_mixed_ratings_where_both_are_known(targets: Tensor) -> None:
    outputs, partner = drawn(CLIPS, 2), torch.arange(CLIPS).roll(1)
    mixed = 0.7 * targets + 0.3 * targets[partner]
    torch.testing.assert_close(lost(targets, outputs, Mixup(0.7, partner)), lost(mixed, outputs))


def test_clip_without_a_rating_has_no_gradient_in_that_dimension_alone(targets: Tensor) -> None:
    outputs = drawn(CLIPS, 2).requires_grad_()
    lost(targets, outputs).backward()
    assert torch.equal(outputs.grad == 0, targets.isnan())


@pytest.mark.parametrize("ratings", [[1.0, torch.nan, torch.nan], [2.0, 2.0, 2.0], [torch.nan] * 3])
def test_batch_without_any_variation_teaches_nothing_and_stays_finite(ratings: list[float]) -> None:
    outputs = drawn(3, 1).requires_grad_()
    loss = lost(torch.tensor(ratings, dtype=torch.float64)[:, None], outputs)
    loss.backward()
    assert loss.item() == pytest.approx(1)
    assert outputs.grad.abs().max() < 1e-6


def lesson(targets: Tensor) -> DimensionLesson:
    scale = Scale(mean=3.0, deviation=2.0, low=1.0, high=7.0)
    return DimensionLesson(Dimensions(["arousal", "valence"], [scale, scale]), targets)


def test_figures_are_the_concordance_of_each_dimension_and_their_mean(targets: Tensor) -> None:
    outputs = drawn(CLIPS, 2)
    each = {name: ccc(targets[:, k].numpy(), outputs[:, k].numpy()) for k, name in enumerate(("arousal", "valence"))}
    figures = lesson(targets).figures(outputs, np.arange(CLIPS))
    assert figures == pytest.approx(
        {"ccc": np.mean([*each.values()])} | {f"ccc_{name}": value for name, value in each.items()}
    )


def test_dimension_that_does_not_vary_among_clips_is_left_out_of_their_figures(targets: Tensor) -> None:
    targets[:, 1] = 1.0
    own = replace(lesson(targets))
    figures = own.figures(drawn(CLIPS, 2), np.arange(CLIPS))
    assert figures.keys() == {"ccc", "ccc_arousal"}
    assert own.can_judge(np.arange(CLIPS))
    assert not own.can_judge(np.array([3]))


def test_outputs_mean_values_in_the_scale_of_the_ratings() -> None:
    outputs = drawn(4, 2)
    kind = lesson(outputs).kind
    torch.testing.assert_close(kind.numbers(outputs, 1.0), 3 + 2 * outputs)
    torch.testing.assert_close(kind.joined(torch.stack([outputs, 3 * outputs])), 2 * outputs)
