"""Predict: workers decode clips ahead, and rows come out in order, for whole clips or for windows."""

import math
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from torch import Tensor

from sertool.featurize.engine import TooLarge
from sertool.manifests.answer_kinds import AnswerKind
from sertool.manifests.columns import Row
from sertool.modelfiles import inference
from sertool.predict import arrivals, windows
from sertool.predict.ensemble import AS_IT_IS, ClipFeatures, Ensemble, KnownSpeakers, Waveforms
from sertool.predict.familiarity import SHORTEST, Familiarity
from sertool.predict.request import Request
from sertool.predict.stored_rows import ReadRows, Shelf
from sertool.predict.windows import PredictOptions, Stretch, lacks_channel
from sertool.sound import audio, levels
from sertool.sound.shaping import Wave
from sertool.system import talk, workers
from sertool.system.paths import path_of

LOUD = 0.1  # seconds of speech that are enough to hear something
BATCH = 32  # clips or windows in memory at a time
HANDOVER = 0.001  # seconds that a thread waits for Python's lock: the usual 5 ms cost a tenth of all time
CONTEXT_SECONDS = 0.16  # around a stretch: more than resampling sees, and whole samples at all usual rates
LONG_CLIP_SECONDS = 600.0  # of clips that are longer, only one is computed at a time
PATIENCE = 0.02  # seconds to wait for the next clip before threads go on
STRETCHES = 4  # for a worker at once: few, as each holds many windows, whose answers should come soon


@dataclass
class Piece:
    """A request that gets one row, with its features, or the sound to compute them from."""

    request: Request
    features: ClipFeatures | None = None
    sound: Waveforms | None = None


@dataclass
class Session:
    """The models, options and workers of a prediction, and what is known of the files so far.

    Forks continue from what was known when they started, each by itself.
    """

    ensemble: Ensemble
    options: PredictOptions
    jobs: int
    checked: dict[str, tuple[float, float]] = field(default_factory=dict, init=False)  # files whose channels are known
    pauses: Counter[str] = field(default_factory=Counter, init=False)  # silent pieces so far, of other files
    long_clip_lock: Any = field(default_factory=workers.lock, init=False)  # held while a long clip is computed
    familiarity: Familiarity = field(default_factory=Familiarity, init=False)  # of clips answered without adaptation

    def shelf(self) -> Shelf:
        """Return the shelf that finds rows in shards, unless an option or the models need the audio itself."""
        records, members = self.ensemble.members[0].held.features, self.ensemble.members
        needs = {
            "--pauses": self.options.pauses is not None,
            "--window": self.options.window is not None,
            "--channel": self.options.channel != "mix",
            "--speeds": [*self.ensemble.speeds] != [AS_IT_IS],
            "--trim": any(member.extraction != inference.extraction_of(member.held.features) for member in members),
            "asking models of different features": any(member.held.features != records for member in members),
        }
        return Shelf(records, next((what for what, is_so in needs.items() if is_so), None))

    def answers(self, requests: Iterable[Request]) -> Iterator[Row]:
        """Yield a row for each clip or window, in order, as soon as it is there.

        On a CPU, the worker that computes a clip's features also answers for it.
        """
        if self.ensemble.batches_on_device:
            for pieces in self.extracted(requests):
                yield from (request.row for request in self.answered(pieces))
            return

        def work(batch: list[Stretch]) -> tuple[list[Row], Familiarity]:
            met = Familiarity()
            return [request.row for request in self.answered(self._extracted(batch), met=met)], met

        for rows, met in self._ahead(work, requests):
            self.familiarity.merge(met)
            yield from rows

    def extracted(self, requests: Iterable[Request]) -> Iterator[list[Piece]]:
        """Yield the clips or windows with their features, in small batches, in order, as soon as they are there."""
        return self._ahead(lambda batch: self._with_features([*self._extracted(batch)]), requests)

    def _ahead(self, work: Callable[[list[Stretch]], Any], requests: Iterable[Request]) -> Iterator[Any]:
        """Yield the workers' results for batches of stretches, in order.

        The settings of torch and Python that this changes are restored. Workers are threads until many stretches wait;
        then they are forks, which do not share Python's lock.
        """
        handover = sys.getswitchinterval()
        sys.setswitchinterval(HANDOVER)
        wave = self.ensemble.extractions[0].wave
        most = STRETCHES if self.options.window and not self.options.pauses else BATCH
        may_fork = self.jobs > 1 and not self.ensemble.batches_on_device
        stretches = (each for one in requests for each in windows.stretches(one, self.options, wave))
        fetch_lock = threading.Lock()
        try:
            with workers.pool(work, self.jobs) as pool:
                for batch in arrivals.gathered(stretches, most, fetch_lock):
                    stored = any(one.request.stored for one in batch)  # readers of shards cannot be passed to forks
                    forks = may_fork and len(batch) == most and not stored
                    while pool.pending and (forks or pool.is_full or pool.pending[0].done()):
                        yield pool.next_result()
                    if forks and fetch_lock.acquire(timeout=PATIENCE):  # else it awaits more; threads go on
                        self.ensemble.build_engines()  # now, so that all forks have them
                        pool.fork()
                        fetch_lock.release()
                        may_fork = False  # one attempt is enough, whether or not it forked
                    if batch:
                        pool.submit(batch, in_process=stored)
                while pool.pending:
                    yield pool.next_result()
        finally:
            sys.setswitchinterval(handover)

    def _extracted(self, batch: Iterable[Stretch]) -> Iterator[Piece]:
        """Yield the pieces of some stretches, with features; this is the work of one worker."""
        for stretch in batch:
            request, row = stretch.request, stretch.request.row
            if row.get("issue"):
                yield Piece(request)
                continue
            try:
                if request.stored:
                    yield _shelved(request, request.stored)
                elif self.options.window is None and _is_long(row):
                    yield from self._long(stretch)
                else:
                    yield from self._pieces(stretch)
            except audio.Unusable as unusable:
                talk.detail(f"{row['path']}: {unusable.issue}: {unusable}")
                begin = (row.get("start") or 0.0) + stretch.first * self.options.step
                where = {"start": round(begin, 3)} if self.options.window else {}
                yield Piece(request.with_columns(**where, issue=unusable.issue))

    def _long(self, stretch: Stretch) -> list[Piece]:
        """Return a long clip with its features; one worker at a time does this, as an hour takes 2 GB."""
        with self.long_clip_lock:
            minutes = int(LONG_CLIP_SECONDS / 60)
            talk.say_once(
                f"clips of over {minutes} minutes get one answer each, which takes memory: "
                "--pauses 0.4 answers turn by turn"
            )
            return self._with_features([*self._pieces(stretch)])

    def _pieces(self, stretch: Stretch) -> Iterator[Piece]:
        request, row = stretch.request, stretch.request.row
        wave = self.ensemble.extractions[0].wave
        rate = wave.rate
        asked = row.get("channel") or self.options.channel
        hop, window = self.options.step, self.options.window
        begin = (row.get("start") or 0.0) + stretch.first * hop
        samples = _decoded(stretch, self.options, wave) if stretch.sound is None else stretch.sound
        if lacks_channel(request, self.options, len(samples)):
            raise audio.Unusable("no-channel", f"{talk.counted(len(samples), 'channel')}, and none that is {asked}")
        for index in range(stretch.count):
            low = round(index * hop * rate)
            cut = samples[:, low : low + round(window * rate)] if window else samples
            at = begin + index * hop
            said = request.with_columns(start=round(at, 3), end=round(at + cut.shape[1] / rate, 3))
            for channel, side in _sides(cut, asked, wave.channels == "stereo"):
                piece = self._piece(said.with_columns(channel=channel) if channel else said, side)
                if piece.request.row.get("issue") == "silent" and asked == "mix" and row["path"] not in self.checked:
                    self._settle_cancelled(row["path"], (at, cut.shape[1] / rate))
                yield piece

    def _settle_cancelled(self, path: str, span: tuple[float, float]) -> None:
        """Warn once if a file's channels cancel when mixed, which makes it silent although a channel has sound.

        Looking means decoding again, so only the first, second, fourth, eighth (and so on) silent piece of a file is
        looked at.
        """
        self.pauses[path] += 1
        if self.pauses[path].bit_count() > 1:
            return
        try:
            sides = audio.decode(path_of(path), audio.Cut(channels="all"), *span)
        except audio.Unusable:  # the file is cut off, and all of it was computed already
            sides = np.zeros((1, 1))
        cancelled = _cancel(sides) and _loudest(sides[:1], span[1]) >= self.options.silence
        first = (cancelled or len(sides) == 1) and self.checked.setdefault(path, span) is span  # once among threads
        if cancelled and first:
            talk.warn(f"{talk.clean(path)}: its channels cancel when they are mixed: take one of them with --channel")

    def _piece(self, request: Request, samples: np.ndarray) -> Piece:
        rate = self.ensemble.extractions[0].wave.rate
        if samples.shape[1] < round(levels.TOO_SHORT * rate):
            return Piece(request.with_columns(issue="too-short"))
        if _loudest(samples, samples.shape[1] / rate) < self.options.silence:
            return Piece(request.with_columns(issue="silent"))
        try:
            piece = Piece(request, sound=self.ensemble.waveforms(samples, str(request.row["clip"])))
        except audio.Unusable as unusable:  # nothing lies beyond the model's `offset`
            return Piece(request.with_columns(issue=unusable.issue))
        return piece if self.ensemble.batches_on_device else self._with_features([piece])[0]

    def _with_features(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Return the pieces with features, computed together; if a value cannot be stored, compute each by itself."""
        sounds = [piece.sound for piece in pieces if piece.sound is not None]
        try:
            made = iter(self.ensemble.features_of(sounds) if sounds else ())
        except TooLarge:
            if len(pieces) > 1:
                return [one for piece in pieces for one in self._with_features([piece])]
            return [Piece(pieces[0].request.with_columns(issue="not-finite"))]
        return [piece if piece.sound is None else _finite(Piece(piece.request, next(made))) for piece in pieces]

    def answered(
        self, pieces: Iterable[Piece], known: KnownSpeakers | None = None, met: Familiarity | None = None
    ) -> Iterator[Request]:
        """Yield the requests with answers in their rows, holding only a few pieces at a time.

        Clips, and windows as long as clips, that are answered without adaptation are added to `met`.
        """
        coming = iter(pieces)
        while some := [*islice(coming, BATCH)]:
            yield from self._answered(some, known, met or self.familiarity)

    def _answered(self, pieces: Sequence[Piece], known: KnownSpeakers | None, met: Familiarity) -> Iterator[Request]:
        ready = [(piece, piece.features) for piece in pieces if piece.features is not None]
        who = [piece.request.who for piece, _ in ready]
        asked = [piece.request.models for piece, _ in ready]
        if known is None:
            whole = [features for piece, features in ready if self._is_long_enough(piece)]
            met.add(self.ensemble.standardised_means(whole))
        features = [features for _, features in ready]
        found = iter(self.ensemble.answers(features, known, who, asked) if ready else ())
        for piece in pieces:
            answer = {} if piece.features is None else _answer(self.ensemble.kind, next(found), self.options.threshold)
            yield piece.request.with_columns(**answer)

    def _is_long_enough(self, piece: Piece) -> bool:
        """Whether a piece is a whole clip, or a window long enough to be compared with training clips."""
        row = piece.request.row
        return self.options.window is None or row["end"] - row["start"] >= SHORTEST


def _is_long(row: Row) -> bool:
    """Whether a whole clip is long, by its header; warn if its row ends after the file."""
    look = audio.probe(path_of(row["path"]), full=False)
    windows.warn_of_late_end(row, look)
    return not look.issue and windows.seconds(row, look) > LONG_CLIP_SECONDS


def _decoded(stretch: Stretch, options: PredictOptions, wave: Wave) -> np.ndarray:
    """Decode a clip, or a stretch of windows.

    A stretch is resampled with some audio around it, so that a window has the same samples in any stretch.
    """
    row = stretch.request.row
    path, cut, start = path_of(row["path"]), windows.cut_of(row, options, wave), row.get("start") or 0.0
    if options.window is None:
        return audio.decode(path, cut, start, stretch.length)
    hop = options.step
    begin = start + stretch.first * hop
    left = math.inf if stretch.length is None else stretch.length - stretch.first * hop
    seconds = min(left, (stretch.count - 1) * hop + options.window)
    before = min(CONTEXT_SECONDS, begin)
    first = round(before * wave.rate)
    return audio.decode(path, cut, begin - before, before + seconds + CONTEXT_SECONDS)[
        :, first : first + round(seconds * wave.rate)
    ]


def _shelved(request: Request, read: ReadRows) -> Piece:
    """Return a clip with its features read from shards; the audio is not needed."""
    start, length = request.row.get("start") or 0.0, request.row.get("duration")
    end = {} if length is None else {"end": round(start + length, 3)}
    return _finite(Piece(request.with_columns(start=round(start, 3), **end), [read()]))


def _sides(samples: np.ndarray, channel: str | int, stereo: bool) -> Iterator[tuple[int | None, np.ndarray]]:
    """Yield the channels to predict, numbered from 1, or the whole clip without a number.

    Models of stereo sound get each channel twice.
    """
    for number, place in windows.sides(channel, len(samples)):
        yield number, samples if number is None else samples[[place, place] if stereo else [place]]


def _finite(piece: Piece) -> Piece:
    finite = all(np.isfinite(rows).all() for made in piece.features or () for rows in made.values())
    return piece if finite else Piece(piece.request.with_columns(issue="not-finite"))


def _loudest(samples: np.ndarray, seconds: float) -> float:
    """Return the level of the loudest tenth of a second of `[channels, samples]`, in dBFS: speech has pauses."""
    return float(_levels(samples, max(1, round(seconds / LOUD))).max())


def _levels(samples: np.ndarray, parts: int) -> np.ndarray:
    """Return the level of each part of `[channels, samples]`, without the constant offset of all, in dBFS, `[parts]`.

    They are computed in float64, as the squares of a float file's samples may exceed float32.
    """
    parts = min(parts, samples.shape[1])
    each = samples[:, : samples.shape[1] // parts * parts].reshape(len(samples), parts, -1)
    energy = np.einsum("cps,cps->cp", each, each, dtype=np.float64) / each.shape[2]
    offset = samples.mean(axis=1, dtype=np.float64)[:, None]
    apart = energy - 2 * offset * each.mean(axis=2, dtype=np.float64) + np.square(offset)
    return 10 * np.log10(np.maximum(apart.mean(axis=0), 1e-18))


def _cancel(sides: np.ndarray) -> bool:
    """Whether channels nearly vanish when mixed; one channel beside a silent one keeps half its amplitude."""
    mixed, apart = (_levels(each, 1)[0] for each in (sides.mean(axis=0, keepdims=True), sides))
    return bool(mixed - apart < 10 * math.log10(levels.CANCELLED))


def _answer(kind: AnswerKind, numbers: Tensor, threshold: float) -> Row:
    """Return an answer's columns; numbers that are not finite are an issue."""
    return kind.row(numbers.tolist(), threshold) if numbers.isfinite().all() else {"issue": "not-finite"}
