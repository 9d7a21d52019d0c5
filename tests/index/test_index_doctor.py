"""index examines files: issues and notes."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from indexing import by_clip, index, rows, table
from running import sertool

from sertool.manifests import columns, manifest, manifest_io
from sertool.sound import audio, encoding

REAL = Path(__file__).resolve().parents[3] / "shared" / "corpora"
corpora = pytest.mark.corpora


def test_equal_sounds_are_flagged_as_duplicates_or_label_conflicts(make):
    folder = make("x/angry/1.wav", "x/sad/2.wav", "x/sad/3.wav", "x/sad/4.wav")
    shutil.copy(folder / "x/angry/1.wav", folder / "x/sad/1 again.wav")
    shutil.copy(folder / "x/sad/2.wav", folder / "x/sad/2 again.wav")
    done = sertool("index", folder / "x", "-f", "jsonl")
    assert {row["clip"]: row.get("issue") for row in rows(done)} == {
        "x/angry/1": "label-conflict", "x/sad/1 again": "label-conflict", "x/sad/2": None,
        "x/sad/2 again": None, "x/sad/3": None, "x/sad/4": None,
    } | {"x/sad/2": "duplicate-of:x/sad/2 again"}  # fmt: skip
    assert "set aside: 3 of 6 clips" in done.err
    assert "1 duplicate-of   x/sad/2 = x/sad/2 again: the same sound as another clip" in done.err
    assert "2 label-conflict x/angry/1: the same sound under two labels: name the right one" in done.err


def test_best_described_of_equal_sounds_is_kept(make):
    folder = make("x/a.wav", "x/sad/b.wav")
    shutil.copy(folder / "x/a.wav", folder / "x/sad/c.wav")
    held = {clip: row.get("issue") for clip, row in by_clip(folder / "x").items()}
    assert held == {"x/a": "duplicate-of:x/sad/c", "x/sad/b": None, "x/sad/c": None}
    (folder / "x/sad/c.wav").unlink()
    for name, pattern in (("bare", "{sentence}.wav"), ("known", "{emotion}/{speaker}.wav")):
        shutil.copytree(folder / "x/sad", folder / name / "sad")
        done = sertool("index", folder / name, "--pattern", pattern, "-o", folder / f"{name}.parquet")
        assert done.code == 0, done.err
    both = by_clip(folder / "bare.parquet", folder / "known.parquet")
    assert {clip: bool(row.get("issue")) for clip, row in both.items()} == {
        clip: clip.startswith("bare") for clip in both
    }


def test_featurize_issues_are_dropped_when_the_files_are_indexed_again(make):
    folder = make("x/sad/a.wav", "x/sad/b.wav")
    encoding.write(folder / "x/sad/long.wav", np.random.default_rng(9).normal(0, 0.1, 16_000), 16_000)
    made = sertool("index", folder / "x")
    done = sertool("featurize", "-", "--rms", "--offset", 0.5, "-o", folder / "f", stdin=made.out)
    assert b"too-short" in done.out or "too-short" in done.err
    again = by_clip(folder / "x", "--update", folder / "f" / "manifest.parquet")
    assert {row.get("issue") for row in again.values()} == {None}


def test_sample_rate_unusual_for_the_corpus_is_noted(make):
    folder = make(*(f"x/{k}.wav" for k in range(21)))
    encoding.write(folder / "x/0.wav", np.random.default_rng(99).normal(0, 0.1, 8000), 48_000)
    held = by_clip(folder / "x")
    assert [clip for clip, row in held.items() if row.get("notes") == ["odd-rate"]] == ["x/0"]


def test_wrong_duration_in_a_table_is_noted(make):
    folder = make("1.wav", "2.wav", "3.wav")
    text = "path,duration\n1.wav,0.2\n2.wav,0.25\n3.wav,0.5\n"
    held = index(folder, "--table", table(folder, "a.csv", text))
    assert [(row["duration"], row.get("notes")) for row in held] == [
        (0.2, None),
        (0.2, None),
        (0.2, ["wrong-duration"]),
    ]


def test_every_issue_and_note_is_reported_with_example_and_explanation(make):
    issues = [f"{kind}:c/clipped" if kind == "duplicate-of" else kind for kind in columns.ISSUES]
    held = manifest.from_columns({
        "clip": [f"c/{kind}" for kind in (*columns.ISSUES, *columns.NOTES)],
        "issue": [*issues, *[None] * len(columns.NOTES)],
        "notes": [*[None] * len(columns.ISSUES), *([kind] for kind in columns.NOTES)],
    })  # fmt: skip
    folder = make()
    manifest_io.write(held, str(folder / "a.parquet"), "parquet")
    done = sertool("index", folder / "a.parquet", "-f", "csv")
    for kind, meaning in columns.ISSUES.items():
        assert f"1 {kind:<14} c/{kind}" in done.err
        assert meaning in done.err
    for kind, meaning in columns.NOTES.items():
        assert f"1 noted {kind:<8} c/{kind}: usable; {meaning}" in done.err
    assert f"set aside: {len(columns.ISSUES)} of {len(held)} clips" in done.err


def test_check_option_sets_how_thoroughly_files_are_examined(make, monkeypatch):
    folder = make("1.wav", "2.flac", "3.wav")
    encoding.write(folder / "3.wav", np.zeros(3200), 16_000)
    for name in ("1.wav", "2.flac"):
        (folder / name).write_bytes((folder / name).read_bytes()[:-2000])
    found = {
        check: [row.get("issue") for row in index(folder, "--check", check)] for check in ("full", "header", "none")
    }
    assert found == {
        "full": ["truncated", "truncated", "silent"],
        "header": ["truncated", None, None],
        "none": [None] * 3,
    }
    header = index(folder, "--check", "header")[2]
    assert (header["samples"], "digest" in header) == (3200, False)
    monkeypatch.setattr(audio, "probe", lambda *_: 1 / 0)
    assert "samples" not in index(folder, "--check", "none")[0]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_manifest_of_clean_clips_still_has_issue_and_notes_columns(make, kind):
    out = make("x/angry/1.wav") / f"m.{kind}"
    assert sertool("index", out.parent / "x", "-o", out).code == 0
    held = manifest_io.read(str(out))
    assert (held.column("issue").to_pylist(), held.column("notes").to_pylist()) == ([None], [None])
    theirs = table(out.parent, "theirs.csv", "path,emotion\n1.wav,sad\n")
    assert sertool("index", theirs, "-o", out).code == 0
    assert {"issue", "notes"} <= {*manifest_io.read(str(out)).column_names}


def test_strict_fails_when_a_clip_is_set_aside(make):
    folder = make("angry/1.wav", "angry/2.wav")
    assert sertool("index", folder, "--strict", "-q").code == 0
    (folder / "angry/2.wav").write_bytes(b"")
    done = sertool("index", folder, "--strict", "-q")
    assert (done.code, done.out[:4]) == (1, b"PAR1")
    assert done.line == "sertool: --strict: 1 clip set aside: empty 1"
    make("sad/3.wav", "bare/4.wav")
    (folder / "bare/4.wav").unlink()
    done = sertool("index", folder / "sad", folder / "bare", "--strict", "-q")
    assert (done.code, done.line) == (1, "sertool: --strict: no audio that can be read in 1 folder")


@corpora
@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the real corpora are not here")
def test_known_faults_of_real_corpora_are_found_without_false_alarms():
    held = by_clip(*(REAL / name for name in ("cremad", "ravdess", "tess", "emodb")), "-q")
    assert Counter(row["corpus"] for row in held.values()) == {
        "cremad": 5884,
        "ravdess": 1200,
        "tess": 1400,
        "emodb": 411,
    }
    assert {clip: row["issue"] for clip, row in held.items() if "issue" in row} == {
        "cremad/1076_MTI_SAD_XX": "silent",
        "cremad/1013_WSI_DIS_XX": "label-conflict", "cremad/1013_WSI_SAD_XX": "label-conflict",
        "cremad/1017_IWW_ANG_XX": "label-conflict", "cremad/1017_IWW_FEA_XX": "label-conflict",
        "ravdess/03-01-03-01-02-02-07": "duplicate-of:ravdess/03-01-03-01-02-01-07",
    }  # fmt: skip
    noted = {kind: [clip for clip, row in held.items() if kind in row.get("notes", ())] for kind in columns.NOTES}
    assert noted["odd-name"] == ["tess/OA_bite_neutral"]
    assert [held[clip]["sample_rate"] for clip in noted["odd-rate"]] == [96_000]
    assert (len(noted["stereo"]), len(noted["dc"]), len(noted["wrong-duration"])) == (5, 0, 0)
    assert all(held[clip]["channels"] == 2 for clip in noted["stereo"])
    assert all("speaker" in row and "emotion" in row for row in held.values())
    assert all("votes_voice_angry" in row and "age" in row for row in held.values() if row["corpus"] == "cremad")
