"""The options of the commands that made a manifest, as its provenance has them, and as one command's for an update."""

from collections.abc import Sequence
from typing import NamedTuple

from sertool.divisions import own_division
from sertool.manifests import provenance
from sertool.manifests.manifest import Table

CHOOSES_ROWS = {"--emotions", "--where"}  # which a command does after it has named emotions
BY_VOTES = {"--labels", "--votes"}
# What names emotions, with what one command does no earlier: after that in another command, it would name others.
NO_EARLIER = dict.fromkeys(("--map", *BY_VOTES), {"--map", "--correct"} | BY_VOTES | CHOOSES_ROWS) | {
    "--correct": CHOOSES_ROWS
}
ADDED_UP = {"--correct", "--where"}  # later ones go beside earlier ones
Options = dict[str, list[str]]  # the arguments of each option


class Recorded(NamedTuple):
    """The options of the commands that read audio, and of those that chose among the rows of manifests."""

    readings: Sequence[Options]
    selections: Sequence[Options]


def recorded(table: Table) -> Recorded:
    """Return the options in a table's provenance."""
    return Recorded(*(
        [
            {word: [*map(str, arguments)] for word, arguments in step[key].items() if isinstance(arguments, list)}
            for step in provenance.of(table)["chain"]
            if isinstance(step.get(key), dict)
        ]
        for key in ("reading", "selection")
    ))  # fmt: skip


def told(table: Table) -> tuple[list[Options], list[Options], str | None]:
    """Return what later updates go by: the options in a table's provenance, each step's once, and its division."""
    steps = recorded(table)
    return _distinct(steps.readings), _distinct([*filter(None, steps.selections)]), own_division.protocol(table)


def _distinct(steps: Sequence[Options]) -> list[Options]:
    return [step for place, step in enumerate(steps) if step not in steps[:place]]


def merged(steps: Recorded) -> tuple[Options, set[str]]:
    """Return the options of one command that does what all of them did, and those for which there is none.

    One command names emotions before it chooses rows, so none names them after others have named or chosen.
    """
    first, *others = steps.readings or [{}]
    together = dict(first)
    contested = {word for other in others for word in {*first, *other} if first.get(word) != other.get(word)}
    for step in steps.selections:
        for word in step:
            if before := NO_EARLIER.get(word, set()) & together.keys():
                contested |= {word, *before}
        if others:  # and nobody knows of which of them it chose
            contested |= step.keys()
        for word, arguments in step.items():
            together[word] = [*together.get(word, []), *arguments] if word in ADDED_UP else arguments
    return together, contested
