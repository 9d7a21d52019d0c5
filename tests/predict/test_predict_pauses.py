"""What `predict --pauses` cuts recordings into."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from predicted_rows import probabilities, rows_of
from running import sertool

from sertool.sound import audio

PAUSES = ("--pauses", 0.4)
Row = dict[str, str]


@pytest.fixture(scope="module")
def call(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sides that speak in turns, with a second of quiet after each."""
    path, parts = tmp_path_factory.mktemp("call") / "call.wav", []
    for place, clip in enumerate(sorted((run / "voices").rglob("*.wav"))[:4]):
        voice = np.concatenate([soundfile.read(clip)[0], np.zeros(16_000)])
        parts.append(np.stack([voice, np.zeros_like(voice)][:: 1 if place % 2 else -1], axis=1))
    soundfile.write(path, np.concatenate(parts) + 1e-4 * np.random.default_rng(0).standard_normal((1, 2)), 16_000)
    return path


def predicted(run: Path, *words: object) -> list[Row]:
    done = sertool("predict", "-m", run / "model", *words)
    assert done.code == 0, done.err
    return rows_of(done.out)


def span(row: Row) -> tuple[float, float]:
    return float(row["start"]), float(row["end"])


def test_turns_and_the_pauses_between_them_cover_the_recording(run: Path, call: Path) -> None:
    rows = predicted(run, *PAUSES, call)
    assert [row["issue"] for row in rows if row["issue"]] == ["silent"] * 4
    assert sum(bool(row["predicted"]) for row in rows) == 4
    assert all(one[1] == other[0] for one, other in pairwise(map(span, rows)))
    assert span(rows[0])[0] == 0
    assert span(rows[-1])[1] == pytest.approx(soundfile.info(call).duration, abs=0.001)


def test_each_channel_has_turns_of_its_own_in_the_order_of_their_starts(run: Path, call: Path) -> None:
    both = predicted(run, *PAUSES, "--channel", "each", call)
    assert [row["start"] for row in both] == sorted((row["start"] for row in both), key=float)
    for number, side in enumerate(("left", "right"), 1):
        own = [row for row in both if row["channel"] == str(number)]
        assert sum(bool(row["predicted"]) for row in own) == 2
        assert own == predicted(run, *PAUSES, "--channel", side, call)


def test_noise_that_hides_pauses_is_mentioned_once_if_its_channel_is_judged(
    run: Path, call: Path, tmp_path: Path
) -> None:
    samples = np.tile(soundfile.read(call)[0], (4, 1))
    samples[:, 0] += 0.03 * np.random.default_rng(0).standard_normal(len(samples))
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, samples, 16_000)
    for channel, times in (("left", 1), ("each", 1), ("right", 0)):
        said = sertool("predict", "-m", run / "model", *PAUSES, "--channel", channel, tmp_path).err
        assert said.count("pauses cannot be told in noise") == times


def test_a_turn_has_the_answer_of_its_part_of_the_recording(run: Path, call: Path) -> None:
    turns = [row for row in predicted(run, *PAUSES, call) if row["predicted"]]
    parts = call.with_name("parts.csv")
    parts.write_text("path,start,end\n" + "".join(f"{call},{row['start']},{row['end']}\n" for row in turns))
    for turn, part in zip(turns, predicted(run, parts), strict=True):
        assert span(turn) == span(part)
        assert probabilities(turn) == pytest.approx(probabilities(part), abs=1e-5)


def test_files_that_can_only_be_read_forward_have_the_same_turns(
    run: Path, call: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*PAUSES, "--channel", "each", call)
    wanted = predicted(run, *words)
    monkeypatch.setattr(audio, "has_places", lambda path: False)
    assert predicted(run, *words) == wanted


def test_turns_of_a_recording_that_is_cut_off_are_judged_up_to_there(run: Path, call: Path) -> None:
    cut = call.with_name("cut.wav")
    cut.write_bytes(call.read_bytes()[: call.stat().st_size * 6 // 10])
    done = sertool("predict", "-m", run / "model", *PAUSES, cut)
    rows, whole = rows_of(done.out), predicted(run, *PAUSES, call)
    assert rows[-1]["issue"] == "truncated"
    assert float(rows[-1]["start"]) == pytest.approx(0.6 * soundfile.info(call).duration, abs=0.01)
    assert [span(row) for row in rows[:3]] == [span(row) for row in whole[:3]]


def test_long_turns_are_cut_into_equal_parts(run: Path, call: Path) -> None:
    whole = predicted(run, "--pauses", 0.4, call)
    parts = [span(row) for row in predicted(run, "--pauses", 0.4, "--window", 0.5, call) if row["predicted"]]
    for begin, end in (span(row) for row in whole if row["predicted"]):
        lengths = [high - low for low, high in parts if begin <= low < end]
        assert len(lengths) == np.ceil((end - begin) / 0.5)
        assert lengths == pytest.approx([(end - begin) / len(lengths)] * len(lengths), abs=0.0021)


def test_a_summary_of_turns_counts_what_is_said(run: Path, call: Path) -> None:
    turns = [span(row) for row in predicted(run, *PAUSES, call) if row["predicted"]]
    (row,) = predicted(run, *PAUSES, "--summary", call)
    assert float(row["judged"]) == pytest.approx(sum(end - begin for begin, end in turns), abs=0.01)
    assert float(row["judged"]) + float(row["silent"]) == pytest.approx(float(row["end"]), abs=0.01)


def test_recordings_without_any_turn_are_silent(run: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros((32_000, 2)), 16_000)
    assert [row["issue"] for row in predicted(run, *PAUSES, tmp_path / "silent.wav")] == ["silent"]


def test_pauses_and_the_step_of_windows_exclude_each_other(run: Path, call: Path) -> None:
    done = sertool("predict", "-m", run / "model", *PAUSES, "--hop", 1, call)
    assert (done.code, "--pauses cuts at pauses: leave out one of them" in done.line) == (2, True)
