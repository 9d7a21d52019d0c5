"""Batches hold each clip's rows and nothing else, wherever the rows lie, and scaling undoes what it should."""

import numpy as np
import pytest
import torch

from sertool.errors import SertoolError
from sertool.modelfiles import batches, row_scaling
from sertool.modelfiles.batches import Store
from sertool.modelfiles.modelfile import ModelFile
from sertool.modelfiles.row_scaling import Scaling
from sertool.networks import classical

LENGTHS = (3, 1, 7, 4, 2)


def store(widths: tuple[int, ...] = (2, 3)) -> Store:
    """Five clips of two features in half precision."""
    numbers = np.random.default_rng(0)
    views = [[numbers.normal(size=(n, width)).astype(np.float16) for width in widths] for n in LENGTHS]
    return Store(views, np.array(LENGTHS), sum(widths), torch.device("cpu"), {}, [])


def whole(held: Store, clip: int) -> np.ndarray:
    return np.concatenate(held.views[clip], axis=1).astype(np.float32)


def test_batch_holds_each_clips_rows_padded_with_zeros() -> None:
    held = store()
    rows, lengths = held.take(np.array([2, 1, 4]))
    assert rows.shape == (3, 7, 5)
    assert lengths.tolist() == [7, 1, 2]
    for one, clip, length in zip(rows.numpy(), (2, 1, 4), lengths.tolist(), strict=True):
        np.testing.assert_array_equal(one[:length], whole(held, clip))
        assert not one[length:].any()


def test_device_resident_rows_equal_rows_read_from_shards() -> None:
    mapped, resident = store(), batches._resident(store())
    for clips in ([0], [4, 2, 2], [0, 1, 2, 3, 4]):
        (one, lengths), (other, same) = (held.take(np.array(clips)) for held in (mapped, resident))
        assert torch.equal(one, other)
        assert torch.equal(lengths, same)


def test_each_epoch_puts_every_clip_in_exactly_one_batch() -> None:
    clips, lengths = np.arange(100, 1100), np.random.default_rng(1).integers(1, 500, 1000)
    made = batches.shuffled(clips, lengths, 16, np.random.default_rng(2))
    assert sorted(np.concatenate(made).tolist()) == clips.tolist()
    assert max(map(len, made)) == 16
    spans = [np.ptp(lengths[batch - 100]) for batch in made]
    assert np.mean(spans) < 60  # side by side by length: at random it would be 440
    again = batches.shuffled(clips, lengths, 16, np.random.default_rng(2))
    assert all(np.array_equal(one, other) for one, other in zip(made, again, strict=True))


def test_evaluation_batches_cover_each_clip_once_in_order_of_length() -> None:
    lengths = np.random.default_rng(1).integers(1, 50, 37)
    made = list(batches.in_order(lengths, 8))
    assert sorted(np.concatenate(made).tolist()) == list(range(37))
    assert (np.diff(lengths[np.concatenate(made)]) >= 0).all()


def test_evaluation_batches_separate_clips_of_very_different_lengths() -> None:
    lengths = np.array([5, 900, 3, 100, 70, 129, 2, 1, 300, 128])
    made = [lengths[places].tolist() for places in batches.in_order(lengths, 4)]
    assert made == [[1, 2, 3, 5], [70, 100, 128, 129], [300], [900]]


def test_scaled_rows_have_zero_mean_unit_deviation_and_zero_padding() -> None:
    held = store()
    scaling = row_scaling.of_clips(held, np.arange(5), "corpus")
    rows, lengths = held.take(np.arange(5))
    scaled = scaling.apply(rows, lengths)
    real = torch.cat([one[:n] for one, n in zip(scaled, lengths.tolist(), strict=True)])
    torch.testing.assert_close(real.mean(0), torch.zeros(5), atol=1e-6, rtol=0)
    torch.testing.assert_close(real.std(0, correction=0), torch.ones(5), atol=1e-5, rtol=0)
    assert all(not one[n:].any() for one, n in zip(scaled, lengths.tolist(), strict=True))


def test_each_clip_is_scaled_by_its_own_group() -> None:
    held = store()
    both = Scaling("speaker", torch.tensor([[0.0] * 5, [2.0] * 5]), torch.tensor([[1.0] * 5, [4.0] * 5]))
    rows, lengths = held.take(np.array([4, 0]))
    first, second = both.apply(rows, lengths, torch.tensor([0, 1]))
    assert torch.equal(first, rows[0])
    torch.testing.assert_close(second[:3], (rows[1, :3] - 2) / 4)
    assert {name: tensor.shape for name, tensor in both.tensors().items()} == {
        "scaling.mean": (1, 5), "scaling.deviation": (1, 5)
    }  # fmt: skip


def test_moved_scaling_keeps_unknown_speakers_and_maps_known_ones_to_the_corpus() -> None:
    held = store()
    mean, deviation = torch.tensor([[1.0] * 5, [4.0] * 5]), torch.tensor([[2.0] * 5, [3.0] * 5])
    rows, lengths = held.take(np.array([4, 0]))
    first, second = Scaling("moved", mean, deviation).apply(rows, lengths, torch.tensor([0, 1]))
    torch.testing.assert_close(first, rows[0])
    torch.testing.assert_close(second[:3], (rows[1, :3] - 4) / 3 * 2 + 1)


def test_constant_column_is_scaled_to_zero() -> None:
    held = store()
    for parts in held.views:
        parts[0][:] = 3
    scaling = row_scaling.of_clips(held, np.arange(5), "corpus")
    rows, lengths = held.take(np.array([2]))
    assert not scaling.apply(rows, lengths)[:, :, :2].any()


@pytest.mark.parametrize(("mean", "deviation"), [(1e-7, 1e-8), (0.0, 1e-20), (1.0, 1e-5), (1e3, 0.1), (-1e8, 1e4)])
def test_column_with_tiny_but_real_variation_is_scaled(mean: float, deviation: float) -> None:
    rows = np.random.default_rng(0).normal(mean, deviation, (400, 1)).astype(np.float32)
    held = Store([[rows[:300]], [rows[300:]]], np.array([300, 100]), 1, torch.device("cpu"), {}, [])
    scaled = row_scaling.of_clips(held, [0, 1], "corpus").apply(*held.take(np.array([0])))[0, :300]
    assert float(scaled.std()) == pytest.approx(1, rel=0.2)
    assert abs(float(scaled.mean())) < 0.2
    _, scale = classical.moments(rows)
    assert float(scale[0]) == pytest.approx(deviation, rel=0.2)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e-7, 1e3])
def test_column_that_varies_only_by_rounding_is_not_scaled(value: float) -> None:
    rows = np.float32(value) * (1 + np.random.default_rng(0).choice([-1, 0, 1], (2000, 1)) * np.float32(1e-7))
    held = Store([[rows]] * 3, np.full(3, 2000), 1, torch.device("cpu"), {}, [])
    assert row_scaling.of_clips(held, range(3), "corpus").deviation == 1
    assert classical.moments(rows)[1] == 1


@pytest.mark.parametrize("mode", ["none", "corpus"])
def test_column_selection_and_mapping_compose_into_one_map(mode: str) -> None:
    held, numbers = store(), np.random.default_rng(3)
    scaling = row_scaling.of_clips(held, np.arange(5), mode)
    chosen, offset, matrix = np.eye(5)[:, [4, 0, 2]], numbers.normal(size=3), numbers.normal(size=(3, 2))
    mapped = scaling.then(np.zeros(5), chosen, held.device).then(offset, matrix, held.device)
    rows, lengths = held.take(np.array([2]))
    step = (scaling.apply(rows, lengths)[0].numpy() @ chosen - offset) @ matrix
    np.testing.assert_allclose(mapped.apply(rows, lengths)[0].numpy(), step, atol=1e-5)


def test_unscaled_rows_are_mapped_on_their_own_device() -> None:
    device = torch.device("meta")
    mapped = Scaling().then(np.zeros(5), np.eye(5)[:, :2], device)
    rows = mapped.apply(torch.zeros((1, 7, 5), device=device), torch.tensor([7]))
    assert (rows.device, rows.shape) == (device, (1, 7, 2))


def test_a_model_file_keeps_the_scaling() -> None:
    held = store()
    scaling = row_scaling.of_clips(held, np.arange(5), "corpus").then(np.ones(5), np.eye(5)[:, :2], held.device)
    again = row_scaling.kept(kept("corpus", 2, **scaling.tensors()), torch.device("cpu"))
    rows, lengths = held.take(np.array([0, 3]))
    assert torch.equal(scaling.apply(rows, lengths), again.apply(rows, lengths))
    assert Scaling().tensors() == {}


def kept(mode: str, columns: int, **tensors: np.ndarray) -> ModelFile:
    return ModelFile("cnn", {}, columns, ["neutral", "angry"], {}, tensors, mode)


@pytest.mark.parametrize(
    ("mode", "tensors"),
    [
        ("corpus", {}),
        ("none", {"mean": np.zeros((1, 3)), "deviation": np.ones((1, 3)), "matrix": np.zeros((3, 4))}),
        ("none", {"matrix": np.zeros(3)}),
        ("spoken", {"mean": np.zeros((1, 3)), "deviation": np.ones((1, 3))}),
        ("corpus", {"mean": np.zeros((1, 3))}),
        ("corpus", {"mean": np.zeros((2, 3)), "deviation": np.ones((2, 3))}),
        ("corpus", {"mean": np.zeros((1, 4)), "deviation": np.ones((1, 4))}),
        ("corpus", {"mean": np.zeros((1, 3)), "deviation": np.zeros((1, 3))}),
        ("speaker", {"mean": np.zeros((1, 3)), "deviation": np.ones((1, 3))}),
        ("speaker", {"mean": np.zeros((1, 3)), "deviation": np.ones((1, 3)), "offsets": np.zeros((3, 3))}),
        ("speaker", {"mean": np.full((1, 3), np.nan), "deviation": np.ones((1, 3))}),
        ("corpus", {"mean": np.zeros((1, 3), int), "deviation": np.ones((1, 3))}),
    ],
)
def test_a_scaling_that_does_not_fit_its_model_is_refused(mode: str, tensors: dict) -> None:
    named = {
        f"scaling.{name}": value if value.dtype == int else value.astype(np.float32) for name, value in tensors.items()
    }
    with pytest.raises(SertoolError, match="lacks its own normalisation"):
        row_scaling.kept(kept(mode, 3, **named), torch.device("cpu"))


@pytest.mark.gpu
def test_a_gpu_gives_the_same_batches() -> None:
    held = store()
    there = batches._resident(Store(held.views, held.lengths, 5, torch.device("cuda"), {}, []))
    rows, lengths = there.take(np.array([4, 2]))
    assert rows.is_cuda
    assert lengths.device.type == "cpu"
    assert torch.equal(rows.cpu(), held.take(np.array([4, 2]))[0])
