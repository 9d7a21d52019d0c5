"""Modulation spectral features: how fast the loudness of each band of hearing comes and goes.

The method is that of Wu, Falk and Chan (2011). The signal is split into auditory bands; each band's Hilbert envelope is
cut into Hamming frames, and each frame is filtered by second-order band-passes around 4, 8, 16, 32 and 64 Hz. Their
mean squares, over the window's, are the energies E(i, j) of band i at modulation j. Per frame are measured

- `mean`: the mean over i, for each j;
- `flatness`, `centroid`: geometric over arithmetic mean, and centre of gravity over i, for each second j;
- `modulation`: the centre of gravity over j, of the sums of four regions of bands (to 300, 800, 1,500 Hz, and above);
- `slope`, `error`: a straight line through each region's sums over j, and the root mean square of its residuals.

Rows are frames; the paper's mean and deviation of each over a clip are `--stats mean,std`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sertool.errors import UsageError
from sertool.numeric import dsp

DTYPE = "float32"
POINTS = 4000  # points of an envelope per second; with all, nearly every value changes by less than 0.3 %, none by 2 %
REGIONS = (300.0, 800.0, 1500.0)  # Hz
RUMBLE = 30.0  # Hz: the bands fade out below, as the Hilbert transform of a constant is unbounded in time
BANDS_AT_ONCE = 3  # with all 19, memory is allocated and returned for every clip, which doubles or triples the time
FLOOR = 1e-12  # added to every energy, so that silence is flat at -120 dB
LEAST = FLOOR  # the least difference that matters, as the energies of soft speech are below 1e-7


@dataclass(frozen=True)
class Settings:
    filters: Annotated[Literal["gammatone", "mel"], "gammatone filters, or bells on the mel scale"] = "gammatone"
    bands: Annotated[int, "number of bands", 2, 128] = 19
    fmin: Annotated[float, "centre of the lowest band in Hz", 1] = 125.0
    fmax: Annotated[float, "centre of the highest band in Hz", 1] = 3500.0
    modulations: Annotated[int, "number of modulation band-passes, an octave apart", 2, 12] = 5
    lowest: Annotated[float, "centre of the lowest modulation band-pass in Hz", 0.1, 100] = 4.0
    q: Annotated[float, "centre of a modulation band-pass over its width", 0.5, 100] = 2.0
    frame_seconds: Annotated[float, "seconds in a frame", 0.01, 10] = 0.256
    hop_seconds: Annotated[float, "seconds from one frame to the next", 0.001, 10] = 0.064
    output: Annotated[Literal["both", "energies", "measures"], "energies, what is measured of them, or both"] = "both"
    scale: Annotated[Literal["energy", "unit", "db"], "mean squares, parts of the frame's sum, or decibels"] = "energy"


def values_per_second(settings: Settings) -> float:
    """Return the number of values per second of audio."""
    return len(_columns(settings, len(_members(settings)))) / settings.hop_seconds


@dataclass(frozen=True)
class Grid:
    """The sampling of envelopes: a point every `step` samples; frames of `length` points, `hop` apart."""

    step: int
    length: int
    hop: int
    rate: float  # points per second

    @classmethod
    def of(cls, settings: Settings, rate: int) -> "Grid":
        step = max(1, rate // POINTS)
        length, hop = (max(1, round(time * rate / step)) for time in (settings.frame_seconds, settings.hop_seconds))
        return cls(step, length, hop, rate / step)

    def frames(self, samples: int) -> int:
        """Return the number of whole frames in a clip, at least 1."""
        return 1 + max(0, samples - self.length * self.step) // (self.hop * self.step)

    def window(self) -> np.ndarray:
        """Return the periodic Hamming window, `[length]`."""
        return 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(self.length) / self.length)


class Feature(nn.Module):
    """Rows of energies, band by band, then measures.

    Two exact identities make it fast. Envelopes are needed only at 4,000 points a second, and the magnitude of each
    point is independent, so a band's analytic signal is computed at these points only: every `step`-th point of an
    inverse transform of n bins is the inverse transform of n / step bins, each the sum of those n / step apart.

    And a band-pass h need not be run. The energy of its response to a windowed frame v, including its decay, is

        sum (h * v)^2 = sum over lags r_h r_v,

    where r are autocorrelations. r_v is zero beyond the frame, and a transform of twice the frame's length holds it
    without overlap: its power spectrum is r_v's transform. So the sum over lags is one over bins (Parseval) against the
    transform of r_h cut to the same lags, and all band-passes of all frames are one matrix product.

    A clip is processed in blocks of about `longest` hops, each preceded by the memory of the lowest band. Compared with
    the whole clip at once, values differ by less than 5e-4 of themselves or of their column's deviation.
    """

    longest = 64
    window: Tensor
    gains: Tensor

    def __init__(self, settings: Settings, rate: int) -> None:
        super().__init__()
        _check(settings, rate)
        self.framing = None
        self.settings = settings
        self.rate = rate
        self.grid = Grid.of(settings, rate)
        self.register_buffer("window", torch.from_numpy(self.grid.window()).float())
        self.register_buffer("gains", torch.from_numpy(_gains(settings, self.grid)).float())
        self.members = _members(settings)
        self.columns = _columns(settings, len(self.members))
        self.size = 2 * (self.gains.shape[1] - 1)
        memory = math.ceil(_memory(settings) / settings.hop_seconds)
        self.before, self.after = memory, memory if settings.filters == "mel" else 0  # gammatones do not look ahead
        self._responses: dict[tuple[int, torch.device], Tensor] = {}

    def clips(self, waves: list[Tensor]) -> list[Tensor]:
        """Return `[frames, width]` of each `[samples]`, clip by clip."""
        return [torch.cat([self._rows(*block) for block in self._blocks(wave)]) for wave in waves]

    def _blocks(self, wave: Tensor) -> Iterator[tuple[Tensor, int]]:
        """Yield zero-padded pieces of a waveform, a multiple of 8 hops long, and the number of frames in each."""
        hop, total = self.grid.hop * self.grid.step, self.grid.frames(len(wave))
        around = self.before + self.after + math.ceil(self.grid.length / self.grid.hop) - 1
        most = max(self.longest, 8 * math.ceil(2 * around / 8)) - around
        for start in range(0, total, most):
            count = min(most, total - start)
            first, last = (start - self.before) * hop, (start - self.before + 8 * math.ceil((count + around) / 8)) * hop
            piece = wave[max(first, 0) : last]
            yield nn.functional.pad(piece, (max(-first, 0), last - max(first, 0) - len(piece))), count

    def _rows(self, block: Tensor, count: int) -> Tensor:
        """Return `[count, width]` of a block's samples."""
        points = len(block) // self.grid.step
        responses = self._response(points, block.device)
        spectrum = torch.fft.rfft(block)[: responses.shape[1]]
        spectrum = nn.functional.pad(spectrum, (0, responses.shape[1] - len(spectrum)))
        energies = [self._energies(spectrum * response, points, count) for response in responses.split(BANDS_AT_ONCE)]
        return self._described(torch.cat(energies).transpose(0, 1).clamp(min=0) + FLOOR)

    def _energies(self, spectra: Tensor, points: int, count: int) -> Tensor:
        """Return `[bands, count, modulations]` of some bands' one-sided spectra, `[bands, bins]`."""
        folded = spectra.unflatten(1, (-1, points)).sum(1)
        envelopes = _magnitude(torch.fft.ifft(folded))[:, self.before * self.grid.hop :]
        frames = envelopes.unfold(1, self.grid.length, self.grid.hop)[:, :count] * self.window
        power = _magnitude(torch.fft.rfft(frames, self.size)).square_()
        return nn.functional.linear(power, self.gains)

    def _response(self, points: int, device: torch.device) -> Tensor:
        """Return the bands' response to a block's spectrum, complex `[bands, bins]`, bins a multiple of `points`."""
        if (points, device) not in self._responses:
            bins = points * math.ceil(self.grid.step / 2)
            frequencies = np.arange(bins) * (self.grid.rate / points)
            response = np.where(frequencies < self.rate / 2, _filters(self.settings, frequencies), 0) / self.grid.step
            self._responses[points, device] = torch.from_numpy(response.astype(np.complex64)).to(device)
        return self._responses[points, device]

    def _described(self, energies: Tensor) -> Tensor:
        """Return `[frames, width]` of `[frames, bands, modulations]`."""
        if self.settings.scale == "unit":
            energies = energies / energies.sum((1, 2), keepdim=True)
        parts = []
        if self.settings.output != "measures":
            parts.append(self._scaled(energies).flatten(1))
        if self.settings.output != "energies":
            parts += self._over_bands(energies) + self._over_modulations(energies)
        return torch.cat(parts, 1)

    def _over_bands(self, energies: Tensor) -> list[Tensor]:
        """Return mean `[frames, modulations]`, flatness and centroid `[frames, modulations / 2]`."""
        mean = energies.mean(1)
        index = torch.arange(1.0, energies.shape[1] + 1, device=energies.device)
        flatness = energies.log().mean(1).exp() / mean
        centroid = index @ energies / (mean * energies.shape[1])
        return [self._scaled(mean), flatness[:, ::2], centroid[:, ::2]]

    def _over_modulations(self, energies: Tensor) -> list[Tensor]:
        """Return modulation centroid, slope and error, each `[frames, regions]`."""
        sums = torch.stack([energies[:, first:last].sum(1) for first, last in self.members], 1)
        index = torch.arange(1.0, energies.shape[2] + 1, device=energies.device)
        centred = index - index.mean()
        levels = self._scaled(sums)
        levels = levels - levels[:, :, :1]  # so that equal levels have slope and error 0
        levels = levels - levels.mean(2, keepdim=True)
        slope = levels @ centred / centred.square().sum()
        error = (levels - slope[:, :, None] * centred).square().mean(2).sqrt()
        return [sums @ index / sums.sum(2), slope, error]

    def _scaled(self, energies: Tensor) -> Tensor:
        return 10 * energies.log10() if self.settings.scale == "db" else energies


def _magnitude(values: Tensor) -> Tensor:
    """Return |values|; NumPy's is several times as fast as Torch's on a CPU."""
    return torch.from_numpy(np.abs(values.numpy())) if values.is_cpu else values.abs()


def _check(settings: Settings, rate: int) -> None:
    """Raise UsageError for settings that cannot be computed."""
    top, limit = _modulations(settings)[-1], Grid.of(settings, rate).rate / 2
    if not settings.fmin < settings.fmax < rate / 2:
        raise UsageError(
            f"msf: fmin {settings.fmin:g} must be below fmax {settings.fmax:g}, and that below half of {rate} Hz"
        )
    if top >= limit:
        raise UsageError(f"msf: the highest modulation, {top:g} Hz, must be below {limit:g} Hz")
    if settings.hop_seconds > settings.frame_seconds:
        raise UsageError("msf: hop_seconds must be no more than frame_seconds")


def _columns(settings: Settings, regions: int) -> list[str]:
    bands, modulations = range(1, settings.bands + 1), range(1, settings.modulations + 1)
    names = []
    if settings.output != "measures":
        names += [f"msf_e_{band}_{modulation}" for band in bands for modulation in modulations]
    if settings.output != "energies":
        names += [f"msf_mean_{modulation}" for modulation in modulations]
        names += [f"msf_{name}_{modulation}" for name in ("flatness", "centroid") for modulation in modulations[::2]]
        names += [
            f"msf_{name}_{region}" for name in ("modulation", "slope", "error") for region in range(1, regions + 1)
        ]
    return names


# --- bands and band-passes -----------------------------------------------------------------------------------------


def _centres(settings: Settings) -> np.ndarray:
    """Return the centres in Hz, evenly spaced in equivalent rectangular bandwidths or mels.

    The former are those of Glasberg and Moore (1990).
    """
    ends = np.array([settings.fmin, settings.fmax])
    if settings.filters == "mel":
        low, high = dsp.hz_to_mel(ends)
        return dsp.mel_to_hz(np.linspace(low, high, settings.bands))
    low, high = np.log1p(ends / (24.7 * 9.26449))
    return np.expm1(np.linspace(low, high, settings.bands)) * (24.7 * 9.26449)


def _widths(centres: np.ndarray) -> np.ndarray:
    """Return the decay of each gammatone in Hz, from the auditory bandwidth."""
    return 1.019 * (24.7 + centres / 9.26449)


def _filters(settings: Settings, frequencies: np.ndarray) -> np.ndarray:
    """Return the filters of the bands' analytic signals, complex `[bands, bins]`: twice their response above 0 Hz.

    A gammatone t^3 exp(-2 pi b t) cos(2 pi f t) has the response (1 + i (frequency - f) / b)^-4 around f. A mel filter
    is a squared cosine, 1 at its centre and 0 at its neighbours'.
    """
    centres = _centres(settings)[:, None]
    if settings.filters == "gammatone":
        response = 1 / np.square(np.square(1 + 1j * (frequencies - centres) / _widths(centres)))
    else:
        mels = dsp.hz_to_mel(centres)
        spacing = mels[1] - mels[0]
        response = np.cos(np.pi / 2 * np.clip((dsp.hz_to_mel(frequencies) - mels) / spacing, -1, 1)) ** 2 + 0j
    return response * -2 * np.expm1(-((frequencies / RUMBLE) ** 2))


def _memory(settings: Settings) -> float:
    """Return the memory of the lowest band in seconds: its gammatone has then decayed to 7e-4."""
    lowest, second = _centres(settings)[:2]
    return 4 / (second - lowest) if settings.filters == "mel" else 2.4 / float(_widths(lowest))


def _modulations(settings: Settings) -> np.ndarray:
    return settings.lowest * 2.0 ** np.arange(settings.modulations)


def _gains(settings: Settings, grid: Grid) -> np.ndarray:
    """Return the weight of each bin of a frame's power in each band-pass's mean square, `[modulations, bins]`.

    The band-pass is the analogue 1 / (1 + i Q (x - 1 / x)), x = frequency / centre, made digital by the bilinear
    transform: frequencies become tangents of half their angle.
    """
    size = 1 << (2 * grid.length - 1).bit_length()
    ringing = 1 << math.ceil(math.log2(grid.length + 16 * settings.q / settings.lowest * grid.rate))
    tangents = np.tan(np.pi * np.arange(1, ringing // 2) / ringing)
    ratio = tangents / np.tan(np.pi * _modulations(settings)[:, None] / grid.rate)
    power = np.pad(1 / (1 + (settings.q * (ratio - 1 / ratio)) ** 2), ((0, 0), (1, 1)))
    lags = np.fft.irfft(power)[:, : grid.length]
    gains = 2 * np.fft.rfft(lags, size).real - lags[:, :1]  # a lag and its opposite, but lag 0 only once
    gains[:, 1:-1] *= 2  # likewise for frequencies
    return gains / (size * np.sum(grid.window() ** 2))


def _members(settings: Settings) -> list[tuple[int, int]]:
    """Return first and last + 1 of each region's bands; regions without any are left out."""
    edges = [0, *np.searchsorted(_centres(settings), REGIONS), settings.bands]
    return [(int(first), int(last)) for first, last in pairwise(edges) if first < last]


# --- reference implementation ----------------------------------------------------------------------------------------


def definition(wave: np.ndarray, rate: int, settings: Settings) -> np.ndarray:
    """Compute reference values in float64, `[frames, width]` of `[samples]`."""
    grid = Grid.of(settings, rate)
    count = grid.frames(len(wave))
    envelopes = _hilbert_envelopes(wave, rate, settings)[:, :: grid.step]
    starts = np.arange(count) * grid.hop
    frames = np.stack([envelopes[:, start : start + grid.length] for start in starts]) * grid.window()
    energies = np.stack([_energy(frames, centre, settings.q, grid.rate) for centre in _modulations(settings)], axis=2)
    energies = energies / np.sum(grid.window() ** 2) + FLOOR
    if settings.scale == "unit":
        energies /= energies.sum(axis=(1, 2), keepdims=True)
    return np.array([_row(energy, settings) for energy in energies])


def _hilbert_envelopes(wave: np.ndarray, rate: int, settings: Settings) -> np.ndarray:
    """Return each band's envelope at every sample, from one transform, `[bands, samples + 1 s or more]`."""
    size = 1 << (len(wave) + rate + round(settings.frame_seconds * rate)).bit_length()
    spectrum = np.fft.rfft(np.asarray(wave, dtype=np.float64), size)[:-1]
    analytic = spectrum * _filters(settings, np.arange(size // 2) * rate / size)
    return np.abs(np.stack([np.fft.ifft(np.pad(band, (0, size // 2))) for band in analytic]))


def _energy(frames: np.ndarray, centre: float, q: float, rate: float) -> np.ndarray:
    """Return the energy of a second-order band-pass's response to each frame, `[...]` of `[..., points]`."""
    warped = np.tan(np.pi * centre / rate)
    scale = 1 + warped / q + warped**2
    inward, back, further = warped / q / scale, 2 * (warped**2 - 1) / scale, (1 - warped / q + warped**2) / scale
    silence = np.zeros((round(3 * q / centre * rate) + 2, *frames.shape[:-1]))
    points = np.concatenate([silence[:2], np.moveaxis(frames, -1, 0), silence])
    energy, last, before = np.zeros(frames.shape[:-1]), silence[0], silence[0]
    for index in range(2, len(points)):
        now = inward * (points[index] - points[index - 2]) - back * last - further * before
        energy += now**2
        last, before = now, last
    return energy


def _row(energies: np.ndarray, settings: Settings) -> np.ndarray:
    """Return one frame's values, `[width]` of `[bands, modulations]`."""

    def scaled(values: np.ndarray) -> np.ndarray:
        return 10 * np.log10(values) if settings.scale == "db" else values

    every_second = energies[:, ::2].T
    flatness = [np.exp(np.mean(np.log(column))) / np.mean(column) for column in every_second]
    centroid = [np.average(np.arange(1, len(column) + 1), weights=column) for column in every_second]
    index = np.arange(1, energies.shape[1] + 1)
    sums = [energies[first:last].sum(axis=0) for first, last in _members(settings)]
    modulation = [np.average(index, weights=region) for region in sums]
    levels = [scaled(region) - scaled(region)[0] for region in sums]
    lines = [np.polyfit(index, level, 1) for level in levels]
    left = [level - np.polyval(line, index) for level, line in zip(levels, lines, strict=True)]
    slope, error = [line[0] for line in lines], [np.sqrt(np.mean(rest**2)) for rest in left]
    measures = np.concatenate([scaled(energies.mean(axis=0)), flatness, centroid, modulation, slope, error])
    parts = {"energies": [scaled(energies).ravel()], "measures": [measures]}
    return np.concatenate(parts.get(settings.output) or parts["energies"] + parts["measures"])
