"""Measure how much a model gains by knowing the speaker, by the number and kind of clips, over unseen speakers.

    sertool train MANIFEST --recipe whisper-mlp --adapt speaker --folds 4 -o run
    python tests/bench/adapting.py run [--draws 3]

Some clips of each held-out speaker are drawn, without their emotions, and the model is adapted to the speaker by these.
Clips are drawn from all of the speaker's; four in five neutral; or of one emotion alone. If a speaker has too few of an
emotion, clips are drawn repeatedly. The first table has the UAR in per cent over all of the speakers' clips; the second
the per cent of the drawn clips that are right, and in brackets without adaptation. Both are means over draws.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from sertool.manifests import manifest, manifest_io
from sertool.modelfiles import batches, row_scaling, speaker_scaling
from sertool.modelfiles.inference import Predictor
from sertool.numeric import metrics

COUNTS = (1, 5, 10, 20, 40, 80)


class Fold:
    """A model, and the clips of speakers it was not trained on."""

    def __init__(self, folder: Path) -> None:
        self.model = Predictor.load(folder / "model.safetensors")
        table = manifest_io.read(str(folder / "predictions.parquet"))
        self.rows, self.lengths = (store := batches.load(table, list(self.model.held.features), "cpu")).take(
            np.arange(len(table))
        )
        self.views = store.views
        self.truth = np.array([self.model.kind.names.index(word) for word in manifest.column(table, "emotion")])
        self.speaker = manifest.codes(table, "speaker").index

    def answers(self, clips: np.ndarray, scaling: row_scaling.Scaling, group: int) -> torch.Tensor:
        who = torch.full((len(clips),), group)
        return self.model.logits(self.rows[clips], self.lengths[clips], (scaling, who))

    def met(self, clips: np.ndarray) -> row_scaling.Scaling:
        """Return the scaling adapted to a speaker by some clips."""
        views, group = [self.views[clip] for clip in clips], np.ones(len(clips), np.int64)

        def ask(scaling: row_scaling.Scaling) -> np.ndarray:
            return (self.answers(clips, scaling, 1) / self.model.held.temperature).softmax(dim=1).numpy()

        return speaker_scaling.adapted_by_model(views, group, 1, self.model.scaling, ask)

    def speakers(self) -> Iterator[np.ndarray]:
        for one in np.unique(self.speaker):
            yield np.flatnonzero(self.speaker == one)


def some(fold: Fold, clips: np.ndarray, count: int, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Draw clips of a speaker to adapt by."""
    truth = fold.truth[clips]
    if kind == "even":
        return rng.choice(clips, min(count, len(clips)), replace=False)
    emotion = fold.model.kind.names.index("neutral") if kind == "neutral" else rng.choice(np.unique(truth))
    most = max(1, round(0.8 * count)) if kind == "neutral" else count
    mine, others = clips[truth == emotion], clips[truth != emotion]
    return np.concatenate([rng.choice(mine, most, replace=most > len(mine)), rng.choice(others, count - most)])


def uar(folds: list[Fold], predicted: list[np.ndarray]) -> float:
    truth = np.concatenate([fold.truth for fold in folds])
    return 100 * float(metrics.uar(metrics.tally(metrics.confusion(truth, np.concatenate(predicted), truth.max() + 1))))


def judged(folds: list[Fold], count: int, kind: str, seed: int) -> np.ndarray:
    """Return in per cent the UAR over all clips, and the accuracy on the drawn clips with and without adaptation."""
    rng, predicted, right = np.random.default_rng(seed), [], []
    for fold in folds:
        made = np.zeros(len(fold.truth), np.int64)
        for clips in fold.speakers():
            drawn = some(fold, clips, count, kind, rng)
            scaling = fold.met(drawn)
            made[clips] = fold.answers(clips, scaling, 1).argmax(dim=1).numpy()
            found = [fold.answers(drawn, scaling, group).argmax(dim=1).numpy() for group in (1, 0)]
            right.append(np.stack(found, axis=1) == fold.truth[drawn][:, None])
        predicted.append(made)
    return np.array([uar(folds, predicted), *100 * np.concatenate(right).mean(axis=0)])


def nobody_known(folds: list[Fold]) -> float:
    every = [(fold, np.arange(len(fold.truth))) for fold in folds]
    return uar(folds, [fold.answers(clips, fold.model.scaling, 0).argmax(dim=1).numpy() for fold, clips in every])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--draws", type=int, default=3)
    given = parser.parse_args()
    folds = [Fold(path.parent) for path in sorted(given.run.rglob("model.safetensors"))]
    print(f"without adapting: {nobody_known(folds):.1f}")
    head = "| clips of a speaker | all emotions | four in five neutral | one emotion |\n| --- | --- | --- | --- |"
    tables = [[head], [head]]
    for count in COUNTS:
        means = [np.mean([judged(folds, count, kind, seed) for seed in range(given.draws)], axis=0)
                 for kind in ("even", "neutral", "one")]  # fmt: skip
        tables[0].append(f"| {count} | " + " | ".join(f"{mean[0]:.1f}" for mean in means) + " |")
        tables[1].append(f"| {count} | " + " | ".join(f"{mean[1]:.1f} ({mean[2]:.1f})" for mean in means) + " |")
    print(*("\n".join(table) for table in tables), sep="\n\n")


if __name__ == "__main__":
    main()
