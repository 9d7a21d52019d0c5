"""Decode a clip of a manifest to its shaped waveform, and notice where its file is another than was indexed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sertool import effects
from sertool.sound import audio, long_audio, shaping
from sertool.sound.long_audio import StreamedWave
from sertool.sound.shaping import Wave
from sertool.system.paths import path_of, stamp

LONG_CLIP_SAMPLES = 1 << 25  # 35 minutes at 16 kHz: longer clips are read in pieces
SLACK_SECONDS = 0.05  # by which a clip may be shorter than its manifest says


@dataclass(frozen=True)
class Clip:
    """The part of a manifest row that determines a clip's features."""

    name: str
    path: str | None
    start: float | None
    duration: float | None
    digest: str | None
    augmentation: str | None = None
    size: int | None = None  # bytes of the file when it was indexed
    modified: int | None = None  # time of the file's last change when it was indexed, in ns


def decoded(clip: Clip, wave: Wave) -> Tensor:
    """Decode a clip and return its shaped waveform, `[channels, samples]`."""
    changed = effects.applied(unchanged(clip, wave), wave.rate, clip.augmentation)
    return shaping.shape(changed, wave, clip.name)


def unchanged(clip: Clip, wave: Wave) -> Tensor:
    """Decode a clip without its effects, `[channels, samples]`."""
    samples = audio.decode(*_cut(clip, wave))
    _require_as_indexed(clip, samples.shape[1] / wave.rate)
    return torch.from_numpy(samples)


def channels(clip: Clip, wave: Wave) -> Iterable[Tensor | StreamedWave]:
    """Return the channels of a clip's shaped waveform, each `[samples]`; a long clip's are streamed from its file."""
    if effects.needs_rendering(clip.augmentation) or wave.samples(clip.duration or 0.0) <= LONG_CLIP_SAMPLES:
        return decoded(clip, wave)
    return long_audio.streamed(lambda: _pieces(clip, wave), wave, clip.name)


def difference_from_index(clip: Clip) -> str | None:
    """Return how a clip's file differs from what was indexed, or None.

    A file of the same size but another age is decoded, to compare its digest.
    """
    if (size_and_age := stamp(clip.path)) is None:
        return None
    size, modified = size_and_age
    if clip.size is not None and size != clip.size:
        return f"{size:,} bytes, and {clip.size:,} when it was indexed"
    if None in (clip.digest, clip.modified) or modified == clip.modified:
        return None
    same = audio.probe(path_of(clip.path)).digest == clip.digest
    return None if same else "another sound of the same size than when it was indexed"


def _pieces(clip: Clip, wave: Wave) -> Iterator[np.ndarray]:
    count = 0
    for piece in audio.pieces(*_cut(clip, wave)):
        count += piece.shape[1]
        yield piece
    _require_as_indexed(clip, count / wave.rate)


def _cut(clip: Clip, wave: Wave) -> tuple[str, audio.Cut, float, float | None]:
    return path_of(clip.path), audio.Cut(wave.rate, wave.channels), clip.start or 0.0, clip.duration


def _require_as_indexed(clip: Clip, seconds: float) -> None:
    """Refuse audio that differs from what was indexed, as the manifest and existing features describe the old audio."""
    if clip.duration and seconds < clip.duration - SLACK_SECONDS:
        raise audio.Unusable("truncated", f"{seconds:.2f} s of {clip.duration:.2f} s are left")
    if how := difference_from_index(clip):
        raise audio.Unusable("changed", how)
