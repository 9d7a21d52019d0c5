"""ResNet-50, taught to see photographs, looking at spectrograms of two channels."""

from dataclasses import dataclass
from typing import Annotated

from torch import nn

from sertool import imagenet, norms

ORIGIN = "published for five corpora together (reference system D), after He et al. 2016"
PARAMETERS = 23_517_190
INPUT = {"mel": 256}
WEIGHTS = "resnet50-0676ba61.pth"

require = imagenet.require


@dataclass(frozen=True)
class Settings:
    pretrained: Annotated[bool, "begin with ImageNet's weights"] = True
    channels: Annotated[int, "channels of a spectrogram, side by side in its columns", 1, 4096] = 2
    frames: Annotated[int, "frames that a clip is cut or padded to", 1, 10_000] = 157


class Model(imagenet.Backbone):
    file = WEIGHTS

    @staticmethod
    def network() -> nn.Module:
        from torchvision.models import resnet50

        return resnet50(weights=None, norm_layer=norms.BatchNorm2d)
