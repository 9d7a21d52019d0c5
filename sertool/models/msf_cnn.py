"""Convolutions along the columns of clip statistics: modulation spectral features beside MFCC."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from sertool.networks import layers

ORIGIN = "ours: system C, after Qayyum et al. 2019, publishes its input and not its layers"
PARAMETERS = 1_969_862
INPUT = {"msf": 236, "mfcc": 40}


@dataclass(frozen=True)
class Settings:
    channels: Annotated[tuple[int, ...], "channels of each convolution", 1, 4096] = (128, 256, 512)
    kernel: Annotated[int, "columns under a convolution", 1, 255] = 5
    activation: Annotated[Literal["relu", "silu"], "what follows each norm and the hidden layer"] = "relu"
    dropout: Annotated[float, "dropout after each convolution", 0, 1] = 0.2
    dense: Annotated[int, "width of the hidden dense layer", 1, 16_384] = 64


class Model(layers.Headed):
    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__()
        activation = layers.ACTIVATIONS[settings.activation]
        self.blocks = nn.ModuleList(
            layers.Convolution1d(inputs, outputs, settings.kernel, settings.dropout, True, activation)
            for inputs, outputs in pairwise((1, *settings.channels))
        )
        left = layers.reduced(columns, len(settings.channels))
        self.head = layers.dense(settings.channels[-1] * left, settings.dense, classes, activation=activation)

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Return the embedding; statistics are a clip's only row, and several rows are averaged."""
        x = layers.mean(layers.cleared(rows, lengths).mT, lengths)[:, None]
        left = torch.full((len(x),), x.shape[2])
        for block in self.blocks:
            x, left = block(x, left)
        return x.flatten(1)
