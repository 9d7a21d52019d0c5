"""Compare the accuracy that published systems claim with what sertool gets their way, and on new speakers.

    python tests/bench/gaps.py CORPORA WORK [RECIPE...]    train those that are named, or all that were never trained
    python tests/bench/gaps.py --readme [--check]          write README's table again

CORPORA holds the folders cremad and ravdess. Each recipe is one line, `sertool train --recipe NAME --gap`, that trains
twice: under the system's own split, which has every speaker on both sides, and on disjoint speakers. Networks are
trained in bf16 where the hardware supports it.
"""

import argparse
import shlex
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import shown

from sertool.train.recipes import RECIPES

HELD = Path(__file__).with_name("gaps.json")


class System(NamedTuple):
    """A published system, one of its corpora, and the accuracy that it claims."""

    what: str
    corpus: str
    claimed: str
    rows: str = "sertool index {corpus} -q"


WITH_COPIES = (
    "sertool index {corpus} -q --emotions neutral,happy,sad,angry,fear,disgust | "
    "sertool augment - -q --recipe clstm --seed 1"
)

SYSTEMS = {
    "cnn-a": System("A, residual CNN", "cremad", "60.7"),
    "cnn-mfcc-a": System("A, residual CNN on MFCC", "cremad", "65.8"),
    "cnn-gru-a": System("A, CNN and GRU", "cremad", "59.6"),
    "cnn-transformer-a": System("A, CNN and transformer", "cremad", "63.1"),
    "resnet18-a": System("A, ResNet-18", "cremad", "59.6"),
    "mamba-a": System("A, two Mamba blocks", "cremad", "53.6"),
    "clstm-b": System("B, CNN and LSTM, copies", "ravdess", "82.1", WITH_COPIES),
    "lstm-b": System("B, LSTM, copies", "ravdess", "82.1 at best", WITH_COPIES),
    "gru-b": System("B, GRU, copies", "ravdess", "82.1 at best", WITH_COPIES),
    "lda-c": System("C, linear discriminant", "cremad", "–"),
    "svm-c": System("C, support vectors", "cremad", "–"),
    "logistic-c": System("C, regression", "cremad", "–"),
    "forest-c": System("C, random forest", "cremad", "–"),
    "cnn1d-c": System("C, 1D CNN", "cremad", "at best 48"),
    "cnn1d-lda-c": System("C, 1D CNN after LDA", "cremad", "at best 48"),
    "cnn2d-c": System("C, 2D CNN", "cremad", "55"),
    "cnn2d-silu-c": System("C, 2D CNN with SiLU", "cremad", "64.1 if this"),
    "msf-cnn-c": System("C, CNN on modulation spectra", "cremad", "48"),
    "msf-cnn-silu-c": System("C, the same with SiLU", "cremad", "64.1 if this"),
    "acnt-e": System("E, CNN and transformer, without copies", "ravdess", "chance"),
}


def run(recipe: str, corpora: Path, work: Path) -> dict[str, Any]:
    """Return a recipe's accuracy on each split, with its interval."""
    folder = work / "runs" / recipe
    if not (folder / "disjoint" / "predictions.parquet").exists():
        system = SYSTEMS[recipe]
        rows = system.rows.format(corpus=shlex.quote(str(corpora / system.corpus)))
        how = "--precision bf16 --gap" if "training" in RECIPES[recipe] else "--gap"
        train = f"sertool train --recipe {recipe} {how} -o {shlex.quote(str(folder))} > /dev/null"
        print(f"+ {rows} | {train}", flush=True)
        subprocess.run(["bash", "-euo", "pipefail", "-c", f"{rows} | {train}"], check=True, cwd=work)
    return {side: scored(folder / side / "predictions.parquet") for side in ("leaky", "disjoint")}


def scored(predictions: Path) -> dict[str, Any]:
    held = shown.scored(predictions)
    facts = {name: held[name] for name in ("protocol", "clips", "speakers")}
    return shown.per_cent(held["figures"]["wa"]) | facts


def table(held: dict[str, Any]) -> str:
    lines = ["| system | on | claims | ours, its split | ours, new speakers [95 %] | optimism |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for recipe in (name for name in SYSTEMS if name in held):
        system, (leaky, disjoint) = SYSTEMS[recipe], (held[recipe][side] for side in ("leaky", "disjoint"))
        lines.append(
            f"| {system.what} (`{recipe}`) | {system.corpus} | {system.claimed} | {leaky['value']:.1f}, "
            f"`{leaky['protocol']}` | {shown.interval(disjoint)}, `{disjoint['protocol']}` | "
            f"{leaky['value'] - disjoint['value']:+.1f} |"
        )
    return "\n".join(lines) + "\n"


def with_table(text: str, held: dict[str, Any]) -> str:
    return shown.placed(text, "gaps", table(held))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="*", metavar="CORPORA WORK RECIPE")
    shown.add_options(parser)
    asked = parser.parse_intermixed_args()
    held = shown.kept(HELD)
    if asked.readme:
        shown.settle(asked, lambda text: with_table(text, held))
        return
    corpora, work, *named = asked.places
    Path(work).mkdir(parents=True, exist_ok=True)
    for recipe in named or [name for name in SYSTEMS if name not in held]:
        held[recipe] = run(recipe, Path(corpora).resolve(), Path(work).resolve())
        print(recipe, held[recipe], flush=True)
        shown.keep(HELD, {name: held[name] for name in SYSTEMS if name in held})


if __name__ == "__main__":
    main()
