"""Train one member of a run: from a split and a seed to the files of its folder."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sertool import models
from sertool.divisions import heldout, splits
from sertool.divisions.splits import DEV, PARTS
from sertool.drawings import plots
from sertool.errors import SertoolError
from sertool.manifests import manifest, manifest_io, run_folder
from sertool.manifests.manifest import Table
from sertool.modelfiles import modelfile
from sertool.networks import norm_folding
from sertool.system import device as devices
from sertool.system import team
from sertool.system.files import atomic_write
from sertool.system.paths import path_text
from sertool.system.team import Team
from sertool.train import choosing, member_data, member_file, member_scores, training
from sertool.train.design import UNTAUGHT, Design, Member, unusable_option_error
from sertool.train.member_data import Material
from sertool.train.member_file import Trained
from sertool.train.member_scores import Figures, Temperatures
from sertool.train.training_data import Data


@dataclass(frozen=True)
class Callbacks:
    """Called during training: `epoch` with each epoch's figures, `watch` around its batches."""

    epoch: Callable[[Figures], None]
    watch: training.Watch


def train(material: Material, design: Design, member: Member, run: Path, callbacks: Callbacks) -> tuple[Table, Figures]:
    """Train a member of a run unless it is trained already; return its held-out predictions and its scores.

    A classical model first uses a fold's dev for calibration only, and is then fitted again to train and dev together.
    """
    folder = run / member.name
    if team.broadcast_from_leader((folder / run_folder.PREDICTIONS).exists()):
        return answered(material.table, design, member, run), modelfile.read(folder / run_folder.MODEL).scores
    trained = _trained(material, design, member, folder, callbacks)
    if models.fits_at_once(design.model) and member.fold is not None and (member.split == DEV).any():
        member = replace(member, split=splits.without_dev(member.split))
        trained = _trained(material, design, member, folder, callbacks, trained.temperatures)
    predicted = _predictions(material, design, trained, member, path_text(run))
    _write(folder, material, design, member, trained, predicted)
    return predicted, trained.scores


def train_on_all(
    material: Material,
    design: Design,
    member: Member,
    run: Path,
    callbacks: Callbacks,
    *,
    temperatures: Temperatures,
    expected: Figures,
) -> None:
    """Train a member that holds no clip out, so that its temperatures are given, and the figure to expect of it."""
    folder = run / member.name
    trained = _trained(material, design, member, folder, callbacks, temperatures)
    trained = replace(trained, scores=trained.scores | {"expected": expected})
    _write(folder, material, design, member, trained)


def _trained(
    material: Material,
    design: Design,
    member: Member,
    folder: Path,
    callbacks: Callbacks,
    temperatures: Temperatures | None = None,
) -> Trained:
    """Return a trained model; without `temperatures` it is calibrated on dev."""
    data = member_data.build(material, design, member)
    model = _built(design, data, member.seed)
    if models.fits_at_once(design.model):
        if design.teacher and data.lesson.known[data.train].all():
            raise unusable_option_error(UNTAUGHT, design.model)
        _fit_at_once(model, data, design, member.seed, manifest.origins(material.table).index[data.train])
        history = []
    else:
        history = _fitted(model, data, design, member, folder, callbacks)
    precision = devices.computed(design.training.precision, data.store.device.type)
    answering = norm_folding.folded(copy.deepcopy(model), precision)  # as the model file will
    temperatures = temperatures or member_scores.temperatures(answering, data, precision)
    data = replace(data, temperature=temperatures.alone)
    ask = partial(member_scores.logits, answering, data, precision)
    scores = member_scores.scores(material.table, data, member, ask)
    return Trained(model, data, ask, temperatures, scores, history)


# The model.


def _built(design: Design, data: Data, seed: int) -> Any:
    torch.manual_seed(seed)
    model = models.load(design.model).Model(design.settings, data.columns, len(data.lesson.kind.names))
    if hasattr(model, "pretrain"):
        model.pretrain(design.weights)
    if hasattr(model, "load_blocks"):
        model.load_blocks(data.store.records)
    return model


def _fit_at_once(model: Any, data: Data, design: Design, seed: int, origin: np.ndarray) -> None:
    """Fit a classical model; `balance` gives clips weights that balance emotions or corpora.

    A model that adapts gets each clip twice: scaled by its speaker and, with the weight `strangers`, without
    adaptation.
    """
    rows, truth = data.single_rows(data.train), data.lesson.truth[data.train]
    balance = design.training.balance
    weights: np.ndarray | None = None if balance == "none" else len(truth) / data.group_sizes(balance)
    if data.group is not None:
        share, strange = design.training.strangers, torch.ones(len(truth), dtype=torch.bool, device=data.store.device)
        rows = np.concatenate([rows, data.single_rows(data.train, strange)])
        once = np.ones(len(truth)) if weights is None else weights
        twice = np.concatenate([(1 - share) * once, share * once])
        both = rows, np.tile(truth, 2), twice, np.tile(origin, 2)
        rows, truth, weights, origin = (part[twice > 0] for part in both)
    if weights is not None:
        weights /= weights.mean()  # else the model's regularisation would count less
    model.fit(rows, truth, weights, seed, origin)
    model.to(data.store.device)


def _fitted(
    model: nn.Module, data: Data, design: Design, member: Member, folder: Path, callbacks: Callbacks
) -> list[Figures]:
    """Train a network epoch by epoch; return its history."""
    history = []
    settings, seed = design.training, member.seed
    for figures in training.fit(model, data, settings, seed, folder, callbacks.watch, course=member.course):
        history.append(figures)
        callbacks.epoch(figures)
    return history


# The files.


def _write(
    folder: Path,
    material: Material,
    design: Design,
    member: Member,
    trained: Trained,
    predicted: Table | None = None,
) -> None:
    """Write what is known of a finished training, its predictions last, as they tell that it is finished."""
    team.barrier()  # another process may still be reading the checkpoint
    if Team().leads:
        _record(folder, material.table, member, trained.history, design)
        member_file.write(folder / run_folder.MODEL, material, design, trained, member)
        if predicted is not None:
            manifest_io.write(predicted, str(folder / run_folder.PREDICTIONS), "parquet")
        (folder / run_folder.CHECKPOINT).unlink(missing_ok=True)


def _predictions(material: Material, design: Design, trained: Trained, member: Member, run: str) -> Table:
    """Return the held-out rows with the model's predictions, and whether these were adapted by the same rows."""
    part = heldout.scored_part(member.split)
    clips = np.flatnonzero(member.split == part)
    temperature = trained.temperatures.adapted if design.adapt else trained.temperatures.alone
    added = {
        "split": [PARTS[part]] * len(clips), "run": [run] * len(clips), "seed": [member.seed] * len(clips),
    }  # fmt: skip
    if member.protocol:
        added["protocol"] = [member.protocol] * len(clips)
    if design.adapt:
        added["adapted"] = ["transductive"] * len(clips)
    if member.fold is not None:
        added["fold"] = [member.fold] * len(clips)
    added |= trained.kind.table_columns(trained.kind.numbers(trained.logits(clips), temperature))
    table = _held_out(material.table, design, member)
    for name, values in added.items():
        table = manifest.with_column(table, name, values)
    return table


def answered(table: Table, design: Design, member: Member, run: Path) -> Table:
    """Return the held-out rows of today's manifest with the predictions of a member that was trained earlier."""
    path = run / member.name / run_folder.PREDICTIONS
    table, predicted = _held_out(table, design, member), manifest_io.read(str(path))
    if manifest.digest(table) != manifest.digest(predicted):
        raise SertoolError(f"{path} holds other clips than were held out: remove {path.parent} to train it again")
    of_member = {"split", "fold", "seed", *design.aim.predictions(predicted)}
    for name in predicted.column_names:
        if name in of_member:
            table = manifest.with_column(table, name, predicted.column(name))
    return table


def _held_out(table: Table, design: Design, member: Member) -> Table:
    """Return the held-out rows without another model's predictions, and without folds that the run ignored."""
    table = table.take(np.flatnonzero(member.split == heldout.scored_part(member.split)))
    for name in design.aim.predictions(table):
        table = manifest.without(table, name)
    return table if member.fold is not None else manifest.without(table, "fold")


def _record(folder: Path, table: Table, member: Member, history: list[Figures], design: Design) -> None:
    """Write the epochs' figures, the curves, and each clip's part."""
    with atomic_write(folder / run_folder.EPOCHS) as stream:
        stream.writelines(json.dumps(figures).encode() + b"\n" for figures in history)
    names = ("clip", "path", "start", "corpus", "speaker", "emotion", "parent", "digest")
    clips = table.select([name for name in names if name in table.column_names])
    divided = manifest.with_column(clips, "split", manifest.from_codes(member.split, PARTS))
    manifest_io.write(divided, str(folder / run_folder.DIVISION), "parquet")
    if history:
        best = choosing.best_epoch(history, design.training)
        plots.curves(history, best, folder / run_folder.CURVES, design.aim.metrics)
