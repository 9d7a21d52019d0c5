"""Our own best from random numbers: a small residual net, a recurrent layer both ways, attentive statistics.

A wide first convolution and four residual blocks, whose channels are weighed by squeeze and excitation, leave one frame
in sixteen. A bidirectional recurrent layer follows, and four heads sum up its output: each attends to frames in its own
way and keeps the mean and deviation of its share of the channels. Clips may have any length: all sums over time are
masked.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sertool.networks import layers, norms
from sertool.networks.padding import real_frames

ORIGIN = "ours"
PARAMETERS = 1_057_804
INPUT = {"mel": 64}


@dataclass(frozen=True)
class Settings:
    channels: Annotated[tuple[int, ...], "channels of each residual block", 1, 4096] = (24, 48, 96, 160)
    squeeze: Annotated[int, "channels for one within squeeze and excitation", 1, 256] = 4
    project: Annotated[int, "width of what the recurrent layer takes", 1, 4096] = 256
    width: Annotated[int, "width of a recurrent layer, each way", 1, 4096] = 128
    layers: Annotated[int, "number of recurrent layers", 1, 32] = 1
    heads: Annotated[int, "attention heads of the statistics", 1, 64] = 4
    attention: Annotated[int, "width of what scores a frame for the statistics", 1, 4096] = 64
    dropout: Annotated[float, "dropout around the recurrent layers and before the end", 0, 1] = 0.2


class Block(nn.Module):
    """Two 3x3 convolutions with squeeze and excitation and a skip connection."""

    def __init__(self, inputs: int, outputs: int, stride: int, squeeze: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.first_norm = norms.BatchNorm(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = norms.BatchNorm(outputs)
        self.weigh = layers.dense(outputs, max(1, outputs // squeeze), outputs)
        same = stride == 1 and inputs == outputs
        # The stride is taken by pooling: torch 2.14 cannot train a strided 1x1 convolution with channels last in
        # memory, which is the faster layout on CPUs. Slicing, x[:, :, ::2, ::2], would work, but its gradient has the
        # channels first, and kernels that mix both layouts took a sixth of a training step.
        self.skip = None if same else nn.Conv2d(inputs, outputs, 1, bias=False)
        self.skip_norm = None if same else norms.BatchNorm(outputs)
        self.stride = stride

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return `[clips, outputs, time / stride, bands / stride]` and the new lengths."""
        lengths = layers.halved(lengths) if self.stride == 2 else lengths
        y = self.first(x)
        where = layers.mask(lengths, y)
        y = self.second_norm(self.second(self.first_norm(y, where).relu_()), where)
        weights = self.weigh(layers.mean(y, lengths)).sigmoid()[:, :, None, None]
        if self.skip is not None and self.skip_norm is not None:
            x = self.skip_norm(self.skip(F.avg_pool2d(x, 1, self.stride)), where)
        return torch.addcmul(x, y, weights).relu_(), lengths


class Model(layers.Headed):
    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__()
        channels, dropout = settings.channels, settings.dropout
        self.stem = nn.Conv2d(1, channels[0], 5, stride=2, padding=2, bias=False)
        self.stem_norm = norms.BatchNorm(channels[0])
        self.blocks = nn.ModuleList(
            Block(inputs, outputs, 2 if place else 1, settings.squeeze)
            for place, (inputs, outputs) in enumerate(pairwise((channels[0], *channels)))
        )
        flat_width = channels[-1] * layers.reduced(columns, len(channels))
        self.project = nn.Sequential(nn.Linear(flat_width, settings.project), nn.Dropout(dropout))
        size = settings.width, settings.layers, dropout
        self.recurrent = layers.Recurrent(nn.GRU, settings.project, *size, both_ways=True)
        self.statistics = layers.Statistics(2 * settings.width, settings.attention, settings.heads)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * settings.width, classes))

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        x, lengths = self.stem(layers.cleared(rows, lengths)[:, None]), layers.halved(lengths)
        x = self.stem_norm(x, layers.mask(lengths, x)).relu_()
        for block in self.blocks:
            x, lengths = block(x, lengths)
        rows = self.recurrent.states(self.project(x.transpose(1, 2).flatten(2)), lengths)
        return self.statistics(rows, real_frames(lengths, rows.shape[1], rows.device))
