"""Say which ratings clips have, such as arousal, and where corpora rate on different scales."""

from sertool.manifests import casting, columns, manifest
from sertool.manifests.columns import Row
from sertool.manifests.manifest import Table
from sertool.numeric import scales
from sertool.system import talk
from sertool.system.files import listed


def are_known(row: Row) -> bool:
    return any(isinstance(row.get(name), float) for name in columns.DIMENSIONS)


def say(table: Table) -> None:
    """Say how many clips have ratings and from what to what, and warn of different scales once."""
    words = {*casting.own_columns(table)}
    names = [name for name in columns.DIMENSIONS if manifest.has(table, name)]
    rated = {name: table.column(name).to_numpy() for name in names if name not in words}
    known = {name: scale for name, values in rated.items() if (scale := scales.of(values))}
    if known:
        counts = (f"{name} {scales.known(rated[name]).sum():,} ({scales.ends(scale)})" for name, scale in known.items())
        talk.say("  rated: " + listed(counts))
    corpus = manifest.codes(table, "corpus")
    for clash in (f"{name} is {found}" for name in known for found in scales.unlike(rated[name], corpus)):
        talk.warn(
            f"{clash}: on different scales, so train and score each corpus by itself, or bring them to one scale with "
            "a table for --correct"
        )
        break
