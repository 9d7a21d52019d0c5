"""The model file: weights and everything needed to use them, in one safetensors file from which nothing is executed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sertool.errors import SertoolError
from sertool.manifests.answer_kinds import AnswerKind, Dimensions, Emotions, Scale
from sertool.networks import tensorfile
from sertool.system.files import atomic_write

FORMAT = 1
LARGEST = 1_000_000  # most columns
MOST_LABELS = 1000
FARTHEST = 1e30  # from 0 that a dimension may be
KINDS: dict[str, Any] = {
    "architecture": str, "settings": dict, "columns": int, "labels": list, "dimensions": dict, "features": dict,
    "scaling": str,
    "prior_clips": int | float, "temperature": int | float, "adapted_temperature": int | float, "trained": dict,
    "scores": dict,
}  # fmt: skip


@dataclass
class ModelFile:
    """The contents of a model file, as plain values; `inference` builds the network from them."""

    architecture: str
    settings: dict[str, Any]
    columns: int
    labels: list[str]
    features: dict[str, Any]  # by feature, how it was made, as in the shards
    tensors: dict[str, np.ndarray]
    scaling: str = "none"  # one of none, corpus, speaker, moved
    temperature: float = 1.0
    trained: dict[str, Any] = field(default_factory=dict)  # data, settings, commands and licences of the training
    scores: dict[str, Any] = field(default_factory=dict)
    prior_clips: float = 0.0  # the weight of train's statistics beside a speaker's own, in clips
    adapted_temperature: float = 1.0  # for predictions adapted to the speaker
    dimensions: dict[str, dict[str, float]] = field(default_factory=dict)  # the scale of each label that is no emotion

    @property
    def kind(self) -> AnswerKind:
        """What the model answers."""
        if not self.dimensions:
            return Emotions(self.labels)
        return Dimensions(self.labels, [Scale(**self.dimensions[name]) for name in self.labels])


def write(path: Path, file: ModelFile) -> None:
    """Write a model file: complete or not at all."""
    metadata = {name: value for name, value in vars(file).items() if name != "tensors"} | {"model_format": FORMAT}
    tensors = {name: (array.dtype.name, array.shape, [array]) for name, array in sorted(file.tensors.items())}
    with atomic_write(path) as stream:
        tensorfile.write(stream, metadata, tensors)


def read(path: Path) -> ModelFile:
    """Read a model file; raise SertoolError if it is invalid."""
    metadata, tensors = tensorfile.read(path)
    version = metadata.get("model_format")
    if isinstance(version, int) and version > FORMAT:
        raise SertoolError(f"{path}: made by a newer sertool: upgrade with `pip install -U sertool`")
    usual: dict[str, Any] = {"prior_clips": 0.0, "adapted_temperature": metadata.get("temperature"), "dimensions": {}}
    metadata = usual | metadata if version == FORMAT else {}
    if not _is_sound(metadata):
        raise SertoolError(f"{path}: not a model file of sertool's")
    return ModelFile(**{name: metadata[name] for name in KINDS}, tensors=dict(tensors))


def _is_sound(header: dict[str, Any]) -> bool:
    """Whether the values have the types and ranges that readers rely on."""
    if not all(isinstance(header.get(name), kind) and header[name] is not True for name, kind in KINDS.items()):
        return False
    labels, scales = header["labels"], header["dimensions"]
    words = all(map(_is_word, labels)) and (not scales) < len(set(labels)) == len(labels) <= MOST_LABELS
    scaled = not scales or (scales.keys() == {*labels} and all(map(_is_scale, scales.values())))
    records = all(
        isinstance(record, dict) for record in (*header["features"].values(), header["trained"].get("corpora", {}))
    )
    numbers = 0 < header["columns"] <= LARGEST and 0 <= header["prior_clips"] <= 1e9
    temperatures = all(1e-3 <= header[name] <= 1e3 for name in ("temperature", "adapted_temperature"))
    return words and scaled and records and numbers and temperatures


def _is_scale(values: Any) -> bool:
    """Whether a dimension's scale is four finite numbers, with a deviation."""
    return (
        isinstance(values, dict)
        and values.keys() == {*Scale._fields}
        and all(isinstance(value, int | float) and abs(value) <= FARTHEST for value in values.values())
        and values["deviation"] > 0
    )


def _is_word(label: Any) -> bool:
    """Whether a label is text that a file can hold; JSON allows unpaired surrogates, too."""
    return isinstance(label, str) and label != "" and label == label.encode("utf-8", "ignore").decode()
