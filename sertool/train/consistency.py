"""Train an encoder's blocks for consistency: for a copy, they should give what untrained blocks give for its clip.

It needs no label. The loss is a squared difference at each layer, of every frame and of the mean and deviation over
time, in units of how much a column varies between clips. Unchanged clips are in the loss as well, so that the blocks
keep their outputs for them.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sertool.errors import SertoolError, UsageError
from sertool.manifests import manifest
from sertool.manifests.manifest import Table
from sertool.modelfiles import batches
from sertool.networks.padding import real_frames
from sertool.system import talk

SAMPLE, SAMPLE_BATCH = 192, 16  # clips to estimate the columns' variances from, and how many at once
LEAST = 1e-6  # the smallest variance to divide by

NO_COPIES = (
    "--steady learns from copies beside their clips, as long as these, and none train: run `sertool augment` without "
    "--speed first"
)

BlockOutputs = list[Tensor]  # a tensor per block, `[clips, frames, width]`


class Spread(NamedTuple):
    """Variances of a layer's columns: of frames, `[width]`, and of a clip's mean and deviation, `[2 width]`."""

    frames: Tensor
    statistics: Tensor


class Reference(NamedTuple):
    """A frozen copy of the blocks from before training, and the variances that differences are divided by."""

    model: Any
    spread: list[Spread]
    original: np.ndarray  # `[clips]`: the clip whose outputs are the target of each; -1: none

    def distance(self, outputs: BlockOutputs, rows: Tensor, lengths: Tensor) -> Tensor:
        """Return the distance of outputs from those of the frozen blocks for `rows`, `[clips]`."""
        with torch.no_grad():
            targets = self.model.block_outputs(rows, lengths)
        valid = real_frames(lengths, rows.shape[1], rows.device).float()
        layers = zip(outputs, targets, self.spread, strict=True)
        return torch.stack([_distance(own, target, valid, spread) for own, target, spread in layers]).mean(dim=0)


def _distance(outputs: Tensor, targets: Tensor, valid: Tensor, spread: Spread) -> Tensor:
    outputs, targets = outputs.float(), targets.float()
    apart = (outputs - targets).square().mul(1 / spread.frames).mean(dim=2)
    frames = (apart * valid).sum(dim=1) / valid.sum(dim=1)
    moved = _statistics(outputs, valid) - _statistics(targets, valid)
    return frames + moved.square().mul(1 / spread.statistics).mean(dim=1)


def _statistics(output: Tensor, valid: Tensor) -> Tensor:
    """Return mean and deviation over a clip's frames, `[clips, 2 width]`."""
    share = (valid / valid.sum(dim=1, keepdim=True))[..., None]
    mean = (output * share).sum(dim=1)
    variance = ((output - mean[:, None]).square() * share).sum(dim=1)
    return torch.cat([mean, (variance + LEAST).sqrt()], dim=1)


def require(model: type, share: float, teacher: str | None, moved: Sequence[str]) -> None:
    """Refuse a model or options that do not go with --steady.

    `moved` are the given options that change rows so that a copy's frames no longer match its clip's.
    """
    if teacher and share == 1:
        raise UsageError("--steady 1 learns no emotion, from no --teacher either: leave that out, or let some share do")
    if not hasattr(model, "block_outputs"):
        raise UsageError("--steady is for the blocks of an encoder: train with -m whisper")
    if moved:
        raise UsageError(
            f"--steady does not go with --{moved[0]}: rows that it changes are no longer those of a copy and its clip"
            + (" (but --mixes summary leaves them)" if moved[0] == "mixup" else "")
        )


def reference(model: Any, data: Any, precision: str) -> Reference:
    """Return the reference for a model that has not been trained yet."""
    frozen = copy.deepcopy(model).eval().requires_grad_(False)
    originals = np.unique(data.original[data.train])
    originals = originals[originals >= 0]
    sample = originals[np.linspace(0, len(originals) - 1, min(SAMPLE, len(originals))).astype(int)]
    return Reference(frozen, _spreads(_outputs_of(frozen, data, sample, precision)), data.original)


@torch.no_grad()
def _outputs_of(model: Any, data: Any, clips: np.ndarray, precision: str) -> Iterator[tuple[BlockOutputs, Tensor]]:
    """Yield, for each batch, the outputs of every block, and which frames are valid, bool `[clips, frames]`."""
    for places in batches.in_order(data.store.lengths[clips], SAMPLE_BATCH):
        rows, lengths = data.rows(clips[places])
        with torch.autocast(rows.device.type, torch.bfloat16, enabled=precision == "bf16"):
            outputs = [output.float() for output in model.block_outputs(rows, lengths)]
        yield outputs, real_frames(lengths, rows.shape[1], rows.device)


def _spreads(batch_outputs: Iterable[tuple[BlockOutputs, Tensor]]) -> list[Spread]:
    """Return the variances of each layer, from the outputs of some batches."""
    pairs = [
        [(output[valid], _statistics(output, valid.float())) for output in outputs] for outputs, valid in batch_outputs
    ]  # [batches][layers]
    return [Spread(*(_variance(parts) for parts in zip(*layer, strict=True))) for layer in zip(*pairs, strict=True)]


def _variance(parts: tuple[Tensor, ...]) -> Tensor:
    """Return the variance of each column, `[columns]`, of `[rows, columns]` in parts."""
    return torch.cat(parts).var(dim=0, correction=0).clamp(min=LEAST)


def require_copies(table: Table) -> None:
    """Refuse a table without copies."""
    if manifest.originals(table).all():
        raise SertoolError(NO_COPIES)


def original_of(table: Table, lengths: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return the index of the clip that each row is a copy of, `[rows]`; its own if it is no copy.

    It is -1 if that clip is absent or of another length.
    """
    copy = ~manifest.originals(table)
    clips = zip(manifest.column(table, "clip"), copy, strict=True)
    places = {clip: place for place, (clip, is_copy) in enumerate(clips) if not is_copy}
    original = manifest.own_or_parents(table, places)
    original, copies = np.where(lengths[original] == lengths, original, -1), copy[train]
    if not (copies & (original[train] >= 0)).any():
        raise SertoolError(NO_COPIES)
    if lost := int((original[train] < 0).sum()):
        talk.warn(
            f"--steady: {lost:,} of {copies.sum():,} copies are longer or shorter than their clips, and teach nothing"
        )
    return original
