"""Turn what the command line names (folders, audio files, manifests, lists of paths) into one manifest."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sertool import corpora
from sertool.divisions import own_division, splits
from sertool.errors import UsageError
from sertool.index import clips, correcting, doctor, ratings, updating
from sertool.index.clips import qualified
from sertool.index.labelling import Labelling
from sertool.manifests import columns, duplicates, labels, manifest, manifest_io, merging, votes
from sertool.manifests.columns import Row
from sertool.manifests.manifest import Table
from sertool.numeric.codes import look_up
from sertool.sound import ffmpeg, folders
from sertool.sound.audio import KINDS
from sertool.system import talk
from sertool.system.files import listed
from sertool.system.paths import path_of

MOST_FOLDERS = 30  # more than this many folder names are taken for people or days, not emotions


@dataclass(frozen=True)
class IndexOptions:
    """How to examine and label files."""

    check: str = "header"
    jobs: int = 1
    labelling: Labelling = field(default_factory=Labelling)
    corrections: Sequence[str] = ()  # tables of what to correct of some clips
    update: Table | None = None
    source: str = "intended"  # or "perceived" or "soft": whether emotions follow from listeners' votes
    modality: str = "voice"  # what the listeners had


class Indexed(NamedTuple):
    """The manifest, the folders that could not be read or hold no audio, and whether corrections divide clips."""

    table: Table
    unseen: Sequence[Path]
    is_redivided: bool = False


@dataclass
class Sources:
    """The sources that the command line names, by kind."""

    roots: list[str] = field(default_factory=list)  # folders and audio files
    files: list[str] = field(default_factory=list)  # named in lists of paths
    tables: list[Table] = field(default_factory=list)

    def has_audio(self) -> bool:
        return bool(self.roots or self.files)


def read(sources: Sources, options: IndexOptions) -> Indexed:
    """Return one manifest of all sources: manifests are read, audio is examined."""
    tables, mapping, parts = sources.tables, options.labelling.mapping, options.labelling.parts
    applied: set[str] = set()
    unseen: Sequence[Path] = ()
    if sources.has_audio() or options.labelling.tables:
        built, applied = _build(sources, options)
        tables, unseen = [*tables, built.table], built.unseen
    elif options.labelling != Labelling(mapping=mapping, parts=parts) or options.update is not None:
        raise UsageError(
            "--corpus, --pattern, --table, --group and --update are for audio, and here are manifests only"
        )
    mapped_tables, labels_met = zip(*(_mapped(table, mapping) for table in tables), strict=True)
    told = [correcting.read(file, parts) for file in options.corrections]
    named_tables = _with_parts_named([*mapped_tables, *told], parts)
    read_tables, told = named_tables[: len(mapped_tables)], named_tables[len(mapped_tables) :]
    table, fixes = merging.merged(read_tables), zip(options.corrections, told, strict=True)
    if options.source != "intended":
        table = votes.labelled(table, options.source, options.modality, mapping)
    table, labels_corrected = correcting.corrected(table, fixes, mapping)
    labels.warn_of_unmet(mapping, applied.union(labels_corrected, *labels_met))
    return Indexed(table, unseen, any({*own_division.COLUMNS} & {*fix.column_names} for fix in told))


def _with_parts_named(tables: Sequence[Table], parts: Mapping[str, str]) -> list[Table]:
    """Return the tables with names of parts translated; warn of names that no table has."""
    named_tables, parts_met = zip(*(own_division.with_parts_named(table, parts) for table in tables), strict=True)
    for name in parts.keys() - set().union(*parts_met):
        talk.warn(f"--parts {name}={parts[name]} changes nothing: no clip is in a part {name!r}")
    return [*named_tables]


def exit_status(table: Table, unseen: Sequence[Path], *, strict: bool) -> int | None:
    """Return the exit code of a command that read a manifest: with `strict`, 1 if anything had to be left out."""
    if not strict:
        return None
    aside = {kind: count for kind, count, _ in doctor.issues(table)}
    return doctor.strict_status("clip", {"set aside": aside}, len(unseen))


def sort_sources(sources: Sequence[str], root: str | None, *, nul: bool = False) -> Sources:
    """Sort sources into folders and audio, manifests, and lists of paths."""
    sorted_sources = Sources()
    for source in sources:
        if source != "-" and (os.path.isdir(source) or Path(source).suffix.lower() in KINDS):
            sorted_sources.roots.append(source)
            continue
        data, zeros = manifest_io.read_bytes(source), nul and source == "-"
        if manifest_io.kind_of(data, nul=zeros) == "paths" and data.size:
            _add_listed(manifest_io.existing_paths(data, source, nul=zeros), sorted_sources)
        else:
            sorted_sources.tables.append(manifest_io.decode(data, source, root))
    if root and not sorted_sources.tables:
        raise UsageError(f"--root {root}: it is for audio that a manifest names, and there is none")
    return sorted_sources


def _add_listed(paths: list[str], sorted_sources: Sources) -> None:
    """Add the paths in a list: folders are searched as on the command line; all else is a clip, even if missing."""
    for path in paths:
        (sorted_sources.roots if os.path.isdir(path) else sorted_sources.files).append(path)


def _build(sources: Sources, options: IndexOptions) -> tuple[Indexed, set[str]]:
    """Return a manifest of the audio, and the mapping's labels that clips have."""
    search, unseen = _found(sources, options.labelling)
    old = options.update
    unreadable = [] if ffmpeg.program() else folders.unread(search.side)
    kept_rows = [] if old is None else updating.rows_to_keep(old, unseen, unreadable)
    rows, applied = clips.rows(search, options.labelling, [row["clip"] for row in kept_rows])
    old_rows = None if old is None else updating.by_path(old)
    examined = doctor.examine(rows, options.check, options.jobs, old_rows)
    if old is not None and old_rows is not None:
        paths = {row["path"] for row in rows}
        kept_rows = [row for row in kept_rows if row["path"] not in paths]  # paths that a list names, for example
        gone = len(old_rows.keys() - paths - {row["path"] for row in kept_rows})
        talk.say(f"{examined:,} files looked at, {len(paths) - examined:,} unchanged, {gone:,} gone")
    read_names = {name for row in rows for name in row}
    if kept_rows:
        talk.say(f"kept as they were, as they could not be looked at: {talk.counted(len(kept_rows), 'row')}")
        rows += kept_rows
    doctor.mark_odd_rates(rows)
    _say_unlabelled(rows, options)
    _say_nameless(rows, options.labelling)
    _say_of_one_voice(rows, options.labelling)
    table = manifest.from_columns(_columns(rows))
    if old is not None:
        table = updating.with_own_columns(table, old, read_names)
        updating.warn_of_left_out(table, old)
    return Indexed(duplicates.marked(table), unseen), applied


def _found(sources: Sources, how: Labelling) -> tuple[clips.Found, list[Path]]:
    """Return the audio, and the folders that could not be read or hold none, after warning of what is passed over."""
    search = clips.find(sources.roots, sources.files)
    for folder, why in search.failed:
        talk.warn(f"cannot look into {folder}: {why}")
    if not search.clips and not how.tables:
        raise UsageError(folders.no_audio(listed(sources.roots, 3), search.side))
    if unread := folders.unread(search.side):
        talk.say(folders.passed_over(unread))
    for root in search.bare:
        talk.warn(f"no audio under {root}: leave it out, unless something is to be there")
    return search, [*(folder for folder, _ in search.failed), *search.bare]


def _say_unlabelled(rows: Sequence[dict[str, Any]], options: IndexOptions) -> None:
    how = options.labelling
    without = [row for row in rows if not row.get("emotion") and not (options.source != "intended" and _has_votes(row))]
    if no_emotion := Counter(row["label"] for row in without if row.get("label")):
        labels_met = listed((f"{label} ({count:,})" for label, count in no_emotion.most_common()), 8)
        talk.say(f"labels of {no_emotion.total():,} of {talk.counted(len(rows), 'clip')} mean no emotion: {labels_met}")
    bare = [row for row in without if not row.get("label") and not ratings.are_known(row)]
    if bare and (len(rows) > 1 or how.tables):  # a single file may be indexed just to look at it
        count = f"{len(bare):,} of {talk.counted(len(rows), 'clip')}"
        ways = tuple(_columns_to_name(rows, "emotion") if how.tables else _ways_to_label(bare, how))
        end = f": {', or '.join(ways)}" if ways else ""
        talk.warn(f"no emotion is known of {count}, such as {bare[0]['clip']}{end}")


def _has_votes(row: Row) -> bool:
    return any(row[name] for name in row if name.startswith("votes_"))


def _ways_to_label(bare: Sequence[dict[str, Any]], how: Labelling) -> Iterator[str]:
    """Suggest how to label clips; the options are index's, as featurize and augment do not have them."""
    corpus = next((row["corpus"] for row in bare if _is_named_as_its_corpus(row)), None)
    if corpus and how.patterns:
        yield f"--pattern reads none: add {{emotion}}, or leave --pattern out, as {corpus} is recognised by its names"
        return
    if corpus and (tables := getattr(corpora.load(corpus), "SIDE_TABLES", ())):
        yield f"{corpus} has its labels in {listed(tables)}: index the folder that holds them, too"
        return
    names = dict.fromkeys(name for row in bare if not _says(row, name := Path(row["path"]).parent.name))
    folders = [name for name in names if not labels.canonical(name, how.mapping)]
    if 1 < len(folders) <= MOST_FOLDERS:
        first = labels.plain(folders[0])
        yield f"if the folders {listed(folders, 8)} are emotions, say which with `sertool index --map {first}=EMOTION`"
    if not how.patterns:
        yield "name their layout with `sertool index --pattern`, or their labels with `--table`"


def _says(row: Row, folder: str) -> bool:
    """Whether an option read a folder's name into the row, as that of the speaker for example."""
    return any(row[name] in (folder, qualified(folder, row["corpus"])) for name in row if name != "corpus")


def _is_named_as_its_corpus(row: dict[str, Any]) -> bool:
    known = row["corpus"] in corpora.names()
    return known and bool(corpora.load(row["corpus"]).parse(Path(path_of(row["path"]))))


def _say_nameless(rows: Sequence[dict[str, Any]], how: Labelling) -> None:
    """Warn that no speaker is known of any clip, if one of the tables' columns might name them."""
    ways = tuple(_columns_to_name(rows, "speaker")) if how.tables else ()
    if ways:
        talk.warn(f"no speaker is known of {talk.counted(len(rows), 'clip')}: {', or '.join(ways)}")


def _say_of_one_voice(rows: Sequence[dict[str, Any]], how: Labelling) -> None:
    """Warn if grouping by folder found a single speaker, as no speaker can then be held out."""
    speakers = {row.get("speaker") for row in rows}
    if how.group and len(rows) > 1 and len(speakers) == 1 and None not in speakers:
        talk.warn(f"--group {how.group} takes all clips for one speaker's, {speakers.pop()}")


def _columns_to_name(rows: Sequence[dict[str, Any]], ours: str) -> Iterator[str]:
    """Suggest renaming a column if no row has ours and some have columns of unknown meaning."""
    strangers = [name for name in dict.fromkeys(name for row in rows for name in row) if not columns.kind_of(name)]
    if strangers and not any(row.get(ours) for row in rows):
        yield f"--table reads it from a column {columns.named(ours)}, and has {listed(strangers)} besides"


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return rows as columns; there is always a column `notes`."""
    return columns.of_rows(rows) | {"notes": [row.get("notes") or None for row in rows]}


# Emotions.


def _mapped(table: Table, mapping: dict[str, str]) -> tuple[Table, set[str]]:
    """Return the table with its labels mapped to emotions, and the mapping's labels that occur in it.

    The user's mapping comes before the known synonyms: one manifest may have Anger where another has angry. Unknown
    words stay. So it is with the shares of votes.
    """
    keep = -2  # for -1 means no emotion
    table, applied = votes.with_shares_by_meaning(table, mapping)
    heard = (name.partition("_")[2] for name in manifest.family(table, "votes_"))
    applied |= mapping.keys() & map(labels.plain, heard)
    for name, knows in (("emotion", labels.canonical), ("label", labels.mapped)):
        coded, emotions = manifest.codes(table, name), manifest.codes(table, "emotion")
        applied.update(mapping.keys() & map(labels.plain, coded.values))
        emotion_of_word = [knows(word, mapping) for word in coded.values]
        if not {*emotion_of_word} - {None} or (name == "emotion" and emotion_of_word == [*coded.values]):
            continue
        words = [*dict.fromkeys([*emotions.values, *filter(None, emotion_of_word)])]
        places = {word: place for place, word in enumerate(words)} | {"": -1}
        place = look_up([keep if word is None else places[word] for word in emotion_of_word], coded, keep)
        index = np.where(place == keep, emotions.index, place)
        table = manifest.with_column(table, "emotion", manifest.from_codes(index, words))
    return table, applied


def only_emotions(table: Table, words: Sequence[str]) -> Table:
    """Return the rows of some emotions; refuse a word that no row has."""
    emotions = [word for word, _ in manifest.counts(table, "emotion")]
    names = []
    for word in words:
        name = word if word in emotions else labels.canonical(word)
        if name is None or name not in emotions:
            raise UsageError(f"--emotions: no clip is {word!r}; there are {listed(emotions, 30) or 'none'}")
        names.append(name)
    return manifest.only(table, "emotion", names)


def summary(table: Table) -> None:
    """Say what is in a manifest: clips, speakers, hours, emotions, and what the doctor found."""
    hours = manifest.total(table, "duration") / 3600
    speakers = len(manifest.counts(table, "speaker"))
    who = talk.counted(speakers, "speaker") if speakers else "speakers unknown"
    origin = listed(f"{name} {count:,}" for name, count in manifest.counts(table, "corpus"))
    talk.say(f"{talk.counted(len(table), 'clip')}, {who}, {hours:.2f} h" + (f" of {origin}" if origin else ""))
    for name, head in (("emotion", ""), ("split", "split: "), ("fold", "fold: ")):
        if counts := manifest.counts(table, name):
            counts = sorted(counts, key=_place) if head else counts
            talk.say(f"  {head}" + listed((f"{word} {count:,}" for word, count in counts), 30))
    if strange := own_division.strange_parts(table):
        talk.warn(
            f"split {listed(strange)}: none of {', '.join(splits.PARTS)}, so train refuses it: say which with "
            f"{own_division.to_name(strange)}"
        )
    _say_of_likely_split(table)
    ratings.say(table)
    doctor.report(table)


def _say_of_likely_split(table: Table) -> None:
    """Warn where no split is known, but a column of unknown meaning looks like one."""
    if {*own_division.COLUMNS} & {*table.column_names}:
        return
    for name in table.column_names:
        if columns.kind_of(name) is None and own_division.holds_parts(table, name):
            parts = listed(f"{word} {count:,}" for word, count in manifest.counts(table, name))
            talk.warn(f"no split is known, but column {name} looks like one ({parts}): name it split")


def _place(counted: tuple[str, int]) -> tuple[int, str]:
    """Return the sort key that puts parts and folds in their own order, whatever their sizes."""
    word = counted[0]
    if word in splits.PARTS:
        return splits.PARTS.index(word), word
    return int(word) if word.isdecimal() else len(splits.PARTS), word
