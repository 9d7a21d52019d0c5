"""The labels of runs as words: what they mean, and whether truth and predictions speak one language."""

import math
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from sertool.errors import SertoolError
from sertool.eval.predictions import Run
from sertool.manifests import casting, labels, manifest
from sertool.manifests.manifest import Table
from sertool.numeric.codes import Codes
from sertool.system import talk
from sertool.system.files import listed

SUM_TOLERANCE = 0.01  # by which probabilities may miss 1; float16 stays within it
ROUNDING_ERROR = 0.005  # error of a probability with two decimals
WRITINGS = (  # of a label, the one that counts in parentheses
    re.compile(r"\s*(-?\d+)\.0+\s*"),  # a whole number that became a float, as in columns with NaN
    re.compile(r"[^\x00-\u2e7f]+/([ -~]+)"),  # Chinese and its translation, as emotion2vec answers: 生气/angry
)


class Labelled(NamedTuple):
    """A run with its labels as words; "" is an answer that means no emotion."""

    run: Run
    truth: Codes
    predicted: Codes
    mapping: dict[str, str]
    offered: tuple[str, ...]  # the names of its probability columns, without `p_`


def labelled(run: Run, mapping: dict[str, str]) -> Labelled:
    run = _with_truth(run, mapping)
    truth, predicted = (_words(run.table, column, mapping) for column in ("emotion", "predicted"))
    return Labelled(run, truth, predicted, mapping, _offered(run.table, {*truth.values, *predicted.values}, mapping))


def _with_truth(run: Run, mapping: dict[str, str]) -> Run:
    """Leave out the rows whose true label means no emotion."""
    truth = _words(run.table, "emotion", mapping)
    means = np.array([word != "" for word in truth.values], bool)[truth.index]
    left_out = int((~means).sum())
    if left_out == len(means):
        raise SertoolError(f"{run.name}: nothing to score: --map gives no true label an emotion")
    coverage = run.coverage._replace(scored=run.coverage.scored - left_out, untrue=run.coverage.untrue + left_out)
    return run._replace(table=manifest.keep(run.table, means), coverage=coverage) if left_out else run


def _words(table: Table, column: str, mapping: dict[str, str]) -> Codes:
    """Return a label column, which has no nulls, in our words."""
    codes = manifest.codes(table, column)
    words = [word(str(word_found), mapping) for word_found in codes.values]
    unique = sorted(set(words))
    return Codes(np.array([unique.index(word_found) for word_found in words], int)[codes.index], unique)


def word(label: str, mapping: dict[str, str]) -> str:
    """Return our word for a label, "" if it means no emotion.

    An unknown label stays as it is, except that 1.0 becomes 1, 其他/other other.
    """
    known, usual = labels.canonical(label, mapping), _usual(label)
    if known is not None:
        return known
    return word(usual, mapping) if usual != label else talk.clean(labels.composed(label).strip())


def _usual(label: str) -> str:
    """Return a label in its usual writing."""
    return next((match[1] for writing in WRITINGS if (match := writing.fullmatch(label))), label)


def offered(run: Labelled) -> set[str]:
    """Return the emotions that have a probability column."""
    return {word(name, run.mapping) for name in run.offered} - {""}


def answered(run: Labelled) -> set[str]:
    """Return the emotions among the answers."""
    return {*run.predicted.values} - {""}


def plain_labels(run: Labelled) -> set[str]:
    """Return the plain labels of the scored rows, and of their probabilities and votes."""
    names = [*run.offered, *manifest.family(run.run.table, "votes_voice_")]
    names += [
        str(label) for column in ("emotion", "predicted") for label in manifest.codes(run.run.table, column).values
    ]
    return {labels.plain(form) for name in names for form in (name, _usual(name))}


def _offered(table: Table, words: Collection[str], mapping: dict[str, str]) -> tuple[str, ...]:
    """Return the names of the probability columns, without `p_`.

    A column with an unknown word that is never true or predicted (`p_value`) is left out if more rows then sum to 1.
    """
    names = manifest.family(table, "p_")
    sure = [name for name in names if labels.canonical(name, mapping) is not None or word(name, mapping) in words]
    if 0 < len(sure) < len(names) and _odd(table, sure).sum() < _odd(table, names).sum():
        return tuple(sure)
    return tuple(names)


def _odd(table: Table, names: Sequence[str]) -> np.ndarray:
    """Return which rows' probabilities do not sum to 1, bool `[rows]`."""
    return ~sums_to_one(sum(np.nan_to_num(table.column(f"p_{name}").to_numpy()) for name in names), len(names))


def sums_to_one(sums: np.ndarray, count: int) -> np.ndarray:
    """Return which sums of `count` probabilities are 1, as these may be rounded to two decimals; bool `[rows]`."""
    return np.abs(sums - 1) <= max(SUM_TOLERANCE, ROUNDING_ERROR * count) + casting.ROUNDING


def classes(runs: Sequence[Labelled]) -> tuple[str, ...]:
    """Return the emotions that are true or predicted in any run, in our order, then by name."""
    truth = {word for run in runs for word in run.truth.values}
    answers = {word for run in runs for word in answered(run) | offered(run)}
    for run in runs:
        if len(run.truth.values) < 2:
            raise SertoolError(
                f"{run.run.name}: every true emotion is {run.truth.values[0]}: a score needs at least two"
            )
        _refuse_other_words(run, truth, answers)
    return tuple(sorted(truth.union(*map(answered, runs)), key=_place))


def _place(label: str) -> tuple[int, float, str]:
    if label in labels.EMOTIONS:
        return labels.EMOTIONS.index(label), 0, ""
    return len(labels.EMOTIONS), float(label) if label.isdecimal() else math.inf, label


def _refuse_other_words(run: Labelled, truth: set[str], answers: set[str]) -> None:
    """Refuse a run whose true and predicted labels come from different vocabularies.

    They do if one side has unknown words while the other has words that this side lacks, or if they have no word in
    common, as then no answer could be right. If all words are known, a constant answer is accepted as merely a bad one.
    """
    true, predicted, offers = {*run.truth.values}, answered(run), offered(run)
    known = {*labels.EMOTIONS, *run.mapping.values()}
    if true & predicted:  # then numbers mean the same on both sides, and offered classes are in the truth's words
        known |= offers | {word for word in true | predicted if word.isdecimal()}
    only_true, only_predicted = sorted(true - predicted), sorted(predicted - truth)
    if any(map(_is_fraction, only_predicted)) and any(map(_is_fraction, only_true)):
        remedy = "if these are ratings, name what they rate with --dimensions NAME"
        raise SertoolError(f"{run.run.name}: the labels are numbers: {remedy}")
    strange = [word for word in only_predicted if word not in known]
    unheard = [word for word in only_true if word not in known | answers]
    if strange and only_true:
        none = f", or with {labels.to_map(strange[0], '')} that it means none, and is wrong"
        raise _other_words(run, strange, only_true, _to_map(strange, only_true) + none)
    if predicted and not true & (predicted | offers) and not (len(predicted) == 1 and true <= known):
        raise SertoolError(
            f"{run.run.name}: the labels have no word in common: {listed(only_true, 6)} are the truth, "
            f"{listed(sorted(predicted), 6)} the predictions; say what a word means, such as "
            f"{_to_map(only_true, predicted)}"
        )
    if unheard and only_predicted:
        leaving = f", or leave it out: --where emotion!={unheard[0]}"
        raise _other_words(run, only_predicted, unheard, _to_map(unheard, only_predicted) + leaving)


def _is_fraction(label: str) -> bool:
    return re.fullmatch(r"-?\d+\.\d+", label) is not None


def _to_map(strange: Sequence[str], targets: Collection[str]) -> str:
    """Return a --map option for a strange label; what it means is only suggested if the label itself says it."""
    for label in strange:
        said = {word(part, {}) for part in re.findall(r"[^\W_]+", label)}
        if len(meant := said & {*targets}) == 1:
            return labels.to_map(label, *meant)
    return labels.to_map(strange[0], "EMOTION")


def _other_words(run: Labelled, predicted: Sequence[str], true: Sequence[str], remedy: str) -> SertoolError:
    return SertoolError(
        f"{run.run.name}: the labels differ: {listed(predicted, 6)} only among the predictions, "
        f"{listed(true, 6)} only among the truth; say what a word means, such as {remedy}"
    )
