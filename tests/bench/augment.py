"""Measure how fast augment writes copies, as ratios to a loop of audiomentations over the same files.

    python tests/bench/augment.py FOLDER_OF_WAV [--repeats 3] [--threads 2]

The effects are noise, gain and pitch. Both take turns, each in a process of its own, from wav files on disk to wav
files on disk; the fastest runs are compared, as other work on the machine only ever slows a run. Steady seconds leave
out start-up (importing, and the rival's first clip); cpu is the CPU time of a process and its forks.

More than half of a copy's time is the phase vocoder (a transform, its frames at another pace, the transform back, 1.4
of 2.5 ms for two seconds of speech on one core), then come the noise, and opening and naming files. Waiting for the
disk after each file would take longer than all of it, so it is done once for a thousand files.
"""

import argparse
import json
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

BEGAN = time.perf_counter()
CHAIN = ("--noise", "10:30", "--gain", "-6:6", "--pitch", "-2:2")
WHO = ("sertool", "sertool, 1 thread", "audiomentations", "its librosa", "decode and write")


def sertool(folder: Path, out: Path, threads: int) -> Callable[[], None]:
    from sertool.augment import augmenting, effect_chains, rendering  # noqa: F401 (start-up: what augment imports)
    from sertool.cli import run
    from sertool.index import indexing  # noqa: F401
    from sertool.sound import stretching

    stretching.pitch_shifted(rendering.torch.zeros(16_000), 16_000, Fraction(11, 10))  # triggers its imports
    words = ["augment", folder, *CHAIN, "--write", out, "--as", "wav", "-o", out / "m.parquet", "-q", "-j", threads]
    return lambda: sys.exit(1) if run([str(word) for word in words]) else None


def rival(folder: Path, out: Path, method: str) -> Callable[[], None]:
    """Return the loop of the library's documentation."""
    import audiomentations
    import numpy as np
    import soundfile

    change = audiomentations.Compose([
        audiomentations.AddGaussianSNR(min_snr_db=10, max_snr_db=30, p=1.0),
        audiomentations.Gain(min_gain_db=-6, max_gain_db=6, p=1.0),
        audiomentations.PitchShift(min_semitones=-2, max_semitones=2, method=method, p=1.0),
    ])  # fmt: skip
    change(np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32), 16_000)

    def work() -> None:
        for path in sorted(folder.rglob("*.wav")):
            wave, rate = soundfile.read(path, dtype="float32")
            soundfile.write(out / path.name, change(wave, rate), rate)

    return work


def floor(folder: Path, out: Path) -> Callable[[], None]:
    """Return the minimum work of any loop: decode and encode."""
    import soundfile

    def work() -> None:
        for path in sorted(folder.rglob("*.wav")):
            wave, rate = soundfile.read(path, dtype="float32")
            soundfile.write(out / path.name, wave, rate)

    return work


def cpu() -> float:
    """Return the CPU seconds of this process and its forks so far."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def one(who: str, folder: Path, out: Path, threads: int) -> None:
    """Do the work of one contender, and print how long it took."""
    made = {
        "sertool": lambda: sertool(folder, out, threads),
        "sertool, 1 thread": lambda: sertool(folder, out, 1),
        "audiomentations": lambda: rival(folder, out, "signalsmith_stretch"),
        "its librosa": lambda: rival(folder, out, "librosa_phase_vocoder"),
        "decode and write": lambda: floor(folder, out),
    }
    work = made[who]()
    started, spent = time.perf_counter(), cpu()
    work()
    steady = time.perf_counter() - started
    for fork in multiprocessing.active_children():
        fork.join()
    held = {"steady": steady, "cpu": cpu() - spent, "startup": started - BEGAN}
    print(json.dumps({"files": len(list(out.rglob("*.wav"))), **held}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", nargs=2, metavar=("WHO", "OUT"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        return one(asked.one[0], asked.folder, Path(asked.one[1]), asked.threads)
    from features import timed

    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {asked.threads} threads")
    runs: dict[str, list[dict[str, float]]] = {who: [] for who in WHO}
    for _ in range(asked.repeats):
        for who, held in runs.items():
            with tempfile.TemporaryDirectory() as out:
                script = [sys.executable, __file__, asked.folder, "--threads", asked.threads, "--one", who, out]
                held.append(timed([str(word) for word in script]))
    best = {who: {kind: min(run[kind] for run in held) for kind in held[0]} for who, held in runs.items()}
    ours = best["sertool"]
    heads = (
        f"{'files':>7}{'steady s':>10}{'cpu ms a file':>15}{'start-up s':>12}{'steady x':>10}{'cpu x':>7}{'whole x':>9}"
    )
    print(f"\n  {'':<18}{heads}")
    for who, held in best.items():
        each = 1000 * held["cpu"] / held["files"]
        row = f"{held['files']:7.0f}{held['steady']:10.2f}{each:15.2f}{held['startup']:12.2f}"
        steady, cpu, whole = (held[kind] / ours[kind] for kind in ("steady", "cpu", "whole"))
        print(f"  {who:<18}{row}{steady:10.2f}{cpu:7.2f}{whole:9.2f}")
    return None


if __name__ == "__main__":
    main()
