"""Decide which clips train, choose the epoch or are held out: by the options, the manifest's own split, or a recipe."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sertool import leak_guard, manifest, protocols, splits, splitting, talk
from sertool.codes import Codes, counts, families, look_up
from sertool.errors import SertoolError, UsageError
from sertool.files import listed
from sertool.manifest import Table
from sertool.splits import DEV, TEST, TRAIN
from sertool.splitting import OTHER, Wanted

DISJOINT, LEAKY, OWN = "speaker:70/15/15", "random-80-20", "its own split"
REMEDIES = {  # for leaks that another division alone does not mend
    "digest": "`sertool index` on the manifest sets equal sounds aside",
    "overlap": "give them one speaker and make another with --split, or leave some out",
}


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
    seed: int = 0
    seeds: int = 1  # how many, starting with `seed`


class Way(NamedTuple):
    """One way to divide a manifest; `how` is None if the manifest has a split or folds, or if corpora decide."""

    folder: str
    how: Wanted
    protocol: str  # as recorded in the predictions; for the manifest's own split, as its provenance says


def ways(table: Table, options: HeldOutOptions, usual: str | None) -> list[Way]:
    """Return the ways to divide that the options ask for.

    This is one or, for `--gap`, two: one that puts speakers on both sides and one that keeps them apart. The way that
    would be used without `--gap` is one of the two.
    """
    requested = splitting.requested_division(options.split, options.folds, options.protocol, loso=options.loso)
    has = [name for name in ("split", "fold") if name in table.column_names]
    across = options.train_on or options.test_on
    if has and (options.folds or options.loso):
        raise UsageError(f"the manifest has a {has[0]} already: leave out --folds and --loso, or index it without")
    if across and (requested is not None or options.gap or options.always_train):
        others = "--split, --folds, --protocol, --gap, --always-train"
        raise UsageError(f"--train-on and --test-on say what is held out: leave out {others}")
    if across:
        sides = (",".join(side or ()) or "all others" for side in (options.train_on, options.test_on))
        return [Way("", None, "from {} to {}".format(*sides))]
    natural = requested
    if natural is None and not has:
        natural = usual or DISJOINT
    if natural is None and splitting.has_both(table):
        talk.warn("the manifest has a split and folds: the split decides, and the folds are passed over")
    own = splitting.protocol(table) or OWN
    beside = f", {','.join(options.always_train)} in train" if options.always_train else ""
    sides = _sides_of_gap(natural, own, usual) if options.gap else {"": natural}
    return [Way(folder, how, _title_of(how, own) + beside) for folder, how in sides.items()]


def _sides_of_gap(natural: Wanted, own: str, usual: str | None) -> dict[str, Wanted]:
    """Return a leaky way and one that keeps speakers apart, by folder; one of them is the natural way."""
    if not _keeps_speakers(own if natural is None else natural):
        return {"leaky": natural, "disjoint": DISJOINT}
    return {"leaky": LEAKY if _keeps_speakers(usual) else usual, "disjoint": natural}


def _title_of(how: Wanted, own: str) -> str:
    if how is None:
        return own
    return f"{how} folds" if isinstance(how, int) else how


def _keeps_speakers(how: Wanted) -> bool:
    """Whether a way keeps each speaker's clips together: yes, unless its protocol is known to divide otherwise."""
    return protocols.named(how).keeps_speakers


def is_leaky(how: Wanted) -> bool:
    """Whether a protocol is known to put clips of one speaker on both sides."""
    return protocols.named(how).is_leaky


def without_forced_parts(table: Table, options: HeldOutOptions) -> Table:
    """Remove split and fold from the clips that --always-train trains on."""
    always = _always(table, options)
    if not always.any():
        return table
    if always.all():
        raise UsageError("--always-train leaves no clip to hold out: name fewer corpora, or give other manifests, too")
    speakers = np.array(manifest.column(table, "speaker"), object)
    if both := sorted({*speakers[always]} & {*speakers[~always]} - {None}):
        raise SertoolError(f"--always-train: {listed(both)} would be in train, and held out in another corpus")
    for name in {"split", "fold"} & set(table.column_names):
        places = [None if free else place for place, free in zip(manifest.column(table, name), always, strict=True)]
        table = manifest.with_column(table, name, places)
    return splitting.without_empty_parts(table)


def _always(table: Table, options: HeldOutOptions) -> np.ndarray:
    """Return which clips belong to the corpora of --always-train, bool `[rows]`."""
    (index, there), names = _corpora(table), options.always_train or ()
    _check_corpora(names, there)
    return np.isin(index, [there.index(name) for name in names])


def _corpora(table: Table) -> tuple[np.ndarray, list[str]]:
    """Return each clip's corpus as a number, -1 where it is unknown, and the corpora's names."""
    corpus = manifest.codes(table, "corpus")
    return corpus.index, [str(corpus.values[index]) for index in range(len(corpus.values))]


def _check_corpora(names: Iterable[str], there: list[str]) -> None:
    for word in sorted(set(names) - set(there)):
        raise UsageError(f"no corpus {word} in the manifest; there are {listed(there) or 'none'}")


def divided(table: Table, way: Way, options: HeldOutOptions) -> Table:
    """Return the table with a split or folds."""
    if options.train_on or options.test_on:
        table = _cross_corpus(table, options)
    elif way.how is not None:
        table = _by_labels(table, way.how, options)
    return _with_their_speakers(table) if options.teacher or way.how is not None else table


def _by_labels(table: Table, how: Wanted, options: HeldOutOptions) -> Table:
    """Divide the table as asked, ignoring clips that always train and those without a label."""
    own_seed, counted = protocols.named(how).seed, ~(_always(table, options) | _unlabelled(table))
    seed = options.seed if own_seed is None else own_seed
    if counted.all() or not counted.any():  # if none counts, `check` says why
        return splitting.divided(table, how, seed)
    divided = splitting.divided(manifest.keep(table, counted), how, seed)
    name = _part_column(divided)
    places: list[Any] = [None] * len(table)
    for row, place in zip(np.flatnonzero(counted), manifest.column(divided, name), strict=True):
        places[row] = place
    return manifest.with_column(manifest.without(table, OTHER[name]), name, places)


def _with_their_speakers(table: Table) -> Table:
    """Give clips with neither a label nor a part the part of their speaker, as no speaker may be on two sides."""
    name = _part_column(table)
    places, speakers = manifest.column(table, name), manifest.column(table, "speaker")
    side = splitting.parts_of_speakers(speakers, places)
    rows = zip(places, speakers, _unlabelled(table), strict=True)
    return manifest.with_column(
        table, name, [side.get(who) if place is None and bare else place for place, who, bare in rows]
    )


def _part_column(table: Table) -> str:
    return "split" if "split" in table.column_names else "fold"


def _unlabelled(table: Table) -> np.ndarray:
    """Return which rows have no emotion, bool `[rows]`."""
    return manifest.lacking(table, "emotion")


def _cross_corpus(table: Table, options: HeldOutOptions) -> Table:
    """Train on some corpora, with an eighth of their speakers as dev, and test on others."""
    index, there = _corpora(table)
    train, test = (set(side or ()) for side in (options.train_on, options.test_on))
    train, test = train or set(there) - test, test or set(there) - train
    _check_corpora(train | test, there)
    if not train or not test or train & test:
        both = listed(sorted(train & test)) or listed(sorted(train | test))
        raise UsageError(f"--train-on and --test-on must leave each side corpora of its own: both want {both}")
    side_of = dict.fromkeys(train, 0) | dict.fromkeys(test, 1)
    side = np.array([*(side_of.get(name, -1) for name in there), -1], np.int16)[index]
    split = splits.split_of_fold(side, _columns(table), 1, options.seed)
    return manifest.with_column(manifest.without(table, "fold"), "split", manifest.from_codes(split, splits.PARTS))


def _columns(table: Table) -> dict[str, Any]:
    names = [name for name in ("speaker", "emotion", "parent") if name in table.column_names]
    codes = {name: manifest.codes(table, name) for name in ["speaker", *names]}
    return {"clip": manifest.distinct_codes(table, "clip"), **codes}


# The split of each training.

FoldSplit = tuple[int | None, np.ndarray]  # the fold, or None for a split, and the part of each row


def divisions(table: Table, way: Way, options: HeldOutOptions) -> list[FoldSplit]:
    """Return each fold's split, or the only split: int8 `[rows]`, indices into PARTS or -1.

    Clips of corpora that always train are in train. So are, with a teacher, clips with neither a label nor a part.
    """
    fold_splits, free = _divisions(table, way, options.seed), _always(table, options)
    if options.no_dev:
        fold_splits = [(fold, _without_dev(split)) for fold, split in fold_splits]
    if options.teacher:
        free |= _unlabelled(table) & manifest.lacking(table, _part_column(table))
    for _, split in fold_splits:
        split[free] = TRAIN
    return fold_splits


def refuse_leaks(table: Table, way: Way, fold_splits: Sequence[FoldSplit]) -> None:
    """Refuse a division with a leak, unless the user named a protocol that is known for it."""
    used = np.any([split >= 0 for _, split in fold_splits], axis=0)
    groups = leak_guard.by_family(splitting.guarded(table, used))
    findings = [finding for _, split in fold_splits for finding in leak_guard.audit(Codes(split, splits.PARTS), groups)]
    excused = _excused(way.protocol)
    leaks = [finding for finding in findings if finding.leak and finding.kind not in excused]
    if leaks:
        remedy = REMEDIES.get(leaks[0].kind, "make another with --split, or name a leaky --protocol")
        raise SertoolError(f"the split leaks: {leaks[0]}; {remedy}")
    unknown = int(manifest.lacking(table, "speaker").sum())
    if unknown and not is_leaky(way.protocol):
        count = f"{unknown:,} of {talk.counted(len(table), 'clip')}"
        talk.warn(f"{count} without a speaker: whether speakers cross cannot be known")
        for finding in [finding for finding in findings if finding.kind == "recording"][:1]:  # of one fold
            talk.warn(str(finding))


def _excused(protocol: str) -> set[str]:
    """Return the kinds of finding that a protocol is known for."""
    speakers = set() if _keeps_speakers(protocol) else {"speaker"}
    return speakers | ({"parent"} if protocols.named(protocol).copies else set())


def with_copies(table: Table, rows: np.ndarray) -> np.ndarray:
    """Return these rows and all copies of the same clips, bool `[rows]`."""
    if manifest.originals(table).all():
        return rows
    family = families(manifest.distinct_codes(table, "clip"), manifest.codes(table, "parent")).index
    return np.isin(family, family[rows])


def _without_dev(split: np.ndarray) -> np.ndarray:
    """Return the split with dev moved to train."""
    if part(split) == DEV and (split == DEV).any():
        raise UsageError("--no-dev: the split holds out dev, and no test: leave it out, or divide with a test part")
    return np.where(split == DEV, TRAIN, split)


def _divisions(table: Table, way: Way, seed: int) -> list[FoldSplit]:
    columns = _columns(table)
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
    return [(int(k), splits.split_of_fold(fold, columns, int(k), seed)) for k in np.unique(fold[fold >= 0])]


def _coded_split(table: Table) -> np.ndarray:
    if unknown := splitting.strange_parts(table):
        raise SertoolError(f"split {unknown[0]!r} is none of {', '.join(splits.PARTS)}: name the parts so")
    coded = manifest.codes(table, "split")
    return look_up(np.array([splits.PARTS.index(word) for word in coded.values], np.int8), coded)


def part(split: np.ndarray) -> int:
    """Return the part that is scored: test if it has clips, else dev."""
    return TEST if (split == TEST).any() else DEV


def has_dev(split: np.ndarray, table: Table) -> bool:
    """Whether dev has clips whose emotions occur in train; only by these can epochs be chosen."""
    return _knows_any(split, DEV, table)


def can_be_scored(split: np.ndarray, table: Table) -> bool:
    """Whether clips whose emotions occur in train are held out."""
    return _knows_any(split, part(split), table)


def _knows_any(split: np.ndarray, place: int, table: Table) -> bool:
    """Whether a part has clips whose emotions occur in train."""
    emotion = manifest.codes(table, "emotion").index
    return bool(np.isin(emotion[(split == place) & (emotion >= 0)], emotion[split == TRAIN]).any())


def check(split: np.ndarray, emotion: Codes, speaker: Codes, name: str) -> None:
    """Refuse a split without enough training clips or without held-out clips; warn of other oddities."""
    sizes = [int((split == place).sum()) for place in (TRAIN, DEV, TEST)]
    shown = ", ".join(f"{word} {size:,}" for word, size in zip(splits.PARTS, sizes, strict=True))
    train, tested = (_clips_of_each(emotion, split == place) for place in (TRAIN, part(split)))
    if not sizes[TRAIN] or not (sizes[DEV] or sizes[TEST]):
        raise SertoolError(
            f"{name}: the split leaves no clip to {'train' if not sizes[TRAIN] else 'hold out'} ({shown})"
        )
    if len(train) < 2:
        raise SertoolError(f"{name}: the training clips have {listed(train) or 'no emotion'}: two emotions are needed")
    if strange := sorted(set(tested) - set(train)):
        count = talk.counted(sum(tested[word] for word in strange), "held-out clip")
        talk.warn(f"{name}: {count} of {listed(strange)}, which train lacks: left out of the figures here, and wrong "
                  "in those of eval")  # fmt: skip
    if alone := _of_one_voice(emotion, speaker, split == TRAIN):
        talk.warn(f"{name}: {listed(alone)} is of one speaker in train: it may be learnt as that voice")


def warn_of_partless(table: Table, used: np.ndarray, options: HeldOutOptions) -> None:
    """Warn of corpora that no training uses because they are divided in another way, or not at all.

    `used` tells which rows any training uses, bool `[rows]`. Single clips may well be outside a protocol, and so may
    corpora that neither --train-on nor --test-on names.
    """
    if options.train_on and options.test_on:
        return
    labelled = manifest.originals(table) & ~_unlabelled(table)
    corpus, names = _corpora(table)
    # If one table has folds and another a split, the split alone decides.
    folded = ~manifest.lacking(table, "fold") if "split" in table.column_names else np.zeros(len(table), bool)
    whole = np.isin(corpus, np.unique(corpus[labelled & used]), invert=True)
    lost = labelled & ~used & (whole | folded)
    if not lost.any():
        return
    corpora = [names[index] for index in np.unique(corpus[lost & (corpus >= 0)])]
    also = f"name --always-train {','.join(corpora)}, or " if corpora and whole[lost].all() else ""
    whose = f", of {listed(corpora)}," if corpora else ""
    count = f"{lost.sum():,} of {talk.counted(int(labelled.sum()), 'clip')}"
    talk.warn(f"{count}{whose} have no part and are not used: {also}"
              "divide all manifests alike, with --split")  # fmt: skip


def _clips_of_each(emotion: Codes, rows: np.ndarray) -> dict[str, int]:
    """Count the given rows of each emotion, for emotions that have any."""
    sizes = counts(emotion, rows)
    return {str(emotion.values[index]): int(sizes[index]) for index in np.flatnonzero(sizes)}


def _of_one_voice(emotion: Codes, speaker: Codes, rows: np.ndarray) -> list[str]:
    """Return the emotions that only one speaker has, if there are several speakers."""
    known = rows & (emotion.index >= 0) & (speaker.index >= 0)
    speakers = max(1, len(speaker.values))
    pairs = np.unique(emotion.index[known].astype(np.int64) * speakers + speaker.index[known])
    voices = np.bincount(pairs // speakers, minlength=len(emotion.values))
    several = len(np.unique(pairs % speakers)) > 1
    return [str(emotion.values[index]) for index in np.flatnonzero(voices == 1)] if several else []
