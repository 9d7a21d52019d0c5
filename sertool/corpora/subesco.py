"""SUBESCO: acted Bangla, twenty speakers, seven emotions.

`F_02_MONIKA_S_1_NEUTRAL_5.wav`: sex and number of the speaker, name, sentence, emotion, take.
"""

import re
from pathlib import PurePath

TITLE = "SUST Bangla Emotional Speech Corpus (SUBESCO)"
HOMEPAGE = "https://zenodo.org/records/4526477"
LICENCE = "CC BY 4.0"
CITATION = """@article{sultana2021subesco,
  title = {{SUST Bangla} Emotional Speech Corpus ({SUBESCO}): An audio-only emotional speech corpus for {Bangla}},
  author = {Sultana, Sadia and Rahman, M. Shahidur and Selim, M. Reza and Iqbal, M. Zafar},
  journal = {PLoS ONE},
  volume = {16},
  number = {4},
  pages = {e0250173},
  year = {2021},
  doi = {10.1371/journal.pone.0250173}
}"""
SOURCES = (
    {
        "kind": "zenodo", "home": "https://zenodo.org/records/4526477", "record": 4526477,
        "files": {"SUBESCO.zip": {"size": 1664512929, "md5": "13d702cf944bf54d70d66bffc036ed7a"}},
    },
)  # fmt: skip
LANGUAGE = "bn"
SPEAKERS = 20
CLIPS = 7000
HOURS = 7.8
EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
LABELS = {
    "ANGRY": "angry", "DISGUST": "disgust", "FEAR": "fear", "HAPPY": "happy", "NEUTRAL": "neutral", "SAD": "sad",
    "SURPRISE": "surprise",
}  # fmt: skip
EXAMPLES = {
    "/data/SUBESCO/F_10_FAHMEE_S_6_FEAR_5.wav": {
        "speaker": "F_10", "sex": "female", "language": "bn", "emotion": "fear", "label": "FEAR", "sentence": "S_6",
    },
    "/data/M_09_SHUMANTA_S_10_SURPRISE_2.wav": {
        "speaker": "M_09", "sex": "male", "language": "bn", "emotion": "surprise", "label": "SURPRISE",
        "sentence": "S_10",
    },
}  # fmt: skip
NAME = re.compile(
    r"([FM]_(?:0[1-9]|10))_[A-Z]+_(S_(?:[1-9]|10))_(ANGRY|DISGUST|FEAR|HAPPY|NEUTRAL|SAD|SURPRISE)_[1-5]",
    re.ASCII | re.IGNORECASE,
)


def parse(path: PurePath) -> dict[str, object] | None:
    match = NAME.fullmatch(path.stem)
    if not match:
        return None
    speaker, sentence, label = (group.upper() for group in match.groups())
    return {
        "speaker": speaker,
        "sex": "female" if speaker[0] == "F" else "male",
        "language": LANGUAGE,
        "emotion": LABELS[label],
        "label": label,
        "sentence": sentence,
    }
