"""The canonical emotion words, and the words of others that mean them."""

import re
import shlex
import unicodedata

from sertool import talk
from sertool.errors import UsageError

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

SEXES = {"f": "female", "w": "female", "woman": "female", "m": "male", "man": "male"}


def composed(word: str) -> str:
    """A word as most systems write it: what macOS keeps as a letter and its accent is one character elsewhere."""
    return word if word.isascii() else unicodedata.normalize("NFC", word)


def plain(word: str) -> str:
    """A word as it is looked up: `Pleasant Surprise` is `pleasant_surprise`."""
    return composed(word).strip().lower().replace(" ", "_").replace("-", "_")


def canonical(word: str, mapping: dict[str, str] | None = None) -> str | None:
    """The canonical emotion for a word, by the user's mapping first; None when nobody knows it."""
    key = plain(word)
    if mapping and (target := mapping.get(key)):
        return target
    return key if key in EMOTIONS else SYNONYMS.get(key)


def mapped(word: str, mapping: dict[str, str]) -> str | None:
    """What the user says that a word means, if anything."""
    return mapping.get(plain(word))


def sex_named(word: str) -> str:
    """`F` and `Female` are female, `M` is male; a word that nobody knows stays."""
    key = plain(word)
    return SEXES.get(key, key if key in SEXES.values() else word)


def parse_mapping(pairs: tuple[str, ...]) -> dict[str, str]:
    """`("ps=surprise", "calm=neutral,joy=fun")` as targets by plain label; a target may be a word of one's own."""
    mapping = {}
    for pair in (pair for text in pairs for pair in _apart(text)):
        source, _, target = (composed(part).strip() for part in pair.partition("="))
        if not (source and target) or "=" in target:
            raise UsageError(f"--map takes FROM=TO, such as ps=surprise, or several joined by commas, not {pair!r}")
        mapping[plain(source)] = canonical(target) or target
    return mapping


def to_map(source: str, target: str) -> str:
    """The option that says what a label means, as a shell takes it: of several joined by `|` or `;`, too."""
    pair = f"{source}={target}"
    return f"--map {shlex.quote(pair) if TAKEN_BY_SHELLS.search(pair) else pair}"


def warn_of_unmet(mapping: dict[str, str], applied: set[str]) -> None:
    """Say which labels the user gave a meaning that no clip has."""
    for word in mapping.keys() - applied:
        talk.warn(f"--map {word}={mapping[word]} changes nothing: no clip has the label {word!r}")


def _apart(text: str) -> list[str]:
    """Pairs that commas join; a label may hold commas itself."""
    pairs = text.split(",")
    return pairs if all("=" in pair for pair in pairs) else [text]
