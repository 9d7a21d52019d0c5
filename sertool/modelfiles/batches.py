"""Make batches on the device from shards.

No worker processes are needed, since a batch is a few copies out of mapped memory. If all frames fit on the device,
they go there once, end to end, and a batch is one indexed read of them. On a CPU they stay in the shards' memory maps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sertool.errors import SertoolError, UsageError
from sertool.featurize import shards
from sertool.featurize.shards import Shard
from sertool.manifests import columns, manifest
from sertool.manifests.manifest import Table
from sertool.networks.padding import real_frames
from sertool.pretraining import encoder_trainings
from sertool.pretraining.encoder_trainings import EncoderTraining
from sertool.system.files import listed
from sertool.system.paths import path_of

SORTED_BATCHES = 32  # clips are sorted by length within this many batches, to pad little
AT_ONCE = 64  # clips that are answered in one batch
STEP_FRAMES = 16  # frames: the length of long batches is a multiple of it
UNLIKE = 2  # a clip more than this many times as long as another is not in a batch with it
RESIDENT_SHARE = 0.5  # of the device's free memory may go to frames


@dataclass
class Store:
    """The frames of clips, in the order of the table's rows."""

    views: list[list[np.ndarray]]  # a list per clip, with `[rows, width]` per feature
    lengths: np.ndarray  # int64 `[clips]`: number of rows
    columns: int
    device: torch.device
    records: dict[str, Any]  # how each feature was made, as recorded in its shards
    keys: list[str]  # of the shards
    resident: Tensor | None = None  # `[all rows, columns]`
    starts: Tensor | None = None  # `[clips]`
    encoder_trainings: list[EncoderTraining] = field(
        default_factory=list
    )  # what the features' encoders were trained on

    def __len__(self) -> int:
        return len(self.views)

    def take(self, clips: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return the clips' rows, zero-padded, `[clips, time, columns]`, and their lengths, `[clips]`, on the CPU."""
        lengths = torch.from_numpy(self.lengths[clips])
        if self.resident is not None and self.starts is not None:
            starts = self.starts[torch.from_numpy(clips).to(self.device, non_blocking=True)]
            return self._gathered(self.resident, starts, lengths), lengths
        rows = np.zeros((len(clips), rounded(int(lengths.max())), self.columns), np.float32)
        for target, clip in zip(rows, clips, strict=True):
            start = 0
            for part in self.views[clip]:
                target[: len(part), start : start + part.shape[1]] = part
                start += part.shape[1]
        return torch.from_numpy(rows).to(self.device), lengths

    def _gathered(self, resident: Tensor, starts: Tensor, lengths: Tensor) -> Tensor:
        steps = torch.arange(rounded(int(lengths.max())), device=self.device)
        inside = real_frames(lengths, len(steps), self.device)
        return resident[torch.where(inside, starts[:, None] + steps, 0)].float() * inside[..., None]


def rounded(time: int) -> int:
    """Return the padded length of a batch.

    Kernels and their memory are cached for each length, so there should be few lengths.
    """
    return time if time < STEP_FRAMES * 4 else -(-time // STEP_FRAMES) * STEP_FRAMES


def load(table: Table, features: Sequence[str], device: str) -> Store:
    """Load the frames that a manifest points to; several features are put side by side."""
    clips = manifest.column(table, "clip")
    views: list[list[np.ndarray]] = [[] for _ in clips]
    shards_of = {feature: heads(table, feature) for feature in features}
    for feature in features:
        reader = shards.Reader(feature, shards_of[feature][0].settings)
        place = [manifest.column(table, name) for name in columns.of_feature(feature)]
        for of_clip, clip, shard, offset, rows in zip(views, clips, *place, strict=True):
            if shard is None:
                raise SertoolError(f"{clip} has no {feature}: run featurize on this manifest again")
            of_clip.append(reader.rows(clip, shard, offset, rows))
    _require_alike(clips, views, features)
    lengths = np.array([len(parts[0]) for parts in views], np.int64)
    records = {feature: own[0].settings for feature, own in shards_of.items()}
    used = [head for own in shards_of.values() for head in own]
    keys = [head.key for head in used]
    store = Store(views, lengths, sum(part.shape[1] for part in views[0]), torch.device(device), records, keys)
    store.encoder_trainings = trainings(used)
    return _resident(store) if store.device.type != "cpu" else store


def heads(table: Table, feature: str) -> list[Shard]:
    """Return the headers of a feature's shards."""
    require_features([feature], featured(table))
    paths = sorted(manifest.present(table, f"{feature}_shard"))
    if not paths:
        raise SertoolError(f"no clip has {feature}: run featurize on this manifest again")
    return [shards.head_of(Path(path_of(path))) for path in paths]


def require_features(requested: Sequence[str], present: Sequence[str]) -> None:
    """Refuse features that are not present."""
    for feature in requested:
        if feature not in present:
            has = f"it has {listed(present)}" if present else "it has none"
            raise UsageError(f"the manifest has no feature {feature}; {has}: run `sertool featurize --{feature}` first")


def trainings(heads: Sequence[Shard]) -> list[EncoderTraining]:
    """Return what the encoders of some shards were trained on, as far as recorded there."""
    return encoder_trainings.without_repeats(training for head in heads for training in head.encoder_trainings)


def featured(table: Table) -> list[str]:
    """Return the features that a manifest points to."""
    return columns.features(table.column_names)


def _require_alike(clips: Sequence[str], views: Sequence[Sequence[np.ndarray]], features: Sequence[str]) -> None:
    for clip, parts in zip(clips, views, strict=True):
        if len({len(part) for part in parts}) > 1:
            counts = ", ".join(f"{name} {len(part)}" for name, part in zip(features, parts, strict=True))
            raise SertoolError(
                f"{clip}: its features have different numbers of rows ({counts}): "
                "featurize with one --hop or with --stats, or choose some with --features"
            )


def _resident(store: Store) -> Store:
    """Return the store with its frames moved to the device, if they fit."""
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
    """Return all clips in random batches of clips of similar length; `lengths` has one entry for each of `clips`."""
    order = generator.permutation(len(clips))
    batches = []
    for start in range(0, len(order), size * SORTED_BATCHES):
        chunk = order[start : start + size * SORTED_BATCHES]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        batches += [clips[chunk[first : first + size]] for first in range(0, len(chunk), size)]
    return [batches[index] for index in generator.permutation(len(batches))]


def in_order(lengths: np.ndarray, size: int = AT_ONCE) -> Iterator[np.ndarray]:
    """Yield batches of indices into `lengths`, sorted by length, so that there is little padding in evaluation."""
    order = np.argsort(lengths, kind="stable")
    ascending = lengths[order]
    start = 0
    while start < len(order):
        longest = UNLIKE * max(ascending[start], STEP_FRAMES * 4)
        end = min(start + size, int(np.searchsorted(ascending, longest, side="right")))
        yield order[start:end]
        start = end


def doubled_if_single(places: np.ndarray, precision: str) -> np.ndarray:
    """Return the places of a batch, a single one twice in bf16, whose kernels round a lone clip unlike several."""
    return places.repeat(2) if precision == "bf16" and len(places) == 1 else places
