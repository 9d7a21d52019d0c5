"""Audacity's label tracks: start, end and text between tabs, of one file."""

from itertools import pairwise
from pathlib import Path

from running import sertool

from sertool.manifests import streams


def row(start: float, end: float, **more: object) -> dict[str, object]:
    return {"clip": "a.wav", "path": "a.wav", "start": start, "end": end, "predicted": "sad", "confidence": 0.5, **more}


def test_label_track_has_tab_separated_start_end_and_text() -> None:
    rows = [row(0.0, 1.5), row(1.5, 12345.678, predicted="very\thappy", channel=2)]
    assert [*streams.audacity(rows)] == ["0.000000\t1.500000\tsad\n", "1.500000\t12345.678000\tchannel 2: very happy\n"]


def test_rows_without_an_answer_get_no_label() -> None:
    assert not [*streams.audacity([row(0.0, 1.0, predicted=None), {"clip": "b.wav", "issue": "unreadable"}])]


def test_txt_extension_selects_labels_with_merged_windows(tree: Path, tmp_path: Path) -> None:
    clip = next(tree.rglob("*.wav"))
    done = sertool("predict", "-m", "tiny", "--window", 0.5, clip, "-o", tmp_path / "labels.txt")
    assert done.code == 0, done.err
    labels = [line.split("\t") for line in (tmp_path / "labels.txt").read_text().splitlines()]
    assert labels
    assert all(float(start) < float(end) and text for start, end, text in labels)
    assert all(one[1] == other[0] and one[2] != other[2] for one, other in pairwise(labels))


def test_labels_of_several_files_are_refused(tree: Path) -> None:
    done = sertool("predict", "-m", "tiny", "-f", "audacity", tree)
    assert (done.code, done.out) == (2, b"")
    assert "of one file" in done.line
