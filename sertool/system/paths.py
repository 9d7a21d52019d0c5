"""List files, convert paths to text and back, and make plain file names."""

import os
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import count
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from sertool.errors import SertoolError, reason

Unlisted = tuple[Path, str]  # a folder, and why it cannot be listed


def walk(root: Path, failed: list[Unlisted], *, hidden: bool = True) -> Iterator[Path]:
    """Yield every file under a folder in the order of names, visiting each real folder once despite links.

    Folders that cannot be listed are added to `failed`; hidden folders are entered if `hidden`.
    """
    pending, seen = [root], set()
    while pending:
        folder = pending.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            if folder == root:
                raise SertoolError(f"cannot read {root}: {reason(error)}") from None
            failed.append((folder, reason(error)))
            continue
        inside = [entry for entry in reversed(entries) if _is_folder(entry)]
        pending.extend(Path(entry.path) for entry in inside if hidden or not entry.name.startswith("."))
        yield from (Path(entry.path) for entry in entries if not _is_folder(entry))


def absolute(path: str | Path) -> str:
    """Return an absolute path as text in one spelling, as manifests have it in a pipe."""
    return _tidied(str(Path(path).absolute()))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def path_text(path: str | os.PathLike[str]) -> str:
    """Return a path as text for tables: itself, or a `file:` URI if its bytes are not UTF-8."""
    encoded = os.fsencode(path)
    try:
        return encoded.decode("utf-8")  # whatever the locale
    except UnicodeDecodeError:
        return "file://" + quote(encoded)


def path_of(text: str | None) -> str:
    """Return the path of a text from `path_text`; for None one that no file has."""
    if text is None:
        return ""
    encoded = unquote_to_bytes(text[7:]) if text.startswith("file://") else text.encode("utf-8", "surrogateescape")
    return os.fsdecode(encoded)


def stamp(text: str | None) -> tuple[int, int] | None:
    """Return size and modification time of a file named by `path_text`; None if it cannot be examined."""
    try:
        status = os.stat(path_of(text))
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def tidied(text: str) -> str:
    """Return a path from `path_text` in one spelling.

    It has no `.`, `..` or doubled slashes, and no `file://` unless needed.
    """
    return path_text(_tidied(path_of(text)))


def _tidied(path: str) -> str:
    folder, name = os.path.split(path)
    return _tidied_folder(path) if name == ".." else os.path.join(_tidied_folder(folder), name)


@lru_cache(4096)
def _tidied_folder(folder: str) -> str:
    plain = os.path.normpath(folder)
    if ".." in folder and "\0" not in folder:
        real = os.path.realpath(folder)
        plain = plain if os.path.realpath(plain) == real else real  # keeps links, unless `..` follows one
    return plain[1:] if plain.startswith("//") and os.sep == "/" else plain


def plain_name(text: str, gap: str = "-") -> str:
    """Replace the characters of a text that do not suit file systems and shells."""
    return re.sub(r"[^\w#.,=-]+", gap, text).strip("-.")[:120] or "unnamed"


def plain_names(texts: Iterable[str]) -> list[str]:
    """Return a plain name for each text, numbered if it is taken: `a-b`, `a-b-2`."""
    names: list[str] = []
    for plain in map(plain_name, texts):
        numbered = (f"{plain}-{number}" if number > 1 else plain for number in count(1))
        names.append(next(name for name in numbered if name not in names))
    return names
