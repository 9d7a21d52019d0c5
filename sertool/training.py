"""The training loop, and nothing but the loop.

Every random choice of an epoch comes from the seed and the epoch's number, and the state after each epoch lies on the
disk: a run that was killed goes on from there and ends with the weights of one that was not.
"""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sertool import augmenting, batches, metrics, tensorfile
from sertool.batches import Scaling, Store
from sertool.errors import SertoolError
from sertool.files import whole


@dataclass(frozen=True)
class Settings:
    epochs: Annotated[int, "times over the training clips"] = 30
    batch: Annotated[int, "clips in a batch"] = 32
    optimizer: Annotated[Literal["adam", "adamw", "sgd"], "optimiser"] = "adamw"
    lr: Annotated[float, "learning rate"] = 1e-3
    weight_decay: Annotated[float, "weight decay"] = 0.0
    momentum: Annotated[float, "momentum of SGD"] = 0.9
    schedule: Annotated[
        Literal["constant", "plateau", "cosine", "restarts", "one-cycle"], "how the learning rate changes"
    ] = "cosine"
    warmup: Annotated[int, "steps over which the learning rate rises from zero"] = 0
    plateau_factor: Annotated[float, "what plateau multiplies the rate by"] = 0.5
    plateau_patience: Annotated[int, "epochs without a better dev figure before it does"] = 10
    restart_epochs: Annotated[int, "epochs of the first cosine of restarts"] = 10
    restart_factor: Annotated[int, "how much longer each next one is"] = 2
    smoothing: Annotated[float, "label smoothing"] = 0.0
    balance: Annotated[Literal["none", "weights", "sampling"], "how rarer emotions are made up for"] = "none"
    clip: Annotated[float | None, "greatest norm of the gradient"] = None
    clip_value: Annotated[float | None, "greatest value in the gradient"] = None
    patience: Annotated[int | None, "stop after so many epochs without a better dev figure"] = None
    metric: Annotated[Literal["uar", "loss", "wa"], "dev figure that chooses the epoch"] = "uar"
    keep: Annotated[Literal["best", "last"], "the epoch whose weights are kept"] = "best"
    ema: Annotated[float | None, "decay of the weights' moving average, which is what is evaluated and kept"] = None
    mixup: Annotated[float | None, "alpha of mixup"] = None
    soft: Annotated[float, "share of the listeners' votes in the targets, the rest being the intended emotion"] = 0.0
    time_masks: Annotated[int, "bars of time set to zero in each clip"] = 0
    time_width: Annotated[int, "greatest width of a time bar in rows"] = 30
    column_masks: Annotated[int, "bars of columns set to zero in each clip"] = 0
    column_width: Annotated[int, "greatest width of a column bar"] = 12
    mask_share: Annotated[float, "share of the clips that bars are laid over"] = 1.0
    shift: Annotated[float, "greatest roll in time, as a share of the clip"] = 0.0
    noise: Annotated[float, "deviation of Gaussian noise on the rows"] = 0.0
    gain: Annotated[float, "greatest offset of all columns of a clip"] = 0.0
    precision: Annotated[Literal["float32", "bf16"], "arithmetic"] = "float32"
    compile: Annotated[bool, "compile the network"] = False

    @property
    def changes(self) -> augmenting.Changes:
        return augmenting.Changes(**{name: getattr(self, name) for name in augmenting.Changes.__dataclass_fields__})


@dataclass(frozen=True)
class Data:
    """What a run learns from and chooses by; `targets` are probabilities, `[clips, classes]`."""

    store: Store
    targets: Tensor
    train: np.ndarray
    dev: np.ndarray
    scaling: Scaling
    group: np.ndarray | None = None  # of each clip, for scaling by speaker

    @property
    def truth(self) -> np.ndarray:
        return self.targets.argmax(dim=1).cpu().numpy()


@dataclass
class State:
    """Everything that the next epoch starts from."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor] | None
    best: dict[str, Tensor]
    history: list[dict[str, Any]]
    steps: int = 0

    def weights(self) -> dict[str, Tensor]:
        """What is evaluated and kept: the moving average, where there is one."""
        return self.model.state_dict() if self.average is None else self.average


def fit(model: nn.Module, data: Data, settings: Settings, seed: int, folder: Path) -> Iterator[dict[str, Any]]:
    """Train, leaving the chosen weights in the model; yields each epoch's figures, those done earlier first."""
    team = Team()
    state = _started(model, data, settings)
    checkpoint = folder / "checkpoint.safetensors"
    if checkpoint.exists():
        _restore(state, checkpoint)
    yield from state.history
    network = torch.compile(model) if settings.compile else model
    for epoch in range(len(state.history), settings.epochs):
        if _stale(state.history, settings):
            break
        began = time.perf_counter()
        figures = {"epoch": epoch + 1} | _epoch(state, network, data, settings, (seed, epoch), team)
        figures |= _examined(state, data, settings)
        if _is_best(state.history, figures, settings):
            state.best = {name: value.clone() for name, value in state.weights().items()}
        state.history.append(figures | {"seconds": round(time.perf_counter() - began, 3)})
        if team.leads:
            _save(state, checkpoint)
        yield state.history[-1]
    model.load_state_dict(state.best)


def _started(model: nn.Module, data: Data, settings: Settings) -> State:
    makers = {
        "adam": lambda p: torch.optim.Adam(p, settings.lr, weight_decay=settings.weight_decay),
        "adamw": lambda p: torch.optim.AdamW(p, settings.lr, weight_decay=settings.weight_decay),
        "sgd": lambda p: torch.optim.SGD(
            p, settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
        ),
    }
    model.to(data.store.device)
    copy = {name: value.clone() for name, value in model.state_dict().items()}
    average = {name: value.clone() for name, value in copy.items()} if settings.ema else None
    return State(model, makers[settings.optimizer](model.parameters()), average, copy, [])


# One epoch.


def _epoch(
    state: State, network: nn.Module, data: Data, settings: Settings, place: tuple[int, int], team: "Team"
) -> dict[str, Any]:
    """One pass over the training clips; its mean loss and the share of time spent on waiting for data."""
    seed, epoch = place
    numbers = np.random.default_rng([seed, epoch])
    dice = torch.Generator().manual_seed(int(numbers.integers(2**62)))
    torch.manual_seed(int(numbers.integers(2**62)))
    chosen = _drawn(data, settings, numbers)
    order = batches.shuffled(chosen, data.store.lengths[chosen], settings.batch, numbers)
    state.model.train()
    loss_sum, waited, began = 0.0, 0.0, time.perf_counter()
    for index, clips in enumerate(order):
        _set_rate(state, settings, epoch + index / len(order), len(order))
        mine, asked = team.share(clips), time.perf_counter()
        rows, lengths = data.store.take(mine)
        waited += time.perf_counter() - asked
        loss = _step(state, network, data, settings, (mine, rows, lengths), (dice, len(clips)))
        loss_sum += team.total(loss)
    state.model.eval()
    if not math.isfinite(loss_sum):
        raise SertoolError(f"the loss is not finite in epoch {epoch + 1}: lower --lr, or set --clip 1")
    spent = time.perf_counter() - began
    return {"loss": loss_sum / len(chosen), "lr": _rate(state), "waiting": round(waited / max(spent, 1e-9), 4)}


def _drawn(data: Data, settings: Settings, numbers: np.random.Generator) -> np.ndarray:
    """The clips of an epoch: all for training, or, balanced, as many with each emotion equally likely."""
    if settings.balance != "sampling":
        return data.train
    truth = data.truth[data.train]
    share = 1.0 / np.bincount(truth)[truth]
    return numbers.choice(data.train, len(data.train), p=share / share.sum())


def _step(
    state: State, network: nn.Module, data: Data, settings: Settings, batch: tuple[Any, ...], draw: tuple[Any, ...]
) -> Tensor:
    """One step of the optimiser on one batch; the batch's summed loss."""
    (clips, rows, lengths), (dice, size) = batch, draw
    rows = data.scaling.apply(rows, lengths, _groups(data, clips))
    rows = augmenting.changed(rows, lengths, settings.changes, dice)
    targets = _smoothed(data.targets[torch.as_tensor(clips, device=rows.device)], settings.smoothing)
    weights = _class_weights(data, settings)
    if settings.mixup and len(rows) > 1:
        rows, lengths, partner, share = augmenting.mixed(rows, lengths, settings.mixup, dice)
        targets = share * targets + (1 - share) * targets[partner]
    with torch.autocast(rows.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
        logits = network(rows, lengths)
    loss = -(targets * weights * logits.float().log_softmax(dim=1)).sum()
    state.optimizer.zero_grad(set_to_none=True)
    (loss / size).backward()
    Team().sum_gradients(state.model)
    _clip(state.model, settings)
    state.optimizer.step()
    state.steps += 1
    _average(state, settings)
    return loss.detach()


def _groups(data: Data, clips: np.ndarray) -> Tensor | None:
    return None if data.group is None else torch.from_numpy(data.group[clips]).to(data.store.device)


def _smoothed(targets: Tensor, smoothing: float) -> Tensor:
    return targets * (1 - smoothing) + smoothing / targets.shape[1]


def _class_weights(data: Data, settings: Settings) -> Tensor:
    """What each emotion's loss counts, `[classes]`."""
    classes = data.targets.shape[1]
    if settings.balance != "weights":
        return torch.ones(classes, device=data.store.device)
    counts = np.maximum(np.bincount(data.truth[data.train], minlength=classes), 1)
    return torch.from_numpy(len(data.train) / (classes * counts)).float().to(data.store.device)


def _clip(model: nn.Module, settings: Settings) -> None:
    if settings.clip:
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
    if settings.clip_value:
        nn.utils.clip_grad_value_(model.parameters(), settings.clip_value)


def _average(state: State, settings: Settings) -> None:
    """Move the weights' average; it follows quickly at first."""
    if state.average is None or settings.ema is None:
        return
    decay = min(settings.ema, (1 + state.steps) / (10 + state.steps))
    for name, value in state.model.state_dict().items():
        if value.is_floating_point():
            state.average[name].lerp_(value, 1 - decay)
        else:
            state.average[name].copy_(value)


def _set_rate(state: State, settings: Settings, epoch: float, steps: int) -> None:
    """The learning rate at a time counted in epochs."""
    share = epoch / settings.epochs
    factor = {
        "constant": 1.0,
        "plateau": _plateau(state.history, settings),
        "cosine": 0.5 + 0.5 * math.cos(math.pi * share),
        "restarts": _restarts(epoch, settings),
        "one-cycle": _one_cycle(share),
    }[settings.schedule]
    if settings.warmup:
        factor *= min(1.0, (epoch * steps + 1) / settings.warmup)
    for group in state.optimizer.param_groups:
        group["lr"] = settings.lr * factor


def _plateau(history: list[dict[str, Any]], settings: Settings) -> float:
    """The factor after the past epochs: lower each time that `plateau_patience` of them brought nothing better."""
    factor, best, waiting = 1.0, -math.inf, 0
    for figures in history:
        value = _figure(figures, settings)
        best, waiting = (value, 0) if value > best else (best, waiting + 1)
        if waiting > settings.plateau_patience:
            factor, waiting = factor * settings.plateau_factor, 0
    return factor


def _restarts(epoch: float, settings: Settings) -> float:
    length, start = float(settings.restart_epochs), 0.0
    while epoch >= start + length:
        start, length = start + length, length * settings.restart_factor
    return 0.5 + 0.5 * math.cos(math.pi * (epoch - start) / length)


def _one_cycle(share: float) -> float:
    """Up over the first third from a 25th, then down to nothing."""
    if share < 0.3:
        return 0.04 + 0.96 * (0.5 - 0.5 * math.cos(math.pi * share / 0.3))
    return 0.5 + 0.5 * math.cos(math.pi * (share - 0.3) / 0.7)


def _rate(state: State) -> float:
    return float(state.optimizer.param_groups[0]["lr"])


# After an epoch.


@torch.inference_mode()
def logits(model: nn.Module, data: Data, clips: np.ndarray, size: int = 64) -> Tensor:
    """The network's answer for some clips, `[clips, classes]`, on the CPU."""
    made = torch.zeros(len(clips), data.targets.shape[1])
    place = {clip: index for index, clip in enumerate(clips.tolist())}
    for batch in batches.in_order(clips, data.store.lengths[clips], size):
        rows, lengths = data.store.take(batch)
        answer = model(data.scaling.apply(rows, lengths, _groups(data, batch)), lengths)
        made[[place[clip] for clip in batch.tolist()]] = answer.float().cpu()
    return made


def _examined(state: State, data: Data, settings: Settings) -> dict[str, Any]:
    """The dev figures of the weights that would be kept."""
    if not len(data.dev):
        return {}
    held = {name: value.clone() for name, value in state.model.state_dict().items()}
    state.model.load_state_dict(state.weights())
    answer = logits(state.model, data, data.dev)
    state.model.load_state_dict(held)
    truth = data.truth[data.dev]
    counted = metrics.tally(metrics.confusion(truth, answer.argmax(dim=1).numpy(), data.targets.shape[1]))
    loss = nn.functional.cross_entropy(answer, torch.from_numpy(truth))
    return {"dev_loss": float(loss), "dev_uar": float(metrics.uar(counted)), "dev_wa": float(metrics.accuracy(counted))}


def _figure(figures: dict[str, Any], settings: Settings) -> float:
    """What an epoch is judged by; greater is better."""
    if "dev_loss" not in figures:
        return -figures["loss"]
    return -figures["dev_loss"] if settings.metric == "loss" else figures[f"dev_{settings.metric}"]


def _is_best(history: list[dict[str, Any]], figures: dict[str, Any], settings: Settings) -> bool:
    if settings.keep == "last" or "dev_loss" not in figures:
        return True
    return all(_figure(figures, settings) > _figure(past, settings) for past in history)


def _stale(history: list[dict[str, Any]], settings: Settings) -> bool:
    """Whether the last `patience` epochs brought nothing better."""
    if not settings.patience or len(history) <= settings.patience:
        return False
    values = [_figure(figures, settings) for figures in history]
    return max(values[-settings.patience :]) <= max(values[: -settings.patience])


# The state on disk.


def _save(state: State, path: Path) -> None:
    optimizer = state.optimizer.state_dict()
    slots = {
        f"slot.{index}.{name}": value for index, held in optimizer["state"].items() for name, value in held.items()
    }
    tensors = {f"model.{name}": value for name, value in state.model.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in state.best.items()}
    tensors |= {f"average.{name}": value for name, value in (state.average or {}).items()}
    tensors |= {name: value for name, value in slots.items() if isinstance(value, Tensor)}
    arrays = {name: value.detach().cpu().numpy() for name, value in sorted(tensors.items())}
    described = {name: (array.dtype.name, array.shape, [array]) for name, array in arrays.items()}
    with whole(path) as stream:
        tensorfile.write(stream, {"history": state.history, "steps": state.steps}, described)


def _restore(state: State, path: Path) -> None:
    metadata, tensors = tensorfile.read(path)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "average": {}, "slot": {}}
    for name, array in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = torch.from_numpy(array.copy())
    state.model.load_state_dict(parts["model"])
    state.best = {name: value.to(_device(state.model)) for name, value in parts["best"].items()}
    if state.average is not None:
        state.average = {name: value.to(_device(state.model)) for name, value in parts["average"].items()}
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in parts["slot"].items():
        index, _, key = name.partition(".")
        slots.setdefault(int(index), {})[key] = value
    state.optimizer.load_state_dict({**state.optimizer.state_dict(), "state": slots})
    state.history, state.steps = metadata["history"], metadata["steps"]


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def describe(settings: Settings) -> dict[str, Any]:
    """The settings as a run folder records them."""
    return json.loads(json.dumps(asdict(settings)))


class Team:
    """The processes that train together, started by torchrun; alone, a team of one."""

    def __init__(self) -> None:
        there = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.rank, self.size = (torch.distributed.get_rank(), torch.distributed.get_world_size()) if there else (0, 1)

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share(self, clips: np.ndarray) -> np.ndarray:
        """This process' part of a batch."""
        return clips[self.rank :: self.size] if len(clips) >= self.size else clips[:1]

    def total(self, value: Tensor) -> float:
        """The sum of a number over the team."""
        if self.size > 1:
            torch.distributed.all_reduce(value)
        return float(value)

    def sum_gradients(self, model: nn.Module) -> None:
        """Every process gets the gradient of the whole batch."""
        if self.size == 1:
            return
        held = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in held])
        torch.distributed.all_reduce(flat)
        for gradient, part in zip(held, flat.split([gradient.numel() for gradient in held]), strict=True):
            gradient.copy_(part.view_as(gradient))
