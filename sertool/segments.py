"""Windows as segments: neighbours of one answer are one row."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sertool.columns import Row

ROUNDING = 0.0015  # seconds that may lie between windows whose ends and beginnings are rounded to a thousandth


@dataclass
class Segment:
    """A row that may go on."""

    row: Row
    seconds: float  # that its windows have together
    began: float | None  # where the last of them did, before it gave way


def merged(rows: Iterator[Row], labels: Sequence[str]) -> Iterator[Row]:
    """Neighbouring windows of one answer as one row; where windows overlap, each gives way in the middle of that.

    Channels take turns: each has a row that may go on, and what began after another's comes after it.
    """
    begun: deque[Row] = deque()
    last: dict[int | None, Segment] = {}  # of each channel
    for row in rows:
        if begun and begun[-1]["clip"] != row["clip"]:
            yield from begun
            begun, last = deque(), {}
        side = row.get("channel")
        own, before = Segment(row, _seconds(row), row.get("start")), last.get(side)
        if before and _follows(before.row, row, before.began):
            if all(before.row.get(name) == row.get(name) for name in ("predicted", "issue", "adapted")):
                _prolong(before, row, labels)
                continue
            _part(before.row, row)
        last[side] = own
        begun.append(row)
        while begun[0] is not last[begun[0].get("channel")].row:
            yield begun.popleft()
    yield from begun


def _seconds(row: Row) -> float:
    return row["end"] - row["start"] if "end" in row else 0.0


def _prolong(before: Segment, row: Row, labels: Sequence[str]) -> None:
    """Add a window of the same answer."""
    length = _seconds(row)
    share = length / (before.seconds + length)
    before.row.update(_averaged(before.row, row, labels, share), end=row["end"])
    before.seconds += length
    before.began = row["start"]


def _part(earlier: Row, later: Row) -> None:
    """Let two windows of different answers meet in the middle of what they share."""
    if later["start"] < earlier["end"]:
        earlier["end"] = later["start"] = round((later["start"] + earlier["end"]) / 2, 3)


def _follows(earlier: Row, later: Row, began: float | None) -> bool:
    """Whether a window comes after one of the same audio, and nothing lies between them that nobody heard."""
    if earlier["clip"] != later["clip"] or "end" not in earlier or "end" not in later:
        return False
    return began < later["start"] < earlier["end"] + ROUNDING


def _averaged(earlier: Row, later: Row, labels: Sequence[str], share: float) -> Row:
    """What two rows with one answer say together; `share` is how much the other one counts."""
    if earlier.get("confidence") is None:
        return {}
    names = [f"p_{label}" for label in labels]
    means = {name: (1 - share) * earlier[name] + share * later[name] for name in names}
    return means | {"confidence": max(means.values())}
