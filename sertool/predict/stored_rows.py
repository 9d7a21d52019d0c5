"""Read features from shards, so that a model that takes just these features needs no audio.

A manifest that `featurize` wrote says where its clips' rows are; a shard says it of its own clips.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sertool import features
from sertool.errors import SertoolError, UsageError
from sertool.featurize import shards
from sertool.featurize.shards import Reader
from sertool.manifests import columns, manifest
from sertool.manifests.columns import Row
from sertool.manifests.manifest import Table
from sertool.networks import tensorfile
from sertool.system import talk
from sertool.system.files import listed
from sertool.system.paths import path_of, path_text

ReadRows = Callable[[], dict[str, np.ndarray]]  # reads a clip's rows by feature


class Shelf:
    """Finds rows in shards, if they were made with exactly the settings that the models need."""

    def __init__(self, records: Mapping[str, Any], sound_for: str | None = None) -> None:
        """Take the records of how the models' features are made and, if audio is needed, the option that needs it."""
        if sound_for and (name := next(filter(features.from_file, records), None)):
            raise UsageError(f"the model takes {name}, which a file gave, and {sound_for} needs sound: do without it")
        self.records, self.sound_for = records, sound_for
        self.columns = [name for feature in records for name in columns.of_feature(feature)]
        self.readers = {feature: Reader(feature, record) for feature, record in records.items()}

    def of_manifest(self, table: Table) -> Sequence[str]:
        """Return the manifest's columns that locate such rows; none if there are no such rows."""
        fits = self.sound_for is None and all(map(partial(self._is_made, table), self.records))
        if fits:
            talk.say(f"read from the manifest's shards, not made of the sound: {listed([*self.records])}")
        return self.columns if fits else ()

    def _is_made(self, table: Table, feature: str) -> bool:
        if f"{feature}_shard" not in table.column_names:
            return False
        paths = (Path(path_of(path)) for path in manifest.present(table, f"{feature}_shard"))
        folders = {path.parent: path for path in paths}
        try:  # one shard of a folder stands for all
            settings_there = [shards.head_of(path).settings for path in folders.values()]
        except (SertoolError, OSError):
            return False
        return bool(settings_there) and all(settings == self.records[feature] for settings in settings_there)

    def of_shard(self, path: str) -> Table:
        """Return a manifest of a shard's clips; refuse a shard of other features."""
        if self.sound_for is not None:
            raise UsageError(f"{path}: a shard holds no sound, which {self.sound_for} needs")
        if (feature := tensorfile.header(Path(path)).get("feature")) is None:
            raise UsageError(f"{path}: not a shard of features; a model is named with -m")
        head = shards.head_of(Path(path))
        if {str(feature): head.settings} != self.records:
            raise UsageError(f"{path}: not made as the model needs: name the audio, or a manifest of all its features")
        places = {clip: (path_text(path), offset, count) for clip, offset, count in shards.placed(head)}
        where = zip(*(places.get(clip, (None, None, None)) for clip in head.clips), strict=True)
        said = {"clip": head.clips, "path": [""] * len(head.clips), "issue": [*map(head.issues.get, head.clips)]}
        return manifest.from_columns(said | dict(zip(self.columns, where, strict=False)))

    def taken(self, row: Row) -> ReadRows | None:
        """Return a reader of a clip's rows, or None; the columns that locate them are removed from its row."""
        places = {feature: [row.pop(name, None) for name in columns.of_feature(feature)] for feature in self.records}
        there = all(None not in place for place in places.values())
        return partial(self._read, row["clip"], places) if there else None

    def _read(self, clip: str, places: Mapping[str, Sequence[Any]]) -> dict[str, np.ndarray]:
        return {feature: self.readers[feature].rows(clip, *place) for feature, place in places.items()}
