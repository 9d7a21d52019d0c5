"""What sertool says on stderr, and the tables that a terminal gets: the only door to rich and tqdm."""

import io
import os
import re
import shlex
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
WIDEST = 1000  # columns of a table in a pipe
_level = {"verbosity": 0}
_said: set[str] = set()
Said = tuple[str, str]  # how, by the function's name, and the text
_records: list[list[Said]] = []  # where talk goes while it is recorded: to the last


def begin() -> None:
    """Start afresh, with data in UTF-8 whatever the machine speaks; a terminal keeps its encoding.

    Where streams are closed there is nothing to read, talk is lost, and to write data is an error.
    """
    forget()
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115 (for as long as the process)
    sys.stdout = sys.stdout or open(os.open(os.devnull, os.O_RDONLY), "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdin, sys.stdout):
        with suppress(OSError, ValueError, AttributeError):  # what is no file, and Windows before Python 3.12
            os.set_blocking(stream.fileno(), True)  # else what comes late would be lost, and what is not taken at once
    if isinstance(sys.stdout, io.TextIOWrapper):
        if isinstance(sys.stdout.buffer, io.RawIOBase):  # PYTHONUNBUFFERED: it may take a part, and nobody would know
            raw, encoding = open(sys.stdout.fileno(), "wb", closefd=False), sys.stdout.encoding  # noqa: SIM115
            sys.stdout = io.TextIOWrapper(raw, encoding, line_buffering=to_terminal())
        sys.stdout.reconfigure(encoding=None if to_terminal() else "utf-8", errors="backslashreplace")


def forget() -> None:
    """Talk at the usual verbosity, as if nothing had been said yet."""
    set_verbosity(0)
    _said.clear()


def release_stdout() -> None:
    """Let go of what stdout does not take, of which Python would complain as it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def set_verbosity(level: int) -> None:
    """-1 says errors only, 0 summaries, 1 what is done on the way."""
    _level["verbosity"] = level


def clean(text: object) -> str:
    """Text from outside, with what would move a terminal's cursor shown as escapes."""
    return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", str(text))


def counted(count: int, what: str) -> str:
    """`1 clip`, `5,884 clips`, `2 copies`."""
    many = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{count:,} {what if count == 1 else many}"


def say(text: str) -> None:
    """A line of summary or progress; `-q` silences it."""
    if _level["verbosity"] >= 0 and not _is_recorded("say", text):
        _line(sys.stderr, text)


def mention(text: str) -> None:
    """A line of summary, once."""
    if text not in _said and not _is_recorded("mention", text):
        _said.add(text)
        say(text)


def detail(text: str) -> None:
    """A line for `-v`."""
    if _level["verbosity"] > 0 and not _is_recorded("detail", text):
        _line(sys.stderr, text)


def warn(text: str) -> None:
    """A line, once, that `-q` silences too: what must be seen is an error or stands in the data."""
    mention(f"warning: {text}")


@contextmanager
def recorded() -> Iterator[list[Said]]:
    """Within, what is said is kept, for another process to repeat."""
    _records.append([])
    try:
        yield _records[-1]
    finally:
        _records.pop()


def repeat(said: Iterable[Said]) -> None:
    """Say what was recorded; what was to be said once is, however many processes said it."""
    for how, text in said:
        {"say": say, "mention": mention, "detail": detail}[how](text)


def _is_recorded(how: str, text: str) -> bool:
    if _records:
        _records[-1].append((how, text))
    return bool(_records)


def fail(text: str) -> None:
    _line(sys.stderr, text)


def out(text: str) -> None:
    """A line of data on stdout."""
    sys.stdout.write(clean(text) + "\n")


def _line(stream: TextIO, text: str) -> None:
    # A closed or full stderr must not turn a good run into a failed one.
    try:
        stream.write("\n".join(clean(line) for line in text.split("\n")) + "\n")
        stream.flush()
    except (OSError, ValueError):
        return


def shows_progress() -> bool:
    return _level["verbosity"] >= 0 and _is_terminal(sys.stderr)


def progress(items: Iterable[Any], total: int | None, what: str, unit: str = "clip") -> Iterator[Any]:
    """The items, with a bar on stderr where it is a terminal: rate and time left."""
    if not shows_progress():
        yield from items
        return
    from tqdm import tqdm

    yield from tqdm(items, total=total, desc=what, unit=f" {unit}s", leave=False, dynamic_ncols=True, file=sys.stderr)


def progress_by(
    whole: Callable[[Any], object], items: Iterable[Any], total: Callable[[], int | None], what: str
) -> Iterator[Any]:
    """Items of which several may be of one clip, which `whole` tells, with a bar of the clips: rate and, once `total`
    knows how many there are, time left; and how many items there are by then."""
    if not shows_progress():
        yield from items
        return
    from tqdm import tqdm

    with tqdm(
        desc=what, total=total(), unit=" clips", leave=False, dynamic_ncols=True, miniters=0, smoothing=0,
        file=sys.stderr,
    ) as bar:  # fmt: skip
        clip: object = None
        for count, item in enumerate(items, 1):
            is_next = count > 1 and whole(item) != clip
            clip, bar.total = whole(item), bar.total or total()
            if count > bar.n + is_next + 1:
                bar.set_postfix_str(f"{count:,} answers", refresh=False)
            bar.update(is_next)
            yield item


@contextmanager
def counter(what: str, total: int | None = None) -> Iterator[Callable[[int], Any]]:
    """A count of bytes as they come, on stderr where it is a terminal: rate, and time left where it is known how many
    there are; they may also be taken back."""
    if not shows_progress():
        yield lambda _count: None
        return
    from tqdm import tqdm

    with tqdm(
        desc=what, total=total, unit="B", unit_scale=True, leave=False, dynamic_ncols=True, file=sys.stderr
    ) as bar:
        yield bar.update


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], right: str = "") -> None:
    """A table on stdout for people; `right` holds the headers of columns that align right.

    A terminal gets it folded into its width, save the first column and the numbers; a pipe as wide as it is.
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
    buffer = io.StringIO()  # at stdout itself, it would leave where a reader leaves
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
    """Whether stdout is a pipe, behind which may be a terminal: a bar that stands there would run into the data."""
    try:
        return stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def from_terminal() -> bool:
    """Whether stdin is a terminal: nothing to read there."""
    return sys.stdin is None or _is_terminal(sys.stdin)


# What was asked, in the words of the command line.


def command_line() -> str:
    """The command line as it was given, for the artefact to remember."""
    return shlex.join(["sertool", *sys.argv[1:]])


def option(name: str) -> str:
    """The option for a name of ours: `--mel-bands` for `mel_bands`."""
    return "--" + name.replace("_", "-")
