"""Rows chosen by `--where`: its syntax, its meaning for each kind of column, and its error messages."""

import math
import re
from collections.abc import Iterable
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sertool.errors import SertoolError, UsageError, first_line
from sertool.manifests import casting, manifest
from sertool.manifests.manifest import Table
from sertool.system import talk
from sertool.system.files import listed

OPERATORS = "!=|<=|>=|=|<|>|~"
CLAUSE = re.compile(rf"\s*([^!<>=~]*[^!<>=~\s])\s*({OPERATORS})\s*(.*?)\s*", re.DOTALL)
BETWEEN = re.compile(rf"\s+and\s+(?=(?:(?!\sand\s)[^!<>=~])+(?:{OPERATORS}))")
EITHER = re.compile(rf"\sor\s+[\w-]+\s*(?:{OPERATORS})")
COMPARE = {"<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal}


def where(table: Table, expressions: Iterable[str]) -> Table:
    """Return the rows that match every expression: `corpus=cremad|ravdess`, `age>=40`, `path~Actor_0`, `issue=`."""
    for clause in _clauses(expressions):
        table = manifest.keep(table, _holds(table, clause))
    return table


def choose(table: Table, expressions: Iterable[str], source: str = "") -> Table:
    """Return the rows that match `--where`; raise SertoolError showing the column's values if none is left."""
    for clause in _clauses(expressions):
        remaining = where(table, [clause])
        if len(table) and not len(remaining):
            name, _, _ = _parsed(clause)
            values = f"in {talk.counted(len(table), 'row')}, {name} is {_summary(table, name)}"
            raise SertoolError(f"{source}no clip is left by --where {clause!r}: {values}")
        table = remaining
    return table


def _clauses(expressions: Iterable[str]) -> list[str]:
    return [clause for expression in expressions for clause in BETWEEN.split(expression)]


def _parsed(clause: str) -> tuple[str, str, str]:
    """Return a clause's column, operator and value."""
    match = CLAUSE.fullmatch(clause)
    if not match:
        raise UsageError(f"--where takes COLUMN=VALUE (also != < <= > >= ~), joined by ' and ', not {clause!r}")
    return match[1], match[2], match[3]


def _summary(table: Table, name: str) -> str:
    """Summarise a column for a message: its range, or its most frequent words."""
    column = table.column(name) if name in table.column_names else pa.chunked_array([pa.nulls(0)])
    if column.null_count == len(column):
        return "empty everywhere"
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        low, high = pc.min_max(column).as_py().values()
        return f"{low} to {high}" if low < high else f"{low}"
    if pa.types.is_list(column.type):
        return listed(manifest.words(table, name)[1].values, 8)
    if not manifest.is_of_words(table, name):
        return "neither words nor numbers"
    return listed(dict(manifest.counts(table, name)), 8)


def _holds(table: Table, clause: str) -> np.ndarray:
    """Return which rows match a clause, bool `[rows]`; a list matches if one of its words does."""
    name, operator, text = _parsed(clause)
    if name in table.column_names:
        column = table.column(name)
    elif casting.kind(name):  # a null column: no clip of a sound corpus has an issue
        column = pa.chunked_array([pa.nulls(len(table), casting.kind(name))])
    else:
        raise UsageError(f"--where: no column {name}; there are {listed(table.column_names, 40)}")
    if operator == "=" and text.startswith("="):
        raise UsageError(f"--where takes one = between column and value, not {clause!r}")
    if EITHER.search(text):
        raise UsageError(f"--where knows no 'or', as in {clause!r}: join values of one column by |")
    compare = _compared if not pa.types.is_list(column.type) else _compared_lists
    try:
        holds = compare(column, "=" if operator == "!=" else operator, text)
        words = [word for word in text.split("|") if word] if operator in ("=", "!=") else []
        strange = [word for word in words if not compare(column, "=", word).any()]
    except pa.ArrowException as error:
        raise UsageError(f"--where {clause!r}: {name} holds {column.type}: {first_line(error)}") from None
    holds = ~holds if operator == "!=" else holds
    if operator in COMPARE and _is_number(text) and _is_of_words(column):
        talk.warn(f"--where {clause!r}: {name} holds words, which are compared letter by letter")
    if strange and holds.any():  # else the error that nothing is left says it
        talk.warn(f"--where {clause!r}: no row has {name} {listed(map(repr, strange))}")
    return holds


def _is_number(text: str) -> bool:
    with suppress(ValueError):
        return math.isfinite(float(text))
    return False


def _is_of_words(column: pa.ChunkedArray) -> bool:
    """Whether cells compare as text: words that are all numbers compare by size."""
    cells = pc.list_flatten(column) if pa.types.is_list(column.type) else column
    return pa.types.is_string(cells.type) and pa.types.is_string(_comparable(cells, pa.scalar("0"))[0].type)


def _compared(column: pa.ChunkedArray, operator: str, text: str) -> np.ndarray:
    """Compare a column, bool `[rows]`; `=` takes alternatives between bars, an empty one for null."""
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    if operator == "~":
        holds = pc.match_substring_regex(column.cast(pa.string()), text)
    elif operator in COMPARE:
        holds = COMPARE[operator](*_comparable(column, pa.scalar(text)))
    else:
        words = text.split("|")
        holds = pc.is_in(column, value_set=pa.array([word for word in words if word], pa.string()).cast(column.type))
        holds = pc.or_(holds, column.is_null()) if "" in words else holds
    return pc.fill_null(holds, False).to_numpy()


def _comparable(column: pa.ChunkedArray, text: pa.Scalar) -> tuple[pa.ChunkedArray, pa.Scalar]:
    """Convert text of numbers only, such as 007, and integers compared with fractions, such as 39.5, to floats."""
    if pa.types.is_string(column.type):
        with suppress(pa.ArrowInvalid):
            return column.cast(pa.float64()), text.cast(pa.float64())
    if pa.types.is_integer(column.type):
        with suppress(pa.ArrowInvalid):
            return column, text.cast(column.type)
        return column.cast(pa.float64(), safe=False), text.cast(pa.float64())
    return column, text.cast(column.type)


def _compared_lists(column: pa.ChunkedArray, operator: str, text: str) -> np.ndarray:
    lengths = manifest.lengths(column)
    holds = np.zeros(len(column), bool)
    holds[np.repeat(np.arange(len(column)), lengths)[_compared(pc.list_flatten(column), operator, text)]] = True
    return holds | (lengths == 0) if operator == "=" and "" in text.split("|") else holds
