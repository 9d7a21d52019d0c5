"""Splits, folds and the leak guard for manifests: adds the columns `split` or `fold`, and prints the findings."""

import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from sertool import duplicates, leak_guard, manifest, protocols, provenance, splits, talk
from sertool.codes import Codes, take
from sertool.errors import UsageError
from sertool.files import listed
from sertool.manifest import Table

GUARDED = ("speaker", "sentence", "digest", "clip", "parent")
COMPARED = {"digest": "equal sounds", "path": "overlapping segments", "parent": "copies"}  # what columns let it compare
OTHER = {"split": "fold", "fold": "split"}  # a table has only one of the two
Wanted = str | int | None


class Columns(Mapping):
    """The columns of some rows, encoded on first use: most divisions need few of them."""

    NAMES = ("clip", "speaker", "sentence", "emotion", "parent", "corpus")

    def __init__(self, table: Table, rows: np.ndarray) -> None:
        self.table, self.rows = table, rows
        self.names = [name for name in self.NAMES if name in table.column_names]

    def __getitem__(self, name: str) -> Codes:
        if name not in self.names:
            raise KeyError(name)
        return take(_coded(self.table, name), self.rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def _coded(table: Table, name: str) -> Codes:
    """Encode a column in the fastest way: clip ids are all distinct, and only repeated digests matter."""
    how = {"clip": manifest.distinct_codes, "digest": lambda table, _: duplicates.shared(table)}.get(
        name, manifest.codes
    )
    return how(table, name)


def guarded(table: Table, placed: np.ndarray) -> dict[str, Codes]:
    """Return the groups that should not cross parts; `placed` are the rows that have a part, bool `[rows]`."""
    groups = {name: _coded(table, name) for name in GUARDED if name in table.column_names}
    return groups | _of_recordings(table, placed, groups["digest"] if "digest" in groups else duplicates.shared(table))


def _of_recordings(table: Table, placed: np.ndarray, equal: Codes) -> dict[str, Codes]:
    """Return the groups of segments of one recording, among those that have a part."""
    recorded = duplicates.recordings(table, placed)
    return {
        "overlap": duplicates.overlapping(table, recorded, equal),
        "recording": duplicates.nameless(table, recorded, equal),
    }


def warn_of_torn_recordings(table: Table) -> None:
    """Warn of recordings whose segments are in more than one part."""
    parts = parts_of(table)
    if parts is None:
        return
    for finding in leak_guard.audit(parts, _of_recordings(table, parts.index >= 0, duplicates.shared(table))):
        remedy = "give them one speaker, or leave some out" if finding.leak else "name speakers to keep them together"
        talk.warn(f"{finding}; {remedy}")


def requested_division(split: str | None, folds: int | None, protocol: str | None, *, loso: bool = False) -> Wanted:
    """Return the one division that the options ask for; checked before any file is read."""
    ways = {"--split": split, "--folds": folds, "--loso": "loso" if loso else None, "--protocol": protocol}
    requested = {option: how for option, how in ways.items() if how is not None}
    if len(requested) > 1:
        raise UsageError(f"{' and '.join(requested)} exclude each other: give one")
    how = next(iter(requested.values()), None)
    if isinstance(how, str):
        protocols.parse(how)
    return how


def warn_of_like_names(table: Table) -> None:
    """Warn of speaker names that differ only by case: one speaker may then be in several parts."""
    alike = defaultdict(list)
    for name, _ in manifest.counts(table, "speaker"):
        alike[name.casefold()].append(name)
    if both := [" and ".join(sorted(names)) for names in alike.values() if len(names) > 1]:
        talk.warn(f"speakers whose names differ only by case are taken for different people: {listed(sorted(both), 3)}")


def divided(table: Table, how: Wanted, seed: int, old: Table | None = None) -> Table:
    """Return the table with `split` or `fold` as asked, or as in an older manifest; its speakers keep their part."""
    if how is None:
        return table if old is None else _as_before(table, old)
    rows = manifest.usable(table)
    parts = None if old is None else parts_of(old)
    keep = {} if parts is None else {"speaker": splits.places_to_keep(manifest.codes(old, "speaker"), parts)}
    divide = splits.folds if isinstance(how, int) else splits.divide
    division = divide(how, Columns(table, rows), seed, keep)
    _say(division, how)
    recipe = protocols.named(how).copies
    if recipe and manifest.originals(table)[rows].all():
        talk.warn(f"{how} divides clips together with a copy of each, and there are no copies: "
                  f"run `sertool augment --recipe {recipe}` first")  # fmt: skip
    if keep:
        _say_moved(manifest.codes(manifest.keep(table, rows), "speaker"), division, keep["speaker"], how)
    return _placed(table, division, rows)


def _say_moved(speaker: Codes, division: splits.Division, before: Mapping[str, str], how: Wanted) -> None:
    """Warn of speakers whom a published or random division moves from their part in the older manifest."""
    place, names = (division.split, splits.PARTS) if division.fold is None else (division.fold, None)
    pairs = np.unique(np.stack([speaker.index, place])[:, (speaker.index >= 0) & (place >= 0)], axis=1).T.tolist()
    placements = [(str(speaker.values[index]), names[part] if names else str(part)) for index, part in pairs]
    moved = {index for index, part in placements if before.get(index, part) != part}
    if moved:
        talk.warn(f"{how} puts {talk.counted(len(moved), 'speaker')} elsewhere than the manifest of --update: what was "
                  "trained on that knows some who are held out now")  # fmt: skip


def _placed(table: Table, division: splits.Division, rows: np.ndarray) -> Table:
    name, values = ("split", division.split) if division.fold is None else ("fold", division.fold)
    place = np.full(len(rows), -1, values.dtype)
    place[rows] = values
    table = manifest.without(table, OTHER[name])
    if name == "split":
        return manifest.with_column(table, name, manifest.from_codes(place, splits.PARTS))
    return manifest.with_column(table, name, manifest.whole_numbers(place))


def _as_before(table: Table, old: Table) -> Table:
    """Give each clip the part of its speaker in the older manifest, by the present name; else the part of the clip."""
    for name in ("split", "fold"):
        if name in old.column_names:
            table = manifest.with_column(table, name, _places(table, old, name))
    return table


def _places(table: Table, old: Table, name: str) -> list[str | int | None]:
    """Return the split or fold of each row."""
    before = manifest.column(old, name)
    clips = dict(zip(manifest.column(old, "clip"), before, strict=True))
    speakers = manifest.column(old, "speaker")
    side = parts_of_speakers(speakers, before)
    rows = zip(manifest.column(table, "clip"), manifest.column(table, "speaker"), manifest.usable(table), strict=True)
    placements = [(side.get(speaker, clips.get(clip)), usable) for clip, speaker, usable in rows]
    fresh = {*manifest.column(table, "speaker")} - {*speakers, None}
    if fresh:
        talk.warn(f"new speakers without a {name}: {listed(sorted(fresh), 5)}; name the --split again to place them")
    return [part if usable else None for part, usable in placements]


def parts_of_speakers(speakers: list[str | None], places: list[Any]) -> dict[str, Any]:
    """Return the split or fold of each speaker whose clips are all in one."""
    places_of_speaker: dict[str, set[Any]] = defaultdict(set)
    for speaker, place in zip(speakers, places, strict=True):
        if speaker:
            places_of_speaker[speaker] |= {place} - {None}
    return {speaker: parts.pop() for speaker, parts in places_of_speaker.items() if len(parts) == 1}


def protocol(table: Table) -> str | None:
    """Return how the clips were divided, by the latest command that says so, else by a column with a single value."""
    for step in reversed(provenance.of(table)["chain"]):
        name = str(step.get("protocol") or "") or _protocol_of(str(step.get("command", "")))
        if name:
            return name
    names = manifest.counts(table, "protocol")
    return str(names[0][0]) if len(names) == 1 else None


def _protocol_of(command: str) -> str | None:
    try:
        parts = shlex.split(command)
    except ValueError:
        parts = command.split()
    words = [word for part in parts for word in (part.split("=", 1) if part.startswith("--") else [part])]
    for option in ("--protocol", "--split", "--folds"):
        if option in words[:-1]:
            value = words[words.index(option) + 1]
            return f"{value} folds" if option == "--folds" else value
    return "loso" if "--loso" in words else None


def parts_of(table: Table) -> Codes | None:
    """Return the split of a manifest, or its folds."""
    for name in ("split", "fold"):
        if name in table.column_names:
            return manifest.codes(table, name)
    return None


def has_both(table: Table) -> bool:
    """Whether any clip has both a part of a split and a fold."""
    names = {*OTHER} & {*table.column_names}
    return len(names) == len(OTHER) and bool(np.logical_and(*(~manifest.lacking(table, name) for name in names)).any())


def without_empty_parts(table: Table) -> Table:
    """Return the table without a `split` or `fold` column that is null in all rows."""
    for name in OTHER:
        table = manifest.without(table, name) if manifest.lacking(table, name).all() else table
    return table


def strange_parts(table: Table) -> list[str]:
    """Return the values of `split` that name no part."""
    return [word for word in manifest.codes(table, "split").values if word not in splits.PARTS]


def _say(division: splits.Division, how: Wanted) -> None:
    protocol = protocols.named(how)
    if protocol.is_leaky:
        talk.warn(f"{how} puts clips of one speaker on both sides: its figures say nothing about new speakers")
    elif not protocol.keeps_speakers:
        talk.warn(f"{how} holds out what is said and not who speaks: for new speakers as well, speaker+sentence")
    # Mentioned once: train divides twice, the first time to look ahead before features are made.
    code = division.split if division.fold is None else division.fold
    placed = np.unique(code[code >= 0])
    if isinstance(how, int) and 1 < len(placed) < how:
        talk.warn(f"--folds {how}: only {len(placed)} have clips, as everybody stays in the fold of the older manifest")
    if len(placed) == 1:
        where = splits.PARTS[placed[0]] if division.fold is None else f"fold {placed[0]}"
        talk.warn(f"{how} puts every clip in {where}, so nobody is held out: more speakers are needed, or another way")
    if division.absent:
        talk.say_once(f"{how}: {len(division.absent)} of its speakers are not here: {listed(division.absent, 5)}")
    if division.bridging:
        count = talk.counted(division.bridging, "clip")
        talk.say_once(f"{how}: {count} left out whose speaker and sentence went to different parts")
    if division.outside:
        talk.say_once(f"{how}: {talk.counted(division.outside, 'clip')} outside of it, without a part")


def report(table: Table, *, strict_sentences: bool) -> int:
    """Print the findings of the leak guard; return the exit code, 1 if anything leaks.

    Rows set aside for equal sounds are ignored, as nothing uses them.
    """
    table = manifest.keep(table, duplicates.single(table))
    parts = _comparable(table)
    groups = guarded(table, parts.index >= 0)
    findings = leak_guard.audit(parts, groups, strict_sentences)
    for finding in findings:
        talk.out(f"{'LEAK' if finding.leak else 'shared'}  {finding}")
    for gap in _unchecked(table, groups, parts):
        talk.out(f"not checked: {gap}")
    leaks = [finding.named for finding in findings if finding.leak]
    verdict = f"leaks of {', '.join(leaks)}" if leaks else _innocence(table, groups, parts)
    talk.out(f"{verdict} between {len(parts.values)} parts of {int((parts.index >= 0).sum()):,} clips")
    return 1 if leaks else 0


def _innocence(table: Table, groups: Mapping[str, Codes], parts: Codes) -> str:
    """Return the verdict if nothing leaks: without named speakers, no more than what was compared."""
    speaker = groups.get("speaker")
    if speaker is not None and ((speaker.index >= 0) & (parts.index >= 0)).any():
        return "no leak"
    filled = {name for name in table.column_names if table.column(name).null_count < len(table)}
    compared = [what for name, what in COMPARED.items() if name in filled]
    return f"no leak found in what could be checked ({', '.join(compared) or 'nothing'})"


def _comparable(table: Table) -> Codes:
    """Return the parts of a manifest; raise UsageError if there are fewer than two, as nothing could be compared."""
    parts = parts_of(table)
    if parts is None:
        raise UsageError("--audit: the manifest has neither a split nor folds; make one with --split or --folds")
    placed = parts.index[parts.index >= 0]
    if not len(placed):
        raise UsageError("--audit: no clip of the manifest has a part; make a split with --split or --folds")
    if (placed == placed[0]).all():
        where = parts.values[placed[0]]
        raise UsageError(
            f"--audit: every clip that has a part is in {where}, {len(placed):,} of them: nothing to compare"
        )
    return parts


def _unchecked(table: Table, groups: Mapping[str, Codes], parts: Codes) -> Iterator[str]:
    """Yield what the guard could not check."""
    absent = [name for name in ("speaker", "sentence", "digest") if name not in groups]
    if absent:
        yield f"the manifest has no {' and no '.join(absent)}"
    if "digest" in groups and table.column("digest").null_count < len(table):
        yield "sounds that were coded, resampled or changed: equal ones have equal samples, in whatever bit depth"
    if has_both(table):
        yield "the folds, as a split stands beside them, by which train goes"
    apart, sound = parts.index < 0, manifest.usable(table)
    if "speaker" in groups and (nameless := int((~apart & (groups["speaker"].index < 0)).sum())):
        yield f"{nameless:,} of {talk.counted(int((~apart).sum()), 'clip')} do not say who speaks"
    if sound[~apart].all():  # rows set aside have no part, unless it came from an older table
        apart &= sound
    if apart.any():
        example = manifest.cell(table, "clip", int(apart.argmax()))
        yield f"{talk.counted(int(apart.sum()), 'clip')} without a part, such as {example}"
