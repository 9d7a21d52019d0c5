"""featurize in little memory, however long or many the clips."""

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from featurizing import ALL
from running import ON_LINUX, measured, rows, sertool

from sertool import effects
from sertool.featurize import decoding, shard_plan
from sertool.manifests import manifest, manifest_io
from sertool.sound import audio, encoding, shaping, synth


@pytest.mark.parametrize("words", [
    [], ["--trim", "30", "--offset", "0.1", "--channels", "stereo"], ["--rate", "22050"],
    *(pytest.param(words, marks=pytest.mark.slow) for words in (
        ["--remove-dc"], ["--channels", "stereo"], ["--seconds", "1", "--fit", "middle"],
        ["--seconds", "9", "--fit", "random"], ["--no-center"], ["--edges", "reflect"],
        ["--rate", "8000", "--channels", "left"],
    )),
])  # fmt: skip
def test_long_clips_processed_in_blocks_match_whole_processing(tmp_path, monkeypatch, words):
    voice = np.concatenate([synth.voice(0, "angry", sentence) for sentence in range(2)])
    encoding.write(tmp_path / "angry" / "a.wav", np.stack([voice, 0.5 * voice[::-1] + 0.05], axis=1), 16_000)
    flags = [flag for flag in ALL if flag != "--wave" or not words]
    assert sertool("featurize", tmp_path / "angry", *flags, *words, "-o", tmp_path / "whole").code == 0
    monkeypatch.setattr(decoding, "LONG_CLIP_SAMPLES", 1000)
    monkeypatch.setattr(audio, "BLOCK_VALUES", 3000)
    done = sertool("featurize", tmp_path / "angry", *flags, *words, "-o", tmp_path / "pieces")
    assert done.code == 0, done.err
    for flag in flags:
        name = flag[2:].replace("-", "_")
        whole, pieces = rows(tmp_path / "whole", name), rows(tmp_path / "pieces", name)
        for clip, held in whole.items():
            spread = np.maximum(np.abs(held), held.std(axis=0, dtype=np.float64)) if "--rate" in words else 0.0
            assert np.all(np.abs(pieces[clip] - held) <= 1e-3 * spread), name


def test_a_long_clip_that_cannot_be_decoded_becomes_an_issue_row(spoilt, tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "LONG_CLIP_SAMPLES", 1000)
    sertool("featurize", spoilt, "--rms", "-o", tmp_path / "f")
    table = manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))
    assert manifest.column(table, "issue")[:4] == ["vanished", "truncated", "unreadable", None]


def test_only_written_long_copies_are_processed_in_blocks(voices, monkeypatch):
    monkeypatch.setattr(decoding, "LONG_CLIP_SAMPLES", 1000)
    clip, chain = shard_plan.clips_of(manifest_io.read(str(voices)))[0], effects.text([{"effect": "polarity"}])
    written, pending = (replace(clip, augmentation=text) for text in (effects.written(chain), chain))
    assert not isinstance(decoding.channels(written, shaping.Wave()), torch.Tensor)
    assert isinstance(decoding.channels(pending, shaping.Wave()), torch.Tensor)


GREATEST = 1.5e9  # bytes of memory


@pytest.mark.slow
@ON_LINUX
@pytest.mark.parametrize(("hours", "rate", "channels", "words"), [
    (3, 16000, 1, ("--mel", "--rms", "--zcr")), (1, 44100, 2, ("--mel",)),
    (1, 44100, 2, ("--mel", "--channels", "stereo", "--rate", "44100")), (3, 16000, 1, ("--preset", "mel-min-max")),
    (3, 16000, 1, ("--wave",)), (3, 16000, 1, ("--pitch", "--hop", "1600")), (3, 16000, 1, ("--msf",)),
])  # fmt: skip
def test_hours_of_audio_take_little_memory(tmp_path, hours, rate, channels, words):
    write_hours(tmp_path / "long.wav", hours, rate, channels)
    done, peak = measured("featurize", "long.wav", *words, "-o", "f", cwd=tmp_path)
    assert done.code == 0, done.err
    assert peak < GREATEST


def write_hours(path: Path, hours: int, rate: int, channels: int) -> None:
    """The same minute of speech again and again."""
    voices = [synth.voice(speaker, "angry", sentence, rate=rate) for speaker in range(2) for sentence in range(8)]
    minute = np.resize(np.concatenate(voices), 60 * rate)
    minute = (32767 * np.stack([minute] * channels, axis=1)).astype("<i2").tobytes()
    size = len(minute) * 60 * hours
    with open(path, "wb") as stream:
        header = [
            b"RIFF",
            size + 36,
            b"WAVE",
            b"fmt ",
            16,
            1,
            channels,
            rate,
            rate * 2 * channels,
            2 * channels,
            16,
            b"data",
            size,
        ]
        stream.write(struct.pack("<4sI4s4sIHHIIHH4sI", *header))
        for _ in range(60 * hours):
            stream.write(minute)


@pytest.mark.slow
@ON_LINUX
def test_memory_does_not_grow_with_the_number_of_clips(voices, tmp_path):
    paths = manifest.column(manifest_io.read(str(voices)), "path")
    peaks = []
    for count in (2_000, 8_000):
        lines = ["clip,path,duration", *(f"c{number},{paths[number % 24]},2.0" for number in range(count))]
        (tmp_path / "m.csv").write_text("\n".join(lines))
        done, peak = measured("featurize", "m.csv", "--mel", "--wave", "-o", count, cwd=tmp_path)
        assert done.code == 0, done.err
        peaks.append(peak)
    assert peaks[1] < 1.1 * peaks[0] < 1.1 * GREATEST


def test_featurize_restores_the_torch_thread_count(tree, tmp_path):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert sertool("featurize", tree, "--mel", "-o", tmp_path / "f").code == 0
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
