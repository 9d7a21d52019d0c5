"""Build the data of a member: its rows, and their targets."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sertool.augment import augmenting
from sertool.divisions.splits import DEV, TRAIN
from sertool.errors import UsageError
from sertool.manifests import labels, manifest
from sertool.manifests.manifest import Table
from sertool.modelfiles import batches, row_scaling, speaker_scaling
from sertool.modelfiles.batches import Store
from sertool.system import talk
from sertool.train import consistency, label_sets, selection, teacher_answers
from sertool.train.design import Design, Member
from sertool.train.teacher_answers import Imitated, Taught, TeacherPredictions
from sertool.train.training_data import Data


@dataclass(frozen=True)
class Material:
    """The rows that all members share, with a teacher's answers and features."""

    table: Table
    store: Store
    emotions: list[str | None]
    taught: Taught | None = None
    imitated: Imitated | None = None


def load(table: Table, design: Design, device: str, predictions: TeacherPredictions | None = None) -> Material:
    """Return the material of a table; `predictions` are a teacher's predictions from a file."""
    return Material(
        table,
        batches.load(table, design.features, device),
        manifest.column(table, "emotion"),
        teacher_answers.answers_for(table, predictions) if predictions else None,
        teacher_answers.imitated(table, design.imitate, device) if design.imitate else None,
    )


def emotions(material: Material, member: Member) -> list[str]:
    """Return the emotions that a member learns, in the usual order."""
    learnt = (material.emotions[row] for row in np.flatnonzero(member.split == TRAIN))
    trained = {word for word in learnt if word is not None}
    usual = [word for word in labels.EMOTIONS if word in trained]
    return usual + sorted(trained - set(usual))


def build(material: Material, design: Design, member: Member, words: list[str]) -> Data:
    """Return a member's data: the clips with its emotions, and unlabelled training clips that a teacher answers for."""
    place: dict[str | None, int] = {word: index for index, word in enumerate(words)}
    emotion = np.array([place.get(word, -1) for word in material.emotions])
    is_taught = material.taught is not None and material.taught.known
    unlabelled = np.array([word is None for word in material.emotions]) & is_taught
    train = np.flatnonzero((member.split == TRAIN) & ((emotion >= 0) | unlabelled))
    dev = np.flatnonzero((member.split == DEV) & (emotion >= 0))
    group = voices(material.table) if design.adapt else None
    scale = row_scaling.ADAPTS[design.scale] if design.adapt else design.scale
    scaling = row_scaling.of_clips(material.store, train, scale, design.prior_clips)
    targets, judged = _aims(material, design, words, emotion, train)
    if group is not None:
        scaling = speaker_scaling.fitted(material.store, train, group, targets.numpy(), scaling)
    store, device = material.store, material.store.device
    built = Data(
        store=store, targets=targets.to(device), train=train, dev=dev, scaling=scaling, emotion=emotion,
        group=group, goals=None if material.imitated is None else teacher_answers.goals(material.imitated, train),
        corpus=_corpora(material.table), judged=None if judged is None else judged.to(device),
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


def _aims(
    material: Material, design: Design, words: list[str], emotion: np.ndarray, train: np.ndarray
) -> tuple[Tensor, Tensor | None]:
    """Return target probabilities, and the emotions that each clip is judged among, both `[clips, classes]`."""
    settings = design.training
    targets = _targets(material.table, emotion, words, settings.soft)
    masks = settings.absent_emotions == "mask"
    judged = label_sets.among(targets, _corpora(material.table), train, emotion >= 0) if masks else None
    if material.taught is not None:
        shares = np.where(np.isin(np.arange(len(emotion)), train), np.where(emotion >= 0, settings.teach, 1.0), 0.0)
        targets = _mixed_with_answers(targets, material.taught, words, shares)
        targets = targets if judged is None else label_sets.within(targets, judged)
    return targets, judged


def _targets(table: Table, emotion: np.ndarray, words: list[str], soft: float) -> Tensor:
    """Return target probabilities, `[clips, classes]`: the label, mixed with listeners' votes by the share `soft`."""
    targets = nn.functional.one_hot(torch.from_numpy(np.maximum(emotion, 0)), len(words)).float()
    if soft:
        columns = [manifest.column(table, f"soft_{word}", 0.0) for word in words]
        shares = torch.tensor([[value or 0.0 for value in column] for column in columns]).T
        votes = shares.sum(dim=1, keepdim=True)
        targets = torch.where(votes > 0, (1 - soft) * targets + soft * shares / votes.clamp(min=1e-9), targets)
    return targets


def _mixed_with_answers(targets: Tensor, taught: Taught, words: list[str], shares: np.ndarray) -> Tensor:
    """Mix the targets with the teacher's answers, where there are any, by `shares` `[clips]`."""
    answers = torch.from_numpy(np.nan_to_num(taught.as_shares_of(words)))
    return torch.lerp(targets, answers, torch.from_numpy(shares * taught.known).float()[:, None])


def _with_fewer_columns(data: Data, design: Design, table: Table) -> Data:
    """Return the data after `--select` and `--reduce`, both fitted to training rows only."""
    truth = data.truth[data.train]
    if design.select is not None:
        speakers = manifest.codes(table, "speaker").index[data.train]
        columns = selection.select(data.single_rows(data.train), truth, speakers, most=design.select)
        data = data.mapped(*selection.picked(columns, data.columns))
    if design.reduce is not None:
        data = data.mapped(*selection.reduce(design.reduce, data.single_rows(data.train), truth))
    return data
