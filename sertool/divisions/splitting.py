"""Divide manifests: draw the column `split` or `fold`, or take it from an older manifest, and say what came of it."""

from collections.abc import Iterator, Mapping

import numpy as np

from sertool.divisions import own_division, protocols, splits
from sertool.divisions.splits import PARTS, Division
from sertool.errors import UsageError
from sertool.manifests import manifest
from sertool.manifests.manifest import Table
from sertool.numeric.codes import Codes, take
from sertool.system import talk
from sertool.system.files import listed

NAMES = ("clip", "speaker", "sentence", "emotion", "parent", "corpus", "published")  # columns that divisions need
Request = str | int  # a --split expression, or a number of folds


def requested_division(
    split: str | None, folds: int | None, protocol: str | None, *, loso: bool = False
) -> Request | None:
    """Return the one division that the options ask for; checked before any file is read."""
    options = {"--split": split, "--folds": folds, "--loso": "loso" if loso else None, "--protocol": protocol}
    requested = {option: request for option, request in options.items() if request is not None}
    if len(requested) > 1:
        raise UsageError(f"{' and '.join(requested)} exclude each other: give one")
    request = next(iter(requested.values()), None)
    if isinstance(request, str):
        protocols.parse(request)
    return request


def divided(table: Table, request: Request, seed: int, old: Table | None = None) -> Table:
    """Return the table with a split or folds; speakers of an older manifest keep their part, where they can."""
    rows = manifest.usable(table)
    columns, kept = Columns(table, rows), _kept_speakers(old)
    if isinstance(request, int):
        division = splits.folds(request, columns, seed, {"speaker": kept})
    else:
        division = splits.divide(request, columns, seed, {"speaker": kept})
    _say(division, request)
    _warn_of_no_copies(request, manifest.originals(table)[rows])
    if kept:
        _warn_of_moved(take(manifest.codes(table, "speaker"), rows), division.parts, kept, request)
    return _with_division(table, division, rows)


def divided_as(table: Table, old: Table) -> Table:
    """Give each clip the part of its speaker in the older manifest, by the present name; else the part of the clip."""
    for name in own_division.COLUMNS:
        if name in old.column_names:
            table = manifest.with_column(table, name, _old_places(table, old, name))
    return table


def coded(table: Table, name: str) -> Codes:
    """Encode a column in the faster way: clip ids are all distinct."""
    return manifest.distinct_codes(table, name) if name == "clip" else manifest.codes(table, name)


class Columns(Mapping[str, Codes]):
    """The columns of some rows, encoded when they are asked for: most divisions need few of them."""

    def __init__(self, table: Table, rows: np.ndarray) -> None:
        self.table, self.rows = table, rows
        self.names = [name for name in NAMES if name in table.column_names]

    def __getitem__(self, name: str) -> Codes:
        if name not in self.names:
            raise KeyError(name)
        return take(coded(self.table, name), self.rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def _kept_speakers(old: Table | None) -> dict[str, str]:
    """Return the part of each speaker of an older manifest."""
    parts = None if old is None else own_division.parts(old)
    return {} if old is None or parts is None else splits.places_to_keep(manifest.codes(old, "speaker"), parts)


def _with_division(table: Table, division: Division, rows: np.ndarray) -> Table:
    """Return the table with a division of these rows; the others get no part."""
    places = np.full(len(rows), -1, division.places.dtype)
    places[rows] = division.places
    values = manifest.from_codes(places, PARTS) if division.column == "split" else manifest.whole_numbers(places)
    return own_division.replaced(table, division.column, values)


def _old_places(table: Table, old: Table, name: str) -> list[str | int | None]:
    """Return the split or fold of each row, by an older manifest."""
    speakers, before = manifest.column(old, "speaker"), manifest.column(old, name)
    of_clips = dict(zip(manifest.column(old, "clip"), before, strict=True))
    of_speakers = own_division.places_of_speakers(speakers, before)
    rows = zip(manifest.column(table, "clip"), manifest.column(table, "speaker"), manifest.usable(table), strict=True)
    places = [of_speakers.get(speaker, of_clips.get(clip)) if usable else None for clip, speaker, usable in rows]
    if fresh := {*manifest.column(table, "speaker")} - {*speakers, None}:
        talk.warn(f"new speakers without a {name}: {listed(sorted(fresh), 5)}; name the --split again to place them")
    return places


# What is said of a division. Counts are said once: train divides twice, the first time to look ahead before features
# are made.


def _say(division: Division, request: Request) -> None:
    protocol, parts = protocols.named(request), division.parts
    if protocol.is_leaky:
        talk.warn(f"{request} puts clips of one speaker on both sides: its figures say nothing about new speakers")
    elif not protocol.keeps_speakers:
        talk.warn(f"{request} holds out what is said and not who speaks: for new speakers as well, speaker+sentence")
    filled = np.unique(parts.index[parts.index >= 0]).tolist()
    if isinstance(request, int) and 1 < len(filled) < request:
        everybody = "as everybody stays in the fold of the older manifest"
        talk.warn(f"--folds {request}: only {len(filled)} have clips, {everybody}")
    if len(filled) == 1:
        where = f"{'fold ' if division.column == 'fold' else ''}{parts.values[filled[0]]}"
        talk.warn(
            f"{request} puts every clip in {where}, so nobody is held out: more speakers are needed, or "
            "--split sentence or random-70-30, whose figures say nothing about new speakers"
        )
    if division.absent:
        talk.say_once(f"{request}: {len(division.absent)} of its speakers are not here: {listed(division.absent, 5)}")
    if division.bridging:
        count = talk.counted(division.bridging, "clip")
        talk.say_once(f"{request}: {count} left out whose speaker and sentence went to different parts")
    if division.outside:
        talk.say_once(f"{request}: {talk.counted(division.outside, 'clip')} outside of it, without a part")


def _warn_of_no_copies(request: Request, is_original: np.ndarray) -> None:
    recipe = protocols.named(request).copies
    if recipe and is_original.all():
        talk.warn(
            f"{request} divides clips together with a copy of each, and there are no copies: "
            f"run `sertool augment --recipe {recipe}` first"
        )


def _warn_of_moved(speaker: Codes, parts: Codes, before: Mapping[str, str], request: Request) -> None:
    """Warn of speakers whom a published or random division moves from their part in the older manifest."""
    pairs = np.stack([speaker.index, parts.index])[:, (speaker.index >= 0) & (parts.index >= 0)]
    placements = [(str(speaker.values[who]), parts.values[part]) for who, part in np.unique(pairs, axis=1).T.tolist()]
    moved = {who for who, part in placements if before.get(who, part) != part}
    if moved:
        talk.warn(
            f"{request} puts {talk.counted(len(moved), 'speaker')} elsewhere than the manifest of --update: what "
            "was trained on that knows some who are held out now"
        )
