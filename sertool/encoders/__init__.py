"""Pretrained encoders by name: each file of this folder is a family of encoders, and adding a file adds it.

The file of the same name in `features/` makes features of their layers. A file has literal constants for help and
lists: `SIZES`, by name the `layers`, `width`, `parameters`, `megabytes` and perhaps `citation` of each, and the
family's `LICENCE`, and `CITATION` if sizes have none. It also has

- `Encoder(size, layers, precision, known)`, a module: of waves, each `[samples]`, it returns the layers side
  by side, float32 `[frames, layers x width]`. Layer 0 is the input of the first block, layer k the output of the k-th.
  If a digest `known` is given, its weights must have it. It may take more, which the family's feature gives it;
- `require_rate(rate)`: refuse other sample rates than its own;
- `tensors(size, layers, known)`, the digest and the tensors of the first `layers` blocks, and their `shapes(size,
  layers)`, by published names; `arranged(tensors)` renames tensors of other files to these names.
"""

from functools import partial
from itertools import pairwise

from sertool import catalogue
from sertool.errors import UsageError

load = partial(catalogue.load, "encoders")


def origin(family: str, size: str) -> dict[str, str]:
    """Return an encoder's name, licence and citation."""
    facts = catalogue.entries("encoders")[family].facts
    text = facts["SIZES"][size].get("citation") or facts["CITATION"]
    return {"name": f"{family} {size}", "licence": facts["LICENCE"], "citation": text}


def parse_layers(text: str, count: int) -> tuple[int, ...]:
    """Parse layer numbers, in order: `all`, `3`, `1-5` or `0,2-4` of the layers 0 to `count`."""
    if text == "all":
        return tuple(range(count + 1))
    numbers: set[int] = set()
    for word in text.split(","):
        first, dash, last = word.strip().partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last) <= count):
            raise UsageError(f"--layers {text}: the encoder has layers 0 to {count}; say which as 3, 1-5, 0,2-4 or all")
        numbers.update(range(int(first), int(last) + 1))
    return tuple(sorted(numbers))


def spelled(layers: tuple[int, ...]) -> str:
    """Format layer numbers in a unique way: `0,2-4`."""
    words: list[str] = []
    for place, layer in enumerate(layers):
        if place and layers[place - 1] == layer - 1:
            words[-1] = f"{words[-1].partition('-')[0]}-{layer}"
        else:
            words.append(str(layer))
    return ",".join(words)


def windows(frames: int, most: int, margin: int, whole: int = 0) -> list[tuple[int, int, int, int]]:
    """Return the windows of a long clip: first and last + 1 frame of each, and of its middle that is kept.

    Windows of `most` frames are evenly spread, overlap by at least twice `margin`, and are joined in the middle of an
    overlap. A clip of up to `whole` frames is one window, even if it has more than `most`.
    """
    if frames <= max(most, whole):
        return [(0, frames, 0, frames)]
    count = 1 + -(-(frames - most) // (most - 2 * margin))
    starts = [(frames - most) * index // (count - 1) for index in range(count)]
    borders = [0, *((before + most + after) // 2 for before, after in pairwise(starts)), frames]
    return [(start, start + most, *ends) for start, ends in zip(starts, pairwise(borders), strict=True)]
