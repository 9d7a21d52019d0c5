"""Train the model to use once figures are known: on all clips, as the trainings that held clips out found best.

Nothing is left to choose its epoch or to calibrate it by, so both follow from those trainings: it takes as many epochs
as they chose in the median, and its temperature is the one that suits their answers to the clips that they held out.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sertool import models
from sertool.divisions import heldout
from sertool.divisions.heldout import HeldOutOptions
from sertool.divisions.splits import TRAIN
from sertool.errors import UsageError
from sertool.manifests import manifest, merging, run_folder
from sertool.manifests.answer_kinds import AnswerKind
from sertool.manifests.manifest import Table
from sertool.modelfiles import cards, modelfile
from sertool.networks import tensorfile
from sertool.system import talk, team
from sertool.system.team import Team
from sertool.train import choosing, members, optimism
from sertool.train.aim import Aim
from sertool.train.design import Design, Member
from sertool.train.member_data import Material
from sertool.train.member_scores import Temperatures
from sertool.train.members import Callbacks

Answered = Sequence[tuple[Member, Table]]  # trainings, each with its predictions of the clips that it held out


def member(table: Table, trainings: Sequence[Member], held_out: HeldOutOptions) -> Member:
    """Return the training on all clips that any of the trainings uses, and on all their copies."""
    labels = heldout.labels(table, held_out)
    if not any(heldout.can_be_scored(training.split, labels) for training in trainings):
        raise UsageError("--final: no clip that is held out has an emotion that train has, to calibrate it by")
    used = np.any([training.split >= 0 for training in trainings], axis=0)
    split = np.where(heldout.with_copies(table, used), TRAIN, -1).astype(np.int8)
    return Member(run_folder.FINAL, trainings[0].seed, None, split, seeds=held_out.seeds)


def train(
    material: Material, design: Design, final: Member, answered: Answered, run: Path, callbacks: Callbacks
) -> None:
    """Train the model unless it is trained already, and say where it is and what to expect of it."""
    path = run / final.name / run_folder.MODEL
    if not team.broadcast_from_leader(path.exists()):
        team.barrier()  # the leader may still be writing what is read here
        if not models.fits_at_once(design.model):
            histories = [_history(run / training.name) for training, _ in answered]
            final = replace(final, course=choosing.course(histories, design.training))
        kind = design.aim.kind(manifest.keep(material.table, final.split == TRAIN))
        temperatures = _temperatures(answered, run, design.aim, kind, adapts=bool(design.adapt))
        expected = _expected(answered, design.aim)
        members.train_on_all(material, design, final, run, callbacks, temperatures=temperatures, expected=expected)
    if Team().leads:
        _say(path)


def _history(folder: Path) -> list[dict[str, Any]]:
    """Return the figures of a trained network's epochs."""
    return [json.loads(line) for line in (folder / run_folder.EPOCHS).read_bytes().splitlines()]


def _temperatures(answered: Answered, run: Path, aim: Aim, kind: AnswerKind, *, adapts: bool) -> Temperatures:
    """Return the temperatures that suit the answers of all trainings to what they held out.

    If the model adapts, so did these answers; for answers without adaptation, the median of the trainings' own
    temperatures is taken.
    """
    headers = [tensorfile.header(run / training.name / run_folder.MODEL) for training, _ in answered]
    adapted = [header["adapted_temperature"] for header in headers]
    pooled = aim.temperature([(rows, own) for own, (_, rows) in zip(adapted, answered, strict=True)], kind)
    if not adapts:
        return Temperatures(pooled, pooled)
    return Temperatures(round(float(np.median([header["temperature"] for header in headers])), 4), pooled)


def _expected(answered: Answered, aim: Aim) -> dict[str, Any]:
    """Return the figure of the trainings on the clips that they held out, but those of which they learnt nothing."""
    rows, others = zip(*(aim.learnt(rows) for _, rows in answered), strict=True)
    table, protocol, (first, *_) = merging.stacked(rows), answered[0][0].protocol, aim.metrics
    result = optimism.result(protocol or "", table, aim)
    figure = result.figures[first.name]
    return {
        first.name: figure.value, "interval": figure.interval, "clips": result.clips, "speakers": result.speakers,
        "protocol": protocol, "trainings": len(answered), "unlearnt": sorted(set.union(*others)),
    }  # fmt: skip


def _say(path: Path) -> None:
    """Say where the model is, and what to expect of it."""
    model = modelfile.read(path)
    clips, expected = talk.counted(model.trained["clips"], "clip"), cards.expected(model)
    talk.say(f"{path}: trained on all {clips}, so that its own score is unknown; expected: {expected}")
