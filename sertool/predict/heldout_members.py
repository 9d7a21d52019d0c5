"""Choose which models of a run answer for a clip: those trained neither on it nor, if it is new, on its speaker.

A model is right more often on its training clips than elsewhere, so figures on these say nothing.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from sertool.divisions.splits import PARTS, TRAIN
from sertool.manifests import manifest
from sertool.manifests.manifest import Table
from sertool.predict import model_knowledge
from sertool.predict.model_knowledge import Knowledge
from sertool.system import talk
from sertool.system.files import listed

RunModels = Sequence[Path]  # the models of a run


def divided_by_models(table: Table, runs: Sequence[RunModels]) -> tuple[Table, list[list[int] | None]]:
    """Return the manifest with `split` as the models were trained, and the numbers of the models that answer per clip.

    A clip without such numbers (None) is answered by all models.
    """
    known = [[model_knowledge.of(table, path) for path in run] for run in runs]
    of_runs = np.stack([_parts(run).max(axis=0) for run in known])  # test, else dev, else train
    part, doubtful = _of_all(of_runs), _doubtful(table, runs, of_runs)
    _warn_of_doubtful(table, doubtful)
    if (part < TRAIN).all():
        return table, [None] * len(table)
    _say_trained_on(table, part == TRAIN, _own_clips(known, of_runs), _protocols(runs))
    held_out = (part > TRAIN) & manifest.originals(table) & ~doubtful
    _say_neither(table, ~doubtful & ~held_out & (part != TRAIN))
    return _filled(table, np.where(held_out | (part == TRAIN), part, -1)), _by_clip(known, of_runs, part)


# What is known of each clip.


def _parts(run: Sequence[Knowledge]) -> np.ndarray:
    """Return the part that each clip has for each model, `[models, rows]`."""
    return np.stack([model.parts for model in run])


def _of_all(of_runs: np.ndarray) -> np.ndarray:
    """Return each clip's part for all runs together, `[rows]`: train if any run trained on it; -1 if none knows it."""
    part = np.where(of_runs < TRAIN, len(PARTS), of_runs).min(axis=0)
    return np.where(part == len(PARTS), -1, part)


def _own_clips(known: Sequence[Sequence[Knowledge]], of_runs: np.ndarray) -> np.ndarray:
    """Return which clips a run was trained on themselves, rather than only on their speakers, bool `[rows]`."""
    of_clips = [np.any([model.knows_clip for model in run], axis=0) for run in known]
    return (np.stack(of_clips) & (of_runs == TRAIN)).any(axis=0)


def _doubtful(table: Table, runs: Sequence[RunModels], of_runs: np.ndarray) -> np.ndarray:
    """Return which clips a run may have been trained on, bool `[rows]`.

    Such a run has no record of its clips, but was trained on their corpus.
    """
    corpus = manifest.column(table, "corpus")
    doubtful = np.zeros(len(table), bool)
    for run, part in zip(runs, of_runs, strict=True):
        if _is_silent(run):
            corpora = {name for path in run for name in model_knowledge.corpora_of(path)}
            doubtful |= (part < TRAIN) & np.array([name in corpora for name in corpus], bool)
    return doubtful & manifest.lacking(table, "split")


def _is_silent(run: RunModels) -> bool:
    return not any(map(model_knowledge.has_run, run))


def _protocols(runs: Iterable[RunModels]) -> list[str]:
    """Return the published splits that divided the speakers of those runs that have no record."""
    paths = (path for run in runs if _is_silent(run) for path in run)
    return sorted({name for path in paths if (name := model_knowledge.protocol_of(path))})


# Split and models.


def _filled(table: Table, part: np.ndarray) -> Table:
    """Fill in the part of each clip, `[rows]`, where the manifest has none; train replaces what the manifest says."""
    own = zip(manifest.column(table, "split"), part.tolist(), strict=True)
    words = [PARTS[place] if place == TRAIN or (word is None and place > TRAIN) else word for word, place in own]
    return manifest.with_column(table, "split", words)


def _by_clip(known: Sequence[Sequence[Knowledge]], of_runs: np.ndarray, part: np.ndarray) -> list[list[int] | None]:
    """Return the numbers of the models that held each clip (or its original) out; None for clips that none held out."""
    is_asked = np.concatenate([_parts(run) == part_in_run for run, part_in_run in zip(known, of_runs, strict=True)])
    rows = zip(is_asked.T, part > TRAIN, strict=True)
    return [np.flatnonzero(models).tolist() if is_held_out else None for models, is_held_out in rows]


# Messages.


def _warn_of_doubtful(table: Table, doubtful: np.ndarray) -> None:
    if doubtful.any():
        shared = manifest.present(manifest.keep(table, doubtful), "corpus")
        talk.warn(
            f"the model learnt from clips of {listed(sorted(shared))}, and which ones is not known here: "
            "figures on them say nothing of other speakers"
        )


def _say_trained_on(table: Table, trained: np.ndarray, own_clips: np.ndarray, protocols: Sequence[str]) -> None:
    """Say how many clips the models were trained on, directly or through their speakers.

    Those that the manifest holds out nevertheless get a warning; eval leaves out the others.
    """
    by = f", as {listed(protocols)} divides the speakers" if protocols else ""
    held_out = np.array([word not in (None, PARTS[TRAIN]) for word in manifest.column(table, "split")], bool)
    if (left_out := trained & ~held_out).any():
        amount = _amount(left_out, own_clips, f" of {talk.counted(len(table), 'clip')}")
        talk.say(f"trained on {amount}{by}: eval leaves them out unless --split train")
    if (contrary := trained & held_out).any():
        amount = _amount(contrary, own_clips)
        talk.warn(f"trained on {amount} that the manifest holds out{by}: train here, so that eval leaves them out")


def _amount(trained: np.ndarray, own_clips: np.ndarray, of_all: str = "") -> str:
    """Return the amount in words: `16 of 32 clips and on the speakers of 8 more`."""
    clips, voices = int((trained & own_clips).sum()), int((trained & ~own_clips).sum())
    amount = f"{clips or voices:,}{of_all}" if of_all else talk.counted(clips or voices, "clip")
    if not clips:
        return f"the speakers of {amount}"
    return f"{amount} and on the speakers of {voices:,} more" if voices else amount


def _say_neither(table: Table, rows: np.ndarray) -> None:
    """Say how many clips get no part, because nothing is known of them or because they are copies."""
    if count := int((rows & manifest.lacking(table, "split")).sum()):
        talk.say(
            f"the models neither trained on {count:,} of {talk.counted(len(table), 'clip')} nor held them out: "
            "eval leaves them out unless --where split="
        )
