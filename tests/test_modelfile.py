"""A model file gives back what was put in; whatever is cut, foreign or hostile is one line and runs nothing."""

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from sertool.errors import SertoolError
from sertool.modelfiles import modelfile
from sertool.modelfiles.modelfile import ModelFile


def held() -> ModelFile:
    return ModelFile(
        "cnn", {"channels": [4, 8], "frames": 40}, 16, ["neutral", "angry"], {"mel": {"settings": {"hop": 160}}},
        {"head.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "steps": np.array(3)}, "corpus", 1.25,
        {"corpora": {"cremad": 3}}, {"dev_uar": 0.5},
    )  # fmt: skip


def test_written_model_is_read_back_unchanged(tmp_path: Path) -> None:
    modelfile.write(tmp_path / "m.safetensors", held())
    again = modelfile.read(tmp_path / "m.safetensors")
    for name, value in vars(held()).items():
        if name != "tensors":
            assert getattr(again, name) == value
    assert again.tensors.keys() == held().tensors.keys()
    for name, array in held().tensors.items():
        np.testing.assert_array_equal(again.tensors[name], array)


def test_older_file_without_an_adapted_temperature_reuses_its_single_temperature(tmp_path: Path) -> None:
    said = {name: value for name, value in vars(held()).items() if name not in ("tensors", "adapted_temperature")}
    (tmp_path / "m").write_bytes(_container(said | {"model_format": 1}, {}))
    again = modelfile.read(tmp_path / "m")
    assert again.adapted_temperature == again.temperature != 1


def test_equal_models_are_written_as_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        modelfile.write(tmp_path / name, held())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_model_file_is_readable_by_the_safetensors_library(tmp_path: Path) -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    modelfile.write(tmp_path / "m.safetensors", held())
    np.testing.assert_array_equal(
        numpy.load_file(tmp_path / "m.safetensors")["head.weight"], held().tensors["head.weight"]
    )


def test_truncated_model_file_gives_a_one_line_error(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    modelfile.write(path, held())
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(SertoolError) as caught:
            modelfile.read(path)
        assert "\n" not in str(caught.value)


def test_flipped_bit_in_a_model_file_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    modelfile.write(path, held())
    whole = path.read_bytes()
    numbers = sum(array.nbytes for array in held().tensors.values())
    for place in range(len(whole) - numbers, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(SertoolError, match="it was altered"):
            modelfile.read(path)
    path.write_bytes(whole.replace(b"1.25", b"1.35"))  # the temperature
    with pytest.raises(SertoolError, match="it was altered"):
        modelfile.read(path)


class Trap:
    def __reduce__(self) -> tuple:
        return (exec, ("raise RuntimeError('it ran')",))


def _container(metadata: object, tensors: dict) -> bytes:
    text = json.dumps({"__metadata__": {"sertool": json.dumps(metadata)}, **tensors}).encode()
    return struct.pack("<Q", len(text)) + text


def _altered(**values: object) -> bytes:
    """A model file without tensors whose header says something else here and there."""
    sound = {name: value for name, value in vars(held()).items() if name != "tensors"} | {"model_format": 1}
    return _container(sound | values, {})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF0000WAVE",
        b"\xff" * 64,
        struct.pack("<Q", 2**62) + b"{}",
        pickle.dumps(Trap()),
        _container({}, {}),
        _container([], {}),
        _container({"model_format": "x"}, {}),
        _container({"format": 1, "feature": "mel"}, {}),
        _altered(labels="angry"),
        _altered(temperature=0),
        _altered(adapted_temperature=0),
        _altered(columns="9"),
        _altered(columns=-9),
        _altered(scores=9),
        _altered(features={"mel": "log"}),
        _container({}, {"a": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 2**62]}}),
    ],
    ids=range(17),
)
def test_foreign_and_hostile_files_give_one_line_errors_and_run_no_code(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(SertoolError) as caught:
        modelfile.read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_older_model_file_without_a_checksum_is_read(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(_altered())
    assert modelfile.read(tmp_path / "m").labels == held().labels


def test_model_file_from_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(_altered(model_format=99))
    with pytest.raises(SertoolError, match="made by a newer sertool"):
        modelfile.read(tmp_path / "m")
