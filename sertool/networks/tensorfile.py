"""Write safetensors files in a stream, and read them as views of a memory map.

The format is eight bytes of header length, a JSON header, and the tensors' bytes. The format's own library keeps the
header's metadata in a hash map and writes it in varying order; here equal tensors give equal bytes. Input is validated:
nothing in a header makes this allocate, loop or read beyond the file. A file whose metadata has a checksum must match
it, and every file written here has one.
"""

import json
import math
import mmap
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sertool.errors import SertoolError, reason

NAMES = {
    "float16": "F16", "float32": "F32", "float64": "F64", "uint8": "U8",
    "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64", "bool": "BOOL",
}  # fmt: skip
DTYPES = {name: np.dtype(dtype).newbyteorder("<") for dtype, name in NAMES.items()} | {"BF16": np.dtype("<u2")}
TensorPieces = tuple[str, tuple[int, ...], Sequence[np.ndarray]]  # a tensor's type, shape and consecutive pieces
LARGEST_HEADER = 100_000_000
CHECKSUM = "checksum"  # its key in the metadata


def write(stream: BinaryIO, metadata: Mapping[str, Any], tensors: Mapping[str, TensorPieces]) -> None:
    """Write tensors given as consecutive pieces; `metadata` is stored as JSON, with a checksum of everything."""
    recorded = json.loads(json.dumps(metadata))  # as a reader will see it
    pieces_of_all = (piece for dtype, _, pieces in tensors.values() for piece in _bytes(dtype, pieces))
    recorded[CHECKSUM] = _checksum(recorded, pieces_of_all)
    header: dict[str, Any] = {"__metadata__": {"sertool": json.dumps(recorded, sort_keys=True, separators=(",", ":"))}}
    start = 0
    for name, (dtype, shape, _) in tensors.items():
        end = start + math.prod(shape) * np.dtype(dtype).itemsize
        header[name] = {"dtype": NAMES[dtype], "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 64)
    stream.write(len(text).to_bytes(8, "little") + text)
    for dtype, _, pieces in tensors.values():
        for piece in _bytes(dtype, pieces):
            stream.write(piece)


def _bytes(dtype: str, pieces: Iterable[np.ndarray]) -> Iterator[memoryview]:
    for piece in pieces:
        yield np.ascontiguousarray(piece, np.dtype(dtype).newbyteorder("<")).data


def _checksum(metadata: Mapping[str, Any], pieces: Iterable[memoryview]) -> int:
    """Return the CRC-32 of the metadata and of all tensors."""
    recorded = {name: value for name, value in metadata.items() if name != CHECKSUM}
    value = zlib.crc32(json.dumps(recorded, sort_keys=True).encode())
    for piece in pieces:
        value = zlib.crc32(piece, value)
    return value


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return metadata and memory-mapped tensors; raise SertoolError if the file is incomplete or was altered."""
    return _opened(path, summed=True)


def header(path: Path) -> dict[str, Any]:
    """Return the metadata without reading the tensors."""
    return _opened(path, summed=False)[0]


def _opened(path: Path, *, summed: bool) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with open(path, "rb") as stream:
            length = os.fstat(stream.fileno()).st_size
            head = stream.read(8)
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) if length >= 8 else b""
    except OSError as error:
        raise SertoolError(f"cannot read {path}: {reason(error)}") from None
    try:
        return _parse(mapped, int.from_bytes(head, "little"), length, summed=summed)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SertoolError(f"{path}: not a whole tensor file ({error}): make or fetch it again") from None
    except SertoolError as error:
        raise SertoolError(f"{path}: {error}") from None


def _parse(
    mapped: Any, header_length: int, length: int, *, summed: bool
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    if length > 8 and mapped[8:9] != b"{":
        raise SertoolError("no safetensors file")
    if length < 8 or header_length > min(length - 8, LARGEST_HEADER):
        raise ValueError("it is cut off")
    header = _object(bytes(mapped[8 : 8 + header_length]))
    metadata = _object(header.pop("__metadata__", {}).get("sertool", "{}"))
    body = memoryview(mapped)[8 + header_length :]
    tensors = {str(name): _tensor(entry, body) for name, entry in header.items()}
    if sum(tensor.nbytes for tensor in tensors.values()) != len(body):
        raise ValueError("its tensors do not fill it")
    if summed and CHECKSUM in metadata and _checksum(metadata, [body]) != metadata[CHECKSUM]:
        raise SertoolError("it was altered: make or fetch it again")
    return metadata, {name: _valued(tensor, header[name]["dtype"]) for name, tensor in tensors.items()}


def _valued(tensor: np.ndarray, dtype: str) -> np.ndarray:
    """Convert bfloat16, the upper half of a float32, to float32."""
    return np.asarray(tensor.astype("<u4") << 16).view("<f4") if dtype == "BF16" else tensor


def _object(text: str | bytes) -> dict[str, Any]:
    parsed = json.loads(text)
    if not isinstance(parsed, dict):
        raise ValueError("its header is no JSON object")
    return parsed


def _tensor(entry: Mapping[str, Any], body: memoryview) -> np.ndarray:
    if entry["dtype"] not in DTYPES:
        name = repr(entry["dtype"])[:20]
        raise SertoolError(f"it holds {name}, a type of numbers that is not read: save it as F32 or BF16")
    dtype, shape, (start, end) = DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
    numbers = [*shape, start, end]
    if not all(type(number) is int and number >= 0 for number in numbers) or len(shape) > 8:
        raise ValueError("sizes that are none")
    if end > len(body) or end - start != math.prod(shape) * dtype.itemsize:
        raise ValueError("a tensor lies outside it")
    return np.frombuffer(body[start:end], dtype).reshape(shape)
