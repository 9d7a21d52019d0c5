"""Layers of Whisper's pretrained encoder, 50 frames a second (tiny, base, small, medium or large-v3).

The columns are the layers side by side in the order of their numbers, `layer3_17` being value 17 of layer 3: layer 0 is
the input of the first block, layer k the output of the k-th. With `--stats` all columns of the first statistic come
first, then all of the second, and so on: `[statistics, layers, width]` flattened.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch

from sertool.encoders import whisper
from sertool.errors import UsageError
from sertool.numeric import dsp
from sertool.pretraining import pretrained

DTYPE = "float16"
AGREES = 0.98  # the share of values that must be within the tolerance
CHOICE = "size"  # the setting given by the feature's own option: `--whisper base`
LATER = {"whole": 30.0, "piece": 30.0}

tolerance, settings_for_device = pretrained.tolerance, pretrained.settings_for_device


@dataclass(frozen=True)
class Settings:
    size: Annotated[Literal["tiny", "base", "small", "medium", "large-v3"], "size of the encoder"] = "base"
    layers: Annotated[str, "layers, such as 3, 1-5 or 0,2-4, or all; nothing is computed beyond the last"] = "all"
    precision: Annotated[
        Literal["auto", "bf16", "int8", "float32"],
        "of matrix products; auto is bf16 where the processor has it, int8 is faster and less exact",
    ] = "auto"
    whole: Annotated[float, "clips of up to this many seconds are encoded at once", 1, 30] = 5.0
    piece: Annotated[float, "longer clips are encoded in overlapping pieces of this many seconds", 1, 30] = 3.0
    weights: str | None = None  # the digest of the weights

    def __post_init__(self) -> None:
        if self.piece > self.whole:
            raise UsageError(
                f"whisper: piece is {self.piece:g} s, and longer clips than whole, {self.whole:g} s, are cut into "
                "pieces: make piece no longer than whole"
            )


def resolve_settings(settings: Settings, where: str, rate: int) -> Settings:
    """Return the settings with `auto` and `all` resolved for a device, and the digest of the weights."""
    return pretrained.resolve_settings(whisper, settings.size, settings, where, rate)


def values_per_second(settings: Settings) -> float:
    """Return the number of values per second of audio, by which shards are cut."""
    return pretrained.values_per_second(whisper, settings.size, settings)


class Feature(pretrained.Layers):
    """Rows of `layers x width` values."""

    def __init__(self, settings: Settings, rate: int) -> None:
        super().__init__(whisper, settings.size, settings, rate, whole=settings.whole, piece=settings.piece)


def definition(wave: np.ndarray, rate: int, settings: Settings) -> np.ndarray:
    """Compute reference values in float64, `[frames, layers x width]` of `[samples]`, window by window."""
    whisper.require_rate(rate)
    layers = pretrained.layers(whisper, settings.size, settings)
    _, state = whisper.tensors(settings.size, layers[-1], settings.weights)
    held = {name.removeprefix("encoder."): tensor.double().numpy() for name, tensor in state.items()}
    mel = _log_mel(wave, whisper.SIZES[settings.size]["bands"])
    parts = []
    for first, last, begin, end in whisper.windows((len(mel) + 1) // 2, settings.whole, settings.piece):
        stream = _stem(mel[2 * first : 2 * last], held)
        made = [stream]
        for layer in range(layers[-1]):
            block = {name.removeprefix(f"blocks.{layer}."): value for name, value in held.items()}
            stream = _block(stream, block, whisper.SIZES[settings.size]["heads"])
            made.append(stream)
        parts.append(np.concatenate([made[layer][begin - first : end - first] for layer in layers], axis=1))
    return np.concatenate(parts)


def _log_mel(wave: np.ndarray, bands: int) -> np.ndarray:
    """Return log-mel frames, `[frames, bands]`: 400 samples around every 160th, mirrored at the ends, less the last."""
    places = np.arange(-200, 200) + 160 * np.arange(max(1, len(wave) // 160))[:, None]
    period = max(2 * (len(wave) - 1), 1)
    places = np.minimum(places % period, period - places % period)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    power = np.abs(np.fft.rfft(np.asarray(wave, dtype=np.float64)[places] * window)) ** 2
    rows = np.log10(np.maximum(power @ dsp.MelScale(bands).weights(whisper.RATE, 400).T, 1e-10))
    return (np.maximum(rows, rows.max() - 8) + 4) / 4


def _stem(mel: np.ndarray, held: dict[str, np.ndarray]) -> np.ndarray:
    """Apply two convolutions over three frames and add positions, `[frames / 2, width]`."""
    made = _gelu(_convolved(mel, held["conv1.weight"], 1) + held["conv1.bias"])
    made = _gelu(_convolved(made, held["conv2.weight"], 2) + held["conv2.bias"])
    half = made.shape[1] // 2
    angles = np.arange(len(made))[:, None] / 10_000 ** (np.arange(half) / (half - 1))
    return made + np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def _convolved(rows: np.ndarray, kernel: np.ndarray, step: int) -> np.ndarray:
    padded = np.pad(rows, ((1, 1), (0, 0)))
    return sum(padded[tap : tap + len(rows)] @ kernel[:, :, tap].T for tap in range(3))[::step]


def _block(stream: np.ndarray, held: dict[str, np.ndarray], heads: int) -> np.ndarray:
    """Apply a transformer block, `[frames, width]` to the same."""
    normed = _normed(stream) * held["attn_ln.weight"] + held["attn_ln.bias"]
    query = normed @ held["attn.query.weight"].T + held["attn.query.bias"]
    key = normed @ held["attn.key.weight"].T
    value = normed @ held["attn.value.weight"].T + held["attn.value.bias"]
    seen = []
    for part in np.split(np.arange(stream.shape[1]), heads):
        scores = query[:, part] @ key[:, part].T / np.sqrt(len(part))
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        seen.append(scores / scores.sum(axis=1, keepdims=True) @ value[:, part])
    stream = stream + np.concatenate(seen, axis=1) @ held["attn.out.weight"].T + held["attn.out.bias"]
    normed = _normed(stream) * held["mlp_ln.weight"] + held["mlp_ln.bias"]
    inner = _gelu(normed @ held["mlp.0.weight"].T + held["mlp.0.bias"])
    return stream + inner @ held["mlp.2.weight"].T + held["mlp.2.bias"]


def _normed(rows: np.ndarray) -> np.ndarray:
    return (rows - rows.mean(axis=1, keepdims=True)) / np.sqrt(rows.var(axis=1, keepdims=True) + 1e-5)


def _gelu(values: np.ndarray) -> np.ndarray:
    return values * 0.5 * (1 + torch.special.erf(torch.from_numpy(values / np.sqrt(2))).numpy())
