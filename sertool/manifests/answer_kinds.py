"""The kinds of answers that models give, and the columns that hold them.

A network has an output for each name that it knows. What is made of these is an answer: a number for each name, and
perhaps a verdict on them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from sertool.manifests import columns
from sertool.system.talk import clean

WIDTH = 7  # of a value for people

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from sertool.manifests.columns import Row


class Metric(NamedTuple):
    """A measure of how good answers are: its name in scores, and how its values are shown."""

    name: str
    title: str
    scale: float = 1.0  # what a shown value is multiplied by
    digits: int = 3
    unit: str = ""
    of: str = ""  # what a difference is of

    def text(self, value: float, sign: str = "") -> str:
        """Format a value that is multiplied already; with the sign `+`, a difference."""
        return f"{value:{sign}.{self.digits}f}"

    def bounds(self, interval: Sequence[float] | None) -> str:
        """Format an interval of such values, or dashes without one."""
        return "[-, -]" if interval is None else f"[{', '.join(map(self.text, interval))}]"


@dataclass(frozen=True)
class AnswerKind(ABC):
    """What a model answers: a number for each of some names."""

    names: Sequence[str]

    what: ClassVar[str]  # what the names are, in words
    prefix: ClassVar[str]  # of the numbers' columns
    verdicts: ClassVar[tuple[str, ...]]  # the columns of what is concluded from the numbers

    @property
    def columns(self) -> list[str]:
        """The columns of the numbers."""
        return [f"{self.prefix}{name}" for name in self.names]

    @property
    def words(self) -> Sequence[str]:
        """What may be predicted of a clip in words."""
        return ()

    @property
    @abstractmethod
    def metrics(self) -> Sequence[Metric]:
        """The measures by which answers are judged, the first of which decides."""

    @property
    @abstractmethod
    def width(self) -> int:
        """How wide answers are for people."""

    @abstractmethod
    def joined(self, outputs: Tensor) -> Tensor:
        """Return the outputs of a network, `[clips, names]`; of several, `[networks, clips, names]`, their average."""

    @abstractmethod
    def numbers(self, outputs: Tensor, temperature: Tensor | float) -> Tensor:
        """Return the numbers that outputs mean, `[clips, names]`."""

    @abstractmethod
    def verdict(self, numbers: Mapping[str, float], threshold: float = 0.0) -> Row:
        """Return what follows from a clip's numbers, by their columns; `predicted` is None below the threshold."""

    @abstractmethod
    def text(self, row: Row) -> str:
        """Return the answer in a row for people, `width` characters or about as many."""

    def row(self, numbers: Sequence[float], threshold: float = 0.0) -> Row:
        """Return an answer's columns."""
        by_column = dict(zip(self.columns, numbers, strict=True))
        return self.verdict(by_column, threshold) | by_column

    def table_columns(self, numbers: Tensor) -> dict[str, Any]:
        """Return the columns of many answers, from `[clips, names]`."""
        return {name: numbers[:, place].numpy() for place, name in enumerate(self.columns)}

    def described(self) -> str:
        """Return the names, with what is known of them."""
        return ", ".join(self.names)

    def scaled(self) -> dict[str, dict[str, float]]:
        """Return the scale of each name that has one, for a model file."""
        return {}

    def is_answered(self, row: Row) -> bool:
        """Whether a row has an answer, be it below the threshold."""
        return row.get(self.columns[0]) is not None


class Emotions(AnswerKind):
    """The probability of each emotion, and the most probable one."""

    what = "emotions"
    prefix = "p_"
    verdicts = ("predicted", "confidence")
    width = 16
    metrics = (
        Metric("uar", "UAR", 100, 1, " %", "points of UAR"),
        Metric("wa", "accuracy", 100, 1, " %", "points of accuracy"),
    )

    @property
    def words(self) -> Sequence[str]:
        return self.names

    def joined(self, outputs: Tensor) -> Tensor:
        return outputs if outputs.dim() == 2 else outputs.log_softmax(-1).logsumexp(0)

    def numbers(self, outputs: Tensor, temperature: Tensor | float) -> Tensor:
        return (outputs / temperature).softmax(dim=1)

    def verdict(self, numbers: Mapping[str, float], threshold: float = 0.0) -> Row:
        best = max(numbers, key=numbers.__getitem__)
        sure = numbers[best] >= threshold
        return {"predicted": best.removeprefix(self.prefix) if sure else None, "confidence": numbers[best]}

    def text(self, row: Row) -> str:
        emotion = clean(row.get("predicted") or "") or "(not sure)"
        return f"{emotion:<10} {100 * row['confidence']:3.0f} %"

    def table_columns(self, numbers: Tensor) -> dict[str, Any]:
        best = numbers.max(dim=1)
        words = [self.names[index] for index in best.indices.tolist()]
        return {"predicted": words, "confidence": best.values.numpy()} | super().table_columns(numbers)


class Scale(NamedTuple):
    """The values of a dimension in train."""

    mean: float
    deviation: float
    low: float
    high: float

    def in_words(self) -> str:
        return f"{self.low:.4g} to {self.high:.4g} in train, mean {self.mean:.4g}, deviation {self.deviation:.4g}"


@dataclass(frozen=True)
class Dimensions(AnswerKind):
    """The value of each dimension, such as arousal, in the scale in which it was learnt; outputs are standardised."""

    scales: Sequence[Scale] = ()  # of each name, where outputs are known

    what = "dimensions"
    prefix = columns.predicted("")
    verdicts = ()

    @property
    def metrics(self) -> Sequence[Metric]:
        """The mean CCC over dimensions, then that of each if there are several."""
        each = self.names if len(self.names) > 1 else ()
        return (Metric("ccc", "CCC", of="of CCC"), *(Metric(f"ccc_{name}", name, of=f"of {name}") for name in each))

    def joined(self, outputs: Tensor) -> Tensor:
        return outputs if outputs.dim() == 2 else outputs.mean(0)

    def numbers(self, outputs: Tensor, temperature: Tensor | float) -> Tensor:
        deviations, means = ([getattr(scale, name) for scale in self.scales] for name in ("deviation", "mean"))
        return outputs / temperature * outputs.new_tensor(deviations) + outputs.new_tensor(means)

    def verdict(self, numbers: Mapping[str, float], threshold: float = 0.0) -> Row:
        return {}

    @property
    def width(self) -> int:
        return sum(len(name) + 1 + WIDTH for name in self.names) + 2 * (len(self.names) - 1)

    def text(self, row: Row) -> str:
        return "  ".join(f"{clean(name)} {row[self.prefix + name]:{WIDTH}.4g}" for name in self.names)

    def scaled(self) -> dict[str, dict[str, float]]:
        return {name: scale._asdict() for name, scale in zip(self.names, self.scales, strict=True)}

    def described(self) -> str:
        pairs = zip(self.names, self.scales, strict=True)
        return ", ".join(f"{name} ({scale.in_words()})" for name, scale in pairs)
