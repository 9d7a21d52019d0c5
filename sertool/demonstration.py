"""Run the demo: put synthesised voices through every command, each line as one would type it."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sertool.errors import SertoolError, UsageError
from sertool.sound import encoding, synth
from sertool.system import talk

SPEAKERS, SENTENCES, RATE = 12, 5, 16_000
PATTERN = "{speaker}/{emotion}_{sentence}_{}.wav"
EXTRA_EMOTIONS = ("angry", "sad")  # spoken by two additional speakers
LEFT = {
    "voices/": "the audio",
    "clips.parquet": "the manifest: DuckDB, Polars and pandas read it",
    "angry.png": "one clip and two of its features",
    "features/": "the tensors, and the manifest that points into them",
    "model/": "the four models, and what they answered for speakers they did not know",
}


def run(folder: Path, seed: int) -> None:
    """Synthesise the voices and run every command line; stop at the first that fails."""
    began = time.perf_counter()
    _refuse_other(folder, seed)
    paths = synth.corpus(folder / "voices", SPEAKERS, sentences=SENTENCES, seed=seed, write=_write)
    talk.out(f"# {len(paths)} clips of {SPEAKERS} synthesised speakers and 4 emotions in {folder / 'voices'}")
    for line in _lines(folder, _extra_clips(folder / "unheard", seed)):
        _type(line)
    talk.out("")
    talk.out(f"# {time.perf_counter() - began:.0f} s. What was made lies in {folder}:")
    for name, what in LEFT.items():
        talk.out(f"#   {name:<14} {what}")
    talk.out("# What next: sertool --help")


def _refuse_other(folder: Path, seed: int) -> None:
    """Refuse a folder with the voices of another demo, whose model would stop the training."""
    path, samples = next(_unheard(folder / "unheard", seed))
    if path.is_file() and not _holds(path, samples, RATE):
        raise UsageError(f"{folder} holds a demo of other voices, of another --seed perhaps: use another -o")


def _extra_clips(folder: Path, seed: int) -> list[Path]:
    """Synthesise speakers and a sentence that are in no manifest."""
    paths = []
    for path, samples in _unheard(folder, seed):
        _write(path, samples, RATE)
        paths.append(path)
    return paths


def _unheard(folder: Path, seed: int) -> Iterator[tuple[Path, np.ndarray]]:
    for speaker, emotion in enumerate(EXTRA_EMOTIONS, SPEAKERS):
        yield folder / f"{emotion}.wav", synth.voice(speaker, emotion, SENTENCES, seed=seed)


def _write(path: Path, samples: np.ndarray, rate: int) -> None:
    """Write a voice unless the file is there already: a newer file would make its features and model again."""
    if not _holds(path, samples, rate):
        encoding.write(path, samples, rate)


def _holds(path: Path, samples: np.ndarray, rate: int) -> bool:
    return path.is_file() and path.read_bytes() == encoding.encoded(samples, rate, path.suffix)


def _lines(folder: Path, unheard: list[Path]) -> list[str]:
    """Return the command lines in the order of use."""
    names = ("voices", "clips.parquet", "features", "model", "angry.png")
    voices, clips, features, model, picture = (shlex.quote(os.fspath(folder / name)) for name in names)
    return [
        f"sertool index {voices} --folds 4 \\\n  --pattern '{PATTERN}' -o {clips}",
        f"sertool featurize {clips} --mel --pitch --where emotion=angry \\\n  --plot {picture}",
        f"sertool augment {clips} --tempo 0.9:1.1 \\\n"
        f"  | sertool featurize --mel --mfcc --pitch --rms --stats mean,std -o {features} \\\n"
        f"  | sertool train -m logistic -o {model} \\\n"
        f"  | sertool eval --resamples 500",
        f"sertool predict -m {model} -f table \\\n  {' '.join(shlex.quote(os.fspath(path)) for path in unheard)}",
    ]


def _type(line: str) -> None:
    """Print a command line and run it with this installation of sertool."""
    talk.out("")
    for piece in f"$ {line}".split("\n"):
        talk.out(piece)
    sys.stdout.flush()
    program_here = Path(sys.executable).with_name("sertool")
    program = shlex.quote(str(program_here)) if program_here.exists() else f"{shlex.quote(sys.executable)} -m sertool"
    typed = re.sub(r"^( *\| )?sertool ", lambda match: f"{match[1] or ''}{program} ", line, flags=re.MULTILINE)
    if subprocess.run(typed, shell=True, check=False).returncode:
        raise SertoolError("the demo stopped at: " + line.replace(" \\\n ", ""))
