"""Pictures: a clip and its features. The only door to matplotlib."""

from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from torch import Tensor

from sertool import extract, features, manifest, talk
from sertool.errors import SertoolError, UsageError
from sertool.extract import Clip, Recipe
from sertool.files import whole
from sertool.manifest import Table
from sertool.shaping import Wave
from sertool.tasks import clips_of

INK, MUTED, ACCENT = "#1f3b57", "#5b6770", "#c05a1e"


def first(table: Table, recipe: Recipe, path: Path) -> None:
    """Draw the first usable clip of a manifest."""
    usable = np.flatnonzero(manifest.usable(table))
    if not len(usable):
        raise SertoolError(f"no usable clip among {len(table):,} rows: nothing to draw")
    one = clips_of(table.slice(usable[0], 1))[0]
    clip(one, recipe, path)
    talk.say(f"drew {one.name} in {path}")


def clip(one: Clip, recipe: Recipe, path: Path) -> None:
    """Draw a clip's waveform and each of its features over time."""
    _check_ending(path)
    plt = _pyplot()
    engine = extract.Engine(recipe)
    wave = engine.decode(one)
    rows = engine.alone(wave)
    names = [name for name in rows if name != "wave"]
    heights = [1.0] + [1.6 if rows[name].shape[1] > 3 else 1.0 for name in names]
    figure, axes = plt.subplots(
        len(heights), 1, figsize=(9, 1.6 * sum(heights) + 0.6), height_ratios=heights, sharex=not recipe.stats,
        layout="constrained", squeeze=False,
    )  # fmt: skip
    seconds = wave.shape[1] / recipe.wave.rate
    _waveform(axes[0, 0], wave.numpy(), recipe.wave.rate)
    for axis, name in zip(axes[1:, 0], names, strict=True):
        _feature(figure, axis, (name, rows[name], engine.columns[name]), seconds, recipe)
    if not recipe.stats:
        axes[0, 0].set_xlim(0, seconds)
        axes[-1, 0].set_xlabel("time in seconds")
    figure.suptitle(f"{one.name}   {recipe.wave.rate:,} Hz, {seconds:.2f} s", fontsize=11, color=MUTED)
    with whole(path) as stream:
        figure.savefig(stream, format=path.suffix[1:].lower(), dpi=130)
    plt.close(figure)


def beside(name: str, panels: Sequence[tuple[str, Tensor, int]], path: Path) -> None:
    """Draw sounds (title, `[channels, samples]`, rate) beside each other: waveforms over spectrograms in mel bands."""
    _check_ending(path)
    plt = _pyplot()
    figure, axes = plt.subplots(
        2, len(panels), figsize=(5.2 * len(panels), 5), height_ratios=(1, 1.6), sharex=True, sharey="row",
        layout="constrained", squeeze=False,
    )  # fmt: skip
    mel = features.settings("mel", {})
    rows = [_mel(wave, rate, mel) for _, wave, rate in panels]
    top = max(float(held.max()) for held in rows)
    for (upper, lower), held, (title, wave, rate) in zip(axes.T, rows, panels, strict=True):
        _waveform(upper, wave.numpy(), rate)
        upper.set(title="\n".join(wrap(title, 60)), ylim=None)
        edges = np.append(np.arange(len(held)) * mel.hop, wave.shape[1]) / rate
        mesh = lower.pcolormesh(edges, np.arange(held.shape[1] + 1), held.T, cmap="magma", vmin=top - 80, vmax=top)
        _hertz(lower, mel, rate, held.shape[1])
        lower.set(xlabel="time in seconds")
    figure.colorbar(mesh, ax=axes[1, -1], label="dB", pad=0.01)
    axes[0, 0].set_xlim(0, max(wave.shape[1] / rate for _, wave, rate in panels))
    figure.suptitle(f"{name}   {panels[0][2]:,} Hz", fontsize=11, color=MUTED)
    with whole(path) as stream:
        figure.savefig(stream, format=path.suffix[1:].lower(), dpi=130)
    plt.close(figure)


def _mel(wave: Tensor, rate: int, settings: Any) -> np.ndarray:
    """`[frames, bands]` in decibels of the mean of `[channels, samples]`."""
    engine = extract.Engine(Recipe(Wave(rate), {"mel": settings}))
    return engine.alone(wave.mean(dim=0, keepdim=True))["mel"].astype(np.float32)


def _check_ending(path: Path) -> None:
    if path.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise UsageError(f"--plot {path}: choose a name that ends in .png, .pdf or .svg")


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10,
                         "axes.titlelocation": "left", "axes.edgecolor": MUTED, "axes.labelcolor": MUTED,
                         "xtick.color": MUTED, "ytick.color": MUTED, "font.size": 9})  # fmt: skip
    return plt


def _waveform(axis: Any, wave: np.ndarray, rate: int) -> None:
    time = np.arange(wave.shape[1]) / rate
    for side in wave:
        axis.plot(time, side, color=INK, linewidth=0.4)
    axis.set(title="waveform", ylabel="amplitude", ylim=(-1.02, 1.02) if np.abs(wave).max() > 0.5 else None)


def _feature(figure: Any, axis: Any, held: tuple[str, np.ndarray, list[str]], seconds: float, recipe: Recipe) -> None:
    """One feature: bars for statistics, lines for a few columns, a picture for many."""
    name, rows, columns = held
    values = rows.astype(np.float32)
    if recipe.stats:
        axis.bar(np.arange(len(columns)), values[0], color=INK)
        axis.set(title=f"{name}: {', '.join(recipe.stats)} over time", xlabel="column", ylabel=_unit(name, recipe))
    elif values.shape[1] <= 3:
        _lines(axis, values, columns, _times(len(values), name, seconds, recipe))
        axis.set(title=name, ylabel=_unit(name, recipe))
    else:
        _picture(figure, axis, (name, values), seconds, recipe)


def _times(count: int, name: str, seconds: float, recipe: Recipe) -> np.ndarray:
    """When each row is, in seconds."""
    hop = getattr(recipe.features[name], "hop", None)
    step = hop / recipe.wave.rate if isinstance(hop, int) else seconds / max(count, 1)
    return np.arange(count) * step


def _lines(axis: Any, values: np.ndarray, columns: list[str], times: np.ndarray) -> None:
    if columns[:2] == ["f0", "voiced"]:
        values, columns = np.where(values[:, 1:2] > 0, values[:, :1], np.nan), ["f0 where voiced"]
    for index, column in enumerate(columns):
        axis.plot(times, values[:, index], linewidth=1.2, label=column, color=INK if len(columns) == 1 else None)
    if len(columns) > 1 or columns[0].startswith("f0"):
        axis.legend(loc="upper right", frameon=False)


def _picture(figure: Any, axis: Any, held: tuple[str, np.ndarray], seconds: float, recipe: Recipe) -> None:
    name, values = held
    edges = np.append(_times(len(values), name, seconds, recipe), seconds)
    mesh = axis.pcolormesh(edges, np.arange(values.shape[1] + 1), values.T, cmap="magma", shading="flat")
    figure.colorbar(mesh, ax=axis, label=_unit(name, recipe), pad=0.01)
    axis.set(title=name, ylabel="band" if name == "mel" else "column")
    if name == "mel":
        _hertz(axis, recipe.features[name], recipe.wave.rate, values.shape[1])


def _hertz(axis: Any, settings: Any, rate: int, bands: int) -> None:
    """Ticks in Hz where the mel bands lie."""
    from sertool import dsp

    top = settings.fmax or rate / 2
    low, high = dsp.hz_to_mel(np.array([settings.fmin, top]), settings.htk)
    marks = [hz for hz in (100, 250, 500, 1000, 2000, 4000, 8000, 16000) if settings.fmin <= hz <= top]
    places = (dsp.hz_to_mel(np.array(marks), settings.htk) - low) / (high - low) * (bands + 1) - 0.5
    axis.set_yticks(places, [f"{hz:,}" for hz in marks])
    axis.set(ylabel="frequency in Hz", ylim=(0, bands))


UNITS: dict[str, str | Callable[[Any], str]] = {
    "mel": lambda settings: {"db": "dB", "log": "log power", "power": "power"}[settings.scale],
    "centroid": "Hz", "bandwidth": "Hz", "rolloff": "Hz", "pitch": "Hz", "contrast": "dB", "zcr": "share", "rms": "RMS",
    "chroma": "share", "flatness": "0 to 1",
}  # fmt: skip


def _unit(name: str, recipe: Recipe) -> str:
    if recipe.normalize:
        return "normalised"
    unit = UNITS.get(name, "value")
    return unit(recipe.features[name]) if callable(unit) else unit


def curves(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the losses of a training and its dev figures, epoch by epoch."""
    plt = _pyplot()
    epochs = [figures["epoch"] for figures in history]
    with_dev = "dev_loss" in history[0]
    figure, axes = plt.subplots(1, 1 + with_dev, figsize=(4.5 * (1 + with_dev), 3), layout="constrained", squeeze=False)
    _lines(axes[0, 0], epochs, history, {"loss": ("train", INK), "dev_loss": ("dev", ACCENT)})
    axes[0, 0].set(title="loss", ylim=(0, None))
    if with_dev:
        shares = [{name: 100 * figures[name] for name in ("dev_uar", "dev_wa")} for figures in history]
        _lines(axes[0, 1], epochs, shares, {"dev_uar": ("UAR", INK), "dev_wa": ("accuracy", MUTED)})
        best = int(np.argmax([one["dev_uar"] for one in shares]))
        axes[0, 1].plot(epochs[best], shares[best]["dev_uar"], "o", color=INK)
        axes[0, 1].set(title=f"dev, %: best UAR {shares[best]['dev_uar']:.1f} in epoch {epochs[best]}")
    with whole(path) as stream:
        figure.savefig(stream, format="png", dpi=130)
    plt.close(figure)


def _lines(axis: Any, epochs: list[int], history: Sequence[dict[str, Any]], names: dict[str, tuple[str, str]]) -> None:
    for name, (label, colour) in names.items():
        if name in history[0]:
            axis.plot(epochs, [figures[name] for figures in history], color=colour, label=label, linewidth=1.5)
    axis.set_xlabel("epoch")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(axis="y", alpha=0.2)
    axis.legend(frameon=False)
