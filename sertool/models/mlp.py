"""Dense layers on statistics of an encoder's layers, each of which is first made narrow by itself.

The layers of an encoder hold different information about a voice, and a weighted sum of them loses which layer held
what: so each is projected to a few values of its own, which are concatenated for the dense layers. Rows over time are
averaged. Several such networks with different initial weights may be trained, whose probabilities are averaged.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from sertool.networks import layers, norms

ORIGIN = "ours"
PARAMETERS = 576_582
INPUT = {"whisper": 7168}


@dataclass(frozen=True)
class Settings:
    groups: Annotated[
        int,
        "groups that the columns consist of, such as an encoder's layers; a feature by itself says it, else 1",
        1,
        1024,
    ] = 7
    stats: Annotated[int, "statistics of each of them; likewise", 1, 64] = 2
    width: Annotated[int, "what each group is mapped to", 1, 4096] = 64
    dense: Annotated[int, "width of the hidden layer", 1, 65_536] = 256
    dropout_in: Annotated[float, "dropout of the columns", 0, 1] = 0.3
    dropout: Annotated[float, "dropout before and behind the hidden layer", 0, 1] = 0.5
    networks: Annotated[int, "networks that learn side by side, and answer as one", 1, 64] = 1


class Network(layers.Headed):
    """A network without its head, which several networks share."""

    def __init__(self, settings: Settings, columns: int) -> None:
        super().__init__()
        self.head = nn.Identity()
        part, width = layers.group_width(columns, settings.groups, settings.stats), settings.width
        self.stats = settings.stats
        self.dropout_in, self.dropout = nn.Dropout(settings.dropout_in), nn.Dropout(settings.dropout)
        self.narrow = nn.ModuleList(nn.Linear(part, width) for _ in range(settings.groups))
        self.norm = norms.BatchNorm(settings.groups * width)
        self.hidden = nn.Linear(settings.groups * width, settings.dense)

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        columns = self.dropout_in(layers.mean(layers.cleared(rows, lengths).mT, lengths))
        parts = layers.parts(columns, len(self.narrow), self.stats).unbind(1)
        narrow = [layer(part) for layer, part in zip(self.narrow, parts, strict=True)]
        x = nn.functional.gelu(self.norm(torch.cat(narrow, 1)))
        return self.dropout(nn.functional.gelu(self.hidden(self.dropout(x))))


class Model(Network):
    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__(settings, columns)
        self.others = nn.ModuleList(Network(settings, columns) for _ in range(settings.networks - 1))
        self.head = layers.heads(settings.networks, settings.dense, classes)

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        return torch.cat([super().embed(rows, lengths), *(other(rows, lengths) for other in self.others)], 1)
