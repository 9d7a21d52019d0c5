"""ResNet-18 for one input channel, from random numbers."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from torch import Tensor, nn

from sertool.networks import layers, norms

ORIGIN = "published for CREMA-D, six emotions (reference system A), after He et al. 2016"
PARAMETERS = 11_173_318
INPUT = {"mel": 128}


@dataclass(frozen=True)
class Settings:
    frames: Annotated[int, "frames that a clip is cut or padded to", 1, 10_000] = 160
    channels: Annotated[tuple[int, ...], "channels of each stage of two blocks", 1, 4096] = (64, 128, 256, 512)


class Block(nn.Module):
    """Two 3x3 convolutions with a skip connection."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            norms.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            norms.BatchNorm2d(outputs),
        )
        same = stride == 1 and inputs == outputs
        project = (nn.Conv2d(inputs, outputs, 1, stride, bias=False), norms.BatchNorm2d(outputs))
        self.skip = nn.Identity() if same else nn.Sequential(*project)

    def forward(self, x: Tensor) -> Tensor:
        return (self.body(x) + self.skip(x)).relu()


class Model(layers.Headed):
    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__()
        self.frames = settings.frames
        first = settings.channels[0]
        self.stem = nn.Sequential(
            nn.Conv2d(1, first, 7, stride=2, padding=3, bias=False),
            norms.BatchNorm2d(first),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        blocks = []
        for place, (inputs, outputs) in enumerate(pairwise((first, *settings.channels))):
            blocks += [Block(inputs, outputs, stride=2 if place else 1), Block(outputs, outputs, stride=1)]
        self.stages = nn.Sequential(*blocks)
        self.head = nn.Linear(settings.channels[-1], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        image = layers.framed(rows, lengths, self.frames)[:, None]
        return self.stages(self.stem(image)).mean((2, 3))
