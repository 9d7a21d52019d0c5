"""Pitch classes of power spectra, and a clip's tuning: shared by chroma and tonnetz."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from sertool.numeric import dsp
from sertool.numeric.dsp import Frames

TUNING_RANGE = 150.0, 4000.0  # Hz between which peaks are used to estimate the tuning
FAINTEST = 0.1  # relative to a frame's greatest power: weaker peaks are not used
TUNINGS = np.linspace(-0.5, 0.5, 101)  # in fractions of a pitch class


class Chroma(nn.Module):
    """Power spectra to pitch classes, scaled to a maximum of 1 per frame; the tuning is estimated unless given.

    The tuning is one of 100 values, so their banks are cached, and a clip costs one product with one of them. It is
    known only after the last frame, so `survey` keeps only the peaks of each frame.
    """

    def __init__(self, rate: int, n_fft: int, bins: int, tuning: float | None) -> None:
        super().__init__()
        dsp.require(bins >= 1, f"bins {bins}: at least 1 pitch class is needed")
        self.rate, self.n_fft, self.bins, self.tuning = rate, n_fft, bins, tuning
        frequencies = dsp.bin_frequencies(rate, n_fft)[:-1]  # without the last, as a peak needs neighbours
        self.low = int(np.searchsorted(frequencies, TUNING_RANGE[0]))
        self.high = max(int(np.searchsorted(frequencies, min(TUNING_RANGE[1], rate / 2))), self.low)

    def survey(self, frames: Frames) -> Tensor:
        """Return power and frequency of each spectral peak of a run of frames, `[peaks, 2]`, on the CPU."""
        if self.tuning is not None:
            return torch.empty(0, 2)
        width = self.rate / self.n_fft
        return frames.cached(("peaks", width), lambda: peaks(frames.power, self.low, self.high, width))

    def settle(self, surveyed: Tensor) -> Tensor:
        """Return the bank for the clip's tuning."""
        tuning = common_tuning(surveyed.numpy(), self.bins) if self.tuning is None else self.tuning
        return _bank(self.rate, self.n_fft, self.bins, tuning)

    def forward(self, frames: Frames, bank: Tensor) -> Tensor:
        rows = (frames.power @ bank.to(frames.power.device))[:, : self.bins]
        return rows / dsp.divisor(rows.amax(1, keepdim=True))


def peaks(power: Tensor, low: int, high: int, width: float) -> Tensor:
    """Return power and frequency of local maxima of `[frames, bins]` in bins low to high - 1, `[peaks, 2]`.

    A parabola through a bin and its neighbours locates a peak between bins. Rounding here may change a whole clip's
    bank, so the precision is librosa's at each step: float32 except for the curvature and the sum.
    """
    faintest = power.amax(1, keepdim=True).mul_(FAINTEST).cpu().numpy()
    levels = power.cpu().numpy()  # NumPy compares 5 times as fast as Torch
    loud = np.flatnonzero(levels[:, low:high] > faintest)
    frame = loud // max(high - low, 1)
    bins = loud - frame * (high - low) + low
    triples = levels.reshape(-1).take(frame * levels.shape[1] + bins + np.array([[-1], [0], [1]]))
    top = np.flatnonzero((triples[1] > triples[0]) & (triples[1] >= triples[2]))
    bins, (left, middle, right) = bins.take(top), triples.take(top, axis=1)
    slope = (right - left) * np.float32(0.5)
    bend = (left + right).astype(np.float64) - 2.0 * middle
    shift = np.divide(-slope, bend, out=np.zeros_like(bend), where=np.abs(slope) < np.abs(bend)).astype(np.float32)
    summits = np.empty((len(top), 2), np.float32)
    summits[:, 0], summits[:, 1] = middle + np.float32(0.5) * slope * shift, (bins + shift) * width
    return torch.from_numpy(summits)


def common_tuning(summits: np.ndarray, bins: int) -> float:
    """Return the commonest tuning of the louder half of `[peaks, 2]`, in fractions of a class from A = 440 Hz."""
    if not len(summits):
        return 0.0
    heights, frequencies = summits.T
    ordered = np.sort(heights)
    median = (ordered[(len(summits) - 1) // 2] + ordered[len(summits) // 2]) / np.float32(2)
    parts = np.float32(bins) * np.log2(frequencies[heights >= median] / np.float32(440 / 16))
    parts -= np.floor(parts)
    parts[parts >= 0.5] -= 1.0
    counts = np.diff(np.sort(parts).searchsorted(TUNINGS))
    return float(TUNINGS[counts.argmax()])


@lru_cache(maxsize=256)
def _bank(rate: int, n_fft: int, bins: int, tuning: float) -> Tensor:
    """Return the bank `[spectral bins, pitch classes]`, zero-padded to a multiple of 16 columns for speed."""
    columns = weights(rate, n_fft, bins, tuning).T.astype(np.float32)
    return torch.from_numpy(np.pad(columns, ((0, 0), (0, -bins % 16))))


def weights(rate: int, n_fft: int, bins: int, tuning: float) -> np.ndarray:
    """Return the weight of each bin for each pitch class, `[pitch classes, spectral bins]`, C first.

    Each class has a Gaussian as wide as a spectral bin, but at least as a class; the squares of a bin's weights sum to
    one, times the weight of its octave: one at 880 Hz, e^-1/2 two octaves away.
    """
    places = bins * np.log2(np.arange(1, n_fft // 2 + 2) * (16 / 440 * rate / n_fft)) - tuning
    places = np.concatenate([[places[0] - 1.5 * bins], places])  # 0 Hz: half an octave of classes off bin 1, and broad
    widths, places = np.maximum(np.diff(places), 1.0), places[:-1]
    turns = (places - np.arange(bins)[:, None]) / bins
    bumps = np.exp(-2 * (bins * (turns - np.round(turns)) / widths) ** 2)
    bumps *= np.exp(-0.5 * ((places / bins - 5.0) / 2.0) ** 2) / np.sqrt((bumps**2).sum(axis=0))
    return np.roll(bumps, -3 * (bins // 12), axis=0)
