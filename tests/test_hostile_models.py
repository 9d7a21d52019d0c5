"""Whatever a stranger writes into a model file: it is answered, or refused in one line, soon and in little memory."""

import copy
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from running import ON_LINUX, peak_memory

from sertool import features, models
from sertool.errors import SertoolError
from sertool.featurize.extraction import Extraction
from sertool.modelfiles import cards, modelfile
from sertool.modelfiles.inference import Predictor
from sertool.modelfiles.modelfile import ModelFile
from sertool.networks import tensorfile
from sertool.predict.ensemble import Ensemble
from sertool.sound import shaping

LABELS = ["neutral", "happy", "angry"]
SECONDS, MEGABYTES = 6, 300
SCALE = {"mean": 3.0, "deviation": 1.0, "low": 1.0, "high": 5.0}
NASTY: list[Any] = [
    None, True, -1, 0, 1, 3, 0.5, 65_536, 10**6, 10**12, 2**70, -1e308, 1e308, float("nan"), float("inf"), "", "x",
    "../../x", "a\nb", "none", "mel", "whisper", "0-99999999999", [], {}, [1], [-1], [65_536] * 16, [1] * 10**5, [[]],
    {"a": 1}, [None], ["neutral"] * 3,
]  # fmt: skip


def held(architecture: str, stats: tuple[str, ...], **settings: Any) -> ModelFile:
    """A sound model file of random weights, on eight log-mels."""
    extraction = Extraction(shaping.Wave(rate=16_000), {"mel": features.settings("mel", {"bands": 8})}, (), stats)
    columns = 8 * max(len(stats), 1)
    torch.manual_seed(0)
    model: Any = models.load(architecture).Model(models.settings(architecture, settings), columns, 3)
    if hasattr(model, "fit"):
        draw = np.random.default_rng(0)
        model.fit(draw.normal(size=(60, columns)).astype(np.float32), np.arange(60) % 3)
    tensors = {name: value.numpy() for name, value in model.state_dict().items()}
    sizes = {"mean": (1, columns), "deviation": (1, columns), "offsets": (3, columns)}
    tensors |= {f"scaling.{word}": np.ones(size, np.float32) for word, size in sizes.items()}
    chosen = vars(models.settings(architecture, settings)).items()
    known = {name: list(value) if isinstance(value, tuple) else value for name, value in chosen}
    return ModelFile(
        architecture,
        known,
        columns,
        LABELS,
        {"mel": extraction.record("mel")},
        tensors,
        "speaker",
        1.5,
        prior_clips=2.0,
    )


SOUND: dict[str, Callable[[], ModelFile]] = {
    "cnn": lambda: held("cnn", (), channels=(4, 8), frames=40),
    "mlp": lambda: held("mlp", ("mean", "std"), groups=2),
    "lstm": lambda: held("lstm", (), width=8, layers=1),
    "probe": lambda: held("probe", ("mean",)),
    "forest": lambda: held("forest", ("mean",), trees=3),
    "svm": lambda: held("svm", ("mean",)),
}


def content(one: ModelFile) -> dict[str, Any]:
    """What lies in a file beside the tensors."""
    return {name: value for name, value in vars(one).items() if name != "tensors"} | {"model_format": 1}


def write(path: Path, said: Any, tensors: dict[str, np.ndarray]) -> None:
    with path.open("wb") as stream:
        tensorfile.write(stream, said, {name: (each.dtype.name, each.shape, [each]) for name, each in tensors.items()})


def heard(path: Path) -> torch.Tensor:
    """A model file's answer to half a second of noise."""
    ensemble = Ensemble([Predictor.load(path)])
    wave = 0.1 * np.random.default_rng(0).standard_normal((1, 8000)).astype(np.float32)
    return ensemble.answers(ensemble.features_of([ensemble.waveforms(wave, "x")]))


def refusal(path: Path) -> str | None:
    """What is said of a file that is refused."""
    try:
        heard(path)
    except SertoolError as error:
        return str(error)
    return None


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something can be changed."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*at, key)
        yield from places(each, (*at, key))


def spoil(said: dict[str, Any], draw: np.random.Generator) -> dict[str, Any]:
    """One value replaced, removed or added, somewhere."""
    said = copy.deepcopy(said)
    found = list(places(said))
    *path, last = found[draw.integers(len(found))]
    inside: Any = said
    for key in path:
        inside = inside[key]
    kind, nasty = draw.integers(6), copy.deepcopy(NASTY[draw.integers(len(NASTY))])
    if kind == 0 and isinstance(inside, dict):
        del inside[last]
    elif kind == 1 and isinstance(inside, dict):
        inside["stranger"] = nasty
    else:
        inside[last] = nasty
    return said


def spoil_tensors(tensors: dict[str, np.ndarray], draw: np.random.Generator) -> dict[str, np.ndarray]:
    """One tensor gone, under another name, of another size or kind, or full of what is no number."""
    name = sorted(tensors)[draw.integers(len(tensors))]
    rest, each = {key: value for key, value in tensors.items() if key != name}, tensors[name]
    wide = np.full(each.shape, np.nan, np.float32)
    odd: list[dict[str, np.ndarray]] = [
        {}, {name + "x": each}, {name: each, "stranger": each}, {name: wide}, {name: wide * 0 + 10**9},
        {name: each.reshape(-1)}, {name: each[None]}, {name: np.concatenate([each.reshape(-1)] * 2)},
        {name: each.astype("float64")}, {name: np.zeros(0, np.float32)},
        {name: np.full(each.shape, 2**30, np.int32)}, {name: np.full(each.shape, -(2**31), np.int32)},
    ]  # fmt: skip
    return rest | odd[draw.integers(len(odd))]


@pytest.mark.parametrize("name", SOUND)
def test_valid_model_file_gives_probabilities(name: str, tmp_path: Path) -> None:
    modelfile.write(tmp_path / "m.safetensors", SOUND[name]())
    answer = heard(tmp_path / "m.safetensors")
    assert answer.shape == (1, 3)
    assert float(answer.sum()) == pytest.approx(1, abs=1e-5)


@ON_LINUX
@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND)
def test_corrupted_model_files_are_answered_or_refused_in_one_line(name: str, tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as own:  # whose peak is its own
        refused, grown = own.submit(spoil_often, name, tmp_path / "m.safetensors").result()
    assert grown < MEGABYTES
    assert refused > 75


def spoil_often(name: str, path: Path) -> tuple[int, float]:
    """Spoil a file in 150 ways; return how many are refused, and by how many MB the process' peak grew."""
    sound, draw = SOUND[name](), np.random.default_rng(1)
    before, refused = peak_memory(), 0
    for turn in range(150):
        said, tensors = content(sound), sound.tensors
        if turn % 3:
            said = spoil(said, draw)
        else:
            tensors = spoil_tensors(tensors, draw)
        write(path, said, tensors)
        began = time.process_time()
        line = refusal(path)
        refused += line is not None
        assert line is None or "\n" not in line, said
        assert time.process_time() - began < SECONDS, json.dumps(said)[:500]
    return refused, (peak_memory() - before) / 1e6


@pytest.mark.parametrize(
    ("name", "changes", "line"),
    [
        ("cnn", {"settings": {"frames": 10**9}}, "frames cannot be"),
        ("cnn", {"settings": {"frames": 10**400}}, "frames cannot be"),
        ("probe", {"settings": {"freedom": 10**400}}, "freedom cannot be"),
        ("cnn", {"settings": {"channels": [4096] * 16}}, "does not fit its own settings"),
        ("lstm", {"settings": {"layers": 10**6}}, "layers cannot be"),
        ("lstm", {"settings": {"width": 4096, "layers": 32}}, "does not fit its own settings"),
        ("mlp", {"columns": 999_999}, "does not fit its own settings"),
        ("probe", {"labels": ["angry"] * 3}, "not a model file"),
        ("probe", {"labels": ["angry", "\ud800"]}, "not a model file"),
        ("probe", {"labels": [f"e{n}" for n in range(10**5)]}, "not a model file"),
        ("mlp", {"columns": 32}, "does not fit its own settings"),
        ("mlp", {"scaling": "none"}, "normalisation"),
        ("mlp", {"prior_clips": -1}, "not a model file"),
        ("mlp", {"dimensions": {"angry": SCALE}}, "not a model file"),
        ("mlp", {"labels": ["a"], "dimensions": {"a": 3}}, "not a model file"),
        ("mlp", {"labels": ["a"], "dimensions": {"a": SCALE | {"deviation": 0}}}, "not a model file"),
        ("mlp", {"labels": ["a"], "dimensions": {"a": SCALE | {"mean": float("nan")}}}, "not a model file"),
        ("mlp", {"labels": ["a"], "dimensions": {"a": SCALE | {"high": 10**400}}}, "not a model file"),
        ("mlp", {"labels": ["a"], "dimensions": {"a": SCALE}}, "does not fit its own settings"),
    ],
)
def test_oversized_or_inconsistent_model_files_are_refused(name: str, changes: dict, line: str, tmp_path: Path) -> None:
    sound = SOUND[name]()
    write(tmp_path / "m.safetensors", content(sound) | changes, sound.tensors)
    began = time.process_time()
    with pytest.raises(SertoolError, match=line):
        heard(tmp_path / "m.safetensors")
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize(
    "changes",
    [
        {"trained": {"corpora": [1]}}, {"trained": {"corpora": {"a": "x"}}}, {"trained": {"commands": 3}},
        {"scores": {"dev_uar": "x"}}, {"scores": {"dev_uar": 0.5}}, {"features": {"mel": {"stats": 3}}},
    ],
)  # fmt: skip
def test_card_of_a_model_with_nonsense_metadata_is_refused(changes: dict, tmp_path: Path) -> None:
    sound = SOUND["cnn"]()
    write(tmp_path / "m.safetensors", content(sound) | changes, sound.tensors)
    with pytest.raises(SertoolError, match="model file"):
        cards.card(modelfile.read(tmp_path / "m.safetensors"))
