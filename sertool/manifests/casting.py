"""The types of our columns in Arrow, and casts of others' columns to them."""

import re
from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import Table

from sertool.errors import SertoolError, first_line
from sertool.manifests import columns, labels

FOR_A_WORD = re.compile(r"p_|soft_|votes_([^_]+_)?")
IN_BRACKETS = r"(?s)^\[.*\]$"  # text that is a list as other programs write it
FIRST_ROWS = 1024  # tested before a whole column
ROUNDING = 1e-6  # by how much a probability may be below 0 or above 1
TYPES = {
    "string": pa.string(), "double": pa.float64(), "float": pa.float32(), "int16": pa.int16(), "int32": pa.int32(),
    "int64": pa.int64(), "list": pa.list_(pa.string()),
}  # fmt: skip


def kind(name: str) -> pa.DataType | None:
    """Return the type of one of our columns; None for any other column."""
    return TYPES.get(columns.kind_of(name) or "")


def own_columns(table: Table) -> list[str]:
    """Return the columns that are not ours, by their name or by their type."""
    names = table.column_names
    return [
        field.name
        for field in table.schema
        if columns.kind_of(field.name, names) is None or field.type != kind(field.name)
    ]


def is_ambiguous_name(name: str) -> bool:
    """Whether a column of ours can only be told from another by its values.

    `p_furious` may be an emotion's probability, while `p_id` is not; `p_angry` is known by its name.
    """
    match = FOR_A_WORD.match(name)
    return match is not None and labels.canonical(name[match.end() :]) is None


def as_ours(table: Table, where: str = "", *, exact: bool = False) -> Table:
    """Cast our columns to our types; other columns are unchanged, even if their names look like ours."""
    names = table.column_names  # looked up once: each lookup takes time in proportion to their number
    for index, field in enumerate(table.schema):
        dtype = TYPES.get(columns.kind_of(field.name, names) or "")
        dtype = pa.float64() if exact and dtype == pa.float32() else dtype
        if dtype is None or field.type == dtype:
            continue
        if is_ambiguous_name(field.name) and not can_be(table.column(index), dtype):
            continue
        if field.name in columns.DIMENSIONS and is_of_words(table.column(index)):
            continue
        table = _with_cast(table, index, dtype, where)
    return table


def as_numbers(table: Table, names: Collection[str], where: str) -> Table:
    """Cast some columns to numbers, whatever they are called."""
    for name in names:
        table = _with_cast(table, table.column_names.index(name), pa.float64(), f"{where}: ")
    return table


def _with_cast(table: Table, index: int, dtype: pa.DataType, where: str) -> Table:
    field = table.schema.field(index)
    try:
        return table.set_column(index, field.name, _cast(table.column(index), dtype))
    except pa.ArrowException as error:
        odd = describe_bad_value(table.column(index), dtype)
        holds = f"column {field.name} holds {odd or f'{field.type}, not {dtype}: {first_line(error)}'}"
        raise SertoolError(where + holds) from None


def can_be(column: pa.ChunkedArray, dtype: pa.DataType) -> bool:
    """Whether numbers can be votes, or shares or probabilities; not if they are text or out of range."""
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return pa.types.is_null(column.type)
    low, high = pc.min_max(column).as_py().values()
    if low is None or pa.types.is_floating(dtype):
        return low is None or (low >= -ROUNDING and high <= 1 + ROUNDING)
    try:
        return low >= 0 and len(column.cast(dtype)) >= 0
    except pa.ArrowInvalid:
        return False


def _cast(column: pa.ChunkedArray, dtype: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_floating(column.type) and not pa.types.is_floating(dtype):  # NaN is null, not the text "nan"
        column = nulled(column, pc.is_nan(column))
    if column.null_count == len(column):  # the type says nothing: pandas makes an empty column double
        return pa.chunked_array([pa.nulls(len(column), dtype)])
    if pa.types.is_string(dtype) or not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column.cast(dtype)
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    text = _without_brackets(text) if pa.types.is_list(dtype) else text
    text = nulled(text, pc.equal(text, ""))  # as in a CSV with every cell quoted
    return pc.split_pattern(text, ";") if pa.types.is_list(dtype) else _number(text, dtype)


def _without_brackets(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Join words with semicolons where pandas wrote the list `['clipped' 'quiet']`, or DuckDB `[clipped, quiet]`."""
    words = pc.utf8_trim_whitespace(pc.replace_substring_regex(text, r"""['"\[\]]""", ""))
    return pc.if_else(
        pc.match_substring_regex(text, IN_BRACKETS), pc.replace_substring_regex(words, r"[,\s]+", ";"), text
    )


def holds_numbers(column: pa.ChunkedArray) -> bool:
    """Whether all values are numbers, perhaps as text, and none is true or false."""
    return not pa.types.is_boolean(column.type) and _casts(column, pa.float64())


def is_of_words(column: pa.ChunkedArray) -> bool:
    """Whether a column holds words such as `high`, or truth values, and no number anywhere."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return pa.types.is_boolean(column.type)
    return column.null_count < len(column) and not pc.any(pc.match_substring_regex(column, r"\d")).as_py()


def nulled(column: pa.ChunkedArray, odd: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the column with the `odd` values set to null; the same column if there are none."""
    return pc.if_else(odd, pa.scalar(None, column.type), column) if pc.any(odd).as_py() else column


def all_match(pattern: str, column: pa.ChunkedArray) -> bool:
    """Whether every word matches; the first rows are tested first, as most columns fail on them."""
    pieces = (column.slice(0, FIRST_ROWS), column)
    return all(pc.all(pc.match_substring_regex(piece, pattern)).as_py() is not False for piece in pieces)


def _number(text: pa.ChunkedArray, dtype: pa.DataType) -> pa.ChunkedArray:
    """Cast text to numbers; 16000.0 is an integer, too, but 16000.5 is an error."""
    try:
        return text.cast(dtype)
    except pa.ArrowInvalid:
        return text.cast(pa.float64()).cast(dtype)


def describe_bad_value(column: pa.ChunkedArray, dtype: pa.DataType) -> str | None:
    """Return the first value that is no number of the wanted type, and what the column takes; None if not numeric."""
    whole = pa.types.is_integer(dtype)
    if pa.types.is_nested(column.type) or not (whole or pa.types.is_floating(dtype)):
        return None
    first, last = 0, len(column)
    while last - first > 1:
        middle = (first + last) // 2
        first, last = (middle, last) if _casts(column.slice(first, middle - first), dtype) else (first, middle)
    most = f"whole numbers up to {2 ** (dtype.bit_width - 1) - 1:,}" if whole else "numbers"
    return f"{repr(column[first].as_py())[:60]} in row {first + 1:,}, and takes {most}"


def seconds(column: pa.ChunkedArray, name: str, where: str = "") -> pa.ChunkedArray:
    """Cast a column of times to doubles; refuse one that holds something else."""
    try:
        return column.cast(pa.float64())
    except pa.ArrowException:
        problem = describe_bad_value(column, pa.float64()) or f"{column.type}, not seconds"
        raise SertoolError(f"{where}column {name} holds {problem}") from None


def _casts(column: pa.ChunkedArray, dtype: pa.DataType) -> bool:
    try:
        return len(_cast(column, dtype)) >= 0
    except pa.ArrowException:
        return False


def is_bytes(kind_of: pa.DataType) -> bool:
    return any(test(kind_of) for test in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary))
