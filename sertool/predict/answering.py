"""Answer requests: with which models, adapted to whom, and in which rows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sertool.manifests.answer_kinds import AnswerKind
from sertool.manifests.columns import Row
from sertool.predict.predicting import Session
from sertool.predict.request import Request
from sertool.predict.row_options import RowOptions
from sertool.predict.row_stages import Count
from sertool.predict.speaker_answers import SpeakerOptions


@dataclass(frozen=True)
class Answering:
    """How requests become rows: the models, how they adapt to speakers, and what is made of their rows."""

    session: Session
    row_options: RowOptions
    speakers: SpeakerOptions

    @property
    def kind(self) -> AnswerKind:
        return self.session.ensemble.kind

    @property
    def columns(self) -> list[str]:
        """The columns that options add to those of every answer."""
        return self.row_options.columns(self.kind)

    def rows(self, requests: Iterable[Request]) -> Iterator[Row]:
        return self.row_options.processed(self.speakers.answers(self.session, requests), self.kind)

    def count(self) -> Count:
        """Return a count of no rows yet."""
        return Count(self.kind, by_window=bool(self.row_options.window))
