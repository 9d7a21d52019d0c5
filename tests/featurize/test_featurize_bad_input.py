"""featurize with clips, disks and devices that fail."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from featurizing import DRIVER, FEW
from running import again, ages, changed, column, rows, sertool, snapshot

from sertool import features
from sertool.featurize import decoding, extract, shard_plan
from sertool.featurize.engine import Engine, TooLarge
from sertool.featurize.extraction import Extraction
from sertool.manifests import manifest, manifest_io
from sertool.numeric import dsp
from sertool.sound import audio, encoding, shaping
from sertool.system import files


def test_a_clip_that_cannot_be_decoded_becomes_an_issue_row(spoilt, tmp_path, small_shards):
    done = sertool("featurize", spoilt, *FEW, "-o", tmp_path / "f")
    table = manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))
    assert done.code == 0
    assert manifest.column(table, "issue")[:4] == ["vanished", "truncated", "unreadable", None]
    assert manifest.column(table, "mel_shard")[:3] == [None] * 3
    assert manifest.column(table, "mel_offset")[3] == 0
    assert len(table) == 24
    for word in ("vanished", "truncated", "unreadable", "mel, rms of 21 clips", "(21 made now); 3 set aside"):
        assert word in done.err


def test_strict_fails_when_a_clip_is_set_aside(spoilt, voices, tmp_path):
    assert sertool("featurize", spoilt, "--rms", "-o", tmp_path / "f", "--strict").code == 1
    assert len(manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))) == 24
    assert sertool("featurize", voices, "--rms", "-o", tmp_path / "g", "--strict").code == 0


def test_verbose_output_explains_why_a_clip_is_set_aside(spoilt, tmp_path):
    done = sertool("featurize", spoilt, "--rms", "-o", tmp_path / "f", "-v")
    assert "neutral_0_0.wav: unreadable: " in done.err or "angry_2_0.wav: unreadable: " in done.err


def test_restored_clips_are_computed_on_the_next_run(spoilt, voices, tmp_path, small_shards):
    sertool("featurize", spoilt, *FEW, "-o", tmp_path / "f")
    assert "(0 made now)" in sertool("featurize", spoilt, *FEW, "-o", tmp_path / "f").err
    shutil.copytree(voices.parent / "clips", spoilt.parent / "clips", dirs_exist_ok=True)
    done = sertool("featurize", spoilt, *FEW, "-o", tmp_path / "f")
    assert "(5 made now)" in done.line
    sertool("featurize", voices, *FEW, "-o", tmp_path / "fresh")
    assert snapshot(tmp_path / "f" / "mel") == snapshot(tmp_path / "fresh" / "mel")
    assert manifest.usable(manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))).all()


def made_louder(copied: Path, factor: float, row: int = 1) -> str:
    """The name of a clip that was made so much louder, in a file of floats."""
    clip = shard_plan.clips_of(manifest_io.read(str(copied)))[row]
    wave = np.float32(factor) * audio.decode(clip.path, audio.Cut())[0]
    soundfile.write(clip.path, wave, 16_000, format="WAV", subtype="FLOAT")
    again(copied)
    return clip.name


@pytest.mark.parametrize(("words", "jobs"), [
    (("--rms",), 1), (("--mel",), 2), (("--msf", "--zcr"), 1), (("--mel", "--stats", "mean,std"), 1),
    (("--mel", "--stats", "mean,std"), 2),
])  # fmt: skip
@pytest.mark.usefixtures("small_shards")
def test_clip_with_non_finite_features_is_set_aside(copied, tmp_path, jobs, words, recwarn):
    name = made_louder(copied, 1e30)
    done = sertool("featurize", copied, *words, "-j", jobs, "-o", tmp_path / "f")
    assert done.code == 0, done.err
    table = manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))
    issues = dict(zip(manifest.column(table, "clip"), manifest.column(table, "issue"), strict=True))
    assert {clip: issue for clip, issue in issues.items() if issue} == {name: "not-finite"}
    feature = words[0].strip("-")
    held = rows(tmp_path / "f", feature)
    assert len(held) == 23
    assert all(np.isfinite(values).all() for values in held.values())
    assert [str(one.message) for one in recwarn if one.category is not DeprecationWarning] == []  # which nobody sees
    before = ages(tmp_path / "f")
    assert "(0 made now)" in sertool("featurize", copied, *words, "-o", tmp_path / "f").err
    assert ages(tmp_path / "f").items() >= before.items()


def test_non_finite_clip_does_not_affect_others_in_its_batch(copied):
    extraction = Extraction(shaping.Wave(), {name: features.settings(name, {}) for name in ("mel", "rms")})
    alone, together = Engine(extraction), Engine(extraction)
    together.batches_on_device = True
    name, clips = made_louder(copied, 1e30), shard_plan.clips_of(manifest_io.read(str(copied)))
    for clip, one, other in zip(clips, *(extract.rows_of(each, clips, 2) for each in (alone, together)), strict=True):
        assert one.issue == other.issue == ("not-finite" if clip.name == name else None)
        for feature, values in one.values.items():
            assert np.allclose(values, other.values[feature], rtol=1e-3, atol=0.06)


@pytest.mark.parametrize("gathers", [False, True])
def test_clip_whose_values_overflow_the_dtype_is_named(copied, gathers):
    settings = {"mel": features.settings("mel", {"scale": "power"})}
    engine = Engine(Extraction(shaping.Wave(), settings, dtype="float16"))
    engine.batches_on_device = gathers
    name = made_louder(copied, 1e4, row=5)
    with pytest.raises(TooLarge, match=f"^{name}: mel has values that float16 cannot hold: use --dtype"):
        list(extract.rows_of(engine, shard_plan.clips_of(manifest_io.read(str(copied))), 2))


def test_file_changed_since_indexing_is_set_aside(copied, tmp_path):
    """Else a row could have one feature of the old sound and another of the new."""
    sertool("index", copied.parent, "-o", tmp_path / "clips.parquet")
    sertool("featurize", tmp_path / "clips.parquet", "--rms", "-o", tmp_path / "f")
    path = sorted(copied.parent.rglob("*.wav"))[0]
    encoding.write(path, np.random.default_rng(0).normal(0, 0.1, 40_000), 16_000)
    again = sertool("featurize", tmp_path / "f" / "manifest.parquet", "--rms", "--zcr", "-o", tmp_path / "f")
    table = manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))
    assert manifest.column(table, "issue").count("changed") == 1
    assert "the file is another than was indexed: index again, with --update" in again.err
    fresh = sertool("index", copied.parent, "--update", tmp_path / "f" / "manifest.parquet")
    made = sertool("featurize", "-", "--rms", "--zcr", "-o", tmp_path / "f", stdin=fresh.out)
    assert (made.code, "set aside" in made.err) == (0, False), made.err


def test_same_size_content_change_is_detected_and_new_timestamp_is_ignored(copied, tmp_path):
    """Sound that was made softer is exported over it; and a corpus is copied without its files' ages."""
    words = ("featurize", copied, "--rms", "--stats", "mean", "-o", tmp_path / "f")
    sertool(*words)
    path = sorted((copied.parent / "clips").rglob("*.wav"))[0]
    os.utime(path, ns=(0, 0))
    assert "(0 made now)" in sertool(*words).line
    encoding.write(path, 0.1 * audio.decode(str(path), audio.Cut())[0], 16_000)
    again = sertool(*words).err
    assert "(0 made now)" in again
    assert "1 clip changed since what was indexed had its features made, such as clips/s01f/angry_0_0" in again
    assert "1 changed" in sertool(*words[:-1], tmp_path / "anew").err


@pytest.mark.parametrize("share", [0, 1])
def test_copies_are_not_recomputed_when_only_clip_timestamps_change(copied, tmp_path, share):
    words = ("augment", copied, "--gain", 3, "--share", share, "-o", tmp_path / "a.parquet")
    features = ("featurize", tmp_path / "a.parquet", "--rms", "-o", tmp_path / "f")
    assert (sertool(*words).code, sertool(*features).code) == (0, 0)
    for path in (copied.parent / "clips").rglob("*.wav"):
        os.utime(path, ns=(0, 0))
    assert "(0 made now)" in sertool(*features).line


def test_segment_without_a_path_is_set_aside_as_vanished(voices, tmp_path):
    paths = [None, *column(voices, "path")[1:]]
    source = changed(voices, tmp_path / "a.parquet", path=paths, start=[0.1, *[None] * len(paths[1:])])
    done = sertool("featurize", source, "--rms", "-o", tmp_path / "f")
    assert done.code == 0, done.err
    assert column(tmp_path / "f" / "manifest.parquet", "issue")[:2] == ["vanished", None]


def test_vanished_clips_are_recorded_as_issues_and_fail_if_none_remains(copied, tmp_path):
    shutil.rmtree(copied.parent / "clips")
    done = sertool("featurize", copied, "--mel", "-o", tmp_path / "f")
    assert (done.code, done.out) == (1, b"")
    assert set(manifest.column(manifest_io.read(str(tmp_path / "f" / "manifest.parquet")), "issue")) == {"vanished"}
    again = sertool("featurize", tmp_path / "f" / "manifest.parquet", "--rms", "-o", tmp_path / "g")
    assert (again.code, "no usable clip among 24 rows (24 vanished): " in again.line, "--root" in again.line) == (
        1, True, True,
    )  # fmt: skip


def test_a_clip_that_ends_before_the_offset_is_set_aside(voices, tmp_path):
    lengths = manifest.column(manifest_io.read(str(voices)), "duration")
    offset = sorted(lengths)[10]
    done = sertool("featurize", voices, "--rms", "--offset", offset, "--seconds", "1", "-o", tmp_path / "f")
    table = manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))
    assert done.code == 0
    assert [issue == "too-short" for issue in manifest.column(table, "issue")] == [
        length <= offset for length in lengths
    ]
    assert "under 50 ms, or over before --offset" in done.err


def test_full_disk_is_one_clear_error_and_completed_shards_stay(voices, tmp_path, small_shards, monkeypatch):
    sertool("featurize", voices, "--mel", "-o", tmp_path / "fresh")
    written, fsync = [], os.fsync

    def full_after_two(handle: int) -> None:
        written.append(handle)
        if len(written) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full_after_two)
    done = sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    assert done.code == 1
    assert "is full: make room and run the same command again" in done.line
    left = snapshot(tmp_path / "f" / "mel")
    assert len(left) == 2
    assert left.items() <= snapshot(tmp_path / "fresh" / "mel").items()
    monkeypatch.setattr(os, "fsync", fsync)
    assert "(14 made now)" in sertool("featurize", voices, "--mel", "-o", tmp_path / "f").line
    assert snapshot(tmp_path / "f" / "mel") == snapshot(tmp_path / "fresh" / "mel")


def test_file_in_place_of_an_output_folder_is_one_clear_error(voices, tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "rms").write_text("a file where a folder should be")
    done = sertool("featurize", voices, "--rms", "-o", tmp_path / "f")
    assert done.code == 1
    assert "cannot write" in done.line


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits on the size of files are POSIX's")
def test_file_size_limit_is_one_clear_error(voices, tmp_path):
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));{DRIVER}"
    words = [sys.executable, "-c", limited, "featurize", voices, "--mel", "-o", tmp_path / "f"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert list(snapshot(tmp_path / "f")) == [".lock"]


def test_batch_is_halved_when_the_device_runs_out_of_memory(voices, monkeypatch):
    extraction = Extraction(shaping.Wave(channels="stereo"), {"mel": features.settings("mel", {})})
    engine = Engine(extraction)
    clips = shard_plan.clips_of(manifest_io.read(str(voices)))[:7]
    waves = [decoding.decoded(clip, engine.extraction.wave) for clip in clips]
    sizes, compute = [], dsp.compute_packed

    def scant(made, channels):
        sizes.append(len(channels))
        if len(channels) > 4:
            raise torch.OutOfMemoryError("no memory")
        return compute(made, channels)

    monkeypatch.setattr(dsp, "compute_packed", scant)
    halved = engine.packed(waves)
    assert sizes == [14, 6, 2, 4, 8, 4, 4]
    for wave, held in zip(waves, halved, strict=True):
        assert np.allclose(held["mel"], engine.alone(wave)["mel"], atol=0.06)
    monkeypatch.setattr(dsp, "compute_packed", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("none")))
    with pytest.raises(files.SertoolError, match="--device cpu"):
        engine.packed(waves)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_missing_gpu_is_reported_in_one_line(voices, tmp_path):
    done = sertool("featurize", voices, "--mel", "--device", "cuda", "-o", tmp_path / "f")
    assert done.code == 2
    assert "choose auto, cpu" in done.line


@pytest.mark.parametrize(
    ("torch_version", "audio_version"),
    [("2.15.0+cu130", "2.11.0"), ("2.10.1", "2.11.0"), ("2.14.1", "2.9.0"), ("2.14.1", None)],
)
def test_incompatible_torchaudio_is_reported_in_one_line(voices, tmp_path, monkeypatch, torch_version, audio_version):
    monkeypatch.setattr(torch, "__version__", torch_version)
    monkeypatch.setattr("sertool.system.device.version_of", lambda _: audio_version)
    done = sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    assert done.code == 1
    assert torch_version in done.line
    assert "pip install" in done.line


def test_missing_torch_is_reported_in_one_line(voices, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    done = sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    assert done.code == 1
    assert "torch cannot be loaded" in done.line


@pytest.mark.parametrize(
    "error", ["ImportError('libtorch.so: undefined symbol: x')", "OSError('libcudart.so.13: gone')"]
)
@pytest.mark.parametrize("command", [("featurize", "--mel"), ("predict",)])
def test_broken_torch_installation_is_reported_in_one_line(voices, tmp_path, error, command):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(f"raise {error}")
    done = subprocess.run(
        [sys.executable, "-m", "sertool", *command, voices], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert 'install it again; torch with pip install "torch' in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("held", "said"), [
    (b"", "empty input"), (b"PAR1" + bytes(50), "parquet"), (b"a,b\n1,2\n", ""), (b'{"path": 3', "jsonl"),
    (bytes(range(256)) * 9, "neither a manifest"), (b"path\n", "nothing to do"),
    (b"no/such/file.wav\n", "no such file"),
])  # fmt: skip
def test_input_that_is_not_a_manifest_is_refused_in_one_line(tmp_path, held, said):
    done = sertool("featurize", "-", "--rms", "-o", tmp_path / "f", stdin=held)
    assert done.code in (1, 2)
    assert said in done.line
    assert not (tmp_path / "f").exists()


def test_manifest_truncated_at_any_point_is_refused(voices, tmp_path):
    whole = voices.read_bytes()
    for length in range(4, len(whole), len(whole) // 20):
        done = sertool("featurize", "-", "--rms", "-o", tmp_path / "f", stdin=whole[:length])
        assert done.code == 1
        assert "parquet" in done.line
