"""Which models of a run may be asked for a clip: those that did not learn from it, as the run tells beside each, or the
published protocol that divided the speakers where a model file lies alone; and of its encoder the file itself.

Of clips that it was trained on a model is right more often than of any others, and figures of them say nothing.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sertool import manifest, modelfile, run_folder, shipped, splits, talk, taught_encoders, wire
from sertool.codes import look_up
from sertool.files import listed
from sertool.manifest import Table
from sertool.splits import PARTS, TRAIN


def told(table: Table, runs: Sequence[Sequence[Path]]) -> tuple[Table, list[list[int] | None]]:
    """A manifest with the part that its clips had for the models, where it has no `split`; and of each clip the numbers
    of those that are asked for it, or None for all of them.

    Who held a clip out is asked for its copies, too; but they have no part in the figures, as none in training's.
    Of several runs that are asked together, what one was trained on is nothing that was held out; nor is anything known
    where one that says nothing of its clips learnt from some of these corpora.
    """
    parts = [np.stack([_parts(table, path) for path in run]) for run in runs]
    of_runs = np.stack([each.max(axis=0) for each in parts])  # test, else dev, else train
    best = np.where(of_runs < TRAIN, len(PARTS), of_runs).min(axis=0)
    best[best == len(PARTS)] = -1
    silent = [(run, own) for run, own in zip(runs, of_runs, strict=True) if not any(map(_division, run))]
    unknown = _unknown(table, silent)
    if (best < TRAIN).all():
        return table, [None] * len(table)
    chosen = np.concatenate([each == own for each, own in zip(parts, of_runs, strict=True)])
    held_out = zip(chosen.T, best > TRAIN, strict=True)
    asked = [np.flatnonzero(models).tolist() if apart else None for models, apart in held_out]
    named = manifest.column(table, "split")
    _say_trained_on(best == TRAIN, named, {name for run, _ in silent for path in run if (name := protocol_of(path))})
    known = (best == TRAIN) | ((best > TRAIN) & manifest.originals(table) & ~unknown)
    _say_new(~known & np.array([word is None for word in named]))
    filled = [PARTS[part] if word is None and is_known else word
              for part, word, is_known in zip(best, named, known, strict=True)]  # fmt: skip
    return manifest.with_column(table, "split", filled), asked


def _division(model: Path) -> Path | None:
    """Where a run says beside a model what it learnt from and what it held out, if it does."""
    beside = model.parent / run_folder.DIVISION
    return beside if beside.exists() else None


def protocol_of(model: Path) -> str | None:
    """The published split by which a model file says that its speakers were divided, as those of the package were."""
    said = modelfile.read(model).trained.get("protocol") or (shipped.DIVISION if shipped.holds(model) else None)
    entry = splits.entry(said)
    return str(said) if "speakers" in entry and entry["kind"] == "split" else None


def _parts(table: Table, model: Path) -> np.ndarray:
    """Each clip's part in a model's training, a copy's being its clip's, `[rows]`; -1 where nothing is known of it."""
    taught = np.any(taught_encoders.known_to(table, model), axis=0)
    if (beside := _division(model)) is None:
        of_speaker = splits.speakers(splits.entry(protocol_of(model)))
        own = np.array([of_speaker.get(who, -1) for who in manifest.column(table, "speaker")], int)
        return np.where(taught, TRAIN, own)
    divided = wire.read(str(beside))
    words = manifest.codes(divided, "split")
    parts = look_up([PARTS.index(word) if word in PARTS else -1 for word in words.values], words)
    of_clip = zip(manifest.column(divided, "clip"), parts.tolist(), strict=True)
    own = manifest.own_or_parents(table, {clip: part for clip, part in of_clip if part >= 0})
    return np.where(taught & (own < 0), TRAIN, own)  # whom it held out training judged, by what its split divides


def _unknown(table: Table, silent: Sequence[tuple[Sequence[Path], np.ndarray]]) -> np.ndarray:
    """Of which clips without a part it cannot be known whether a run that says nothing of them learnt from them."""
    corpus = manifest.column(table, "corpus")
    bare = np.array([word is None for word in manifest.column(table, "split")], bool)
    found = np.zeros(len(table), bool)
    for run, part in silent:
        learnt = {name for path in run for name in modelfile.read(path).trained.get("corpora") or {}}
        found |= bare & (part < TRAIN) & np.array([name in learnt for name in corpus], bool)
    if found.any():
        shared = sorted({name for name, unknown in zip(corpus, found, strict=True) if unknown})
        talk.warn(f"the model learnt from clips of {listed(shared)}, and which ones is not known here: "
                  "figures on them say nothing of other speakers")  # fmt: skip
    return found


def _say_trained_on(trained: np.ndarray, own: Sequence[str | None], protocols: set[str]) -> None:
    by = f", as {listed(sorted(protocols))} divides the speakers" if protocols else ""
    called = np.array([word not in (None, PARTS[TRAIN]) for word in own], bool)
    if known := int((trained & ~called).sum()):
        count = f"{known:,} of {talk.counted(len(own), 'clip')}"
        talk.say(f"trained on {count}{by}: eval leaves them out unless --split train")
    if contrary := int((trained & called).sum()):
        count = talk.counted(contrary, "clip")
        talk.warn(f"trained on {count} that the manifest holds out{by}: its figures say nothing of others")


def _say_new(new: np.ndarray) -> None:
    if count := int(new.sum()):
        talk.say(
            f"{count:,} of {talk.counted(len(new), 'clip')} had no part in the run: eval leaves them out beside those "
            "that had one"
        )
