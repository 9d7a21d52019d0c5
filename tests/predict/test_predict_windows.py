"""predict by windows: they cover long audio, and neighbours merge."""

from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from predicted_rows import probabilities, rows_of, two_sided_call
from running import sertool

from sertool.predict import predicting, windows
from sertool.predict.ensemble import Ensemble
from sertool.predict.predicting import Session
from sertool.predict.request import Request
from sertool.sound import audio, encoding
from sertool.sound.shaping import Wave


def test_windows_cover_the_file_and_silent_ones_have_no_emotion(run: Path, tmp_path: Path) -> None:
    seconds = two_sided_call(run, tmp_path / "call.wav")
    held = rows_of(sertool("predict", "-m", run / "model", tmp_path / "call.wav", "--window", 2, "--hop", 1).out)
    assert [float(row["start"]) for row in held] == [float(start) for start in range(len(held))]
    assert float(held[-1]["end"]) == pytest.approx(seconds, abs=0.01)
    assert [row["predicted"] for row in held if float(row["start"]) >= 6] == [""] * 2
    assert all(row["predicted"] for row in held if float(row["start"]) < 4)


def test_window_answers_do_not_depend_on_the_read_size(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_sided_call(run, tmp_path / "call.wav")
    asked = ("predict", "-m", run / "model", tmp_path / "call.wav", "--window", 2, "--hop", 1)
    whole = sertool(*asked).out
    monkeypatch.setattr(windows, "STRETCH", 2.0)
    assert sertool(*asked).out == whole


@pytest.mark.parametrize(("rate", "near"), [(8_000, 1e-5), (44_100, 1e-5), (16_000, 0)])
def test_resampled_window_answers_do_not_depend_on_the_read_size(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: int, near: float
) -> None:
    two_sided_call(run, tmp_path / "call.wav")
    sound = soundfile.read(tmp_path / "call.wav", dtype="int16")[0]
    soundfile.write(tmp_path / "call.wav", sound, rate)
    monkeypatch.setattr(windows, "STRETCH", 0.1)
    heard: list[np.ndarray] = []
    for stretch in (0.1, 60.0):
        monkeypatch.setattr(windows, "FIRST_STRETCH_SECONDS", stretch)
        done = sertool("predict", "-m", run / "model", tmp_path / "call.wav", "--window", "0.5", "--hop", "0.2")
        heard.append(np.array([probabilities(row) for row in rows_of(done.out) if not row["issue"]]))
    assert np.abs(heard[0] - heard[1]).max() <= near


def test_trim_removes_silent_ends_before_prediction(run: Path, tmp_path: Path) -> None:
    clip = next((run / "voices").rglob("*.wav"))
    samples, rate = soundfile.read(clip, dtype="float32")
    faint = np.random.default_rng(0).normal(0, 1e-3 * np.abs(samples).max(), (2, rate)).astype(np.float32)
    encoding.write(tmp_path / clip.name, np.concatenate([faint[0], samples, faint[1]]), rate)
    words = ("predict", "-m", run / "model")
    asked = [("--trim", 40, clip), ("--trim", 40, tmp_path / clip.name), (tmp_path / clip.name,)]
    as_it_was, trimmed, padded = (probabilities(rows_of(sertool(*words, *each).out)[0]) for each in asked)
    assert trimmed == pytest.approx(as_it_was, abs=0.02)
    assert np.abs(np.subtract(padded, as_it_was)).max() > 2 * np.abs(np.subtract(trimmed, as_it_was)).max()


def test_windows_of_a_long_file_are_held_in_small_batches(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding.write(tmp_path / "long.wav", np.random.default_rng(0).normal(0, 0.1, 100 * 16_000), 16_000)
    there: set[int] = set()
    most, answers_of, features_of = [0], Ensemble.answers, Ensemble.features_of

    def heard(ensemble: Ensemble, *given: Any) -> Any:
        made = features_of(ensemble, *given)
        there.update(map(id, made))
        return made

    def answered(ensemble: Ensemble, some: Any, *given: Any) -> Any:
        most[0] = max(most[0], len(there))
        there.difference_update(map(id, some))
        return answers_of(ensemble, some, *given)

    monkeypatch.setattr(Ensemble, "features_of", heard)
    monkeypatch.setattr(Ensemble, "answers", answered)
    done = sertool("predict", "-m", run / "model", "--window", "1", "-j", "1", tmp_path / "long.wav")
    assert len(rows_of(done.out)) == 100
    assert 0 < most[0] <= predicting.BATCH


def test_long_file_is_read_in_growing_batches_of_windows() -> None:
    how = windows.PredictOptions(window=3.0, hop=1.0)
    look = audio.AudioInfo(sample_rate=16_000, samples=3600 * 16_000, channels=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audio, "probe", lambda *_, **__: look)
        patch.setattr(audio, "has_places", lambda _: True)
        asked = Request({"path": "call.wav"})
        spans = [(each.first, each.count) for each in windows.stretches(asked, how, Wave())]
    assert [count for _, count in spans[:7]] == [5, 10, 20, 40, 80, 120, 120]
    assert [first for first, _ in spans] == [0, *np.cumsum([count for _, count in spans])[:-1]]
    assert sum(count for _, count in spans) == 3598


def test_silent_windows_of_a_call_do_not_fail_strict(run: Path, tmp_path: Path) -> None:
    two_sided_call(run, tmp_path / "call.wav")
    words = ("predict", "-m", run / "model", "--strict", tmp_path / "call.wav", "--window", 2)
    done = sertool(*words)
    silent = sum(row["issue"] == "silent" for row in rows_of(done.out))
    assert silent
    assert (done.code, f"{len(rows_of(done.out))} rows, {silent} silent" in done.err) == (0, True)
    (tmp_path / "bad.wav").write_bytes(b"")
    done = sertool(*words, tmp_path / "bad.wav")
    assert (done.code, f"1 set aside (column issue), {silent} silent" in done.err) == (1, True)
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    assert sertool("predict", "-m", run / "model", "--strict", tmp_path / "silent.wav").code == 1


@pytest.mark.parametrize("words", [(), ("--channel", "each"), ("--merge",)])
def test_entirely_too_short_file_is_set_aside_and_fails_strict(
    run: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    soundfile.write(tmp_path / "short.wav", np.full((300, 2), 0.1), 16_000)
    asked = ("predict", "-m", run / "model", "--strict", "--window", 1, *words, tmp_path / "short.wav")
    done = sertool(*asked)
    assert (done.code, "set aside" in done.err, "silent" in done.err) == (1, True, False)


def test_windows_of_a_segment_state_their_own_duration(run: Path, tmp_path: Path) -> None:
    two_sided_call(run, tmp_path / "call.wav")
    (tmp_path / "parts.csv").write_text("clip,path,start,duration\na,call.wav,1,4.5\n")
    for words in ((), ("--merge",)):
        held = rows_of(sertool("predict", "-m", run / "model", tmp_path / "parts.csv", "--window", 2, *words).out)
        for row in held:
            assert float(row["duration"]) == pytest.approx(float(row["end"]) - float(row["start"]), abs=1e-6)


def test_merged_windows_cover_the_file_without_gaps_or_overlaps(run: Path, tmp_path: Path) -> None:
    seconds = two_sided_call(run, tmp_path / "call.wav")
    asked = ("predict", "-m", run / "model", tmp_path / "call.wav", "--window", 2, "--hop", 1, "--merge")
    held = rows_of(sertool(*asked).out)
    assert [row["start"] for row in held[1:]] == [row["end"] for row in held[:-1]]
    assert float(held[-1]["end"]) == pytest.approx(seconds, abs=0.01)
    answers = [row["predicted"] or row["issue"] for row in held]
    assert all(one != other for one, other in pairwise(answers))


def test_merged_row_has_the_mean_answers_of_its_windows(run: Path, tmp_path: Path) -> None:
    two_sided_call(run, tmp_path / "call.wav")
    asked = ("predict", "-m", run / "model", tmp_path / "call.wav", "--window", 2, "--hop", 1.5, "--top", 1)
    apart, merged = rows_of(sertool(*asked).out), rows_of(sertool(*asked, "--merge").out)
    assert len(merged) < len(apart)
    answers = groupby(apart, lambda row: row["predicted"] or row["issue"])
    for row, own in zip(merged, (list(own) for _, own in answers), strict=True):
        if row["predicted"]:
            lengths = [float(one["end"]) - float(one["start"]) for one in own]
            mean = np.average([probabilities(one) for one in own], axis=0, weights=lengths)
            assert probabilities(row) == pytest.approx(mean, abs=1e-5)
            assert float(row["confidence"]) == pytest.approx(max(mean), abs=1e-5) == float(row[f"p_{row['predicted']}"])
            assert row["top"] == f"{row['predicted']} {max(mean):.2f}"


def test_no_window_starts_at_the_end_or_is_a_tiny_remainder(run: Path, tmp_path: Path) -> None:
    voice = soundfile.read(next((run / "voices").rglob("*.wav")))[0]
    soundfile.write(tmp_path / "x.wav", np.resize(voice, round(3.02 * 16_000)), 16_000)
    asked = ("predict", "-m", run / "model", tmp_path / "x.wav", "--strict", "--window")
    for window, hop, starts in ((1, 2, [0, 2]), (1, 1, [0, 1, 2]), (1, 3, [0]), (1, 1.5, [0, 1.5]), (2, 1, [0, 1, 2])):
        done = sertool(*asked, window, "--hop", hop)
        assert [float(row["start"]) for row in rows_of(done.out)] == starts
        assert done.code == 0


@pytest.mark.parametrize(
    ("length", "window", "hop", "count"), [(1.1, 0.5, 0.1, 7), (0.35, 0.1, 0.1, 4), (0.349, 0.1, 0.1, 3)]
)
def test_windows_are_counted_as_if_seconds_were_exact(length: float, window: float, hop: float, count: int) -> None:
    """(1.1 - 0.5) / 0.1 is 6.000000000000001, and (0.35 - 0.05) / 0.1 is 2.9999999999999996."""
    assert windows._count(length, window, hop) == count


def test_clips_too_short_for_index_get_no_answer(run: Path, tmp_path: Path) -> None:
    voice = soundfile.read(next((run / "voices").rglob("*.wav")))[0]
    for name, samples, rate in (("a", 1, 16_000), ("b", 799, 16_000), ("c", 800, 16_000), ("d", 400, 8_000)):
        soundfile.write(tmp_path / f"{name}.wav", voice[6_000 : 6_000 + samples], rate)
    wanted = ["too-short", "too-short", "", ""]
    for words in ((), ("--window", 1)):
        found = rows_of(sertool("predict", "-m", run / "model", tmp_path, *words).out)
        assert [row["issue"] for row in found] == wanted
        assert [bool(row["predicted"]) for row in found] == [not issue for issue in wanted]
    indexed = sertool("index", tmp_path, "--check", "full", "-f", "csv").out
    assert [row["issue"] for row in rows_of(indexed)] == wanted


def test_single_answer_for_a_long_clip_suggests_windows(run: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.random.default_rng(0).normal(0, 0.1, (31 * 8_000, 2)), 8_000)
    words = ("predict", "-m", run / "model", tmp_path / "x.wav")
    assert "1 answer is for more than 30 s of sound: --pauses 0.4" in sertool(*words).err
    assert "2 answers are for more than 30 s of sound: --pauses 0.4" in sertool(*words, "--channel", "each").err
    segments = tmp_path / "segments.csv"
    segments.write_text("path,start,duration\nx.wav,0,3\nx.wav,28,3\n")
    for more in (("--window", 10), ("-q",)):
        assert "30 s" not in sertool(*words, *more).err
    assert "30 s" not in sertool(*words[:-1], segments).err


@pytest.mark.parametrize("words", [(), ("--window", 1)])
def test_segments_ending_far_beyond_their_file_are_warned_about(
    run: Path, tmp_path: Path, words: tuple[object, ...]
) -> None:
    for name in "xy":
        soundfile.write(tmp_path / f"{name}.wav", np.random.default_rng(0).normal(0, 0.1, 16_000), 8_000)
    parts = tmp_path / "parts.csv"
    parts.write_text("path,start,end\nx.wav,0,1500\ny.wav,0,2500\n")
    asked = ("predict", "-m", run / "model", *words, parts)
    assert sertool(*asked).err.count("some rows end after their file") == 1
    parts.write_text("path,start,end\nx.wav,0,1.5\ny.wav,0.5,2.05\n")
    assert "rows end after" not in sertool(*asked).err


def test_long_clips_are_processed_one_at_a_time_with_one_window_hint(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, pieces = tmp_path / "log", Session._pieces

    def note(what: str) -> None:
        with log.open("a") as stream:
            stream.write(what)

    def watched(*args: Any) -> Iterator[Any]:
        note("+")
        yield from pieces(*args)
        note("-")

    for name in range(40):
        encoding.write(tmp_path / f"{name}.wav", np.random.default_rng(name).normal(0, 0.1, 40_000), 16_000)
    monkeypatch.setattr(Session, "_pieces", watched)
    monkeypatch.setattr(predicting, "LONG_CLIP_SECONDS", 2.0)
    done = sertool("predict", "-m", run / "model", tmp_path, "-j", 4)
    assert len(rows_of(done.out)) == 40
    assert log.read_text() == "+-" * 40
    assert done.err.count("--pauses 0.4 answers turn by turn") == 1


def test_merge_bridges_no_gaps_between_windows_and_no_repeated_files(run: Path, tmp_path: Path) -> None:
    tone = np.sin(np.arange(9 * 16_000) * 2 * np.pi * 300 / 16_000)
    soundfile.write(tmp_path / "x.wav", 0.3 * tone, 16_000)
    asked = ("predict", "-m", run / "model", "--merge", tmp_path / "x.wav")
    apart = rows_of(sertool(*asked, "--window", 1, "--hop", 3).out)
    assert [(float(row["start"]), float(row["end"])) for row in apart] == [(0, 1), (3, 4), (6, 7)]
    for words in (("--window", 1), ("--window", 2, "--hop", 1)):
        once, twice = (rows_of(sertool(*asked, *again, *words).out) for again in ((), (tmp_path / "x.wav",)))
        assert (len(once), twice) == (1, 2 * once)


def test_windows_of_each_channel_are_merged_separately(run: Path, tmp_path: Path) -> None:
    two_sided_call(run, tmp_path / "call.wav")
    words = ("predict", "-m", run / "model", tmp_path / "call.wav")
    asked = (*words, "--window", 2, "--hop", 1, "--merge", "--channel")
    held = rows_of(sertool(*asked, "each").out)
    for channel, side in (("1", "left"), ("2", "right")):
        own = [row for row in held if row["channel"] == channel]
        assert own == rows_of(sertool(*asked, side).out)
    starts = [float(row["start"]) for row in held]
    assert starts == sorted(starts)


def test_segment_of_zero_length_has_no_windows(run: Path, tmp_path: Path) -> None:
    good = next((run / "voices").rglob("*.wav"))
    (tmp_path / "part.csv").write_text(f"clip,path,start,duration\na,{good},0.1,0\n")
    for words in ((), ("--window", 0.2)):
        (row,) = rows_of(sertool("predict", "-m", run / "model", tmp_path / "part.csv", *words).out)
        assert row["issue"] == "empty"


def test_windows_shorter_than_the_model_offset_are_each_too_short(run: Path, tmp_path: Path) -> None:
    table = run / "features" / "manifest.parquet"
    made = sertool("featurize", table, "--mfcc", "--stats", "mean", "--offset", 0.5, "-o", tmp_path / "features")
    words = ("-m", "logistic", "--features", "mfcc", "-o", tmp_path / "model")
    assert sertool("train", *words, stdin=made.out).code == 0
    done = sertool("predict", "-m", tmp_path / "model", next((run / "voices").rglob("*.wav")), "--window", 0.4)
    rows = rows_of(done.out)
    assert [row["issue"] for row in rows] == ["too-short"] * len(rows)
    assert [float(row["start"]) for row in rows] == pytest.approx(np.arange(len(rows)) * 0.4)
    assert len(rows) > 1


def test_no_window_lies_beyond_the_real_end_of_the_file(run: Path, tmp_path: Path) -> None:
    encoding.write(tmp_path / "call.wav", np.random.default_rng(0).normal(0, 0.1, 40_000).astype(np.float32), 16_000)
    rows = ("a,call.wav,0.5,9", "b,call.wav,7,2", "c,call.wav,-1e300,", "d,call.wav,1.5,inf", "e,call.wav,1,-1")
    (tmp_path / "call.csv").write_text("\n".join(["clip,path,start,duration", *rows, ""]))
    done = sertool("predict", "-m", run / "model", tmp_path / "call.csv", "--window", 1)
    found = [(row["clip"], row["start"], row["end"], row["issue"]) for row in rows_of(done.out)]
    assert found[:2] == [("a", "0.5", "1.5", ""), ("a", "1.5", "2.5", "")]
    others = [(clip, issue) for clip, _, _, issue in found[2:]]
    assert others == [("b", "empty"), ("c", "empty"), ("d", ""), ("e", "empty")]
