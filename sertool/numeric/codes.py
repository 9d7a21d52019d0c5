"""Dictionary-encoded columns of strings, where a Python object per row would cost too much."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

SLICE = 1 << 14  # strings read at once: about a megabyte of characters, which stays in the cache


class Codes(NamedTuple):
    """A dictionary-encoded column: row `r` holds `values[index[r]]`.

    The values are distinct, and some may have no row. They may be read lazily, such as from Arrow: only `len(values)`
    and `values[i]` are required, and `values[a:b]` makes reading faster.
    """

    index: np.ndarray  # type: ignore[assignment]  # int32, -1 for null; it hides the method of tuples
    values: Sequence[str]


def take(codes: Codes, rows: np.ndarray) -> Codes:
    """Select rows of the column by number or by mask."""
    return Codes(codes.index[rows], codes.values)


def look_up(values: np.ndarray | Sequence[int | bool], codes: Codes, null: int | bool = -1) -> np.ndarray:
    """Look up each row's value in `values`, one entry per distinct value, `[rows]`; a null row gets `null`."""
    values = values if isinstance(values, np.ndarray) else np.array(values, type(null))
    return np.append(values, np.array([null], values.dtype))[codes.index]  # index -1 is the last


def counts(codes: Codes, rows: np.ndarray | None = None) -> np.ndarray:
    """Count the rows of each value, `[values]`; `rows` is a mask."""
    used = codes.index >= 0 if rows is None else (codes.index >= 0) & rows
    return np.bincount(codes.index[used], minlength=len(codes.values))


def crossed(first: np.ndarray, second: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Count the rows of each pair of numbers, `[shape]`, without those where one is negative."""
    both = (first >= 0) & (second >= 0)
    cells = first[both].astype(np.int64) * shape[1] + second[both]
    return np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)


def strings(values: Sequence[str], start: int, stop: int) -> list[str]:
    """Return some of the values as a list of strings."""
    try:
        return np.asarray(values[start:stop], dtype=object).tolist()
    except TypeError:  # values that can only be read one by one
        return [str(values[place]) for place in range(start, min(stop, len(values)))]


def mix(numbers: np.ndarray) -> np.ndarray:
    """Scramble each uint64 so that every output bit depends on all input bits (the last step of splitmix64)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def hashes(values: Sequence[str], salt: tuple[int, ...] = ()) -> np.ndarray:
    """Hash each value, uint64 `[values]`; the same on every machine, in every version and at every position.

    The hash is the sum of character times weight of its place, modulo 2^64, then mixed. The sums of all strings of a
    slice are differences of one running sum, so no string is padded to the longest: three million names of 40
    characters take half a second. The probability that any two of so many collide is one in four million.
    """
    out = np.empty(len(values), dtype=np.uint64)
    for start in range(0, len(values), SLICE):
        words = strings(values, start, start + SLICE)
        lengths = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
        letters = np.frombuffer("".join(words).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
        ends = np.cumsum(lengths)
        places = np.arange(len(letters)) - np.repeat(ends - lengths, lengths)
        weights = mix(np.arange(1, lengths.max() + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)
        sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(letters * weights[places], dtype=np.uint64)])
        out[start : start + SLICE] = sums[ends] - sums[ends - lengths]
    out = mix(out)
    for number in salt:
        out = mix(out + mix(np.array([number % 2**64], dtype=np.uint64)))
    return out


def find(strings: Sequence[str], among: Sequence[str]) -> np.ndarray:
    """Return the index of each of `strings` in `among`, `[strings]`; -1 if it is absent."""
    if strings is among:
        return np.arange(len(among), dtype=np.int32)
    if not (len(strings) and len(among)):
        return np.full(len(strings), -1, dtype=np.int32)
    keys, among_keys = hashes(strings), hashes(among)
    by_key, order = np.argsort(keys), np.argsort(among_keys)  # sorted queries make the search access memory in order
    place = np.empty(len(keys), dtype=np.int64)
    place[by_key] = order[np.minimum(np.searchsorted(among_keys[order], keys[by_key]), len(among_keys) - 1)]
    return np.where(among_keys[place] == keys, place, -1).astype(np.int32)


class Chain(Sequence[str]):
    """The concatenation of two sequences of strings, without copying."""

    def __init__(self, first: Sequence[str], second: Sequence[str]) -> None:
        self.first, self.second = first, second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self)))]
        return str(self.first[place] if place < len(self.first) else self.second[place - len(self.first)])


def families(clip: Codes, parent: Codes) -> Codes:
    """Group rows by the original clip: a clip, its copies and their copies are one family.

    A parent without a row of its own still joins its copies; it is numbered after the clips.
    """
    size = len(clip.values)
    above = find(parent.values, clip.values)
    above = np.where(above < 0, np.arange(size, size + len(above), dtype=np.int32), above)
    origin = np.arange(size + len(above), dtype=np.int32)
    copies = parent.index >= 0
    origin[clip.index[copies]] = above[parent.index[copies]]
    for _ in range(32):  # each step doubles the generations followed
        further = origin[origin]
        if np.array_equal(further, origin):
            break
        origin = further
    return Codes(origin[clip.index], Chain(clip.values, parent.values))
