"""Tables in text, whose columns commas, tabs or semicolons separate, as people, spreadsheets and pandas write them."""

import csv
import io
import os
import re
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sertool import columns, manifest, talk
from sertool.manifest import Table
from sertool.paths import path_text

SEPARATORS = {"tsv": "\t", "csv": ",", "semicolons": ";"}  # the last as spreadsheets write where commas are decimal
BOM = b"\xef\xbb\xbf"
FIRST_LINE = re.compile(rb"(?:" + BOM + rb")?[\r\n]*([^\r\n]*)")  # older Macintoshes' lines end by CR alone
IN_TEXT = {"list": "string", "float": "double"}  # how text is read; what it becomes is for whoever asks
SEPARATOR_LINE = re.compile(rb"(?:" + BOM + rb")?sep=.[\r\n]+", re.IGNORECASE)  # by which spreadsheets tell themselves
COMMA, POINT = (re.compile(rb'(?m)(?:^|[;"])[-+]?\d*' + mark + rb'\d+(?=[;"\s]|$)') for mark in (b",", rb"\."))
DIGITS = "(?:0|[1-9][0-9]{0,14})"  # which a double keeps; 007 is a name
WHOLE = r"^ *(?:0|-?[1-9][0-9]{0,18}) *$"
FRACTION = rf"^ *-?(?:{DIGITS}(?:[eE][-+][0-9]+)?|{DIGITS}?\.[0-9]+(?:[eE][-+]?[0-9]+)?) *$"


class Header(NamedTuple):
    """The first line of text that is not empty: of a table, what its columns are called."""

    line: bytes
    end: int

    def names(self, kind: str) -> list[str]:
        """The names between separators, with the blanks around them; none in a line that is no header."""
        with suppress(csv.Error):
            return next(csv.reader([self.line.decode("utf-8", "replace")], delimiter=SEPARATORS[kind]))
        return []

    def kind(self) -> str | None:
        """What separates the columns, if one of them is ours."""
        return next((kind for kind in SEPARATORS if any(map(_is_ours, self.names(kind)))), None)

    def likely_kind(self) -> str:
        """What separates the columns of a table whose names say nothing."""
        if b"\t" in self.line:
            return "tsv"
        return "semicolons" if b";" in self.line and b"," not in self.line else "csv"


def _is_ours(name: str) -> bool:
    return columns.kind_of(name.strip().lower()) is not None


def without_separator_line(data: pa.Buffer) -> pa.Buffer:
    line = SEPARATOR_LINE.match(data)
    return data.slice(line.end()) if line else data


def header_of(data: Any) -> Header:
    found = FIRST_LINE.match(data)
    return Header(found[1], found.end())


def read(data: pa.Buffer, kind: str, where: str, loose: Collection[str]) -> Table:
    """Text of a known kind as a table; `loose` are columns of ours that may hold anything."""
    header = header_of(data)
    return _table(_without_more_headers(data, header, where), kind, header.names(kind), loose)


def _without_more_headers(data: pa.Buffer, header: Header, where: str) -> pa.Buffer:
    """Bytes less the headers of other tables that were joined to the first, as `cat` does."""
    if not header.line.strip() or not re.compile(re.escape(header.line)).search(data, header.end):  # as in most tables
        return data
    repeated_header = rb"(?:\r\n?|\n)(?:" + BOM + rb")?" + re.escape(header.line) + rb"(?=[\r\n]|\Z)"
    rows, count = re.subn(repeated_header, b"", bytes(data[header.end :]))
    if count:
        talk.warn(f"{where}: several tables joined: {talk.counted(count, 'more header')} left out")
    sink = pa.BufferOutputStream()  # in Arrow's own memory, as `manifest_io` reads it
    sink.write(bytes(data[: header.end]))
    sink.write(rows)
    return sink.getvalue()


def strange_cell(data: pa.Buffer, kind: str) -> str | None:
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


def _table(data: pa.Buffer, kind: str, header: list[str], loose: Collection[str]) -> Table:
    """Columns of ours with their types, those of others as numbers where they hold nothing else."""
    point = _point(data, kind)
    names = [name.strip() for name in header]
    kinds = {name: columns.kind_of(name.strip(), names) for name in header}
    ours = {
        name: manifest.TYPES[IN_TEXT.get(kind, kind)]
        for name, kind in kinds.items()
        if kind and name.strip() not in loose and not manifest.is_open(name.strip())
    }
    types = {name: pa.binary() if _is_of_paths(name) else ours.get(name, pa.string()) for name in header}
    try:
        table = _columns_of(data, kind, types, point)
    except pa.ArrowInvalid:  # such as 16000.0, as pandas writes it where a cell is empty, or "": `intake.typed` knows
        texts = {name: dtype if pa.types.is_binary(dtype) else pa.string() for name, dtype in types.items()}
        try:
            table = _columns_of(data, kind, texts, point)
        except pa.ArrowInvalid as error:
            _refuse_open_quotes(data, kind)
            says = re.sub(r"In CSV column #(\d+)", lambda match: f"column {header[int(match[1])].strip()}", str(error))
            raise ValueError(says) from None
    if point == ",":
        table = _with_points(table, {name for name, dtype in ours.items() if not pa.types.is_string(dtype)})
    table = _with_numbers(table, {*header} - {*ours}, point)
    if any(map(_has_newlines, table.columns)):
        _refuse_open_quotes(data, kind)
    return _with_text(_without_nameless(table.rename_columns([name.strip() for name in table.column_names])))


def _without_nameless(table: Table) -> Table:
    """Less the columns that have neither a name nor a cell, as spreadsheets write those that once had."""
    empty = [column.null_count == len(column) for column in table.columns]
    return table.select([place for place, name in enumerate(table.column_names) if name or not empty[place]])


def _with_points(table: Table, names: Collection[str]) -> Table:
    """The table with points for the commas in numbers of ours that had to be read as text."""
    for index, field in enumerate(table.schema):
        if field.name in names and pa.types.is_string(field.type):
            table = table.set_column(index, field.name, pc.replace_substring(table.column(index), ",", "."))
    return table


def _with_numbers(table: Table, names: Collection[str], point: str) -> Table:
    """The table with columns of others as numbers where they hold nothing else, several at once of perhaps hundreds."""
    cells, header = table.columns, table.column_names
    places = [place for place, name in enumerate(header) if name in names and pa.types.is_string(cells[place].type)]
    with ThreadPoolExecutor() as pool:
        converted = pool.map(lambda place: _numbers(cells[place], point, header[place]), places)
        found = dict(zip(places, converted, strict=True))
    return pa.table([found.get(place, column) for place, column in enumerate(cells)], header)


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


def _columns_of(data: pa.Buffer, kind: str, types: dict[str, pa.DataType], point: str) -> Table:
    from pyarrow import csv as arrow_csv

    parsing = arrow_csv.ParseOptions(delimiter=SEPARATORS[kind], newlines_in_values=True)
    converting = arrow_csv.ConvertOptions(
        column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False, decimal_point=point
    )
    return arrow_csv.read_csv(pa.BufferReader(data), parse_options=parsing, convert_options=converting)
