"""Turn the rows of runs into arrays: a row per clip, a column per seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from sertool.errors import SertoolError, UsageError
from sertool.eval.predictions import Run
from sertool.manifests import columns, manifest
from sertool.manifests.manifest import Table
from sertool.numeric import codes
from sertool.numeric.codes import Codes
from sertool.system import talk

GROUPS = (
    "corpus", "speaker", "sex", "age", "intensity", "language", "race", "ethnicity", "sentence", "style",
)  # fmt: skip
SHARED = 0.1  # of the clips, at least, have answers under several seeds of a run
ROUNDING = 1e-4  # by which one rating may differ in two tables
Kind = TypeVar("Kind", bound="Answers")


@dataclass(frozen=True)
class Answers:
    """One run as arrays, whatever it answers.

    Truth is `[..., clips]`, and answers are `[..., seeds, clips]`, with `NOTHING` where there is none.
    """

    NOTHING: ClassVar[float]

    run: Run
    seeds: tuple[str, ...]
    clips: Codes | None  # the clips' names
    whole: np.ndarray | None  # `[clips]`: the number of the whole clip, if windows or channels are scored
    groups: dict[str, Codes]  # index [seeds, clips], as folds may differ between seeds
    fold: Codes  # `index` is `[seeds, clips]`
    truth: np.ndarray
    predicted: np.ndarray
    notes: tuple[str, ...]

    @property
    def count(self) -> int:
        return self.truth.shape[-1]

    @property
    def speaker(self) -> np.ndarray:
        return self.groups["speaker"].index[0]

    @property
    def answered(self) -> np.ndarray:
        """Which answers there are, bool `[..., seeds, clips]`."""
        return np.isfinite(self.predicted) & (self.predicted != self.NOTHING)

    @property
    def main(self) -> tuple[str, ...]:
        """The figures that groups and pairs of runs are compared by; the first ranks them."""
        raise NotImplementedError

    def true(self, clip: int) -> str:
        """Say what is true of a clip."""
        raise NotImplementedError


# From rows to clips and seeds.


def of_any_kind(run: Run, cells: "Cells", by: Sequence[str]) -> dict[str, Any]:
    """Return what the answers of a run have whatever they are."""
    fold = manifest.codes(run.table, "fold")
    is_one = len(cells.seeds) == 1 < len(manifest.codes(run.table, "seed").values)
    note = "all rows are one run: hardly any clip is answered under two values of the column seed"
    return {
        "run": run,
        "seeds": cells.seeds,
        "clips": cells.names,
        "whole": cells.whole,
        "groups": {name: _spread_group(_group(run.table, name), cells) for name in (*GROUPS, *by)},
        "fold": Codes(spread(fold.index, cells, -1), fold.values),
        "notes": (note,) * is_one,
    }


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


def cells_of(run: Run) -> Cells:
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
    seeds = int(seed.max()) + 1
    if seeds < 2 or "clip" not in run.table.column_names:
        return seeds > len(seed) / 2 > 1
    clip = manifest.codes(run.table, "clip").index
    answered = np.unique(np.stack([clip, seed])[:, clip >= 0], axis=1)[0]
    times = np.bincount(answered)
    return bool((times > 1).sum() < SHARED * len(times))


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


def spread(values: np.ndarray, cells: Cells, nothing: float) -> np.ndarray:
    """Arrange values of rows, `[..., rows]`, as `[..., seeds, clips]`."""
    arranged = np.full((*values.shape[:-1], len(cells.seeds), len(cells.first)), nothing, values.dtype)
    arranged[..., cells.seed, cells.clip] = values
    return arranged


def _spread_group(column: Codes, cells: Cells) -> Codes:
    """Spread a column to `[seeds, clips]`; where a seed lacks a clip's value, take the first known one."""
    index = spread(column.index, cells, -1)
    first = np.take_along_axis(index, (index >= 0).argmax(0)[None], 0)
    return Codes(np.where(index < 0, first, index), column.values)


def refuse_two_truths(run: Run, cells: Cells, truth: np.ndarray, say: Callable[[int], str]) -> None:
    """Refuse a clip of which rows say different things; `truth` is `[..., rows]`, and `say` puts a row's in words."""
    differs = np.flatnonzero(_differ(truth, truth[..., cells.first[cells.clip]]))
    if len(differs):
        row, clip = int(differs[0]), int(cells.clip[differs[0]])
        raise SertoolError(
            f"{run.name}: clip {_name(cells.names, clip)} is {say(int(cells.first[clip]))} in one row and {say(row)} "
            "in another"
        )


def _differ(truth: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return where two truths `[..., clips]` are not the same, bool `[clips]`; NaN is unknown, and contradicts none."""
    return np.any(np.atleast_2d(np.abs(truth - other) > ROUNDING), axis=0)


def _name(clips: Codes | None, clip: int) -> str:
    return talk.clean(clips.values[clips.index[clip]]) if clips else f"number {clip + 1}"


# Parts and pairs of runs.


def part(run: Kind, rows: np.ndarray) -> Kind:
    """Return the run restricted to some clips, with only what groups and comparisons need."""
    speaker = run.groups["speaker"]
    groups = {"speaker": Codes(speaker.index[:, rows], speaker.values)}
    whole = None if run.whole is None else run.whole[rows]
    return replace(run, truth=run.truth[..., rows], predicted=run.predicted[..., rows], whole=whole, groups=groups)


def only(run: Kind, counted: np.ndarray) -> Kind:
    """Keep some answers of a run, bool `[..., seeds or 1, clips]`, and the clips that they belong to."""
    answered = replace(run, predicted=np.where(counted, run.predicted, run.NOTHING))
    return part(answered, np.flatnonzero(counted.any(tuple(range(counted.ndim - 1)))))


def shared_rows(first: Answers, second: Answers) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the common clips in each run, `[common]` each; unnamed clips are matched by order."""
    if first.clips is None or second.clips is None:
        if first.count != second.count or _differ(first.truth, second.truth).any():
            raise SertoolError(
                f"{first.run.name} and {second.run.name} cannot be paired: without a column clip "
                "their rows must be the same clips in the same order"
            )
        return (np.arange(first.count),) * 2
    row_of = np.full(len(second.clips.values) + 1, -1)
    row_of[second.clips.index] = np.arange(second.count)
    there = row_of[codes.find(first.clips.values, second.clips.values)][first.clips.index]
    rows, others = np.flatnonzero(there >= 0), there[there >= 0]
    differs = np.flatnonzero(_differ(first.truth[..., rows], second.truth[..., others]))
    if len(differs):
        row, other = rows[differs[0]], others[differs[0]]
        raise SertoolError(
            f"clip {_name(first.clips, row)} is {first.true(row)} in {first.run.name} "
            f"and {second.true(other)} in {second.run.name}"
        )
    return rows, others
