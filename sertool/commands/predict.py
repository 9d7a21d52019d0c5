"""Predict the emotion of audio files, folders and calls with a trained model."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import click

from sertool import options, shipped, talk
from sertool.errors import SertoolError, UsageError
from sertool.options import option

EPILOG = """\b
Examples:
  sertool predict clip.wav calls/
  sertool predict -m run/ calls/ > emotions.csv
  sertool predict -m run/ clip.wav
  sertool predict -m run/ --window 3 --hop 1 call.wav
  sertool predict -m run/ --window 3 --hop 1 --merge -f srt call.wav -o call.srt
  sertool predict -m run/ --channel each --window 3 --merge calls/
  find . -name '*.wav' -print0 | sertool predict -m run/ -0 -f jsonl -
  sertool predict -m run/ features/manifest.parquet | sertool eval
  sertool predict -m run/ --adapt speaker --speakers parent-folder calls/
  sertool predict --adapt speaker --speakers all calls/
  sertool predict -m run/ --enroll anna/ --window 3 call.wav
  sertool predict -m run/ -m other-run/ features/manifest.parquet | sertool eval
  sertool predict -m run/ --speeds 0.95,1.05 calls/

\b
Columns:
  clip path start end   what was judged, as it was asked for; its file (in a table of -o relative to
                        the table's folder where it lies under it, else absolute); seconds
  issue                 why there is no answer (see `sertool index --list`)
  predicted confidence  the most probable emotion and its probability
  p_EMOTION             the probability of every emotion
  channel               from 1, with --channel left, right or each, or as the manifest says
  top                   with --top
  speaker adapted       with --adapt or --enroll: whose voice, and whether enrolled,
                        transductive (by the clips that are asked for), or all as one voice

Of a manifest, what it says of speakers, emotions, listeners' votes and splits is kept. On a terminal a line shows the
emotion, its probability, start, end and path. Answers come in the order of what is asked, each as soon as it is known.
A file that cannot be read gets a row with its issue, and the work goes on; where nothing that was named is there, the
exit code is 1. A run answers for a clip of a manifest with those of its models that held the clip out; clips that all
of them were trained on are marked in the column split, so that eval leaves them out; of a model alone, as base and tiny
are, by the published split that divided it. Where a manifest points to shards that were made as the model hears, they
are read and not the audio, unless --window, --channel, --speeds or --trim asks for sound; so may shards themselves be.
--silence is of audio only. To --strict, a silent window is none that was set aside.
"""
LONG = 30.0  # seconds
FORMATS = ("csv", "tsv", "jsonl", "parquet", "table", "rttm", "srt", "textgrid")
EXTENSIONS = {
    ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet",
    ".rttm": "rttm", ".srt": "srt", ".textgrid": "textgrid",
}  # fmt: skip


def _listening_options() -> Any:
    group = "Long audio"
    return options.stack(
        option("--window", type=options.Number(float, 0.05), metavar="SECONDS", group=group,
               help="Judge windows of this length rather than whole clips."),
        option("--hop", type=options.Number(float, 0.01), metavar="SECONDS", group=group,
               help="From one window to the next. [default: the window]"),
        option("--merge", is_flag=True, group=group,
               help="Neighbouring windows of one emotion as one row; in RTTM, SRT and TextGrid they always are."),
        option("--channel", type=click.Choice(["mix", "left", "right", "each"]), default="mix", show_default=True,
               group=group, help="What of stereo audio is judged: calls often have a speaker on each. Rows of "
                         "manifests may say it themselves, in the column channel, from 1."),
        option("--silence", type=options.Number(float, -200, 0), default=-60.0, show_default=True, metavar="DBFS",
               group=group, help="What is below this level, in dB under full scale, is silent and not judged."),
        option("--trim", type=options.Number(float, 1, 200), metavar="DB", group=group,
               help="Leave silent ends out of each clip or window: what lies so far below its loudest frame. "
                    "[default: as the model says; those of the package, 40]"),
    )  # fmt: skip


def _answer_options() -> Any:
    group = "Answers"
    return options.stack(
        option("--threshold", type=options.Number(float, 0, 1), default=0.0, metavar="SHARE", group=group,
               help="Answer nothing where the best emotion is less probable than this."),
        option("--top", type=options.Number(int, 1), metavar="K", group=group,
               help="A column `top` with the K most probable emotions."),
        option("--speeds", type=options.Numbers(0.25, 4), default=(1.0,), metavar="X,Y,..", group=group,
               help="Hear each clip as from a tape at these speeds, such as 0.95,1.05, and answer with the mean: "
                    "often right a little more often, for as many times the work. [default: 1]"),
    )  # fmt: skip


def _speaker_options() -> Any:
    group = "Speakers"
    return options.stack(
        option("--adapt", type=click.Choice(["speaker"]), group=group,
               help="Scale each speaker's clips by what they have in common; all of a speaker's are heard before the "
                    "first is answered."),
        option("--speakers", metavar="HOW", group=group,
               shell_complete=options.offering("all", "parent-folder", "speaker"),
               help="Whose voice it is: parent-folder, a column of the manifest, a pattern such as '{speaker}_{}.wav', "
                    "or all: one voice (on each channel), for recordings of another kind than the model knows. "
                    "[default: speaker]"),
        option("--enroll", type=click.Path(exists=True), metavar="DIR", group=group,
               help="Adapt by these clips instead, of one voice or named by --speakers, and answer as clips come."),
    )  # fmt: skip


def _run_options() -> Any:
    return options.stack(
        option("-m", "--model", "models", type=click.Path(), metavar="MODEL", multiple=True,
               shell_complete=options.offering(*shipped.names(), path="file"),
               help="A model file; a run's folder, whose models are averaged; or one of the package: base, tiny. "
                    "Several are averaged, each counting alike. [default: base]"),
        option("--model-card", is_flag=True, help="Say what the model is and where it came from, and stop."),
        option("--weights", type=click.Path(), metavar="FILE",
               shell_complete=options.offering(shipped.DEFAULT, path="file"),
               help="Weights of the encoder that the model's features need, or base: those of the package's model. "
                    "[default: the package's, where they are the ones; else fetched once into $SERTOOL_CACHE or "
                    "~/.cache/sertool]"),
        option("--fold", type=options.Number(int, 0), metavar="K", help="Only the models of this fold of a run."),
        options.root, options.nul,
        options.out("Write to this file rather than to stdout."),
        option("-f", "--format", "kind", type=click.Choice(FORMATS),
               help="Format [default: by the extension of -o, else CSV in a pipe and lines on a terminal]."),
        options.device, options.jobs, options.strict, options.quiet, options.verbose,
    )  # fmt: skip


@click.command(cls=options.Command, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("paths", nargs=-1, type=click.Path())
@options.stack(_listening_options(), _speaker_options(), _answer_options(), _run_options())
def command(paths: tuple[str, ...], **values: Any) -> int | None:
    """Predict the emotion of each clip in PATHS: audio files, folders, manifests, shards, or - for paths on stdin."""
    places = [shipped.place(name) for name in values["models"] or (None,)]
    if values["model_card"]:
        return _say_cards(places, values["fold"])
    for name in ("hop", "merge"):
        if values[name] and not values["window"]:
            raise UsageError(f"--{name} goes with --window")
    sources = options.inputs(paths, "files, folders or a manifest", nul=values["null"])
    kind = _kind(values)
    from sertool import (
        answer_files,
        device,
        heldout_members,
        named_models,
        predict_inputs,
        predicting,
        segments,
        speaker_answers,
        workers,
    )

    runs = [named_models.models_in(place, values["fold"]) for place in places]
    jury = _jury(runs, values)
    listener = predicting.Listener(jury, options.part(predicting.Listening, values), values["jobs"] or workers.cores())
    read: list[Any] = []  # manifests
    also = speaker_answers.column(values["speakers"])
    told = partial(_noted, read=read, told=partial(heldout_members.told, runs=runs))
    asked = predict_inputs.asked(sources, values["root"], listener.shelf(), nul=values["null"], also=also, told=told)
    rows = _watched(_answers(listener, asked, values), sources, read, values)
    if values["merge"] or kind in ("rttm", "srt", "textgrid"):
        rows = segments.merged(rows, jury.labels)
    if values["window"]:
        rows = _lasting(rows)
    count = _Count(whole=not values["window"])
    with device.memory_kept():
        known = _with_top(rows, jury.labels, values["top"])
        extra = [name for name, asked in (("channel", values["channel"] != "mix"), ("top", values["top"])) if asked]
        answer_files.write(count.over(known), jury.labels, extra, answer_files.Place(values["out"], kind, read))
    return count.said(strict=values["strict"])


def _say_cards(places: list[Path], fold: int | None) -> None:
    from sertool import cards, modelfile, named_models

    for path in (path for place in places for path in named_models.models_in(place, fold)):
        click.echo((shipped.card(path) or f"# {path}\n\n") + cards.card(modelfile.read(path)))


def _noted(table: Any, read: list[Any], told: Any) -> Any:
    """A manifest told more of, after it was noted as read."""
    read.append(table)
    return told(table)


def _jury(runs: list[list[Path]], values: dict[str, Any]) -> Any:
    """All who answer, of each run that was named."""
    from sertool import device, stretching
    from sertool.inference import Predictor
    from sertool.jury import Jury

    speeds = [*map(stretching.ratio, values["speeds"])]
    picked, models = device.pick(values["device"]), [path for run in runs for path in run]
    _give_weights(values["weights"], models)
    return Jury([Predictor.load(path, picked, values["trim"]) for path in models], [*map(len, runs)], speeds)


def _give_weights(file: str | None, models: list[Path]) -> None:
    from sertool import modelfile, packing, weights

    weights.give(file)
    if file and not any(packing.lacks_encoder(modelfile.read(path)) for path in models):
        raise UsageError(f"--weights {file}: the model brings what its features need: leave it out")


def _answers(listener: Any, asked: Iterator[Any], values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows for all alike or, if that was asked for, adapted to who speaks."""
    from sertool import speaker_answers

    if values["adapt"] or values["enroll"]:
        return speaker_answers.answers(listener, asked, values["speakers"], values["enroll"])
    if values["speakers"]:
        raise UsageError("--speakers goes with --adapt speaker or --enroll")
    if any(member.scaling.adapts for member in listener.jury.members):
        talk.say("the model can adapt to who speaks (--adapt speaker; --speakers all where nobody is named; --enroll); "
                 "now it takes everybody for a stranger")  # fmt: skip
    return listener.answers(asked)


def _watched(
    rows: Iterator[dict[str, Any]], sources: Sequence[str], read: Sequence[Any], values: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """The rows with progress on the terminal, unless they go there themselves; of how many, where that is known."""
    if values["out"] in (None, "-") and talk.to_terminal():
        yield from rows
        return
    first = list(islice(rows, 1))  # manifests are read by then
    one_each = not values["window"] and values["channel"] != "each"
    total, unit = (_expected(sources, read), "clip") if one_each else (None, "answer")
    yield from talk.progress(chain(first, rows), total, "predicting", unit)


def _expected(sources: Sequence[str], read: Sequence[Any]) -> int | None:
    """How many clips there are, once manifests are read; unknown with folders, or paths from a pipe."""
    others = len(sources) - len(read)
    return sum(map(len, read)) + others if not others or all(map(os.path.isfile, sources)) else None


def _kind(values: dict[str, Any]) -> str:
    from sertool import wire

    named = wire.named_format(values["out"], values["kind"], EXTENSIONS)
    return named or ("table" if talk.to_terminal() else "csv")


class _Count:
    """How many rows went by, and how many without an answer; of `whole` clips, how many answers are for a long one; of
    windows, how many are silent, which is no fault of theirs."""

    def __init__(self, *, whole: bool) -> None:
        self.rows, self.issues, self.vanished, self.long, self.whole = 0, 0, 0, 0, whole
        self.pauses = 0
        self.first: dict[str, Any] = {}  # window of what is being judged

    def over(self, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        from sertool import predicting

        for row in rows:
            self.rows += 1
            is_pause = not self.whole and "end" in row and self._is_pause(row)
            self.pauses += is_pause
            self.issues += bool(row.get("issue")) and not is_pause
            self.vanished += row.get("issue") == "vanished"
            answered = self.whole and bool(row.get("predicted")) and "end" in row
            self.long += answered and LONG < row["end"] - (row["start"] or 0.0) <= predicting.LONG  # else it was said
            yield row

    def _is_pause(self, row: dict[str, Any]) -> bool:
        """Whether a window of a healthy call may be so; what is too short from its beginning has no other windows."""
        if row["clip"] != self.first.get("clip"):
            self.first = row
        return row.get("issue") == "silent" or (row.get("issue") == "too-short" and row["start"] > self.first["start"])

    def said(self, *, strict: bool) -> int | None:
        aside = f", {self.issues:,} set aside (column issue)" if self.issues else ""
        pauses = f", {self.pauses:,} silent" if self.pauses else ""
        talk.say(f"{talk.counted(self.rows, 'row')}{aside}{pauses}")
        if self.long:
            answers = "1 answer is" if self.long == 1 else f"{self.long:,} answers are"
            talk.say(f"{answers} for more than {LONG:g} s of sound: --window 3 answers part by part")
        if self.rows and self.vanished == self.rows:
            raise SertoolError("nothing of what was asked for is there")
        return 1 if strict and self.issues else None


def _lasting(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Windows of what had a duration, each with its own."""
    for row in rows:
        lasts = round(row["end"] - row["start"], 3) if "end" in row else None
        yield row | {"duration": lasts} if "duration" in row else row


def _with_top(rows: Iterator[dict[str, Any]], labels: list[str], top: int | None) -> Iterator[dict[str, Any]]:
    for row in rows:
        if top and row.get("confidence") is not None:
            best = sorted(labels, key=lambda label: -row[f"p_{label}"])[:top]
            row["top"] = ", ".join(f"{label} {row[f'p_{label}']:.2f}" for label in best)
        yield row
