"""Record whom an encoder was trained on: its features leak them, so a model on such features must not hold them out.

A model file has this record for the encoder that it holds, and shards for the encoder that made them; it is not part of
their settings, as equal tensors make equal features. Each entry is one training: the last block that it left
unchanged, and its speakers and clips as short digests; or the corpora, for a file that does not record them; or the
shipped model whose encoder was trained further.
"""

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sertool import catalogue, encoders, shipped
from sertool.divisions import splits
from sertool.divisions.splits import TRAIN
from sertool.errors import SertoolError
from sertool.manifests import manifest
from sertool.manifests.manifest import Table
from sertool.networks import tensorfile, weights
from sertool.numeric.codes import Codes, look_up

WORD = "encoder"  # key in a model file's training record
DIGITS = 12  # length of a digest
EncoderTraining = dict[str, Any]  # above: last unchanged block; and who: concatenated digests; or corpora; or package


def is_sound(trainings: Any) -> bool:
    """Whether a file's trainings have the expected form."""
    return isinstance(trainings, list) and all(
        isinstance(training, dict) and type(training.get("above")) is int and _are_digests(training.get("who", ""))
        and _are_words(training.get("corpora", [])) and isinstance(training.get("package", ""), str)
        for training in trainings
    )  # fmt: skip


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _are_digests(value: Any) -> bool:
    return isinstance(value, str) and len(value) % DIGITS == 0 and not value.strip("0123456789abcdef")


def shared(trainings: Iterable[EncoderTraining]) -> list[EncoderTraining]:
    """Return the trainings with their digests interned, however many shards have them."""
    return [
        training | {"who": sys.intern(training["who"])} if "who" in training else training for training in trainings
    ]


def without_repeats(trainings: Iterable[EncoderTraining]) -> list[EncoderTraining]:
    """Return the trainings without repetitions."""
    unique: list[EncoderTraining] = []
    for training in trainings:
        if training not in unique:
            unique.append(training)
    return unique


# Recording whom it was trained on.


def on_rows(table: Table, train: np.ndarray, above: int) -> EncoderTraining:
    """Return the entry of a training on some rows, bool `[rows]`, which changed the blocks above number `above`."""
    there = ((kind, codes, np.unique(codes.index[train & (codes.index >= 0)])) for kind, codes in _kinds(table))
    who = [_digest(kind, codes.values[place]) for kind, codes, places in there for place in places.tolist()]
    return {"above": above, "who": "".join(sorted(who))}


def _kinds(table: Table) -> Iterator[tuple[str, Codes]]:
    """Yield the speaker and the clip of each row; a copy counts as the clip that it was made from."""
    yield "speaker", manifest.codes(table, "speaker")
    family = manifest.origins(table)
    sounds = dict(enumerate(manifest.column(table, "digest")))
    names = [sounds.get(place) or family.values[place] for place in family.index.tolist()]
    values, index = np.unique(np.array(names, object), return_inverse=True)
    yield "clip", Codes(index, values.tolist())


def _digest(kind: str, name: str) -> str:
    """Return a digest that is short, but long enough for millions of clips without a collision."""
    return hashlib.blake2b(f"{kind} {name}".encode("utf-8", "surrogatepass"), digest_size=DIGITS // 2).hexdigest()


def of_package(feature: str, settings: Mapping[str, Any]) -> str | None:
    """Return the shipped model whose encoder made a feature, or None."""
    if feature not in catalogue.names("encoders") or not settings.get("weights"):
        return None
    family, size = encoders.load(feature), _size(feature, settings)
    return weights.package_model_with(
        settings["weights"], family.shapes(size, _top(feature, settings)), family.arranged
    )


def of_weights(feature: str, settings: Mapping[str, Any]) -> list[EncoderTraining]:
    """Return the trainings in the file of `--weights` for the layers of a feature; none without such a file.

    Shipped encoders are recognised by their digest instead, whatever file they are in.
    """
    place = weights.file_in_use()
    if place is None or feature not in catalogue.names("encoders") or shipped.holds(place):
        return []
    return [training for training in _of_file(place) if training["above"] < _top(feature, settings)]


def _of_file(path: Path) -> list[EncoderTraining]:
    trained = tensorfile.header(path).get("trained") if path.suffix == ".safetensors" else None
    if not isinstance(trained, dict):
        return []
    if WORD not in trained:  # from before files recorded it
        corpora = trained.get("corpora")
        return [{"above": 0, "corpora": sorted(corpora)}] if isinstance(corpora, dict) and corpora else []
    if not is_sound(trained[WORD]):
        raise SertoolError(f"{path}: it does not say who taught its encoder: make or fetch it again")
    return list(trained[WORD])


def _size(feature: str, settings: Mapping[str, Any]) -> str:
    return str(settings[catalogue.entries("features")[feature].facts["CHOICE"]])


def _top(feature: str, settings: Mapping[str, Any]) -> int:
    count = encoders.load(feature).SIZES[_size(feature, settings)]["layers"]
    return encoders.parse_layers(settings["layers"], count)[-1]


# Finding who would leak.


def count_held_out(trainings: Sequence[EncoderTraining], table: Table, divisions: Sequence[np.ndarray]) -> str | None:
    """Describe how many held-out speakers or clips the encoder was trained on: `7 of 10 speakers`.

    Those that are also in train are not counted; None if there are no others.
    """
    for kind, codes, is_known in _known_rows(trainings, table):
        held_out, both = np.zeros((2, len(table)), bool)
        for split in divisions:
            out = (codes.index >= 0) & splits.is_held_out(split)
            out &= ~np.isin(codes.index, codes.index[split == TRAIN])
            held_out, both = held_out | out, both | (out & is_known)
        if both.any():
            count, all_of = (len(np.unique(codes.index[rows])) for rows in (both, held_out))
            return f"{count:,} of {all_of:,} {kind}s"
    return None


def known_to(table: Table, model: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows' speakers, and which rows' clips, a model file's encoder was trained on, bool `[rows]` each."""
    known = [is_known for _, _, is_known in _known_rows(_of_file(model), table)]
    speaker, clip = known or np.zeros((2, len(table)), bool)
    return speaker, clip


def _known_rows(trainings: Sequence[EncoderTraining], table: Table) -> Iterator[tuple[str, Codes, np.ndarray]]:
    """Yield which rows the trainings name, bool `[rows]`, by speaker and by clip."""
    digests = [training.get("who", "") for training in trainings]
    known = {text[place : place + DIGITS] for text in digests for place in range(0, len(text), DIGITS)}
    if not known:
        return
    for kind, codes in _kinds(table):
        names = (str(codes.values[place]) for place in range(len(codes.values)))
        yield kind, codes, look_up([_digest(kind, name) in known for name in names], codes, null=False)
