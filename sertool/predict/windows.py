"""Cut audio before it is predicted: at pauses or into windows, and stretches of windows that are decoded at once.

Stretches of most files are decoded by several workers, by seeking. Files that can only be read from the beginning, such
as some telephone codecs, and files that are cut off are read once, and their stretches come with their samples.
"""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from sertool.errors import UsageError
from sertool.manifests.columns import Row
from sertool.predict.request import Request
from sertool.sound import audio, levels, pauses
from sertool.sound.shaping import Wave
from sertool.system import talk
from sertool.system.paths import path_of

STRETCH = 120.0  # seconds of a long file that are decoded at once
FIRST_STRETCH_SECONDS = 5.0  # seconds of the first stretch, doubled for each next one, so that answers come soon
FORWARD_STRETCH = 30.0  # seconds of a stretch that holds its samples, many of which wait in memory
LATE_SECONDS = 0.1  # seconds that a row may end after its file, as encoders add some
SIDES: dict[str | int, int] = {"left": 1, "right": 2}  # channels by their words


@dataclass(frozen=True)
class PredictOptions:
    """How to cut audio, and which parts get no answer."""

    window: float | None = None
    hop: float | None = None
    pauses: float | None = None  # seconds; what is said between them is judged, and a window is its greatest length
    channel: str = "mix"  # or left, right, each
    silence: float = -60.0  # dBFS
    threshold: float = 0.0

    @property
    def step(self) -> float:
        """The seconds from one window to the next."""
        return self.hop or self.window or 0.0


@dataclass(frozen=True)
class Stretch:
    """Neighbouring windows of a clip: the clip's length in seconds, which windows, and their samples if read."""

    request: Request
    length: float | None = None
    first: int = 0
    count: int = 1
    sound: np.ndarray | None = None


def lacks_channel(request: Request, options: PredictOptions, channels: int) -> bool:
    """Whether audio with so many channels lacks the channel that a row names, or that was asked for."""
    if own := request.row.get("channel"):
        return own > channels
    return channels == 1 and options.channel == "right" and not request.answers_any_channel


def seconds(row: Row, look: audio.AudioInfo) -> float:
    """Return a row's length in seconds: as it says, or to the file's end; infinite if the file is cut off."""
    start, told = row.get("start") or 0.0, row.get("duration")
    there = math.inf if look.issue == "truncated" else 0.0
    if not look.issue:
        there = look.seconds - start
    return told if told is not None and told < there else there  # NaN is not less


def cut_of(row: Row, options: PredictOptions, wave: Wave) -> audio.Cut:
    """Return the channels and rate to decode a row's file with."""
    asked = row.get("channel") or options.channel
    return audio.Cut(wave.rate, {"mix": wave.channels, "left": "left", 1: "left"}.get(asked, "all"))


def stretches(request: Request, options: PredictOptions, wave: Wave) -> Iterator[Stretch]:
    """Yield a request as a whole or, with windows, in stretches that are decoded at once."""
    row = request.row
    if row.get("channel") and options.channel != "mix":
        raise UsageError(
            f"--channel {options.channel}: the column channel says which one is judged of {row['clip']}: "
            "leave out the option, or the column"
        )
    if options.window is None or row.get("issue"):
        yield Stretch(request, row.get("duration"))
        return
    look = audio.probe(path_of(row["path"]), full=False)
    start, length = row.get("start") or 0.0, seconds(row, look)
    warn_of_late_end(row, look)
    lacking = "no-channel" if look.channels and lacks_channel(request, options, look.channels) else None
    if look.detail:
        talk.detail(f"{row['path']}: {look.issue}: {look.detail}")
    if lacking or not (start >= 0 and length > 0):  # NaN fails, too
        yield Stretch(request.with_columns(issue=lacking or look.issue or "empty"))
    elif options.pauses is not None:
        yield from _at_pauses(request, options, wave, length, look)
    else:
        yield from _in_windows(request, options, wave, length, look)


def _in_windows(
    request: Request, options: PredictOptions, wave: Wave, length: float, look: audio.AudioInfo
) -> Iterator[Stretch]:
    """Yield windows in stretches that are decoded at once."""
    if look.issue or not audio.has_places(path_of(request.row["path"])):
        yield from _read_forward(request, options, wave, length, look.issue)
        return
    first, hop, window = 0, options.step, options.window or 0.0
    count, each = max(1, _count(length, window, hop)), max(1, int(FIRST_STRETCH_SECONDS / hop))
    while first < count:
        yield Stretch(request, length, first, min(each, count - first))
        first, each = first + each, min(2 * each, max(1, int(STRETCH / hop)))


def sides(channel: str | int, there: int) -> list[tuple[int | None, int]]:
    """Return the channels to predict of those that are there: their numbers from 1, and their places."""
    if channel == "mix":
        return [(None, 0)]
    places = range(there) if channel == "each" else (int(SIDES.get(channel, channel)) - 1,)
    return [(place + 1, min(place, there - 1)) for place in places]


def _at_pauses(
    request: Request, options: PredictOptions, wave: Wave, length: float, look: audio.AudioInfo
) -> Iterator[Stretch]:
    """Yield what is said between pauses, of each channel, and the pauses as silent rows, in the order of their starts.

    The file is read once before, as only its loudest sound and its noise tell what a pause is.
    """
    row, start = request.row, request.row.get("start") or 0.0
    path, cut, most = path_of(row["path"]), cut_of(row, options, wave), None if length == math.inf else length
    scan = _ForwardReader(path, replace(cut, rate=look.sample_rate or wave.rate), start, most)
    powers = _powers(scan)
    ended = min(scan.at / scan.rate, length)
    fault = look.issue if look.issue and ended < length - levels.TOO_SHORT else scan.issue
    if lacks_channel(request, options, len(powers)):
        yield Stretch(request.with_columns(issue="no-channel"))
        return
    heard = _heard(powers, row.get("channel") or options.channel)
    if any(pauses.are_hidden(each) for each in heard.values()):
        talk.say_once("pauses cannot be told in noise as loud as here and there (-v says where): --window 3 is better")
        talk.detail(f"{row['path']}: noise hides its pauses")
    parts = _parts(heard, ended, options)
    if not any(part.is_turn for part in parts):  # windows tell why, such as channels that cancel
        yield from _in_windows(request, options, wave, length, look)
        return
    reader = None if not fault and audio.has_places(path) else _ForwardReader(path, cut, start, most)
    for part in parts:
        told = {"start": round(start + part.begin, 3)} | ({"channel": part.channel} if part.channel else {})
        if part.is_turn:
            low, high = round(part.begin * wave.rate), round(part.end * wave.rate)
            sound = None if reader is None else reader.read(low, high)
            yield Stretch(request.with_columns(**told), part.end - part.begin, sound=sound)
        else:
            yield Stretch(request.with_columns(**told, end=round(start + part.end, 3), issue="silent"))
    if fault:
        yield Stretch(request.with_columns(start=round(start + ended, 3), issue=fault))


class _Part(NamedTuple):
    """A turn, or a pause, of a channel, in seconds from the start of what is judged."""

    begin: float
    end: float
    channel: int | None
    is_turn: bool


def _powers(scan: "_ForwardReader") -> np.ndarray:
    """Return the power of each frame of a file that is read to its end, `[channels, frames]`."""
    meter, at, block = pauses.Meter(scan.rate), 0, round(FORWARD_STRETCH * scan.rate)
    while not scan.over:
        if (samples := scan.read(at, at + block)).size:
            meter.add(samples)
        at += block
    return meter.powers


def _heard(powers: np.ndarray, channel: str | int) -> dict[int | None, np.ndarray]:
    """Return the power of each frame of the channels to predict, `[frames]`, from `[channels, frames]`."""
    rows = powers.mean(axis=0, keepdims=True) if channel == "mix" else powers
    return {number: rows[place] for number, place in sides(channel, len(powers))}


def _parts(heard: Mapping[int | None, np.ndarray], ended: float, options: PredictOptions) -> list[_Part]:
    """Return the turns and pauses of the channels to predict, by their starts, from the power of each frame."""
    found: list[_Part] = []
    for number, powers in heard.items():
        spans = pauses.turns(powers, options.pauses or 0.0, options.silence)
        found += _turns_and_pauses(spans, ended, options.window or math.inf, number)
    return sorted(found, key=lambda part: part.begin)


def _turns_and_pauses(
    spans: Sequence[tuple[float, float]], ended: float, longest: float, channel: int | None
) -> Iterator[_Part]:
    """Yield a channel's turns, in equal parts where they are too long, and the pauses around them."""
    at = 0.0
    for begin, end in [*((begin, min(end, ended)) for begin, end in spans), (ended, ended)]:
        if begin - at > levels.TOO_SHORT:
            yield _Part(at, begin, channel, is_turn=False)
        if end - begin > levels.TOO_SHORT:
            edges = np.linspace(begin, end, math.ceil((end - begin) / longest - 1e-9) + 1).round(3).tolist()
            yield from (_Part(low, high, channel, is_turn=True) for low, high in pairwise(edges))
        at = end


def warn_of_late_end(row: Row, look: audio.AudioInfo) -> None:
    """Warn once of rows that end after their file, for example because their times are in milliseconds."""
    if look.issue:
        return
    told, there = row.get("duration") or 0.0, look.seconds - (row.get("start") or 0.0)
    if told > there + LATE_SECONDS:
        talk.detail(f"{row['path']}: {told:g} s are asked for, and {there:.2f} s are there")
        talk.warn(
            "some rows end after their file and are cut there: start, end and duration are in seconds (-v names each)"
        )


def _count(length: float, window: float, hop: float) -> int:
    """Return how many windows cover the length; a rest at the end that is too short to be judged gets none."""
    if length == math.inf:
        return sys.maxsize
    covering = max(0, math.ceil((length - window) / hop - 1e-9)) + 1
    long_enough = math.floor((length - levels.TOO_SHORT) / hop + 1e-9) + 1
    return min(covering, long_enough)


def _read_forward(
    request: Request, options: PredictOptions, wave: Wave, length: float, issue: str | None
) -> Iterator[Stretch]:
    """Yield the stretches of a file that is read from its beginning.

    If it is cut off, its windows up to there are yielded, and then a row that says where it ends.
    """
    row = request.row
    start, window, hop = row.get("start") or 0.0, options.window or 0.0, options.step
    reader = _ForwardReader(
        path_of(row["path"]), cut_of(row, options, wave), start, None if length == math.inf else length
    )
    first, count = 0, max(1, _count(length, window, hop))
    while first < count and not reader.issue:
        each = min(max(1, int(FORWARD_STRETCH / hop)), count - first)
        wanted = min(length - first * hop, (each - 1) * hop + window)
        low = round(first * hop * wave.rate)
        sound = reader.read(low, low + round(wanted * wave.rate))
        if sound.size and lacks_channel(request, options, len(sound)):
            yield Stretch(request.with_columns(issue="no-channel"))
            return
        if issue and reader.over and reader.at < (length - levels.TOO_SHORT) * wave.rate:
            reader.issue = issue
        if reader.issue:
            each = min(each, _count(reader.at / wave.rate, window, hop) - first)
        if each > 0:
            yield Stretch(request, length, first, each, sound)
            first += each
    if reader.issue:
        judged = reader.at / wave.rate if first else 0.0
        yield Stretch(request.with_columns(start=round(start + judged, 3), issue=issue or reader.issue))


class _ForwardReader:
    """Reads audio forward only, from one position on."""

    def __init__(self, path: str, cut: audio.Cut, start: float, duration: float | None) -> None:
        self.path, self.rate = path, cut.rate
        self._pieces = audio.pieces(path, cut, start, duration, whole=False)
        self._held: list[tuple[int, np.ndarray]] = []  # pieces, and where each begins
        self.at, self.over = 0, False
        self.issue: str | None = None

    def read(self, first: int, last: int) -> np.ndarray:
        """Return the samples first to last - 1, or as many of them as there are, `[channels, samples]`."""
        self._held = [(at, piece) for at, piece in self._held if at + piece.shape[1] > first]
        while self.at < last and not self.over:
            piece = self._next()
            if piece.size and self.at + piece.shape[1] > first:  # the end has no samples, and one channel
                self._held.append((self.at, piece))
            self.at += piece.shape[1]
        parts = [piece[:, max(first - at, 0) : max(last - at, 0)] for at, piece in self._held]
        return np.concatenate(parts, axis=1) if parts else np.empty((1, 0), np.float32)

    def _next(self) -> np.ndarray:
        try:
            if (piece := next(self._pieces, None)) is not None:
                return piece
        except audio.Unusable as unusable:
            talk.detail(f"{self.path}: {unusable.issue}: {unusable}")
            self.issue = unusable.issue
        self.over = True
        return np.empty((1, 0), np.float32)
