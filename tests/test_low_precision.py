"""Products in fewer bits: close, and of each row by itself."""

import pytest
import torch
from torch import nn

from sertool.networks import low_precision
from sertool.system import device


@pytest.fixture
def layer() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(96, 40)


@pytest.mark.parametrize(("kind", "off"), [(low_precision.Bf16, 0.01), (low_precision.Int8, 0.02)])
@torch.inference_mode()
def test_reduced_precision_layer_stays_close_at_any_row_scale(layer, kind, off):
    rows = torch.randn(2, 50, 96) * torch.logspace(-3, 3, 50)[:, None]
    exact = nn.functional.linear(rows, layer.weight)
    found = kind(layer)(rows) - layer.bias
    assert found.dtype == torch.float32
    assert ((found - exact).norm(dim=-1) / (exact.norm(dim=-1) + layer.bias.norm())).max() < off


@torch.inference_mode()
def test_int8_result_of_a_row_is_independent_of_other_rows(layer):
    rows, quick = torch.randn(300, 96), low_precision.Int8(layer)
    together = quick(rows * torch.logspace(-3, 3, 300)[:, None])
    for place in (0, 7, 299):
        assert torch.equal(quick(rows[None, [place]] * torch.logspace(-3, 3, 300)[place])[0, 0], together[place])


@torch.inference_mode()
def test_weights_that_fit_in_8_bits_are_recovered_exactly(layer):
    scale = torch.rand(40, 1)
    numbers = torch.randint(-126, 127, (40, 96)).float()
    numbers[:, 0] = 127.0
    layer.weight.copy_(numbers * scale)
    quick = low_precision.Int8(layer)
    assert torch.equal(quick.numbers.T.float(), numbers)
    assert torch.allclose(quick.scale, scale[:, 0])


@torch.inference_mode()
def test_zero_row_gives_the_bias_and_non_finite_rows_stay_non_finite(layer):
    rows = torch.zeros(3, 96)
    rows[1, 5], rows[2, 5] = torch.nan, torch.inf
    found = low_precision.Int8(layer)(rows)
    assert torch.equal(found[0], layer.bias)
    assert not found[1:].isfinite().any()


def test_attention_output_projection_keeps_full_precision():
    block = nn.Sequential(nn.Linear(8, 8), nn.MultiheadAttention(8, 2), nn.Sequential(nn.Linear(8, 8, bias=False)))
    low_precision.reduce(block, "int8")
    kinds = [type(module) for module in block.modules() if isinstance(module, low_precision.Int8 | nn.Linear)]
    assert kinds.count(low_precision.Int8) == 2
    assert type(block[1].out_proj) is not low_precision.Int8


@pytest.mark.parametrize(
    ("bf16", "int8", "expected"),
    [(True, True, "int8"), (True, False, "bf16"), (False, True, "int8"), (False, False, "float32")],
)
def test_precision_without_hardware_support_falls_back_to_the_next(monkeypatch, bf16, int8, expected):
    monkeypatch.setattr(device, "_has_bf16", lambda _device: bf16)
    monkeypatch.setattr(device, "_has_int8", lambda _device: int8)
    assert device.computed("int8", "cpu") == expected
    assert device.computed("float32", "cpu") == "float32"
    assert device.computed("auto", "cpu") == device.computed("bf16", "cpu") == ("bf16" if bf16 else "float32")
