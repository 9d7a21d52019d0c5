"""Turn the arguments of `sertool predict` (files, folders, manifests, shards, piped paths) into requests."""

import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sertool import effects
from sertool.errors import SertoolError, UsageError
from sertool.manifests import columns, delimited, formats, manifest, manifest_io, merging, streams
from sertool.manifests.columns import Row
from sertool.manifests.manifest import Table
from sertool.predict.stored_rows import ReadRows, Shelf
from sertool.sound import audio, folders
from sertool.system import talk
from sertool.system.files import listed
from sertool.system.paths import Unlisted, path_text

KEPT = (
    "clip", "path", "start", "duration", "corpus", "speaker", "sex", "age", "race", "ethnicity", "language", "emotion",
    "label", "intensity", "sentence", "style", "split", "fold", "parent", "issue", "digest",
)  # fmt: skip
DIGITS = 4  # most digits of a channel number: longer numbers are ids
OF_ANSWERS = ("end", "channel", "top", "protocol", "adapted")  # not manifest columns, but columns of answers
VOTES = "votes_voice_"  # listeners' votes, which eval scores
Models = Sequence[int] | None  # the numbers of the models that answer for a clip; None is all of them
Telling = Callable[[Table], tuple[Table, Sequence[Models]]]
Some = TypeVar("Some")
LISTS = (".txt", ".lst", ".list", ".scp")
WORKBOOKS = (".xlsx", ".xlsm", ".xls")  # the manifest reader refuses these, and says how to convert them
SNIFF_BYTES = 4096  # bytes that suffice to tell what a file or a pipe holds
MOMENT = 0.05  # seconds


@dataclass(frozen=True)
class Request:
    """A clip to predict, or a part of it: its row as far as it is known, and data that does not belong in the row."""

    row: Row
    stored: ReadRows | None = None  # reads its features from shards
    models: Models = None
    voice: str | None = None  # who speaks
    apart: bool = False  # whether each of its channels is a voice of its own
    answers_any_channel: bool = False  # whether its single channel stands for any that is asked for
    place: int = 0  # position among the clips
    source: str = ""  # what was named: its file, its folder, or the table or list that it stands in

    def with_columns(self, **more: Any) -> "Request":
        """Return the request with more columns in its row."""
        return replace(self, row=self.row | more)

    @property
    def who(self) -> str:
        """The speaker's name, with the channel if each channel is a voice of its own."""
        channel = f" on channel {self.row['channel']}" if self.apart and self.row.get("channel") else ""
        return f"{self.voice or ''}{channel}"


def requests_of(
    sources: Sequence[str],
    root: str | None,
    shelf: Shelf,
    *,
    nul: bool,
    also: str | None = None,
    told: Telling | None = None,
    root_is_shared: bool = False,
) -> Iterator[Request]:
    """Yield each clip to predict, in order, as soon as it is known.

    `root` is where the audio of manifests is now. It is refused if there are none here, unless it `root_is_shared`
    with sources of another call.

    `also` is one more manifest column to keep. `told` adds columns to a manifest, and says which models answer for each
    clip. Rows that the shelf has are read from shards. Manifests are read before anything is yielded, as the columns of
    any of them become columns of all rows.
    """
    given = [_open_source(source, root, shelf, nul=nul, alone=len(sources) == 1) for source in sources]
    if root and not root_is_shared and not any(isinstance(one, Table) for one in given):
        raise UsageError(f"--root {root}: it is for audio that a manifest names, and there is none")
    kept = merging.with_common_types([_kept(one, also, shelf) for one in given if isinstance(one, Table)])
    held = [told(table) if told else (table, [None] * len(table)) for table in kept]
    held = [(manifest.without(table, "digest"), models) for table, models in held]
    names = (name for table, _ in held for name in table.column_names)
    nothing = dict.fromkeys(name for name in names if name not in shelf.columns)
    coming = iter(held)
    for source, one in zip(sources, given, strict=True):
        requests = _of_table(*next(coming), shelf) if isinstance(one, Table) else map(Request, one)
        yield from (replace(request, row=nothing | request.row, source=source) for request in requests)


def of_known_length(requests: Iterable[Request]) -> Iterator[Request]:
    """Yield requests for formats that need end times; refuse shards alone, which do not hold durations."""
    for request in requests:
        if request.stored and not request.row.get("issue") and request.row.get("duration") is None:
            lack = f"{request.row['clip']}: shards do not say how long clips are"
            raise UsageError(f"{lack}: name the audio, or a manifest with their duration")
        yield request


def of_one_file(requests: Iterable[Request]) -> Iterator[Request]:
    """Refuse requests for more than one file, before any work: subtitles and label tracks describe one."""
    held = [*requests]
    named = dict(streams.recording(request.row) for request in held)
    if len(named) > 1:
        first, second, *_ = named.values()
        are = "subtitles are of one file, as label tracks are"
        raise UsageError(
            f"{are}, and after {first} comes {second}: name one, or give -o FOLDER/, which gets a file for each"
        )
    return iter(held)


def _open_source(source: str, root: str | None, shelf: Shelf, *, nul: bool, alone: bool) -> Table | Iterator[Row]:
    """Read a manifest, or the rows of any other source."""
    if source == "-":
        return _from_stdin(root, nul=nul)
    if os.path.isdir(source):
        return _from_folder(source, alone=alone)
    if source.endswith(".safetensors") and os.path.isfile(source):
        return shelf.of_shard(source)
    if not _is_manifest_or_list(source):
        return iter([_of_path(source)])
    held = manifest_io.read_bytes(source)
    if held.size and manifest_io.kind_of(held) == "paths":
        return _listed(manifest_io.existing_paths(held, source))
    return manifest_io.decode(held, source, root)


def _is_manifest_or_list(source: str) -> bool:
    """Whether a source is a manifest or a list of paths, by its name or content, rather than audio; a pipe is."""
    ending = Path(source).suffix.lower()
    if not os.path.exists(source) or ending in audio.EXTENSIONS:
        return False
    if not os.path.isfile(source) or ending in (*manifest_io.EXTENSIONS, *WORKBOOKS):
        return True
    with suppress(OSError), open(source, "rb") as stream:
        head = stream.read(SNIFF_BYTES)
        if head.startswith(b"PAR1") or b"\0" in head:
            return head.startswith(b"PAR1")
        return formats.sniff(head) != "paths" or ending in LISTS or _is_list(source)
    return False


def _is_list(source: str) -> bool:
    """Whether a text file without a telling extension lists an existing path, rather than being any text."""
    with suppress(SertoolError):
        return bool(manifest_io.existing_paths(manifest_io.read_bytes(source), source))
    return False


def _of_path(path: str | Path) -> Row:
    text = path_text(path)
    return {"clip": text, "path": text}


def _from_folder(folder: str, *, alone: bool = False) -> Iterator[Row]:
    """Yield a row for each audio file under a folder.

    A folder without audio gets a row that says so, and so does each folder within it that cannot be listed. If it is
    the only source (`alone`), it is refused if it cannot be listed itself, or has a manifest and no audio.
    """
    failed: list[Unlisted] = []
    others: list[Path] = []
    found = False
    try:
        for path in folders.audio_under(Path(folder), failed, others):
            found = True
            yield _of_path(path)
    except SertoolError as error:
        if alone:
            raise
        talk.warn(str(error))
        yield _of_path(folder) | {"issue": "unreadable"}
        return
    for closed, why in failed:
        talk.warn(f"cannot look into {closed}: {why}")
        yield _of_path(closed) | {"issue": "unreadable"}
    if unread := folders.unread(others):
        talk.warn(audio.passed_over(unread))
    if not found:
        table = Path(folder, "manifest.parquet")
        if alone and table.is_file():
            raise UsageError(f"no audio under {folder}; its manifest is {table}")
        talk.warn(f"no audio under {folder} ({' '.join(audio.EXTENSIONS)})")
        yield _of_path(folder) | {"issue": "empty"}


def _kept(table: Table, also: str | None, shelf: Shelf) -> Table:
    """Return the columns of a manifest that predictions need, and its clips whose audio or shard rows exist."""
    _require_columns(table, also)
    table = _with_channels(table)
    places = () if "channel" in table.column_names else shelf.of_manifest(table)  # shards are of all channels
    table = _answerable(table, places).select(_columns_kept(table, (*KEPT, "channel", also, *places)))
    return table if any(manifest.column(table, "parent")) else manifest.without(table, "parent")


def _require_columns(table: Table, also: str | None) -> None:
    names = table.column_names
    if "path" not in names:
        raise UsageError(
            f"a manifest without the column path, which says where the audio is; it has {listed(names, 20)}"
        )
    if also is not None and also not in names:
        raise UsageError(f"no column {also} in the manifest; it has {listed(names, 20)}")


def _answerable(table: Table, places: Sequence[str]) -> Table:
    """Keep the clips whose audio exists, or whose rows lie in shards by all columns of `places`."""
    made = np.array([not effects.needs_rendering(each) for each in manifest.column(table, "augmentation")], bool)
    if places:
        made |= ~np.any([manifest.lacking(table, name) for name in places], axis=0)
    if missing := int((~made).sum()):
        talk.warn(
            f"{missing:,} augmented copies are left out, whose sound is not made yet: "
            "sertool augment --write makes files of them"
        )
    return manifest.keep(table, made)


def _columns_kept(table: Table, wanted: Sequence[str | None]) -> list[str]:
    """Return the wanted columns, the listeners' votes, and the user's own columns of words or numbers."""
    others = [name for name in table.column_names if not (name in OF_ANSWERS or columns.kind_of(name))]
    plain = {name for name in others if manifest.is_of_words(table, name)}
    if lost := [name for name in others if name not in plain]:
        talk.warn(f"left out, for each cell holds more than a word or a number: {listed(lost)}")
    return [name for name in table.column_names if name in wanted or name.startswith(VOTES) or name in plain]


def _with_channels(table: Table) -> Table:
    """Return the table with `channel` as whole numbers from 1.

    If the column holds words, or numbers too large for channels, it means something else and is dropped.
    """
    named = manifest.codes(table, "channel")
    words = [text.removesuffix(".0") for text in named.values]
    if not words or not all(word.isdecimal() and len(word) <= DIGITS for word in words):
        return manifest.without(table, "channel")
    if 0 in (numbers := [*map(int, words)]):
        raise UsageError("the column channel holds 0, and channels are counted from 1: count so, or leave it out")
    return manifest.with_column(table, "channel", [None if place < 0 else numbers[place] for place in named.index])


def _of_table(table: Table, models: Sequence[Models], shelf: Shelf) -> Iterator[Request]:
    rows = (row for batch in table.to_batches(max_chunksize=1024) for row in batch.to_pylist())
    for row, own in zip(rows, models, strict=True):
        stored = shelf.taken(row)  # which takes these columns out of the row
        request = Request(row, stored, own)
        is_there = row["path"] or request.stored
        yield request if is_there else request.with_columns(path="", issue=row.get("issue") or "vanished")


def _from_stdin(root: str | None, *, nul: bool) -> Table | Iterator[Row]:
    """Read a piped manifest to its end, or yield the rows of a piped list of paths line by line."""
    if talk.from_terminal():
        raise UsageError("nothing to read: name files, folders or a manifest, or pipe paths in")
    stream = sys.stdin.buffer
    begun = b"" if nul else _beginning(stream)
    kind = formats.sniff(delimited.without_separator_line(begun))
    if not (nul or begun) or kind != "paths" or begun.startswith(formats.WORKBOOKS):
        return manifest_io.decode(manifest_io.read_bytes("-", begun), "-", root)
    if b"\0" in begun:
        raise UsageError(
            "stdin has no manifest, nor a path on each line: paths that NUL ends need -0, and audio has to be in files"
        )
    pieces = chain([begun.removeprefix(delimited.BOM)], _pieces(stream))
    return _listed(map(os.fsdecode, _lines(pieces, b"\0" if nul else b"\n")))


def _beginning(stream: Any) -> bytes:
    """Read as much of a stream as tells its format: a line with more than JSON's brackets; it may come slowly."""
    begun = b""
    for piece in _pieces(stream):
        begun += piece
        text = delimited.without_separator_line(begun)
        header = delimited.header_of(text)
        if len(begun) >= SNIFF_BYTES or (header.line.strip(b" \t[{") and header.end < len(text)):
            break
    return begun


def _pieces(stream: Any) -> Iterator[bytes]:
    """Yield the bytes of a stream as soon as they arrive."""
    return iter(partial(stream.read1, 65_536), b"")


def _listed(paths: Iterable[str]) -> Iterator[Row]:
    for place, path in enumerate(paths):
        if place == 0 and manifest_io.is_header(path):
            continue
        yield from _from_folder(path) if os.path.isdir(path) else (_of_path(path),)


def _lines(pieces: Iterable[bytes], end: bytes) -> Iterator[bytes]:
    """Yield the lines of a stream that end in `end`, each as soon as it is complete.

    Lines that end in LF may have CR before it. If there is no LF at all, CR ends lines, which is known only at the end
    of the input.
    """
    held, odd, ended = b"", b"\r" if end == b"\n" else b"", False
    for piece in pieces:
        *whole, held = (held + piece).split(end)
        ended = ended or bool(whole)
        yield from (part.rstrip(odd) for part in whole if part.strip())
    rest = held.split(b"\r") if odd and not ended else [held]
    yield from (part.rstrip(odd) for part in rest if part.strip())


@dataclass
class _End:
    """Marks the end of the input, or the error that ended it."""

    error: BaseException | None = None


def gathered(coming: Iterable[Some], most: int, looking: Any) -> Iterator[list[Some]]:
    """Yield batches of the items that are there already, up to `most` each.

    An empty batch is yielded whenever nothing came for a moment, so that the caller can give out finished results. A
    thread fetches the items, and holds the lock `looking` while it waits for the next one.
    """
    waiting: queue.Queue[Any] = queue.Queue(4 * most)

    def fill() -> None:
        try:
            for one in _each(coming, looking):
                waiting.put(one)
            waiting.put(_End())
        except BaseException as error:  # raised again by the reader
            waiting.put(_End(error))

    threading.Thread(target=fill, daemon=True).start()
    end: _End | None = None
    while end is None:
        batch: list[Any] = []
        with suppress(queue.Empty):
            batch.append(waiting.get(timeout=MOMENT))
            while len(batch) < most and not isinstance(batch[-1], _End):
                batch.append(waiting.get_nowait())
        end = batch.pop() if batch and isinstance(batch[-1], _End) else None
        yield batch
    if end.error is not None:
        raise end.error


def _each(coming: Iterable[Some], looking: Any) -> Iterator[Some]:
    """Yield items one by one, holding the lock while waiting for the next one."""
    items = iter(coming)
    while True:
        with looking:
            try:
                one = next(items)
            except StopIteration:
                return
        yield one
