"""Learn dimensions such as arousal and valence: the loss is 1 - CCC over a batch, averaged over dimensions.

CCC, the concordance correlation coefficient (Lin, 1989), is 1 only where answers are the truth itself: they must vary
with it, as much as it does, and about the same mean. A clip that is not rated on a dimension is left out of its CCC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sertool.divisions.splits import TRAIN
from sertool.errors import SertoolError, UsageError
from sertool.manifests import casting, columns, manifest
from sertool.manifests.answer_kinds import Dimensions, Metric, Scale
from sertool.manifests.manifest import Table
from sertool.networks import classical
from sertool.numeric import metrics
from sertool.numeric.metrics import Units
from sertool.system import talk
from sertool.system.files import listed
from sertool.system.team import Team
from sertool.train import label_sets
from sertool.train.aim import Aim, BatchLoss, Lesson, LessonPlan
from sertool.train.row_augmentation import Mixup
from sertool.train.training_settings import Settings

LEAST = 1e-8  # added to variances, of standardised values, so that a batch without any has a CCC of 0
TOLD = ("age", *columns.DIMENSIONS)  # of our columns, those that tell of a clip in numbers


@dataclass(frozen=True)
class DimensionLesson(Lesson):
    """The ratings of clips; `targets` are standardised by train, `[clips, dimensions]`, NaN where unknown."""

    kind: Dimensions
    targets: Tensor

    @cached_property
    def truth(self) -> np.ndarray:
        """The standardised ratings, float64 `[clips, dimensions]`; NaN where unknown."""
        return self.targets.cpu().double().numpy()

    @property
    def known(self) -> np.ndarray:
        return ~np.isnan(self.truth).all(axis=1)

    def can_judge(self, clips: np.ndarray) -> bool:
        return _any_varies(self.truth[clips])

    def batch_loss(self, settings: Settings, train: np.ndarray, team: Team) -> BatchLoss:
        return ConcordanceLoss(self.targets, team)

    def loss(self, outputs: Tensor, clips: np.ndarray) -> float:
        return 1 - self.figures(outputs, clips)["ccc"]

    def figures(self, outputs: Tensor, clips: np.ndarray) -> dict[str, float]:
        """Return the CCC of each dimension that varies among the clips, and their mean."""
        everything = Units(np.zeros(len(clips), int), np.zeros(1, int), 0, "")
        sums = metrics.moment_sums(everything, self.truth[clips].T, outputs.double().numpy().T)[0]
        figures = metrics.ccc_figures(sums, self.kind.names)
        return {name: float(value) for name, value in figures.items() if not np.isnan(value)}

    def group_sizes(self, how: str, train: np.ndarray, corpora: np.ndarray) -> np.ndarray:
        return label_sets.group_sizes(how, np.zeros(len(train), int), corpora[train])

    def regression(self, rows: np.ndarray, c: float, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return classical.ridge(rows, self.truth[train], c)


@dataclass(frozen=True)
class ConcordanceLoss:
    """1 - CCC of a batch, averaged over the dimensions on which two of its clips are rated."""

    targets: Tensor  # `[clips, dimensions]`
    team: Team

    def __call__(self, outputs: Tensor, clips: Tensor, mixup: Mixup | None) -> Tensor:
        """Return the loss for each clip, summed; where another process has a part of the batch, that counts, too."""
        targets = self.targets[clips] if mixup is None else mixup.of(self.targets[clips])
        known = ~targets.isnan()
        count = self.team.sum_parts(known.sum(dim=0).float())
        share = known / count.clamp(min=1)  # of each clip in a dimension's means, `[clips, dimensions]`
        targets = targets.nan_to_num()

        def mean(values: Tensor) -> Tensor:
            """Return the mean over the whole batch, `[.., dimensions]` of `[.., clips, dimensions]`."""
            return self.team.sum_parts((values * share).sum(dim=-2))

        mean_true, mean_answer = mean(targets), mean(outputs)
        true, answer = targets - mean_true, outputs - mean_answer[..., None, :]
        spread = mean(true.square()) + mean(answer.square()) + (mean_true - mean_answer).square()
        ccc = 2 * mean(true * answer) / (spread + LEAST)
        rated = (count > 1).float()
        return (1 - (ccc * rated).sum(dim=-1) / rated.sum().clamp(min=1)).sum() * len(clips)


def _any_varies(ratings: np.ndarray) -> bool:
    """Whether any dimension varies, of `[clips, dimensions]`; NaN is unknown."""
    return any(len(np.unique(values[~np.isnan(values)])) > 1 for values in ratings.T)


@dataclass(frozen=True)
class DimensionAim(Aim):
    """Dimensions: columns of numbers that rate clips."""

    names: tuple[str, ...]

    what = "dimensions"
    usual: ClassVar = {
        "smoothing": 0.0, "soft": 0.0, "absent_emotions": "mask", "balance": "none", "metric": "ccc", "adapt": None,
        "select": None, "reduce": None, "teacher": None,
    }  # fmt: skip

    def takes(self, option: str, value: Any) -> bool:
        return (
            option not in self.usual
            or not value
            or value == self.usual[option]
            or (option, value) in {("metric", "loss"), ("balance", "corpus")}
            or (option == "reduce" and value != "lda")
        )

    @property
    def metrics(self) -> Sequence[Metric]:
        return Dimensions(self.names).metrics

    def usable(self, table: Table) -> Table:
        """Set aside the clips that are rated on none of the dimensions."""
        for name in self.names:
            _refuse_column(table, name)
        table = casting.as_numbers(table, self.names, "--dimensions")
        unrated = np.isnan(self._values(table)).all(axis=1)
        if count := int(unrated.sum()):
            talk.say(f"{count:,} of {talk.counted(len(table), 'clip')} set aside, without {listed(self.names)}")
        return manifest.keep(table, ~unrated)

    def require_learnable(self, train: Table, name: str) -> None:
        for dimension, values in zip(self.names, self._values(train).T, strict=True):
            known = np.unique(values[~np.isnan(values)])
            if len(known) < 2:
                what = f"is {known[0]:g} in all clips of train" if len(known) else "is unknown in all clips of train"
                raise SertoolError(f"{name}: {dimension} {what}: leave it out of --dimensions, or divide otherwise")

    def can_judge(self, rows: Table) -> bool:
        return _any_varies(self._values(rows))

    def truths(self, table: Table) -> Mapping[str, Sequence[Any]]:
        return {"ratings": self._values(table).tolist()}

    def kind(self, train: Table) -> Dimensions:
        values = self._values(train)
        parts = (np.nanmean(values, 0), np.nanstd(values, 0), np.nanmin(values, 0), np.nanmax(values, 0))
        return Dimensions(self.names, [Scale(*map(float, each)) for each in zip(*parts, strict=True)])

    def lesson(self, table: Table, plan: LessonPlan) -> DimensionLesson:
        kind = self.kind(manifest.keep(table, plan.split == TRAIN))
        means, deviations = (
            np.array([getattr(scale, name) for scale in kind.scales]) for name in ("mean", "deviation")
        )
        targets = (self._values(table) - means) / deviations
        return DimensionLesson(kind, torch.from_numpy(targets).float().to(plan.device))

    def predictions(self, table: Table) -> list[str]:
        return [*super().predictions(table), *manifest.rated(table)]

    def _values(self, table: Table) -> np.ndarray:
        """Return the ratings, `[rows, dimensions]`; NaN where unknown."""
        return manifest.ratings(table, self.names).T


def _refuse_column(table: Table, name: str) -> None:
    """Refuse a dimension that is no column of numbers."""
    if name not in table.column_names:
        there = [each for each in table.column_names if columns.kind_of(each) is None or each in TOLD]
        numbers = [
            each for each in there if casting.holds_numbers(table.column(each)) and manifest.present(table, each)
        ]
        raise UsageError(
            f"--dimensions: no column {name} in the manifest; of numbers it has {listed(numbers) or 'none'}"
        )
    if not casting.holds_numbers(table.column(name)):
        raise UsageError(f"--dimensions: column {name} holds something else than numbers")
    if not manifest.present(table, name):
        raise UsageError(f"--dimensions: column {name} holds no number: rate clips, or leave it out")
