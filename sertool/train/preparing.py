"""Prepare the inputs of a training: the rows of manifests, and their features, which a recipe may make."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from sertool import encoders, features, models
from sertool.divisions import own_division
from sertool.errors import SertoolError, UsageError
from sertool.featurize import engine, featurizing, presets
from sertool.featurize.extraction import Extraction
from sertool.featurize.featurizing import ShardFolder
from sertool.manifests import duplicates, manifest, manifest_io, merging, row_filter
from sertool.manifests.manifest import Table
from sertool.modelfiles import batches
from sertool.networks import weights
from sertool.pretraining import encoder_trainings
from sertool.system import talk
from sertool.system.files import listed
from sertool.train.design import Design, KnownFeatures, trainings_of_blocks
from sertool.train.designing import DesignOptions


@dataclass(frozen=True)
class Inputs:
    """Where the rows come from, and how they are filtered."""

    sources: Sequence[str]  # manifests
    root: str | None = None  # where their audio is now
    where: Sequence[str] = ()


def read(inputs: Inputs) -> Table:
    """Read the usable rows of one or several manifests; the result is divided if any of them is."""
    table = merging.merged([manifest_io.read(source, inputs.root) for source in inputs.sources])
    table = _without_equal_sounds(table) if len(inputs.sources) > 1 else table
    table = row_filter.choose(manifest.keep(table, manifest.usable(table)), inputs.where)
    if not len(table):
        raise SertoolError("no usable clip is left to train on")
    return own_division.without_empty_columns(table)


def _without_equal_sounds(table: Table) -> Table:
    """Set aside clips that occur in several manifests under different names."""
    was_usable, table = manifest.usable(table), duplicates.marked(table)
    if rows := np.flatnonzero(was_usable & ~manifest.usable(table)).tolist():
        clip, issue = (manifest.cell(table, name, rows[0]) for name in ("clip", "issue"))
        talk.warn(f"{talk.counted(len(rows), 'clip')} set aside that several manifests have, such as {clip}: {issue}")
    return table


def featurized(table: Table, to_make: Extraction | None, place: ShardFolder, device: str, jobs: int) -> Table:
    """Return the table with a recipe's features, made now if it has none."""
    if to_make is None:
        return table
    table = featurizing.run(table, to_make, place, device, jobs)
    return manifest.keep(table, manifest.usable(table))


def features_to_make(
    table: Table, design: Design, options: DesignOptions, device: str, *, fetch: bool = True
) -> Extraction | None:
    """Return how to make a recipe's features for a table without any, as the model needs them; None without a recipe.

    Weights come from where the command line says, else from where the preset says; later code uses only the former.
    Without `fetch`, None is also returned if weights might have to be downloaded.
    """
    weights.use_file(options.weights)
    preset = options.published.get("preset")
    if batches.featured(table) or preset is None:
        return None
    place = options.weights or presets.PRESETS[preset]["options"].get("weights")
    if not fetch and place is None and any(map(features.encoded, presets.PRESETS[preset]["features"])):
        return None
    with weights.using_file(place):
        return of_preset(preset, device, _input_options(design))


def _input_options(design: Design) -> dict[str, str]:
    """Return the options of the features that the model takes, if its settings determine them."""
    module = models.load(design.model)
    return module.input_options(design.settings) if hasattr(module, "input_options") else {}


def known(table: Table, design: Design, to_make: Extraction | None) -> KnownFeatures:
    """Return what is known of a model's features, from their shards or from how they will be made."""
    if batches.featured(table):
        heads = {name: batches.heads(table, name) for name in filter(None, (*design.features, design.imitate))}
        records = {name: heads[name][0].settings for name in design.features}
        width: int | None = sum(len(heads[name][0].columns) for name in design.features)
        trainings = {name: batches.trainings(own) for name, own in heads.items()}
    elif to_make is not None:
        records = {name: to_make.record(name) for name in design.features}
        width = engine.width(to_make.only(design.features))
        trainings = {name: encoder_trainings.of_weights(name, record["settings"]) for name, record in records.items()}
    else:
        records, width, trainings = {}, None, {}
    more = trainings_of_blocks(design, records)
    return KnownFeatures(records, width, {name: own + more.get(name, []) for name, own in trainings.items()})


def grouped(design: Design, options: DesignOptions, records: Mapping[str, Any]) -> Design:
    """Fill in the model's settings `groups` and `stats` from its feature, unless they were given.

    Several features, or columns that are selected or mapped, are one group, as they do not divide into equal parts.
    """
    settings = vars(design.settings)
    if "groups" not in settings or not records:
        return design
    given_names = {pair.partition("=")[0].strip() for pair in options.settings}
    if len(records) > 1 or design.select is not None or design.reduce is not None:
        groups = {name: 1 for name in ("groups", "stats") if name in settings}
    else:
        ((feature, record),) = records.items()
        groups = _groups(feature, record, by_stat="stats" not in settings)
    groups = {name: count for name, count in groups.items() if name not in given_names}
    return replace(design, settings=models.settings(design.model, settings | groups))


def _groups(feature: str, record: Mapping[str, Any], *, by_stat: bool) -> dict[str, int]:
    """Return the number of groups of columns and of statistics in each.

    Each layer of each channel is a group or, with `by_stat`, each statistic is.
    """
    choice = features.entry(feature).facts.get("CHOICE")
    layers = len(_layers(feature, record["settings"]["layers"], record["settings"][choice])) if choice else 1
    groups = layers * features.sides(record)
    stats = max(1, len(record["stats"]))
    return {"groups": groups * stats} if by_stat else {"groups": groups, "stats": stats}


def _layers(feature: str, text: str, kind: str) -> tuple[int, ...]:
    """Return the numbers of an encoder's layers, as `--layers` names them."""
    return encoders.parse_layers(text, encoders.load(feature).SIZES[kind]["layers"])


def compare_features(options: DesignOptions, design: Design, records: Mapping[str, Any]) -> None:
    """Warn if a manifest's features differ from the recipe's; refuse wholly different ones not named by --features."""
    preset = options.published["preset"]
    subject = f"--recipe {options.recipe}" if options.recipe else f"-m {options.model}"
    expected = presets.PRESETS[preset]["features"]
    if {*expected}.isdisjoint(records) and options.recipe and not options.features:
        raise UsageError(
            f"{subject} is for {listed(expected)}, and the manifest has {listed(sorted(records))}: give it one "
            f"without features, and they are made, or name those that it is to learn from with --features"
        )
    odd = [] if {*expected} == {*records} else [f"{listed(sorted(records))}, not {listed(sorted(expected))}"]
    usual = {"stats": (), "normalize": ()} | presets.PRESETS[preset]["options"] | _input_options(design)
    odd += [word for feature in expected if feature in records for word in _unlike(feature, records[feature], usual)]
    if odd:
        talk.warn(
            f"{subject} is for features as `featurize --preset {preset}` makes them, and the manifest has "
            f"others: {'; '.join(dict.fromkeys(odd))}"
        )


def _unlike(feature: str, record: Mapping[str, Any], usual: Mapping[str, Any]) -> Iterator[str]:
    """Yield the settings of a feature that differ from the usual options."""
    own = asdict(features.of_record(feature, record["settings"]))  # with those that are not recorded
    recorded = own | record["wave"] | {word: record[word] for word in ("stats", "normalize")}
    for word, value in usual.items():
        setting = (
            features.entry(feature).facts["CHOICE"] if word == f"want_{feature}" else word.removeprefix(f"{feature}_")
        )
        if (setting, value) == ("layers", "all"):  # shards list the layers by number
            value = encoders.spelled(_layers(feature, "all", recorded[features.entry(feature).facts["CHOICE"]]))  # noqa: PLW2901
        has, expected = _as_text(recorded.get(setting, value)), _as_text(value)
        if setting != "weights" and has not in (expected, "all"):
            yield f"{setting} {has}, not {expected}"


def of_preset(name: str, device: str = "cpu", otherwise: Mapping[str, Any] | None = None) -> Extraction:
    """Return the extraction that `featurize --preset` would follow, with some options changed."""
    preset = presets.PRESETS[name]
    options = preset["options"] | (otherwise or {})
    return engine.checked(Extraction.of_options(preset["features"], options), device)


def _as_text(usual: Any) -> str:
    if usual is None or usual in ((), [], ""):
        return "none"
    return ",".join(map(str, usual)) if isinstance(usual, tuple | list) else str(usual)
