"""Read files of features that another program made: a table with a row for each clip or frame, or arrays by clip."""

import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sertool.errors import SertoolError, UsageError, reason
from sertool.manifests import casting, columns, intake, manifest_io
from sertool.manifests.columns import CLIP_NAMES
from sertool.manifests.manifest import Table
from sertool.networks import tensorfile
from sertool.system import talk
from sertool.system.files import listed

ARRAYS = (".npz", ".safetensors")
TIMES = ("start", "end")
INDEX = re.compile(r"|unnamed: \d+|__index_level_\d+__")  # what pandas calls the numbers of rows


@dataclass(frozen=True)
class Piece:
    """The rows of one name, float32 `[rows, width]`, and where each lies in the audio file, if the file says that."""

    rows: np.ndarray
    starts: np.ndarray | None = None  # seconds, `[rows]`
    ends: np.ndarray | None = None  # NaN where unknown


Pieces = dict[str, Piece]


def read(file: str, feature: str) -> tuple[list[str], Pieces]:
    """Return the names of the columns of a file, and its rows by the name of the clip or audio file."""
    return _arrays(Path(file), feature) if file.endswith(ARRAYS) else _table(file)


# Arrays.


def _arrays(path: Path, feature: str) -> tuple[list[str], Pieces]:
    """Read arrays by name, `[columns]` or `[rows, columns]`."""
    arrays = _loaded(path)
    widths = {array.shape[-1] if array.ndim in (1, 2) and array.dtype.kind in "fiu" else 0 for array in arrays.values()}
    if len(widths) != 1 or 0 in widths:
        raise SertoolError("it needs arrays of numbers, [columns] or [frames, columns], all with equally many columns")
    (width,) = widths
    pieces = {name: Piece(_single(array.reshape(-1, width))) for name, array in arrays.items()}
    return _names(feature, width), pieces


def _loaded(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".safetensors":
        return tensorfile.read(path)[1]
    try:
        held = np.load(path, allow_pickle=False)
        if isinstance(held, np.ndarray):
            raise ValueError("a single array, without a name")
        with held:
            return {name: held[name] for name in held.files}
    except OSError as error:
        raise SertoolError(f"it cannot be read: {reason(error)}") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        raise SertoolError(
            "no arrays of numbers by name: save them with numpy.savez, without pickled objects"
        ) from None


def _single(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # an infinite number is reported
        return np.ascontiguousarray(values, dtype=np.float32)


# Tables.


def _table(file: str) -> tuple[list[str], Pieces]:
    """Read a table: a column with names, perhaps `start` and `end`, and columns of numbers."""
    table = manifest_io.read_table(file)
    intake.refuse_repeated(table.column_names, file)
    by_word = {name.strip().lower(): name for name in table.column_names}
    key = next((by_word[word] for word in CLIP_NAMES if word in by_word), None)
    if key is None:
        raise UsageError(f"no column of clips or paths ({listed(CLIP_NAMES, 4)}); it has {listed(table.column_names)}")
    held = _numbers_of(table)
    if not held:
        raise UsageError(f"no column of numbers but what is known of clips; it has {listed(table.column_names)}")
    taken = {*held, key, *(by_word.get(word) for word in TIMES)}
    if others := [name for name in table.column_names if name not in taken]:
        talk.say(f"{file}: {talk.counted(len(held), 'column')} of numbers taken as features, but not {listed(others)}")
    values = np.concatenate([*held.values()], axis=1)
    times = _seconds(table, by_word)
    names = [own for name, part in held.items() for own in _names(name, part.shape[1])]
    return names, _pieces(table.column(key).to_pylist(), values, times.get("start"), times.get("end"))


def _names(name: str, width: int) -> list[str]:
    return [f"{name}_{place}" for place in range(width)] if width > 1 else [name]


def _pieces(names: Sequence[Any], values: np.ndarray, starts: np.ndarray | None, ends: np.ndarray | None) -> Pieces:
    """Return the rows of each name, in the order of their times."""
    places: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        if name not in (None, ""):
            places[str(name)].append(row)
    if starts is not None:
        starts, ends = np.nan_to_num(starts), np.full(len(values), np.nan) if ends is None else ends
        return {name: _in_order(name, values[rows], starts[rows], ends[rows]) for name, rows in places.items()}
    if twice := next((name for name, rows in places.items() if len(rows) > 1), None):
        raise SertoolError(f"{twice} stands in {len(places[twice]):,} rows, and no column start says where each lies")
    return {name: Piece(values[rows]) for name, rows in places.items()}


def _in_order(name: str, rows: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> Piece:
    order = np.lexsort((ends, starts))
    piece = Piece(rows[order], starts[order], ends[order])
    twice = (np.diff(starts[order]) == 0) & ~(np.diff(ends[order]) > 0)
    if twice.any():
        raise SertoolError(
            f"{name} has two rows that start at {starts[order][twice.argmax()]:g} s: leave one of them out"
        )
    return piece


def _numbers_of(table: Table) -> dict[str, np.ndarray]:
    """Return the columns of numbers, each `[rows, width]`, which is 1 but for lists."""
    names = table.column_names
    unknown = [name for name in names if not _is_known(name, names)]
    read = {name: _numbers(table.column(name), name) for name in unknown}
    return {name: values for name, values in read.items() if values is not None}


def _is_known(name: str, beside: Collection[str]) -> bool:
    """Whether a column tells what manifests know of clips, which is no feature, or numbers the rows."""
    ours = columns.ours(name)
    known = ours in (*CLIP_NAMES, *columns.ELSEWHERE) or columns.kind_of(ours, beside) is not None
    return known or INDEX.fullmatch(ours) is not None


def _numbers(column: Any, name: str) -> np.ndarray | None:
    """Return a column's numbers, float32 `[rows, 1]` or, of lists, `[rows, width]`; None if it holds none."""
    if "list" in str(column.type):
        return _of_lists(column.to_pylist(), name)
    try:
        values = column.cast("double").to_numpy()
    except (ValueError, NotImplementedError):
        cells = column.to_pylist()
        numbers = [_number(cell) for cell in cells]
        odd = [row for row, number in enumerate(numbers) if number is None]
        if odd and all(number is None or np.isnan(number) for number in numbers):
            return None
        if odd:
            holds = f"{str(cells[odd[0]])[:40]!r} in row {odd[0] + 1:,}"
            raise SertoolError(
                f"column {name} holds {holds}, and numbers elsewhere: correct it, or leave it out"
            ) from None
        values = np.array(numbers, np.float64)
    return None if np.isnan(values).all() else _single(values[:, None])


def _of_lists(cells: Sequence[Any], name: str) -> np.ndarray:
    try:
        values = np.array(cells, np.float64)
    except (ValueError, TypeError):
        values = np.empty(0)
    if values.ndim != 2:
        raise SertoolError(f"column {name} holds lists that are not all of equally many numbers")
    return _single(values)


def _number(cell: Any) -> float | None:
    """Return a cell's number, NaN if it is empty; None if it is something else."""
    try:
        return float("nan" if cell is None or cell == "" else cell)
    except (TypeError, ValueError):
        return None


def _seconds(table: Table, by_word: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return the columns of times that a table has, in seconds, `[rows]`; NaN where there is none."""
    words = [word for word in TIMES if word in by_word]
    times = intake.in_seconds(table.select([by_word[word] for word in words]).rename_columns(words))
    return {word: casting.seconds(times.column(word), word).to_numpy() for word in words}
