"""Group requests by recording, and name a file of answers for each, laid out like the folder that was named."""

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sertool.errors import UsageError
from sertool.manifests import streams
from sertool.manifests.columns import Row
from sertool.predict.request import Naming, Request
from sertool.sound import audio
from sertool.system.paths import absolute, path_of, path_text, stamp

LONGEST_NAME = 255  # bytes that file systems allow


@dataclass(frozen=True)
class Recording:
    """A file, what is asked of it, and where its answers go."""

    file: str
    requests: list[Request]
    voices: frozenset[str]  # who speaks, if speakers' clips are scaled together
    made_of: str  # a digest of all that its answers depend on, but for the models and options
    answers: str  # path in the folder of answers


def grouped(
    requests: Iterable[Request], ending: str, naming: Naming | None, held: Mapping[str, str]
) -> list[Recording]:
    """Return the recordings in the order of their first requests; what is asked twice is asked once.

    `held` says where the answers for a file are already, if they are. `naming` says whose clips are scaled together:
    answers then depend on all recordings of a voice.
    """
    asked: dict[str, dict[str, Request]] = defaultdict(dict)
    for request in requests:
        asked[file_of(request.row)].setdefault(_digest(_question(request)), request)
    places = _places(asked, ending, held)
    own = {file: _digest([*sorted(questions), stamp(path_text(file))]) for file, questions in asked.items()}
    voices = {file: _voices(questions.values(), naming) for file, questions in asked.items()}
    of_voice: dict[str, list[str]] = defaultdict(list)
    for file, names in voices.items():
        for name in names:
            of_voice[name].append(own[file])
    together = {name: _digest(sorted(digests)) for name, digests in of_voice.items()}
    return [
        Recording(
            file,
            [*questions.values()],
            voices[file],
            _digest([own[file], *sorted(together[name] for name in voices[file])]),
            places[file],
        )
        for file, questions in asked.items()
    ]


def file_of(row: Row) -> str:
    """Return the path of a row's file or, for a shard's clip whose file is unknown, a path made of its id."""
    return absolute(path_of(streams.recording(row)[0]))


def _voices(requests: Iterable[Request], naming: Naming | None) -> frozenset[str]:
    named = {naming(request.row) for request in requests} if naming else set()
    return frozenset(name for name in named if name is not None)


def _question(request: Request) -> list[Any]:
    """Return what is asked: the row, by whichever name its file was called, the models, and shards that are read."""
    row, file = request.row, file_of(request.row)
    clip = file if row["clip"] == row["path"] else row["clip"]
    shards = stamp(path_text(request.source)) if request.stored else None
    return [row | {"clip": clip, "path": file}, request.models, shards]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _places(asked: Mapping[str, Mapping[str, Request]], ending: str, held: Mapping[str, str]) -> dict[str, str]:
    """Return where in the folder of answers those for each file go; refuse one place for two files, and long names."""
    names: dict[Path, set[str]] = defaultdict(set)
    for path in map(Path, asked):
        names[path.parent].add(path.name)
    stems = cache(lambda folder: _stems(folder, names[folder]))
    file_at: dict[str, str] = {}
    for file, questions in asked.items():
        place = held.get(file) or f"{_place(Path(file), next(iter(questions.values())).source, stems)}{ending}"
        if len(os.fsencode(os.path.basename(place))) > LONGEST_NAME:
            raise UsageError(f"{file}: {place} is too long a name for its answers: rename it, or choose another format")
        if (other := file_at.setdefault(place, file)) != file:
            raise UsageError(
                f"{other} and {file} would both be answered in {place}: name a folder that holds both, "
                "or ask for each with an -o of its own"
            )
    return {file: place for place, file in file_at.items()}


def _place(path: Path, source: str, stems: Callable[[Path], Counter[str]]) -> Path:
    """Return a recording's path below the folder that was named, below the working folder, or whole.

    Its extension goes, unless other audio beside it differs in nothing else: `a.wav` and `a.flac`.
    """
    named = Path(absolute(source))
    bases = (path.parent if path == named else named, Path.cwd(), path.anchor)
    place = path.relative_to(next(base for base in bases if path.is_relative_to(base)))
    is_plain = path.suffix.lower() in audio.KINDS and stems(path.parent)[path.stem] < 2
    return place.with_suffix("") if is_plain else place


def _stems(folder: Path, asked: set[str]) -> Counter[str]:
    """Count the audio files in a folder, and those asked for that are gone, by their names without extension."""
    names = {*asked}
    with suppress(OSError):  # a shard's clip has no folder
        names.update(os.listdir(folder))
    return Counter(path.stem for path in map(Path, names) if path.suffix.lower() in audio.KINDS)
