"""Tensor shards: the rows of many clips concatenated, with a header that lists the clips.

A feature's folder holds `00000.safetensors`, `00001.safetensors` and so on. Shard k holds the k-th run of clips in the
order of the manifest, so its clips are known before it is computed. Its header keeps a key of the settings and of the
clips with their digests: a shard with the expected key need not be made again, and a shard made of anything else is
never mistaken for it. The content of a shard does not depend on when, where or in how many runs it was made.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from sertool.errors import SertoolError
from sertool.networks import tensorfile
from sertool.pretraining import encoder_trainings
from sertool.pretraining.encoder_trainings import EncoderTraining
from sertool.system.files import atomic_write
from sertool.system.parts import neighbours
from sertool.system.paths import path_of

CLIPS = 1024
VERSION = 1
FIELDS = {"key": str, "settings": dict, "dtype": str, "columns": list, "clips": list, "rows": list, "issues": dict}


def cut(sizes: np.ndarray, most: float) -> list[tuple[int, int]]:
    """Return the ranges of clips in each shard, by their order and sizes: `CLIPS` clips, or fewer if above `most`."""
    runs = neighbours(sizes.tolist(), float, most, CLIPS)
    return list(pairwise([0, *accumulate(map(len, runs))]))


def name(index: int) -> str:
    return f"{index:05d}.safetensors"


def held(folder: Path) -> list[Path]:
    """Return the files of a feature's folder that are named like shards; others are not ours."""
    paths = sorted(folder.glob("*.safetensors"))
    return [path for path in paths if path.stem.isdecimal() and path.name == name(int(path.stem))]


def key(settings: Any, clips: Sequence[Sequence[Any]]) -> str:
    """Return the key of a shard: a digest of its settings and of everything that decides its clips' rows."""
    text = json.dumps([VERSION, settings, clips], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True)
class Shard:
    """The header of a shard: each clip's number of rows, or why it has none."""

    path: Path
    key: str
    settings: dict[str, Any]
    dtype: str
    columns: list[str]
    clips: list[str]
    rows: list[int]
    issues: dict[str, str]
    encoder_trainings: list[EncoderTraining] = field(default_factory=list)  # of the encoder that made the rows


def write(head: Shard, feature: str, pieces: Sequence[np.ndarray]) -> None:
    """Write the clips' rows, each `[rows, width]`, to one file: complete or not at all."""
    shape = (sum(head.rows), len(head.columns))
    metadata = {field: getattr(head, field) for field in FIELDS} | {"format": VERSION, "feature": feature}
    metadata |= {"lessons": head.encoder_trainings} if head.encoder_trainings else {}
    with atomic_write(head.path) as stream:
        tensorfile.write(stream, metadata, {feature: (head.dtype, shape, pieces)})


def head_of(path: Path) -> Shard:
    """Return the header of a shard without checking its rows."""
    return _head(path, tensorfile.header(path))


def _head(path: Path, header: dict[str, Any]) -> Shard:
    if not all(isinstance(header.get(field), kind) for field, kind in FIELDS.items()) or not _is_sound(header):
        raise SertoolError(f"{path}: not a shard of sertool's: run featurize again")
    trainings = encoder_trainings.shared(header.get("lessons", []))
    return Shard(path, **{field: header[field] for field in FIELDS}, encoder_trainings=trainings)


def _is_sound(header: dict[str, Any]) -> bool:
    """Whether a header's lists are consistent."""
    counts = all(type(count) is int and count >= 0 for count in header["rows"])
    words = all(isinstance(clip, str) for clip in (*header["clips"], *header["issues"].values()))
    trainings_sound = encoder_trainings.is_sound(header.get("lessons", []))
    return counts and words and trainings_sound and len(header["clips"]) == len(header["rows"])


def read(path: Path, feature: str) -> tuple[Shard, np.ndarray]:
    """Return a shard's header and its memory-mapped rows; raise SertoolError if it is incomplete or altered."""
    metadata, tensors = tensorfile.read(path)
    head, rows = _head(path, metadata), tensors.get(feature)
    shape = sum(head.rows), len(head.columns)
    if rows is None or (rows.shape, rows.dtype.name) != (shape, head.dtype) or tensorfile.CHECKSUM not in metadata:
        raise SertoolError(f"{path}: not a shard of {feature}: run featurize again")
    return head, rows


def intact_header(path: Path, feature: str) -> Shard | None:
    """Return the header of an intact shard, or None."""
    try:
        return read(path, feature)[0]
    except SertoolError:
        return None


class Reader:
    """Read the rows of clips at the positions in the manifest; shards stay memory-mapped."""

    def __init__(self, feature: str, settings: dict[str, Any] | None = None) -> None:
        """Refuse shards that were not made with `settings`, those of the manifest, if given."""
        self.feature, self.settings = feature, settings
        self._open: dict[str, np.ndarray] = {}
        self._owners: dict[str, dict[int, tuple[str, int]]] = {}

    def rows(self, clip: str, shard: str, offset: int, count: int) -> np.ndarray:
        """Return a view of one clip's rows, `[rows, width]`; refuse a shard that does not match the manifest."""
        if shard not in self._open:
            self._map(shard)
        if self._owners[shard].get(offset) != (clip, count):
            raise SertoolError(f"{shard}: it does not hold {clip} where the manifest says: run featurize again")
        return self._open[shard][offset : offset + count]

    def _map(self, shard: str) -> None:
        head, rows = read(Path(path_of(shard)), self.feature)
        if self.settings not in (None, head.settings):
            raise SertoolError(f"{shard}: made with other settings than the manifest says: run featurize again")
        self._owners[shard] = {at: (clip, count) for clip, at, count in placed(head)}
        self._open[shard] = rows  # last, so that a thread that finds it also finds its owners


def placed(head: Shard) -> Iterator[tuple[str, int, int]]:
    """Yield clip, first row and number of rows of each clip that has rows."""
    offset = 0
    for clip, count in zip(head.clips, head.rows, strict=True):
        if count:
            yield clip, offset, count
        offset += count
