"""Hold everything that a report says about runs: figures with intervals, classes, groups, and comparisons."""

import math
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np

from sertool.numeric import metrics


@dataclass(frozen=True)
class Figure:
    """A value, the bounds of its 95 % interval (or NaN), and its standard deviation if there are several seeds."""

    value: float
    low: float
    high: float
    deviation: float | None = None


@dataclass(frozen=True)
class Class:
    """The results of one emotion: of its clips, and of the answers that name it."""

    name: str
    clips: int
    speakers: int  # 0 if unknown
    answered: float  # as `Scores.confusion`
    precision: Figure
    recall: Figure
    f1: Figure


@dataclass(frozen=True)
class Dimension:
    """The results of one rating, such as arousal."""

    name: str
    clips: int  # that are rated and answered
    speakers: int  # 0 if unknown
    ccc: Figure
    r: Figure
    rmse: Figure
    pairs: np.ndarray  # [2, some clips]: truth and prediction, averaged over seeds


@dataclass(frozen=True)
class Group:
    """The results of one group of clips, such as a corpus, a speaker or an age band."""

    name: str
    clips: int
    speakers: int
    figures: dict[str, Figure]  # the run's main ones


@dataclass(frozen=True)
class Scores:
    """All results of one run."""

    name: str
    split: str | None
    protocol: str | None
    adapted: str | None
    leaks: tuple[str, ...]
    clips: int  # or windows and channels, if these are scored
    windows_of: int | None  # the number of clips that the windows are part of
    speakers: int
    coverage: dict[str, object]
    bootstrap: str
    main: tuple[str, ...]  # the figures that groups and pairs of runs are compared by; the first ranks them
    figures: dict[str, Figure]
    seeds: dict[str, dict[str, float]]
    folds: dict[str, dict[str, float]]
    by: dict[str, tuple[Group, ...]]
    each_speaker: tuple[tuple[str, int, float], ...]  # name, clips, the first main figure; the worst first
    worst: tuple[Group, ...]
    notes: tuple[str, ...]
    # of ratings
    dimensions: tuple[Dimension, ...] = ()
    # of emotions
    rows_with: dict[str, int] = field(default_factory=dict)  # how many rows have a figure, for figures that some lack
    people: dict[str, Figure] = field(default_factory=dict)
    people_clips: int = 0
    classes: tuple[Class, ...] = ()
    confusion: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))  # answers of a seed on average
    reliability: np.ndarray = field(  # [bins, 3]: answers of a seed on average, sum of confidences, right answers
        default_factory=lambda: np.zeros((metrics.BINS, 3))
    )


@dataclass(frozen=True)
class Difference:
    """How much higher the second run scores, and the probability of such a difference by chance."""

    value: float
    low: float
    high: float
    p: float
    p_holm: float = math.nan  # p corrected for the number of pairs
    is_bound: bool = False  # p is the least that so many resamples can show: it may be lower


class McNemar(TypedDict, total=False):
    """McNemar's test: how many clips only one of the runs answered rightly; empty without common clips."""

    only_first: int
    only_second: int
    p: float
    p_holm: float
    method: str
    seeds: list[str]  # the runs' first ones, if there are several


@dataclass(frozen=True)
class Comparison:
    """The second run compared with the first, on the clips that both answered."""

    first: str
    second: str
    clips: int
    speakers: int
    bootstrap: str
    figures: dict[str, Difference] = field(default_factory=dict)
    mcnemar: McNemar = field(default_factory=McNemar)


@dataclass(frozen=True)
class Report:
    emotions: tuple[str, ...]
    runs: tuple[Scores, ...]
    comparisons: tuple[Comparison, ...]
    resamples: int
    pair_resamples: int  # of the differences of runs
    seed: int
