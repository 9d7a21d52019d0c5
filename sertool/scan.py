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

# The scan, for each channel and each of its states on its own:
#
#     h_t = exp(dt_t a) h_(t-1) + dt_t x_t b_t        y_t = (sum over states of c_t h_t) + d x_t
#
# Written out, a loop over frames computes an exponential, five products and two sums for each step, all of them small.
# All at once, [clips, frames, channels, states] lies in memory several times over. This goes between them:
#
# 1. Clips and frames are cut into blocks that fit a cache. Of a block the decays exp(dt a), the gains dt x b and the
#    sums over states are each one operation for all frames in parallel; only h_t = decay_t h_(t-1) + gain_t runs from
#    frame to frame, a fused multiply-add in place. Blocks follow each other by their last state.
# 2. States lie before channels, [.., states, channels], so that every product is of whole rows of channels with a row
#    or with one number, and the sum over states is a product of matrices.
# 3. Where launching a step costs more than its arithmetic (GPUs), a block's frames run in groups side by side: within
#    all groups at once from a state of nought,
#
#        l_t = decay_t l_(t-1) + gain_t        p_t = decay_t p_(t-1), p = 1 before the group,
#
#    and since h_t is linear in the state H that enters a group, h_t = l_t + p_t H; the groups' H follow one another.
#    64 frames in groups of 8 are 8 + 8 steps. No decay is ever divided by, so nothing can overflow.
# 4. Nothing of a block is kept but the state that enters it: the backward pass computes the block again. With the
#    adjoint g_t = dL/dh_t = c_t dL/dy_t + decay_(t+1) g_(t+1), which is the same recurrence from the end,
#
#        dL/dc_t = h_t dL/dy_t            dL/d(dt_t a) = g_t decay_t h_(t-1)
#        dL/db_t = g_t dt_t x_t           dL/d(dt_t x_t) = g_t b_t
#
#    each summed over what shares it.

FRAMES = 16  # of a block on a CPU
NUMBERS = 1 << 19  # in an array of a block on a CPU: 2 MB
GROUP, GROUPS = 8, 8  # frames of a group, and groups of a block, on other devices
DEVICE_NUMBERS = 1 << 22  # in an array of a block there: 17 MB


@torch.compiler.disable  # unrolled, its steps would take a compiler minutes, and it has fused what can be
def scan(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """`[clips, frames, channels]`, as `x` and `dt` are; `a` `[channels, states]` is negative, `b` and `c` are
    `[clips, frames, states]`, and `d` `[channels]` is what counts of `x` itself."""
    kernel = fused_kernel(x.device.type)
    with torch.autocast(x.device.type, enabled=False):
        x, dt, a, b, c, d = (tensor.float() for tensor in (x, dt, a, b, c, d))
        if kernel is None:
            return _Scan.apply(x, dt, a.T.contiguous(), b, c, d)
        x, dt, b, c = (tensor.mT.contiguous() for tensor in (x, dt, b, c))
        return kernel(x, dt, a, b, c, d).mT


@cache
def fused_kernel(device: str) -> Callable[..., Tensor] | None:
    """mamba-ssm's own scan for CUDA, where it is installed."""
    if device != "cuda" or importlib.util.find_spec("mamba_ssm") is None:
        return None
    return importlib.import_module("mamba_ssm.ops.selective_scan_interface").selective_scan_fn


class _Scan(torch.autograd.Function):
    """As `scan`, but that `a` is `[states, channels]`."""

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
    """Block by block from the end, each computed again from the state that entered it."""
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
    """Runs of clips, each with its runs of frames."""
    clips, frames, channels = x.shape
    length, numbers = (GROUP * GROUPS, DEVICE_NUMBERS) if side_by_side(x) else (FRAMES, NUMBERS)
    width = max(1, numbers // (length * states * channels))
    ends = sorted({*range(0, frames, length), frames - frames % GROUP, frames})  # as many as can be are whole groups
    runs = [slice(*pair) for pair in pairwise(ends)]
    return [(slice(first, first + width), runs) for first in range(0, clips, width)]


def side_by_side(x: Tensor) -> bool:
    """Whether frames run in groups."""
    return not x.is_cpu


def _advance(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """States after each frame of a block, and its decays, `[clips, frames, states, channels]`."""
    decays = (dt[:, :, None] * (a / math.log(2))).exp2_()  # on a CPU exp takes 4 times as long
    states = (dt * x)[:, :, None] * b[..., None]
    _run(states, decays[:, 1:], decays[:, 0] * state)
    return states, decays


def _exponent_gradient(adjoint: Tensor, decays: Tensor, states: Tensor, before: Tensor) -> Tensor:
    """dL/d(dt a): adjoint times decay times the state that decays, in the adjoint's place."""
    adjoint.mul_(decays)
    adjoint[:, 1:].mul_(states[:, :-1])
    adjoint[:, 0].mul_(before)
    return adjoint


def _by_rows(rows: Tensor, matrices: Tensor) -> Tensor:
    """Each row times its matrix; matrix times column would be the same numbers at a tenth of the speed."""
    return (rows[:, :, None] @ matrices)[:, :, 0]


def _run(states: Tensor, links: Tensor, entering: Tensor, backwards: bool = False) -> None:
    """Gains become states, in place: to each frame's is added its neighbour's, times the link between the two."""
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
    """A selective state space block, as Gu and Dao (2023) have it: `[clips, frames, width]` to the same.

    It never looks ahead, so what lies behind a clip changes nothing in it.
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
            self.step.bias.copy_(steps + (-(-steps).expm1()).log())  # softplus gives the steps back

    def forward(self, rows: Tensor) -> Tensor:
        x, gate = self.enter(rows).chunk(2, dim=2)
        x = F.silu(self.convolution(x.mT)[:, :, : rows.shape[1]]).mT
        step, b, c = self.select(x).split(self.sizes, dim=2)
        y = scan(x, F.softplus(self.step(step)), -self.log_decay.float().exp(), b, c, self.through)
        return self.leave(y * F.silu(gate))
