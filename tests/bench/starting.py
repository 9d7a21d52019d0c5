"""Measure the start-up time of commands: of their help, and of `eval` of 10,000 clips by 91 speakers.

    python tests/bench/starting.py [--repeats 7]

The figures are medians of whole processes, in wall-clock and CPU seconds.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "eval"))
from scored_tables import made, table

from sertool import catalogue


def spent() -> float:
    """Return the CPU seconds of all child processes so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def show(words: list[str], repeats: int) -> None:
    """Print the medians of a command."""
    clock, processor = [], []
    for _ in range(repeats):
        began, before = time.perf_counter(), spent()
        subprocess.run([sys.executable, "-m", "sertool", *words], check=True, capture_output=True)
        clock.append(time.perf_counter() - began)
        processor.append(spent() - before)
    told = " ".join(word if len(word) < 20 else Path(word).name for word in words)
    print(f"sertool {told:24} {median(clock):.2f} s, {median(processor):.2f} s of a core")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    for words in ([], *([command] for command in catalogue.names("commands"))):
        show([*words, "--help"], repeats)
    with tempfile.TemporaryDirectory() as folder:
        show(["eval", table(Path(folder) / "many-clips.csv", made(clips=10_000, speakers=91))], repeats)


if __name__ == "__main__":
    main()
