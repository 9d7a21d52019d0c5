"""Read audio files: their properties, faults and samples; soxr is imported only here."""

import math
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import FileIO

import numpy as np

from sertool.errors import reason
from sertool.sound import containers, decoders, ffmpeg
from sertool.sound.decoders import Stream, Unusable
from sertool.sound.digests import Digest
from sertool.sound.levels import FULL_SCALE, FULL_SCALES, Levels

EXTENSIONS = (".wav", ".flac", ".ogg", ".oga", ".mp3", ".opus", ".aiff", ".aif", ".rf64")
BY_FFMPEG = (  # these hold audio too, some beside video, and are read where ffmpeg is installed
    ".m4a", ".m4b", ".m4r", ".aac", ".ac3", ".wma", ".amr", ".awb", ".au", ".snd", ".caf", ".w64", ".bwf",
    ".wave", ".aifc", ".ape", ".wv", ".tta", ".mpc", ".mp2", ".mpga", ".spx", ".sph", ".voc", ".gsm", ".ra",
    ".dsf", ".dff", ".dss", ".ds2", ".weba", ".mka",
    ".webm", ".mkv", ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".3gpp", ".avi", ".wmv", ".asf", ".flv",
    ".f4v", ".mpg", ".mpeg", ".mts", ".m2ts", ".ogv", ".ogx", ".rm",
)  # fmt: skip
VIDEOS = BY_FFMPEG[BY_FFMPEG.index(".webm") :]  # sound alone comes first in that list
KINDS = (*EXTENSIONS, *BY_FFMPEG)
REMEDY = "install ffmpeg, or convert to WAV or FLAC"
LEFT_BY_MACOS = "._"  # the prefix of the files that macOS adds to archives beside each file
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
BLOCK_VALUES = 1 << 20  # values read at once: 65 s of one channel at 16 kHz
SMALL_BLOCK = 1 << 12  # the same where decoding may fail, which loses the block
# Samples decoded before a part of a file, and dropped: an MP3 frame borrows bits from up to 85 frames of 576 samples
# before it, libvorbis mistakes its position within the last page, and Opus takes long to converge.
LEAD = 1 << 16
LED = ("MP3", "OGG")
LED_EXTENSIONS = (".mp3", ".ogg", ".oga", ".opus")
LED_VERSION = 1  # of how parts of such files are decoded; a change makes their shards anew
RATES = (4_000, 384_000)
UNKNOWN_LENGTH = 1 << 62  # libsndfile reports more than this for a FLAC file written to a pipe


@dataclass
class AudioInfo:
    """The properties of one file; `issue` says why it is unusable, `notes` what is odd but usable."""

    sample_rate: int | None = None
    channels: int | None = None
    samples: int | None = None
    digest: str | None = None
    size: int | None = None
    modified: int | None = None
    issue: str | None = None
    notes: list[str] = field(default_factory=list)
    detail: str = ""

    @property
    def seconds(self) -> float:
        """The length; 0 if it is unknown."""
        return (self.samples or 0) / (self.sample_rate or 1)


def probe(path: str, *, full: bool = True) -> AudioInfo:
    """Examine one file: its header, or if `full` every sample. Never raises for a bad file."""
    facts = AudioInfo()
    try:
        with _file(path) as file:
            status = os.fstat(file.fileno())
            facts.size, facts.modified = status.st_size, status.st_mtime_ns
            account = _account(file, whole=True)
            if account.goes_on:
                facts.notes.append("unread-end")
            with _decoder(path, file, account) as (stream, length):
                facts.sample_rate, facts.channels, facts.samples = stream.samplerate, stream.channels, length
                if full:
                    _examine(stream, length, facts)
    except Unusable as unusable:
        facts.issue, facts.detail = unusable.issue, str(unusable)
    if facts.channels and facts.channels > 1:
        facts.notes.append("stereo")
    return facts


def _file(path: str) -> FileIO:
    """Open a regular file; opening a FIFO in the usual way would block for ever."""
    try:
        return FileIO(path, opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))
    except FileNotFoundError:
        raise Unusable("vanished", "no such file" if not os.path.islink(path) else "a link to nothing") from None
    except OSError as error:
        raise Unusable("unreadable", reason(error)) from None
    except ValueError as error:  # a NUL in the name
        raise Unusable("unreadable", str(error)) from None


@contextmanager
def _decoder(path: str, file: FileIO, account: containers.LengthCheck) -> Iterator[tuple[Stream, int]]:
    """Open a file for decoding, and yield the stream and its number of samples."""
    with decoders.opened(path, file, account) as stream:
        if not RATES[0] <= stream.samplerate <= RATES[1]:
            raise Unusable("unreadable", f"a sample rate of {stream.samplerate:,} Hz, not {RATES[0]:,} to {RATES[1]:,}")
        yield stream, _length(stream, account.samples)


def _account(file: FileIO, *, whole: bool) -> containers.LengthCheck:
    """Check a file before any decoder reads it.

    Raises Unusable for what is no audio and, if `whole`, for what is cut off.
    """
    try:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Unusable("unreadable", "not a regular file")
        head = file.read(64)
        account = containers.check_length(file, head, status.st_size)
    except OSError as error:
        raise Unusable("unreadable", reason(error)) from None
    if not head:
        raise Unusable("empty", "no bytes")
    if head.startswith(LFS_POINTER):
        raise Unusable("lfs-pointer", "a Git LFS pointer, not audio")
    if account.is_foreign and not ffmpeg.program():
        raise Unusable("unreadable", f"no WAV, FLAC, Ogg, MP3 or AIFF file: {REMEDY}")
    if account.is_joined:
        raise Unusable("unreadable", "several recordings in one file, of which one would be read: write the file again")
    if account.missing and whole:
        raise Unusable("truncated", account.missing)
    return account


def has_places(path: str) -> bool:
    """Whether a file that seems complete can be read from any position.

    Some telephone codecs can only be read from the beginning. MP3 decoders read everything before a position, and
    complain on stderr of bits that the first frame lacks. What ffmpeg decodes is decoded whole, once for each process.
    For FLAC no header tells that the end is missing, so the last sample is read.
    """
    try:
        with _file(path) as file, _decoder(path, file, _account(file, whole=True)) as (stream, length):
            if not stream.has_places or stream.format != "FLAC":
                return stream.has_places and stream.format not in ("MP3", "FFMPEG")
            with decoders.decoding():
                stream.seek(length - 1)
                return len(stream.read(1, "float32")) == 1
    except Unusable:
        return False


def _length(stream: Stream, counted: int | None) -> int:
    """Return the number of samples: by the header or, for an MP3 file without a count, by its frames.

    For such an MP3 file libsndfile estimates the length from the first frame's bit rate.
    """
    if not stream.frames:
        raise Unusable("empty", "a header without samples")
    if stream.frames > UNKNOWN_LENGTH:
        raise Unusable("unreadable", "its header does not say how long it is: write the file again")
    if counted is not None and stream.frames < 0.98 * counted:
        raise Unusable("unreadable", "an MP3 of changing bit rate whose header does not say so: write the file again")
    return stream.frames if counted is None else min(stream.frames, counted)


def _examine(stream: Stream, length: int, facts: AudioInfo) -> None:
    """Decode a whole file, and add its digest and the notes on its levels to `facts`."""
    levels = Levels(FULL_SCALES.get(stream.subtype, FULL_SCALE))
    digest = Digest(stream.samplerate)
    for block in _blocks(stream, length):
        digest.add(block)
        levels.add(_as_float(block))
    if levels.samples < length and levels.finite:
        raise Unusable("truncated", f"{length - levels.samples:,} of {length:,} samples are missing")
    facts.digest = digest.text()
    if fault := levels.fault(stream.samplerate):
        raise Unusable(*fault)
    facts.notes.extend(levels.notes(stream.channels))


def _blocks(stream: Stream, length: int, most: int = BLOCK_VALUES) -> Iterator[np.ndarray]:
    """Yield samples as stored, `[frames]` or `[frames, channels]`: int16 if the file has 16 bits, else float32.

    Never reads more than a block at once, whatever a header claims.
    """
    kind, most = "int16" if stream.subtype == "PCM_16" else "float32", max(1, most // stream.channels)
    while length > 0:
        with decoders.decoding():
            block = stream.read(min(length, most), dtype=kind)
        if not len(block):
            return
        length -= len(block)
        yield block


def _as_float(block: np.ndarray) -> np.ndarray:
    if block.dtype != np.int16:
        return block
    values = block.astype(np.float32)
    values *= 1 / 32768
    return values


@dataclass(frozen=True)
class Cut:
    """The sample rate and the channels of a waveform read from a file."""

    rate: int = 16000
    channels: str = "mono"  # "mono" is the channels' mean; or "left"; or "stereo", which copies mono; or "all"

    def rows(self, there: int) -> int:
        """Return the number of output channels for a file's number of channels."""
        return {"stereo": 2, "all": there}.get(self.channels, 1)


def decode(path: str, cut: Cut, start: float = 0.0, duration: float | None = None) -> np.ndarray:
    """Read a waveform at a sample rate, float32 `[channels, samples]`; long files are read in blocks."""
    with _placed(path, start, duration) as (stream, length):
        most = math.ceil(length * cut.rate / stream.samplerate) + 1
        try:
            wave = np.empty((cut.rows(stream.channels), most), np.float32)
        except (MemoryError, ValueError):
            raise Unusable("unreadable", f"no memory for the {length:,} samples that it claims to have") from None
        filled = 0
        for piece in _pieces(stream, length, cut):
            wave[:, filled : filled + piece.shape[1]] = piece
            filled += piece.shape[1]
    return wave[:, :filled]


def pieces(
    path: str, cut: Cut, start: float = 0.0, duration: float | None = None, *, whole: bool = True
) -> Iterator[np.ndarray]:
    """Yield a waveform in pieces `[channels, samples]`, to save memory for long audio.

    If it need not be `whole`, the pieces are small and end where the file is damaged.
    """
    with _placed(path, start, duration, whole=whole) as (stream, length):
        yield from _pieces(stream, length, cut, BLOCK_VALUES if whole else SMALL_BLOCK)


@contextmanager
def _placed(path: str, start: float, duration: float | None, *, whole: bool = True) -> Iterator[tuple[Stream, int]]:
    """Open a file at the start of a waveform, and return the number of samples that it takes."""
    with _file(path) as file, _decoder(path, file, _account(file, whole=whole)) as (stream, length):
        rate = stream.samplerate
        if not 0 <= start < length / rate:
            raise Unusable("empty", f"there is nothing at {start:g} s")
        first, last = round(start * rate), length
        if duration is not None:
            last = round(min(length, first + duration * rate))
        if first >= last:
            end = "the end" if duration is None else f"{start + duration:g} s"
            raise Unusable("empty", f"there is nothing from {start:g} s to {end}")
        lead = LEAD if stream.format in LED else 0
        begin = max(0, first - lead) if stream.has_places else 0  # some telephone codecs cannot seek
        if begin:
            with decoders.decoding():
                stream.seek(begin)
        deque(_blocks(stream, first - begin), maxlen=0)
        yield stream, last - first


def _pieces(stream: Stream, length: int, cut: Cut, most: int = BLOCK_VALUES) -> Iterator[np.ndarray]:
    """Yield `length` frames block by block, resampled as they are read."""
    rows = cut.rows(stream.channels)
    resample = None if stream.samplerate == cut.rate else resampler(stream.samplerate, cut.rate, rows)
    read = 0
    for block in _blocks(stream, length, most):
        piece = _mixed(_as_float(block), cut.channels)
        read += len(piece)
        if resample:
            piece = resample(piece, read == length)
        if not np.isfinite(piece).all():
            raise Unusable("not-finite", "values that are no numbers (NaN or infinity)")
        yield piece.T
    if read < length:
        raise Unusable("truncated", f"{length - read:,} of {length:,} samples are missing")


def _mixed(block: np.ndarray, channels: str) -> np.ndarray:
    """Mix `[frames]` or `[frames, channels]` down to `[frames, 1]`, `[frames, 2]` for stereo, unchanged for all."""
    if block.ndim == 1:
        block = block[:, None]
    if channels == "stereo":
        return block[:, :2] if block.shape[1] > 1 else np.repeat(block, 2, axis=1)
    if channels == "all":
        return block
    if channels == "left" or block.shape[1] == 1:
        return block[:, :1]
    with np.errstate(over="ignore"):  # infinite values are refused later
        return block.mean(axis=1, keepdims=True)


def resampler(source: int, target: int, channels: int) -> Callable[[np.ndarray, bool], np.ndarray]:
    """Return a function of a block `[frames, channels]` and whether it is the last, which returns resampled frames."""
    import soxr  # imported only if rates differ, as it takes 40 ms

    stream = soxr.ResampleStream(source, target, channels, dtype="float32", quality="HQ")
    return lambda block, last: stream.resample_chunk(np.ascontiguousarray(block), last=last)


def remark(path: str) -> str:
    """Return the comment in a file's metadata, empty if it cannot be read."""
    try:
        with decoders.coded(path) as file:
            return str(file.comment)
    except Unusable:
        return ""
