"""JL corpus: acted New Zealand English, four speakers, five primary and five secondary emotions.

`female1_angry_10a_1.wav`: speaker, emotion, sentence, session.
"""

import re
from pathlib import PurePath

TITLE = "JL corpus"
HOMEPAGE = "https://www.kaggle.com/datasets/tli725/jl-corpus"
LICENCE = "CC0 1.0"
CITATION = """@inproceedings{james2018open,
  title = {An open source emotional speech corpus for human robot interaction applications},
  author = {James, Jesin and Tian, Li and Watson, Catherine Inez},
  booktitle = {Proc. Interspeech},
  pages = {2768--2772},
  year = {2018},
  doi = {10.21437/Interspeech.2018-1349}
}"""
SOURCES = (
    {
        "kind": "git", "home": "https://github.com/tli725/JL-Corpus",
        "files": {"Raw JL corpus (unchecked and unannotated).zip": {
            "size": 468474795, "sha256": "1e94414d4f7a5990176c48fda3a1d2c6cf0f775468a4356e7819bfe61340adf8",
        }},
    },
    {"kind": "kaggle", "home": "https://www.kaggle.com/datasets/tli725/jl-corpus", "dataset": "tli725/jl-corpus"},
)  # fmt: skip
LANGUAGE = "en"
SPEAKERS = 4
CLIPS = 2400
HOURS = 1.4
EMOTIONS = (
    "neutral", "happy", "sad", "angry", "excited",
    "anxious", "apologetic", "assertive", "concerned", "encouraging",
)  # fmt: skip
LABELS = {
    "neutral": "neutral", "happy": "happy", "sad": "sad", "angry": "angry", "excited": "excited", "anxious": "anxious",
    "apologetic": "apologetic", "assertive": "assertive", "concerned": "concerned", "encouraging": "encouraging",
}  # fmt: skip
EXAMPLES = {
    "/data/jl/Raw JL corpus (unchecked and unannotated)/JL(wav+txt)/female1_angry_10a_1.wav": {
        "speaker": "female1", "sex": "female", "language": "en", "emotion": "angry", "label": "angry",
        "sentence": "10a",
    },
    "/data/male2_Apologetic_3b_2.ogg": {
        "speaker": "male2", "sex": "male", "language": "en", "emotion": "apologetic", "label": "apologetic",
        "sentence": "3b",
    },
}  # fmt: skip
NAME = re.compile(
    r"(?:fe)?male[12]_(?:neutral|happy|sad|angry|excited|anxious|apologetic|assertive|concerned|encouraging)"
    r"_(?:[1-9]|1[0-5])[ab]_[12]",
    re.ASCII | re.IGNORECASE,
)


def parse(path: PurePath) -> dict[str, object] | None:
    stem = path.stem
    if not NAME.fullmatch(stem):
        return None
    speaker, label, sentence, _ = stem.lower().split("_")
    return {
        "speaker": speaker,
        "sex": speaker[:-1],
        "language": LANGUAGE,
        "emotion": LABELS[label],
        "label": label,
        "sentence": sentence,
    }
