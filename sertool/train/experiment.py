"""Run `sertool train`: make missing features, train every member, and join their held-out predictions."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from sertool.divisions.heldout import HeldOutOptions
from sertool.divisions.splits import TRAIN
from sertool.featurize.featurizing import ShardFolder
from sertool.manifests import manifest, manifest_io, merging, provenance, run_folder
from sertool.manifests.manifest import Table
from sertool.system import device, files, talk, team, workers
from sertool.system.locks import FolderLock, folder_lock
from sertool.system.parts import WHOLE
from sertool.system.paths import path_text
from sertool.system.team import Team
from sertool.train import (
    final_model,
    member_data,
    members,
    optimism,
    planning,
    preparing,
    run_report,
    runs,
    teacher_models,
)
from sertool.train.design import Design, Member
from sertool.train.designing import DesignOptions
from sertool.train.member_data import Material
from sertool.train.member_scores import Figures
from sertool.train.members import Callbacks
from sertool.train.planning import Division, TrainingPlan
from sertool.train.preparing import Inputs
from sertool.train.teacher_models import TeacherModels


@dataclass(frozen=True)
class RunOptions:
    """Where a run goes, where it is computed, and whether existing files may be replaced."""

    out: str | None = None
    kind: str | None = None  # the format on stdout
    device: str = "auto"
    jobs: int | None = None
    overwrite: bool = False
    wait: bool = False
    dry_run: bool = False


class Workplace(NamedTuple):
    """What all members of a run share during training."""

    overwrite: bool
    device: str
    teachers: TeacherModels | None  # None unless the teacher is a model or run
    lock: FolderLock


@device.memory_kept()
def run(inputs: Inputs, design: DesignOptions, held_out: HeldOutOptions, options: RunOptions) -> None:
    """Train every member and write the held-out predictions."""
    kind, picked = manifest_io.format_for(None, options.kind), device.pick(options.device)
    jobs = options.jobs or workers.cores()
    if options.jobs:
        torch.set_num_threads(jobs)
    plan = planning.plan(inputs, design, held_out, options.out)
    if options.dry_run:
        return planning.say(plan, overwrite=options.overwrite)
    process_device = team.join(picked)
    leads = Team().leads
    if not leads:
        talk.set_verbosity(-1)
    with team.leader_first():
        plan, known, to_make = planning.with_features(plan, picked)
        divisions = planning.check_all(plan, known)
    with folder_lock(plan.folder, options.wait, read_only_ok=True) if leads else nullcontext(FolderLock()) as lock:
        if leads:
            runs.sweep(plan.folder)
        with team.leader_first():
            place = ShardFolder(plan.folder / "features", WHOLE, options.overwrite, options.wait or not leads)
            plan = replace(plan, table=preparing.featurized(plan.table, to_make, place, picked, jobs))
            teachers = _teachers(plan.table, design.teacher, plan.folder, picked, jobs)
        workplace = Workplace(options.overwrite, process_device, teachers, lock)
        if to_make is not None:  # extraction may have set clips aside
            divisions = planning.divisions(plan)
        predictions = [_divided(plan, division, workplace) for division in divisions]
        if held_out.gap:
            optimism.say([division.way.protocol for division in divisions], predictions, plan.design.aim)
        if leads:
            for way in plan.ways:
                files.no_older(plan.folder / way.folder / run_folder.PREDICTIONS, inputs.sources)
    if leads and not (talk.to_terminal() and options.kind is None):
        manifest_io.write(predictions[-1], None, kind)
    return None


def _divided(plan: TrainingPlan, division: Division, place: Workplace) -> Table:
    """Train all members of one way to divide; return their joined held-out predictions."""
    way, table, trainings, final = division
    design, folder = plan.design, plan.folder / way.folder
    material = member_data.load(table, design, place.device, plan.teacher_file)
    materials = _materials(material, division.members, place.teachers)
    described = {member.name: runs.describe(materials[member.name], design, member) for member in division.members}
    with _claimed(folder, described, place) as other_seeds:
        run_report.say_note(manifest.keep(table, trainings[0].split == TRAIN), design)
        alone = len(trainings) == 1
        trained = [_train_member(materials[member.name], design, member, folder, alone=alone) for member in trainings]
        answered = [(member, rows) for member, (rows, _) in zip(trainings, trained, strict=True)]
        predicted = _joined(answered, plan, division)
        if Team().leads:
            joined = folder / run_folder.PREDICTIONS
            first_seeds = trainings[:: plan.held_out.seeds]
            others = [runs.of_seed(member, seed) for member in first_seeds for seed in other_seeds]
            also = [(member, members.answered(table, design, member, folder)) for member in others]
            _write(joined, _joined([*answered, *also], plan, division), refused=not place.lock.is_writable)
            run_report.say_result(
                predicted, [scores for _, scores in trained], way.protocol, folder, design.aim.metrics
            )
            if others:
                talk.say(f"{joined} holds those of other seeds as well")
        if final:
            shown = _callbacks(final.name, design, alone=False)
            final_model.train(materials[final.name], design, final, answered, folder, shown)
    return predicted


def _write(path: Path, predicted: Table, *, refused: bool) -> None:
    """Write joined predictions, unless they are there already or writing is refused."""
    stays = path.exists() if refused else manifest_io.holds(str(path), predicted, "parquet")
    if not stays:
        manifest_io.write(predicted, str(path), "parquet")


@contextmanager
def _claimed(folder: Path, described: dict[str, dict[str, Any]], place: Workplace) -> Iterator[list[int]]:
    """Let the leader claim a folder for all processes, or refuse it, before any trains there; see `runs.claimed`."""
    if not Team().leads:
        with team.leader_first():
            pass
        yield []
        return
    with ExitStack() as until_done:  # the others go on once it is claimed, and it stays so until all is trained
        with team.leader_first():
            if not (place.lock.is_writable or runs.is_trained(folder, described, place.overwrite)):
                place.lock.require_writable()
            other_seeds = until_done.enter_context(runs.claimed(folder, described, place.overwrite))
        yield other_seeds


def _joined(answered: Sequence[tuple[Member, Table]], plan: TrainingPlan, division: Division) -> Table:
    """Join the predictions of some members, ordered by fold and seed, under the run's current name."""
    way, table, *_ = division
    in_order = sorted(answered, key=lambda pair: (pair[0].fold or 0, pair[0].seed))
    predicted = merging.stacked([rows for _, rows in in_order])
    named = manifest.with_column(predicted, "run", [path_text(plan.folder / way.folder)] * len(predicted))
    return provenance.made_by(named, talk.command_line(), plan.held_out.seed, table, protocol=way.protocol)


def _teachers(table: Table, source: str | None, folder: Path, device: str, jobs: int) -> TeacherModels | None:
    """Return the teacher with its answers, if it is a model or run."""
    if source is None or not teacher_models.is_model(source):
        return None
    return teacher_models.teachers(table, source, folder, device, jobs)


def _materials(material: Material, trainings: Sequence[Member], teachers: TeacherModels | None) -> dict[str, Material]:
    """Return each member's material by name, with the answers of the models that may teach it."""
    first, each_split = trainings[0], {member.name: member.split for member in trainings}
    if teachers is not None:
        taught = {
            name: teacher_models.mean_answers(teachers, material.table, split) for name, split in each_split.items()
        }
        familiar = teacher_models.familiar_clips(teachers, material.table, first.split)
        teacher_models.say(taught[first.name], first.split, familiar)
        return {name: replace(material, taught=answers) for name, answers in taught.items()}
    if material.taught is not None:
        teacher_models.say(material.taught, first.split)
    return dict.fromkeys(each_split, material)


def _train_member(
    material: Material, design: Design, member: Member, folder: Path, *, alone: bool
) -> tuple[Table, Figures]:
    predicted, scores = members.train(material, design, member, folder, _callbacks(member.name, design, alone=alone))
    if not alone:
        talk.say(f"{member.name}: {run_report.line([scores], design.aim.metrics)}")
    return predicted, scores


def _callbacks(name: str, design: Design, *, alone: bool) -> Callbacks:
    """Return what shows a member's epochs; among many, only in detail and by name."""

    def say(figures: Figures) -> None:
        (talk.say if alone else talk.detail)(run_report.epoch_line(figures, design.aim.metrics))

    def watch(order: list[np.ndarray], title: str) -> Iterable[np.ndarray]:
        return talk.progress(order, len(order), title if alone else f"{name}, {title}", "step")

    return Callbacks(say, watch)
