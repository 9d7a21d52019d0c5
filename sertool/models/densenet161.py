"""DenseNet-161, taught to see photographs, looking at spectrograms of two channels."""

from torch import nn

from sertool import imagenet, norms

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

        made = densenet161(weights=None)
        for name, module in [*made.named_modules()]:
            if isinstance(module, nn.BatchNorm2d):
                made.set_submodule(name, norms.BatchNorm2d(module.num_features))
        return made
