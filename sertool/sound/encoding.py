"""Encode audio files, and simulate lossy codecs."""

from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile

from sertool.errors import SertoolError
from sertool.sound import audio
from sertool.system.files import atomic_write

KINDS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}  # formats that are written
CODECS = {"opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III")}  # codecs that can be simulated
CODED_RATES = {"opus": (8_000, 12_000, 16_000, 24_000, 48_000),
               "mp3": (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)}  # fmt: skip
WAV_HEAD_BYTES = 4096  # bytes within which a WAV file's chunks before its samples begin
BLOCK_SAMPLES = 1 << 16  # samples written at once: with minutes of them, libsndfile's Vorbis encoder crashes
MP3_DELAY_SAMPLES = 1105  # delay of a decoded MP3 in samples: 576 of the encoder, 529 of the decoder


def write(path: Path, samples: np.ndarray, rate: int) -> None:
    """Write float32 `[samples]` or `[samples, channels]` as 16-bit WAV or FLAC, or Ogg Vorbis, by the extension."""
    data = encoded(samples, rate, path.suffix)
    with atomic_write(path) as stream:
        stream.write(data)


def encoded(samples: np.ndarray, rate: int, extension: str, remark: str = "", *, floats: bool = False) -> memoryview:
    """Return the bytes of such a file, optionally of a WAV with 32-bit floats; `audio.remark` reads the remark."""
    if extension.lower() not in KINDS:
        raise SertoolError(f"cannot write {extension or 'a file without an extension'}: choose {' or '.join(KINDS)}")
    kind, subtype = KINDS[extension.lower()]
    subtype = "FLOAT" if floats else subtype
    buffer = BytesIO()
    with soundfile.SoundFile(
        buffer, "w", rate, 1 if samples.ndim == 1 else samples.shape[1], subtype, None, kind
    ) as file:
        if remark:
            file.comment = remark
        for first in range(0, len(samples), BLOCK_SAMPLES):
            block = samples[first : first + BLOCK_SAMPLES]
            file.write(_in_16_bits(block) if subtype == "PCM_16" else block)
    data = buffer.getbuffer()
    if floats:  # libsndfile writes the time into the peak chunk, and equal sounds should give equal bytes
        time = bytes(data[:WAV_HEAD_BYTES]).index(b"PEAK") + 12  # after the chunk's name, size and version
        data[time : time + 4] = bytes(4)
    return data


def coded(samples: np.ndarray, rate: int, codec: str, kbps: float) -> np.ndarray:
    """Encode and decode float32 `[samples]` at a bit rate, without delay or change of length."""
    if rate not in CODED_RATES[codec]:
        return _resampled(coded(_resampled(samples, rate, 48_000), 48_000, codec, kbps), 48_000, rate, len(samples))
    kind, subtype = CODECS[codec]
    stream = BytesIO()
    level = min(max(_compression_level(rate, codec, kbps), 0.0), 0.999)
    steady = {} if codec == "opus" else {"bitrate_mode": "CONSTANT"}
    try:
        soundfile.write(stream, np.clip(samples, -1, 1), rate, subtype, format=kind, compression_level=level, **steady)
        stream.seek(0)
        decoded, _ = soundfile.read(stream, dtype="float32")
    except (soundfile.SoundFileError, ValueError) as error:
        raise SertoolError(f"libsndfile {soundfile.__libsndfile_version__} cannot code {codec}: {error}") from None
    late = MP3_DELAY_SAMPLES if codec == "mp3" and len(decoded) > len(samples) else 0  # unless the file itself says so
    return _fitted(decoded[late:], len(samples))


def _compression_level(rate: int, codec: str, kbps: float) -> float:
    """Return libsndfile's compression level, 0 to 1, which it maps to a bit rate by the codec's range."""
    low, high = (6, 256) if codec == "opus" else _kbps_of_mp3(rate)
    return (high - kbps) / (high - low)


def _kbps_of_mp3(rate: int) -> tuple[int, int]:
    """Return the lowest and the highest bit rate of MP3 at a sample rate, in kbit/s."""
    if rate < 16_000:
        return 8, 64
    return (8, 160) if rate < 32_000 else (32, 320)


def _fitted(samples: np.ndarray, length: int) -> np.ndarray:
    return np.pad(samples[:length], (0, max(length - len(samples), 0)))


def _resampled(samples: np.ndarray, source: int, target: int, length: int | None = None) -> np.ndarray:
    resampled = audio.resampler(source, target, 1)(samples[:, None], True)[:, 0]
    return resampled if length is None else _fitted(resampled, length)


def _in_16_bits(samples: np.ndarray) -> np.ndarray:
    """Round to the values that will be read back: libsndfile scales by 32,767 and reads by 32,768."""
    values = np.rint(samples * np.float32(32768))
    return np.clip(values, -32768, 32767, out=values).astype(np.int16)
