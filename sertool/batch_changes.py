"""Changes to batches of frames while a model trains: `[clips, time, columns]`, `lengths` of them real.

The generator is passed in and lies on the device of the rows, so that nothing waits for anything.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sertool.padding import real_frames


@dataclass(frozen=True)
class Changes:
    """What may happen to a clip's frames while a model trains."""

    time_masks: int
    time_width: int
    column_masks: int
    column_width: int
    mask_share: float  # of the clips
    shift: float  # of the length, to and fro
    noise: float  # deviation of Gaussian noise
    gain: float  # greatest offset of all columns, to and fro


def changed(rows: Tensor, lengths: Tensor, changes: Changes, rng: torch.Generator, sides: int = 1) -> Tensor:
    """The batch with each clip changed in its own way; beyond its length it stays zero.

    Columns are those of so many channels, one after the other, which bars cover alike.
    """
    lengths = lengths.to(rows.device, non_blocking=True)
    inside = real_frames(lengths, rows.shape[1], rows.device)[..., None]
    if changes.shift:
        rows = _shifted(rows, lengths, changes.shift, rng)
    if changes.gain:
        rows = (rows + (2 * _random(len(rows), rng) - 1)[:, None, None] * changes.gain) * inside
    if changes.noise:
        noise = torch.randn(rows.shape, generator=rng, device=rows.device)
        rows = torch.where(inside, rows + noise * changes.noise, rows)
    if changes.time_masks or changes.column_masks:
        rows = rows * ~_masks(rows, lengths, changes, rng, sides)
    return rows


def _shifted(rows: Tensor, lengths: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Each clip rolled in time by up to `share` of its length."""
    steps = torch.arange(rows.shape[1], device=rows.device)
    by = ((_random(len(rows), rng) * 2 - 1) * share * lengths).long()[:, None]
    inside = real_frames(lengths, rows.shape[1], rows.device)
    places = torch.where(inside, (steps - by).remainder(lengths[:, None].clamp(min=1)), steps)
    return rows.gather(1, places[..., None].expand_as(rows))


def _masks(rows: Tensor, lengths: Tensor, changes: Changes, rng: torch.Generator, sides: int) -> Tensor:
    """What bars are laid over, bool `[clips, time, columns]`."""
    clips, time, columns = len(rows), rows.shape[1], rows.shape[2] // sides
    chosen = (_random(clips, rng) < changes.mask_share)[:, None]
    covered = torch.zeros(clips, time, columns, dtype=torch.bool, device=rows.device)
    for _ in range(changes.time_masks):
        covered |= (_bars(lengths, time, changes.time_width, rng) & chosen)[:, :, None]
    full = torch.full_like(lengths, columns)
    for _ in range(changes.column_masks):
        covered |= (_bars(full, columns, changes.column_width, rng) & chosen)[:, None]
    return covered.repeat(1, 1, sides)


def _random(count: int, rng: torch.Generator) -> Tensor:
    return torch.rand(count, generator=rng, device=rng.device)


def _bars(lengths: Tensor, size: int, width: int, rng: torch.Generator) -> Tensor:
    """One bar of at most `width` within each length, bool `[clips, size]`."""
    wide = (_random(len(lengths), rng) * (lengths.clamp(max=width) + 1)).long()
    start = (_random(len(lengths), rng) * (lengths - wide + 1)).long()
    steps = torch.arange(size, device=lengths.device)
    return (steps >= start[:, None]) & (steps < (start + wide)[:, None])


@dataclass(frozen=True)
class Mixup:
    """Of each clip a share, the rest being of its partner."""

    share: float
    partner: Tensor

    def of(self, values: Tensor) -> Tensor:
        return torch.lerp(values[self.partner.to(values.device)], values, self.share)

    def of_frames(self, rows: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Rows over time, and their lengths: the longer of the two gives the mixture's."""
        return self.of(rows), torch.maximum(lengths, lengths[self.partner])
