"""Say how a run goes: each epoch, each member, the results, and differences between the corpora's emotions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sertool.divisions import protocols
from sertool.divisions.splits import PARTS
from sertool.manifests import manifest
from sertool.manifests.manifest import Table
from sertool.system import talk
from sertool.train.design import Design, is_fitted_at_once
from sertool.train.members import Figures


def epoch_line(figures: Figures) -> str:
    """Return an epoch's figures in words."""
    dev = f", dev UAR {100 * figures['dev_uar']:.1f}" if "dev_uar" in figures else ""
    return f"epoch {figures['epoch']}: loss {figures['loss']:.3f}{dev}, {figures['seconds']:.1f} s"


def line(scores: Sequence[Figures]) -> str:
    """Return the UAR on each part, averaged over members, and its drop from train to the held-out part, in words."""
    uar = _uar(scores)
    parts, means = list(uar), {part: float(np.mean(values)) for part, values in uar.items()}
    both = "train" in uar and len(parts) > 1  # a corpus may be only held out
    lost = f" ({means[parts[-1]] - means['train']:+.1f} from train to {parts[-1]})" if both else ""
    return f"UAR {_means(scores)}{lost}"


def _uar(scores: Sequence[Figures]) -> dict[str, list[float]]:
    """Return the UAR in per cent on each part, for each member that has clips there."""
    names = {part: f"{part}_uar" for part in PARTS}
    values_of = {part: [100 * figures[name] for figures in scores if name in figures] for part, name in names.items()}
    return {part: values for part, values in values_of.items() if values}


def _means(scores: Sequence[Figures]) -> str:
    """Format the mean UAR on each part, and over how many members if some have no clips there."""
    shown = []
    for part, values in _uar(scores).items():
        few = f" in {len(values)} of {len(scores)}" if len(values) < len(scores) else ""
        shown.append(f"{part} {np.mean(values):.1f}{few}")
    return ", ".join(shown)


def _among_own(scores: Sequence[Figures]) -> str:
    """Format the UAR of a corpus when answers are restricted to its own emotions; empty if no member has it."""
    if not any(f"{part}_uar_own" in figures for figures in scores for part in PARTS):
        return ""
    own = [
        {name: figures.get(f"{name}_own", figures[name]) for name in figures if name.endswith("_uar")}
        for figures in scores
    ]
    return f"; among its own emotions {_means(own)}"


def say_result(table: Table, scores: Sequence[Figures], protocol: str, folder: Path) -> None:
    """Say the results of all members together and, if there are several corpora, of each."""
    numbers = {column: len(manifest.present(table, column)) for column in ("fold", "seed")}
    several = [talk.counted(number, column) for column, number in numbers.items() if number > 1]
    many = f", mean over {' and '.join(several)}" if several else ""
    count = len(manifest.present(table, "speaker"))
    of_speakers = f"of {talk.counted(count, 'speaker')}" if count else "(speakers unknown)"
    rows = f"{talk.counted(len(table), 'held-out row')} {of_speakers}"
    title = f"LEAKY: {protocol}" if protocols.named(protocol).is_leaky else protocol
    talk.say(f"{line(scores)}{many}; {rows}, {title}; the run lies in {folder}")
    for name in dict.fromkeys(name for figures in scores for name in figures.get("by_corpus", ())):
        of_corpus = [figures["by_corpus"][name] for figures in scores if name in figures.get("by_corpus", {})]
        talk.say(f"  {name}: {line(of_corpus)}{_among_own(of_corpus)}")


def say_emotions(train: Table, design: Design) -> None:
    """Say that corpora have different emotions, and what happens to those that one lacks."""
    corpora = sorted(manifest.present(train, "corpus"))
    emotions = {name: {*manifest.present(manifest.only(train, "corpus", [name]), "emotion")} for name in corpora}
    sets = {name: words for name, words in emotions.items() if words}
    everywhere = set.intersection(*sets.values()) if sets else set()
    more = {name: sorted(words - everywhere) for name, words in sets.items() if words - everywhere}
    if not more:
        return
    extras = "; ".join(f"{name} also {', '.join(words)}" for name, words in more.items())
    counts = design.training.absent_emotions == "count" or is_fitted_at_once(design)
    consequence = "count as wrong for its clips" if counts else "are left out of its clips' loss"
    shared = talk.counted(len(everywhere), "emotion")
    talk.say(f"the corpora share {shared} ({extras}): those that a corpus lacks {consequence}")
