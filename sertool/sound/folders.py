"""Find audio files under a folder."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from sertool.sound import ffmpeg
from sertool.sound.audio import BY_FFMPEG, EXTENSIONS, LEFT_BY_MACOS
from sertool.system.paths import Unlisted, walk


def audio_under(folder: Path, failed: list[Unlisted], others: list[Path]) -> Iterator[Path]:
    """Yield audio files in the order of names, without those in hidden folders (.git, trash, partial downloads).

    Those that only ffmpeg reads come last, if it is installed, without those of which there is a sound of the same
    name: corpora hold videos beside their sound. Other files are added to `others`, except those that macOS lays beside
    each file, which have its name but no sound; unreadable folders are added to `failed` with the reason.
    """
    names: set[str] = set()
    foreign: list[Path] = []
    for path in walk(folder, failed, hidden=False):
        if path.name.startswith(LEFT_BY_MACOS):
            continue
        if path.suffix.lower() in EXTENSIONS:
            names.add(path.stem)
            yield path
        else:
            (foreign if path.suffix.lower() in BY_FFMPEG and ffmpeg.program() else others).append(path)
    for path in foreign:
        if path.stem in names:
            others.append(path)
        else:
            yield path


def unread(paths: Iterable[Path]) -> Counter[str]:
    """Count audio files that are passed over, by extension."""
    return Counter(kind for path in paths if (kind := path.suffix.lower()) in BY_FFMPEG)
