"""Sounds added to clips: files of a folder, identified by digest, or noise, at a given level."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sertool.errors import SertoolError, UsageError
from sertool.sound import audio, folders
from sertool.system import talk
from sertool.system.paths import Unlisted, absolute

if TYPE_CHECKING:
    from torch import Tensor

REFERENCE_RATE = 16_000  # Hz, the usual rate of features: at higher rates, noise levels are measured as at this one


@lru_cache(maxsize=16)
def files(folder: str) -> tuple[str, ...]:
    """Return the audio files under a folder, in the order of their names."""
    root = Path(absolute(folder))
    if not root.is_dir():
        raise UsageError(f"no such folder: {folder}")
    failed: list[Unlisted] = []
    others: list[Path] = []
    names = [str(path) for path in folders.audio_under(root, failed, others)]
    for place, why in failed:
        talk.warn(f"cannot look into {place}: {why}")
    if not names:
        raise UsageError(folders.no_audio(folder, others))
    return tuple(names)


@lru_cache(maxsize=1 << 16)
def look(path: str) -> audio.AudioInfo:
    """Examine a file; raise SertoolError if it is unusable."""
    facts = audio.probe(path)
    if facts.issue == "vanished":
        raise SertoolError(f"{path} is not there ({facts.detail}): restore it, or run augment again")
    if facts.issue:
        raise SertoolError(f"{path} is {facts.issue} ({facts.detail}): take it out of the folder")
    return facts


def draw_file(rng: np.random.Generator, folder: str) -> dict[str, str]:
    """Draw one of a folder's files: its path and digest."""
    names = files(folder)
    path = names[int(rng.integers(len(names)))]
    return {"file": path, "digest": str(look(path).digest)}


def check(path: str, digest: str) -> audio.AudioInfo:
    """Examine a file; raise SertoolError if its digest is not the drawn one."""
    facts = look(path)
    if facts.digest != digest:
        raise SertoolError(f"{path} is not the sound that was drawn (digest {digest}): run augment again")
    return facts


def part(path: str, digest: str, rate: int, span: tuple[float, int]) -> np.ndarray:
    """Read part of a file, float32 `[samples]`; `span` is the relative start and the number of samples.

    A short file is repeated.
    """
    at, samples = span
    facts = check(path, digest)
    length = samples / rate
    start = at * max(0.0, facts.seconds - length)
    block = audio.decode(path, audio.Cut(rate), start, min(length + 1 / rate, facts.seconds - start))[0]
    return np.resize(block, samples)


@lru_cache(maxsize=256)
def response(path: str, digest: str, rate: int) -> np.ndarray:
    """Read an impulse response from its peak on, float32 `[samples]`, so that it adds no delay."""
    check(path, digest)
    samples = audio.decode(path, audio.Cut(rate))[0]
    return samples[int(np.abs(samples).argmax()) :].copy()


def white(seed: int, samples: int) -> np.ndarray:
    """Return Gaussian noise by seed, float32 `[samples]`; a shorter one is the beginning of a longer one."""
    return np.random.Generator(np.random.SFC64(seed)).standard_normal(samples, np.float32)


def with_noise(wave: Tensor, noise: Tensor, rate: int, snr: float) -> Tensor:
    """Add noise `[samples]` to each `[.., samples]` at a signal-to-noise ratio in dB, as heard at `REFERENCE_RATE`."""
    level = _band_limited_norm(wave, rate) / _band_limited_norm(noise, rate).clamp(min=1e-20) * 10 ** (-snr / 20)
    return (noise * level).add_(wave)


def _band_limited_norm(wave: Tensor, rate: int) -> Tensor:
    """Return the norm of `[.., samples]` without frequencies above half of `REFERENCE_RATE`."""
    if rate <= REFERENCE_RATE:
        return _length(wave)
    import torch

    size = -(-wave.shape[-1] // 4096) * 4096  # other transform lengths may take ten times as long
    return torch.fft.rfft(wave, size)[..., : size * REFERENCE_RATE // rate // 2 + 1].norm(dim=-1, keepdim=True)


def as_loud(wave: Tensor, before: Tensor) -> Tensor:
    """Scale each `[.., samples]` to the power that it had before."""
    change = (wave.shape[-1] / before.shape[-1]) ** 0.5
    return wave * (_length(before) / _length(wave).clamp(min=1e-20) * change)


def each_as_loud(waves: Iterable[Tensor], before: Iterable[Tensor]) -> list[Tensor]:
    return [as_loud(wave, other) for wave, other in zip(waves, before, strict=True)]


def _length(wave: Tensor) -> Tensor:
    """Return the norm of a vector of samples; it takes no memory, unlike the mean of the squares."""
    return wave.norm(dim=-1, keepdim=True)
