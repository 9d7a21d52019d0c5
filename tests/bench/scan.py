"""Measure how fast the selective scan is, relative to a loop that recomputes its exponentials at each step.

    python tests/bench/scan.py [--threads 2] [--rounds 8]

At d_inner 512, state 16 and 172 frames, forward alone and with gradients; both take turns, and the best of each counts.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from test_selective_scan import Inputs, gradients, inputs, loop, scan


def best(works: tuple[Callable[[], object], ...], rounds: int) -> list[float]:
    """Return the best seconds of each, taken in turns."""
    held = [float("inf")] * len(works)
    for _ in range(rounds):
        for place, work in enumerate(works):
            began = time.perf_counter()
            work()
            held[place] = min(held[place], time.perf_counter() - began)
    return held


def compare(given: Inputs, clips: int, rounds: int) -> None:
    """Print both times, forward and with gradients."""
    with torch.no_grad():
        forward = best((lambda: loop(*given), lambda: scan(*given)), rounds)
    both = best((lambda: gradients(loop, given), lambda: gradients(scan, given)), rounds)
    for what, (slow, fast) in (("forward", forward), ("with gradients", both)):
        times = f"loop {1e3 * slow:6.1f} ms, scan {1e3 * fast:6.1f} ms"
        print(f"{clips:2} clips, {what:14}: {times}, {slow / fast:.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    for clips in (1, 32):
        compare(inputs(clips, 172, 512, 16), clips, asked.rounds)


if __name__ == "__main__":
    main()
