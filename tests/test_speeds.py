"""predict --speeds: a clip heard as from a tape at several speeds is answered by the mean."""

import csv
import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from running import PATTERN, sertool

from sertool.sound import encoding, stretching, synth

SPEEDS = ("0.8", "1", "1.25")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with voices, the same at each speed, features, and a run that can adapt."""
    folder = tmp_path_factory.mktemp("speeds")
    synth.corpus(folder / "1", speakers=4, sentences=2, write=encoding.write)
    for clip in sorted((folder / "1").rglob("*.wav")):
        samples, rate = soundfile.read(clip, dtype="float32")
        for speed in SPEEDS:
            made = stretching.resampled_by(torch.from_numpy(samples), Fraction(speed))
            place = folder / speed / clip.relative_to(folder / "1")
            place.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(place, made.numpy(), rate, "FLOAT")
    done = sertool("index", folder / "1", "--pattern", PATTERN, "--split",
                   "speaker:50/25/25")  # fmt: skip
    made = sertool("featurize", "--mel", "--mel-bands", "24", "-o", folder / "features", stdin=done.out)
    small = "-m lstm --set width=32 --set layers=1 --set dense=16 --set dropout=0 --epochs 6 --lr .03"
    words = (*small.split(), "--adapt", "speaker", "--prior-clips", "2")
    trained = sertool("train", *words, "-o", folder / "model", stdin=made.out)
    assert trained.code == 0, trained.err
    return folder


def answers(run: Path, *words: object) -> np.ndarray:
    """The probabilities, `[clips, emotions]`."""
    done = sertool("predict", "-m", run / "model", *words)
    assert done.code == 0, done.err
    rows = csv.DictReader(io.StringIO(done.out.decode()))
    return np.array([[float(value) for name, value in row.items() if name.startswith("p_")] for row in rows])


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--adapt", "speaker", "--speakers", "parent-folder"),
        ("--adapt", "speaker", "--speakers", "all", "--jobs", "1"),
        ("-m", "{run}/model/seed-0/model.safetensors"),
    ],
)
def test_answers_are_averaged_over_separately_adapted_speeds(run: Path, words: tuple[str, ...]) -> None:
    asked = [word.format(run=run) for word in words]
    each = np.stack([answers(run, *asked, run / speed) for speed in SPEEDS])
    assert np.ptp(each, axis=0).max() > 0.01  # else any one of them would do
    found = answers(run, *asked, "--speeds", ",".join(SPEEDS), run / "1")
    np.testing.assert_allclose(found, each.mean(axis=0), atol=1e-4)


@pytest.mark.slow
def test_windows_are_cut_before_the_speed_is_changed(run: Path) -> None:
    clip = next((run / "1").rglob("*.wav"))
    words = ("predict", "-m", run / "model", "--window", ".5", clip, "--speeds")
    usual, fast = (sertool(*words, speeds).out.decode() for speeds in ("1", "1.25"))
    places = [[(row["start"], row["end"]) for row in csv.DictReader(io.StringIO(out))] for out in (usual, fast)]
    assert places[0] == places[1]
    assert len(places[0]) > 1
    assert usual != fast


def test_original_speed_changes_nothing_and_reads_the_shards(run: Path) -> None:
    manifest = run / "features" / "manifest.parquet"
    usual, same = (sertool("predict", "-m", run / "model", manifest, *words) for words in ((), ("--speeds", "1")))
    assert usual.out == same.out
    assert "read from the manifest's shards" in same.err
    other = sertool("predict", "-m", run / "model", manifest, "--speeds", "1.1")
    assert "read from the manifest's shards" not in other.err
    assert other.out != usual.out


def test_shard_without_audio_is_refused_with_speeds(run: Path) -> None:
    shard = next((run / "features" / "mel").glob("*.safetensors"))
    refused = sertool("predict", "-m", run / "model", "--speeds", ".9,1.1", shard)
    assert refused.code == 2
    assert "a shard holds no sound, which --speeds needs" in refused.err


@pytest.mark.parametrize(
    ("speeds", "why"),
    [
        ("", "'' is no number"),
        ("1,", "'' is no number"),
        ("fast", "'fast' is no number"),
        ("nan", "nan is not finite"),
        ("0", "0 is not 0.25 to 4"),
        ("1,9", "9 is not 0.25 to 4"),
        ("1,.9,1.0", "names 1 more than once"),
    ],
)
def test_invalid_speeds_are_refused(run: Path, speeds: str, why: str) -> None:
    refused = sertool("predict", "-m", run / "model", "--speeds", speeds, run / "1")
    assert refused.code == 2
    assert why in refused.err
    assert refused.err.count("\n") <= 3
