"""Find the part that the clips and speakers of a table had in a model's training.

A run records it beside each of its models. For a model file alone it follows from the published split that the file
names. The file itself records whose voices the model's encoder was trained on.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sertool import shipped
from sertool.divisions import protocols
from sertool.divisions.splits import DEV, PARTS, TEST, TRAIN
from sertool.manifests import duplicates, manifest, manifest_io, merging, run_folder
from sertool.manifests.manifest import Table
from sertool.modelfiles import modelfile
from sertool.numeric.codes import Codes, find, look_up
from sertool.pretraining import encoder_trainings

LEFT_OUT = len(PARTS)  # besides the indices into PARTS: a clip of the run's manifest that is in no part


class Knowledge(NamedTuple):
    """Indices into PARTS, int `[rows]` each, -1 where unknown."""

    clips: np.ndarray  # the part of the clip, or of the clip that it is a copy of
    speakers: np.ndarray  # the part of its speaker

    @property
    def parts(self) -> np.ndarray:
        """The part of each row: its clip's, else its speaker's, `[rows]`."""
        return np.where(self.clips >= 0, self.clips, self.speakers)

    @property
    def knows_clip(self) -> np.ndarray:
        """The rows whose clip the model was trained on, bool `[rows]`."""
        return self.clips == TRAIN

    @property
    def knows_speaker(self) -> np.ndarray:
        """The rows whose clip or speaker the model was trained on, bool `[rows]`."""
        return self.knows_clip | (self.speakers == TRAIN)


def of(table: Table, model: Path) -> Knowledge:
    """Return the parts of a table's rows in a model's training.

    What the model held out counts as held out whatever its encoder was trained on, as the training checked the encoder
    against its split.
    """
    nobody = np.zeros((2, len(table)), bool)
    encoder_speakers, encoder_clips = encoder_trainings.known_to(table, model) if model.exists() else nobody
    if has_run(model):
        clips, speakers = _divided(table, manifest_io.read(str(_division(model))))
    else:
        clips, speakers = _published(table, model)
    clips = np.where(encoder_clips & (clips < 0), TRAIN, clips)
    return Knowledge(clips, np.where(encoder_speakers, TRAIN, speakers))


def has_run(model: Path) -> bool:
    """Whether a record of its run's split lies beside a model."""
    return _division(model).exists()


def _division(model: Path) -> Path:
    return model.parent / run_folder.DIVISION


def protocol_of(model: Path) -> str | None:
    """Return the published split that a model was trained with, by its file or, for the package's models, by name."""
    name = modelfile.read(model).trained.get("protocol") or (shipped.DIVISION if shipped.holds(model) else None)
    protocol = protocols.named(name)
    return str(name) if protocol.speakers and not protocol.folds else None


def corpora_of(model: Path) -> list[str]:
    """Return the corpora that a model was trained on, by its file."""
    return list(modelfile.read(model).trained.get("corpora") or {})


def _published(table: Table, model: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the parts by a published split; every clip of its train speakers counts as trained on."""
    speakers = _by_speaker(table, protocols.named(protocol_of(model)).places())
    return np.where(speakers == TRAIN, TRAIN, -1), speakers


def _divided(table: Table, divided: Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the parts by a run's record; clips not found there by name are found by sound and file.

    A clip that the run's split left out, for example because its sentence and its speaker are in different parts, does
    not count as held out.
    """
    words, speakers_there = manifest.codes(divided, "split"), manifest.codes(divided, "speaker")
    parts = look_up([PARTS.index(word) if word in PARTS else LEFT_OUT for word in words.values], words, LEFT_OUT)
    of_speakers = dict(zip(speakers_there.values, _of_each(speakers_there, parts).tolist(), strict=True))
    direct, voices = _by_name(manifest.distinct_codes(table, "clip"), divided, parts), np.full(len(table), -1)
    new = direct < 0
    of_rows = [parts, _by_speaker(divided, of_speakers)]
    direct[new], voices[new] = _of_equals(manifest.keep(table, new), divided, of_rows)
    speaker = manifest.codes(table, "speaker")
    parts_of_speakers = np.append(_by_speaker(table, of_speakers), voices)
    speakers = look_up(_of_each(Codes(np.tile(speaker.index, 2), speaker.values), parts_of_speakers), speaker)
    speakers = np.where((direct == LEFT_OUT) & (speakers != TRAIN), -1, speakers)
    clips = np.where(_is_part(direct), direct, _of_parents(table, direct, divided, parts))
    return np.where(_is_part(clips), clips, -1), speakers


def _is_part(places: np.ndarray) -> np.ndarray:
    return (places >= 0) & (places < LEFT_OUT)


def _by_name(clips: Codes, divided: Table, values: np.ndarray) -> np.ndarray:
    """Return `values`, which belong to a run's rows, for rows of the same clips, `[rows]`; -1 for others."""
    places = find(clips.values, manifest.distinct_codes(divided, "clip").values)
    return look_up(np.append(values, -1)[places], clips)


def _of_parents(table: Table, clip_values: np.ndarray, divided: Table, values: np.ndarray) -> np.ndarray:
    """Return the value of each copy's original, which may be in the table or only in the run's, `[rows]`."""
    clip, parent = manifest.distinct_codes(table, "clip"), manifest.codes(table, "parent")
    in_table = look_up(np.append(clip_values, -1)[find(parent.values, clip.values)], parent)
    return np.where(in_table < 0, _by_name(parent, divided, values), in_table)


def _of_each(speakers: Codes, parts: np.ndarray) -> np.ndarray:
    """Return the part of each speaker, `[values]`: train if any row is in train, else the part if unique, else -1."""
    has_part = np.zeros((len(speakers.values), len(PARTS)), bool)
    is_known = (speakers.index >= 0) & _is_part(parts)
    has_part[speakers.index[is_known], parts[is_known]] = True
    return np.where(has_part[:, TRAIN] | (has_part.sum(axis=1) == 1), has_part.argmax(axis=1), -1)  # ties go to train


def _of_equals(table: Table, divided: Table, values_of_run: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the values of a run's rows for rows that start at the same place of the same sound, `[rows]` each.

    Without a digest, the same file counts as the same sound. Rows without a match get -1.
    """
    names = ("path", "start", "digest")
    tables = [manifest.with_empty(each_table, *names).select(names) for each_table in (table, divided)]
    beginnings = duplicates.start_ids(merging.stacked(tables))
    ours, theirs = beginnings[: len(table)], beginnings[len(table) :]
    for parts in values_of_run:
        part_of_beginning = np.full(len(beginnings) + 1, -1)  # the last entry is for unknown beginnings
        for part in (LEFT_OUT, DEV, TEST, TRAIN):  # if several match, the last one counts
            part_of_beginning[theirs[(parts == part) & (theirs >= 0)]] = part
        yield part_of_beginning[ours]


def _by_speaker(table: Table, part: Mapping[str, int]) -> np.ndarray:
    """Return the part of each row's speaker, `[rows]`."""
    speaker = manifest.codes(table, "speaker")
    return look_up([part.get(str(name), -1) for name in speaker.values], speaker)
