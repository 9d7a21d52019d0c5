"""Our own best from random numbers: a small residual net, one transformer layer, attentive statistics.

A wide first convolution and four residual blocks, in which each channel is weighed by what the clip as a whole holds
(squeeze and excitation), leave a frame for every sixteen. What they see is told apart in time by one transformer
layer, and summed up by four heads, each of which attends to its own part of the clip and keeps the mean and deviation
of its share of the channels. Clips may have any length: whatever sums over time knows where they end.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import torch
from torch import Tensor, nn

from sertool import layers

ORIGIN = "ours"
PARAMETERS = 1_288_460
INPUT = {"mel": 64}


@dataclass(frozen=True)
class Settings:
    channels: Annotated[tuple[int, ...], "channels of each residual block", 1, 4096] = (24, 48, 96, 160)
    squeeze: Annotated[int, "channels for one within squeeze and excitation", 1, 256] = 4
    width: Annotated[int, "width of the transformer", 1, 4096] = 256
    layers: Annotated[int, "layers of the transformer", 1, 32] = 1
    heads: Annotated[int, "attention heads, of a layer and of the statistics", 1, 64] = 4
    feedforward: Annotated[int, "width within a layer", 1, 16_384] = 512
    attention: Annotated[int, "width of what scores a frame for the statistics", 1, 4096] = 64
    dropout: Annotated[float, "dropout in the transformer and before the end", 0, 1] = 0.2


class Block(nn.Module):
    """Two 3x3 convolutions, their channels weighed, beside a skip connection."""

    def __init__(self, inputs: int, outputs: int, stride: int, squeeze: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.first_norm = layers.BatchNorm(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = layers.BatchNorm(outputs)
        self.weigh = layers.dense(outputs, outputs // squeeze, outputs)
        same = stride == 1 and inputs == outputs
        # Its steps are taken by leaving rows out: torch 2.14 cannot learn through a 1x1 convolution that takes them
        # itself where channels lie last in memory, which is the faster way on CPUs.
        self.skip = None if same else nn.Conv2d(inputs, outputs, 1, bias=False)
        self.skip_norm = None if same else layers.BatchNorm(outputs)
        self.stride = stride

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """`[clips, outputs, time / stride, bands / stride]` and what is left of `lengths`."""
        lengths = layers.halved(lengths) if self.stride == 2 else lengths
        y = self.first(x)
        where = layers.mask(lengths, y)
        y = self.second_norm(self.second(self.first_norm(y, where).relu_()), where)
        weights = self.weigh(layers.mean(y, lengths)).sigmoid()[:, :, None, None]
        if self.skip is not None:
            x = self.skip_norm(self.skip(x[:, :, :: self.stride, :: self.stride]), where)
        return torch.addcmul(x, y, weights).relu_(), lengths


class Model(nn.Module):
    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__()
        channels, width = settings.channels, settings.width
        self.stem = nn.Conv2d(1, channels[0], 5, stride=2, padding=2, bias=False)
        self.stem_norm = layers.BatchNorm(channels[0])
        self.blocks = nn.ModuleList(
            Block(inputs, outputs, 2 if place else 1, settings.squeeze)
            for place, (inputs, outputs) in enumerate(pairwise((channels[0], *channels)))
        )
        self.project = nn.Linear(channels[-1] * layers.reduced(columns, len(channels)), width)
        size = {"dim_feedforward": settings.feedforward, "dropout": settings.dropout, "activation": "gelu"}
        self.encoder = nn.ModuleList(
            nn.TransformerEncoderLayer(width, settings.heads, **size, batch_first=True, norm_first=True)
            for _ in range(settings.layers)
        )
        self.statistics = layers.Statistics(width, settings.attention, settings.heads)
        self.head = nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(2 * width, classes))

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        x, lengths = self.stem(layers.cleared(rows, lengths)[:, None]), layers.halved(lengths)
        x = self.stem_norm(x, layers.mask(lengths, x)).relu_()
        for block in self.blocks:
            x, lengths = block(x, lengths)
        rows = self.project(x.transpose(1, 2).flatten(2))
        valid = layers.valid(lengths, rows.shape[1], rows.device)
        for layer in self.encoder:
            rows = layer(rows, src_key_padding_mask=~valid)
        return self.statistics(rows, valid)

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        return self.head(self.embed(rows, lengths))
