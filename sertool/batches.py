"""From shards to batches on the device: no worker processes, since a batch is a few copies out of mapped memory.

Where all frames fit on the device they go there once, end to end, and a batch is one indexed read of them. On a CPU
they stay in the shards' memory maps.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sertool import columns, manifest, shards, taught_encoders
from sertool.errors import SertoolError, UsageError
from sertool.files import listed
from sertool.fitted import deviation_of
from sertool.manifest import Table
from sertool.modelfile import ModelFile
from sertool.paths import path_of
from sertool.shards import Shard
from sertool.taught_encoders import Lesson

SORTED_BATCHES = 32  # within so many batches clips are sorted by length, so that there is little padding
AT_ONCE = 64  # clips that are answered together
STEP = 16  # frames: long batches have a multiple of it
UNLIKE = 2  # times as long as another is too long for a batch with it
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
    lessons: list[Lesson] = field(default_factory=list)  # of the encoders that made the features

    def __len__(self) -> int:
        return len(self.views)

    def take(self, clips: np.ndarray) -> tuple[Tensor, Tensor]:
        """The clips' rows padded with zeros, `[clips, time, columns]`, and their lengths, `[clips]`, on the CPU."""
        lengths = torch.from_numpy(self.lengths[clips])
        if self.resident is not None:
            return self._gathered(torch.from_numpy(clips), lengths), lengths
        rows = np.zeros((len(clips), rounded(int(lengths.max())), self.columns), np.float32)
        for target, clip in zip(rows, clips, strict=True):
            start = 0
            for part in self.views[clip]:
                target[: len(part), start : start + part.shape[1]] = part
                start += part.shape[1]
        return torch.from_numpy(rows).to(self.device), lengths

    def _gathered(self, clips: Tensor, lengths: Tensor) -> Tensor:
        steps = torch.arange(rounded(int(lengths.max())), device=self.device)
        inside = steps < lengths.to(self.device, non_blocking=True)[:, None]
        starts = self.starts[clips.to(self.device, non_blocking=True)]
        return self.resident[torch.where(inside, starts[:, None] + steps, 0)].float() * inside[..., None]


def rounded(time: int) -> int:
    """The padded length of a batch: kernels and their memory are cached for each length, so lengths should be few."""
    return time if time < STEP * 4 else -(-time // STEP) * STEP


def load(table: Table, features: Sequence[str], device: str) -> Store:
    """The frames that a manifest points to, of one feature or of several side by side."""
    clips = manifest.column(table, "clip")
    views: list[list[np.ndarray]] = [[] for _ in clips]
    heads = {feature: _heads(table, feature) for feature in features}
    for feature in features:
        reader = shards.Reader(feature, heads[feature][0].settings)
        place = [manifest.column(table, name) for name in columns.of_feature(feature)]
        for of_clip, clip, shard, offset, rows in zip(views, clips, *place, strict=True):
            if shard is None:
                raise SertoolError(f"{clip} has no {feature}: run featurize on this manifest again")
            of_clip.append(reader.rows(clip, shard, offset, rows))
    _require_alike(clips, views, features)
    lengths = np.array([len(parts[0]) for parts in views], np.int64)
    records = {feature: of_clip[0].settings for feature, of_clip in heads.items()}
    keys = [head.key for of_clip in heads.values() for head in of_clip]
    store = Store(views, lengths, sum(part.shape[1] for part in views[0]), torch.device(device), records, keys)
    store.lessons = _lessons([head for of_clip in heads.values() for head in of_clip])
    return _resident(store) if store.device.type != "cpu" else store


def _heads(table: Table, feature: str) -> list[Shard]:
    """The headers of a feature's shards."""
    require_features([feature], featured(table))
    paths = sorted(path for path, _ in manifest.counts(table, f"{feature}_shard"))
    if not paths:
        raise SertoolError(f"no clip has {feature}: run featurize on this manifest again")
    return [shards.head_of(Path(path_of(path))) for path in paths]


def require_features(requested: Sequence[str], present: Sequence[str]) -> None:
    """Refuse features that are not among those that there are."""
    for feature in requested:
        if feature not in present:
            has = f"it has {listed(present)}" if present else "it has none"
            raise UsageError(f"the manifest has no feature {feature}; {has}: run `sertool featurize --{feature}` first")


def records(table: Table, features: Sequence[str]) -> dict[str, Any]:
    """How each feature was made, as its shards record it."""
    return {feature: _heads(table, feature)[0].settings for feature in features}


def lessons(table: Table, features: Sequence[str]) -> dict[str, list[Lesson]]:
    """What the encoder that made each feature was trained on, as far as its shards say so."""
    return {feature: _lessons(_heads(table, feature)) for feature in features}


def _lessons(heads: Sequence[Shard]) -> list[Lesson]:
    return taught_encoders.without_repeats(lesson for head in heads for lesson in head.lessons)


def width(table: Table, features: Sequence[str]) -> int:
    """How many columns the shards of some features have together."""
    return sum(len(_heads(table, feature)[0].columns) for feature in features)


def featured(table: Table) -> list[str]:
    """The features that a manifest points to."""
    return columns.features(table.column_names)


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


def in_order(lengths: np.ndarray, size: int = AT_ONCE) -> Iterator[np.ndarray]:
    """The places of clips by length, for evaluation: a batch pads little, even where one clip is far longer."""
    order = np.argsort(lengths, kind="stable")
    ascending = lengths[order]
    start = 0
    while start < len(order):
        longest = UNLIKE * max(ascending[start], STEP * 4)
        end = min(start + size, int(np.searchsorted(ascending, longest, side="right")))
        yield order[start:end]
        start = end


SCALING = tuple(f"scaling.{part}" for part in ("mean", "deviation", "matrix", "offsets"))  # names in a model file
ADAPTS = {"corpus": "speaker", "none": "moved"}  # what --adapt makes of a way to scale
MODES = ("corpus", *ADAPTS.values())


@dataclass(frozen=True)
class Scaling:
    """Normalisation of rows by the mean and deviation of each column: those of all training rows or of the speaker's.

    Group 0 is for unknown speakers and has those of everybody; the other groups are speakers. The normalised rows may
    be mapped to fewer columns by a matrix. In the mode `moved`, everybody's mean and deviation are put in place of the
    speaker's.
    """

    mode: str = "none"  # or corpus, speaker, moved
    mean: Tensor | None = None  # `[groups, columns]`
    deviation: Tensor | None = None
    matrix: Tensor | None = None  # `[columns, fewer]`
    offsets: Tensor | None = None  # what each emotion adds to anybody's mean, `[emotions, columns]`
    prior_clips: float = 0.0  # for how many clips everybody's statistics count beside a speaker's own

    @property
    def adapts(self) -> bool:
        """Whether it can be adapted to speakers."""
        return self.mode in ADAPTS.values()

    def apply(self, rows: Tensor, lengths: Tensor, group: Tensor | None = None) -> Tensor:
        """`[clips, time, columns]` scaled, and zero again beyond each clip's length."""
        if self.mode != "none":
            group = torch.zeros(len(rows), dtype=torch.long, device=rows.device) if group is None else group
            rows = (rows - self.mean[group][:, None]) / self.deviation[group][:, None]
            rows = rows * self.deviation[0] + self.mean[0] if self.mode == "moved" else rows
            inside = torch.arange(rows.shape[1], device=rows.device) < lengths.to(rows.device)[:, None]
            rows = rows * inside[..., None]
        return rows if self.matrix is None else rows @ self.matrix

    def then(self, offset: np.ndarray, matrix: np.ndarray, device: torch.device) -> "Scaling":
        """This followed by `(rows - offset) @ matrix`, for rows on a device.

        A matrix that is there already must be a choice of columns.
        The transpose of such a matrix undoes it, so that the offset can be moved into the mean of all columns.
        """
        far, by = (torch.from_numpy(np.asarray(part, np.float32)) for part in (offset, matrix))
        choice = torch.eye(len(by)) if self.matrix is None else self.matrix.cpu()
        shift = (choice @ far)[None]
        mean, deviation = torch.zeros_like(shift), torch.ones_like(shift)
        if self.mean is not None:
            mean, deviation = self.mean.cpu(), self.deviation.cpu()
        parts = (mean + deviation * shift, deviation, choice @ by)
        return Scaling("corpus", *(part.to(device) for part in parts))

    def tensors(self) -> dict[str, np.ndarray]:
        """What a model file keeps of it: everybody's statistics alone, as it will be used on other speakers."""
        first = [None if part is None else part[:1] for part in (self.mean, self.deviation)]
        parts = zip(SCALING, (*first, self.matrix, self.offsets), strict=True)
        return {name: value.cpu().numpy() for name, value in parts if value is not None}


def tensors_of(parts: Iterable[np.ndarray], device: torch.device) -> list[Tensor]:
    return [torch.from_numpy(part).float().to(device) for part in parts]


def kept_scaling(model_file: ModelFile, device: torch.device) -> Scaling:
    """The scaling that a model file keeps; one that does not fit the rest of it is refused."""
    parts = [model_file.tensors.get(name) for name in SCALING]
    if not _fits(model_file, *parts):
        raise SertoolError("the model file lacks its own normalisation, or has one that does not fit it")
    tensors = (None if part is None else torch.from_numpy(np.array(part)).to(device) for part in parts)
    return Scaling(model_file.scaling, *tensors, prior_clips=model_file.prior_clips)


def _fits(model: ModelFile, *parts: np.ndarray | None) -> bool:
    """Whether mean, deviation, matrix and offsets are present as the mode requires, finite and of the right shapes."""
    if any(part is not None and not (part.dtype == np.float32 and np.isfinite(part).all()) for part in parts):
        return False
    mean, deviation, matrix, offsets = parts
    if matrix is not None and (matrix.ndim != 2 or matrix.shape[1] != model.columns):
        return False
    if mean is None or deviation is None:
        return model.scaling == "none" and mean is None and deviation is None
    columns = model.columns if matrix is None else len(matrix)
    if model.scaling in ADAPTS.values() and (offsets is None or offsets.shape != (len(model.labels), columns)):
        return False
    return model.scaling in MODES and mean.shape == deviation.shape == (1, columns) and bool((deviation > 0).all())


def scaling(store: Store, clips: Iterable[int], mode: str, prior_clips: float = 0.0) -> Scaling:
    """The mean and deviation of the rows of some clips.

    The first row is subtracted before they are summed: else the variance of columns that hardly change would be lost in
    the rounding of their squares.
    """
    if mode == "none":
        return Scaling()
    total, far = np.zeros(2 * store.columns + 1), None
    for clip in clips:
        rows = np.concatenate(store.views[clip], axis=1).astype(np.float64)
        far = rows[0].copy() if far is None else far
        rows -= far
        total += np.concatenate([[len(rows)], rows.sum(axis=0), np.square(rows).sum(axis=0)])
    near, squares = total[1:].reshape(2, 1, -1) / max(total[0], 1)
    mean = near if far is None else near + far
    both = tensors_of((mean, deviation_of(mean, np.maximum(squares - near**2, 0))), store.device)
    return Scaling(mode, *both, prior_clips=prior_clips)
