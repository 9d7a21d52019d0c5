"""Train a model on a featurized manifest and predict the clips that were held out."""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from sertool import catalogue, options, shipped
from sertool.divisions import protocols
from sertool.divisions.protocols import PROTOCOLS
from sertool.errors import UsageError
from sertool.featurize.presets import PRESETS
from sertool.options import option
from sertool.system import talk
from sertool.train.recipes import RECIPES

EPILOG = """\b
Examples:
  sertool train features/manifest.parquet -m cnn -o run/ | sertool eval
  sertool index cremad/ --protocol cremad-nk | sertool augment --recipe sertool | sertool train -m sertool --epochs 8
  sertool train features/manifest.parquet -m cnn-transformer --split speaker:70/15/15 --seeds 3
  sertool index cremad/ | sertool train --recipe cnn-transformer-a --gap -o run/ | sertool eval
  sertool index cremad/ --folds 5 | sertool featurize --mel | sertool train -m cnn --final -o run/ | sertool eval
  sertool train features/manifest.parquet -m resnet18 --train-on cremad --test-on ravdess,emodb
  sertool train rated.parquet --recipe base --dimensions arousal,valence -o run/ | sertool eval
  sertool train --list --recipe clstm-b

A recipe makes its features where the manifest has none. -m whisper follows the recipe whisper-tuned, and -m sertool the
one of its name. The classical models (forest, lda, logistic, probe, svm, and ridge and svr for --dimensions) take one
row for each clip: featurize with --stats. The held-out predictions go to stdout as a manifest. The same command
continues a run that was interrupted, and prints the predictions of one that is finished.

\b
Files of a run, for each seed in seed-S/, of folds in fold-K/seed-S/, of --gap in leaky/ and disjoint/:
  model.safetensors    the model; predict needs nothing else but its encoder, which --pack puts in, too
  predictions.parquet  its predictions of the held-out clips; in the run's folder, those of all models
  split.parquet        which clips were in train, dev and test
  settings.json        what it was trained with
  metrics.jsonl        a network's losses and scores of each epoch; curves.png draws them
  final/               in the run's folder (of --gap in disjoint/), the model of --final; predict -m run/final uses it
  teacher-KEY.parquet  in the run's folder, the answers of the model or run that --teacher names
  features/            in the run's folder, the features that a recipe made where the manifest had none
"""
ShownValue = tuple[str, Any, str]  # an option, its value, and "ours" if it is not published
GROUP = "Training (defaults without a recipe)"
LOOP = catalogue.read(catalogue.PACKAGE / "train/training_settings.py").settings


def _settings_options() -> Any:
    """Return an option for each setting of the training loop."""
    named = ((setting.name, setting) for setting in LOOP)
    return options.stack(*(options.setting(talk.option(name), name, setting, GROUP) for name, setting in named))


def _design_options() -> Any:
    group = "Model"
    return options.stack(
        option("-m", "--model", type=click.Choice(catalogue.names("models")), metavar="NAME", group=group,
               help="The network or classical model (see --list)."),
        option("--recipe", type=click.Choice(list(RECIPES)), metavar="NAME", group=group,
               help="Use the features, model, training and protocol of a published system, or of ours; other options "
                    "override it."),
        option("--dimensions", type=options.Words(options.dimensions, "NAME,..", usual=True),
               group=group, help="Learn these columns of numbers, which rate clips, rather than emotions; figures "
                                 "are CCCs."),
        option("--set", "settings", multiple=True, metavar="NAME=VALUE", group=group,
               help="A setting of the model: --set channels=32,64,128 (-m NAME --list shows them)."),
        option("--layers", type=options.Number(int, 1, 32), metavar="N", group=group,
               help="As --set layers=N: how many layers a network has; with -m whisper, how many of the encoder's "
                    "blocks are used."),
        option("--tune", type=options.Number(int, 1, 32), metavar="N", group=group,
               help="As --set tune=N, with -m whisper: how many of these blocks, counted from the last, are trained "
                    "further."),
        option("--weights", type=click.Path(), metavar="FILE", group=group,
               shell_complete=options.offering(shipped.DEFAULT, path="file"),
               help="A file with the published weights of a backbone or an encoder, or base: the encoder of the "
                    "package's model. [default: an encoder's are fetched once, for --recipe base the package's, and "
                    "a backbone's are looked for where PyTorch keeps them]"),
        option("--scratch", is_flag=True, group=group,
               help="Start a backbone from random weights, not from published ones."),
        option("--features", type=options.Words(lambda: catalogue.names("features"), "NAME,..", usual=True),
               group=group, help="Features to train on, joined in the order of their names. [default: all that the "
                                 "manifest has]"),
        option("--scale", type=click.Choice(["none", "corpus"]), group=group,
               help="Scale rows by the mean and deviation of all of train, or leave them. "
                    "[default: none for whisper, else corpus]"),
        option("--adapt", type=click.Choice(["speaker"]), group=group,
               help="Normalise each speaker's rows by that speaker's own clips, to the mean and deviation of all "
                    "speakers. Held-out figures are then transductive: the clips that are scored are also those that "
                    "normalise. The first copies of all of a speaker's clips count as one voice, the second copies as "
                    "another, so make each kind of copy by itself."),
        option("--prior-clips", type=options.Number(float, 0, 1e6), metavar="N", group=group,
               help="With --adapt, shrink a speaker's statistics towards those of all of train, which count as this "
                    "many clips. [default: 3]"),
        option("--select", type=options.Number(int, 0), metavar="N", group=group,
               help="Of clip statistics, keep the columns that tell emotions apart best, at most N (0: all of them, "
                    "whatever a recipe keeps)."),
        option("--reduce", metavar="HOW", group=group,
               help="Map clip statistics to fewer columns: lda, pca:N, or none, whatever a recipe does."),
    )  # fmt: skip


def _teaching_options() -> Any:
    group = "Teaching"
    return options.stack(
        option("--teacher", type=click.Path(), metavar="MODEL", group=group,
               help="Learn from the answers of a model or a run as well, or from a file of predictions; for networks. "
                    "Clips without a label are then trained on, too, unless a split puts them elsewhere."),
        option("--imitate", type=click.Choice(catalogue.names("features")), metavar="NAME", group=group,
               help="A feature of the manifest, made with --stats, that the network learns to predict as well; it is "
                    "none of its inputs."),
    )  # fmt: skip


def _division_options() -> Any:
    group = "Held out"
    return options.stack(
        option("--split", metavar="HOW", group=group, shell_complete=options.offering(*PROTOCOLS),
               help="As in `sertool index`: speaker:70/15/15, or a protocol (see `sertool index --list`). "
                    "[default: the manifest's own, else speaker:70/15/15]"),
        option("--folds", type=options.Number(int, 2, 1000), metavar="K", group=group,
               help="K folds of whole speakers."),
        option("--loso", is_flag=True, group=group, help="Leave one speaker out, each in turn."),
        option("--protocol", type=click.Choice([*PROTOCOLS]), metavar="NAME", group=group,
               help="A published split or folds."),
        option("--train-on", type=options.Words(), metavar="CORPUS,..", group=group, help="Train on these corpora."),
        option("--test-on", type=options.Words(), metavar="CORPUS,..", group=group, help="Hold out these corpora."),
        option("--always-train", type=options.Words(), metavar="CORPUS,..", group=group,
               help="Always train on these corpora, such as a large one, and divide the others into train, dev and "
                    "test."),
        option("--no-dev", is_flag=True, group=group,
               help="Train on the speakers of dev, too; with folds, dev is an eighth of the speakers who are not held "
                    "out. Then no epoch is chosen, and probabilities are not calibrated. The classical models "
                    "learn from the dev of folds anyway."),
        option("--seeds", type=options.Number(int, 1, options.SEEDS), default=1, show_default=True, metavar="N",
               group=group,
               help="Train with N seeds, from --seed on; with one, if the model draws nothing. All share the split or "
                    "the folds that are drawn with --seed."),
        option("--gap", is_flag=True, group=group,
               help="Train twice, under a leaky protocol and on disjoint speakers, and say the difference in UAR and "
                    "in accuracy. The split you name, or the recipe's, is one of the two. The other has parts as "
                    "large, such as speaker:80/20 beside random-80-20; but to a split of your own a leaky recipe adds "
                    "its own. Both use the same clips."),
        option("--final", is_flag=True, group=group,
               help="Then train one more model, to be used, on all clips of train, dev and test: in final/ of the run. "
                    "It is trained for as many epochs as the others chose in the median, on the same schedule (plateau "
                    "lowers the rate where theirs did), with the first seed, and calibrated by their answers to what "
                    "they held out. Its own score is unknown; theirs is about what to expect."),
    )  # fmt: skip


def _run_options() -> Any:
    return options.stack(
        options.where, options.root,
        options.out("The run's folder. [default: runs/MODEL-SETTINGS]", folder=True),
        options.stdout_format,
        options.device, options.jobs, options.seed_of_training,
        option("--pack", type=click.Choice(["half", "8-bit"]),
               help="Put the features' pretrained encoder into the model file, which then needs nothing else; 8-bit "
                    "rounds the model's own weights, too."),
        option("--overwrite", is_flag=True, help="Replace a run that has other settings or data, or is damaged."),
        option("--list", "show_list", is_flag=True,
               help="Show the models and recipes, with -m the settings of one model, or with --recipe each value of "
                    "one recipe and whether it is ours, where a publication leaves it open; and stop."),
        options.dry_run, options.wait, options.quiet, options.verbose,
    )  # fmt: skip


@click.command(cls=options.Command, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("manifests", nargs=-1, type=click.Path())
@options.stack(_design_options(), _teaching_options(), _division_options(), _settings_options(), _run_options())
def command(manifests: tuple[str, ...], **values: Any) -> int | None:
    """Train on the featurized MANIFESTS (or stdin) and predict the clips that were held out."""
    if values["show_list"]:
        return _show(values["recipe"], values["model"])
    if not (values["model"] or values["recipe"]):
        raise UsageError(f"name a model with -m ({', '.join(catalogue.names('models'))}) or a --recipe (see --list)")
    from sertool.divisions.heldout import HeldOutOptions
    from sertool.train import experiment
    from sertool.train.designing import DesignOptions
    from sertool.train.experiment import RunOptions
    from sertool.train.preparing import Inputs

    blocks = [f"{name}={values[name]}" for name in ("layers", "tune") if values[name] is not None]
    values["settings"] = (*values["settings"], *blocks)
    values["sources"] = options.inputs(manifests, "a featurized manifest")
    training = {setting.name: values[setting.name] for setting in LOOP}
    values["training"] = {name: value for name, value in training.items() if value is not None}
    return experiment.run(
        options.part(Inputs, values),
        options.part(DesignOptions, values),
        options.part(HeldOutOptions, values),
        options.part(RunOptions, values),
    )


def _show(recipe: str | None, model: str | None) -> None:
    if recipe:
        _show_recipe(recipe)
    elif model:
        _show_settings(model)
    else:
        _show_list()


def _show_list() -> None:
    entries = catalogue.entries("models").items()
    rows = [(name, e.facts.get("PARAMETERS"), e.title, e.facts.get("ORIGIN", "")) for name, e in entries]
    cells = [(name, f"{count:,}" if count else "", title, origin) for name, count, title, origin in rows]
    talk.table(("model", "parameters", "what it is", "origin"), cells, right="parameters")
    facts = ("model", "preset", "protocol", "about")
    recipes = [(name, *(recipe[fact] for fact in facts)) for name, recipe in RECIPES.items()]
    talk.table(("recipe", "model", "features", "protocol", "what it is"), recipes)


def _show_recipe(name: str) -> None:
    """Show each value of a recipe as the option that would give it."""
    recipe = RECIPES[name]
    rows = [*_of_model(recipe), *_of_emotions(recipe), *_of_copies(recipe), *_of_features(recipe["preset"]),
            *_of_training(recipe)]  # fmt: skip
    talk.table((f"--recipe {name}", "value", "whose"), [(word, _text(value), whose) for word, value, whose in rows])


def _of_model(recipe: Mapping[str, Any]) -> Iterator[ShownValue]:
    yield "-m", recipe["model"], _whose(recipe, "model")
    usual = {setting.name: setting.default for setting in catalogue.entries("models")[recipe["model"]].settings}
    usual |= dict.fromkeys(usual.keys() & {"groups", "stats"}, "as the features")  # which determine them
    for word, value in (usual | recipe.get("settings", {})).items():
        yield f"--set {word}", value, _whose(recipe, "model", "settings", word)


def _of_copies(recipe: Mapping[str, Any]) -> Iterator[ShownValue]:
    if copies := recipe.get("copies") or protocols.named(recipe["protocol"]).copies:
        yield "augment --recipe", copies, _whose(recipe, "protocol", "copies")


def _of_emotions(recipe: Mapping[str, Any]) -> Iterator[ShownValue]:
    if "emotions" in recipe:
        yield "index --emotions", recipe["emotions"], _whose(recipe, "emotions")


def _of_features(name: str) -> Iterator[ShownValue]:
    preset = PRESETS[name]
    yield "featurize --preset", name, _whose(preset)
    for feature in preset["features"]:
        yield f"  {talk.option(feature)}", preset["options"].get(f"want_{feature}", ""), _whose(preset)
    for word, value in preset["options"].items():
        if not word.startswith("want_"):
            yield f"  {talk.option(word)}", value, _whose(preset, word)


def _of_training(recipe: Mapping[str, Any]) -> Iterator[ShownValue]:
    yield "--split", recipe["protocol"], _whose(recipe, "protocol")
    for word in ("scale", "select", "reduce"):
        if word in recipe:
            yield talk.option(word), recipe[word], _whose(recipe, word)
    for word, value in recipe.get("training", {}).items():
        yield talk.option(word), value, _whose(recipe, "training", word)


def _whose(recipe: Mapping[str, Any], *names: str) -> str:
    """Return `ours` if any of the names is our choice, or if nothing of the recipe was published."""
    return "ours" if "ours" not in recipe or {*names} & {*recipe["ours"]} else ""


def _show_settings(model: str) -> None:
    settings = catalogue.entries("models")[model].settings
    rows = [(setting.name, _text(setting.default), _may_be(setting), setting.help) for setting in settings]
    talk.table((f"--set, of {model}", "default", "may be", "what it is"), rows)


def _may_be(setting: catalogue.Setting) -> str:
    if setting.kind == "bool":
        return catalogue.KINDS["bool"]
    return ", ".join(map(str, setting.choices)) or options.limits(setting.low, setting.high)


def _text(value: Any) -> str:
    """Return a setting's value as --set takes it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()
