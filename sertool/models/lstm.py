"""Three recurrent layers with memory, of which each clip's last state is kept.

The publication does not specify its layers: depth, width, dropout and dense layers are those of `clstm`.
"""

from dataclasses import dataclass
from typing import Annotated

from torch import nn

from sertool.networks import layers

ORIGIN = "ours: system B publishes an LSTM without its layers; they are those of its winner"
PARAMETERS = 369_062
INPUT = {"zcr": 1, "rms": 1, "mfcc": 20}


@dataclass(frozen=True)
class Settings:
    width: Annotated[int, "width of a recurrent layer", 1, 4096] = 128
    layers: Annotated[int, "number of recurrent layers", 1, 32] = 3
    dropout: Annotated[float, "dropout after each recurrent layer", 0, 1] = 0.3
    dense: Annotated[tuple[int, ...], "widths of the hidden dense layers", 1, 16_384] = (128, 64, 32)


class Model(layers.LastState):
    kind = nn.LSTM
