"""The manifest in bytes: Parquet, CSV, TSV, JSON Lines, or a list of paths; from files and pipes, to both.

What comes in is told apart by its content, never by its name. Parquet has its footer last, so a reader of a pipe starts
when the producer ends, and a stream that was cut is refused.
"""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from sertool import columns, manifest, talk
from sertool.errors import SertoolError, UsageError
from sertool.files import reason, whole
from sertool.manifest import Table

FORMATS = ("parquet", "csv", "tsv", "jsonl", "table")
EXTENSIONS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
ROW_GROUP = 131_072
SHOWN = ("clip", "speaker", "emotion", "duration", "issue", "split", "fold", "predicted", "confidence")


def read(source: str, root: str | None = None) -> Table:
    """The manifest in a file or, for `-`, on stdin, with absolute paths."""
    return decoded(data(source), source, root)


def data(source: str) -> pa.Buffer:
    """The bytes of a file or, for `-`, of stdin."""
    return _stdin() if source == "-" else _file(source)


def decoded(held: pa.Buffer, source: str, root: str | None = None) -> Table:
    """Bytes as a manifest, with absolute paths."""
    where = "stdin" if source == "-" else source
    folder = os.getcwd() if source == "-" else os.path.dirname(manifest.absolute(source))
    table = manifest.rebased(manifest.check(parse(held, where), where), folder)
    return manifest.moved(table, root) if root and "path" in table.column_names else table


def load(source: str) -> Table:
    """Any table in a file, as it is: a `--table` need not be a manifest."""
    return parse(_file(source), source)


def _stdin() -> pa.Buffer:
    if talk.from_terminal():
        raise UsageError("nothing to read: name a manifest or pipe one in")
    return pa.py_buffer(sys.stdin.buffer.read())


def _file(path: str) -> pa.Buffer:
    try:
        with pa.memory_map(path) as mapped:
            return mapped.read_buffer()
    except FileNotFoundError:
        raise UsageError(f"no such file: {path}") from None
    except OSError as error:
        if os.path.isdir(path):
            raise UsageError(f"{path} is a folder, not a manifest") from None
        if os.path.isfile(path) and not os.path.getsize(path):
            return pa.py_buffer(b"")  # an empty file cannot be mapped
        raise SertoolError(f"cannot read {path}: {reason(error)}") from None


def sniff(head: bytes) -> str:
    """What the first bytes are: parquet, jsonl, csv, tsv, or paths."""
    if head.startswith(b"PAR1"):
        return "parquet"
    text = head.removeprefix(b"\xef\xbb\xbf")
    if text.lstrip()[:1] == b"{":
        return "jsonl"
    line = text.partition(b"\n")[0].decode("utf-8", "replace").strip()
    for kind, separator in (("tsv", "\t"), ("csv", ",")):
        names = [name.strip().strip('"').lower() for name in line.split(separator)]
        if any(columns.kind_of(name) for name in names):
            return kind
    return "paths"


def kind_of(held: pa.Buffer, *, nul: bool = False) -> str:
    return "paths" if nul else sniff(bytes(held[:4096]))


def parse(held: pa.Buffer, where: str) -> Table:
    """Bytes as a table, whatever they are; not yet checked for being a manifest."""
    if not held.size:
        raise SertoolError(f"{where}: empty input; the command that should have written it may have failed")
    kind = kind_of(held)
    if kind == "paths":
        return pa.table({"path": paths(held, where)})
    try:
        return {"parquet": _parquet, "jsonl": _jsonl, "csv": _csv, "tsv": _tsv}[kind](held)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        hint = "it was cut off or altered" if kind == "parquet" else str(error).partition("\n")[0]
        raise SertoolError(f"{where}: not readable as {kind}: {hint}") from None


def _parquet(data: pa.Buffer) -> Table:
    table = pq.read_table(pa.BufferReader(data), memory_map=False)
    table.validate(full=True)
    return table


def _jsonl(data: pa.Buffer) -> Table:
    from pyarrow import json as arrow_json

    return arrow_json.read_json(pa.BufferReader(data))


def _csv(data: pa.Buffer) -> Table:
    return _delimited(data, ",")


def _tsv(data: pa.Buffer) -> Table:
    return _delimited(data, "\t")


def _delimited(data: pa.Buffer, separator: str) -> Table:
    from pyarrow import csv

    header = bytes(data[:65_536]).removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").partition("\n")[0]
    names = [name.strip().strip('"') for name in header.split(separator)]
    kinds = {name: columns.kind_of(name) for name in names}
    types = {n: manifest.TYPES["string" if kind == "list" else kind] for n, kind in kinds.items() if kind}
    options = csv.ConvertOptions(column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False)
    parsing = csv.ParseOptions(delimiter=separator, newlines_in_values=True)
    return csv.read_csv(pa.BufferReader(data), parse_options=parsing, convert_options=options)


def paths(held: pa.Buffer, where: str, *, nul: bool = False) -> list[str]:
    """A list of paths, one a line, or each ended by NUL."""
    lines = bytes(held).split(b"\0" if nul else b"\n")
    lines = [line for line in (lines if nul else (line.rstrip(b"\r") for line in lines)) if line]
    if not lines or any(b"\0" in line for line in lines):
        raise SertoolError(f"{where}: neither a manifest (Parquet, CSV, JSON Lines) nor a list of paths")
    return [os.fsdecode(line) for line in lines]


# Writing.


def format_for(out: str | None, asked: str | None, piped: str = "parquet") -> str:
    """The format: the one asked for, else by the extension of `-o`, else a table on a terminal, `piped` in a pipe."""
    to_stdout = out in (None, "-")
    if asked == "parquet" and to_stdout and talk.to_terminal():
        raise UsageError("Parquet is no text for a terminal: name a file with -o, or pipe it")
    if asked:
        return asked
    if not to_stdout:
        suffix = Path(out).suffix.lower()
        if suffix not in EXTENSIONS:
            raise UsageError(f"-o {out}: the extension says no format; choose {listed_extensions()} or give -f")
        return EXTENSIONS[suffix]
    return "table" if talk.to_terminal() else piped


def listed_extensions() -> str:
    return ", ".join(EXTENSIONS)


def write(table: Table, out: str | None, kind: str) -> None:
    """Write a manifest to a file, whole or not at all, or to stdout."""
    if kind == "table":
        show(table)
    elif out in (None, "-"):
        _encode(table, sys.stdout.buffer, kind)
        sys.stdout.buffer.flush()
    else:
        folder = os.path.dirname(manifest.absolute(out))
        with whole(Path(out)) as stream:
            _encode(manifest.relative(table, folder), stream, kind)


def holds(out: str, table: Table) -> bool:
    """Whether a Parquet file holds these rows already."""
    if not os.path.isfile(out) or not os.path.getsize(out):
        return False
    try:
        return manifest.same_rows(read(out), table)
    except SertoolError:
        return False


def _encode(table: Table, stream: BinaryIO, kind: str) -> None:
    if kind == "parquet":
        # Through a Python stream, a full disk or a closed pipe raises the system's own error.
        pq.write_table(table, pa.PythonFile(stream, mode="w"), row_group_size=ROW_GROUP, compression="zstd")
    elif kind == "jsonl":
        for batch in table.to_batches(max_chunksize=4096):
            stream.write(b"".join(_json_lines(batch)))
    else:
        from pyarrow import csv

        options = csv.WriteOptions(delimiter={"csv": ",", "tsv": "\t"}[kind])
        csv.write_csv(_flat(table), pa.PythonFile(stream, mode="w"), options)


def _json_lines(batch: pa.RecordBatch) -> Iterable[bytes]:
    for row in batch.to_pylist():
        kept: dict[str, Any] = {name: value for name, value in row.items() if value is not None}
        yield json.dumps(kept, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _flat(table: Table) -> Table:
    """Lists as text joined by semicolons, for formats that have no lists."""
    for index, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            table = table.set_column(index, field.name, pa.compute.binary_join(table.column(index), ";"))
    return table


def show(table: Table, rows: int = 20) -> None:
    """The first rows and the columns that people look for first, as a table on stdout."""
    names = [name for name in SHOWN if name in table.column_names] or table.column_names[:6]
    head = table.slice(0, rows).select(names).to_pydict()
    numeric = " ".join(name for name in names if pa.types.is_floating(table.schema.field(name).type))
    body = zip(*([_cell(value) for value in head[name]] for name in names), strict=True)
    rest = len(table) - rows
    talk.table(names, body, right=numeric)
    if rest > 0:
        talk.say(f"... and {rest:,} more clips; -o clips.parquet keeps all {len(table.column_names)} columns")


def _cell(value: object) -> object:
    return f"{value:.2f}" if isinstance(value, float) else value
