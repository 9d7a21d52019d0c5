"""Learn emotions: the loss is the cross-entropy of each clip's label, votes or teacher's answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from sertool.divisions.splits import TRAIN
from sertool.errors import SertoolError
from sertool.manifests import labels, manifest
from sertool.manifests.answer_kinds import AnswerKind, Emotions
from sertool.manifests.manifest import Table
from sertool.networks import classical
from sertool.numeric import metrics
from sertool.system import talk
from sertool.system.files import listed
from sertool.system.team import Team
from sertool.train import label_sets
from sertool.train.aim import Aim, BatchLoss, Lesson, LessonPlan
from sertool.train.row_augmentation import Mixup
from sertool.train.teacher_answers import Taught
from sertool.train.training_settings import Settings

STEPS = 300  # of the regression that a head begins with
LEAST = 1e-30  # smaller probabilities count as this, as some are too small for float32
PRIOR = 3.0  # a temperature T is penalised like this many clips with a loss of log(T)^2


@dataclass(frozen=True)
class EmotionLesson(Lesson):
    """The emotions of clips; `targets` are probabilities, `[clips, emotions]`."""

    kind: Emotions
    targets: Tensor
    emotion: np.ndarray  # of each clip, -1 if it is none of those that are learnt, `[clips]`
    judged: Tensor | None = None  # bool `[clips, emotions]`: emotions that a clip is judged among; None: all
    taught: np.ndarray | None = None  # the clips without an emotion that a teacher answers for, bool `[clips]`

    @property
    def known(self) -> np.ndarray:
        return self.emotion >= 0

    @property
    def teaches(self) -> np.ndarray:
        return self.known if self.taught is None else self.known | self.taught

    @cached_property
    def truth(self) -> np.ndarray:
        """The emotion of each clip, by its largest target, `[clips]`."""
        return np.where(self.known, self.emotion, self.targets.argmax(dim=1).cpu().numpy())

    def batch_loss(self, settings: Settings, train: np.ndarray, team: Team) -> BatchLoss:
        return EmotionLoss(self, settings.smoothing, self.weights(settings, train))

    def weights(self, settings: Settings, train: np.ndarray) -> Tensor:
        """Return the weight of each emotion's loss, `[emotions]`."""
        classes = self.targets.shape[1]
        counts = np.maximum(np.bincount(self.truth[train], minlength=classes), 1)
        weights = len(train) / (classes * counts) if settings.balance == "weights" else np.ones(classes)
        return torch.from_numpy(weights).float().to(self.targets.device)

    def loss(self, outputs: Tensor, clips: np.ndarray) -> float:
        return float(nn.functional.cross_entropy(outputs, torch.from_numpy(self.truth[clips])))

    def figures(self, outputs: Tensor, clips: np.ndarray) -> dict[str, float]:
        return _recalls(outputs, self.truth[clips])

    def figures_of_corpus(self, outputs: Tensor, clips: np.ndarray, used: np.ndarray) -> dict[str, float]:
        """Add the UAR when answers are restricted to the corpus' own emotions, unless it has all."""
        own = np.unique(self.emotion[used[self.known[used]]])
        figures = self.figures(outputs, clips)
        if len(own) < outputs.shape[1]:
            figures["uar_own"] = _recalls(outputs[:, own], np.searchsorted(own, self.truth[clips]))["uar"]
        return figures

    def group_sizes(self, how: str, train: np.ndarray, corpora: np.ndarray) -> np.ndarray:
        return label_sets.group_sizes(how, self.truth[train], corpora[train])

    def regression(self, rows: np.ndarray, c: float, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return classical.linear(classical.regression(rows, self.truth[train], c, STEPS))

    def temperature(self, outputs: Tensor, clips: np.ndarray) -> float:
        return calibrated(outputs, self.truth[clips])


@dataclass(frozen=True)
class EmotionLoss:
    """The cross-entropy of a batch, with smoothed labels and a weight for each emotion."""

    lesson: EmotionLesson
    smoothing: float
    weights: Tensor  # `[emotions]`

    def __call__(self, outputs: Tensor, clips: Tensor, mixup: Mixup | None) -> Tensor:
        """Return the summed loss; each part of a mixture is judged among its own corpus' emotions."""
        targets, smoothing = self.lesson.targets[clips], self.smoothing
        if self.lesson.judged is None:
            targets = targets * (1 - smoothing) + smoothing / targets.shape[1]
            targets = targets if mixup is None else mixup.of(targets)
            return -(targets * self.weights * outputs.log_softmax(dim=-1)).sum()
        judged = self.lesson.judged[clips]
        targets = (targets * (1 - smoothing) + smoothing * judged / judged.sum(dim=1, keepdim=True)) * self.weights
        lost = label_sets.losses(outputs, targets, judged)
        if mixup is not None:
            partner = mixup.partner.to(outputs.device)
            lost = torch.lerp(label_sets.losses(outputs, targets[partner], judged[partner]), lost, mixup.share)
        return lost.sum()


def _recalls(outputs: Tensor, truth: np.ndarray) -> dict[str, float]:
    counted = metrics.tally(metrics.confusion(truth, outputs.argmax(dim=1).numpy(), outputs.shape[1]))
    return {"uar": float(metrics.uar(counted)), "wa": float(metrics.accuracy(counted))}


def calibrated(logits: Tensor, truth: np.ndarray) -> float:
    """Return the temperature at which the probabilities of held-out speakers have the lowest loss.

    If few clips are all answered right, perhaps by chance, the loss falls without end as the temperature falls. So a
    temperature other than 1 is penalised, enough to matter for a few clips but not for hundreds.
    """
    grid, target = torch.logspace(-1, 3, 401), torch.from_numpy(truth)
    losses = torch.stack([nn.functional.cross_entropy(logits / t, target) for t in grid])
    return round(float(grid[(losses + PRIOR * grid.log() ** 2 / len(truth)).argmin()]), 4)


class EmotionAim(Aim):
    """Emotions, those that a training's clips have."""

    what = "emotions"
    usual: ClassVar = {"metric": "uar"}
    metrics = Emotions.metrics

    def takes(self, option: str, value: Any) -> bool:
        return (option, value) != ("metric", "ccc")

    def require_learnable(self, train: Table, name: str) -> None:
        emotions = [word for word, _ in manifest.counts(train, "emotion")]
        if len(emotions) < 2:
            has = listed(emotions) or "no emotion"
            raise SertoolError(f"{name}: the training clips have {has}: two emotions are needed")

    def note(self, train: Table, *, masks: bool) -> str:
        """Return how the corpora differ in emotions, and what happens to those that one lacks."""
        corpora = sorted(manifest.present(train, "corpus"))
        emotions = {name: {*manifest.present(manifest.only(train, "corpus", [name]), "emotion")} for name in corpora}
        sets = {name: words for name, words in emotions.items() if words}
        everywhere = set.intersection(*sets.values()) if sets else set()
        more = {name: sorted(words - everywhere) for name, words in sets.items() if words - everywhere}
        if not more:
            return ""
        extras = "; ".join(f"{name} also {', '.join(words)}" for name, words in more.items())
        consequence = "are left out of its clips' loss" if masks else "count as wrong for its clips"
        shared = talk.counted(len(everywhere), "emotion")
        return f"the corpora share {shared} ({extras}): those that a corpus lacks {consequence}"

    def truths(self, table: Table) -> Mapping[str, Sequence[Any]]:
        return {"emotions": manifest.column(table, "emotion")}

    def kind(self, train: Table) -> Emotions:
        """Return the emotions of the training rows, in the usual order."""
        trained = {*manifest.present(train, "emotion")}
        usual = [word for word in labels.EMOTIONS if word in trained]
        return Emotions(usual + sorted(trained - {*usual}))

    def lesson(self, table: Table, plan: LessonPlan) -> EmotionLesson:
        """Return the emotions of clips, and what a teacher answers for unlabelled training clips."""
        kind, own = self.kind(manifest.keep(table, plan.split == TRAIN)), manifest.column(table, "emotion")
        place: dict[str | None, int] = {word: index for index, word in enumerate(kind.names)}
        emotion = np.array([place.get(word, -1) for word in own])
        taught = None if plan.taught is None else np.array([word is None for word in own]) & plan.taught.known
        lesson = EmotionLesson(kind, _targets(table, emotion, kind.names, plan.settings.soft), emotion, taught=taught)
        train = np.flatnonzero((plan.split == TRAIN) & lesson.teaches)
        masks = plan.settings.absent_emotions == "mask"
        judged = label_sets.among(lesson.targets, plan.corpora, train, lesson.known) if masks else None
        targets = lesson.targets if plan.taught is None else _taught(lesson, plan.taught, plan.settings.teach, train)
        if plan.taught is not None and judged is not None:
            targets = label_sets.within(targets, judged)
        judged = None if judged is None else judged.to(plan.device)
        return replace(lesson, targets=targets.to(plan.device), judged=judged)

    def of_corpora(self, train: Table, kind: AnswerKind) -> dict[str, Any]:
        corpora = [name for name, _ in manifest.counts(train, "corpus")]
        there = {name: {*manifest.present(manifest.only(train, "corpus", [name]), "emotion")} for name in corpora}
        return {"emotions": {name: [word for word in kind.names if word in there[name]] for name in corpora}}

    def learnt(self, rows: Table) -> tuple[Table, set[str]]:
        emotions = manifest.family(rows, "p_")
        return manifest.only(rows, "emotion", emotions), {*manifest.present(rows, "emotion")} - {*emotions}

    def in_common(self, tables: Sequence[Table]) -> tuple[Sequence[Table], str]:
        emotions = [{*manifest.present(table, "emotion")} for table in tables]
        both = sorted(set.intersection(*emotions))
        note = "" if all(own == emotions[0] for own in emotions) else f"; figures of what both hold out: {listed(both)}"
        return [manifest.only(table, "emotion", both) for table in tables], note

    def temperature(self, answered: Sequence[tuple[Table, float]], kind: AnswerKind) -> float:
        logits, truth = zip(*(logits_of(rows, kind.names, own) for rows, own in answered), strict=True)
        return calibrated(torch.cat(logits), np.concatenate(truth))


def logits_of(rows: Table, words: Sequence[str], temperature: float) -> tuple[Tensor, np.ndarray]:
    """Return the logits behind a training's probabilities, `[clips, words]`, and the truth, of emotions it learnt."""
    rows = manifest.only(rows, "emotion", manifest.family(rows, "p_"))
    shares = np.array([manifest.column(rows, f"p_{word}", 0.0) for word in words]).T
    truth = np.array([words.index(word) for word in manifest.column(rows, "emotion")], np.int64)
    return torch.from_numpy(shares).clamp(min=LEAST).log() * temperature, truth


def _targets(table: Table, emotion: np.ndarray, words: Sequence[str], soft: float) -> Tensor:
    """Return target probabilities, `[clips, emotions]`: the label, mixed with listeners' votes by the share `soft`."""
    targets = nn.functional.one_hot(torch.from_numpy(np.maximum(emotion, 0)), len(words)).float()
    if soft:
        columns = [manifest.column(table, f"soft_{word}", 0.0) for word in words]
        shares = torch.tensor([[value or 0.0 for value in column] for column in columns]).T
        votes = shares.sum(dim=1, keepdim=True)
        targets = torch.where(votes > 0, (1 - soft) * targets + soft * shares / votes.clamp(min=1e-9), targets)
    return targets


def _taught(lesson: EmotionLesson, taught: Taught, share: float, train: np.ndarray) -> Tensor:
    """Mix the targets of training clips with the teacher's answers, where there are any, by `share`.

    Clips without an emotion are taught by the answers alone.
    """
    shares = np.where(np.isin(np.arange(len(lesson.emotion)), train), np.where(lesson.known, share, 1.0), 0.0)
    answers = torch.from_numpy(np.nan_to_num(taught.as_shares_of(lesson.kind.names)))
    return torch.lerp(lesson.targets, answers, torch.from_numpy(shares * taught.known).float()[:, None])
