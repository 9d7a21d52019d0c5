"""The settings of `sertool featurize`, and what they do to waveforms and to rows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from running import again, rows, sertool

from sertool import catalogue, features
from sertool.errors import UsageError
from sertool.featurize import engine, presets, shards
from sertool.featurize.engine import Engine, TooLarge
from sertool.featurize.extraction import Extraction
from sertool.manifests import manifest, manifest_io, provenance
from sertool.numeric import reference
from sertool.sound import audio, encoding, shaping, synth

pytest_plugins = ("pretrained",)

ALL = [f"--{name.replace('_', '-')}" for name, held in catalogue.entries("features").items()
       if not {"CHOICE", "FROM_FILE"} & held.facts.keys()]  # fmt: skip


# Settings.


@pytest.mark.parametrize("words", [
    "", "--n-fft 0", "--n-fft -5", "--hop 0", "--mel-n-fft 1", "--mel-win-length 4096", "--mel-win-length 0",
    "--mel-fmin 9000", "--mel-fmin -1", "--mel-fmin nan", "--mel-fmin 300 --mel-fmax 300", "--mel-fmax 9000",
    "--mel-bands 0", "--mel-bands 1e9", "--mfcc-count 0", "--mfcc-count 129", "--mfcc-lifter -1", "--mfcc-deltas 3",
    "--rolloff-share 1.5", "--contrast-quantile 0", "--contrast-fmin 0", "--chroma-bins 0", "--bandwidth-p 0",
    "--pitch-fmin 0", "--pitch-fmin 700", "--pitch-fmax 9000", "--msf-bands 0", "--msf-fmax 9000", "--seconds 0",
    "--seconds nan", "--seconds 1e9", "--offset -1", "--trim 0", "--rate 0", "--rate 1e3", "--stats mode",
    "--normalize minmax", "--preset none", "--dtype float8", "--seed -1", "-j 0", "--verify 0", "--where purple=1",
    "-f xml", "--device tpu", "--mel --wave --normalize min-max", "--wave --stats mean",
    "--wave --dtype float32", "--mel --plot x.jpg",
])  # fmt: skip
def test_invalid_options_are_refused_in_one_line_and_leave_no_files(voices, tmp_path, words):
    done = sertool("featurize", voices, *words.split(), "-o", tmp_path / "f")
    assert done.code == 2
    assert done.line.startswith("sertool: ")
    assert not (tmp_path / "f").exists()


LIMITS = [
    (name, setting.name, limit)
    for name, entry in catalogue.entries("features").items()
    for setting in entry.settings
    for limit in (setting.low, setting.high)
    if limit is not None and "CHOICE" not in entry.facts  # encoders need weights: see test_encoders.py
]


@pytest.mark.parametrize(("feature", "setting", "limit"), LIMITS)
def test_every_setting_works_at_its_limits_or_is_refused(feature, setting, limit):
    extraction = Extraction(shaping.Wave(), {feature: features.settings(feature, {setting: limit})})
    try:
        engine = Engine(extraction)
    except UsageError:
        return
    rows = engine.alone(torch.from_numpy(synth.voice(0, "angry", 0)[4000:4800])[None])[feature]
    assert np.isfinite(rows).all()


def test_shared_settings_reach_every_feature_and_specific_ones_override_them(voices, tmp_path):
    sertool("featurize", voices, "--mel", "--rms", "--hop", "256", "--rms-hop", "128", "-o", tmp_path / "f")
    made = provenance.of(manifest_io.read(str(tmp_path / "f" / "manifest.parquet")))["features"]
    assert made["mel"]["settings"]["hop"] == 256
    assert made["rms"]["settings"]["hop"] == 128


def test_giving_a_setting_of_a_feature_selects_the_feature(voices, tmp_path):
    assert "mel of 24 clips" in sertool("featurize", voices, "--mel-bands", "40", "-o", tmp_path / "f").line


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--pitch --n-fft 1024", "--n-fft changes nothing of --pitch: leave it out"),
        ("--zcr --rms --win-length 400", "--win-length changes nothing of --rms, --zcr: leave it out"),
        ("--wave --msf --hop 160", "--hop changes nothing of --msf, --wave: leave it out"),
        ("--mel --mel-scale log --mel-top-db 60", "--mel-top-db goes with --mel-scale db, not log"),
        ("--preset acnt --mel-ref max", "--mel-ref goes with --mel-scale db, not log"),
    ],
)
def test_settings_without_effect_are_refused(voices, tmp_path, words, says):
    done = sertool("featurize", voices, *words.split(), "-o", tmp_path / "f")
    assert (done.code, says in done.line) == (2, True), done.line
    assert not (tmp_path / "f").exists()


def test_shared_setting_is_accepted_if_any_feature_uses_it(voices, tmp_path):
    assert sertool("featurize", voices, "--mel", "--pitch", "--n-fft", 1024, "--dry-run").code == 0


def test_power_of_quiet_speech_is_stored_accurately(tmp_path):
    encoding.write(tmp_path / "soft.wav", 1e-2 * synth.voice(0, "angry", 0), 16000)
    words = ("featurize", tmp_path / "soft.wav", "--mel", "--mel-scale")
    sertool(*words, "power", "-o", tmp_path / "power")
    sertool(*words, "log", "--dtype", "float32", "-o", tmp_path / "log")
    power, logs = (next(iter(rows(tmp_path / how, "mel").values())) for how in ("power", "log"))
    assert np.allclose(np.log(np.maximum(power, 1e-10)), logs, atol=1e-4)
    assert shards.head_of(tmp_path / "power" / "mel" / "00000.safetensors").dtype == "float32"


def test_values_that_float16_cannot_hold_are_refused(voices, tmp_path):
    loud = ("--mel-scale", "power", "--mel-norm", "none", "--mel-bands", "1", "--mel-window", "ones")
    done = sertool("featurize", voices, *loud, "--dtype", "float16", "-o", tmp_path / "f")
    assert done.code == 1
    assert "--dtype float32" in done.line
    assert sertool("featurize", voices, *loud, "--dtype", "float32", "-o", tmp_path / "f").code == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_values_that_float16_rounds_to_infinity_are_refused(sign):
    largest = torch.tensor([[0.0, sign * 65_519.0]])  # which it rounds to 65,504
    assert engine._as_stored(largest, "float16", "x").tolist() == [[0, sign * 65_504]]
    with pytest.raises(TooLarge, match="x has values that float16 cannot hold"):
        engine._as_stored(torch.tensor([[0.0, sign * 65_520.0]]), "float16", "x")


@pytest.mark.usefixtures("small_encoders")
@pytest.mark.parametrize("name", [name for name in presets.PRESETS if name != "base"])  # on real ears: test_shipped
def test_every_preset_runs_and_explicit_options_override_it(voices, tmp_path, name):
    given = () if "hop" not in presets.PRESETS[name]["options"] else ("--hop", "200")
    done = sertool("featurize", voices, "--preset", name, *given, "--where", "speaker~s01", "-o", tmp_path / "f")
    assert done.code == 0, done.err
    made = provenance.of(manifest_io.read(str(tmp_path / "f" / "manifest.parquet")))["features"]
    assert set(made) == set(presets.PRESETS[name]["features"])
    assert not given or {record["settings"]["hop"] for record in made.values()} == {200}


@pytest.mark.parametrize(("name", "feature", "shape"), [
    ("acnt", "mel", (174, 40)), ("imagenet", "mel", (157, 256)), ("clstm", "mfcc", (401, 20)),
    ("mel-30", "mel", (79, 30)), ("classic-1d", "mfcc", (1, 100)), ("mfcc-128", "mfcc", (173, 128)),
    ("msf-mfcc", "mfcc", (1, 40)),
])  # fmt: skip
def test_presets_give_the_published_feature_shapes(voices, tmp_path, name, feature, shape):
    sertool("featurize", voices, "--preset", name, "--where", "speaker~s01", "-o", tmp_path / "f")
    assert {held.shape for held in rows(tmp_path / "f", feature).values()} == {shape}


def test_list_option_names_every_feature_encoder_and_preset():
    done = sertool("featurize", "--list")
    assert done.code == 0
    encoders = [f"--{family} {name}" for family, entry in catalogue.entries("encoders").items()
                for name in entry.facts["SIZES"]]  # fmt: skip
    assert all(word in done.out.decode() for word in [*ALL, *presets.PRESETS, *encoders, "MIT", "Radford et al."])


# What becomes of the waveform and of the rows.


def wave_of(voices: Path, folder: Path, *words: object) -> np.ndarray:
    """The stored waveform of one clip, `[samples, channels]`."""
    clip = manifest.column(manifest_io.read(str(voices)), "clip")[0]
    assert sertool("featurize", voices, "--wave", "--where", f"clip={clip}", *words, "-o", folder).code == 0
    return rows(folder, "wave")[clip]


def test_stored_waveform_equals_the_file(voices, tmp_path):
    path = manifest.column(manifest_io.read(str(voices)), "path")[0]
    stored = wave_of(voices, tmp_path / "f")
    assert np.array_equal(stored[:, 0], np.round(audio.decode(path, audio.Cut())[0] * 32768))


def test_fixed_length_keeps_the_requested_part_of_the_clip(voices, tmp_path):
    whole = wave_of(voices, tmp_path / "w")[:, 0]
    for fit, first in (("start", 0), ("middle", (len(whole) - 8000) // 2)):
        assert np.array_equal(
            wave_of(voices, tmp_path / fit, "--seconds", 0.5, "--fit", fit)[:, 0], whole[first : first + 8000]
        )
    spare = 64000 - len(whole)
    for fit, first in (("start", 0), ("middle", spare // 2)):
        padded = wave_of(voices, tmp_path / f"{fit}4", "--seconds", 4, "--fit", fit)[:, 0]
        assert np.array_equal(padded, np.pad(whole, (first, spare - first)))
    random_cut = wave_of(voices, tmp_path / "r", "--seconds", 0.5, "--fit", "random")[:, 0]
    assert random_cut.tobytes() in whole.tobytes()


def test_trimming_removes_silence_at_both_ends(copied, tmp_path):
    voice = synth.voice(0, "angry", 0)
    path = Path(manifest.column(manifest_io.read(str(copied)), "path")[0])
    encoding.write(path, np.concatenate([np.zeros(16000), voice, np.zeros(16000)]).astype(np.float32), 16000)
    again(copied)
    trimmed = wave_of(copied, tmp_path / "f", "--trim", 40)
    assert abs(len(trimmed) - len(voice)) < 4096


@pytest.mark.parametrize(("decibels", "kept"), [(35, 3), (25, 1)])
def test_trimming_removes_ends_quieter_than_the_requested_decibels(decibels, kept):
    level = torch.tensor([-30.0, 0.0, -30.0]).repeat_interleave(16_000)
    wave = 10 ** (level / 20) * torch.tensor([1.0, -1.0]).repeat(24_000)
    trimmed = shaping.shape(wave[None], shaping.Wave(trim=decibels), "x")
    assert trimmed.shape[1] / 16_000 == pytest.approx(kept, abs=0.15)


def test_dc_offset_is_removed_on_request(copied, tmp_path):
    path = Path(manifest.column(manifest_io.read(str(copied)), "path")[0])
    encoding.write(path, synth.voice(0, "angry", 0) * 0.5 + 0.1, 16000)
    again(copied)
    assert abs(wave_of(copied, tmp_path / "a").mean()) > 3000
    assert abs(wave_of(copied, tmp_path / "b", "--remove-dc").mean()) < 1


def test_channels_option_gives_mono_left_or_stereo(copied, tmp_path):
    left, right = synth.voice(0, "angry", 0)[:20000] * 0.5, synth.voice(1, "sad", 1)[:20000] * 0.5
    path = Path(manifest.column(manifest_io.read(str(copied)), "path")[0])
    encoding.write(path, np.stack([left, right], axis=1), 16000)
    again(copied)
    both = wave_of(copied, tmp_path / "stereo", "--channels", "stereo").astype(float)
    assert np.abs(both - np.round(np.stack([left, right], axis=1) * 32768)).max() <= 1
    assert np.array_equal(wave_of(copied, tmp_path / "left", "--channels", "left")[:, 0], both[:, 0])
    assert np.abs(wave_of(copied, tmp_path / "mono")[:, 0] - both.mean(axis=1)).max() <= 1
    mono = manifest.column(manifest_io.read(str(copied)), "clip")[1]
    sertool("featurize", copied, "--wave", "--channels", "stereo", "-o", tmp_path / "copy")
    copy = rows(tmp_path / "copy", "wave")[mono]
    assert np.array_equal(copy[:, 0], copy[:, 1])


def test_normalisations_are_applied_in_sequence(voices, tmp_path):
    plain = ("--mel", "--dtype", "float32")
    sertool("featurize", voices, *plain, "-o", tmp_path / "plain")
    sertool("featurize", voices, *plain, "--normalize", "min-max,z-score-columns", "-o", tmp_path / "chain")
    before, after = rows(tmp_path / "plain", "mel"), rows(tmp_path / "chain", "mel")
    for clip, held in before.items():
        scaled = (held - held.min()) / (held.max() - held.min())
        expected = (scaled - scaled.mean(axis=0)) / np.maximum(scaled.std(axis=0), 1e-8)
        assert np.allclose(after[clip], expected, atol=2e-3)


@pytest.mark.parametrize(
    ("how", "channels"),
    [
        ("z-score-columns", "mono"),
        pytest.param("mean-columns", "mono", marks=pytest.mark.slow),
        pytest.param("mean-columns,z-score-columns", "stereo", marks=pytest.mark.slow),
    ],
)
def test_unvoiced_frames_are_ignored_by_normalisation_and_stay_zero(voices, tmp_path, how, channels):
    words = ("featurize", voices, "--pitch", "--channels", channels)
    sertool(*words, "-o", tmp_path / "plain")
    sertool(*words, "--normalize", how, "-o", tmp_path / "scaled")
    done = sertool(*words, "--normalize", how, "--stats", "mean,std", "--verify", 3, "-o", tmp_path / "stats")
    assert done.code == 0, done.err
    before, after, stats = (rows(tmp_path / name, "pitch") for name in ("plain", "scaled", "stats"))
    for clip, held in before.items():
        width, f0 = held.shape[1], after[clip][:, 0]
        voiced = held[:, 1] > 0
        assert 0 < voiced.sum() < len(held)
        far, size = held[voiced, 0] - held[voiced, 0].mean(), held[voiced, 0].std()
        spread = size if how == "mean-columns" else 1.0
        np.testing.assert_allclose(f0[voiced], far * spread / size, atol=2e-3)
        assert not f0[~voiced].any()
        np.testing.assert_allclose(after[clip][:, 2].mean(), 0, atol=1e-4)
        np.testing.assert_allclose(stats[clip][0, [0, width]], [0, spread], atol=1e-3)


def test_column_without_counted_cells_is_zero_after_normalisation():
    frames = torch.tensor([[3.0, 0.0], [5.0, 0.0]])
    made = shaping.normalized(frames, ("z-score-columns",), shaping.counted(frames, 1, {0: 1}))
    assert torch.equal(made, torch.zeros(2, 2))


@pytest.mark.parametrize("name", list(shaping.NORMALIZATIONS))
@pytest.mark.parametrize("factor", [2.0**-66, 2.0**20])
def test_normalisations_are_exact_at_extreme_scales(name, factor):
    frames = torch.from_numpy(np.random.default_rng(0).gamma(2.0, 1.0, (50, 3)).astype(np.float32))
    expected = shaping.normalized(frames, (name,)) * (factor if name == "mean-columns" else 1.0)
    assert torch.equal(shaping.normalized(frames * factor, (name,)), expected)


@pytest.mark.parametrize("level", [0.0, 1e5, 1e-30, 1e30])
@pytest.mark.parametrize("rows", [1, 50, 5000])
@pytest.mark.parametrize(("name", "within"), [("std", 1e-6), ("skew", 1e-5), ("kurtosis", 1e-5), ("slope", 1e-4)])
def test_statistics_match_double_precision_at_any_level(level, rows, name, within):
    frames = torch.from_numpy(np.random.default_rng(0).gamma(2.0, 1.0, (rows, 3)).astype(np.float32))
    frames = frames * level if level in (1e-30, 1e30) else frames + level
    found = shaping.summary(frames, (name,))
    np.testing.assert_allclose(found, reference.summary(frames.double().numpy(), (name,)), rtol=within)


def test_rows_are_sorted_once_for_all_order_statistics(monkeypatch):
    sort, sorted_rows = np.sort, []
    monkeypatch.setattr(np, "sort", lambda rows, axis: sorted_rows.append(rows) or sort(rows, axis))
    frames = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (50, 3)))
    found = shaping.summary(frames, ("median", "iqr", "q05"))[0]
    np.testing.assert_allclose(found, reference.summary(frames.numpy(), ("median", "iqr", "q05"))[0])
    assert len(sorted_rows) == 1


@pytest.mark.parametrize("name", ["skew", "kurtosis"])
@pytest.mark.parametrize("factor", [2.0**-100, 2.0**-40, 2.0**100])
def test_skewness_and_kurtosis_do_not_depend_on_scale(name, factor):
    frames = torch.from_numpy(np.random.default_rng(0).gamma(2.0, 1.0, (50, 3)).astype(np.float32))
    assert torch.equal(shaping.summary(frames * factor, (name,)), shaping.summary(frames, (name,)))


@pytest.mark.parametrize("level", [-62.43821, 0.1, 3e-11, 0.0])
def test_rounding_adds_no_variation_to_a_constant_column(level):
    frames = torch.full((57, 2), level)  # whose sum is rounded
    frames[:, 1] = torch.arange(57.0)
    assert not shaping.normalized(frames, ("z-score-columns",))[:, 0].any()
    assert not shaping.normalized(frames[:, :1], ("z-score",)).any()
    assert shaping.summary(frames, ("skew", "kurtosis"))[0, [0, 2]].tolist() == [0, -3]


@pytest.mark.parametrize("how", ["min-max", "z-score", "peak", "mean-columns,min-max"])
def test_joint_normalisation_of_pitch_columns_is_refused(voices, tmp_path, how):
    done = sertool("featurize", voices, "--mel", "--pitch", "--normalize", how, "-o", tmp_path / "f")
    assert done.code == 2
    assert "of --pitch together" in done.line
    assert "use z-score-columns or mean-columns" in done.line
    assert not (tmp_path / "f").exists()


def test_stored_statistics_match_those_of_the_rows(voices, tmp_path):
    assert list(reference.STATISTICS) == list(shaping.STATS)
    names = tuple(shaping.STATS)
    sertool("featurize", voices, "--mel", "--dtype", "float32", "-o", tmp_path / "rows")
    sertool("featurize", voices, "--mel", "--stats", ",".join(names), "-o", tmp_path / "stats")
    head = shards.head_of(tmp_path / "stats" / "mel" / "00000.safetensors")
    assert head.columns[128] == "mel_0_std"
    for clip, held in rows(tmp_path / "rows", "mel").items():
        expected = reference.summary(held.astype(np.float64), names)
        assert np.allclose(rows(tmp_path / "stats", "mel")[clip], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", list(shaping.STATS))
def test_statistics_of_few_rows_match_their_definitions(name, count):
    frames = torch.from_numpy(np.random.default_rng(0).normal(0, 10, (count + 3, 2)))
    frames[:, 1] = frames[:, 1] + 100
    counted = torch.ones(count + 3, 2, dtype=torch.bool)
    counted[[0, 2, -1], 1] = False  # a gap, and the ends
    for held, where in ((frames[:count], None), (frames, counted)):
        found = shaping.summary(held, (name,), where)
        expected = reference.summary(held.numpy(), (name,), None if where is None else where.numpy())
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_single_row_clip_has_finite_statistics(tmp_path):
    encoding.write(tmp_path / "neutral" / "a.wav", synth.voice(0, "angry", 0)[2000:3000], 16000)
    done = sertool(
        "featurize",
        tmp_path / "neutral",
        *(set(ALL) - {"--wave"}),
        "--stats",
        ",".join(shaping.STATS),
        "-o",
        tmp_path / "f",
    )
    assert done.code == 0, done.err
    for name in sorted({word.removeprefix("--") for word in ALL} - {"wave"}):
        assert all(np.isfinite(held).all() for held in rows(tmp_path / "f", name).values()), name


def test_shaping_leaves_the_input_waveform_unchanged():
    wave = torch.arange(8.0)[None]
    shaped = shaping.shape(wave, shaping.Wave(remove_dc=True), "x")
    assert torch.equal(wave, torch.arange(8.0)[None])
    assert float(shaped.mean()) == 0
