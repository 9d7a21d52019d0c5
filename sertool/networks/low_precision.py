"""Linear layers computed in reduced precision: bf16 or 8-bit integers."""

import torch
from torch import Tensor, nn
from torch.nn import functional

LARGEST = 127.0
SMALLEST = 1e-30  # the least scale, for rows of zeros


class Bf16(nn.Module):
    """A linear layer computed in bf16 for any input type."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", linear.weight.detach().bfloat16())
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().bfloat16())

    def forward(self, rows: Tensor) -> Tensor:
        """Return `[.., outputs]` of `[.., inputs]`."""
        return functional.linear(rows.bfloat16(), self.weight, self.bias).to(rows.dtype)


class Int8(nn.Module):
    """A linear layer with 8-bit weights that also rounds its input to 8 bits.

    Each output and each row has its own scale, and sums of integers are exact: a row's result does not depend on other
    rows. Weights that were stored in 8 bits are unchanged.
    """

    numbers: Tensor  # `[inputs, outputs]`
    scale: Tensor
    bias: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        numbers, scale = _in_8_bits(linear.weight.detach())
        self.register_buffer("numbers", numbers.T.contiguous())
        self.register_buffer("scale", scale[:, 0])
        bias = torch.zeros_like(scale[:, 0]) if linear.bias is None else linear.bias.detach()
        self.register_buffer("bias", bias)

    def forward(self, rows: Tensor) -> Tensor:
        """Return `[.., outputs]` of `[.., inputs]`."""
        numbers, scale = _in_8_bits(rows.flatten(0, -2))
        sums = torch._int_mm(numbers, self.numbers)
        return torch.addcmul(self.bias, sums.to(rows.dtype).mul_(scale), self.scale).unflatten(0, rows.shape[:-1])


def _in_8_bits(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise `[rows, width]` to int8, each row's largest value being 127, and return the scales `[rows, 1]`."""
    scale = rows.abs().amax(dim=1, keepdim=True).div_(LARGEST).clamp_(min=SMALLEST)
    return (rows / scale).round_().to(torch.int8), scale


KINDS = {"bf16": Bf16, "int8": Int8}


def reduce(module: nn.Module, precision: str) -> None:
    """Replace a module's linear layers by ones of a precision, except in attention, which reads their weights."""
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            setattr(module, name, KINDS[precision](child))
        elif not isinstance(child, nn.MultiheadAttention):
            reduce(child, precision)
