"""Copies of a manifest's rows, below them; what happens to each is drawn from clip, number and seed alone."""

import re
from collections.abc import Iterator

import numpy as np

from sertool import columns, effects, manifest, merging, splitting, talk
from sertool.codes import look_up
from sertool.effect_chains import EffectChain
from sertool.errors import SertoolError
from sertool.files import listed
from sertool.manifest import Table
from sertool.splits import PARTS, TRAIN

PIECE = 1 << 16  # rows drawn at once
NUMBERED = re.compile(r"#(\d{1,9})$")
NOT_INHERITED = ("digest", *columns.ANSWERS)  # what is known of the parent's numbers, and not of the copy's


def originals(table: Table) -> np.ndarray:
    """Which rows are multiplied, bool `[rows]`: usable, no copies themselves, and in train or nowhere."""
    held = manifest.usable(table) & manifest.originals(table)
    if "split" in table.column_names:
        part = manifest.codes(table, "split")
        held = held & look_up([word == PARTS[TRAIN] for word in part.values], part, True)
    return held


def appended(table: Table, how: EffectChain) -> Table:
    """The table with copies below its rows: each first one, then each second one, so that more change nothing above."""
    if strange := splitting.strange_parts(table):
        talk.warn(f"split {listed(strange)}: none of {', '.join(PARTS)}, so its rows get no copies")
    rows = np.flatnonzero(originals(table))
    if not len(rows):
        raise SertoolError(f"no row of {len(table):,} to copy: all are unusable, copies, or held out")
    pieces = list(talk.progress(_pieces(table, rows, how), None, "drawing", "piece"))
    made = merging.stacked([table, *pieces])
    said = ", ".join(effect.name.replace("_", "-") for effect in how.effects)
    spared = len(table) - len(rows)
    rest = f"; none of {talk.counted(spared, 'row')}: held out, unusable, or copies" if spared else ""
    count = talk.counted(len(made) - len(table), "copy")
    same = sum(manifest.column(piece, "augmentation").count(effects.text([])) for piece in pieces)
    plain = f"; nothing happens to {same:,} of them (--share)" if same else ""
    talk.say(f"{count} of {talk.counted(len(rows), 'clip')} with {said}{plain}{rest}")
    return made


def _pieces(table: Table, rows: np.ndarray, how: EffectChain) -> Iterator[Table]:
    answers = [f"p_{word}" for word in manifest.family(table, "p_")]
    shards = [name for feature in columns.features(table.column_names) for name in columns.of_feature(feature)]
    kept = [name for name in table.column_names if name not in {*NOT_INHERITED, *answers, *shards}]
    before = _copies_before(table)
    for turn in range(1, how.copies + 1):
        for start in range(0, len(rows), PIECE):
            held = table.take(rows[start : start + PIECE]).select(kept)
            parents = manifest.column(held, "clip")
            numbers = [before.get(parent, 0) + turn for parent in parents]
            yield _copied(held, parents, numbers, how)


def _copied(held: Table, parents: list[str], numbers: list[int], how: EffectChain) -> Table:
    pairs = list(zip(parents, numbers, strict=True))
    said = {
        "clip": [f"{parent}#{number}" for parent, number in pairs],
        "parent": parents,
        "augmentation": [how.draw(parent, number) for parent, number in pairs],
        "seed": [how.seed] * len(parents),
    }
    for name, values in said.items():
        held = manifest.with_column(held, name, values)
    return held


def numbers(table: Table) -> np.ndarray:
    """The number of each row's copy among those of its clip, from 1, int64 `[rows]`; 0 of clips themselves."""
    copies, made = ~manifest.originals(table), np.zeros(len(table), np.int64)
    made[copies] = [_number(clip) for clip in manifest.column(manifest.keep(table, copies), "clip")]
    return made


def _number(copy: str) -> int:
    """What stands behind the clip's name."""
    found = NUMBERED.search(copy)
    return int(found[1]) if found else 0


def _copies_before(table: Table) -> dict[str, int]:
    """The highest number of a copy that each parent has already, or that a file which is called so has."""
    highest: dict[str, int] = {}
    for found in filter(None, map(NUMBERED.search, manifest.column(table, "clip"))):
        parent = found.string[: found.start()]
        highest[parent] = max(highest.get(parent, 0), int(found[1]))
    if "parent" not in table.column_names:
        return highest
    copies = table.filter(table.column("parent").is_valid())
    for clip, parent in zip(manifest.column(copies, "clip"), manifest.column(copies, "parent"), strict=True):
        highest[parent] = max(highest.get(parent, 0), _number(clip))
    return highest
