"""Encoders self-supervised on speech without text: wav2vec 2.0, XLSR, HuBERT and WavLM, from torchaudio.

Convolutions over the waveform give a frame every 20 ms; a wider convolution encodes positions, and transformer blocks
follow. Layer 0 is the input of the first block, layer k the output of the k-th, unchanged.

A clip is always computed alone, on any device: some of these encoders first normalise over the whole clip, and WavLM's
attention has no masks. In bf16 and int8 only the products of the blocks' linear layers have reduced precision; all else
is float32.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TypedDict

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.models import Wav2Vec2Model, wav2vec2_model, wavlm_model

from sertool import encoders
from sertool.errors import UsageError
from sertool.networks import low_precision, weights
from sertool.networks.weights import Published

LICENCE = "MIT"
URL = "https://download.pytorch.org/torchaudio/models/"


class Size(TypedDict):
    bundle: str
    file: str
    width: int
    layers: int
    parameters: int
    megabytes: int
    citation: str


SIZES: dict[str, Size] = {
    "wav2vec2-base": {
        "bundle": "WAV2VEC2_BASE", "file": "wav2vec2_fairseq_base_ls960.pth", "width": 768, "layers": 12,
        "parameters": 94_370_944, "megabytes": 377,
        "citation": "Baevski et al. 2020, wav2vec 2.0, NeurIPS",
    },
    "wav2vec2-large": {
        "bundle": "WAV2VEC2_LARGE", "file": "wav2vec2_fairseq_large_ls960.pth", "width": 1024, "layers": 24,
        "parameters": 315_427_968, "megabytes": 1262,
        "citation": "Baevski et al. 2020, wav2vec 2.0, NeurIPS",
    },
    "wav2vec2-large-lv60k": {
        "bundle": "WAV2VEC2_LARGE_LV60K", "file": "wav2vec2_fairseq_large_lv60k.pth", "width": 1024, "layers": 24,
        "parameters": 315_437_696, "megabytes": 1262,
        "citation": "Baevski et al. 2020, wav2vec 2.0, NeurIPS",
    },
    "xlsr-53": {
        "bundle": "WAV2VEC2_XLSR53", "file": "wav2vec2_fairseq_large_xlsr53.pth", "width": 1024, "layers": 24,
        "parameters": 315_437_696, "megabytes": 1262,
        "citation": "Conneau et al. 2021, Unsupervised Cross-lingual Representation Learning, Interspeech",
    },
    "xlsr-300m": {
        "bundle": "WAV2VEC2_XLSR_300M", "file": "wav2vec2_xlsr_300m.pth", "width": 1024, "layers": 24,
        "parameters": 315_437_696, "megabytes": 1262,
        "citation": "Babu et al. 2022, XLS-R, Interspeech",
    },
    "xlsr-1b": {
        "bundle": "WAV2VEC2_XLSR_1B", "file": "wav2vec2_xlsr_1b.pth", "width": 1280, "layers": 48,
        "parameters": 962_496_128, "megabytes": 3850,
        "citation": "Babu et al. 2022, XLS-R, Interspeech",
    },
    "xlsr-2b": {
        "bundle": "WAV2VEC2_XLSR_2B", "file": "wav2vec2_xlsr_2b.pth", "width": 1920, "layers": 48,
        "parameters": 2_159_257_728, "megabytes": 8637,
        "citation": "Babu et al. 2022, XLS-R, Interspeech",
    },
    "hubert-base": {
        "bundle": "HUBERT_BASE", "file": "hubert_fairseq_base_ls960.pth", "width": 768, "layers": 12,
        "parameters": 94_370_944, "megabytes": 377,
        "citation": "Hsu et al. 2021, HuBERT, IEEE/ACM TASLP",
    },
    "hubert-large": {
        "bundle": "HUBERT_LARGE", "file": "hubert_fairseq_large_ll60k.pth", "width": 1024, "layers": 24,
        "parameters": 315_434_112, "megabytes": 1262,
        "citation": "Hsu et al. 2021, HuBERT, IEEE/ACM TASLP",
    },
    "hubert-xlarge": {
        "bundle": "HUBERT_XLARGE", "file": "hubert_fairseq_xlarge_ll60k.pth", "width": 1280, "layers": 48,
        "parameters": 962_492_544, "megabytes": 3850,
        "citation": "Hsu et al. 2021, HuBERT, IEEE/ACM TASLP",
    },
    "wavlm-base": {
        "bundle": "WAVLM_BASE", "file": "wavlm_base.pth", "width": 768, "layers": 12,
        "parameters": 94_381_168, "megabytes": 378,
        "citation": "Chen et al. 2022, WavLM, IEEE JSTSP",
    },
    "wavlm-base-plus": {
        "bundle": "WAVLM_BASE_PLUS", "file": "wavlm_base_plus.pth", "width": 768, "layers": 12,
        "parameters": 94_381_168, "megabytes": 378,
        "citation": "Chen et al. 2022, WavLM, IEEE JSTSP",
    },
    "wavlm-large": {
        "bundle": "WAVLM_LARGE", "file": "wavlm_large.pth", "width": 1024, "layers": 24,
        "parameters": 315_452_096, "megabytes": 1262,
        "citation": "Chen et al. 2022, WavLM, IEEE JSTSP",
    },
}  # fmt: skip
MAKERS = {"Wav2Vec2": wav2vec2_model, "WavLM": wavlm_model}
RATE = 16_000
HOP = 320  # samples between frames
LEAST = 400  # samples under a frame
FRAMES = 1500  # frames of 20 ms in a window: 30 s
MARGIN = 100  # frames at a window's ends that overlap its neighbours, and are dropped
# The two factors of a weight stored as length and direction: their names in newer torch, and in the files.
FACTORS = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}


class Encoder(nn.Module):
    """Some layers of an encoder, for waveforms of 16 kHz."""

    def __init__(self, size: str, layers: Sequence[int], precision: str = "float32", known: str | None = None) -> None:
        """`known` is the digest that the weights must have."""
        super().__init__()
        self.layers, self.width = tuple(layers), SIZES[size]["width"]
        self.normalised = bundle(size)._normalize_waveform
        top = max(self.layers)
        self.weights, state = tensors(size, top, known)
        self.network = network(size, top, state).eval().requires_grad_(False)
        if precision != "float32":
            low_precision.reduce(self.network.encoder.transformer.layers, precision)

    def forward(self, waves: Sequence[Tensor]) -> list[Tensor]:
        """Return the layers side by side, float32 `[frames, layers x width]` of each `[samples]`."""
        return [self._alone(wave) for wave in waves]

    def _alone(self, wave: Tensor) -> Tensor:
        wave = functional.pad(wave[:], (0, max(0, LEAST - len(wave))))
        wave = functional.layer_norm(wave, wave.shape) if self.normalised else wave
        rows = wave.new_empty(frames(len(wave)), len(self.layers) * self.width)
        for span, kept, place in spans(len(wave)):
            stack = self._layers(wave[None, span])
            rows[place] = torch.cat([stack[layer][0, kept] for layer in self.layers], dim=1)
        return rows

    def _layers(self, wave: Tensor) -> list[Tensor]:
        """Return all layers from 0, each `[1, frames, width]`, of `[1, samples]`."""
        encoder = self.network.encoder
        stream = entering(self.network, wave)
        outputs, bias = [stream], None
        for block in encoder.transformer.layers:
            stream, bias = block(stream, position_bias=bias)
            outputs.append(stream)
        return outputs


def frames(samples: int) -> int:
    """Return the number of frames of a clip with so many samples."""
    return (samples - LEAST) // HOP + 1


def spans(samples: int) -> Iterator[tuple[slice, slice, slice]]:
    """Yield how a clip is cut: each window's samples, which of its frames to keep, and their place in the clip.

    The last window has all samples to the end, also those in no frame, as some networks normalise over them.
    """
    count = frames(samples)
    for first, last, begin, end in encoders.windows(count, FRAMES, MARGIN):
        stop = samples if last == count else (last - 1) * HOP + LEAST
        yield slice(first * HOP, stop), slice(begin - first, end - first), slice(begin, end)


def entering(network: Wav2Vec2Model, waves: Tensor) -> Tensor:
    """Return the input of the first block, `[clips, frames, width]` of `[clips, samples]`."""
    features, _ = network.feature_extractor(waves, None)
    return network.encoder.transformer._preprocess(network.encoder.feature_projection(features))


def bundle(size: str) -> torchaudio.pipelines.Wav2Vec2Bundle:
    return getattr(torchaudio.pipelines, SIZES[size]["bundle"])


def empty(size: str, layers: int) -> Wav2Vec2Model:
    """Return the network with its first `layers` blocks, without values (on the device "meta")."""
    kind = bundle(size)
    with torch.device("meta"):
        network = MAKERS[kind._model_type](**kind._params)
    del network.encoder.transformer.layers[layers:]
    return network


def network(size: str, layers: int, state: dict[str, Tensor]) -> Wav2Vec2Model:
    """Return a network of the first `layers` blocks with the published tensors."""
    filled = empty(size, layers)
    filled.load_state_dict({name: state[_published(name)] for name in filled.state_dict()}, assign=True)
    return filled


def shapes(size: str, layers: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors up to the first `layers` blocks, by published names."""
    return {_published(name): tuple(tensor.shape) for name, tensor in empty(size, layers).state_dict().items()}


def _published(name: str) -> str:
    """Return a tensor's name in the published files."""
    return re.sub("|".join(map(re.escape, FACTORS)), lambda match: FACTORS[match[0]], name)


def published(size: str) -> Published:
    """Return torchaudio's file of weights; as it publishes no digests, the first download's is kept."""
    return Published(size, URL + SIZES[size]["file"])


def tensors(size: str, layers: int, known: str | None = None) -> tuple[str, dict[str, Tensor]]:
    """Return digest and tensors of the first `layers` blocks, by published names; with the digest `known` if given."""
    return weights.load(published(size), shapes(size, layers), known, arranged)


def arranged(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename tensors to their published names."""
    return {_published(name): tensor for name, tensor in tensors.items()}


def require_rate(rate: int) -> None:
    if rate != RATE:
        raise UsageError(f"these encoders take {RATE:,} Hz alone: leave --rate away")
