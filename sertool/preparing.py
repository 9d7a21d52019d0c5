"""What a training starts from: the rows of manifests, with features, and the design that options and recipe make."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sertool import (
    batches,
    catalogue,
    consistency,
    encoders,
    extract,
    features,
    featurizing,
    manifest,
    merging,
    models,
    presets,
    row_filter,
    splitting,
    talk,
    taught_encoders,
    teacher_models,
    twins,
    weights,
    wire,
)
from sertool.design import UNTAUGHT, Design, lessons_of_blocks, passed_over
from sertool.errors import SertoolError, UsageError
from sertool.extract import Extraction
from sertool.featurizing import ShardFolder
from sertool.files import listed
from sertool.manifest import Table
from sertool.recipes import RECIPES, USUAL
from sertool.taught_encoders import Lesson
from sertool.training_settings import Settings

PRIOR_CLIPS = 3.0
COMPILERS = ("c++", "g++", "clang++", "cl")
NOT_OF_NETWORKS_ALONE = {"balance", "strangers"}  # of the loop's settings, what is no matter of networks alone
NEEDS = {  # what does nothing without another: that has a value, or is not zero
    "momentum": ("optimizer sgd",), "plateau_factor": ("schedule plateau",), "plateau_patience": ("schedule plateau",),
    "restart_epochs": ("schedule restarts",), "restart_factor": ("schedule restarts",), "mixes": ("mixup",),
    "metric": ("keep best", "patience", "schedule plateau"), "prior_clips": ("adapt speaker",),
    "strangers": ("adapt speaker",), "teach": ("teacher",), "likeness": ("imitate",),
    "time_width": ("time_masks",), "column_width": ("column_masks",), "mask_share": ("time_masks", "column_masks"),
}  # fmt: skip


@dataclass(frozen=True)
class Inputs:
    """Where the rows come from, and which of them are meant."""

    sources: Sequence[str]  # manifests
    root: str | None = None  # where their audio lies now
    where: Sequence[str] = ()


@dataclass(frozen=True)
class Asked:
    """What the options say of what is trained."""

    model: str | None = None
    recipe: str | None = None
    settings: Sequence[str] = ()  # of the model, each NAME=VALUE
    training: Mapping[str, Any] = field(default_factory=dict)  # settings of the loop, no others than were given
    features: Sequence[str] | None = None
    scale: str | None = None
    adapt: str | None = None
    prior_clips: float | None = None
    select: int | None = None
    reduce: str | None = None
    weights: str | None = None
    scratch: bool = False
    teacher: str | None = None
    imitate: str | None = None
    pack: str | None = None

    @property
    def published(self) -> dict[str, Any]:
        """The recipe that was named, or that its model goes by."""
        return RECIPES.get(self.recipe or USUAL.get(self.model or "", ""), {})

    @property
    def architecture(self) -> str:
        """The model's name, or that of the recipe's."""
        return self.model or self.published["model"]


def read(rows: Inputs) -> Table:
    """The usable rows of one or several manifests, divided if any of them is."""
    table = merging.merged([wire.read(source, rows.root) for source in rows.sources])
    table = _without_equal_sounds(table) if len(rows.sources) > 1 else table
    table = row_filter.chosen(manifest.keep(table, manifest.usable(table)), rows.where)
    if not len(table):
        raise SertoolError("no usable clip is left to train on")
    return splitting.without_empty_parts(table)


def _without_equal_sounds(table: Table) -> Table:
    """The table with clips set aside that stand in several manifests, under different names."""
    there, table = manifest.usable(table), twins.marked(table)
    if found := np.flatnonzero(there & ~manifest.usable(table)).tolist():
        clip, issue = (manifest.cell(table, name, found[0]) for name in ("clip", "issue"))
        talk.warn(f"{talk.counted(len(found), 'clip')} set aside that several manifests have, such as {clip}: {issue}")
    return table


def featurized(table: Table, made: Extraction | None, place: ShardFolder, device: str, jobs: int) -> Table:
    """The table with the features of a recipe, made now where it has none."""
    if made is None:
        return table
    table = featurizing.run(table, made, place, device, jobs)
    return manifest.keep(table, manifest.usable(table))


def features_to_make(
    table: Table, design: Design, asked: Asked, device: str, *, fetch: bool = True
) -> Extraction | None:
    """The features that a training recipe names for a table without any, or of it what the model goes on from; `fetch`
    weights that they may need.

    Those come from where the command line says, else the preset; for all that follows, from the command line alone.
    """
    weights.give(asked.weights)
    preset = asked.published.get("preset")
    if batches.featured(table) or preset is None:
        return None
    options = presets.PRESETS[preset]["options"]
    place = asked.weights or options.get("weights")
    if not fetch and place is None and any(map(features.encoded, presets.PRESETS[preset]["features"])):
        return None
    with weights.given(place):
        return of_preset(preset, device, _heard(design))


def _heard(design: Design) -> dict[str, str]:
    """The options of the features that the model can hear, where that is for its settings to say."""
    module = models.load(design.model)
    return module.hears(design.settings) if hasattr(module, "hears") else {}


def records(table: Table, design: Design, to_make: Extraction | None) -> dict[str, Any]:
    """What is or will be said of how each feature is made; nothing where that cannot be known yet."""
    if batches.featured(table):
        return batches.records(table, design.features)
    return {} if to_make is None else {name: to_make.record(name) for name in design.features}


def lessons(table: Table, design: Design, records: Mapping[str, Any]) -> dict[str, list[Lesson]]:
    """What taught the encoders that a model hears, imitates or goes on from, by feature."""
    settings = {feature: record["settings"] for feature, record in records.items()}
    if batches.featured(table):
        found = batches.lessons(table, [*records, *filter(None, [design.imitate])])
    else:
        found = {feature: taught_encoders.given(feature, held) for feature, held in settings.items()}
    return found | {name: found[name] + own for name, own in lessons_of_blocks(design, records).items()}


def grouped(table: Table, design: Design, asked: Asked, to_make: Extraction | None) -> Design:
    """The design with what a feature's rows consist of, where the model asks and the command line does not say.

    Of several features, or of columns that are picked or mapped, nothing is known.
    """
    held, made = vars(design.settings), records(table, design, to_make)
    if "groups" not in held or len(made) != 1 or design.select is not None or design.reduce is not None:
        return design
    given = {pair.partition("=")[0].strip() for pair in asked.settings}
    ((feature, record),) = made.items()
    known = _groups(feature, record, by_stat="stats" not in held)
    known = {name: count for name, count in known.items() if name not in given}
    return replace(design, settings=models.settings(design.model, held | known))


def _groups(feature: str, record: Mapping[str, Any], *, by_stat: bool) -> dict[str, int]:
    """How many groups lie side by side, each layer of each channel one, and how many statistics there are of each; or
    each statistic a group of its own."""
    choice = _facts(feature).get("CHOICE")
    layers = len(_layers(feature, record["settings"]["layers"], record["settings"][choice])) if choice else 1
    groups = layers * features.sides(record)
    stats = max(1, len(record["stats"]))
    return {"groups": groups * stats} if by_stat else {"groups": groups, "stats": stats}


def _layers(feature: str, text: str, kind: str) -> tuple[int, ...]:
    """Layers of an encoder by number, as `--layers` names them."""
    return encoders.chosen(text, encoders.load(feature).SIZES[kind]["layers"])


def width(table: Table, design: Design, to_make: Extraction | None) -> int | None:
    """How many columns the features have together; None where that cannot be known yet."""
    if batches.featured(table):
        return batches.width(table, design.features)
    return None if to_make is None else extract.width(to_make.only(design.features))


def compare_features(asked: Asked, design: Design, records: Mapping[str, Any]) -> None:
    """Say where a manifest's features are not those that the recipe names; refuse others altogether, unless named."""
    who, preset = f"--recipe {asked.recipe}" if asked.recipe else f"-m {asked.model}", asked.published["preset"]
    wanted = presets.PRESETS[preset]["features"]
    if {*wanted}.isdisjoint(records) and asked.recipe and not asked.features:
        raise UsageError(
            f"{who} is for {listed(wanted)}, and the manifest has {listed(sorted(records))}: give it one "
            f"without features, and they are made, or name those that it is to learn from with --features"
        )
    odd = [] if {*wanted} == {*records} else [f"{listed(sorted(records))}, not {listed(sorted(wanted))}"]
    usual = {"stats": (), "normalize": ()} | presets.PRESETS[preset]["options"] | _heard(design)
    odd += [word for feature in wanted if feature in records for word in _unlike(feature, records[feature], usual)]
    if odd:
        talk.warn(f"{who} is for features as `featurize --preset {preset}` makes them, and the manifest has "
                  f"others: {'; '.join(dict.fromkeys(odd))}")  # fmt: skip


def _unlike(feature: str, record: Mapping[str, Any], usual: Mapping[str, Any]) -> Iterator[str]:
    """What a feature was made with that the usual options say otherwise."""
    told = record["settings"] | record["wave"] | {word: record[word] for word in ("stats", "normalize")}
    for word, value in usual.items():
        own = _facts(feature)["CHOICE"] if word == f"want_{feature}" else word.removeprefix(f"{feature}_")
        if (own, value) == ("layers", "all"):  # which shards say by number
            value = encoders.spelled(_layers(feature, "all", told[_facts(feature)["CHOICE"]]))  # noqa: PLW2901
        has, wanted = _shown(told.get(own, value)), _shown(value)
        if own != "weights" and has not in (wanted, "all"):
            yield f"{own} {has}, not {wanted}"


def of_preset(name: str, device: str = "cpu", otherwise: Mapping[str, Any] | None = None) -> Extraction:
    """The extraction that `featurize --preset` would follow, with these options otherwise."""
    preset = presets.PRESETS[name]
    options = preset["options"] | (otherwise or {})
    return extract.checked(extract.of_options(preset["features"], options), device)


def _facts(feature: str) -> dict[str, Any]:
    return catalogue.entries("features")[feature].facts


def refuse_beside_labels(table: Table, asked: Asked) -> None:
    """Refuse whatever a model that is fitted at once would pass over, before anything is made for it."""
    if not models.fits_at_once(models.load(asked.architecture).Model):
        return
    over = sorted(asked.training.keys() - NOT_OF_NETWORKS_ALONE) + ["imitate"] * (asked.imitate is not None)
    what = f"{listed(map(talk.option, over))} is for networks" if over else ""
    if asked.teacher and not len(row_filter.where(table, ["emotion="])):
        what = what or UNTAUGHT
    if what:
        raise passed_over(what, asked.architecture)


def design(table: Table, asked: Asked) -> Design:
    """What is trained: the recipe, and whatever was given as well; features lie side by side in the order of names."""
    recipe, name = asked.published, asked.architecture
    there = batches.featured(table) or presets.PRESETS.get(recipe.get("preset", ""), {}).get("features")
    if not there:
        raise UsageError("the manifest has no features: run `sertool featurize --mel` on it first, or name a --recipe")
    usual = models.settings(name, recipe.get("settings", {}) if name == recipe.get("model") else {})
    encoded = any(map(features.encoded, there))
    encoded = encoded or (asked.teacher is not None and teacher_models.is_model(asked.teacher))  # whose may be
    settings = _switched(changed(name, usual, asked.settings), asked, encoded)
    loop = _loop(asked)
    seen = _seen(there, asked)
    scale = asked.scale or recipe.get("scale") or _usual_scale(name)
    select, reduce = _fewer(asked)
    prior = 0.0 if not asked.adapt else PRIOR_CLIPS if asked.prior_clips is None else asked.prior_clips
    return Design(
        name, settings, loop, tuple(sorted(seen)), scale, asked.adapt, prior,
        reduce=reduce, select=select, weights=asked.weights, teacher=asked.teacher, imitate=asked.imitate,
        pack=asked.pack,
    )  # fmt: skip


def _fewer(asked: Asked) -> tuple[int | None, str | None]:
    """How columns are chosen, and how they are mapped; 0 and `none` switch off what a recipe does."""
    recipe = asked.published
    select = recipe.get("select") if asked.select is None else asked.select
    reduce = recipe.get("reduce") if asked.reduce is None else asked.reduce
    return select or None, None if reduce == "none" else reduce


def _loop(asked: Asked) -> Settings:
    """The loop's settings, the recipe's but for those that were given; what would do nothing is refused."""
    loop = replace(Settings(**asked.published.get("training", {})), **asked.training)
    _refuse_idle(asked, loop)
    if loop.compile and not any(map(shutil.which, COMPILERS)):
        raise UsageError(f"--compile needs a C++ compiler, and none of {', '.join(COMPILERS)} is installed")
    if loop.steady:
        moved = {"adapt": asked.adapt, "mixup": loop.mixup and loop.mixes == "rows", "shift": loop.shift}
        model = models.load(asked.architecture).Model
        consistency.require(model, loop.steady, asked.teacher, [word for word in moved if moved[word]])
    return loop


def _refuse_idle(asked: Asked, loop: Settings) -> None:
    """Refuse what was given and would do nothing without another option."""
    held, given = vars(asked) | vars(loop), vars(asked) | dict(asked.training)
    for word, partners in NEEDS.items():
        if given.get(word) is not None and not any(_holds(held, *partner.split()) for partner in partners):
            others = " or ".join(map(talk.option, partners))
            raise UsageError(f"{talk.option(word)} goes with {others}: add that, or leave it out")


def _holds(held: Mapping[str, Any], name: str, value: str | None = None) -> bool:
    """Whether an option has a value or, of any, whether it has one that is not zero."""
    return held[name] == value if value else bool(held[name])


def _seen(there: Sequence[str], asked: Asked) -> Sequence[str]:
    """The features that are trained on, of those that there are or will be."""
    imitate = asked.imitate
    if imitate and imitate not in there:
        raise UsageError(
            f"--imitate {imitate}: no clip has it: run featurize --{imitate} --stats on the manifest first"
        )
    seen = [*dict.fromkeys(asked.features or ())] or [feature for feature in there if feature != imitate]
    if not seen:
        raise UsageError(f"--imitate {imitate}: the manifest has no other feature to learn it from")
    if imitate in seen:
        raise UsageError(f"--imitate {imitate}: a network must not see what it imitates: leave it out of --features")
    batches.require_features(seen, there)
    return seen


def _usual_scale(model: str) -> str:
    """Rows are scaled, but for a model that goes on where published layers end."""
    return getattr(models.load(model), "SCALE", "corpus")


def _switched(settings: Any, asked: Asked, encoded: bool) -> Any:
    """A backbone's settings without published weights, if `--scratch` says so; `encoded` features may need some too."""
    if not asked.scratch and not asked.weights:
        return settings
    if hasattr(settings, "pretrained"):
        return replace(settings, pretrained=not asked.scratch)
    if asked.scratch or not encoded:
        raise UsageError("--scratch and --weights are for models and features that begin with published weights")
    return settings


def changed(name: str, usual: Any, pairs: Sequence[str]) -> Any:
    """A model's settings with some of them set from text: `channels=32,64,128`."""
    known = {held.name: held for held in catalogue.entries("models")[name].settings}
    made = {}
    for pair in pairs:
        word, equals, text = pair.partition("=")
        key = word.strip().replace("-", "_")
        if not equals or key not in known:
            raise UsageError(f"--set {pair}: it takes NAME=VALUE, and the model's settings are {listed(known, 30)}")
        made[key] = catalogue.parsed(known[key], text.strip())
    return models.settings(name, vars(usual) | made)


def _shown(usual: Any) -> str:
    if usual is None or usual in ((), [], ""):
        return "none"
    return ",".join(map(str, usual)) if isinstance(usual, tuple | list) else str(usual)
