"""Check the splits of a run before it trains: what leaks, what is too little, and what is passed over."""

from collections.abc import Sequence

import numpy as np

from sertool.divisions import auditing, heldout, leak_guard, protocols
from sertool.divisions.heldout import FoldSplit, HeldOutOptions, Way
from sertool.divisions.splits import DEV, PARTS, TEST, TRAIN
from sertool.errors import SertoolError
from sertool.manifests import manifest
from sertool.manifests.manifest import Table
from sertool.numeric.codes import Codes, counts, crossed
from sertool.system import talk
from sertool.system.files import listed

REMEDIES = {  # for leaks that another division alone does not mend
    "digest": "`sertool index` on the manifest sets equal sounds aside",
    "overlap": "give them one speaker and make another with --split, or leave some out",
}


def refuse_leaks(table: Table, way: Way, fold_splits: Sequence[FoldSplit]) -> None:
    """Refuse a division with a leak, unless the user named a protocol that is known for it."""
    used = np.any([split >= 0 for _, split in fold_splits], axis=0)
    groups = leak_guard.by_family(auditing.guarded_groups(table, used))
    findings = [finding for _, split in fold_splits for finding in leak_guard.audit(Codes(split, PARTS), groups)]
    excused = _excused(way.protocol)
    leaks = [finding for finding in findings if finding.leak and finding.kind not in excused]
    if leaks:
        remedy = REMEDIES.get(leaks[0].kind, "make another with --split, or name a leaky --protocol")
        raise SertoolError(f"the split leaks: {leaks[0]}; {remedy}")
    unknown = int(manifest.lacking(table, "speaker").sum())
    if unknown and not protocols.named(way.protocol).is_leaky:
        count = f"{unknown:,} of {talk.counted(len(table), 'clip')}"
        talk.warn(f"{count} without a speaker: whether speakers cross cannot be known")
        for finding in [finding for finding in findings if finding.kind == "recording"][:1]:  # of one fold
            talk.warn(str(finding))


def require_parts(split: np.ndarray, name: str) -> None:
    """Refuse a split without training clips or without held-out clips."""
    sizes = [int((split == place).sum()) for place in (TRAIN, DEV, TEST)]
    shown = ", ".join(f"{word} {size:,}" for word, size in zip(PARTS, sizes, strict=True))
    if not sizes[TRAIN] or not (sizes[DEV] or sizes[TEST]):
        raise SertoolError(
            f"{name}: the split leaves no clip to {'train' if not sizes[TRAIN] else 'hold out'} ({shown})"
        )


def warn_of_oddities(split: np.ndarray, labels: Codes, speaker: Codes, name: str) -> None:
    """Warn of held-out clips of emotions that train lacks, and of emotions of one voice in train."""
    train, tested = (_clips_of_each(labels, split == place) for place in (TRAIN, heldout.scored_part(split)))
    if strange := sorted(set(tested) - set(train)):
        count = talk.counted(sum(tested[word] for word in strange), "held-out clip")
        talk.warn(
            f"{name}: {count} of {listed(strange)}, which train lacks: left out of the figures here, and wrong "
            f"in those of eval; --where 'emotion!={'|'.join(strange)}', here or there, leaves them out of both"
        )
    if alone := _of_one_voice(labels, speaker, split == TRAIN):
        are = "are each" if len(alone) > 1 else "is"
        talk.warn(f"{name}: {listed(alone)} {are} of one speaker in train, and may be learnt as that voice")


def warn_of_partless(table: Table, used: np.ndarray, options: HeldOutOptions) -> None:
    """Warn of corpora that no training uses because they are divided in another way, or not at all.

    `used` tells which rows any training uses, bool `[rows]`. Single clips may well be outside a protocol, and so may
    corpora that neither --train-on nor --test-on names.
    """
    if options.train_on and options.test_on:
        return
    labelled = manifest.originals(table) & (heldout.labels(table, options).index >= 0)
    corpus, names = heldout.corpora(table)
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
    talk.warn(f"{count}{whose} have no part and are not used: {also}divide all manifests alike, with --split")


def _excused(protocol: str) -> set[str]:
    """Return the kinds of finding that a protocol is known for."""
    known = protocols.named(protocol)
    return (set() if known.keeps_speakers else {"speaker"}) | ({"parent"} if known.copies else set())


def _clips_of_each(emotion: Codes, rows: np.ndarray) -> dict[str, int]:
    """Count the given rows of each emotion, for emotions that have any."""
    sizes = counts(emotion, rows).tolist()
    return {str(emotion.values[index]): size for index, size in enumerate(sizes) if size}


def _of_one_voice(emotion: Codes, speaker: Codes, rows: np.ndarray) -> list[str]:
    """Return the emotions that only one speaker has, if there are several speakers."""
    shape = len(emotion.values), len(speaker.values)
    has = crossed(np.where(rows, emotion.index, -1), speaker.index, shape) > 0
    alone = (has.sum(axis=1) == 1) & (has.any(axis=0).sum() > 1)
    return [str(emotion.values[index]) for index in np.flatnonzero(alone).tolist()]
