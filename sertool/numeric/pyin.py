"""Probabilistic YIN: the pitch candidates of a clip's frames, and the likeliest path through them.

The method is Mauch and Dixon's (ICASSP 2014) with the conventions of librosa's `pyin`, whose states this reproduces. A
frame's difference function has troughs at the lags at which the frame repeats itself. How deep a trough must be is
uncertain, so a prior over thresholds shares out probability among the troughs, and the observation is the pitches of
these troughs. A hidden Markov model with a voiced and an unvoiced state for each pitch bin then finds the path: pitch
moves to near bins, and voicing seldom switches.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from torch import Tensor

RUN = 24  # frames transformed at once: in float64 they and their spectra stay in a core's cache
PART = 10 * RUN  # frames whose troughs are processed at once
BLOCK_FRAMES = 2048  # frames of a lattice held at once: 17 MB with 385 bins
SMALLEST = np.finfo(np.float64).tiny  # added to probabilities before the logarithm, as in librosa

# Log-probabilities are whole multiples of 2^-19. Sums of integers are exact, so that neither the machine nor where a
# long clip is cut can change the path, and a lattice of int32 takes less than half the time of one of float64. The
# error of 1e-6 is far below the differences between paths. The range suffices: `Lattice` sets the best score of a frame
# to 0, so that a state's is at least 2 log SMALLEST = -1417, and no sum comes near -2^31 / 2^19 = -4096.
UNIT = 2.0**-19
BEYOND = round(-1600 / UNIT)  # the score outside the grid: below that of every state


def log_units(probability: np.ndarray | float) -> np.ndarray:
    """Return the logarithm in multiples of UNIT."""
    return np.rint(np.log(np.asarray(probability) + SMALLEST) / UNIT).astype(np.int32)


IMPOSSIBLE = int(log_units(0.0))


@dataclass(frozen=True)
class Grid:
    """The pitch bins, `steps` to a semitone from `fmin` up to `fmax`, and the range of their periods in samples."""

    rate: int
    fmin: float
    fmax: float
    steps: int

    @property
    def shortest(self) -> int:
        return math.floor(self.rate / self.fmax)

    @property
    def longest(self) -> int:
        return math.ceil(self.rate / self.fmin)

    @property
    def bins(self) -> int:
        return math.floor(12 * self.steps * np.log2(self.fmax / self.fmin)) + 1

    def frequencies(self) -> np.ndarray:
        """Return the frequency of each bin in Hz, `[bins]`."""
        return self.fmin * 2 ** (np.arange(self.bins) / (12 * self.steps))

    def nearest(self, period: np.ndarray) -> np.ndarray:
        """Return the bin of each period, clipped to 0 below `fmin`; above `fmax` it is `bins`."""
        steps = 12 * self.steps * np.log2(self.rate / period / self.fmin)
        return np.clip(np.rint(steps), 0, self.bins).astype(np.int64)


class Prior:
    """The distribution of probability among the troughs of a frame.

    A threshold has the mass of its step under the beta distribution. Of the N troughs below it, the r-th (from 0, in
    order of period) gets the share e^-br (1 - e^-b) / (1 - e^-bN). If there are none, the frame's lowest trough gets
    the part `fallback` of the mass.
    """

    def __init__(self, thresholds: int, beta: tuple[int, int], boltzmann: float, fallback: float) -> None:
        steps = np.linspace(0, 1, thresholds + 1)
        # With integers a, b the beta distribution is the probability of at least a heads in a + b - 1 coin tosses.
        throws = sum(beta) - 1
        fewer = sum(math.comb(throws, k) * steps**k * (1 - steps) ** (throws - k) for k in range(beta[0]))
        mass = np.diff(1 - fewer)
        used = 1 + np.flatnonzero(mass)[-1]  # the mass of the highest thresholds is 0 in float64
        self.thresholds, self.mass = steps[1 : 1 + used], mass[:used]
        self.boltzmann = boltzmann
        self.fallback = fallback * np.concatenate([[0.0], np.cumsum(self.mass)])

    def probabilities(self, frame: np.ndarray, height: np.ndarray, lowest: np.ndarray) -> np.ndarray:
        """Return the probability of each trough, `[troughs]`.

        Of each trough are given its `frame` (ascending), its `height`, and whether it is the `lowest` of its frame. All
        troughs and thresholds are computed at once: the cumulative count of troughs below a threshold, less the count
        at the frame's start, is a trough's rank within its frame.
        """
        level = np.searchsorted(self.thresholds, height, side="right")  # the first threshold above the trough
        below = level[:, None] <= np.arange(len(self.mass))
        below_so_far = np.cumsum(below, axis=0, dtype=np.int32)
        first = np.flatnonzero(np.diff(frame, prepend=-1))
        size = np.diff(first, append=len(frame))
        owner = np.repeat(np.arange(len(first)), size)
        before = below_so_far[first] - below[first]
        among = below_so_far[first + size - 1] - before
        rank = below_so_far - 1 - before[owner]

        decay = np.exp(-self.boltzmann * np.arange(among.max(initial=0) + 1))
        share = np.divide(1 - np.exp(-self.boltzmann), 1 - decay, out=np.zeros_like(decay), where=decay < 1)
        shares = below * decay[rank] * (self.mass * share[among])[owner]
        return shares.sum(axis=1) + np.where(lowest, self.fallback[level], 0.0)


@dataclass(frozen=True)
class Candidates:
    """The pitch candidates of a clip, in order of frame, and each frame's probability of being voiced."""

    frame: np.ndarray  # [candidates]
    bin: np.ndarray  # [candidates]
    probability: np.ndarray  # [candidates]
    voiced_probability: np.ndarray  # [frames]


def find_candidates(frames: Callable[[int, int], Tensor], count: int, grid: Grid, prior: Prior) -> Candidates:
    """Return the candidates of `count` frames, processing part of the clip at a time as it may last hours.

    `frames(first, last)` returns frames first to last - 1, `[frames, samples]`.
    """
    starts = range(0, count, PART)
    cuts = (frames(start, min(start + PART, count)) for start in starts)
    parts = [candidates(differences(cut, grid), grid, prior) for cut in cuts]
    return Candidates(
        np.concatenate([part.frame + start for part, start in zip(parts, starts, strict=True)]),
        np.concatenate([part.bin for part in parts]),
        np.concatenate([part.probability for part in parts]),
        np.concatenate([part.voiced_probability for part in parts]),
    )


def differences(frames: Tensor, grid: Grid) -> np.ndarray:
    """Return YIN's cumulative mean normalised difference, float32 `[frames, longest - shortest + 1]`.

    The difference d(k) = sum over n of (x(n) - x(n + k))^2, with zeros after the frame, is twice the frame's energy
    less twice its autocorrelation less the energy of its first k samples. The autocorrelation comes from a Fourier
    transform long enough that nothing wraps around. The terms cancel where the frame is periodic or slow, hence
    float64: with zeros after N samples no difference is below about (pi / 2N)^2 of the energy, so rounding never
    reaches it, and only a silent frame has a mean of 0. The quotient is rounded to float32, so that values which differ
    only by rounding are equal and form no trough.
    """
    length = _easy_length(frames.shape[1] + grid.longest)
    lags = torch.arange(1, grid.longest + 1, dtype=torch.float64)
    quotients = torch.empty(len(frames), grid.longest - grid.shortest + 1)
    for start in range(0, len(frames), RUN):
        run = frames[start : start + RUN].double()
        spectrum = torch.fft.rfft(run, length)
        products = torch.fft.irfft(spectrum * spectrum.conj(), length)[:, : grid.longest + 1]
        head = run[:, : grid.longest].square().cumsum(1)
        difference = 2 * (products[:, :1] - products[:, 1:]) - head
        mean = difference.cumsum(1).div_(lags).add_(SMALLEST)
        quotients[start : start + RUN] = (difference / mean)[:, grid.shortest - 1 :]
    return quotients.numpy()


def _easy_length(least: int) -> int:
    """Return the next even length that is a product of 2, 3 and 5: others take up to 5 times as long to transform."""
    return next(length for length in count(least + least % 2, 2) if 30**40 % length == 0)


def candidates(values: np.ndarray, grid: Grid, prior: Prior) -> Candidates:
    """Return the pitch candidates of the troughs of `differences`."""
    frame, lag, lowest = _troughs(values, prior.thresholds[-1])
    probability = prior.probabilities(frame, values[frame, lag].astype(np.float64), lowest)
    # Rounded as in librosa for float32 samples: whether the unvoiced remainder of 1 is 0 or 6e-8 changes paths.
    probability = probability.astype(np.float32).astype(np.float64)

    pitch = grid.nearest(grid.shortest + lag + _shift(values, frame, lag))
    possible = probability > 0
    frame, pitch, probability = frame[possible], pitch[possible], probability[possible]
    # Of several candidates in one bin, which are neighbours, keep the longest period.
    last = (np.diff(frame, append=-1) != 0) | (np.diff(pitch, append=-1) != 0)
    is_best = last & (pitch < grid.bins)
    frame, pitch, probability = frame[is_best], pitch[is_best], probability[is_best]
    voicing = np.bincount(frame, probability, minlength=len(values)).clip(max=1.0)
    return Candidates(frame, pitch, probability, voicing)


def _troughs(values: np.ndarray, highest: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (frame, lag, whether it is the lowest of its frame) of each trough below the highest threshold.

    The lowest trough of a frame is returned, whatever its height. A trough is lower than the value before it and no
    higher than the one after it; at the ends, lower than its neighbour.
    """
    trough = np.empty(values.shape, dtype=bool)
    trough[:, 0] = values[:, 0] < values[:, 1]
    trough[:, 1:] = values[:, 1:] < values[:, :-1]
    trough[:, 1:-1] &= values[:, 1:-1] <= values[:, 2:]
    rows, lowest = np.arange(len(values)), np.where(trough, values, np.inf).argmin(axis=1)
    counts = trough & (values < highest)
    counts[rows, lowest] = trough[rows, lowest]
    frame, lag = np.nonzero(counts)
    return frame, lag, lag == lowest[frame]


def _shift(values: np.ndarray, frame: np.ndarray, lag: np.ndarray) -> np.ndarray:
    """Return the offset of the vertex of a parabola through a value and its neighbours, 0 if not less than one lag."""
    middle = lag.clip(1, values.shape[1] - 2)
    left, centre, right = (values[frame, middle + step].astype(np.float64) for step in (-1, 0, 1))
    curve, slope = left + right - 2 * centre, (right - left) / 2
    near = (middle == lag) & (np.abs(slope) < np.abs(curve))
    return np.divide(-slope, curve, out=np.zeros_like(curve), where=near)


class Lattice:
    """The states from frame to frame, voiced and unvoiced for each bin, and the likeliest path through them.

    From bin i pitch moves to bin j with probability (reach + 1 - |i - j|) / norm(i); independently, voicing switches
    with probability `switch`. Of librosa's [2 bins, 2 bins] transitions all but a band are impossible, and the band is
    the same for every i except for norm(i) near the ends. So a step is: subtract norm, take the better of the two
    states of each bin, then for each bin the best within reach, a maximum over shifted copies. If every transition into
    a state is impossible, the path comes from the best state of all.

    No back-pointers are kept: only one path is traced back, which recomputes them from the scores.
    """

    def __init__(self, bins: int, reach: int, switch: float) -> None:
        self.bins, self.reach = bins, min(reach, bins - 1)
        triangle = reach + 1.0 - np.abs(np.arange(-self.reach, self.reach + 1))
        norm = np.convolve(np.ones(bins), triangle)[self.reach : self.reach + bins]
        self.near = log_units((1 - switch) * triangle / triangle.sum())
        self.norm = log_units(norm / triangle.sum())
        self.switch = int(log_units(switch) - log_units(1 - switch))

    def path(self, candidates: Candidates) -> np.ndarray:
        """Return the state of each frame, `[frames]`: its bin if voiced, its bin + `bins` if not.

        Blocks are scored in turn, keeping only the scores at their ends; tracing back, each is scored again.
        """
        frames = len(candidates.voiced_probability)
        starts = range(0, frames, BLOCK_FRAMES)
        entries: list[np.ndarray | None] = [None]
        for start in starts:
            scores, entering = self._scored(candidates, start, entries[-1])
            entries.append(scores[-1].copy())
        state, states = int(scores[-1].argmax()), np.empty(frames, dtype=np.int64)
        for start, entry in zip(reversed(starts), reversed(entries[:-1]), strict=True):
            if start != starts[-1]:
                scores, entering = self._scored(candidates, start, entry)
            for row in range(len(scores) - 1, 0, -1):
                states[start + row - 1] = state
                state = self._before(scores[row - 1], entering[row], state)
        return states

    def _scored(self, candidates: Candidates, start: int, entry: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return each state's score after each frame, and the scores with which states enter the next frame.

        The former are `[1 + frames, 2, bins]`, the first being `entry`; the latter `[1 + frames, 2, reach + bins +
        reach]`.
        """
        scores = self._own_scores(candidates, start, min(start + BLOCK_FRAMES, len(candidates.voiced_probability)))
        scores[0] = 0 if entry is None else entry
        width, inside = 2 * self.reach + 1, slice(self.reach, self.reach + self.bins)
        entering = np.full((len(scores), 2, self.bins + 2 * self.reach), BEYOND, dtype=np.int32)
        # Torch adds shifted views and takes their maximum 3 times as fast as NumPy, which is faster on small arrays.
        shifted = torch.from_numpy(entering).unfold(2, self.bins, 1).unbind(0)  # each [2, width, bins]
        near = torch.from_numpy(self.near)[:, None]
        sums = torch.empty(2, width, self.bins, dtype=torch.int32)
        best = torch.empty(2, self.bins, dtype=torch.int32)
        reached = best.numpy()
        for row in range(1, len(scores)):
            now = scores[row]
            if start + row > 1:  # nothing enters the clip's first frame
                left = scores[row - 1] - self.norm
                np.maximum(left, left[::-1] + self.switch, out=entering[row, :, inside])
                torch.add(shifted[row], near, out=sums)
                torch.amax(sums, 1, out=best)
                now += np.maximum(reached, IMPOSSIBLE, out=reached)
            now -= now.max()
        return scores, entering

    def _own_scores(self, candidates: Candidates, start: int, stop: int) -> np.ndarray:
        """Return the frames' own log-probabilities in each state, `[1 + frames, 2, bins]`; the first is left unset."""
        scores = np.full((1 + stop - start, 2, self.bins), IMPOSSIBLE, dtype=np.int32)
        part = slice(*np.searchsorted(candidates.frame, (start, stop)))
        scores[1 + candidates.frame[part] - start, 0, candidates.bin[part]] = log_units(candidates.probability[part])
        scores[1:, 1] = log_units((1 - candidates.voiced_probability[start:stop]) / self.bins)[:, None]
        return scores

    def _before(self, scores: np.ndarray, entering: np.ndarray, state: int) -> int:
        """Return the previous state on the best path to `state`, from the previous frame's `scores` and `entering`."""
        kind, pitch = divmod(state, self.bins)
        window = entering[kind, pitch : pitch + len(self.near)] + self.near
        step = int(window.argmax())
        if window[step] < IMPOSSIBLE:
            return int(scores.argmax())
        pitch += step - self.reach
        stayed, switched = int(scores[kind, pitch]), int(scores[1 - kind, pitch]) + self.switch
        if switched > stayed or (switched == stayed and kind == 1):  # the voiced one wins a tie
            kind = 1 - kind
        return kind * self.bins + pitch
