"""ASVP-ESD: found speech and sounds in several languages, 131 speakers, twelve emotions.

`actor_36/03-01-09-01-06-36-02-02-01-39.wav`, eight to thirteen numbers: modality, vocal channel (speech or not),
emotion, intensity, statement, actor (odd: female), group of ages, source, and more. The codes of the language are
documented contradictorily, so it is not read. RAVDESS has seven numbers. Code 13 is breath, which is no emotion.
"""

import re
from pathlib import PurePath

TITLE = "Audio, Speech and Vision Processing Lab Emotional Sound database (ASVP-ESD)"
HOMEPAGE = "https://www.kaggle.com/datasets/dejolilandry/asvpesdspeech-nonspeech-emotional-utterances"
LICENCE = "CC BY 4.0"
CITATION = """@misc{landry2021asvpesd,
  title = {Audio, Speech and Vision Processing Lab Emotional Sound database ({ASVP-ESD})},
  author = {Tientcheu Touko Landry, Dejoli and He, Qianhua and Xie, Wei},
  howpublished = {Zenodo},
  year = {2021},
  url = {https://zenodo.org/records/5573185}
}"""
SOURCES = ({"kind": "zenodo", "home": "https://zenodo.org/records/7132783", "record": 7132783, "match": "*.zip"},)
LANGUAGE = "mul"
SPEAKERS = 131
CLIPS = 13964
HOURS = 18.0
EMOTIONS = (
    "boredom", "neutral", "happy", "sad", "angry", "fear", "disgust", "surprise", "excited", "pleasure", "pain",
    "disappointed",
)  # fmt: skip
LABELS = {
    "01": "boredom", "02": "neutral", "03": "happy", "04": "sad", "05": "angry", "06": "fear", "07": "disgust",
    "08": "surprise", "09": "excited", "10": "pleasure", "11": "pain", "12": "disappointed",
}  # fmt: skip
INTENSITIES = {"01": "medium", "02": "high"}  # called normal and high in the corpus
EXAMPLES = {
    "/data/asvpesd/Audio/actor_36/03-01-09-01-06-36-02-02-01-39.wav": {
        "speaker": "36", "sex": "male", "emotion": "excited", "label": "09", "intensity": "medium", "style": "speech",
    },
    "/data/Audio/actor_101/03-02-11-02-58-101-02-01-00-14-02.wav": {
        "speaker": "101", "sex": "female", "emotion": "pain", "label": "11", "intensity": "high", "style": "non-speech",
    },
    "/data/Audio/actor_7/03-02-13-01-01-07-03-01.wav": {
        "speaker": "7", "sex": "female", "emotion": None, "label": "13", "intensity": "medium", "style": "non-speech",
    },
}  # fmt: skip
NAME = re.compile(r"03-0[12]-\d\d-\d\d-\d{1,4}-\d{1,3}-0\d-0\d(?:-\d{1,3}){0,5}", re.ASCII)


def parse(path: PurePath) -> dict[str, object] | None:
    stem = path.stem
    if not NAME.fullmatch(stem):
        return None
    _, channel, label, intensity, _, actor, *_ = stem.split("-")
    style = "speech" if channel == "01" else "non-speech"
    row: dict[str, object] = {"emotion": LABELS.get(label), "label": label, "style": style}
    if number := int(actor):  # actor 0 stands for many speakers
        row |= {"speaker": str(number), "sex": "female" if number % 2 else "male"}
    if intensity in INTENSITIES:
        row["intensity"] = INTENSITIES[intensity]
    return row
