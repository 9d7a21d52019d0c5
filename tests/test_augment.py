"""`sertool augment`: copies whose numbers clip, copy and seed decide, and which go only where their parents go."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from running import Outcome, ages, rows, sertool, snapshot

from sertool import catalogue, effects, features
from sertool.augment import effect_chains, rendering
from sertool.errors import SertoolError
from sertool.featurize import decoding, extract, shard_plan, shards
from sertool.featurize.decoding import Clip
from sertool.featurize.engine import Engine
from sertool.featurize.extraction import Extraction
from sertool.manifests import manifest, manifest_io
from sertool.sound import audio, encoding, shaping, sounds

CHAIN = ("--pitch", "-2:2", "--noise", "10:30", "--gain", "-6:6")


def augmented(source: object, *words: object) -> dict[str, dict]:
    """The rows that augment gives, by clip."""
    done = sertool("augment", source, *words, "-f", "jsonl", "-q")
    assert done.code == 0, done.err
    return {row["clip"]: row for row in map(json.loads, done.out.splitlines())}


def copies(held: dict[str, dict]) -> dict[str, dict]:
    return {clip: row for clip, row in held.items() if row.get("parent")}


def chains(held: dict[str, dict]) -> dict[str, str]:
    return {clip: row["augmentation"] for clip, row in copies(held).items()}


def save(rows_: list[dict], path: Path) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows_) + "\n")
    return path


def refused(*words: object, says: str) -> Outcome:
    done = sertool("augment", *words)
    assert (done.code, done.out) == (2, b"")
    assert says in done.line
    return done


# The rows


def test_copies_follow_their_parents_and_record_the_drawn_effects(voices):
    held = augmented(voices, "--copies", 2, *CHAIN, "--seed", 7)
    parents = manifest_io.read(str(voices))
    names = manifest.column(parents, "clip")
    assert list(held) == names + [f"{name}#{k}" for k in (1, 2) for name in names]
    for clip, row in copies(held).items():
        parent = held[row["parent"]]
        assert clip.startswith(f"{row['parent']}#")
        assert row["seed"] == 7
        assert row.get("digest") is None
        assert parent["digest"]
        assert [one["effect"] for one in json.loads(row["augmentation"])["effects"]] == ["pitch", "noise", "gain"]
        same = parent.keys() - {"clip", "digest"}
        assert {name: row[name] for name in same} == {name: parent[name] for name in same}


def test_drawn_numbers_depend_only_on_clip_copy_number_and_seed(voices, tmp_path):
    base = augmented(voices, "--copies", 2, *CHAIN)
    names = [row for row in base.values() if not row.get("parent")]
    backwards = save(names[::-1], tmp_path / "back.jsonl")
    few = save(names[3:5], tmp_path / "few.jsonl")
    assert chains(augmented(backwards, "--copies", 2, *CHAIN)) == chains(base)
    assert chains(augmented(few, "--copies", 2, *CHAIN)).items() <= chains(base).items()
    assert chains(base).items() <= chains(augmented(voices, "--copies", 3, *CHAIN)).items()
    assert chains(augmented(voices, "--copies", 2, *CHAIN, "--seed", 1)) != chains(base)
    assert len(set(chains(base).values())) == len(chains(base))


def test_adding_an_effect_does_not_change_draws_of_other_effects(voices):
    def noise(*words):
        return [
            one for text in chains(augmented(voices, *words)).values() for one in json.loads(text)["effects"]
            if one["effect"] == "noise"
        ]  # fmt: skip

    assert noise("--noise", "5:25") == noise("--noise", "5:25", "--pitch", "-1:1", "--polarity", "--crop", "0.9")


def test_held_out_unusable_and_copied_rows_get_no_copies(voices, tmp_path):
    table = [row for row in augmented(voices, "--gain", 1).values() if not row.get("parent")]
    for row, split in zip(table, ["train", "dev", "test", None] * len(table), strict=False):
        row["split"] = split
    table[0]["issue"] = "silent"
    held = copies(augmented(save(table, tmp_path / "m.jsonl"), "--gain", 2))
    expected = [row for row in table if row["split"] in ("train", None) and not row.get("issue")]
    assert [row["parent"] for row in held.values()] == [row["clip"] for row in expected]
    assert [row.get("split") for row in held.values()] == [row["split"] for row in expected]
    again = augmented(save([*table, *held.values()], tmp_path / "n.jsonl"), "--gain", 3)
    assert {row["parent"] for row in copies(again).values()} == {row["clip"] for row in expected}
    assert sum(clip.endswith("#2") for clip in again) == len(expected) == sum(clip.endswith("#1") for clip in again)
    assert not [clip for clip in again if clip.count("#") > 1]


def test_rows_of_any_test_or_dev_split_spelling_get_no_copies(voices, tmp_path):
    table = [row for row in augmented(voices, "--gain", 1).values() if not row.get("parent")]
    words = ("Training", "Test", " VAL ", "validation", "testing", "devel", "eval", "")
    for row, word in zip(table, words * len(table), strict=False):
        row["split"] = word
    held = sertool("augment", save(table, tmp_path / "m.jsonl"), "--gain", 2, "-f", "csv", "-o", tmp_path / "m.csv")
    assert "split eval: none of train, dev, test, so its rows get no copies" in held.err
    made = copies({row["clip"]: row for row in manifest_io.read(str(tmp_path / "m.csv")).to_pylist()})
    assert [row["parent"] for row in made.values()] == [
        row["clip"] for row in table if row["split"] in ("Training", "")
    ]
    assert {row["split"] for row in made.values()} == {"train", None}


def test_copy_names_avoid_existing_clip_names(voices, tmp_path):
    names = ("take", "take#1", "take#3", "take#12345678901234567890")
    table = manifest_io.read(str(voices)).slice(0, len(names))
    manifest_io.write(manifest.with_column(table, "clip", list(names)), str(tmp_path / "m.parquet"), "parquet")
    held = augmented(tmp_path / "m.parquet", "--gain", 3, "--copies", 2)
    made = {clip for clip, row in held.items() if row.get("parent") == "take"}
    assert (len(held), made) == (3 * len(names), {"take#4", "take#5"})


def test_manifest_with_nothing_to_copy_is_a_one_line_error(voices, tmp_path):
    table = [row | {"split": "test"} for row in augmented(voices, "--gain", 1).values()]
    done = sertool("augment", save(table, tmp_path / "m.jsonl"), "--gain", 1)
    assert done.code == 1
    assert "no row of" in done.line


def test_copies_never_leak_across_splits_made_by_index(voices, tmp_path):
    for how in (["--split", "speaker:50/25/25"], ["--folds", "3"]):
        place = tmp_path / f"{how[0][2:]}.parquet"
        assert sertool("augment", voices, "--copies", 2, "--gain", "-3:3", "-o", tmp_path / "a.parquet").code == 0
        assert sertool("index", tmp_path / "a.parquet", *how, "-o", place).code == 0
        assert sertool("index", "--audit", place).code == 0
        assert sertool("index", voices, *how, "-o", place, "-q").code == 0
        sertool("augment", place, "--gain", 1, "-o", tmp_path / "b.parquet")
        assert sertool("index", "--audit", tmp_path / "b.parquet").code == 0
    moved = [dict(row) for row in augmented(place, "--gain", 1).values()]
    moved[-1]["fold"] = (moved[-1]["fold"] + 1) % 3
    told = sertool("index", "--audit", save(moved, tmp_path / "leak.jsonl"))
    assert told.code == 1
    assert b"LEAK  parent: 1 in more than one part" in told.out


def test_copies_do_not_inherit_their_parents_feature_shards(voices, tmp_path):
    sertool("featurize", voices, "--rms", "-o", tmp_path / "f")
    held = augmented(tmp_path / "f" / "manifest.parquet", "--gain", 3)
    assert all(row.get("rms_shard") is None and row.get("rms_rows") is None for row in copies(held).values())
    assert all(row["rms_shard"] for row in held.values() if not row.get("parent"))


def test_drawing_effects_does_not_import_torch(voices):
    code = "import sys; from sertool import cli; code = cli.run(sys.argv[1:]); assert 'torch' not in sys.modules, 1"
    words = ["augment", str(voices), "--copies", "2", *CHAIN, "--reverb", "0.3", "--recipe", "acnt", "-f", "csv"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_repeated_augment_command_touches_no_file(voices, tmp_path):
    line = ("augment", voices, "--noise", "10:30", "-o", tmp_path / "m.parquet")
    assert sertool(*line).code == 0
    before = ages(tmp_path)
    assert "up to date" in sertool(*line).err
    assert ages(tmp_path) == before


def test_single_copy_is_counted_in_the_singular(voices, tmp_path):
    clip = next((voices.parent / "clips").rglob("*.wav"))
    line = ("augment", clip, "--gain", 1, "--write", tmp_path / "s", "-f", "csv")
    assert "would append 1 copy of 1 clip to 1 row, and" in sertool(*line, "--dry-run").err
    drawn = sertool("augment", clip, "--gain", 1, "--plot", tmp_path / "p.png", "--dry-run").err
    assert drawn.splitlines()[-1] == f"would make {tmp_path / 'p.png'}"
    said = sertool(*line).err
    assert "1 copy of 1 clip with gain" in said.splitlines()
    assert f"\n1 copy in {tmp_path / 's'} (1 written now)" in said


def test_dry_run_counts_the_copies_and_writes_nothing(voices, tmp_path):
    done = sertool("augment", voices, "--copies", 3, "--gain", 1, "-o", tmp_path / "m.parquet", "--dry-run")
    count = len(manifest_io.read(str(voices)))
    assert done.line == f"would append {3 * count} copies of {count} clips to {count} rows"
    assert not list(tmp_path.glob("m*"))


# What featurize makes of them


def test_featurize_renders_copies_like_their_written_files(voices, tmp_path):
    chain = ("--gain", "-9:-3", "--polarity", "--low-pass", "3000", "--shift", "-0.05:0.05")
    sertool("augment", voices, *chain, "-o", tmp_path / "rows.parquet")
    sertool("augment", voices, *chain, "--write", tmp_path / "sound", "--as", "wav", "-o", tmp_path / "files.parquet")
    for name in ("rows", "files"):
        assert sertool("featurize", tmp_path / f"{name}.parquet", "--wave", "-o", tmp_path / name).code == 0
    held, written = (rows(tmp_path / name, "wave") for name in ("rows", "files"))
    assert held.keys() == written.keys()
    for clip, samples in held.items():
        assert np.abs(samples.astype(int) - written[clip].astype(int)).max() <= 1
    plain = [clip for clip in held if "#" not in clip]
    assert all(not np.array_equal(held[clip], held[f"{clip}#1"]) for clip in plain)


def test_wav_copies_beyond_full_scale_match_the_copies_featurize_renders(voices, tmp_path):
    chain = ("augment", voices, "--gain", "20:20")
    sertool(*chain, "-o", tmp_path / "rows.parquet")
    done = sertool(*chain, "--write", tmp_path / "sound", "--as", "wav", "-o", tmp_path / "files.parquet")
    assert "turned down" not in done.err
    subtypes = {soundfile.info(path).subtype for path in (tmp_path / "sound").rglob("*.wav")}
    assert "FLOAT" in subtypes
    for name in ("rows", "files"):
        assert sertool("featurize", tmp_path / f"{name}.parquet", "--rms", "-o", tmp_path / name).code == 0
    held, written = (rows(tmp_path / name, "rms") for name in ("rows", "files"))
    assert all(np.allclose(held[clip], written[clip], rtol=2e-3, atol=1e-4) for clip in held)
    assert sertool("featurize", tmp_path / "files.parquet", "--rms", "--verify", 99, "-o", tmp_path / "v").code == 0


def test_copies_within_full_scale_are_wav_files_of_16_bits(voices, tmp_path):
    sertool("augment", voices, "--gain", "-6", "--write", tmp_path / "s", "--as", "wav", "-o", tmp_path / "m.parquet")
    assert {soundfile.info(path).subtype for path in (tmp_path / "s").rglob("*.wav")} == {"PCM_16"}


def test_flac_copies_beyond_full_scale_are_turned_down_with_a_warning(voices, tmp_path):
    line = ("augment", voices, "--gain", "20:20", "--write", tmp_path / "s", "-o", tmp_path / "m.parquet")
    first, again = sertool(*line), sertool(*line)
    said = filter(None, manifest.column(manifest_io.read(str(tmp_path / "m.parquet")), "augmentation"))
    softer = [each["turned_down"] for each in map(json.loads, said) if "turned_down" in each]
    assert softer
    assert max(softer) <= 20
    said = f"warning: {len(softer)} copies beyond full scale turned down, by up to {max(softer):.1f} dB: --as wav keeps"
    assert said in first.err
    assert said in again.err
    assert "(0 written now)" in again.err


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_damaged_copy_beyond_full_scale_is_rewritten_with_identical_bytes(voices, tmp_path, kind):
    line = ("augment", voices, "--gain", 30, "--write", tmp_path / "s", "--as", kind, "-o", tmp_path / "m.parquet")
    sertool(*line)
    whole = snapshot(tmp_path / "s")
    first, second = sorted((tmp_path / "s").rglob(f"*.{kind}"))[:2]
    first.write_bytes(first.read_bytes()[:-100] if kind == "wav" else b"")
    second.unlink()
    time.sleep(1.1)  # a second later: no file says when it was made
    assert "(2 written now)" in sertool(*line).err
    assert snapshot(tmp_path / "s") == whole


def test_features_of_copies_do_not_depend_on_order_jobs_or_parts(voices, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "CLIPS", 5)
    sertool("augment", voices, *CHAIN, "--copies", 2, "--reverb", "0.1:0.3", "-o", tmp_path / "m.parquet")
    many = tmp_path / "m.parquet"
    assert sertool("featurize", many, "--mel", "-o", tmp_path / "a", "-j", 1).code == 0
    assert sertool("featurize", many, "--mel", "-o", tmp_path / "b", "-j", 3).code == 0
    for part in ("2/3", "1/3", "3/3"):
        assert sertool("featurize", many, "--mel", "-o", tmp_path / "c", "--part", part, "-j", 2).code == 0
    made = [snapshot(tmp_path / name / "mel") for name in "abc"]
    assert made[0] == made[1] == made[2]
    back = manifest_io.read(str(many)).take(np.arange(len(manifest_io.read(str(many))))[::-1])
    manifest_io.write(back, str(tmp_path / "back.parquet"), "parquet")
    assert sertool("featurize", tmp_path / "back.parquet", "--mel", "-o", tmp_path / "d").code == 0
    held, other = rows(tmp_path / "a", "mel"), rows(tmp_path / "d", "mel")
    assert held.keys() == other.keys()
    assert all(np.array_equal(held[clip], other[clip]) for clip in held)


# The way that copies take with a GPU, walked without one: workers decode, and a batch is changed together.

EVERY = ("--pitch", "-4:4", "--tempo", "0.8:1.2", "--speed", "0.8:1.2", "--reverb", "0.1:0.3", "--noise", "10:30",
         "--high-pass", "50:400", "--low-pass", "2000:7000", "--band-stop", "300:3000", "--gain", "-6:6", "--polarity",
         "--shift", "-0.1:0.1", "--crop", "0.8:1.0", "--splice", "2:8", "--share", "0.4")  # fmt: skip


def copied_clips(source: Path, folder: Path, *words: object) -> list[Clip]:
    sertool("augment", source, *words, "-o", folder / "m.parquet")
    return shard_plan.clips_of(manifest_io.read(str(folder / "m.parquet")))


def engine_of(device: str = "cpu", **how: object) -> Engine:
    extraction = Extraction(shaping.Wave(**how), {name: features.settings(name, {}) for name in ("wave", "mel")})
    engine = Engine(extraction, device)
    engine.batches_on_device = engine.effects_on_device = True
    return engine


def heard(engine: Engine, clips: list[Clip]) -> dict[str, np.ndarray]:
    made = extract.rows_of(engine, clips, 2)
    return {clip.name: rows.values["wave"] for clip, rows in zip(clips, made, strict=True)}


def far(one: np.ndarray, other: np.ndarray) -> int:
    """How many steps of 16 bits two sounds are apart at most."""
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize(
    "how", [{}, {"channels": "stereo", "remove_dc": True}, {"trim": 30.0, "seconds": 1.0, "fit": "random"}]
)
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_batched_copies_equal_copies_made_alone_in_any_order(voices, tmp_path, how, device, monkeypatch):
    clips = copied_clips(voices, tmp_path, *EVERY, "--copies", 2, "--where", "emotion=angry")
    engine = engine_of(device, **how)
    alone = {clip.name: decoding.decoded(clip, engine.extraction.wave) for clip in clips}
    once = heard(engine, clips)
    monkeypatch.setattr(extract, "BATCH_SAMPLES", 40_000)
    again = heard(engine, clips[::-1])
    for clip, wave in alone.items():
        assert far(once[clip], np.round(wave.T.numpy() * 32768).clip(-32768, 32767)) <= 4
        assert far(once[clip], again[clip]) <= 4


def test_batch_is_halved_when_effects_run_out_of_device_memory(voices, tmp_path, monkeypatch):
    clips = copied_clips(voices, tmp_path, *CHAIN)
    engine = engine_of(remove_dc=True)
    whole, sizes, apply = heard(engine, clips), [], effects.applied_together

    def scant(waves, *rest):
        sizes.append(len(waves))
        if len(waves) > 3:
            raise torch.OutOfMemoryError("no memory")
        return apply(waves, *rest)

    monkeypatch.setattr(effects, "applied_together", scant)
    halved = heard(engine, clips)
    assert max(sizes) > 3 >= min(sizes)
    assert all(far(whole[clip], halved[clip]) <= 1 for clip in whole)


def test_failed_copy_does_not_affect_other_copies_in_its_batch(voices, tmp_path):
    noise = tmp_path / "noise.wav"
    encoding.write(noise, np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32), 16_000)
    clips = [clip for clip in copied_clips(voices, tmp_path, *CHAIN) if clip.augmentation][:5]
    lost = [{"effect": "background", "at": 0.0, "snr": 9.0, "digest": "", "file": str(noise)}]
    lost[0]["digest"] = sounds.look(str(noise)).digest
    noise.write_bytes(b"")
    clips[1] = replace(clips[1], augmentation=effects.text(lost))
    clips[3] = replace(clips[3], augmentation=effects.text([{"effect": "speed", "rate": 4.0}] * 2))
    engine = engine_of(offset=0.5)
    made = list(extract.rows_of(engine, clips, 2))
    assert [bool(rows.issue) for rows in made] == [False, True, False, True, False]
    assert made[3].issue == "too-short"
    together = heard(engine, [clips[0], clips[2], clips[4]])
    assert all(far(rows.values["wave"], together[clip.name]) <= 1
               for rows, clip in zip(made, clips, strict=True) if not rows.issue)  # fmt: skip


def test_missing_background_noise_file_is_an_error_with_a_remedy(voices, tmp_path):
    (tmp_path / "noises").mkdir()
    encoding.write(tmp_path / "noises" / "a.wav", np.random.default_rng(0).normal(0, 0.1, 8000), 16_000)
    sertool("augment", voices, "--background", tmp_path / "noises", "-o", tmp_path / "m.parquet")
    (tmp_path / "noises").rename(tmp_path / "moved")
    sounds.look.cache_clear()
    done = sertool("featurize", tmp_path / "m.parquet", "--rms", "-o", tmp_path / "f", "-j", 1)
    assert done.code == 1
    assert "noises/a.wav is not there (no such file): restore it, or run augment again" in done.line


def test_new_draws_rebuild_only_the_shards_of_the_copies(voices, tmp_path, monkeypatch):
    count = len(manifest_io.read(str(voices)))
    monkeypatch.setattr(shards, "CLIPS", count)
    for seed in (0, 1):
        sertool("augment", voices, "--gain", "-6:6", "--seed", seed, "-o", tmp_path / "m.parquet")
        done = sertool("featurize", tmp_path / "m.parquet", "--mel", "-o", tmp_path / "f")
        assert f"({count * (2 - seed)} made now)" in done.err


def test_verify_agrees_on_copies(voices, tmp_path):
    sertool("augment", voices, *CHAIN, "-o", tmp_path / "m.parquet")
    done = sertool("featurize", tmp_path / "m.parquet", "--mel", "-o", tmp_path / "f", "--verify", 100)
    assert done.code == 0
    assert "agrees" in done.err


# Sound


def test_manifest_rows_describe_the_written_copies(voices, tmp_path):
    line = ("augment", voices, "--copies", 2, "--tempo", "0.7:0.9", "--write", tmp_path / "s", "-f", "jsonl")
    held = [json.loads(row) for row in sertool(*line).out.splitlines()]
    made = [row for row in held if row.get("parent")]
    assert len(made) == 2 * len(manifest_io.read(str(voices)))
    for row in made:
        found = audio.probe(row["path"])
        assert re.fullmatch(re.escape(f"{tmp_path}/s/{row['clip']}") + r"-[0-9a-f]{8}\.flac", row["path"])
        assert (found.issue, found.samples, found.size) == (None, row["samples"], row["size"])
        assert json.loads(row["augmentation"])["written"] is True
        parent = next(one for one in held if one["clip"] == row["parent"])
        assert row["duration"] > 1.08 * parent["duration"]
        assert row["sample_rate"] == parent["sample_rate"]


def test_resumed_run_writes_only_missing_copies_with_identical_bytes(voices, tmp_path):
    line = ("augment", voices, *CHAIN, "--write", tmp_path / "s", "--as", "wav", "-o", tmp_path / "m.parquet")
    assert sertool(*line).code == 0
    whole, before = snapshot(tmp_path / "s"), ages(tmp_path / "s")
    victims = sorted((tmp_path / "s").rglob("*.wav"))[::3]
    for path in victims:
        path.unlink()
    assert f"({len(victims)} written now)" in sertool(*line, "-j", 1).err
    after = ages(tmp_path / "s")
    assert snapshot(tmp_path / "s") == whole
    kept = [name for name in before if name.endswith(".wav") and tmp_path / "s" / name not in victims]
    assert kept
    assert all(before[name] == after[name] for name in kept)
    assert "(0 written now)" in sertool(*line).err
    assert ages(tmp_path / "s") == after


KILLED = """
import os, signal, sys
from sertool import cli
from sertool.augment import rendering
rendering.GROUP_FILES, rendering.BATCH_COPIES, turns, named = 7, 2, iter(range(99)), rendering.name_together
end = lambda: os.kill(os.getpid(), getattr(signal, {how!r}))
rendering.name_together = lambda paths: named(paths) if next(turns) < 2 else end()
sys.exit(cli.run(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("how", "code"), [("SIGKILL", -9), pytest.param("SIGINT", 130, marks=pytest.mark.slow)])
def test_killed_run_leaves_only_complete_copies_and_resumes_identically(how, code, voices, tmp_path):
    chain = (*CHAIN, "--copies", 2, "--write", tmp_path / "s", "--as", "wav")
    words = list(map(str, ("augment", voices, *chain, "-o", tmp_path / "m.parquet", "-j", 2)))
    done = subprocess.run([sys.executable, "-c", KILLED.format(how=how), *words], capture_output=True, check=False)
    assert done.returncode == code, done.stderr.decode()
    whole = {path: path.read_bytes() for path in (tmp_path / "s").rglob("*.wav")}
    assert len(whole) == 14
    assert not (tmp_path / "m.parquet").exists()
    assert f"({2 * len(manifest_io.read(str(voices))) - 14} written now)" in sertool(*words).err
    assert not list((tmp_path / "s").rglob(".*.part"))
    assert whole.items() <= {path: path.read_bytes() for path in (tmp_path / "s").rglob("*.wav")}.items()
    again = ("augment", voices, *chain[:-3], tmp_path / "again", "--as", "wav", "-o", tmp_path / "n.parquet")
    assert sertool(*again).code == 0
    assert snapshot(tmp_path / "again") == snapshot(tmp_path / "s")


def test_long_copies_are_published_in_small_groups(voices, tmp_path, monkeypatch):
    monkeypatch.setattr(rendering, "GROUP_SECONDS", 3.0)
    named, groups = rendering.name_together, []
    monkeypatch.setattr(rendering, "name_together", lambda paths: (groups.append(len(paths)), named(paths)))
    line = ("augment", voices, "--gain", 1, "--write", tmp_path / "s", "-o", tmp_path / "m.parquet", "-j", 1)
    assert sertool(*line).code == 0
    assert len(groups) > 5
    assert sum(groups) == len(manifest_io.read(str(voices)))


@pytest.mark.parametrize("jobs", [1, 2])
def test_full_disk_leaves_only_complete_copies(voices, tmp_path, monkeypatch, jobs):
    monkeypatch.setattr(rendering, "BATCH_COPIES", 2)
    write = rendering.write_beside

    def full(path: Path, data: bytes) -> None:
        write(path, data)
        if "angry" in path.name and path.parent.name != "s01f":
            raise SertoolError("the disk is full")

    monkeypatch.setattr(rendering, "write_beside", full)
    line = ("augment", voices, "--gain", 1, "--write", tmp_path / "s", "-o", tmp_path / "m.parquet", "-j", jobs)
    assert "the disk is full" in sertool(*line).err
    monkeypatch.undo()
    found = [path for path in (tmp_path / "s").rglob("*") if path.is_file() and path.name != ".lock"]
    assert found
    assert {path.suffix for path in found} == {".flac"}
    assert f"({len(manifest_io.read(str(voices))) - len(found)} written now)" in sertool(*line).err


@pytest.mark.slow
def test_written_copies_and_rows_do_not_depend_on_parts_or_jobs(voices, tmp_path, monkeypatch):
    monkeypatch.setattr(rendering, "BATCH_COPIES", 2)  # so that forks have work
    chain = ("augment", voices, *CHAIN, "--reverb", "0.1:0.3", "--copies", 2, "--as", "flac")
    assert sertool(*chain, "--write", tmp_path / "whole", "-o", tmp_path / "whole.parquet", "-j", 1).code == 0
    assert sertool(*chain, "--write", tmp_path / "many", "-o", tmp_path / "many.parquet", "-j", 4).code == 0
    held = manifest_io.read(str(tmp_path / "whole.parquet"))
    for n in (3, 60):
        parts = []
        for k in (2, *(k for k in range(1, n + 1) if k != 2)):
            parts.append(tmp_path / f"{n}-{k:02d}.parquet")
            done = sertool(*chain, "--write", tmp_path / f"s{n}", "--part", f"{k}/{n}", "-o", parts[-1])
            assert done.code == 0
            assert n > 3 or "16 copies" in done.err
        assert sertool("index", *sorted(parts), "-o", tmp_path / "merged.parquet").code == 0
        merged = manifest_io.read(str(tmp_path / "merged.parquet"))
        assert manifest.column(merged, "clip") == manifest.column(held, "clip")
        assert manifest.column(merged, "augmentation") == manifest.column(held, "augmentation")
        sounds = [{name: data for name, data in snapshot(tmp_path / one).items() if name.endswith(".flac")}
                  for one in ("whole", "many", f"s{n}")]  # fmt: skip
        assert sounds[0] == sounds[1] == sounds[2]
    assert "(0 written now)" in sertool(*chain, "--write", tmp_path / "s3", "-o", tmp_path / "m.parquet").err


def test_changed_timestamps_of_written_copies_do_not_rebuild_features(voices, tmp_path):
    line = ("augment", voices, "--gain", 1, "--write", tmp_path / "s", "-o", tmp_path / "m.parquet")
    features = ("featurize", tmp_path / "m.parquet", "--rms", "-o", tmp_path / "f")
    assert sertool(*line).code == sertool(*features).code == 0
    for path in (tmp_path / "s").rglob("*.flac"):
        os.utime(path, (1, 1))
    before = ages(tmp_path / "f" / "rms")
    assert sertool(*line).code == sertool(*features).code == 0
    assert ages(tmp_path / "f" / "rms") == before
    made = [row for row in manifest_io.read(str(tmp_path / "m.parquet")).to_pylist() if row["parent"]]
    assert all(row["digest"] == audio.probe(row["path"]).digest for row in made)


def test_part_without_write_or_out_of_range_is_refused(voices, tmp_path):
    refused(voices, "--gain", 1, "--part", "1/2", says="--part goes with --write")
    refused(voices, "--gain", 1, "--write", tmp_path / "s", "--part", "3/2", says="--part takes K/N with K from 1 to N")


def test_damaged_or_empty_copy_is_rewritten(voices, tmp_path):
    line = ("augment", voices, "--gain", 1, "--write", tmp_path / "s", "--as", "wav", "-o", tmp_path / "m.parquet")
    sertool(*line)
    whole = snapshot(tmp_path / "s")
    first, second = sorted((tmp_path / "s").rglob("*.wav"))[:2]
    first.write_bytes(first.read_bytes()[:-100])
    second.write_bytes(b"")
    assert "(2 written now)" in sertool(*line).err
    assert snapshot(tmp_path / "s") == whole


def test_new_seed_or_changed_source_audio_rewrites_copies(voices, tmp_path):
    shutil.copytree(voices.parent / "clips", tmp_path / "clips")
    sertool("index", tmp_path / "clips", "-o", tmp_path / "clips.parquet")
    line = (
        "augment",
        tmp_path / "clips.parquet",
        "--noise",
        "0:9",
        "--write",
        tmp_path / "s",
        "-o",
        tmp_path / "m.parquet",
    )
    count = len(manifest_io.read(str(tmp_path / "clips.parquet")))
    assert f"({count} written now)" in sertool(*line).err
    assert f"({count} written now)" in sertool(*line, "--seed", 1).err
    one = next((tmp_path / "clips").rglob("*.wav"))
    encoding.write(one, np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32), 16_000)
    assert "(1 written now)" in sertool(*line, "--seed", 1).err


@pytest.mark.parametrize(("module", "version"), [(rendering, "FORM"), (effects, "VERSION")])
def test_a_file_of_another_version_is_not_kept(voices, tmp_path, monkeypatch, module, version):
    clip = copied_clips(voices, tmp_path, *CHAIN)[-1]
    before = rendering._copy_digest(clip)
    monkeypatch.setattr(module, version, getattr(module, version) + 1)
    assert rendering._copy_digest(clip) != before


def test_copy_of_a_missing_file_is_marked_vanished(voices, tmp_path):
    shutil.copytree(voices.parent / "clips", tmp_path / "clips")
    sertool("index", tmp_path / "clips", "-o", tmp_path / "clips.parquet")
    next((tmp_path / "clips").rglob("*.wav")).unlink()
    line = ("augment", tmp_path / "clips.parquet", "--gain", 1, "--write", tmp_path / "s", "-o", tmp_path / "m.parquet")
    done = sertool(*line, "--strict")
    assert done.code == 1
    assert "1 could not be made" in done.err
    assert manifest.column(manifest_io.read(str(tmp_path / "m.parquet")), "issue").count("vanished") == 1


def test_unlistable_background_folder_is_reported_once(make, shut):
    folder = make("x/sad/1.wav", "noises/near/1.wav", "noises/far/1.wav")
    shut.add("far")
    done = sertool("augment", folder / "x", "--background", folder / "noises", "-f", "jsonl")
    assert done.code == 0
    assert done.err.count(f"cannot look into {folder / 'noises/far'}: ") == 1


def test_unlistable_folder_fails_a_strict_run(make, shut):
    folder = make("x/sad/1.wav", "x/angry/1.wav")
    line = ("augment", folder / "x", "--gain", 1, "-f", "jsonl", "--strict")
    assert sertool(*line).code == 0
    shut.add("sad")
    done = sertool(*line)
    assert done.code == 1
    assert f"cannot look into {folder / 'x/sad'}" in done.err
    assert len(done.out.splitlines()) == 2


def test_loud_copies_are_not_clipped(tmp_path, make):
    folder = make("x/a/1.wav")
    sertool("augment", folder / "x", "--gain", 40, "--write", tmp_path / "s", "-o", tmp_path / "m.parquet")
    (path,) = (tmp_path / "s").rglob("*.flac")
    assert "clipped" not in audio.probe(str(path)).notes


def test_copies_stay_inside_the_output_folder_for_any_clip_id(tmp_path, make):
    folder = make("x/1.wav", "x/2.wav")
    table = [
        {"clip": "../../out", "path": str(folder / "x" / "1.wav")},
        {"clip": "/etc/out2", "path": str(folder / "x" / "2.wav")},
    ]
    done = sertool(
        "augment", save(table, tmp_path / "m.jsonl"), "--gain", 1, "--write", tmp_path / "s" / "t", "-f", "csv"
    )
    assert done.code == 0
    found = sorted(path.name for path in (tmp_path / "s" / "t").rglob("*.flac"))
    assert [name.rpartition("-")[0] for name in found] == ["out#1", "out2#1"]
    twins = [table[0], table[1] | {"clip": "out"}]
    done = sertool(
        "augment", save(twins, tmp_path / "n.jsonl"), "--gain", 1, "--write", tmp_path / "u", "-f", "csv", "-q"
    )
    assert done.code == 0
    assert [path.name[:6] for path in (tmp_path / "u").iterdir() if path.suffix == ".flac"] == ["out#1-"] * 2


def test_runs_into_one_folder_never_overwrite_each_others_copies(voices, tmp_path):
    made = {}
    for name, chain in {"noise": ("--noise", 20), "gain": ("--gain", -20), "again": ("--noise", 20)}.items():
        done = sertool("augment", voices, *chain, "--write", tmp_path / "s", "-o", tmp_path / f"{name}.parquet")
        table = manifest_io.read(str(tmp_path / f"{name}.parquet"))
        made[name] = {path: Path(path).read_bytes() for path in manifest.column(table, "path")}
    assert "(0 written now)" in done.err
    assert made["noise"] == made["again"]
    copies_of = [
        set(made[name]) - set(manifest.column(manifest_io.read(str(voices)), "path")) for name in ("noise", "gain")
    ]
    assert not copies_of[0] & copies_of[1]
    assert all(Path(path).read_bytes() == data for held in made.values() for path, data in held.items())


def test_concurrent_run_in_the_same_folder_is_refused(voices, tmp_path):
    from sertool.system import locks

    with locks.folder_lock(tmp_path / "s", wait=False):
        done = sertool("augment", voices, "--gain", 1, "--write", tmp_path / "s", "-f", "csv", "-q")
    assert done.code == 1
    assert "another sertool is at work" in done.line


def test_copies_of_a_folder_that_moved_are_an_error_that_says_how_to_find_it(voices, tmp_path):
    shutil.copytree(voices.parent / "clips", tmp_path / "clips")
    sertool("index", tmp_path / "clips", "-o", tmp_path / "clips.parquet")
    (tmp_path / "clips").rename(tmp_path / "moved")
    line = ("augment", tmp_path / "clips.parquet", "--gain", 1, "--write", tmp_path / "s", "-o", tmp_path / "m.parquet")
    done = sertool(*line)
    assert done.code == 1
    assert "vanished" in done.err.splitlines()[-1]
    assert "--root" in done.err.splitlines()[-1]
    assert not (tmp_path / "m.parquet").exists()


def test_copy_with_non_finite_samples_is_set_aside_without_python_warnings(make, tmp_path):
    clip = make("angry/1.wav", "angry/2.wav") / "angry" / "1.wav"
    huge = np.random.default_rng(0).normal(0, 1e30, 16_000).astype(np.float32)
    soundfile.write(clip, huge, 16_000, format="WAV", subtype="FLOAT")
    line = ("augment", clip.parent, "--noise", 5, "--gain", 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = sertool(*line, "--write", tmp_path / "s", "-f", "jsonl", "-v", "-j", 1)
    assert done.code == 0, done.err
    made = {row["clip"]: row.get("issue") for row in map(json.loads, done.out.splitlines()) if row.get("parent")}
    assert made == {"angry/1#1": "not-finite", "angry/2#1": None}
    assert f"{clip}: not-finite: " in done.err
    assert "1 could not be made" in done.err
    assert len(list((tmp_path / "s").rglob("*.flac"))) == 1
    drawn = sertool(*line, "--plot", tmp_path / "p.png")
    assert f"cannot draw angry/1: {clip} is not-finite (its samples are so large" in drawn.err


def test_listen_and_plot_accept_an_audio_file(voices, tmp_path):
    clip = next((voices.parent / "clips").rglob("*.wav"))
    done = sertool("augment", clip, "--copies", 2, "--pitch", "2:4", "--reverb", "0.3", "--listen", tmp_path / "l")
    assert (done.code, done.out) == (0, b"")
    assert "pitch semitones" in done.err
    assert len(list((tmp_path / "l").glob("*.wav"))) == 3
    done = sertool("augment", clip, "--noise", 5, "--plot", tmp_path / "p.png")
    assert (done.code, done.out) == (0, b"")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    done = sertool("augment", clip, "--background", clip.parent, "--listen", tmp_path / "b")
    assert re.search(r"background file \w+\.wav at 0\.\d+ snr \d+", done.err)
    refused(clip, "--noise", 5, "--plot", tmp_path / "p.gif", "-q", says="choose a name that ends in .png")


def test_plot_shows_a_newly_made_copy_instead_of_an_existing_one(voices, tmp_path):
    first, *_ = manifest_io.read(str(voices)).column("clip").to_pylist()
    once = sertool("augment", voices, "--gain", 3, "-o", tmp_path / "once.parquet")
    assert once.code == 0, once.err
    drawn = sertool("augment", tmp_path / "once.parquet", "--gain", -3, "--plot", tmp_path / "p.png")
    assert f"drew {first} and {first}#2 in" in drawn.err


def test_listen_and_plot_skip_copies_without_their_parent(make, tmp_path):
    make("a.wav", "b.wav")
    held = [{"clip": "a#1", "parent": "a"}, {"clip": "b", "parent": None}]
    orphaned = save([row | {"path": str(tmp_path / f"{row['clip'][0]}.wav")} for row in held], tmp_path / "m.jsonl")
    drawn = sertool("augment", orphaned, "--gain", -3, "--plot", tmp_path / "p.png")
    assert "drew b and b#1 in" in drawn.err
    assert sertool("augment", orphaned, "--gain", -3, "--listen", tmp_path / "l").code == 0
    assert sorted(path.name for path in (tmp_path / "l").iterdir()) == ["b#1.wav", "b.wav"]


def test_listen_replaces_its_own_examples_and_never_other_recordings(make, tmp_path):
    make("1.wav", "2.wav")
    lines = [{"clip": name, "path": str(tmp_path / f"{name}.wav")} for name in "12"]
    line = (save(lines, tmp_path / "m.jsonl"), "--gain", -6, "-q", "--listen")
    before = snapshot(tmp_path)
    refused(*line, tmp_path, says=f"--listen {tmp_path}: {tmp_path}/1.wav is no example of sertool's: choose another")
    assert snapshot(tmp_path) == before
    for _ in range(2):
        assert sertool("augment", *line, tmp_path / "l").code == 0


@pytest.mark.parametrize(("words", "says"), [
    (("--listen", "l", "--write", "w"), "--listen writes examples and stops: leave out --write"),
    (("--plot", "p.png", "-o", "m.parquet", "-f", "csv"), "--plot draws and stops: leave out --out and --format"),
    (("--as", "wav"), "--as goes with --write"), (("--as", "flac", "--listen", "l"), "--as goes with --write"),
])  # fmt: skip
def test_conflicting_output_options_are_refused(voices, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    refused(voices, "--gain", 1, *words, says=says)
    assert not any(tmp_path.iterdir())


def test_writing_copies_keeps_the_torch_thread_count(voices, tmp_path):
    torch.set_num_threads(3)
    try:
        assert sertool("augment", voices, "--gain", 3, "--write", tmp_path / "s", "-f", "csv").code == 0
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)


def test_listen_writes_separate_files_for_similar_clip_names(make, tmp_path):
    make("two/happy/a b.wav", "two/happy/a-b.wav")
    done = sertool("augment", tmp_path / "two", "--gain", 3, "--listen", tmp_path / "l")
    assert done.code == 0, done.err
    assert len(list((tmp_path / "l").glob("*.wav"))) == 4


def test_copies_do_not_inherit_their_parents_predictions(tmp_path):
    said = {"predicted": "sad", "p_sad": 0.9, "top": "sad 0.9", "protocol": "loso", "adapted": "enrolled", "run": "r"}
    held = save([{"clip": "a", "path": "a.wav", "emotion": "sad", "confidence": 0.9, **said}], tmp_path / "a.jsonl")
    _, copy = augmented(held, "--gain", 3).values()
    assert not {name for name in (*said, "confidence") if copy.get(name) is not None}


def test_copies_inherit_own_words_named_like_predictions_but_no_predicted_ratings(tmp_path):
    said = {"emotion": "sad", "predicted_emotion": "angry", "arousal": 2.5, "predicted_arousal": 3.5}
    held = save([{"clip": "a", "path": "a.wav", **said}], tmp_path / "a.jsonl")
    _, copy = augmented(held, "--gain", 3).values()
    assert {name: copy.get(name) for name in said} == said | {"predicted_arousal": None}


# What is asked for


@pytest.mark.parametrize("name", effect_chains.RECIPES)
def test_named_recipe_applies_exactly_its_effects(name, voices):
    held = chains(augmented(voices, "--recipe", name))
    asked = effect_chains.RECIPES[name].keys() - {"about", "copies"}
    assert {one["effect"] for text in held.values() for one in json.loads(text)["effects"]} == asked


def test_recipe_file_equals_the_same_options_and_options_override_it(voices, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'copies = 2\npitch = [-2, 2]\npolarity = true\n[noise]\nsnr = [10, 30]\ncolour = "pink"\nshare = 0.5\n'
    )
    options = ("--copies", 2, "--pitch", "-2:2", "--polarity", "--noise", "10:30", "--noise-colour", "pink")
    assert augmented(voices, "--recipe", path) == augmented(voices, *options, "--share", "noise=0.5")
    louder = chains(augmented(voices, "--recipe", path, "--noise", "0", "--copies", 1, "--share", 1))
    for text in louder.values():
        noise = json.loads(text)["effects"][1]
        assert (noise["snr"], noise["colour"]) == (0, "pink")


def test_false_in_a_recipe_switches_an_effect_off(voices, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("gain = 3\nnoise = false\npolarity = false\n")
    assert augmented(voices, "--recipe", path) == augmented(voices, "--gain", 3)
    assert augmented(voices, "--recipe", path, "--noise", 9) == augmented(voices, "--gain", 3, "--noise", 9)


def test_share_is_the_fraction_of_copies_an_effect_changes(voices):
    held = chains(augmented(voices, "--copies", 40, "--gain", 3, "--polarity", "--share", "gain=0.25"))
    drawn = [[one["effect"] for one in json.loads(text)["effects"]] for text in held.values()]
    assert np.mean(["gain" in names for names in drawn]) == pytest.approx(0.25, abs=0.05)
    assert np.mean(["polarity" in names for names in drawn]) == pytest.approx(0.5, abs=0.06)
    assert any(names == [] for names in drawn)


def test_effects_are_drawn_apart_from_each_other(voices):
    held = chains(augmented(voices, "--copies", 4, "--gain", 3, "--polarity", "--share", 0.5))
    assert {len(json.loads(text)["effects"]) for text in held.values()} == {0, 1, 2}


def test_general_and_per_effect_shares_combine_in_any_order(voices):
    words = (voices, "--gain", 3, "--polarity", "--share")
    first, last = augmented(*words, "gain=1", "--share", 0), augmented(*words, 0, "--share", "gain=1")
    assert first == last
    assert set(chains(first).values()) == {effects.text([{"effect": "gain", "db": 3.0}])}


SPARING = {name: held.facts["SHARE"] for name, held in catalogue.entries("effects").items() if "SHARE" in held.facts}


@pytest.mark.parametrize("name", SPARING)
def test_help_and_list_show_the_default_share_of_an_effect(name):
    option = re.search(rf"^  --{name} .*?(?=^  --|^$)", sertool("augment", "--help").out.decode(), re.M | re.S)[0]
    assert f"{SPARING[name]:g} of the copies" in " ".join(option.split())
    line = next(line for line in sertool("augment", "--list").out.decode().splitlines() if f"--{name} " in line)
    assert f" {SPARING[name]:g} " in line


def test_copies_without_any_effect_are_counted_in_the_summary(voices):
    done = sertool("augment", voices, "--gain", 3, "--copies", 5, "--share", 0.5, "-f", "jsonl")
    texts = [json.loads(line).get("augmentation") for line in done.out.decode().splitlines()]
    untouched = texts.count('{"effects":[]}')
    assert untouched > 1
    assert f" with gain; nothing happens to {untouched} of them (--share)" in done.err
    assert "nothing happens" not in sertool("augment", voices, "--gain", 3, "-f", "jsonl").err


def test_effects_are_applied_in_the_order_of_the_help(voices):
    words = [f"--{name}" for name in catalogue.names("effects")]
    text = sertool("augment", "--help").out.decode()
    places = {word: text.index(f"  {word} ") for word in words}
    facts = catalogue.entries("effects")
    by_place = sorted(words, key=lambda word: facts[word[2:]].facts["PLACE"])
    assert sorted(words, key=places.get) == by_place
    held = chains(augmented(voices, "--gain", 1, "--noise", 20, "--pitch", 1))
    assert [one["effect"] for one in json.loads(next(iter(held.values())))["effects"]] == ["pitch", "noise", "gain"]


def test_the_list_has_every_effect_and_recipe():
    text = sertool("augment", "--list").out.decode()
    for word in [*(f"--{name}" for name in catalogue.names("effects")), *effect_chains.RECIPES]:
        assert word in text


def test_list_shows_the_recipe_names_of_all_settings():
    lines = sertool("augment", "--list").out.decode().splitlines()
    for word, entry in catalogue.entries("effects").items():
        line = next(line for line in lines if f"--{word} " in line)
        assert f" {', '.join(setting.name for setting in entry.settings)} " in line


def test_usage_errors_are_one_line_with_the_choices(voices, tmp_path):
    refused(voices, says="no effect is asked for: choose among --background, --band-pass")
    refused(voices, "--pitch", "2:-2", says="pitch semitones: 2 to -2 ends below where it begins")
    refused(voices, "--pitch", "x", says="neither a number nor LOW:HIGH")
    refused(voices, "--pitch", "1:2:3", says="neither a number nor LOW:HIGH")
    refused(voices, "--pitch", "nan", says="is not within -24 to 24")
    refused(voices, "--noise", "10", "--noise-colour", "red", says="pink")
    refused(voices, "--background-snr", "3", says="background: name a folder of recordings")
    refused(voices, "--background", tmp_path / "none", says="no such folder")
    refused(voices, "--impulse", tmp_path, says="no audio under")
    refused(voices, "--recipe", "x", says="a file that ends in .toml, or one of clstm, imagenet, acnt")
    refused(voices, "--recipe", tmp_path / "x.toml", says="cannot read")
    refused(voices, "--gain", "1", "--share", "2", says="is not from 0 to 1")
    refused(voices, "--gain", "1", "--share", "pitch=0.5", says="pitch is not asked for; there are gain")
    refused(voices, "--gain", "1", "--share", "gain", says="takes a number from 0 to 1, or EFFECT=NUMBER")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("copies = 0", "copies = 0 is not a whole number from 1 to 1,000"),
        ("copies = 1001", "copies = 1001 is not a whole number from 1 to 1,000"),
        ("pitch = [1", "is no TOML"),
        ("[pich]\nsemitones = 1", "no effect pich; there are"),
        ("[pitch]\nsemitone = 1", "pitch: no setting semitone; there are semitones, share"),
        ('[pitch]\nsemitones = "high"', "neither a number nor two"),
        ("[pitch]\nsemitones = [1, 2, 3]", "neither a number nor two"),
        ("[pitch]\nsemitones = true", "pitch semitones: True is neither a number nor two"),
        ("[noise]\nsnr = [false, 10]", "neither a number nor two"),
        ("[pitch]\nshare = 7", "a share of 7 is not from 0 to 1"),
        ('[noise]\ncolour = "red"', "'red' is none of white, pink"),
        ("[shift]\nwrap = 1", "shift wrap: 1 is no true or false"),
        ("[background]\nfolder = 3", "background folder: 3 is no text"),
        ("polarity = 0.3", "polarity: takes true, or a table that may hold share, and not 0.3"),
        ("pich = 3", "no effect pich; there are"),
        ("pich = false", "no effect pich; there are"),
        ("copies = 3", "no effect is asked for"),
    ],
)
def test_invalid_recipe_is_a_one_line_error(text, says, voices, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    refused(voices, "--recipe", path, says=says)
