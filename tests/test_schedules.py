"""Learning rates, as torch's own schedulers have them where there are such."""

import pytest
import torch

from sertool.train import schedules


def test_warm_restart_schedule_matches_torch() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=10, T_mult=2)
    for quarter in range(200):
        theirs.step(quarter / 4)
        assert schedules.restarts(quarter / 4, 10, 2) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)


def test_cosine_and_one_cycle_schedules_have_the_expected_rates() -> None:
    assert schedules.cosine(0) == 1
    assert schedules.cosine(0.5) == pytest.approx(0.5)
    assert schedules.cosine(1) == pytest.approx(0)
    assert schedules.one_cycle(0) == pytest.approx(0.04)
    assert schedules.one_cycle(0.3) == pytest.approx(1)
    assert schedules.one_cycle(1) == pytest.approx(0)


def test_plateau_schedule_matches_torch() -> None:
    values = [1.0, 0.9, 0.95, 0.96, 0.97, 0.8, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, threshold=0)
    for count, loss in enumerate(values, start=1):
        theirs.step(loss)
        ours = schedules.plateau([-value for value in values[:count]], 2, 0.5)
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"])
