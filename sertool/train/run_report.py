"""Say how a run goes: each epoch, each member, and the results."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sertool import models
from sertool.divisions import protocols
from sertool.divisions.splits import PARTS
from sertool.manifests import manifest
from sertool.manifests.answer_kinds import Metric
from sertool.manifests.manifest import Table
from sertool.system import talk
from sertool.train.design import Design
from sertool.train.members import Figures


def epoch_line(figures: Figures, shown: Sequence[Metric]) -> str:
    """Return an epoch's figures in words."""
    name, title = f"dev_{shown[0].name}", shown[0].title
    dev = f", dev {title} {shown[0].text(shown[0].scale * figures[name])}" if name in figures else ""
    return f"epoch {figures['epoch']}: loss {figures['loss']:.3f}{dev}, {figures['seconds']:.1f} s"


def line(scores: Sequence[Figures], shown: Sequence[Metric]) -> str:
    """Return the first figure on each part, averaged over members, and its drop from train to the held-out part."""
    first = shown[0]
    values = _by_part(scores, first)
    parts, means = list(values), {part: float(np.mean(own)) for part, own in values.items()}
    both = "train" in values and len(parts) > 1  # a corpus may be only held out
    drop = first.text(means[parts[-1]] - means["train"], "+") if both else ""
    lost = f" ({drop} from train to {parts[-1]})" if both else ""
    return f"{first.title} {_means(scores, first)}{lost}"


def _by_part(scores: Sequence[Figures], metric: Metric) -> dict[str, list[float]]:
    """Return a figure as it is shown on each part, for each member that has clips there."""
    names = {part: f"{part}_{metric.name}" for part in PARTS}
    values_of = {
        part: [metric.scale * figures[name] for figures in scores if name in figures] for part, name in names.items()
    }
    return {part: values for part, values in values_of.items() if values}


def _means(scores: Sequence[Figures], metric: Metric) -> str:
    """Format the mean of a figure on each part, and over how many members if some have no clips there."""
    shown = []
    for part, values in _by_part(scores, metric).items():
        few = f" in {len(values)} of {len(scores)}" if len(values) < len(scores) else ""
        shown.append(f"{part} {metric.text(float(np.mean(values)))}{few}")
    return ", ".join(shown)


def _among_own(scores: Sequence[Figures], metric: Metric) -> str:
    """Format the figure of a corpus when answers are restricted to its own emotions; empty if no member has it."""
    own = f"_{metric.name}_own"
    if not any(f"{part}{own}" in figures for figures in scores for part in PARTS):
        return ""
    restricted = [
        {name: figures.get(f"{name}_own", figures[name]) for name in figures if name.endswith(f"_{metric.name}")}
        for figures in scores
    ]
    return f"; among its own emotions {_means(restricted, metric)}"


def say_result(table: Table, scores: Sequence[Figures], protocol: str, folder: Path, shown: Sequence[Metric]) -> None:
    """Say the results of all members together and, if there are several corpora, of each."""
    numbers = {column: len(manifest.present(table, column)) for column in ("fold", "seed")}
    several = [talk.counted(number, column) for column, number in numbers.items() if number > 1]
    many = f", mean over {' and '.join(several)}" if several else ""
    count = len(manifest.present(table, "speaker"))
    of_speakers = f"of {talk.counted(count, 'speaker')}" if count else "(speakers unknown)"
    rows = f"{talk.counted(len(table), 'held-out row')} {of_speakers}"
    title = f"LEAKY: {protocol}" if protocols.named(protocol).is_leaky else protocol
    talk.say(f"{line(scores, shown)}{many}; {rows}, {title}; the run lies in {folder}")
    for name in dict.fromkeys(name for figures in scores for name in figures.get("by_corpus", ())):
        of_corpus = [figures["by_corpus"][name] for figures in scores if name in figures.get("by_corpus", {})]
        talk.say(f"  {name}: {line(of_corpus, shown)}{_among_own(of_corpus, shown[0])}")


def say_note(train: Table, design: Design) -> None:
    """Say what is to be known of the training rows before they are learnt."""
    masks = design.training.absent_emotions == "mask" and not models.fits_at_once(design.model)
    if note := design.aim.note(train, masks=masks):
        talk.say(note)
