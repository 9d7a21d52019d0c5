"""Prepare a trained network for inference by computing once what it would compute at every call.

A convolution and the batch normalisation that directly follows it become one convolution with other weights, and
weights that autocast would round to bf16 at each call are rounded now. A norm follows a convolution if it comes next in
an `nn.Sequential`, or if it is named after it: `first` and `first_norm`.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from sertool.networks import norms

NORMS = (nn.BatchNorm2d, norms.BatchNorm)


class Masked(nn.Module):
    """Replaces a norm that was folded into its convolution: it keeps padding zero."""

    def forward(self, x: Tensor, where: Tensor | None = None) -> Tensor:
        return x if where is None else norms.zero_padding_no_grad(x, where, inplace=True)


def folded(network: nn.Module, precision: str) -> nn.Module:
    """Fold the network's norms and round its weights, in place; return it. It can no longer be trained."""
    for parent in [*network.modules()]:
        for convolution, name in _followed(parent):
            _fold(getattr(parent, convolution), getattr(parent, name))
            setattr(parent, name, Masked())
    if precision == "bf16":
        for module in network.modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear | nn.RNNBase):
                module.bfloat16()
    return network


def _followed(parent: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield the names of a module's convolutions and the norms that follow them."""
    named = dict(parent.named_children())
    pairs = pairwise(named) if isinstance(parent, nn.Sequential) else ((name, f"{name}_norm") for name in named)
    for name, norm in pairs:
        if isinstance(named[name], nn.Conv2d) and isinstance(named.get(norm), NORMS):
            yield name, norm


@torch.no_grad()
def _fold(convolution: nn.Conv2d, norm: nn.Module) -> None:
    """Fold a norm with fixed mean and variance into the convolution before it."""
    eps = norm.eps if isinstance(norm, nn.BatchNorm2d) else norms.EPS
    scale = norm.get_parameter("weight") * torch.rsqrt(norm.get_buffer("running_var") + eps)
    shift = 0 if convolution.bias is None else convolution.bias
    convolution.weight.mul_(scale[:, None, None, None])
    convolution.bias = nn.Parameter((shift - norm.get_buffer("running_mean")) * scale + norm.get_parameter("bias"))
