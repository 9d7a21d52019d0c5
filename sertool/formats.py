"""Tables as bytes and back: Parquet, JSON Lines, CSV and TSV.

With `manifest`, `intake` and `manifest_io` the only door to pyarrow.
"""

import csv
import io
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, islice
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sertool import columns, manifest, talk
from sertool.errors import SertoolError, first_line
from sertool.manifest import Table
from sertool.paths import path_text
from sertool.streams import json_line, plain, strict

SEPARATORS = {"csv": ",", "tsv": "\t", "semicolons": ";"}  # the last as spreadsheets write where commas are decimal
BOM = b"\xef\xbb\xbf"
IN_TEXT = {"list": "string", "float": "double"}  # how text is read; what it becomes is for whoever asks
COMMA, POINT = (re.compile(rb'(?m)(?:^|[;"])[-+]?\d*' + mark + rb'\d+(?=[;"\s]|$)') for mark in (b",", rb"\."))
DIGITS = "(?:0|[1-9][0-9]{0,14})"  # which a double keeps; 007 is a name
WHOLE = r"^ *(?:0|-?[1-9][0-9]{0,18}) *$"
FRACTION = rf"^ *-?(?:{DIGITS}(?:[eE][-+][0-9]+)?|{DIGITS}?\.[0-9]+(?:[eE][-+]?[0-9]+)?) *$"
LINES = 65_536  # that become a table at once
LINE_END = re.compile(rb"\r\n?|\n")  # of a table in text; older spreadsheets for the Macintosh end lines by CR alone
WORKBOOKS = (b"PK\3\4", b"\xd0\xcf\x11\xe0")  # how .xlsx begins, as any ZIP archive does, and .xls
NAMES = {"clip", *columns.PATH_NAMES}  # of which a row has one that tells what it is of


def sniff(head: bytes) -> str:
    """What the first bytes are: parquet, jsonl, csv, tsv, semicolons, or paths."""
    if head.startswith(b"PAR1"):
        return "parquet"
    text = head.removeprefix(BOM)
    if text.lstrip()[:1] in (b"{", b"["):
        return "jsonl"
    line = first_line_of(text).decode("utf-8", "replace").strip()
    for kind in ("tsv", "csv", "semicolons"):
        names = [name.strip().strip('"').lower() for name in line.split(SEPARATORS[kind])]
        if any(columns.kind_of(name) for name in names):
            return kind
    return "paths"


def first_line_of(text: bytes) -> bytes:
    return LINE_END.split(text, 1)[0]


def delimited_kind(head: bytes) -> str:
    """What separates the columns of a table in text whose names say nothing, by its first line."""
    line = first_line_of(head)
    return "tsv" if b"\t" in line else "semicolons" if b";" in line and b"," not in line else "csv"


def parse(data: pa.Buffer, kind: str, where: str, loose: Collection[str] = ()) -> Table:
    """Bytes of a known kind as a table; `loose` are columns of ours that may hold anything."""
    data = without_more_headers(data, where) if kind in SEPARATORS else data
    try:
        return (
            _parquet(data) if kind == "parquet" else _jsonl(data) if kind == "jsonl" else _delimited(data, kind, loose)
        )
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


def without_more_headers(data: Any, where: str) -> Any:
    """Bytes of a table in text, less the headers of others that were joined to it, as `cat` does."""
    header = first_line_of(bytes(data[:65_536]).removeprefix(BOM))
    if not header.strip() or not re.compile(re.escape(header)).search(data, len(BOM) + 1):  # as in most tables
        return data
    repeated_header = rb"(?:\r\n?|\n)(?:" + BOM + rb")?" + re.escape(header) + rb"(?=[\r\n]|\Z)"
    text, count = re.subn(repeated_header, b"", bytes(data))
    if count:
        talk.warn(f"{where}: several tables joined: {talk.counted(count, 'more header')} left out")
    sink = pa.BufferOutputStream()  # in Arrow's own memory, as `manifest_io` reads it
    sink.write(text)
    return sink.getvalue()


def refuse_other_encodings(data: pa.Buffer, kind: str, where: str) -> None:
    """Refuse text that is not UTF-8 before the names of its columns become ours."""
    if says := _encoding(data, kind):
        raise SertoolError(f"{where}: {says}")


def _encoding(data: pa.Buffer, kind: str) -> str | None:
    """What to do with text that is not UTF-8, as of older spreadsheets; names of files may be anything."""
    try:
        bytes(data).decode("utf-8")
    except UnicodeDecodeError as error:
        if kind in SEPARATORS:
            return _strange_cell(data, kind)
        line = bytes(data[: error.start]).count(b"\n") + 1
        return f"line {line:,} is not UTF-8: save it as UTF-8"
    return None


def _strange_cell(data: pa.Buffer, kind: str) -> str | None:
    """Where the first cell is that is not UTF-8 and no path."""
    lines = csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", "surrogateescape", newline=""),
                       delimiter=SEPARATORS[kind])  # fmt: skip
    header: list[str] = []
    first = 1
    for cells in lines:
        header = header or cells
        for name, cell in zip(header, cells, strict=False):
            if not _is_text(cell) and not _is_of_paths(name):
                column = name.strip().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                return f"line {first:,} is not UTF-8, in column {column}: save it as CSV UTF-8"
        first = lines.line_num + 1
    return None


def _is_text(cell: str) -> bool:
    """Whether it was UTF-8, of which no byte had to be escaped."""
    try:
        return cell.isascii() or cell.encode("utf-8") is not None
    except UnicodeEncodeError:
        return False


def _is_of_paths(name: str) -> bool:
    return name.strip().lower() in columns.PATH_NAMES


def _parquet(data: pa.Buffer) -> Table:
    file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
    groups = [file.read_row_group(group) for group in range(file.num_row_groups)]
    table = pa.concat_tables(groups) if groups else file.read()
    table.validate(full=True)
    return table


def _jsonl(data: pa.Buffer) -> Table:
    """One object a line, or a JSON document of objects; what one does not say is null."""
    text = bytes(data).removeprefix(BOM)
    if (rows := _document(text)) is not None:
        return _of_objects(rows)
    lines = enumerate(io.BytesIO(text), 1)
    tables = []
    while batch := list(islice(lines, LINES)):
        tables.append(_of_objects([_object(line, number) for number, line in batch if line.strip()]))
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException:  # words in one, numbers in another
        return _of_objects([json.loads(line) for line in io.BytesIO(text) if line.strip()])


def _of_objects(rows: list[dict[str, Any]]) -> Table:
    return pa.table({name: _of_values(values) for name, values in columns.of_rows(rows).items()})


def _of_values(values: list[Any]) -> pa.Array:
    """A column; one of several kinds of values, as speakers 7 and "x", is text."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return pa.array([None if value is None else _as_cell(value) for value in values], pa.string())


def _as_cell(value: Any) -> str:
    words = value if isinstance(value, list) else [value]
    return ";".join(words) if all(isinstance(word, str) for word in words) else _as_json(value)


def _document(text: bytes) -> list[dict[str, Any]] | None:
    """The objects of a list, of an object that holds them by name, or the one there is; None for an object a line."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # after the first line's object
            return None
        raise
    if isinstance(document, dict) and all(isinstance(row, dict) for row in document.values()):
        return [row if row.keys() & NAMES else {"clip": name, **row} for name, row in document.items()]
    rows = document if isinstance(document, list) else [document]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("the document holds something else than objects of names and values")
    return rows


def _object(line: bytes, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from None
    if not isinstance(row, dict):
        raise ValueError(f"line {number} is no object of names and values")
    return row


def _delimited(data: pa.Buffer, kind: str, loose: Collection[str]) -> Table:
    first = first_line_of(bytes(data[:65_536]).removeprefix(BOM)).decode("utf-8", "replace")
    header = next(csv.reader([first], delimiter=SEPARATORS[kind]))
    names = [name.strip() for name in header]
    kinds = {name: columns.kind_of(name.strip(), names) for name in header}
    ours = {
        name: manifest.TYPES[IN_TEXT.get(kind, kind)]
        for name, kind in kinds.items()
        if kind and name.strip() not in loose and not manifest.is_open(name.strip())
    }
    types = {name: pa.binary() if _is_of_paths(name) else ours.get(name, pa.string()) for name in header}
    try:
        table = _columns_of(data, kind, types)
    except pa.ArrowInvalid:  # such as 16000.0, as pandas writes it where a cell is empty, or "": `intake.typed` knows
        texts = {name: dtype if pa.types.is_binary(dtype) else pa.string() for name, dtype in types.items()}
        try:
            table = _columns_of(data, kind, texts)
        except pa.ArrowInvalid as error:
            _refuse_open_quotes(data, kind)
            says = re.sub(r"In CSV column #(\d+)", lambda match: f"column {header[int(match[1])].strip()}", str(error))
            raise ValueError(says) from None
    table = _with_points(table, {name for name, dtype in ours.items() if not pa.types.is_string(dtype)}, data, kind)
    table = _with_numbers(table, {*header} - {*ours}, _point(data, kind))
    if any(map(_has_newlines, table.columns)):
        _refuse_open_quotes(data, kind)
    return _with_text(table.rename_columns([name.strip() for name in table.column_names]))


def _with_points(table: Table, names: Collection[str], data: pa.Buffer, kind: str) -> Table:
    """The table with points for the commas in numbers of ours that had to be read as text."""
    for index, field in enumerate(table.schema):
        if field.name in names and pa.types.is_string(field.type) and _point(data, kind) == ",":
            table = table.set_column(index, field.name, pc.replace_substring(table.column(index), ",", "."))
    return table


def _with_numbers(table: Table, names: Collection[str], point: str) -> Table:
    """The table with columns of others as numbers where they hold nothing else, several at once of perhaps hundreds."""
    places = [
        place for place, field in enumerate(table.schema) if field.name in names and pa.types.is_string(field.type)
    ]
    with ThreadPoolExecutor() as pool:
        converted = pool.map(lambda place: _numbers(table.column(place), point, table.column_names[place]), places)
        for place, column in zip(places, converted, strict=True):
            table = table.set_column(place, table.column_names[place], column)
    return table


def _numbers(column: pa.ChunkedArray, point: str, name: str) -> pa.ChunkedArray | pa.Array:
    """Text of others as numbers, if every cell is one as numbers are written, so that none but its zeros at the end can
    change: 007 and 00e1 are names, and so are more digits than a number keeps, and 1.10 beside 1.1."""
    if column.null_count == len(column):
        return pa.nulls(len(column))
    text = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)  # as where every cell is quoted
    text = pc.replace_substring(text, ",", ".") if point == "," else text
    for written, kind in ((WHOLE, pa.int64()), (FRACTION, pa.float64())):
        if all(_all_are(written, piece) for piece in (text.slice(0, 1024), text)):  # the first tell of most columns
            with suppress(pa.ArrowInvalid):
                numbers = (text := pc.utf8_trim_whitespace(text)).cast(kind)
                if pc.all(pc.is_finite(numbers)).as_py() and (_holds_numbers(name) or _are_written_once(numbers, text)):
                    return numbers
    return column


def _holds_numbers(name: str) -> bool:
    """Whether a column of that name has numbers if it is ours, however these are written."""
    ours = columns.ours(name)
    return ours in columns.ELSEWHERE or columns.kind_of(ours) not in (None, "string", "list")


def _are_written_once(numbers: pa.ChunkedArray, text: pa.ChunkedArray) -> bool:
    """Whether no number stands for several texts."""
    if pa.types.is_integer(numbers.type):  # which are written in one way
        return True
    bits = numbers.to_numpy().view(np.int64)  # of which -0.0 and 0.0 have their own
    order = np.argsort(bits)
    repeats = np.flatnonzero(np.diff(bits[order]) == 0)
    return pc.all(pc.equal(text.take(order[repeats]), text.take(order[repeats + 1]))).as_py() is not False


def _all_are(written: str, column: pa.ChunkedArray) -> bool:
    return pc.all(pc.match_substring_regex(column, written)).as_py() is not False


def _with_text(table: Table) -> Table:
    """The table without bytes: paths may be no UTF-8, nothing else."""
    for index, field in enumerate(table.schema):
        if pa.types.is_binary(field.type):
            if not _is_of_paths(field.name):
                raise ValueError(f"column {field.name} is not UTF-8")
            table = table.set_column(index, field.name, _paths(table.column(index)))
    return table


def _paths(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([None if path is None else path_text(os.fsdecode(path)) for path in column.to_pylist()])


def _point(data: pa.Buffer, kind: str) -> str:
    """What stands before decimals: the comma only between semicolons, and where no number there has a point."""
    return "," if kind == "semicolons" and COMMA.search(data) and not POINT.search(data) else "."


def _has_newlines(column: pa.ChunkedArray) -> bool:
    return pa.types.is_string(column.type) and pc.any(pc.match_substring(column, "\n")).as_py() is True


def _refuse_open_quotes(data: pa.Buffer, kind: str) -> None:
    """Refuse text in which a quote opens that none closes, or one of another row: the rows between would be its cell.

    Newlines in a cell that a quote closes, before a separator or the end of its line, are part of the cell.
    """
    lines = csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8", "replace", newline=""), strict=True,
                       delimiter=SEPARATORS[kind])  # fmt: skip
    while True:
        before = lines.line_num
        try:
            next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            if lines.line_num > before + 1 or "unexpected end" in str(error):
                says = f"line {before + 1:,} opens a quote that is not closed"
                raise ValueError(f'{says}: close it, or double a quote that belongs to the text ("")') from None


def _columns_of(data: pa.Buffer, kind: str, types: dict[str, pa.DataType]) -> Table:
    from pyarrow import csv as arrow_csv

    parsing = arrow_csv.ParseOptions(delimiter=SEPARATORS[kind], newlines_in_values=True)
    converting = arrow_csv.ConvertOptions(
        column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False, decimal_point=_point(data, kind)
    )
    return arrow_csv.read_csv(pa.BufferReader(data), parse_options=parsing, convert_options=converting)


def encode(pieces: Iterable[Table], stream: BinaryIO, kind: str) -> None:
    """Write a table that comes in pieces; equal pieces give equal bytes."""
    if kind == "jsonl":
        for piece in pieces:
            stream.writelines(_json_lines(piece))
        return
    pieces = iter(pieces) if kind == "parquet" else map(_flat, pieces)
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
    rows = (row for batch in table.to_batches(max_chunksize=4096) for row in batch.to_pylist())
    for row in rows:
        yield json_line(row).encode("utf-8", "backslashreplace")


def _flat(table: Table) -> Table:
    """Text in place of what formats without lists and bytes cannot hold."""
    for index, field in enumerate(table.schema):
        if pa.types.is_nested(field.type) or _is_bytes(field.type):
            table = table.set_column(index, field.name, _text(table.column(index)))
    return table


def _is_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Lists of words joined by semicolons, anything deeper as JSON."""
    if pa.types.is_list(column.type) and not (pa.types.is_nested(kind := column.type.value_type) or _is_bytes(kind)):
        return pc.binary_join(column.cast(pa.list_(pa.string())), ";")
    return pa.array([None if value is None else _as_json(value) for value in column.to_pylist()], pa.string())


def _as_json(value: Any) -> str:
    return plain(value) if isinstance(value, bytes) else json.dumps(strict(value), ensure_ascii=False, default=plain)
