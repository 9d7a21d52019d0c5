"""Assign clips to train, dev and test, or to folds: speaker-disjoint splits and the published protocols.

Rows are compared by the values of their columns (`codes.Codes`), never by their position: the same clips and the same
seed give every clip the same part, whatever the order of the table.

A row that was made from another one (it has a parent) is a copy. Parts are drawn from the originals. A copy is in train
if its parent is, and in no part if its parent is held out.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, NamedTuple

import numpy as np

from sertool.codes import Codes, counts, families, find, hashes, look_up
from sertool.errors import UsageError

PARTS = ("train", "dev", "test")
TRAIN, DEV, TEST = range(3)
OTHER_WORDS = {
    "training": "train", "development": "dev", "devel": "dev", "validation": "dev", "valid": "dev", "val": "dev",
    "testing": "test",
}  # fmt: skip
MOST_FOLDS = 32_767
BUNDLES = 4096  # beyond this many groups, several are assigned together as one
KEEP = Mapping[str, Mapping[str, str]]  # earlier parts of groups, by column: {"speaker": {"cremad:1001": "train"}}

# The values of --split. `by` is the column whose groups are never divided. A protocol that names speakers lists those
# of train, dev and test, or those of each fold. Literals only: help and completions read them from the source.
PROTOCOLS = {
    "speaker": {
        "title": "speakers held out, 70/15/15 unless told otherwise",
        "kind": "split", "corpus": None, "leaky": False, "by": ["speaker"], "shares": "70/15/15",
    },
    "sentence": {
        "title": "sentences held out: what is said in test is never in train, though the speakers are",
        "kind": "split", "corpus": None, "leaky": False, "by": ["sentence"], "shares": "70/15/15",
    },
    "speaker+sentence": {
        "title": "speakers and sentences held out together; clips that would bridge two parts are left out",
        "kind": "split", "corpus": None, "leaky": False, "by": ["speaker", "sentence"], "shares": "70/15/15",
    },
    "loso": {
        "title": "leave one speaker out: a fold for each",
        "kind": "folds", "corpus": None, "leaky": False, "by": ["speaker"],
    },
    "cremad-nk": {
        "title": "CREMA-D, 57 speakers to train, 15 for dev, 19 for test",
        "kind": "split", "corpus": "cremad", "leaky": False, "by": ["speaker"],
        "speakers": [
            "1001-1091",
            "1005 1009 1013 1026 1030 1032 1036 1038 1041 1048 1051 1052 1069 1088 1089",
            "1004 1006 1007 1011 1016 1018 1029 1045 1049 1050 1055 1056 1058 1061 1066 1070 1074 1077 1091",
        ],
    },
    "cremad-blocks": {
        "title": "CREMA-D, five folds of neighbouring speakers",
        "kind": "folds", "corpus": "cremad", "leaky": False, "by": ["speaker"],
        "speakers": ["1001-1018", "1019-1036", "1037-1054", "1055-1072", "1073-1091"],
    },
    "ravdess-emobox": {
        "title": "RAVDESS, the six folds of EmoBox",
        "kind": "folds", "corpus": "ravdess", "leaky": False, "by": ["speaker"],
        "speakers": ["01 11 20 21", "04 10 12 14", "08 09 19 23", "03 05 07 24", "02 15 16 18", "06 13 17 22"],
    },
    "ravdess-luna": {
        "title": "RAVDESS, the five folds of Luna-Jimenez and others",
        "kind": "folds", "corpus": "ravdess", "leaky": False, "by": ["speaker"],
        "speakers": ["02 05 14 15 16", "03 06 07 13 18", "10 11 12 19 20", "08 17 21 23 24", "01 04 09 22"],
    },
    "tess-cross": {
        "title": "TESS, from one speaker to the other, both ways",
        "kind": "folds", "corpus": "tess", "leaky": False, "by": ["speaker"],
        "speakers": ["OAF", "YAF"],
    },
    "random-80-20": {
        "title": "LEAKY: clips at random, no dev",
        "kind": "split", "corpus": None, "leaky": True, "by": ["clip"], "shares": "80/20",
    },
    "random-70-30": {
        "title": "LEAKY: clips at random, 5 % of train for dev, seed 42",
        "kind": "split", "corpus": None, "leaky": True, "by": ["clip"], "shares": "66.5/3.5/30", "seed": 42,
    },
    "random-60-20-20": {
        "title": "LEAKY: clips at random",
        "kind": "split", "corpus": None, "leaky": True, "by": ["clip"], "shares": "60/20/20",
    },
    "random-70-15-15": {
        "title": "LEAKY: clips at random",
        "kind": "split", "corpus": None, "leaky": True, "by": ["clip"], "shares": "70/15/15",
    },
    "random-92-8-leaky-copies": {
        "title": "LEAKY: clips and their augmented copies (`augment --recipe clstm`) at random, no dev",
        "kind": "split", "corpus": None, "leaky": True, "by": ["clip"], "shares": "92/8",
        "copies": "clstm",  # the recipe's name for `augment --recipe`
    },
}  # fmt: skip


class SplitPlan(NamedTuple):
    """A parsed --split expression."""

    name: str
    shares: tuple[float, float, float] | None  # of train, dev and test, adding up to 1; None if it takes none


@dataclass(frozen=True)
class Division:
    """The part of every row, as `split` (an index into PARTS) or as `fold` (from 0); -1 for none."""

    split: np.ndarray | None = None  # int8
    fold: np.ndarray | None = None  # int16
    absent: tuple[str, ...] = ()  # speakers that the protocol names and the table lacks
    bridging: int = 0  # originals left out because their speaker and their sentence are in different parts
    outside: int = 0  # originals without a part: no sentence, or not a corpus or speaker of the protocol

    @property
    def parts(self) -> Codes:
        return split_codes(self.split) if self.fold is None else fold_codes(self.fold)


def split_codes(split: np.ndarray) -> Codes:
    """Return a split as a column."""
    return Codes(split, PARTS)


def fold_codes(fold: np.ndarray) -> Codes:
    """Return fold numbers as a column."""
    return Codes(fold, [str(number) for number in range(int(fold.max(initial=-1)) + 1)])


def part_named(word: str) -> str:
    """Return our name of a part, such as "dev" for "validation"; an unknown word is returned as it is."""
    plain = word.strip()
    lowered = plain.lower()
    return lowered if lowered in PARTS else OTHER_WORDS.get(lowered, plain)


# Parsing --split.


def entry(name: Any) -> dict[str, Any]:
    """Return the facts of a protocol from a --split expression, or an empty dict if it names none."""
    return PROTOCOLS.get(re.split("[:,]", str(name))[0], {})


def parse(text: str) -> SplitPlan:
    """Parse a --split expression: `speaker`, `speaker:70/15/15`, `sentence:train=80/test=20`, `cremad-nk` ..."""
    name, colon, shares = text.strip().partition(":")
    entry = PROTOCOLS.get(name)
    if entry is None:
        raise UsageError(f"--split: {name!r} is unknown; choose from {', '.join(PROTOCOLS)}")
    if colon and (entry["leaky"] or "shares" not in entry):
        takers = [other for other, facts in PROTOCOLS.items() if "shares" in facts and not facts["leaky"]]
        raise UsageError(f"--split: {name} takes no shares; {', '.join(takers)} do, such as speaker:70/15/15")
    shares = shares if colon else entry.get("shares")
    return SplitPlan(name, None if shares is None else _parse_shares(shares))


def _parse_shares(text: str) -> tuple[float, float, float]:
    """Parse `70/15/15`, `80/20` (train and test) or `train=80/test=20`, in percent or as fractions."""
    problem = (
        f"--split: shares are TRAIN/DEV/TEST or TRAIN/TEST, such as 70/15/15, 80/20 or train=80/test=20, not {text!r}"
    )
    words = text.split("/")
    if all("=" in word for word in words):
        pairs = [tuple(part.strip() for part in word.split("=", 1)) for word in words]
    else:
        pairs = list(zip({2: ("train", "test"), 3: PARTS}.get(len(words), ()), words, strict=False))
    try:
        shares = {name: float(number) for name, number in pairs}
    except ValueError:
        raise UsageError(problem) from None
    whole = sum(shares.values())
    sound = len(shares) == len(words) and "train" in shares and len(shares) > 1 and set(shares) <= set(PARTS)
    if not (sound and all(0 < share < float("inf") for share in shares.values())):
        raise UsageError(problem)
    if not any(abs(whole - right) < 1e-6 * right for right in (1, 100)):
        raise UsageError(f"--split: the shares {text} add up to {whole:g}, not to 100")
    train, dev, test = (shares.get(name, 0.0) / whole for name in PARTS)
    return train, dev, test


# Splits and folds of a table. Columns are given by name: clip, speaker, sentence, emotion, parent, corpus. A column
# that is not given is null in every row; clip is needed only for random splits and copies. Callers that place copies
# repeatedly may also pass `family`, which is otherwise computed from clip and parent.


def divide(
    plan: SplitPlan | str, columns: Mapping[str, Codes], seed: int | None = None, keep: KEEP | None = None
) -> Division:
    """Return the split or the folds that a --split expression asks for."""
    plan = parse(plan) if isinstance(plan, str) else plan
    entry = PROTOCOLS[plan.name]
    seed = entry.get("seed", 0) if seed is None else seed
    if "speakers" in entry:
        return _published(plan.name, columns)
    if plan.name == "loso":
        return _leave_one_out(columns)
    if entry["by"] == ["clip"]:
        return _clipwise(columns, plan.shares, seed, bool(entry.get("copies")))
    return _groupwise(entry["by"], columns, plan.shares, seed, keep or {})


def folds(count: int, columns: Mapping[str, Codes], seed: int = 0, keep: KEEP | None = None) -> Division:
    """Divide the speakers into `count` folds of similar size and emotions."""
    speaker, is_original = _speakers(columns), originals(columns)
    speakers_found = int((counts(speaker, is_original) > 0).sum())
    if not 2 <= count <= min(speakers_found, MOST_FOLDS):
        raise UsageError(f"--folds {count}: at least 2, and at most as many as there are speakers, {speakers_found:,}")
    kept_places = _numbers((keep or {}).get("speaker", {}), [str(number) for number in range(count)])
    place = _assign(speaker, _emotions(columns), is_original, [1 / count] * count, seed, kept_places)
    return Division(fold=_follow(look_up(place, speaker), columns, drop=False).astype(np.int16))


def places_to_keep(column: Codes, parts: Codes) -> dict[str, str]:
    """Return the part of each group in an older table, for `keep`; raise UsageError if a group is in two parts."""
    place = np.full(len(column.values), -1, dtype=np.int32)
    is_placed = (column.index >= 0) & (parts.index >= 0)
    place[column.index[is_placed]] = parts.index[is_placed]
    torn = is_placed & (look_up(place, column) != parts.index)
    if torn.any():
        row = int(np.argmax(torn))
        name, both = str(column.values[column.index[row]]), sorted((parts.index[row], place[column.index[row]]))
        raise UsageError(
            f"{name} stands in {' and in '.join(parts.values[part] for part in both)}: a split cannot keep that"
        )
    return {str(column.values[value]): parts.values[place[value]] for value in np.flatnonzero(place >= 0)}


def dev_of_fold(
    fold: np.ndarray, speaker: Codes, k: int, seed: int = 0, labelled: np.ndarray | bool = True
) -> np.ndarray:
    """Return which rows are for development when fold k is the test fold, bool `[rows]`.

    They are those of a seeded eighth of the speakers outside fold k with labelled rows: at least one speaker, unless
    only one is left to train.
    """
    tested = counts(speaker, fold == k) > 0
    rest = np.flatnonzero((counts(speaker, (fold >= 0) & labelled) > 0) & ~tested)
    size = 0 if len(rest) < 2 else max(1, (len(rest) + 4) // 8)
    is_dev = np.zeros(len(speaker.values), dtype=bool)
    is_dev[rest[np.argsort(hashes(speaker.values, (seed, k))[rest])[:size]]] = True
    return (fold >= 0) & (fold != k) & look_up(is_dev, speaker, False)


def split_of_fold(fold: np.ndarray, columns: Mapping[str, Codes], k: int, seed: int = 0) -> np.ndarray:
    """Return the split whose test part is fold k, int8 `[rows]`: indices into PARTS, -1 for copies outside train."""
    split = np.where(fold < 0, -1, np.where(fold == k, TEST, TRAIN)).astype(np.int8)
    labelled = columns["emotion"].index >= 0 if "emotion" in columns else True
    split[dev_of_fold(fold, columns["speaker"], k, seed, labelled)] = DEV
    return _follow(split, columns, drop=True)


# The kinds of division.


def _groupwise(
    by: Sequence[str], columns: Mapping[str, Codes], shares: Sequence[float], seed: int, keep: KEEP
) -> Division:
    """Split by whole speakers, whole sentences or both; with both, rows whose two parts differ are left out."""
    is_original, parts_of_groups = originals(columns), []
    for name in reversed(by):  # sentences first: if they are too few for all parts, speakers use only the parts filled
        group = _speakers(columns) if name == "speaker" else _sentences(columns)
        place = _assign(group, _emotions(columns), is_original, shares, seed, _numbers(keep.get(name, {}), PARTS))
        shares = np.where(np.isin(np.arange(len(PARTS)), place), shares, 0)
        parts_of_groups.append(look_up(place, group))
    first, last = parts_of_groups[0], parts_of_groups[-1]
    outside = is_original & ((first < 0) | (last < 0))
    bridging = is_original & ~outside & (first != last)
    split = np.where(first == last, first, -1).astype(np.int8)
    return Division(_follow(split, columns, drop=True), bridging=int(bridging.sum()), outside=int(outside.sum()))


def _leave_one_out(columns: Mapping[str, Codes]) -> Division:
    """Make one fold per speaker, in the order of their names."""
    speaker = _speakers(columns)
    present = np.flatnonzero(counts(speaker, originals(columns)))
    if not 2 <= len(present) <= MOST_FOLDS:
        raise UsageError(f"--split loso: it takes 2 to {MOST_FOLDS:,} speakers, and here are {len(present):,}")
    place = np.full(len(speaker.values), -1, dtype=np.int16)
    place[sorted(present, key=lambda value: str(speaker.values[value]))] = np.arange(len(present))
    return Division(fold=_follow(look_up(place, speaker), columns, drop=False))


def _published(name: str, columns: Mapping[str, Codes]) -> Division:
    """Return the parts or folds of a protocol that names its speakers."""
    entry, speaker, is_original = PROTOCOLS[name], _column(columns, "speaker"), originals(columns)
    part_of_speaker = speakers(entry)
    where = find(list(part_of_speaker), speaker.values)
    present = look_up(counts(speaker, is_original) > 0, Codes(where, speaker.values), False)
    if not present.any():
        needs = f"--split {name} needs the speakers of {entry['corpus']}"
        raise UsageError(f"{needs}; the manifest has {_inventory(columns)}")
    place = np.full(len(speaker.values), -1, dtype=np.int16)
    place[where[present]] = np.array(list(part_of_speaker.values()))[present]
    absent = tuple(compress(part_of_speaker, ~present))
    part = look_up(place, speaker)
    outside = int((is_original & (part < 0)).sum())
    if entry["kind"] == "folds":
        return Division(fold=_follow(part, columns, drop=False), absent=absent, outside=outside)
    return Division(_follow(part.astype(np.int8), columns, drop=True), absent=absent, outside=outside)


def speakers(entry: Mapping[str, Any]) -> dict[str, int]:
    """Return the part or fold of every speaker that a protocol names."""
    texts = enumerate(entry.get("speakers", ()))
    return {who: part for part, text in texts for who in _speaker_names(entry["corpus"], text)}


def _speaker_names(corpus: str, text: str) -> list[str]:
    """Expand `1001-1003 1007` to the speakers as a manifest names them: `cremad:1001` and so on."""
    numbers = []
    for word in text.split():
        first, _, last = word.partition("-")
        numbers += [str(number) for number in range(int(first), int(last) + 1)] if last else [first]
    return [f"{corpus}:{who}" for who in numbers]


def _clipwise(columns: Mapping[str, Codes], shares: Sequence[float], seed: int, copies: bool) -> Division:
    """Split clips at random, stratified by emotion: order them by emotion and seeded hash, pick at even intervals."""
    clip, (emotion, _) = columns["clip"], _emotions(columns)
    rows = np.flatnonzero(originals(columns) | copies)
    keys = hashes(clip.values, (seed,))[clip.index[rows]]
    rest = rows[np.lexsort((keys, emotion[rows]))]
    split = np.full(len(clip.index), -1, dtype=np.int8)
    split[rest] = TRAIN
    left = 1.0
    for part in (TEST, DEV):
        chosen = np.diff(np.floor(np.arange(len(rest) + 1) * (shares[part] / left) + 0.5)) > 0
        split[rest[chosen]] = part
        rest, left = rest[~chosen], left - shares[part]
    return Division(split if copies else _follow(split, columns, drop=True))


# Assigning groups to parts.


def _assign(
    group: Codes,
    emotion: tuple[np.ndarray, int],
    is_original: np.ndarray,
    shares: Sequence[float],
    seed: int,
    kept: Mapping[str, int],
) -> np.ndarray:
    """Return the part of each group, `[values]`, so that the parts get their shares of the clips and of each emotion.

    A group without an original is -1. `kept` groups stay where they are.
    """
    place = np.full(len(group.values), -1, dtype=np.int32)
    where = find(list(kept), group.values)
    place[where[where >= 0]] = np.array(list(kept.values()), dtype=np.int32)[where >= 0]
    free = np.flatnonzero((counts(group, is_original) > 0) & (place < 0))
    free = free[np.argsort(hashes(group.values, (seed,))[free])]
    bundles = min(len(free), BUNDLES)
    bundle = np.full(len(group.values), -1, dtype=np.int32)
    bundle[free] = np.arange(len(free)) * bundles // max(len(free), 1)
    loads = _tally(np.where(is_original, look_up(bundle, group), -1), bundles, emotion)
    before = _tally(np.where(is_original, look_up(place, group), -1), len(shares), emotion)
    place[free] = _deal(loads, before, np.asarray(shares))[bundle[free]]
    return place


def _tally(unit: np.ndarray, units: int, emotion: tuple[np.ndarray, int]) -> np.ndarray:
    """Count rows by unit and emotion, `[units, kinds]`."""
    kind, kinds = emotion
    used = unit >= 0
    cells = unit[used].astype(np.int64) * kinds + kind[used]
    return np.bincount(cells, minlength=units * kinds).reshape(units, kinds)


def _deal(loads: np.ndarray, before: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Assign units to parts greedily, `[units]`: the largest first, each to the part that reduces the imbalance most.

    The imbalance is the sum of squared differences from the wanted shares, of the clip count and of each emotion; the
    clip count weighs as much as all emotions together. Adding a load x changes a gap g to g + x and its square by x (2
    g + x). The last units go to parts that should have something and are still empty, if there are enough units.
    """
    parts = np.zeros(len(loads), dtype=np.int32)
    order = np.argsort(-np.floor(np.log2(loads.sum(1))), kind="stable")  # sizes within a factor of 2 tie
    open_parts = np.flatnonzero(shares > 0)
    empty = sorted((part for part in open_parts if not before[part].any()), key=lambda part: (-shares[part], -part))
    whole = np.maximum(loads.sum(0) + before.sum(0), 1)
    weight = np.sqrt(np.append(np.ones(len(whole)), len(whole)))
    loads, before = (weight * np.c_[rows / whole, rows.sum(1) / whole.sum()] for rows in (loads, before))
    gap = (before - (shares / max(shares.sum(), 1e-9))[:, None] * weight)[open_parts]
    for dealt, unit in enumerate(order):
        load = loads[unit]
        best = open_parts[np.argmin((load * (2 * gap + load)).sum(1))]
        parts[unit] = part = empty[0] if len(order) - dealt <= len(empty) else best
        empty = [unfilled for unfilled in empty if unfilled != part]
        gap[open_parts == part] += load
    return parts


# Columns in the form that the divisions need.


def originals(columns: Mapping[str, Codes]) -> np.ndarray:
    """Return which rows are originals, bool `[rows]`."""
    return _column(columns, "parent").index < 0


def _column(columns: Mapping[str, Codes], name: str) -> Codes:
    """Return a column; one that the table lacks is null in every row."""
    rows = len(next(iter(columns.values())).index)
    return columns[name] if name in columns else Codes(np.full(rows, -1, dtype=np.int32), ())


def _emotions(columns: Mapping[str, Codes]) -> tuple[np.ndarray, int]:
    """Return each row's emotion as a number (alphabetical, 0 for none), and the number of classes including none."""
    emotion = _column(columns, "emotion")
    there = sorted(np.flatnonzero(counts(emotion)), key=lambda value: str(emotion.values[value]))
    number = np.zeros(len(emotion.values), dtype=np.int32)
    number[there] = np.arange(1, len(there) + 1)
    return look_up(number, emotion, 0), len(there) + 1


def _speakers(columns: Mapping[str, Codes]) -> Codes:
    speaker = _column(columns, "speaker")
    missing = int((originals(columns) & (speaker.index < 0)).sum())
    if missing:
        raise UsageError(
            f"{missing:,} of {len(speaker.index):,} rows have no speaker, so none can be held out: "
            "say who speaks with `sertool index` --pattern, --table or --group parent-folder, or divide them without "
            "regard to it with --protocol random-80-20 (LEAKY)"
        )
    return speaker


def _sentences(columns: Mapping[str, Codes]) -> Codes:
    sentence = _column(columns, "sentence")
    if not (originals(columns) & (sentence.index >= 0)).any():
        raise UsageError(
            f"none of {len(sentence.index):,} rows has a sentence, so none can be held out: "
            "say what is said with --pattern or --table"
        )
    return sentence


def _inventory(columns: Mapping[str, Codes]) -> str:
    """Describe the corpora of a table for an error message."""
    corpus, speaker = _column(columns, "corpus"), _column(columns, "speaker")
    column = corpus if (corpus.index >= 0).any() else speaker
    sizes, rows = counts(column), Counter()
    for value in np.flatnonzero(sizes):
        rows[str(column.values[value]).partition(":")[0]] += int(sizes[value])
    words = [f"{name} ({size:,} rows)" for name, size in sorted(rows.items())[:12]] or ["no corpus"]
    nobody = int((speaker.index < 0).sum())
    return ", ".join(words) + (f"; {nobody:,} rows have no speaker" if nobody else "")


def _numbers(kept: Mapping[str, str], names: Sequence[str]) -> dict[str, int]:
    """Convert the names of kept parts to numbers."""
    number = {name: place for place, name in enumerate(names)}
    for group, part in kept.items():
        if part not in number:
            parts_there = f"there are {', '.join(names)}"
            remedy = "divide as before, or leave the older manifest out to divide anew"
            raise UsageError(f"{group} stood in {part}, which cannot be kept: {parts_there}; {remedy}")
    return {group: number[part] for group, part in kept.items()}


def _follow(part: np.ndarray, columns: Mapping[str, Codes], drop: bool) -> np.ndarray:
    """Give each copy the part of its parent; if the parent has no row, it keeps the part of its own group.

    With `drop`, copies outside train get no part.
    """
    is_original = originals(columns)
    if is_original.all():
        return part
    clip = columns["clip"]
    family = columns["family"] if "family" in columns else families(clip, columns["parent"])
    nobody = -2
    of_origin = np.full(len(family.values), nobody, dtype=part.dtype)
    of_origin[clip.index[is_original]] = part[is_original]
    above = of_origin[family.index]
    part = np.where(is_original | (above == nobody), part, above)
    return np.where(~is_original & (part != TRAIN), -1, part).astype(part.dtype) if drop else part
