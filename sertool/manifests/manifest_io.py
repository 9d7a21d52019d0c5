"""Read and write manifests: Parquet, CSV, TSV, JSON Lines, or a list of paths; files and pipes.

The format of input is detected by content, never by name. Parquet has its footer at the end, so a reader of a pipe
starts when the producer ends, and a truncated stream is refused. Paths are absolute in memory and in pipes. In a file,
those under its folder are relative to it.
"""

import codecs
import io
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from sertool.errors import SertoolError, UsageError, reason
from sertool.manifests import columns, delimited, formats, intake, manifest_paths
from sertool.manifests.manifest import Table
from sertool.manifests.run_folder import PREDICTIONS
from sertool.system import talk
from sertool.system.files import atomic_write, is_special
from sertool.system.paths import absolute

EXTENSIONS = {
    ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip
ROW_GROUP = 131_072
BLOCK_BYTES = 1 << 20  # bytes read at once
SHOWN = ("clip", "speaker", "emotion", "duration", "issue", "split", "fold", "predicted", "confidence")
SHOWN_ROWS = 20
STREAMS = ("/dev/fd/", "/dev/std", "/proc/")  # these may stand for a file of any format


def read(source: str, root: str | None = None) -> Table:
    """Read the manifest in a file or, for `-`, on stdin, with absolute paths."""
    return decode(read_bytes(source), source, root)


def read_bytes(source: str, begun: bytes = b"") -> pa.Buffer:
    """Read a file or, for `-`, stdin; `begun` holds bytes that were read from stdin already."""
    if source == "-" and talk.from_terminal():
        raise UsageError("nothing to read: name a manifest or pipe one in")
    try:
        if source == "-":
            return _of_spreadsheets(_read_all(sys.stdin.buffer, begun), source_name(source))
        with open(source, "rb") as stream:
            return _of_spreadsheets(_read_all(stream), source)
    except FileNotFoundError:
        raise UsageError(f"no such file: {source}") from None
    except IsADirectoryError:
        inside = [path for name in ("manifest.parquet", PREDICTIONS) if (path := Path(source, name)).is_file()]
        remedy = f"name {inside[0]}" if inside else f"`sertool index {source}` makes one of audio in it"
        raise UsageError(f"{source} is a folder, not a manifest: {remedy}") from None
    except OSError as error:
        raise SertoolError(f"cannot read {source}: {reason(error)}") from None


def _read_all(stream: BinaryIO, begun: bytes = b"") -> pa.Buffer:
    """Read a stream into Arrow's own memory, after the bytes already read from it.

    Arrow's reader threads may release Python memory while the interpreter shuts down, which crashes the process.
    """
    sink = pa.BufferOutputStream()
    sink.write(begun)
    while block := stream.read(BLOCK_BYTES):
        sink.write(block)
    return sink.getvalue()


def _of_spreadsheets(data: pa.Buffer, where: str) -> pa.Buffer:
    """Drop a spreadsheet's separator line; raise SertoolError for Excel workbooks and UTF-16 text."""
    if bytes(data[:4]).startswith(formats.WORKBOOK_BYTES):
        raise SertoolError(f"{where}: an Excel workbook, or another archive: save it as CSV UTF-8")
    if bytes(data[:2]) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise SertoolError(f"{where}: UTF-16 text, as spreadsheets call Unicode: save it as UTF-8")
    return delimited.without_separator_line(data)


def decode(data: pa.Buffer, source: str, root: str | None = None) -> Table:
    """Decode bytes to a manifest with absolute paths."""
    where = source_name(source)
    is_list = kind_of(data) == "paths"
    folder = os.getcwd() if is_list or is_stream(source) else os.path.dirname(absolute(source))
    table = manifest_paths.rebased(intake.check(parse(data, where), where), folder)
    return manifest_paths.moved(table, root) if root else table


def source_name(source: str) -> str:
    """Return the name of a source for messages."""
    return "stdin" if source == "-" else source


def is_stream(source: str) -> bool:
    """Whether a source is stdin or a pipe, whose paths are relative to the working folder, not to its name's."""
    return source == "-" or is_special(Path(source)) or absolute(source).startswith(STREAMS)


def read_table(source: str) -> Table:
    """Read any table in a file as it is: a `--table` need not be a manifest."""
    data = read_bytes(source)
    return parse(data, source, delimited.header_of(data).likely_kind())


def kind_of(data: pa.Buffer, *, nul: bool = False) -> str:
    return "paths" if nul else formats.sniff(data)


def parse(data: pa.Buffer, where: str, otherwise: str = "paths", loose: Collection[str] = ()) -> Table:
    """Decode bytes to a table, without checking that it is a manifest.

    `otherwise` is the format if the content does not tell, and `loose` are columns of ours that may hold anything.
    """
    if not data.size:
        raise SertoolError(f"{where}: empty input; the command that should have written it may have failed")
    sniffed = kind_of(data)
    kind = otherwise if sniffed == "paths" else sniffed
    return pa.table({"path": parse_paths(data, where)}) if kind == "paths" else formats.parse(data, kind, where, loose)


def parse_paths(data: pa.Buffer, where: str, *, nul: bool = False) -> list[str]:
    """Parse a list of paths, one per line or each ended by NUL."""
    text = bytes(data) if nul else bytes(data).removeprefix(codecs.BOM_UTF8)
    end = b"\r" if b"\n" not in text else b"\n"
    lines = text.split(b"\0") if nul else [line.rstrip(b"\r") for line in text.split(end)]
    lines = [line for line in lines if line]
    if not lines or any(b"\0" in line for line in lines):
        raise SertoolError(f"{where}: neither a manifest (Parquet, CSV, JSON Lines) nor a list of paths")
    paths = [os.fsdecode(line) for line in lines]
    return paths[1:] if paths[1:] and not nul and is_header(paths[0]) else paths


def is_header(path: str) -> bool:
    """Whether the first of several paths is really a column name."""
    return path.strip().lower() in columns.PATH_NAMES and not os.path.lexists(path)


def existing_paths(data: pa.Buffer, source: str, *, nul: bool = False) -> list[str]:
    """Parse a list of paths; if none of them exists, it is not a list of paths and an error."""
    where = source_name(source)
    paths = parse_paths(data, where, nul=nul)
    if not any(map(os.path.lexists, paths)):
        if os.path.lexists(paths[0].partition(" ")[2]):
            raise SertoolError(f"{where}: ids stand before paths, as in Kaldi's wav.scp: `cut -d' ' -f2-` removes them")
        example = paths[0] if len(paths[0]) < 80 else f"{paths[0][:77]}..."
        raise SertoolError(
            f"{where}: no manifest (Parquet, CSV, JSON Lines), and no list of paths: no such file {example!r}"
        )
    return paths


# Writing.


def format_for(out: str | None, requested: str | None) -> str:
    """Return the format to write: as requested, else by `-o`'s extension.

    Without either it is a table on a terminal, and Parquet in a pipe.
    """
    if requested == "table" and out not in (None, "-"):
        raise UsageError(f"-f table is for terminals: leave out -o {out}, or choose another format")
    return named_format(out, requested, EXTENSIONS) or ("table" if talk.to_terminal() else "parquet")


def named_format(out: str | None, requested: str | None, extensions: Mapping[str, str]) -> str | None:
    """Return the requested format, else that of `-o`'s extension in `extensions`; None if neither is given."""
    if out in (None, "-"):
        if requested == "parquet" and talk.to_terminal():
            raise UsageError("Parquet is no text for a terminal: name a file with -o, or pipe it")
        return requested
    suffix = Path(out).suffix.lower()
    if os.path.isfile(out) and _is_audio(suffix):
        raise UsageError(f"-o {out} would write over audio: take another name")
    if requested:
        return requested
    if suffix not in extensions:
        raise UsageError(f"-o {out}: the extension says no format; choose {', '.join(extensions)} or give -f")
    return extensions[suffix]


def _is_audio(suffix: str) -> bool:
    from sertool.sound.audio import KINDS  # not at the top: eval and others read no audio

    return suffix in KINDS


def write(table: Table, out: str | None, kind: str) -> None:
    """Write a manifest to stdout or to a file, which is complete or not written at all."""
    if kind == "table":
        _show(table)
    elif out in (None, "-"):
        formats.encode(_pieces(table), sys.stdout.buffer, kind)
        sys.stdout.buffer.flush()
    else:
        with atomic_write(Path(out)) as stream:
            formats.encode(_pieces(table, folder_of(out)), stream, kind)


def folder_of(out: str | None) -> str | None:
    """Return the folder that paths in an output file are relative to; None for a pipe.

    A pipe's readers need not know its name.
    """
    return None if out is None or is_stream(out) else os.path.dirname(absolute(out))


def _pieces(table: Table, folder: str | None = None) -> Iterator[Table]:
    """Yield a table in row groups, at least one; paths become relative to `folder` if given."""
    for start in range(0, max(len(table), 1), ROW_GROUP):
        piece = table.slice(start, ROW_GROUP).combine_chunks()
        yield manifest_paths.relative(piece, folder) if folder else piece


def holds(out: str | None, table: Table, kind: str, told: Callable[[Table], Any] = lambda _: None) -> bool:
    """Whether a file holds these rows already.

    The provenance in a Parquet file may differ, but for what `told` reads in it.
    """
    if out in (None, "-") or not os.path.isfile(out) or not os.path.getsize(out):
        return False
    folder = os.path.dirname(absolute(out))
    try:
        if kind == "parquet":
            return _same_rows(out, table, folder, told)
        with open(out, "rb") as stream:
            formats.encode(_pieces(table, folder), _ComparingStream(stream), kind)
            return not stream.read(1)
    except (SertoolError, pa.ArrowException, OSError, ValueError):
        return False


def _same_rows(out: str, table: Table, folder: str, told: Callable[[Table], Any]) -> bool:
    """Compare row group by row group, so that the file is never in memory as a whole."""
    with pa.OSFile(os.fsencode(out)) as file, pq.ParquetFile(file) as parquet:  # a name may be any bytes
        if parquet.metadata.num_rows != len(table) or parquet.schema_arrow != table.schema:
            return False
        if told(parquet.schema_arrow.empty_table()) != told(table.slice(0, 0)):
            return False
        start = 0
        for group in range(parquet.num_row_groups):
            part = manifest_paths.rebased(parquet.read_row_group(group), folder)
            if not part.equals(table.slice(start, len(part))):
                return False
            start += len(part)
    return True


class _ComparingStream(io.RawIOBase):
    """A stream that accepts only the bytes that another one holds."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        piece = bytes(piece)
        if self.stream.read(len(piece)) != piece:
            raise ValueError("it holds something else")
        return len(piece)


def _show(table: Table) -> None:
    """Print the first rows of the most useful columns as a table on stdout."""
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
