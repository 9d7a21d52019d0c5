"""Architectures by name: each file of this folder is one, and adding a file adds it.

A file has `Settings`, literal facts (`ORIGIN`, `PARAMETERS` at the usual `INPUT` and six classes) and a `Model`:

- `Model(settings, columns, classes)` is built with random numbers, and from nothing else;
- `forward(rows, lengths)` gives logits `[clips, classes]` of `[clips, time, columns]`, zeros or anything else lying
  behind each clip; `lengths` are best left on the CPU. A clip's logits never depend on its company;
- `embed(rows, lengths)`, of networks, is `[clips, width]`, and `head(embed(..))` is `forward`;
- `pretrain(path)`, of backbones, puts ImageNet's weights in;
- `go_on(records)`, over an encoder's frames, the blocks that follow those which the records say made the rows;
- `fit(x, y, weights, seed)`, of classical models, takes the place of training by gradients.
"""

from functools import partial
from typing import Any

from sertool import catalogue

load = partial(catalogue.load, "models")


def settings(name: str, values: dict[str, Any]) -> Any:
    """An architecture's settings with some values set, each of which must make sense."""
    module = load(name)
    catalogue.check(name, catalogue.entries("models")[name].settings, values)
    return module.Settings(**values)
