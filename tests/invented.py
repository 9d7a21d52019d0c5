"""Invented clips like those of real corpora, as rows and as columns, to test what divides and compares them."""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import product

import numpy as np

from sertool.divisions.protocols import PROTOCOLS
from sertool.numeric.codes import Codes

CREMA_SENTENCES = ["IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI"]
EMOTIONS = ["angry", "disgust", "fear", "happy", "neutral", "sad"]

Row = dict[str, str | None]
Columns = dict[str, Codes]


def coded(words: Sequence[str | None]) -> Codes:
    values = sorted({word for word in words if word is not None})
    number = {word: place for place, word in enumerate(values)} | {None: -1}
    return Codes(np.array([number[word] for word in words], dtype=np.int32), values)


def table(rows: list[Row]) -> Columns:
    """Return the columns of a list of dicts; `clip` is made up if it is missing."""
    names = sorted({"clip"} | {name for row in rows for name in row})
    rows = [{"clip": f"made/{place:05}"} | row for place, row in enumerate(rows)]
    return {name: coded([row.get(name) for row in rows]) for name in names}


def words(column: Codes) -> list[str | None]:
    return [None if place < 0 else column.values[place] for place in column.index]


def crema(speakers: Iterable[int] = range(1001, 1092), lost: int = 20) -> list[Row]:
    """Return rows as in CREMA-D: 12 sentences by 6 emotions, one at three intensities, and a few clips lost."""
    rows = []
    for speaker, sentence, emotion in product(speakers, CREMA_SENTENCES, EMOTIONS):
        for level in ("LO", "MD", "HI") if sentence == "IEO" and emotion != "neutral" else ("XX",):
            clip = f"cremad/{speaker}_{sentence}_{emotion}_{level}"
            rows.append(
                {
                    "clip": clip,
                    "corpus": "cremad",
                    "speaker": f"cremad:{speaker}",
                    "sentence": sentence,
                    "emotion": emotion,
                }
            )
    rng = np.random.default_rng(1)
    gone = set(rng.choice(len(rows), lost, replace=False).tolist())
    return [row for place, row in enumerate(rows) if place not in gone]


def ravdess(actors: Iterable[int] = range(1, 25)) -> list[Row]:
    return [
        {
            "clip": f"ravdess/{a:02}-{s}-{e}-{t}",
            "speaker": f"ravdess:{a:02}",
            "sentence": s,
            "emotion": e,
            "corpus": "ravdess",
        }
        for a, s, e, t in product(actors, ("dogs", "kids"), EMOTIONS, range(2))
    ]


def tess(speakers: Iterable[str] = ("OAF", "YAF")) -> list[Row]:
    return [
        {"clip": f"tess/{who}_{w}_{e}", "speaker": f"tess:{who}", "sentence": f"w{w}", "emotion": e, "corpus": "tess"}
        for who, w, e in product(speakers, range(20), EMOTIONS)
    ]


def sessions(corpus: str, names: str, count: int) -> list[Row]:
    """Return rows of sessions of a woman and a man each; `names` is how a speaker is called, such as `Ses{:02}{}`."""
    return [
        {"clip": f"{corpus}/{k}{sex}{n}", "speaker": f"{corpus}:{names.format(k, sex)}", "corpus": corpus, "emotion": e}
        for k, sex, (n, e) in product(range(1, count + 1), "FM", enumerate(EMOTIONS))
    ]


def published(corpus: str, *speakers: int) -> list[Row]:
    """Return rows of a corpus that publishes the part of each clip; each of its four parts has one of the speakers."""
    parts = zip(("train", "dev", "test1", "test2"), speakers, strict=True)
    return [
        {"clip": f"{corpus}/{part}{n}", "speaker": f"{corpus}:{who}", "corpus": corpus, "emotion": e, "published": part}
        for (part, who), (n, e) in product(parts, enumerate(EMOTIONS))
    ]


def with_copies(rows: list[Row]) -> list[Row]:
    return rows + [row | {"clip": f"{row['clip']}#0", "parent": row["clip"]} for row in rows]


def needing(name: str) -> list[Row]:
    """Return rows that the protocol can divide, including copies."""
    rows = {
        "ravdess": ravdess(), "tess": tess(),
        "iemocap": sessions("iemocap", "Ses{:02}{}", 5), "mspimprov": sessions("mspimprov", "{1}{0:02}", 6),
        "msppodcast": published("msppodcast", 1, 2, 3, 3), "meld": published("meld", 1, 1, 2, 1),
    }  # fmt: skip
    return with_copies(rows.get(PROTOCOLS[name].corpus or "", crema()))


@cache
def divisible(name: str) -> Columns:
    """Return the columns of rows that the protocol can divide, including copies; read only."""
    return table(needing(name))


def emobox_like(shared: int) -> list[Row]:
    """Return rows with folds divided by clip: `shared` per cent of clips are in a fold other than their speaker's."""
    rng = np.random.default_rng(0)
    return [
        row | {"fold": str(rng.integers(5) if rng.integers(100) < shared else int(row["speaker"][7:]) % 5)}
        for row in crema()
    ]


def fold_column(columns: Columns) -> np.ndarray:
    return np.array([-1 if word is None else int(word) for word in words(columns["fold"])], dtype=np.int16)
