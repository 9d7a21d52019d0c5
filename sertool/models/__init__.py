"""Architectures by name: each file of this folder is one, and adding a file adds it.

A file has `Settings`, literal facts (`ORIGIN`, and `PARAMETERS` at the usual `INPUT` and six classes) and a `Model`:

- `Model(settings, columns, classes)` is built with random numbers, and from nothing else, on the device `meta`, too; it
  refuses what it cannot hear. Its state and its settings are all that a model file keeps of it;
- `forward(rows, lengths)` gives logits `[clips, classes]` of `[clips, time, columns]`, zeros or anything else lying
  behind each clip; `lengths` are best left on the CPU. A clip's logits never depend on its company.

Networks have, for `--imitate` and `--mixes summary`, `embed(rows, lengths)`, `[clips, width]`, and `head(..)` of that,
which together are `forward`. Classical models have instead

- `fit(x, y, weights, seed, origin)`, which takes the place of training by gradients: of `[clips, columns]` and classes
  `[clips]`; what each clip counts, or None; and by number the clip that each is, or is a copy of.

What else there may be, in the file:

- settings `groups` and `stats`, which a feature says that is alone: how many groups lie side by side in its columns
  (its layers, by channels), and how many statistics of each; without `stats`, each statistic is a group of its own;
- a setting `pretrained`, if it can begin with what others published, which `--scratch` turns off; and `WEIGHTS`, the
  name of ImageNet's, looked for before any work;
- `require(settings, records)`: refuse features that it cannot hear, by what their shards record;
- `hears(settings)`: the options, as presets name them, of the features that it can, where a recipe makes them;
- `SCALE`: the usual `--scale`, where that is not `corpus`;
- `DRAWS = False`, if every seed fits the same.

And of a network:

- `pretrain(path)`: put ImageNet's weights in, from a file that was named or from where they are kept;
- `go_on(records)`, over an encoder's frames: put in the blocks that follow those which made the rows. Its setting
  `layers` says how many blocks there are, with those before;
- `slower()`: pairs of a part and the share of the learning rate that it learns at;
- `warm(summaries, classes)`: begin the head, before the first epoch, with what `summary(rows, lengths)` gives of each
  training clip, `[clips, width]`;
- `streams(rows, lengths)`, for `--steady`: what leaves each block, `[clips, time, width]`, and `told(stream, lengths)`:
  what `embed` makes of the last.
"""

from functools import partial
from typing import Any

from sertool import catalogue

load = partial(catalogue.load, "models")


def fits_at_once(model: Any) -> bool:
    """Whether a model, or its class, is a classical one."""
    return hasattr(model, "fit")


def settings(name: str, values: dict[str, Any]) -> Any:
    """An architecture's settings with some values set, each of which must make sense."""
    module = load(name)
    catalogue.check(name, catalogue.entries("models")[name].settings, values)
    return module.Settings(**values)
