"""Read tables of labels (`--table`): find the file that each row means, and take over its values."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from sertool.divisions import own_division, splits
from sertool.errors import SertoolError, UsageError
from sertool.index.labelling import Candidate, Row
from sertool.manifests import casting, columns, intake, labels, manifest_io
from sertool.manifests.labels import composed
from sertool.manifests.manifest import Table
from sertool.sound.audio import KINDS
from sertool.system import talk
from sertool.system.files import listed
from sertool.system.paths import absolute, path_of, path_text

IN_WORDS = ("issue", "notes")  # people may have filled in these; the files tell the others themselves
FEW_NAMESAKES = 8  # up to so many files of one name are compared directly, without indexing their folders


def listed_clips(clips: Sequence[Candidate], tables: Iterable[str], parts: Collection[str] = ()) -> list[Candidate]:
    """Return a clip for each row of the tables, with the file it means; a missing file keeps the path of its row.

    `parts` are names of parts besides the usual ones.
    """
    files = Files(clips)
    clip_of_row: dict[tuple[Path, object], Candidate] = {}
    for spec in tables:
        part, name = part_and_file(spec)
        for path, row in _rows(name, parts):
            root, whole = files.find(path) or _beside(name, path)
            is_lost = bool(clips) and not os.path.lexists(whole)
            clip = Candidate(root, whole, said=row | ({"split": part} if part else {}), is_lost=is_lost)
            before = clip_of_row.setdefault((whole, row.get("start")), clip)
            _agree(before, clip, spec)
    if not clip_of_row:
        raise SertoolError(f"--table {listed(tables)}: no rows with a path")
    if clips and not files.found:
        raise UsageError(f"--table {listed(tables)}: none of its paths is among the {len(clips):,} files found")
    if lacking := len(clips) - len(files.found):
        left_out = f"{talk.counted(lacking, 'file')} in no table, left out"
        if lacking > len(files.found):
            talk.warn(f"{left_out}: to keep them, and correct what is said of some, name the table with --correct")
        else:
            talk.say(left_out)
    return list(clip_of_row.values())


def _agree(before: Candidate, clip: Candidate, spec: str) -> None:
    """Merge what two rows say of one clip; refuse contradictions."""
    for name, value in clip.said.items():
        if before.said.setdefault(name, value) != value:
            pair = f"{before.said[name]} and {value}"
            votes = "; if listeners differ, count them in columns votes_voice_angry ..., and ask for --labels perceived"
            raise SertoolError(
                f"--table {spec}: {clip.path.name} has more than one {name}: {pair}"
                + (votes if name == "emotion" else "")
            )


def part_and_file(spec: str) -> tuple[str | None, str]:
    """Split `test=fold_1_test.jsonl` into part and file; a plain file name has no part."""
    before, equals, after = spec.partition("=")
    part = labels.part_named(before)
    return (part, after) if equals and part in splits.PARTS else (None, spec)


def with_absolute_path(spec: str) -> str:
    """Return `test=fold_1_test.jsonl` with the path made absolute."""
    part, name = part_and_file(spec)
    path = absolute(name)
    return f"{part}={path}" if part else path


def _rows(name: str, parts: Collection[str]) -> Iterator[tuple[str, Row]]:
    """Yield path and values of each row of a table."""
    read = manifest_io.read_table(name)
    table = with_our_names(read, parts)
    if "path" not in table.column_names:
        has = listed(read.column_names)
        raise UsageError(f"--table {name}: no column with paths ({listed(columns.PATH_NAMES, 4)}); it has {has}")
    intake.refuse_repeated(table.column_names, name)
    if measured := [column for column in table.column_names if column in columns.FILE]:
        tell = talk.say if {*measured} & {*IN_WORDS} else talk.detail
        tell(f"--table {name}: {listed(measured)} left out: the files tell that themselves")
    table = intake.typed(table.drop_columns(measured), name)
    table = intake.with_durations(table, name)
    for row in table.to_pylist():
        path = row.pop("path")
        if path:
            yield path_of(path), {key: value for key, value in row.items() if value is not None}


def with_our_names(table: Table, parts: Collection[str]) -> Table:
    """Rename the columns of another's table that mean one of ours, if not two of them do."""
    names = {column.strip().lower(): column for column in table.column_names}
    ids = () if "clip" in names else columns.ID_NAMES
    path_column = next((names[word] for word in (*columns.PATH_NAMES, *ids) if word in names), None)
    split_column = _split_column(table, names, parts)
    found = {name: name for name in table.column_names if _is_no_rating(table, name)}
    found |= {column: ours for column, ours in ((path_column, "path"), (split_column, "split")) if column}
    return table.rename_columns([*_our_names(table.column_names, found)])


def _is_no_rating(table: Table, name: str) -> bool:
    """Whether a column only looks like a rating: `act` or `val` of something else than numbers."""
    ours = columns.ours(name)
    other_name = ours in columns.DIMENSIONS and name.strip().lower() != ours
    return other_name and not casting.holds_numbers(table.column(name))


def _split_column(table: Table, names: Mapping[str, str], parts: Collection[str]) -> str | None:
    """Return the column with a usual name that holds a split, unless one is called so; `names` are by lower case."""
    usual = [names[word] for word in columns.SPLIT_NAMES if word in names and "split" not in names]
    return next((name for name in usual if own_division.holds_parts(table, name, parts)), None)


def _our_names(names: Sequence[str], found: Mapping[str, str]) -> Iterator[str]:
    """Yield our name for each column, or its own if ours is taken or it means nothing to us.

    `found` are those that were found already.
    """
    given = {name.strip().lower() for name in names}
    for name in names:
        word = name.strip().lower()
        ours = columns.ours(name)
        if name in found:
            yield found[name]
        elif ours != "path" and (ours in columns.MEANINGS or ours == "end") and (ours == word or ours not in given):
            given.add(ours)
            yield ours
        else:
            yield name if word != "path" else "path of the table"


def _beside(table: str, path: str) -> tuple[Path, Path]:
    """Return root and path of a missing file: in the working folder if it is there, else in the table's folder."""
    folders = (Path.cwd(), Path(absolute(table)).parent)
    root = next((folder for folder in folders if os.path.lexists(folder / path)), None)
    if root is None and path_text(path) != path:
        says = "is not UTF-8, and no file is called so: save the table as CSV UTF-8"
        raise SertoolError(f"--table {table}: {os.fsencode(path).decode('utf-8', 'replace')} {says}")
    root = root or folders[-1]
    return root, Path(absolute(root / path))


class Files:
    """Finds files by the end of their path, as a table's paths often start elsewhere or have another extension.

    A row means the file with its name that shares most folders with it, counted from the name upwards. Folders that
    occur nowhere among the files, such as those of another machine, are ignored. But if a row names a folder that does
    occur, only files in it can be meant: `train/a.wav` is never `dev/a.wav`, even if that is the only `a.wav`.
    """

    def __init__(self, clips: Sequence[Candidate]) -> None:
        self.clips = clips
        self.found: dict[int, str] = {}  # the path that means a file, by the file's index
        self.in_folder: dict[str, dict[str, list[int]]] = {}  # by name, then folder, for names that many files have
        self.by_stem: dict[str, list[int]] = defaultdict(list)
        self.by_any_case: dict[str, list[int]] = defaultdict(list)
        for index, clip in enumerate(clips):
            stem = composed(clip.path.stem)
            self.by_stem[stem].append(index)
            self.by_any_case[stem.casefold()].append(index)
        above = len(os.path.commonprefix([clip.root.parts for clip in clips]))
        places = {clip.path.parent for clip in clips}
        self.folders = {composed(name).casefold() for place in places for name in place.parts[above:]}

    def find(self, path: str) -> tuple[Path, Path] | None:
        """Return root and path of the file that a table's path means, or None."""
        path = os.path.normpath(composed(path).replace("\\", "/"))
        other_path = Path(path)
        stem = other_path.stem if other_path.suffix.lower() in KINDS else other_path.name
        folders = self.folders & {name.casefold() for name in other_path.parts[:-1]}
        paths = {index: Path(composed(str(self.clips[index].path))) for index in self._meant(stem, folders)}
        likeness = {index: _likeness(path, other_path) for index, path in paths.items() if _lies_in(path, folders)}
        highest = max(likeness.values(), default=None)
        best = [index for index, score in likeness.items() if score == highest]
        if not best:
            return None
        clip = self.clips[best[0]]
        if len(best) > 1:
            raise SertoolError(f"the table's {path} may be {clip.path} or {self.clips[best[1]].path}: give more of it")
        other = self.found.setdefault(best[0], path)
        if other != path:
            raise SertoolError(f"the table's {other} and {path} both seem to be {clip.path}: index their common folder")
        return clip.root, clip.path

    def _meant(self, stem: str, folders: set[str]) -> Sequence[int]:
        """Return the files with a name; if there are many, only those in the rarest of the folders."""
        places = self.by_stem.get(stem) or self.by_any_case.get(stem.casefold()) or []
        if len(places) <= FEW_NAMESAKES or not folders:
            return places
        if stem not in self.in_folder:
            inside = self.in_folder[stem] = defaultdict(list)
            for index in places:
                for name in {composed(part).casefold() for part in self.clips[index].path.parts[:-1]}:
                    inside[name].append(index)
        return min((self.in_folder[stem][name] for name in folders), key=len)


def _lies_in(path: Path, folders: set[str]) -> bool:
    """Whether a file lies in all these folders, ignoring case."""
    return not folders or folders <= {name.casefold() for name in path.parts[:-1]}


def _likeness(path: Path, other: Path) -> tuple[int, bool]:
    """Return how many folders above their names two paths share, and whether their extensions are equal."""
    shared = 0
    for left, right in zip(reversed(path.parts[:-1]), reversed(other.parts[:-1]), strict=False):
        if left != right:
            break
        shared += 1
    return shared, path.suffix == other.suffix
