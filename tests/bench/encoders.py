"""Measure how fast a pretrained encoder gets from wav files to shards, compared with its published use.

    python tests/bench/encoders.py FOLDER_OF_16KHZ_WAV WEIGHTS_OF_WHISPER_BASE [--threads 2] [--repeats 3]

sertool runs as a process of its own, start-up not counted. The rival, `padded`, is the published way with our own
network: each clip padded with zeros to 30 s, float32, one clip after another with all threads, waveforms and rows in
memory; it takes every 20th clip. On a CPU, CPU seconds are printed as well, as they are more reliable on a busy
machine.
"""

import argparse
import os
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path

from features import OURS, medians, timed

RUNS = {
    "all layers": [], "statistics": ["--stats", "mean,std"], "layers 0-4": ["--layers", "0-4"],
    "float32": ["--precision", "float32"],
}  # fmt: skip


def ours(folder: Path, weights: Path, threads: int, repeats: int, words: list[str]) -> dict[str, float]:
    """Return medians over several runs, including CPU seconds."""
    runs = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as out:
            script = [OURS, folder, out, threads, "featurize", "--whisper", "base", "--weights", weights, *words]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            made = timed([sys.executable, *map(str, script)])
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            runs.append(made | {"cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime})
    return medians(runs)


def padded(folder: Path, weights: Path, threads: int) -> float:
    """Return the seconds per clip."""
    import numpy as np
    import torch

    from sertool.encoders import whisper
    from sertool.networks import weights as files
    from sertool.sound import audio

    torch.set_num_threads(threads)
    files.use_file(weights)
    encoder = whisper.Encoder("base", range(7))
    paths = sorted(folder.rglob("*.wav"))[::20]
    waves = [torch.from_numpy(audio.decode(path, audio.Cut(16_000, "mono"))[0]) for path in paths]
    with torch.inference_mode():
        encoder([torch.zeros(480_000)])
        began = time.perf_counter()
        for wave in waves:
            encoder([torch.from_numpy(np.pad(wave.numpy(), (0, max(0, 480_000 - len(wave)))))])
        return (time.perf_counter() - began) / len(waves)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {asked.threads} threads, load {os.getloadavg()[0]:.1f}")
    rival = padded(asked.folder, asked.weights, asked.threads)
    print(f"padded to 30 s, float32: {1 / rival:.2f} clips a second")
    print(f"{'':<12}{'clips':>6}{'steady s':>10}{'start-up s':>11}{'processor s':>12}{'clips/s':>9}{'x padded':>9}")
    for name, words in RUNS.items():
        held = ours(asked.folder, asked.weights, asked.threads, asked.repeats, words)
        rate = held["files"] / held["steady"]
        seconds = f"{held['steady']:10.2f}{held['startup']:11.2f}{held['cpu']:12.1f}"
        print(f"{name:<12}{held['files']:6.0f}{seconds}{rate:9.1f}{rate * rival:9.1f}")


if __name__ == "__main__":
    main()
