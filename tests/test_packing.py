"""A packed model file needs nothing else, and says the same; in 8 bits nearly."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from running import PATTERN, sertool

from sertool import features
from sertool.errors import SertoolError
from sertool.featurize.extraction import Extraction
from sertool.internet import web
from sertool.modelfiles import inference, modelfile, packing
from sertool.modelfiles.modelfile import ModelFile
from sertool.networks import quantization, weights
from sertool.sound import encoding, shaping, synth

pytest_plugins = ("pretrained",)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, small_encoders: Path) -> Path:
    """A model of an encoder's features, and its clips."""
    folder = tmp_path_factory.mktemp("packing")
    synth.corpus(folder / "clips", 6, ("neutral", "angry"), 2, write=encoding.write)
    indexed = sertool("index", folder / "clips", "--pattern", PATTERN)
    words = ("--recipe", "whisper-mlp", "--epochs", 2, "-o", folder / "run")
    done = sertool("train", *words, stdin=indexed.out)
    assert done.code == 0, done.err
    return folder


def answers(run: Path, model: Path) -> np.ndarray:
    done = sertool("predict", "-m", model, run / "clips", "-f", "jsonl")
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in done.out.splitlines()]
    return np.array([[row["p_neutral"], row["p_angry"]] for row in rows])


def packed(run: Path, name: str, *, in_8_bits: bool) -> Path:
    held = modelfile.read(run / "run" / "seed-0" / "model.safetensors")
    made = packing.packed(held, inference.extraction_of(held.features), in_8_bits=in_8_bits)
    modelfile.write(run / name, made)
    return run / name


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache and nothing kept of the encoder."""
    monkeypatch.setenv("SERTOOL_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(weights, "_registered", {})


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(("in_8_bits", "off"), [(False, 1e-6), (True, 0.05)])
def test_packed_model_answers_without_the_encoder_cache(
    run: Path, monkeypatch: pytest.MonkeyPatch, in_8_bits: bool, off: float, small_encoders: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("SERTOOL_CACHE", str(small_encoders))
        usual = answers(run, run / "run")
        path = packed(run, f"packed-{in_8_bits}.safetensors", in_8_bits=in_8_bits)
    weights._registered.clear()
    assert np.abs(answers(run, path) - usual).max() < off


@pytest.mark.usefixtures("small_encoders")
def test_8_bit_packing_shrinks_the_model_and_repacking_changes_nothing(run: Path) -> None:
    whole, small = (modelfile.read(packed(run, f"{bits}", in_8_bits=bits)) for bits in (False, True))
    sizes = [sum(array.nbytes for array in held.tensors.values()) for held in (whole, small)]
    assert sizes[1] < 0.7 * sizes[0]
    assert small.features["whisper"]["settings"]["precision"] == "int8"
    again = packing.packed(whole, inference.extraction_of(whole.features))
    assert again.features == whole.features
    assert all(np.array_equal(again.tensors[name], whole.tensors[name]) for name in whole.tensors)


def test_8_bit_packing_never_rounds_the_scaling() -> None:
    extraction = Extraction(shaping.Wave(), {"mel": features.settings("mel", {})}, (), ("mean",))
    scaling = {"scaling.mean": np.logspace(-3, 3, 5000, dtype=np.float32)[None]}
    large = {"head.weight": np.random.default_rng(0).normal(size=(6, 5000)).astype(np.float32)}
    records = {"mel": extraction.record("mel")}
    held = ModelFile("mlp", {}, 5000, ["neutral", "angry"], records, scaling | large, "corpus")
    made = packing.packed(held, extraction, in_8_bits=True)
    assert np.array_equal(made.tensors["scaling.mean"], scaling["scaling.mean"])
    assert made.tensors["head.weight"].dtype == np.int8


@pytest.mark.usefixtures("small_encoders")
def test_altered_packed_encoder_is_refused(run: Path) -> None:
    held = modelfile.read(packed(run, "p", in_8_bits=False))
    name = next(name for name in held.tensors if name.startswith(weights.PACKED))
    altered = replace(held, tensors=held.tensors | {name: held.tensors[name] + 1})
    with pytest.raises(SertoolError, match="brings another encoder"):
        inference.Predictor(altered)


@pytest.mark.usefixtures("nowhere")
def test_train_can_pack_the_model_it_writes(run: Path, monkeypatch: pytest.MonkeyPatch, small_encoders: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("SERTOOL_CACHE", str(small_encoders))
        words = ("-m", "mlp", "--epochs", 1, "--pack", "8-bit", "-o", run / "small")
        done = sertool("train", run / "run" / "features" / "manifest.parquet", *words)
        assert done.code == 0, done.err
    weights._registered.clear()
    assert answers(run, run / "small").shape == (24, 2)


@pytest.mark.usefixtures("nowhere")
def test_unpackable_weights_are_refused_before_training(run: Path, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").touch()
    words = ("-m", "mlp", "--epochs", 1, "--pack", "half", "--weights", tmp_path / "w.safetensors")
    done = sertool("train", run / "run" / "features" / "manifest.parquet", *words, "-o", tmp_path / "run")
    weights.use_file(None)
    assert (done.code, "w.safetensors" in done.line) == (1, True)
    assert not (tmp_path / "run" / "seed-0").exists()


@pytest.mark.usefixtures("small_encoders")
def test_weights_option_is_refused_for_a_packed_model(run: Path) -> None:
    (run / "w.pt").touch()
    path = packed(run, "whole.safetensors", in_8_bits=False)
    done = sertool("predict", "-m", path, "--weights", run / "w.pt", run / "clips")
    assert (done.code, "holds all that its features need" in done.line, done.out) == (2, True, b"")
    assert packing.lacks_encoder(modelfile.read(run / "run" / "seed-0" / "model.safetensors"))


def test_shards_are_answered_without_the_encoder_and_audio_is_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nowhere: None
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setattr(web, "PATIENCE", web.Patience(attempts=1))
    done = sertool("predict", "-m", run / "run", run / "run" / "features" / "manifest.parquet")
    assert done.code == 0, done.err
    assert len(done.out.splitlines()) == 25
    done = sertool("predict", "-m", run / "run", run / "clips", "-o", tmp_path / "out.csv")
    assert (done.code, "no weights of whisper-base" in done.err) == (1, True)
    assert not (tmp_path / "out.csv").exists()


def test_8_bit_encoder_weights_are_packed_losslessly_in_8_bits() -> None:
    """Half precision would not hold its numbers; in 8 bits they are the same."""
    draw = np.random.default_rng(0)
    name = f"{weights.PACKED}whisper.encoder.conv1.weight"
    once = quantization.dequantized(quantization.quantized({name: draw.normal(size=(64, 80, 3)).astype(np.float32)}))
    kept = packing._smaller(once | {"head.weight": once[name]})
    assert (kept[name].dtype, kept["head.weight"].dtype) == (np.int8, np.float32)
    assert np.array_equal(quantization.dequantized(kept)[name], once[name])
