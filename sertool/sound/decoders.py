"""Open audio files as streams of samples: plain WAV, what libsndfile decodes, and what ffmpeg decodes.

soundfile is imported only here and in `encoding`, which writes files.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from typing import TypeAlias

import numpy as np
import soundfile

from sertool.errors import SertoolError, reason
from sertool.sound import containers, ffmpeg


class Unusable(SertoolError):
    """A clip that cannot be used; `issue` is the manifest's word for the reason."""

    def __init__(self, issue: str, detail: str) -> None:
        super().__init__(detail)
        self.issue = issue


class Coded(soundfile.SoundFile):
    """A file decoded by libsndfile, block by block.

    If soundfile takes a file for seekable, it seeks after each read: an MP3 decoder then loses the bits that the next
    frames borrow, and other formats take longer.
    """

    @property
    def has_places(self) -> bool:
        return super().seekable()

    def seekable(self) -> bool:
        return False


class Plain:
    """A 16-bit WAV file, which needs no decoder, with the part of soundfile's interface that is used here.

    Half of soundfile's time for a clip is spent on opening it once more, and on seeking before and after each read.
    """

    format, subtype = "WAV", "PCM_16"
    has_places = True

    def __init__(self, stream: FileIO, plain: containers.Pcm16Layout) -> None:
        self.stream = stream
        self.samplerate, self.channels, self.offset, self.frames = plain
        self.seek(0)

    def __enter__(self) -> "Plain":
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the file open: its opener closes it."""

    def seek(self, frame: int) -> None:
        self.stream.seek(self.offset + 2 * self.channels * frame)

    def read(self, frames: int, dtype: str) -> np.ndarray:
        block = np.empty(frames * self.channels, "<i2")
        read = self.stream.readinto(block.data) // 2
        block = block[: read - read % self.channels].astype(dtype, copy=False)
        return block if self.channels == 1 else block.reshape(-1, self.channels)


Stream: TypeAlias = Coded | Plain | ffmpeg.ConvertedStream


def opened(path: str, file: FileIO, account: containers.LengthCheck) -> Stream:
    if account.plain:
        return Plain(file, account.plain)
    if account.is_foreign:
        return _by_ffmpeg(path, file, "no WAV, FLAC, Ogg, MP3 or AIFF file")
    try:
        return coded(path)
    except Unusable as refused:  # as WAV with AAC, or Ogg with FLAC
        if not ffmpeg.program():
            raise
        return _by_ffmpeg(path, file, str(refused))


def _by_ffmpeg(path: str, file: FileIO, refused: str) -> ffmpeg.ConvertedStream:
    """Open what libsndfile `refused` to."""
    stream = ffmpeg.stream(path, os.fstat(file.fileno()))
    if not stream.samplerate:
        raise Unusable("unreadable", f"{refused}, and ffmpeg reads it neither: {stream.fault}")
    return stream


def coded(path: str) -> Coded:
    try:
        return Coded(path if os.name == "nt" else os.fsencode(path))
    except (soundfile.SoundFileError, TypeError, OSError, ValueError) as error:
        raise Unusable("unreadable", _message_of(error)) from None


@contextmanager
def decoding() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unusable("unreadable", reason(error)) from None
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise Unusable("truncated", f"decoding stops: {_message_of(error)}") from None


def _message_of(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).strip().rstrip(".")
