"""From the words of `sertool train` to a run: what is trained, on which rows, and how often."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from sertool import (
    batches,
    designing,
    device,
    featurizing,
    heldout,
    manifest,
    members,
    merging,
    optimism,
    preparing,
    refusals,
    run_folder,
    run_report,
    runs,
    splitting,
    talk,
    targets,
    teacher_answers,
    teacher_models,
    team,
    wire,
    workers,
)
from sertool.design import Design, Member
from sertool.designing import Asked
from sertool.errors import UsageError
from sertool.extract import Extraction
from sertool.heldout import Way, Wish
from sertool.locks import alone
from sertool.manifest import Table
from sertool.member_scores import Figures
from sertool.members import Onlooker
from sertool.parts import WHOLE
from sertool.paths import plain_name
from sertool.preparing import Inputs
from sertool.splits import DEV, TEST, TRAIN
from sertool.targets import Material
from sertool.teacher_answers import Told
from sertool.teacher_models import Staff
from sertool.team import Team

NAMING = (  # beside the loop's settings
    "scale", "adapt", "prior_clips", "pack", "select", "reduce", "split", "folds", "loso", "protocol", "gap",
    "train_on", "test_on", "always_train", "no_dev",
)  # fmt: skip


@dataclass(frozen=True)
class Manner:
    """Where a run goes, where it is computed, and what becomes of what is there."""

    out: str | None = None
    kind: str | None = None  # the format on stdout
    device: str = "auto"
    jobs: int | None = None
    overwrite: bool = False
    wait: bool = False
    dry_run: bool = False


class Workplace(NamedTuple):
    """Where the members of one way to divide go and are trained, and who teaches them."""

    folder: Path
    overwrite: bool
    device: str
    staff: Staff | None  # a teacher's models
    told: Told | None  # or its answers from a file


@device.memory_kept()
def run(rows: Inputs, asked: Asked, wish: Wish, manner: Manner) -> None:
    """Train every member and write the held-out predictions."""
    kind, picked = wire.format_for(None, manner.kind), device.pick(manner.device)
    told = _told(rows, asked.teacher)
    jobs = manner.jobs or workers.cores()
    if manner.jobs:
        torch.set_num_threads(jobs)
    table = heldout.released(preparing.read(rows), wish)
    designing.refuse_beside_labels(table, asked)
    design = designing.design(table, asked)
    refusals.refuse_idle_seeds(design.model, wish.seeds)
    ways = heldout.ways(table, wish, asked.published.get("protocol"))
    folder = Path(manner.out) if manner.out else _folder(asked, wish)
    places = [(way, folder / way.folder) for way in ways]
    if manner.dry_run:
        return _say_plan(table, design, asked, wish, places, told=told, overwrite=manner.overwrite)
    own = team.join(picked)
    leads = Team().leads
    if not leads:
        talk.set_verbosity(-1)
    with team.leader_first():
        to_make = preparing.features_to_make(table, design, asked, picked)
        design = preparing.grouped(table, design, asked, to_make)
        _look_ahead(table, design, asked, wish, places, to_make, told=told)
    with alone(folder, manner.wait) if leads else nullcontext():
        if leads:
            runs.sweep(folder)
        with team.leader_first():
            shards = featurizing.ShardFolder(folder / "features", WHOLE, manner.overwrite, manner.wait or not leads)
            table = preparing.featurized(table, to_make, shards, picked, jobs)
            staff = _staff(table, asked.teacher, folder, picked, jobs)
        made = [
            _divided(table, way, design, wish, Workplace(there, manner.overwrite, own, staff, told))
            for way, there in places
        ]
        if wish.gap:
            optimism.say([way.named for way in ways], made)
    if leads and not (talk.to_terminal() and manner.kind is None):
        wire.write(made[-1], None, kind)
    return None


def _folder(asked: Asked, wish: Wish) -> Path:
    """Where a run goes that nobody gave a folder: a name for the model and what was said of it."""
    said = {**asked.training, **vars(asked), **vars(wish)}
    given = {
        name: said[name] for name in (*asked.training, *NAMING) if said[name] is not None and said[name] is not False
    }
    words = [asked.recipe, asked.model, *(asked.features or ()), *asked.settings]
    plain = {name: ",".join(value) if isinstance(value, tuple) else value for name, value in given.items()}
    words += [name if value is True else f"{name}={value}" for name, value in plain.items()]
    return Path("runs") / plain_name("-".join(word for word in words if word), gap="_")


def _divided(table: Table, way: Way, design: Design, wish: Wish, place: Workplace) -> Table:
    """All members of one way to divide; their held-out predictions together."""
    folder, overwrite, own, staff, told = place
    leads = Team().leads
    table, wanted = _members(table, way, wish, folder)
    held = _taught(targets.load(table, design, own, told), wanted, staff)
    described = {each.name: runs.described(held[each.name], design, each) for each in wanted}
    with ExitStack() as until_done:
        with team.leader_first():
            among_more = leads and not overwrite and runs.among_more(folder, described)
            if leads:
                until_done.enter_context(runs.claimed(folder, described, overwrite))
        run_report.say_emotions(manifest.keep(table, wanted[0].split == TRAIN), design)
        trained = [_one(held[each.name], design, each, folder, alone=len(wanted) == 1) for each in wanted]
    predicted = merging.stacked([rows for rows, _ in trained])
    named = heldout.protocol(table, way)
    predicted = manifest.made_by(predicted, talk.command_line(), wish.seed, table, named)
    if leads:
        joined = folder / run_folder.PREDICTIONS
        if not among_more:
            wire.write(predicted, str(joined), "parquet")
        run_report.say_result(predicted, [scores for _, scores in trained], named, folder)
        if among_more:
            talk.say(f"{joined} holds those of other seeds as well")
    return predicted


def _members(table: Table, way: Way, wish: Wish, folder: Path) -> tuple[Table, list[Member]]:
    """The table divided in a way, and the trainings that it needs, each with something to learn and to show for it."""
    table = heldout.divided(table, way, wish)
    made = heldout.divisions(table, way, wish)
    heldout.refuse_leaks(table, way, made)
    wanted = runs.members(made, wish.seeds, wish.seed, heldout.protocol(table, way))
    for member in wanted[:: wish.seeds]:
        heldout.check(member.split, table, f"{folder / member.name}")
    heldout.warn_of_partless(table, _used(wanted), wish)
    return table, wanted


def _used(wanted: Sequence[Member]) -> np.ndarray:
    """The rows that any training has a use for, bool `[rows]`."""
    return np.any([member.split >= 0 for member in wanted], axis=0)


def _look_ahead(
    table: Table,
    design: Design,
    asked: Asked,
    wish: Wish,
    places: Sequence[tuple[Way, Path]],
    to_make: Extraction | None,
    *,
    told: Told | None,
) -> list[tuple[Table, list[Member]]]:
    """Refuse what cannot be trained, and say what flatters it, before anything is made for it; what each way trains."""
    records = preparing.records(table, design, to_make)
    splitting.warn_of_like_names(table)
    refusals.refuse(table, design, records, preparing.width(table, design, to_make))
    if asked.published and batches.featured(table):
        preparing.compare_features(asked, design, records)
    plans = [_members(table, way, wish, folder) for way, folder in places]
    lessons = preparing.lessons(table, design, records)
    ahead = list(zip((way for way, _ in places), plans, strict=True))
    refusals.require_dev(asked.training, {heldout.protocol(divided, way): wanted for way, (divided, wanted) in ahead})
    for way, (divided, wanted) in ahead:
        held = np.any([np.isin(member.split, (DEV, TEST)) for member in wanted], axis=0)
        named = heldout.protocol(divided, way)
        refusals.warn_of_own_ears(manifest.keep(divided, held), records, lessons, named)
        if not heldout.is_leaky(named):
            refusals.refuse_taught_ears(divided, lessons, [member.split for member in wanted[:: wish.seeds]])
        if design.teacher:
            _require_teacher(design.teacher, told, divided, wanted)
    return plans


def _told(rows: Inputs, source: str | None) -> Told | None:
    """What a teacher says in a file, read once for all that asks; a model is asked later."""
    if source is None:
        return None
    if source == "-" and "-" in rows.sources:
        raise UsageError("--teacher - and the manifest are both to be read from stdin: give one of them as a file")
    teacher_models.require_there(source)
    return None if teacher_models.is_model(source) else teacher_answers.read(source)


def _require_teacher(source: str, told: Told | None, table: Table, wanted: Sequence[Member]) -> None:
    """Refuse a teacher who lacks an emotion that is learnt or would tell of those who are held out."""
    trains = np.any([member.split == TRAIN for member in wanted], axis=0)
    learnt = {word for word, _ in manifest.counts(manifest.keep(table, trains), "emotion")}
    if told is None:
        teacher_models.require_knows(source, learnt)
        return
    teacher_models.refuse_tellers(source, table, [member.split for member in wanted])
    taught = teacher_answers.taught(table, told)
    taught.over(sorted(learnt))
    for member in wanted:
        teacher_models.require_lesson(source, taught, member.split)


def _staff(table: Table, source: str | None, folder: Path, device: str, jobs: int) -> Staff | None:
    """The teacher, if it is a model, with its answers."""
    if source is None or not teacher_models.is_model(source):
        return None
    return teacher_models.staff(table, source, folder, device, jobs)


def _taught(held: Material, wanted: Sequence[Member], staff: Staff | None) -> dict[str, Material]:
    """What each member learns from: of a teacher's models, those that do not know whom it holds out."""
    first, each_split = wanted[0], {each.name: each.split for each in wanted}
    if staff is not None:
        lessons = {name: teacher_models.lesson(staff, held.table, split) for name, split in each_split.items()}
        teacher_models.say(lessons[first.name], first.split, teacher_models.met(staff, held.table, first.split))
        return {name: replace(held, taught=lesson) for name, lesson in lessons.items()}
    if held.taught is not None:
        teacher_models.say(held.taught, first.split)
    return dict.fromkeys(each_split, held)


def _one(held: Material, design: Design, member: Member, folder: Path, *, alone: bool) -> tuple[Table, Figures]:
    def say(figures: Figures) -> None:
        (talk.say if alone else talk.detail)(run_report.epoch_line(figures))

    def watch(order: list[np.ndarray], what: str) -> Iterable[np.ndarray]:
        return talk.progress(order, len(order), what if alone else f"{member.name}, {what}", "step")

    predicted, scores = members.train(held, design, member, folder / member.name, Onlooker(say, watch))
    if not alone:
        talk.say(f"{member.name}: {run_report.line([scores])}")
    return predicted, scores


def _say_plan(
    table: Table,
    design: Design,
    asked: Asked,
    wish: Wish,
    places: Sequence[tuple[Way, Path]],
    *,
    told: Told | None,
    overwrite: bool,
) -> None:
    """What would be trained, once what can be known before has been looked at."""
    to_make = preparing.features_to_make(table, design, asked, "cpu", fetch=False)
    design = preparing.grouped(table, design, asked, to_make)
    plans = _look_ahead(table, design, asked, wish, places, to_make, told=told)
    for (way, folder), (divided, wanted) in zip(places, plans, strict=True):
        if runs.finished(folder, _foreseen(divided, design, wanted, told), overwrite):
            talk.say(f"{folder} is finished: would print its predictions again, and train nothing")
            continue
        named = " as ".join(filter(None, (asked.model, asked.recipe)))
        talk.say(f"would train {named} on {talk.counted(int(_used(wanted).sum()), 'clip')}, {way.named}, in {folder}")


def _foreseen(table: Table, design: Design, wanted: Sequence[Member], told: Told | None) -> dict[str, dict[str, Any]]:
    """What will be said of each member, as far as it is known before features are made and a model teaches."""
    if not batches.featured(table) or (design.teacher and told is None):
        return {each.name: runs.foreknown(design, each) for each in wanted}
    held = targets.load(table, design, "cpu", told)
    return {each.name: runs.described(held, design, each) for each in wanted}
