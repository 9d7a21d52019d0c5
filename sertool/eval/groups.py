"""Group clips by the values of a column: find suitable columns, and score each group."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from sertool.errors import UsageError
from sertool.eval import answers, bootstrapping
from sertool.eval.answers import Answers
from sertool.eval.bootstrapping import Bootstrap
from sertool.eval.scores import Group
from sertool.manifests import columns
from sertool.numeric import codes, metrics
from sertool.numeric.codes import Codes
from sertool.system.files import listed

AGES = ((18, "under 18"), (30, "18 to 29"), (45, "30 to 44"), (60, "45 to 59"), (math.inf, "60 and over"))
MOST_VALUES = 50  # a column of the user's with more values is not offered
FEW_VALUES = 8  # up to this many values, the page shows a column unasked
NOT_KNOWN = "(not known)"  # the group of clips without a value


def divisible(runs: Sequence[Answers]) -> list[str]:
    """Return the columns that can group the clips: every run has them, with few values."""
    names = []
    for name in answers.GROUPS:
        counts = [len(_values(run, name)[1]) for run in runs]
        if min(counts) and 1 < max(counts) <= FEW_VALUES:
            names.append(name)
    return names


def _values(run: Answers, name: str) -> tuple[np.ndarray, dict[str, int]]:
    """Return a column's code for each answer, `[seeds, clips]`, and its values in order, each with its code."""
    column = _in_bands(run.groups["age"]) if name == "age" else run.groups[name]
    code_of_value = {str(column.values[place]): int(place) for place in np.unique(column.index[column.index >= 0])}
    usual = [band for _, band in AGES] if name == "age" else ["low", "medium", "high"]
    rank = {value: usual.index(value) if value in usual else len(usual) for value in code_of_value}
    return column.index, dict(sorted(code_of_value.items(), key=lambda item: (rank[item[0]], *_order(item[0]))))


def _order(value: str) -> tuple[float, str]:
    """Return the sort key that puts whole numbers in order, before words."""
    return float(value) if value.isdecimal() else math.inf, value


def _in_bands(age: Codes) -> Codes:
    bands = [next(place for place, (top, _) in enumerate(AGES) if float(years) < top) for years in age.values]
    return Codes(codes.look_up(bands, age), [band for _, band in AGES])


def by_column(run: Answers, name: str, bootstrap: Bootstrap, only: Sequence[str] | None = None) -> tuple[Group, ...]:
    index, values = _values(run, name)
    if not values:
        others = [column for column in run.run.table.column_names if not columns.kind_of(column)]
        there = [column for column in answers.GROUPS if (run.groups[column].index >= 0).any()] + others
        raise UsageError(f"--by {name}: {run.run.name} has no {name}; it has {listed(there) or 'no such column'}")
    if name not in answers.GROUPS and len(values) > MOST_VALUES:
        raise UsageError(
            f"--by {name}: {len(values):,} different values, more than {MOST_VALUES}: put them into groups"
        )
    groups = {value: values[value] for value in only or values}
    if only is None and (index < 0).any():
        groups[NOT_KNOWN] = -1
    return tuple(_group(value, part, bootstrap) for value, part in _parts(run, index, groups))


def _parts(run: Answers, index: np.ndarray, groups: Mapping[str, int]) -> Iterator[tuple[str, Answers]]:
    """Yield the answers of each group, one group at a time: there may be a group for each of many thousand speakers."""
    by_code = np.argsort(index, axis=None)
    ordered = index.ravel()[by_code]
    for value, code in groups.items():
        start, stop = np.searchsorted(ordered, (code, code + 1))
        rows = np.unique(by_code[start:stop] % run.count)
        part = answers.part(run, rows)
        yield value, answers.only(part, (index[:, rows] == code) & part.answered)


def _group(name: str, part: Answers, bootstrap: Bootstrap) -> Group:
    units = metrics.units_of(part.speaker, part.whole)
    sums = {"main": bootstrapping.of_answers(part, units)}
    whole, drawn = (held["main"] for held in bootstrapping.whole_and_drawn(sums, units, bootstrap))
    points, resampled = (bootstrapping.main_figures(part, held, whole) for held in (whole, drawn))
    figures = {name: bootstrapping.with_interval(points[name], resampled[name]) for name in part.main}
    return Group(name, part.count, units.speakers, figures)
