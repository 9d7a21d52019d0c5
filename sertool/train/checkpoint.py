"""The state of training, saved to disk after each epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sertool.errors import SertoolError
from sertool.networks import tensorfile
from sertool.system.files import atomic_write

Weights = dict[str, Tensor]


@dataclass
class State:
    """A model in training."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: Weights | None  # moving average of the weights
    best: Weights
    history: list[dict[str, Any]] = field(default_factory=list)  # metrics of each epoch
    steps: int = 0

    def weights(self) -> Weights:
        """Return the weights to evaluate and keep: the moving average if there is one."""
        return self.model.state_dict() if self.average is None else self.average


def copied(weights: Mapping[str, Tensor]) -> Weights:
    return {name: value.detach().clone() for name, value in weights.items()}


def save(state: State, path: Path) -> None:
    """Write the state, complete or not at all."""
    slots = state.optimizer.state_dict()["state"]
    parts = {"model": state.model.state_dict(), "best": state.best, "average": state.average or {}}
    tensors = {f"{part}.{name}": value for part, weights in parts.items() for name, value in weights.items()}
    tensors |= {f"slot.{index}.{name}": value for index, values in slots.items() for name, value in values.items()}
    arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items() if isinstance(value, Tensor)}
    described = {name: (array.dtype.name, array.shape, [array]) for name, array in arrays.items()}
    with atomic_write(path) as stream:
        tensorfile.write(stream, {"history": state.history, "steps": state.steps}, described)


def restore(state: State, path: Path) -> None:
    """Restore the state if a file exists."""
    if not path.exists():
        return
    metadata, tensors = tensorfile.read(path)
    try:
        _adopt(state, metadata, tensors)
    except (RuntimeError, KeyError, TypeError, ValueError, IndexError):
        raise SertoolError(f"{path} does not fit this run: remove it to begin again") from None


def _adopt(state: State, metadata: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    parts: dict[str, Weights] = {"model": {}, "best": {}, "average": {}, "slot": {}}
    for name, array in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = torch.from_numpy(array.copy())
    state.model.load_state_dict(parts["model"])
    _refill(state.best, parts["best"])
    _refill(state.average or {}, parts["average"])
    _restore_slots(state.optimizer, parts["slot"])
    state.history, state.steps = metadata["history"], metadata["steps"]


def _refill(tensors: Weights, values: Weights) -> None:
    for name, value in tensors.items():
        value.copy_(values[name])


def _restore_slots(optimizer: torch.optim.Optimizer, values: Weights) -> None:
    """Restore the optimiser's state in each parameter's memory layout, which its kernels rely on."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    slots: dict[int, Weights] = {}
    for name, value in values.items():
        index, _, key = name.partition(".")
        like = parameters[int(index)]
        slots.setdefault(int(index), {})[key] = (
            torch.empty_like(like).copy_(value) if value.shape == like.shape else value
        )
    optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
