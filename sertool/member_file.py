"""The model file of a training: all that predicting needs, and all that one may ask of a model."""

from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from sertool import catalogue, inference, manifest, modelfile, packing, talk, taught_encoders
from sertool.design import Design, Member, lessons_of_blocks
from sertool.manifest import Table
from sertool.member_scores import Figures, LogitsOf, Temperatures
from sertool.modelfile import ModelFile
from sertool.splits import TRAIN
from sertool.targets import Material
from sertool.taught_encoders import Lesson
from sertool.training_data import Data


@dataclass(frozen=True)
class Trained:
    """A model, what it learnt from, and how it answers."""

    model: nn.Module
    data: Data
    words: list[str]
    logits: LogitsOf
    temperatures: Temperatures
    scores: Figures


def write(path: Path, held: Material, design: Design, made: Trained, member: Member) -> None:
    """Write it, with its encoder packed into it if asked."""
    file = _contents(held, design, made, member)
    if design.pack:
        file = packing.packed(file, inference.extraction_of(file.features), in_8_bits=design.pack == "8-bit")
    modelfile.write(path, file)


def _contents(held: Material, design: Design, made: Trained, member: Member) -> ModelFile:
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
        "encoders": packing.origins(held.store.records),
        "commands": [*_commands(held.table), talk.command_line()],
        "seed": member.seed, "fold": member.fold, "protocol": member.protocol, "training": asdict(design.training),
        "taught": held.taught is not None, "imitated": design.imitate,
        taught_encoders.WORD: _lessons(held, design, member),
    }  # fmt: skip
    if len(corpora) > 1:
        trained["emotions"] = {name: _own_words(own, made.words, name) for name in corpora}
    return ModelFile(
        architecture=design.model, settings=asdict(design.settings), columns=made.data.columns, labels=made.words,
        features=held.store.records, tensors=weights | made.data.scaling.tensors(), scaling=made.data.scaling.mode,
        prior_clips=made.data.scaling.prior_clips,
        temperature=made.temperatures.alone, adapted_temperature=made.temperatures.adapted, trained=trained,
        scores=made.scores,
    )  # fmt: skip


def _lessons(held: Material, design: Design, member: Member) -> list[Lesson]:
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
