"""Whisper's last blocks trained on: rows are frames of an earlier layer of its encoder, which stays as it is.

With `layers` 4 and `tune` 2, rows are those of `featurize --whisper base --layers 2`: the frozen blocks before are
computed once. The encoder's later blocks, which specialise in words, are left out. The last block's output is pooled by
its mean and deviation over time, or by attention, and normalised for a linear layer, which is initialised by
regression on the untrained blocks' output and learns faster than they do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sertool.encoders import whisper
from sertool.errors import UsageError
from sertool.networks import layers, norms
from sertool.networks.classical import Regress
from sertool.networks.padding import real_frames

ORIGIN = "Radford et al. 2023, the last blocks trained on"
PARAMETERS = 6_312_966
INPUT = {"whisper": 512}
SCALE = "none"  # the blocks expect unscaled frames
FREEDOM = 5.0  # regularisation of the head's initial regression


@dataclass(frozen=True)
class Settings:
    size: Annotated[Literal["tiny", "base", "small", "medium", "large-v3"], "size of the encoder"] = "base"
    layers: Annotated[int, "blocks of the encoder that are used", 1, 32] = 4
    tune: Annotated[int, "of them, the last ones, that are trained; rows are of the layer before", 1, 32] = 2
    pretrained: Annotated[bool, "begin with the published weights"] = True
    pooling: Annotated[Literal["statistics", "attentive"], "mean and deviation over time, or attention's"] = (
        "statistics"
    )
    heads: Annotated[int, "heads of attentive pooling; they divide the width", 1, 64] = 4
    attention: Annotated[int, "width of what scores a frame for it", 1, 4096] = 64
    share: Annotated[float, "of the learning rate, what the last block gets", 0, 1] = 0.2
    fade: Annotated[float, "of a block's rate, what the block before it gets", 0, 1] = 1.0
    dropout: Annotated[float, "dropout before the last layer", 0, 1] = 0.3


def input_options(settings: Settings) -> dict[str, str]:
    """Return the options of the features that its first block takes."""
    return {"want_whisper": settings.size, "layers": str(settings.layers - settings.tune)}


def require(settings: Settings, records: Mapping[str, Any]) -> None:
    """Raise UsageError unless the features are frames of the layer before the first block; widths are all equal."""
    _check_blocks(settings)
    first = settings.layers - settings.tune
    inputs = [(name, record["stats"], record["settings"].get("size"), record["settings"].get("layers"))
            for name, record in records.items()]  # fmt: skip
    if settings.pretrained and inputs != [("whisper", [], settings.size, str(first))]:
        raise UsageError(
            f"layers={settings.layers} and tune={settings.tune} go on from layer {first}: "
            f"featurize with --whisper {settings.size} --layers {first} and no --stats"
        )
    _following(settings, records)


def _check_blocks(settings: Settings) -> None:
    there = whisper.SIZES[settings.size]["layers"]
    if not settings.tune <= settings.layers <= there:
        raise UsageError(
            f"whisper {settings.size} has {there} blocks: layers={settings.layers} of them, "
            f"tune={settings.tune}, cannot be"
        )


def _following(settings: Settings, records: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of the following blocks, from the same encoder that made the rows."""
    if not settings.pretrained:
        return {}
    digest, first = records["whisper"]["settings"].get("weights"), settings.layers - settings.tune
    return whisper.translated(whisper.tensors(settings.size, settings.layers, digest, first)[1], settings.layers)


class Model(layers.Headed):
    def __init__(self, settings: Settings, columns: int, classes: int) -> None:
        super().__init__()
        facts, self.settings = whisper.SIZES[settings.size], settings
        width = facts["width"]
        _check_blocks(settings)
        if columns != width:
            before = settings.layers - settings.tune
            raise UsageError(
                f"rows of {columns} columns are no layer of whisper {settings.size}, which has {width}: "
                f"featurize with --whisper {settings.size} --layers {before} and no --stats"
            )
        self.blocks = nn.ModuleList(whisper.Block(width, facts["heads"]) for _ in range(settings.tune))
        attentive = settings.pooling == "attentive"
        self.attend = layers.Statistics(width, settings.attention, settings.heads) if attentive else None
        self.norm = norms.BatchNorm(2 * width)
        self.head = nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(2 * width, classes))

    def load_blocks(self, records: Mapping[str, Any]) -> None:
        """Load the pretrained blocks that follow those which made the rows, if the settings ask for them."""
        state = _following(self.settings, records)
        if not state:
            return
        first = self.settings.layers - self.settings.tune
        for place, block in enumerate(self.blocks, first):
            own = f"blocks.{place}."
            block.load_state_dict({name.removeprefix(own): state[name] for name in state if name.startswith(own)})

    def slow_parts(self) -> list[tuple[nn.Module, float]]:
        """Return the parts with a reduced learning rate, and its share."""
        depths = reversed(range(len(self.blocks)))
        return [
            (block, self.settings.share * self.settings.fade**depth)
            for block, depth in zip(self.blocks, depths, strict=True)
        ]

    def start_head(self, vectors: np.ndarray, regress: Regress) -> None:
        """Initialise the head by regression on the clips' summaries, `[clips, 2 width]`."""
        mean, variance = vectors.mean(axis=0), vectors.var(axis=0)
        scaled = ((vectors - mean) / np.sqrt(variance + norms.EPS)).astype(np.float32)
        self.norm.running_mean.copy_(torch.from_numpy(mean))
        self.norm.running_var.copy_(torch.from_numpy(variance))
        with torch.no_grad():
            for parameter, part in zip(self.head.parameters(), regress(scaled, FREEDOM / len(vectors)), strict=True):
                parameter.copy_(torch.from_numpy(part))

    def block_outputs(self, rows: Tensor, lengths: Tensor) -> list[Tensor]:
        """Return the output of each block, `[clips, frames, width]`."""
        output, outputs = layers.cleared(rows, lengths), []
        valid = real_frames(lengths, rows.shape[1], rows.device)
        for block in self.blocks:
            output = block(output, valid[:, None, None])
            outputs.append(output)
        return outputs

    def summary(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Return the pooled output, `[clips, 2 width]`, before normalisation.

        Predictions in bf16 are computed clip by clip: masked padding, though its weight is zero, changes the order of
        sums, and bf16 amplifies the rounding error.
        """
        if self.training or not torch.is_autocast_enabled(rows.device.type):
            return self._pooled(self.block_outputs(rows, lengths)[-1], lengths)
        summaries = rows.new_empty(len(rows), 2 * rows.shape[2])
        for clip, length in enumerate(lengths.tolist()):
            this = slice(clip, clip + 1)
            summaries[this] = self._pooled(self.block_outputs(rows[this, :length], lengths[this])[-1], lengths[this])
        return summaries

    def _pooled(self, output: Tensor, lengths: Tensor) -> Tensor:
        valid = real_frames(lengths, output.shape[1], output.device)
        if self.attend is not None:
            return self.attend(output, valid)
        mean = layers.mean(layers.cleared(output, lengths).mT, lengths)
        spread = layers.mean((output - mean[:, None]).square().masked_fill(~valid[..., None], 0).mT, lengths)
        return torch.cat([mean, spread.clamp(min=1e-6).sqrt()], 1)

    def embed_output(self, output: Tensor, lengths: Tensor) -> Tensor:
        """Return the head's input, `[clips, 2 width]`, from the last block's output."""
        return self.norm(self._pooled(output, lengths))

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        return self.norm(self.summary(rows, lengths))
