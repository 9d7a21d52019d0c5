"""Layers of a self-supervised pretrained encoder, 50 frames a second (wav2vec 2.0, XLSR, HuBERT or WavLM).

The columns are the layers side by side in the order of their numbers, `layer3_17` being value 17 of layer 3: layer 0 is
the input of the first block, layer k the output of the k-th. With `--stats` all columns of the first statistic come
first, then all of the second, and so on: `[statistics, layers, width]` flattened.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch

from sertool.encoders import ssl
from sertool.pretraining import pretrained

DTYPE = "float16"
REVISION = 1  # 1: samples in no frame count, as some networks normalise over the clip
AGREES = 0.98  # the share of values that must be within the tolerance
CHOICE = "model"  # the setting given by the feature's own option: `--ssl wavlm-large`

tolerance, settings_for_device = pretrained.tolerance, pretrained.settings_for_device


@dataclass(frozen=True)
class Settings:
    model: Annotated[
        Literal[
            "wav2vec2-base", "wav2vec2-large", "wav2vec2-large-lv60k", "xlsr-53", "xlsr-300m", "xlsr-1b", "xlsr-2b",
            "hubert-base", "hubert-large", "hubert-xlarge", "wavlm-base", "wavlm-base-plus", "wavlm-large",
        ],
        "which encoder",
    ] = "wavlm-base-plus"  # fmt: skip
    layers: Annotated[str, "layers, such as 3, 1-5 or 0,2-4, or all; nothing is computed beyond the last"] = "all"
    precision: Annotated[
        Literal["auto", "bf16", "int8", "float32"],
        "of matrix products; auto is bf16 where the processor has it, int8 is faster and less exact",
    ] = "auto"
    weights: str | None = None  # the digest of the weights


def resolve_settings(settings: Settings, where: str, rate: int) -> Settings:
    """Return the settings with `auto` and `all` resolved for a device, and the digest of the weights."""
    return pretrained.resolve_settings(ssl, settings.model, settings, where, rate)


def values_per_second(settings: Settings) -> float:
    """Return the number of values per second of audio, by which shards are cut."""
    return pretrained.values_per_second(ssl, settings.model, settings)


class Feature(pretrained.Layers):
    """Rows of `layers x width` values."""

    def __init__(self, settings: Settings, rate: int) -> None:
        super().__init__(ssl, settings.model, settings, rate)


def definition(wave: np.ndarray, rate: int, settings: Settings) -> np.ndarray:
    """Compute reference values in float64 by torchaudio's own code, `[frames, layers x width]` of `[samples]`."""
    ssl.require_rate(rate)
    layers = pretrained.layers(ssl, settings.model, settings)
    _, state = ssl.tensors(settings.model, layers[-1], settings.weights)
    network = ssl.network(settings.model, layers[-1], state).double().eval()
    samples = torch.from_numpy(np.pad(np.asarray(wave, dtype=np.float64), (0, max(0, ssl.LEAST - len(wave)))))
    if ssl.bundle(settings.model)._normalize_waveform:
        samples = (samples - samples.mean()) / torch.sqrt(samples.var(correction=0) + 1e-5)
    parts = []
    for span, kept, _ in ssl.spans(len(samples)):
        part = samples[None, span]
        with torch.no_grad():
            stack = [ssl.entering(network, part.clone()), *network.extract_features(part.clone())[0]]
        parts.append(np.concatenate([stack[layer][0, kept].numpy() for layer in layers], axis=1))
    return np.concatenate(parts)
