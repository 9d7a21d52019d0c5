"""Pretrained weights: where a file of them lies or comes from, and what is read of it. Nothing in it is executed.

Tensors are known by a digest of their own numbers, whatever file they came in: features record it, and who has an
encoder's tensors from elsewhere, such as a model file, gives them to whoever asks for that digest (`hold`).
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

from sertool import files, locks, rounding, shipped, talk, tensorfile, transfer, web
from sertool.errors import SertoolError, UsageError
from sertool.files import listed
from sertool.transfer import Control, Item

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    Tensors = dict[str, Tensor]

Shapes = Mapping[str, tuple[int, ...]]
Arrange = Callable[["Tensors"], "Tensors"]

BROUGHT = "pretrained."  # before the names of an encoder's tensors in a model file that brings it
PIN = ".sha256"
LENGTH = 32  # of a digest, in hexadecimal digits
BLOCK = re.compile(r"^encoder\.(?:transformer\.)?(?:blocks|layers)\.(\d+)\.")
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


def at_hand(published: Published) -> bool:
    """Whether nothing need be fetched for it."""
    return bool(_given) or published.place.is_file()


def give(path: str | Path | None) -> None:
    """Take weights from this file or model of the package, whatever encoder asks (`--weights`); None forgets it."""
    if path is None:
        _given.clear()
        return
    ours = [name for name in shipped.names() if _brings_encoder(shipped.own(name))]
    file = shipped.own(str(path)) if path in ours else Path(path)
    if not file.is_file():
        none = f"no such file, and of the package's models {listed(ours)} alone brings an encoder"
        raise UsageError(f"--weights {path}: {'a folder' if file.is_dir() else none}")
    _given[:] = [file]


def given_file() -> Path | None:
    """The file that weights are taken from, where one was named."""
    return _given[0] if _given else None


@contextmanager
def given(path: str | Path | None) -> Iterator[None]:
    """Within, weights come from there."""
    before = list(_given)
    give(path)
    try:
        yield
    finally:
        _given[:] = before


def chosen(
    published: Published,
    shapes: Shapes,
    known: str | None,
    arrange: Arrange,
    part: Shapes | None = None,
) -> tuple[str, "Tensors"]:
    """Digest and tensors of these shapes: those of the digest `known`, where they are at hand, else a file's.

    `arrange` gives tensors their published names, of which a file may have others. `known` may be the digest of a
    `part` of the tensors.
    """
    part = shapes if part is None else part
    if known in _held and part == shapes:
        return known, _held[known]
    ours = bringer(known, part, arrange) if known else None
    path = shipped.own(ours) if ours else _find(published)
    found = _fitting(arrange(read(path)), shapes, published.name, path)
    _refuse_other(known, _digest(_only(found, part)), published.name, path)
    made = hold(found)
    return made, _held[made]


def bringer(known: str, shapes: Shapes, arrange: Arrange) -> str | None:
    """The model of the package that brings tensors of this digest and these shapes."""
    for name in shipped.names():
        if _brings_encoder(path := shipped.own(name)):
            there = arrange(read(path))
            fits = all(word in there and tuple(there[word].shape) == shape for word, shape in shapes.items())
            if fits and _digest(_only(there, shapes)) == known:
                return name
    return None


def _brings_encoder(path: Path) -> bool:
    return any(name.startswith(BROUGHT) for name in tensorfile.read(path)[1])


def _only(tensors: "Tensors", wanted: Iterable[str]) -> "Tensors":
    return {name: tensors[name] for name in wanted}


def hold(tensors: "Tensors") -> str:
    """Keep tensors for whoever asks for their digest, which is returned."""
    known = _digest(tensors)
    _held.setdefault(known, tensors)
    return known


def _digest(tensors: "Tensors") -> str:
    """What tensors are known by: their names, shapes and values, not the type or file that they are stored in."""
    made = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        made.update(f"{name} {list(tensor.shape)} ".encode())
        made.update(tensor.float().contiguous().numpy().data)
    return made.hexdigest()[:LENGTH]


# The file


def _find(published: Published) -> Path:
    """The file of an encoder's weights: what `--weights` names, or the cache's, or a download."""
    if _given:
        return _given[0]
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
    with locks.alone(place.parent, wait=True):
        if place.is_file():  # another process was quicker
            return
        item = _item(published)
        try:
            with talk.counter(f"fetching {published.name}") as advance:
                transfer.download(item, place, lambda _item, _anew: None, Control(advance=advance))
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
            wrong = f"{word} is not in it{_brought(tensors)}"
        elif tuple(tensor.shape) != shape:
            wrong = f"{word} is {list(tensor.shape)} in it, not {list(shape)}"
        elif not tensor.is_floating_point():
            wrong = f"{word} is whole numbers in it"
        else:
            continue
        raise SertoolError(f"{path} holds no weights of {name}: {wrong}")
    with torch.inference_mode(False):  # they may be trained on, whoever reads them first
        return {word: tensors[word].float().clone() for word in shapes}


def _brought(tensors: "Tensors") -> str:
    """What layers there are, of an encoder that lacks its last blocks."""
    numbers = {int(found[1]) for found in map(BLOCK.search, tensors) if found}
    last = next(number for number in itertools.count() if number not in numbers)
    return f": it brings layers 0 to {last}, so ask for --layers 0-{last} or some of them" if last else ""


def _refuse_other(known: str | None, found: str, name: str, path: Path) -> None:
    """Features that were made with some weights are not to be made with others."""
    if known not in (None, found):
        raise SertoolError(
            f"{path} holds other weights of {name} ({found}) than the features were made with ({known}): "
            "name the file with --weights"
        )
