"""From the records' runs to the models inside the package: packed in 8 bits, told how they were made, and described.

python tests/bench/records.py CORPORA WORK cremad-base cremad-tiny
python tests/bench/ship.py WORK [--weights FILE]
python tests/bench/records.py CORPORA WORK base-folds tiny-fifth
python tests/bench/ship.py WORK --calibrate
python tests/bench/records.py CORPORA WORK cremad-shipped-base cremad-shipped-base-speaker cremad-shipped-tiny
python tests/bench/conditions.py CORPORA WORK
python tests/bench/ship.py WORK --cards
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import conditions
import records
import shown

from sertool import shipped
from sertool.modelfiles import inference, modelfile, packing
from sertool.networks import quantization, weights

TRIM = 40.0  # dB below the loudest frame: softer ends are cut off the clips that the models answer for
HEARD = {"whisper": {"whole": 5.0, "piece": 3.0}}  # longer clips than those learnt from are encoded in pieces
MODELS = {"base": ("cremad-base", "runs/cremad-base"), "tiny": ("cremad-tiny", "runs/tiny")}
CALIBRATED = {  # by speakers of train, of whom the models themselves know all
    "base": ("base-folds", "runs/base-folds/final", "five like it, each trained without a fifth of train's speakers"),
    "tiny": ("tiny-fifth", "runs/tiny-fifth", "another like it, trained without a fifth of train's speakers"),
}

INTRODUCED = {
    "base": """The first four of the six blocks of Whisper's base encoder, which were trained without labels to give
copies with noise, rooms, telephones and codecs the features that the published ones give the clips, and three dense
networks on what five layers hold over time, which answer as one. Weights are in 8 bits, and so are the encoder's
products where the processor has such. It learnt from clips and copies, too; of what it is asked, silent ends are left
out. Recordings of another kind are best met with `--adapt speaker`, if need be with all clips as one voice
(`--speakers all`): alone it is often wrong there, and too sure.
""",
    "tiny": """A log-mel network of 1.1 million parameters, for speed: it learnt from labels and from a network on
Whisper's encoder, of clips and of copies of them with noise, rooms, telephones and codecs; of what it is asked, silent
ends are left out.
""",
}
DATA = """**Data.** CREMA-D (Cao et al. 2014, ODbL 1.0): acted English, twelve sentences of two to three seconds, 57
speakers of the protocol `cremad-nk` for training. The encoder, where there is one, is OpenAI's Whisper base (MIT).
"""
LIMITS = """
**Limits.** It learnt from acted speech in one language, recorded in one studio: spontaneous, foreign or noisy speech is
harder, and a label is what an actor meant, not what somebody felt. Groups differ, and have few speakers. Accuracy for a
single person can be far from the mean.

**It must not be used** to judge people: not in hiring, at work, at school, by police or border guards, in insurance,
medicine or credit, nor to learn of feelings that somebody does not wish to show.

"""


def card(name: str, work: Path) -> str:
    """Return a model's card: what it is, how well it does and for whom, and what it is not for."""
    run, figures = _scored(work / f"cremad-shipped-{name}.parquet"), _interval
    own, adapted = run["figures"], work / f"cremad-shipped-{name}-speaker.parquet"
    alone = 100 * own["ece"]["value"]
    lines = [f"# {name}", "", INTRODUCED[name], DATA]
    lines += [
        f"**Figures**, in per cent with 95 % intervals, on the {run['speakers']} dev speakers of `cremad-nk`, on whom",
        f"it was not trained, {run['clips']:,} clips: UAR {figures(own['uar'])}, accuracy {figures(own['wa'])},",
        f"calibration error {alone:.1f}. The tables are of the model alone. How sure it is follows from",
        f"{CALIBRATED[name][2]}, and asked of these; dev had no say in it.",
    ]
    if adapted.exists():
        known = _scored(adapted)["figures"]
        error = 100 * known["ece"]["value"]
        lines += [
            "Adapted to each speaker by that speaker's own clips (`--adapt speaker`): "
            f"UAR {figures(known['uar'])}, calibration error {error:.1f};",
            "balanced emotions, as here, flatter it.",
        ]
    lines += [
        "Intervals are of resampled speakers; where there are fewer than eight, of their clips, and say nothing of",
        "others.",
    ]
    lines += ["", "| group | clips | speakers | UAR |", "| --- | --- | --- | --- |"]
    groups = [(column, group, group["figures"]["uar"]) for column, held in run["by"].items() for group in held]
    lines += [f"| {column}: {group['name']} | {group['clips']} | {group['speakers']} | {figures(uar)} |"
              for column, group, uar in groups]  # fmt: skip
    held = shown.kept(conditions.HELD)
    rows = {**held["ways"], **{conditions.OTHERS[corpus]: found for corpus, found in held["others"].items()}}
    lines += ["", "| recorded so, or another corpus | clips | UAR |", "| --- | --- | --- |"]
    lines += [f"| {way} | {found[name]['clips']:,} | {shown.interval(found[name])} |" for way, found in rows.items()]
    return "\n".join([*lines, LIMITS])


def _scored(predictions: Path) -> dict[str, Any]:
    return shown.scored(predictions, "--by", "sex,race,age")


def _interval(figure: shown.Figure) -> str:
    return shown.interval(shown.per_cent(figure))


def ship(name: str, work: Path) -> Path:
    """Pack a run's model, and write it into the package."""
    record, folder = MODELS[name]
    held = modelfile.read(next((work / folder).rglob("model.safetensors")))
    heard = {name: _heard(name, record) for name, record in held.features.items()}
    said = _said(name, record) | {"encoders": packing.origins(heard)}
    held = replace(held, trained=held.trained | said, features=heard)
    if not any(name.endswith(quantization.SCALE) for name in held.tensors):  # else trained with --pack 8-bit
        held = packing.packed(held, inference.extraction_of(held.features), in_8_bits=True)
    place = shipped.FOLDER / f"{name}.safetensors"
    modelfile.write(place, held)
    return place


def _heard(name: str, record: dict[str, Any]) -> dict[str, Any]:
    """Return how a feature is made of what the model is asked, from the record of what it learnt from."""
    settings = record["settings"] | HEARD.get(name, {})
    return record | {"settings": settings, "wave": record["wave"] | {"trim": TRIM}}


def calibrate(name: str, work: Path) -> Path:
    """Give a model of the package the temperatures of what was trained like it on fewer speakers."""
    record, folder, _ = CALIBRATED[name]
    fitted = modelfile.read(next((work / folder).rglob("model.safetensors")))
    place = shipped.FOLDER / f"{name}.safetensors"
    held = modelfile.read(place)
    held = replace(held, temperature=fitted.temperature, adapted_temperature=fitted.adapted_temperature)
    modelfile.write(place, replace(held, trained=held.trained | _said(name, MODELS[name][0], record)))
    return place


def _said(name: str, *made: str) -> dict[str, Any]:
    """Return what a model says of itself, and the commands of the records that it comes from."""
    lines = [line for record in made for line in records.RECORDS[record].commands]
    commands = [line.format(corpora="corpora", weights="").replace("  ", " ") for line in dict.fromkeys(lines)]
    return {"commands": commands, "about": f"{INTRODUCED[name]}\n{DATA}{LIMITS}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--weights", help="a file of Whisper-base's weights")
    parser.add_argument("--only", choices=list(MODELS))
    parser.add_argument("--calibrate", action="store_true", help="calibrate the package's models, which are there")
    parser.add_argument("--cards", action="store_true", help="write the model cards, of what was measured")
    asked = parser.parse_args()
    weights.use_file(asked.weights)
    for name in [asked.only] if asked.only else MODELS:
        if asked.cards:
            (shipped.FOLDER / f"{name}.md").write_text(card(name, asked.work), encoding="utf-8")
            continue
        place = (calibrate if asked.calibrate else ship)(name, asked.work)
        print(f"{place.name}: {place.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
