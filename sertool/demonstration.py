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

SPEAKERS, SENTENCES = 12, 5
PATTERN = "{speaker}/{emotion}_{sentence}_{}.wav"
FEATURES = "--mel --mfcc --pitch --rms --stats mean,std"


def run(folder: Path, seed: int) -> None:
    """Synthesise the voices and run every line, stopping at the first that fails."""
    began = time.perf_counter()
    voices = folder / "voices"
    paths = synth.corpus(voices, SPEAKERS, sentences=SENTENCES, seed=seed, write=audio.write)
    talk.out(f"# {len(paths)} clips of {SPEAKERS} synthesised speakers and 4 emotions in {voices}")
    for line in _lines(folder, paths):
        _type(line)
    talk.out("")
    talk.out(f"# everything lies in {folder}; {time.perf_counter() - began:.0f} s. What next: sertool --help")


def _lines(folder: Path, paths: list[Path]) -> list[str]:
    """The command lines, in the order in which one would use them."""
    voices, clips, features, model, picture, first, last = (
        shlex.quote(os.fspath(path))
        for path in (
            folder / "voices",
            folder / "clips.parquet",
            folder / "features",
            folder / "model",
            folder / "angry.png",
            paths[0],
            paths[-1],
        )
    )
    return [
        f"sertool index {voices} --pattern '{PATTERN}' --split speaker:67/16/17 -o {clips}",
        f"sertool featurize {clips} --mel --pitch --where 'emotion=angry' --plot {picture}",
        f"sertool featurize {clips} {FEATURES} -o {features}"
        f" | sertool train -m logistic -o {model} | sertool eval --resamples 500",
        f"sertool predict -m {model} {first} {last} -f table",
    ]


def _type(line: str) -> None:
    """Print a command line and run it."""
    talk.out("")
    talk.out(f"$ {line}")
    sys.stdout.flush()
    program = "sertool" if shutil.which("sertool") else f"{shlex.quote(sys.executable)} -m sertool"
    typed = " | ".join(part.replace("sertool", program, 1) for part in line.split(" | "))
    if subprocess.run(typed, shell=True, check=False).returncode:
        raise SertoolError(f"the demo stopped at: {line}")
