"""Convolutions in one dimension: over time, or along the columns of clip statistics.

Over time, the blocks and dense layers are those of `clstm`, with a mean over time between them. Along columns
(`along=columns`), the remaining columns go into the dense layers: with `channels=128,256,512 dropout=.2 dense=64
norm=before` it is system C's net.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from sertool.networks import layers

ORIGIN = "ours: systems B and C publish a 1D CNN without its layers; its blocks are those of B's winner"
PARAMETERS = 3_438_246
INPUT = {"zcr": 1, "rms": 1, "mfcc": 20}


@dataclass(frozen=True)
class Settings:
    channels: Annotated[tuple[int, ...], "channels of each convolution", 1, 4096] = (1024, 512, 256)
    kernel: Annotated[int, "frames or columns under a convolution", 1, 255] = 5
    norm: Annotated[Literal["after", "before"], "normalise after pooling, or before ReLU"] = "after"
    dropout: Annotated[float, "dropout after each convolution", 0, 1] = 0.3
    dense: Annotated[tuple[int, ...], "widths of the hidden dense layers", 1, 16_384] = (128, 64, 32)
    along: Annotated[Literal["time", "columns"], "what the convolutions move along"] = "time"


class Model(layers.Headed):
    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__()
        self.along = settings.along
        over_time = settings.along == "time"
        channels = (columns if over_time else 1, *settings.channels)
        shape = settings.kernel, settings.dropout, settings.norm == "before"
        self.blocks = nn.ModuleList(
            layers.Convolution1d(inputs, outputs, *shape) for inputs, outputs in pairwise(channels)
        )
        left = 1 if over_time else layers.reduced(columns, len(settings.channels))
        self.head = layers.dense(channels[-1] * left, *settings.dense, classes)

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        x = layers.cleared(rows, lengths).mT
        if self.along == "columns":
            x = layers.mean(x, lengths)[:, None]
            lengths = torch.full((len(x),), x.shape[2])
        for block in self.blocks:
            x, lengths = block(x, lengths)
        return layers.mean(x, lengths) if self.along == "time" else x.flatten(1)
