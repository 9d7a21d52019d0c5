"""Scale each column of rows by mean and deviation, of all training rows or of the speaker's; perhaps reduce columns."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sertool.errors import SertoolError
from sertool.modelfiles.batches import Store
from sertool.modelfiles.modelfile import ModelFile
from sertool.networks.classical import deviation_of
from sertool.networks.padding import real_frames

NAMES = tuple(f"scaling.{part}" for part in ("mean", "deviation", "matrix", "offsets"))  # in a model file
ADAPTS = {"corpus": "speaker", "none": "moved"}  # the mode that --adapt turns each way to scale into
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
    offsets: Tensor | None = None  # what each emotion adds to anyone's mean, `[emotions, columns]`
    prior_clips: float = 0.0  # the weight of everybody's statistics beside a speaker's own, in clips

    @property
    def adapts(self) -> bool:
        """Whether it can be adapted to speakers."""
        return self.mode in ADAPTS.values()

    @property
    def everybody(self) -> tuple[Tensor, Tensor]:
        """Everybody's mean and deviation, `[columns]`; 0 and 1 if rows are not scaled."""
        if self.mean is None or self.deviation is None:
            return torch.zeros(1), torch.ones(1)
        return self.mean[0], self.deviation[0]

    def apply(self, rows: Tensor, lengths: Tensor, group: Tensor | None = None) -> Tensor:
        """Scale rows, `[clips, time, columns]`, and set them to zero again beyond each clip's length."""
        if self.mean is not None and self.deviation is not None:
            group = torch.zeros(len(rows), dtype=torch.long, device=rows.device) if group is None else group
            rows = (rows - self.mean[group][:, None]) / self.deviation[group][:, None]
            rows = rows * self.deviation[0] + self.mean[0] if self.mode == "moved" else rows
            rows = rows * real_frames(lengths, rows.shape[1], rows.device)[..., None]
        return rows if self.matrix is None else rows @ self.matrix

    def then(self, offset: np.ndarray, matrix: np.ndarray, device: torch.device) -> "Scaling":
        """Return this scaling followed by `(rows - offset) @ matrix`, on a device.

        If this scaling has a matrix already, it must select columns. Its transpose then undoes it, so that the offset
        can be moved into the mean of all columns.
        """
        far, by = (torch.from_numpy(np.asarray(part, np.float32)) for part in (offset, matrix))
        choice = torch.eye(len(by)) if self.matrix is None else self.matrix.cpu()
        shift = (choice @ far)[None]
        mean, deviation = torch.zeros_like(shift), torch.ones_like(shift)
        if self.mean is not None and self.deviation is not None:
            mean, deviation = self.mean.cpu(), self.deviation.cpu()
        return Scaling("corpus", (mean + deviation * shift).to(device), deviation.to(device), (choice @ by).to(device))

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the tensors for a model file: only everybody's statistics, as the model will meet other speakers."""
        first = [None if part is None else part[:1] for part in (self.mean, self.deviation)]
        parts = zip(NAMES, (*first, self.matrix, self.offsets), strict=True)
        return {name: value.cpu().numpy() for name, value in parts if value is not None}


def tensors_of(parts: Iterable[np.ndarray], device: torch.device) -> list[Tensor]:
    return [torch.from_numpy(part).float().to(device) for part in parts]


def kept(model_file: ModelFile, device: torch.device) -> Scaling:
    """Return the scaling stored in a model file; refuse one that does not fit the file."""
    parts = [model_file.tensors.get(name) for name in NAMES]
    if not _fits(model_file, *parts):
        raise SertoolError("the model file lacks its own normalisation, or has one that does not fit it")
    mean, deviation, matrix, offsets = (
        None if part is None else torch.from_numpy(np.array(part)).to(device) for part in parts
    )
    return Scaling(model_file.scaling, mean, deviation, matrix, offsets, model_file.prior_clips)


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


def of_clips(store: Store, clips: Iterable[int], mode: str, prior_clips: float = 0.0) -> Scaling:
    """Return the scaling by mean and deviation of the rows of some clips.

    The first row is subtracted before they are summed: else rounding would swallow the variance of columns that hardly
    change.
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
    tensors = tensors_of((mean, deviation_of(mean, np.maximum(squares - near**2, 0))), store.device)
    return Scaling(mode, tensors[0], tensors[1], prior_clips=prior_clips)
