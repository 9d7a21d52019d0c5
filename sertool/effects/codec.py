"""Codec: what a call or an upload leaves, coded at a low rate and decoded again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from sertool.effects import Drawn, Range, between
from sertool.sound import encoding

if TYPE_CHECKING:
    from torch import Tensor

PLACE = 145
SHARE = 0.3  # coding a clip takes longer than most other effects together


@dataclass(frozen=True)
class Settings:
    kbps: Annotated[Range, "kilobits for a second of a channel, of MP3 at least 8, or 32 from 32 kHz on", 6, 64] = (
        8.0,
        24.0,
    )
    kind: Annotated[Literal["opus", "mp3", "any"], "which codec"] = "any"


def draw(rng: np.random.Generator, settings: Settings) -> Drawn:
    kind = str(rng.choice(sorted(encoding.CODECS))) if settings.kind == "any" else settings.kind
    return {"kind": kind, "kbps": between(rng, settings.kbps)}


def apply(wave: Tensor, rate: int, drawn: Drawn) -> Tensor:
    """Encode and decode each channel; inputs that differ only by rounding may come out some hundredths apart."""
    channels = wave.reshape(-1, wave.shape[-1]).cpu().numpy()
    coded = np.stack([encoding.coded(channel, rate, drawn["kind"], drawn["kbps"]) for channel in channels])
    return wave.new_tensor(coded).reshape(wave.shape)
