"""The ratings that runs answer, such as arousal, as arrays of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sertool.eval import answers
from sertool.eval.answers import Answers
from sertool.eval.predictions import Run
from sertool.manifests import columns, manifest


@dataclass(frozen=True)
class Ratings(Answers):
    """Answers that are numbers: truth `[dimensions, clips]`, predictions `[dimensions, seeds, clips]`; NaN: unknown."""

    NOTHING: ClassVar[float] = np.nan

    dimensions: tuple[str, ...]

    @property
    def main(self) -> tuple[str, ...]:
        """The mean CCC over dimensions, then that of each if there are several."""
        return ("ccc", *(f"ccc_{name}" for name in self.dimensions[len(self.dimensions) == 1 :]))

    def true(self, clip: int) -> str:
        return _said(self.dimensions, self.truth[:, clip])


def read(runs: Sequence[Run], by: Sequence[str]) -> list[Ratings]:
    return [_ratings(run, by) for run in runs]


def _ratings(run: Run, by: Sequence[str]) -> Ratings:
    cells = answers.cells_of(run)
    truth = manifest.ratings(run.table, run.dimensions)
    predicted = manifest.ratings(run.table, map(columns.predicted, run.dimensions))
    answers.refuse_two_truths(run, cells, truth, lambda row: _said(run.dimensions, truth[:, row]))
    of_clips = np.fmax.reduce(answers.spread(truth, cells, np.nan), axis=1)  # the same under all seeds that know it
    answered = answers.spread(predicted, cells, np.nan)
    return Ratings(
        **answers.of_any_kind(run, cells, by),
        truth=of_clips,
        predicted=np.where(np.isnan(of_clips)[:, None], np.nan, answered),
        dimensions=run.dimensions,
    )


def _said(dimensions: Sequence[str], values: np.ndarray) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in zip(dimensions, values, strict=True))
