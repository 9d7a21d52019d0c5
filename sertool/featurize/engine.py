"""Compute the features of waveforms on a device: of one clip by itself, or of many packed end to end.

Rows that a file gives are only normalised and summarised.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from sertool import features
from sertool.errors import SertoolError, UsageError
from sertool.featurize.extraction import Extraction
from sertool.numeric import dsp
from sertool.sound import shaping
from sertool.sound.long_audio import StreamedWave
from sertool.system import talk
from sertool.system.files import listed

FLOAT16_OVERFLOW = 65_520.0  # float16 rounds to infinity from here on
Item = TypeVar("Item")
Result = TypeVar("Result")


class TooLarge(SertoolError):
    """Raised when rows have values that their storage type cannot hold."""


class Engine:
    """The features of an extraction on one device; they are built once."""

    def __init__(self, extraction: Extraction, device: str = "cpu") -> None:
        self.extraction, self.device = extraction, torch.device(device)
        self.features = {name: self._feature(name) for name in extraction.computed}
        self.columns = {name: self._columns(name) for name in extraction.features}
        self.batches_on_device = self.device.type != "cpu"  # whether the device takes the clips of a batch together
        self.effects_on_device = self.device.type == "cuda"  # effects are untested on MPS
        self._dtypes = {name: extraction.stored(name) for name in extraction.features}
        self._later = bool(extraction.normalize or extraction.stats)  # whether rows are changed once all are there

    @torch.inference_mode()
    def alone(self, wave: Iterable[Tensor | StreamedWave]) -> dict[str, np.ndarray]:
        """Return the finished rows of one clip, `[channels, samples]`, computed by itself."""
        return self._finish([dsp.compute(self.features, channel, self._kept) for channel in wave])

    @torch.inference_mode()
    def packed(self, waves: Sequence[Tensor]) -> list[dict[str, np.ndarray]]:
        """Return the finished rows of several clips, computed together."""
        return in_halves(self._packed, waves)

    @torch.inference_mode()
    def given(self, name: str, clip: str) -> np.ndarray | None:
        """Return the finished rows of one clip from a file, or None if it has none."""
        rows = self.extraction.given[name].get(clip)
        return None if rows is None else _as_stored(self._processed(name, torch.tensor(rows)), self._dtypes[name], name)

    def _feature(self, name: str) -> dsp.Feature:
        try:
            settings = features.settings_for_device(name, self.extraction.features[name], self.device.type)
            feature = features.load(name).Feature(settings, self.extraction.wave.rate)
        except UsageError as error:
            raise UsageError(f"--{name}: {str(error).removeprefix(f'{name}: ')}") from None
        return feature.to(self.device).eval()

    def _columns(self, name: str) -> list[str]:
        of_feature = self.features.get(name, self.extraction.features[name])
        sides = ("_left", "_right") if name in self.features and self.extraction.wave.channels == "stereo" else ("",)
        names = [column + side for side in sides for column in of_feature.columns]
        return [f"{column}_{stat}" for stat in self.extraction.steps(name)[1] for column in names] or names

    def _packed(self, waves: Sequence[Tensor]) -> list[dict[str, np.ndarray]]:
        channels = [channel.to(self.device, non_blocking=True) for wave in waves for channel in wave]
        packed, sides = dsp.compute_packed(self.features, channels), len(waves[0])
        clips = [packed[start : start + sides] for start in range(0, len(packed), sides)]
        rows = []
        for name in self.features:
            made = [self._made(name, [side[name] for side in clip]) for clip in clips]
            rows.append(_fetched(made, self._dtypes[name], name))
        return [dict(zip(self.features, of_clip, strict=True)) for of_clip in zip(*rows, strict=True)]

    def _kept(self, name: str, rows: Tensor) -> Any:
        """Return a channel's rows in the storage type, unless they are yet to be normalised or summarised."""
        return rows if self._later else _as_stored(rows, self._dtypes[name], name)

    def _finish(self, channels: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
        """Join the rows of all channels, normalise and summarise them, and convert them to the storage type."""
        finished = {}
        for name in self.features:
            stored = [channel.pop(name) for channel in channels]
            if self._later:
                stored = [_as_stored(self._made(name, stored), self._dtypes[name], name)]
            finished[name] = stored[0] if len(stored) == 1 else np.concatenate(stored, axis=1)
        return finished

    def _made(self, name: str, channels: Sequence[Tensor]) -> Tensor:
        """Join a feature's rows of all channels, normalise and summarise them."""
        frames = channels[0] if len(channels) == 1 else torch.cat([*channels], dim=1)
        counted = shaping.counted(frames, len(channels), features.where(name))
        return self._processed(name, frames, counted)

    def _processed(self, name: str, frames: Tensor, counted: Tensor | None = None) -> Tensor:
        """Normalise and summarise a feature's rows, `[rows, width]`; `counted` says which of them count."""
        normalize, stats = self.extraction.steps(name)
        rows = shaping.normalized(frames, normalize, counted)
        return shaping.summary(rows, stats, counted) if stats else rows


def checked(extraction: Extraction, device: str = "cpu") -> Extraction:
    """Return the extraction with its settings resolved for a device; refuse unusable ones before any clip is read."""
    _refuse_to_mix(extraction)
    rate = extraction.wave.rate
    settled = {
        name: features.resolve_settings(name, settings, device, rate) for name, settings in extraction.features.items()
    }
    extraction = replace(extraction, features=settled)
    Engine(extraction)
    return extraction


def width(extraction: Extraction) -> int:
    """Return how many columns the features have together."""
    return sum(map(len, Engine(extraction).columns.values()))


def in_halves(work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]) -> list[Result]:
    """Return the results of `work` for some clips; if the device runs out of memory, try again with halves.

    The second attempt is outside the error's handling, as the error keeps all tensors made so far alive.
    """
    with suppress(torch.OutOfMemoryError):
        return work(items)
    if len(items) == 1:
        raise SertoolError("the device has no memory for a single clip: use --device cpu")
    torch.cuda.empty_cache()
    middle = len(items) // 2
    return in_halves(work, items[:middle]) + in_halves(work, items[middle:])


def _refuse_to_mix(extraction: Extraction) -> None:
    """Refuse to normalise all columns together where a feature's columns are valid in different frames."""
    together = [how for how in extraction.normalize if how not in shaping.BY_COLUMN]
    mixed = [talk.option(name) for name in extraction.features if features.where(name)]
    if together and mixed:
        raise UsageError(
            f"--normalize {together[0]} would take the columns of {listed(mixed)} together, Hz and flags: "
            f"use {' or '.join(shaping.BY_COLUMN)}, or make it in a run of its own"
        )


def _as_stored(rows: Tensor, dtype: str, name: str) -> np.ndarray:
    if dtype == "float16" and rows.numel():
        # This search for values that would become infinite takes a sixth of isinf's time, and no copy.
        ends = rows.numpy() if rows.is_cpu else torch.stack(rows.aminmax()).cpu().numpy()
        far = max(ends.max(), -ends.min())  # NaN if any value is NaN
        if FLOAT16_OVERFLOW <= far < math.inf:
            raise TooLarge(f"{name} has values that float16 cannot hold: use --dtype float32")
    return rows.to(getattr(torch, dtype)).cpu().numpy()


def _fetched(rows: Sequence[Tensor], dtype: str, name: str) -> list[np.ndarray]:
    """Return several clips' rows in the storage type, after one transfer from the device, as each wait is costly."""
    together = _as_stored(torch.cat([*rows]), dtype, name)
    return np.split(together, np.cumsum([len(clip_rows) for clip_rows in rows])[:-1])
