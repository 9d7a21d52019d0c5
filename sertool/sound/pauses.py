"""Find pauses in speech: where the level is near the noise, or far below the loudest sound."""

import math

import numpy as np

FRAME = 0.02  # seconds
BELOW_LOUDEST = 40.0  # dB: what is softer is a pause, as the package's models cut silent ends
ABOVE_NOISE = 3.0  # dB: noise may be louder than that
BELOW_SPEECH = 25.0  # dB below the loudest sound: where noise is louder still, it cannot be told from speech
NOISE_SHARE = 0.1  # of all frames are no louder than the noise
LONG_SECONDS = 30.0  # nobody speaks as long without a pause
LOUD_SECONDS = 1.0  # the loudest sound is as loud as that much of the audio
MARGIN = 0.1  # seconds before and after a turn that belong to it, for soft beginnings and ends
SHORTEST = 0.2  # seconds of sound: less is a click or a breath
DIGITAL_SILENCE = 1e-10  # power


class Meter:
    """Measures the power of each frame of audio that comes piece by piece, without constant offsets."""

    def __init__(self, rate: int) -> None:
        self.width = max(1, round(FRAME * rate))
        self._rest: np.ndarray | None = None
        self._powers: list[np.ndarray] = []

    def add(self, samples: np.ndarray) -> None:
        """Add `[channels, samples]`."""
        samples = samples if self._rest is None else np.concatenate([self._rest, samples], axis=1)
        frames = samples.shape[1] // self.width
        whole, self._rest = np.split(samples, [frames * self.width], axis=1)
        self._powers.append(whole.reshape(len(whole), frames, self.width).var(axis=2, dtype=np.float64))

    @property
    def powers(self) -> np.ndarray:
        """The power of each whole frame, `[channels, frames]`."""
        return np.concatenate(self._powers, axis=1) if self._powers else np.empty((1, 0))


def turns(powers: np.ndarray, pause: float, silence: float) -> list[tuple[float, float]]:
    """Return where each turn begins and ends, in seconds, from the power of each frame, `[frames]`.

    Turns lie between pauses of at least `pause` seconds; `silence` is the level, in dBFS, below which nothing is sound.
    """
    is_sound = np.flatnonzero(powers > _limit(powers, silence))
    if not is_sound.size:
        return []
    cuts = np.flatnonzero(np.diff(is_sound) * FRAME > pause + FRAME / 2) + 1
    margin = min(MARGIN, pause / 2)
    return [
        (max(0.0, float(part[0]) * FRAME - margin), float(part[-1] + 1) * FRAME + margin)
        for part in np.split(is_sound, cuts)
        if len(part) * FRAME >= SHORTEST
    ]


def _limit(powers: np.ndarray, silence: float) -> float:
    """Return the power above which a frame is sound."""
    least, there = 10 ** (silence / 10), powers[powers > DIGITAL_SILENCE]
    if not there.size:
        return least
    loudest, noise = _loudest_and_noise(there)
    return max(least, loudest * 10 ** (-BELOW_LOUDEST / 10), min(noise, loudest * 10 ** (-BELOW_SPEECH / 10)))


def are_hidden(powers: np.ndarray) -> bool:
    """Whether the noise of long audio is too near its speech for pauses to be told, from `[frames]`."""
    there = powers[powers > DIGITAL_SILENCE]
    if there.size * FRAME < LONG_SECONDS:
        return False
    loudest, noise = _loudest_and_noise(there)
    return noise > loudest * 10 ** (-BELOW_SPEECH / 10)


def _loudest_and_noise(powers: np.ndarray) -> tuple[float, float]:
    """Return the power of the loudest sound, and the power that noise does not exceed."""
    loud = min(math.ceil(LOUD_SECONDS / FRAME), math.ceil(powers.size / 10))
    loudest = float(np.partition(powers, powers.size - loud)[powers.size - loud])
    return loudest, float(np.quantile(powers, NOISE_SHARE)) * 10 ** (ABOVE_NOISE / 10)
