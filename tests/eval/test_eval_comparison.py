"""eval compares runs on the clips that they share."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scored_tables import EMOTIONS, dropped, made, refused, report, runs, seeded, table, two

from sertool.eval.bootstrapping import Bootstrap


def right_at_first(count: int) -> list[str]:
    """Answers to 16 clips, all sad or angry, of which the first so many are right."""
    return ["sad" if (k % 2 == 0) == (k < count) else "angry" for k in range(16)]


@pytest.fixture
def three(tmp_path: Path) -> list[str]:
    """Runs of which `a` gets all of 16 clips right, `b` all but 8, `c` all but 6."""
    return [two(tmp_path / f"{name}.csv", right_at_first(16), right_at_first(right))
            for name, right in (("a", 16), ("b", 8), ("c", 10))]  # fmt: skip


def test_p_values_of_several_pairs_are_corrected_by_holm_in_every_format(
    tmp_path: Path, three: list[str], say: Any
) -> None:
    """McNemar's p is 2 / 2^8 of a and b, 2 / 2^6 of a and c, 2 / 2^2 of b and c."""
    found = report(*three).comparisons
    assert [pair.mcnemar["p"] for pair in found] == [2 / 256, 2 / 64, 2 / 4]
    assert [pair.mcnemar["p_holm"] for pair in found] == [6 / 256, 4 / 64, 2 / 4]
    out = say(*three, "--html", str(tmp_path / "page.html"))[1]
    assert re.search(r"^a +b +8 +0 +exact +.008 +.023$", out, re.MULTILINE)
    assert re.search(r"^first +second +clips +UAR +p +p, Holm +WA +p +p, Holm$", out, re.MULTILINE)
    assert "p, Holm: corrected for the 3 pairs by Holm's method; p: of each pair by itself." in out
    assert "p .008, Holm .023" in (tmp_path / "page.html").read_text(encoding="utf-8")
    (_, second, _) = json.loads(say(*three, "-f", "json")[1])["comparisons"]
    assert second["mcnemar"]["p_holm"] == 4 / 64
    assert second["figures"]["uar"]["p_holm"] >= second["figures"]["uar"]["p"]
    rows = csv.DictReader(io.StringIO(say(*three, "-f", "csv")[1]))
    assert [float(row["p_holm"]) for row in rows if row["figure"] == "only_first"] == [6 / 256, 4 / 64, 2 / 4]


@pytest.fixture
def fifteen(tmp_path: Path) -> list[str]:
    """Runs of ten speakers each, of which every second is much better than the others, by other clips each."""
    return [table(tmp_path / f"r{k}.csv", made(clips=300, speakers=10, skill=(0.2, 0.9)[k % 2], seed=k))
            for k in range(15)]  # fmt: skip


def test_differences_of_fifteen_runs_can_be_significant_after_the_correction(fifteen: list[str], say: Any) -> None:
    """The least p is one over the number of resamples, and Holm's method multiplies it by up to 105."""
    (first, *_) = report(*fifteen, bootstrap=Bootstrap()).comparisons
    assert first.figures["uar"].p_holm <= 0.005
    out = say(*fifteen)[1]
    assert "; 2,000 resamples, seed 0." in out
    assert "Differences of runs: of 21,000 resamples." in out


def test_p_that_more_resamples_might_lower_is_shown_as_a_bound(fifteen: list[str], say: Any, tmp_path: Path) -> None:
    out = say(*fifteen[:3], "--resamples", "200", "--html", str(tmp_path / "page.html"))[1]
    assert re.search(r"^r0 +r1 .* ≤ .005 +≤ .015 .* ≤ .005 +≤ .015$", out, re.MULTILINE)
    assert "Differences of runs" not in out
    assert "≤ .015" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert r"$\leq$ .015" in say(*fifteen[:3], "--resamples", "200", "-f", "latex")[1]
    held = json.loads(say(*fifteen[:3], "--resamples", "200", "-f", "json")[1])
    assert [pair["figures"]["uar"]["is_bound"] for pair in held["comparisons"]] == [True, False, True]


def test_p_value_of_a_single_pair_has_no_correction_beside_it(three: list[str], say: Any) -> None:
    assert "Holm" not in say(*three[:2])[1]
    (pair,) = report(*three[:2]).comparisons
    assert pair.mcnemar["p_holm"] == pair.mcnemar["p"]


def test_baseline_is_compared_with_every_other_run_and_with_no_other_pair(three: list[str], say: Any) -> None:
    found = report(*three, baseline="b").comparisons
    assert [(pair.first, pair.second) for pair in found] == [("b", "a"), ("b", "c")]
    assert [pair.figures["wa"].value for pair in found] == [8 / 16, 2 / 16]
    assert [pair.mcnemar["p_holm"] for pair in found] == [4 / 256, 2 / 4]
    out = say(*three, "--baseline", three[1])[1]  # the path as typed names the run, too
    assert re.search(r"^b +c +16 +\+12.5 ", out, re.MULTILINE)


@pytest.mark.parametrize(("count", "named", "says"), [
    (3, "d", "--baseline d is none of the runs: choose a, b, c"),
    (1, "a", "--baseline a: there is no other run to compare with it"),
])  # fmt: skip
def test_baseline_that_cannot_be_compared_is_refused(
    three: list[str], say: Any, count: int, named: str, says: str
) -> None:
    assert say(*three[:count], "--baseline", named) == (2, "", f"sertool: {says}\n")


def test_difference_between_identical_runs_is_zero(tmp_path: Path, predicted: str) -> None:
    other = table(tmp_path / "again.csv", made())
    pair = report(predicted, other).comparisons[0]
    for difference in pair.figures.values():
        assert (difference.value, difference.low, difference.high, difference.p) == (0, 0, 0, 1)
    assert pair.mcnemar["p"] == 1


def test_difference_that_is_alike_in_all_resamples_has_no_interval_and_no_p(tmp_path: Path, say: Any) -> None:
    clips = {"clip": ["a", "b"], "speaker": ["s", "s"], "emotion": ["sad", "angry"]}
    right = table(tmp_path / "right.csv", clips | {"predicted": ["sad", "angry"]})
    wrong = table(tmp_path / "wrong.csv", clips | {"predicted": ["angry", "sad"]})
    difference = report(right, wrong).comparisons[0].figures["wa"]
    assert np.isnan([difference.low, difference.high, difference.p]).all()
    assert "-100.0 [-, -]" in say(right, wrong, "--html", tmp_path / "page.html")[1]
    assert "nan" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_better_run_wins_both_tests_and_swapping_runs_flips_the_sign(tmp_path: Path, predicted: str) -> None:
    better = table(tmp_path / "better.csv", made(skill=0.9, seed=1))
    pair, back = report(predicted, better).comparisons[0], report(better, predicted).comparisons[0]
    assert pair.figures["uar"].low > 0
    assert pair.figures["uar"].p < 0.05
    assert pair.mcnemar["p"] < 0.01
    assert back.figures["uar"].value == pytest.approx(-pair.figures["uar"].value)
    assert back.mcnemar["only_first"] == pair.mcnemar["only_second"]


def test_paired_interval_is_narrower_than_the_unpaired_interval(tmp_path: Path) -> None:
    columns, rng = made(clips=1200, speakers=20, skill=0.5), np.random.default_rng(0)
    other = columns | {"predicted": [truth if rng.random() < 0.05 else guess for truth, guess in
                                     zip(columns["emotion"], columns["predicted"], strict=True)]}  # fmt: skip
    found = report(table(tmp_path / "a.csv", columns), table(tmp_path / "b.csv", other), bootstrap=Bootstrap(1000))
    one, two = (run.figures["uar"] for run in found.runs)
    unpaired = np.hypot(one.high - one.low, two.high - two.low)
    pair = found.comparisons[0].figures["uar"]
    assert pair.high - pair.low < 0.5 * unpaired


def test_runs_are_compared_on_their_common_clips_in_any_order(tmp_path: Path, predicted: str) -> None:
    columns = made(seed=3)
    order = np.random.default_rng(0).permutation(240)[:100]
    part = {name: [values[k] for k in order] for name, values in columns.items()}
    other = table(tmp_path / "part.csv", part)
    pair = report(predicted, other).comparisons[0]
    alone = report(predicted, where=("clip=" + "|".join(part["clip"]),)).runs[0].figures["uar"].value
    assert pair.clips == 100
    assert pair.figures["uar"].value == pytest.approx(report(other).runs[0].figures["uar"].value - alone)


@pytest.mark.parametrize("seeds", [2, 3])
def test_runs_with_several_seeds_are_compared_on_their_common_answers(tmp_path: Path, seeds: int) -> None:
    """Else what is easy, and answered by one of them only, would count for it."""
    parts = [made(seed=seed) for seed in range(seeds)]
    whole = seeded(*parts)
    easy = np.array(whole["emotion"]) == np.array(whole["predicted"])
    left_out = easy & (np.array(whole["seed"]) == 1) & (np.arange(len(easy)) % 240 < 120)
    lacking = {name: [value for value, out in zip(values, left_out, strict=True) if not out]
               for name, values in seeded(*parts).items()}  # fmt: skip
    paths = [table(tmp_path / "whole.csv", whole), table(tmp_path / "lacking.csv", lacking)]
    (pair,) = report(*paths).comparisons
    assert (pair.figures["uar"].value, pair.figures["wa"].value) == (0, 0)
    assert pair.clips == 240
    (unlike,) = report(table(tmp_path / "one.csv", parts[0]), paths[1]).comparisons
    assert unlike.clips == 240 - left_out.sum()


def test_speakers_that_only_one_of_two_runs_names_are_resampled(tmp_path: Path, predicted: str) -> None:
    bare = table(tmp_path / "bare.csv", dropped(made(seed=1), "speaker"))
    for paths in ((predicted, bare), (bare, predicted)):
        (pair,) = report(*paths).comparisons
        assert (pair.speakers, pair.bootstrap) == (12, "over 12 speakers")


def test_runs_without_a_clip_in_common_are_not_compared(tmp_path: Path, predicted: str, say: Any) -> None:
    columns = made()
    columns["clip"] = [f"other/{k}" for k in range(240)]
    other = table(tmp_path / "other.csv", columns)
    page = tmp_path / "page.html"
    code, out, _ = say(predicted, other, "--html", str(page))
    assert code == 0
    assert re.search(r"one +other +none", out)
    assert "McNemar" not in out
    assert out.count("\nIntervals of 95 %: ") == 1
    assert "no clip in common" in page.read_text()


def test_runs_in_one_table_are_separated_by_the_run_column(tmp_path: Path) -> None:
    parts = [made(seed=seed) for seed in range(2)]
    columns = {name: parts[0][name] + parts[1][name] for name in parts[0]}
    columns["run"] = ["first"] * 240 + ["second"] * 240
    found = report(table(tmp_path / "both.csv", columns))
    assert [run.name for run in found.runs] == ["first", "second"]
    assert found.comparisons[0].clips == 240


def test_runs_named_by_paths_are_called_by_the_last_part_unless_two_would_be_called_alike(tmp_path: Path) -> None:
    def named(*paths: str) -> list[str]:
        written = [table(tmp_path / f"{k}.csv", made() | {"run": [path] * 240}) for k, path in enumerate(paths)]
        return [run.name for run in report(*written).runs]

    assert named("/home/me/runs/cnn") == ["cnn"]
    assert named("runs/cnn", "runs/gru/") == ["cnn", "gru"]
    assert named("one/run", "two/run") == ["one/run", "two/run"]
    assert named("/", "a") == ["/", "a"]


def test_files_of_the_same_name_get_different_run_names(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        table(tmp_path / name / "predictions.csv", made())
    paths = [str(tmp_path / name / "predictions.csv") for name in ("a", "b", "b")]
    assert [run.run.name for run in runs(*paths[:2])] == [path.removesuffix(".csv") for path in paths[:2]]
    assert len({run.run.name for run in runs(*paths)}) == 3


def test_unnamed_clips_are_paired_by_order_and_refused_if_truths_differ(tmp_path: Path) -> None:
    truth = ["sad", "angry", "sad", "angry"]
    one = two(tmp_path / "a.csv", truth, truth)
    other = two(tmp_path / "b.csv", truth, ["sad"] * 4)
    assert report(one, other).comparisons[0].figures["wa"].value == -0.5
    third = two(tmp_path / "c.csv", truth[::-1], truth)
    assert "cannot be paired" in refused(one, third)


@pytest.mark.parametrize("indent", [None, 2])
def test_clips_keyed_by_name_in_json_are_paired_by_name(tmp_path: Path, indent: int | None) -> None:
    words = EMOTIONS * 6
    rows = {f"c{k}": {"emotion": word, "predicted": words[k - k % 2]} for k, word in enumerate(words)}
    for name, held in (("a.json", rows), ("b.json", dict(reversed(rows.items())))):
        (tmp_path / name).write_text(json.dumps(held, indent=indent))
    (pair,) = report(str(tmp_path / "a.json"), str(tmp_path / "b.json")).comparisons
    assert (pair.clips, pair.mcnemar["only_first"], pair.mcnemar["only_second"]) == (24, 0, 0)


def test_runs_that_disagree_about_the_truth_are_refused(tmp_path: Path, predicted: str) -> None:
    columns = made()
    columns["emotion"][5] = "happy" if columns["emotion"][5] != "happy" else "sad"
    assert "clip toy/5 is" in refused(predicted, table(tmp_path / "other.csv", columns))
