"""Export the statistics of clips as a table for other programs, with a row per clip and a column per statistic."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sertool.errors import UsageError
from sertool.featurize import shards
from sertool.manifests import manifest, manifest_io
from sertool.manifests.manifest import Table
from sertool.system import talk
from sertool.system.paths import path_of

TOLD = ("clip", "path", "corpus", "speaker", "emotion")


def format_of(file: str) -> str:
    """Return the format that a file name asks for."""
    kind = manifest_io.EXTENSIONS.get(Path(file).suffix.lower())
    if kind is None:
        raise UsageError(f"--values {file}: the extension says no format; choose {', '.join(manifest_io.EXTENSIONS)}")
    return kind


def write(table: Table, features: Sequence[str], file: str) -> None:
    """Write the statistics of clips that have them, in the manifest's order; keep a file that is up to date."""
    statistics, kind = _table(table, features), format_of(file)
    if not manifest_io.holds(file, statistics, kind):
        manifest_io.write(statistics, file, kind)
    talk.say(f"{file}: statistics of {talk.counted(len(statistics), 'clip')}")


def _table(table: Table, features: Sequence[str]) -> Table:
    table = manifest.keep(table, manifest.usable(table))
    columns_of = {feature: _columns(table, feature) for feature in features}
    many = Counter(name for columns in columns_of.values() for name in columns)
    statistics = {
        name if many[name] == 1 else f"{feature}_{name}": column
        for feature, columns in columns_of.items() for name, column in columns.items()
    }  # fmt: skip
    clips = {name: manifest.column(table, name) for name in TOLD if name in table.column_names}
    return manifest.from_columns(clips | statistics)


def _columns(table: Table, feature: str) -> dict[str, np.ndarray]:
    """Return each column of a feature by its name, `[clips]`."""
    place, offset = manifest.codes(table, f"{feature}_shard"), np.array(manifest.column(table, f"{feature}_offset"))
    names = shards.head_of(Path(path_of(place.values[0]))).columns
    values = np.empty((len(names), len(table)), np.float32)
    for number, path in enumerate(place.values):
        rows = np.flatnonzero(place.index == number)
        values[:, rows] = shards.read(Path(path_of(path)), feature)[1][offset[rows]].T
    return dict(zip(names, values, strict=True))
