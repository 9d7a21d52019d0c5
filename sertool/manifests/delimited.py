"""Read delimited text, separated by commas, tabs or semicolons, as people, spreadsheets and pandas write it."""

import csv
import io
import os
import re
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sertool.manifests import casting, columns
from sertool.manifests.manifest import Table
from sertool.system import talk
from sertool.system.paths import path_text

SEPARATORS = {"tsv": "\t", "csv": ",", "semicolons": ";"}  # semicolons as in spreadsheets whose decimals have commas
BOM = b"\xef\xbb\xbf"
CELL = rb'(?:"[^"]*(?:""[^"]*)*"(?=[,;\t\r\n]|\Z)|[^,;\t\r\n]*)'  # line breaks may be in one that is quoted
# Old Macintosh lines end in CR.
FIRST_RECORD = re.compile(rb"(?:" + BOM + rb")?[\r\n]*(" + CELL + rb"(?:[,;\t]" + CELL + rb")*)")
IN_TEXT = {"list": "string", "float": "double"}  # how text is read first; callers convert it
SEPARATOR_LINE = re.compile(rb"(?:" + BOM + rb")?sep=.[\r\n]+", re.IGNORECASE)  # a spreadsheet's note of its separator
COMMA, POINT = (re.compile(rb'(?m)(?:^|[;"])[-+]?\d*' + mark + rb'\d+(?=[;"\s]|$)') for mark in (b",", rb"\."))
# What R, pandas and others write for an unknown value, without quotes: a text in quotes is never one of these.
UNKNOWN = (
    "", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "NULL", "null", "NaN", "nan", "-NaN", "-nan", "1.#IND",
    "-1.#IND", "1.#QNAN", "-1.#QNAN",
)  # fmt: skip
OF_NAMES = ("clip", "speaker", "sentence")  # columns in which a word such as NA may be a name
BLOCK = 2**25  # bytes: with fewer, thousands of columns come in pieces of a few rows, each with its own cost
DIGITS = "(?:0|[1-9][0-9]{0,14})"  # as many as a double keeps; 007 is a name
WHOLE = r"^ *(?:0|-?[1-9][0-9]{0,18}) *$"
FRACTION = rf"^ *-?(?:{DIGITS}(?:[eE][-+][0-9]+)?|{DIGITS}?\.[0-9]+(?:[eE][-+]?[0-9]+)?) *$"


class Header(NamedTuple):
    """The first record of text, mostly a line: in a table, the column names."""

    record: bytes
    end: int

    def names(self, kind: str) -> list[str]:
        """Return the column names with surrounding blanks; none if the record is not a header."""
        with suppress(csv.Error):
            return next(csv.reader([self.record.decode("utf-8", "replace")], delimiter=SEPARATORS[kind]))
        return []

    def kind(self) -> str | None:
        """Return the kind of separator with which one of the names is ours, or None."""
        return next((kind for kind in SEPARATORS if any(map(_is_ours, self.names(kind)))), None)

    def likely_kind(self) -> str:
        """Return the likeliest kind of separator for a table without our names."""
        if b"\t" in self.record:
            return "tsv"
        return "semicolons" if b";" in self.record and b"," not in self.record else "csv"


def _is_ours(name: str) -> bool:
    return columns.kind_of(name.strip().lower()) is not None


def without_separator_line(data: Any) -> Any:
    """Drop a spreadsheet's note of its separator from bytes or a buffer."""
    line = SEPARATOR_LINE.match(data)
    return data[line.end() :] if line else data


def header_of(data: Any) -> Header:
    found = FIRST_RECORD.match(data)
    return Header(found[1], found.end()) if found else Header(b"", 0)


def read(data: pa.Buffer, kind: str, where: str, loose: Collection[str]) -> Table:
    """Parse delimited text of a known kind; `loose` are columns of ours that may hold anything."""
    header = header_of(data)
    data = _without_more_headers(data, header, where)
    table = _table(data, kind, header.names(kind), loose)
    _say_of_unknown_names(data, kind, where, header, table)
    return _without_blank_rows(table)


def _say_of_unknown_names(data: pa.Buffer, kind: str, where: str, header: Header, table: Table) -> None:
    """Say which columns of names hold a word that means unknown, as people may have such initials."""
    for raw in header.names(kind):
        name = raw.strip()
        if columns.ours(name) not in OF_NAMES or table.column_names.count(name) != 1:
            continue
        if (column := table.column(name)).null_count:
            written = _columns_of(data, kind, {raw: pa.string()}, unknown=[""], only=[raw]).column(0)
            words = written.filter(column.is_null()).drop_null()
            if len(words):
                count = talk.counted(len(words), "row")
                says = f"{words[0]} in column {name} is read as unknown, in {count}: put it in quotes if it is a name"
                talk.say(f"{where}: {says}")


def _without_more_headers(data: pa.Buffer, header: Header, where: str) -> pa.Buffer:
    """Remove repeated headers, as of tables joined by `cat`."""
    if not header.record.strip() or not re.compile(re.escape(header.record)).search(data, header.end):  # mostly so
        return data
    repeated_header = rb"(?:\r\n?|\n)(?:" + BOM + rb")?" + re.escape(header.record) + rb"(?=[\r\n]|\Z)"
    rows, count = re.subn(repeated_header, b"", bytes(data[header.end :]))
    if count:
        talk.warn(f"{where}: several tables joined: {talk.counted(count, 'more header')} left out")
    sink = pa.BufferOutputStream()  # Arrow's own memory, as in `manifest_io`
    sink.write(bytes(data[: header.end]))
    sink.write(rows)
    return sink.getvalue()


def strange_cell(data: pa.Buffer, kind: str) -> str | None:
    """Describe the position of the first cell that is neither UTF-8 nor a path; None if there is none."""
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
    """Whether a cell was valid UTF-8, without escaped bytes."""
    try:
        return cell.isascii() or cell.encode("utf-8") is not None
    except UnicodeEncodeError:
        return False


def _is_of_paths(name: str) -> bool:
    return name.strip().lower() in columns.PATH_NAMES


def _table(data: pa.Buffer, kind: str, header: list[str], loose: Collection[str]) -> Table:
    """Parse a table: our columns with our types, others as numbers if they hold nothing else."""
    point = _point(data, kind)
    names = [name.strip() for name in header]
    kinds = {name: columns.kind_of(name.strip(), names) for name in header}
    ours = {
        name: casting.TYPES[IN_TEXT.get(kind, kind)]
        for name, kind in kinds.items()
        if kind and name.strip() not in loose and not casting.is_ambiguous_name(name.strip())
    }
    types = {name: pa.binary() if _is_of_paths(name) else ours.get(name, pa.string()) for name in header}
    try:
        table = _columns_of(data, kind, types, point)
    except pa.ArrowInvalid:  # such as 16000.0, from pandas for columns with gaps, or "": see `intake.typed`
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
    """Drop columns with neither a name nor a value, which spreadsheets write for columns that were emptied."""
    empty = [column.null_count == len(column) for column in table.columns]
    return table.select([place for place, name in enumerate(table.column_names) if name or not empty[place]])


def _without_blank_rows(table: Table) -> Table:
    """Drop rows without a value, which spreadsheets write for rows that were emptied."""
    blank: Any = pa.scalar(True)
    for column in table.columns:
        is_text = pa.types.is_string(column.type)
        blank = pc.and_(blank, pc.fill_null(pc.equal(column, ""), True) if is_text else column.is_null())
        if not pc.any(blank).as_py():
            return table
    return table.filter(pc.invert(blank))


def _with_points(table: Table, names: Collection[str]) -> Table:
    """Replace decimal commas by points in our numeric columns that had to be read as text."""
    for index, field in enumerate(table.schema):
        if field.name in names and pa.types.is_string(field.type):
            table = table.set_column(index, field.name, pc.replace_substring(table.column(index), ",", "."))
    return table


def _with_numbers(table: Table, names: Collection[str], point: str) -> Table:
    """Convert other columns to numbers if they hold nothing else, in parallel, as there may be hundreds."""
    cells, header = table.columns, table.column_names
    places = [place for place, name in enumerate(header) if name in names and pa.types.is_string(cells[place].type)]
    with ThreadPoolExecutor() as pool:
        converted = pool.map(lambda place: _numbers(cells[place], point, header[place]), places)
        found = dict(zip(places, converted, strict=True))
    return pa.table([found.get(place, column) for place, column in enumerate(cells)], header)


def _numbers(column: pa.ChunkedArray, point: str, name: str) -> pa.ChunkedArray | pa.Array:
    """Convert text to numbers if that loses nothing but trailing zeros; else return it unchanged.

    007 and 00e1 are names, and so are numbers of too many digits, and 1.10 beside 1.1.
    """
    if column.null_count == len(column):
        return pa.nulls(len(column))
    text = casting.nulled(column, pc.equal(column, ""))  # as with every cell quoted
    text = pc.replace_substring(text, ",", ".") if point == "," else text
    for written, kind in ((WHOLE, pa.int64()), (FRACTION, pa.float64())):
        if casting.all_match(written, text):
            with suppress(pa.ArrowInvalid):
                numbers = (text := pc.utf8_trim_whitespace(text)).cast(kind)
                if pc.all(pc.is_finite(numbers)).as_py() and (_holds_numbers(name) or _are_written_once(numbers, text)):
                    return numbers
    return column


def _holds_numbers(name: str) -> bool:
    """Whether a column name means numbers if it is ours."""
    ours = columns.ours(name)
    return ours in columns.ELSEWHERE or columns.kind_of(ours) not in (None, "string", "list")


def _are_written_once(numbers: pa.ChunkedArray, text: pa.ChunkedArray) -> bool:
    """Whether no number has several spellings in the text."""
    if pa.types.is_integer(numbers.type):  # these have one spelling
        return True
    bits = numbers.to_numpy().view(np.int64)  # distinguishes -0.0 from 0.0
    order = np.argsort(bits)
    repeats = np.flatnonzero(np.diff(bits[order]) == 0)
    return pc.all(pc.equal(text.take(order[repeats]), text.take(order[repeats + 1]))).as_py() is not False


def _with_text(table: Table) -> Table:
    """Convert binary columns to text; only paths may be other than UTF-8."""
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
    """Return the decimal mark: a comma only if semicolons separate cells and no number has a point."""
    return "," if kind == "semicolons" and COMMA.search(data) and not POINT.search(data) else "."


def _has_newlines(column: pa.ChunkedArray) -> bool:
    return pa.types.is_string(column.type) and pc.any(pc.match_substring(column, "\n")).as_py() is True


def _refuse_open_quotes(data: pa.Buffer, kind: str) -> None:
    """Raise ValueError for a quote that is never closed, or closed in another row: all between would be one cell.

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


def _columns_of(
    data: pa.Buffer, kind: str, types: dict[str, pa.DataType], point: str = ".", *,
    unknown: Sequence[str] = UNKNOWN, only: Sequence[str] = (),
) -> Table:  # fmt: skip
    """Parse the columns in `only`, or all of them; unquoted cells that hold a word in `unknown` are null."""
    from pyarrow import csv as arrow_csv

    parsing = arrow_csv.ParseOptions(delimiter=SEPARATORS[kind], newlines_in_values=True)
    converting = arrow_csv.ConvertOptions(
        column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False, decimal_point=point,
        null_values=unknown, include_columns=only,
    )  # fmt: skip
    reading = arrow_csv.ReadOptions(block_size=BLOCK)
    return arrow_csv.read_csv(pa.BufferReader(data), reading, parsing, converting)
