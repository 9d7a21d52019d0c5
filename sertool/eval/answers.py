"""Turn the rows of runs into arrays: a row per clip, a column per seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from sertool.errors import SertoolError, UsageError
from sertool.eval import predictions
from sertool.eval.predictions import Reading, Run
from sertool.manifests import casting, columns, manifest
from sertool.manifests.manifest import Table
from sertool.numeric import codes, metrics
from sertool.numeric.codes import Codes
from sertool.system import talk
from sertool.system.files import listed

GROUPS = (
    "corpus", "speaker", "sex", "age", "intensity", "language", "race", "ethnicity", "sentence", "style",
)  # fmt: skip
SHARED = 0.1  # of the clips, at least, have answers under several seeds of a run
TIE = 1e-6  # by which equal probabilities may differ


@dataclass(frozen=True)
class Answers:
    """One run as arrays: `[clips]` for what is true of clips, `[seeds, clips]` for answers (-1 and NaN: none)."""

    run: Run
    classes: tuple[str, ...]
    seeds: tuple[str, ...]
    clips: Codes | None  # the clips' names
    whole: np.ndarray | None  # `[clips]`: the number of the whole clip, if windows or channels are scored
    truth: np.ndarray
    groups: dict[str, Codes]  # index [seeds, clips], as folds may differ between seeds
    predicted: np.ndarray
    fold: Codes  # `index` is `[seeds, clips]`
    confidence: np.ndarray
    losses: np.ndarray  # [2, seeds, clips]: log loss and Brier score
    nameable: np.ndarray  # bool [classes]: the emotions that the model can name; all if there are no probabilities
    votes: np.ndarray | None  # [clips, classes]
    notes: tuple[str, ...]

    @property
    def speaker(self) -> np.ndarray:
        return self.groups["speaker"].index[0]


def read(sources: Sequence[str], reading: Reading) -> list[Answers]:
    """Read the runs in files and stdin, with the same classes for all of them."""
    runs = predictions.read(sources, reading)
    classes = predictions.classes(runs)
    return [_answers(run, classes, reading.by) for run in runs]


# From rows to clips and seeds.


def _answers(run: Run, classes: tuple[str, ...], by: Sequence[str]) -> Answers:
    cells = _cells(run)
    truth, predicted = _numbers(run.truth, classes), _numbers(run.predicted, classes)
    _refuse_two_truths(run, cells, truth, classes)
    confidence, losses, notes = _probable(run, classes)
    offers = predictions.offered(run)
    fold = manifest.codes(run.table, "fold")
    if len(cells.seeds) == 1 < len(manifest.codes(run.table, "seed").values):
        notes = ("all rows are one run: hardly any clip is answered under two values of the column seed", *notes)
    return Answers(
        run=run,
        classes=classes,
        seeds=cells.seeds,
        clips=cells.names,
        whole=cells.whole,
        truth=truth[cells.first],
        groups={name: _spread_group(_group(run.table, name), cells) for name in (*GROUPS, *by)},
        predicted=_spread(predicted, cells, -1),
        fold=Codes(_spread(fold.index, cells, -1), fold.values),
        confidence=_spread(confidence, cells, np.nan),
        losses=np.stack([_spread(loss, cells, np.nan) for loss in losses]),
        nameable=np.isin(classes, [*offers, *run.predicted.values]) | (not offers),
        votes=_votes(run, classes, cells.first),
        notes=notes,
    )


def _group(table: Table, name: str) -> Codes:
    """Return a column to group clips by; our columns are also found by their other names."""
    column = name if name in table.column_names else columns.ours(name)
    if not manifest.is_of_words(table, column):
        raise UsageError(f"--by {name}: the column holds no single words or numbers")
    return manifest.codes(table, column)


class Cells(NamedTuple):
    """The clip and the seed of each row, and the first row of each clip.

    A window or channel counts as a clip here; `whole` then has the number of the clip that it is part of.
    """

    clip: np.ndarray
    seed: np.ndarray
    first: np.ndarray
    seeds: tuple[str, ...]
    names: Codes | None
    whole: np.ndarray | None = None


def _cells(run: Run) -> Cells:
    seed, seeds = _seeds(run)
    if "clip" not in run.table.column_names:
        rows = np.arange(len(run.table))
        return Cells(rows, seed, rows, seeds, None)
    names = manifest.codes(run.table, "clip")
    if (names.index < 0).any():
        nameless = talk.counted(int((names.index < 0).sum()), "row")
        raise SertoolError(f"{run.name}: {nameless} without a clip id")
    whole = names.index
    for name in ("start", "channel"):
        if name in run.table.column_names and _first_repeat(names, seed) is not None:
            names = _parts(names, manifest.codes(run.table, name))
    if (twice := _first_repeat(names, seed)) is not None:
        raise SertoolError(
            f"{run.name}: clip {twice} is predicted twice; give each run a file of its own, "
            "or a column run or seed that tells them apart"
        )
    _, first, clip = np.unique(names.index, return_index=True, return_inverse=True)
    parts = None if names.index is whole else whole[first]
    return Cells(clip, seed, first, seeds, codes.take(names, first), parts)


def _seeds(run: Run) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the seed number of each row, and the seeds' names."""
    drawn = manifest.codes(run.table, "seed")
    there, seed = np.unique(drawn.index, return_inverse=True)
    if _is_foreign_seed_column(run, seed):
        return np.zeros(len(seed), int), ("",)
    return seed, tuple(str(drawn.values[place]) if place >= 0 else "" for place in there)


def _is_foreign_seed_column(run: Run, seed: np.ndarray) -> bool:
    """Whether `seed` is a column of other meaning: hardly any clip has two values, while seeds of a run share clips."""
    seeds = seed.max() + 1
    if seeds < 2 or "clip" not in run.table.column_names:
        return seeds > len(seed) / 2 > 1
    clip = manifest.codes(run.table, "clip").index
    answered = np.unique(np.stack([clip, seed])[:, clip >= 0], axis=1)[0]
    times = np.bincount(answered)
    return (times > 1).sum() < SHARED * len(times)


def _first_repeat(clip: Codes, seed: np.ndarray) -> str | None:
    """Return the name of a clip that has two rows of one seed, or None."""
    seeds = seed.max() + 1
    twice = np.bincount(clip.index.astype(np.int64) * seeds + seed) > 1
    return talk.clean(clip.values[int(np.argmax(twice)) // seeds]) if twice.any() else None


def _parts(clip: Codes, part: Codes) -> Codes:
    """Name parts of clips by their start or channel: `clip@start`."""
    keys = clip.index.astype(np.int64) * (len(part.values) + 1) + part.index + 1
    _, first, row_of = np.unique(keys, return_index=True, return_inverse=True)
    names = codes.strings(clip.values, 0, len(clip.values))
    places = [*codes.strings(part.values, 0, len(part.values)), "0"]
    pairs = zip(clip.index[first].tolist(), part.index[first].tolist(), strict=True)
    return Codes(row_of, [f"{names[clip_place]}@{places[part_place]}" for clip_place, part_place in pairs])


def _numbers(words: Codes, classes: tuple[str, ...]) -> np.ndarray:
    return np.array([classes.index(word) for word in words.values], int)[words.index]


def _spread(values: np.ndarray, cells: Cells, nothing: float) -> np.ndarray:
    """Arrange a value per row as `[seeds, clips]`."""
    spread = np.full((len(cells.seeds), len(cells.first)), nothing, values.dtype)
    spread[cells.seed, cells.clip] = values
    return spread


def _spread_group(column: Codes, cells: Cells) -> Codes:
    """Spread a column to `[seeds, clips]`; where a seed lacks a clip's value, take the first known one."""
    index = _spread(column.index, cells, -1)
    first = np.take_along_axis(index, (index >= 0).argmax(0)[None], 0)
    return Codes(np.where(index < 0, first, index), column.values)


def _refuse_two_truths(run: Run, cells: Cells, truth: np.ndarray, classes: tuple[str, ...]) -> None:
    differs = np.flatnonzero(truth != truth[cells.first][cells.clip])
    if len(differs):
        clip, other = cells.clip[differs[0]], classes[truth[differs[0]]]
        raise SertoolError(
            f"{run.name}: clip {_name(cells.names, clip)} is {classes[truth[cells.first[clip]]]} "
            f"in one row and {other} in another"
        )


def _name(clips: Codes | None, clip: int) -> str:
    return talk.clean(clips.values[clips.index[clip]]) if clips else f"number {clip + 1}"


def _columns(run: Run, prefix: str) -> tuple[list[str], np.ndarray]:
    """Return the columns with a prefix by the labels they stand for, as `[rows, labels]`."""
    names = run.offered if prefix == "p_" else manifest.family(run.table, prefix)
    return manifest.by_word(run.table, prefix, {name: predictions.word(name, run.mapping) for name in names})


def _rows(count: int) -> str:
    return talk.counted(int(count), "row")


class Shares(NamedTuple):
    """The probabilities of each row, by emotion."""

    words: list[str]
    # [rows, words + 1]: 0 for emotions without probabilities (index -1), NaN in rows without a distribution
    values: np.ndarray
    are_sums: bool  # whether --map joined emotions, whose columns are added up


def _probable(run: Run, classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return confidences `[rows]`, log losses and Brier scores `[2, rows]` (NaN: unknown), and notes on oddities."""
    shares = _shares(run)
    place = np.array([shares.words.index(word) if word in shares.words else -1 for word in classes], int)
    true, answered = (place[_numbers(column, classes)] for column in (run.truth, run.predicted))
    confidence = _confidence(run, shares, answered)
    outside = (confidence < -casting.ROUNDING) | (confidence > 1 + casting.ROUNDING)
    notes = [*_notes_on_shares(run, shares, true, answered), *_notes_on_confidence(run, shares, int(outside.sum()))]
    confidence = np.full(len(confidence), np.nan) if outside.any() else np.clip(confidence, 0, 1)
    return confidence, _losses(shares, true), tuple(notes)


def _shares(run: Run) -> Shares:
    words, values = _columns(run, "p_")
    odd = ~predictions.sums_to_one(values.sum(1), len(run.offered)) | (values < -casting.ROUNDING).any(1)
    values = np.clip(values, 0, None)
    values = np.c_[values / np.where(odd, np.nan, values.sum(1))[:, None], np.where(odd, np.nan, 0)]
    return Shares(words, values, len(run.offered) > len(words))


def _confidence(run: Run, shares: Shares, answered: np.ndarray) -> np.ndarray:
    """Return the run's own confidences, or the answers' probabilities if there are none or --map joined emotions."""
    if "confidence" in run.table.column_names and not shares.are_sums:
        return run.table.column("confidence").to_numpy().astype(float)
    return np.take_along_axis(shares.values, answered[:, None], 1)[:, 0]


def _losses(shares: Shares, true: np.ndarray) -> np.ndarray:
    """Return log loss and Brier score, `[2, rows]`.

    An emotion that the model does not know has probability 0, and so an infinite log loss, which says nothing. Clips of
    such an emotion therefore have no log loss, and count as wrong in every other figure.
    """
    log_losses = np.where(true < 0, np.nan, metrics.log_losses(shares.values, true))
    return np.stack([log_losses, metrics.brier_scores(shares.values, true)])


def _notes_on_shares(run: Run, shares: Shares, true: np.ndarray, answered: np.ndarray) -> Iterator[str]:
    if strange := [f"p_{name}" for name in manifest.family(run.table, "p_") if name not in run.offered]:
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


def _notes_on_confidence(run: Run, shares: Shares, outside: int) -> Iterator[str]:
    if outside:
        yield f"confidence lies outside of 0 to 1 in {_rows(outside)}: there is no calibration error"
    elif "confidence" in run.table.column_names and not shares.are_sums and _joins_labels(run):
        yield "ECE: of the labels before --map joined them, of which the confidence is"


def _joins_labels(run: Run) -> bool:
    """Whether --map merged several labels into one."""
    columns_of_words = (("emotion", run.truth), ("predicted", run.predicted))
    unjoined = (({predictions.word(str(label), {}) for label in manifest.codes(run.table, name).values}, words)
                for name, words in columns_of_words)  # fmt: skip
    return any(len(before) > len(words.values) for before, words in unjoined)


def _votes(run: Run, classes: tuple[str, ...], first: np.ndarray) -> np.ndarray | None:
    """Return the listeners' votes on the voice, `[clips, classes + other labels]`, or None if there are none."""
    words, cast = _columns(run, "votes_voice_")
    if not words:
        return None
    other_words = [word for word in words if word not in classes]
    votes = np.zeros((len(first), len(classes) + len(other_words)))
    for word, column in zip(words, np.nan_to_num(cast[first]).T, strict=True):
        votes[:, (*classes, *other_words).index(word)] = column
    return votes if votes.any() else None


# Parts and pairs of runs.


def part(run: Answers, rows: np.ndarray) -> Answers:
    """Return the run restricted to some clips, with only what groups and comparisons need."""
    speaker = run.groups["speaker"]
    groups = {"speaker": Codes(speaker.index[:, rows], speaker.values)}
    whole = None if run.whole is None else run.whole[rows]
    return replace(run, truth=run.truth[rows], predicted=run.predicted[:, rows], whole=whole, groups=groups)


def only(run: Answers, counted: np.ndarray) -> Answers:
    """Keep some answers of a run, bool `[seeds or 1, clips]`, and the clips that they belong to."""
    answered = replace(run, predicted=np.where(counted, run.predicted, -1))
    return part(answered, np.flatnonzero(counted.any(0)))


def shared_rows(first: Answers, second: Answers) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the common clips in each run, `[common]` each; unnamed clips are matched by order."""
    if first.clips is None or second.clips is None:
        if not np.array_equal(first.truth, second.truth):
            raise SertoolError(
                f"{first.run.name} and {second.run.name} cannot be paired: without a column clip "
                "their rows must be the same clips in the same order"
            )
        return (np.arange(len(first.truth)),) * 2
    row_of = np.full(len(second.clips.values) + 1, -1)
    row_of[second.clips.index] = np.arange(len(second.truth))
    there = row_of[codes.find(first.clips.values, second.clips.values)][first.clips.index]
    rows, others = np.flatnonzero(there >= 0), there[there >= 0]
    differs = np.flatnonzero(first.truth[rows] != second.truth[others])
    if len(differs):
        row, other = rows[differs[0]], others[differs[0]]
        raise SertoolError(
            f"clip {_name(first.clips, row)} is {first.classes[first.truth[row]]} in {first.run.name} "
            f"and {first.classes[second.truth[other]]} in {second.run.name}"
        )
    return rows, others
