"""The demo: synthesised voices through every command, each line as one would type it."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from sertool import audio, synth, talk
from sertool.errors import SertoolError

SPEAKERS, SENTENCES = 8, 6
LINES = (
    "sertool index {voices} --pattern '{{speaker}}/{{emotion}}_{{sentence}}_{{}}.wav' --split speaker:50/25/25 -o {clips}",
    "sertool featurize {clips} --mel --mel-bands 64 --pitch -o {features}",
    "sertool featurize {clips} --mel --pitch --where 'emotion=angry' --plot {plot}",
    "sertool index --audit {features}/manifest.parquet",
)


def run(folder: Path, seed: int) -> None:
    """Synthesise the voices and run every line, stopping at the first that fails."""
    began = time.perf_counter()
    voices = folder / "voices"
    paths = synth.corpus(voices, SPEAKERS, sentences=SENTENCES, seed=seed, write=audio.write)
    talk.out(f"# {len(paths)} clips of {SPEAKERS} synthesised speakers and 4 emotions in {voices}")
    names = {"voices": voices, "clips": folder / "clips.parquet", "features": folder / "features",
             "plot": folder / "angry.png"}  # fmt: skip
    for line in LINES:
        _type(line.format(**{name: shlex.quote(os.fspath(path)) for name, path in names.items()}))
    talk.out(f"\n# everything lies in {folder} ({time.perf_counter() - began:.0f} s); what next: sertool --help")


def _type(line: str) -> None:
    """Print a command line and run it."""
    talk.out(f"\n$ {line}")
    sys.stdout.flush()
    program = "sertool" if shutil.which("sertool") else f"{shlex.quote(sys.executable)} -m sertool"
    if subprocess.run(line.replace("sertool ", f"{program} ", 1), shell=True, check=False).returncode:
        raise SertoolError(f"the demo stopped at: {line}")
