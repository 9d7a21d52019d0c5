"""Windows as segments: neighbours of one answer are one row."""

from collections import deque
from collections.abc import Iterator, Sequence

from sertool.columns import Row

ROUNDING = 0.0015  # seconds that may lie between windows whose ends and beginnings are rounded to a thousandth


def merged(rows: Iterator[Row], labels: Sequence[str]) -> Iterator[Row]:
    """Neighbouring windows of one answer as one row; where windows overlap, each gives way in the middle of that.

    Channels take turns: each has a row that may go on, and what began after another's comes after it.
    """
    begun: deque[Row] = deque()
    held: dict[int | None, Row] = {}
    seconds: dict[int | None, float] = {}  # that such a row's windows have together
    began: dict[int | None, float | None] = {}  # where the last of them did, before it gave way
    for row in rows:
        if begun and begun[-1]["clip"] != row["clip"]:
            yield from begun
            begun, held = deque(), {}
        side, length = row.get("channel"), row["end"] - row["start"] if "end" in row else 0.0
        follows = side in held and _follows(held[side], row, began[side])
        began[side] = row.get("start")
        if follows:
            before = held[side]
            if all(before.get(name) == row.get(name) for name in ("predicted", "issue")):
                before.update(_averaged(before, row, labels, length / (seconds[side] + length)), end=row["end"])
                seconds[side] += length
                continue
            if row["start"] < before["end"]:
                before["end"] = row["start"] = round((row["start"] + before["end"]) / 2, 3)
        held[side], seconds[side] = row, length
        begun.append(row)
        while begun[0] is not held[begun[0].get("channel")]:
            yield begun.popleft()
    yield from begun


def _follows(one: Row, other: Row, began: float | None) -> bool:
    """Whether a window comes after one of the same audio, and nothing lies between them that nobody heard."""
    if one["clip"] != other["clip"] or "end" not in one or "end" not in other:
        return False
    return began < other["start"] < one["end"] + ROUNDING


def _averaged(one: Row, other: Row, labels: Sequence[str], share: float) -> Row:
    """What two rows with one answer say together; `share` is how much the other one counts."""
    if one.get("confidence") is None:
        return {}
    names = [f"p_{label}" for label in labels]
    means = {name: (1 - share) * one[name] + share * other[name] for name in names}
    return means | {"confidence": max(means.values())}
