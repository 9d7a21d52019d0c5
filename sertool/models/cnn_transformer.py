"""Four 3x3 convolutions, and a transformer over what they leave of time.

The blocks are those of `cnn` without its skip connection, which the publication does not mention here.
"""

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor, nn

from sertool.networks import layers

ORIGIN = "published for CREMA-D, six emotions (reference system A)"
PARAMETERS = 3_560_326
INPUT = {"mel": 128}


@dataclass(frozen=True)
class Settings:
    frames: Annotated[int, "frames that a clip is cut or padded to", 1, 10_000] = 160
    channels: Annotated[tuple[int, ...], "channels of each convolution", 1, 4096] = (32, 64, 128, 256)
    width: Annotated[int, "width of the transformer", 1, 4096] = 256
    layers: Annotated[int, "layers of the transformer", 1, 32] = 2
    heads: Annotated[int, "attention heads of a layer", 1, 64] = 4
    feedforward: Annotated[int, "width within a layer", 1, 16_384] = 2048
    dropout: Annotated[float, "dropout in the transformer", 0, 1] = 0.2
    dense: Annotated[int, "width of the hidden dense layer", 1, 16_384] = 64


class Model(layers.Headed):
    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__()
        self.frames = settings.frames
        self.convolutions = layers.Convolutions(settings.channels, skip=False)
        bands = layers.reduced(columns, len(settings.channels))
        self.project = nn.Linear(settings.channels[-1] * bands, settings.width)
        size = settings.width, settings.heads, settings.feedforward, settings.dropout
        self.encoder = nn.Sequential(*(layers.attention(*size) for _ in range(settings.layers)))
        self.head = layers.dense(settings.width, settings.dense, classes)

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        image = layers.framed(rows, lengths, self.frames)[:, None]
        steps = self.project(self.convolutions(image).transpose(1, 2).flatten(2))
        steps = steps + layers.positions(steps.shape[1], steps.shape[2], steps.device)
        return self.encoder(steps).mean(1)
