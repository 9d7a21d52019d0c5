"""Every effect is decided by its drawn numbers alone, and does what its name says."""

import json
from dataclasses import asdict
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch_pitch_shift import pitch_shift
from torchaudio.functional import resample

from sertool import catalogue, effects
from sertool.errors import SertoolError
from sertool.sound import encoding, filters, ratios, sounds, stretching

RATE = 16_000
ENTRIES = catalogue.entries("effects")
CHANGES_LENGTH = ("tempo", "speed")
LENGTHS = (RATE, 1, 9_999, 20_001, 300, 12_000, 513)


@pytest.fixture(scope="module")
def noises(tmp_path_factory):
    """Two noises: one longer than the clips here, one shorter."""
    folder = tmp_path_factory.mktemp("noises")
    for name, seconds in (("long", 3.0), ("short", 0.3)):
        wave = np.random.default_rng(len(name)).normal(0, 0.1, round(seconds * 22_050))
        encoding.write(folder / f"{name}.wav", wave.astype(np.float32), 22_050)
    return str(folder)


def voice(samples=RATE, seed=0):
    """Something with harmonics, pauses and noise, `[samples]`."""
    time = np.arange(samples) / RATE
    tone = sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 8))
    wave = 0.2 * tone * (np.sin(2 * np.pi * 2 * time) > 0) + np.random.default_rng(seed).normal(0, 1e-3, samples)
    return torch.from_numpy(wave.astype(np.float32))


def tone(hz, seconds=1.0):
    return torch.from_numpy(np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)) * 0.5


def pitch_of(wave):
    """The strongest frequency of the middle of `[samples]`."""
    middle = wave[len(wave) // 4 : -len(wave) // 4].numpy()
    power = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 18))
    return float(power.argmax()) * RATE / (1 << 18)


def decibels(wave):
    return 10 * float(wave.double().square().mean().clamp(min=1e-30).log10())


def settings_of(name, noises, **values):
    module = effects.load(name)
    if not ENTRIES[name].settings:
        return None
    folder = {"folder": noises} if ENTRIES[name].settings[0].name == "folder" else {}
    return module.Settings(**folder, **values)


def rng(seed=0):
    return np.random.Generator(np.random.Philox(seed))


def drawn(name, noises, seed=0, **values):
    return effects.load(name).draw(rng(seed), settings_of(name, noises, **values))


def apply(name, wave, numbers):
    return effects.applied(wave, RATE, effects.text([{"effect": name, **numbers}]))


def together(waves, chains):
    """What is made of clips at once, `[channels, samples]` each, as on a device."""
    texts = [effects.text(chain) for chain in chains]
    readied = [effects.prepare_chain(wave.shape[1], RATE, text) for wave, text in zip(waves, texts, strict=True)]
    return effects.applied_together(waves, RATE, readied)


def alike(one, other, name=""):
    """Whether two sounds differ by rounding; the telephone's may fall to the next level where they do."""
    if one.shape != other.shape:
        return False
    far = (one - other).abs() > 1e-4
    return float(far.float().mean()) < 1e-3 if name == "telephone" else not bool(far.any())


# The contract of every file of the folder


@pytest.mark.parametrize("name", ENTRIES)
class TestContract:
    def test_effect_has_a_title_a_unique_place_and_documented_settings(self, name):
        entry = ENTRIES[name]
        places = [other.facts["PLACE"] for other in ENTRIES.values()]
        assert entry.title
        assert places.count(entry.facts["PLACE"]) == 1
        for setting in entry.settings:
            assert setting.help
            if setting.kind == "Range":
                assert setting.low <= setting.default[0] <= setting.default[1] <= setting.high

    def test_catalogue_lists_exactly_the_settings_of_the_effect(self, name, noises):
        settings = settings_of(name, noises)
        assert [held.name for held in ENTRIES[name].settings] == (list(asdict(settings)) if settings else [])

    def test_draws_are_reproducible_within_bounds_and_json_serialisable(self, name, noises):
        bounds = {held.name: held.default for held in ENTRIES[name].settings if held.kind == "Range"}
        for seed in range(20):
            numbers = drawn(name, noises, seed)
            assert numbers == drawn(name, noises, seed)
            assert json.loads(json.dumps(numbers)) == numbers
            for setting in bounds.keys() & numbers.keys() - {"pieces"}:
                low, high = bounds[setting]
                assert low - 0.09 <= numbers[setting] <= high + 0.09  # ratios are rounded to what resamples quickly

    def test_sound_depends_only_on_the_drawn_numbers(self, name, noises):
        numbers, wave = drawn(name, noises), voice()
        kept = wave.clone()
        made = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            np.random.seed(seed)
            made.append(apply(name, wave, json.loads(json.dumps(numbers))))
        assert torch.equal(*made)
        assert torch.equal(wave, kept)
        torch.manual_seed(1)
        before = torch.random.get_rng_state()
        apply(name, wave, numbers)
        assert torch.equal(before, torch.random.get_rng_state())

    @pytest.mark.parametrize("samples", [RATE, 9_999])
    def test_channels_are_processed_independently(self, name, samples, noises):
        numbers = drawn(name, noises, 3)
        one, other = voice(samples), voice(samples, 1) * 0.1
        both = apply(name, torch.stack([one, other]), numbers)
        for alone, together in zip((one, other), both, strict=True):
            flat = apply(name, alone, numbers)
            assert flat.shape == together.shape
            assert (flat - together).abs().max() < 1e-5
            assert torch.equal(apply(name, alone[None], numbers)[0], flat)

    def test_effect_keeps_the_length_and_stays_finite(self, name, noises):
        for seed in range(5):
            made = apply(name, voice()[None], drawn(name, noises, seed))
            assert made.dtype == torch.float32
            assert bool(made.isfinite().all())
            assert name in CHANGES_LENGTH or made.shape == (1, RATE)

    @pytest.mark.parametrize("samples", [1, 7, 300, 801])
    def test_short_clips_are_accepted(self, name, samples, noises):
        for seed in range(4):
            made = apply(name, voice(samples)[None], drawn(name, noises, seed))
            assert made.shape[1] >= 1
            assert name in CHANGES_LENGTH or made.shape[1] == samples
            assert bool(made.isfinite().all())

    def test_silence_stays_finite(self, name, noises):
        assert bool(apply(name, torch.zeros(1, 4000), drawn(name, noises)).isfinite().all())

    @pytest.mark.parametrize("sides", [1, 2])
    def test_batched_clips_sound_the_same_as_single_clips(self, name, sides, noises):
        waves = [torch.stack([voice(samples, seed) for seed in range(sides)]) for samples in LENGTHS]
        chains = [[{"effect": name, **drawn(name, noises, seed)}] for seed in range(len(waves))]
        alone = [effects.applied(wave, RATE, effects.text(chain)) for wave, chain in zip(waves, chains, strict=True)]
        kept = [wave.clone() for wave in waves]
        for order in (range(len(waves))[::-1], (0,), (3, 5)):
            for at, made in zip(
                order, together([waves[at] for at in order], [chains[at] for at in order]), strict=True
            ):
                assert alike(made, alone[at], name), at
        assert all(torch.equal(*pair) for pair in zip(waves, kept, strict=True))

    @pytest.mark.parametrize("count", [1, 4])
    def test_clips_on_a_gpu_stay_on_the_gpu(self, name, count, noises):
        """On a GPU that has no memory and does not compute, but refuses what lies elsewhere."""
        if name == "codec":
            pytest.skip("codecs run on the CPU, which needs values")
        chains = [[{"effect": name, **drawn(name, noises, seed)}] for seed in range(count)]
        readied = [effects.prepare_chain(RATE, RATE, effects.text(chain)) for chain in chains]
        try:
            with FakeTensorMode():
                waves = [torch.zeros(1, RATE, device="cuda") for _ in range(count)]
                made = effects.applied_together(waves, RATE, readied)
                assert {(one.device.type, one.dtype) for one in made} == {("cuda", torch.float32)}
        finally:
            stretching._filters.cache_clear()

    @pytest.mark.gpu
    def test_gpu_and_cpu_make_the_same_sound(self, name, noises):
        waves = [voice(samples, samples)[None] for samples in LENGTHS]
        chains = [[{"effect": name, **drawn(name, noises, seed)}] for seed in range(len(waves))]
        made = together([wave.cuda() for wave in waves], chains)
        for wave, chain, one in zip(waves, chains, made, strict=True):
            assert one.is_cuda
            assert alike(one.cpu(), effects.applied(wave, RATE, effects.text(chain)), name)


# What each one does


@pytest.mark.parametrize("semitones", [-12, -3.3, -0.4, 0.2, 2, 7])
def test_pitch_moves_the_pitch_and_keeps_the_length(semitones):
    made = apply("pitch", tone(440), {"semitones": semitones})
    exact = 440 * 2 ** (semitones / 12)
    assert pitch_of(made) == pytest.approx(exact, rel=0.005)
    assert len(made) == RATE
    assert abs(decibels(made[2000:-2000]) - decibels(tone(440))) < 1.5


@pytest.mark.parametrize("by", [Fraction(100, 87), Fraction(87, 100), Fraction(9, 8), Fraction(1, 2), Fraction(2)])
@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_pitch_shifting_agrees_with_torch_pitch_shift(by, rate):
    """The slow twin, with frames for speech and the ratio in place of the rates."""
    size = stretching.frame(rate)
    wave = torch.stack([voice(), voice(seed=1) * 0.1])
    wave[:, 4000:7000] = 0.0  # digital silence has no phase
    how = {"n_fft": size, "hop_length": size // 4, "window": torch.hann_window(size)}
    twin = pitch_shift(wave[None], by, by.numerator, **how)[0]
    made = stretching.pitch_shifted(wave, rate, by)
    assert made.shape == twin.shape
    assert float((made - twin).abs().max() / twin.abs().max()) < 5e-3


@pytest.mark.parametrize("by", [Fraction(93, 100), Fraction(9, 8), Fraction(1, 2), Fraction(4)])
@pytest.mark.parametrize("block", [1, 7, 50])
def test_blockwise_time_stretch_equals_stretching_in_one_piece(by, block, monkeypatch):
    wave = torch.stack([voice(30_001), voice(30_001, 1)])
    whole = stretching.time_stretched(wave, RATE, by)
    monkeypatch.setattr(stretching, "BLOCK_FRAMES", block)
    assert (stretching.time_stretched(wave, RATE, by) - whole).abs().max() < 1e-5


@pytest.mark.parametrize("by", [Fraction(100, 87), Fraction(87, 100), Fraction(3, 2), Fraction(1, 4), Fraction(4)])
def test_matrix_product_resampling_agrees_with_torchaudio(by):
    for wave in (voice(9_999), torch.stack([voice(), voice(seed=1)]), voice(1)):
        twin = resample(wave, by.numerator, by.denominator)
        assert torch.allclose(stretching.resampled_by(wave, by), twin, atol=1e-6)


def test_batched_time_stretch_equals_stretching_each_clip_alone():
    paces = [Fraction(*pair) for pair in ((1, 4), (9, 8), (1, 1), (4, 1), (87, 100), (1, 2), (3, 1), (99, 100))]
    waves = [
        torch.stack([voice(samples, 1), voice(samples, 2)]) for samples in (9000, 1, 700, 12_001, 5000, 129, 16, 2)
    ]
    for wave in waves:
        wave[:, len(wave[0]) // 3 : len(wave[0]) // 2] = 0.0  # digital silence has no phase
    for made, wave, pace in zip(stretching.time_stretched_together(waves, RATE, paces), waves, paces, strict=True):
        assert alike(made, stretching.time_stretched(wave, RATE, pace))


@pytest.mark.parametrize("octaves", [0.05, 2.0, 8.0])
@pytest.mark.parametrize("hz", [10.0, 997.0, 7990.0, 100_000.0])
def test_filter_kernels_agree_with_torch_audiomentations(hz, octaves):
    wave = voice(12_345)[None]
    band = filters.band_pass_kernel(RATE, hz, octaves)
    pairs = [
        (filters.low_pass_kernel(RATE, hz), filters.low_passed(wave, RATE, hz)),
        (filters.high_pass_kernel(RATE, hz), filters.high_passed(wave, RATE, hz)),
        (band, filters.band(wave, RATE, hz, octaves)),
        (filters.complementary(band), wave - filters.band(wave, RATE, hz, octaves)),
    ]
    for taps, twin in pairs:
        assert (filters.filtered([wave], [taps])[0] - twin).abs().max() < 1e-5


def test_recorded_semitones_equal_the_applied_semitones():
    module = effects.load("pitch")
    for seed in range(200):
        numbers = module.draw(rng(seed), module.Settings((-7.0, 7.0)))
        ratio = ratios.ratio(2 ** (numbers["semitones"] / 12))
        assert ratios.semitones(ratio) == pytest.approx(numbers["semitones"], abs=1e-4)
        assert ratio.denominator <= ratios.PARTS


@pytest.mark.parametrize(("name", "moves"), [("tempo", False), ("speed", True)])
@pytest.mark.parametrize("rate", [0.5, 0.9, 1.1, 1.7])
def test_tempo_changes_only_the_length_and_speed_changes_pitch_too(name, moves, rate):
    made = apply(name, tone(440), {"rate": rate})
    assert len(made) == pytest.approx(RATE / rate, abs=2)
    assert pitch_of(made) == pytest.approx(440 * (rate if moves else 1), rel=0.005)


@pytest.mark.parametrize("colour", ["white", "pink", "brown", "blue", "violet"])
@pytest.mark.parametrize("snr", [-5.0, 20.0])
def test_noise_is_added_at_the_drawn_snr(snr, colour):
    wave = voice()
    made = apply("noise", wave, {"snr": snr, "colour": colour, "seed": 7})
    assert decibels(wave) - decibels(made - wave) == pytest.approx(snr, abs=0.05)


@pytest.mark.parametrize("name", ["noise", "background"])
@pytest.mark.parametrize("rate", [22_050, 48_000])
def test_noise_has_the_drawn_snr_after_resampling_to_16_khz(name, rate, noises):
    wave = resample(torch.stack([voice(), voice(seed=1)]), RATE, rate)
    numbers = drawn(name, noises, snr=(10.0, 10.0))
    made = effects.applied(wave, rate, effects.text([{"effect": name, **numbers}]))
    before, added = (resample(sound, rate, RATE, lowpass_filter_width=64) for sound in (wave, made - wave))
    for side in range(2):
        assert decibels(before[side]) - decibels(added[side]) == pytest.approx(10.0, abs=0.2)


@pytest.mark.parametrize(("colour", "slope"), [("white", 0), ("pink", -3), ("brown", -6), ("blue", 3), ("violet", 6)])
def test_coloured_noise_has_the_spectral_slope_of_its_colour(colour, slope):
    module = effects.load("noise")
    power = np.abs(np.fft.rfft(module.coloured(1, 1 << 18, module.SLOPES[colour]))) ** 2
    bands = [10 * np.log10(power[1 << k : 2 << k].mean()) for k in range(9, 17)]
    assert np.diff(bands) == pytest.approx([slope] * 7, abs=0.6)


def test_any_colour_draws_every_noise_colour():
    module = effects.load("noise")
    found = {module.draw(rng(seed), module.Settings(colour="any"))["colour"] for seed in range(60)}
    assert found == set(module.SLOPES)


def test_peak_noise_has_the_drawn_deviation():
    wave = voice()
    made = apply("peak_noise", wave, {"level": 0.035, "seed": 1})
    assert float((made - wave).std()) == pytest.approx(0.035 * float(wave.abs().max()), rel=0.02)


def test_background_adds_the_noise_file_at_the_drawn_snr(noises):
    wave = voice()
    numbers = {**sounds.draw_file(rng(), noises), "at": 0.5, "snr": 10.0}
    added = apply("background", wave, numbers) - wave
    assert decibels(wave) - decibels(added) == pytest.approx(10.0, abs=0.05)
    other = sounds.part(numbers["file"], numbers["digest"], RATE, (0.5, len(wave)))
    assert np.corrcoef(added.numpy(), other)[0, 1] > 0.999


def test_every_noise_file_is_drawn_and_short_ones_are_repeated(noises):
    found = {sounds.draw_file(rng(seed), noises)["file"].rpartition("/")[2] for seed in range(20)}
    assert found == {"long.wav", "short.wav"}
    short = next(path for path in sounds.files(noises) if path.endswith("short.wav"))
    held = sounds.part(short, sounds.look(short).digest, RATE, (0.9, RATE))
    length = round(0.3 * RATE)
    assert held.shape == (RATE,)
    assert np.allclose(held[:1000], held[length : length + 1000], atol=0.02)


def test_macos_resource_fork_files_are_never_drawn(tmp_path):
    encoding.write(tmp_path / "hum.wav", np.ones(800, np.float32) / 4, RATE)
    (tmp_path / "._hum.wav").write_bytes(b"\0\5\x16\7")
    assert sounds.files(str(tmp_path)) == (str(tmp_path / "hum.wav"),)


def test_changed_or_missing_noise_file_is_refused(noises):
    numbers = {**sounds.draw_file(rng(), noises), "at": 0.0, "snr": 10.0}
    with pytest.raises(SertoolError, match="is not the sound that was drawn"):
        apply("background", voice(), numbers | {"digest": "0" * 32})
    with pytest.raises(SertoolError, match=r"is not there .* restore it"):
        apply("background", voice(), numbers | {"file": "/nowhere/x.wav"})


def test_impulse_response_adds_its_echo_without_delaying_the_direct_sound(tmp_path):
    response = np.zeros(4000, np.float32)
    response[100], response[1700] = 0.9, 0.45
    encoding.write(tmp_path / "echo.wav", response, RATE)
    numbers = sounds.draw_file(rng(), str(tmp_path))
    click = torch.zeros(RATE)
    click[500] = 0.5
    made = apply("impulse", click, numbers)
    peaks = made.abs().topk(2).indices.sort().values.tolist()
    assert peaks == [500, 2100]
    assert float(made[2100] / made[500]) == pytest.approx(0.5, abs=0.01)
    assert decibels(made) == pytest.approx(decibels(click), abs=0.01)


@pytest.mark.parametrize("seconds", [0.2, 0.8])
def test_reverberation_decays_by_60_db_in_the_drawn_time(seconds):
    room = effects.load("reverb").sound(0, RATE, {"seconds": seconds, "direct": 3.0, "seed": 5})
    tail = np.square(room[1:].astype(np.float64))
    left = 10 * np.log10(np.cumsum(tail[::-1])[::-1] / tail.sum())
    place = np.argmax(left < -20)
    assert place / RATE == pytest.approx(seconds / 3, rel=0.1)
    assert 10 * np.log10(room[0] ** 2 / tail.sum()) == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize(
    ("name", "numbers", "kept", "lost"),
    [
        ("low_pass", {"hz": 1000.0}, (200, 700), (1500, 4000)),
        ("high_pass", {"hz": 1000.0}, (1500, 4000), (200, 600)),
        ("band_pass", {"hz": 1000.0, "octaves": 2.0}, (900, 1200), (200, 4000)),
        ("band_stop", {"hz": 1000.0, "octaves": 2.0}, (150, 4000), (900, 1200)),
        ("telephone", {"low": 300, "high": 3400, "bits": 8}, (600, 2500), (60, 6000)),
    ],
)
def test_filters_pass_and_reject_the_expected_frequencies(name, numbers, kept, lost):
    for hz in kept:
        assert abs(decibels(apply(name, tone(hz), numbers)[3000:-3000]) - decibels(tone(hz))) < 1.0
    for hz in lost:
        assert decibels(apply(name, tone(hz), numbers)[3000:-3000]) - decibels(tone(hz)) < -20


def test_filter_edges_above_the_nyquist_frequency_are_accepted():
    assert torch.equal(filters.low_passed(voice(), RATE, 9000.0), voice())
    assert decibels(filters.high_passed(voice(), RATE, 9000.0)) < -40
    assert bool(filters.band(voice(), RATE, 20_000.0, 1.0).isfinite().all())


def test_clipping_limits_peaks_and_leaves_other_samples_unchanged():
    wave = voice()
    made = apply("clipping", wave, {"db": 6.0})
    most = wave.abs().max() * 10 ** (-6 / 20)
    assert made.abs().max() == pytest.approx(float(most))
    below = wave.abs() <= most
    assert 0 < below.sum() < len(wave)
    assert torch.equal(made[below], wave[below])


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100])
@pytest.mark.parametrize("kind", ["opus", "mp3"])
def test_codec_degrades_more_at_lower_bitrates_and_adds_no_delay(kind, rate):
    wave = voice(2 * rate).numpy()
    low, high = (encoding.coded(wave, rate, kind, kbps) for kbps in (8, 64))
    assert np.corrcoef(wave, high)[0, 1] > max(0.95, np.corrcoef(wave, low)[0, 1])
    lags = np.fft.irfft(np.fft.rfft(high) * np.fft.rfft(wave).conj())
    assert abs((int(lags.argmax()) + rate) % (2 * rate) - rate) <= rate / 2_000


def test_telephone_quantises_to_8_bits_and_keeps_the_level():
    made = apply("telephone", tone(1000), {"low": 300, "high": 3400, "bits": 8})
    assert len(made.unique()) <= 256
    assert decibels(made) == pytest.approx(decibels(tone(1000)), abs=0.2)


def test_gain_and_polarity_are_exact():
    assert decibels(apply("gain", voice(), {"db": -6.0})) == pytest.approx(decibels(voice()) - 6, abs=1e-3)
    assert torch.equal(apply("polarity", voice(), {}), -voice())


def test_shift_fills_with_silence_or_wraps_around():
    wave = torch.arange(1.0, 11.0)
    half = {"by": 0.2, "unit": "length"}
    assert apply("shift", wave, half | {"wrap": False}).tolist() == [0, 0, *range(1, 9)]
    assert apply("shift", wave, half | {"wrap": True}).tolist() == [9, 10, *range(1, 9)]
    assert apply("shift", wave, {"by": -0.2, "unit": "length", "wrap": False}).tolist() == [*range(3, 11), 0, 0]
    assert apply("shift", voice(), {"by": 0.1, "unit": "seconds", "wrap": False})[:1600].abs().max() == 0
    assert apply("shift", wave, {"by": 5.0, "unit": "length", "wrap": False}).tolist() == [0.0] * 10


def test_crop_keeps_one_part_and_silences_the_rest():
    wave = voice() + 1.0
    made = apply("crop", wave, {"keep": 0.5, "of": 0.25, "at": 1.0})
    assert torch.equal(made[8000:], wave[2000:10_000])
    assert not made[:8000].any()


def test_splice_removes_the_drawn_duration_with_smooth_joins():
    made = apply("splice", voice() + 1.0, {"pieces": [[0.1, 0.05], [0.6, 0.1]]})
    assert int((made == 0).sum()) == round(0.15 * RATE)
    smooth = apply("splice", tone(5) * 0 + 1.0, {"pieces": [[0.5, 0.05]]})[: RATE - 800]
    assert smooth.tolist() == pytest.approx([1.0] * len(smooth))


# The chain


def test_effects_are_applied_in_sequence_and_never_to_written_copies():
    chain = effects.text([{"effect": "gain", "db": 6.0}, {"effect": "polarity"}])
    made = effects.applied(voice(), RATE, chain)
    assert torch.allclose(made, -voice() * 10**0.3)
    assert torch.equal(effects.applied(voice(), RATE, effects.written(chain)), voice())
    assert torch.equal(effects.applied(voice(), RATE, None), voice())


def test_batched_effect_chains_equal_chains_applied_to_single_clips(noises):
    names = list(ENTRIES)
    waves, chains = [], []
    for seed in range(12):
        chosen = rng(seed).permutation(names)[: seed % 5]
        waves.append(voice(LENGTHS[seed % len(LENGTHS)], seed)[None])
        chains.append(
            [{"effect": str(name), **drawn(str(name), noises, seed)} for name in chosen if name != "telephone"]
        )
    for made, wave, chain in zip(together(waves, chains), waves, chains, strict=True):
        assert alike(made, effects.applied(wave, RATE, effects.text(chain)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no json", "no augmentation that sertool wrote"),
        ('{"effects":[{"db":1}]}', "no augmentation that sertool wrote"),
        ("[1]", "no augmentation that sertool wrote"),
        ('{"effects":[{"effect":"nonsense"}]}', "no effect nonsense; there are"),
        ('{"effects":[{"effect":5}]}', "no effect 5; there are"),
        ('{"effects":[{"effect":"gain"}]}', "augmentation gain: it lacks 'db'"),
        ('{"effects":[{"effect":"gain","db":null}]}', "augmentation gain: it cannot be made of"),
        ('{"effects":[{"effect":"pitch","semitones":1e6}]}', "augmentation pitch: it cannot be made of"),
        ('{"effects":[{"effect":"speed","rate":0}]}', "augmentation speed: it cannot be made of"),
        ('{"effects":[{"effect":"speed","rate":-3}]}', "augmentation speed: it cannot be made of"),
        ('{"effects":[{"effect":"crop","keep":5,"of":0,"at":0}]}', "augmentation crop: it cannot be made of"),
        ('{"effects":[{"effect":"crop","keep":0.5,"of":-3,"at":0}]}', "augmentation crop: it cannot be made of"),
        ('{"effects":[{"effect":"crop","keep":0.5,"of":0,"at":NaN}]}', "augmentation crop: it cannot be made of"),
        ('{"effects":[{"effect":"splice","pieces":[[5,0.01]]}]}', "augmentation splice: it cannot be made of"),
        ('{"effects":[{"effect":"splice","pieces":[[0.5,-0.01]]}]}', "augmentation splice: it cannot be made of"),
        (
            '{"effects":[{"effect":"noise","snr":1,"colour":"pink","seed":-1}]}',
            "augmentation noise: it cannot be made of",
        ),
    ],
)
def test_invalid_augmentation_record_is_a_one_line_error(text, says):
    with pytest.raises(SertoolError, match=says):
        effects.applied(voice(), RATE, text)
    with pytest.raises(SertoolError, match=says):
        effects.applied_together([voice()[None]], RATE, [effects.prepare_chain(RATE, RATE, text)])
