"""Where pauses are found."""

import numpy as np
import pytest

from sertool.sound import pauses

RATE = 8000
SPANS = [(1.0, 2.5), (3.5, 4.1), (5.5, 8.0)]


def call(noise: float = 0.0) -> np.ndarray:
    """Nine seconds `[1, samples]` with bursts of sound in `SPANS`, in noise of this level."""
    rng = np.random.default_rng(0)
    samples = noise * rng.standard_normal(9 * RATE)
    for begin, end in SPANS:
        samples[round(begin * RATE) : round(end * RATE)] += 0.1 * rng.standard_normal(round((end - begin) * RATE))
    return samples[None]


def turns(samples: np.ndarray, pause: float = 0.4, silence: float = -60.0) -> list[tuple[float, float]]:
    meter = pauses.Meter(RATE)
    meter.add(samples)
    return pauses.turns(meter.powers[0], pause, silence)


@pytest.mark.parametrize("noise", [0.0, 1e-4, 3e-3])
@pytest.mark.parametrize("offset", [0.0, 0.2])
def test_turns_are_where_sound_is_louder_than_noise_and_no_offset_counts(noise: float, offset: float) -> None:
    found = turns(call(noise) + offset)
    wanted = [(begin - pauses.MARGIN, end + pauses.MARGIN) for begin, end in SPANS]
    np.testing.assert_allclose(found, wanted, atol=pauses.FRAME + 1e-9)


def test_shorter_pauses_do_not_end_a_turn() -> None:
    assert len(turns(call(), pause=0.9)) == len(SPANS)
    assert len(turns(call(), pause=1.2)) == len(SPANS) - 1
    assert len(turns(call(), pause=2.0)) == 1


def test_noise_as_loud_as_speech_is_one_turn() -> None:
    assert turns(call(0.03)) == [(0.0, pytest.approx(9, abs=0.2))]


@pytest.mark.parametrize(("noise", "times", "are_hidden"), [(0.03, 4, True), (0.03, 1, False), (3e-3, 4, False)])
def test_pauses_are_hidden_by_noise_near_long_speech(noise: float, times: int, are_hidden: bool) -> None:
    meter = pauses.Meter(RATE)
    for _ in range(times):
        meter.add(call(noise))
    assert pauses.are_hidden(meter.powers[0]) == are_hidden


def test_silence_hides_no_pauses() -> None:
    assert not pauses.are_hidden(np.zeros(10_000))


def test_clicks_and_what_is_silent_are_no_turns() -> None:
    samples = call()
    samples[0, RATE // 2 : RATE // 2 + RATE // 10] = 0.1 * np.random.default_rng(1).standard_normal(RATE // 10)
    assert len(turns(samples)) == len(SPANS)
    assert turns(samples, silence=-10.0) == []
    assert turns(np.zeros((1, RATE))) == []


def test_powers_do_not_depend_on_how_samples_come() -> None:
    samples = call(1e-3)
    whole, pieces = pauses.Meter(RATE), pauses.Meter(RATE)
    whole.add(samples)
    for part in np.split(samples, [5, 1000, 1001, 50_000], axis=1):
        pieces.add(part)
    np.testing.assert_array_equal(pieces.powers, whole.powers)
