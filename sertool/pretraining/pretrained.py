"""Shared by the features of pretrained encoders: layers side by side, and settings that identify the weights."""

from dataclasses import replace
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from sertool import encoders
from sertool.system import device


def layers(family: ModuleType, size: str, settings: Any) -> tuple[int, ...]:
    """Return the layers that the settings ask for."""
    return encoders.parse_layers(settings.layers, family.SIZES[size]["layers"])


def resolve_settings(family: ModuleType, size: str, settings: Any, where: str, rate: int) -> Any:
    """Return the settings with `auto` and `all` resolved for a device, and the digest of the weights."""
    family.require_rate(rate)  # before anything is downloaded
    wanted = layers(family, size, settings)
    known, _ = family.tensors(size, wanted[-1], settings.weights)
    precision = device.precision(settings.precision, where)
    return replace(settings, layers=encoders.spelled(wanted), precision=precision, weights=known)


def settings_for_device(settings: Any, where: str) -> Any:
    """Return the settings with a precision that suits the device."""
    return replace(settings, precision=device.computed(settings.precision, where))


def tolerance(settings: Any) -> float:
    """Return the tolerance against the reference, as a share of a value or of its column's deviation over the clip.

    Products in bf16 change most values by some hundredths of that, those in 8 bits by ten times as much, and a few in
    the deepest layers by more.
    """
    return {"bf16": 0.1, "int8": 0.4}.get(settings.precision, 2e-3)


def values_per_second(family: ModuleType, size: str, settings: Any) -> float:
    """Return the number of values per second of audio."""
    return 50.0 * family.SIZES[size]["width"] * len(layers(family, size, settings))


class Layers(nn.Module):
    """Rows of `layers x width` values: `layer3_17` is value 17 of layer 3."""

    framing = None

    def __init__(self, family: ModuleType, size: str, settings: Any, rate: int, **more: float) -> None:
        """`more` are arguments of the family's encoder alone."""
        super().__init__()
        family.require_rate(rate)
        wanted = layers(family, size, settings)
        precision = device.precision(settings.precision, "cpu")
        self.encoder = family.Encoder(size, wanted, precision, settings.weights, **more)
        self.columns = [f"layer{layer}_{place}" for layer in wanted for place in range(self.encoder.width)]

    def clips(self, waves: list[Tensor]) -> list[Tensor]:
        """Return `[frames, layers x width]` of each `[samples]`."""
        return self.encoder(waves)
