"""A path has one spelling, absolute or relative to its folder, and moves with the audio."""

import os
import sys

import pyarrow as pa
import pytest

from sertool.errors import UsageError
from sertool.manifests import manifest, manifest_paths

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


@posix
@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("./a.wav", "{}/a.wav"), ("x//a.wav", "{}/x/a.wav"), ("x/.//./a.wav", "{}/x/a.wav"), ("..a/b", "{}/..a/b"),
        ("x/../a.wav", "{}/a.wav"), ("../a.wav", "{.parent}/a.wav"), ("/x/./a.wav", "/x/a.wav"), ("a.", "{}/a."),
        ("//x/a.wav", "/x/a.wav"), ("file:///x/a%20b.wav", "/x/a b.wav"), ("file:///x/../%FF", "file:///%FF"),
        ("link/../a.wav", "{}/far/a.wav"), ("link/x/../a.wav", "{}/link/a.wav"), ("c:/x//a", "c:/x/a"),
        ("C:\\x\\..\\a.wav", "C:\\x\\..\\a.wav"), ("s3://x/a.wav", "{}/s3://x/a.wav"),
    ],
)  # fmt: skip
def test_path_is_normalized_to_one_spelling(tmp_path, path, meant):
    folder = tmp_path.resolve()
    (folder / "far/away/x").mkdir(parents=True)
    (folder / "link").symlink_to(folder / "far/away")
    held = manifest_paths.rebased(pa.table({"path": ["/b", None, path]}), str(folder))
    assert held.column("path").to_pylist() == ["/b", None, meant.format(folder)]


@pytest.mark.parametrize("path", ["/a/b.wav", "C:\\a\\b.wav", "c:/a/b.wav", "\\\\host\\a.wav", "file:///a%FF.wav"])
def test_absolute_paths_of_any_operating_system_stay_unchanged(path):
    held = manifest_paths.rebased(
        manifest.from_columns({"clip": ["1", "2", "3"], "path": [path, "b.wav", None]}), "/here"
    )
    assert held.column("path").to_pylist() == [path, "/here/b.wav", None]


def test_relative_paths_use_forward_slashes_on_every_system(monkeypatch):
    held = manifest.from_columns({"clip": ["1"], "path": ["D:\\data\\sub\\a.wav"]})
    monkeypatch.setattr(os, "sep", "\\")
    assert manifest_paths.relative(held, "D:\\data").column("path").to_pylist() == ["sub/a.wav"]


@pytest.mark.parametrize("root", ["", "AudioWAV", "cremad/AudioWAV", "corpora/cremad/AudioWAV"])
def test_root_can_be_any_folder_above_the_audio(tmp_path, root):
    held = manifest.from_columns({
        "clip": ["1", "2", "3"], "path": [f"/old/corpora/cremad/AudioWAV/{n}.wav" for n in "abc"],
        "mel_shard": ["/old/mel/0"] * 3,
    })  # fmt: skip
    audio = tmp_path / "new" / root
    audio.mkdir(parents=True)
    (audio / "c.wav").write_bytes(b"x")  # only some need to be there
    moved = manifest_paths.moved(held, str(tmp_path / "new"))
    assert moved.column("path").to_pylist() == [str(audio / f"{n}.wav") for n in "abc"]
    assert moved.column("mel_shard").to_pylist() == ["/old/mel/0"] * 3


def test_root_relocates_the_audio_tree_that_exists_under_it(tmp_path, capsys):
    paths = ["/old/cremad/AudioWAV/a.wav", "/old/emodb/wav/b.wav", "/old/emodb/wav/c.wav", "/elsewhere/copies/b.wav"]
    held = manifest.from_columns({"clip": ["1", "2", "3", "4"], "path": paths})
    (tmp_path / "emodb" / "wav").mkdir(parents=True)
    (tmp_path / "emodb" / "wav" / "b.wav").touch()
    there = [str(tmp_path / "emodb" / "wav" / f"{name}.wav") for name in "bc"]
    for root in ("", "emodb", "emodb/wav"):
        moved = manifest_paths.moved(held, str(tmp_path / root)).column("path").to_pylist()
        assert (
            moved == ([str(tmp_path / "cremad" / "AudioWAV" / "a.wav")] if not root else paths[:1]) + there + paths[3:]
        )
    assert "2 clips lay outside of /old/emodb/wav: looked for where they were" in capsys.readouterr().err


def test_folders_of_the_same_name_are_not_confused_under_a_root(tmp_path):
    held = manifest.from_columns({"clip": ["1", "2"], "path": ["/old/a/d/1.wav", "/old/b/d/1.wav"]})
    (tmp_path / "b" / "d").mkdir(parents=True)
    (tmp_path / "b" / "d" / "1.wav").touch()
    moved = manifest_paths.moved(held, str(tmp_path / "b")).column("path").to_pylist()
    assert moved == ["/old/a/d/1.wav", str(tmp_path / "b" / "d" / "1.wav")]


@posix
def test_files_with_non_utf8_names_are_relocated_too(tmp_path):
    held = manifest.from_columns({"clip": ["1", "2"], "path": ["/old/m/a.wav", "file:///old/m/b%FF.wav"]})
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.wav").touch()
    moved = manifest_paths.moved(held, str(tmp_path)).column("path").to_pylist()
    assert moved == [str(tmp_path / "m" / "a.wav"), f"file://{tmp_path}/m/b%FF.wav"]


def test_a_root_without_the_audio_is_refused(tmp_path):
    held = manifest.from_columns({"clip": ["1"], "path": ["/old/cremad/a.wav"]})
    with pytest.raises(UsageError, match=r"no end of /old/cremad/a\.wav is there"):
        manifest_paths.moved(held, str(tmp_path))


def test_clips_without_paths_are_unchanged_by_a_root(tmp_path):
    held = pa.table({"clip": ["x"], "emotion": ["angry"]})
    assert manifest_paths.moved(held, str(tmp_path)) is held
