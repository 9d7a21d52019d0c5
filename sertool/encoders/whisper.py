"""Whisper's encoder, which OpenAI trained on 680,000 hours of transcribed speech.

Log-mel frames pass two convolutions, the second of which halves their rate to 50 a second, get sinusoidal positions and
pass transformer blocks. Layer 0 is the input of the first block, layer k the output of the k-th: the residual stream
before the encoder's final norm.

The stream is float32 in any precision. In bf16 only the blocks' products are in bf16; in int8 these and the second
convolution's are in 8-bit integers. Audio is not padded to 30 s. In batches, frames beyond a clip's end are zero before
either convolution and masked in attention, so a clip's frames do not depend on the rest of the batch.
"""

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sertool import encoders
from sertool.errors import UsageError
from sertool.networks import layers, low_precision, weights
from sertool.networks.padding import real_frames
from sertool.networks.weights import Published
from sertool.numeric import dsp

LICENCE = "MIT"
CITATION = "Radford et al. 2023, Robust Speech Recognition via Large-Scale Weak Supervision, ICML"
URL = "https://openaipublic.azureedge.net/main/whisper/models/{sha256}/{size}.pt"


class Size(TypedDict):
    bands: int
    width: int
    heads: int
    layers: int
    parameters: int
    megabytes: int
    sha256: str


SIZES: dict[str, Size] = {
    "tiny": {
        "bands": 80, "width": 384, "heads": 6, "layers": 4, "parameters": 7_631_616, "megabytes": 76,
        "sha256": "65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9",
    },
    "base": {
        "bands": 80, "width": 512, "heads": 8, "layers": 6, "parameters": 19_821_568, "megabytes": 145,
        "sha256": "ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c6326e34e",
    },
    "small": {
        "bands": 80, "width": 768, "heads": 12, "layers": 12, "parameters": 87_000_576, "megabytes": 484,
        "sha256": "9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794",
    },
    "medium": {
        "bands": 80, "width": 1024, "heads": 16, "layers": 24, "parameters": 305_678_336, "megabytes": 1528,
        "sha256": "345ae4da62f9b3d59415adc60127b97c714f32e89e936602e85993674d08dcb1",
    },
    "large-v3": {
        "bands": 128, "width": 1280, "heads": 20, "layers": 32, "parameters": 635_046_400, "megabytes": 3087,
        "sha256": "e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb",
    },
}  # fmt: skip
RATE = 16_000
FLOOR = 1e-10  # the least power in a band
DEPTH = 8.0  # greatest depth below the clip's loudest band, in powers of ten
PER_SECOND = 50  # frames
FRAMES = 1500  # frames that have positions
SECONDS = FRAMES / PER_SECOND
MARGIN = 100  # frames at a window's ends that overlap its neighbours, and are dropped, or a sixth of short ones
PARTS = {"attn_ln": "attention_norm", "attn.out": "attention_out", "mlp_ln": "norm", "mlp.0": "inner",
         "mlp.2": "outer"}  # of a block, by their published names  # fmt: skip
THREE = ("query", "key", "value")  # published as separate tensors
PACK = 16_384  # frames in a batch, for devices that need large batches


class LogMel(nn.Module):
    """Whisper's input: log-mel frames, 100 a second."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.framing = dsp.Framing(400, 160, edges="reflect")
        self.bank = dsp.MelBank(dsp.MelScale(bands), RATE, 400)

    def forward(self, wave: Tensor) -> Tensor:
        """Return `[frames, bands]` of `[samples]`, without the last frame, half of which is beyond the end."""
        runs = self.framing.runs(wave, dsp.RUN if wave.is_cpu else dsp.PACK)
        rows = torch.cat([frames.mel(self.bank) for frames in runs])
        rows = rows[: max(1, len(wave) // self.framing.hop)].clamp(min=FLOOR).log10()
        return (torch.maximum(rows, rows.max() - DEPTH) + 4.0) / 4.0


class Block(nn.Module):
    """A transformer block: attention and two linear layers, each added to the residual stream."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)  # keys are published without a bias: it is zero
        self.attention_out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, 4 * width)
        self.outer = nn.Linear(4 * width, width)
        self.dtype = torch.float32  # input type of the linear layers

    def forward(self, stream: Tensor, mask: Tensor | None = None) -> Tensor:
        """Transform `[clips, frames, width]`; `mask` `[clips, 1, 1, frames]` is true where a clip has a frame."""
        heads = self.query_key_value(self._normed(self.attention_norm, stream)).unflatten(2, (3, self.heads, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        stream = stream + self.attention_out(seen.transpose(1, 2).flatten(2))
        return stream + self.outer(functional.gelu(self.inner(self._normed(self.norm, stream))))

    def to_bf16(self) -> None:
        """Compute everything between the norms and the residual stream in bf16."""
        self.dtype = torch.bfloat16
        for module in self.children():
            if isinstance(module, nn.Linear):
                module.to(self.dtype)

    def _normed(self, norm: nn.Module, stream: Tensor) -> Tensor:
        return norm(stream).to(self.dtype)


class Network(nn.Module):
    """The encoder without its final norm, with as many blocks as `layers`."""

    positions: Tensor

    def __init__(self, bands: int, width: int, heads: int, layers: int) -> None:
        super().__init__()
        # Convolutions as matrix products over adjacent frames: oneDNN's are compiled anew for every length.
        self.first = nn.Linear(3 * bands, width)
        self.second: nn.Module = nn.Linear(3 * width, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.register_buffer("positions", positions(FRAMES, width), persistent=False)

    def stem(self, mel: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return layer 0, float32 `[clips, (frames + 1) // 2, width]`, of clips `[clips, frames, bands]`."""
        made = functional.gelu(self.first(_triples(_masked(mel, lengths), 1)))
        made = functional.gelu(self.second(_triples(_masked(made, lengths), 2)))
        return made + self.positions[: made.shape[1]]

    def run(
        self, stream: Tensor, lengths: Tensor | None = None, first: int = 0, last: int | None = None
    ) -> list[Tensor]:
        """Return layers `first` + 1 to `last`, each `[clips, frames, width]`, from layer `first`."""
        mask = None if lengths is None else real_frames(lengths, stream.shape[1], stream.device)[:, None, None]
        made: list[Tensor] = []
        for block in self.blocks[first:last]:
            stream = block(stream, mask)
            made.append(stream)
        return made

    def forward(self, mel: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        """Return all layers from 0, each `[clips, (frames + 1) // 2, width]`, of `[clips, frames, bands]`."""
        stream = self.stem(mel, lengths)
        return [stream, *self.run(stream, None if lengths is None else (lengths + 1) // 2)]

    def to_precision(self, precision: str) -> "Network":
        """Compute products in bf16, int8 or float32 from now on; return self."""
        if precision == "int8" and isinstance(self.second, nn.Linear):
            self.second = low_precision.Int8(self.second)
            low_precision.reduce(self.blocks, precision)
        elif precision == "bf16":
            for module in self.modules():
                if isinstance(module, Block):
                    module.to_bf16()
        return self


def positions(frames: int, width: int) -> Tensor:
    """Return sines, then cosines, with wavelengths from 2 pi to 20,000 pi frames, `[frames, width]`."""
    rates = np.exp(-np.log(10_000) * np.arange(width // 2) / (width // 2 - 1))
    angles = np.arange(frames)[:, None] * rates
    return torch.from_numpy(np.concatenate([np.sin(angles), np.cos(angles)], axis=1)).float()


def _masked(rows: Tensor, lengths: Tensor | None) -> Tensor:
    """Set frames beyond each clip's end to zero in `[clips, frames, width]`."""
    return rows if lengths is None else layers.cleared(rows, lengths)


def _triples(rows: Tensor, step: int) -> Tensor:
    """Join every `step`-th frame with its neighbours, `[clips, frames / step, 3 width]` of `[clips, frames, width]`."""
    return functional.pad(rows, (0, 0, 1, 1)).unfold(1, 3, step).flatten(2)


# Weights.


def published(size: str) -> Published:
    """Return the published file of weights of a size."""
    sha256 = SIZES[size]["sha256"]
    return Published(f"whisper-{size}", URL.format(sha256=sha256, size=size), sha256)


def tensors(
    size: str, layers: int, known: str | None = None, first: int | None = None
) -> tuple[str, dict[str, Tensor]]:
    """Return digest and tensors of the first `layers` blocks, by published names.

    `known` is the digest that they must have or, if `first` is given, the first so many of them.
    """
    part = None if first is None else shapes(size, first)
    return weights.load(published(size), shapes(size, layers), known, arranged, part)


def shapes(size: str, layers: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of the first `layers` blocks, by published names."""
    bands, width = SIZES[size]["bands"], SIZES[size]["width"]
    wanted: dict[str, tuple[int, ...]] = {
        "encoder.conv1.weight": (width, bands, 3), "encoder.conv1.bias": (width,),
        "encoder.conv2.weight": (width, width, 3), "encoder.conv2.bias": (width,),
    }  # fmt: skip
    square = {"attn.query": 1, "attn.key": 1, "attn.value": 1, "attn.out": 1}
    for layer in range(layers):
        block = f"encoder.blocks.{layer}."
        wanted |= {f"{block}{word}.weight": (width, width) for word in square}
        wanted |= {f"{block}mlp.0.weight": (4 * width, width), f"{block}mlp.2.weight": (width, 4 * width)}
        biases = {"attn_ln": 1, "mlp_ln": 1, **square, "mlp.0": 4, "mlp.2": 1}
        wanted |= {f"{block}{word}.bias": (times * width,) for word, times in biases.items() if word != "attn.key"}
        wanted |= {f"{block}{word}.weight": (width,) for word in ("attn_ln", "mlp_ln")}
    return wanted


def network(size: str, layers: int, state: dict[str, Tensor]) -> Network:
    """Return a network of the first `layers` blocks with the published tensors."""
    facts = SIZES[size]
    made = Network(facts["bands"], facts["width"], facts["heads"], layers)
    made.load_state_dict(translated(state, layers))
    return made


def translated(state: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Rename published tensors as in `Network`."""
    made = {}
    for number, word in ((1, "first"), (2, "second")):
        made[f"{word}.weight"] = state[f"encoder.conv{number}.weight"].flatten(1)
        made[f"{word}.bias"] = state[f"encoder.conv{number}.bias"]
    for layer in range(layers):
        old, new = f"encoder.blocks.{layer}.", f"blocks.{layer}."
        made |= {
            f"{new}{PARTS[word]}.{kind}": state[f"{old}{word}.{kind}"] for word in PARTS for kind in ("weight", "bias")
        }
        parts = [f"{old}attn.{word}" for word in THREE]
        bias = {part: state.get(f"{part}.bias", torch.zeros_like(state[f"{old}attn.query.bias"])) for part in parts}
        made[f"{new}query_key_value.weight"] = torch.cat([state[f"{part}.weight"] for part in parts])
        made[f"{new}query_key_value.bias"] = torch.cat(list(bias.values()))
    return made


def arranged(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename tensors to their published names, including those of a model file with fine-tuned last blocks."""
    made = {name.removeprefix(f"{weights.PACKED}whisper."): tensor for name, tensor in tensors.items()}
    there = _blocks(made, "encoder.blocks.{}.attn.out.weight")
    for number in range(_blocks(made, "blocks.{}.attention_out.weight")):
        old, new = f"blocks.{number}.", f"encoder.blocks.{there + number}."
        own = {name.removeprefix(old): tensor for name, tensor in made.items() if name.startswith(old)}
        for kind in ("weight", "bias"):
            made |= {f"{new}{word}.{kind}": own[f"{part}.{kind}"] for word, part in PARTS.items()
                     if f"{part}.{kind}" in own}  # fmt: skip
            three = own[f"query_key_value.{kind}"].chunk(3) if f"query_key_value.{kind}" in own else ()
            made |= {f"{new}attn.{word}.{kind}": part for word, part in zip(THREE, three, strict=False)}
    return made


def _blocks(tensors: dict[str, Tensor], name: str) -> int:
    """Count the blocks, from 0 on, that have a tensor of this name."""
    return next(number for number in itertools.count() if name.format(number) not in tensors)


# Waveforms to frames.


def windows(frames: int, whole: float, piece: float) -> list[tuple[int, int, int, int]]:
    """Return the windows of `piece` seconds of a clip of over `whole` seconds, else the clip as one window."""
    most = round(PER_SECOND * piece)
    return encoders.windows(frames, most, min(MARGIN, most // 6), round(PER_SECOND * whole))


class Encoder(nn.Module):
    """Some layers of the encoder, for waveforms of 16 kHz."""

    def __init__(
        self,
        size: str,
        layers: Sequence[int],
        precision: str = "float32",
        known: str | None = None,
        whole: float = SECONDS,
        piece: float = SECONDS,
    ) -> None:
        """`known` is the digest that the weights must have; `whole` and `piece` are those of `windows`."""
        super().__init__()
        self.layers, self.width = tuple(layers), SIZES[size]["width"]
        self.windows = partial(windows, whole=whole, piece=piece)
        top = max(self.layers)
        self.weights, state = tensors(size, top, known)
        self.mel = LogMel(SIZES[size]["bands"])
        self.network = network(size, top, state).to_precision(precision).eval().requires_grad_(False)

    def forward(self, waves: Sequence[Tensor]) -> list[Tensor]:
        """Return the layers side by side, float32 `[frames, layers x width]` of each `[samples]`."""
        mels = [self.mel(wave) for wave in waves]
        cuts = [(clip, *window) for clip, mel in enumerate(mels)
                for window in self.windows((len(mel) + 1) // 2)]  # fmt: skip
        pieces = [mels[clip][2 * first : 2 * last] for clip, first, last, *_ in cuts]
        columns = len(self.layers) * self.width
        made = [mel.new_empty((len(mel) + 1) // 2, columns) for mel in mels]
        for (clip, first, _, begin, end), rows in zip(cuts, self._pieces(pieces), strict=True):
            made[clip][begin:end] = rows[begin - first : end - first]
        return made

    def _pieces(self, mels: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield `[frames, layers x width]` of each `[frames, bands]`: one by one on a CPU, elsewhere in batches."""
        return (self._joined(self.network(mel[None]))[0] for mel in mels) if mels[0].is_cpu else self._together(mels)

    def _together(self, mels: Sequence[Tensor]) -> Iterator[Tensor]:
        """Like `_pieces`, in batches of similar lengths, padded and masked."""
        order = sorted(range(len(mels)), key=lambda index: len(mels[index]))
        made: dict[int, Tensor] = {}
        for batch in _batches(order, [len(mel) for mel in mels]):
            lengths = torch.tensor([len(mels[index]) for index in batch], device=mels[0].device)
            rows = self._joined(self.network(nn.utils.rnn.pad_sequence([mels[i] for i in batch], True), lengths))
            made |= {index: one[: (len(mels[index]) + 1) // 2] for index, one in zip(batch, rows, strict=True)}
        yield from (made[index] for index in range(len(mels)))

    def _joined(self, layers: Sequence[Tensor]) -> Tensor:
        """Concatenate the requested layers, `[clips, frames, layers x width]`."""
        return torch.cat([layers[layer] for layer in self.layers], dim=2)


def _batches(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield neighbours in an order by length, at most `PACK` frames with their padding."""
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) + 1) * lengths[index] > 2 * PACK:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def require_rate(rate: int) -> None:
    if rate != RATE:
        raise UsageError(f"whisper hears {RATE:,} Hz alone: leave --rate away")
