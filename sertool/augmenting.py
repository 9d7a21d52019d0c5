"""Augmentation of batches of frames, with the dice passed in: `[clips, time, columns]` of which `lengths` are real."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Changes:
    """What may happen to a clip's frames while a model trains."""

    time_masks: int = 0
    time_width: int = 30
    column_masks: int = 0
    column_width: int = 12
    mask_share: float = 1.0  # of the clips
    shift: float = 0.0  # of the length, to and fro
    noise: float = 0.0  # deviation of Gaussian noise
    gain: float = 0.0  # greatest offset of all columns, to and fro


def changed(rows: Tensor, lengths: Tensor, changes: Changes, dice: torch.Generator) -> Tensor:
    """The batch with each clip changed in its own way."""
    if changes.shift:
        rows = shifted(rows, lengths, changes.shift, dice)
    if changes.gain:
        rows = rows + (_drawn(len(rows), dice) * 2 - 1).to(rows)[:, None, None] * changes.gain
    if changes.noise:
        rows = rows + torch.randn(rows.shape, generator=dice).to(rows) * changes.noise
    chosen = _drawn(len(rows), dice) < changes.mask_share
    keep = torch.ones(rows.shape[:2], dtype=torch.bool)
    for _ in range(changes.time_masks):
        keep &= ~(_bars(lengths.cpu(), rows.shape[1], changes.time_width, dice) & chosen[:, None])
    columns = torch.ones(len(rows), rows.shape[2], dtype=torch.bool)
    full = torch.full((len(rows),), rows.shape[2])
    for _ in range(changes.column_masks):
        columns &= ~(_bars(full, rows.shape[2], changes.column_width, dice) & chosen[:, None])
    inside = torch.arange(rows.shape[1]) < lengths.cpu()[:, None]
    return rows * (keep & inside).to(rows)[..., None] * columns.to(rows)[:, None]


def shifted(rows: Tensor, lengths: Tensor, share: float, dice: torch.Generator) -> Tensor:
    """Each clip rolled in time by up to `share` of its length."""
    steps = torch.arange(rows.shape[1], device=rows.device)
    by = ((_drawn(len(rows), dice) * 2 - 1).to(rows.device) * share * lengths).long()
    places = torch.where(
        steps < lengths[:, None], (steps - by[:, None]).remainder(lengths[:, None].clamp(min=1)), steps
    )
    return rows.gather(1, places[..., None].expand_as(rows))


def _drawn(count: int, dice: torch.Generator) -> Tensor:
    return torch.rand(count, generator=dice)


def _bars(lengths: Tensor, size: int, width: int, dice: torch.Generator) -> Tensor:
    """One bar of at most `width` within each length, bool `[clips, size]`."""
    wide = (_drawn(len(lengths), dice) * (torch.minimum(lengths, torch.tensor(width)) + 1)).long()
    start = (_drawn(len(lengths), dice) * (lengths - wide + 1)).long()
    steps = torch.arange(size)
    return (steps >= start[:, None]) & (steps < (start + wide)[:, None])


def mixed(rows: Tensor, lengths: Tensor, alpha: float, dice: torch.Generator) -> tuple[Tensor, Tensor, Tensor, float]:
    """Mixup: rows, lengths, each clip's partner and its own share; the longer of the two gives the length."""
    seed = int(torch.randint(2**62, (1,), generator=dice))
    share = float(np.random.default_rng(seed).beta(alpha, alpha))
    partner = torch.randperm(len(rows), generator=dice).to(rows.device)
    blended = share * rows + (1 - share) * rows[partner]
    return (
        blended,
        torch.maximum(lengths, lengths[partner]),
        partner,
        torch.full((len(rows),), share, device=rows.device),
    )
