"""Weights in fewer bytes: large ones as 8-bit numbers with a scale for each output, the rest as they are.

A weight is `number * scale`, the scale being such that its output's largest is 127: a rounding error of at most half a
scale. Kept as NAME and NAME@scale; `restored` knows them by that.
"""

from collections.abc import Mapping

import numpy as np

SCALE = "@scale"
SMALLEST = 4096  # numbers in a tensor, below which nothing is gained


def rounded(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors with their large matrices and kernels in 8 bits."""
    made: dict[str, np.ndarray] = {}
    for name, tensor in tensors.items():
        if tensor.dtype == np.float32 and tensor.ndim > 1 and tensor.size >= SMALLEST:
            made[name], made[name + SCALE] = _in_8_bits(tensor)
        else:
            made[name] = tensor
    return made


def _in_8_bits(tensor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`[outputs, ...]` as int8, and the scale of each output, `[outputs]`."""
    flat = tensor.reshape(len(tensor), -1)
    scale = np.maximum(np.abs(flat).max(axis=1) / 127, np.finfo(np.float32).tiny).astype(np.float32)
    numbers = np.clip(np.rint(flat / scale[:, None]), -127, 127).astype(np.int8)
    return numbers.reshape(tensor.shape), scale


def restored(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What `rounded` began with, but for the rounding; tensors without a scale as they are."""
    made = {}
    for name, tensor in tensors.items():
        scale = tensors.get(name + SCALE)
        if scale is not None:
            made[name] = _times(tensor, scale, name)
        elif not name.endswith(SCALE):
            made[name] = tensor
    return made


def _times(numbers: np.ndarray, scale: np.ndarray, name: str) -> np.ndarray:
    if numbers.dtype != np.int8 or numbers.ndim < 2 or scale.dtype != np.float32 or scale.shape != numbers.shape[:1]:
        raise ValueError(f"the scale of {name} does not fit it")
    return numbers * scale.reshape(-1, *[1] * (numbers.ndim - 1))
