"""Name the voice of each row: by a column, by its folder, by a pattern, or all of them alike."""

import re
from pathlib import Path

from sertool.errors import UsageError
from sertool.index import labelling
from sertool.manifests.columns import Row
from sertool.manifests.labels import composed
from sertool.system.paths import path_of

ALL, FOLDER = "all", "parent-folder"
WAYS = f"{ALL}, {FOLDER}, a column of the manifest, or a pattern such as '{{speaker}}_{{}}.wav'"
EVERYBODY = ""  # the voice of all clips, if they are taken for one


class SpeakerNames:
    """Names the voice of each row, as `--speakers` says: by a column, by folder or by pattern, or one voice for all."""

    def __init__(self, how: str | None) -> None:
        self.how = how
        self.pattern = _pattern(how) if how and "{" in how else None
        self.names_rows = self.pattern is None and how not in (ALL, FOLDER)
        self.column = how if self.names_rows else None  # of the manifest, if `how` is one

    def of(self, row: Row) -> str | None:
        """Return the name of a row's voice, if it is known."""
        if self.names_rows:
            name = row.get(self.column or "speaker")
            return None if name is None else str(name)
        if self.pattern is not None:
            match = self.pattern.search(composed(_where(row).as_posix()))
            return match["speaker"] if match else None
        return EVERYBODY if self.how == ALL else _folder(row)


class OneVoice:
    """Names all rows, enrolled or asked for, after the one enrolled voice; refuses rows that name several speakers."""

    def __init__(self, enrolled: str) -> None:
        self.enrolled = enrolled
        self.named: set[str] = set()

    def of(self, row: Row) -> str:
        if row.get("speaker"):
            self.named.add(str(row["speaker"]))
        if len(self.named) > 1:
            raise UsageError(
                f"--enroll {self.enrolled} is one voice, and the manifests name several: ask for one at a time, "
                "or name in a manifest who is enrolled, and add --speakers speaker"
            )
        return Path(self.enrolled).name or self.enrolled


def _pattern(how: str) -> re.Pattern[str]:
    expression = labelling.compile_pattern(how, "--speakers")
    if "speaker" not in expression.groupindex:
        raise UsageError(f"--speakers {how!r}: it names no {{speaker}}; it is {WAYS}")
    return expression


def _where(row: Row) -> Path:
    """Return a clip's path or, for a shard's clip whose file is unknown, a path made of its id."""
    return Path(path_of(row["path"])).absolute() if row["path"] else Path("/", f"{row['clip']}.wav")


def _folder(row: Row) -> str | None:
    """Return the name of the nearest folder that is not named after an emotion."""
    folders = reversed(_where(row).parent.parts[1:])
    return next((name for name in folders if labelling.word_of_folder(name, {}) is None), None)
