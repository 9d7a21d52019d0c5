"""Pretrained encoders: equal to their definition, the same in any company, and no weights but those that were meant."""

import hashlib
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import server as play
import torch
from pretrained import checkpoint, saved, ssl_state, whisper_state
from running import rows, sertool, snapshot
from safetensors.torch import save_file
from torch.nn.functional import layer_norm
from torchaudio.pipelines._wav2vec2 import impl

from sertool import catalogue, encoders, features
from sertool.encoders import ssl, whisper
from sertool.errors import SertoolError, UsageError
from sertool.featurize import decoding, extract, shard_plan
from sertool.featurize.decoding import Clip
from sertool.featurize.engine import Engine
from sertool.featurize.extraction import Extraction
from sertool.internet import web
from sertool.internet.web import Patience
from sertool.manifests import manifest, manifest_io, provenance
from sertool.modelfiles import inference
from sertool.networks import quantization, tensorfile
from sertool.networks import weights as pretrained_weights
from sertool.sound import shaping, synth
from sertool.system import device

pytest_plugins = ("pretrained",)
SSL = ("wav2vec2-base", "hubert-large", "wavlm-base-plus")  # each of another kind
WITHIN = pretrained_weights.PACKED + "whisper."
REAL = Path(__file__).resolve().parents[2] / "shared" / "weights" / "whisper-base-encoder.safetensors"
CORPORA = Path(__file__).resolve().parents[2] / "shared" / "corpora"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Short patience, no proxies, and no file given by an earlier test."""
    monkeypatch.setattr(web, "PATIENCE", Patience(0.3, 0.5, attempts=2, pause=0.01))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield
    pretrained_weights.use_file(None)


@pytest.fixture
def small(small_encoders: Path) -> Path:
    return small_encoders


def speech(samples: int, seed: int = 0) -> torch.Tensor:
    said = torch.from_numpy(synth.voice(seed % 4, "angry", seed))
    return said.repeat(1 + samples // len(said))[:samples].clone()


AT_ONCE = {"whole": 30.0, "piece": 30.0}


def made(waves: list[torch.Tensor], layers: str = "all", precision: str = "float32", **more: float) -> list[np.ndarray]:
    feature = features.load("whisper").Feature(
        features.settings("whisper", {"layers": layers, "precision": precision, **more}), 16_000
    )
    with torch.inference_mode():
        return [one.numpy() for one in feature.clips(waves)]


def defined(wave: torch.Tensor, layers: str = "all", **more: float) -> np.ndarray:
    settings = features.settings("whisper", {"layers": layers, **more})
    return features.load("whisper").definition(wave.numpy(), 16_000, settings)


# What an encoder computes


def test_layers_are_parsed_from_numbers_ranges_and_lists() -> None:
    assert encoders.parse_layers("all", 3) == (0, 1, 2, 3)
    assert encoders.parse_layers("0,2-3, 2", 3) == (0, 2, 3)
    assert encoders.spelled((0, 1, 2, 4, 6, 7)) == "0-2,4,6-7"


@pytest.mark.parametrize("text", ["", "4", "3-1", "x", "-1", "1,,2", "1-"])
def test_invalid_layers_are_refused_with_the_available_ones(text: str) -> None:
    with pytest.raises(UsageError, match="layers 0 to 3"):
        encoders.parse_layers(text, 3)


@pytest.mark.parametrize("frames", [1, 1500, 1501, 2000, 2801, 90_000])
def test_windows_keep_every_frame_once_with_context_on_both_sides(frames: int) -> None:
    cuts = encoders.windows(frames, 1500, 100)
    kept = [place for _, _, begin, end in cuts for place in range(begin, end)]
    assert kept == list(range(frames))
    for first, last, begin, end in cuts:
        assert last - first == min(frames, 1500)
        assert begin - first >= 100 or begin == first == 0
        assert last - end >= 100 or last == end == frames


@pytest.mark.slow
def test_log_mel_agrees_with_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    wave = speech(20_011)
    for bands in (80, 128):
        power = librosa.feature.melspectrogram(
            y=wave.numpy(), sr=16_000, n_fft=400, hop_length=160, n_mels=bands, pad_mode="reflect"
        )
        log = np.log10(np.maximum(power, 1e-10))[:, :-1]
        known = (np.maximum(log, log.max() - 8) + 4) / 4
        assert np.abs(whisper.LogMel(bands)(wave).numpy() - known.T).max() < 1e-4


def test_encoder_gives_50_frames_per_second(small: Path) -> None:
    for samples, frames in ((1, 1), (320, 1), (480, 2), (16_000, 50), (16_319, 51)):
        assert made([speech(samples)])[0].shape == (frames, 4 * 32)


def test_single_layers_equal_columns_of_all_layers(small: Path) -> None:
    wave = speech(9_000)
    whole = made([wave])[0].reshape(-1, 4, 32)
    assert np.array_equal(made([wave], "2")[0], whole[:, 2])
    assert np.array_equal(made([wave], "0,3")[0], whole[:, [0, 3]].reshape(len(whole), -1))


def test_windowed_long_clip_agrees_with_the_definition(small: Path) -> None:
    """Windows see other positions, but the definition is cut alike; what lies before the first border is as alone."""
    wave = speech(16_000 * 65)
    found, known = made([wave], "3", **AT_ONCE)[0], defined(wave, "3", **AT_ONCE)
    assert found.shape == known.shape == (3250, 32)
    assert np.abs(found - known).max() < 1e-3 * np.abs(known).max()
    assert len(encoders.windows(3250, whisper.FRAMES, whisper.MARGIN)) == 3


def test_clip_of_up_to_whole_seconds_has_the_same_rows_whatever_the_piece(small: Path) -> None:
    for samples in (16_000 * 4, 16_000 * 5):
        wave = speech(samples)
        assert np.array_equal(made([wave], **AT_ONCE)[0], made([wave], whole=5, piece=3)[0])


@torch.inference_mode()
def test_longer_clip_is_encoded_piece_by_piece_with_new_positions(small: Path) -> None:
    wave = speech(16_000 * 8)
    (found,) = made([wave], "3", whole=5, piece=3)
    network, mel = network_and_mels([])[0], whisper.LogMel(80)(wave)
    cuts = encoders.windows(400, 150, 25)
    assert len(cuts) == 4
    for first, last, begin, end in cuts:
        alone = network(mel[None, 2 * first : 2 * last])[3][0]
        assert np.allclose(found[begin:end], alone[begin - first : end - first], atol=1e-5)
    known = defined(wave, "3", whole=5, piece=3)
    assert np.abs(found - known).max() < 1e-3 * np.abs(known).max()
    assert np.abs(found - made([wave], "3", **AT_ONCE)[0]).max() > 0.1


def test_piece_longer_than_whole_is_refused_in_one_line(voices: Path, tmp_path: Path) -> None:
    done = sertool("featurize", voices, "--whisper", "base", "--whisper-whole", "2", "-o", tmp_path / "f")
    assert (done.code, "whisper: piece is 3 s, and" in done.line) == (2, True)
    assert not (tmp_path / "f").exists()


def test_settings_that_came_later_are_not_recorded_where_they_mean_what_earlier_shards_have() -> None:
    earlier = features.settings("whisper", {"layers": "1", **AT_ONCE})
    assert features.recorded("whisper", earlier).keys() == {"size", "layers", "precision", "weights"}
    usual = features.recorded("whisper", features.settings("whisper", {"layers": "1"}))
    assert (usual["whole"], usual["piece"]) == (5.0, 3.0)
    for settings in (earlier, features.settings("whisper", usual)):
        assert features.of_record("whisper", features.recorded("whisper", settings)) == settings


def network_and_mels(lengths: list[int]) -> tuple[whisper.Network, list[torch.Tensor]]:
    _, state = whisper.tensors("base", 3)
    return whisper.network("base", 3, state).eval(), [torch.randn(length, 80) for length in lengths]


@torch.inference_mode()
def test_padding_and_other_clips_in_a_batch_change_nothing(small: Path) -> None:
    network, mels = network_and_mels([121, 7, 200, 1])
    lengths = torch.tensor([len(mel) for mel in mels])
    padded = torch.full((4, 230, 80), 3.0)
    for target, mel in zip(padded, mels, strict=True):
        target[: len(mel)] = mel
    together = network(padded, lengths)
    for index, mel in enumerate(mels):
        for layer, one in zip(together, network(mel[None]), strict=True):
            assert torch.allclose(layer[index, : one.shape[1]], one[0], atol=1e-4)


@torch.inference_mode()
def test_blocks_run_from_any_layer_to_any_other(small: Path) -> None:
    network, (mel,) = network_and_mels([90])
    layers = network(mel[None])
    for first, last in ((0, 1), (1, 3), (2, 3)):
        run = network.run(layers[first], torch.tensor([45]), first, last)
        assert len(run) == last - first
        assert torch.allclose(run[-1], layers[last], atol=1e-5)


def test_only_blocks_after_the_starting_layer_receive_gradients(small: Path) -> None:
    network, (mel,) = network_and_mels([90])
    with torch.no_grad():
        second = network(mel[None])[2]
    with torch.autocast("cpu", torch.bfloat16):
        network.run(second, torch.tensor([45]), 2)[-1].square().mean().backward()
    touched = {name.split(".")[1] for name, weight in network.named_parameters() if weight.grad is not None}
    assert touched == {"2"}


@pytest.mark.parametrize(("precision", "least"), [("bf16", 0.9995), ("int8", 0.999)])
def test_bf16_and_int8_outputs_are_close_and_remain_float32(small: Path, precision: str, least: float) -> None:
    wave = speech(30_000)
    exact, quick = made([wave])[0], made([wave], precision=precision)[0]
    assert quick.dtype == np.float32
    assert not np.array_equal(exact, quick)
    assert cosine(exact, quick) > least


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))


# On the command line


def test_featurize_stores_layers_and_records_their_settings(small: Path, voices: Path, tmp_path: Path) -> None:
    done = sertool("featurize", voices, "--whisper", "base", "--layers", "1-3", "--precision", "float32",
                   "--verify", "4", "-o", tmp_path / "f")  # fmt: skip
    assert done.code == 0, done.err
    assert "verified whisper: agrees on 4 clips: 100.000 %" in done.err
    record = provenance.of(manifest_io.read(str(tmp_path / "f" / "manifest.parquet")))["features"]["whisper"]
    known, _ = whisper.tensors("base", 3)
    expected = {
        "size": "base", "layers": "1-3", "precision": "float32", "whole": 5.0, "piece": 3.0, "weights": known,
    }  # fmt: skip
    assert (record["settings"], record["dtype"]) == (expected, "float16")
    head = tensorfile.header(tmp_path / "f" / "whisper" / "00000.safetensors")
    assert head["columns"][:2] + head["columns"][-1:] == ["layer1_0", "layer1_1", "layer3_31"]
    assert not any(str(small) in str(value) for value in head.values())


def test_statistics_columns_are_grouped_by_statistic_across_all_layers(
    small: Path, voices: Path, tmp_path: Path
) -> None:
    for words, place in (((), "frames"), (("--stats", "mean,std"), "stats")):
        done = sertool("featurize", voices, "--whisper", "base", *words, "--dtype", "float32", "-o", tmp_path / place)
        assert done.code == 0, done.err
    frames, stats = rows(tmp_path / "frames", "whisper"), rows(tmp_path / "stats", "whisper")
    head = tensorfile.header(tmp_path / "stats" / "whisper" / "00000.safetensors")
    assert [head["columns"][place] for place in (0, 127, 128, 160)] == [
        "layer0_0_mean", "layer3_31_mean", "layer0_0_std", "layer1_0_std"
    ]  # fmt: skip
    for clip, row in stats.items():
        assert np.allclose(row.reshape(2, -1)[0], frames[clip].mean(axis=0), atol=1e-4)


def test_statistics_of_two_encoders_have_distinct_column_names(
    small_encoders: Path, voices: Path, tmp_path: Path
) -> None:
    words = ("--whisper", "base", "--ssl", "wavlm-base-plus", "--layers", "1", "--rms", "--stats", "mean")
    done = sertool("featurize", voices, *words, "-o", tmp_path / "f", "--values", tmp_path / "v.parquet")
    assert done.code == 0, done.err
    names = manifest_io.read_table(str(tmp_path / "v.parquet")).column_names
    assert len({*names}) == len(names)
    assert {"whisper_layer1_0_mean", "ssl_layer1_0_mean", "rms_mean"} <= {*names}


def test_automatic_settings_are_recorded_as_resolved_values(small: Path, voices: Path, tmp_path: Path) -> None:
    assert sertool("featurize", voices, "--whisper", "base", "-o", tmp_path / "f").code == 0
    record = provenance.of(manifest_io.read(str(tmp_path / "f" / "manifest.parquet")))["features"]["whisper"]
    assert record["settings"]["precision"] in ("bf16", "float32")
    assert record["settings"]["layers"] == "0-3"


def test_encoder_features_do_not_depend_on_jobs_or_other_clips(
    small: Path, voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "SLOW_CLIPS", 2)  # enough batches for forks
    words = ("--whisper", "base", "--layers", "2-3")
    for jobs in (1, 3):
        assert sertool("featurize", voices, *words, "-j", jobs, "-o", tmp_path / str(jobs)).code == 0
    assert snapshot(tmp_path / "1" / "whisper") == snapshot(tmp_path / "3" / "whisper")
    assert sertool("featurize", voices, *words, "--where", "emotion=angry", "-o", tmp_path / "few").code == 0
    everyone = rows(tmp_path / "1", "whisper")
    for clip, held in rows(tmp_path / "few", "whisper").items():
        assert np.array_equal(held, everyone[clip])


def test_sample_rate_other_than_16_khz_is_refused(small: Path, voices: Path, tmp_path: Path) -> None:
    done = sertool("featurize", voices, "--whisper", "base", "--rate", "8000", "-o", tmp_path / "f")
    assert done.code == 2
    assert "16,000 Hz" in done.line


def test_recorded_settings_suffice_to_reproduce_the_features(small: Path, voices: Path, tmp_path: Path) -> None:
    words = ("--whisper", "base", "--layers", "2", "--stats", "mean")
    assert sertool("featurize", voices, *words, "-o", tmp_path / "f").code == 0
    table = manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))
    engine = Engine(inference.extraction_of(provenance.of(table)["features"]))
    clip = Clip(*(manifest.column(table, name)[0] for name in ("clip", "path")), None, None, None)
    again = engine.alone(decoding.decoded(clip, engine.extraction.wave))["whisper"]
    assert np.array_equal(again, rows(tmp_path / "f", "whisper")[clip.name])


def test_bf16_is_used_only_on_hardware_that_supports_it(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = features.settings("whisper", {"precision": "bf16"})
    extraction = Extraction(shaping.Wave(), {"whisper": settings})
    for has, kind in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(device, "_has_bf16", lambda _device, has=has: has)
        engine = Engine(extraction)
        assert engine.features["whisper"].encoder.network.blocks[0].inner.weight.dtype == kind
        assert features.resolve_settings("whisper", settings, "cpu", 16_000).precision == "bf16"
        assert features.resolve_settings("whisper", features.settings("whisper", {}), "cpu", 16_000).precision == (
            "bf16" if has else "float32"
        )


@torch.inference_mode()
def test_batched_encoding_equals_encoding_each_clip_alone(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = whisper.Encoder("base", (0, 3))
    mels = [torch.randn(length, 80) for length in (50, 301, 2, 50, 999, 1)]
    for pack in (whisper.PACK, 100):
        monkeypatch.setattr(whisper, "PACK", pack)
        for alone, together in zip(encoder._pieces(mels), encoder._together(mels), strict=True):
            assert torch.allclose(alone, together, atol=1e-4)


def test_more_layers_produce_more_shards(
    small: Path, voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_plan, "BYTES", 100_000.0)
    counts = []
    for words in ((), ("--layers", "1"), ("--stats", "mean")):
        place = tmp_path / "".join(words)
        assert sertool("featurize", voices, "--whisper", "base", *words, "-o", place).code == 0
        assert set(rows(place, "whisper")) == set(manifest.column(manifest_io.read(str(voices)), "clip"))
        counts.append(len(list((place / "whisper").glob("*.safetensors"))))
    assert counts[0] > counts[1] > counts[2] == 1


# Weights


def other(cache: Path, **changes: object) -> Path:
    """A file of other weights of the same encoder."""
    path = cache / "other.pt"
    path.write_bytes(checkpoint(whisper_state(seed=1) | changes))
    return path


def test_shards_of_different_weights_are_never_mixed(small: Path, voices: Path, tmp_path: Path) -> None:
    words = ("featurize", voices, "--whisper", "base", "-o", tmp_path / "f")
    assert sertool(*words).code == 0
    done = sertool(*words, "--weights", other(tmp_path))
    assert done.code != 0
    assert "weights" in done.line
    assert "--overwrite" in done.line


def test_features_of_custom_weights_require_the_same_weights_again(small: Path, tmp_path: Path) -> None:
    pretrained_weights.use_file(other(tmp_path))
    known = features.resolve_settings("whisper", features.settings("whisper", {}), "cpu", 16_000)
    pretrained_weights._registered.pop(known.weights)  # as in another process
    pretrained_weights.use_file(None)
    with pytest.raises(SertoolError, match="--weights") as refusal:
        features.load("whisper").Feature(known, 16_000)
    assert known.weights in str(refusal.value)
    pretrained_weights.use_file(other(tmp_path))
    assert features.load("whisper").Feature(known, 16_000).encoder.weights == known.weights


def test_weights_have_the_same_digest_in_any_file_format(small: Path, tmp_path: Path) -> None:
    state = whisper_state()
    with open(tmp_path / "w.safetensors", "wb") as stream:
        named = {name: (str(t.numpy().dtype), tuple(t.shape), [t.numpy()]) for name, t in state.items()}
        tensorfile.write(stream, {}, named)
    torch.save({name: tensor.float() for name, tensor in state.items()}, tmp_path / "w.pt")
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    known = whisper.tensors("base", 3)[0]
    for name in ("w.safetensors", "w.pt", "old.pt"):
        pretrained_weights.use_file(tmp_path / name)
        assert whisper.tensors("base", 3)[0] == known, name


def test_bfloat16_weights_read_alike_from_both_file_formats(small: Path, tmp_path: Path) -> None:
    state = {name: tensor.bfloat16() for name, tensor in whisper_state().items()}
    torch.save(state, tmp_path / "w.pt")
    save_file(
        state | {"mask": torch.tensor([True, False]), "one": torch.tensor(0.5).bfloat16()}, tmp_path / "w.safetensors"
    )
    known = []
    for name in ("w.safetensors", "w.pt"):
        pretrained_weights.use_file(tmp_path / name)
        known.append(whisper.tensors("base", 3)[0])
    assert known[0] == known[1]
    assert tensorfile.read(tmp_path / "w.safetensors")[1]["mask"].tolist() == [True, False]


def test_unsupported_tensor_type_is_refused_by_name(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3, dtype=torch.float8_e4m3fn)}, tmp_path / "w.safetensors")
    with pytest.raises(SertoolError, match=r"w\.safetensors: it holds 'F8_E4M3', .* as F32 or BF16"):
        tensorfile.read(tmp_path / "w.safetensors")


def retrained() -> dict[str, np.ndarray]:
    """What a packed model file holds of an encoder whose last block was trained on."""
    _, state = whisper.tensors("base", 3)
    last = whisper.network("base", 3, state).blocks[2].state_dict()
    before = {f"{WITHIN}{name}": tensor for name, tensor in state.items() if ".blocks.2." not in name}
    own = {f"blocks.0.{name}": tensor for name, tensor in last.items()}
    return {name: tensor.numpy() for name, tensor in (before | own | {"head.1.bias": torch.zeros(4)}).items()}


def test_encoder_is_restored_from_the_model_file_that_fine_tuned_it(small: Path, tmp_path: Path) -> None:
    known, _ = whisper.tensors("base", 3)
    pretrained_weights._registered.clear()
    path = saved_as_model(retrained(), tmp_path)
    pretrained_weights.use_file(path)
    assert whisper.tensors("base", 3)[0] == known


def test_model_file_with_an_incomplete_encoder_is_a_one_line_error(small: Path, tmp_path: Path) -> None:
    held = {name: value for name, value in retrained().items() if "query_key_value.weight" not in name}
    pretrained_weights.use_file(saved_as_model(held, tmp_path))
    pretrained_weights._registered.clear()
    with pytest.raises(SertoolError, match=r"query.weight is not in it: it brings layers 0 to"):
        whisper.tensors("base", 3)


def test_encoder_is_restored_from_an_8_bit_model_file(small: Path, tmp_path: Path) -> None:
    _, state = whisper.tensors("base", 3)
    kept = quantization.quantized({f"{WITHIN}{name}": tensor.numpy() for name, tensor in state.items()})
    assert any(array.dtype == np.int8 for array in kept.values())
    pretrained_weights.use_file(saved_as_model(kept, tmp_path))
    for name, tensor in whisper.tensors("base", 3)[1].items():
        assert (tensor - state[name]).abs().max() <= state[name].abs().max() / 127 / 2 + 1e-7, name


def test_mismatched_quantisation_scale_is_a_one_line_error(small: Path, voices: Path, tmp_path: Path) -> None:
    _, state = whisper.tensors("base", 3)
    kept = quantization.quantized({name: tensor.numpy() for name, tensor in state.items()})
    kept["encoder.conv1.weight" + quantization.SCALE] = np.ones(3, np.float32)
    path = saved_as_model(kept, tmp_path)
    done = sertool("featurize", voices, "--whisper", "base", "--weights", path, "-o", tmp_path / "f")
    assert (done.code, "the scale of encoder.conv1.weight does not fit it" in done.line) == (1, True)


def saved_as_model(held: dict[str, np.ndarray], folder: Path) -> Path:
    path = folder / "model.safetensors"
    with path.open("wb") as stream:
        parts = {name: (value.dtype.name, value.shape, [value]) for name, value in held.items()}
        tensorfile.write(stream, {"format": 1}, parts)
    return path


def test_registered_weights_need_no_file(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = {
        name: tensor.float() for name, tensor in whisper_state(seed=7).items() if name in whisper.shapes("base", 2)
    }
    known = pretrained_weights.register(state)
    monkeypatch.setenv("SERTOOL_CACHE", os.devnull)
    settings = features.settings("whisper", {"layers": "1-2", "precision": "float32", "weights": known})
    assert features.load("whisper").Feature(settings, 16_000).encoder.weights == known


@pytest.fixture
def publisher(small: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[play.Server]:
    """A server that has the small weights where OpenAI has the real ones, and an empty cache."""
    made = play.Server()
    monkeypatch.setattr(whisper, "URL", made.url + "/models/{sha256}/{size}.pt")
    monkeypatch.setenv("SERTOOL_CACHE", str(tmp_path / "cache"))
    made.put(f"/models/{whisper.SIZES['base']['sha256']}/base.pt", checkpoint(whisper_state()))
    yield made
    made.close()


def address(server: play.Server) -> str:
    (path,) = server.things
    return path


def test_weights_are_fetched_once_and_checked(publisher: play.Server, voices: Path, tmp_path: Path) -> None:
    for place in ("one", "two"):
        done = sertool("featurize", voices, "--whisper", "base", "-o", tmp_path / place)
        assert done.code == 0, done.err
    assert publisher.count(address(publisher)) == 1
    assert [path.name for path in (tmp_path / "cache" / "weights").glob("[!.]*")] == ["whisper-base.pt"]
    assert snapshot(tmp_path / "one" / "whisper") == snapshot(tmp_path / "two" / "whisper")


def test_dry_run_downloads_nothing_and_announces_the_download(
    publisher: play.Server, voices: Path, tmp_path: Path
) -> None:
    words = ("featurize", voices, "--whisper", "base", "-o", tmp_path / "f")
    done = sertool(*words, "--dry-run")
    assert (done.code, done.out) == (0, b"")
    assert "would fetch the weights of whisper-base (145 MB)" in done.line
    assert not publisher.asked
    assert not (tmp_path / "cache" / "weights").exists()
    assert not (tmp_path / "f").exists()
    assert sertool(*words).code == 0
    assert "would make 0 of" in sertool(*words, "--dry-run").line


def test_interrupted_download_is_resumed(publisher: play.Server) -> None:
    publisher.things[address(publisher)].faults.extend([play.cut(50_000), None])
    whisper.tensors("base", 3)
    assert publisher.asked[-1].headers["Range"] == "bytes=50000-"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda thing: thing.faults.append(play.status(404)), "404"),
        (lambda thing: setattr(thing, "body", b"x" * 999), "SHA256"),
        (lambda thing: thing.faults.append(play.silent), ""),
    ],
)
def test_failed_download_is_one_line_with_instructions_for_manual_placement(
    publisher: play.Server, voices: Path, tmp_path: Path, spoil: Callable[[play.Thing], object], said: str
) -> None:
    spoil(publisher.things[address(publisher)])
    done = sertool("featurize", voices, "--whisper", "base", "-o", tmp_path / "f")
    assert done.code == 1
    line = done.err.splitlines()[-1]
    for part in (said, publisher.url, whisper.SIZES["base"]["sha256"], str(tmp_path / "cache"), "--weights FILE"):
        assert part in line
    assert not (tmp_path / "f").exists()


def test_cached_file_with_a_wrong_digest_is_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = hashlib.sha256(b"").hexdigest()
    monkeypatch.setitem(whisper.SIZES["base"], "sha256", wrong)
    with pytest.raises(SertoolError, match="remove it") as refusal:
        whisper.tensors("base", 3)
    assert wrong in str(refusal.value)


class Bomb:
    """What would be run by whoever unpickles it."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, ("executed",))


def spoilt(path: Path, kind: str) -> None:
    whole = checkpoint(whisper_state())
    if kind == "hostile":
        path.write_bytes(pickle.dumps(Bomb()))
    elif kind == "hostile in a checkpoint":
        torch.save({"model_state_dict": whisper_state(), "extra": Bomb()}, path)
    elif kind == "no tensors":
        torch.save({"model_state_dict": [1, 2]}, path)
    elif kind == "another size":
        torch.save(whisper_state() | {"encoder.conv1.weight": torch.zeros(64, 80, 3)}, path)
    elif kind == "whole numbers":
        torch.save(whisper_state() | {"encoder.conv1.bias": torch.zeros(32, dtype=torch.int64)}, path)
    elif kind == "another encoder's":
        names = {name: name.replace(".conv1.", ".stem.") for name in whisper_state()}
        torch.save({names[name]: held for name, held in whisper_state().items()}, path)
    elif kind == "a block short":
        torch.save({name: held for name, held in whisper_state().items() if ".blocks.2." not in name}, path)
    else:
        path.write_bytes({"empty": b"", "cut": whole[:-5000], "text": b"hello\n" * 99}[kind])


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize(
    "kind",
    ["hostile", "hostile in a checkpoint", "no tensors", "another size", "whole numbers", "a block short", "empty",
     "cut", "text"],
)  # fmt: skip
def test_invalid_weights_file_is_refused_in_one_line_without_executing_code(
    small: Path, voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    spoilt(tmp_path / name, kind)
    done = sertool("featurize", voices, "--whisper", "base", "--weights", name, "-o", tmp_path / "f")
    assert done.code == 1
    assert done.line.startswith(f"sertool: {name}")
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [("w.pt", "another size", "[64, 80, 3] in it, not [32, 80, 3]"), ("w.pt", "whole numbers", "whole numbers"),
     ("w.safetensors", "cut", "no safetensors file")],
)  # fmt: skip
def test_invalid_weights_error_states_the_cause(small: Path, tmp_path: Path, name: str, kind: str, says: str) -> None:
    spoilt(tmp_path / name, kind)
    pretrained_weights.use_file(tmp_path / name)
    with pytest.raises(SertoolError) as refusal:
        whisper.tensors("base", 3)
    assert says in str(refusal.value)


def test_layers_are_offered_only_where_blocks_are_missing(small: Path, tmp_path: Path) -> None:
    said = {}
    for kind in ("a block short", "another encoder's"):
        spoilt(tmp_path / "w.pt", kind)
        pretrained_weights.use_file(tmp_path / "w.pt")
        with pytest.raises(SertoolError) as refusal:
            whisper.tensors("base", 3)
        said[kind] = "ask for --layers" in str(refusal.value)
    assert said == {"a block short": True, "another encoder's": False}


def test_weights_with_fewer_blocks_suffice_for_lower_layers(small: Path, voices: Path, tmp_path: Path) -> None:
    spoilt(tmp_path / "w.pt", "a block short")
    words = ("--whisper", "base", "--weights", tmp_path / "w.pt", "--layers", "0-2")
    assert sertool("featurize", voices, *words, "-o", tmp_path / "f").code == 0


def test_encoder_options_are_refused_without_an_encoder(small: Path, voices: Path, tmp_path: Path) -> None:
    for words in (("--weights", "w.pt"), ("--layers", "2"), ("--precision", "bf16")):
        done = sertool("featurize", voices, "--mel", *words, "-o", tmp_path / "f")
        assert (done.code, "--whisper base" in done.line) == (2, True)
    done = sertool("featurize", voices, "--whisper", "base", "--weights", tmp_path / "no.pt", "-o", tmp_path / "f")
    assert (done.code, "no such file" in done.line) == (2, True)


# Encoders that taught themselves


def layers_of(model: str, wave: torch.Tensor, precision: str = "float32", layers: str = "all") -> np.ndarray:
    settings = features.settings("ssl", {"model": model, "precision": precision, "layers": layers})
    with torch.inference_mode():
        return features.load("ssl").Feature(settings, 16_000).clips([wave])[0].numpy()


@pytest.mark.parametrize("model", SSL)
def test_self_supervised_encoders_agree_with_torchaudio(small: Path, model: str) -> None:
    for samples in (1, 400, 16_321, 16_000 * 40):
        wave = speech(samples)
        known = features.load("ssl").definition(wave.numpy(), 16_000, features.settings("ssl", {"model": model}))
        found = layers_of(model, wave)
        assert found.shape == known.shape == (max(0, samples - 400) // 320 + 1, 4 * 32)
        assert np.abs(found - known).max() < 1e-3 * np.abs(known).max()


@pytest.mark.parametrize("model", SSL)
def test_self_supervised_encoder_includes_samples_after_the_last_frame(small: Path, model: str) -> None:
    wave = speech(400 + 320 * 40 + 319)
    wave[-319:] = torch.randn(319, generator=torch.Generator().manual_seed(0))  # in no frame
    network = ssl.network(model, 3, ssl.tensors(model, 3)[1]).eval()
    given = layer_norm(wave, wave.shape) if ssl.bundle(model)._normalize_waveform else wave
    with torch.inference_mode():
        known = torch.cat(network.extract_features(given[None])[0], dim=2)[0].numpy()
    assert np.abs(layers_of(model, wave, layers="1-3") - known).max() < 1e-4 * np.abs(known).max()


@pytest.mark.parametrize(("precision", "least"), [("bf16", 0.9995), ("int8", 0.999)])
@pytest.mark.parametrize("model", SSL)
def test_self_supervised_encoder_in_bf16_or_int8_is_close_to_float32(
    small: Path, model: str, precision: str, least: float
) -> None:
    exact, quick = (layers_of(model, speech(40_000), kind) for kind in ("float32", precision))
    assert quick.dtype == np.float32
    assert not np.array_equal(exact, quick)
    assert cosine(exact, quick) > least


@pytest.mark.parametrize("model", SSL)
def test_single_layers_of_self_supervised_encoders_equal_columns_of_all_layers(small: Path, model: str) -> None:
    whole = layers_of(model, speech(9_000)).reshape(-1, 4, 32)
    for layer in (0, 2):
        assert np.allclose(layers_of(model, speech(9_000), layers=str(layer)), whole[:, layer], atol=1e-5)


@pytest.mark.parametrize("model", SSL)
def test_self_supervised_encoders_are_selected_by_name(small: Path, voices: Path, tmp_path: Path, model: str) -> None:
    words = ("featurize", voices, "--ssl", model, "--layers", "1-2", "--precision", "float32", "--verify", "3")
    done = sertool(*words, "-o", tmp_path / "f")
    assert done.code == 0, done.err
    assert "verified ssl: agrees on 3 clips: 100.000 %" in done.err
    record = provenance.of(manifest_io.read(str(tmp_path / "f" / "manifest.parquet")))["features"]["ssl"]
    assert (record["settings"]["model"], record["settings"]["layers"]) == (model, "1-2")
    assert len(record["settings"]["weights"]) == 32


@pytest.mark.parametrize("model", SSL)
def test_weights_saved_by_current_torchaudio_equal_the_published_weights(
    small: Path, tmp_path: Path, model: str
) -> None:
    known, state = ssl.tensors(model, 3)
    today = ssl.network(model, 3, state).state_dict()
    assert today.keys() != state.keys()
    (tmp_path / "today.pt").write_bytes(saved(today))
    pretrained_weights.use_file(tmp_path / "today.pt")
    assert ssl.tensors(model, 3)[0] == known


def test_whisper_and_self_supervised_encoders_combine_with_separate_layers(
    small: Path, voices: Path, tmp_path: Path
) -> None:
    words = ("--whisper", "base", "--ssl", "wavlm-base-plus", "--mel", "--layers", "1", "--whisper-layers", "2")
    done = sertool("featurize", voices, *words, "-o", tmp_path / "f")
    assert done.code == 0, done.err
    held = provenance.of(manifest_io.read(str(tmp_path / "f" / "manifest.parquet")))["features"]
    assert {name: held[name]["settings"]["layers"] for name in ("whisper", "ssl")} == {"whisper": "2", "ssl": "1"}


def test_weights_without_a_published_digest_are_pinned_at_the_first_download(
    small: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = play.Server()
    monkeypatch.setattr(ssl, "URL", server.url + "/models/")
    monkeypatch.setenv("SERTOOL_CACHE", str(tmp_path / "cache"))
    server.put("/models/" + ssl.SIZES["wavlm-base-plus"]["file"], saved(ssl_state("wavlm-base-plus")))
    known, _ = ssl.tensors("wavlm-base-plus", 2)
    place = ssl.published("wavlm-base-plus").place
    pin = place.with_name(place.name + ".sha256")
    assert pin.read_text() == hashlib.sha256(place.read_bytes()).hexdigest()
    place.write_bytes(saved(ssl_state("wavlm-base-plus", seed=1)))
    with pytest.raises(SertoolError, match="remove it"):
        ssl.tensors("wavlm-base-plus", 2)
    server.put("/models/" + ssl.SIZES["wavlm-base-plus"]["file"], place.read_bytes())
    place.unlink()
    with pytest.raises(SertoolError, match="SHA256"):
        ssl.tensors("wavlm-base-plus", 2)
    server.put("/models/" + ssl.SIZES["wavlm-base-plus"]["file"], saved(ssl_state("wavlm-base-plus")))
    assert ssl.tensors("wavlm-base-plus", 2)[0] == known
    server.close()


# What the files say


@pytest.mark.parametrize("name", catalogue.entries("encoders"))
def test_encoder_facts_are_complete_and_readable_without_running_the_file(name: str) -> None:
    facts = catalogue.entries("encoders")[name].facts
    assert facts["URL"].startswith("https://")
    for size in facts["SIZES"].values():
        assert {"width", "layers", "parameters", "megabytes", "licence", "citation"} <= size.keys() | {
            word.lower() for word in facts
        }


@pytest.mark.parametrize("model", catalogue.entries("encoders")["ssl"].facts["SIZES"])
def test_self_supervised_encoder_facts_agree_with_torchaudio(model: str) -> None:
    facts = catalogue.entries("encoders")["ssl"].facts["SIZES"][model]
    bundle = getattr(impl, facts["bundle"])
    with torch.device("meta"):
        network = ssl.MAKERS[bundle._model_type](**bundle._params)
    assert facts["file"] == bundle._path
    assert facts["layers"] == len(network.encoder.transformer.layers)
    assert facts["parameters"] == sum(weight.numel() for weight in network.parameters())
    assert facts["width"] == network.encoder.transformer.pos_conv_embed.embed_dim
    assert bundle.sample_rate == ssl.RATE


@pytest.mark.parametrize("size", catalogue.entries("encoders")["whisper"].facts["SIZES"])
def test_whisper_parameter_count_matches_its_documented_facts(size: str) -> None:
    facts = catalogue.entries("encoders")["whisper"].facts["SIZES"][size]
    with torch.device("meta"):
        network = whisper.Network(facts["bands"], facts["width"], facts["heads"], facts["layers"])
    of_keys = facts["layers"] * facts["width"]  # biases that are not published
    assert sum(weight.numel() for weight in network.parameters()) == facts["parameters"] + of_keys


# The real encoder


@pytest.fixture
def real_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real encoder, even where the small one was in place before."""
    facts = catalogue.entries("encoders")["whisper"].facts["SIZES"]
    monkeypatch.setattr(whisper, "SIZES", facts)
    pretrained_weights.use_file(REAL)


def clips(count: int) -> list[torch.Tensor]:
    soundfile = pytest.importorskip("soundfile")
    paths = sorted(CORPORA.glob("cremad/**/*.ogg"))
    return [
        torch.from_numpy(soundfile.read(path, dtype="float32")[0]) for path in paths[:: len(paths) // count][:count]
    ]


@pytest.mark.slow
@pytest.mark.corpora
@pytest.mark.skipif(not REAL.is_file() or not CORPORA.is_dir(), reason="the real encoder is not here")
@pytest.mark.usefixtures("real_encoder")
def test_the_real_encoder_in_bf16_has_a_cosine_of_9995_to_float32() -> None:
    waves = clips(12)
    exact, quick = made(waves), made(waves, precision="bf16")
    for layer in range(7):
        one, other = (np.concatenate(held).reshape(-1, 7, 512)[:, layer] for held in (exact, quick))
        assert cosine(one, other) >= 0.9995, layer
        for each, fast in zip(exact, quick, strict=True):
            means = (held.reshape(-1, 7, 512)[:, layer].mean(axis=0) for held in (each, fast))
            assert cosine(*means) >= 0.9995, layer


@pytest.mark.slow
@pytest.mark.corpora
@pytest.mark.skipif(not REAL.is_file() or not CORPORA.is_dir(), reason="the real encoder is not here")
@pytest.mark.usefixtures("real_encoder")
def test_real_encoder_agrees_with_its_definition_and_fits_float16() -> None:
    for wave in clips(3):
        (found,), known = made([wave]), defined(wave)
        found, known = (held.reshape(-1, 7, 512) for held in (found, known))
        assert np.abs(known).max() < 10_000
        for layer in range(7):
            assert np.abs(found[:, layer] - known[:, layer]).max() < 1e-3 * np.abs(known[:, layer]).max()
