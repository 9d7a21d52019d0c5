"""Shares of work: contiguous parts for job arrays (`--part 3/16`), and groups of neighbouring items."""

import math
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sertool.errors import UsageError

Item = TypeVar("Item")


class Sliceable(Sized, Protocol):
    """A list, a tuple, an array: a slice of it is one, too."""

    def __getitem__(self, place: slice, /) -> Any: ...


Items = TypeVar("Items", bound=Sliceable)


@dataclass(frozen=True)
class Part:
    """Part k of n, contiguous."""

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
        """The part's name, `03-of-16`; empty for the whole."""
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
    """Group neighbouring items, at most `count` each with sizes of at most `most` in total; larger items stay alone."""
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
