"""From shards to batches on the device: no worker processes, since a batch is a few copies out of mapped memory.

Where all frames fit on the device they go there once, end to end, and a batch is one indexed read of them. On a CPU
they stay in the shards' memory maps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sertool import manifest, shards
from sertool.errors import SertoolError, UsageError
from sertool.files import listed
from sertool.manifest import Table

SORTED_BATCHES = 32  # whose clips are put side by side by length, so that little is padded
RESIDENT_SHARE = 0.5  # of the device's free memory that frames may take


@dataclass
class Store:
    """The frames of clips, by the clip's place in the table."""

    views: list[list[np.ndarray]]  # of each clip, `[rows, width]` of each feature
    columns: int
    device: torch.device
    resident: Tensor | None = None  # `[all rows, columns]`
    starts: Tensor | None = None  # `[clips]`

    def __len__(self) -> int:
        return len(self.views)

    @property
    def lengths(self) -> np.ndarray:
        """Rows of each clip, `[clips]`."""
        return np.array([len(parts[0]) for parts in self.views], np.int64)

    def take(self, clips: Sequence[int] | np.ndarray) -> tuple[Tensor, Tensor]:
        """The clips' rows padded with zeros, `[clips, time, columns]`, and their lengths, `[clips]`."""
        lengths = torch.from_numpy(self.lengths_of(clips)).to(self.device)
        if self.resident is not None:
            return self._gathered(torch.as_tensor(clips, device=self.device), lengths), lengths
        rows = np.zeros((len(clips), int(lengths.max()), self.columns), np.float32)
        for target, clip in zip(rows, clips, strict=True):
            start = 0
            for part in self.views[clip]:
                target[: len(part), start : start + part.shape[1]] = part
                start += part.shape[1]
        return torch.from_numpy(rows).to(self.device, non_blocking=True), lengths

    def lengths_of(self, clips: Sequence[int] | np.ndarray) -> np.ndarray:
        return np.array([len(self.views[clip][0]) for clip in clips], np.int64)

    def _gathered(self, clips: Tensor, lengths: Tensor) -> Tensor:
        steps = torch.arange(int(lengths.max()), device=self.device)
        inside = steps < lengths[:, None]
        places = torch.where(inside, self.starts[clips][:, None] + steps, 0)
        return self.resident[places].float() * inside[..., None]


def load(table: Table, features: Sequence[str], device: str) -> Store:
    """The frames that a manifest points to, of one feature or of several side by side."""
    clips = manifest.column(table, "clip")
    views: list[list[np.ndarray]] = [[] for _ in clips]
    for feature in features:
        _require(table, feature)
        reader = shards.Reader(feature)
        place = [manifest.column(table, f"{feature}_{part}") for part in ("shard", "offset", "rows")]
        for held, clip, shard, offset, rows in zip(views, clips, *place, strict=True):
            if shard is None:
                raise SertoolError(f"{clip} has no {feature}: run featurize on this manifest again")
            held.append(reader.rows(clip, shard, offset, rows))
    _require_alike(clips, views, features)
    store = Store(views, sum(part.shape[1] for part in views[0]) if views else 0, torch.device(device))
    return _resident(store) if store.device.type != "cpu" else store


def _require(table: Table, feature: str) -> None:
    if f"{feature}_shard" not in table.column_names:
        there = featured(table)
        has = f"it has {listed(there)}" if there else "it has none"
        raise UsageError(f"the manifest has no feature {feature}; {has}: run `sertool featurize --{feature}` first")


def featured(table: Table) -> list[str]:
    """The features that a manifest points to."""
    return [name.removesuffix("_shard") for name in table.column_names if name.endswith("_shard")]


def _require_alike(clips: Sequence[str], views: Sequence[Sequence[np.ndarray]], features: Sequence[str]) -> None:
    for clip, parts in zip(clips, views, strict=True):
        if len({len(part) for part in parts}) > 1:
            counts = ", ".join(f"{name} {len(part)}" for name, part in zip(features, parts, strict=True))
            raise SertoolError(f"{clip}: its features have different numbers of rows ({counts}): use equal hops")


def _resident(store: Store) -> Store:
    """The store with its frames on the device, if they fit."""
    lengths = store.lengths
    itemsize = max(part.itemsize for part in store.views[0]) if store.views else 4
    if store.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(store.device)
        if lengths.sum() * store.columns * itemsize > RESIDENT_SHARE * free:
            return store
    packed = np.concatenate([np.concatenate(parts, axis=1) for parts in store.views])
    store.resident = torch.from_numpy(packed).to(store.device)
    store.starts = torch.from_numpy(np.cumsum(lengths) - lengths).to(store.device)
    return store


def shuffled(clips: np.ndarray, lengths: np.ndarray, size: int, generator: np.random.Generator) -> list[np.ndarray]:
    """All clips in random batches of `size`, those of a batch alike in length; `lengths` is of each of `clips`."""
    order = generator.permutation(len(clips))
    batches = []
    for start in range(0, len(order), size * SORTED_BATCHES):
        chunk = order[start : start + size * SORTED_BATCHES]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        batches += [clips[chunk[first : first + size]] for first in range(0, len(chunk), size)]
    return [batches[index] for index in generator.permutation(len(batches))]


def in_order(clips: np.ndarray, lengths: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Clips by length, for evaluation: a batch pads little."""
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), size):
        yield clips[order[start : start + size]]


@dataclass(frozen=True)
class Scaling:
    """Mean and deviation by column that rows are freed of: of the training rows, or of each speaker's own clips."""

    mode: str = "none"  # or corpus, or speaker
    mean: Tensor | None = None  # `[groups, columns]`
    deviation: Tensor | None = None

    def apply(self, rows: Tensor, lengths: Tensor, group: Tensor | None = None) -> Tensor:
        """`[clips, time, columns]` scaled, and zero again beyond each clip's length."""
        if self.mode == "none":
            return rows
        group = torch.zeros(len(rows), dtype=torch.long, device=rows.device) if group is None else group
        scaled = (rows - self.mean[group][:, None]) / self.deviation[group][:, None]
        inside = torch.arange(rows.shape[1], device=rows.device) < lengths[:, None]
        return scaled * inside[..., None]


def scaling(store: Store, clips: np.ndarray, mode: str, group: np.ndarray | None = None) -> Scaling:
    """What the rows of `clips` have for mean and deviation, as a whole or by group."""
    if mode == "none":
        return Scaling()
    group = np.zeros(len(store), np.int64) if group is None else group
    totals = np.zeros((int(group.max()) + 1, 2 * store.columns + 1))
    for clip in clips:
        rows = np.concatenate(store.views[clip], axis=1).astype(np.float64)
        totals[group[clip]] += np.concatenate([[len(rows)], rows.sum(axis=0), np.square(rows).sum(axis=0)])
    count = np.maximum(totals[:, :1], 1)
    mean = totals[:, 1 : store.columns + 1] / count
    deviation = np.sqrt(np.maximum(totals[:, store.columns + 1 :] / count - mean**2, 0))
    held = [torch.from_numpy(part).float().to(store.device) for part in (mean, np.maximum(deviation, 1e-5))]
    return Scaling(mode, *held)
