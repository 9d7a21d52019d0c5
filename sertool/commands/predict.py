"""Predict the emotion of audio files, folders and calls with a trained model."""

from __future__ import annotations

import os
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import click

from sertool import options, shipped
from sertool.errors import UsageError
from sertool.options import option
from sertool.system import talk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sertool.predict.answering import Answering
    from sertool.predict.predict_inputs import Inputs
    from sertool.predict.row_stages import Count

EPILOG = """\b
Examples:
  sertool predict clip.wav calls/
  sertool predict -m run/ calls/ > emotions.csv
  sertool predict -m run/ clip.wav
  sertool predict -m run/ --pauses 0.4 call.wav
  sertool predict -m run/ --window 3 --hop 1 call.wav
  sertool predict -m run/ --window 3 --hop 1 --merge -f srt call.wav -o call.srt
  sertool predict -m run/ --window 3 -f audacity call.wav -o labels.txt
  sertool predict -m run/ --channel each --window 3 --merge calls/
  sertool predict -m run/ --channel each --pauses 0.4 --summary calls/ > calls.csv
  sertool predict -m run/ --window 3 -f srt calls/ -o subtitles/
  find . -name '*.wav' -print0 | sertool predict -m run/ -0 -f jsonl -
  sertool predict -m run/ features/manifest.parquet | sertool eval
  sertool predict -m run/ --adapt speaker --speakers parent-folder calls/
  sertool predict --adapt speaker --speakers all calls/
  sertool predict -m run/ --enroll anna/ --window 3 call.wav
  sertool predict -m run/ -m other-run/ features/manifest.parquet | sertool eval
  sertool predict -m run/ --speeds 0.95,1.05 calls/

\b
Columns:
  clip path start end   the clip by its name; its file (with -o relative to the table's folder where it
                        lies under it, else absolute); begin and end in seconds
  issue                 why there is no answer or, with --summary, why only a part of the recording could be judged,
                        such as truncated for a call that was cut off (see `sertool index --list`)
  predicted confidence  the most probable emotion and its probability
  p_EMOTION             the probability of every emotion
  predicted_DIMENSION   of a model of `train --dimensions`, in place of all of these: the value of each dimension, such
                        as predicted_arousal, in the scale of its training
  channel               from 1, with --channel left, right or each, or as the manifest says
  top                   with --top
  judged silent         with --summary: seconds that were judged, and silent ones; predicted is the emotion of the
  share_EMOTION         highest mean probability, and share_EMOTION how much of the judged time each emotion has
  speaker adapted       with --adapt or --enroll: who speaks, and how the model was adapted: enrolled,
                        transductive (by the very clips that are predicted), or all as one voice

Folders are searched at any depth, but not hidden ones in them, for WAV, FLAC, Ogg, MP3 and AIFF, and where ffmpeg is
installed for .m4a, .amr and others that have no sound of the same name beside them, and videos that have none
anywhere. Columns of a manifest that tell of speakers, emotions, listeners' votes and splits are kept; protocol says
how clips were divided, if the manifest tells, so that eval marks what is leaky. On a terminal a line shows the
emotion, its probability, start, end and path. Rows come in the order of the input, each as soon as it is known. A file
that cannot be read, or a folder without audio, gets a row with its issue, and the work goes on; if nothing that was
named exists, the exit code is 1, and -o writes no file.

A run's models answer together, but for the one of `train --final`, which -m run/final names; those of folds whose train
lacks an emotion give it no probability. For a clip of a manifest those answer that held the clip out. Clips that all of
them were trained on, and new clips of speakers they were trained on, have split train in the output, whatever the
manifest says, so that eval leaves them out. A single model file (base, tiny) goes by the published split that it was
trained on.

With a folder for -o, calls/2024/a.wav of `predict calls/` is answered in FOLDER/2024/a.csv, or a.wav.csv if there is an
a.flac beside it; recordings that lists and manifests name keep the path that they have below the working folder, or
their whole path. Answers that are there keep their names. All names are read before the first answer. Each file is
whole or absent. The same command again answers for recordings that are new or changed (with --adapt, for all of their
speakers') and leaves the rest. Answers by other models or options, and files that are not its own, are refused, never
replaced.

If a manifest points to shards with the features that the model takes, these are read in place of the audio, unless
--window, --pauses, --channel, --speeds or --trim needs sound; shards may be named themselves, too. --silence applies to
audio only. --strict ignores silent windows, and fails for a recording that is answered in part.
"""
FORMATS = ("csv", "tsv", "jsonl", "parquet", "table", "rttm", "srt", "audacity", "textgrid")
LONGEST_TURN = 5.0  # seconds
ANSWERS_FOR_ADAPT_HINT = 10  # answers from which on to mention that the model can adapt
STDIN = 0  # file descriptor
EXTENSIONS = {
    ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet",
    ".rttm": "rttm", ".srt": "srt", ".txt": "audacity", ".textgrid": "textgrid",
}  # fmt: skip


def _listening_options() -> Any:
    group = "Long audio"
    return options.stack(
        option("--window", type=options.Number(float, 0.05), metavar="SECONDS", group=group,
               help="Judge windows of this length rather than whole clips."),
        option("--hop", type=options.Number(float, 0.01), metavar="SECONDS", group=group,
               help="From the start of one window to the next. [default: the window]"),
        option("--pauses", type=options.Number(float, 0.1, 10), metavar="SECONDS", group=group,
               help="Judge turns rather than windows: what is said between pauses of at least this length, such as "
                    "0.4. Turns that are longer than --window are cut into equal parts [default: 5], and pauses are "
                    "rows with the issue silent. What counts as a pause follows from a file's loudest sound and its "
                    "noise, so each file is read before it is answered."),
        option("--merge", is_flag=True, group=group,
               help="Join neighbouring windows of one emotion into one row, as RTTM, SRT, TextGrid and Audacity's "
                    "labels always do."),
        option("--summary", is_flag=True, group=group,
               help="One row for each clip (and channel): how long was judged, the share of each emotion in that, and "
                    "mean probabilities."),
        option("--channel", type=click.Choice(["mix", "left", "right", "each"]), default="mix", show_default=True,
               group=group, help="Which channels of stereo audio are judged; each: every channel by itself, as in "
                         "calls with one speaker a side. Manifests may name a channel for each row, in the column "
                         "channel, from 1."),
        option("--silence", type=options.Number(float, -200, 0), default=-60.0, show_default=True, metavar="DBFS",
               group=group, help="Clips and windows of which no tenth of a second reaches this level (RMS, relative to "
                         "full scale) are silent and not judged."),
        option("--trim", type=options.Number(float, 1, 200), metavar="DB", group=group,
               help="Cut silent ends off each clip or window: frames this far below its loudest one. [default: as the "
                    "model says; for those of the package, 40]"),
    )  # fmt: skip


def _answer_options() -> Any:
    group = "Answers"
    return options.stack(
        option("--threshold", type=options.Number(float, 0, 1), default=0.0, metavar="SHARE", group=group,
               help="Predict no emotion where the best one is less probable than this."),
        option("--top", type=options.Number(int, 1), metavar="K", group=group,
               help="Add a column `top` with the K most probable emotions."),
        option("--speeds", type=options.Numbers(0.25, 4), default=(1.0,), metavar="X,Y,..", group=group,
               help="Play each clip at these speeds (pitch changes, too), such as 0.95,1.05, and average the answers: "
                    "often slightly more accurate, for as many times the work. [default: 1]"),
    )  # fmt: skip


def _speaker_options() -> Any:
    group = "Speakers"
    return options.stack(
        option("--adapt", type=click.Choice(["speaker"]), group=group,
               help="Normalise each speaker's clips by the mean and deviation of all of them: a speaker's answers "
                    "come once all of the speaker's clips are read."),
        option("--speakers", metavar="HOW", group=group,
               shell_complete=options.offering("all", "parent-folder", "speaker"),
               help="How speakers are told apart: parent-folder, a column of the manifest, a pattern such as "
                    "'{speaker}_{}.wav', or all: everyone on a channel counts as one voice, for recordings unlike "
                    "those of the model's training. [default: speaker]"),
        option("--enroll", type=click.Path(exists=True), metavar="DIR", group=group,
               help="Adapt by these clips instead, of one voice unless --speakers tells several apart; answers then "
                    "come at once, clip by clip."),
    )  # fmt: skip


def _run_options() -> Any:
    return options.stack(
        option("-m", "--model", "models", type=click.Path(), metavar="MODEL", multiple=True,
               shell_complete=options.offering(*shipped.names(), path="file"),
               help="A model file; a run's folder, whose models are averaged; or one of the package: base, tiny. "
                    "Several are averaged with equal weights. [default: base]"),
        option("--model-card", is_flag=True, help="Say what the model is and where it came from, and stop."),
        option("--weights", type=click.Path(), metavar="FILE",
               shell_complete=options.offering(shipped.DEFAULT, path="file"),
               help="Weights of the encoder that the model's features need, or base: those of the package's model. "
                    "[default: the package's, if the model needs those; else fetched once into $SERTOOL_CACHE or "
                    "~/.cache/sertool]"),
        option("--fold", type=options.Number(int, 0), metavar="K", help="Only the models of this fold of a run."),
        options.root, options.nul,
        options.out("Write to this file rather than to stdout; or, if it is a folder or ends in /, to a file for each "
                    "recording there.", either=True),
        option("-f", "--format", "kind", type=click.Choice(FORMATS),
               help="Format. [default: by the extension of -o, else CSV in a pipe or folder, and lines on a terminal]"),
        options.device, options.jobs, options.strict, options.wait, options.quiet, options.verbose,
    )  # fmt: skip


@click.command(cls=options.Command, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("paths", nargs=-1, type=click.Path(readable=False))  # what cannot be read gets a row
@options.stack(_listening_options(), _speaker_options(), _answer_options(), _run_options())
def command(paths: tuple[str, ...], **values: Any) -> int | None:
    """Predict the emotion of each clip in PATHS: audio files, folders, manifests, shards, or - for paths on stdin."""
    places = [shipped.place(name) for name in values["models"] or (None,)]
    if values["model_card"]:
        return _say_cards(places, values["fold"])
    sources = options.inputs(paths, "files, folders or a manifest", nul=values["null"])
    values["kind"] = _kind(values["out"], values["kind"])
    values["window"] = values["window"] or (LONGEST_TURN if values["pauses"] else None)
    _refuse_idle(values)
    from sertool.modelfiles import named_models
    from sertool.system import device

    runs = [named_models.models_in(place, values["fold"]) for place in places]
    _refuse_to_replace(values["out"], [*sources, values["enroll"], values["weights"], *chain(*runs)])
    answering = _answering(runs, values)
    inputs = _inputs(sources, answering, values, runs)
    with device.memory_kept():
        if _is_folder(values["out"]):
            count = _fill_folder(inputs, answering, values, runs)
        else:
            count = _write(inputs, answering, values["out"], sources)
    _say_what_adapting_may_bring(answering, count.rows)
    return count.said(strict=values["strict"])


def _refuse_idle(values: dict[str, Any]) -> None:
    """Refuse options without effect."""
    from sertool.predict.row_options import OF_TIME

    kind = values["kind"]
    for name in ("hop", "merge", "summary"):
        if values[name] and not values["window"]:
            raise UsageError(f"--{name} goes with --window" + " or --pauses" * (name != "hop"))
    if values["hop"] and values["pauses"]:
        raise UsageError("--hop is the step of windows, and --pauses cuts at pauses: leave out one of them")
    if values["summary"] and (values["merge"] or kind in OF_TIME):
        other = "--merge makes rows of segments" if values["merge"] else f"{kind} holds segments"
        raise UsageError(f"--summary makes one row of a clip, and {other}: leave out one of them")
    if values["wait"] and not _is_folder(values["out"]):
        raise UsageError("--wait is for another sertool that fills the same folder: it goes with -o FOLDER/")
    if values["top"] and kind in OF_TIME:
        raise UsageError(f"--top makes a column, and {kind} has no columns: leave it out, or take another format")
    if values["speakers"] and not (values["adapt"] or values["enroll"]):
        raise UsageError("--speakers goes with --adapt speaker or --enroll")


def _answering(runs: list[list[Path]], values: dict[str, Any]) -> Answering:
    """Load the models; return them with the options of how they answer."""
    from sertool.predict import ensemble, predicting
    from sertool.predict.answering import Answering
    from sertool.predict.row_options import RowOptions
    from sertool.predict.speaker_answers import SpeakerOptions
    from sertool.system import device, workers

    asked = ensemble.load(runs, device.pick(values["device"]), values["trim"], values["speeds"], values["weights"])
    how = options.part(predicting.PredictOptions, values)
    row_options = options.part(RowOptions, values)
    row_options.require_words(asked.kind)
    session = predicting.Session(asked, how, values["jobs"] or workers.cores())
    return Answering(session, row_options, options.part(SpeakerOptions, values))


def _inputs(sources: Sequence[str], answering: Answering, values: dict[str, Any], runs: list[list[Path]]) -> Inputs:
    """Open what was named; refuse clips that the format, or how speakers are told apart, does not allow."""
    from sertool.predict import heldout_members, predict_inputs, row_options, speaker_answers
    from sertool.predict.manifest_requests import Keeping

    enroll, kind = values["enroll"], values["kind"]
    inputs = predict_inputs.opened(
        sources,
        values["root"],
        answering.session.shelf(),
        nul=values["null"],
        keeping=Keeping(answering.speakers.names.column, answering.kind.columns),
        divide=partial(heldout_members.divided_by_models, runs=runs),
        root_is_shared=bool(enroll) and not os.path.isdir(enroll),
    )
    requests = inputs.requests
    if kind in row_options.OF_TIME:
        requests = predict_inputs.of_known_length(requests)
    if kind in row_options.OF_ONE_FILE and not _is_folder(values["out"]):
        requests = predict_inputs.of_one_file(requests)
    if naming := answering.speakers.naming():
        requests = speaker_answers.of_somebody(requests, naming)
    return inputs._replace(requests=requests)


def _write(inputs: Inputs, answering: Answering, out: str | None, sources: Sequence[str]) -> Count:
    """Write all answers to a file or stdout."""
    from sertool.predict import answer_files, row_stages

    kind, count, requests = answering.row_options.kind, answering.count(), inputs.requests
    if _is_watched(out, kind):
        watch = row_stages.Watch(sources, inputs.tables)
        rows = watch.shown(answering.rows(watch.counted(requests)))
    else:
        rows = answering.rows(requests)
    where = answer_files.AnswerFile(out, kind, inputs.tables)
    answer_files.write(count.counted(rows), answering.kind, answering.columns, where)
    return count


def _fill_folder(inputs: Inputs, answering: Answering, values: dict[str, Any], runs: list[list[Path]]) -> Count:
    """Write a file of answers for each recording that lacks one."""
    from sertool.predict import answer_folder

    made_by = answer_folder.makers(runs, values, answering.session.shelf())
    return answer_folder.write(
        inputs, answering, answer_folder.AnswerFolder(Path(values["out"]), made_by, values["wait"])
    )


def _is_watched(out: str | None, kind: str) -> bool:
    """Whether to show progress: not if rows are written to the terminal one by one, directly or through a pipe."""
    comes_by_row = out in (None, "-") and (talk.to_terminal() or (talk.to_pipe() and kind != "parquet"))
    return talk.shows_progress() and not comes_by_row


def _say_what_adapting_may_bring(answering: Answering, rows: int) -> None:
    """Warn if the clips are unfamiliar; else, at a terminal and with enough answers, mention adaptation."""
    session = answering.session
    if session.familiarity.lacking():
        talk.warn(
            "these clips sound unlike those that the model was trained on: other recordings or another language; "
            "--adapt speaker makes up for that, with --speakers all where nobody is named"
        )
    elif (
        session.ensemble.adapting is not None
        and not answering.speakers.adapts
        and rows >= ANSWERS_FOR_ADAPT_HINT
        and talk.shows_progress()
    ):
        talk.say(
            "the model can adapt to who speaks (--adapt speaker; --speakers all where nobody is named; --enroll); "
            "here it took everybody for a stranger"
        )


def _refuse_to_replace(out: str | None, sources: Iterable[str | Path | None]) -> None:
    """Refuse to write answers over a file that they are made from, which may be the only copy."""
    named = (STDIN if source == "-" else source for source in sources if source)
    present = (source for source in named if os.path.exists(source))
    if out and os.path.isfile(out) and any(os.path.samefile(out, source) for source in present):
        raise UsageError(f"-o {out} would write over what is asked about: take another name")


def _say_cards(places: list[Path], fold: int | None) -> None:
    from sertool.modelfiles import cards, modelfile, named_models

    for path in (path for place in places for path in named_models.models_in(place, fold)):
        model_file = modelfile.read(path)
        card = (shipped.card(path) or f"# {path}\n\n{cards.about(model_file)}") + cards.card(model_file)
        click.echo("\n".join(map(talk.clean, card.split("\n"))))


def _is_folder(out: str | None) -> TypeGuard[str]:
    """Whether -o names a folder: one that is there, or any by a slash at its end."""
    return out not in (None, "-") and (out.endswith(("/", os.sep)) or os.path.isdir(out))


def _kind(out: str | None, asked: str | None) -> str:
    """Return the format of answers, by -f, else by -o."""
    from sertool.manifests import manifest_io

    if _is_folder(out):
        if os.path.isfile(os.path.normpath(out)):
            raise UsageError(f"-o {out} ends in / as a folder does, and is a file: take another name")
        if asked == "table":
            raise UsageError("-f table is for terminals, and -o is a folder: choose another format")
        return asked or "csv"
    name = manifest_io.named_format(out, asked, EXTENSIONS)
    return name or ("table" if talk.to_terminal() else "csv")
