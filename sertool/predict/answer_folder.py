"""Write a file of answers for each recording into a folder: those that are missing, or made of what has changed."""

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from sertool.errors import NothingThereError
from sertool.internet import downloading
from sertool.manifests.manifest import Table
from sertool.predict import answer_files, predict_inputs, recordings
from sertool.predict.answer_files import AnswerFile
from sertool.predict.answer_record import Record
from sertool.predict.answering import Answering
from sertool.predict.predict_inputs import Inputs
from sertool.predict.recordings import Recording
from sertool.predict.row_stages import Count
from sertool.predict.stored_rows import Shelf
from sertool.system import files, locks, talk
from sertool.system.paths import absolute, path_text, stamp

ENDINGS = {
    "csv": ".csv", "tsv": ".tsv", "jsonl": ".jsonl", "parquet": ".parquet", "rttm": ".rttm", "srt": ".srt",
    "audacity": ".txt", "textgrid": ".TextGrid",
}  # fmt: skip
MAKERS = (
    "window", "hop", "pauses", "channel", "silence", "trim", "merge", "summary", "threshold", "top", "speeds", "adapt",
    "speakers",
)  # fmt: skip
SHOWN = 3  # recordings without answers


class AnswerFolder(NamedTuple):
    """Where answers go, what makes them what they are, and whether to wait for others that fill the folder."""

    folder: Path
    made_by: Mapping[str, Any]
    wait: bool = False


def makers(models: Iterable[Iterable[Path]], values: Mapping[str, Any], shelf: Shelf) -> dict[str, Any]:
    """Return what makes answers what they are: the models' digests, options, and the files of enrolled voices."""
    digests = [[downloading.digests(path, ("sha256",)) for path in run] for run in models]
    voices = _enrolled(values["enroll"], values["root"], shelf) if values["enroll"] else set()
    stamps = [[path, stamp(path_text(path))] for path in sorted(voices)]
    return {"model": digests, **{name: values[name] for name in MAKERS}, "enroll": stamps}


def _enrolled(enroll: str, root: str | None, shelf: Shelf) -> set[str]:
    """Return the files of enrolled voices, and the manifest or list that names them."""
    named = set() if os.path.isdir(enroll) else {absolute(enroll)}
    if named and not os.path.isfile(enroll):
        return named  # a pipe, which can be read only once
    voices = predict_inputs.opened([enroll], root, shelf, root_is_shared=True)
    return named | {recordings.file_of(request.row) for request in voices.requests}


def write(inputs: Inputs, answering: Answering, place: AnswerFolder) -> Count:
    """Write the answers that are missing, each file whole or not at all; return the counts of all."""
    requests, kind = [*inputs.requests], answering.row_options.kind
    with locks.folder_lock(place.folder, place.wait, read_only_ok=True) as lock:
        record, count = Record(place.folder, kind, place.made_by), answering.count()
        asked = recordings.grouped(requests, ENDINGS[kind], answering.speakers.naming(), record.places())
        left = record.left(asked)
        due = {each.file for each in left}
        for each in asked:
            count.add_faults({} if each.file in due else record.faults(each))
        if left:
            lock.require_writable()
        lacking = _write_each(left, inputs.tables, answering, record, count) if left else []
    if asked and len(lacking) == len(asked):
        raise NothingThereError("nothing of what was asked for is there, or can be heard")
    if lacking:
        talk.say(f"not there, or nothing to hear, and so without new answers: {files.listed(lacking, SHOWN)}")
    there, made = talk.counted(len(asked) - len(lacking), "recording"), len(left) - len(lacking)
    count.what = f"answers for {there} in {place.folder} ({made:,} made now)"
    return count


def _write_each(
    left: Sequence[Recording], tables: Sequence[Table], answering: Answering, record: Record, count: Count
) -> list[str]:
    """Write answers recording by recording; return the files that get none."""
    record.begin(left)
    by_file, lacking = {each.file: each for each in left}, []
    requests = [request for each in left for request in each.requests]
    rows = talk.progress_of_answers(answering.rows(requests), lambda: len(requests))
    for file, own in groupby(rows, recordings.file_of):
        counted = answering.count()
        path = record.folder / by_file[file].answers
        out = AnswerFile(str(path), answering.row_options.kind, tables, salvages=False)
        try:
            answer_files.write(counted.counted(own), answering.kind, answering.columns, out)
            record.add(by_file[file], counted.faults)
        except NothingThereError:
            lacking.append(file)
        count.add(counted)
    return lacking
