"""Run sertool's command line inside the tests' process, where its imports are paid once."""

import gc
import io
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from sertool import cli
from sertool.featurize import shards
from sertool.manifests import manifest, manifest_io

PATTERN = "{speaker}/{emotion}_{sentence}_{}.wav"  # of the clips that synth.corpus writes


@dataclass(frozen=True)
class Outcome:
    """The result of a command: its exit code, stdout and stderr."""

    code: int
    out: bytes
    err: str

    @property
    def line(self) -> str:
        """The only line on stderr."""
        (line,) = self.err.splitlines()
        return line


def sertool(*arguments: object, stdin: bytes = b"") -> Outcome:
    """Run `sertool ARGUMENTS` with its streams piped."""
    words = [str(argument) for argument in arguments]
    kept = sys.stdin, sys.stdout, sys.stderr, sys.argv
    out, err = io.BytesIO(), io.BytesIO()
    sys.stdin, sys.stdout, sys.stderr = (
        io.TextIOWrapper(s, "utf-8") for s in (io.BufferedReader(io.BytesIO(stdin)), out, err)
    )
    sys.argv = ["sertool", *words]
    try:
        code = cli.run(words)
        sys.stdout.flush()
        sys.stderr.flush()
        return Outcome(code, out.getvalue(), err.getvalue().decode())
    finally:
        sys.stdin, sys.stdout, sys.stderr, sys.argv = kept


ON_LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads what Linux tells of a process")


def peak_memory() -> int:
    """Return the peak of this process in bytes; the system's account includes what its parent held when it forked."""
    (peak,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(peak) * 1024


# Reads the same by itself, as importing this file would add to the peak.
PROBE = """
import re, sys
from sertool.cli import run
code = run(sys.argv[1:])
peak = re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())
print("\\n" + peak[1], file=sys.stderr)
sys.exit(code)
"""


def measured(*arguments: object, cwd: Path | None = None) -> tuple[Outcome, int]:
    """Run `sertool ARGUMENTS` in a process of its own; return the outcome and its peak memory in bytes."""
    command = [sys.executable, "-c", PROBE, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, check=False)
    said, _, peak = done.stderr.decode().rstrip().rpartition("\n")
    return Outcome(done.returncode, done.stdout, said.rstrip("\n") + "\n"), int(peak) * 1024


def in_fork(*arguments: object, stdin: int, stdout: int, stderr: int = 2) -> int:
    """Run `sertool ARGUMENTS` in a fork of this process with these descriptors as its streams; return the fork's id.

    It is a process of its own, but need not import torch, which takes 1.5 s.
    """
    if fork := os.fork():
        return fork
    try:
        signal.alarm(100)  # ends it if it waits for ever
        for place, descriptor in enumerate((stdin, stdout, stderr)):
            os.dup2(descriptor, place)
        os.closerange(3, 4096)  # such as our ends of its pipes, which it would wait for
        gc.freeze()  # files of ours that are garbage would be closed later, and with them its own of the same numbers
        sys.stdin, sys.stdout, sys.stderr = map(os.fdopen, range(3), "rww")
        sys.argv = ["sertool", *map(str, arguments)]
        cli.main()
    finally:
        os._exit(70)


@contextmanager
def piped(*arguments: object) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Run `sertool ARGUMENTS` in a fork, and provide its stdin and its stdout; it must succeed."""
    (its_stdin, ours), (its, its_stdout) = os.pipe(), os.pipe()
    fork = in_fork(*arguments, stdin=its_stdin, stdout=its_stdout)
    os.close(its_stdin)
    os.close(its_stdout)
    try:
        with open(its, "rb") as answers, open(ours, "wb") as questions:
            yield questions, answers
    finally:
        status = os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])
        print(f"sertool {' '.join(map(str, arguments))} ended with {status}")  # noqa: T201 (shown where a test fails)
    assert status == 0


def shell(line: str) -> Outcome:
    """Run a line of sertool commands as a shell would: words, `|` and `> FILE`; the first failure ends it."""
    line, _, target = line.partition(" > ")
    done = Outcome(0, b"", "")
    for command in line.split(" | "):
        name, *words = shlex.split(command)
        assert name == "sertool"
        done = sertool(*words, stdin=done.out)
        if done.code:
            break
    if target:
        Path(target.strip()).write_bytes(done.out)
    return done


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return the content of every file in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def ages(folder: Path) -> dict[str, int]:
    """Return the modification time of every file in a folder."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


def again(path: Path, *words: str) -> Path:
    """Write the manifest of the clips beside it, as they are now."""
    pattern = PATTERN
    done = sertool("index", path.parent / "clips", "--pattern", pattern, *words, "-o", path)
    assert done.code == 0, done.err
    return path


def rows(folder: Path, feature: str) -> dict[str, np.ndarray]:
    """Return each clip's rows of a feature."""
    table = manifest_io.read(str(folder / "manifest.parquet"))
    reader = shards.Reader(feature)
    names = ("clip", f"{feature}_shard", f"{feature}_offset", f"{feature}_rows")
    columns = [manifest.column(table, name) for name in names]
    return {held[0]: reader.rows(*held) for held in zip(*columns, strict=True) if held[1]}


def changed(source: Path, target: Path, **columns: list) -> Path:
    """Write a manifest with columns set or replaced."""
    held = manifest_io.read(str(source))
    for name, values in columns.items():
        held = manifest.with_column(held, name, values)
    manifest_io.write(held, str(target), "parquet")
    return target


def column(source: Path, name: str) -> list:
    return manifest.column(manifest_io.read(str(source)), name)
