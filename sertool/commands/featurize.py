"""Compute features of the clips in a manifest and store them in shards."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from sertool import catalogue, options, shipped
from sertool.errors import UsageError
from sertool.featurize import presets
from sertool.options import option
from sertool.system import talk
from sertool.system.files import listed

EPILOG = """\b
Examples:
  sertool index cremad/ | sertool featurize --mel
  sertool featurize clips.parquet --mel --mel-bands 64 -o features/
  sertool featurize clips.parquet --mfcc --rms --zcr --stats mean,std -o statistics/
  sertool featurize clips.parquet --pitch --rms --stats mean,std --values statistics.csv
  sertool featurize clips.parquet --preset imagenet -o features/
  sertool featurize clips.parquet --given egemaps=egemaps.csv | sertool train -m svm -o run/ | sertool eval
  sertool featurize clips.parquet --whisper base --layers 2-3 --stats mean,std -o layers/
  sertool featurize clips.parquet --mel --part 3/16 -o features/
  sertool featurize clips.parquet --mel -o features/ --verify 10
  sertool featurize calls/monday.wav --mel --pitch --plot monday.png

Input from a pipe is read to its end first. Shards and `manifest.parquet` lie in the folder of -o; the manifest also
goes to stdout. The same command again makes only what is missing.
"""
FEATURES = catalogue.entries("features")
ENCODERS = catalogue.entries("encoders")
WAVE = catalogue.read(catalogue.PACKAGE / "sound/shaping.py", "Wave").settings
WAVE_NAMES = [setting.name for setting in WAVE]
GIVEN = (
    "Features that another program made, stored as given or given_NAME (repeatable): a table (CSV, TSV, JSON Lines or "
    "Parquet) with a column of clips or paths and columns of numbers, in a row for each clip or, with a column start, "
    "for each frame or part; or .npz or .safetensors with an array for each clip. Clips without a row are set aside. "
    "--normalize and --stats apply to frames only."
)
# Settings for which one option serves all features that have them.
SHARED = {setting.name: setting for setting in FEATURES["mel"].settings if setting.name in (
    "n_fft", "hop", "win_length", "window", "center", "edges")}  # fmt: skip
# The same for pretrained encoders.
LAYERS = {setting.name: setting for setting in FEATURES["whisper"].settings if setting.name in ("layers", "precision")}


def _input_options() -> Any:
    return options.stack(options.where, options.root, options.nul)


def _feature_options() -> Any:
    """Return a flag for each file of `features/`; a feature of several kinds takes the kind as its value."""
    group = "Features"
    flags = [option(talk.option(name), f"want_{name}", group=group, **_kind_of_flag(entry))
             for name, entry in FEATURES.items()]  # fmt: skip
    return options.stack(*flags, option(
        "--preset", type=click.Choice(list(presets.PRESETS)), metavar="NAME", group=group,
        help="Features and settings of a published system, or of ours (see --list); other options override it."
    ))  # fmt: skip


def _kind_of_flag(entry: catalogue.Entry) -> dict[str, Any]:
    if "FROM_FILE" in entry.facts:
        files = options.offering(path="file")
        return {"multiple": True, "metavar": "[NAME=]FILE", "shell_complete": files, "help": GIVEN}
    kinds = [setting.choices for setting in entry.settings if setting.name == entry.facts.get("CHOICE")]
    value = {"type": click.Choice(kinds[0]), "metavar": "NAME"} if kinds else {"is_flag": True}
    return value | {"help": f"{entry.title}."}


def _shared_options() -> Any:
    """Return the options on the waveform, and those of all features."""
    wave = [options.setting(talk.option(setting.name), setting.name, setting, "Waveform") for setting in WAVE]
    frames = [options.setting(talk.option(name), name, setting, "Frames, of every feature that has such a setting")
              for name, setting in SHARED.items()]  # fmt: skip
    group = "Pretrained encoders"
    layers = [options.setting(talk.option(name), name, setting, group) for name, setting in LAYERS.items()]
    file = option(
        "--weights",
        type=click.Path(),
        metavar="FILE",
        shell_complete=options.offering(shipped.DEFAULT, path="file"),
        group=group,
        help="Weights of the encoder: a checkpoint, safetensors, a model file of `train --pack` (`train` then refuses "
        "to hold out speakers on whom that encoder was trained), or base: the package's model, four blocks of Whisper "
        "base trained to be robust to noise (--layers 0-4). [default: fetched once into $SERTOOL_CACHE or "
        "~/.cache/sertool]",
    )
    return options.stack(*wave, *frames, *layers, file)


def _row_options() -> Any:
    group = "Rows"
    normalizations, stats = (catalogue.keys("sound/shaping.py", name) for name in ("NORMALIZATIONS", "STATS"))
    return options.stack(
        option("--normalize", type=options.Words(lambda: normalizations), group=group,
               help=f"Normalise each clip's rows: {', '.join(normalizations)}, one after another; of pitch, the voiced "
                    "frames."),
        option("--stats", type=options.Words(lambda: stats), group=group,
               help=f"Keep only statistics over time: {', '.join(stats)} (per frame); of pitch, over voiced "
                    "frames. Kurtosis is 0 for a normal distribution and -3 for a constant."),
        option("--dtype", type=click.Choice(["float16", "float32"]), group=group,
               help="Type of the stored numbers. [default: as each feature needs; float32 for statistics]"),
    )  # fmt: skip


def _setting_options() -> Any:
    """Return an option for each setting of each feature."""
    return options.stack(*(
        options.setting(talk.option(f"{name}_{setting.name}"), f"{name}_{setting.name}", setting, _title(name))
        for name, entry in FEATURES.items() for setting in entry.settings if setting.name != entry.facts.get("CHOICE")
    ))  # fmt: skip


def _title(name: str) -> str:
    return f"Settings of {talk.option(name)} (any of them asks for it)"


def _run_options() -> Any:
    return options.stack(
        options.out("Folder for the shards and manifest.parquet. [default: features]", folder=True),
        options.stdout_format,
        options.device, options.jobs,
        options.seed,
        option("--part", metavar="K/N",
               help="Make only the k-th of n shares of the shards, for job arrays; a shard has 1,024 clips or fewer."),
        option("--values", type=click.Path(dir_okay=False), metavar="FILE",
               help="With --stats, write them as a table, too: a row for each clip, a column for each statistic. The "
                    "name says the format: .csv, .tsv, .jsonl or .parquet."),
        option("--overwrite", is_flag=True,
               help="Replace shards made with other settings, and shards and a manifest of other clips."),
        option("--verify", type=options.Number(int, 1), metavar="N",
               help="Compute N clips again the slow way, and say how well the shards agree."),
        option("--plot", type=click.Path(dir_okay=False), metavar="PNG",
               help="Draw the first clip and its features, and store nothing."),
        option("--list", "show_list", is_flag=True, help="Show all features, encoders and presets, and stop."),
        options.strict, options.dry_run, options.wait, options.quiet, options.verbose,
    )  # fmt: skip


@click.command(cls=options.Command, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("manifests", nargs=-1, type=click.Path())
@options.stack(_input_options(), _feature_options(), _shared_options(), _row_options(), _setting_options(),
               _run_options())  # fmt: skip
def command(manifests: tuple[str, ...], **values: Any) -> int | None:
    """Compute features of the clips in MANIFESTS (or stdin, or audio files) and store them in shards."""
    if values["show_list"]:
        return _show_list()
    values = _with_preset(values)
    requested = _requested(values)
    sources = options.inputs(manifests, "a manifest", nul=values["null"])
    _refuse_quarrels(values)
    from sertool import features
    from sertool.drawings import plots
    from sertool.featurize import engine, featurizing, given_rows
    from sertool.index import indexing
    from sertool.manifests import manifest_io, provenance
    from sertool.manifests.row_filter import choose
    from sertool.system import device, files, workers

    kind, picked = manifest_io.format_for(None, values["kind"]), device.pick(values["device"])
    extraction = _extraction(values, [name for name in requested if "FROM_FILE" not in FEATURES[name].facts])
    to_fetch = features.to_fetch(extraction.features) if values["dry_run"] else []
    if not to_fetch:
        extraction = engine.checked(extraction, picked)
    featurizing.warn_of_empty_bands(extraction)
    jobs = values["jobs"] or workers.cores()
    index_options = indexing.IndexOptions(jobs=jobs)
    read, unseen, _ = indexing.read(indexing.sort_sources(sources, values["root"], nul=values["null"]), index_options)
    chosen = {"--where": [*values["where"]]} if values["where"] else None
    table = choose(read, values["where"])
    extraction = given_rows.with_given(extraction, values["want_given"], table)
    _refuse_idle_steps(extraction)
    table = provenance.made_by(table, talk.command_line(), values["seed"], read, selection=chosen)
    featurizing.warn_of_channels(table, extraction)
    place = featurizing.ShardFolder(
        Path(values["out"] or "features"), featurizing.Part.parse(values["part"]), values["overwrite"], values["wait"]
    )
    if to_fetch:
        return talk.say(f"would fetch {listed(to_fetch)}, and make features of {talk.counted(len(table), 'clip')}")
    if values["plot"]:
        return plots.first(table, extraction, Path(values["plot"]), dry=values["dry_run"])
    if values["dry_run"]:
        return talk.say(featurizing.describe(table, extraction, place))
    table = featurizing.run(table, extraction, place, picked, jobs)
    _add_reports(table, extraction, place, values)
    for written in (place.manifest, values["values"] or ""):
        files.no_older(written, [*manifests, *(given_rows.parsed(spec)[1] for spec in values["want_given"])])
    manifest_io.write(table, None, kind)
    return indexing.exit_status(table, unseen, strict=values["strict"])


def _add_reports(table: Any, extraction: Any, place: Any, values: dict[str, Any]) -> None:
    """Add the reports of --verify and --values on the features."""
    from sertool.featurize import clip_statistics, verify

    if values["verify"]:
        verify.report(verify.verify(table, extraction, values["verify"], values["seed"]), place.verdicts)
    if values["values"]:
        clip_statistics.write(table, list(extraction.features), values["values"])


def _refuse_quarrels(values: dict[str, Any]) -> None:
    """Refuse options that would change nothing, and a table of statistics that would be empty or incomplete."""
    passed_over = {"out": "--out", "kind": "--format", "part": "--part", "values": "--values", "verify": "--verify",
                   "overwrite": "--overwrite"}  # fmt: skip
    idle = [word for name, word in passed_over.items() if values[name]]
    if values["plot"] and idle:
        raise UsageError(f"--plot draws and stops: leave out {' and '.join(idle)}")
    if values["want_given"] and (idle := [f"--{name}" for name in ("plot", "verify") if values[name]]):
        raise UsageError(f"{' and '.join(idle)} computes features of sound: leave out --given")
    if not values["values"]:
        return
    from sertool.featurize import clip_statistics

    clip_statistics.format_of(values["values"])
    if not values["stats"]:
        raise UsageError(f"--values {values['values']} has a row for each clip, so it needs --stats, such as mean,std")
    if values["part"]:
        raise UsageError("--values does not go with --part: ask once more without it when all parts are made")


def _show_list() -> None:
    rows = [
        (talk.option(name), entry.facts["DTYPE"], len(entry.settings), entry.title) for name, entry in FEATURES.items()
    ]
    talk.table(("feature", "stored as", "settings", "what it is"), rows, right="settings")
    headers = ("pretrained encoder", "parameters", "download", "layers", "width", "licence")
    talk.table(headers, _encoders(), right="parameters download layers width")
    talk.table(("encoder", "publication"), _publications().items())
    rows_of_presets = [(f"--preset {name}", preset["about"]) for name, preset in presets.PRESETS.items()]
    talk.table(("preset", "what it is"), rows_of_presets)


def _encoders() -> Iterator[tuple[object, ...]]:
    """Yield a line for each pretrained encoder, beginning with its option."""
    for family, entry in ENCODERS.items():
        for name, facts in entry.facts["SIZES"].items():
            yield (
                f"{talk.option(family)} {name}", f"{facts['parameters'] / 1e6:,.1f} M", f"{facts['megabytes']:,} MB",
                facts["layers"], facts["width"], entry.facts["LICENCE"],
            )  # fmt: skip


def _publications() -> dict[str, str]:
    """Return the publications to cite, by encoders."""
    names_of: dict[str, list[str]] = {}
    for family, entry in ENCODERS.items():
        for name, facts in entry.facts["SIZES"].items():
            text = facts.get("citation") or entry.facts["CITATION"]
            names_of.setdefault(text, []).append(name if "citation" in facts else family)
    return {", ".join(dict.fromkeys(names)): text for text, names in names_of.items()}


def _with_preset(values: dict[str, Any]) -> dict[str, Any]:
    """Return the options, with those of `--preset` where the command line says nothing."""
    if not values["preset"]:
        return values
    preset = presets.PRESETS[values["preset"]]
    settings = {name: value for name, value in preset["options"].items() if values[name] is None}
    flags = {f"want_{name}": True for name in preset["features"] if not values[f"want_{name}"]}
    return values | flags | settings


def _requested(values: dict[str, Any]) -> list[str]:
    """Return the features asked for, by their flag or by one of their settings."""
    requested = [name for name, entry in FEATURES.items() if values[f"want_{name}"] or _own(values, name, entry)]
    if not requested:
        raise UsageError(
            f"no feature is asked for: choose among {', '.join(map(talk.option, FEATURES))}, or a --preset"
        )
    if "wave" in requested and (values["normalize"] or values["stats"]):
        raise UsageError("--normalize and --stats are not for --wave: make it in a run of its own")
    if idle := [talk.option(name) for name in WAVE_NAMES if values[name] is not None and requested == ["given"]]:
        raise UsageError(f"{listed(idle)}: nothing is computed of sound: leave it out")
    if requested == ["wave"] and values["dtype"]:
        raise UsageError("--dtype is not for --wave, whose samples are kept as 16 bits")
    return requested


def _own(values: dict[str, Any], name: str, entry: catalogue.Entry) -> dict[str, Any]:
    """Return what the options say on a feature's own settings."""
    choice = entry.facts.get("CHOICE")
    own = {setting.name: values[f"want_{name}" if setting.name == choice else f"{name}_{setting.name}"]
             for setting in entry.settings}  # fmt: skip
    return {setting: value for setting, value in own.items() if value is not None}


def _refuse_idle_steps(extraction: Any) -> None:
    """Refuse --normalize and --stats if no feature has rows over time."""
    idle = [f"--{step}" for step in ("normalize", "stats") if getattr(extraction, step)]
    if idle and not any(any(extraction.steps(name)) for name in extraction.features):
        raise UsageError(f"{' and '.join(idle)}: each clip has one row in the file of --given: leave it out")


def _refuse_idle(values: dict[str, Any], requested: list[str]) -> None:
    """Refuse frame settings that no chosen feature has, and settings in decibels unless mel bands are in decibels."""
    had = {setting.name for name in requested for setting in FEATURES[name].settings}
    idle = [talk.option(name) for name in SHARED if values[name] is not None and name not in had]
    if idle:
        features = listed(map(talk.option, requested))
        raise UsageError(f"{idle[0]} changes nothing of {features}: leave it out, or see their settings in --help")
    for name in ("mel_ref", "mel_top_db"):
        if values[name] is not None and values["mel_scale"] not in (None, "db"):
            raise UsageError(f"{talk.option(name)} goes with --mel-scale db, not {values['mel_scale']}: leave it out")


def _extraction(values: dict[str, Any], requested: list[str]) -> Any:
    from sertool import features
    from sertool.featurize.extraction import Extraction
    from sertool.networks import weights

    encoded = [name for name in requested if features.encoded(name)]
    if not encoded and any(values[name] for name in LAYERS):
        raise UsageError(
            f"{' and '.join(map(talk.option, LAYERS))} are for pretrained encoders, such as --whisper base"
        )
    if values["weights"] and len(encoded) != 1:
        raise UsageError("--weights is for one pretrained encoder: ask for one in a run, such as --whisper base")
    weights.use_file(values["weights"])
    _refuse_idle(values, requested)
    if values["fit"] is not None and values["seconds"] is None:
        raise UsageError(f"--fit {values['fit']} goes with --seconds: without it all of a clip is kept")
    return Extraction.of_options(requested, values)
