"""Write augmented copies as audio files: the parent's sound with the effects in the copy's row."""

import hashlib
import json
import math
import re
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sertool import effects
from sertool.errors import UsageError
from sertool.featurize.decoding import Clip
from sertool.featurize.shard_plan import clips_of
from sertool.index import doctor
from sertool.manifests import manifest
from sertool.manifests.manifest import Table
from sertool.sound import audio, encoding
from sertool.system import talk, workers
from sertool.system.files import drop_unnamed, name_together, write_beside
from sertool.system.locks import folder_lock
from sertool.system.parts import WHOLE, Part, neighbours
from sertool.system.paths import absolute, path_of, path_text, plain_names, stamp

FILE = (
    "path", "start", "duration", "sample_rate", "channels", "samples", "digest", "size", "modified", "issue",
    "augmentation",
)  # fmt: skip
FORM = 2  # version of how files are written; a new version writes all of them again
REMARK = "sertool "  # beginning of a file's comment
ATTENUATION_MARK = ", turned down by "  # in a file's comment, after the digest of its source
GROUP_FILES, GROUP_SECONDS = 1024, 1200.0  # files that are renamed together, and their total seconds at most
FLOATS = ".wav"  # these can hold samples beyond full scale, as floats; other files are turned down
BATCH_COPIES = 64  # clips that a worker takes at once
BATCH_SECONDS = 200.0  # total seconds of these at most; a longer clip goes alone


@dataclass(frozen=True)
class SoundFolder:
    """Where copies are written, in which format, and which part of them."""

    folder: Path
    kind: str = "flac"
    part: Part = WHOLE
    wait: bool = False


@dataclass(frozen=True)
class Sound:
    """A copy and its file."""

    clip: Clip
    path: Path


def _copy_digest(clip: Clip) -> str:
    """Return a digest of everything that determines a copy's file; it is the file's comment. Empty without a source."""
    if (size_and_age := stamp(clip.path)) is None:
        return ""
    source = [clip.path, *size_and_age, clip.start, clip.duration]
    text = json.dumps([FORM, effects.VERSION, *source, clip.augmentation])
    return REMARK + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _is_current(sound: Sound) -> bool:
    """Whether the file exists, is readable, and was made from this very copy."""
    path = str(sound.path)
    origin = audio.remark(path).partition(ATTENUATION_MARK)[0] if sound.path.exists() else None
    return origin == _copy_digest(sound.clip) and not audio.probe(path, full=False).issue


def _attenuation_db(path: Path) -> float:
    """Return by how many dB a file was turned down, as the copy exceeded full scale."""
    _, softer, decibels = audio.remark(str(path)).partition(ATTENUATION_MARK)
    return float(decibels.split()[0]) if softer else 0.0


def write(table: Table, place: SoundFolder, jobs: int) -> Table:
    """Write each copy's sound into a file of the folder; return the table with rows for these files.

    Existing files made from the same source are kept, so that a killed run continues; the unnamed files it left are
    overwritten. All parts have equally many rows to write, and the other rows between these.
    """
    rows = np.flatnonzero([bool(effects.needs_rendering(text)) for text in manifest.column(table, "augmentation")])
    sounds = [Sound(clip, _file(place, clip)) for clip in clips_of(table.take(rows))]
    first, last = _bounds(rows, place.part, len(table))
    sounds, rows = place.part.of(sounds), place.part.of(rows) - first
    with folder_lock(place.folder, place.wait, place.part.name, read_only_ok=True) as lock:
        missing = [sound for sound in sounds if not _is_current(sound)]
        if missing:
            lock.require_writable()
        issues = dict(talk.progress(_made(missing, jobs), len(missing), "writing"))
        looking = talk.progress(sounds, len(sounds), "looking", "file")
        file_rows = [_row(sound, issues.get(sound.clip.name)) for sound in looking]
    own = table.slice(first, last - first)
    delivered = _with_files(own, rows, file_rows)
    doctor.report_lost(own, delivered)
    lost = sum(1 for row in file_rows if row["issue"])
    aside = f"; {lost:,} could not be made" if lost else ""
    count = talk.counted(len(sounds) - lost, "copy")
    talk.say(f"{count} in {place.folder} ({len(missing) - lost:,} written now){aside}")
    _warn_of_softer(row.get("turned_down", 0.0) for row in file_rows)
    if sounds and not place.part.name:  # otherwise another part may have usable copies
        doctor.refuse_unusable(delivered.take(rows))
    return delivered


def _warn_of_softer(decibels: Iterable[float]) -> None:
    """Warn of copies that were turned down, as 16 bits cannot hold them: featurize would make them louder."""
    if softer := [amount for amount in decibels if amount]:
        talk.warn(
            f"{talk.counted(len(softer), 'copy')} beyond full scale turned down, by up to {max(softer):.1f} dB: "
            "--as wav keeps them as they are, in floats"
        )


def _bounds(rows: np.ndarray, part: Part, length: int) -> tuple[int, int]:
    """Return the first row of a part and the first after it; `rows` are shared out evenly."""
    first, last = (int(rows[at]) if at < len(rows) else length for at in (part.start(len(rows)), part.stop(len(rows))))
    return (0 if part.k == 1 else first), (length if part.k == part.n else last)


def _made(sounds: list[Sound], jobs: int) -> Iterator[tuple[str, str | None]]:
    """Write files and yield each clip's name with its issue, or None. Files are renamed a group at a time.

    However this ends, complete files are then renamed and others removed, as they would only fill the disk.
    """
    results = _rendered(sounds, jobs)
    try:
        for group in neighbours(sounds, lambda sound: sound.clip.duration or 0.0, GROUP_SECONDS, GROUP_FILES):
            done: list[Path] = []
            try:
                for sound, issue in zip(group, islice(results, len(group)), strict=True):
                    done += [] if issue else [sound.path]
                    yield sound.clip.name, issue
            finally:
                name_together(done)
    finally:
        results.close()
        drop_unnamed(sound.path for sound in sounds)


def _rendered(sounds: list[Sound], jobs: int) -> Generator[str | None, None, None]:
    """Yield the issue of each sound, or None, in order; workers are a few batches ahead."""
    batches = list(neighbours(sounds[1:], lambda sound: sound.clip.duration or 0.0, BATCH_SECONDS, BATCH_COPIES))
    with workers.one_thread():
        yield from _render_all(sounds[:1])  # in this process, so that forks share what it imports
    with workers.pool(_render_all, jobs, forked=len(batches) > jobs > 1, finish=True) as pool:  # else they write on
        for _, issues in pool.map_ahead(batches):
            yield from issues


def _render_all(sounds: list[Sound]) -> list[str | None]:
    return [_render(sound) for sound in sounds]


def _render(sound: Sound) -> str | None:
    """Write a copy, with its parent's rate and channels, under a temporary name; return its issue, if any."""
    try:
        wave, rate = _with_effects(sound.clip)
    except audio.Unusable as unusable:
        talk.detail(f"{sound.clip.path}: {unusable.issue}: {unusable}")
        return unusable.issue
    peak, remark = float(wave.abs().max()), _copy_digest(sound.clip)
    floats = peak > 1 and sound.path.suffix == FLOATS
    if peak > 1 and not floats:
        wave, remark = wave / peak, f"{remark}{ATTENUATION_MARK}{20 * math.log10(peak):.2f} dB"
    write_beside(sound.path, encoding.encoded(wave.numpy().T, rate, sound.path.suffix, remark, floats=floats))
    return None


def _with_effects(clip: Clip) -> tuple[torch.Tensor, int]:
    """Return the clip's sound with its effects, `[channels, samples]`, and its file's rate."""
    look = audio.probe(path_of(clip.path), full=False)
    if look.issue or look.sample_rate is None:
        raise audio.Unusable(look.issue or "unreadable", look.detail)
    cut = audio.Cut(look.sample_rate, "mono" if look.channels == 1 else "stereo")
    samples = audio.decode(path_of(clip.path), cut, clip.start or 0.0, clip.duration)
    samples_after = effects.applied(torch.from_numpy(samples), look.sample_rate, clip.augmentation)
    if not samples_after.isfinite().all():
        raise audio.Unusable("not-finite", "its samples are so large that effects make no numbers of them")
    return samples_after, look.sample_rate


def _file(place: SoundFolder, clip: Clip) -> Path:
    """Return a copy's path: inside the folder, and unique to its sound, as other manifests may use the same folder."""
    parts = [part for part in re.split(r"[\\/]", clip.name) if part not in ("", ".", "..")]
    identity = [effects.VERSION, clip.name, clip.path, clip.start, clip.duration, clip.augmentation]
    digest = hashlib.sha256(json.dumps(identity).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return place.folder.joinpath(*parts[:-1], f"{parts[-1]}-{digest}.{place.kind}")


def _row(sound: Sound, issue: str | None) -> dict[str, Any]:
    """Return what a copy's row says of its file."""
    if issue:
        return {"path": sound.clip.path, "issue": issue, "augmentation": sound.clip.augmentation}
    look = audio.probe(str(sound.path))
    seconds = look.seconds if look.samples else None
    softer = _attenuation_db(sound.path)
    return {
        "path": path_text(absolute(sound.path)), "duration": seconds, "sample_rate": look.sample_rate,
        "channels": look.channels, "samples": look.samples, "digest": look.digest, "size": look.size,
        "modified": look.modified, "issue": look.issue, "turned_down": softer,
        "augmentation": effects.written(sound.clip.augmentation or "", softer),
    }  # fmt: skip


def _with_files(table: Table, rows: np.ndarray, file_rows: list[dict[str, Any]]) -> Table:
    for name in FILE:
        column = manifest.column(table, name)
        for row, values in zip(rows.tolist(), file_rows, strict=True):
            column[row] = values.get(name)
        if name in table.column_names or any(value is not None for value in column):
            table = manifest.with_column(table, name, column)
    return table


# To listen to, and to look at.


def listen(table: Table, first: int, folder: Path) -> None:
    """Write a few clips before and after as WAV files of one folder; only such files are replaced.

    The rows from number `first` on are the new copies.
    """
    clips = _examples(table, first, 3)
    names = plain_names(clip.name for clip in clips)
    sounds = [Sound(clip, folder / f"{name}.wav") for clip, name in zip(clips, names, strict=True)]
    for path in (sound.path for sound in sounds if sound.path.exists()):
        if not audio.remark(str(path)).startswith(REMARK):
            raise UsageError(f"--listen {folder}: {path} is no example of sertool's: choose another folder")
    for sound in sounds:
        issue = _render(sound)
        if not issue:
            name_together([sound.path])
        talk.say(f"{sound.path}: {issue or (_describe(sound.clip.augmentation) or 'as it is')}")


def _examples(table: Table, first: int, count: int) -> list[Clip]:
    """Return the first clips that were copied now, each followed by its new copies, the rows from `first` on."""
    parents = manifest.column(table.slice(first), "parent")
    names = list(dict.fromkeys(parents))[:count]
    heads = manifest.column(table.slice(0, first), "clip") + parents
    family = sorted((names.index(head), row) for row, head in enumerate(heads) if head in names)
    return clips_of(table.take([row for _, row in family]))


def _describe(augmentation: str | None) -> str:
    """Describe a chain of effects: `pitch semitones 1.2, noise snr 14.1 colour white`."""
    parts = []
    for drawn in effects.needs_rendering(augmentation):
        facts = {name: value for name, value in drawn.items() if name not in ("effect", "seed", "digest")}
        facts |= {"file": Path(drawn["file"]).name} if "file" in drawn else {}
        parts.append(
            " ".join([drawn["effect"].replace("_", "-"), *(f"{name} {value}" for name, value in facts.items())])
        )
    return ", ".join(parts)


def compared(table: Table, first: int, path: Path) -> None:
    """Draw the first clip that was copied now, before and after; the rows from number `first` on are the copies."""
    from sertool.drawings import plots

    before, after = _examples(table, first, 1)[:2]
    with plots.drawable(before):
        panels = [
            ("before", *_with_effects(before)),
            (_describe(after.augmentation) or "nothing happened", *_with_effects(after)),
        ]
    plots.beside(before.name, panels, path)
    talk.say(f"drew {before.name} and {after.name} in {path}")
