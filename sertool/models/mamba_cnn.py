"""Two strided convolutions, three Mamba blocks with norms, and a mean over time weighted by attention."""

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional as F

from sertool.networks import layers, norms
from sertool.networks.selective_scan import Mamba

ORIGIN = "published for CREMA-D and for four corpora together, six emotions (reference system A)"
PARAMETERS = 1_499_271
INPUT = {"mel": 128}


@dataclass(frozen=True)
class Settings:
    frames: Annotated[int, "frames that a clip is cut or padded to", 1, 10_000] = 160
    channels: Annotated[int, "channels of the first convolution", 1, 4096] = 64
    width: Annotated[int, "channels of the second, and width of a block", 1, 4096] = 256
    blocks: Annotated[int, "number of Mamba blocks", 1, 64] = 3
    state: Annotated[int, "states of a channel", 1, 256] = 16
    kernel: Annotated[int, "frames under a block's convolution", 1, 255] = 4
    expand: Annotated[int, "channels within a block for one outside", 1, 16] = 2
    dense: Annotated[int, "width of the hidden dense layer", 1, 16_384] = 128
    dropout: Annotated[float, "dropout after the convolutions, the blocks and the hidden layer", 0, 1] = 0.5


class Model(layers.Headed):
    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__()
        self.frames = settings.frames
        width, dropout = settings.width, settings.dropout
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, settings.channels, 5, stride=2, padding=2),
            norms.BatchNorm2d(settings.channels),
            nn.GELU(),
            nn.Conv2d(settings.channels, width, 3, stride=2, padding=1),
            norms.BatchNorm2d(width),
            nn.GELU(),
            nn.Dropout(dropout),
        )
        blocks: list[nn.Module] = [nn.LayerNorm(width)]
        for _ in range(settings.blocks):
            mamba = Mamba(width, settings.state, settings.kernel, settings.expand)
            blocks += [mamba, nn.LayerNorm(width), nn.Dropout(dropout)]
        self.blocks = nn.Sequential(*blocks)
        self.pool = layers.AttentionPool(width)
        self.head = nn.Sequential(
            nn.Linear(width, settings.dense), nn.GELU(), nn.Dropout(dropout), nn.Linear(settings.dense, classes)
        )

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        image = layers.framed(rows, lengths, self.frames)[:, None]
        maps = self.convolutions(image)
        # Not maps.mean(3), whose gradient has another memory layout than the maps, which slows kernels down tenfold.
        mean = F.avg_pool2d(maps, (1, maps.shape[3])).squeeze(3)
        return self.pool(self.blocks(mean.mT))
