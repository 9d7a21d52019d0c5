"""Compute features of the clips in a manifest and store them in shards."""

from pathlib import Path
from typing import Any

import click

from sertool import catalogue, options, talk
from sertool.errors import SertoolError, UsageError
from sertool.options import option
from sertool.presets import PRESETS

EPILOG = """\b
Examples:
  sertool index cremad/ | sertool featurize --mel
  sertool featurize clips.parquet --mel --mel-bands 64 -o features/
  sertool featurize clips.parquet --mfcc --rms --zcr --stats mean,std -o statistics/
  sertool featurize clips.parquet --preset imagenet -o features/
  sertool featurize clips.parquet --mel --part 3/16 -o features/
  sertool featurize clips.parquet --mel -o features/ --verify 10
  sertool featurize calls/monday.wav --mel --pitch --plot monday.png

Input from a pipe is read to its end first. Shards and `manifest.parquet` lie in the folder of -o; the manifest
also goes to stdout unless that is a terminal. The same command again makes only what is missing.
"""
KINDS: dict[str, Any] = {"int": int, "float": float, "str": str}
SHARED = {
    "n_fft": (int, "Samples in a frame, for every feature that has frames."),
    "hop": (int, "Samples from one frame to the next, likewise."),
    "win_length": (int, "Samples under the window, likewise."),
    "window": (click.Choice(["hann", "hamming", "blackman", "ones"]), "Window over a frame, likewise."),
}


def _feature_options() -> Any:
    """A flag for each feature, and an option for each of its settings, from the files of `features/`."""
    made = []
    for name, entry in catalogue.entries("features").items():
        word = name.replace("_", "-")
        made.append(option(f"--{word}", f"want_{name}", is_flag=True, group="Features", help=f"{entry.title}."))
    for name, entry in catalogue.entries("features").items():
        made += [_setting_option(name, setting) for setting in entry.settings]
    return options.stack(*made)


def _setting_option(feature: str, setting: catalogue.Setting) -> Any:
    word = f"--{feature}-{setting.name}".replace("_", "-")
    group, text = f"Settings of --{feature.replace('_', '-')}", setting.help
    shown = "" if setting.default is None else f" [default: {str(setting.default).lower()}]"
    if setting.kind == "bool":
        both = f"{word}/--no-{feature}-{setting.name}".replace("_", "-")
        return option(both, f"{feature}_{setting.name}", default=None, group=group, help=f"{text}{shown}")
    kind = click.Choice(setting.choices) if setting.kind == "choice" else KINDS[setting.kind]
    return option(word, f"{feature}_{setting.name}", type=kind, default=None, group=group, help=f"{text}{shown}")


def _shared_options() -> Any:
    made = [
        option("--" + name.replace("_", "-"), name, type=kind, default=None, group="Frames", help=text)
        for name, (kind, text) in SHARED.items()
    ]
    center = option("--center/--no-center", "center", default=None, group="Frames",
                    help="Centre frames on their time, likewise.")  # fmt: skip
    return options.stack(*made, center)


def _wave_options() -> Any:
    group = "Waveform"
    return options.stack(
        option("--rate", type=click.IntRange(1000, 384_000), default=None, group=group,
               help="Sample rate in Hz; the audio is resampled to it. [default: 16000]"),
        option("--channels", type=click.Choice(["mono", "left", "stereo"]), default=None, group=group,
               help="Mean of the channels, the left one, or two (a mono file's is copied). [default: mono]"),
        option("--remove-dc/--keep-dc", default=None, group=group, help="Subtract the clip's mean."),
        option("--trim", type=click.FloatRange(min=0, min_open=True), metavar="DB", default=None, group=group,
               help="Drop silent ends: what lies this far below the loudest frame."),
        option("--offset", type=click.FloatRange(min=0), metavar="SECONDS", default=None, group=group,
               help="Skip this much at the start."),
        option("--seconds", type=click.FloatRange(min=0, min_open=True), default=None, group=group,
               help="Cut or pad with zeros to this length."),
        option("--fit", type=click.Choice(["start", "middle", "random"]), default=None, group=group,
               help="Which part --seconds keeps, and where it pads. [default: start]"),
    )  # fmt: skip


def _row_options() -> Any:
    group = "Rows"
    normalizations = options.Words(lambda: list(catalogue.keys("shaping.py", "NORMALIZATIONS")))
    stats = options.Words(lambda: list(catalogue.keys("shaping.py", "STATS")))
    return options.stack(
        option("--normalize", type=normalizations, default=None, group=group,
               help="Normalise each clip's rows: " + ", ".join(normalizations.choices()) + ", one after another."),
        option("--stats", type=stats, default=None, group=group,
               help="Keep only statistics over time: " + ", ".join(stats.choices()) + "."),
        option("--dtype", type=click.Choice(["float16", "float32"]), default=None, group=group,
               help="Type of the stored numbers (default: as each feature needs; float32 for statistics)."),
        option("--preset", type=click.Choice(sorted(PRESETS)), group="Features",
               help="Features and settings of a published system; options given as well win."),
    )  # fmt: skip


def _run_options() -> Any:
    return options.stack(
        options.where,
        options.root,
        options.nul,
        options.out("Folder for the shards and manifest.parquet. [default: features]", folder=True),
        options.wire_format,
        option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True,
               help="Where to compute."),
        options.jobs,
        options.seed,
        option("--part", metavar="K/N", help="Make only the k-th of n shares, for job arrays."),
        option("--overwrite", is_flag=True, help="Replace shards made with other settings or of other clips."),
        option("--verify", type=click.IntRange(min=1), metavar="N",
               help="Compute N clips again the slow way, and say how well the shards agree."),
        option("--plot", type=click.Path(dir_okay=False), metavar="PNG",
               help="Draw the first clip and its features, and store nothing."),
        option("--list", "show_list", is_flag=True, help="Show all features and presets, and stop."),
        options.strict, options.dry_run, options.wait, options.quiet, options.verbose,
    )  # fmt: skip


@click.command(cls=options.Command, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("manifests", nargs=-1, type=click.Path())
@options.stack(_run_options(), _wave_options(), _shared_options(), _row_options(), _feature_options())
def command(manifests: tuple[str, ...], **values: Any) -> int | None:
    """Compute features of the clips in MANIFESTS (or stdin, or audio files) and store them in shards."""
    if values["show_list"]:
        return _show_list()
    settings = _with_preset(values)
    wanted = _wanted(settings)
    from sertool import device, indexing, manifest

    picked = device.pick(values["device"])
    looking = indexing.Looking(jobs=_jobs(values))
    sources = options.inputs(manifests, "a manifest")
    table = manifest.where(indexing.read(sources, values["root"], looking, nul=values["null"]), values["where"])
    recipe = _recipe(settings, wanted)
    if values["plot"]:
        return _plot(table, recipe, values["plot"])
    return _run(table, recipe, values, picked)


def _show_list() -> None:
    entries = catalogue.entries("features").values()
    rows = [(f"--{e.name.replace('_', '-')}", e.facts.get("DTYPE", ""), len(e.settings), e.title) for e in entries]
    talk.table(("feature", "stored as", "settings", "what it is"), rows, right="settings")
    presets = [(f"--preset {name}", held["about"]) for name, held in sorted(PRESETS.items())]
    talk.table(("preset", "what it is"), presets)


def _with_preset(values: dict[str, Any]) -> dict[str, Any]:
    """The values with a preset's put in where the command line says nothing."""
    if not values["preset"]:
        return values
    preset = PRESETS[values["preset"]]
    filled = {name: value for name, value in preset["options"].items() if values.get(name) is None}
    return values | filled | {f"want_{name}": True for name in preset["features"]}


def _wanted(values: dict[str, Any]) -> list[str]:
    """The features asked for, by their flag or by one of their settings."""
    entries = catalogue.entries("features")
    wanted = [
        name
        for name, entry in entries.items()
        if values[f"want_{name}"] or any(values[f"{name}_{s.name}"] is not None for s in entry.settings)
    ]
    if not wanted:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in entries)
        raise UsageError(f"no feature is asked for: choose among {flags}, or a --preset")
    if values["normalize"] and "wave" in wanted:
        raise UsageError("--normalize is for rows of features, not for --wave: make the two in separate runs")
    return wanted


def _recipe(values: dict[str, Any], wanted: list[str]) -> Any:
    from sertool import extract, features, shaping

    chosen = {}
    for name in wanted:
        known = {setting.name for setting in catalogue.entries("features")[name].settings}
        shared = {key: values[key] for key in (*SHARED, "center") if key in known and values[key] is not None}
        own = {key: values[f"{name}_{key}"] for key in known if values[f"{name}_{key}"] is not None}
        chosen[name] = features.settings(name, shared | own)
    given = {"rate": "rate", "channels": "channels", "dc": "remove_dc", "trim": "trim", "offset": "offset",
             "seconds": "seconds", "fit": "fit"}  # fmt: skip
    wave = {field: values[name] for field, name in given.items() if values[name] is not None}
    seed = values["seed"] if wave.get("fit") == "random" else 0
    how = shaping.Wave(**wave, seed=seed)
    return extract.Recipe(how, chosen, values["normalize"] or (), values["stats"] or (), values["dtype"])


def _plot(table: Any, recipe: Any, path: str) -> None:
    from sertool import featurizing, plots

    clips = featurizing.clips_of(table)
    if not clips:
        raise SertoolError("no usable clip to draw")
    plots.clip(clips[0], recipe, Path(path))
    talk.say(f"drew {clips[0].name} in {path}")


def _run(table: Any, recipe: Any, values: dict[str, Any], device: str) -> int | None:
    from sertool import extract, featurizing, manifest, verify, wire
    from sertool.files import alone

    folder = Path(values["out"] or "features")
    part = featurizing.Part.parse(values["part"])
    kind = wire.format_for(None, values["kind"])
    clips = featurizing.clips_of(table)
    if not clips:
        raise SertoolError(f"no usable clip among {len(table):,} rows: nothing to do")
    tasks = extract.plan(clips, recipe, folder)
    mine = part.of(tasks)
    if values["dry_run"]:
        return _say_plan(mine, folder)
    with alone(folder, values["wait"], part.name):
        featurizing.refuse_strangers(tasks, recipe, folder, values["overwrite"])
        mine = part.of(extract.plan(clips, recipe, folder))
        missing = sum(len(task.clips) for task in mine if task.missing)
        made = featurizing.make(mine, recipe, folder, device, _jobs(values))
        done = sum(1 for _ in talk.progress(made, missing, "featurizing"))
        if not part.name:
            featurizing.drop_leftovers(tasks, recipe, folder)
        rows = part.rows(tasks, manifest.usable(table))
        table = featurizing.pointed(table.slice(rows.start, rows.stop - rows.start), mine, recipe)
        table = manifest.made_by(table, options.command_line(), values["seed"])
        featurizing.save(table, folder / part.manifest)
    if values["verify"]:
        verify.report(verify.verify(table, recipe, values["verify"], values["seed"]), folder / "verify.json")
    lost = len(table) - int(manifest.usable(table).sum())
    aside = f"; {lost:,} set aside" if lost else ""
    talk.say(f"{', '.join(recipe.features)} of {len(table) - lost:,} clips in {folder} ({done:,} made now){aside}")
    if not talk.to_terminal():
        wire.write(table, None, kind)
    return 1 if values["strict"] and lost else None


def _jobs(values: dict[str, Any]) -> int:
    from sertool import indexing

    return values["jobs"] or indexing.cores()


def _say_plan(tasks: Any, folder: Path) -> None:
    missing = [task for task in tasks if task.missing]
    clips = sum(len(task.clips) for task in missing)
    talk.say(f"would make {len(missing)} of {len(tasks)} shards of {clips:,} clips in {folder}")
