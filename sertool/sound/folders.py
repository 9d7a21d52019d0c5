"""Find audio files under a folder."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from sertool.sound.audio import EXTENSIONS, LEFT_BY_MACOS, UNREAD
from sertool.system.paths import Unlisted, walk


def audio_under(folder: Path, failed: list[Unlisted], others: list[Path]) -> Iterator[Path]:
    """Yield audio files in the order of names, without those in hidden folders (.git, trash, partial downloads).

    Other files are added to `others`, except those that macOS lays beside each file, which have its name but no sound;
    unreadable folders are added to `failed` with the reason.
    """
    for path in walk(folder, failed, hidden=False):
        if path.name.startswith(LEFT_BY_MACOS):
            continue
        if path.suffix.lower() in EXTENSIONS:
            yield path
        else:
            others.append(path)


def unread(paths: Iterable[Path]) -> Counter[str]:
    """Count audio files of unread kinds by extension."""
    return Counter(kind for path in paths if (kind := path.suffix.lower()) in UNREAD)
