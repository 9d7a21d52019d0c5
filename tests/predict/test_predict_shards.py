"""predict from shards: the same answers as from the audio."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from predicted_rows import assert_told_apart, probabilities, rows_of
from running import sertool

from sertool.featurize import shards
from sertool.manifests import manifest, manifest_io, merging
from sertool.predict import voice_names


def test_audio_and_its_shard_get_the_same_probabilities(run: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    gone = manifest.with_column(table, "path", [f"/nowhere/{clip}.wav" for clip in manifest.column(table, "clip")])
    manifest_io.write(gone, tmp_path / "gone.parquet", "parquet")
    heard = table.drop_columns([name for name in table.column_names if name.startswith("mel_")])
    manifest_io.write(heard, tmp_path / "heard.parquet", "parquet")
    from_shards, from_waves = (
        rows_of(sertool("predict", "-m", run / "model", tmp_path / name).out)
        for name in ("gone.parquet", "heard.parquet")
    )
    assert len(from_shards) == len(from_waves) == len(table)
    for one, other in zip(from_shards, from_waves, strict=True):
        assert probabilities(one) == pytest.approx(probabilities(other), abs=1e-4)
        assert {name: one[name] for name in ("clip", "start", "end")} == {
            name: other[name] for name in ("clip", "start", "end")
        }


def test_shard_files_are_predicted_clip_by_clip(run: Path) -> None:
    shard = next((run / "features" / "mel").glob("*.safetensors"))
    of_manifest = rows_of(sertool("predict", "-m", run / "model", run / "features" / "manifest.parquet").out)
    wanted = {row["clip"]: probabilities(row) for row in of_manifest}
    found = {row["clip"]: probabilities(row) for row in rows_of(sertool("predict", "-m", run / "model", shard).out)}
    assert found
    assert found == {clip: wanted[clip] for clip in found}


@pytest.mark.parametrize("held", [["lost", "one", "two"], ["one", "lost", "two"], ["lost"]])
def test_clips_without_rows_in_a_shard_keep_their_issue(run: Path, tmp_path: Path, held: list[str]) -> None:
    head, rows = shards.read(next((run / "features" / "mel").glob("*.safetensors")), "mel")
    counts = [0 if clip == "lost" else 20 for clip in held]
    made = replace(head, path=tmp_path / "made.safetensors", clips=held, rows=counts, issues={"lost": "truncated"})
    shards.write(made, "mel", [rows[: sum(counts)]])
    done = sertool("predict", "-m", run / "model", "--strict", made.path)
    found = [(row["clip"], row["issue"], bool(row["predicted"])) for row in rows_of(done.out)]
    assert found == [(clip, "truncated" if clip == "lost" else "", clip != "lost") for clip in held]
    assert done.code == 1


def test_shards_with_other_settings_are_ignored_in_favour_of_the_audio(run: Path, tmp_path: Path) -> None:
    made = sertool(
        "featurize", "--mel", "--mel-bands", "20", "-o", tmp_path / "other", run / "features/manifest.parquet"
    )
    assert made.code == 0, made.err
    half = [manifest_io.read(str(folder / "manifest.parquet")) for folder in (run / "features", tmp_path / "other")]
    mixed = merging.stacked([half[0].slice(0, 3), half[1].slice(3)])
    manifest_io.write(mixed, tmp_path / "mixed.parquet", "parquet")
    own = rows_of(sertool("predict", "-m", run / "model", run / "features" / "manifest.parquet").out)
    for place in (tmp_path / "other" / "manifest.parquet", tmp_path / "mixed.parquet"):
        other = rows_of(sertool("predict", "-m", run / "model", place).out)
        for one, theirs in zip(own, other, strict=True):
            assert probabilities(one) == pytest.approx(probabilities(theirs), abs=1e-4)
    shard = next((tmp_path / "other" / "mel").glob("*.safetensors"))
    refused = sertool("predict", "-m", run / "model", shard)
    assert refused.code == 2
    assert "not made as the model needs" in refused.err


def test_unwritten_copies_are_predicted_from_their_shards(run: Path, tmp_path: Path) -> None:
    words = ("--copies", 1, "--noise", 10, "--where", "split=train")
    copied = sertool("augment", run / "features" / "manifest.parquet", *words, "-o", tmp_path / "copies.parquet")
    assert copied.code == 0, copied.err
    asked = sertool("predict", "-m", run / "model", tmp_path / "copies.parquet")
    assert "augmented copies are left out" in asked.err
    made = sertool("featurize", tmp_path / "copies.parquet", "--mel", "--mel-bands", 24, "-o", tmp_path / "features")
    assert made.code == 0, made.err
    answered = sertool("predict", "-m", run / "model", tmp_path / "features" / "manifest.parquet")
    assert answered.code == 0, answered.err
    assert len(rows_of(answered.out)) == 2 * len(rows_of(asked.out))
    assert_told_apart(answered.out)


@pytest.mark.parametrize("words", [("--window", ".5"), ("--channel", "left"), ("--trim", "30")])
def test_options_needing_audio_are_refused_for_bare_shards(run: Path, words: tuple[str, ...]) -> None:
    shard = next((run / "features" / "mel").glob("*.safetensors"))
    refused = sertool("predict", "-m", run / "model", *words, shard)
    assert refused.code == 2
    assert words[0] in refused.err
    heard = sertool("predict", "-m", run / "model", *words, run / "features" / "manifest.parquet")
    assert heard.code == 0, heard.err


def test_folder_of_features_is_refused_with_a_hint_at_its_manifest(run: Path) -> None:
    refused = sertool("predict", "-m", run / "model", run / "features")
    assert refused.code == 2
    assert "manifest.parquet" in refused.err


def test_speaker_is_derived_from_the_clip_id_without_a_path(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    row = {"path": "", "clip": "calls/ann/sad_1"}
    assert voice_names.SpeakerNames("parent-folder").of(row) == "ann"
    assert voice_names.SpeakerNames("{speaker}/{}_{}.wav").of(row) == "ann"
    assert voice_names.SpeakerNames("parent-folder").of({"path": "", "clip": "sad_1"}) is None
