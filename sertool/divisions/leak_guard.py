"""The leak guard: finds what crosses from one part of a split, or from one fold, into another.

Rows are compared by their columns (`codes.Codes`), as in `splits`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sertool.divisions.splits import PARTS
from sertool.numeric.codes import Codes, families

# What should not cross: digest identifies a sound, parent joins a clip and its copies, overlap joins segments that
# share some of their sound, recording joins those of one file that name no speaker.
KINDS = ("speaker", "digest", "overlap", "parent", "sentence", "recording")
NAMED = {"digest": "equal sounds", "overlap": "overlapping segments", "recording": "recordings without a speaker"}


@dataclass(frozen=True)
class Finding:
    """Groups of one kind that are in more than one part."""

    kind: str  # one of KINDS
    groups: int  # how many cross
    rows: int  # rows in them
    examples: tuple[tuple[str, dict[str, int]], ...]  # the largest: name, and rows by part
    leak: bool  # whether it invalidates the result, or is only worth knowing

    @property
    def named(self) -> str:
        return NAMED.get(self.kind, self.kind)

    def __str__(self) -> str:
        shown = []
        for name, parts in self.examples:
            sizes = [f"{part} {rows:,}" for part, rows in parts.items()]
            shown.append(f"{name} ({', '.join(sizes[:5])}{', ...' if len(sizes) > 5 else ''})")
        return f"{self.named}: {self.groups:,} in more than one part, {self.rows:,} rows: {'; '.join(shown)}"


def audit(parts: Codes, groups: Mapping[str, Codes], strict_sentences: bool = False) -> list[Finding]:
    """Return what crosses parts or folds, by kind of group; rows without a part are ignored.

    Only KINDS in `groups` are examined, and clip for parent. Crossing sentences are a leak only if `strict_sentences`,
    and recordings without a speaker never are: they may contain several people.
    """
    findings, groups = [], by_family(groups)
    for kind in KINDS:
        group = groups.get(kind)
        if group is None:
            continue
        leak = strict_sentences if kind == "sentence" else kind != "recording"
        findings.append(_crossing(kind, group, parts, leak))
    return [finding for finding in findings if finding]


def by_family(groups: Mapping[str, Codes]) -> Mapping[str, Codes]:
    """Replace clip and parent by families, computed once for several audits."""
    clip, parent = groups.get("clip"), groups.get("parent")
    if clip is None or parent is None or not (parent.index >= 0).any():
        return groups
    return {name: group for name, group in groups.items() if name != "clip"} | {"parent": families(clip, parent)}


def _crossing(kind: str, group: Codes, parts: Codes, leak: bool) -> Finding | None:
    """Return a finding of the groups that cross parts, or None.

    Every row writes its part to its group's entry, and the last write remains: a group is in one part if and only if
    all its rows agree with it. That is linear in rows, needs no sorting, and works for any number of parts.
    """
    rows = (group.index >= 0) & (parts.index >= 0)
    member, part = group.index[rows], parts.index[rows]
    remained = np.zeros(len(group.values), dtype=part.dtype)
    remained[member] = part
    torn = np.zeros(len(group.values), dtype=bool)
    torn[member[remained[member] != part]] = True
    if not torn.any():
        return None
    part, member = part[torn[member]], member[torn[member]]
    sizes = np.bincount(member, minlength=len(torn))
    largest = np.argsort(-sizes, kind="stable")[: min(3, torn.sum())]
    examples = tuple((str(group.values[value]), _spread(part[member == value], parts)) for value in largest)
    return Finding(kind, int(torn.sum()), len(member), examples, leak)


def _spread(part: np.ndarray, parts: Codes) -> dict[str, int]:
    """Count rows by part: train before dev before test, folds by number."""
    sizes = {str(parts.values[place]): int(rows) for place, rows in enumerate(np.bincount(part)) if rows}
    return dict(
        sorted(sizes.items(), key=lambda item: (*(item[0] == name for name in PARTS[::-1]), len(item[0]), item[0]))
    )
