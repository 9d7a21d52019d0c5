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
    words, votes = manifest.by_word(table, prefix, _meanings(names, mapping))
    if source == "perceived":
        return _by_plurality(table, np.nan_to_num(votes), words)
    return _with_shares(table, words, votes)


def with_shares_by_meaning(table: Table, mapping: dict[str, str]) -> tuple[Table, set[str]]:
    """Sum the shares of votes for emotions of one meaning; also return the mapping's labels that have shares."""
    names = manifest.family(table, "soft_")
    meanings = _meanings(names, mapping)
    if [*meanings.values()] != names:
        table = _with_shares(table, *manifest.by_word(table, "soft_", meanings))
    return table, mapping.keys() & map(labels.plain, names)


def _meanings(names: Sequence[str], mapping: dict[str, str]) -> dict[str, str]:
    """Return the emotion that each name stands for: "" for none, itself for an unknown word."""
    known = {name: labels.canonical(name, mapping) for name in names}
    return {name: name if word is None else word for name, word in known.items()}


def _with_shares(table: Table, words: Sequence[str], votes: np.ndarray) -> Table:
    """Replace the shares of votes by the emotions' shares of some votes or shares, `[rows, words]`."""
    votes = np.nan_to_num(votes[:, np.array([*map(bool, words)], bool)])
    total = votes.sum(1, keepdims=True)
    table = table.drop_columns([f"soft_{name}" for name in manifest.family(table, "soft_")])
    for word, share in zip(filter(None, words), (votes / np.where(total, total, np.nan)).T, strict=True):
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
