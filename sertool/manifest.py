"""The manifest: an Arrow table with one row per clip, and what may be done with one column-wise.

With `wire`, which turns it into bytes and back, the only door to pyarrow.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sertool import __version__, columns
from sertool.codes import Codes
from sertool.errors import SertoolError, UsageError
from sertool.files import listed

Table = pa.Table
FORMAT_VERSION = 1
KEY = b"sertool"
PATH_COLUMNS = re.compile(r"path|.+_shard")
TYPES = {
    "string": pa.string(), "double": pa.float64(), "float": pa.float32(), "int16": pa.int16(), "int32": pa.int32(),
    "int64": pa.int64(), "list": pa.list_(pa.string()),
}  # fmt: skip


def from_columns(values: Mapping[str, Any]) -> Table:
    """A table of lists or arrays, with the types of our columns; columns without any value are left out."""
    arrays = {}
    for name, column in values.items():
        kind = TYPES.get(columns.kind_of(name) or "")
        try:
            array = column if isinstance(column, pa.ChunkedArray | pa.Array) else pa.array(column, kind)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError) as error:
            raise SertoolError(f"column {name}: {_first_line(error)}") from None
        if array.null_count < len(array) or name in ("clip", "path", "emotion"):
            arrays[name] = array
    return ordered(pa.table(arrays))


def ordered(table: Table) -> Table:
    """Our columns in our order, then the rest as they came."""
    known = [name for name in columns.MEANINGS if name in table.column_names]
    return table.select(known + [name for name in table.column_names if name not in columns.MEANINGS])


def typed(table: Table, where: str) -> Table:
    """The table with our types; a column of ours that cannot have its type is an error."""
    for index, field in enumerate(table.schema):
        kind = TYPES.get(columns.kind_of(field.name) or "")
        if kind is None or field.type == kind:
            continue
        try:
            table = table.set_column(index, field.name, _cast(table.column(index), kind))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SertoolError(
                f"{where}: column {field.name} holds {field.type}, not {kind}: {_first_line(error)}"
            ) from None
    return table


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_list(kind) and pa.types.is_string(column.type):
        return pc.split_pattern(column, ";")
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(kind)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def check(table: Table, where: str) -> Table:
    """Refuse what is no manifest: `clip` or `path` absent, or a clip id that is null or stands twice."""
    if "path" not in table.column_names and "clip" not in table.column_names:
        raise SertoolError(f"{where}: no column named path or clip; it has {listed(table.column_names)}")
    if "clip" not in table.column_names:
        table = table.add_column(0, "clip", table.column("path"))
    table = typed(table, where)
    clips = table.column("clip")
    if clips.null_count:
        raise SertoolError(f"{where}: {clips.null_count} rows have no clip id")
    return ordered(table)


def refuse_repeats(table: Table, where: str) -> Table:
    """The table, or an error that names a clip id that stands twice."""
    repeated = first_repeat(codes(table, "clip"))
    if repeated is not None:
        raise SertoolError(f"{where}: clip {repeated} stands twice; clip ids must be unique")
    return table


def first_repeat(clips: Codes) -> str | None:
    counts = np.bincount(clips.index, minlength=len(clips.values)) if len(clips.index) else np.zeros(0, int)
    return None if not (counts > 1).any() else str(clips.values[int(np.argmax(counts > 1))])


def codes(table: Table, name: str) -> Codes:
    """A column as integers and the values they stand for; a column that is absent is null everywhere."""
    if name not in table.column_names:
        return Codes(np.full(len(table), -1, np.int32), ())
    column = table.column(name)
    if not pa.types.is_string(column.type):
        column = column.cast(pa.string())
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return Codes(encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False), Values(encoded.dictionary))


class Values(Sequence):
    """Distinct strings that stay in Arrow until one is asked for."""

    def __init__(self, array: pa.Array) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, place: Any) -> Any:
        return self.array[place].to_pylist() if isinstance(place, slice) else self.array[int(place)].as_py()


def with_column(table: Table, name: str, values: Any) -> Table:
    """The table with a column set or replaced."""
    kind = TYPES.get(columns.kind_of(name) or "")
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, kind)
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, array)
    return ordered(table.append_column(name, array))


def from_codes(index: np.ndarray, values: Sequence[str]) -> pa.Array:
    """Strings by their code, null where it is negative."""
    indices = pa.array(index, pa.int32(), mask=index < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(values, pa.string())).cast(pa.string())


def column(table: Table, name: str, default: Any = None) -> list[Any]:
    """A column as Python values; one that is absent is `default` everywhere."""
    return table.column(name).to_pylist() if name in table.column_names else [default] * len(table)


def usable(table: Table) -> np.ndarray:
    """Which rows have no issue, bool `[rows]`."""
    if "issue" not in table.column_names:
        return np.ones(len(table), bool)
    return table.column("issue").is_null().to_numpy()


def keep(table: Table, rows: np.ndarray) -> Table:
    """The rows of a boolean mask."""
    return table if rows.all() else table.filter(mask(rows))


def mask(rows: np.ndarray) -> pa.Array:
    """A boolean mask as Arrow has it."""
    return pa.array(rows)


def numbers(values: np.ndarray) -> pa.Array:
    """Floats as Arrow has them, NaN as null."""
    return pa.array(values, pa.float32(), mask=np.isnan(values))


def whole_numbers(values: np.ndarray) -> pa.Array:
    """Numbers from 0 as Arrow has them, negative ones as null."""
    return pa.array(values, mask=values < 0)


def with_feature(table: Table, feature: str, place: tuple[np.ndarray, ...], shards: Sequence[str]) -> Table:
    """The table with `F_shard, F_offset, F_rows`; `place` holds shard (by its number, -1 for none), offset and rows."""
    shard, offset, rows = place
    table = with_column(table, f"{feature}_shard", from_codes(shard, shards))
    table = with_column(table, f"{feature}_offset", pa.array(offset, mask=shard < 0))
    return with_column(table, f"{feature}_rows", pa.array(rows, mask=shard < 0))


def same_rows(one: Table, other: Table) -> bool:
    """Whether two tables hold the same columns and rows; how they were made may differ."""
    return one.schema.equals(other.schema) and one.equals(other)


def counts(table: Table, name: str) -> list[tuple[str, int]]:
    """The values of a column by frequency, with null left out."""
    coded = codes(table, name)
    totals = np.bincount(coded.index[coded.index >= 0], minlength=len(coded.values))
    return [(str(coded.values[i]), int(totals[i])) for i in np.argsort(-totals, kind="stable") if totals[i]]


def total(table: Table, name: str) -> float:
    return (pc.sum(table.column(name)).as_py() or 0) if name in table.column_names else 0


# Paths: absolute in memory and on the wire, relative to the file's folder where they lie under it.


def rebased(table: Table, folder: str) -> Table:
    """Relative paths made absolute: they are relative to `folder`."""
    return _map_paths(table, lambda column: _absolute(column, folder))


def relative(table: Table, folder: str) -> Table:
    """Paths under `folder` made relative to it."""
    prefix = folder.rstrip(os.sep) + os.sep
    return _map_paths(table, lambda column: _without(column, prefix))


def moved(table: Table, root: str) -> Table:
    """The audio looked for under `root`: of each path, what follows the folder that all of them share."""
    paths = table.column("path")
    shared = os.path.commonpath([p for p in (pc.min(paths).as_py(), pc.max(paths).as_py()) if p]) if len(table) else ""
    if shared and not os.path.isdir(shared) and os.path.splitext(shared)[1]:
        shared = os.path.dirname(shared)
    trimmed = _without(paths, shared.rstrip(os.sep) + os.sep)
    return with_column(table, "path", _absolute(trimmed, os.path.abspath(root)))


def _map_paths(table: Table, change: Any) -> Table:
    for index, name in enumerate(table.column_names):
        if PATH_COLUMNS.fullmatch(name) and pa.types.is_string(table.schema.field(index).type):
            table = table.set_column(index, name, change(table.column(index)))
    return table


def _absolute(paths: pa.ChunkedArray, folder: str) -> pa.ChunkedArray:
    absolute = pc.match_substring_regex(paths, r"^(/|[A-Za-z]:[\\/]|\\\\|file://)")
    joined = pc.binary_join_element_wise(pa.scalar(folder.rstrip(os.sep)), paths, os.sep)
    return pc.if_else(absolute, paths, joined)


def _without(paths: pa.ChunkedArray, prefix: str) -> pa.ChunkedArray:
    return pc.if_else(pc.starts_with(paths, prefix), pc.utf8_slice_codeunits(paths, len(prefix)), paths)


# Provenance: the chain of commands that made a table, as JSON in the schema's metadata.


def provenance(table: Table) -> dict[str, Any]:
    """What the table says of itself: format version, chain of commands, feature settings."""
    try:
        held = json.loads((table.schema.metadata or {}).get(KEY, b"{}"))
    except ValueError:
        held = {}
    held = held if isinstance(held, dict) else {}
    if held.get("version", FORMAT_VERSION) > FORMAT_VERSION:
        raise SertoolError("the manifest was written by a newer sertool: upgrade with `pip install -U sertool`")
    return {"version": FORMAT_VERSION, "chain": held.get("chain", []), "features": held.get("features", {})}


def with_provenance(table: Table, held: Mapping[str, Any]) -> Table:
    text = json.dumps(held, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: text.encode()})


def made_by(table: Table, command: str, seed: int | None, before: Table | None = None) -> Table:
    """The table with one more command in its chain; `before` is the table that the command read."""
    held = provenance(table if before is None else before)
    step = {
        "command": command,
        "sertool": __version__,
        "input": digest(before) if before is not None else None,
        "seed": seed,
    }
    return with_provenance(table, held | {"features": provenance(table)["features"], "chain": [*held["chain"], step]})


def digest(table: Table) -> str:
    """A digest of the clips in a table and their order."""
    found = hashlib.sha256()
    for chunk in table.column("clip").chunks:
        for buffer in pa.concat_arrays([chunk]).buffers()[1:]:
            found.update(buffer or b"")
    return found.hexdigest()[:16]


# Several tables as one.


def merged(tables: Sequence[Table]) -> Table:
    """One table of several: rows that are the same clip are joined, and must agree in what both know."""
    if len(tables) == 1:
        return refuse_repeats(tables[0], "manifest")
    held = [provenance(table) for table in tables]
    try:
        table = pa.concat_tables([t.replace_schema_metadata(None) for t in tables], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SertoolError(f"the manifests do not fit together: {_first_line(error)}") from None
    joined = _joined(table)
    chain = [
        step
        for position, one in enumerate(held)
        for step in one["chain"]
        if step not in held[0]["chain"] or not position
    ]
    features = {name: settings for one in held for name, settings in one["features"].items()}
    return ordered(with_provenance(joined, {"version": FORMAT_VERSION, "chain": chain, "features": features}))


def _joined(table: Table) -> Table:
    """Rows of equal clip id made one: each column's first value that is not null."""
    clips = codes(table, "clip")
    if len(clips.values) == len(table):
        return table
    first = _first_rows(clips.index, np.arange(len(table)), len(clips.values))
    result = {}
    for name in table.column_names:
        rows = np.flatnonzero(table.column(name).is_valid().to_numpy())
        source = _first_rows(clips.index, rows, len(clips.values))
        _refuse_conflict(table, name, clips, rows, source)
        result[name] = table.column(name).take(pa.array(source, mask=source < 0))
    order = pa.array(np.argsort(first, kind="stable"))
    return pa.table(result).take(order)


def _first_rows(index: np.ndarray, rows: np.ndarray, groups: int) -> np.ndarray:
    """The first of `rows` in each group, -1 for a group that has none."""
    first = np.full(groups, -1, np.int64)
    first[index[rows[::-1]]] = rows[::-1]
    return first


def _refuse_conflict(table: Table, name: str, clips: Codes, rows: np.ndarray, source: np.ndarray) -> None:
    if pa.types.is_list(table.schema.field(name).type) or name in ("size", "modified"):
        return
    values = codes(table, name).index
    differs = rows[values[rows] != values[source[clips.index[rows]]]]
    if len(differs):
        row, other = int(differs[0]), int(source[clips.index[differs[0]]])
        pair = [table.column(name)[r].as_py() for r in (other, row)]
        clip = clips.values[clips.index[row]]
        raise SertoolError(f"clip {clip} stands in two manifests with another {name}: {pair[0]} and {pair[1]}")


# Choosing rows.

CLAUSE = re.compile(r"\s*([A-Za-z_]\w*)\s*(!=|<=|>=|=|<|>|~)\s*(.*?)\s*", re.DOTALL)
COMPARE = {"<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal}


def where(table: Table, expressions: Iterable[str]) -> Table:
    """The rows for which every expression holds: `corpus=cremad|ravdess`, `age>=40`, `path~Actor_0`, `issue=`."""
    for expression in expressions:
        for clause in re.split(r"\s+and\s+", expression):
            table = table.filter(_mask(table, clause))
    return table


def _mask(table: Table, clause: str) -> pa.ChunkedArray:
    found = CLAUSE.fullmatch(clause)
    if not found:
        raise UsageError(f"--where takes COLUMN=VALUE (also != < <= > >= ~), joined by ' and ', not {clause!r}")
    name, operator, text = found.groups()
    if name not in table.column_names:
        raise UsageError(f"--where: no column {name}; there are {listed(table.column_names, 40)}")
    column = table.column(name)
    if operator in COMPARE:
        return pc.fill_null(COMPARE[operator](column, _scalar(column.type, text, clause)), False)
    if operator == "~":
        return _matching(column, text)
    equal = _equal(column, text, clause)
    return equal if operator == "=" else pc.invert(equal)


def _matching(column: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    try:
        return pc.fill_null(pc.match_substring_regex(_as_text(column), pattern), False)
    except pa.ArrowInvalid as error:
        raise UsageError(f"--where: {pattern!r} is no regular expression: {_first_line(error)}") from None


def _equal(column: pa.ChunkedArray, text: str, clause: str) -> pa.ChunkedArray:
    """Whether a value is one of those between bars; the empty text stands for null."""
    if pa.types.is_list(column.type):
        return pc.fill_null(pc.match_substring_regex(_as_text(column), f"(^|;)({text})(;|$)"), False)
    words = text.split("|")
    values = pa.array([_scalar(column.type, word, clause).as_py() for word in words if word], column.type)
    equal = pc.is_in(column, value_set=values)
    return pc.or_(equal, column.is_null()) if "" in words else equal


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.binary_join(column, ";") if pa.types.is_list(column.type) else column.cast(pa.string())


def _scalar(kind: pa.DataType, text: str, clause: str) -> pa.Scalar:
    try:
        return pa.scalar(text).cast(kind)
    except pa.ArrowInvalid:
        raise UsageError(f"--where {clause!r}: the column holds {kind}, which {text!r} is not") from None


def absolute(path: str | Path) -> str:
    """A path as the wire has it: absolute, links left as they are."""
    return os.path.abspath(os.fspath(path))
