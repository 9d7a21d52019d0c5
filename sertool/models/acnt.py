"""A small residual convolutional net, with a transformer over what it leaves of time or without.

Our choices, as the publication leaves them open: two convolutions in each residual block, pooling after each block but
the last (the published width of 640 is 40 mels halved three times, with 128 channels), 512 within a transformer layer.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from torch import Tensor, nn

from sertool.networks import layers, norms

ORIGIN = "published for RAVDESS, eight emotions (reference system E)"
PARAMETERS = 792_198
INPUT = {"mel": 40}
SLOPE = 0.1  # negative slope of the leaky ReLU


@dataclass(frozen=True)
class Settings:
    frames: Annotated[int, "frames that a clip is cut or padded to", 1, 10_000] = 174
    channels: Annotated[tuple[int, ...], "channels of each residual block", 1, 4096] = (16, 32, 64, 128)
    use_transformer: Annotated[bool, "look at all of time between the convolutions and the mean"] = True
    width: Annotated[int, "width of the transformer", 1, 4096] = 128
    layers: Annotated[int, "layers of the transformer", 1, 32] = 2
    heads: Annotated[int, "attention heads of a layer", 1, 64] = 8
    feedforward: Annotated[int, "width within a layer", 1, 16_384] = 512
    dropout: Annotated[float, "dropout of whole channels, and in the transformer", 0, 1] = 0.2
    dense: Annotated[int, "width of the hidden dense layer", 1, 16_384] = 64


class Block(nn.Module):
    """Two 3x3 convolutions with a 1x1 skip connection, and optional max pooling."""

    def __init__(self, inputs: int, outputs: int, dropout: float, halve: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            norms.BatchNorm2d(outputs),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            norms.BatchNorm2d(outputs),
        )
        self.skip = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), norms.BatchNorm2d(outputs))
        pool = nn.MaxPool2d(2, ceil_mode=True) if halve else nn.Identity()
        self.end = nn.Sequential(nn.LeakyReLU(SLOPE), nn.Dropout2d(dropout), pool)

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.body(x) + self.skip(x))


class Model(layers.Headed):
    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__()
        self.frames = settings.frames
        channels = settings.channels
        self.convolutions = nn.Sequential(
            *(
                Block(inputs, outputs, settings.dropout, halve=place < len(channels))
                for place, (inputs, outputs) in enumerate(pairwise((1, *channels)), start=1)
            )
        )
        self.project = nn.Linear(channels[-1] * layers.reduced(columns, len(channels) - 1), settings.width)
        size = settings.width, settings.heads, settings.feedforward, settings.dropout
        count = settings.layers if settings.use_transformer else 0
        self.encoder = nn.Sequential(*(layers.attention(*size) for _ in range(count)))
        self.head = layers.dense(settings.width, settings.dense, classes)
        self.apply(initialise)

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        image = layers.framed(rows, lengths, self.frames)[:, None]
        steps = self.project(self.convolutions(image).transpose(1, 2).flatten(2))
        if len(self.encoder):
            steps = steps + layers.positions(steps.shape[1], steps.shape[2], steps.device)
        return self.encoder(steps).mean(1)


def initialise(module: nn.Module) -> None:
    """Initialise convolutions by Kaiming's and dense layers by Xavier's method; attention uses Xavier's by default."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, a=SLOPE, nonlinearity="leaky_relu")
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
