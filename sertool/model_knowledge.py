"""What a model knows of some rows: which part their clips and their speakers had in its training.

The run tells it beside each of its models; where a model file lies alone, the published split that divided its speakers
does; and of who taught the model's encoder the file itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sertool import manifest, merging, modelfile, run_folder, shipped, splits, taught_encoders, twins, wire
from sertool.codes import Codes, find, look_up
from sertool.manifest import Table
from sertool.splits import DEV, PARTS, TEST, TRAIN

LEFT_OUT = len(PARTS)  # beside the places in PARTS: in none of them, though the run's manifest has it


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
    """As a run divided its clips, whom it knows by their names or, under other names, by their sounds and files. One
    that its split left out, as of a sentence of another part than the speaker is, was not held out by it."""
    words, who = manifest.codes(divided, "split"), manifest.codes(divided, "speaker")
    held = look_up([PARTS.index(word) if word in PARTS else LEFT_OUT for word in words.values], words, LEFT_OUT)
    of_speakers = dict(zip(who.values, _of_each(who, held).tolist(), strict=True))
    own, voices = _by_name(manifest.each(table, "clip"), divided, held), np.full(len(table), -1)
    new = own < 0
    own[new], voices[new] = _of_equals(manifest.keep(table, new), divided, [held, _by_speaker(divided, of_speakers)])
    speaker = manifest.codes(table, "speaker")
    said = np.append(_by_speaker(table, of_speakers), voices)
    speakers = look_up(_of_each(Codes(np.tile(speaker.index, 2), speaker.values), said), speaker)
    speakers = np.where((own == LEFT_OUT) & (speakers != TRAIN), -1, speakers)
    clips = np.where(_is_part(own), own, _of_parents(table, own, divided, held))
    return np.where(_is_part(clips), clips, -1), speakers


def _is_part(held: np.ndarray) -> np.ndarray:
    return (held >= 0) & (held < LEFT_OUT)


def _by_name(clips: Codes, divided: Table, held: np.ndarray) -> np.ndarray:
    """What is held of a run's rows, for the rows of the same clips, `[rows]`; -1 for others."""
    places = find(clips.values, manifest.each(divided, "clip").values)
    return look_up(np.append(held, -1)[places], clips)


def _of_parents(table: Table, own: np.ndarray, divided: Table, held: np.ndarray) -> np.ndarray:
    """What the clip of each copy has, be it in the table or in the run's alone, `[rows]`."""
    clip, parent = manifest.each(table, "clip"), manifest.codes(table, "parent")
    there = look_up(np.append(own, -1)[find(parent.values, clip.values)], parent)
    return np.where(there < 0, _by_name(parent, divided, held), there)


def _of_each(who: Codes, parts: np.ndarray) -> np.ndarray:
    """The part of each speaker, `[values]`: train where any row says so, else the one that they have, else -1."""
    said = np.zeros((len(who.values), len(PARTS)), bool)
    told = (who.index >= 0) & _is_part(parts)
    said[who.index[told], parts[told]] = True
    return np.where(said[:, TRAIN] | (said.sum(axis=1) == 1), said.argmax(axis=1), -1)  # train is the first


def _of_equals(table: Table, divided: Table, held: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """What is held of a run's rows, for the rows that begin with them in the same sound or, where none is known, file,
    `[rows]` each; -1 for those that do not."""
    names = ("path", "start", "digest")
    both = [manifest.with_empty(one, *names).select(names) for one in (table, divided)]
    begun = twins.beginnings(merging.stacked(both))
    asked, own = begun[: len(table)], begun[len(table) :]
    for parts in held:
        found = np.full(len(begun) + 1, -1)  # whose last is of what is not known
        for part in (LEFT_OUT, DEV, TEST, TRAIN):  # of several the last counts
            found[own[(parts == part) & (own >= 0)]] = part
        yield found[asked]


def _by_speaker(table: Table, part: Mapping[str, int]) -> np.ndarray:
    """What whoever speaks in each row has, `[rows]`."""
    speaker = manifest.codes(table, "speaker")
    return look_up([part.get(str(name), -1) for name in speaker.values], speaker)
