"""Clips are unfamiliar where their mean is further from the training clips' than a voice is, and chance is no proof."""

import numpy as np
import pytest

from sertool.predict.familiarity import LEAST, UNFAMILIAR, Familiarity

DRAW = np.random.default_rng(0)


def met(clips: np.ndarray) -> Familiarity:
    familiarity = Familiarity()
    for clip in clips:
        familiarity.add([clip])
    return familiarity


@pytest.mark.parametrize("shift", [0.0, 0.4, 1.0])
def test_distance_equals_the_squared_shift_for_any_spread(shift: float) -> None:
    for spread in (0.1, 1.0, 3.0):
        clips = shift * DRAW.choice([-1, 1], 4000) + DRAW.normal(0, spread, (40, 4000))
        assert met(clips).distance() == pytest.approx(shift**2, abs=0.05)


def test_distant_clips_are_unfamiliar_only_from_a_minimum_count_on() -> None:
    far = np.full((LEAST, 50), 2 * UNFAMILIAR**0.5) + DRAW.normal(0, 1, (LEAST, 50))
    assert not met(far[:-1]).lacking()
    assert met(far).lacking()
    assert not met(far - far.mean(axis=0)).lacking()
