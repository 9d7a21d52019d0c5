"""Run the command `sertool`: import commands lazily, and turn errors into one line and an exit code."""

import errno
import gc
import importlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import click

from sertool import __version__, catalogue
from sertool.errors import Interrupted, SertoolError, UsageError, reason
from sertool.system import cgroups, talk

OfTheSystem = MemoryError | OSError | ImportError
SHORT_OF = {  # torch and Python raise RuntimeError, and no other type, when these are short
    re.compile("can't allocate memory|out of memory"): "out of memory",
    re.compile("can't start new thread"):
        "no more threads or processes can be started: raise the limit (ulimit -u, or the container's)",
}  # fmt: skip
NEW_OBJECTS = 50_000  # before they are searched for garbage: at Python's 700, importing torch takes .2 s longer
EPILOG = """\b
Examples:
  sertool index cremad/ | sertool featurize --mel
  sertool index cremad/ ravdess/ --split speaker:70/15/15 -o clips.parquet
  sertool featurize clips.parquet --mfcc --stats mean,std -o features/

Commands meet in Parquet manifests, one row per clip: stdout is data, stderr is talk.

\b
Exit status:
  0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""


class Commands(click.Group):
    """The commands in `commands/`; one is imported when it is called, but not to be listed."""

    def invoke(self, ctx: click.Context) -> Any:
        # Handled before click does: Ctrl-C gets a line, a closed stdout none.
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None
        except BrokenPipeError:
            return 0

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, ...]:
        if args[0] not in self.list_commands(ctx):
            raise UsageError(f"no command {args[0]!r}; there are {', '.join(self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return sorted(catalogue.names("commands"), key=_place)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in catalogue.names("commands"):
            return None
        command: click.Command = importlib.import_module(f"sertool.commands.{name.replace('-', '_')}").command
        command.name, command.short_help = name, summary(name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary(name)) for name in self.list_commands(ctx)])


def _place(name: str) -> tuple[int, str]:
    """Return the sort key that puts commands in the order of their use."""
    order = ("fetch", "index", "featurize", "augment", "train", "eval", "predict", "demo")
    return (order.index(name) if name in order else len(order), name)


def summary(name: str) -> str:
    """Return a command's line in the list of commands, without importing it."""
    return catalogue.read(catalogue.PACKAGE / "commands" / f"{name.replace('-', '_')}.py").title


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="sertool", message="%(prog)s %(version)s")
def cli() -> None:
    """Speech emotion recognition as small commands that pipe."""


class WithoutPandas(Loader):
    """Keeps pyarrow from importing pandas, if installed, at its first list, which takes half a second for nothing."""

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name == "pandas" else None

    def exec_module(self, module: ModuleType) -> None:
        raise ModuleNotFoundError("sertool has no use for pandas", name=module.__name__)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line, and exit with its code."""
    sys.meta_path.insert(0, WithoutPandas())
    gc.set_threshold(NEW_OBJECTS)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's products are small: threads spin for longer
    code = run(arguments)
    sys.stderr.flush()
    os._exit(code)  # at once: taking down torch takes a third of a second, and waits for busy threads


def _allow_files() -> None:
    """Raise the limit of open files as far as the system allows: each mapped shard is one, and shells allow 1,024."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def run(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code; any error that a user can cause becomes one line on stderr."""
    talk.begin()
    _allow_files()
    cgroups.limit_threads()
    try:
        with _interruptible():
            result: Any = cli.main(arguments, prog_name="sertool", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        result = 0
    except RuntimeError as error:
        if (short := _shortage(error)) is None:
            raise
        talk.fail(f"sertool: {short}")
        result = 1
    except (SertoolError, click.ClickException, MemoryError, OSError, ImportError) as error:
        text, result = _message_of(error)
        talk.fail(text)
    talk.release_stdout()
    return result if isinstance(result, int) else 0


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn SIGTERM (as from job queues and containers) and SIGHUP (from closed terminals) into keyboard interrupts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ending = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in ending}
    try:
        for number, handler in before.items():
            if handler != signal.SIG_IGN:  # as under nohup
                signal.signal(number, signal.default_int_handler)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _shortage(error: RuntimeError) -> str | None:
    """Say what the system is short of, if that is why."""
    return next((words for pattern, words in SHORT_OF.items() if pattern.search(str(error))), None)


def _message_of(error: SertoolError | click.ClickException | OfTheSystem) -> tuple[str, int]:
    """Return an error's message for the user, and the exit code."""
    if isinstance(error, SertoolError):
        return f"sertool: {talk.clean(error)}", error.exit_code
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error.ctx.get_help(), 2
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "sertool"
        return f"sertool: {error.format_message().rstrip('.')} (see `{path} --help`)", 2
    if isinstance(error, click.ClickException):
        return f"sertool: {error.format_message()}", 1
    return f"sertool: {_of_the_system(error)}", 1


def _of_the_system(error: OfTheSystem) -> str:
    """Say what the system could not do: find memory, load a package, read or write."""
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, ImportError) or _is_of_a_library(error):
        from sertool.system.device import PAIRS

        first = talk.clean(str(error).partition("\n")[0])
        if "failed to map segment" in first:
            return f"no memory to load a package ({first}): raise the limit (ulimit -v, or the job's)"
        return f"a package cannot be loaded ({first}): install it again; torch with {PAIRS}"
    if isinstance(error, OSError) and error.errno == errno.EBADF:
        return "stdout is closed: give it a reader, or name a file with -o"
    where = f": {error.filename}" if error.filename else ""
    return f"{reason(error)}{where}"


def _is_of_a_library(error: OfTheSystem) -> bool:
    """Whether the system could not load a package's library; errors about files and folders have a file name."""
    return isinstance(error, OSError) and not error.filename and bool(re.search(r"\.(so|dll|dylib)\b", str(error)))
