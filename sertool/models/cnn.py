"""Four 3x3 convolutions, the greatest value of each channel, and two dense layers.

The published skip connection is interpreted as adding the first block's output to the second's.
"""

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from sertool.networks import layers

ORIGIN = "published for CREMA-D, six emotions (reference system A)"
PARAMETERS = 407_750
INPUT = {"mel": 128}


@dataclass(frozen=True)
class Settings:
    frames: Annotated[int, "frames that a clip is cut or padded to", 1, 10_000] = 160
    channels: Annotated[tuple[int, ...], "channels of each convolution", 1, 4096] = (32, 64, 128, 256)
    dense: Annotated[int, "width of the hidden dense layer", 1, 16_384] = 64


class Model(layers.Headed):
    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__()
        self.frames = settings.frames
        self.convolutions = layers.Convolutions(settings.channels, skip=True)
        self.head = layers.dense(settings.channels[-1], settings.dense, classes)

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        image = layers.framed(rows, lengths, self.frames)[:, None]
        return self.convolutions(image).amax((2, 3))
