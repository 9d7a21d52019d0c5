"""Design a training from the options and, where they say nothing, the recipe."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sertool import catalogue, features, models
from sertool.errors import UsageError
from sertool.featurize import presets
from sertool.manifests import manifest, row_filter
from sertool.manifests.manifest import Table
from sertool.modelfiles import batches
from sertool.system import talk
from sertool.system.files import listed
from sertool.train import consistency, teacher_models
from sertool.train.aim import Aim
from sertool.train.design import UNTAUGHT, Design, aim_of, unusable_option_error
from sertool.train.recipes import RECIPES, USUAL
from sertool.train.training_settings import Settings

PRIOR_CLIPS = 3.0
COMPILERS = ("c++", "g++", "clang++", "cl")
NOT_OF_NETWORKS_ALONE = {"balance", "strangers"}  # settings of the loop that classical models use, too
NEEDS = {  # options that do nothing unless another has a given value, or is not zero
    "momentum": ("optimizer sgd",), "plateau_factor": ("schedule plateau",), "plateau_patience": ("schedule plateau",),
    "restart_epochs": ("schedule restarts",), "restart_factor": ("schedule restarts",), "mixes": ("mixup",),
    "metric": ("keep best", "patience", "schedule plateau"), "prior_clips": ("adapt speaker",),
    "strangers": ("adapt speaker",), "teach": ("teacher",), "likeness": ("imitate",),
    "time_width": ("time_masks",), "column_width": ("column_masks",), "mask_share": ("time_masks", "column_masks"),
    "shift_share": ("shift",),
}  # fmt: skip


@dataclass(frozen=True)
class DesignOptions:
    """The options that decide what is trained."""

    model: str | None = None
    recipe: str | None = None
    settings: Sequence[str] = ()  # of the model, each NAME=VALUE
    training: Mapping[str, Any] = field(default_factory=dict)  # settings of the loop, only those given
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
    dimensions: Sequence[str] | None = None

    @property
    def aim(self) -> Aim:
        """What is to be learnt."""
        return aim_of(self.dimensions)

    @property
    def published(self) -> dict[str, Any]:
        """The named recipe, or the model's usual one."""
        return RECIPES.get(self.recipe or USUAL.get(self.model or "", ""), {})

    @property
    def architecture(self) -> str:
        """The name of the model, as given or as in the recipe."""
        return self.model or self.published["model"]


def refuse_for_classical(table: Table, options: DesignOptions) -> None:
    """Refuse options that a classical model would ignore, before anything is made for it."""
    architecture = models.load(options.architecture).Model
    if not models.fits_at_once(options.architecture):
        return
    if architecture.learns != options.aim.what:
        remedy = "take ridge, svr or a network" if options.dimensions else "name some with --dimensions"
        raise UsageError(f"{options.architecture} learns {architecture.learns}: {remedy}")
    over = sorted(options.training.keys() - NOT_OF_NETWORKS_ALONE) + ["imitate"] * (options.imitate is not None)
    problem = f"{listed(map(talk.option, over))} is for networks" if over else ""
    if options.teacher and not len(row_filter.where(table, ["emotion="])):
        problem = problem or UNTAUGHT
    if problem:
        raise unusable_option_error(problem, options.architecture)


def warn_of_other_clips(table: Table, options: DesignOptions) -> None:
    """Warn if the named recipe was of fewer emotions than the manifest has, or learnt from copies that it lacks."""
    recipe, name = options.published if options.recipe else {}, f"--recipe {options.recipe}"
    known = recipe.get("emotions", ())
    others = sorted({*manifest.present(table, "emotion")} - {*known}) if known and not options.dimensions else []
    if others:
        talk.warn(
            f"{name} is of {len(known)} emotions, and the manifest also has {listed(others)}: "
            f"`sertool index --emotions {','.join(known)}` leaves these out"
        )
    if "copies" in recipe and manifest.originals(table).all():
        talk.warn(
            f"{name} also learns from copies, and has none: run `sertool augment --recipe {recipe['copies']}` first"
        )


def design(table: Table, options: DesignOptions) -> Design:
    """Return the design of the recipe with the given options; features are joined in the order of their names."""
    recipe, name = options.published, options.architecture
    present = batches.featured(table) or presets.PRESETS.get(recipe.get("preset", ""), {}).get("features")
    if not present:
        words = "--mel --stats mean,std" if models.fits_at_once(name) else "--mel"
        raise UsageError(
            f"the manifest has no features: run `sertool featurize {words}` on it first, or name a --recipe"
        )
    usual = models.settings(name, recipe.get("settings", {}) if name == recipe.get("model") else {})
    encoded = any(map(features.encoded, present))
    encoded = encoded or (options.teacher is not None and teacher_models.is_model(options.teacher))  # teacher's may be
    settings = changed(name, usual, (*options.settings, *_backbone_settings(usual, options, encoded)))
    loop = _loop(options)
    inputs = _inputs(present, options)
    scale = options.scale or recipe.get("scale") or _usual_scale(name)
    select, reduce = _fewer(options)
    return Design(
        model=name,
        settings=settings,
        training=loop,
        features=tuple(sorted(inputs)),
        scale=scale,
        adapt=options.adapt,
        prior_clips=_prior_clips(options),
        reduce=reduce,
        select=select,
        weights=options.weights,
        teacher=options.teacher,
        imitate=options.imitate,
        pack=options.pack,
        dimensions=options.dimensions,
    )


def refuse_useless(options: DesignOptions) -> None:
    """Refuse given options that mean nothing for what is to be learnt."""
    for name, value in (vars(options) | dict(options.training)).items():
        if not options.aim.takes(name, value):
            raise UsageError(f"{talk.option(name)} {value} is not for {options.aim.what}: leave it out")


def _prior_clips(options: DesignOptions) -> float:
    if not options.adapt:
        return 0.0
    return PRIOR_CLIPS if options.prior_clips is None else options.prior_clips


def _fewer(options: DesignOptions) -> tuple[int | None, str | None]:
    """Return the values of --select and --reduce; 0 and `none` switch off a recipe's."""
    recipe = options.aim.suited(options.published)
    select = recipe.get("select") if options.select is None else options.select
    reduce = recipe.get("reduce") if options.reduce is None else options.reduce
    return select or None, None if reduce == "none" else reduce


def _loop(options: DesignOptions) -> Settings:
    """Return the loop's settings, the given ones before the recipe's; refuse options that would do nothing."""
    usual = Settings(**options.published.get("training", {}))
    loop = replace(Settings(**options.aim.suited(vars(usual))), **options.training)
    _refuse_idle(options, loop)
    if loop.compile:
        _refuse_compiling(options, loop)
    if loop.steady:
        moved = {"adapt": options.adapt, "mixup": loop.mixup and loop.mixes == "rows", "shift": loop.shift}
        model = models.load(options.architecture).Model
        consistency.require(model, loop.steady, options.teacher, [word for word in moved if moved[word]])
    return loop


def _refuse_compiling(options: DesignOptions, loop: Settings) -> None:
    """Refuse to compile without a compiler, or where training never calls the network as a whole."""
    late = loop.mixup and loop.mixes == "summary"
    in_parts = {"mixes summary": late, "imitate": options.imitate, "steady": loop.steady}
    if word := next((word for word, there in in_parts.items() if there), None):
        raise UsageError(f"--compile does nothing with {talk.option(word)}: leave one of them out")
    if not any(map(shutil.which, COMPILERS)):
        raise UsageError(f"--compile needs a C++ compiler, and none of {', '.join(COMPILERS)} is installed")


def _refuse_idle(options: DesignOptions, loop: Settings) -> None:
    """Refuse given options that do nothing without another."""
    values, given_options = vars(options) | vars(loop), vars(options) | dict(options.training)
    for word, partners in NEEDS.items():
        if given_options.get(word) is not None and not any(_holds(values, *partner.split()) for partner in partners):
            partner_names = " or ".join(map(talk.option, partners))
            raise UsageError(f"{talk.option(word)} goes with {partner_names}: add that, or leave it out")


def _holds(values: Mapping[str, Any], name: str, value: str | None = None) -> bool:
    """Whether an option has this value or, if none is given, any that is not zero."""
    return values[name] == value if value else bool(values[name])


def _inputs(present: Sequence[str], options: DesignOptions) -> Sequence[str]:
    """Return the features to train on, among those that exist or will be made."""
    imitate = options.imitate
    if imitate and imitate not in present:
        raise UsageError(
            f"--imitate {imitate}: no clip has it: run featurize --{imitate} --stats on the manifest first"
        )
    inputs = [*dict.fromkeys(options.features or ())] or [feature for feature in present if feature != imitate]
    if not inputs:
        raise UsageError(f"--imitate {imitate}: the manifest has no other feature to learn it from")
    if imitate in inputs:
        raise UsageError(f"--imitate {imitate}: a network must not see what it imitates: leave it out of --features")
    batches.require_features(inputs, present)
    return inputs


def _usual_scale(model: str) -> str:
    """Return the usual `--scale` of a model: none for one with published layers, else corpus."""
    return getattr(models.load(model), "SCALE", "corpus")


def _backbone_settings(usual: Any, options: DesignOptions, encoded: bool) -> list[str]:
    """Return the backbone settings that `--scratch` or `--weights` imply; `encoded` features may use --weights, too."""
    if options.scratch and options.weights:
        raise UsageError("--scratch begins with random weights, --weights with those of a file: leave one of them out")
    if not (options.scratch or options.weights):
        return []
    if hasattr(usual, "pretrained"):
        return ["pretrained=false" if options.scratch else "pretrained=true"]
    if options.scratch or not encoded:
        raise UsageError("--scratch and --weights are for models and features that begin with published weights")
    return []


def changed(name: str, usual: Any, pairs: Sequence[str]) -> Any:
    """Return a model's settings with some set from text, such as `channels=32,64,128`."""
    settings = {setting.name: setting for setting in catalogue.entries("models")[name].settings}
    values = {}
    for pair in pairs:
        word, equals, text = pair.partition("=")
        key = word.strip().replace("-", "_")
        if not equals or key not in settings:
            raise UsageError(f"--set {pair}: it takes NAME=VALUE, and the model's settings are {listed(settings, 30)}")
        if key in values:
            raise UsageError(
                f"{key} is set twice, by --set or by what stands for it, as --layers and --scratch may: "
                "leave one of them out"
            )
        values[key] = catalogue.parsed(settings[key], text.strip())
    return models.settings(name, vars(usual) | values)
