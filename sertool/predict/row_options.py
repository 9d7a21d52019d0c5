"""Process rows of answers as options ask: the format, windows merged or summed up, further columns."""

from collections.abc import Iterator
from dataclasses import dataclass

from sertool.errors import UsageError
from sertool.manifests.answer_kinds import AnswerKind
from sertool.manifests.columns import Row
from sertool.predict import row_stages, segments, summaries

OF_TIME = ("rttm", "srt", "audacity", "textgrid")  # these formats need to know when clips end
OF_ONE_FILE = ("srt", "audacity")


@dataclass(frozen=True)
class RowOptions:
    """The format of answers, and what options make of their rows."""

    kind: str
    window: float | None = None
    merge: bool = False
    summary: bool = False
    channel: str = "mix"
    threshold: float = 0.0
    top: int | None = None

    def require_words(self, kind: AnswerKind) -> None:
        """Refuse options that are about words, such as emotions, for models that answer with numbers alone."""
        asked = {"--merge": self.merge, "--top": self.top, "--threshold": self.threshold}
        given = [option for option, value in asked.items() if value] + [f"-f {self.kind}"] * (self.kind in OF_TIME)
        if given and not kind.words:
            raise UsageError(f"{given[0]} is for emotions, and the model answers {kind.what}: leave it out")

    def columns(self, kind: AnswerKind) -> list[str]:
        """Return the columns that options add."""
        asked = {"channel": self.channel != "mix", "top": self.top}
        added = [name for name, is_asked in asked.items() if is_asked]
        return added + (summaries.columns_of(kind) if self.summary else [])

    def processed(self, rows: Iterator[Row], kind: AnswerKind) -> Iterator[Row]:
        """Merge or sum up windows, add the likeliest emotions, and say how long windows last."""
        if self.summary:
            rows = summaries.summed_up(rows, kind, self.threshold)
        elif self.merge or self.kind in OF_TIME:
            rows = segments.merged(rows, kind)
        rows = row_stages.with_top(rows, kind, self.top) if self.top else rows
        return row_stages.with_durations(rows) if self.window else rows
