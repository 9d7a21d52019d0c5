"""Compute answers with a model file, from the frames in shards or from a waveform; both give the same."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sertool import catalogue, features, models
from sertool.errors import SertoolError, UsageError, first_line
from sertool.featurize.engine import Engine
from sertool.featurize.extraction import Extraction
from sertool.modelfiles import batches, modelfile, packing, row_scaling, speaker_scaling
from sertool.modelfiles.modelfile import ModelFile
from sertool.modelfiles.row_scaling import Scaling
from sertool.networks import norm_folding
from sertool.sound import shaping
from sertool.system import device as devices
from sertool.system.files import listed

WAVE = (
    *catalogue.read(catalogue.PACKAGE / "sound/shaping.py", "Wave").settings,
    catalogue.Setting("seed", "int", 0, ""),
)
DTYPES = ("float16", "float32", "int16")
ALIKE = ("wave", "stats", "normalize")
TOGETHER = 16  # clips in a batch: more are no faster on a CPU, and pad more
Finished = dict[str, np.ndarray]  # a clip's rows by feature
Voices = tuple[Scaling, Tensor]  # a scaling adapted to speakers, and each clip's group in it, `[clips]`; 0 is unknown


class Predictor:
    """A model file loaded on a device; with `trim`, ends this many dB below the loudest frame are cut off."""

    def __init__(self, held: ModelFile, device: str = "cpu", trim: float | None = None) -> None:
        held = packing.opened(held)
        self.held, self.kind, self.device = held, held.kind, torch.device(device)
        self.precision = devices.computed(_trained_in(held), self.device.type)
        self.model = norm_folding.folded(network(held), self.precision).to(self.device)
        if device == "cpu" or self.precision == "bf16":
            self.model.to(memory_format=torch.channels_last)  # training's exceptions concern backward only
        self.scaling = row_scaling.kept(held, self.device)
        extraction = extraction_of(held.features)
        self.extraction = extraction if trim is None else replace(extraction, wave=replace(extraction.wave, trim=trim))

    @classmethod
    def load(cls, path: Path, device: str = "cpu", trim: float | None = None) -> "Predictor":
        return cls(modelfile.read(path), device, trim)

    @torch.inference_mode()
    def logits(self, rows: Tensor, lengths: Tensor, voices: Voices | None = None) -> Tensor:
        """Return outputs, `[clips, names]`, for padded rows, `[clips, time, columns]`."""
        scaling, group = (self.scaling, None) if voices is None else voices
        scaled = scaling.apply(rows.to(self.device), lengths, group)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return self.kind.joined(self.model(scaled, lengths).float().cpu())

    def answers(self, rows: Tensor, lengths: Tensor, voices: Voices | None = None) -> Tensor:
        """Return the numbers that the model answers, `[clips, names]`, such as calibrated probabilities."""
        alone, adapted = self.held.temperature, self.held.adapted_temperature
        temperature = alone if voices is None else torch.where(voices[1].cpu() > 0, adapted, alone)[:, None]
        return self.kind.numbers(self.logits(rows, lengths, voices), temperature)

    def known_speakers(self, speakers: Sequence[Sequence[Finished]]) -> Scaling:
        """Return the model's scaling adapted to speakers by the features of some clips of each."""
        clips = [clip for own in speakers for clip in own]
        group = np.repeat(np.arange(1, len(speakers) + 1), [len(own) for own in speakers])

        def ask(scaling: Scaling) -> np.ndarray:
            made = np.empty((len(clips), len(self.kind.names)), np.float32)
            for some in batches.in_order(self._lengths(clips)):
                voices = scaling, torch.from_numpy(group[some]).to(self.device)
                logits = self.logits(*self._padded([clips[place] for place in some]), voices)
                made[some] = self.kind.numbers(logits, self.held.temperature)
            return made

        parts = [self._parts(clip) for clip in clips]
        return speaker_scaling.adapted_by_model(parts, group, len(speakers), self.scaling, ask)

    def standardised_means(self, clips: Sequence[Finished]) -> list[np.ndarray]:
        """Return each clip's mean row, `[columns]`, in standard deviations from the training clips' mean."""
        mean, deviation = (part.cpu().numpy() for part in self.scaling.everybody)
        rows = (np.concatenate([part.mean(axis=0, dtype=np.float64) for part in self._parts(clip)]) for clip in clips)
        return [(row - mean) / deviation for row in rows]

    def _parts(self, clip: Finished) -> list[np.ndarray]:
        parts = [clip[name] for name in self.extraction.features]
        made = sum(part.shape[1] for part in parts)
        wanted = self.held.columns if self.scaling.matrix is None else len(self.scaling.matrix)
        if made != wanted:
            raise SertoolError(f"the model file's features have {made} columns, and its model takes {wanted}")
        return parts

    def of_clips(self, finished: Sequence[Finished], voices: Voices | None = None) -> Tensor:
        """Return answers, `[clips, names]`, for finished rows; clips of similar length share a batch."""
        found = torch.empty(len(finished), len(self.kind.names))
        for places in batches.in_order(self._lengths(finished), TOGETHER):
            some = batches.doubled_if_single(places, self.precision)
            who = None if voices is None else (voices[0], voices[1][some])
            found[some] = self.answers(*self._padded([finished[place] for place in some]), who)
        return found

    def _lengths(self, finished: Sequence[Finished]) -> np.ndarray:
        """Return the number of rows of each clip, `[clips]`."""
        return np.array([len(self._parts(clip)[0]) for clip in finished])

    def _padded(self, finished: Sequence[Finished]) -> tuple[Tensor, Tensor]:
        """Return padded rows, `[clips, time, columns]`, and the clips' lengths."""
        rows = [np.concatenate(self._parts(clip), axis=1) for clip in finished]
        lengths = torch.tensor([len(one) for one in rows])
        longest = int(lengths.max())
        alike = bool((lengths == longest).all())  # as for windows: without padding, no mask is needed
        padded = torch.zeros(len(rows), longest if alike else batches.rounded(longest), rows[0].shape[1])
        for target, one in zip(padded, rows, strict=True):
            target[: len(one)] = torch.from_numpy(one)
        return padded, lengths


def _trained_in(held: ModelFile) -> str:
    """Return the precision in which a network was trained, and in which it answers if the hardware supports it."""
    training = held.trained.get("training")
    return "bf16" if isinstance(training, dict) and training.get("precision") == "bf16" else "float32"


def network(held: ModelFile) -> torch.nn.Module:
    """Return the network with its weights; refuse a file whose tensors do not fit its settings.

    It is first built without memory, so that nothing larger than the file's own tensors is ever allocated.
    """
    arrays = {name: array for name, array in held.tensors.items() if name not in row_scaling.NAMES}
    try:
        module, settings = models.load(held.architecture), models.settings(held.architecture, _tuples(held.settings))
        size = held.columns, len(held.labels)
        with torch.device("meta"):
            planned = module.Model(settings, *size)
        _require_fitting(arrays, planned, fixed=not models.fits_at_once(held.architecture))
        made = module.Model(settings, *size)
        made.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
        if models.fits_at_once(held.architecture):
            _try_out(made.eval(), size)
    except (RuntimeError, TypeError, ValueError, KeyError, IndexError, AssertionError, UsageError) as error:
        first = first_line(error)
        raise SertoolError(f"the model file does not fit its own settings ({first})") from None
    return made.eval()


def _require_fitting(arrays: dict[str, np.ndarray], planned: torch.nn.Module, *, fixed: bool) -> None:
    """Refuse a file whose tensors do not match its settings; classical models' tensors may have any size."""
    wanted = {name: tuple(tensor.shape) for name, tensor in planned.state_dict().items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    if wanted.keys() != shapes.keys() or (fixed and wanted != shapes):
        odd = sorted(wanted.items() ^ shapes.items()) if fixed else sorted(wanted.keys() ^ shapes.keys())
        raise ValueError(f"tensors such as {odd[0]} are missing, of another size, or too many")


@torch.inference_mode()
def _try_out(network: torch.nn.Module, size: tuple[int, int]) -> None:
    """Refuse a classical model, whose tensors may be of any size, if it cannot answer for a clip."""
    answer = network(torch.zeros(1, 1, size[0]), torch.ones(1, dtype=torch.long))
    if tuple(answer.shape) != (1, size[1]):
        raise ValueError(f"it answers {list(answer.shape)}")


def _tuples(settings: dict[str, Any]) -> dict[str, Any]:
    """Turn the lists that JSON made of a settings' tuples back into tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}


def extraction_of(records: dict[str, Any]) -> Extraction:
    """Return the extraction of the features from the records in their shards."""
    try:
        chosen = {name: features.of_record(name, record["settings"]) for name, record in records.items()}
        computed = {name: record for name, record in records.items() if not features.from_file(name)}
        first = next(iter((computed or records).values()))
        catalogue.check("the waveform", WAVE, first["wave"])
        wave = shaping.Wave(**first["wave"])
        extraction = Extraction(wave, chosen, tuple(first["normalize"]), tuple(first["stats"]), first["dtype"])
        known = {*extraction.normalize} <= shaping.NORMALIZATIONS.keys() and {*extraction.stats} <= shaping.STATS.keys()
        if not known or len(extraction.normalize) > 16 or any(each["dtype"] not in DTYPES for each in records.values()):
            raise ValueError("unknown steps")
        odd = [what for what in ALIKE if any(record[what] != first[what] for record in computed.values())]
    except (StopIteration, KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise SertoolError(f"the model file does not say how its features are made ({error})") from None
    usual = replace(extraction, dtype=None)
    stored = [
        each for each in (usual, extraction) if all(each.stored(name) == computed[name]["dtype"] for name in computed)
    ]
    if odd or not stored:
        what = listed(odd or ["dtype"])
        raise SertoolError(
            f"{listed(sorted(computed))} were not made alike ({what}), and a model hears all its "
            "features in one way: make them in one run of featurize"
        )
    return stored[0]


def engine_of(extraction: Extraction, device: str) -> Engine:
    """Return the engine for an extraction; refuse features from a file, or an encoder whose tensors do not fit."""
    if name := next(filter(features.from_file, extraction.features), None):
        columns = listed(extraction.features[name].columns, 2)
        raise UsageError(
            f"the model takes {name} ({columns}), which a file gave and no sound tells: name a manifest that "
            "`sertool featurize --given` made of the same columns"
        )
    try:
        return Engine(extraction, device)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        first = first_line(error)
        raise SertoolError(f"the model file's features cannot be made ({first})") from None
