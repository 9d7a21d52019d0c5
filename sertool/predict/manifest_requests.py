"""Turn manifests into requests, with the columns that answers keep."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from sertool import effects
from sertool.divisions import own_division
from sertool.errors import UsageError
from sertool.manifests import columns, manifest
from sertool.manifests.manifest import Table
from sertool.predict.request import Models, Request
from sertool.predict.stored_rows import Shelf
from sertool.system import talk
from sertool.system.files import listed

KEPT = (
    "clip", "path", "start", "duration", "corpus", "speaker", "sex", "age", "race", "ethnicity", "language", "emotion",
    "label", "intensity", "sentence", "style", *columns.DIMENSIONS, "split", "fold", "parent", "issue", "digest",
)  # fmt: skip
OF_ANSWERS = ("end", "channel", "top", "protocol", "adapted")  # not manifest columns, but columns of answers
VOTES = "votes_voice_"  # listeners' votes, which eval scores


class Keeping(NamedTuple):
    """Which columns of manifests answers keep: one more than usual, and none of the answers to come."""

    also: str | None = None
    answers: Collection[str] = ()


def kept(table: Table, keeping: Keeping, shelf: Shelf) -> Table:
    """Return the columns of a manifest that predictions need, and its clips whose audio or shard rows exist."""
    _require_columns(table, keeping.also)
    table = _with_protocol(_with_channels(table))
    places = () if "channel" in table.column_names else shelf.of_manifest(table)  # shards are of all channels
    wanted = (*KEPT, "channel", "protocol", keeping.also, *places)
    table = _answerable(table, places).select(_columns_kept(table, wanted, keeping.answers))
    return table if any(manifest.column(table, "parent")) else manifest.without(table, "parent")


def _require_columns(table: Table, also: str | None) -> None:
    names = table.column_names
    if "path" not in names:
        raise UsageError(
            f"a manifest without the column path, which says where the audio is; it has {listed(names, 20)}"
        )
    if also is not None and also not in names:
        raise UsageError(f"no column {also} in the manifest; it has {listed(names, 20)}")


def _answerable(table: Table, places: Sequence[str]) -> Table:
    """Keep the clips whose audio exists, or whose rows lie in shards by all columns of `places`."""
    made = np.array([not effects.needs_rendering(each) for each in manifest.column(table, "augmentation")], bool)
    if places:
        made |= ~np.any([manifest.lacking(table, name) for name in places], axis=0)
    if missing := int((~made).sum()):
        talk.warn(
            f"{missing:,} augmented copies are left out, whose sound is not made yet: "
            "sertool augment --write makes files of them"
        )
    return manifest.keep(table, made)


def _columns_kept(table: Table, wanted: Sequence[str | None], answers: Collection[str]) -> list[str]:
    """Return the wanted columns, the listeners' votes, and the user's own columns of words or numbers.

    Earlier answers are left out, which would be taken for new ones.
    """
    earlier = {*OF_ANSWERS, *answers, *manifest.rated(table)}
    others = [name for name in table.column_names if not (name in earlier or columns.kind_of(name))]
    plain = {name for name in others if manifest.is_of_words(table, name)}
    if lost := [name for name in others if name not in plain]:
        talk.warn(f"left out, for each cell holds more than a word or a number: {listed(lost)}")
    return [name for name in table.column_names if name in wanted or name.startswith(VOTES) or name in plain]


def _with_channels(table: Table) -> Table:
    """Return the table with `channel` as whole numbers from 1.

    If the column holds words, or numbers too large for channels, it means something else and is dropped.
    """
    named = manifest.codes(table, "channel")
    if not (numbers := columns.channel_numbers(named.values)):
        return manifest.without(table, "channel")
    if 0 in numbers:
        raise UsageError("the column channel holds 0, and channels are counted from 1: count so, or leave it out")
    return manifest.with_column(table, "channel", [None if place < 0 else numbers[place] for place in named.index])


def _with_protocol(table: Table) -> Table:
    """Return the table with `protocol`: how the clips that have a part or a fold were divided, if that is known."""
    name = own_division.protocol(table)
    divided = ~np.all([manifest.lacking(table, column) for column in own_division.COLUMNS], axis=0)
    if name is None or not divided.any():
        return manifest.without(table, "protocol")
    return manifest.with_column(table, "protocol", [name if has_part else None for has_part in divided])


def requests_of(table: Table, models: Sequence[Models], shelf: Shelf) -> Iterator[Request]:
    """Yield a request for each clip, with the models that answer for it."""
    rows = (row for batch in table.to_batches(max_chunksize=1024) for row in batch.to_pylist())
    for row, own in zip(rows, models, strict=True):
        stored = shelf.taken(row)  # which takes these columns out of the row
        request = Request(row, stored, own)
        is_there = row["path"] or request.stored
        yield request if is_there else request.with_columns(path="", issue=row.get("issue") or "vanished")
