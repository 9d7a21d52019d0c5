"""Compare pairs of runs on the clips that both answered: differences with intervals, and McNemar's test."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import combinations
from typing import NamedTuple

import numpy as np

from sertool.errors import UsageError
from sertool.eval import answers, bootstrapping
from sertool.eval.answers import Answers
from sertool.eval.bootstrapping import Bootstrap
from sertool.eval.emotions import Emotions
from sertool.eval.scores import Comparison, Difference, McNemar
from sertool.numeric import metrics
from sertool.numeric.metrics import Units
from sertool.system.files import listed

AT_ONCE = 16  # runs that are resampled together


class Part(NamedTuple):
    """Some clips of a run: their units, and the sums of each."""

    units: Units
    sums: np.ndarray


class Pair(NamedTuple):
    """Two runs, and the keys of their parts that are compared; none without common clips."""

    comparison: Comparison
    parts: tuple[str, ...]


def comparisons(runs: Sequence[Answers], bootstrap: Bootstrap, baseline: str | None) -> tuple[Comparison, ...]:
    """Compare all pairs of runs, or all others with the baseline."""
    pairs = [*combinations(runs, 2)] if baseline is None else _with_baseline(runs, baseline)
    parts: dict[str, Part] = {}
    found = [_pair(first, second, parts) for first, second in pairs]
    figures = _resampled(parts, runs[0], Bootstrap(bootstrap.count(len(pairs)), bootstrap.seed))
    return _corrected([_with_differences(pair, figures) for pair in found])


def _with_baseline(runs: Sequence[Answers], baseline: str) -> list[tuple[Answers, Answers]]:
    named = [run for run in runs if baseline in (run.run.name, run.run.source)]
    if len(named) != 1:
        raise UsageError(
            f"--baseline {baseline} is {'several' if named else 'none'} of the runs: "
            f"choose {listed((run.run.name for run in runs), 20)}"
        )
    if len(runs) == 1:
        raise UsageError(f"--baseline {baseline}: there is no other run to compare with it")
    return [(named[0], run) for run in runs if run is not named[0]]


def _corrected(pairs: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Add p-values that are corrected for the number of pairs, for each figure and McNemar's test by itself."""
    names = {name for pair in pairs for name in pair.figures}
    ps = {name: metrics.holm([pair.figures[name].p if pair.clips else math.nan for pair in pairs]) for name in names}
    tests = metrics.holm([pair.mcnemar.get("p", math.nan) for pair in pairs])
    return tuple(
        replace(
            pair,
            figures={name: replace(figure, p_holm=ps[name][place]) for name, figure in pair.figures.items()},
            mcnemar={**pair.mcnemar, "p_holm": tests[place]} if pair.mcnemar else pair.mcnemar,
        )
        for place, pair in enumerate(pairs)
    )


def _pair(first: Answers, second: Answers, parts: dict[str, Part]) -> Pair:
    """Return what two runs are on the clips that both answered, and add these parts of them to `parts`.

    Both are resampled alike, so that common effects do not blur the difference.
    """
    rows, other_rows = answers.shared_rows(first, second)
    left, right = _restricted_to_common_answers(answers.part(first, rows), answers.part(second, other_rows))
    units = metrics.units_of(left.speaker if (left.speaker >= 0).any() else right.speaker, left.whole)
    found = Comparison(first.run.name, second.run.name, left.count, units.speakers, units.how)
    if not left.count:
        return Pair(found, ())
    both = [Part(units, bootstrapping.of_answers(run, units)) for run in (left, right)]
    keys = tuple(blake2b(units.stratum.tobytes() + part.sums.tobytes()).hexdigest() for part in both)
    parts.update(zip(keys, both, strict=True))
    return Pair(replace(found, mcnemar=_mcnemar(left, right)), keys)


def _resampled(parts: Mapping[str, Part], run: Answers, bootstrap: Bootstrap) -> dict[str, dict[str, np.ndarray]]:
    """Return the figures of each part, averaged over seeds: `[1 + resamples]`, that of all clips before the others.

    Drawing takes longest, so parts of the same units are drawn together.
    """
    alike: dict[bytes, list[str]] = defaultdict(list)
    for key, part in parts.items():
        alike[part.units.stratum.tobytes()].append(key)
    figures = {}
    for keys in (of[start : start + AT_ONCE] for of in alike.values() for start in range(0, len(of), AT_ONCE)):
        sums = {key: parts[key].sums for key in keys}
        whole, drawn = bootstrapping.whole_and_drawn(sums, parts[keys[0]].units, bootstrap)
        for key in keys:
            both = np.concatenate([whole[key], drawn[key]])
            of_seeds = bootstrapping.main_figures(run, both, whole[key])
            figures[key] = {name: metrics.mean(values) for name, values in of_seeds.items()}
    return figures


def _with_differences(pair: Pair, figures: Mapping[str, dict[str, np.ndarray]]) -> Comparison:
    """Add by how much the second run's figures exceed the first's."""
    if not pair.parts:
        return pair.comparison
    first, second = (figures[key] for key in pair.parts)
    differences = {name: second[name] - first[name] for name in first}
    chances = {name: _with_chance(float(values[0]), values[1:]) for name, values in differences.items()}
    return replace(pair.comparison, figures=chances)


def _restricted_to_common_answers(first: Answers, second: Answers) -> tuple[Answers, Answers]:
    """Restrict two runs of the same clips to the answers that both gave.

    With the same seeds this is done per seed, else a clip is dropped if either lacks it under any seed.
    """
    answered, others = first.answered, second.answered
    if first.seeds != second.seeds:
        answered, others = (np.all(given, axis=-2, keepdims=True) for given in (answered, others))
    both = answered & others
    return answers.only(first, both), answers.only(second, both)


def _with_chance(value: float, resampled: np.ndarray) -> Difference:
    """Add bounds and p, which are NaN for runs that differ alike in every resample: that is no certainty."""
    low, high = metrics.interval(resampled)
    if value and math.isclose(low, high):
        return Difference(value, math.nan, math.nan, math.nan)
    p = metrics.bootstrap_p_value(resampled)
    return Difference(value, float(low), float(high), p, is_bound=p <= 1 / len(resampled))


def _mcnemar(first: Answers, second: Answers) -> McNemar:
    """Run McNemar's test on each run's first seed, as it takes one answer per clip.

    There is none for ratings, which are neither right nor wrong.
    """
    if not isinstance(first, Emotions):
        return {}
    both = first.answered[0] & second.answered[0]
    right, other = ((run.predicted[0] == run.truth)[both] for run in (first, second))
    only_first, only_second = int((right & ~other).sum()), int((other & ~right).sum())
    p, method = metrics.mcnemar(only_first, only_second)
    seeds = [run.seeds[0] for run in (first, second)] if max(len(first.seeds), len(second.seeds)) > 1 else []
    return {"only_first": only_first, "only_second": only_second, "p": p, "method": method, "seeds": seeds}
