"""The convolutions of `cnn`, and a recurrent layer both ways over what they leave of time.

As published, the output at the last frame represents the clip: the forward direction has seen all of it, the backward
one that frame alone.
"""

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor, nn

from sertool.networks import layers

ORIGIN = "published for CREMA-D, six emotions (reference system A)"
PARAMETERS = 2_080_454
INPUT = {"mel": 128}


@dataclass(frozen=True)
class Settings:
    frames: Annotated[int, "frames that a clip is cut or padded to", 1, 10_000] = 160
    channels: Annotated[tuple[int, ...], "channels of each convolution", 1, 4096] = (32, 64, 128, 256)
    width: Annotated[int, "width of the recurrent layer, each way", 1, 4096] = 128
    dense: Annotated[int, "width of the hidden dense layer", 1, 16_384] = 64


class Model(layers.Headed):
    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__()
        self.frames = settings.frames
        self.convolutions = layers.Convolutions(settings.channels, skip=True)
        bands = layers.reduced(columns, len(settings.channels))
        self.gru = nn.GRU(settings.channels[-1] * bands, settings.width, batch_first=True, bidirectional=True)
        self.head = layers.dense(2 * settings.width, settings.dense, classes)

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        image = layers.framed(rows, lengths, self.frames)[:, None]
        steps = self.convolutions(image).transpose(1, 2).flatten(2)
        return self.gru(steps)[0][:, -1]
