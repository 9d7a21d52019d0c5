"""Write the model file of a training: all that predicting needs, and all that one may ask about the model."""

from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from sertool import catalogue
from sertool.divisions.splits import TRAIN
from sertool.manifests import manifest, provenance
from sertool.manifests.answer_kinds import AnswerKind
from sertool.manifests.manifest import Table
from sertool.modelfiles import inference, modelfile, packing
from sertool.modelfiles.modelfile import ModelFile
from sertool.pretraining import encoder_trainings
from sertool.pretraining.encoder_trainings import EncoderTraining
from sertool.system import talk
from sertool.train.design import Design, Member, trainings_of_blocks
from sertool.train.member_data import Material
from sertool.train.member_scores import Figures, LogitsOf, Temperatures
from sertool.train.training_data import Data


@dataclass(frozen=True)
class Trained:
    """A trained model, its data, and its results."""

    model: nn.Module
    data: Data
    logits: LogitsOf
    temperatures: Temperatures
    scores: Figures
    history: list[Figures]  # of each epoch; none if it was fitted at once

    @property
    def kind(self) -> AnswerKind:
        """What the model answers."""
        return self.data.lesson.kind


def write(path: Path, material: Material, design: Design, trained: Trained, member: Member) -> None:
    """Write the model file, with the encoder packed into it if asked."""
    file = _contents(material, design, trained, member)
    if design.pack:
        file = packing.packed(file, inference.extraction_of(file.features), in_8_bits=design.pack == "8-bit")
    modelfile.write(path, file)


def _contents(material: Material, design: Design, result: Trained, member: Member) -> ModelFile:
    """Return the contents of the model file."""
    weights = {name: value.detach().cpu().numpy() for name, value in result.model.state_dict().items()}
    table = manifest.keep(material.table, member.split == TRAIN)
    originals = manifest.keep(table, manifest.originals(table))
    corpora = dict(manifest.counts(originals, "corpus"))
    entries = {name: catalogue.entries("corpora").get(name) for name in corpora}
    trained = {
        "corpora": corpora,
        "clips": len(originals),
        "copies": len(table) - len(originals),
        "speakers": len(manifest.present(table, "speaker")),
        "licences": {name: entry.facts.get("LICENCE") for name, entry in entries.items() if entry},
        "encoders": packing.origins(material.store.records),
        "commands": [*_commands(material.table), talk.command_line()],
        "seed": member.seed,
        "fold": member.fold,
        "protocol": member.protocol,
        "training": asdict(design.training),
        "taught": material.taught is not None,
        "imitated": design.imitate,
        encoder_trainings.WORD: _trainings(material, design, member),
    }
    if len(corpora) > 1:
        trained |= design.aim.of_corpora(originals, result.kind)
    scaling = result.data.scaling
    return ModelFile(
        architecture=design.model,
        settings=asdict(design.settings),
        columns=result.data.columns,
        labels=[*result.kind.names],
        dimensions=result.kind.scaled(),
        features=material.store.records,
        tensors=weights | scaling.tensors(),
        scaling=scaling.mode,
        prior_clips=scaling.prior_clips,
        temperature=result.temperatures.alone,
        adapted_temperature=result.temperatures.adapted,
        trained=trained,
        scores=result.scores,
    )


def _trainings(material: Material, design: Design, member: Member) -> list[EncoderTraining]:
    """Return what the model's encoder was trained on; this training is included if it trained the encoder's blocks."""
    trainings = list(material.store.encoder_trainings)
    for feature, before in trainings_of_blocks(design, material.store.records).items():
        trainings += before
        if model := encoder_trainings.of_package(feature, material.store.records[feature]["settings"]):
            trainings.append({"above": 0, "package": model})
        first = design.settings.layers - design.settings.tune
        trainings.append(encoder_trainings.on_rows(material.table, member.split == TRAIN, first))
    return encoder_trainings.without_repeats(trainings)


def _commands(table: Table) -> list[str | None]:
    """Return the commands that made a table, as far as its provenance has them."""
    return [step.get("command") for step in provenance.of(table)["chain"]]
