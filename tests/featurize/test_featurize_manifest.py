"""featurize makes a richer manifest, and statistics as a table."""

import os

import numpy as np
import pyarrow as pa
import pytest
import torch
from featurizing import FEW
from running import ages, rows, sertool, snapshot

from sertool import features
from sertool.featurize import decoding, shard_plan
from sertool.featurize.decoding import Clip
from sertool.featurize.engine import Engine
from sertool.featurize.extraction import Extraction
from sertool.manifests import manifest, manifest_io, provenance
from sertool.sound import audio, encoding, shaping, synth


def test_featurize_keeps_the_manifest_and_adds_shard_columns(voices, tmp_path):
    done = sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    assert done.code == 0
    before, after = manifest_io.read(str(voices)), manifest_io.decode(pa.py_buffer(done.out), "-")
    assert after.select(before.column_names).equals(before)
    assert after.column_names[-3:] == ["mel_shard", "mel_offset", "mel_rows"]
    assert manifest.same_rows(after, manifest_io.read(str(tmp_path / "f" / "manifest.parquet")))
    assert [step["command"].split()[1] for step in provenance.of(after)["chain"]] == ["index", "featurize"]


def test_stored_values_equal_computed_features(voices, tmp_path):
    sertool("featurize", voices, *FEW, "-o", tmp_path / "f")
    engine = Engine(Extraction(shaping.Wave(), {name: features.settings(name, {}) for name in ("mel", "rms")}))
    for clip in shard_plan.clips_of(manifest_io.read(str(voices)))[:3]:
        expected = engine.alone(decoding.decoded(clip, engine.extraction.wave))
        for name in ("mel", "rms"):
            assert np.array_equal(rows(tmp_path / "f", name)[clip.name], expected[name])


def test_single_channel_frames_are_not_copied_and_channels_become_columns():
    engine = Engine(Extraction(shaping.Wave(), {"rms": features.settings("rms", {})}))
    frames = torch.ones(5, 1)
    assert engine._made("rms", [frames]).data_ptr() == frames.data_ptr()
    assert torch.equal(engine._made("rms", [frames, 2 * frames]), torch.tensor([[1.0, 2.0]] * 5))


def test_featurize_adds_a_feature_to_a_featurized_manifest(voices, tmp_path):
    first = sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    sertool("featurize", "-", "--rms", "-o", tmp_path / "f", stdin=first.out)
    both = sertool("featurize", voices, *FEW, "-o", tmp_path / "both")
    for name in ("mel", "rms"):
        assert snapshot(tmp_path / "f" / name) == snapshot(tmp_path / "both" / name)
    table = manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))
    assert {"mel_rows", "rms_rows"} <= set(table.column_names)
    assert set(provenance.of(table)["features"]) == {"mel", "rms"}
    assert both.code == 0


def test_manifest_losing_a_feature_is_reported(voices, tmp_path):
    sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    done = sertool("featurize", voices, "--rms", "-o", tmp_path / "f")
    assert "pointed to mel too" in done.err
    assert "(0 made now)" in sertool("featurize", voices, *FEW, "-o", tmp_path / "f").line


def test_a_featurized_manifest_can_be_featurized_again(voices, tmp_path):
    sertool("featurize", voices, "--mel", "-o", tmp_path / "f")
    before = ages(tmp_path / "f")
    assert (
        "(0 made now)" in sertool("featurize", tmp_path / "f" / "manifest.parquet", "--mel", "-o", tmp_path / "f").line
    )
    assert ages(tmp_path / "f") == before
    sertool("featurize", tmp_path / "f" / "manifest.parquet", "--mel", "--hop", "256", "-o", tmp_path / "g")
    assert all(
        str(tmp_path / "g") in shard
        for shard in manifest.column(manifest_io.read(str(tmp_path / "g" / "manifest.parquet")), "mel_shard")
    )


def test_segments_of_a_file_are_separate_clips(voices, tmp_path):
    path = manifest.column(manifest_io.read(str(voices)), "path")[0]
    lines = ["clip,path,start,duration", f"a,{path},0.0,0.5", f"b,{path},0.5,0.5", f"c,{path},0.25,0.5"]
    done = sertool("featurize", "-", "--wave", "-o", tmp_path / "f", stdin="\n".join(lines).encode())
    assert done.code == 0, done.err
    held = rows(tmp_path / "f", "wave")
    whole = np.round(audio.decode(path, audio.Cut())[0] * 32768)
    for clip, first in (("a", 0), ("b", 8000), ("c", 4000)):
        assert np.array_equal(held[clip][:, 0], whole[first : first + 8000])


def test_feature_revision_outdates_only_shards_of_that_feature(monkeypatch):
    extraction = Extraction(shaping.Wave(), {name: features.settings(name, {}) for name in ("mel", "rms")})
    before = {name: extraction.record(name) for name in ("mel", "rms")}
    monkeypatch.setattr(features.load("mel"), "REVISION", 1, raising=False)
    assert [name for name in before if extraction.record(name) != before[name]] == ["mel"]


def test_decoder_revision_outdates_only_later_segments_of_lossy_files(monkeypatch):
    def known() -> dict[tuple[str, float | None], object]:
        clips = [Clip("a", f"a{kind}", start, 1.0, "d") for kind in audio.EXTENSIONS for start in (None, 0.0, 1.0)]
        return {(clip.path, clip.start): shard_plan._identity(clip) for clip in clips}

    before = known()
    monkeypatch.setattr(audio, "LED_VERSION", audio.LED_VERSION + 1)
    changed = {place for place, held in known().items() if held != before[place]}
    assert changed == {(path, 1.0) for path in ("a.mp3", "a.ogg", "a.oga", "a.opus")}


@pytest.mark.parametrize(
    ("kind", "first"),
    [("csv", b'"clip",'), ("tsv", b'"clip"\t'), ("jsonl", b'{"clip":'), ("parquet", b"PAR1"), ("table", b"clip ")],
)
def test_stdout_has_the_manifest_in_the_requested_format(voices, tmp_path, kind, first):
    done = sertool("featurize", voices, "--rms", "-o", tmp_path / "f", "-f", kind)
    assert done.code == 0
    assert done.out.startswith(first)
    assert (tmp_path / "f" / "manifest.parquet").read_bytes().startswith(b"PAR1")


def test_default_output_folder_is_features_and_is_reported(voices, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = sertool("featurize", voices, "--rms")
    assert "in features" in done.line
    assert (tmp_path / "features" / "rms" / "00000.safetensors").exists()


def test_manifest_stays_valid_when_its_folder_is_moved(copied, tmp_path):
    sertool("featurize", copied, "--rms", "-o", copied.parent / "f")
    before = rows(copied.parent / "f", "rms")
    copied.parent.rename(tmp_path / "moved")
    after = rows(tmp_path / "moved" / "f", "rms")
    assert all(np.array_equal(after[clip], held) for clip, held in before.items())
    done = sertool("featurize", tmp_path / "moved" / "v.parquet", "--rms", "-o", tmp_path / "moved" / "f")
    assert "(0 made now)" in done.line


def test_audio_files_and_path_lists_on_stdin_give_the_same_shards(voices, tmp_path, monkeypatch):
    clips = sorted((voices.parent / "clips").rglob("*.wav"))[:3]
    monkeypatch.chdir(voices.parent)
    named = sertool("featurize", *clips, "--rms", "-o", tmp_path / "a", "-f", "jsonl")
    listed = sertool(
        "featurize", "--rms", "-o", tmp_path / "b", "-f", "jsonl", stdin="\n".join(map(str, clips)).encode()
    )
    ended = sertool(
        "featurize",
        "-0",
        "--rms",
        "-o",
        tmp_path / "c",
        "-f",
        "jsonl",
        stdin=b"".join(bytes(clip) + b"\0" for clip in clips),
    )
    assert {done.code for done in (named, listed, ended)} == {0}
    assert snapshot(tmp_path / "a" / "rms") == snapshot(tmp_path / "b" / "rms") == snapshot(tmp_path / "c" / "rms")


def test_repeated_statistic_is_stored_once(voices, tmp_path):
    for name, stats in {"once": "std,mean", "twice": "std,mean,std"}.items():
        assert sertool("featurize", voices, "--rms", "--stats", stats, "-o", tmp_path / name).code == 0
    assert snapshot(tmp_path / "once" / "rms") == snapshot(tmp_path / "twice" / "rms")


def test_no_usable_clip_is_an_error_on_first_and_later_runs(voices, tmp_path):
    lost = sertool("featurize", voices, "--rms", "--offset", 60, "-o", tmp_path / "f")
    assert (lost.code, lost.out) == (1, b"")
    assert "24 too-short" in lost.err
    refused = "sertool: no usable clip among 24 rows (24 too-short): under 50 ms, or over before --offset"
    assert lost.err.endswith(f"{refused}\n")
    known = sertool("featurize", tmp_path / "f" / "manifest.parquet", "--rms", "-o", tmp_path / "f")
    assert known.line == refused


def test_invalid_setting_is_named_once(voices, tmp_path):
    done = sertool("featurize", voices, "--pitch-fmax", 9000, "-o", tmp_path / "f")
    assert done.code == 2
    assert done.line.startswith("sertool: --pitch: fmax 9000 is above half")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--mel", "--n-fft", 256], ["--mel: 13 of 128 mel bands"]),
        (["--mel", "--mfcc", "--n-fft", 256], ["--mel and --mfcc: 13 of 128 mel bands"]),
        (["--mel", "--mfcc", "--n-fft", 256, "--mel-bands", 200], ["--mel: 48 of 200", "--mfcc: 13 of 128"]),
        (["--mel", "--mfcc", "--rms", "--contrast"], []),
    ],
)
def test_empty_mel_bands_are_counted_in_one_warning(voices, tmp_path, words, said):
    done = sertool("featurize", voices, *words, "-o", tmp_path / "f")
    assert done.code == 0
    warned = [line for line in done.err.splitlines() if "stay empty" in line]
    assert len(warned) == len(said)
    assert all(f"warning: {start}" in line for start, line in zip(said, warned, strict=True))
    if warned:
        assert "take fewer (--mel-bands) or a larger --n-fft" in warned[0]


@pytest.mark.parametrize(("words", "idle"), [
    (("-o", "f"), "--out"), (("-f", "csv", "--part", "1/2"), "--format and --part"),
    (("--verify", "3", "--overwrite"), "--verify and --overwrite"),
    (("--values", "v.csv", "--stats", "mean"), "--values"),
])  # fmt: skip
def test_options_that_plot_would_ignore_are_refused(voices, tmp_path, monkeypatch, words, idle):
    monkeypatch.chdir(tmp_path)
    done = sertool("featurize", voices, "--rms", "--plot", "p.png", *words)
    assert (done.code, list(tmp_path.iterdir())) == (2, [])
    assert f"--plot draws and stops: leave out {idle}" in done.line


def test_a_dry_run_draws_nothing(voices, tmp_path):
    clip = next((voices.parent / "clips").rglob("*.wav"))
    done = sertool("featurize", clip, "--rms", "--plot", tmp_path / "p.png", "--dry-run")
    assert done.code == 0
    assert f"would draw {clip.parent.name}/{clip.stem} in {tmp_path}/p.png" in done.err
    assert not (tmp_path / "p.png").exists()


def test_dry_run_names_each_requested_feature_with_its_shape(voices, tmp_path):
    run = ("featurize", voices, "--rms", "--mel-bands", "40", "-o", tmp_path / "f", "--dry-run")
    assert sertool(*run).line.endswith(": mel (rows of 40 columns), rms (rows of 1 column)")
    assert sertool(*run, "--stats", "mean,std").line.endswith(": mel (1 row of 80 columns), rms (1 row of 2 columns)")
    assert "Settings of --mel (any of them asks for it):" in sertool("featurize", "--help").out.decode()


def test_table_with_only_paths_is_accepted(voices, tmp_path):
    paths = manifest.column(manifest_io.read(str(voices)), "path")[:4]
    done = sertool("featurize", "-", "--rms", "-o", tmp_path / "f", stdin="\n".join(["path", *paths]).encode())
    assert done.code == 0, done.err
    assert len(rows(tmp_path / "f", "rms")) == 4


@pytest.mark.parametrize(("channels", "is_said"), [(["1", "2.0", ""], True), (["20155512345", "1", "2"], False)])
def test_only_numbers_of_channels_are_said_to_go_unheeded(voices, tmp_path, channels, is_said):
    """Other programs' ids may stand in a column of that name."""
    paths = manifest.column(manifest_io.read(str(voices)), "path")[:3]
    lines = ["path,channel", *(f"{path},{channel}" for path, channel in zip(paths, channels, strict=True))]
    done = sertool("featurize", "-", "--rms", "-o", tmp_path / "f", stdin="\n".join(lines).encode())
    assert done.code == 0, done.err
    assert ("is not heeded" in done.err) is is_said


def test_files_with_unusual_names_are_featurized(tmp_path):
    voice = synth.voice(0, "angry", 0)
    for name in ("a b.wav", "q\"'.wav", "new\nline.wav", "\u2764\ufe0f.wav", os.fsdecode(b"\xff\xfe.wav")):
        encoding.write(tmp_path / "angry" / name, voice, 16000)
    done = sertool("featurize", tmp_path / "angry", "--rms", "-o", tmp_path / "f", "-f", "jsonl")
    assert done.code == 0, done.err
    assert len(rows(tmp_path / "f", "rms")) == 5
    assert "(0 made now)" in sertool("featurize", tmp_path / "angry", "--rms", "-o", tmp_path / "f").err


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("name", ["values.csv", "values.parquet", "values.jsonl"])
def test_statistics_can_be_written_as_a_table(copied, tmp_path, name):
    (copied.parent / "clips").joinpath(manifest.column(manifest_io.read(str(copied)), "path")[3]).unlink()
    words = ("featurize", copied, "--pitch", "--rms", "--stats", "mean,std", "-o", tmp_path / "f", "--values")
    done = sertool(*words, tmp_path / name)
    assert (done.code, f"{name}: statistics of 23 clips" in done.err) == (0, True), done.err
    held = manifest_io.read_table(str(tmp_path / name))
    table = manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))
    table = manifest.keep(table, manifest.usable(table))
    stats = [f"{column}_{stat}" for stat in ("mean", "std") for column in ("f0", "voiced", "voicing")]
    told = ("clip", "path", "corpus", "speaker", "emotion")
    own = [one for one in told if one in table.column_names]
    assert held.column_names == [*own, *stats, "rms_mean", "rms_std"]
    assert manifest.column(held, "clip") == manifest.column(table, "clip")
    for feature, columns in {"pitch": stats, "rms": ["rms_mean", "rms_std"]}.items():
        stored = rows(tmp_path / "f", feature)
        found = np.array([manifest.column(held, column) for column in columns]).T
        assert np.allclose(found, [stored[clip][0] for clip in manifest.column(held, "clip")], rtol=1e-6)
    before = ages(tmp_path)
    assert "(0 made now)" in sertool(*words, tmp_path / name).err
    assert ages(tmp_path) == before
    assert sertool(*words, tmp_path / "more" / name).code == 0
    assert (tmp_path / "more" / name).is_file()


@pytest.mark.parametrize(("words", "says"), [
    (("--values", "v.csv"), "needs --stats, such as mean,std"),
    (("--values", "v.xlsx", "--stats", "mean"), "the extension says no format; choose .parquet"),
    (("--values", "v.csv", "--stats", "mean", "--part", "1/2"), "ask once more without it when all parts are made"),
])  # fmt: skip
def test_invalid_table_of_statistics_is_refused_before_any_work(voices, tmp_path, words, says):
    done = sertool("featurize", voices, "--rms", *words, "-o", tmp_path / "f")
    assert (done.code, says in done.line, (tmp_path / "f").exists()) == (2, True, False), done.err
