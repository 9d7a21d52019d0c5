"""Weights in 8 bits: what is lost, and what is not."""

import numpy as np
import pytest

from sertool.networks import quantization

WEIGHTS = {
    "matrix": np.random.default_rng(0).normal(0, 1, (64, 128)).astype(np.float32) * np.logspace(-4, 2, 64)[:, None],
    "kernel": np.random.default_rng(1).normal(0, 1, (32, 16, 3, 3)).astype(np.float32),
    "bias": np.random.default_rng(2).normal(0, 1, 64).astype(np.float32),
    "places": np.arange(6, dtype=np.int32),
}
WEIGHTS = {name: value.astype(np.float32) if value.dtype == np.float64 else value for name, value in WEIGHTS.items()}


def test_rounding_error_is_at_most_half_a_step_per_output():
    held = quantization.dequantized(quantization.quantized(WEIGHTS))
    assert held.keys() == WEIGHTS.keys()
    for name in ("matrix", "kernel"):
        flat = WEIGHTS[name].reshape(len(WEIGHTS[name]), -1)
        step = np.abs(flat).max(axis=1, keepdims=True) / 127
        assert (np.abs(held[name].reshape(flat.shape) - flat) <= step / 2 * (1 + 1e-5)).all()


def test_small_tensors_and_integers_stay_unchanged():
    held = quantization.dequantized(quantization.quantized(WEIGHTS))
    for name in ("bias", "places"):
        np.testing.assert_array_equal(held[name], WEIGHTS[name])
        assert held[name].dtype == WEIGHTS[name].dtype


def test_large_tensors_take_a_quarter_of_the_bytes():
    made = quantization.quantized({"matrix": WEIGHTS["matrix"]})
    assert sum(value.nbytes for value in made.values()) < WEIGHTS["matrix"].nbytes * 0.3


def test_rounding_again_changes_nothing():
    once = quantization.dequantized(quantization.quantized(WEIGHTS))
    twice = quantization.dequantized(quantization.quantized(once))
    for name in once:
        np.testing.assert_allclose(twice[name], once[name], rtol=1e-6)


def test_all_zero_weights_stay_zero():
    held = quantization.dequantized(quantization.quantized({"w": np.zeros((64, 128), np.float32)}))
    assert not held["w"].any()


@pytest.mark.parametrize("scale", [np.ones(3, np.float32), np.ones(64, np.float64), np.ones((64, 1), np.float32)])
def test_scale_of_the_wrong_shape_or_type_is_refused(scale):
    made = quantization.quantized({"matrix": WEIGHTS["matrix"]}) | {"matrix@scale": scale}
    with pytest.raises(ValueError, match="does not fit"):
        quantization.dequantized(made)
