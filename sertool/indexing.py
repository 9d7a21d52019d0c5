"""From whatever is named on the command line to one manifest: folders, audio files, manifests, lists of paths."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sertool import clips, doctor, labels, manifest, talk, wire
from sertool.audio import EXTENSIONS
from sertool.clips import Labelling
from sertool.errors import SertoolError, UsageError
from sertool.files import listed
from sertool.manifest import Table


@dataclass(frozen=True)
class Looking:
    """How files are looked at and labelled."""

    check: str = "header"
    jobs: int = 1
    how: Labelling = field(default_factory=Labelling)
    update: Table | None = None


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read(sources: Sequence[str], root: str | None, looking: Looking, *, nul: bool = False) -> Table:
    """One manifest of all sources: manifests are read, audio is looked at."""
    audio, tables = [], []
    for source in sources:
        if source != "-" and _is_audio(source):
            audio.append(source)
            continue
        data = wire.data(source)
        if wire.kind_of(data, nul=nul) == "paths":
            audio += wire.paths(data, source, nul=nul)
        else:
            tables.append(wire.decoded(data, source, root))
    if audio or looking.how.tables:
        tables.append(build(audio, looking))
    return manifest.merged(tables)


def _is_audio(source: str) -> bool:
    return os.path.isdir(source) or Path(source).suffix.lower() in EXTENSIONS


def build(roots: Sequence[str], looking: Looking) -> Table:
    """The manifest of the audio under some folders."""
    found = clips.find(roots)
    for failed in found.failed:
        talk.warn(f"cannot look into {failed}")
    if not found.paths and not looking.how.tables:
        raise UsageError(_nothing(roots, found.side))
    rows = clips.rows(found, looking.how)
    known = _rows_by_path(looking.update) if looking.update is not None else None
    looked = doctor.examine(rows, looking.check, looking.jobs, known)
    doctor.compare(rows)
    if known is not None:
        gone = len(known.keys() - {row["path"] for row in rows})
        talk.say(f"{looked:,} files looked at, {len(rows) - looked:,} unchanged, {gone:,} gone")
    _say_unlabelled(rows, looking.how)
    return manifest.from_columns(_columns(rows))


def _nothing(roots: Sequence[str], side: dict[str, Path]) -> str:
    holds = f"; it holds {listed(side, 3)}" if side else ""
    return f"no audio under {listed(roots, 3)} ({' '.join(EXTENSIONS)}){holds}"


def _rows_by_path(table: Table) -> dict[str, dict[str, Any]]:
    return {row["path"]: row for row in table.to_pylist()}


def _say_unlabelled(rows: Sequence[dict[str, Any]], how: Labelling) -> None:
    bare = [row for row in rows if not row.get("emotion")]
    if bare:
        hint = "" if how.pattern or how.tables else ": name their layout with --pattern, or their labels with --table"
        talk.warn(f"{len(bare):,} of {len(rows):,} clips have no emotion, such as {bare[0]['clip']}{hint}")


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Rows as columns; what a row does not know is null."""
    names = dict.fromkeys(name for row in rows for name in row)
    made = {name: [row.get(name) for row in rows] for name in names}
    made["notes"] = [row.get("notes") or None for row in rows]
    return made


# What listeners heard.


def labelled(table: Table, source: str, modality: str) -> Table:
    """Emotions from the listeners' votes: the word most of them chose (`perceived`), or each word's share (`soft`)."""
    prefix = f"votes_{modality}_"
    names = [name for name in table.column_names if name.startswith(prefix)]
    if not names:
        raise UsageError(
            f"--labels {source}: the manifest has no columns {prefix}*: index a corpus with its vote tables"
        )
    votes = np.array([manifest.column(table, name) for name in names], dtype=float).T
    words = [name.removeprefix(prefix) for name in names]
    if source == "soft":
        shares = votes / np.where(votes.sum(axis=1, keepdims=True) > 0, votes.sum(axis=1, keepdims=True), np.nan)
        for word, share in zip(words, shares.T, strict=True):
            table = manifest.with_column(table, f"soft_{word}", manifest.numbers(share))
        return table
    return manifest.with_column(table, "emotion", _pluralities(votes, words, manifest.column(table, "emotion")))


def _pluralities(votes: np.ndarray, words: list[str], intended: list[str | None]) -> list[str | None]:
    """The word with most votes; of several the intended one, else none."""
    made: list[str | None] = []
    for row, word in zip(np.nan_to_num(votes), intended, strict=True):
        best = [words[index] for index in np.flatnonzero((row == row.max()) & (row > 0))]
        made.append(best[0] if len(best) == 1 else word if word in best else None)
    ties = sum(word is None for word in made)
    if ties:
        talk.say(f"{ties:,} clips have no emotion that most listeners chose")
    return made


def only_emotions(table: Table, words: Sequence[str]) -> Table:
    """The rows of some emotions; a word that none has is an error that shows those there are."""
    there = dict(manifest.counts(table, "emotion"))
    wanted = [labels.canonical(word) or word for word in words]
    for word, name in zip(words, wanted, strict=True):
        if name not in there:
            raise UsageError(f"--emotions: no clip is {word!r}; there are {listed(there, 30)}")
    return manifest.where(table, [f"emotion={'|'.join(wanted)}"])


def summary(table: Table) -> None:
    """Say what is in a manifest: clips, speakers, hours, emotions, and what the doctor found."""
    hours = manifest.total(table, "duration") / 3600
    speakers = len(manifest.counts(table, "speaker"))
    parts = [f"{len(table):,} clips", f"{speakers} speakers" if speakers else "speakers unknown", f"{hours:.2f} h"]
    corpora = manifest.counts(table, "corpus")
    talk.say(", ".join(parts) + " of " + listed(f"{name} {count:,}" for name, count in corpora))
    emotions = manifest.counts(table, "emotion")
    if emotions:
        talk.say("  " + listed((f"{word} {count:,}" for word, count in emotions), 30))
    for name in ("split", "fold"):
        if name in table.column_names:
            talk.say(f"  {name}: " + listed(f"{word} {count:,}" for word, count in manifest.counts(table, name)))
    doctor.report(*(manifest.column(table, name) for name in ("issue", "notes", "clip")))


def refuse_empty(table: Table) -> Table:
    if not len(table):
        raise SertoolError("no clip is left: nothing matches --where or --emotions")
    return table
