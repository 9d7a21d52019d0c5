"""train --gap: the optimism of leaky protocols."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from running import changed, column, sertool
from training_run import TINY, said_of, table, train

from sertool.divisions import heldout
from sertool.divisions.heldout import HeldOutOptions
from sertool.manifests import manifest, manifest_io, merging
from sertool.system import talk
from sertool.train import optimism
from sertool.train.emotion_aim import EmotionAim


def test_optimism_gap_compares_a_leaky_with_a_disjoint_run(mel: Path, tmp_path: Path) -> None:
    done = train(mel, *TINY, "--gap", "--split", "random-60-20-20", "-o", tmp_path)
    lines = done.err.splitlines()
    gap, accuracy = next(lines[place : place + 2] for place, line in enumerate(lines) if "optimism gap" in line)
    values = []
    for side in ("leaky", "disjoint"):
        held = table(tmp_path / side)
        scored = json.loads(sertool("eval", tmp_path / side / "predictions.parquet", "--format", "json").out)
        uar, wa = (scored["runs"][0]["figures"][name] for name in ("uar", "wa"))
        value, low, high = (100 * uar[name] for name in ("value", "low", "high"))
        values.append(100 * wa["value"])
        assert "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * wa[name] for name in ("value", "low", "high"))) in accuracy
        clips, speakers = len(held["clip"]), len(set(held["speaker"]))
        assert (
            f"{value:.1f} [{low:.1f}, {high:.1f}] of {clips} clips of {talk.counted(speakers, 'speaker')} under" in gap
        )
    assert accuracy.startswith(f"  {values[0] - values[1]:+.1f} [")
    assert "points of accuracy: " in accuracy
    assert "pooled" not in gap
    assert "under random-60-20-20" in done.err
    assert "under speaker:60/20/20" in done.err
    leaky, disjoint = (column(tmp_path / name / "seed-0" / "split.parquet", "split") for name in ("leaky", "disjoint"))
    assert leaky != disjoint
    assert "speaker:60/20/20" in sertool("eval", stdin=done.out).out.decode()


@pytest.mark.parametrize(
    ("asked", "usual", "sides"),
    [
        ({}, None, ["random", "speaker:70/15/15"]),
        ({}, "random-70-30", ["random-70-30", "speaker:66.5/3.5/30"]),
        ({"split": "random-80-20"}, None, ["random-80-20", "speaker:80/20"]),
        ({"split": "speaker:train=70/dev=30"}, None, ["random", "speaker:train=70/dev=30"]),
        ({"split": "speaker"}, "random-80-20", ["random-80-20", "speaker"]),
    ],
)
def test_a_gap_is_between_what_was_asked_for_and_a_split_that_differs_in_whether_it_leaks(
    mel: Path, asked: dict, usual: str | None, sides: list[str]
) -> None:
    ways = heldout.ways(manifest_io.read(str(mel)), HeldOutOptions(gap=True, **asked), usual)
    assert [way.protocol for way in ways] == sides


@pytest.mark.parametrize("words", [(), ("--folds", 4), ("--split", "speaker:60/40"), ("--split", "loso"), ("own",)])
def test_sides_of_a_gap_have_parts_as_large(statistics: Path, tmp_path: Path, words: tuple) -> None:
    own = tmp_path / "own.parquet"
    first, second, *_ = sorted(set(column(statistics, "speaker")))
    parts = {first: "dev", second: "test"}
    changed(statistics, own, split=[parts.get(who, "train") for who in column(statistics, "speaker")])
    asked = (own,) if words == ("own",) else (statistics, *words)
    train(*asked, "-m", "lda", "--gap", "-o", tmp_path)
    leaky, *disjoint = (
        np.array([column(path, "split").count(part) for part in ("train", "dev", "test")])
        for path in sorted(tmp_path.glob("leaky/**/split.parquet")) + sorted(tmp_path.glob("disjoint/**/split.parquet"))
    )
    assert np.abs(leaky - np.mean(disjoint, axis=0)).max() <= 2


def sides_of(run: Path, *words: object) -> list[dict[str, list]]:
    """The parts of the leaky and of the disjoint side of --gap."""
    train(*words, "--gap", "-o", run)
    paths = [run / side / "seed-0" / "split.parquet" for side in ("leaky", "disjoint")]
    return [manifest_io.read(str(path)).to_pydict() for path in paths]


def test_both_sides_of_a_gap_use_the_same_clips(two_corpora: Path, tmp_path: Path) -> None:
    leaky, disjoint = sides_of(tmp_path, two_corpora, *TINY)
    used = {clip for clip, part in zip(disjoint["clip"], disjoint["split"], strict=True) if part}
    assert len(used) == len(disjoint["clip"]) / 2  # the other corpus has no part
    assert set(leaky["clip"]) == used


@pytest.mark.parametrize(("how", "shares"), [("random-60-20-20", "60/20/20"), ("sentence:80/20", "80/20")])
def test_split_that_shares_speakers_becomes_the_leaky_side_of_a_gap(
    statistics: Path, tmp_path: Path, how: str, shares: str
) -> None:
    sentences = [f"{place % 5}" for place in range(len(column(statistics, "clip")))]
    said = changed(statistics, tmp_path / "said.parquet", sentence=sentences)
    own = tmp_path / "own.parquet"
    assert sertool("index", said, "--split", how, "-o", own).code == 0
    for number, words in enumerate([(own,), (said, "--split", how)]):
        leaky, disjoint = sides_of(tmp_path / f"{number}", *words, "-m", "lda")
        assert dict(zip(leaky["clip"], leaky["split"], strict=True)) == dict(
            zip(column(own, "clip"), column(own, "split"), strict=True)
        )
        parts = set(zip(disjoint["speaker"], disjoint["split"], strict=True))
        assert len(parts) == len(set(disjoint["speaker"]))
        assert how in said_of(tmp_path / f"{number}" / "leaky")
        assert f"speaker:{shares}" in said_of(tmp_path / f"{number}" / "disjoint")


def test_gap_of_held_out_clips_without_labels_is_refused(statistics: Path, tmp_path: Path) -> None:
    first = min(column(statistics, "speaker"))
    own = ["test" if who == first else "train" for who in column(statistics, "speaker")]
    known = [None if part == "test" else word for part, word in zip(own, column(statistics, "emotion"), strict=True)]
    bare = changed(statistics, tmp_path / "bare.parquet", split=own, emotion=known)
    assert "nothing to compare" in train(bare, "-m", "lda", "--gap", "-o", tmp_path / "run", code=1).line


def _held_out(speakers: int, right: int, emotions: tuple[str, ...] = ("sad", "happy"), **more: list) -> manifest.Table:
    """Answers to ten clips of each speaker and emotion, of which as many are right."""
    rows = [(s, e, k) for s in range(speakers) for e in emotions for k in range(10)]
    return manifest.from_columns({
        "clip": [f"{s}/{e}/{k}" for s, e, k in rows], "speaker": [f"x:{s}" for s, _, _ in rows],
        "emotion": [e for _, e, _ in rows], "predicted": [e if k < right else "calm" for _, e, k in rows], **more,
    })  # fmt: skip


def _gap(capsys: pytest.CaptureFixture[str], leaky: manifest.Table, honest: manifest.Table) -> str:
    optimism.say(["random-80-20", "loso"], [leaky, honest], EmotionAim())
    return capsys.readouterr().err


def test_optimism_gap_covers_only_emotions_that_both_sides_hold_out(capsys: pytest.CaptureFixture[str]) -> None:
    said = _gap(capsys, _held_out(8, 9, ("sad", "happy", "fear")), _held_out(8, 6))
    assert "optimism gap +30.0 [+30.0, +30.0] points of UAR: 90.0 [-, -] of 160 clips of 8 speakers under" in said
    assert "bootstrap over speakers; figures of what both hold out: happy, sad" in said
    assert "both hold out" not in _gap(capsys, _held_out(8, 9), _held_out(8, 6))
    assert "no emotion in common" in _gap(capsys, _held_out(8, 9, ("fear",)), _held_out(8, 6))


def test_optimism_gap_is_also_given_in_clip_weighted_accuracy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rarer = merging.stacked([_held_out(8, 9, ("sad",)), _held_out(8, 6, ("happy",)), _held_out(8, 6, ("happy",))])
    rarer = manifest.with_column(rarer, "clip", [f"{place}" for place in range(len(rarer))])
    said = _gap(capsys, rarer, _held_out(8, 5))
    assert "+25.0 [+25.0, +25.0] points of UAR: 75.0 [-, -] of 240 clips" in said
    assert "  +20.0 [+20.0, +20.0] points of accuracy: 70.0 [-, -], 50.0 [-, -]\n" in said


def test_an_optimism_gap_is_over_the_same_emotions_in_every_resample(capsys: pytest.CaptureFixture[str]) -> None:
    one_is_afraid = merging.stacked([_held_out(8, 9), _held_out(1, 0, ("fear",))])
    assert "UAR: 60.0 [-, -] of 170 clips of 8 speakers" in _gap(capsys, one_is_afraid, one_is_afraid)


def test_optimism_gap_states_where_clips_are_resampled_instead_of_speakers(capsys: pytest.CaptureFixture[str]) -> None:
    few = "over clips, for fewer than 8 speakers: it says nothing about others"
    assert f"bootstrap over speakers, but under loso {few}" in _gap(capsys, _held_out(8, 9), _held_out(2, 6))
    assert f"bootstrap {few}" in _gap(capsys, _held_out(3, 9), _held_out(2, 6))


def test_interval_of_an_optimism_gap_is_wider_than_those_of_its_sides(capsys: pytest.CaptureFixture[str]) -> None:
    for speakers in (2, 12):  # of as many speakers on both sides, which must not be drawn together
        mixed = merging.stacked([_held_out(speakers, 9), _held_out(2 * speakers, 5)])
        mixed = manifest.with_column(mixed, "clip", [f"{place}" for place in range(len(mixed))])
        said = _gap(capsys, mixed, mixed)
        gap, side = (float(high) - float(low) for low, high in re.findall(r"\[([-+.\d]+), ([-+.\d]+)\]", said)[:2])
        assert 1.25 * side < gap < 1.6 * side  # by the square root of 2


def test_an_optimism_gap_is_no_surer_for_the_same_answers_under_several_seeds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    once, honest = _held_out(4, 9), _held_out(4, 5)
    twice = merging.stacked([manifest.with_column(once, "seed", [seed] * len(once)) for seed in (0, 1)])
    assert _gap(capsys, twice, honest).replace(", all trainings pooled", "") == _gap(capsys, once, honest)


def test_optimism_gap_of_several_trainings_is_labelled_as_pooled(capsys: pytest.CaptureFixture[str]) -> None:
    folds = _held_out(8, 6, fold=[place // 80 for place in range(160)])
    assert "points of UAR, all trainings pooled: " in _gap(capsys, _held_out(8, 9), folds)
