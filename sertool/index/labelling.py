"""Label clips by their paths: by a corpus' naming scheme, a pattern of the user's, or folders named after emotions."""

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from sertool import corpora
from sertool.errors import UsageError
from sertool.manifests import columns, labels
from sertool.manifests.columns import Row
from sertool.system import talk
from sertool.system.files import listed

MOST_WORDS = 10  # unknown words shown
MISSPELT = 0.8  # likeness of a name to ours from which on it may be an error: {speeker}, but not {take}
NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class Labelling:
    """How clips get their labels, from the command line's options."""

    corpus: str | None = None
    patterns: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    group: str | None = None
    mapping: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)  # what names of parts mean


@dataclass
class Candidate:
    """A file, or a part of one, that will become a row."""

    root: Path  # the path named on the command line, or the folder of the table that lists it
    path: Path
    row: Row = field(default_factory=dict)
    key: str | None = None  # the file's name within its corpus
    said: Row = field(default_factory=dict)  # what a table says of it
    is_uncut: bool = False  # a corpus has its clips as files of their own
    is_lost: bool = False  # a table lists it, but it does not exist: its path gives no label

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """The folders that contain it, from the root's own name on."""
        inside = self.path.parent.parts[len(self.root.parts) :] if self.path.is_relative_to(self.root) else ()
        return (self.root.name, *inside)


def by_path(clips: Sequence[Candidate], how: Labelling, side: Sequence[Path]) -> None:
    """Label each clip by its path; `side` holds the files that are not audio."""
    if how.patterns:
        _by_patterns(clips, how.patterns)
    elif how.corpus is None or how.corpus in corpora.names():
        _by_corpus(clips, how.corpus, side)
    _by_folder([clip for clip in clips if not clip.row.keys() & {"corpus", "emotion", "label"}], how.mapping)


# Corpora with a known layout.


def _by_corpus(clips: Sequence[Candidate], only: str | None, side: Sequence[Path]) -> None:
    members: dict[str, list[Candidate]] = defaultdict(list)
    for clip, match in zip(clips, corpora.recognise([clip.path for clip in clips], only), strict=True):
        if match:
            clip.row = {"corpus": match[0], **match[1]}
            clip.key = clip.row.pop("key", clip.path.stem)
            clip.is_uncut = not match[1]
            members[match[0]].append(clip)
    if only and not members and clips:
        raise UsageError(f"--corpus {only}: no file is named as in {only}; an example: {clips[0].path.name}")
    _mark_strangers(clips)
    for name, of_corpus in members.items():
        _enrich(name, of_corpus, side)


def _mark_strangers(clips: Sequence[Candidate]) -> None:
    """Assign oddly named files beside those of a corpus to that corpus."""
    owners = {clip.path.parent: clip.row["corpus"] for clip in clips if clip.row}
    for clip in clips:
        if not clip.row and clip.path.parent in owners:
            clip.row = {"corpus": owners[clip.path.parent], "notes": ["odd-name"]}


def _enrich(name: str, clips: Sequence[Candidate], side: Sequence[Path]) -> None:
    """Let a corpus add labels from its side tables."""
    module = corpora.load(name)
    found = {pattern: _ending_in(pattern, side) for pattern in getattr(module, "SIDE_TABLES", ())}
    if tables := {pattern: paths for pattern, paths in found.items() if paths}:
        rows = [clip.row | {"stem": clip.path.stem} for clip in clips]
        module.enrich(rows, tables)
        for clip, row in zip(clips, rows, strict=True):
            del row["stem"]
            clip.row = row


def _ending_in(pattern: str, paths: Sequence[Path]) -> list[Path]:
    """Return the paths whose end fits a pattern such as `labels/*.txt`, in any case, the least nested first."""
    fitting = [path for path in paths if fnmatchcase(path.as_posix().lower(), f"*/{pattern.lower()}")]
    return sorted(fitting, key=lambda path: (len(path.parts), path))


# A folder for each emotion.


def _by_folder(clips: Sequence[Candidate], mapping: dict[str, str]) -> None:
    """Label a clip by the nearest folder whose siblings are mostly emotions; the roots count as folders."""
    places = [[(clip.root.parent, clip.folders[:depth]) for depth in range(len(clip.folders))] for clip in clips]
    beside: dict[tuple[Path, tuple[str, ...]], set[str]] = defaultdict(set)
    for clip, above in zip(clips, places, strict=True):
        for place, name in zip(above, clip.folders, strict=True):
            beside[place].add(name)
    emotional = {place for place, names in beside.items() if _mostly_emotions(names, mapping)}
    for clip, above in zip(clips, places, strict=True):
        nearest = next((depth for depth in reversed(range(len(above))) if above[depth] in emotional), None)
        if nearest is not None:
            name = clip.folders[nearest]
            clip.row["label"] = name
            if word := word_of_folder(name, mapping):
                clip.row["emotion"] = word


def _mostly_emotions(names: set[str], mapping: dict[str, str]) -> bool:
    """Whether most of the sibling folders are named after emotions; a single folder must be an emotion's exact name."""
    if len(names) == 1:
        return labels.canonical(next(iter(names)), mapping) is not None
    is_emotion = [word_of_folder(name, mapping) is not None for name in names]
    return 2 * sum(is_emotion) >= len(is_emotion)


def word_of_folder(name: str, mapping: dict[str, str]) -> str | None:
    """Return the word for an emotion in a folder's name: all of `Angry`, the last of `05_angry`.

    None if there is none, or if there are several emotions.
    """
    if labels.canonical(name, mapping) is not None:
        return name
    words = {word: labels.canonical(word, mapping) for word in re.split(r"[\W_]+", name) if word}
    emotional = [word for word, emotion in words.items() if emotion is not None]
    return emotional[0] if len({words[word] for word in emotional}) == 1 else None


# Patterns.


def compile_pattern(pattern: str, option: str = "--pattern") -> re.Pattern[str]:
    """Compile `{speaker}/{sentence}_{emotion}.wav` to an expression for the end of a path; `{}` matches anything."""
    pieces = re.split(r"\{(\w*)\}", labels.composed(pattern))
    pieces[1::2] = _our_names(pieces[1::2])
    names = [name for name in pieces[1::2] if _is_field(name)]
    measured = [name for name in names if name in columns.MEANINGS and name not in columns.FROM_NAMES]
    if measured or not names:
        wrong = f"{{{measured[0]}}} is not for names to say" if measured else "it says nothing of a clip"
        raise UsageError(f"{option} {pattern!r}: {wrong}; use {{speaker}}, {{emotion}}, {{sentence}} ..., {{}}")
    fields: set[str] = set()
    parts = [_piece(text, index % 2 == 1, fields) for index, text in enumerate(pieces)]
    suffix = "" if re.search(r"\.\w+$", pattern) else r"\.\w+"
    return re.compile("(?:^|/)" + "".join(parts) + suffix + "$")


def _our_names(names: Sequence[str]) -> list[str]:
    """Translate field names such as `{Speaker}` and `{gender}` to ours, unless another field has that name already."""
    our_name = {name: name for name in names}
    for name in our_name:
        ours = columns.ours(name)
        if ours in columns.FROM_NAMES and ours not in (*our_name.values(), *columns.DIMENSIONS):
            our_name[name] = ours
    return [our_name[name] for name in names]


def _is_field(name: str) -> bool:
    """Whether what stands in braces names a column, ours or one of the user's."""
    return name != "_" and name.isidentifier()


def _piece(text: str, is_field: bool, fields: set[str]) -> str:
    if not is_field:
        return re.escape(text)
    if not _is_field(text):
        return "[^/]*?"
    if text in fields:
        return f"(?P={text})"
    fields.add(text)
    return f"(?P<{text}>[^/]+?)"


def _by_patterns(clips: Sequence[Candidate], patterns: Sequence[str]) -> None:
    """Label each clip by the first pattern that its path matches."""
    unmet = {pattern: compile_pattern(pattern) for pattern in patterns}
    expressions = tuple(unmet.items())
    _warn_of_misspelt({name: None for expression in unmet.values() for name in expression.groupindex})
    for clip in clips:
        clip.row = {"notes": ["odd-name"]}
        for pattern, expression in expressions:
            if match := expression.search(labels.composed(clip.path.as_posix())):
                clip.row = _typed(match.groupdict(), clip.path)
                unmet.pop(pattern, None)
                break
    idle = " and ".join(map(repr, unmet))
    if clips and len(unmet) == len(expressions):
        shown = "/".join(clips[0].path.parts[-1 - max(pattern.count("/") for pattern in patterns) :])
        raise UsageError(f"no file matches --pattern {idle}; an example of what is there: {shown}")
    if clips and unmet:
        talk.warn(f"no file is read by --pattern {idle}: none matches, or an earlier one reads those that do")


def _warn_of_misspelt(fields: Collection[str]) -> None:
    """Warn of columns of one's own whose names are nearly ours, unless ours are there, too."""
    ours = [name for name in columns.FROM_NAMES if name not in fields]
    for name in fields:
        alike = get_close_matches(name.lower(), ours, 1, cutoff=MISSPELT)
        if alike and name not in columns.FROM_NAMES:
            talk.warn(f"--pattern: {{{name}}} is a column of your own; was {{{alike[0]}}} meant?")


def _typed(row: Row, path: Path) -> Row:
    """Convert the fields of some columns to numbers or to our words."""
    for name, ours in (("split", labels.part_named), ("sex", labels.sex_named)):
        if name in row:
            row[name] = ours(row[name])
    for name in row.keys() & {"age", "fold", *columns.DIMENSIONS}:
        is_whole = name not in columns.DIMENSIONS
        if not (row[name].isdecimal() if is_whole else NUMBER.fullmatch(row[name])):
            raise UsageError(f"--pattern: the {name} of {path.name} would be {row[name]!r}, which is no number")
        row[name] = int(row[name]) if is_whole else float(row[name])
    return row


# Meanings of labels.


def settle_emotions(clips: Sequence[Candidate], mapping: dict[str, str]) -> set[str]:
    """Set each row's canonical emotion: by the user's mapping of its code or word, else by the known synonyms.

    Returns the labels of the mapping that occur.
    """
    applied: set[str] = set()
    unknown: dict[str, Candidate] = {}
    for clip in clips:
        words = [str(clip.row[name]) for name in ("label", "emotion") if clip.row.get(name)]
        applied.update(mapping.keys() & map(labels.plain, words))
        meanings = [mapping.get(labels.plain(word)) for word in words]
        meanings += [word if word in mapping.values() else labels.canonical(word) for word in reversed(words)]
        emotion = next((meaning for meaning in meanings if meaning is not None), None)
        if emotion is not None:
            clip.row.update(emotion=emotion or None, label=words[0])
        elif words and clip.row.get("emotion", words) is not None:  # None: the corpus knows that its label means none
            unknown.setdefault(words[-1], clip)
    if unknown:
        (word, clip), *others = unknown.items()
        more = f" (and {listed((repr(other) for other, _ in others), MOST_WORDS)})" if others else ""
        plain = labels.plain(word)
        raise UsageError(
            f"unknown emotion {word!r} of {'/'.join(clip.path.parts[-2:])}{more}: say what it means "
            f"with {labels.to_map(plain, 'EMOTION')} ({listed(labels.EMOTIONS, 8)}), keep it with "
            f"{labels.to_map(plain, plain)}, or leave its clips without an emotion with {labels.to_map(plain, '')}"
        )
    return applied
