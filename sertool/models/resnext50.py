"""ResNeXt-50 of 32 paths, trained on photographs, then on spectrograms of two channels."""

from torch import nn

from sertool import imagenet
from sertool.networks import norms

ORIGIN = "published for five corpora together (reference system D), after Xie et al. 2017"
PARAMETERS = 22_989_062
INPUT = {"mel": 256}
WEIGHTS = "resnext50_32x4d-7cdf4587.pth"

Settings = imagenet.Settings
require = imagenet.require


class Model(imagenet.Backbone):
    file = WEIGHTS

    @staticmethod
    def network() -> nn.Module:
        from torchvision.models import resnext50_32x4d

        return resnext50_32x4d(weights=None, norm_layer=norms.BatchNorm2d)
