"""Shares of the work: of a job array (`--part 3/16`), and some neighbours at a time."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sertool.errors import UsageError

Item = TypeVar("Item")
Items = TypeVar("Items", bound=Sequence)


@dataclass(frozen=True)
class Part:
    """A contiguous share, k of n."""

    k: int = 1
    n: int = 1

    @classmethod
    def parse(cls, text: str | None) -> "Part":
        if text is None:
            return cls()
        k, slash, n = text.partition("/")
        if not (slash and k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
            raise UsageError(f"--part takes K/N with K from 1 to N, such as 3/16, not {text!r}")
        return cls(int(k), int(n))

    @property
    def name(self) -> str:
        """`03-of-16`, or nothing for the whole."""
        return "" if self.n == 1 else f"{self.k:0{len(str(self.n))}d}-of-{self.n}"

    def start(self, length: int) -> int:
        return (self.k - 1) * length // self.n

    def stop(self, length: int) -> int:
        return self.k * length // self.n

    def of(self, items: Items) -> Items:
        return items[self.start(len(items)) : self.stop(len(items))]


WHOLE = Part()


def neighbours(
    items: Iterable[Item], size: Callable[[Item], float], most: float, count: float = math.inf
) -> Iterator[list[Item]]:
    """Items in their order, some together: `count` at the most, whose sizes add up to `most`, or one that is larger."""
    group: list[Item] = []
    total = 0.0
    for item in items:
        weight = size(item)
        if group and (len(group) == count or total + weight > most):
            yield group
            group, total = [], 0.0
        group.append(item)
        total += weight
    if group:
        yield group
