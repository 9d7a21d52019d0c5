"""featurize --given: a file of features may tell of more clips than a manifest has."""

import csv

import numpy as np
import pytest
from running import rows, sertool

from sertool.manifests import manifest, manifest_io

NAMINGS = {
    "clip": lambda clip, _: clip,
    "path": lambda _, path: path,
    "file": lambda _, path: f"/elsewhere/{'/'.join(path.split('/')[-2:])}",
}


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("chosen", ["speaker~s01f", "speaker~s01f|s02m"])
def test_no_clip_gets_the_row_of_another_speakers_clip_that_is_called_alike(voices, tmp_path, naming, chosen):
    held = manifest_io.read(str(voices))
    clips, paths = manifest.column(held, "clip"), manifest.column(held, "path")
    lacking = next(place for place, clip in enumerate(clips) if "s01f" in clip)
    with (tmp_path / "x.csv").open("w", newline="") as stream:
        named = [NAMINGS[naming](clip, path) for clip, path in zip(clips, paths, strict=True)]
        lines = [[name, number] for number, name in enumerate(named) if number != lacking]
        csv.writer(stream).writerows([[naming, "f0"], *lines])
    done = sertool("featurize", voices, "--where", chosen, "--given", tmp_path / "x.csv", "-o", tmp_path)
    assert done.code == 0, done.err
    speakers = chosen.partition("~")[2].split("|")
    expected = {
        clip: number
        for number, clip in enumerate(clips)
        if number != lacking and any(speaker in clip for speaker in speakers)
    }
    assert {clip: int(np.squeeze(own)) for clip, own in rows(tmp_path, "given").items()} == expected
    assert "1 not-given" in done.err
    assert "names of no clip here left out" in done.err


def test_names_in_no_folder_of_the_clips_are_taken_by_their_file_names_with_a_warning(voices, tmp_path):
    held = manifest_io.read(str(voices))
    names = [f"wavs/{path.rpartition('/')[2]}" for path in manifest.column(held, "path") if "s01f" in path]
    lines = [f"{name},{number}" for number, name in enumerate(names)]
    (tmp_path / "x.csv").write_text("\n".join(["path,f0", *lines]))
    done = sertool("featurize", voices, "--where", "speaker~s01f", "--given", tmp_path / "x.csv", "-o", tmp_path)
    assert done.code == 0, done.err
    assert len(rows(tmp_path, "given")) == len(names)
    assert f"{len(names)} names taken for files called alike in other folders: {names[0]} for " in done.err
