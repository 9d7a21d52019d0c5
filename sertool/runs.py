"""A training run: its members (folds and seeds), a folder for each, and the held-out predictions of all together.

runs/NAME/settings.json          everything that decides the run
runs/NAME/fold-0/seed-0/         a member: model.safetensors, metrics.jsonl, curves.png, predictions.parquet
runs/NAME/predictions.parquet    the held-out rows of all members
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sertool import batches, labels, manifest, modelfile, models, splits, training, wire
from sertool.errors import SertoolError, UsageError
from sertool.files import listed, whole
from sertool.inference import SCALING
from sertool.manifest import Table
from sertool.training import Data

TRAIN, DEV, TEST = range(3)


@dataclass(frozen=True)
class Design:
    """What is trained on what, beside the settings of the loop."""

    model: str
    settings: Any
    training: training.Settings
    features: tuple[str, ...]
    scale: str = "corpus"


@dataclass(frozen=True)
class Member:
    """One training: a split of the rows and a seed."""

    name: str
    seed: int
    fold: int | None
    split: np.ndarray  # int8 `[rows]`: train, dev, test, or -1


def emotions_of(table: Table, rows: np.ndarray) -> list[str]:
    """The emotions of some rows in the usual order."""
    there = {word for word, _ in manifest.counts(manifest.keep(table, rows), "emotion")}
    usual = [word for word in labels.EMOTIONS if word in there]
    return usual + sorted(there - set(usual))


def members(divisions: Sequence[tuple[int | None, np.ndarray]], seeds: int, first_seed: int) -> list[Member]:
    """Every fold with every seed."""
    made = []
    for fold, split in divisions:
        for seed in range(first_seed, first_seed + seeds):
            place = f"seed-{seed}" if fold is None else f"fold-{fold}/seed-{seed}"
            made.append(Member(place, seed, fold, split))
    return made


def divisions(table: Table, fold_seed: int) -> list[tuple[int | None, np.ndarray]]:
    """The splits that a manifest holds: one, or one for each fold."""
    if "split" in table.column_names:
        coded = manifest.codes(table, "split")
        place = {word: index for index, word in enumerate(splits.PARTS)}
        unknown = [str(word) for word in coded.values if str(word) not in place]
        if unknown:
            raise SertoolError(f"split {unknown[0]!r} is none of {', '.join(splits.PARTS)}")
        numbers = np.array([place[str(word)] for word in coded.values] + [-1], np.int8)
        return [(None, numbers[coded.index])]
    fold = np.array([-1 if value is None else value for value in manifest.column(table, "fold")], np.int16)
    columns = {
        name: manifest.codes(table, name) for name in ("clip", "speaker", "parent") if name in table.column_names
    }
    return [(int(k), splits.split_of_fold(fold, columns, int(k), fold_seed)) for k in np.unique(fold[fold >= 0])]


def held_out(split: np.ndarray) -> int:
    """The part that figures are read on: test where it has clips, else dev."""
    return TEST if (split == TEST).any() else DEV


class Run:
    """A run folder and what belongs in it."""

    def __init__(self, table: Table, design: Design, folder: Path, device: str) -> None:
        self.table, self.design, self.folder, self.device = table, design, folder, device
        self.store = batches.load(table, design.features, device)
        self.emotions = [word or "" for word in manifest.column(table, "emotion")]

    def member(self, member: Member, say: Callable[[dict[str, Any]], None]) -> Table:
        """Train one member unless it is trained already; its held-out predictions."""
        folder = self.folder / member.name
        key = self.key(member)
        finished = folder / "predictions.parquet"
        _claim(folder, key)
        if finished.exists():
            return wire.read(str(finished))
        data, words = self.data(member)
        torch.manual_seed(member.seed)
        module = models.load(self.design.model)
        model = module.Model(self.design.settings, self.store.columns, len(words))
        history = self.fitted(model, data, member, folder, say)
        return self.concluded(model, data, words, member, history)

    def data(self, member: Member) -> tuple[Data, list[str]]:
        """What a member learns from, and the emotions it learns."""
        known = np.array([bool(word) for word in self.emotions])
        train = np.flatnonzero((member.split == TRAIN) & known)
        words = emotions_of(self.table, (member.split == TRAIN) & known)
        if len(words) < 2:
            what = f"{len(train):,} training clips of {listed(words) or 'no emotion'}"
            raise SertoolError(f"{member.name}: {what}: two emotions are needed")
        place = {word: index for index, word in enumerate(words)}
        held = np.array([place.get(word, -1) for word in self.emotions])
        dev = np.flatnonzero((member.split == DEV) & (held >= 0))
        group = self._group()
        scaled = np.arange(len(self.store)) if self.design.scale == "speaker" else train
        scaling = batches.scaling(self.store, scaled, self.design.scale, group)
        return Data(self.store, self._targets(held, words), train, dev, scaling, group), words

    def _group(self) -> np.ndarray | None:
        return manifest.codes(self.table, "speaker").index.astype(np.int64) if self.design.scale == "speaker" else None

    def _targets(self, held: np.ndarray, words: list[str]) -> Tensor:
        """Probabilities to learn, `[clips, classes]`: the emotion, mixed with the listeners' shares if asked."""
        targets = torch.nn.functional.one_hot(torch.from_numpy(np.maximum(held, 0)), len(words)).float()
        soft = self.design.training.soft
        if soft:
            columns = [manifest.column(self.table, f"soft_{word}", 0.0) for word in words]
            shares = torch.tensor([[value or 0.0 for value in column] for column in columns]).T
            if not shares.any():
                raise UsageError("--soft needs the listeners' shares: index with --labels soft")
            heard = shares.sum(dim=1, keepdim=True)
            targets = torch.where(heard > 0, (1 - soft) * targets + soft * shares / heard.clamp(min=1e-9), targets)
        return targets.to(self.store.device)

    def fitted(
        self, model: Any, data: Data, member: Member, folder: Path, say: Callable[[dict[str, Any]], None]
    ) -> list[dict[str, Any]]:
        """Fit a network epoch by epoch, or a classical model at once."""
        if hasattr(model, "fit"):
            if self.store.lengths.max() > 1:
                raise UsageError(f"{self.design.model} takes one row a clip: featurize with --stats, such as mean,std")
            rows, lengths = self.store.take(data.train)
            x = data.scaling.apply(rows, lengths)[:, 0].numpy()
            model.fit(x, data.truth[data.train], self._weights(data), member.seed)
            return []
        history = []
        for figures in training.fit(model, data, self.design.training, member.seed, folder):
            history.append(figures)
            say(figures)
        return history

    def _weights(self, data: Data) -> np.ndarray | None:
        """What each training clip counts for a classical model, so that emotions weigh alike."""
        if self.design.training.balance == "none":
            return None
        truth = data.truth[data.train]
        return len(truth) / np.bincount(truth)[truth]

    def concluded(
        self, model: Any, data: Data, words: list[str], member: Member, history: list[dict[str, Any]]
    ) -> Table:
        """Calibrate, predict what was held out, and write the member's folder; the predictions last."""
        folder = self.folder / member.name
        temperature = calibrated(training.logits(model, data, data.dev), data.truth[data.dev]) if len(data.dev) else 1.0
        held = np.flatnonzero(member.split == held_out(member.split))
        predicted = self.predictions(model, data, words, member, held, temperature)
        modelfile.write(folder / "model.safetensors", self.file(model, data, words, member, temperature))
        with whole(folder / "metrics.jsonl") as stream:
            stream.writelines(json.dumps(figures).encode() + b"\n" for figures in history)
        wire.write(predicted, str(folder / "predictions.parquet"), "parquet")
        (folder / "checkpoint.safetensors").unlink(missing_ok=True)
        return predicted

    def predictions(
        self, model: Any, data: Data, words: list[str], member: Member, clips: np.ndarray, temperature: float
    ) -> Table:
        """The held-out rows with what the model says of them."""
        if not len(clips):
            raise SertoolError(f"{member.name}: no clip is held out: make a split with dev or test")
        probabilities = (training.logits(model, data, clips) / temperature).softmax(dim=1)
        best = probabilities.max(dim=1)
        table = self.table.take(clips)
        part = splits.PARTS[held_out(member.split)]
        added = {
            "split": [part] * len(clips), "run": [str(self.folder)] * len(clips), "seed": [member.seed] * len(clips),
            "predicted": [words[index] for index in best.indices.tolist()], "confidence": best.values.numpy(),
        }  # fmt: skip
        if member.fold is not None:
            added["fold"] = [member.fold] * len(clips)
        added |= {f"p_{word}": probabilities[:, index].numpy() for index, word in enumerate(words)}
        for name, values in added.items():
            table = manifest.with_column(table, name, values)
        return table

    def file(self, model: Any, data: Data, words: list[str], member: Member, temperature: float) -> modelfile.Held:
        """Everything that predicting needs."""
        tensors = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
        if self.design.scale == "corpus":
            tensors |= dict(
                zip(SCALING, (data.scaling.mean.cpu().numpy(), data.scaling.deviation.cpu().numpy()), strict=True)
            )
        records = manifest.provenance(self.table)["features"]
        trained = {
            "corpora": dict(manifest.counts(self.table.take(data.train), "corpus")), "clips": len(data.train),
            "speakers": len(manifest.counts(self.table.take(data.train), "speaker")), "seed": member.seed,
            "fold": member.fold, "key": self.key(member), "training": training.describe(self.design.training),
        }  # fmt: skip
        return modelfile.Held(
            self.design.model, asdict(self.design.settings), self.store.columns, words,
            {name: records[name] for name in self.design.features}, tensors, self.design.scale, temperature, trained,
        )  # fmt: skip

    def key(self, member: Member) -> str:
        """What decides a member's weights."""
        records = manifest.provenance(self.table)["features"]
        held = [
            self.design.model, asdict(self.design.settings), asdict(self.design.training), self.design.scale,
            [records.get(name) for name in self.design.features], member.seed, manifest.digest(self.table),
            hashlib.sha256(member.split.tobytes() + "\n".join(self.emotions).encode()).hexdigest(),
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(held, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _claim(folder: Path, key: str) -> None:
    """Make a member's folder this training's own; one that belongs to another is not replaced unasked."""
    path = folder / "key"
    if path.exists() and path.read_text() != key:
        raise UsageError(f"{folder} holds a model trained otherwise: choose another -o, or replace it with --overwrite")
    with whole(path) as stream:
        stream.write(key.encode())


def calibrated(logits: Tensor, truth: np.ndarray) -> float:
    """The temperature under which the probabilities of speakers who were not trained on fit best."""
    target = torch.from_numpy(truth)
    grid = torch.logspace(-1, 1, 201)
    losses = torch.stack([torch.nn.functional.cross_entropy(logits / t, target) for t in grid])
    return round(float(grid[losses.argmin()]), 4)


def together(parts: Sequence[Table]) -> Table:
    """The members' predictions as one manifest; a clip may stand in it once for each member."""
    return manifest.stacked(parts)


def epoch_line(figures: dict[str, Any]) -> str:
    """An epoch's figures as people read them."""
    dev = f", dev UAR {100 * figures['dev_uar']:.1f}" if "dev_uar" in figures else ""
    return f"epoch {figures['epoch']}: loss {figures['loss']:.3f}{dev}, {figures['seconds']:.1f} s"
