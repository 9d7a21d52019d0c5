"""Audio files: what they are, whether they are sound, their samples. The only door to soundfile and soxr.

soundfile reads WAV, FLAC, Ogg (Vorbis, Opus) and MP3 alike, but of a file that was cut off it only says less, so the
containers' own lengths are compared here with what lies on the disk.
"""

import hashlib
import math
import os
import stat
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from sertool.errors import SertoolError
from sertool.files import reason, whole

EXTENSIONS = (".wav", ".flac", ".ogg", ".oga", ".mp3", ".opus", ".aiff", ".aif", ".au", ".w64", ".caf")
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
BLOCK = 1 << 20  # frames read at once: 65 s at 16 kHz
SILENT = 2.0**-11  # a peak of 16 steps of 16 bits: dither and the noise of converters
QUIET = 0.01  # -40 dBFS
FULL_SCALE = 32766 / 32768
CLIPPED_RUN = 3  # neighbouring samples at full scale; one alone is a file that was normalised
TOO_SHORT = 0.05  # seconds
RATES = (4_000, 384_000)


@dataclass
class Look:
    """What a look at one file found; `issue` says why it is unusable, `notes` what is odd about it."""

    sample_rate: int | None = None
    channels: int | None = None
    samples: int | None = None
    digest: str | None = None
    issue: str | None = None
    notes: list[str] = field(default_factory=list)
    detail: str = ""


class Unusable(SertoolError):
    """A clip that cannot be used; `issue` is the manifest's word for why."""

    def __init__(self, issue: str, detail: str) -> None:
        super().__init__(detail)
        self.issue = issue


def look(path: str, check: str = "full") -> Look:
    """Examine one file: its header, or (`full`) every sample. Never raises for a bad file."""
    found = Look()
    try:
        head, byte_count = _head(path)
        if check == "none":
            return found
        with _open(path) as stream:
            found.sample_rate, found.channels, found.samples = stream.samplerate, stream.channels, stream.frames
            _check_header(found)
            _check_length(path, head, byte_count)
            if check == "full":
                _check_samples(stream, found)
    except Unusable as unusable:
        found.issue, found.detail = unusable.issue, str(unusable)
    if found.channels and found.channels > 1:
        found.notes.append("stereo")
    return found


def _head(path: str) -> tuple[bytes, int]:
    """The first bytes of a regular file, and its size."""
    try:
        # Looked at before it is opened: opening a FIFO would wait for ever.
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise Unusable("unreadable", "not a regular file")
        with open(path, "rb") as stream:
            head = stream.read(256)
    except FileNotFoundError:
        raise Unusable("vanished", "no such file" if not os.path.islink(path) else "a link to nothing") from None
    except OSError as error:
        raise Unusable("unreadable", reason(error)) from None
    if not head:
        raise Unusable("empty", "no bytes")
    if head.startswith(LFS_POINTER):
        raise Unusable("lfs-pointer", "a Git LFS pointer, not audio")
    return head, status.st_size


def _open(path: str) -> soundfile.SoundFile:
    try:
        return soundfile.SoundFile(path if os.name == "nt" else os.fsencode(path))
    except (soundfile.LibsndfileError, TypeError, OSError, ValueError) as error:
        text = getattr(error, "error_string", str(error)).strip().rstrip(".")
        raise Unusable("unreadable", text or "not audio that libsndfile knows") from None


def _check_header(found: Look) -> None:
    if not RATES[0] <= found.sample_rate <= RATES[1]:
        raise Unusable("unreadable", f"a sample rate of {found.sample_rate} Hz")
    if found.samples == 0:
        raise Unusable("empty", "a header without samples")


def _check_length(path: str, head: bytes, byte_count: int) -> None:
    """Compare the container's own length with the file's."""
    if head[:4] in (b"RIFF", b"RIFX") and head[8:12] == b"WAVE":
        missing = _riff_missing(path, byte_count, "<" if head[:4] == b"RIFF" else ">")
    elif head[:4] == b"OggS":
        missing = _ogg_missing(path, byte_count)
    else:
        missing = _mp3_missing(head, byte_count)
    if missing:
        raise Unusable("truncated", missing)


def _riff_missing(path: str, byte_count: int, order: str) -> str:
    """What a WAV file lacks of its `data` chunk; 0 and 2^32-1 are what streaming writers leave there."""
    with open(path, "rb") as stream:
        position = 12
        while position + 8 <= byte_count:
            stream.seek(position)
            name, length = struct.unpack(order + "4sI", stream.read(8))
            if name == b"data":
                absent = position + 8 + length - byte_count
                streamed = length in (0, 0xFFFFFFFF, 0x7FFFFFFF, 0xFFFFF000)
                return f"{absent:,} of {length:,} bytes are missing" if absent > 0 and not streamed else ""
            position += 8 + length + (length & 1)
    return ""


def _ogg_missing(path: str, byte_count: int) -> str:
    """Whether an Ogg file stops inside a page, or before the page that is marked as its last."""
    with open(path, "rb") as stream:
        stream.seek(max(0, byte_count - 131_072))  # two pages of the greatest size
        tail = stream.read()
    start = tail.rfind(b"OggS")
    page = tail[start:]
    if start < 0 or len(page) < 27 or len(page) < 27 + page[26]:
        return "the last page is cut"
    if len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]]):
        return "the last page is cut"
    return "" if page[5] & 4 else "the page that ends the stream is missing"


def _mp3_missing(head: bytes, byte_count: int) -> str:
    """Whether an MP3 file is shorter than the byte count in its Xing header, if it has one."""
    for tag in (b"Xing", b"Info"):
        at = head.find(tag)
        if 0 < at <= len(head) - 16 and head[at + 7] & 3 == 3:
            length = int.from_bytes(head[at + 12 : at + 16], "big")
            if length > byte_count:
                return f"{length - byte_count:,} of {length:,} bytes are missing"
    return ""


def _check_samples(stream: soundfile.SoundFile, found: Look) -> None:
    """Decode everything: digest, level, offset, clipping, values that are no numbers."""
    digest = hashlib.sha1(b"%d %d " % (stream.samplerate, stream.channels), usedforsecurity=False)
    read, total, energy, peak, clipped = 0, 0.0, 0.0, 0.0, False
    for block in _blocks(stream):
        digest.update(block)
        values = _as_float(block).reshape(-1)
        high = float(max(values.max(), -values.min()))
        if not np.isfinite(high):
            raise Unusable("not-finite", "values that are no numbers (NaN or infinity)")
        read, total, peak = read + len(block), total + float(values.sum()), max(peak, high)
        energy += float(np.dot(values, values))
        clipped = clipped or (high >= FULL_SCALE and _has_run(np.abs(values) >= FULL_SCALE))
    if read < found.samples:
        raise Unusable("truncated", f"{found.samples - read:,} of {found.samples:,} samples are missing")
    found.digest = digest.hexdigest()[:32]
    if read / stream.samplerate < TOO_SHORT:
        raise Unusable("too-short", f"{read:,} samples, {1000 * read / stream.samplerate:.1f} ms")
    if peak < SILENT:
        raise Unusable("silent", "digital silence" if peak == 0 else f"nothing above {20 * np.log10(peak):.0f} dBFS")
    values_read = read * stream.channels
    marks = {
        "clipped": clipped,
        "quiet": peak < QUIET,
        "dc": abs(total / values_read) > 0.1 * (energy / values_read) ** 0.5,
    }
    found.notes.extend(note for note, applies in marks.items() if applies)


def _blocks(stream: soundfile.SoundFile) -> Iterator[np.ndarray]:
    """The samples as stored, `[frames]` or `[frames, channels]`: int16 where the file is of 16 bits, else float32."""
    kind = "int16" if stream.subtype == "PCM_16" else "float32"
    left = stream.frames
    try:
        while left > 0:
            # Not more than the header claims at once, and never more than a block: a header may claim anything.
            block = stream.read(min(left, BLOCK), dtype=kind)
            if not len(block):
                return
            left -= len(block)
            yield block
    except (soundfile.LibsndfileError, RuntimeError) as error:
        text = getattr(error, "error_string", str(error)).strip().rstrip(".")
        raise Unusable("truncated", f"decoding stops at sample {stream.frames - left:,}: {text}") from None


def _as_float(block: np.ndarray) -> np.ndarray:
    if block.dtype != np.int16:
        return block
    values = block.astype(np.float32)
    values *= 1 / 32768
    return values


def _has_run(at_full_scale: np.ndarray) -> bool:
    """Whether `CLIPPED_RUN` neighbours are set, `[samples]`."""
    run = at_full_scale
    for _ in range(CLIPPED_RUN - 1):
        run = run[1:] & at_full_scale[: len(run) - 1]
    return bool(run.any())


@dataclass(frozen=True)
class Cut:
    """What of a file becomes a waveform: the rate it is brought to, and its channels."""

    rate: int = 16000
    channels: str = "mono"  # the channels' mean; or "left"; or "stereo", where mono is copied


def decode(path: str, cut: Cut, start: float = 0.0, duration: float | None = None) -> np.ndarray:
    """A waveform at the asked rate, float32 `[channels, samples]`; long files pass through in blocks."""
    _head(path)
    with _open(path) as stream:
        if not RATES[0] <= stream.samplerate <= RATES[1]:
            raise Unusable("unreadable", f"a sample rate of {stream.samplerate} Hz")
        first = round(start * stream.samplerate)
        last = stream.frames if duration is None else min(stream.frames, first + round(duration * stream.samplerate))
        if first >= last:
            raise Unusable("empty", "no samples" if not start else f"it ends before {start:g} s")
        if first:
            stream.seek(first)
        wave = _read(stream, last - first, cut)
    if not np.isfinite(wave).all():
        raise Unusable("not-finite", "values that are no numbers (NaN or infinity)")
    return wave


def _read(stream: soundfile.SoundFile, length: int, cut: Cut) -> np.ndarray:
    """`length` frames as `[channels, samples]`, resampled while they are read, into one array of the final size."""
    rows = 2 if cut.channels == "stereo" else 1
    resampler = None if stream.samplerate == cut.rate else _resampler(stream.samplerate, cut.rate, rows)
    wave = np.empty((rows, math.ceil(length * cut.rate / stream.samplerate) + 1), np.float32)
    read = filled = 0
    for block in _blocks(stream):
        piece = _mixed(_as_float(block[: length - read]), cut.channels)
        read += len(piece)
        if resampler:
            piece = resampler(piece, read == length)
        wave[:, filled : filled + len(piece)] = piece.T
        filled += len(piece)
        if read == length:
            return wave[:, :filled]
    raise Unusable("truncated", f"{length - read:,} of {length:,} samples are missing")


def _mixed(block: np.ndarray, channels: str) -> np.ndarray:
    """`[frames]` or `[frames, channels]` as `[frames, 1]` or, for stereo, `[frames, 2]`."""
    if block.ndim == 1:
        block = block[:, None]
    if channels == "stereo":
        return block[:, :2] if block.shape[1] > 1 else np.repeat(block, 2, axis=1)
    return block[:, :1] if channels == "left" or block.shape[1] == 1 else block.mean(axis=1, keepdims=True)


def _resampler(source: int, target: int, channels: int) -> Callable[[np.ndarray, bool], np.ndarray]:
    """A function of `[frames, channels]` and of whether they are the last, giving what is ready at the new rate."""
    import soxr  # only where a rate differs: it takes 40 ms

    stream = soxr.ResampleStream(source, target, channels, dtype="float32", quality="HQ")
    return lambda block, last: stream.resample_chunk(np.ascontiguousarray(block), last=last)


def write(path: Path, samples: np.ndarray, rate: int) -> None:
    """Write float32 `[samples]` or `[samples, channels]` as 16-bit WAV or FLAC, or Ogg Vorbis, by the extension."""
    kind = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}.get(path.suffix.lower())
    if kind is None:
        raise SertoolError(f"cannot write {path}: choose .wav, .flac or .ogg")
    with whole(path) as stream:
        soundfile.write(stream, samples, rate, format=kind[0], subtype=kind[1])
