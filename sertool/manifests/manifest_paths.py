"""Change the paths in a manifest: make them absolute, relative to a folder, or move them under a root."""

import os
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sertool.errors import UsageError
from sertool.manifests import columns, manifest
from sertool.manifests.manifest import Table
from sertool.system import talk
from sertool.system.paths import absolute, path_of, path_text, tidied

LAST_NAME = r"[^/\\]*$"
MOST_FOLDERS = 1000  # most folders looked for under --root
UNTIDY = r"^(file:)?//|[^:]//|/\.\.?/"  # one file may be spelt in many ways, which the leak guard must recognise
ABSOLUTE = r"^(/|[A-Za-z]:[\\/]|\\\\|file://)"


def rebased(table: Table, folder: str) -> Table:
    """Make relative paths absolute; they are relative to `folder`."""
    return _map_paths(table, lambda paths: _absolute(paths, folder))


def relative(table: Table, folder: str) -> Table:
    """Make paths under `folder` relative to it, with slashes on every system."""
    return _map_paths(table, lambda paths: _without(paths, folder))


def moved(table: Table, root: str) -> Table:
    """Move audio paths under `root`, where some suffix of them must exist; paths outside the old root stay."""
    if manifest.lacking(table, "path").all():
        return table
    column = table.column("path").drop_null()
    before = _place_before(column, root)
    if before is None:
        raise UsageError(f"--root {root}: no end of {path_of(column[0].as_py())} is there")
    rerooted = _map_paths(table, partial(_rerooted, before=before, root=absolute(root)), "path")
    unmoved = pc.equal(rerooted.column("path"), table.column("path"))
    if stayed := pc.sum(pc.fill_null(unmoved, False)).as_py():
        talk.say(f"--root {root}: {talk.counted(stayed, 'clip')} lay outside of {before}: looked for where they were")
    return rerooted


def _place_before(paths: pa.ChunkedArray, root: str) -> str | None:
    """Return the folder that `root` replaces: the one whose files are found under it most often, by folder.

    A folder is found if one of its files is.
    """
    folders = pc.replace_substring_regex(paths, LAST_NAME, "").combine_chunks().dictionary_encode()
    codes = folders.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(folders.dictionary) + 1))
    votes, listing = Counter[str](), cache(_listing)
    for number in np.linspace(0, len(ends) - 2, min(len(ends) - 1, MOST_FOLDERS)).astype(int):
        files = [path_of(text) for text in paths.take(order[ends[number] : ends[number + 1]]).to_pylist()]
        parts, names = Path(files[0]).parent.parts, {os.path.basename(path) for path in files}
        for cut in range(1, len(parts) + 1):
            votes[os.path.join(*parts[:cut])] += not names.isdisjoint(listing(os.path.join(root, *parts[cut:])))
    root_name = os.path.basename(absolute(root))
    best = max(votes, key=lambda place: (votes[place], os.path.basename(place) == root_name, -len(place)), default=None)
    return best if best and votes[best] else None


def _listing(folder: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


def _rerooted(paths: pa.Array, before: str, root: str) -> pa.Array:
    rerooted = _absolute(_without(paths, before), root)
    odd = pc.starts_with(paths, "file://")  # names that are not UTF-8
    if not pc.any(odd).as_py():
        return rerooted
    rows = zip(paths.to_pylist(), rerooted.to_pylist(), odd.to_pylist(), strict=True)
    return pa.array([_moved(text, before, root) if is_odd else path for text, path, is_odd in rows], pa.string())


def _moved(text: str, before: str, root: str) -> str:
    path = Path(path_of(text))
    return path_text(os.path.join(root, path.relative_to(before))) if path.is_relative_to(before) else text


def _map_paths(table: Table, change: Callable[[pa.Array], pa.Array], only: str | None = None) -> Table:
    """Return the table with its paths changed, chunk by chunk to save memory."""
    shards = (f"{feature}_shard" for feature in columns.features(table.column_names))
    names = {only} if only else {"path", *shards}
    for index, field in enumerate(table.schema):
        if field.name in names and pa.types.is_string(field.type):
            chunks = [change(chunk) for chunk in table.column(index).chunks]
            table = table.set_column(index, field, pa.chunked_array(chunks, pa.string()))
    return table


def _absolute(paths: pa.Array, folder: str) -> pa.Array:
    absolute = pc.match_substring_regex(paths, ABSOLUTE)
    if pc.all(absolute).as_py() is False:
        paths = pc.if_else(absolute, paths, _within(paths, folder))
    odd = pc.fill_null(pc.match_substring_regex(paths, UNTIDY), False)
    if not pc.any(odd).as_py():
        return paths
    return pc.replace_with_mask(paths, odd, pa.array(map(tidied, paths.filter(odd).to_pylist()), pa.string()))


def _within(paths: pa.Array, folder: str) -> pa.Array:
    """Join a folder and relative paths."""
    if path_text(folder) != folder:  # its name is not UTF-8
        texts = [None if text is None else path_text(os.path.join(folder, text)) for text in paths.to_pylist()]
        return pa.array(texts, pa.string())
    plain = pc.replace_substring_regex(paths, r"^(\./+)+", "")  # as `find` writes them
    return pc.binary_join_element_wise(pa.scalar(folder.rstrip(os.sep)), plain, os.sep)


def _without(paths: pa.Array, folder: str) -> pa.Array:
    if path_text(folder) != folder:  # its name is not UTF-8: URIs stay as they are
        return paths
    prefix = folder.rstrip(os.sep) + os.sep
    short = pc.utf8_slice_codeunits(paths, len(prefix))
    return pc.if_else(pc.starts_with(paths, prefix), pc.replace_substring(short, os.sep, "/"), paths)
