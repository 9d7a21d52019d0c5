"""Sum up the windows of each clip and channel in one row: how long was judged, which emotions, and what prevails."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

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
    of_emotion: dict[str | None, float] = field(default_factory=lambda: defaultdict(float))  # seconds by answer
    weighted: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # probabilities times seconds
    fault: str | None = None


def columns_of(labels: Sequence[str]) -> list[str]:
    """Return the columns of a summary beside those of every answer."""
    return ["judged", "silent", *(f"share_{label}" for label in labels)]


def summed_up(rows: Iterator[Row], labels: Sequence[str], threshold: float) -> Iterator[Row]:
    """Yield a row for each clip and channel once the first segment of the next clip is known.

    Times are those of segments, in which no moment counts twice; probabilities are means of windows, so that no
    threshold changes them.
    """
    sums: dict[int | None, Sum] = {}  # by channel
    clip: str | None = None
    for segment in segments.segmented(rows, labels):
        row = segment.row
        side, start = row.get("channel"), row.get("start") or 0.0
        if row["clip"] != clip or (side in sums and start <= sums[side].last):  # the same clip was named again
            yield from _summaries(sums, labels, threshold)
            sums, clip = {}, row["clip"]
        own = sums.setdefault(side, Sum(row, row.get("start")))
        own.last = start
        _add(own, segment, labels)
    yield from _summaries(sums, labels, threshold)


def _add(own: Sum, segment: Segment, labels: Sequence[str]) -> None:
    row = segment.row
    seconds = row["end"] - row["start"] if "end" in row else 0.0
    own.end = row.get("end", own.end)
    if row.get("confidence") is not None:
        own.row = own.row if own.judged else row
        own.judged += seconds
        own.of_windows += segment.seconds
        own.of_emotion[row["predicted"]] += seconds
        for label in labels:
            own.weighted[label] += segment.seconds * row[f"p_{label}"]
    elif row.get("issue") == "silent":
        own.silent += seconds
    if row.get("issue") not in (None, *PAUSES):
        own.fault = own.fault or row["issue"]


def _summaries(sums: Mapping[int | None, Sum], labels: Sequence[str], threshold: float) -> Iterator[Row]:
    """Yield the summary of each channel; a row without one, such as of a file's cut end, tells of a fault of all."""
    sides = {side: own for side, own in sums.items() if side is not None} or sums
    of_all = sums[None].fault if None in sums else None
    for own in sides.values():
        yield _summary(own, own.fault or of_all, labels, threshold)


def _summary(own: Sum, fault: str | None, labels: Sequence[str], threshold: float) -> Row:
    times = {"start": own.start} | ({} if own.end is None else {"end": own.end})
    said = own.row | times | {"judged": round(own.judged, 3), "silent": round(own.silent, 3)}
    if not own.judged:
        return said | {"issue": fault or own.row.get("issue")}
    means = {label: own.weighted[label] / own.of_windows for label in labels}
    best = max(means, key=means.__getitem__)
    answer = {"issue": fault, "predicted": best if means[best] >= threshold else None, "confidence": means[best]}
    shares = {f"share_{label}": own.of_emotion[label] / own.judged for label in labels}
    return said | answer | shares | {f"p_{label}": mean for label, mean in means.items()}
