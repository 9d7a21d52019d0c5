"""Recognition of corpora and their file names: each file of this folder is one corpus, and adding a file adds it.

A file imports nothing heavy. Its literal constants are shown by help, lists and `fetch` and kept by model files:
`TITLE`, `HOMEPAGE`, `LICENCE`, `CITATION` (BibTeX), `LANGUAGE`, `SPEAKERS`, `CLIPS`, `HOURS`, `EMOTIONS`; `LABELS`, the
emotion of each of its codes; `EXAMPLES`, the rows of some paths; if it can be fetched, `SOURCES` in order of
preference, as described in `sources`; and `PARTS`, {word: facts that differ}, if parts can be fetched separately. It
also has

- `parse(path)`: the row of an absolute path, as far as its name and folders tell it; None for a file that is not of
  the corpus, and {} for a recording that its clips were cut from. Columns are the manifest's; the speaker is named as
  in the corpus; the emotion is None if its label means none; `key`, if the file's stem alone is not unique, is the
  clip's name;
- `enrich(rows, tables)`, if it has `SIDE_TABLES`, names of files or patterns of how their paths end: add to rows, whose
  `stem` is their file's, what those tables say that are there, {name or pattern: paths, the least nested first}.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePath

from sertool import catalogue

Row = dict[str, object]
Parse = Callable[[PurePath], Row | None]
SAMPLE = 16  # files of a folder that every corpus is tested on

names = partial(catalogue.names, "corpora")
load = partial(catalogue.load, "corpora")


def recognise(paths: Sequence[Path], only: str | None = None) -> list[tuple[str, Row] | None]:
    """Return the corpus of each absolute path and the row read from its name, or None.

    All files of one directory belong to one corpus, or to none; `only` names it for all directories.
    """
    if only is not None:
        return _rows(paths, only, load(only).parse)
    folders: dict[tuple[str, ...], list[int]] = {}
    for index, path in enumerate(paths):
        folders.setdefault(path.parts[:-1], []).append(index)
    parsers: dict[str, Parse] = {name: load(name).parse for name in names()} if folders else {}
    recognised: list[tuple[str, Row] | None] = [None] * len(paths)
    for members in folders.values():
        files = [paths[index] for index in members]
        owner = _owner(files[:: -(-len(files) // SAMPLE)], parsers)
        if owner is not None:
            for index, row in zip(members, _rows(files, owner, parsers[owner]), strict=True):
                recognised[index] = row
    return recognised


def _rows(paths: Sequence[Path], name: str, parse: Parse) -> list[tuple[str, Row] | None]:
    return [(name, row) if (row := parse(path)) is not None else None for path in paths]


def _owner(sample: Sequence[Path], parsers: dict[str, Parse]) -> str | None:
    """Return the corpus that parses most of the files; in a tie, the one that reads more columns from their names.

    A corpus that parses fewer of them than no corpus does gets none: a few names may match by accident.
    """
    read_by_any: set[int] = set()
    scores = {}
    for name, parse in parsers.items():
        rows = {index: row for index, path in enumerate(sample) if (row := parse(path)) is not None}
        read_by_any |= rows.keys()
        scores[name] = (len(rows), sum(map(len, rows.values())))
    best = max(scores, key=scores.__getitem__)
    return best if scores[best][0] >= max(1, len(sample) - len(read_by_any)) else None
