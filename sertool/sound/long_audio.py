"""Stream a waveform too long for memory: its file is read piece by piece, once for each pass.

It has the part of a tensor's interface that features use, its length and slices in order: hours of audio take the
memory of a minute and give the same rows.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from sertool.sound import shaping
from sertool.sound.shaping import Kept, Wave

Pieces = Callable[[], Iterator[np.ndarray]]  # starts anew with each call, `[channels, samples]`


class StreamedWave:
    """A stand-in for a tensor `[samples]` of one channel, or of the mean of all."""

    device, is_cpu = torch.device("cpu"), True

    def __init__(self, pieces: Pieces, channel: int | None, mean: np.ndarray, kept: Kept) -> None:
        """Subtract `mean`, `[channels, 1]`, from the channels; `kept` says which of the file's samples these are."""
        self._pieces, self._channel, self._mean, self._kept = pieces, channel, mean, kept
        self._buffer = torch.empty(0)  # holds `_length` samples of the file from `_at` on
        self._restart(iter(()))

    def _restart(self, source: Iterator[np.ndarray]) -> None:
        self._source, self._at, self._length = source, 0, 0

    def __len__(self) -> int:
        return len(self._kept)

    def contiguous(self) -> "StreamedWave":
        return self

    def __getitem__(self, place: slice | Tensor) -> Tensor:
        """Return some samples; going back reads the file from its beginning again."""
        if isinstance(place, Tensor):
            low, high = int(place.min()), int(place.max())
            return self[low : high + 1][place - low]
        start, stop, _ = place.indices(len(self))
        kept, offset = self._kept, self._kept.first - self._kept.before
        first, last = (min(max(end + offset, kept.first), kept.last) for end in (start, stop))
        inside = self._read(first, last)
        before = min(stop, kept.before) - min(start, kept.before)
        return torch.nn.functional.pad(inside, (before, max(stop - start, 0) - before - len(inside)))

    def _read(self, first: int, last: int) -> Tensor:
        """Return the file's samples first to last - 1."""
        if first < self._at or not self._length:
            self._restart(self._pieces())
        while self._at + self._length < last:
            self._append(self._next(), first)
        return self._buffer[first - self._at : last - self._at].clone()

    def _append(self, piece: Tensor, first: int) -> None:
        """Add a piece, dropping samples before `first`; in place, as arrays of varying sizes fragment memory."""
        dropped = min(max(first - self._at, 0), self._length)
        left = self._length - dropped
        if left + len(piece) > len(self._buffer):
            self._buffer = torch.cat([self._buffer, torch.empty(2 * (left + len(piece)) - len(self._buffer))])
        self._buffer[:left] = self._buffer[dropped : self._length].clone()
        self._buffer[left : left + len(piece)] = piece
        self._at, self._length = self._at + dropped, left + len(piece)

    def _next(self) -> Tensor:
        piece = next(self._source) - self._mean
        return torch.from_numpy(piece.mean(axis=0) if self._channel is None else piece[self._channel])


def streamed(pieces: Pieces, settings: Wave, clip: str) -> list[StreamedWave]:
    """Return the shaped channels of a file."""
    length, total = 0, np.zeros(1)
    for piece in pieces():
        length += piece.shape[1]
        total = total + piece.sum(axis=1, keepdims=True, dtype=np.float64)
    mean = (total / length if settings.remove_dc else 0 * total).astype(np.float32)
    whole = Kept(0, length)
    kept = shaping.part(StreamedWave(pieces, 0 if len(mean) == 1 else None, mean, whole), settings, clip)
    return [StreamedWave(pieces, channel, mean, kept) for channel in range(len(mean))]
