"""Tensor shards: the rows of many clips packed end to end, beside a header that says whose they are.

A feature's folder holds `00000.safetensors`, `00001.safetensors` and so on. Shard k holds the k-th run of clips in the
order of the manifest, so what belongs in it is known before it is computed; its header keeps a key of the settings and
of the clips with their sounds' digests. A shard whose key is the expected one need not be made again, and a shard made
from anything else is never mistaken for it. Nothing in a shard depends on when, where or in how many goes it was made.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from sertool import taught_encoders, tensorfile
from sertool.errors import SertoolError
from sertool.files import whole
from sertool.parts import neighbours
from sertool.paths import path_of
from sertool.taught_encoders import Lesson

CLIPS = 1024
VERSION = 1
FIELDS = {"key": str, "settings": dict, "dtype": str, "columns": list, "clips": list, "rows": list, "issues": dict}


def cut(sizes: np.ndarray, most: float) -> list[tuple[int, int]]:
    """Where shards begin and end, by the clips' order and sizes alone: `CLIPS` clips, or fewer of `most` together."""
    runs = neighbours(sizes.tolist(), float, most, CLIPS)
    return list(pairwise([0, *accumulate(map(len, runs))]))


def name(index: int) -> str:
    return f"{index:05d}.safetensors"


def held(folder: Path) -> list[Path]:
    """The files of a feature's folder that have a shard's name; others are not ours."""
    paths = sorted(folder.glob("*.safetensors"))
    return [path for path in paths if path.stem.isdecimal() and path.name == name(int(path.stem))]


def key(settings: Any, clips: Sequence[Sequence[Any]]) -> str:
    """What a shard of these clips under these settings is known by; of each clip all that decides its numbers."""
    text = json.dumps([VERSION, settings, clips], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True)
class Shard:
    """What a shard holds of each clip: its rows, or why it has none."""

    path: Path
    key: str
    settings: dict[str, Any]
    dtype: str
    columns: list[str]
    clips: list[str]
    rows: list[int]
    issues: dict[str, str]
    lessons: list[Lesson] = field(default_factory=list)  # of the encoder that made the rows


def write(head: Shard, feature: str, pieces: Sequence[np.ndarray]) -> None:
    """Write the clips' rows, each `[rows, width]`, under one name: whole or not at all."""
    shape = (sum(head.rows), len(head.columns))
    metadata = {field: getattr(head, field) for field in FIELDS} | {"format": VERSION, "feature": feature}
    metadata |= {"lessons": head.lessons} if head.lessons else {}
    with whole(head.path) as stream:
        tensorfile.write(stream, metadata, {feature: (head.dtype, shape, pieces)})


def head_of(path: Path) -> Shard:
    """What a shard says of itself."""
    return _head(path, tensorfile.header(path))


def _head(path: Path, header: dict[str, Any]) -> Shard:
    if not all(isinstance(header.get(field), kind) for field, kind in FIELDS.items()) or not _is_sound(header):
        raise SertoolError(f"{path}: not a shard of sertool's: run featurize again")
    lessons = taught_encoders.shared(header.get("lessons", []))
    return Shard(path, **{field: header[field] for field in FIELDS}, lessons=lessons)


def _is_sound(header: dict[str, Any]) -> bool:
    """Whether a header's lists fit one another."""
    counts = all(type(count) is int and count >= 0 for count in header["rows"])
    words = all(isinstance(clip, str) for clip in (*header["clips"], *header["issues"].values()))
    lessons_sound = taught_encoders.is_sound(header.get("lessons", []))
    return counts and words and lessons_sound and len(header["clips"]) == len(header["rows"])


def read(path: Path, feature: str) -> tuple[Shard, np.ndarray]:
    """A shard's header and its rows, mapped; one that is not whole, or of which a byte was altered, is an error."""
    metadata, tensors = tensorfile.read(path)
    head, rows = _head(path, metadata), tensors.get(feature)
    shape = sum(head.rows), len(head.columns)
    if rows is None or (rows.shape, rows.dtype.name) != (shape, head.dtype) or tensorfile.CHECKSUM not in metadata:
        raise SertoolError(f"{path}: not a shard of {feature}: run featurize again")
    return head, rows


def sound(path: Path, feature: str) -> Shard | None:
    """The header of a shard whose every byte is as it was written, if there is one."""
    try:
        return read(path, feature)[0]
    except SertoolError:
        return None


class Reader:
    """The rows of clips by where the manifest says they lie; shards stay memory-mapped."""

    def __init__(self, feature: str, settings: dict[str, Any] | None = None) -> None:
        """`settings`: how the rows must have been made, as the manifest says; a shard made otherwise is refused."""
        self.feature, self.settings = feature, settings
        self._open: dict[str, np.ndarray] = {}
        self._owners: dict[str, dict[int, tuple[str, int]]] = {}

    def rows(self, clip: str, shard: str, offset: int, count: int) -> np.ndarray:
        """One clip's `[rows, width]`, a view; a shard that is not what the manifest describes is refused."""
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
        self._open[shard] = rows  # last: threads that find it find its owners


def placed(head: Shard) -> Iterator[tuple[str, int, int]]:
    """Clip, first row and number of rows of each clip that has any."""
    offset = 0
    for clip, count in zip(head.clips, head.rows, strict=True):
        if count:
            yield clip, offset, count
        offset += count
