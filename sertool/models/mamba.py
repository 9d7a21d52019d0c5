"""Two Mamba blocks in sequence, and a mean over time weighted by attention.

As published, there are no skip connections or norms between the blocks.
"""

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor, nn

from sertool.networks import layers
from sertool.networks.selective_scan import Mamba

ORIGIN = "published for CREMA-D, six emotions (reference system A), after Gu and Dao 2023"
PARAMETERS = 910_343
INPUT = {"mel": 128}


@dataclass(frozen=True)
class Settings:
    frames: Annotated[int, "frames that a clip is cut or padded to", 1, 10_000] = 160
    width: Annotated[int, "width of a block", 1, 4096] = 256
    blocks: Annotated[int, "number of blocks", 1, 64] = 2
    state: Annotated[int, "states of a channel", 1, 256] = 16
    kernel: Annotated[int, "frames under a block's convolution", 1, 255] = 4
    expand: Annotated[int, "channels within a block for one outside", 1, 16] = 2


class Model(layers.Headed):
    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__()
        self.frames = settings.frames
        self.project = nn.Linear(columns, settings.width)
        size = settings.width, settings.state, settings.kernel, settings.expand
        self.blocks = nn.Sequential(*(Mamba(*size) for _ in range(settings.blocks)))
        self.pool = layers.AttentionPool(settings.width)
        self.head = nn.Linear(settings.width, classes)

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        rows = layers.framed(rows, lengths, self.frames)
        return self.pool(self.blocks(self.project(rows)))
