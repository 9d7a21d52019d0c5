"""Reference implementations of the features' building blocks: NumPy in float64, one clip at a time, by definition.

Nothing is shared with the fast implementations except the filter banks' formulas, so that an error in one shows.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from sertool.numeric.dsp import FLOOR

MODES: dict[str, Literal["constant", "reflect", "edge"]] = {"zeros": "constant", "reflect": "reflect", "last": "edge"}
FLAT = 1e-6  # of a column's size: one with a smaller deviation counts as constant


def frames(wave: np.ndarray, settings: Any, edges: str | None = None) -> np.ndarray:
    """Return the frames of a clip, `[frames, n_fft]` of `[samples]`; at least one."""
    n_fft, hop = settings.n_fft, settings.hop
    wave = np.asarray(wave, dtype=np.float64)
    if getattr(settings, "center", True):
        mode = MODES[getattr(settings, "edges", "zeros") if edges is None else edges]
        wave = np.pad(wave, n_fft // 2, mode=mode)
    if len(wave) < n_fft:
        wave = np.pad(wave, (0, n_fft - len(wave)))
    return np.stack([wave[start : start + n_fft] for start in range(0, len(wave) - n_fft + 1, hop)])


def window(settings: Any) -> np.ndarray:
    """Return the periodic window, `[n_fft]`, centred in the frame; a window of one sample is 1."""
    length = getattr(settings, "win_length", None) or settings.n_fft
    turn = 2 * np.pi * np.arange(length) / length
    values = {
        "hann": 0.5 - 0.5 * np.cos(turn),
        "hamming": 0.54 - 0.46 * np.cos(turn),
        "blackman": 0.42 - 0.5 * np.cos(turn) + 0.08 * np.cos(2 * turn),
        "ones": np.ones(length),
    }[getattr(settings, "window", "hann") if length > 1 else "ones"]
    left = (settings.n_fft - length) // 2
    return np.pad(values, (left, settings.n_fft - length - left))


def stft(wave: np.ndarray, settings: Any) -> np.ndarray:
    """Return the spectrum of each frame, complex `[frames, bins]`."""
    return np.fft.rfft(frames(wave, settings) * window(settings))


def decibels(power: np.ndarray, top_db: float | None = None) -> np.ndarray:
    """Return 10 log10 of the power, at least `FLOOR` and at least the maximum less `top_db`."""
    rows = 10 * np.log10(np.maximum(power, FLOOR))
    return rows if top_db is None else np.maximum(rows, rows.max() - top_db)


def shares(rows: np.ndarray) -> np.ndarray:
    """Divide each row by its sum; a row of silence stays 0."""
    sums = rows.sum(axis=1, keepdims=True)
    return rows / np.where(sums < np.finfo(np.float32).tiny, 1.0, sums)


def derivative(rows: np.ndarray, order: int, width: int) -> np.ndarray:
    """Return the order-th derivative by frame of a polynomial of that order fitted over `width` frames.

    The result is `[frames, count]`. A clip of fewer frames has the greatest odd width that fits; one of 1 or 2 frames
    has no slope.
    """
    width = min(width, len(rows) - 1 + len(rows) % 2)
    if width < 3:
        return np.zeros_like(rows)
    out = np.empty_like(rows)
    for frame in range(len(rows)):
        first = min(max(frame - width // 2, 0), len(rows) - width)
        slopes = np.polyfit(np.arange(width), rows[first : first + width], order)[0]
        out[frame] = slopes * (2 if order == 2 else 1)
    return out


def chroma(wave: np.ndarray, rate: int, settings: Any, weights: Callable[..., np.ndarray]) -> np.ndarray:
    """Return the power in each pitch class, scaled to a maximum of 1 per frame, `[frames, bins]`.

    `weights` returns the bank.
    """
    bins = getattr(settings, "bins", 12)
    power = np.abs(stft(wave, settings)) ** 2
    tuning = common_tuning(power, rate, settings.n_fft, bins) if settings.tuning is None else settings.tuning
    rows = power @ weights(rate, settings.n_fft, bins, tuning).T
    loudest = rows.max(axis=1, keepdims=True)
    return rows / np.where(loudest < np.finfo(np.float32).tiny, 1.0, loudest)


def common_tuning(power: np.ndarray, rate: int, n_fft: int, bins: int) -> float:
    """Return the commonest tuning of the louder half of the spectral peaks, in fractions of a pitch class."""
    heights, places = [], []
    for row in power:
        for at in range(1, len(row) - 1):
            left, middle, right = row[at - 1 : at + 2]
            in_range = 150 <= at * rate / n_fft < min(4000, rate / 2)
            if in_range and middle > left and middle >= right and middle > 0.1 * row.max():
                slope, bend = (right - left) / 2, left + right - 2 * middle
                shift = -slope / bend if abs(slope) < abs(bend) else 0.0
                heights.append(middle + slope * shift / 2)
                places.append((bins * np.log2((at + shift) * rate / n_fft / 27.5) + 0.5) % 1.0 - 0.5)
    if not heights:
        return 0.0
    louder = [place for place, height in zip(places, heights, strict=True) if height >= np.median(heights)]
    counts = np.bincount([min(int((place + 0.5) * 100), 99) for place in louder], minlength=100)
    return float(counts.argmax() / 100 - 0.5)


# Statistics over time: each maps `[rows, width]` and the frame of each row, `[rows]`, to `[width]`.


def standardised(rows: np.ndarray) -> np.ndarray:
    """Return the values in units of their column's standard deviation, 0 in a constant column."""
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    return (rows - mean) / np.where(deviation > FLAT * np.hypot(mean, deviation), deviation, np.inf)


def slope(rows: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return the slope of the line through each column's values, 0 for a single row."""
    return np.polyfit(time, rows, 1)[0] if len(rows) > 1 else np.zeros(rows.shape[1])


STATISTICS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": lambda rows, _: rows.mean(axis=0),
    "std": lambda rows, _: rows.std(axis=0),
    "min": lambda rows, _: rows.min(axis=0),
    "max": lambda rows, _: rows.max(axis=0),
    "range": lambda rows, _: np.ptp(rows, axis=0),
    "median": lambda rows, _: np.median(rows, axis=0),
    "iqr": lambda rows, _: np.subtract(*np.quantile(rows, [0.75, 0.25], axis=0)),
    "q05": lambda rows, _: np.quantile(rows, 0.05, axis=0),
    "q25": lambda rows, _: np.quantile(rows, 0.25, axis=0),
    "q75": lambda rows, _: np.quantile(rows, 0.75, axis=0),
    "q95": lambda rows, _: np.quantile(rows, 0.95, axis=0),
    "skew": lambda rows, _: (standardised(rows) ** 3).mean(axis=0),
    "kurtosis": lambda rows, _: (standardised(rows) ** 4).mean(axis=0) - 3,
    "slope": slope,
}


def summary(rows: np.ndarray, stats: tuple[str, ...], counted: np.ndarray | None = None) -> np.ndarray:
    """Return statistics `[1, stats x width]` of the counted rows of each column of `[rows, width]`, 0 if none count."""
    made = np.stack([STATISTICS[name](rows, np.arange(len(rows))) for name in stats])
    if counted is not None:
        for column in np.flatnonzero(~counted.all(axis=0)):
            places = np.flatnonzero(counted[:, column])
            values = rows[places, column, None]
            made[:, column] = [STATISTICS[name](values, places)[0] if len(places) else 0.0 for name in stats]
    return made.reshape(1, -1)
