"""The selective scan of Mamba in plain PyTorch, and the Mamba block around it."""

import importlib
import importlib.util
import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# The scan, for each channel and each of its states separately:
#
#     h_t = exp(dt_t a) h_(t-1) + dt_t x_t b_t        y_t = (sum over states of c_t h_t) + d x_t
#
# A loop over frames computes an exponential, five products and two sums for each step, all of them small. Computing all
# frames at once needs [clips, frames, channels, states] in memory several times over. This is a compromise:
#
# 1. Clips and frames are cut into blocks that fit a cache. In a block the decays exp(dt a), the gains dt x b and the
#    sums over states are each one operation for all frames in parallel; only h_t = decay_t h_(t-1) + gain_t runs from
#    frame to frame, a fused multiply-add in place. A block starts from the last state of the block before.
# 2. States come before channels, [.., states, channels], so that every product is of whole rows of channels with a row
#    or with one number, and the sum over states is a product of matrices.
# 3. Where launching a step costs more than its arithmetic (GPUs), a block's frames run in parallel groups: within all
#    groups at once, from a state of 0,
#
#        l_t = decay_t l_(t-1) + gain_t        p_t = decay_t p_(t-1), p = 1 before the group,
#
#    and since h_t is linear in the state H that enters a group, h_t = l_t + p_t H; the groups' H are computed in turn.
#    64 frames in groups of 8 are 8 + 8 steps. Nothing is divided by a decay, so nothing can overflow.
# 4. Only the state that enters a block is kept: the backward pass computes the block again. With the
#    adjoint g_t = dL/dh_t = c_t dL/dy_t + decay_(t+1) g_(t+1), which is the same recurrence from the end,
#
#        dL/dc_t = h_t dL/dy_t            dL/d(dt_t a) = g_t decay_t h_(t-1)
#        dL/db_t = g_t dt_t x_t           dL/d(dt_t x_t) = g_t b_t
#
#    each summed over the axes that its tensor lacks.

FRAMES = 16  # frames in a block on a CPU
NUMBERS = 1 << 19  # values in an array of a block on a CPU: 2 MB
GROUP, GROUPS = 8, 8  # frames of a group, and groups of a block, on other devices
DEVICE_NUMBERS = 1 << 22  # values in an array of a block there: 17 MB


@torch.compiler.disable  # a compiler would take minutes to unroll it, and all that can be fused is
def scan(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Compute Mamba's selective scan, `[clips, frames, channels]`.

    `x` and `dt` have that shape, `a` `[channels, states]` is negative, `b` and `c` are `[clips, frames, states]`, and
    `d` `[channels]` weighs `x` itself.
    """
    kernel = fused_kernel(x.device.type)
    with torch.autocast(x.device.type, enabled=False):
        x, dt, a, b, c, d = (tensor.float() for tensor in (x, dt, a, b, c, d))
        if kernel is None:
            return _Scan.apply(x, dt, a.T.contiguous(), b, c, d)
        x, dt, b, c = (tensor.mT.contiguous() for tensor in (x, dt, b, c))
        return kernel(x, dt, a, b, c, d).mT


@cache
def fused_kernel(device: str) -> Callable[..., Tensor] | None:
    """Return mamba-ssm's scan for CUDA if it is installed, else None."""
    if device != "cuda" or importlib.util.find_spec("mamba_ssm") is None:
        return None
    return importlib.import_module("mamba_ssm.ops.selective_scan_interface").selective_scan_fn


class _Scan(torch.autograd.Function):
    """`scan` with `a` transposed, `[states, channels]`."""

    @staticmethod
    def forward(  # noqa: PLR0917
        ctx: Any, x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor
    ) -> Tensor:
        y, entered = x * d, []
        for clips, blocks in _blocks(x, len(a)):
            state = x.new_zeros(len(x[clips]), *a.shape)
            for frames in blocks:
                at = clips, frames
                entered.append(state)
                states, _ = _advance(x[at], dt[at], a, b[at], state)
                y[at] += _by_rows(c[at], states)
                state = states[:, -1].clone()
        ctx.save_for_backward(x, dt, a, b, c, d, *entered)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(dy.device.type, enabled=False):
            return _gradients(dy, *ctx.saved_tensors)


def _gradients(dy: Tensor, *saved: Tensor) -> tuple[Tensor, ...]:
    """Compute the gradients block by block from the end, recomputing each block from its initial state."""
    x, dt, a, b, c, d, *entered = saved
    dx, ddt, da, db, dc, dd = (torch.zeros_like(tensor) for tensor in (x, dt, a, b, c, d))
    for clips, blocks in reversed(_blocks(x, len(a))):
        entering = x.new_zeros(len(x[clips]), *a.shape)
        for frames in reversed(blocks):
            at, before = (clips, frames), entered.pop()
            states, decays = _advance(x[at], dt[at], a, b[at], before)
            dc[at] = _by_rows(dy[at], states.mT)
            adjoint = c[at][..., None] * dy[at][:, :, None]
            _run(adjoint, decays[:, 1:], entering, backwards=True)
            entering = decays[:, 0] * adjoint[:, 0]
            db[at] = _by_rows(dt[at] * x[at], adjoint.mT)
            gain = _by_rows(b[at], adjoint)
            exponent = _exponent_gradient(adjoint, decays, states, before)
            dx[at] = torch.addcmul(gain * dt[at], dy[at], d)
            dd += (dy[at] * x[at]).sum((0, 1))
            ddt[at] = (exponent * a).sum(2).addcmul_(gain, x[at])
            da += exponent.mul_(dt[at][:, :, None]).sum((0, 1))
    return dx, ddt, da, db, dc, dd


def _blocks(x: Tensor, states: int) -> list[tuple[slice, list[slice]]]:
    """Return slices of clips, each with its slices of frames."""
    clips, frames, channels = x.shape
    length, numbers = (GROUP * GROUPS, DEVICE_NUMBERS) if side_by_side(x) else (FRAMES, NUMBERS)
    width = max(1, numbers // (length * states * channels))
    ends = sorted({*range(0, frames, length), frames - frames % GROUP, frames})  # whole groups as far as possible
    runs = [slice(*pair) for pair in pairwise(ends)]
    return [(slice(first, first + width), runs) for first in range(0, clips, width)]


def side_by_side(x: Tensor) -> bool:
    """Whether the frames of a block run in parallel groups."""
    return not x.is_cpu


def _advance(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Return the states after each frame of a block, and its decays, `[clips, frames, states, channels]`."""
    decays = (dt[:, :, None] * (a / math.log(2))).exp2_()  # on a CPU exp takes 4 times as long
    states = (dt * x)[:, :, None] * b[..., None]
    _run(states, decays[:, 1:], decays[:, 0] * state)
    return states, decays


def _exponent_gradient(adjoint: Tensor, decays: Tensor, states: Tensor, before: Tensor) -> Tensor:
    """Return dL/d(dt a) = adjoint * decay * previous state, computed in place of the adjoint."""
    adjoint.mul_(decays)
    adjoint[:, 1:].mul_(states[:, :-1])
    adjoint[:, 0].mul_(before)
    return adjoint


def _by_rows(rows: Tensor, matrices: Tensor) -> Tensor:
    """Multiply each row by its matrix; matrix times column would give the same at a tenth of the speed."""
    return (rows[:, :, None] @ matrices)[:, :, 0]


def _run(states: Tensor, links: Tensor, entering: Tensor, backwards: bool = False) -> None:
    """Run the recurrence in place: add to each frame its neighbour, times the link between them."""
    order = -1 if backwards else 1
    if side_by_side(states) and states.shape[1] % GROUP == 0:
        _run_groups(states, links, entering, order)
        return
    now, between = states.unbind(1)[::order], links.unbind(1)[::order]
    now[0].add_(entering)
    for before, after, link in zip(now, now[1:], between, strict=False):
        after.addcmul_(link, before)


def _run_groups(states: Tensor, links: Tensor, entering: Tensor, order: int) -> None:
    ones = torch.ones_like(states[:, :1])
    states = states.unflatten(1, (-1, GROUP))
    products_within = torch.cat([ones, links][::order], 1).unflatten(1, (-1, GROUP))
    now, product = states.unbind(2)[::order], products_within.unbind(2)[::order]
    for place in range(1, GROUP):
        now[place].addcmul_(product[place], now[place - 1])
        product[place].mul_(product[place - 1])
    for group, share in zip(states.unbind(1)[::order], products_within.unbind(1)[::order], strict=True):
        group.addcmul_(share, entering[:, None])
        entering = group[:, -1 if order > 0 else 0]


class Mamba(nn.Module):
    """A selective state space block after Gu and Dao (2023), `[clips, frames, width]` to the same.

    It is causal, so padding behind a clip changes nothing.
    """

    def __init__(self, width: int, state: int = 16, kernel: int = 4, expand: int = 2) -> None:
        super().__init__()
        inner, rank = expand * width, math.ceil(width / 16)
        self.sizes = rank, state, state
        self.enter = nn.Linear(width, 2 * inner, bias=False)
        self.convolution = nn.Conv1d(inner, inner, kernel, padding=kernel - 1, groups=inner)
        self.select = nn.Linear(inner, sum(self.sizes), bias=False)
        self.step = nn.Linear(rank, inner)
        self.log_decay = nn.Parameter(torch.arange(1.0, state + 1).log().repeat(inner, 1))
        self.through = nn.Parameter(torch.ones(inner))
        self.leave = nn.Linear(inner, width, bias=False)
        nn.init.uniform_(self.step.weight, -(rank**-0.5), rank**-0.5)
        steps = torch.empty(inner).uniform_(math.log(1e-3), math.log(1e-1)).exp()
        with torch.no_grad():
            self.step.bias.copy_(steps + (-(-steps).expm1()).log())  # the inverse of softplus

    def forward(self, rows: Tensor) -> Tensor:
        x, gate = self.enter(rows).chunk(2, dim=2)
        x = F.silu(self.convolution(x.mT)[:, :, : rows.shape[1]]).mT
        step, b, c = self.select(x).split(self.sizes, dim=2)
        y = scan(x, F.softplus(self.step(step)), -self.log_decay.float().exp(), b, c, self.through)
        return self.leave(y * F.silu(gate))
