"""ESD: read English and Mandarin, twenty speakers, five emotions, the same 350 sentences in each.

`0001/Angry/0001_000351.wav`, with or without a folder `train`, `test` or `evaluation` above the file: speaker and
number; each emotion has the 350 sentences of its language in the same order.
"""

import re
from pathlib import PurePath

TITLE = "Emotional Speech Dataset (ESD)"
HOMEPAGE = "https://github.com/HLTSingapore/Emotional-Speech-Data"
LICENCE = "research only, by signed agreement"
CITATION = """@inproceedings{zhou2021seen,
  title = {Seen and unseen emotional style transfer for voice conversion with a new emotional speech dataset},
  author = {Zhou, Kun and Sisman, Berrak and Liu, Rui and Li, Haizhou},
  booktitle = {Proc. IEEE Int. Conf. on Acoustics, Speech and Signal Processing (ICASSP)},
  pages = {920--924},
  year = {2021},
  doi = {10.1109/ICASSP39728.2021.9413391}
}"""
SOURCES = (
    {
        "kind": "ask", "home": "https://github.com/HLTSingapore/Emotional-Speech-Data",
        "who": "sign the licence that https://github.com/HLTSingapore/Emotional-Speech-Data links to, send it to "
               "zhoukun@u.nus.edu, and get the archive from Google Drive as told there",
    },
)  # fmt: skip
LANGUAGE = "en zh"
SPEAKERS = 20
CLIPS = 35000
HOURS = 29.1
EMOTIONS = ("neutral", "angry", "happy", "sad", "surprise")
LABELS = {"Neutral": "neutral", "Angry": "angry", "Happy": "happy", "Sad": "sad", "Surprise": "surprise"}
MEN = ("0004", "0005", "0006", "0008", "0010", "0011", "0012", "0013", "0014", "0020")
EXAMPLES = {
    "/data/esd/0001/Angry/0001_000351.wav": {
        "speaker": "0001", "sex": "female", "language": "zh", "emotion": "angry", "label": "Angry",
        "sentence": "zh-001",
    },
    "/data/Emotion Speech Dataset/0011/Surprise/evaluation/0011_001405.flac": {
        "speaker": "0011", "sex": "male", "language": "en", "emotion": "surprise", "label": "Surprise",
        "sentence": "en-005",
    },
    "/data/0020/neutral/train/0020_000350.wav": {
        "speaker": "0020", "sex": "male", "language": "en", "emotion": "neutral", "label": "Neutral",
        "sentence": "en-350",
    },
}  # fmt: skip
NAME = re.compile(r"(00(?:0[1-9]|1\d|20))_(00[01]\d{3})", re.ASCII)
SPLITS = ("train", "test", "evaluation")


def parse(path: PurePath) -> dict[str, object] | None:
    match = NAME.fullmatch(path.stem)
    if not match:
        return None
    speaker, number = match[1], int(match[2])
    folders = [folder.lower() for folder in path.parts[-4:-1]]
    if folders and folders[-1] in SPLITS:
        folders.pop()
    label = folders[-1].capitalize() if folders else ""
    if label not in LABELS or speaker not in folders[-2:-1] or not 1 <= number <= 1750:
        return None
    language = "zh" if speaker <= "0010" else "en"
    return {
        "speaker": speaker,
        "sex": "male" if speaker in MEN else "female",
        "language": language,
        "emotion": LABELS[label],
        "label": label,
        "sentence": f"{language}-{(number - 1) % 350 + 1:03d}",
    }
