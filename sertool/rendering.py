"""Copies as sound: files that hold what their rows' effects make of their parents."""

import hashlib
import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sertool import audio, effects, manifest, talk, wire
from sertool.errors import SertoolError
from sertool.extract import Clip
from sertool.files import UNFINISHED, alone, path_of, path_text
from sertool.manifest import Table
from sertool.tasks import clips_of

PLAN = "augment.parquet"  # of every file of a folder what it was made from
UNPLAIN = re.compile(r"[^\w#.-]+")
FILE = ("path", "start", "duration", "sample_rate", "channels", "samples", "size", "modified", "issue", "augmentation")


@dataclass(frozen=True)
class Sound:
    """A copy, and the file that is to hold it."""

    clip: Clip
    path: Path

    @property
    def made_from(self) -> str:
        """All that decides the file's bytes."""
        with suppress(OSError, ValueError):
            status = os.stat(path_of(self.clip.path))
            source = [self.clip.path, status.st_size, status.st_mtime_ns, self.clip.start, self.clip.duration]
            text = json.dumps([effects.VERSION, *source, self.clip.augmentation])
            return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return ""


def write(table: Table, folder: Path, kind: str, jobs: int, *, wait: bool = False) -> Table:
    """Each copy's sound in a file of the folder, and the table with the copies' rows of these files.

    What lies there already and was made from the same is kept, so that a run that was killed goes on.
    """
    rows = np.flatnonzero([bool(effects.pending(text)) for text in manifest.column(table, "augmentation")])
    clips = clips_of(table.take(rows))
    sounds = [Sound(clip, _place(folder, clip.name, kind)) for clip in clips]
    _refuse_twins(sounds)
    with alone(folder, wait):
        missing = _missing(sounds, folder)
        made = _each(missing, render, jobs)
        issues = {sound.clip.name: issue for sound, issue in talk.progress(made, len(missing), "writing")}
        found = [_row(sound, issues.get(sound.clip.name)) for sound in sounds]
    lost = sum(1 for row in found if row["issue"])
    aside = f"; {lost:,} could not be made" if lost else ""
    talk.say(f"{len(sounds) - lost:,} copies in {folder} ({len(missing) - lost:,} written now){aside}")
    return _with_files(table, rows, found)


def render(sound: Sound) -> str | None:
    """Write a copy's file as its parent is, in rate and channels; or the issue that stands against it."""
    try:
        wave, rate = heard(sound.clip)
    except audio.Unusable as unusable:
        talk.detail(f"{sound.clip.path}: {unusable.issue}: {unusable}")
        return unusable.issue
    audio.write(sound.path, within_full_scale(wave).numpy().T, rate)
    return None


def heard(clip: Clip) -> tuple[torch.Tensor, int]:
    """`[channels, samples]` after the clip's effects, at the rate of its file."""
    found = audio.look(path_of(clip.path), full=False)
    if found.issue:
        raise audio.Unusable(found.issue, found.detail)
    cut = audio.Cut(found.sample_rate, "mono" if found.channels == 1 else "stereo")
    samples = audio.decode(path_of(clip.path), cut, clip.start or 0.0, clip.duration)
    return effects.applied(torch.from_numpy(samples), found.sample_rate, clip.augmentation), found.sample_rate


def within_full_scale(wave: torch.Tensor) -> torch.Tensor:
    """The wave, softer where a file of 16 bits would cut off its peaks."""
    return wave / max(1.0, float(wave.abs().max()))


def _place(folder: Path, clip: str, kind: str) -> Path:
    """A file of the clip's name under the folder, never outside."""
    parts = [part for part in re.split(r"[\\/]", clip) if part not in ("", ".", "..")]
    return folder.joinpath(*parts[:-1], f"{parts[-1]}.{kind}")


def _refuse_twins(sounds: list[Sound]) -> None:
    held: dict[Path, str] = {}
    for sound in sounds:
        if held.setdefault(sound.path, sound.clip.name) != sound.clip.name:
            raise SertoolError(f"{held[sound.path]} and {sound.clip.name} would both be written to {sound.path}")


def _missing(sounds: list[Sound], folder: Path) -> list[Sound]:
    """What must be made; the plan is on the disk before the first file, and what it does not know is gone by then."""
    plan = {str(sound.path.relative_to(folder)): sound.made_from for sound in sounds}
    before = _planned(folder / PLAN)
    for left in folder.rglob(f".*{UNFINISHED}"):
        left.unlink(missing_ok=True)  # by a run that was killed
    for sound, (name, source) in zip(sounds, plan.items(), strict=True):
        if not source or before.get(name) != source:
            sound.path.unlink(missing_ok=True)
    if not plan.items() <= before.items():
        both = before | plan
        rows = manifest.from_columns({"clip": list(both), "made_from": list(both.values())})
        wire.write(rows, str(folder / PLAN), "parquet")
    return [sound for sound in sounds if not sound.path.exists()]


def _planned(path: Path) -> dict[str, str]:
    try:
        held = wire.read(str(path))
        return dict(zip(manifest.column(held, "clip"), manifest.column(held, "made_from"), strict=True))
    except SertoolError:
        return {}


def _each(sounds: Iterable[Sound], work: Callable[[Sound], Any], jobs: int) -> Iterator[tuple[Sound, Any]]:
    """Each sound with what threads make of it, in order, with a few ahead."""
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(jobs, initializer=torch.set_num_threads, initargs=(1,))
    pending: deque[tuple[Sound, Future[Any]]] = deque()
    try:
        for sound in sounds:
            if len(pending) > 4 * jobs:
                first, future = pending.popleft()
                yield first, future.result()
            pending.append((sound, pool.submit(work, sound)))
        for first, future in pending:
            yield first, future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _row(sound: Sound, issue: str | None) -> dict[str, Any]:
    """What a copy's row says of its file."""
    if issue:
        return {"path": sound.clip.path, "issue": issue, "augmentation": sound.clip.augmentation}
    found = audio.look(str(sound.path), full=False)
    seconds = found.samples / found.sample_rate if found.samples else None
    return {
        "path": path_text(manifest.absolute(sound.path)), "duration": seconds, "sample_rate": found.sample_rate,
        "channels": found.channels, "samples": found.samples, "size": found.size, "modified": found.modified,
        "issue": found.issue, "augmentation": effects.written(sound.clip.augmentation or ""),
    }  # fmt: skip


def _with_files(table: Table, rows: np.ndarray, found: list[dict[str, Any]]) -> Table:
    for name in FILE:
        column = manifest.column(table, name)
        for row, values in zip(rows.tolist(), found, strict=True):
            column[row] = values.get(name)
        if name in table.column_names or any(value is not None for value in column):
            table = manifest.with_column(table, name, column)
    return table


# To listen to, and to look at.


def listen(table: Table, folder: Path, count: int = 3) -> None:
    """A few clips before and after, as WAV files of one folder."""
    for clip in _examples(table, count):
        name = UNPLAIN.sub("-", clip.name).strip("-")
        place = folder / f"{name}.wav"
        issue = render(Sound(clip, place))
        talk.say(f"{place}: {issue or (shown(clip.augmentation) or 'as it is')}")


def _examples(table: Table, count: int) -> list[Clip]:
    """The first clips that have copies, each with its copies after it."""
    parents = manifest.column(table, "parent")
    chosen = list(dict.fromkeys(parent for parent in parents if parent))[:count]
    clips = clips_of(table)
    heads = [parent or clip.name for clip, parent in zip(clips, parents, strict=True)]
    family = [(chosen.index(head), row) for row, head in enumerate(heads) if head in chosen]
    return [clips[row] for _, row in sorted(family)]


def shown(augmentation: str | None) -> str:
    """A chain for people: `pitch semitones 1.2, noise snr 14.1 colour white`."""
    parts = []
    for drawn in effects.pending(augmentation):
        facts = {name: value for name, value in drawn.items() if name not in ("effect", "seed", "digest")}
        parts.append(
            " ".join([drawn["effect"].replace("_", "-"), *(f"{name} {value}" for name, value in facts.items())])
        )
    return ", ".join(parts)


def compared(table: Table, path: Path) -> None:
    """Draw the first clip that has a copy, before and after."""
    from sertool import plots

    before, after = _examples(table, 1)[:2]
    panels = [("before", *heard(before)), (shown(after.augmentation) or "nothing happened", *heard(after))]
    plots.beside(before.name, panels, path)
    talk.say(f"drew {before.name} and {after.name} in {path}")
