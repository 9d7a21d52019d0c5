"""Our words for emotions, parts of splits and sexes, their synonyms, and what the user says that words mean."""

import re
import shlex
import unicodedata
from collections.abc import Iterator

from sertool.errors import UsageError
from sertool.system import talk

EMOTIONS = (
    "neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise", "contempt", "boredom", "sleepy",
    "amused", "anxious", "apologetic", "assertive", "concerned", "encouraging", "excited", "frustrated", "pain",
    "pleasure", "disappointed",
)  # fmt: skip

SYNONYMS = {
    "neutrality": "neutral", "neu": "neutral", "calmness": "calm", "happiness": "happy", "hap": "happy",
    "joy": "happy", "joyful": "happy", "sadness": "sad", "anger": "angry", "ang": "angry", "fearful": "fear",
    "afraid": "fear", "fea": "fear", "scared": "fear", "disgusted": "disgust", "dis": "disgust",
    "surprised": "surprise", "sur": "surprise", "ps": "surprise", "pleasant_surprise": "surprise",
    "pleasant_surprised": "surprise", "bored": "boredom", "sleepiness": "sleepy", "amusement": "amused",
    "anxiety": "anxious", "excitement": "excited", "frustration": "frustrated", "disappointment": "disappointed",
}  # fmt: skip

TAKEN_BY_SHELLS = re.compile(r"[\s|&;<>()$`'\"*?]")

PARTS = {
    "train": "train", "training": "train", "trn": "train", "dev": "dev", "development": "dev", "devel": "dev",
    "validation": "dev", "valid": "dev", "val": "dev", "test": "test", "testing": "test", "tst": "test",
}  # fmt: skip
EVALUATION = {"eval": "test", "evaluation": "test"}  # but where a test stands beside it, perhaps dev
SEXES = {"f": "female", "w": "female", "woman": "female", "m": "male", "man": "male"}


def composed(word: str) -> str:
    """Normalise a word to Unicode NFC: macOS stores an accented letter as two characters."""
    return word if word.isascii() else unicodedata.normalize("NFC", word)


def plain(word: str) -> str:
    """Return a word in the form used for lookup: `Pleasant Surprise` becomes `pleasant_surprise`."""
    return composed(word).strip().lower().replace(" ", "_").replace("-", "_")


def canonical(word: str, mapping: dict[str, str] | None = None) -> str | None:
    """Return the canonical emotion for a word, by the user's mapping first; None if it is unknown.

    "" is the meaning of a word that the mapping gives none, as that of "no agreement".
    """
    key = plain(word)
    if mapping and key in mapping:
        return mapping[key]
    return key if key in EMOTIONS else SYNONYMS.get(key)


def mapped(word: str, mapping: dict[str, str]) -> str | None:
    """Return the user's meaning of a word, or None."""
    return mapping.get(plain(word))


def sex_named(word: str) -> str:
    """Return "female" or "male" for `F`, `Female`, `M` and so on; an unknown word is returned as it is."""
    key = plain(word)
    return SEXES.get(key, key if key in SEXES.values() else word)


def part_named(word: str) -> str:
    """Return our name of a part of a split, such as "dev" for "Validation"; an unknown word is returned as it is."""
    return PARTS.get(word.strip().lower(), word.strip())


def is_part(word: str) -> bool:
    """Whether a word is a name of a part, ours or another."""
    return part_named(word) in PARTS.values() or plain(word) in EVALUATION


def parse_mapping(pairs: tuple[str, ...]) -> dict[str, str]:
    """Parse `("ps=surprise", "calm=neutral,joy=fun")`, by plain label; a target need not be a canonical emotion.

    `X=` is a label that means no emotion, and has the target "".
    """
    mapping = {}
    for pair, source, target in _sides(pairs):
        if not source or not (target or pair.endswith("=")) or "=" in target:
            raise UsageError(f"--map takes FROM=TO, such as ps=surprise, or several joined by commas, not {pair!r}")
        mapping[plain(source)] = canonical(target) or target
    return mapping


def parse_parts(pairs: tuple[str, ...]) -> dict[str, str]:
    """Parse `("Test1=test,Rest=train",)`, by plain name; a name that is one of ours already stands for that."""
    parts = {}
    for pair, source, target in _sides(pairs):
        if not source or part_named(target) not in PARTS.values():
            raise UsageError(f"--parts takes NAME=PART, such as Test1=test; PART is train, dev or test, not {pair!r}")
        parts[plain(part_named(source))] = part_named(target)
    return parts


def _sides(pairs: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Yield each pair, as it is and taken apart."""
    for pair in (pair for text in pairs for pair in _apart(text)):
        left, _, right = pair.partition("=")
        yield pair, composed(left).strip(), composed(right).strip()


def to_map(source: str, target: str) -> str:
    """Return the --map option for a label, quoted if a shell needs it, as for labels joined by `|` or `;`."""
    pair = f"{source}={target}"
    return f"--map {shlex.quote(pair) if TAKEN_BY_SHELLS.search(pair) else pair}"


def warn_of_unmet(mapping: dict[str, str], applied: set[str]) -> None:
    """Warn of labels in the user's mapping that no clip has."""
    for word in mapping.keys() - applied:
        talk.warn(f"--map {word}={mapping[word]} changes nothing: no clip has the label {word!r}")


def _apart(text: str) -> list[str]:
    """Split pairs joined by commas, unless a label holds commas itself."""
    pairs = text.split(",")
    return pairs if all("=" in pair for pair in pairs) else [text]
