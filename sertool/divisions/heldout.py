"""Decide which clips train, choose the epoch or are held out: by the options, the manifest's own split, or a recipe."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sertool.divisions import own_division, protocols, splits, splitting
from sertool.divisions.protocols import Shares
from sertool.divisions.splits import DEV, PARTS, TEST, TRAIN
from sertool.divisions.splitting import Request
from sertool.errors import SertoolError, UsageError
from sertool.manifests import manifest
from sertool.manifests.manifest import Table
from sertool.numeric.codes import Codes, families, look_up
from sertool.system import talk
from sertool.system.files import listed

DISJOINT, RANDOM = "speaker:70/15/15", "random"


@dataclass(frozen=True)
class HeldOutOptions:
    """The options that say which clips are held out, and how many trainings there are."""

    split: str | None = None
    folds: int | None = None
    loso: bool = False
    protocol: str | None = None
    gap: bool = False
    final: bool = False
    train_on: Sequence[str] | None = None
    test_on: Sequence[str] | None = None
    always_train: Sequence[str] | None = None
    no_dev: bool = False
    teacher: str | None = None
    dimensions: Sequence[str] | None = None  # what is learnt, rather than emotions; every clip is rated on some
    seed: int = 0
    seeds: int = 1  # how many, starting with `seed`


class Way(NamedTuple):
    """One way to divide a manifest."""

    folder: str
    request: Request | None  # None if the manifest has a split or folds, or if corpora decide
    protocol: str  # as recorded in the predictions; for the manifest's own split, as its provenance says
    follows: bool = False  # whether its parts are to be made as large as those of another way


FoldSplit = tuple[int | None, np.ndarray]  # the fold, or None for a split, and the part of each row


def ways(table: Table, options: HeldOutOptions, usual: str | None) -> list[Way]:
    """Return the ways to divide that the options ask for.

    This is one or, for `--gap`, two: one that puts speakers on both sides and one that keeps them apart. The way that
    would be used without `--gap` is one of the two.
    """
    request = splitting.requested_division(options.split, options.folds, options.protocol, loso=options.loso)
    column = own_division.column(table)
    is_divided = column in table.column_names
    if is_divided and (options.folds or options.loso):
        raise UsageError(f"the manifest has a {column} already: leave out --folds and --loso, or index it without")
    if options.train_on or options.test_on:
        return [_across_corpora(options, request)]
    if request is None and not is_divided:
        request = usual or DISJOINT
    if request is None and own_division.has_both(table):
        talk.warn("the manifest has a split and folds: the split decides, and the folds are passed over")
    own = own_division.protocol(table) or own_division.UNNAMED
    beside = f", {','.join(options.always_train)} in train" if options.always_train else ""
    found = _sides_of_gap(request, own, usual) if options.gap else [Way("", request, _title(request, own))]
    return [way._replace(protocol=way.protocol + beside) for way in found]


def as_large(way: Way, table: Table, splits_of_others: Sequence[np.ndarray], options: HeldOutOptions) -> Way:
    """Return a way with parts as large as other trainings have of the same table, in the mean."""
    counted = manifest.originals(table) & ~(_always_train(table, options) | _unlabelled(table, options))
    if not any(splits.is_held_out(split[counted]).any() for split in splits_of_others):
        raise SertoolError("--gap: no clip that is held out is labelled, so there is nothing to compare")
    sizes = [[(split[counted] == place).sum() for place in range(len(PARTS))] for split in splits_of_others]
    shares = np.mean([np.divide(each, sum(each)) for each in sizes], axis=0).tolist()
    request = protocols.with_shares(RANDOM, Shares(*shares))
    return way._replace(request=request, protocol=way.protocol.replace(RANDOM, request, 1))


def without_forced_parts(table: Table, options: HeldOutOptions) -> Table:
    """Remove split and fold from the clips that --always-train trains on."""
    always = _always_train(table, options)
    if not always.any():
        return table
    if always.all():
        raise UsageError("--always-train leaves no clip to hold out: name fewer corpora, or give other manifests, too")
    speakers = np.array(manifest.column(table, "speaker"), object)
    if both := sorted({*speakers[always]} & {*speakers[~always]} - {None}):
        raise SertoolError(f"--always-train: {listed(both)} would be in train, and held out in another corpus")
    for name in {*own_division.COLUMNS} & {*table.column_names}:
        places = [None if free else place for place, free in zip(manifest.column(table, name), always, strict=True)]
        table = manifest.with_column(table, name, places)
    return own_division.without_empty_columns(table)


def divided(table: Table, way: Way, options: HeldOutOptions) -> Table:
    """Return the table with a split or folds."""
    if options.train_on or options.test_on:
        table = _divided_by_corpus(table, options)
    elif way.request is not None:
        table = _divided_labelled(table, way.request, options)
    return _with_their_speakers(table, options) if options.teacher or way.request is not None else table


def fold_splits(table: Table, way: Way, options: HeldOutOptions) -> list[FoldSplit]:
    """Return each fold's split, or the only split: int8 `[rows]`, indices into PARTS or -1.

    Clips of corpora that always train are in train. So are, with a teacher, clips with neither a label nor a part.
    """
    found, free = _fold_splits(table, way, options), _always_train(table, options)
    if options.no_dev:
        found = [(fold, _without_dev(split)) for fold, split in found]
    if options.teacher:
        free |= _unlabelled(table, options) & manifest.lacking(table, own_division.column(table))
    for _, split in found:
        split[free] = TRAIN
    return found


def labels(table: Table, options: HeldOutOptions) -> Codes:
    """Return what clips are labelled with: emotions or, as clips are rated on dimensions, one label for all of them."""
    rated = Codes(np.zeros(len(table), np.int32), ["rated"])
    return rated if options.dimensions else manifest.codes(table, "emotion")


def scored_part(split: np.ndarray) -> int:
    """Return the part that is scored: test if it has clips, else dev."""
    return TEST if (split == TEST).any() else DEV


def has_dev(split: np.ndarray, labels: Codes) -> bool:
    """Whether dev has clips whose labels occur in train; only by these can epochs be chosen."""
    return _knows_any(split, DEV, labels)


def can_be_scored(split: np.ndarray, labels: Codes) -> bool:
    """Whether clips whose labels occur in train are held out."""
    return _knows_any(split, scored_part(split), labels)


def with_copies(table: Table, rows: np.ndarray) -> np.ndarray:
    """Return these rows and all copies of the same clips, bool `[rows]`."""
    if manifest.originals(table).all():
        return rows
    family = manifest.origins(table).index
    return np.isin(family, family[rows])


def corpora(table: Table) -> tuple[np.ndarray, list[str]]:
    """Return each clip's corpus as a number, -1 where it is unknown, and the corpora's names."""
    corpus = manifest.codes(table, "corpus")
    return corpus.index, [str(corpus.values[index]) for index in range(len(corpus.values))]


# Ways.


def _across_corpora(options: HeldOutOptions, request: Request | None) -> Way:
    """Return the way that --train-on and --test-on ask for."""
    if request is not None or options.gap or options.always_train:
        others = "--split, --folds, --protocol, --gap, --always-train"
        raise UsageError(f"--train-on and --test-on say what is held out: leave out {others}")
    train, test = (",".join(side or ()) or "all others" for side in (options.train_on, options.test_on))
    return Way("", None, f"from {train} to {test}")


def _sides_of_gap(request: Request | None, own: str, usual: str | None) -> list[Way]:
    """Return a leaky way and one that keeps speakers apart; one of them is what was asked for.

    The other one has parts as large, unless a recipe says how it leaks: what differs is who is held out, and no more.
    """
    asked, title = own if request is None else request, _title(request, own)
    if not protocols.named(asked).keeps_speakers:
        disjoint = protocols.with_shares("speaker", protocols.shares_of(asked))
        return [Way("leaky", request, title), Way("disjoint", disjoint, disjoint)]
    leaky = None if protocols.named(usual).keeps_speakers else usual
    return [Way("leaky", leaky or RANDOM, leaky or RANDOM, follows=not leaky), Way("disjoint", request, title)]


def _title(request: Request | None, own: str) -> str:
    if request is None:
        return own
    return f"{request} folds" if isinstance(request, int) else request


# Dividing the table.


def _divided_labelled(table: Table, request: Request, options: HeldOutOptions) -> Table:
    """Divide the table as asked, ignoring clips that always train and those without a label."""
    own_seed, counted = protocols.named(request).seed, ~(_always_train(table, options) | _unlabelled(table, options))
    seed = options.seed if own_seed is None else own_seed
    if counted.all() or not counted.any():  # if none counts, a check of the splits says why
        return splitting.divided(table, request, seed)
    divided = splitting.divided(manifest.keep(table, counted), request, seed)
    name = own_division.column(divided)
    places: list[Any] = [None] * len(table)
    for row, place in zip(np.flatnonzero(counted), manifest.column(divided, name), strict=True):
        places[row] = place
    return own_division.replaced(table, name, places)


def _with_their_speakers(table: Table, options: HeldOutOptions) -> Table:
    """Give clips with neither a label nor a part the part of their speaker, as no speaker may be on two sides."""
    name = own_division.column(table)
    places, speakers = manifest.column(table, name), manifest.column(table, "speaker")
    of_speakers = own_division.places_of_speakers(speakers, places)
    rows = zip(places, speakers, _unlabelled(table, options), strict=True)
    return manifest.with_column(
        table, name, [of_speakers.get(who) if place is None and bare else place for place, who, bare in rows]
    )


def _divided_by_corpus(table: Table, options: HeldOutOptions) -> Table:
    """Train on some corpora, with an eighth of their speakers as dev, and test on others."""
    index, there = corpora(table)
    train, test = (set(side or ()) for side in (options.train_on, options.test_on))
    train, test = train or set(there) - test, test or set(there) - train
    _require_corpora(train | test, there)
    if not train or not test or train & test:
        both = listed(sorted(train & test)) or listed(sorted(train | test))
        raise UsageError(f"--train-on and --test-on must leave each side corpora of its own: both want {both}")
    side_of = dict.fromkeys(train, 0) | dict.fromkeys(test, 1)
    side = np.array([*(side_of.get(name, -1) for name in there), -1], np.int16)[index]
    split = splits.split_of_fold(side, _columns(table, options), 1, options.seed)
    return own_division.replaced(table, "split", manifest.from_codes(split, PARTS))


def _require_corpora(names: Iterable[str], there: list[str]) -> None:
    for word in sorted(set(names) - set(there)):
        raise UsageError(f"no corpus {word} in the manifest; there are {listed(there) or 'none'}")


def _always_train(table: Table, options: HeldOutOptions) -> np.ndarray:
    """Return which clips belong to the corpora of --always-train, bool `[rows]`."""
    (index, there), names = corpora(table), options.always_train or ()
    _require_corpora(names, there)
    return np.isin(index, [there.index(name) for name in names])


def _unlabelled(table: Table, options: HeldOutOptions) -> np.ndarray:
    """Return which rows have no label, bool `[rows]`."""
    return labels(table, options).index < 0


# The split of each training.


def _fold_splits(table: Table, way: Way, options: HeldOutOptions) -> list[FoldSplit]:
    columns = _columns(table, options)
    if "split" in table.column_names:
        split = _coded_split(table)
        if "parent" in columns and not protocols.named(way.protocol).copies:
            split[(columns["parent"].index >= 0) & (split != TRAIN)] = -1
        return [(None, split)]
    fold = np.array([-1 if value is None else value for value in manifest.column(table, "fold")], np.int16)
    if (fold < 0).all():
        raise SertoolError(
            "no clip has a fold of 0 or more: number them from 0, or index without them and name --folds"
        )
    if "parent" in columns:
        columns["family"] = families(columns["clip"], columns["parent"])  # here, as it is the same for every fold
    return [(int(k), splits.split_of_fold(fold, columns, int(k), options.seed)) for k in np.unique(fold[fold >= 0])]


def _coded_split(table: Table) -> np.ndarray:
    if unknown := own_division.strange_parts(table):
        remedy = f"say which with `sertool index {own_division.to_name(unknown)}`"
        raise SertoolError(f"split {unknown[0]!r} is none of {', '.join(PARTS)}: {remedy}")
    coded = manifest.codes(table, "split")
    return look_up(np.array([PARTS.index(word) for word in coded.values], np.int8), coded)


def _knows_any(split: np.ndarray, place: int, labels: Codes) -> bool:
    """Whether a part has clips whose labels occur in train."""
    label = labels.index
    return bool(np.isin(label[(split == place) & (label >= 0)], label[split == TRAIN]).any())


def _without_dev(split: np.ndarray) -> np.ndarray:
    """Return the split with dev moved to train."""
    if scored_part(split) == DEV and (split == DEV).any():
        raise UsageError("--no-dev: the split holds out dev, and no test: leave it out, or divide with a test part")
    return splits.without_dev(split)


def _columns(table: Table, options: HeldOutOptions) -> dict[str, Codes]:
    """Return the columns that the split of a fold needs; `emotion` holds the labels."""
    there = ["parent"] if "parent" in table.column_names else []
    held = {name: splitting.coded(table, name) for name in ("clip", "speaker", *there)}
    return held | {"emotion": labels(table, options)}
