"""Compare pairs of runs on the clips that both answered: differences with intervals, and McNemar's test."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from sertool.errors import UsageError
from sertool.eval import answers, bootstrapping
from sertool.eval.answers import Answers
from sertool.eval.bootstrapping import Bootstrap, UnitSums
from sertool.eval.emotions import Emotions
from sertool.eval.scores import Comparison, Difference, McNemar
from sertool.numeric import metrics
from sertool.system.files import listed


def comparisons(runs: Sequence[Answers], bootstrap: Bootstrap, baseline: str | None) -> tuple[Comparison, ...]:
    """Compare all pairs of runs, or all others with the baseline."""
    pairs = combinations(runs, 2) if baseline is None else _with_baseline(runs, baseline)
    return _corrected([_comparison(first, second, bootstrap) for first, second in pairs])


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


def _comparison(first: Answers, second: Answers, bootstrap: Bootstrap) -> Comparison:
    """Compare two runs on the clips that both answered.

    Both are resampled together, so that common effects do not blur the difference.
    """
    rows, other_rows = answers.shared_rows(first, second)
    left, right = _restricted_to_common_answers(answers.part(first, rows), answers.part(second, other_rows))
    units = metrics.units_of(left.speaker if (left.speaker >= 0).any() else right.speaker, left.whole)
    found = Comparison(first.run.name, second.run.name, left.count, units.speakers, units.how)
    if not left.count:
        return found
    both = {"first": bootstrapping.of_answers(left, units), "second": bootstrapping.of_answers(right, units)}
    whole, drawn = bootstrapping.whole_and_drawn(both, units, bootstrap)
    points, resampled = (_differences(left, one, whole) for one in (whole, drawn))
    figures = {name: _with_chance(float(points[name][0]), resampled[name]) for name in points}
    return replace(found, figures=figures, mcnemar=_mcnemar(left, right))


def _restricted_to_common_answers(first: Answers, second: Answers) -> tuple[Answers, Answers]:
    """Restrict two runs of the same clips to the answers that both gave.

    With the same seeds this is done per seed, else a clip is dropped if either lacks it under any seed.
    """
    answered, others = first.answered, second.answered
    if first.seeds != second.seeds:
        answered, others = (np.all(given, axis=-2, keepdims=True) for given in (answered, others))
    both = answered & others
    return answers.only(first, both), answers.only(second, both)


def _differences(run: Answers, drawn: UnitSums, whole: UnitSums) -> dict[str, np.ndarray]:
    """Return by how much the second run's figures exceed the first's, `[resamples]` each, averaged over seeds."""
    first, second = (bootstrapping.main_figures(run, drawn[name], whole[name]) for name in ("first", "second"))
    return {name: metrics.mean(second[name]) - metrics.mean(first[name]) for name in first}


def _with_chance(value: float, resampled: np.ndarray) -> Difference:
    """Add bounds and p, which are NaN for runs that differ alike in every resample: that is no certainty."""
    low, high = metrics.interval(resampled)
    if value and math.isclose(low, high):
        return Difference(value, math.nan, math.nan, math.nan)
    return Difference(value, float(low), float(high), metrics.bootstrap_p_value(resampled))


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
