"""Read the division that a manifest has: its column `split` or `fold`, and how the clips were divided."""

import shlex
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sertool.divisions import protocols
from sertool.divisions.splits import PARTS
from sertool.manifests import labels, manifest, provenance
from sertool.manifests.manifest import Table
from sertool.numeric.codes import Codes, look_up
from sertool.system import talk
from sertool.system.files import listed

COLUMNS = ("split", "fold")  # where a manifest has both, the split decides
UNNAMED = "its own split"  # whose making nobody named
OPTIONS = ("--protocol", "--split", "--folds")


def column(table: Table) -> str:
    """Return the name of the column that divides the clips: `split` or, if there is none, `fold`."""
    return "split" if "split" in table.column_names else "fold"


def parts(table: Table) -> Codes | None:
    """Return the part or the fold of every clip, or None if the manifest is not divided."""
    name = column(table)
    return manifest.codes(table, name) if name in table.column_names else None


def replaced(table: Table, name: str, places: Any) -> Table:
    """Return the table with this split or fold, and without the column of the other kind."""
    (other,) = {*COLUMNS} - {name}
    return manifest.with_column(manifest.without(table, other), name, places)


def has_both(table: Table) -> bool:
    """Whether any clip has both a part of a split and a fold."""
    if not {*COLUMNS} <= {*table.column_names}:
        return False
    return bool(np.logical_and(*(~manifest.lacking(table, name) for name in COLUMNS)).any())


def without_empty_columns(table: Table) -> Table:
    """Return the table without a `split` or `fold` that is null in all rows."""
    for name in COLUMNS:
        table = manifest.without(table, name) if manifest.lacking(table, name).all() else table
    return table


def strange_parts(table: Table) -> list[str]:
    """Return the values of `split` that name no part."""
    return [word for word in manifest.codes(table, "split").values if word not in PARTS]


def with_parts_named(table: Table, meant: Mapping[str, str]) -> tuple[Table, set[str]]:
    """Return the table with the user's names of parts translated, and those of them that occur in it.

    Where the user translates any, clips of other names are in no part.
    """
    coded = manifest.codes(table, "split")
    names = [labels.plain(word) for word in coded.values]
    usual = dict(zip(PARTS, PARTS, strict=True)) | ({} if "test" in names else labels.EVALUATION)
    part_of = usual | {**meant}
    parts = [part_of.get(name, "" if meant else word) for name, word in zip(names, coded.values, strict=True)]
    if parts == [*coded.values]:
        return table, set()
    words = [*dict.fromkeys(filter(None, parts))]
    index = look_up([words.index(part) if part else -1 for part in parts], coded)
    if without := int(((index < 0) & (coded.index >= 0)).sum()):
        others = listed(word for word, part in zip(coded.values, parts, strict=True) if not part)
        talk.say(f"split {others}: not in --parts, so no part for {talk.counted(without, 'clip')}")
    return manifest.with_column(table, "split", manifest.from_codes(index, words)), meant.keys() & {*names}


def holds_parts(table: Table, name: str, parts: Collection[str] = ()) -> bool:
    """Whether most cells of a column are names of `parts`, or usual ones, so that it looks like a split."""
    if not manifest.is_of_words(table, name) or "string" not in str(table.schema.field(name).type):
        return False
    counts = manifest.counts(table, name)
    named = sum(count for word, count in counts if labels.is_part(word) or labels.plain(word) in parts)
    return 2 * named > sum(count for _, count in counts)


def to_name(names: Sequence[str]) -> str:
    """Return the option that says what names of parts mean."""
    return f"--parts {shlex.quote(f'{names[0]}=PART')}"


def places_of_speakers(speakers: Iterable[str | None], places: Iterable[Any]) -> dict[str, Any]:
    """Return the split or fold of each speaker whose clips are all in one."""
    places_of: dict[str, set[Any]] = defaultdict(set)
    for speaker, place in zip(speakers, places, strict=True):
        if speaker:
            places_of[speaker] |= {place} - {None}
    return {speaker: own.pop() for speaker, own in places_of.items() if len(own) == 1}


def protocol(table: Table) -> str | None:
    """Return how the clips were divided: by the latest command that says so, else by a column with a single value.

    Corpora that were divided in several ways have all of these, joined by " and ", leaky ones first.
    """
    places = manifest.lacking(table, column(table))
    divided = table if places.all() else manifest.keep(table, ~places)
    names = {name for corpus in provenance.corpora(divided) or [""] if (name := _protocol_of_corpus(table, corpus))}
    if names:
        return " and ".join(sorted(names, key=lambda name: (protocols.named(name).keeps_speakers, name)))
    held = manifest.present(table, "protocol")
    return held[0] if len(held) == 1 else None


def _protocol_of_corpus(table: Table, corpus: str) -> str | None:
    for step in reversed(provenance.of(table)["chain"]):
        if provenance.is_about(step, corpus):
            name = str(step.get("protocol") or "") or _protocol_of(str(step.get("command", "")))
            if name:
                return name
    return None


def _protocol_of(command: str) -> str | None:
    """Return how a command divided clips, by its options."""
    try:
        arguments = shlex.split(command)
    except ValueError:
        arguments = command.split()
    words: list[str] = []
    for each in arguments:
        words += each.split("=", 1) if each.startswith("--") else [each]
    for option in OPTIONS:
        if option in words[:-1]:
            value = words[words.index(option) + 1]
            return f"{value} folds" if option == "--folds" else value
    return "loso" if "--loso" in words else None
