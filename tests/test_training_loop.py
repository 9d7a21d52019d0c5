"""The training loop takes the very steps that are asked for: a loop written out by hand comes to the same weights."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from running import PATTERN, sertool
from small_training import CLIPS, Line, Summing, data
from torch import Tensor, nn
from torch.nn import functional

from sertool.sound import encoding, synth
from sertool.train import training
from sertool.train.training_data import Data
from sertool.train.training_settings import Settings

BATCH, EPOCHS = 8, 6
STEPS = 3  # of an epoch: the last batch is smaller
RATE = 0.05
Change = Callable[[list[Tensor]], list[Tensor]]


def trained(folder: Path, held: Data, **settings: Any) -> tuple[Line, list[dict[str, Any]], list[np.ndarray]]:
    """What the loop makes of a network, each epoch's figures, and the batches that it took."""
    network, taken = Line(), []

    def watch(order: list[np.ndarray], _: str) -> list[np.ndarray]:
        taken.extend(order)
        return order

    usual = {"epochs": EPOCHS, "batch": BATCH, "lr": RATE, "schedule": "constant", "keep": "last"}
    figures = list(training.fit(network, held, Settings(**usual | settings), 0, folder, watch))
    return network, figures, taken


def by_hand(
    held: Data,
    batches: list[np.ndarray],
    optimizer: Callable[[Any], torch.optim.Optimizer],
    change: Change = lambda gradients: gradients,
    rate: Callable[[int], float] = lambda step: RATE,
) -> Line:
    """The same network after the same batches."""
    network = Line()
    steps = optimizer(network.parameters())
    for number, clips in enumerate(batches):
        rows = torch.from_numpy(np.stack([held.store.views[clip][0] for clip in clips]))
        loss = functional.cross_entropy(
            network(rows, torch.ones(len(clips))), torch.from_numpy(held.lesson.truth[clips])
        )
        steps.param_groups[0]["lr"] = rate(number)
        steps.zero_grad()
        loss.backward()
        parameters = list(network.parameters())
        for parameter, gradient in zip(parameters, change([each.grad for each in parameters]), strict=True):
            parameter.grad = gradient
        steps.step()
    return network


def assert_alike(one: nn.Module, other: nn.Module) -> None:
    torch.testing.assert_close(one.state_dict(), other.state_dict(), atol=1e-6, rtol=1e-5)


def sgd(momentum: float = 0.0, decay: float = 0.0) -> Callable[[Any], torch.optim.Optimizer]:
    return lambda parameters: torch.optim.SGD(
        parameters, RATE, momentum=momentum, weight_decay=decay, foreach=False, fused=False
    )


def adam(kind: type[torch.optim.Optimizer], decay: float = 0.0) -> Callable[[Any], torch.optim.Optimizer]:
    return lambda parameters: kind(parameters, RATE, weight_decay=decay, foreach=False, fused=False)


OPTIMISERS = {
    "sgd": (sgd(), {"optimizer": "sgd", "momentum": 0.0}),
    "momentum": (sgd(0.8), {"optimizer": "sgd", "momentum": 0.8}),
    "usual momentum": (sgd(0.9), {"optimizer": "sgd"}),
    "sgd decays": (sgd(0.5, 0.3), {"optimizer": "sgd", "momentum": 0.5, "weight_decay": 0.3}),
    "adam": (adam(torch.optim.Adam), {"optimizer": "adam"}),
    "adam decays": (adam(torch.optim.Adam, 0.3), {"optimizer": "adam", "weight_decay": 0.3}),
    "adamw": (adam(torch.optim.AdamW), {"optimizer": "adamw"}),
    "adamw decays": (adam(torch.optim.AdamW, 0.3), {"optimizer": "adamw", "weight_decay": 0.3}),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimiser_steps_match_a_hand_written_loop(tmp_path: Path, name: str) -> None:
    optimizer, settings = OPTIMISERS[name]
    held = data()
    network, _, batches = trained(tmp_path, held, **settings)
    assert len(batches) == EPOCHS * STEPS
    assert_alike(network, by_hand(held, batches, optimizer))


def test_different_optimisers_give_different_weights(tmp_path: Path) -> None:
    """Without which the tests above would hold nothing; but two of them are one without decay."""
    held = data()
    names = OPTIMISERS.keys() - {"adamw", "usual momentum"}
    ends = [trained(tmp_path / name, held, **OPTIMISERS[name][1])[0].map.weight for name in names]
    assert all((one - other).abs().max() > 1e-3 for k, one in enumerate(ends) for other in ends[:k])


def shortened(most: float) -> Change:
    """All gradients by one factor, so that together they are no longer than that."""

    def change(gradients: list[Tensor]) -> list[Tensor]:
        length = torch.cat([each.flatten() for each in gradients]).norm()
        return [each * min(1.0, most / float(length)) for each in gradients]

    return change


def cut(most: float) -> Change:
    return lambda gradients: [each.clamp(-most, most) for each in gradients]


CLIPPED: dict[str, tuple[dict[str, float], Change]] = {
    "clip": ({"clip": 0.2}, shortened(0.2)),
    "clip-value": ({"clip_value": 0.05}, cut(0.05)),
    "any": ({"clip": 0.0, "clip_value": 0.0}, shortened(math.inf)),
}


@pytest.mark.parametrize("name", CLIPPED)
def test_gradients_are_clipped_before_each_step(tmp_path: Path, name: str) -> None:
    settings, change = CLIPPED[name]
    held = data()
    network, _, batches = trained(tmp_path, held, optimizer="sgd", **settings)
    assert_alike(network, by_hand(held, batches, sgd(0.9), change))


def cosine(share: float) -> float:
    return (1 + math.cos(math.pi * share)) / 2


def restarted(epoch: float) -> float:
    """Cosines over epochs 0 to 2 and 2 to 6."""
    return cosine(epoch / 2) if epoch < 2 else cosine((epoch - 2) / 4)


def cycled(epoch: float) -> float:
    """Half a cosine up from a 25th over three tenths of the time, and half a one down to nothing."""
    up, all_of_it = 0.3 * EPOCHS, EPOCHS
    if epoch < up:
        return 1 / 25 + (1 - 1 / 25) * (1 - cosine(epoch / up))
    return cosine((epoch - up) / (all_of_it - up))


SCHEDULES: dict[str, tuple[dict[str, Any], Callable[[int], float]]] = {  # the share of the rate, by step from 0
    "constant": ({"schedule": "constant"}, lambda step: 1.0),
    "cosine": ({"schedule": "cosine"}, lambda step: cosine(step / (EPOCHS * STEPS))),
    "restarts": ({"schedule": "restarts", "restart_epochs": 2, "restart_factor": 2}, lambda step: restarted(step / 3)),
    "one-cycle": ({"schedule": "one-cycle"}, lambda step: cycled(step / STEPS)),
    "warm-up": ({"schedule": "constant", "warmup": 7}, lambda step: min(1.0, (step + 1) / 7)),
    "warm-up of a cosine": (
        {"schedule": "cosine", "warmup": 7}, lambda step: min(1.0, (step + 1) / 7) * cosine(step / (EPOCHS * STEPS)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_sets_the_learning_rate_of_every_step(tmp_path: Path, name: str) -> None:
    settings, share = SCHEDULES[name]
    held = data()
    network, figures, batches = trained(tmp_path, held, optimizer="sgd", **settings)
    last = [RATE * share(epoch * STEPS + STEPS - 1) for epoch in range(EPOCHS)]
    assert [each["lr"] for each in figures] == pytest.approx(last)
    assert_alike(network, by_hand(held, batches, sgd(0.9), rate=lambda step: RATE * share(step)))


@pytest.mark.parametrize(
    ("patience", "shares"), [(0, [1, 1, 0.2, 0.04, 0.008, 0.0016]), (1, [1, 1, 1, 0.2, 0.2, 0.04])]
)
def test_plateau_schedule_lowers_the_rate_without_improvement(
    tmp_path: Path, patience: int, shares: list[float]
) -> None:
    """Its dev clips contradict the training clips: every epoch is worse than the first."""
    how = {"schedule": "plateau", "plateau_patience": patience, "plateau_factor": 0.2, "metric": "loss"}
    _, figures, _ = trained(tmp_path, data(contrary=True), optimizer="sgd", **how)
    lost = [each["dev_loss"] for each in figures]
    assert all(later > lost[0] for later in lost[1:])
    assert [each["lr"] for each in figures] == pytest.approx([RATE * share for share in shares])


def test_plateau_schedule_keeps_the_rate_while_the_loss_improves(tmp_path: Path) -> None:
    """Without dev, by the loss in train."""
    _, figures, _ = trained(tmp_path, data(), optimizer="sgd", schedule="plateau", plateau_patience=0)
    assert [each["lr"] for each in figures] == [RATE] * EPOCHS


def test_ema_keeps_the_average_of_the_weights(tmp_path: Path) -> None:
    held = data(contrary=True)
    network, figures, batches = trained(tmp_path, held, optimizer="sgd", ema=0.6)
    average = Line().state_dict()
    for step in range(1, len(batches) + 1):
        decay = min(0.6, (1 + step) / (10 + step))
        for name, value in by_hand(held, batches[:step], sgd(0.9)).state_dict().items():
            average[name] = decay * average[name] + (1 - decay) * value
    torch.testing.assert_close(network.state_dict(), average, atol=1e-6, rtol=1e-5)
    lost = functional.cross_entropy(network(*held.rows(held.dev)), torch.from_numpy(held.lesson.truth[held.dev]))
    assert figures[-1]["dev_loss"] == pytest.approx(lost.item())


def test_epoch_loss_is_the_mean_over_its_clips(tmp_path: Path) -> None:
    held = data()
    _, figures, _ = trained(tmp_path, held, lr=1e-9)
    lost = functional.cross_entropy(Line()(*held.rows(held.train)), torch.from_numpy(held.lesson.truth))
    assert figures[0]["loss"] == pytest.approx(lost.item())


class Dropping(Line):
    """One that drops half of the columns while it learns."""

    def forward(self, rows: Tensor, _lengths: Tensor) -> Tensor:
        return self.map(functional.dropout(rows[:, 0], 0.5, self.training))


def test_dropout_depends_on_the_seed_alone(tmp_path: Path) -> None:
    ends = []
    for earlier in (1, 2):
        network = Dropping()
        torch.manual_seed(earlier)  # as if something else had drawn numbers before
        [*training.fit(network, data(), Settings(epochs=2), 0, tmp_path / str(earlier))]
        ends.append(network.map.weight)
    assert torch.equal(*ends)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_mixup_shares_follow_the_beta_distribution(alpha: float) -> None:
    generators = training.Generators(np.random.default_rng(0), torch.Generator())
    shares = np.array([training._mixup(4, Settings(mixup=alpha), generators).share for _ in range(2000)])
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.std() == pytest.approx(0.5 / math.sqrt(2 * alpha + 1), rel=0.05)


def test_metrics_file_records_the_scheduled_learning_rates(tmp_path: Path) -> None:
    synth.corpus(tmp_path / "clips", 4, ("neutral", "angry"), 2, write=encoding.write)
    words = ("--pattern", PATTERN, "--split", "speaker:50/25/25")
    made = sertool("index", tmp_path / "clips", *words)
    made = sertool("featurize", "--rms", "--stats", "mean,std", "-o", tmp_path / "f", stdin=made.out)
    words = ("-m", "mlp", "--epochs", 4, "--batch", 3, "--lr", 0.01, "--warmup", 2)
    done = sertool("train", *words, "--schedule", "cosine", "-o", tmp_path / "run", stdin=made.out)
    assert done.code == 0, done.err
    lines = (tmp_path / "run" / "seed-0" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    steps = 3  # of eight clips, three at a time
    wanted = [0.01 * cosine((epoch + (steps - 1) / steps) / 4) for epoch in range(4)]
    assert [json.loads(line)["lr"] for line in lines] == pytest.approx(wanted)


def test_imitating_network_is_moved_to_the_device_of_its_data(tmp_path: Path) -> None:
    held, device = data(), torch.device("meta")
    store, goals = replace(held.store, device=device), torch.zeros(CLIPS, 4, device=device)
    _, state = training._started(Summing(), replace(held, store=store, goals=goals), Settings(), ())
    assert {parameter.device for parameter in state.model.parameters()} == {device}
    assert state.model.imitation.out_features == 4
