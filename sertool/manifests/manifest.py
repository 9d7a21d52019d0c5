"""The manifest: an Arrow table with one row per clip, and operations on its columns.

`casting` casts columns to our types, `merging` and `row_filter` join tables and choose rows, `intake` converts others'
tables, `provenance` records how a table was made, and `delimited`, `formats` and `manifest_io` read and write them.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import Table

from sertool.errors import SertoolError, first_line
from sertool.manifests import casting, columns
from sertool.numeric.codes import Codes, families, hashes

# Arrow's own allocators keep freed memory: the system's takes a third less for three million rows.
pa.set_memory_pool(pa.system_memory_pool())


def from_columns(values: Mapping[str, Any], kinds: Mapping[str, pa.DataType] | None = None) -> Table:
    """Make a table of lists or arrays, with the types of our columns, and `kinds` of others where they are known.

    Columns without any value are left out, but for clip, path and emotion.
    """
    arrays, typed = {}, columns.MEANINGS.keys() - columns.DIMENSIONS.keys()  # ratings may be words, and then stay so
    for name, column in values.items():
        try:
            array = pa.array(column, casting.kind(name) if name in typed else (kinds or {}).get(name))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise SertoolError(f"column {name}: {first_line(error)}") from None
        if array.null_count < len(array) or name in ("clip", "path", "emotion"):
            arrays[name] = array
    return casting.as_ours(ordered(pa.table(arrays)))


def ordered(table: Table) -> Table:
    """Put our columns in our order, and others after them as they were."""
    ours = [name for name in columns.MEANINGS if has(table, name)]
    return table.select(ours + [name for name in table.column_names if name not in columns.MEANINGS])


def repeats(table: Table) -> bool:
    """Whether a clip id is repeated."""
    keys = np.sort(clip_hashes(table))
    return bool((keys[1:] == keys[:-1]).any())


def missing_clips(keys: np.ndarray, table: Table) -> np.ndarray:
    """Return which clips, given by their hashes, have no row in a table, bool `[clips]`."""
    return ~np.isin(keys, clip_hashes(table))


def clip_hashes(table: Table) -> np.ndarray:
    """Return a hash of each row's clip id, uint64 `[rows]`."""
    return hashes(Values(table.column("clip")))


def same_rows(first: Table, second: Table) -> bool:
    """Whether two tables have the same columns and rows, whatever their provenance."""
    return first.schema.equals(second.schema) and first.equals(second)


# Columns.


def has(table: Table, name: str) -> bool:
    """Whether a table has a column, without making a list of all names, of which there may be thousands."""
    return bool(table.schema.get_all_field_indices(name))


class Values(Sequence[str]):
    """A sequence of strings kept in Arrow until indexed; `rows` selects and orders them."""

    def __init__(self, array: pa.Array | pa.ChunkedArray, rows: np.ndarray | None = None) -> None:
        self.array, self.rows = array, rows

    def __len__(self) -> int:
        return len(self.array if self.rows is None else self.rows)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            values = self.array[place] if self.rows is None else self.array.take(pa.array(self.rows[place]))
            return values.to_pylist()
        return self.array[int(place if self.rows is None else self.rows[place])].as_py()


def codes(table: Table, name: str) -> Codes:
    """Encode a column as integers and their values; an absent column is null in every row."""
    if not has(table, name):
        return Codes(np.full(len(table), -1, np.int32), ())
    return coded(_text(table.column(name)))


def coded(column: pa.ChunkedArray) -> Codes:
    """Encode a column of strings as integers and their values."""
    if not len(column):
        return Codes(np.zeros(0, np.int32), ())
    encoded = column.dictionary_encode()  # all chunks have the same dictionary, that of the whole column
    index = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in encoded.chunks]
    return Codes(np.concatenate(index), Values(encoded.chunk(0).dictionary))


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def hashed_codes(table: Table, name: str) -> Codes:
    """Like `codes`, by hashing, for mostly distinct values, whose dictionary would be a second copy of the column."""
    column = _text(table.column(name))
    keys = hashes(Values(column.fill_null("") if column.null_count else column))
    order = np.argsort(keys, kind="stable")
    new = np.append(True, np.diff(keys[order]) != 0)[: len(keys)]
    index = np.empty(len(keys), np.int32)
    index[order] = np.cumsum(new, dtype=np.int32) - 1
    if column.null_count:
        index[column.is_null().to_numpy()] = -1
    return Codes(index, Values(column, order[new]))


def distinct_codes(table: Table, name: str) -> Codes:
    """Like `codes`, for a column whose values are all distinct, such as clip ids."""
    return Codes(np.arange(len(table), dtype=np.int32), Values(table.column(name)))


def is_of_words(table: Table, name: str) -> bool:
    """Whether each cell of a column is a single word or number; also true of an absent column."""
    kind_of = table.schema.field(name).type if has(table, name) else pa.string()
    return not (pa.types.is_nested(kind_of) or casting.is_bytes(kind_of))


def words(table: Table, name: str) -> tuple[np.ndarray, Codes]:
    """Return the words in a column of lists: the row of each, and the words encoded."""
    if not has(table, name):
        return np.zeros(0, np.int64), Codes(np.zeros(0, np.int32), ())
    lists = table.column(name)
    return np.repeat(np.arange(len(table)), lengths(lists)), coded(pc.list_flatten(lists))


def lengths(lists: pa.ChunkedArray) -> np.ndarray:
    """Return the number of words in each row, `[rows]`."""
    return pc.fill_null(pc.list_value_length(lists), 0).to_numpy()


def column(table: Table, name: str, default: Any = None) -> list[Any]:
    """Return a column as Python values; an absent column is `default` in every row."""
    return table.column(name).to_pylist() if has(table, name) else [default] * len(table)


def own_or_parents(table: Table, places: Mapping[str, int]) -> np.ndarray:
    """Return the place of each row's clip, else of its parent, `[rows]`; -1 if neither has one."""
    clips, parents = column(table, "clip"), column(table, "parent")
    pairs = zip(clips, parents, strict=True)
    return np.array([places.get(clip, places.get(parent, -1)) for clip, parent in pairs], int)


def taken(table: Table, name: str, rows: np.ndarray) -> pa.ChunkedArray:
    """Return a column's values in some rows, null where a row is negative."""
    return table.column(name).take(pa.array(rows, mask=rows < 0))


def cell(table: Table, name: str, row: int) -> Any:
    """Return one value."""
    return table.column(name)[row].as_py()


def with_column(table: Table, name: str, values: Any) -> Table:
    """Return the table with a column set or replaced."""
    return with_columns(table, {name: values})


def with_columns(table: Table, values: Mapping[str, Any]) -> Table:
    """Return the table with columns set or replaced: one by one, thousands would take minutes."""
    arrays = {
        name: column if isinstance(column, pa.Array | pa.ChunkedArray) else pa.array(column, casting.kind(name))
        for name, column in values.items()
    }
    held = dict(zip(table.column_names, table.columns, strict=True)) | arrays
    fields = {field.name: field for field in table.schema}
    fields |= {name: pa.field(name, array.type) for name, array in arrays.items()}
    made = pa.table([*held.values()], pa.schema([*fields.values()], table.schema.metadata))
    return made if len(held) == table.num_columns else ordered(made)


def with_empty(table: Table, *names: str) -> Table:
    """Return the table with the named columns added as null where it lacks them."""
    for name in names:
        if not has(table, name):
            table = with_column(
                table,
                name,
                pa.nulls(len(table), casting.kind(name) or casting.TYPES.get(columns.OF_WINDOWS.get(name, ""))),
            )
    return table


def without(table: Table, name: str) -> Table:
    """Return the table without a column, if it has it."""
    return table.drop_columns([name]) if has(table, name) else table


def family(table: Table, prefix: str) -> list[str]:
    """Return the suffixes of a family of columns with this prefix (emotions); others' columns are left out."""
    names = [name for name in table.column_names if name.startswith(prefix) and name != prefix]
    ours = [
        name
        for name in names
        if not casting.is_ambiguous_name(name) or casting.can_be(table.column(name), casting.kind(name) or pa.float32())
    ]
    return [name[len(prefix) :] for name in ours]


def rated(table: Table) -> list[str]:
    """Return the columns of predicted ratings: `predicted_arousal` beside `arousal`, both of numbers."""
    pairs = {name: columns.predicted(name) for name in table.column_names}
    return [
        predicted
        for name, predicted in pairs.items()
        if predicted in pairs and all(casting.holds_numbers(table.column(each)) for each in (name, predicted))
    ]


def ratings(table: Table, names: Iterable[str]) -> np.ndarray:
    """Return columns of numbers, `[columns, rows]`; NaN is unknown, and so is what is not finite."""
    held = np.stack([table.column(name).to_numpy() for name in names])
    return np.where(np.isfinite(held), held, np.nan)


def by_word(table: Table, prefix: str, words: Mapping[str, str]) -> tuple[list[str], np.ndarray]:
    """Sum the columns of a family by the words that they stand for, `[rows, words]`.

    A null cell counts as 0, but a row without any value is NaN.
    """
    unique = sorted({*words.values()})
    summed, is_known = np.zeros((len(table), len(unique))), np.zeros(len(table), bool)
    for name, word in words.items():
        values = table.column(prefix + name).to_numpy()
        is_known |= ~np.isnan(values)
        summed[:, unique.index(word)] += np.where(np.isnan(values), 0, values)
    summed[~is_known] = np.nan
    return unique, summed


def from_codes(index: np.ndarray, values: Sequence[str]) -> pa.Array:
    """Decode strings; a negative code is null."""
    indices = pa.array(index, pa.int32(), mask=index < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(values, pa.string())).cast(pa.string())


def numbers(values: np.ndarray) -> pa.Array:
    """Convert floats to Arrow, NaN to null."""
    return pa.array(values, pa.float32(), mask=np.isnan(values))


def whole_numbers(values: np.ndarray) -> pa.Array:
    """Convert non-negative integers to Arrow, negative ones to null."""
    return pa.array(values, mask=values < 0)


def with_feature(table: Table, feature: str, place: tuple[np.ndarray, ...], shards: Sequence[str]) -> Table:
    """Return the table with a feature's location columns; `place` is shard (-1 for none), offset and rows."""
    shard, offset, rows = place
    table = with_column(table, f"{feature}_shard", from_codes(shard, shards))
    table = with_column(table, f"{feature}_offset", pa.array(offset, mask=shard < 0))
    return with_column(table, f"{feature}_rows", pa.array(rows, mask=shard < 0))


def lacking(table: Table, name: str) -> np.ndarray:
    """Return which rows are null in a column, bool `[rows]`; all if it is absent."""
    return table.column(name).is_null().to_numpy() if has(table, name) else np.ones(len(table), bool)


def usable(table: Table) -> np.ndarray:
    """Return which rows have no issue, bool `[rows]`."""
    return lacking(table, "issue")


def originals(table: Table) -> np.ndarray:
    """Return which rows are originals, not copies, bool `[rows]`."""
    return lacking(table, "parent")


def origins(table: Table) -> Codes:
    """Encode the clip that each row is, or is a copy of."""
    return families(distinct_codes(table, "clip"), codes(table, "parent"))


def keep(table: Table, rows: np.ndarray) -> Table:
    """Return the rows of a boolean mask."""
    return table if rows.all() else table.filter(pa.array(rows))


def only(table: Table, name: str, values: Sequence[str]) -> Table:
    """Return the rows whose value in a column is one of some words."""
    return table.filter(pc.is_in(table.column(name), value_set=pa.array(values, pa.string())))


def counts(table: Table, name: str) -> list[tuple[str, int]]:
    """Return the values of a column with their counts, most frequent first, without null."""
    coded = codes(table, name)
    totals = np.bincount(coded.index[coded.index >= 0], minlength=len(coded.values))
    return [(str(coded.values[i]), int(totals[i])) for i in np.argsort(-totals, kind="stable").tolist() if totals[i]]


def present(table: Table, name: str) -> list[str]:
    """Return the different values of a column, most frequent first, without null."""
    return [value for value, _ in counts(table, name)]


def total(table: Table, name: str) -> float:
    return (pc.sum(table.column(name)).as_py() or 0) if has(table, name) else 0


def digest(table: Table) -> str:
    """Return a digest of the clip ids in a table and their order."""
    lengths, letters = hashlib.sha256(), hashlib.sha256()
    for chunk in table.column("clip").chunks:
        lengths.update(pc.binary_length(chunk).to_numpy(zero_copy_only=False))
        letters.update(pc.binary_join(pa.ListArray.from_arrays([0, len(chunk)], chunk), "").buffers()[2] or b"")
    return hashlib.sha256(lengths.digest() + letters.digest()).hexdigest()[:16]
