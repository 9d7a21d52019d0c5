"""Batch normalisation that ignores padding, and can share its statistics among processes that split each batch."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPS, MOMENTUM = 1e-5, 0.1
SumOverTeam = Callable[[Tensor], Tensor]


def zero_padding(x: Tensor, where: Tensor | None) -> Tensor:
    return x if where is None else x * where.to(x.dtype)


def zero_padding_no_grad(x: Tensor, where: Tensor, *, inplace: bool = False) -> Tensor:
    """Like `zero_padding`, without a gradient of its own: faster in bf16."""
    out = x if inplace else torch.empty_like(x)
    if x.dtype == torch.bfloat16:
        torch.bitwise_and(_bits(x), _ones(where), out=_bits(out))
    else:
        torch.mul(x, where.to(x.dtype), out=out)
    return out


def _bits(x: Tensor) -> Tensor:
    """Return the bits of bf16 as integers: CPUs multiply bf16 via float32, six times as slowly as they clear bits."""
    return x.view(torch.int16)


def _ones(where: Tensor) -> Tensor:
    """Return all bits set where the mask is 1, and none where it is 0."""
    return -where.to(torch.int16)


class BatchNorm(nn.Module):
    """Batch normalisation with statistics of the clips' own frames only; padding is zero before and after."""

    running_mean: Tensor
    running_var: Tensor
    over_team: SumOverTeam | None = None  # over all processes that share the batch

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor, where: Tensor | None = None) -> Tensor:
        """Normalise `[clips, channels, time, ..]`; `where` `[clips, 1, time, ..]` is a `layers.mask`."""
        if self.training and (self.over_team is not None or (where is not None and torch.compiler.is_compiling())):
            return _exact_norm(self, x, where)
        running = self.running_mean, self.running_var
        learning = self.training and x.numel() > x.shape[1]  # a single value has no variance
        if where is None or not learning:
            x = F.batch_norm(x, *running, self.weight, self.bias, learning, MOMENTUM, EPS)
            return zero_padding(x, where)
        count = where.sum(dtype=torch.float32) * math.prod(x.shape[3:])
        x, mean, var = _MaskedNorm.apply(x, self.weight, self.bias, where.to(x.dtype), count)
        with torch.no_grad():
            self.running_mean.lerp_(mean, MOMENTUM)
            self.running_var.lerp_(var * (count / (count - 1).clamp(min=1)), MOMENTUM)
        return x


class BatchNorm2d(nn.BatchNorm2d):
    """Torch's BatchNorm2d, but a single value, which has no variance, is normalised by the running statistics."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    over_team: SumOverTeam | None = None  # over all processes that share the batch

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.over_team is not None:
            self.num_batches_tracked += 1  # as torch does
            return _exact_norm(self, x, None)
        if x.numel() > x.shape[1]:
            return super().forward(x)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, MOMENTUM, EPS)


def synchronise_batch_norm(model: nn.Module, over_team: SumOverTeam) -> None:
    """Make the model's batch normalisation use the statistics of whole batches that processes split among them."""
    over_team = torch.compiler.disable(over_team)  # here, since torch.compiler takes a second to import
    for module in model.modules():
        if isinstance(module, BatchNorm | BatchNorm2d):
            module.over_team = over_team


def _exact_norm(norm: BatchNorm | BatchNorm2d, x: Tensor, where: Tensor | None) -> Tensor:
    """Normalise by the statistics of the whole batch, of which other processes may have parts, in plain operations.

    The sums are of differences from the running mean, which all processes share: squares of numbers far from zero would
    lose precision.
    """
    dims, shape = [dim for dim in range(x.dim()) if dim != 1], (-1, *[1] * (x.dim() - 2))
    centre = norm.running_mean.clone()
    wide = zero_padding(x.float() - centre.view(shape), where)
    positions = math.prod(x.shape) // x.shape[1]
    count = wide.new_tensor(positions) if where is None else where.sum(dtype=torch.float32) * math.prod(x.shape[3:])
    total = torch.cat([wide.sum(dims), wide.square().sum(dims), count[None]])
    total = total if norm.over_team is None else norm.over_team(total)
    count = total[-1].detach()
    if positions == 1 and count == 1:
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, MOMENTUM, EPS)
    mean, square = (total[:-1] / count).chunk(2)
    var = (square - mean.square()).clamp(min=0)
    with torch.no_grad():
        norm.running_mean.lerp_(centre + mean, MOMENTUM)
        norm.running_var.lerp_(var * (count / (count - 1).clamp(min=1)), MOMENTUM)
    scale = norm.weight * torch.rsqrt(var + EPS)
    return zero_padding((wide - mean.view(shape)) * scale.view(shape) + norm.bias.view(shape), where).to(x.dtype)


class _MaskedNorm(torch.autograd.Function):
    """`F.batch_norm` over the unmasked frames, computed by its own fast kernels for all frames.

    With m and v a channel's mean and variance over all P positions (masked ones being zero), the mean over the n
    unmasked ones is m P/n and the mean square (v + m^2) P/n. Then y = w (x - mean) / s + b with s = sqrt(var + eps).
    With the sums over positions db = sum dy and dw = sum dy (x - mean) / s, the gradient at unmasked positions is

        dx = w/s (dy - db/n - dw/n (x - mean)/s).

    The first term and both sums come from the backward kernel for fixed statistics. The other two terms are another
    normalisation of x, with weight -dw w/(n s) and bias -db w/(n s).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, where: Tensor, count: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        x = zero_padding_no_grad(x, where)
        positions = x.numel() // x.shape[1]
        mean, var = _statistics(x)
        square = (var + mean.square()) * (positions / count)
        mean = mean * (positions / count)
        var = (square - mean.square()).clamp(min=0)
        ctx.save_for_backward(x, weight, mean, var, where, count)
        ctx.mark_non_differentiable(mean, var)
        y = F.batch_norm(x, mean, var, weight, bias, False, 0.0, EPS)
        return zero_padding_no_grad(y, where, inplace=True), mean, var

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, var, where, count = ctx.saved_tensors
        dx, dw, db = torch.ops.aten.native_batch_norm_backward(
            zero_padding_no_grad(dy, where), x, weight, mean, var, None, None, False, EPS, [True, True, True]
        )
        share = -weight * torch.rsqrt(var + EPS) / count
        rest = F.batch_norm(x, mean, var, share * dw, share * db, False, 0.0, EPS)
        return zero_padding_no_grad(dx.add_(rest), where, inplace=True), dw, db, None, None


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return each channel's mean and variance, float32.

    On a CPU `var_mean` takes 30 times as long with channels last.
    """
    if not x.is_cpu:
        var, mean = torch.var_mean(x.float(), [dim for dim in range(x.dim()) if dim != 1], correction=0)
        return mean, var
    mean, var = torch.zeros(2, x.shape[1]).unbind()
    torch.batch_norm_update_stats(x, mean, var, 1.0)  # the updated statistics are float32, unlike those returned
    positions = x.numel() // x.shape[1]
    return mean, var * ((positions - 1) / positions)
