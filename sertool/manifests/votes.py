"""Derive emotions from listeners' votes: the most frequent one, or each one's share."""

from collections.abc import Sequence

import numpy as np

from sertool.errors import UsageError
from sertool.manifests import labels, manifest
from sertool.manifests.manifest import Table
from sertool.numeric.codes import Codes, look_up
from sertool.system import talk


def labelled(table: Table, source: str, modality: str, mapping: dict[str, str]) -> Table:
    """Replace the emotions by those that most listeners chose (`perceived`), or add each one's share (`soft`)."""
    prefix = f"votes_{modality}_"
    names = manifest.family(table, prefix)
    if not names:
        raise UsageError(f"--labels {source}: the manifest has no columns {prefix}*: {_remedy(table, modality)}")
    meanings = {name: labels.canonical(name, mapping) for name in names}
    words, votes = manifest.by_word(
        table, prefix, {name: name if word is None else word for name, word in meanings.items()}
    )
    votes = np.nan_to_num(votes)
    if source == "perceived":
        return _by_plurality(table, votes, words)
    is_emotion = np.array([*map(bool, words)])
    words, votes = [*filter(None, words)], votes[:, is_emotion]
    total = votes.sum(1, keepdims=True)
    for word, share in zip(words, (votes / np.where(total, total, np.nan)).T, strict=True):
        table = manifest.with_column(table, f"soft_{word}", manifest.numbers(share))
    return table


def _remedy(table: Table, modality: str) -> str:
    """Return a hint for a manifest without votes of the requested modality."""
    there = manifest.family(table, "votes_")
    others = sorted({name.partition("_")[0] for name in there} & {"voice", "face", "both"})
    if others:
        return f"it has those of --votes {' and '.join(others)}"
    if there:
        return f"rename votes_{there[0]} to votes_{modality}_{there[0]}, and the others likewise"
    return "index a corpus with its vote tables"


def _by_plurality(table: Table, votes: np.ndarray, words: Sequence[str]) -> Table:
    """Set each emotion to the one with most votes, `[rows, words]`; in a tie the intended one, else null.

    The word "" is what listeners chose who named no emotion (`--map X=`).
    """
    most = (votes == votes.max(1, keepdims=True)) & (votes > 0)
    emotions = manifest.codes(table, "emotion")
    intended = look_up([words.index(word) if word in words else -1 for word in emotions.values], emotions)
    agreed = (intended >= 0) & most[np.arange(len(table)), intended]
    winner = np.where(most.sum(1) == 1, most.argmax(1), np.where(agreed, intended, -1))
    winner = np.where(look_up([not word for word in words], Codes(winner, words), False), -1, winner)
    if none := int((winner < 0).sum()):
        talk.say(f"{talk.counted(none, 'clip')} without an emotion that most listeners chose")
    return manifest.with_column(table, "emotion", manifest.from_codes(winner, words))
