"""Merge neighbouring windows with the same answer into segments, a row each."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from sertool.manifests.answer_kinds import AnswerKind
from sertool.manifests.columns import Row

SAME = ("predicted", "issue", "adapted")  # in all windows of a segment
ROUNDING = 0.0015  # seconds that rounding to thousandths may leave between windows


@dataclass
class Segment:
    """A row that later windows may extend; its numbers are the means of its windows."""

    row: Row
    seconds: float  # of its windows together
    began: float | None  # where its last window began before it was shortened


def merged(rows: Iterator[Row], kind: AnswerKind) -> Iterator[Row]:
    """Merge neighbouring windows of one answer into a row."""
    return (segment.row for segment in segmented(rows, kind))


def segmented(rows: Iterator[Row], kind: AnswerKind) -> Iterator[Segment]:
    """Yield segments of neighbouring windows of one answer; those of different answers meet in the middle of overlaps.

    Each channel has its own current segment, and segments come out in the order in which they begin.
    """
    begun: deque[Segment] = deque()
    last: dict[int | None, Segment] = {}  # by channel
    for row in rows:
        if begun and begun[-1].row["clip"] != row["clip"]:
            yield from begun
            begun, last = deque(), {}
        side = row.get("channel")
        own, before = Segment(row, _seconds(row), row.get("start")), last.get(side)
        if before and _follows(before.row, row, before.began):
            if all(before.row.get(name) == row.get(name) for name in SAME):
                _extend(before, row, kind)
                continue
            _split_overlap(before.row, row)
        last[side] = own
        begun.append(own)
        while begun[0] is not last[begun[0].row.get("channel")]:
            yield begun.popleft()
    yield from begun


def _seconds(row: Row) -> float:
    return row["end"] - row["start"] if "end" in row else 0.0


def _extend(before: Segment, row: Row, kind: AnswerKind) -> None:
    """Extend a segment by a window with the same answer."""
    length = _seconds(row)
    share = length / (before.seconds + length)
    before.row.update(_averaged(before.row, row, kind, share), end=row["end"])
    before.seconds += length
    before.began = row["start"]


def _split_overlap(earlier: Row, later: Row) -> None:
    """Make two windows of different answers meet in the middle of their overlap."""
    if later["start"] < earlier["end"]:
        earlier["end"] = later["start"] = round((later["start"] + earlier["end"]) / 2, 3)


def _follows(earlier: Row, later: Row, began: float | None) -> bool:
    """Whether a window continues the one before: the same audio, with no unanswered gap between them."""
    if earlier["clip"] != later["clip"] or "end" not in earlier or "end" not in later:
        return False
    return began < later["start"] < earlier["end"] + ROUNDING


def _averaged(earlier: Row, later: Row, kind: AnswerKind, share: float) -> Row:
    """Average two rows with the same answer; `share` is the weight of the later one."""
    if not kind.is_answered(earlier):
        return {}
    means = {name: (1 - share) * earlier[name] + share * later[name] for name in kind.columns}
    return means | {name: value for name, value in kind.verdict(means).items() if name not in SAME}
