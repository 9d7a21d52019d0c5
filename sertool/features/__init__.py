"""Features by name: each file of this folder is one, and adding a file adds it.

A file has a docstring whose first line is its option's help, and

- `DTYPE`, what its rows are stored as: float16, float32, or int16, which no `--dtype` changes;
- `Settings`, a frozen dataclass whose fields are options; `hop`, with `center` and `n_fft` or `frame_length`, gives
  the times of rows;
- `Feature(settings, rate)`, a module, which refuses what it cannot compute;
- `definition(wave, rate, settings)`, the slow reference implementation that `--verify` compares with: float64 `[rows,
  columns]` of `[samples]`.

A `Feature` has the names of its `columns`, and a `framing`:

- If `framing` is a `dsp.Framing` (features with equal ones share frames and spectra), `forward(frames)` returns
  `[frames, width]` of a run of `dsp.Frames`, each row independently. `finish(rows)`, if present, turns all rows of a
  clip into its `[frames, columns]`. A feature that needs a first pass over the whole clip has `survey(frames)`, called
  on each run, and `settle(found)`, called on the joined results, which returns `forward`'s second argument.
- If `framing` is None, `clips(waves)` returns the `[rows, columns]` of each `[samples]`.

A file may also have

- `REVISION`, how often its numbers have changed: increasing it makes its shards again;
- `LATER`, settings that came after shards were made, and what those mean that lack them, which is not recorded;
- `stored(settings)`: the type in shards, if it is not `DTYPE` for all settings;
- `COUNTED_WHERE`, {column: other}: statistics of a column use only rows in which the other is above 0;
- for `--verify` only: `tolerance(settings)`, the relative error allowed; `LEAST`, a difference that never matters;
  `AGREES`, the share of values that must be within the tolerance; `STEPS`, true if rounding may move a value by a
  step;
- `resolve_settings(settings, device, rate)` and `settings_for_device(settings, device)`, see below;
- `values_per_second(settings)`, by which shards are cut, if no setting is called `hop`;
- `settings(values)`, its settings checked, if they are not options;
- for a pretrained encoder, the file of the same name in `encoders/`: `CHOICE`, the setting that names the encoder and
  is the value of the feature's own option; and settings `layers`, `precision` and `weights`, a digest.

A file with `FROM_FILE` stands for rows that a file of another program's holds: its option takes that file, it has no
`Feature` or `definition`, and its `Settings` are the names of the `columns`, and whether clips have rows `over_time`.
There may be several of them in a manifest, such as `given_egemaps` of `given`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from types import ModuleType
from typing import Any

from sertool import catalogue, encoders
from sertool.errors import UsageError
from sertool.networks import weights


def entry(name: str) -> catalogue.Entry:
    """Return what a feature's file says of itself, without importing it: `given_egemaps` is of the file `given`."""
    return catalogue.entries("features")[_file(name)]


def load(name: str) -> ModuleType:
    """Import a feature's file."""
    return catalogue.load("features", _file(name))


def _file(name: str) -> str:
    return name.partition("_")[0]


def resolve_settings(name: str, settings: Any, device: str, rate: int) -> Any:
    """Return the settings to record in a shard, including what only the device or the weights' file determines."""
    module = load(name)
    return module.resolve_settings(settings, device, rate) if hasattr(module, "resolve_settings") else settings


def stored(name: str, settings: Any) -> str:
    """Return the type that a feature's rows are stored as by default."""
    module = load(name)
    return module.stored(settings) if hasattr(module, "stored") else module.DTYPE


def recorded(name: str, settings: Any) -> dict[str, Any]:
    """Return the settings as a shard records them."""
    later = unrecorded(name)
    return {word: value for word, value in asdict(settings).items() if (word, value) not in later.items()}


def of_record(name: str, record: dict[str, Any]) -> Any:
    """Return the settings that a shard or a model records."""
    return settings(name, unrecorded(name) | record)


def unrecorded(name: str) -> dict[str, Any]:
    """Return what settings are if a record does not name them, as it is older than they are."""
    later: dict[str, Any] = getattr(load(name), "LATER", {})
    return later


def values_per_second(name: str, settings: Any, rate: int) -> float:
    """Return the number of values per second of audio."""
    module = load(name)
    if hasattr(module, "values_per_second"):
        return module.values_per_second(settings)
    return len(module.Feature(settings, rate).columns) * rate / getattr(settings, "hop", 1)


def encoded(name: str) -> bool:
    """Whether a feature consists of layers of a pretrained encoder."""
    return "CHOICE" in entry(name).facts


def from_file(name: str) -> bool:
    """Whether a file gives a feature's rows, which are not computed of sound."""
    return "FROM_FILE" in entry(name).facts


def to_fetch(settings_of: Mapping[str, Any]) -> list[str]:
    """Return the weights that features need and that must be downloaded, with their size."""
    missing = []
    for name, settings in settings_of.items():
        if choice := getattr(load(name), "CHOICE", None):
            family, kind = encoders.load(name), getattr(settings, choice)
            if not weights.is_at_hand(published := family.published(kind)):
                missing.append(f"the weights of {published.name} ({family.SIZES[kind]['megabytes']:,} MB)")
    return missing


def where(name: str) -> dict[int, int]:
    """Return the columns that count in a clip's statistics only if another is above 0: {column: other}."""
    return getattr(load(name), "COUNTED_WHERE", {})


def sides(record: Mapping[str, Any]) -> int:
    """Return the number of channels side by side in a feature's columns, from its record."""
    return 2 if record["wave"].get("channels") == "stereo" else 1


def settings_for_device(name: str, settings: Any, device: str) -> Any:
    """Return the settings that a device computes best, within tolerance; shards record the original ones."""
    module = load(name)
    return module.settings_for_device(settings, device) if hasattr(module, "settings_for_device") else settings


def settings(name: str, values: dict[str, Any]) -> Any:
    """Return a feature's settings with some values set and checked; `weights` is a digest."""
    if hasattr(load(name), "settings"):
        return load(name).settings(values)
    weights = values.get("weights")
    if not isinstance(weights, str | None):
        raise UsageError(f"{name}: weights cannot be {str(weights)[:40]!r}")
    own = {key: value for key, value in values.items() if key != "weights"}
    catalogue.check(name, entry(name).settings, own)
    return load(name).Settings(**values)
