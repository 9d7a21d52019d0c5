"""Show what a model file says about itself: `sertool predict --model-card`."""

from typing import Any

from sertool.divisions import protocols
from sertool.errors import SertoolError
from sertool.modelfiles.modelfile import ModelFile
from sertool.system import talk
from sertool.system.files import listed


def about(model: ModelFile) -> str:
    """Return the description that the model's publisher gave it."""
    text = model.trained.get("about")
    return f"{text}\n" if isinstance(text, str) else ""


def card(model: ModelFile) -> str:
    """Return a model's origin and figures as Markdown."""
    try:
        return "".join(f"- {line}\n" for line in _lines(model))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SertoolError(f"the model file does not say what it is ({error})") from None


def _lines(model: ModelFile) -> list[str]:
    trained, lines = (
        model.trained,
        [f"architecture: {model.architecture}", f"{model.kind.what}: {model.kind.described()}"],
    )
    lines.append(f"features: {', '.join(map(_feature, model.features.items()))}")
    encoders = trained.get("encoders") or ()
    lines += [f"encoder: {encoder['name']} ({encoder['licence']}; {encoder['citation']})" for encoder in encoders]
    corpora = trained.get("corpora") or {}
    if corpora:
        licences = trained.get("licences") or {}
        sources = (
            f"{name} ({talk.counted(count, 'clip')}; {licences.get(name, 'licence unknown')})"
            for name, count in corpora.items()
        )
        copies = f" and {trained['copies']:,} copies" if trained.get("copies") else ""
        speakers = talk.counted(trained["speakers"], "speaker") if trained.get("speakers") else "speakers unknown"
        lines.append(f"trained on: {', '.join(sources)}{copies}, {speakers}")
    lines += [f"made by: {command}" for command in trained.get("commands") or () if command]
    adapted = "" if model.scaling in ("none", "corpus") else ", adapted to each speaker by these clips"
    held_out = model.scores.get("expected")
    if held_out:
        lines.append(
            "held out: nothing, so that its own score is unknown; what else dev would decide follows from "
            f"{talk.counted(held_out['trainings'], 'training')} that held clips out"
        )
        lines.append(f"expected: {expected(model)}{adapted}")
    protocol = (held_out or trained).get("protocol")
    if protocol and not held_out:
        lines.append(f"divided by: {protocol}")
    if protocols.named(protocol).is_leaky:
        lines.append(f"LEAKY: {protocol} puts clips of one speaker on both sides: figures say nothing about new ones")
    decides = model.kind.metrics[0].name
    scored = () if about(model) else ("train", "dev", "test")  # a publisher's description has figures of its own
    parts = [part for part in scored if f"{part}_{decides}" in model.scores]
    lines += [f"{part}: {_figures(model, part)}{adapted}" for part in parts]
    return lines


def expected(model: ModelFile) -> str:
    """Return the figure that a model trained on all clips is expected to have, and whose it is."""
    figures, first = model.scores["expected"], model.kind.metrics[0]
    figure = f"{first.title} {first.text(figures[first.name])}{first.unit} {first.bounds(figures['interval'])}"
    who = talk.counted(figures["speakers"], "speaker") if figures["speakers"] else "unknown speakers"
    clips, protocol = talk.counted(figures["clips"], "clip"), figures["protocol"]
    division = f"LEAKY: {protocol}" if protocols.named(protocol).is_leaky else protocol
    unlearnt = f", without {listed(words)} where its training lacked that" if (words := figures.get("unlearnt")) else ""
    return f"about {figure}, as on {clips} of {who} held out{unlearnt}, {division}"


def _feature(item: tuple[str, Any]) -> str:
    name, record = item
    stats = f"{', '.join(record['stats'])} over time" if record.get("stats") else ""
    columns = record.get("settings", {}).get("columns", [])
    given = f"{talk.counted(len(columns), 'column')} given in a file: {listed(columns)}" if columns else ""
    said = "; ".join(filter(None, [stats, given]))
    return f"{name} ({said})" if said else name


def _figures(model: ModelFile, part: str) -> str:
    scores, shown = model.scores, model.kind.metrics
    known = [each for each in shown if f"{part}_{each.name}" in scores]
    values = [f"{each.title} {each.text(each.scale * scores[f'{part}_{each.name}'])}{each.unit}" for each in known]
    return ", ".join([*values, f"{scores[f'{part}_clips']:,} clips"])
