"""Define the options that commands share, so that a name means the same everywhere."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields
from typing import Any, ClassVar, Protocol, TypeVar

import click
from click.shell_completion import CompletionItem

from sertool import catalogue
from sertool.errors import UsageError
from sertool.system import talk

ENDLESS = 1_000_000  # a limit so high that the help omits it
SEEDS = 1000  # of a run, at most
OTHERS_NAMES = {  # what librosa, scikit-learn, PyTorch and common tools call options of ours
    "--n-mels": "--mel-bands", "--n-mfcc": "--mfcc-count", "--hop-length": "--hop", "--fmin": "--mel-fmin",
    "--fmax": "--mel-fmax", "--sr": "--rate", "--sample-rate": "--rate", "--sampling-rate": "--rate",
    "--learning-rate": "--lr", "--batch-size": "--batch", "--class-weight": "--balance weights", "--cv": "--folds",
    "--n-splits": "--folds", "--early-stopping": "--patience", "--random-state": "--seed",
    "--n-jobs": "--jobs", "--workers": "--jobs", "--num-workers": "--jobs", "--threads": "--jobs",
    "--gpu": "--device cuda", "--cuda": "--device cuda", "--stride": "--hop",
    "--top-k": "--top", "--output": "--out", "--output-dir": "--out", "--force": "--overwrite",
}  # fmt: skip


class Dataclass(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


Part = TypeVar("Part", bound=Dataclass)


class Option(click.Option):
    """An option with its section of the help, and a note on its usual value if it has no default."""

    def __init__(self, *arguments: Any, group: str | None = None, usual: str = "", **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.group, self.usual = group, usual

    def make_metavar(self, ctx: click.Context) -> str:
        shown = super().make_metavar(ctx)
        is_only_word = isinstance(self.type, click.Choice) and len(self.type.choices) == 1
        return shown.strip("[]") if is_only_word else shown  # in brackets it would look optional

    def get_help_extra(self, ctx: click.Context) -> Any:
        extra = super().get_help_extra(ctx)
        extra |= {"default": self.usual} if self.usual else {}
        limits = getattr(self.type, "limits", "")
        return extra | ({"range": limits} if limits else {})


def limits(low: float | None, high: float | None) -> str:
    if low is None:
        return ""
    return f"{low:g} or more" if high is None or high >= ENDLESS else f"{low:g} to {high:g}"


class Command(click.Command):
    """A command whose help shows options in sections, and whose errors tell a file named like an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = [*args]
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if file := next((word for word in words if word.startswith("-") and os.path.lexists(word)), None):
                raise UsageError(f"{file} begins like an option: call the file ./{file}") from None
            raise self._with_our_name(error) from None
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # so that the message names this command's help
            raise

    def _with_our_name(self, error: click.NoSuchOption) -> click.NoSuchOption:
        """Return the error with this command's name for an option that others call otherwise, if it has that option."""
        ours = OTHERS_NAMES.get(error.option_name.replace("_", "-"), "")
        if not any(ours.partition(" ")[0] in parameter.opts for parameter in self.params):
            return error
        text = f"No such option {error.option_name!r}. Did you mean {ours!r}?"
        return click.NoSuchOption(error.option_name, text, ctx=error.ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and not isinstance(parameter, click.Argument):
                sections.setdefault(getattr(parameter, "group", None) or "Options", []).append(record)
        last = sections.pop("Options", [])
        for title, records in {**sections, "Options": last}.items():
            with formatter.section(title):
                formatter.write_dl(records)


class Number(click.ParamType):
    """A number within limits, whole if `kind` is int; never NaN."""

    def __init__(self, kind: type[int] | type[float], low: float | None = None, high: float | None = None) -> None:
        self.kind, self.low, self.high = kind, low, high
        self.name = "n" if kind is int else "x"
        self.limits = limits(low, high)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = self.kind(value)
        except ValueError:
            self.fail(f"{value!r} is no {'whole number' if self.kind is int else 'number'}", param, ctx)
        if self.low is not None and number < self.low:
            self.fail(f"{value} is not {self.limits}", param, ctx)
        if self.high is not None and number > self.high:
            self.fail(f"{value} is {'too large' if self.high >= ENDLESS else f'not {self.limits}'}", param, ctx)
        if not catalogue.is_finite(number):
            self.fail(f"{value} is {'too large' if number > 0 else 'not finite'}", param, ctx)
        return number


class Numbers(click.ParamType):
    """Distinct numbers within limits, joined by commas."""

    name = "numbers"

    def __init__(self, low: float, high: float) -> None:
        self.each, self.limits = Number(float, low, high), limits(low, high)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        numbers = tuple(self.each.convert(word.strip(), param, ctx) for word in value.split(","))
        if twice := [number for number in numbers if numbers.count(number) > 1]:
            self.fail(f"{value!r} names {twice[0]:g} more than once", param, ctx)
        return numbers


class Words(click.ParamType):
    """Words joined by commas; each must be one of the choices, unless there are none or they are only `usual`."""

    name = "words"
    many = True

    def __init__(
        self, choices: Callable[[], Sequence[str]] | None = None, metavar: str = "A,B,..", *, usual: bool = False
    ) -> None:
        self.choices, self.usual = choices, usual
        self.metavar = metavar

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return self.metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        words = tuple(word.strip() for word in value.split(",") if word.strip())
        if not words:
            self.fail(f"{value!r} names nothing: leave the option out", param, ctx)
        choices = self.choices() if self.choices and not self.usual else None
        for word in words:
            if choices is not None and word not in choices:
                self.fail(f"{word!r} is none of {', '.join(choices)}", param, ctx)
        return words

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, word = incomplete.rpartition(",")
        return [CompletionItem(before + comma + c) for c in (self.choices or list)() if c.startswith(word)]


def offering(*words: str, path: str = "") -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return a completion for a value that may be anything: some words, and paths of a kind."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        paths = [CompletionItem(incomplete, type=path)] if path else []
        return [CompletionItem(word) for word in words if word.startswith(incomplete)] + paths

    return complete


def option(*names: str, **settings: Any) -> Callable[[Any], Any]:
    """Return `click.option` with a `group`."""
    return click.option(*names, cls=Option, **settings)


def setting(word: str, name: str, field: catalogue.Setting, group: str) -> Callable[[Any], Any]:
    """Return an option for a field of a settings dataclass, with its kind, limits and default; None unless given."""
    kind: Any = click.Choice(field.choices) if field.kind == "choice" else str
    if field.kind in catalogue.NUMBERS:
        kind = Number(catalogue.NUMBERS[field.kind][-1], field.low, field.high)
    elif field.kind == "bool":
        word, kind = f"{word}/--no-{word.removeprefix('--')}", None
    help_text, _, usual = field.help.removesuffix("]").partition(" [default: ")  # of a setting that may be None
    if field.default is not None:
        usual = f"{field.default:g}" if isinstance(field.default, float) else str(field.default).lower()
    return option(
        word, name, type=kind, default=None, usual=usual, group=group, help=f"{help_text[:1].upper()}{help_text[1:]}.",
    )  # fmt: skip


def _set_verbosity(_ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value:
        talk.set_verbosity(-1 if param.name == "quiet" else value)


def _seed(help_text: str) -> Callable[[Any], Any]:
    return option("--seed", type=Number(int, 0, 2**63 - SEEDS), default=0, show_default=True, help=help_text)


quiet = option(
    "-q", "--quiet", is_flag=True, expose_value=False, callback=_set_verbosity, help="Say nothing but errors."
)
verbose = option(
    "-v", "--verbose", count=True, expose_value=False, callback=_set_verbosity, help="Say more of what is done."
)
device = option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where to compute.",
)
jobs = option("-j", "--jobs", type=Number(int, 1, 512), metavar="N", help="Threads. [default: one for each core]")
seed = _seed("Seed of all random choices.")
seed_of_division = _seed("Seed of all random choices; some protocols have their own.")
seed_of_training = _seed(
    "Seed of all random choices, in the training and of who is held out; some protocols have their own."
)


def _manifest_format(usual: str) -> Callable[[Any], Any]:
    kinds = click.Choice(["parquet", "csv", "tsv", "jsonl", "table"])
    return option("-f", "--format", "kind", type=kinds, help=f"Format of the manifest. [default: {usual}]")


stdout_format = _manifest_format("Parquet in a pipe and a table on a terminal")
manifest_format = _manifest_format("by the extension of -o, else Parquet in a pipe and a table on a terminal")
dry_run = option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
wait = option("--wait", is_flag=True, help="Wait for another sertool that writes to the same place.")
strict = option("--strict", is_flag=True, help="Fail (exit 1) if any clip is set aside or a folder cannot be read.")
root = option(
    "--root",
    type=click.Path(file_okay=False),
    metavar="DIR",
    group="Input",
    help="Where the audio of a manifest lies now, if it moved.",
)
nul = option("-0", "--null", is_flag=True, group="Input", help="Paths on stdin end with NUL, as of `find -print0`.")


def out(help_text: str, *, folder: bool = False, either: bool = False) -> Callable[[Any], Any]:
    kind = click.Path(file_okay=either or not folder, dir_okay=either or folder)
    return option("-o", "--out", type=kind, metavar="PATH", help=help_text)


def _columns(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the beginning of a `--where` expression."""
    from sertool.manifests.columns import MEANINGS

    return [
        CompletionItem(f"{name}=", help=text) for name, (_, text) in MEANINGS.items() if name.startswith(incomplete)
    ]


where = option(
    "--where",
    multiple=True,
    metavar="EXPR",
    shell_complete=_columns,
    group="Input",
    help="Keep rows for which COLUMN=VALUE holds, such as 'corpus=cremad|tess and age>=40'; also != < <= > >=, ~ for "
    "a regular expression, and = with nothing behind it for an empty cell.",
)


def stack(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Combine several decorators; the first one's option is shown first."""

    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def dimensions() -> list[str]:
    """Return the usual ratings."""
    from sertool.manifests.columns import DIMENSIONS

    return list(DIMENSIONS)


def part(kind: type[Part], values: Mapping[str, Any]) -> Part:
    """Build a dataclass from those of a command's values that have the names of its fields."""
    return kind(**{field.name: values[field.name] for field in fields(kind)})


def inputs(paths: tuple[str, ...], what: str, *, nul: bool = False) -> tuple[str, ...]:
    """Return the given paths or, if there are none, `-` for piped stdin; `nul` applies to stdin only."""
    if nul and paths and "-" not in paths:
        raise UsageError("-0 says how paths on stdin end: give - for stdin, or leave it out")
    if paths:
        return paths
    if talk.from_terminal():
        raise UsageError(f"nothing to read: name {what}, or pipe one in (see --help)")
    return ("-",)
