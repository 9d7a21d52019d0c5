"""The models inside the package, each with its card: `sertool predict` takes the default where none is named."""

from pathlib import Path

from sertool import talk
from sertool.errors import UsageError

FOLDER = Path(__file__).parent
DEFAULT = "base"
DIVISION = "cremad-nk"  # the protocol whose train speakers they learnt from


def names() -> list[str]:
    """The models that are here."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def own(name: str) -> Path:
    """Where one of them lies."""
    return FOLDER / f"{name}.safetensors"


def holds(place: Path) -> bool:
    """Whether a model file is one of these."""
    return place.parent == FOLDER


def place(model: str | None) -> Path:
    """Where a model lies: one of these by its name, or whatever file or folder was named; the default for none."""
    name = DEFAULT if model is None else model
    if name in names():
        if model and Path(name).exists():
            talk.warn(f"{name} is the package's model: to take what is called so here, say ./{name}")
        return own(name)
    if not (name and Path(name).exists()):  # a shell's empty variable is no model
        here = f"; inside the package are {', '.join(names())}" if names() else ""
        raise UsageError(
            f"no model {name or repr(name)}: give a model file, or the folder of a run of `sertool train`{here}"
        )
    return Path(name)


def card(place: Path) -> str | None:
    """What is to be known of a model of the package."""
    written = place.with_suffix(".md")
    return written.read_text(encoding="utf-8") if holds(place) and written.is_file() else None
