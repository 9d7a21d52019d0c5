"""Distributed training: the processes started by torchrun, or a single one."""

import atexit
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

PATIENCE = timedelta(days=7)  # timeout: the leader may have to make features of a large corpus first


class Team:
    """The rank of this process and the number of processes."""

    def __init__(self) -> None:
        there = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.rank, self.size = (torch.distributed.get_rank(), torch.distributed.get_world_size()) if there else (0, 1)
        self.weight = 1.0  # the weight of this process' part of the latest batch

    @property
    def leads(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def share(self, clips: np.ndarray) -> np.ndarray:
        """Return this process' part of a batch; if there is none, a repeated clip with weight 0."""
        own_clips = clips[self.rank :: self.size]
        self.weight = 1.0 if len(own_clips) else 0.0
        return own_clips if len(own_clips) else clips[:1]

    def total(self, value: Tensor) -> float:
        """Sum a number over all processes."""
        if self.size > 1:
            torch.distributed.all_reduce(value)
        return float(value)

    def sum_gradients(self, model: nn.Module) -> None:
        """Sum the gradients over all processes: the gradient of the whole batch."""
        if self.size > 1:
            _reduce([parameter.grad for parameter in model.parameters() if parameter.grad is not None])

    def sum_parts(self, values: Tensor) -> Tensor:
        """Sum the values of all parts of a batch, with gradients."""
        return _Sum.apply(values * self.weight) if self.size > 1 else values


class _Sum(torch.autograd.Function):
    """The sum over all processes, on which the loss of each depends."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        total = slope.clone()
        torch.distributed.all_reduce(total)
        return total


def _reduce(tensors: list[Tensor]) -> None:
    """Replace each tensor by its sum over all processes, in one exchange."""
    if not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    torch.distributed.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view(tensor.shape))


@contextmanager
def leader_first() -> Iterator[None]:
    """Run the block on the leader first, as it writes files; the others then find them, or exit if it failed."""
    team = Team()
    if team.size == 1:
        yield
    elif team.leads:
        done = False
        try:
            yield
            done = True
        finally:
            _from_leader(done)
    else:
        if not _from_leader(None):
            raise SystemExit(1)  # the leader prints the error
        yield


def _from_leader(value: bool | None) -> bool | None:
    """Return the leader's value on all processes."""
    values = [value]
    torch.distributed.broadcast_object_list(values, src=0)
    return values[0]


def broadcast_from_leader(value: bool) -> bool:
    """Return the leader's finding on all processes, as another process may look later and find otherwise."""
    return value if Team().size == 1 else bool(_from_leader(value))


def barrier() -> None:
    """Wait until all processes get here."""
    if Team().size > 1:
        torch.distributed.barrier()


def join(device: str) -> str:
    """Join the processes started by torchrun, and return this process' device."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=PATIENCE)
        atexit.register(torch.distributed.destroy_process_group)  # else its threads may fail noisily at exit
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # by which torchrun ends one that waits for another
    if device != "cuda" or "LOCAL_RANK" not in os.environ:
        return device
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    return f"cuda:{os.environ['LOCAL_RANK']}"
