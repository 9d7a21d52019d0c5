"""Append copies of a manifest's rows; a copy's effects are drawn from its clip, number and seed alone."""

import re
from collections.abc import Iterator

import numpy as np

from sertool import effects
from sertool.augment.effect_chains import EffectChain
from sertool.divisions import own_division
from sertool.divisions.splits import PARTS, TRAIN
from sertool.errors import SertoolError
from sertool.manifests import columns, manifest, merging
from sertool.manifests.manifest import Table
from sertool.numeric.codes import look_up
from sertool.system import talk
from sertool.system.files import listed

PIECE_ROWS = 1 << 16  # rows drawn at once
NUMBERED = re.compile(r"#(\d{1,9})$")
NOT_INHERITED = ("digest", *columns.ANSWERS)  # the parent's data that does not apply to a copy


def rows_to_copy(table: Table) -> np.ndarray:
    """Return which rows get copies, bool `[rows]`: usable ones that are no copies, in train or without a split."""
    multiplied = manifest.usable(table) & manifest.originals(table)
    if "split" in table.column_names:
        part = manifest.codes(table, "split")
        multiplied = multiplied & look_up([word == PARTS[TRAIN] for word in part.values], part, True)
    return multiplied


def appended(table: Table, effects_chain: EffectChain) -> Table:
    """Return the table with copies below its rows, all first copies before all second ones."""
    if strange := own_division.strange_parts(table):
        talk.warn(f"split {listed(strange)}: none of {', '.join(PARTS)}, so its rows get no copies")
    rows = np.flatnonzero(rows_to_copy(table))
    if not len(rows):
        raise SertoolError(f"no row of {len(table):,} to copy: all are unusable, copies, or held out")
    pieces = list(talk.progress(_pieces(table, rows, effects_chain), None, "drawing", "piece"))
    longer = merging.stacked([table, *pieces])
    names = ", ".join(effect.name.replace("_", "-") for effect in effects_chain.effects)
    spared = len(table) - len(rows)
    rest = f"; none of {talk.counted(spared, 'row')}: held out, unusable, or copies" if spared else ""
    count = talk.counted(len(longer) - len(table), "copy")
    same = sum(manifest.column(piece, "augmentation").count(effects.text([])) for piece in pieces)
    plain = f"; nothing happens to {same:,} of them (--share)" if same else ""
    talk.say(f"{count} of {talk.counted(len(rows), 'clip')} with {names}{plain}{rest}")
    return longer


def _pieces(table: Table, rows: np.ndarray, effects_chain: EffectChain) -> Iterator[Table]:
    answers = [f"p_{word}" for word in manifest.family(table, "p_")] + manifest.rated(table)
    shards = [name for feature in columns.features(table.column_names) for name in columns.of_feature(feature)]
    names = [name for name in table.column_names if name not in {*NOT_INHERITED, *answers, *shards}]
    before = _copies_before(table)
    for turn in range(1, effects_chain.copies + 1):
        for start in range(0, len(rows), PIECE_ROWS):
            piece = table.take(rows[start : start + PIECE_ROWS]).select(names)
            parents = manifest.column(piece, "clip")
            numbers = [before.get(parent, 0) + turn for parent in parents]
            yield _copied(piece, parents, numbers, effects_chain)


def _copied(table: Table, parents: list[str], numbers: list[int], effects_chain: EffectChain) -> Table:
    pairs = list(zip(parents, numbers, strict=True))
    values_of = {
        "clip": [f"{parent}#{number}" for parent, number in pairs],
        "parent": parents,
        "augmentation": [effects_chain.draw(parent, number) for parent, number in pairs],
        "seed": [effects_chain.seed] * len(parents),
    }
    for name, values in values_of.items():
        table = manifest.with_column(table, name, values)
    return table


def numbers(table: Table) -> np.ndarray:
    """Return each row's number among its clip's copies, from 1, int64 `[rows]`; 0 for originals."""
    copies, numbers_of_rows = ~manifest.originals(table), np.zeros(len(table), np.int64)
    numbers_of_rows[copies] = [_number(clip) for clip in manifest.column(manifest.keep(table, copies), "clip")]
    return numbers_of_rows


def _number(copy: str) -> int:
    """Return the number behind a copy's clip name."""
    match = NUMBERED.search(copy)
    return int(match[1]) if match else 0


def _copies_before(table: Table) -> dict[str, int]:
    """Return the highest copy number in use per parent; other files named like copies count, too."""
    highest: dict[str, int] = {}
    for match in filter(None, map(NUMBERED.search, manifest.column(table, "clip"))):
        parent = match.string[: match.start()]
        highest[parent] = max(highest.get(parent, 0), int(match[1]))
    if "parent" not in table.column_names:
        return highest
    copies = table.filter(table.column("parent").is_valid())
    for clip, parent in zip(manifest.column(copies, "clip"), manifest.column(copies, "parent"), strict=True):
        highest[parent] = max(highest.get(parent, 0), _number(clip))
    return highest
