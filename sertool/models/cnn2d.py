"""Four wide convolutions over time and frequency, and one hidden dense layer, with ReLU or SiLU."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

from torch import Tensor, nn

from sertool.errors import SertoolError
from sertool.networks import layers, norms

ORIGIN = "published for CREMA-D and SAVEE (reference system C)"
PARAMETERS = 133_318
INPUT = {"mel": 30}


@dataclass(frozen=True)
class Settings:
    frames: Annotated[int, "frames that a clip is cut or padded to", 1, 10_000] = 79
    channels: Annotated[tuple[int, ...], "channels of each convolution", 1, 4096] = (32, 32, 32, 32)
    activation: Annotated[Literal["relu", "silu"], "what follows each norm"] = "relu"
    dropout: Annotated[float, "dropout after each convolution and around the hidden layer", 0, 1] = 0.2
    dense: Annotated[int, "width of the hidden dense layer", 1, 16_384] = 64


class Model(layers.Headed):
    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__()
        self.frames = settings.frames
        parts = 2 ** len(settings.channels)
        if min(columns, settings.frames) < parts:
            raise SertoolError(
                f"cnn2d halves {settings.frames} frames of {columns} columns {len(settings.channels)} times: "
                f"at least {parts} of both are needed; give it more, or fewer --set channels"
            )
        activation = layers.ACTIVATIONS[settings.activation]
        self.convolutions = nn.Sequential(
            *(block(*pair, activation, settings.dropout) for pair in pairwise((1, *settings.channels)))
        )
        left = settings.channels[-1] * (settings.frames // parts) * (columns // parts)
        self.head = nn.Sequential(
            nn.Linear(left, settings.dense),
            nn.Dropout(settings.dropout),
            norms.BatchNorm(settings.dense),
            activation(),
            nn.Dropout(settings.dropout),
            nn.Linear(settings.dense, classes),
        )

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        image = layers.framed(rows, lengths, self.frames)[:, None]
        return self.convolutions(image).flatten(1)


def block(inputs: int, outputs: int, activation: type[nn.Module], dropout: float) -> nn.Sequential:
    """Return a convolution of 10 frames by 4 bands, the odd row and column of its padding last, pooling and dropout."""
    return nn.Sequential(
        nn.ZeroPad2d((1, 2, 4, 5)),
        nn.Conv2d(inputs, outputs, (10, 4)),
        norms.BatchNorm2d(outputs),
        activation(),
        nn.MaxPool2d(2),
        nn.Dropout(dropout),
    )
