"""eval by groups, speakers, seeds, folds, windows and channels."""

import csv
import io
import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scored_tables import EMOTIONS, FEW, dropped, made, refused, report, runs, seeded, table

from sertool.errors import SertoolError
from sertool.eval import charts, groups, page, reports, wording
from sertool.eval.bootstrapping import Bootstrap
from sertool.numeric import metrics


def test_figures_are_averaged_over_seeds_with_their_standard_deviation(tmp_path: Path) -> None:
    parts = [made(skill=skill, seed=seed) for seed, skill in enumerate((0.5, 0.6, 0.7))]
    columns = {name: [value for part in parts for value in part[name]] for name in parts[0]}
    columns["seed"] = np.repeat([0, 1, 2], 240).tolist()
    found = report(table(tmp_path / "all.csv", columns)).runs[0]
    alone = [report(table(tmp_path / f"{k}.csv", part)).runs[0].figures["uar"].value for k, part in enumerate(parts)]
    assert found.clips == 240
    assert found.figures["uar"].value == pytest.approx(np.mean(alone))
    assert found.figures["uar"].deviation == pytest.approx(np.std(alone, ddof=1))
    assert [one["uar"] for one in found.seeds.values()] == pytest.approx(alone)
    counted = [np.mean([part["predicted"].count(name) for part in parts]) for name in EMOTIONS]
    assert [one.answered for one in found.classes] == pytest.approx(counted)


def test_groups_are_made_by_words_under_the_name_of_a_rating(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", made() | {"valence": ["high", "low"] * 120})
    assert {group.name for group in report(path, by=("valence",)).runs[0].by["valence"]} == {"high", "low"}


def test_counts_of_several_seeds_are_their_mean_in_every_format(
    tmp_path: Path, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = ["sad"] * 20 + ["angry"] * 20
    clips = {"clip": [f"c{k}" for k in range(40)], "emotion": truth, "confidence": [0.9] * 40}
    path = table(
        tmp_path / "a.csv", seeded(clips | {"predicted": truth}, clips | {"predicted": ["sad"] * 21 + truth[21:]})
    )
    found = report(path).runs[0]
    assert found.confusion.tolist() == [[20, 0], [0.5, 19.5]]
    assert found.reliability[:, 0].sum() == 40
    out = say(path)[1]
    counts = out[out.index("answers by predicted emotion, mean of 2 seeds") :].splitlines()[1:4]
    assert [line.split() for line in counts] == [["sad", "angry"], ["sad", "20", "0"], ["angry", "0.5", "19.5"]]
    assert re.search(r"^sad +20 +20.5 ", out, re.MULTILINE)
    assert json.loads(say(path, "-f", "json")[1])["runs"][0]["confusion"] == [[20, 0], [0.5, 19.5]]
    rows = csv.DictReader(io.StringIO(say(path, "-f", "csv")[1]))
    assert [float(row["value"]) for row in rows if row["table"] == "confusion"] == [20, 0, 0.5, 19.5]
    text = page.html(report(path))
    assert "angry, predicted sad: 0.5" in text
    assert "40 answers</title>" in text

    pytest.importorskip("matplotlib")
    texts = []
    monkeypatch.setattr(charts, "save", lambda figure, _: texts.extend(t.get_text() for t in figure.axes[0].texts))
    charts.draw(report(path), str(tmp_path))
    assert {"100\n(20)", "0\n(0)", "2\n(0.5)", "98\n(19.5)"} <= {*texts}


def test_counts_of_one_seed_are_whole_numbers_in_json(predicted: str, say: Any) -> None:
    run = json.loads(say(predicted, "-f", "json")[1])["runs"][0]
    assert all(isinstance(count, int) for row in run["confusion"] for count in row)
    assert all(isinstance(emotion["answered"], int) for emotion in run["classes"])


@pytest.mark.parametrize("nameless", [False, True])
def test_seed_column_with_a_different_value_per_row_is_ignored(tmp_path: Path, say: Any, nameless: bool) -> None:
    columns = {name: values for name, values in made(clips=40).items() if name != "clip" or not nameless}
    alone = report(table(tmp_path / "a.csv", columns)).runs[0].figures
    strange = table(tmp_path / "b.csv", columns | {"seed": list(range(40))})
    found = report(strange).runs[0]
    assert (found.figures, found.seeds) == (alone, {})
    assert "all rows are one run: hardly any clip is answered under two values of the column seed" in say(strange)[1]


def test_pooled_uar_and_mean_over_folds_are_reported_separately(tmp_path: Path, say: Any) -> None:
    columns = made(skill=0.5)
    columns["fold"] = [int(speaker[4:]) % 3 for speaker in columns["speaker"]]
    path = table(tmp_path / "folds.csv", columns)
    found = report(path).runs[0]
    assert found.figures["uar_of_folds"].value == pytest.approx(np.mean([fold["uar"] for fold in found.folds.values()]))
    assert found.figures["uar_of_folds"].value != found.figures["uar"].value
    _, out, _ = say(path, "--resamples", "100")
    assert "UAR, pooled" in out
    assert "UAR, mean over folds" in out


def test_each_fold_has_the_figures_of_its_clips_and_their_mean_and_deviation_are_shown(
    tmp_path: Path, say: Any
) -> None:
    columns = made(skill=0.5)
    columns["fold"] = [int(speaker[4:]) % 3 for speaker in columns["speaker"]]
    path = table(tmp_path / "folds.csv", columns)
    found = report(path).runs[0].folds
    for fold, figures in found.items():
        rows = [k for k, number in enumerate(columns["fold"]) if str(number) == fold]
        alone = table(tmp_path / "alone.csv", {name: [values[k] for k in rows] for name, values in columns.items()})
        known = report(alone).runs[0].figures
        assert figures == pytest.approx({name: known[name].value for name in figures})
        assert {"uar", "wa", "macro_f1"} <= figures.keys()
    lines = say(path, "--resamples", "100")[1].partition("By fold")[2].splitlines()
    shown = {words[0]: words[1:] for line in lines if (words := line.split())}
    accuracies = [100 * figures["wa"] for figures in found.values()]
    assert [shown["mean"][1], shown["sd"][1]] == [f"{np.mean(accuracies):.1f}", f"{np.std(accuracies, ddof=1):.1f}"]


def test_folds_are_listed_in_numeric_order(tmp_path: Path) -> None:
    columns = made() | {"fold": [(2, 10, 0, 1)[k % 4] for k in range(240)]}
    assert [*report(table(tmp_path / "a.csv", columns)).runs[0].folds] == ["0", "1", "2", "10"]


@pytest.mark.parametrize("speakers_of_a_fold", [1, 2])
def test_resampled_folds_are_weighted_by_how_often_their_speakers_are_drawn(
    tmp_path: Path, speakers_of_a_fold: int
) -> None:
    """Where all speakers say each emotion equally often, a mean over speakers is the pooled one."""
    rng, speakers = np.random.default_rng(0), 10
    speaker, truth = np.divmod(np.arange(speakers * 40), 40)
    truth %= len(EMOTIONS)
    right = rng.random(len(truth)) < np.linspace(0.2, 0.9, speakers)[speaker]
    columns = {
        "speaker": [f"toy:{k}" for k in speaker],
        "fold": (speaker // speakers_of_a_fold).tolist(),
        "emotion": [EMOTIONS[k] for k in truth],
        "predicted": [EMOTIONS[k] for k in np.where(right, truth, (truth + 1) % len(EMOTIONS))],
    }
    found = report(table(tmp_path / "folds.csv", columns), bootstrap=Bootstrap()).runs[0].figures
    pooled, folds = found["uar"], found["uar_of_folds"]
    assert folds.value == pytest.approx(pooled.value)
    assert (folds.low, folds.high) == pytest.approx((pooled.low, pooled.high))


@pytest.mark.parametrize("speakers", [0, 5, 12])
def test_fold_mean_interval_matches_a_slow_reference_implementation(tmp_path: Path, speakers: int) -> None:
    """Which sums every fold over all units, be they in it or not."""
    rng = np.random.default_rng(0)
    first, second = (
        made(speakers=speakers or 3, seed=seed) | {"seed": [seed] * 240, "fold": rng.integers(0, 6, 240).tolist()}
        for seed in range(2)
    )
    joined = {name: [*values, *second[name][:200]] for name, values in first.items()}
    path = table(tmp_path / "a.parquet", joined if speakers else dropped(joined, "speaker"), "parquet")
    (run,) = runs(path)
    units = metrics.units_of(run.speaker)
    sums = np.stack([
        [metrics.tally_sums(units, run.truth, np.where(run.fold.index[seed] == fold, run.predicted[seed], -1), 4)
         for fold in range(6)] for seed in range(2)
    ]).transpose(2, 0, 1, 3, 4)  # fmt: skip
    held = sums[..., 1, :].any(-1)
    both = np.concatenate([sums.reshape(len(sums), -1), (held / held.sum(0)).reshape(len(sums), -1)], 1)
    drawn = metrics.resample(both, units.stratum, FEW.resamples, FEW.seed)
    tallies, shares = drawn[:, :-12].reshape(-1, 2, 6, 3, 4), drawn[:, -12:].reshape(-1, 2, 6)
    of_drawn, of_all = (metrics.Tally(*np.moveaxis(counts, -2, 0)) for counts in (tallies, sums.sum(0)))
    uars = metrics.uar(of_drawn, of_all)
    figure = report(path).runs[0].figures["uar_of_folds"]
    means = metrics.mean(metrics.mean(uars, weights=shares))
    assert (figure.low, figure.high) == pytest.approx(tuple(metrics.interval(means)), abs=1e-12)


def test_comparison_of_cross_validated_runs_labels_pooled_uar_everywhere(
    tmp_path: Path, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = []
    for seed, name in enumerate("ab"):
        columns = made(seed=seed)
        columns["fold"] = [int(speaker[4:]) % 3 for speaker in columns["speaker"]]
        paths.append(table(tmp_path / f"{name}.csv", columns))
    text = say(*paths)[1]
    assert len(re.findall(r"UAR, pooled", text)) == 3
    assert "mean over folds" in text
    found = report(*paths)
    assert "<h2>UAR, pooled</h2>" in page.html(found)
    assert '<th scope="col">UAR, pooled</th>' in page.html(found)
    assert "pooled" not in page.html(report(*paths, where=("fold=0",)))

    pytest.importorskip("matplotlib")
    titles = []
    monkeypatch.setattr(charts, "save", lambda figure, _: titles.append(figure._suptitle.get_text()))
    charts.draw(found, str(tmp_path))
    assert any(title.startswith("UAR, pooled, % with 95 % interval") for title in titles)


def test_human_listeners_are_scored_by_each_vote_and_by_plurality(tmp_path: Path) -> None:
    columns = {
        "emotion": ["sad", "sad", "angry", "angry"],
        "predicted": ["sad", "sad", "sad", "angry"],
        "votes_voice_sad": [3, 2, 0, None],
        "votes_voice_angry": [1, 2, 5, None],
        "votes_voice_neutral": [0, 0, 5, None],
    }
    found = report(table(tmp_path / "a.csv", columns)).runs[0]
    assert found.people_clips == 3
    assert found.people["votes_wa"].value == pytest.approx((0.75 + 0.5 + 0.5) / 3)
    assert found.people["votes_uar"].value == pytest.approx((0.625 + 0.5) / 2)
    assert found.people["plurality_wa"].value == pytest.approx((1 + 0.5 + 0.5) / 3)


def test_comparison_shows_the_human_and_worst_speaker_rows_of_each_report(tmp_path: Path) -> None:
    votes = {f"votes_voice_{name}": [k % 3 for k in range(240)] for name in EMOTIONS[:2]}
    paths = [table(tmp_path / f"{name}.csv", made(seed=k) | (votes if k < 2 else {})) for k, name in enumerate("abc")]
    alone = [reports.text(report(path)) for path in paths[:2]]
    together = reports.text(report(*paths))
    people, worst = (together.partition(f"\n{title}\n")[2].partition("\n\n")[0].splitlines()
                     for title in ("People", "Worst speakers"))  # fmt: skip
    assert [line.split()[0] for line in people[1:]] == ["a", "b"]
    assert [line.split()[0] for line in worst[1:]] == [name for name in "abc" for _ in range(5)]
    for name, text in zip("ab", alone, strict=True):
        said = [line.split() for line in text.splitlines()]
        assert all(line.split()[1:] in said for line in worst[1:] if line.split()[0] == name)
        (row,) = (line.split() for line in people[1:] if line.split()[0] == name)
        assert row[2:5] == next(words[-3:] for words in said if words[:4] == ["people,", "each", "vote:", "UAR"])


def test_groups_are_scored_separately_and_ages_are_banded(predicted: str) -> None:
    found = report(predicted, by=("sex", "age", "speaker")).runs[0]
    assert [group.name for group in found.by["age"]] == ["18 to 29", "30 to 44", "45 to 59", "60 and over"]
    assert sum(group.clips for group in found.by["sex"]) == 240
    assert len(found.by["speaker"]) == 12
    one = found.by["speaker"][0]
    alone = report(predicted, where=(f"speaker={one.name}",)).runs[0]
    assert alone.figures["uar"].value == pytest.approx(one.figures["uar"].value)
    assert "has no language" in refused_by(predicted, "language")


def test_groups_are_held_one_at_a_time(tmp_path: Path) -> None:
    """A mask over all clips for each of thousands of speakers would take gigabytes."""
    clips, speakers = 10_000, 300
    (run,) = runs(table(tmp_path / "many.parquet", made(clips=clips, speakers=speakers), "parquet"))
    tracemalloc.start()
    try:
        found = groups.by_column(run, "speaker", Bootstrap(resamples=10))
        assert tracemalloc.get_traced_memory()[1] < clips * speakers / 4
    finally:
        tracemalloc.stop()
    assert len(found) == speakers


def test_a_band_of_ages_begins_with_its_first_year(tmp_path: Path) -> None:
    ages = table(tmp_path / "ages.csv", made() | {"age": [17, 18, 29, 30] * 60})
    found = report(ages, by=("age",)).runs[0].by["age"]
    assert [(group.name, group.clips) for group in found] == [("under 18", 60), ("18 to 29", 120), ("30 to 44", 60)]


def test_clips_can_be_grouped_by_any_column_with_few_values(tmp_path: Path) -> None:
    with (tmp_path / "own.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["emotion", "predicted", "condition", "rating", "Gender", "number"])
        rows.writerows([EMOTIONS[k % 4], EMOTIONS[k % 3], "ab"[k % 2], 8 + k % 5, "fm"[k % 2], k] for k in range(60))
    path = str(tmp_path / "own.csv")
    found = report(path, by=("condition", "rating", "gender")).runs[0].by
    assert [group.name for group in found["condition"]] == ["a", "b"]
    assert [group.name for group in found["rating"]] == ["8", "9", "10", "11", "12"]
    assert [group.name for group in found["gender"]] == ["female", "male"]
    assert "--by number: 60 different values, more than 50: put them into groups" in refused_by(path, "number")
    assert "has no mood; it has sex, condition, rating, number" in refused_by(path, "mood")
    (tmp_path / "own.jsonl").write_text('{"emotion": "sad", "predicted": "sad", "tags": ["a"]}\n'
                                        '{"emotion": "angry", "predicted": "sad", "tags": []}\n')  # fmt: skip
    assert "no single words or numbers" in refused_by(str(tmp_path / "own.jsonl"), "tags")


def test_answers_are_grouped_individually_where_columns_differ_between_seeds(tmp_path: Path) -> None:
    parts = [made(seed=seed) | {"fold": [(k + seed) % 2 for k in range(240)]} for seed in range(2)]
    found = report(table(tmp_path / "a.csv", seeded(*parts)), by=("seed", "fold", "predicted")).runs[0]
    alone = [report(table(tmp_path / f"{seed}.csv", part), by=("fold",)).runs[0] for seed, part in enumerate(parts)]
    assert [group.figures["uar"].value for group in found.by["seed"]] == pytest.approx(
        [run.figures["uar"].value for run in alone]
    )
    for fold in range(2):
        both = [run.by["fold"][fold].figures["uar"].value for run in alone]
        assert found.by["fold"][fold].figures["uar"].value == pytest.approx(np.mean(both))
        assert found.by["fold"][fold].clips == 240
    for group in found.by["predicted"]:
        assert group.clips == sum(group.name in words for words in zip(*(p["predicted"] for p in parts), strict=True))


def test_clip_metadata_missing_for_one_seed_is_taken_from_another(tmp_path: Path) -> None:
    first, second = made(), made(seed=1)
    path = table(tmp_path / "a.csv", seeded(first | {"sex": [None] * 240, "speaker": [None] * 240}, second))
    found = report(path, by=("sex",)).runs[0]
    assert [(group.name, group.clips) for group in found.by["sex"]] == [("female", 120), ("male", 120)]
    assert found.speakers == 12


def refused_by(path: str, name: str) -> str:
    with pytest.raises(SertoolError) as caught:
        report(path, by=(name,))
    return str(caught.value)


def test_the_worst_speakers_come_first(predicted: str) -> None:
    found = report(predicted).runs[0]
    values = [uar for _, _, uar in found.each_speaker]
    assert values == sorted(values)
    assert [group.figures["uar"].value for group in found.worst] == pytest.approx(values[: len(found.worst)])


def test_speakers_with_equal_scores_are_sorted_by_name(tmp_path: Path) -> None:
    speakers = [f"s{number:02d}" for number in np.random.default_rng(0).permutation(40)]
    rows = [f"{name},{truth},{'sad' if name < 's20' else truth}" for name in speakers for truth in ("sad", "angry")]
    (tmp_path / "p.csv").write_text("\n".join(["speaker,emotion,predicted", *rows]))
    found = report(str(tmp_path / "p.csv")).runs[0]
    assert [name for name, _, _ in found.each_speaker] == sorted(speakers)


def test_bootstrap_resamples_within_speakers_if_they_are_fewer_than_eight(tmp_path: Path) -> None:
    found = report(table(tmp_path / "a.csv", made(speakers=7))).runs[0]
    assert "within the 7 speakers" in found.bootstrap
    assert report(table(tmp_path / "b.csv", made(speakers=8))).runs[0].bootstrap == "over 8 speakers"


@pytest.mark.parametrize(("speakers", "is_said"), [(7, False), (8, True), (19, True), (20, False)])
def test_intervals_and_p_values_over_few_speakers_are_flagged_as_optimistic(
    tmp_path: Path, speakers: int, is_said: bool
) -> None:
    paths = [table(tmp_path / f"{name}.csv", made(speakers=speakers)) for name in "ab"]
    one, both = (" ".join(wording.methods(report(*given))) for given in (paths[:1], paths))
    says = "Of 8 to 19 speakers such intervals hold the truth in about 90 % of cases, not in 95 %"
    assert (f"{says}." in one, f"{says}; p is below .05 by chance" in both) == (is_said, is_said)


def test_windows_of_a_clip_are_scored_as_separate_rows(tmp_path: Path) -> None:
    columns = dropped(made(clips=80), "speaker")
    columns["clip"] = [f"toy/{k // 4}" for k in range(80)]
    columns["start"] = [float(k % 4) for k in range(80)]
    assert report(table(tmp_path / "a.csv", columns)).runs[0].clips == 80


@pytest.mark.parametrize("speakers", [0, 2, 12])
def test_windows_of_a_clip_are_counted_and_resampled_together(tmp_path: Path, speakers: int) -> None:
    """Each clip ten times over says nothing more: the intervals stay what they are of the clips alone."""
    alone = made(clips=120, speakers=speakers or 1)
    alone = alone if speakers else dropped(alone, "speaker")
    windows = {name: [value for value in values for _ in range(10)] for name, values in alone.items()}
    windows["start"] = [float(k % 10) for k in range(1200)]
    one, ten = (report(table(tmp_path / f"{k}.csv", each)).runs[0] for k, each in enumerate((alone, windows)))
    assert (one.clips, one.windows_of, ten.clips, ten.windows_of) == (120, None, 1200, 120)
    assert wording.title(ten).startswith("1,200 windows of 120 clips of ")
    for name in ("uar", "wa", "ece"):
        assert ten.figures[name].low == pytest.approx(one.figures[name].low, abs=1e-6)
        assert ten.figures[name].high == pytest.approx(one.figures[name].high, abs=1e-6)
    both = report(*[table(tmp_path / f"{k}.csv", windows) for k in "ab"])
    assert "with all their windows" in both.comparisons[0].bootstrap or speakers == 12
    assert wording.methods(both)[-1].startswith("McNemar's test takes the windows of a clip for independent")


def test_windows_of_clips_with_unknown_speakers_are_resampled_together() -> None:
    speaker, whole = np.array([*range(8), -1, -1, -1]), np.array([*range(8), 8, 9, 8])
    units = metrics.units_of(speaker, whole)
    assert units.of_clip[8] == units.of_clip[10]
    assert len(np.unique(units.of_clip)) == len(units.stratum) == 10


def test_rows_of_several_seeds_are_not_counted_as_windows(tmp_path: Path) -> None:
    columns = {name: 2 * values for name, values in made(clips=40).items()} | {"seed": [0] * 40 + [1] * 40}
    found = report(table(tmp_path / "a.csv", columns | {"start": [0.0] * 80})).runs[0]
    assert (found.clips, found.windows_of) == (40, None)


def test_channels_of_a_clip_are_scored_as_separate_rows(tmp_path: Path) -> None:
    columns = dropped(made(clips=80), "speaker")
    columns |= {"clip": [f"toy/{k // 4}" for k in range(80)], "start": [float(k // 2 % 2) for k in range(80)]}
    columns["channel"] = [1 + k % 2 for k in range(80)]
    assert report(table(tmp_path / "a.csv", columns)).runs[0].clips == 80
    columns["start"] = [0.0] * 80
    assert "is predicted twice" in refused(table(tmp_path / "a.csv", columns))
