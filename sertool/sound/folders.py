"""Find audio files under a folder."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sertool.sound import ffmpeg
from sertool.sound.audio import BY_FFMPEG, EXTENSIONS, LEFT_BY_MACOS, REMEDY, VIDEOS
from sertool.system import talk
from sertool.system.files import listed
from sertool.system.paths import Unlisted, walk


def audio_under(folder: Path, failed: list[Unlisted], others: list[Path]) -> Iterator[Path]:
    """Yield audio files in the order of names, without those in hidden folders (.git, trash, partial downloads).

    Those that only ffmpeg reads come last, if it is installed, without those that have a sound of the same name:
    beside them or, as corpora hold videos in folders of their own, of a video anywhere. Other files are added to
    `others`, except those that macOS lays beside each file, which have its name but no sound; unreadable folders are
    added to `failed` with the reason.
    """
    names: set[str | Path] = set()
    foreign: list[Path] = []
    for path in walk(folder, failed, hidden=False):
        if path.name.startswith(LEFT_BY_MACOS):
            continue
        if path.suffix.lower() in EXTENSIONS:
            names.update((path.stem, path.with_suffix("")))
            yield path
        else:
            (foreign if path.suffix.lower() in BY_FFMPEG and ffmpeg.program() else others).append(path)
    for path in foreign:
        if (path.stem if path.suffix.lower() in VIDEOS else path.with_suffix("")) in names:
            others.append(path)
        else:
            yield path


def unread(paths: Iterable[Path]) -> list[Path]:
    """Return the audio files among those that are passed over."""
    return [path for path in paths if path.suffix.lower() in BY_FFMPEG]


def passed_over(unread: Iterable[Path]) -> str:
    """Return a message counting the audio files that are passed over, by extension."""
    kinds = Counter(path.suffix.lower() for path in unread)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    why = "sounds of the same names are read instead" if ffmpeg.program() else REMEDY
    return f"{talk.counted(kinds.total(), 'file')} passed over: {counts}; {why}"


def no_audio(where: str, others: Sequence[Path]) -> str:
    """Return a message that there is no audio under a place, and what is there instead."""
    kinds = " ".join(EXTENSIONS) + (", or what ffmpeg reads" if ffmpeg.program() else "")
    holds = f"it holds {listed((path.name for path in others), 3)}" if others else ""
    what = passed_over(unread(others)) if unread(others) else holds
    return f"no audio under {where} ({kinds}){'; ' if what else ''}{what}"
