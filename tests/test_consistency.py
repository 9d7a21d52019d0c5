"""Blocks taught without labels to hear a copy as they heard its clip: what counts, and what comes of it."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from running import PATTERN, sertool

from sertool.errors import SertoolError
from sertool.manifests import manifest, manifest_io
from sertool.modelfiles import batches, modelfile
from sertool.models import whisper
from sertool.sound import encoding, synth
from sertool.train import consistency

pytest_plugins = ("pretrained",)
TRAIN = ("--recipe", "whisper-steady", "--set", "layers=2", "--set", "tune=2", "--precision", "float32")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, small_encoders: Path) -> Path:
    """Layer 0 of six speakers' clips and of copies in noise."""
    assert small_encoders.exists()
    folder = tmp_path_factory.mktemp("steadying")
    synth.corpus(folder / "clips", 6, ("neutral", "angry"), 2, write=encoding.write)
    pattern = ("--pattern", PATTERN, "--split", "speaker:70/15/15")
    indexed = sertool("index", folder / "clips", *pattern)
    copied = sertool("augment", "-", "--copies", 1, "--noise", "5:10", stdin=indexed.out)
    done = sertool("featurize", "--whisper", "base", "--layers", 0, "-o", folder / "f", stdin=copied.out)
    assert done.code == 0, done.err
    return folder / "f" / "manifest.parquet"


@pytest.fixture(scope="module")
def run(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    done = sertool(
        "train", table, *TRAIN, "--epochs", 20, "--warmup", 0, "--lr", 0.02, "--pack", "half", "-o", folder / "run"
    )
    assert done.code == 0, done.err
    return folder / "run" / "seed-0"


def encoder(seed: int = 0) -> whisper.Model:
    torch.manual_seed(seed)
    return whisper.Model(whisper.Settings(size="tiny", layers=2, tune=2, pretrained=False), 384, 2).eval()


def clips(lengths: list[int]) -> SimpleNamespace:
    """Clips of random frames, each its own original."""
    generator = np.random.default_rng(0)
    views = [[generator.normal(size=(length, 384)).astype(np.float32)] for length in lengths]
    store = batches.Store(views, np.array(lengths), 384, torch.device("cpu"), {}, [])
    places = np.arange(len(lengths))
    return SimpleNamespace(store=store, rows=store.take, original=places, train=places)


@torch.no_grad()
def test_untrained_blocks_have_zero_distance_to_the_reference_and_others_do_not() -> None:
    data = clips([30, 9])
    untrained = encoder()
    reference = consistency.reference(untrained, data, "float32")
    rows, lengths = data.rows(data.train)
    assert reference.distance(untrained.block_outputs(rows, lengths), rows, lengths).abs().max() < 1e-9
    assert reference.distance(encoder(1).block_outputs(rows, lengths), rows, lengths).min() > 0.1


@torch.no_grad()
def test_a_clips_distance_does_not_depend_on_its_batch_mates() -> None:
    data, other = clips([30, 9]), encoder(1)
    reference = consistency.reference(encoder(), data, "float32")
    together = reference.distance(other.block_outputs(*data.rows(data.train)), *data.rows(data.train))
    alone = [
        reference.distance(other.block_outputs(*data.rows(place)), *data.rows(place))
        for place in np.split(data.train, 2)
    ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_low_variance_columns_weigh_as_much_as_others() -> None:
    """Each is measured in what it varies by: twice the frames' values, twice the spread, and the same difference."""
    generator = torch.Generator().manual_seed(0)
    outputs, wanted = (torch.randn(2, 8, 6, generator=generator) for _ in range(2))
    scale, valid = torch.tensor([1.0, 1e-2, 10.0, 1.0, 1.0, 1.0]), torch.ones(2, 8)

    def found(by: torch.Tensor) -> torch.Tensor:
        spread = consistency.Spread(by.square(), by.square().repeat(2))
        return consistency._distance(outputs * by, wanted * by, valid, spread)

    torch.testing.assert_close(found(scale), found(torch.ones(6)), atol=1e-3, rtol=1e-3)


def test_copies_are_paired_with_present_originals_of_equal_length() -> None:
    names = {"clip": ["a", "a#1", "a#2", "b#1"], "parent": [None, "a", "a", "b"]}
    found = consistency.original_of(manifest.from_columns(names), np.array([5, 5, 4, 5]), np.arange(4))
    assert found.tolist() == [0, 0, -1, -1]


@pytest.mark.parametrize(("parent", "length"), [(None, 5), ("a", 4)])
def test_training_without_copies_of_equal_length_is_refused(parent: str | None, length: int) -> None:
    table = manifest.from_columns({"clip": ["a", "c"], "parent": [None, parent]})
    with pytest.raises(SertoolError, match="none train: run `sertool augment`"):
        consistency.original_of(table, np.array([5, length]), np.arange(2))


@pytest.mark.slow
def test_training_brings_copies_closer_to_their_clips(run: Path) -> None:
    losses = [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.usefixtures("small_encoders")
@pytest.mark.slow
def test_trained_encoder_is_less_sensitive_to_noise_than_the_published_one(
    run: Path, table: Path, tmp_path: Path
) -> None:
    own = [
        row
        for row in manifest_io.read(str(table)).select(["clip", "parent", "split"]).to_pylist()
        if row["split"] == "train"
    ]
    words = ("--whisper", "base", "--layers", 2, "--stats", "mean", "--precision", "float32")

    def changed(name: str, *more: object) -> float:
        done = sertool("featurize", table, *words, "-o", tmp_path / name, "--overwrite", *more)
        assert done.code == 0, done.err
        made = manifest_io.read(str(tmp_path / name / "manifest.parquet"))
        rows = dict(zip(manifest.column(made, "clip"), batches.load(made, ["whisper"], "cpu").views, strict=True))
        pairs = [(rows[row["clip"]][0], rows[row["parent"]][0]) for row in own if row["parent"]]
        spread = np.concatenate([rows[row["clip"]][0] for row in own]).std(axis=0)
        return float(np.mean([np.square((one - other) / spread) for one, other in pairs]))

    taught = changed("taught", "--weights", run / "model.safetensors")
    assert taught < 0.9 * changed("published")


@pytest.mark.slow
def test_labels_affect_training_only_when_steady_is_below_1(table: Path, tmp_path: Path) -> None:
    """With none of it for labels, other labels make no difference to the blocks; with some, they do."""
    held = manifest_io.read(str(table))
    swapped = [{"neutral": "angry", "angry": "neutral"}[word] for word in manifest.column(held, "emotion")]
    manifest_io.write(manifest.with_column(held, "emotion", swapped), str(tmp_path / "swapped.parquet"), "parquet")

    def block(source: Path, share: float) -> np.ndarray:
        folder = tmp_path / f"{source.stem}-{share}"
        done = sertool("train", source, *TRAIN, "--epochs", 1, "--steady", share, "-o", folder)
        assert done.code == 0, done.err
        return modelfile.read(folder / "seed-0" / "model.safetensors").tensors["blocks.1.outer.weight"]

    for share, same in ((1, True), (0.5, False)):
        assert np.array_equal(block(table, share), block(tmp_path / "swapped.parquet", share)) is same


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-m", "cnn", "--steady", 1), "-m whisper"),
        ((*TRAIN, "--adapt", "speaker"), "--adapt"),
        ((*TRAIN, "--mixup", 0.3), "--mixes summary"),
        ((*TRAIN, "--shift", 0.1), "--shift"),
        (("-m", "svm", "--steady", 1), "--steady is for networks"),
    ],
)
def test_options_incompatible_with_consistency_training_are_refused(
    table: Path, tmp_path: Path, words: tuple[object, ...], said: str
) -> None:
    done = sertool("train", table, *words, "-o", tmp_path / "run")
    assert done.code == 2
    assert said in done.line


@pytest.mark.slow
def test_pretrained_whisper_blocks_default_to_unscaled_rows(table: Path, tmp_path: Path) -> None:
    words = ("-m", "whisper", "--set", "layers=2", "--set", "tune=2", "--epochs", 1)
    for more, scaling in (((), "none"), (("--scale", "corpus"), "corpus")):
        done = sertool("train", table, *words, *more, "-o", tmp_path / scaling)
        assert done.code == 0, done.err
        assert modelfile.read(tmp_path / scaling / "seed-0" / "model.safetensors").scaling == scaling


def test_a_manifest_without_copies_is_refused(table: Path, tmp_path: Path) -> None:
    done = sertool("train", table, *TRAIN, "--where", "parent=", "-o", tmp_path / "run")
    assert (done.code, (tmp_path / "run" / "seed-0").exists()) == (1, False)
    assert "run `sertool augment` without --speed first" in done.err.splitlines()[-1]
