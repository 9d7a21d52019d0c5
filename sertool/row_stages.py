"""What rows of answers pass on their way out: watched, completed, counted; each stage hands on what it gets."""

import os
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from sertool import predicting, talk
from sertool.columns import Row
from sertool.errors import NothingThereError
from sertool.manifest import Table

LONG = 30.0  # seconds of a clip for which windows would say more


def watched(rows: Iterator[Row], sources: Sequence[str], read: Sequence[Table], *, one_each: bool) -> Iterator[Row]:
    """The rows with progress on the terminal; of how many, where each clip has one and it is known how many there are.

    `read` are the manifests among the sources, which are there when the first row is.
    """
    first = list(islice(rows, 1))
    total, unit = (_expected(sources, read), "clip") if one_each else (None, "answer")
    yield from talk.progress(chain(first, rows), total, "predicting", unit)


def _expected(sources: Sequence[str], read: Sequence[Table]) -> int | None:
    """How many clips there are, once manifests are read; unknown with folders, or paths from a pipe."""
    others = len(sources) - len(read)
    return sum(map(len, read)) + others if not others or all(map(os.path.isfile, sources)) else None


def lasting(rows: Iterator[Row]) -> Iterator[Row]:
    """Windows of what had a duration, each with its own."""
    for row in rows:
        lasts = round(row["end"] - row["start"], 3) if "end" in row else None
        yield row | {"duration": lasts} if "duration" in row else row


def with_top(rows: Iterator[Row], labels: Sequence[str], top: int) -> Iterator[Row]:
    """Answers with the `top` most probable emotions."""
    for row in rows:
        if row.get("confidence") is not None:
            best = sorted(labels, key=lambda label: -row[f"p_{label}"])[:top]
            row["top"] = ", ".join(f"{label} {row[f'p_{label}']:.2f}" for label in best)
        yield row


class Count:
    """How many rows went by, and how many without an answer; of whole clips, how many answers are for a long one; of
    windows, how many are silent, which is no fault of theirs."""

    def __init__(self) -> None:
        self.rows, self.issues, self.vanished, self.long, self.pauses = 0, 0, 0, 0, 0

    def of_clips(self, rows: Iterator[Row]) -> Iterator[Row]:
        for row in rows:
            self._add(row)
            answered = bool(row.get("predicted")) and "end" in row
            self.long += answered and LONG < row["end"] - (row["start"] or 0.0) <= predicting.LONG  # else it was said
            yield row
        self._require_something()

    def of_windows(self, rows: Iterator[Row]) -> Iterator[Row]:
        first: Row = {}  # of what is being judged
        for row in rows:
            self._add(row)
            if "end" in row:
                first = first if row["clip"] == first.get("clip") else row
                self.pauses += _is_pause(row, first)
            yield row
        self._require_something()

    def _add(self, row: Row) -> None:
        self.rows += 1
        self.issues += bool(row.get("issue"))
        self.vanished += row.get("issue") == "vanished"

    def _require_something(self) -> None:
        if self.rows and self.vanished == self.rows:
            raise NothingThereError("nothing of what was asked for is there")

    def said(self, *, strict: bool) -> int | None:
        faults = self.issues - self.pauses
        aside = f", {faults:,} set aside (column issue)" if faults else ""
        pauses = f", {self.pauses:,} silent" if self.pauses else ""
        talk.say(f"{talk.counted(self.rows, 'row')}{aside}{pauses}")
        if self.long:
            answers = "1 answer is" if self.long == 1 else f"{self.long:,} answers are"
            talk.say(f"{answers} for more than {LONG:g} s of sound: --window 3 answers part by part")
        return 1 if strict and faults else None


def _is_pause(row: Row, first: Row) -> bool:
    """Whether a window of a healthy call may be so; what is too short from its beginning has no other windows."""
    return row.get("issue") == "silent" or (row.get("issue") == "too-short" and row["start"] > first["start"])
