"""The named ways to divide clips, published ones among them, and the --split expressions that ask for them."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from sertool.errors import UsageError


class Shares(NamedTuple):
    """How much of the clips each part of a split gets, adding up to 1."""

    train: float
    dev: float
    test: float


USUAL = Shares(0.7, 0.15, 0.15)


@dataclass(frozen=True)
class Protocol:
    """A way to divide clips.

    With `shares` its parts are drawn, and with `speakers` or `of_clips` they are published. With none of these, every
    speaker is a fold.
    """

    title: str
    by: tuple[str, ...] = ("speaker",)  # the columns whose groups are never divided
    folds: bool = False  # whether it makes folds rather than a split
    shares: Shares | None = None
    adjustable: bool = False  # whether other shares may be asked for
    seed: int | None = None  # its own, which is used unless another is asked for
    copies: str | None = None  # the `augment --recipe` whose copies it divides as if they were clips
    corpus: str | None = None
    speakers: tuple[str, ...] = ()  # those of train, dev and test, or of each fold, such as "1001-1003 1007"
    of_clips: bool = False  # whether the column `published` has the part of each clip

    @property
    def is_leaky(self) -> bool:
        """Whether it puts clips of one speaker on both sides at random."""
        return "clip" in self.by

    @property
    def keeps_speakers(self) -> bool:
        """Whether it keeps each speaker's clips together."""
        return "speaker" in self.by

    def places(self) -> dict[str, int]:
        """Return the part or fold of every published speaker, as a manifest names them: `cremad:1001`."""
        return {f"{self.corpus}:{name}": place for place, text in enumerate(self.speakers) for name in _expanded(text)}


def _expanded(text: str) -> list[str]:
    """Expand `1001-1003 1007` to 1001, 1002, 1003 and 1007."""
    names = []
    for word in text.split():
        first, _, last = word.partition("-")
        names += [str(number) for number in range(int(first), int(last) + 1)] if last else [first]
    return names


PROTOCOLS = {
    "speaker": Protocol("speakers held out, 70/15/15 unless told otherwise", shares=USUAL, adjustable=True),
    "sentence": Protocol(
        "sentences held out: what is said in test is never in train, though the speakers are",
        by=("sentence",),
        shares=USUAL,
        adjustable=True,
    ),
    "speaker+sentence": Protocol(
        "speakers and sentences held out together; clips that would bridge two parts are left out",
        by=("speaker", "sentence"),
        shares=USUAL,
        adjustable=True,
    ),
    "loso": Protocol("leave one speaker out: a fold for each", folds=True),
    "cremad-nk": Protocol(
        "CREMA-D, 57 speakers to train, 15 for dev, 19 for test",
        corpus="cremad",
        speakers=(
            "1001-1091",  # but those of dev and test
            "1005 1009 1013 1026 1030 1032 1036 1038 1041 1048 1051 1052 1069 1088 1089",
            "1004 1006 1007 1011 1016 1018 1029 1045 1049 1050 1055 1056 1058 1061 1066 1070 1074 1077 1091",
        ),
    ),
    "cremad-blocks": Protocol(
        "CREMA-D, five folds of neighbouring speakers",
        folds=True,
        corpus="cremad",
        speakers=("1001-1018", "1019-1036", "1037-1054", "1055-1072", "1073-1091"),
    ),
    "ravdess-emobox": Protocol(
        "RAVDESS, the six folds of EmoBox",
        folds=True,
        corpus="ravdess",
        speakers=("01 11 20 21", "04 10 12 14", "08 09 19 23", "03 05 07 24", "02 15 16 18", "06 13 17 22"),
    ),
    "ravdess-luna": Protocol(
        "RAVDESS, the five folds of Luna-Jimenez and others",
        folds=True,
        corpus="ravdess",
        speakers=("02 05 14 15 16", "03 06 07 13 18", "10 11 12 19 20", "08 17 21 23 24", "01 04 09 22"),
    ),
    "tess-cross": Protocol(
        "TESS, from one speaker to the other, both ways", folds=True, corpus="tess", speakers=("OAF", "YAF")
    ),
    "iemocap-sessions": Protocol(
        "IEMOCAP, leave one session out: five folds of two speakers",
        folds=True,
        corpus="iemocap",
        speakers=("Ses01F Ses01M", "Ses02F Ses02M", "Ses03F Ses03M", "Ses04F Ses04M", "Ses05F Ses05M"),
    ),
    "mspimprov-sessions": Protocol(
        "MSP-IMPROV, leave one session out: six folds of two speakers",
        folds=True,
        corpus="mspimprov",
        speakers=("F01 M01", "F02 M02", "F03 M03", "F04 M04", "F05 M05", "F06 M06"),
    ),
    "msppodcast-published": Protocol(
        "MSP-Podcast, its own parts; test1 to test3 of the column published are in test",
        corpus="msppodcast",
        of_clips=True,
    ),
    "meld-published": Protocol(
        "LEAKY: MELD, its own parts, with its main characters in all of them",
        by=("clip",),
        corpus="meld",
        of_clips=True,
    ),
    "random": Protocol(
        "LEAKY: clips at random, 70/15/15 unless told otherwise", by=("clip",), shares=USUAL, adjustable=True
    ),
    "random-80-20": Protocol("LEAKY: clips at random, no dev", by=("clip",), shares=Shares(0.8, 0, 0.2)),
    "random-70-30": Protocol(
        "LEAKY: clips at random, 5 % of train for dev, seed 42",
        by=("clip",),
        shares=Shares(0.665, 0.035, 0.3),
        seed=42,
    ),
    "random-60-20-20": Protocol("LEAKY: clips at random", by=("clip",), shares=Shares(0.6, 0.2, 0.2)),
    "random-70-15-15": Protocol("LEAKY: clips at random", by=("clip",), shares=USUAL),
    "random-92-8-leaky-copies": Protocol(
        "LEAKY: clips and their augmented copies (`augment --recipe clstm`) at random, no dev",
        by=("clip",),
        shares=Shares(0.92, 0, 0.08),
        copies="clstm",
    ),
}
UNNAMED = Protocol("folds or parts that no protocol describes")


def named(asked: str | int | None) -> Protocol:
    """Return the protocol at the beginning of a --split expression or of what a table records; else UNNAMED."""
    return PROTOCOLS.get(re.split("[:,]| and ", str(asked))[0], UNNAMED)


class SplitPlan(NamedTuple):
    """A parsed --split expression."""

    name: str
    shares: Shares | None  # None if its protocol takes none


def parse(text: str) -> SplitPlan:
    """Parse a --split expression: `speaker`, `speaker:70/15/15`, `sentence:train=80/test=20`, `cremad-nk` ..."""
    name, colon, shares = text.strip().partition(":")
    if name not in PROTOCOLS:
        raise UsageError(f"--split: {name!r} is unknown; choose from {', '.join(PROTOCOLS)}")
    if not colon:
        return SplitPlan(name, PROTOCOLS[name].shares)
    if not PROTOCOLS[name].adjustable:
        takers = [word for word, protocol in PROTOCOLS.items() if protocol.adjustable]
        raise UsageError(f"--split: {name} takes no shares; {', '.join(takers)} do, such as speaker:70/15/15")
    return SplitPlan(name, _parse_shares(shares))


def shares_of(asked: str | int | None) -> Shares:
    """Return the shares that a --split expression, or what a table records, divides by; the usual ones if none."""
    try:
        return parse(str(asked).split(",")[0]).shares or USUAL
    except UsageError:
        return USUAL


def with_shares(name: str, shares: Shares) -> str:
    """Return the --split expression for parts of these sizes, to a tenth of a per cent."""
    dev, test = (max(1, round(1000 * share)) if share else 0 for share in (shares.dev, shares.test))
    parts = {"train": 1000 - dev - test, "dev": dev, "test": test}
    words = {part: f"{size / 10:g}" for part, size in parts.items() if size}
    return f"{name}:{'/'.join(words.values() if test else map('='.join, words.items()))}"


def _parse_shares(text: str) -> Shares:
    """Parse `70/15/15`, `80/20` (train and test) or `train=80/test=20`, in percent or as fractions."""
    problem = (
        f"--split: shares are TRAIN/DEV/TEST or TRAIN/TEST, such as 70/15/15, 80/20 or train=80/test=20, not {text!r}"
    )
    words = text.split("/")
    if all("=" in word for word in words):
        pairs = [(part.strip(), number.strip()) for part, _, number in (word.partition("=") for word in words)]
    else:
        pairs = list(zip({2: ("train", "test"), 3: Shares._fields}.get(len(words), ()), words, strict=False))
    try:
        shares = {part: float(number) for part, number in pairs}
    except ValueError:
        raise UsageError(problem) from None
    whole = sum(shares.values())
    sound = len(shares) == len(words) and "train" in shares and len(shares) > 1 and {*shares} <= {*Shares._fields}
    if not (sound and all(0 < share < float("inf") for share in shares.values())):
        raise UsageError(problem)
    if not any(abs(whole - right) < 1e-6 * right for right in (1, 100)):
        raise UsageError(f"--split: the shares {text} add up to {whole:g}, not to 100")
    return Shares(*(shares.get(part, 0.0) / whole for part in Shares._fields))
