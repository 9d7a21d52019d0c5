"""featurize's shards: sizes, changes, damage."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from featurizing import ALL, FEW
from running import again, rows, sertool, snapshot

from sertool import features
from sertool.featurize import shard_plan, shards
from sertool.featurize.extraction import Extraction
from sertool.manifests import manifest, manifest_io, provenance
from sertool.sound import encoding, shaping, synth
from sertool.system import files


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_number_of_jobs(voices, tmp_path, small_shards):
    for jobs in (1, 2, 3, 4):
        assert sertool("featurize", voices, *ALL, "-j", jobs, "-o", tmp_path / str(jobs)).code == 0
    for name in (word.removeprefix("--") for word in ALL):
        first, *others = (snapshot(tmp_path / str(jobs) / name) for jobs in (1, 2, 3, 4))
        assert len(first) == 5
        assert all(other == first for other in others), name


def test_features_do_not_depend_on_other_clips_in_the_batch(voices, tmp_path):
    clip = manifest.column(manifest_io.read(str(voices)), "clip")[7]
    assert sertool("featurize", voices, *ALL, "--where", "speaker=clips:s02m", "-o", tmp_path / "all").code == 0
    assert sertool("featurize", voices, *ALL, "--where", f"clip={clip}", "-o", tmp_path / "one").code == 0
    for flag in ALL:
        name = flag[2:].replace("-", "_")
        assert np.array_equal(rows(tmp_path / "one", name)[clip], rows(tmp_path / "all", name)[clip]), name


def test_features_do_not_depend_on_one_another(voices, tmp_path):
    few = ("featurize", voices, "--where", "speaker=clips:s01f")
    sertool(*few, *ALL, "-o", tmp_path / "all")
    for name in ("mel", "mfcc", "chroma", "pitch"):
        sertool(*few, f"--{name}", "-o", tmp_path / name)
        assert snapshot(tmp_path / name / name) == snapshot(tmp_path / "all" / name)


def test_random_cut_depends_only_on_the_clip_and_the_seed(voices, tmp_path):
    how = ("--wave", "--seconds", "0.5", "--fit", "random")
    clip = manifest.column(manifest_io.read(str(voices)), "clip")[5]
    sertool("featurize", voices, *how, "-o", tmp_path / "all")
    sertool("featurize", voices, *how, "--where", f"clip={clip}", "-o", tmp_path / "one")
    sertool("featurize", voices, *how, "--seed", "1", "-o", tmp_path / "seed")
    assert np.array_equal(rows(tmp_path / "one", "wave")[clip], rows(tmp_path / "all", "wave")[clip])
    assert not np.array_equal(rows(tmp_path / "seed", "wave")[clip], rows(tmp_path / "all", "wave")[clip])


@pytest.mark.parametrize(("change", "named"), [
    (["--mel-bands", "64"], "bands 128, now 64"), (["--hop", "256"], "hop 512, now 256"),
    (["--rate", "8000"], "rate 16000, now 8000"),
    (["--normalize", "min-max"], "normalize [], now ['min-max']"), (["--stats", "mean"], "stats [], now ['mean']"),
    (["--dtype", "float32"], "dtype float16, now float32"), (["--trim", "30"], "trim None, now 30.0"),
    (["--seconds", "9", "--fit", "random", "--seed", "3"], "seconds None, now 9.0"),
])  # fmt: skip
def test_changed_setting_is_refused_by_name_unless_overwrite_is_given(voices, tmp_path, change, named, small_shards):
    words = ("featurize", voices, "--mel", "--where", "speaker=clips:s01f")  # six clips, in two shards
    sertool(*words, "-o", tmp_path / "f")
    before = snapshot(tmp_path / "f")
    refused = sertool(*words, *change, "-o", tmp_path / "f")
    assert refused.code == 2
    assert named in refused.line
    assert snapshot(tmp_path / "f") == before
    assert sertool(*words, *change, "-o", tmp_path / "f", "--overwrite").code == 0
    sertool(*words, *change, "-o", tmp_path / "fresh")
    assert snapshot(tmp_path / "f" / "mel") == snapshot(tmp_path / "fresh" / "mel")
    held = provenance.of(manifest_io.read(str(tmp_path / "f" / "manifest.parquet")))["features"]["mel"]
    assert held == shards.head_of(tmp_path / "f" / "mel" / "00000.safetensors").settings


def test_refusal_names_what_older_shards_mean_by_a_setting_that_they_do_not_record():
    before, now = (Extraction.of_options(["whisper"], {"whisper_whole": seconds}) for seconds in (30.0, 5.0))
    for held, asked, named in ((before, now, "whole 30.0, now 5.0"), (now, before, "whole 5.0, now 30.0")):
        plan = SimpleNamespace(extraction=asked, folder=Path("f"))
        with pytest.raises(files.SertoolError, match=re.escape(f"other settings ({named})")):
            shard_plan._refuse_settings(plan, "whisper", held.record("whisper"))


def test_killed_overwrite_is_refused_until_it_is_repeated(voices, tmp_path, small_shards):
    sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    sertool("featurize", voices, "--mel", "--mel-fmin", "50", "-o", tmp_path / "new")
    shutil.copy(tmp_path / "new" / "mel" / "00002.safetensors", tmp_path / "f" / "mel")
    settings = provenance.of(manifest_io.read(str(tmp_path / "f" / "manifest.parquet")))["features"]["mel"]
    with pytest.raises(files.SertoolError, match="other settings"):
        shards.Reader("mel", settings).rows("x", str(tmp_path / "f" / "mel" / "00002.safetensors"), 0, 1)
    assert sertool("featurize", voices, "--mel", "-o", tmp_path / "f").code == 2
    assert sertool("featurize", voices, "--mel", "--mel-fmin", "50", "-o", tmp_path / "f", "--overwrite").code == 0
    assert snapshot(tmp_path / "f" / "mel") == snapshot(tmp_path / "new" / "mel")


def test_different_clips_in_the_same_output_folder_are_refused(voices, tmp_path):
    sertool("featurize", voices, "--rms", "-o", tmp_path / "f")
    before = snapshot(tmp_path / "f")
    done = sertool(
        "featurize", voices, "--rms", "--where", "emotion=angry", "--where", "speaker~s01", "-o", tmp_path / "f"
    )
    assert done.code == 2
    assert "24 clips, of which 21 are not in this manifest" in done.line
    assert snapshot(tmp_path / "f") == before


def test_manifest_of_mostly_other_clips_is_replaced_only_with_overwrite(voices, tmp_path):
    sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    before, held = snapshot(tmp_path / "f"), tmp_path / "f" / "manifest.parquet"
    few = ("featurize", held, "--rms", "--where", "speaker=clips:s01f", "-o", tmp_path / "f")
    for words in (few, (*few, "--dry-run")):
        refused = sertool(*words)
        assert refused.code == 2
        assert f"{held} holds 24 clips, of which 18 are not in this manifest: choose another folder" in refused.line
        assert snapshot(tmp_path / "f") == before
    assert sertool(*few, "--overwrite").code == 0
    assert len(manifest_io.read(str(held))) == 6


def test_clips_lost_from_a_manifest_are_reported_once(voices, tmp_path, small_shards):
    """And that of a part only if no part has them."""
    words = ("featurize", voices, "--rms", "--where", "speaker!=clips:s01f", "-o", tmp_path / "f")
    sertool("featurize", voices, "--rms", "-o", tmp_path / "f")
    first, again = sertool(*words), sertool(*words)
    assert f"{tmp_path}/f/manifest.parquet loses 6 of its 24 clips, such as clips/s01f/" in first.err
    assert " loses " not in again.err
    sertool("featurize", voices, "--rms", "--part", "1/2", "--where", "speaker!=clips:s01f", "-o", tmp_path / "g")
    assert " loses " not in sertool("featurize", voices, "--rms", "--part", "1/2", "-o", tmp_path / "g").err


@pytest.mark.parametrize(("change", "remade", "check"), [
    ("edit", 5, "full"), ("remove", 4, "full"), ("add", 5, "full"), ("none", 0, "full"), ("edit", 5, "header"),
    ("none", 0, "header"),
])  # fmt: skip
def test_only_shards_with_changed_clips_are_recomputed(copied, tmp_path, small_shards, change, remade, check):
    again(copied, "--check", check)
    sertool("featurize", copied, *FEW, "-o", tmp_path / "f")
    last = sorted((copied.parent / "clips").rglob("*.wav"))[-1]
    if change == "edit":
        encoding.write(sorted((copied.parent / "clips").rglob("*.wav"))[2], synth.voice(7, "sad", 9), 16000)
    elif change == "remove":
        last.unlink()
        remade -= 1
    elif change == "add":
        encoding.write(last.with_name("neutral_9_0.wav"), synth.voice(7, "sad", 8), 16000)
    again(copied, "--check", check)
    done = sertool("featurize", copied, *FEW, "-o", tmp_path / "f")
    assert f"({remade} made now)" in done.err
    sertool("featurize", copied, *FEW, "-o", tmp_path / "fresh")
    for name in ("mel", "rms"):
        assert snapshot(tmp_path / "f" / name) == snapshot(tmp_path / "fresh" / name)


@pytest.mark.parametrize("damage", ["missing", "cut", "altered", "header", "empty", "folder"])
def test_damaged_shard_is_recomputed(voices, tmp_path, small_shards, damage):
    words = ("featurize", voices, *FEW, "--where", "emotion=angry", "-o", tmp_path / "f")  # twelve clips, three shards
    sertool(*words)
    sound = snapshot(tmp_path / "f")
    path = tmp_path / "f" / "mel" / "00002.safetensors"
    spoil(path, damage)
    done = sertool(*words)
    assert done.code == 0
    assert "(2 made now)" in done.line
    assert snapshot(tmp_path / "f") == sound


def spoil(path: Path, damage: str) -> None:
    held = bytearray(path.read_bytes())
    if damage == "altered":
        held[-100] ^= 4
    elif damage == "header":
        held[200] ^= 1
    path.unlink()
    if damage != "missing":
        path.write_bytes({"cut": held[:-50], "empty": b"", "folder": b"x"}.get(damage, held))


@pytest.mark.parametrize(("name", "settings", "most"), [
    ("mel", {}, 1024), ("mel", {"n_fft": 512, "hop": 160}, 1024), ("mel", {"hop": 16}, 285), ("wave", {}, 1024),
    ("msf", {}, 1024), ("msf", {"hop_seconds": 0.001}, 154),
])  # fmt: skip
def test_shards_hold_at_most_1024_clips_and_256_mb(tmp_path, name, settings, most):
    clips = {"clip": list(map(str, range(2000))), "path": ["x"] * 2000, "duration": [3.5] * 2000}
    extraction = Extraction(shaping.Wave(), {name: features.settings(name, settings)})
    plan = shard_plan.ShardPlan(manifest.from_columns(clips), extraction, tmp_path)
    assert {len(task) for task in plan.tasks[:-1]} == {most}
    width = len(features.load(name).Feature(extraction.features[name], 16_000).columns)
    hop = settings.get("hop_seconds", settings.get("hop", 512) / 16_000)
    assert name == "wave" or most * 3.5 * width / hop * np.dtype(extraction.stored(name)).itemsize <= 256e6


def test_surplus_shards_are_removed_when_clips_become_fewer(voices, tmp_path, small_shards):
    sertool("featurize", voices, "--rms", "-o", tmp_path / "f")
    sertool("featurize", voices, "--rms", "--where", "speaker!=clips:s04m", "-o", tmp_path / "f")
    sertool("featurize", voices, "--rms", "--where", "speaker!=clips:s04m", "-o", tmp_path / "fresh")
    assert snapshot(tmp_path / "f" / "rms") == snapshot(tmp_path / "fresh" / "rms")


def test_unrelated_files_beside_shards_are_left_untouched(voices, tmp_path):
    (tmp_path / "f" / "rms").mkdir(parents=True)
    others = [tmp_path / "f" / "rms" / name for name in ("base.safetensors", "7.safetensors", "00000.part")]
    for path in others:
        path.write_bytes(b"weights")
    for _ in range(2):
        assert sertool("featurize", voices, "--rms", "-o", tmp_path / "f").code == 0
        assert {path.read_bytes() for path in others} == {b"weights"}
