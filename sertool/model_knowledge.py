"""What a model knows of some rows: which part their clips and their speakers had in its training.

The run tells it beside each of its models; where a model file lies alone, the published split that divided its speakers
does; and of who taught the model's encoder the file itself.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sertool import manifest, modelfile, run_folder, shipped, splits, taught_encoders, wire
from sertool.codes import look_up
from sertool.manifest import Table
from sertool.splits import PARTS, TRAIN


class Knowledge(NamedTuple):
    """Places in PARTS, int `[rows]` each, -1 where none is known."""

    clips: np.ndarray  # of a clip's own; a copy's is its clip's
    speakers: np.ndarray  # of whoever speaks in it

    @property
    def parts(self) -> np.ndarray:
        """The part of each row: its own, else its speaker's, `[rows]`."""
        return np.where(self.clips >= 0, self.clips, self.speakers)

    @property
    def learnt(self) -> np.ndarray:
        """Which clips the model was trained on, bool `[rows]`."""
        return self.clips == TRAIN

    @property
    def met(self) -> np.ndarray:
        """Of which it was trained on the clip or on the speaker, bool `[rows]`."""
        return self.learnt | (self.speakers == TRAIN)


def of(table: Table, model: Path) -> Knowledge:
    """What a model knows of a table's rows. What it held out is so whoever taught its encoder: its training judged
    that, by what its split divides."""
    taught, heard = taught_encoders.known_to(table, model) if model.exists() else np.zeros((2, len(table)), bool)
    clips, speakers = _divided(table, wire.read(str(_division(model)))) if has_run(model) else _published(table, model)
    return Knowledge(np.where(heard & (clips < 0), TRAIN, clips), np.where(taught, TRAIN, speakers))


def has_run(model: Path) -> bool:
    """Whether its run says beside a model what it learnt from and what it held out."""
    return _division(model).exists()


def _division(model: Path) -> Path:
    return model.parent / run_folder.DIVISION


def protocol_of(model: Path) -> str | None:
    """The published split by which a model file says that its speakers were divided, as those of the package were."""
    said = modelfile.read(model).trained.get("protocol") or (shipped.DIVISION if shipped.holds(model) else None)
    entry = splits.entry(said)
    return str(said) if "speakers" in entry and entry["kind"] == "split" else None


def corpora_of(model: Path) -> list[str]:
    """The corpora that a model file says it learnt from."""
    return list(modelfile.read(model).trained.get("corpora") or {})


def _published(table: Table, model: Path) -> tuple[np.ndarray, np.ndarray]:
    """As a published split divides the speakers: it had every clip of those who train."""
    speakers = _by_speaker(table, splits.speakers(splits.entry(protocol_of(model))))
    return np.where(speakers == TRAIN, TRAIN, -1), speakers


def _divided(table: Table, divided: Table) -> tuple[np.ndarray, np.ndarray]:
    """As a run divided its clips. One that its split left out, as of a sentence of another part than the speaker is,
    was not held out by it."""
    names, words, who = (manifest.column(divided, name) for name in ("clip", "split", "speaker"))
    placed = {clip: PARTS.index(word) for clip, word in zip(names, words, strict=True) if word in PARTS}
    left_out = {*names} - placed.keys()
    is_left_out = np.array([clip in left_out for clip in manifest.column(table, "clip")], bool)
    speakers = _by_speaker(table, _of_speakers(who, words))
    return manifest.own_or_parents(table, placed), np.where(is_left_out & (speakers != TRAIN), -1, speakers)


def _of_speakers(who: Sequence[str | None], words: Sequence[str | None]) -> dict[str, int]:
    """The part of each speaker: train where any clip of theirs is in it, else the one that they have."""
    found = {(name, PARTS.index(word)) for name, word in {*zip(who, words, strict=True)} if name and word in PARTS}
    parts = Counter(name for name, _ in found)
    return {name: part for name, part in found if part == TRAIN or parts[name] == 1}


def _by_speaker(table: Table, part: Mapping[str, int]) -> np.ndarray:
    """What whoever speaks in each row has, `[rows]`."""
    speaker = manifest.codes(table, "speaker")
    return look_up([part.get(str(name), -1) for name in speaker.values], speaker)
