"""The catalogue of the plug-in folders (models, features ...), read from source without importing it.

A file in `features/` imports torch, which takes a second. Help and completions need only its name, its docstring, its
literal constants and the fields of its `Settings`, which the syntax tree has.
"""

import ast
import importlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from sertool.errors import UsageError

PACKAGE = Path(__file__).parent
NUMBERS = {"int": (int,), "float": (int, float)}  # accepted types; the last converts text
KINDS = {"bool": "true or false", "tuple[int, ...]": "whole numbers such as 32,64"}  # shown in messages
SWITCHES = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}
LONGEST = 16  # most values in a setting that is a list


@dataclass(frozen=True)
class Setting:
    """One field of a file's `Settings`: `name: Annotated[type, "help", lowest, highest] = default`."""

    name: str
    kind: str  # "int", "float", "bool", "str", "choice", "tuple[int, ...]", or an effect's "Range"
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    optional: bool = False  # whether it may be None


@dataclass(frozen=True)
class Entry:
    """One file of a plug-in folder; `name` is the identifier, with underscores for the dashes of its word."""

    name: str
    doc: str
    facts: dict[str, Any] = field(default_factory=dict)
    settings: tuple[Setting, ...] = ()

    @property
    def title(self) -> str:
        return self.doc.partition("\n")[0].rstrip(".")


@cache
def entries(folder: str) -> dict[str, Entry]:
    """Return every file of a plug-in folder by its word, without importing any: `entries("models")["cnn-gru"]`."""
    return {word: read(PACKAGE / folder / f"{_file(word)}.py") for word in names(folder)}


@cache
def names(folder: str) -> tuple[str, ...]:
    """Return the words of the files in a plug-in folder: their names with dashes for underscores."""
    paths = (PACKAGE / folder).glob("*.py")
    return tuple(sorted(path.stem.replace("_", "-") for path in paths if not path.stem.startswith("_")))


def load(folder: str, word: str) -> ModuleType:
    """Import one file of a plug-in folder."""
    if word not in names(folder):
        kind = "corpus" if folder == "corpora" else folder.removesuffix("s")
        raise UsageError(f"no {kind} {word}; there are {', '.join(names(folder))}")
    return importlib.import_module(f"sertool.{folder}.{_file(word)}")


def _file(word: str) -> str:
    return word.replace("-", "_")


@cache
def read(path: Path, settings_class: str = "Settings") -> Entry:
    """Read the docstring, literal constants and settings of a Python file.

    Its settings may be another file's, as in `Settings = imagenet.Settings`.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    facts: dict[str, Any] = {}
    settings: tuple[Setting, ...] = ()
    for node in tree.body:
        match node:
            case ast.Assign([ast.Name(name)], ast.Attribute(ast.Name(module), other)) if name == settings_class:
                settings = read(PACKAGE / f"{module}.py", other).settings
            case ast.Assign([ast.Name(name), *_], value) | ast.AnnAssign(ast.Name(name), _, ast.expr() as value):
                with suppress(ValueError):
                    facts[name] = ast.literal_eval(value)
            case ast.ClassDef(name) if name == settings_class:
                settings = tuple(_settings(node.body, facts))
    return Entry(path.stem, ast.get_docstring(tree) or "", facts, settings)


def _settings(body: list[ast.stmt], facts: dict[str, Any]) -> Iterator[Setting]:
    """Yield the fields of a class that have a help text."""
    for node in body:
        match node:
            case ast.AnnAssign(
                ast.Name(name), ast.Subscript(ast.Name("Annotated"), ast.Tuple([kind, *words])), ast.expr() as value
            ):
                default = facts[value.id] if isinstance(value, ast.Name) else ast.literal_eval(value)
                yield _setting(name, kind, default, *map(ast.literal_eval, words))


def _setting(name: str, annotation: ast.expr, default: Any, text: str, *limits: float) -> Setting:
    match annotation:
        case ast.Subscript(ast.Name("Literal"), choices):
            words = choices.elts if isinstance(choices, ast.Tuple) else [choices]
            return Setting(name, "choice", default, text, choices=tuple(map(ast.literal_eval, words)))
    low, high = (*limits, None, None)[:2]
    kind = ast.unparse(annotation)
    return Setting(name, kind.removesuffix(" | None"), default, text, low, high, optional=kind.endswith(" | None"))


def parsed(setting: Setting, text: str) -> Any:
    """Parse a setting's value; invalid text is returned as it is, for `check` to refuse."""
    if setting.optional and text.lower() == "none":
        return None
    if setting.kind == "bool":
        return SWITCHES.get(text.lower(), text)
    if setting.kind not in (*NUMBERS, "tuple[int, ...]"):
        return text
    try:
        if setting.kind in NUMBERS:
            return NUMBERS[setting.kind][-1](text)
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        return text


def check(owner: str, settings: Sequence[Setting], values: Mapping[str, Any]) -> None:
    """Raise UsageError for an unknown setting, or a value of the wrong kind or out of range."""
    by_name = {setting.name: setting for setting in settings}
    for name, value in values.items():
        if name not in by_name:
            raise UsageError(f"{owner} has no setting {name}; it has {', '.join(by_name) or 'none'}")
        setting = by_name[name]
        if value is None and setting.optional:
            continue
        parts = value if setting.kind.startswith("tuple") and isinstance(value, tuple) else (value,)
        if not (0 < len(parts) <= LONGEST and all(_is_within(setting, part) for part in parts)):
            raise UsageError(f"{owner}: {name} cannot be {str(value)[:40]!r}: {_limits(setting)}")


def _is_within(setting: Setting, value: Any) -> bool:
    """Whether a value has a setting's kind and is within its limits."""
    kind = setting.kind.removeprefix("tuple[").partition(",")[0].removesuffix("]")
    if kind == "choice":
        return value in setting.choices
    if kind not in NUMBERS:
        return type(value).__name__ == kind
    if type(value) not in NUMBERS[kind] or not is_finite(value):
        return False
    return (setting.low is None or value >= setting.low) and (setting.high is None or value <= setting.high)


def is_finite(number: float) -> bool:
    """Whether it is finite and fits an array: integers may be too large."""
    return abs(number) < (math.inf if isinstance(number, float) else 2**63)


def _limits(setting: Setting) -> str:
    if setting.choices:
        return f"choose from {', '.join(map(str, setting.choices))}"
    low, high = (
        f" {word} {limit:g}" if limit is not None else ""
        for word, limit in (("from", setting.low), ("to", setting.high))
    )
    return f"it is {KINDS.get(setting.kind, setting.kind)}{low}{high}"


@cache
def keys(file: str, name: str) -> tuple[str, ...]:
    """Return the literal keys of a dictionary at the top level of a file: `keys("sound/shaping.py", "STATS")`."""
    for node in ast.parse((PACKAGE / file).read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign([ast.Name(found)], value) | ast.AnnAssign(ast.Name(found), _, value):
                if found == name and isinstance(value, ast.Dict):
                    return tuple(ast.literal_eval(key) for key in value.keys if key is not None)
    raise KeyError(f"{file} has no dictionary {name}")
