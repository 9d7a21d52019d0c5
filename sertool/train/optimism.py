"""Measure how much better a leaky division makes a model look than an honest one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sertool.eval import bootstrapping, kinds
from sertool.eval.bootstrapping import Bootstrap
from sertool.manifests import manifest
from sertool.manifests.answer_kinds import Metric
from sertool.manifests.manifest import Table
from sertool.numeric import metrics
from sertool.system import talk
from sertool.train.aim import Aim


class Resampled(NamedTuple):
    """The value of a measure, as it is shown, and in each resample."""

    metric: Metric
    value: float
    drawn: np.ndarray

    @property
    def interval(self) -> tuple[float, float] | None:
        """The bounds of the 95 % interval; None where all resamples are alike, as in eval."""
        low, high = metrics.interval(self.drawn)
        return None if np.isclose(low, high) else (float(low), float(high))

    def __str__(self) -> str:
        return f"{self.metric.text(self.value)} {self.metric.bounds(self.interval)}"

    def difference_text(self, other: "Resampled") -> str:
        """Return by how much it is greater than another, in words."""
        # Resamples of as many speakers, drawn alike, would rise and fall together; in another order they do not.
        low, high = metrics.interval(self.drawn - np.random.default_rng(0).permutation(other.drawn))
        value, low, high = (self.metric.text(each, "+") for each in (self.value - other.value, low, high))
        return f"{value} [{low}, {high}] {self.metric.of}"


class HeldOutResult(NamedTuple):
    """The clips held out under one division, and the figures on them."""

    named: str
    clips: int
    speakers: int  # 0 if unknown
    figures: dict[str, Resampled]

    @property
    def held(self) -> str:
        who = talk.counted(self.speakers, "speaker") if self.speakers else "unknown speakers"
        return f"{talk.counted(self.clips, 'clip')} of {who} under {self.named}"


def say(names: Sequence[str], tables: Sequence[Table], aim: Aim) -> None:
    """Say the gap between the leaky and the honest division, and how to read it."""
    pooled = ", all trainings pooled" if any(_is_of_several(table) for table in tables) else ""
    compared, only = aim.in_common(tables)
    if not all(map(len, compared)):
        talk.say("no optimism gap: the two divisions hold out no emotion in common")
        return
    leaky, honest = (result(name, table, aim) for name, table in zip(names, compared, strict=True))
    first, *others = ((leaky.figures[metric.name], honest.figures[metric.name]) for metric in aim.metrics)
    gap = f"optimism gap {first[0].difference_text(first[1])}{pooled}"
    talk.say(f"{gap}: {first[0]} of {leaky.held}, {first[1]} of {honest.held}")
    for one, other in others:
        talk.say(f"  {one.difference_text(other)}: {one}, {other}")
    talk.say(f"  in brackets 95 % intervals, bootstrap {_bootstrap([leaky, honest])}{only}")


def result(title: str, table: Table, aim: Aim) -> HeldOutResult:
    """Return the figures on held-out rows, all trainings together, resampled as eval does."""
    run = kinds.of_table(table, aim.names)
    units = metrics.units_of(run.speaker)
    sums = {"main": bootstrapping.of_answers(run, units)}
    whole, drawn = (held["main"] for held in bootstrapping.whole_and_drawn(sums, units, Bootstrap()))
    points, resampled = (bootstrapping.main_figures(run, held, whole) for held in (whole, drawn))
    figures = {
        each.name: Resampled(
            each,
            each.scale * float(metrics.mean(points[each.name])[0]),
            each.scale * metrics.mean(resampled[each.name]),
        )
        for each in aim.metrics
    }
    return HeldOutResult(title, run.count, units.speakers, figures)


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
