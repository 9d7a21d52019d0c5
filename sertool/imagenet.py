"""Shared by the ImageNet backbones: loading their weights, and feeding them spectrograms of several channels."""

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from sertool import features
from sertool.errors import SertoolError, UsageError
from sertool.networks import layers
from sertool.networks import weights as pretrained_weights

URL = "https://download.pytorch.org/models/"


def place(name: str, path: str | Path | None) -> Path:
    """Return the path of a backbone's published weights: the given file, or torchvision's cache."""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / name
    file = cached if path is None else Path(path)
    if not file.is_file():
        raise SertoolError(
            f"no ImageNet weights at {file}: download {URL}{name} and put it there, name it with --weights, "
            "or train from random numbers with --scratch"
        )
    return file


def weights(name: str, path: str | Path | None) -> dict[str, Tensor]:
    """Read a backbone's published weights; those of a DenseNet are renamed to torchvision's present names."""
    tensors = pretrained_weights.read(place(name, path))
    return {re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)", r"\1\2", key): value for key, value in tensors.items()}


def adopt(network: nn.Module, state: dict[str, Tensor], first: str, name: str) -> None:
    """Load weights into a network; the first convolution's are averaged over colours and copied to each channel."""
    own = network.state_dict()
    state = {key: own[key] for key in own if key.endswith("num_batches_tracked")} | state  # older files lack these
    if first in state and state[first].dim() == own[first].dim():
        state[first] = state[first].mean(1, keepdim=True).expand(-1, own[first].shape[1], -1, -1)
    unfit = [key for key in own if key not in state or state[key].shape != own[key].shape]
    if unfit:
        raise SertoolError(f"these are not {name}'s weights: {unfit[0]} is missing or of another size; use {URL}{name}")
    network.load_state_dict({key: state[key] for key in own})


def images(rows: Tensor, lengths: Tensor, frames: int, channels: int) -> Tensor:
    """Reshape `[clips, time, channels x bands]` to `[clips, channels, bands, frames]`."""
    return layers.framed(rows, lengths, frames).unflatten(2, (channels, -1)).permute(0, 2, 3, 1)


def check(columns: int, channels: int, frames: int, least: int = 1) -> None:
    """Raise UsageError unless the columns form channels, and images large enough for the backbone."""
    if columns % channels:
        raise UsageError(
            f"{columns} columns are not {channels} channels: featurize with --channels stereo, or --set channels=1"
        )
    if min(frames, columns // channels) < least:
        raise UsageError(f"{frames} frames of {columns // channels} bands are too few: {least} of both are needed")


@dataclass(frozen=True)
class Settings:
    pretrained: Annotated[bool, "begin with ImageNet's weights"] = True
    channels: Annotated[int, "channels of a spectrogram, side by side in its columns", 1, 4096] = 2
    frames: Annotated[int, "frames that a clip is cut or padded to", 1, 10_000] = 157


def require(settings: Settings, records: Mapping[str, Any]) -> None:
    """Raise UsageError if the features have another number of channels than the network."""
    for name, record in records.items():
        there = features.sides(record)
        if there != settings.channels:
            remedy = ", or featurize with --channels stereo" if settings.channels == 2 else ""
            raise UsageError(
                f"{name} has {there} of {settings.channels} channels that the network looks at: "
                f"--set channels={there}{remedy}"
            )


class Backbone(layers.Headed):
    """A network pretrained on photographs, with a linear layer behind it, applied to spectrograms."""

    file: str  # of its published weights
    first, last = "conv1", "fc"  # its first layer, and its classifier
    least = 1  # the least frames and bands that it can downsample

    @staticmethod
    @abstractmethod
    def network() -> nn.Module:
        """Return torchvision's network with random weights."""

    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__()
        check(columns, settings.channels, settings.frames, self.least)
        self.settings = settings
        self.backbone = self.network()
        outputs, _ = self.backbone.get_parameter(f"{self.first}.weight").shape[:2]
        _, width = self.backbone.get_parameter(f"{self.last}.weight").shape
        eyes = nn.Conv2d(settings.channels, outputs, 7, stride=2, padding=3, bias=False)
        self.backbone.set_submodule(self.first, eyes)
        self.backbone.set_submodule(self.last, nn.Identity())
        self.head = nn.Linear(width, classes)

    def pretrain(self, path: str | Path | None = None) -> None:
        """Load ImageNet's weights into the backbone, if the settings ask for them."""
        if self.settings.pretrained:
            adopt(self.backbone, weights(self.file, path), f"{self.first}.weight", self.file)

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        return self.backbone(images(rows, lengths, self.settings.frames, self.settings.channels))
