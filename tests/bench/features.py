"""Measure how fast index and featurize are, as ratios to their rivals in one run on the same files.

    python tests/bench/features.py FOLDER_OF_16KHZ_WAV [--repeats 3] [--only mel,classic,pitch,index]

Rivals and sertool take turns, each in a process of its own, wav on disk to result on disk; the medians are compared.
Steady seconds leave out start-up (mostly importing torch); whole seconds include it, measured from outside.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEERS = Path(__file__).with_name("peers.py")
CLASSIC = ("mel", "mfcc", "zcr", "rms", "chroma", "centroid", "bandwidth", "rolloff", "contrast", "flatness")
OURS = Path(__file__).with_name("ours.py")
SUITES = {
    "mel": (["featurize", "--mel"], {"floor": None, "librosa_mel": 5.0, "torchaudio_mel": 2.2, "lhotse_mel": 3.5}),
    "classic": (["featurize", *(f"--{name}" for name in CLASSIC)], {"librosa_classic": 15.0, "librosa_shared": 5.0}),
    "pitch": (["featurize", "--pitch", "--pitch-fmin", "65", "--pitch-fmax", "500"], {"librosa_pyin": 10.0}),
    "index": (["index"], {"soundfile_decode": None, "librosa_look": 1.0}),
}


def timed(command: list[str]) -> dict[str, float]:
    """Return the steady, start-up and whole seconds of one process."""
    began = time.perf_counter()
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    whole = time.perf_counter() - began
    return json.loads(ended.stdout.splitlines()[-1]) | {"whole": whole}


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def measure(name: str, folder: Path, repeats: int, threads: int) -> dict[str, dict[str, float]]:
    """Return every contender's medians in one suite; all take a turn before any takes a second."""
    ours, peers = SUITES[name]
    runs: dict[str, list[dict[str, float]]] = {"sertool": [], **{peer: [] for peer in peers}}
    for _ in range(repeats):
        for who, held in runs.items():
            with tempfile.TemporaryDirectory() as out:
                script = (
                    [OURS, folder, out, str(threads), *ours]
                    if who == "sertool"
                    else [PEERS, who, folder, out, str(threads)]
                )
                held.append(timed([sys.executable, *map(str, script)]))
    return {who: medians(held) for who, held in runs.items()}


def show(name: str, results: dict[str, dict[str, float]]) -> None:
    ours = results["sertool"]
    print(f"\n{name}: {ours['files']:.0f} files")
    print(f"  {'':<18}{'steady s':>9}{'start-up s':>11}{'whole s':>9}{'steady x':>10}{'whole x':>9}")
    for who, held in results.items():
        steady, whole = (held[kind] / ours[kind] for kind in ("steady", "whole"))
        seconds = f"{held['steady']:9.2f}{held['startup']:11.2f}{held['whole']:9.2f}"
        print(f"  {who:<18}{seconds}{steady:10.2f}{whole:9.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default=",".join(SUITES))
    arguments = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {arguments.threads} threads"
    )
    for name in arguments.only.split(","):
        show(name, measure(name, arguments.folder, arguments.repeats, arguments.threads))


if __name__ == "__main__":
    main()
