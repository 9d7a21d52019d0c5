"""Messages on stderr, and tables on a terminal: the only importer of rich and tqdm."""

import io
import os
import re
import shlex
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TextIO

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
WIDEST = 1000  # width of a table in a pipe


class Said(NamedTuple):
    """A message."""

    text: str
    once: bool = False  # whether it is not said again
    detail: bool = False  # whether it is for -v only


class _Talk:
    """How much is said, what is not to be said again, and a stack of recordings, to the last of which messages go."""

    def __init__(self) -> None:
        self.verbosity = 0
        self.said_once: set[str] = set()
        self.recordings: list[list[Said]] = []

    def add(self, message: Said) -> None:
        """Print or record a message, unless it is silenced or was said."""
        is_old = message.once and message.text in self.said_once
        if is_old or self.verbosity < int(message.detail):
            return
        if self.recordings:
            self.recordings[-1].append(message)
            return
        if message.once:
            self.said_once.add(message.text)
        _line(sys.stderr, message.text)


_talk = _Talk()


def begin() -> None:
    """Reset messages and prepare the standard streams: data is UTF-8 whatever the locale, except on a terminal.

    If streams are closed, input is empty, messages are lost, and writing data is an error.
    """
    forget()
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115 (for as long as the process)
    sys.stdout = sys.stdout or open(os.open(os.devnull, os.O_RDONLY), "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdin, sys.stdout):
        with suppress(OSError, ValueError, AttributeError):  # not a file, or Windows before Python 3.12
            os.set_blocking(stream.fileno(), True)  # else reading could miss late input, and writing could lose output
    if isinstance(sys.stdout, io.TextIOWrapper):
        if isinstance(sys.stdout.buffer, io.RawIOBase):  # PYTHONUNBUFFERED: a write may be partial, unnoticed
            raw, encoding = open(sys.stdout.fileno(), "wb", closefd=False), sys.stdout.encoding  # noqa: SIM115
            sys.stdout = io.TextIOWrapper(raw, encoding, line_buffering=to_terminal())
        sys.stdout.reconfigure(encoding=None if to_terminal() else "utf-8", errors="backslashreplace")


def forget() -> None:
    """Reset the verbosity and the messages said once."""
    set_verbosity(0)
    _talk.said_once.clear()


def release_stdout() -> None:
    """Discard output that stdout cannot take, about which Python would complain at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def set_verbosity(level: int) -> None:
    """Set the verbosity: -1 for errors only, 0 for summaries, 1 for details."""
    _talk.verbosity = level


def clean(text: object) -> str:
    """Escape control characters in text, which could move a terminal's cursor."""
    return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", str(text))


def counted(count: int, what: str) -> str:
    """Return a count with its noun: `1 clip`, `5,884 clips`, `2 copies`."""
    many = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{count:,} {what if count == 1 else many}"


def say(text: str) -> None:
    """Print a line of summary or progress, which `-q` silences."""
    _talk.add(Said(text))


def say_once(text: str) -> None:
    """Print a line of summary, once."""
    _talk.add(Said(text, once=True))


def detail(text: str) -> None:
    """Print a line for `-v` only."""
    _talk.add(Said(text, detail=True))


def warn(text: str) -> None:
    """Print a warning, once; `-q` silences it too, as whatever must be seen is an error or is in the data."""
    say_once(f"warning: {text}")


@contextmanager
def recorded() -> Iterator[list[Said]]:
    """Record messages instead of printing them, for another process to repeat."""
    _talk.recordings.append([])
    try:
        yield _talk.recordings[-1]
    finally:
        _talk.recordings.pop()


def replay(said: Iterable[Said]) -> None:
    """Print recorded messages; those said once are said once, however many processes recorded them."""
    for message in said:
        _talk.add(message)


def fail(text: str) -> None:
    _line(sys.stderr, text)


def out(text: str) -> None:
    """Print a line of data on stdout."""
    sys.stdout.write(clean(text) + "\n")


def _line(stream: TextIO, text: str) -> None:
    # A closed or full stderr must not turn a good run into a failed one.
    try:
        stream.write("\n".join(clean(line) for line in text.split("\n")) + "\n")
        stream.flush()
    except (OSError, ValueError):
        return


def shows_progress() -> bool:
    return _talk.verbosity >= 0 and _is_terminal(sys.stderr)


def progress(items: Iterable[Any], total: int | None, what: str, unit: str = "clip") -> Iterator[Any]:
    """Yield the items, with a progress bar if stderr is a terminal."""
    if not shows_progress():
        yield from items
        return
    from tqdm import tqdm

    yield from tqdm(items, total=total, desc=what, unit=f" {unit}s", leave=False, dynamic_ncols=True, file=sys.stderr)


def progress_of_answers(rows: Iterable[dict[str, Any]], total: Callable[[], int | None]) -> Iterator[dict[str, Any]]:
    """Yield rows of answers with a bar that counts clips, of which each may have several rows.

    The bar shows the rate, how many answers there are so far and, once `total` returns the number of clips, the time
    left.
    """
    if not shows_progress():
        yield from rows
        return
    from tqdm import tqdm

    with tqdm(
        desc="predicting", total=total(), unit=" clips", leave=False, dynamic_ncols=True, miniters=0, smoothing=0,
        file=sys.stderr,
    ) as bar:  # fmt: skip
        clip: object = None
        for count, row in enumerate(rows, 1):
            is_next = count > 1 and row["clip"] != clip
            clip, bar.total = row["clip"], bar.total or total()
            if count > bar.n + is_next + 1:
                bar.set_postfix_str(f"{count:,} answers", refresh=False)
            bar.update(is_next)
            yield row


@contextmanager
def counter(what: str, total: int | None = None) -> Iterator[Callable[[int], Any]]:
    """Return a function that counts bytes, shown on stderr if it is a terminal; counts may be negative."""
    if not shows_progress():
        yield lambda _count: None
        return
    from tqdm import tqdm

    with tqdm(
        desc=what, total=total, unit="B", unit_scale=True, leave=False, dynamic_ncols=True, file=sys.stderr
    ) as bar:
        yield bar.update


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], right: str = "") -> None:
    """Print a table on stdout for people; `right` names the right-aligned columns.

    On a terminal, cells fold to its width, except the first column and numbers; in a pipe the table is as wide as
    needed.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, header_style="bold", pad_edge=False)
    for header in headers:
        to_right = header in right.split()
        in_one_line = to_right or header == headers[0]
        grid.add_column(header, justify="right" if to_right else "left", overflow="fold", no_wrap=in_one_line)
    for row in rows:
        grid.add_row(*(Text("" if cell is None else clean(cell)) for cell in row))
    buffer = io.StringIO()  # printing to stdout directly, rich would exit when the reader does
    at_terminal = to_terminal()
    console = Console(file=buffer, force_terminal=at_terminal or None, width=None if at_terminal else WIDEST)
    console.print(grid)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines()))


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def to_terminal() -> bool:
    """Whether stdout is a terminal, which gets tables and never binary."""
    return _is_terminal(sys.stdout)


def to_pipe() -> bool:
    """Whether stdout is a pipe; this may lead to a terminal, where a bar would run into the data."""
    try:
        return stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def from_terminal() -> bool:
    """Whether stdin is a terminal or missing, so that there is nothing to read."""
    return sys.stdin is None or _is_terminal(sys.stdin)


# The command line.


def command_line() -> str:
    """Return the command line as it was given, for provenance."""
    return shlex.join(["sertool", *sys.argv[1:]])


def option(name: str) -> str:
    """Return the option for a name: `--mel-bands` for `mel_bands`."""
    return "--" + name.replace("_", "-")
