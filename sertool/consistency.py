"""Blocks that learn to hear through a change: of a copy they are to make what, as they began, they made of its clip.

It needs no label. At each layer, frame by frame, and in the mean and deviation over time, the squared difference counts
in units of how much a column varies between clips. Clips themselves count as well, so that they are heard as before.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sertool import batches, layers, manifest, talk
from sertool.errors import SertoolError, UsageError
from sertool.manifest import Table

SAMPLE, SAMPLE_BATCH = 192, 16  # clips that tell how much columns vary, and how many of them at once
LEAST = 1e-6  # of a variance

NO_COPIES = (
    "--steady learns from copies beside their clips, as long as these, and none train: run `sertool augment` without "
    "--speed first"
)

Streams = list[Tensor]  # what leaves each block, `[clips, frames, width]`


class Spread(NamedTuple):
    """How much the columns of a layer vary: its frames, `[width]`, and their mean and deviation, `[2 width]`."""

    frames: Tensor
    statistics: Tensor


class Ear(NamedTuple):
    """The blocks as they began, and what their differences are measured in."""

    model: Any
    spread: list[Spread]

    def unlike(self, heard: Streams, rows: Tensor, lengths: Tensor) -> Tensor:
        """How far what was heard is from what the blocks, as they began, make of `rows`, `[clips]`."""
        with torch.no_grad():
            wanted = self.model.streams(rows, lengths)
        valid = layers.valid(lengths, rows.shape[1], rows.device).float()
        parts = [_unlike(*pair, valid, spread) for *pair, spread in zip(heard, wanted, self.spread, strict=True)]
        return torch.stack(parts).mean(dim=0)


def _unlike(heard: Tensor, wanted: Tensor, valid: Tensor, spread: Spread) -> Tensor:
    heard, wanted = heard.float(), wanted.float()
    apart = (heard - wanted).square().mul(1 / spread.frames).mean(dim=2)
    frames = (apart * valid).sum(dim=1) / valid.sum(dim=1)
    moved = _statistics(heard, valid) - _statistics(wanted, valid)
    return frames + moved.square().mul(1 / spread.statistics).mean(dim=1)


def _statistics(stream: Tensor, valid: Tensor) -> Tensor:
    """Mean and deviation over a clip's frames, `[clips, 2 width]`."""
    share = (valid / valid.sum(dim=1, keepdim=True))[..., None]
    mean = (stream * share).sum(dim=1)
    variance = ((stream - mean[:, None]).square() * share).sum(dim=1)
    return torch.cat([mean, (variance + LEAST).sqrt()], dim=1)


def require(model: type, share: float, teacher: str | None, moved: Sequence[str]) -> None:
    """Refuse what cannot be taught so, before anything is made for it; `moved` are options that set rows apart."""
    if teacher and share == 1:
        raise UsageError("--steady 1 learns no emotion, from no --teacher either: leave that out, or let some share do")
    if not hasattr(model, "streams"):
        raise UsageError("--steady is for the blocks of an encoder: train with -m whisper")
    if moved:
        raise UsageError(
            f"--steady does not go with --{moved[0]}: rows that it changes are no longer those of a copy and its clip"
            + (" (but --mixes summary leaves them)" if moved[0] == "mixup" else "")
        )


def ear(model: Any, data: Any, precision: str) -> Ear:
    """What a model's blocks make of clips now, before they learn."""
    began = copy.deepcopy(model).eval().requires_grad_(False)
    own = np.unique(data.original[data.train])
    own = own[own >= 0]
    some = own[np.linspace(0, len(own) - 1, min(SAMPLE, len(own))).astype(int)]
    return Ear(began, _spreads(_asked(began, data, some, precision)))


@torch.no_grad()
def _asked(model: Any, data: Any, clips: np.ndarray, precision: str) -> Iterator[tuple[Streams, Tensor]]:
    """Batch after batch, what leaves each block and where clips have frames."""
    for places in batches.in_order(data.store.lengths[clips], SAMPLE_BATCH):
        rows, lengths = data.rows(clips[places])
        with torch.autocast(rows.device.type, torch.bfloat16, enabled=precision == "bf16"):
            made = [stream.float() for stream in model.streams(rows, lengths)]
        yield made, layers.valid(lengths, rows.shape[1], rows.device)


def _spreads(asked: Iterable[tuple[Streams, Tensor]]) -> list[Spread]:
    found = [
        [(stream[valid], _statistics(stream, valid.float())) for stream in streams] for streams, valid in asked
    ]  # of each batch, of each layer
    return [Spread(*(_variance(parts) for parts in zip(*layer, strict=True))) for layer in zip(*found, strict=True)]


def _variance(parts: Sequence[Tensor]) -> Tensor:
    """Of each column, `[columns]`, of `[rows, columns]` in parts."""
    return torch.cat(parts).var(dim=0, correction=0).clamp(min=LEAST)


def require_copies(table: Table) -> None:
    """Refuse rows among which there are only clips as they are."""
    if manifest.originals(table).all():
        raise SertoolError(NO_COPIES)


def originals(table: Table, lengths: np.ndarray, train: np.ndarray) -> np.ndarray:
    """For each row where the clip is that it is a copy of, itself if it is none; -1 if that is not there as long."""
    copy = ~manifest.originals(table)
    clips = zip(manifest.column(table, "clip"), copy, strict=True)
    found = manifest.own_or_parents(table, {clip: place for place, (clip, is_copy) in enumerate(clips) if not is_copy})
    found, copies = np.where(lengths[found] == lengths, found, -1), copy[train]
    if not (copies & (found[train] >= 0)).any():
        raise SertoolError(NO_COPIES)
    if lost := int((found[train] < 0).sum()):
        talk.warn(
            f"--steady: {lost:,} of {copies.sum():,} copies are longer or shorter than their clips, and teach nothing"
        )
    return found
