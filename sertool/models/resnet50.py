"""ResNet-50, trained on photographs, then on spectrograms of two channels."""

from torch import nn

from sertool import imagenet
from sertool.networks import norms

ORIGIN = "published for five corpora together (reference system D), after He et al. 2016"
PARAMETERS = 23_517_190
INPUT = {"mel": 256}
WEIGHTS = "resnet50-0676ba61.pth"

Settings = imagenet.Settings
require = imagenet.require


class Model(imagenet.Backbone):
    file = WEIGHTS

    @staticmethod
    def network() -> nn.Module:
        from torchvision.models import resnet50

        return resnet50(weights=None, norm_layer=norms.BatchNorm2d)
