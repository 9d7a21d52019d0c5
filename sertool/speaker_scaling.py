"""Getting to know speakers by their clips, whatever emotions these hold.

A speaker's rows are freed of that speaker's own mean and deviation. Where all emotions are heard alike, the plain ones
of the clips are best; but of clips that are mostly neutral, or angry, they would take the emotion away with the voice.
So a clip's emotion e, as far as the model can tell it, is taken off first: with d[e] being what it adds to anybody's
mean, as learnt from the training speakers, and p[i, e] how probable the model takes it to be in clip i,

    x[i] - sum_e p[i, e] d[e]

has the voice's mean, and the variance that the emotions would add, mean_e d[e]^2, is put back. The model's answers
depend on the scaling, so they are asked for again with what was found: twice are enough. Both ways are blended by how
evenly the clips' answers are spread over the emotions. What was found is blended with everybody's, too, by the number
of clips, for few say little of a voice.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from sertool import batches
from sertool.batches import Scaling, Store
from sertool.fitted import deviation_of

ROUNDS = 2
CAUTION = 2  # the power of evenness that plain moments are trusted by
FITTING = 10  # rounds in which emotions and voices are told apart in the training clips

Parts = Sequence[np.ndarray]  # a clip's rows, `[rows, width]` of each feature
Asking = Callable[[Scaling], np.ndarray]  # what the model answers under a scaling, `[clips, emotions]`


@dataclass(frozen=True)
class Sums:
    """Of some clips: each one's number of rows, `[clips, 1]`, and their sums by column; the squares' sum of all."""

    rows: np.ndarray
    total: np.ndarray  # float64 `[clips, columns]`
    squares: np.ndarray  # float64 `[columns]`

    def moments(self, shift: np.ndarray | float = 0.0) -> np.ndarray:
        """Mean and variance of all rows, `[2, columns]`, each clip's less its `shift` `[clips, columns]`."""
        count = self.rows.sum()
        mean = (self.total - self.rows * shift).sum(axis=0) / count
        squares = self.squares + (shift * (self.rows * shift - 2 * self.total)).sum(axis=0)
        return np.stack([mean, np.maximum(squares / count - mean**2, 0)])


def summed(clips: Iterable[Parts]) -> Sums:
    count, total, squares = [], [], 0.0
    for parts in clips:
        rows = np.concatenate(parts, axis=1).astype(np.float64)
        count.append([len(rows)])
        total.append(rows.sum(axis=0))
        squares = squares + np.square(rows).sum(axis=0)
    return Sums(np.array(count), np.stack(total), squares)


class SpeakerClips(NamedTuple):
    """The clips of one speaker."""

    places: np.ndarray  # among all
    sums: Sums | None  # where there are any


def voice(own: Sums, shares: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Mean and variance of a speaker's rows, `[2, columns]`, from clips with these answers, `[clips, emotions]`."""
    freed = own.moments(shares @ offsets)
    freed[1] += np.square(offsets).mean(axis=0)
    trust = evenness(shares.mean(axis=0)) ** CAUTION
    return trust * own.moments() + (1 - trust) * freed


def evenness(shares: np.ndarray) -> float:
    """0 for one emotion alone, 1 for all alike: by how many the entropy of `shares` `[emotions]` counts them."""
    shares = shares / shares.sum()
    return float((np.exp(-(shares * np.log(np.maximum(shares, 1e-12))).sum()) - 1) / (len(shares) - 1))


def known(scaling: Scaling, voices: Sequence[tuple[int, np.ndarray | float]]) -> Scaling:
    """A scaling with speakers as groups 1, 2 and so on, each given as a number of clips and `[2, columns]`.

    Everybody's mean M and variance V, group 0, stand beside a speaker's m and v as if they were of k more clips:

        (n m + k M) / (n + k)  and  (n' v + k V) / (n' + k),  n' = n - 1,

    for the spread of a single clip says nothing of how clips differ.
    """
    everybody = np.stack([scaling.mean[0].cpu().double().numpy(), scaling.deviation[0].cpu().double().numpy() ** 2])
    made = [everybody]
    for clips, own in voices:
        counts = np.array([[clips], [max(clips - 1, 0)]], float)
        share = counts / np.maximum(counts + scaling.prior_clips, 1e-9)
        made.append(share * own + (1 - share) * everybody)
    mean, variance = np.stack(made, axis=1)
    both = batches.tensors_of((mean, deviation_of(mean, variance)), scaling.mean.device)
    return replace(scaling, mean=both[0], deviation=both[1])


def by_speaker(clips: Sequence[Parts], group: np.ndarray, speakers: int) -> Iterator[SpeakerClips]:
    """What there is of each of so many speakers, counted from 1 in `group` `[clips]`; one after the other."""
    for speaker in range(1, speakers + 1):
        places = np.flatnonzero(group == speaker)
        yield SpeakerClips(places, summed(clips[place] for place in places) if len(places) else None)


def met(speakers: Iterable[SpeakerClips], shares: np.ndarray, scaling: Scaling) -> Scaling:
    """A scaling that knows speakers by the answers to all clips, `[clips, emotions]`."""
    added = scaling.offsets.cpu().double().numpy()
    voices = [(len(at), 0.0 if own is None else voice(own, shares[at], added)) for at, own in speakers]
    return known(scaling, voices)


def acquainted(clips: Sequence[Parts], group: np.ndarray, speakers: int, scaling: Scaling, ask: Asking) -> Scaling:
    """The same where nobody but the model can tell the emotions."""
    found, own = known(scaling, [(0, 0.0)] * speakers), list(by_speaker(clips, group, speakers))
    for _ in range(ROUNDS):
        found = met(own, ask(found), scaling)
    return found


def offsets(clips: Sequence[Parts], group: np.ndarray, truth: np.ndarray, emotions: int) -> np.ndarray:
    """What each emotion adds to the mean of a clip's rows, whoever speaks: `[emotions, columns]`, 0 in the mean.

    A clip's mean is taken for a voice's plus an emotion's, and each is fitted in turn to what the other leaves, over
    the pairs of a voice and an emotion that there are, each counting alike.
    """
    count = np.zeros((int(group.max()) + 1, emotions))
    np.add.at(count, (group, truth), 1)
    there = np.sign(count)
    by_voice, by_emotion = (there / np.maximum(there.sum(axis=axis, keepdims=True), 1) for axis in (1, 0))
    columns = sum(part.shape[1] for part in clips[0])
    voiced, moved = np.zeros((len(count), columns)), np.zeros((emotions, columns))
    for parts, speaker, emotion in zip(clips, group, truth, strict=True):
        own = np.concatenate([part.mean(axis=0, dtype=np.float64) for part in parts]) / count[speaker, emotion]
        voiced[speaker] += by_voice[speaker, emotion] * own
        moved[emotion] += by_emotion[speaker, emotion] * own
    found = np.zeros((emotions, columns))
    for _ in range(FITTING):
        found = moved - by_emotion.T @ (voiced - by_voice @ found)
        found -= found.mean(axis=0)
    return found


def learnt(store: Store, train: np.ndarray, group: np.ndarray, targets: np.ndarray, scaling: Scaling) -> Scaling:
    """A scaling that knows the speakers of the training clips by what is known of their emotions, and what these add.

    `group` and `targets` are of all clips: who speaks, counted from 1, and what is learnt, `[clips, emotions]`.
    """
    clips, shares = [store.views[clip] for clip in train], targets[train]
    found = offsets(clips, group[train], shares.argmax(axis=1), shares.shape[1])
    scaling = replace(scaling, offsets=batches.tensors_of((found,), store.device)[0])
    return met(by_speaker(clips, group[train], int(group.max())), shares, scaling)
