"""Draw pictures: a clip and its features, sounds side by side, and the course of a training."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from torch import Tensor

from sertool import features
from sertool.drawings import panels, pictures
from sertool.drawings.panels import Panel
from sertool.drawings.pictures import FORMATS, INK, SOFT, TONES
from sertool.errors import SertoolError, UsageError
from sertool.featurize import decoding
from sertool.featurize.decoding import Clip
from sertool.featurize.engine import Engine
from sertool.featurize.extraction import Extraction
from sertool.featurize.shard_plan import clips_of
from sertool.manifests import manifest
from sertool.manifests.answer_kinds import Metric
from sertool.manifests.manifest import Table
from sertool.sound import audio
from sertool.sound.shaping import Wave
from sertool.system import talk


def first(table: Table, extraction: Extraction, path: Path, *, dry: bool = False) -> None:
    """Draw the first usable clip of a manifest or, in a dry run, say which it is."""
    usable = np.flatnonzero(manifest.usable(table))
    if not len(usable):
        raise SertoolError(f"no usable clip among {len(table):,} rows: nothing to draw")
    chosen = clips_of(table.slice(usable[0], 1))[0]
    _require_format(path)
    if not dry:
        with drawable(chosen):
            clip(chosen, extraction, path)
    talk.say(f"{'would draw' if dry else 'drew'} {chosen.name} in {path}")


@contextmanager
def drawable(drawn: Clip) -> Iterator[None]:
    """If a clip cannot be used, raise an error that names it and suggests others."""
    try:
        yield
    except audio.Unusable as unusable:
        why = f"{drawn.path} is {unusable.issue} ({unusable})"
        raise SertoolError(f"cannot draw {drawn.name}: {why}: choose another with --where") from None


def clip(drawn: Clip, extraction: Extraction, path: Path) -> None:
    """Draw a clip's waveform and each of its features over time."""
    _require_format(path)
    engine = Engine(extraction)
    wave = decoding.decoded(drawn, extraction.wave)
    seconds = wave.shape[1] / extraction.wave.rate
    drawn_panels = list(panels.of(engine, engine.alone(wave), seconds))
    heights = [1.0, *(panel.height for panel in drawn_panels)]
    figure, axes = pictures.pyplot().subplots(
        len(heights),
        1,
        figsize=(9, 1.5 * sum(heights) + 0.8),
        height_ratios=heights,
        layout="constrained",
        squeeze=False,
    )
    panels.waveform(axes[0, 0], wave.numpy(), extraction.wave.rate)
    for axis, panel in zip(axes[1:, 0], drawn_panels, strict=True):
        panels.draw(figure, axis, panel)
    _title(figure, f"{drawn.name}   {extraction.wave.rate:,} Hz, {seconds:.2f} s")
    pictures.save(figure, path)


def beside(name: str, sounds: Sequence[tuple[str, Tensor, int]], path: Path) -> None:
    """Draw sounds (title, `[channels, samples]`, rate) side by side: waveforms over mel spectrograms."""
    _require_format(path)
    figure, axes = pictures.pyplot().subplots(
        2, len(sounds), figsize=(5.2 * len(sounds), 5), height_ratios=(1, 1.6), sharex=True, sharey="row",
        layout="constrained", squeeze=False,
    )  # fmt: skip
    drawn = [_mel(wave, rate) for _, wave, rate in sounds]
    top = max(float(panel.values.max()) for panel in drawn)
    for (upper, lower), panel, (title, wave, rate) in zip(axes.T, drawn, sounds, strict=True):
        panels.waveform(upper, wave.numpy(), rate)
        upper.set_title("\n".join(wrap(title, 60)))
        mesh = panels.mesh_of(lower, panel, panel.values, cmap="magma", vmin=top - 80, vmax=top)
        panels.mels(lower, panel)
        lower.set(xlabel="time in seconds")
    figure.colorbar(mesh, ax=axes[1, -1], label="dB", pad=0.01)
    axes[0, 0].set(
        xlim=(0, max(panel.seconds for panel in drawn)), ylim=panels.reach(*(wave.numpy() for _, wave, _ in sounds))
    )
    _title(figure, f"{name}   {sounds[0][2]:,} Hz")
    pictures.save(figure, path)


def _mel(wave: Tensor, rate: int) -> Panel:
    """Return the log-mel spectrogram of the mean of `[channels, samples]`."""
    extraction = Extraction(Wave(rate), {"mel": features.settings("mel", {})})
    engine = Engine(extraction)
    rows = engine.alone(wave.mean(dim=0, keepdim=True))["mel"].astype(np.float32)
    return Panel("mel", "", rows, engine.columns["mel"], wave.shape[1] / rate, extraction)


def curves(history: Sequence[dict[str, Any]], best: int, path: Path, shown: Sequence[Metric]) -> None:
    """Draw a training's losses and dev figures by epoch, and mark the first figure of the epoch that was kept."""
    epochs = [figures["epoch"] for figures in history]
    with_dev = "dev_loss" in history[0]
    wide = 4.5 * (1 + with_dev)
    figure, axes = pictures.pyplot().subplots(1, 1 + with_dev, figsize=(wide, 3), squeeze=False)
    figure.subplots_adjust(0.6 / wide, 0.15, 1 - 0.15 / wide, 0.9, 0.18)  # an automatic layout takes twice as long
    _lines(axes[0, 0], epochs, history, {"loss": ("train", INK), "dev_loss": ("dev", TONES[1])})
    axes[0, 0].set(title="loss", ylim=(0, None))
    if with_dev:
        first, *others = (each for each in shown if f"dev_{each.name}" in history[0])
        values = [
            {each.name: each.scale * figures[f"dev_{each.name}"] for each in (first, *others)} for figures in history
        ]
        named = {each.name: (each.title, TONES[1 + place % (len(TONES) - 1)]) for place, each in enumerate(others)}
        _lines(axes[0, 1], epochs, values, named | {first.name: (first.title, INK)})
        kept, unit = values[best][first.name], f",{first.unit}" if first.unit else ""
        axes[0, 1].plot(epochs[best], kept, "o", color=INK)
        said = f"dev{unit}: {first.title} {first.text(kept)} in epoch {epochs[best]}, which is kept"
        axes[0, 1].set(title=said)
    pictures.save(figure, path)


def _lines(axis: Any, epochs: list[int], history: Sequence[dict[str, Any]], names: dict[str, tuple[str, str]]) -> None:
    for name, (label, colour) in names.items():
        if name in history[0]:
            axis.plot(epochs, [figures[name] for figures in history], color=colour, label=label, linewidth=1.5)
    axis.set_xlabel("epoch")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(axis="y", alpha=0.2)
    axis.legend(frameon=False)


def _title(figure: Any, text: str) -> None:
    figure.suptitle(text, fontsize=11, color=SOFT)


def _require_format(path: Path) -> None:
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"--plot {path}: choose a name that ends in {', '.join(FORMATS)}")
