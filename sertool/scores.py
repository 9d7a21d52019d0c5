"""What there is to say about runs: figures with their intervals, by class and group, and how pairs of runs differ."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Figure:
    """A value, the bounds of its 95 % interval, and its standard deviation over seeds where there are several."""

    value: float
    low: float
    high: float
    deviation: float | None = None


@dataclass(frozen=True)
class Class:
    """How one emotion fared: of its clips and of the answers that name it."""

    name: str
    clips: int
    answered: int  # the mean over seeds
    precision: Figure
    recall: Figure
    f1: Figure


@dataclass(frozen=True)
class Group:
    """How the clips of one corpus, speaker, age band ... fared."""

    name: str
    clips: int
    speakers: int
    uar: Figure
    wa: Figure


@dataclass(frozen=True)
class Scores:
    """All there is to say about one run."""

    name: str
    split: str | None
    protocol: str | None
    adapted: str | None
    leaks: tuple[str, ...]
    clips: int  # or windows and channels of clips, where such are scored
    windows_of: int | None  # of how many clips those are
    speakers: int
    coverage: dict[str, object]
    bootstrap: str
    figures: dict[str, Figure]
    rows_with: dict[str, int]  # of the figures that not every row has, how many do
    people: dict[str, Figure]
    people_clips: int
    classes: tuple[Class, ...]
    confusion: np.ndarray
    reliability: np.ndarray
    seeds: dict[str, dict[str, float]]
    folds: dict[str, float]
    by: dict[str, tuple[Group, ...]]
    each_speaker: tuple[tuple[str, int, float], ...]  # name, clips, UAR: the worst first
    worst: tuple[Group, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """How much more the second run has, and how probable so much is by chance."""

    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Comparison:
    """The second run against the first, on the clips that both answered."""

    first: str
    second: str
    clips: int
    speakers: int
    bootstrap: str
    figures: dict[str, Difference] = field(default_factory=dict)
    mcnemar: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    emotions: tuple[str, ...]
    runs: tuple[Scores, ...]
    comparisons: tuple[Comparison, ...]
    resamples: int
    seed: int
