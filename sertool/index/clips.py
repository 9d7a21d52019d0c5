"""Turn folders, files and tables into a row per clip, with what its name, its place and a table say about it."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sertool.errors import SertoolError, UsageError
from sertool.index import labelling, tables
from sertool.index.labelling import Candidate, Labelling, Row
from sertool.manifests import columns, intake, labels, manifest, merging
from sertool.sound.folders import audio_under
from sertool.system import talk
from sertool.system.paths import Unlisted, absolute, path_text


@dataclass
class Found:
    """The audio under the given roots, and the other files."""

    clips: list[Candidate] = field(default_factory=list)
    side: list[Path] = field(default_factory=list)
    failed: list[Unlisted] = field(default_factory=list)
    bare: list[Path] = field(default_factory=list)  # roots without audio


def find(roots: Iterable[str], files: Iterable[str] = ()) -> Found:
    """Return audio under folders, and listed files whether they exist or not, each once."""
    search, alone = Found(), [Path(absolute(name)) for name in files]
    for name in roots:
        root = Path(absolute(name))
        if not os.path.lexists(root):
            raise UsageError(f"no such file or folder: {name}")
        if root.is_dir():
            _find_in(root, search)
        else:
            alone.append(root)
    common = _common(alone)
    search.clips += [Candidate(common or path.parent, path) for path in alone]
    first: dict[Path, Candidate] = {}
    for clip in search.clips:
        first.setdefault(clip.path, clip)
    search.clips = list(first.values())
    return search


def _find_in(root: Path, search: Found) -> None:
    no_audio: list[Path] = []
    clips = [Candidate(root, path) for path in audio_under(root, search.failed, no_audio)]
    search.clips += clips
    search.bare += [] if clips else [root]
    search.side += no_audio


def _common(files: Sequence[Path]) -> Path | None:
    """Return the deepest folder that all files are in; None if it has no name."""
    try:
        common = Path(os.path.commonpath([path.parent for path in files]))
    except ValueError:  # no files, or on several drives
        return None
    return common if common.name else None


def rows(search: Found, how: Labelling, used_names: Iterable[str] = ()) -> tuple[list[Row], set[str]]:
    """Return a row for each clip, with an id that is not in use, and the mapping's labels that clips have."""
    clips = tables.listed_clips(search.clips, how.tables, how.parts) if how.tables else search.clips
    labelling.by_path(clips, how, search.side)
    clips = _without_uncut(clips)
    for clip in clips:
        _add_said(clip)
    applied = labelling.settle_emotions(clips, how.mapping)
    present, lost = [clip for clip in clips if not clip.is_lost], [clip for clip in clips if clip.is_lost]
    by_folder = [clip for clip in present if not clip.row.get("corpus", how.corpus) and "speaker" not in clip.said]
    for clip in present:
        _finish(clip, how, clip.root.name or "clips", clip.folders)
    corpora = {clip.row["corpus"] for clip in present}
    alone = corpora.pop() if len(corpora) == 1 else None
    for clip in lost:
        _finish(clip, how, alone, ())
    _warn_of_namesakes(by_folder)
    _name(clips, used_names)
    return [clip.row for clip in clips], applied


def _without_uncut(clips: list[Candidate]) -> list[Candidate]:
    """Leave out recordings that a corpus has in clips, too, unless a table describes them or nothing else is there."""
    kept = [clip for clip in clips if clip.said or not clip.is_uncut]
    if not kept or len(kept) == len(clips):
        return clips
    talk.say(f"{talk.counted(len(clips) - len(kept), 'recording')} left out whose clips are files of their own")
    return kept


def _add_said(clip: Candidate) -> None:
    """Overwrite the row with the table's values; the table's emotion also removes the label read from the name."""
    if clip.said.keys() & {"emotion", "label"}:
        clip.row = {name: value for name, value in clip.row.items() if name not in ("emotion", "label")}
    clip.row.update(clip.said)


def _finish(clip: Candidate, how: Labelling, corpus: str | None, folders: Sequence[str]) -> None:
    """Fill in path, corpus, and speaker prefixed with the corpus; an unknown speaker stays unknown."""
    row = clip.row
    row["path"] = path_text(clip.path)
    row.setdefault("corpus", how.corpus or corpus)
    if how.group and not row.get("speaker"):
        grouped = (name for name in reversed(folders) if labelling.word_of_folder(name, how.mapping) is None)
        row["speaker"] = next(grouped, None)
    row["speaker"] = qualified((row.get("speaker") or "").strip(), row["corpus"])
    row.update((name, labels.composed(row[name])) for name in columns.WORDS if row.get(name))
    if row["path"] != str(clip.path):  # the path is not valid text, and neither may be what it says
        row.update((name, _text(value)) for name, value in row.items() if isinstance(value, str))


def qualified(who: str, corpus: str | None) -> str | None:
    """Return a speaker's name prefixed with that of the corpus; None if either is unknown."""
    if who.startswith(f"{corpus}:"):
        return who
    return f"{corpus}:{who}" if who and corpus else None


def _warn_of_namesakes(clips: Iterable[Candidate]) -> None:
    """Say which roots share names of speakers, where the corpus is named after the folder."""
    roots: dict[str, dict[Path, None]] = {}
    for clip in clips:
        if who := clip.row["speaker"]:
            roots.setdefault(who, {})[clip.root] = None
    merging.warn_of_namesakes(roots)


def _text(name: str) -> str:
    """Return a name with bytes that are not UTF-8 as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def _name(clips: Sequence[Candidate], used_names: Iterable[str]) -> None:
    """Give each row without a clip id a new one: corpus and key, or the path under the root."""
    files = {(clip.row["corpus"], clip.path): clip for clip in clips}
    often = Counter((corpus, _key(clip)) for (corpus, _), clip in files.items())
    names: Counter[str] = Counter(clip.row["clip"] for clip in clips if "clip" in clip.row)
    if twice := [name for name, count in names.items() if count > 1]:
        raise SertoolError(
            f"--table: clip {twice[0]} stands twice; clip ids must be unique: leave the column out for ids by path"
        )
    names.update(used_names)
    nameless = [clip for clip in clips if "clip" not in clip.row]
    for clip in nameless:
        corpus, key = clip.row["corpus"], _key(clip)
        name = key if often[corpus, key] == 1 else _inside(clip).as_posix()
        clip.row["clip"] = _text(f"{corpus}/{name}" if corpus else name)
    _name_parts(nameless)
    for clip in nameless:
        clip.row["clip"] = _unlike(clip.row["clip"], names)


def _name_parts(clips: Sequence[Candidate]) -> None:
    """Name the parts of one file by their start, as their number would change with other rows."""
    often = Counter((clip.row["corpus"], clip.path) for clip in clips)
    parts = [clip for clip in clips if often[clip.row["corpus"], clip.path] > 1]
    if parts:
        rows = manifest.from_columns({name: [clip.row.get(name) for clip in parts] for name in ("clip", "start")})
        for clip, name in zip(parts, intake.named_by_start(rows).to_pylist(), strict=True):
            clip.row["clip"] = name


def _unlike(name: str, names: Counter[str]) -> str:
    """Return the name, with a number from its second use on."""
    names[name] += 1
    return name if names[name] == 1 else _unlike(f"{name}~{names[name]}", names)


def _key(clip: Candidate) -> str:
    return clip.key or _inside(clip).with_suffix("").as_posix()


def _inside(clip: Candidate) -> Path:
    """Return the path relative to the root."""
    return clip.path.relative_to(clip.root) if clip.path.is_relative_to(clip.root) else Path(clip.path.name)
