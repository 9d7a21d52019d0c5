"""From the words of `sertool train` to a run: what is trained, on which rows, how often, and what is said of it."""

import ast
import os
import shutil
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from sertool import batches, device, manifest, metrics, models, options, runs, splits, splitting, talk, training, wire
from sertool.errors import SertoolError, UsageError
from sertool.files import alone, listed
from sertool.manifest import Table
from sertool.recipes import RECIPES
from sertool.runs import Design, Member, Run

DISJOINT = "speaker:70/15/15"


def run(sources: Sequence[str], values: dict[str, Any], out: Path | None) -> None:
    """Train every member and write the held-out predictions."""
    recipe = RECIPES.get(values["recipe"] or "", {})
    table = _read(sources, values)
    design = _design(table, values, recipe)
    folder = out or Path("runs") / f"{values['recipe'] or design.model}-{'-'.join(design.features)}"
    kind = wire.format_for(None, values["kind"])
    picked = device.pick(values["device"])
    plans = _plans(values, recipe)
    if values["dry_run"]:
        return _say_plan(table, design, plans, folder)
    _join_team(picked)
    with alone(folder, values["wait"]):
        if values["overwrite"]:
            _clear(folder)
        made = [_trained(table, design, how, folder / name, picked, values) for name, how in plans]
    if values["gap"]:
        _say_gap(plans, made)
    if training.Team().leads and not talk.to_terminal():
        wire.write(made[-1], None, kind)
    return None


def _read(sources: Sequence[str], values: dict[str, Any]) -> Table:
    """The usable rows that have an emotion or not, of one or several featurized manifests."""
    table = manifest.merged([wire.read(source, values["root"]) for source in sources])
    table = manifest.where(manifest.keep(table, manifest.usable(table)), values["where"])
    if not len(table):
        raise SertoolError("no usable clip is left to train on")
    return table


def _design(table: Table, values: dict[str, Any], recipe: dict[str, Any]) -> Design:
    name = values["model"] or recipe["model"]
    features = tuple(values["features"] or batches.featured(table))
    if not features:
        preset = f"--preset {recipe['preset']}" if recipe else "--mel"
        raise UsageError(f"the manifest has no features: run `sertool featurize {preset}` on it first")
    given = dict(pair.partition("=")[::2] for pair in values["settings"])
    settings = _with(models.load(name).Settings(), given | {})
    loop = {field.name: values[field.name] for field in fields(training.Settings) if values.get(field.name) is not None}
    plan = replace(training.Settings(**recipe.get("training", {})), **loop)
    return Design(name, settings, plan, features, values["scale"] or recipe.get("scale", "corpus"))


def _with(settings: Any, given: dict[str, str]) -> Any:
    """A model's settings with some of them set from text."""
    known = {field.name: getattr(settings, field.name) for field in fields(settings)}
    changed = {}
    for name, text in given.items():
        key = name.strip().replace("-", "_")
        if key not in known:
            raise UsageError(f"--set {name}: the model has no such setting; it has {listed(known)}")
        changed[key] = _value(text, known[key], name)
    return replace(settings, **changed)


def _value(text: str, usual: Any, name: str) -> Any:
    """Text as the type of the usual value."""
    if isinstance(usual, bool) and text.lower() in ("true", "false", "on", "off", "yes", "no", "1", "0"):
        return text.lower() in ("true", "on", "yes", "1")
    if isinstance(usual, str):
        return text
    try:
        value = ast.literal_eval(f"({text},)" if isinstance(usual, tuple) else text)
    except (ValueError, SyntaxError):
        raise UsageError(f"--set {name}={text}: not a value like {usual}") from None
    if isinstance(value, int) and isinstance(usual, float):
        return float(value)
    if usual is not None and type(value) is not type(usual):
        raise UsageError(f"--set {name}={text}: not a value like {usual}")
    return value


# Which rows are held out.


def _plans(values: dict[str, Any], recipe: dict[str, Any]) -> list[tuple[str, splitting.Asked]]:
    """The ways to divide, each with the folder it is trained in: one, or two for the gap."""
    asked = splitting.asked(values["split"], values["folds"], "loso" if values["loso"] else values["protocol"])
    if not values["gap"]:
        return [("", asked if asked is not None else recipe.get("protocol"))]
    leaky = (
        asked if _is_leaky(asked) else recipe.get("protocol") if _is_leaky(recipe.get("protocol")) else "random-80-20"
    )
    disjoint = asked if asked is not None and not _is_leaky(asked) else DISJOINT
    return [("leaky", leaky), ("disjoint", disjoint)]


def _is_leaky(how: splitting.Asked) -> bool:
    return bool(splits.PROTOCOLS.get(str(how).partition(":")[0], {}).get("leaky"))


def _divided(table: Table, how: splitting.Asked, values: dict[str, Any]) -> Table:
    """The table with a split or folds: across corpora, its own, or made now."""
    own = [name for name in ("split", "fold") if name in table.column_names]
    if values["train_on"] or values["test_on"]:
        return _across(table, values)
    asked = values["split"] or values["folds"] or values["loso"] or values["protocol"] or values["gap"]
    if own and values["folds"]:
        raise UsageError(f"the manifest has a {own[0]} already: leave out --folds, or index it again without")
    if own and not asked:
        return table
    return splitting.divided(table, how if how is not None else DISJOINT, values["seed"])


def _across(table: Table, values: dict[str, Any]) -> Table:
    """Train on some corpora, an eighth of their speakers for dev, and test on others."""
    corpus = manifest.codes(table, "corpus")
    there = [str(corpus.values[index]) for index in range(len(corpus.values))]
    for word in (*(values["train_on"] or ()), *(values["test_on"] or ())):
        if word not in there:
            raise UsageError(f"no corpus {word} in the manifest; there are {listed(there)}")
    test = set(values["test_on"] or set(there) - set(values["train_on"] or ()))
    train = set(values["train_on"] or set(there) - test)
    side = np.array([0 if name in train else 1 if name in test else -1 for name in there] + [-1], np.int16)[
        corpus.index
    ]
    split = splits.split_of_fold(side, {"speaker": manifest.codes(table, "speaker")}, 1, values["seed"])
    table = table.drop_columns([name for name in ("fold",) if name in table.column_names])
    return manifest.with_column(table, "split", manifest.from_codes(split, splits.PARTS))


def _trained(
    table: Table, design: Design, how: splitting.Asked, folder: Path, picked: str, values: dict[str, Any]
) -> Table:
    """All members of one way to divide; their held-out predictions together."""
    table = _divided(table, how, values)
    _refuse_leak(table, how)
    held = Run(table, design, folder, picked)
    members = runs.members(runs.divisions(table, values["seed"]), values["seeds"], values["seed"])
    parts = [_one(held, member, len(members)) for member in members]
    predictions = manifest.made_by(runs.together(parts), options.command_line(), values["seed"], table)
    if training.Team().leads:
        wire.write(predictions, str(folder / "predictions.parquet"), "parquet")
        _say_result(predictions, folder)
    return predictions


def _one(held: Run, member: Member, count: int) -> Table:
    if count > 1:
        talk.say(member.name)
    say = talk.say if count == 1 else talk.detail
    return held.member(member, lambda figures: say(runs.epoch_line(figures)))


def _refuse_leak(table: Table, how: splitting.Asked) -> None:
    """Speakers or copies on both sides are refused, unless a protocol that is known for it was asked for by name."""
    if _is_leaky(how):
        return
    parts = splitting.parts_of(table)
    groups = {name: manifest.codes(table, name) for name in ("speaker", "clip", "parent") if name in table.column_names}
    leaks = [finding for finding in splits.audit(parts, groups) if finding.leak]
    if leaks and str(how).partition(":")[0] != "sentence":
        raise SertoolError(f"the split leaks: {leaks[0]}; make another with --split, or name a leaky --protocol")


# What is said.


def _uar(table: Table) -> tuple[float, int]:
    """Unweighted average recall of held-out predictions, and on how many."""
    words = sorted({*manifest.column(table, "emotion"), *manifest.column(table, "predicted")} - {None})
    place = {word: index for index, word in enumerate(words)}
    both = zip(manifest.column(table, "emotion"), manifest.column(table, "predicted"), strict=True)
    truth, said = np.array([(place[one], place[other]) for one, other in both if one]).T
    return float(metrics.uar(metrics.tally(metrics.confusion(truth, said, len(words))))), len(truth)


def _say_result(table: Table, folder: Path) -> None:
    uar, count = _uar(table)
    part = manifest.counts(table, "split")[0][0]
    speakers = len(manifest.counts(table, "speaker"))
    talk.say(f"{part} UAR {100 * uar:.1f} on {count:,} clips of {speakers} speakers; the run lies in {folder}")


def _say_gap(plans: Sequence[tuple[str, splitting.Asked]], made: Sequence[Table]) -> None:
    (_, leaky), (_, disjoint) = plans
    flattered, honest = (100 * _uar(table)[0] for table in made)
    talk.say(
        f"optimism gap {flattered - honest:+.1f} points: {flattered:.1f} under {leaky}, {honest:.1f} under {disjoint}"
    )


def _say_plan(table: Table, design: Design, plans: Sequence[tuple[str, splitting.Asked]], folder: Path) -> None:
    for name, how in plans:
        what = f"{design.model} on {', '.join(design.features)} of {len(table):,} clips"
        talk.say(f"would train {what}, {how}, in {folder / name}")


def _clear(folder: Path) -> None:
    """Remove an earlier run's members."""
    for path in folder.iterdir():
        if path.is_dir() and (path.name.startswith(("fold-", "seed-")) or path.name in ("leaky", "disjoint")):
            shutil.rmtree(path)


def _join_team(picked: str) -> None:
    """Meet the other processes that torchrun started."""
    import torch

    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if picked == "cuda" else "gloo")
