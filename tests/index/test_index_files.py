"""index finds files: links, hidden folders, extensions, dry runs."""

import os

import pytest
from indexing import by_clip, emotions, index, refused, rows
from running import sertool

from sertool.sound import ffmpeg


def test_rerun_with_nothing_to_do_does_not_rewrite_the_manifest(make):
    folder = make("x/angry/1.wav", "x/sad/2.wav")
    for name in ("a.parquet", "a.csv", "a.jsonl"):
        assert sertool("index", folder / "x", "-o", folder / name).code == 0
        before = (folder / name).stat()
        done = sertool("index", folder / "x", "-o", folder / name)
        after = (folder / name).stat()
        assert (done.code, "is up to date" in done.err) == (0, True)
        assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
        sertool("index", folder / "x", "--emotions", "sad", "-o", folder / name)
        assert (folder / name).stat().st_ino != before.st_ino


@pytest.mark.parametrize("part", ["", "test="])
def test_unchanged_manifest_becomes_no_older_than_its_tables(make, part):
    """As `make` compares these times, also of a table of one part."""
    folder = make("angry/a.wav")
    (folder / "labels.csv").write_text("path,emotion\nangry/a.wav,sad\n")
    words = ("index", folder, "--table", f"{part}{folder / 'labels.csv'}", "-o", folder / "out.parquet")
    assert sertool(*words).code == 0
    os.utime(folder / "out.parquet", (0, 0))
    assert "is up to date" in sertool(*words).err
    assert (folder / "out.parquet").stat().st_mtime > 0


def test_dry_run_states_the_planned_work_and_writes_nothing(make):
    folder = make("x/angry/1.wav", "x/sad/2.wav")
    sertool("index", folder / "x", "-o", folder / "x.parquet")
    done = sertool("index", folder / "x", folder / "x.parquet", "--dry-run", "-o", folder / "y.parquet")
    assert (done.code, done.out, done.line) == (0, b"", "would look at 2 files and read 2 rows of manifests")
    assert not (folder / "y.parquet").exists()


def test_a_dry_run_counts_the_files_that_a_table_lists(make):
    folder = make("x/1.wav", "x/2.wav", "x/3.wav")
    (folder / "t.csv").write_text("path,emotion\nx/1.wav,sad\nx/2.wav,angry\n")
    assert sertool("index", "--table", folder / "t.csv", "--dry-run").line == "would look at 2 files"
    done = sertool("index", folder / "x", "--table", folder / "t.csv", "--dry-run")
    assert "would look at 2 files" in done.err.splitlines()


def test_symbolic_links_are_followed_without_looping(make):
    folder = make("x/angry/1.wav", "elsewhere/sad/2.wav")
    (folder / "x/sad").symlink_to(folder / "elsewhere/sad")
    (folder / "x/angry/loop").symlink_to(folder / "x")
    (folder / "x/self").symlink_to("self")
    assert emotions(by_clip(folder / "x")) == {"x/angry/1": "angry", "x/sad/2": "sad"}


def test_hidden_folders_are_searched_only_if_named_explicitly(make):
    folder = make("x/.git/annex/objects/aa/k.wav", "x/sad/2.wav", ".tess.cache/files/3.wav")
    (folder / "x/angry").mkdir()
    (folder / "x/angry/1.wav").symlink_to("../.git/annex/objects/aa/k.wav")
    assert emotions(by_clip(folder)) == {f"{folder.name}/x/angry/1": "angry", f"{folder.name}/x/sad/2": "sad"}
    assert [row["path"] for row in index(folder / ".tess.cache")] == [str(folder / ".tess.cache/files/3.wav")]


def test_macos_metadata_files_are_not_indexed_as_clips(make):
    folder = make("x/angry/1.wav", "x/angry/2.wav")
    (folder / "x/angry/._1.wav").write_bytes(b"\0\5\x16\7")
    assert list(by_clip(folder / "x")) == ["x/angry/1", "x/angry/2"]


@pytest.fixture
def _without_ffmpeg(monkeypatch):
    monkeypatch.setattr(ffmpeg, "program", lambda: None)


@pytest.mark.usefixtures("_without_ffmpeg")
def test_files_that_only_ffmpeg_reads_are_counted_with_advice_where_it_is_not_installed(make):
    folder = make("x/angry/1.wav", "x/angry/2.wav")
    for name in ("angry/3.m4a", "angry/4.M4A", "sad/4.m4a", "sad/5.caf", "sad/._6.caf", "readme.txt"):
        (folder / "x" / name).parent.mkdir(exist_ok=True)
        (folder / "x" / name).write_bytes(b"x")
    done = sertool("index", folder / "x", "-f", "jsonl")
    assert [row["clip"] for row in rows(done)] == ["x/angry/1", "x/angry/2"]
    assert "4 files passed over: 3 .m4a, 1 .caf; install ffmpeg, or convert to WAV or FLAC" in done.err
    assert "passed over" not in sertool("index", folder / "x" / "angry" / "1.wav", "-f", "jsonl").err


@pytest.mark.usefixtures("_without_ffmpeg")
def test_every_media_format_that_only_ffmpeg_reads_is_counted(make):
    folder = make("x/angry/1.wav")
    kinds = ["webm", "mp4", "3gp", "mka", "mov", "m4b", "amr", "avi", "mkv", "wmv", "mpeg", "mp2"]
    for kind in kinds:
        (folder / "x" / f"1.{kind}").write_bytes(b"x")
    done = sertool("index", folder / "x", "-f", "jsonl")
    assert f"{len(kinds)} files passed over: " in done.err
    assert all(f"1 .{kind}" in done.err for kind in kinds)


@pytest.mark.usefixtures("_without_ffmpeg")
def test_explicitly_named_file_is_read_by_content_or_set_aside_with_advice(make):
    folder = make("1.wav")
    (folder / "1.wav").rename(folder / "1.webm")
    assert "issue" not in index(folder / "1.webm")[0]
    (folder / "2.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    done = sertool("index", folder / "2.mp4", "-f", "jsonl")
    assert rows(done)[0]["issue"] == "unreadable"
    assert "no WAV, FLAC, Ogg, MP3 or AIFF file: install ffmpeg, or convert to WAV or FLAC" in done.err


@pytest.mark.parametrize("extension", [".wav", ".FLAC", ".Ogg"])
def test_audio_extensions_match_in_any_letter_case(make, extension):
    assert list(by_clip(make(f"x/sad/1{extension}") / "x")) == ["x/sad/1"]


def test_writing_a_manifest_over_audio_is_refused(make):
    clip = make("x/angry/1.wav") / "x" / "angry" / "1.wav"
    before = clip.read_bytes()
    refused(clip, "-f", "csv", "-o", clip, says="would write over audio")
    assert clip.read_bytes() == before


def test_conflicting_options_are_refused(make):
    folder = make("x/angry/1.wav")
    refused(folder, "--split", "speaker", "--folds", "3", says="exclude each other")
    refused(folder, "--audit", "--split", "speaker", says="leave out --split")
    refused(folder, "--strict-sentences", says="goes with --audit")
    refused(folder, "-o", folder / "a.txt", says="the extension says no format")
    refused(folder, "-f", "table", "-o", folder / "a.csv", says="-f table is for terminals")
    refused(folder, "--where", "emotion=calm", says="in 1 row, emotion is angry", code=1)
    refused(folder, "--audit", says="neither a split nor folds")
    refused(folder / "absent", says="no such file")
    refused(folder / "absent.wav", says="no such file or folder")
    (folder / "empty").mkdir()
    (folder / "empty" / "notes.txt").write_text("x")
    refused(folder / "empty", says="no audio under")
