"""Layers that several models share; none lets a clip's padding, or the rest of its batch, change its result.

A batch is `[clips, time, columns]` with `lengths` `[clips]`, kept on the CPU where possible: whether a batch is padded
is then known without waiting for the device, and an unpadded batch costs nothing more.
"""

import math
from abc import ABC, abstractmethod
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sertool.errors import UsageError
from sertool.networks import norms
from sertool.networks.padding import real_frames

ACTIVATIONS = {"relu": nn.ReLU, "silu": nn.SiLU}


def cleared(rows: Tensor, lengths: Tensor) -> Tensor:
    """Set the padding of `[clips, time, columns]` to zero."""
    return rows.masked_fill(~real_frames(lengths, rows.shape[1], rows.device)[..., None], 0.0)


def framed(rows: Tensor, lengths: Tensor, frames: int) -> Tensor:
    """Cut or zero-pad a batch to a model's own length, `[clips, frames, columns]`."""
    rows = cleared(rows[:, :frames], lengths)
    return F.pad(rows, (0, 0, 0, frames - rows.shape[1]))


def halved(lengths: Tensor) -> Tensor:
    """Return the lengths after a stride of 2, rounded up."""
    return (lengths + 1) // 2


def reduced(size: int, times: int) -> int:
    """Return a size halved so many times, rounded up."""
    return -(-size // 2**times)


def mask(lengths: Tensor, x: Tensor) -> Tensor | None:
    """Return the mask `[clips, 1, time, ..]` for `x` `[clips, channels, time, ..]`: 1 where a clip has frames.

    None if no clip is padded.
    """
    if lengths.device.type == "cpu" and not torch.compiler.is_compiling() and bool((lengths >= x.shape[2]).all()):
        return None
    rows = real_frames(lengths, x.shape[2], x.device).to(x.dtype)
    return rows.view(len(x), 1, -1, *[1] * (x.dim() - 3))


def mean(x: Tensor, lengths: Tensor) -> Tensor:
    """Average each clip over its own frames, `[clips, channels]` of `[clips, channels, time, ..]` with zero padding."""
    count = lengths.clamp(max=x.shape[2]).to(x.device)[:, None] * math.prod(x.shape[3:])
    return (x.sum(tuple(range(2, x.dim()))) / count).to(x.dtype)


def last(rows: Tensor, lengths: Tensor) -> Tensor:
    """Return each clip's last frame, `[clips, columns]`."""
    return rows[torch.arange(len(rows), device=rows.device), lengths.to(rows.device) - 1]


def flipped(rows: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each clip's frames in time, leaving the padding in place."""
    time = torch.arange(rows.shape[1], device=rows.device)
    back = lengths.to(rows.device)[:, None] - 1 - time
    return rows.gather(1, torch.where(back < 0, time, back)[..., None].expand_as(rows))


def positions(time: int, width: int, device: torch.device) -> Tensor:
    """Return sinusoidal position encodings, `[time, width]`, with wavelengths from 2 pi to 20,000 pi frames."""
    rates = 10000.0 ** (-torch.arange(0, width, 2, device=device) / width)
    angles = torch.arange(time, device=device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)[:, :width]


def dense(*widths: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Return linear layers with ReLU, or another activation, between them.

    The dropout of 0 does nothing, but the names in saved states count it.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), activation(), nn.Dropout(0.0)]
    return nn.Sequential(*layers[:-2])


def parts(rows: Tensor, groups: int, stats: int = 1) -> Tensor:
    """Split columns into groups such as an encoder's layers, `[.., groups, columns / groups]` of `[.., columns]`.

    With several statistics, the columns are ordered by statistic first; here each group gets its own columns of all.
    """
    return rows.unflatten(-1, (stats, groups, -1)).transpose(-3, -2).flatten(-2)


def group_width(columns: int, groups: int, stats: int = 1) -> int:
    """Return how many columns each group has."""
    if columns % (groups * stats):
        counted = f"{stats} statistics of " if stats > 1 else ""
        hint = "--set groups=N" + (" and stats=N" if stats > 1 else "")
        raise UsageError(
            f"{columns} columns are not {counted}{groups} groups of one width: say what they are with {hint}"
        )
    return columns // groups


def require_shares(width: int, heads: int) -> None:
    """Raise UsageError unless the heads divide the columns evenly."""
    if width % heads:
        raise UsageError(
            f"{heads} heads do not divide {width} columns into equal shares: choose another --set heads, or width"
        )


def attention(width: int, heads: int, feedforward: int, dropout: float) -> nn.Module:
    """Return a transformer encoder layer, `[clips, time, width]` to the same."""
    require_shares(width, heads)
    return nn.TransformerEncoderLayer(width, heads, feedforward, dropout, batch_first=True)


class AttentionPool(nn.Linear):
    """Attentive mean over time, `[clips, width]` of `[clips, time, width]`, with one softmax weight per frame."""

    def __init__(self, width: int) -> None:
        super().__init__(width, 1)

    def forward(self, rows: Tensor) -> Tensor:
        return (super().forward(rows).softmax(1).mT @ rows)[:, 0]


class Statistics(nn.Module):
    """Attentive mean and standard deviation over time, `[clips, 2 width]` of `[clips, time, width]`.

    Each head weighs the frames in its own way, for its share of the columns.
    """

    def __init__(self, width: int, hidden: int, heads: int) -> None:
        super().__init__()
        require_shares(width, heads)
        self.heads = heads
        self.score = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, heads))

    def forward(self, rows: Tensor, valid: Tensor) -> Tensor:
        weights = self.score(rows).masked_fill(~valid[..., None], -torch.inf).softmax(1)[..., None]
        rows = rows.unflatten(2, (self.heads, -1))
        mean = (weights * rows).sum(1)
        spread = (weights * (rows - mean[:, None]).square()).sum(1)
        return torch.cat([mean.flatten(1), spread.clamp(min=1e-6).sqrt().flatten(1)], 1)


class Convolutions(nn.Module):
    """3x3 convolutions of `[clips, 1, time, bands]`, each with ReLU, 2x2 max pooling and batch normalisation.

    With `skip`, the first block's output is added to the second's, through a 1x1 convolution of stride 2.
    """

    def __init__(self, channels: tuple[int, ...], skip: bool) -> None:
        super().__init__()
        if skip and len(channels) < 2:
            raise UsageError("its skip connection joins what leaves the second convolution: --set channels=A,B or more")
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2, ceil_mode=True),
                norms.BatchNorm2d(outputs),
            )
            for inputs, outputs in pairwise((1, *channels))
        )
        self.skip = nn.Conv2d(channels[0], channels[1], 1, stride=2) if skip else None

    def forward(self, x: Tensor) -> Tensor:
        """Return `[clips, channels, time / 2^n, bands / 2^n]` after n blocks."""
        for place, block in enumerate(self.blocks):
            before, x = x, block(x)
            if place == 1 and self.skip is not None:
                x = x + self.skip(before)
        return x


class Convolution1d(nn.Module):
    """1-D convolution over time, activation, max pooling by 2 (rounding up), batch normalisation and dropout."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        dropout: float,
        norm_first: bool,
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, outputs, kernel, padding="same")
        self.norm = norms.BatchNorm(outputs)
        self.pool = nn.MaxPool1d(2, ceil_mode=True)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first
        self.activate = activation()

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return `[clips, outputs, time / 2]` of `[clips, inputs, time]`, and the new lengths."""
        where, x = mask(lengths, x), self.convolution(x)
        x = norms.zero_padding(self.activate(self.norm(x, where) if self.norm_first else x), where)
        x, lengths = self.pool(x), halved(lengths)
        if not self.norm_first:
            x = self.norm(x, mask(lengths, x))
        return self.dropout(x), lengths


class Recurrent(nn.Module):
    """Stacked recurrent layers with dropout after each.

    Padding is handled by reversing each clip: Torch's packed sequences take 5 to 30 times as long on a CPU.
    """

    def __init__(
        self,
        kind: type[nn.LSTM | nn.GRU],
        columns: int,
        width: int,
        layers: int,
        dropout: float,
        both_ways: bool = False,
    ) -> None:
        super().__init__()
        ways = 2 if both_ways else 1
        self.width = width
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            nn.ModuleList(kind(size, width, batch_first=True) for _ in range(ways))
            for size in (columns, *[width * ways] * (layers - 1))
        )

    def states(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Return the last layer's state after each frame, `[clips, time, width]`; twice the width if bidirectional."""
        for layer in self.layers:
            onward, *back = layer.children()
            ways = [onward(rows)[0], *(flipped(way(flipped(rows, lengths))[0], lengths) for way in back)]
            rows = self.dropout(torch.cat(ways, 2))
        return rows

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Return the state after each clip's last frame, `[clips, width]`.

        If bidirectional, the backward state at the first frame is beside it.
        """
        rows = self.states(rows, lengths)
        return torch.cat([last(rows, lengths)[:, : self.width], rows[:, 0, self.width :]], 1)


class Headed(nn.Module, ABC):
    """A network with an `embed`, clips to `[clips, width]`, and a `head`, embeddings to classes."""

    head: nn.Module

    @abstractmethod
    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Return `[clips, width]` of `[clips, time, columns]`."""

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        return self.head(self.embed(rows, lengths))


class Heads(nn.Module):
    """One linear head for each of several networks with concatenated embeddings: `[networks, clips, classes]`."""

    def __init__(self, networks: int, width: int, classes: int) -> None:
        super().__init__()
        self.each = nn.ModuleList(nn.Linear(width, classes) for _ in range(networks))

    def forward(self, summary: Tensor) -> Tensor:
        parts = summary.chunk(len(self.each), 1)
        return torch.stack([head(part) for head, part in zip(self.each, parts, strict=True)])


def heads(networks: int, width: int, classes: int) -> nn.Module:
    """Return a linear head for one network, or `Heads` for several."""
    return nn.Linear(width, classes) if networks == 1 else Heads(networks, width, classes)


class LastState(Headed):
    """Recurrent layers followed by dense layers on the state after each clip's last frame."""

    kind: type[nn.LSTM | nn.GRU]
    both_ways = False

    def __init__(self, settings: Any, columns: int, classes: int) -> None:
        super().__init__()
        size = settings.width, settings.layers, settings.dropout
        self.recurrent = Recurrent(self.kind, columns, *size, self.both_ways)
        self.head = dense((2 if self.both_ways else 1) * settings.width, *settings.dense, classes)

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        return self.recurrent(cleared(rows, lengths), lengths)
