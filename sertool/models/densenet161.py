"""DenseNet-161, trained on photographs, then on spectrograms of two channels."""

from torch import nn

from sertool import imagenet
from sertool.networks import norms

ORIGIN = "published for five corpora together (reference system D), after Huang et al. 2017"
PARAMETERS = 26_480_550
INPUT = {"mel": 256}
WEIGHTS = "densenet161-8d451a50.pth"

Settings = imagenet.Settings
require = imagenet.require


class Model(imagenet.Backbone):
    file = WEIGHTS
    first, last, least = "features.conv0", "classifier", 29

    @staticmethod
    def network() -> nn.Module:
        from torchvision.models import densenet161

        network_of_images = densenet161(weights=None)
        for name, module in [*network_of_images.named_modules()]:
            if isinstance(module, nn.BatchNorm2d):
                network_of_images.set_submodule(name, norms.BatchNorm2d(module.num_features))
        return network_of_images
