"""Run a rival as people usually write it, from a folder of wav files to disk: `peers.py NAME FOLDER OUT [THREADS]`.

Each prints one JSON line: the number of files, the seconds of the steady work, and those of importing before it.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

BEGAN = time.perf_counter()


def floor(files: list[Path], out: Path, threads: int) -> Callable[[], None]:
    """Return the minimum work for log-mel: decode in threads, transform in small batches, write as many bytes."""
    from concurrent.futures import ThreadPoolExecutor

    import soundfile
    import torch

    torch.set_num_threads(threads)
    window = torch.hann_window(2048)

    def work() -> None:
        with ThreadPoolExecutor(threads) as pool, (out / "floor.bin").open("wb") as stream:
            batch = []
            for wave in pool.map(lambda path: soundfile.read(path, dtype="int16")[0], files):
                batch.append(wave)
                if len(batch) == 16:
                    _transform(batch, window, stream)
                    batch = []
            if batch:
                _transform(batch, window, stream)

    return work


def _transform(batch: list, window: object, stream: object) -> None:
    import torch

    padded = torch.zeros(len(batch), max(map(len, batch)))
    for row, wave in zip(padded, batch, strict=True):
        row[: len(wave)] = torch.from_numpy(wave)
    torch.stft(padded, 2048, 512, window=window, pad_mode="constant", return_complex=True)
    stream.write(bytes(sum(2 * 128 * (1 + len(wave) // 512) for wave in batch)))


def librosa_mel(files: list[Path], out: Path, _threads: int) -> Callable[[], None]:
    import librosa
    import numpy as np

    librosa.feature.melspectrogram(y=np.zeros(4096, np.float32), sr=16000)

    def work() -> None:
        for index, path in enumerate(files):
            wave, rate = librosa.load(path, sr=16000)
            mel = librosa.power_to_db(librosa.feature.melspectrogram(y=wave, sr=rate))
            np.save(out / f"{index}.npy", mel)

    return work


def torchaudio_mel(files: list[Path], out: Path, threads: int) -> Callable[[], None]:
    import numpy as np
    import soundfile
    import torch
    import torchaudio

    torch.set_num_threads(threads)
    transform = torchaudio.transforms.MelSpectrogram(16000, n_fft=2048, hop_length=512, n_mels=128)
    decibels = torchaudio.transforms.AmplitudeToDB()

    def work() -> None:
        for index, path in enumerate(files):
            wave, _ = soundfile.read(path, dtype="float32")
            np.save(out / f"{index}.npy", decibels(transform(torch.from_numpy(wave))).numpy())

    return work


def lhotse_mel(files: list[Path], out: Path, threads: int) -> Callable[[], None]:
    from lhotse import CutSet, Fbank, FbankConfig, Recording

    config = FbankConfig(sampling_rate=16000, num_filters=128, frame_length=0.128, frame_shift=0.032, high_freq=0)

    def work() -> None:
        cuts = CutSet.from_cuts(Recording.from_file(path).to_cut() for path in files)
        cuts.compute_and_store_features(Fbank(config), out / "lhotse", num_jobs=threads)

    return work


def librosa_classic(files: list[Path], out: Path, _threads: int) -> Callable[[], None]:
    """Return the work of computing each classic feature from the waveform, as in librosa's documentation."""
    import librosa
    import numpy as np

    def work() -> None:
        for index, path in enumerate(files):
            wave, rate = librosa.load(path, sr=16000)
            f = librosa.feature
            mel = librosa.power_to_db(f.melspectrogram(y=wave, sr=rate))
            held = [mel, f.mfcc(y=wave, sr=rate), f.zero_crossing_rate(wave), f.rms(y=wave)]
            held += [f.chroma_stft(y=wave, sr=rate), f.spectral_centroid(y=wave, sr=rate)]
            held += [f.spectral_bandwidth(y=wave, sr=rate), f.spectral_rolloff(y=wave, sr=rate)]
            held += [f.spectral_contrast(y=wave, sr=rate, n_bands=5), f.spectral_flatness(y=wave)]
            np.savez(out / f"{index}.npz", *held)

    return work


def librosa_shared(files: list[Path], out: Path, _threads: int) -> Callable[[], None]:
    """Return the work of computing the same features from one shared spectrogram."""
    import librosa
    import numpy as np

    def work() -> None:
        for index, path in enumerate(files):
            wave, rate = librosa.load(path, sr=16000)
            f = librosa.feature
            magnitude = np.abs(librosa.stft(wave))
            power = magnitude**2
            mel = librosa.power_to_db(f.melspectrogram(S=power, sr=rate))
            held = [mel, f.mfcc(S=mel, sr=rate), f.zero_crossing_rate(wave), f.rms(y=wave)]
            held += [f.chroma_stft(S=power, sr=rate), f.spectral_centroid(S=magnitude, sr=rate)]
            held += [f.spectral_bandwidth(S=magnitude, sr=rate), f.spectral_rolloff(S=magnitude, sr=rate)]
            held += [f.spectral_contrast(S=magnitude, sr=rate, n_bands=5), f.spectral_flatness(S=magnitude)]
            np.savez(out / f"{index}.npz", *held)

    return work


def librosa_pyin(files: list[Path], out: Path, _threads: int) -> Callable[[], None]:
    import librosa
    import numpy as np

    librosa.pyin(np.random.default_rng(0).normal(size=8192).astype(np.float32), fmin=65, fmax=500, sr=16000)

    def work() -> None:
        for index, path in enumerate(files):
            wave, rate = librosa.load(path, sr=16000)
            np.savez(out / f"{index}.npz", *librosa.pyin(wave, fmin=65, fmax=500, sr=rate))

    return work


def soundfile_decode(files: list[Path], _out: Path, threads: int) -> Callable[[], None]:
    from concurrent.futures import ThreadPoolExecutor

    import soundfile

    def work() -> None:
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(lambda path: soundfile.read(path, dtype="int16"), files):
                pass

    return work


def librosa_look(files: list[Path], _out: Path, _threads: int) -> Callable[[], None]:
    import librosa
    import numpy as np

    def work() -> None:
        for path in files:
            wave, rate = librosa.load(path)
            len(wave) / rate, np.abs(wave).max()

    return work


def main() -> None:
    name, folder, out, threads = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    files = sorted(folder.rglob("*.wav"))
    work = globals()[name](files, out, threads)
    started = time.perf_counter()
    work()
    ended = time.perf_counter()
    print(json.dumps({"files": len(files), "steady": ended - started, "startup": started - BEGAN}))


if __name__ == "__main__":
    main()
