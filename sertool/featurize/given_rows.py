"""Match the rows of features that another program made with the clips of a manifest.

A name in such a file means a clip or its audio file, in the ways in which a table of labels names it.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sertool import effects, features
from sertool.errors import SertoolError, UsageError
from sertool.featurize import given_files
from sertool.featurize.decoding import Clip
from sertool.featurize.extraction import Extraction
from sertool.featurize.given_files import Piece, Pieces
from sertool.featurize.shard_plan import clips_of
from sertool.index.labelling import Candidate
from sertool.index.tables import Files
from sertool.manifests import manifest
from sertool.manifests.labels import composed
from sertool.manifests.manifest import Table
from sertool.system import talk
from sertool.system.files import listed
from sertool.system.paths import absolute, path_of

NAMED = re.compile(r"([A-Za-z0-9][\w-]*)=(.+)")  # egemaps=egemaps.csv
SLACK = 0.02  # seconds by which a row may end after its clip, as a frame does
SHOWN_COLUMNS = 4  # in a message


def parsed(spec: str) -> tuple[str, str]:
    """Return feature and file of `egemaps=egemaps.csv`, whose feature is `given_egemaps`, or of a file alone."""
    found = NAMED.fullmatch(spec)
    return (f"given_{found[1]}", found[2]) if found else ("given", spec)


def with_given(extraction: Extraction, specs: Sequence[str], table: Table) -> Extraction:
    """Return the extraction with the features that files give for a manifest's usable clips."""
    made: dict[str, Any] = {}
    given: dict[str, dict[str, np.ndarray]] = {}
    for spec in specs:
        name, file = parsed(spec)
        if name in made:
            raise UsageError(
                f"--given {spec}: another file has its name: give each its own, as in --given other={file}"
            )
        try:
            names, pieces = given_files.read(file, name)
            given[name] = _of_clips(pieces, table, file)
        except SertoolError as error:
            raise type(error)(f"--given {spec}: {str(error).removeprefix(f'{file}: ')}") from None
        _warn_of_gaps(names, given[name], file)
        over_time = any(len(rows) > 1 for rows in given[name].values())
        made[name] = features.settings(name, {"columns": names, "over_time": over_time})
    return replace(extraction, features=extraction.features | made, given=given)


def _warn_of_gaps(names: Sequence[str], rows: Mapping[str, np.ndarray], file: str) -> None:
    """Warn of clips that will be set aside because some of their values are missing or infinite."""
    bad = {clip: ~np.isfinite(own).all(axis=0) for clip, own in rows.items() if not np.isfinite(own).all()}
    if bad:
        which = [names[place] for place in np.flatnonzero(np.any([*bad.values()], axis=0)).tolist()]
        clips = f"{talk.counted(len(bad), 'clip')}, such as {next(iter(bad))}"
        talk.warn(f"{file}: {listed(which, SHOWN_COLUMNS)}: a number is missing or infinite in {clips}")


def _of_clips(pieces: Pieces, table: Table, file: str) -> dict[str, np.ndarray]:
    """Return the rows of each clip that a file has any for."""
    meant = _meant(list(pieces), clips_of(manifest.keep(table, manifest.usable(table))))
    found: dict[str, np.ndarray] = {}
    for name, clips in meant.items():
        if pieces[name].starts is None and len(clips) > 1:
            says = "say which by their names, or by start and end"
            raise SertoolError(f"{name} is the file of {len(clips):,} clips: {says}")
        for clip in clips:
            if clip.name in found:
                raise SertoolError(f"{name} and another name both mean {clip.name}: leave one of them out")
            rows = pieces[name].rows if clip.name == name else _within(pieces[name], clip)
            if len(rows):
                found[clip.name] = rows
    if not found:
        example = repr(next(iter(pieces), ""))
        raise UsageError(f"none of its {len(pieces):,} names, such as {example}, is a clip or file here")
    if strange := [name for name, clips in meant.items() if not clips]:
        talk.say(f"{file}: {talk.counted(len(strange), 'name')} of no clip here left out, such as {strange[0]}")
    _warn_of_other_folders(meant, file)
    return found


def _warn_of_other_folders(meant: Mapping[str, Sequence[Clip]], file: str) -> None:
    """Warn where names mean clips in a folder that is called otherwise: they may be of other clips, called alike."""
    paths = {name: clips[0].path for name, clips in meant.items() if clips and clips[0].path and name != clips[0].name}
    loose = [name for name, path in paths.items() if _folder(name) not in ("", _folder(path))]
    if loose:
        count = talk.counted(len(loose), "name")
        talk.warn(f"{file}: {count} taken for files called alike in other folders: {loose[0]} for {paths[loose[0]]}")


def _meant(names: Sequence[str], clips: Sequence[Clip]) -> dict[str, list[Clip]]:
    """Return the clips that each name means: one by its own name, or those of an audio file."""
    by_name, in_file = {clip.name: clip for clip in clips}, _by_file(clips)
    files = Files([Candidate(path.parent, path) for path in in_file])
    known = {name for name in names if name in by_name or Path(absolute(path_of(name))) in in_file}
    likely = _likely(names, known, {_folder(clip.path) for clip in clips if clip.path})
    places = {name: files.find(path_of(name)) for name in likely if name not in by_name}
    of_files = {name: in_file[place[1]] for name, place in places.items() if place}
    return {name: [by_name[name]] if name in by_name else of_files.get(name, []) for name in names}


def _likely(names: Sequence[str], known: Collection[str], folders: Collection[str]) -> list[str]:
    """Return the names that may mean a clip here, if some are `known` to, or name one of the `folders` of clips.

    Then the others that name a folder mean clips that are not here, such as another speaker's, perhaps called alike.
    """
    inside = {name: _folder(name) for name in names}
    known = known or {name for name in names if inside[name] in folders}
    return [name for name in names if not known or name in known or not inside[name]]


def _folder(name: str) -> str:
    """Return the name of the folder that a file lies in, perhaps on Windows, as names are compared."""
    return composed(Path(path_of(name).replace("\\", "/")).parent.name).casefold()


def _within(piece: Piece, clip: Clip) -> np.ndarray:
    """Return the rows that lie in a clip, which may be a part of the audio file."""
    if piece.starts is None or piece.ends is None:
        return piece.rows
    begin, seconds = clip.start or 0.0, np.inf if clip.duration is None else clip.duration
    inside = (piece.starts >= begin - SLACK / 2) & ~(piece.ends > begin + seconds + SLACK)  # an unknown end is inside
    return piece.rows[inside & (piece.starts < begin + seconds)]


def _by_file(clips: Sequence[Clip]) -> dict[Path, list[Clip]]:
    """Return the clips of each audio file, without the copies that are yet to be made of it."""
    in_file: dict[Path, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.path and not effects.needs_rendering(clip.augmentation):
            in_file[Path(path_of(clip.path))].append(clip)
    return in_file
