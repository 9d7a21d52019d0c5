"""Decode what libsndfile does not read, such as .m4a and videos, by the program ffmpeg, where it is installed.

A file is decoded whole, into a temporary file without a name, so that its length and any part of it are exact. The last
one is kept, as segments of one recording are asked for one after the other. imageio_ffmpeg, which may bring the
program, is imported only here.
"""

import os
import re
import shutil
import struct
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import IO

import numpy as np

from sertool.errors import SertoolError, reason

AU_HEADER = struct.Struct(">4sIIIII")  # magic, where samples begin, their bytes, encoding, sample rate, channels
FLOAT = np.dtype(">f4")
CONTAINERS = (  # others are refused: playlists and the like would open other files, or addresses
    "mov", "matroska", "asf", "avi", "flv", "mpeg", "mpegts", "ogg", "rm", "aac", "ac3", "amr", "amrnb", "amrwb", "au",
    "caf", "w64", "wav", "aiff", "mp3", "ape", "wv", "tta", "mpc", "mpc8", "nistsphere", "voc", "gsm", "dsf", "iff",
    "dss",
)  # fmt: skip
QUIETLY = ("-nostdin", "-hide_banner", "-nostats", "-v", "error", "-xerror")
IN_TIME = "aresample=async=1:first_pts=0"  # silence where a video's sound starts late, or a meeting's has gaps
CONTEXT = re.compile(r"^(?:\[[^\]]*\] *)+|file:")  # what ffmpeg writes before a message
CUT = ("ended prematurely", "partial file")  # said of files that are cut off, with success
NO_SOUND = "matches no streams"
BLOCK_BYTES = 1 << 20
SHARE = 0.5  # of the space that is left, which one file may take: small damaged ones may claim years of silence


@dataclass(frozen=True)
class Converted:
    """A decoded file: float samples from `offset` on; `fault` says why it ends early, if it does."""

    file: IO[bytes]
    offset: int
    rate: int
    channels: int
    frames: int
    fault: str

    def __del__(self) -> None:
        self.file.close()


class ConvertedStream:
    """A converted file, with the part of soundfile's interface that `audio` uses."""

    format, subtype = "FFMPEG", "FLOAT"
    has_places = True

    def __init__(self, converted: Converted) -> None:
        self.converted, self.at = converted, 0
        self.samplerate, self.channels, self.fault = converted.rate, converted.channels, converted.fault
        self.frames = converted.frames + bool(converted.fault)  # one more than there are, at which reading fails

    def __enter__(self) -> "ConvertedStream":
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the file open, as the next part may be asked for."""

    def seek(self, frame: int) -> None:
        self.at = frame

    def read(self, frames: int, dtype: str) -> np.ndarray:
        """Return `[frames]` or `[frames, channels]`; mapped, as forks that share a file share its position."""
        there = self.converted
        count = min(frames, there.frames - self.at)
        if count <= 0 and there.fault:
            raise RuntimeError(there.fault)
        if count <= 0:
            return np.empty((0, self.channels), dtype)
        offset, shape = there.offset + FLOAT.itemsize * self.channels * self.at, (count, self.channels)
        block = np.memmap(there.file, FLOAT, "r", offset, shape).astype(dtype)
        self.at += count
        return block[:, 0] if self.channels == 1 else block


@cache
def program() -> str | None:
    """Return the program's path: the installed one, or that of the package imageio-ffmpeg; None if there is neither."""
    if (found := shutil.which("ffmpeg")) and _works(found):
        return found
    with suppress(ImportError, RuntimeError):
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    return None


def _works(found: str) -> bool:
    """Whether a program is ffmpeg and starts: one that lacks a library would be blamed on every file."""
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            [found, "-version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=True
        )
        return done.stdout.startswith(b"ffmpeg")
    return False


def stream(path: str, status: os.stat_result) -> ConvertedStream:
    """Decode a file; the stream has no frames, and a fault, if nothing can be decoded."""
    return ConvertedStream(_converted(path, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=1)
def _converted(path: str, _size: int, _modified: int) -> Converted:
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as it is kept)
    except OSError:
        raise SertoolError("no folder for decoded sound: name one in TMPDIR") from None
    said = _decode(os.path.abspath(path), file)
    file.seek(0)
    header = file.read(AU_HEADER.size)
    if len(header) < AU_HEADER.size:
        return Converted(file, 0, 0, 1, 0, said or "nothing in it can be decoded")
    _, offset, _, _, rate, channels = AU_HEADER.unpack(header)
    frames = max(0, file.seek(0, os.SEEK_END) - offset) // (FLOAT.itemsize * channels)
    return Converted(file, offset, rate, channels, frames, said)


def _decode(path: str, out: IO[bytes]) -> str:
    """Decode a file's first sound, and return what is wrong with it; raise SertoolError for what is not its fault."""
    read = ["-format_whitelist", ",".join(CONTAINERS), "-i", f"file:{path}", "-map", "0:a:0"]
    command = [str(program()), *QUIETLY, *read, "-af", IN_TIME, "-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
    with tempfile.TemporaryFile() as messages:
        try:
            running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=messages)
        except OSError as error:
            raise SertoolError(f"ffmpeg does not start: {reason(error)}") from None
        with running:
            if too_much := _copy(running, out):
                return too_much
        messages.seek(0)
        lines = [CONTEXT.sub("", line) for line in messages.read().decode(errors="replace").splitlines()]
    if running.returncode < 0:
        raise SertoolError(f"ffmpeg was ended by signal {-running.returncode} while it decoded {path}")
    if any(NO_SOUND in line for line in lines):
        return "no sound in it"
    is_bad = running.returncode or any(sign in line for line in lines for sign in CUT)
    return next(iter(lines), f"ffmpeg ends with {running.returncode}") if is_bad else ""


def _copy(running: subprocess.Popen[bytes], out: IO[bytes]) -> str:
    """Copy what ffmpeg writes; empty the copy and say why if it takes too much space.

    It is read through a pipe: however this process ends, ffmpeg then cannot write, and ends, too.
    """
    folder, source = tempfile.gettempdir(), running.stdout
    assert source is not None
    try:
        most = SHARE * shutil.disk_usage(folder).free
        while block := source.read(BLOCK_BYTES):
            if (most := most - len(block)) < 0:
                running.kill()
                out.truncate(0)
                return f"decoded, it takes more than half of the space in {folder}: name another folder in TMPDIR"
            out.write(block)
        out.flush()
    except OSError as error:
        running.kill()
        raise SertoolError(f"{folder} for decoded sound: {reason(error)}: name another folder in TMPDIR") from None
    return ""
