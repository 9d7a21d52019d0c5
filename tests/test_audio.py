"""What is sound passes, what is cut or broken never does, and plain WAV reads as soundfile reads it."""

import hashlib
import io
import math
import os
import struct
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sertool.sound import audio, containers, decoders, encoding, synth
from sertool.sound.audio import Cut, Unusable
from sertool.sound.digests import Digest

RATE = 16_000
LOSSLESS = [
    ("wav", "WAV", "PCM_16"), ("wav", "WAV", "PCM_24"), ("wav", "WAV", "PCM_32"), ("wav", "WAV", "PCM_U8"),
    ("wav", "WAV", "FLOAT"), ("wav", "WAV", "DOUBLE"), ("wav", "WAV", "ULAW"), ("wav", "WAV", "ALAW"),
    ("wav", "WAVEX", "PCM_16"), ("wav", "RF64", "PCM_16"), ("wav", "RF64", "FLOAT"), ("flac", "FLAC", "PCM_16"),
    ("flac", "FLAC", "PCM_24"), ("aiff", "AIFF", "PCM_16"), ("aif", "AIFF", "FLOAT"),
]  # fmt: skip
LOSSY = [
    ("wav", "WAV", "IMA_ADPCM"),
    ("ogg", "OGG", "VORBIS"),
    ("opus", "OGG", "OPUS"),
    ("mp3", "MP3", "MPEG_LAYER_III"),
]
FORMATS = [pytest.param(*each, id="-".join(each[1:])) for each in LOSSLESS + LOSSY]


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    wave = synth.voice(0, "happy", 1)
    return 0.9 * wave / np.abs(wave).max()


def written(path: Path, wave: np.ndarray, kind: str, subtype: str, rate: int = RATE, **how: object) -> bytes:
    soundfile.write(path, wave, rate, format=kind, subtype=subtype, **how)
    return path.read_bytes()


def look_at(path: Path, data: bytes, *, full: bool = True) -> audio.AudioInfo:
    path.write_bytes(data)
    return audio.probe(str(path), full=full)


def wav(
    samples: np.ndarray, rate: int = RATE, *, before: bytes = b"", length: int | None = None, extensible: bool = False
) -> bytes:
    """A WAV file made by hand: chunks before the samples, a length that may lie."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    data = samples.astype("<i2").tobytes()
    kind = struct.pack(
        "<HHIIHH", 0xFFFE if extensible else 1, channels, rate, rate * 2 * channels % 2**32, 2 * channels, 16
    )
    if extensible:
        kind += struct.pack("<HHIH", 22, 16, 0, 1) + bytes.fromhex("000000001000800000aa00389b71")
    body = b"fmt " + struct.pack("<I", len(kind)) + kind + before + b"data"
    body += struct.pack("<I", len(data) if length is None else length) + data
    return b"RIFF" + struct.pack("<I", len(body) + 4 if length != 0 else 0) + b"WAVE" + body


# What is sound


@pytest.mark.parametrize(("extension", "kind", "subtype"), FORMATS)
def test_intact_file_of_any_format_has_no_issue(tmp_path, voice, extension, kind, subtype):
    path = tmp_path / f"clip.{extension}"
    written(path, voice, kind, subtype)
    for full in (True, False):
        found = audio.probe(str(path), full=full)
        assert (found.issue, found.notes) == (None, [])
        assert (found.sample_rate, found.channels) == (RATE, 1)
        assert 0 <= found.samples - len(voice) < 2048
        assert (found.size, found.modified) == (path.stat().st_size, path.stat().st_mtime_ns)
        assert bool(found.digest) == full
    decoded = audio.decode(str(path), Cut(RATE))[0][: len(voice)]
    assert np.corrcoef(decoded, voice)[0, 1] > 0.98


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE", "AVERAGE"])
def test_intact_mp3_of_any_sample_rate_and_bitrate_mode_has_no_issue(tmp_path, voice, rate, mode):
    found = look_at(tmp_path / "clip.mp3", mp3(tmp_path, voice, rate, mode))
    assert (found.issue, found.samples) == (None, len(voice))


@pytest.mark.parametrize(("extension", "kind", "subtype"), FORMATS)
def test_trailing_tag_after_the_audio_causes_no_issue(tmp_path, voice, extension, kind, subtype):
    data = written(tmp_path / f"clip.{extension}", voice, kind, subtype)
    assert look_at(tmp_path / f"tail.{extension}", data + b"TAG" + bytes(125)).issue is None


@pytest.mark.parametrize("length", [0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_piped_wav_with_a_placeholder_length_is_complete(tmp_path, voice, length):
    samples = (voice * 32767).astype(np.int16)
    found = look_at(tmp_path / "clip.wav", wav(samples, length=length))
    assert (found.issue, found.samples) == (None, len(voice))


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_wav_without_samples_before_a_trailing_chunk_is_empty(tmp_path, voice, subtype):
    head = written(tmp_path / "none.wav", voice[:0], "WAV", subtype)
    body = head[8:] + b"LIST" + struct.pack("<I", 32_000) + bytes(range(250)) * 128
    for full in (True, False):
        found = look_at(tmp_path / "clip.wav", b"RIFF" + struct.pack("<I", len(body)) + body, full=full)
        assert (found.issue, found.samples) == ("empty", None)


# What is cut


@pytest.mark.parametrize(("extension", "kind", "subtype"), FORMATS)
def test_truncated_file_of_any_format_is_never_usable(tmp_path, voice, extension, kind, subtype):
    data = written(tmp_path / f"clip.{extension}", voice, kind, subtype)
    for tenth in range(10):
        found = look_at(tmp_path / f"cut.{extension}", data[: len(data) * tenth // 10])
        assert found.issue == ("truncated" if tenth else "empty"), tenth
    for length in (1, 4, 11, 12, 13, 20, 40, 43, 44, 60, len(data) - 1500):
        assert look_at(tmp_path / f"cut.{extension}", data[:length]).issue in ("truncated", "unreadable"), length


@pytest.mark.parametrize("kind", ["WAV", "OGG", "AIFF"])
def test_header_check_alone_detects_truncation(tmp_path, voice, kind):
    data = written(tmp_path / "clip", voice, kind, "VORBIS" if kind == "OGG" else "PCM_16")
    assert look_at(tmp_path / "cut", data[: len(data) // 2], full=False).issue == "truncated"


def frames_of(data: bytes) -> list[int]:
    """Where the frames of an MP3 file begin, by their own lengths."""
    starts, position = [], 0
    while frame := containers._frame_header(data[position : position + 3]):
        starts.append(position)
        position += frame.byte_count
    return [*starts, position]


def mp3(folder: Path, wave: np.ndarray, rate: int = 44_100, mode: str = "CONSTANT", level: float = 0.4) -> bytes:
    how = {"bitrate_mode": mode, "compression_level": level}
    return written(folder / "whole.mp3", wave, "MP3", "MPEG_LAYER_III", rate, **how)


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000])
def test_mp3_without_a_length_header_has_no_issue_unless_truncated(tmp_path, voice, rate):
    data = mp3(tmp_path, voice, rate)
    starts = frames_of(data)
    bare = data[starts[1] :]
    found = look_at(tmp_path / "bare.mp3", bare)
    assert found.issue is None
    assert 0 <= (len(starts) - 2) * (1152 if rate > 24_000 else 576) - found.samples < 0.02 * found.samples
    assert len(audio.decode(str(tmp_path / "bare.mp3"), Cut(rate), 0.0, found.samples / rate)[0]) == found.samples
    assert look_at(tmp_path / "cut.mp3", bare[: starts[len(starts) // 2] - starts[1] + 20]).issue == "truncated"


def test_mp3_of_unknown_length_is_read_whole_or_refused(tmp_path, voice):
    wave = np.concatenate([voice, np.zeros(3 * RATE), voice])
    data = mp3(tmp_path, wave, RATE, "VARIABLE", 0.0)
    starts = frames_of(data)
    found = look_at(tmp_path / "bare.mp3", data[starts[4] :])
    assert found.issue is None or "write the file again" in found.detail
    assert found.issue or found.samples > 0.97 * (len(starts) - 5) * 576


def test_large_id3_tag_is_skipped_and_truncation_still_detected(tmp_path, voice):
    data = mp3(tmp_path, voice)
    tag = b"ID3\x04\x00\x00" + bytes([0, 1, 100, 3]) + bytes((1 << 14) + (100 << 7) + 3)
    assert look_at(tmp_path / "tagged.mp3", tag + data).issue is None
    assert look_at(tmp_path / "cut.mp3", (tag + data)[:-2000]).issue == "truncated"


@pytest.mark.parametrize("between", [b"", b"TAG" + bytes(125), b"ID3\x04\x00\x00" + bytes([0, 0, 1, 0]) + bytes(128)])
def test_concatenated_mp3_files_without_length_headers_are_read_to_the_end(tmp_path, voice, between):
    data = mp3(tmp_path, voice)
    bare = data[frames_of(data)[1] :]
    one, two = (look_at(tmp_path / name, held) for name, held in (("a.mp3", bare), ("b.mp3", bare + between + bare)))
    assert (one.issue, two.issue, two.samples) == (None, None, 2 * one.samples)
    assert audio.decode(str(tmp_path / "b.mp3"), Cut(44_100)).shape[1] == two.samples


@pytest.mark.parametrize(("extension", "kind", "subtype"), [each for each in LOSSY if each[1] != "WAV"])
def test_concatenated_files_that_would_be_read_only_in_part_are_refused(tmp_path, voice, extension, kind, subtype):
    data = written(tmp_path / f"clip.{extension}", voice, kind, subtype)
    other = data.replace(data[containers.SERIAL], b"else") if kind == "OGG" else data
    found = look_at(tmp_path / f"joined.{extension}", data + other, full=False)
    assert found.issue == "unreadable"
    assert "write the file again" in found.detail


# What is broken


def test_silent_short_and_empty_clips_get_an_issue(tmp_path):
    def issue(wave: np.ndarray) -> str | None:
        return look_at(tmp_path / "clip.wav", wav(wave)).issue

    assert issue(np.zeros(RATE)) == "silent"
    assert issue(np.full(RATE, 5000)) == "silent"  # an offset is no sound
    assert issue(np.random.default_rng(0).integers(-8, 9, RATE)) == "silent"
    assert issue(np.random.default_rng(0).integers(-50, 51, RATE)) is None
    assert issue(np.random.default_rng(0).integers(-999, 999, 799)) == "too-short"
    assert issue(np.random.default_rng(0).integers(-999, 999, 800)) is None
    assert issue(np.ones(1)) == "too-short"
    assert issue(np.zeros(0)) == "empty"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 9_999, -1])
def test_single_nan_or_infinite_sample_makes_a_clip_not_finite(tmp_path, voice, value, place):
    wave = voice.copy()
    wave[place] = value
    written(tmp_path / "clip.wav", wave, "WAV", "FLOAT")
    assert audio.probe(str(tmp_path / "clip.wav")).issue == "not-finite"
    with pytest.raises(Unusable, match="no numbers"):
        audio.decode(str(tmp_path / "clip.wav"), Cut())


@pytest.mark.parametrize("rate", [0, 1, 3_999, 384_001, 2**31 - 1])
def test_implausible_sample_rate_is_unreadable(tmp_path, voice, rate):
    data = wav(voice * 32767, rate)
    assert look_at(tmp_path / "clip.wav", data).issue == "unreadable"
    with pytest.raises(Unusable):
        audio.decode(str(tmp_path / "clip.wav"), Cut())


def test_flac_with_an_unknown_or_false_sample_count_is_refused(tmp_path, voice):
    data = bytearray(written(tmp_path / "clip.flac", voice, "FLAC", "PCM_16"))
    data[21] |= 0x0F  # the highest bits of the count of samples
    found = look_at(tmp_path / "lie.flac", bytes(data))
    assert (found.issue, found.samples > 1 << 35) == ("truncated", True)
    with pytest.raises(Unusable):
        audio.decode(str(tmp_path / "lie.flac"), Cut())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    found = look_at(tmp_path / "piped.flac", bytes(data))
    assert (found.issue, "write the file again" in found.detail) == ("unreadable", True)


@pytest.mark.parametrize(
    "text", [b"not audio\n", b"RIFF", b"RIFF\0\0\0\0WAVE", b"OggS", b"fLaC", b"ID3\4\0\0\0\0\0\0", b"\xff\xfb"]
)
def test_signature_without_audio_is_refused(tmp_path, text):
    assert look_at(tmp_path / "clip.wav", text).issue in ("unreadable", "truncated")


def test_wav_of_countless_empty_chunks_is_unreadable(tmp_path):
    assert look_at(tmp_path / "clip.wav", b"RIFF\0\0\0\0WAVE" + bytes(1_000_000)).issue == "unreadable"


def test_lfs_pointers_fifos_folders_and_broken_links_get_an_issue(tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    assert look_at(tmp_path / "clip.wav", pointer).issue == "lfs-pointer"
    os.mkfifo(tmp_path / "fifo.wav")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "dead.wav").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    names = ("fifo", "folder", "dead", "loop", "absent")
    issues = {name: audio.probe(str(tmp_path / f"{name}.wav")).issue for name in names}
    assert issues == {
        "fifo": "unreadable", "folder": "unreadable", "dead": "vanished", "loop": "unreadable", "absent": "vanished",
    }  # fmt: skip
    assert audio.probe("nul\0byte.wav").issue == "unreadable"


def test_io_error_during_reading_is_reported_as_unreadable(tmp_path, voice, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    for name, kind in (("clip.wav", "WAV"), ("clip.flac", "FLAC")):
        written(tmp_path / name, voice, kind, "PCM_16")
        monkeypatch.setattr(decoders.Plain if kind == "WAV" else soundfile.SoundFile, "read", fail)
        found = audio.probe(str(tmp_path / name))
        assert (found.issue, found.detail) == ("unreadable", "input/output error")


# What is odd


def test_three_consecutive_full_scale_samples_in_one_channel_count_as_clipping(tmp_path, voice):
    wave = np.round(voice / np.abs(voice).max() * 20_000)
    for count, notes in ((1, []), (2, []), (3, ["clipped"])):
        wave[5000 : 5000 + count] = -32768 if count % 2 else 32767
        assert look_at(tmp_path / "clip.wav", wav(wave)).notes == notes
    both = np.stack([voice * 20_000] * 2, axis=1)
    both[700:702] = 32767  # two neighbours in each of two channels
    assert look_at(tmp_path / "clip.wav", wav(both)).notes == ["stereo"]


@pytest.mark.parametrize(("kind", "subtype"), [
    ("WAV", "ULAW"), ("WAV", "ALAW"), ("WAV", "PCM_U8"), ("AIFF", "PCM_S8"), ("WAV", "PCM_24"), ("WAV", "FLOAT"),
])  # fmt: skip
def test_clipping_is_noted_at_the_full_scale_of_any_encoding(tmp_path, voice, kind, subtype):
    for low, high in ((-0.9, 0.9), (-0.9, 1.0), (-1.0, 0.9)):
        data = written(tmp_path / "clip.wav", np.clip(1.5 * voice, low, high), kind, subtype)
        assert ("clipped" in look_at(tmp_path / "clip.wav", data).notes) == (high - low > 1.8)


def test_quiet_dc_offset_antiphase_and_stereo_are_notes_not_issues(tmp_path, voice):
    wave = voice / np.abs(voice).max()
    assert look_at(tmp_path / "clip.wav", wav(wave * 327)).notes == ["quiet"]
    assert look_at(tmp_path / "clip.wav", wav(wave * 329)).notes == []
    rms = float(np.sqrt(np.mean(np.square(wave))))
    assert look_at(tmp_path / "clip.wav", wav((wave + 0.2 * rms) * 9000)).notes == ["dc"]
    assert look_at(tmp_path / "clip.wav", wav((wave - wave.mean() + 0.05 * rms) * 9000)).notes == []
    for other, notes in ((-0.9, ["antiphase", "stereo"]), (-0.5, ["stereo"]), (0, ["stereo"])):
        both = np.stack([wave, wave * other], axis=1)
        assert look_at(tmp_path / "clip.wav", wav(both * 9000)).notes == notes
    found = look_at(tmp_path / "clip.wav", wav(np.stack([wave * 9000] * 8, axis=1), 192_000))
    assert (found.issue, found.notes, found.channels, found.sample_rate) == (None, ["stereo"], 8, 192_000)


@pytest.mark.parametrize(("scale", "noted"), [(1, False), (3, False), (32_768, True)])
def test_integer_range_floats_are_noted_as_over_scale_unlike_moderate_gain(tmp_path, voice, scale, noted):
    data = written(tmp_path / "clip.wav", voice / np.abs(voice).max() * scale, "WAV", "FLOAT")
    found = look_at(tmp_path / "clip.wav", data)
    assert (found.issue, "over-scale" in found.notes) == (None, noted)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_U8", "FLOAT"])
def test_possible_audio_after_the_declared_wav_samples_is_noted(tmp_path, voice, subtype):
    data = written(tmp_path / "clip.wav", voice, "WAV", subtype)
    place = data.index(b"data") + 4
    size = struct.unpack_from("<I", data, place)[0]
    for seconds, notes in ((0.2, ["unread-end"]), (0.05, [])):
        counted = struct.pack("<I", size - int(seconds * RATE) * (size // len(voice)))
        for full in (True, False):
            found = look_at(tmp_path / "clip.wav", data[:place] + counted + data[place + 4 :], full=full)
            assert (found.issue, found.notes) == (None, notes)
    assert look_at(tmp_path / "clip.wav", data + data).notes == ["unread-end"]


@pytest.mark.parametrize("samples", [RATE, RATE + 1])
@pytest.mark.parametrize("tail", [bytes(9000), b"LIST" + struct.pack("<I", 9000) + bytes(range(250)) * 36])
def test_chunks_and_padding_after_wav_samples_are_not_noted(tmp_path, voice, samples, tail):
    data = written(tmp_path / "clip.wav", voice[:samples], "WAV", "PCM_U8")
    for padding in {b"", b"\0" * (samples % 2)}:  # which some leave out
        assert look_at(tmp_path / "clip.wav", data[: data.index(b"data") + 8 + samples] + padding + tail).notes == []


# Plain WAV files, read without a decoder

HEADERS = {
    "plain": {},
    "extensible": {"extensible": True},
    "a list before": {"before": b"LIST" + struct.pack("<I", 5) + b"INFOx\0"},
    "a long chunk before": {"before": b"junk" + struct.pack("<I", 70_001) + bytes(70_002)},
}


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("name", HEADERS)
def test_plain_wav_reads_as_soundfile_reads_it(tmp_path, voice, name, channels):
    samples = np.round(np.stack([voice * 20_000 / (c + 1) for c in range(channels)], axis=1)).astype(np.int16)
    data = wav(samples if channels > 1 else samples[:, 0], **HEADERS[name])
    (tmp_path / "clip.wav").write_bytes(data)
    expected, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    assert containers.check_length(io.BytesIO(data), data[:64], len(data)).plain.frames == len(expected)
    for start, stop in ((0, len(expected)), (5_000, 9_001), (len(expected) - 1, len(expected))):
        decoded = audio.decode(str(tmp_path / "clip.wav"), Cut(rate, "left"), start / rate, (stop - start) / rate)
        np.testing.assert_array_equal(decoded[0], expected[start:stop, 0])
    stereo = audio.decode(str(tmp_path / "clip.wav"), Cut(rate, "stereo"))
    np.testing.assert_array_equal(
        stereo, np.resize(expected.T, (2, len(expected))) if channels == 1 else expected.T[:2]
    )


@pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT", "ULAW"])
def test_only_16_bit_pcm_wav_is_read_without_a_decoder(tmp_path, voice, subtype):
    data = written(tmp_path / "clip.wav", voice, "WAV", subtype)
    assert containers.check_length(io.BytesIO(data), data[:64], len(data)).plain is None


# Digests


def test_equal_audio_has_the_same_digest_in_any_container(tmp_path, voice):
    samples = np.round(voice * 20_000).astype(np.int16)
    digests = {
        kind: (
            written(tmp_path / f"clip.{kind}", samples, kind, "PCM_16"),
            audio.probe(str(tmp_path / f"clip.{kind}")).digest,
        )[1]
        for kind in ("WAV", "FLAC", "AIFF", "RF64")
    }
    assert len(set(digests.values())) == 1
    others = [wav(samples[:-1]), wav(samples, 8_000), wav(samples + (np.arange(len(samples)) == 77))]
    assert len({look_at(tmp_path / "other.wav", data).digest for data in others} | set(digests.values())) == 4


@pytest.mark.parametrize("length", [RATE, 2**20 + 12_345])  # of one block, and of several that end in odd places
def test_equal_audio_has_one_digest_in_any_bit_depth_and_channel_count(tmp_path, length):
    samples = np.random.default_rng(0).integers(-32768, 32768, length).astype(np.int16)
    samples[: length // 2] = 0  # what is silent at first could be anything
    expected = look_at(tmp_path / "a.wav", wav(samples)).digest
    for copies in (1, 2, 3):
        stacked = np.repeat(samples[:, None], copies, axis=1)
        for kind, subtype, given in (
            ("WAV", "PCM_16", stacked), ("FLAC", "PCM_24", stacked), ("WAV", "PCM_32", stacked),
            ("WAV", "FLOAT", stacked / np.float32(32768)), ("WAV", "DOUBLE", stacked / 32768),
        ):  # fmt: skip
            written(tmp_path / "b", given, kind, subtype)
            assert audio.probe(str(tmp_path / "b")).digest == expected, (copies, subtype)


@pytest.mark.parametrize("length", [RATE, 2**20 + 12_345])
def test_late_difference_in_channels_or_bit_depth_changes_the_digest(tmp_path, length):
    samples = np.random.default_rng(0).integers(-9, 9, length) / np.float32(32768)
    both = np.stack([samples, samples], axis=1)
    finer, apart, louder = both.copy(), both.copy(), both.copy()
    finer[-1] += np.float32(1 / 2**17)
    apart[-1, 1] += np.float32(1 / 2**15)
    louder[-1] = 1.0
    digests = []
    for held in (samples, both, finer, finer[:, 0], apart, louder, louder[:, 0]):
        written(tmp_path / "a.wav", held, "WAV", "FLOAT")
        digests.append(audio.probe(str(tmp_path / "a.wav")).digest)
    one, same, fine, fine_alone, different, loud, loud_alone = digests
    assert (one, fine, loud) == (same, fine_alone, loud_alone)
    assert len({one, fine, different, loud}) == 4


def test_digest_of_mixed_blocks_uses_the_form_that_holds_them_all():
    fine, apart = np.full((9, 2), 1e-7, np.float32), np.array([[0, 1]] * 9, np.float32) / 32768
    digest = Digest(RATE)
    for block in (fine, apart):
        digest.add(block)
    assert digest.text() == digest_of(np.concatenate([fine, apart])) != digest_of(np.concatenate([fine, fine]))


def test_digest_does_not_depend_on_block_sizes():
    samples = np.random.default_rng(0).normal(0, 0.1, (5001, 3)).astype(np.float32)
    for held in (samples, samples[:, 0], np.round(samples * 9000).astype(np.int16)):
        digest = Digest(RATE)
        for block in np.split(held, [1, 8, 1000, 1003, 4999]):
            digest.add(block)
        assert digest.text() == digest_of(held)


def test_digest_depends_on_every_bit_of_every_sample():
    rng = np.random.default_rng(2)
    for kind, length in (("<i2", 1003), ("<f4", 501), ("<f4", 2), ("<i2", 1)):
        block = rng.integers(-999, 999, length).astype(kind)
        bits = block.view(np.uint8)
        found = {digest_of(block)}
        for place in [*range(min(16, len(bits))), *rng.integers(0, len(bits), 300), len(bits) - 1]:
            bits[place] ^= 1 << rng.integers(8)
            found.add(digest_of(block))
        found |= {digest_of(block[:-1]), digest_of(np.append(block, block[:1] * 0)), digest_of(block, rate=8000)}
        assert len(found) > min(300, len(bits) * 6)
    assert (
        digest_of(np.zeros(9, "<i2"))
        != digest_of(np.zeros(10, "<i2"))
        != digest_of(np.array([[0, 0]] * 4 + [[0, 1]], "<i2"))
    )


def test_digest_equals_a_plain_python_reference():
    block = np.random.default_rng(3).integers(-999, 999, 1003).astype("<i2")
    data, expected = block.tobytes(), hashlib.sha1(b"16000 1")
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data) - 7, 8)]
    for row in range(2):
        weights = [scrambled((2 * place + row + 1) * 0x9E3779B97F4A7C15 % 2**64) | 1 for place in range(len(words))]
        total = sum(weight * word for weight, word in zip(weights, words, strict=True)) % 2**64
        expected.update(total.to_bytes(8, "little"))
    expected.update(b"2006 " + data[2000:])
    assert digest_of(block) == expected.hexdigest()[:32]


def scrambled(number: int) -> int:
    """The last step of splitmix64."""
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    number = (number ^ number >> 27) * 0x94D049BB133111EB % 2**64
    return number ^ number >> 31


def digest_of(block: np.ndarray, rate: int = 16_000) -> str:
    digest = Digest(rate)
    digest.add(block)
    return digest.text()


def test_file_read_in_small_blocks_gives_the_same_result(tmp_path, monkeypatch, voice):
    path = tmp_path / "clip.wav"
    path.write_bytes(wav(np.stack([voice, -voice, voice], axis=1) * 9000))
    whole, sound = audio.probe(str(path)), audio.decode(str(path), Cut(22_050))
    monkeypatch.setattr(audio, "BLOCK_VALUES", 3 * 1024)
    assert replace(audio.probe(str(path)), digest=whole.digest) == whole
    np.testing.assert_allclose(audio.decode(str(path), Cut(22_050)), sound, atol=1e-6)


# Decoding


@pytest.mark.parametrize("source", [4_000, 8_000, 11_025, 24_414, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("samples", [1, 2, 799, 20_001])
def test_resampled_audio_has_the_expected_length(tmp_path, source, samples):
    path = tmp_path / "clip.wav"
    path.write_bytes(wav(np.random.default_rng(1).normal(0, 3000, samples), source))
    decoded = audio.decode(str(path), Cut(RATE))
    assert decoded.dtype == np.float32
    assert abs(decoded.shape[1] - samples * RATE / source) <= 1


@pytest.mark.parametrize(
    ("start", "duration", "length"),
    [
        (0, None, 20_000),
        (0.5, None, 12_000),
        (0.5, 0.25, 4_000),
        (1.0, 9e9, 4_000),
        (0, math.inf, 20_000),
        (0, math.nan, 20_000),
    ],
)
def test_start_and_duration_select_the_exact_samples(tmp_path, start, duration, length):
    (tmp_path / "clip.wav").write_bytes(wav(np.arange(20_000)))
    decoded = audio.decode(str(tmp_path / "clip.wav"), Cut(RATE), start, duration)
    np.testing.assert_array_equal(np.round(decoded[0] * 32768), np.arange(20_000)[round(start * RATE) :][:length])


@pytest.mark.parametrize(
    ("start", "duration"), [(1.25, None), (-1, None), (math.nan, 1), (math.inf, 1), (0, 0), (0, -1), (0.5, -3)]
)
def test_invalid_start_or_duration_makes_the_clip_empty(tmp_path, start, duration):
    (tmp_path / "clip.wav").write_bytes(wav(np.arange(20_000)))
    with pytest.raises(Unusable, match="nothing") as caught:
        audio.decode(str(tmp_path / "clip.wav"), Cut(RATE), start, duration)
    assert caught.value.issue == "empty"


def test_part_of_an_unseekable_file_equals_that_part_of_the_whole(tmp_path, voice):
    path = str(tmp_path / "call.wav")
    soundfile.write(path, voice, 8_000, format="WAV", subtype="GSM610")
    assert not soundfile.SoundFile(path).seekable()
    whole = audio.decode(path, Cut(8_000))
    for start, stop in ((0.0, 0.5), (0.25, 0.75), (0.5, 0.501)):
        part = audio.decode(path, Cut(8_000), start, stop - start)
        np.testing.assert_array_equal(part, whole[:, round(start * 8_000) : round(stop * 8_000)])
    np.testing.assert_array_equal(audio.decode(path, Cut(8_000), 0.5), whole[:, 4_000:])


LOW, STEREO_LOW = ("CONSTANT", 0.999, 1), ("CONSTANT", 0.999, 2)  # 8 kbit/s: frames that borrow from dozens before


@pytest.mark.parametrize(("rate", "mode", "level", "channels"), [
    (8_000, *LOW), (22_050, *STEREO_LOW), (24_000, *LOW), (24_000, *STEREO_LOW), (24_000, "VARIABLE", 0.999, 1),
    (16_000, "AVERAGE", 0.95, 2), (44_100, "VARIABLE", 0.999, 2), (48_000, "CONSTANT", 0.0, 1),
])  # fmt: skip
def test_mp3_decodes_alike_whole_in_blocks_and_in_parts(tmp_path, rate, mode, level, channels, monkeypatch):
    path, cut = str(tmp_path / "whole.mp3"), Cut(rate, channels="all")
    mp3(tmp_path, bursts(120_000, channels), rate, mode, level)
    whole, looked = audio.decode(path, cut), audio.probe(path)
    for most in (4_096, 10_007):
        monkeypatch.setattr(audio, "BLOCK_VALUES", most)
        np.testing.assert_array_equal(audio.decode(path, cut), whole)
    with soundfile.SoundFile(path) as stream:
        np.testing.assert_array_equal(whole.T, stream.read(dtype="float32", always_2d=True))
    digest = Digest(rate)
    digest.add(whole[0] if channels == 1 else whole.T)
    assert looked.digest == audio.probe(path).digest == digest.text()
    for first in np.linspace(1, whole.shape[1] - 2_000, 9).astype(int):
        part = audio.decode(path, cut, first / rate, 2_000 / rate)
        np.testing.assert_allclose(part, whole[:, first:][:, :2_000], atol=1e-6)


def bursts(length: int, channels: int) -> np.ndarray:
    """Noise that comes and goes, so that a coder saves bits for it."""
    gain = np.abs(np.sin(np.arange(length) / 9_000))[:, None] ** 8
    return gain * np.random.default_rng(0).normal(0, 0.1, (length, channels))


def test_truncated_mp3_decodes_to_the_same_samples_up_to_the_cut(tmp_path):
    data = mp3(tmp_path, bursts(20 * RATE, 1), RATE, "CONSTANT", 0.999)
    (tmp_path / "cut.mp3").write_bytes(data[: len(data) // 2])
    whole = audio.decode(str(tmp_path / "whole.mp3"), Cut(RATE))
    there = np.concatenate([*audio.pieces(str(tmp_path / "cut.mp3"), Cut(RATE), whole=False)], axis=1)
    assert 9 * RATE < there.shape[1] < 10.1 * RATE
    np.testing.assert_array_equal(there, whole[:, : there.shape[1]])


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_part_in_the_last_vorbis_page_equals_that_part_of_the_whole(tmp_path, rate):
    path, cut = str(tmp_path / "clip.ogg"), Cut(rate)
    written(tmp_path / "clip.ogg", bursts(6 * rate, 1), "OGG", "VORBIS", rate)
    whole = audio.decode(path, cut)
    for before in (1_000, 3_000, 9_000):
        part = audio.decode(path, cut, whole.shape[1] / rate - before / rate)
        np.testing.assert_array_equal(part, whole[:, -before:])


def test_decoding_a_late_part_does_not_read_from_the_beginning(tmp_path, monkeypatch):
    mp3(tmp_path, bursts(30 * RATE, 1), RATE)
    read, blocks = [], audio._blocks
    monkeypatch.setattr(audio, "_blocks", lambda stream, length, *rest: read.append(length) or blocks(stream, length))
    audio.decode(str(tmp_path / "whole.mp3"), Cut(RATE), 29.0)
    assert sum(read) <= audio.LEAD + RATE < 29 * RATE


def test_decoding_a_truncated_file_is_refused(tmp_path, voice):
    (tmp_path / "clip.wav").write_bytes(wav(voice * 9000)[:-5000])
    with pytest.raises(Unusable, match="missing"):
        audio.decode(str(tmp_path / "clip.wav"), Cut())


def test_probing_a_fifo_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "fifo.wav")
    thread = threading.Thread(target=audio.probe, args=(str(tmp_path / "fifo.wav"),), daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()


# Writing


@pytest.mark.parametrize("extension", [".ogg", ".flac", ".wav"])
def test_encoding_minutes_of_audio_does_not_crash(extension):
    """In a process of its own, which libsndfile would end."""
    code = (
        "import io, numpy, soundfile; from sertool.sound import encoding; "
        f"held = encoding.encoded(numpy.zeros((2_400_000, 2), numpy.float32), 8000, {extension!r}); "
        "assert soundfile.info(io.BytesIO(held)).frames == 2_400_000"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg"])
def test_written_audio_is_read_back(tmp_path, voice, extension):
    encoding.write(tmp_path / f"clip.{extension}", voice, RATE)
    np.testing.assert_allclose(audio.decode(str(tmp_path / f"clip.{extension}"), Cut())[0], voice, atol=0.2)
    assert os.listdir(tmp_path) == [f"clip.{extension}"]


@pytest.mark.parametrize("extension", [".wav", ".flac", ".ogg"])
def test_embedded_remark_is_read_back_and_leaves_the_audio_unchanged(tmp_path, voice, extension):
    path = tmp_path / f"clip{extension}"
    path.write_bytes(encoding.encoded(voice, RATE, extension, "made from é 123"))
    assert audio.remark(str(path)) == "made from é 123"
    assert audio.probe(str(path)).samples == len(voice)
    encoding.write(tmp_path / f"plain{extension}", voice, RATE)
    assert audio.remark(str(tmp_path / f"plain{extension}")) == ""
    held = [audio.decode(str(one), Cut()) for one in (path, tmp_path / f"plain{extension}")]
    np.testing.assert_array_equal(*held)
    (tmp_path / "text.wav").write_text("no audio")
    assert audio.remark(str(tmp_path / "text.wav")) == ""


@pytest.mark.parametrize("extension", [".wav", ".flac"])
def test_16_bit_samples_survive_writing_and_louder_ones_are_clipped(tmp_path, extension):
    samples = np.random.default_rng(0).integers(-32768, 32768, (500, 2)).astype(np.float32) / 32768
    encoding.write(tmp_path / f"x{extension}", samples, RATE)
    np.testing.assert_array_equal(audio.decode(str(tmp_path / f"x{extension}"), Cut(RATE, "stereo")).T, samples)
    encoding.write(tmp_path / f"loud{extension}", np.float32([1.5, -1.5, 1.0]), RATE)
    heard = audio.decode(str(tmp_path / f"loud{extension}"), Cut(RATE))[0]
    np.testing.assert_allclose(heard, [32767 / 32768, -1, 32767 / 32768])
