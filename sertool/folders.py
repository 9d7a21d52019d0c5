"""The audio under a folder, alike for whoever is given one."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from sertool.audio import EXTENSIONS, LEFT_BY_MACOS, UNREAD
from sertool.paths import Unlisted, walk


def audio_under(folder: Path, failed: list[Unlisted], others: list[Path]) -> Iterator[Path]:
    """Its audio in the order of names, without that of hidden folders: .git, trash, downloads that were cut off. What
    else lies there is added to `others`, without what macOS lays beside each file, which has its name but no sound;
    which folders cannot be read, and why, to `failed`."""
    for path in walk(folder, failed, hidden=False):
        if path.name.startswith(LEFT_BY_MACOS):
            continue
        if path.suffix.lower() in EXTENSIONS:
            yield path
        else:
            others.append(path)


def unread(paths: Iterable[Path]) -> Counter[str]:
    """Those that hold audio of kinds that are not read, by extension."""
    return Counter(kind for path in paths if (kind := path.suffix.lower()) in UNREAD)
