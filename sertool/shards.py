"""Tensor shards: the rows of many clips packed end to end, beside a header that says whose they are.

A feature's folder holds `00000.safetensors`, `00001.safetensors` and so on. Shard k holds the k-th run of clips in the
order of the manifest, so what belongs in it is known before it is computed; its header keeps a key of the settings and
of the clips with their sounds' digests. A shard whose key is the expected one need not be made again, and a shard made
from anything else is never mistaken for it. Nothing in a shard depends on when, where or in how many goes it was made.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sertool import tensorfile
from sertool.errors import SertoolError
from sertool.files import whole

CLIPS = 1024
SECONDS = 7200.0  # of audio in a shard at the most: 230 MB as a waveform of 16 bits at 16 kHz
VERSION = 1
FIELDS = ("key", "settings", "columns", "clips", "rows", "issues", "checksum")


def cut(durations: np.ndarray) -> list[tuple[int, int]]:
    """Where shards begin and end, by the clips' order and durations alone; `[clips]` in seconds."""
    spans, start, seconds = [], 0, 0.0
    for index, duration in enumerate(np.nan_to_num(durations).tolist()):
        if index > start and (index - start == CLIPS or seconds + duration > SECONDS):
            spans.append((start, index))
            start, seconds = index, 0.0
        seconds += duration
    return [*spans, (start, len(durations))] if len(durations) else []


def name(index: int) -> str:
    return f"{index:05d}.safetensors"


def key(settings: Any, clips: Sequence[Sequence[Any]]) -> str:
    """What a shard of these clips under these settings is known by; of each clip all that decides its numbers."""
    text = json.dumps([VERSION, settings, clips], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True)
class Shard:
    """What a shard holds of each clip: its rows, or why it has none."""

    path: Path
    key: str
    settings: Any
    columns: list[str]
    clips: list[str]
    rows: list[int]
    issues: dict[str, str]
    checksum: int = 0


def write(path: Path, feature: str, head: Shard, dtype: str, pieces: Sequence[np.ndarray]) -> None:
    """Write the clips' rows, each `[rows, width]`, under one name: whole or not at all."""
    shape = (sum(head.rows), len(head.columns))
    metadata = {
        "format": VERSION, "feature": feature, "key": head.key, "settings": head.settings, "columns": head.columns,
        "clips": head.clips, "rows": head.rows, "issues": head.issues,
        "checksum": _checksum(pieces),
    }  # fmt: skip
    with whole(path) as stream:
        tensorfile.write(stream, metadata, {feature: (dtype, shape, pieces)})


def _checksum(pieces: Sequence[np.ndarray]) -> int:
    """CRC-32 of all rows, end to end."""
    value = 0
    for piece in pieces:
        value = zlib.crc32(np.ascontiguousarray(piece).data, value)
    return value


def head_of(path: Path) -> Shard:
    """What a shard says of itself."""
    return _head(path, tensorfile.header(path))


def _head(path: Path, held: dict[str, Any]) -> Shard:
    try:
        head = Shard(path, **{field: held[field] for field in FIELDS})
        sound = len(head.clips) == len(head.rows) and all(type(count) is int and count >= 0 for count in head.rows)
    except (KeyError, TypeError):
        sound = False
    if not sound:
        raise SertoolError(f"{path}: not a shard of sertool's: run featurize again")
    return head


def has(path: Path, expected: str) -> bool:
    """Whether a sound shard with the expected key lies there."""
    if not path.exists():
        return False
    try:
        return head_of(path).key == expected
    except SertoolError:
        return False


class Reader:
    """The rows of clips by where the manifest says they lie; shards stay memory-mapped."""

    def __init__(self, feature: str) -> None:
        self.feature = feature
        self._open: dict[str, np.ndarray] = {}
        self._owners: dict[str, dict[int, tuple[str, int]]] = {}

    def rows(self, clip: str, shard: str, offset: int, count: int) -> np.ndarray:
        """One clip's `[rows, width]`, a view; a shard that is not what the manifest describes is refused."""
        tensor = self._tensor(shard)
        if self._owners[shard].get(offset) != (clip, count) or offset + count > len(tensor):
            raise SertoolError(f"{shard}: it does not hold {clip} where the manifest says: run featurize again")
        return tensor[offset : offset + count]

    def _tensor(self, shard: str) -> np.ndarray:
        if shard not in self._open:
            metadata, tensors = tensorfile.read(Path(shard))
            head = _head(Path(shard), metadata)
            if self.feature not in tensors or len(tensors[self.feature]) != sum(head.rows):
                raise SertoolError(f"{shard}: not a shard of {self.feature}: run featurize again")
            if _checksum([tensors[self.feature]]) != head.checksum:
                raise SertoolError(f"{shard}: its numbers were altered: remove it and run featurize again")
            self._open[shard] = tensors[self.feature]
            self._owners[shard] = {at: (clip, rows) for clip, at, rows in placed(head)}
        return self._open[shard]


def placed(head: Shard) -> Iterator[tuple[str, int, int]]:
    """Clip, first row and number of rows of each clip that has any."""
    offset = 0
    for clip, count in zip(head.clips, head.rows, strict=True):
        if count:
            yield clip, offset, count
        offset += count
