"""Sum up the windows of each clip and channel in one row: how long was judged, and what prevails."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sertool.manifests.answer_kinds import AnswerKind
from sertool.manifests.columns import Row
from sertool.predict import segments
from sertool.predict.segments import Segment

PAUSES = ("silent", "too-short")  # these windows are no faults of a clip, of which others are judged


@dataclass
class Sum:
    """What is known of a clip's channel so far."""

    row: Row  # its first one, and from the first answer on that one
    start: float | None
    end: float | None = None
    last: float = 0.0  # where its latest segment begins
    judged: float = 0.0  # seconds
    of_windows: float = 0.0  # seconds of its answered windows, each of them counted in full where they overlap
    silent: float = 0.0
    of_word: dict[str | None, float] = field(default_factory=lambda: defaultdict(float))  # seconds by what is predicted
    weighted: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # numbers times seconds
    fault: str | None = None


def columns_of(kind: AnswerKind) -> list[str]:
    """Return the columns of a summary beside those of every answer."""
    return ["judged", "silent", *(f"share_{word}" for word in kind.words)]


def summed_up(rows: Iterator[Row], kind: AnswerKind, threshold: float) -> Iterator[Row]:
    """Yield a row for each clip and channel once the first segment of the next clip is known.

    Times are those of segments, in which no moment counts twice; numbers are means of windows, so that no
    threshold changes them.
    """
    sums: dict[int | None, Sum] = {}  # by channel
    clip: str | None = None
    for segment in segments.segmented(rows, kind):
        row = segment.row
        side, start = row.get("channel"), row.get("start") or 0.0
        if row["clip"] != clip or (side in sums and start <= sums[side].last):  # the same clip was named again
            yield from _summaries(sums, kind, threshold)
            sums, clip = {}, row["clip"]
        own = sums.setdefault(side, Sum(row, row.get("start")))
        own.last = start
        _add(own, segment, kind)
    yield from _summaries(sums, kind, threshold)


def _add(own: Sum, segment: Segment, kind: AnswerKind) -> None:
    row = segment.row
    seconds = row["end"] - row["start"] if "end" in row else 0.0
    own.end = row.get("end", own.end)
    if kind.is_answered(row):
        own.row = own.row if own.judged else row
        own.judged += seconds
        own.of_windows += segment.seconds
        own.of_word[row.get("predicted")] += seconds
        for name in kind.columns:
            own.weighted[name] += segment.seconds * row[name]
    elif row.get("issue") == "silent":
        own.silent += seconds
    if row.get("issue") not in (None, *PAUSES):
        own.fault = own.fault or row["issue"]


def _summaries(sums: Mapping[int | None, Sum], kind: AnswerKind, threshold: float) -> Iterator[Row]:
    """Yield the summary of each channel; a row without one, such as of a file's cut end, tells of a fault of all."""
    sides = {side: own for side, own in sums.items() if side is not None} or sums
    of_all = sums[None].fault if None in sums else None
    for own in sides.values():
        yield _summary(own, own.fault or of_all, kind, threshold)


def _summary(own: Sum, fault: str | None, kind: AnswerKind, threshold: float) -> Row:
    times = {"start": own.start} | ({} if own.end is None else {"end": own.end})
    said = own.row | times | {"judged": round(own.judged, 3), "silent": round(own.silent, 3)}
    if not own.judged:
        return said | {"issue": fault or own.row.get("issue")}
    answer = kind.row([own.weighted[name] / own.of_windows for name in kind.columns], threshold)
    shares = {f"share_{word}": own.of_word[word] / own.judged for word in kind.words}
    return said | {"issue": fault} | answer | shares
