"""Choose the device and the precision, and check that the installed torch works."""

import ctypes
import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from sertool.errors import SertoolError, UsageError, first_line

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # the numbers of mallopt's options in glibc's malloc.h
USUAL_TRIM_THRESHOLD, USUAL_MMAP_MAX = 128 * 1024, 65_536
PAIRS = 'pip install "torch>=2.11,<2.15" "torchaudio==2.11.*"'


def pick(asked: str) -> str:
    """Return the device: for `auto` the GPU if there is one; raise UsageError for a requested device that is absent."""
    torch = _torch()
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if asked == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there[asked]:
        others = ", ".join(name for name in ("auto", *there) if there.get(name, True))
        raise UsageError(f"--device {asked}: torch {torch.__version__} sees no such device here; choose {others}")
    return asked


@contextmanager
def memory_kept() -> Iterator[None]:
    """Keep freed memory in the process within the context, if the C library is glibc.

    glibc would return every large block to the system, which must clear each page again: a third of an epoch's time.
    Only for a while, since memory fragments if blocks of many sizes come and go.
    """
    mallopt = getattr(ctypes.pythonapi, "mallopt", None)
    if mallopt is None:
        yield
        return
    mallopt(TRIM_THRESHOLD, 2**31 - 1)
    mallopt(MMAP_MAX, 0)
    try:
        yield
    finally:
        mallopt(TRIM_THRESHOLD, USUAL_TRIM_THRESHOLD)
        mallopt(MMAP_MAX, USUAL_MMAP_MAX)


def precision(asked: str, device: str) -> str:
    """Return the precision of a pretrained encoder: for `auto` bf16 if the hardware has it."""
    if asked != "auto":
        return asked
    return "bf16" if _has_bf16(device) else "float32"


def computed(asked: str, device: str) -> str:
    """Return the precision to compute in: one that the hardware lacks would be slower than the next."""
    if asked == "int8" and _has_int8(device):
        return "int8"
    return "bf16" if asked != "float32" and _has_bf16(device) else "float32"


def _has_bf16(device: str) -> bool:
    import torch

    if device == "cpu":
        return _cpu_has("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device == "cuda" and torch.cuda.is_bf16_supported()


def _has_int8(device: str) -> bool:
    return device == "cpu" and _cpu_has("_is_vnni_supported")


def _cpu_has(*kinds: str) -> bool:
    import torch

    return any(getattr(torch.cpu, kind, lambda: False)() for kind in kinds)


def _torch() -> Any:
    """Import torch or raise SertoolError; a mismatched torchaudio would fail later, so it is checked now."""
    try:
        import torch
    except (ImportError, OSError) as error:
        first = first_line(error)
        raise SertoolError(f"torch cannot be loaded ({first}): install it again with {PAIRS}") from None
    _check_pair(torch.__version__, version_of("torchaudio"))
    return torch


def _check_pair(torch_version: str, audio_version: str | None) -> None:
    release = tuple(int(part) for part in torch_version.partition("+")[0].split(".")[:2])
    fits = audio_version is not None and audio_version.startswith("2.11.") and (2, 11) <= release < (2, 15)
    if not fits:
        has = f"torchaudio {audio_version}" if audio_version else "no torchaudio"
        raise SertoolError(f"torch {torch_version} with {has} does not work: {PAIRS}")


@cache
def version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
