"""Normalise a speaker's rows by the mean and variance of the speaker's own clips, whatever emotions these have.

If a speaker's clips are spread evenly over all emotions, their plain mean and variance are the best estimate. If most
are of one emotion, the plain mean contains that emotion, and subtracting it would remove the emotion with the voice. So
the effect of the emotions is subtracted first: with d[e] the offset that emotion e adds to anyone's mean, as fitted to
the training speakers, and p[i, e] the probability that the model gives it in clip i,

    x[i] - sum_e p[i, e] d[e]

has the mean of the voice alone; the variance that the emotions add on average, mean_e d[e]^2, is added back. A model
answers as if all emotions were equally frequent, and so leaves some doubt in each clip of a speaker who is always
neutral; so the emotions' frequencies in the speaker's clips are estimated first, and the answers weighted by them. As
answers and scaling depend on each other, both are computed in turn; two rounds are enough.

The plain and the corrected estimate are blended. In training, the emotions are known: the more evenly they are spread,
the more the plain estimate counts. Afterwards it counts if the model is as sure of its answers with it as without:
clips of one emotion, normalised by their own mean, lie between all emotions, which makes the model unsure. This holds
for recordings of any kind, even if the answers themselves may be wrong. The result is shrunk towards the mean and
variance of all speakers, the more so the fewer clips there are.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from sertool.modelfiles import row_scaling
from sertool.modelfiles.batches import Store
from sertool.modelfiles.row_scaling import Scaling
from sertool.networks.classical import deviation_of
from sertool.numeric.codes import crossed

ROUNDS = 2
WEIGHTINGS = 30  # rounds of fitting frequencies and answers to one another
CAUTION = 2  # in training the plain moments' weight is the evenness to this power
DOUBT = 0.14  # of a guess's entropy: plain moments get no weight if they make answers this much less sure
FITTING = 10  # rounds of fitting voices and emotions in turn to the training clips

Parts = Sequence[np.ndarray]  # a clip's rows, `[rows, width]` of each feature
Trust = Callable[[np.ndarray], float]  # returns the weight of a speaker's plain moments, by the clips' indices
Ask = Callable[[Scaling], np.ndarray]  # returns the model's answers under a scaling, `[clips, emotions]`


@dataclass(frozen=True)
class RowSums:
    """Sums over the rows of some clips, from which moments are computed; `rows` `[clips, 1]` counts each clip's."""

    rows: np.ndarray
    total: np.ndarray  # float64 `[clips, columns]`
    squares: np.ndarray  # float64 `[columns]`

    def moments(self, shift: np.ndarray | float = 0.0) -> np.ndarray:
        """Return mean and variance of all rows, `[2, columns]`, less each clip's `shift`, `[clips, columns]`."""
        count = self.rows.sum()
        mean = (self.total - self.rows * shift).sum(axis=0) / count
        squares = self.squares + (shift * (self.rows * shift - 2 * self.total)).sum(axis=0)
        return np.stack([mean, np.maximum(squares / count - mean**2, 0)])


def summed(clips: Iterable[Parts]) -> RowSums:
    count, total, squares = [], [], np.zeros(1)
    for parts in clips:
        rows = np.concatenate(parts, axis=1).astype(np.float64)
        count.append([len(rows)])
        total.append(rows.sum(axis=0))
        squares = squares + np.square(rows).sum(axis=0)
    return RowSums(np.array(count), np.stack(total), squares)


class SpeakerClips(NamedTuple):
    """The clips of one speaker: their indices among all clips, and their sums."""

    places: np.ndarray
    sums: RowSums | None  # None for a speaker without clips


def voice_moments(own: RowSums, shares: np.ndarray, offsets: np.ndarray, trust: float) -> np.ndarray:
    """Return mean and variance of a voice, `[2, columns]`, given its clips' probabilities, `[clips, emotions]`."""
    residual = own.moments(shares @ offsets)
    residual[1] += np.square(offsets).mean(axis=0)
    return trust * own.moments() + (1 - trust) * residual


def weighted(shares: np.ndarray) -> np.ndarray:
    """Return a speaker's probabilities, `[clips, emotions]`, weighted by the emotions' frequencies that they imply.

    By expectation maximisation (Saerens et al., 2002), beginning with equal frequencies. One more clip of each emotion
    is counted, so that no frequency becomes zero and few clips change little.
    """
    weights = shares
    for _ in range(WEIGHTINGS):
        weights = shares * (weights.sum(axis=0) + 1)
        weights /= weights.sum(axis=1, keepdims=True)
    return weights


def evenness(shares: np.ndarray) -> float:
    """Return how even `shares` `[emotions]` are, by their perplexity: 0 for a single emotion, 1 if all are equal."""
    shares = shares / shares.sum()
    return float((np.exp(-(shares * np.log(np.maximum(shares, 1e-12))).sum()) - 1) / (len(shares) - 1))


def entropy(shares: np.ndarray) -> float:
    """Return the mean entropy of clips' probabilities, `[clips, emotions]`: 0 for certainty, 1 for a guess."""
    return float(-(shares * np.log(np.maximum(shares, 1e-12))).sum(axis=1).mean() / np.log(shares.shape[1]))


def evenness_in(shares: np.ndarray) -> Trust:
    """Return the trust in plain moments for known emotions: the more even these are, the higher."""
    return lambda at: evenness(shares[at].mean(axis=0)) ** CAUTION


def with_speakers(scaling: Scaling, voices: Sequence[tuple[int, np.ndarray | float]]) -> Scaling:
    """Return a scaling with speakers as groups 1, 2 and so on, each given by its number of clips and `[2, columns]`.

    Everybody's mean M and variance V, those of group 0, count beside a speaker's m and v like k more clips:

        (n m + k M) / (n + k)  and  (n' v + k V) / (n' + k),  n' = n - 1,

    as the variance of a single clip says nothing about how clips differ.
    """
    usual_mean, usual_deviation = scaling.everybody
    everybody = np.stack([usual_mean.cpu().double().numpy(), usual_deviation.cpu().double().numpy() ** 2])
    statistics = [everybody]
    for clips, moments in voices:
        counts = np.array([[clips], [max(clips - 1, 0)]], float)
        share = counts / np.maximum(counts + scaling.prior_clips, 1e-9)
        statistics.append(share * moments + (1 - share) * everybody)
    mean, variance = np.stack(statistics, axis=1)
    tensors = row_scaling.tensors_of((mean, deviation_of(mean, variance)), usual_mean.device)
    return replace(scaling, mean=tensors[0], deviation=tensors[1])


def by_speaker(clips: Sequence[Parts], group: np.ndarray, speakers: int) -> Iterator[SpeakerClips]:
    """Yield the clips of each speaker in turn; speakers are numbered from 1 in `group` `[clips]`."""
    for speaker in range(1, speakers + 1):
        places = np.flatnonzero(group == speaker)
        yield SpeakerClips(places, summed(clips[place] for place in places.tolist()) if len(places) else None)


def adapted(speakers: Iterable[SpeakerClips], shares: np.ndarray, trust: Trust, scaling: Scaling) -> Scaling:
    """Return the scaling adapted to speakers, given the probabilities of all clips, `[clips, emotions]`."""
    nothing = np.zeros((shares.shape[1], 1))
    added = nothing if scaling.offsets is None else scaling.offsets.cpu().double().numpy()
    voices = [
        (len(at), 0.0 if own is None else voice_moments(own, shares[at], added, trust(at))) for at, own in speakers
    ]
    return with_speakers(scaling, voices)


def adapted_by_model(clips: Sequence[Parts], group: np.ndarray, speakers: int, scaling: Scaling, ask: Ask) -> Scaling:
    """Return the scaling adapted to speakers by the model's own probabilities, computing both in turn."""
    every = list(by_speaker(clips, group, speakers))
    unadapted = ask(with_speakers(scaling, [(0, 0.0)] * speakers))
    plain = ask(with_speakers(scaling, [(len(at), 0.0 if sums is None else sums.moments()) for at, sums in every]))

    def trust(at: np.ndarray) -> float:
        return float(np.clip(1 - (entropy(plain[at]) - entropy(unadapted[at])) / DOUBT, 0, 1))

    def corrected(answers: np.ndarray) -> Scaling:
        shares = answers.copy()
        for at, _ in every:
            shares[at] = weighted(answers[at])
        return adapted(every, shares, trust, scaling)

    result = corrected(unadapted)
    for _ in range(ROUNDS - 1):
        result = corrected(ask(result))
    return result


def offsets(clips: Sequence[Parts], group: np.ndarray, truth: np.ndarray, emotions: int) -> np.ndarray:
    """Return what each emotion adds to the mean of a clip's rows, for any speaker: `[emotions, columns]`, with mean 0.

    A clip's mean is modelled as a voice's plus an emotion's. Each is fitted in turn to the residual of the other, over
    all pairs of a voice and an emotion that exist, with equal weights.
    """
    count = crossed(group, truth, (int(group.max()) + 1, emotions))
    exists = np.sign(count)
    by_voice, by_emotion = (exists / np.maximum(exists.sum(axis=axis, keepdims=True), 1) for axis in (1, 0))
    columns = sum(part.shape[1] for part in clips[0])
    voiced, moved = np.zeros((len(count), columns)), np.zeros((emotions, columns))
    for parts, speaker, emotion in zip(clips, group, truth, strict=True):
        mean = np.concatenate([part.mean(axis=0, dtype=np.float64) for part in parts]) / count[speaker, emotion]
        voiced[speaker] += by_voice[speaker, emotion] * mean
        moved[emotion] += by_emotion[speaker, emotion] * mean
    shift = np.zeros((emotions, columns))
    for _ in range(FITTING):
        shift = moved - by_emotion.T @ (voiced - by_voice @ shift)
        shift -= shift.mean(axis=0)
    return shift


def fitted(store: Store, train: np.ndarray, group: np.ndarray, targets: np.ndarray, scaling: Scaling) -> Scaling:
    """Return the scaling with the emotions' offsets, adapted to the training speakers by their clips' true emotions.

    `group` and `targets` cover all clips: the speaker's number from 1, and the probabilities to learn, `[clips,
    emotions]`.
    """
    clips, shares = [store.views[clip] for clip in train], targets[train]
    emotion_offsets = offsets(clips, group[train], shares.argmax(axis=1), shares.shape[1])
    scaling = replace(scaling, offsets=row_scaling.tensors_of((emotion_offsets,), store.device)[0])
    return adapted(by_speaker(clips, group[train], int(group.max())), shares, evenness_in(shares), scaling)
