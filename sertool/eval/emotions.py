"""The emotions that runs answer, as arrays: classes, confidences, losses, and the votes of people who listened."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, SupportsInt

import numpy as np

from sertool.eval import answers, vocabulary
from sertool.eval.answers import Answers
from sertool.eval.predictions import Run
from sertool.eval.vocabulary import Labelled
from sertool.manifests import casting, labels, manifest
from sertool.numeric import metrics
from sertool.numeric.codes import Codes
from sertool.system import talk
from sertool.system.files import listed

TIE = 1e-6  # by which equal probabilities may differ


@dataclass(frozen=True)
class Emotions(Answers):
    """Answers that are emotions: truth `[clips]` and predictions `[seeds, clips]` are numbers of classes."""

    NOTHING: ClassVar[float] = metrics.NO_ANSWER

    classes: tuple[str, ...]
    confidence: np.ndarray  # [seeds, clips]
    losses: np.ndarray  # [2, seeds, clips]: log loss and Brier score
    nameable: np.ndarray  # bool [classes]: the emotions that the model can name; all if there are no probabilities
    votes: np.ndarray | None  # [clips, classes]

    @property
    def main(self) -> tuple[str, ...]:
        return ("uar", "wa")

    def true(self, clip: int) -> str:
        return self.classes[self.truth[clip]]


def read(runs: Sequence[Run], mapping: dict[str, str], by: Sequence[str]) -> list[Emotions]:
    """Return the answers of runs, with the same classes for all of them."""
    labelled = [vocabulary.labelled(run, mapping) for run in runs]
    classes = vocabulary.classes(labelled)
    labels.warn_of_unmet(mapping, set().union(*map(vocabulary.plain_labels, labelled)))
    return [_answers(run, classes, by) for run in labelled]


def _answers(run: Labelled, classes: tuple[str, ...], by: Sequence[str]) -> Emotions:
    cells = answers.cells_of(run.run)
    truth, predicted = _numbers(run.truth, classes), _numbers(run.predicted, classes)
    answers.refuse_two_truths(run.run, cells, truth, lambda row: classes[truth[row]])
    confidence, losses, notes = _probable(run)
    offers = vocabulary.offered(run)
    shared = answers.of_any_kind(run.run, cells, by)
    return Emotions(
        **shared | {"notes": (*shared["notes"], *notes)},
        truth=truth[cells.first],
        predicted=answers.spread(predicted, cells, metrics.NO_ANSWER),
        classes=classes,
        confidence=answers.spread(confidence, cells, np.nan),
        losses=answers.spread(losses, cells, np.nan),
        nameable=np.isin(classes, [*offers, *run.predicted.values]) | (not offers),
        votes=_votes(run, classes, cells.first),
    )


def _numbers(words: Codes, classes: Sequence[str], otherwise: int = metrics.NO_CLASS) -> np.ndarray:
    return np.array([classes.index(word) if word in classes else otherwise for word in words.values], int)[words.index]


def _columns(run: Labelled, prefix: str) -> tuple[list[str], np.ndarray]:
    """Return the columns with a prefix by the labels they stand for, as `[rows, labels]`."""
    names = run.offered if prefix == "p_" else manifest.family(run.run.table, prefix)
    return manifest.by_word(run.run.table, prefix, {name: vocabulary.word(name, run.mapping) for name in names})


def _rows(count: SupportsInt) -> str:
    return talk.counted(int(count), "row")


class Shares(NamedTuple):
    """The probabilities of each row, by emotion."""

    words: list[str]
    # [rows, words + 1]: 0 for emotions without probabilities (index -1), NaN in rows without a distribution
    values: np.ndarray
    are_sums: bool  # whether --map joined emotions, whose columns are added up


def _probable(run: Labelled) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return confidences `[rows]`, log losses and Brier scores `[2, rows]` (NaN: unknown), and notes on oddities."""
    shares = _shares(run)
    true, answered = (_numbers(column, shares.words, -1) for column in (run.truth, run.predicted))
    confidence = _confidence(run, shares, answered)
    outside = (confidence < -casting.ROUNDING) | (confidence > 1 + casting.ROUNDING)
    notes = [*_notes_on_shares(run, shares, true, answered), *_notes_on_confidence(run, shares, int(outside.sum()))]
    confidence = np.full(len(confidence), np.nan) if outside.any() else np.clip(confidence, 0, 1)
    return confidence, _losses(shares, true), tuple(notes)


def _shares(run: Labelled) -> Shares:
    words, values = _columns(run, "p_")
    odd = ~vocabulary.sums_to_one(values.sum(1), len(run.offered)) | (values < -casting.ROUNDING).any(1)
    values = np.clip(values, 0, None)
    values = np.c_[values / np.where(odd, np.nan, values.sum(1))[:, None], np.where(odd, np.nan, 0)]
    return Shares(words, values, len(run.offered) > len(words))


def _confidence(run: Labelled, shares: Shares, answered: np.ndarray) -> np.ndarray:
    """Return the run's own confidences, or the answers' probabilities if there are none or --map joined emotions."""
    if "confidence" in run.run.table.column_names and not shares.are_sums:
        return run.run.table.column("confidence").to_numpy().astype(float)
    return np.take_along_axis(shares.values, answered[:, None], 1)[:, 0]


def _losses(shares: Shares, true: np.ndarray) -> np.ndarray:
    """Return log loss and Brier score, `[2, rows]`.

    An emotion that the model does not know has probability 0, and so an infinite log loss, which says nothing. Clips of
    such an emotion therefore have no log loss, and count as wrong in every other figure.
    """
    log_losses = np.where(true < 0, np.nan, metrics.log_losses(shares.values, true))
    return np.stack([log_losses, metrics.brier_scores(shares.values, true)])


def _notes_on_shares(run: Labelled, shares: Shares, true: np.ndarray, answered: np.ndarray) -> Iterator[str]:
    if strange := [f"p_{name}" for name in manifest.family(run.run.table, "p_") if name not in run.offered]:
        yield f"left out, as no emotion's probabilities: {listed(strange)}"
    if not shares.words:
        return
    if odd := np.isnan(shares.values[:, -1]).sum():
        yield f"without log loss and Brier: {_rows(odd)} of probabilities below 0 or that do not sum to 1"
    if nameless := (true < 0).sum():
        truly = listed(sorted({*run.truth.values} - {*shares.words}))
        yield f"without log loss: {_rows(nameless)} of {truly}, for which there are no probabilities"
    of_answer = np.take_along_axis(shares.values, answered[:, None], 1)[:, 0]
    unlike = (of_answer < shares.values.max(1) - TIE).sum()
    if unlike and not shares.are_sums:  # a sum of several may well exceed the highest
        yield f"in {_rows(unlike)} another emotion than the predicted one has the highest probability"


def _notes_on_confidence(run: Labelled, shares: Shares, outside: int) -> Iterator[str]:
    if outside:
        yield f"confidence lies outside of 0 to 1 in {_rows(outside)}: there is no calibration error"
    elif "confidence" in run.run.table.column_names and not shares.are_sums and _joins_labels(run):
        yield "ECE: of the labels before --map joined them, of which the confidence is"


def _joins_labels(run: Labelled) -> bool:
    """Whether --map merged several labels into one."""
    columns_of_words = (("emotion", run.truth), ("predicted", run.predicted))
    unjoined = (({vocabulary.word(str(label), {}) for label in manifest.codes(run.run.table, name).values}, words)
                for name, words in columns_of_words)  # fmt: skip
    return any(len(before) > len(words.values) for before, words in unjoined)


def _votes(run: Labelled, classes: tuple[str, ...], first: np.ndarray) -> np.ndarray | None:
    """Return the listeners' votes on the voice, `[clips, classes + other labels]`, or None if there are none."""
    words, cast = _columns(run, "votes_voice_")
    if not words:
        return None
    other_words = [word for word in words if word not in classes]
    votes = np.zeros((len(first), len(classes) + len(other_words)))
    for word, column in zip(words, np.nan_to_num(cast[first]).T, strict=True):
        votes[:, (*classes, *other_words).index(word)] = column
    return votes if votes.any() else None
