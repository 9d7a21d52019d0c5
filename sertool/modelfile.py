"""The model file: weights and everything needed to use them, in one safetensors file from which nothing is executed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sertool import tensorfile
from sertool.errors import SertoolError
from sertool.files import whole

FORMAT = 1


@dataclass
class Held:
    """What a model file holds. Plain values: the network is built from them by inference."""

    architecture: str
    settings: dict[str, Any]
    columns: int
    labels: list[str]
    features: dict[str, Any]  # a record of how each was made, as in the shards
    tensors: dict[str, np.ndarray]
    scaling: str = "none"
    temperature: float = 1.0
    trained: dict[str, Any] = field(default_factory=dict)  # on what, how, by which commands, under which licences
    scores: dict[str, Any] = field(default_factory=dict)


def write(path: Path, held: Held) -> None:
    """Write a model file: whole or not at all."""
    metadata = {name: value for name, value in vars(held).items() if name != "tensors"} | {"model_format": FORMAT}
    tensors = {name: (array.dtype.name, array.shape, [array]) for name, array in sorted(held.tensors.items())}
    with whole(path) as stream:
        tensorfile.write(stream, metadata, tensors)


def read(path: Path) -> Held:
    """What a model file holds; a file that is none is one clear error."""
    metadata, tensors = tensorfile.read(path)
    if metadata.get("model_format", 0) > FORMAT:
        raise SertoolError(f"{path}: made by a newer sertool: upgrade with `pip install -U sertool`")
    try:
        kept = {name: metadata[name] for name in Held.__dataclass_fields__ if name != "tensors"}
        held = Held(**kept, tensors=dict(tensors))
        sound = _sound(held)
    except (KeyError, TypeError):
        sound = False
    if not sound:
        raise SertoolError(f"{path}: not a model file of sertool's")
    return held


def _sound(held: Held) -> bool:
    """Whether the values are of the kinds that the rest may rely on."""
    kinds = {"architecture": str, "settings": dict, "columns": int, "features": dict, "scaling": str, "trained": dict}
    words = isinstance(held.labels, list) and len(held.labels) > 1 and all(isinstance(w, str) for w in held.labels)
    number = isinstance(held.temperature, int | float) and 0 < held.temperature < 1e6
    return words and number and all(isinstance(getattr(held, name), kind) for name, kind in kinds.items())
