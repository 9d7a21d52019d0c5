"""Windows as segments: they tile the file, whatever their answers are."""

from itertools import groupby

import pytest

from sertool.manifests.answer_kinds import Emotions
from sertool.predict import segments


@pytest.mark.parametrize(("window", "hop"), [(1, 1), (2, 1), (3, 1), (5, 1), (1, 0.3)])
def test_merged_windows_tile_the_file_whatever_their_answers(window: float, hop: float) -> None:
    starts = [round(hop * index, 3) for index in range(20)]
    words = ["a", "b", "a", "a", "b", "b", "a", "b", "a", "b"] * 2
    rows = [
        {"clip": "x", "start": start, "end": round(start + window, 3), "predicted": word, "confidence": 0.9, "p_a": 0.9}
        for start, word in zip(starts, words, strict=True)
    ]
    held = [*segments.merged(iter(rows), Emotions(["a"]))]
    assert [row["predicted"] for row in held] == [word for word, _ in groupby(words)]
    assert [row["start"] for row in held[1:]] == [row["end"] for row in held[:-1]]
    assert all(row["start"] < row["end"] for row in held)
    assert (held[0]["start"], held[-1]["end"]) == (0, round(starts[-1] + window, 3))


def test_window_shortened_by_the_next_still_counts_fully_in_its_segment() -> None:
    shares = [0.2, 0.9, 0.6, 0.6, 0.1]
    rows = [
        {"clip": "x", "start": at, "end": at + 4, "predicted": "ab"[b > 0.5], "confidence": b, "p_a": 1 - b, "p_b": b}
        for at, b in enumerate(shares)
    ]
    held = [*segments.merged(iter(rows), Emotions(["a", "b"]))]
    assert [row["p_b"] for row in held] == pytest.approx([0.2, 0.7, 0.1])


def test_enrolled_windows_are_not_merged_with_other_windows() -> None:
    ways = ["enrolled", "transductive", "transductive", "enrolled"]
    rows = [
        {"clip": "x", "start": at, "end": at + 1, "predicted": "a", "confidence": 0.9, "p_a": 0.9, "adapted": way}
        for at, way in enumerate(ways)
    ]
    held = [*segments.merged(iter(rows), Emotions(["a"]))]
    assert [(row["start"], row["end"], row["adapted"]) for row in held] == [
        (0, 1, "enrolled"), (1, 3, "transductive"), (3, 4, "enrolled"),
    ]  # fmt: skip
