"""Check a training before it makes anything: refuse what would fail, and warn of what would flatter its figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from sertool import catalogue, imagenet, models, shipped
from sertool.divisions import splits
from sertool.divisions.splits import TEST, TRAIN
from sertool.errors import SertoolError, UsageError
from sertool.manifests import manifest
from sertool.manifests.manifest import Table
from sertool.modelfiles import inference, packing
from sertool.networks import tensorfile
from sertool.pretraining import encoder_trainings
from sertool.pretraining.encoder_trainings import EncoderTraining
from sertool.system import talk
from sertool.system.files import listed
from sertool.train import consistency, member_data, selection
from sertool.train.design import ONE_ROW, Design, KnownFeatures

MANY = 2  # emotions to try a model with: their number does not matter here
Records = Mapping[str, Any]  # how each feature was made, as recorded in its shards


def refuse(table: Table, design: Design, known: KnownFeatures) -> None:
    """Refuse rows, a model and features that do not go together, as far as the features are known yet."""
    _refuse_rows(table, design)
    records, width = known.records, _seen(design, known.width)
    _refuse_fewer_columns(table, design, records)
    _refuse_single_rows(table, design, records)
    module = models.load(design.model)
    if hasattr(module, "WEIGHTS") and design.settings.pretrained:
        imagenet.place(module.WEIGHTS, design.weights)
    if records and hasattr(module, "require"):
        module.require(design.settings, records)
    if records:
        _refuse_features(design, records)
    if width is not None:
        with torch.device("meta"):  # takes no memory
            module.Model(design.settings, width, MANY)


def _refuse_features(design: Design, records: Records) -> None:
    """Refuse features that a model file could not describe, or --pack without an encoder."""
    extraction = inference.extraction_of(dict(records))
    if design.pack:
        if not records.keys() & {*catalogue.names("encoders")}:
            what = f"--pack {design.pack} takes the encoder into the model file"
            raise UsageError(f"{what}, and these features have none: leave it out")
        packing.require(extraction)


def _refuse_rows(table: Table, design: Design) -> None:
    """Refuse rows that lack what the options need."""
    if design.adapt:
        member_data.require_speakers(table)
    if design.training.steady:
        consistency.require_copies(table)
    if design.training.soft:
        _refuse_shares(table)


def _refuse_shares(table: Table) -> None:
    """Refuse listeners' shares that are missing or negative."""
    shares = manifest.family(table, "soft_")
    if not any(any(manifest.column(table, f"soft_{word}")) for word in shares):
        raise UsageError("--soft needs the listeners' shares: index with --labels soft")
    for word in shares:
        if (low := min(filter(None, manifest.column(table, f"soft_{word}")), default=0)) < 0:
            raise SertoolError(f"column soft_{word} holds {low:g}, and shares of votes are 0 or more: correct it")


def _seen(design: Design, width: int | None) -> int | None:
    """Return how many of the features' columns the model sees; None if not known yet."""
    if design.reduce is None:
        return None if design.select is not None else width
    left, most = selection.left(design.reduce), min(filter(None, (width, design.select)), default=None)
    if left is not None and most is not None and left > most:
        raise UsageError(f"--reduce {design.reduce}: {talk.counted(most, 'column')} cannot be mapped to more")
    return left


def _refuse_fewer_columns(table: Table, design: Design, records: Records) -> None:
    """Refuse --select, --reduce and classical models for features with several rows per clip."""
    fewer = design.select is not None or design.reduce is not None
    if fewer and design.adapt:
        raise UsageError("--select and --reduce do not go with --adapt: they map columns that speakers share")
    if (fewer or models.fits_at_once(design.model)) and any(
        _over_time(table, name, record) for name, record in records.items()
    ):
        who = "--select and --reduce take" if fewer else f"{design.model} takes"
        raise UsageError(f"{who} {ONE_ROW}")


def _refuse_single_rows(table: Table, design: Design, records: Records) -> None:
    """Refuse a network that pads clips to its own frames if every clip has a single row: all else would be padding."""
    pads = getattr(design.settings, "frames", 1) > 1
    if pads and records and not any(_over_time(table, name, record) for name, record in records.items()):
        raise UsageError(f"{design.model} takes frames over time, and each clip has one row: featurize without --stats")


def _over_time(table: Table, feature: str, record: Mapping[str, Any]) -> bool:
    """Whether a feature has, or will have, several rows per clip."""
    if f"{feature}_rows" in table.column_names:
        return any(rows > 1 for rows in manifest.column(table, f"{feature}_rows") if rows)
    return not record["stats"]


def useful_seeds(model: str, seeds: int) -> int:
    """Return how many seeds to train with: one, with a warning, if the model draws nothing."""
    if seeds == 1 or getattr(models.load(model), "DRAWS", True):
        return seeds
    talk.warn(f"--seeds {seeds}: {model} draws nothing, so that every seed fits the same: trained with one")
    return 1


def require_dev(training: Mapping[str, Any], has_dev: Mapping[str, Sequence[bool]]) -> None:
    """Refuse options that choose epochs by dev if no training has one that can judge them; say which have none."""
    words = ["--keep best"] if training.get("keep") == "best" else []
    words += [talk.option(name) for name in ("metric", "patience") if training.get(name)]
    without = listed(name for name, has in has_dev.items() if not all(has))
    if words and not any(map(any, has_dev.values())):
        raise UsageError(
            f"{listed(words)}: no dev to choose epochs by under {without}: give a split with dev, such as "
            "--split speaker:60/20/20, or leave it out"
        )
    if without and words:
        talk.warn(
            f"{listed(words)}: without a dev to choose by, as under {without}, the last epoch is kept all the same"
        )
    elif without:
        talk.detail(f"{without}: a training without a dev to choose epochs by keeps a network's last epoch")


def warn_of_long_rise(design: Design, divisions: Sequence[np.ndarray]) -> None:
    """Warn if a network's training ends while its learning rate is still rising."""
    training = design.training
    if models.fits_at_once(design.model) or not training.warmup:
        return
    steps = training.epochs * max(-(-int((split == TRAIN).sum()) // training.batch) for split in divisions)
    if steps < training.warmup:
        ends = f"the training ends after {talk.counted(steps, 'step')}, before the rate has risen"
        talk.warn(f"--warmup {training.warmup:,}: {ends}: ask for a shorter one, or for more --epochs")


def warn_of_package_encoder(table: Table, known: KnownFeatures, division: str) -> None:
    """Warn if a package encoder was trained on one of the corpora, unless the split is that of its own training."""
    if division.startswith(shipped.DIVISION):
        return
    corpora = {*manifest.present(table, "corpus")}
    for feature, of_feature in known.trainings.items():
        encoders = {training.get("package") for training in of_feature}
        if feature in known.records:
            encoders.add(encoder_trainings.of_package(feature, known.records[feature]["settings"]))
        for model in sorted(name for name in shipped.names() if name in encoders):
            if shared := corpora & tensorfile.header(shipped.own(model))["trained"]["corpora"].keys():
                talk.warn(
                    f"the encoder that made {feature}, the package's {model}, learnt without labels from clips "
                    f"of {listed(sorted(shared))}: but for those that --protocol {shipped.DIVISION} holds out, "
                    "figures on them are flattered"
                )


def refuse_taught_encoder(table: Table, known: KnownFeatures, divisions: Sequence[np.ndarray]) -> None:
    """Refuse an encoder that was trained on speakers held out here; warn if its file does not name its speakers."""
    held_out = manifest.keep(table, np.any([splits.is_held_out(split) for split in divisions], axis=0))
    corpora = {*manifest.present(held_out, "corpus")}
    for feature, of_feature in known.trainings.items():
        if people := encoder_trainings.count_held_out(of_feature, table, divisions):
            raise SertoolError(
                f"{feature}: its encoder learnt from {people} that are held out here, and would tell of them: take "
                f"other --weights for it, or {_way_out(of_feature, table, divisions)}"
            )
        if shared := {name for training in of_feature for name in training.get("corpora", ())} & corpora:
            talk.warn(
                f"{feature}: its encoder learnt from clips of {listed(sorted(shared))}, and its file does not "
                "say whose: figures on them may be flattered"
            )


def _way_out(trainings: Sequence[EncoderTraining], table: Table, divisions: Sequence[np.ndarray]) -> str:
    """Say how clips could be divided so that such an encoder may be used."""
    without_dev = [splits.without_dev(split) for split in divisions]
    tested = all((split == TEST).any() for split in divisions)
    if tested and encoder_trainings.count_held_out(trainings, table, without_dev) is None:
        return "add --no-dev, as all of those are in dev and none in test"
    return "divide the clips as its own training did"
