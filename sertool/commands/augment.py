"""Append augmented copies to a manifest, for featurize to make, or write them as audio."""

from pathlib import Path
from typing import Any

import click

from sertool import catalogue, options
from sertool.catalogue import Setting
from sertool.errors import UsageError
from sertool.options import option
from sertool.system import talk
from sertool.system.parts import Part

EPILOG = """\b
Examples:
  sertool augment clips.parquet --copies 2 --pitch -2:2 --noise 10:30 -o more.parquet
  sertool index cremad/ --folds 5 | sertool augment --recipe acnt | sertool featurize --mel
  sertool augment clips.parquet --background noises/ --reverb 0.2:0.6 --share 0.5 -o more.parquet
  sertool augment clips.parquet --telephone | sertool augment --noise 5:15 -o one-of-each-kind.parquet
  sertool augment clips.parquet --recipe mine.toml --write copies/ -o more.parquet
  sertool augment clips.parquet --noise 10:30 --write copies/ --part 3/16 -o more-03.parquet
  sertool augment voice.wav --pitch 3 --telephone --plot before-after.png
  sertool augment voice.wav --copies 5 --tempo 0.8:1.2 --gain -6:6 --listen examples/

A copy is the row `parent#k`. Its column `augmentation` holds the drawn settings, which depend on the clip, k and the
seed alone; featurize applies them (on the GPU with CUDA), and no audio is written. Rows of dev and test are never
copied, and a copy is trained on only where its parent is. Effects are applied in the order of this list. Input from a
pipe is read to its end first.

\b
A recipe of your own, mine.toml; settings are named as in --list:
  copies = 2
  pitch = [-2, 2]
  polarity = true
  [noise]
  snr = [10, 30]
  colour = "pink"
  share = 0.5
"""
EFFECTS = dict(sorted(catalogue.entries("effects").items(), key=lambda pair: pair[1].facts["PLACE"]))
MOST_COPIES = catalogue.read(catalogue.PACKAGE / "augment/effect_chains.py").facts["MOST_COPIES"]


class Span(click.ParamType):
    """A number, or the bounds that numbers are drawn between, such as -2:2."""

    name = "span"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "LOW:HIGH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        try:
            numbers = [float(number) for number in value.split(":")]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, 2):
            self.fail(f"{value!r} is neither a number nor LOW:HIGH", param, ctx)
        return (numbers[0], numbers[-1])


def _recipes() -> tuple[str, ...]:
    return catalogue.keys("augment/effect_chains.py", "RECIPES")


def _effect_options() -> Any:
    """Return an option for each file of `effects/`: it takes the first setting, or is a flag if there are none."""
    return options.stack(*map(_effect_option, EFFECTS.values()))


def _effect_option(entry: catalogue.Entry) -> Any:
    name, group, share = entry.name, "Effects", _share(entry)
    usual = "" if share == 1 else f"; on {share:g} of the copies (see --share)"
    if not entry.settings:
        return option(talk.option(name), name, is_flag=True, group=group, help=f"{entry.title}{usual}.")
    return _setting_option(
        talk.option(name), name, entry.settings[0], (group, f"{entry.title}; {entry.settings[0].help}{usual}")
    )


def _share(entry: catalogue.Entry) -> float:
    """Return the default share of copies that an effect is applied to."""
    return entry.facts.get("SHARE", 1.0)


def _setting_option(words: str, name: str, setting: Setting, texts: tuple[str, str]) -> Any:
    group, help_text = texts
    if setting.kind == "Range":
        limits = f"within {setting.low:g} to {setting.high:g}; such as {setting.default[0]:g}:{setting.default[1]:g}"
        return option(words, name, type=Span(), group=group, help=f"{help_text}. [{limits}]")
    if setting.kind == "str":
        return option(words, name, type=click.Path(), metavar="DIR", group=group, help=f"{help_text}.")
    return options.setting(words, name, setting, group)


def _further_options() -> Any:
    """Return an option for each further setting of each effect."""
    return options.stack(*(
        _further_option(f"{entry.name}_{setting.name}", setting)
        for entry in EFFECTS.values() for setting in entry.settings[1:]
    ))  # fmt: skip


def _further_option(name: str, setting: Setting) -> Any:
    texts = ("Settings of effects", setting.help[:1].upper() + setting.help[1:])
    return _setting_option(talk.option(name), name, setting, texts)


def _copy_options() -> Any:
    group = "Copies"
    return options.stack(
        option("-n", "--copies", type=options.Number(int, 1, MOST_COPIES), metavar="N", group=group,
               help="Copies of each row. [default: 1, or as the recipe has it]"),
        option("--recipe", metavar="NAME", group=group, shell_complete=options.offering(*_recipes()),
               help=f"The effects of a published system ({', '.join(_recipes())}), or of a file.toml; options override "
                    "them."),
        option("--share", "shares", multiple=True, metavar="[EFFECT=]X", group=group,
               help="The share of the copies that an effect is applied to, 0 to 1; without a name, that of each "
                    "effect."),
    )  # fmt: skip


def _output_options() -> Any:
    return options.stack(
        option("--write", type=click.Path(file_okay=False), metavar="DIR", group="Sound",
               help="Write each copy to a file under this folder; the rows then name these files."),
        option("--as", "kind_of_sound", type=click.Choice(["flac", "wav"]), group="Sound",
               help="With --write, the kind of file: 16 bits, the rate of the parent, and its channels up to two. "
                    "Copies beyond full scale become 32-bit floats in wav, and are turned down in flac, with a "
                    "warning. [default: flac]"),
        option("--part", metavar="K/N", group="Sound", help="Write only the k-th of n shares, for job arrays."),
        option("--listen", type=click.Path(file_okay=False), metavar="DIR", group="Sound",
               help="Write the first three clips with their copies as WAV files, and stop."),
        option("--plot", type=click.Path(dir_okay=False), metavar="PNG", group="Sound",
               help="Draw the first clip and its first copy, and stop."),
        options.out("Write the manifest to this file rather than to stdout."),
        options.manifest_format, options.seed, options.jobs,
        option("--list", "show_list", is_flag=True, help="Show all effects and recipes, and stop."),
        options.strict, options.dry_run, options.wait, options.quiet, options.verbose,
    )  # fmt: skip


@click.command(cls=options.Command, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("manifests", nargs=-1, type=click.Path())
@options.stack(options.where, options.root, options.nul, _effect_options(), _further_options(), _copy_options(),
               _output_options())  # fmt: skip
def command(manifests: tuple[str, ...], **values: Any) -> int | None:
    """Append augmented copies of the clips in MANIFESTS (or stdin, or audio files), for featurize to make."""
    if values["show_list"]:
        return _show_list()
    from sertool.augment import augmenting, effect_chains
    from sertool.index import indexing
    from sertool.manifests import manifest_io, provenance, row_filter
    from sertool.system import files, workers

    _refuse_quarrels(values)
    part = Part.parse(values["part"])
    chain = effect_chains.chain(_effect_settings(values), values["seed"])
    kind = None if values["listen"] or values["plot"] else manifest_io.format_for(values["out"], values["kind"])
    sources = options.inputs(manifests, "a manifest", nul=values["null"])
    jobs = values["jobs"] or workers.cores()
    index_options = indexing.IndexOptions(jobs=jobs)
    read, unseen, _ = indexing.read(indexing.sort_sources(sources, values["root"], nul=values["null"]), index_options)
    table = row_filter.choose(read, values["where"])
    if values["dry_run"]:
        count = int(augmenting.rows_to_copy(table).sum())
        place = f", and write them to {values['write']}" if values["write"] else ""
        copies, rows = talk.counted(count * chain.copies, "copy"), talk.counted(len(table), "row")
        if kind is None:
            return talk.say(f"would make {' and '.join(filter(None, (values['plot'], values['listen'])))}")
        return talk.say(f"would append {copies} of {talk.counted(count, 'clip')} to {rows}{place}")
    chosen = {"--where": [*values["where"]]} if values["where"] else None
    longer = augmenting.appended(table, chain)
    longer = provenance.made_by(longer, talk.command_line(), values["seed"], read, selection=chosen)
    _show_examples(longer, len(table), values)
    delivered = longer if kind is None else _deliver(longer, values, kind, part, jobs)
    files.no_older(values["out"] or "-", manifests)
    return indexing.exit_status(delivered, unseen, strict=values["strict"])


def _refuse_quarrels(values: dict[str, Any]) -> None:
    """Refuse options that would change nothing."""
    if values["part"] and not values["write"]:
        raise UsageError("--part goes with --write: without it nothing is made that could be shared out")
    if values["kind_of_sound"] and not values["write"]:
        raise UsageError("--as goes with --write: without it no copy is written to a file")
    written = {"write": "--write", "out": "--out", "kind": "--format"}
    output_options = [word for name, word in written.items() if values[name] is not None]
    for name, does in (("listen", "writes examples"), ("plot", "draws")):
        if values[name] and output_options:
            raise UsageError(f"--{name} {does} and stops: leave out {' and '.join(output_options)}")


def _show_examples(table: Any, first: int, values: dict[str, Any]) -> None:
    """Draw or write examples, if asked for, of the copies from row number `first` on."""
    if values["listen"] or values["plot"]:
        from sertool.augment import rendering

        if values["plot"]:
            rendering.compared(table, first, Path(values["plot"]))
        if values["listen"]:
            rendering.listen(table, first, Path(values["listen"]))


def _deliver(table: Any, values: dict[str, Any], kind: str, part: Part, jobs: int) -> Any:
    """Write the table, and its copies as sound if asked for; return the table as it then is."""
    from sertool.index import recorded_options
    from sertool.manifests import manifest_io

    if values["write"]:
        from sertool.augment import rendering

        place = rendering.SoundFolder(Path(values["write"]), values["kind_of_sound"] or "flac", part, values["wait"])
        table = rendering.write(table, place, jobs)
    if manifest_io.holds(values["out"], table, kind, recorded_options.told):
        talk.say(f"{values['out']} is up to date")
    else:
        manifest_io.write(table, values["out"], kind)
    return table


def _effect_settings(values: dict[str, Any]) -> Any:
    """Return the recipe's effects with the settings that the options change."""
    from sertool.augment import effect_chains

    requested = effect_chains.recipe(values["recipe"]) if values["recipe"] else effect_chains.EffectOptions()
    for name, entry in EFFECTS.items():
        settings = _given_settings(values, entry)
        if settings or (not entry.settings and values[entry.name]):
            requested.effects[name] = requested.effects.get(name, {}) | settings
    requested.shares |= effect_chains.shares(values["shares"], list(requested.effects))
    requested.copies = values["copies"] or requested.copies
    return requested


def _given_settings(values: dict[str, Any], entry: catalogue.Entry) -> dict[str, Any]:
    """Return an effect's settings that the command line gives."""
    name, settings = entry.name, entry.settings
    words = {setting.name: f"{name}_{setting.name}" if place else name for place, setting in enumerate(settings)}
    return {setting: values[key] for setting, key in words.items() if values[key] is not None}


def _show_list() -> None:
    rows = [(f"--{name}", f"{_share(entry):g}", ", ".join(setting.name for setting in entry.settings), entry.title)
            for name, entry in EFFECTS.items()]  # fmt: skip
    talk.table(("effect", "share", "settings", "what it is"), rows, right="share")
    from sertool.augment.effect_chains import RECIPES

    talk.table(("recipe", "what it is"), [(f"--recipe {name}", recipe["about"]) for name, recipe in RECIPES.items()])
