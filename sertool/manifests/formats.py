"""Read and write tables: Parquet, JSON Lines and, through `delimited`, CSV and TSV; read RTTM, too."""

import csv
import io
import json
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sertool.errors import SertoolError, first_line
from sertool.manifests import columns, delimited
from sertool.manifests.casting import is_bytes
from sertool.manifests.columns import CLIP_NAMES
from sertool.manifests.delimited import BOM, SEPARATORS
from sertool.manifests.manifest import Table
from sertool.manifests.streams import json_line, plain, strict

LINES = 65_536  # lines converted to a table at once
WORKBOOK_BYTES = (b"PK\3\4", b"\xd0\xcf\x11\xe0")  # the first bytes of .xlsx, as of any ZIP archive, and of .xls
TURN = re.compile(rb"^SPEAKER[ \t]+(\S+)[ \t]+(\S+)[ \t]+(\S+)[ \t]+(\S+)[ \t]+\S+[ \t]+\S+[ \t]+(\S+)", re.MULTILINE)
BEFORE_TURNS = re.compile(rb"(?:\s*(?:;;|SPKR-INFO)[^\n]*\n)*\s*")
NUMBERED = r"(?i)^(?:speaker|spk|spkr|s)?[_ -]?\d+$"  # a speaker so called is somebody else in the next file
OBJECT = re.compile(rb"(?:" + BOM + rb")?\s*(?:\[\s*)?\{\s*[\"}]")  # the beginning of JSON, not of Markdown or a path


def sniff(data: Any) -> str:
    """Return the format of bytes: parquet, rttm, jsonl, csv, tsv, semicolons, or paths."""
    if bytes(data[:4]) == b"PAR1":
        return "parquet"
    if (before := BEFORE_TURNS.match(data)) and TURN.match(data, before.end()):
        return "rttm"
    return "jsonl" if OBJECT.match(data) else delimited.header_of(data).kind() or "paths"


def parse(data: pa.Buffer, kind: str, where: str, loose: Collection[str] = ()) -> Table:
    """Parse bytes of a known format to a table; `loose` are columns of ours that may hold anything."""
    try:
        if kind in SEPARATORS:
            return delimited.read(data, kind, where, loose)
        return {"parquet": _parquet, "rttm": _rttm, "jsonl": _jsonl}[kind](data)
    except (
        pa.ArrowException,
        csv.Error,
        OSError,
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        RecursionError,
    ) as error:
        hint = "it was cut off or altered" if kind == "parquet" else _encoding(data, kind) or first_line(error)
        raise SertoolError(f"{where}: not readable as {'csv' if kind == 'semicolons' else kind}: {hint}") from None


def _encoding(data: pa.Buffer, kind: str) -> str | None:
    """Return advice on text that is not UTF-8, as of older spreadsheets; None if it is, or only paths are not."""
    try:
        bytes(data).decode("utf-8")
    except UnicodeDecodeError as error:
        if kind in SEPARATORS:
            return delimited.strange_cell(data, kind)
        line = bytes(data[: error.start]).count(b"\n") + 1
        return f"line {line:,} is not UTF-8: save it as UTF-8"
    return None


def _parquet(data: pa.Buffer) -> Table:
    file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
    groups = [file.read_row_group(group) for group in range(file.num_row_groups)]
    table = pa.concat_tables(groups) if groups else file.read()
    table.validate(full=True)
    return table


def _rttm(data: pa.Buffer) -> Table:
    """Return the turns of RTTM, which tells who speaks when, a row each."""
    held = [[cell.decode() for cell in turn] for turn in TURN.findall(data)]
    names, channels, starts, durations, speakers = (pa.array(each, pa.string()) for each in zip(*held, strict=True))
    is_numbered = pc.match_substring_regex(speakers, NUMBERED)
    speakers = pc.if_else(is_numbered, pc.binary_join_element_wise(names, speakers, "/"), speakers)
    told = {"id": names, "start": pc.cast(starts, "double"), "duration": pc.cast(durations, "double")}
    sides = {"channel": pc.cast(channels, "int64")} if len(channels.unique()) > 1 else {}  # of a mixed file all are 1
    return pa.table(told | sides | {"speaker": speakers})


def _jsonl(data: pa.Buffer) -> Table:
    """Parse JSON Lines, or a JSON document of objects; missing values are null."""
    text = bytes(data).removeprefix(BOM)
    if (rows := _document(text)) is not None:
        return _of_objects(rows)
    lines = enumerate(io.BytesIO(text), 1)
    tables = []
    while batch := list(islice(lines, LINES)):
        tables.append(_of_objects([_object(line, number) for number, line in batch if line.strip()]))
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException:  # a column that is text in one table, numbers in another
        return _of_objects([json.loads(line) for line in io.BytesIO(text) if line.strip()])


def _of_objects(rows: list[dict[str, Any]]) -> Table:
    return pa.table({name: _of_values(values) for name, values in columns.of_rows(rows).items()})


def _of_values(values: list[Any]) -> pa.Array:
    """Convert values to a column; mixed types, such as speakers 7 and "x", and what Parquet cannot hold become text."""
    with suppress(pa.ArrowException, OverflowError):
        column = pa.array(values)
        if not _has_empty_objects(column.type):
            return column
    return pa.array([None if value is None else _as_cell(value) for value in values], pa.string())


def _has_empty_objects(kind: pa.DataType) -> bool:
    """Whether a type contains objects without any fields."""
    if pa.types.is_struct(kind):
        return not kind.num_fields or any(_has_empty_objects(part.type) for part in kind)
    return pa.types.is_list(kind) and _has_empty_objects(kind.value_type)


def _as_cell(value: Any) -> str:
    words = value if isinstance(value, list) else [value]
    return ";".join(words) if all(isinstance(word, str) for word in words) else _as_json(value)


def _document(text: bytes) -> list[dict[str, Any]] | None:
    """Return the rows of a JSON document: a list, a dictionary by clip, or a single row; None for JSON Lines.

    A list may stand beside other things, as `meta_data` does beside `labels` in s3prl's files.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # after the first line's object
            return None
        raise
    if isinstance(document, dict) and all(isinstance(row, dict) for row in document.values()):
        return _by_clip(document)
    rows = _rows_of(document)
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("the document holds something else than objects of names and values")
    return rows


def _by_clip(document: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows named after their keys; keys that merely count rows, as pandas writes them, name none with a path."""
    counts = [*document] == [*map(str, range(len(document)))]
    return [row if counts and row.keys() & CLIP_NAMES else {"clip": name, **row} for name, row in document.items()]


def _rows_of(document: Any) -> list[Any]:
    """Return the rows in a document: the only list of objects in one that is no row itself, or all of it."""
    if not isinstance(document, dict) or document.keys() & CLIP_NAMES:
        return document if isinstance(document, list) else [document]
    lists = [rows for rows in document.values() if isinstance(rows, list) and rows and isinstance(rows[0], dict)]
    return lists[0] if len(lists) == 1 else [document]


def _object(line: bytes, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from None
    if not isinstance(row, dict):
        raise ValueError(f"line {number} is no object of names and values")
    return row


def encode(pieces: Iterable[Table], stream: BinaryIO | io.RawIOBase, kind: str) -> None:
    """Write a table given in pieces; equal pieces give equal bytes."""
    if kind == "jsonl":
        for piece in pieces:
            stream.writelines(_json_lines(piece))
        return
    pieces = iter(pieces) if kind == "parquet" else map(flat, pieces)
    first = next(pieces)
    # Through a Python stream, a full disk or a closed pipe raises the system's own error.
    with _writer(pa.PythonFile(stream, mode="w"), first.schema, kind) as writer:
        for piece in chain([first], pieces):
            writer.write_table(piece)


def _writer(stream: pa.PythonFile, schema: pa.Schema, kind: str) -> Any:
    if kind == "parquet":
        return pq.ParquetWriter(stream, schema, compression="zstd", write_page_checksum=True)
    from pyarrow import csv as arrow_csv

    return arrow_csv.CSVWriter(stream, schema, write_options=arrow_csv.WriteOptions(delimiter=SEPARATORS[kind]))


def _json_lines(table: Table) -> Iterator[bytes]:
    rows = (row for batch in _with_times_as_text(table).to_batches(max_chunksize=4096) for row in batch.to_pylist())
    for row in rows:
        yield json_line(row).encode("utf-8", "backslashreplace")


def _with_times_as_text(table: Table) -> Table:
    """Convert dates and times to the text that CSV and merged tables have for them."""
    for index, field in enumerate(table.schema):
        if pa.types.is_temporal(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(pa.string()))
    return table


def flat(table: Table) -> Table:
    """Convert columns that CSV cannot hold, lists and bytes, to text."""
    for index, field in enumerate(table.schema):
        if pa.types.is_nested(field.type) or is_bytes(field.type):
            table = table.set_column(index, field.name, as_text(table.column(index)))
    return table


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Convert nested values or bytes to text: join lists of words with semicolons, write all others as JSON."""
    if not pa.types.is_list(column.type) or pa.types.is_nested(kind := column.type.value_type) or is_bytes(kind):
        return _in_json(column)
    joined = pc.binary_join(column.cast(pa.list_(pa.string())), ";")  # null where one of the words is
    return joined if joined.null_count == column.null_count else pc.coalesce(joined, _in_json(column))


def _in_json(column: pa.ChunkedArray) -> pa.ChunkedArray:
    texts = [None if value is None else _as_json(value) for value in column.to_pylist()]
    return pa.chunked_array([texts], pa.string())


def _as_json(value: Any) -> str:
    return plain(value) if isinstance(value, bytes) else json.dumps(strict(value), ensure_ascii=False, default=plain)
