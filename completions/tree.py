"""The command line as plain data, for what is generated from it: the man pages and the completions.

A click command knows its options only together with a context, says what a value may be through `shell_complete`, and
keeps its prose with click's `\\b` marks in it. Here each is asked once, and what comes out are words.
"""

import inspect
import sys
from dataclasses import dataclass
from pathlib import Path

import click


@dataclass(frozen=True)
class Values:
    """What may stand as a value: some words with their explanations, and a path."""

    words: tuple[tuple[str, str], ...] = ()
    path: str = ""  # "file", "dir", or none
    many: bool = False  # several words with commas between


@dataclass(frozen=True)
class Option:
    names: tuple[str, ...]  # short ones first: -o, --out
    offs: tuple[str, ...]  # the names that switch it off: --no-center
    metavar: str
    help: str  # with the default and the range, as --help shows them
    group: str
    count: int  # how many values follow
    repeats: bool
    values: Values


@dataclass(frozen=True)
class Argument:
    metavar: str
    help: str
    count: int  # how many values, -1 for any number
    values: Values


@dataclass(frozen=True)
class Command:
    name: str
    summary: str
    usage: str  # without the command's name
    help: str
    epilog: str
    options: tuple[Option, ...]
    arguments: tuple[Argument, ...]

    def groups(self) -> dict[str, list[Option]]:
        """The options under their titles, those without a title last, as `--help` orders them."""
        groups: dict[str, list[Option]] = {}
        for option in sorted(self.options, key=lambda option: not option.group):
            groups.setdefault(option.group, []).append(option)
        return groups


@dataclass(frozen=True)
class Tree:
    top: Command
    commands: tuple[Command, ...]

    def contexts(self) -> list[tuple[str, Command]]:
        """Where a line may stand: before any command, "", or after one, its name."""
        return [("", self.top), *((command.name, command) for command in self.commands)]


def read(cli: click.Group, program: str = "sertool") -> Tree:
    """The tool and its commands; what is hidden is left out."""
    context = _context(cli, program)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    inner = [(item, _context(item, name, context)) for name, item in found.items() if not item.hidden]
    return Tree(_command(cli, context), tuple(_command(item, context) for item, context in inner))


def _context(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    return command.context_class(command, info_name=name, parent=parent, **command.context_settings)


def _command(command: click.Command, context: click.Context) -> Command:
    parameters = command.get_params(context)
    return Command(
        name=context.info_name,
        summary=command.get_short_help_str(limit=1000).rstrip("."),
        usage=" ".join(command.collect_usage_pieces(context)),
        help=_prose(command.help),
        epilog=_prose(command.epilog),
        options=tuple(_option(item, context) for item in parameters if _is_shown(item)),
        arguments=tuple(_argument(item, context) for item in parameters if isinstance(item, click.Argument)),
    )


def _is_shown(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option) and not parameter.hidden


def _prose(text: str | None) -> str:
    return inspect.cleandoc(click.unstyle(text or "")).partition("\f")[0].strip()


def _option(option: click.Option, context: click.Context) -> Option:
    takes_value = not (option.is_flag or option.count)
    return Option(
        names=tuple(sorted(option.opts, key=_is_long)),  # click before 8.5 gives --help's in no fixed order
        offs=tuple(option.secondary_opts),
        metavar=option.make_metavar(context) if takes_value else "",
        help=" ".join(click.unstyle(option.get_help_record(context)[1]).split()),
        group=getattr(option, "group", None) or "",
        count=option.nargs if takes_value else 0,
        repeats=option.multiple or option.count,
        values=_values(option, context) if takes_value else Values(),
    )


def _is_long(name: str) -> bool:
    return name.startswith("--")


def _argument(argument: click.Argument, context: click.Context) -> Argument:
    help = " ".join((getattr(argument, "help", None) or "").split())  # click has it since 8.5
    return Argument(argument.make_metavar(context), help, argument.nargs, _values(argument, context))


def _values(parameter: click.Parameter, context: click.Context) -> Values:
    items = parameter.shell_complete(context, "")
    words = tuple((str(item.value), " ".join((item.help or "").split())) for item in items if item.type == "plain")
    paths = [item.type for item in items if item.type != "plain"]
    return Values(words, paths[0] if paths else "", getattr(parameter.type, "many", False))


def publish(folder: Path, files: dict[str, str], pattern: str) -> None:
    """Write the files into their folder, or with `--check` name those that are not as they should be, and fail.

    A file that matches `pattern` and is no longer generated, such as a removed command's page, is stale too.
    """
    gone = [path for path in sorted(folder.glob(pattern)) if path.name not in files]
    stale = [folder / name for name, text in files.items() if _text(folder / name) != text]
    if sys.argv[1:] == ["--check"]:
        for path in stale + gone:
            print(f"stale: {path} (run python {sys.argv[0]})", file=sys.stderr)  # noqa: T201
        sys.exit(1 if stale + gone else 0)
    for path in stale:
        path.write_text(files[path.name], encoding="utf-8")
    for path in gone:
        path.unlink()


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
