"""`--verify` tells shards that hold what the definitions say from shards that do not."""

import json
from pathlib import Path

import pytest
from running import sertool

from sertool import catalogue, shards

pytest_plugins = ("voices",)

ALL = [f"--{name.replace('_', '-')}" for name, held in catalogue.entries("features").items()
       if "CHOICE" not in held.facts]  # fmt: skip
CORPORA = Path(__file__).resolve().parents[2] / "shared" / "corpora"


def test_verify_agrees_and_keeps_its_result(voices, tmp_path):
    done = sertool("featurize", voices, "--mel", "--rms", "--zcr", "--verify", 3, "-o", tmp_path / "f")
    assert done.code == 0
    held = json.loads((tmp_path / "f" / "verify.json").read_text())
    assert [(one["feature"], one["clips"], one["agrees"]) for one in held] == [
        ("mel", 3, True),
        ("rms", 3, True),
        ("zcr", 3, True),
    ]
    assert done.err.count("agrees on 3 clips") == 3


def test_verify_notices_a_number_that_is_wrong(voices, tmp_path):
    sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    path = tmp_path / "f" / "mel" / "00000.safetensors"
    head, held = shards.read(path, "mel")
    wrong = held.copy()
    wrong[:, 60] += 0.5
    shards.write(head, "mel", [wrong])
    done = sertool("featurize", voices, "--mel", "--verify", 2, "-o", tmp_path / "f")
    assert done.code == 1
    assert "DIFFERS" in done.err
    assert not json.loads((tmp_path / "f" / "verify.json").read_text())[0]["agrees"]


def test_nothing_to_verify_is_said_and_is_no_failure(voices, tmp_path):
    part = sertool("featurize", voices, "--rms", "--part", "1/2", "--verify", 2, "-o", tmp_path / "f")
    lost = sertool("featurize", voices, "--rms", "--offset", 60, "--verify", 2, "-o", tmp_path / "g")
    for done in (part, lost):
        assert (done.code, done.err.count("nothing to verify: no clip here has features")) == (0, 1), done.err


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
def test_all_features_of_real_clips_agree_with_their_definitions(tmp_path, corpus):
    audio = sorted(path for path in (CORPORA / corpus).rglob("*") if path.suffix in (".ogg", ".flac", ".wav"))
    for path in audio[:: len(audio) // 12][:12]:
        (tmp_path / "angry").mkdir(exist_ok=True)
        (tmp_path / "angry" / path.name).symlink_to(path)
    done = sertool("featurize", tmp_path / "angry", *ALL, "--verify", 12, "-o", tmp_path / "f")
    assert done.code == 0, done.err
    assert done.err.count("agrees on 12 clips") == len(ALL)
