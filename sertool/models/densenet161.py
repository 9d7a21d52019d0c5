"""DenseNet-161, taught to see photographs, looking at spectrograms of two channels."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from torch import Tensor, nn

from sertool import imagenet

ORIGIN = "published for five corpora together (reference system D), after Huang et al. 2017"
PARAMETERS = 26_480_550
INPUT = {"mel": 256}
WEIGHTS = "densenet161-8d451a50.pth"


@dataclass(frozen=True)
class Settings:
    pretrained: Annotated[bool, "begin with ImageNet's weights"] = True
    channels: Annotated[int, "channels of a spectrogram, side by side in its columns", 1, 4096] = 2
    frames: Annotated[int, "frames that a clip is cut or padded to", 1, 10_000] = 157


class Model(nn.Module):
    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__()
        from torchvision.models import densenet161

        imagenet.check(columns, settings.channels, settings.frames, least=29)
        self.settings = settings
        self.backbone = densenet161(weights=None)
        self.backbone.features.conv0 = nn.Conv2d(settings.channels, 96, 7, stride=2, padding=3, bias=False)
        self.backbone.classifier = nn.Identity()
        self.head = nn.Linear(2208, classes)

    def pretrain(self, path: str | Path | None = None) -> None:
        """ImageNet's weights into the backbone, if the settings want them."""
        if self.settings.pretrained:
            state = imagenet.weights(WEIGHTS, path)
            state = {
                re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)", r"\1\2", key): value for key, value in state.items()
            }
            imagenet.adopt(self.backbone, state, "features.conv0.weight", WEIGHTS)

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        return self.backbone(imagenet.images(rows, lengths, self.settings.frames, self.settings.channels))

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        return self.head(self.embed(rows, lengths))
