"""predict judges channels one by one, and tells of channels that cancel."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from predicted_rows import LEARNING, probabilities, rows_of, two_sided_call
from running import sertool

from sertool.sound import audio


def test_cancelling_channels_are_warned_about_once_after_initial_silence(run: Path, tmp_path: Path) -> None:
    voice = np.resize(soundfile.read(next((run / "voices").rglob("*.wav")))[0], 32_000)
    sound = np.concatenate([np.zeros(32_000), voice, voice])
    soundfile.write(tmp_path / "call.wav", np.stack([sound, -sound], axis=1), 16_000)
    soundfile.write(tmp_path / "quiet.wav", np.stack([0 * sound, 0 * sound], axis=1), 16_000)
    done = sertool("predict", "-m", run / "model", "--window", 1, tmp_path, "-j", 1)
    assert done.err.count("its channels cancel when they are mixed") == 1
    assert "call.wav: its channels" in done.err


def test_only_some_silent_windows_are_checked_for_cancelling_channels(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "call.wav", np.zeros((40 * 16_000, 2)), 16_000)
    looks, decode = [], audio.decode
    monkeypatch.setattr(
        audio, "decode", lambda path, cut, *span: looks.append(cut.channels) or decode(path, cut, *span)
    )
    held = rows_of(sertool("predict", "-m", run / "model", "--window", 1, tmp_path / "call.wav", "-j", 1).out)
    assert [row["issue"] for row in held] == ["silent"] * 40
    assert looks.count("all") == 6


def test_cancelling_channels_are_warned_about_and_silent_files_are_not(run: Path, tmp_path: Path) -> None:
    voice, rate = soundfile.read(next((run / "voices").rglob("*.wav")))
    soundfile.write(tmp_path / "turned.wav", np.stack([voice, -voice], axis=1), rate)
    soundfile.write(tmp_path / "silent.wav", np.zeros((len(voice), 2)), rate)
    mixed = sertool("predict", "-m", run / "model", tmp_path / "turned.wav", tmp_path / "silent.wav")
    (said,) = [line for line in mixed.err.splitlines() if "cancel when they are mixed" in line]
    assert f"{tmp_path}/turned.wav" in said
    (row,) = rows_of(sertool("predict", "-m", run / "model", tmp_path / "turned.wav", "--channel", "left").out)
    assert row["predicted"]


def test_quiet_and_silent_channels_are_not_reported_as_cancelling(run: Path, tmp_path: Path) -> None:
    voice, rate = soundfile.read(next((run / "voices").rglob("*.wav")))
    quiet = voice * 10 ** (-70 / 20) / np.sqrt(np.square(voice).mean())
    soundfile.write(tmp_path / "x.wav", np.stack([quiet, 0 * voice], axis=1), rate, subtype="FLOAT")
    done = sertool("predict", "-m", run / "model", tmp_path / "x.wav")
    assert [row["issue"] for row in rows_of(done.out)] == ["silent"]
    assert "cancel" not in done.err


def test_manifest_row_with_a_channel_is_predicted_from_that_channel(run: Path, tmp_path: Path) -> None:
    sides = [soundfile.read(clip)[0][:6000] for clip in sorted((run / "voices").rglob("*.wav"))[::20]]
    soundfile.write(tmp_path / "call.wav", np.stack(sides, axis=1), 16_000)
    words, first = ("predict", "-m", run / "model"), tmp_path / "each.csv"
    assert sertool(*words, "--channel", "each", tmp_path / "call.wav", "-o", first).code == 0
    wanted, again = rows_of(first.read_bytes()), sertool(*words, first)
    assert again.code == 0, again.err
    assert [row["channel"] for row in rows_of(again.out)] == ["1", "2"]
    for one, other in zip(rows_of(again.out), wanted, strict=True):
        assert probabilities(one) == pytest.approx(probabilities(other), abs=1e-5)
    cut = rows_of(sertool(*words, first, "--window", ".2").out)
    assert {row["channel"] for row in cut} == {"1", "2"}
    refused = sertool(*words, first, "--channel", "left")
    assert (refused.code, "the column channel says which one" in refused.line) == (2, True)
    made = sertool("featurize", "--mel", first, "-o", tmp_path / "features")
    assert "the column channel of 2 rows is not heeded: features are of --channels mono" in made.err
    answered = rows_of(sertool(*words, tmp_path / "features" / "manifest.parquet").out)
    assert [row["channel"] for row in answered] == ["1", "2"]
    for one, other in zip(answered, wanted, strict=True):
        assert probabilities(one) == pytest.approx(probabilities(other), abs=1e-5)


def test_missing_channel_is_an_issue_and_non_numeric_channels_are_ignored(run: Path, tmp_path: Path) -> None:
    good = next((run / "voices").rglob("*.wav"))
    words = ("predict", "-m", run / "model", tmp_path / "rows.csv")
    (tmp_path / "rows.csv").write_text(f"clip,path,channel\na,{good},2\nb,{good},1\nc,{good},\n")
    for window in ((), ("--window", 9)):
        held = rows_of(sertool(*words, *window).out)
        assert [(row["channel"], row["issue"]) for row in held] == [("2", "no-channel"), ("1", ""), ("", "")]
    (tmp_path / "rows.csv").write_text(f"clip,path,channel\na,{good},BBC\n")
    assert [row["issue"] for row in rows_of(sertool(*words).out)] == [""]
    (tmp_path / "rows.csv").write_text(f"clip,path,channel\na,{good},99999999999999999999\n")
    assert [row.get("channel") for row in rows_of(sertool(*words).out)] == [None]
    (tmp_path / "rows.csv").write_text(f"clip,path,channel\na,{good},0\n")
    assert (done := sertool(*words)).code == 2
    assert "channels are counted from 1" in done.line


def test_each_channel_is_predicted_separately(run: Path, tmp_path: Path) -> None:
    two_sided_call(run, tmp_path / "call.wav")
    held = rows_of(sertool("predict", "-m", run / "model", tmp_path / "call.wav", "--channel", "each").out)
    assert [(row["channel"], bool(row["predicted"])) for row in held] == [("1", True), ("2", False)]
    left = rows_of(sertool("predict", "-m", run / "model", tmp_path / "call.wav", "--channel", "left").out)
    assert probabilities(left[0]) == probabilities(held[0])


def test_stereo_model_predicts_a_single_channel_like_a_mono_clip(run: Path, tmp_path: Path) -> None:
    """On both sides, as it is where features are made."""
    stereo = ("--mel", "--mel-bands", 24, "--channels", "stereo", "-o", tmp_path / "features")
    made = sertool("featurize", run / "features" / "manifest.parquet", *stereo)
    assert made.code == 0, made.err
    trained = sertool("train", "-", *LEARNING, "-o", tmp_path / "run", stdin=made.out)
    assert trained.code == 0, trained.err
    clips = sorted((run / "voices").rglob("*.wav"))
    voices = [soundfile.read(clip)[0][:16_000] for clip in (clips[0], clips[-1])]
    soundfile.write(tmp_path / "call.wav", np.stack(voices, axis=1), 16_000)
    for side, voice in zip(("left", "right"), voices, strict=True):
        soundfile.write(tmp_path / f"{side}.wav", voice, 16_000)
        (one,) = rows_of(sertool("predict", "-m", tmp_path / "run", tmp_path / "call.wav", "--channel", side).out)
        (other,) = rows_of(sertool("predict", "-m", tmp_path / "run", tmp_path / f"{side}.wav").out)
        assert probabilities(one) == pytest.approx(probabilities(other), abs=1e-3)


@pytest.mark.parametrize("words", [(), ("--window", ".5")])
def test_mono_file_has_no_right_channel(run: Path, words: tuple[str, ...]) -> None:
    clip = next((run / "voices").rglob("*.wav"))
    held = rows_of(sertool("predict", "-m", run / "model", clip, "--channel", "right", *words).out)
    assert [(row["predicted"], row["issue"]) for row in held] == [("", "no-channel")]


@pytest.mark.parametrize("channels", [1, 6])
def test_channel_each_yields_one_row_per_channel(run: Path, tmp_path: Path, channels: int) -> None:
    path = next((run / "voices").rglob("*.wav"))
    voice, rate = soundfile.read(path, dtype="float32")
    heard = np.zeros((len(voice), channels), np.float32)
    heard[:, -1] = voice
    soundfile.write(tmp_path / "many.wav", heard, rate, subtype="FLOAT")
    held = rows_of(sertool("predict", "-m", run / "model", tmp_path / "many.wav", "--channel", "each").out)
    assert [row["channel"] for row in held] == [str(number + 1) for number in range(channels)]
    assert [row["issue"] for row in held] == ["silent"] * (channels - 1) + [""]


def test_soft_speech_between_pauses_is_no_silence_and_soft_noise_is(run: Path, tmp_path: Path) -> None:
    """Sad people speak softly: a level over the whole clip, pauses and all, would leave them out first of all."""
    voice, rate = soundfile.read(next((run / "voices").rglob("*.wav")), dtype="float32")
    paused = np.concatenate([np.zeros(2 * rate, np.float32), voice, np.zeros(2 * rate, np.float32)])
    noise = np.random.default_rng(0).normal(0, 1, len(paused)).astype(np.float32)
    for name, sound in (("noise", noise), ("speech", paused)):
        soft = sound * 10 ** (-63 / 20) / np.sqrt(np.square(sound).mean())
        soundfile.write(tmp_path / f"{name}.wav", soft, rate, subtype="FLOAT")
    held = rows_of(sertool("predict", "-m", run / "model", tmp_path).out)
    assert [row["issue"] for row in held] == ["silent", ""]


def test_silence_with_a_constant_offset_is_still_silence(run: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 1e-5, (2, 16_000))
    for name, offset in (("hum", 0.0025), ("loud", 0.3)):
        soundfile.write(tmp_path / f"{name}.wav", (noise + offset).T.astype(np.float32), 16_000, subtype="FLOAT")
    voice, rate = soundfile.read(next((run / "voices").rglob("*.wav")), dtype="float32")
    soundfile.write(tmp_path / "voice.wav", 0.5 * voice + 0.3, rate, subtype="FLOAT")
    held = rows_of(sertool("predict", "-m", run / "model", tmp_path).out)
    assert [row["issue"] for row in held] == ["silent", "silent", ""]
