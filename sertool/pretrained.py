"""What the features of pretrained encoders share: layers side by side, and settings that identify the weights."""

from dataclasses import replace
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from sertool import device, encoders


def layers(family: ModuleType, size: str, settings: Any) -> tuple[int, ...]:
    """The layers that the settings ask for."""
    return encoders.parse_layers(settings.layers, family.SIZES[size]["layers"])


def settled(family: ModuleType, size: str, settings: Any, where: str, rate: int) -> Any:
    """Settings in which `auto` and `all` are resolved for a device, and which have the digest of the weights."""
    family.require_rate(rate)  # before anything is fetched
    wanted = layers(family, size, settings)
    known, _ = family.tensors(size, wanted[-1], settings.weights)
    precision = device.precision(settings.precision, where)
    return replace(settings, layers=encoders.spelled(wanted), precision=precision, weights=known)


def suited(settings: Any, where: str) -> Any:
    """Settings in a precision that the device is made for."""
    return replace(settings, precision=device.computed(settings.precision, where))


def tolerance(settings: Any) -> float:
    """How far values may be from the definition's, as a share of a value or of its column's deviation over the clip.

    Products in bf16 move most values by some hundredths of that, those in 8 bits by ten times as much, and a few in the
    deepest layers by more.
    """
    return {"bf16": 0.1, "int8": 0.4}.get(settings.precision, 2e-3)


def values_per_second(family: ModuleType, size: str, settings: Any) -> float:
    """How many numbers a second of audio comes to."""
    return 50.0 * family.SIZES[size]["width"] * len(layers(family, size, settings))


class Layers(nn.Module):
    """Rows of `layers x width` values: `layer3_17` is value 17 of layer 3."""

    framing = None

    def __init__(self, family: ModuleType, size: str, settings: Any, rate: int) -> None:
        super().__init__()
        family.require_rate(rate)
        wanted = layers(family, size, settings)
        precision = device.precision(settings.precision, "cpu")
        self.encoder = family.Encoder(size, wanted, precision, settings.weights)
        self.columns = [f"layer{layer}_{place}" for layer in wanted for place in range(self.encoder.width)]

    def clips(self, waves: list[Tensor]) -> list[Tensor]:
        """`[frames, layers x width]` of each `[samples]`."""
        return self.encoder(waves)
