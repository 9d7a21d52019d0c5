"""Pretrained encoders by name: each file of this folder is a family of them, and adding a file adds it; the file of the
same name in `features/` makes features of their layers.

A file says as literal facts what help and lists show: `SIZES`, by name the `layers`, `width`, `parameters`, `megabytes`
and perhaps `citation` of each, and the family's `LICENCE`, and `CITATION` where sizes have none. And it has

- `Encoder(size, layers, precision, known)`, a module: of waves, each `[samples]`, it returns the layers side
  by side, float32 `[frames, layers x width]`. Layer 0 is the input of the first block, layer k the output of the k-th.
  If a digest `known` is given, its weights are those;
- `require_rate(rate)`: refuse other sample rates than its own;
- `tensors(size, layers, known)`, the digest and the tensors of the first `layers` blocks, and their `shapes(size,
  layers)`, by published names; `arranged(tensors)` gives tensors of other files these names.
"""

from functools import partial
from itertools import pairwise

from sertool import catalogue
from sertool.errors import UsageError

load = partial(catalogue.load, "encoders")


def origin(family: str, size: str) -> dict[str, str]:
    """Which encoder it is, under what licence, and what to cite."""
    facts = catalogue.entries("encoders")[family].facts
    text = facts["SIZES"][size].get("citation") or facts["CITATION"]
    return {"name": f"{family} {size}", "licence": facts["LICENCE"], "citation": text}


def parse_layers(text: str, count: int) -> tuple[int, ...]:
    """Layers by number, in order: `all`, `3`, `1-5` or `0,2-4` of the layers 0 to `count`."""
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
    """Layers as text, one way only: `0,2-4`."""
    words: list[str] = []
    for place, layer in enumerate(layers):
        if place and layers[place - 1] == layer - 1:
            words[-1] = f"{words[-1].partition('-')[0]}-{layer}"
        else:
            words.append(str(layer))
    return ",".join(words)


def windows(frames: int, most: int, margin: int) -> list[tuple[int, int, int, int]]:
    """How a long clip is cut: first and last + 1 frame of each window, and of its middle that is kept.

    Windows of `most` frames, evenly spread, overlap by twice `margin` at the least, and neighbours meet in the middle.
    """
    if frames <= most:
        return [(0, frames, 0, frames)]
    count = 1 + -(-(frames - most) // (most - 2 * margin))
    starts = [(frames - most) * index // (count - 1) for index in range(count)]
    borders = [0, *((before + most + after) // 2 for before, after in pairwise(starts)), frames]
    return [(start, start + most, *borders[index : index + 2]) for index, start in enumerate(starts)]
