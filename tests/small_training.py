"""The smallest training: eighteen clips of one row each, and a network of one map."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sertool.manifests.answer_kinds import Emotions
from sertool.modelfiles.batches import Store
from sertool.modelfiles.row_scaling import Scaling
from sertool.train.emotion_aim import EmotionLesson
from sertool.train.training_data import Data

CLIPS, COLUMNS, CLASSES = 18, 4, 3
KIND = Emotions(["neutral", "happy", "angry"])


class Line(nn.Module):
    """The smallest network: one map of a clip's only row."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.map = nn.Linear(COLUMNS, CLASSES)

    def forward(self, rows: Tensor, _lengths: Tensor) -> Tensor:
        return self.map(rows[:, 0])


def data(*, contrary: bool = False) -> Data:
    """A row for each clip, which tells its emotion; `contrary` dev clips are these again, said to be of another."""
    emotion = np.arange(CLIPS) % CLASSES
    noise = np.random.default_rng(0).normal(size=(CLIPS, 1, COLUMNS))
    rows = (noise + 2 * np.eye(CLASSES, COLUMNS)[emotion][:, None]).astype(np.float32)
    if contrary:
        rows, emotion = np.concatenate([rows, rows]), np.concatenate([emotion, (emotion + 1) % CLASSES])
    views = [[row] for row in rows]
    store = Store(views, np.ones(len(views), int), COLUMNS, torch.device("cpu"), {"rms": {"stats": ["mean"]}}, [])
    targets = functional.one_hot(torch.from_numpy(emotion), CLASSES).float()
    lesson = EmotionLesson(KIND, targets, emotion)
    return Data(store, lesson, np.arange(CLIPS), np.arange(CLIPS, len(views)), Scaling())


class Summing(Line):
    """One that sums up a clip before it answers."""

    def embed(self, rows: Tensor, _lengths: Tensor) -> Tensor:
        return self.map(rows[:, 0])

    def head(self, summary: Tensor) -> Tensor:
        return summary
