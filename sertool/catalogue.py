"""What the open folders hold, read from their source text: help and completions never run a catalogue's code.

A file in `features/` imports torch, which takes a second; its name, its docstring, its literal constants and the
fields of its `Settings` are all that help needs, and the syntax tree has them.
"""

import ast
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Setting:
    """One field of a file's `Settings`: `name: Annotated[type, "help", lowest, highest] = default`."""

    name: str
    kind: str  # "int", "float", "bool", "str", or "choice"
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One file of an open folder."""

    name: str
    doc: str
    facts: dict[str, Any] = field(default_factory=dict)
    settings: tuple[Setting, ...] = ()

    @property
    def title(self) -> str:
        return self.doc.partition("\n")[0].rstrip(".")


@cache
def entries(folder: str) -> dict[str, Entry]:
    """Every file of an open folder, by name, without importing any: `entries("features")["mel"]`."""
    names = sorted(path.stem for path in (PACKAGE / folder).glob("*.py") if not path.stem.startswith("_"))
    return {name: read(PACKAGE / folder / f"{name}.py") for name in names}


def names(folder: str) -> list[str]:
    """The words that stand for the files of an open folder; an underscore in a file name is a dash in the word."""
    paths = (PACKAGE / folder).glob("*.py")
    return sorted(path.stem.replace("_", "-") for path in paths if not path.stem.startswith("_"))


def read(path: Path, settings_class: str = "Settings") -> Entry:
    """Docstring, literal constants and settings of one Python file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    facts: dict[str, Any] = {}
    settings: tuple[Setting, ...] = ()
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                facts[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
        elif isinstance(node, ast.ClassDef) and node.name == settings_class:
            settings = tuple(_setting(item, facts) for item in node.body if _is_setting(item))
    return Entry(path.stem, ast.get_docstring(tree) or "", facts, settings)


def _is_setting(node: ast.stmt) -> bool:
    """Whether it is a field with words for people."""
    if not (isinstance(node, ast.AnnAssign) and isinstance(node.annotation, ast.Subscript)):
        return False
    return ast.unparse(node.annotation.value) == "Annotated"


def _setting(node: ast.AnnAssign, facts: dict[str, Any]) -> Setting:
    annotation, *literals = node.annotation.slice.elts
    words = [ast.literal_eval(literal) for literal in literals]
    kind, choices = ast.unparse(annotation).removesuffix(" | None"), ()
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        kind, choices = "choice", tuple(ast.literal_eval(part) for part in _parts(annotation.slice))
    default = facts[node.value.id] if isinstance(node.value, ast.Name) else ast.literal_eval(node.value)
    return Setting(node.target.id, kind, default, *words, choices=choices)


def _parts(node: ast.expr) -> list[ast.expr]:
    return getattr(node, "elts", [node])


@cache
def keys(file: str, name: str) -> tuple[str, ...]:
    """The literal keys of a dictionary at the top of a file: `keys("shaping.py", "STATS")`."""
    for node in ast.parse((PACKAGE / file).read_text(encoding="utf-8")).body:
        target = getattr(node, "target", None) or getattr(node, "targets", [None])[0]
        if getattr(target, "id", None) == name and isinstance(node.value, ast.Dict):
            return tuple(ast.literal_eval(key) for key in node.value.keys)
    raise KeyError(f"{file} has no dictionary {name}")
