"""From shards to batches on the device: no worker processes, since a batch is a few copies out of mapped memory.

Where all frames fit on the device they go there once, end to end, and a batch is one indexed read of them. On a CPU
they stay in the shards' memory maps.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sertool import manifest, shards
from sertool.errors import SertoolError, UsageError
from sertool.files import listed
from sertool.manifest import Table
from sertool.shards import Shard

SORTED_BATCHES = 32  # whose clips are put side by side by length, so that little is padded
RESIDENT_SHARE = 0.5  # of the device's free memory that frames may take


@dataclass
class Store:
    """The frames of clips, by the clip's place in the table."""

    views: list[list[np.ndarray]]  # of each clip, `[rows, width]` of each feature
    lengths: np.ndarray  # int64 `[clips]`: rows of each
    columns: int
    device: torch.device
    records: dict[str, Any]  # how each feature was made, as its shards say
    keys: list[str]  # of the shards
    resident: Tensor | None = None  # `[all rows, columns]`
    starts: Tensor | None = None  # `[clips]`

    def __len__(self) -> int:
        return len(self.views)

    def take(self, clips: np.ndarray) -> tuple[Tensor, Tensor]:
        """The clips' rows padded with zeros, `[clips, time, columns]`, and their lengths, `[clips]`, on the CPU."""
        lengths = torch.from_numpy(self.lengths[clips])
        if self.resident is not None:
            return self._gathered(torch.from_numpy(clips), lengths), lengths
        rows = np.zeros((len(clips), int(lengths.max()), self.columns), np.float32)
        for target, clip in zip(rows, clips, strict=True):
            start = 0
            for part in self.views[clip]:
                target[: len(part), start : start + part.shape[1]] = part
                start += part.shape[1]
        return torch.from_numpy(rows).to(self.device), lengths

    def _gathered(self, clips: Tensor, lengths: Tensor) -> Tensor:
        steps = torch.arange(int(lengths.max()), device=self.device)
        inside = steps < lengths.to(self.device, non_blocking=True)[:, None]
        starts = self.starts[clips.to(self.device, non_blocking=True)]
        return self.resident[torch.where(inside, starts[:, None] + steps, 0)].float() * inside[..., None]


def load(table: Table, features: Sequence[str], device: str) -> Store:
    """The frames that a manifest points to, of one feature or of several side by side."""
    clips = manifest.column(table, "clip")
    views: list[list[np.ndarray]] = [[] for _ in clips]
    heads = {feature: _heads(table, feature) for feature in features}
    for feature in features:
        reader = shards.Reader(feature, heads[feature][0].settings)
        place = [manifest.column(table, f"{feature}_{part}") for part in ("shard", "offset", "rows")]
        for held, clip, shard, offset, rows in zip(views, clips, *place, strict=True):
            if shard is None:
                raise SertoolError(f"{clip} has no {feature}: run featurize on this manifest again")
            held.append(reader.rows(clip, shard, offset, rows))
    _require_alike(clips, views, features)
    lengths = np.array([len(parts[0]) for parts in views], np.int64)
    records = {feature: held[0].settings for feature, held in heads.items()}
    keys = [head.key for held in heads.values() for head in held]
    store = Store(views, lengths, sum(part.shape[1] for part in views[0]), torch.device(device), records, keys)
    return _resident(store) if store.device.type != "cpu" else store


def _heads(table: Table, feature: str) -> list[Shard]:
    """What a feature's shards say of themselves."""
    if f"{feature}_shard" not in table.column_names:
        there = featured(table)
        has = f"it has {listed(there)}" if there else "it has none"
        raise UsageError(f"the manifest has no feature {feature}; {has}: run `sertool featurize --{feature}` first")
    paths = sorted(path for path, _ in manifest.counts(table, f"{feature}_shard"))
    if not paths:
        raise SertoolError(f"no clip has {feature}: run featurize on this manifest again")
    return [shards.head_of(Path(path)) for path in paths]


def featured(table: Table) -> list[str]:
    """The features that a manifest points to."""
    return [name.removesuffix("_shard") for name in table.column_names if name.endswith("_shard")]


def _require_alike(clips: Sequence[str], views: Sequence[Sequence[np.ndarray]], features: Sequence[str]) -> None:
    for clip, parts in zip(clips, views, strict=True):
        if len({len(part) for part in parts}) > 1:
            counts = ", ".join(f"{name} {len(part)}" for name, part in zip(features, parts, strict=True))
            raise SertoolError(
                f"{clip}: its features have different numbers of rows ({counts}): "
                "featurize with one --hop, or choose some with --features"
            )


def _resident(store: Store) -> Store:
    """The store with its frames on the device, if they fit."""
    if store.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(store.device)
        itemsize = max(part.itemsize for part in store.views[0])
        if store.lengths.sum() * store.columns * itemsize > RESIDENT_SHARE * free:
            return store
    packed = np.concatenate([np.concatenate(parts, axis=1) for parts in store.views])
    store.resident = torch.from_numpy(packed).to(store.device)
    store.starts = torch.from_numpy(np.cumsum(store.lengths) - store.lengths).to(store.device)
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


def in_order(lengths: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """The places of clips by length, for evaluation: a batch pads little."""
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), size):
        yield order[start : start + size]


SCALING = ("scaling.mean", "scaling.deviation", "scaling.matrix")  # its tensors' names in a model file


@dataclass(frozen=True)
class Scaling:
    """Mean and deviation by column that rows are freed of: of the training rows, or of each speaker's own clips.

    What is left may be mapped to fewer columns by a matrix.
    """

    mode: str = "none"  # or corpus, or speaker
    mean: Tensor | None = None  # `[groups, columns]`
    deviation: Tensor | None = None
    matrix: Tensor | None = None  # `[columns, fewer]`

    def apply(self, rows: Tensor, lengths: Tensor, group: Tensor | None = None) -> Tensor:
        """`[clips, time, columns]` scaled, and zero again beyond each clip's length."""
        if self.mode != "none":
            group = torch.zeros(len(rows), dtype=torch.long, device=rows.device) if group is None else group
            rows = (rows - self.mean[group][:, None]) / self.deviation[group][:, None]
            inside = torch.arange(rows.shape[1], device=rows.device) < lengths.to(rows.device)[:, None]
            rows = rows * inside[..., None]
        return rows if self.matrix is None else rows @ self.matrix

    def then(self, offset: np.ndarray, matrix: np.ndarray) -> "Scaling":
        """This, and `(rows - offset) @ matrix` of the result; columns may have been chosen before, not mapped.

        A choice is undone by its matrix transposed, so the offset can be taken from the mean of all columns.
        """
        far, by = (torch.from_numpy(np.asarray(part, np.float32)) for part in (offset, matrix))
        chosen = torch.eye(len(by)) if self.matrix is None else self.matrix.cpu()
        shift, device = (chosen @ far)[None], torch.device("cpu") if self.mean is None else self.mean.device
        mean, deviation = torch.zeros_like(shift), torch.ones_like(shift)
        if self.mean is not None:
            mean, deviation = self.mean.cpu(), self.deviation.cpu()
        held = (mean + deviation * shift, deviation, chosen @ by)
        return Scaling("corpus", *(part.to(device) for part in held))

    def tensors(self) -> dict[str, np.ndarray]:
        """What a model file keeps of it: not the speakers', whom nobody will meet again."""
        parts = zip(SCALING, (self.mean, self.deviation, self.matrix), strict=True)
        kept = {name: value.cpu().numpy() for name, value in parts if value is not None}
        return kept if self.mode != "speaker" else {name: kept[name] for name in kept if name == SCALING[2]}


def kept_scaling(mode: str, tensors: Mapping[str, np.ndarray], device: torch.device) -> Scaling:
    """The scaling that a model file keeps; of speakers, the rows come scaled already."""
    held = [torch.from_numpy(np.array(tensors[name])).to(device) if name in tensors else None for name in SCALING]
    if mode == "corpus" and (held[0] is None or held[1] is None or held[0].shape != held[1].shape):
        raise SertoolError("the model file lacks its own normalisation")
    return Scaling(mode if mode == "corpus" else "none", *held)


def scaling(store: Store, clips: Iterable[int], mode: str, group: np.ndarray | None = None) -> Scaling:
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
    deviation = np.where(deviation > 1e-5, deviation, 1.0)  # a column that never changes stays as it is
    return Scaling(mode, *(torch.from_numpy(part).float().to(store.device) for part in (mean, deviation)))
