"""Build the data of a member: its rows, and their targets."""

from dataclasses import dataclass

import numpy as np

from sertool.augment import augmenting
from sertool.divisions.splits import DEV, TRAIN
from sertool.errors import UsageError
from sertool.manifests import manifest
from sertool.manifests.manifest import Table
from sertool.modelfiles import batches, row_scaling, speaker_scaling
from sertool.modelfiles.batches import Store
from sertool.system import talk
from sertool.train import consistency, selection, teacher_answers
from sertool.train.aim import LessonPlan
from sertool.train.design import Design, Member
from sertool.train.teacher_answers import Imitated, Taught, TeacherPredictions
from sertool.train.training_data import Data


@dataclass(frozen=True)
class Material:
    """The rows that all members share, with a teacher's answers and features."""

    table: Table
    store: Store
    taught: Taught | None = None
    imitated: Imitated | None = None


def load(table: Table, design: Design, device: str, predictions: TeacherPredictions | None = None) -> Material:
    """Return the material of a table; `predictions` are a teacher's predictions from a file."""
    return Material(
        table,
        batches.load(table, design.features, device),
        teacher_answers.answers_for(table, predictions) if predictions else None,
        teacher_answers.imitated(table, design.imitate, device) if design.imitate else None,
    )


def build(material: Material, design: Design, member: Member) -> Data:
    """Return a member's data: the clips of which it can learn, or by which it is judged."""
    store, corpora = material.store, _corpora(material.table)
    plan = LessonPlan(member.split, corpora, design.training, store.device, material.taught)
    lesson = design.aim.lesson(material.table, plan)
    train = np.flatnonzero((member.split == TRAIN) & lesson.teaches)
    dev = np.flatnonzero((member.split == DEV) & lesson.known)
    dev = dev if lesson.can_judge(dev) else dev[:0]
    group = voices(material.table) if design.adapt else None
    scale = row_scaling.ADAPTS[design.scale] if design.adapt else design.scale
    scaling = row_scaling.of_clips(store, train, scale, design.prior_clips)
    if group is not None:
        scaling = speaker_scaling.fitted(store, train, group, lesson.targets.cpu().numpy(), scaling)
    built = Data(
        store=store, lesson=lesson, train=train, dev=dev, scaling=scaling, group=group, corpus=corpora,
        goals=None if material.imitated is None else teacher_answers.goals(material.imitated, train),
        original=consistency.original_of(material.table, store.lengths, train) if design.training.steady else None,
    )  # fmt: skip
    return _with_fewer_columns(built, design, material.table)


def voices(table: Table) -> np.ndarray:
    """Return each clip's voice number from 1, `[clips]`: its speaker or, for k-th copies, their speaker's k-th voice.

    A caller is heard on the telephone alone. So copies that sound like a telephone must not help to normalise the
    speaker's other clips, nor the other way round.
    """
    require_speakers(table)
    both = np.stack([manifest.codes(table, "speaker").index, augmenting.numbers(table)])
    return np.unique(both, axis=1, return_inverse=True)[1].reshape(-1) + 1


def require_speakers(table: Table) -> None:
    """Refuse clips without a speaker."""
    nameless = int(manifest.lacking(table, "speaker").sum())
    if nameless:
        count = talk.counted(nameless, "clip")
        raise UsageError(f"--adapt speaker: {count} without a speaker: say who speaks at `sertool index`")


def _corpora(table: Table) -> np.ndarray:
    """Return each clip's corpus number from 1, `[clips]`; 0 for clips without a corpus."""
    return manifest.codes(table, "corpus").index.astype(np.int64) + 1


def _with_fewer_columns(data: Data, design: Design, table: Table) -> Data:
    """Return the data after `--select` and `--reduce`, both fitted to training rows only."""
    truth = data.lesson.truth[data.train]
    if design.select is not None:
        speakers = manifest.codes(table, "speaker").index[data.train]
        columns = selection.select(data.single_rows(data.train), truth, speakers, most=design.select)
        data = data.mapped(*selection.picked(columns, data.columns))
    if design.reduce is not None:
        data = data.mapped(*selection.reduce(design.reduce, data.single_rows(data.train), truth))
    return data
