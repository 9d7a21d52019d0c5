"""A learned mean of an encoder's layers, and of its frames: those that tell the emotion weigh more.

Each layer is normalised and the layers are summed with learned weights. Four heads, each for its share of the columns,
attend to the frames; the weighted mean and deviation are kept.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sertool.networks import layers
from sertool.networks.padding import real_frames

ORIGIN = "layer weights as in SUPERB (Yang et al. 2021), statistics as in ECAPA-TDNN (Desplanques et al. 2020)"
PARAMETERS = 151_121
INPUT = {"whisper": 3584}


@dataclass(frozen=True)
class Settings:
    groups: Annotated[
        int,
        "groups that the columns consist of, such as an encoder's layers; a feature by itself says it, else 1",
        1,
        1024,
    ] = 7
    width: Annotated[int, "width that the layers' mean is mapped to; heads divide it", 1, 8192] = 256
    heads: Annotated[int, "heads that attend to frames", 1, 256] = 4
    attention: Annotated[int, "width of what scores a frame", 1, 8192] = 64
    dropout: Annotated[float, "dropout before and behind the statistics", 0, 1] = 0.3


class Model(layers.Headed):
    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__()
        part = layers.group_width(columns, settings.groups)
        self.weights = nn.Parameter(torch.zeros(settings.groups))
        self.dropout = nn.Dropout(settings.dropout)
        self.narrow = nn.Linear(part, settings.width)
        self.statistics = layers.Statistics(settings.width, settings.attention, settings.heads)
        self.head = nn.Linear(2 * settings.width, classes)

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        parts = layers.parts(layers.cleared(rows, lengths), len(self.weights))
        parts = F.layer_norm(parts, parts.shape[-1:])
        mean = (parts * self.weights.softmax(0)[:, None]).sum(2)
        x = F.gelu(self.narrow(self.dropout(mean)))
        return self.dropout(self.statistics(x, real_frames(lengths, x.shape[1], x.device)))
