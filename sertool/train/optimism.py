"""Measure how much better a leaky division makes a model look than an honest one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sertool.manifests import manifest
from sertool.manifests.manifest import Table
from sertool.numeric import metrics
from sertool.numeric.metrics import Tally
from sertool.system import talk
from sertool.system.files import listed

RESAMPLES = 2000


class Resampled(NamedTuple):
    """A figure in per cent, and its value in each resample."""

    value: float
    drawn: np.ndarray

    @property
    def interval(self) -> tuple[float, float] | None:
        """The bounds of the 95 % interval; None where all resamples are alike, as in eval."""
        low, high = metrics.interval(self.drawn)
        return None if np.isclose(low, high) else (float(low), float(high))

    def __str__(self) -> str:
        return f"{self.value:.1f} {talk.bounds(self.interval)}"

    def difference_text(self, other: "Resampled") -> str:
        """Return by how much it is greater than another, in words."""
        # Resamples of as many speakers, drawn alike, would rise and fall together; in another order they do not.
        low, high = metrics.interval(self.drawn - np.random.default_rng(0).permutation(other.drawn))
        return f"{self.value - other.value:+.1f} [{low:+.1f}, {high:+.1f}]"


class HeldOutResult(NamedTuple):
    """The clips held out under one division, and the figures on them."""

    named: str
    clips: int
    speakers: int  # 0 if unknown
    uar: Resampled
    accuracy: Resampled

    @property
    def held(self) -> str:
        who = talk.counted(self.speakers, "speaker") if self.speakers else "unknown speakers"
        return f"{talk.counted(self.clips, 'clip')} of {who} under {self.named}"


def say(names: Sequence[str], tables: Sequence[Table]) -> None:
    """Say the gap between the leaky and the honest division, and how to read it."""
    emotions = [{*manifest.present(table, "emotion")} for table in tables]
    both = sorted(set.intersection(*emotions))
    if not both:
        talk.say("no optimism gap: the two divisions hold out no emotion in common")
        return
    leaky, honest = (result(name, table, both) for name, table in zip(names, tables, strict=True))
    pooled = ", all trainings pooled" if any(_is_of_several(table) for table in tables) else ""
    gap = f"optimism gap {leaky.uar.difference_text(honest.uar)} points of UAR{pooled}"
    talk.say(f"{gap}: {leaky.uar} of {leaky.held}, {honest.uar} of {honest.held}")
    talk.say(
        f"  {leaky.accuracy.difference_text(honest.accuracy)} points of accuracy: {leaky.accuracy}, {honest.accuracy}"
    )
    only = f"; figures of what both hold out: {listed(both)}" if emotions[0] != emotions[1] else ""
    talk.say(f"  in brackets 95 % intervals, bootstrap {_bootstrap([leaky, honest])}{only}")


def result(title: str, table: Table, emotions: Sequence[str]) -> HeldOutResult:
    """Return the figures on some emotions, all trainings together, resampled as eval does."""
    table = manifest.only(table, "emotion", emotions)
    answers = manifest.column(table, "predicted")
    words = [*emotions, *sorted({*answers} - {*emotions})]
    columns = (manifest.column(table, "emotion"), answers)
    truth, predicted = (np.array([words.index(word) for word in column]) for column in columns)
    _, first, clip = np.unique(manifest.codes(table, "clip").index, return_index=True, return_inverse=True)
    units = metrics.units_of(manifest.codes(table, "speaker").index[first])
    of_rows = units._replace(of_clip=units.of_clip[clip])  # a clip's rows, one per seed, are drawn together
    sums = metrics.tally_sums(of_rows, truth, predicted, len(words))
    drawn = metrics.resample(sums.reshape(len(sums), -1), units.stratum, RESAMPLES, 0).reshape(-1, *sums.shape[1:])
    whole, resampled = (Tally(*np.moveaxis(each, -2, 0)) for each in (sums.sum(0), drawn))
    uar = Resampled(100 * float(metrics.uar(whole)), 100 * metrics.uar(resampled, whole))
    accuracy = Resampled(100 * float(metrics.accuracy(whole)), 100 * metrics.accuracy(resampled))
    return HeldOutResult(title, len(first), units.speakers, uar, accuracy)


def _is_of_several(table: Table) -> bool:
    """Whether several trainings answered."""
    return any(len(manifest.present(table, name)) > 1 for name in ("fold", "seed"))


def _bootstrap(sides: Sequence[HeldOutResult]) -> str:
    """Say what is drawn: speakers or, if too few, their clips."""
    few = [side.named for side in sides if side.speakers < metrics.ENOUGH_SPEAKERS]
    if not few:
        return "over speakers"
    whose = "" if len(few) == len(sides) else f"over speakers, but under {few[0]} "
    return f"{whose}over clips, for fewer than {metrics.ENOUGH_SPEAKERS} speakers: it says nothing about others"
