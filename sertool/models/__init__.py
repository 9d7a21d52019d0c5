"""Architectures by name: each file of this folder is one, and adding a file adds it.

A file has `Settings`, literal facts (`ORIGIN`, and `PARAMETERS` at the usual `INPUT` and six emotions, or three
dimensions) and a `Model`:

- `Model(settings, columns, classes)` is built from these and random numbers alone, also on the device `meta`; it raises
  an error for columns that it cannot take. A model file keeps only its state and its settings;
- `forward(rows, lengths)` returns logits `[clips, classes]` of `[clips, time, columns]`, whatever the padding holds, or
  those of several networks side by side, `[networks, clips, classes]`;
  `lengths` are best left on the CPU. A clip's logits never depend on the other clips of its batch.

Networks have, for `--imitate` and `--mixes summary`, `embed(rows, lengths)`, `[clips, width]`, and `head(..)` of that,
which together are `forward`. Classical models have instead

- `learns`, "emotions" or "dimensions": a network learns either;
- `fit(x, y, weights, seed, origin)`, in place of training by gradients: `x` `[clips, columns]`, the classes `y`
  `[clips]` or ratings `[clips, dimensions]`, standardised and NaN where unknown, the `weights` of the clips or None,
  and `origin`, the number of the original clip of each.

A file may also have

- settings `groups` and `stats`, which are filled in if a model has a single feature: how many groups lie side by side
  in its columns (its layers, by channels), and how many statistics there are of each; without `stats`, each statistic
  is a group of its own;
- a setting `frames`, to which it cuts or pads clips: features with a single row per clip are then refused;
- a setting `pretrained`, if it can start from published weights, which `--scratch` turns off; and `WEIGHTS`, the file
  name of ImageNet's, looked for before any work;
- `require(settings, records)`: refuse features that it cannot take, by what their shards record;
- `input_options(settings)`: the options, as presets name them, with which a recipe makes the features it takes;
- `SCALE`: the default `--scale`, if that is not `corpus`;
- `DRAWS = False`, if the fit does not depend on the seed.

And a network may have

- `pretrain(path)`: load ImageNet's weights, from a named file or from the cache;
- `load_blocks(records)`, for models over an encoder's frames: load the pretrained blocks that follow those which made
  the rows. Its setting `layers` says how many blocks there are, including those before;
- `slow_parts()`: pairs of a part and its share of the learning rate;
- `start_head(summaries, regress)`: initialise the head, before the first epoch, from `summary(rows, lengths)` of each
  training clip, `[clips, width]`, by what `regress` (see `classical.Regress`) finds;
- `block_outputs(rows, lengths)`, for `--steady`: the output of each block, `[clips, time, width]`, and
  `embed_output(output, lengths)`: the embedding computed from the last one.
"""

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from sertool import catalogue

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from sertool.networks.classical import Regress

load = partial(catalogue.load, "models")


@runtime_checkable
class Embeds(Protocol):
    def embed(self, rows: "Tensor", lengths: "Tensor") -> "Tensor": ...


@runtime_checkable
class StartsHead(Protocol):
    def start_head(self, summaries: "np.ndarray", regress: "Regress") -> None: ...


@runtime_checkable
class HasSlowParts(Protocol):
    def slow_parts(self) -> "list[tuple[nn.Module, float]]": ...


def fits_at_once(name: str) -> bool:
    """Whether a model is a classical one, fitted at once rather than epoch by epoch."""
    return hasattr(load(name).Model, "fit")


def settings(name: str, values: dict[str, Any]) -> Any:
    """Return an architecture's settings with some values set and checked."""
    module = load(name)
    catalogue.check(name, catalogue.entries("models")[name].settings, values)
    return module.Settings(**values)
