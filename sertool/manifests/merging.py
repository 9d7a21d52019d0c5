"""Combine several tables: stack them, and join the rows of the same clip."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sertool.errors import SertoolError, first_line
from sertool.manifests import casting, columns, duplicates, formats, manifest, provenance
from sertool.manifests.manifest import Table
from sertool.numeric.codes import Codes
from sertool.system import talk
from sertool.system.files import listed

MAY_DIFFER = ("size", "modified", "issue", "notes")  # as a file is looked at, copied, or joined by others
# hints for clips with one id that differ in a column
REMEDIES = {
    "path": "; of two corpora, index each with its own --corpus; of one that moved, index anew where it lies now"
}


def stacked(tables: Sequence[Table]) -> Table:
    """Stack tables, with the provenance of the first; a column that is text in one of them becomes text."""
    bare = [table.replace_schema_metadata(None) for table in with_common_types(tables)]
    table = pa.concat_tables(bare, promote_options="permissive")
    return manifest.ordered(table.replace_schema_metadata(tables[0].schema.metadata))


def with_common_types(tables: Sequence[Table]) -> list[Table]:
    """Cast columns of the same name to one type in all tables: one that can hold all their values, else text."""
    kinds: dict[str, set[pa.DataType]] = {}
    for field in (field for table in tables for field in table.schema):
        kinds.setdefault(field.name, set()).add(field.type)
    cast: list[dict[str, pa.ChunkedArray]] = [{} for _ in tables]
    for name in (name for name, held in kinds.items() if len(held) > 1):
        places = [place for place, table in enumerate(tables) if manifest.has(table, name)]
        try:
            cells = _of_one_type([tables[place].column(name) for place in places])
        except pa.ArrowException as error:
            raise SertoolError(f"the manifests do not fit together: column {name}: {first_line(error)}") from None
        for place, column in zip(places, cells, strict=True):
            cast[place][name] = column
    return [manifest.with_columns(table, own) for table, own in zip(tables, cast, strict=True)]


def _of_one_type(cells: Sequence[pa.ChunkedArray]) -> list[pa.ChunkedArray]:
    """Cast columns to a type that can hold all of them, else to text: beside names such as 01, 10 is a name."""
    schemas = [pa.schema([("", column.type)]) for column in cells]
    with suppress(pa.ArrowException):  # e.g. bool beside numbers, or more digits than the shared type has
        shared = pa.unify_schemas(schemas, promote_options="permissive").field(0).type
        return [column.cast(shared) for column in cells]
    return [
        formats.as_text(column) if pa.types.is_nested(column.type) else column.cast(pa.string()) for column in cells
    ]


def merged(tables: Sequence[Table]) -> Table:
    """Merge several tables: rows of the same clip are joined, and must agree in all columns that both have."""
    if len(tables) == 1:
        return tables[0]
    records = [provenance.of(table) for table in tables]
    corpora = [provenance.corpora(table) for table in tables]
    if any(own != corpora[0] for own in corpora):  # else every command was about all rows
        records = [provenance.told_of(record, own) for record, own in zip(records, corpora, strict=True)]
    chain: list[Any] = []
    for step in (step for record in records for step in record["chain"]):
        chain += [step] if step not in chain else []
    features = {name: settings for record in records for name, settings in record["features"].items()}
    _warn_of_namesakes(tables)
    merged_record = {"version": provenance.FORMAT_VERSION, "chain": chain, "features": features}
    return provenance.attached(_joined(stacked(tables)), merged_record)


def replaced(table: Table, by: Table, places: np.ndarray) -> Table:
    """Return the table with another's values; `places` is each row's there or -1.

    Null replaces nothing, and "" is a word of ours that becomes unknown.
    """
    table, by = with_common_types([table, by])
    values = {name: manifest.taken(by, name, places) for name in by.column_names if name != "clip"}
    for name, column in values.items():
        known = pc.coalesce(column, table.column(name)) if manifest.has(table, name) else column
        values[name] = casting.nulled(known, pc.equal(known, "")) if columns.kind_of(name) == "string" else known
    return manifest.with_columns(table, values)


def warn_of_namesakes(folders: Mapping[str, Iterable[object]]) -> None:
    """Warn of speakers of one name in several corpus folders of one name, as they count as one person."""
    if both := [(who, places) for who, held in folders.items() if len(places := [*map(str, held)]) > 1]:
        who, places = both[0]
        alike = f"{listed(places, 3)} have speakers of one name, taken for one person, such as {who}"
        talk.warn(
            f"{alike}: if they are several people, index each folder with its own --corpus, and join the manifests"
        )


def _warn_of_namesakes(tables: Sequence[Table]) -> None:
    folders: dict[str, dict[str, None]] = {}
    for who, folder in (found for table in tables for found in _folders(table)):
        folders.setdefault(who, {})[folder] = None
    warn_of_namesakes(folders)


def _folders(table: Table) -> Iterator[tuple[str, str]]:
    """Yield each speaker with its corpus folder, found from the first clip, if the folder has the corpus' name."""
    if "path" in table.column_names:
        speaker = manifest.codes(table, "speaker")
        for who, row in zip(*np.unique(speaker.index, return_index=True), strict=True):
            clip, path = (str(manifest.cell(table, name, int(row))) for name in ("clip", "path"))
            before, found, rest = os.path.splitext(path)[0].rpartition(f"/{clip}")
            if who >= 0 and found and not rest:
                yield str(speaker.values[who]), f"{before}/{clip.partition('/')[0]}"


def _joined(table: Table) -> Table:
    """Join rows of equal clip id, taking each column's first non-null value."""
    if not manifest.repeats(table):
        return table
    clips = manifest.hashed_codes(table, "clip")
    first = _first_rows(clips, np.arange(len(table)))
    result = {}
    for name in table.column_names:
        rows = np.flatnonzero(table.column(name).is_valid().to_numpy())
        if name == "issue":  # of several, the one that joining is least likely to end
            rows = rows[np.argsort(duplicates.passing(table)[rows], kind="stable")]
        source = _first_rows(clips, rows)
        _refuse_conflict(table, name, clips, rows, source)
        result[name] = manifest.taken(table, name, source)
    return pa.table(result).take(pa.array(np.argsort(first, kind="stable")))


def _first_rows(clips: Codes, rows: np.ndarray) -> np.ndarray:
    """Return the first of `rows` for each clip, -1 if there is none."""
    first = np.full(len(clips.values), -1, np.int64)
    first[clips.index[rows[::-1]]] = rows[::-1]
    return first


def _refuse_conflict(table: Table, name: str, clips: Codes, rows: np.ndarray, source: np.ndarray) -> None:
    if name in MAY_DIFFER:
        return
    values = manifest.codes(formats.flat(table.select([name])), name).index
    differs = rows[values[rows] != values[source[clips.index[rows]]]]
    if len(differs):
        row = int(differs[0])
        pair = f"{manifest.cell(table, name, int(source[clips.index[row]]))} and {manifest.cell(table, name, row)}"
        clip = manifest.cell(table, "clip", row)
        remedy = REMEDIES.get(name, "")
        raise SertoolError(f"clip {clip} stands in two manifests with another {name}: {pair}{remedy}")
