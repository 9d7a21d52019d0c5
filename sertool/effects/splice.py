"""Splice-out: short pieces are cut out, and the ends faded into each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from sertool.effects import Drawn, Range, between

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

PLACE = 180


@dataclass(frozen=True)
class Settings:
    pieces: Annotated[Range, "how many pieces", 1, 100] = (2.0, 8.0)
    width: Annotated[Range, "how long each is, in seconds", 0.002, 5] = (0.01, 0.1)


def draw(rng: np.random.Generator, settings: Settings) -> Drawn:
    low, high = settings.pieces
    count = int(rng.integers(round(low), round(high) + 1))
    return {"pieces": [[round(rng.random(), 6), between(rng, settings.width)] for _ in range(count)]}


def apply(wave: Tensor, rate: int, drawn: Drawn) -> Tensor:
    """Cut the pieces out, and append silence to keep the length."""
    import torch

    spliced = wave
    for at, seconds in drawn["pieces"]:
        spliced = _without(spliced, at, round(seconds * rate))
    lost = wave.shape[-1] - spliced.shape[-1]
    return torch.nn.functional.pad(spliced, (0, lost))


def _without(wave: Tensor, at: float, samples: int) -> Tensor:
    """Cut a piece out of `[.., samples]`, cross-fading its ends over its length."""
    import torch

    if not 0 <= at <= 1 or samples < 0:
        raise ValueError("a piece does not lie in the clip")
    spare = wave.shape[-1] - 2 * samples
    if spare <= 0:
        return wave
    start = round(at * spare)
    fade = torch.linspace(0.0, 1.0, samples, device=wave.device)
    out, into = wave[..., start : start + samples], wave[..., start + samples : start + 2 * samples]
    return torch.cat([wave[..., :start], torch.lerp(out, into, fade), wave[..., start + 2 * samples :]], dim=-1)
