"""What a model file says of itself, for people: `sertool predict --model-card`."""

from typing import Any

from sertool import splits, talk
from sertool.errors import SertoolError
from sertool.modelfile import ModelFile


def about(held: ModelFile) -> str:
    """What whoever gave a model away says of it."""
    text = held.trained.get("about")
    return f"{text}\n" if isinstance(text, str) else ""


def card(held: ModelFile) -> str:
    """A model's origin and figures, as Markdown."""
    try:
        return "".join(f"- {line}\n" for line in _lines(held))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SertoolError(f"the model file does not say what it is ({error})") from None


def _lines(held: ModelFile) -> list[str]:
    trained, lines = held.trained, [f"architecture: {held.architecture}", f"emotions: {', '.join(held.labels)}"]
    lines.append(f"features: {', '.join(map(_feature, held.features.items()))}")
    lines += [f"encoder: {one['name']} ({one['licence']}; {one['citation']})" for one in trained.get("encoders") or ()]
    corpora = trained.get("corpora") or {}
    if corpora:
        licences = trained.get("licences") or {}
        shown = (
            f"{name} ({talk.counted(count, 'clip')}; {licences.get(name, 'licence unknown')})"
            for name, count in corpora.items()
        )
        copies = f" and {trained['copies']:,} copies" if trained.get("copies") else ""
        who = talk.counted(trained["speakers"], "speaker") if trained.get("speakers") else "speakers unknown"
        lines.append(f"trained on: {', '.join(shown)}{copies}, {who}")
    lines += [f"made by: {command}" for command in trained.get("commands") or () if command]
    if protocol := trained.get("protocol"):
        lines.append(f"divided by: {protocol}")
    if splits.entry(protocol).get("leaky"):
        lines.append(f"LEAKY: {protocol} puts clips of one speaker on both sides: figures say nothing about new ones")
    adapted = "" if held.scaling in ("none", "corpus") else ", adapted to each speaker by these clips"
    parts = [part for part in ("train", "dev", "test") if f"{part}_uar" in held.scores]
    lines += [f"{part}: {_figures(held.scores, part)}{adapted}" for part in parts]
    return lines


def _feature(item: tuple[str, Any]) -> str:
    name, record = item
    stats = record.get("stats")
    return f"{name} ({', '.join(stats)} over time)" if stats else name


def _figures(scores: dict[str, Any], part: str) -> str:
    uar, accuracy = (100 * scores[f"{part}_{figure}"] for figure in ("uar", "wa"))
    return f"UAR {uar:.1f} %, accuracy {accuracy:.1f} %, {scores[f'{part}_clips']:,} clips"
