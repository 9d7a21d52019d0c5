"""Process rows of answers on their way out: show progress, complete and count them; each stage yields what it gets."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from sertool.errors import NothingThereError, SertoolError
from sertool.index import doctor
from sertool.manifests.answer_kinds import AnswerKind
from sertool.manifests.columns import Row
from sertool.manifests.manifest import Table
from sertool.predict import predicting
from sertool.predict.request import Request
from sertool.sound import folders
from sertool.system import talk

LONG_CLIP_SECONDS = 30.0  # seconds: for longer clips, windows would say more
CLIPS_BEFORE_COUNT = 4  # clips that are yielded before any are counted
ASIDE, IN_PART = "set aside", "answered in part"  # what becomes of rows with faults


@dataclass
class Watch:
    """Progress on the terminal.

    The total is shown if each clip has one row and the number of clips is known. `tables` are the manifests among the
    sources.
    """

    sources: Sequence[str]
    tables: Sequence[Table]
    in_folders: int | None = field(default=None, init=False)

    def counted(self, requests: Iterable[Request]) -> Iterator[Request]:
        """Yield the requests; after the first few, count the clips in folders."""
        coming = iter(requests)
        yield from islice(coming, CLIPS_BEFORE_COUNT)
        with suppress(SertoolError):  # reported when these clips are answered
            self.in_folders = sum(1 for folder in self._folders() for _ in folders.audio_under(folder, [], []))
        yield from coming

    def shown(self, rows: Iterator[Row]) -> Iterator[Row]:
        first = list(islice(rows, 1))
        by_name = self._named()

        def total() -> int | None:
            return None if by_name is None or self.in_folders is None else by_name + self.in_folders

        yield from talk.progress_of_answers(chain(first, rows), total)

    def _folders(self) -> list[Path]:
        return [Path(source) for source in self.sources if os.path.isdir(source)]

    def _named(self) -> int | None:
        """Return the number of clips named directly and in manifests; None with paths from a pipe."""
        others = len(self.sources) - len(self.tables) - len(self._folders())
        return sum(map(len, self.tables)) + others if not others or all(map(_is_there, self.sources)) else None


def _is_there(source: str) -> bool:
    return os.path.isfile(source) or os.path.isdir(source)


def with_durations(rows: Iterator[Row]) -> Iterator[Row]:
    """Set the duration of each window, if its clip had one."""
    for row in rows:
        lasts = round(row["end"] - row["start"], 3) if "end" in row else None
        yield row | {"duration": lasts} if "duration" in row else row


def with_top(rows: Iterator[Row], kind: AnswerKind, top: int) -> Iterator[Row]:
    """Add the `top` most probable emotions to answers."""
    for row in rows:
        if kind.is_answered(row):
            best = sorted(kind.names, key=lambda label: -row[f"p_{label}"])[:top]
            row["top"] = ", ".join(f"{label} {row[f'p_{label}']:.2f}" for label in best)
        yield row


class Count:
    """Counts rows, those with faults, answers for long clips, and silent windows, which are no faults.

    `what` is said in place of the number of rows.
    """

    def __init__(self, kind: AnswerKind, *, by_window: bool) -> None:
        self.kind, self.by_window, self.what = kind, by_window, ""
        self.rows, self.vanished, self.long, self.pauses = 0, 0, 0, 0
        self.faults: dict[str, Counter[str]] = {ASIDE: Counter(), IN_PART: Counter()}  # by issue

    def counted(self, rows: Iterator[Row]) -> Iterator[Row]:
        return self._of_windows(rows) if self.by_window else self._of_clips(rows)

    def add(self, other: "Count") -> None:
        for name in ("rows", "vanished", "long", "pauses"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.add_faults(other.faults)

    def add_faults(self, faults: Mapping[str, Mapping[str, int]]) -> None:
        for fate, issues in faults.items():
            self.faults[fate].update(issues)

    def _of_clips(self, rows: Iterator[Row]) -> Iterator[Row]:
        for row in rows:
            self._add(row)
            answered = self.kind.is_answered(row) and "end" in row
            seconds = row["end"] - (row["start"] or 0.0) if answered else 0.0
            self.long += LONG_CLIP_SECONDS < seconds <= predicting.LONG_CLIP_SECONDS  # longer ones are noted already
            yield row
        self._require_something()

    def _of_windows(self, rows: Iterator[Row]) -> Iterator[Row]:
        first: Row = {}  # window of the current clip
        for row in rows:
            self._add(row)
            if "end" in row:
                first = first if row["clip"] == first.get("clip") else row
                if _is_pause(row, first):
                    self.pauses += 1
                    self.faults[ASIDE][row["issue"]] -= 1
            yield row
        self._require_something()

    def _add(self, row: Row) -> None:
        self.rows += 1
        if issue := row.get("issue"):
            fate = IN_PART if self.kind.is_answered(row) else ASIDE
            self.faults[fate][issue.partition(":")[0]] += 1
        self.vanished += row.get("issue") == "vanished"

    def _require_something(self) -> None:
        if self.rows and self.vanished == self.rows:
            raise NothingThereError("nothing of what was asked for is there")

    def said(self, *, strict: bool) -> int | None:
        totals = {fate: issues.total() for fate, issues in self.faults.items()}
        faults = [f", {total:,} {fate} (column issue)" for fate, total in totals.items() if total]
        pauses = f", {self.pauses:,} silent" if self.pauses else ""
        talk.say(f"{self.what or talk.counted(self.rows, 'row')}{''.join(faults)}{pauses}")
        if self.long:
            answers = "1 answer is" if self.long == 1 else f"{self.long:,} answers are"
            talk.say(f"{answers} for more than {LONG_CLIP_SECONDS:g} s of sound: --pauses 0.4 answers turn by turn")
        return doctor.strict_status("row", {fate: +issues for fate, issues in self.faults.items()}) if strict else None


def _is_pause(row: Row, first: Row) -> bool:
    """Whether a window is without an answer for no fault: it is silent, or too short at the end of its clip."""
    return row.get("issue") == "silent" or (row.get("issue") == "too-short" and row["start"] > first["start"])
