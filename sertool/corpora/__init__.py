"""Which corpus a file belongs to, and what its name says: each file of this folder is one, and adding a file adds it.

A file imports nothing heavy, and says as literal facts what help, lists and `fetch` show and model files keep: `TITLE`,
`HOMEPAGE`, `LICENCE`, `CITATION` (BibTeX), `LANGUAGE`, `SPEAKERS`, `CLIPS`, `HOURS`, `EMOTIONS`; `LABELS`, the emotion
of each of its codes; `EXAMPLES`, the row of each of some paths; where it can be fetched, `SOURCES`, the first choice
first, as `sources` has them; and `PARTS`, {word: facts that differ}, if some are fetched by themselves. And it has

- `parse(path)`: the row of an absolute path, as far as its name and folders tell it, or None for a file that is not of
  the corpus. Columns are the manifest's; the speaker as the corpus has it; `key`, if the file's stem alone is not
  unique, what the clip is called;
- `enrich(rows, tables)`, where it has `SIDE_TABLES`, names of files: add to rows, whose `stem` is their file's, what
  those tables say that are there, {name: path}.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePath

from sertool import catalogue

Row = dict[str, object]
Parse = Callable[[PurePath], Row | None]
SAMPLE = 16  # files of a folder that are shown to every corpus

names = partial(catalogue.names, "corpora")
load = partial(catalogue.load, "corpora")


def recognise(paths: Sequence[Path], only: str | None = None) -> list[tuple[str, Row] | None]:
    """For each absolute path its corpus and what the name says, or None.

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
    """The corpus that knows most of the files; of two that know as many, the one that reads more out of their names.

    A corpus that knows fewer of them than nobody knows does not get the folder: a few names can agree by accident.
    """
    read_by_any: set[int] = set()
    scores = {}
    for name, parse in parsers.items():
        rows = {index: row for index, path in enumerate(sample) if (row := parse(path)) is not None}
        read_by_any |= rows.keys()
        scores[name] = (len(rows), sum(map(len, rows.values())))
    best = max(scores, key=scores.__getitem__)
    return best if scores[best][0] >= max(1, len(sample) - len(read_by_any)) else None
