"""The building blocks of the features' slow twins: NumPy in float64, one clip at a time, straight from the definitions.

Nothing here is shared with the fast way but the filter banks' formulas, so that an error in one shows against the other.
"""

import numpy as np

MODES = {"zeros": "constant", "reflect": "reflect", "last": "edge"}


def frames(wave: np.ndarray, settings: object, edges: str | None = None) -> np.ndarray:
    """`[frames, n_fft]` of `[samples]`; a short clip has one frame."""
    n_fft, hop = settings.n_fft, settings.hop
    wave = np.asarray(wave, dtype=np.float64)
    if getattr(settings, "center", True):
        mode = MODES[edges or getattr(settings, "edges", "zeros")]
        wave = np.pad(wave, n_fft // 2, mode=mode)
    if len(wave) < n_fft:
        wave = np.pad(wave, (0, n_fft - len(wave)))
    return np.stack([wave[start : start + n_fft] for start in range(0, len(wave) - n_fft + 1, hop)])


def window(settings: object) -> np.ndarray:
    """The periodic window, `[n_fft]`, centred in the frame."""
    length = getattr(settings, "win_length", None) or settings.n_fft
    turn = 2 * np.pi * np.arange(length) / length
    values = {
        "hann": 0.5 - 0.5 * np.cos(turn),
        "hamming": 0.54 - 0.46 * np.cos(turn),
        "blackman": 0.42 - 0.5 * np.cos(turn) + 0.08 * np.cos(2 * turn),
        "ones": np.ones(length),
    }[getattr(settings, "window", "hann")]
    left = (settings.n_fft - length) // 2
    return np.pad(values, (left, settings.n_fft - length - left))


def stft(wave: np.ndarray, settings: object) -> np.ndarray:
    """The spectrum of each frame, complex `[frames, bins]`."""
    return np.fft.rfft(frames(wave, settings) * window(settings))
