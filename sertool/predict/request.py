"""What is asked of `sertool predict`: clips, or parts of them, one by one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sertool.manifests.columns import Row
from sertool.predict.stored_rows import ReadRows

Models = Sequence[int] | None  # the numbers of the models that answer for a clip; None is all of them
Naming = Callable[[Row], str | None]  # names the voice of a row, if it is known


@dataclass(frozen=True)
class Request:
    """A clip to predict, or a part of it: its row as far as it is known, and data that does not belong in the row."""

    row: Row
    stored: ReadRows | None = None  # reads its features from shards
    models: Models = None
    voice: str | None = None  # who speaks
    apart: bool = False  # whether each of its channels is a voice of its own
    answers_any_channel: bool = False  # whether its single channel stands for any that is asked for
    place: int = 0  # position among the clips
    source: str = ""  # what was named: its file, its folder, or the table or list that it stands in

    def with_columns(self, **more: Any) -> "Request":
        """Return the request with more columns in its row."""
        return replace(self, row=self.row | more)

    @property
    def who(self) -> str:
        """The speaker's name, with the channel if each channel is a voice of its own."""
        channel = f" on channel {self.row['channel']}" if self.apart and self.row.get("channel") else ""
        return f"{self.voice or ''}{channel}"
