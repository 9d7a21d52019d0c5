"""Quantise weights: large tensors to 8 bits with one scale per output, the others unchanged.

A weight is `number * scale`, where the scale makes the largest of its output 127: the rounding error is at most half a
scale. Tensors are stored as NAME and NAME@scale, by which `dequantized` recognises them.
"""

from collections.abc import Mapping

import numpy as np

SCALE = "@scale"
SMALLEST = 4096  # least size of a tensor worth quantising


def quantized(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the tensors with large matrices and kernels in 8 bits."""
    made: dict[str, np.ndarray] = {}
    for name, tensor in tensors.items():
        if tensor.dtype == np.float32 and tensor.ndim > 1 and tensor.size >= SMALLEST:
            made[name], made[name + SCALE] = _in_8_bits(tensor)
        else:
            made[name] = tensor
    return made


def _in_8_bits(tensor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quantise `[outputs, ...]` to int8, and return the scale of each output, `[outputs]`."""
    flat = tensor.reshape(len(tensor), -1)
    scale = np.maximum(np.abs(flat).max(axis=1) / 127, np.finfo(np.float32).tiny).astype(np.float32)
    numbers = np.clip(np.rint(flat / scale[:, None]), -127, 127).astype(np.int8)
    return numbers.reshape(tensor.shape), scale


def dequantized(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Dequantise the tensors of `quantized`; tensors without a scale are unchanged."""
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
