"""The manifest in bytes: Parquet, CSV, TSV, JSON Lines, or a list of paths; from files and pipes, to both.

What comes in is told apart by its content, never by its name. Parquet has its footer last, so a reader of a pipe starts
when the producer ends, and a stream that was cut is refused. Paths are absolute in memory and on the wire, in a file
relative to its folder where they lie under it.
"""

import codecs
import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sertool import columns, formats, intake, manifest, talk
from sertool.errors import SertoolError, UsageError
from sertool.files import is_special, reason, whole
from sertool.manifest import Table
from sertool.paths import path_of, path_text, tidied
from sertool.run_folder import PREDICTIONS

EXTENSIONS = {
    ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip
ROW_GROUP = 131_072
BLOCK = 1 << 20  # bytes that are read at once
SHOWN = ("clip", "speaker", "emotion", "duration", "issue", "split", "fold", "predicted", "confidence")
SHOWN_ROWS = 20
LAST_NAME = r"[^/\\]*$"
MOST_FOLDERS = 1000  # that are looked for under --root
STREAMS = ("/dev/fd/", "/dev/std", "/proc/")  # a file may stand behind any of them
UNTIDY = r"^(file:)?//|[^:]//|/\.\.?/"  # one file may be written in many ways, of which the leak guard must know
ABSOLUTE = r"^(/|[A-Za-z]:[\\/]|\\\\|file://)"


def read(source: str, root: str | None = None) -> Table:
    """The manifest in a file or, for `-`, on stdin, with absolute paths."""
    return decoded(data(source), source, root)


def data(source: str) -> pa.Buffer:
    """The bytes of a file or, for `-`, of stdin."""
    if source == "-" and talk.from_terminal():
        raise UsageError("nothing to read: name a manifest or pipe one in")
    try:
        if source == "-":
            return _refuse_spreadsheets(_held(sys.stdin.buffer), named(source))
        with open(source, "rb") as stream:
            return _refuse_spreadsheets(_held(stream), source)
    except FileNotFoundError:
        raise UsageError(f"no such file: {source}") from None
    except IsADirectoryError:
        inside = [path for name in ("manifest.parquet", PREDICTIONS) if (path := Path(source, name)).is_file()]
        raise UsageError(f"{source} is a folder, not a manifest{f': name {inside[0]}' if inside else ''}") from None
    except OSError as error:
        raise SertoolError(f"cannot read {source}: {reason(error)}") from None


def _held(stream: BinaryIO) -> pa.Buffer:
    """All bytes of a stream in Arrow's own memory. A thread of Arrow that lets go of Python's while Python ends brings
    the process down."""
    held = pa.BufferOutputStream()
    while block := stream.read(BLOCK):
        held.write(block)
    return held.getvalue()


def _refuse_spreadsheets(held: pa.Buffer, where: str) -> pa.Buffer:
    """Refuse what spreadsheets save unless they are asked for CSV in UTF-8."""
    if bytes(held[:4]).startswith(formats.WORKBOOKS):
        raise SertoolError(f"{where}: an Excel workbook, or another archive: save it as CSV UTF-8")
    if bytes(held[:2]) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise SertoolError(f"{where}: UTF-16 text, as spreadsheets call Unicode: save it as UTF-8")
    return held


def decoded(held: pa.Buffer, source: str, root: str | None = None) -> Table:
    """Bytes as a manifest, with absolute paths."""
    where = named(source)
    listed = kind_of(held) == "paths"
    folder = os.getcwd() if listed or is_stream(source) else os.path.dirname(manifest.absolute(source))
    table = rebased(intake.check(parse(held, where), where), folder)
    return moved(table, root) if root else table


def named(source: str) -> str:
    """What a source is called where something is said of it."""
    return "stdin" if source == "-" else source


def is_stream(source: str) -> bool:
    """Whether it is stdin or a pipe, whose paths are relative to the working folder: that of its name says nothing."""
    return source == "-" or is_special(Path(source)) or manifest.absolute(source).startswith(STREAMS)


def load(source: str) -> Table:
    """Any table in a file, as it is: a `--table` need not be a manifest."""
    held = data(source)
    return parse(held, source, formats.delimited_kind(bytes(held[:4096])))


def kind_of(held: pa.Buffer, *, nul: bool = False) -> str:
    return "paths" if nul else formats.sniff(bytes(held[:4096]))


def parse(held: pa.Buffer, where: str, otherwise: str = "paths", loose: Collection[str] = ()) -> Table:
    """Bytes as a table, not yet checked for being a manifest; `otherwise` is what they are if they do not say.

    `loose` are columns of ours that may hold anything.
    """
    if not held.size:
        raise SertoolError(f"{where}: empty input; the command that should have written it may have failed")
    said = kind_of(held)
    kind = otherwise if said == "paths" else said
    return pa.table({"path": paths(held, where)}) if kind == "paths" else formats.parse(held, kind, where, loose)


def paths(held: pa.Buffer, where: str, *, nul: bool = False) -> list[str]:
    """A list of paths, one a line, or each ended by NUL."""
    text = bytes(held)
    end = b"\r" if b"\n" not in text else b"\n"
    lines = text.split(b"\0") if nul else [line.rstrip(b"\r") for line in text.split(end)]
    lines = [line for line in lines if line]
    if not lines or any(b"\0" in line for line in lines):
        raise SertoolError(f"{where}: neither a manifest (Parquet, CSV, JSON Lines) nor a list of paths")
    return [os.fsdecode(line) for line in lines]


def existing(held: pa.Buffer, source: str, *, nul: bool = False) -> list[str]:
    """A list of paths, unless none of them is there: then it is a list of something else."""
    where = named(source)
    listed = paths(held, where, nul=nul)
    if not any(map(os.path.lexists, listed)):
        example = listed[0] if len(listed[0]) < 80 else f"{listed[0][:77]}..."
        raise SertoolError(
            f"{where}: no manifest (Parquet, CSV, JSON Lines), and no list of paths: no such file {example!r}"
        )
    return listed


# Writing.


def format_for(out: str | None, asked: str | None) -> str:
    """The format of a manifest: as asked, else by the extension of `-o`; a table on a terminal, Parquet in a pipe."""
    if asked == "table" and out not in (None, "-"):
        raise UsageError(f"-f table is for terminals: leave out -o {out}, or choose another format")
    return named_format(out, asked, EXTENSIONS) or ("table" if talk.to_terminal() else "parquet")


def named_format(out: str | None, asked: str | None, known: Mapping[str, str]) -> str | None:
    """The format asked for, else by the extension of `-o`, of those that are `known`; None where nobody names one."""
    to_stdout = out in (None, "-")
    if asked == "parquet" and to_stdout and talk.to_terminal():
        raise UsageError("Parquet is no text for a terminal: name a file with -o, or pipe it")
    if asked or to_stdout:
        return asked
    suffix = Path(out).suffix.lower()
    if suffix not in known:
        raise UsageError(f"-o {out}: the extension says no format; choose {', '.join(known)} or give -f")
    return known[suffix]


def write(table: Table, out: str | None, kind: str) -> None:
    """Write a manifest to a file, whole or not at all, or to stdout."""
    if kind == "table":
        _show(table)
    elif out in (None, "-"):
        formats.encode(_pieces(table), sys.stdout.buffer, kind)
        sys.stdout.buffer.flush()
    else:
        with whole(Path(out)) as stream:
            formats.encode(_pieces(table, folder_of(out)), stream, kind)


def folder_of(out: str | None) -> str | None:
    """What paths become relative to in what is written there; nothing in a pipe, whose name readers need not know."""
    return None if out is None or is_stream(out) else os.path.dirname(manifest.absolute(out))


def _pieces(table: Table, folder: str | None = None) -> Iterator[Table]:
    """A table some rows at a time, at least once; `folder` is what its paths become relative to."""
    for start in range(0, max(len(table), 1), ROW_GROUP):
        piece = table.slice(start, ROW_GROUP).combine_chunks()
        yield relative(piece, folder) if folder else piece


def holds(out: str | None, table: Table, kind: str) -> bool:
    """Whether a file holds these rows already; how a Parquet file says it was made may differ."""
    if out in (None, "-") or not os.path.isfile(out) or not os.path.getsize(out):
        return False
    folder = os.path.dirname(manifest.absolute(out))
    try:
        if kind == "parquet":
            return _same_rows(out, table, folder)
        with open(out, "rb") as stream:
            formats.encode(_pieces(table, folder), _Comparing(stream), kind)
            return not stream.read(1)
    except (SertoolError, pa.ArrowException, OSError, ValueError):
        return False


def _same_rows(out: str, table: Table, folder: str) -> bool:
    """Row group by row group, so that the file is never held as a whole."""
    with pa.OSFile(os.fsencode(out)) as file, pq.ParquetFile(file) as held:  # a name may have any bytes
        if held.metadata.num_rows != len(table) or held.schema_arrow != table.schema:
            return False
        start = 0
        for group in range(held.num_row_groups):
            part = rebased(held.read_row_group(group), folder)
            if not part.equals(table.slice(start, len(part))):
                return False
            start += len(part)
    return True


class _Comparing(io.RawIOBase):
    """A stream that takes only what another one holds."""

    def __init__(self, held: BinaryIO) -> None:
        self.held = held

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        piece = bytes(piece)
        if self.held.read(len(piece)) != piece:
            raise ValueError("it holds something else")
        return len(piece)


def _show(table: Table) -> None:
    """The first rows and the columns that people look for first, as a table on stdout."""
    names = [name for name in SHOWN if name in table.column_names] or table.column_names[:6]
    head = table.slice(0, SHOWN_ROWS).select(names).to_pydict()
    numeric = " ".join(name for name in names if pa.types.is_floating(table.schema.field(name).type))
    body = zip(*([_cell(value) for value in head[name]] for name in names), strict=True)
    rest = len(table) - SHOWN_ROWS
    talk.table(names, body, right=numeric)
    if rest > 0:
        talk.say(f"... and {rest:,} more clips; -f parquet > clips.parquet keeps all {len(table.column_names)} columns")


def _cell(value: object) -> object:
    return f"{value:.2f}" if isinstance(value, float) else value


# Where the audio lies.


def rebased(table: Table, folder: str) -> Table:
    """Relative paths made absolute: they are relative to `folder`."""
    return _map_paths(table, lambda paths: _absolute(paths, folder))


def relative(table: Table, folder: str) -> Table:
    """Paths under `folder` made relative to it, with slashes on every system."""
    return _map_paths(table, lambda paths: _without(paths, folder))


def moved(table: Table, root: str) -> Table:
    """The audio looked for under `root`: some end of its path must be there. What lay elsewhere stays where it was."""
    column = table.column("path").drop_null()
    if not len(column):
        return table
    before = _place_before(column, root)
    if before is None:
        raise UsageError(f"--root {root}: no end of {path_of(column[0].as_py())} is there")
    made = _map_paths(table, partial(_rerooted, before=before, root=manifest.absolute(root)), "path")
    stayed = pc.equal(made.column("path"), table.column("path"))
    if left := pc.sum(pc.fill_null(stayed, False)).as_py():
        talk.say(f"--root {root}: {talk.counted(left, 'clip')} lay outside of {before}: looked for where they were")
    return made


def _place_before(paths: pa.ChunkedArray, root: str) -> str | None:
    """What `root` stands for: of the folders above the audio, that of which most folders of audio are found under it.

    A folder is found where one of its files is.
    """
    folders = pc.replace_substring_regex(paths, LAST_NAME, "").combine_chunks().dictionary_encode()
    codes = folders.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(folders.dictionary) + 1))
    votes, listing = Counter[str](), cache(_listing)
    for number in np.linspace(0, len(ends) - 2, min(len(ends) - 1, MOST_FOLDERS)).astype(int):
        held = [path_of(text) for text in paths.take(order[ends[number] : ends[number + 1]]).to_pylist()]
        parts, names = Path(held[0]).parent.parts, {os.path.basename(path) for path in held}
        for cut in range(1, len(parts) + 1):
            votes[os.path.join(*parts[:cut])] += not names.isdisjoint(listing(os.path.join(root, *parts[cut:])))
    own = os.path.basename(manifest.absolute(root))
    best = max(votes, key=lambda place: (votes[place], os.path.basename(place) == own, -len(place)), default=None)
    return best if best and votes[best] else None


def _listing(folder: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


def _rerooted(paths: pa.Array, before: str, root: str) -> pa.Array:
    made = _absolute(_without(paths, before), root)
    odd = pc.starts_with(paths, "file://")  # names that are not UTF-8
    if not pc.any(odd).as_py():
        return made
    rows = zip(paths.to_pylist(), made.to_pylist(), odd.to_pylist(), strict=True)
    return pa.array([_moved(text, before, root) if is_odd else path for text, path, is_odd in rows], pa.string())


def _moved(text: str, before: str, root: str) -> str:
    path = Path(path_of(text))
    return path_text(os.path.join(root, path.relative_to(before))) if path.is_relative_to(before) else text


def _map_paths(table: Table, change: Callable[[pa.Array], pa.Array], named: str | None = None) -> Table:
    """The table with its paths changed, chunk by chunk: there are many, and long ones."""
    shards = (f"{feature}_shard" for feature in columns.features(table.column_names))
    wanted = {named} if named else {"path", *shards}
    for index, field in enumerate(table.schema):
        if field.name in wanted and pa.types.is_string(field.type):
            chunks = [change(chunk) for chunk in table.column(index).chunks]
            table = table.set_column(index, field, pa.chunked_array(chunks, pa.string()))
    return table


def _absolute(paths: pa.Array, folder: str) -> pa.Array:
    absolute = pc.match_substring_regex(paths, ABSOLUTE)
    if pc.all(absolute).as_py() is False:
        paths = pc.if_else(absolute, paths, _within(paths, folder))
    odd = pc.fill_null(pc.match_substring_regex(paths, UNTIDY), False)
    if not pc.any(odd).as_py():
        return paths
    return pc.replace_with_mask(paths, odd, pa.array(map(tidied, paths.filter(odd).to_pylist()), pa.string()))


def _within(paths: pa.Array, folder: str) -> pa.Array:
    """Paths of files of a folder, from where the folder is seen."""
    if path_text(folder) != folder:  # its name is not UTF-8
        made = [None if text is None else path_text(os.path.join(folder, text)) for text in paths.to_pylist()]
        return pa.array(made, pa.string())
    plain = pc.replace_substring_regex(paths, r"^(\./+)+", "")  # as `find` writes them, at once: there may be many
    return pc.binary_join_element_wise(pa.scalar(folder.rstrip(os.sep)), plain, os.sep)


def _without(paths: pa.Array, folder: str) -> pa.Array:
    if path_text(folder) != folder:  # its name is not UTF-8: URIs stay as they are
        return paths
    prefix = folder.rstrip(os.sep) + os.sep
    short = pc.utf8_slice_codeunits(paths, len(prefix))
    return pc.if_else(pc.starts_with(paths, prefix), pc.replace_substring(short, os.sep, "/"), paths)
