"""predict of files that end early or can only be read from their beginning."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from predicted_rows import probabilities, rows_of
from running import sertool

from sertool.predict import windows
from sertool.sound import audio, levels


@pytest.fixture(scope="module")
def long_talk(run: Path) -> np.ndarray:
    voices = [soundfile.read(clip, dtype="float32")[0] for clip in sorted((run / "voices").rglob("*.wav"))]
    return np.resize(np.concatenate(voices), 40 * 16_000)


@pytest.mark.parametrize("kind", ["wav", "FLOAT", "flac", "mp3", "ogg", "OPUS", "aiff"])
def test_truncated_call_is_predicted_up_to_the_cut_and_flagged_once(
    run: Path, tmp_path: Path, long_talk: np.ndarray, kind: str
) -> None:
    ending = {"FLOAT": "wav", "OPUS": "ogg"}.get(kind, kind)
    whole, cut = tmp_path / f"whole.{ending}", tmp_path / f"cut.{ending}"
    soundfile.write(whole, long_talk, 16_000, **({"subtype": kind} if kind.isupper() else {}))
    cut.write_bytes((held := whole.read_bytes())[: len(held) * 6 // 10])
    asked = ("predict", "-m", run / "model", "--window", 2, "--hop", 1.5)
    *answered, last = rows_of(sertool(*asked, cut).out)
    at = float(last["start"])
    assert (last["issue"], last["end"], last["predicted"], at) == ("truncated", "", "", pytest.approx(24, abs=2.5))
    assert {row["issue"] for row in answered} == {""}
    assert at - levels.TOO_SHORT < float(answered[-1]["end"]) <= at
    complete = [row for row in answered if float(row["end"]) - float(row["start"]) == 2]
    assert len(complete) >= len(answered) - 1
    wanted = rows_of(sertool(*asked, whole).out)[: len(complete)]
    for one, other in zip(complete, wanted, strict=True):
        assert (one["start"], one["end"]) == (other["start"], other["end"])
        assert probabilities(one) == pytest.approx(probabilities(other), abs=1e-4)
    (alone,) = rows_of(sertool("predict", "-m", run / "model", cut).out)
    assert alone["issue"] == "truncated"


@pytest.mark.parametrize("words", [("--channel", "each"), ("--channel", "right", "--hop", 3), ()])
def test_truncation_is_reported_whichever_channel_is_predicted(
    run: Path, tmp_path: Path, long_talk: np.ndarray, words: tuple[object, ...]
) -> None:
    call, seconds = tmp_path / "call.wav", 9
    soundfile.write(call, np.stack([long_talk, long_talk[::-1]], axis=1)[: 20 * 16_000], 16_000)
    call.write_bytes(call.read_bytes()[: seconds * 64_000 + 44])
    asked = call
    if not words:
        asked = tmp_path / "rows.csv"
        asked.write_text("clip,path,channel\na,call.wav,2\n")
    done = sertool("predict", "-m", run / "model", "--window", 1, *words, asked)
    assert done.code == 0, done.err
    *answered, last = rows_of(done.out)
    assert (last["issue"], float(last["start"])) == ("truncated", pytest.approx(seconds, abs=0.5))
    assert {row["issue"] for row in answered} == {""}
    assert {row["channel"] for row in answered} == ({"1", "2"} if "each" in words else {"2"})


def test_truncation_between_windows_is_not_mistaken_for_a_missing_channel(
    run: Path, tmp_path: Path, long_talk: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "FORWARD_STRETCH", 6.0)
    call = tmp_path / "call.wav"
    soundfile.write(call, np.stack([long_talk, long_talk[::-1]], axis=1)[: 20 * 16_000], 16_000)
    call.write_bytes(call.read_bytes()[: round(5.5 * 64_000) + 44])
    words = ("predict", "-m", run / "model", "--window", 1, "--hop", 3, "--channel", "right", call)
    assert [row["issue"] for row in rows_of(sertool(*words).out)] == ["", "", "truncated"]


def test_segments_before_a_cut_are_predicted_and_later_ones_are_truncated(
    run: Path, tmp_path: Path, long_talk: np.ndarray
) -> None:
    soundfile.write(tmp_path / "x.wav", long_talk, 16_000)
    (tmp_path / "x.wav").write_bytes((tmp_path / "x.wav").read_bytes()[: 24 * 32_000 + 44])
    (tmp_path / "parts.csv").write_text("clip,path,start,duration\na,x.wav,1,2.5\nb,x.wav,23,5\nc,x.wav,30,5\n")
    held = rows_of(sertool("predict", "-m", run / "model", "--window", 1, tmp_path / "parts.csv").out)
    found = [(row["clip"], row["start"], row["end"], row["issue"]) for row in held]
    assert found == [
        ("a", "1", "2", ""), ("a", "2", "3", ""), ("a", "3", "3.5", ""),
        ("b", "23", "24", ""), ("b", "24", "", "truncated"), ("c", "30", "", "truncated"),
    ]  # fmt: skip


@pytest.mark.parametrize("times", [
    (8.5, 3, 3), (8.5, 3, 1), (9, 3, 3), (9, 3, 1), (9.04, 3, 3), (8.04, 3, 1), (2, 3, 3), (2, 3, 0.5), (7, 2, 3),
])  # fmt: skip
def test_windows_before_a_cut_are_those_of_a_file_that_ends_there(
    run: Path, tmp_path: Path, long_talk: np.ndarray, times: tuple[float, ...], monkeypatch: Any
) -> None:
    seconds, window, hop = times
    monkeypatch.setattr(windows, "FORWARD_STRETCH", 4.0)
    samples = round(seconds * 16_000)
    soundfile.write(tmp_path / "ends.wav", long_talk[:samples], 16_000)
    soundfile.write(tmp_path / "cut.wav", long_talk, 16_000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "cut.wav").read_bytes()[: samples * 2 + 44])
    asked = ("predict", "-m", run / "model", "--window", window, "--hop", hop)
    *found, last = rows_of(sertool(*asked, tmp_path / "cut.wav").out)
    assert (last["issue"], float(last["start"])) == ("truncated", pytest.approx(seconds))
    wanted = rows_of(sertool(*asked, tmp_path / "ends.wav").out)
    for one, other in zip(found, wanted, strict=True):
        assert [one[name] for name in ("start", "end", "issue")] == [other[name] for name in ("start", "end", "issue")]
        assert probabilities(one) == pytest.approx(probabilities(other), abs=1e-4)


@pytest.mark.parametrize("seconds", [0, 0.02])
def test_recording_with_nothing_to_judge_before_its_cut_starts_where_it_starts(
    run: Path, tmp_path: Path, long_talk: np.ndarray, seconds: float
) -> None:
    soundfile.write(tmp_path / "x.wav", long_talk, 16_000)
    (tmp_path / "x.wav").write_bytes((tmp_path / "x.wav").read_bytes()[: round((5 + seconds) * 16_000) * 2 + 44])
    (tmp_path / "part.csv").write_text("clip,path,start\na,x.wav,5\n")
    for words in ((), ("--summary",)):
        (row,) = rows_of(sertool("predict", "-m", run / "model", "--window", 1, *words, tmp_path / "part.csv").out)
        assert (row["start"], row["end"], row["issue"]) == ("5", "", "truncated")


@pytest.mark.parametrize("codec", ["GSM610", "G721_32"])
@pytest.mark.parametrize("words", [("--window", 2, "--hop", 1.5), ("--window", 1, "--hop", 3)])
def test_unseekable_audio_is_opened_once_and_predicted_the_same(
    run: Path, tmp_path: Path, long_talk: np.ndarray, codec: str, words: tuple[object, ...], monkeypatch: Any
) -> None:
    path, opened, placed = tmp_path / "x.wav", [], audio._placed
    soundfile.write(path, long_talk[::2], 8_000, subtype=codec)
    soundfile.write(tmp_path / "same.wav", soundfile.read(path, dtype="int16")[0], 8_000)
    monkeypatch.setattr(audio, "_placed", lambda *args, **how: opened.append(args[0]) or placed(*args, **how))
    monkeypatch.setattr(windows, "FORWARD_STRETCH", 5.0)
    asked = ("predict", "-m", run / "model", *words)
    found, wanted = (rows_of(sertool(*asked, tmp_path / name).out) for name in ("x.wav", "same.wav"))
    assert opened.count(str(path)) == 1
    for one, other in zip(found, wanted, strict=True):
        assert (one["start"], one["end"], one["issue"]) == (other["start"], other["end"], other["issue"])
        assert probabilities(one) == pytest.approx(probabilities(other), abs=2e-2)


def test_mp3_is_opened_once_for_all_windows_without_decoder_warnings(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    gain = np.abs(np.sin(np.arange(60 * 8_000) / 9_000)) ** 8  # a coder saves bits for what is louder
    noise = gain * np.random.default_rng(0).normal(0, 0.1, len(gain))
    soundfile.write(tmp_path / "x.mp3", noise, 8_000, bitrate_mode="CONSTANT", compression_level=0.999)
    opened, placed = [], audio._placed
    monkeypatch.setattr(audio, "_placed", lambda *args, **how: opened.append(args[0]) or placed(*args, **how))
    words = ("--window", 1, "--channel", "left")  # of which none is asked whether it cancels
    held = rows_of(sertool("predict", "-m", run / "model", *words, tmp_path / "x.mp3").out)
    assert {row["issue"] for row in held} == {"", "silent"}
    assert (len(opened), capfd.readouterr().err) == (1, "")
