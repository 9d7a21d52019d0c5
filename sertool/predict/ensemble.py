"""Let several models answer together, and adapt them to known speakers."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from sertool.errors import UsageError
from sertool.featurize.engine import Engine
from sertool.featurize.extraction import Extraction
from sertool.modelfiles import inference, modelfile, packing
from sertool.modelfiles.inference import Finished, Predictor
from sertool.modelfiles.row_scaling import Scaling
from sertool.networks import weights
from sertool.sound import ratios, shaping, stretching
from sertool.system import talk
from sertool.system.files import listed

Waveforms = list[Tensor]  # a clip's `[channels, samples]` for each speed and extraction
ClipFeatures = list[Finished]  # a clip's rows for each speed and extraction
AS_IT_IS = Fraction(1)
SHOWN = 3  # models in a message


@dataclass(frozen=True)
class KnownSpeakers:
    """The scalings of each member, at each speed, for known speakers; None for members that cannot adapt."""

    scalings: list[list[Scaling] | None]
    speakers: list[str]
    spans: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # of each enrolled file, in seconds

    def places(self, who: Sequence[str], device: torch.device) -> Tensor:
        """Return the speakers' groups, `[clips]`; 0 is for unknown ones."""
        place = {name: index for index, name in enumerate(self.speakers, 1)}
        return torch.tensor([place.get(name, 0) for name in who], device=device)


def load(
    runs: Sequence[Sequence[Path]],
    device: str,
    trim: float | None,
    speeds: Iterable[float],
    encoder: str | None,
) -> "Ensemble":
    """Load the models of all runs; `trim` and `encoder` are the values of --trim and --weights."""
    fractions, models = [*map(_speed, speeds)], [path for run in runs for path in run]
    weights.use_file(encoder)
    if encoder and not any(packing.lacks_encoder(modelfile.read(path)) for path in models):
        raise UsageError(f"--weights {encoder}: the model file holds all that its features need: leave it out")
    ensemble = Ensemble([Predictor.load(path, device, trim) for path in models], [*map(len, runs)], fractions)
    _say_unknown(models, ensemble)
    return ensemble


def _say_unknown(paths: Sequence[Path], ensemble: "Ensemble") -> None:
    """Say which models do not know which emotions of the others."""
    without: dict[str, list[Path]] = {}
    for path, member in zip(paths, ensemble.members, strict=True):
        if unknown := listed(word for word in ensemble.kind.names if word not in member.kind.names):
            without.setdefault(unknown, []).append(path.parent)
    for unknown, folders in without.items():
        count = f"{len(folders)} of {talk.counted(len(paths), 'model')}"
        talk.say(f"{count} learnt without {unknown}, and count that as impossible: {listed(folders, SHOWN)}")


def among(words: Sequence[str], answers: Tensor, own: Sequence[str]) -> Tensor:
    """Return answers for `words`, `[clips, words]`, from those of a model for its `own`, `[clips, own]`; else 0."""
    found = torch.zeros(len(answers), len(words))
    found[:, [words.index(word) for word in own]] = answers
    return found


def _speed(speed: float) -> Fraction:
    nearest = ratios.ratio(speed)
    if nearest == 1 != speed:
        raise UsageError(f"--speeds {speed:g}: too near 1 to be told from it, as steps are of a hundredth")
    return nearest


class Ensemble:
    """One or several models whose answers are averaged.

    Members are averaged within each run, of which `sizes` says how many it has, and then runs with equal weight. Runs
    must have the same emotions. A member that does not know all of them, as a fold's training clips may lack some,
    gives the others no probability. A clip is played at each of `speeds`, as from a tape, and its answers are averaged.
    """

    def __init__(
        self, members: Sequence[Predictor], sizes: Sequence[int] = (), speeds: Sequence[Fraction] = (AS_IT_IS,)
    ) -> None:
        self.members, self.speeds = members, speeds
        names = dict.fromkeys(word for member in members for word in member.kind.names)
        self.kind = replace(members[0].kind, names=[*names])
        ends = np.cumsum(sizes or [len(members)]).tolist()
        self.runs = [range(*ends_of) for ends_of in pairwise([0, *ends])]
        self._refuse_other_answers()
        self.extractions: list[Extraction] = []
        for member in members:
            if member.extraction not in self.extractions:
                self.extractions.append(member.extraction)
        self._engines: list[Engine] = []
        self._making = Lock()
        if len({(extraction.wave.rate, extraction.wave.channels) for extraction in self.extractions}) > 1:
            raise UsageError("the models take audio of different rates or channels: ask one, or train them alike")

    def _refuse_other_answers(self) -> None:
        """Refuse runs that answer something else."""
        if len({member.kind.what for member in self.members}) > 1:
            raise UsageError("some of the models answer emotions, and others dimensions: ask those of one kind")
        known = [{word for place in run for word in self.members[place].kind.names} for run in self.runs]
        if partly := [word for word in self.kind.names if not all(word in words for words in known)]:
            lack = f"the models know different {self.kind.what} (not all know {listed(partly)})"
            raise UsageError(f"{lack}: ask one, or train them alike")
        for name in self.members[0].kind.scaled():
            self._refuse_other_scales(name)

    def _refuse_other_scales(self, name: str) -> None:
        """Refuse runs that learnt a dimension on scales without a value in common; folds of a run may differ."""
        of_members = [member.kind.scaled() for member in self.members]
        of_runs = [[of_members[place][name] for place in run if name in of_members[place]] for run in self.runs]
        ends = [(min(each["low"] for each in run), max(each["high"] for each in run)) for run in of_runs]
        lows, highs = zip(*ends, strict=True)
        if max(lows) > min(highs):
            scales = listed((f"{low:.4g} to {high:.4g}" for low, high in ends), SHOWN)
            what = f"the models learnt {name} on scales without a value in common ({scales})"
            raise UsageError(f"{what}: ask one, or train them alike")

    @property
    def engines(self) -> list[Engine]:
        """The engines that compute features, shared by all workers."""
        self.build_engines()
        return self._engines

    def build_engines(self) -> None:
        """Build the engines unless they are there; not before the first clip, as they look for weights of encoders."""
        with self._making:
            if not self._engines:
                device = self.members[0].device.type
                self._engines = [inference.engine_of(extraction, device) for extraction in self.extractions]

    @property
    def batches_on_device(self) -> bool:
        """Whether the device takes the clips of a batch together."""
        return self.members[0].device.type != "cpu"

    def waveforms(self, samples: np.ndarray, name: str) -> Waveforms:
        """Return a clip's waveform, `[channels, samples]`, for each speed and extraction."""
        sounds = [stretching.resampled_by(torch.from_numpy(samples), speed) for speed in self.speeds]
        return [shaping.shape(sound, engine.extraction.wave, name) for sound in sounds for engine in self.engines]

    def features_of(self, sounds: Sequence[Waveforms]) -> list[ClipFeatures]:
        """Return the features of each clip's waveforms; raise `TooLarge` if a value cannot be stored."""
        made = [
            engine.packed(waves) if self.batches_on_device else [engine.alone(wave) for wave in waves]
            for engine, waves in zip(self.engines * len(self.speeds), zip(*sounds, strict=True), strict=True)
        ]
        return [list(clip) for clip in zip(*made, strict=True)]

    def answers(
        self,
        features: Sequence[ClipFeatures],
        known: KnownSpeakers | None = None,
        who: Sequence[str] = (),
        asked: Sequence[Sequence[int] | None] = (),
    ) -> Tensor:
        """Return answers, `[clips, names]`, averaged over the members asked for each clip, by default all.

        `asked` has their numbers, and `who` the speaker of each clip, if speakers are known.
        """
        if not any(asked):
            return self._mean(dict(enumerate(self.by_member(features, known, who))))
        chosen = [self._among(own or ()) for own in asked]
        answers: list[dict[int, Tensor]] = [{} for _ in features]
        for place in range(len(self.members)):
            clips = [clip for clip, runs in enumerate(chosen) if any(place in run for run in runs)]
            own = [who[clip] for clip in clips] if who else ()
            found = self._answers_of(place, [features[clip] for clip in clips], known, own)
            for clip, answer in zip(clips, found, strict=True):
                answers[clip][place] = answer
        return torch.stack([self._mean(by_place) for by_place in answers])

    def _among(self, asked: Collection[int]) -> list[list[int]]:
        """Return for each run which of its members are asked; all of them if none is."""
        return [[place for place in run if place in asked] or [*run] for run in self.runs]

    def _mean(self, answers: dict[int, Tensor]) -> Tensor:
        """Average the members' answers, given by number, within each run and then over runs."""
        runs = self._among(answers)
        return torch.stack([torch.stack([answers[place] for place in run]).mean(dim=0) for run in runs]).mean(dim=0)

    def by_member(
        self, features: Sequence[ClipFeatures], known: KnownSpeakers | None = None, who: Sequence[str] = ()
    ) -> list[Tensor]:
        """Return each member's own answers."""
        return [self._answers_of(place, features, known, who) for place in range(len(self.members))]

    def _answers_of(
        self, place: int, features: Sequence[ClipFeatures], known: KnownSpeakers | None, who: Sequence[str]
    ) -> Tensor:
        """Return one member's answers, `[clips, names]`, averaged over speeds; 0 for what it does not know."""
        member, scalings = self.members[place], None if known is None else known.scalings[place]
        group = None if known is None or scalings is None else known.places(who, member.device)
        answers = []
        for turn, clips in enumerate(self._rows_of(member, features)):
            own = None if scalings is None or group is None else (scalings[turn], group)
            answers.append(member.of_clips(clips, own))
        return among(self.kind.names, torch.stack(answers).mean(dim=0), member.kind.names)

    @cached_property
    def adapting(self) -> Predictor | None:
        """The first member that can adapt to speakers."""
        return next((member for member in self.members if member.scaling.adapts), None)

    def standardised_means(self, features: Sequence[ClipFeatures]) -> list[np.ndarray]:
        """Return each clip's mean row, standardised by the first member that can adapt; empty if none can."""
        member = self.adapting
        return [] if member is None else member.standardised_means(self._rows_of(member, features)[0])

    def known_speakers(self, speakers: dict[str, list[ClipFeatures]]) -> KnownSpeakers:
        """Return the scalings for speakers by some clips of each; each speed counts as a voice of its own."""
        return KnownSpeakers([self._scalings(member, speakers.values()) for member in self.members], list(speakers))

    def _scalings(self, member: Predictor, speakers: Iterable[Sequence[ClipFeatures]]) -> list[Scaling] | None:
        """Return a member's scaling for some speakers at each speed, or None if it cannot adapt."""
        if not member.scaling.adapts:
            return None
        at_speeds = zip(*(self._rows_of(member, clips) for clips in speakers), strict=True)
        return [member.known_speakers(clips) for clips in at_speeds]

    def _rows_of(self, member: Predictor, features: Sequence[ClipFeatures]) -> list[list[Finished]]:
        """Return a member's rows of some clips at each speed."""
        first, step = self.extractions.index(member.extraction), len(self.extractions)
        return [[made[turn * step + first] for made in features] for turn in range(len(self.speeds))]
