"""What is learnt: by a design, of any table (`Aim`), and by one training, of its clips (`Lesson`)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sertool.manifests import manifest
from sertool.manifests.answer_kinds import AnswerKind, Metric
from sertool.manifests.columns import ANSWERS
from sertool.manifests.manifest import Table
from sertool.system.team import Team
from sertool.train.row_augmentation import Mixup
from sertool.train.teacher_answers import Taught
from sertool.train.training_settings import Settings

# The loss of a batch, counted for each of its clips and summed: of outputs, `[clips, names]` or of several networks
# `[networks, clips, names]`, and the clips' indices.
BatchLoss = Callable[[Tensor, Tensor, Mixup | None], Tensor]


class Lesson(ABC):
    """What a training learns of its clips, and how well it did."""

    kind: AnswerKind
    targets: Tensor  # what the outputs should mean, `[clips, names]`

    @property
    @abstractmethod
    def known(self) -> np.ndarray:
        """The clips whose truth is known, bool `[clips]`."""

    def can_judge(self, clips: np.ndarray) -> bool:
        """Whether these clips, of known truth, tell good answers from bad ones."""
        return True

    @property
    def teaches(self) -> np.ndarray:
        """The clips of which something can be learnt, bool `[clips]`."""
        return self.known

    @property
    @abstractmethod
    def truth(self) -> np.ndarray:
        """The truth of each clip, `[clips, ..]`."""

    @abstractmethod
    def batch_loss(self, settings: Settings, train: np.ndarray, team: Team) -> BatchLoss:
        """Return the loss that training lowers, on the training clips."""

    @abstractmethod
    def loss(self, outputs: Tensor, clips: np.ndarray) -> float:
        """Return the mean loss of some clips' outputs, `[clips, names]`."""

    @abstractmethod
    def figures(self, outputs: Tensor, clips: np.ndarray) -> dict[str, float]:
        """Return how good some clips' outputs are, `[clips, names]`, by the names of the kind's metrics."""

    def figures_of_corpus(self, outputs: Tensor, clips: np.ndarray, used: np.ndarray) -> dict[str, float]:
        """Return the figures on clips of one corpus, of which the training uses those that `used` numbers."""
        return self.figures(outputs, clips)

    @abstractmethod
    def group_sizes(self, how: str, train: np.ndarray, corpora: np.ndarray) -> np.ndarray:
        """Return how many clips each training clip shares its weight with, by the setting `balance`, `[train]`."""

    @abstractmethod
    def regression(self, rows: np.ndarray, c: float, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the linear map of scaled rows of the training clips to outputs; see `classical.Regress`."""

    def temperature(self, outputs: Tensor, clips: np.ndarray) -> float:
        """Return the divisor of outputs that makes answers for held-out clips as sure as they should be."""
        return 1.0


@dataclass(frozen=True)
class LessonPlan:
    """What a lesson is made of besides its table: who trains, how, and what a teacher answers."""

    split: np.ndarray  # `[rows]`
    corpora: np.ndarray  # each clip's corpus number, `[rows]`
    settings: Settings
    device: torch.device
    taught: Taught | None = None


class Aim(ABC):
    """What a design learns, of any table."""

    what: ClassVar[str]  # in words
    names: Sequence[str] = ()  # of the dimensions, if it learns these
    usual: ClassVar[Mapping[str, Any]]  # values of options, in place of a recipe's that it does not take

    @property
    @abstractmethod
    def metrics(self) -> Sequence[Metric]:
        """The figures by which answers are judged; the first one decides."""

    @abstractmethod
    def takes(self, option: str, value: Any) -> bool:
        """Whether an option of the design or the loop, with this value, means anything for it."""

    def suited(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return options, each with its usual value if it has one that means nothing."""
        return {name: value if self.takes(name, value) else self.usual[name] for name, value in values.items()}

    def usable(self, table: Table) -> Table:
        """Return the rows of which something can be learnt or judged; refuse a table that has none."""
        return table

    @abstractmethod
    def require_learnable(self, train: Table, name: str) -> None:
        """Refuse training rows that do not tell enough; `name` is the training's."""

    def can_judge(self, rows: Table) -> bool:
        """Whether these rows, of known truth, tell good answers from bad ones."""
        return True

    def note(self, train: Table, *, masks: bool) -> str:
        """Return what is to be said of the training rows; `masks` tells whether losses leave out what is absent."""
        return ""

    @abstractmethod
    def truths(self, table: Table) -> Mapping[str, Sequence[Any]]:
        """Return what is known of each row, by what it is called."""

    @abstractmethod
    def kind(self, train: Table) -> AnswerKind:
        """Return what a model answers that learns these rows."""

    @abstractmethod
    def lesson(self, table: Table, plan: LessonPlan) -> Lesson:
        """Return what a training learns."""

    def of_corpora(self, train: Table, kind: AnswerKind) -> dict[str, Any]:
        """Return for a model file what the corpora of the training rows have that is learnt, by what it is called."""
        return {}

    # Of predictions of what was held out, as `train` writes them.

    def predictions(self, table: Table) -> list[str]:
        """Return the columns of predictions, of this or of another model, which would be taken for this one's."""
        shares = [f"p_{word}" for word in manifest.family(table, "p_")] if "predicted" in table.column_names else []
        return [*ANSWERS, *shares]

    def learnt(self, rows: Table) -> tuple[Table, set[str]]:
        """Return a training's predictions of what it has learnt, and the names of all else that they are of."""
        return rows, set()

    def in_common(self, tables: Sequence[Table]) -> tuple[Sequence[Table], str]:
        """Return the rows of tables of which figures can be compared, and what to say if these are not all."""
        return tables, ""

    def temperature(self, answered: Sequence[tuple[Table, float]], kind: AnswerKind) -> float:
        """Return the temperature that suits the predictions of trainings, each given with its own temperature."""
        return 1.0
