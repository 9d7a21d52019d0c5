"""From paths to rows: whose clip a file is, and what its corpus, its name, its folder or a table says of it."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sertool import columns, corpora, labels, manifest, wire
from sertool.audio import EXTENSIONS
from sertool.errors import UsageError
from sertool.files import listed, path_of, path_text, walk

Row = dict[str, Any]
PATH_NAMES = (
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "wav",
    "wav_path",
    "audio",
    "audio_path",
)
OTHER_NAMES = {"emo": "emotion", "class": "emotion", "spk": "speaker", "speaker_id": "speaker", "gender": "sex",
               "lang": "language", "text": "sentence", "transcript": "sentence", "dur": "duration"}  # fmt: skip
PARTS = {"train": "train", "dev": "dev", "valid": "dev", "validation": "dev", "test": "test"}


@dataclass(frozen=True)
class Labelling:
    """How clips get their labels where their corpus is not known."""

    corpus: str | None = None
    pattern: str | None = None
    tables: tuple[str, ...] = ()
    group: str | None = None
    mapping: dict[str, str] = field(default_factory=dict)

    @property
    def known_corpus(self) -> str | None:
        return self.corpus if self.corpus in corpora.names() else None


@dataclass
class Found:
    """What lies under the given roots: audio, and the other files by lower-case name."""

    paths: list[tuple[Path, Path]] = field(default_factory=list)  # (root, audio file)
    side: dict[str, Path] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


def find(roots: Iterable[str]) -> Found:
    """Audio under folders, and files that were named themselves; each once."""
    found, seen = Found(), set()
    for name in roots:
        root = Path(manifest.absolute(name))
        if not os.path.lexists(root):
            raise UsageError(f"no such file or folder: {name}")
        for path in walk(root, found.failed) if root.is_dir() else [root]:
            if path.suffix.lower() not in EXTENSIONS and path != root:
                found.side.setdefault(path.name.lower(), path)
            elif path not in seen:
                seen.add(path)
                found.paths.append((root if root.is_dir() else root.parent, path))
    return found


def rows(found: Found, how: Labelling) -> list[Row]:
    """A row for each file, with all that its name and place tell."""
    paths = [path for _, path in found.paths]
    if how.pattern:
        made = _by_pattern(paths, how)
    else:
        made = _by_corpus(paths, how)
        _enrich(made, found.side)
        _by_folder(found.paths, made, how)
    if how.tables:
        paths, made = _by_tables(paths, made, how)
    roots = {path: root for root, path in found.paths}
    for path, row in zip(paths, made, strict=True):
        row["path"] = path_text(path)
        row.setdefault("corpus", how.corpus or (roots[path].name if path in roots else path.parent.name) or "clips")
        _finish(row, path, how)
    _name(paths, made, roots)
    return made


def _finish(row: Row, path: Path, how: Labelling) -> None:
    """Apply the mapping and the grouping, and qualify the speaker."""
    for word in (row.get("label"), row.get("emotion")):
        if word and _plain(str(word)) in how.mapping:
            row["emotion"] = how.mapping[_plain(str(word))]
    if how.group and not row.get("speaker"):
        parents = [p.name for p in path.parents if p.name and labels.canonical(p.name, how.mapping) is None]
        row["speaker"] = parents[0] if parents else None
    if row.get("speaker"):
        row["speaker"] = f"{row['corpus']}:{row['speaker']}"


def _plain(word: str) -> str:
    return word.strip().lower().replace(" ", "_").replace("-", "_")


def _name(paths: Sequence[Path], made: Sequence[Row], roots: dict[Path, Path]) -> None:
    """Give each row its clip id: corpus and key, longer where that is not unique."""
    keys = [row.pop("key", None) or path.stem for path, row in zip(paths, made, strict=True)]
    often = Counter(zip((row["corpus"] for row in made), keys, strict=True))
    taken: Counter[str] = Counter()
    for path, row, key in zip(paths, made, keys, strict=True):
        if often[row["corpus"], key] > 1 and path in roots:
            key = path.relative_to(roots[path]).as_posix()  # noqa: PLW2901 (the longer name of the same clip)
        clip = f"{row['corpus']}/{key}".encode("utf-8", "backslashreplace").decode()
        taken[clip] += 1
        row["clip"] = clip if taken[clip] == 1 else f"{clip}~{taken[clip]}"


# A corpus that is known by its layout.


def _by_corpus(paths: Sequence[Path], how: Labelling) -> list[Row]:
    made = []
    for path, match in zip(paths, corpora.recognise(paths, how.known_corpus), strict=True):
        made.append({"stem": path.stem} | ({"corpus": match[0], **match[1]} if match else {}))
    return made


def _enrich(made: Sequence[Row], side: dict[str, Path]) -> None:
    """Let each corpus add what its side tables know."""
    by_corpus: dict[str, list[Row]] = defaultdict(list)
    for row in made:
        if "corpus" in row:
            by_corpus[row["corpus"]].append(row)
    for name, members in by_corpus.items():
        module = corpora.load(name)
        tables = {table: side[table.lower()] for table in getattr(module, "SIDE_TABLES", ()) if table.lower() in side}
        if tables:
            module.enrich(members, tables)
    for row in made:
        row.pop("stem", None)


# One's own: a folder for each emotion, a pattern, a table.


def _by_folder(placed: Sequence[tuple[Path, Path]], made: Sequence[Row], how: Labelling) -> None:
    """Label what no corpus claimed by the folders between its root and itself, the root's own name included."""
    by_root: dict[Path, list[tuple[tuple[str, ...], Row]]] = defaultdict(list)
    for (root, path), row in zip(placed, made, strict=True):
        if "corpus" not in row:
            by_root[root].append(((root.name, *path.relative_to(root).parts[:-1])[::-1], row))
    for members in by_root.values():
        level = _emotion_level([folders for folders, _ in members], how.mapping)
        if level is None:
            continue
        words = [folders[level] if level < len(folders) else None for folders, _ in members]
        unknown = sorted({word for word in words if word and labels.canonical(_word(word), how.mapping) is None})
        if unknown and not how.tables:
            raise UsageError(_unknown_label("folder", unknown[0], len(unknown)))
        for (_, row), word in zip(members, words, strict=True):
            if word and word not in unknown:
                row.update(label=word, emotion=labels.canonical(_word(word), how.mapping))


def _emotion_level(folders: Sequence[tuple[str, ...]], mapping: dict[str, str]) -> int | None:
    """How far above the files the folders are that are named after emotions: at least half of the names are known."""
    for level in range(max(map(len, folders))):
        names = {parts[level] for parts in folders if level < len(parts)}
        known = sum(labels.canonical(_word(name), mapping) is not None for name in names)
        if known and known * 2 >= len(names):
            return level
    return None


def _word(folder: str) -> str:
    """The word of a folder's name that may be an emotion: `angry`, `05_angry`, `Actor1_angry`."""
    return folder if labels.canonical(folder) else re.split(r"[_\-. ]+", folder)[-1]


def _unknown_label(what: str, word: str, count: int) -> str:
    more = f" (and {count - 1} more)" if count > 1 else ""
    known = listed(labels.EMOTIONS, 8)
    return f"unknown emotion {word!r} in a {what}{more}: say what it means with --map {_plain(word)}=EMOTION ({known})"


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """`{speaker}/{sentence}_{emotion}.wav` as an expression for the end of a path; `{}` is anything."""
    fields = re.findall(r"\{(\w*)\}", pattern)
    unknown = [name for name in fields if name and name != "_" and columns.kind_of(name) is None]
    if not fields or unknown:
        wrong = f"{{{unknown[0]}}} is no column" if unknown else "it names no column"
        raise UsageError(f"--pattern {pattern!r}: {wrong}; use {{speaker}}, {{emotion}}, {{sentence}} ... or {{}}")
    pieces = re.split(r"\{(\w*)\}", pattern)
    seen: set[str] = set()
    parts = [_piece(text, index % 2 == 1, seen) for index, text in enumerate(pieces)]
    suffix = "" if re.search(r"\.\w+$", pattern) else r"\.\w+"
    return re.compile("(?:^|/)" + "".join(parts) + suffix + "$")


def _piece(text: str, is_field: bool, seen: set[str]) -> str:
    if not is_field:
        return re.escape(text)
    if text in ("", "_"):
        return "[^/]*?"
    if text in seen:
        return f"(?P={text})"
    seen.add(text)
    return f"(?P<{text}>[^/]+?)"


def _by_pattern(paths: Sequence[Path], how: Labelling) -> list[Row]:
    expression = compile_pattern(how.pattern or "")
    made = []
    for path in paths:
        match = expression.search(path.as_posix())
        made.append(dict(match.groupdict()) if match else {"notes": ["odd-name"]})
    if paths and not any("notes" not in row for row in made):
        raise UsageError(f"--pattern {how.pattern!r} matches no file; an example of what is there: {paths[0].name}")
    for row in made:
        row.update(_labelled(row, how, "file name"))
    return made


def _labelled(row: Row, how: Labelling, what: str) -> Row:
    """Canonical emotion and the code it came from."""
    word = row.get("emotion") or row.get("label")
    if not word:
        return {}
    emotion = labels.canonical(str(word), how.mapping)
    if emotion is None:
        raise UsageError(_unknown_label(what, str(word), 1))
    return {"emotion": emotion, "label": row.get("label") or str(word)}


def _by_tables(paths: Sequence[Path], made: Sequence[Row], how: Labelling) -> tuple[list[Path], list[Row]]:
    """The rows that the tables list, with what they say laid over what the names said."""
    known = _Lookup(paths)
    kept: dict[Path, Row] = {}
    for spec in how.tables:
        part, name = _part_and_file(spec)
        folder = Path(manifest.absolute(name)).parent
        for listed_path, values in _table_rows(name):
            at = known.find(listed_path) if paths else None
            path = paths[at] if at is not None else Path(os.path.join(folder, listed_path))
            row = dict(kept.get(path) or (made[at] if at is not None else {}))
            said = {**values, **({"split": part} if part else {})}
            row.update(said | _labelled(said, how, "table"))
            kept[path] = row
    if paths and not any(path in kept for path in paths):
        raise UsageError(f"--table {how.tables[0]}: none of its paths is among the {len(paths):,} files found")
    return list(kept), list(kept.values())


def _part_and_file(spec: str) -> tuple[str | None, str]:
    """`test=fold_1_test.jsonl` as the part and the file; a plain file name has no part."""
    before, equals, after = spec.partition("=")
    return (PARTS[before], after) if equals and before in PARTS else (None, spec)


def _table_rows(name: str) -> Iterable[tuple[str, Row]]:
    """Path and values of each row of a table."""
    table = wire.load(name)
    names = {column.strip().lower(): column for column in table.column_names}
    path_column = next((names[word] for word in PATH_NAMES if word in names), None)
    if path_column is None:
        raise UsageError(f"--table {name}: no column with paths ({listed(PATH_NAMES, 4)}); it has {listed(names)}")
    table = table.rename_columns([_column_name(column, path_column) for column in table.column_names])
    table = manifest.typed(table, name)
    for row in table.to_pylist():
        path = row.pop("path")
        if path:
            yield path_of(path), {key: value for key, value in row.items() if value is not None}


def _column_name(column: str, path_column: str) -> str:
    plain = column.strip().lower()
    if column == path_column:
        return "path"
    return OTHER_NAMES.get(plain, plain if columns.kind_of(plain) else column)


class _Lookup:
    """Files by the end of their path: a table's paths often start elsewhere, or end in another extension."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.by_stem: dict[str, list[int]] = defaultdict(list)
        for index, path in enumerate(paths):
            self.by_stem[path.stem].append(index)

    def find(self, listed_path: str) -> int | None:
        wanted = Path(listed_path.replace("\\", "/"))
        stem = wanted.stem if wanted.suffix.lower() in EXTENSIONS else wanted.name
        candidates = self.by_stem.get(stem, [])
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        return max(candidates, key=lambda index: _shared_tail(self.paths[index].parts, wanted.parts))


def _shared_tail(one: Sequence[str], other: Sequence[str]) -> int:
    """How many folders two paths share above their names."""
    count = 0
    for left, right in zip(reversed(one[:-1]), reversed(other[:-1]), strict=False):
        if left != right:
            break
        count += 1
    return count
