"""Say what is computed from clips: the settings of waveform and features, and how rows are processed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from sertool import features
from sertool.sound.shaping import Wave

VERSION = 1  # of the features' numbers; a new version makes all shards again
REVISED_STATS = {"slope", "skew", "kurtosis"}  # statistics of which few frames had other numbers


@dataclass(frozen=True)
class Extraction:
    """All that determines a feature's numbers: the settings of waveform and features, and how rows are processed.

    `given` holds the rows that files give, float32 `[rows, width]`, by feature and clip.
    """

    wave: Wave
    features: dict[str, Any]  # settings by name
    normalize: tuple[str, ...] = ()
    stats: tuple[str, ...] = ()
    dtype: str | None = None
    given: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of_options(cls, names: Iterable[str], options: Mapping[str, Any]) -> "Extraction":
        """Return the extraction that the options of `featurize` ask for; an option that is None was not given.

        An option named after a setting alone applies to all features that have this setting.
        """
        given = {word: value for word, value in options.items() if value is not None}
        chosen = {}
        for name in names:
            entry = features.entry(name)
            own = {setting.name: f"{name}_{setting.name}" for setting in entry.settings}
            own |= {entry.facts["CHOICE"]: f"want_{name}"} if "CHOICE" in entry.facts else {}
            names_of = {setting: word for setting in own for word in (setting, own[setting]) if word in given}
            chosen[name] = features.settings(name, {setting: given[word] for setting, word in names_of.items()})
        wave = {field.name: given[field.name] for field in fields(Wave) if field.name in given}
        wave["seed"] = wave.get("seed", 0) if wave.get("fit") == "random" else 0
        stats = tuple(dict.fromkeys(given.get("stats", ())))
        return cls(Wave(**wave), chosen, given.get("normalize", ()), stats, given.get("dtype"))

    @property
    def computed(self) -> list[str]:
        """The features that are computed of sound."""
        return [name for name in self.features if not features.from_file(name)]

    def over_time(self, name: str) -> bool:
        """Whether a feature's rows are frames, and not one that a file gives for each clip."""
        return getattr(self.features[name], "over_time", True)

    def steps(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return how a feature's rows are normalised and summarised, if they are frames."""
        return (self.normalize, self.stats) if self.over_time(name) else ((), ())

    def stored(self, name: str) -> str:
        """Return the type in which a feature's rows are stored."""
        usual = features.stored(name, self.features[name])
        if usual == "int16":
            return usual
        return self.dtype or ("float32" if self.stats else usual)

    def bytes_per_second(self) -> float:
        """Return the most bytes that any one feature takes per second of audio."""
        if self.stats:
            return 0.0
        return max((features.values_per_second(name, self.features[name], self.wave.rate)
                    * np.dtype(self.stored(name)).itemsize for name in self.computed), default=0.0)  # fmt: skip

    def record(self, name: str) -> dict[str, Any]:
        """Return what a shard records about how its numbers were made."""
        normalize, stats = self.steps(name)
        revision = getattr(features.load(name), "REVISION", 0) + bool(REVISED_STATS.intersection(stats))
        return {
            "version": VERSION + revision, "feature": name,
            "settings": features.recorded(name, self.features[name]),
            "wave": {} if features.from_file(name) else asdict(self.wave),
            "normalize": list(normalize), "stats": list(stats), "dtype": self.stored(name),
        }  # fmt: skip

    def only(self, names: Sequence[str]) -> "Extraction":
        """Return the extraction of some of the features."""
        return replace(self, features={name: self.features[name] for name in names})
