"""Measure how much of what is said in recordings of many turns is answered rightly, by how they are cut.

    sertool index corpora/cremad --protocol cremad-nk -o nk.parquet
    python tests/bench/turns.py nk.parquet work/

A recording is 30 clips of a dev speaker in any order, with .4 to 2.5 s of quiet after each, as recorded and in white
noise. Of each tenth of a second within a clip the mean of the answers that cover it is taken; figures are the shares
that are right, averaged over emotions.
"""

import argparse
import subprocess
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import soundfile

from sertool.sound import audio

RATE, CLIPS, FAINT = 16_000, 30, 1e-4
WAYS = ("--pauses 0.4", "--window 3", "--window 3 --hop 1")
Turn = tuple[float, float, str]  # begin, end, emotion


def recordings(table: Path, folder: Path, noise_db: float | None) -> dict[str, list[Turn]]:
    """Write a recording for each dev speaker, with noise so far below the speech; return their turns."""
    rng, turns = np.random.default_rng(0), defaultdict(list)
    clips = defaultdict(list)
    for row in pq.read_table(table).to_pylist():
        if row["split"] == "dev" and not row["issue"]:
            clips[row["speaker"]].append(row)
    folder.mkdir(parents=True, exist_ok=True)
    for speaker, own in clips.items():
        path, parts, at = str(folder / f"{speaker.partition(':')[2]}.wav"), [], 0
        for place in rng.permutation(len(own))[:CLIPS]:
            heard = audio.decode(str(table.parent / own[place]["path"]), audio.Cut(RATE))[0]
            parts += [heard, np.zeros(round(RATE * rng.uniform(0.4, 2.5)))]
            turns[path].append((at / RATE, (at + len(heard)) / RATE, own[place]["emotion"]))
            at += len(parts[-2]) + len(parts[-1])
        speech = np.sqrt(np.mean(np.square(np.concatenate(parts[::2]))))
        level = FAINT if noise_db is None else speech * 10 ** (-noise_db / 20)
        samples = np.concatenate(parts) + level * rng.standard_normal(at)
        soundfile.write(path, samples, RATE, subtype="FLOAT")
    return turns


def right(answers: Path, turns: dict[str, list[Turn]]) -> float:
    """Return the share of speech in per cent that is answered rightly, averaged over emotions."""
    rows, hits = defaultdict(list), defaultdict(list)
    for row in pq.read_table(answers).to_pylist():
        if row["predicted"]:
            rows[Path(row["path"]).name].append(row)
    for path, own in turns.items():
        answered = rows[Path(path).name]
        names = [name for name in answered[0] if name.startswith("p_")]
        spans = np.array([[row["start"], row["end"]] for row in answered])
        probabilities = np.array([[row[name] for name in names] for row in answered])
        for begin, end, emotion in own:
            for moment in np.arange(begin + 0.05, end, 0.1):
                here = (spans[:, 0] <= moment) & (moment < spans[:, 1])
                best = names[probabilities[here].mean(axis=0).argmax()] if here.any() else ""
                hits[emotion].append(best == f"p_{emotion}")
    return 100 * float(np.mean([np.mean(each) for each in hits.values()]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("work", type=Path)
    asked = parser.parse_args()
    for noise_db in (None, 30, 20, 10):
        folder = asked.work / ("quiet" if noise_db is None else f"noise-{noise_db}")
        turns = recordings(asked.table, folder, noise_db)
        for way in WAYS:
            answers = folder.with_suffix(".parquet")
            subprocess.run(["sertool", "predict", "-q", folder, "-o", answers, *way.split()], check=True)
            count = pq.read_metadata(answers).num_rows
            print(f"{folder.name}, {way}: {right(answers, turns):.1f} of {count} rows", flush=True)


if __name__ == "__main__":
    main()
