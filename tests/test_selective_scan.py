"""The selective scan: equal to its definition, whatever the blocks, and small in memory."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sertool.networks import selective_scan as scanning
from sertool.networks.selective_scan import Mamba, scan

Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


@pytest.fixture(autouse=True)
def one_thread():
    """What is this small is slower on several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def loop(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """The slow twin: the definition frame by frame, exponentials and all."""
    state = x.new_zeros(len(x), *a.shape)
    rows = []
    for t in range(x.shape[1]):
        state = torch.exp(dt[:, t, :, None] * a) * state + (dt[:, t] * x[:, t])[..., None] * b[:, t, None]
        rows.append((state * c[:, t, None]).sum(-1))
    return torch.stack(rows, 1) + x * d


def materialised(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """All states of all frames in memory at once, `[clips, frames, channels, states]`."""
    decays = torch.exp(dt[..., None] * a)
    gains = (dt * x)[..., None] * b[:, :, None]
    states = [gains[:, 0]]
    for t in range(1, x.shape[1]):
        states.append(decays[:, t] * states[-1] + gains[:, t])
    return (torch.stack(states, 1) * c[:, :, None]).sum(-1) + x * d


def inputs(clips: int, frames: int, channels: int, states: int, steps: float = -2.0) -> Inputs:
    draw = torch.Generator().manual_seed(frames)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    a = -torch.arange(1.0, states + 1) * (0.3 * normal(channels, states)).exp()
    dt = F.softplus(normal(clips, frames, channels) + steps)
    b, c = normal(clips, frames, states), normal(clips, frames, states)
    return normal(clips, frames, channels), dt, a, b, c, normal(channels)


def gradients(function: Callable[..., Tensor], given: Inputs) -> list[Tensor]:
    leaves = [each.detach().clone().requires_grad_() for each in given]
    y = function(*leaves)
    (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum().backward()
    return [y.detach(), *(leaf.grad for leaf in leaves)]


@pytest.fixture(params=[False, True], ids=["frame by frame", "groups side by side"])
def grouped(request, monkeypatch):
    monkeypatch.setattr(scanning, "side_by_side", lambda x: request.param)


@pytest.mark.parametrize("frames", [1, 2, 15, 16, 17, 64, 65, 172])
@pytest.mark.usefixtures("grouped")
def test_scan_values_and_gradients_match_the_definition(frames):
    given = inputs(3, frames, 24, 8)
    exact = gradients(loop, tuple(each.double() for each in given))
    for mine, twin in zip(gradients(scan, given), exact, strict=True):
        torch.testing.assert_close(mine.double(), twin, atol=1e-4, rtol=1e-4)


@pytest.mark.usefixtures("grouped")
def test_processing_clips_in_chunks_does_not_change_the_scan(monkeypatch):
    given = inputs(5, 40, 24, 8)
    whole = gradients(scan, given)
    for name in ("NUMBERS", "DEVICE_NUMBERS"):
        monkeypatch.setattr(scanning, name, 1)
    for mine, twin in zip(gradients(scan, given), whole, strict=True):
        torch.testing.assert_close(mine, twin)


@pytest.mark.usefixtures("grouped")
@pytest.mark.parametrize("steps", [-40.0, 60.0])
def test_extreme_step_sizes_do_not_overflow(steps):
    """Steps so long that a state is forgotten at once, and so short that it never is."""
    given = inputs(2, 80, 8, 4, steps)
    exact = gradients(loop, tuple(each.double() for each in given))
    for mine, twin in zip(gradients(scan, given), exact, strict=True):
        assert mine.isfinite().all()
        torch.testing.assert_close(mine.double(), twin, atol=1e-4, rtol=1e-4)


def test_autocast_does_not_reduce_the_precision_of_the_states():
    given = inputs(2, 40, 16, 8)
    with torch.autocast("cpu", torch.bfloat16):
        blurred = gradients(scan, given)
    for mine, twin in zip(blurred, gradients(scan, given), strict=True):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine, twin)


def test_fused_kernel_gets_contiguous_float32_inputs_with_frames_last(monkeypatch):
    """mamba-ssm's takes frames last."""

    def kernel(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
        assert all(each.is_contiguous() and each.dtype == torch.float32 for each in (x, dt, a, b, c, d))
        return loop(x.mT, dt.mT, a, b.mT, c.mT, d).mT

    given = inputs(2, 20, 16, 4)
    without = scan(*given)
    monkeypatch.setattr(scanning, "fused_kernel", lambda device: kernel)
    torch.testing.assert_close(scan(*given), without, atol=1e-5, rtol=1e-5)


def test_no_fused_kernel_is_used_on_a_cpu():
    assert scanning.fused_kernel("cpu") is None


def test_mamba_block_is_causal():
    torch.manual_seed(0)
    block = Mamba(16, state=4)
    rows = torch.randn(2, 30, 16)
    other = torch.cat([rows[:, :20], torch.randn(2, 10, 16)], 1)
    torch.testing.assert_close(block(rows)[:, :20], block(other)[:, :20])
    assert not torch.allclose(block(rows)[:, 20:], block(other)[:, 20:])


def test_mamba_block_is_initialised_as_published():
    torch.manual_seed(0)
    block = Mamba(64)
    steps = F.softplus(block.step.bias)
    assert 1e-3 <= steps.min() < 3e-3
    assert 3e-2 < steps.max() <= 1e-1
    torch.testing.assert_close(block.log_decay.exp(), torch.arange(1.0, 17).repeat(128, 1))
    assert block.through.eq(1).all()


def peak(work: Callable[[], object]) -> int:
    """The most bytes that tensors take at any time, beyond what is there before."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        work()
    found = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(found, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


@pytest.mark.parametrize("clips", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_scan_never_holds_the_states_of_all_frames_in_memory(clips):
    given = inputs(clips, 172, 512, 16)
    assert peak(lambda: scan(*given)) < 0.5 * peak(lambda: materialised(*given))
    assert peak(lambda: gradients(scan, given)) < 0.5 * peak(lambda: gradients(materialised, given))
