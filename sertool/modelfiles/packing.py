"""Pack the pretrained encoder of a model's features into its file, so that nothing else is needed.

The encoder's tensors are stored as `pretrained.FEATURE.NAME`, and found by their digest when the feature is computed.
They are stored in half precision or in 8 bits if that is lossless, as for encoders that were published so. Or all
tensors, the model's own included, are rounded to 8 bits: then the feature's record has the rounded encoder's digest,
and its products are in 8 bits, too, on processors that support it.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from sertool import encoders, features
from sertool.errors import SertoolError
from sertool.featurize.extraction import Extraction
from sertool.modelfiles import row_scaling
from sertool.modelfiles.modelfile import ModelFile
from sertool.networks import quantization, weights
from sertool.networks.weights import PACKED
from sertool.pretraining import pretrained


def packed(held: ModelFile, extraction: Extraction, *, in_8_bits: bool = False) -> ModelFile:
    """Return the model with its features' encoder, if they have one."""
    tensors = {**_unpacked(held.tensors), **dict(_encoders(extraction))}
    kept = _rounded(tensors) if in_8_bits else _smaller(tensors)
    records = copy.deepcopy(held.features)
    for name, digest in _digests(quantization.dequantized(kept)).items():
        records[name]["settings"] |= {"weights": digest} | ({"precision": "int8"} if in_8_bits else {})
    return replace(held, tensors=kept, features=records)


def origins(records: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the encoders of features, by the records of how these were made."""
    choices = {name: features.entry(name).facts.get("CHOICE") for name in records}
    return [encoders.origin(name, records[name]["settings"][choice]) for name, choice in choices.items() if choice]


def require(extraction: Extraction) -> None:
    """Refuse an extraction whose encoder's weights are missing, before training rather than after it."""
    for _ in _encoders(extraction):
        pass


def _encoders(extraction: Extraction) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the tensors that an extraction's pretrained features need."""
    for feature, settings in extraction.features.items():
        if choice := getattr(features.load(feature), "CHOICE", None):
            family, kind = encoders.load(feature), getattr(settings, choice)
            _, tensors = family.tensors(kind, pretrained.layers(family, kind, settings)[-1], settings.weights)
            yield from ((f"{PACKED}{feature}.{name}", tensor.numpy()) for name, tensor in tensors.items())


def _rounded(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Round all tensors to 8 bits except the scaling, whose columns differ too much in size for a common scale."""
    scaling = {name: array for name, array in tensors.items() if name in row_scaling.NAMES}
    return scaling | quantization.quantized({name: tensors[name] for name in tensors if name not in scaling})


def _smaller(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the tensors, an encoder's in half precision or 8 bits where this is lossless."""
    made: dict[str, np.ndarray] = {}
    for name, array in tensors.items():
        made |= _as_small(name, array) if name.startswith(PACKED) else {name: array}
    return made


def _as_small(name: str, array: np.ndarray) -> dict[str, np.ndarray]:
    half = array.astype(np.float16)
    if np.array_equal(half.astype(array.dtype), array):
        return {name: half}
    small = quantization.quantized({name: array})
    return small if np.array_equal(quantization.dequantized(small)[name], array) else {name: array}


def _digests(tensors: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return the digest of each feature's encoder, and register its tensors under this digest."""
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, array in tensors.items():
        if name.startswith(PACKED):
            feature, _, own = name.removeprefix(PACKED).partition(".")
            parts.setdefault(feature, {})[own] = torch.from_numpy(np.array(array, np.float32))
    return {feature: weights.register(own) for feature, own in parts.items()}


def _unpacked(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return a model's own tensors in full precision."""
    restored = quantization.dequantized(tensors)
    return {name: array for name, array in restored.items() if not name.startswith(PACKED)}


def lacks_encoder(held: ModelFile) -> bool:
    """Whether the features need an encoder that the file does not contain."""
    brought = {name.removeprefix(PACKED).partition(".")[0] for name in held.tensors if name.startswith(PACKED)}
    return any(hasattr(features.load(name), "CHOICE") for name in held.features.keys() - brought)


def opened(held: ModelFile) -> ModelFile:
    """Return the model without its packed encoder, which is kept for the features to find."""
    try:
        tensors = quantization.dequantized(held.tensors)
        found = _digests(tensors)
        if any(array.dtype.kind == "f" and not np.isfinite(array).all() for array in tensors.values()):
            raise ValueError("some values are no numbers")
        odd = [name for name, digest in found.items() if held.features[name]["settings"].get("weights") != digest]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SertoolError(f"the model file's tensors do not fit its features ({error})") from None
    if odd:
        raise SertoolError(f"the model file brings another encoder than its feature {odd[0]} was made with")
    return replace(held, tensors={name: array for name, array in tensors.items() if not name.startswith(PACKED)})
