"""Write answers to a file or stdout: text row by row as they come, Parquet once all are there.

Clips keep the names that the caller gave them. As in every manifest, a path in a file is relative to the file's folder
if it lies under it; other paths, and those in a pipe, are absolute.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sertool.errors import NothingThereError, SertoolError, reason
from sertool.manifests import columns, manifest, manifest_io, manifest_paths, merging, provenance, streams
from sertool.manifests.answer_kinds import AnswerKind
from sertool.manifests.columns import Row
from sertool.manifests.manifest import Table
from sertool.system import files, paths, talk

LONG_TABLE_ROWS = 65_536  # rows that are held as dicts before they become a table


class AnswerFile(NamedTuple):
    """Where answers go (a file, or stdout), in which format, and the manifests that they come from.

    With `salvages`, the rows of an interrupted run are kept in a file beside it.
    """

    out: str | None
    kind: str
    read: Sequence[Table]
    salvages: bool = True

    @property
    def is_file(self) -> bool:
        return self.out not in (None, "-")


def write(rows: Iterator[Row], kind: AnswerKind, extra: Sequence[str], place: AnswerFile) -> None:
    """Write rows of answers of a kind, with `extra` columns."""
    if place.is_file:
        _require_writable(Path(str(place.out)))
    if place.kind in manifest_io.EXTENSIONS.values():
        folder = manifest_io.folder_of(place.out)
        rows = (row | {"path": _path_in(row["path"], folder)} for row in rows)
    if place.kind == "parquet":
        return _write_table(rows, kind, extra, place)
    text = streams.WRITERS[place.kind](rows, kind, extra)
    if place.is_file:
        with files.atomic_write(Path(str(place.out)), salvage=place.salvages) as stream:
            stream.writelines(line.encode("utf-8", "backslashreplace") for line in text)
        return None
    for line in text:
        sys.stdout.write(line)
        sys.stdout.flush()
    return None


def _require_writable(path: Path) -> None:
    """Refuse a file that cannot be written, before any work is done for it."""
    try:
        if not files.is_special(path):
            folder = Path(os.path.realpath(path)).parent
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise SertoolError(f"cannot write {path}: {reason(error)}") from None


def _path_in(text: str, folder: str | None) -> str:
    """Return a path as a manifest in the folder has it, or as a pipe has it; empty and foreign paths stay."""
    is_foreign = re.match(manifest_paths.ABSOLUTE, text) and not (os.path.isabs(text) or text.startswith("file://"))
    path = text if not text or is_foreign else paths.path_text(paths.absolute(paths.path_of(text)))
    under = os.path.join(folder, "") if folder else ""
    return path[len(under) :].replace(os.sep, "/") if under and path.startswith(under) else path


def _write_table(rows: Iterator[Row], kind: AnswerKind, extra: Sequence[str], place: AnswerFile) -> None:
    blocks: list[list[Row] | Table] = [[]]
    names = streams.names_of(kind, {}, extra)  # as in CSV, whatever the rows hold
    keeps = place.is_file and place.salvages and not files.is_special(Path(str(place.out)))
    unfinished = Path(f"{place.out}{files.UNFINISHED}")
    try:
        _gather(rows, blocks, names, place.read)
        manifest_io.write(_table(blocks, names, place.read), place.out, place.kind)
    except (KeyboardInterrupt, SertoolError) as error:
        if isinstance(error, NothingThereError) or not (any(map(len, blocks)) and keeps):
            raise
        manifest_io.write(_table(blocks, names, place.read), str(unfinished), place.kind)
        raise files.kept_so_far(error, unfinished) from None
    if keeps:
        unfinished.unlink(missing_ok=True)


def _gather(rows: Iterator[Row], blocks: list[list[Row] | Table], names: Sequence[str], read: Sequence[Table]) -> None:
    """Collect rows in the last block; a block that grows long becomes a table, which is a tenth as large."""
    for row in rows:
        last = blocks[-1]
        last.append(row)
        if len(last) == LONG_TABLE_ROWS:
            blocks[-1] = _block(last, names, read)
            blocks.append([])


def _block(rows: Sequence[Row], names: Sequence[str], read: Sequence[Table]) -> Table:
    """Return the rows as a table; columns that are not answers keep the types that they had in the manifests."""
    kinds = {field.name: field.type for table in read for field in table.schema if field.name not in names}
    return manifest.from_columns(columns.of_rows(rows), kinds)


def _table(blocks: Sequence[Sequence[Row] | Table], names: Sequence[str], read: Sequence[Table]) -> Table:
    """Return the rows as a manifest, with the provenance of the manifest that they come from, if it was one."""
    filled = [block for block in blocks if len(block)]
    tables = [block if isinstance(block, Table) else _block(block, names, read) for block in filled]
    nothing: dict[str, list[Any]] = {name: [] for name in names}
    table = merging.stacked(tables) if tables else manifest.from_columns(nothing)
    table = manifest.with_empty(table, *names)
    table = manifest.ordered(table.select([*(column for column in table.column_names if column not in names), *names]))
    return provenance.made_by(table, talk.command_line(), None, read[0] if len(read) == 1 else None)
