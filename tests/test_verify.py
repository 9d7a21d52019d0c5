"""`--verify` tells shards that hold what the definitions say from shards that do not."""

import json

from running import sertool

from sertool import shards

pytest_plugins = ("voices",)


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
