"""Pretrained weights: files from --weights, the cache or a download, and their tensors. Nothing in them is executed.

Tensors are identified by a digest of their values, whatever file they came in, and features record it. Tensors from
elsewhere, such as a model file with a packed encoder, are registered under that digest.

The file of `--weights` and the registered tensors hold for the whole process, as the cache does: a path says nothing
about numbers and must not get into the settings that shards and models record, and forks inherit both.
"""

import hashlib
import itertools
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sertool import shipped
from sertool.errors import SertoolError, UsageError
from sertool.internet import downloading, web
from sertool.internet.downloading import Control, Item
from sertool.networks import quantization, tensorfile
from sertool.system import files, locks, talk
from sertool.system.files import listed

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    Tensors = dict[str, Tensor]

Shapes = Mapping[str, tuple[int, ...]]
Arrange = Callable[["Tensors"], "Tensors"]

PACKED = "pretrained."  # prefix of a packed encoder's tensors in a model file
PIN = ".sha256"
LENGTH = 32  # length of a digest in hexadecimal digits
BLOCK_NAME = re.compile(r"^encoder\.(?:transformer\.)?(?:blocks|layers)\.(\d+)\.")
NESTED = ("model_state_dict", "state_dict", "model")  # where a checkpoint may keep its tensors

_in_use: list[Path] = []  # the file of --weights, if one was given
_registered: dict[str, "Tensors"] = {}  # by digest


@dataclass(frozen=True)
class Published:
    """A published file of weights."""

    name: str  # the encoder's: whisper-base
    url: str
    sha256: str | None = None  # if not published, that of the first download is kept

    @property
    def place(self) -> Path:
        """The path in the cache."""
        return files.cache_folder() / "weights" / (self.name + Path(self.url).suffix)


def is_at_hand(published: Published) -> bool:
    """Whether it can be used without a download."""
    return bool(_in_use) or published.place.is_file()


def use_file(path: str | Path | None) -> None:
    """Take all encoders' weights from this file or shipped model (`--weights`) from now on; None undoes that."""
    if path is None:
        _in_use.clear()
        return
    ours = [name for name in shipped.names() if _has_encoder(shipped.own(name))]
    file = shipped.own(str(path)) if path in ours else Path(path)
    if not file.is_file():
        none = f"no such file, and of the package's models {listed(ours)} alone brings an encoder"
        raise UsageError(f"--weights {path}: {'a folder' if file.is_dir() else none}")
    _in_use[:] = [file]


def file_in_use() -> Path | None:
    """Return the file of `--weights`, or None."""
    return _in_use[0] if _in_use else None


@contextmanager
def using_file(path: str | Path | None) -> Iterator[None]:
    """Take weights from this file within the context."""
    before = list(_in_use)
    use_file(path)
    try:
        yield
    finally:
        _in_use[:] = before


def load(
    published: Published,
    shapes: Shapes,
    known: str | None,
    arrange: Arrange,
    identified_by: Shapes | None = None,
) -> tuple[str, "Tensors"]:
    """Return digest and tensors of these shapes: registered ones with the digest `known`, else those of a file.

    `arrange` renames tensors to their published names. `known` is the digest of those of the shapes `identified_by`,
    all if it is not given.
    """
    identified_by = shapes if identified_by is None else identified_by
    if known in _registered and identified_by == shapes:
        return known, _registered[known]
    ours = package_model_with(known, identified_by, arrange) if known else None
    path = shipped.own(ours) if ours else _find(published)
    found = _fitting(arrange(read(path)), shapes, published.name, path)
    _refuse_other_digest(known, _digest(_only(found, identified_by)), published.name, path)
    made = register(found)
    return made, _registered[made]


def package_model_with(known: str, shapes: Shapes, arrange: Arrange) -> str | None:
    """Return the shipped model that contains tensors with this digest and these shapes, or None."""
    for name in shipped.names():
        if _has_encoder(path := shipped.own(name)):
            there = arrange(read(path))
            fits = all(word in there and tuple(there[word].shape) == shape for word, shape in shapes.items())
            if fits and _digest(_only(there, shapes)) == known:
                return name
    return None


def _has_encoder(path: Path) -> bool:
    return any(name.startswith(PACKED) for name in tensorfile.read(path)[1])


def _only(tensors: "Tensors", wanted: Iterable[str]) -> "Tensors":
    return {name: tensors[name] for name in wanted}


def register(tensors: "Tensors") -> str:
    """Register tensors under their digest, and return it."""
    known = _digest(tensors)
    _registered.setdefault(known, tensors)
    return known


def _digest(tensors: "Tensors") -> str:
    """Return a digest of tensors' names, shapes and values, whatever type and file they are stored in."""
    made = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        made.update(f"{name} {list(tensor.shape)} ".encode())
        made.update(tensor.float().contiguous().numpy().data)
    return made.hexdigest()[:LENGTH]


# Finding the file.


def _find(published: Published) -> Path:
    """Return the file of an encoder's weights: that of `--weights`, the cached one, or a download."""
    if _in_use:
        return _in_use[0]
    if not published.place.is_file():
        _download(published)
    _check(published)
    return published.place


def _item(published: Published) -> Item:
    pin = published.place.with_name(published.place.name + PIN)
    known = published.sha256 or (pin.read_text(encoding="ascii").strip() if pin.is_file() else None)
    return Item(published.place.name, published.url, digests={"sha256": known} if known else {})


def _download(published: Published) -> None:
    place = published.place
    talk.say(f"fetching the weights of {published.name} from {web.plain(published.url)} to {place}")
    with locks.folder_lock(place.parent, wait=True):
        if place.is_file():  # another process downloaded it
            return
        item = _item(published)
        try:
            with talk.counter(f"fetching {published.name}") as advance:
                downloading.download(item, place, lambda _item, _anew: None, Control(advance=advance))
        except (web.Refused, web.Damaged, web.Unreachable) as error:
            what = f"that file (sha256 {published.sha256})" if published.sha256 else "that file"
            said = str(error) if published.url in str(error) else f"{published.url}: {error}"
            raise SertoolError(
                f"no weights of {published.name} ({said}): put {what} at {place}, or name it with --weights FILE"
            ) from None
        if not item.digests:
            with files.atomic_write(place.with_name(place.name + PIN)) as stream:
                stream.write(downloading.digests(place, ("sha256",))["sha256"].encode())


def _check(published: Published) -> None:
    """Raise SertoolError if a cached file is not the published one or, without a published digest, has changed."""
    try:
        downloading.check(_item(published), published.place)
    except (web.Damaged, OSError) as error:
        raise SertoolError(
            f"{published.place} is not the file that {published.url} has ({error}): remove it to have it fetched again"
        ) from None


# Reading the file.


def read(path: Path) -> "Tensors":
    """Read the tensors of a safetensors file, quantised or not, or of a torch checkpoint; else raise SertoolError."""
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
    except Exception as error:  # whatever a broken or hostile file makes the reader raise
        raise SertoolError(
            f"{path} holds no weights that can be read ({type(error).__name__}; nothing in it was run): "
            "give a checkpoint of torch's, or safetensors"
        ) from None
    return tensors


def _restored(path: Path) -> "dict[str, np.ndarray]":
    try:
        return quantization.dequantized(tensorfile.read(path)[1])
    except ValueError as error:
        raise SertoolError(f"{path}: {error}: make or fetch it again") from None


def _fitting(tensors: "Tensors", shapes: Mapping[str, tuple[int, ...]], name: str, path: Path) -> "Tensors":
    """Return the tensors that an encoder needs, in float32; raise SertoolError if one is missing or misshapen."""
    import torch

    for word, shape in shapes.items():
        tensor = tensors.get(word)
        if tensor is None:
            wrong = f"{word} is not in it{_brought(tensors) if BLOCK_NAME.search(word) else ''}"
        elif tuple(tensor.shape) != shape:
            wrong = f"{word} is {list(tensor.shape)} in it, not {list(shape)}"
        elif not tensor.is_floating_point():
            wrong = f"{word} is whole numbers in it"
        else:
            continue
        raise SertoolError(f"{path} holds no weights of {name}: {wrong}")
    with torch.inference_mode(False):  # they may be trained later, whoever reads them first
        return {word: tensors[word].float().clone() for word in shapes}


def _brought(tensors: "Tensors") -> str:
    """Return a hint at the layers in a file that lacks an encoder's last blocks."""
    numbers = {int(found[1]) for found in map(BLOCK_NAME.search, tensors) if found}
    last = next(number for number in itertools.count() if number not in numbers)
    return f": it brings layers 0 to {last}, so ask for --layers 0-{last} or some of them" if last else ""


def _refuse_other_digest(known: str | None, found: str, name: str, path: Path) -> None:
    """Raise SertoolError if the weights are not those that the features were made with."""
    if known not in (None, found):
        raise SertoolError(
            f"{path} holds other weights of {name} ({found}) than the features were made with ({known}): "
            "name the file with --weights"
        )
