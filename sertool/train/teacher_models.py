"""Ask a teacher that is a model or a run for a student's clips, and choose which of its models may answer.

Each model of a run has a record of its training clips beside it. A model trained on a clip or a speaker that the
student holds out is not used, as this would leak into the student. Of the others, a clip is taught by those not trained
on its speaker, if there are any, as models are overconfident about speakers they were trained on.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sertool import shipped
from sertool.divisions import splits
from sertool.divisions.splits import TEST, TRAIN
from sertool.errors import SertoolError, UsageError
from sertool.manifests import manifest, manifest_io, run_folder
from sertool.manifests.manifest import Table
from sertool.modelfiles import batches, modelfile
from sertool.modelfiles.batches import Store
from sertool.modelfiles.inference import Predictor
from sertool.modelfiles.named_models import models_in
from sertool.predict import ensemble, model_knowledge
from sertool.predict.ensemble import Ensemble
from sertool.predict.predicting import Piece, PredictOptions, Session
from sertool.predict.request import Request
from sertool.system import talk
from sertool.system.files import listed
from sertool.train import teacher_answers
from sertool.train.teacher_answers import Taught

EVERYTHING = PredictOptions(silence=-200.0)
Answer = tuple[str, int, np.ndarray]  # a clip, the model's number, and its probabilities


class TeacherModels(NamedTuple):
    """A teacher's models: what each was trained on, and its answers for the rows of a table."""

    source: str
    words: tuple[str, ...]
    knows_speaker: np.ndarray  # trained on the clip or its speaker
    knows_clip: np.ndarray  # trained on the clip itself
    shares: np.ndarray  # float32 `[models, rows, words]`; NaN where there is no answer


def is_model(source: str) -> bool:
    """Whether a teacher is a model or a run's folder, rather than a file of predictions."""
    return source in shipped.names() or Path(source).is_dir() or Path(source).suffix == ".safetensors"


def require_there(source: str) -> None:
    """Refuse a teacher that does not exist, before anything is computed."""
    if source != "-" and source not in shipped.names() and not Path(source).exists():
        raise UsageError(
            f"no teacher {source}: give a model, the folder of a run, or a file of predictions; inside the package are "
            f"{listed(shipped.names())}"
        )


def require_knows(source: str, words: set[str]) -> None:
    """Refuse a teacher that lacks any of these emotions, before it is asked anything."""
    kind = modelfile.read(models_in(shipped.place(source), None)[0]).kind
    known = kind.words
    if not known:
        raise SertoolError(f"--teacher {source}: it answers {kind.what}, and what is learnt here are emotions")
    if lost := sorted(words - {*known}):
        raise SertoolError(teacher_answers.unknown(lost, known))


def teachers(table: Table, source: str, folder: Path, device: str, jobs: int) -> TeacherModels:
    """Load a teacher's models with their answers for a table's clips, which are cached in the student's folder."""
    paths = models_in(shipped.place(source), None)
    cache_file = folder / run_folder.TEACHER.format(_key(paths, table))
    if not cache_file.exists():
        manifest_io.write(_answers(table, paths, device, jobs), str(cache_file), "parquet")
    answers = manifest_io.read_table(str(cache_file))
    words = tuple(manifest.family(answers, "p_"))
    if any(modelfile.read(path).scaling not in ("none", "corpus") for path in paths):
        talk.warn(
            f"--teacher {source}: it was trained with --adapt speaker, and teaches here as it answers for "
            "strangers: it may know more in a file, by `sertool predict --adapt speaker`"
        )
    knows_speaker, knows_clip = _known(table, paths)
    return TeacherModels(source, words, knows_speaker, knows_clip, _by_row(table, answers, words, len(paths)))


def _key(paths: Sequence[Path], table: Table) -> str:
    """Return a digest of what the answers depend on: the models, and the clips' sound."""
    key = hashlib.sha256()
    for path in paths:
        key.update(hashlib.sha256(path.read_bytes()).digest())
    key.update(manifest.digest(table).encode())
    key.update("\n".join(map(str, manifest.column(table, "digest"))).encode())
    return key.hexdigest()[:16]


def _answers(table: Table, paths: Sequence[Path], device: str, jobs: int) -> Table:
    """Return a row for each model and each clip that it could answer for."""
    models = [Predictor.load(path, device) for path in paths]
    known = {word for model in models for word in model.kind.names}
    if partly := sorted(word for word in known if not all(word in model.kind.names for model in models)):
        raise SertoolError(f"--teacher: not all of its models know {listed(partly)}: name one of them")
    store = _frames(table, models, device)
    answers = _of_frames(table, models, store) if store is not None else _of_audio(table, models, jobs)
    if not answers:
        raise SertoolError("--teacher: it can answer for no clip: the manifest has other features, and no audio")
    clips, numbers, shares = (list(part) for part in zip(*answers, strict=True))
    columns = {f"p_{word}": np.array(shares)[:, place] for place, word in enumerate(models[0].kind.names)}
    return manifest.from_columns({"clip": clips, "model": numbers, **columns})


def _frames(table: Table, models: Sequence[Predictor], device: str) -> Store | None:
    """Load the manifest's own features, if they are made exactly as all models need them."""
    records = models[0].held.features
    there = all(f"{name}_shard" in table.column_names for name in records)
    if any(model.held.features != records for model in models) or not there:
        return None
    if any(manifest.lacking(table, f"{name}_shard").any() for name in records):
        return None
    store = batches.load(table, list(records), device)
    return store if store.records == records else None


def _of_frames(table: Table, models: Sequence[Predictor], store: Store) -> list[Answer]:
    clips, answers = manifest.column(table, "clip"), []
    for places in talk.progress(list(batches.in_order(store.lengths)), None, "the teacher answers", "batch"):
        rows, lengths = store.take(places)
        for number, model in enumerate(models):
            made = ensemble.among(models[0].kind.names, model.answers(rows, lengths), model.kind.names).numpy()
            answers += [(clips[place], number, shares) for place, shares in zip(places, made, strict=True)]
    return answers


def _of_audio(table: Table, models: Sequence[Predictor], jobs: int) -> list[Answer]:
    """Return answers from the audio, without copies, which get their parents' answers."""
    together = Ensemble(models)
    extracted = Session(together, EVERYTHING, jobs).extracted(_requests(table))
    return [piece for pieces in extracted for piece in _of_pieces(together, pieces)]


def _requests(table: Table) -> Iterator[Request]:
    names = ("clip", "path", "start", "duration", "parent")
    rows = zip(*(manifest.column(table, name) for name in names), strict=True)
    dicts = [dict(zip(names, row, strict=True)) for row in rows]
    requests = [Request(row) for row in dicts if row.pop("parent") is None]
    yield from talk.progress(requests, len(requests), "the teacher listens", "clip")


def _of_pieces(together: Ensemble, pieces: Sequence[Piece]) -> Iterator[Answer]:
    answerable = [(piece, piece.features) for piece in pieces if piece.features is not None]
    if answerable:
        for number, probabilities in enumerate(together.by_member([features for _, features in answerable])):
            for (piece, _), shares in zip(answerable, probabilities.numpy(), strict=True):
                yield str(piece.request.row["clip"]), number, shares


def _by_row(table: Table, answers: Table, words: tuple[str, ...], models: int) -> np.ndarray:
    """Return the answers for a table's rows, `[models, rows, words]`."""
    number = np.array(manifest.column(answers, "model"))
    own = [teacher_answers.of_rows(manifest.keep(answers, number == place), words, "") for place in range(models)]
    return np.stack([teacher_answers.answers_for(table, one).shares for one in own])


def _known(table: Table, paths: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows' speaker or clip each model was trained on, and which rows' clip, bool `[models, rows]`."""
    for path in paths:
        if not (model_knowledge.has_run(path) or model_knowledge.protocol_of(path)):
            _warn_of_unknown(table, path)
    known = [model_knowledge.of(table, path) for path in paths]
    return np.stack([model.knows_speaker for model in known]), np.stack([model.knows_clip for model in known])


def _warn_of_unknown(table: Table, path: Path) -> None:
    trained = model_knowledge.corpora_of(path)
    both = [name for name in manifest.present(table, "corpus") if name in trained]
    shared = f"; it was trained on {listed(both)}, which these clips are of" if both else ""
    talk.warn(
        f"no {run_folder.DIVISION} lies beside {path}: whether it knows speakers held out here cannot be known{shared}"
    )


def mean_answers(teachers: TeacherModels, table: Table, split: np.ndarray) -> Taught:
    """Return the mean answer for each clip of the models that may teach it; see above."""
    fit = ~_leaking_models(teachers, table, split)
    if not fit.any():
        raise SertoolError(
            f"--teacher {teachers.source}: it was trained on speakers or clips that are held out here, and would tell "
            f"of them: {_way_out(teachers, table, split)}"
        )
    knows_speaker, shares = teachers.knows_speaker[fit], teachers.shares[fit]
    may_teach = (~knows_speaker | knows_speaker.all(axis=0)) & ~np.isnan(shares).any(axis=2)
    total = np.where(may_teach[:, :, None], shares, 0).sum(axis=0)
    count = may_teach.sum(axis=0)[:, None]
    return Taught(teachers.words, np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32))


def _way_out(teachers: TeacherModels, table: Table, split: np.ndarray) -> str:
    """Say how to divide clips so that such a teacher may teach; classical ones learn from the dev of folds, too."""
    if (split == TEST).any() and not _leaking_models(teachers, table, splits.without_dev(split)).all():
        return "one of its models knows speakers of dev but none of test: add --no-dev"
    return "train it on this very split or these folds"


def _leaking_models(teachers: TeacherModels, table: Table, split: np.ndarray) -> np.ndarray:
    """Return which models were trained on clips or speakers that are held out here, bool `[models]`."""
    return _leaking(teachers.knows_speaker, teachers.knows_clip, table, split)


def _leaking(knows_speaker: np.ndarray, knows_clip: np.ndarray, table: Table, split: np.ndarray) -> np.ndarray:
    """Return which models know a held-out clip, or a held-out speaker who is not in train, bool `[models]`."""
    held_out = splits.is_held_out(split)
    speaker = manifest.codes(table, "speaker").index
    strange = held_out & (speaker >= 0) & ~np.isin(speaker, speaker[split == TRAIN])
    return (knows_clip & held_out).any(axis=1) | (knows_speaker & strange).any(axis=1)


def refuse_leaking(source: str, table: Table, divisions: Sequence[np.ndarray]) -> None:
    """Refuse a file of predictions whose run has models trained on what is held out here."""
    folder = Path(source).parent
    places = (folder, *run_folder.members(folder))
    beside = [place / run_folder.MODEL for place in places if (place / run_folder.DIVISION).exists()]
    if not beside:
        talk.warn(
            f"--teacher {source}: not in the folder of its run: whether its models know speakers held out here "
            "cannot be known"
        )
        return
    knows_speaker, knows_clip = _known(table, beside)
    for split in divisions:
        if _leaking(knows_speaker, knows_clip, table, split).any():
            raise SertoolError(
                f"--teacher {source}: some of its models were trained on speakers or clips that are held out here, and "
                f"would tell of them: give the run, --teacher {folder}, of which those teach that know nothing of them"
            )


def say(taught: Taught, split: np.ndarray, familiar: np.ndarray | None = None) -> None:
    """Say for how many training clips the teacher has answers; `familiar` are clips of speakers it was trained on."""
    train = split == TRAIN
    line = f"the teacher answers for {(taught.known & train).sum():,} of {train.sum():,} training clips"
    if familiar is not None and (count := int((familiar & train).sum())):
        line += f"; it was trained on the speakers of {count:,}, and is surer of them than of others"
    talk.say(line)


def familiar_clips(teachers: TeacherModels, table: Table, split: np.ndarray) -> np.ndarray:
    """Return the clips whose speakers all usable models were trained on, bool `[rows]`."""
    return teachers.knows_speaker[~_leaking_models(teachers, table, split)].all(axis=0)


def require_answers(source: str, taught: Taught, split: np.ndarray) -> None:
    """Refuse a teacher that has no answer for any training clip."""
    if not taught.known[split == TRAIN].any():
        raise SertoolError(f"--teacher {source}: it answers for none of the training clips")
