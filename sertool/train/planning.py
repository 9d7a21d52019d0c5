"""Plan a run, and make all checks that are possible before anything is computed for it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sertool import models
from sertool.divisions import heldout, heldout_checks, protocols, splits
from sertool.divisions.heldout import HeldOutOptions, Way
from sertool.divisions.splits import DEV, TRAIN
from sertool.errors import UsageError
from sertool.featurize.extraction import Extraction
from sertool.manifests import manifest, speakers
from sertool.manifests.manifest import Table
from sertool.modelfiles import batches
from sertool.system import talk
from sertool.system.paths import plain_name
from sertool.train import (
    designing,
    final_model,
    member_data,
    preparing,
    refusals,
    runs,
    teacher_answers,
    teacher_models,
)
from sertool.train.design import Design, KnownFeatures, Member
from sertool.train.designing import DesignOptions
from sertool.train.preparing import Inputs
from sertool.train.teacher_answers import TeacherPredictions

NAMING = (  # options, besides the loop's settings, that name a run's folder
    "dimensions", "scale", "adapt", "prior_clips", "pack", "select", "reduce", "split", "folds", "loso", "protocol",
    "gap", "train_on", "test_on", "always_train", "no_dev",
)  # fmt: skip


@dataclass(frozen=True)
class TrainingPlan:
    """What is trained, on which rows, divided in which ways, and into which folder."""

    table: Table
    design: Design
    options: DesignOptions
    held_out: HeldOutOptions
    ways: Sequence[Way]
    folder: Path
    teacher_file: TeacherPredictions | None  # if the teacher is a file


class Division(NamedTuple):
    """The result of dividing in one way: the divided table, its trainings, and the one on all clips, if asked for."""

    way: Way
    table: Table
    trainings: list[Member]
    final: Member | None

    @property
    def members(self) -> list[Member]:
        """All trainings."""
        return [*self.trainings, *filter(None, [self.final])]


def plan(inputs: Inputs, options: DesignOptions, held_out: HeldOutOptions, out: str | None) -> TrainingPlan:
    """Return the plan that the options ask for, before features are made."""
    designing.refuse_useless(options)
    answers = _file_answers(inputs, options.teacher)
    table = heldout.without_forced_parts(options.aim.usable(preparing.read(inputs)), held_out)
    designing.refuse_for_classical(table, options)
    designing.warn_of_other_clips(table, options)
    design = designing.design(table, options)
    held_out = replace(held_out, seeds=refusals.useful_seeds(design.model, held_out.seeds))
    ways = heldout.ways(table, held_out, options.published.get("protocol"))
    folder = Path(out) if out else _folder(options, held_out)
    return TrainingPlan(table, design, options, held_out, ways, folder, answers)


def _file_answers(inputs: Inputs, source: str | None) -> TeacherPredictions | None:
    """Read a teacher's predictions once, if it is a file; a model is asked later."""
    if source is None:
        return None
    if source == "-" and "-" in inputs.sources:
        raise UsageError("--teacher - and the manifest are both to be read from stdin: give one of them as a file")
    teacher_models.require_there(source)
    return None if teacher_models.is_model(source) else teacher_answers.read(source)


def _folder(options: DesignOptions, held_out: HeldOutOptions) -> Path:
    """Name the folder of a run without -o, after the model and the given options."""
    values = {**options.training, **vars(options), **vars(held_out)}
    names = (*options.training, *NAMING)
    chosen = {name: value for name in names if (value := values[name]) is not None and value is not False}
    words = [options.recipe, options.model, *(options.features or ()), *options.settings]
    plain = {name: ",".join(value) if isinstance(value, tuple) else value for name, value in chosen.items()}
    words += [name if value is True else f"{name}={value}" for name, value in plain.items()]
    return Path("runs") / plain_name("-".join(word for word in words if word), gap="_")


def divisions(plan: TrainingPlan) -> list[Division]:
    """Divide the table in each way.

    For --gap, the leaky way gets only the clips that the honest one uses, and their copies: figures that are compared
    must be of the same corpora, and of trainings on as many clips.
    """
    *leaky, honest = plan.ways
    division = _members(plan, plan.table, honest)
    if not leaky:
        return [division]
    used = heldout.with_copies(plan.table, _used(division.trainings))
    table, parts = manifest.keep(plan.table, used), [split[used] for split in _learnt(plan, division.trainings)]
    ways = (heldout.as_large(way, table, parts, plan.held_out) if way.follows else way for way in leaky)
    return [*(_members(plan, table, way) for way in ways), division]


def _members(plan: TrainingPlan, table: Table, way: Way) -> Division:
    """Divide a table in one way; each training must have clips to train on and to hold out."""
    held_out, table = plan.held_out, heldout.divided(table, way, plan.held_out)
    fold_splits = heldout.fold_splits(table, way, held_out)
    heldout_checks.refuse_leaks(table, way, fold_splits)
    trainings = runs.members(fold_splits, held_out.seeds, held_out.seed, way.protocol)
    labels, speaker = heldout.labels(table, held_out), manifest.codes(table, "speaker")
    for member in trainings[:: held_out.seeds]:
        name = f"{plan.folder / way.folder / member.name}"
        heldout_checks.require_parts(member.split, name)
        plan.design.aim.require_learnable(manifest.keep(table, member.split == TRAIN), name)
        heldout_checks.warn_of_oddities(member.split, labels, speaker, name)
    heldout_checks.warn_of_partless(table, _used(trainings), held_out)
    follows = held_out.final and way is plan.ways[-1]  # of --gap, the way without a leak
    return Division(way, table, trainings, final_model.member(table, trainings, held_out) if follows else None)


def _learnt(plan: TrainingPlan, trainings: Sequence[Member]) -> list[np.ndarray]:
    """Return the split of each training as it is learnt: classical models take the dev of a fold to train as well."""
    joins = models.fits_at_once(plan.design.model)
    return [
        splits.without_dev(member.split) if joins and member.fold is not None else member.split for member in trainings
    ]


def _used(trainings: Sequence[Member]) -> np.ndarray:
    """Return which rows any training uses, bool `[rows]`."""
    return np.any([member.split >= 0 for member in trainings], axis=0)


def with_features(
    plan: TrainingPlan, device: str, *, fetch: bool = True
) -> tuple[TrainingPlan, KnownFeatures, Extraction | None]:
    """Return the plan with its design fitted to its features, these, and how to make them if they are missing."""
    to_make = preparing.features_to_make(plan.table, plan.design, plan.options, device, fetch=fetch)
    known = preparing.known(plan.table, plan.design, to_make)
    return replace(plan, design=preparing.grouped(plan.design, plan.options, known.records)), known, to_make


def check_all(plan: TrainingPlan, known: KnownFeatures) -> list[Division]:
    """Make all checks before anything is computed; return the divisions."""
    table, design, seeds = plan.table, plan.design, plan.held_out.seeds
    speakers.warn_of_like_names(table)
    refusals.refuse(table, design, known)
    if plan.options.published and batches.featured(table):
        preparing.compare_features(plan.options, design, known.records)
    planned = divisions(plan)
    has_dev = {division.way.protocol: _has_dev(plan, division) for division in planned}
    refusals.require_dev(plan.options.training, has_dev)
    for division in planned:
        way, divided, trainings, _ = division
        refusals.warn_of_long_rise(design, [member.split for member in trainings])
        held_out = np.any([splits.is_held_out(member.split) for member in trainings], axis=0)
        refusals.warn_of_package_encoder(manifest.keep(divided, held_out), known, way.protocol)
        if not protocols.named(way.protocol).is_leaky:
            refusals.refuse_taught_encoder(divided, known, [member.split for member in trainings[::seeds]])
        if design.teacher:
            _require_teacher(design.teacher, plan.teacher_file, divided, division.members)
    return planned


def _has_dev(plan: TrainingPlan, division: Division) -> list[bool]:
    """Return for the training of each fold whether it has a dev to choose epochs by."""
    table, labels = division.table, heldout.labels(division.table, plan.held_out)
    splits = [training.split for training in division.trainings[:: plan.held_out.seeds]]
    judges = [plan.design.aim.can_judge(manifest.keep(table, split == DEV)) for split in splits]
    return [heldout.has_dev(split, labels) and can for split, can in zip(splits, judges, strict=True)]


def _require_teacher(
    source: str, answers: TeacherPredictions | None, table: Table, trainings: Sequence[Member]
) -> None:
    """Refuse a teacher that lacks an emotion, or was trained on clips or speakers that are held out."""
    trains = np.any([member.split == TRAIN for member in trainings], axis=0)
    emotions = {*manifest.present(manifest.keep(table, trains), "emotion")}
    if answers is None:
        teacher_models.require_knows(source, emotions)
        return
    teacher_models.refuse_leaking(source, table, [member.split for member in trainings])
    taught = teacher_answers.answers_for(table, answers)
    taught.as_shares_of(sorted(emotions))
    for member in trainings:
        teacher_models.require_answers(source, taught, member.split)


def say(plan: TrainingPlan, *, overwrite: bool) -> None:
    """Say what would be trained, after all checks."""
    plan, known, _ = with_features(plan, "cpu", fetch=False)
    for division in check_all(plan, known):
        way, divided, trainings, final = division
        folder = plan.folder / way.folder
        described = _described_ahead(divided, plan.design, division.members, plan.teacher_file)
        if runs.is_trained(folder, described, overwrite):
            talk.say(f"{folder} is finished: would print its predictions again, and train nothing")
            continue
        title = " as ".join(filter(None, (plan.options.model, plan.options.recipe)))
        count = talk.counted(int(_used(trainings).sum()), "clip")
        then = f", then on all of them in {folder / final.name}" if final else ""
        talk.say(f"would train {title} on {count}, {way.protocol}, in {folder}{then}")


def _described_ahead(
    table: Table, design: Design, trainings: Sequence[Member], answers: TeacherPredictions | None
) -> dict[str, dict[str, Any]]:
    """Describe each member, as far as known before features are made and a teacher's model answers."""
    if not batches.featured(table) or (design.teacher and answers is None):
        return {training.name: runs.describe_ahead(design, training) for training in trainings}
    material = member_data.load(table, design, "cpu", answers)
    return {training.name: runs.describe(material, design, training) for training in trainings}
