"""TESS: acted Canadian English, two women of 26 and 64 years, seven emotions.

`OAF_angry/OAF_back_angry.wav`: speaker (older or younger adult female), word, emotion. Each clip says "Say the word
...". `ps` is pleasant surprise. One clip of OAF is named `OA_bite_neutral`.
"""

import re
from pathlib import PurePath

TITLE = "Toronto Emotional Speech Set (TESS)"
HOMEPAGE = "https://doi.org/10.5683/SP2/E8H2MF"
LICENCE = "CC BY-NC-ND 4.0"
CITATION = """@data{pichorafuller2020tess,
  title = {{Toronto} emotional speech set ({TESS})},
  author = {Pichora-Fuller, M. Kathleen and Dupuis, Kate},
  publisher = {Scholars Portal Dataverse},
  year = {2020},
  doi = {10.5683/SP2/E8H2MF}
}"""
SOURCES = (
    {
        "kind": "dataverse", "home": "https://borealisdata.ca", "host": "https://borealisdata.ca",
        "doi": "doi:10.5683/SP2/E8H2MF", "match": "*.wav", "about": 281_000_000,
    },
)  # fmt: skip
LANGUAGE = "en"
SPEAKERS = 2
CLIPS = 2800
HOURS = 1.6
EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "surprise", "sad")
LABELS = {
    "angry": "angry", "disgust": "disgust", "fear": "fear", "happy": "happy", "neutral": "neutral", "ps": "surprise",
    "sad": "sad",
}  # fmt: skip
VOICES = {"OAF": {"sex": "female", "age": 64}, "YAF": {"sex": "female", "age": 26}}
EXAMPLES = {
    "/data/tess/OAF_angry/OAF_back_angry.wav": {
        "speaker": "OAF", "sex": "female", "age": 64, "language": "en", "emotion": "angry", "label": "angry",
        "sentence": "back",
    },
    "/data/YAF_pleasant_surprised/YAF_youth_ps.wav": {
        "speaker": "YAF", "sex": "female", "age": 26, "language": "en", "emotion": "surprise", "label": "ps",
        "sentence": "youth",
    },
    "/data/tess/yaf_dog_pleasant_surprise.ogg": {
        "speaker": "YAF", "sex": "female", "age": 26, "language": "en", "emotion": "surprise", "label": "ps",
        "sentence": "dog",
    },
    "/data/OAF_neutral/OA_bite_neutral.wav": {
        "speaker": "OAF", "sex": "female", "age": 64, "language": "en", "emotion": "neutral", "label": "neutral",
        "sentence": "bite", "notes": ["odd-name"],
    },
}  # fmt: skip
NAME = re.compile(
    r"(OAF?|YAF)_([a-z]+)_(angry|disgust|fear|happy|neutral|ps|pleasant_surprised?|sad)", re.ASCII | re.IGNORECASE
)


def parse(path: PurePath) -> dict[str, object] | None:
    match = NAME.fullmatch(path.stem)
    if not match:
        return None
    prefix, word, label = match[1].upper(), match[2].lower(), match[3].lower()
    speaker = "OAF" if prefix == "OA" else prefix
    label = "ps" if label.startswith("pleasant") else label
    row = {"speaker": speaker, **VOICES[speaker], "language": LANGUAGE, "emotion": LABELS[label], "label": label}
    row["sentence"] = word
    if prefix == "OA":
        row["notes"] = ["odd-name"]
    return row
