"""eval's text, JSON, CSV, pages and pictures."""

import csv
import html.parser
import io
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scored_tables import EMOTIONS, made, report, table, two

from sertool.drawings import pictures
from sertool.eval import charts, page
from sertool.manifests import manifest_io


def test_min_uar_decides_the_exit_code(predicted: str, say: Any) -> None:
    code, out, err = say(predicted, "--min-uar", ".99", "--resamples", "100")
    assert code == 1
    assert "UAR" in out
    assert re.fullmatch(r"sertool: UAR below --min-uar 0.99: one 0\.\d+\n", err)
    assert say(predicted, "--min-uar", "0.3", "--resamples", "100")[0] == 0


@pytest.mark.parametrize("words", [["--by", "shoe-size"], ["--min-uar", "60"], ["-o", "x.docx"], ["missing.csv"]])
def test_wrong_usage_exits_2_with_one_line(predicted: str, say: Any, words: list[str]) -> None:
    code, out, err = say(predicted, *words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_json_report_holds_figures_confusion_emotions_and_groups(predicted: str, say: Any) -> None:
    code, out, _ = say(predicted, "-f", "json", "--by", "sex", "--resamples", "100")
    held = json.loads(out)
    assert code == 0
    run = held["runs"][0]
    assert set(run["figures"]["uar"]) == {"value", "low", "high", "deviation"}
    assert np.array(run["confusion"]).shape == (4, 4)
    assert held["emotions"] == list(EMOTIONS)
    assert len(run["by"]["sex"]) == 2


def test_clips_without_a_group_value_form_their_own_group(tmp_path: Path, say: Any) -> None:
    columns = made()
    columns["sex"] = [sex if k >= 97 else None for k, sex in enumerate(columns["sex"])]
    path = table(tmp_path / "a.csv", columns)
    found = report(path, by=("sex",)).runs[0].by["sex"]
    assert [one.name for one in found] == ["female", "male", "(not known)"]
    assert [one.clips for one in found] == [71, 72, 97]
    assert re.search(r"^\(not known\) +97 ", say(path, "--by", "sex", "--resamples", "100")[1], re.MULTILINE)


def test_csv_has_one_figure_per_line(tmp_path: Path, predicted: str, say: Any) -> None:
    other = table(tmp_path / "other.csv", made(seed=1))
    _, out, _ = say(predicted, other, "-f", "csv", "--resamples", "100")
    rows = list(csv.DictReader(io.StringIO(out)))
    uar = [row for row in rows if (row["table"], row["figure"], row["run"]) == ("figures", "uar", "one")]
    assert len(uar) == 1
    assert float(uar[0]["low"]) <= float(uar[0]["value"]) <= float(uar[0]["high"])
    assert {row["against"] for row in rows if row["table"] == "difference"} == {"one"}
    assert not any(value == "nan" for row in rows for value in row.values())


def test_name_containing_a_line_break_stays_one_csv_cell(tmp_path: Path, say: Any) -> None:
    path = table(tmp_path / "a.parquet", made() | {"room": ["here", "not\rhere"] * 120}, "parquet")
    _, out, _ = say(path, "-f", "csv", "--by", "room", "--resamples", "100")
    named = {row["row"] for row in csv.DictReader(io.StringIO(out, newline=""))}
    assert any("not\rhere" in name for name in named), named


def test_csv_contains_every_table_of_the_text_report(tmp_path: Path, say: Any) -> None:
    paths = []
    for name in "ab":
        parts = [made(seed=seed + ord(name)) | {"seed": [seed] * 240, "fold": [0, 1, 2] * 80} for seed in range(2)]
        paths.append(table(tmp_path / f"{name}.csv", {key: parts[0][key] + parts[1][key] for key in parts[0]}))
    rows = list(csv.DictReader(io.StringIO(say(*paths, "-f", "csv", "--resamples", "100")[1])))
    found, (pair,) = report(*paths).runs[1], report(*paths).comparisons

    def values(table: str, figure: str, cell: str = "value") -> list[float]:
        return [float(row[cell]) for row in rows if (row["run"], row["table"], row["figure"]) == ("b", table, figure)]

    assert values("figures", "uar", "deviation") == [found.figures["uar"].deviation]
    assert values("seed", "wa") == [figures["wa"] for figures in found.seeds.values()]
    assert values("fold", "wa") == [figures["wa"] for figures in found.folds.values()]
    assert values("mcnemar", "only_first") == [pair.mcnemar["only_first"]]
    assert values("mcnemar", "only_second", "p") == [pair.mcnemar["p"]]


def test_rows_of_a_markdown_table_have_equal_column_counts(predicted: str, say: Any) -> None:
    _, out, _ = say(predicted, "-f", "markdown", "--by", "age", "--resamples", "100")
    tables = re.findall(r"(?:^\|.*\n)+", out, re.MULTILINE)
    assert len(tables) >= 6
    for one in tables:
        assert len({line.count("|") for line in one.splitlines()}) == 1


def plain_of_latex(text: str) -> str:
    for escaped, plain in (("{}[", "["), ("{}*", "*"), ("-{}", "-"), ("$-$", "-")):
        text = text.replace(escaped, plain)
    words = {"backslash": "\\", "asciicircum": "^", "asciitilde": "~", "less": "<", "greater": ">", "bar": "|"}
    return re.sub(r"\\text(\w+)\{\}|\\([{}$&#%_])", lambda match: words.get(match[1]) or match[2], text)


@pytest.mark.parametrize("count", [1, 3])
def test_latex_report_is_the_markdown_report_in_balanced_escaped_latex(tmp_path: Path, say: Any, count: int) -> None:
    strange = dict(zip(EMOTIONS, ["[50 %]", "*a & b_c", "~^\\{}$#", "x<y>--z"], strict=True))
    paths = []
    for seed in range(count):
        columns = {name: values for name, values in made(seed=seed).items() if name[:2] != "p_"}
        columns |= {name: [strange[word] for word in columns[name]] for name in ("emotion", "predicted")}
        paths.append(table(tmp_path / f"run_{seed}&.csv", columns))
    markdown = say(*paths, "-f", "markdown", "--by", "sex", "--resamples", "100")[1]
    assert say(*paths, "-o", str(tmp_path / "report.tex"), "--by", "sex", "--resamples", "100")[0] == 0
    text = (tmp_path / "report.tex").read_text()
    assert re.match(r"%.*\\usepackage\{booktabs\}", text)
    bare = re.sub(r"\\[{}]", "", text.partition("\n")[2])
    assert bare.count("{") == bare.count("}")
    opened = re.findall(r"\\(begin|end)\{(\w+)\}", text)
    for way, names in (("begin", ["table", "tabular"]), ("end", ["tabular", "table"])):
        assert [name for found, name in opened[2:] if found == way] == names * markdown.count("\n## ")
    for line in re.findall(r"^.*(?= \\\\$)", text, re.MULTILINE):
        assert not re.search(r"(?<!\\)[#%_]|^[\[*]|--", line), line

    shown = [[plain_of_latex(cell) for cell in re.split(" & ", row)] for row in re.findall(r"^(.*) \\\\$", text, re.M)]
    tables = re.findall(r"^\| (.*) \|$", markdown, re.MULTILINE)
    assert shown == [row.replace("\\|", "|").split(" | ") for row in tables if not row.startswith("---")]
    assert [plain_of_latex(title) for title in re.findall(r"\\caption\{(.*)\}", text)] == re.findall(
        "^## (.*)", markdown, re.M
    )


def test_minus_signs_of_latex_tables_are_no_hyphens(tmp_path: Path, say: Any) -> None:
    paths = [table(tmp_path / f"run-{seed}.csv", made(seed=seed)) for seed in range(2)]
    out = say(*paths, "-f", "latex", "--resamples", "100")[1]
    assert re.search(r"^run-0 & run-1 & 240 & \$-\$\d+\.\d \[\$-\$\d+\.\d, [+]\d+\.\d\] & \.\d+ & ", out, re.MULTILINE)


def test_output_format_follows_the_file_extension(tmp_path: Path, predicted: str, say: Any) -> None:
    out = tmp_path / "scores.json"
    assert say(predicted, "-o", str(out), "--resamples", "100")[1] == ""
    assert json.loads(out.read_text())["resamples"] == 100


def test_output_is_reproducible_for_the_same_seed(predicted: str, say: Any) -> None:
    assert say(predicted, "--seed", "3") == say(predicted, "--seed", "3")
    assert say(predicted, "--seed", "3")[1] != say(predicted, "--seed", "4")[1]


def test_title_names_the_scored_split_clips_and_speakers(tmp_path: Path, say: Any) -> None:
    columns = made()
    columns["split"] = ["dev"] * 240
    _, out, _ = say(table(tmp_path / "run.csv", columns), "--resamples", "100")
    assert out.startswith("run: dev, 240 clips of 12 speakers\n")


class Tags(html.parser.HTMLParser):
    """Counts what is opened and closed, and keeps what a browser would fetch."""

    EMPTY = ("meta", "line", "circle", "rect", "polyline", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag


@pytest.mark.parametrize("count", [1, 3])
def test_html_page_is_self_contained_and_escaped(tmp_path: Path, say: Any, count: int) -> None:
    paths = []
    for seed in range(count):
        columns = made(seed=seed)
        columns["speaker"] = [f"<b>&{name}" for name in columns["speaker"]]
        paths.append(table(tmp_path / f"run<{seed}>.csv", columns))
    page = tmp_path / "report.html"
    code, _, err = say(*paths, "--html", str(page), "--resamples", "100")
    assert code == 0
    assert str(page) in err
    text, tags = page.read_text(), Tags()
    tags.feed(text)
    assert tags.open == []
    assert "script" not in tags.seen
    assert tags.fetched == []
    assert "url(" not in text
    assert "prefers-color-scheme" in text
    assert "<b>&toy" not in text
    assert "run<0>" not in text
    assert not re.search(r"\bnan\b", text)


def test_html_page_is_the_only_output_on_stdout(tmp_path: Path, predicted: str, say: Any) -> None:
    code, out, err = say(predicted, "--html", "-", "--resamples", "100")
    assert (code, err) == (0, "")
    assert out.startswith("<!doctype html>")
    assert out.endswith("</html>\n")
    beside = tmp_path / "beside.txt"
    assert say(predicted, "--html", "-", "-o", str(beside), "--resamples", "100")[1] == out
    assert beside.read_text().startswith("one: 240 clips")


@pytest.mark.parametrize("name", ["manifest", None])
def test_of_a_folder_its_table_is_named_or_what_makes_one(tmp_path: Path, say: Any, name: str | None) -> None:
    if name:
        table(tmp_path / f"{name}.parquet", made(), "parquet")
    hint = f"name {tmp_path / name}.parquet" if name else f"`sertool index {tmp_path}` makes one of audio in it"
    assert say(str(tmp_path)) == (2, "", f"sertool: {tmp_path} is a folder, not a manifest: {hint}\n")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "tsv"])
def test_figures_use_the_full_precision_of_the_input(tmp_path: Path, kind: str) -> None:
    columns = made(clips=20)
    path = tmp_path / f"exact.{kind}"
    manifest_io.write(pa.table(columns), str(path), kind)
    chances = np.array([columns[f"p_{name}"] for name in EMOTIONS])
    right = chances[[EMOTIONS.index(word) for word in columns["emotion"]], range(20)]
    found = report(str(path)).runs[0].figures
    assert abs(found["log_loss"].value + np.log(right).mean()) < 1e-9
    assert abs(found["brier"].value - ((chances**2).sum(0) - 2 * right + 1).mean()) < 1e-9
    bins = np.minimum((15 * chances.max(0)).astype(int), 14)
    gap = np.array(columns["confidence"]) - (np.array(columns["emotion"]) == columns["predicted"])
    assert abs(found["ece"].value - sum(abs(gap[bins == k].sum()) for k in range(15)) / 20) < 1e-9


@pytest.mark.draws
def test_plots_are_drawn_for_one_run_and_for_several(tmp_path: Path, predicted: str, say: Any) -> None:
    pytest.importorskip("matplotlib")
    other = table(tmp_path / "other run.csv", made(seed=1))
    say(predicted, "--plot", str(tmp_path / "one"), "--resamples", "100")
    drawn = {path.name for path in (tmp_path / "one").iterdir()}
    assert drawn == {"confusion.png", "reliability.png", "curves.png", "speakers.png", "recall.png"}
    say(predicted, other, "--plot", str(tmp_path / "two"), "--resamples", "100")
    drawn = {path.name for path in (tmp_path / "two").iterdir()}
    assert {"comparison.png", "recall.png", "confusion-one.png", "confusion-other-run.png"} <= drawn
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (tmp_path / "two").iterdir())


@pytest.mark.draws
@pytest.mark.parametrize(("kind", "start"), [("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_plots_are_drawn_in_the_format_that_is_asked_for(
    tmp_path: Path, predicted: str, say: Any, kind: str, start: bytes
) -> None:
    pytest.importorskip("matplotlib")
    code, _, err = say(predicted, "--plot", str(tmp_path / "drawn"), "--plot-format", kind, "--resamples", "100")
    assert (code, f"confusion.{kind}, reliability.{kind}" in err) == (0, True)
    files = [*(tmp_path / "drawn").iterdir()]
    assert {path.suffix for path in files} == {f".{kind}"}
    assert all(path.read_bytes().startswith(start) for path in files)
    assert not any(b"/Type3" in path.read_bytes() for path in files), "publishers refuse Type 3 fonts"


def test_plot_format_without_plot_is_refused(predicted: str, say: Any) -> None:
    refused = "sertool: --plot-format goes with --plot: without it nothing is drawn\n"
    assert say(predicted, "--plot-format", "pdf") == (2, "", refused)


@pytest.mark.draws
def test_runs_with_similar_names_get_separate_plots(tmp_path: Path, say: Any) -> None:
    pytest.importorskip("matplotlib")
    runs = [{name: made(seed=seed)[name] for name in ("clip", "emotion", "predicted")} for seed in range(2)]
    paths = [table(tmp_path / f"a{mark}b.csv", run) for run, mark in zip(runs, " -", strict=True)]
    say(*paths, "--plot", str(tmp_path / "drawn"), "--resamples", "100")
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "drawn").glob("confusion*")}
    assert sorted(drawn) == ["confusion-a-b-2.png", "confusion-a-b.png"]
    assert len(set(drawn.values())) == 2


def test_long_or_unusual_names_fit_into_plots_without_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")

    def saved(figure: Any, path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure.savefig(io.BytesIO(), format="png")
        pictures.pyplot().close(figure)

    monkeypatch.setattr(charts, "save", saved)
    columns = made()
    columns["speaker"] = [f"{name} {'W' * 100}" for name in columns["speaker"]]
    longer = {name: f"{name} {'M' * 27} $a_" for name in EMOTIONS}
    columns |= {name: [longer[word] for word in columns[name]] for name in ("emotion", "predicted")}
    paths = [table(tmp_path / f"{k}{'R' * 100}.csv", {k: v for k, v in columns.items() if k[:2] != "p_"}) for k in "ab"]
    assert "comparison.png" in charts.draw(report(*paths), str(tmp_path))


@pytest.mark.parametrize("count", [4, 60])
def test_confusion_of_many_emotions_is_of_bounded_size_without_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    pytest.importorskip("matplotlib")
    words = [f"e{k}" for k in range(count)]
    found, seen = report(two(tmp_path / "a.csv", words, words)), {}

    def saved(figure: Any, path: Path) -> None:
        names = len(figure.axes[0].get_xticklabels())
        seen[path.name] = (max(figure.get_size_inches()), len(figure.axes[0].texts), names)
        pictures.pyplot().close(figure)

    monkeypatch.setattr(charts, "save", saved)
    charts.draw(found, str(tmp_path))
    side, numbers, names = seen["confusion.png"]
    assert side < 20
    assert (numbers, names) == ((16, 4) if count == 4 else (0, 30))


def test_runs_on_different_clips_show_separate_counts_and_chance_levels(
    tmp_path: Path, predicted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = {name: [v for v, word in zip(values, made()["emotion"], strict=True) if word in EMOTIONS[:2]]
            for name, values in made().items()}  # fmt: skip
    found = report(predicted, table(tmp_path / "half.csv", half), by=("sex",))
    text, (one, other) = page.html(found), found.runs
    assert "by chance, 25.0 % with 4 emotions, 50.0 % with 2 emotions" in text
    recalls, by = (text[text.index(f"<h2>{title}") :].partition("</section>")[0] for title in ("Recall", "UAR by sex"))
    assert f">{one.classes[0].clips}</td>" in recalls
    assert f"<div>{one.classes[2].clips}</div><div>0</div></td>" in recalls
    pairs = [*zip(one.by["sex"], other.by["sex"], strict=True)]
    assert all(f"<div>{a.clips}</div><div>{b.clips}</div></td>" in by for a, b in pairs)

    pytest.importorskip("matplotlib")
    labels = []
    monkeypatch.setattr(charts, "save", lambda figure, _: labels.extend(figure.axes[0].get_yticklabels()))
    charts.draw(found, str(tmp_path))
    assert {f"neutral ({one.classes[0].clips})", f"sad ({one.classes[2].clips}; 0)"} <= {x.get_text() for x in labels}


@pytest.mark.slow
def test_plot_titles_are_not_cut_off_and_name_leaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    titles = {}

    def saved(figure: Any, path: Path) -> None:
        figure.canvas.draw()
        title = figure._suptitle  # as others know it, by `get_suptitle`, only since matplotlib 3.8
        extent = title.get_window_extent()
        assert extent.x0 >= 0
        assert extent.x1 <= figure.bbox.x1, path
        assert min(axes.get_window_extent().height for axes in figure.axes) > 60, path
        titles[path.name] = title.get_text().replace("\n", " ")
        pictures.pyplot().close(figure)

    monkeypatch.setattr(charts, "save", saved)
    columns = made(clips=60, speakers=3) | {"adapted": ["transductive"] * 60, "split": ["train", "test"] * 30}
    path = table(tmp_path / f"{'W' * 30}.parquet", columns, "parquet")
    charts.draw(report(path), str(tmp_path))
    charts.draw(report(path, table(tmp_path / "b.parquet", made(clips=60), "parquet")), str(tmp_path))
    assert len(titles) == 14
    for name, title in titles.items():
        if not name.endswith("-b.png"):
            assert "adapted to each speaker (transductive)" in title, name
            assert "LEAKY: 3 of the speakers are in train too" in title, name


@pytest.mark.draws
def test_drawing_plots_reports_only_the_written_files(tmp_path: Path, predicted: str, say: Any) -> None:
    pytest.importorskip("matplotlib")
    columns = made()
    strangers = {"clip": [f"other {name}" for name in columns["clip"]], "sentence": ["\u60c5"] * 240}
    strangers["speaker"] = [f"\u60c5 {name}" for name in columns["speaker"]]
    other = table(tmp_path / "other.csv", columns | strangers)
    code, _, err = say(predicted, other, "--plot", str(tmp_path / "drawn"), "--resamples", "100")
    assert (code, len(err.splitlines())) == (0, 1)
    assert not (tmp_path / "drawn" / "comparison.png").exists()


def test_eval_imports_no_heavy_libraries(tmp_path: Path) -> None:
    path = table(tmp_path / "many.csv", made(clips=10_000, speakers=91))
    heavy = ("torch", "sklearn", "scipy", "matplotlib", "librosa", "soundfile", "rich")
    script = (
        f"import sys; from sertool import cli; cli.run(['eval', {path!r}, '--html', {str(tmp_path / 'a.html')!r}]); "
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"
    assert "10,000 clips of 91 speakers" in done.stdout


def test_help_examples_use_only_existing_options() -> None:
    from sertool.commands import eval as command

    known = {name for parameter in command.command.params for name in parameter.opts}
    used = set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", re.sub(r"(train|index) [^|,]*", "", command.EPILOG)))
    assert used <= known
