"""The training loop, and nothing but the loop.

Every random choice of an epoch comes from the seed and the epoch's number, and the state after an epoch is saved: a run
that was killed continues from there and ends with the same weights.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sertool import models
from sertool.errors import SertoolError
from sertool.manifests.run_folder import CHECKPOINT
from sertool.modelfiles import batches
from sertool.networks import norms
from sertool.system.team import Team
from sertool.train import checkpoint, choosing, objective, row_augmentation, schedules, training_data
from sertool.train.checkpoint import State
from sertool.train.objective import Batch, Objective
from sertool.train.row_augmentation import Mixup
from sertool.train.training_data import Data
from sertool.train.training_settings import Settings

SAVING_SHARE = 0.1  # of the time may go into saving: where epochs are short, not each of them is saved
Watch = Callable[[list[np.ndarray], str], Iterable[np.ndarray]]  # wraps the batches of an epoch in a progress bar


@dataclass(frozen=True)
class Loop:
    """The parts of a training that are the same in every step."""

    objective: Objective
    data: Data
    settings: Settings
    team: Team
    course: Sequence[float]  # plateau's share of the rate in each epoch, where dev is not to decide; else empty

    @property
    def epochs(self) -> int:
        """The number of epochs; schedules stretch over those of the settings, even if fewer are made."""
        return len(self.course) or self.settings.epochs


@dataclass(frozen=True)
class Generators:
    """An epoch's random generators: one for choices, and one for numbers on the device."""

    choices: np.random.Generator
    device: torch.Generator


def fit(
    model: nn.Module,
    data: Data,
    settings: Settings,
    seed: int,
    folder: Path,
    watch: Watch = lambda order, _: order,
    *,
    course: Sequence[float] = (),
) -> Iterator[dict[str, Any]]:
    """Train the model and leave the chosen weights in it; yield all epochs' figures, those of a resumed run first.

    A `course` (see `choosing.course`) says how many epochs are made, and replaces what plateau would find.
    """
    path = folder / CHECKPOINT
    if isinstance(model, models.StartsHead) and not path.exists():
        model.to(data.store.device)
        summaries = training_data.summaries(model, data, settings.precision)
        model.start_head(summaries, partial(data.lesson.regression, train=data.train))
    loop, state = _started(model, data, settings, course)
    checkpoint.restore(state, path)
    yield from list(state.history)
    saved, cost = -math.inf, 0.0
    for epoch in range(len(state.history), loop.epochs):
        if choosing.stale(state.history, settings):
            break
        began = time.perf_counter()
        figures = (
            {"epoch": epoch + 1} | _epoch(state, loop, seed, epoch, watch) | _examined(state, data, settings.precision)
        )
        if choosing.best_epoch([*state.history, figures], settings) == len(state.history):
            state.best = checkpoint.copied(state.weights())
        ended = time.perf_counter()
        state.history.append(figures | {"seconds": round(ended - began, 3)})
        if loop.team.leads and cost <= SAVING_SHARE * (ended - saved):
            checkpoint.save(state, path)
            saved = time.perf_counter()
            cost = saved - ended
        yield state.history[-1]
    model.load_state_dict(state.best)
    objective.remove_imitation(model, data)


def _started(model: nn.Module, data: Data, settings: Settings, course: Sequence[float]) -> tuple[Loop, State]:
    model.to(data.store.device)
    objective.add_imitation(model, data)
    model.to(data.store.device)  # the layer that was added, too
    if _takes_channels_last(model) and (data.store.device.type == "cpu" or settings.precision == "bf16"):
        model.to(memory_format=torch.channels_last)  # faster with the kernels of CPUs and of half precision
    network = torch.compile(model) if settings.compile else model
    team = Team()
    loop = Loop(objective.of(model, network, data, settings, team), data, settings, team, course)
    if team.size > 1:
        norms.synchronise_batch_norm(model, team.sum_parts)
    average = checkpoint.copied(model.state_dict()) if settings.ema else None
    return loop, State(model, _optimizer(model, settings), average, checkpoint.copied(model.state_dict()))


def _takes_channels_last(model: nn.Module) -> bool:
    """Whether the model is safe with channels last: not with strided 1x1 convolutions.

    In their backward pass, torch 2.14 then reads out of bounds on CPUs.
    """
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    return not any(layer.kernel_size == (1, 1) and layer.stride != (1, 1) for layer in convolutions)


def _optimizer(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    optimizer = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[settings.optimizer]
    extra = {"momentum": settings.momentum} if settings.optimizer == "sgd" else {}
    return optimizer(_shares(model), settings.lr, weight_decay=settings.weight_decay, fused=True, **extra)


def _shares(model: nn.Module) -> list[dict[str, Any]]:
    """Return the network's parameters in groups, each with its share of the learning rate."""
    parts = model.slow_parts() if isinstance(model, models.HasSlowParts) else []
    groups: list[dict[str, Any]] = [{"params": list(part.parameters()), "share": share} for part, share in parts]
    slow = {id(parameter) for group in groups for parameter in group["params"]}
    usual = [parameter for parameter in model.parameters() if id(parameter) not in slow]
    return [{"params": usual, "share": 1.0}, *groups]


# One epoch.


def _epoch(state: State, loop: Loop, seed: int, epoch: int, watch: Watch) -> dict[str, Any]:
    """Make one pass over the training clips; return the mean loss and the share of time spent waiting for data."""
    generators = _generators(loop, seed, epoch)
    drawn = _drawn(loop, generators.choices)
    order = batches.shuffled(drawn, loop.data.store.lengths[drawn], loop.settings.batch, generators.choices)
    loss = torch.zeros((), device=loop.data.store.device)
    state.model.train()
    waited, began = 0.0, time.perf_counter()
    for index, clips in enumerate(watch(order, f"epoch {epoch + 1}/{loop.epochs}")):
        _set_rate(state, loop, epoch + index / len(order))
        before = time.perf_counter()
        share = loop.team.share(clips)
        batch = loop.data.rows(share, _unadapted(len(share), loop, generators))
        waited += time.perf_counter() - before
        loss += _step(state, loop, generators, (share, *batch), loop.team.weight / len(clips)) * len(clips)
    state.model.eval()
    mean = loop.team.total(loss) / len(drawn)
    if not math.isfinite(mean):
        raise SertoolError(f"the loss is not finite in epoch {epoch + 1}: lower --lr, or limit gradients with --clip 1")
    spent = max(time.perf_counter() - began, 1e-9)
    rate = float(state.optimizer.param_groups[0]["lr"])
    return {"loss": mean, "lr": rate, "waiting": round(waited / spent, 4)}


def _generators(loop: Loop, seed: int, epoch: int) -> Generators:
    """Return the epoch's generators: choices are the same in all processes, numbers drawn on devices differ."""
    choices = np.random.default_rng([seed, epoch])
    own = int(choices.integers(2**62)) + loop.team.rank
    torch.manual_seed(own)
    return Generators(choices, torch.Generator(loop.data.store.device).manual_seed(own))


def _drawn(loop: Loop, choices: np.random.Generator) -> np.ndarray:
    """Return an epoch's clips: all training clips or, to balance them, as many drawn with the weights of `balance`."""
    train = loop.data.train
    if loop.settings.balance in ("none", "weights"):
        return train
    share = 1.0 / loop.data.group_sizes(loop.settings.balance)
    return choices.choice(train, len(train), p=share / share.sum())


def _unadapted(count: int, loop: Loop, generators: Generators) -> Tensor | None:
    """Draw which clips of a batch are scaled without adaptation.

    A network that learns from both kinds does better with either.
    """
    if loop.data.group is None:
        return None
    return torch.rand(count, generator=generators.device, device=generators.device.device) < loop.settings.strangers


def _step(state: State, loop: Loop, generators: Generators, batch: Batch, share: float) -> Tensor:
    """Make one optimiser step on this process' part of a batch; `share` is the weight of each clip's loss."""
    settings, (clips, rows, lengths) = loop.settings, batch
    rows = row_augmentation.changed(rows, lengths, settings, generators.device, loop.data.sides)
    mixup = _mixup(len(clips), settings, generators)
    if mixup is not None and settings.mixes == "rows":
        rows, lengths = mixup.of_frames(rows, lengths)
    loss = loop.objective.loss((clips, rows, lengths), mixup, share)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    loop.team.sum_gradients(state.model)
    _clip(state.model, settings)
    state.optimizer.step()
    state.steps += 1
    _follow(state, settings)
    return loss.detach()


def _mixup(count: int, settings: Settings, generators: Generators) -> Mixup | None:
    if not settings.mixup:
        return None
    share = generators.choices.beta(settings.mixup, settings.mixup)
    return Mixup(share, torch.from_numpy(generators.choices.permutation(count)))


def _clip(model: nn.Module, settings: Settings) -> None:
    if settings.clip:
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
    if settings.clip_value:
        nn.utils.clip_grad_value_(model.parameters(), settings.clip_value)


@torch.no_grad()
def _follow(state: State, settings: Settings) -> None:
    """Move the averaged weights towards the current ones; faster in the first steps."""
    if state.average is None or settings.ema is None:
        return
    decay = min(settings.ema, (1 + state.steps) / (10 + state.steps))
    for name, value in state.model.state_dict().items():
        if value.is_floating_point():
            state.average[name].lerp_(value, 1 - decay)
        else:
            state.average[name].copy_(value)


def _set_rate(state: State, loop: Loop, epoch: float) -> None:
    """Set the learning rate for a time, counted in epochs."""
    settings, factor = loop.settings, _factor(state, loop, epoch)
    if settings.warmup:
        factor *= min(1.0, (state.steps + 1) / settings.warmup)
    for group in state.optimizer.param_groups:
        group["lr"] = settings.lr * factor * group["share"]


def _factor(state: State, loop: Loop, epoch: float) -> float:
    """Return the schedule's factor for the learning rate."""
    settings = loop.settings
    match settings.schedule:
        case "plateau":
            return loop.course[int(epoch)] if loop.course else choosing.plateau_share(state.history, settings)
        case "cosine":
            return schedules.cosine(epoch / settings.epochs)
        case "restarts":
            return schedules.restarts(epoch, settings.restart_epochs, settings.restart_factor)
        case "one-cycle":
            return schedules.one_cycle(epoch / settings.epochs)
    return 1.0


# After an epoch.


def _examined(state: State, data: Data, precision: str) -> dict[str, Any]:
    """Return the figures on dev of the weights that would be kept."""
    if not len(data.dev):
        return {}
    answer, lesson = _answered(state, data, precision), data.lesson
    figures = {"loss": lesson.loss(answer, data.dev)} | lesson.figures(answer, data.dev)
    return {f"dev_{name}": value for name, value in figures.items()}


def _answered(state: State, data: Data, precision: str) -> Tensor:
    if state.average is None:
        return training_data.logits(state.model, data, data.dev, precision)
    own = checkpoint.copied(state.model.state_dict())
    state.model.load_state_dict(state.average)
    answer = training_data.logits(state.model, data, data.dev, precision)
    state.model.load_state_dict(own)
    return answer
