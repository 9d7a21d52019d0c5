"""Linear layers whose products are computed in fewer bits than float32: in bf16, or in whole numbers of 8 bits."""

import torch
from torch import Tensor, nn
from torch.nn import functional

LARGEST = 127.0
SMALLEST = 1e-30  # scale, of what is zero


class Bf16(nn.Module):
    """A linear layer whose product is in bf16, for numbers of any type."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", linear.weight.detach().bfloat16())
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().bfloat16())

    def forward(self, rows: Tensor) -> Tensor:
        """`[.., outputs]` of `[.., inputs]`."""
        return functional.linear(rows.bfloat16(), self.weight, self.bias).to(rows.dtype)


class Int8(nn.Module):
    """A linear layer of 8-bit weights, to which the numbers that it takes are rounded, too.

    Each output and each row has a scale of its own, and sums of whole numbers are exact: what becomes of a row does not
    depend on the rows beside it. Weights that were stored in 8 bits are the same here.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        numbers, scale = _in_8_bits(linear.weight.detach())
        self.register_buffer("numbers", numbers.T.contiguous())  # `[inputs, outputs]`
        self.register_buffer("scale", scale[:, 0])
        bias = torch.zeros_like(scale[:, 0]) if linear.bias is None else linear.bias.detach()
        self.register_buffer("bias", bias)

    def forward(self, rows: Tensor) -> Tensor:
        """`[.., outputs]` of `[.., inputs]`."""
        numbers, scale = _in_8_bits(rows.flatten(0, -2))
        sums = torch._int_mm(numbers, self.numbers)
        return torch.addcmul(self.bias, sums.to(rows.dtype).mul_(scale), self.scale).unflatten(0, rows.shape[:-1])


def _in_8_bits(rows: Tensor) -> tuple[Tensor, Tensor]:
    """`[rows, width]` as int8, with 127 for each row's largest, and what 1 stands for in each, `[rows, 1]`."""
    scale = rows.abs().amax(dim=1, keepdim=True).div_(LARGEST).clamp_(min=SMALLEST)
    return (rows / scale).round_().to(torch.int8), scale


KINDS = {"bf16": Bf16, "int8": Int8}


def reduce(module: nn.Module, precision: str) -> None:
    """Compute the linear layers within in that precision; attention that reads their weights itself stays."""
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            setattr(module, name, KINDS[precision](child))
        elif not isinstance(child, nn.MultiheadAttention):
            reduce(child, precision)
