"""Emotions from listeners' votes: the word that most of them chose, or each word's share."""

from collections.abc import Sequence

import numpy as np

from sertool import labels, manifest, talk
from sertool.codes import look_up
from sertool.errors import UsageError
from sertool.manifest import Table


def labelled(table: Table, source: str, modality: str, mapping: dict[str, str]) -> Table:
    """Emotions as most listeners heard them (`perceived`), or columns with each emotion's share (`soft`)."""
    prefix = f"votes_{modality}_"
    names = manifest.family(table, prefix)
    if not names:
        raise UsageError(f"--labels {source}: the manifest has no columns {prefix}*: {_remedy(table, modality)}")
    words, votes = manifest.by_word(table, prefix, {name: labels.canonical(name, mapping) or name for name in names})
    votes = np.nan_to_num(votes)
    if source == "perceived":
        return _by_plurality(table, votes, words)
    total = votes.sum(1, keepdims=True)
    for word, share in zip(words, (votes / np.where(total, total, np.nan)).T, strict=True):
        table = manifest.with_column(table, f"soft_{word}", manifest.numbers(share))
    return table


def _remedy(table: Table, modality: str) -> str:
    """What to do where there are no votes of what the listeners had."""
    there = manifest.family(table, "votes_")
    others = sorted({name.partition("_")[0] for name in there} & {"voice", "face", "both"})
    if others:
        return f"it has those of --votes {' and '.join(others)}"
    if there:
        return f"rename votes_{there[0]} to votes_{modality}_{there[0]}, and the others likewise"
    return "index a corpus with its vote tables"


def _by_plurality(table: Table, votes: np.ndarray, words: Sequence[str]) -> Table:
    """The word with most votes, `[rows, words]`; of several the intended one, else none."""
    most = (votes == votes.max(1, keepdims=True)) & (votes > 0)
    emotions = manifest.codes(table, "emotion")
    intended = look_up([words.index(word) if word in words else -1 for word in emotions.values], emotions)
    agreed = (intended >= 0) & most[np.arange(len(table)), intended]
    winner = np.where(most.sum(1) == 1, most.argmax(1), np.where(agreed, intended, -1))
    if none := int((winner < 0).sum()):
        talk.say(f"{talk.counted(none, 'clip')} without an emotion that most listeners chose")
    return manifest.with_column(table, "emotion", manifest.from_codes(winner, words))
