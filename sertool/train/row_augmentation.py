"""Augment batches of frames during training: `[clips, time, columns]`, each clip as long as `lengths` says.

The generator is passed in and is on the rows' device, so that nothing waits for a transfer.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sertool.networks.padding import real_frames
from sertool.train.training_settings import Settings


def changed(rows: Tensor, lengths: Tensor, settings: Settings, rng: torch.Generator, sides: int = 1) -> Tensor:
    """Return the batch with each clip augmented independently; padding stays zero.

    The columns are those of `sides` channels side by side, which get the same masks.
    """
    lengths = lengths.to(rows.device, non_blocking=True)
    inside = real_frames(lengths, rows.shape[1], rows.device)[..., None]
    if settings.shift:
        rows = _shifted(rows, lengths, settings, rng)
    if settings.gain:
        rows = (rows + (2 * _random(len(rows), rng) - 1)[:, None, None] * settings.gain) * inside
    if settings.noise:
        noise = torch.randn(rows.shape, generator=rng, device=rows.device)
        rows = torch.where(inside, rows + noise * settings.noise, rows)
    if settings.time_masks or settings.column_masks:
        rows = rows * ~_masks(rows, lengths, settings, rng, sides)
    return rows


def _shifted(rows: Tensor, lengths: Tensor, settings: Settings, rng: torch.Generator) -> Tensor:
    """Roll a share of the clips in time, each by up to a share of its length."""
    steps = torch.arange(rows.shape[1], device=rows.device)
    by = ((_random(len(rows), rng) * 2 - 1) * settings.shift * lengths).long()[:, None]
    if settings.shift_share < 1:
        by = by * (_random(len(rows), rng) < settings.shift_share)[:, None]
    inside = real_frames(lengths, rows.shape[1], rows.device)
    places = torch.where(inside, (steps - by).remainder(lengths[:, None].clamp(min=1)), steps)
    return rows.gather(1, places[..., None].expand_as(rows))


def _masks(rows: Tensor, lengths: Tensor, settings: Settings, rng: torch.Generator, sides: int) -> Tensor:
    """Return the masked cells, bool `[clips, time, columns]`."""
    clips, time, columns = len(rows), rows.shape[1], rows.shape[2] // sides
    chosen = (_random(clips, rng) < settings.mask_share)[:, None]
    covered = torch.zeros(clips, time, columns, dtype=torch.bool, device=rows.device)
    for _ in range(settings.time_masks):
        covered |= (_bars(lengths, time, settings.time_width, rng) & chosen)[:, :, None]
    full = torch.full_like(lengths, columns)
    for _ in range(settings.column_masks):
        covered |= (_bars(full, columns, settings.column_width, rng) & chosen)[:, None]
    return covered.repeat(1, 1, sides)


def _random(count: int, rng: torch.Generator) -> Tensor:
    return torch.rand(count, generator=rng, device=rng.device)


def _bars(lengths: Tensor, size: int, width: int, rng: torch.Generator) -> Tensor:
    """Return one mask of at most `width` within each length, bool `[clips, size]`."""
    wide = (_random(len(lengths), rng) * (lengths.clamp(max=width) + 1)).long()
    start = (_random(len(lengths), rng) * (lengths - wide + 1)).long()
    steps = torch.arange(size, device=lengths.device)
    return (steps >= start[:, None]) & (steps < (start + wide)[:, None])


@dataclass(frozen=True)
class Mixup:
    """Mix each clip with a partner: `share` of the clip, the rest of the partner."""

    share: float
    partner: Tensor

    def of(self, values: Tensor) -> Tensor:
        return torch.lerp(values[self.partner.to(values.device)], values, self.share)

    def of_frames(self, rows: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Mix rows over time; the lengths are the longer of each pair."""
        return self.of(rows), torch.maximum(lengths, lengths[self.partner])
