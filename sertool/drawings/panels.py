"""Draw one panel of a picture: a waveform or a feature over time, readable without explanation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sertool import features
from sertool.drawings.pictures import INK, SOFT
from sertool.featurize.engine import Engine
from sertool.featurize.extraction import Extraction
from sertool.numeric import dsp

FEW_COLUMNS = 12  # columns up to which all have room for their names
POINTS = 4000  # of a waveform to draw; longer ones are drawn as a band of minima and maxima
MARKS = (100, 250, 500, 1000, 2000, 4000, 8000, 16_000)  # Hz, on an axis of frequency
PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")

UNITS: dict[str, str | Callable[[Any], str]] = {
    "mel": lambda settings: {"db": "dB", "log": "log power", "power": "power"}[settings.scale],
    "centroid": "Hz", "bandwidth": "Hz", "rolloff": "Hz", "pitch": "Hz", "contrast": "dB", "zcr": "share of samples",
    "rms": "amplitude", "chroma": "of the greatest", "flatness": "0 to 1",
}  # fmt: skip


@dataclass(frozen=True)
class Panel:
    """One feature of one channel."""

    name: str
    side: str
    values: np.ndarray  # [rows, columns]
    columns: list[str]
    seconds: float
    extraction: Extraction

    @property
    def settings(self) -> Any:
        return self.extraction.features[self.name]

    @property
    def title(self) -> str:
        title = features.entry(self.name).title + self.side
        return f"{title}; over time: {', '.join(self.extraction.stats)}" if self.extraction.stats else title

    @property
    def unit(self) -> str:
        unit = UNITS.get(self.name, "value")
        if self.extraction.normalize:
            return "normalised"
        return unit if isinstance(unit, str) else unit(self.settings)

    @property
    def height(self) -> float:
        return 1.0 if self.values.shape[1] <= 3 and not self.extraction.stats else 1.7

    def edges(self) -> np.ndarray:
        """Return when each row begins and the last one ends, in seconds: half a hop before and after its middle."""
        count, rate = len(self.values), self.extraction.wave.rate
        hop = getattr(self.settings, "hop", None)
        if hop is None:
            return np.linspace(0, self.seconds, count + 1)
        width = getattr(self.settings, "n_fft", None) or self.settings.frame_length
        middle = 0 if self.settings.center else width / 2
        return (middle + (np.arange(count + 1) - 0.5) * hop) / rate


def of(engine: Engine, rows: dict[str, np.ndarray], seconds: float) -> Iterator[Panel]:
    """Yield a panel for each feature except the waveform, and for each of two channels."""
    sides = ("",) if engine.extraction.wave.channels != "stereo" or engine.extraction.stats else (" (left)", " (right)")
    for name in engine.extraction.features:
        if name == "wave":
            continue
        parts = np.split(rows[name].astype(np.float32), len(sides), axis=1)
        columns = np.split(np.array(engine.columns[name]), len(sides))
        for side, values, names in zip(sides, parts, columns, strict=True):
            yield Panel(name, side, values, names.tolist(), seconds, engine.extraction)


def waveform(axis: Any, wave: np.ndarray, rate: int) -> None:
    """Draw a waveform, `[channels, samples]`, as a line or, if it is long, as the band that it fills."""
    step = max(1, wave.shape[1] // POINTS)
    for side in wave:
        if step == 1:
            axis.plot(np.arange(len(side)) / rate, side, color=INK, linewidth=0.5)
        else:
            runs = side[: len(side) // step * step].reshape(-1, step)
            axis.fill_between(np.arange(len(runs)) * step / rate, runs.min(1), runs.max(1), color=INK, linewidth=0.3)
    axis.set(title="Waveform", ylabel="amplitude", ylim=reach(wave))
    _time(axis, wave.shape[1] / rate)


def reach(*waves: np.ndarray) -> tuple[float, float]:
    """Return limits of amplitude that fit all waves."""
    largest = max(1e-6, *(float(np.abs(wave).max()) for wave in waves))
    return -1.05 * largest, 1.05 * largest


def _time(axis: Any, seconds: float) -> None:
    axis.set(xlim=(0, seconds), xlabel="time in seconds")


def draw(figure: Any, axis: Any, panel: Panel) -> None:
    """Draw one feature: bars for statistics, a line for one column, an image for many."""
    axis.set_title(panel.title)
    if panel.extraction.stats:
        _bars(axis, panel)
        return
    if panel.name == "pitch":
        _pitch(axis, panel)
    elif panel.values.shape[1] == 1:
        axis.plot(_middles(panel), panel.values[:, 0], color=INK, linewidth=1.3)
        axis.set(ylabel=panel.unit, ylim=(0, None) if panel.values.min() >= 0 else None)
    else:
        _picture(figure, axis, panel)
    _time(axis, panel.seconds)


def _middles(panel: Panel) -> np.ndarray:
    edges = panel.edges()
    return (edges[1:] + edges[:-1]) / 2


def _bars(axis: Any, panel: Panel) -> None:
    """Draw a bar for each column, in a colour for each statistic."""
    stats, count = panel.extraction.stats, len(panel.columns)
    width = count // len(stats)
    for index, stat in enumerate(stats):
        places = np.arange(index * width, (index + 1) * width)
        axis.bar(places, panel.values[0, places], label=stat)
    axis.axhline(0, color=SOFT, linewidth=0.6)
    axis.set(ylabel=panel.unit, xlim=(-0.7, count - 0.3))
    if count <= FEW_COLUMNS:
        axis.set_xticks(range(count), panel.columns, rotation=20, ha="right")
    else:
        begin = panel.columns[0].removesuffix(f"_{stats[0]}")
        middles = [(index + 0.5) * width for index in range(len(stats))]
        axis.set_xticks(middles, [f"{stat} of {begin} and on" for stat in stats])
    if len(stats) > 1:
        axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def _pitch(axis: Any, panel: Panel) -> None:
    """Draw the fundamental frequency where there is one."""
    pitch = np.where(panel.values[:, 1] > 0, panel.values[:, 0], np.nan)
    axis.plot(_middles(panel), pitch, color=INK, linewidth=1.3, marker=".", markersize=4)
    axis.set(ylabel="Hz where voiced", ylim=(panel.settings.fmin, panel.settings.fmax), yscale="log")
    _frequencies(axis, np.array, panel.settings.fmin, panel.settings.fmax)
    axis.minorticks_off()


def mesh_of(axis: Any, panel: Panel, values: np.ndarray, **colours: Any) -> Any:
    """Draw values, `[frames, columns]`, as colours; also in PDF and SVG as pixels, as thousands of paths are slow."""
    rows = np.arange(values.shape[1] + 1)
    return axis.pcolormesh(panel.edges(), rows, values.T, rasterized=True, **colours)


def _picture(figure: Any, axis: Any, panel: Panel) -> None:
    """Draw an image with time to the right, columns upwards, and values as colours."""
    values, unit, colours = _coloured(panel)
    mesh = mesh_of(axis, panel, values, **colours)
    figure.colorbar(mesh, ax=axis, label=unit, pad=0.01, extend="both" if "vmin" in colours else "neither")
    _columns(axis, panel)


def _coloured(panel: Panel) -> tuple[np.ndarray, str, dict[str, Any]]:
    """Return the values to draw, their unit, and how to colour them."""
    values = panel.values
    if panel.name in ("mfcc", "tonnetz"):  # of either sign; the MFCC's first, the level, would drown the others
        far = max(float(np.quantile(np.abs(values[:, 1:]), 0.995)), 1e-6)
        return values, panel.unit, {"cmap": "RdBu_r", "vmin": -far, "vmax": far}
    if panel.name == "msf":  # columns that differ by orders of magnitude
        low, high = values.min(axis=0), values.max(axis=0)
        return (values - low) / np.maximum(high - low, 1e-12), "of each column's range", {"cmap": "magma"}
    return values, panel.unit, {"cmap": "magma"}


def _columns(axis: Any, panel: Panel) -> None:
    """Label the columns with Hz, names or numbers."""
    count = len(panel.columns)
    if panel.name == "mel":
        mels(axis, panel)
    elif panel.name == "chroma" and count == len(PITCH_CLASSES):
        axis.set_yticks(np.arange(count) + 0.5, PITCH_CLASSES)
        axis.set_ylabel("pitch class")
    elif count <= FEW_COLUMNS:
        axis.set_yticks(np.arange(count) + 0.5, panel.columns)
    else:
        axis.set_ylabel("coefficient" if panel.name == "mfcc" else "column")


def mels(axis: Any, panel: Panel) -> None:
    """Label mel bands in Hz: band b is centred on the (b + 1)-th of the scale's evenly spaced corners."""
    settings, bands = panel.settings, len(panel.columns)
    top = settings.fmax or panel.extraction.wave.rate / 2
    low, high = dsp.hz_to_mel(np.array([settings.fmin, top]), settings.htk)

    def place(hz: np.ndarray) -> np.ndarray:
        return ((dsp.hz_to_mel(hz, settings.htk) - low) / (high - low) * (bands + 1) - 0.5).clip(0, bands)

    _frequencies(axis, place, settings.fmin, top)
    axis.set(ylabel="frequency in Hz", ylim=(0, bands))


def _frequencies(axis: Any, place: Callable[[np.ndarray], np.ndarray], low: float, high: float) -> None:
    """Put ticks at round frequencies."""
    marks = [hz for hz in MARKS if low <= hz <= high]
    axis.set_yticks(place(np.array(marks)), [f"{hz:,}" for hz in marks])
