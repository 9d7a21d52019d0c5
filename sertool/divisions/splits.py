"""Draw splits into train, dev and test, and folds: speaker-disjoint, published or random (`protocols`).

Rows are compared by the values of their columns (`codes.Codes`), never by their position: the same clips and the same
seed give every clip the same part, whatever the order of the table.

A row that was made from another one (it has a parent) is a copy. Parts are drawn from the originals. A copy is in train
if its parent is, and in no part if its parent is held out.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from sertool.divisions import protocols
from sertool.divisions.dealing import assigned
from sertool.divisions.protocols import PROTOCOLS, Protocol, Shares
from sertool.errors import UsageError
from sertool.numeric.codes import Codes, counts, families, find, hashes, look_up

PARTS = Shares._fields  # "train", "dev" and "test"
TRAIN, DEV, TEST = range(3)
MOST_FOLDS = 32_767

Columns = Mapping[str, Codes]  # of a table, by name
Kept = Mapping[str, Mapping[str, str]]  # earlier parts of groups, by column: {"speaker": {"cremad:1001": "train"}}


@dataclass(frozen=True)
class Division:
    """The place of every row: in the `split` its part, an index into PARTS, or its `fold`, from 0; -1 for none."""

    column: str  # split or fold
    places: np.ndarray  # int8 `[rows]`, or int16 of folds
    absent: tuple[str, ...] = ()  # speakers that the protocol names and the table lacks
    bridging: int = 0  # originals left out because their speaker and their sentence are in different parts
    outside: int = 0  # originals without a part: no sentence, or not a corpus or speaker of the protocol

    @property
    def parts(self) -> Codes:
        """The part or fold of every row by name, as a column."""
        folds = [str(number) for number in range(int(self.places.max(initial=-1)) + 1)]
        return Codes(self.places, PARTS if self.column == "split" else folds)


# Splits and folds of a table. Columns are given by name: clip, speaker, sentence, emotion, parent, corpus, published. A
# column that is not given is null in every row; clip is needed only for random splits and copies. Callers that place
# copies repeatedly may also pass `family`, which is otherwise computed from clip and parent.


def divide(plan: str, columns: Columns, seed: int | None = None, keep: Kept | None = None) -> Division:
    """Return the split or the folds that a --split expression asks for."""
    name, shares = protocols.parse(plan)
    protocol = PROTOCOLS[name]
    seed = (protocol.seed or 0) if seed is None else seed
    if protocol.speakers:
        return _published(name, protocol, columns)
    if protocol.of_clips:
        return _published_by_clip(name, protocol, columns)
    if shares is None:
        return _leave_one_out(columns)
    if protocol.by == ("clip",):
        return _clipwise(columns, shares, seed, copies=protocol.copies is not None)
    return _groupwise(protocol.by, columns, shares, seed, keep or {})


def folds(count: int, columns: Columns, seed: int = 0, keep: Kept | None = None) -> Division:
    """Divide the speakers into `count` folds of similar size and emotions."""
    speaker, is_original = _speakers(columns), _originals(columns)
    speakers_found = int((counts(speaker, is_original) > 0).sum())
    if not 2 <= count <= min(speakers_found, MOST_FOLDS):
        raise UsageError(f"--folds {count}: at least 2, and at most as many as there are speakers, {speakers_found:,}")
    kept_places = _numbers((keep or {}).get("speaker", {}), [str(number) for number in range(count)])
    place = assigned(speaker, _emotions(columns), is_original, [1 / count] * count, seed, kept_places)
    return Division("fold", _follow(look_up(place, speaker), columns, drop=False).astype(np.int16))


def places_to_keep(column: Codes, parts: Codes) -> dict[str, str]:
    """Return the part of each group in an older table, for `keep`; raise UsageError if a group is in two parts."""
    place = np.full(len(column.values), -1, dtype=np.int32)
    is_placed = (column.index >= 0) & (parts.index >= 0)
    place[column.index[is_placed]] = parts.index[is_placed]
    torn = is_placed & (look_up(place, column) != parts.index)
    if torn.any():
        row = int(np.argmax(torn))
        group = int(column.index[row])
        both = " and in ".join(parts.values[part] for part in sorted([int(parts.index[row]), int(place[group])]))
        raise UsageError(f"{column.values[group]} stands in {both}: a split cannot keep that")
    placed = np.flatnonzero(place >= 0).tolist()
    return {str(column.values[group]): parts.values[int(place[group])] for group in placed}


def dev_of_fold(fold: np.ndarray, speaker: Codes, k: int, seed: int, labelled: np.ndarray | bool) -> np.ndarray:
    """Return which rows are for development when fold k is the test fold, bool `[rows]`.

    They are those of a seeded eighth of the speakers outside fold k with labelled rows: at least one speaker, unless
    only one is left to train.
    """
    tested = counts(speaker, fold == k) > 0
    rest = np.flatnonzero((counts(speaker, (fold >= 0) & labelled) > 0) & ~tested)
    size = 0 if len(rest) < 2 else max(1, (len(rest) + 4) // 8)
    is_dev = np.zeros(len(speaker.values), dtype=bool)
    is_dev[rest[np.argsort(hashes(speaker.values, (seed, k))[rest])[:size]]] = True
    return (fold >= 0) & look_up(is_dev, speaker, False)


def split_of_fold(fold: np.ndarray, columns: Columns, k: int, seed: int = 0) -> np.ndarray:
    """Return the split whose test part is fold k, int8 `[rows]`: indices into PARTS, -1 for copies outside train."""
    split = np.where(fold < 0, -1, np.where(fold == k, TEST, TRAIN)).astype(np.int8)
    labelled = columns["emotion"].index >= 0 if "emotion" in columns else True
    split[dev_of_fold(fold, columns["speaker"], k, seed, labelled)] = DEV
    return _follow(split, columns, drop=True)


def is_held_out(split: np.ndarray) -> np.ndarray:
    """Return which rows of a split are in dev or test, bool `[rows]`."""
    return (split == DEV) | (split == TEST)


def without_dev(split: np.ndarray) -> np.ndarray:
    """Return a split with dev moved to train."""
    return np.where(split == DEV, TRAIN, split)


# The kinds of division.


def _groupwise(by: Sequence[str], columns: Columns, shares: Sequence[float], seed: int, keep: Kept) -> Division:
    """Split by whole speakers, whole sentences or both; with both, rows whose two parts differ are left out."""
    is_original, parts_of_groups = _originals(columns), []
    for name in reversed(by):  # sentences first: if they are too few for all parts, speakers use only the parts filled
        group = _speakers(columns) if name == "speaker" else _sentences(columns)
        place = assigned(group, _emotions(columns), is_original, shares, seed, _numbers(keep.get(name, {}), PARTS))
        shares = [share if part in place else 0.0 for part, share in enumerate(shares)]
        parts_of_groups.append(look_up(place, group))
    first, last = parts_of_groups[0], parts_of_groups[-1]
    outside = is_original & ((first < 0) | (last < 0))
    bridging = is_original & ~outside & (first != last)
    split = np.where(first == last, first, -1).astype(np.int8)
    split = _follow(split, columns, drop=True)
    return Division("split", split, bridging=int(bridging.sum()), outside=int(outside.sum()))


def _leave_one_out(columns: Columns) -> Division:
    """Make one fold per speaker, in the order of their names."""
    speaker = _speakers(columns)
    present = np.flatnonzero(counts(speaker, _originals(columns))).tolist()
    if not 2 <= len(present) <= MOST_FOLDS:
        raise UsageError(f"--split loso: it takes 2 to {MOST_FOLDS:,} speakers, and here are {len(present):,}")
    place = np.full(len(speaker.values), -1, dtype=np.int16)
    place[sorted(present, key=lambda value: str(speaker.values[value]))] = np.arange(len(present))
    return Division("fold", _follow(look_up(place, speaker), columns, drop=False))


def _published(name: str, protocol: Protocol, columns: Columns) -> Division:
    """Return the parts or folds of a protocol that names its speakers."""
    speaker, is_original = _column(columns, "speaker"), _originals(columns)
    published = protocol.places()
    where = find(list(published), speaker.values)
    present = look_up(counts(speaker, is_original) > 0, Codes(where, speaker.values), False)
    if not present.any():
        needs = f"--split {name} needs the speakers of {protocol.corpus}"
        raise UsageError(f"{needs}; the manifest has {_inventory(columns)}")
    place = np.full(len(speaker.values), -1, dtype=np.int16)
    place[where[present]] = np.array(list(published.values()))[present]
    absent = tuple(compress(published, ~present))
    part = look_up(place, speaker)
    outside = int((is_original & (part < 0)).sum())
    if protocol.folds:
        return Division("fold", _follow(part, columns, drop=False), absent, outside=outside)
    return Division("split", _follow(part.astype(np.int8), columns, drop=True), absent, outside=outside)


def _published_by_clip(name: str, protocol: Protocol, columns: Columns) -> Division:
    """Return the parts of a protocol that its corpus publishes clip by clip; `test2` is in test."""
    word, corpus = _column(columns, "published"), _column(columns, "corpus")
    parts = [str(value).rstrip("0123456789") for value in word.values]
    place = look_up(np.array([PARTS.index(part) if part in PARTS else -1 for part in parts], dtype=np.int8), word)
    split = np.where(look_up([value == protocol.corpus for value in corpus.values], corpus, False), place, -1)
    if (split < 0).all():
        where = f"which index reads from the folders or tables of {protocol.corpus}"
        raise UsageError(f"--split {name} needs the column published, {where}; the manifest has {_inventory(columns)}")
    outside = int((_originals(columns) & (split < 0)).sum())
    return Division("split", _follow(split.astype(np.int8), columns, drop=True), outside=outside)


def _clipwise(columns: Columns, shares: Shares, seed: int, *, copies: bool) -> Division:
    """Split clips at random, stratified by emotion: order them by emotion and seeded hash, pick at even intervals."""
    clip, emotion = columns["clip"], _emotions(columns)
    rows = np.flatnonzero(_originals(columns) | copies)
    keys = hashes(clip.values, (seed,))[clip.index[rows]]
    rest = rows[np.lexsort((keys, emotion[rows]))]
    split = np.full(len(clip.index), -1, dtype=np.int8)
    split[rest] = TRAIN
    left = 1.0
    for part in (TEST, DEV):
        chosen = np.diff(np.floor(np.arange(len(rest) + 1) * (shares[part] / left) + 0.5)) > 0
        split[rest[chosen]] = part
        rest, left = rest[~chosen], left - shares[part]
    return Division("split", split if copies else _follow(split, columns, drop=True))


# Columns in the form that the divisions need.


def _originals(columns: Columns) -> np.ndarray:
    """Return which rows are originals, bool `[rows]`."""
    return _column(columns, "parent").index < 0


def _column(columns: Columns, name: str) -> Codes:
    """Return a column; one that the table lacks is null in every row."""
    rows = len(next(iter(columns.values())).index)
    return columns[name] if name in columns else Codes(np.full(rows, -1, dtype=np.int32), ())


def _emotions(columns: Columns) -> np.ndarray:
    """Return each row's emotion as a number, `[rows]`: alphabetical, 0 for none."""
    emotion = _column(columns, "emotion")
    there = sorted(np.flatnonzero(counts(emotion)).tolist(), key=lambda value: str(emotion.values[value]))
    number = np.zeros(len(emotion.values), dtype=np.int32)
    number[there] = np.arange(1, len(there) + 1)
    return look_up(number, emotion, 0)


def _speakers(columns: Columns) -> Codes:
    speaker = _column(columns, "speaker")
    missing = int((_originals(columns) & (speaker.index < 0)).sum())
    if missing:
        raise UsageError(
            f"{missing:,} of {len(speaker.index):,} rows have no speaker, so none can be held out: "
            "say who speaks with `sertool index` --pattern, --table or --group parent-folder, or divide them without "
            "regard to it with --protocol random-80-20 (LEAKY)"
        )
    return speaker


def _sentences(columns: Columns) -> Codes:
    sentence = _column(columns, "sentence")
    if not (_originals(columns) & (sentence.index >= 0)).any():
        raise UsageError(
            f"none of {len(sentence.index):,} rows has a sentence, so none can be held out: "
            "say what is said with --pattern or --table"
        )
    return sentence


def _inventory(columns: Columns) -> str:
    """Describe the corpora of a table for an error message."""
    corpus, speaker = _column(columns, "corpus"), _column(columns, "speaker")
    column = corpus if (corpus.index >= 0).any() else speaker
    sizes, rows = counts(column), Counter[str]()
    for value in np.flatnonzero(sizes).tolist():
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


def _follow(part: np.ndarray, columns: Columns, drop: bool) -> np.ndarray:
    """Give each copy the part of its parent; if the parent has no row, it keeps the part of its own group.

    With `drop`, copies outside train get no part.
    """
    is_original = _originals(columns)
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
