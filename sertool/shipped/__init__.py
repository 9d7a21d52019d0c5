"""The models shipped in the package, each with its card; `sertool predict` uses the default one."""

from pathlib import Path

from sertool.errors import UsageError
from sertool.system import talk

FOLDER = Path(__file__).parent
DEFAULT = "base"
DIVISION = "cremad-nk"  # the protocol whose train speakers they were trained on


def names() -> list[str]:
    """Return the names of the shipped models."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def own(name: str) -> Path:
    """Return the path of a shipped model."""
    return FOLDER / f"{name}.safetensors"


def holds(place: Path) -> bool:
    """Whether a model file is a shipped one."""
    return place.parent == FOLDER


def place(model: str | None) -> Path:
    """Return the path of a shipped model by name, or of a file or folder; the default model for None."""
    name = DEFAULT if model is None else model
    if name in names():
        if model and Path(name).exists():
            talk.warn(f"{name} is the package's model: to take what is called so here, say ./{name}")
        return own(name)
    if not (name and Path(name).exists()):  # an unset shell variable is no model
        here = f"; inside the package are {', '.join(names())}" if names() else ""
        raise UsageError(
            f"no model {name or repr(name)}: give a model file, or the folder of a run of `sertool train`{here}"
        )
    return Path(name)


def card(place: Path) -> str | None:
    """Return the card of a shipped model, or None."""
    written = place.with_suffix(".md")
    return written.read_text(encoding="utf-8") if holds(place) and written.is_file() else None
