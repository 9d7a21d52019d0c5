"""Look at folders of audio and write a manifest with one row per clip."""

import shlex
from collections.abc import Iterator
from typing import Any

import click
from click.core import ParameterSource

from sertool import catalogue, options
from sertool.divisions import protocols
from sertool.divisions.protocols import PROTOCOLS
from sertool.errors import SertoolError, UsageError
from sertool.options import option
from sertool.system import talk

READING = (
    "corpus",
    "patterns",
    "tables",
    "group",
    "mapping",
    "parts",
    "corrections",
    "labels",
    "votes",
    "emotions",
    "where",
)
EPILOG = """\b
Examples:
  sertool index cremad/ -o clips.parquet
  sertool index corpora/ --split speaker:70/15/15 -o clips.parquet
  sertool index ravdess/ --protocol ravdess-emobox | sertool featurize --mel
  sertool index iemocap/ --map exc=happy --emotions angry,happy,neutral,sad -o four.parquet
  sertool index mine/ --pattern '{speaker}/{emotion}_{}.wav' -o mine.parquet
  sertool index mine/ --table labels.csv --map ps=surprise -f csv > mine.csv
  sertool index calls/ --table turns.rttm -o turns.parquet
  sertool index mine/ --table labels.csv --parts Test1=test,Test2=test -o mine.parquet
  sertool index corpora/ --update clips.parquet -o clips.parquet
  sertool index a.parquet b.parquet --where 'corpus=cremad|tess' -o both.parquet
  sertool index iemocap/ --where 'arousal>=3' -o active.parquet
  sertool index clips.parquet --correct fixes.csv -o clips.parquet
  sertool index cremad/ --correct speakers.csv -o clips.parquet
  sertool index --audit clips.parquet

Folders are searched for audio at any depth, but not hidden ones in them (.git); corpora that sertool knows are
recognised by their layout, with the tables of labels that lie among their files, and a folder for each emotion
(angry/, 05_sad/) labels its clips. Other audio needs --pattern, whose words in braces are columns of the manifest or
your own, or --table, with a column of paths (path, file, filename, wav ...), or of names (key, id, utterance), beside
them; a split may also be called partition, subset, set or split_set, and ratings arousal, valence and dominance also
EmoAct, EmoVal and EmoDom, activation, val or dom. Columns that are not ours are kept, and what describes files
(sample_rate, size, notes ...) is measured anew. --table indexes only the files in it; --correct keeps all clips, and
takes over what its tables say of some, known by their columns clip or path, such as another emotion; a table with a
column speaker instead, such as speaker and split, says it of all clips of these speakers. Manifests (Parquet, CSV, TSV,
JSON Lines) are merged. Input from a pipe is read to its end first.

Audio is WAV, FLAC, Ogg (Vorbis, Opus), MP3 and AIFF. Where the program ffmpeg is installed, it reads files of other
kinds, such as .m4a, .amr, .wma, .sph, .webm and the first sound of videos, and of other codecs, such as G.722 in WAV.
They are decoded whole into a temporary file (in TMPDIR, of some 12 MB a minute and channel at 48 kHz), which one that
would take more than half of the space there is not. In folders those are passed over that have a sound of the same
name beside them, and videos that have one anywhere, as many corpora hold both.
"""


def _input_options() -> Any:
    group = "Input"
    return options.stack(
        option("--corpus", metavar="NAME", group=group, shell_complete=options.offering(*catalogue.names("corpora")),
               help="Take the files for this corpus; with --pattern or --table any name of your own."),
        option("--pattern", "patterns", multiple=True, metavar="TEXT", group=group,
               help="How paths end, such as '{speaker}_{sentence}_{emotion}.wav'; {} is anything. Of several, the "
                    "first that a file matches reads it."),
        option("--table", "tables", multiple=True, metavar="[PART=]FILE", group=group,
               help="Labels by path: CSV, TSV, JSON Lines or Parquet, or RTTM, which tells who speaks when; PART is "
                    "train, dev or test."),
        option("--group", type=click.Choice(["parent-folder"]), group=group,
               help="Speakers are the folders that the files lie in, or those above a folder for each emotion."),
        option("--map", "mapping", multiple=True, metavar="FROM=TO,..", group=group,
               help="What labels or folders mean: ps=surprise,Wut=angry; furious=furious keeps a word of your own, and "
                    "X= means no emotion."),
        option("--parts", multiple=True, metavar="NAME=PART,..", group=group,
               help="What a split's names mean: Test1=test,Test2=dev; PART is train, dev or test. Clips of other names "
                    "are in no part."),
        option("--correct", "corrections", multiple=True, type=click.Path(), metavar="FILE", group=group,
               help="A table of what to correct of some clips, such as emotions, by clip or path, or of all clips of "
                    "some speakers, such as their split; others stay."),
        option("--labels", type=click.Choice(["intended", "perceived", "soft"]), default="intended", show_default=True,
               group=group, help="Emotions as acted, as most listeners heard them, or their votes' shares as well."),
        option("--votes", type=click.Choice(["voice", "face", "both"]), group=group,
               help="With --labels, what the listeners had: the voice alone, the face, or both. [default: voice]"),
        option("--emotions", type=options.Words(_emotions, usual=True), group=group,
               help="Keep only these emotions."),
        options.where,
        option("--check", type=click.Choice(["none", "header", "full"]), default="full", show_default=True, group=group,
               help="How closely files are looked at: not at all, their headers, or every sample."),
        option("--update", type=click.Path(), metavar="MANIFEST", group=group,
               help="Look only at files that are new or changed since. Its own --corpus to --emotions and --where "
                    "apply unless given again; speakers keep their split, clips what stands in columns of your own."),
        options.root, options.nul,
    )  # fmt: skip


def _split_options() -> Any:
    group = "Splits"
    return options.stack(
        option("--split", metavar="HOW", group=group, shell_complete=options.offering(*PROTOCOLS),
               help="speaker:70/15/15, sentence:80/20, speaker+sentence, or a protocol's name."),
        option("--folds", type=options.Number(int, 2, 1000), metavar="K", group=group,
               help="K folds that share no speaker."),
        option("--protocol", type=click.Choice([*PROTOCOLS]), group=group, metavar="NAME",
               help=f"A published split or set of folds: {', '.join(PROTOCOLS)}."),
        option("--audit", is_flag=True, group=group,
               help="Say whether speakers, equal or overlapping sounds, copies or sentences cross the splits; exit 1 "
                    "on a leak."),
        option("--strict-sentences", is_flag=True, group=group, help="With --audit: shared sentences are a leak too."),
    )  # fmt: skip


def _output_options() -> Any:
    return options.stack(
        options.out("Write the manifest to this file rather than to stdout."),
        options.manifest_format, options.seed_of_division, options.jobs, options.strict, options.dry_run,
        option("--list", "show_list", is_flag=True,
               help="Show the corpora that are recognised, the protocols, what the columns of a manifest and the words "
                    "in issue and notes mean, and stop."),
        options.quiet, options.verbose,
    )  # fmt: skip


def _emotions() -> list[str]:
    from sertool.manifests.labels import EMOTIONS

    return list(EMOTIONS)


@click.command(cls=options.Command, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("paths", nargs=-1, type=click.Path())
@options.stack(_input_options(), _split_options(), _output_options())
def command(paths: tuple[str, ...], **values: Any) -> int | None:
    """Look at the audio in PATHS and write a manifest; PATHS may be folders, audio files and manifests."""
    if values["show_list"]:
        return _show_list()
    from sertool.divisions import auditing, own_division, splitting
    from sertool.index import indexing
    from sertool.manifests import duplicates, manifest, manifest_io, provenance, speakers

    request = splitting.requested_division(values["split"], values["folds"], values["protocol"])
    reads_sources = paths or not values["tables"]
    old = manifest_io.read(values["update"]) if values["update"] else None
    values |= _options_of_manifest(old, values["update"]) if old is not None else {}
    _refuse_quarrels(values)
    kind = manifest_io.format_for(values["out"], values["kind"])
    given = options.inputs(paths, "a folder of audio or a manifest", nul=values["null"]) if reads_sources else ()
    sources = indexing.sort_sources(given, values["root"], nul=values["null"])
    index_options = _index_options(values, old)
    if values["dry_run"]:
        return _say_plan(sources, values["tables"])
    read, unseen, is_redivided = indexing.read(sources, index_options)
    if values["audit"]:
        return auditing.report(_choose_rows(read, values), strict_sentences=values["strict_sentences"])
    table = duplicates.released(_choose_rows(duplicates.marked(read), values))
    table = manifest.with_empty(table, "issue", "notes")  # for whatever reads them next
    seed = _seed(request, values["seed"])
    table = _divided(table, request, seed, old)
    reads_audio = sources.has_audio() or bool(values["tables"])
    protocol = own_division.protocol(old) if old is not None and request is None else None  # whose parts are kept
    if is_redivided and request is None:
        protocol = own_division.UNNAMED
    facts = {"reading" if reads_audio else "selection": _non_default_reading_options(values), "protocol": protocol}
    table = provenance.made_by(table, talk.command_line(), seed, read, **facts)
    _write(table, kind, values, paths)
    indexing.summary(table)
    speakers.warn_of_several_in_one(table)
    return indexing.exit_status(table, unseen, strict=values["strict"])


def _divided(table: Any, request: str | int | None, seed: int, old: Any) -> Any:
    """Return the table divided as asked for, else as the older manifest is."""
    from sertool.divisions import auditing, splitting
    from sertool.manifests import speakers

    if request is None:
        return table if old is None else splitting.divided_as(table, old)
    table = splitting.divided(table, request, seed, old)
    speakers.warn_of_like_names(table)
    auditing.warn_of_torn_recordings(table)
    return table


def _write(table: Any, kind: str, values: dict[str, Any], paths: tuple[str, ...]) -> None:
    """Write the manifest, unless the file of -o holds it already, which then only becomes no older than its sources."""
    from sertool.index import recorded_options, tables
    from sertool.manifests import manifest_io
    from sertool.system import files

    if not manifest_io.holds(values["out"], table, kind, recorded_options.told):
        return manifest_io.write(table, values["out"], kind)
    talk.say(f"{values['out']} is up to date")
    labels = (tables.part_and_file(spec)[1] for spec in values["tables"])
    return files.no_older(values["out"], [*paths, *labels, *values["corrections"], values["update"] or ""])


def _seed(request: str | int | None, seed: int) -> int:
    """Return the protocol's own seed, unless another was asked for."""
    usual = click.get_current_context().get_parameter_source("seed") is ParameterSource.DEFAULT
    own = protocols.named(request).seed
    return own if usual and own is not None else seed


def _reading_options() -> Iterator[tuple[str, click.Parameter]]:
    """Yield the options that say how audio is read and which of it is kept, each with its flag."""
    by_name = {parameter.name: parameter for parameter in click.get_current_context().command.params}
    return ((by_name[name].opts[0], by_name[name]) for name in READING)


def _non_default_reading_options(values: dict[str, Any]) -> dict[str, list[str]]:
    """Return these options where they differ from the defaults, with their arguments, for later updates."""
    from sertool.index import tables
    from sertool.system import paths

    held = {word: (asked, values[asked.name]) for word, asked in _reading_options()}
    recorded = {
        word: [*value] if asked.multiple else [value if isinstance(value, str) else ",".join(value)]
        for word, (asked, value) in held.items()
        if value not in (None, (), asked.default)
    }
    for word, with_absolute_path in (("--table", tables.with_absolute_path), ("--correct", paths.absolute)):
        if word in recorded:  # an update may run in another folder; - is its own pipe
            recorded[word] = [spec if spec == "-" else with_absolute_path(spec) for spec in recorded[word]]
    return recorded


def _options_of_manifest(old: Any, name: str) -> dict[str, Any]:
    """Return the options that the manifest of --update was made with, less those given on this command line.

    Without them an update would read every label anew, and differently.
    """
    from sertool.index import recorded_options

    context, asked = click.get_current_context(), dict(_reading_options())
    given = {word for word in asked if context.get_parameter_source(asked[word].name) is not ParameterSource.DEFAULT}
    given |= {"--votes"} if "--labels" in given else set()  # which describes the labels
    steps = recorded_options.recorded(old)
    arguments, contested = recorded_options.merged(steps)
    if differing := " and ".join(word for word in asked if word in contested - given):
        raise UsageError(
            f"--update {name}: the commands that made it differ in {differing}: update what each of them "
            f"made by itself, or give {differing} as well"
        )
    kept = {word: arguments[word] for word in asked if word not in given and arguments.get(word)}
    if kept:
        words = [part for word, held in kept.items() for argument in held for part in (word, argument)]
        talk.say(f"read as {name} was: {shlex.join(words)}")
    elif not steps.readings:
        talk.warn(f"{name} does not say what it was read with: labels are read as this command line says")
    return {
        asked[word].name: asked[word].type_cast_value(context, tuple(held) if asked[word].multiple else held[-1])
        for word, held in kept.items()
    }


def _refuse_quarrels(values: dict[str, Any]) -> None:
    """Refuse options that contradict each other."""
    words = [f"--{name}" for name in ("split", "folds", "protocol", "out", "update") if values[name] is not None]
    if values["audit"] and words:
        raise UsageError(f"--audit looks at a split that is there and writes nothing: leave out {' and '.join(words)}")
    if values["strict_sentences"] and not values["audit"]:
        raise UsageError("--strict-sentences goes with --audit")
    if values["votes"] and values["labels"] == "intended":
        raise UsageError("--votes goes with --labels perceived or --labels soft")


def _choose_rows(table: Any, values: dict[str, Any]) -> Any:
    """Return the rows and emotions that are asked for."""
    from sertool.index import indexing
    from sertool.manifests import row_filter

    if not len(table):
        raise SertoolError("nothing to index: what was read has no rows")
    if values["emotions"]:
        table = indexing.only_emotions(table, values["emotions"])
    return row_filter.choose(table, values["where"])


def _index_options(values: dict[str, Any], old: Any) -> Any:
    from sertool.index.indexing import IndexOptions
    from sertool.system import workers

    return IndexOptions(
        check=values["check"],
        jobs=values["jobs"] or workers.cores(),
        labelling=_labelling(values),
        corrections=values["corrections"],
        update=old,
        source=values["labels"],
        modality=values["votes"] or "voice",
    )


def _labelling(values: dict[str, Any]) -> Any:
    from sertool.index.labelling import Labelling
    from sertool.manifests import labels

    name, corpora = values["corpus"], catalogue.names("corpora")
    if name and name not in corpora:
        from difflib import get_close_matches

        if alike := get_close_matches(name.lower(), corpora, cutoff=0.75):
            raise UsageError(f"--corpus {name}: perhaps {alike[0]}? Those that are known are {', '.join(corpora)}")
    mapping = labels.parse_mapping(values["mapping"])
    parts = labels.parse_parts(values["parts"])
    return Labelling(name, values["patterns"], values["tables"], values["group"], mapping, parts)


def _say_plan(sources: Any, labels: tuple[str, ...]) -> None:
    from sertool.index import clips, tables

    listed_clips = clips.find(sources.roots, sources.files).clips
    listed_clips = tables.listed_clips(listed_clips, labels) if labels else listed_clips
    count, rows = len({clip.path for clip in listed_clips}), sum(map(len, sources.tables))
    talk.say(f"would look at {talk.counted(count, 'file')}" + (f" and read {rows:,} rows of manifests" if rows else ""))


def _show_list() -> None:
    rows = [
        (word, f["SPEAKERS"], f["CLIPS"], f["HOURS"], f["LANGUAGE"], f["LICENCE"], " ".join(f["EMOTIONS"]))
        for word, f in ((word, entry.facts) for word, entry in catalogue.entries("corpora").items())
    ]
    headers = ("corpus", "speakers", "clips", "hours", "language", "licence", "emotions")
    talk.table(headers, rows, right="speakers clips hours")
    talk.table(("protocol", "what it is"), [(name, protocol.title) for name, protocol in PROTOCOLS.items()])
    for kind, meanings in _meanings().items():
        talk.table((kind, "what it means"), meanings.items())
    talk.table(("emotion", "also called"), _emotion_words())


def _emotion_words() -> list[tuple[str, str]]:
    """Return each canonical emotion with the words that stand for it."""
    from sertool.manifests.labels import EMOTIONS, SYNONYMS

    return [(word, " ".join(other for other, emotion in SYNONYMS.items() if emotion == word)) for word in EMOTIONS]


def _meanings() -> dict[str, dict[str, str]]:
    """Return the meaning of each kind of word in a manifest."""
    from sertool.manifests.columns import ELSEWHERE, FAMILIES, ISSUES, MEANINGS, NOTES

    columns = {name: text for name, (_, text) in (MEANINGS | FAMILIES).items()}
    return {"column": columns | ELSEWHERE, "issue": ISSUES, "note": NOTES}
