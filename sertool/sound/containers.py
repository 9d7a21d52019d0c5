"""Check audio files for truncation, comparing the length in their headers with their size.

A decoder that meets the end of a file too early mostly just returns less. WAV, AIFF, Ogg and MP3 can be checked without
decoding; for FLAC, decoding counts the samples.
"""

import struct
from collections.abc import Callable
from functools import cache
from os import SEEK_END
from typing import BinaryIO, NamedTuple

CHUNKED = {  # first bytes: byte order, and the chunk that holds the samples
    b"RIFF": ("<", b"data"), b"RIFX": (">", b"data"), b"RF64": ("<", b"data"), b"FORM": (">", b"SSND"),
}  # fmt: skip
FORMS = (b"WAVE", b"AIFF", b"AIFC")
EXTENSIBLE = 0xFFFE  # the real code is later in the chunk
STREAMED = 0x7FFF0000  # writers to pipes, which cannot know the length, leave 0 or something near 2^31 or 2^32
MOST_CHUNKS = 1000
WINDOW = 1 << 18
TAIL = 131_072  # two Ogg pages of the greatest size
LONGEST_HEADER = 27 + 255  # length of an Ogg page's header
OGG_CODEC = 28  # where a first page of an Ogg file names its codec
OGG_CODECS = (b"OpusHead", b"\x01vorbis", b"\x7fFLAC")  # those that libsndfile decodes
SERIAL = slice(14, 18)  # of the stream's serial number in it
BEGINS, ENDS = 2, 4  # flags of its first and last page
UNCOUNTED_SECONDS = 0.1  # seconds of data after the counted samples that are worth a note
HEADER_OVERCOUNT_FRAMES = 16  # frames by which a header may overstate the count, as some encoders do
ID3_AT_END = 128  # bytes of an ID3v1 tag
BIT_RATES = {  # MPEG 1 and MPEG 2, layer III, in kbit/s
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


class Pcm16Layout(NamedTuple):
    """The position of plain 16-bit samples in a file."""

    rate: int
    channels: int
    offset: int
    frames: int


class LengthCheck(NamedTuple):
    """The result of checking a file.

    `missing` says in words what is cut off; `samples` is the length if only counting frames can tell it; `plain` is the
    position of samples that need no decoder; `is_joined` says that other recordings follow which no decoder would read;
    `goes_on` says that what follows the samples that the file counts may be samples, too; `is_foreign` says that
    libsndfile does not read such a file.
    """

    missing: str = ""
    samples: int | None = None
    plain: Pcm16Layout | None = None
    is_joined: bool = False
    goes_on: bool = False
    is_foreign: bool = False


def check_length(stream: BinaryIO, head: bytes, byte_count: int) -> LengthCheck:
    """Check a file, which begins with `head`, against its size, if libsndfile reads its kind."""
    if head[:4] in CHUNKED and head[8:12] in FORMS:
        return _chunks(stream, head, byte_count)
    if head[:4] == b"OggS" and head[OGG_CODEC:].startswith(OGG_CODECS):
        return _ogg(stream, byte_count)
    if head[:3] == b"ID3" or _frame_header(head[:3]):
        return _mp3(stream, byte_count)
    return LengthCheck(is_foreign=head[:4] != b"fLaC")


def _chunks(stream: BinaryIO, head: bytes, byte_count: int) -> LengthCheck:
    """Check that a WAV or AIFF file has all its samples; an RF64 file has its lengths in the chunk `ds64`.

    A data length of 0 means no samples only if the file's own length is correct; else the writer could not know it.
    """
    order, data_chunk = CHUNKED[head[:4]]
    is_told = struct.unpack_from(order + "I", head, 4)[0] + 8 == byte_count
    position, long, kind = 12, 0, b""
    for _ in range(MOST_CHUNKS):
        stream.seek(position)
        entry = stream.read(8 + 40)
        if len(entry) < 8:
            break
        name, length = struct.unpack_from(order + "4sI", entry)
        if name == b"ds64":
            long = int.from_bytes(entry[16:24], "little")
        if name == b"fmt " and order == "<":
            kind = entry[8 : 8 + length]
        if name == data_chunk:
            is_empty = length == 0 and is_told
            length = length if length < STREAMED else long
            absent = position + 8 + length - byte_count
            missing = f"{absent:,} of {length:,} bytes are missing" if absent > 0 else ""
            plain = _plain(kind, position + 8, 0 if is_empty else length or -absent)
            return LengthCheck(missing, plain=plain, goes_on=length > 0 and _goes_on(stream, kind, -absent))
        position += 8 + length + length % 2
    return LengthCheck("it ends before its samples begin" if position > byte_count - 8 else "")


def _goes_on(stream: BinaryIO, kind: bytes, byte_count: int) -> bool:
    """Whether many bytes follow the samples that a WAV file counts, and are neither zeros nor a chunk."""
    if len(kind) < 16 or byte_count < UNCOUNTED_SECONDS * struct.unpack_from("<I", kind, 8)[0]:
        return False
    stream.seek(-byte_count, SEEK_END)
    rest = stream.read(WINDOW)
    return bool(rest.strip(b"\0")) and not any(_is_chunk(rest[padding : padding + 8], byte_count) for padding in (0, 1))


def _is_chunk(entry: bytes, most: int) -> bool:
    """Whether a name and a length begin a chunk of fewer than `most` bytes, rather than another file."""
    name, length = entry[:4], int.from_bytes(entry[4:], "little")
    return name.isascii() and name.decode().isprintable() and name not in CHUNKED and length < most


def _plain(kind: bytes, offset: int, byte_count: int) -> Pcm16Layout | None:
    """Parse a WAV file's `fmt ` chunk of plain 16-bit samples; return None for any other format."""
    if len(kind) < 16:
        return None
    code, channels, rate, _, width, bits = struct.unpack("<HHIIHH", kind[:16])
    code = int.from_bytes(kind[24:26], "little") if code == EXTENSIBLE else code
    if (code, bits, width) != (1, 16, 2 * channels) or not channels:
        return None
    return Pcm16Layout(rate, channels, offset, byte_count // width)


def _ogg(stream: BinaryIO, byte_count: int) -> LengthCheck:
    """Check that an Ogg file does not end inside a page, before its last page, or in another stream than its first."""
    stream.seek(max(0, byte_count - TAIL))
    tail = stream.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < _page_length(page):
        return LengthCheck("the last page is cut")
    if not page[5] & ENDS:
        return LengthCheck("the page that ends the stream is missing")
    return LengthCheck(is_joined=page[SERIAL] not in _first_streams(_peeker(stream)))


def _page_length(page: bytes) -> int:
    """Return an Ogg page's length by its header; at least the header's, even if that is cut off."""
    return 27 + (page[26] + sum(page[27 : 27 + page[26]]) if len(page) > 26 else 0)


def _first_streams(peek: Callable[[int, int], bytes]) -> set[bytes]:
    """Return the serial numbers of the streams that begin at the start of an Ogg file, one page each."""
    serials: set[bytes] = set()
    position = 0
    while (page := peek(position, LONGEST_HEADER))[:4] == b"OggS" and page[5] & BEGINS:
        serials.add(page[SERIAL])
        position += _page_length(page)
    return serials


def _mp3(stream: BinaryIO, byte_count: int) -> LengthCheck:
    """Count the frames of an MP3 file, and compare them with the count in its Xing or VBRI header, if any."""
    peek = _peeker(stream)
    first = position = _after_tags(peek)
    if peek(first, 4) == b"fLaC":
        return LengthCheck()
    frames, samples = 0, 0
    while True:
        start = _after_tags(peek, position)
        if (header := _frame_header(peek(start, 3))) is None:
            break
        frames, samples, position = frames + 1, header.samples, start + header.byte_count
    if not frames:
        return LengthCheck(is_foreign=True)
    cut, claimed = position > byte_count, _claimed_frames(peek(first, 64))
    if claimed is None:
        return LengthCheck("the last frame is cut" if cut else "", frames * samples)
    absent = claimed - (frames - 1 - cut)  # the frame that holds the header may or may not be counted
    if absent > (not cut) and position >= byte_count:
        return LengthCheck(f"{absent:,} of {claimed:,} frames are missing")
    return LengthCheck(is_joined=claimed > 0 and absent < -HEADER_OVERCOUNT_FRAMES)


def _peeker(stream: BinaryIO) -> Callable[[int, int], bytes]:
    """Return a buffered function (position, count) -> bytes; a memory map would crash if the file shrank."""
    start, window = 0, b""

    def peek(position: int, count: int) -> bytes:
        nonlocal start, window
        if not start <= position <= start + len(window) - count:
            stream.seek(position)
            start, window = position, stream.read(WINDOW)
        return window[position - start : position - start + count]

    return peek


def _after_tags(peek: Callable[[int, int], bytes], position: int = 0) -> int:
    """Return the position after ID3 tags: version 2 with 7-bit lengths, or version 1 in joined files."""
    while len(tag := peek(position, 10)) == 10 and tag[:3] in (b"ID3", b"TAG"):
        high, upper, lower, low = tag[6:]
        length = 10 + (high << 21 | upper << 14 | lower << 7 | low) + 10 * bool(tag[5] & 16)
        position += length if tag[:3] == b"ID3" else ID3_AT_END
    return position


class Mp3Frame(NamedTuple):
    """The size of a frame of MPEG layer III."""

    byte_count: int
    samples: int


@cache
def _frame_header(beginning: bytes) -> Mp3Frame | None:
    """Parse the first three bytes of a frame; return None if they begin none."""
    sync, kind, sizes = beginning.ljust(3, b"\0")
    version, layer = kind >> 3 & 3, kind >> 1 & 3
    bit_rate, rate, padding = sizes >> 4, sizes >> 2 & 3, sizes >> 1 & 1
    if sync != 0xFF or kind < 0xE0 or version == 1 or layer != 1 or bit_rate in (0, 15) or rate == 3:
        return None
    samples = 1152 if version == 3 else 576
    kilobits = BIT_RATES[version or 2][bit_rate - 1]
    return Mp3Frame(samples // 8 * kilobits * 1000 // RATES[version][rate] + padding, samples)


def _claimed_frames(frame: bytes) -> int | None:
    """Return the number of frames by a Xing or VBRI header, or None."""
    for tag, offset in ((b"Xing", 8), (b"Info", 8), (b"VBRI", 14)):
        before, mark, after = frame.partition(tag)
        counts = mark == b"VBRI" or (len(after) > 3 and after[3] & 1)
        if before and mark and counts:
            return int.from_bytes(after[offset - 4 : offset], "big")
    return None
