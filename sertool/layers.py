"""What several models are made of; what follows sees where padding lies, so that no clip feels its batch-mates.

A batch is `[clips, time, columns]` with `lengths` `[clips]`, kept on the CPU where possible: whether anything is padded
is then known without waiting for the device, and a batch without padding costs nothing more.
"""

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sertool import norms
from sertool.errors import UsageError
from sertool.padding import real_frames


def cleared(rows: Tensor, lengths: Tensor) -> Tensor:
    """`[clips, time, columns]` with zeros behind each clip, whatever lay there."""
    return rows.masked_fill(~real_frames(lengths, rows.shape[1], rows.device)[..., None], 0.0)


def framed(rows: Tensor, lengths: Tensor, frames: int) -> Tensor:
    """`[clips, frames, columns]`: cut, or padded with zeros, to a model's own length."""
    rows = cleared(rows[:, :frames], lengths)
    return F.pad(rows, (0, 0, 0, frames - rows.shape[1]))


def halved(lengths: Tensor) -> Tensor:
    """What steps of 2 leave of lengths; an odd frame at the end counts."""
    return (lengths + 1) // 2


def reduced(size: int, times: int) -> int:
    """What is left of a size that is halved so many times."""
    return -(-size // 2**times)


def mask(lengths: Tensor, x: Tensor) -> Tensor | None:
    """`[clips, 1, time, ..]` for `x` `[clips, channels, time, ..]`: one where a clip has frames.

    None where all have.
    """
    if lengths.device.type == "cpu" and not torch.compiler.is_compiling() and bool((lengths >= x.shape[2]).all()):
        return None
    rows = real_frames(lengths, x.shape[2], x.device).to(x.dtype)
    return rows.view(len(x), 1, -1, *[1] * (x.dim() - 3))


def mean(x: Tensor, lengths: Tensor) -> Tensor:
    """`[clips, channels]` of `[clips, channels, time, ..]`: over each clip's own frames, the rest being zero."""
    count = lengths.clamp(max=x.shape[2]).to(x.device)[:, None] * math.prod(x.shape[3:])
    return (x.sum(tuple(range(2, x.dim()))) / count).to(x.dtype)


def last(rows: Tensor, lengths: Tensor) -> Tensor:
    """`[clips, columns]`: each clip's last frame."""
    return rows[torch.arange(len(rows), device=rows.device), lengths.to(rows.device) - 1]


def flipped(rows: Tensor, lengths: Tensor) -> Tensor:
    """Each clip's frames from back to front, padding where it was."""
    time = torch.arange(rows.shape[1], device=rows.device)
    back = lengths.to(rows.device)[:, None] - 1 - time
    return rows.gather(1, torch.where(back < 0, time, back)[..., None].expand_as(rows))


def positions(time: int, width: int, device: torch.device) -> Tensor:
    """`[time, width]`: sines and cosines in turn, of wavelengths from 2 pi to 20,000 pi frames."""
    rates = 10000.0 ** (-torch.arange(0, width, 2, device=device) / width)
    angles = torch.arange(time, device=device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)[:, :width]


def dense(*widths: int) -> nn.Sequential:
    """Linear layers from each width to the next, with ReLU between them; states count dropout, too, which is none."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(0.0)]
    return nn.Sequential(*layers[:-2])


def parts(rows: Tensor, groups: int, stats: int = 1) -> Tensor:
    """`[.., groups, columns / groups]` of `[.., columns]`: what lies side by side, such as the layers of an encoder.

    Of several statistics all columns of the first come first; here each group has its own of all of them.
    """
    return rows.unflatten(-1, (stats, groups, -1)).transpose(-3, -2).flatten(-2)


def part_width(columns: int, groups: int, stats: int = 1) -> int:
    """How many columns each of the groups has."""
    if columns % (groups * stats):
        counted = f"{stats} statistics of " if stats > 1 else ""
        hint = "--set groups=N" + (" and stats=N" if stats > 1 else "")
        raise UsageError(
            f"{columns} columns are not {counted}{groups} groups of one width: say what they are with {hint}"
        )
    return columns // groups


def require_shares(width: int, heads: int) -> None:
    """Refuse heads that do not have equal shares of the columns."""
    if width % heads:
        raise UsageError(
            f"{heads} heads do not divide {width} columns into equal shares: choose another --set heads, or width"
        )


def attention(width: int, heads: int, feedforward: int, dropout: float) -> nn.Module:
    """A layer of a transformer, `[clips, time, width]` to the same."""
    require_shares(width, heads)
    return nn.TransformerEncoderLayer(width, heads, feedforward, dropout, batch_first=True)


class AttentionPool(nn.Linear):
    """The mean over time, `[clips, width]` of `[clips, time, width]`, weighted by the softmax of one score a frame."""

    def __init__(self, width: int) -> None:
        super().__init__(width, 1)

    def forward(self, rows: Tensor) -> Tensor:
        return (super().forward(rows).softmax(1).mT @ rows)[:, 0]


class Statistics(nn.Module):
    """Mean and deviation over time, `[clips, 2 width]` of `[clips, time, width]`.

    Each head weighs the frames in its own way, for its share of the columns.
    """

    def __init__(self, width: int, hidden: int, heads: int) -> None:
        super().__init__()
        require_shares(width, heads)
        self.heads = heads
        self.score = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, heads))

    def forward(self, rows: Tensor, valid: Tensor) -> Tensor:
        weights = self.score(rows).masked_fill(~valid[..., None], -torch.inf).softmax(1)[..., None]
        rows = rows.unflatten(2, (self.heads, -1))
        mean = (weights * rows).sum(1)
        spread = (weights * (rows - mean[:, None]).square()).sum(1)
        return torch.cat([mean.flatten(1), spread.clamp(min=1e-6).sqrt().flatten(1)], 1)


class Convolutions(nn.Module):
    """3x3 convolutions of `[clips, 1, time, bands]`, each with ReLU, halving by maxima and batch normalisation.

    With `skip`, what leaves the first is added, through a 1x1 convolution in steps of 2, to what leaves the second.
    """

    def __init__(self, channels: tuple[int, ...], skip: bool) -> None:
        super().__init__()
        if skip and len(channels) < 2:
            raise UsageError("its skip connection joins what leaves the second convolution: --set channels=A,B or more")
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2, ceil_mode=True),
                norms.BatchNorm2d(outputs),
            )
            for inputs, outputs in pairwise((1, *channels))
        )
        self.skip = nn.Conv2d(channels[0], channels[1], 1, stride=2) if skip else None

    def forward(self, x: Tensor) -> Tensor:
        """`[clips, channels, time / 2^n, bands / 2^n]`."""
        for place, block in enumerate(self.blocks):
            before, x = x, block(x)
            if place == 1 and self.skip is not None:
                x = x + self.skip(before)
        return x


class Convolution1d(nn.Module):
    """A convolution over time with ReLU, halving by maxima, batch normalisation and dropout; odd lengths round up."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dropout: float, norm_first: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, outputs, kernel, padding="same")
        self.norm = norms.BatchNorm(outputs)
        self.pool = nn.MaxPool1d(2, ceil_mode=True)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """`[clips, outputs, time / 2]` and what is left of `lengths`, of `[clips, inputs, time]`."""
        where, x = mask(lengths, x), self.convolution(x)
        x = norms.zero_padding(self.norm(x, where).relu() if self.norm_first else x.relu(), where)
        x, lengths = self.pool(x), halved(lengths)
        if not self.norm_first:
            x = self.norm(x, mask(lengths, x))
        return self.dropout(x), lengths


class Recurrent(nn.Module):
    """Recurrent layers, one on another, with dropout after each.

    Torch's packed sequences would do the same for 5 to 30 times the time on a CPU.
    """

    def __init__(
        self,
        kind: type[nn.LSTM | nn.GRU],
        columns: int,
        width: int,
        layers: int,
        dropout: float,
        both_ways: bool = False,
    ) -> None:
        super().__init__()
        ways = 2 if both_ways else 1
        self.width = width
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            nn.ModuleList(kind(size, width, batch_first=True) for _ in range(ways))
            for size in (columns, *[width * ways] * (layers - 1))
        )

    def states(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """`[clips, time, width]`, or twice the width both ways: the last layer's state after each frame."""
        for onward, *back in self.layers:
            ways = [onward(rows)[0], *(flipped(way(flipped(rows, lengths))[0], lengths) for way in back)]
            rows = self.dropout(torch.cat(ways, 2))
        return rows

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """`[clips, width]`, the state after a clip's last frame; both ways, beside it that of the way back."""
        rows = self.states(rows, lengths)
        return torch.cat([last(rows, lengths)[:, : self.width], rows[:, 0, self.width :]], 1)


class Headed(nn.Module):
    """A network whose `embed` sums clips up, `[clips, width]`, and whose `head` tells from that what they are."""

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        return self.head(self.embed(rows, lengths))


class Heads(nn.Module):
    """The heads of several networks, whose summaries lie side by side: as one, the mean of their probabilities.

    While they learn each answers for itself, `[networks, clips, classes]`.
    """

    def __init__(self, networks: int, width: int, classes: int) -> None:
        super().__init__()
        self.each = nn.ModuleList(nn.Linear(width, classes) for _ in range(networks))

    def forward(self, summary: Tensor) -> Tensor:
        parts = summary.chunk(len(self.each), 1)
        answers = torch.stack([head(part) for head, part in zip(self.each, parts, strict=True)])
        return answers if self.training else answers.log_softmax(-1).logsumexp(0)


def heads(networks: int, width: int, classes: int) -> nn.Module:
    """What tells from one network's summary, or from those of several, what clips are."""
    return nn.Linear(width, classes) if networks == 1 else Heads(networks, width, classes)


class LastState(Headed):
    """Recurrent layers, whose state after a clip's last frame goes through dense layers."""

    kind: type[nn.LSTM | nn.GRU]
    both_ways = False

    def __init__(self, settings: Any, columns: int, classes: int) -> None:
        super().__init__()
        size = settings.width, settings.layers, settings.dropout
        self.recurrent = Recurrent(self.kind, columns, *size, self.both_ways)
        self.head = dense((2 if self.both_ways else 1) * settings.width, *settings.dense, classes)

    def embed(self, rows: Tensor, lengths: Tensor) -> Tensor:
        return self.recurrent(cleared(rows, lengths), lengths)
