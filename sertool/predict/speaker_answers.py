"""Predict with adaptation to the speaker: by the very clips that are asked for, or by others enrolled before.

A model trained with --adapt scales rows by a speaker's own mean and deviation. Nobody needs to know the emotions of
those clips; but figures on clips that were adapted by themselves are transductive, and are marked so.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby

from sertool.errors import UsageError
from sertool.manifests.columns import Row
from sertool.predict import predict_inputs, voice_names
from sertool.predict.ensemble import ClipFeatures, Ensemble, KnownSpeakers
from sertool.predict.manifest_requests import Keeping
from sertool.predict.predicting import Piece, Session
from sertool.predict.request import Naming, Request
from sertool.predict.voice_names import OneVoice, SpeakerNames
from sertool.system import talk
from sertool.system.paths import absolute, path_of

Span = tuple[float, float]  # seconds


@dataclass(frozen=True)
class SpeakerOptions:
    """Whether to adapt to speakers, by their own clips or enrolled ones, and how speakers are told apart.

    `root` is where the audio of an enrolling manifest is now.
    """

    adapt: str | None = None
    enroll: str | None = None
    speakers: str | None = None
    root: str | None = None

    @property
    def adapts(self) -> bool:
        return bool(self.adapt or self.enroll)

    @property
    def names(self) -> SpeakerNames:
        return SpeakerNames(self.speakers)

    def naming(self) -> Naming | None:
        """Return what names the speaker of a row, if clips are scaled by all that are asked for of the speaker."""
        return self.names.of if self.adapt and not self.enroll else None

    def answers(self, session: Session, requests: Iterable[Request]) -> Iterator[Row]:
        """Yield rows for everyone alike or, if asked for, adapted to the speaker."""
        if not self.adapts:
            return session.answers(requests)
        _require_adaptable(session.ensemble)
        if self.enroll is None:
            return _adapted(session, requests, self.names)
        name = self.names.of if self.speakers else OneVoice(self.enroll).of
        keeping = Keeping(self.names.column)
        voices = predict_inputs.opened([self.enroll], self.root, session.shelf(), keeping=keeping, root_is_shared=True)
        return _adapted_to_enrolled(session, requests, name, _enrolled(session, voices.requests, name))


def _require_adaptable(ensemble: Ensemble) -> None:
    able = sum(member.scaling.adapts for member in ensemble.members)
    if not able:
        raise UsageError("the model was not trained with --adapt speaker: predict without --adapt and --enroll")
    if able < len(ensemble.members):
        talk.say(f"{able} of {len(ensemble.members)} models adapt to who speaks: to the others everybody is a stranger")


def _named(request: Request, name: Naming, *, apart: bool) -> Request:
    """Return the request with its speaker; with `apart`, each channel is another speaker."""
    return replace(request, voice=name(request.row), apart=apart)


# Adaptation by the clips that are asked for.


def of_somebody(requests: Iterable[Request], name: Naming) -> Iterator[Request]:
    """Refuse requests if the speaker of none of them is known."""
    held = [*requests]
    if held and all(name(request.row) is None for request in held):
        raise UsageError(f"nobody says who speaks: name speakers with --speakers: {voice_names.WAYS}")
    yield from held


def _adapted(session: Session, requests: Iterable[Request], names: SpeakerNames) -> Iterator[Row]:
    """Yield a row for each clip or window, in the order asked.

    A row comes once all clips of its speaker and of earlier speakers are read. Speakers are processed one after
    another, so that only one speaker's clips, and the others' answers, are in memory.
    """
    apart = session.options.channel != "mix" or not names.names_rows  # a name for a whole file covers all its channels
    by_voice: dict[str | None, list[Request]] = {}
    for place, request in enumerate(requests):
        named = _named(replace(request, place=place), names.of, apart=apart)
        by_voice.setdefault(named.voice, []).append(named)
    turns = chain(*by_voice.values())
    answered: dict[int, list[Row]] = {}
    due = 0
    for pieces in _by_speaker(session.extracted(turns)):
        for place, row in _together(session, pieces):
            answered.setdefault(place, []).append(row)
        while due in answered:
            yield from answered.pop(due)
            due += 1


def _by_speaker(some: Iterable[list[Piece]]) -> Iterator[list[Piece]]:
    """Group pieces by speaker; speakers come one after another. Without a speaker, each clip is a group of its own."""
    for _, own in groupby((piece for pieces in some for piece in pieces), _whose):
        yield [*own]


def _whose(piece: Piece) -> tuple[str | None, int | None]:
    request = piece.request
    return request.voice, request.place if request.voice is None else None


def _together(session: Session, pieces: Sequence[Piece]) -> Iterator[tuple[int, Row]]:
    """Yield the answers to one speaker's pieces, each with the position of its clip."""
    own = {} if pieces[0].request.voice is None else _features_by_voice(pieces)
    known = session.ensemble.known_speakers(own) if own else None
    for request in session.answered(pieces, known):
        way = "as one voice" if request.voice == voice_names.EVERYBODY else "transductive"
        yield request.place, _said(request.row, request.voice, way if request.who in own else None)


def _features_by_voice(pieces: Iterable[Piece]) -> dict[str, list[ClipFeatures]]:
    """Return each voice's clips as features."""
    own: dict[str, list[ClipFeatures]] = {}
    for piece in pieces:
        if piece.features is not None and piece.request.voice is not None:
            own.setdefault(piece.request.who, []).append(piece.features)
    return own


def _said(row: Row, voice: str | None, adapted: str | None) -> Row:
    """Return the row with its speaker, and how it was adapted."""
    return row | {"speaker": row.get("speaker") or voice or None, "adapted": None if row.get("issue") else adapted}


# Adaptation by enrolled clips.


def _enrolled(session: Session, requests: Iterable[Request], name: Naming) -> KnownSpeakers:
    """Return what is known of the speakers of some clips."""
    apart = session.options.channel != "mix"
    named = (replace(_named(request, name, apart=apart), answers_any_channel=True) for request in requests)
    pieces = [piece for some in session.extracted(named) for piece in some]
    own = _features_by_voice(pieces)
    if not own:
        raise UsageError(f"--enroll: no clip there can be read and has a speaker; --speakers is {voice_names.WAYS}")
    clips = talk.counted(sum(map(len, own.values())), "window" if session.options.window else "clip")
    talk.say(f"enrolled {clips} of {talk.counted(len(own), 'speaker')}")
    heard = (piece.request.row for piece in pieces if piece.features is not None)
    return replace(session.ensemble.known_speakers(own), spans=_spans(heard))


def _spans(rows: Iterable[Row]) -> dict[str, list[Span]]:
    """Return the spans of each file that are covered, in seconds; successive windows are one span."""
    spans: dict[str, list[Span]] = {}
    for row in rows:
        begin, end = _span(row)
        known = spans.setdefault(_sound(row), [])
        if known and known[-1][0] <= begin <= known[-1][1]:
            before = known.pop()
            begin, end = before[0], max(before[1], end)
        known.append((begin, end))
    return spans


def _sound(row: Row) -> str:
    """Return the path of a row's file or, for a shard's clip whose file is unknown, its id."""
    return absolute(path_of(row["path"])) if row["path"] else str(row["clip"])


def _span(row: Row) -> Span:
    return row.get("start") or 0.0, row.get("end", math.inf)


def _adapted_to_enrolled(
    session: Session, requests: Iterable[Request], name: Naming, known: KnownSpeakers
) -> Iterator[Row]:
    """Yield a row for each clip or window, in order, as soon as it is answered."""
    strange: set[str] = set()
    enrolled_names = {*known.speakers}
    named = (_named(request, name, apart=session.options.channel != "mix") for request in requests)
    for pieces in session.extracted(named):
        for request in session.answered(pieces, known):
            who, row = request.who, request.row
            is_enrolled = who in enrolled_names
            if not is_enrolled and not strange and not row.get("issue"):
                strange.add(who)
                talk.warn(f"{who or row['clip']} is not enrolled: scaled as a stranger, like all who are not")
            voice = request.voice if is_enrolled or who == request.voice else None
            yield _said(row, voice, _way(row, known) if is_enrolled else None)


def _way(row: Row, known: KnownSpeakers) -> str:
    """Return how an enrolled speaker's row was adapted: transductively, if it overlaps the enrolled audio."""
    start, stop = _span(row)
    overlaps = any(start < end and begin < stop for begin, end in known.spans.get(_sound(row), ()))
    return "transductive" if overlaps else "enrolled"
