"""Augmentation changes what lies within a clip, as the numbers fall, and nothing behind it."""

import pytest
import torch
from torch import Tensor

from sertool.train import row_augmentation
from sertool.train.training_settings import Settings

LENGTHS = torch.tensor([40, 25, 1, 33])
EVERYTHING = Settings(
    time_masks=2, time_width=8, column_masks=2, column_width=4, shift=0.3, noise=0.5, gain=1.0,
)  # fmt: skip


def only(**asked: float) -> Settings:
    """Those changes alone, as a training makes them."""
    return Settings(**asked)


def rows() -> Tensor:
    """Positive rows of twelve columns, zero behind each clip."""
    made = torch.rand(4, 40, 12, generator=torch.Generator().manual_seed(0)) + 1
    return made * (torch.arange(40) < LENGTHS[:, None])[..., None]


def rng(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_default_settings_leave_batches_unchanged() -> None:
    assert torch.equal(row_augmentation.changed(rows(), LENGTHS, only(), rng()), rows())


@pytest.mark.parametrize(
    "changes", [EVERYTHING, only(time_masks=3), only(column_masks=1), only(shift=0.9), only(noise=1.0),
                only(gain=3.0)]
)  # fmt: skip
def test_padding_stays_zero_and_changes_are_reproducible_from_the_seed(changes: Settings) -> None:
    made = row_augmentation.changed(rows(), LENGTHS, changes, rng())
    assert all(not one[n:].any() for one, n in zip(made, LENGTHS.tolist(), strict=True))
    assert torch.equal(made, row_augmentation.changed(rows(), LENGTHS, changes, rng()))
    assert not torch.equal(made, row_augmentation.changed(rows(), LENGTHS, changes, rng(2)))


def test_shift_rolls_each_clip_within_its_own_length() -> None:
    made = row_augmentation.changed(rows(), LENGTHS, only(shift=0.5), rng())
    for before, after, length in zip(rows(), made, LENGTHS.tolist(), strict=True):
        rolls = [
            torch.equal(before[:length].roll(by, 0), after[:length]) for by in range(-length // 2, length // 2 + 1)
        ]
        assert any(rolls)


def test_noise_gain_and_shift_are_as_large_as_asked_and_of_either_sign() -> None:
    lengths, many = torch.full((4000,), 10), torch.zeros(4000, 10, 1)
    noise = row_augmentation.changed(many, lengths, only(noise=0.1), rng())
    assert float(noise.mean()) == pytest.approx(0, abs=0.002)
    assert float(noise.std()) == pytest.approx(0.1, rel=0.02)
    gains = row_augmentation.changed(many, lengths, only(gain=3.0), rng())
    assert [float(gains.min()), float(gains.max())] == pytest.approx([-3, 3], abs=0.01)
    frames = torch.arange(10.0).expand(4000, 10)[..., None]
    shifted = row_augmentation.changed(frames, lengths, only(shift=0.3), rng())
    assert {*shifted[:, 0, 0].tolist()} == {0, 1, 2, 8, 9}


def test_time_mask_is_contiguous_and_no_wider_than_requested() -> None:
    made = row_augmentation.changed(rows(), LENGTHS, only(time_masks=1, time_width=6), rng())
    for one, length in zip(made, LENGTHS.tolist(), strict=True):
        covered = (one[:length] == 0).all(dim=1)
        assert int(covered.sum()) <= min(6, length)
        assert int((covered[1:] & ~covered[:-1]).sum()) + int(covered[0]) <= 1
        assert not (one[:length][~covered] == 0).any()


def test_time_masks_can_cover_every_frame_of_a_clip() -> None:
    lengths, many = torch.full((4000,), 10), torch.ones(4000, 10, 1)
    made = row_augmentation.changed(many, lengths, only(time_masks=1, time_width=4), rng())
    share = (made == 0).float().mean(0)[:, 0]
    assert share.min() > 0.05
    assert share.max() < 0.4


def test_shift_share_is_the_fraction_of_shifted_clips() -> None:
    lengths, many = torch.full((4000,), 100), torch.arange(100.0).repeat(4000, 1)[..., None]
    made = row_augmentation.changed(many, lengths, only(shift=0.5, shift_share=0.5), rng())
    moved = float((made != many).flatten(1).any(dim=1).float().mean())
    assert 0.45 < moved < 0.52  # half of them, of which one in fifty moves by less than a frame


def test_mask_share_is_the_fraction_of_masked_clips() -> None:
    lengths, many = torch.full((4000,), 10), torch.ones(4000, 10, 6)
    made = row_augmentation.changed(many, lengths, only(column_masks=1, column_width=5, mask_share=0.5), rng())
    barred = float((made == 0).flatten(1).any(dim=1).float().mean())
    assert 0.36 < barred < 0.47  # half of them, of which one bar in six has no width


def test_column_masks_cover_both_channels_of_a_spectrogram_alike() -> None:
    changes = only(column_masks=2, column_width=3)
    made = row_augmentation.changed(torch.ones(4, 10, 16), torch.full((4,), 10), changes, rng(), 2)
    assert torch.equal(made[:, :, :8], made[:, :, 8:])
    assert float(made.mean()) < 1


def test_mixup_is_a_weighted_mean_with_the_longer_clips_length() -> None:
    partner = torch.tensor([1, 0, 3, 2])
    made, lengths = row_augmentation.Mixup(0.3, partner).of_frames(rows(), LENGTHS)
    torch.testing.assert_close(made, 0.3 * rows() + 0.7 * rows()[partner])
    assert lengths.tolist() == [40, 40, 33, 33]
