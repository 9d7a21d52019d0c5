"""From a model file to probabilities, for frames out of shards or for a waveform: both ways agree."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sertool import batches, extract, features, modelfile, models, shaping
from sertool.batches import Scaling
from sertool.errors import SertoolError
from sertool.extract import Clip, Recipe
from sertool.modelfile import Held

Voices = tuple[Scaling, Tensor]  # adapted to speakers, and which of them each clip is of, `[clips]`; 0 is nobody known


class Predictor:
    """A model file made ready on a device."""

    def __init__(self, held: Held, device: str = "cpu") -> None:
        self.held, self.labels, self.device = held, held.labels, torch.device(device)
        self.model = _network(held).to(self.device).eval()
        self.scaling = batches.kept_scaling(held, self.device)
        self.recipe = recipe_of(held.features)

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> "Predictor":
        return cls(modelfile.read(path), device)

    @torch.inference_mode()
    def probabilities(self, rows: Tensor, lengths: Tensor, voices: Voices | None = None) -> Tensor:
        """`[clips, classes]` of padded `[clips, time, columns]`."""
        scaling, group = (self.scaling, None) if voices is None else voices
        scaled = scaling.apply(rows.to(self.device), lengths, group)
        logits = self.model(scaled, lengths).float()
        return (logits / self.held.temperature).softmax(dim=1).cpu()

    def engine(self) -> extract.Engine:
        """What turns a clip into this model's rows."""
        return extract.Engine(self.recipe, self.device.type)

    def knowing(self, speakers: Sequence[Sequence[dict[str, np.ndarray]]]) -> Scaling:
        """Its scaling, adapted to speakers by what the engine made of some clips of each."""
        clips = [(place, self._parts(clip)) for place, own in enumerate(speakers) for clip in own]
        return self.scaling.knowing(batches.moments(clips, len(speakers), self.scaling.mean.shape[1]))

    def _parts(self, clip: dict[str, np.ndarray]) -> list[np.ndarray]:
        return [clip[name] for name in self.recipe.features]

    def of_clips(self, finished: Sequence[dict[str, np.ndarray]], voices: Voices | None = None) -> Tensor:
        """`[clips, classes]` of what the engine made of some clips."""
        rows = [np.concatenate(self._parts(clip), axis=1) for clip in finished]
        lengths = torch.tensor([len(one) for one in rows])
        padded = torch.zeros(len(rows), int(lengths.max()), rows[0].shape[1])
        for target, one in zip(padded, rows, strict=True):
            target[: len(one)] = torch.from_numpy(one)
        return self.probabilities(padded, lengths, voices)


def _network(held: Held) -> torch.nn.Module:
    """The network with its weights; a file whose tensors do not fit its settings is refused."""
    try:
        module = models.load(held.architecture)
        network = module.Model(module.Settings(**_tuples(held.settings)), held.columns, len(held.labels))
        weights = {
            name: torch.from_numpy(np.array(array))
            for name, array in held.tensors.items()
            if name not in batches.SCALING
        }
        network.load_state_dict(weights)
    except (RuntimeError, TypeError, ValueError, KeyError) as error:
        first = str(error).partition("\n")[0]
        raise SertoolError(f"the model file does not fit its own settings ({first})") from None
    return network


def _tuples(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as they were before JSON made lists of tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}


def recipe_of(records: dict[str, Any]) -> Recipe:
    """The features' recipe from what the shards recorded of it."""
    try:
        first = next(iter(records.values()))
        chosen = {name: features.settings(name, record["settings"]) for name, record in records.items()}
        wave = shaping.Wave(**first["wave"])
        recipe = Recipe(wave, chosen, tuple(first["normalize"]), tuple(first["stats"]), first["dtype"])
    except (StopIteration, KeyError, TypeError) as error:
        raise SertoolError(f"the model file does not say how its features are made ({error})") from None
    if any(record["wave"] != first["wave"] or record["stats"] != first["stats"] for record in records.values()):
        raise SertoolError("the model's features were made from different waveforms: make them in one run")
    return recipe


def rows_of_clip(engine: extract.Engine, clip: Clip) -> dict[str, np.ndarray]:
    """One clip's finished rows, on the engine's device."""
    wave = engine.decode(clip)
    return engine.alone(wave) if engine.device.type == "cpu" else engine.packed([wave])[0]
