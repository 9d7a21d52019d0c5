"""predict --summary: a row for each clip and channel, whose numbers are those of its windows, weighted by time."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from running import sertool

from sertool.manifests.answer_kinds import Emotions
from sertool.predict import summaries

KIND = Emotions(["sad", "happy"])


def answer(start: float, end: float, happy: float, clip: str = "a", **more: object) -> dict[str, object]:
    word = "happy" if happy > 0.5 else "sad"
    said = {"predicted": word, "confidence": max(happy, 1 - happy), "p_sad": 1 - happy, "p_happy": happy}
    return {"clip": clip, "path": clip, "start": start, "end": end, **said, **more}


def silent(start: float, end: float, clip: str = "a", **more: object) -> dict[str, object]:
    return {"clip": clip, "path": clip, "start": start, "end": end, "issue": "silent", **more}


def summed_up(*rows: dict[str, object], threshold: float = 0.0) -> list[dict[str, object]]:
    return [*summaries.summed_up(iter(rows), KIND, threshold)]


def test_summary_times_shares_and_means_are_weighted_by_seconds() -> None:
    (row,) = summed_up(silent(0, 2), answer(2, 4, 0.9), answer(4, 6, 0.7), silent(6, 8), answer(8, 9, 0.2))
    assert (row["start"], row["end"], row["judged"], row["silent"]) == (0, 9, 5, 4)
    assert (row["share_happy"], row["share_sad"]) == pytest.approx((0.8, 0.2))
    assert row["p_happy"] == pytest.approx((2 * 0.9 + 2 * 0.7 + 0.2) / 5)
    assert (row["predicted"], row["confidence"], row["issue"]) == ("happy", row["p_happy"], None)


def test_overlapping_windows_count_each_moment_once() -> None:
    (row,) = summed_up(*(answer(at, at + 3, happy) for at, happy in enumerate((0.9, 0.1, 0.9, 0.1, 0.9))))
    assert row["judged"] == row["end"] == 7
    assert row["share_happy"] + row["share_sad"] == pytest.approx(1)


def test_time_below_the_threshold_is_judged_but_has_no_emotion() -> None:
    unsure = answer(0, 1, 0.6) | {"predicted": None}
    (row,) = summed_up(unsure, answer(1, 2, 0.9), threshold=0.8)
    assert (row["judged"], row["share_happy"], row["predicted"]) == (2, 0.5, None)


def test_threshold_changes_no_mean_probability() -> None:
    sure = [0.9, 0.3, 0.6, 0.8, 0.4]
    windows = [answer(at, at + 2, happy) for at, happy in enumerate(sure)]
    (row,) = summed_up(*[dict(window) for window in windows])
    (strict,) = summed_up(*[window | {"predicted": None} for window in windows], threshold=1.0)
    assert row["p_happy"] == pytest.approx(np.mean(sure)) == pytest.approx(strict["p_happy"])


def test_each_channel_has_a_summary_row_and_truncation_marks_all() -> None:
    cut = {"clip": "a", "path": "a", "start": 1.0, "issue": "truncated"}
    first, second = summed_up(answer(0, 1, 0.9, channel=1), silent(0, 1, channel=2), cut)
    assert [(row["channel"], row["judged"], row["issue"]) for row in (first, second)] == [
        (1, 1, "truncated"), (2, 0, "truncated"),
    ]  # fmt: skip


def test_cut_off_call_is_answered_in_part_and_fails_strict_on_every_run(tree: Path, tmp_path: Path) -> None:
    voices = np.concatenate([soundfile.read(path)[0] for path in sorted(tree.rglob("*.wav"))[:4]])
    soundfile.write(tmp_path / "call.wav", np.stack([voices, voices[::-1]], axis=1), 16_000)
    (tmp_path / "call.wav").write_bytes((tmp_path / "call.wav").read_bytes()[: 2 * 64_000 + 44])
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    words = ("predict", "-m", "tiny", "--window", 1.5, "--channel", "each", "--summary", "--strict", tmp_path)
    done = sertool(*words)
    rows = [(row["start"], row["end"], row["channel"], row["issue"], bool(row["predicted"]))
            for row in csv.DictReader(io.StringIO(done.out.decode()))]  # fmt: skip
    assert rows[1:] == [("0", "2", "1", "truncated", True), ("0", "2", "2", "truncated", True)]
    into = ("-o", f"{tmp_path / 'out'}/")
    for what, place in {"3 rows": (), "(2 made now)": into, "(0 made now)": into}.items():
        *_, counts, fault = (done := sertool(*words, *place)).err.splitlines()
        assert counts.endswith(f"{what}, 1 set aside (column issue), 2 answered in part (column issue)")
        assert fault == "sertool: --strict: 1 row set aside: unreadable 1; 2 rows answered in part: truncated 2"
        assert done.code == 1


def test_summary_row_without_an_answer_states_the_issue() -> None:
    rows = summed_up(silent(0, 1), silent(1, 2), {"clip": "b", "path": "b", "issue": "unreadable"})
    assert [(row["clip"], row["issue"], row["silent"]) for row in rows] == [("a", "silent", 2), ("b", "unreadable", 0)]


def test_too_short_final_window_is_not_an_issue_of_the_clip() -> None:
    (row,) = summed_up(answer(0, 1, 0.9), {"clip": "a", "path": "a", "start": 1, "end": 1.01, "issue": "too-short"})
    assert (row["issue"], row["end"], row["judged"]) == (None, 1.01, 1)


def test_clip_given_twice_has_two_summary_rows() -> None:
    assert [row["judged"] for row in summed_up(answer(0, 1, 0.9), answer(1, 2, 0.9), answer(0, 1, 0.9))] == [2, 1]


def test_summary_row_is_emitted_with_the_first_segment_of_the_next_clip() -> None:
    taken: list[str] = []

    def rows() -> Iterator[dict[str, object]]:
        for clip in "abc":
            for start, happy in enumerate((0.9, 0.1)):
                taken.append(clip)
                yield answer(start, start + 1, happy, clip)

    next(summaries.summed_up(rows(), KIND, 0.0))
    assert taken == ["a", "a", "b", "b"]


def test_folder_of_stereo_calls_gives_one_summary_row_per_channel(tree: Path, tmp_path: Path) -> None:
    for place, path in enumerate(sorted(tree.rglob("*.wav"))[:2]):
        sound, rate = soundfile.read(path)
        soundfile.write(tmp_path / f"{place}.wav", np.stack([sound, 0 * sound], axis=1), rate)
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    done = sertool("predict", "-m", "tiny", "--window", 0.5, "--channel", "each", "--summary", tmp_path)
    rows = [*csv.DictReader(io.StringIO(done.out.decode()))]
    assert [(Path(row["clip"]).name, row["channel"], row["issue"]) for row in rows] == [
        ("0.wav", "1", ""), ("0.wav", "2", "silent"), ("1.wav", "1", ""), ("1.wav", "2", "silent"),
        ("bad.wav", "", "unreadable"),
    ]  # fmt: skip
    for row in rows[:4:2]:
        assert float(row["judged"]) + float(row["silent"]) == pytest.approx(float(row["end"]), abs=0.002)
        for family in ("p_", "share_"):
            values = [float(cell) for name, cell in row.items() if name.startswith(family)]
            assert sum(values) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("words", "said"), [
    ((), "--summary goes with --window"),
    (("--window", 1, "--merge"), "--merge makes rows of segments: leave out one of them"),
    (("--window", 1, "-f", "rttm"), "rttm holds segments: leave out one of them"),
])  # fmt: skip
def test_options_that_conflict_with_summary_are_refused(tree: Path, words: tuple[object, ...], said: str) -> None:
    done = sertool("predict", "-m", "tiny", "--summary", *words, tree)
    assert (done.code, done.out, said in done.line) == (2, b"", True)
