"""Record in a folder of answers by which models and options they were made and, of each, what it was made of.

The record has a line of JSON for the former, and one for each recording before its answers are written and after; the
last one counts. A line that a killed run left incomplete is ignored.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sertool.errors import SertoolError, UsageError, reason
from sertool.predict.recordings import Recording
from sertool.system import files, talk


class Record:
    """What a folder's answers of one format were made by and of."""

    def __init__(self, folder: Path, kind: str, made_by: Mapping[str, Any]) -> None:
        """Read the record, if there is one; refuse a folder of answers by other models or options."""
        self.folder, self.made_by = folder, json.loads(json.dumps(made_by))
        self.path = folder / f".answers-{kind}.jsonl"
        head, *lines = _lines(self.path) or [{}]
        entries = {entry["answers"]: entry for entry in lines if "answers" in entry}
        self.entries = {answers: entry for answers, entry in entries.items() if (folder / answers).is_file()}
        before = head.get("made_by", {})
        others = [name for name in self.made_by if before.get(name) != self.made_by[name]]
        if self.entries and others:
            raise UsageError(
                f"{folder} holds answers by another {files.listed(map(talk.option, others))}: "
                f"take another -o, or remove these answers and {self.path}"
            )

    def places(self) -> dict[str, str]:
        """Return where the answers for each file are."""
        return {entry["file"]: answers for answers, entry in self.entries.items()}

    def left(self, recordings: Sequence[Recording]) -> list[Recording]:
        """Return the recordings without a current answer, and all of their voices, whose clips are scaled together."""
        stale = {each.file for each in recordings if not self._is_done(each)}
        heard: set[str] = set()
        while True:
            left = [each for each in recordings if each.file in stale or heard & each.voices]
            if heard == (heard := {voice for each in left for voice in each.voices}):
                return left

    def _is_done(self, recording: Recording) -> bool:
        return self.entries.get(recording.answers, {}).get("made_of") == recording.made_of

    def faults(self, recording: Recording) -> dict[str, dict[str, int]]:
        """Return how many rows of a recording that is done have each issue, by what became of them."""
        return self.entries[recording.answers]["faults"]

    def begin(self, recordings: Iterable[Recording]) -> None:
        """Record that answers of these recordings are about to be written; refuse to replace what is not theirs."""
        for each in recordings:
            self._refuse_to_replace(each)
            self.entries[each.answers] = {"answers": each.answers, "file": each.file}
        with files.atomic_write(self.path) as stream:
            stream.writelines(map(_line, ({"made_by": self.made_by}, *self.entries.values())))

    def _refuse_to_replace(self, recording: Recording) -> None:
        path, entry = self.folder / recording.answers, self.entries.get(recording.answers)
        if not os.path.lexists(path):
            return
        if entry is None:
            raise UsageError(f"{path} is there already, and not of this command: take another -o")
        if entry["file"] != recording.file and os.path.exists(entry["file"]):
            raise UsageError(f"{path} is of {entry['file']}, and would be of {recording.file}: take another -o")

    def add(self, recording: Recording, faults: Mapping[str, Mapping[str, int]]) -> None:
        """Record that a recording's answers are written."""
        entry = {"answers": recording.answers, "file": recording.file, "made_of": recording.made_of, "faults": faults}
        try:
            with self.path.open("ab") as stream:
                stream.write(_line(entry))
        except OSError as error:
            raise SertoolError(f"cannot write {self.path}: {reason(error)}") from None


def _line(entry: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(entry)}\n".encode()


def _lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    with suppress(FileNotFoundError):
        for line in path.read_bytes().splitlines():
            with suppress(ValueError):
                lines.append(json.loads(line))
    return lines
