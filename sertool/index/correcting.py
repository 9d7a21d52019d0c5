"""Correct what is said of some clips by tables of the user's (`--correct`)."""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from sertool.errors import UsageError
from sertool.index import labelling, tables, updating
from sertool.index.clips import qualified
from sertool.index.labelling import Candidate
from sertool.manifests import (
    casting,
    columns,
    duplicates,
    intake,
    labels,
    manifest,
    manifest_io,
    manifest_paths,
    merging,
)
from sertool.manifests.columns import Row
from sertool.manifests.manifest import Table
from sertool.numeric.codes import look_up
from sertool.system import talk
from sertool.system.files import listed


def corrected(table: Table, fixes: Iterable[tuple[str, Table]], mapping: dict[str, str]) -> tuple[Table, set[str]]:
    """Return the table with what files say of its clips, and the mapping's labels that occur in them.

    Clips and columns that a file does not name stay as they are, and so does a value where its cell is empty.
    """
    applied: set[str] = set()
    for file, said in fixes:
        told = said if "clip" in said.column_names else _of_their_clips(said, table, file)
        places = _places(told, table)
        if strange := int((places < 0).sum()):
            example = manifest.cell(told, "clip", int(np.argmin(places)))
            talk.warn(f"--correct {file}: {talk.counted(strange, 'clip')} not among those read, such as {example}")
        known, met = _fixes(manifest.keep(told, places >= 0), places[places >= 0], table, mapping, file)
        talk.say(f"--correct {file}: {talk.counted(len(known), 'clip')} as it says")
        table, applied = _with_fixes(table, known), applied | met
    return table, applied


def read(file: str, parts: Collection[str]) -> Table:
    """Read a table of corrections, whose columns may have the names that those of `--table` may have."""
    told = tables.with_our_names(manifest_io.read_table(file), parts)
    if "speaker" in told.column_names and not {"clip", "path"} & {*told.column_names}:
        intake.refuse_repeated(told.column_names, file)
        return intake.typed(told, file)
    told = intake.check(told, file)
    return manifest_paths.rebased(told, manifest_io.folder_of(file) or os.getcwd())


def _of_their_clips(told: Table, table: Table, file: str) -> Table:
    """Return what is told of speakers as told of each of their clips."""
    speakers = manifest.codes(table, "speaker")
    names = _speakers_meant(told, sorted(speakers.values), file)
    rows = look_up([names.get(name, -1) for name in speakers.values], speakers)
    is_told = rows >= 0
    known = [name for name in told.column_names if name != "speaker"]
    clips = manifest.keep(table, is_told).select(["clip"])
    return manifest.with_columns(clips, {name: manifest.taken(told, name, rows[is_told]) for name in known})


def _speakers_meant(told: Table, speakers: Sequence[str], file: str) -> dict[str, int]:
    """Return the row that tells of each speaker; names may lack the corpus where that is clear."""
    row_of: dict[str, int] = {}
    unknown = []
    for row, name in enumerate(manifest.column(told, "speaker")):
        if not name:
            raise UsageError(f"--correct {file}: row {row + 1:,} names no speaker")
        meant = [name] if name in speakers else [who for who in speakers if who.partition(":")[2] == name]
        if len(meant) > 1:
            raise UsageError(
                f"--correct {file}: speaker {name} may be {listed(meant, 4)}: write the name with the corpus"
            )
        unknown += [] if meant else [name]
        for who in meant:
            if row_of.setdefault(who, row) != row:
                raise UsageError(f"--correct {file}: speaker {who} stands twice")
    if unknown:
        there = listed(speakers, 4) or "none"
        raise UsageError(f"--correct {file}: no clip is of the speakers {listed(unknown, 4)}; there are {there}")
    return row_of


def _fixes(told: Table, places: np.ndarray, table: Table, mapping: dict[str, str], file: str) -> tuple[Table, set[str]]:
    """Return what is told of the table's clips at some places, by their ids, in our words."""
    names = [name for name in told.column_names if name in columns.FROM_NAMES or name in ("predicted", "confidence")]
    names += [f"p_{name}" for name in manifest.family(told, "p_")] + casting.own_columns(told)
    if not names:
        raise UsageError(f"--correct {file}: no column to correct, such as emotion; it has {listed(told.column_names)}")
    rows, clips = told.select(names).to_pylist(), manifest.column(table, "clip")
    corpora, speakers = manifest.column(table, "corpus"), {*manifest.codes(table, "speaker").values}
    for row, place in zip(rows, places.tolist(), strict=True):
        row["clip"] = clips[place]
        if (who := row.get("speaker")) and who not in speakers:
            row["speaker"] = qualified(who, row.get("corpus") or corpora[place]) or who
    own_words = {labels.plain(word): word for word, _ in manifest.counts(table, "emotion")}
    met = _settle_emotions(rows, own_words | mapping)
    kinds = {field.name: field.type for field in told.schema}
    return manifest.from_columns({"clip": [], **columns.of_rows(rows)}, kinds), met & mapping.keys()


def _settle_emotions(rows: Sequence[Row], mapping: dict[str, str]) -> set[str]:
    """Translate the emotions, or labels where there are none, and return the mapping's labels among them."""
    said = [Candidate(Path(), Path(row["clip"]), {"emotion": row.get("emotion") or row.get("label")}) for row in rows]
    met = labelling.settle_emotions(said, mapping)
    for row, clip in zip(rows, said, strict=True):
        label = clip.row.get("label")
        row["emotion"] = "" if label and not clip.row["emotion"] else clip.row["emotion"]  # "": it means no emotion
        row["label"] = row.get("label") or label
    return met


def _places(told: Table, table: Table) -> np.ndarray:
    """Return the row in the table of each clip, by its id, else by path and start, `[told]`; -1 if there is none."""
    by_id = {clip: place for place, clip in enumerate(manifest.column(table, "clip"))}
    is_file = manifest.originals(table) & ~manifest.lacking(table, "path")
    by_part = {part: place for place, part in enumerate(updating.parts(table)) if is_file[place]}
    clips_told = zip(manifest.column(told, "clip"), updating.parts(told), strict=True)
    return np.array([by_id.get(clip, by_part.get(part, -1)) for clip, part in clips_told], np.int64)


def _with_fixes(table: Table, fixes: Table) -> Table:
    """Set what is known in `fixes`, also in copies of its clips; conflicts of corrected labels are judged anew."""
    places = manifest.own_or_parents(table, {clip: row for row, clip in enumerate(manifest.column(fixes, "clip"))})
    before = manifest.column(table, "emotion")
    table = merging.replaced(table, fixes, places)
    is_other = [then != now for then, now in zip(before, manifest.column(table, "emotion"), strict=True)]
    return duplicates.forgotten(table, np.array(is_other, bool))
