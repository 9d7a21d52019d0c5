"""Audit the division of a manifest: which speakers, sounds, recordings and copies are in more than one part."""

from collections.abc import Iterator, Mapping

import numpy as np

from sertool.divisions import leak_guard, own_division
from sertool.errors import UsageError
from sertool.manifests import duplicates, manifest
from sertool.manifests.manifest import Table
from sertool.numeric.codes import Codes
from sertool.system import talk

COMPARED = {"digest": "equal sounds", "path": "overlapping segments", "parent": "copies"}  # what columns let it compare


def report(table: Table, *, strict_sentences: bool) -> int:
    """Print the findings of the leak guard; return the exit code, 1 if anything leaks.

    Rows set aside for equal sounds are ignored, as nothing uses them.
    """
    table = manifest.keep(table, duplicates.single(table))
    parts = _comparable_parts(table)
    groups = guarded_groups(table, parts.index >= 0)
    findings = leak_guard.audit(parts, groups, strict_sentences)
    for finding in findings:
        talk.out(f"{'LEAK' if finding.leak else 'shared'}  {finding}")
    for gap in _unchecked(table, groups, parts):
        talk.out(f"not checked: {gap}")
    leaks = [finding.named for finding in findings if finding.leak]
    verdict = f"leaks of {', '.join(leaks)}" if leaks else _innocence(table, groups, parts)
    talk.out(f"{verdict} between {len(parts.values)} parts of {int((parts.index >= 0).sum()):,} clips")
    return 1 if leaks else 0


def warn_of_torn_recordings(table: Table) -> None:
    """Warn of recordings whose segments are in more than one part."""
    parts = own_division.parts(table)
    if parts is None:
        return
    for finding in leak_guard.audit(parts, _recordings(table, parts.index >= 0, duplicates.shared(table))):
        remedy = "give them one speaker, or leave some out" if finding.leak else "name speakers to keep them together"
        talk.warn(f"{finding}; {remedy}")


def guarded_groups(table: Table, placed: np.ndarray) -> dict[str, Codes]:
    """Return the groups that should not cross parts; `placed` are the rows that have a part, bool `[rows]`."""
    equal = duplicates.shared(table)
    named = [name for name in ("speaker", "sentence", "parent") if name in table.column_names]
    groups = {name: manifest.codes(table, name) for name in named} | {"clip": manifest.distinct_codes(table, "clip")}
    if "digest" in table.column_names:
        groups["digest"] = equal
    return groups | _recordings(table, placed, equal)


def _recordings(table: Table, placed: np.ndarray, equal: Codes) -> dict[str, Codes]:
    """Return the groups of segments of one recording, among those that have a part."""
    recorded = duplicates.recordings(table, placed)
    return {
        "overlap": duplicates.overlapping(table, recorded, equal),
        "recording": duplicates.nameless(table, recorded, equal),
    }


def _comparable_parts(table: Table) -> Codes:
    """Return the parts of a manifest; raise UsageError if there are fewer than two, as nothing could be compared."""
    parts = own_division.parts(table)
    if parts is None:
        raise UsageError("--audit: the manifest has neither a split nor folds; make one with --split or --folds")
    placed = parts.index[parts.index >= 0]
    if not len(placed):
        raise UsageError("--audit: no clip of the manifest has a part; make a split with --split or --folds")
    if (placed == placed[0]).all():
        where = parts.values[int(placed[0])]
        raise UsageError(
            f"--audit: every clip that has a part is in {where}, {len(placed):,} of them: nothing to compare"
        )
    return parts


def _innocence(table: Table, groups: Mapping[str, Codes], parts: Codes) -> str:
    """Return the verdict if nothing leaks: without named speakers, no more than what was compared."""
    speaker = groups.get("speaker")
    if speaker is not None and ((speaker.index >= 0) & (parts.index >= 0)).any():
        return "no leak"
    filled = {name for name in table.column_names if table.column(name).null_count < len(table)}
    compared = [what for name, what in COMPARED.items() if name in filled]
    return f"no leak found in what could be checked ({', '.join(compared) or 'nothing'})"


def _unchecked(table: Table, groups: Mapping[str, Codes], parts: Codes) -> Iterator[str]:
    """Yield what the guard could not check."""
    absent = [name for name in ("speaker", "sentence", "digest") if name not in groups]
    if absent:
        yield f"the manifest has no {' and no '.join(absent)}"
    if "digest" in groups and table.column("digest").null_count < len(table):
        yield "sounds that were coded, resampled or changed: equal ones have equal samples, in whatever bit depth"
    if own_division.has_both(table):
        yield "the folds, as a split stands beside them, by which train goes"
    apart, sound = parts.index < 0, manifest.usable(table)
    if "speaker" in groups and (nameless := int((~apart & (groups["speaker"].index < 0)).sum())):
        yield f"{nameless:,} of {talk.counted(int((~apart).sum()), 'clip')} do not say who speaks"
    if sound[~apart].all():  # rows set aside have no part, unless it came from an older table
        apart &= sound
    if apart.any():
        example = manifest.cell(table, "clip", int(apart.argmax()))
        yield f"{talk.counted(int(apart.sum()), 'clip')} without a part, such as {example}"
