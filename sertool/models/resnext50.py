"""ResNeXt-50 of 32 paths, taught to see photographs, looking at spectrograms of two channels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from torch import Tensor, nn

from sertool import imagenet, layers

ORIGIN = "published for five corpora together (reference system D), after Xie et al. 2017"
PARAMETERS = 22_989_062
INPUT = {"mel": 256}
WEIGHTS = "resnext50_32x4d-7cdf4587.pth"


@dataclass(frozen=True)
class Settings:
    pretrained: Annotated[bool, "begin with ImageNet's weights"] = True
    channels: Annotated[int, "channels of a spectrogram, side by side in its columns", 1, 4096] = 2
    frames: Annotated[int, "frames that a clip is cut or padded to", 1, 10_000] = 157


class Model(nn.Module):
    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__()
        from torchvision.models import resnext50_32x4d

        imagenet.check(columns, settings.channels, settings.frames)
        self.settings = settings
        self.backbone = resnext50_32x4d(weights=None, norm_layer=layers.BatchNorm2d)
        self.backbone.conv1 = nn.Conv2d(settings.channels, 64, 7, stride=2, padding=3, bias=False)
        self.backbone.fc = nn.Identity()
        self.head = nn.Linear(2048, classes)

    def pretrain(self, path: str | Path | None = None) -> None:
        """ImageNet's weights into the backbone, if the settings want them."""
        if self.settings.pretrained:
            imagenet.adopt(self.backbone, imagenet.weights(WEIGHTS, path), "conv1.weight", WEIGHTS)

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        return self.backbone(imagenet.images(rows, lengths, self.settings.frames, self.settings.channels))

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        return self.head(self.embed(rows, lengths))
