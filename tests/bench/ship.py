"""From the records' runs to the models inside the package: packed in 8 bits, and told how they were made.

python tests/bench/records.py CORPORA WORK cremad-base cremad-tiny
python tests/bench/ship.py WORK [--weights FILE]
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import records

from sertool import inference, modelfile, packing, rounding, shipped, weights

MODELS = {"base": ("cremad-base", "runs/cremad-base"), "tiny": ("cremad-tiny", "runs/tiny")}


def ship(name: str, work: Path) -> Path:
    """Pack a run's model, and write it into the package."""
    record, folder = MODELS[name]
    held = modelfile.read(next((work / folder).rglob("model.safetensors")))
    commands = [
        line.format(corpora="corpora", weights="").replace("  ", " ") for line in records.RECORDS[record].commands
    ]
    held = replace(held, trained=held.trained | {"commands": commands})
    if not any(name.endswith(rounding.SCALE) for name in held.tensors):  # else it was trained with --pack 8-bit
        held = packing.packed(held, inference.recipe_of(held.features), in_8_bits=True)
    place = shipped.FOLDER / f"{name}.safetensors"
    modelfile.write(place, held)
    return place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--weights", help="a file of Whisper-base's weights")
    parser.add_argument("--only", choices=list(MODELS))
    asked = parser.parse_args()
    weights.give(asked.weights)
    for name in [asked.only] if asked.only else MODELS:
        place = ship(name, asked.work)
        print(f"{place.name}: {place.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
