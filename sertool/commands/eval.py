"""Score predictions, with intervals, and compare runs."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from sertool import catalogue, options
from sertool.drawings import pictures
from sertool.errors import SertoolError, UsageError
from sertool.options import option
from sertool.system import talk

EPILOG = """\b
Examples:
  sertool train features/manifest.parquet -m cnn | sertool eval
  sertool eval predictions.csv --by sex,age
  sertool eval runs/a/ runs/b/ -o report.tex
  sertool eval runs/a/ runs/b/ run/ --baseline runs/a/
  sertool eval predictions.csv --html report.html --plot plots/ --plot-format pdf
  sertool eval predictions.csv --min-uar .6 -f json > scores.json
  sertool eval theirs.csv --truth y --predicted yhat --speaker who --map ang=angry
  sertool index cremad/ --table answers.jsonl | sertool eval --predicted labels
  sertool eval rated.csv --dimensions arousal,valence --by sex
  sertool eval rated.csv --dimensions calmness --predicted guess --min-ccc .4

Two columns are enough: the true emotion and the predicted one, as CSV, TSV, JSON Lines or Parquet. Predictions
without the truth are joined to it by index --table, by their column of paths, or of names (key, id, utterance). Rows
of test are scored; where there are none, rows of dev; rows of train only with --split train. Rows without a
prediction are counted and not scored. A folder of a run stands for its predictions.parquet. Several inputs, or
several values in a column run, are runs to compare. Input from a pipe is read to its end first.

Ratings such as arousal are scored where --dimensions names them or no emotion is predicted: each needs a column of
numbers, and one of predictions called predicted_arousal (or arousal_pred ...); EmoAct, activation, val and the like are
known. Confusion, calibration and McNemar's test are of emotions only.

Intervals are of 95 %, from resampled speakers. With 8 to 19 speakers they are somewhat too narrow, and differences of
runs look surer than they are. With fewer, clips are resampled, which says nothing about other speakers. Where all
resamples are alike, as those of a single clip, there is no interval: [-, -].

\b
Scores in the report:
  UAR                    unweighted average recall, the mean of every emotion's recall
  WA                     accuracy, the share of clips that were answered rightly
  F1                     of an emotion, the harmonic mean of its recall and precision
  ECE                    expected calibration error, how far confidence lies from accuracy, in 15 bins; its interval
                         leaves out what chance adds
  log loss, Brier score  how far the probabilities lie from the truth; lower is better
  CCC                    of ratings, the concordance correlation coefficient: 1 if predictions equal the truth, 0 if
                         they do not follow it; shifts and other scales lower it, so it is at most Pearson's r
  RMSE                   root of the mean squared error, in the ratings' own scale
"""
FORMATS = {".txt": "table", ".json": "json", ".csv": "csv", ".md": "markdown", ".tex": "latex"}


def _input_options() -> Any:
    group = "Input"
    return options.stack(
        option("--truth", metavar="COLUMN", group=group, help="The column that holds the true emotion, or rating."),
        option("--predicted", metavar="COLUMN", group=group, help="The column that holds the predicted one."),
        option("--dimensions", type=options.Words(options.dimensions, usual=True), default=(), metavar="NAME,..",
               group=group, help="Score these ratings, such as arousal,valence, rather than emotions; any column of "
                                 "numbers with predictions beside it."),
        option("--speaker", metavar="COLUMN", group=group, help="The column that tells speakers apart."),
        option("--split", type=click.Choice(["test", "dev", "train"]), group=group,
               help="Which rows to score. [default: test where there are any, else dev]"),
        option("--map", "mapping", multiple=True, metavar="FROM=TO,..", group=group,
               help="What a label means: ps=surprise, calm=neutral; X= means no emotion, so an answer X is wrong."),
        options.where,
    )  # fmt: skip


def _groups() -> list[str]:
    return list(catalogue.read(catalogue.PACKAGE / "eval/answers.py").facts["GROUPS"])


def _score_options() -> Any:
    group = "Scores"
    return options.stack(
        option("--by", type=options.Words(_groups, usual=True), default=(), metavar="COLUMN,..", group=group,
               help=f"Tables by {', '.join(_groups())} (age in bands), or any column of few values."),
        option("--resamples", type=options.Number(int, 100, 100_000), metavar="N", group=group,
               usual="2000, and for differences of runs at least 200 for each pair",
               help="How many resamples the intervals are made of; no p is below one over their number, and what may "
                    "be lower is shown as ≤."),
        option("--baseline", metavar="RUN", group=group,
               help="Compare every other run with this one, rather than all pairs."),
        option("--min-uar", type=options.Number(float, 0, 1), metavar="SHARE", group=group,
               help="Exit 1 if the UAR of any run is below this share, such as .6."),
        option("--min-ccc", type=options.Number(float, -1, 1), metavar="CCC", group=group,
               help="Exit 1 if the CCC of any run, or its mean over dimensions, is below this."),
    )  # fmt: skip


def _output_options() -> Any:
    return options.stack(
        options.out("Write the report to this file (.txt, .json, .csv, .md, .tex) rather than to stdout."),
        option("-f", "--format", "kind", type=click.Choice(list(FORMATS.values())),
               help="Format of the report. [default: by the extension of -o, else a table]"),
        option("--plot", type=click.Path(file_okay=False), metavar="DIR",
               help="Draw into this folder: confusion, recall, reliability, threshold curves, speakers, differences of "
                    "runs."),
        option("--plot-format", type=click.Choice([suffix[1:] for suffix in pictures.FORMATS]), usual="png",
               help="Format of the pictures."),
        option("--html", type=click.Path(dir_okay=False), metavar="FILE",
               help="Write the whole report as one page for the browser; - for stdout, in place of the tables."),
        options.seed, options.quiet, options.verbose,
    )  # fmt: skip


@click.command(cls=options.Command, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("paths", nargs=-1, type=click.Path())
@options.stack(_input_options(), _score_options(), _output_options())
def command(paths: tuple[str, ...], **values: Any) -> None:
    """Score the predictions in PATHS: UAR, accuracy, F1 and calibration, or CCC of ratings, each with its interval."""
    from sertool.eval import evaluating, groups, kinds, renaming, reports
    from sertool.eval.bootstrapping import Bootstrap
    from sertool.eval.predictions import Reading
    from sertool.manifests import labels, manifest_io

    if values["plot_format"] and not values["plot"]:
        raise UsageError("--plot-format goes with --plot: without it nothing is drawn")
    kind = manifest_io.named_format(values["out"], values["kind"], FORMATS) or "table"
    sources = [_predictions_of(source) for source in options.inputs(paths, "a table of predictions")]
    _refuse_written_over(sources, values["out"], values["html"])
    mapping = labels.parse_mapping(values["mapping"])
    dimensions = tuple(dict.fromkeys(map(renaming.dimension_called, values["dimensions"])))
    runs = kinds.read(sources, options.part(Reading, values | {"mapping": mapping, "dimensions": dimensions}))
    _refuse_other_guard(runs[0].main[0], values)
    by = values["by"] or (groups.divisible(runs) if values["html"] else ())
    baseline = _source_of(values["baseline"], dict(zip(paths, sources, strict=False)))
    report = evaluating.report(runs, by, Bootstrap(values["resamples"], values["seed"]), baseline)
    if values["html"] != "-" or values["out"] not in (None, "-"):  # two documents in one stream are invalid
        reports.write(reports.render(report, kind, values["out"]), values["out"])
    _draw(report, values["html"], values["plot"], values["plot_format"] or "png")
    _refuse_below(report, values[f"min_{runs[0].main[0]}"])


def _predictions_of(source: str) -> str:
    """Return the path of the joined predictions if the source is a run's folder, else the source itself."""
    from sertool.manifests import run_folder
    from sertool.system import files

    table = os.path.join(source, run_folder.PREDICTIONS)
    if os.path.isfile(table):
        return table
    if runs := run_folder.runs_in(Path(source)):
        raise UsageError(f"{source} holds runs, and is none itself: name {files.listed(runs)}")
    return source


def _source_of(run: str | None, source_by_path: Mapping[str, str]) -> str | None:
    """Return the source if the run is called by its path, else what it is called."""
    sources = {os.path.normpath(path): source for path, source in source_by_path.items()}
    return run and sources.get(os.path.normpath(run), run)


def _refuse_written_over(sources: Sequence[str], *reports: str | None) -> None:
    for report in reports:
        for source in sources:
            if report and os.path.exists(report) and os.path.exists(source) and os.path.samefile(report, source):
                raise UsageError(f"{report} holds the predictions that are scored: write the report to another file")


def _draw(report: Any, html: str | None, plot: str | None, plot_format: str) -> None:
    if html:
        from sertool.eval import page, reports

        reports.write(page.html(report), html)
        if html != "-":
            talk.say(f"{html}: the report as one page")
    if plot:
        from sertool.eval import charts

        talk.say(f"{plot}: {', '.join(charts.draw(report, plot, f'.{plot_format}'))}")


def _refuse_other_guard(figure: str, values: Mapping[str, Any]) -> None:
    """Refuse a least value of a figure that the predictions do not have."""
    answers = {"uar": "emotions", "ccc": "ratings"}
    for other in answers.keys() - {figure}:
        if values[f"min_{other}"] is not None:
            raise UsageError(
                f"--min-{other} is of {answers[other]}, and {answers[figure]} are scored: use --min-{figure}"
            )


def _refuse_below(report: Any, least: float | None) -> None:
    figure = report.runs[0].main[0]
    low = [run for run in report.runs if not run.figures[figure].value >= least] if least is not None else []
    if low:
        figures = ", ".join(f"{run.name} {run.figures[figure].value:.4f}" for run in low)
        raise SertoolError(f"{figure.upper()} below --min-{figure} {least:g}: {figures}")
