"""Pretrained weights: where a file of them lies or comes from, and what is read of it. Nothing in it is executed.

Tensors are known by a digest of their own numbers, whatever file they came in: features record it, and who has an
encoder's tensors from elsewhere, such as a model file, gives them to whoever asks for that digest (`hold`).
"""

import hashlib
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sertool import files, rounding, shipped, talk, tensorfile, transfer, web
from sertool.errors import SertoolError, UsageError
from sertool.transfer import Item, Line

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    Tensors = dict[str, Tensor]

PIN = ".sha256"
LENGTH = 32  # of a digest, in hexadecimal digits
NESTED = ("model_state_dict", "state_dict", "model")  # where a checkpoint may keep its tensors

_given: list[Path] = []
_held: dict[str, "Tensors"] = {}


@dataclass(frozen=True)
class Published:
    """A file of weights, where its publisher has it."""

    name: str  # of the encoder: whisper-base
    url: str
    sha256: str | None = None  # pinned at the first download where none is published

    @property
    def place(self) -> Path:
        """Where it lies in the cache."""
        return files.cache_folder() / "weights" / (self.name + Path(self.url).suffix)


def give(path: str | Path | None) -> None:
    """Take weights from this file or model of the package, whatever encoder asks (`--weights`); None forgets it."""
    if path is None:
        _given.clear()
        return
    file = shipped.place(str(path)) if path in shipped.names() else Path(path)
    if not file.is_file():
        here = f", and no model of the package ({', '.join(shipped.names())})"
        raise UsageError(f"--weights {path}: {'a folder' if file.is_dir() else 'no such file' + here}")
    _given[:] = [file]


def chosen(
    published: Published,
    shapes: Mapping[str, tuple[int, ...]],
    known: str | None,
    arrange: Callable[["Tensors"], "Tensors"],
) -> tuple[str, "Tensors"]:
    """Digest and tensors of these shapes: those of the digest `known`, where this process has them, else a file's.

    `arrange` gives tensors their published names, of which a file may have others.
    """
    if known and known in _held:
        return known, _held[known]
    path = _find(published, known)
    found = _fitting(arrange(read(path)), shapes, published.name, path)
    made = digest(found)
    _refuse_other(known, made, published.name, path)
    return made, _held.setdefault(made, found)


def hold(tensors: "Tensors") -> str:
    """Keep tensors for whoever asks for their digest, which is returned."""
    known = digest(tensors)
    _held.setdefault(known, tensors)
    return known


def digest(tensors: "Tensors") -> str:
    """What tensors are known by: their names, shapes and values, not the type or file that they are stored in."""
    made = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        made.update(f"{name} {list(tensor.shape)} ".encode())
        made.update(tensor.float().contiguous().numpy().data)
    return made.hexdigest()[:LENGTH]


# The file


def _find(published: Published, known: str | None) -> Path:
    """The file of an encoder's weights: what `--weights` names, a model of the package, the cache's, or a download."""
    if _given:
        return _given[0]
    if known and (ours := _of_the_package(known)):
        return ours
    if not published.place.is_file():
        _download(published)
    _check(published)
    return published.place


def _of_the_package(known: str) -> Path | None:
    """The model of the package whose features are made with the weights of this digest."""
    for path in map(shipped.place, shipped.names()):
        records = tensorfile.read(path)[0]["features"].values()
        if any(record["settings"].get("weights") == known for record in records):
            return path
    return None


def _item(published: Published) -> Item:
    pin = published.place.with_name(published.place.name + PIN)
    known = published.sha256 or (pin.read_text(encoding="ascii").strip() if pin.is_file() else None)
    return Item(published.place.name, published.url, digests={"sha256": known} if known else {})


def _download(published: Published) -> None:
    place = published.place
    talk.say(f"fetching the weights of {published.name} from {web.plain(published.url)} to {place}")
    with files.alone(place.parent, wait=True):
        if place.is_file():  # another process was quicker
            return
        item = _item(published)
        try:
            with talk.counter(f"fetching {published.name}") as advance:
                transfer.download(item, place, lambda _item, _anew: None, Line(advance=advance))
        except (web.Refused, web.Damaged, web.Unreachable) as error:
            what = f"that file (sha256 {published.sha256})" if published.sha256 else "that file"
            said = str(error) if published.url in str(error) else f"{published.url}: {error}"
            raise SertoolError(
                f"no weights of {published.name} ({said}): put {what} at {place}, or name it with --weights FILE"
            ) from None
        if not item.digests:
            with files.whole(place.with_name(place.name + PIN)) as stream:
                stream.write(transfer.digests(place, ("sha256",))["sha256"].encode())


def _check(published: Published) -> None:
    """Refuse a file of the cache that is not the published one, or not the one that came first."""
    try:
        transfer.check(_item(published), published.place)
    except (web.Damaged, OSError) as error:
        raise SertoolError(
            f"{published.place} is not the file that {published.url} has ({error}): remove it to have it fetched again"
        ) from None


# What it holds


def read(path: Path) -> "Tensors":
    """The tensors in a safetensors file, of 8 bits or not, or in a checkpoint of torch's; else one clear error."""
    import torch

    if path.suffix == ".safetensors":
        return {name: torch.from_numpy(array.copy()) for name, array in _restored(path).items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        for word in NESTED:
            found = found.get(word, found)
        tensors = {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}
    except Exception as error:  # whatever a broken or hostile file makes of the reader
        raise SertoolError(
            f"{path} holds no weights that can be read ({type(error).__name__}; nothing in it was run): "
            "give a checkpoint of torch's, or safetensors"
        ) from None
    return tensors


def _restored(path: Path) -> "dict[str, np.ndarray]":
    try:
        return rounding.restored(tensorfile.read(path)[1])
    except ValueError as error:
        raise SertoolError(f"{path}: {error}: make or fetch it again") from None


def _fitting(tensors: "Tensors", shapes: Mapping[str, tuple[int, ...]], name: str, path: Path) -> "Tensors":
    """Those of the tensors that an encoder needs, in float32; where one is missing or of another size, an error."""
    import torch

    for word, shape in shapes.items():
        tensor = tensors.get(word)
        if tensor is None:
            hint = "; a model trained with --pack brings the layers that it hears, so name those with --layers"
            raise SertoolError(
                f"{path} holds no weights of {name}: {word} is not in it{hint * (path.suffix == '.safetensors')}"
            )
        if tuple(tensor.shape) != shape:
            raise SertoolError(
                f"{path} holds no weights of {name}: {word} is {list(tensor.shape)} in it, not {list(shape)}"
            )
        if not tensor.is_floating_point():
            raise SertoolError(f"{path} holds no weights of {name}: {word} is whole numbers in it")
    with torch.inference_mode(False):  # they may be trained on, whoever reads them first
        return {word: tensors[word].float().clone() for word in shapes}


def _refuse_other(known: str | None, found: str, name: str, path: Path) -> None:
    """Features that were made with some weights are not to be made with others."""
    if known not in (None, found):
        raise SertoolError(
            f"{path} holds other weights of {name} ({found}) than the features were made with ({known}): "
            "name the file with --weights"
        )
