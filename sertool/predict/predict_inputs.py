"""Turn the arguments of `sertool predict` (files, folders, manifests, shards, piped paths) into requests."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from sertool.errors import SertoolError, UsageError
from sertool.manifests import delimited, formats, manifest, manifest_io, merging, streams
from sertool.manifests.columns import Row
from sertool.manifests.manifest import Table
from sertool.predict import manifest_requests
from sertool.predict.manifest_requests import Keeping
from sertool.predict.request import Models, Request
from sertool.predict.stored_rows import Shelf
from sertool.sound import audio, folders
from sertool.system import talk
from sertool.system.paths import Unlisted, path_text

LISTS = (".txt", ".lst", ".list", ".scp")
WORKBOOKS = (".xlsx", ".xlsm", ".xls")  # the manifest reader refuses these, and says how to convert them
ALL_USUAL = Keeping()
SNIFF_BYTES = 4096  # bytes that suffice to tell what a file or a pipe holds
Dividing = Callable[[Table], tuple[Table, Sequence[Models]]]


class Inputs(NamedTuple):
    """The clips to predict, in order, each as soon as it is known, and the manifests that name some of them."""

    requests: Iterator[Request]
    tables: list[Table]


def opened(
    sources: Sequence[str],
    root: str | None,
    shelf: Shelf,
    *,
    nul: bool = False,
    keeping: Keeping = ALL_USUAL,
    divide: Dividing | None = None,
    root_is_shared: bool = False,
) -> Inputs:
    """Open what was named; manifests are read at once, as the columns of any of them become columns of all rows.

    `root` is where the audio of manifests is now. It is refused if there are none here, unless it `root_is_shared`
    with sources of another call.

    `keeping` says which columns of manifests stay. `divide` adds columns to a manifest, and says which models answer
    for each clip. Rows that the shelf has are read from shards.
    """
    given = [_open_source(source, root, shelf, nul=nul, alone=len(sources) == 1) for source in sources]
    tables = [one for one in given if isinstance(one, Table)]
    if root and not root_is_shared and not tables:
        raise UsageError(f"--root {root}: it is for audio that a manifest names, and there is none")
    tables = merging.with_common_types([manifest_requests.kept(table, keeping, shelf) for table in tables])
    divided = [divide(table) if divide else (table, [None] * len(table)) for table in tables]
    held = [(manifest.without(table, "digest"), models) for table, models in divided]
    names = (name for table, _ in held for name in table.column_names)
    nothing = dict.fromkeys(name for name in names if name not in shelf.columns)
    coming = iter(held)
    by_source = [
        manifest_requests.requests_of(*next(coming), shelf) if isinstance(one, Table) else map(Request, one)
        for one in given
    ]
    requests = (
        replace(request, row=nothing | request.row, source=source)
        for source, own in zip(sources, by_source, strict=True)
        for request in own
    )
    return Inputs(requests, tables)


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
    if not os.path.exists(source) or ending in audio.KINDS:
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
    if found and (unread := folders.unread(others)):
        talk.warn(folders.passed_over(unread))
    if not found:
        table = Path(folder, "manifest.parquet")
        if alone and table.is_file():
            raise UsageError(f"no audio under {folder}; its manifest is {table}")
        talk.warn(folders.no_audio(folder, others))
        yield _of_path(folder) | {"issue": "empty"}


def _from_stdin(root: str | None, *, nul: bool) -> Table | Iterator[Row]:
    """Read a piped manifest to its end, or yield the rows of a piped list of paths line by line."""
    if talk.from_terminal():
        raise UsageError("nothing to read: name files, folders or a manifest, or pipe paths in")
    stream = sys.stdin.buffer
    begun = b"" if nul else _beginning(stream)
    kind = formats.sniff(delimited.without_separator_line(begun))
    if not (nul or begun) or kind != "paths" or begun.startswith(formats.WORKBOOK_BYTES):
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
        if len(begun) >= SNIFF_BYTES or (header.record.strip(b" \t[{") and header.end < len(text)):
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
