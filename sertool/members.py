"""One training of a run, from a split and a seed to a folder that holds all that is known of it."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sertool import (
    catalogue,
    codes,
    heldout,
    inference,
    manifest,
    modelfile,
    models,
    packing,
    plots,
    run_folder,
    talk,
    targets,
    taught_encoders,
    training,
    training_data,
    wire,
)
from sertool import device as devices
from sertool.columns import ANSWERS
from sertool.design import UNTAUGHT, Design, Member, at_once, lessons_of_blocks, passed_over
from sertool.errors import SertoolError
from sertool.files import whole
from sertool.manifest import Table
from sertool.modelfile import Held
from sertool.splits import DEV, PARTS, TRAIN
from sertool.targets import Sources
from sertool.taught_encoders import Lesson
from sertool.team import Team
from sertool.training_data import Data
from sertool.training_settings import Settings

Figures = dict[str, Any]

PRIOR = 3.0  # clips whose loss, each by log(T)^2, stands against a temperature other than 1


@dataclass(frozen=True)
class Listener:
    """Who hears how a training goes: each epoch's figures, and the batches of one as they pass."""

    epoch: Callable[[Figures], None]
    watch: training.Watch


@dataclass
class Trained:
    """A model, what it learnt from, and how it answers."""

    model: nn.Module
    data: Data
    words: list[str]
    temperature: float
    scores: Figures
    precision: str  # of its answers

    def logits(self, clips: np.ndarray) -> Tensor:
        """What it answers to some clips, `[clips, classes]`, as whoever reads its file will hear it."""
        answer = training_data.logits(self.model, self.data, clips, self.precision)
        if not answer.isfinite().all():
            raise SertoolError("what the trained model answers is not finite: lower --lr, or limit gradients with "
                               "--clip 1")  # fmt: skip
        return answer


def train(held: Sources, design: Design, member: Member, folder: Path, listener: Listener) -> tuple[Table, Figures]:
    """Train a member unless it is trained already; its held-out predictions and its scores.

    Of a fold's dev a model that is fitted at once needs no more than how sure to be: then it learns from dev, too.
    """
    finished = folder / run_folder.PREDICTIONS
    if finished.exists():
        return wire.read(str(finished)), modelfile.read(folder / run_folder.MODEL).scores
    made, history = _trained(held, design, member, folder, listener)
    if at_once(design) and member.fold is not None:
        sure, member = made.temperature, replace(member, split=np.where(member.split == DEV, TRAIN, member.split))
        made = replace(_trained(held, design, member, folder, listener)[0], temperature=sure)
    predicted = _predictions(held, design, made, member, folder)
    if Team().leads:
        _record(folder, held.table, member, history, design.training)
        modelfile.write(folder / run_folder.MODEL, _packed(_file(held, design, made, member), design.pack))
        wire.write(predicted, str(finished), "parquet")
        (folder / run_folder.CHECKPOINT).unlink(missing_ok=True)
    return predicted, made.scores


def _trained(
    held: Sources, design: Design, member: Member, folder: Path, listener: Listener
) -> tuple[Trained, list[Figures]]:
    words = targets.emotions(held, member)
    data = targets.data(held, design, member, words)
    model = _built(design, data, len(words), member.seed)
    if at_once(design):
        if design.teacher and data.known[data.train].all():
            raise passed_over(UNTAUGHT, design.model)
        _fit_at_once(model, data, design, member.seed, _origins(held.table)[data.train])
        history = []
    else:
        history = _fitted(model, data, design, member, folder, listener)
    precision = devices.computed(design.training.precision, data.store.device.type)
    made = Trained(model, data, words, 1.0, {}, precision)
    if len(data.dev):
        made.temperature = calibrated(made.logits(data.dev), data.truth[data.dev])
    made.scores = _scores(held, made, member)
    return made, history


# The model.


def _built(design: Design, data: Data, classes: int, seed: int) -> Any:
    torch.manual_seed(seed)
    model = models.load(design.model).Model(design.settings, data.columns, classes)
    if hasattr(model, "pretrain"):
        model.pretrain(design.weights)
    if hasattr(model, "go_on"):
        model.go_on(data.store.records)
    return model


def _origins(table: Table) -> np.ndarray:
    """The clip that each row is, or is a copy of, by number."""
    return codes.families(manifest.each(table, "clip"), manifest.codes(table, "parent")).index


def _fit_at_once(model: Any, data: Data, design: Design, seed: int, origin: np.ndarray) -> None:
    """A classical model; balanced, each training clip counts so much that emotions, or corpora, weigh alike."""
    rows, truth = targets.statistics(data, data.train, f"{design.model} takes"), data.truth[data.train]
    balance = design.training.balance
    weights = None if balance == "none" else len(truth) / data.crowd(balance)
    if weights is not None:
        weights /= weights.mean()  # or what holds a model's numbers back would weigh less beside them
    if data.group is not None and design.training.strangers:
        strange = torch.ones(len(data.train), dtype=torch.bool, device=data.store.device)
        rows = np.concatenate([rows, data.rows(data.train, strange)[0][:, 0].cpu().numpy()])
        truth, origin, weights = np.tile(truth, 2), np.tile(origin, 2), None if weights is None else np.tile(weights, 2)
    model.fit(rows, truth, weights, seed, origin)
    model.to(data.store.device)


def _fitted(
    model: nn.Module, data: Data, design: Design, member: Member, folder: Path, listener: Listener
) -> list[Figures]:
    """A network, epoch by epoch."""
    history = []
    for figures in training.fit(model, data, design.training, member.seed, folder, listener.watch):
        history.append(figures)
        listener.epoch(figures)
    return history


def calibrated(logits: Tensor, truth: np.ndarray) -> float:
    """The temperature under which the probabilities of speakers who were not trained on fit best.

    A few clips that are all answered right fit the better the surer the answers are, without end: chance, not proof.
    So leaving 1 has a price, of what a few clips may gain, which hundreds do not feel.
    """
    grid, target = torch.logspace(-1, 1, 201), torch.from_numpy(truth)
    losses = torch.stack([nn.functional.cross_entropy(logits / t, target) for t in grid])
    return round(float(grid[(losses + PRIOR * grid.log() ** 2 / len(truth)).argmin()]), 4)


# What is known of it then.


def _scores(held: Sources, made: Trained, member: Member) -> Figures:
    """Figures on each part that has clips: of emotions that were learnt, and not of train's copies: all compare so."""
    scores: Figures = {}
    copies = ~manifest.originals(held.table)
    names, corpus = _several(held.table, made.data, member), made.data.corpus
    by_corpus: dict[str, Figures] = {name: {} for name in names.values()}
    for place, part in enumerate(PARTS):
        clips = np.flatnonzero((member.split == place) & made.data.known & ~(copies & (place == TRAIN)))
        if not len(clips):
            continue
        answer, truth = made.logits(clips), made.data.truth[clips]
        scores |= _figures(part, answer, truth)
        for number, name in names.items():
            if (own := corpus[clips] == number).any():
                by_corpus[name] |= _figures(part, answer[own], truth[own])
                by_corpus[name] |= _among_own(part, answer[own], truth[own], _emotions_of(number, made.data, member))
    known = {name: figures for name, figures in by_corpus.items() if figures}
    return scores | ({"by_corpus": known} if known else {})


def _figures(part: str, answer: Tensor, truth: np.ndarray) -> Figures:
    """The recall over the emotions that these clips have, their accuracy and their number."""
    uar, accuracy = training_data.recalls(answer, truth)
    return {f"{part}_uar": uar, f"{part}_wa": accuracy, f"{part}_clips": len(truth)}


def _emotions_of(corpus: int, data: Data, member: Member) -> np.ndarray:
    """The emotions that the clips of a corpus have, by number."""
    return np.unique(data.emotion[(data.corpus == corpus) & data.known & (member.split >= 0)])


def _among_own(part: str, answer: Tensor, truth: np.ndarray, own: np.ndarray) -> Figures:
    """The recall where answers are chosen among a corpus' own emotions alone; nothing where it has all."""
    if len(own) == answer.shape[1]:
        return {}
    return {f"{part}_uar_own": training_data.recalls(answer[:, own], np.searchsorted(own, truth))[0]}


def _several(table: Table, data: Data, member: Member) -> dict[int, str]:
    """The corpora of a member's clips by number, where there are several."""
    there = np.unique(data.corpus[member.split >= 0])
    names = ["no corpus", *map(str, manifest.codes(table, "corpus").values)]
    return {int(number): names[number] for number in there} if len(there) > 1 else {}


def _predictions(held: Sources, design: Design, made: Trained, member: Member, folder: Path) -> Table:
    """The held-out rows with what the model says of them, and whether their own speakers' rows helped it."""
    part = heldout.part(member.split)
    clips = np.flatnonzero(member.split == part)
    probabilities = (made.logits(clips) / made.temperature).softmax(dim=1)
    best = probabilities.max(dim=1)
    run = folder.as_posix().removesuffix(f"/{member.name}")
    added = {
        "split": [PARTS[part]] * len(clips), "run": [run] * len(clips), "seed": [member.seed] * len(clips),
        "predicted": [made.words[index] for index in best.indices.tolist()], "confidence": best.values.numpy(),
    }  # fmt: skip
    if member.protocol:
        added["protocol"] = [member.protocol] * len(clips)
    if design.adapt:
        added["adapted"] = ["transductive"] * len(clips)
    if member.fold is not None:
        added["fold"] = [member.fold] * len(clips)
    added |= {f"p_{word}": probabilities[:, index].numpy() for index, word in enumerate(made.words)}
    table = _unanswered(held.table.take(clips))
    for name, values in added.items():
        table = manifest.with_column(table, name, values)
    return table


def _unanswered(table: Table) -> Table:
    """The table without another model's answers, which would stand beside this one's as if they were its own."""
    shares = [f"p_{word}" for word in manifest.family(table, "p_")] if "predicted" in table.column_names else []
    for name in (*ANSWERS, *shares):
        table = manifest.without(table, name)
    return table


def _file(held: Sources, design: Design, made: Trained, member: Member) -> Held:
    """Everything that predicting needs, and everything that one may ask of a model."""
    weights = {name: value.detach().cpu().numpy() for name, value in made.model.state_dict().items()}
    table = manifest.keep(held.table, member.split == TRAIN)
    own = manifest.keep(table, manifest.originals(table))
    corpora = dict(manifest.counts(own, "corpus"))
    known = {name: catalogue.entries("corpora").get(name) for name in corpora}
    trained = {
        "corpora": corpora, "clips": len(own), "copies": len(table) - len(own),
        "speakers": len(manifest.counts(table, "speaker")),
        "licences": {name: entry.facts.get("LICENCE") for name, entry in known.items() if entry},
        "commands": [*_commands(held.table), talk.command_line()],
        "seed": member.seed, "fold": member.fold, "protocol": member.protocol, "training": asdict(design.training),
        "taught": held.taught is not None, "imitated": design.imitate,
        taught_encoders.WORD: _lessons(held, design, member),
    }  # fmt: skip
    if len(corpora) > 1:
        trained["emotions"] = {name: _own_words(own, made.words, name) for name in corpora}
    return Held(
        architecture=design.model, settings=asdict(design.settings), columns=made.data.columns, labels=made.words,
        features=held.store.records, tensors=weights | made.data.scaling.tensors(), scaling=made.data.scaling.mode,
        prior_clips=made.data.scaling.prior_clips,
        temperature=made.temperature, trained=trained, scores=made.scores,
    )  # fmt: skip


def _lessons(held: Sources, design: Design, member: Member) -> list[Lesson]:
    """Who taught the encoder that the file may bring: of one whose blocks learnt here, those who trained it, too."""
    found = list(held.store.lessons)
    for feature, before in lessons_of_blocks(design, held.store.records).items():
        found += before
        if model := taught_encoders.of_package(feature, held.store.records[feature]["settings"]):
            found.append({"above": 0, "package": model})
        first = design.settings.layers - design.settings.tune
        found.append(taught_encoders.lesson(held.table, member.split == TRAIN, first))
    return taught_encoders.once(found)


def _commands(table: Table) -> list[str | None]:
    """What made a table, as far as it knows."""
    return [step.get("command") for step in manifest.provenance(table)["chain"]]


def _own_words(table: Table, words: list[str], corpus: str) -> list[str]:
    """The emotions that a corpus' clips have, in the usual order."""
    there = dict(manifest.counts(manifest.only(table, "corpus", [corpus]), "emotion"))
    return [word for word in words if word in there]


def _packed(held: Held, how: str | None) -> Held:
    return packing.packed(held, inference.recipe_of(held.features), in_8_bits=how == "8-bit") if how else held


def _record(folder: Path, table: Table, member: Member, history: list[Figures], settings: Settings) -> None:
    """The epochs as lines and as a picture, and who was where."""
    with whole(folder / run_folder.EPOCHS) as stream:
        stream.writelines(json.dumps(figures).encode() + b"\n" for figures in history)
    names = [name for name in ("clip", "path", "corpus", "speaker", "emotion", "parent") if name in table.column_names]
    divided = manifest.with_column(table.select(names), "split", manifest.from_codes(member.split, PARTS))
    wire.write(divided, str(folder / run_folder.DIVISION), "parquet")
    if history:
        plots.curves(history, training.kept(history, settings), folder / run_folder.CURVES)
