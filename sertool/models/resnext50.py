"""ResNeXt-50 of 32 paths, taught to see photographs, looking at spectrograms of two channels."""

from dataclasses import dataclass
from typing import Annotated

from torch import nn

from sertool import imagenet, norms

ORIGIN = "published for five corpora together (reference system D), after Xie et al. 2017"
PARAMETERS = 22_989_062
INPUT = {"mel": 256}
WEIGHTS = "resnext50_32x4d-7cdf4587.pth"

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
        from torchvision.models import resnext50_32x4d

        return resnext50_32x4d(weights=None, norm_layer=norms.BatchNorm2d)
