"""From clips to emotions: decoded ahead in threads, answered in order, whole or window by window."""

import math
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sertool import audio, extract, hearing, inference, predict_inputs, talk, windows, workers
from sertool.files import path_of
from sertool.jury import AS_IT_IS, Acquaintance, Heard, Jury, Sound
from sertool.predict_inputs import Request
from sertool.shaping import Wave
from sertool.stored_rows import Row, Shelf
from sertool.windows import Listening, Stretch, lacks_channel

BATCH = 32  # clips or windows that are there at a time
HANDOVER = 0.001  # seconds that a thread waits for another's Python: of the usual five it lost a tenth of all time
AROUND = 0.16  # seconds, more than resampling sees, and a whole number of samples at all usual rates
LONG = 600.0  # seconds of a clip of which one is heard at a time
STRETCHES = 4  # that a thread takes at once: so many hold many windows, whose answers should not be long in coming


@dataclass
class Shared:
    """What the threads share."""

    settled: dict[str, tuple[float, float]] = field(default_factory=dict)  # files whose channels nobody need compare
    long: threading.Lock = field(default_factory=threading.Lock)  # held by who hears a long clip
    hinted: bool = False  # that there are windows


@dataclass
class Piece:
    """What gets one row: what is asked for, with the row so far, and what was heard in it, or is yet to be heard."""

    request: Request
    heard: Heard | None = None
    sound: Sound | None = None


def shelf(jury: Jury, how: Listening) -> Shelf:
    """Where rows may lie that the models need not make, unless what is asked for takes the sound itself."""
    records, members = jury.members[0].held.features, jury.members
    needs = {
        "--window": how.window is not None,
        "--channel": how.channel != "mix",
        "--speeds": [*jury.speeds] != [AS_IT_IS],
        "--trim": any(member.recipe != inference.recipe_of(member.held.features) for member in members),
        "asking models that hear in different ways": any(member.held.features != records for member in members),
    }
    return Shelf(records, next((what for what, is_so in needs.items() if is_so), None))


def answers(jury: Jury, requests: Iterator[Request], how: Listening, jobs: int) -> Iterator[Row]:
    """A row for each clip or window, in order, as soon as it is judged: on a CPU by the thread that heard it."""
    if jury.gathers:
        for pieces in listened(jury, requests, how, jobs):
            yield from (request.row for request in judged(jury, pieces, how))
        return
    shared = Shared()

    def work(batch: list[Stretch]) -> list[Row]:
        return [request.row for request in judged(jury, _listened(jury, batch, how, shared), how)]

    for done in _ahead(jury, work, requests, how, jobs):
        yield from done


def listened(jury: Jury, requests: Iterator[Request], how: Listening, jobs: int) -> Iterator[list[Piece]]:
    """What is heard in each clip or window, some at a time, in order, as soon as it is there."""
    shared = Shared()
    return _ahead(jury, lambda batch: _heard(jury, [*_listened(jury, batch, how, shared)]), requests, how, jobs)


def _ahead(
    jury: Jury, work: Callable[[list[Stretch]], list[Any]], requests: Iterator[Request], how: Listening, jobs: int
) -> Iterator[Any]:
    """What threads make of some stretches at a time, in order; torch and Python are left as they were."""
    handover = sys.getswitchinterval()
    sys.setswitchinterval(HANDOVER)
    pool = ThreadPoolExecutor(jobs, initializer=torch.set_num_threads, initargs=(1,))
    pending: deque[Future[list[Any]]] = deque()
    stretches = (each for one in requests for each in windows.stretches(one, how, jury.recipes[0].wave))
    with workers.one_thread():
        try:
            for batch in predict_inputs.gathered(stretches, STRETCHES if how.window else BATCH):
                if batch:
                    pending.append(pool.submit(work, batch))
                while pending and (len(pending) > 2 * jobs or pending[0].done()):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            sys.setswitchinterval(handover)


def _listened(jury: Jury, batch: Iterable[Stretch], how: Listening, shared: Shared) -> Iterator[Piece]:
    """What a thread makes of some stretches: their pieces, with what was heard in them."""
    for stretch in batch:
        request, row = stretch.request, stretch.request.row
        if row.get("issue"):
            yield Piece(request)
            continue
        try:
            if request.stored:
                yield _shelved(request)
            elif how.window is None and _seconds(row) > LONG:
                yield from _long(jury, stretch, how, shared)
            else:
                yield from _pieces(jury, stretch, how, shared)
        except audio.Unusable as unusable:
            talk.detail(f"{row['path']}: {unusable.issue}: {unusable}")
            begin = (row.get("start") or 0.0) + stretch.first * (how.hop or how.window or 0.0)
            where = {"start": round(begin, 3)} if how.window else {}
            yield Piece(request.saying(**where, issue=unusable.issue))


def _seconds(row: Row) -> float:
    """How long a clip is; 0 of what cannot be heard."""
    look = audio.look(path_of(row["path"]), full=False)
    there = 0.0 if look.issue else look.samples / look.sample_rate - (row.get("start") or 0.0)
    told = row.get("duration")
    return told if told is not None and told < there else there


def _long(jury: Jury, stretch: Stretch, how: Listening, shared: Shared) -> list[Piece]:
    """What is heard in a long clip as a whole, while no other thread is at one: an hour takes 2 GB."""
    row = stretch.request.row
    with shared.long:
        if not shared.hinted:
            talk.say(f"{row['path']}: one answer for {_seconds(row) / 60:.0f} minutes of sound, which takes memory: "
                     "--window 3 answers part by part")  # fmt: skip
        shared.hinted = True
        return _heard(jury, [*_pieces(jury, stretch, how, shared)])


def _pieces(jury: Jury, stretch: Stretch, how: Listening, shared: Shared) -> Iterator[Piece]:
    request, row = stretch.request, stretch.request.row
    wave = jury.recipes[0].wave
    rate = wave.rate
    asked = row.get("channel") or how.channel
    hop, window = how.hop or how.window or 0.0, how.window
    begin = (row.get("start") or 0.0) + stretch.first * hop
    samples = _decoded(stretch, how, wave) if stretch.sound is None else stretch.sound
    if lacks_channel(row, how, len(samples)):
        raise audio.Unusable("no-channel", f"{talk.counted(len(samples), 'channel')}, and none that is {asked}")
    for index in range(stretch.count):
        low = round(index * hop * rate)
        cut = samples[:, low : low + round(window * rate)] if window else samples
        at = begin + index * hop
        said = request.saying(start=round(at, 3), end=round(at + cut.shape[1] / rate, 3))
        for channel, side in _sides(cut, asked, wave.channels == "stereo"):
            piece = _piece(jury, said.saying(channel=channel) if channel else said, side, how)
            if piece.request.row.get("issue") == "silent" and asked == "mix" and row["path"] not in shared.settled:
                _settle_cancelled(row["path"], (at, cut.shape[1] / rate), how.silence, shared.settled)
            yield piece


def _decoded(stretch: Stretch, how: Listening, wave: Wave) -> np.ndarray:
    """A clip as it is; or a stretch of windows, resampled with what is around it: a window is the same in any."""
    row = stretch.request.row
    path, cut, start = path_of(row["path"]), windows.cut_of(row, how, wave), row.get("start") or 0.0
    if how.window is None:
        return audio.decode(path, cut, start, stretch.length)
    hop = how.hop or how.window
    begin = start + stretch.first * hop
    seconds = min(stretch.length - stretch.first * hop, (stretch.count - 1) * hop + how.window)
    before = min(AROUND, begin)
    first = round(before * wave.rate)
    return audio.decode(path, cut, begin - before, before + seconds + AROUND)[
        :, first : first + round(seconds * wave.rate)
    ]


def _settle_cancelled(
    path: str, span: tuple[float, float], silence: float, settled: dict[str, tuple[float, float]]
) -> None:
    """Say once of a file in which nothing is heard for a while that one channel of it has some sound there."""
    try:
        sides = audio.decode(path_of(path), audio.Cut(channels="all"), *span)
    except audio.Unusable:  # it is cut off, and all of it is heard already
        sides = np.zeros((1, 1))
    cancelled = len(sides) > 1 and _level(sides[:1]) >= silence
    first = (cancelled or len(sides) == 1) and settled.setdefault(path, span) is span  # of all threads
    if cancelled and first:
        talk.warn(f"{path}: its channels cancel when they are mixed: take one of them with --channel")


def _shelved(request: Request) -> Piece:
    """A clip as shards hold it, whose sound nobody asks for."""
    start, length = request.row.get("start") or 0.0, request.row.get("duration")
    end = {} if length is None else {"end": round(start + length, 3)}
    return _finite(Piece(request.saying(start=round(start, 3), **end), [request.stored()]))


def _sides(samples: np.ndarray, channel: str | int, stereo: bool) -> Iterator[tuple[int | None, np.ndarray]]:
    """The channels to judge, by number from 1, or the clip as it is; for models of stereo sound each side twice."""
    if channel == "mix":
        yield None, samples
        return
    only = {"left": 1, "right": 2}.get(channel, channel)
    for place in range(len(samples)) if only == "each" else (only - 1,):
        side = min(place, len(samples) - 1)
        yield place + 1, samples[[side, side] if stereo else [side]]


def _piece(jury: Jury, request: Request, samples: np.ndarray, how: Listening) -> Piece:
    if samples.shape[1] < round(hearing.TOO_SHORT * jury.recipes[0].wave.rate):
        return Piece(request.saying(issue="too-short"))
    if _level(samples) < how.silence:
        return Piece(request.saying(issue="silent"))
    piece = Piece(request, sound=jury.shaped(samples, str(request.row["clip"])))
    return piece if jury.gathers else _heard(jury, [piece])[0]


def _heard(jury: Jury, pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces, heard together; where one has values that cannot be, each by itself."""
    waiting = [piece for piece in pieces if piece.sound is not None]
    try:
        made = iter(jury.hear([piece.sound for piece in waiting])) if waiting else iter(())
    except extract.TooLarge:
        if len(pieces) > 1:
            return [one for piece in pieces for one in _heard(jury, [piece])]
        return [Piece(pieces[0].request.saying(issue="not-finite"))]
    return [piece if piece.sound is None else _finite(Piece(piece.request, next(made))) for piece in pieces]


def _finite(piece: Piece) -> Piece:
    finite = all(np.isfinite(rows).all() for made in piece.heard or () for rows in made.values())
    return piece if finite else Piece(piece.request.saying(issue="not-finite"))


def _level(samples: np.ndarray) -> float:
    """Of what moves, in dBFS; in float64, for what a float file holds may be larger than any square of float32."""
    energy = np.einsum("cs,cs->", samples, samples, dtype=np.float64) / samples.size
    offset = np.square(samples.mean(axis=1, dtype=np.float64)).mean()
    return 10 * math.log10(max(energy - offset, 1e-18))


def judged(jury: Jury, pieces: Iterable[Piece], how: Listening, known: Acquaintance | None = None) -> Iterator[Request]:
    """What is asked for, with the answers in its rows; of any number of pieces, a few are there at a time."""
    coming = iter(pieces)
    while some := [*islice(coming, BATCH)]:
        yield from _judged(jury, some, how, known)


def _judged(jury: Jury, pieces: Sequence[Piece], how: Listening, known: Acquaintance | None) -> Iterator[Request]:
    heard = [piece for piece in pieces if piece.heard is not None]
    who = [piece.request.who for piece in heard]
    asked = [piece.request.models for piece in heard]
    found = iter(jury.judge([piece.heard for piece in heard], known, who, asked)) if heard else iter(())
    for piece in pieces:
        answer = {} if piece.heard is None else _answer(jury.labels, next(found), how)
        yield piece.request.saying(**answer)


def _answer(labels: Sequence[str], probabilities: Tensor, how: Listening) -> Row:
    """The emotion, or none where the model is not sure enough, or what it computes is no number."""
    if not probabilities.isfinite().all():
        return {"issue": "not-finite"}
    confidence, index = probabilities.max(dim=0)
    sure = float(confidence) >= how.threshold
    answer: Row = {"predicted": labels[int(index)] if sure else None, "confidence": float(confidence)}
    return answer | {f"p_{label}": float(value) for label, value in zip(labels, probabilities, strict=True)}
