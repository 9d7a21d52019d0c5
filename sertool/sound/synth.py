"""Synthesise a speech-like corpus for the demo and the tests, since no recording may be shipped.

A voice is a source through a filter. The source is a train of glottal pulses with jitter and shimmer, and breath; the
filter is a cascade of formant resonators scaled to the speaker's vocal tract length; fricatives and bursts are added
noise. The sounds depend on `sentence` alone and the voice on `speaker` alone. An emotion changes pitch, tempo,
loudness, tilt and breath *relative to the speaker's habit*, more for some speakers than for others: it can be learned
from other speakers, but no single threshold on pitch or loudness reveals it.

    corpus(Path("demo"), write=encoding.write)
    sertool index demo --pattern '{speaker}/{emotion}_{sentence}_{take}.wav'
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from sertool.errors import UsageError

Write = Callable[[Path, np.ndarray, int], None]

LEAD = 0.1  # seconds of silence before and after, on average
STEP = 0.005  # seconds between the points of a contour


@dataclass(frozen=True)
class Delivery:
    """Prosody and voice quality; for an emotion, the difference from the speaker's habit."""

    pitch: float = 0.0  # semitones
    swing: float = 1.0  # excursions of the pitch contour, as a factor
    tempo: float = 1.0  # a factor
    level: float = 0.0  # dB
    tilt: float = 0.0  # dB an octave: above 0 is a tenser, brighter voice
    breath: float = 0.0  # dB of noise against the voice
    rough: float = 1.0  # jitter and shimmer, as a factor
    tremor: float = 0.0  # semitones of a 6 Hz wobble
    smile: float = 1.0  # the formants, as a factor
    fall: float = 1.0  # how far pitch falls towards the end, as a factor


EMOTIONS = {  # after the usual findings on acted speech (Banse and Scherer 1996; Juslin and Laukka 2003)
    "neutral": Delivery(),
    "happy": Delivery(pitch=3.0, swing=1.6, tempo=1.08, level=3.0, tilt=1.0, breath=-1, smile=1.05, fall=0.4),
    "sad": Delivery(pitch=-1.0, swing=0.55, tempo=0.84, level=-4.0, tilt=-2.0, breath=6, rough=1.4, fall=1.1),
    "angry": Delivery(pitch=3.0, swing=1.15, tempo=1.1, level=5.0, tilt=2.5, breath=-4, rough=2.2, fall=1.3),
    "fear": Delivery(pitch=5.0, swing=0.7, tempo=1.22, level=0.0, tilt=0.3, breath=4, rough=1.5, tremor=0.5, fall=0.2),
    "disgust": Delivery(pitch=-2.0, swing=0.9, tempo=0.88, level=0.0, tilt=0.5, rough=2.6, smile=0.96, fall=1.6),
}

# F1, F2, F3 of an adult man in Hz, after Peterson and Barney (1952).
VOWELS = np.array([
    (270, 2290, 3010), (390, 1990, 2550), (530, 1840, 2480), (660, 1720, 2410), (730, 1090, 2440),
    (570, 840, 2410), (440, 1020, 2240), (300, 870, 2240), (640, 1190, 2390), (490, 1350, 1690),
])  # fmt: skip

# Each consonant as pieces of (seconds, voice, breath, noise, noise centre, noise width, F1, F2, F3).
VOICE, BREATH, NOISE, CENTRE, WIDTH, F1 = range(1, 7)
_S, _SH, _F = (6000, 1300), (3300, 900), (5500, 3500)
SILENCE = (0, 0, 0, *_S, 450, 1400, 2400)
CONSONANTS: list[list[tuple[float, ...]]] = [
    [],
    [(0.11, 0, 0, 0.35, *_S, 320, 1700, 2600)],
    [(0.11, 0, 0, 0.40, *_SH, 300, 1900, 2500)],
    [(0.09, 0, 0, 0.07, *_F, 340, 1100, 2100)],
    [(0.08, 0.35, 0, 0.16, *_S, 300, 1700, 2600)],
    [(0.06, 0, 0, 0, *_S, 250, 1800, 2600), (0.012, 0, 0, 0.5, 4200, 1500, 300, 1800, 2600),
     (0.03, 0, 0.8, 0.03, 4200, 1500, 450, 1800, 2600)],
    [(0.06, 0, 0, 0, *_S, 250, 1000, 2300), (0.010, 0, 0, 0.25, 1000, 900, 300, 1000, 2300),
     (0.03, 0, 0.8, 0, *_S, 450, 1000, 2300)],
    [(0.06, 0, 0, 0, *_S, 250, 2000, 2400), (0.020, 0, 0, 0.4, 2200, 700, 300, 2000, 2400),
     (0.03, 0, 0.8, 0, *_S, 450, 2000, 2400)],
    [(0.05, 0.12, 0, 0, *_S, 220, 1700, 2600), (0.010, 0.3, 0, 0.3, 3800, 1500, 300, 1700, 2600)],
    [(0.07, 0.40, 0, 0, *_S, 250, 1050, 2200)],
    [(0.07, 0.40, 0, 0, *_S, 250, 1650, 2500)],
    [(0.06, 0.60, 0, 0, *_S, 350, 1100, 2700)],
    [(0.06, 0.60, 0, 0, *_S, 350, 1150, 1600)],
    [(0.06, 0.55, 0, 0, *_S, 300, 700, 2200)],
    [(0.06, 0.55, 0, 0, *_S, 280, 2200, 2900)],
]  # fmt: skip


@dataclass(frozen=True)
class Speaker:
    """A speaker's habitual voice."""

    pitch: float  # Hz
    tube: float  # formants relative to an adult man's, as a factor
    delivery: Delivery
    openness: float  # strength of emotions in this voice, as a factor
    hiss: float  # room and microphone noise, dB of full scale


def name(speaker: int) -> str:
    """Return a speaker's name: `s01f`, `s02m`, ..., women and men in turn."""
    return f"s{speaker + 1:02d}{'fm'[speaker % 2]}"


def voice(speaker: int, emotion: str, sentence: int, take: int = 0, seed: int = 0, rate: int = 16000) -> np.ndarray:
    """Synthesise one clip of about two seconds, float32 `[samples]`; equal arguments give equal bits."""
    if emotion not in EMOTIONS:
        raise UsageError(f"no voice for the emotion {emotion!r}; there are {', '.join(EMOTIONS)}")
    who = _speaker(speaker, seed)
    rng = np.random.default_rng([seed, 3, speaker, list(EMOTIONS).index(emotion), sentence, take])
    delivery = _blend(who, EMOTIONS[emotion], rng)
    pieces, stresses = _say(sentence, seed, delivery, rng)
    samples = int(pieces[:, 0].sum() * rate)
    pitch, loudness = _melody(pieces, stresses, who, delivery, rng)
    source = _source(samples, pieces, pitch, delivery, rng, rate)
    wave = _vocal_tract(source, pieces, loudness, who, delivery, rate)
    wave *= 0.05 / np.sqrt(np.mean(wave**2))
    _add_noises(wave, pieces, loudness, rng, rate)
    wave *= 10 ** (delivery.level / 20)
    wave += np.float32(10 ** (who.hiss / 20)) * rng.standard_normal(samples, dtype=np.float32)
    return wave * np.float32(min(1.0, 0.98 / np.abs(wave).max()))


def corpus(
    folder: Path,
    speakers: int = 8,
    emotions: tuple[str, ...] = ("neutral", "happy", "sad", "angry"),
    sentences: int = 6,
    takes: int = 1,
    seed: int = 0,
    *,
    write: Write,
) -> list[Path]:
    """Write `SPEAKER/EMOTION_SENTENCE_TAKE.wav` for every combination, by `write(path, samples, rate)`."""
    paths = []
    for speaker in range(speakers):
        (folder / name(speaker)).mkdir(parents=True, exist_ok=True)
        for emotion in emotions:
            for sentence in range(sentences):
                for take in range(takes):
                    path = folder / name(speaker) / f"{emotion}_{sentence}_{take}.wav"
                    write(path, voice(speaker, emotion, sentence, take, seed), 16000)
                    paths.append(path)
    return paths


def _speaker(speaker: int, seed: int) -> Speaker:
    rng = np.random.default_rng([seed, 1, speaker])
    woman = speaker % 2 == 0
    pitch = (200 if woman else 115) * 2 ** (rng.uniform(-4, 4) / 12)
    tube = (1.16 if woman else 1.0) * rng.uniform(0.94, 1.06)
    habit = Delivery(
        swing=rng.uniform(0.75, 1.3),
        tempo=rng.uniform(0.88, 1.14),
        level=rng.uniform(-3, 3),
        tilt=rng.uniform(-1.2, 1.2),
        breath=(-24 if woman else -28) + rng.uniform(-4, 4),
        rough=rng.uniform(0.7, 1.5),
        fall=rng.uniform(0.7, 1.3),
    )
    return Speaker(pitch, tube, habit, rng.uniform(0.8, 1.3), rng.uniform(-72, -58))


def _blend(who: Speaker, emotion: Delivery, rng: np.random.Generator) -> Delivery:
    """Combine a speaker's habit with an emotion, scaled by the speaker's openness, and variation between takes."""
    whim = Delivery(
        pitch=rng.normal(0, 0.8), swing=2 ** rng.normal(0, 0.2), tempo=2 ** rng.normal(0, 0.06),
        level=rng.normal(0, 1.2), tilt=rng.normal(0, 0.4), breath=rng.normal(0, 2), rough=2 ** rng.normal(0, 0.3),
        fall=2 ** rng.normal(0, 0.3),
    )  # fmt: skip
    degree = who.openness * 2 ** rng.normal(0, 0.2)
    moved = {}
    for field in fields(Delivery):
        habit, goal, chance = (getattr(source, field.name) for source in (who.delivery, emotion, whim))
        factor = field.default == 1.0
        moved[field.name] = habit * goal**degree * chance if factor else habit + goal * degree + chance
    return Delivery(**moved)


def _say(sentence: int, seed: int, delivery: Delivery, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a sentence's pieces, `[pieces, 9]` as in CONSONANTS, and stresses, `[syllables, 2]`: time and strength."""
    script = np.random.default_rng([seed, 2, sentence])
    pieces, stresses = [(LEAD * rng.uniform(0.7, 1.3), *SILENCE)], []
    syllables = int(script.integers(7, 11))
    for index in range(syllables):
        consonant = CONSONANTS[script.integers(len(CONSONANTS))]
        vowel = VOWELS[script.integers(len(VOWELS))]
        stressed = index == 1 or script.random() < 0.4
        pace = delivery.tempo * 2 ** rng.normal(0, 0.1)
        pieces += [(seconds / pace**0.5, *targets) for seconds, *targets in consonant]
        length = (0.16 if stressed else 0.1) * (1.5 if index == syllables - 1 else 1) / pace
        middle = sum(piece[0] for piece in pieces) + length / 2
        stresses.append((middle, rng.uniform(0.7, 1.3) if stressed else 0.0))
        pieces.append((length, 1.0 if stressed else 0.75, 0, 0, *_S, *vowel))
    pieces.append((LEAD * rng.uniform(0.7, 1.3), *SILENCE))
    return np.array(pieces, dtype=np.float64), np.array(stresses)


def _melody(
    pieces: np.ndarray, stresses: np.ndarray, who: Speaker, delivery: Delivery, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return pitch in Hz and loudness in dB, every STEP seconds: stresses on a declining line."""
    times = np.arange(0, pieces[:, 0].sum() + STEP, STEP)
    bumps = np.exp(-0.5 * ((times[:, None] - stresses[:, 0]) / 0.08) ** 2) @ stresses[:, 1]
    sunk = np.interp(times, stresses[[0, -1], 0], [0.0, 1.0])
    wobble = delivery.tremor * np.sin(2 * np.pi * (6 * times + rng.random()))
    drift = np.convolve(rng.normal(0, 1.2, len(times)), np.hanning(24) / 12, mode="same")
    rise = delivery.swing * (3.2 * bumps - 1) - 3.0 * delivery.fall * (sunk - 0.5)
    pitch = who.pitch * 2 ** ((delivery.pitch + rise + wobble + drift) / 12)
    return pitch, 2.5 * bumps - 4.0 * delivery.fall * sunk


def _track(times: np.ndarray, pieces: np.ndarray, column: int, ramp: float) -> np.ndarray:
    """Interpolate a column of the pieces at some times; it is constant within a piece but for ramps at its ends.

    A ramp takes `ramp` seconds, at most 35 % of the piece.
    """
    lengths = pieces[:, 0]
    starts = np.cumsum(lengths) - lengths
    inset = np.minimum(ramp, 0.35 * lengths)
    knots = np.stack([starts + inset, starts + lengths - inset], axis=1).ravel()
    return np.interp(times, knots, pieces[:, column].repeat(2))


def _source(
    samples: int, pieces: np.ndarray, pitch: np.ndarray, delivery: Delivery, rng: np.random.Generator, rate: int
) -> np.ndarray:
    """Return glottal pulses and breath before filtering, `[samples]`, with a power near 1 where voiced."""
    cycles = np.cumsum(pitch) * STEP
    beats = np.interp(np.arange(1, cycles[-1]), cycles, STEP * np.arange(len(cycles)))
    period = 1 / np.interp(beats, STEP * np.arange(len(pitch)), pitch)
    beats += 0.006 * delivery.rough * period * rng.standard_normal(len(beats))
    strength = np.sqrt(rate * period) * (1 + 0.03 * delivery.rough * rng.standard_normal(len(beats)))
    strength *= _track(beats, pieces, VOICE, 0.012)
    # A pulse between two samples is divided between them.
    place = np.clip(beats * rate, 0, samples - 2)
    left = place.astype(int)
    source = np.bincount(left, strength * (left + 1 - place), samples)
    source += np.bincount(left + 1, strength * (place - left), samples)
    times = np.arange(0, samples + rate * STEP, rate * STEP)
    breath = 10 ** (delivery.breath / 20) * _track(times / rate, pieces, VOICE, 0.012)
    breath += 0.15 * _track(times / rate, pieces, BREATH, 0.012)
    # Breath is white where the voice falls by 6 dB per octave: differentiated here, since the filter falls for both.
    noise = np.diff(rng.standard_normal(samples + 1, dtype=np.float32))
    return source + np.interp(np.arange(samples), times, breath) * noise


def _vocal_tract(
    source: np.ndarray, pieces: np.ndarray, loudness: np.ndarray, who: Speaker, delivery: Delivery, rate: int
) -> np.ndarray:
    """Filter the source by the speaker's vocal tract, float32 `[samples]`.

    Overlapping frames of 32 ms under a Hann window, every 16 ms, are filtered in the frequency domain, each by the
    formants at its time, and overlap-added. The transform is twice as long as the window, so that the resonators can
    decay.
    """
    hop = 32 * round(0.0005 * rate)
    size = 4 * hop
    frames = len(source) // hop + 2
    times = np.arange(frames) * (hop / rate)
    formants = np.stack([_track(times, pieces, F1 + index, 0.06) for index in range(3)], axis=1)
    above = np.arange(3500, 0.47 * rate / (who.tube * delivery.smile), 1000)
    formants = np.concatenate([formants, np.tile(above, (frames, 1))], axis=1) * (who.tube * delivery.smile)
    frequencies = np.arange(size // 2 + 1) * (rate / size)
    slope = (1 + (frequencies / 500) ** 2) ** ((delivery.tilt - 6) / 12.04) * frequencies / (frequencies + 60)
    gain = 10 ** (np.interp(times, STEP * np.arange(len(loudness)), loudness) / 20)

    cut = np.lib.stride_tricks.sliding_window_view(np.pad(source, (hop, 3 * hop)), 2 * hop)[::hop][:frames]
    window = 0.5 - 0.5 * np.cos(np.pi * np.arange(2 * hop) / hop)
    spectrum = np.fft.rfft((cut * window * gain[:, None]).astype(np.float32), size)
    spectrum *= slope.astype(np.float32) * _resonance(np.minimum(formants, 0.48 * rate), size, rate)
    parts = np.fft.irfft(spectrum, size).reshape(frames, 4, hop)
    out = np.zeros((frames + 3, hop), dtype=np.float32)
    for index in range(4):
        out[index : index + frames] += parts[:, index]
    return out.ravel()[hop : hop + len(source)]


def _resonance(formants: np.ndarray, size: int, rate: int) -> np.ndarray:
    """Return the response of cascaded resonators, complex `[frames, bins]` of `[frames, formants]`, 1 at 0 Hz.

    A resonator at F of bandwidth B is 1 / (1 - 2 r cos(2 pi F / rate) z^-1 + r^2 z^-2), r = exp(-pi B / rate). The
    cascade is one over the product of their polynomials, which is transformed once.
    """
    radius = np.exp(-np.pi * (40 + 0.02 * formants + 6e-6 * formants**2) / rate)
    middle, last = -2 * radius * np.cos(2 * np.pi * formants / rate), radius**2
    product = np.zeros((len(formants), 2 * formants.shape[1] + 1))
    product[:, 0] = 1
    for index in range(formants.shape[1]):
        shifted = np.pad(product, ((0, 0), (2, 0)))[:, :-1]
        product = product + middle[:, index, None] * shifted[:, 1:] + last[:, index, None] * shifted[:, :-1]
    product /= product.sum(axis=1, keepdims=True)
    return (1 / np.fft.rfft(product, size)).astype(np.complex64)


def _add_noises(
    wave: np.ndarray, pieces: np.ndarray, loudness: np.ndarray, rng: np.random.Generator, rate: int
) -> None:
    """Add fricatives and bursts to `wave` in place: white noise with a Gaussian spectrum."""
    starts = np.cumsum(pieces[:, 0]) - pieces[:, 0]
    for index in np.flatnonzero(pieces[:, NOISE]):
        seconds, level, centre, width = pieces[index, [0, NOISE, CENTRE, WIDTH]]
        samples = int(seconds * rate)
        size = 1 << samples.bit_length()
        bell = np.exp(-0.5 * ((np.arange(size // 2 + 1) * (rate / size) - centre) / width) ** 2).astype(np.float32)
        spectrum = np.fft.rfft(rng.standard_normal(size, dtype=np.float32)) * bell
        burst = np.fft.irfft(spectrum, size)[:samples] / np.sqrt(np.mean(bell**2))
        ramp = np.minimum(1, np.arange(1, samples + 1) / (0.25 * samples))
        first = int(starts[index] * rate)
        loud = 10 ** (loudness[min(int(starts[index] / STEP), len(loudness) - 1)] / 20)
        wave[first : first + samples] += (0.07 * level * loud * ramp * ramp[::-1] * burst).astype(np.float32)
