"""Made-up answers, and short ways to score them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sertool.errors import SertoolError
from sertool.eval import evaluating, kinds
from sertool.eval.answers import Answers
from sertool.eval.bootstrapping import Bootstrap
from sertool.eval.predictions import Reading
from sertool.eval.scores import Report
from sertool.manifests import manifest, manifest_io

EMOTIONS = ("neutral", "happy", "sad", "angry")
FEW = Bootstrap(resamples=200)
Columns = dict[str, list[Any]]


def made(clips: int = 240, speakers: int = 12, skill: float = 0.6, seed: int = 0) -> Columns:
    """Predictions of a run that knows an emotion as often as `skill` says, speakers differing around it."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, len(EMOTIONS), clips)
    speaker = np.arange(clips) % speakers
    rng = np.random.default_rng(100 + seed)
    logits = rng.gumbel(size=(clips, len(EMOTIONS)))
    logits[np.arange(clips), truth] += 4 * (skill - 0.25) + np.random.default_rng(2).normal(0, 0.7, speakers)[speaker]
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return {
        "clip": [f"toy/{k}" for k in range(clips)],
        "corpus": ["toy"] * clips,
        "speaker": [f"toy:{k}" for k in speaker],
        "sex": [("female", "male")[k % 2] for k in speaker],
        "age": [20 + 5 * int(k) for k in speaker],
        "emotion": [EMOTIONS[k] for k in truth],
        "predicted": [EMOTIONS[k] for k in chances.argmax(1)],
        "confidence": chances.max(1).tolist(),
        **{f"p_{name}": chances[:, k].tolist() for k, name in enumerate(EMOTIONS)},
    }


def table(path: Path, columns: Columns, kind: str = "csv") -> str:
    manifest_io.write(manifest.from_columns(columns), str(path), kind)
    return str(path)


def two(path: Path, truth: list[str], predicted: list[str], header: str = "emotion,predicted") -> str:
    path.write_text("\n".join([header, *(f"{t},{p}" for t, p in zip(truth, predicted, strict=True))]) + "\n")
    return str(path)


def runs(*paths: str, **asked: Any) -> list[Answers]:
    return [*kinds.read(paths, Reading(**asked))]


def report(
    *paths: str, by: tuple[str, ...] = (), bootstrap: Bootstrap = FEW, baseline: str | None = None, **asked: Any
) -> Report:
    return evaluating.report(runs(*paths, by=by, **asked), by, bootstrap, baseline)


def refused(*paths: str, **asked: Any) -> str:
    with pytest.raises(SertoolError) as caught:
        report(*paths, **asked)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def dropped(columns: Columns, *names: str) -> Columns:
    return {name: values for name, values in columns.items() if name not in names}


def seeded(columns: Columns, *others: Columns) -> Columns:
    """Runs of several seeds as one table."""
    parts = [columns, *others]
    joined = {name: [value for part in parts for value in part[name]] for name in columns}
    return joined | {"seed": np.repeat(range(len(parts)), [len(part["clip"]) for part in parts]).tolist()}
