"""Three convolutions over time, then three recurrent layers with memory."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from torch import Tensor, nn

from sertool.networks import layers

ORIGIN = "published for seven corpora together, six emotions (reference system B)"
PARAMETERS = 3_883_686
INPUT = {"zcr": 1, "rms": 1, "mfcc": 20}


@dataclass(frozen=True)
class Settings:
    channels: Annotated[tuple[int, ...], "channels of each convolution", 1, 4096] = (1024, 512, 256)
    kernel: Annotated[int, "frames under a convolution", 1, 255] = 5
    width: Annotated[int, "width of a recurrent layer", 1, 4096] = 128
    layers: Annotated[int, "number of recurrent layers", 1, 32] = 3
    dropout: Annotated[float, "dropout after each convolution and recurrent layer", 0, 1] = 0.3
    dense: Annotated[tuple[int, ...], "widths of the hidden dense layers", 1, 16_384] = (128, 64, 32)


class Model(layers.Headed):
    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__()
        dropout, channels = settings.dropout, settings.channels
        self.blocks = nn.ModuleList(
            layers.Convolution1d(inputs, outputs, settings.kernel, dropout, norm_first=False)
            for inputs, outputs in pairwise((columns, *channels))
        )
        self.recurrent = layers.Recurrent(nn.LSTM, channels[-1], settings.width, settings.layers, dropout)
        self.head = layers.dense(settings.width, *settings.dense, classes)

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        x = layers.cleared(rows, lengths).mT
        for block in self.blocks:
            x, lengths = block(x, lengths)
        return self.recurrent(x.mT, lengths)
