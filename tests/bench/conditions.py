"""Measure how the package's models do under other recording conditions and on corpora they were not trained on.

    python tests/bench/conditions.py CORPORA WORK [--model base] [--model tiny]    measure, and keep the figures
    python tests/bench/conditions.py --readme [--check]                            write README's tables again

CORPORA holds the folders cremad, ravdess, emodb and tess; intermediate files are in WORK. The recording conditions are
effects on the dev speakers' clips; of the other corpora only the emotions that the models know are used.
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import shown

from sertool import shipped

HELD = Path(__file__).with_name("conditions.json")
EMOTIONS = "neutral,happy,sad,angry,fear,disgust"
WAYS = {
    "as recorded": "",
    "telephone, 8 bits": "--telephone",
    "white noise at 10 dB": "--noise 10",
    "Opus at 8 kbit/s": "--codec 8 --codec-kind opus",
    "MP3 at 16 kbit/s": "--codec 16 --codec-kind mp3",
    "a room, 0.5 s": "--reverb 0.5",
    "20 dB softer": "--gain=-20",
    "peaks cut by 12 dB": "--clipping 12",
    "stereo, one side softer": "stereo",
    "a second of quiet at both ends": "quiet",
}
MODELS = ("base", "base --adapt speaker --speakers all", "base --adapt speaker", "tiny")
OTHERS = {"ravdess": "RAVDESS, speech", "emodb": "EMO-DB", "tess": "TESS"}
Figures = dict[str, dict[str, dict[str, Any]]]  # by table, row and model


def made(command: str, work: Path, output: str) -> Path:
    """Return the output of a shell command, run unless the output exists."""
    path = work / output
    if not path.exists():
        print(f"+ {command}", flush=True)
        subprocess.run(["bash", "-euo", "pipefail", "-c", command], check=True, cwd=work)
    return path


def recorded(way: str, corpora: Path, work: Path) -> Path:
    """Return a manifest of CREMA-D's dev speakers under a recording condition."""
    dev = f"sertool index {shlex.quote(str(corpora / 'cremad'))} --protocol cremad-nk | sertool index --where split=dev"
    clean = made(f"{dev} -o clean.parquet", work, "clean.parquet")
    effects = WAYS[way]
    if not effects:
        return clean
    name = "".join(letter if letter.isalnum() else "-" for letter in way)
    if effects in WRITTEN:
        return written(clean, work / name, WRITTEN[effects])
    asked = f"sertool augment undivided.parquet --copies 1 {effects} --write {name} -o {name}.all.parquet"
    undivided(clean, work / "undivided.parquet")
    made(asked, work, f"{name}.all.parquet")
    return copies(work / f"{name}.all.parquet", work / f"{name}.parquet")


def undivided(source: Path, target: Path) -> None:
    """Write the manifest without its split, as copies are only made of train."""
    from sertool.manifests import manifest_io

    manifest_io.write(manifest_io.read(str(source)).drop_columns(["split"]), str(target), "parquet")


def copies(source: Path, target: Path) -> Path:
    from sertool.manifests import manifest, manifest_io

    table = manifest_io.read(str(source))
    there = np.array([parent is not None for parent in manifest.column(table, "parent")])
    manifest_io.write(manifest.keep(table, there), str(target), "parquet")
    return target


def written(clean: Path, folder: Path, change: Callable[[np.ndarray, int], np.ndarray]) -> Path:
    """Write the clips, each changed, as files; return their manifest."""
    import soundfile

    from sertool.manifests import manifest, manifest_io

    table = manifest_io.read(str(clean)).drop_columns(["duration", "samples"])
    folder.mkdir(exist_ok=True)
    paths = []
    for clip, path in zip(*(manifest.column(table, name) for name in ("clip", "path")), strict=True):
        samples, rate = soundfile.read(path, dtype="float32")
        paths.append(str(folder / f"{Path(clip).stem}.wav"))
        soundfile.write(paths[-1], change(samples, rate), rate)
    target = folder.with_suffix(".parquet")
    manifest_io.write(manifest.with_column(table, "path", paths), str(target), "parquet")
    return target


def stereo(samples: np.ndarray, rate: int) -> np.ndarray:
    """Add a second channel, 12 dB softer and 1 ms late: `[samples, 2]`."""
    late = rate // 1000
    softer = 0.25 * np.concatenate([np.zeros(late, np.float32), samples[: len(samples) - late]])
    return np.stack([samples, softer], axis=1)


def quiet(samples: np.ndarray, rate: int) -> np.ndarray:
    """Add a second of faint noise before and after, 60 dB below the clip's peak."""
    rng = np.random.default_rng(len(samples))
    before, after = rng.normal(0, 1e-3 * np.abs(samples).max(), (2, rate)).astype(np.float32)
    return np.concatenate([before, samples, after])


WRITTEN = {"stereo": stereo, "quiet": quiet}


def score(clips: Path, model: str, work: Path) -> dict[str, Any]:
    """Return the UAR of a model on a manifest's clips, with its interval."""
    answers = work / "answers.parquet"
    command = [sys.executable, "-m", "sertool", "predict", "-m", *shlex.split(model), clips, "-f", "parquet"]
    with answers.open("wb") as stream:
        subprocess.run(command, check=True, cwd=work, stdout=stream)
    run = shown.scored(answers)
    figure = shown.per_cent(run["figures"]["uar"])
    return figure | {"clips": run["clips"], "speakers": run["speakers"], "model": known(model)}


def known(model: str) -> str | None:
    """Return the checksum of a package model; None for others."""
    name = model.split(maxsplit=1)[0]
    return shown.of_package(name) if name in shipped.names() else None


def measure(corpora: Path, work: Path, model: str, held: Figures) -> None:
    for way in WAYS:
        clips = recorded(way, corpora, work)
        held.setdefault("ways", {}).setdefault(way, {})[model] = score(clips, model, work)
    for corpus in OTHERS:
        folder = shlex.quote(str(corpora / corpus))
        index = f"sertool index {folder} --emotions {EMOTIONS} -o {corpus}.parquet"
        clips = made(index, work, f"{corpus}.parquet")
        held.setdefault("others", {}).setdefault(corpus, {})[model] = score(clips, model, work)


def tables(held: Figures) -> str:
    """Return both tables as in README."""
    cells_of = [row.items() for rows in held.values() for row in rows.values()]
    if stale := {model for row in cells_of for model, figure in row if figure["model"] != known(model)}:
        raise SystemExit(f"{', '.join(sorted(stale))}: another model was measured than is here: measure it again")
    models = list(next(iter(held["ways"].values())))
    head = " | ".join(f"`{model}`" for model in models)
    lines = [f"| CREMA-D's dev speakers, recorded so | {head} |", "| --- |" + " --- |" * len(models)]
    lines += [f"| {way} | {cells(held['ways'][way])} |" for way in WAYS]
    lines += ["", f"| a corpus never seen, six emotions | clips, speakers | {head} |",
              "| --- | --- |" + " --- |" * len(models)]  # fmt: skip
    for corpus, title in OTHERS.items():
        figures = held["others"][corpus]
        one = next(iter(figures.values()))
        lines.append(f"| {title} | {one['clips']:,}, {one['speakers']} | {cells(figures)} |")
    return "\n".join(lines) + "\n"


def cells(figures: dict[str, dict[str, Any]]) -> str:
    return " | ".join(map(shown.interval, figures.values()))


def with_tables(text: str, held: Figures) -> str:
    return shown.placed(text, "conditions", tables(held))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="*", metavar="CORPORA WORK")
    parser.add_argument("--model", action="append", help="a model of the package, or a file (default: base and tiny)")
    parser.add_argument("--try", action="store_true", dest="tried", help="print the figures, and keep none")
    shown.add_options(parser)
    asked = parser.parse_args()
    held = {} if asked.tried else shown.kept(HELD)
    if asked.readme:
        shown.settle(asked, lambda text: with_tables(text, held))
        return
    corpora, work = (Path(place).resolve() for place in asked.places)
    work.mkdir(parents=True, exist_ok=True)
    for model in asked.model or MODELS:
        measure(corpora, work, model, held)
        if not asked.tried:
            shown.keep(HELD, held)
    print(tables(held))


if __name__ == "__main__":
    main()
