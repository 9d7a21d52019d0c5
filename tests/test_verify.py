"""`--verify` tells shards that hold what the definitions say from shards that do not."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from running import sertool

from sertool import catalogue
from sertool.featurize import shards
from sertool.manifests import manifest_io
from sertool.sound import encoding, shaping, synth

ALL = [f"--{name.replace('_', '-')}" for name, held in catalogue.entries("features").items()
       if not {"CHOICE", "FROM_FILE"} & held.facts.keys()]  # fmt: skip
CORPORA = Path(__file__).resolve().parents[2] / "shared" / "corpora"


def test_verify_accepts_correct_shards_and_saves_its_result(voices, tmp_path):
    done = sertool("featurize", voices, "--mel", "--rms", "--zcr", "--verify", 3, "-o", tmp_path / "f")
    assert done.code == 0
    held = json.loads((tmp_path / "f" / "verify.json").read_text())
    assert [(one["feature"], one["clips"], one["agrees"]) for one in held] == [
        ("mel", 3, True),
        ("rms", 3, True),
        ("zcr", 3, True),
    ]
    assert done.err.count("agrees on 3 clips") == 3


def test_each_part_saves_its_own_verification_result(voices, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "CLIPS", 5)
    for part in ("1/2", "2/2"):
        sertool("featurize", voices, "--rms", "--verify", 2, "--part", part, "-o", tmp_path)
    assert {path.name for path in tmp_path.glob("*.json")} == {"verify-1-of-2.json", "verify-2-of-2.json"}


def test_verify_detects_a_wrong_value(voices, tmp_path):
    sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    path = tmp_path / "f" / "mel" / "00000.safetensors"
    head, held = shards.read(path, "mel")
    wrong = held.copy()
    wrong[:, 60] += 0.5
    shards.write(head, "mel", [wrong])
    done = sertool("featurize", voices, "--mel", "--verify", 2, "-o", tmp_path / "f")
    assert done.code == 1
    assert "DIFFERS" in done.err
    (worst,) = {clip for clip in head.clips if f"in {clip}\n" in done.err}
    assert json.loads((tmp_path / "f" / "verify.json").read_text())[0]["worst_clip"] == worst
    assert not json.loads((tmp_path / "f" / "verify.json").read_text())[0]["agrees"]


def test_verify_detects_lost_small_energies(voices, tmp_path):
    words = ("featurize", voices, "--msf", "--stats", "mean", "--verify", 2, "-o", tmp_path / "f")
    assert sertool(*words).code == 0
    path = tmp_path / "f" / "msf" / "00000.safetensors"
    head, held = shards.read(path, "msf")
    shards.write(head, "msf", [np.where(held < 1e-7, 0, held)])
    assert (held < 1e-7).any()
    assert sertool(*words).code == 1


@pytest.mark.parametrize("stat", list(shaping.STATS))
def test_verify_detects_a_wrong_statistic(voices, tmp_path, monkeypatch, stat):
    right = shaping.STATS[stat]
    monkeypatch.setitem(shaping.STATS, stat, lambda series: 2 * right(series))
    done = sertool("featurize", voices, "--rms", "--stats", stat, "--verify", 4, "-j", 1, "-o", tmp_path / "f")
    assert (done.code, "rms: DIFFERS" in done.err) == (1, True), done.err


@pytest.mark.parametrize("stats", ["median", "mean,kurtosis,skew", "std,slope,iqr"])
def test_verify_judges_near_zero_statistics_by_the_tolerance_of_their_frames(voices, tmp_path, stats):
    words = (voices, "--mfcc", "--mel", "--contrast", "--stats", stats, "-o", tmp_path / "f")
    assert (done := sertool("featurize", *words, "--verify", 3)).code == 0, done.err
    path = tmp_path / "f" / "mfcc" / "00000.safetensors"
    head, held = shards.read(path, "mfcc")
    wrong = held.copy()
    wrong[:, 3] += 0.05 * np.abs(wrong).max()
    shards.write(head, "mfcc", [wrong])
    again = sertool("featurize", *words, "--verify", 3)
    assert (again.code, "mfcc: DIFFERS" in again.err, "mel: agrees" in again.err) == (1, True, True), again.err


def test_verify_accepts_statistics_of_two_frames(tmp_path):
    encoding.write(tmp_path / "angry" / "a.wav", synth.voice(0, "angry", 0)[2000:3000], 16_000)
    stats = ("--stats", ",".join(shaping.STATS))
    done = sertool("featurize", tmp_path / "angry", "--mel", "--mfcc", *stats, "--verify", 1, "-o", tmp_path / "f")
    assert done.code == 0, done.err


def test_verify_accepts_near_zero_deltas_of_three_frames(tmp_path):
    encoding.write(tmp_path / "angry" / "a.wav", synth.voice(0, "angry", 0)[2000:3200], 16_000)
    done = sertool("featurize", tmp_path / "angry", "--mfcc", "--mfcc-deltas", 2, "--verify", 1, "-o", tmp_path / "f")
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    "shape", [(), pytest.param(("--channels", "stereo", "--normalize", "z-score-columns"), marks=pytest.mark.slow)]
)
def test_f0_statistics_use_only_voiced_frames(voices, tmp_path, shape):
    done = sertool("featurize", voices, "--pitch", *shape, "-o", tmp_path / "frames")
    reader, stats = shards.Reader("pitch"), shards.Reader("pitch")
    stats_asked = ("--stats", "mean,min,slope", "--verify", 3)
    kept = sertool("featurize", voices, "--pitch", *shape, *stats_asked, "-o", tmp_path / "s")
    assert (done.code, kept.code) == (0, 0), kept.err
    frames, held = (manifest_io.read(str(tmp_path / name / "manifest.parquet")).to_pylist() for name in ("frames", "s"))
    for one, other in zip(frames, held, strict=True):
        places = [
            [row["clip"], *(row[f"pitch_{part}"] for part in ("shard", "offset", "rows"))] for row in (one, other)
        ]
        rows, summed = reader.rows(*places[0]), stats.rows(*places[1])[0]
        voiced = rows[:, 1] > rows[:, 1].min()
        assert 0 < voiced.sum() < len(rows)
        slope = np.polyfit(np.flatnonzero(voiced), rows[voiced, 0], 1)[0]  # frames keep their places in time
        wanted = [rows[voiced, 0].mean(), rows[:, 1].mean(), rows[voiced, 0].min(), slope]
        width = rows.shape[1]
        np.testing.assert_allclose(summed[[0, 1, width, 2 * width]], wanted, rtol=1e-3, atol=1e-3)


def test_having_nothing_to_verify_is_reported_without_failure(voices, tmp_path):
    part = sertool("featurize", voices, "--rms", "--part", "1/2", "--verify", 2, "-o", tmp_path / "f")
    nothing = "nothing to verify: no clip here has features that can be judged"
    assert (part.code, part.err.count(nothing)) == (0, 1), part.err


def test_verify_does_not_judge_clips_dominated_by_rounding(make, tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    made = {"constant": np.full(16_000, 0.5), "cancels": np.stack([noise, np.float32(1e-6) - noise], 1), "sound": noise,
            "nothing": np.zeros(16_000)}  # fmt: skip
    for name, wave in made.items():
        soundfile.write(make() / f"{name}.wav", wave, 16_000, subtype="FLOAT")
    held = sertool("index", tmp_path, "--check", "header")
    words = ("--bandwidth", "--contrast", "--msf", "--verify", 9)
    done = sertool("featurize", *words, "-o", tmp_path / "f", stdin=held.out)
    assert done.code == 0, done.err
    assert "2 clips not judged: silent but for rounding" in done.err
    assert done.err.count("agrees on 2 clips") == 3
    flat = sertool("featurize", "--where", "path~constant", *words, "-o", tmp_path / "g", stdin=held.out)
    assert (flat.code, flat.err.count("nothing to verify")) == (0, 1)


def test_missing_and_damaged_clips_are_named_and_the_others_verified(copied, tmp_path):
    line = ("featurize", copied, "--rms", "-o", tmp_path / "f")
    assert sertool(*line).code == 0
    gone, emptied, cut = sorted((copied.parent / "clips").rglob("*.wav"))[:3]
    gone.unlink()
    emptied.write_bytes(b"")
    wave, rate = soundfile.read(cut)
    soundfile.write(cut, wave[: len(wave) // 2], rate)
    manifest = tmp_path / "f" / "manifest.parquet"
    done = sertool("featurize", manifest, *line[2:], "--verify", 99)
    assert done.code == 0, done.err
    told = {gone: "vanished (no such file)", emptied: "empty (no bytes)", cut: "truncated ("}
    assert all(f"{path} is {why}" in done.err for path, why in told.items()), done.err
    assert "3 clips not verified" in done.err
    assert "agrees on 21 clips" in done.err
    nothing = sertool("featurize", manifest, "--rms", "--where", f"path~{gone.stem}", "--where",
                      f"path~{gone.parent.name}", "--plot", tmp_path / "p.png")  # fmt: skip
    assert f"cannot draw clips/{gone.parent.name}/{gone.stem}: {gone} is vanished" in nothing.line


def test_verify_reads_each_shard_once(voices, tmp_path, monkeypatch):
    sertool("featurize", voices, "--rms", "--zcr", "-o", tmp_path / "f")
    opened, read = [], shards.read
    monkeypatch.setattr(shards, "read", lambda path, name: opened.append(name) or read(path, name))
    sertool("featurize", voices, "--rms", "--zcr", "-o", tmp_path / "f")
    before = opened.copy()
    opened.clear()
    assert sertool("featurize", voices, "--rms", "--zcr", "--verify", 9, "-o", tmp_path / "f").code == 0
    assert sorted(opened) == sorted([*before, "rms", "zcr"])


@pytest.mark.slow
@pytest.mark.corpora
@pytest.mark.skipif(not CORPORA.is_dir(), reason="the real corpora are not here")
@pytest.mark.parametrize("corpus", ["cremad", "ravdess", "tess", "emodb"])
def test_all_features_of_real_clips_match_their_definitions(tmp_path, corpus):
    audio = sorted(path for path in (CORPORA / corpus).rglob("*") if path.suffix in (".ogg", ".flac", ".wav"))
    for path in audio[:: len(audio) // 12][:12]:
        (tmp_path / "angry").mkdir(exist_ok=True)
        (tmp_path / "angry" / path.name).symlink_to(path)
    done = sertool("featurize", tmp_path / "angry", *ALL, "--verify", 12, "-o", tmp_path / "f")
    assert done.code == 0, done.err
    assert done.err.count("agrees on 12 clips") == len(ALL)
