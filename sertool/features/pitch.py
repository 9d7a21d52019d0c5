"""Pitch: f0 in Hz (0 where unvoiced), whether and how surely voiced."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated

import numpy as np
import torch
from torch import Tensor, nn

from sertool.errors import UsageError
from sertool.numeric import dsp, pyin, reference

DTYPE = "float32"
COUNTED_WHERE = {0: 1}  # statistics and normalisation of f0 use voiced frames only


# The range covers speaking and shouting voices, including children's; the rest is as in librosa's `pyin`.
@dataclass(frozen=True)
class Settings:
    fmin: Annotated[float, "lowest pitch in Hz", 10] = 65.0
    fmax: Annotated[float, "highest pitch in Hz", 10] = 600.0
    frame_length: Annotated[int, "samples in a frame: two periods of the lowest pitch or more", 64, 65_536] = 2048
    hop: Annotated[int, "samples from one frame to the next", 1] = 512
    center: Annotated[bool, "centre frames on their time, with zeros beyond the ends"] = True
    n_thresholds: Annotated[int, "thresholds that a period's difference is held against", 1, 1000] = 100
    beta_a: Annotated[int, "first parameter of the thresholds' beta distribution", 1, 100] = 2
    beta_b: Annotated[int, "second parameter; the mean threshold is a / (a + b)", 1, 100] = 18
    boltzmann_parameter: Annotated[float, "how much the shorter of several periods is preferred", 0.01, 100] = 2.0
    resolution: Annotated[float, "semitones from one pitch to the next", 0.01, 1] = 0.1
    max_transition_rate: Annotated[float, "octaves a second that pitch may move", 0.1, 1000] = 35.92
    switch_prob: Annotated[float, "probability that voicing begins or ends from one frame to the next", 0, 1] = 0.01
    no_trough_prob: Annotated[float, "part of the mass for the best period where none is below a threshold", 0, 1] = (
        0.01
    )


class Feature(nn.Module):
    """Pitch in Hz (0 where unvoiced), voiced (0 or 1), and the probability of being voiced in a frame alone.

    The statistics of pitch are of voiced frames. The path through a clip is a chain of small steps, so the work is done
    on the CPU, wherever the waveform is.
    """

    def __init__(self, settings: Settings, rate: int) -> None:
        super().__init__()
        _check(settings, rate)
        self.framing = None
        self.columns = ["f0", "voiced", "voicing"]
        self.cutting = _framing(settings)
        steps = math.ceil(1 / settings.resolution)
        self.grid = pyin.Grid(rate, settings.fmin, settings.fmax, steps)
        self.prior = pyin.Prior(
            settings.n_thresholds,
            (settings.beta_a, settings.beta_b),
            settings.boltzmann_parameter,
            settings.no_trough_prob,
        )
        reach = round(settings.max_transition_rate * 12 * settings.hop / rate) * steps // 2
        self.lattice = pyin.Lattice(self.grid.bins, reach, settings.switch_prob)
        self.frequencies = self.grid.frequencies()

    def clips(self, waves: list[Tensor]) -> list[Tensor]:
        """Return `[frames, 3]` of each `[samples]`."""
        return [self._rows(wave).to(wave.device) for wave in waves]

    def _rows(self, wave: Tensor) -> Tensor:
        count = self.cutting.count(len(wave))
        candidates = pyin.find_candidates(
            lambda first, last: self.cutting.cut(wave, first, last).cpu(), count, self.grid, self.prior
        )
        states = self.lattice.path(candidates)
        voiced = states < self.grid.bins
        pitch = np.where(voiced, self.frequencies[states % self.grid.bins], 0.0)
        return torch.from_numpy(np.stack([pitch, voiced, candidates.voiced_probability], axis=1)).float()


def _framing(settings: Settings) -> dsp.Framing:
    return dsp.Framing(n_fft=settings.frame_length, hop=settings.hop, center=settings.center)


def _check(settings: Settings, rate: int) -> None:
    """Raise UsageError for settings that cannot be computed."""
    if settings.fmin >= settings.fmax:
        raise UsageError(f"pitch: fmin must be below fmax, not {settings.fmin:g} and {settings.fmax:g}")
    if settings.fmax > rate / 2:
        raise UsageError(f"pitch: fmax {settings.fmax:g} is above half of {rate} Hz: use {rate / 2:g} or less")
    if rate / settings.fmin >= settings.frame_length - 1:
        raise UsageError(
            f"pitch: a period of fmin {settings.fmin:g} is longer than a frame of {settings.frame_length} samples: "
            f"use a frame_length of {2 * math.ceil(rate / settings.fmin)}"
        )
    if settings.switch_prob == 1:
        raise UsageError("pitch: switch_prob must be below 1")


# The reference implementation. Like librosa given float32 samples, it rounds differences and probabilities to float32:
# whether two values are equal and whether probabilities add up to 1 decides much, and must not depend on the last bit
# of a float64.


def definition(wave: np.ndarray, rate: int, settings: Settings) -> np.ndarray:
    """Compute reference values in float64, `[frames, 3]` of `[samples]`."""
    steps = math.ceil(1 / settings.resolution)  # per semitone
    bins = math.floor(12 * steps * np.log2(settings.fmax / settings.fmin)) + 1
    frequencies = settings.fmin * 2 ** (np.arange(bins) / (12 * steps))
    masses = _masses(settings)
    probabilities, voicing = [], []
    for frame in reference.frames(wave, _framing(settings)):
        row = np.zeros(bins)
        for period, probability in _periods(_difference(frame, rate, settings), masses, rate, settings):
            place = max(0, round(12 * steps * np.log2(rate / period / settings.fmin)))
            if probability > 0 and place < bins:
                row[place] = probability  # replaces a shorter period's, if there was one
        voicing.append(min(1.0, np.cumsum(row[::-1])[-1]))
        probabilities.append(np.concatenate([row, np.full(bins, (1 - voicing[-1]) / bins)]))
    states = _likeliest(np.array(probabilities), _transitions(bins, steps, rate, settings))
    voiced = states < bins
    return np.stack([np.where(voiced, frequencies[states % bins], 0.0), voiced, voicing], axis=1)


def _masses(settings: Settings) -> np.ndarray:
    """Return the beta distribution's probability between thresholds, by the binomial sum for integer parameters."""
    throws = settings.beta_a + settings.beta_b - 1
    below = []
    for threshold in (Fraction(k, settings.n_thresholds) for k in range(settings.n_thresholds + 1)):
        terms = (
            math.comb(throws, heads) * threshold**heads * (1 - threshold) ** (throws - heads)
            for heads in range(settings.beta_a, throws + 1)
        )
        below.append(float(sum(terms)))
    return np.diff(below)


def _difference(frame: np.ndarray, rate: int, settings: Settings) -> np.ndarray:
    """Return each lag's squared difference over the mean of those up to it, from the shortest period up."""
    shortest, longest = math.floor(rate / settings.fmax), math.ceil(rate / settings.fmin)
    extended = np.pad(frame, (0, longest))
    lags = np.arange(1, longest + 1)
    squares = np.array([np.sum((frame - extended[lag : lag + len(frame)]) ** 2) for lag in lags])
    mean = np.cumsum(squares) / lags
    return np.divide(squares, mean, out=np.zeros(longest), where=mean > 0)[shortest - 1 :].astype(np.float32)


def _periods(row: np.ndarray, masses: np.ndarray, rate: int, settings: Settings) -> Iterator[tuple[float, float]]:
    """Yield (period in samples, probability) of each trough of a frame's differences."""
    row, end = row.astype(np.float64), len(row) - 1
    falling = [True, *(row[1:] < row[:-1])]
    rising = [row[0] < row[1], *(row[1:-1] <= row[2:]), True]
    troughs = [i for i in range(len(row)) if falling[i] and rising[i]]
    chances = dict.fromkeys(troughs, 0.0)
    decay = math.exp(-settings.boltzmann_parameter)
    for threshold, mass in zip(np.linspace(0, 1, len(masses) + 1)[1:], masses, strict=True):
        below = [i for i in troughs if row[i] < threshold]
        for rank, i in enumerate(below):
            chances[i] += mass * decay**rank * (1 - decay) / (1 - decay ** len(below))
        if troughs and not below:
            chances[min(troughs, key=lambda i: row[i])] += mass * settings.no_trough_prob
    for i, chance in chances.items():
        shift = 0.0
        if 0 < i < end:
            slope, curve = (row[i + 1] - row[i - 1]) / 2, row[i - 1] + row[i + 1] - 2 * row[i]
            shift = -slope / curve if abs(slope) < abs(curve) else 0.0
        yield math.floor(rate / settings.fmax) + i + shift, float(np.float32(chance))


def _transitions(bins: int, steps: int, rate: int, settings: Settings) -> np.ndarray:
    """Return the transition probabilities between states, `[2 bins, 2 bins]`."""
    reach = round(settings.max_transition_rate * 12 * settings.hop / rate) * steps // 2
    near = np.maximum(0, reach + 1 - np.abs(np.subtract.outer(np.arange(bins), np.arange(bins))))
    stay, switch = 1 - settings.switch_prob, settings.switch_prob
    return np.kron([[stay, switch], [switch, stay]], near / near.sum(axis=1, keepdims=True))


def _likeliest(probabilities: np.ndarray, transitions: np.ndarray) -> np.ndarray:
    """Return Viterbi's path through `[frames, states]`; impossible events have the least positive probability.

    Among origins that are equal but for rounding, which is not rare, the first is taken.
    """
    smallest = np.finfo(np.float64).tiny
    probabilities, transitions = np.log(probabilities + smallest), np.log(transitions + smallest)
    score, origins = probabilities[0], []
    for row in probabilities[1:]:
        arriving = score[:, None] + transitions
        best = arriving.max(axis=0)
        origins.append((arriving > best - 1e-9).argmax(axis=0))
        score = best + row
    states = [score.argmax()]
    for origin in reversed(origins):
        states.append(origin[states[-1]])
    return np.array(states[::-1])
